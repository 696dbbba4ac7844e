#include "tests/unit/cm.h"

#include <stdlib.h>
#include <string.h>

#include "proto/crypto/crypto.h"
#include "proto/relay/relay.h"

#define FRAME 100

struct rig {
    struct sp_mem mem;
    struct sp_rng rng;
    struct sp_relay *relay;
    sp_instant now;
};

static struct sp_relay_where place(unsigned n) {
    return (struct sp_relay_where){.addr = {{10, 0, (uint8_t)(n >> 8), (uint8_t)n}, 0, 51820, 4, 0},
                                   .local = {{192, 0, 2, 1}, 0, 443, 4, 0}};
}

static struct rig *rig_new(struct sp_relay_config config) {
    static const uint8_t seed[SP_RNG_SEED] = "relay";
    struct rig *g = calloc(1, sizeof *g);
    assert_int_equal(sp_crypto_init(), SP_OK);
    sp_rng_init(&g->rng, seed);
    sp_mem_init(&g->mem, sp_test_grant(), 8 * SP_CHUNK);
    config.mem = &g->mem;
    config.rng = &g->rng;
    config.idle = 60 * SP_SEC;
    assert_int_equal(sp_relay_new(&g->relay, &config), SP_OK);
    g->now = 1000 * SP_SEC;
    return g;
}

static void rig_free(struct rig *g) {
    sp_relay_free(g->relay);
    assert_int_equal(g->mem.used, 0);
    sp_mem_done(&g->mem);
    free(g);
}

static void join(struct rig *g, unsigned n) {
    struct sp_relay_where w = place(n);
    assert_int_equal(sp_relay_session(g->relay, n, &w, g->now), SP_OK);
}

static sp_err send_from(struct rig *g, unsigned n, uint32_t index, size_t bytes, struct sp_relay_where *to,
                        uint32_t *ret_index) {
    struct sp_relay_where w = place(n);
    return sp_relay_forward(g->relay, index, &w.addr, 0, bytes, g->now, to, ret_index);
}

/* A channel from 1 to 2 with both ends' consent. */
static void pair(struct rig *g, uint32_t *a, uint32_t *b) {
    join(g, 1);
    join(g, 2);
    assert_int_equal(sp_relay_open(g->relay, 1, 2, g->now, a, b), SP_OK);
    assert_int_equal(sp_relay_consent(g->relay, 2, *b), SP_OK);
}

static void shape(void **state) {
    uint8_t frame[SP_RELAY_HEAD + 32] = {0};
    sp_relay_head(frame, 0x80000001);
    assert_true(sp_relay_is(frame, sizeof frame));
    assert_int_equal(sp_relay_index(frame), 0x80000001);
    assert_false(sp_relay_is(frame, sizeof frame - 1));
    assert_false(sp_relay_is(frame, 0));
    frame[4] = 0x7f; /* could be DNS */
    assert_false(sp_relay_is(frame, sizeof frame));
    frame[4] = 0xff;
    for (unsigned i = 0; i < 4; i++) {
        frame[i] ^= 1;
        assert_false(sp_relay_is(frame, sizeof frame));
        frame[i] ^= 1;
    }
}

static void data_needs_consent_of_the_other_end(void **state) {
    struct rig *g = rig_new((struct sp_relay_config){.channels = 10, .channels_per_session = 5});
    struct sp_relay_where to;
    uint32_t a, b, index;
    join(g, 1);
    join(g, 2);
    assert_int_equal(sp_relay_open(g->relay, 1, 2, g->now, &a, &b), SP_OK);
    assert_true(a >= 0x80000000u && b >= 0x80000000u && a != b);
    assert_int_equal(send_from(g, 1, a, FRAME, &to, &index), SP_ERR_AGAIN);
    assert_int_equal(sp_relay_consent(g->relay, 1, b), SP_ERR_DENIED);
    assert_int_equal(sp_relay_consent(g->relay, 2, a), SP_ERR_DENIED);
    assert_int_equal(sp_relay_consent(g->relay, 2, b ^ 1), SP_ERR_NOENT);
    assert_int_equal(send_from(g, 1, a, FRAME, &to, &index), SP_ERR_AGAIN);
    /* A frame from an end is its consent. */
    assert_int_equal(send_from(g, 2, b, FRAME, &to, &index), SP_OK);
    struct sp_relay_where one = place(1), two = place(2);
    assert_memory_equal(&to, &one, sizeof to);
    assert_int_equal(index, a);
    assert_int_equal(send_from(g, 1, a, FRAME, &to, &index), SP_OK);
    assert_memory_equal(&to, &two, sizeof to);
    assert_int_equal(index, b);
    const struct sp_relay_counts *c = sp_relay_counts(g->relay);
    assert_int_equal(c->frames, 2);
    assert_int_equal(c->bytes, 2 * FRAME);
    assert_int_equal(c->dropped_consent, 2);
    rig_free(g);
}

