#include "tests/unit/cm.h"

#include <string.h>

#include "tests/support/wg_pair.h"

static struct sp_test_pair w;

static int init(void **state) {
    return sp_crypto_init() == SP_OK ? 0 : 1;
}

static void start(void) {
    sp_test_pair_new(&w, NULL, NULL);
    sp_test_pair_up(&w);
}

static unsigned initiations(unsigned end) {
    return w.end[end].sent[SP_WG_TYPE_INITIATION];
}

/* Sends every `every` for `time`; all of it must arrive. */
static void traffic(unsigned from, sp_duration every, sp_duration time) {
    for (sp_duration t = 0; t < time; t += every) {
        unsigned before = w.end[!from].data;
        assert_int_equal(sp_test_pair_send(&w, from, 7, 64), SP_OK);
        sp_test_pair_run(&w, every);
        assert_int_equal(w.end[!from].data, before + 1);
    }
}

/* P 6.4: every 5 s and a little, 90 s long; then silence, until somebody asks again. */
static void retries_for_90_s(void **state) {
    sp_test_pair_new(&w, NULL, NULL);
    w.cut[1] = true;
    sp_wg_peer_handshake(w.end[0].wg, w.end[0].peer, false, w.now);
    sp_test_pair_pull(&w);
    assert_int_equal(initiations(0), 1);
    sp_test_pair_run(&w, 5 * SP_SEC - 1);
    assert_int_equal(initiations(0), 1);
    sp_test_pair_run(&w, 333 * SP_MS + 1);
    assert_int_equal(initiations(0), 2);
    sp_test_pair_run(&w, 90 * SP_SEC);
    unsigned tried = initiations(0);
    assert_in_range(tried, 17, 19);
    assert_int_equal(sp_test_pair_stats(&w, 0).attempts, tried);
    sp_test_pair_run(&w, 600 * SP_SEC);
    assert_int_equal(initiations(0), tried);
    assert_int_equal(sp_wg_deadline(w.end[0].wg), SP_NEVER);
    w.cut[1] = false;
    assert_int_equal(sp_test_pair_send(&w, 0, 1, 10), SP_ERR_AGAIN);
    sp_test_pair_run(&w, SP_SEC);
    assert_true(sp_wg_peer_up(w.end[0].peer, w.now));
    assert_int_equal(sp_test_pair_stats(&w, 0).attempts, 0);
    sp_test_pair_done(&w);
}

/* Asking again and again does not make initiations come faster than every 5 s, but for force. */
static void asks_at_most_every_5_s(void **state) {
    sp_test_pair_new(&w, NULL, NULL);
    w.cut[1] = true;
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(sp_test_pair_send(&w, 0, 1, 10), SP_ERR_AGAIN);
        sp_wg_peer_handshake(w.end[0].wg, w.end[0].peer, false, w.now);
        sp_test_pair_run(&w, 100 * SP_MS);
    }
    assert_int_equal(initiations(0), 2);
    sp_wg_peer_handshake(w.end[0].wg, w.end[0].peer, true, w.now);
    sp_test_pair_pull(&w);
    assert_int_equal(initiations(0), 3);
    sp_wg_peer_handshake(w.end[0].wg, w.end[0].peer, true, w.now); /* one was made in this moment */
    sp_test_pair_pull(&w);
    assert_int_equal(initiations(0), 3);
    sp_test_pair_done(&w);
}

/* Who has just answered does not initiate at once, though it has something to say: the peer may be about to confirm. If that does
 * not come, it does after 5 s. */
static bool no_data(struct sp_test_pair *p, unsigned to, uint8_t *data, size_t len) {
    return to == 0 || data[0] != SP_WG_TYPE_DATA;
}

static void responder_waits_before_it_initiates(void **state) {
    sp_test_pair_new(&w, NULL, NULL);
    w.filter = no_data;
    sp_wg_peer_handshake(w.end[0].wg, w.end[0].peer, true, w.now);
    sp_test_pair_run(&w, SP_SEC);
    assert_true(sp_wg_peer_up(w.end[0].peer, w.now));
    assert_int_equal(sp_test_pair_send(&w, 1, 1, 10), SP_ERR_AGAIN);
    sp_test_pair_run(&w, 4 * SP_SEC);
    assert_int_equal(initiations(1), 0);
    sp_test_pair_run(&w, SP_SEC);
    assert_int_equal(initiations(1), 1);
    assert_true(sp_wg_peer_up(w.end[1].peer, w.now));
    assert_int_equal(initiations(0), 1);
    sp_test_pair_done(&w);
}

