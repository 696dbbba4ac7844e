/* A transaction's insides, for txn.c and those that build on it. */
#ifndef SP_CORE_TXN_H
#define SP_CORE_TXN_H

#include "signpostd/core/zone_int.h"

struct sp_change {
    struct sp_node *node;
    struct sp_rrset *before, *after;
    uint16_t type;
};

/* Replaced within the transaction, so that neither retiring nor undoing needs it, but a reader may still. */
struct sp_trash {
    struct sp_rrset *set;
    struct sp_sets *sets;
};

struct sp_txn {
    struct sp_zone *zone;
    struct sp_change *changes;
    uint32_t *index; /* open addressing by node and type; 0: empty, else number of the change + 1 */
    struct sp_trash *trash;
    uint32_t count, cap, index_size, limit;
    uint32_t trash_count, trash_cap;
};

/* The change of this RRset, or NULL. */
struct sp_change *sp_txn_find(const struct sp_txn *t, const struct sp_node *n, uint16_t type);
/* Puts a made RRset (NULL: none) at q; takes it over, on failure too. */
SP_CHECK sp_err sp_txn_set(struct sp_txn *t, const struct sp_name_key *q, uint16_t type, struct sp_rrset *set);

enum sp_ttl_rule { SP_TTL_NEW, SP_TTL_SMALLEST };
/* Adds one record to `old` (NULL: to nothing), in canonical order. ret NULL: it was there with the resulting TTL
 * already. */
SP_CHECK sp_err sp_rrset_with(struct sp_zones *zs, const struct sp_name *owner, const struct sp_rrset *old,
                              uint16_t type, uint32_t ttl, enum sp_ttl_rule rule, const uint8_t *rdata, size_t len,
                              struct sp_rrset **ret);

#endif
