#include "proto/net/impl.h"

enum {
    UNREACHABLE = 1,
    TOO_BIG = 2,
    PARAMETER = 4,
    ECHO = 128,
    ECHO_REPLY = 129,
    MLD_QUERY = 130,
    MLD_DONE = 132,
    ND_FIRST = 133,
    ND_LAST = 137
};

void sp_net_icmp6_send(struct sp_net *net, sp_instant now, struct ip_out *ip, const uint8_t *mac) {
    ip->family = 6;
    ip->proto = IP_ICMP6;
    ip->id = sp_rng_u32(net->config.rng);
    sp_put_u16(ip->head + 2, 0);
    sp_put_u16(ip->head + 2, sp_net_ip_csum(ip));
    sp_net_ip_send(net, now, ip, mac);
}

/* RFC 4443 4.2: an echo to a group comes from one of our own addresses. */
static bool reply_source(struct sp_net *net, sp_instant now, const struct packet *p, uint8_t ret[16]) {
    if (!p->group) {
        memcpy(ret, p->dst, 16);
        return true;
    }
    const struct address *a = sp_net_addr_source(net, now, 6, p->src);
    if (a != NULL)
        memcpy(ret, a->ip, 16);
    return a != NULL;
}

static void echo(struct sp_net *net, sp_instant now, const struct packet *p) {
    struct ip_out ip = {.ttl = net->hop_limit, .head_len = 8, .data = p->data + 8, .len = p->len - 8};
    if (sp_net_same(p->src, sp_net_zero) || !reply_source(net, now, p, ip.src)) {
        sp_net_dropped(net, SP_NET_DROP_ICMP);
        return;
    }
    memcpy(ip.dst, p->src, 16);
    memcpy(ip.head + 4, p->data + 4, 4); /* identifier and sequence number */
    ip.head[0] = ECHO_REPLY;
    net->counts.echoes++;
    sp_net_icmp6_send(net, now, &ip, NULL);
}

static void mld(struct sp_net *net, sp_instant now, const struct packet *p) {
    bool from_link = p->src[0] == 0xfe && (p->src[1] & 0xc0) == 0x80;
    if (p->data[0] != MLD_QUERY || !from_link || p->ttl != 1 || p->len < 24)
        sp_net_dropped(net, SP_NET_DROP_ICMP);
    else if (sp_net_icmp_allowed(net, now))
        sp_net_mld_report(net, now);
}

/* Packet too big (RFC 8201 4: none is believed that says less than every link carries), or nobody answers (RFC 5927 4.2:
 * prohibited, port, next header). False: of no use. */
static bool error(struct sp_net *net, sp_instant now, const struct packet *p) {
    uint8_t type = p->data[0], code = p->data[1];
    uint32_t mtu = type == TOO_BIG ? sp_get_u32(p->data + 4) : 0;
    bool hard = (type == UNREACHABLE && (code == 1 || code == 4)) || (type == PARAMETER && code == 1);
    bool useful = hard || (type == TOO_BIG && mtu >= SP_NET_MTU_MIN);
    return useful && sp_net_segment_error(net, now, 6, p->data + 8, p->len - 8, mtu);
}

void sp_net_icmp6_input(struct sp_net *net, sp_instant now, const struct packet *p) {
    if (p->len < 8 || !sp_net_csum_ok(p)) {
        sp_net_dropped(net, p->len < 8 ? SP_NET_DROP_ICMP : SP_NET_DROP_CSUM);
        return;
    }
    uint8_t type = p->data[0];
    if (type >= ND_FIRST && type <= ND_LAST) {
        sp_net_nd_input(net, now, p);
        return;
    }
    if (type >= MLD_QUERY && type <= MLD_DONE) {
        mld(net, now, p);
        return;
    }
    if (!p->group && !sp_net_addr_ready(net, 6, p->dst))
        sp_net_dropped(net, SP_NET_DROP_OTHER);
    else if (type == ECHO && p->data[1] == 0)
        echo(net, now, p);
    else if (!error(net, now, p))
        sp_net_dropped(net, type == TOO_BIG ? SP_NET_DROP_PMTU : SP_NET_DROP_ICMP);
}

/* RFC 4443 2.4 (e): about ICMPv6 errors and redirects, groups (but for options that ask for it) and sources that are
 * not one node, none. What a fragment belongs to is not there to be quoted. */
static bool may_complain(const struct packet *p, uint8_t type, uint8_t code) {
    bool option = type == 4 && code == 2;
    bool error = p->proto == IP_ICMP6 && (p->len == 0 || p->data[0] < 128 || p->data[0] == ND_LAST);
    return (!p->group || option) && !p->fragmented && !error && !sp_net_same(p->src, sp_net_zero) && p->src[0] != 0xff;
}

void sp_net_icmp6_error(struct sp_net *net, sp_instant now, const struct packet *p, uint8_t type, uint8_t code,
                        uint32_t value) {
    struct ip_out ip = {.ttl = net->hop_limit, .head_len = 8, .data = p->ip, .len = p->ip_len};
    if (!may_complain(p, type, code) || !reply_source(net, now, p, ip.src) || !sp_net_addr_ready(net, 6, ip.src) ||
        !sp_net_icmp_allowed(net, now))
        return;
    if (ip.len > SP_NET_MTU_MIN - IPV6_HEAD - 8)
        ip.len = SP_NET_MTU_MIN - IPV6_HEAD - 8;
    memcpy(ip.dst, p->src, 16);
    ip.head[0] = type;
    ip.head[1] = code;
    sp_put_u32(ip.head + 4, value);
    net->counts.errors_sent++;
    sp_net_icmp6_send(net, now, &ip, NULL);
}
