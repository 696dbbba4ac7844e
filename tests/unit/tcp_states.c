/* One TCP and a peer that is written out segment by segment, in virtual time: every state, and what must not disturb
 * it. Tags: RFC 9293, 5961, 7323, 2018, 2883, 6298, 8985, 6191, 4987, 1122. */
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

static struct rig *rig_new(struct sp_tcp_config c) {
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

static void rig_free(struct rig *g) {
    sp_tcp_free(g->tcp);
    assert_int_equal(g->mem.used, 0);
    sp_mem_done(&g->mem);
    free(g);
}

static void events(struct rig *g) {
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

static void give(struct rig *g, const struct in *in) {
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
static bool take(struct rig *g) {
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

static void expect_(struct rig *g, int line, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len) {
    bool some = take(g);
    if (!some || (g->out.flags & ~TCP_PSH) != flags || g->out.seq != g->iss + seq ||
        ((flags & TCP_ACK) != 0 && g->out.ack != THEIRS + ack) || g->out.len != len)
        fail_msg("line %d: %s flags %x seq %u ack %u len %u", line, some ? "got" : "nothing; the last was",
                 g->out.flags, g->out.seq - g->iss, g->out.ack - THEIRS, g->out.len);
}
#define EXPECT(flags, seq, ack, len) expect_(g, __LINE__, flags, seq, ack, len)
#define NOTHING()                    assert_false(take(g))

static void pass(struct rig *g, sp_duration d) {
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

static uint64_t dropped(const struct rig *g, enum sp_tcp_drop why) {
    return sp_tcp_counts(g->tcp)->drops[why];
}

/* A connection that the peer has opened, with window scaling, SACK and no timestamps. */
static struct rig *open_by_peer(struct sp_tcp_config c) {
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

static void send_bytes(struct rig *g, size_t len) {
    static uint8_t buf[200000];
    for (size_t i = 0; i < len; i++)
        buf[i] = (uint8_t)(i * 3);
    assert_int_equal(sp_tcp_write(g->tcp, g->now, g->conn, buf, len), len);
}

static const struct sp_tcp_config plain;

/* ---- opening ---- */

static void a_peer_opens_sends_and_ends(void **state) { /* RFC 9293 3.5, 3.6 */
    (void)state;
    struct rig *g = open_by_peer(plain);
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1, .len = 100);
    assert_int_equal(g->got, 100);
    assert_int_equal(g->bytes[99], (uint8_t)(100 * 7));
    NOTHING(); /* RFC 9293 3.8.6.3: the acknowledgement waits a little */
    pass(g, TCP_ACK_DELAY);
    EXPECT(TCP_ACK, 1, 101, 0);
    GIVE(.flags = TCP_ACK | TCP_FIN, .seq = 101, .ack = 1, .len = 10);
    assert_int_equal(g->ended, 1);
    assert_int_equal(g->got, 110);
    EXPECT(TCP_ACK, 1, 112, 0);
    send_bytes(g, 5); /* CLOSE-WAIT: we may still speak */
    EXPECT(TCP_ACK, 1, 112, 5);
    sp_tcp_end(g->tcp, g->now, g->conn);
    EXPECT(TCP_ACK | TCP_FIN, 6, 112, 0);
    GIVE(.flags = TCP_ACK, .seq = 112, .ack = 7);
    assert_int_equal(g->closed, 1);
    assert_int_equal(g->err, SP_OK);
    NOTHING();
    assert_int_equal(sp_tcp_connections(g->tcp), 0);
    assert_int_equal(sp_tcp_deadline(g->tcp), SP_NEVER); /* whom the peer closed first waits for nothing */
    rig_free(g);
}

static struct rig *connecting(void) {
    struct rig *g = rig_new(plain);
    struct sp_addr from = {.ip = {192, 0, 2, 1}, .family = 4}, to = {.ip = {192, 0, 2, 9}, .family = 4, .port = 40000};
    assert_int_equal(sp_tcp_connect(g->tcp, g->now, &from, &to, &g->conn), SP_OK);
    EXPECT(TCP_SYN, 0, 0, 0);
    g->our_port = g->out.sport;
    assert_true(g->our_port >= 32768);
    assert_true(g->out.has_ts && g->out.sack_ok && g->out.has_shift);
    return g;
}

static void we_open_and_end_first(void **state) { /* RFC 9293 3.6.1 */
    (void)state;
    struct rig *g = connecting();
    GIVE(.flags = TCP_SYN | TCP_ACK, .ack = 1, .mss = MSS, .sack_ok = true, .shift = 3);
    assert_int_equal(g->opened, 1);
    EXPECT(TCP_ACK, 1, 1, 0);
    sp_tcp_end(g->tcp, g->now, g->conn);
    EXPECT(TCP_ACK | TCP_FIN, 1, 1, 0);
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 2);
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 2, .len = 10); /* FIN-WAIT-2: half a connection */
    assert_int_equal(g->got, 10);
    GIVE(.flags = TCP_ACK | TCP_FIN, .seq = 11, .ack = 2);
    assert_int_equal(g->ended, 1);
    assert_int_equal(g->closed, 1);
    EXPECT(TCP_ACK, 2, 12, 0);
    /* TIME-WAIT: the peer's FIN again is answered again; a reset does not end it (RFC 1337). */
    GIVE(.flags = TCP_RST, .seq = 12);
    GIVE(.flags = TCP_ACK | TCP_FIN, .seq = 11, .ack = 2);
    EXPECT(TCP_ACK, 2, 12, 0);
    assert_int_equal(sp_tcp_deadline(g->tcp), g->now + 2 * TCP_MSL);
    struct sp_addr from = {.ip = {192, 0, 2, 1}, .family = 4, .port = g->our_port},
                   to = {.ip = {192, 0, 2, 9}, .family = 4, .port = 40000};
    struct sp_tcp_conn *again;
    assert_int_equal(sp_tcp_connect(g->tcp, g->now, &from, &to, &again), SP_ERR_EXIST);
    pass(g, 2 * TCP_MSL);
    assert_int_equal(sp_tcp_connect(g->tcp, g->now, &from, &to, &again), SP_OK);
    rig_free(g);
}

static void both_open_at_once(void **state) { /* RFC 9293 3.5, figure 7 */
    (void)state;
    struct rig *g = connecting();
    GIVE(.flags = TCP_SYN, .mss = MSS, .sack_ok = true);
    EXPECT(TCP_SYN | TCP_ACK, 0, 1, 0);
    assert_int_equal(g->opened, 0);
    GIVE(.flags = TCP_SYN | TCP_ACK, .ack = 1, .mss = MSS);
    assert_int_equal(g->opened, 1);
    rig_free(g);
}

static void both_end_at_once(void **state) { /* RFC 9293 3.6, figure 13 */
    (void)state;
    struct rig *g = open_by_peer(plain);
    sp_tcp_end(g->tcp, g->now, g->conn);
    EXPECT(TCP_ACK | TCP_FIN, 1, 1, 0);
    GIVE(.flags = TCP_ACK | TCP_FIN, .seq = 1, .ack = 1);
    EXPECT(TCP_ACK, 2, 2, 0);
    assert_int_equal(g->closed, 0); /* CLOSING */
    GIVE(.flags = TCP_ACK, .seq = 2, .ack = 2);
    assert_int_equal(g->closed, 1);
    assert_int_equal(g->tcp->waits.count, 1);
    rig_free(g);
}

static void nobody_answers(void **state) { /* RFC 6298 2, 5.7; RFC 9293 3.8.3 */
    (void)state;
    struct rig *g = connecting();
    sp_instant began = g->now;
    static const unsigned at[] = {1, 3, 7, 15, 31};
    for (unsigned i = 0; i < 5; i++) {
        pass(g, 100 * SP_SEC);
        assert_int_equal(g->now, began + at[i] * SP_SEC);
        EXPECT(TCP_SYN, 0, 0, 0);
    }
    pass(g, 100 * SP_SEC);
    assert_int_equal(g->closed, 1);
    assert_int_equal(g->err, SP_ERR_TIME);
    rig_free(g);
}

static void refused(void **state) {
    (void)state;
    struct rig *g = connecting();
    GIVE(.flags = TCP_RST, .seq = 0); /* without an acknowledgement anybody could have sent it */
    assert_int_equal(g->closed, 0);
    GIVE(.flags = TCP_RST | TCP_ACK, .ack = 7);
    assert_int_equal(g->closed, 0);
    GIVE(.flags = TCP_RST | TCP_ACK, .ack = 1);
    assert_int_equal(g->closed, 1);
    assert_int_equal(g->err, SP_ERR_DENIED);
    rig_free(g);
}

static void closed_ports(void **state) { /* RFC 9293 3.10.7.1 */
    (void)state;
    struct rig *g = rig_new(plain);
    g->our_port = 81;
    GIVE(.flags = TCP_SYN, .mss = MSS);
    assert_true(take(g));
    assert_int_equal(g->out.flags, TCP_RST | TCP_ACK);
    assert_int_equal(g->out.seq, 0);
    assert_int_equal(g->out.ack, THEIRS + 1);
    GIVE(.flags = TCP_ACK, .seq = 50, .ack = 77, .absolute_ack = true);
    assert_true(take(g));
    assert_int_equal(g->out.flags, TCP_RST);
    assert_int_equal(g->out.seq, 77);
    GIVE(.flags = TCP_RST, .seq = 50);
    NOTHING();
    for (unsigned i = 0; i < 1000; i++)
        GIVE(.flags = TCP_SYN);
    unsigned answers = 0;
    while (take(g))
        answers++;
    assert_true(answers <= 200);
    assert_true(dropped(g, SP_TCP_DROP_RATE) + dropped(g, SP_TCP_DROP_MEMORY) >= 800);
    rig_free(g);
}

static void a_syn_that_comes_again(void **state) {
    (void)state;
    struct rig *g = rig_new(plain);
    GIVE(.flags = TCP_SYN, .mss = MSS);
    EXPECT(TCP_SYN | TCP_ACK, 0, 1, 0);
    GIVE(.flags = TCP_SYN, .mss = MSS);
    EXPECT(TCP_SYN | TCP_ACK, 0, 1, 0);
    assert_int_equal(sp_tcp_connections(g->tcp), 1);
    pass(g, 2 * SP_SEC);
    EXPECT(TCP_SYN | TCP_ACK, 0, 1, 0);
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 99); /* not of our SYN */
    assert_true(take(g));
    assert_int_equal(g->out.flags, TCP_RST);
    rig_free(g);
}

/* ---- strangers ---- */

static void cookies(void **state) { /* RFC 4987 3.6 */
    (void)state;
    struct rig *g = rig_new((struct sp_tcp_config){.half_open = 4});
    for (unsigned i = 0; i < 50; i++) {
        g->port = (uint16_t)(1000 + i);
        GIVE(.flags = TCP_SYN, .mss = MSS, .sack_ok = true, .shift = 1 + 7, .ts = true, .tsval = 1234);
        EXPECT(TCP_SYN | TCP_ACK, 0, 1, 0);
    }
    assert_int_equal(sp_tcp_connections(g->tcp), 4);
    assert_int_equal(sp_tcp_counts(g->tcp)->cookies_sent, 46);
    uint32_t tsecr = g->out.tsval;
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 2, .ts = true, .tsval = 1240, .tsecr = tsecr); /* not quite */
    assert_int_equal(g->opened, 0);
    assert_int_equal(dropped(g, SP_TCP_DROP_COOKIE), 1);
    take(g);
    pass(g, 3 * SP_SEC);
    while (take(g))
        ;
    g->iss = 0;
    g->port = 1049;
    GIVE(.flags = TCP_SYN, .mss = MSS, .sack_ok = true, .shift = 1 + 7, .ts = true, .tsval = 1234);
    EXPECT(TCP_SYN | TCP_ACK, 0, 1, 0);
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1, .ts = true, .tsval = 1240, .tsecr = g->out.tsval, .len = 10, .wnd = 100);
    assert_int_equal(g->opened, 1);
    assert_int_equal(g->got, 10);
    assert_true(g->conn->sack && g->conn->ts);
    assert_int_equal(g->conn->snd_shift, 7);
    assert_int_equal(g->conn->snd_wnd, 100 << 7);
    /* Old ones are none. */
    g->port = 1048;
    GIVE(.flags = TCP_SYN, .mss = MSS);
    EXPECT(TCP_SYN | TCP_ACK, 0, 1, 0);
    g->now += 100 * SP_SEC;
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1);
    assert_int_equal(g->opened, 1);
    rig_free(g);
}

