#include "proto/net/impl.h"

#include "proto/net/dhcp_wire.h"

/* RFC 2131 4.1, 4.4.5, 3.1 */
#define FIRST_WAIT  (4 * SP_SEC)
#define LONGEST     64u /* seconds between repeats */
#define ASK_TRIES   3
#define RENEW_LEAST (60 * SP_SEC)
#define DECLINED    (10 * SP_SEC)
#define PROBES      2
#define LEASE_LEAST 60 /* seconds; shorter ones would keep us busy with nothing else */
#define FOREVER     UINT32_MAX

static void discover(struct sp_net *net, sp_instant now);
static void on_timer(struct sp_net *net, struct timer *t, sp_instant now);

static void put_ip(uint8_t ret[16], uint32_t ip) {
    memset(ret, 0, 16);
    sp_put_u32(ret, ip);
}

/* ---- sending ---- */

static void send(struct sp_net *net, sp_instant now, struct dhcp_message *m, bool to_server) {
    struct dhcp *d = &net->dhcp;
    uint8_t buf[DHCP_MESSAGE_MAX];
    struct ip_out ip = {.family = 4, .proto = IP_UDP, .ttl = HOP_LIMIT, .head_len = 8, .data = buf};
    m->xid = d->xid;
    m->secs = (uint16_t)((now - d->started) / SP_SEC < UINT16_MAX ? (now - d->started) / SP_SEC : UINT16_MAX);
    memcpy(m->mac, net->config.mac, SP_NET_MAC);
    ip.len = sp_net_dhcp_write(m, net->hostname, buf);
    put_ip(ip.src, m->ciaddr);
    put_ip(ip.dst, to_server ? d->server : UINT32_MAX);
    ip.id = sp_rng_u32(net->config.rng);
    sp_put_u16(ip.head, 68);
    sp_put_u16(ip.head + 2, 67);
    sp_put_u16(ip.head + 4, (uint16_t)(8 + ip.len));
    uint16_t sum = sp_net_ip_csum(&ip);
    sp_put_u16(ip.head + 6, sum != 0 ? sum : 0xffff);
    sp_net_ip_send(net, now, &ip, to_server ? NULL : sp_net_broadcast);
}

/* The request of each state, RFC 2131 4.3.2. */
static void request(struct sp_net *net, sp_instant now) {
    struct dhcp *d = &net->dhcp;
    struct dhcp_message m = {.type = DHCP_REQUEST};
    if (d->state == DHCP_REQUESTING) {
        m.server = d->server;
        m.requested = d->ip;
    } else if (d->state == DHCP_REBOOTING) {
        m.requested = d->ip;
    } else {
        m.ciaddr = d->ip;
    }
    d->asked = now;
    send(net, now, &m, d->state == DHCP_RENEWING);
}

/* Longer each time, and not in step with others. */
static void repeat_later(struct sp_net *net, sp_instant now) {
    struct dhcp *d = &net->dhcp;
    sp_duration wait = FIRST_WAIT << (d->tries < 4 ? d->tries : 4);
    d->tries++;
    sp_net_timer(net, &d->timer, now + wait - SP_SEC + sp_rng_below(net->config.rng, 2 * SP_SEC));
}

/* ---- states ---- */

static void go(struct sp_net *net, sp_instant now, enum dhcp_state state) {
    net->dhcp.state = state;
    net->dhcp.tries = 0;
}

static struct address *leased(struct sp_net *net) {
    for (size_t i = 0; i < SP_NET_ADDRESSES; i++)
        if (net->addresses[i].state != ADDR_NONE && net->addresses[i].from == FROM_DHCP)
            return &net->addresses[i];
    return NULL;
}

/* The address and what came with it go. */
static void lose(struct sp_net *net) {
    uint8_t router[16];
    struct address *a = leased(net);
    if (a != NULL)
        sp_net_addr_remove(net, a);
    put_ip(router, net->dhcp.router);
    sp_net_router_remove(net, 4, router, FROM_DHCP);
    net->mtu4 = net->config.mtu;
    sp_net_segment_link(net);
}

static void start(struct sp_net *net, sp_instant now) {
    net->dhcp.xid = sp_rng_u32(net->config.rng);
    net->dhcp.started = now;
}

static void discover(struct sp_net *net, sp_instant now) {
    struct dhcp_message m = {.type = DHCP_DISCOVER};
    if (net->dhcp.state != DHCP_SELECTING) {
        go(net, now, DHCP_SELECTING);
        start(net, now);
        net->dhcp.ip = 0;
    }
    send(net, now, &m, false);
    repeat_later(net, now);
}

