#include "tests/support/nat_model.h"

#include <stdlib.h>
#include <string.h>

#define NONE      UINT32_MAX
#define TCP       6
#define TCP_LEAST (7200 * SP_SEC)

/* An inside end, and for dependent mappings the outside end that it is for. */
struct map {
    uint32_t next_in, next_out; /* of the chains by inside end and by outside port; next_in also of the free list */
    struct sp_addr inside, towards, outside;
    sp_instant used;
    uint32_t serial; /* tells it from others in this place */
    uint8_t protocol;
    bool live;
};

/* An outside end that a mapping has sent to: what filters go by. */
struct flow {
    uint32_t next;
    uint32_t map, serial; /* of the mapping */
    struct sp_addr peer;
    sp_instant used;
};

struct nat {
    struct nat_config c;
    uint64_t random;
    uint32_t serial;
    uint16_t port_next, shift;     /* shift: of preserved ports, after a rebind */
    uint32_t live, n_flows, heads; /* heads: a power of two */
    uint32_t free_map, free_flow;
    uint32_t *by_in, *by_out, *by_flow;
    struct map *maps;
    struct flow *flows;
    struct nat_counts counts;
};

/* ---- configuration ---- */

static const char *const MAPPINGS[] = {
#define X(name, text) text,
    NAT_MAPPING_LIST(X)
#undef X
};
static const char *const FILTERS[] = {
#define X(name, text) text,
    NAT_FILTER_LIST(X)
#undef X
};
static const char *const PORTS[] = {
#define X(name, text) text,
    NAT_PORTS_LIST(X)
#undef X
};
#define COUNT(list) (sizeof(list) / sizeof(list)[0])

static bool pick(uint8_t *ret, const char *value, const char *const *list, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(value, list[i]) == 0) {
            *ret = (uint8_t)i;
            return true;
        }
    return false;
}

static bool number(uint64_t *ret, const char *value, uint64_t max) {
    char *end;
    unsigned long long v = strtoull(value, &end, 10);
    if (end == value || *end != 0 || v > max)
        return false;
    *ret = v;
    return true;
}

bool nat_config_set(struct nat_config *c, const char *name, const char *value) {
    uint64_t v = 0;
    if (strcmp(name, "mapping") == 0)
        return pick(&c->mapping, value, MAPPINGS, COUNT(MAPPINGS));
    if (strcmp(name, "filter") == 0)
        return pick(&c->filter, value, FILTERS, COUNT(FILTERS));
    if (strcmp(name, "ports") == 0)
        return pick(&c->ports, value, PORTS, COUNT(PORTS));
    if (strcmp(name, "seed") == 0)
        return number(&c->seed, value, UINT64_MAX);
    if (!number(&v, value, 1000000))
        return false;
    if (strcmp(name, "hairpin") == 0 && v <= 1)
        c->hairpin = v != 0;
    else if (strcmp(name, "refresh-in") == 0 && v <= 1)
        c->refresh_in = v != 0;
    else if (strcmp(name, "timeout") == 0 && v > 0)
        c->timeout = v * SP_SEC;
    else if (strcmp(name, "limit") == 0 && v > 0)
        c->limit = (uint32_t)v;
    else
        return false;
    return true;
}

const char *nat_mapping_name(uint8_t mapping) {
    return mapping < COUNT(MAPPINGS) ? MAPPINGS[mapping] : "?";
}
const char *nat_filter_name(uint8_t filter) {
    return filter < COUNT(FILTERS) ? FILTERS[filter] : "?";
}
const char *nat_ports_name(uint8_t ports) {
    return ports < COUNT(PORTS) ? PORTS[ports] : "?";
}

/* ---- small things ---- */

