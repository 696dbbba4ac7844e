#include "tests/unit/cm.h"

#include <string.h>

#include "proto/wg/replay.h"

#define W SP_WG_REPLAY_WINDOW

static struct sp_wg_replay r;

static bool take(uint64_t counter) {
    return sp_wg_replay_take(&r, counter, 1);
}

static void fresh(void) {
    memset(&r, 0, sizeof r);
}

static void window_holds_at_least_2048(void **state) {
    assert_true(W >= 2048);
}

static void each_once_in_order(void **state) {
    fresh();
    for (uint64_t i = 0; i < 3 * SP_WG_REPLAY_BITS; i++) {
        assert_true(take(i));
        assert_false(take(i));
        assert_false(take(i / 2));
        if (i >= W) {
            assert_false(take(i - W));
            assert_false(take(i - W + 1));
        }
    }
    uint64_t bytes;
    assert_int_equal(sp_wg_replay_opened(&r, &bytes), 3 * SP_WG_REPLAY_BITS);
    assert_int_equal(bytes, 3 * SP_WG_REPLAY_BITS);
}

static void each_once_backwards(void **state) {
    fresh();
    for (uint64_t i = W; i-- > 0;)
        assert_true(take(i));
    for (uint64_t i = 0; i < W; i++)
        assert_false(take(i));
    /* One behind the window, which begins when W is taken. */
    fresh();
    for (uint64_t i = W; i > 0; i--)
        assert_true(take(i));
    assert_false(take(0));
}

/* From every position within a word and every jump around the sizes that matter: the edges of the window. */
static void edges(void **state) {
    static const uint64_t jumps[] = {1, 2, 62, 63, 64, 65, 127, 128, W - 65, W - 64, W - 63, W - 1, W, W + 1, W + 63, W + 64, W + 65, 2 * W, 5 * W};
    for (uint64_t start = 0; start < 130; start++)
        for (size_t j = 0; j < sizeof jumps / sizeof jumps[0]; j++) {
            uint64_t top = start + jumps[j];
            fresh();
            assert_true(take(start));
            assert_true(take(top));
            assert_false(take(top));
            if (top >= W)
                assert_false(take(top - W));
            if (top >= W - 1) {
                assert_int_equal(take(top - W + 1), top - W + 1 != start);
                assert_false(take(top - W + 1));
            }
            assert_false(take(start));                              /* taken, or fallen out */
            assert_int_equal(take(start + 1), jumps[j] > 1 && jumps[j] - 1 < W && top - W != start); /* as new as the window says */
        }
}

static void far_jumps_forget_everything_behind(void **state) {
    fresh();
    for (uint64_t i = 0; i < SP_WG_REPLAY_BITS; i += 3)
        take(i);
    uint64_t top = UINT64_C(1) << 62;
    assert_true(take(top));
    for (uint64_t i = top - W + 1; i < top; i++)
        assert_true(take(i));
    for (uint64_t i = top - W + 1; i <= top; i++)
        assert_false(take(i));
    assert_false(take(top - W));
    assert_false(take(0));
}

static void the_last_counters(void **state) {
    fresh();
    assert_true(take(UINT64_MAX - 1));
    assert_false(take(UINT64_MAX - 1));
    assert_true(take(UINT64_MAX - 2));
    assert_false(take(UINT64_MAX)); /* has no successor */
    assert_true(take(UINT64_MAX - W));
    assert_false(take(UINT64_MAX - W - 1));
}

/* Against a list of what was taken: a small world, dense in repetitions and edges. */
static void agrees_with_a_plain_model(void **state) {
    static bool seen[40000];
    uint64_t top = 0, x = 88172645463325252u;
    fresh();
    memset(seen, 0, sizeof seen);
    bool any = false;
    for (unsigned i = 0; i < 200000; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        uint64_t span = x >> 60 == 0 ? 2 * W : 200, back = (x >> 8) % span, counter = top + 100 > back ? top + 100 - back : 0;
        if (counter >= sizeof seen)
            break;
        bool want = !seen[counter] && (!any || counter > top || top - counter < W);
        assert_int_equal(take(counter), want);
        seen[counter] |= want;
        any = true;
        top = counter > top ? counter : top;
    }
    assert_true(top > 3 * W);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(window_holds_at_least_2048),
        cmocka_unit_test(each_once_in_order),
        cmocka_unit_test(each_once_backwards),
        cmocka_unit_test(edges),
        cmocka_unit_test(far_jumps_forget_everything_behind),
        cmocka_unit_test(the_last_counters),
        cmocka_unit_test(agrees_with_a_plain_model),
    };
    return cmocka_run_group_tests_name("wg_replay", tests, NULL, NULL);
}