/* Keepalives that find no session ask for one, no faster than anything else does. */
static void keepalives_without_a_session(void **state) {
    sp_test_pair_new(&w, NULL, NULL);
    w.cut[1] = true;
    sp_wg_peer_keepalive(w.end[0].wg, w.end[0].peer, 1, w.now);
    sp_test_pair_run(&w, 21 * SP_SEC);
    assert_in_range(initiations(0), 4, 5);
    sp_test_pair_done(&w);
}

/* P 6.2: the initiator renews after 120 s of use, the responder does not, and nothing is lost meanwhile. */
static void initiator_rekeys_after_120_s(void **state) {
    start();
    traffic(0, SP_SEC, 119 * SP_SEC);
    assert_int_equal(initiations(0), 1);
    traffic(0, SP_SEC, 3 * SP_SEC);
    assert_int_equal(initiations(0), 2);
    assert_int_equal(w.end[0].answered, 2);
    traffic(0, SP_SEC, 600 * SP_SEC);
    assert_in_range(initiations(0), 6, 7);
    assert_int_equal(initiations(1), 0);
    sp_test_pair_done(&w);
}

/* After handshakes that crossed both sides are initiators. They do not cross again. */
static void crossed_sessions_are_renewed_by_one(void **state) {
    sp_test_pair_new(&w, NULL, NULL);
    for (unsigned i = 0; i < 2; i++)
        sp_wg_peer_handshake(w.end[i].wg, w.end[i].peer, true, w.now);
    sp_test_pair_run(&w, SP_SEC);
    for (unsigned i = 0; i < 140; i++) {
        assert_int_equal(sp_test_pair_send(&w, 0, 1, 16), SP_OK);
        assert_int_equal(sp_test_pair_send(&w, 1, 1, 16), SP_OK);
        sp_test_pair_run(&w, SP_SEC);
    }
    assert_int_equal(initiations(0) + initiations(1), 3);
    assert_int_equal(w.end[0].data, 140);
    assert_int_equal(w.end[1].data, 140);
    sp_test_pair_done(&w);
}

static void traffic_both_ways_rekeys_without_loss(void **state) {
    start();
    for (unsigned i = 0; i < 400; i++) {
        traffic(0, SP_SEC, SP_SEC);
        traffic(1, SP_SEC, SP_SEC);
    }
    assert_in_range(initiations(0) + initiations(1), 6, 8);
    sp_test_pair_done(&w);
}

/* Whoever initiated and only listens sends empty messages, and renews by them as by data. */
static void listening_initiator_rekeys(void **state) {
    start();
    traffic(1, 500 * SP_MS, 119 * SP_SEC);
    assert_int_equal(initiations(0), 1);
    traffic(1, 500 * SP_MS, 12 * SP_SEC);
    assert_int_equal(initiations(0), 2);
    traffic(1, 500 * SP_MS, 600 * SP_SEC);
    assert_int_equal(initiations(1), 0);
    sp_test_pair_done(&w);
}

/* P 6.2: data that comes in the last 15 s of a session makes its initiator renew it at once, and only once. */
static void last_minute_rekey(void **state) {
    start();
    sp_test_pair_run(&w, sp_test_pair_stats(&w, 0).handshake_at + 164 * SP_SEC - w.now);
    w.cut[1] = true;
    assert_int_equal(sp_test_pair_send(&w, 1, 1, 10), SP_OK);
    sp_test_pair_run(&w, 990 * SP_MS);
    assert_int_equal(initiations(0), 1);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(sp_test_pair_send(&w, 1, 1, 10), SP_OK);
        sp_test_pair_run(&w, 200 * SP_MS);
        assert_int_equal(initiations(0), 2);
    }
    sp_test_pair_done(&w);
}

