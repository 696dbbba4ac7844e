#include "tests/unit/cm.h"

#include <string.h>

#include "tests/support/wg_pair.h"

static struct sp_test_pair w;

static int init(void **state) {
    return sp_crypto_init() == SP_OK ? 0 : 1;
}

static void both_ways(void) {
    unsigned before[2] = {w.end[0].data, w.end[1].data};
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(sp_test_pair_send(&w, i, (uint8_t)(0x41 + i), 100), SP_OK);
        sp_test_pair_run(&w, 2 * w.delay);
        assert_int_equal(w.end[!i].data, before[!i] + 1);
        assert_int_equal(w.end[!i].last_len, 112); /* padded to 16 */
        assert_int_equal(w.end[!i].last[99], 0x41 + i);
        assert_int_equal(w.end[!i].last[100], 0);
    }
}

static void handshake_and_data(void **state) {
    sp_test_pair_new(&w, NULL, NULL);
    assert_false(sp_wg_peer_up(w.end[0].peer, w.now));
    assert_int_equal(sp_test_pair_send(&w, 0, 1, 100), SP_ERR_AGAIN); /* asks for the handshake */
    sp_test_pair_run(&w, 2 * w.delay);
    assert_int_equal(w.end[0].answered, 1);
    assert_true(sp_wg_peer_up(w.end[0].peer, w.now));
    assert_false(sp_wg_peer_up(w.end[1].peer, w.now)); /* not before the initiator has confirmed */
    sp_test_pair_run(&w, w.delay);
    assert_true(sp_wg_peer_up(w.end[1].peer, w.now));
    assert_int_equal(w.end[1].fresh, 1);
    assert_int_equal(w.end[1].keepalives, 1);
    both_ways();
    assert_int_equal(w.end[0].sent[SP_WG_TYPE_INITIATION], 1);
    assert_int_equal(w.end[1].sent[SP_WG_TYPE_RESPONSE], 1);
    assert_int_equal(sp_wg_counts(w.end[0].wg)->handshakes, 1);
    assert_int_equal(sp_wg_counts(w.end[1].wg)->handshakes, 1);
    sp_test_pair_done(&w);
}

/* The caller's first data is the confirmation: no empty message beside it. */
static void data_confirms(void **state) {
    sp_test_pair_new(&w, NULL, NULL);
    sp_wg_peer_handshake(w.end[0].wg, w.end[0].peer, true, w.now);
    sp_test_pair_pull(&w);
    struct sp_test_flight f = w.flight[0];
    struct sp_wg_got got;
    uint8_t out[200];
    w.flying = 0;
    sp_wg_input(w.end[1].wg, w.now, w.wall, w.end[0].from, 18, f.data, f.len, out, &got);
    assert_int_equal(got.kind, SP_WG_REPLY);
    assert_ptr_equal(got.peer, w.end[1].peer);
    assert_int_equal(got.reply_len, SP_WG_RESPONSE);
    sp_wg_input(w.end[0].wg, w.now, w.wall, w.end[1].from, 18, got.reply, got.reply_len, out, &got);
    assert_int_equal(got.kind, SP_WG_ANSWERED);
    assert_int_equal(sp_test_pair_send(&w, 0, 9, 32), SP_OK);
    sp_test_pair_run(&w, SP_SEC);
    assert_int_equal(w.end[1].data, 1);
    assert_int_equal(w.end[1].keepalives, 0);
    assert_int_equal(w.end[1].fresh, 1);
    sp_test_pair_done(&w);
}

static void preshared_keys_must_agree(void **state) {
    uint8_t psk[32] = {1, 2, 3};
    sp_test_pair_new(&w, NULL, psk);
    sp_test_pair_up(&w);
    both_ways();
    sp_wg_peer_remove(w.end[1].wg, w.end[1].peer);
    psk[31] = 1;
    assert_int_equal(sp_wg_peer_add(w.end[1].wg, sp_wg_public(w.end[0].wg), psk, NULL, w.now, &w.end[1].peer), SP_OK);
    sp_wg_peer_reset(w.end[0].wg, w.end[0].peer);
    sp_wg_peer_handshake(w.end[0].wg, w.end[0].peer, true, w.now);
    sp_test_pair_run(&w, SP_SEC);
    assert_false(sp_wg_peer_up(w.end[0].peer, w.now));
    assert_int_equal(sp_wg_counts(w.end[0].wg)->dropped_auth, 1);
    sp_test_pair_done(&w);
}

