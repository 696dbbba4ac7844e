#include "proto/net/impl.h"

static void on_timer(struct sp_net *net, struct timer *t, sp_instant now);

/* One timer for all routers and prefixes. */
static void arm(struct sp_net *net) {
    sp_instant due = SP_NEVER;
    for (size_t i = 0; i < ROUTERS; i++)
        if (net->routers[i].family != 0)
            due = sp_instant_min(due, net->routers[i].valid_until);
    for (size_t i = 0; i < PREFIXES; i++)
        if (net->prefixes[i].bits != 0)
            due = sp_instant_min(due, net->prefixes[i].valid_until);
    net->routes.fire = on_timer;
    sp_net_timer(net, &net->routes, due);
}

static void on_timer(struct sp_net *net, struct timer *t, sp_instant now) {
    for (size_t i = 0; i < ROUTERS; i++)
        if (net->routers[i].valid_until <= now)
            net->routers[i].family = 0;
    for (size_t i = 0; i < PREFIXES; i++)
        if (net->prefixes[i].valid_until <= now)
            net->prefixes[i].bits = 0;
    arm(net);
}

/* ---- routers ---- */

static struct router *router_find(const struct sp_net *net, uint8_t family, const uint8_t ip[16]) {
    for (size_t i = 0; i < ROUTERS; i++)
        if (net->routers[i].family == family && sp_net_same(net->routers[i].ip, ip))
            return (struct router *)&net->routers[i];
    return NULL;
}

bool sp_net_router_is(const struct sp_net *net, uint8_t family, const uint8_t ip[16]) {
    return router_find(net, family, ip) != NULL;
}

void sp_net_router_set(struct sp_net *net, sp_instant now, uint8_t family, const uint8_t ip[16], enum addr_from from,
                       sp_instant valid_until) {
    struct router *r = router_find(net, family, ip);
    for (size_t i = 0; r == NULL && i < ROUTERS; i++)
        if (net->routers[i].family == 0)
            r = &net->routers[i];
    if (r == NULL || (r->family != 0 && r->from == FROM_STATIC))
        return;
    *r = (struct router){.family = family, .from = from, .valid_until = valid_until};
    memcpy(r->ip, ip, 16);
    arm(net);
}

void sp_net_router_remove(struct sp_net *net, uint8_t family, const uint8_t ip[16], enum addr_from from) {
    struct router *r = router_find(net, family, ip);
    if (r != NULL && r->from == from)
        r->family = 0;
    arm(net);
}

void sp_net_router_failed(struct sp_net *net, uint8_t family, const uint8_t ip[16]) {
    struct router *r = router_find(net, family, ip);
    if (r == NULL)
        return;
    struct router failed = *r;
    size_t i = (size_t)(r - net->routers);
    memmove(r, r + 1, (ROUTERS - 1 - i) * sizeof *r);
    net->routers[ROUTERS - 1] = failed;
}

/* ---- prefixes ---- */

void sp_net_prefix_set(struct sp_net *net, sp_instant now, const uint8_t ip[16], uint8_t bits, sp_instant valid_until) {
    struct prefix *p = NULL;
    for (size_t i = 0; i < PREFIXES; i++) {
        struct prefix *at = &net->prefixes[i];
        if (at->bits == bits && sp_net_in_prefix(at->ip, ip, bits)) {
            p = at;
            break;
        }
        if (at->bits == 0 && p == NULL)
            p = at;
    }
    if (p == NULL)
        return;
    *p = (struct prefix){.bits = bits, .valid_until = valid_until};
    memcpy(p->ip, ip, 16);
    if (valid_until <= now)
        p->bits = 0;
    arm(net);
}

/* ---- choosing ---- */

static bool on_link6(const struct sp_net *net, const uint8_t dst[16]) {
    if (dst[0] == 0xfe && (dst[1] & 0xc0) == 0x80)
        return true;
    for (size_t i = 0; i < PREFIXES; i++)
        if (net->prefixes[i].bits != 0 && sp_net_in_prefix(dst, net->prefixes[i].ip, net->prefixes[i].bits))
            return true;
    return false;
}

static bool on_link(const struct sp_net *net, uint8_t family, const uint8_t dst[16]) {
    if (family == 6 && on_link6(net, dst))
        return true;
    for (size_t i = 0; i < net->address_end; i++) {
        const struct address *a = &net->addresses[i];
        /* RFC 5942: an address from an advertisement says nothing of what is on the link. */
        if (a->state == ADDR_READY && a->family == family && (a->from == FROM_STATIC || a->from == FROM_DHCP) &&
            sp_net_in_prefix(dst, a->ip, a->bits))
            return true;
    }
    return false;
}

const uint8_t *sp_net_route(struct sp_net *net, sp_instant now, uint8_t family, const uint8_t dst[16]) {
    if (on_link(net, family, dst))
        return dst;
    for (size_t i = 0; i < ROUTERS; i++)
        if (net->routers[i].family == family)
            return net->routers[i].ip;
    return NULL;
}

void sp_net_route_link(struct sp_net *net, sp_instant now, bool up) {
    memset(net->routers, 0, sizeof net->routers);
    memset(net->prefixes, 0, sizeof net->prefixes);
    for (size_t i = 0; up && i < net->config.static_count; i++) {
        const struct sp_net_static *s = &net->config.statics[i];
        if (s->gateway.family == s->addr.family)
            sp_net_router_set(net, now, s->gateway.family, s->gateway.ip, FROM_STATIC, SP_NEVER);
    }
    arm(net);
}
