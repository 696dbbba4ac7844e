/* The updater's insides, for the files of this room that decide about updates. */
#ifndef SP_CORE_UPDATER_H
#define SP_CORE_UPDATER_H

#include "signpostd/core/budget.h"
#include "signpostd/core/policy.h"
#include "signpostd/core/record.h"
#include "signpostd/core/update.h"

/* A record of a message's section, by hashes, for sorting and finding. */
struct sp_mark {
    uint64_t set; /* owner and type */
    uint64_t rdata;
    uint32_t offset; /* in the message */
    bool in_change;  /* on the first mark of a set: it is in the record already */
};
#define SP_MARKS_MAX (SP_MSG_MAX / 11 + 1) /* a record has at least 11 bytes */

/* A TSIG key or foreign KEY with its policy. */
struct sp_tkey {
    struct sp_link link; /* by name */
    uint32_t zone;
    enum sp_msg_auth kind;
    struct sp_tsig_key tsig; /* the name for both kinds */
    uint8_t pub[SP_ED25519_PUB];
    uint16_t tag;
    struct sp_policy policy;
    uint16_t text_len;
    char text[SP_POLICY_TEXT_MAX];
};

struct sp_invite {
    struct sp_link link; /* by public key */
    uint32_t zone;
    struct sp_invite_info info;
};

/* What a zone's user pointer points to. */
struct sp_zone_user {
    struct sp_zone_info info;
    struct sp_zone_secrets secrets;
};

struct sp_updater {
    struct sp_mem *mem;
    struct sp_zones *zones;
    struct sp_updater_config config;
    struct sp_update_counts counts;
    struct sp_table keys, invites, leases, idents, uses;
    struct sp_timers lease_timers, use_timers;
    struct sp_budget budget;
    sp_instant expire_hold;
    size_t seen_slots;      /* of all keys' memories of signatures */
    struct sp_txn *partial; /* replay: a big transaction whose last record is still to come */
    uint32_t partial_zone;
    bool replaying;
    /* devices listed and unlisted lately, for whoever watches */
    bool watched, news_lost;
    uint32_t news_count, news_read;
    struct sp_device_news *news;
    /* workspace */
    uint8_t *scratch, *rdata, *canon, *body, *snap;
    struct sp_mark *marks;
};

#define SP_NEWS_MAX 64u
#define SP_SCRATCH (2 * SP_MSG_MAX + 2048)

/* Scratch space in a name's or a key's hash, keyed. */
uint64_t sp_updater_hash(const struct sp_updater *u, uint32_t zone, uint16_t kind, const void *data, size_t len);
uint64_t sp_updater_hash_name(const struct sp_updater *u, uint32_t zone, uint16_t kind, const struct sp_name *name);
uint64_t sp_updater_hash_rdata(const struct sp_updater *u, const uint8_t *rdata, size_t len);

struct sp_zone_user *sp_zone_user_of(const struct sp_zone *z);

/* ---- marks.c ---- */
void sp_marks_sort(struct sp_mark *marks, size_t n); /* by set, then rdata; in place, n log n */
/* The first mark of the set; NULL. */
struct sp_mark *sp_marks_find(struct sp_mark *marks, size_t n, uint64_t set);
struct sp_mark *sp_marks_find_rdata(struct sp_mark *marks, size_t n, uint64_t set, uint64_t rdata);

/* ---- ident.c: which keys (by X25519 image) and overlay addresses a zone lists ---- */
bool sp_ident_has_key(const struct sp_updater *u, uint32_t zone, const uint8_t pub[SP_ED25519_PUB]);
bool sp_ident_has_addr(const struct sp_updater *u, uint32_t zone, const uint8_t addr[16]);
bool sp_ident_is_overlay(const struct sp_zone *z, const uint8_t *rdata, size_t len);
/* Takes what the transaction removed out of the table and what it added into it. `conflict`, when asked for: something
 * that was added is listed at another place too. */
void sp_ident_follow(struct sp_updater *u, struct sp_zone *z, const struct sp_txn *txn, bool *conflict);
void sp_ident_unfollow(struct sp_updater *u, struct sp_zone *z, const struct sp_txn *txn);
void sp_ident_drop_zone(struct sp_updater *u, uint32_t zone);
void sp_ident_free(struct sp_updater *u);

