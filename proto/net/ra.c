#include "proto/net/impl.h"

#define SOLICIT_TRIES    3
#define SOLICIT_INTERVAL (4 * SP_SEC)
#define SLAAC_MAX        6 /* addresses; the other places are for those of the operator and of a lease */
#define TWO_HOURS        (2 * SP_HOUR)
#define HOP_LIMIT_LEAST  32 /* a lower one could keep us from being heard at all */
#define REACHABLE_MAX    SP_HOUR
#define RETRANS_LEAST    (100 * SP_MS)
#define RETRANS_MOST     (10 * SP_SEC)

enum { OPTION_SOURCE = 1, OPTION_PREFIX = 3, OPTION_MTU = 5 };

/* ---- soliciting: RFC 4861 6.3.7 ---- */

static void on_timer(struct sp_net *net, struct timer *t, sp_instant now) {
    static const uint8_t all_routers[16] = {0xff, 2, [15] = 2};
    struct ip_out ip = {.ttl = 255, .head = {133}, .head_len = 8};
    const struct address *from = sp_net_addr_source(net, now, 6, all_routers);
    uint8_t source[8] = {OPTION_SOURCE, 1};
    memcpy(ip.dst, all_routers, 16);
    if (from != NULL) { /* until then from nowhere, without saying who we are */
        memcpy(ip.src, from->ip, 16);
        memcpy(source + 2, net->config.mac, SP_NET_MAC);
        ip.data = source;
        ip.len = sizeof source;
    }
    sp_net_icmp6_send(net, now, &ip, NULL);
    if (++net->solicits < SOLICIT_TRIES)
        sp_net_timer(net, t, now + SOLICIT_INTERVAL);
}

void sp_net_ra_link(struct sp_net *net, sp_instant now, bool up) {
    net->solicits = 0;
    net->solicit.fire = on_timer;
    sp_net_timer_off(net, &net->solicit);
    if (up && net->config.slaac)
        on_timer(net, &net->solicit, now);
}

/* ---- addresses: RFC 4862 5.5.3 ---- */

static sp_instant until(sp_instant now, uint32_t seconds) {
    return seconds == UINT32_MAX ? SP_NEVER : now + seconds * SP_SEC;
}

static size_t slaac_count(const struct sp_net *net) {
    size_t n = 0;
    for (size_t i = 0; i < SP_NET_ADDRESSES; i++)
        n += net->addresses[i].state != ADDR_NONE && net->addresses[i].from == FROM_SLAAC;
    return n;
}

static struct address *slaac_find(struct sp_net *net, const uint8_t prefix[16]) {
    for (size_t i = 0; i < SP_NET_ADDRESSES; i++) {
        struct address *a = &net->addresses[i];
        if (a->state != ADDR_NONE && a->family == 6 && a->from == FROM_SLAAC && sp_net_in_prefix(a->ip, prefix, 64))
            return a;
    }
    return NULL;
}

static void autoconfigure(struct sp_net *net, sp_instant now, const uint8_t prefix[16], uint32_t preferred_s,
                          uint32_t valid_s) {
    sp_instant preferred = until(now, preferred_s), valid = until(now, valid_s);
    struct address *a = slaac_find(net, prefix);
    if (a != NULL) { /* (e): forged advertisements shorten no life below two hours */
        sp_instant least = a->valid_until < now + TWO_HOURS ? a->valid_until : now + TWO_HOURS;
        if (valid < now + TWO_HOURS && valid < a->valid_until)
            valid = least;
        sp_net_addr_lifetime(net, a, preferred, valid);
        return;
    }
    if (valid_s == 0 || slaac_count(net) >= SLAAC_MAX)
        return;
    uint8_t ip[16];
    sp_net_addr_stable(net, prefix, 0, ip);
    a = sp_net_addr_add(net, now, 6, ip, 64, FROM_SLAAC, 1);
    if (a != NULL)
        sp_net_addr_lifetime(net, a, preferred, valid);
}

