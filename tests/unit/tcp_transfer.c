/* Whole transfers between two TCPs of ours, over every kind of bad wire: each byte is compared. */
#include "tests/unit/cm.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/crypto/crypto.h"
#include "proto/net/tcp_impl.h"
#include "tests/support/tcp_pair.h"

static const struct sp_tcp_config listener = {.ports = {80}, .port_count = 1};

/* Transfers both ways at once, to the end; returns how long it took. */
static sp_duration transfer(struct tcp_pair *n, uint64_t forth, uint64_t back, sp_duration most) {
    sp_instant began = n->now;
    n->e[0].to_write = forth;
    n->e[1].to_write = back;
    n->e[0].end_after = n->e[1].end_after = true;
    tcp_pair_connect(n);
    while (!(n->e[0].closed && n->e[1].closed) && n->now < began + most)
        if (!tcp_pair_step(n, began + most))
            break;
    for (unsigned i = 0; i < 2; i++) {
        const struct sp_tcp_counts *c = sp_tcp_counts(n->e[i].tcp);
        const struct tcp_end *e = &n->e[i];
        if (!e->closed || e->err != SP_OK || getenv("VERBOSE") != NULL)
            printf("# end %u: closed %d (%s), read %llu, written %llu, %llu segments, %llu again, %llu timeouts, %llu "
                   "tails, %llu recoveries, "
                   "%llu spurious, %llu early, %.3f s\n",
                   i, e->closed, sp_err_text(e->err), (unsigned long long)e->read, (unsigned long long)e->written,
                   (unsigned long long)c->segments_out, (unsigned long long)c->retransmitted,
                   (unsigned long long)c->timeouts, (unsigned long long)c->tail_probes,
                   (unsigned long long)c->recoveries, (unsigned long long)c->spurious, (unsigned long long)c->early,
                   (double)(n->now - began) / 1e9);
        assert_true(e->opened && e->got_end && e->closed);
        assert_int_equal(e->err, SP_OK);
        assert_int_equal(e->wrong, 0);
        assert_int_equal(sp_tcp_buffered(e->tcp), 0);
    }
    assert_int_equal(n->e[1].read, forth);
    assert_int_equal(n->e[0].read, back);
    sp_instant got = n->e[0].got_at > n->e[1].got_at ? n->e[0].got_at : n->e[1].got_at;
    return got > began ? got - began : 0;
}

static void clean(void **state) {
    (void)state;
    struct tcp_pair *n = tcp_pair_new(1, &listener, &listener);
    sp_duration took = transfer(n, 1 << 20, 1000, 60 * SP_SEC);
    assert_int_equal(sp_tcp_counts(n->e[0].tcp)->retransmitted, 0);
    assert_int_equal(sp_tcp_counts(n->e[1].tcp)->retransmitted, 0);
    assert_true(took < SP_SEC);
    tcp_pair_free(n);
}

static void nothing_at_all(void **state) {
    (void)state;
    struct tcp_pair *n = tcp_pair_new(2, &listener, &listener);
    transfer(n, 0, 0, 10 * SP_SEC);
    tcp_pair_free(n);
}

static void in_large_pieces(void **state) {
    (void)state;
    struct sp_tcp_config c = listener;
    c.segments = true;
    struct tcp_pair *n = tcp_pair_new(3, &c, &c);
    n->wire.loss = 10;
    transfer(n, 8 << 20, 8 << 20, 600 * SP_SEC);
    tcp_pair_free(n);
}

static void lossy(void **state) {
    (void)state;
    static const unsigned losses[] = {1, 10, 50, 100, 200, 300};
    for (unsigned i = 0; i < sizeof losses / sizeof losses[0]; i++)
        for (unsigned seed = 0; seed < 8; seed++) {
            struct tcp_pair *n = tcp_pair_new(100 * i + seed, &listener, &listener);
            n->wire.loss = losses[i];
            n->wire.jitter = seed % 2 ? 3 * SP_MS : 0;
            transfer(n, losses[i] < 100 ? 2 << 20 : 200000, 50000, 3600 * SP_SEC);
            tcp_pair_free(n);
        }
}

static void reordered_and_doubled(void **state) {
    (void)state;
    for (unsigned seed = 0; seed < 12; seed++) {
        struct tcp_pair *n = tcp_pair_new(seed, &listener, &listener);
        n->wire.late = 30;
        n->wire.twice = 20;
        n->wire.jitter = seed * SP_MS;
        n->wire.loss = seed % 3 * 10;
        transfer(n, 1 << 20, 300000, 600 * SP_SEC);
        tcp_pair_free(n);
    }
}

static void narrow(void **state) {
    (void)state;
    struct tcp_pair *n = tcp_pair_new(7, &listener, &listener);
    n->wire.bytes_per_s = 1250000; /* 10 Mb/s, 50 ms of queue, 20 ms */
    n->wire.queue = 50 * SP_MS;
    sp_duration took = transfer(n, 10 << 20, 0, 100 * SP_SEC);
    double share = 10.0 * 1048576 / (double)took * 1e9 / 1250000;
    printf("# narrow: %.0f%% of the wire, %llu sent again\n", share * 100,
           (unsigned long long)sp_tcp_counts(n->e[0].tcp)->retransmitted);
    assert_true(share > 0.85);
    tcp_pair_free(n);
}

