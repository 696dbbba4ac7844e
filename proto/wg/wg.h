/* WireGuard, sans-I/O: handshakes, cookies, timers, keypairs. It knows keys, not addresses: whoever uses it decides where a
 * message goes and takes what comes from anywhere. Wire format, constants and names are those of the WireGuard paper
 * (wireguard.com/papers/wireguard.pdf; section numbers in the sources).
 *
 * One device (sp_wg) has one static key and a bounded table of peers. Single-threaded, but for keypair.h: what was taken
 * there any thread seals and opens with. */
#ifndef SP_WG_WG_H
#define SP_WG_WG_H

#include "proto/base/host.h"
#include "proto/base/mem.h"
#include "proto/base/rng.h"
#include "proto/crypto/crypto.h"

#define SP_WG_INITIATION 148
#define SP_WG_RESPONSE   92
#define SP_WG_COOKIE     64
#define SP_WG_HEAD       16 /* of a data message, before the ciphertext */
#define SP_WG_OVERHEAD   32 /* head and tag */
#define SP_WG_PAD        16 /* plaintexts are padded to a multiple of this */
#define SP_WG_MSG_MAX    SP_WG_INITIATION /* longest message that is not data */
#define SP_WG_FROM_MAX   20 /* bytes of a source, for cookies */

enum sp_wg_type { SP_WG_TYPE_INITIATION = 1, SP_WG_TYPE_RESPONSE, SP_WG_TYPE_COOKIE, SP_WG_TYPE_DATA };

struct sp_wg;
struct sp_wg_peer;

struct sp_wg_config {
    struct sp_mem *mem; /* the owner's; peers and keypairs stand in it */
    uint8_t secret[SP_X25519];
    struct sp_aead aead; /* seal NULL: libsodium's */
    struct sp_rng *rng; /* the owner's */
    /* Our indices are index_base | random & ~index_mask, as the number that is written little endian: with several devices behind
     * one port the fixed bits tell which it is for. The first byte on the wire (the number's lowest) is always >= 0x80. */
    uint32_t index_base, index_mask;
    uint32_t peers;            /* limit */
    uint32_t initiations_per_s; /* answered without a cookie; beyond it cookies are asked for (5.4.7, under load) */
    uint32_t initiations_max;  /* answered at all; beyond it they are dropped; 32 cookies for each at most */
    uint64_t timestamp_floor_s; /* our TAI64N is never at or below this wall second: survives restarts with a clock set back */
    struct sp_trace *trace;    /* may be NULL */
};

SP_CHECK sp_err sp_wg_new(struct sp_wg **ret, const struct sp_wg_config *config, sp_instant now);
/* Wipes all keys; may be NULL. Keypairs that were held must have been released. */
void sp_wg_free(struct sp_wg *wg);
const uint8_t *sp_wg_public(const struct sp_wg *wg);

/* ---- peers ---- */

/* psk may be NULL. `user` is the caller's. ERR_FULL, ERR_EXIST, ERR_BADKEY (small order, our own). */
SP_CHECK sp_err sp_wg_peer_add(struct sp_wg *wg, const uint8_t pub[SP_X25519], const uint8_t psk[32], void *user, sp_instant now,
                               struct sp_wg_peer **ret);
void sp_wg_peer_remove(struct sp_wg *wg, struct sp_wg_peer *p); /* wipes its keys; keypairs that are held elsewhere go dead */
struct sp_wg_peer *sp_wg_peer_find(const struct sp_wg *wg, const uint8_t pub[SP_X25519]); /* NULL */
void *sp_wg_peer_user(const struct sp_wg_peer *p);
const uint8_t *sp_wg_peer_pub(const struct sp_wg_peer *p);
/* Seconds between persistent keepalives; 0 (the start): none. */
void sp_wg_peer_keepalive(struct sp_wg *wg, struct sp_wg_peer *p, unsigned seconds, sp_instant now);
/* Answers handshakes and begins none of its own: for a server whose clients come by themselves, so that many who are silent cost
 * nothing. */
void sp_wg_peer_passive(struct sp_wg_peer *p, bool passive);
/* There is a keypair to send with. */
bool sp_wg_peer_up(const struct sp_wg_peer *p, sp_instant now);
/* Asks for a handshake at once (a new path, a wake-up), if the last initiation is older than 5 s or `force`. */
void sp_wg_peer_handshake(struct sp_wg *wg, struct sp_wg_peer *p, bool force, sp_instant now);
/* Forgets the session: a resumed machine, a signpost that restarted. */
void sp_wg_peer_reset(struct sp_wg *wg, struct sp_wg_peer *p);

