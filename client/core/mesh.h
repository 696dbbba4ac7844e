/* The overlay: what an agent does beside registering. Tunnels to peers, the control session ("uplink"), paths, the local resolver.
 * agent.c drives it by the same five calls as itself; this header is also the state that the files of the overlay share. */
#ifndef SP_AGENT_MESH_H
#define SP_AGENT_MESH_H

#include "client/core/agent.h"
#include "client/core/directory.h"
#include "client/core/lookup.h"
#include "client/core/netcheck.h"
#include "client/core/outgoing.h"
#include "client/core/peer.h"
#include "client/core/pinger.h"
#include "client/core/resolver.h"
#include "client/core/segment.h"
#include "client/core/stage.h"
#include "client/core/uplink.h"
#include "client/core/userspace.h"
#include "proto/base/timers.h"
#include "proto/wg/wg.h"

#define SP_MESH_PEERS      1024
#define SP_MESH_NAMES      16384
#define SP_MESH_MTU_MIN    1280
#define SP_MESH_SPLIT_OVER 1000 /* inner packets of at most so much go whole on any path */
/* A clock that jumped by so much against the other: the machine slept. */
#define SP_MESH_SLEPT (5 * SP_SEC)

#define SP_MESH_PROBE_SLOTS 128
#define SP_MESH_PROBES_MAX  40          /* unanswered, to one IP address, within */
#define SP_MESH_PROBES_FOR  (60 * SP_SEC)

struct sp_mesh_counts {
    uint64_t packets_in, packets_out; /* of the host; to the host */
    uint64_t dropped_source;          /* an inner packet from or to an address that is not its peer's, or ours */
    uint64_t dropped_form;            /* not a packet that goes through a tunnel */
    uint64_t dropped_nobody;          /* to an address that no device has */
    uint64_t dropped_staged;          /* no room to wait for a path */
    uint64_t dropped_budget;          /* probes that were not sent */
    uint64_t dropped_stray;           /* datagrams of nothing that we know */
    uint64_t dropped_stream;          /* no credit, or a frame too long */
};

/* Probes to one IP address that nothing came back for: on a signpost's word alone we do not flood anybody. */
struct sp_probe_budget {
    uint64_t key;
    sp_instant since;
    uint32_t sent;
};

struct sp_mesh {
    struct sp_mem mem;
    struct sp_overlay_config config;
    struct sp_rng rng;
    struct sp_trace trace;
    struct sp_name zone, self, signpost;
    uint8_t addr[16], signpost_addr[16], resolver_addr[16];
    struct sp_addr signposts[SP_TOKEN_ADDRS];
    unsigned signpost_count;
    uint8_t hash_key[16];

    /* The clocks of the turn: set by each of the five calls. */
    sp_instant now;
    sp_wall wall;
    int64_t clock_gap; /* wall less monotonic, at the last turn */
    bool clock_known;

    bool active; /* from up to down */
    struct sp_wg *wg;
    struct sp_directory *dir;
    struct sp_outgoing out;
    struct sp_timers timers;
    struct sp_joiner joiner;
    bool joiner_open;

    struct sp_addr links[SP_AGENT_LINK_MAX];
    unsigned link_count;
    uint16_t port; /* our socket's; 0: not known yet */

    struct sp_peer *first, *last; /* by use: the newest first */
    uint32_t peer_count;
    struct sp_stage stage;
    struct sp_uplink uplink;
    struct sp_lookups lookups;
    struct sp_netcheck netcheck;
    struct sp_pinger pingers[SP_PINGERS];
    struct sp_userspace *userspace; /* NULL: packets are the host's */
    struct sp_probe_budget probes[SP_MESH_PROBE_SLOTS];
    struct sp_mesh_counts counts;
    uint8_t scratch[2048]; /* one packet on its way to be split or joined */
};

/* ERR_FULL: no memory; ERR_BADKEY: the signpost's key is none; ERR_RANGE: the configuration of userspace mode. */
SP_CHECK sp_err sp_mesh_new(struct sp_mesh **ret, const struct sp_agent_config *config, const struct sp_ed25519 *key,
                               struct sp_rng *rng, sp_instant now);
