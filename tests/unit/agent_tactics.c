#include "tests/unit/cm.h"

#include <string.h>

#include "client/core/outgoing.h"
#include "client/core/path.h"
#include "proto/control/session.h"
#include "proto/crypto/crypto.h"
#include "tests/support/support.h"

/* One path's state machine, and what leaves together. DESIGN: "Choosing a path". */

static const struct sp_addr there = {.family = 4, .ip = {192, 0, 2, 9}, .port = 7};

static struct sp_path path_new(void) {
    struct sp_path p;
    sp_path_init(&p, &there, SP_TACTIC_PUNCH);
    return p;
}

static struct sp_path_now at(sp_duration ms) {
    return (struct sp_path_now){.now = ms * SP_MS, .at = ms * SP_MS, .interest = SP_INTEREST_DATA, .used = true};
}

static void a_round_has_six_probes_and_an_end(void **state) {
    static const unsigned when[] = {10, 60, 110, 210, 410, 810};
    struct sp_path p = path_new();
    struct sp_path_now n = at(0);
    n.at = 10 * SP_MS;
    assert_false(sp_path_step(&p, SP_PATH_ON_PLAN, &n));
    assert_int_equal(p.state, SP_PATH_WAITING);
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(p.next_at, when[i] * SP_MS);
        n = at(when[i]);
        assert_true(sp_path_step(&p, SP_PATH_ON_DUE, &n));
    }
    n = at(1610);
    assert_int_equal(p.next_at, 1610 * SP_MS);
    assert_false(sp_path_step(&p, SP_PATH_ON_DUE, &n));
    assert_int_equal(p.state, SP_PATH_RESTING);
    assert_int_equal(p.next_at, SP_NEVER);
}

static void a_name_alone_is_worth_one_probe(void **state) {
    struct sp_path p = path_new();
    struct sp_path_now n = at(0);
    n.interest = SP_INTEREST_NAME;
    (void)sp_path_step(&p, SP_PATH_ON_PLAN, &n);
    assert_true(sp_path_step(&p, SP_PATH_ON_DUE, &n));
    n = at(50);
    n.interest = SP_INTEREST_NAME;
    assert_false(sp_path_step(&p, SP_PATH_ON_DUE, &n));
    assert_int_equal(p.state, SP_PATH_PROBING);
    assert_int_equal(p.next_at, SP_NEVER);
}

static void silence_makes_suspect_and_an_answer_valid_again(void **state) {
    struct sp_path p = path_new();
    struct sp_path_now n = at(0);
    (void)sp_path_step(&p, SP_PATH_ON_PONG, &n);
    assert_int_equal(p.state, SP_PATH_VALID);
    n = at(1000);
    assert_true(sp_path_step(&p, SP_PATH_ON_DUE, &n)); /* the regular PING of a path in use */
    n.now += sp_path_limit(&p);
    assert_true(sp_path_step(&p, SP_PATH_ON_DUE, &n));
    assert_int_equal(p.state, SP_PATH_SUSPECT);
    (void)sp_path_step(&p, SP_PATH_ON_PONG, &n);
    assert_int_equal(p.state, SP_PATH_VALID);
}

static void a_lost_ping_is_no_silence_while_it_is_heard(void **state) {
    struct sp_path p = path_new();
    struct sp_path_now n = at(0);
    (void)sp_path_step(&p, SP_PATH_ON_PONG, &n);
    n = at(1000);
    (void)sp_path_step(&p, SP_PATH_ON_DUE, &n);
    p.heard_at = n.now + 1;
    n.now += sp_path_limit(&p);
    assert_true(sp_path_step(&p, SP_PATH_ON_DUE, &n));
    assert_int_equal(p.state, SP_PATH_VALID);
    n.now += sp_path_limit(&p);
    assert_true(sp_path_step(&p, SP_PATH_ON_DUE, &n));
    n.now += sp_path_limit(&p);
    assert_true(sp_path_step(&p, SP_PATH_ON_DUE, &n)); /* three in a row: what we send does not arrive */
    assert_int_equal(p.state, SP_PATH_SUSPECT);
}

static void an_idle_path_asks_nothing(void **state) {
    struct sp_path p = path_new();
    struct sp_path_now n = at(0);
    n.used = false;
    (void)sp_path_step(&p, SP_PATH_ON_PONG, &n);
    assert_int_equal(p.next_at, SP_NEVER);
    n.keep = true;
    (void)sp_path_step(&p, SP_PATH_ON_PONG, &n);
    assert_int_equal(p.next_at, SP_PATH_KEEP_EVERY);
}