struct sp_wg_peer_stats {
    uint64_t sealed, opened, sealed_bytes, opened_bytes; /* messages of data, plaintext bytes */
    sp_instant handshake_at;                              /* of the newest keypair; SP_NEVER: none yet */
    sp_instant heard_at, sent_at;                         /* authenticated message, SP_NEVER: never */
    uint32_t attempts;                                    /* initiations without an answer */
};
void sp_wg_peer_stats(const struct sp_wg_peer *p, struct sp_wg_peer_stats *ret);

/* ---- receiving ---- */

enum sp_wg_got_kind {
    SP_WG_DROPPED,   /* counted; nothing to do */
    SP_WG_REPLY,     /* `reply` goes to where this came from: a handshake response (peer set) or a cookie (peer NULL) */
    SP_WG_UNKNOWN,   /* an initiation by the owner of a key that is no peer (pub): add it and give the message again, or let it be */
    SP_WG_ANSWERED,  /* our handshake succeeded: data may be sent; sp_wg_pull gives the confirmation if there is none */
    SP_WG_DATA,      /* data, len: plaintext in the caller's buffer, padding included */
    SP_WG_KEEPALIVE, /* an empty data message */
};

struct sp_wg_got {
    enum sp_wg_got_kind kind;
    struct sp_wg_peer *peer;
    bool fresh;      /* DATA, KEEPALIVE: the first under a new keypair; for a responder the session is up from here */
    uint8_t *data;
    size_t len;
    uint8_t pub[SP_X25519];
    size_t reply_len;
    uint8_t reply[SP_WG_RESPONSE];
};

/* Takes one message. from: bytes that identify its source (address and port, or a relay channel), at most SP_WG_FROM_MAX, for
 * cookies and rate limits. Plaintext is written to out, which has at least len bytes and may be `data` itself if that is writable.
 * Work: four X25519 and three AEADs at most (an initiation), one AEAD for data; nothing is kept for what does not authenticate. */
void sp_wg_input(struct sp_wg *wg, sp_instant now, sp_wall wall, const uint8_t *from, size_t from_len, const uint8_t *data,
                 size_t len, uint8_t *out, struct sp_wg_got *ret);
/* Whether these bytes have the shape of a WireGuard message (type, zeros, length). No keys are looked at. */
bool sp_wg_shaped(const uint8_t *data, size_t len);
/* Whether an initiation or response carries this device's mac1. */
bool sp_wg_mine(const struct sp_wg *wg, const uint8_t *data, size_t len);
/* Whether a response, cookie or data message carries an index of ours that lives. */
bool sp_wg_index_lives(const struct sp_wg *wg, const uint8_t *data, size_t len);

/* ---- sending ---- */

/* Seals a plaintext of len bytes that stands at buf + SP_WG_HEAD (cap: all of buf; padding and tag follow). The length of the
 * message. ERR_AGAIN: no keypair (a handshake has been asked for: hold the packet until ANSWERED or fresh); ERR_SPACE. */
SP_CHECK sp_err sp_wg_seal(struct sp_wg *wg, struct sp_wg_peer *p, sp_instant now, uint8_t *buf, size_t cap, size_t len,
                           size_t *ret_len);
/* The next message that some peer wants sent of its own accord: initiation, keepalive. False: none now. It counts as sent.
 * Call after every input, expire and seal, until false. */
bool sp_wg_pull(struct sp_wg *wg, sp_instant now, sp_wall wall, struct sp_wg_peer **ret_peer, uint8_t ret[SP_WG_MSG_MAX],
                size_t *ret_len);
/* An initiation to this peer now, whatever the timers say, counted as sent by them; for a message that carries it as its payload.
 * ERR_AGAIN when one was made in this moment already. */
SP_CHECK sp_err sp_wg_initiate(struct sp_wg *wg, struct sp_wg_peer *p, sp_instant now, sp_wall wall, uint8_t ret[SP_WG_INITIATION]);

/* The wall second of the newest initiation's timestamp: what a later run takes as its timestamp_floor_s. 0: none was made. */
uint64_t sp_wg_timestamp_s(const struct sp_wg *wg);
/* Raises timestamp_floor_s: a better clock than the host's has been heard of. */
void sp_wg_timestamp_floor(struct sp_wg *wg, uint64_t wall_s);

/* ---- time ---- */
void sp_wg_expire(struct sp_wg *wg, sp_instant now);
sp_instant sp_wg_deadline(const struct sp_wg *wg);

struct sp_wg_counts {
    uint64_t initiations, responses, cookies_sent, cookies_taken, handshakes; /* handshakes: completed */
    uint64_t dropped_shape, dropped_mac1, dropped_mac2, dropped_rate, dropped_index, dropped_auth, dropped_replay,
        dropped_timestamp, dropped_unknown, dropped_expired, dropped_full;
};
const struct sp_wg_counts *sp_wg_counts(const struct sp_wg *wg);

#endif
