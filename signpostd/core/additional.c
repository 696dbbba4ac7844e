/* Records beyond the answer: delegations with their glue, and addresses of targets. RFC 1034 4.2.1, 4035 3.1.4, 9471,
 * 9460 4.1. */
#include "signpostd/core/ask.h"

#define TARGETS_MAX 13

/* The target name of one rdata; its length 0: none of interest. */
static struct sp_place target_of(uint16_t type, const uint8_t *rdata, size_t len) {
    size_t at = type == SP_TYPE_SRV ? 6 : type == SP_TYPE_NS ? 0 : 2;
    struct sp_place place = {rdata + at, 0, 0};
    if (at >= len || rdata[at] == 0)
        return place;
    size_t end = at;
    while (rdata[end] != 0)
        end += rdata[end] + 1u;
    place.len = (uint8_t)(end + 1 - at);
    return place;
}

static bool below_cut(const struct sp_zone *z, const struct sp_node *n) {
    for (; z->cuts != 0 && n != NULL; n = n->parent)
        if ((n->flags & SP_NODE_CUT) != 0)
            return true;
    return false;
}

static const struct sp_node *find_target(const struct sp_zone *z, struct sp_place target) {
    struct sp_name_key q;
    sp_name_key_wire(&q, target.wire, target.len, z->zones->hash_key);
    if (q.labels < z->name.labels || memcmp(q.wire + q.off[q.labels - z->name.labels], z->name.wire, z->name.len) != 0)
        return NULL;
    return sp_zone_find(z, &q, q.labels, false);
}

void sp_walk_additional(struct sp_walk *w, const struct sp_rrset *set, const struct sp_place *places, size_t n) {
    const uint8_t *data = set->data, *end = data + set->len;
    for (size_t i = 0; data < end && i < n; i++) {
        size_t len = sp_get_u16(data);
        struct sp_place target = target_of(set->type, data + 2, len);
        data += 2 + len;
        const struct sp_node *node = target.len == 0 ? NULL : find_target(w->zone, target);
        if (node == NULL || below_cut(w->zone, node))
            continue;
        target.at = set->type == SP_TYPE_NS || set->type == SP_TYPE_MX ? places[i].at : 0;
        const uint16_t types[3] = {SP_TYPE_A, SP_TYPE_AAAA, set->type};
        for (unsigned t = 0; t < (set->type >= SP_TYPE_SVCB ? 3 : 2); t++) {
            const struct sp_rrset *extra = sp_node_find(node, types[t]);
            if (extra != NULL &&
                sp_walk_put(w, SP_SECTION_ADDITIONAL, target, extra, extra->ttl, false, NULL, 0) != SP_RESOLVED)
                return; /* a courtesy; the answer stands without it */
        }
    }
}

/* RFC 9471 2.1: glue for name servers below the cut is part of the referral. */
static enum sp_resolved put_glue(struct sp_walk *w, const struct sp_node *cut, const struct sp_rrset *ns,
                                 const struct sp_place *places) {
    const uint8_t *data = ns->data, *end = data + ns->len;
    for (size_t i = 0; data < end && i < TARGETS_MAX; i++) {
        size_t len = sp_get_u16(data);
        struct sp_place target = {data + 2, places[i].at, (uint8_t)len};
        data += 2 + len;
        const struct sp_node *node = find_target(w->zone, target);
        bool needed = len >= cut->len && memcmp(target.wire + len - cut->len, cut->wire, cut->len) == 0;
        static const uint16_t types[2] = {SP_TYPE_A, SP_TYPE_AAAA};
        for (unsigned t = 0; node != NULL && t < 2; t++) {
            const struct sp_rrset *glue = sp_node_find(node, types[t]);
            if (glue != NULL &&
                !sp_reply_rrset(&w->ask->reply, SP_SECTION_ADDITIONAL, target, glue, glue->ttl, NULL, 0) && needed)
                return SP_RESOLVED_TC;
        }
    }
    return SP_RESOLVED;
}

enum sp_resolved sp_walk_referral(struct sp_walk *w, const struct sp_node *cut) {
    struct sp_reply *r = &w->ask->reply;
    const struct sp_rrset *ns = sp_node_find(cut, SP_TYPE_NS), *ds = sp_node_find(cut, SP_TYPE_DS);
    struct sp_place owner = sp_reply_above(r, w->name, (unsigned)(w->key->labels - cut->labels));
    struct sp_place places[TARGETS_MAX] = {0};
    if (!sp_reply_rrset(r, SP_SECTION_AUTHORITY, owner, ns, ns->ttl, places, TARGETS_MAX))
        return SP_RESOLVED_TC;
    if (w->ask->want_do && w->zone->key != NULL) {
        enum sp_resolved res = ds != NULL
                                   ? sp_walk_put(w, SP_SECTION_AUTHORITY, owner, ds, ds->ttl, false, NULL, 0)
                                   : sp_walk_nsec(w, SP_SECTION_AUTHORITY, owner, cut, (struct sp_node *)cut, true);
        if (res != SP_RESOLVED)
            return res;
    }
    return put_glue(w, cut, ns, places);
}
