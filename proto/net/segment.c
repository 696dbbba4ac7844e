/* Segments between the IP layer and TCP's connections (tcp.h). */
#include "proto/net/impl.h"

#define TCP_CSUM 16 /* where in a segment its checksum stands */

/* ---- life ---- */

sp_err sp_net_segment_new(struct sp_net *net, const struct sp_tcp_config *tcp) {
    struct sp_tcp_config c = *tcp;
    c.mem = net->config.mem;
    c.rng = net->config.rng;
    c.mtu = net->config.mtu;
    if (c.port_count == 0 && !c.every_port) {
        _Static_assert(SP_TCP_PORTS >= SP_NET_PORTS, "all of them find room");
        memcpy(c.ports, net->config.ports, sizeof net->config.ports);
        c.port_count = net->config.port_count;
        c.every_port = c.port_count == 0;
    }
    return sp_tcp_new(&net->tcp, &c);
}

void sp_net_segment_link(struct sp_net *net) {
    unsigned d = net->device, cut4 = SP_NET_TSO4 | SP_NET_SUM4, cut6 = SP_NET_TSO6 | SP_NET_SUM6;
    struct sp_tcp_link link = {net->mtu4, net->mtu6, (d & cut4) == cut4, (d & cut6) == cut6};
    if (net->tcp != NULL)
        sp_tcp_link(net->tcp, &link);
}

struct sp_tcp *sp_net_tcp(const struct sp_net *net) {
    return net->tcp;
}

sp_err sp_net_connect(struct sp_net *net, sp_instant now, const struct sp_addr *remote, struct sp_tcp_conn **ret) {
    if (net->tcp == NULL)
        return SP_ERR_STATE;
    const struct address *from = sp_net_addr_source(net, now, remote->family, remote->ip);
    if (from == NULL || sp_net_route(net, now, remote->family, remote->ip) == NULL)
        return SP_ERR_NOENT;
    struct sp_addr local = {.family = remote->family};
    memcpy(local.ip, from->ip, 16);
    return sp_tcp_connect(net->tcp, now, &local, remote, 0, ret);
}

/* ---- in ---- */

void sp_net_segment_input(struct sp_net *net, sp_instant now, const struct packet *p) {
    struct sp_tcp_packet s = {.family = p->family, .checked = p->checked, .data = p->data, .len = p->len};
    if (p->group) { /* RFC 1122 4.2.3.10 */
        sp_net_dropped(net, SP_NET_DROP_GROUP);
        return;
    }
    memcpy(s.src, p->src, 16);
    memcpy(s.dst, p->dst, 16);
    sp_tcp_input(net->tcp, now, &s);
}

/* What an error quotes of a segment of ours. Nothing of ours has options, and segments are whole. */
static bool read_quoted(struct sp_tcp_packet *ret, uint8_t family, const uint8_t *quoted, size_t len) {
    size_t head = family == 4 ? IPV4_HEAD : IPV6_HEAD, alen = family == 4 ? 4 : 16;
    if (len < head || quoted[family == 4 ? 9 : 6] != IP_TCP || quoted[0] >> 4 != family ||
        (family == 4 && (quoted[0] != 0x45 || (sp_get_u16(quoted + 6) & 0x3fff) != 0)))
        return false;
    *ret = (struct sp_tcp_packet){.family = family, .data = quoted + head, .len = len - head};
    memcpy(ret->src, quoted + (family == 4 ? 12 : 8), alen);
    memcpy(ret->dst, quoted + (family == 4 ? 16 : 24), alen);
    return true;
}

bool sp_net_segment_error(struct sp_net *net, sp_instant now, uint8_t family, const uint8_t *quoted, size_t len,
                          uint32_t mtu) {
    struct sp_tcp_packet segment;
    if (net->tcp == NULL || !read_quoted(&segment, family, quoted, len))
        return false;
    if (mtu == 0)
        return sp_tcp_unreachable(net->tcp, &segment);
    sp_tcp_path_mtu(net->tcp, now, &segment, mtu < UINT16_MAX ? (uint16_t)mtu : UINT16_MAX);
    return true;
}

/* ---- out ---- */

