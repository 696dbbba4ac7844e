/* Datagrams of the network: told apart, opened straight into the packets that the host gets. */
#include "client/core/mesh.h"
#include "client/core/tactics.h"
#include "proto/control/tunnel.h"

#define IPV6_HEAD 40u

/* ---- packets for the host ---- */

static void flush_joiner(struct sp_mesh *mesh) {
    struct sp_out out;
    if (!mesh->joiner_open)
        return;
    mesh->joiner_open = false;
    if (sp_joiner_end(&mesh->joiner, &out))
        sp_send_host_item(mesh, &out);
}

void sp_receive_settle(struct sp_mesh *mesh) {
    flush_joiner(mesh);
}

/* Where the next plaintext of at most len bytes is to be written. NULL: no room. */
static uint8_t *plain_room(struct sp_mesh *mesh, size_t len) {
    uint8_t *p = mesh->joiner_open ? sp_joiner_room(&mesh->joiner, len) : NULL;
    if (p != NULL)
        return p;
    flush_joiner(mesh);
    if (sp_outgoing_room(&mesh->out, SP_JOIN_MAX + len) == NULL)
        return NULL;
    uint8_t *buf = sp_outgoing_take(&mesh->out, SP_JOIN_MAX + len);
    sp_joiner_init(&mesh->joiner, buf, SP_JOIN_MAX + len, mesh->config.tun_udp);
    mesh->joiner_open = true;
    return sp_joiner_room(&mesh->joiner, len);
}

static void to_host(struct sp_mesh *mesh, size_t len) {
    struct sp_out out;
    bool some;
    sp_joiner_add(&mesh->joiner, len, &out, &some);
    if (some)
        sp_send_host_item(mesh, &out);
    mesh->counts.packets_out++;
}

/* Cryptokey routing: a packet counts only from the address of the key that sealed it, and to ours. The length of the
 * packet without WireGuard's padding; 0: dropped. */
static size_t inner_len(struct sp_mesh *mesh, const uint8_t src[16], const uint8_t *packet, size_t len) {
    size_t whole = len >= IPV6_HEAD ? IPV6_HEAD + sp_get_u16(packet + 4) : 0;
    if (whole == 0 || whole > len || packet[0] >> 4 != 6) {
        mesh->counts.dropped_form++;
        return 0;
    }
    if (memcmp(packet + 8, src, 16) != 0 || memcmp(packet + 24, mesh->addr, 16) != 0) {
        mesh->counts.dropped_source++;
        return 0;
    }
    return whole;
}

void sp_receive_inner(struct sp_mesh *mesh, struct sp_peer *p, const struct sp_hop *from, const uint8_t *packet,
                      size_t len) {
    size_t whole = inner_len(mesh, p->entry->overlay, packet, len);
    uint8_t *room = whole > 0 ? plain_room(mesh, whole) : NULL;
    if (room == NULL)
        return;
    memcpy(room, packet, whole);
    to_host(mesh, whole);
    sp_peer_got_data(mesh, p, from);
}

/* ---- what was opened ---- */

static void signpost_data(struct sp_mesh *mesh, const struct sp_hop *from, const uint8_t *data, size_t len) {
    struct sp_probe probe;
    struct sp_tunnel_udp u;
    sp_uplink_heard(mesh, from);
    if (sp_probe_read(&probe, data, len) != SP_OK)
        return;
    if (probe.kind != SP_PROBE_NONE) {
        sp_uplink_probe(mesh, from, &probe);
        return;
    }
    size_t whole = inner_len(mesh, mesh->signpost_addr, data, len);
    if (whole == 0)
        return;
    if (sp_tunnel_udp_read(&u, data, whole, true) == SP_OK && u.sport == SP_DNS_PORT && u.dport == SP_CONTROL_PORT)
        sp_uplink_message(mesh, u.data, u.len);
    else
        sp_send_host(mesh, data, whole);
}

/* True: the plaintext, which stands in the joiner's room, was a packet of the host's. */
static void peer_data(struct sp_mesh *mesh, struct sp_peer *p, const struct sp_hop *from, const uint8_t *data,
                      size_t len) {
    struct sp_probe probe;
    sp_peer_heard(mesh, p, from);
    if (len > 0 && data[0] >> 4 == 6) {
        size_t whole = inner_len(mesh, p->entry->overlay, data, len);
        if (whole == 0)
            return;
        to_host(mesh, whole);
        sp_peer_got_data(mesh, p, from);
        return;
    }
    if (sp_probe_read(&probe, data, len) != SP_OK) {
        mesh->counts.dropped_form++;
        return;
    }
    sp_peer_probe(mesh, p, from, &probe);
}

/* A key that is no peer of ours yet: if the directory knows it, it becomes one. */
static bool introduce(struct sp_mesh *mesh, const uint8_t pub[SP_X25519]) {
    struct sp_dir_entry *e = sp_directory_key(mesh->dir, pub);
    if (e == NULL) {
        sp_uplink_pull(mesh); /* it may be new; it will try again */
        return false;
    }
    return e->peer == NULL && !sp_name_equal(&e->name, &mesh->self) && sp_peer_get(mesh, e) != NULL;
}

static void reply(struct sp_mesh *mesh, const struct sp_hop *from, struct sp_wg_got *got) {
    struct sp_peer *p = got->peer != NULL ? sp_wg_peer_user(got->peer) : NULL;
    if (p != NULL)
        sp_peer_heard(mesh, p, from);
    if (from->channel != 0 || from->stream || from->dst.family != 0)
        sp_hop_send(mesh, from, got->reply, got->reply_len);
    else if (p != NULL)
        sp_peer_handshake(mesh, p, got->reply, got->reply_len);
}