static void blind_resets(void **state) { /* RFC 5961 3 */
    (void)state;
    struct rig *g = open_by_peer(plain);
    GIVE(.flags = TCP_RST, .seq = 100);
    EXPECT(TCP_ACK, 1, 1, 0); /* within the window, but not the next number: a challenge */
    GIVE(.flags = TCP_RST, .seq = 1u << 30);
    NOTHING();
    assert_int_equal(g->closed, 0);
    for (unsigned i = 0; i < 100; i++)
        GIVE(.flags = TCP_RST, .seq = 100);
    assert_true(sp_tcp_counts(g->tcp)->challenges <= 11);
    while (take(g))
        ;
    GIVE(.flags = TCP_RST, .seq = 1);
    assert_int_equal(g->closed, 1);
    assert_int_equal(g->err, SP_ERR_DENIED);
    rig_free(g);
}

static void blind_syns_and_acks(void **state) { /* RFC 5961 4, 5 */
    (void)state;
    struct rig *g = open_by_peer(plain);
    GIVE(.flags = TCP_SYN, .seq = 1, .mss = MSS);
    EXPECT(TCP_ACK, 1, 1, 0);
    GIVE(.flags = TCP_SYN, .seq = 77777777, .mss = MSS);
    EXPECT(TCP_ACK, 1, 1, 0);
    assert_int_equal(dropped(g, SP_TCP_DROP_SYN), 2);
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 5, .len = 10); /* acknowledges what was never sent */
    EXPECT(TCP_ACK, 1, 1, 0);
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = (uint32_t)-100000, .len = 10); /* nor ever within a window */
    assert_int_equal(dropped(g, SP_TCP_DROP_ACK), 2);
    assert_int_equal(g->got, 0);
    assert_int_equal(g->closed, 0);
    rig_free(g);
}

