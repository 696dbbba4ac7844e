/* Zones as the server holds them: nodes in a hash table for each zone, RRsets compiled, signatures memoised.
 *
 * One writer changes them through a transaction; any number of readers answer from them (sp_answer). A reader sees each RRset
 * whole: RRsets are immutable and their pointers are stored atomically. What a transaction replaced lives on until the
 * transaction is retired, and so can be put back when the log fails. */
#ifndef SP_CORE_ZONE_H
#define SP_CORE_ZONE_H

#include <stdatomic.h>

#include "proto/base/mem.h"
#include "proto/base/table.h"
#include "proto/dns/dnssec.h"
#include "proto/dns/msg.h"

/* A memoised RRSIG, rdata ready to copy. */
struct sp_rrsig {
    uint32_t inception, renew; /* of its window */
    uint16_t len;
    uint16_t extra; /* bytes behind the rdata, for the store's own use */
    uint8_t rdata[];
};

/* An immutable RRset: `len` bytes of (u16 length, rdata), canonical order; see struct sp_rrs. */
struct sp_rrset {
    _Atomic(struct sp_rrsig *) sig;
    uint32_t ttl;
    uint32_t len;
    uint16_t type;
    uint16_t count;
    uint8_t data[];
};
struct sp_rrs sp_rrset_view(const struct sp_rrset *set);

struct sp_node; /* a name of a zone, or an empty non-terminal */
struct sp_zone;

/* All zones of a server, and the secrets that answering needs. */
struct sp_zones;
SP_CHECK sp_err sp_zones_new(struct sp_zones **ret, struct sp_mem *mem, const uint8_t hash_key[16], size_t limit_zones, size_t limit_names);
void sp_zones_free(struct sp_zones *zs);

/* Adds an empty zone with the owner's number `id` (1..SP_LOG_ZONES_MAX); key NULL: unsigned. ERR_EXIST, ERR_FULL. */
SP_CHECK sp_err sp_zone_add(struct sp_zones *zs, const struct sp_name *apex, uint32_t id, const struct sp_ed25519 *key, struct sp_zone **ret);
void sp_zone_remove(struct sp_zones *zs, struct sp_zone *zone);
struct sp_zone *sp_zones_get(const struct sp_zones *zs, const struct sp_name *apex); /* exactly this apex, or NULL */
struct sp_zone *sp_zones_by_id(const struct sp_zones *zs, uint32_t id);
struct sp_zone *sp_zones_closest(const struct sp_zones *zs, const struct sp_name *name); /* longest apex at or above name */
struct sp_zone *sp_zones_next(const struct sp_zones *zs, const struct sp_zone *after);   /* NULL: first */
const struct sp_name *sp_zone_apex(const struct sp_zone *z);
uint32_t sp_zone_id(const struct sp_zone *z);
const struct sp_zone_key *sp_zone_key(const struct sp_zone *z); /* NULL when unsigned */
uint32_t sp_zone_serial(const struct sp_zone *z);               /* 0 without an SOA */
size_t sp_zone_names(const struct sp_zone *z);
/* The owner's per-zone data (leases, policy), not touched here. */
void **sp_zone_user(struct sp_zone *z);

/* Exact node, or NULL; an empty non-terminal is a node without RRsets. */
struct sp_node *sp_zone_node(const struct sp_zone *z, const struct sp_name *owner);
void sp_node_name(const struct sp_node *n, struct sp_name *ret);
const struct sp_rrset *sp_node_rrset(const struct sp_node *n, uint16_t type); /* NULL when absent */
size_t sp_node_rrsets(const struct sp_node *n, const struct sp_rrset **ret, size_t cap); /* ascending by type; how many there are */
/* Visits every node with RRsets once, in any order, also while transactions go on (nodes that stay are never missed). */
struct sp_zone_cursor {
    struct sp_table_cursor table;
};
struct sp_node *sp_zone_each(struct sp_zone *z, struct sp_zone_cursor *cursor);
/* The same RRset by RRset, SOA apart: a transfer's or an export's middle. Start with {0}. The walk may be kept over input calls
 * only while no transaction is retired or undone in between. */