/* SplitMix64 */
static uint64_t next_random(struct nat *n) {
    uint64_t z = n->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static bool same(const struct sp_addr *a, const struct sp_addr *b) {
    return a->family == b->family && a->port == b->port && memcmp(a->ip, b->ip, 16) == 0;
}

static bool same_host(const struct sp_addr *a, const struct sp_addr *b) {
    return a->family == b->family && memcmp(a->ip, b->ip, 16) == 0;
}

static uint64_t mix(uint64_t h, const struct sp_addr *a) {
    for (size_t i = 0; i < 16; i++)
        h = (h ^ a->ip[i]) * 0x100000001b3u;
    return (h ^ a->port) * 0x100000001b3u;
}

static uint32_t slot(const struct nat *n, uint64_t h) {
    return (uint32_t)((h ^ h >> 29) & (n->heads - 1));
}

static uint32_t slot_in(const struct nat *n, uint8_t protocol, const struct sp_addr *inside) {
    return slot(n, mix(protocol, inside));
}

static uint32_t slot_out(const struct nat *n, uint8_t protocol, const struct sp_addr *outside) {
    return slot(n, mix(protocol + 512u, outside));
}

static uint32_t slot_flow(const struct nat *n, uint32_t map, const struct sp_addr *peer) {
    return slot(n, mix(map + 1024u, peer));
}

static bool stale(const struct nat *n, sp_instant used, uint8_t protocol, sp_instant now) {
    sp_duration timeout = n->c.timeout;
    if (protocol == TCP && timeout < TCP_LEAST)
        timeout = TCP_LEAST;
    return now >= used && now - used >= timeout;
}

/* ---- the tables ---- */

static void clear(struct nat *n) {
    uint32_t flows = n->c.limit * 4;
    for (uint32_t i = 0; i < n->heads; i++)
        n->by_in[i] = n->by_out[i] = n->by_flow[i] = NONE;
    for (uint32_t i = 0; i < n->c.limit; i++)
        n->maps[i] = (struct map){.next_in = i + 1 < n->c.limit ? i + 1 : NONE};
    for (uint32_t i = 0; i < flows; i++)
        n->flows[i].next = i + 1 < flows ? i + 1 : NONE;
    n->free_map = n->free_flow = 0;
    n->live = n->n_flows = 0;
}

struct nat *nat_new(const struct nat_config *config) {
    struct nat *n = calloc(1, sizeof *n);
    if (n == NULL)
        return NULL;
    n->c = *config;
    if (n->c.timeout == 0)
        n->c.timeout = 120 * SP_SEC;
    if (n->c.limit == 0)
        n->c.limit = 4096;
    if (n->c.port_low == 0 || n->c.port_high < n->c.port_low) {
        n->c.port_low = 1024;
        n->c.port_high = 65535;
    }
    for (n->heads = 16; n->heads < n->c.limit; n->heads *= 2)
        ;
    n->random = config->seed;
    n->port_next = (uint16_t)(next_random(n) % 20000 + 20000);
    n->by_in = malloc(n->heads * 3 * sizeof *n->by_in);
    n->maps = calloc(n->c.limit, sizeof *n->maps);
    n->flows = calloc((size_t)n->c.limit * 4, sizeof *n->flows);
    if (n->by_in == NULL || n->maps == NULL || n->flows == NULL) {
        nat_free(n);
        return NULL;
    }
    n->by_out = n->by_in + n->heads;
    n->by_flow = n->by_out + n->heads;
    clear(n);
    return n;
}

void nat_free(struct nat *n) {
    if (n == NULL)
        return;
    free(n->by_in);
    free(n->maps);
    free(n->flows);
    free(n);
}

static void drop_flow(struct nat *n, uint32_t *at) {
    uint32_t i = *at;
    *at = n->flows[i].next;
    n->flows[i].next = n->free_flow;
    n->free_flow = i;
    n->n_flows--;
}

static void drop_map(struct nat *n, uint32_t i) {
    struct map *m = &n->maps[i];
    uint32_t *at = &n->by_in[slot_in(n, m->protocol, &m->inside)];
    while (*at != i)
        at = &n->maps[*at].next_in;
    *at = m->next_in;
    at = &n->by_out[slot_out(n, m->protocol, &m->outside)];
    while (*at != i)
        at = &n->maps[*at].next_out;
    *at = m->next_out;
    m->live = false;
    m->next_in = n->free_map;
    n->free_map = i;
    n->live--;
    n->counts.expired++;
}

/* Lets go of all that is stale: when a table is full. Flows of mappings that are gone go too. */
static void sweep(struct nat *n, sp_instant now) {
    for (uint32_t i = 0; i < n->heads; i++)
        for (uint32_t *at = &n->by_flow[i]; *at != NONE;) {
            const struct flow *f = &n->flows[*at];
            const struct map *m = &n->maps[f->map];
            if (!m->live || m->serial != f->serial || stale(n, m->used, m->protocol, now) ||
                stale(n, f->used, m->protocol, now))
                drop_flow(n, at);
            else
                at = &n->flows[*at].next;
        }
    for (uint32_t i = 0; i < n->c.limit; i++)
        if (n->maps[i].live && stale(n, n->maps[i].used, n->maps[i].protocol, now))
            drop_map(n, i);
}

/* The outside end that a mapping is for: nobody, a host, or a host's port. */
static struct sp_addr towards(const struct nat *n, const struct sp_addr *dst) {
    struct sp_addr to = {0};
    if (n->c.mapping != NAT_MAPPING_ADDRESS && n->c.mapping != NAT_MAPPING_PORT)
        return to;
    to = *dst;
    if (n->c.mapping == NAT_MAPPING_ADDRESS)
        to.port = 0;
    return to;
}

static uint32_t find_in(struct nat *n, uint8_t protocol, const struct sp_addr *src, const struct sp_addr *to,
                        sp_instant now) {
    for (uint32_t i = n->by_in[slot_in(n, protocol, src)]; i != NONE; i = n->maps[i].next_in) {
        struct map *m = &n->maps[i];
        if (m->protocol != protocol || !same(&m->inside, src) || !same(&m->towards, to))
            continue;
        if (!stale(n, m->used, protocol, now))
            return i;
        drop_map(n, i);
        return NONE;
    }
    return NONE;
}

static uint32_t find_out(struct nat *n, uint8_t protocol, const struct sp_addr *outside, sp_instant now) {
    for (uint32_t i = n->by_out[slot_out(n, protocol, outside)]; i != NONE; i = n->maps[i].next_out) {
        struct map *m = &n->maps[i];
        if (m->protocol != protocol || !same(&m->outside, outside))
            continue;
        if (!stale(n, m->used, protocol, now))
            return i;
        drop_map(n, i);
        return NONE;
    }
    return NONE;
}

/* ---- mappings ---- */

static uint16_t next_port(const struct nat *n, uint32_t port) {
    return port < n->c.port_low || port >= n->c.port_high ? n->c.port_low : (uint16_t)(port + 1);
}

/* A port of the outside address that no mapping has; false: there is none. */
static bool choose(struct nat *n, uint8_t protocol, uint16_t inside_port, sp_instant now, struct sp_addr *ret) {
    uint32_t span = (uint32_t)n->c.port_high - n->c.port_low + 1;
    uint16_t port = n->port_next;
    if (n->c.ports == NAT_PORTS_PRESERVE)
        port = (uint16_t)(inside_port + n->shift);
    else if (n->c.ports == NAT_PORTS_RANDOM)
        port = (uint16_t)(n->c.port_low + next_random(n) % span);
    if (port < n->c.port_low || port > n->c.port_high)
        port = n->c.port_low;
    *ret = n->c.outside;
    for (uint32_t i = 0; i < span; i++) {
        ret->port = port;
        port = next_port(n, port);
        if (find_out(n, protocol, ret, now) == NONE) {
            n->port_next = n->c.ports == NAT_PORTS_SEQUENTIAL ? port : n->port_next;
            return true;
        }
        if (n->c.ports == NAT_PORTS_RANDOM && i < 64)
            port = (uint16_t)(n->c.port_low + next_random(n) % span);
    }
    return false;
}

static uint32_t make(struct nat *n, uint8_t protocol, const struct sp_addr *src, const struct sp_addr *to,
                     sp_instant now) {
    struct sp_addr outside = *src; /* a firewall's */
    if (n->free_map == NONE)
        sweep(n, now);
    if (n->free_map == NONE)
        return NONE;
    if (n->c.mapping == NAT_MAPPING_ONE_TO_ONE)
        memcpy(outside.ip, n->c.outside.ip, sizeof outside.ip);
    else if (n->c.mapping != NAT_MAPPING_FIREWALL && !choose(n, protocol, src->port, now, &outside))
        return NONE;
    uint32_t i = n->free_map, in = slot_in(n, protocol, src), out = slot_out(n, protocol, &outside);
    n->free_map = n->maps[i].next_in;
    n->maps[i] = (struct map){n->by_in[in], n->by_out[out], *src, *to, outside, now, ++n->serial, protocol, true};
    n->by_in[in] = n->by_out[out] = i;
    n->live++;
    n->counts.made++;
    return i;
}

/* ---- filters ---- */

static struct sp_addr filter_peer(const struct nat *n, const struct sp_addr *peer) {
    struct sp_addr p = *peer;
    if (n->c.filter == NAT_FILTER_ADDRESS)
        p.port = 0;
    return p;
}

static struct flow *find_flow(struct nat *n, uint32_t map, const struct sp_addr *peer, sp_instant now) {
    uint32_t *at = &n->by_flow[slot_flow(n, map, peer)];
    while (*at != NONE) {
        struct flow *f = &n->flows[*at];
        if (f->map == map && f->serial == n->maps[map].serial && same(&f->peer, peer)) {
            if (!stale(n, f->used, n->maps[map].protocol, now))
                return f;
            drop_flow(n, at);
            return NULL;
        }
        at = &f->next;
    }
    return NULL;
}

/* Remembers that a mapping has sent to this peer. False: the table is full. */
static bool open_flow(struct nat *n, uint32_t map, const struct sp_addr *dst, sp_instant now) {
    if (n->c.filter == NAT_FILTER_ENDPOINT)
        return true;
    struct sp_addr peer = filter_peer(n, dst);
    struct flow *f = find_flow(n, map, &peer, now);
    if (f == NULL) {
        if (n->free_flow == NONE)
            sweep(n, now);
        if (n->free_flow == NONE)
            return false;
        uint32_t i = n->free_flow, head = slot_flow(n, map, &peer);
        f = &n->flows[i];
        n->free_flow = f->next;
        *f = (struct flow){n->by_flow[head], map, n->maps[map].serial, peer, now};
        n->by_flow[head] = i;
        n->n_flows++;
    }
    f->used = now;
    return true;
}

/* ---- packets ---- */

static bool translates(const struct nat *n) {
    return n->c.mapping != NAT_MAPPING_FIREWALL;
}

/* The mapping for a packet from inside, made if need be and refreshed; NONE: dropped. */
static uint32_t map_out(struct nat *n, uint8_t protocol, const struct sp_addr *src, const struct sp_addr *dst,
                        sp_instant now) {
    struct sp_addr to = towards(n, dst);
    uint32_t i = find_in(n, protocol, src, &to, now);
    if (i == NONE)
        i = make(n, protocol, src, &to, now);
    if (i == NONE || !open_flow(n, i, dst, now)) {
        n->counts.dropped_full++;
        return NONE;
    }
    n->maps[i].used = now;
    return i;
}

enum nat_verdict nat_out(struct nat *n, uint8_t protocol, const struct sp_addr *src, const struct sp_addr *dst,
                         sp_instant now, struct sp_addr *ret_src, struct sp_addr *ret_dst) {
    if (src->family != dst->family || (translates(n) && src->family != n->c.outside.family) ||
        (n->c.mapping == NAT_MAPPING_ONE_TO_ONE && !same_host(src, &n->c.inside))) {
        n->counts.dropped_family++;
        return NAT_DROP;
    }
    bool back = translates(n) && same_host(dst, &n->c.outside);
    if (back && !n->c.hairpin) {
        n->counts.dropped_hairpin++;
        return NAT_DROP;
    }
    uint32_t i = map_out(n, protocol, src, dst, now);
    if (i == NONE)
        return NAT_DROP;
    *ret_src = n->maps[i].outside;
    *ret_dst = *dst;
    if (!back) {
        n->counts.out++;
        return NAT_PASS;
    }
    struct sp_addr from = *ret_src;
    if (nat_in(n, protocol, &from, dst, now, ret_dst) != NAT_PASS)
        return NAT_DROP;
    n->counts.in--;
    n->counts.hairpins++;
    return NAT_HAIRPIN;
}

/* A one-to-one NAT that filters nothing needs no mapping for what comes in. */
static bool open_host(const struct nat *n, const struct sp_addr *dst) {
    return n->c.mapping == NAT_MAPPING_ONE_TO_ONE && n->c.filter == NAT_FILTER_ENDPOINT &&
           same_host(dst, &n->c.outside);
}

enum nat_verdict nat_in(struct nat *n, uint8_t protocol, const struct sp_addr *src, const struct sp_addr *dst,
                        sp_instant now, struct sp_addr *ret_dst) {
    if (open_host(n, dst)) {
        *ret_dst = *dst;
        memcpy(ret_dst->ip, n->c.inside.ip, sizeof ret_dst->ip);
        n->counts.in++;
        return NAT_PASS;
    }
    uint32_t i = find_out(n, protocol, dst, now);
    if (i == NONE) {
        n->counts.dropped_unmapped++;
        return NAT_DROP;
    }
    if (n->c.filter != NAT_FILTER_ENDPOINT) {
        struct sp_addr peer = filter_peer(n, src);
        struct flow *f = find_flow(n, i, &peer, now);
        if (f == NULL) {
            n->counts.dropped_filter++;
            return NAT_DROP;
        }
        if (n->c.refresh_in)
            f->used = now;
    }
    if (n->c.refresh_in)
        n->maps[i].used = now;
    *ret_dst = n->maps[i].inside;
    n->counts.in++;
    return NAT_PASS;
}

/* ---- what happens to NATs ---- */

void nat_rebind(struct nat *n) {
    clear(n);
    n->shift = (uint16_t)(n->shift + 1000 + next_random(n) % 1000);
    n->port_next = (uint16_t)(next_random(n) % 20000 + 20000);
}

void nat_readdress(struct nat *n, const struct sp_addr *outside) {
    clear(n);
    n->c.outside = *outside;
    n->c.outside.port = 0;
}

uint32_t nat_mappings(const struct nat *n) {
    return n->live;
}

const struct nat_counts *nat_counts(const struct nat *n) {
    return &n->counts;
}

const struct nat_config *nat_config(const struct nat *n) {
    return &n->c;
}
