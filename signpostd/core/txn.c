/* Transactions: which RRsets changed, what they were, and how to go back. */
#include "signpostd/core/txn.h"

sp_err sp_txn_begin(struct sp_txn **ret, struct sp_zone *z) {
    struct sp_txn *t = sp_mem_alloc(z->zones->mem, sizeof *t);
    if (t == NULL)
        return SP_ERR_FULL;
    t->zone = z;
    t->limit = SP_TXN_CHANGES_MAX;
    *ret = t;
    return SP_OK;
}

void sp_txn_unlimited(struct sp_txn *t) {
    t->limit = UINT32_MAX / 4;
}

/* ---- the list of changes ---- */

static uint32_t *index_slot(const struct sp_txn *t, const struct sp_node *n, uint16_t type) {
    uint32_t mask = t->index_size - 1;
    uint32_t i = (uint32_t)(n->link.hash >> 32 ^ type * 0x9e3779b1u) & mask;
    for (;; i = (i + 1) & mask) {
        const struct sp_change *c = t->index[i] == 0 ? NULL : &t->changes[t->index[i] - 1];
        if (c == NULL || (c->node == n && c->type == type))
            return &t->index[i];
    }
}

struct sp_change *sp_txn_find(const struct sp_txn *t, const struct sp_node *n, uint16_t type) {
    if (t->index_size == 0)
        return NULL;
    uint32_t *slot = index_slot(t, n, type);
    return *slot == 0 ? NULL : &t->changes[*slot - 1];
}

/* A zeroed array of new_count elements with the old ones in front, or NULL. */
static void *grown(struct sp_mem *mem, void *old, size_t size, size_t count, size_t new_count) {
    void *p = sp_mem_alloc(mem, size * new_count);
    if (p != NULL && count != 0) {
        memcpy(p, old, size * count);
        sp_mem_free(mem, old, size * count);
    }
    return p;
}

/* Room for one change more and what it may replace, so that nothing fails after the zone was touched. */
static sp_err txn_reserve(struct sp_txn *t) {
    struct sp_mem *mem = t->zone->zones->mem;
    if (t->count >= t->limit)
        return SP_ERR_FULL;
    if (t->trash_cap - t->trash_count < 2) {
        uint32_t cap = t->trash_cap == 0 ? 8 : t->trash_cap * 2;
        void *p = grown(mem, t->trash, sizeof *t->trash, t->trash_cap, cap);
        if (p == NULL)
            return SP_ERR_FULL;
        t->trash = p;
        t->trash_cap = cap;
    }
    if (t->count < t->cap)
        return SP_OK;
    uint32_t cap = t->cap == 0 ? 8 : t->cap * 2;
    uint32_t *index = sp_mem_alloc(mem, sizeof *index * cap * 2);
    struct sp_change *changes = index == NULL ? NULL : grown(mem, t->changes, sizeof *changes, t->cap, cap);
    if (changes == NULL) {
        sp_mem_free(mem, index, sizeof *index * cap * 2);
        return SP_ERR_FULL;
    }
    sp_mem_free(mem, t->index, sizeof *t->index * t->index_size);
    t->changes = changes;
    t->cap = cap;
    t->index = index;
    t->index_size = cap * 2;
    for (uint32_t i = 0; i < t->count; i++)
        *index_slot(t, changes[i].node, changes[i].type) = i + 1;
    return SP_OK;
}

static void txn_record(struct sp_txn *t, struct sp_node *n, uint16_t type, struct sp_rrset *before,
                       struct sp_rrset *after) {
    uint32_t *slot = index_slot(t, n, type);
    if (*slot != 0) {
        struct sp_change *c = &t->changes[*slot - 1];
        if (c->after != NULL)
            t->trash[t->trash_count++] = (struct sp_trash){.set = c->after};
        c->after = after;
        return;
    }
    t->changes[t->count] = (struct sp_change){n, before, after, type};
    *slot = ++t->count;
    sp_node_pin(n);
}

sp_err sp_txn_set(struct sp_txn *t, const struct sp_name_key *q, uint16_t type, struct sp_rrset *set) {
    struct sp_zones *zs = t->zone->zones;
    struct sp_node *n = sp_zone_find(t->zone, q, q->labels, true);
    struct sp_rrset *before = n == NULL ? NULL : sp_node_find(n, type);
    if (before == NULL && set == NULL)
        return SP_OK;
    struct sp_sets *old_sets = NULL;
    sp_err err = before == NULL && n != NULL && n->nsets >= SP_NODE_TYPES_MAX ? SP_ERR_FULL : txn_reserve(t);
    if (err == SP_OK && n == NULL)
        err = sp_node_make(t->zone, q, &n);
    if (err == SP_OK) {
        err = sp_node_store(n, type, set, &old_sets);
        if (err != SP_OK)
            sp_node_unpin(n, false);
    }
    if (err != SP_OK) {
        sp_rrset_release(zs, set);
        return err;
    }
    if (old_sets != NULL)
        t->trash[t->trash_count++] = (struct sp_trash){.sets = old_sets};
    txn_record(t, n, type, before, set);
    return SP_OK;
}

size_t sp_txn_changes(const struct sp_txn *t) {
    return t->count;
}

void sp_txn_change(const struct sp_txn *t, size_t i, struct sp_name *owner, uint16_t *type,
                   const struct sp_rrset **after) {
    SP_ASSERT(i < t->count);
    const struct sp_change *c = &t->changes[i];
    sp_node_name(c->node, owner);
    *type = c->type;
    *after = c->after;
}

const struct sp_rrset *sp_txn_before(const struct sp_txn *t, size_t i) {
    SP_ASSERT(i < t->count);
    return t->changes[i].before;
}

/* ---- the end ---- */

static void txn_free(struct sp_txn *t) {
    struct sp_zones *zs = t->zone->zones;
    for (uint32_t i = 0; i < t->trash_count; i++) {
        sp_rrset_release(zs, t->trash[i].set);
        if (t->trash[i].sets != NULL)
            sp_zones_release(zs, t->trash[i].sets, sp_sets_size(t->trash[i].sets));
    }
    for (uint32_t i = 0; i < t->count; i++)
        sp_node_unpin(t->changes[i].node, true);
    sp_mem_free(zs->mem, t->trash, sizeof *t->trash * t->trash_cap);
    sp_mem_free(zs->mem, t->changes, sizeof *t->changes * t->cap);
    sp_mem_free(zs->mem, t->index, sizeof *t->index * t->index_size);
    sp_mem_free(zs->mem, t, sizeof *t);
}

void sp_txn_retire(struct sp_txn *t) {
    for (uint32_t i = 0; i < t->count; i++)
        sp_rrset_release(t->zone->zones, t->changes[i].before);
    txn_free(t);
}

static void change_undo(struct sp_change *c) {
    struct sp_sets *none;
    sp_err err = sp_node_store(c->node, c->type, c->before, &none);
    SP_ASSERT(err == SP_OK && none == NULL);
}

/* First what is there now is replaced or taken away, then what is gone comes back: a node's array never shrank while
 * the transaction was open, so that each step finds its slot and no memory is needed. */
void sp_txn_undo(struct sp_txn *t) {
    for (uint32_t i = 0; i < t->count; i++)
        if (t->changes[i].after != NULL)
            change_undo(&t->changes[i]);
    for (uint32_t i = 0; i < t->count; i++)
        if (t->changes[i].after == NULL)
            change_undo(&t->changes[i]);
    for (uint32_t i = 0; i < t->count; i++)
        sp_rrset_release(t->zone->zones, t->changes[i].after);
    txn_free(t);
}