void sp_mesh_free(struct sp_mesh *mesh); /* wipes keys, gives all memory back; may be NULL */

/* The agent goes up, or down. */
void sp_mesh_start(struct sp_mesh *mesh, sp_instant now);
void sp_mesh_stop(struct sp_mesh *mesh, sp_instant now, sp_wall wall);
/* The signpost has just taken our registration: it knows our key by now, and signed_at is a second that it agrees with. */
void sp_mesh_registered(struct sp_mesh *mesh, sp_instant now, uint64_t signed_at);

/* Begins an input or an expire: buffers of outputs that were fetched are free again. */
void sp_mesh_turn(struct sp_mesh *mesh, sp_instant now, sp_wall wall);
bool sp_mesh_roomy(const struct sp_mesh *mesh);
/* Takes one input. False: a datagram that is not the overlay's (a DNS reply of the registrar's). */
bool sp_mesh_input(struct sp_mesh *mesh, const struct sp_in *in);
/* Ends a batch of inputs, or an expire: what waits for company goes out. */
void sp_mesh_settle(struct sp_mesh *mesh);
void sp_mesh_expire(struct sp_mesh *mesh);
sp_instant sp_mesh_deadline(const struct sp_mesh *mesh);
bool sp_mesh_event(struct sp_mesh *mesh, struct sp_event *ret);

/* The host's addresses have changed, or the machine slept. */
void sp_mesh_moved(struct sp_mesh *mesh);
/* Whether another probe may go to this address; counts it. */
bool sp_mesh_probe_allowed(struct sp_mesh *mesh, const struct sp_addr *to);
void sp_mesh_probe_answered(struct sp_mesh *mesh, const struct sp_addr *to);
/* Our own addresses, with the socket's port. */
unsigned sp_mesh_hosts(const struct sp_mesh *mesh, uint8_t family, struct sp_addr *ret, unsigned max);
void sp_mesh_profile(struct sp_mesh *mesh, struct sp_profile *ret);
/* Hands out what WireGuard wants sent of its own accord. */
void sp_mesh_pump(struct sp_mesh *mesh);

/* ---- packets of the host (send.c) ---- */
void sp_send_packet(struct sp_mesh *mesh, const struct sp_in *in);
/* The same of our own point's. */
void sp_send_point(struct sp_mesh *mesh, const struct sp_point_packet *packet);
/* One whole packet, finished, to a peer; it waits if there is no way yet. */
void sp_send_to_peer(struct sp_mesh *mesh, struct sp_peer *p, const uint8_t *packet, size_t len);
/* Sends what was waiting for this peer, as far as there is a way. */
void sp_send_staged(struct sp_mesh *mesh, struct sp_peer *p);
/* Seals a plaintext (not an IP packet) to a peer over a hop. False: no keypair, or no room. */
bool sp_send_plain(struct sp_mesh *mesh, struct sp_wg_peer *wg, const struct sp_hop *hop, const uint8_t *data, size_t len);
/* A packet for the host's network stack, or for our own point. */
void sp_send_host(struct sp_mesh *mesh, const uint8_t *packet, size_t len);
/* The same of one that stands in the outgoing, taken. */
void sp_send_host_item(struct sp_mesh *mesh, const struct sp_out *item);
/* Tells the host that this packet of its cannot be delivered. */
void sp_send_unreachable(struct sp_mesh *mesh, const uint8_t *packet, size_t len, uint8_t code);

/* ---- datagrams of the network (receive.c) ---- */
bool sp_receive_datagram(struct sp_mesh *mesh, const struct sp_in *in);
/* One message of the uplink's stream. */
void sp_receive_stream(struct sp_mesh *mesh, const uint8_t *data, size_t len);
/* A WireGuard message that came by this hop. */
void sp_receive_wg(struct sp_mesh *mesh, const struct sp_hop *from, const uint8_t *data, size_t len);
/* An inner IP packet of a peer: counts only between its address and ours. */
void sp_receive_inner(struct sp_mesh *mesh, struct sp_peer *p, const struct sp_hop *from, const uint8_t *packet, size_t len);
void sp_receive_settle(struct sp_mesh *mesh);

#endif
