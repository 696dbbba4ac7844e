/* Two TCPs and a wire between them, in virtual time: it delays, limits, loses, doubles, changes the order, and forgets large packets. */
#ifndef SP_TESTS_TCP_HELP_H
#define SP_TESTS_TCP_HELP_H

#include "tests/unit/cm.h"

#include <stdlib.h>
#include <string.h>

#include "proto/crypto/crypto.h"
#include "proto/net/tcp.h"

struct wire_packet {
    struct wire_packet *next;
    sp_instant at;
    unsigned to;
    struct sp_tcp_packet p;
    uint8_t data[];
};

struct wire {
    sp_duration delay, jitter;
    unsigned loss, twice, late; /* of 1,000 */
    uint64_t bytes_per_s;       /* 0: no limit */
    sp_duration queue;          /* that the limit keeps; more is lost */
    size_t hole;                /* larger payloads vanish; 0: none */
};

/* One end of the only connection of a test. */
struct end {
    struct sp_mem mem;
    struct sp_rng rng;
    struct sp_tcp *tcp;
    struct sp_tcp_conn *conn;
    bool opened, got_end, closed, end_after; /* end_after: ends once all is written */
    sp_err err;
    uint64_t to_write, written, read, wrong;
    size_t chunk;     /* written at a time */
    bool holds;       /* reads without consuming */
    size_t held;
    sp_instant free_at; /* when the wire has sent what it was given */
    sp_instant got_at;  /* when the last byte came */
};

struct net {
    struct end e[2];
    struct wire wire;
    struct sp_rng rng;
    sp_instant now;
    struct wire_packet *packets;
    uint64_t lost, sent;
    /* Sees, and may change, what goes over the wire; true: it is dropped. */
    bool (*filter)(struct net *n, unsigned from, struct sp_tcp_packet *p, uint8_t *data);
    void *filter_state;
};

static inline uint8_t pattern(uint64_t at) {
    return (uint8_t)((at * UINT64_C(0x9e3779b97f4a7c15)) >> 41);
}

static inline struct sp_addr tcp_addr(unsigned who, uint16_t port) {
    return (struct sp_addr){.ip = {192, 0, 2, (uint8_t)(1 + who)}, .family = 4, .port = port};
}

static inline struct net *net_new(unsigned seed, const struct sp_tcp_config *a, const struct sp_tcp_config *b) {
    struct net *n = calloc(1, sizeof *n);
    uint8_t bytes[SP_RNG_SEED] = {(uint8_t)seed, (uint8_t)(seed >> 8)};
    assert_int_equal(sp_crypto_init(), SP_OK);
    n->now = 1000 * SP_SEC;
    sp_rng_init(&n->rng, bytes);
    for (unsigned i = 0; i < 2; i++) {
        struct sp_tcp_config c = i == 0 ? *a : *b;
        bytes[2] = (uint8_t)(i + 1);
        sp_rng_init(&n->e[i].rng, bytes);
        sp_mem_init(&n->e[i].mem, sp_test_grant(), 64 * SP_CHUNK);
        c.mem = &n->e[i].mem;
        c.rng = &n->e[i].rng;
        c.mtu = c.mtu != 0 ? c.mtu : 1500;
        assert_int_equal(sp_tcp_new(&n->e[i].tcp, &c), SP_OK);
        n->e[i].chunk = 16384;
    }
    n->wire.delay = 10 * SP_MS;
    return n;
}

static inline void net_free(struct net *n) {
    for (unsigned i = 0; i < 2; i++) {
        sp_tcp_free(n->e[i].tcp);
        assert_int_equal(n->e[i].mem.used, 0);
        sp_mem_done(&n->e[i].mem);
    }
    for (struct wire_packet *p; (p = n->packets) != NULL;) {
        n->packets = p->next;
        free(p);
    }
    free(n);
}

static inline bool chance(struct net *n, unsigned per_mille) {
    return per_mille > 0 && sp_rng_below(&n->rng, 1000) < per_mille;
}

static inline void wire_put(struct net *n, unsigned to, const struct sp_tcp_packet *p, sp_instant at) {
    struct wire_packet *w = malloc(sizeof *w + p->len), **place = &n->packets;
    w->at = at;
    w->to = to;
    w->p = *p;
    memcpy(w->data, p->data, p->len);
    w->p.data = w->data;
    while (*place != NULL && (*place)->at <= at)
        place = &(*place)->next;
    w->next = *place;
    *place = w;
}

/* One packet, out of one that a device would cut up. */
static inline void wire_send(struct net *n, unsigned from, struct sp_tcp_packet *p, uint8_t *data) {
    const struct wire *w = &n->wire;
    struct end *e = &n->e[from];
    sp_instant at = n->now;
    p->data = data;
    n->sent++;
    if (n->filter != NULL && n->filter(n, from, p, data)) {
        n->lost++;
        return;
    }
    if (w->bytes_per_s > 0) {
        if (e->free_at < n->now)
            e->free_at = n->now;
        if (e->free_at - n->now > w->queue) {
            n->lost++;
            return;
        }
        e->free_at += (p->len + 20) * SP_SEC / w->bytes_per_s;
        at = e->free_at;
    }
    if (chance(n, w->loss) || (w->hole != 0 && p->len > w->hole)) {
        n->lost++;
        return;
    }
    for (unsigned copies = 1 + chance(n, w->twice); copies > 0; copies--) {
        sp_duration more = w->jitter > 0 ? sp_rng_below(&n->rng, w->jitter) : 0;
        if (chance(n, w->late))
            more += w->delay;
        wire_put(n, !from, p, at + w->delay + more);
    }
}

