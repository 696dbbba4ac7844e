/* Saying no. RFC 2308 (SOA), 9824 (compact denial: one NSEC at the name that was asked for). */
#include "signpostd/core/ask.h"

/* RFC 2308 5, 9077 3.1: denials live as long as the lesser of the SOA's TTL and its last field. */
static uint32_t denial_ttl(const struct sp_rrset *soa) {
    uint32_t minimum = sp_get_u32(soa->data + soa->len - 4);
    return minimum < soa->ttl ? minimum : soa->ttl;
}

/* The types of the bitmap, ascending. At a cut only what the parent speaks for (RFC 4035 2.3). */
static size_t denial_types(const struct sp_node *source, bool exists, uint16_t types[SP_NODE_TYPES_MAX + 3]) {
    const struct sp_rrset *sets[SP_NODE_TYPES_MAX];
    size_t have = source == NULL ? 0 : sp_node_rrsets(source, sets, SP_NODE_TYPES_MAX), n = 0;
    bool cut = source != NULL && (source->flags & SP_NODE_CUT) != 0, own = false;
    for (size_t i = 0; i < have; i++) {
        if (cut && sets[i]->type != SP_TYPE_NS && sets[i]->type != SP_TYPE_DS)
            continue;
        if (!own && sets[i]->type > SP_TYPE_NSEC) {
            types[n++] = SP_TYPE_RRSIG;
            types[n++] = SP_TYPE_NSEC;
            own = true;
        }
        types[n++] = sets[i]->type;
    }
    if (!own) {
        types[n++] = SP_TYPE_RRSIG;
        types[n++] = SP_TYPE_NSEC;
    }
    if (!exists)
        types[n++] = SP_TYPE_NXNAME;
    return n;
}

enum sp_resolved sp_walk_nsec(struct sp_walk *w, enum sp_section section, struct sp_place owner,
                              const struct sp_node *source, struct sp_node *memo, bool exists) {
    struct sp_ask *ask = w->ask;
    const struct sp_rrset *soa = atomic_load_explicit(&w->zone->soa, memory_order_acquire);
    uint16_t types[SP_NODE_TYPES_MAX + 3];
    size_t n = denial_types(source, exists, types);
    uint8_t data[2 + SP_NAME_MAX + 34 * (SP_NODE_TYPES_MAX + 3)];
    struct sp_name name = {.len = owner.len};
    memcpy(name.wire, owner.wire, owner.len);
    for (const uint8_t *p = owner.wire; *p != 0; p += *p + 1)
        name.labels++;
    struct sp_wr wr = sp_wr_init(data + 2, sizeof data - 2);
    if (sp_nsec_compact(&name, types, n, &wr) != SP_OK)
        return SP_RESOLVED_FAIL;
    size_t len = sp_wr_len(&wr), next = 0;
    sp_put_u16(data, (uint16_t)len);
    while (data[2 + next] != 0)
        next += data[2 + next] + 1u;
    next++;
    struct sp_rrs rrs = {SP_TYPE_NSEC, SP_CLASS_IN, denial_ttl(soa), 1, data, len + 2};
    const struct sp_rrsig *sig = NULL;
    enum sp_sign_result signing =
        ask->want_do ? sp_ask_sign(ask, w->zone, owner.wire, owner.len, &rrs, memo == NULL ? NULL : &memo->nsec,
                                   data + 2 + next, memo == NULL ? 0 : len - next, &sig)
                     : SP_SIGN_OK;
    if (signing != SP_SIGN_OK)
        return signing == SP_SIGN_BUDGET ? SP_RESOLVED_BUDGET : SP_RESOLVED_FAIL;
    struct sp_reply_mark mark = sp_reply_mark(&ask->reply);
    bool bare = section == SP_SECTION_ANSWER && ask->qtype == SP_TYPE_RRSIG; /* only the signature was asked for */
    if (!bare && !sp_reply_rr(&ask->reply, section, owner, SP_TYPE_NSEC, rrs.ttl, data + 2, len))
        return SP_RESOLVED_TC;
    if (sig != NULL && !sp_reply_rr(&ask->reply, section, owner, SP_TYPE_RRSIG, rrs.ttl, sig->rdata, sig->len)) {
        sp_reply_rewind(&ask->reply, &mark);
        return SP_RESOLVED_TC;
    }
    return SP_RESOLVED;
}

static enum sp_resolved denial_soa(struct sp_walk *w) {
    const struct sp_rrset *soa = atomic_load_explicit(&w->zone->soa, memory_order_acquire);
    unsigned skip = (unsigned)(w->key->labels - w->zone->name.labels);
    struct sp_place apex = sp_reply_above(&w->ask->reply, w->name, skip);
    return sp_walk_put(w, SP_SECTION_AUTHORITY, apex, soa, denial_ttl(soa), false, NULL, 0);
}

enum sp_resolved sp_walk_nodata(struct sp_walk *w, const struct sp_node *source, struct sp_node *memo) {
    enum sp_resolved res = denial_soa(w);
    if (res != SP_RESOLVED || !w->ask->want_do || w->zone->key == NULL)
        return res;
    return sp_walk_nsec(w, SP_SECTION_AUTHORITY, w->name, source, memo, true);
}

enum sp_resolved sp_walk_nxdomain(struct sp_walk *w) {
    struct sp_ask *ask = w->ask;
    bool compact = ask->want_do && w->zone->key != NULL;
    /* RFC 9824 5.1: who sets CO reads the denial from the types, and wants the rcode back. */
    if (!compact || (ask->edns_flags & SP_EDNS_CO) != 0)
        ask->reply.rcode = SP_RCODE_NXDOMAIN;
    /* NSEC or its RRSIG asked for by name is what we would send anyway; said as an answer, it does not deny itself. */
    bool itself = ask->qtype == SP_TYPE_NSEC || ask->qtype == SP_TYPE_RRSIG;
    if (compact && itself && ask->reply.rcode == SP_RCODE_NOERROR)
        return sp_walk_nsec(w, SP_SECTION_ANSWER, w->name, NULL, NULL, false);
    enum sp_resolved res = denial_soa(w);
    if (res != SP_RESOLVED || !compact)
        return res;
    return sp_walk_nsec(w, SP_SECTION_AUTHORITY, w->name, NULL, NULL, false);
}
