/* Budgets for verifying signatures: global, strangers', per prefix, per key; UDP and TCP apart. DESIGN: "A name points
 * to a key". */
#include "tests/unit/cm.h"

#include <stdio.h>

#include "tests/support/update_rig.h"

static struct upd *rig_of(uint32_t global, uint32_t stranger, uint32_t prefix, uint32_t key) {
    struct sp_updater_config config;
    sp_updater_config_default(&config);
    config.budgets.verify_per_s = config.budgets.verify_tcp_per_s = global;
    config.budgets.verify_stranger_per_s = stranger;
    config.budgets.verify_prefix_per_s = prefix;
    config.budgets.verify_key_per_s = key;
    return upd_new_with(&config);
}

static struct sp_addr from(uint8_t a, uint8_t b, uint8_t c, uint8_t d) {
    return (struct sp_addr){.ip = {a, b, c, d}, .port = 1000, .family = 4};
}

static void corrupt(struct upd *r) {
    struct sp_msg m;
    assert_int_equal(sp_msg_parse(&m, r->out, r->out_len), SP_OK);
    r->out[r->out_len - 1] ^= 1;
}

/* How many of n badly signed updates are verified at all. */
static unsigned flood(struct upd *r, const char *name, const struct sp_ed25519 *key, unsigned n) {
    uint64_t before = sp_updater_counts(r->u)->verifications;
    for (unsigned i = 0; i < n; i++) {
        char line[64];
        snprintf(line, sizeof line, "add %s 60 A 192.0.2.1", name);
        upd_begin(r);
        upd_line(r, line);
        upd_opt(r, 0, 0, 0);
        upd_sign(r, name, key);
        corrupt(r);
        assert_int_equal(upd_send(r), SP_RCODE_REFUSED);
        assert_int_equal(r->msg.flags & SP_FLAG_TC, 0);
        assert_true(r->ede >= 0);
    }
    return (unsigned)(sp_updater_counts(r->u)->verifications - before);
}

static void prefix_of_strangers(void **state) {
    struct upd *r = rig_of(100000, 100000, 10, 100000);
    struct sp_ed25519 key = upd_key(1), phone = upd_key(2);
    upd_device(r, "laptop", &key);
    upd_device(r, "phone", &phone);
    r->src = from(203, 0, 113, 5);
    assert_int_equal(flood(r, "laptop", &key, 100), 20); /* two seconds' worth */
    assert_int_equal(r->up.why, SP_REFUSED_budget_prefix);
    assert_int_equal(sp_updater_counts(r->u)->by_reason[SP_REFUSED_budget_prefix], 80);
    /* A neighbour in the /24 shares it, one outside does not. */
    r->src = from(203, 0, 113, 200);
    assert_int_equal(upd_update(r, "phone", &phone, "add phone 60 A 192.0.2.1"), SP_RCODE_REFUSED);
    assert_int_equal(r->up.why, SP_REFUSED_budget_prefix);
    assert_string_equal(r->ede_text, "too many signed messages from this network; try again later");
    assert_int_equal(r->msg.auth, SP_AUTH_NONE);
    r->src = from(203, 0, 114, 200);
    assert_int_equal(upd_update(r, "phone", &phone, "add phone 60 A 192.0.2.1"), 0);
    /* TCP has a budget of its own, so forged datagrams do not close it. */
    r->src = from(203, 0, 113, 200);
    r->via = SP_VIA_TCP;
    upd_pass(r, SP_MS);
    assert_int_equal(upd_update(r, "phone", &phone, "add phone 60 A 192.0.2.2"), 0);
    /* Time refills. */
    r->via = SP_VIA_UDP;
    r->src = from(203, 0, 113, 5);
    upd_pass(r, SP_SEC);
    assert_int_equal(flood(r, "laptop", &key, 100), 10);
    upd_free(r);
}