static void simultaneous_initiations_converge(void **state) {
    sp_test_pair_new(&w, NULL, NULL);
    for (unsigned i = 0; i < 2; i++)
        sp_wg_peer_handshake(w.end[i].wg, w.end[i].peer, true, w.now);
    sp_test_pair_run(&w, 2 * w.delay);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(w.end[i].answered, 1);
        assert_true(sp_wg_peer_up(w.end[i].peer, w.now));
    }
    both_ways();
    both_ways();
    sp_test_pair_run(&w, 100 * SP_SEC);
    both_ways();
    /* Nobody had to try again. */
    assert_int_equal(w.end[0].sent[SP_WG_TYPE_INITIATION] + w.end[1].sent[SP_WG_TYPE_INITIATION], 2);
    sp_test_pair_done(&w);
}

/* Sessions are renewed from both sides at once while data flies both ways: nothing is lost, though each side has data under way that
 * was sealed two sessions ago. */
static void crossing_rekeys_lose_nothing(void **state) {
    sp_test_pair_new(&w, NULL, NULL);
    sp_test_pair_up(&w);
    unsigned sent = 0;
    for (unsigned i = 0; i < 200; i++) {
        if (i % 20 == 3)
            for (unsigned end = 0; end < 2; end++)
                sp_wg_peer_handshake(w.end[end].wg, w.end[end].peer, true, w.now);
        for (unsigned end = 0; end < 2; end++)
            assert_int_equal(sp_test_pair_send(&w, end, 1, 64), SP_OK);
        sent++;
        sp_test_pair_run(&w, 3 * SP_MS);
    }
    sp_test_pair_run(&w, SP_SEC);
    assert_int_equal(w.end[0].data, sent);
    assert_int_equal(w.end[1].data, sent);
    assert_int_equal(w.end[0].answered, 11);
    sp_test_pair_done(&w);
}

/* Crossing, and any one of the four handshake messages is lost: data flows both ways after a retry at the latest. */
static unsigned lose;
static bool lose_one(struct sp_test_pair *p, unsigned to, uint8_t *data, size_t len) {
    return data[0] > SP_WG_TYPE_RESPONSE || lose-- != 0;
}

static void crossing_initiations_survive_a_loss(void **state) {
    for (unsigned lost = 0; lost < 4; lost++) {
        sp_test_pair_new(&w, NULL, NULL);
        lose = lost;
        w.filter = lose_one;
        for (unsigned i = 0; i < 2; i++)
            sp_wg_peer_handshake(w.end[i].wg, w.end[i].peer, true, w.now);
        sp_test_pair_run(&w, 6 * SP_SEC);
        both_ways();
        both_ways();
        sp_test_pair_done(&w);
    }
}

static struct sp_test_flight first;
static bool keep_first(struct sp_test_pair *p, unsigned to, uint8_t *data, size_t len) {
    if (first.len == 0) {
        first.len = len;
        memcpy(first.data, data, len);
    }
    return true;
}

static void replayed_initiations_are_dropped(void **state) {
    sp_test_pair_new(&w, NULL, NULL);
    first.len = 0;
    w.filter = keep_first;
    sp_test_pair_up(&w);
    unsigned replies = w.end[1].replies;
    sp_test_pair_run(&w, SP_SEC);
    sp_test_pair_fly(&w, 1, first.data, first.len);
    sp_test_pair_run(&w, SP_SEC);
    assert_int_equal(w.end[1].replies, replies);
    assert_int_equal(sp_wg_counts(w.end[1].wg)->dropped_timestamp, 1);
    both_ways();
    sp_test_pair_done(&w);
}

/* One bit anywhere in an initiation or a response, with a mac1 that is wrong, or right (anybody who knows our public key can make
 * one): dropped, and the true message that follows is taken as if nothing had been. */
static unsigned flip_type;
static void resign(const struct sp_wg *wg, uint8_t *msg, size_t len) {
    uint8_t key[32];
    struct sp_piece label[] = {{"mac1----", 8}, {sp_wg_public(wg), 32}}, body = {msg, len - 32};
    sp_blake2s(NULL, 0, label, 2, key, 32);
    sp_blake2s(key, 32, &body, 1, msg + len - 32, 16);
}

