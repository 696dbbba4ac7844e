/* What a connection receives, acknowledges, sends and sends again. Tags: RFC 9293, 2018, 2883, 6298, 8985, 6582, 6928,
 * 5681, 8201, 7323. */
#include "tests/unit/tcp_rig.h"

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

/* The peer fills the window of a reader that takes nothing; *edge is where it ends, at least what it was told before. Returns the next
 * number of the peer's, at most 1000 below. */
static uint32_t fill(struct rig *g, uint32_t *edge, unsigned shift) {
    uint32_t at = 1;
    for (; at + 1000 <= *edge; at += 1000) {
        GIVE(.flags = TCP_ACK, .seq = at, .ack = 1, .len = 1000);
        g->got = 0;
        if (take(g))
            *edge = u32_max(*edge, g->out.ack - THEIRS + ((uint32_t)g->out.wnd << shift));
    }
    return at;
}

/* A window of 262,144 bytes is told in units of 8. What was sent within the edge that a former acknowledgement told is taken,
 * and so is the acknowledgement of a peer whose number lies there. */
static void an_edge_that_was_rounded_down(void **state) { /* RFC 7323 2.4 */
    (void)state;
    struct rig *g = open_by_peer((struct sp_tcp_config){.receive_max = 1u << 18});
    g->conn->rcv_most = 1u << 18; /* as wide as it may grow */
    uint32_t edge = 65536, at = fill(g, &edge, 3);
    assert_true(edge > 200000 && edge > at + 5);
    send_bytes(g, 100);
    GIVE(.flags = TCP_ACK, .seq = at, .ack = 1, .len = edge - at - 5);
    pass(g, SP_SEC);
    assert_int_equal(g->out.ack, THEIRS + edge - 5);
    assert_int_equal(g->out.wnd, 0);
    GIVE(.flags = TCP_ACK, .seq = edge, .ack = 101); /* five more bytes of the peer's are under way */
    assert_int_equal(dropped(g, SP_TCP_DROP_WINDOW), 0);
    assert_int_equal(g->conn->queued, 0);
    g->got = 0;
    GIVE(.flags = TCP_ACK, .seq = edge - 5, .ack = 101, .len = 5);
    assert_int_equal(g->got, 5);
    rig_free(g);
}

/* Without scaling the window is small, whatever there is room for; that it opens is told all the same. */
static void a_window_without_scaling_opens(void **state) { /* RFC 9293 3.8.6.2.2 */
    (void)state;
    struct rig *g = rig_new((struct sp_tcp_config){.receive_max = 1u << 18});
    GIVE(.flags = TCP_SYN, .mss = MSS);
    EXPECT(TCP_SYN | TCP_ACK, 0, 1, 0);
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1);
    g->conn->rcv_most = 1u << 18; /* as wide as it may grow */
    uint32_t edge = 65536, at = fill(g, &edge, 0);
    GIVE(.flags = TCP_ACK, .seq = at, .ack = 1, .len = edge - at);
    pass(g, SP_SEC);
    (void)take(g);
    assert_int_equal(g->out.wnd, 0);
    sp_tcp_consumed(g->tcp, g->now, g->conn, 10000);
    NOTHING();
    sp_tcp_consumed(g->tcp, g->now, g->conn, 100000);
    EXPECT(TCP_ACK, 1, edge, 0);
    assert_int_equal(g->out.wnd, 65535);
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

static void a_probe_that_an_answer_overtakes(void **state) {
    (void)state;
    struct rig *g = open_by_peer(plain);
    send_bytes(g, 3 * MSS);
    for (unsigned i = 0; i < 3; i++)
        EXPECT(TCP_ACK, 1 + i * MSS, 1, MSS);
    g->now = sp_tcp_deadline(g->tcp);
    sp_tcp_expire(g->tcp, g->now);
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1, .sacks = 1, .sack = {{1 + 2 * MSS, 1 + 3 * MSS}}); /* before the probe is out */
    while (take(g))
        assert_true(g->out.seq - g->iss < 1 + 2 * MSS);
    assert_int_equal(g->conn->pipe + g->conn->lost + g->conn->sacked, 3 * MSS);
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1 + 3 * MSS);
    assert_int_equal(g->conn->pipe + g->conn->lost + g->conn->sacked, 0);
    assert_true(sp_ring_alone(&g->conn->times));
    rig_free(g);
}

