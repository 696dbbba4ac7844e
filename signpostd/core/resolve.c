/* Finding the answer in a zone. RFC 1034 4.3.2, 4592 (wildcards), 6672 (DNAME), 8482 (ANY). */
#include "signpostd/core/ask.h"

#define STEPS_MAX 16 /* CNAME and DNAME steps in one reply */

/* What stands at a name, or on the way to it. */
struct match {
    struct sp_node *node;     /* the name itself, or NULL */
    struct sp_node *encloser; /* the closest name that exists, when node is NULL */
    struct sp_node *stop;     /* the topmost delegation at or above, or DNAME above the name; NULL */
};

static bool stops(const struct sp_node *n, bool exact) {
    return (n->flags & SP_NODE_CUT) != 0 || ((n->flags & SP_NODE_DNAME) != 0 && !exact);
}

static struct match zone_match(const struct sp_zone *z, const struct sp_name_key *q) {
    struct match m = {.node = sp_zone_find(z, q, q->labels, false)};
    bool plain = z->cuts == 0 && z->dnames == 0;
    if (m.node != NULL) {
        for (struct sp_node *n = m.node; !plain && n != NULL; n = n->parent)
            if (stops(n, n == m.node))
                m.stop = n;
        return m;
    }
    struct sp_node *n = z->apex;
    for (unsigned k = z->name.labels + 1u; n != NULL; k++) {
        m.encloser = n;
        if (stops(n, false)) {
            m.stop = n;
            break;
        }
        n = k < q->labels ? sp_zone_find(z, q, k, false) : NULL;
    }
    return m;
}

/* ---- records with signatures ---- */

static enum sp_resolved from_sign(enum sp_sign_result r) {
    return r == SP_SIGN_OK ? SP_RESOLVED : r == SP_SIGN_BUDGET ? SP_RESOLVED_BUDGET : SP_RESOLVED_FAIL;
}

enum sp_resolved sp_walk_put(struct sp_walk *w, enum sp_section section, struct sp_place owner,
                             const struct sp_rrset *set, uint32_t ttl, bool synthesised, struct sp_place *places,
                             size_t cap) {
    struct sp_ask *ask = w->ask;
    struct sp_reply *r = &ask->reply;
    struct sp_reply_mark mark = sp_reply_mark(r);
    if (!sp_reply_rrset(r, section, owner, set, ttl, places, cap))
        return SP_RESOLVED_TC;
    if (!ask->want_do || w->zone->key == NULL)
        return SP_RESOLVED;
    struct sp_rrs rrs = sp_rrset_view(set);
    const struct sp_rrsig *sig;
    _Atomic(struct sp_rrsig *) *memo = synthesised ? NULL : &((struct sp_rrset *)set)->sig;
    enum sp_resolved res = from_sign(sp_ask_sign(ask, w->zone, owner.wire, owner.len, &rrs, memo, NULL, 0, &sig));
    if (res == SP_RESOLVED && !sp_reply_rr(r, section, owner, SP_TYPE_RRSIG, ttl, sig->rdata, sig->len))
        res = SP_RESOLVED_TC;
    if (res != SP_RESOLVED)
        sp_reply_rewind(r, &mark);
    return res;
}

/* ---- the cases ---- */

/* RFC 8482 4.1: one RRset stands for all; the smallest, an alias before others. */
static const struct sp_rrset *any_choice(const struct sp_node *n) {
    const struct sp_rrset *best = NULL;
    uint32_t index = 0;
    for (const struct sp_rrset *s; (s = sp_node_at(n, &index)) != NULL;) {
        if (s->type == SP_TYPE_CNAME)
            return s;
        if (best == NULL || s->len < best->len || (s->len == best->len && s->type < best->type))
            best = s;
    }
    return best;
}

