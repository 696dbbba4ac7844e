/* Userspace mode: the overlay ends in the agent itself, at a point (proto/net/point.h) instead of a network device. Local programs come
 * by a proxy or by forwards; peers come to the ports that the owner serves. Each connection is a pair: a local stream of the host's,
 * and a TCP connection of the overlay's. Pure.
 *
 * userspace.c joins it to the overlay (userspace_report.c tells of it), dial.c brings pairs about, pair.c carries their bytes. */
#ifndef SP_AGENT_USERSPACE_H
#define SP_AGENT_USERSPACE_H

#include "client/core/agent.h"
#include "client/core/directory.h"
#include "client/core/proxy.h"
#include "proto/base/ring.h"
#include "proto/base/table.h"
#include "proto/base/timers.h"
#include "proto/net/point.h"

#define SP_USERSPACE_PEER     128 /* of them, by one peer's wish */
#define SP_USERSPACE_WINDOW   (1u << 20) /* bytes that wait in a connection, each way */
#define SP_USERSPACE_ASK_FOR  (30 * SP_SEC) /* a program has so long to say what it wants, */
#define SP_USERSPACE_DIAL_FOR (20 * SP_SEC) /* a device to answer, and */
#define SP_USERSPACE_LOCAL_FOR (15 * SP_SEC) /* a local server */
/* Streams that this core connects have this bit beside SP_CONNECT_ID; the uplink's have it not. */
#define SP_USERSPACE_ID (UINT64_C(1) << 61)

/* Bytes that cannot go on yet. */
struct sp_hold {
    uint8_t *data;
    size_t at, len, cap;
};

enum sp_pair_kind { SP_PAIR_PROXY, SP_PAIR_FORWARD, SP_PAIR_SERVE };
enum sp_pair_state {
    SP_PAIR_ASKING,     /* the proxy's client says what it wants */
    SP_PAIR_NAMING,     /* the device is being looked up */
    SP_PAIR_CONNECTING, /* and connected */
    SP_PAIR_LOCAL,      /* the served target is being connected */
    SP_PAIR_FLOWING,
};
enum sp_pair_fate { SP_PAIR_LIVES, SP_PAIR_CLOSES, SP_PAIR_RESETS }; /* what the local stream is to be told, and then it is gone */

struct sp_pair {
    struct sp_link link; /* by stream */
    struct sp_ring all, busy;
    struct sp_timer timer;
    uint8_t kind, state, fate;
    bool connect; /* SP_EV_CONNECT waits to be pulled */
    bool asked;   /* NAMING: the signpost was asked */

    uint64_t stream;
    size_t credit;  /* bytes that the host takes for it */
    size_t allowed; /* bytes that it may still give */
    size_t own;     /* of what it has taken and not credited: answers of the proxy's */
    bool by_credit, local_ended, told_end; /* told_end: the peer's end was passed on */
    bool local_gone; /* it has ended well, and what it said is still to be passed on */
    struct sp_hold to_local;

    struct sp_tcp_conn *conn; /* NULL: none yet, or over */
    bool peer_ended, conn_ended;
    struct sp_hold to_peer;

    struct sp_name name; /* of the device; len 0: by address */
    uint8_t addr[16];
    uint16_t port;
    uint8_t proxy; /* enum sp_proxy_kind */
    bool greeted;
    uint8_t *ask; /* ASKING: SP_PROXY_ASK_MAX bytes */
    size_t ask_len;
};

/* Connections that did not come about, or broke for a reason of ours. */
#define SP_USERSPACE_COUNT_LIST(X)                                                    \
    X(opened)        /* pairs that came to flow */                                    \
    X(ended)         /* of them, by both sides' wish */                               \
    X(broken)        /* of them, otherwise */                                         \
    X(refused_full)  /* pairs, or memory */                                           \
    X(refused_peer)  /* one peer's share */                                           \
    X(local_failed)  /* served targets that could not be connected */                 \
    X(local_silent)  /* programs that did not say what they wanted */                 \
    X(unknown)       /* streams of no listener that we know */                        \
    X(to_peers)      /* bytes */                                                      \
    X(to_local)

struct sp_userspace_counts {
#define X(name) uint64_t name;
    SP_USERSPACE_COUNT_LIST(X)
#undef X
    uint64_t refusals[SP_PROXY_RESULTS];
};

struct sp_userspace {
    struct sp_point *point;
    struct sp_tcp *tcp;
    struct sp_table streams;
    struct sp_ring all, busy;
    struct sp_timers timers;
    unsigned pairs, limit;
    uint64_t next_stream;
    bool more; /* something waits for room in the outgoing */
    struct sp_userspace_counts counts;
};

