/* A whole world: the virtual Internet, a signpost, devices, and programs on them that talk to each other by name. What
 * must always hold is checked all the time: a packet reaches the device that it is for, from the one that it says, as
 * it was sent, and none of its bytes is seen on a wire. */
#ifndef SP_TESTS_SIM_WORLD_H
#define SP_TESTS_SIM_WORLD_H

#include "tests/sim/device.h"
#include "tests/sim/signpost.h"

#define SIM_ZONE         "me.signpost."
#define SIM_DEVICES_MAX  320
#define SIM_FLOWS_MAX    1024
#define SIM_MARKER       16
#define SIM_PAYLOAD_HEAD (SIM_MARKER + 24) /* of a program's datagram */
#define SIM_PAYLOAD_MAX  (1280 - 48)

/* A program that sends numbered datagrams to another device, every `period`, and gets each back. */
struct sim_flow {
    unsigned number;
    struct sim_device *from, *to;
    bool running, resolving, have_addr;
    uint32_t turn;
    uint8_t addr[16];
    sp_duration period;
    size_t size;   /* of the payload */
    uint64_t most; /* 0, or how many messages there are: each is sent until it is echoed */
    uint8_t *acks; /* of these: one byte each */
    uint64_t acked, next;
    uint64_t sent, delivered, echoed;
    uint64_t seq_delivered, seq_echoed; /* highest */
    sp_instant asked_at, first_sent_at, first_delivered_at, first_echo_at, last_delivered_at,
        last_echo_at;      /* 0: not yet */
    sp_duration worst_gap; /* between two echoes since the last sim_flow_mark */
    int rcode;             /* of the newest answer to the name; -1 */
    uint64_t resolve_id;
};

struct sim_world {
    struct sim *sim;
    struct sim_internet net;
    struct sim_signpost post;
    struct sim_device *devices[SIM_DEVICES_MAX];
    unsigned n_devices;
    struct sim_flow flows[SIM_FLOWS_MAX];
    unsigned n_flows;
    struct sim_letter *letters; /* programs' datagrams that are about to be sent */
    uint8_t marker[SIM_MARKER];
    uint64_t delivered, unreachable; /* programs' datagrams; ICMP errors */
    /* Sees every datagram and piece of a stream that is sent; may be NULL. */
    void (*watch)(void *ctx, const struct sim_host *from, const struct sp_addr *src, const struct sp_addr *dst,
                  const uint8_t *data, size_t len);
    void *watch_ctx;
    uint64_t steps_now; /* events at one instant: a world that does not get on */
    sp_instant step_at;
};

struct sim_world *sim_world_new(struct sim *sim, unsigned devices);
void sim_world_free(struct sim_world *w);
void sim_world_run(struct sim_world *w, sp_duration how_long);
/* Runs until the condition holds; false: it did not within `most`. */
bool sim_world_until(struct sim_world *w, bool (*holds)(struct sim_world *w, void *arg), void *arg, sp_duration most);

/* A device in a network, not joined. */
struct sim_device *sim_world_device(struct sim_world *w, struct sim_lan *lan, const struct sp_addr *addrs, unsigned n);
/* Boots the signpost, invites every device that has not joined, joins it, brings it up and waits for its control
 * session. */
void sim_world_begin(struct sim_world *w);
void sim_world_enroll(struct sim_world *w);
bool sim_world_sessions(struct sim_world *w, void *unused); /* every running agent has its control session */

/* A device's name as text, with the final dot. */
const char *sim_name_text(const struct sim_device *d, char ret[SP_NAME_TEXT_MAX]);

/* A program on `from` that wants to talk to `to`: it asks for the name now and sends when it is answered. */
struct sim_flow *sim_flow_new(struct sim_world *w, struct sim_device *from, struct sim_device *to, sp_duration period,
                              size_t size);
void sim_flow_start(struct sim_world *w, struct sim_flow *f);
void sim_flow_stop(struct sim_flow *f);
/* Before it starts: it sends so many messages, each again until it comes back. */
void sim_flow_reliable(struct sim_flow *f, uint64_t messages);
/* Starts the measure of gaps anew. */
void sim_flow_mark(struct sim_world *w, struct sim_flow *f);
/* An echo has come since then. */
bool sim_flow_since(const struct sim_flow *f, sp_instant then);
/* What its agent says of the path: direct, relay, ...; "" when it says nothing. */
void sim_flow_state(struct sim_flow *f, struct sim_peer_view *ret);
bool sim_flow_direct(struct sim_flow *f);

#endif
