/* The agent's registrar: joins a zone, keeps the device's identity and presence registered, leaves. Sans-I/O. */
#ifndef SP_AGENT_AGENT_H
#define SP_AGENT_AGENT_H

#include "proto/base/host.h"
#include "proto/base/rng.h"
#include "proto/base/trace.h"
#include "proto/control/join.h"
#include "proto/crypto/crypto.h"
#include "proto/nat/nat.h"

#define SP_AGENT_PUBLISH_MAX 16 /* addresses published at once */
#define SP_AGENT_PUBLISHED_MAX                                                                                         \
    32 /* addresses that may stand at the signpost: these, and older ones not yet withdrawn */
#define SP_AGENT_LINK_MAX      64 /* addresses of the host that are looked at */
#define SP_AGENT_LEASE_DEFAULT 3600
#define SP_AGENT_LEASE_MIN     30
#define SP_AGENT_LEASE_MAX     (7u * 86400)

#define SP_AGENT_STATE_LIST(X)                                                                                         \
    X(IDLE, "idle")               /* not asked for anything */                                                         \
    X(JOINING, "joining")         /* the invite has been sent */                                                       \
    X(JOINED, "joined")           /* join is done */                                                                   \
    X(REGISTERING, "registering") /* identity and presence sent, no answer yet */                                      \
    X(UP, "up")                   /* leased; refreshed at 80% of the lease */                                          \
    X(RETRYING, "retrying")       /* the last attempt failed; backing off */                                           \
    X(WITHDRAWING, "withdrawing") /* down: presence being removed */                                                   \
    X(LEAVING, "leaving")         /* leave: identity being removed */                                                  \
    X(DONE, "done")               /* down or leave has finished */                                                     \
    X(REFUSED, "refused")         /* the signpost said no; up asks again, slowly */                                    \
    X(FAILED, "failed")           /* join, down or leave gave up */

enum sp_agent_state {
#define X(name, text) SP_AGENT_##name,
    SP_AGENT_STATE_LIST(X)
#undef X
};
const char *sp_agent_state_text(enum sp_agent_state state);

/* What makes the device itself: stored 0600 (stored.h), made by join. */
struct sp_agent_identity {
    struct sp_name zone, name;
    uint8_t root_hash[SP_ROOT_HASH];
    uint8_t signpost_pub[SP_ED25519_PUB];
    struct sp_addr addrs[SP_TOKEN_ADDRS]; /* of the signpost */
    unsigned addr_count;
    uint8_t device_seed[SP_ED25519_SEED];
    bool pending; /* the invite was sent, no answer was seen: the same token may be tried again with this key */
};
/* The identity that an invite offers, with a fresh seed of the device's own; pending. */
void sp_agent_identity_make(struct sp_agent_identity *ret, const struct sp_token *token,
                            const uint8_t seed[SP_ED25519_SEED]);

/* What the agent must remember across restarts besides; the host stores it whenever `generation` has changed, before it
 * sends the next output. */
struct sp_agent_memory {
    uint64_t signed_at; /* wall second of the newest signature (0: none): the next is never older, or the signpost sees
                           a replay */
    struct sp_addr published[SP_AGENT_PUBLISHED_MAX]; /* may stand at the signpost */
    unsigned published_count;
    uint32_t generation; /* not stored */
};

/* Userspace mode: no network device, no privileges. The overlay ends in the agent; local programs come by a proxy (SOCKS5 and HTTP
 * CONNECT) or by forwards to one device's port, and peers come to the ports that are served. The host listens at the addresses of
 * proxies and forwards; the stream of a connection tells by its `dst` which it is. */
#define SP_USERSPACE_PROXIES  4
#define SP_USERSPACE_FORWARDS 32
#define SP_USERSPACE_SERVES   32
#define SP_USERSPACE_STREAMS  512

