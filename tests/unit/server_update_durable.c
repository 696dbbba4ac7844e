/* An update is acknowledged when it is on the disk, and only then. */
#include "tests/unit/cm.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/server_rig.h"

static struct rig r;
static uint8_t buf[4096];

static size_t update(uint16_t id, const char *owner, const char *address) {
    struct sp_tsig_key key;
    struct sp_tsig_state tsig = {0};
    rig_tsig(&key);
    struct sp_wr wr = sp_wr_init(buf, sizeof buf);
    wr.pos += rig_update_a(buf, sizeof buf, id, RIG_ZONE, owner, address);
    assert_int_equal(sp_tsig_sign(&wr, &key, r.wall, NULL, false, &tsig), SP_OK);
    return sp_wr_len(&wr);
}

static void start(uint64_t blocks) {
    rig_init(&r, blocks);
    rig_start(&r);
    rig_zone(&r);
}

static size_t has(const char *owner) {
    uint8_t q[512];
    const struct rig_out *o = rig_udp(&r, q, rig_query(q, sizeof q, 1, owner, SP_TYPE_A, false, 0));
    assert_non_null(o);
    return rig_answers(o->data, o->len, SP_TYPE_A);
}

static void acknowledged_after_the_flush(void **state) {
    start(256);
    r.hold_flush = true;
    assert_null(rig_udp(&r, buf, update(7, "a.me.example.", "192.0.2.1")));
    assert_true(r.queued > 0);
    rig_forget(&r);
    rig_wait(&r, 3 * SP_SEC);
    assert_int_equal(r.count, 0);
    rig_disk_go_on(&r);
    const struct rig_out *o = rig_sent(&r, SP_OUT_DATAGRAM, 0, 0);
    assert_non_null(o);
    assert_int_equal(sp_get_u16(o->data), 7);
    assert_int_equal(rig_rcode(o->data, o->len), SP_RCODE_NOERROR);
    assert_memory_equal(&o->dst, &rig_client, sizeof o->dst);
    rig_power_cut(&r);
    assert_true(sp_server_ready(r.s));
    assert_int_equal(has("a.me.example."), 1);
    rig_end(&r);
}

static void not_acknowledged_not_kept(void **state) {
    start(256);
    r.hold_flush = true;
    assert_null(rig_udp(&r, buf, update(7, "a.me.example.", "192.0.2.1")));
    rig_power_cut(&r);
    assert_true(sp_server_ready(r.s));
    assert_int_equal(has("a.me.example."), 0);
    assert_int_equal(has("ns.me.example."), 1);
    rig_end(&r);
}

/* All updates of one input call share one flush. */
static void batch_of_64(struct sp_in in[64]) {
    static uint8_t msgs[64][512];
    for (unsigned i = 0; i < 64; i++) {
        char owner[64];
        snprintf(owner, sizeof owner, "b%u.me.example.", i);
        size_t len = update((uint16_t)i, owner, "192.0.2.1");
        memcpy(msgs[i], buf, len);
        in[i] =
            (struct sp_in){.kind = SP_IN_DATAGRAM, .data = msgs[i], .len = len, .src = rig_client, .dst = rig_server};
    }
}

/* What was verified goes to the disk while the rest waits for its turn. */
static void a_batch_goes_in_slices(void **state) {
    static struct sp_in in[64];
    struct sp_event ev;
    size_t taken;
    start(256);
    batch_of_64(in);
    assert_int_equal(sp_server_input(r.s, r.now, r.wall, in, 64, &taken), SP_OK);
    assert_int_equal(taken, 32);
    assert_true(sp_server_event(r.s, &ev));
    assert_int_equal(ev.kind, SP_EV_BLK);
    assert_int_equal(ev.blk.op, SP_BLK_WRITE);
    r.queue[r.queued++] = ev.blk;
    rig_disk_go_on(&r);
    assert_int_equal(rig_sent_count(&r, SP_OUT_DATAGRAM, 0), 32);
    rig_end(&r);
}

