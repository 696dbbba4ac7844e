#include "proto/net/impl.h"

#define CHAIN_MAX 512 /* bytes of extension headers */

enum { PARAM_PROBLEM = 4, PARAM_HEADER = 1, PARAM_OPTION = 2 };

static bool is_group(const uint8_t ip[16]) {
    return ip[0] == 0xff;
}

static bool is_loopback_or_mapped(const uint8_t ip[16]) {
    static const uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff}, loopback[16] = {[15] = 1};
    return sp_net_same(ip, loopback) || sp_net_in_prefix(ip, mapped, 96);
}

static bool read_head(struct packet *p, const uint8_t *data, size_t len, size_t *total) {
    struct sp_rd r = sp_rd_init(data, len);
    uint32_t first = sp_rd_u32(&r);
    *total = IPV6_HEAD + (size_t)sp_rd_u16(&r);
    p->ecn = first >> 20 & 3;
    p->proto = sp_rd_u8(&r);
    p->ttl = sp_rd_u8(&r);
    sp_rd_copy(&r, p->src, 16);
    sp_rd_copy(&r, p->dst, 16);
    return r.err == SP_OK && first >> 28 == 6 && *total <= len;
}

static enum sp_net_drop refuse(struct sp_net *net, const struct packet *p, bool group_mac) {
    if (is_group(p->src) || is_loopback_or_mapped(p->src) || is_loopback_or_mapped(p->dst) ||
        sp_net_same(p->dst, sp_net_zero) || sp_net_addr_ready(net, 6, p->src))
        return SP_NET_DROP_MARTIAN;
    if (is_group(p->dst))
        return sp_net_mld_joined(net, p->dst) ? SP_NET_DROP_COUNT : SP_NET_DROP_GROUP;
    if (sp_net_addr_find(net, 6, p->dst) == NULL)
        return SP_NET_DROP_OTHER;
    return group_mac ? SP_NET_DROP_MARTIAN : SP_NET_DROP_COUNT;
}

/* ---- extension headers ---- */

/* RFC 8200 4.2: what an unknown option asks for, by its two highest bits. */
static bool options_ok(struct sp_net *net, sp_instant now, const struct packet *p, struct sp_rd r) {
    while (sp_rd_left(&r) > 0) {
        const uint8_t *at = r.pos;
        uint8_t type = sp_rd_u8(&r);
        if (type == 0)
            continue;
        sp_rd_bytes(&r, sp_rd_u8(&r));
        if (r.err != SP_OK)
            return false;
        uint8_t action = type >> 6;
        if (action == 0 || type == 1)
            continue;
        if (action == 2 || (action == 3 && !p->group))
            sp_net_icmp6_error(net, now, p, PARAM_PROBLEM, PARAM_OPTION, (uint32_t)(at - p->ip));
        return false;
    }
    return true;
}

/* Moves p past one options or routing header. */
static bool skip_header(struct sp_net *net, sp_instant now, struct packet *p) {
    struct sp_rd r = sp_rd_init(p->data, p->len);
    uint8_t next = sp_rd_u8(&r);
    size_t size = ((size_t)sp_rd_u8(&r) + 1) * 8;
    if (r.err != SP_OK || size > p->len)
        return false;
    if (p->proto == IP_ROUTING) {
        uint8_t left = (sp_rd_u8(&r), sp_rd_u8(&r));
        if (left != 0) { /* we are no router; RFC 8200 4.4 */
            sp_net_icmp6_error(net, now, p, PARAM_PROBLEM, 0, (uint32_t)(p->data + 2 - p->ip));
            return false;
        }
    } else if (!options_ok(net, now, p, sp_rd_sub(&r, size - 2))) {
        return false;
    }
    p->proto = next;
    p->next_at = (uint32_t)(p->data - p->ip);
    p->data += size;
    p->len -= size;
    return true;
}

/* RFC 7112: the first fragment holds all headers; RFC 8200 4.5. */
static bool chain_whole(const struct packet *p) {
    uint8_t proto = p->proto;
    struct sp_rd r = sp_rd_init(p->data, p->len);
    for (unsigned i = 0; i < HEADERS_MAX && (proto == IP_DSTOPTS || proto == IP_ROUTING); i++) {
        proto = sp_rd_u8(&r);
        size_t size = ((size_t)sp_rd_u8(&r) + 1) * 8;
        sp_rd_bytes(&r, size - 2);
    }
    return r.err == SP_OK && (proto == IP_NONE || sp_rd_left(&r) >= (proto == IP_TCP ? 20u : 8u));
}

