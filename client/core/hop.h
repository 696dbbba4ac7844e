/* One way out for a WireGuard message: straight to an address, or through the signpost: a relay's channel, a stream. */
#ifndef SP_AGENT_HOP_H
#define SP_AGENT_HOP_H

#include "client/core/outgoing.h"
#include "proto/relay/relay.h"

struct sp_hop {
    struct sp_addr dst, src; /* src: family 0, the host chooses */
    uint32_t channel;        /* 0: no relay's head */
    bool stream;             /* over the uplink's stream, framed */
};

#define SP_HOP_HEAD_MAX (2 + SP_RELAY_HEAD)

static inline size_t sp_hop_head(const struct sp_hop *hop) {
    return (hop->stream ? 2 : 0) + (hop->channel != 0 ? (size_t)SP_RELAY_HEAD : 0);
}

struct sp_mesh;
/* Takes a message of len bytes that stands sp_hop_head(hop) bytes behind sp_outgoing_room: writes the head, puts it out. */
void sp_hop_put(struct sp_mesh *mesh, const struct sp_hop *hop, size_t len);
/* A message that stands elsewhere. */
void sp_hop_send(struct sp_mesh *mesh, const struct sp_hop *hop, const uint8_t *msg, size_t len);

#endif