/* Where it goes: OK and a MAC, or ERR_AGAIN and whom it waits for; else it is lost as on any wire, and counted. */
static sp_err next_hop(struct sp_net *net, sp_instant now, const struct ip_out *ip, uint8_t mac[SP_NET_MAC],
                       struct neigh **wait) {
    bool ours = sp_net_addr_ready(net, ip->family, ip->src);
    if (!net->up || !ours) {
        sp_net_dropped(net, net->up ? SP_NET_DROP_SOURCE : SP_NET_DROP_LINK);
        return SP_ERR_STATE;
    }
    sp_err err = sp_net_ip_hop(net, now, ip, mac, wait);
    if (err != SP_OK && err != SP_ERR_AGAIN)
        sp_net_send_failed(net, err);
    return err;
}

/* Of a segment that would be cut up, the first one: the rest is sent again when that one was acknowledged. */
static void keep_first(struct sp_tcp_out *out) {
    size_t left = out->segment;
    if (left == 0)
        return;
    out->head[13] &= (uint8_t)~9u; /* FIN and PSH are the last one's */
    for (unsigned i = 0; i < out->spans; left -= out->span[i++].len)
        if (out->span[i].len > left)
            out->span[i].len = left;
    out->len = out->segment;
    out->segment = 0;
}

static void wait_for(struct sp_net *net, struct neigh *wait, const struct ip_out *ip, struct sp_tcp_out *out) {
    struct frame *f = sp_net_frame_waiting(net);
    if (f == NULL)
        return;
    keep_first(out);
    size_t len = out->head_len + out->len;
    struct sp_wr w = sp_wr_init(f->data, net->frame_size);
    sp_net_ip_head(&w, net, ip, sp_net_zero, len);
    uint8_t *at = sp_wr_reserve(&w, len);
    if (at == NULL) {
        sp_net_frame_free(net, f);
        sp_net_dropped(net, SP_NET_DROP_SIZE);
        return;
    }
    sp_tcp_copy(out, at, false);
    f->len = sp_wr_len(&w);
    sp_net_neigh_wait(net, wait, f);
}

static void put(struct sp_net *net, const struct ip_out *ip, const uint8_t mac[SP_NET_MAC],
                const struct sp_tcp_out *out, struct sp_net_gather *ret) {
    bool v4 = ip->family == 4, partial = (net->device & (v4 ? SP_NET_SUM4 : SP_NET_SUM6)) != 0;
    struct sp_wr w = sp_wr_init(ret->head, sizeof ret->head);
    sp_net_ip_head(&w, net, ip, mac, out->head_len + out->len);
    uint8_t *tcp = sp_wr_reserve(&w, out->head_len);
    SP_ASSERT(tcp != NULL);
    memcpy(tcp, out->head, out->head_len);
    sp_put_u16(tcp + TCP_CSUM, sp_tcp_sum(out, partial));
    ret->head_len = sp_wr_len(&w);
    ret->spans = out->spans;
    for (unsigned i = 0; i < out->spans; i++) {
        ret->span[i].data = out->span[i].data;
        ret->span[i].len = out->span[i].len;
    }
    ret->len = ret->head_len + out->len;
    ret->offload = (struct sp_offload){.needs_csum = partial};
    if (partial) {
        ret->offload.csum_start = v4 ? IPV4_HEAD : IPV6_HEAD;
        ret->offload.csum_offset = TCP_CSUM;
    }
    if (out->segment != 0) {
        ret->offload.gso = v4 ? SP_GSO_TCP4 : SP_GSO_TCP6;
        ret->offload.gso_size = out->segment;
        ret->offload.hdr_len = (uint16_t)(ret->head_len - SP_NET_ETHER);
    }
}

bool sp_net_segment_output(struct sp_net *net, sp_instant now, struct sp_net_gather *ret) {
    struct sp_tcp_out out;
    while (net->tcp != NULL && sp_tcp_output(net->tcp, now, &out)) {
        struct ip_out ip = {.family = out.family, .proto = IP_TCP, .ttl = net->hop_limit, .df = true};
        uint8_t mac[SP_NET_MAC];
        struct neigh *wait = NULL;
        memcpy(ip.src, out.src, 16);
        memcpy(ip.dst, out.dst, 16);
        sp_err err = next_hop(net, now, &ip, mac, &wait);
        if (err == SP_ERR_AGAIN)
            wait_for(net, wait, &ip, &out);
        if (err != SP_OK)
            continue;
        put(net, &ip, mac, &out, ret);
        net->counts.frames_out++;
        return true;
    }
    return false;
}
