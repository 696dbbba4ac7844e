#include "tests/support/net_pair.h"

#include <stdlib.h>
#include <string.h>

#include "proto/crypto/crypto.h"
#include "tests/support/net_rig.h"
#include "tests/support/support.h"

static void end_new(struct net_end *e, uint8_t last) {
    uint8_t seed[SP_RNG_SEED] = {'p', last};
    sp_rng_init(&e->rng, seed);
    sp_mem_init(&e->mem, sp_test_grant(), 16 * SP_CHUNK);
    e->config = (struct sp_net_config){.mem = &e->mem,
                                       .rng = &e->rng,
                                       .mtu = 1500,
                                       .static_count = 2,
                                       .ipv6 = true,
                                       .ports = {53},
                                       .port_count = 1,
                                       .mac = {2, 0, 0, 0, 0, last}};
    e->config.statics[0] = (struct sp_net_static){{.family = 4, .ip = {192, 0, 2, last}}, 24, {.family = 0}};
    e->config.statics[1] =
        (struct sp_net_static){{.family = 6, .ip = {0x20, 1, 0xd, 0xb8, [15] = last}}, 64, {.family = 0}};
    e->config.tcp = &e->tcp;
    e->got = malloc(NET_PAIR_BYTES);
    SP_ASSERT(e->got != NULL);
}

struct net_pair *net_pair_new(void) {
    struct net_pair *p = calloc(1, sizeof *p);
    SP_ASSERT(p != NULL && sp_crypto_init() == SP_OK);
    p->now = 1000 * SP_SEC;
    p->in_max = 8;
    end_new(&p->end[0], 1);
    end_new(&p->end[1], 9);
    return p;
}

void net_pair_start(struct net_pair *p, bool direct) {
    if (direct) {
        SP_ASSERT(sp_direct_init(&p->direct, &p->end[0].config) == SP_OK);
        p->end[0].direct = &p->direct;
        p->end[0].net = p->direct.net;
    } else {
        SP_ASSERT(sp_net_new(&p->end[0].net, &p->end[0].config) == SP_OK);
    }
    SP_ASSERT(sp_net_new(&p->end[1].net, &p->end[1].config) == SP_OK);
    for (unsigned i = 0; i < 2; i++)
        sp_net_link(p->end[i].net, p->now, true);
    net_pair_wait(p, 5 * SP_SEC);
    struct sp_addr addrs[SP_NET_ADDRESSES];
    SP_ASSERT(sp_net_addresses(p->end[0].net, addrs, SP_NET_ADDRESSES) == 2);
}

void net_pair_free(struct net_pair *p) {
    if (p->end[0].direct != NULL)
        sp_direct_done(&p->direct);
    else
        sp_net_free(p->end[0].net);
    sp_net_free(p->end[1].net);
    for (unsigned i = 0; i < 2; i++) {
        SP_ASSERT(p->end[i].mem.used == 0);
        sp_mem_done(&p->end[i].mem);
        free(p->end[i].got);
    }
    free(p);
}

/* ---- the test's own TCP ---- */

static void note_bytes(struct net_end *e, const uint8_t *data, size_t len) {
    SP_ASSERT(e->got_len + len <= NET_PAIR_BYTES);
    memcpy(e->got + e->got_len, data, len);
    e->got_len += len;
}

static void events(struct net_pair *p, struct net_end *e) {
    struct sp_tcp_event ev;
    while (sp_net_tcp(e->net) != NULL && sp_tcp_event(sp_net_tcp(e->net), &ev)) {
        e->opened += ev.kind == SP_TCP_OPENED;
        e->ended += ev.kind == SP_TCP_END;
        if (ev.kind == SP_TCP_OPENED)
            e->conn = ev.conn;
        if (ev.kind == SP_TCP_DATA) {
            note_bytes(e, ev.data, ev.len);
            if (e->keep)
                e->kept += ev.len;
            else
                sp_tcp_consumed(sp_net_tcp(e->net), p->now, ev.conn, ev.len);
        }
        if (ev.kind == SP_TCP_CLOSED) {
            e->closed++;
            e->err = ev.err;
            if (ev.conn == e->conn)
                e->conn = NULL;
        }
    }
}

/* ---- the core ---- */

/* TCP is called between an input and the look at its bytes, which are to stay as they are. */
static void write_a_byte(struct net_pair *p, uint64_t id) {
    struct sp_out out = {.kind = SP_OUT_STREAM_DATA, .id = id, .data = (const uint8_t *)"x", .len = 1};
    static uint8_t lost[NET_PAIR_FRAME];
    p->credit--;
    sp_direct_outputs(&p->direct, &out, 1);
    while (sp_direct_output(&p->direct, p->now, lost, sizeof lost) > 0)
        ;
}

static void take(struct net_pair *p, const struct sp_in *in, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (p->refuse > 0) {
            p->refuse--;
            sp_direct_refused(&p->direct, p->now, &in[i], 1);
            continue;
        }
        SP_ASSERT(p->in_count < NET_PAIR_INPUTS);
        p->in[p->in_count++] =
            (struct net_pair_in){in[i].kind, in[i].id, in[i].len, in[i].credit, in[i].err, in[i].src, in[i].dst};
        if (in[i].kind == SP_IN_STREAM_OPEN || in[i].kind == SP_IN_STREAM_CREDIT)
            p->credit += in[i].credit;
        if (in[i].kind == SP_IN_STREAM_DATA && p->busy != 0 && p->credit > 0)
            write_a_byte(p, p->busy);
        if (in[i].kind == SP_IN_STREAM_DATA)
            note_bytes(&p->end[0], in[i].data, in[i].len);
    }
}

