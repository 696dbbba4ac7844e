/* Packets of the host, on their way out: cut, sealed in place, put out. One pass over each. */
#include "client/core/mesh.h"
#include "client/core/tactics.h"
#include "proto/control/tunnel.h"

#define IPV6_HEAD 40u

/* ---- sealing ---- */

/* Seals the plaintext of len bytes that stands behind the hop's and WireGuard's heads in the outgoing, and puts it out.
 */
static bool seal(struct sp_mesh *mesh, struct sp_wg_peer *wg, const struct sp_hop *hop, uint8_t *buf, size_t len) {
    size_t head = sp_hop_head(hop), msg;
    if (sp_wg_seal(mesh->wg, wg, mesh->now, buf + head, len + SP_WG_OVERHEAD + SP_WG_PAD, len, &msg) != SP_OK)
        return false;
    sp_hop_put(mesh, hop, msg);
    return true;
}

static uint8_t *room(struct sp_mesh *mesh, const struct sp_hop *hop, size_t len) {
    return sp_outgoing_room(&mesh->out, sp_hop_head(hop) + len + SP_WG_OVERHEAD + SP_WG_PAD);
}

bool sp_send_plain(struct sp_mesh *mesh, struct sp_wg_peer *wg, const struct sp_hop *hop, const uint8_t *data,
                   size_t len) {
    uint8_t *buf = room(mesh, hop, len);
    if (buf == NULL)
        return false;
    memcpy(buf + sp_hop_head(hop) + SP_WG_HEAD, data, len);
    return seal(mesh, wg, hop, buf, len);
}

/* ---- to a peer ---- */

static bool whole(const struct sp_peer *p, size_t len) {
    bool full = p->chosen != SP_PATH_NONE && p->paths[p->chosen].pmtu.state == SP_PMTU_FULL;
    return len <= SP_MESH_SPLIT_OVER || (full && len <= SP_PATH_FULL);
}

/* In two halves, inside the encryption: paths of 1,124 bytes carry them. */
static bool send_halves(struct sp_mesh *mesh, struct sp_peer *p, const struct sp_hop *hop, const uint8_t *packet,
                        size_t len) {
    size_t first = (len + 1) / 2;
    struct sp_probe half = {.kind = SP_PROBE_SPLIT, .id = p->split_id++};
    bool sent = true;
    for (uint8_t part = 0; part < 2; part++) {
        half.part = part;
        half.data = packet + (part == 0 ? 0 : first);
        half.len = (uint16_t)(part == 0 ? first : len - first);
        uint8_t *buf = room(mesh, hop, SP_PROBE_SPLIT_HEAD + half.len);
        if (buf == NULL)
            return false;
        size_t n = sp_probe_write(&half, buf + sp_hop_head(hop) + SP_WG_HEAD, SP_PROBE_SPLIT_HEAD + half.len);
        sent = seal(mesh, p->wg, hop, buf, n) && sent;
    }
    return sent;
}

static bool send_packet(struct sp_mesh *mesh, struct sp_peer *p, const struct sp_hop *hop, const uint8_t *packet,
                        size_t len) {
    return whole(p, len) ? sp_send_plain(mesh, p->wg, hop, packet, len) : send_halves(mesh, p, hop, packet, len);
}

static void stage(struct sp_mesh *mesh, struct sp_peer *p, const uint8_t *packet, size_t len) {
    if (!sp_stage_push(&mesh->stage, &p->staged, packet, len))
        mesh->counts.dropped_staged++;
}

void sp_send_to_peer(struct sp_mesh *mesh, struct sp_peer *p, const uint8_t *packet, size_t len) {
    struct sp_hop hop;
    if (sp_peer_up(mesh, p) && sp_peer_hop(mesh, p, &hop)) {
        (void)send_packet(mesh, p, &hop, packet, len);
        sp_peer_sent_data(mesh, p);
        return;
    }
    stage(mesh, p, packet, len);
    sp_peer_want(mesh, p, SP_INTEREST_DATA);
}

