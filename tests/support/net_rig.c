#include "tests/support/net_rig.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "proto/crypto/crypto.h"
#include "tests/support/support.h"

const uint8_t net_rig_mac[6] = {2, 0, 0, 0, 0, 1}, net_rig_peer[6] = {2, 0, 0, 0, 0, 0x99},
              net_rig_gateway[6] = {2, 0, 0, 0, 0, 0xfe}, net_rig_all[6] = {255, 255, 255, 255, 255, 255};

struct sp_addr net_ip(const char *text) {
    struct sp_addr a = {.family = strchr(text, ':') != NULL ? 6 : 4};
    SP_ASSERT(inet_pton(a.family == 6 ? AF_INET6 : AF_INET, text, a.ip) == 1);
    return a;
}

/* ---- the rig ---- */

struct net_rig *net_rig_new(void) {
    static const uint8_t seed[SP_RNG_SEED] = "net";
    struct net_rig *g = calloc(1, sizeof *g);
    SP_ASSERT(g != NULL && sp_crypto_init() == SP_OK);
    sp_rng_init(&g->rng, seed);
    sp_mem_init(&g->mem, sp_test_grant(), 8 * SP_CHUNK);
    g->now = 1000 * SP_SEC;
    g->config = (struct sp_net_config){.mem = &g->mem, .rng = &g->rng, .mtu = 1500, .static_count = 1};
    memcpy(g->config.mac, net_rig_mac, 6);
    g->config.statics[0] = (struct sp_net_static){net_ip("192.0.2.1"), 24, net_ip("192.0.2.254")};
    return g;
}

static void collect(struct net_rig *g) {
    while (g->count < NET_FRAMES) {
        struct net_frame *f = &g->sent[g->count];
        f->len = sp_net_output(g->net, g->now, f->data, sizeof f->data, &f->offload);
        if (f->len == 0)
            return;
        g->count++;
    }
}

void net_rig_start(struct net_rig *g) {
    SP_ASSERT(sp_net_new(&g->net, &g->config) == SP_OK);
    sp_net_link(g->net, g->now, true);
    collect(g);
}

void net_rig_free(struct net_rig *g) {
    sp_net_free(g->net);
    SP_ASSERT(g->mem.used == 0);
    sp_mem_done(&g->mem);
    free(g);
}

bool net_rig_in(struct net_rig *g, const struct net_frame *f) {
    uint8_t *exact = malloc(f->len > 0 ? f->len : 1); /* so that a sanitizer sees one byte too many */
    static uint8_t data[65536];
    memcpy(exact, f->data, f->len);
    bool got = sp_net_input(g->net, g->now, exact, f->len, SP_NET_CSUM_CHECK, &g->in);
    if (got) {
        memcpy(data, g->in.data, g->in.len);
        g->in.data = data;
        g->datagrams++;
    }
    free(exact);
    collect(g);
    return got;
}

void net_rig_wait(struct net_rig *g, sp_duration d) {
    sp_instant end = g->now + d;
    while (sp_net_deadline(g->net) <= end) {
        if (sp_net_deadline(g->net) > g->now)
            g->now = sp_net_deadline(g->net);
        sp_net_expire(g->net, g->now);
        collect(g);
    }
    g->now = end;
}

void net_rig_forget(struct net_rig *g) {
    g->count = 0;
}

sp_err net_rig_send(struct net_rig *g, const struct sp_out *out) {
    struct sp_net_cursor c = {0};
    sp_err err;
    do {
        struct net_frame *f = &g->sent[g->count];
        SP_ASSERT(g->count < NET_FRAMES);
        f->len = 0;
        err = sp_net_send(g->net, g->now, out, &c, f->data, sizeof f->data, &f->len);
        g->count += err == SP_OK;
    } while (c.more);
    collect(g);
    return err;
}

uint64_t net_rig_drops(const struct net_rig *g, enum sp_net_drop why) {
    return sp_net_counts(g->net)->drops[why];
}

/* ---- frames ---- */

static void add(struct net_frame *f, const void *data, size_t len) {
    SP_ASSERT(f->len + len <= sizeof f->data);
    if (len > 0)
        memcpy(f->data + f->len, data, len);
    f->len += len;
}

