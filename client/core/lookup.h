/* What programs ask of the local resolver and cannot be answered at once: waiting for the signpost or for the network's resolvers. */
#ifndef SP_AGENT_LOOKUP_H
#define SP_AGENT_LOOKUP_H

#include "client/core/resolver.h"

#define SP_LOOKUPS       64
#define SP_LOOKUP_QUERY  1232
#define SP_LOOKUP_WAIT   (5 * SP_SEC)

/* Who gets the reply: a query by SP_IN_RESOLVE (its id), or one in a packet to the resolver's address. */
struct sp_asker {
    bool packet;
    uint64_t id;
    uint8_t addr[16];
    uint16_t port;
};

struct sp_lookup {
    uint8_t verdict; /* enum sp_resolver_verdict; SP_RESOLVED: unused */
    bool told;       /* FORWARD: the host has been asked */
    uint64_t id;     /* of the effect or request */
    sp_instant until;
    struct sp_asker asker;
    struct sp_name name;
    size_t len;
    uint8_t query[SP_LOOKUP_QUERY];
};

struct sp_lookups {
    struct sp_resolver_config config;
    struct sp_lookup *slots; /* made with the first that waits */
    unsigned waiting;
    uint64_t next_id;
    uint64_t refused; /* all slots taken */
};

struct sp_mesh;
void sp_lookup_query(struct sp_mesh *mesh, const struct sp_asker *asker, const uint8_t *query, size_t len);
/* A name's KEY was asked for: the directory knows it now, or it does not exist (OK); or why it could not be asked. name NULL: all. */
void sp_lookup_named(struct sp_mesh *mesh, const struct sp_name *name, sp_err err);
void sp_lookup_reply(struct sp_mesh *mesh, uint64_t id, const uint8_t *reply, size_t len); /* of the signpost; NULL: none */
void sp_lookup_forwarded(struct sp_mesh *mesh, uint64_t id, const uint8_t *reply, size_t len);
void sp_lookup_expire(struct sp_mesh *mesh);
sp_instant sp_lookup_deadline(const struct sp_mesh *mesh);
bool sp_lookup_event(struct sp_mesh *mesh, struct sp_event *ret);

#endif
