/* Streams of the adapter: what a core sees and may do, with a whole TCP of ours as its peer. */
#include "tests/unit/cm.h"

#include <string.h>

#include "proto/base/bytes.h"
#include "tests/support/net_pair.h"

static uint8_t bytes[600000];

static struct net_pair *start(void) {
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7 + (i >> 8));
    struct net_pair *p = net_pair_new();
    return p;
}

/* A stream that the peer has opened; its id. */
static uint64_t opened(struct net_pair *p, uint8_t family) {
    net_pair_start(p, true);
    net_pair_connect(p, family, 53);
    assert_int_equal(net_pair_count(p, SP_IN_STREAM_OPEN), 1);
    return net_pair_last(p, SP_IN_STREAM_OPEN)->id;
}

static void out(struct net_pair *p, enum sp_out_kind kind, uint64_t id, size_t credit) {
    net_pair_output(p, &(struct sp_out){.kind = kind, .id = id, .credit = credit});
}

static void peer_ends(struct net_pair *p) {
    sp_tcp_end(sp_net_tcp(p->end[1].net), p->now, p->end[1].conn);
    net_pair_run(p);
}

static bool lose_all(struct net_pair *p, unsigned from, uint8_t *frame, size_t *len, const struct sp_offload *offload) {
    return false;
}

static void bytes_go_both_ways(void **state) {
    for (unsigned i = 0; i < 2; i++) {
        struct net_pair *p = start();
        uint64_t id = opened(p, i == 0 ? 4 : 6);
        const struct net_pair_in *in = net_pair_last(p, SP_IN_STREAM_OPEN);
        assert_true(id < SP_CONNECT_ID && in->credit >= SP_DIRECT_WINDOW_MIN);
        assert_int_equal(in->dst.port, 53);
        assert_memory_equal(in->dst.ip, p->end[0].config.statics[i].addr.ip, 16);
        assert_memory_equal(in->src.ip, p->end[1].config.statics[i].addr.ip, 16);
        net_pair_send(p, bytes, 5000);
        assert_int_equal(p->end[0].got_len, 5000);
        assert_memory_equal(p->end[0].got, bytes, 5000);
        net_pair_write(p, id, bytes, 4000);
        assert_int_equal(p->end[1].got_len, 4000);
        assert_memory_equal(p->end[1].got, bytes, 4000);
        out(p, SP_OUT_STREAM_CLOSE, id, 0);
        assert_int_equal(p->end[1].ended, 1);
        peer_ends(p);
        net_pair_wait(p, 2 * SP_SEC);
        assert_int_equal(p->direct.streams.counts.streams, 0);
        assert_int_equal(net_pair_count(p, SP_IN_STREAM_CLOSE), 0); /* the core has closed it */
        net_pair_free(p);
    }
}

/* All that credit says can be written, whatever the peer does; more credit comes as it takes bytes. */
static void credit_is_kept(void **state) {
    struct net_pair *p = start();
    uint64_t id = opened(p, 4);
    size_t sent = 0;
    p->end[1].keep = true;
    for (unsigned turns = 0; turns < 1000 && p->credit > 0; turns++) {
        size_t n = p->credit;
        net_pair_write(p, id, bytes + sent, n);
        sent += n;
        net_pair_wait(p, 50 * SP_MS);
    }
    assert_true(p->credit == 0 && sent > 96u << 10 && sent <= (512u << 10) + 4096); /* the peer's window, and ours */
    p->end[1].keep = false;
    sp_tcp_consumed(sp_net_tcp(p->end[1].net), p->now, p->end[1].conn, p->end[1].kept);
    net_pair_wait(p, 10 * SP_SEC);
    assert_int_equal(p->end[1].got_len, sent);
    assert_memory_equal(p->end[1].got, bytes, sent);
    assert_true(p->credit >= SP_DIRECT_WINDOW / 4);
    assert_int_equal(net_pair_count(p, SP_IN_STREAM_CLOSE), 0);
    net_pair_free(p);
}

