/* Nodes: their place in the tree of names, and their RRsets. */
#include "signpostd/core/zone_int.h"

/* ---- RRsets ---- */

struct sp_rrs sp_rrset_view(const struct sp_rrset *set) {
    return (struct sp_rrs){set->type, SP_CLASS_IN, set->ttl, set->count, set->data, set->len};
}

/* What one RRset may weigh: it must fit into a message with its signature, and its canonical form into a worker's
 * scratch (struct sp_scratch), at a wildcard's longest expansion too. */
bool sp_rrset_fits(const struct sp_name *owner, const struct sp_rrs *rrs) {
    size_t name = sp_name_is_wildcard(owner) ? SP_NAME_MAX : owner->len;
    size_t wire = (size_t)rrs->count * 10 + rrs->len;
    size_t canonical = (size_t)rrs->count * (name + 10) + rrs->len;
    return wire <= SP_MSG_MAX - 1024 && canonical <= SP_MSG_MAX + 2048;
}

sp_err sp_rrset_make(struct sp_zones *zs, const struct sp_name *owner, const struct sp_rrs *rrs,
                     struct sp_rrset **ret) {
    if (!sp_rrset_fits(owner, rrs))
        return SP_ERR_RANGE;
    struct sp_rd rd = sp_rd_init(rrs->data, rrs->len);
    const uint8_t *rdata;
    size_t rdata_len, count = 0;
    for (; sp_rrs_next(&rd, &rdata, &rdata_len); count++)
        SP_TRY(sp_rdata_check(rrs->type, rdata, rdata_len));
    if (sp_rd_finish(&rd) != SP_OK || count != rrs->count)
        return SP_ERR_FORM;
    struct sp_rrset *set = sp_mem_alloc(zs->mem, sizeof *set + rrs->len);
    if (set == NULL)
        return SP_ERR_FULL;
    set->ttl = rrs->ttl;
    set->len = (uint32_t)rrs->len;
    set->type = rrs->type;
    set->count = rrs->count;
    memcpy(set->data, rrs->data, rrs->len);
    for (size_t at = 0; at + 2 <= rrs->len;) {
        size_t len = sp_get_u16(set->data + at);
        sp_rdata_canonical(set->type, set->data + at + 2, len);
        at += 2 + len;
    }
    *ret = set;
    return SP_OK;
}

void sp_rrsig_release(struct sp_zones *zs, struct sp_rrsig *sig) {
    if (sig != NULL)
        sp_zones_release(zs, sig, sp_rrsig_size(sig));
}

void sp_rrset_release(struct sp_zones *zs, struct sp_rrset *set) {
    if (set == NULL)
        return;
    sp_rrsig_release(zs, atomic_load_explicit(&set->sig, memory_order_relaxed));
    sp_zones_release(zs, set, sizeof *set + set->len);
}

/* ---- reading ---- */

void sp_node_name(const struct sp_node *n, struct sp_name *ret) {
    ret->len = n->len;
    ret->labels = n->labels;
    memcpy(ret->wire, n->wire, n->len);
}

const struct sp_rrset *sp_node_rrset(const struct sp_node *n, uint16_t type) {
    return sp_node_find(n, type);
}

const struct sp_rrset *sp_node_at(const struct sp_node *n, uint32_t *index) {
    uintptr_t v = atomic_load_explicit(&n->sets, memory_order_acquire);
    if ((v & 1) == 0)
        return (*index)++ == 0 ? (const void *)v : NULL;
    const struct sp_sets *sets = (const void *)(v - 1);
    while (*index < sets->cap) {
        struct sp_rrset *s = atomic_load_explicit(&sets->slot[(*index)++], memory_order_acquire);
        if (s != NULL)
            return s;
    }
    return NULL;
}

size_t sp_node_rrsets(const struct sp_node *n, const struct sp_rrset **ret, size_t cap) {
    size_t count = 0;
    uint32_t index = 0;
    for (const struct sp_rrset *s; (s = sp_node_at(n, &index)) != NULL; count++) {
        if (count >= cap)
            continue;
        size_t i = count;
        for (; i > 0 && ret[i - 1]->type > s->type; i--)
            ret[i] = ret[i - 1];
        ret[i] = s;
    }
    return count;
}