static void one_channel_for_a_pair(void **state) {
    struct rig *g = rig_new((struct sp_relay_config){.channels = 10, .channels_per_session = 5});
    struct sp_relay_where to;
    uint32_t a, b, c, d, index;
    join(g, 1);
    join(g, 2);
    join(g, 3);
    assert_int_equal(sp_relay_open(g->relay, 1, 3, g->now, &a, &b), SP_OK);
    assert_int_equal(sp_relay_open(g->relay, 1, 2, g->now, &a, &b), SP_OK);
    /* From the other side: its ends the other way round, and now both have consented. */
    assert_int_equal(sp_relay_open(g->relay, 2, 1, g->now, &c, &d), SP_OK);
    assert_int_equal(a, d);
    assert_int_equal(b, c);
    assert_int_equal(send_from(g, 1, a, FRAME, &to, &index), SP_OK);
    assert_int_equal(sp_relay_counts(g->relay)->channels, 2);
    assert_int_equal(sp_relay_open(g->relay, 1, 1, g->now, &c, &d), SP_ERR_DENIED);
    assert_int_equal(sp_relay_open(g->relay, 1, 4, g->now, &c, &d), SP_ERR_NOENT);
    assert_int_equal(sp_relay_open(g->relay, 4, 1, g->now, &c, &d), SP_ERR_NOENT);
    rig_free(g);
}

static void frames_count_only_from_where_the_session_is(void **state) {
    struct rig *g = rig_new((struct sp_relay_config){.channels = 10, .channels_per_session = 5});
    struct sp_relay_where to, moved = place(7), stream = place(1);
    uint32_t a, b, index;
    pair(g, &a, &b);
    assert_int_equal(send_from(g, 7, a, FRAME, &to, &index), SP_ERR_DENIED);
    assert_int_equal(send_from(g, 2, a, FRAME, &to, &index), SP_ERR_DENIED);
    struct sp_relay_where w = place(1);
    w.addr.port++;
    assert_int_equal(sp_relay_forward(g->relay, a, &w.addr, 0, FRAME, g->now, &to, &index), SP_ERR_DENIED);
    w = place(1);
    assert_int_equal(sp_relay_forward(g->relay, a, &w.addr, 9, FRAME, g->now, &to, &index), SP_ERR_DENIED);
    assert_int_equal(sp_relay_counts(g->relay)->dropped_source, 4);
    assert_int_equal(send_from(g, 1, a, FRAME, &to, &index), SP_OK);
    /* It roams: frames follow it, and the old place is worth nothing. */
    assert_int_equal(sp_relay_session(g->relay, 1, &moved, g->now), SP_OK);
    assert_int_equal(send_from(g, 1, a, FRAME, &to, &index), SP_ERR_DENIED);
    assert_int_equal(send_from(g, 7, a, FRAME, &to, &index), SP_OK);
    assert_int_equal(send_from(g, 2, b, FRAME, &to, &index), SP_OK);
    assert_memory_equal(&to, &moved, sizeof to);
    /* To a stream. */
    stream.stream = 42;
    assert_int_equal(sp_relay_session(g->relay, 1, &stream, g->now), SP_OK);
    assert_int_equal(send_from(g, 1, a, FRAME, &to, &index), SP_ERR_DENIED);
    assert_int_equal(sp_relay_forward(g->relay, a, &stream.addr, 42, FRAME, g->now, &to, &index), SP_OK);
    assert_int_equal(send_from(g, 2, b, FRAME, &to, &index), SP_OK);
    assert_int_equal(to.stream, 42);
    rig_free(g);
}

