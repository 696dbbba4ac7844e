/* A device in the simulated world that keeps one value at its names, by SIG(0)-signed updates: one update at a time,
 * sent again until it is answered. Update n makes a.OWNER and b.OWNER say n, and gives c.OWNER a record if n is odd,
 * else takes it away: all three show n, or none does. */
#ifndef SP_TESTS_SIM_CLIENT_H
#define SP_TESTS_SIM_CLIENT_H

#include "proto/dns/sig0.h"
#include "tests/sim/server.h"

struct sim_client {
    struct sim *sim;
    struct sim_net *net;
    struct sp_addr addr, server;
    struct sp_name zone, owner;
    struct sp_ed25519 key;
    bool active;
    uint64_t acked;   /* the value that must be there; 0: none */
    uint64_t pending; /* the value being sent, or 0 */
    uint64_t acks;
    uint8_t msg[4096];
    size_t len;
    uint16_t id;
    bool signed_anew; /* the pending value has been signed more than once */
    bool stored;      /* the pending update was seen after a restart: sent again it has to get the same answer */
    uint64_t timer;
    sp_instant resign; /* when a refused update is signed anew, or 0 */
};

void sim_client_init(struct sim_client *c, struct sim *sim, struct sim_net *net, const struct sp_addr *server,
                     const struct sp_name *zone, uint8_t number);
void sim_client_start(struct sim_client *c);
void sim_client_stop(struct sim_client *c); /* sends nothing new, and nothing again */
/* Asks the server beside the net which value the names show; fails the simulation when they do not agree, or when it is
 * neither the acknowledged one nor the one on its way. */
uint64_t sim_client_look(struct sim_client *c, struct sim_server *v);
/* The look after a restart found value n: it has to stay. */
void sim_client_restarted(struct sim_client *c, uint64_t n);

#endif
