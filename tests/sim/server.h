/* A signpost in the simulated world: one server core, its disk and its place in a net, driven by the five calls as
 * any host would. The net is a sim_net, or whatever `send` puts datagrams and streams into. */
#ifndef SP_TESTS_SIM_SERVER_H
#define SP_TESTS_SIM_SERVER_H

#include "signpostd/core/server.h"
#include "tests/sim/disk.h"
#include "tests/sim/net.h"

struct sim_server {
    struct sim *sim;
    struct sim_net *net;
    struct sim_disk disk;
    struct sp_addr addr;
    struct sp_server *core; /* NULL: no power */
    bool formatted;         /* it has been ready once */
    bool stopped;           /* the core asked for the end */
    const char *fatal;      /* why it cannot go on, or NULL */
    uint64_t snapshots;
    sp_instant armed;     /* the earliest expiry that is set */
    struct sp_addr probe; /* replies to this address are kept here, beside the net */
    uint8_t reply[65535];
    size_t reply_len;
    void (*control)(void *ctx, uint64_t id, const uint8_t *reply, size_t len);
    void *control_ctx;
    void (*send)(void *ctx, const struct sp_out *out);             /* without a sim_net: what is to go out */
    void (*configure)(void *ctx, struct sp_server_config *config); /* may be NULL */
    void *ctx;
};

sp_wall sim_wall(const struct sim *s);

/* net may be NULL: then `send` is to be set before the boot. */
void sim_server_init(struct sim_server *v, struct sim *sim, struct sim_net *net, uint64_t blocks);
void sim_server_free(struct sim_server *v);
void sim_server_boot(struct sim_server *v);
/* Something comes in: without a sim_net. */
void sim_server_input(struct sim_server *v, const struct sp_in *in);
/* The power goes, or only the machine (`kill`). */
void sim_server_off(struct sim_server *v, bool kill);
bool sim_server_ready(const struct sim_server *v);
/* An operator's request; the reply comes through `control`. */
void sim_server_control(struct sim_server *v, uint64_t id, const uint8_t *request, size_t len);
/* A query that is answered at once and crosses no net: the reply in v->reply. */
void sim_server_ask(struct sim_server *v, const uint8_t *query, size_t len);
void sim_server_stop(struct sim_server *v);

#endif
