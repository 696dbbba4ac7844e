/* The verb PING: a PING to a device over the path that its data takes, whatever has to be set up before. */
#ifndef SP_AGENT_PINGER_H
#define SP_AGENT_PINGER_H

#include "client/core/path.h"
#include "proto/dns/name.h"

#define SP_PINGERS 8

enum sp_pinger_state { SP_PINGER_FREE, SP_PINGER_WAITING, SP_PINGER_DONE };

struct sp_peer;
struct sp_pinger {
    uint8_t state;
    bool sent;
    unsigned slot;        /* the caller's */
    struct sp_name name;
    struct sp_peer *peer; /* NULL: the name is being looked up */
    sp_instant until, next_at;
    const char *error, *hint; /* DONE: error NULL when it was answered: */
    uint8_t addr[16];
    struct sp_path path;      /* as it was then */
};

struct sp_mesh;
/* False: too many at once. */
bool sp_ping_begin(struct sp_mesh *mesh, unsigned slot, const struct sp_name *name, sp_duration timeout);
void sp_ping_named(struct sp_mesh *mesh, const struct sp_name *name); /* its KEY was asked for; NULL: nothing can be asked now */
void sp_ping_dropped(struct sp_mesh *mesh, const struct sp_peer *p);
void sp_ping_trouble(struct sp_mesh *mesh, const struct sp_peer *p);
void sp_ping_ponged(struct sp_mesh *mesh, const struct sp_peer *p, const struct sp_path *path);
void sp_ping_expire(struct sp_mesh *mesh);
sp_instant sp_ping_deadline(const struct sp_mesh *mesh);
void sp_ping_clear(struct sp_mesh *mesh); /* the agent goes down */
/* One that is done; its place is free after sp_ping_end. NULL: none. */
struct sp_pinger *sp_ping_done(struct sp_mesh *mesh);
void sp_ping_end(struct sp_pinger *g);

#endif
