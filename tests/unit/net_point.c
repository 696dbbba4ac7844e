/* The end of a tunnel: two points that exchange packets, and packets made by hand. */
#include "tests/unit/cm.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/bytes.h"
#include "proto/base/csum.h"
#include "proto/crypto/crypto.h"
#include "proto/net/point.h"
#include "tests/support/support.h"

#define MTU 1280

static const uint8_t ours[16] = {0xfd, 1, [15] = 1}, theirs[16] = {0xfd, 1, [15] = 2};

struct world {
    struct sp_mem mem;
    struct sp_rng rng;
    struct sp_point *p, *q; /* ours, theirs */
    sp_instant now;
    struct sp_tcp_conn *accepted, *connected;
    bool ended, closed;
    sp_err err;
    uint8_t *got;
    size_t got_len;
    unsigned joined; /* outputs that stood for several packets */
};

static struct sp_point *point(struct world *w, const uint8_t addr[16], uint16_t mtu, sp_err want) {
    struct sp_point_config c = {.mem = &w->mem, .rng = &w->rng, .mtu = mtu};
    struct sp_point *p = NULL;
    memcpy(c.addr, addr, 16);
    c.tcp = (struct sp_tcp_config){.ports = {80}, .port_count = 1, .segments = true};
    assert_int_equal(sp_point_new(&p, &c), want);
    return p;
}

static int start(void **state) {
    struct world *w = calloc(1, sizeof *w);
    static const uint8_t seed[SP_RNG_SEED] = {1};
    sp_mem_init(&w->mem, sp_test_grant(), 64 << 20);
    sp_rng_init(&w->rng, seed);
    w->now = 1000 * SP_SEC;
    w->p = point(w, ours, MTU, SP_OK);
    w->q = point(w, theirs, MTU, SP_OK);
    w->got = malloc(8 << 20);
    *state = w;
    return 0;
}

static int finish(void **state) {
    struct world *w = *state;
    sp_point_free(w->p);
    sp_point_free(w->q);
    assert_int_equal(w->mem.used, 0);
    sp_mem_done(&w->mem);
    free(w->got);
    free(w);
    return 0;
}

static void events(struct world *w, struct sp_point *p) {
    struct sp_tcp_event ev;
    while (sp_tcp_event(sp_point_tcp(p), &ev)) {
        if (ev.kind == SP_TCP_OPENED)
            *(p == w->p ? &w->connected : &w->accepted) = ev.conn;
        if (ev.kind == SP_TCP_DATA) {
            memcpy(w->got + w->got_len, ev.data, ev.len);
            w->got_len += ev.len;
            sp_tcp_consumed(sp_point_tcp(p), w->now, ev.conn, ev.len);
        }
        w->ended |= ev.kind == SP_TCP_END;
        if (ev.kind == SP_TCP_CLOSED) {
            w->closed = true;
            w->err = ev.err;
        }
    }
}

/* Whole, as it would be written to a device. */
static size_t flatten(const struct sp_point_packet *k, uint8_t *buf) {
    size_t at = k->head_len;
    memcpy(buf, k->head, at);
    for (unsigned i = 0; i < k->spans; at += k->span[i++].len)
        memcpy(buf + at, k->span[i].data, k->span[i].len);
    assert_int_equal(at, k->len);
    assert_int_equal(sp_get_u16(buf + 4), at - 40);
    assert_int_equal(buf[0], 0x60);
    return at;
}

/* Packets go between the two until both are silent. */
static void exchange(struct world *w) {
    static uint8_t buf[70000];
    struct sp_point_packet k;
    for (bool some = true; some;) {
        some = false;
        for (unsigned i = 0; i < 2; i++)
            while (sp_point_output(i == 0 ? w->p : w->q, w->now, &k)) {
                size_t len = flatten(&k, buf);
                w->joined += k.offload.gso != SP_GSO_NONE;
                sp_point_input(i == 0 ? w->q : w->p, w->now, buf, len, &k.offload);
                events(w, i == 0 ? w->q : w->p);
                some = true;
            }
        if (!some) {
            w->now += 50 * SP_MS;
            sp_point_expire(w->p, w->now);
            sp_point_expire(w->q, w->now);
            some = sp_point_deadline(w->p) <= w->now + SP_SEC;
        }
    }
}

static void open_one(struct world *w, uint16_t port) {
    struct sp_addr local = {.family = 6}, remote = {.family = 6, .port = port};
    struct sp_tcp_conn *c;
    memcpy(local.ip, ours, 16);
    memcpy(remote.ip, theirs, 16);
    assert_int_equal(sp_tcp_connect(sp_point_tcp(w->p), w->now, &local, &remote, 0, &c), SP_OK);
}

