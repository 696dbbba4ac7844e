#include "proto/net/impl.h"

#define UDP_HEAD 8

bool sp_net_csum_ok(const struct packet *p) {
    uint32_t sum = sp_csum_pseudo(p->src, p->dst, p->family == 4 ? 4 : 16, p->proto, p->len);
    return sp_csum_fold(sp_csum_add(sum, p->data, p->len)) == 0xffff;
}

bool sp_net_udp_open(struct sp_net *net, const struct packet *p, struct udp *ret) {
    struct sp_rd r = sp_rd_init(p->data, p->len);
    *ret = (struct udp){.src = sp_rd_u16(&r), .dst = sp_rd_u16(&r)};
    size_t len = sp_rd_u16(&r);
    uint16_t csum = sp_rd_u16(&r);
    if (r.err != SP_OK || len < UDP_HEAD || len > p->len || ret->dst == 0) {
        sp_net_dropped(net, SP_NET_DROP_UDP);
        return false;
    }
    struct packet whole = *p;
    whole.len = len; /* more may follow; it counts neither as data nor for the checksum */
    /* Zero stands for no checksum; RFC 8200 8.1 forbids it over IPv6. */
    bool ok = p->checked || (csum == 0 ? p->family == 4 : sp_net_csum_ok(&whole));
    if (!ok) {
        sp_net_dropped(net, SP_NET_DROP_CSUM);
        return false;
    }
    ret->data = r.pos;
    ret->len = len - UDP_HEAD;
    return true;
}

static bool served(const struct sp_net *net, uint16_t port) {
    for (unsigned i = 0; i < net->config.port_count; i++)
        if (net->config.ports[i] == port)
            return true;
    return net->config.port_count == 0;
}

bool sp_net_udp_input(struct sp_net *net, sp_instant now, const struct packet *p, struct sp_in *ret) {
    struct udp u;
    if (p->group) {
        sp_net_dropped(net, SP_NET_DROP_GROUP);
        return false;
    }
    if (!sp_net_udp_open(net, p, &u))
        return false;
    if (!served(net, u.dst)) {
        sp_net_dropped(net, SP_NET_DROP_PORT);
        if (p->family == 4)
            sp_net_icmp_error(net, now, p, 3, 3, 0);
        else
            sp_net_icmp6_error(net, now, p, 1, 4, 0);
        return false;
    }
    *ret = (struct sp_in){.kind = SP_IN_DATAGRAM, .data = u.data, .len = u.len, .ecn = p->ecn};
    ret->src = (struct sp_addr){.family = p->family, .port = u.src};
    ret->dst = (struct sp_addr){.family = p->family, .port = u.dst};
    memcpy(ret->src.ip, p->src, 16);
    memcpy(ret->dst.ip, p->dst, 16);
    net->counts.datagrams_in++;
    return true;
}