/* Guessing is hopeless: 2^31 indices, and the source must be right too. */
static void indices_are_random(void **state) {
    struct rig *g = rig_new((struct sp_relay_config){.channels = 1000, .channels_per_session = 1000});
    struct sp_relay_where to;
    uint32_t a, b, low = UINT32_MAX, high = 0, index;
    join(g, 1);
    for (unsigned n = 2; n < 502; n++) {
        join(g, n);
        assert_int_equal(sp_relay_open(g->relay, 1, n, g->now, &a, &b), SP_OK);
        low = a < low ? a : low;
        high = b > high ? b : high;
    }
    assert_true(low >= 0x80000000u && low < 0x81000000u && high > 0xff000000u);
    unsigned found = 0;
    for (uint32_t i = 0; i < 10000; i++)
        found += send_from(g, 9, 0x80000000u + i, FRAME, &to, &index) != SP_ERR_NOENT;
    assert_int_equal(found, 0);
    assert_int_equal(sp_relay_counts(g->relay)->dropped_index, 10000);
    rig_free(g);
}

static void limits(void **state) {
    struct rig *g = rig_new((struct sp_relay_config){.sessions = 12, .channels = 8, .channels_per_session = 3});
    uint32_t a, b;
    for (unsigned n = 1; n <= 12; n++)
        join(g, n);
    struct sp_relay_where w = place(13);
    assert_int_equal(sp_relay_session(g->relay, 13, &w, g->now), SP_ERR_FULL);
    assert_int_equal(sp_relay_session(g->relay, 12, &w, g->now), SP_OK); /* moves */
    for (unsigned n = 2; n <= 4; n++)
        assert_int_equal(sp_relay_open(g->relay, 1, n, g->now, &a, &b), SP_OK);
    assert_int_equal(sp_relay_open(g->relay, 1, 5, g->now, &a, &b), SP_ERR_FULL);
    assert_int_equal(sp_relay_open(g->relay, 5, 1, g->now, &a, &b), SP_ERR_FULL);
    assert_int_equal(sp_relay_open(g->relay, 1, 4, g->now, &a, &b), SP_OK); /* is there already */
    for (unsigned n = 6; n <= 8; n++)
        assert_int_equal(sp_relay_open(g->relay, 5, n, g->now, &a, &b), SP_OK);
    assert_int_equal(sp_relay_open(g->relay, 9, 10, g->now, &a, &b), SP_OK);
    assert_int_equal(sp_relay_open(g->relay, 9, 11, g->now, &a, &b), SP_OK);
    assert_int_equal(sp_relay_open(g->relay, 9, 12, g->now, &a, &b), SP_ERR_FULL);
    assert_int_equal(sp_relay_counts(g->relay)->refused_full, 4);
    assert_int_equal(sp_relay_counts(g->relay)->channels, 8);
    /* A channel that closes makes room; only its own sessions close it. */
    assert_int_equal(sp_relay_open(g->relay, 1, 2, g->now, &a, &b), SP_OK);
    sp_relay_close(g->relay, 3, a);
    sp_relay_close(g->relay, 2, a);
    assert_int_equal(sp_relay_counts(g->relay)->channels, 8);
    sp_relay_close(g->relay, 2, b);
    assert_int_equal(sp_relay_counts(g->relay)->channels, 7);
    assert_int_equal(sp_relay_open(g->relay, 9, 12, g->now, &a, &b), SP_OK);
    sp_relay_session_end(g->relay, 9);
    assert_int_equal(sp_relay_counts(g->relay)->channels, 5);
    assert_int_equal(sp_relay_counts(g->relay)->sessions, 11);
    sp_relay_session_end(g->relay, 9);
    rig_free(g);
}