static void add16(struct net_frame *f, unsigned v) {
    uint8_t b[2] = {(uint8_t)(v >> 8), (uint8_t)v};
    add(f, b, 2);
}

static uint32_t sum_of(const uint8_t *p, size_t len) {
    uint32_t s = 0;
    for (size_t i = 0; i < len; i++)
        s += i % 2 == 0 ? (uint32_t)p[i] << 8 : p[i];
    return s;
}

static uint16_t fold(uint32_t s) {
    while (s >> 16 != 0)
        s = (s & 0xffff) + (s >> 16);
    return (uint16_t)s;
}

struct net_frame net_arp(unsigned op, const uint8_t smac[6], const char *sender, const uint8_t tmac[6],
                         const char *target) {
    struct net_frame f = {.len = 0};
    static const uint8_t none[6];
    add(&f, op == 2 ? tmac : net_rig_all, 6);
    add(&f, smac, 6);
    add16(&f, NET_ARP);
    add(&f, (uint8_t[]){0, 1, 8, 0, 6, 4, 0, (uint8_t)op}, 8);
    add(&f, smac, 6);
    add(&f, net_ip(sender).ip, 4);
    add(&f, tmac != NULL ? tmac : none, 6);
    add(&f, net_ip(target).ip, 4);
    f.len = f.len < 60 ? 60 : f.len;
    return f;
}

void net_fix4(struct net_frame *f) {
    size_t len = (size_t)(f->data[14] & 15) * 4;
    f->data[24] = f->data[25] = 0;
    uint16_t s = (uint16_t)~fold(sum_of(f->data + 14, len));
    f->data[24] = (uint8_t)(s >> 8);
    f->data[25] = (uint8_t)s;
}

static struct net_frame packet4(const uint8_t *dmac, const uint8_t *smac, const char *src, const char *dst,
                                uint8_t proto, uint8_t ttl, uint16_t id, unsigned fragment, const void *payload,
                                size_t len) {
    struct net_frame f = {.len = 0};
    add(&f, dmac, 6);
    add(&f, smac, 6);
    add16(&f, NET_IP4);
    add16(&f, 0x4500);
    add16(&f, (unsigned)(20 + len));
    add16(&f, id);
    add16(&f, fragment);
    add(&f, (uint8_t[]){ttl, proto, 0, 0}, 4);
    add(&f, net_ip(src).ip, 4);
    add(&f, net_ip(dst).ip, 4);
    net_fix4(&f);
    add(&f, payload, len);
    return f;
}

static struct net_frame packet6(const uint8_t *dmac, const uint8_t *smac, const char *src, const char *dst,
                                uint8_t proto, uint8_t ttl, const void *payload, size_t len) {
    struct net_frame f = {.len = 0};
    add(&f, dmac, 6);
    add(&f, smac, 6);
    add16(&f, NET_IP6);
    add(&f, (uint8_t[]){0x60, 0, 0, 0}, 4);
    add16(&f, (unsigned)len);
    add(&f, (uint8_t[]){proto, ttl}, 2);
    add(&f, net_ip(src).ip, 16);
    add(&f, net_ip(dst).ip, 16);
    add(&f, payload, len);
    return f;
}

struct net_frame net_packet(const uint8_t dmac[6], const uint8_t smac[6], const char *src, const char *dst,
                            uint8_t proto, uint8_t ttl, const void *payload, size_t len) {
    return net_ip(dst).family == 4 ? packet4(dmac, smac, src, dst, proto, ttl, 7, 0, payload, len)
                                   : packet6(dmac, smac, src, dst, proto, ttl, payload, len);
}

struct net_frame net_fragment4(const char *src, const char *dst, uint8_t proto, uint16_t id, size_t at, bool more,
                               const void *payload, size_t len) {
    return packet4(net_rig_mac, net_rig_peer, src, dst, proto, 64, id, (more ? 0x2000u : 0) | (unsigned)(at / 8),
                   payload, len);
}

struct net_frame net_fragment6(const char *src, const char *dst, uint8_t proto, uint32_t id, size_t at, bool more,
                               const void *payload, size_t len) {
    uint8_t body[SP_NET_MTU_MAX];
    memcpy(body,
           (uint8_t[]){proto, 0, (uint8_t)(at >> 8), (uint8_t)(at | more), (uint8_t)(id >> 24), (uint8_t)(id >> 16),
                       (uint8_t)(id >> 8), (uint8_t)id},
           8);
    memcpy(body + 8, payload, len);
    return packet6(net_rig_mac, net_rig_peer, src, dst, 44, 64, body, 8 + len);
}

