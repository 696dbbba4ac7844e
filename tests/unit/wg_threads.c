/* Keypairs from many threads at once: every message is sealed under a counter of its own and opened once, while the device that
 * owns them rekeys and removes the peer. */
#include "tests/unit/cm.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"
#include "proto/linux/clock.h"
#include "proto/wg/keypair.h"

#define SEALERS  3
#define OPENERS  3
#define MESSAGES 4000 /* of each sealer */
#define PLAIN    32
#define WIRE     (PLAIN + SP_WG_OVERHEAD)
#define ALL      (SEALERS * MESSAGES)

struct end {
    struct sp_mem mem;
    struct sp_rng rng;
    struct sp_wg *wg;
    struct sp_wg_peer *peer;
};

static struct end ends[2];
static uint8_t messages[ALL][WIRE];
static _Atomic unsigned opened[ALL], replayed, dead;
static struct sp_wg_keypair *sealing, *opening;

static void give(unsigned to, const uint8_t *data, size_t len, struct sp_wg_got *ret) {
    uint8_t out[256];
    sp_wg_input(ends[to].wg, SP_SEC, (sp_wall){1}, (const uint8_t *)"from", 4, data, len, out, ret);
}

/* Both devices, with a session that both know of. */
static int set_up(void **state) {
    struct sp_wg_got got;
    struct sp_wg_peer *p;
    uint8_t msg[SP_WG_INITIATION], seed[SP_RNG_SEED] = {0};
    size_t len;
    if (sp_crypto_init() != SP_OK)
        return 1;
    for (unsigned i = 0; i < 2; i++) {
        struct sp_wg_config c = {.mem = &ends[i].mem, .rng = &ends[i].rng, .peers = 2, .initiations_per_s = 9, .initiations_max = 9};
        seed[0] = c.secret[5] = (uint8_t)(i + 1);
        sp_rng_init(&ends[i].rng, seed);
        sp_mem_init(&ends[i].mem, spl_grant(), 4 * SP_CHUNK);
        assert_int_equal(sp_wg_new(&ends[i].wg, &c, SP_SEC), SP_OK);
    }
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(sp_wg_peer_add(ends[i].wg, sp_wg_public(ends[!i].wg), NULL, NULL, SP_SEC, &ends[i].peer), SP_OK);
    assert_int_equal(sp_wg_initiate(ends[0].wg, ends[0].peer, SP_SEC, (sp_wall){1}, msg), SP_OK);
    give(1, msg, sizeof msg, &got);
    give(0, got.reply, got.reply_len, &got);
    assert_true(sp_wg_pull(ends[0].wg, SP_SEC, (sp_wall){1}, &p, msg, &len));
    assert_null(sp_wg_keypair_find(ends[1].wg, SP_SEC, msg, len)); /* its first message is for the device */
    give(1, msg, len, &got);
    assert_true(got.fresh);
    sealing = sp_wg_keypair_hold(ends[0].peer, SP_SEC);
    opening = sp_wg_keypair_find(ends[1].wg, SP_SEC, msg, len);
    assert_non_null(sealing);
    assert_non_null(opening);
    return 0;
}

static int tear_down(void **state) {
    for (unsigned i = 0; i < 2; i++) {
        sp_wg_free(ends[i].wg);
        assert_int_equal(ends[i].mem.used, 0);
        sp_mem_done(&ends[i].mem);
    }
    return 0;
}

static void *seal_some(void *arg) {
    struct sp_aead a;
    unsigned first = (unsigned)(uintptr_t)arg * MESSAGES;
    size_t len;
    sp_aead_sodium(&a);
    for (unsigned i = first; i < first + MESSAGES; i++) {
        memset(messages[i] + SP_WG_HEAD, 0, PLAIN);
        memcpy(messages[i] + SP_WG_HEAD, &i, sizeof i);
        if (sp_wg_keypair_seal(sealing, &a, messages[i], WIRE, PLAIN, &len) != SP_OK || len != WIRE)
            abort();
    }
    return NULL;
}

/* Every opener gets every message, from a start of its own, so each comes from several threads at about the same time. */
static void *open_all(void *arg) {
    struct sp_aead a;
    uint8_t out[PLAIN];
    unsigned n, start = (unsigned)(uintptr_t)arg * 7;
    sp_aead_sodium(&a);
    for (unsigned i = 0; i < ALL; i++) {
        const uint8_t *m = messages[(i + start) % ALL];
        sp_err err = sp_wg_keypair_open(opening, &a, m, WIRE, out);
        if (err == SP_OK) {
            memcpy(&n, out, sizeof n);
            opened[n]++;
        } else if (err == SP_ERR_REPLAY) {
            replayed++;
        } else {
            abort();
        }
    }
    return NULL;
}

