/* Dynamic update: who may write what, prerequisites, changes, leases, replay state, budgets, joining.
 * RFC 2136, 3007, 2931, 8945, 9664. Pure decisions over zone.h; the log and the transports are server.c's.
 *
 * The way of an update, and of everything else that changes state (operator verbs, expired leases):
 *
 *   sp_updater_message / _expire / _invite_add / ...   fill a struct sp_change: what to log, and an open transaction
 *   sp_log_append(change.zone, change.kind, change.body)
 *     taken:  sp_updater_commit, at once; sp_txn_retire(change.txn) once durable (sp_txn_undo if the device fails)
 *     refused: sp_updater_abort, at once; the reply becomes SERVFAIL (sp_update_fail)
 *   a reply with wait_log goes out when all that was appended up to now is durable
 *
 * Between a call that fills a change with something to log and its commit or abort nothing else may be called. */
#ifndef SP_CORE_UPDATE_H
#define SP_CORE_UPDATE_H

#include "proto/base/timers.h"
#include "proto/base/trace.h"
#include "proto/control/join.h"
#include "proto/dns/sig0.h"
#include "proto/dns/tsig.h"
#include "proto/log/log.h"
#include "signpostd/core/answer.h"

/* Kinds of log records; every one says what is (idempotent), see proto/log/log.h. Bodies: signpostd/core/record.h. */
enum sp_record_kind {
    SP_REC_ZONE = 1,   /* zone: apex, DNSSEC seed, root seed, signpost seed and name */
    SP_REC_ZONE_GONE,
    SP_REC_CHANGE,     /* RRsets as they are now, leases granted, invites used, and the replay state of the key that signed */
    SP_REC_KEY,        /* a TSIG key or foreign KEY with its policy */
    SP_REC_KEY_GONE,
    SP_REC_INVITE,     /* public half, name, expiry */
    SP_REC_INVITE_GONE,
};

/* Extended DNS errors (RFC 8914) that updates use; a refused update carries one if it came with an OPT (RFC 6891 7). */
enum sp_ede {
    SP_EDE_NONE = -1,
    SP_EDE_OTHER = 0, SP_EDE_BOGUS = 6, SP_EDE_SIG_EXPIRED = 7, SP_EDE_SIG_NOT_YET = 8, SP_EDE_NOT_READY = 14,
    SP_EDE_PROHIBITED = 18, SP_EDE_NOT_AUTH = 20, SP_EDE_NOT_SUPPORTED = 21, SP_EDE_INVALID = 24,
};