struct sp_zone_walk {
    struct sp_zone_cursor cursor;
    struct sp_node *node;
    uint32_t index;
};
const struct sp_rrset *sp_zone_walk(struct sp_zone *z, struct sp_zone_walk *walk, struct sp_node **ret_node);
/* What the store itself keeps at this owner: DNSKEY, CDS and CDNSKEY at a signed apex (made when the zone is added, always there),
 * and RRSIG, NSEC, NSEC3, NSEC3PARAM anywhere (made when asked for, never stored). Transactions refuse them with ERR_DENIED;
 * updates, snapshots and imports leave them out. */
bool sp_zone_makes(const struct sp_zone *z, const struct sp_name *owner, uint16_t type);

/* ---- transactions ---- */

#define SP_TXN_CHANGES_MAX 4096
struct sp_txn; /* a list of (node, type, before, after) */

SP_CHECK sp_err sp_txn_begin(struct sp_txn **ret, struct sp_zone *z);
void sp_txn_unlimited(struct sp_txn *t); /* for a replay of what was too big for the limit */
/* Makes the RRset at owner what rrs says (rrs->count 0: gone). Visible to readers at once; no rule of RFC 2136 is applied.
 * Names inside rdata are lowered where RFC 4034 6.2 says so.
 * An error changes nothing: ERR_FULL (memory, names, or 64 types at the name), ERR_RANGE (owner outside the zone, or an RRset too
 * big to be answered and signed), what sp_rdata_check says of bad rdata, ERR_DENIED (sp_zone_makes). */
SP_CHECK sp_err sp_txn_put(struct sp_txn *t, const struct sp_name *owner, const struct sp_rrs *rrs);
/* One record in or out of an RRset, by RFC 2136 3.4.2: adding one that is there only sets the TTL; CNAME, DNAME and SOA replace;
 * CNAME beside other data, an SOA that does not exist or whose serial would not grow, and deleting the apex's SOA or last NS are
 * passed over. *changed tells if anything did. No policy here. Errors as sp_txn_put. */
SP_CHECK sp_err sp_txn_add_rr(struct sp_txn *t, const struct sp_name *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
                              size_t len, bool *changed);
SP_CHECK sp_err sp_txn_del_rr(struct sp_txn *t, const struct sp_name *owner, uint16_t type, const uint8_t *rdata, size_t len, bool *changed);
SP_CHECK sp_err sp_txn_del_rrset(struct sp_txn *t, const struct sp_name *owner, uint16_t type, bool *changed);
/* The RRset before the transaction of change i; NULL: there was none. */
const struct sp_rrset *sp_txn_before(const struct sp_txn *t, size_t i);
/* Number of RRsets changed so far, and the i-th: its owner, type and the RRset after (NULL: gone). A RRset changed twice counts once. */
size_t sp_txn_changes(const struct sp_txn *t);
void sp_txn_change(const struct sp_txn *t, size_t i, struct sp_name *owner, uint16_t *type, const struct sp_rrset **after);
/* Durable: frees what was replaced (and t), once no reader can hold it. */
void sp_txn_retire(struct sp_txn *t);
/* Puts everything back and frees t. Of several open transactions the newest must be undone first. */
void sp_txn_undo(struct sp_txn *t);

/* Makes the zone what the zone text says, in one transaction without the limit on changes: RRsets that the text lacks go away, what
 * sp_zone_makes is passed over, of differing TTLs in an RRset the smallest holds (RFC 2181 5.2). On success *ret is the open
 * transaction (log it, then retire or undo it); on failure nothing has changed and *error says where and why: a syntax error, class
 * other than IN, a name outside the zone, a type that no zone holds, CNAME or DNAME beside what they exclude, a second SOA, no SOA or
 * no NS at the apex, or full (ERR_FULL). Work: one pass over the text, and one over the zone. */
struct sp_zonetext_error;
SP_CHECK sp_err sp_zone_load(struct sp_txn **ret, struct sp_zone *z, const char *text, size_t len, struct sp_zonetext_error *error);
/* The same, but RRsets that the text lacks stay as they are; what it names is replaced. */
SP_CHECK sp_err sp_zone_merge(struct sp_txn **ret, struct sp_zone *z, const char *text, size_t len, struct sp_zonetext_error *error);

#endif
