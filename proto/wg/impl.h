/* The parts of a WireGuard device, inside this room. P stands for the WireGuard paper. */
#ifndef SP_WG_IMPL_H
#define SP_WG_IMPL_H

#include "proto/base/bucket.h"
#include "proto/base/table.h"
#include "proto/base/timers.h"
#include "proto/wg/keypair.h"
#include "proto/wg/replay.h"
#include "proto/wg/wire.h"

/* P 6.1 */
#define REKEY_AFTER_MESSAGES  (UINT64_C(1) << 60)
#define REJECT_AFTER_MESSAGES (UINT64_MAX - (UINT64_C(1) << 13))
#define REKEY_AFTER_TIME      (120 * SP_SEC)
#define REJECT_AFTER_TIME     (180 * SP_SEC)
#define REKEY_ATTEMPT_TIME    (90 * SP_SEC)
#define REKEY_TIMEOUT         (5 * SP_SEC)
#define KEEPALIVE_TIMEOUT     (10 * SP_SEC)
#define JITTER                (333 * SP_MS)

#define COOKIE_LIFE    (120 * SP_SEC) /* P 5.3: of a cookie, and of the secret behind cookies */
#define INITIATION_GAP (20 * SP_MS)   /* P 5.1: initiations of a peer that come faster are not answered */
#define FORGED_MAX     8              /* wrong responses to one initiation, before a cookie is asked of whoever sends them */
#define COOKIES        32             /* made for each initiation that may be answered at all: each costs about a hundredth of it */
#define POLL           SP_SEC         /* how often counters of keypairs that are held elsewhere are read */

/* ---- indices ---- */

enum wg_entry_kind { WG_ENTRY_HANDSHAKE, WG_ENTRY_KEYPAIR };

/* What an index of ours stands for. */
struct wg_entry {
    struct sp_link link;
    uint32_t index;
    enum wg_entry_kind kind;
    struct sp_wg_peer *peer;
};

/* ---- handshakes ---- */

struct wg_noise {
    uint8_t chain[32], hash[32];
};

/* An initiation of ours that waits for its response. Apart from what we answer as a responder, so that initiations that cross
 * each other both succeed. */
struct wg_sent {
    struct wg_entry entry; /* in the table while `waits` */
    bool waits;
    unsigned forged;
    struct wg_noise noise;
    uint8_t ephemeral[32];
};

/* An initiation of a peer, opened. */
struct wg_opened {
    struct wg_noise noise;
    uint8_t pub[32], ephemeral[32], stamp[SP_WG_STAMP];
    uint32_t sender;
    struct sp_wg_peer *peer; /* NULL: the key is no peer's */
};

struct wg_keys {
    uint8_t send[32], recv[32];
};

/* ---- keypairs ---- */

struct sp_wg_keypair {
    struct wg_entry entry;
    struct sp_wg_keypair *retired_next;
    sp_instant born, heard_at; /* heard_at: of the last message, plus one; 0: none yet */
    sp_duration rekey_after;
    uint32_t remote_index;
    bool initiator;
    uint64_t seen_sealed, seen_opened, seen_opened_bytes; /* what the device knows of the counters below */
    uint8_t send_key[32];
    _Atomic uint64_t counter, sealed_bytes;
    _Atomic uint32_t refs; /* one is the device's, while it is in a slot of its peer */
    _Atomic bool dead, wiped;
    uint8_t recv_key[32];
    struct sp_wg_replay replay;
};

struct wg_source {
    uint64_t hash;
    struct sp_bucket bucket;
};

/* ---- peers ---- */

struct sp_wg_peer {
    struct sp_link link; /* by public key */
    struct sp_wg *wg;
    void *user;
    uint8_t pub[32], psk[32];
    uint8_t shared[32]; /* of both static keys */
    uint8_t mac1_key[32], cookie_key[32];
    uint8_t newest[SP_WG_STAMP]; /* stamp of its last initiation that was taken */
    sp_instant taken_at;

    struct wg_sent sent;
    struct sp_wg_keypair *next, *current, *previous, *older; /* older: received with only, while crossed handshakes settle */

    uint8_t cookie[SP_WG_MAC], mac1[SP_WG_MAC]; /* its cookie for us; the last mac1 that we sent */
    sp_instant cookie_at;                       /* SP_NEVER: none */
    bool mac1_sent;

    struct sp_timer timer; /* due at the earliest of these, or earlier */
    sp_instant retry_at, keepalive_at, silent_at, persistent_at, polled_at, expire_at;
    sp_instant retry_until;
    sp_duration persistent, jitter;
    sp_instant handshake_at, initiation_at, traversal_at; /* last sent initiation or response; initiation; message either way */

    bool want_initiation, want_keepalive, ready, passive;
    struct sp_wg_peer *ready_next, *ready_prev;
    struct sp_wg_peer_stats stats; /* without the keypairs that are in slots */
};

/* ---- the device ---- */

#define SOURCES 512