static void ipv6_prefix_is_56(void **state) {
    struct upd *r = rig_of(100000, 100000, 10, 100000);
    struct sp_ed25519 key = upd_key(1);
    upd_device(r, "laptop", &key);
    r->src = (struct sp_addr){.ip = {0x20, 1, 0xd, 0xb8, 0, 1, 2, 3, 9}, .family = 6};
    assert_int_equal(flood(r, "laptop", &key, 30), 20);
    r->src.ip[7] = 99; /* the same /56 */
    assert_int_equal(flood(r, "laptop", &key, 30), 0);
    r->src.ip[6] = 99;
    assert_int_equal(flood(r, "laptop", &key, 30), 20);
    upd_free(r);
}

static void proven_sources_pass_a_flood(void **state) {
    struct upd *r = rig_of(100000, 50, 40, 100000);
    struct sp_ed25519 key = upd_key(1), phone = upd_key(2);
    struct sp_addr home = from(198, 51, 100, 7);
    char line[64];
    upd_device(r, "laptop", &key);
    upd_device(r, "phone", &phone);
    r->src = home;
    assert_int_equal(upd_update(r, "laptop", &key, "add laptop 60 A 192.0.2.1"), 0);
    for (unsigned i = 0; i < 300; i++) {
        r->src = from(203, 0, (uint8_t)i, 1); /* from everywhere, and from home's own network */
        flood(r, "laptop", &key, 1);
        r->src = from(198, 51, 100, 8);
        flood(r, "phone", &phone, 1);
    }
    assert_int_equal(r->up.why, SP_REFUSED_budget_global); /* the strangers' share is gone */
    for (unsigned i = 0; i < 300; i++) {
        r->src = home;
        r->src.port = (uint16_t)(2000 + i); /* behind a NAT that renumbers */
        snprintf(line, sizeof line, "add laptop 60 A 192.0.3.%u", i % 250);
        assert_int_equal(upd_update(r, "laptop", &key, line), 0);
        upd_pass(r, 10 * SP_MS);
    }
    /* From elsewhere the same key is a stranger, and home is not proven for ever. */
    r->src = from(192, 0, 2, 1);
    assert_false(sp_use_proven(sp_use_find(r->u, 1, SP_AUTH_SIG0, &r->up.signer.name, key.pub), &r->src, r->now));
    assert_true(sp_use_proven(sp_use_find(r->u, 1, SP_AUTH_SIG0, &r->up.signer.name, key.pub), &home, r->now));
    assert_false(
        sp_use_proven(sp_use_find(r->u, 1, SP_AUTH_SIG0, &r->up.signer.name, key.pub), &home, r->now + 16 * SP_MIN));
    upd_free(r);
}

static void per_key(void **state) {
    struct upd *r = rig_of(100000, 100000, 100000, 10);
    struct sp_ed25519 key = upd_key(1), phone = upd_key(2);
    unsigned good = 0;
    char line[64];
    upd_device(r, "laptop", &key);
    upd_device(r, "phone", &phone);
    for (unsigned i = 0; i < 100; i++) {
        snprintf(line, sizeof line, "add laptop 60 A 192.0.2.%u", i);
        good += upd_update(r, "laptop", &key, line) == 0;
    }
    assert_int_equal(good, 21); /* the first as a stranger, then two seconds' worth */
    assert_int_equal(r->up.why, SP_REFUSED_budget_key);
    assert_int_equal(upd_update(r, "phone", &phone, "add phone 60 A 192.0.2.2"), 0);
    upd_free(r);
}

static void global(void **state) {
    struct upd *r = rig_of(10, 100000, 100000, 100000);
    struct sp_ed25519 key = upd_key(1);
    upd_device(r, "laptop", &key);
    assert_int_equal(flood(r, "laptop", &key, 100), 20);
    assert_int_equal(r->up.why, SP_REFUSED_budget_global);
    r->via = SP_VIA_TCP;
    assert_int_equal(flood(r, "laptop", &key, 100), 20);
    upd_free(r);
}

