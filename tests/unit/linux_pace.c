#include "tests/unit/cm.h"

#include "proto/linux/pace.h"

/* A server under a load: what arrives in a batch, and what that costs, with and without pauses. */
struct load {
    struct spl_pace pace;
    sp_instant now;
    sp_duration cpu;
    unsigned paused, batches;
};

static void batch(struct load *l, unsigned n, sp_duration gap, sp_duration cost) {
    l->now += gap;
    l->cpu += cost;
    l->batches++;
    if (spl_pace_count(&l->pace, l->now, n))
        spl_pace_epoch(&l->pace, l->now, l->cpu);
    l->paused += l->pace.pausing;
}

/* Datagrams that arrive 4 us apart whatever we do: a pause makes batches of 20 out of batches of 4. */
static void run_open(struct load *l, sp_duration time) {
    for (sp_instant end = l->now + time; l->now < end;) {
        unsigned n = l->pace.pausing ? 20 : 4;
        batch(l, n, n * 4 * SP_US, 5 * SP_US + n * 2 * SP_US);
    }
}

static void pauses_while_they_pay(void **state) {
    struct load l = {.now = SP_HOUR, .cpu = SP_MIN};
    run_open(&l, 2 * SP_SEC);
    assert_true(l.paused * 10 > l.batches * 7);
    /* The load ends; the first datagram after it ends the pauses. */
    batch(&l, 1, SP_SEC, SP_US);
    assert_false(l.pace.pausing);
}

/* Clients that wait for an answer: no more than 4 datagrams at a time, pause or not, and a pause costs time. */
static void stops_where_clients_wait(void **state) {
    struct load l = {.now = SP_HOUR};
    for (sp_instant end = l.now + 2 * SP_SEC; l.now < end;)
        batch(&l, 4, l.pace.pausing ? 70 * SP_US : 16 * SP_US, l.pace.pausing ? 30 * SP_US : 16 * SP_US);
    assert_true(l.paused > 0); /* it was tried */
    assert_true(l.paused * 50 < l.batches);
}

static void never_without_load(void **state) {
    struct load l = {.now = SP_HOUR};
    for (unsigned i = 0; i < 40000; i++)
        batch(&l, 1, SP_SEC / 40000, 10 * SP_US);
    assert_int_equal(l.paused, 0);
}

/* What pays is found again when the load changes. */
static void measures_again(void **state) {
    struct load l = {.now = SP_HOUR};
    for (sp_instant end = l.now + SP_SEC; l.now < end;)
        batch(&l, 4, 16 * SP_US, l.pace.pausing ? 30 * SP_US : 16 * SP_US);
    l.paused = l.batches = 0;
    run_open(&l, 4 * SP_SEC);
    assert_true(l.paused * 10 > l.batches * 5);
}

/* Uptimes of years overflow nothing. */
static void first_datagram_after_years(void **state) {
    struct load l = {.now = 1000 * 365 * SP_DAY / 2};
    batch(&l, 1, 0, 0);
    assert_int_equal(l.pace.begin, l.now);
    assert_false(l.pace.pausing);
    assert_int_equal(l.pace.epochs, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pauses_while_they_pay),      cmocka_unit_test(stops_where_clients_wait),
        cmocka_unit_test(never_without_load),         cmocka_unit_test(measures_again),
        cmocka_unit_test(first_datagram_after_years),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
