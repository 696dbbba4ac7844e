#include "tests/unit/cm.h"

#include <string.h>

#include "proto/wg/impl.h"
#include "tests/support/wg_pair.h"

static struct sp_test_pair w;

static int init(void **state) {
    return sp_crypto_init() == SP_OK ? 0 : 1;
}

static struct sp_wg_config limits(uint32_t calm, uint32_t most) {
    return (struct sp_wg_config){.peers = 16, .initiations_per_s = calm, .initiations_max = most};
}

/* An initiation of end 0, from this source; what end 1 makes of it. */
static struct sp_wg_got initiate(uint8_t source) {
    struct sp_wg_got got;
    uint8_t m[SP_WG_INITIATION], out[SP_WG_INITIATION], from[18];
    memset(from, source, sizeof from);
    w.now += 20 * SP_MS;
    w.wall.ns += 20 * SP_MS;
    sp_err err = sp_wg_initiate(w.end[0].wg, w.end[0].peer, w.now, w.wall, m);
    assert_int_equal(err, SP_OK);
    sp_wg_input(w.end[1].wg, w.now, w.wall, from, sizeof from, m, sizeof m, out, &got);
    return got;
}

static void give_back(const struct sp_wg_got *got) {
    struct sp_wg_got back;
    uint8_t out[SP_WG_INITIATION];
    sp_wg_input(w.end[0].wg, w.now, w.wall, w.end[1].from, 18, got->reply, got->reply_len, out, &back);
}

static bool is_cookie(const struct sp_wg_got *got) {
    return got->kind == SP_WG_REPLY && got->reply_len == SP_WG_COOKIE && got->peer == NULL;
}

static bool is_response(const struct sp_wg_got *got) {
    return got->kind == SP_WG_REPLY && got->reply_len == SP_WG_RESPONSE && got->peer != NULL;
}

/* P 5.3: under load the answer is a cookie, no longer than the question; with it the next one is answered. */
static void cookie_proves_the_source(void **state) {
    struct sp_wg_config c = limits(0, 100);
    sp_test_pair_new(&w, &c, NULL);
    struct sp_wg_got got = initiate(1);
    assert_true(is_cookie(&got));
    give_back(&got);
    assert_int_equal(sp_wg_counts(w.end[0].wg)->cookies_taken, 1);
    got = initiate(2); /* from elsewhere it proves nothing */
    assert_true(is_cookie(&got));
    assert_int_equal(sp_wg_counts(w.end[1].wg)->dropped_mac2, 1);
    got = initiate(1);
    assert_true(is_response(&got));
    give_back(&got);
    assert_true(sp_wg_peer_up(w.end[0].peer, w.now));
    sp_test_pair_done(&w);
}

/* By itself: the first attempt gets a cookie, the second one a session. */
static void handshake_succeeds_under_load(void **state) {
    struct sp_wg_config c = limits(0, 100);
    sp_test_pair_new(&w, &c, NULL);
    sp_wg_peer_handshake(w.end[0].wg, w.end[0].peer, true, w.now);
    sp_test_pair_run(&w, 6 * SP_SEC);
    assert_true(sp_wg_peer_up(w.end[0].peer, w.now));
    assert_true(sp_wg_peer_up(w.end[1].peer, w.now));
    assert_int_equal(w.end[0].sent[SP_WG_TYPE_INITIATION], 2);
    assert_int_equal(w.end[1].sent[SP_WG_TYPE_COOKIE], 1);
    sp_test_pair_done(&w);
}

/* A cookie counts for two minutes, as its secret is rolled; one from before is not good after four. */
static void cookies_age(void **state) {
    struct sp_wg_config c = limits(0, 100);
    sp_test_pair_new(&w, &c, NULL);
    struct sp_wg_got got = initiate(1);
    give_back(&got);
    w.now += 119 * SP_SEC;
    got = initiate(1);
    assert_true(is_response(&got));
    w.now += SP_SEC; /* ours: it is not used any longer */
    got = initiate(1);
    assert_true(is_cookie(&got));
    assert_int_equal(sp_wg_counts(w.end[1].wg)->dropped_mac2, 0);
    give_back(&got);
    got = initiate(1);
    assert_true(is_response(&got));
    sp_test_pair_done(&w);
}

/* A cookie that was given just before its secret is rolled is good for as long as any other. */
static void cookies_outlive_their_secret(void **state) {
    struct sp_wg_config c = limits(0, 100);
    sp_test_pair_new(&w, &c, NULL);
    struct sp_wg_got got = initiate(1);
    assert_true(is_cookie(&got));
    w.now += 119 * SP_SEC;
    got = initiate(2);
    give_back(&got);
    w.now += 110 * SP_SEC;
    got = initiate(2);
    assert_true(is_response(&got));
    sp_test_pair_done(&w);
}