const struct sp_node *sp_node_wildcard(const struct sp_node *encloser) {
    static const uint8_t star[8] = {1, '*'};
    const struct sp_zone *z = encloser->zone;
    uint64_t hash = sp_label_hash(z->zones->hash_key, encloser->link.hash, star);
    for (struct sp_link *l = sp_table_find(&z->nodes, hash); l != NULL; l = sp_table_find_next(l)) {
        const struct sp_node *n = SP_CONTAINER(l, struct sp_node, link);
        if (n->parent == encloser && n->flags & SP_NODE_STAR && sp_node_exists(n))
            return n;
    }
    return NULL;
}

/* ---- the tree ---- */

static sp_err node_new(struct sp_zone *z, const struct sp_name_key *q, unsigned k, struct sp_node *parent,
                       struct sp_node **ret) {
    struct sp_zones *zs = z->zones;
    if (zs->nodes >= zs->limit_names)
        return SP_ERR_FULL;
    size_t len;
    const uint8_t *wire = sp_name_key_suffix(q, k, &len);
    struct sp_node *n = sp_mem_alloc(zs->mem, sizeof *n + len);
    if (n == NULL)
        return SP_ERR_FULL;
    n->zone = z;
    n->parent = parent;
    n->labels = (uint8_t)k;
    n->len = (uint8_t)len;
    memcpy(n->wire, wire, len);
    if (parent != NULL && wire[0] == 1 && wire[1] == '*')
        n->flags = SP_NODE_STAR;
    sp_err err = sp_table_add(&z->nodes, &n->link, q->hash[k]);
    if (err != SP_OK) {
        sp_mem_free(zs->mem, n, sizeof *n + len);
        return err;
    }
    if (parent != NULL)
        parent->refs++;
    zs->nodes++;
    *ret = n;
    return SP_OK;
}

void sp_node_destroy(struct sp_node *n) {
    struct sp_zones *zs = n->zone->zones;
    uint32_t index = 0;
    for (const struct sp_rrset *s; (s = sp_node_at(n, &index)) != NULL;)
        sp_rrset_release(zs, (struct sp_rrset *)s);
    uintptr_t v = atomic_load_explicit(&n->sets, memory_order_relaxed);
    if ((v & 1) != 0) {
        struct sp_sets *sets = (void *)(v - 1);
        sp_zones_release(zs, sets, sp_sets_size(sets));
    }
    sp_rrsig_release(zs, atomic_load_explicit(&n->nsec, memory_order_relaxed));
    zs->nodes--;
    sp_zones_release(zs, n, sizeof *n + n->len);
}

/* Frees leftovers from n upwards. */
static void node_collect(struct sp_node *n) {
    while (n != NULL && n->refs == 0 && !sp_node_exists(n)) {
        struct sp_node *parent = n->parent;
        sp_table_remove(&n->zone->nodes, &n->link);
        sp_node_destroy(n);
        parent->refs--;
        n = parent;
    }
}

sp_err sp_node_make(struct sp_zone *z, const struct sp_name_key *q, struct sp_node **ret) {
    unsigned top = z->name.labels, k = q->labels;
    struct sp_node *n = NULL;
    while (k > top && (n = sp_zone_find(z, q, k, true)) == NULL)
        k--;
    if (n == NULL)
        n = z->apex;
    if (n == NULL)
        return node_new(z, q, top, NULL, ret);
    while (k < q->labels) {
        struct sp_node *below;
        sp_err err = node_new(z, q, k + 1, n, &below);
        if (err != SP_OK) {
            node_collect(n);
            return err;
        }
        n = below;
        k++;
    }
    *ret = n;
    return SP_OK;
}

/* n began or ceased to exist; so may the empty non-terminals above it. */
static void node_exists_changed(struct sp_node *n, bool exists) {
    while (n->parent != NULL) {
        struct sp_node *parent = n->parent;
        bool before = sp_node_exists(parent);
        parent->children += exists ? 1 : -1u;
        if (n->flags & SP_NODE_STAR) {
            parent->flags = (uint8_t)(exists ? parent->flags | SP_NODE_WILDCARD : parent->flags & ~SP_NODE_WILDCARD);
            n->zone->stars += exists ? 1 : -1u;
        }
        if (sp_node_exists(parent) == before)
            return;
        n = parent;
    }
}

void sp_node_pin(struct sp_node *n) {
    n->pins++;
    n->refs++;
}

/* An array with more than twice the room it needs is replaced, or given up for a single RRset. */
static void node_shrink(struct sp_node *n) {
    struct sp_zones *zs = n->zone->zones;
    uintptr_t v = atomic_load_explicit(&n->sets, memory_order_relaxed);
    if ((v & 1) == 0)
        return;
    struct sp_sets *sets = (void *)(v - 1);
    uint32_t index = 0;
    if (n->nsets <= 1) {
        atomic_store_explicit(&n->sets, (uintptr_t)sp_node_at(n, &index), memory_order_release);
        sp_zones_release(zs, sets, sp_sets_size(sets));
    }
}

