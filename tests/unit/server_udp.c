/* Queries over UDP through the five calls. */
#include "tests/unit/cm.h"

#include <string.h>

#include "tests/support/server_rig.h"

static struct rig r;
static uint8_t buf[2048];

static int begin(void **state) {
    rig_init(&r, 0);
    rig_start(&r);
    rig_zone(&r);
    return 0;
}

static int end(void **state) {
    rig_end(&r);
    return 0;
}

static void answers_from_the_queried_address(void **state) {
    const struct rig_out *o = rig_udp(&r, buf, rig_query(buf, sizeof buf, 77, "ns.me.example.", SP_TYPE_A, true, 0));
    assert_non_null(o);
    assert_memory_equal(&o->src, &rig_server, sizeof o->src);
    assert_memory_equal(&o->dst, &rig_client, sizeof o->dst);
    assert_int_equal(sp_get_u16(o->data), 77);
    assert_int_equal(rig_rcode(o->data, o->len), SP_RCODE_NOERROR);
    assert_int_equal(rig_answers(o->data, o->len, SP_TYPE_A), 1);
}

static void a_batch_is_answered_in_order(void **state) {
    static struct sp_in in[256];
    static uint8_t msgs[256][128];
    rig_forget(&r);
    for (unsigned i = 0; i < 256; i++)
        in[i] = (struct sp_in){
            .kind = SP_IN_DATAGRAM,
            .data = msgs[i],
            .len = rig_query(msgs[i], sizeof msgs[i], (uint16_t)i, "ns.me.example.", SP_TYPE_A, true, SP_EDNS_DO),
            .src = rig_client,
            .dst = rig_server};
    size_t taken;
    assert_int_equal(sp_server_input(r.s, r.now, r.wall, in, 256, &taken), SP_OK);
    assert_int_equal(taken, 256);
    static struct sp_out out[300];
    assert_int_equal(sp_server_output(r.s, r.now, out, 300), 256);
    for (unsigned i = 0; i < 256; i++) {
        assert_int_equal(out[i].kind, SP_OUT_DATAGRAM);
        assert_int_equal(sp_get_u16(out[i].data), i);
    }
    assert_int_equal(sp_server_output(r.s, r.now, out, 300), 0);
}

static size_t fill_and_drain(const char *name, uint16_t type) {
    static struct sp_in in[256];
    size_t len = rig_query(buf, sizeof buf, 9, name, type, true, 0), taken = 1, all = 0;
    for (unsigned i = 0; i < 256; i++)
        in[i] = (struct sp_in){.kind = SP_IN_DATAGRAM, .data = buf, .len = len, .src = rig_client, .dst = rig_server};
    while (taken > 0) {
        assert_int_equal(sp_server_input(r.s, r.now, r.wall, in, 256, &taken), SP_OK);
        all += taken;
        assert_true(all < 100000);
    }
    static struct sp_out out[64];
    size_t got = 0;
    for (size_t n; (n = sp_server_output(r.s, r.now, out, 64)) > 0; got += n)
        for (size_t i = 0; i < n; i++)
            assert_int_equal(rig_answers(out[i].data, out[i].len, type), 1);
    assert_int_equal(got, all);
    assert_int_equal(sp_server_input(r.s, r.now, r.wall, in, 256, &taken), SP_OK);
    assert_int_equal(taken, 256);
    rig_turn(&r);
    rig_forget(&r);
    return all;
}

/* A host that does not drain is told how many inputs were taken; nothing is lost once it does. Small answers run out of
 * descriptors, large ones out of bytes. */
static void a_full_outbox_takes_less(void **state) {
    char text[1100] = "large 60 TXT";
    for (unsigned i = 0; i < 4; i++) {
        strcat(text, " \"");
        memset(text + strlen(text), 'x', 240);
        strcat(text, "\"");
    }
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_IMPORT, RIG_ZONE, text, NULL), SP_OP_OK);
    rig_forget(&r);
    size_t small = fill_and_drain("ns.me.example.", SP_TYPE_A),
           large = fill_and_drain("large.me.example.", SP_TYPE_TXT);
    assert_true(large < small);
}

static void joined_datagrams_are_taken_apart(void **state) {
    uint8_t three[3 * 64];
    size_t len = rig_query(buf, sizeof buf, 1, "ns.me.example.", SP_TYPE_A, false, 0);
    for (unsigned i = 0; i < 3; i++) {
        memcpy(three + i * len, buf, len);
        sp_put_u16(three + i * len, (uint16_t)(100 + i));
    }
    rig_forget(&r);
    /* The last one is a byte short: still a message of its own, and malformed. */
    struct sp_in in = {.kind = SP_IN_DATAGRAM,
                       .data = three,
                       .len = 3 * len - 1,
                       .segment = (uint16_t)len,
                       .src = rig_client,
                       .dst = rig_server};
    rig_in(&r, &in, 1);
    assert_int_equal(rig_sent_count(&r, SP_OUT_DATAGRAM, 0), 3);
    for (unsigned i = 0; i < 3; i++) {
        const struct rig_out *o = rig_sent(&r, SP_OUT_DATAGRAM, 0, i);
        assert_int_equal(sp_get_u16(o->data), 100 + i);
        assert_int_equal(rig_rcode(o->data, o->len), i < 2 ? SP_RCODE_NOERROR : SP_RCODE_FORMERR);
    }
}