static bool lose_the_thousandth(struct tcp_pair *n, unsigned from, struct sp_tcp_packet *p, uint8_t *data) {
    (void)data;
    return from == 0 && p->len > 1000 && ++*(unsigned *)n->filter_state == 1000;
}

/* RFC 9438 4: after a loss the window grows to where it was. */
static void a_long_path(void **state) {
    (void)state;
    struct sp_tcp_config c = listener;
    unsigned count = 0;
    c.send_max = c.receive_max = 8 << 20;
    c.memory = 32 << 20;
    struct tcp_pair *n = tcp_pair_new(8, &c, &c);
    n->wire.delay = 50 * SP_MS;
    n->wire.bytes_per_s = 25000000;
    n->wire.queue = 100 * SP_MS;
    n->filter = lose_the_thousandth;
    n->filter_state = &count;
    n->e[0].to_write = 120 << 20;
    tcp_pair_connect(n);
    uint32_t before = 0, after = 0, at_last = 0;
    while (n->e[1].read < n->e[0].to_write && tcp_pair_step(n, SP_NEVER)) {
        const struct tcp_cubic *k = &n->e[0].conn->cubic;
        if (after == 0 && k->window >= before)
            before = k->window;
        else if (after == 0)
            after = k->window;
        at_last = k->window;
    }
    assert_int_equal(n->e[1].wrong, 0);
    assert_in_range(after, before * 6 / 10, before * 8 / 10);
    assert_true(at_last > after + after / 4);
    tcp_pair_free(n);
}

/* RFC 9293 3.8.6: a megabyte must be under way, out of the memory that is there by default. */
static void a_long_path_needs_no_settings(void **state) {
    (void)state;
    struct tcp_pair *n = tcp_pair_new(12, &listener, &listener);
    n->wire.delay = 50 * SP_MS;
    n->wire.bytes_per_s = 10000000;
    n->wire.queue = 50 * SP_MS;
    sp_duration took = transfer(n, 100 << 20, 0, 100 * SP_SEC);
    double share = 100.0 * 1048576 / (double)took * 1e9 / 10000000;
    printf("# long: %.0f%% of the wire, %llu sent again\n", share * 100,
           (unsigned long long)sp_tcp_counts(n->e[0].tcp)->retransmitted);
    assert_true(share > 0.8);
    tcp_pair_free(n);
}

static void who_does_not_read_keeps_a_small_window(void **state) {
    (void)state;
    struct tcp_pair *n = tcp_pair_new(13, &listener, &listener);
    n->e[1].holds = true;
    n->e[0].to_write = 8 << 20;
    tcp_pair_connect(n);
    for (unsigned i = 0; i < 1000; i++) { /* 64 KB/s of it */
        sp_instant until = n->now + 100 * SP_MS;
        while (tcp_pair_step(n, until))
            ;
        size_t take = n->e[1].held < 6400 ? n->e[1].held : 6400;
        n->e[1].held -= take;
        sp_tcp_consumed(n->e[1].tcp, n->now, n->e[1].conn, take);
        tcp_pair_turn(n, 1);
        assert_true(n->e[1].held <= TCP_RECEIVE_FIRST);
    }
    assert_true(n->e[1].read >= 6000000);
    assert_int_equal(n->e[1].wrong, 0);
    assert_in_range(sp_tcp_queued(n->e[0].conn), TCP_SEND_FIRST / 2, TCP_SEND_FIRST); /* nor is more than this kept for it */
    tcp_pair_free(n);
}

/* The handshake knows of a wire alone; the bytes wait for programs as well, ten times as long. */
static void a_short_way_between_slow_programs(void **state) {
    (void)state;
    struct tcp_pair *n = tcp_pair_new(15, &listener, &listener);
    n->wire.delay = 20 * SP_US;
    tcp_pair_connect(n);
    while (!n->e[1].opened && tcp_pair_step(n, n->now + SP_SEC))
        ;
    n->wire.delay = 200 * SP_US;
    n->e[0].to_write = 64 << 20;
    tcp_pair_turn(n, 0);
    while (n->e[1].read < n->e[0].to_write && tcp_pair_step(n, n->now + SP_SEC))
        ;
    assert_int_equal(n->e[1].read, n->e[0].to_write);
    assert_true(n->e[1].conn->rcv_most >= 8 * TCP_RECEIVE_FIRST);
    tcp_pair_free(n);
}

static void tiny_windows(void **state) {
    (void)state;
    for (unsigned seed = 0; seed < 6; seed++) {
        struct sp_tcp_config small = listener;
        small.receive_max = 600 + 700 * seed;
        small.send_max = 3000;
        struct tcp_pair *n = tcp_pair_new(seed, &small, &small);
        n->wire.loss = seed * 10;
        n->e[0].chunk = 1 + 377 * seed;
        transfer(n, 60000, 60000, 3600 * SP_SEC);
        tcp_pair_free(n);
    }
}