/* RRSIG asked for by itself: the signature of one RRset, as for ANY. */
static enum sp_resolved answer_rrsig(struct sp_walk *w, const struct sp_node *n, bool synthesised) {
    const struct sp_rrset *set = any_choice(n);
    if (set == NULL && w->zone->key != NULL && w->ask->want_do)
        return sp_walk_nsec(w, SP_SECTION_ANSWER, w->name, n, (struct sp_node *)n, true);
    if (set == NULL || w->zone->key == NULL)
        return sp_walk_nodata(w, n, synthesised ? NULL : (struct sp_node *)n);
    struct sp_rrs rrs = sp_rrset_view(set);
    const struct sp_rrsig *sig;
    _Atomic(struct sp_rrsig *) *memo = synthesised ? NULL : &((struct sp_rrset *)set)->sig;
    enum sp_resolved res =
        from_sign(sp_ask_sign(w->ask, w->zone, w->name.wire, w->name.len, &rrs, memo, NULL, 0, &sig));
    if (res != SP_RESOLVED)
        return res;
    bool fits = sp_reply_rr(&w->ask->reply, SP_SECTION_ANSWER, w->name, SP_TYPE_RRSIG, set->ttl, sig->rdata, sig->len);
    return fits ? SP_RESOLVED : SP_RESOLVED_TC;
}

static bool has_targets(uint16_t type) {
    return type == SP_TYPE_NS || type == SP_TYPE_MX || type == SP_TYPE_SRV || type == SP_TYPE_SVCB ||
           type == SP_TYPE_HTTPS;
}

static enum sp_resolved answer_set(struct sp_walk *w, const struct sp_rrset *set, bool synthesised) {
    if (!has_targets(set->type))
        return sp_walk_put(w, SP_SECTION_ANSWER, w->name, set, set->ttl, synthesised, NULL, 0);
    struct sp_place places[13] = {0};
    enum sp_resolved res = sp_walk_put(w, SP_SECTION_ANSWER, w->name, set, set->ttl, synthesised, places, 13);
    if (res == SP_RESOLVED)
        sp_walk_additional(w, set, places, 13);
    return res;
}

/* The name exists, or a wildcard stands for it (synthesised). */
static enum sp_resolved answer_node(struct sp_walk *w, struct sp_node *n, bool synthesised) {
    uint16_t type = w->ask->qtype;
    const struct sp_rrset *set = sp_node_find(n, type);
    if (set != NULL)
        return answer_set(w, set, synthesised);
    struct sp_node *memo = synthesised ? NULL : n;
    if (type == SP_TYPE_ANY && (set = any_choice(n)) != NULL)
        return answer_set(w, set, synthesised);
    if (type == SP_TYPE_RRSIG)
        return answer_rrsig(w, n, synthesised);
    if (type == SP_TYPE_NSEC && w->zone->key != NULL)
        return sp_walk_nsec(w, SP_SECTION_ANSWER, w->name, n, memo, true);
    return sp_walk_nodata(w, n, memo);
}

/* ---- aliases ---- */

/* Goes on at the target. False: it lies outside this zone, or in one of ours below it. */
static bool walk_to(struct sp_walk *w, struct sp_name_key *room, const uint8_t *target, size_t len,
                    struct sp_place place) {
    const struct sp_zones *zs = w->zone->zones;
    sp_name_key_wire(room, target, len, zs->hash_key);
    w->key = room;
    w->name = (struct sp_place){room->wire, place.at, (uint8_t)len};
    return sp_zones_find(zs, room, room->labels) == w->zone;
}

static enum sp_resolved step_cname(struct sp_walk *w, const struct sp_rrset *cname, bool synthesised,
                                   struct sp_name_key *room, bool *more) {
    struct sp_place place;
    enum sp_resolved res = sp_walk_put(w, SP_SECTION_ANSWER, w->name, cname, cname->ttl, synthesised, &place, 1);
    if (res == SP_RESOLVED)
        *more = walk_to(w, room, cname->data + 2, sp_get_u16(cname->data), place);
    return res;
}