static void on_prefix(struct sp_net *net, sp_instant now, struct sp_rd r) {
    uint8_t bits = sp_rd_u8(&r), flags = sp_rd_u8(&r), prefix[16];
    uint32_t valid_s = sp_rd_u32(&r), preferred_s = sp_rd_u32(&r);
    sp_rd_u32(&r);
    sp_rd_copy(&r, prefix, 16);
    bool link_local = prefix[0] == 0xfe && (prefix[1] & 0xc0) == 0x80;
    if (r.err != SP_OK || bits > 128 || bits == 0 || link_local || prefix[0] == 0xff)
        return;
    if ((flags & 0x80) != 0)
        sp_net_prefix_set(net, now, prefix, bits, until(now, valid_s));
    if ((flags & 0x40) != 0 && bits == 64 && preferred_s <= valid_s)
        autoconfigure(net, now, prefix, preferred_s, valid_s);
}

/* ---- advertisements: RFC 4861 6.1.2, 6.3.4 ---- */

static void on_options(struct sp_net *net, sp_instant now, struct sp_rd r) {
    while (sp_rd_left(&r) > 0) {
        uint8_t type = sp_rd_u8(&r), size = sp_rd_u8(&r);
        struct sp_rd body = sp_rd_sub(&r, (size_t)size * 8 - 2);
        if (type == OPTION_PREFIX && size == 4) {
            on_prefix(net, now, body);
        } else if (type == OPTION_MTU && size == 1) {
            sp_rd_u16(&body);
            uint32_t mtu = sp_rd_u32(&body);
            if (mtu >= SP_NET_MTU_MIN && mtu <= net->config.mtu && mtu != net->mtu6) {
                net->mtu6 = (uint16_t)mtu;
                sp_net_segment_link(net);
            }
        }
    }
}

static void on_times(struct sp_net *net, uint8_t hop_limit, uint32_t reachable_ms, uint32_t retrans_ms) {
    if (hop_limit >= HOP_LIMIT_LEAST)
        net->hop_limit = hop_limit;
    if (reachable_ms != 0 && reachable_ms * SP_MS <= REACHABLE_MAX)
        net->reachable = reachable_ms * SP_MS;
    if (retrans_ms * SP_MS >= RETRANS_LEAST && retrans_ms * SP_MS <= RETRANS_MOST)
        net->retrans = retrans_ms * SP_MS;
}

void sp_net_ra_input(struct sp_net *net, sp_instant now, const struct packet *p, struct sp_rd r) {
    uint8_t hop_limit = sp_rd_u8(&r);
    sp_rd_u8(&r); /* other ways of configuration: none here */
    uint16_t lifetime_s = sp_rd_u16(&r);
    uint32_t reachable_ms = sp_rd_u32(&r), retrans_ms = sp_rd_u32(&r);
    const uint8_t *mac;
    bool from_link = p->src[0] == 0xfe && (p->src[1] & 0xc0) == 0x80;
    if (r.err != SP_OK || !from_link || !sp_net_nd_options(r, OPTION_SOURCE, &mac)) {
        sp_net_dropped(net, SP_NET_DROP_ND);
        return;
    }
    if (!net->config.slaac) {
        sp_net_dropped(net, SP_NET_DROP_ICMP);
        return;
    }
    if (net->solicits > 0 && lifetime_s != 0)
        sp_net_timer_off(net, &net->solicit);
    if (lifetime_s != 0)
        sp_net_router_set(net, now, 6, p->src, FROM_SLAAC, now + lifetime_s * SP_SEC);
    else
        sp_net_router_remove(net, 6, p->src, FROM_SLAAC);
    if (mac != NULL)
        sp_net_neigh_heard(net, now, 6, p->src, mac);
    struct neigh *n = sp_net_neigh_find(net, 6, p->src);
    if (n != NULL)
        n->router = true;
    on_times(net, hop_limit, reachable_ms, retrans_ms);
    on_options(net, now, r);
}