/* P 6.2: nothing is sealed or opened 180 s after the handshake, and the keys are gone then. */
static void sessions_end_after_180_s(void **state) {
    start();
    sp_instant born = sp_test_pair_stats(&w, 0).handshake_at;
    sp_test_pair_run(&w, born + 180 * SP_SEC - 1 - w.now);
    assert_true(sp_wg_peer_up(w.end[0].peer, w.now));
    assert_int_equal(sp_test_pair_send(&w, 0, 1, 10), SP_OK); /* arrives too late */
    size_t used = w.end[0].mem.used;
    unsigned got = w.end[1].data;
    w.filter = NULL;
    sp_test_pair_run(&w, 1);
    assert_false(sp_wg_peer_up(w.end[0].peer, w.now));
    assert_true(w.end[0].mem.used < used);
    assert_int_equal(sp_test_pair_send(&w, 0, 1, 10), SP_ERR_AGAIN);
    sp_test_pair_run(&w, w.delay);
    assert_int_equal(w.end[1].data, got);
    sp_test_pair_done(&w);
}

/* P 6.5: data that is not answered with data within 10 s is answered with an empty message; idle tunnels are silent. */
static void passive_keepalive_after_10_s(void **state) {
    start();
    unsigned before = w.end[0].keepalives;
    assert_int_equal(sp_test_pair_send(&w, 0, 1, 10), SP_OK);
    sp_test_pair_run(&w, 10 * SP_SEC);
    assert_int_equal(w.end[0].keepalives, before);
    sp_test_pair_run(&w, 100 * SP_MS);
    assert_int_equal(w.end[0].keepalives, before + 1);
    unsigned sent = w.end[0].sent[SP_WG_TYPE_DATA] + w.end[1].sent[SP_WG_TYPE_DATA];
    sp_test_pair_run(&w, 100 * SP_SEC);
    assert_int_equal(w.end[0].sent[SP_WG_TYPE_DATA] + w.end[1].sent[SP_WG_TYPE_DATA], sent);
    assert_int_equal(initiations(0) + initiations(1), 1);
    sp_test_pair_done(&w);
}

/* Data that comes all the time is answered every 10 s, not more often. */
static void passive_keepalives_are_sparse(void **state) {
    start();
    unsigned before = w.end[0].keepalives;
    traffic(0, 100 * SP_MS, 60 * SP_SEC);
    assert_in_range(w.end[0].keepalives - before, 5, 6);
    sp_test_pair_done(&w);
}

/* P 6.5: data sent and nothing heard for 15 s: a new handshake. */
static void silence_brings_a_handshake(void **state) {
    start();
    w.cut[1] = true;
    assert_int_equal(sp_test_pair_send(&w, 0, 1, 10), SP_OK);
    sp_test_pair_run(&w, 15 * SP_SEC - 1);
    assert_int_equal(initiations(0), 1);
    sp_test_pair_run(&w, 400 * SP_MS);
    assert_int_equal(initiations(0), 2);
    w.cut[1] = false;
    sp_test_pair_run(&w, 6 * SP_SEC);
    assert_int_equal(w.end[0].answered, 2);
    sp_test_pair_done(&w);
}

static void persistent_keepalive(void **state) {
    start();
    unsigned before = w.end[1].keepalives;
    sp_wg_peer_keepalive(w.end[0].wg, w.end[0].peer, 25, w.now);
    sp_test_pair_run(&w, 100 * SP_SEC + SP_SEC);
    assert_int_equal(w.end[1].keepalives - before, 4);
    /* It keeps the session itself alive: it is sent under keys, so they are renewed. */
    sp_test_pair_run(&w, 1000 * SP_SEC);
    assert_true(sp_wg_peer_up(w.end[0].peer, w.now));
    /* Over an outage of any length. */
    w.cut[1] = true;
    sp_test_pair_run(&w, 1000 * SP_SEC);
    assert_false(sp_wg_peer_up(w.end[0].peer, w.now));
    w.cut[1] = false;
    sp_test_pair_run(&w, 31 * SP_SEC);
    assert_true(sp_wg_peer_up(w.end[0].peer, w.now));
    sp_wg_peer_keepalive(w.end[0].wg, w.end[0].peer, 0, w.now);
    before = w.end[1].keepalives;
    sp_test_pair_run(&w, 300 * SP_SEC);
    assert_int_equal(w.end[1].keepalives, before);
    sp_test_pair_done(&w);
}