void sp_send_staged(struct sp_mesh *mesh, struct sp_peer *p) {
    struct sp_hop hop;
    struct sp_staged *s;
    while (p->staged.count > 0 && sp_peer_up(mesh, p) && sp_peer_hop(mesh, p, &hop)) {
        s = sp_stage_pop(&p->staged);
        (void)send_packet(mesh, p, &hop, s->data, s->len);
        sp_stage_free(&mesh->stage, s);
        sp_peer_sent_data(mesh, p);
    }
}

/* ---- to the host ---- */

void sp_send_host_item(struct sp_mesh *mesh, const struct sp_out *item) {
    if (mesh->userspace != NULL)
        sp_userspace_packet(mesh, item->data, item->len, &item->offload);
    else
        (void)sp_outgoing_add(&mesh->out, item);
}

static void host_packet(struct sp_mesh *mesh, size_t len) {
    struct sp_out item = {.kind = SP_OUT_PACKET, .data = sp_outgoing_take(&mesh->out, len), .len = len};
    sp_send_host_item(mesh, &item);
}

void sp_send_host(struct sp_mesh *mesh, const uint8_t *packet, size_t len) {
    uint8_t *buf = sp_outgoing_room(&mesh->out, len);
    if (buf == NULL)
        return;
    memcpy(buf, packet, len);
    host_packet(mesh, len);
}

void sp_send_unreachable(struct sp_mesh *mesh, const uint8_t *packet, size_t len, uint8_t code) {
    uint8_t *buf = sp_outgoing_room(&mesh->out, SP_TUNNEL_MAX);
    if (buf == NULL)
        return;
    size_t n = sp_tunnel_unreachable(mesh->resolver_addr, packet, len, code, buf, SP_TUNNEL_MAX);
    if (n > 0)
        host_packet(mesh, n);
}

/* ---- from the host ---- */

static void send_signpost(struct sp_mesh *mesh, const uint8_t *packet, size_t len) {
    struct sp_hop hop;
    if (sp_uplink_hop(mesh, &hop) && sp_wg_peer_up(mesh->uplink.wg, mesh->now))
        (void)sp_send_plain(mesh, mesh->uplink.wg, &hop, packet, len);
    else
        sp_send_unreachable(mesh, packet, len, 3);
}

static void send_resolver(struct sp_mesh *mesh, const struct sp_in *in) {
    struct sp_tunnel_udp u;
    if (in->offload.gso != SP_GSO_NONE || sp_tunnel_udp_read(&u, in->data, in->len, !in->offload.needs_csum) != SP_OK ||
        u.dport != SP_DNS_PORT) {
        sp_send_unreachable(mesh, in->data, in->len, 4); /* port unreachable: TCP clients go elsewhere at once */
        return;
    }
    struct sp_asker asker = {.packet = true, .port = u.sport};
    memcpy(asker.addr, u.src, sizeof asker.addr);
    sp_lookup_query(mesh, &asker, u.data, u.len);
}

/* The fast way: every segment is written where it is sealed, and sealed where it is sent from. */
static void send_segments(struct sp_mesh *mesh, struct sp_peer *p, const struct sp_hop *hop, struct sp_segmenter *s,
                          size_t most) {
    size_t head = sp_hop_head(hop) + SP_WG_HEAD, len;
    for (;;) {
        uint8_t *buf = room(mesh, hop, most);
        if (buf == NULL || (len = sp_segmenter_next(s, buf + head, most)) == 0)
            break;
        if (!seal(mesh, p->wg, hop, buf, len))
            break;
    }
    sp_peer_sent_data(mesh, p);
}

static void send_slowly(struct sp_mesh *mesh, struct sp_peer *p, struct sp_segmenter *s, size_t most) {
    uint8_t packet[2048];
    size_t len;
    if (most > sizeof packet) {
        mesh->counts.dropped_form++;
        return;
    }
    while ((len = sp_segmenter_next(s, packet, most)) > 0)
        sp_send_to_peer(mesh, p, packet, len);
}