/* Why an update was not applied: counter, rcode, EDE and the text that goes with it. */
#define SP_REFUSAL_LIST(X)                                                                                              \
    X(none, NOERROR, NONE, "")                                                                                          \
    X(form, FORMERR, INVALID, "malformed message")                                                                      \
    X(edns_version, BADVERS, NONE, "")                                                                                  \
    X(zone_section, FORMERR, INVALID, "the zone section must hold one SOA question")                                    \
    X(not_auth, NOTAUTH, NOT_AUTH, "this server is not authoritative for that zone")                                    \
    X(unsigned, REFUSED, PROHIBITED, "updates must be signed, by SIG(0) or TSIG")                                       \
    X(sig0_form, FORMERR, INVALID, "malformed SIG(0) record")                                                           \
    X(sig0_alg, REFUSED, NOT_SUPPORTED, "SIG(0) is verified with Ed25519 (algorithm 15) alone")                         \
    X(sig0_badkey, REFUSED, PROHIBITED, "no KEY record of this signer and tag")                                         \
    X(sig0_badsig, REFUSED, BOGUS, "the SIG(0) signature does not verify")                                              \
    X(sig0_expired, REFUSED, SIG_EXPIRED, "the SIG(0) signature has expired; check the clock")                          \
    X(sig0_early, REFUSED, SIG_NOT_YET, "the SIG(0) signature is not valid yet; check the clock")                       \
    X(sig0_long, REFUSED, INVALID, "the SIG(0) signature is valid for more than a day")                                 \
    X(replay, REFUSED, PROHIBITED, "older than an update already accepted from this key")                               \
    X(replay_full, REFUSED, OTHER, "too many updates of this key within seconds; sign again later")                     \
    X(tsig_form, FORMERR, INVALID, "malformed TSIG record")                                                             \
    X(tsig_badkey, NOTAUTH, PROHIBITED, "unknown TSIG key or algorithm")                                                \
    X(tsig_badsig, NOTAUTH, BOGUS, "the TSIG does not verify")                                                          \
    X(tsig_time, NOTAUTH, SIG_EXPIRED, "the TSIG's time is outside its window; check the clock")                        \
    X(tsig_replay, NOTAUTH, PROHIBITED, "older than an update already accepted from this TSIG key")                     \
    X(tsig_trunc, NOTAUTH, PROHIBITED, "the TSIG is truncated too much")                                                \
    X(budget_global, REFUSED, OTHER, "busy verifying signatures; try again later")                                      \
    X(budget_prefix, REFUSED, OTHER, "too many signed messages from this network; try again later")                     \
    X(budget_key, REFUSED, OTHER, "too many messages signed with this key; try again later")                            \
    X(prereq_form, FORMERR, INVALID, "malformed prerequisite")                                                          \
    X(prereq_notzone, NOTZONE, INVALID, "a prerequisite's name is outside the zone")                                    \
    X(prereq_nxdomain, NXDOMAIN, OTHER, "prerequisite: the name is not in use")                                         \
    X(prereq_yxdomain, YXDOMAIN, OTHER, "prerequisite: the name is in use")                                             \
    X(prereq_nxrrset, NXRRSET, OTHER, "prerequisite: the RRset does not exist")                                         \
    X(prereq_yxrrset, YXRRSET, OTHER, "prerequisite: the RRset exists")                                                 \
    X(update_form, FORMERR, INVALID, "malformed update record")                                                         \
    X(update_notzone, NOTZONE, INVALID, "an update's name is outside the zone")                                         \
    X(managed, REFUSED, PROHIBITED, "the signpost itself makes the zone's DNSSEC records")                              \
    X(policy_name, REFUSED, PROHIBITED, "this key may not write that name")                                             \
    X(policy_type, REFUSED, PROHIBITED, "this key may not write that type")                                             \
    X(policy_zone, REFUSED, PROHIBITED, "this key belongs to another zone")                                             \
    X(apex, REFUSED, PROHIBITED, "this key may not write the zone's SOA and NS")                                        \
    X(identity, REFUSED, PROHIBITED, "KEY and overlay address are written by joining and removed by leaving")           \
    X(lease_form, FORMERR, INVALID, "malformed Update Lease option")                                                    \
    X(join_form, FORMERR, INVALID, "malformed join: one KEY, its overlay AAAA and one proof at the signer's name")      \
    X(join_invite, REFUSED, PROHIBITED, "the invite is unknown or was used")                                            \
    X(join_expired, REFUSED, PROHIBITED, "the invite has expired")                                                      \
    X(join_name, REFUSED, PROHIBITED, "the invite is for another name")                                                 \
    X(join_reserved, REFUSED, PROHIBITED, "the name is reserved")                                                       \
    X(join_proof, REFUSED, BOGUS, "the join's proof does not verify")                                                   \
    X(join_taken, YXDOMAIN, PROHIBITED, "the name has another key; revoke it first")                                    \
    X(join_key, REFUSED, INVALID, "the key has no X25519 image or is in the zone already")                              \
    X(join_address, REFUSED, INVALID, "the overlay address does not follow from the key or is in the zone already")     \
    X(full, SERVFAIL, OTHER, "a table or the memory of the signpost is full")                                           \
    X(too_big, SERVFAIL, OTHER, "the update's result does not fit into one log record")                                 \
    X(disk, SERVFAIL, OTHER, "the change could not be stored")                                                          \
    X(disk_full, SERVFAIL, OTHER, "the signpost's disk is full")                                                        \
    X(busy, SERVFAIL, OTHER, "too many updates wait for the disk; try again later")                                     \
    X(repeated, REFUSED, OTHER, "answered as before")

enum sp_refusal {
#define X(name, rcode, ede, text) SP_REFUSED_##name,
    SP_REFUSAL_LIST(X)
#undef X
    SP_REFUSED_COUNT
};
/* "sig0_badsig", for counters. */
const char *sp_refusal_name(enum sp_refusal why);