static void what_is_sacked_side_by_side_is_one_record(void **state) {
    (void)state;
    struct rig *g = open_by_peer(plain);
    send_bytes(g, 10 * MSS);
    for (unsigned i = 0; i < 10; i++)
        EXPECT(TCP_ACK, 1 + i * MSS, 1, MSS);
    static const unsigned order[] = {5, 3, 8, 4, 7, 6, 9, 2}; /* before, behind, between */
    for (unsigned i = 0; i < 8; i++) {
        uint32_t at = 1 + order[i] * MSS;
        GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1, .sacks = 1, .sack = {{at, at + MSS}});
        while (take(g))
            ;
    }
    unsigned records = 0;
    for (const struct tcp_sent *r = g->conn->sent; r != NULL; r = r->next)
        records++;
    assert_int_equal(records, 3);
    assert_int_equal(g->conn->sacked, 8 * MSS);
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1 + 4 * MSS); /* it ends within */
    assert_int_equal(g->conn->sacked, 6 * MSS);
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1 + 10 * MSS);
    assert_int_equal(sp_tcp_buffered(g->tcp), 0);
    rig_free(g);
}

static void crumbs(void **state) {
    (void)state;
    struct rig *g = open_by_peer(plain);
    send_bytes(g, 10 * MSS);
    while (take(g))
        ;
    for (uint32_t at = 3; at < 10 * MSS; at += 7) /* a byte here, a byte there */
        GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1, .sacks = 1, .sack = {{at, at + 1}});
    unsigned records = 0;
    for (const struct tcp_sent *r = g->conn->sent; r != NULL; r = r->next)
        records++;
    assert_int_equal(records, g->conn->records);
    assert_true(records <= 2 * 10 + 64 + 1);
    assert_true(dropped(g, SP_TCP_DROP_SACK) > 1000);
    while (take(g))
        ;
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1 + 10 * MSS);
    assert_int_equal(g->conn->records, 0);
    assert_int_equal(sp_tcp_buffered(g->tcp), 0);
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

/* While a late segment is waited for, others go. When it is known to be lost, more is under way than the window has room for since:
 * it goes again all the same. When that is lost, too, and all that followed, a probe finds it before the RTO does. */
static void the_first_retransmission_goes_at_once(void **state) { /* RFC 5681 3.2; RFC 8985 7 */
    (void)state;
    struct rig *g = open_by_peer(plain);
    send_bytes(g, 14 * MSS);
    for (unsigned i = 0; i < 10; i++)
        EXPECT(TCP_ACK, 1 + i * MSS, 1, MSS);
    g->now += 20 * SP_MS;
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1, .sacks = 1, .sack = {{1 + MSS, 1 + 3 * MSS}});
    EXPECT(TCP_ACK, 1 + 10 * MSS, 1, MSS);
    EXPECT(TCP_ACK, 1 + 11 * MSS, 1, MSS);
    NOTHING();
    pass(g, 10 * SP_MS);
    EXPECT(TCP_ACK, 1, 1, MSS);
    assert_true(g->conn->pipe > g->conn->cubic.window);
    NOTHING();
    sp_instant sent = g->now;
    pass(g, SP_SEC);
    EXPECT(TCP_ACK, 1, 1, MSS);
    assert_in_range(g->now - sent, 40 * SP_MS, 50 * SP_MS); /* two round trips */
    NOTHING();
    assert_int_equal(sp_tcp_counts(g->tcp)->timeouts, 0);
    uint32_t window = g->conn->cubic.window;
    g->now += 20 * SP_MS;
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1 + 3 * MSS); /* it has arrived: what was sent before it and did not is lost */
    EXPECT(TCP_ACK, 1 + 3 * MSS, 1, MSS);
    assert_int_equal(g->conn->cubic.window, window);
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

/* Another connection of the same peer's; the one before stays. */
static struct sp_tcp_conn *one_more(struct rig *g) {
    unsigned before = g->opened;
    while (take(g))
        ;
    g->port++;
    GIVE(.flags = TCP_SYN, .mss = MSS, .sack_ok = true);
    EXPECT(TCP_SYN | TCP_ACK, 0, 1, 0);
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1);
    assert_int_equal(g->opened, before + 1);
    return g->conn;
}