static void outside_the_window(void **state) { /* RFC 9293 3.4 */
    (void)state;
    struct rig *g = open_by_peer((struct sp_tcp_config){.receive_max = 8192});
    GIVE(.flags = TCP_ACK, .seq = 9000, .ack = 1, .len = 10);
    EXPECT(TCP_ACK, 1, 1, 0);
    assert_int_equal(dropped(g, SP_TCP_DROP_WINDOW), 1);
    GIVE(.flags = TCP_ACK, .seq = 8190, .ack = 1, .len = 100); /* its first bytes fit */
    EXPECT(TCP_ACK, 1, 1, 0);
    assert_int_equal(g->out.sacks, 1);
    assert_int_equal(g->out.sack[0].end, THEIRS + 1 + 8192);
    rig_free(g);
}

static void old_timestamps(void **state) { /* RFC 7323 5 */
    (void)state;
    struct rig *g = rig_new(plain);
    GIVE(.flags = TCP_SYN, .mss = MSS, .ts = true, .tsval = 1000);
    EXPECT(TCP_SYN | TCP_ACK, 0, 1, 0);
    assert_int_equal(g->out.tsecr, 1000);
    uint32_t ours = g->out.tsval;
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1, .ts = true, .tsval = 1001, .tsecr = ours);
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1, .len = 10, .ts = true, .tsval = 1010, .tsecr = ours);
    assert_int_equal(g->got, 10);
    GIVE(.flags = TCP_ACK, .seq = 11, .ack = 1, .len = 10, .ts = true, .tsval = 990, .tsecr = ours);
    assert_int_equal(g->got, 10);
    EXPECT(TCP_ACK, 1, 11, 0);
    assert_int_equal(g->out.tsecr, 1010);
    GIVE(.flags = TCP_ACK, .seq = 11, .ack = 1, .len = 10); /* 3.2: none at all */
    assert_int_equal(g->got, 10);
    assert_int_equal(dropped(g, SP_TCP_DROP_PAWS), 2);
    g->now += 25 * SP_DAY; /* 5.5: after so long it proves nothing */
    GIVE(.flags = TCP_ACK, .seq = 11, .ack = 1, .len = 10, .ts = true, .tsval = 990, .tsecr = ours);
    assert_int_equal(g->got, 20);
    rig_free(g);
}