/* Who never reads holds no more than the first window, so that there is room for others. */
static void many_who_do_not_read(void **state) {
    struct net_pair *p = start();
    p->end[0].tcp = (struct sp_tcp_config){.connections = 64, .memory = 1 << 20};
    p->end[1].tcp = (struct sp_tcp_config){.receive_max = 2000};
    uint64_t id = opened(p, 4);
    p->end[1].keep = true;
    for (unsigned i = 0; i < 60; i++) {
        size_t before = p->credit;
        net_pair_connect(p, 4, 53);
        assert_true(p->credit > before);
        id = net_pair_last(p, SP_IN_STREAM_OPEN)->id;
        net_pair_write(p, id, bytes, p->credit - before);
        assert_true(sp_tcp_buffered(sp_net_tcp(p->end[0].net)) <= 1 << 20);
    }
    p->end[1].keep = false;
    size_t before = p->end[1].got_len, credit = p->credit;
    net_pair_connect(p, 4, 53);
    id = net_pair_last(p, SP_IN_STREAM_OPEN)->id;
    net_pair_write(p, id, bytes, p->credit - credit);
    net_pair_wait(p, SP_SEC);
    assert_true(p->end[1].got_len >= before + SP_DIRECT_WINDOW_MIN);
    assert_int_equal(net_pair_count(p, SP_IN_STREAM_CLOSE), 0);
    net_pair_free(p);
}

/* Peers that read get more, as long as there is room for those who come later. */
static void windows_grow_within_bounds(void **state) {
    struct net_pair *p = start();
    p->end[0].tcp = (struct sp_tcp_config){.connections = 32, .memory = 1 << 20};
    uint64_t id = opened(p, 4);
    for (unsigned i = 0; i < 20; i++) {
        size_t had = p->credit;
        for (unsigned k = 0; k < 10; k++) {
            net_pair_write(p, id, bytes, had);
            had = p->credit;
            net_pair_wait(p, 10 * SP_MS);
            had = p->credit < sizeof bytes ? p->credit : sizeof bytes;
        }
        p->end[1].got_len = 0;
        assert_true(p->direct.streams.extra > 0 && p->direct.streams.extra <= p->direct.streams.extra_max);
        p->credit = 0;
        net_pair_connect(p, 4, 53);
        assert_true(p->credit >= SP_DIRECT_WINDOW_MIN);
        id = net_pair_last(p, SP_IN_STREAM_OPEN)->id;
    }
    net_pair_free(p);
}

static void a_peer_that_ends_gets_its_answer(void **state) {
    struct net_pair *p = start();
    uint64_t id = opened(p, 6);
    size_t first = p->credit;
    sp_tcp_write(sp_net_tcp(p->end[1].net), p->now, p->end[1].conn, bytes, 100);
    sp_tcp_end(sp_net_tcp(p->end[1].net), p->now, p->end[1].conn);
    /* Its bytes and its end come in one frame; the core answers with more than its credit lets it say at once. */
    struct sp_in in[8];
    size_t taken = 0;
    struct sp_offload offload;
    size_t len = sp_net_output(p->end[1].net, p->now, p->frame, sizeof p->frame, &offload);
    assert_true(len > 0);
    static uint8_t frame[2000];
    memcpy(frame, p->frame, len);
    struct sp_direct_frame f = {frame, len, SP_NET_CSUM_CHECK};
    assert_int_equal(sp_direct_frames(&p->direct, p->now, &f, 1, in, 8, &taken), 1);
    assert_int_equal(in[0].kind, SP_IN_STREAM_DATA);
    assert_int_equal(sp_direct_events(&p->direct, p->now, in, 8), 0);
    net_pair_write(p, id, bytes, p->credit);
    assert_true(p->credit > 0); /* not over: the core might have more */
    size_t second = p->credit;
    assert_int_equal(net_pair_count(p, SP_IN_STREAM_CLOSE), 1);
    assert_int_equal(p->end[1].got_len, first);
    assert_memory_equal(p->end[1].got, bytes, first);
    assert_int_equal(p->end[1].ended, 1);
    (void)second;
    net_pair_wait(p, SP_SEC);
    assert_int_equal(p->direct.streams.counts.streams, 0);
    net_pair_free(p);
}