static void what_is_promised_is_kept(void **state) {
    (void)state;
    struct rig *g = open_by_peer((struct sp_tcp_config){.memory = 256 << 10, .send_max = 200000});
    static const uint8_t buf[200000];
    struct sp_tcp_conn *a = g->conn, *b = one_more(g);
    size_t promised = sp_tcp_promise(g->tcp, g->now, a, 100000);
    assert_in_range(promised, 16000, 16384); /* a sixteenth */
    assert_int_equal(sp_tcp_promise(g->tcp, g->now, a, promised), 0);
    while (sp_tcp_write(g->tcp, g->now, b, buf, sizeof buf) > 0) /* others take all there is, */
        ;
    while (sp_tcp_buffered(g->tcp) + TCP_BLOCK_SMALL <= 256 << 10)
        (void)sp_tcp_promise(g->tcp, g->now, one_more(g), 1);
    struct sp_tcp_conn *poor = one_more(g);
    assert_int_equal(sp_tcp_promise(g->tcp, g->now, poor, 1000), 0); /* nothing is left, and nothing is promised, */
    for (size_t left = promised, n; left > 0; left -= n) { /* and still every byte finds its place, in pieces of any size */
        n = left < 1 + promised % (left + 7) ? left : 1 + promised % (left + 7);
        assert_int_equal(sp_tcp_write(g->tcp, g->now, a, buf, n), n);
    }
    assert_int_equal(a->promised, 0);
    g->rooms = 0;
    sp_tcp_reset(g->tcp, g->now, b); /* memory is free again: who waited is told */
    events(g);
    assert_true(g->rooms > 0);
    assert_int_equal(sp_tcp_promise(g->tcp, g->now, poor, 1000), 1000);
    rig_free(g);
}

static void memory_is_shared(void **state) {
    (void)state;
    struct rig *g = open_by_peer((struct sp_tcp_config){.memory = 800 << 10, .send_max = 800 << 10});
    static const uint8_t buf[400 << 10];
    struct sp_tcp_conn *first = g->conn;
    size_t got[6] = {0};
    for (unsigned i = 0; i < 5; i++) {
        struct sp_tcp_conn *c = i == 0 ? first : one_more(g);
        for (size_t n; (n = sp_tcp_write(g->tcp, g->now, c, buf, sizeof buf)) > 0;)
            got[i] += n;
    }
    assert_int_equal(got[0], TCP_SEND_FIRST);
    for (unsigned i = 2; i < 5; i++) /* not more than is left for others, a half of the rest */
        assert_in_range(got[i], got[i - 1] / 3, got[i - 1] * 2 / 3 + 16384);
    assert_true(got[4] >= 16 << 10); /* the last one finds some, too */
    assert_true(dropped(g, SP_TCP_DROP_MEMORY) >= 5);
    rig_free(g);
}

static void a_promise_outlives_what_was_acknowledged(void **state) {
    (void)state;
    struct rig *g = open_by_peer((struct sp_tcp_config){.memory = 256 << 10});
    static const uint8_t buf[70000];
    size_t promised = sp_tcp_promise(g->tcp, g->now, g->conn, 900);
    assert_int_equal(promised, 900);
    assert_int_equal(sp_tcp_buffered(g->tcp), TCP_BLOCK_SMALL); /* an idle one holds little */
    for (uint32_t at = 1; at < 20000; at += 700) { /* the same block again and again */
        assert_int_equal(sp_tcp_write(g->tcp, g->now, g->conn, buf, 700), 700);
        EXPECT(TCP_ACK, at, 1, 700);
        GIVE(.flags = TCP_ACK, .seq = 1, .ack = at + 700);
        assert_int_equal(sp_tcp_promise(g->tcp, g->now, g->conn, 900), 700);
        assert_true(sp_tcp_buffered(g->tcp) <= 2 * TCP_BLOCK_SMALL);
    }
    (void)sp_tcp_promise(g->tcp, g->now, g->conn, 70000);
    promised = g->conn->promised;
    sp_tcp_write(g->tcp, g->now, g->conn, buf, 700);
    EXPECT(TCP_ACK, 20301, 1, 700);
    struct sp_tcp_conn *a = g->conn;
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 21001);
    struct sp_tcp_conn *b = one_more(g);
    while (sp_tcp_write(g->tcp, g->now, b, buf, sizeof buf) > 0)
        ;
    assert_int_equal(sp_tcp_write(g->tcp, g->now, a, buf, promised - 700), promised - 700);
    rig_free(g);
}

