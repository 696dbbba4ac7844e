/* A device on the virtual Internet: an agent's core, a host with UDP sockets and streams, and the programs behind it,
 * which see packets and names alone. Driven by the five calls as client/linux does. */
#ifndef SP_TESTS_SIM_DEVICE_H
#define SP_TESTS_SIM_DEVICE_H

#include "client/core/agent.h"
#include "tests/sim/stream.h"

#define SIM_DEVICE_REPLY 65536

struct sim_device;

/* What its programs get. */
struct sim_programs {
    void (*packet)(void *ctx, struct sim_device *d, const uint8_t *packet, size_t len);
    void (*resolved)(void *ctx, struct sim_device *d, uint64_t id, const uint8_t *reply, size_t len);
    void *ctx;
    /* In userspace mode: what the agent says to a local stream, and that it wants one. */
    void (*stream)(void *ctx, struct sim_device *d, const struct sp_out *out);
    void (*connect)(void *ctx, struct sim_device *d, const struct sp_event *ev);
    void *stream_ctx;
};

struct sim_device {
    struct sim *sim;
    struct sim_host host;
    unsigned number;
    uint16_t port; /* of its sockets */
    struct sp_name name;
    struct sp_token token;
    struct sp_agent_config config; /* what it starts with */
    struct sp_agent_memory memory; /* what it has stored */
    struct sp_agent *core;         /* NULL: not running */
    struct sim_programs programs;
    sp_instant armed;   /* the earliest expiry that is set */
    sp_instant woken_at; /* its last expiry, and how many there were in that moment */
    unsigned woken;
    sp_duration behind; /* how long it has slept: its monotonic clock stood still */
    int64_t skew_ns;    /* of its wall clock */
    sp_instant asleep;  /* since; 0: awake */
    bool stopped;       /* the core has asked for the end */
    uint8_t overlay[16];
    uint8_t *reply; /* to the newest control request */
    size_t reply_len;
    bool replied;
    uint64_t next_id;
    uint64_t wire_in, wire_out; /* bytes of datagrams */
    size_t granted;             /* bytes of chunks */
};

/* What the agent says of one of its peers in STATUS. */
struct sim_peer_view {
    char state[16], tactic[24], why[200], endpoint[64];
    bool mtu_full;
    uint64_t rtt_us;
};

void sim_device_init(struct sim_device *d, struct sim_internet *net, unsigned number,
                     const struct sim_programs *programs);
void sim_device_free(struct sim_device *d);
/* Into a network, with these addresses; a running agent hears of it 20 ms later. */
void sim_device_move(struct sim_device *d, struct sim_lan *lan, const struct sp_addr *addrs, unsigned n);
/* With the invite as text: makes its identity and starts to join. The core stops when that is done. */
void sim_device_join(struct sim_device *d, const char *token);
bool sim_device_joined(const struct sim_device *d);
/* Starts the agent (again), with the overlay on. */
void sim_device_up(struct sim_device *d);
/* The process is killed. */
void sim_device_kill(struct sim_device *d);
void sim_device_sleep(struct sim_device *d);
/* hears: its network manager tells of the addresses again. */
void sim_device_wake(struct sim_device *d, bool hears);

/* From its programs. */
void sim_device_packet(struct sim_device *d, const uint8_t *packet, size_t len);
void sim_device_stream(struct sim_device *d, const struct sp_in *in); /* of userspace mode; not from within the two above */
void sim_device_resolve(struct sim_device *d, uint64_t id, const uint8_t *query, size_t len);
/* STATUS; what it says of this peer (name as text). False: nothing. */
bool sim_device_peer(struct sim_device *d, const char *name, struct sim_peer_view *ret);
/* An item within "session" or "net" of STATUS as text ("" when there is none). */
void sim_device_status(struct sim_device *d, const char *record, const char *key, char *ret, size_t cap);

#endif
