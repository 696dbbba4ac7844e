#include "tests/unit/cm.h"

#include "proto/base/bytes.h"

static void integers_go_round(void **state) {
    uint8_t buf[64];
    struct sp_wr w = sp_wr_init(buf, sizeof buf);
    sp_wr_u8(&w, 0xfe);
    sp_wr_u16(&w, 0x1234);
    sp_wr_u32(&w, 0x89abcdef);
    sp_wr_u48(&w, UINT64_C(0x7856341290ab));
    sp_wr_u64(&w, UINT64_C(0xf123456789abcdef));
    sp_wr_bytes(&w, "xyz", 3);
    assert_int_equal(w.err, SP_OK);
    assert_int_equal(sp_wr_len(&w), 1 + 2 + 4 + 6 + 8 + 3);
    assert_memory_equal(buf, "\xfe\x12\x34\x89\xab\xcd\xef\x78\x56\x34\x12\x90\xab", 13);
    struct sp_rd r = sp_rd_init(buf, sp_wr_len(&w));
    assert_int_equal(sp_rd_u8(&r), 0xfe);
    assert_int_equal(sp_rd_u16(&r), 0x1234);
    assert_int_equal(sp_rd_u32(&r), 0x89abcdef);
    assert_int_equal(sp_rd_u48(&r), UINT64_C(0x7856341290ab));
    assert_int_equal(sp_rd_u64(&r), UINT64_C(0xf123456789abcdef));
    uint8_t xyz[3];
    sp_rd_copy(&r, xyz, 3);
    assert_memory_equal(xyz, "xyz", 3);
    assert_int_equal(sp_rd_finish(&r), SP_OK);
}

static void a_short_read_is_zero_and_sticks(void **state) {
    struct sp_rd r = sp_rd_init("\x01\x02\x03", 3);
    assert_int_equal(sp_rd_u16(&r), 0x0102);
    assert_int_equal(sp_rd_u16(&r), 0);
    assert_int_equal(r.err, SP_ERR_SHORT);
    assert_int_equal(sp_rd_u8(&r), 0);
    uint8_t to[2] = {9, 9};
    sp_rd_copy(&r, to, 2);
    assert_int_equal(to[0] | to[1], 0);
    assert_null(sp_rd_bytes(&r, 1));
    sp_rd_fail(&r, SP_ERR_FORM);
    assert_int_equal(sp_rd_finish(&r), SP_ERR_SHORT);
}

static void trailing_bytes_are_an_error(void **state) {
    struct sp_rd r = sp_rd_init("\x01\x02", 2);
    assert_int_equal(sp_rd_u8(&r), 1);
    assert_int_equal(sp_rd_finish(&r), SP_ERR_FORM);
}

static void a_sub_reader_is_confined(void **state) {
    struct sp_rd r = sp_rd_init("\x01\x02\x03\x04", 4);
    struct sp_rd sub;
    assert_int_equal(sp_rd_u8(&r), 1);
    sub = sp_rd_sub(&r, 2);
    assert_int_equal(sp_rd_u16(&sub), 0x0203);
    assert_int_equal(sp_rd_offset(&sub), 3);
    assert_int_equal(sp_rd_u8(&sub), 0);
    assert_int_equal(sub.err, SP_ERR_SHORT);
    assert_int_equal(r.err, SP_OK);
    assert_int_equal(sp_rd_u8(&r), 4);
    sub = sp_rd_sub(&r, 1);
    assert_int_equal(sub.err, SP_ERR_SHORT);
    assert_int_equal(sp_rd_left(&sub), 0);
}

static void a_full_writer_writes_nothing_more(void **state) {
    uint8_t buf[4] = {0};
    struct sp_wr w = sp_wr_init(buf, 3);
    sp_wr_u16(&w, 0x0102);
    sp_wr_u16(&w, 0x0304);
    assert_int_equal(w.err, SP_ERR_SPACE);
    sp_wr_u8(&w, 9);
    assert_int_equal(sp_wr_len(&w), 2);
    assert_memory_equal(buf, "\x01\x02\x00\x00", 4);
}

static void lengths_are_filled_in(void **state) {
    static uint8_t buf[70000];
    struct sp_wr w = sp_wr_init(buf, sizeof buf);
    sp_wr_u8(&w, 7);
    size_t at = sp_wr_len16_begin(&w);
    sp_wr_bytes(&w, "abc", 3);
    sp_wr_len16_end(&w, at);
    assert_memory_equal(buf,
                        "\x07\x00\x03"
                        "abc",
                        6);
    at = sp_wr_len16_begin(&w);
    assert_non_null(sp_wr_reserve(&w, 65535));
    sp_wr_len16_end(&w, at);
    assert_int_equal(w.err, SP_OK);
    w = sp_wr_init(buf, sizeof buf);
    at = sp_wr_len16_begin(&w);
    assert_non_null(sp_wr_reserve(&w, 65536));
    sp_wr_len16_end(&w, at);
    assert_int_equal(w.err, SP_ERR_RANGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_go_round),
        cmocka_unit_test(a_short_read_is_zero_and_sticks),
        cmocka_unit_test(trailing_bytes_are_an_error),
        cmocka_unit_test(a_sub_reader_is_confined),
        cmocka_unit_test(a_full_writer_writes_nothing_more),
        cmocka_unit_test(lengths_are_filled_in),
    };
    return cmocka_run_group_tests_name("base_bytes", tests, NULL, NULL);
}
