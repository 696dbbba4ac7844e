#include "client/core/hop.h"

#include "client/core/mesh.h"

static void put_stream(struct sp_mesh *mesh, size_t len) {
    struct sp_uplink *up = &mesh->uplink;
    if (!up->stream_open || up->credit < len) {
        mesh->counts.dropped_stream++; /* as a queue in the network that is full */
        return;
    }
    up->credit -= len;
    struct sp_out item = {.kind = SP_OUT_STREAM_DATA, .id = up->stream};
    sp_outgoing_put(&mesh->out, len, &item);
}

void sp_hop_put(struct sp_mesh *mesh, const struct sp_hop *hop, size_t len) {
    size_t head = sp_hop_head(hop);
    uint8_t *buf = sp_outgoing_room(&mesh->out, head + len), *p = buf;
    if (buf == NULL)
        return;
    if (hop->stream) {
        sp_put_u16(p, (uint16_t)(head - 2 + len));
        p += 2;
    }
    if (hop->channel != 0)
        sp_relay_head(p, hop->channel);
    if (hop->stream)
        put_stream(mesh, head + len);
    else if (hop->dst.family != 0)
        sp_outgoing_datagram(&mesh->out, head + len, &hop->dst, &hop->src);
}

void sp_hop_send(struct sp_mesh *mesh, const struct sp_hop *hop, const uint8_t *msg, size_t len) {
    size_t head = sp_hop_head(hop);
    uint8_t *buf = sp_outgoing_room(&mesh->out, head + len);
    if (buf == NULL)
        return;
    memcpy(buf + head, msg, len);
    sp_hop_put(mesh, hop, len);
}