/* Signatures to verify. A source (its address, not port) from which a key has verified within the last 15 minutes is "proven" for
 * that key: it draws on the key's own and the global budget. All others are strangers: they draw on the global budget, on
 * the strangers' share of it, and on their prefix's; so a flood from strangers leaves proven devices alone. Buckets hold two
 * seconds' worth. A join costs three verifications; a refusal before any verification that the owner must learn of is signed, and
 * costs a stranger's one (beyond the budget it goes unsigned). */
struct sp_budgets {
    uint32_t verify_per_s;            /* global, UDP: 12,000 (one core verifies some 20,000) */
    uint32_t verify_tcp_per_s;        /* global, TCP: 4,000 */
    uint32_t verify_stranger_per_s;   /* of these, strangers; one bucket each for UDP and TCP: 2,000 */
    uint32_t verify_prefix_per_s;     /* strangers per source /24 or /56; UDP and TCP apart: 200 */
    uint32_t verify_key_per_s;        /* per key, from proven sources: 2,000 */
    uint32_t sign_per_batch;          /* new signatures per 256 datagrams while others compete for the CPU: 2; see signing.h */
    uint32_t stun_per_s;              /* STUN answers: 20,000 */
    uint32_t stun_prefix_per_s;       /* of these, per source /24 or /56: 500 */
    uint32_t initiations_per_s;       /* WireGuard handshakes answered without a cookie, a zone's: 200 */
    uint32_t initiations_max_per_s;   /* handshakes looked at, a zone's and all: 3,000 (one costs some 200 us) */
    uint32_t searches_per_s;          /* hashes to find a handshake's zone, and answers with a cookie: 20,000 */
    uint32_t rosters_per_s;           /* lists of a zone's devices made for paging: 20 */
    uint32_t session_requests_per_s;  /* packets inside one control session: 100 */
    uint32_t connects_per_s;          /* of these, connects: 50 */
    uint64_t relay_session_bytes_per_s; /* relayed for one session's sending: 64 MiB; 0: no limit */
    uint64_t relay_bytes_per_s;         /* of all: 256 MiB; 0: no limit */
};
void sp_budgets_default(struct sp_budgets *ret);

struct sp_update_counts {
    uint64_t received, accepted, unchanged, refused, repeated; /* repeated: exact duplicates, answered again */
    uint64_t by_reason[SP_REFUSED_COUNT];
    uint64_t sig0_ok, sig0_failed, tsig_ok, tsig_failed, verifications; /* of queries too */
    uint64_t leases, lease_refreshes, lease_expiries, joins, revocations; /* leases: held now, records */
    uint64_t memory_full; /* a lease or replay entry that was logged but could not be kept */
    uint64_t by_rcode[32];
    uint64_t latency_us_sum, latency_us_bucket[16]; /* filled by the server: accepted to acknowledged; bucket i: below 2^(i+4) us */
};

/* What a zone has beside its records. */
struct sp_zone_secrets {
    struct sp_name apex;     /* lower case */
    struct sp_name signpost; /* the signpost's own name in the zone: signs replies */
    uint8_t dnssec_seed[SP_ED25519_SEED], root_seed[SP_ED25519_SEED], signpost_seed[SP_ED25519_SEED];
};
struct sp_zone_info {
    struct sp_name signpost;
    struct sp_ed25519 root, signpost_key, dnssec;
    uint8_t root_hash[SP_ROOT_HASH];
    uint8_t prefix[8]; /* of overlay addresses */
    uint16_t signpost_tag;
};
/* Lives as long as the zone. */
const struct sp_zone_info *sp_zone_info(const struct sp_zone *z);

struct sp_updater_config {
    uint32_t leases, keys, invites, devices; /* limits: leased RRsets; keys beside KEY RRsets; invites; keys in recent use */
    uint32_t lease_min_s, lease_max_s;       /* 30 and 86,400 */
    uint32_t prefixes;                       /* of strangers, see sp_budget_init */
    struct sp_budgets budgets;
    uint8_t hash_key[16];
    const struct sp_trace *trace; /* may be NULL */
};
void sp_updater_config_default(struct sp_updater_config *ret);

