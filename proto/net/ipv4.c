#include "proto/net/impl.h"

#define DHCP_CLIENT 68

/* RFC 1122 3.2.1.3: addresses that no packet comes from. */
static bool martian_source(struct sp_net *net, const uint8_t ip[16]) {
    return ip[0] == 0 || ip[0] == 127 || ip[0] >= 224 || sp_net_addr_is_broadcast(net, ip) ||
           sp_net_addr_find(net, 4, ip) != NULL;
}

struct head {
    size_t len, total, offset;
    uint16_t id;
    bool more;
};

static bool read_head(struct packet *p, const uint8_t *data, size_t len, struct head *h) {
    struct sp_rd r = sp_rd_init(data, len);
    uint8_t first = sp_rd_u8(&r);
    p->ecn = sp_rd_u8(&r) & 3;
    *h = (struct head){.len = (size_t)(first & 15) * 4, .total = sp_rd_u16(&r), .id = sp_rd_u16(&r)};
    uint16_t fragment = sp_rd_u16(&r);
    h->more = (fragment & 0x2000) != 0;
    h->offset = (size_t)(fragment & 0x1fff) * 8;
    p->ttl = sp_rd_u8(&r);
    p->proto = sp_rd_u8(&r);
    sp_rd_u16(&r);
    sp_rd_copy(&r, p->src, 4);
    sp_rd_copy(&r, p->dst, 4);
    return r.err == SP_OK && first >> 4 == 4 && h->len >= IPV4_HEAD && h->len <= h->total && h->total <= len &&
           sp_csum_fold(sp_csum_add(0, data, h->len)) == 0xffff;
}

/* Options (RFC 7126): source routes are refused; the others mean nothing to us, and nothing of them is sent back. */
static bool options_ok(const uint8_t *data, size_t len) {
    struct sp_rd r = sp_rd_init(data, len);
    while (sp_rd_left(&r) > 0) {
        uint8_t type = sp_rd_u8(&r);
        if (type == 0)
            break;
        if (type == 1)
            continue;
        uint8_t size = sp_rd_u8(&r);
        if (type == 0x83 || type == 0x89 || size < 2)
            return false;
        sp_rd_bytes(&r, size - 2u);
    }
    return r.err == SP_OK;
}

/* To a client that has no address yet, whatever the destination says. */
static bool for_dhcp(const struct sp_net *net, const struct packet *p, const struct head *h) {
    return net->dhcp.state != DHCP_OFF && p->proto == IP_UDP && h->offset == 0 && !h->more && p->len >= 8 &&
           sp_get_u16(p->data + 2) == DHCP_CLIENT;
}

static enum sp_net_drop refuse(struct sp_net *net, const struct packet *p, bool group_mac) {
    if (martian_source(net, p->src))
        return SP_NET_DROP_MARTIAN;
    if (p->dst[0] >= 224 || sp_net_addr_is_broadcast(net, p->dst))
        return SP_NET_DROP_GROUP; /* 224.0.0.0/4: no groups; RFC 1122 3.2.2.6 lets us not answer echoes to all */
    if (!sp_net_addr_ready(net, 4, p->dst))
        return SP_NET_DROP_OTHER;
    return group_mac ? SP_NET_DROP_MARTIAN : SP_NET_DROP_COUNT; /* RFC 1122 3.3.6 */
}

static bool deliver(struct sp_net *net, sp_instant now, struct packet *p, struct sp_in *ret) {
    switch (p->proto) {
    case IP_UDP:
        return sp_net_udp_input(net, now, p, ret);
    case IP_ICMP:
        sp_net_icmp_input(net, now, p);
        return false;
    case IP_TCP:
        if (net->tcp != NULL) {
            sp_net_segment_input(net, now, p);
            return false;
        } /* fall through */
    default:
        sp_net_dropped(net, p->proto == IP_TCP ? SP_NET_DROP_TCP : SP_NET_DROP_PROTO);
        sp_net_icmp_error(net, now, p, 3, 2, 0); /* protocol unreachable */
        return false;
    }
}

bool sp_net_ipv4_input(struct sp_net *net, sp_instant now, struct packet *p, const uint8_t *data, size_t len,
                       struct sp_in *ret) {
    struct head h;
    bool group_mac = p->group;
    p->family = 4;
    if (!read_head(p, data, len, &h)) {
        sp_net_dropped(net, SP_NET_DROP_HEADER);
        return false;
    }
    p->ip = data;
    p->ip_len = h.total;
    p->data = data + h.len;
    p->len = h.total - h.len;
    if (!options_ok(data + IPV4_HEAD, h.len - IPV4_HEAD)) {
        sp_net_dropped(net, SP_NET_DROP_OPTION);
        return false;
    }
    if (for_dhcp(net, p, &h) && sp_net_dhcp_input(net, now, p))
        return false;
    enum sp_net_drop why = refuse(net, p, group_mac);
    if (why != SP_NET_DROP_COUNT) {
        sp_net_dropped(net, why);
        return false;
    }
    p->group = false;
    if ((h.offset != 0 || h.more) && !sp_net_frag_input(net, now, p, h.id, h.offset, h.more))
        return false;
    return deliver(net, now, p, ret);
}