static void a_path_that_carries_small_packets_only(void **state) {
    (void)state;
    struct tcp_pair *n = tcp_pair_new(9, &listener, &listener);
    n->wire.mtu = 1220;
    n->wire.silent = true;
    transfer(n, 300000, 300000, 120 * SP_SEC);
    assert_int_equal(sp_tcp_counts(n->e[0].tcp)->black_holes, 1);
    tcp_pair_free(n);
}

/* RFC 4821 7.3: what vanishes and what arrives close in on what the path carries. */
static void the_size_that_a_path_carries_is_found(void **state) {
    (void)state;
    for (unsigned seed = 0; seed < 4; seed++) {
        struct sp_tcp_config c = listener;
        c.segments = seed % 2;
        struct tcp_pair *n = tcp_pair_new(20 + seed, &c, &c);
        n->wire.mtu = (uint16_t)(1190 + 90 * seed);
        n->wire.silent = true;
        n->wire.bytes_per_s = 100000;
        n->wire.queue = 200 * SP_MS;
        n->e[0].to_write = 8 << 20;
        tcp_pair_connect(n);
        sp_instant until = n->now + 30 * SP_SEC;
        while (tcp_pair_step(n, until))
            ;
        assert_int_equal(sp_tcp_counts(n->e[0].tcp)->black_holes, 1);
        assert_in_range(n->e[0].conn->mss + 52, n->wire.mtu - 32, n->wire.mtu);
        uint64_t timeouts = sp_tcp_counts(n->e[0].tcp)->timeouts, before = n->too_big;
        n->wire.mtu = 0; /* it carries more again: found out within ten minutes */
        until = n->now + 20 * SP_SEC;
        while (tcp_pair_step(n, until))
            ;
        assert_int_equal(n->too_big, before);
        n->now += 600 * SP_SEC;
        n->e[0].to_write += 8 << 20;
        tcp_pair_turn(n, 0);
        until = n->now + 10 * SP_SEC;
        while (tcp_pair_step(n, until))
            ;
        assert_int_equal(n->e[0].conn->mss, n->e[0].conn->mss_most);
        assert_true(sp_tcp_counts(n->e[0].tcp)->timeouts <= timeouts + 2);
        assert_int_equal(n->e[1].wrong, 0);
        tcp_pair_free(n);
    }
}

static void a_path_that_says_what_it_carries(void **state) { /* RFC 8201 4: no more is tried for ten minutes */
    (void)state;
    struct tcp_pair *n = tcp_pair_new(15, &listener, &listener);
    n->wire.mtu = 1300;
    n->wire.bytes_per_s = 100000;
    n->wire.queue = 200 * SP_MS;
    n->e[0].to_write = 8 << 20;
    tcp_pair_connect(n);
    sp_instant until = n->now + 60 * SP_SEC;
    while (tcp_pair_step(n, until))
        ;
    assert_true(n->too_big > 0 && n->too_big <= 12); /* a first window */
    assert_int_equal(n->e[0].conn->mss, 1300 - 52);
    assert_int_equal(sp_tcp_counts(n->e[0].tcp)->black_holes + sp_tcp_counts(n->e[0].tcp)->timeouts, 0);
    tcp_pair_free(n);
}

static void nobody_carries_less_than_1280_bytes_of_ipv6(void **state) { /* RFC 8201 4 */
    (void)state;
    struct tcp_pair *n = tcp_pair_new(14, &listener, &listener);
    n->family = 6;
    n->wire.mtu = 1200; /* it does, and says so: nobody believes it, but that large ones vanish is seen */
    transfer(n, 300000, 0, 120 * SP_SEC);
    assert_true(sp_tcp_counts(n->e[0].tcp)->drops[SP_TCP_DROP_PMTU] > 0);
    assert_int_equal(sp_tcp_counts(n->e[0].tcp)->black_holes, 1);
    tcp_pair_free(n);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_at_all),
        cmocka_unit_test(clean),
        cmocka_unit_test(in_large_pieces),
        cmocka_unit_test(lossy),
        cmocka_unit_test(reordered_and_doubled),
        cmocka_unit_test(narrow),
        cmocka_unit_test(a_long_path),
        cmocka_unit_test(a_long_path_needs_no_settings),
        cmocka_unit_test(who_does_not_read_keeps_a_small_window),
        cmocka_unit_test(a_short_way_between_slow_programs),
        cmocka_unit_test(tiny_windows),
        cmocka_unit_test(a_path_that_carries_small_packets_only),
        cmocka_unit_test(the_size_that_a_path_carries_is_found),
        cmocka_unit_test(a_path_that_says_what_it_carries),
        cmocka_unit_test(nobody_carries_less_than_1280_bytes_of_ipv6),
    };
    assert_int_equal(sp_crypto_init(), SP_OK);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
