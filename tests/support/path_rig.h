/* Two agents and a signpost, the real cores, on a small network in virtual time: each agent behind a NAT of its own (nat_model.h), a
 * delay, and a hand that drops what it likes. */
#ifndef SP_TESTS_PATH_RIG_H
#define SP_TESTS_PATH_RIG_H

#include "client/core/mesh.h"
#include "client/core/state.h"
#include "tests/support/nat_model.h"
#include "tests/support/server_rig.h"

#define PATH_FLIGHTS 4096
#define PATH_PACKETS 512
#define PATH_POST    2 /* the signpost's number among the places */

struct path_packet {
    uint8_t *data;
    size_t len;
    sp_instant at;
};

struct path_node {
    struct sp_agent *agent;
    struct sp_agent_config config;
    struct sp_token token;
    struct nat *nat;         /* NULL: none */
    struct sp_addr inside;   /* its address and port */
    uint8_t overlay[16];
    struct path_packet got[PATH_PACKETS]; /* packets for its host */
    unsigned got_count;
    uint8_t *resolved, *reply; /* the newest; owned */
    size_t resolved_len, reply_len;
    bool have_resolved, have_reply;
    struct sp_event forward; /* the newest SP_EV_FORWARD; id 0: none */
    uint8_t forward_query[1500];
    bool udp_blocked;
    uint64_t stream; /* its stream to the signpost; 0: none */
    uint64_t stream_peer;
    size_t sent_bytes;
};

/* Something on its way. */
struct path_flight {
    bool used;
    unsigned to; /* agent, or PATH_POST */
    sp_instant at;
    uint64_t order;
    enum sp_in_kind kind;
    uint64_t id;
    struct sp_addr src, dst;
    uint8_t *data;
    size_t len;
};

struct path_rig {
    struct rig r;
    struct path_node n[2];
    struct path_flight flights[PATH_FLIGHTS];
    uint64_t order;
    sp_duration delay; /* one way, between any two places */
    size_t mtu;        /* of the outer packet; 0: none */
    bool no_direct;    /* what passes between the agents themselves is lost */
    bool no_post;      /* what passes to and from the signpost is lost */
    uint64_t direct, relayed; /* datagrams that passed */
    uint64_t elsewhere;       /* datagrams to nobody of these */
    unsigned lose;            /* so many of a thousand datagrams are lost */
    uint32_t dice;
    /* Streams of userspace mode: what the agent says to one, and that it wants one. NULL: not there. */
    void (*on_stream)(struct path_rig *p, unsigned node, const struct sp_out *out);
    void (*on_connect)(struct path_rig *p, unsigned node, const struct sp_event *ev);
};

/* Joins both ("laptop", "phone"), brings them up, and waits for their sessions. config: of both, may be NULL. */
void path_begin(struct path_rig *p, const struct sp_overlay_config *config);
void path_end(struct path_rig *p);
void path_pass(struct path_rig *p, sp_duration how_long);
/* True: the condition came to hold within `most`. */
bool path_until(struct path_rig *p, bool (*holds)(struct path_rig *p), sp_duration most);
/* The agent's host sends a UDP packet with `size` bytes of payload to the other agent. */
void path_send(struct path_rig *p, unsigned from, size_t size);
/* Whether a packet has reached that host since it was last forgotten. */
bool path_got(const struct path_rig *p, unsigned node);
void path_forget(struct path_rig *p, unsigned node);
void path_links(struct path_rig *p, unsigned node);
/* Another address, behind another NAT. */
void path_move(struct path_rig *p, unsigned node);
void path_resolve(struct path_rig *p, unsigned node, uint64_t id, const char *name, uint16_t type);
void path_control(struct path_rig *p, unsigned node, enum sp_agent_verb verb, const char *arg, const char *arg2);
void path_input(struct path_rig *p, unsigned node, const struct sp_in *in);
struct sp_peer *path_peer(struct path_rig *p, unsigned node); /* the other, as this one knows it; NULL */
bool path_direct(struct path_rig *p, unsigned node);
bool path_relayed(struct path_rig *p, unsigned node);

#endif
