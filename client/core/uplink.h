/* The uplink: the agent's end of the control session with its signpost. Keeps the WireGuard session alive over UDP, over a TCP stream
 * when UDP brings nothing; asks and is told inside it (proto/control/session.h). */
#ifndef SP_AGENT_UPLINK_H
#define SP_AGENT_UPLINK_H

#include "client/core/hop.h"
#include "client/core/path.h"
#include "proto/control/session.h"
#include "proto/wg/wg.h"

#define SP_UPLINK_REQUESTS   24
#define SP_UPLINK_TRIES      5
#define SP_UPLINK_WAIT       (10 * SP_SEC) /* a request waits no longer for the session */
#define SP_UPLINK_TCP_AFTER  (3 * SP_SEC)  /* without an answer over UDP */
#define SP_UPLINK_UDP_EVERY  (30 * SP_SEC) /* tried again while on TCP */
#define SP_UPLINK_RETRY_MAX  (15 * SP_SEC)
#define SP_UPLINK_FRAME      2048          /* longest message of the stream */
#define SP_UPLINK_PULL_EVERY SP_SEC        /* not oftener on behalf of strangers */

#define SP_UPLINK_STATE_LIST(X)                                                                                        \
    X(DOWN, "down")                                                                                                    \
    X(CONNECTING, "connecting")                                                                                        \
    X(UP, "up")

enum sp_uplink_state {
#define X(name, text) SP_UPLINK_##name,
    SP_UPLINK_STATE_LIST(X)
#undef X
};
const char *sp_uplink_state_text(unsigned state);

enum sp_request_kind { SP_REQ_FREE, SP_REQ_PROFILE, SP_REQ_CONNECT, SP_REQ_PEERS, SP_REQ_KEY, SP_REQ_ASK };

struct sp_request {
    uint8_t kind, tries;
    uint16_t id, type;
    sp_instant born, at; /* at: when to send it next */
    struct sp_peer *peer; /* CONNECT */
    uint64_t lookup;      /* ASK */
    struct sp_name name;
    size_t len; /* 0: not written yet */
    uint8_t wire[SP_SESSION_MSG];
};

/* The stream's next message, as far as it came. */
struct sp_uplink_frame {
    uint8_t head[2];
    uint8_t head_len;
    uint16_t want, have;
    uint8_t data[SP_UPLINK_FRAME];
};

struct sp_uplink {
    uint8_t state;
    struct sp_wg_peer *wg;
    struct sp_path path; /* PINGs of the session; addr: where the signpost answers */
    bool tcp;            /* the session is on the stream */
    bool stream_wanted, stream_asked, stream_open;
    bool udp_too;        /* the next initiation goes to all addresses, whatever is in use */
    uint64_t stream;
    unsigned stream_addr;
    size_t credit;
    sp_instant since, retry_at, tcp_at, udp_at, relayed_at;
    unsigned attempts;
    struct sp_addr seen; /* of us, by the signpost; family 0: not known */
    sp_err last_err;

    bool have_seq;
    struct sp_seq seq;
    uint64_t seq_mask; /* bit k: sequence - 1 - k came too */

    bool profile_due, profile_known;
    sp_instant profile_at;
    uint8_t profile[SP_PROFILE_MAX];
    size_t profile_len;

    bool pull_wanted, pulling;
    sp_instant pull_at, pull_began;

    uint16_t next_id;
    uint64_t next_stream;
    struct sp_request requests[SP_UPLINK_REQUESTS];
    struct sp_uplink_frame frame;
    uint64_t pushes, pushes_again, dropped;
};

struct sp_mesh;
struct sp_peer;
void sp_uplink_init(struct sp_mesh *mesh);
void sp_uplink_start(struct sp_mesh *mesh);
void sp_uplink_stop(struct sp_mesh *mesh);
bool sp_uplink_up(const struct sp_mesh *mesh);
/* The way to the signpost. False: none yet. */
bool sp_uplink_hop(const struct sp_mesh *mesh, struct sp_hop *ret);

/* The largest outer packet that is known to reach the signpost; 0: not known. */
uint16_t sp_uplink_mtu(const struct sp_mesh *mesh);

/* ---- asking ---- */
/* A plan for this peer; first: an initiation that is made already, or NULL. False: too much is being asked. */
bool sp_uplink_connect(struct sp_mesh *mesh, struct sp_peer *p, const uint8_t *first, size_t first_len);
/* The KEY of a name: sp_lookup_named follows. */
bool sp_uplink_key(struct sp_mesh *mesh, const struct sp_name *name);
/* Another question of the zone for a program: sp_lookup_reply follows. */
bool sp_uplink_ask(struct sp_mesh *mesh, uint64_t lookup, const struct sp_name *name, uint16_t type);
void sp_uplink_pull(struct sp_mesh *mesh);          /* the list of peers, soon */
void sp_uplink_profile(struct sp_mesh *mesh);       /* ours may have changed */
void sp_uplink_check(struct sp_mesh *mesh);         /* a PING now: it also tells the signpost where we are */
void sp_uplink_forget(struct sp_mesh *mesh, const struct sp_peer *p);
void sp_uplink_registered(struct sp_mesh *mesh);
void sp_uplink_moved(struct sp_mesh *mesh);

/* ---- what comes ---- */
void sp_uplink_handshake(struct sp_mesh *mesh, const uint8_t *msg, size_t len); /* of our own: to be sent */
void sp_uplink_keyed(struct sp_mesh *mesh, const struct sp_hop *from);
void sp_uplink_heard(struct sp_mesh *mesh, const struct sp_hop *from);
void sp_uplink_probe(struct sp_mesh *mesh, const struct sp_hop *from, const struct sp_probe *probe);
/* Whether this DNS message, from the signpost's port 53 to our control port, was taken (it always is). */
void sp_uplink_message(struct sp_mesh *mesh, const uint8_t *data, size_t len);
/* A device as a source names it; drops a peer whose key has changed. */
struct sp_dir_entry *sp_uplink_learn(struct sp_mesh *mesh, const struct sp_name *name, const uint8_t pub[SP_ED25519_PUB]);
void sp_uplink_gone(struct sp_mesh *mesh, const struct sp_name *name);

/* ---- time, the stream ---- */
void sp_uplink_expire(struct sp_mesh *mesh);
sp_instant sp_uplink_deadline(const struct sp_mesh *mesh);
bool sp_uplink_event(struct sp_mesh *mesh, struct sp_event *ret);
void sp_uplink_stream(struct sp_mesh *mesh, const struct sp_in *in); /* the SP_IN_STREAM kinds */

/* ---- between uplink.c, request.c and push.c ---- */
void sp_request_expire(struct sp_mesh *mesh);
sp_instant sp_request_deadline(const struct sp_mesh *mesh);
void sp_request_flush(struct sp_mesh *mesh); /* what waited for the session goes out */
void sp_request_reply(struct sp_mesh *mesh, const uint8_t *data, size_t len);
void sp_request_clear(struct sp_mesh *mesh);
/* The signpost named its run and its last push. */
void sp_uplink_sequence(struct sp_mesh *mesh, const struct sp_seq *seq);
void sp_uplink_push(struct sp_mesh *mesh, const struct sp_session_msg *msg);
/* Sends a DNS message to the signpost, from our control port. */
void sp_uplink_say(struct sp_mesh *mesh, const uint8_t *msg, size_t len);

#endif