struct sp_updater;
SP_CHECK sp_err sp_updater_new(struct sp_updater **ret, struct sp_mem *mem, struct sp_zones *zones, const struct sp_updater_config *config);
void sp_updater_free(struct sp_updater *u); /* wipes keys; before sp_zones_free */
const struct sp_update_counts *sp_updater_counts(struct sp_updater *u);
struct sp_update_counts *sp_updater_counts_mut(struct sp_updater *u); /* for latency */

/* ---- changes ---- */

struct sp_change {
    uint32_t zone;       /* the zone's number, for the log */
    uint16_t kind;       /* enum sp_record_kind */
    const uint8_t *body; /* what to log, in the updater's buffer; NULL: nothing changed, nothing to commit or abort */
    size_t len;          /* <= SP_LOG_BODY_MAX */
    struct sp_txn *txn;  /* open, or NULL */
    uint32_t serial;     /* of the zone now */
    size_t rrsets;       /* changed */
    bool shrinks;        /* the state is smaller after it: taken by a full log too */
    bool more;           /* of sp_updater_txn alone: when this is appended, sp_updater_txn_more gives the next record */
    size_t next;         /* private */
};
/* The change is in the log (not yet durable): tables follow the record. The transaction, if any, is the caller's now.
 * ERR_FULL: memory ran out for a table; after a restart the log makes it whole. */
SP_CHECK sp_err sp_updater_commit(struct sp_updater *u, const struct sp_change *c, sp_instant now);
/* The log did not take it: everything is as before. */
void sp_updater_abort(struct sp_updater *u, const struct sp_change *c);

/* ---- messages ---- */

enum sp_reply_auth { SP_REPLY_PLAIN, SP_REPLY_TSIG, SP_REPLY_TSIG_UNSIGNED, SP_REPLY_SIG0 };

/* Who signed a message, and how its reply is to be signed. */
struct sp_signer {
    enum sp_reply_auth reply;
    enum sp_refusal why;     /* none: verified (or not signed at all: reply is PLAIN and kind SP_AUTH_NONE) */
    enum sp_msg_auth kind;
    struct sp_name name;     /* of the key, lower case */
    uint8_t pub[SP_ED25519_PUB]; /* SIG(0) */
    uint32_t key_zone;       /* the zone that the key belongs to */
    bool axfr;               /* may transfer that zone */
    /* for the reply */
    struct sp_tsig_key tsig;
    struct sp_tsig_state tsig_state;
    struct sp_name tsig_alg;
    uint32_t signpost_zone;  /* whose signpost key signs */
};

/* Verifies a signed message of any opcode within the budgets, no replay check: for transfers and signed queries.
 * An unsigned message gives OK with kind SP_AUTH_NONE. On error signer->why says why (sp_update_refuse makes the reply). */
SP_CHECK sp_err sp_updater_verify(struct sp_updater *u, const struct sp_msg *msg, enum sp_transport via, const struct sp_addr *src,
                                  sp_instant now, sp_wall wall, struct sp_signer *ret);
bool sp_signer_may_transfer(const struct sp_signer *signer, const struct sp_zone *zone);
/* Bytes that the reply's signature takes at most; and its writing: appends TSIG or SIG(0) to the finished message in wr.
 * request: the whole request. `later`: following messages of a TCP exchange (TSIG). ERR_SPACE: nothing appended. */
size_t sp_signer_size(const struct sp_updater *u, const struct sp_signer *signer);
SP_CHECK sp_err sp_signer_sign(struct sp_updater *u, struct sp_signer *signer, struct sp_wr *wr, const uint8_t *request,
                               size_t request_len, bool later, sp_wall wall);

/* The outcome of an UPDATE. */
struct sp_update {
    uint16_t rcode;
    enum sp_refusal why;
    bool wait_log;     /* answer when all that was appended so far (this change too) is durable */
    uint8_t lease_len; /* of the Update Lease option to echo: 0, 4 or 8 */
    uint32_t lease_s, key_lease_s;
    struct sp_signer signer;
    struct sp_change change;
};

/* Decides about one parsed message with opcode UPDATE and applies it to the zone. Work is bounded by the message's size
 * and the sizes of the RRsets it names. */
void sp_updater_message(struct sp_updater *u, const struct sp_msg *msg, enum sp_transport via, const struct sp_addr *src,
                        sp_instant now, sp_wall wall, struct sp_update *ret);
