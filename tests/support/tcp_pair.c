#include "tests/support/tcp_pair.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/bytes.h"
#include "proto/crypto/crypto.h"
#include "tests/support/support.h"

struct tcp_wire_packet {
    struct tcp_wire_packet *next, *prev;
    sp_instant at;
    unsigned to;
    uint16_t too_big_for; /* 0; or: an ICMP message about this packet, from where this is the MTU */
    struct sp_tcp_packet p;
    uint8_t data[];
};

struct sp_addr tcp_pair_addr(const struct tcp_pair *n, unsigned who, uint16_t port) {
    struct sp_addr v4 = {.ip = {192, 0, 2, (uint8_t)(1 + who)}, .family = 4, .port = port};
    struct sp_addr v6 = {.ip = {0x20, 1, 0xd, 0xb8, [15] = (uint8_t)(1 + who)}, .family = 6, .port = port};
    return n->family == 4 ? v4 : v6;
}

struct tcp_pair *tcp_pair_new(unsigned seed, const struct sp_tcp_config *a, const struct sp_tcp_config *b) {
    struct tcp_pair *n = calloc(1, sizeof *n);
    uint8_t bytes[SP_RNG_SEED] = {(uint8_t)seed, (uint8_t)(seed >> 8), 0, (uint8_t)(seed >> 16)};
    n->now = 1000 * SP_SEC;
    n->family = 4;
    sp_rng_init(&n->rng, bytes);
    for (unsigned i = 0; i < 2; i++) {
        struct sp_tcp_config c = i == 0 ? *a : *b;
        bytes[2] = (uint8_t)(i + 1);
        sp_rng_init(&n->e[i].rng, bytes);
        sp_mem_init(&n->e[i].mem, sp_test_grant(), 64 * SP_CHUNK);
        c.mem = &n->e[i].mem;
        c.rng = &n->e[i].rng;
        c.mtu = c.mtu != 0 ? c.mtu : 1500;
        sp_err err = sp_tcp_new(&n->e[i].tcp, &c);
        SP_ASSERT(err == SP_OK);
        n->e[i].chunk = 16384;
    }
    n->wire.delay = 10 * SP_MS;
    return n;
}

void tcp_pair_free(struct tcp_pair *n) {
    for (unsigned i = 0; i < 2; i++) {
        sp_tcp_free(n->e[i].tcp);
        SP_ASSERT(n->e[i].mem.used == 0);
        sp_mem_done(&n->e[i].mem);
    }
    for (struct tcp_wire_packet *p; (p = n->first) != NULL;) {
        n->first = p->next;
        free(p);
    }
    free(n);
}

/* ---- the wire ---- */

static bool chance(struct tcp_pair *n, unsigned per_mille) {
    return per_mille > 0 && sp_rng_below(&n->rng, 1000) < per_mille;
}

static void put(struct tcp_pair *n, unsigned to, const struct sp_tcp_packet *p, sp_instant at, uint16_t too_big_for) {
    struct tcp_wire_packet *w = malloc(sizeof *w + p->len), *before = n->last;
    *w = (struct tcp_wire_packet){.at = at, .to = to, .p = *p, .too_big_for = too_big_for};
    memcpy(w->data, p->data, p->len);
    w->p.data = w->data;
    while (before != NULL && before->at > at)
        before = before->prev;
    w->prev = before;
    w->next = before != NULL ? before->next : n->first;
    *(before != NULL ? &before->next : &n->first) = w;
    *(w->next != NULL ? &w->next->prev : &n->last) = w;
}

static struct tcp_wire_packet *get(struct tcp_pair *n) {
    struct tcp_wire_packet *w = n->first;
    n->first = w->next;
    *(n->first != NULL ? &n->first->prev : &n->last) = NULL;
    return w;
}

/* The narrowest place: when the packet has left it; false: its queue is full. */
static bool narrow(struct tcp_pair *n, unsigned from, size_t len, sp_instant *ret) {
    struct tcp_end *e = &n->e[from];
    *ret = n->now;
    if (n->wire.bytes_per_s == 0)
        return true;
    if (e->free_at < n->now)
        e->free_at = n->now;
    if (e->free_at - n->now > n->wire.queue)
        return false;
    *ret = e->free_at += len * SP_SEC / n->wire.bytes_per_s;
    return true;
}

static void carry(struct tcp_pair *n, unsigned from, struct sp_tcp_packet *p, uint8_t *data) {
    const struct tcp_wire *w = &n->wire;
    size_t len = p->len + (p->family == 4 ? 20 : 40);
    sp_instant at;
    p->data = data;
    n->sent++;
    if ((n->filter != NULL && n->filter(n, from, p, data)) || !narrow(n, from, len, &at) || chance(n, w->loss)) {
        n->lost++;
        return;
    }
    if (w->mtu != 0 && len > w->mtu) {
        n->too_big++;
        if (!w->silent)
            put(n, from, p, at + w->delay, w->mtu);
        return;
    }
    for (unsigned copies = 1 + chance(n, w->twice); copies > 0; copies--) {
        sp_duration more = w->jitter > 0 ? sp_rng_below(&n->rng, w->jitter) : 0;
        if (chance(n, w->late))
            more += w->delay;
        put(n, !from, p, at + w->delay + more, 0);
    }
}

/* ---- an end ---- */