/* It has used up its credit when the peer ends, and goes on as it gets more: all of it arrives before the end. */
static void a_long_answer_to_a_peer_that_has_ended(void **state) {
    struct net_pair *p = start();
    uint64_t id = opened(p, 4);
    struct sp_tcp *peer = sp_net_tcp(p->end[1].net);
    size_t sent = p->credit;
    p->end[1].keep = true;
    net_pair_send(p, bytes, 10);
    p->wire = lose_all;
    net_pair_write(p, id, bytes, sent);
    peer_ends(p);
    p->wire = NULL;
    net_pair_wait(p, 50 * SP_MS);
    assert_int_equal(net_pair_count(p, SP_IN_STREAM_CLOSE), 0);
    for (unsigned i = 0; i < 100 && sent < 200000; i++) {
        struct sp_in in[8];
        p->now += 100 * SP_MS; /* the core is told of credit, and is asked for outputs only then */
        sp_net_expire(p->end[1].net, p->now);
        sp_direct_expire(&p->direct, p->now);
        net_pair_frames(p);
        size_t n = sp_direct_events(&p->direct, p->now, in, 8), more = 0;
        for (size_t k = 0; k < n; k++) {
            assert_int_equal(in[k].kind, SP_IN_STREAM_CREDIT);
            more += in[k].credit;
        }
        struct sp_out o = {.kind = SP_OUT_STREAM_DATA, .id = id, .data = bytes + sent, .len = more};
        sp_direct_outputs(&p->direct, &o, more > 0);
        net_pair_frames(p);
        sp_direct_outputs(&p->direct, NULL, 0);
        sent += more;
        sp_tcp_consumed(peer, p->now, p->end[1].conn, p->end[1].kept);
        p->end[1].kept = 0;
    }
    assert_true(sent >= 200000);
    net_pair_wait(p, 5 * SP_SEC);
    assert_int_equal(p->end[1].got_len, sent);
    assert_memory_equal(p->end[1].got, bytes, sent);
    assert_int_equal(p->end[1].ended, 1);
    assert_int_equal(net_pair_count(p, SP_IN_STREAM_CLOSE), 1);
    net_pair_free(p);
}

static void a_core_that_reads_by_credit(void **state) {
    struct net_pair *p = start();
    uint64_t id = opened(p, 4);
    out(p, SP_OUT_STREAM_CREDIT, id, 0);
    net_pair_send(p, bytes, 10000);
    assert_int_equal(p->end[0].got_len, 0);
    out(p, SP_OUT_STREAM_CREDIT, id, 10);
    assert_int_equal(p->end[0].got_len, 10);
    out(p, SP_OUT_STREAM_CREDIT, id, 5000);
    assert_int_equal(p->end[0].got_len, 5010);
    peer_ends(p);
    assert_int_equal(net_pair_count(p, SP_IN_STREAM_END), 0);
    out(p, SP_OUT_STREAM_CREDIT, id, 4990);
    assert_int_equal(p->end[0].got_len, 10000);
    assert_memory_equal(p->end[0].got, bytes, 10000);
    assert_int_equal(net_pair_count(p, SP_IN_STREAM_END), 1);
    assert_int_equal(net_pair_count(p, SP_IN_STREAM_CLOSE), 0);
    net_pair_write(p, id, bytes, 3000); /* the other half goes on */
    assert_int_equal(p->end[1].got_len, 3000);
    out(p, SP_OUT_STREAM_END, id, 0);
    net_pair_wait(p, SP_SEC);
    assert_int_equal(p->end[1].ended, 1);
    assert_int_equal(net_pair_count(p, SP_IN_STREAM_CLOSE), 1);
    assert_int_equal(p->direct.streams.counts.streams, 0);
    net_pair_free(p);
}

