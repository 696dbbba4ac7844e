#include "tests/unit/cm.h"

#include <stdlib.h>

#include "proto/base/timers.h"

#define N 500

static void pops_in_order(void **state) {
    struct sp_timers ts = {0};
    static struct sp_timer t[N];
    assert_int_equal(sp_timers_next(&ts), SP_NEVER);
    assert_null(sp_timers_pop(&ts, SP_NEVER));
    srand(3);
    for (int i = 0; i < N; i++)
        sp_timer_set(&ts, &t[i], (sp_instant)(rand() % 1000));
    sp_instant last = 0;
    for (int i = 0; i < N; i++) {
        sp_instant next = sp_timers_next(&ts);
        assert_true(next == 0 || sp_timers_pop(&ts, next - 1) == NULL);
        struct sp_timer *x = sp_timers_pop(&ts, next);
        assert_non_null(x);
        assert_int_equal(x->due, next);
        assert_false(x->set);
        assert_true(x->due >= last);
        last = x->due;
    }
    assert_null(sp_timers_pop(&ts, SP_NEVER));
}

static void never_is_not_set(void **state) {
    struct sp_timers ts = {0};
    struct sp_timer t = {0};
    sp_timer_set(&ts, &t, 5);
    sp_timer_set(&ts, &t, SP_NEVER);
    assert_false(t.set);
    assert_int_equal(sp_timers_next(&ts), SP_NEVER);
    sp_timer_cancel(&ts, &t);
}

/* Against the plainest model: an array searched whole. */
static void agrees_with_an_array(void **state) {
    struct sp_timers ts = {0};
    static struct sp_timer t[N];
    static sp_instant due[N];
    srand(11);
    for (int i = 0; i < N; i++) {
        due[i] = SP_NEVER;
        t[i] = (struct sp_timer){0};
    }
    for (int step = 0; step < 40000; step++) {
        int i = rand() % N;
        switch (rand() % 4) {
        case 0:
        case 1:
            due[i] = (sp_instant)rand();
            sp_timer_set(&ts, &t[i], due[i]);
            break;
        case 2:
            due[i] = SP_NEVER;
            sp_timer_cancel(&ts, &t[i]);
            break;
        default: {
            struct sp_timer *x = sp_timers_pop(&ts, SP_NEVER - 1);
            sp_instant least = SP_NEVER;
            for (int k = 0; k < N; k++)
                least = sp_instant_min(least, due[k]);
            assert_true((x == NULL) == (least == SP_NEVER));
            if (x != NULL) {
                assert_int_equal(x->due, least);
                assert_int_equal(due[x - t], least);
                due[x - t] = SP_NEVER;
            }
        }
        }
        sp_instant least = SP_NEVER;
        if (step % 16 == 0) {
            for (int k = 0; k < N; k++) {
                least = sp_instant_min(least, due[k]);
                assert_int_equal(t[k].set, due[k] != SP_NEVER);
            }
            assert_int_equal(sp_timers_next(&ts), least);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pops_in_order),
        cmocka_unit_test(never_is_not_set),
        cmocka_unit_test(agrees_with_an_array),
    };
    return cmocka_run_group_tests_name("base_timers", tests, NULL, NULL);
}
