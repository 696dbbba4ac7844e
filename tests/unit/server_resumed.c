/* A server that was saved and goes on, perhaps twice: what it forgets, what it keeps, and that twins differ. */
#include "tests/unit/session_help.h"

static const uint8_t seed_a[SP_RNG_SEED] = {1}, seed_b[SP_RNG_SEED] = {2};

static void resumed(const uint8_t seed[SP_RNG_SEED]) {
    r.wall.ns += 3 * SP_HOUR; /* somewhere else it is later, but no time has passed for us */
    sp_server_resumed(r.s, r.now, r.wall, seed);
    rig_turn(&r);
}

/* ---- sessions ---- */

static void sessions_end_and_begin_anew(void **state) {
    struct sp_plan plan;
    struct sp_session_msg m;
    channel_ab(&plan);
    assert_int_equal(r.s->overlay->pairs.count, 1);
    rig_forget(&r);
    resumed(seed_a);
    assert_int_equal(rig_sent_count(&r, SP_OUT_DATAGRAM, 0), 0); /* without a word */
    assert_int_equal(counts()->ended, 2);
    assert_int_equal(r.s->overlay->sessions.count, 0);
    assert_int_equal(r.s->overlay->pairs.count, 0);
    /* What was sealed for the old session, and what goes through its channel, is nobody's. */
    uint64_t lost = counts()->dropped_index;
    size_t n = sp_session_query_write(5, &b.name, SP_TYPE_KEY, buf, sizeof buf);
    assert_false(fake_ask(&a, buf, n, &m));
    assert_int_equal(counts()->dropped_index, lost + 1);
    fake_forget(&b);
    fake_frame(&a, plan.channel, "x", 1);
    fake_take(&b);
    assert_int_equal(b.count, 0);
    /* New ones. */
    rig_wait(&r, 6 * SP_SEC);
    channel_ab(&plan);
    n = sp_session_query_write(6, &b.name, SP_TYPE_KEY, buf, sizeof buf);
    assert_true(fake_ask(&a, buf, n, &m));
    assert_int_equal(m.rcode, SP_RCODE_NOERROR);
    rig_forget(&r);
    rig_wait(&r, SP_HOUR); /* no timer of what is gone is left */
}

static void sequences_have_a_new_epoch(void **state) {
    struct sp_session_msg m;
    struct sp_name zone = name_of(RIG_ZONE);
    assert_true(fake_handshake(&a));
    size_t n = sp_session_peers_write(5, &zone, buf, sizeof buf);
    assert_true(fake_ask(&a, buf, n, &m) && m.has_seq);
    uint64_t before = m.seq.epoch;
    resumed(seed_a);
    rig_wait(&r, 6 * SP_SEC);
    assert_true(fake_handshake(&a));
    n = sp_session_peers_write(6, &zone, buf, sizeof buf);
    assert_true(fake_ask(&a, buf, n, &m) && m.has_seq);
    assert_int_not_equal(m.seq.epoch, before);
}

/* ---- twins ---- */

/* What the server shows of its randomness after a session and a resume: an epoch, an index, a cookie's secret. */
struct shown {
    uint64_t epoch;
    uint32_t index;
    uint8_t secret[16], next[32];
};

static void show(const uint8_t seed[SP_RNG_SEED], struct shown *ret) {
    begin(NULL);
    assert_true(fake_handshake(&a));
    rig_forget(&r);
    if (seed != NULL)
        resumed(seed);
    rig_wait(&r, 6 * SP_SEC);
    rig_forget(&r);
    a.read = 0;
    assert_true(fake_handshake(&a));
    const struct rig_out *response = rig_sent(&r, SP_OUT_DATAGRAM, 0, 0);
    assert_non_null(response);
    assert_int_equal(response->data[0], SP_WG_TYPE_RESPONSE);
    *ret = (struct shown){.epoch = r.s->overlay->epoch, .index = sp_get_u32(response->data + 4)};
    memcpy(ret->secret, r.s->view.cookies.now, sizeof ret->secret);
    sp_rng_fill(&r.s->rng, ret->next, sizeof ret->next);
    end(NULL);
}

static bool differ_in_all(const struct shown *x, const struct shown *y) {
    return x->epoch != y->epoch && x->index != y->index && memcmp(x->secret, y->secret, sizeof x->secret) != 0 &&
           memcmp(x->next, y->next, sizeof x->next) != 0;
}

static void twins_differ(void **state) {
    struct shown plain, one, same, other;
    show(NULL, &plain);
    show(seed_a, &one);
    show(seed_a, &same);
    show(seed_b, &other);
    /* The seed alone makes the difference: all else is repeated to the bit. */
    assert_memory_equal(one.next, same.next, sizeof one.next);
    assert_memory_equal(one.secret, same.secret, sizeof one.secret);
    assert_int_equal(one.index, same.index);
    assert_true(differ_in_all(&one, &other));
    assert_true(differ_in_all(&plain, &one));
    assert_true(differ_in_all(&plain, &other));
}

/* ---- DNS goes on ---- */

static size_t query_with_cookie(const uint8_t *cookie, size_t len) {
    size_t n = rig_query(buf, sizeof buf, 9, "me.example.", SP_TYPE_SOA, true, 0);
    sp_put_u16(buf + n - 2, (uint16_t)(4 + len)); /* the OPT's length is its last field */
    sp_put_u16(buf + n, SP_EDNS_COOKIE);
    sp_put_u16(buf + n + 2, (uint16_t)len);
    memcpy(buf + n + 4, cookie, len);
    return n + 4 + len;
}