static void malformed(void **state) {
    (void)state;
    struct rig *g = rig_new(plain);
    uint8_t buf[40] = {0, 1, 0, 80, [12] = 0x50, [13] = TCP_SYN};
    struct sp_tcp_packet p = {.family = 4, .checked = true, .data = buf, .len = 40};
    static const uint8_t heads[] = {0x40, 0xf0, 0x00};
    for (unsigned i = 0; i < 3; i++) {
        buf[12] = heads[i];
        sp_tcp_input(g->tcp, g->now, &p);
    }
    buf[12] = 0x60;
    buf[20] = 2;
    buf[21] = 1; /* an option of one byte */
    sp_tcp_input(g->tcp, g->now, &p);
    buf[21] = 9; /* one that is too long */
    sp_tcp_input(g->tcp, g->now, &p);
    for (p.len = 0; p.len < 20; p.len++)
        sp_tcp_input(g->tcp, g->now, &p);
    assert_int_equal(dropped(g, SP_TCP_DROP_FORM), 25);
    p.len = 40;
    buf[12] = 0x50;
    p.checked = false;
    sp_tcp_input(g->tcp, g->now, &p);
    assert_int_equal(dropped(g, SP_TCP_DROP_CSUM), 1);
    assert_int_equal(sp_tcp_connections(g->tcp), 0);
    rig_free(g);
}

/* ---- receiving ---- */

static void every_second_segment_is_acknowledged(void **state) { /* RFC 1122 4.2.3.2 */
    (void)state;
    struct rig *g = open_by_peer(plain);
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1, .len = MSS);
    NOTHING();
    GIVE(.flags = TCP_ACK, .seq = 1 + MSS, .ack = 1, .len = MSS);
    EXPECT(TCP_ACK, 1, 1 + 2 * MSS, 0);
    rig_free(g);
}