static void forged_and_second_cookies_are_dropped(void **state) {
    struct sp_wg_config c = limits(0, 100);
    sp_test_pair_new(&w, &c, NULL);
    struct sp_wg_got got = initiate(1), forged = got;
    for (size_t i = 8; i < SP_WG_COOKIE; i++) {
        forged.reply[i] ^= 1;
        give_back(&forged);
        forged.reply[i] ^= 1;
    }
    assert_int_equal(sp_wg_counts(w.end[0].wg)->dropped_auth, SP_WG_COOKIE - 8);
    give_back(&got);
    assert_int_equal(sp_wg_counts(w.end[0].wg)->cookies_taken, 1);
    give_back(&got);
    assert_int_equal(sp_wg_counts(w.end[0].wg)->cookies_taken, 1);
    got = initiate(1);
    assert_true(is_response(&got));
    sp_test_pair_done(&w);
}

/* Within the calm rate nobody is asked for a cookie; beyond it a flood gets 64 bytes for 148 and leaves no state. */
static void flood_costs_no_state(void **state) {
    struct sp_wg_config c = limits(20, 100);
    struct sp_wg_got got;
    uint8_t m[SP_WG_INITIATION], out[SP_WG_INITIATION], from[18] = {0};
    sp_test_pair_new(&w, &c, NULL);
    sp_wg_peer_remove(w.end[1].wg, w.end[1].peer);
    assert_int_equal(sp_wg_peer_add(w.end[1].wg, (const uint8_t[32]){9}, NULL, NULL, w.now, &w.end[1].peer), SP_OK);
    assert_int_equal(sp_wg_initiate(w.end[0].wg, w.end[0].peer, w.now, w.wall, m), SP_OK);
    size_t used = w.end[1].mem.used;
    unsigned unknown = 0, cookies = 0;
    for (unsigned i = 0; i < 5000; i++) {
        from[0] = (uint8_t)i;
        from[1] = (uint8_t)(i >> 8);
        sp_wg_input(w.end[1].wg, w.now, w.wall, from, sizeof from, m, sizeof m, out, &got);
        unknown += got.kind == SP_WG_UNKNOWN;
        cookies += is_cookie(&got);
    }
    assert_int_equal(unknown, 20);
    assert_int_equal(cookies, 32 * 100); /* even these are bounded */
    assert_int_equal(sp_wg_counts(w.end[1].wg)->dropped_rate, 5000 - 20 - 3200);
    assert_int_equal(w.end[1].mem.used, used);
    w.now += SP_SEC;
    sp_wg_input(w.end[1].wg, w.now, w.wall, from, sizeof from, m, sizeof m, out, &got);
    assert_int_equal(got.kind, SP_WG_UNKNOWN); /* calm again */
    sp_test_pair_done(&w);
}

/* A source that has proved itself gets 20 a second under load, five at once; others are not affected. */
static void sources_get_a_share(void **state) {
    struct sp_wg_config c = limits(0, 1000);
    struct sp_wg_got got;
    uint8_t m[SP_WG_INITIATION], out[SP_WG_INITIATION], from[18];
    sp_test_pair_new(&w, &c, NULL);
    memset(from, 1, sizeof from);
    got = initiate(1);
    give_back(&got);
    w.now += SP_SEC;
    assert_int_equal(sp_wg_initiate(w.end[0].wg, w.end[0].peer, w.now, w.wall, m), SP_OK);
    unsigned seen = 0;
    for (unsigned i = 0; i < 100; i++) {
        sp_wg_input(w.end[1].wg, w.now, w.wall, from, sizeof from, m, sizeof m, out, &got);
        seen += sp_wg_counts(w.end[1].wg)->dropped_rate == 0;
    }
    assert_int_equal(seen, 5);
    assert_int_equal(sp_wg_counts(w.end[1].wg)->dropped_rate, 95);
    w.now += SP_SEC;
    got = initiate(1);
    assert_true(is_response(&got));
    sp_test_pair_done(&w);
}

/* Each source has a bucket of its own, but for those that were not heard for longest when there are more than fit. */
static void sources_have_their_own(void **state) {
    sp_test_pair_new(&w, NULL, NULL);
    for (unsigned s = 0; s < 300; s++) {
        uint8_t from[2] = {(uint8_t)s, (uint8_t)(s >> 8)};
        for (unsigned i = 0; i < 5; i++)
            assert_true(wg_source_take(w.end[0].wg, from, 2, w.now));
        assert_false(wg_source_take(w.end[0].wg, from, 2, w.now));
    }
    sp_test_pair_done(&w);
}

