#include "proto/net/impl.h"

/* RFC 4861 10 */
#define TRIES       3
#define DELAY_FIRST (5 * SP_SEC)

static void on_timer(struct sp_net *net, struct timer *t, sp_instant now);

sp_err sp_net_neigh_new_all(struct sp_net *net) {
    size_t n = net->config.neighbours;
    net->neigh_store = sp_mem_alloc(net->config.mem, n * sizeof *net->neigh_store);
    if (net->neigh_store == NULL)
        return SP_ERR_FULL;
    for (size_t i = n; i-- > 0;) {
        net->neigh_store[i].timer.fire = on_timer;
        net->neigh_store[i].next = net->neigh_free;
        net->neigh_free = &net->neigh_store[i];
    }
    sp_table_init(&net->neighbours, net->config.mem, n);
    return SP_OK;
}

static uint64_t hash_of(const struct sp_net *net, uint8_t family, const uint8_t ip[16]) {
    uint8_t key[17];
    memcpy(key, ip, 16);
    key[16] = family;
    return sp_siphash(net->hash_key, key, sizeof key);
}

struct neigh *sp_net_neigh_find(struct sp_net *net, uint8_t family, const uint8_t ip[16]) {
    struct neigh *last = net->neigh_last;
    if (last != NULL && last->family == family && sp_net_same(last->ip, ip))
        return last;
    struct sp_link *link = sp_table_find(&net->neighbours, hash_of(net, family, ip));
    for (; link != NULL; link = sp_table_find_next(link)) {
        struct neigh *n = SP_CONTAINER(link, struct neigh, link);
        if (n->family == family && sp_net_same(n->ip, ip))
            return net->neigh_last = n;
    }
    return NULL;
}

static void drop_waiting(struct sp_net *net, struct neigh *n, enum sp_net_drop why) {
    for (struct frame *f; (f = sp_net_frames_take(&n->waiting)) != NULL;) {
        sp_net_frame_free(net, f);
        net->waiting--;
        sp_net_dropped(net, why);
    }
}

static void forget(struct sp_net *net, struct neigh *n) {
    drop_waiting(net, n, SP_NET_DROP_UNREACHABLE);
    sp_net_timer_off(net, &n->timer);
    sp_table_remove(&net->neighbours, &n->link);
    if (net->neigh_last == n)
        net->neigh_last = NULL;
    n->state = NEIGH_FREE;
    n->next = net->neigh_free;
    net->neigh_free = n;
}

void sp_net_neigh_forget(struct sp_net *net) {
    for (size_t i = 0; i < net->config.neighbours; i++)
        if (net->neigh_store[i].state != NEIGH_FREE)
            forget(net, &net->neigh_store[i]);
}

/* How little a neighbour would be missed: strangers' addresses that do not answer first, then those that were only
 * heard, then those that were used longest ago. Routers stay. */
static unsigned worth(const struct sp_net *net, const struct neigh *n) {
    if (n->router || sp_net_router_is(net, n->family, n->ip))
        return 3;
    return n->state == NEIGH_INCOMPLETE ? 0 : n->sent ? 2 : 1;
}

/* Frees the neighbour that matters least; false: all of them are routers. */
static bool make_room(struct sp_net *net) {
    struct neigh *least = NULL;
    unsigned least_worth = 3;
    for (size_t i = 0; i < net->config.neighbours; i++) {
        struct neigh *n = &net->neigh_store[i];
        unsigned w = worth(net, n);
        if (w < least_worth || (least != NULL && w == least_worth && n->used < least->used)) {
            least = n;
            least_worth = w;
        }
    }
    if (least != NULL)
        forget(net, least);
    return least != NULL;
}

static struct neigh *add(struct sp_net *net, sp_instant now, uint8_t family, const uint8_t ip[16]) {
    if (net->neigh_free == NULL && !make_room(net))
        return NULL;
    struct neigh *n = net->neigh_free;
    struct neigh *rest = n->next;
    *n = (struct neigh){.timer.fire = on_timer, .family = family, .used = now};
    memcpy(n->ip, ip, 16);
    sp_net_frames_init(&n->waiting);
    if (sp_table_add(&net->neighbours, &n->link, hash_of(net, family, ip)) != SP_OK) {
        n->next = rest;
        return NULL;
    }
    net->neigh_free = rest;
    return n;
}

/* Asks for it: all who listen, or, to probe, itself. */
static void solicit(struct sp_net *net, sp_instant now, struct neigh *n) {
    const uint8_t *mac = n->state == NEIGH_PROBE ? n->mac : NULL;
    const struct address *from = sp_net_addr_source(net, now, n->family, n->ip);
    if (from == NULL)
        return;
    if (n->family == 4)
        sp_net_arp_request(net, mac, from->ip, n->ip);
    else
        sp_net_nd_solicit(net, now, mac, from->ip, n->ip);
}

