/* The changes of an update: into a transaction (RFC 2136 3.4.2), then into the record of the log. */
#include "signpostd/core/updater.h"

/* ---- applying ---- */

static bool is_overlay(const struct sp_flow *f, uint16_t type, const uint8_t *rdata, size_t len) {
    return type == SP_TYPE_AAAA && sp_ident_is_overlay(f->zone, rdata, len);
}

/* Whether this message may take identity away: the farewell of a device, or a key whose policy lists KEY. */
static bool may_unlist(const struct sp_flow *f, const struct sp_name *owner) {
    if (f->tkey != NULL)
        return sp_policy_lists(&f->tkey->policy, SP_TYPE_KEY);
    return f->leave && sp_name_equal(owner, &f->signer->name);
}

/* An RRset goes, but for identity. The RRset lives until the transaction's end, so it can be walked. */
static sp_err delete_rrset(struct sp_flow *f, struct sp_txn *txn, const struct sp_name *owner, uint16_t type) {
    const struct sp_node *n = sp_zone_node(f->zone, owner);
    const struct sp_rrset *set = n == NULL ? NULL : sp_node_rrset(n, type);
    bool changed;
    if (set == NULL || sp_zone_makes(f->zone, owner, type))
        return SP_OK;
    if (may_unlist(f, owner) || (type != SP_TYPE_KEY && type != SP_TYPE_AAAA))
        return sp_txn_del_rrset(txn, owner, type, &changed);
    if (type == SP_TYPE_KEY)
        return SP_OK;
    struct sp_rd rd = sp_rd_init(set->data, set->len);
    const uint8_t *rdata;
    for (size_t len; sp_rrs_next(&rd, &rdata, &len);)
        if (!is_overlay(f, type, rdata, len))
            SP_TRY(sp_txn_del_rr(txn, owner, type, rdata, len, &changed));
    return SP_OK;
}

static sp_err delete_name(struct sp_flow *f, struct sp_txn *txn, const struct sp_name *owner) {
    const struct sp_node *n = sp_zone_node(f->zone, owner);
    const struct sp_rrset *sets[64];
    uint16_t types[64];
    size_t count = n == NULL ? 0 : sp_node_rrsets(n, sets, 64);
    if (count > 64)
        return SP_ERR_FULL;
    for (size_t i = 0; i < count; i++)
        types[i] = sets[i]->type;
    for (size_t i = 0; i < count; i++)
        SP_TRY(delete_rrset(f, txn, owner, types[i]));
    return SP_OK;
}

/* Identity that is there stays as it is, TTL included. */
static bool has_rdata(const struct sp_flow *f, const struct sp_name *owner, uint16_t type, const uint8_t *rdata,
                      size_t len) {
    const struct sp_node *n = sp_zone_node(f->zone, owner);
    const struct sp_rrset *set = n == NULL ? NULL : sp_node_rrset(n, type);
    if (set == NULL)
        return false;
    struct sp_rd rd = sp_rd_init(set->data, set->len);
    const uint8_t *have;
    for (size_t have_len; sp_rrs_next(&rd, &have, &have_len);)
        if (sp_rdata_cmp(have, have_len, rdata, len) == 0)
            return true;
    return false;
}

static sp_err add_rr(struct sp_flow *f, struct sp_txn *txn, const struct sp_rr *rr, size_t len) {
    struct sp_updater *u = f->u;
    bool changed;
    bool identity = rr->type == SP_TYPE_KEY || is_overlay(f, rr->type, u->rdata, len);
    if (identity && has_rdata(f, &rr->owner, rr->type, u->rdata, len))
        return SP_OK;
    uint32_t ttl = rr->ttl > INT32_MAX ? 0 : rr->ttl; /* RFC 2181 8 */
    SP_TRY(sp_txn_add_rr(txn, &rr->owner, rr->type, ttl, u->rdata, len, &changed));
    bool apex = sp_name_equal(&rr->owner, sp_zone_apex(f->zone));
    if (identity || rr->type == SP_TYPE_SOA || (apex && rr->type == SP_TYPE_NS))
        return SP_OK; /* never leased */
    sp_rdata_canonical(rr->type, u->rdata, len);
    u->marks[f->marks++] = (struct sp_mark){
        .set = sp_updater_hash_name(u, sp_zone_id(f->zone), rr->type, &rr->owner),
        .rdata = sp_updater_hash_rdata(u, u->rdata, len),
        .offset = rr->offset,
    };
    return SP_OK;
}

