/* What our network does to datagrams: behaviour discovery when the session begins and when the network has changed, and on demand for
 * the owner. */
#ifndef SP_AGENT_NETCHECK_H
#define SP_AGENT_NETCHECK_H

#include "proto/nat/behave.h"

/* How each of the signpost's addresses answers, for the owner's netcheck. */
struct sp_netcheck_server {
    struct sp_addr addr;
    uint8_t id[12];
    sp_instant asked_at;
    sp_duration rtt; /* 0: no answer yet */
};
#define SP_NETCHECK_SERVERS 4
#define SP_NETCHECK_WAIT    (6 * SP_SEC)

struct sp_netcheck {
    struct sp_behave run[2]; /* over IPv4, over IPv6 */
    struct sp_behave_result got[2];
    bool started[2];
    bool ran, wished;
    sp_instant wish_at;
    bool asked;    /* the owner waits; `servers` is being filled */
    bool answered; /* and may be told */
    sp_instant until;
    struct sp_netcheck_server servers[SP_NETCHECK_SERVERS];
    unsigned server_count, sent;
};

struct sp_mesh;
void sp_netcheck_init(struct sp_mesh *mesh);
void sp_netcheck_wish(struct sp_mesh *mesh); /* soon, unless it is under way */
void sp_netcheck_ask(struct sp_mesh *mesh);  /* now, for the owner */
void sp_netcheck_stun(struct sp_mesh *mesh, const uint8_t *data, size_t len, const struct sp_addr *src);
void sp_netcheck_expire(struct sp_mesh *mesh);
sp_instant sp_netcheck_deadline(const struct sp_mesh *mesh);
/* Puts what is due into the outgoing. */
void sp_netcheck_pump(struct sp_mesh *mesh);
/* The verdicts, those over IPv4 if there are any. */
const struct sp_behave_result *sp_netcheck_result(const struct sp_mesh *mesh);

#endif