void sp_node_unpin(struct sp_node *n, bool pinned) {
    if (pinned) {
        n->pins--;
        n->refs--;
    }
    if (n->pins == 0)
        node_shrink(n);
    node_collect(n);
}

/* ---- storing ---- */

/* What a change of type sets touches: counters, flags, the denial made for the old set, existence. */
static void node_account(struct sp_node *n, uint16_t type, bool had, bool has) {
    struct sp_zone *z = n->zone;
    if (had == has)
        return;
    uint32_t step = has ? 1 : -1u;
    uint8_t flag = type == SP_TYPE_CNAME                     ? SP_NODE_CNAME
                   : type == SP_TYPE_DNAME                   ? SP_NODE_DNAME
                   : type == SP_TYPE_NS && n->parent != NULL ? SP_NODE_CUT
                                                             : 0;
    z->cuts += flag == SP_NODE_CUT ? step : 0;
    z->dnames += flag == SP_NODE_DNAME ? step : 0;
    n->flags = (uint8_t)(has ? n->flags | flag : n->flags & ~flag);
    bool before = sp_node_exists(n);
    z->names += (has && n->nsets == 0) ? 1 : 0;
    n->nsets = (uint16_t)(n->nsets + step);
    z->names -= (had && n->nsets == 0) ? 1 : 0;
    sp_rrsig_release(z->zones, atomic_exchange_explicit(&n->nsec, NULL, memory_order_acq_rel));
    if (sp_node_exists(n) != before)
        node_exists_changed(n, !before);
}

/* A bigger array with the RRsets of the node and one more. */
static sp_err node_grow(struct sp_node *n, struct sp_rrset *set, struct sp_sets **old_sets) {
    uintptr_t v = atomic_load_explicit(&n->sets, memory_order_relaxed);
    struct sp_sets *old = (v & 1) != 0 ? (void *)(v - 1) : NULL;
    uint32_t cap = old != NULL ? old->cap * 2 : 3;
    struct sp_sets *sets = sp_mem_alloc(n->zone->zones->mem, sizeof *sets + cap * sizeof sets->slot[0]);
    if (sets == NULL)
        return SP_ERR_FULL;
    sets->cap = cap;
    uint32_t index = 0, used = 0;
    for (const struct sp_rrset *s; (s = sp_node_at(n, &index)) != NULL;)
        atomic_init(&sets->slot[used++], (struct sp_rrset *)s);
    atomic_init(&sets->slot[used], set);
    atomic_store_explicit(&n->sets, (uintptr_t)sets + 1, memory_order_release);
    *old_sets = old;
    return SP_OK;
}

/* The slot of the array that holds `type`, else a free one. */
static _Atomic(struct sp_rrset *) *sets_slot(struct sp_sets *sets, uint16_t type) {
    _Atomic(struct sp_rrset *) *vacant = NULL;
    for (uint32_t i = 0; i < sets->cap; i++) {
        struct sp_rrset *s = atomic_load_explicit(&sets->slot[i], memory_order_relaxed);
        if (s != NULL && s->type == type)
            return &sets->slot[i];
        if (s == NULL && vacant == NULL)
            vacant = &sets->slot[i];
    }
    return vacant;
}

sp_err sp_node_store(struct sp_node *n, uint16_t type, struct sp_rrset *set, struct sp_sets **old_sets) {
    *old_sets = NULL;
    uintptr_t v = atomic_load_explicit(&n->sets, memory_order_relaxed);
    struct sp_rrset *had = sp_node_find(n, type);
    if (had == NULL && set == NULL)
        return SP_OK;
    if (v == 0 || (void *)v == had) {
        atomic_store_explicit(&n->sets, (uintptr_t)set, memory_order_release);
    } else {
        _Atomic(struct sp_rrset *) *slot = (v & 1) != 0 ? sets_slot((void *)(v - 1), type) : NULL;
        if (slot != NULL)
            atomic_store_explicit(slot, set, memory_order_release);
        else
            SP_TRY(node_grow(n, set, old_sets));
    }
    if (type == SP_TYPE_SOA && n->parent == NULL)
        atomic_store_explicit(&n->zone->soa, set, memory_order_release);
    node_account(n, type, had != NULL, set != NULL);
    return SP_OK;
}