static sp_err apply_rr(struct sp_flow *f, struct sp_txn *txn, const struct sp_rr *rr) {
    size_t len;
    bool changed;
    if (rr->type == SP_TYPE_SPJOIN)
        return SP_OK;
    if (rr->rclass == SP_CLASS_ANY)
        return rr->type == SP_TYPE_ANY ? delete_name(f, txn, &rr->owner) : delete_rrset(f, txn, &rr->owner, rr->type);
    SP_TRY(sp_flow_rdata(f, rr, &len));
    if (rr->rclass == SP_CLASS_IN)
        return add_rr(f, txn, rr, len);
    return sp_txn_del_rr(txn, &rr->owner, rr->type, f->u->rdata, len, &changed);
}

sp_err sp_flow_apply(struct sp_flow *f, struct sp_txn *txn) {
    struct sp_rd rd = sp_msg_section(f->msg, 2);
    struct sp_rr rr;
    f->marks = 0;
    for (unsigned i = 0; i < f->msg->count[2]; i++) {
        SP_TRY(sp_msg_rr(&rd, &rr));
        SP_TRY(apply_rr(f, txn, &rr));
    }
    sp_marks_sort(f->u->marks, f->marks);
    return SP_OK;
}

/* ---- the record ---- */

struct lease_ctx {
    struct sp_flow *f;
    const struct sp_lease *lease;
    uint64_t set;
    bool changed; /* some record's lease is not what it was */
    bool any;
};

/* What a record's lease is after this update: of one that the update adds, what it asks for; else as it was. */
static uint32_t lease_of(void *arg, const uint8_t *rdata, size_t len) {
    struct lease_ctx *c = arg;
    uint64_t hash = sp_updater_hash_rdata(c->f->u, rdata, len);
    const struct sp_lease_item *item = sp_lease_item(c->lease, hash);
    uint32_t was = item != NULL ? item->granted_s : 0, is = was;
    if (sp_marks_find_rdata(c->f->u->marks, c->f->marks, c->set, hash) != NULL)
        is = c->f->leased ? c->f->lease_s : 0;
    c->changed |= is != was;
    c->any |= is != 0;
    return is;
}

static struct lease_ctx lease_ctx(struct sp_flow *f, const struct sp_name *owner, uint16_t type) {
    uint32_t zone = sp_zone_id(f->zone);
    return (struct lease_ctx){
        .f = f,
        .lease = sp_lease_find(f->u, zone, owner, type),
        .set = sp_updater_hash_name(f->u, zone, type, owner),
    };
}

static void write_rrset(struct sp_flow *f, struct sp_wr *wr, const struct sp_name *owner, uint16_t type,
                        const struct sp_rrset *set, size_t *new_leases) {
    struct lease_ctx c = lease_ctx(f, owner, type);
    struct sp_rrs rrs = {.type = type, .rclass = SP_CLASS_IN};
    if (set != NULL)
        rrs = sp_rrset_view(set);
    sp_record_rrset_write(wr, owner, &rrs, lease_of, &c);
    *new_leases += c.any && c.lease == NULL;
    struct sp_mark *first = sp_marks_find(f->u->marks, f->marks, c.set);
    if (first != NULL)
        first->in_change = true;
}