static void our_half_ends_first(void **state) {
    struct net_pair *p = start();
    uint64_t id = opened(p, 4);
    out(p, SP_OUT_STREAM_CREDIT, id, 100000);
    out(p, SP_OUT_STREAM_END, id, 0);
    assert_int_equal(p->end[1].ended, 1);
    net_pair_send(p, bytes, 9000);
    assert_int_equal(p->end[0].got_len, 9000);
    peer_ends(p);
    net_pair_wait(p, SP_SEC);
    assert_int_equal(net_pair_count(p, SP_IN_STREAM_END), 1);
    assert_int_equal(net_pair_count(p, SP_IN_STREAM_CLOSE), 1);
    net_pair_free(p);
}

/* Without credit a peer is held back by its window; what was held when the connection broke is not given. */
static void held_bytes_are_bounded(void **state) {
    struct net_pair *p = start();
    uint64_t id = opened(p, 4);
    out(p, SP_OUT_STREAM_CREDIT, id, 0);
    size_t took = 0;
    for (unsigned i = 0; i < 100; i++) {
        took += sp_tcp_write(sp_net_tcp(p->end[1].net), p->now, p->end[1].conn, bytes, 10000);
        net_pair_wait(p, SP_SEC);
    }
    assert_true(took >= 256u << 10 && p->direct.streams.held <= 64u << 10);
    out(p, SP_OUT_STREAM_CREDIT, id, 5);
    assert_int_equal(p->end[0].got_len, 5);
    sp_tcp_reset(sp_net_tcp(p->end[1].net), p->now, p->end[1].conn);
    net_pair_run(p);
    assert_int_equal(net_pair_count(p, SP_IN_STREAM_CLOSE), 1);
    out(p, SP_OUT_STREAM_CREDIT, id, 1000);
    assert_int_equal(p->end[0].got_len, 5);
    assert_int_equal(p->direct.streams.held, 0);
    net_pair_free(p);
}

static void what_the_core_refuses(void **state) {
    struct net_pair *p = start();
    uint64_t id = opened(p, 4);
    p->refuse = 1;
    net_pair_send(p, bytes, 100);
    assert_int_equal(p->end[1].closed, 1);
    assert_int_equal(p->end[1].err, SP_ERR_DENIED);
    assert_int_equal(net_pair_count(p, SP_IN_STREAM_CLOSE), 1);
    assert_int_equal(net_pair_last(p, SP_IN_STREAM_CLOSE)->id, id);
    assert_int_equal(p->direct.streams.counts.refused, 1);
    size_t before = p->in_count;
    p->refuse = 1;
    net_pair_connect(p, 4, 53);
    assert_int_equal(p->end[1].closed, 2);
    assert_int_equal(p->in_count, before); /* it does not know it: there is nothing to tell */
    assert_int_equal(p->direct.streams.counts.refused, 2);
    assert_int_equal(p->direct.streams.counts.streams, 0);
    net_pair_free(p);
}

static void connect_to(struct net_pair *p, uint64_t id, const uint8_t ip[4], uint16_t port) {
    struct sp_addr to = {.family = 4, .port = port, .ip = {ip[0], ip[1], ip[2], ip[3]}};
    sp_direct_connect(&p->direct, p->now, id, &to);
    net_pair_run(p);
}