struct sp_mesh;

/* ---- the overlay's side (userspace.c) ---- */
/* Nothing when the configuration does not ask for it. ERR_FULL; ERR_RANGE: a forward to a name outside of the zone. */
SP_CHECK sp_err sp_userspace_new(struct sp_mesh *mesh);
void sp_userspace_free(struct sp_mesh *mesh);
/* All of the functions below do nothing without it. A packet that came through the tunnel, checked to be a peer's, to us. */
void sp_userspace_packet(struct sp_mesh *mesh, const uint8_t *packet, size_t len, const struct sp_offload *offload);
/* Whether it is about a stream of these: a local program's, or one to a served target. */
bool sp_userspace_stream_is(const struct sp_mesh *mesh, const struct sp_in *in);
void sp_userspace_stream(struct sp_mesh *mesh, const struct sp_in *in);
void sp_userspace_settle(struct sp_mesh *mesh); /* ends a batch of inputs: credit, segments and acknowledgements go out */
void sp_userspace_expire(struct sp_mesh *mesh);
sp_instant sp_userspace_deadline(const struct sp_mesh *mesh);
bool sp_userspace_event(struct sp_mesh *mesh, struct sp_event *ret);
/* Ends all connections; their peers are told. */
void sp_userspace_stop(struct sp_mesh *mesh);

/* "userspace" of the status (agent.h). */
void sp_userspace_report(const struct sp_mesh *mesh, struct sp_wr *wr);

struct sp_peer;
/* A name's KEY was asked for (as sp_lookup_named). */
void sp_userspace_named(struct sp_mesh *mesh, const struct sp_name *name, sp_err err);
void sp_userspace_trouble(struct sp_mesh *mesh, const struct sp_peer *p); /* there is no path to it */
void sp_userspace_bye(struct sp_mesh *mesh, const struct sp_peer *p);     /* it has gone, and its connections with it */

/* ---- bringing pairs about (dial.c) ---- */
void sp_dial_opened(struct sp_mesh *mesh, const struct sp_in *in); /* a program has connected to a listener */
void sp_dial_asked(struct sp_mesh *mesh, struct sp_pair *pair, const uint8_t *data, size_t len); /* says what it wants */
void sp_dial_name(struct sp_mesh *mesh, struct sp_pair *pair);                                   /* looks the device up, connects */
void sp_dial_connect(struct sp_mesh *mesh, struct sp_pair *pair, struct sp_dir_entry *e);
void sp_dial_connected(struct sp_mesh *mesh, struct sp_pair *pair);
void sp_dial_fail(struct sp_mesh *mesh, struct sp_pair *pair, enum sp_proxy_result why);
void sp_dial_accept(struct sp_mesh *mesh, struct sp_tcp_conn *conn); /* a peer has connected to a served port */
void sp_dial_late(struct sp_mesh *mesh, struct sp_pair *pair);       /* its time is over */

/* ---- carrying bytes (pair.c) ---- */
/* NULL: full, counted. */
struct sp_pair *sp_pair_new(struct sp_mesh *mesh, enum sp_pair_kind kind, uint64_t stream);
struct sp_pair *sp_pair_find(const struct sp_mesh *mesh, uint64_t stream);
void sp_pair_free(struct sp_mesh *mesh, struct sp_pair *pair);
/* Both ends are dropped. */
void sp_pair_break(struct sp_mesh *mesh, struct sp_pair *pair);
/* The settle looks at it. */
void sp_pair_mark(struct sp_mesh *mesh, struct sp_pair *pair);
void sp_pair_flow(struct sp_mesh *mesh, struct sp_pair *pair); /* both ends are there */
void sp_pair_say(struct sp_mesh *mesh, struct sp_pair *pair, const uint8_t *data, size_t len); /* words of the proxy's own */
void sp_pair_local_open(struct sp_mesh *mesh, struct sp_pair *pair, size_t credit); /* the served target is connected */
void sp_pair_local_data(struct sp_mesh *mesh, struct sp_pair *pair, const uint8_t *data, size_t len);
void sp_pair_local_credit(struct sp_mesh *mesh, struct sp_pair *pair, size_t credit);
void sp_pair_local_end(struct sp_mesh *mesh, struct sp_pair *pair);
void sp_pair_local_close(struct sp_mesh *mesh, struct sp_pair *pair, sp_err err);
void sp_pair_peer_event(struct sp_mesh *mesh, struct sp_pair *pair, const struct sp_tcp_event *ev);
/* Passes on what waits, gives credit, ends what has ended. It may be freed. */
void sp_pair_settle(struct sp_mesh *mesh, struct sp_pair *pair);

#endif