static size_t write_changes(struct sp_flow *f, struct sp_wr *wr, const struct sp_txn *txn, size_t *new_leases) {
    struct sp_name owner;
    uint16_t type;
    const struct sp_rrset *after;
    size_t n = 0;
    for (size_t i = 0; i < sp_txn_changes(txn); i++) {
        if (!sp_change_differs(txn, i))
            continue;
        sp_txn_change(txn, i, &owner, &type, &after);
        write_rrset(f, wr, &owner, type, after, new_leases);
        n++;
    }
    return n;
}

/* A refresh that changes nothing is not logged: the leases of the set's records begin anew at once. */
static void refresh(struct sp_flow *f, struct sp_mark *m, size_t n, const struct sp_name *owner, uint16_t type) {
    struct sp_lease *l = sp_lease_find(f->u, sp_zone_id(f->zone), owner, type);
    for (size_t i = 0; l != NULL && f->leased && i < n; i++) {
        struct sp_lease_item *item = sp_lease_item(l, m[i].rdata);
        if (item == NULL || item->granted_s != f->lease_s)
            continue;
        sp_lease_refresh(f->u, l, item, f->now);
        f->u->counts.lease_refreshes++;
    }
}

/* The sets that the update named without changing them: written if a lease changes. */
static size_t write_leases(struct sp_flow *f, struct sp_wr *wr, size_t *new_leases) {
    struct sp_mark *m = f->u->marks;
    size_t written = 0;
    for (size_t i = 0, next; i < f->marks; i = next) {
        for (next = i + 1; next < f->marks && m[next].set == m[i].set; next++)
            ;
        struct sp_rd rd = {f->msg->wire, f->msg->wire + m[i].offset, f->msg->wire + f->msg->len, SP_OK};
        struct sp_rr rr;
        if (sp_msg_rr(&rd, &rr) != SP_OK)
            continue;
        refresh(f, &m[i], next - i, &rr.owner, rr.type);
        const struct sp_node *node = sp_zone_node(f->zone, &rr.owner);
        const struct sp_rrset *set = node == NULL ? NULL : sp_node_rrset(node, rr.type);
        if (m[i].in_change || set == NULL)
            continue;
        uint8_t *before = wr->pos;
        struct lease_ctx c = lease_ctx(f, &rr.owner, rr.type);
        struct sp_rrs rrs = sp_rrset_view(set);
        sp_record_rrset_write(wr, &rr.owner, &rrs, lease_of, &c);
        if (!c.changed && wr->err == SP_OK)
            wr->pos = before;
        *new_leases += c.changed && c.any && c.lease == NULL;
        written += c.changed;
    }
    return written;
}

enum sp_refusal sp_flow_record(struct sp_flow *f, struct sp_txn *txn, struct sp_change *ret) {
    struct sp_updater *u = f->u;
    struct sp_wr wr = sp_wr_init(u->body, SP_LOG_BODY_MAX);
    struct sp_rec_change c = {
        .flags = SP_CHANGE_REPLAY | (f->join.present ? SP_CHANGE_INVITE : 0),
        .replay = {f->signer->kind, f->signer->name, {0}, f->inception, f->expiration, f->hash, SP_RCODE_NOERROR},
        .invite = f->join.present ? f->join.invite->info.pub : NULL,
    };
    memcpy(c.replay.pub, f->signer->pub, sizeof c.replay.pub);
    sp_record_change_write(&wr, &c);
    size_t new_leases = 0;
    size_t changed = write_changes(f, &wr, txn, &new_leases);
    size_t leases = write_leases(f, &wr, &new_leases);
    if (wr.err != SP_OK)
        return SP_REFUSED_too_big;
    if (u->leases.count + new_leases > u->config.leases)
        return SP_REFUSED_full;
    *ret = (struct sp_change){.zone = sp_zone_id(f->zone), .serial = sp_zone_serial(f->zone)};
    if (changed + leases == 0)
        return SP_REFUSED_none;
    return sp_change_fill(u, ret, sp_zone_id(f->zone), SP_REC_CHANGE, &wr, changed > 0 ? txn : NULL) == SP_OK
               ? SP_REFUSED_none
               : SP_REFUSED_too_big;
}