static void run(void *(*work)(void *), unsigned n, pthread_t *threads) {
    for (uintptr_t i = 0; i < n; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, (void *)i), 0);
}

static void join(unsigned n, pthread_t *threads) {
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static int by_counter(const void *a, const void *b) {
    return memcmp((const uint8_t *)a + 8, (const uint8_t *)b + 8, 2) != 0
               ? (((const uint8_t *)a)[9] << 8 | ((const uint8_t *)a)[8]) - (((const uint8_t *)b)[9] << 8 | ((const uint8_t *)b)[8])
               : 0;
}

static void every_message_is_opened_once(void **state) {
    pthread_t threads[SEALERS + OPENERS];
    struct sp_wg_peer_stats s;
    run(seal_some, SEALERS, threads);
    join(SEALERS, threads);
    sp_wg_peer_stats(ends[0].peer, &s);
    assert_int_equal(s.sealed, ALL + 1);
    qsort(messages, ALL, WIRE, by_counter);
    for (unsigned i = 0; i < ALL; i++) /* the confirmation was counter 0 */
        assert_int_equal(messages[i][9] << 8 | messages[i][8], i + 1);
    run(open_all, OPENERS, threads);
    join(OPENERS, threads);
    /* An opener that starts ahead may push the others' first messages out of the window, never make one be taken twice. */
    unsigned total = 0;
    for (unsigned i = 0; i < ALL; i++) {
        assert_true(opened[i] <= 1);
        total += opened[i];
    }
    assert_int_equal(total + replayed, OPENERS * ALL);
    assert_true(total > ALL * 9 / 10);
    sp_wg_peer_stats(ends[1].peer, &s);
    assert_int_equal(s.opened, total + 1);
    assert_int_equal(s.opened_bytes, (uint64_t)total * PLAIN);
}

/* What other threads do counts for the timers, a second later at most. */
static void the_device_notices(void **state) {
    struct sp_wg_peer_stats s;
    assert_true(sp_wg_deadline(ends[1].wg) <= 2 * SP_SEC);
    sp_wg_expire(ends[1].wg, 2 * SP_SEC);
    sp_wg_peer_stats(ends[1].peer, &s);
    assert_int_equal(s.heard_at, 2 * SP_SEC);
    assert_true(sp_wg_deadline(ends[1].wg) <= 3 * SP_SEC); /* still held */
    sp_wg_expire(ends[0].wg, 2 * SP_SEC);
    sp_wg_peer_stats(ends[0].peer, &s);
    assert_int_equal(s.sent_at, 2 * SP_SEC);
}

static void *seal_until_dead(void *arg) {
    struct sp_aead a;
    uint8_t buf[WIRE];
    size_t len;
    sp_aead_sodium(&a);
    while (sp_wg_keypair_seal(sealing, &a, buf, sizeof buf, PLAIN, &len) == SP_OK)
        ;
    dead++;
    sp_wg_keypair_release(sealing);
    return NULL;
}

/* The peer goes while threads seal: each of them sees an error next, lets go, and the last one's memory comes back. */
static void removal_reaches_all_threads(void **state) {
    pthread_t threads[SEALERS];
    sp_wg_keypair_release(sealing);
    for (unsigned i = 0; i < SEALERS; i++)
        assert_ptr_equal(sp_wg_keypair_hold(ends[0].peer, 2 * SP_SEC), sealing);
    run(seal_until_dead, SEALERS, threads);
    sp_wg_peer_remove(ends[0].wg, ends[0].peer);
    join(SEALERS, threads);
    assert_int_equal(dead, SEALERS);
    sp_wg_peer_reset(ends[1].wg, ends[1].peer);
    uint8_t out[PLAIN];
    struct sp_aead a;
    sp_aead_sodium(&a);
    assert_int_equal(sp_wg_keypair_open(opening, &a, messages[ALL - 1], WIRE, out), SP_ERR_STATE);
    size_t held = ends[1].mem.used;
    sp_wg_keypair_release(opening);
    sp_wg_expire(ends[1].wg, 3 * SP_SEC);
    assert_true(ends[1].mem.used < held);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_is_opened_once),
        cmocka_unit_test(the_device_notices),
        cmocka_unit_test(removal_reaches_all_threads),
    };
    return cmocka_run_group_tests_name("wg_threads", tests, set_up, tear_down);
}