static void the_most_is_a_limit(void **state) {
    struct sp_wg_config c = limits(50, 7);
    struct sp_wg_got got;
    uint8_t m[SP_WG_INITIATION], out[SP_WG_INITIATION];
    sp_test_pair_new(&w, &c, NULL);
    assert_int_equal(sp_wg_initiate(w.end[0].wg, w.end[0].peer, w.now, w.wall, m), SP_OK);
    for (unsigned i = 0; i < 50; i++)
        sp_wg_input(w.end[1].wg, w.now, w.wall, w.end[0].from, 18, m, sizeof m, out, &got);
    assert_int_equal(sp_wg_counts(w.end[1].wg)->dropped_rate, 43);
    sp_test_pair_done(&w);
}

/* P 5.1: a peer's initiations that come within 20 ms of each other are not answered, however fresh. */
static void a_peer_may_not_hurry(void **state) {
    struct sp_wg_got got;
    uint8_t m[SP_WG_INITIATION], out[SP_WG_INITIATION];
    sp_test_pair_new(&w, NULL, NULL);
    got = initiate(1);
    assert_true(is_response(&got));
    sp_instant then = w.now;
    assert_int_equal(sp_wg_initiate(w.end[0].wg, w.end[0].peer, w.now + SP_SEC, w.wall, m), SP_OK);
    sp_wg_input(w.end[1].wg, then + 19 * SP_MS, w.wall, w.end[0].from, 18, m, sizeof m, out, &got);
    assert_int_equal(got.kind, SP_WG_DROPPED);
    sp_wg_input(w.end[1].wg, then + 20 * SP_MS, w.wall, w.end[0].from, 18, m, sizeof m, out, &got);
    assert_true(is_response(&got));
    sp_test_pair_done(&w);
}

/* Somebody on the path sends forged responses with the right index and mac1: after some of them a cookie is asked for, and the true
 * one, which has none, has to be asked for again; but the work is bounded, and the session comes. */
static void forged_responses_cost_little(void **state) {
    struct sp_wg_got got, good;
    uint8_t m[SP_WG_INITIATION], out[SP_WG_INITIATION], key[32], forged[SP_WG_RESPONSE];
    sp_test_pair_new(&w, NULL, NULL);
    assert_int_equal(sp_wg_initiate(w.end[0].wg, w.end[0].peer, w.now, w.wall, m), SP_OK);
    sp_wg_input(w.end[1].wg, w.now, w.wall, w.end[0].from, 18, m, sizeof m, out, &good);
    assert_true(is_response(&good));
    struct sp_piece label[] = {{"mac1----", 8}, {sp_wg_public(w.end[0].wg), 32}}, body = {forged, SP_WG_RESPONSE - 32};
    sp_blake2s(NULL, 0, label, 2, key, 32);
    for (unsigned i = 0; i < 100; i++) {
        memcpy(forged, good.reply, sizeof forged);
        forged[20] ^= (uint8_t)(i + 1);
        sp_blake2s(key, 32, &body, 1, forged + SP_WG_RESPONSE - 32, 16);
        sp_wg_input(w.end[0].wg, w.now, w.wall, w.end[1].from, 18, forged, sizeof forged, out, &got);
    }
    assert_int_equal(sp_wg_counts(w.end[0].wg)->dropped_auth, 8);
    assert_int_equal(sp_wg_counts(w.end[0].wg)->cookies_sent, 92);
    sp_test_pair_run(&w, 6 * SP_SEC);
    assert_true(sp_wg_peer_up(w.end[0].peer, w.now));
    sp_test_pair_done(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cookie_proves_the_source),
        cmocka_unit_test(handshake_succeeds_under_load),
        cmocka_unit_test(cookies_age),
        cmocka_unit_test(cookies_outlive_their_secret),
        cmocka_unit_test(forged_and_second_cookies_are_dropped),
        cmocka_unit_test(flood_costs_no_state),
        cmocka_unit_test(sources_get_a_share),
        cmocka_unit_test(sources_have_their_own),
        cmocka_unit_test(the_most_is_a_limit),
        cmocka_unit_test(a_peer_may_not_hurry),
        cmocka_unit_test(forged_responses_cost_little),
    };
    return cmocka_run_group_tests_name("wg_cookies", tests, init, NULL);
}