/* The append failed (after sp_updater_abort) or the server is not ready: turns the outcome into this refusal, counted. */
void sp_update_fail(struct sp_updater *u, struct sp_update *up, enum sp_refusal why);
/* The whole reply, signed: zone section, OPT if the request had one (EDE, lease, cookie). Its length; 0: cap too small. */
size_t sp_update_reply(struct sp_updater *u, const struct sp_view *view, const struct sp_msg *msg, const struct sp_addr *src,
                       struct sp_update *up, sp_wall wall, uint8_t *out, size_t cap);
/* The same for any message that sp_updater_verify refused: rcode, EDE and signature by signer->why. */
size_t sp_signer_refuse(struct sp_updater *u, const struct sp_view *view, const struct sp_msg *msg, const struct sp_addr *src,
                        struct sp_signer *signer, sp_wall wall, uint8_t *out, size_t cap);

/* ---- leases ---- */

/* When the next lease ends. */
sp_instant sp_updater_deadline(const struct sp_updater *u);
/* Removes leased records whose time has come, some of one zone per call. True: ret holds a change to log and commit; call again
 * until false. On a failed append: abort, then sp_updater_expire_later, which tries again a little later. */
bool sp_updater_expire(struct sp_updater *u, sp_instant now, struct sp_change *ret);
void sp_updater_expire_later(struct sp_updater *u, sp_instant now);

/* ---- what the operator does; each fills a change to log and commit. Nothing is changed before the commit, transactions aside ---- */

/* id: the zone's number. ERR_EXIST, ERR_FULL. After the commit the zone is there, empty. */
SP_CHECK sp_err sp_updater_zone_add(struct sp_updater *u, uint32_t id, const struct sp_zone_secrets *secrets, struct sp_change *ret);
/* After the commit the zone, its keys, invites and leases are gone; pointers to it must not be used. */
SP_CHECK sp_err sp_updater_zone_remove(struct sp_updater *u, struct sp_zone *zone, struct sp_change *ret);
/* Makes the change of a transaction that the caller has filled (import, first records). bump: raise the SOA's serial unless
 * the transaction has raised it. A big transaction takes several records (ret->more); all of them are appended in a row, then the
 * last is committed; a replay that finds only some of them undoes them. KEYs that share an X25519 image with another name's are
 * ERR_EXIST. ERR_NOENT: changes nothing, txn was given up. On any other error the caller still owns txn. */
SP_CHECK sp_err sp_updater_txn(struct sp_updater *u, struct sp_zone *zone, struct sp_txn *txn, bool bump, struct sp_change *ret);
void sp_updater_txn_more(struct sp_updater *u, struct sp_change *c);
/* ERR_DENIED: reserved name; ERR_RANGE: not below the zone's apex; ERR_EXIST: the name has a key. */
SP_CHECK sp_err sp_updater_invite_add(struct sp_updater *u, struct sp_zone *zone, const struct sp_name *name,
                                      const uint8_t invite_pub[SP_ED25519_PUB], uint64_t expiry, sp_wall wall, struct sp_change *ret);
/* Removes the device: every RRset at its name and below, its leases and invites for it. ERR_NOENT; ERR_FULL: too many records
 * below for one transaction: what fits goes, call again (ret is filled with OK; more is true). */
SP_CHECK sp_err sp_updater_revoke(struct sp_updater *u, struct sp_zone *zone, const struct sp_name *name, struct sp_change *ret, bool *more);

/* A TSIG key with its policy. Policy text: words separated by spaces:
 *   names=NAME,NAME...   names it may write: "host.me.example" that name, "*.dyn.me.example" all below dyn, "*" the whole zone.
 *                        Names without a final dot that do not end in the zone's are relative to it. Default: none.
 *   types=A,AAAA,...     types it may write. Default: all but KEY, SOA, NS at the apex, and what the signpost makes.
 *                        KEY, and NS and SOA at the apex, are allowed only when listed.
 *   axfr                 it may transfer the zone.
 * ERR_FORM with *ret_what saying what is wrong; ERR_EXIST when the name is taken by another zone's key; ERR_FULL. */
SP_CHECK sp_err sp_updater_tsig_add(struct sp_updater *u, struct sp_zone *zone, const struct sp_tsig_key *key, const char *policy,
                                    size_t policy_len, struct sp_change *ret, const char **ret_what);