struct sp_wg {
    struct sp_wg_config config;
    uint8_t pub[32];
    struct wg_noise start; /* before the responder's key is hashed */
    uint8_t mac1_key[32], cookie_key[32];
    uint8_t secrets[2][32]; /* behind cookies: now, before */
    sp_instant secret_at;
    uint64_t stamp_ns; /* of the last initiation, since 1970 */
    uint8_t hash_key[16];
    struct sp_table peers, indices;
    struct sp_timers timers;
    struct sp_wg_peer *ready_first, *ready_last;
    struct sp_wg_keypair *retired; /* dead, but perhaps still held */
    struct sp_bucket calm, most, cookies;
    struct wg_source sources[SOURCES];
    struct sp_wg_counts counts;
};

/* index.c */
SP_CHECK sp_err wg_index_new(struct sp_wg *wg, struct wg_entry *e); /* a fresh index; e->kind and peer are set */
SP_CHECK sp_err wg_index_put(struct sp_wg *wg, struct wg_entry *e, uint32_t index);
void wg_index_drop(struct sp_wg *wg, struct wg_entry *e);
struct wg_entry *wg_index_find(const struct sp_wg *wg, uint32_t index);

/* noise.c */
void wg_noise_start(struct sp_wg *wg);
/* Makes the initiation in p->sent, whose index is set. Without macs. */
void wg_noise_initiate(struct sp_wg *wg, struct sp_wg_peer *p, const uint8_t stamp[SP_WG_STAMP], uint8_t out[SP_WG_INITIATION]);
SP_CHECK sp_err wg_noise_open(struct sp_wg *wg, const struct wg_initiation *m, struct wg_opened *ret);
/* Without macs. ERR_BADKEY: an ephemeral key of small order. */
SP_CHECK sp_err wg_noise_respond(struct sp_wg *wg, struct sp_wg_peer *p, struct wg_opened *o, uint32_t index,
                                 uint8_t out[SP_WG_RESPONSE], struct wg_keys *ret);
SP_CHECK sp_err wg_noise_finish(struct sp_wg *wg, struct sp_wg_peer *p, const struct wg_response *m, struct wg_keys *ret);

/* cookie.c */
void wg_mac_keys(const uint8_t pub[32], uint8_t mac1_key[32], uint8_t cookie_key[32]);
void wg_mac_put(struct sp_wg_peer *p, uint8_t *msg, size_t len, sp_instant now);
bool wg_mac1_good(const struct sp_wg *wg, const uint8_t *msg, size_t len);
bool wg_mac2_good(struct sp_wg *wg, sp_instant now, const uint8_t *from, size_t from_len, const uint8_t *msg, size_t len);
void wg_cookie_make(struct sp_wg *wg, sp_instant now, const uint8_t *from, size_t from_len, const uint8_t *msg, size_t len,
                    uint32_t receiver, uint8_t out[SP_WG_COOKIE]);
SP_CHECK bool wg_cookie_take(struct sp_wg_peer *p, const struct wg_cookie *m, sp_instant now);

/* load.c */
bool wg_rate_take(struct sp_bucket *b, uint32_t per_s, uint32_t burst, sp_instant now);
bool wg_source_take(struct sp_wg *wg, const uint8_t *from, size_t from_len, sp_instant now);

/* slots.c: the keypairs of a peer */
SP_CHECK sp_err wg_keypair_new(struct sp_wg_peer *p, sp_instant now, struct sp_wg_keypair **ret); /* in no slot, without index */
void wg_keypair_discard(struct sp_wg_keypair *k); /* one that no slot has seen */
void wg_slots_initiated(struct sp_wg_peer *p, struct sp_wg_keypair *k);
void wg_slots_responded(struct sp_wg_peer *p, struct sp_wg_keypair *k);
void wg_slots_confirm(struct sp_wg_peer *p);
void wg_slots_expire(struct sp_wg_peer *p, sp_instant now);
void wg_slots_clear(struct sp_wg_peer *p);
bool wg_keypair_usable(const struct sp_wg_keypair *k, sp_instant now);
void wg_reap(struct sp_wg *wg);

/* timer.c: what happens to a peer, and when it acts by itself (P 6) */
void wg_timer_init(struct sp_wg_peer *p);
void wg_timer_arm(struct sp_wg_peer *p);
void wg_timer_fired(struct sp_wg_peer *p, sp_instant now);
void wg_ask(struct sp_wg_peer *p, sp_instant now); /* for a handshake */
void wg_want_keepalive(struct sp_wg_peer *p);
void wg_sent_initiation(struct sp_wg_peer *p, sp_instant now);
void wg_sent_response(struct sp_wg_peer *p, sp_instant now);
void wg_sent_message(struct sp_wg_peer *p, bool data, sp_instant now);
void wg_heard_handshake(struct sp_wg_peer *p, sp_instant now);
void wg_heard_message(struct sp_wg_peer *p, struct sp_wg_keypair *k, bool data, sp_instant now);
void wg_completed(struct sp_wg_peer *p, sp_instant now);
void wg_forget_sent(struct sp_wg_peer *p);
void wg_ready_add(struct sp_wg_peer *p);
void wg_ready_drop(struct sp_wg_peer *p);

#endif
