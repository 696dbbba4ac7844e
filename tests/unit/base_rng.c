#include "tests/unit/cm.h"

#include <string.h>

#include "proto/base/rng.h"

static unsigned refills;

/* Counts up, so that what comes out is known. */
static void counting(struct sp_rng *rng) {
    for (size_t i = 0; i < sizeof rng->buf; i++)
        rng->buf[i] = (uint8_t)(1 + (refills * sizeof rng->buf + i) % 251);
    rng->used = 0;
    refills++;
}

static struct sp_rng fresh(void) {
    refills = 0;
    struct sp_rng rng = {.used = sizeof rng.buf, .refill = counting};
    return rng;
}

static void hands_out_in_order_and_erases(void **state) {
    struct sp_rng rng = fresh();
    uint8_t out[1500];
    size_t at = 0;
    for (size_t n = 0; at + n <= sizeof out; at += n, n++)
        sp_rng_fill(&rng, out + at, n);
    assert_int_equal(refills, (at + sizeof rng.buf - 1) / sizeof rng.buf);
    for (size_t i = 0; i < at; i++)
        assert_int_equal(out[i], 1 + i % 251);
    for (size_t i = 0; i < rng.used; i++)
        assert_int_equal(rng.buf[i], 0);
    assert_int_not_equal(rng.buf[rng.used], 0);
}

static void below_stays_below(void **state) {
    struct sp_rng rng = fresh();
    unsigned seen[7] = {0};
    for (int i = 0; i < 7000; i++) {
        uint64_t v = sp_rng_below(&rng, 7);
        assert_true(v < 7);
        seen[v]++;
    }
    for (int i = 0; i < 7; i++)
        assert_in_range(seen[i], 500, 1500);
    assert_int_equal(sp_rng_below(&rng, 1), 0);
    for (int i = 0; i < 100; i++)
        assert_true(sp_rng_below(&rng, UINT64_C(1) << 63 | 1) <= UINT64_C(1) << 63);
}

/* A draw that would favour small results is drawn again. */
static uint8_t draws[2][8];
static void two_draws(struct sp_rng *rng) {
    memcpy(rng->buf + sizeof rng->buf - 16, draws, 16);
    rng->used = sizeof rng->buf - 16;
}
static void below_draws_again(void **state) {
    memset(draws[0], 0, 8); /* 0 < 2^64 mod 3 = 1: unfair */
    memset(draws[1], 0xff, 8);
    struct sp_rng rng = {.used = sizeof rng.buf, .refill = two_draws};
    assert_int_equal(sp_rng_below(&rng, 3), UINT64_MAX % 3);
    assert_int_equal(rng.used, sizeof rng.buf);
    assert_int_not_equal(sp_rng_u32(&rng), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hands_out_in_order_and_erases),
        cmocka_unit_test(below_stays_below),
        cmocka_unit_test(below_draws_again),
    };
    return cmocka_run_group_tests_name("base_rng", tests, NULL, NULL);
}