static bool forge_all(struct sp_test_pair *p, unsigned to, uint8_t *data, size_t len) {
    uint8_t out[SP_TEST_WG_MSG], forged[SP_WG_INITIATION];
    struct sp_wg_got got;
    if (data[0] != flip_type)
        return true;
    for (size_t bit = 0; bit < 16 * (len - 16); bit++) { /* mac2 is not looked at without load */
        memcpy(forged, data, len);
        forged[bit / 16] ^= (uint8_t)(1 << bit / 2 % 8);
        if (bit % 2 == 1)
            resign(p->end[to].wg, forged, len);
        /* The sender's index is covered by mac1 alone; and a mac1 that is made right again is the true one. */
        if (bit % 2 == 1 && (bit / 16 >= len - 32 || (bit / 16 >= 4 && bit / 16 < 8)))
            continue;
        sp_wg_input(p->end[to].wg, p->now, p->wall, p->end[!to].from, 18, forged, len, out, &got);
        assert_true(got.kind == SP_WG_DROPPED || (got.kind == SP_WG_REPLY && got.reply_len == SP_WG_COOKIE));
    }
    return true;
}

static void forgeries_change_nothing(void **state) {
    struct sp_wg_config c = {.peers = 4, .initiations_per_s = 10000, .initiations_max = 10000};
    for (flip_type = SP_WG_TYPE_INITIATION; flip_type <= SP_WG_TYPE_RESPONSE; flip_type++) {
        sp_test_pair_new(&w, &c, NULL);
        w.filter = forge_all;
        sp_wg_peer_handshake(w.end[0].wg, w.end[0].peer, true, w.now);
        sp_test_pair_run(&w, 6 * SP_SEC); /* the true response may have to be asked for again: forged ones came first */
        both_ways();
        sp_test_pair_done(&w);
    }
}

static void strangers_are_named(void **state) {
    struct sp_wg_got got;
    uint8_t out[SP_WG_INITIATION], msg[SP_WG_INITIATION], pub[32];
    sp_test_pair_new(&w, NULL, NULL);
    memcpy(pub, sp_wg_public(w.end[0].wg), 32);
    sp_wg_peer_remove(w.end[1].wg, w.end[1].peer);
    assert_int_equal(sp_wg_initiate(w.end[0].wg, w.end[0].peer, w.now, w.wall, msg), SP_OK);
    assert_int_equal(sp_wg_initiate(w.end[0].wg, w.end[0].peer, w.now, w.wall, out), SP_ERR_AGAIN);
    sp_wg_input(w.end[1].wg, w.now, w.wall, w.end[0].from, 18, msg, sizeof msg, out, &got);
    assert_int_equal(got.kind, SP_WG_UNKNOWN);
    assert_memory_equal(got.pub, pub, 32);
    assert_int_equal(sp_wg_peer_add(w.end[1].wg, pub, NULL, NULL, w.now, &w.end[1].peer), SP_OK);
    sp_wg_input(w.end[1].wg, w.now, w.wall, w.end[0].from, 18, msg, sizeof msg, out, &got);
    assert_int_equal(got.kind, SP_WG_REPLY);
    sp_test_pair_done(&w);
}

static void peers_are_bounded_and_sound(void **state) {
    struct sp_wg_config c = {.peers = 3, .initiations_per_s = 10, .initiations_max = 10};
    struct sp_wg_peer *p;
    uint8_t pub[32] = {0};
    sp_test_pair_new(&w, &c, NULL);
    assert_int_equal(sp_wg_peer_add(w.end[0].wg, pub, NULL, NULL, w.now, &p), SP_ERR_BADKEY);
    assert_int_equal(sp_wg_peer_add(w.end[0].wg, sp_wg_public(w.end[0].wg), NULL, NULL, w.now, &p), SP_ERR_BADKEY);
    assert_int_equal(sp_wg_peer_add(w.end[0].wg, sp_wg_public(w.end[1].wg), NULL, NULL, w.now, &p), SP_ERR_EXIST);
    for (pub[0] = 9; pub[0] < 11; pub[0]++)
        assert_int_equal(sp_wg_peer_add(w.end[0].wg, pub, NULL, &w, w.now, &p), SP_OK);
    assert_ptr_equal(sp_wg_peer_user(p), &w);
    assert_int_equal(sp_wg_peer_pub(p)[0], 10);
    assert_int_equal(sp_wg_peer_add(w.end[0].wg, pub, NULL, NULL, w.now, &p), SP_ERR_FULL);
    sp_wg_peer_remove(w.end[0].wg, p);
    assert_int_equal(sp_wg_peer_add(w.end[0].wg, pub, NULL, NULL, w.now, &p), SP_OK);
    sp_test_pair_done(&w);
}