static void a_core_connects(void **state) {
    struct net_pair *p = start();
    static const uint8_t peer[4] = {192, 0, 2, 9}, none[4] = {198, 51, 100, 1};
    net_pair_start(p, true);
    uint64_t id = SP_CONNECT_ID + 5;
    connect_to(p, id, peer, 53);
    assert_int_equal(net_pair_last(p, SP_IN_STREAM_OPEN)->id, id);
    assert_int_equal(net_pair_last(p, SP_IN_STREAM_OPEN)->src.port, 53);
    net_pair_write(p, id, "hello", 5);
    assert_memory_equal(p->end[1].got, "hello", 5);
    out(p, SP_OUT_STREAM_RESET, id, 0);
    assert_int_equal(p->end[1].closed, 1);

    connect_to(p, id + 1, peer, 54); /* nobody listens */
    assert_int_equal(net_pair_last(p, SP_IN_STREAM_CLOSE)->id, id + 1);
    assert_int_equal(net_pair_last(p, SP_IN_STREAM_CLOSE)->err, SP_ERR_NOENT);
    connect_to(p, id + 2, none, 53); /* no route */
    assert_int_equal(net_pair_last(p, SP_IN_STREAM_CLOSE)->id, id + 2);
    assert_int_equal(net_pair_last(p, SP_IN_STREAM_CLOSE)->err, SP_ERR_NOENT);
    p->wire = lose_all;
    connect_to(p, id + 3, peer, 53);
    net_pair_wait(p, SP_DIRECT_CONNECT - SP_SEC);
    assert_int_equal(net_pair_count(p, SP_IN_STREAM_CLOSE), 2);
    net_pair_wait(p, SP_SEC);
    assert_int_equal(net_pair_last(p, SP_IN_STREAM_CLOSE)->id, id + 3);
    assert_int_equal(net_pair_last(p, SP_IN_STREAM_CLOSE)->err, SP_ERR_AGAIN);
    assert_int_equal(p->direct.streams.counts.failed, 3);
    connect_to(p, id + 4, peer, 53);
    out(p, SP_OUT_STREAM_CLOSE, id + 4, 0); /* changes its mind */
    net_pair_wait(p, 20 * SP_SEC);
    assert_int_equal(net_pair_count(p, SP_IN_STREAM_CLOSE), 3);
    assert_int_equal(p->direct.streams.counts.streams, 0);
    net_pair_free(p);
}

/* Late bytes of the peer do not make us reset what it has not read yet; but it has 10 seconds. */
static void closing_takes_its_time(void **state) {
    struct net_pair *p = start();
    uint64_t id = opened(p, 4);
    net_pair_write(p, id, bytes, 3000);
    out(p, SP_OUT_STREAM_CLOSE, id, 0);
    net_pair_send(p, bytes, 2000);
    assert_int_equal(p->end[0].got_len, 0);
    assert_int_equal(p->end[1].closed, 0);
    assert_int_equal(p->end[1].got_len, 3000);
    net_pair_wait(p, SP_DIRECT_DRAIN - SP_SEC);
    assert_int_equal(p->end[1].closed, 0);
    net_pair_wait(p, SP_SEC);
    assert_int_equal(p->end[1].closed, 1);
    assert_int_equal(p->direct.streams.counts.cut_off, 1);
    assert_int_equal(p->direct.streams.counts.streams, 0);
    net_pair_free(p);
}

static void those_that_close_give_way(void **state) {
    struct net_pair *p = start();
    p->end[0].tcp.connections = 16;
    (void)opened(p, 4);
    for (unsigned i = 0; i < 100; i++) {
        out(p, SP_OUT_STREAM_CLOSE, net_pair_last(p, SP_IN_STREAM_OPEN)->id, 0); /* the peer does not close its side */
        net_pair_connect(p, 4, 53);
        assert_int_equal(net_pair_count(p, SP_IN_STREAM_OPEN), i + 2);
    }
    assert_true(p->direct.streams.counts.cut_off > 80 && p->direct.streams.counts.streams <= 16);
    net_pair_free(p);
}

/* ---- what the wire does ---- */

static bool is_data(const uint8_t *frame, size_t len) {
    return len > 14 + 40 && frame[12] == 8 && frame[13] == 0 && frame[14 + 9] == 6 &&
           len > 14 + 20 + (size_t)(frame[14 + 20 + 12] >> 4) * 4;
}

