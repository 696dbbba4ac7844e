/* The signing rule in virtual time: a CPU that takes 4 us an answer and 25 us a signature. */
#include "tests/unit/cm.h"

#include <stdio.h>

#include "signpostd/core/signing.h"
#include "tests/support/server_rig.h"

struct load {
    double warm, cold;                         /* datagrams a second offered, at most */
    size_t warm_outstanding, cold_outstanding; /* 0: open loop */
};
struct done {
    uint64_t warm, signed_cold, refused;
};

/* Serves both kinds for a second. Open loops queue up to 10,000 datagrams of either kind, shared first come first
 * served. */
static struct done serve(struct sp_signing *g, struct load l, sp_duration span) {
    struct done d = {0};
    sp_instant now = SP_SEC, end = now + span, last = now;
    double warm_due = (double)l.warm_outstanding, cold_due = (double)l.cold_outstanding;
    sp_signing_init(g, 2, now);
    while (now < end) {
        double dt = (double)(now - last) / 1e9;
        last = now;
        if (l.warm_outstanding == 0)
            warm_due += l.warm * dt;
        if (l.cold_outstanding == 0)
            cold_due += l.cold * dt;
        if (warm_due < 1 && cold_due < 1) {
            now += 20 * SP_US;
            continue;
        }
        /* The socket's buffer is fair: a batch of 256 holds each kind by its share of the queue. */
        double queue = warm_due + cold_due, fit = queue < 256 ? 1 : 256 / queue;
        size_t warm = (size_t)(warm_due * fit), cold = (size_t)(cold_due * fit);
        if (queue > 10000) {
            warm_due *= 10000 / queue;
            cold_due *= 10000 / queue;
        }
        uint32_t kept, allow = sp_signing_begin(g, now, warm + cold, &kept);
        size_t made = cold < allow ? cold : allow;
        sp_signing_end(g, warm + cold, cold, made, made);
        d.warm += warm;
        d.signed_cold += made;
        d.refused += cold - made;
        now += (warm + cold) * 4 * SP_US + made * 25 * SP_US + 2 * SP_US;
        if (l.warm_outstanding == 0)
            warm_due -= (double)warm < warm_due ? (double)warm : warm_due;
        if (l.cold_outstanding == 0)
            cold_due -= (double)cold < cold_due ? (double)cold : cold_due;
    }
    return d;
}

static void cold_load_runs_at_full_speed(void **state) {
    struct sp_signing g;
    const size_t outstanding[] = {1, 16, 64, 200, 256};
    for (size_t i = 0; i < sizeof outstanding / sizeof *outstanding; i++) {
        struct done d = serve(&g, (struct load){.cold_outstanding = outstanding[i]}, SP_SEC);
        assert_true(d.refused == 0);
        assert_true(d.signed_cold > 25000);
    }
}

static void warm_name_keeps_its_rate(void **state) {
    struct sp_signing g;
    struct done alone = serve(&g, (struct load){.warm_outstanding = 100}, SP_SEC);
    struct done slow = serve(&g, (struct load){.warm_outstanding = 100, .cold = 20000}, SP_SEC);
    assert_true((double)slow.warm > 0.8 * (double)alone.warm);
    assert_true(slow.refused > 0 && slow.signed_cold > 500);
}

static void warm_queries_survive_a_wild_flood(void **state) {
    struct sp_signing g;
    /* 5 k/s of warm queries beside 150 k/s of random names: all are answered, few are signed. */
    struct done d = serve(&g, (struct load){.warm = 5000, .cold = 150000}, SP_SEC);
    assert_true(d.warm > 4000);
    assert_true(d.signed_cold < 8000);
}

static void light_mixed_load_is_not_throttled(void **state) {
    struct sp_signing g;
    struct done d = serve(&g, (struct load){.warm = 5000, .cold = 5000}, SP_SEC);
    assert_true(d.refused == 0);
    assert_in_range(d.signed_cold, 4800, 5100);
}