/* A refusal that its owner must learn of is signed, within the strangers' budget; beyond that it is plain. */
static void unknown_keys_draw_on_it_too(void **state) {
    struct upd *r = rig_of(100000, 100000, 10, 100000);
    struct sp_ed25519 key = upd_key(1), other = upd_key(3);
    unsigned sealed = 0;
    upd_device(r, "laptop", &key);
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(upd_update(r, "laptop", &other, "add laptop 60 A 192.0.2.1"), SP_RCODE_REFUSED);
        assert_int_equal(r->up.why, SP_REFUSED_sig0_badkey);
        sealed += r->msg.auth == SP_AUTH_SIG0;
    }
    assert_int_equal(sealed, 20);
    r->src = from(203, 0, 113, 1);
    assert_int_equal(upd_update(r, "laptop", &key, "add laptop 60 A 192.0.2.1"), 0);
    upd_free(r);
}

static void a_join_costs_three(void **state) {
    struct upd *r = rig_of(100000, 100000, 3, 10);
    struct sp_ed25519 key = upd_key(1), invite = upd_key(9);
    upd_invite(r, "laptop", &invite, UPD_WALL + 100);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(upd_join(r, "laptop", &key, &invite, UPD_WALL + 100, UPD_JOIN_BAD_PROOF), SP_RCODE_REFUSED);
    upd_pass(r, SP_MS);
    assert_int_equal(upd_join(r, "laptop", &key, &invite, UPD_WALL + 100, UPD_JOIN_WHOLE), SP_RCODE_REFUSED);
    assert_int_equal(r->up.why, SP_REFUSED_budget_prefix);
    upd_pass(r, SP_SEC);
    assert_int_equal(upd_join(r, "laptop", &key, &invite, UPD_WALL + 100, UPD_JOIN_WHOLE), 0);
    upd_free(r);
}

static void buckets(void **state) {
    struct sp_bucket b = {0};
    sp_instant now = 1000 * SP_SEC;
    sp_rate_take(&b, 0, 1, now);
    assert_false(sp_rate_has(&b, 0, 1, now)); /* nothing a second is nothing */
    assert_true(sp_rate_has(&b, 1, 5, now));  /* a full one gives any cost, */
    sp_rate_take(&b, 1, 5, now);
    assert_false(sp_rate_has(&b, 1, 1, now)); /* and pays it back */
    assert_false(sp_rate_has(&b, 1, 1, now + 3 * SP_SEC));
    assert_true(sp_rate_has(&b, 1, 1, now + 4 * SP_SEC));
}

static void prefix_table_is_bounded(void **state) {
    struct sp_budget budget;
    struct sp_budgets rates = {100000000, 100000000, 100000000, 1, 1, 1};
    struct sp_mem mem;
    static const uint8_t key[16] = {1};
    sp_mem_init(&mem, sp_test_grant(), (size_t)1 << 26);
    assert_int_equal(sp_budget_init(&budget, &mem, key, 8192), SP_OK);
    size_t used = mem.used;
    for (uint32_t i = 0; i < 100000; i++) {
        struct sp_addr a = from((uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i, 1);
        assert_int_equal(sp_budget_draw(&budget, &rates, SP_VIA_UDP, &a, NULL, 1, SP_SEC + i), SP_REFUSED_none);
    }
    assert_int_equal(mem.used, used);
    /* The newest is remembered. */
    struct sp_addr last = from(1, 0x86, 0x9f, 1);
    assert_int_equal(sp_budget_draw(&budget, &rates, SP_VIA_UDP, &last, NULL, 1, SP_SEC + 100000), SP_REFUSED_none);
    assert_int_equal(sp_budget_draw(&budget, &rates, SP_VIA_UDP, &last, NULL, 1, SP_SEC + 100000),
                     SP_REFUSED_budget_prefix);
    sp_budget_free(&budget, &mem);
    sp_mem_done(&mem);
}

static int setup(void **state) {
    return sp_crypto_init() == SP_OK ? 0 : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prefix_of_strangers),
        cmocka_unit_test(ipv6_prefix_is_56),
        cmocka_unit_test(proven_sources_pass_a_flood),
        cmocka_unit_test(per_key),
        cmocka_unit_test(global),
        cmocka_unit_test(unknown_keys_draw_on_it_too),
        cmocka_unit_test(a_join_costs_three),
        cmocka_unit_test(buckets),
        cmocka_unit_test(prefix_table_is_bounded),
    };
    return cmocka_run_group_tests_name("update_budget", tests, setup, NULL);
}