/* Half of what is left, but a minute at least; at the end of a state into the next. */
static void ask_again(struct sp_net *net, sp_instant now, sp_instant end) {
    request(net, now);
    sp_duration half = (end - now) / 2;
    sp_net_timer(net, &net->dhcp.timer, half < RENEW_LEAST ? end : now + half);
}

static void on_lease_timer(struct sp_net *net, sp_instant now) {
    struct dhcp *d = &net->dhcp;
    if (now >= d->end) {
        lose(net);
        discover(net, now);
    } else if (now >= d->t2) {
        if (d->state != DHCP_REBINDING)
            go(net, now, DHCP_REBINDING);
        ask_again(net, now, d->end);
    } else {
        if (d->state == DHCP_BOUND) {
            go(net, now, DHCP_RENEWING);
            start(net, now);
        }
        ask_again(net, now, d->t2);
    }
}

static void on_timer(struct sp_net *net, struct timer *t, sp_instant now) {
    struct dhcp *d = &net->dhcp;
    switch (d->state) {
    case DHCP_OFF:
    case DHCP_PROBING: /* the address's own timer */
        break;
    case DHCP_REBOOTING:
    case DHCP_REQUESTING:
        if (d->tries >= ASK_TRIES) {
            discover(net, now);
            break;
        }
        request(net, now);
        repeat_later(net, now);
        break;
    case DHCP_SELECTING:
    case DHCP_WAITING:
        discover(net, now);
        break;
    case DHCP_BOUND:
    case DHCP_RENEWING:
    case DHCP_REBINDING:
        on_lease_timer(net, now);
    }
}

void sp_net_dhcp_link(struct sp_net *net, sp_instant now, bool up) {
    struct dhcp *d = &net->dhcp;
    d->timer.fire = on_timer;
    sp_net_timer_off(net, &d->timer);
    go(net, now, DHCP_OFF);
    if (!up || !net->config.dhcp)
        return;
    if (d->ip == 0 || now >= d->end) {
        discover(net, now);
        return;
    }
    go(net, now, DHCP_REBOOTING); /* RFC 2131 3.2: perhaps it is the same network, and ours still */
    start(net, now);
    request(net, now);
    repeat_later(net, now);
}

/* ---- replies ---- */

static bool usable(uint32_t ip) {
    return ip >> 24 != 0 && ip >> 24 != 127 && ip >> 24 < 224;
}

static void on_offer(struct sp_net *net, sp_instant now, const struct dhcp_message *m) {
    struct dhcp *d = &net->dhcp;
    d->ip = m->yiaddr;
    d->server = m->server;
    go(net, now, DHCP_REQUESTING);
    request(net, now);
    repeat_later(net, now);
}

static uint8_t bits_of(uint32_t mask) {
    uint8_t bits = 0;
    while (bits < 32 && (mask << bits & 0x80000000u) != 0)
        bits++;
    return bits;
}

/* RFC 2131 4.4.5: from when it was asked for; T1 and T2 in their order, or their defaults. */
static void take_times(struct dhcp *d, const struct dhcp_message *m) {
    uint32_t lease_s = m->lease_s < LEASE_LEAST ? LEASE_LEAST : m->lease_s;
    bool given = m->t1_s != 0 && m->t1_s < m->t2_s && m->t2_s < lease_s;
    d->t1 = d->t2 = d->end = SP_NEVER;
    if (lease_s == FOREVER)
        return;
    d->end = d->asked + lease_s * SP_SEC;
    d->t1 = d->asked + (given ? m->t1_s * SP_SEC : lease_s * SP_SEC / 2);
    d->t2 = d->asked + (given ? m->t2_s * SP_SEC : lease_s * SP_SEC / 8 * 7);
}

static void take_rest(struct sp_net *net, sp_instant now, const struct dhcp_message *m) {
    struct dhcp *d = &net->dhcp;
    uint8_t router[16];
    if (d->router != 0 && d->router != m->router) {
        put_ip(router, d->router);
        sp_net_router_remove(net, 4, router, FROM_DHCP);
    }
    d->router = m->router;
    put_ip(router, m->router);
    if (usable(m->router))
        sp_net_router_set(net, now, 4, router, FROM_DHCP, SP_NEVER);
    net->mtu4 = m->mtu >= 576 && m->mtu <= net->config.mtu ? m->mtu : net->config.mtu;
    sp_net_segment_link(net);
    d->server = m->server;
    d->resolver_count = m->resolver_count;
    memcpy(d->resolvers, m->resolvers, sizeof d->resolvers);
}

