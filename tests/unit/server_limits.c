/* Limits are refusals that say so. */
#include "tests/unit/cm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/server_rig.h"

static struct rig r;
static uint8_t buf[1024];

static struct sp_addr peer(unsigned prefix) {
    struct sp_addr a = rig_client;
    a.ip[1] = (uint8_t)prefix;
    return a;
}

static void open_from(uint64_t id, unsigned prefix) {
    struct sp_addr a = peer(prefix);
    rig_open(&r, id, &a, 1 << 16);
    r.now += SP_MS;
}

static bool is_closed(uint64_t id) {
    return rig_sent_count(&r, SP_OUT_STREAM_CLOSE, id) > 0;
}

static void start(void) {
    rig_init(&r, 0);
    r.config.limits.streams = 8;
    r.config.limits.streams_per_prefix = 3;
    rig_start(&r);
    rig_zone(&r);
}

static void the_longest_idle_of_a_prefix_makes_room(void **state) {
    start();
    open_from(1, 1);
    open_from(2, 1);
    open_from(3, 1);
    open_from(4, 2);
    rig_message(&r, 1, buf, rig_query(buf, sizeof buf, 1, "ns.me.example.", SP_TYPE_A, false, 0));
    open_from(5, 1);
    assert_true(is_closed(2));
    assert_false(is_closed(1) || is_closed(3) || is_closed(4) || is_closed(5));
    rig_end(&r);
}

static void the_longest_idle_of_all_makes_room(void **state) {
    start();
    for (uint64_t id = 1; id <= 8; id++)
        open_from(id, (unsigned)id);
    rig_message(&r, 1, buf, rig_query(buf, sizeof buf, 1, "ns.me.example.", SP_TYPE_A, false, 0));
    open_from(9, 9);
    assert_true(is_closed(2));
    assert_int_equal(rig_sent_count(&r, SP_OUT_STREAM_CLOSE, 0), 1);
    rig_end(&r);
}

/* Streams that are owed something are not idle; with only such ones the newcomer is turned away. */
static void busy_streams_are_not_evicted(void **state) {
    start();
    for (uint64_t id = 1; id <= 8; id++) {
        struct sp_addr a = peer((unsigned)id);
        rig_open(&r, id, &a, 0);
        rig_message(&r, id, buf, rig_query(buf, sizeof buf, 1, "ns.me.example.", SP_TYPE_A, false, 0));
    }
    open_from(9, 9);
    assert_int_equal(rig_sent_count(&r, SP_OUT_STREAM_CLOSE, 0), 0);
    assert_int_equal(rig_sent_count(&r, SP_OUT_STREAM_RESET, 9), 1);
    rig_end(&r);
}

static void an_idle_stream_costs_little(void **state) {
    uint64_t before, after;
    rig_init(&r, 0);
    r.config.limits.streams_per_prefix = 4096;
    rig_start(&r);
    assert_int_equal(rig_ctl(&r, SP_OP_STATUS, NULL), SP_OP_OK);
    assert_true(rig_ctl_number(&r, "memory_used", &before));
    for (uint64_t id = 1; id <= 1000; id++)
        open_from(id, 1);
    assert_int_equal(rig_ctl(&r, SP_OP_STATUS, NULL), SP_OP_OK);
    assert_true(rig_ctl_number(&r, "memory_used", &after));
    assert_true(after - before < 1000 * 600);
    rig_end(&r);
}

static void zones_are_limited(void **state) {
    char text[256];
    rig_init(&r, 0);
    r.config.limits.zones = 2;
    rig_start(&r);
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_ADD, "a.example.", "", NULL), SP_OP_OK);
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_ADD, "b.example.", "", NULL), SP_OP_OK);
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_ADD, "c.example.", "", NULL), SP_OP_FAILED);
    assert_non_null(rig_ctl_text(&r, "error", text, sizeof text));
    assert_non_null(strstr(text, "full"));
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_REMOVE, "a.example.", NULL), SP_OP_OK);
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_ADD, "c.example.", "", NULL), SP_OP_OK);
    rig_end(&r);
}