static void holes_are_told(void **state) { /* RFC 2018 4; RFC 2883 */
    (void)state;
    struct rig *g = open_by_peer(plain);
    GIVE(.flags = TCP_ACK, .seq = 101, .ack = 1, .len = 100);
    EXPECT(TCP_ACK, 1, 1, 0);
    assert_int_equal(g->out.sacks, 1);
    GIVE(.flags = TCP_ACK, .seq = 301, .ack = 1, .len = 100);
    EXPECT(TCP_ACK, 1, 1, 0);
    GIVE(.flags = TCP_ACK, .seq = 501, .ack = 1, .len = 100);
    EXPECT(TCP_ACK, 1, 1, 0);
    assert_int_equal(g->out.sacks, 3); /* the newest first */
    static const uint32_t order[] = {501, 301, 101};
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(g->out.sack[i].seq, THEIRS + order[i]);
        assert_int_equal(g->out.sack[i].end, THEIRS + order[i] + 100);
    }
    GIVE(.flags = TCP_ACK, .seq = 301, .ack = 1, .len = 50); /* a copy of a part */
    EXPECT(TCP_ACK, 1, 1, 0);
    assert_int_equal(g->out.sack[0].seq, THEIRS + 301);
    assert_int_equal(g->out.sack[0].end, THEIRS + 351);
    GIVE(.flags = TCP_ACK, .seq = 201, .ack = 1, .len = 100); /* joins two */
    EXPECT(TCP_ACK, 1, 1, 0);
    assert_int_equal(g->out.sack[0].seq, THEIRS + 101);
    assert_int_equal(g->out.sack[0].end, THEIRS + 401);
    assert_int_equal(g->got, 0);
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1, .len = 100); /* the first hole is filled: at once */
    EXPECT(TCP_ACK, 1, 401, 0);
    assert_int_equal(g->got, 400);
    GIVE(.flags = TCP_ACK | TCP_FIN, .seq = 401, .ack = 1, .len = 100 + 100); /* over what is there already */
    assert_int_equal(g->got, 600);
    assert_int_equal(g->ended, 1);
    EXPECT(TCP_ACK, 1, 602, 0);
    for (unsigned i = 0; i < 600; i++)
        assert_int_equal(g->bytes[i], (uint8_t)((i + 1) * 7));
    assert_int_equal(sp_tcp_buffered(g->tcp), 0);
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1, .len = 100); /* an old copy */
    EXPECT(TCP_ACK, 1, 602, 0);
    rig_free(g);
}

static void a_reader_that_takes_nothing(void **state) { /* RFC 9293 3.8.6 */
    (void)state;
    struct rig *g = open_by_peer((struct sp_tcp_config){.receive_max = 4000});
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1, .len = 2000);
    pass(g, SP_SEC);
    EXPECT(TCP_ACK, 1, 2001, 0);
    assert_int_equal(g->out.wnd, 2000);
    GIVE(.flags = TCP_ACK, .seq = 2001, .ack = 1, .len = 2000);
    pass(g, SP_SEC);
    EXPECT(TCP_ACK, 1, 4001, 0);
    assert_int_equal(g->out.wnd, 0);
    GIVE(.flags = TCP_ACK, .seq = 4001, .ack = 1, .len = 1); /* a probe of the window */
    EXPECT(TCP_ACK, 1, 4001, 0);
    assert_int_equal(g->got, 4000);
    sp_tcp_consumed(g->tcp, g->now, g->conn, 100);
    NOTHING(); /* RFC 9293 3.8.6.2.2: no silly window */
    GIVE(.flags = TCP_ACK, .seq = 4001, .ack = 1, .len = 1);
    EXPECT(TCP_ACK, 1, 4001, 0);
    assert_int_equal(g->out.wnd, 0);
    sp_tcp_consumed(g->tcp, g->now, g->conn, 3900);
    EXPECT(TCP_ACK, 1, 4001, 0);
    assert_int_equal(g->out.wnd, 4000);
    rig_free(g);
}

/* ---- sending ---- */

static void the_first_window(void **state) { /* RFC 6928 */
    (void)state;
    struct rig *g = open_by_peer(plain);
    send_bytes(g, 20 * MSS);
    for (unsigned i = 0; i < 10; i++)
        EXPECT(TCP_ACK, 1 + i * MSS, 1, MSS);
    NOTHING();
    g->now += 50 * SP_MS;
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1 + 2 * MSS); /* slow start: two leave, four may go */
    for (unsigned i = 10; i < 14; i++)
        EXPECT(TCP_ACK, 1 + i * MSS, 1, MSS);
    NOTHING();
    rig_free(g);
}

static void sacked_segments_show_the_lost_one(void **state) { /* RFC 8985 6.2 */
    (void)state;
    struct rig *g = open_by_peer(plain);
    send_bytes(g, 10 * MSS);
    for (unsigned i = 0; i < 10; i++)
        EXPECT(TCP_ACK, 1 + i * MSS, 1, MSS);
    g->now += 40 * SP_MS;
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1 + MSS);
    NOTHING();
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1 + MSS, .sacks = 1, .sack = {{1 + 2 * MSS, 1 + 3 * MSS}});
    NOTHING(); /* it may only be late */
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1 + MSS, .sacks = 1, .sack = {{1 + 2 * MSS, 1 + 5 * MSS}});
    EXPECT(TCP_ACK, 1 + MSS, 1, MSS); /* three behind it have arrived */
    NOTHING();
    uint32_t window = g->conn->cubic.window;
    assert_int_equal(window, (uint32_t)(10 * MSS) * 7 / 10); /* RFC 9438 4.6 */
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1 + 10 * MSS);
    assert_false(g->conn->recovering);
    assert_int_equal(g->conn->pipe, 0);
    assert_int_equal(sp_tcp_buffered(g->tcp), 0);
    rig_free(g);
}