static void one_flush_for_a_batch(void **state) {
    static struct sp_in in[64];
    uint64_t before, after;
    start(256);
    assert_int_equal(rig_ctl(&r, SP_OP_METRICS, NULL), SP_OP_OK);
    assert_true(rig_ctl_number(&r, "log_flushes_total", &before));
    batch_of_64(in);
    rig_forget(&r);
    rig_in(&r, in, 64);
    assert_int_equal(rig_sent_count(&r, SP_OUT_DATAGRAM, 0), 64);
    for (unsigned i = 0; i < 64; i++)
        assert_int_equal(sp_get_u16(rig_sent(&r, SP_OUT_DATAGRAM, 0, i)->data), i);
    assert_int_equal(rig_ctl(&r, SP_OP_METRICS, NULL), SP_OP_OK);
    assert_true(rig_ctl_number(&r, "log_flushes_total", &after));
    assert_in_range(after - before, 1, 2);
    rig_end(&r);
}

/* The memory of a key's signatures grows with a burst, shrinks after it, and takes on what comes then. */
static void a_burst_and_then_few(void **state) {
    start(0);
    for (unsigned i = 0; i < 500; i++) {
        char owner[64];
        snprintf(owner, sizeof owner, "b%u.me.example.", i % 8);
        sp_duration pause = i < 300 ? 10 * SP_MS : 20 * SP_SEC;
        rig_wait(&r, pause);
        const struct rig_out *o = rig_udp(&r, buf, update((uint16_t)i, owner, i % 16 < 8 ? "192.0.2.1" : "192.0.2.2"));
        assert_non_null(o);
        assert_int_equal(rig_rcode(o->data, o->len), SP_RCODE_NOERROR);
        rig_forget(&r);
    }
    rig_end(&r);
}

/* The device fails: everything not durable is taken back, newest first; answers go on, updates are refused. */
static void failure_undoes(void **state) {
    char text[256];
    start(256);
    rig_udp(&r, buf, update(1, "x.me.example.", "192.0.2.1"));
    r.hold_flush = true;
    assert_null(rig_udp(&r, buf, update(2, "x.me.example.", "192.0.2.2")));
    assert_null(rig_udp(&r, buf, update(3, "x.me.example.", "192.0.2.3")));
    assert_null(rig_udp(&r, buf, update(4, "y.me.example.", "192.0.2.4")));
    assert_int_equal(has("x.me.example."), 3);
    rig_forget(&r);
    r.fail = true;
    rig_disk_go_on(&r);
    assert_int_equal(rig_sent_count(&r, SP_OUT_DATAGRAM, 0), 3);
    for (unsigned i = 0; i < 3; i++) {
        const struct rig_out *o = rig_sent(&r, SP_OUT_DATAGRAM, 0, i);
        assert_int_equal(sp_get_u16(o->data), 2 + i);
        assert_int_equal(rig_rcode(o->data, o->len), SP_RCODE_SERVFAIL);
        assert_int_equal(rig_ede(o->data, o->len, text), SP_EDE_OTHER);
        assert_non_null(strstr(text, "stored"));
    }
    assert_int_equal(has("x.me.example."), 1);
    assert_int_equal(has("y.me.example."), 0);
    const struct rig_out *o = rig_udp(&r, buf, update(5, "z.me.example.", "192.0.2.5"));
    assert_int_equal(rig_rcode(o->data, o->len), SP_RCODE_SERVFAIL);
    assert_int_equal(rig_ede(o->data, o->len, text), SP_EDE_OTHER);
    assert_int_equal(has("z.me.example."), 0);
    assert_int_equal(rig_ctl(&r, SP_OP_STATUS, NULL), SP_OP_OK);
    assert_string_equal(rig_ctl_text(&r, "storage", text, sizeof text), "failed");
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_ADD, "other.example.", "", NULL), SP_OP_FAILED);
    rig_end(&r);
}

static void an_operators_change_waits_too(void **state) {
    start(256);
    r.hold_flush = true;
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_ADD, "late.example.", "", NULL), -1);
    assert_int_equal(rig_ctl(&r, SP_OP_STATUS, NULL), SP_OP_OK); /* does not queue behind it */
    r.replied = false;
    rig_disk_go_on(&r);
    assert_int_equal(rig_ctl_status(&r), SP_OP_OK);
    r.hold_flush = true;
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_REMOVE, "late.example.", NULL), -1);
    r.fail = true;
    rig_disk_go_on(&r);
    assert_int_equal(rig_ctl_status(&r), SP_OP_FAILED);
    rig_end(&r);
}

