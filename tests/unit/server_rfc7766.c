/* DNS over TCP. RFC 7766; RFC 5936 and updates aside. */
#include "tests/unit/cm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/server_rig.h"

static struct rig r;
static uint8_t buf[4096];

static int begin(void **state) {
    rig_init(&r, 256);
    rig_start(&r);
    rig_zone(&r);
    return 0;
}

static int end(void **state) {
    rig_end(&r);
    return 0;
}

static size_t framed(uint16_t id) {
    size_t len = rig_query(buf + 2, sizeof buf - 2, id, "ns.me.example.", SP_TYPE_A, true, 0);
    sp_put_u16(buf, (uint16_t)len);
    return len + 2;
}

static uint16_t message_id(uint64_t stream, size_t i) {
    size_t len;
    uint8_t *m = rig_stream_message(&r, stream, i, &len);
    uint16_t id = m != NULL && len >= 12 ? sp_get_u16(m) : 0;
    free(m);
    return id;
}

/* RFC 7766 8: "the DNS header's length may come apart from the rest". */
static void every_split_of_a_message(void **state) {
    rig_forget(&r);
    rig_open(&r, 1, &rig_client, 1 << 20);
    size_t len = framed(1);
    for (size_t cut = 0; cut <= len; cut++) {
        rig_data(&r, 1, buf, cut);
        rig_data(&r, 1, buf + cut, len - cut);
    }
    for (size_t i = 0; i < len; i++)
        rig_data(&r, 1, buf + i, 1);
    size_t n;
    for (size_t i = 0; i <= len + 1; i++) {
        uint8_t *m = rig_stream_message(&r, 1, i, &n);
        assert_non_null(m);
        assert_int_equal(rig_answers(m, n, SP_TYPE_A), 1);
        free(m);
    }
    assert_null(rig_stream_message(&r, 1, len + 2, &n));
    rig_close(&r, 1);
}

/* RFC 7766 6.2.1.1: pipelining. */
static void many_queries_in_one_piece(void **state) {
    static uint8_t all[20 * 64];
    size_t at = 0;
    rig_forget(&r);
    rig_open(&r, 2, &rig_client, 1 << 20);
    for (uint16_t i = 0; i < 20; i++) {
        size_t len = framed((uint16_t)(500 + i));
        memcpy(all + at, buf, len);
        at += len;
    }
    rig_data(&r, 2, all, at);
    for (uint16_t i = 0; i < 20; i++)
        assert_int_equal(message_id(2, i), 500 + i);
    rig_close(&r, 2);
}

/* RFC 7766 7: an update that waits for the disk does not hold up the queries behind it. */
static void answers_come_out_of_order(void **state) {
    struct sp_tsig_key key;
    struct sp_tsig_state tsig = {0};
    rig_tsig(&key);
    rig_forget(&r);
    rig_open(&r, 3, &rig_client, 1 << 20);
    struct sp_wr wr = sp_wr_init(buf, sizeof buf);
    wr.pos += rig_update_a(buf, sizeof buf, 901, RIG_ZONE, "slow.me.example.", "203.0.113.1");
    assert_int_equal(sp_tsig_sign(&wr, &key, r.wall, NULL, false, &tsig), SP_OK);
    r.hold_flush = true;
    rig_message(&r, 3, buf, sp_wr_len(&wr));
    rig_data(&r, 3, buf, framed(902));
    assert_int_equal(message_id(3, 0), 902);
    /* However long the disk takes: a connection that is owed an answer is not idle. */
    rig_wait(&r, 300 * SP_SEC);
    assert_int_equal(rig_sent_count(&r, SP_OUT_STREAM_CLOSE, 3), 0);
    rig_disk_go_on(&r);
    assert_int_equal(message_id(3, 1), 901);
    rig_close(&r, 3);
}

/* RFC 7766 6.2.3: idle connections are closed; a message starts the time anew, part of one does not. */
static void idle_connections_are_closed(void **state) {
    rig_forget(&r);
    rig_open(&r, 4, &rig_client, 1 << 20);
    rig_data(&r, 4, buf, framed(1));
    rig_wait(&r, r.config.tcp_idle - SP_SEC);
    rig_data(&r, 4, buf, framed(2));
    rig_wait(&r, r.config.tcp_idle - SP_SEC);
    assert_int_equal(rig_sent_count(&r, SP_OUT_STREAM_CLOSE, 4), 0);
    rig_data(&r, 4, buf, 5);
    rig_wait(&r, SP_SEC);
    assert_int_equal(rig_sent_count(&r, SP_OUT_STREAM_CLOSE, 4), 1);
    size_t before = r.count;
    rig_data(&r, 4, buf, framed(3)); /* too late, and unknown now */
    assert_int_equal(r.count, before);
}

