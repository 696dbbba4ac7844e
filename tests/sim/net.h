/* Datagrams between addresses: late, lost, twice, out of order. */
#ifndef SP_TESTS_SIM_NET_H
#define SP_TESTS_SIM_NET_H

#include "tests/sim/sim.h"

#define SIM_NET_NODES 64

/* data is the net's, until the call returns. */
typedef void (*sim_net_deliver)(void *ctx, const struct sp_addr *src, const struct sp_addr *dst, const uint8_t *data,
                                size_t len);

struct sim_packet;

struct sim_net {
    struct sim *sim;
    struct {
        struct sp_addr addr;
        sim_net_deliver deliver;
        void *ctx;
    } nodes[SIM_NET_NODES];
    size_t n_nodes;
    unsigned loss, twice; /* percent */
    sp_duration fast, slow;
    struct sim_packet *under_way;
    uint64_t serial;
};

void sim_net_init(struct sim_net *net, struct sim *sim);
void sim_net_free(struct sim_net *net);
/* Whoever has this address gets its datagrams; ctx NULL: nobody does any more. */
void sim_net_attach(struct sim_net *net, const struct sp_addr *addr, sim_net_deliver deliver, void *ctx);
void sim_net_send(struct sim_net *net, const struct sp_addr *src, const struct sp_addr *dst, const uint8_t *data,
                  size_t len);
/* 10.0.node.1:port */
struct sp_addr sim_net_addr(uint8_t node, uint16_t port);

#endif