struct victim {
    unsigned seen, since;
    uint32_t seq;
    bool chosen;
};

/* Loses a segment of the peer's now and then, and again until a dozen later ones have come. */
static bool lose_some(struct net_pair *p, unsigned from, uint8_t *frame, size_t *len,
                      const struct sp_offload *offload) {
    struct victim *v = p->ctx;
    if (from == 0 || !is_data(frame, *len))
        return true;
    uint32_t seq = sp_get_u32(frame + 14 + 20 + 4);
    if (!v->chosen && ++v->seen % 30 == 17)
        *v = (struct victim){v->seen, 0, seq, true};
    if (!v->chosen || seq != v->seq)
        return ++v->since;
    v->chosen = v->since < 12;
    return !v->chosen;
}

/* What came too early lies in TCP's memory: it is handed on one by one. */
static void bytes_that_come_too_early(void **state) {
    for (unsigned by_credit = 0; by_credit < 2; by_credit++) {
        struct net_pair *p = start();
        struct victim v = {0};
        p->in_max = by_credit ? 2 : 8;
        uint64_t id = opened(p, 4);
        if (by_credit)
            out(p, SP_OUT_STREAM_CREDIT, id, SIZE_MAX);
        p->busy = by_credit ? 0 : id;
        p->wire = lose_some;
        p->ctx = &v;
        for (size_t sent = 0; sent < 300000; net_pair_wait(p, 100 * SP_MS))
            sent += sp_tcp_write(sp_net_tcp(p->end[1].net), p->now, p->end[1].conn, bytes + sent, 300000 - sent);
        net_pair_wait(p, 20 * SP_SEC);
        assert_int_equal(p->end[0].got_len, 300000);
        assert_memory_equal(p->end[0].got, bytes, 300000);
        assert_true(sp_tcp_counts(sp_net_tcp(p->end[0].net))->early > 40);
        net_pair_free(p);
    }
}

/* A frame is not taken before all that it gave has been. */
static void one_input_at_a_time(void **state) {
    struct net_pair *p = start();
    p->in_max = 1;
    uint64_t id = opened(p, 4);
    net_pair_send(p, bytes, 50000);
    assert_int_equal(p->end[0].got_len, 50000);
    assert_memory_equal(p->end[0].got, bytes, 50000);
    net_pair_write(p, id, bytes, p->credit);
    peer_ends(p);
    assert_int_equal(net_pair_count(p, SP_IN_STREAM_CLOSE), 1);
    net_pair_free(p);
}

static void without_tcp_nothing_is_there(void **state) {
    struct net_pair *p = start();
    p->end[0].config.tcp = NULL;
    net_pair_start(p, true);
    net_pair_connect(p, 4, 53);
    assert_int_equal(p->end[1].closed, 1); /* protocol unreachable */
    out(p, SP_OUT_STREAM_DATA, 1, 0);
    assert_int_equal(p->in_count, 0);
    net_pair_free(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_go_both_ways),
        cmocka_unit_test(credit_is_kept),
        cmocka_unit_test(many_who_do_not_read),
        cmocka_unit_test(windows_grow_within_bounds),
        cmocka_unit_test(a_peer_that_ends_gets_its_answer),
        cmocka_unit_test(a_long_answer_to_a_peer_that_has_ended),
        cmocka_unit_test(a_core_that_reads_by_credit),
        cmocka_unit_test(our_half_ends_first),
        cmocka_unit_test(held_bytes_are_bounded),
        cmocka_unit_test(what_the_core_refuses),
        cmocka_unit_test(a_core_connects),
        cmocka_unit_test(closing_takes_its_time),
        cmocka_unit_test(those_that_close_give_way),
        cmocka_unit_test(bytes_that_come_too_early),
        cmocka_unit_test(one_input_at_a_time),
        cmocka_unit_test(without_tcp_nothing_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