/* ---- lease.c ---- */
struct sp_lease_item {
    uint64_t hash; /* of the rdata */
    sp_instant due;
    uint32_t granted_s;
    bool live; /* while pruning */
};
/* The leased records of an RRset, sorted by hash. */
struct sp_lease {
    struct sp_link link;
    struct sp_timer timer; /* the earliest item */
    uint32_t zone;
    uint16_t type;
    uint16_t count, cap;
    struct sp_lease_item *items;
    uint8_t owner_len;
    uint8_t owner[]; /* wire, lower case */
};
struct sp_lease *sp_lease_find(const struct sp_updater *u, uint32_t zone, const struct sp_name *owner, uint16_t type);
struct sp_lease_item *sp_lease_item(const struct sp_lease *l, uint64_t hash); /* l may be NULL */
/* Makes the leases of an RRset what a record says: items that stay with the same grant keep their time. ERR_FULL. */
SP_CHECK sp_err sp_lease_follow(struct sp_updater *u, uint32_t zone, const struct sp_rec_rrset *set, sp_instant now);
/* Forgets leases of records that the RRset (NULL: gone) no longer has. */
void sp_lease_prune(struct sp_updater *u, uint32_t zone, const struct sp_name *owner, uint16_t type,
                    const struct sp_rrset *set);
void sp_lease_refresh(struct sp_updater *u, struct sp_lease *l, struct sp_lease_item *item, sp_instant now);
void sp_lease_restart(struct sp_updater *u, sp_instant now);
void sp_lease_drop_zone(struct sp_updater *u, uint32_t zone);
void sp_lease_free(struct sp_updater *u);

/* ---- replay.c: what is remembered of a key in use ---- */
struct sp_seen {
    uint64_t hash;
    uint32_t inception; /* low 32 bits */
    uint16_t rcode;
    uint16_t used;
};
#define SP_PROVEN     2
#define SP_PROVEN_FOR (15 * SP_MIN)
struct sp_use {
    struct sp_link link;
    struct sp_timer timer;
    uint32_t zone;
    uint8_t kind; /* enum sp_msg_auth */
    uint8_t pub[SP_ED25519_PUB];
    struct sp_bucket bucket;
    uint64_t newest, floor, expiration; /* wall seconds */
    uint64_t last_hash;                 /* of the newest that was logged */
    uint16_t last_rcode;
    uint32_t seen_cap, seen_count;
    struct sp_seen *seen;
    struct {
        uint8_t ip[16];
        uint8_t family;
        sp_instant until;
    } proven[SP_PROVEN];
    uint8_t name_len;
    uint8_t name[]; /* wire, lower case */
};
/* Updates of a key may arrive this much out of order. */
#define SP_REPLAY_WINDOW_S 10
enum sp_replay { SP_REPLAY_FRESH, SP_REPLAY_OLD, SP_REPLAY_REPEATED, SP_REPLAY_FULL, SP_REPLAY_MEMORY };

struct sp_use *sp_use_find(const struct sp_updater *u, uint32_t zone, enum sp_msg_auth kind, const struct sp_name *name,
                           const uint8_t pub[SP_ED25519_PUB]);
/* Finds or makes. NULL: the table is full. */
struct sp_use *sp_use_get(struct sp_updater *u, uint32_t zone, enum sp_msg_auth kind, const struct sp_name *name,
                          const uint8_t pub[SP_ED25519_PUB]);
bool sp_use_proven(const struct sp_use *use, const struct sp_addr *src, sp_instant now); /* use may be NULL */
void sp_use_prove(struct sp_updater *u, struct sp_use *use, const struct sp_addr *src, sp_instant now);
/* Whether an update with this inception and signature counts; FRESH has room for its sp_use_note. */
enum sp_replay sp_use_check(struct sp_updater *u, struct sp_use *use, uint64_t inception, uint64_t hash,
                            uint16_t *ret_rcode);
/* Keeps what is remembered until a signature has expired by itself. */
void sp_use_expect(struct sp_updater *u, struct sp_use *use, uint64_t expiration, sp_instant now, sp_wall wall);
/* Remembers a signature with the answer it got. */
void sp_use_note(struct sp_use *use, const struct sp_rec_replay *r);
/* From the log. */
void sp_use_replay(struct sp_use *use, const struct sp_rec_replay *r);
void sp_use_restart(struct sp_updater *u, sp_instant now, sp_wall wall);
void sp_use_purge(struct sp_updater *u, sp_instant now);
void sp_use_drop_zone(struct sp_updater *u, uint32_t zone);
void sp_use_free(struct sp_updater *u);