struct sp_userspace_config {
    bool on;
    uint32_t streams; /* connections at once; 0: SP_USERSPACE_STREAMS */
    unsigned proxy_count, forward_count, serve_count;
    struct sp_addr proxies[SP_USERSPACE_PROXIES];
    struct sp_userspace_forward {
        struct sp_addr listen;
        struct sp_name name; /* of the zone */
        uint16_t port;
    } forwards[SP_USERSPACE_FORWARDS];
    struct sp_userspace_serve {
        uint16_t port; /* of our overlay address */
        struct sp_addr target;
    } serves[SP_USERSPACE_SERVES];
};

/* The overlay: tunnels to peers, the control session, the local resolver. Off: the agent only registers. */
struct sp_overlay_config {
    bool on;
    struct sp_grant grant; /* its memory; bounded by the limits */
    struct sp_aead aead;   /* seal NULL: libsodium's */
    uint32_t peers;        /* with sessions at once; 0: 1024 */
    uint32_t names;        /* of the directory; 0: 16384 */
    bool no_relay, no_direct;
    bool forward, search;  /* of the resolver (resolver.h) */
    bool tun_udp;          /* the TUN device takes joined UDP (USO) */
    bool no_udp;           /* the control session over TCP from the start */
    uint16_t mtu;          /* of the TUN device; 0: 1280 */
    struct sp_addr stun[8]; /* servers for behaviour discovery besides the signpost's own addresses */
    unsigned stun_count;
    struct sp_candidate extra[4]; /* candidates that the owner gives, or a port mapping */
    unsigned extra_count;
    struct sp_userspace_config userspace;
};

struct sp_agent_config {
    struct sp_agent_identity id;
    struct sp_overlay_config overlay;
    struct sp_agent_memory memory;
    uint32_t lease_s;                             /* asked for; 0: the default */
    bool publish_auto;                            /* publish the global addresses that the host reports */
    bool publish_private;                         /* and the private ones */
    struct sp_addr publish[SP_AGENT_PUBLISH_MAX]; /* published besides, first */
    unsigned publish_count;
    uint8_t seed[SP_RNG_SEED];
    struct sp_trace trace;
};

/* Datagrams that changed nothing, by reason. */
struct sp_agent_counts {
    uint64_t sent, accepted, refused;
    uint64_t dropped_form;  /* not a DNS reply to an update */
    uint64_t dropped_stray; /* of no request in flight, or not from where it was sent */
    uint64_t dropped_unsigned;
    uint64_t dropped_key; /* signed by another than the signpost */
    uint64_t dropped_sig; /* the signature does not verify, or covers another request */
    uint64_t superseded;  /* refusals of a request after which a newer one was sent */
};

struct sp_agent_status {
    enum sp_agent_state state;
    uint8_t overlay[16];
    uint32_t lease_s;                  /* granted; 0: none */
    sp_instant registered_at, next_at; /* SP_NEVER when not */
    int last_rcode;                    /* of the last signed reply; -1: none */
    sp_err last_err;                   /* why the last attempt failed; ERR_AGAIN: no answer */
    int last_ede;                      /* -1: none */
    char last_ede_text[128];           /* printable ASCII */
    int unsigned_rcode; /* of the last reply that was dropped for want of a signature; a hint, no more; -1 */
    int unsigned_ede;
    char unsigned_text[128];                        /* its reason, printable ASCII */
    uint32_t attempts;                              /* since the last success */
    struct sp_addr signpost;                        /* in use */
    struct sp_addr published[SP_AGENT_PUBLISH_MAX]; /* acknowledged */
    unsigned published_count;
    int64_t clock_offset_s; /* learnt from a signed refusal, for SIG(0) alone */
    struct sp_agent_counts counts;
};

/* The agent is one struct of fixed size; the caller owns the memory and wipes it (sp_agent_wipe), which gives back what the overlay
 * was granted. */
struct sp_agent;
size_t sp_agent_size(void);
/* ERR_FULL: no memory for the overlay; ERR_BADKEY: the signpost's key is none. The agent is wiped then. */
SP_CHECK sp_err sp_agent_init(struct sp_agent *a, const struct sp_agent_config *config, sp_instant now);
void sp_agent_wipe(struct sp_agent *a);

