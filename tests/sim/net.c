#include "tests/sim/net.h"

#include <stdlib.h>
#include <string.h>

struct sim_packet {
    struct sim_packet *next;
    uint64_t serial;
    struct sp_addr src, dst;
    size_t len;
    uint8_t data[];
};

void sim_net_init(struct sim_net *net, struct sim *sim) {
    *net = (struct sim_net){.sim = sim, .loss = 3, .twice = 2, .fast = 100 * SP_US, .slow = 30 * SP_MS};
}

void sim_net_free(struct sim_net *net) {
    sim_forget(net->sim, net);
    for (struct sim_packet *p = net->under_way, *next; p != NULL; p = next) {
        next = p->next;
        free(p);
    }
}

void sim_net_attach(struct sim_net *net, const struct sp_addr *addr, sim_net_deliver deliver, void *ctx) {
    size_t i = 0;
    while (i < net->n_nodes && memcmp(&net->nodes[i].addr, addr, sizeof *addr) != 0)
        i++;
    if (i == net->n_nodes)
        sim_check(net->sim, net->n_nodes++ < SIM_NET_NODES, "too many nodes");
    net->nodes[i].addr = *addr;
    net->nodes[i].deliver = deliver;
    net->nodes[i].ctx = ctx;
}

static void arrive(void *ctx, uint64_t serial) {
    struct sim_net *net = ctx;
    struct sim_packet **at = &net->under_way;
    while ((*at)->serial != serial)
        at = &(*at)->next;
    struct sim_packet *p = *at;
    *at = p->next;
    sim_note(net->sim, "net arrive", serial, p->len);
    for (size_t i = 0; i < net->n_nodes; i++)
        if (memcmp(&net->nodes[i].addr, &p->dst, sizeof p->dst) == 0 && net->nodes[i].ctx != NULL) {
            net->nodes[i].deliver(net->nodes[i].ctx, &p->src, &p->dst, p->data, p->len);
            break;
        }
    free(p);
}

static void post(struct sim_net *net, const struct sp_addr *src, const struct sp_addr *dst, const uint8_t *data,
                 size_t len) {
    struct sim_packet *p = malloc(sizeof *p + len);
    *p = (struct sim_packet){.next = net->under_way, .serial = ++net->serial, .src = *src, .dst = *dst, .len = len};
    memcpy(p->data, data, len);
    net->under_way = p;
    sim_after(net->sim, sim_skewed(net->sim, net->fast, net->slow), arrive, net, p->serial);
}

void sim_net_send(struct sim_net *net, const struct sp_addr *src, const struct sp_addr *dst, const uint8_t *data,
                  size_t len) {
    bool lost = sim_chance(net->sim, net->loss), twice = sim_chance(net->sim, net->twice);
    sim_note(net->sim, "net send", len, (uint64_t)lost | (uint64_t)twice << 1);
    if (!lost)
        post(net, src, dst, data, len);
    if (twice)
        post(net, src, dst, data, len);
}

struct sp_addr sim_net_addr(uint8_t node, uint16_t port) {
    return (struct sp_addr){.ip = {10, 0, node, 1}, .family = 4, .port = port};
}
