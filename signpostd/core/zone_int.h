/* The zone store's insides, for the files of this room that store and answer. */
#ifndef SP_CORE_ZONE_INT_H
#define SP_CORE_ZONE_INT_H

#include "signpostd/core/name_key.h"
#include "signpostd/core/zone.h"

#define SP_NODE_TYPES_MAX 64 /* RRsets of one name */

enum sp_node_flag {
    SP_NODE_CUT = 1, /* NS below the apex: a delegation */
    SP_NODE_DNAME = 2,
    SP_NODE_CNAME = 4,
    SP_NODE_WILDCARD = 8, /* "*" below it exists */
    SP_NODE_STAR = 16,    /* its own first label is "*" */
};

/* Several RRsets of a node; slots may be NULL. Grows, and shrinks only when no transaction is open on the node. */
struct sp_sets {
    uint32_t cap;
    _Atomic(struct sp_rrset *) slot[];
};

/* A name exists while it has RRsets or living children; else it is a leftover that an open transaction or a child still
 * points to, and lookups pass it over. */
struct sp_node {
    struct sp_link link; /* hash of the whole name */
    struct sp_zone *zone;
    struct sp_node *parent;          /* NULL at the apex */
    _Atomic(uintptr_t) sets;         /* 0, a struct sp_rrset *, or a struct sp_sets * with bit 0 set */
    _Atomic(struct sp_rrsig *) nsec; /* over its compact NSEC; behind the rdata stands the bitmap it was made for */
    uint32_t children;               /* living ones */
    uint32_t refs;                   /* child nodes and open transactions' changes */
    uint32_t pins;                   /* open transactions' changes alone */
    uint16_t nsets;
    uint8_t flags;
    uint8_t labels;
    uint8_t len;
    uint8_t wire[]; /* lower case */
};

struct sp_zone {
    struct sp_link by_apex, by_id;
    struct sp_zones *zones;
    struct sp_table nodes;
    struct sp_node *apex;
    struct sp_zone_key *key;
    _Atomic(struct sp_rrset *) soa;
    size_t names; /* nodes with RRsets */
    uint32_t cuts, dnames, stars;
    uint32_t zones_below; /* other zones of ours inside this one */
    uint32_t id;
    void *user;
    struct sp_name name; /* lower case */
};

struct sp_zones {
    struct sp_mem *mem;
    struct sp_hash_key hash_key;
    struct sp_table by_apex, by_id;
    uint64_t depths[2]; /* bit k: some apex has k labels */
    uint32_t depth_count[128];
    size_t limit_names, nodes;
    uint64_t generation; /* changes when a zone comes or goes */
};

static inline bool sp_node_exists(const struct sp_node *n) {
    return n->nsets != 0 || n->children != 0 || n->parent == NULL;
}

/* The node with the last k labels of q, living or (any) not. */
static inline struct sp_node *sp_zone_find(const struct sp_zone *z, const struct sp_name_key *q, unsigned k, bool any) {
    size_t len;
    const uint8_t *wire = sp_name_key_suffix(q, k, &len);
    for (struct sp_link *l = sp_table_find(&z->nodes, q->hash[k]); l != NULL; l = sp_table_find_next(l)) {
        struct sp_node *n = SP_CONTAINER(l, struct sp_node, link);
        if (n->len == len && memcmp(n->wire, wire, len) == 0 && (any || sp_node_exists(n)))
            return n;
    }
    return NULL;
}
/* "*" below a node that has one. */
const struct sp_node *sp_node_wildcard(const struct sp_node *encloser);
/* The closest zone at or above the last max_labels labels of q. */
struct sp_zone *sp_zones_find(const struct sp_zones *zs, const struct sp_name_key *q, unsigned max_labels);

static inline struct sp_rrset *sp_node_find(const struct sp_node *n, uint16_t type) {
    uintptr_t v = atomic_load_explicit(&n->sets, memory_order_acquire);
    if ((v & 1) == 0) {
        struct sp_rrset *one = (void *)v;
        return one != NULL && one->type == type ? one : NULL;
    }
    const struct sp_sets *sets = (const void *)(v - 1);
    for (uint32_t i = 0; i < sets->cap; i++) {
        struct sp_rrset *s = atomic_load_explicit(&sets->slot[i], memory_order_acquire);
        if (s != NULL && s->type == type)
            return s;
    }
    return NULL;
}

/* ---- changing, the writer alone ---- */

/* The single place where memory that readers may still look at is given back. With worker threads it waits for their
 * epoch. */
void sp_zones_release(struct sp_zones *zs, void *p, size_t size);
void sp_rrset_release(struct sp_zones *zs, struct sp_rrset *set);
void sp_rrsig_release(struct sp_zones *zs, struct sp_rrsig *sig);
static inline size_t sp_rrsig_size(const struct sp_rrsig *sig) {
    return sizeof *sig + sig->len + sig->extra;
}

/* Whether an RRset of rrs' count and length can be answered and signed at owner. */
bool sp_rrset_fits(const struct sp_name *owner, const struct sp_rrs *rrs);
/* A copy of rrs, its rdata made canonical. ERR_FULL; ERR_RANGE when it could not be answered or signed. */
SP_CHECK sp_err sp_rrset_make(struct sp_zones *zs, const struct sp_name *owner, const struct sp_rrs *rrs,
                              struct sp_rrset **ret);
/* The RRset at *index or behind it, which moves past it; NULL at the end. */
const struct sp_rrset *sp_node_at(const struct sp_node *n, uint32_t *index);
/* Frees a node that was taken out of the table, with all it holds. */
void sp_node_destroy(struct sp_node *n);
/* The node of q, made with its parents if need be (not living yet). ERR_FULL. */
SP_CHECK sp_err sp_node_make(struct sp_zone *z, const struct sp_name_key *q, struct sp_node **ret);
/* Puts set (NULL: nothing) in place of the node's RRset of `type`. *old_sets is an array to release later, or NULL.
 * ERR_FULL changes nothing, and never comes when an RRset is replaced or removed. */
SP_CHECK sp_err sp_node_store(struct sp_node *n, uint16_t type, struct sp_rrset *set, struct sp_sets **old_sets);
static inline size_t sp_sets_size(const struct sp_sets *s) {
    return sizeof *s + s->cap * sizeof s->slot[0];
}
void sp_node_pin(struct sp_node *n);
/* Takes a pin back (when pinned), shrinks the node's array, and frees the node and its parents when nothing is left of
 * them. */
void sp_node_unpin(struct sp_node *n, bool pinned);

#endif