/* A turn of a host: what came of all that, until the core has nothing to say and there is nothing to tell it. */
static void turn(struct net_pair *p) {
    struct sp_in in[8];
    size_t n;
    do {
        sp_direct_outputs(&p->direct, NULL, 0);
        n = sp_direct_events(&p->direct, p->now, in, p->in_max);
        take(p, in, n);
    } while (n > 0 || sp_direct_deadline(&p->direct, SP_NEVER) == 0);
}

static void input(struct net_pair *p, struct net_end *e, const uint8_t *frame, size_t len) {
    uint8_t *exact = malloc(len); /* so that a sanitizer sees one byte too many */
    struct sp_in in[8];
    SP_ASSERT(exact != NULL);
    memcpy(exact, frame, len);
    if (e->direct == NULL) {
        (void)sp_net_input(e->net, p->now, exact, len, p->csum, &in[0]);
        events(p, e);
    } else {
        struct sp_direct_frame f = {exact, len, p->csum};
        for (size_t taken = 0; taken == 0;) {
            size_t n = sp_direct_frames(e->direct, p->now, &f, 1, in, p->in_max, &taken);
            SP_ASSERT(taken == 1 || n > 0);
            take(p, in, n);
        }
    }
    free(exact);
}

/* ---- the wire ---- */

static bool carry(struct net_pair *p, unsigned from) {
    struct net_end *e = &p->end[from];
    struct sp_offload offload = {0};
    size_t len = e->direct != NULL ? sp_direct_output(e->direct, p->now, p->frame, sizeof p->frame)
                                   : sp_net_output(e->net, p->now, p->frame, sizeof p->frame, &offload);
    if (len == 0)
        return false;
    if (e->direct != NULL)
        offload = e->direct->offload;
    e->frames++;
    if (p->wire == NULL || p->wire(p, from, p->frame, &len, &offload))
        input(p, &p->end[1 - from], p->frame, len);
    return true;
}

void net_pair_frames(struct net_pair *p) {
    bool some = true;
    while (some) {
        some = carry(p, 0);
        some |= carry(p, 1);
    }
}

void net_pair_run(struct net_pair *p) {
    bool some = true;
    while (some) {
        if (p->end[0].direct != NULL)
            turn(p);
        some = carry(p, 0);
        some |= carry(p, 1);
    }
}

static sp_instant deadline(const struct net_pair *p) {
    sp_instant a = p->end[0].direct != NULL ? sp_direct_deadline(&p->direct, SP_NEVER) : sp_net_deadline(p->end[0].net);
    return sp_instant_min(a, sp_net_deadline(p->end[1].net));
}

void net_pair_wait(struct net_pair *p, sp_duration d) {
    sp_instant until = p->now + d;
    net_pair_run(p);
    while (deadline(p) <= until) {
        p->now = deadline(p) > p->now ? deadline(p) : p->now;
        if (p->end[0].direct != NULL)
            sp_direct_expire(&p->direct, p->now);
        else
            sp_net_expire(p->end[0].net, p->now);
        sp_net_expire(p->end[1].net, p->now);
        for (unsigned i = 0; i < 2; i++)
            if (p->end[i].direct == NULL)
                events(p, &p->end[i]);
        net_pair_run(p);
    }
    p->now = until;
}

/* ---- what the ends do ---- */

void net_pair_connect(struct net_pair *p, uint8_t family, uint16_t port) {
    struct sp_addr to = p->end[0].config.statics[family == 4 ? 0 : 1].addr;
    to.port = port;
    SP_ASSERT(sp_net_connect(p->end[1].net, p->now, &to, &p->end[1].conn) == SP_OK);
    net_pair_run(p);
}

void net_pair_send(struct net_pair *p, const void *data, size_t len) {
    SP_ASSERT(sp_tcp_write(sp_net_tcp(p->end[1].net), p->now, p->end[1].conn, data, len) == len);
    net_pair_run(p);
}

void net_pair_output(struct net_pair *p, const struct sp_out *out) {
    sp_direct_outputs(&p->direct, out, 1);
    while (carry(p, 0))
        ;
    net_pair_run(p);
}

void net_pair_write(struct net_pair *p, uint64_t id, const void *data, size_t len) {
    SP_ASSERT(len <= p->credit);
    p->credit -= len;
    net_pair_output(p, &(struct sp_out){.kind = SP_OUT_STREAM_DATA, .id = id, .data = data, .len = len});
}

size_t net_pair_count(const struct net_pair *p, enum sp_in_kind kind) {
    size_t n = 0;
    for (size_t i = 0; i < p->in_count; i++)
        n += p->in[i].kind == kind;
    return n;
}

const struct net_pair_in *net_pair_last(const struct net_pair *p, enum sp_in_kind kind) {
    for (size_t i = p->in_count; i-- > 0;)
        if (p->in[i].kind == kind)
            return &p->in[i];
    return NULL;
}
