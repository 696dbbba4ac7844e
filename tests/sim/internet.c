#include "tests/sim/internet.h"

#include <stdlib.h>
#include <string.h>

#define IN_LAN   (200 * SP_US) /* across a network */
#define HOPS_MAX 16

struct sim_packet {
    struct sim_packet *next, **back;
    struct sim_internet *inet;
    struct sim_lan *lan;         /* where it is, or is going down into */
    const struct sim_host *from; /* NULL: injected */
    struct sp_addr src, dst;
    unsigned hops;
    size_t len;
    uint8_t data[];
};

/* ---- making ---- */

void sim_internet_init(struct sim_internet *n, struct sim *sim) {
    *n = (struct sim_internet){.sim = sim};
    n->world.inet = n;
}

static void drop(struct sim_packet *p) {
    *p->back = p->next;
    if (p->next != NULL)
        p->next->back = p->back;
    free(p);
}

void sim_internet_free(struct sim_internet *n) {
    sim_streams_free(n);
    while (n->under_way != NULL) {
        sim_forget(n->sim, n->under_way);
        drop(n->under_way);
    }
    for (struct sim_lan *l = n->lans, *next; l != NULL; l = next) {
        next = l->next;
        nat_free(l->nat4);
        nat_free(l->nat6);
        free(l);
    }
    n->lans = NULL;
}

struct sim_lan *sim_lan_new(struct sim_internet *n, struct sim_lan *parent, const struct nat_config *nat4,
                            const struct nat_config *nat6, const struct sim_link *link) {
    struct sim_lan *l = calloc(1, sizeof *l);
    *l = (struct sim_lan){
        .inet = n, .next = n->lans, .parent = parent != NULL ? parent : &n->world, .number = ++n->n_lans};
    if (link != NULL)
        l->link = *link;
    if (nat4 != NULL)
        l->nat4 = nat_new(nat4);
    if (nat6 != NULL)
        l->nat6 = nat_new(nat6);
    n->lans = l;
    return l;
}

void sim_host_init(struct sim_host *h, struct sim_internet *n, sim_deliver deliver, sim_stream_event stream,
                   void *ctx) {
    *h = (struct sim_host){.inet = n, .deliver = deliver, .stream = stream, .ctx = ctx, .number = ++n->n_hosts};
}

void sim_host_attach(struct sim_host *h, struct sim_lan *lan, const struct sp_addr *addrs, unsigned n) {
    if (h->lan != NULL) {
        struct sim_host **at = &h->lan->hosts;
        while (*at != h)
            at = &(*at)->next;
        *at = h->next;
    }
    h->lan = lan;
    h->count = 0;
    if (lan == NULL)
        return;
    h->next = lan->hosts;
    lan->hosts = h;
    for (; h->count < n && h->count < SIM_HOST_ADDRS; h->count++) {
        h->addrs[h->count] = addrs[h->count];
        h->addrs[h->count].port = 0;
    }
}