static void forgets_after_a_pause(void **state) {
    struct sp_signing g;
    uint32_t kept;
    sp_signing_init(&g, 2, 0);
    (void)sp_signing_begin(&g, 0, 256, &kept);
    sp_signing_end(&g, 256, 128, 128, 128);
    uint32_t throttled = sp_signing_begin(&g, SP_MS, 256, &kept);
    assert_int_equal(throttled, 4);
    assert_int_equal(kept, 16);
    sp_signing_end(&g, 0, 0, 0, 0);
    assert_true(sp_signing_begin(&g, SP_SEC, 256, &kept) == UINT32_MAX);
}

/* The same through a server: n datagrams of which every `warm_every`-th asks for a warm name, the others for new ones.
 */
static void batch(struct rig *r, unsigned n, unsigned warm_every, const char *cold, unsigned *serial, size_t *ret_cut) {
    static struct sp_in in[256];
    static uint8_t msgs[256][128];
    char name[64];
    rig_forget(r);
    for (unsigned i = 0; i < n; i++) {
        snprintf(name, sizeof name, "%s%u.me.example.", cold, (*serial)++);
        const char *ask = warm_every > 0 && i % warm_every == 0 ? "ns.me.example." : name;
        in[i] = (struct sp_in){.kind = SP_IN_DATAGRAM, .data = msgs[i], .src = rig_client, .dst = rig_server};
        in[i].len = rig_query(msgs[i], sizeof msgs[i], (uint16_t)i, ask, SP_TYPE_A, true, SP_EDNS_DO);
    }
    rig_in(r, in, n);
    assert_int_equal(rig_sent_count(r, SP_OUT_DATAGRAM, 0), n);
    *ret_cut = 0;
    for (unsigned i = 0; i < n; i++) {
        const struct rig_out *o = rig_sent(r, SP_OUT_DATAGRAM, 0, i);
        bool cut = sp_get_u16(o->data + 2) & SP_FLAG_TC;
        *ret_cut += cut;
        if (warm_every > 0 && i % warm_every == 0)
            assert_false(cut);
    }
    r->now += 2 * SP_MS;
}

static void a_server_follows_the_rule(void **state) {
    static struct rig r;
    unsigned serial = 0;
    size_t cut;
    rig_init(&r, 0);
    rig_start(&r);
    rig_zone(&r);
    for (unsigned i = 0; i < 20; i++) {
        batch(&r, 200, 0, "x", &serial, &cut);
        assert_int_equal(cut, 0);
    }
    batch(&r, 200, 2, "x", &serial, &cut); /* what competes is known from the next batch on */
    for (unsigned i = 0; i < 20; i++) {
        batch(&r, 200, 2, "x", &serial, &cut);
        assert_in_range(cut, 100 - 9, 100 - 1);
    }
    r.now += SP_SEC;
    batch(&r, 20, 2, "x", &serial, &cut);
    assert_int_equal(cut, 0);
    rig_end(&r);
}

/* What is there is signed faster than what is not: a server that has just started warms up while it is busy. */
static void names_that_exist_warm_up(void **state) {
    static struct rig r;
    static char text[2000 * 32];
    char *p = text;
    unsigned serial = 0, batches = 0;
    size_t cut = 1;
    for (unsigned i = 0; i < 2000; i++)
        p += sprintf(p, "h%u 60 A 192.0.2.1\n", i);
    rig_init(&r, 0);
    rig_start(&r);
    rig_zone(&r);
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_IMPORT, RIG_ZONE, text, NULL), SP_OP_OK);
    batch(&r, 200, 2, "h", &serial, &cut);
    for (size_t all = 1; all > 0; batches++) {
        all = 0;
        for (serial = 0; serial < 2000;) {
            batch(&r, 200, 2, "h", &serial, &cut);
            assert_in_range(cut, 0, 100 - 13);
            all += cut;
        }
        assert_true(batches < 20);
    }
    assert_true(batches >= 2); /* not at once, either */
    rig_end(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cold_load_runs_at_full_speed),
        cmocka_unit_test(warm_name_keeps_its_rate),
        cmocka_unit_test(warm_queries_survive_a_wild_flood),
        cmocka_unit_test(light_mixed_load_is_not_throttled),
        cmocka_unit_test(forgets_after_a_pause),
        cmocka_unit_test(a_server_follows_the_rule),
        cmocka_unit_test(names_that_exist_warm_up),
    };
    return cmocka_run_group_tests_name("server_budget", tests, NULL, NULL);
}
