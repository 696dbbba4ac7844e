/* One TCP and a peer that is written out segment by segment, in virtual time. */
#ifndef SP_TESTS_TCP_RIG_H
#define SP_TESTS_TCP_RIG_H

#include "tests/unit/cm.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/csum.h"
#include "proto/crypto/crypto.h"
#include "proto/net/tcp_impl.h"

#define THEIRS 5000u /* the peer's first number */
#define MSS    1460

struct rig {
    struct sp_mem mem;
    struct sp_rng rng;
    struct sp_tcp *tcp;
    struct sp_tcp_conn *conn;
    sp_instant now;
    uint32_t iss;  /* ours, as seen */
    uint16_t port; /* the peer's, and ours below when we connect */
    uint16_t our_port;
    uint8_t family;
    /* what the last events said */
    unsigned opened, ended, closed, rooms;
    sp_err err;
    size_t got;
    uint8_t bytes[1 << 17];
    bool peeked; /* `out` was looked at, and not taken */
    /* the segment that was read last */
    struct tcp_seg out;
    struct sp_tcp_packet out_packet;
    uint8_t out_bytes[SP_TCP_HEAD_MAX + 65536];
};

/* A segment of the peer: numbers are relative, seq to its own first one, ack to ours. */
struct in {
    uint8_t flags;
    uint32_t seq, ack, len;
    uint16_t wnd, mss;
    int shift; /* 0: none; else one more than it says */
    bool sack_ok, ts;
    uint32_t tsval, tsecr;
    uint8_t sacks;
    struct tcp_range sack[4]; /* relative to our first number */
    bool absolute_ack;
};

static inline struct rig *rig_new(struct sp_tcp_config c) {
    struct rig *g = calloc(1, sizeof *g);
    static const uint8_t seed[SP_RNG_SEED] = "tcp";
    assert_int_equal(sp_crypto_init(), SP_OK);
    sp_rng_init(&g->rng, seed);
    sp_mem_init(&g->mem, sp_test_grant(), 16 * SP_CHUNK);
    c.mem = &g->mem;
    c.rng = &g->rng;
    c.mtu = c.mtu != 0 ? c.mtu : 1500;
    if (c.port_count == 0)
        c.ports[c.port_count++] = 80;
    assert_int_equal(sp_tcp_new(&g->tcp, &c), SP_OK);
    g->now = 500 * SP_SEC;
    g->port = 40000;
    g->our_port = 80;
    g->family = 4;
    return g;
}

static inline void rig_free(struct rig *g) {
    sp_tcp_free(g->tcp);
    assert_int_equal(g->mem.used, 0);
    sp_mem_done(&g->mem);
    free(g);
}

static inline void events(struct rig *g) {
    struct sp_tcp_event ev;
    while (sp_tcp_event(g->tcp, &ev)) {
        g->conn = ev.conn;
        g->opened += ev.kind == SP_TCP_OPENED;
        g->ended += ev.kind == SP_TCP_END;
        g->rooms += ev.kind == SP_TCP_ROOM;
        if (ev.kind == SP_TCP_DATA) {
            assert_true(g->got + ev.len <= sizeof g->bytes);
            memcpy(g->bytes + g->got, ev.data, ev.len);
            g->got += ev.len;
        }
        if (ev.kind == SP_TCP_CLOSED) {
            g->closed++;
            g->err = ev.err;
            g->conn = NULL;
        }
    }
}

