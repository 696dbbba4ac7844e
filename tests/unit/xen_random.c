/* The guest's randomness with this machine's own instructions: what they give, and that the pool goes on from it. */
#include "tests/unit/cm.h"

#include <stdlib.h>
#include <string.h>

#include "unikernel/lib/crash.h"
#include "unikernel/lib/random.h"
#include "unikernel/xen/xen.h"

_Noreturn void spx_crash(const char *why) {
    fail_msg("%s", why);
    abort();
}

/* Clocks that stand still: nothing below differs because of the time. */
sp_instant spx_now(void) {
    return 17;
}

sp_wall spx_wall(void) {
    return (sp_wall){17};
}

static void test_the_cpu_delivers(void **state) {
    uint64_t draws[SPX_RANDOM_DRAWS];
    for (size_t i = 0; i < SPX_RANDOM_DRAWS; i++)
        if (!spx_random_u64(&draws[i]))
            skip(); /* a CPU without either instruction */
    assert_true(spx_random_is_healthy(draws, SPX_RANDOM_DRAWS));
}

static bool repeats(const uint8_t *bytes, size_t len) {
    for (size_t i = 0; i + 16 <= len; i++)
        for (size_t j = i + 1; j + 16 <= len; j++)
            if (memcmp(bytes + i, bytes + j, 16) == 0)
                return true;
    return false;
}

static void test_nothing_is_given_twice(void **state) {
    uint64_t v;
    if (!spx_random_u64(&v))
        skip();
    uint8_t given[900] = {0};
    size_t at = 0;
    for (size_t len = 16; at + len <= sizeof given; at += len, len += 17) {
        if (len % 2 != 0)
            spx_random_reseed("host", 4);
        spx_random_fill(given + at, len);
    }
    assert_false(repeats(given, at));
    spx_random_fill(given, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_cpu_delivers),
        cmocka_unit_test(test_nothing_is_given_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