static void the_tail_is_probed(void **state) { /* RFC 8985 7 */
    (void)state;
    struct rig *g = open_by_peer(plain);
    send_bytes(g, 100);
    EXPECT(TCP_ACK, 1, 1, 100);
    g->now += 30 * SP_MS;
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 101);
    send_bytes(g, 3 * MSS);
    for (unsigned i = 0; i < 3; i++)
        EXPECT(TCP_ACK, 101 + i * MSS, 1, MSS);
    sp_instant sent = g->now;
    pass(g, SP_SEC);
    assert_true(g->now - sent < TCP_RTO_MIN);
    EXPECT(TCP_ACK, 101 + 2 * MSS, 1, MSS); /* the last one again */
    NOTHING();
    assert_int_equal(sp_tcp_counts(g->tcp)->tail_probes, 1);
    g->now += 30 * SP_MS;
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 101, .sacks = 1, .sack = {{101 + 2 * MSS, 101 + 3 * MSS}});
    EXPECT(TCP_ACK, 101, 1, MSS);
    EXPECT(TCP_ACK, 101 + MSS, 1, MSS);
    assert_int_equal(sp_tcp_counts(g->tcp)->timeouts, 0);
    rig_free(g);
}

static void a_late_segment_is_waited_for(void **state) { /* RFC 8985 6.2, step 4 */
    (void)state;
    struct rig *g = open_by_peer(plain);
    send_bytes(g, 5 * MSS);
    for (unsigned i = 0; i < 5; i++)
        EXPECT(TCP_ACK, 1 + i * MSS, 1, MSS);
    sp_instant sent = g->now;
    g->now += 20 * SP_MS;
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1, .sacks = 1, .sack = {{1 + MSS, 1 + 3 * MSS}});
    NOTHING();
    pass(g, SP_SEC);
    assert_in_range(g->now - sent, 25 * SP_MS, 26 * SP_MS); /* a quarter of the round trip longer */
    EXPECT(TCP_ACK, 1, 1, MSS);
    rig_free(g);
}

static void a_peer_that_threw_away_what_it_had(void **state) { /* RFC 2018 8 */
    (void)state;
    struct rig *g = open_by_peer(plain);
    send_bytes(g, 2 * MSS);
    EXPECT(TCP_ACK, 1, 1, MSS);
    EXPECT(TCP_ACK, 1 + MSS, 1, MSS);
    g->now += 20 * SP_MS;
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1, .sacks = 1, .sack = {{1 + MSS, 1 + 2 * MSS}});
    pass(g, SP_SEC);
    EXPECT(TCP_ACK, 1, 1, MSS);
    g->now += 20 * SP_MS;
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1 + MSS);
    NOTHING();
    pass(g, 10 * SP_SEC);
    EXPECT(TCP_ACK, 1 + MSS, 1, MSS);
    rig_free(g);
}

static void a_peer_without_sack(void **state) { /* RFC 6582 3.2 */
    (void)state;
    struct rig *g = rig_new(plain);
    GIVE(.flags = TCP_SYN, .mss = MSS);
    EXPECT(TCP_SYN | TCP_ACK, 0, 1, 0);
    assert_false(g->out.sack_ok || g->out.has_shift || g->out.has_ts);
    g->now += 20 * SP_MS;
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1);
    send_bytes(g, 8 * MSS);
    for (unsigned i = 0; i < 8; i++)
        EXPECT(TCP_ACK, 1 + i * MSS, 1, MSS);
    g->now += 20 * SP_MS;
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1 + 2 * MSS);
    for (unsigned i = 0; i < 2; i++) {
        GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1 + 2 * MSS);
        NOTHING();
    }
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1 + 2 * MSS);
    EXPECT(TCP_ACK, 1 + 2 * MSS, 1, MSS);
    NOTHING();
    g->now += 20 * SP_MS;
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1 + 5 * MSS); /* up to the next hole */
    EXPECT(TCP_ACK, 1 + 5 * MSS, 1, MSS);
    NOTHING();
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1 + 8 * MSS);
    assert_false(g->conn->recovering);
    rig_free(g);
}

static void after_a_rest_the_window_is_the_first_one_again(void **state) { /* RFC 5681 4.1 */
    (void)state;
    struct rig *g = open_by_peer(plain);
    uint32_t at = 1;
    for (unsigned round = 0; round < 3; round++) {
        unsigned n = 0;
        send_bytes(g, 100 * MSS - (round > 0 ? 60 : 0));
        while (take(g))
            n++;
        if (round == 2)
            assert_int_equal(n, 10);
        g->now += 20 * SP_MS;
        while (g->conn->queued > 0) {
            at = g->conn->snd_nxt - g->iss;
            GIVE(.flags = TCP_ACK, .seq = 1, .ack = at);
            while (take(g))
                ;
            g->now += 20 * SP_MS;
        }
        assert_true(g->conn->cubic.window > 20 * MSS);
        if (round == 1)
            g->now += 10 * SP_SEC;
    }
    rig_free(g);
}