static void persistent_keepalive_starts_a_session(void **state) {
    sp_test_pair_new(&w, NULL, NULL);
    sp_wg_peer_keepalive(w.end[0].wg, w.end[0].peer, 25, w.now);
    sp_test_pair_run(&w, SP_SEC);
    assert_true(sp_wg_peer_up(w.end[0].peer, w.now));
    sp_test_pair_done(&w);
}

/* The peer restarts and has forgotten all: what it cannot open brings a new handshake within 15 s or so; a reset brings it at once. */
static void sessions_come_back(void **state) {
    start();
    sp_wg_peer_reset(w.end[1].wg, w.end[1].peer);
    assert_int_equal(sp_test_pair_send(&w, 0, 1, 10), SP_OK);
    sp_test_pair_run(&w, 16 * SP_SEC);
    traffic(0, SP_SEC, 2 * SP_SEC);
    sp_wg_peer_reset(w.end[0].wg, w.end[0].peer);
    assert_false(sp_wg_peer_up(w.end[0].peer, w.now));
    assert_int_equal(sp_test_pair_send(&w, 0, 1, 10), SP_ERR_AGAIN);
    sp_test_pair_run(&w, SP_SEC);
    traffic(0, SP_SEC, 2 * SP_SEC);
    sp_test_pair_done(&w);
}

/* P 5.1: our stamps only grow, over a clock that is set back and over a restart with the floor that was kept. */
static void timestamps_only_grow(void **state) {
    start();
    uint64_t kept = sp_wg_timestamp_s(w.end[0].wg);
    assert_in_range(kept, 1699999999, 1700000000); /* the clock is told in steps */
    for (unsigned i = 0; i < 3; i++) {
        w.wall.ns -= 3600 * SP_SEC;
        sp_test_pair_run(&w, SP_SEC);
        sp_wg_peer_handshake(w.end[0].wg, w.end[0].peer, true, w.now);
        sp_test_pair_run(&w, SP_SEC);
        assert_int_equal(w.end[0].answered, i + 2);
    }
    kept = sp_wg_timestamp_s(w.end[0].wg);
    struct sp_wg_config c = {.mem = &w.end[0].mem, .rng = &w.end[0].rng, .peers = 2, .initiations_per_s = 9, .initiations_max = 9,
                             .timestamp_floor_s = kept};
    memcpy(c.secret, w.end[0].secret, 32);
    sp_wg_free(w.end[0].wg);
    assert_int_equal(sp_wg_new(&w.end[0].wg, &c, w.now), SP_OK);
    assert_int_equal(sp_wg_peer_add(w.end[0].wg, sp_wg_public(w.end[1].wg), NULL, NULL, w.now, &w.end[0].peer), SP_OK);
    sp_wg_peer_handshake(w.end[0].wg, w.end[0].peer, true, w.now);
    sp_test_pair_run(&w, SP_SEC);
    assert_true(sp_wg_peer_up(w.end[0].peer, w.now));
    assert_int_equal(sp_wg_timestamp_s(w.end[0].wg), kept + 1);
    sp_test_pair_done(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(retries_for_90_s),
        cmocka_unit_test(asks_at_most_every_5_s),
        cmocka_unit_test(responder_waits_before_it_initiates),
        cmocka_unit_test(keepalives_without_a_session),
        cmocka_unit_test(initiator_rekeys_after_120_s),
        cmocka_unit_test(crossed_sessions_are_renewed_by_one),
        cmocka_unit_test(traffic_both_ways_rekeys_without_loss),
        cmocka_unit_test(listening_initiator_rekeys),
        cmocka_unit_test(last_minute_rekey),
        cmocka_unit_test(sessions_end_after_180_s),
        cmocka_unit_test(passive_keepalive_after_10_s),
        cmocka_unit_test(passive_keepalives_are_sparse),
        cmocka_unit_test(silence_brings_a_handshake),
        cmocka_unit_test(persistent_keepalive),
        cmocka_unit_test(persistent_keepalive_starts_a_session),
        cmocka_unit_test(sessions_come_back),
        cmocka_unit_test(timestamps_only_grow),
    };
    return cmocka_run_group_tests_name("wg_timers", tests, init, NULL);
}