static void bytes_pass_in_large_pieces(void **state) {
    struct world *w = *state;
    size_t total = 5 << 20, at = 0;
    uint8_t *data = malloc(total);
    for (size_t i = 0; i < total; i++)
        data[i] = (uint8_t)(i * 31 + i / 977);
    open_one(w, 80);
    exchange(w);
    assert_non_null(w->connected);
    assert_non_null(w->accepted);
    while (at < total) {
        at += sp_tcp_write(sp_point_tcp(w->p), w->now, w->connected, data + at, total - at);
        exchange(w);
    }
    sp_tcp_end(sp_point_tcp(w->p), w->now, w->connected);
    exchange(w);
    assert_true(w->ended);
    assert_int_equal(w->got_len, total);
    assert_memory_equal(w->got, data, total);
    assert_true(w->joined > 50);
    free(data);
}

static void refused(void **state) {
    struct world *w = *state;
    open_one(w, 81);
    exchange(w);
    assert_true(w->closed);
    assert_int_equal(w->err, SP_ERR_DENIED);
}

/* ---- by hand ---- */

static size_t packet(uint8_t *buf, uint8_t proto, const uint8_t *data, size_t len) {
    struct sp_wr wr = sp_wr_init(buf, 2000);
    sp_wr_u32(&wr, UINT32_C(6) << 28);
    sp_wr_u16(&wr, (uint16_t)len);
    sp_wr_u8(&wr, proto);
    sp_wr_u8(&wr, 64);
    sp_wr_bytes(&wr, theirs, 16);
    sp_wr_bytes(&wr, ours, 16);
    sp_wr_bytes(&wr, data, len);
    return sp_wr_len(&wr);
}

static size_t icmp(uint8_t *buf, uint8_t type, uint8_t code, uint32_t word, const uint8_t *data, size_t len) {
    uint8_t msg[1500] = {type, code};
    sp_put_u32(msg + 4, word);
    memcpy(msg + 8, data, len);
    sp_put_u16(msg + 2, (uint16_t)~sp_csum_fold(sp_csum_add(sp_csum_pseudo(theirs, ours, 16, 58, len + 8), msg, len + 8)));
    return packet(buf, 58, msg, len + 8);
}

static void give(struct world *w, const uint8_t *buf, size_t len) {
    static const struct sp_offload none;
    sp_point_input(w->p, w->now, buf, len, &none);
    events(w, w->p);
}

/* The one answer, an ICMPv6 message with a good checksum; its length; 0: none. */
static size_t answer(struct world *w, uint8_t *buf) {
    struct sp_point_packet k;
    if (!sp_point_output(w->p, w->now, &k))
        return 0;
    size_t len = flatten(&k, buf);
    assert_int_equal(buf[6], 58);
    assert_memory_equal(buf + 8, ours, 16);
    assert_memory_equal(buf + 24, theirs, 16);
    assert_int_equal(sp_csum_fold(sp_csum_add(sp_csum_pseudo(ours, theirs, 16, 58, len - 40), buf + 40, len - 40)), 0xffff);
    return len;
}

static void rfc4443_echo(void **state) {
    struct world *w = *state;
    uint8_t in[1400], out[1400], body[1232];
    for (size_t i = 0; i < sizeof body; i++)
        body[i] = (uint8_t)i;
    for (size_t n = 0; n <= sizeof body; n += 77) {
        size_t len = icmp(in, 128, 0, 0x12345678, body, n);
        give(w, in, len);
        assert_int_equal(answer(w, out), len);
        assert_int_equal(out[40], 129);
        assert_memory_equal(out + 44, in + 44, len - 44);
    }
    in[50] ^= 1;
    give(w, in, sp_get_u16(in + 4) + 40u);
    assert_int_equal(answer(w, out), 0); /* checksum */
    for (unsigned i = 0; i < 100; i++)   /* more than there is room for */
        give(w, in, icmp(in, 128, 0, i, body, 10));
    unsigned answers = 0;
    while (answer(w, out) > 0)
        assert_int_equal(sp_get_u32(out + 44), answers++);
    assert_int_equal(answers, 16);
    assert_int_equal(sp_point_counts(w->p)->dropped_rate, 84);
}

static void other_protocols_are_said_not_to_be_spoken(void **state) {
    struct world *w = *state;
    uint8_t in[1400], out[1400], body[8] = {1};
    size_t len = packet(in, 17, body, sizeof body);
    give(w, in, len);
    assert_int_equal(answer(w, out), 48 + len);
    assert_true(out[40] == 1 && out[41] == 4); /* port unreachable */
    assert_memory_equal(out + 48, in, len);
    len = packet(in, 132, body, sizeof body);
    give(w, in, len);
    assert_int_equal(answer(w, out), 48 + len);
    assert_true(out[40] == 4 && out[41] == 1 && sp_get_u32(out + 44) == 6); /* the next header at 6 */
    give(w, in, packet(in, 59, body, 0));
    assert_int_equal(answer(w, out), 0);
    give(w, in, icmp(in, 1, 0, 0, body, 8)); /* about errors none */
    assert_int_equal(answer(w, out), 0);
    assert_int_equal(sp_point_counts(w->p)->dropped_protocol, 3);
    uint8_t large[1300] = {0};
    give(w, in, packet(in, 17, large, 1240));
    assert_int_equal(answer(w, out), 1280);
}