static void send_all(struct sp_mesh *mesh, struct sp_peer *p, struct sp_segmenter *s) {
    size_t most = s->off.gso != SP_GSO_NONE ? (size_t)s->hdr_len + s->off.gso_size : s->len;
    struct sp_hop hop;
    if (whole(p, most) && sp_peer_up(mesh, p) && sp_peer_hop(mesh, p, &hop))
        send_segments(mesh, p, &hop, s, most);
    else
        send_slowly(mesh, p, s, most);
}

static void send_device(struct sp_mesh *mesh, struct sp_dir_entry *e, const struct sp_in *in) {
    struct sp_peer *p = sp_peer_get(mesh, e);
    struct sp_segmenter s;
    if (p == NULL) {
        sp_send_unreachable(mesh, in->data, in->len, 3);
        return;
    }
    sp_peer_resume(mesh, p);
    if (sp_segmenter_init(&s, in->data, in->len, &in->offload) == SP_OK)
        send_all(mesh, p, &s);
    else
        mesh->counts.dropped_form++;
}

void sp_send_packet(struct sp_mesh *mesh, const struct sp_in *in) {
    const uint8_t *src = in->data + 8, *dst = in->data + 24;
    mesh->counts.packets_in++;
    if (in->len < IPV6_HEAD || in->data[0] >> 4 != 6) {
        mesh->counts.dropped_form++;
        return;
    }
    /* Only from our address, only to our prefix: neighbour discovery, multicast and the like end here. */
    if (memcmp(src, mesh->addr, 16) != 0 || memcmp(dst, mesh->addr, 8) != 0) {
        mesh->counts.dropped_source++;
        return;
    }
    if (memcmp(dst, mesh->resolver_addr, 16) == 0) {
        send_resolver(mesh, in);
        return;
    }
    if (memcmp(dst, mesh->signpost_addr, 16) == 0) {
        if (in->offload.gso == SP_GSO_NONE && in->len <= SP_TUNNEL_MAX) {
            struct sp_segmenter s;
            size_t len = sp_segmenter_init(&s, in->data, in->len, &in->offload) == SP_OK
                             ? sp_segmenter_next(&s, mesh->scratch, sizeof mesh->scratch)
                             : 0;
            if (len > 0)
                send_signpost(mesh, mesh->scratch, len);
        }
        return;
    }
    struct sp_dir_entry *e = sp_directory_addr(mesh->dir, dst);
    if (e == NULL || memcmp(dst, mesh->addr, 16) == 0) {
        mesh->counts.dropped_nobody++;
        sp_uplink_pull(mesh);
        sp_send_unreachable(mesh, in->data, in->len, 3);
        return;
    }
    send_device(mesh, e, in);
}

/* Our own TCP needs no word of what cannot be delivered: it tries again, and gives up. */
void sp_send_point(struct sp_mesh *mesh, const struct sp_point_packet *packet) {
    const uint8_t *dst = packet->head + 24;
    struct sp_segmenter s;
    mesh->counts.packets_in++;
    if (sp_segmenter_pieces(&s, packet) != SP_OK) {
        mesh->counts.dropped_form++;
        return;
    }
    if (memcmp(dst, mesh->signpost_addr, 16) == 0) { /* an echo reply */
        if (packet->len <= sizeof mesh->scratch)
            send_signpost(mesh, mesh->scratch, sp_segmenter_next(&s, mesh->scratch, sizeof mesh->scratch));
        return;
    }
    struct sp_dir_entry *e = sp_directory_addr(mesh->dir, dst);
    struct sp_peer *p = e != NULL ? sp_peer_get(mesh, e) : NULL;
    if (p == NULL) {
        mesh->counts.dropped_nobody++;
        return;
    }
    sp_peer_resume(mesh, p);
    send_all(mesh, p, &s);
}
