/* Single records in and out of RRsets: RFC 2136 3.4.2. */
#include "signpostd/core/txn.h"

/* ---- an RRset with a record more or less ---- */

/* Where rdata stands, or belongs, in set->data. */
static size_t rrset_place(const struct sp_rrset *set, const uint8_t *rdata, size_t len, bool *found) {
    *found = false;
    size_t at = 0;
    while (set != NULL && at < set->len) {
        size_t have = sp_get_u16(set->data + at);
        int order = sp_rdata_cmp(set->data + at + 2, have, rdata, len);
        *found = order == 0;
        if (order >= 0)
            break;
        at += 2 + have;
    }
    return at;
}

static struct sp_rrset *rrset_alloc(struct sp_zones *zs, uint16_t type, uint32_t ttl, size_t count, size_t len) {
    struct sp_rrset *set = sp_mem_alloc(zs->mem, sizeof *set + len);
    if (set == NULL)
        return NULL;
    set->type = type;
    set->ttl = ttl;
    set->count = (uint16_t)count;
    set->len = (uint32_t)len;
    return set;
}

static sp_err rrset_copy(struct sp_zones *zs, const struct sp_rrset *old, uint32_t ttl, struct sp_rrset **ret) {
    *ret = NULL;
    if (old->ttl == ttl)
        return SP_OK;
    *ret = rrset_alloc(zs, old->type, ttl, old->count, old->len);
    if (*ret == NULL)
        return SP_ERR_FULL;
    memcpy((*ret)->data, old->data, old->len);
    return SP_OK;
}

sp_err sp_rrset_with(struct sp_zones *zs, const struct sp_name *owner, const struct sp_rrset *old, uint16_t type,
                     uint32_t ttl, enum sp_ttl_rule rule, const uint8_t *rdata, size_t len, struct sp_rrset **ret) {
    size_t old_len = old == NULL ? 0 : old->len, count = old == NULL ? 0 : old->count;
    if (old != NULL && rule == SP_TTL_SMALLEST && old->ttl < ttl)
        ttl = old->ttl;
    struct sp_rrs size = {.count = (uint16_t)(count + 1), .len = old_len + 2 + len};
    if (len > SP_RDATA_MAX || count == UINT16_MAX || !sp_rrset_fits(owner, &size))
        return SP_ERR_RANGE;
    SP_TRY(sp_rdata_check(type, rdata, len));
    /* The record is made canonical where the new RRset will have its last one, then turned into its place. */
    struct sp_rrset *set = rrset_alloc(zs, type, ttl, count + 1, old_len + 2 + len);
    if (set == NULL)
        return SP_ERR_FULL;
    uint8_t *fresh = set->data + old_len;
    sp_put_u16(fresh, (uint16_t)len);
    memcpy(fresh + 2, rdata, len);
    sp_rdata_canonical(type, fresh + 2, len);
    bool found;
    size_t at = rrset_place(old, fresh + 2, len, &found);
    if (found) {
        sp_mem_free(zs->mem, set, sizeof *set + set->len);
        return rrset_copy(zs, old, ttl, ret);
    }
    if (old != NULL) {
        memmove(set->data + at, fresh, 2 + len); /* forward, over bytes not yet filled */
        memcpy(set->data, old->data, at);
        memcpy(set->data + at + 2 + len, old->data + at, old_len - at);
    }
    *ret = set;
    return SP_OK;
}

static sp_err rrset_without(struct sp_zones *zs, const struct sp_rrset *old, size_t at, size_t len,
                            struct sp_rrset **ret) {
    *ret = NULL;
    if (old->count == 1)
        return SP_OK;
    struct sp_rrset *set = rrset_alloc(zs, old->type, old->ttl, old->count - 1u, old->len - 2 - len);
    if (set == NULL)
        return SP_ERR_FULL;
    memcpy(set->data, old->data, at);
    memcpy(set->data + at, old->data + at + 2 + len, set->len - at);
    *ret = set;
    return SP_OK;
}

/* ---- the operations ---- */

static sp_err txn_owner(const struct sp_txn *t, const struct sp_name *owner, uint16_t type, struct sp_name_key *q) {
    if (!sp_name_under(owner, &t->zone->name))
        return SP_ERR_RANGE;
    if (sp_zone_makes(t->zone, owner, type))
        return SP_ERR_DENIED;
    sp_name_key_init(q, owner, t->zone->zones->hash_key);
    return SP_OK;
}

