#include "tests/unit/cm.h"

#include <string.h>

#include "proto/control/operator.h"

static void request_round_trip(void **state) {
    uint8_t buf[256];
    struct sp_wr wr = sp_wr_init(buf, sizeof buf);
    sp_op_request_begin(&wr, SP_OP_ZONE_ADD);
    sp_op_arg_text(&wr, "me.example.");
    sp_op_arg(&wr, NULL, 0);
    sp_op_arg_text(&wr, "192.0.2.1");
    assert_int_equal(wr.err, SP_OK);

    struct sp_rd rd = sp_rd_init(buf, sp_wr_len(&wr)), arg;
    unsigned verb;
    assert_int_equal(sp_op_request_read(&rd, &verb), SP_OK);
    assert_int_equal(verb, SP_OP_ZONE_ADD);
    assert_int_equal(sp_op_arg_next(&rd, &arg), SP_OK);
    assert_int_equal(sp_rd_left(&arg), 11);
    assert_memory_equal(arg.pos, "me.example.", 11);
    assert_int_equal(sp_op_arg_next(&rd, &arg), SP_OK);
    assert_int_equal(sp_rd_left(&arg), 0);
    assert_int_equal(sp_op_arg_next(&rd, &arg), SP_OK);
    assert_memory_equal(arg.pos, "192.0.2.1", 9);
    assert_int_equal(sp_op_arg_next(&rd, &arg), SP_ERR_NOENT);
}

static void request_refused(void **state) {
    unsigned verb;
    struct sp_rd rd = sp_rd_init("\x01", 1), arg;
    assert_int_equal(sp_op_request_read(&rd, &verb), SP_ERR_SHORT);
    rd = sp_rd_init("\x02\x01", 2);
    assert_int_equal(sp_op_request_read(&rd, &verb), SP_ERR_UNSUP);
    rd = sp_rd_init("\x00\x00\x00\x05"
                    "abcd",
                    8);
    assert_int_equal(sp_op_arg_next(&rd, &arg), SP_ERR_SHORT);
    rd = sp_rd_init("\x00\x00", 2);
    assert_int_equal(sp_op_arg_next(&rd, &arg), SP_ERR_SHORT);
}

static size_t sample(uint8_t *buf, size_t cap) {
    struct sp_wr wr = sp_wr_init(buf, cap);
    sp_op_reply_begin(&wr, SP_OP_OK);
    sp_op_text(&wr, "version", "0.1.0");
    sp_op_begin(&wr, SP_OP_LIST, "zones");
    sp_op_begin(&wr, SP_OP_RECORD, "");
    sp_op_text(&wr, "zone", "me.example.");
    sp_op_u64(&wr, "serial", 0x1122334455667788u);
    sp_op_bool(&wr, "signed", true);
    sp_op_end(&wr);
    sp_op_end(&wr);
    assert_int_equal(wr.err, SP_OK);
    return sp_wr_len(&wr);
}

static void reply_round_trip(void **state) {
    uint8_t buf[256];
    struct sp_rd rd = sp_rd_init(buf, sample(buf, sizeof buf));
    enum sp_op_status status;
    assert_int_equal(sp_op_reply_read(&rd, &status), SP_OK);
    assert_int_equal(status, SP_OP_OK);
    static const enum sp_op_kind kinds[] = {SP_OP_STR, SP_OP_LIST, SP_OP_RECORD, SP_OP_STR,
                                            SP_OP_U64, SP_OP_BOOL, SP_OP_END,    SP_OP_END};
    static const char *const keys[] = {"version", "zones", "", "zone", "serial", "signed", "", ""};
    struct sp_op_item it;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        assert_int_equal(sp_op_next(&rd, &it), SP_OK);
        assert_int_equal(it.kind, kinds[i]);
        assert_string_equal(it.key, keys[i]);
        if (i == 3)
            assert_memory_equal(it.data, "me.example.", it.len);
        if (i == 4)
            assert_true(it.number == 0x1122334455667788u);
        if (i == 5)
            assert_true(it.number == 1);
    }
    assert_int_equal(sp_op_next(&rd, &it), SP_ERR_NOENT);
}

static void every_cut_reply_is_refused(void **state) {
    uint8_t buf[256];
    size_t len = sample(buf, sizeof buf);
    enum sp_op_status status;
    for (size_t cut = 0; cut < len; cut++) {
        struct sp_rd rd = sp_rd_init(buf, cut);
        sp_err err = sp_op_reply_read(&rd, &status);
        /* A cut between items of the top level is a shorter, well-formed reply. */
        if (cut == 2 || cut == 2 + 2 + 7 + 4 + 5)
            assert_int_equal(err, SP_OK);
        else
            assert_true(err == SP_ERR_SHORT || err == SP_ERR_FORM);
    }
}

static void nesting_is_bounded(void **state) {
    uint8_t buf[256];
    enum sp_op_status status;
    for (unsigned depth = 7; depth <= 9; depth++) {
        struct sp_wr wr = sp_wr_init(buf, sizeof buf);
        sp_op_reply_begin(&wr, SP_OP_OK);
        for (unsigned i = 0; i < depth; i++)
            sp_op_begin(&wr, SP_OP_LIST, "l");
        for (unsigned i = 0; i < depth; i++)
            sp_op_end(&wr);
        struct sp_rd rd = sp_rd_init(buf, sp_wr_len(&wr));
        assert_int_equal(sp_op_reply_read(&rd, &status), depth <= SP_OP_DEPTH ? SP_OK : SP_ERR_FORM);
    }
    static const uint8_t stray_end[] = {1, 0, SP_OP_END};
    struct sp_rd rd = sp_rd_init(stray_end, sizeof stray_end);
    assert_int_equal(sp_op_reply_read(&rd, &status), SP_ERR_FORM);
    static const uint8_t zero_in_key[] = {1, 0, SP_OP_BOOL, 2, 'a', 0, 1};
    rd = sp_rd_init(zero_in_key, sizeof zero_in_key);
    assert_int_equal(sp_op_reply_read(&rd, &status), SP_ERR_FORM);
}

static void errors_carry_a_hint(void **state) {
    uint8_t buf[256];
    struct sp_wr wr = sp_wr_init(buf, sizeof buf);
    sp_op_reply_error(&wr, SP_OP_USAGE, "no zone given", "name one");
    struct sp_rd rd = sp_rd_init(buf, sp_wr_len(&wr));
    enum sp_op_status status;
    struct sp_op_item it;
    assert_int_equal(sp_op_reply_read(&rd, &status), SP_OK);
    assert_int_equal(status, SP_OP_USAGE);
    assert_int_equal(sp_op_next(&rd, &it), SP_OK);
    assert_string_equal(it.key, "error");
    assert_int_equal(sp_op_next(&rd, &it), SP_OK);
    assert_string_equal(it.key, "hint");
    assert_memory_equal(it.data, "name one", it.len);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_round_trip), cmocka_unit_test(request_refused),
        cmocka_unit_test(reply_round_trip),   cmocka_unit_test(every_cut_reply_is_refused),
        cmocka_unit_test(nesting_is_bounded), cmocka_unit_test(errors_carry_a_hint),
    };
    return cmocka_run_group_tests_name("operator_wire", tests, NULL, NULL);
}