static void nothing_comes_back(void **state) { /* RFC 6298 5 */
    (void)state;
    struct rig *g = open_by_peer((struct sp_tcp_config){.give_up = 100 * SP_SEC});
    sp_instant sent = g->now;
    send_bytes(g, 100);
    EXPECT(TCP_ACK, 1, 1, 100);
    unsigned copies = 0;
    while (g->closed == 0 && g->now < sent + 1000 * SP_SEC) {
        pass(g, SP_SEC);
        while (take(g)) {
            assert_int_equal(g->out.seq, g->iss + 1);
            copies++;
        }
    }
    assert_int_equal(g->err, SP_ERR_TIME);
    assert_in_range(g->now - sent, 100 * SP_SEC, 200 * SP_SEC);
    assert_true(copies >= 7 && copies <= 12);
    assert_int_equal(sp_tcp_buffered(g->tcp), 0);
    rig_free(g);
}

static void a_window_that_is_shut(void **state) { /* RFC 9293 3.8.6.1 */
    (void)state;
    struct rig *g = open_by_peer((struct sp_tcp_config){.give_up = 3 * SP_SEC});
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1, .wnd = 1 /* none */);
    send_bytes(g, 100);
    NOTHING();
    for (unsigned i = 0; i < 40; i++) { /* as long as it answers, for ever */
        pass(g, 100 * SP_SEC);
        EXPECT(TCP_ACK, 0, 1, 0);
        GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1, .wnd = 1);
    }
    assert_int_equal(g->closed, 0);
    assert_true(g->now > 505 * SP_SEC);
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1, .wnd = 50);
    NOTHING(); /* 3.8.6.2.1: it might open further, */
    pass(g, SP_SEC);
    EXPECT(TCP_ACK, 1, 1, 50); /* and if not, this little goes */
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 51, .wnd = 1000);
    EXPECT(TCP_ACK, 51, 1, 50);
    rig_free(g);
}

static void silence(void **state) { /* RFC 9293 3.8.4 */
    (void)state;
    struct rig *g = open_by_peer((struct sp_tcp_config){.idle = 100 * SP_SEC});
    sp_instant since = g->now;
    pass(g, 1000 * SP_SEC);
    assert_int_equal(g->now, since + 100 * SP_SEC);
    EXPECT(TCP_ACK, 0, 1, 0);
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1);
    since = g->now;
    unsigned probes = 0;
    while (g->closed == 0 && g->now < since + 10000 * SP_SEC) {
        pass(g, SP_SEC);
        while (take(g))
            probes++;
    }
    assert_int_equal(probes, TCP_KEEP_TRIES);
    assert_int_equal(g->err, SP_ERR_TIME);
    rig_free(g);
}

static void credit(void **state) {
    (void)state;
    struct rig *g = open_by_peer((struct sp_tcp_config){.send_max = 20000});
    uint8_t buf[30000] = {0};
    assert_int_equal(sp_tcp_room(g->tcp, g->conn), 20000);
    assert_int_equal(sp_tcp_write(g->tcp, g->now, g->conn, buf, sizeof buf), 20000);
    assert_int_equal(sp_tcp_write(g->tcp, g->now, g->conn, buf, 1), 0);
    while (take(g))
        ;
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1 + 2 * MSS);
    assert_int_equal(g->rooms, 0); /* not for every little */
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1 + 6 * MSS);
    assert_int_equal(g->rooms, 1);
    assert_int_equal(sp_tcp_room(g->tcp, g->conn), 6 * MSS);
    rig_free(g);
}

static void packets_that_are_too_big(void **state) { /* RFC 8201; RFC 5927 7 */
    (void)state;
    struct rig *g = open_by_peer(plain);
    send_bytes(g, 3 * MSS);
    for (unsigned i = 0; i < 3; i++)
        EXPECT(TCP_ACK, 1 + i * MSS, 1, MSS);
    uint8_t quoted[8] = {0};
    struct sp_tcp_packet q = {.family = 4, .data = quoted, .len = 8};
    memcpy(q.src, g->out_packet.src, 16);
    memcpy(q.dst, g->out_packet.dst, 16);
    sp_put_u16(quoted, 80);
    sp_put_u16(quoted + 2, g->port);
    sp_put_u32(quoted + 4, g->iss + 100000);
    sp_tcp_path_mtu(g->tcp, g->now, &q, 1300);
    NOTHING();
    assert_int_equal(dropped(g, SP_TCP_DROP_PMTU), 1);
    sp_put_u32(quoted + 4, g->iss + 1);
    sp_tcp_path_mtu(g->tcp, g->now, &q, 1300);
    EXPECT(TCP_ACK, 1, 1, 1300 - 40 - TCP_TS_LEN);
    EXPECT(TCP_ACK, 1 + 1248, 1, MSS - 1248);
    rig_free(g);
}

/* ---- ends ---- */