static void bound(struct sp_net *net, sp_instant now) {
    go(net, now, DHCP_BOUND);
    net->counts.leases++;
    sp_net_timer(net, &net->dhcp.timer, net->dhcp.t1);
}

static void on_ack(struct sp_net *net, sp_instant now, const struct dhcp_message *m) {
    struct dhcp *d = &net->dhcp;
    struct address *a = leased(net);
    uint8_t ip[16];
    put_ip(ip, m->yiaddr);
    take_times(d, m);
    take_rest(net, now, m);
    d->ip = m->yiaddr;
    if (a != NULL && sp_net_same(a->ip, ip)) { /* renewed */
        bound(net, now);
        return;
    }
    if (a != NULL)
        sp_net_addr_remove(net, a);
    go(net, now, DHCP_PROBING);
    sp_net_timer_off(net, &d->timer);
    uint8_t bits = bits_of(m->mask) != 0 ? bits_of(m->mask) : 32;
    if (sp_net_addr_add(net, now, 4, ip, bits, FROM_DHCP, PROBES) != NULL)
        return;
    lose(net); /* it is one of ours already, or there are too many */
    go(net, now, DHCP_WAITING);
    sp_net_timer(net, &d->timer, now + LONGEST * SP_SEC);
}

void sp_net_dhcp_probed(struct sp_net *net, sp_instant now, bool ours) {
    struct dhcp *d = &net->dhcp;
    if (ours) {
        bound(net, now);
        return;
    }
    struct dhcp_message m = {.type = DHCP_DECLINE, .requested = d->ip, .server = d->server};
    send(net, now, &m, false);
    lose(net);
    d->ip = 0;
    go(net, now, DHCP_WAITING);
    sp_net_timer(net, &d->timer, now + DECLINED);
}

/* At once elsewhere; a server that offers and then refuses is not asked again so soon. */
static void on_nak(struct sp_net *net, sp_instant now) {
    bool offered = net->dhcp.state == DHCP_REQUESTING;
    lose(net);
    if (!offered) {
        discover(net, now);
        return;
    }
    go(net, now, DHCP_WAITING);
    sp_net_timer(net, &net->dhcp.timer, now + DECLINED);
}

/* Whether a reply is one that this state waits for. */
static bool wanted(const struct dhcp *d, const struct dhcp_message *m) {
    bool asking = d->state == DHCP_REBOOTING || d->state == DHCP_REQUESTING || d->state == DHCP_RENEWING ||
                  d->state == DHCP_REBINDING;
    bool server = d->state != DHCP_REQUESTING || m->server == d->server;
    switch (m->type) {
    case DHCP_OFFER:
        return d->state == DHCP_SELECTING && usable(m->yiaddr) && m->server != 0;
    case DHCP_ACK:
        return asking && server && usable(m->yiaddr) && m->lease_s != 0 &&
               (d->state != DHCP_REQUESTING || m->yiaddr == d->ip);
    case DHCP_NAK:
        return asking && server;
    default:
        return false;
    }
}

bool sp_net_dhcp_input(struct sp_net *net, sp_instant now, const struct packet *p) {
    struct udp u;
    struct dhcp_message m;
    if (!sp_net_udp_open(net, p, &u))
        return true;
    if (u.src != 67 || sp_net_dhcp_read(u.data, u.len, &m) != SP_OK || m.xid != net->dhcp.xid ||
        memcmp(m.mac, net->config.mac, SP_NET_MAC) != 0 || !wanted(&net->dhcp, &m)) {
        sp_net_dropped(net, SP_NET_DROP_DHCP);
        return true;
    }
    if (m.type == DHCP_OFFER) {
        on_offer(net, now, &m);
    } else if (m.type == DHCP_ACK) {
        on_ack(net, now, &m);
    } else {
        on_nak(net, now);
    }
    return true;
}

size_t sp_net_resolvers(const struct sp_net *net, struct sp_addr *ret, size_t max) {
    size_t n = 0;
    for (; n < net->dhcp.resolver_count && n < max; n++) {
        ret[n] = (struct sp_addr){.family = 4};
        put_ip(ret[n].ip, net->dhcp.resolvers[n]);
    }
    return n;
}