/* True: p is whole. An atomic fragment (RFC 6946) is whole by itself. */
static bool fragment(struct sp_net *net, sp_instant now, struct packet *p) {
    struct sp_rd r = sp_rd_init(p->data, p->len);
    uint8_t next = sp_rd_u8(&r);
    sp_rd_u8(&r);
    uint16_t at = sp_rd_u16(&r);
    uint32_t id = sp_rd_u32(&r);
    bool more = (at & 1) != 0;
    size_t offset = at & ~(size_t)7;
    p->proto = next;
    p->data = r.pos;
    p->len = sp_rd_left(&r);
    if (r.err != SP_OK || (offset == 0 && !chain_whole(p))) {
        sp_net_dropped(net, SP_NET_DROP_FRAGMENT);
        return false;
    }
    if (offset == 0 && !more) {
        p->fragmented = true;
        return true;
    }
    return sp_net_frag_input(net, now, p, id, offset, more);
}

/* Up to the transport header; false: dropped, counted, or a fragment. */
static bool skip_headers(struct sp_net *net, sp_instant now, struct packet *p) {
    size_t before = p->len;
    for (unsigned i = 0; i < HEADERS_MAX; i++) {
        switch (p->proto) {
        case IP_FRAGMENT:
            if (p->fragmented)
                break; /* one inside another */
            if (!fragment(net, now, p))
                return false;
            before = p->len;
            continue;
        case IP_HOPOPTS:
            if (i > 0) { /* only right after the IPv6 header */
                sp_net_icmp6_error(net, now, p, PARAM_PROBLEM, PARAM_HEADER, p->next_at);
                break;
            } /* fall through */
        case IP_ROUTING:
        case IP_DSTOPTS:
            if (!skip_header(net, now, p) || before - p->len > CHAIN_MAX)
                break;
            continue;
        default:
            return true;
        }
        break;
    }
    sp_net_dropped(net, SP_NET_DROP_OPTION);
    return false;
}

static bool deliver(struct sp_net *net, sp_instant now, struct packet *p, struct sp_in *ret) {
    /* Tentative addresses take neighbour discovery alone. */
    bool tentative = !p->group && !sp_net_addr_ready(net, 6, p->dst);
    if (p->proto == IP_ICMP6) {
        sp_net_icmp6_input(net, now, p);
        return false;
    }
    if (tentative || sp_net_same(p->src, sp_net_zero)) {
        sp_net_dropped(net, tentative ? SP_NET_DROP_OTHER : SP_NET_DROP_MARTIAN);
        return false;
    }
    switch (p->proto) {
    case IP_UDP:
        return sp_net_udp_input(net, now, p, ret);
    case IP_TCP:
        if (net->tcp != NULL) {
            sp_net_segment_input(net, now, p);
            return false;
        } /* fall through */
    default:
        sp_net_dropped(net, p->proto == IP_TCP ? SP_NET_DROP_TCP : SP_NET_DROP_PROTO);
        if (p->proto != IP_NONE)
            sp_net_icmp6_error(net, now, p, PARAM_PROBLEM, PARAM_HEADER, p->next_at);
        return false;
    }
}

bool sp_net_ipv6_input(struct sp_net *net, sp_instant now, struct packet *p, const uint8_t *data, size_t len,
                       struct sp_in *ret) {
    size_t total;
    bool group_mac = p->group;
    p->family = 6;
    if (!read_head(p, data, len, &total)) {
        sp_net_dropped(net, SP_NET_DROP_HEADER);
        return false;
    }
    p->ip = data;
    p->ip_len = total;
    p->data = data + IPV6_HEAD;
    p->len = total - IPV6_HEAD;
    p->next_at = 6;
    enum sp_net_drop why = refuse(net, p, group_mac);
    if (why != SP_NET_DROP_COUNT) {
        sp_net_dropped(net, why);
        return false;
    }
    p->group = is_group(p->dst);
    return skip_headers(net, now, p) && deliver(net, now, p, ret);
}