static void responses_and_scraps_are_dropped(void **state) {
    size_t len = rig_query(buf, sizeof buf, 1, "ns.me.example.", SP_TYPE_A, false, 0);
    buf[2] |= 0x80;
    assert_null(rig_udp(&r, buf, len));
    assert_null(rig_udp(&r, buf, 11));
    assert_null(rig_udp(&r, buf, 0));
    buf[2] &= 0x7f;
    rig_forget(&r);
    struct sp_in in = {.kind = SP_IN_DATAGRAM, .data = buf, .len = len, .src = rig_client, .dst = rig_server};
    in.src.port = 0;
    rig_in(&r, &in, 1);
    assert_int_equal(r.count, 0);
}

static void notify_is_not_implemented(void **state) {
    size_t len = rig_query(buf, sizeof buf, 5, "me.example.", SP_TYPE_SOA, true, 0);
    buf[2] = SP_OPCODE_NOTIFY << 3;
    const struct rig_out *o = rig_udp(&r, buf, len);
    assert_non_null(o);
    assert_int_equal(rig_rcode(o->data, o->len), SP_RCODE_NOTIMP);
    assert_int_equal(SP_OPCODE_OF(sp_get_u16(o->data + 2)), SP_OPCODE_NOTIFY);
}

static void tsig_queries_are_answered_and_signed(void **state) {
    struct sp_tsig_key key;
    struct sp_tsig_state sent = {0}, got = {0};
    struct sp_msg msg;
    rig_tsig(&key);
    struct sp_wr wr = sp_wr_init(buf, sizeof buf);
    wr.pos += rig_query(buf, sizeof buf, 6, "ns.me.example.", SP_TYPE_A, true, 0);
    assert_int_equal(sp_tsig_sign(&wr, &key, r.wall, NULL, false, &sent), SP_OK);
    const struct rig_out *o = rig_udp(&r, buf, sp_wr_len(&wr));
    assert_non_null(o);
    assert_int_equal(sp_msg_parse(&msg, o->data, o->len), SP_OK);
    assert_int_equal(msg.auth, SP_AUTH_TSIG);
    assert_int_equal(sp_tsig_verify(&msg, &key, r.wall, &sent, &got), SP_OK);
    assert_int_equal(rig_answers(o->data, o->len, SP_TYPE_A), 1);
    /* An altered byte of the question: BADSIG, and no answer. */
    buf[13] ^= 0x20;
    o = rig_udp(&r, buf, sp_wr_len(&wr));
    assert_int_equal(rig_rcode(o->data, o->len), SP_RCODE_NOTAUTH);
    assert_int_equal(rig_answers(o->data, o->len, SP_TYPE_A), 0);
}

static void before_replay_nothing_is_true(void **state) {
    static struct rig early;
    char text[256];
    rig_init(&early, 256);
    early.hold_flush = true; /* formatting does not end */
    rig_start(&early);
    assert_false(sp_server_ready(early.s));
    size_t len = rig_query(buf, sizeof buf, 8, "me.example.", SP_TYPE_SOA, true, 0);
    const struct rig_out *o = rig_udp(&early, buf, len);
    assert_int_equal(rig_rcode(o->data, o->len), SP_RCODE_SERVFAIL);
    assert_int_equal(rig_ede(o->data, o->len, text), SP_EDE_NOT_READY);
    assert_int_equal(rig_ctl(&early, SP_OP_ZONE_ADD, RIG_ZONE, "", NULL), SP_OP_FAILED);
    assert_int_equal(rig_ctl(&early, SP_OP_STATUS, NULL), SP_OP_OK);
    rig_disk_go_on(&early);
    assert_true(sp_server_ready(early.s));
    o = rig_udp(&early, buf, len);
    assert_int_equal(rig_rcode(o->data, o->len), SP_RCODE_REFUSED);
    rig_end(&early);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_from_the_queried_address),
        cmocka_unit_test(a_batch_is_answered_in_order),
        cmocka_unit_test(a_full_outbox_takes_less),
        cmocka_unit_test(joined_datagrams_are_taken_apart),
        cmocka_unit_test(responses_and_scraps_are_dropped),
        cmocka_unit_test(notify_is_not_implemented),
        cmocka_unit_test(tsig_queries_are_answered_and_signed),
        cmocka_unit_test(before_replay_nothing_is_true),
    };
    return cmocka_run_group_tests_name("server_udp", tests, begin, end);
}