/* RFC 6672 3.1: the DNAME, and a CNAME made from it with its TTL, unsigned. */
static enum sp_resolved step_dname(struct sp_walk *w, const struct sp_node *n, struct sp_name_key *room, bool *more) {
    const struct sp_rrset *dname = sp_node_find(n, SP_TYPE_DNAME);
    unsigned skip = (unsigned)(w->key->labels - n->labels);
    struct sp_place owner = sp_reply_above(&w->ask->reply, w->name, skip), place;
    enum sp_resolved res = w->dname == n ? SP_RESOLVED /* said before: it leads below itself */
                                         : sp_walk_put(w, SP_SECTION_ANSWER, owner, dname, dname->ttl, false, NULL, 0);
    w->dname = n;
    if (res != SP_RESOLVED)
        return res;
    size_t front = (size_t)(w->key->len - n->len), target = sp_get_u16(dname->data);
    if (front + target > SP_NAME_MAX) {
        w->ask->reply.rcode = SP_RCODE_YXDOMAIN;
        return SP_RESOLVED;
    }
    _Alignas(struct sp_rrset) uint8_t room_for_set[sizeof(struct sp_rrset) + 2 + SP_NAME_MAX];
    struct sp_rrset *cname = (void *)room_for_set;
    *cname =
        (struct sp_rrset){.ttl = dname->ttl, .len = (uint32_t)(2 + front + target), .type = SP_TYPE_CNAME, .count = 1};
    uint8_t *data = cname->data;
    sp_put_u16(data, (uint16_t)(front + target));
    memcpy(data + 2, w->key->wire, front);
    memcpy(data + 2 + front, dname->data + 2, target);
    if (!sp_reply_rrset(&w->ask->reply, SP_SECTION_ANSWER, w->name, cname, dname->ttl, &place, 1))
        return SP_RESOLVED_TC;
    w->ask->reply.last.at = 0; /* it speaks of bytes on our stack */
    *more = walk_to(w, room, data + 2, front + target, place);
    return SP_RESOLVED;
}

/* ---- the walk ---- */

static bool is_alias_for(const struct sp_node *n, uint16_t qtype) {
    return (n->flags & SP_NODE_CNAME) != 0 && qtype != SP_TYPE_CNAME && qtype != SP_TYPE_ANY && qtype != SP_TYPE_NSEC &&
           qtype != SP_TYPE_RRSIG && sp_node_find(n, qtype) == NULL;
}

/* One name; *more when an alias leads on to another. */
static enum sp_resolved walk_step(struct sp_walk *w, struct sp_name_key *room, bool *more) {
    struct match m = zone_match(w->zone, w->key);
    uint16_t qtype = w->ask->qtype;
    if (m.stop != NULL && (m.stop->flags & SP_NODE_CUT) != 0) {
        /* RFC 4035 3.1.4.1: the DS of a cut is the parent's. */
        if (qtype != SP_TYPE_DS || m.stop != m.node)
            return sp_walk_referral(w, m.stop);
        w->ask->reply.flags |= SP_FLAG_AA;
        const struct sp_rrset *ds = sp_node_find(m.node, SP_TYPE_DS);
        return ds != NULL ? answer_set(w, ds, false) : sp_walk_nodata(w, m.node, m.node);
    }
    w->ask->reply.flags |= SP_FLAG_AA;
    if (m.stop != NULL)
        return step_dname(w, m.stop, room, more);
    bool synthesised = m.node == NULL;
    struct sp_node *n = m.node;
    if (synthesised && (m.encloser->flags & SP_NODE_WILDCARD) != 0)
        n = (struct sp_node *)sp_node_wildcard(m.encloser);
    if (n == NULL)
        return sp_walk_nxdomain(w);
    if (is_alias_for(n, qtype))
        return step_cname(w, sp_node_find(n, SP_TYPE_CNAME), synthesised, room, more);
    return answer_node(w, n, synthesised);
}

static bool seen_before(const uint64_t *seen, unsigned n, uint64_t hash) {
    while (n-- > 0)
        if (seen[n] == hash)
            return true;
    return false;
}

static enum sp_resolved walk_aliases(struct sp_walk *w) {
    struct sp_name_key rooms[2]; /* the name we stand on, and the next */
    uint64_t seen[STEPS_MAX];
    enum sp_resolved res = SP_RESOLVED;
    for (unsigned step = 0; step < STEPS_MAX; step++) {
        bool more = false;
        seen[step] = w->key->hash[w->key->labels];
        res = walk_step(w, &rooms[step % 2], &more);
        if (!more || res != SP_RESOLVED || seen_before(seen, step + 1, w->key->hash[w->key->labels]))
            break;
    }
    return res;
}

enum sp_resolved sp_ask_resolve(struct sp_ask *ask, const struct sp_zone *z) {
    struct sp_walk w = {ask, z, &ask->key, {ask->key.wire, SP_MSG_HEADER, ask->key.len}, NULL};
    return walk_aliases(&w);
}