static void room_is_told_of_once_what_was_promised_is_acknowledged(void **state) {
    (void)state;
    struct rig *g = open_by_peer((struct sp_tcp_config){.send_max = 8 * MSS});
    static const uint8_t buf[8 * MSS];
    assert_int_equal(sp_tcp_promise(g->tcp, g->now, g->conn, SIZE_MAX), 8 * MSS);
    assert_int_equal(sp_tcp_write(g->tcp, g->now, g->conn, buf, 8 * MSS), 8 * MSS);
    assert_int_equal(sp_tcp_promise(g->tcp, g->now, g->conn, SIZE_MAX), 0);
    while (take(g))
        ;
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1 + 3 * MSS);
    assert_int_equal(g->rooms, 1);
    assert_int_equal(sp_tcp_promise(g->tcp, g->now, g->conn, SIZE_MAX), 3 * MSS);
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1 + 5 * MSS);
    assert_int_equal(g->rooms, 2);
    assert_int_equal(sp_tcp_promise(g->tcp, g->now, g->conn, SIZE_MAX), 2 * MSS);
    assert_int_equal(sp_tcp_write(g->tcp, g->now, g->conn, buf, 5 * MSS), 5 * MSS);
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

/* RFC 2018 3: blocks take room; a full segment has none, and what was to be said follows by itself. */
static void sacks_beside_a_payload(void **state) {
    (void)state;
    struct rig *g = open_by_peer(plain);
    send_bytes(g, 2 * MSS + 100);
    GIVE(.flags = TCP_ACK, .seq = 1001, .ack = 1, .len = 100); /* too early */
    EXPECT(TCP_ACK, 1, 1, MSS);
    assert_int_equal(g->out.sacks, 0);
    EXPECT(TCP_ACK, 1 + MSS, 1, MSS);
    EXPECT(TCP_ACK, 1 + 2 * MSS, 1, 100); /* here it finds room */
    assert_int_equal(g->out.sacks, 1);
    NOTHING();
    GIVE(.flags = TCP_ACK, .seq = 1001, .ack = 1 + 2 * MSS + 100, .len = 100);
    EXPECT(TCP_ACK, 1 + 2 * MSS + 100, 1, 0);
    send_bytes(g, MSS);
    GIVE(.flags = TCP_ACK, .seq = 2001, .ack = 1 + 2 * MSS + 100, .len = 100);
    EXPECT(TCP_ACK, 1 + 2 * MSS + 100, 1, MSS);
    assert_int_equal(g->out.sacks, 0);
    EXPECT(TCP_ACK, 1 + 3 * MSS + 100, 1, 0);
    assert_int_equal(g->out.sacks, 2);
    NOTHING();
    rig_free(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sacks_beside_a_payload),
        cmocka_unit_test(every_second_segment_is_acknowledged),
        cmocka_unit_test(holes_are_told),
        cmocka_unit_test(a_reader_that_takes_nothing),
        cmocka_unit_test(an_edge_that_was_rounded_down),
        cmocka_unit_test(a_window_without_scaling_opens),
        cmocka_unit_test(the_first_window),
        cmocka_unit_test(sacked_segments_show_the_lost_one),
        cmocka_unit_test(the_tail_is_probed),
        cmocka_unit_test(a_probe_that_an_answer_overtakes),
        cmocka_unit_test(what_is_sacked_side_by_side_is_one_record),
        cmocka_unit_test(crumbs),
        cmocka_unit_test(a_late_segment_is_waited_for),
        cmocka_unit_test(the_first_retransmission_goes_at_once),
        cmocka_unit_test(a_peer_that_threw_away_what_it_had),
        cmocka_unit_test(a_peer_without_sack),
        cmocka_unit_test(after_a_rest_the_window_is_the_first_one_again),
        cmocka_unit_test(nothing_comes_back),
        cmocka_unit_test(a_window_that_is_shut),
        cmocka_unit_test(silence),
        cmocka_unit_test(credit),
        cmocka_unit_test(what_is_promised_is_kept),
        cmocka_unit_test(memory_is_shared),
        cmocka_unit_test(a_promise_outlives_what_was_acknowledged),
        cmocka_unit_test(room_is_told_of_once_what_was_promised_is_acknowledged),
        cmocka_unit_test(packets_that_are_too_big),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