static void old_cookies_are_none(void **state) {
    uint8_t cookie[24] = {1, 2, 3, 4, 5, 6, 7, 8};
    sp_cookie_make(&r.s->view.cookies, cookie, &rig_client, r.wall, cookie);
    assert_non_null(rig_udp(&r, buf, query_with_cookie(cookie, sizeof cookie)));
    assert_int_equal(r.s->scratch->counts.cookies_good, 1);
    sp_server_resumed(r.s, r.now, r.wall, seed_a);
    const struct rig_out *o = rig_udp(&r, buf, query_with_cookie(cookie, sizeof cookie));
    assert_non_null(o);
    assert_int_equal(rig_rcode(o->data, o->len), SP_RCODE_NOERROR);
    assert_int_equal(r.s->scratch->counts.cookies_good, 1);
    assert_int_equal(r.s->scratch->counts.cookies_bad, 1);
}

static uint32_t inception(void) {
    uint8_t q[512];
    const struct rig_out *o = rig_udp(&r, q, rig_query(q, sizeof q, 1, "me.example.", SP_TYPE_SOA, true, SP_EDNS_DO));
    assert_non_null(o);
    assert_int_equal(rig_answers(o->data, o->len, SP_TYPE_RRSIG), 1);
    /* Of the RRSIG's RDATA: type covered, algorithm, labels, original TTL, expiration, inception. */
    static const uint8_t covers[4] = {0, SP_TYPE_SOA, 15, 2};
    for (size_t i = 0; i + 16 < o->len; i++)
        if (memcmp(o->data + i, covers, sizeof covers) == 0)
            return sp_get_u32(o->data + i + 12);
    fail();
    return 0;
}

/* The wall clock goes where it likes: signatures are of its time, and none is shown before it is valid. */
static void signatures_follow_the_wall_clock(void **state) {
    uint32_t before = inception();
    r.wall.ns += 90 * 24 * SP_HOUR;
    assert_in_range(inception(), before + 80 * 86400, sp_wall_sec(r.wall));
    r.wall.ns -= 180 * 24 * SP_HOUR;
    assert_in_range(inception(), 1, sp_wall_sec(r.wall));
    r.wall.ns += 90 * 24 * SP_HOUR;
    assert_int_equal(inception(), before);
}

/* ---- what was on its way ---- */

static size_t signed_update(uint16_t id, const char *owner) {
    struct sp_tsig_key key;
    struct sp_tsig_state tsig = {0};
    rig_tsig(&key);
    struct sp_wr wr = sp_wr_init(buf, sizeof buf);
    wr.pos += rig_update_a(buf, sizeof buf, id, RIG_ZONE, owner, "192.0.2.9");
    assert_int_equal(sp_tsig_sign(&wr, &key, r.wall, NULL, false, &tsig), SP_OK);
    return sp_wr_len(&wr);
}

static void an_update_on_its_way_is_kept(void **state) {
    rig_init(&r, 256);
    rig_start(&r);
    rig_zone(&r);
    rig_forget(&r);
    r.hold_flush = true;
    assert_null(rig_udp(&r, buf, signed_update(7, "kept.me.example.")));
    resumed(seed_a);
    struct sp_storage_state at;
    sp_server_storage(r.s, &at);
    assert_int_equal(at.storage, SP_STORAGE_DURABLE);
    assert_int_equal(at.unwritten, 1);
    assert_int_equal(at.blocks, 256);
    rig_disk_go_on(&r);
    const struct rig_out *o = rig_sent(&r, SP_OUT_DATAGRAM, 0, 0);
    assert_non_null(o);
    assert_int_equal(sp_get_u16(o->data), 7);
    assert_int_equal(rig_rcode(o->data, o->len), SP_RCODE_NOERROR);
    sp_server_storage(r.s, &at);
    assert_int_equal(at.unwritten, 0);
    rig_power_cut(&r);
    uint8_t q[512];
    o = rig_udp(&r, q, rig_query(q, sizeof q, 1, "kept.me.example.", SP_TYPE_A, false, 0));
    assert_int_equal(rig_answers(o->data, o->len, SP_TYPE_A), 1);
    rig_end(&r);
}

static void a_failed_disk_is_told(void **state) {
    struct sp_storage_state at;
    rig_init(&r, 256);
    rig_start(&r);
    rig_zone(&r);
    r.fail = true;
    assert_non_null(rig_udp(&r, buf, signed_update(7, "lost.me.example.")));
    sp_server_storage(r.s, &at);
    assert_int_equal(at.storage, SP_STORAGE_FAILED);
    assert_int_equal(at.unwritten, 1);
    sp_server_stop(r.s, r.now);
    rig_turn(&r);
    assert_true(r.stopped);
    rig_end(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(sessions_end_and_begin_anew),       TEST(sequences_have_a_new_epoch),
        cmocka_unit_test(twins_differ),          TEST(old_cookies_are_none),
        TEST(signatures_follow_the_wall_clock),  cmocka_unit_test(an_update_on_its_way_is_kept),
        cmocka_unit_test(a_failed_disk_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