static void shapes(void **state) {
    uint8_t m[200] = {0};
    static const struct {
        uint8_t type;
        size_t good, low;
    } kinds[] = {{1, 148, 0}, {2, 92, 0}, {3, 64, 0}, {4, 0, 32}};
    for (unsigned k = 0; k < 4; k++)
        for (size_t len = 0; len <= sizeof m; len++) {
            m[0] = kinds[k].type;
            m[1] = m[3] = 0;
            bool good = kinds[k].good != 0 ? len == kinds[k].good : len >= kinds[k].low;
            assert_int_equal(sp_wg_shaped(m, len), good);
            m[3] = 1;
            assert_false(sp_wg_shaped(m, len));
        }
    m[3] = 0;
    m[0] = 5;
    assert_false(sp_wg_shaped(m, 148));
    /* The device drops and counts them all. */
    struct sp_wg_got got;
    uint8_t out[200];
    sp_test_pair_new(&w, NULL, NULL);
    for (m[0] = 0; m[0] < 6; m[0]++)
        for (size_t len = 0; len < 32; len++) {
            sp_wg_input(w.end[0].wg, w.now, w.wall, w.end[1].from, 18, m, len, out, &got);
            assert_int_equal(got.kind, SP_WG_DROPPED);
        }
    assert_int_equal(sp_wg_counts(w.end[0].wg)->dropped_shape, 6 * 32);
    sp_test_pair_done(&w);
}

/* Two devices behind one port: fixed bits tell whose a message is. */
/* The first byte of an index on the wire makes it no DNS message. */
static void indices_are_no_dns_counts(void **state) {
    uint8_t m[SP_WG_INITIATION], seen = 0;
    sp_test_pair_new(&w, NULL, NULL);
    for (unsigned i = 0; i < 100; i++) {
        w.now += SP_SEC;
        assert_int_equal(sp_wg_initiate(w.end[0].wg, w.end[0].peer, w.now, w.wall, m), SP_OK);
        assert_true(m[4] >= 0x80);
        seen |= m[5] ^ 0xff;
    }
    assert_int_equal(seen, 0xff);
    sp_test_pair_done(&w);
}

static void indices_and_mac1_tell_devices_apart(void **state) {
    struct sp_wg_config c = {.peers = 4, .initiations_per_s = 10, .initiations_max = 10, .index_base = 0x00030080, .index_mask = 0x00ff0080};
    uint8_t m[SP_WG_INITIATION];
    sp_test_pair_new(&w, &c, NULL);
    for (unsigned i = 0; i < 50; i++) {
        w.now += SP_SEC;
        assert_int_equal(sp_wg_initiate(w.end[0].wg, w.end[0].peer, w.now, w.wall, m), SP_OK);
        assert_int_equal(m[6], 3);
        assert_true(m[4] >= 0x80);
    }
    assert_true(sp_wg_mine(w.end[1].wg, m, sizeof m));
    assert_false(sp_wg_mine(w.end[0].wg, m, sizeof m));
    assert_false(sp_wg_mine(w.end[1].wg, m, sizeof m - 1));
    w.now += SP_SEC;
    sp_test_pair_up(&w);
    assert_int_equal(sp_test_pair_send(&w, 0, 1, 16), SP_OK);
    assert_true(sp_wg_index_lives(w.end[1].wg, w.flight[0].data, w.flight[0].len));
    assert_false(sp_wg_index_lives(w.end[0].wg, w.flight[0].data, w.flight[0].len));
    sp_wg_peer_reset(w.end[1].wg, w.end[1].peer);
    assert_false(sp_wg_index_lives(w.end[1].wg, w.flight[0].data, w.flight[0].len));
    sp_test_pair_done(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handshake_and_data),
        cmocka_unit_test(data_confirms),
        cmocka_unit_test(preshared_keys_must_agree),
        cmocka_unit_test(simultaneous_initiations_converge),
        cmocka_unit_test(crossing_rekeys_lose_nothing),
        cmocka_unit_test(crossing_initiations_survive_a_loss),
        cmocka_unit_test(replayed_initiations_are_dropped),
        cmocka_unit_test(forgeries_change_nothing),
        cmocka_unit_test(strangers_are_named),
        cmocka_unit_test(peers_are_bounded_and_sound),
        cmocka_unit_test(shapes),
        cmocka_unit_test(indices_are_no_dns_counts),
        cmocka_unit_test(indices_and_mac1_tell_devices_apart),
    };
    return cmocka_run_group_tests_name("wg_handshake", tests, init, NULL);
}
