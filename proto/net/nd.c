#include "proto/net/impl.h"

enum { ROUTER_SOLICIT = 133, ROUTER_ADVERT = 134, SOLICIT = 135, ADVERT = 136, REDIRECT = 137 };
enum { OPTION_SOURCE = 1, OPTION_TARGET = 2 };
enum { FLAG_ROUTER = 0x80, FLAG_SOLICITED = 0x40, FLAG_OVERRIDE = 0x20 };

void sp_net_nd_group(const uint8_t ip[16], uint8_t ret[16]) {
    static const uint8_t solicited_node[13] = {0xff, 2, [11] = 1, [12] = 0xff};
    memcpy(ret, solicited_node, 13);
    memcpy(ret + 13, ip + 13, 3);
}

bool sp_net_nd_options(struct sp_rd r, uint8_t type, const uint8_t **ret_mac) {
    *ret_mac = NULL;
    while (sp_rd_left(&r) > 0) {
        uint8_t which = sp_rd_u8(&r), size = sp_rd_u8(&r);
        const uint8_t *body = sp_rd_bytes(&r, (size_t)size * 8 - 2);
        if (size == 0 || body == NULL)
            return false;
        if (which == type && size == 1 && (body[0] & 1) == 0)
            *ret_mac = body;
    }
    return r.err == SP_OK;
}

/* ---- sending ---- */

void sp_net_nd_solicit(struct sp_net *net, sp_instant now, const uint8_t *mac, const uint8_t src[16],
                       const uint8_t target[16]) {
    uint8_t body[24];
    struct sp_wr w = sp_wr_init(body, sizeof body);
    sp_wr_bytes(&w, target, 16);
    if (!sp_net_same(src, sp_net_zero)) {
        sp_wr_u16(&w, OPTION_SOURCE << 8 | 1);
        sp_wr_bytes(&w, net->config.mac, SP_NET_MAC);
    }
    struct ip_out ip = {.ttl = 255, .head = {SOLICIT}, .head_len = 8, .data = body, .len = sp_wr_len(&w)};
    memcpy(ip.src, src, 16);
    if (mac != NULL)
        memcpy(ip.dst, target, 16);
    else
        sp_net_nd_group(target, ip.dst);
    sp_net_icmp6_send(net, now, &ip, mac);
}

void sp_net_nd_advertise(struct sp_net *net, sp_instant now, const uint8_t target[16], const uint8_t dst[16],
                         bool solicited) {
    uint8_t body[24];
    struct sp_wr w = sp_wr_init(body, sizeof body);
    sp_wr_bytes(&w, target, 16);
    sp_wr_u16(&w, OPTION_TARGET << 8 | 1);
    sp_wr_bytes(&w, net->config.mac, SP_NET_MAC);
    struct ip_out ip = {.ttl = 255, .head = {ADVERT}, .head_len = 8, .data = body, .len = sizeof body};
    ip.head[4] = (uint8_t)(FLAG_OVERRIDE | (solicited ? FLAG_SOLICITED : 0));
    memcpy(ip.src, target, 16);
    memcpy(ip.dst, dst, 16);
    sp_net_icmp6_send(net, now, &ip, NULL);
}

/* ---- solicitations: RFC 4861 7.1.1, 7.2.3; RFC 4862 5.4.3 ---- */

static bool on_solicit(struct sp_net *net, sp_instant now, const struct packet *p, const uint8_t target[16],
                       struct sp_rd options) {
    static const uint8_t all_nodes[16] = {0xff, 2, [15] = 1};
    const uint8_t *mac;
    uint8_t group[16];
    bool probe = sp_net_same(p->src, sp_net_zero);
    sp_net_nd_group(target, group);
    if (!sp_net_nd_options(options, OPTION_SOURCE, &mac) || (probe && (mac != NULL || !sp_net_same(p->dst, group))))
        return false;
    struct address *a = sp_net_addr_find(net, 6, target);
    if (a == NULL) {
        sp_net_dropped(net, SP_NET_DROP_OTHER);
    } else if (a->state == ADDR_TENTATIVE) {
        if (probe && memcmp(p->mac, net->config.mac, SP_NET_MAC) != 0)
            sp_net_addr_conflict(net, now, a);
    } else if (a->state == ADDR_READY) {
        if (!probe && mac != NULL)
            sp_net_neigh_heard(net, now, 6, p->src, mac);
        sp_net_nd_advertise(net, now, target, probe ? all_nodes : p->src, !probe);
    }
    return true;
}

/* ---- advertisements: RFC 4861 7.1.2, 7.2.5 ---- */

static bool on_advert(struct sp_net *net, sp_instant now, const struct packet *p, const uint8_t target[16],
                      struct sp_rd options) {
    const uint8_t *mac;
    uint8_t flags = p->data[4];
    bool solicited = (flags & FLAG_SOLICITED) != 0;
    if (target[0] == 0xff || (p->group && solicited) || !sp_net_nd_options(options, OPTION_TARGET, &mac))
        return false;
    struct address *mine = sp_net_addr_find(net, 6, target);
    if (mine != NULL) {
        if (memcmp(p->mac, net->config.mac, SP_NET_MAC) != 0)
            sp_net_addr_conflict(net, now, mine);
        return true;
    }
    struct neigh *n = sp_net_neigh_find(net, 6, target);
    if (n == NULL) {
        sp_net_dropped(net, SP_NET_DROP_OTHER);
        return true;
    }
    bool was_router = n->router;
    n->router = (flags & FLAG_ROUTER) != 0;
    if (was_router && !n->router)
        sp_net_router_remove(net, 6, target, FROM_SLAAC);
    sp_net_neigh_advert(net, now, n, mac, solicited, (flags & FLAG_OVERRIDE) != 0);
    return true;
}

void sp_net_nd_input(struct sp_net *net, sp_instant now, const struct packet *p) {
    struct sp_rd r = sp_rd_init(p->data + 4, p->len - 4);
    uint8_t target[16];
    bool ok = p->ttl == 255 && p->data[1] == 0 && !p->fragmented; /* RFC 6980: never in fragments */
    if (ok && p->data[0] == ROUTER_ADVERT) {
        sp_net_ra_input(net, now, p, r);
        return;
    }
    sp_rd_u32(&r);
    sp_rd_copy(&r, target, 16);
    ok = ok && r.err == SP_OK;
    if (ok && p->data[0] == SOLICIT)
        ok = on_solicit(net, now, p, target, r);
    else if (ok && p->data[0] == ADVERT)
        ok = on_advert(net, now, p, target, r);
    else
        ok = false; /* router solicitations are for routers; redirects are refused: anybody on the link could send them
                     */
    if (!ok)
        sp_net_dropped(net, SP_NET_DROP_ND);
}