static void names_are_limited_and_a_refused_import_changes_nothing(void **state) {
    char text[256];
    uint64_t names, after;
    rig_init(&r, 0);
    r.config.limits.names = 10;
    rig_start(&r);
    rig_zone(&r);
    assert_int_equal(rig_ctl(&r, SP_OP_STATUS, NULL), SP_OP_OK);
    assert_true(rig_ctl_number(&r, "names", &names));
    assert_int_equal(
        rig_ctl(&r, SP_OP_ZONE_IMPORT, RIG_ZONE,
                "a 60 A 192.0.2.1\nb 60 A 192.0.2.1\nc 60 A 192.0.2.1\nd 60 A 192.0.2.1\ne 60 A 192.0.2.1\n"
                "f 60 A 192.0.2.1\ng 60 A 192.0.2.1\nh 60 A 192.0.2.1\n",
                NULL),
        SP_OP_FAILED);
    assert_non_null(rig_ctl_text(&r, "error", text, sizeof text));
    assert_int_equal(rig_ctl(&r, SP_OP_STATUS, NULL), SP_OP_OK);
    assert_true(rig_ctl_number(&r, "names", &after));
    assert_int_equal(names, after);
    rig_end(&r);
}

/* However little memory there is: an error, never a crash. */
static void any_memory_limit_is_survived(void **state) {
    unsigned made = 0;
    for (size_t chunks = 1; chunks <= 6; chunks++) {
        rig_init(&r, 256);
        r.config.limits.memory = chunks * SP_CHUNK;
        sp_err err = sp_server_new(&r.s, &r.config, r.now, r.wall);
        if (err == SP_OK) {
            made++;
            rig_turn(&r);
            (void)rig_ctl(&r, SP_OP_ZONE_ADD, RIG_ZONE, "", NULL);
            for (unsigned i = 0; i < 3000; i++) {
                rig_forget(&r);
                open_from(i + 1, i);
                rig_data(&r, i + 1, "\1\0abc", 5);
            }
        } else {
            assert_int_equal(err, SP_ERR_FULL);
        }
        rig_end(&r);
    }
    assert_true(made > 0);
}

/* With 4 MiB names are added until one is refused, which says why; it answers all the same. */
static void a_full_memory_is_a_refusal(void **state) {
    struct sp_tsig_key key;
    char name[64], text[256];
    rig_init(&r, 0);
    assert_int_equal(sp_limits_for(&r.config.limits, 1 << 20), SP_ERR_FULL);
    assert_int_equal(sp_limits_for(&r.config.limits, 4 << 20), SP_OK);
    assert_in_range(r.config.limits.names, 1000, 3000);
    r.config.limits.names = 1000000; /* so that it is the memory that is full */
    r.config.limits.devices = 1000000;
    r.config.grant.chunk = 64 << 10;
    r.config.grant.page = 4096;
    rig_start(&r);
    rig_zone(&r);
    rig_tsig(&key);
    const struct rig_out *o = NULL;
    unsigned n = 0;
    for (; n < 100000; n++) {
        rig_forget(&r);
        snprintf(name, sizeof name, "n%u.me.example.", n);
        size_t len = rig_update_a(buf, sizeof buf, (uint16_t)n, "me.example.", name, "192.0.2.1");
        struct sp_wr wr = sp_wr_init(buf, sizeof buf);
        wr.pos += len;
        struct sp_tsig_state sign;
        assert_int_equal(sp_tsig_sign(&wr, &key, r.wall, NULL, false, &sign), SP_OK);
        r.now += 10 * SP_MS;
        o = rig_udp(&r, buf, sp_wr_len(&wr));
        assert_non_null(o);
        if (rig_rcode(o->data, o->len) != 0)
            break;
    }
    assert_in_range(n, 2000, 50000);
    assert_int_equal(rig_rcode(o->data, o->len), SP_RCODE_SERVFAIL);
    assert_true(rig_ede(o->data, o->len, text) >= 0);
    assert_non_null(strstr(text, "memory of the signpost is full"));
    rig_forget(&r);
    o = rig_udp(&r, buf, rig_query(buf, sizeof buf, 1, "n7.me.example.", SP_TYPE_A, true, 0x8000));
    assert_int_equal(rig_rcode(o->data, o->len), 0);
    assert_int_equal(rig_answers(o->data, o->len, SP_TYPE_RRSIG), 1);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(rig_ctl(&r, SP_OP_STATUS, NULL), SP_OP_OK);
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_REMOVE, "me.example.", NULL), SP_OP_OK); /* and mends it */
    rig_end(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_idle_of_a_prefix_makes_room),
        cmocka_unit_test(the_longest_idle_of_all_makes_room),
        cmocka_unit_test(busy_streams_are_not_evicted),
        cmocka_unit_test(an_idle_stream_costs_little),
        cmocka_unit_test(zones_are_limited),
        cmocka_unit_test(names_are_limited_and_a_refused_import_changes_nothing),
        cmocka_unit_test(any_memory_limit_is_survived),
        cmocka_unit_test(a_full_memory_is_a_refusal),
    };
    return cmocka_run_group_tests_name("server_limits", tests, NULL, NULL);
}