static inline void end_output(struct net *n, unsigned i) {
    struct sp_tcp_out out;
    static uint8_t buf[SP_TCP_HEAD_MAX + 65536];
    while (sp_tcp_output(n->e[i].tcp, n->now, &out)) {
        size_t all = out.len, at = 0, head = out.head_len;
        do { /* as a device cuts it: by sequence number, FIN and PSH in the last one only */
            struct sp_tcp_out part = out;
            size_t len = out.segment != 0 && all - at > out.segment ? out.segment : all - at, skip = at, left = len;
            uint32_t seq = (uint32_t)out.head[4] << 24 | (uint32_t)out.head[5] << 16 | (uint32_t)out.head[6] << 8 | out.head[7];
            seq += (uint32_t)at;
            for (unsigned b = 0; b < 4; b++)
                part.head[4 + b] = (uint8_t)(seq >> (24 - 8 * b));
            if (at + len < all)
                part.head[13] &= (uint8_t) ~(1 | 8);
            part.spans = 0;
            for (unsigned s = 0; s < out.spans && left > 0; s++) {
                size_t take = out.span[s].len > skip ? out.span[s].len - skip : 0;
                take = take < left ? take : left;
                if (take > 0) {
                    part.span[part.spans].data = out.span[s].data + skip;
                    part.span[part.spans++].len = take;
                }
                skip = out.span[s].len > skip ? 0 : skip - out.span[s].len;
                left -= take;
            }
            assert_int_equal(left, 0);
            part.len = len;
            sp_tcp_copy(&part, buf, false);
            struct sp_tcp_packet p = {.family = out.family, .len = head + len};
            memcpy(p.src, out.src, 16);
            memcpy(p.dst, out.dst, 16);
            wire_send(n, i, &p, buf);
            at += len;
        } while (at < all);
    }
}

static inline void end_write(struct net *n, unsigned i) {
    struct end *e = &n->e[i];
    uint8_t buf[65536];
    while (e->opened && !e->closed && e->conn != NULL && e->written < e->to_write) {
        size_t len = e->chunk;
        if (len > e->to_write - e->written)
            len = (size_t)(e->to_write - e->written);
        for (size_t k = 0; k < len; k++)
            buf[k] = pattern(e->written + k);
        size_t took = sp_tcp_write(e->tcp, n->now, e->conn, buf, len);
        e->written += took;
        if (took < len)
            return;
    }
    if (e->opened && !e->closed && e->end_after && e->written == e->to_write) {
        e->end_after = false;
        sp_tcp_end(e->tcp, n->now, e->conn);
    }
}

static inline void end_events(struct net *n, unsigned i) {
    struct end *e = &n->e[i];
    struct sp_tcp_event ev;
    size_t consumed = 0;
    while (sp_tcp_event(e->tcp, &ev)) {
        if (e->conn == NULL)
            e->conn = ev.conn;
        if (ev.kind == SP_TCP_OPENED)
            e->opened = true;
        if (ev.kind == SP_TCP_DATA) {
            for (size_t k = 0; k < ev.len; k++)
                e->wrong += ev.data[k] != pattern(e->read + k);
            e->read += ev.len;
            e->got_at = n->now;
            if (e->holds)
                e->held += ev.len;
            else
                consumed += ev.len;
        }
        if (ev.kind == SP_TCP_END)
            e->got_end = true;
        if (ev.kind == SP_TCP_CLOSED) {
            e->closed = true;
            e->err = ev.err;
            e->conn = NULL;
        }
    }
    if (consumed > 0 && e->conn != NULL)
        sp_tcp_consumed(e->tcp, n->now, e->conn, consumed);
    end_write(n, i);
    end_output(n, i);
}

/* Lets happen what is due until then. False: nothing is left that could. */
static inline bool net_step(struct net *n, sp_instant until) {
    sp_instant next = n->packets != NULL ? n->packets->at : SP_NEVER;
    for (unsigned i = 0; i < 2; i++)
        next = sp_instant_min(next, sp_tcp_deadline(n->e[i].tcp));
    if (next > until) {
        n->now = until == SP_NEVER ? n->now : until;
        return false;
    }
    n->now = next > n->now ? next : n->now;
    if (n->packets != NULL && n->packets->at <= n->now) {
        struct wire_packet *p = n->packets;
        n->packets = p->next;
        sp_tcp_input(n->e[p->to].tcp, n->now, &p->p);
        end_events(n, p->to);
        free(p);
    }
    for (unsigned i = 0; i < 2; i++)
        if (sp_tcp_deadline(n->e[i].tcp) <= n->now) {
            sp_tcp_expire(n->e[i].tcp, n->now);
            end_events(n, i);
        }
    return true;
}

static inline void net_run(struct net *n, sp_duration for_how_long) {
    sp_instant until = n->now + for_how_long;
    while (net_step(n, until))
        ;
}

/* Connects end 0 to port 80 of end 1. */
static inline void net_connect(struct net *n) {
    struct sp_addr from = tcp_addr(0, 0), to = tcp_addr(1, 80);
    assert_int_equal(sp_tcp_connect(n->e[0].tcp, n->now, &from, &to, 0, &n->e[0].conn), SP_OK);
    end_output(n, 0);
}

#endif