static size_t from_bytes(const struct sp_hop *from, uint8_t ret[SP_WG_FROM_MAX]) {
    struct sp_wr wr = sp_wr_init(ret, SP_WG_FROM_MAX);
    sp_wr_u8(&wr, from->channel != 0 ? 1 : from->stream ? 2 : 0);
    if (from->channel != 0) {
        sp_wr_u32(&wr, from->channel);
    } else {
        sp_wr_bytes(&wr, from->dst.ip, sizeof from->dst.ip);
        sp_wr_u16(&wr, from->dst.port);
    }
    return sp_wr_len(&wr);
}

/* Takes what sp_wg_input made of a message. */
static void got_wg(struct sp_mesh *mesh, const struct sp_hop *from, struct sp_wg_got *got) {
    bool signpost = got->peer != NULL && got->peer == mesh->uplink.wg;
    struct sp_peer *p = got->peer != NULL && !signpost ? sp_wg_peer_user(got->peer) : NULL;
    switch (got->kind) {
    case SP_WG_DROPPED:
    case SP_WG_UNKNOWN:
        return;
    case SP_WG_REPLY:
        if (signpost)
            sp_hop_send(mesh, from, got->reply, got->reply_len);
        else
            reply(mesh, from, got);
        return;
    case SP_WG_ANSWERED:
        if (signpost) {
            sp_uplink_keyed(mesh, from);
            return;
        }
        sp_peer_heard(mesh, p, from);
        sp_peer_keyed(mesh, p);
        return;
    case SP_WG_DATA:
    case SP_WG_KEEPALIVE:
        break;
    }
    if (signpost) {
        if (got->fresh)
            sp_uplink_keyed(mesh, from);
        if (got->kind == SP_WG_DATA)
            signpost_data(mesh, from, got->data, got->len);
        else
            sp_uplink_heard(mesh, from);
        return;
    }
    if (got->fresh) {
        sp_peer_heard(mesh, p, from);
        sp_peer_keyed(mesh, p);
    }
    if (got->kind == SP_WG_DATA)
        peer_data(mesh, p, from, got->data, got->len);
    else
        sp_peer_heard(mesh, p, from);
}

void sp_receive_wg(struct sp_mesh *mesh, const struct sp_hop *from, const uint8_t *data, size_t len) {
    struct sp_wg_got got;
    uint8_t source[SP_WG_FROM_MAX];
    size_t source_len = from_bytes(from, source);
    uint8_t *out = plain_room(mesh, len);
    if (out == NULL)
        return;
    sp_wg_input(mesh->wg, mesh->now, mesh->wall, source, source_len, data, len, out, &got);
    if (got.kind == SP_WG_UNKNOWN && introduce(mesh, got.pub))
        sp_wg_input(mesh->wg, mesh->now, mesh->wall, source, source_len, data, len, out, &got);
    got_wg(mesh, from, &got);
}

/* ---- telling apart ---- */

static bool is_wg(const struct sp_mesh *mesh, const uint8_t *data, size_t len) {
    return sp_wg_shaped(data, len) && (sp_wg_mine(mesh->wg, data, len) || sp_wg_index_lives(mesh->wg, data, len));
}

static bool of_signpost(const struct sp_mesh *mesh, const struct sp_addr *src) {
    for (unsigned i = 0; i < mesh->signpost_count; i++)
        if (memcmp(&mesh->signposts[i], src, sizeof *src) == 0)
            return true;
    return memcmp(&mesh->uplink.path.addr, src, sizeof *src) == 0;
}

static void relayed(struct sp_mesh *mesh, struct sp_hop *from, const uint8_t *data, size_t len) {
    from->channel = sp_relay_index(data);
    data += SP_RELAY_HEAD;
    len -= SP_RELAY_HEAD;
    if (from->channel != 0 && is_wg(mesh, data, len))
        sp_receive_wg(mesh, from, data, len);
    else
        mesh->counts.dropped_stray++;
}

void sp_receive_stream(struct sp_mesh *mesh, const uint8_t *data, size_t len) {
    struct sp_hop from = {.stream = true};
    if (sp_relay_is(data, len))
        relayed(mesh, &from, data, len);
    else if (is_wg(mesh, data, len))
        sp_receive_wg(mesh, &from, data, len);
    else
        mesh->counts.dropped_stray++;
}

static bool one(struct sp_mesh *mesh, const struct sp_in *in, const uint8_t *data, size_t len) {
    struct sp_hop from = {.dst = in->src, .src = in->dst};
    if (sp_stun_is(data, len)) {
        sp_netcheck_stun(mesh, data, len, &in->src);
        return true;
    }
    if (sp_relay_is(data, len)) {
        if (of_signpost(mesh, &in->src))
            relayed(mesh, &from, data, len);
        else
            mesh->counts.dropped_stray++;
        return true;
    }
    if (!is_wg(mesh, data, len))
        return false;
    sp_receive_wg(mesh, &from, data, len);
    return true;
}

bool sp_receive_datagram(struct sp_mesh *mesh, const struct sp_in *in) {
    if (in->dst.port != 0 && mesh->port != in->dst.port) {
        mesh->port = in->dst.port;
        sp_uplink_profile(mesh);
    }
    size_t each = in->segment != 0 && in->segment < in->len ? in->segment : in->len;
    bool ours = each != in->len; /* the registrar's replies never come joined */
    for (size_t at = 0; at < in->len; at += each) {
        size_t left = in->len - at;
        if (one(mesh, in, in->data + at, left < each ? left : each))
            ours = true;
        else if (ours)
            mesh->counts.dropped_stray++;
    }
    return ours;
}