static void a_silent_connection_ends_sooner(void **state) {
    rig_forget(&r);
    rig_open(&r, 5, &rig_client, 1 << 20);
    rig_data(&r, 5, buf, 7);
    rig_wait(&r, r.config.tcp_first - SP_MS);
    assert_int_equal(rig_sent_count(&r, SP_OUT_STREAM_CLOSE, 5), 0);
    rig_wait(&r, SP_MS);
    assert_int_equal(rig_sent_count(&r, SP_OUT_STREAM_CLOSE, 5), 1);
}

static void an_empty_message_closes(void **state) {
    rig_forget(&r);
    rig_open(&r, 6, &rig_client, 1 << 20);
    size_t len = framed(7);
    buf[len] = buf[len + 1] = 0;
    rig_data(&r, 6, buf, len + 2);
    assert_int_equal(message_id(6, 0), 7);
    assert_int_equal(rig_sent_count(&r, SP_OUT_STREAM_CLOSE, 6), 1);
}

/* Never more than the credit; the rest follows. */
static void sends_by_credit(void **state) {
    size_t len, total;
    rig_forget(&r);
    rig_open(&r, 7, &rig_client, 10);
    rig_data(&r, 7, buf, framed(70));
    free(rig_stream_bytes(&r, 7, &len));
    assert_int_equal(len, 10);
    rig_credit(&r, 7, 1);
    free(rig_stream_bytes(&r, 7, &len));
    assert_int_equal(len, 11);
    rig_data(&r, 7, buf, framed(71));
    free(rig_stream_bytes(&r, 7, &len));
    assert_int_equal(len, 11);
    rig_credit(&r, 7, 1 << 20);
    assert_int_equal(message_id(7, 0), 70);
    assert_int_equal(message_id(7, 1), 71);
    free(rig_stream_bytes(&r, 7, &total));
    assert_true(total > 11);
    rig_close(&r, 7);
}

static void a_reader_that_takes_nothing_is_reset(void **state) {
    rig_forget(&r);
    rig_open(&r, 8, &rig_client, 10);
    rig_data(&r, 8, buf, framed(1));
    rig_wait(&r, r.config.tcp_stall - SP_SEC);
    rig_credit(&r, 8, 5);
    rig_wait(&r, r.config.tcp_stall - SP_SEC);
    assert_int_equal(rig_sent_count(&r, SP_OUT_STREAM_RESET, 8), 0);
    rig_wait(&r, 2 * SP_SEC);
    assert_int_equal(rig_sent_count(&r, SP_OUT_STREAM_RESET, 8), 1);
}

/* A client that asks without end and never reads is cut off, at a bounded cost. */
static void a_flood_without_reading_is_reset(void **state) {
    uint64_t used, after;
    rig_forget(&r);
    assert_int_equal(rig_ctl(&r, SP_OP_STATUS, NULL), SP_OP_OK);
    assert_true(rig_ctl_number(&r, "memory_used", &used));
    rig_open(&r, 9, &rig_client, 0);
    size_t len = framed(1);
    unsigned i = 0;
    while (rig_sent_count(&r, SP_OUT_STREAM_RESET, 9) == 0 && i++ < 20000)
        rig_data(&r, 9, buf, len);
    assert_in_range(i, 1000, 19999);
    assert_int_equal(rig_ctl(&r, SP_OP_STATUS, NULL), SP_OP_OK);
    assert_true(rig_ctl_number(&r, "memory_used", &after));
    assert_true(after <= used + 4096);
}

/* Whole over TCP what is truncated over UDP. */
static void large_answers_fit(void **state) {
    static char text[64000];
    char *p = text;
    for (unsigned i = 0; i < 200; i++)
        p += sprintf(p, "big 60 IN TXT \"%0200u\"\n", i);
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_IMPORT, RIG_ZONE, text, NULL), SP_OP_OK);
    size_t len = rig_query(buf, sizeof buf, 5, "big.me.example.", SP_TYPE_TXT, true, 0);
    const struct rig_out *o = rig_udp(&r, buf, len);
    assert_true(sp_get_u16(o->data + 2) & SP_FLAG_TC);
    rig_open(&r, 10, &rig_client, 30000);
    rig_message(&r, 10, buf, len);
    rig_credit(&r, 10, 70000);
    size_t n;
    uint8_t *m = rig_stream_message(&r, 10, 0, &n);
    assert_non_null(m);
    assert_int_equal(rig_answers(m, n, SP_TYPE_TXT), 200);
    free(m);
    rig_close(&r, 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_split_of_a_message),
        cmocka_unit_test(many_queries_in_one_piece),
        cmocka_unit_test(answers_come_out_of_order),
        cmocka_unit_test(idle_connections_are_closed),
        cmocka_unit_test(a_silent_connection_ends_sooner),
        cmocka_unit_test(an_empty_message_closes),
        cmocka_unit_test(sends_by_credit),
        cmocka_unit_test(a_reader_that_takes_nothing_is_reset),
        cmocka_unit_test(a_flood_without_reading_is_reset),
        cmocka_unit_test(large_answers_fit),
    };
    return cmocka_run_group_tests_name("server_rfc7766", tests, begin, end);
}