/* ---- keys.c ---- */
struct sp_tkey *sp_tkey_find(const struct sp_updater *u, const struct sp_name *name, enum sp_msg_auth kind);
SP_CHECK sp_err sp_tkey_put(struct sp_updater *u, uint32_t zone, const struct sp_rec_key *k);
void sp_tkey_remove(struct sp_updater *u, uint32_t zone, const struct sp_name *name);
void sp_tkey_drop_zone(struct sp_updater *u, uint32_t zone); /* 0: all */
struct sp_invite *sp_invite_find(const struct sp_updater *u, const uint8_t pub[SP_ED25519_PUB]);
SP_CHECK sp_err sp_invite_put(struct sp_updater *u, uint32_t zone, const struct sp_invite_info *info);
void sp_invite_remove(struct sp_updater *u, const uint8_t pub[SP_ED25519_PUB]);
void sp_invite_purge(struct sp_updater *u, uint64_t wall_s);   /* the expired; a snapshot leaves them out too */
void sp_invite_drop_zone(struct sp_updater *u, uint32_t zone); /* 0: all */

/* ---- the flow of a message ---- */

/* A join found in a message, before anything is verified. */
struct sp_join {
    bool present;
    const uint8_t *proof;
    size_t proof_len;
    uint8_t pub[SP_ED25519_PUB];
    struct sp_invite *invite;
};
/* Everything about the message under way. */
struct sp_flow {
    struct sp_updater *u;
    const struct sp_msg *msg;
    struct sp_zone *zone;
    enum sp_transport via;
    const struct sp_addr *src;
    sp_instant now;
    sp_wall wall;
    struct sp_signer *signer;
    const struct sp_tkey *tkey; /* whose policy applies; NULL: a device's key */
    struct sp_join join;
    bool leave; /* the device removes itself */
    bool leased;
    uint32_t lease_s;
    size_t marks;
    uint64_t inception, expiration, hash; /* of the signature */
};

enum sp_refusal sp_flow_verify(struct sp_flow *f);
/* A look at the join in an update signed by `name` with tag, cheap. none: present and fit to be verified. */
enum sp_refusal sp_join_find(struct sp_flow *f, const struct sp_name *name, uint16_t tag);
enum sp_refusal sp_join_check(struct sp_flow *f); /* after the SIG(0) has verified */
bool sp_join_reserved(const struct sp_name *name);
enum sp_refusal sp_flow_prereq(struct sp_flow *f);
enum sp_refusal sp_flow_prescan(struct sp_flow *f);
enum sp_refusal sp_flow_permit(struct sp_flow *f);
SP_CHECK sp_err sp_flow_apply(struct sp_flow *f, struct sp_txn *txn);
/* The record of what the message changed; len 0: nothing. */
enum sp_refusal sp_flow_record(struct sp_flow *f, struct sp_txn *txn, struct sp_change *ret);

/* Rdata of a record in the message, uncompressed, in u->rdata. */
SP_CHECK sp_err sp_flow_rdata(struct sp_flow *f, const struct sp_rr *rr, size_t *ret_len);

/* ---- change.c ---- */
bool sp_change_differs(const struct sp_txn *txn, size_t i);
size_t sp_change_count(const struct sp_txn *txn); /* RRsets that differ */
/* Raises the SOA's serial by one, unless there is no SOA or it has been raised. RFC 2136 3.7, RFC 1982. */
SP_CHECK sp_err sp_change_bump(struct sp_zone *z, struct sp_txn *txn, uint32_t serial_before);
/* Fills ret from what wr wrote into u->body; ERR_SPACE. */
SP_CHECK sp_err sp_change_fill(struct sp_updater *u, struct sp_change *ret, uint32_t zone, enum sp_record_kind kind,
                               const struct sp_wr *wr, struct sp_txn *txn);
/* A lease as the table has it, for sp_record_rrset_write. */
struct sp_lease_ask {
    const struct sp_updater *u;
    const struct sp_lease *lease;
};
uint32_t sp_lease_asked(void *ctx, const uint8_t *rdata, size_t len);
/* Writes every RRset that differs, as it is now, with its leases. */
void sp_change_write(struct sp_updater *u, struct sp_wr *wr, uint32_t zone, const struct sp_txn *txn);
/* After a record of kind CHANGE went to the log, or came from it. */
SP_CHECK sp_err sp_change_absorb(struct sp_updater *u, struct sp_zone *z, const uint8_t *body, size_t len,
                                 struct sp_txn *txn, sp_instant now);
/* ---- apply.c ---- */
SP_CHECK sp_err sp_apply_body(struct sp_updater *u, uint32_t zone, uint16_t kind, struct sp_rd *rd);
void sp_apply_partial_end(struct sp_updater *u);

#endif