/* One of the segments that a device would cut from it: FIN and PSH stand in the last one only. */
static struct sp_tcp_out piece(const struct sp_tcp_out *out, size_t at, size_t len) {
    struct sp_tcp_out part = *out;
    size_t skip = at, left = len;
    sp_put_u32(part.head + 4, sp_get_u32(out->head + 4) + (uint32_t)at);
    if (at + len < out->len)
        part.head[13] &= (uint8_t) ~(1 | 8);
    part.spans = 0;
    for (unsigned s = 0; s < out->spans && left > 0; s++) {
        size_t take = out->span[s].len > skip ? out->span[s].len - skip : 0;
        take = take < left ? take : left;
        if (take > 0) {
            part.span[part.spans].data = out->span[s].data + skip;
            part.span[part.spans++].len = take;
        }
        skip = out->span[s].len > skip ? 0 : skip - out->span[s].len;
        left -= take;
    }
    SP_ASSERT(left == 0);
    part.len = len;
    return part;
}

static void output(struct tcp_pair *n, unsigned i) {
    struct sp_tcp_out out;
    uint8_t buf[SP_TCP_HEAD_MAX + 65536];
    while (sp_tcp_output(n->e[i].tcp, n->now, &out)) {
        size_t at = 0;
        do {
            size_t len = out.segment != 0 && out.len - at > out.segment ? out.segment : out.len - at;
            struct sp_tcp_out part = piece(&out, at, len);
            struct sp_tcp_packet p = {.family = out.family, .len = out.head_len + len};
            sp_tcp_copy(&part, buf, false);
            memcpy(p.src, out.src, 16);
            memcpy(p.dst, out.dst, 16);
            carry(n, i, &p, buf);
            at += len;
        } while (at < out.len);
    }
}

static void write_more(struct tcp_pair *n, unsigned i) {
    struct tcp_end *e = &n->e[i];
    uint8_t buf[65536];
    if (!e->opened || e->closed || e->conn == NULL)
        return;
    while (e->written < e->to_write) {
        uint64_t left = e->to_write - e->written;
        size_t len = e->chunk < left ? e->chunk : (size_t)left;
        if (sp_tcp_room(e->tcp, e->conn) == 0) { /* so as not to fill the buffer in vain */
            SP_ASSERT(sp_tcp_write(e->tcp, n->now, e->conn, buf, 1) == 0);
            return;
        }
        for (size_t k = 0; k < len; k++)
            buf[k] = tcp_pair_byte(e->written + k);
        size_t took = sp_tcp_write(e->tcp, n->now, e->conn, buf, len);
        e->written += took;
        if (took < len)
            return;
    }
    if (e->end_after) {
        e->end_after = false;
        sp_tcp_end(e->tcp, n->now, e->conn);
    }
}

static void happened(struct tcp_pair *n, struct tcp_end *e, const struct sp_tcp_event *ev) {
    switch (ev->kind) {
    case SP_TCP_OPENED:
        e->opened = true;
        break;
    case SP_TCP_DATA:
        for (size_t k = 0; k < ev->len; k++)
            e->wrong += ev->data[k] != tcp_pair_byte(e->read + k);
        e->read += ev->len;
        e->held += ev->len;
        e->got_at = n->now;
        break;
    case SP_TCP_END:
        e->got_end = true;
        break;
    case SP_TCP_ROOM:
        break;
    case SP_TCP_CLOSED:
        e->closed = true;
        e->err = ev->err;
        e->conn = NULL;
    }
}

void tcp_pair_turn(struct tcp_pair *n, unsigned i) {
    struct tcp_end *e = &n->e[i];
    struct sp_tcp_event ev;
    while (sp_tcp_event(e->tcp, &ev)) {
        if (e->conn == NULL)
            e->conn = ev.conn;
        happened(n, e, &ev);
    }
    if (!e->holds) {
        if (e->held > 0 && e->conn != NULL)
            sp_tcp_consumed(e->tcp, n->now, e->conn, e->held);
        e->held = 0;
    }
    write_more(n, i);
    output(n, i);
}

/* ---- time ---- */

bool tcp_pair_step(struct tcp_pair *n, sp_instant until) {
    sp_instant next = n->first != NULL ? n->first->at : SP_NEVER;
    for (unsigned i = 0; i < 2; i++)
        next = sp_instant_min(next, sp_tcp_deadline(n->e[i].tcp));
    if (next > until || next == SP_NEVER) {
        n->now = until == SP_NEVER ? n->now : until;
        return false;
    }
    n->now = next > n->now ? next : n->now;
    if (n->first != NULL && n->first->at <= n->now) {
        struct tcp_wire_packet *w = get(n);
        if (w->too_big_for != 0)
            sp_tcp_path_mtu(n->e[w->to].tcp, n->now, &w->p, w->too_big_for);
        else
            sp_tcp_input(n->e[w->to].tcp, n->now, &w->p);
        tcp_pair_turn(n, w->to);
        free(w);
    }
    for (unsigned i = 0; i < 2; i++)
        if (sp_tcp_deadline(n->e[i].tcp) <= n->now) {
            sp_tcp_expire(n->e[i].tcp, n->now);
            tcp_pair_turn(n, i);
        }
    return true;
}

void tcp_pair_connect(struct tcp_pair *n) {
    struct sp_addr from = tcp_pair_addr(n, 0, 0), to = tcp_pair_addr(n, 1, 80);
    sp_err err = sp_tcp_connect(n->e[0].tcp, n->now, &from, &to, 0, &n->e[0].conn);
    SP_ASSERT(err == SP_OK);
    output(n, 0);
}