static uint32_t pseudo(const char *src, const char *dst, uint8_t proto, size_t len) {
    return sum_of(net_ip(src).ip, 16) + sum_of(net_ip(dst).ip, 16) + proto + (uint32_t)len;
}

size_t net_udp_payload(uint8_t *buf, const char *src, uint16_t sport, const char *dst, uint16_t dport, const void *data,
                       size_t len) {
    size_t total = 8 + len;
    memcpy(buf,
           (uint8_t[]){(uint8_t)(sport >> 8), (uint8_t)sport, (uint8_t)(dport >> 8), (uint8_t)dport,
                       (uint8_t)(total >> 8), (uint8_t)total, 0, 0},
           8);
    if (len > 0)
        memcpy(buf + 8, data, len);
    uint16_t s = (uint16_t)~fold(pseudo(src, dst, 17, total) + sum_of(buf, total));
    buf[6] = (uint8_t)(s >> 8);
    buf[7] = (uint8_t)s;
    return total;
}

struct net_frame net_udp(const uint8_t dmac[6], const uint8_t smac[6], const char *src, uint16_t sport, const char *dst,
                         uint16_t dport, const void *data, size_t len) {
    static uint8_t buf[65536];
    size_t n = net_udp_payload(buf, src, sport, dst, dport, data, len);
    return net_packet(dmac, smac, src, dst, 17, 64, buf, n);
}

struct net_frame net_icmp(const uint8_t dmac[6], const uint8_t smac[6], const char *src, const char *dst, uint8_t ttl,
                          void *message, size_t len) {
    uint8_t *m = message;
    bool v6 = net_ip(src).family == 6;
    m[2] = m[3] = 0;
    uint16_t s = (uint16_t)~fold((v6 ? pseudo(src, dst, 58, len) : 0) + sum_of(m, len));
    m[2] = (uint8_t)(s >> 8);
    m[3] = (uint8_t)s;
    return net_packet(dmac, smac, src, dst, v6 ? 58 : 1, ttl, m, len);
}

/* ---- reading ---- */

static unsigned get16(const uint8_t *p) {
    return (unsigned)(p[0] << 8 | p[1]);
}

/* IPv6 without extension headers but a router alert. */
static size_t transport_at(const struct net_frame *f, uint8_t *proto) {
    if (get16(f->data + 12) == NET_IP4) {
        *proto = f->data[23];
        return 14 + (size_t)(f->data[14] & 15) * 4;
    }
    *proto = f->data[20];
    if (*proto != 0)
        return 54;
    *proto = f->data[54];
    return 62;
}

uint16_t net_transport_sum(const struct net_frame *f) {
    uint8_t proto;
    size_t at = transport_at(f, &proto);
    bool v4 = get16(f->data + 12) == NET_IP4;
    uint32_t s = sum_of(f->data + at, f->len - at);
    if (proto != 1)
        s += sum_of(f->data + (v4 ? 26 : 22), v4 ? 8 : 32) + proto + (uint32_t)(f->len - at);
    return fold(s);
}

const struct net_frame *net_rig_sent(const struct net_rig *g, uint16_t ethertype, uint8_t proto, size_t i) {
    for (size_t k = 0; k < g->count; k++) {
        const struct net_frame *f = &g->sent[k];
        uint8_t p = 0;
        if (get16(f->data + 12) != ethertype)
            continue;
        if (proto != 0) {
            (void)transport_at(f, &p);
            if (p != proto)
                continue;
        }
        if (i-- == 0)
            return f;
    }
    return NULL;
}

const struct net_frame *net_rig_icmp(const struct net_rig *g, uint8_t family, uint8_t type, size_t i) {
    const struct net_frame *f;
    for (size_t k = 0; (f = net_rig_sent(g, family == 4 ? NET_IP4 : NET_IP6, family == 4 ? 1 : 58, k)) != NULL; k++) {
        uint8_t proto;
        if (f->data[transport_at(f, &proto)] == type && i-- == 0)
            return f;
    }
    return NULL;
}