static inline void give(struct rig *g, const struct in *in) {
    uint8_t buf[SP_TCP_HEAD_MAX + 4096];
    struct tcp_head h = {.sport = g->port,
                         .dport = g->our_port,
                         .seq = THEIRS + in->seq,
                         .ack = in->absolute_ack ? in->ack : g->iss + in->ack,
                         .flags = in->flags,
                         .wnd = in->wnd != 0 ? in->wnd : 65535,
                         .mss = in->mss,
                         .sack_ok = in->sack_ok,
                         .has_ts = in->ts,
                         .tsval = in->tsval,
                         .tsecr = in->tsecr,
                         .sacks = in->sacks};
    h.has_shift = in->shift > 0;
    h.shift = in->shift > 0 ? (uint8_t)(in->shift - 1) : 0;
    if (in->wnd == 1)
        h.wnd = 0;
    for (unsigned i = 0; i < in->sacks; i++)
        h.sack[i] = (struct tcp_range){g->iss + in->sack[i].seq, g->iss + in->sack[i].end};
    size_t n = tcp_head_write(&h, buf);
    for (uint32_t i = 0; i < in->len; i++)
        buf[n + i] = (uint8_t)((in->seq + i) * 7);
    struct sp_tcp_packet p = {
        .family = g->family, .src = {192, 0, 2, 9}, .dst = {192, 0, 2, 1}, .data = buf, .len = n + in->len};
    uint16_t sum = (uint16_t)~sp_csum_fold(
        sp_csum_add(sp_csum_pseudo(p.src, p.dst, g->family == 4 ? 4 : 16, 6, p.len), buf, p.len));
    sp_put_u16(buf + 16, sum);
    sp_tcp_input(g->tcp, g->now, &p);
    events(g);
}
#define GIVE(...) give(g, &(struct in){__VA_ARGS__})

/* The next segment that goes out, into g->out; false: none. */
static inline bool take(struct rig *g) {
    struct sp_tcp_out out;
    if (g->peeked) {
        g->peeked = false;
        return true;
    }
    if (!sp_tcp_output(g->tcp, g->now, &out))
        return false;
    sp_tcp_copy(&out, g->out_bytes, false);
    g->out_packet = (struct sp_tcp_packet){.family = out.family, .data = g->out_bytes, .len = out.head_len + out.len};
    memcpy(g->out_packet.src, out.src, 16);
    memcpy(g->out_packet.dst, out.dst, 16);
    assert_int_equal(tcp_parse(&g->out, &g->out_packet), SP_TCP_DROP_COUNT);
    if ((g->out.flags & TCP_SYN) != 0)
        g->iss = g->out.seq;
    return true;
}

static inline void expect_(struct rig *g, int line, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len) {
    bool some = take(g);
    if (!some || (g->out.flags & ~TCP_PSH) != flags || g->out.seq != g->iss + seq ||
        ((flags & TCP_ACK) != 0 && g->out.ack != THEIRS + ack) || g->out.len != len)
        fail_msg("line %d: %s flags %x seq %u ack %u len %u", line, some ? "got" : "nothing; the last was",
                 g->out.flags, g->out.seq - g->iss, g->out.ack - THEIRS, g->out.len);
}
#define EXPECT(flags, seq, ack, len) expect_(g, __LINE__, flags, seq, ack, len)
#define NOTHING()                    assert_false(take(g))

static inline void pass(struct rig *g, sp_duration d) {
    sp_instant until = g->now + d;
    while (sp_tcp_deadline(g->tcp) <= until) {
        g->now = sp_tcp_deadline(g->tcp) > g->now ? sp_tcp_deadline(g->tcp) : g->now;
        sp_tcp_expire(g->tcp, g->now);
        events(g);
        if ((g->peeked = take(g)))
            return; /* what goes out is looked at, at this time */
    }
    g->now = until;
}

static inline uint64_t dropped(const struct rig *g, enum sp_tcp_drop why) {
    return sp_tcp_counts(g->tcp)->drops[why];
}

/* A connection that the peer has opened, with window scaling, SACK and no timestamps. */
static inline struct rig *open_by_peer(struct sp_tcp_config c) {
    struct rig *g = rig_new(c);
    GIVE(.flags = TCP_SYN, .mss = MSS, .sack_ok = true, .shift = 1 + 0);
    EXPECT(TCP_SYN | TCP_ACK, 0, 1, 0);
    assert_int_equal(g->out.mss, MSS);
    assert_true(g->out.sack_ok && g->out.has_shift);
    g->now += 20 * SP_MS; /* the round trip */
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1);
    assert_int_equal(g->opened, 1);
    NOTHING();
    return g;
}

static inline void send_bytes(struct rig *g, size_t len) {
    static uint8_t buf[200000];
    for (size_t i = 0; i < len; i++)
        buf[i] = (uint8_t)(i * 3);
    assert_int_equal(sp_tcp_write(g->tcp, g->now, g->conn, buf, len), len);
}

static const struct sp_tcp_config plain;

#endif
