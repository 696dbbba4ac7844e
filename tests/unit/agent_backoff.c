#include "tests/unit/cm.h"

#include "client/core/backoff.h"
#include "client/core/state.h"
#include "proto/crypto/crypto.h"

static struct sp_rng rng(uint8_t fill) {
    struct sp_rng r;
    uint8_t seed[SP_RNG_SEED];
    memset(seed, fill, sizeof seed);
    sp_rng_init(&r, seed);
    return r;
}

static void assert_between(sp_duration d, sp_duration low, sp_duration high) {
    assert_true(d >= low);
    assert_true(d <= high);
}

static void every_address_gets_two_transmissions(void **state) {
    for (unsigned n = 0; n <= SP_TOKEN_ADDRS; n++) {
        assert_true(sp_resend_max(n) >= 2 * n);
        assert_true(sp_resend_max(n) >= 5);
        assert_true(sp_resend_max(n) <= SP_AGENT_SENT_MAX);
    }
}

static void retransmissions_double_per_round(void **state) {
    struct sp_rng r = rng(1);
    for (unsigned i = 0; i < 100; i++) {
        assert_between(sp_resend_delay(0, 1, &r), 600 * SP_MS, 1000 * SP_MS);
        assert_between(sp_resend_delay(2, 1, &r), 2400 * SP_MS, 4000 * SP_MS);
        assert_between(sp_resend_delay(2, 4, &r), 600 * SP_MS, 1000 * SP_MS);
        assert_between(sp_resend_delay(7, 4, &r), 1200 * SP_MS, 2000 * SP_MS);
        assert_between(sp_resend_delay(40, 1, &r), 6 * SP_SEC, 10 * SP_SEC);
    }
}

static void backing_off_doubles_to_a_cap(void **state) {
    struct sp_rng r = rng(2);
    for (unsigned i = 0; i < 100; i++) {
        assert_between(sp_backoff_delay(1, &r), 2500 * SP_MS, 5 * SP_SEC);
        assert_between(sp_backoff_delay(2, &r), 5 * SP_SEC, 10 * SP_SEC);
        assert_between(sp_backoff_delay(5, &r), 40 * SP_SEC, 80 * SP_SEC);
        assert_between(sp_backoff_delay(1000000, &r), SP_BACKOFF_CAP / 2, SP_BACKOFF_CAP);
        assert_between(sp_backoff_refused(&r), SP_HOUR / 2, SP_HOUR);
    }
}

/* RFC 9664 5: after 80% of the lease, and not all devices at once. */
static void refreshes_have_jitter(void **state) {
    sp_duration low = SP_NEVER, high = 0;
    struct sp_rng r = rng(3);
    for (unsigned i = 0; i < 1000; i++) {
        sp_duration d = sp_refresh_delay(3600, &r);
        assert_between(d, 2880 * SP_SEC, 3060 * SP_SEC);
        low = d < low ? d : low;
        high = d > high ? d : high;
    }
    assert_true(high - low > 150 * SP_SEC);
    assert_between(sp_refresh_delay(30, &r), 24 * SP_SEC, 25500 * SP_MS);
    assert_between(sp_refresh_delay(UINT32_MAX, &r), UINT32_MAX * (SP_SEC / 100) * 80,
                   UINT32_MAX * (SP_SEC / 100) * 85);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_address_gets_two_transmissions),
        cmocka_unit_test(retransmissions_double_per_round),
        cmocka_unit_test(backing_off_doubles_to_a_cap),
        cmocka_unit_test(refreshes_have_jitter),
    };
    return cmocka_run_group_tests_name("agent_backoff", tests, NULL, NULL);
}
