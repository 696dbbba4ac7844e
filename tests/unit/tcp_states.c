/* How connections begin and end, and what must not disturb them. Tags: RFC 9293, 5961, 7323, 6191, 4987, 1122. */
#include "tests/unit/tcp_rig.h"

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
    assert_int_equal(sp_tcp_connect(g->tcp, g->now, &from, &to, 0, &g->conn), SP_OK);
    EXPECT(TCP_SYN, 0, 0, 0);
    g->our_port = g->out.sport;
    assert_true(g->our_port >= 32768);
    assert_true(g->out.has_ts && g->out.sack_ok && g->out.has_shift);
    return g;
}

/* What acknowledged the peer's END was lost, and we go on speaking: the END comes again, and is acknowledged again. */
static void an_end_that_comes_again(void **state) { /* RFC 9293 3.10.7.4 */
    (void)state;
    struct rig *g = open_by_peer(plain);
    GIVE(.flags = TCP_ACK | TCP_FIN, .seq = 1, .ack = 1, .len = 10);
    EXPECT(TCP_ACK, 1, 12, 0);
    for (unsigned i = 0; i < 3; i++) {
        GIVE(.flags = TCP_ACK | TCP_FIN, .seq = 11, .ack = 1);
        EXPECT(TCP_ACK, 1, 12, 0);
        GIVE(.flags = TCP_ACK | TCP_FIN, .seq = 1, .ack = 1, .len = 10);
        EXPECT(TCP_ACK, 1, 12, 0);
    }
    assert_int_equal(g->ended, 1);
    assert_int_equal(g->got, 10);
    rig_free(g);
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
    assert_int_equal(sp_tcp_connect(g->tcp, g->now, &from, &to, 0, &again), SP_ERR_EXIST);
    pass(g, 2 * TCP_MSL);
    assert_int_equal(sp_tcp_connect(g->tcp, g->now, &from, &to, 0, &again), SP_OK);
    rig_free(g);
}

static void a_number_of_the_callers_choice(void **state) {
    (void)state;
    struct rig *g = connecting();
    struct sp_addr from = {.ip = {192, 0, 2, 1}, .family = 4}, to = {.ip = {192, 0, 2, 9}, .family = 4, .port = 40001};
    struct sp_tcp_conn *chosen, *next;
    uint64_t number = SP_CONNECT_ID | 5;
    assert_true(sp_tcp_number(g->conn) < SP_CONNECT_ID);
    assert_int_equal(sp_tcp_connect(g->tcp, g->now, &from, &to, number, &chosen), SP_OK);
    assert_int_equal(sp_tcp_number(chosen), number);
    assert_ptr_equal(sp_tcp_by_number(g->tcp, number), chosen);
    assert_int_equal(sp_tcp_connect(g->tcp, g->now, &from, &to, number, &next), SP_ERR_EXIST);
    assert_int_equal(sp_tcp_connect(g->tcp, g->now, &from, &to, 0, &next), SP_OK);
    assert_int_equal(sp_tcp_number(next), sp_tcp_number(g->conn) + 1);
    sp_tcp_reset(g->tcp, g->now, chosen);
    assert_null(sp_tcp_by_number(g->tcp, number));
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
        if (i < 4) { /* 40,000 bytes for all: two large blocks, and a rest in small ones */
            uint8_t buf[15000] = {0};
            size_t took = sp_tcp_write(g->tcp, g->now, g->conn, buf, sizeof buf);
            assert_in_range(took, i < 2 ? sizeof buf : 0, i < 2 ? sizeof buf : 8000);
        }
    }
    assert_true(dropped(g, SP_TCP_DROP_MEMORY) > 0);
    assert_true(sp_tcp_buffered(g->tcp) <= 40000);
    rig_free(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_peer_opens_sends_and_ends),
        cmocka_unit_test(an_end_that_comes_again),
        cmocka_unit_test(we_open_and_end_first),
        cmocka_unit_test(a_number_of_the_callers_choice),
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
        cmocka_unit_test(what_nobody_reads),
        cmocka_unit_test(again_after_time_wait),
        cmocka_unit_test(limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