/* RFC 4443 2.4 (f) */
static void rfc4443_errors_have_a_rate(void **state) {
    struct world *w = *state;
    uint8_t in[200], out[1400], body[8] = {1};
    size_t len = packet(in, 17, body, sizeof body);
    unsigned answers = 0;
    for (unsigned i = 0; i < 1000; i++) {
        give(w, in, len);
        answers += answer(w, out) > 0;
    }
    assert_in_range(answers, 10, 30);
    w->now += 10 * SP_SEC;
    give(w, in, len);
    assert_true(answer(w, out) > 0);
}

static void what_is_not_for_us_is_dropped(void **state) {
    struct world *w = *state;
    uint8_t in[200], out[1400], body[8] = {1};
    size_t len = packet(in, 17, body, sizeof body);
    in[39] ^= 1;
    give(w, in, len);
    len = packet(in, 17, body, sizeof body);
    memcpy(in + 8, ours, 16);
    give(w, in, len);
    memset(in + 8, 0, 16);
    give(w, in, len);
    in[8] = 0xff;
    give(w, in, len);
    assert_int_equal(sp_point_counts(w->p)->dropped_other, 4);
    len = packet(in, 17, body, sizeof body);
    give(w, in, len - 1); /* shorter than it says */
    give(w, in, 39);
    in[0] = 0x45;
    give(w, in, len);
    assert_int_equal(sp_point_counts(w->p)->dropped_form, 3);
    assert_int_equal(answer(w, out), 0);
}

/* RFC 8200 4; RFC 6946: a fragment that is the whole. */
static void rfc8200_extension_headers(void **state) {
    static const struct {
        uint8_t first, head[16];
        size_t len;
        bool taken;
    } rows[] = {
        {0, {17, 0, 1, 4}, 8, true},        {60, {17, 1}, 16, true},           {43, {17, 0, 0, 0}, 8, true},
        {43, {17, 0, 0, 1}, 8, false},      {44, {17, 0, 0, 0}, 8, true},      {44, {17, 0, 0, 1}, 8, false},
        {44, {17, 0, 0, 8}, 8, false},      {60, {0, 0, 1, 4, 0, 0, 0, 0, 17}, 16, false}, /* hop by hop, not first */
        {60, {17, 9}, 16, false},           {0, {60, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4}, 16, true},
    };
    struct world *w = *state;
    uint8_t in[200], out[1400], body[24];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        memcpy(body, rows[i].head, rows[i].len);
        memset(body + rows[i].len, 7, 8);
        give(w, in, packet(in, rows[i].first, body, rows[i].len + 8));
        assert_int_equal(answer(w, out) > 0, rows[i].taken);
        w->now += SP_SEC;
    }
}

/* The SYN of a connection, as an error quotes it. */
static size_t syn(struct world *w, uint8_t *buf) {
    struct sp_point_packet k;
    open_one(w, 80);
    assert_true(sp_point_output(w->p, w->now, &k));
    return flatten(&k, buf);
}

static void hard_errors_end_a_syn(void **state) {
    struct world *w = *state;
    uint8_t quoted[200], in[400];
    size_t len = syn(w, quoted);
    give(w, in, icmp(in, 1, 3, 0, quoted, len)); /* address unreachable: it may pass */
    assert_false(w->closed);
    quoted[44] ^= 1;
    give(w, in, icmp(in, 1, 4, 0, quoted, len)); /* another number */
    assert_false(w->closed);
    quoted[44] ^= 1;
    give(w, in, icmp(in, 1, 4, 0, quoted, 40)); /* nothing of the segment */
    assert_false(w->closed);
    give(w, in, icmp(in, 1, 1, 0, quoted, len));
    assert_true(w->closed);
    assert_int_equal(w->err, SP_ERR_DENIED);
}

/* RFC 8201 4 */
static void rfc8201_what_every_link_carries_is_no_news(void **state) {
    struct world *w = *state;
    uint8_t quoted[200], in[400];
    size_t len = syn(w, quoted);
    uint64_t before = sp_point_counts(w->p)->dropped_other;
    give(w, in, icmp(in, 2, 0, 1279, quoted, len));
    assert_int_equal(sp_point_counts(w->p)->dropped_other, before + 1);
    give(w, in, icmp(in, 2, 0, 1280, quoted, len)); /* TCP judges it */
    assert_int_equal(sp_point_counts(w->p)->dropped_other, before + 1);
}

static void small_links_are_refused(void **state) {
    struct world *w = *state;
    assert_null(point(w, ours, 1279, SP_ERR_RANGE));
}

int main(void) {
#define WITH(test) cmocka_unit_test_setup_teardown(test, start, finish)
    const struct CMUnitTest tests[] = {
        WITH(bytes_pass_in_large_pieces),
        WITH(refused),
        WITH(rfc4443_echo),
        WITH(other_protocols_are_said_not_to_be_spoken),
        WITH(rfc4443_errors_have_a_rate),
        WITH(what_is_not_for_us_is_dropped),
        WITH(rfc8200_extension_headers),
        WITH(hard_errors_end_a_syn),
        WITH(rfc8201_what_every_link_carries_is_no_news),
        WITH(small_links_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