/* A KEY of dnssec-keygen. Without policy it must lie in the zone and becomes its name's KEY record; with one it may have any
 * name and is kept beside the zone. ERR_UNSUP: not Ed25519. */
SP_CHECK sp_err sp_updater_key_add(struct sp_updater *u, struct sp_zone *zone, const struct sp_name *owner, const uint8_t *rdata, size_t len,
                                   const char *policy, size_t policy_len, struct sp_change *ret, const char **ret_what);
/* Removes TSIG keys and foreign KEYs of this name, or else the KEY records at it. ERR_NOENT. */
SP_CHECK sp_err sp_updater_key_remove(struct sp_updater *u, struct sp_zone *zone, const struct sp_name *owner, struct sp_change *ret);

/* The next key of the zone beside KEY RRsets; start with a zeroed cursor. */
struct sp_key_info {
    struct sp_name name;
    bool tsig;
    enum sp_hash hash;   /* TSIG */
    const char *policy;  /* canonical text, not terminated; until the next change */
    size_t policy_len;
};
bool sp_updater_key_each(struct sp_updater *u, const struct sp_zone *zone, struct sp_table_cursor *cursor, struct sp_key_info *ret);
struct sp_invite_info {
    struct sp_name name;
    uint8_t pub[SP_ED25519_PUB];
    uint64_t expiry;
};
bool sp_updater_invite_each(struct sp_updater *u, const struct sp_zone *zone, struct sp_table_cursor *cursor, struct sp_invite_info *ret);
/* Seconds left of the lease of the first leased record of this RRset; false: none. */
bool sp_updater_lease(const struct sp_updater *u, const struct sp_zone *zone, const struct sp_name *owner, uint16_t type, sp_instant now,
                      uint32_t *ret_granted_s, sp_instant *ret_due);

/* ---- devices, for control sessions ---- */

/* The device of the zone whose KEY is this one, its sign aside (an X25519 key tells no more); false: none. */
bool sp_updater_device(const struct sp_updater *u, const struct sp_zone *z, const uint8_t key[SP_ED25519_PUB], struct sp_name *ret_name,
                       uint8_t ret_pub[SP_ED25519_PUB]);
struct sp_device_news {
    uint32_t zone;
    bool gone;
    uint8_t pub[SP_ED25519_PUB];
    struct sp_name name; /* lower case */
};
/* From now on it is told what is listed and unlisted: the next piece of news, oldest first; false: no more. What was replaced by the
 * same is told twice, gone and come. Lost: there was more than could be kept, since this was asked last. */
void sp_updater_watch(struct sp_updater *u);
bool sp_updater_news(struct sp_updater *u, struct sp_device_news *ret);
bool sp_updater_news_lost(struct sp_updater *u);

/* ---- replay and snapshots ---- */

/* Applies a record of the log; one whose zone is not there (removed later) is passed over. ERR_CORRUPT: the body does not decode;
 * ERR_UNSUP: a later version's; ERR_FULL. */
SP_CHECK sp_err sp_updater_apply(struct sp_updater *u, const struct sp_log_record *rec, sp_instant now);
/* The log is replayed: every lease starts again with its granted length, and from now on only signatures whose inception is later
 * than the last accepted one count (what was accepted without being logged cannot be told from a replay). */
void sp_updater_replayed(struct sp_updater *u, sp_instant now, sp_wall wall);
/* Time has passed in which nobody could refresh a lease: every one starts again with its granted length. */
void sp_updater_resumed(struct sp_updater *u, sp_instant now);

/* Walks the whole state as records, while changes go on: ret is in the updater's buffer, borrowed until the next call on it. False at
 * the end. The same record again: sp_updater_snapshot_again before the next call (buffers were busy). */
struct sp_snapshot {
    unsigned stage;
    uint32_t zone;
    bool again, begun;
    struct sp_zone_cursor nodes;
    struct sp_table_cursor table;
    /* the record that was made last */
    struct sp_change record;
    size_t skip; /* RRsets of the current node already given */
    bool have_node;
    struct sp_name node;
};
void sp_updater_snapshot_begin(struct sp_snapshot *s);
bool sp_updater_snapshot_next(struct sp_updater *u, struct sp_snapshot *s, sp_wall wall, struct sp_change *ret);

#endif