static void idle_channels_close(void **state) {
    struct rig *g = rig_new((struct sp_relay_config){.channels = 10, .channels_per_session = 5});
    struct sp_relay_where to;
    uint32_t a, b, c, d, index;
    assert_int_equal(sp_relay_deadline(g->relay), SP_NEVER);
    pair(g, &a, &b);
    join(g, 3);
    assert_int_equal(sp_relay_open(g->relay, 1, 3, g->now, &c, &d), SP_OK);
    assert_int_equal(sp_relay_deadline(g->relay), g->now + 60 * SP_SEC);
    g->now += 59 * SP_SEC;
    assert_int_equal(send_from(g, 2, b, FRAME, &to, &index), SP_OK);
    assert_int_equal(send_from(g, 1, c, FRAME, &to, &index), SP_ERR_AGAIN); /* does not keep it */
    g->now += SP_SEC;
    sp_relay_expire(g->relay, g->now);
    assert_int_equal(sp_relay_counts(g->relay)->expired, 1);
    assert_int_equal(send_from(g, 1, c, FRAME, &to, &index), SP_ERR_NOENT);
    assert_int_equal(send_from(g, 1, a, FRAME, &to, &index), SP_OK);
    assert_int_equal(sp_relay_deadline(g->relay), g->now + 59 * SP_SEC);
    g->now += 60 * SP_SEC;
    sp_relay_expire(g->relay, g->now);
    assert_int_equal(sp_relay_counts(g->relay)->channels, 0);
    assert_int_equal(sp_relay_deadline(g->relay), SP_NEVER);
    rig_free(g);
}

/* What passes in ten seconds of sending `bytes` every millisecond. */
static uint64_t passes(struct rig *g, unsigned from, uint32_t index, size_t bytes) {
    struct sp_relay_where to;
    uint32_t other;
    uint64_t before = sp_relay_counts(g->relay)->bytes;
    for (unsigned ms = 0; ms < 10000; ms++) {
        g->now += SP_MS;
        sp_err err = send_from(g, from, index, bytes, &to, &other);
        assert_true(err == SP_OK || err == SP_ERR_BUDGET);
    }
    return sp_relay_counts(g->relay)->bytes - before;
}

static void budgets(void **state) {
    struct rig *g = rig_new((struct sp_relay_config){
        .channels = 10, .channels_per_session = 5, .bytes_per_s = 100000, .bytes_per_s_total = 150000});
    uint32_t a, b;
    pair(g, &a, &b);
    /* Ten seconds' worth and the second that the bucket holds at the start. */
    uint64_t got = passes(g, 1, a, 1000);
    assert_in_range(got, 1099000, 1102000);
    assert_true(sp_relay_counts(g->relay)->dropped_budget > 8000);
    /* A batch that is larger than the bucket passes now and then. */
    g->now += 10 * SP_SEC;
    got = passes(g, 1, a, 300000);
    assert_in_range(got, 1000000, 1500000);
    /* The other session has a bucket of its own, and all together have one too. */
    g->now += 20 * SP_SEC;
    struct sp_relay_where to;
    uint32_t index;
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(send_from(g, 1, a, 1000, &to, &index), SP_OK);
    assert_int_equal(send_from(g, 1, a, 1000, &to, &index), SP_ERR_BUDGET);
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(send_from(g, 2, b, 1000, &to, &index), SP_OK);
    assert_int_equal(send_from(g, 2, b, 1000, &to, &index), SP_ERR_BUDGET);
    rig_free(g);
}

static void memory_runs_out(void **state) {
    struct rig *g = rig_new((struct sp_relay_config){.channels = 1u << 20, .channels_per_session = 1u << 20});
    uint32_t a, b;
    unsigned n = 1;
    join(g, n);
    sp_err err = SP_OK;
    while (err == SP_OK && ++n < 1u << 20) {
        struct sp_relay_where w = place(n);
        err = sp_relay_session(g->relay, n, &w, g->now);
        if (err == SP_OK)
            err = sp_relay_open(g->relay, 1, n, g->now, &a, &b);
    }
    assert_int_equal(err, SP_ERR_FULL);
    assert_true(n > 1000);
    sp_relay_session_end(g->relay, 1);
    assert_int_equal(sp_relay_counts(g->relay)->channels, 0);
    rig_free(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shape),
        cmocka_unit_test(data_needs_consent_of_the_other_end),
        cmocka_unit_test(one_channel_for_a_pair),
        cmocka_unit_test(frames_count_only_from_where_the_session_is),
        cmocka_unit_test(indices_are_random),
        cmocka_unit_test(limits),
        cmocka_unit_test(idle_channels_close),
        cmocka_unit_test(budgets),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
