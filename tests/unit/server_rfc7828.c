/* edns-tcp-keepalive. RFC 7828. */
#include "tests/unit/cm.h"

#include <stdlib.h>
#include <string.h>

#include "tests/support/server_rig.h"

static struct rig r;
static uint8_t buf[512];

static int begin(void **state) {
    rig_init(&r, 0);
    r.config.tcp_idle = 12 * SP_SEC;
    r.config.limits.streams = 10;
    r.config.limits.streams_per_prefix = 10;
    rig_start(&r);
    rig_zone(&r);
    return 0;
}

static int end(void **state) {
    rig_end(&r);
    return 0;
}

static size_t query(bool option) {
    struct sp_msgw w;
    struct sp_optw o;
    struct sp_name n;
    assert_int_equal(sp_name_from_text(&n, "ns.me.example.", 14, NULL), SP_OK);
    sp_msgw_begin(&w, buf, sizeof buf, 1, 0);
    sp_msgw_question(&w, &n, SP_TYPE_A, SP_CLASS_IN);
    sp_msgw_opt_begin(&w, &o, 1232, 0, 0, 0);
    if (option)
        sp_msgw_opt_add(&w, SP_EDNS_KEEPALIVE, NULL, 0);
    sp_msgw_opt_end(&w, &o);
    return sp_msgw_end(&w);
}

/* The timeout of a reply in 100 ms; -1: no option. */
static int timeout_of(const uint8_t *data, size_t len) {
    struct sp_msg msg;
    struct sp_rd value;
    assert_int_equal(sp_msg_parse(&msg, data, len), SP_OK);
    if (!sp_edns_find(&msg.edns, SP_EDNS_KEEPALIVE, &value))
        return -1;
    assert_int_equal(sp_rd_left(&value), 2);
    return sp_rd_u16(&value);
}

static int ask(uint64_t id, bool option) {
    size_t len;
    rig_forget(&r);
    rig_message(&r, id, buf, query(option));
    uint8_t *m = rig_stream_message(&r, id, 0, &len);
    assert_non_null(m);
    int t = timeout_of(m, len);
    free(m);
    return t;
}

static void the_timeout_is_told_to_who_asks(void **state) {
    rig_open(&r, 1, &rig_client, 1 << 20);
    assert_int_equal(ask(1, true), 120);
    assert_int_equal(ask(1, false), -1);
    rig_wait(&r, 12 * SP_SEC - SP_MS);
    assert_int_equal(rig_sent_count(&r, SP_OUT_STREAM_CLOSE, 1), 0);
    rig_wait(&r, SP_MS);
    assert_int_equal(rig_sent_count(&r, SP_OUT_STREAM_CLOSE, 1), 1);
}

/* RFC 7828 3.3.2: a server short of connections says 0, so that clients hang up. */
static void nearly_full_says_zero(void **state) {
    for (uint64_t id = 10; id < 18; id++)
        rig_open(&r, id, &rig_client, 1 << 20);
    assert_int_equal(ask(10, true), 120);
    rig_open(&r, 18, &rig_client, 1 << 20);
    assert_int_equal(ask(10, true), 0);
    rig_close(&r, 18);
    assert_int_equal(ask(10, true), 120);
    for (uint64_t id = 10; id < 18; id++)
        rig_close(&r, id);
}

/* RFC 7828 3.3.1: never over UDP. */
static void udp_has_no_keepalive(void **state) {
    const struct rig_out *o = rig_udp(&r, buf, query(true));
    assert_non_null(o);
    assert_int_equal(timeout_of(o->data, o->len), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_timeout_is_told_to_who_asks),
        cmocka_unit_test(nearly_full_says_zero),
        cmocka_unit_test(udp_has_no_keepalive),
    };
    return cmocka_run_group_tests_name("server_rfc7828", tests, begin, end);
}