static void too_many_in_flight_are_turned_away(void **state) {
    char text[256], owner[128];
    rig_init(&r, 256);
    r.config.limits.updates_in_flight = 5;
    rig_start(&r);
    rig_zone(&r);
    r.hold_flush = true;
    for (unsigned i = 0; i < 5; i++) {
        snprintf(owner, sizeof owner, "f%u.me.example.", i);
        assert_null(rig_udp(&r, buf, update((uint16_t)i, owner, "192.0.2.1")));
    }
    const struct rig_out *o = rig_udp(&r, buf, update(9, "g.me.example.", "192.0.2.1"));
    assert_non_null(o);
    assert_int_equal(rig_rcode(o->data, o->len), SP_RCODE_SERVFAIL);
    assert_int_equal(rig_ede(o->data, o->len, text), SP_EDE_OTHER);
    assert_int_equal(has("g.me.example."), 0);
    rig_forget(&r);
    rig_disk_go_on(&r);
    assert_int_equal(rig_sent_count(&r, SP_OUT_DATAGRAM, 0), 5);
    rig_end(&r);
}

/* A full disk refuses, says so, and goes on answering. */
static void a_full_disk_says_so(void **state) {
    char text[256], owner[128];
    unsigned taken = 0, refused = 0;
    start(64);
    for (unsigned i = 0; i < 6000 && refused < 3; i++) {
        snprintf(owner, sizeof owner, "a-long-enough-name-so-that-the-disk-fills-%u.me.example.", i);
        const struct rig_out *o = rig_udp(&r, buf, update((uint16_t)i, owner, "192.0.2.1"));
        assert_non_null(o);
        r.wall.ns += SP_SEC;
        if (rig_rcode(o->data, o->len) == SP_RCODE_NOERROR) {
            taken++;
            continue;
        }
        refused++;
        assert_int_equal(rig_rcode(o->data, o->len), SP_RCODE_SERVFAIL);
        assert_int_equal(rig_ede(o->data, o->len, text), SP_EDE_OTHER);
        assert_non_null(strstr(text, "disk is full"));
        assert_int_equal(has(owner), 0);
    }
    assert_true(refused == 3 && taken > 10);
    assert_int_equal(has("ns.me.example."), 1);
    assert_int_equal(rig_ctl(&r, SP_OP_STATUS, NULL), SP_OP_OK);
    assert_string_equal(rig_ctl_text(&r, "storage", text, sizeof text), "full");
    rig_power_cut(&r);
    assert_true(sp_server_ready(r.s));
    for (unsigned i = 0; i < taken; i++) {
        snprintf(owner, sizeof owner, "a-long-enough-name-so-that-the-disk-fills-%u.me.example.", i);
        assert_int_equal(has(owner), 1);
    }
    rig_end(&r);
}

/* A device far smaller than the history: snapshots make room, and everything is there after a power cut. */
static void snapshots_bound_the_log(void **state) {
    uint64_t snapshots;
    char address[32];
    start(256);
    for (unsigned i = 0; i < 3000; i++) {
        snprintf(address, sizeof address, "192.0.%u.%u", i / 256, i % 256);
        struct sp_tsig_key key;
        struct sp_tsig_state tsig = {0};
        struct sp_msgw w;
        struct sp_name zone, n;
        uint8_t ip[4] = {192, 0, (uint8_t)(i / 256), (uint8_t)i};
        assert_int_equal(sp_name_from_text(&zone, RIG_ZONE, strlen(RIG_ZONE), NULL), SP_OK);
        assert_int_equal(sp_name_from_text(&n, "same.me.example.", 16, NULL), SP_OK);
        sp_msgw_begin(&w, buf, sizeof buf, (uint16_t)i, SP_OPCODE_UPDATE << 11);
        sp_msgw_question(&w, &zone, SP_TYPE_SOA, SP_CLASS_IN);
        assert_int_equal(sp_msgw_rr(&w, 2, &n, SP_TYPE_A, SP_CLASS_ANY, 0, NULL, 0), SP_OK);
        assert_int_equal(sp_msgw_rr(&w, 2, &n, SP_TYPE_A, SP_CLASS_IN, 60, ip, 4), SP_OK);
        rig_tsig(&key);
        struct sp_wr wr = sp_wr_init(buf, sizeof buf);
        wr.pos += sp_msgw_end(&w);
        r.wall.ns += SP_SEC;
        assert_int_equal(sp_tsig_sign(&wr, &key, r.wall, NULL, false, &tsig), SP_OK);
        const struct rig_out *o = rig_udp(&r, buf, sp_wr_len(&wr));
        assert_non_null(o);
        assert_int_equal(rig_rcode(o->data, o->len), SP_RCODE_NOERROR);
    }
    assert_int_equal(rig_ctl(&r, SP_OP_METRICS, NULL), SP_OP_OK);
    assert_true(rig_ctl_number(&r, "log_snapshots_total", &snapshots));
    assert_true(snapshots > 0);
    rig_power_cut(&r);
    assert_true(sp_server_ready(r.s));
    uint8_t q[512];
    const struct rig_out *o = rig_udp(&r, q, rig_query(q, sizeof q, 1, "same.me.example.", SP_TYPE_A, false, 0));
    struct sp_msg msg;
    struct sp_rr rr;
    assert_int_equal(sp_msg_parse(&msg, o->data, o->len), SP_OK);
    struct sp_rd rd = sp_msg_section(&msg, 1);
    assert_int_equal(msg.count[1], 1);
    assert_int_equal(sp_msg_rr(&rd, &rr), SP_OK);
    static const uint8_t last[4] = {192, 0, 2999 / 256, 2999 % 256};
    assert_memory_equal(rr.rdata.pos, last, 4);
    rig_end(&r);
}

