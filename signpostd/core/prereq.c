/* Prerequisites. RFC 2136 3.2. */
#include "signpostd/core/updater.h"

static const struct sp_rrset *rrset_of(const struct sp_zone *z, const struct sp_name *owner, uint16_t type) {
    const struct sp_node *n = sp_zone_node(z, owner);
    return n == NULL ? NULL : sp_node_rrset(n, type);
}

/* At least one record; an empty non-terminal is not in use. RFC 2136 2.4.4. */
static bool in_use(const struct sp_zone *z, const struct sp_name *owner) {
    const struct sp_node *n = sp_zone_node(z, owner);
    return n != NULL && sp_node_rrsets(n, NULL, 0) > 0;
}

static bool rrset_has(const struct sp_rrset *set, const uint8_t *rdata, size_t len) {
    struct sp_rd rd = sp_rd_init(set->data, set->len);
    const uint8_t *have;
    for (size_t have_len; sp_rrs_next(&rd, &have, &have_len);)
        if (sp_rdata_cmp(have, have_len, rdata, len) == 0)
            return true;
    return false;
}

/* A record that must be there: it is looked for at once, and remembered, since its RRset may not have others (3.2.3).
 */
static enum sp_refusal value(struct sp_flow *f, const struct sp_rr *rr) {
    struct sp_updater *u = f->u;
    size_t len;
    if (sp_type_is_meta(rr->type) || sp_flow_rdata(f, rr, &len) != SP_OK)
        return SP_REFUSED_prereq_form;
    sp_rdata_canonical(rr->type, u->rdata, len);
    const struct sp_rrset *set = rrset_of(f->zone, &rr->owner, rr->type);
    if (set == NULL || !rrset_has(set, u->rdata, len))
        return SP_REFUSED_prereq_nxrrset;
    u->marks[f->marks++] = (struct sp_mark){
        .set = sp_updater_hash_name(u, sp_zone_id(f->zone), rr->type, &rr->owner),
        .rdata = sp_updater_hash_rdata(u, u->rdata, len),
        .offset = set->count,
    };
    return SP_REFUSED_none;
}

static enum sp_refusal exists(struct sp_flow *f, const struct sp_rr *rr) {
    if (rr->type == SP_TYPE_ANY)
        return in_use(f->zone, &rr->owner) ? SP_REFUSED_none : SP_REFUSED_prereq_nxdomain;
    if (sp_type_is_meta(rr->type))
        return SP_REFUSED_prereq_form;
    return rrset_of(f->zone, &rr->owner, rr->type) != NULL ? SP_REFUSED_none : SP_REFUSED_prereq_nxrrset;
}

static enum sp_refusal exists_not(struct sp_flow *f, const struct sp_rr *rr) {
    if (rr->type == SP_TYPE_ANY)
        return in_use(f->zone, &rr->owner) ? SP_REFUSED_prereq_yxdomain : SP_REFUSED_none;
    if (sp_type_is_meta(rr->type))
        return SP_REFUSED_prereq_form;
    return rrset_of(f->zone, &rr->owner, rr->type) != NULL ? SP_REFUSED_prereq_yxrrset : SP_REFUSED_none;
}

static enum sp_refusal prereq(struct sp_flow *f, const struct sp_rr *rr) {
    if (rr->ttl != 0)
        return SP_REFUSED_prereq_form;
    if (!sp_name_under(&rr->owner, sp_zone_apex(f->zone)))
        return SP_REFUSED_prereq_notzone;
    if (rr->rclass == SP_CLASS_IN)
        return value(f, rr);
    if (sp_rd_left(&rr->rdata) != 0 || (rr->rclass != SP_CLASS_ANY && rr->rclass != SP_CLASS_NONE))
        return SP_REFUSED_prereq_form;
    return rr->rclass == SP_CLASS_ANY ? exists(f, rr) : exists_not(f, rr);
}

/* Every RRset named has no other record: the distinct ones named are as many as it has. */
static bool whole_sets(struct sp_mark *m, size_t n) {
    sp_marks_sort(m, n);
    for (size_t i = 0, next; i < n; i = next) {
        size_t distinct = 1;
        for (next = i + 1; next < n && m[next].set == m[i].set; next++)
            distinct += m[next].rdata != m[next - 1].rdata;
        if (distinct != m[i].offset)
            return false;
    }
    return true;
}

enum sp_refusal sp_flow_prereq(struct sp_flow *f) {
    struct sp_rd rd = sp_msg_section(f->msg, 1);
    struct sp_rr rr;
    f->marks = 0;
    for (unsigned i = 0; i < f->msg->count[1]; i++) {
        if (sp_msg_rr(&rd, &rr) != SP_OK)
            return SP_REFUSED_prereq_form;
        enum sp_refusal why = prereq(f, &rr);
        if (why != SP_REFUSED_none)
            return why;
    }
    return whole_sets(f->u->marks, f->marks) ? SP_REFUSED_none : SP_REFUSED_prereq_nxrrset;
}