sp_err sp_txn_put(struct sp_txn *t, const struct sp_name *owner, const struct sp_rrs *rrs) {
    struct sp_name_key q;
    SP_TRY(txn_owner(t, owner, rrs->type, &q));
    struct sp_rrset *set = NULL;
    if (rrs->count != 0)
        SP_TRY(sp_rrset_make(t->zone->zones, owner, rrs, &set));
    return sp_txn_set(t, &q, rrs->type, set);
}

/* RFC 2136 3.4.2.2; KEY may stand beside CNAME by RFC 4035 2.5. */
static bool add_passes(const struct sp_node *n, bool apex, uint16_t type, const uint8_t *rdata, size_t len) {
    const struct sp_rrset *soa = n == NULL ? NULL : sp_node_find(n, SP_TYPE_SOA);
    if (type == SP_TYPE_SOA)
        return apex && soa != NULL && len >= 22 &&
               (int32_t)(sp_get_u32(rdata + len - 20) - sp_get_u32(soa->data + soa->len - 20)) > 0;
    if (n == NULL || type == SP_TYPE_KEY)
        return true;
    if (type != SP_TYPE_CNAME)
        return (n->flags & SP_NODE_CNAME) == 0;
    uint32_t index = 0;
    for (const struct sp_rrset *s; (s = sp_node_at(n, &index)) != NULL;)
        if (s->type != SP_TYPE_CNAME && s->type != SP_TYPE_KEY)
            return false;
    return true;
}

sp_err sp_txn_add_rr(struct sp_txn *t, const struct sp_name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
                     size_t len, bool *changed) {
    struct sp_name_key q;
    *changed = false;
    SP_TRY(txn_owner(t, owner, type, &q));
    const struct sp_node *n = sp_zone_find(t->zone, &q, q.labels, true);
    if (!add_passes(n, q.labels == t->zone->name.labels, type, rdata, len))
        return SP_OK;
    const struct sp_rrset *old = n == NULL ? NULL : sp_node_find(n, type);
    bool single = type == SP_TYPE_CNAME || type == SP_TYPE_DNAME || type == SP_TYPE_SOA;
    struct sp_rrset *set;
    SP_TRY(sp_rrset_with(t->zone->zones, owner, single ? NULL : old, type, ttl, SP_TTL_NEW, rdata, len, &set));
    if (set == NULL)
        return SP_OK;
    if (old != NULL && old->ttl == set->ttl && old->len == set->len && memcmp(old->data, set->data, set->len) == 0) {
        sp_rrset_release(t->zone->zones, set);
        return SP_OK;
    }
    SP_TRY(sp_txn_set(t, &q, type, set));
    *changed = true;
    return SP_OK;
}

/* The apex keeps its SOA and its last NS: RFC 2136 3.4.2.3, 3.4.2.4. */
static bool del_passes(const struct sp_txn *t, const struct sp_name_key *q, const struct sp_rrset *old, bool whole) {
    if (old == NULL)
        return false;
    if (q->labels != t->zone->name.labels)
        return true;
    return old->type != SP_TYPE_SOA && (old->type != SP_TYPE_NS || (!whole && old->count > 1));
}

sp_err sp_txn_del_rr(struct sp_txn *t, const struct sp_name *owner, uint16_t type, const uint8_t *rdata, size_t len,
                     bool *changed) {
    struct sp_name_key q;
    *changed = false;
    SP_TRY(txn_owner(t, owner, type, &q));
    const struct sp_node *n = sp_zone_find(t->zone, &q, q.labels, true);
    const struct sp_rrset *old = n == NULL ? NULL : sp_node_find(n, type);
    if (!del_passes(t, &q, old, false))
        return SP_OK;
    struct sp_rrset *one; /* the record in canonical form */
    struct sp_zones *zs = t->zone->zones;
    SP_TRY(sp_rrset_with(zs, owner, NULL, type, 0, SP_TTL_NEW, rdata, len, &one));
    bool found;
    size_t at = rrset_place(old, one->data + 2, len, &found);
    sp_rrset_release(zs, one);
    if (!found)
        return SP_OK;
    struct sp_rrset *set;
    SP_TRY(rrset_without(zs, old, at, len, &set));
    SP_TRY(sp_txn_set(t, &q, type, set));
    *changed = true;
    return SP_OK;
}

sp_err sp_txn_del_rrset(struct sp_txn *t, const struct sp_name *owner, uint16_t type, bool *changed) {
    struct sp_name_key q;
    *changed = false;
    SP_TRY(txn_owner(t, owner, type, &q));
    const struct sp_node *n = sp_zone_find(t->zone, &q, q.labels, true);
    if (!del_passes(t, &q, n == NULL ? NULL : sp_node_find(n, type), true))
        return SP_OK;
    SP_TRY(sp_txn_set(t, &q, type, NULL));
    *changed = true;
    return SP_OK;
}