static void without_a_disk_at_once(void **state) {
    char text[64];
    start(0);
    const struct rig_out *o = rig_udp(&r, buf, update(1, "m.me.example.", "192.0.2.1"));
    assert_non_null(o);
    assert_int_equal(rig_rcode(o->data, o->len), SP_RCODE_NOERROR);
    assert_int_equal(has("m.me.example."), 1);
    assert_int_equal(rig_ctl(&r, SP_OP_STATUS, NULL), SP_OP_OK);
    assert_string_equal(rig_ctl_text(&r, "storage", text, sizeof text), "memory only");
    rig_end(&r);
}

/* SIGTERM: what was accepted is made durable and acknowledged, new updates are turned away, then the host may end. */
static void a_clean_stop_loses_nothing(void **state) {
    start(256);
    r.hold_flush = true;
    assert_null(rig_udp(&r, buf, update(1, "s.me.example.", "192.0.2.1")));
    sp_server_stop(r.s, r.now);
    rig_turn(&r);
    assert_false(r.stopped);
    const struct rig_out *o = rig_udp(&r, buf, update(2, "t.me.example.", "192.0.2.1"));
    assert_int_equal(rig_rcode(o->data, o->len), SP_RCODE_SERVFAIL);
    rig_forget(&r);
    rig_disk_go_on(&r);
    assert_int_equal(rig_sent_count(&r, SP_OUT_DATAGRAM, 0), 1);
    assert_true(r.stopped);
    rig_power_cut(&r);
    assert_int_equal(has("s.me.example."), 1);
    assert_int_equal(has("t.me.example."), 0);
    rig_end(&r);
}

static void a_foreign_disk_is_not_touched(void **state) {
    rig_init(&r, 256);
    memset(r.cache, 0x5a, 256 * SP_BLK_SIZE);
    r.config.disk_format = false;
    rig_start(&r);
    assert_non_null(r.fatal);
    assert_false(sp_server_ready(r.s));
    for (size_t i = 0; i < 256 * SP_BLK_SIZE; i++)
        if (r.cache[i] != 0x5a)
            fail();
    rig_end(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acknowledged_after_the_flush),
        cmocka_unit_test(not_acknowledged_not_kept),
        cmocka_unit_test(one_flush_for_a_batch),
        cmocka_unit_test(a_burst_and_then_few),
        cmocka_unit_test(failure_undoes),
        cmocka_unit_test(an_operators_change_waits_too),
        cmocka_unit_test(too_many_in_flight_are_turned_away),
        cmocka_unit_test(a_full_disk_says_so),
        cmocka_unit_test(snapshots_bound_the_log),
        cmocka_unit_test(without_a_disk_at_once),
        cmocka_unit_test(a_clean_stop_loses_nothing),
        cmocka_unit_test(a_foreign_disk_is_not_touched),
        cmocka_unit_test(a_batch_goes_in_slices),
    };
    return cmocka_run_group_tests_name("server_update_durable", tests, NULL, NULL);
}