static void what_nobody_reads(void **state) { /* RFC 1122 4.2.2.13; RFC 9293 3.6.1 */
    (void)state;
    struct rig *g = open_by_peer(plain);
    sp_tcp_close(g->tcp, g->now, g->conn);
    EXPECT(TCP_ACK | TCP_FIN, 1, 1, 0);
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 2, .len = 5);
    assert_true(take(g));
    assert_int_equal(g->out.flags, TCP_RST);
    assert_int_equal(g->closed, 1);
    assert_int_equal(dropped(g, SP_TCP_DROP_NO_READER), 1);
    rig_free(g);

    g = open_by_peer(plain);
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1, .len = 5);
    sp_tcp_close(g->tcp, g->now, g->conn); /* with bytes unread */
    assert_true(take(g));
    assert_int_equal(g->out.flags, TCP_RST | TCP_ACK);
    rig_free(g);

    g = open_by_peer(plain); /* an orphan whose peer goes on living without a word */
    sp_tcp_close(g->tcp, g->now, g->conn);
    EXPECT(TCP_ACK | TCP_FIN, 1, 1, 0);
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 2);
    pass(g, 61 * SP_SEC);
    assert_int_equal(g->closed, 1);
    rig_free(g);
}

static void again_after_time_wait(void **state) { /* RFC 6191 2 */
    (void)state;
    struct rig *g = open_by_peer(plain);
    sp_tcp_end(g->tcp, g->now, g->conn);
    EXPECT(TCP_ACK | TCP_FIN, 1, 1, 0);
    GIVE(.flags = TCP_ACK | TCP_FIN, .seq = 1, .ack = 2);
    EXPECT(TCP_ACK, 2, 2, 0);
    GIVE(.flags = TCP_SYN, .seq = 0, .mss = MSS); /* an old SYN */
    EXPECT(TCP_ACK, 2, 2, 0);
    uint32_t before = g->iss;
    GIVE(.flags = TCP_SYN, .seq = 1000, .mss = MSS);
    EXPECT(TCP_SYN | TCP_ACK, 0, 1001, 0);
    assert_true(seq_lt(before + 2, g->iss));
    rig_free(g);
}

static void limits(void **state) {
    (void)state;
    struct rig *g = rig_new((struct sp_tcp_config){.connections = 10, .time_waits = 3, .memory = 40000});
    for (unsigned i = 0; i < 20; i++) {
        g->port = (uint16_t)(2000 + i);
        GIVE(.flags = TCP_SYN, .mss = MSS);
    }
    assert_int_equal(sp_tcp_connections(g->tcp), 10);
    assert_int_equal(dropped(g, SP_TCP_DROP_FULL), 10);
    unsigned answers = 0;
    uint32_t isn[10];
    while (answers < 10 && take(g))
        isn[answers++] = g->out.seq;
    assert_int_equal(answers, 10);
    for (unsigned i = 0; i < 10; i++) {
        g->port = (uint16_t)(2000 + i);
        g->iss = isn[i];
        GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1);
        if (i < 4) { /* 40,000 bytes for all: two large blocks, and no more */
            uint8_t buf[15000] = {0};
            size_t took = sp_tcp_write(g->tcp, g->now, g->conn, buf, sizeof buf);
            assert_int_equal(took, i < 2 ? sizeof buf : 0);
        }
    }
    assert_true(dropped(g, SP_TCP_DROP_MEMORY) > 0);
    assert_true(sp_tcp_buffered(g->tcp) <= 40000);
    rig_free(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_peer_opens_sends_and_ends),
        cmocka_unit_test(we_open_and_end_first),
        cmocka_unit_test(both_open_at_once),
        cmocka_unit_test(both_end_at_once),
        cmocka_unit_test(nobody_answers),
        cmocka_unit_test(refused),
        cmocka_unit_test(closed_ports),
        cmocka_unit_test(a_syn_that_comes_again),
        cmocka_unit_test(cookies),
        cmocka_unit_test(blind_resets),
        cmocka_unit_test(blind_syns_and_acks),
        cmocka_unit_test(outside_the_window),
        cmocka_unit_test(old_timestamps),
        cmocka_unit_test(malformed),
        cmocka_unit_test(every_second_segment_is_acknowledged),
        cmocka_unit_test(holes_are_told),
        cmocka_unit_test(a_reader_that_takes_nothing),
        cmocka_unit_test(the_first_window),
        cmocka_unit_test(sacked_segments_show_the_lost_one),
        cmocka_unit_test(the_tail_is_probed),
        cmocka_unit_test(a_late_segment_is_waited_for),
        cmocka_unit_test(a_peer_that_threw_away_what_it_had),
        cmocka_unit_test(a_peer_without_sack),
        cmocka_unit_test(after_a_rest_the_window_is_the_first_one_again),
        cmocka_unit_test(nothing_comes_back),
        cmocka_unit_test(a_window_that_is_shut),
        cmocka_unit_test(silence),
        cmocka_unit_test(credit),
        cmocka_unit_test(packets_that_are_too_big),
        cmocka_unit_test(what_nobody_reads),
        cmocka_unit_test(again_after_time_wait),
        cmocka_unit_test(limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
