/* Floods from strangers: STUN and handshakes. */
#include "tests/unit/session_help.h"

static size_t stun_request(uint8_t *out) {
    struct sp_stun q = {.method = SP_STUN_BINDING, .class = SP_STUN_REQUEST, .id = {1, 2, 3}};
    return sp_stun_write(&q, out, SP_STUN_MAX);
}

static void stun_is_answered_within_its_budget(void **state) {
    uint8_t msg[SP_STUN_MAX];
    size_t n = stun_request(msg);
    const struct rig_out *o = rig_udp(&r, msg, n);
    assert_non_null(o);
    struct sp_stun ret;
    assert_int_equal(sp_stun_read(&ret, o->data, o->len), SP_OK);
    assert_memory_equal(&ret.mapped, &rig_client, sizeof ret.mapped);
    unsigned answered = 0;
    for (unsigned i = 0; i < 3000; i++)
        answered += rig_udp(&r, msg, n) != NULL;
    assert_in_range(answered, 900, 1100); /* two seconds' worth of 500 */
    assert_true(counts()->dropped_stun_budget >= 1900);
    /* Others and DNS go on. */
    struct sp_in in = {.kind = SP_IN_DATAGRAM, .data = msg, .len = n, .src = a.addr, .dst = rig_server};
    rig_forget(&r);
    rig_in(&r, &in, 1);
    assert_int_equal(r.count, 1);
    o = rig_udp(&r, buf, rig_query(buf, sizeof buf, 1, "ns.me.example.", SP_TYPE_A, false, 0));
    assert_int_equal(rig_answers(o->data, o->len, SP_TYPE_A), 1);
}

/* Initiations from forged sources: cookies are asked for, no state is kept, whom we know gets through. */
static void a_flood_of_handshakes_costs_no_state(void **state) {
    static struct fake x;
    uint8_t msg[SP_WG_INITIATION];
    fake_init(&x, &r, "mallory.me.example.", 66, false);
    assert_true(fake_handshake(&a));
    size_t used = r.s->mem.used;
    assert_int_equal(sp_wg_initiate(x.wg, x.signpost, r.now, r.wall, msg), SP_OK);
    for (unsigned i = 0; i < 4000; i++) {
        x.addr.ip[1] = (uint8_t)(i >> 8);
        x.addr.ip[2] = (uint8_t)i;
        fake_raw(&x, msg, sizeof msg);
        rig_forget(&r);
    }
    assert_int_equal(r.s->overlay->sessions.count, 1);
    assert_int_equal(r.s->mem.used, used);
    const struct sp_wg_counts *wg = sp_wg_counts(r.s->overlay->realms[0]->wg);
    assert_true(wg->cookies_sent > 1000);
    fake_forget(&a);
    struct sp_probe p = {.kind = SP_PROBE_PING, .cookie = 9, .size = 16};
    fake_plain(&a, buf, sp_probe_write(&p, buf, sizeof buf));
    assert_int_equal(a.count, 1);
    fake_end(&x);
}

/* Under a flood a device that nobody knows yet proves its address by a cookie. */
static void a_new_device_gets_through_a_flood(void **state) {
    static struct fake x;
    uint8_t msg[SP_WG_INITIATION];
    fake_init(&x, &r, "mallory.me.example.", 66, false);
    assert_int_equal(sp_wg_initiate(x.wg, x.signpost, r.now, r.wall, msg), SP_OK);
    for (unsigned round = 0; round < 3 && !sp_wg_peer_up(a.signpost, r.now); round++) {
        for (unsigned i = 0; i < 2000; i++) {
            x.addr.ip[2] = (uint8_t)i;
            fake_raw(&x, msg, sizeof msg);
            rig_forget(&r);
        }
        (void)fake_handshake(&a);
        r.now += 6 * SP_SEC;
        r.wall.ns += 6 * SP_SEC;
    }
    assert_int_equal(a.cookies, 1);
    assert_int_equal(a.responses, 1);
    fake_end(&x);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(stun_is_answered_within_its_budget),
        TEST(a_flood_of_handshakes_costs_no_state),
        TEST(a_new_device_gets_through_a_flood),
    };
    return cmocka_run_group_tests_name("server_flood", tests, NULL, NULL);
}