static void ask(struct sp_net *net, sp_instant now, struct neigh *n) {
    n->tries++;
    sp_net_timer(net, &n->timer, now + net->retrans);
    solicit(net, now, n);
}

static void unreachable(struct sp_net *net, struct neigh *n) {
    sp_net_router_failed(net, n->family, n->ip);
    forget(net, n);
}

static void on_timer(struct sp_net *net, struct timer *t, sp_instant now) {
    struct neigh *n = SP_CONTAINER(t, struct neigh, timer);
    if (n->state == NEIGH_DELAY) {
        n->state = NEIGH_PROBE;
        n->tries = 0;
    }
    if (n->tries < TRIES)
        ask(net, now, n);
    else
        unreachable(net, n);
}

sp_err sp_net_neigh_use(struct sp_net *net, sp_instant now, uint8_t family, const uint8_t ip[16],
                        uint8_t ret_mac[SP_NET_MAC], struct neigh **ret) {
    struct neigh *n = sp_net_neigh_find(net, family, ip);
    if (n == NULL) {
        n = add(net, now, family, ip);
        if (n == NULL)
            return SP_ERR_FULL;
        n->state = NEIGH_INCOMPLETE;
        ask(net, now, n);
    }
    n->used = now;
    n->sent = true;
    if (n->state == NEIGH_INCOMPLETE) {
        *ret = n;
        return SP_ERR_AGAIN;
    }
    if (n->state == NEIGH_REACHABLE && now >= n->reachable_until)
        n->state = NEIGH_STALE;
    if (n->state == NEIGH_STALE) {
        n->state = NEIGH_DELAY;
        sp_net_timer(net, &n->timer, now + DELAY_FIRST);
    }
    memcpy(ret_mac, n->mac, SP_NET_MAC);
    return SP_OK;
}

/* RFC 4861 7.2.2: when there are too many, the newest replace the oldest. */
void sp_net_neigh_wait(struct sp_net *net, struct neigh *n, struct frame *f) {
    if (n->waiting.count == WAITING_MAX) {
        sp_net_frame_free(net, sp_net_frames_take(&n->waiting));
        net->waiting--;
        sp_net_dropped(net, SP_NET_DROP_WAITING);
    }
    sp_net_frames_add(&n->waiting, f);
    net->waiting++;
}

static void send_waiting(struct sp_net *net, struct neigh *n) {
    for (struct frame *f; (f = sp_net_frames_take(&n->waiting)) != NULL;) {
        memcpy(f->data, n->mac, SP_NET_MAC);
        sp_net_frames_add(&net->out, f);
        net->waiting--;
    }
}

static void reachable(struct sp_net *net, sp_instant now, struct neigh *n) {
    sp_net_timer_off(net, &n->timer);
    n->state = NEIGH_REACHABLE;
    n->reachable_until = now + net->reachable / 2 + sp_rng_below(net->config.rng, net->reachable);
}

static void stale(struct sp_net *net, struct neigh *n) {
    sp_net_timer_off(net, &n->timer);
    n->state = NEIGH_STALE;
}

void sp_net_neigh_heard(struct sp_net *net, sp_instant now, uint8_t family, const uint8_t ip[16],
                        const uint8_t mac[SP_NET_MAC]) {
    struct neigh *n = sp_net_neigh_find(net, family, ip);
    if (n == NULL)
        n = add(net, now, family, ip);
    else if (n->state != NEIGH_INCOMPLETE && memcmp(n->mac, mac, SP_NET_MAC) == 0)
        return;
    if (n == NULL)
        return;
    memcpy(n->mac, mac, SP_NET_MAC);
    stale(net, n);
    send_waiting(net, n);
}

void sp_net_neigh_advert(struct sp_net *net, sp_instant now, struct neigh *n, const uint8_t *mac, bool solicited,
                         bool override) {
    bool changed = mac != NULL && (n->state == NEIGH_INCOMPLETE || memcmp(n->mac, mac, SP_NET_MAC) != 0);
    if (n->state == NEIGH_INCOMPLETE) {
        if (mac == NULL)
            return;
    } else if (changed && !override) {
        if (n->state == NEIGH_REACHABLE)
            stale(net, n);
        return;
    }
    if (changed)
        memcpy(n->mac, mac, SP_NET_MAC);
    if (solicited)
        reachable(net, now, n);
    else if (changed)
        stale(net, n);
    send_waiting(net, n);
}