/* What the owner asks for. join and up start from IDLE, JOINED, DONE, FAILED; down and leave from everything but a join
 * under way; else ERR_STATE. join takes the invite that the identity was made from (ERR_BADKEY: of another name or
 * zone). join, down and leave end in JOINED, DONE, REFUSED or FAILED and SP_EV_STOP; up goes on until down or leave. */
SP_CHECK sp_err sp_agent_join(struct sp_agent *a, const struct sp_token *token, sp_instant now);
SP_CHECK sp_err sp_agent_up(struct sp_agent *a, sp_instant now);
SP_CHECK sp_err sp_agent_down(struct sp_agent *a, sp_instant now);
SP_CHECK sp_err sp_agent_leave(struct sp_agent *a, sp_instant now);
/* The process ends: what lives in it alone ends too (connections of userspace mode), and peers are told. The name stays registered.
 * SP_EV_STOP follows the last outputs. */
void sp_agent_quit(struct sp_agent *a, sp_instant now);
void sp_agent_status(const struct sp_agent *a, struct sp_agent_status *ret);
void sp_agent_memory(const struct sp_agent *a, struct sp_agent_memory *ret);

/* Control verbs, in the operator protocol's frame (proto/control/operator.h). STATUS is answered at once, DOWN and
 * LEAVE when they have ended.
 *   STATUS    -> as before, and with an overlay: "session" (RECORD: "state" down|connecting|up, "via" udp|tcp, "endpoint", "since_s",
 *                "rtt_us", "last_error"), "net" (RECORD: "mapping", "filtering", "mapped" LIST of STR), and "peers" (LIST of RECORD:
 *                "name", "address", "state" idle|connecting|relay|direct|offline, "tactic", "endpoint", "why" (a sentence), "rtt_us",
 *                "mtu_full" BOOL, "sealed_bytes", "opened_bytes", "since_s", "handshake_ago_s", "tried" (LIST of STR))
 *   PING      name (as text; a single label is one of the zone), timeout ms as text -> "name", "address", "via" (the tactic's text),
 *             "endpoint", "rtt_us", "direct" BOOL; failed: no such device, no answer within the timeout, not up
 *   NETCHECK  runs behaviour discovery, then -> "udp" "ipv4" "ipv6" BOOL, "mapping", "filtering", "hairpin" (yes|no|unknown),
 *             "mapped" LIST, "mtu" U64 (0: not known), "signposts" LIST of RECORD ("address", "rtt_us" or "error")
 * In userspace mode STATUS has "userspace" (RECORD: "proxies" LIST of STR, "forwards" LIST of RECORD ("listen", "name", "port"), "serves"
 * LIST of RECORD ("port", "target"), "connections" U64, "limit" U64, "counts" RECORD, "refusals" RECORD: by reason, those that came). */
enum sp_agent_verb { SP_AGENT_OP_STATUS = 1, SP_AGENT_OP_DOWN, SP_AGENT_OP_LEAVE, SP_AGENT_OP_PING, SP_AGENT_OP_NETCHECK };

/* The host contract. Inputs: SP_IN_DATAGRAM, SP_IN_LINK (all addresses of the host), SP_IN_CONTROL; with an overlay also
 * SP_IN_PACKET, SP_IN_RESOLVE, SP_IN_FORWARDED and streams of SP_EV_CONNECT; in userspace mode also streams of local programs. Outputs likewise, SP_OUT_PACKET among them.
 * A datagram that an input holds in its `dst` tells our own port: the socket's, for host candidates.
 * Events: SP_EV_STOP when a one-shot has ended; SP_EV_CONNECT, SP_EV_FORWARD. ERR_UNSUP for other inputs. A bad datagram is counted, never an error.
 */
SP_CHECK sp_err sp_agent_input(struct sp_agent *a, sp_instant now, sp_wall wall, const struct sp_in *in, size_t n,
                               size_t *taken);
void sp_agent_expire(struct sp_agent *a, sp_instant now, sp_wall wall);
sp_instant sp_agent_deadline(const struct sp_agent *a);
size_t sp_agent_output(struct sp_agent *a, sp_instant now, sp_wall wall, struct sp_out *out, size_t n);
bool sp_agent_event(struct sp_agent *a, struct sp_event *ret);

#endif