static void only_its_own_cookies_answer(void **state) {
    struct sp_path p = path_new();
    struct sp_rng rng;
    uint8_t seed[SP_RNG_SEED] = {1};
    assert_int_equal(sp_crypto_init(), SP_OK);
    sp_rng_init(&rng, seed);
    uint64_t one = sp_path_cookie(&p, &rng, 0), two = sp_path_cookie(&p, &rng, 10 * SP_MS);
    assert_false(sp_path_answers(&p, one ^ 2, SP_SEC));
    assert_false(sp_path_answers(&p, 0, SP_SEC));
    assert_true(sp_path_answers(&p, two, 30 * SP_MS));
    assert_int_equal(p.rtt, 20 * SP_MS);
    assert_false(sp_path_answers(&p, two, 30 * SP_MS)); /* once */
    assert_true(sp_path_answers(&p, one, 31 * SP_MS));
}

/* ---- what leaves together ---- */

static void put(struct sp_outgoing *o, size_t len, const struct sp_addr *dst) {
    uint8_t *room = sp_outgoing_room(o, len);
    assert_non_null(room);
    memset(room, (int)len, len);
    sp_outgoing_datagram(o, len, dst, NULL);
}

static void equal_datagrams_are_sent_as_one(void **state) {
    struct sp_mem mem;
    struct sp_outgoing o;
    struct sp_out out[8];
    struct sp_addr other = there;
    other.port++;
    sp_mem_init(&mem, sp_test_grant(), 8 * SP_CHUNK);
    assert_int_equal(sp_outgoing_init(&o, &mem), SP_OK);
    put(&o, 100, &there);
    put(&o, 100, &there);
    put(&o, 60, &there); /* a shorter one ends it */
    put(&o, 60, &there);
    put(&o, 60, &other);
    put(&o, 80, &other); /* a longer one does not fit */
    assert_int_equal(sp_outgoing_output(&o, out, 8), 4);
    assert_int_equal(out[0].len, 260);
    assert_int_equal(out[0].segment, 100);
    assert_int_equal(out[1].len, 60);
    assert_int_equal(out[1].segment, 0);
    assert_int_equal(out[2].len, 60);
    assert_int_equal(out[3].len, 80);
    put(&o, 60, &other); /* what was given away does not grow */
    assert_int_equal(sp_outgoing_output(&o, out, 8), 1);
    assert_int_equal(out[0].len, 60);
    sp_outgoing_turn(&o);
    assert_int_equal(o.used, 0);
    sp_outgoing_free(&o);
    sp_mem_done(&mem);
}

static void a_send_has_its_bounds(void **state) {
    struct sp_mem mem;
    struct sp_outgoing o;
    struct sp_out out[8];
    sp_mem_init(&mem, sp_test_grant(), 8 * SP_CHUNK);
    assert_int_equal(sp_outgoing_init(&o, &mem), SP_OK);
    for (unsigned i = 0; i < SP_GSO_COUNT + 1; i++)
        put(&o, 1300, &there);
    size_t n = sp_outgoing_output(&o, out, 8);
    assert_int_equal(n, 2);
    assert_true(out[0].len <= SP_GSO_BYTES && out[0].len / 1300 <= SP_GSO_COUNT);
    size_t fits = 0;
    sp_outgoing_turn(&o);
    while (sp_outgoing_room(&o, 1300) != NULL && fits < 10000) {
        sp_outgoing_datagram(&o, 1300, &there, NULL);
        fits++;
    }
    assert_in_range(fits, 1, SP_OUTGOING_BYTES / 1300);
    assert_int_equal(o.dropped, 1);
    assert_false(sp_outgoing_roomy(&o));
    sp_outgoing_free(&o);
    sp_mem_done(&mem);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_round_has_six_probes_and_an_end),
        cmocka_unit_test(a_name_alone_is_worth_one_probe),
        cmocka_unit_test(silence_makes_suspect_and_an_answer_valid_again),
        cmocka_unit_test(a_lost_ping_is_no_silence_while_it_is_heard),
        cmocka_unit_test(an_idle_path_asks_nothing),
        cmocka_unit_test(only_its_own_cookies_answer),
        cmocka_unit_test(equal_datagrams_are_sent_as_one),
        cmocka_unit_test(a_send_has_its_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