static bool same_ip(const struct sp_addr *a, const struct sp_addr *b) {
    return a->family == b->family && memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

static const struct sp_addr *own(const struct sim_host *h, const struct sp_addr *a) {
    for (unsigned i = 0; i < h->count; i++)
        if (same_ip(&h->addrs[i], a))
            return &h->addrs[i];
    return NULL;
}

const struct sp_addr *sim_host_addr(const struct sim_host *h, uint8_t family) {
    for (unsigned i = 0; i < h->count; i++)
        if (h->addrs[i].family == family)
            return &h->addrs[i];
    return NULL;
}

/* ---- routes ---- */

static bool translates(const struct sim_lan *l, uint8_t family) {
    return family == 4 && l->nat4 != NULL && nat_config(l->nat4)->mapping != NAT_MAPPING_FIREWALL;
}

static struct nat *router(const struct sim_lan *l, uint8_t family) {
    return family == 4 ? l->nat4 : l->nat6;
}

static struct sim_host *host_here(const struct sim_lan *l, const struct sp_addr *a) {
    for (struct sim_host *h = l->hosts; h != NULL; h = h->next)
        if (own(h, a) != NULL)
            return h;
    return NULL;
}

/* The network right below l that this address is in or behind; NULL: none. */
static struct sim_lan *below(const struct sim_lan *l, const struct sp_addr *a) {
    for (struct sim_lan *c = l->inet->lans; c != NULL; c = c->next) {
        if (c->parent != l)
            continue;
        if (translates(c, a->family)) {
            if (memcmp(nat_config(c->nat4)->outside.ip, a->ip, 16) == 0)
                return c;
        } else if (host_here(c, a) != NULL || below(c, a) != NULL) {
            return c;
        }
    }
    return NULL;
}

static bool is_cut(const struct sim_internet *n, const struct sim_host *a, const struct sim_host *b, size_t len) {
    for (unsigned i = 0; i < n->n_cuts; i++)
        if (len > n->cuts[i].over &&
            ((n->cuts[i].a == a && n->cuts[i].b == b) || (n->cuts[i].a == b && n->cuts[i].b == a)))
            return true;
    return false;
}

void sim_internet_cut(struct sim_internet *n, const struct sim_host *a, const struct sim_host *b) {
    sim_internet_thin(n, a, b, 0);
}

void sim_internet_thin(struct sim_internet *n, const struct sim_host *a, const struct sim_host *b, size_t over) {
    sim_check(n->sim, n->n_cuts < SIM_CUTS, "too many cuts");
    n->cuts[n->n_cuts].a = a;
    n->cuts[n->n_cuts].b = b;
    n->cuts[n->n_cuts++].over = over;
}

void sim_internet_heal(struct sim_internet *n) {
    n->n_cuts = 0;
}

/* Whether a link takes packets of this kind at all. */
static bool link_takes(const struct sim_link *k, uint8_t protocol, uint8_t family) {
    return !k->down && !(protocol == SIM_UDP && k->no_udp) && !(family == 4 && k->no_v4) && !(family == 6 && k->no_v6);
}

/* ---- packets ---- */

static void at_lan(void *ctx, uint64_t arg);
static void at_router(void *ctx, uint64_t arg);

static struct sim_packet *packet(struct sim_internet *n, const struct sp_addr *src, const struct sp_addr *dst,
                                 const uint8_t *data, size_t len) {
    struct sim_packet *p = malloc(sizeof *p + len);
    *p = (struct sim_packet){
        .next = n->under_way, .back = &n->under_way, .inet = n, .src = *src, .dst = *dst, .len = len};
    memcpy(p->data, data, len);
    if (p->next != NULL)
        p->next->back = &p->next;
    n->under_way = p;
    n->packets++;
    return p;
}

static struct sim_packet *copy(const struct sim_packet *p) {
    struct sim_packet *c = packet(p->inet, &p->src, &p->dst, p->data, p->len);
    c->from = p->from;
    c->lan = p->lan;
    c->hops = p->hops;
    return c;
}

static void lose(struct sim_packet *p, uint64_t *counter) {
    ++*counter;
    drop(p);
}

static sp_duration link_delay(struct sim *s, const struct sim_link *k) {
    sp_duration d = k->delay;
    if (k->jitter > 0)
        d += sim_below(s, k->jitter + 1);
    if (k->reorder > 0 && sim_chance(s, k->reorder))
        d += SP_MS + sim_below(s, 20 * SP_MS);
    return d;
}

/* Sends a packet over a link; `then` runs at the far end. */
static void cross(struct sim_packet *p, const struct sim_link *k, sim_fn then) {
    struct sim_internet *n = p->inet;
    size_t size = p->len + (p->dst.family == 4 ? 28 : 48);
    if (!link_takes(k, SIM_UDP, p->dst.family)) {
        lose(p, &n->dropped_link);
    } else if (size > (k->mtu != 0 ? k->mtu : 1500)) {
        lose(p, &n->dropped_mtu);
    } else if (k->loss > 0 && sim_chance(n->sim, k->loss)) {
        lose(p, &n->dropped_loss);
    } else {
        if (k->twice > 0 && sim_chance(n->sim, k->twice))
            sim_after(n->sim, link_delay(n->sim, k), then, copy(p), 0);
        sim_after(n->sim, link_delay(n->sim, k), then, p, 0);
    }
}

static void hand_over(struct sim_packet *p, struct sim_host *h) {
    struct sim_internet *n = p->inet;
    if (h->off || (p->from != NULL && is_cut(n, p->from, h, p->len))) {
        lose(p, &n->dropped_link);
        return;
    }
    h->got++;
    h->got_bytes += p->len;
    sim_note(n->sim, "arrive", (uint64_t)h->number << 32 | p->src.port, p->len);
    struct sim_packet *alive = p; /* the receiver may send, and so add to the list, but never drops this one */
    h->deliver(h->ctx, &p->src, &p->dst, p->data, p->len);
    drop(alive);
}

/* Up through this network's router. */
static void climb(struct sim_packet *p) {
    struct sim_lan *l = p->lan;
    struct nat *nat = router(l, p->dst.family);
    struct sp_addr src = p->src, dst = p->dst;
    if (l->parent == NULL) {
        lose(p, &p->inet->dropped_route);
        return;
    }
    enum nat_verdict v = NAT_PASS;
    if (nat != NULL)
        v = nat_out(nat, SIM_UDP, &p->src, &p->dst, p->inet->sim->now, &src, &dst);
    if (v == NAT_DROP) {
        lose(p, &p->inet->dropped_nat);
        return;
    }
    p->src = src;
    p->dst = dst;
    if (v == NAT_HAIRPIN) {
        sim_after(p->inet->sim, IN_LAN, at_lan, p, 1);
        return;
    }
    p->lan = l->parent;
    cross(p, &l->link, at_lan);
}

/* A packet is in p->lan: it goes to who has its destination. from_router: it came from outside, or back from the
 * router. */
static void at_lan(void *ctx, uint64_t from_router) {
    struct sim_packet *p = ctx;
    struct sim_lan *l = p->lan;
    if (++p->hops > HOPS_MAX) {
        lose(p, &p->inet->dropped_route);
        return;
    }
    bool closed = l->isolated && from_router == 0 && l->parent != NULL;
    struct sim_host *h = closed ? NULL : host_here(l, &p->dst);
    struct sim_lan *down = closed || h != NULL ? NULL : below(l, &p->dst);
    if (h != NULL) {
        hand_over(p, h);
    } else if (down != NULL) {
        p->lan = down;
        cross(p, &down->link, at_router);
    } else if (from_router != 0) {
        lose(p, &p->inet->dropped_route);
    } else {
        climb(p);
    }
}

/* A packet from above is at the router of p->lan. */
static void at_router(void *ctx, uint64_t arg) {
    struct sim_packet *p = ctx;
    struct nat *nat = router(p->lan, p->dst.family);
    struct sp_addr dst = p->dst;
    if (nat != NULL && nat_in(nat, SIM_UDP, &p->src, &p->dst, p->inet->sim->now, &dst) != NAT_PASS) {
        lose(p, &p->inet->dropped_nat);
        return;
    }
    p->dst = dst;
    sim_after(p->inet->sim, IN_LAN, at_lan, p, 1);
}

void sim_host_send(struct sim_host *h, const struct sp_addr *src, uint16_t port, const struct sp_addr *dst,
                   const uint8_t *data, size_t len) {
    struct sim_internet *n = h->inet;
    const struct sp_addr *from = src->family != 0 ? own(h, src) : sim_host_addr(h, dst->family);
    if (from == NULL || from->family != dst->family || h->off || h->lan == NULL)
        return;
    struct sp_addr at = *from;
    at.port = port;
    h->sent++;
    h->sent_bytes += len;
    sim_note(n->sim, "send", (uint64_t)h->number << 32 | dst->port, len);
    if (n->tap != NULL)
        n->tap(n->tap_ctx, h, &at, dst, data, len);
    struct sim_packet *p = packet(n, &at, dst, data, len);
    p->from = h;
    p->lan = h->lan;
    if (len + (dst->family == 4 ? 28 : 48) > 1500)
        lose(p, &n->dropped_mtu);
    else
        sim_after(n->sim, IN_LAN, at_lan, p, 0);
}

void sim_lan_inject(struct sim_lan *lan, const struct sp_addr *src, const struct sp_addr *dst, const uint8_t *data,
                    size_t len) {
    struct sim_packet *p = packet(lan->inet, src, dst, data, len);
    p->lan = lan;
    sim_after(lan->inet->sim, IN_LAN, at_lan, p, 0);
}

/* ---- the way of a connection ---- */

struct walk {
    struct sim_lan *lan;
    struct sp_addr src, dst;
    sp_duration delay;
    unsigned loss;
    uint8_t protocol;
};

static bool walk_link(struct walk *w, const struct sim_link *k) {
    w->delay += k->delay + k->jitter / 2;
    w->loss += k->loss;
    return link_takes(k, w->protocol, w->dst.family);
}

static bool walk_up(struct walk *w, sp_instant now, bool *ret_back) {
    struct nat *nat = router(w->lan, w->dst.family);
    struct sp_addr src = w->src, dst = w->dst;
    enum nat_verdict v = nat == NULL ? NAT_PASS : nat_out(nat, w->protocol, &w->src, &w->dst, now, &src, &dst);
    if (w->lan->parent == NULL || v == NAT_DROP)
        return false;
    w->src = src;
    w->dst = dst;
    *ret_back = v == NAT_HAIRPIN;
    if (v == NAT_HAIRPIN)
        return true;
    bool ok = walk_link(w, &w->lan->link);
    w->lan = w->lan->parent;
    return ok;
}

static bool walk_down(struct walk *w, struct sim_lan *down, sp_instant now) {
    struct nat *nat = router(down, w->dst.family);
    struct sp_addr dst = w->dst;
    if (!walk_link(w, &down->link) ||
        (nat != NULL && nat_in(nat, w->protocol, &w->src, &w->dst, now, &dst) != NAT_PASS))
        return false;
    w->dst = dst;
    w->lan = down;
    return true;
}

bool sim_internet_walk(struct sim_host *h, uint8_t protocol, const struct sp_addr *src, const struct sp_addr *dst,
                       struct sim_host **ret_host, struct sp_addr *ret_src, sp_duration *ret_delay,
                       unsigned *ret_loss) {
    struct walk w = {h->lan, *src, *dst, IN_LAN, 0, protocol};
    sp_instant now = h->inet->sim->now;
    bool back = false;
    if (h->off || h->lan == NULL || own(h, src) == NULL)
        return false;
    for (unsigned hops = 0; hops < HOPS_MAX; hops++) {
        struct sim_host *to = host_here(w.lan, &w.dst);
        struct sim_lan *down = to == NULL ? below(w.lan, &w.dst) : NULL;
        if (to != NULL) {
            *ret_host = to;
            *ret_src = w.src;
            *ret_delay = w.delay;
            *ret_loss = w.loss;
            return !to->off && !is_cut(h->inet, h, to, 1);
        }
        if (down != NULL ? !walk_down(&w, down, now) : back || !walk_up(&w, now, &back))
            return false;
        w.delay += IN_LAN;
    }
    return false;
}

struct sp_addr sim_v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port) {
    return (struct sp_addr){.family = 4, .ip = {a, b, c, d}, .port = port};
}

struct sp_addr sim_v6(uint16_t net, uint16_t host, uint16_t port) {
    return (struct sp_addr){.family = 6,
                            .ip = {0x20, 0x01, 0x0d, 0xb8, (uint8_t)(net >> 8),
                                   (uint8_t)net, [14] = (uint8_t)(host >> 8), [15] = (uint8_t)host},
                            .port = port};
}
