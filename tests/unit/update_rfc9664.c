/* RFC 9664: leases: granted and echoed, refreshed without a trace, kept over a restart, ended. */
#include "tests/unit/cm.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/support/update_rig.h"

struct world {
    struct upd *r;
    struct sp_ed25519 key;
};

static struct world world(void) {
    struct world w = {upd_new(), upd_key(1)};
    upd_device(w.r, "laptop", &w.key);
    return w;
}

static uint32_t left_s(struct world *w, const char *name, uint16_t type) {
    struct sp_name n = upd_name(name);
    uint32_t granted;
    sp_instant due;
    if (!sp_updater_lease(w->r->u, w->r->zone, &n, type, w->r->now, &granted, &due))
        return 0;
    return (uint32_t)((due - w->r->now) / SP_SEC);
}

static void granted_and_echoed(void **state) {
    struct world w = world();
    static const struct {
        size_t len;
        uint32_t asked, key_asked, granted, key_granted;
    } rows[] = {
        {4, 3600, 0, 3600, 0},        {4, 1, 0, 30, 0},      {4, 0, 0, 30, 0},
        {4, 0xffffffff, 0, 86400, 0}, {8, 60, 600, 60, 600}, {8, 600, 60, 600, 600},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        upd_pass(w.r, SP_SEC);
        upd_begin(w.r);
        upd_line(w.r, "add laptop 60 A 192.0.2.1");
        upd_opt(w.r, rows[i].len, rows[i].asked, rows[i].key_asked);
        upd_sign(w.r, "laptop", &w.key);
        assert_int_equal(upd_send(w.r), 0);
        assert_int_equal(w.r->lease_len, rows[i].len);
        assert_int_equal(sp_get_u32(w.r->lease), rows[i].granted);
        if (rows[i].len == 8)
            assert_int_equal(sp_get_u32(w.r->lease + 4), rows[i].key_granted);
        assert_int_equal(left_s(&w, "laptop", SP_TYPE_A), rows[i].granted);
    }
    for (size_t len = 1; len < 12; len++) {
        if (len == 4 || len == 8)
            continue;
        upd_pass(w.r, SP_SEC);
        upd_begin(w.r);
        upd_opt(w.r, len, 60, 60);
        upd_sign(w.r, "laptop", &w.key);
        assert_int_equal(upd_send(w.r), SP_RCODE_FORMERR);
        assert_int_equal(w.r->up.why, SP_REFUSED_lease_form);
        assert_int_equal(w.r->lease_len, 0);
    }
    upd_free(w.r);
}

static void refresh_leaves_no_trace(void **state) {
    struct world w = world();
    static const char lines[] = "add laptop 60 A 192.0.2.1\nadd laptop 60 A 192.0.2.2\nadd laptop 60 TXT \"x\"";
    assert_int_equal(upd_update_lease(w.r, "laptop", &w.key, lines, 600), 0);
    assert_int_equal(sp_updater_counts(w.r->u)->leases, 3);
    uint32_t serial = upd_serial(w.r);
    size_t records = w.r->records;
    for (unsigned i = 0; i < 5; i++) {
        upd_pass(w.r, 480 * SP_SEC);
        assert_int_equal(upd_expire(w.r), 0);
        assert_int_equal(left_s(&w, "laptop", SP_TYPE_A), 120);
        assert_int_equal(upd_update_lease(w.r, "laptop", &w.key, lines, 600), 0);
        assert_int_equal(left_s(&w, "laptop", SP_TYPE_A), 600);
        assert_int_equal(left_s(&w, "laptop", SP_TYPE_TXT), 600);
        assert_int_equal(w.r->lease_len, 4);
    }
    assert_int_equal(upd_serial(w.r), serial);
    assert_int_equal(w.r->records, records);
    assert_int_equal(sp_updater_counts(w.r->u)->lease_refreshes, 15);
    /* Refreshed by deleting and adding, as scripts do. */
    upd_pass(w.r, 480 * SP_SEC);
    assert_int_equal(upd_update_lease(w.r, "laptop", &w.key,
                                      "delete laptop A\ndelete laptop TXT\nadd laptop 60 A 192.0.2.1\n"
                                      "add laptop 60 A 192.0.2.2\nadd laptop 60 TXT \"x\"",
                                      600),
                     0);
    assert_int_equal(left_s(&w, "laptop", SP_TYPE_A), 600);
    assert_int_equal(upd_serial(w.r), serial);
    assert_int_equal(w.r->records, records);
    upd_free(w.r);
}

static void expiry_removes(void **state) {
    struct world w = world();
    assert_int_equal(
        upd_update_lease(w.r, "laptop", &w.key, "add laptop 60 A 192.0.2.1\nadd a.laptop 60 TXT \"x\"", 60), 0);
    upd_pass(w.r, 30 * SP_SEC);
    assert_int_equal(upd_update_lease(w.r, "laptop", &w.key, "add laptop 60 A 192.0.2.2", 60), 0);
    uint32_t serial = upd_serial(w.r);
    assert_int_equal(sp_updater_deadline(w.r->u), w.r->now + 30 * SP_SEC);
    upd_pass(w.r, 29 * SP_SEC);
    assert_int_equal(upd_expire(w.r), 0);
    upd_pass(w.r, SP_SEC);
    /* One transaction for both; each record by its own time. */
    assert_int_equal(upd_expire(w.r), 1);
    assert_int_equal(upd_serial(w.r), serial + 1);
    assert_string_equal(upd_rrset(w.r, "laptop", "A"), "60 192.0.2.2");
    assert_string_equal(upd_rrset(w.r, "a.laptop", "TXT"), "");
    upd_pass(w.r, 30 * SP_SEC);
    assert_int_equal(upd_expire(w.r), 1);
    assert_string_equal(upd_rrset(w.r, "laptop", "A"), "");
    assert_string_not_equal(upd_rrset(w.r, "laptop", "KEY"), ""); /* identity is never leased */
    assert_int_equal(sp_updater_counts(w.r->u)->leases, 0);
    assert_int_equal(sp_updater_counts(w.r->u)->lease_expiries, 3);
    assert_int_equal(sp_updater_deadline(w.r->u), SP_NEVER);
    upd_free(w.r);
}

static void without_the_option_there_is_no_lease(void **state) {
    struct world w = world();
    assert_int_equal(upd_update(w.r, "laptop", &w.key, "add laptop 60 A 192.0.2.1"), 0);
    assert_int_equal(left_s(&w, "laptop", SP_TYPE_A), 0);
    /* A lease comes, and goes again: both are changes to remember. */
    size_t records = w.r->records;
    uint32_t serial = upd_serial(w.r);
    upd_pass(w.r, SP_SEC);
    assert_int_equal(upd_update_lease(w.r, "laptop", &w.key, "add laptop 60 A 192.0.2.1", 60), 0);
    assert_int_equal(left_s(&w, "laptop", SP_TYPE_A), 60);
    assert_int_equal(w.r->records, records + 1);
    upd_pass(w.r, SP_SEC);
    assert_int_equal(upd_update(w.r, "laptop", &w.key, "add laptop 60 A 192.0.2.1"), 0);
    assert_int_equal(left_s(&w, "laptop", SP_TYPE_A), 0);
    assert_int_equal(w.r->records, records + 2);
    assert_int_equal(upd_serial(w.r), serial); /* the zone says the same all the time */
    upd_pass(w.r, SP_DAY);
    assert_int_equal(upd_expire(w.r), 0);
    assert_string_equal(upd_rrset(w.r, "laptop", "A"), "60 192.0.2.1");
    upd_free(w.r);
}

static void deletion_ends_the_lease(void **state) {
    struct world w = world();
    assert_int_equal(
        upd_update_lease(w.r, "laptop", &w.key, "add laptop 60 A 192.0.2.1\nadd laptop 60 A 192.0.2.2", 60), 0);
    upd_pass(w.r, SP_SEC);
    assert_int_equal(upd_update(w.r, "laptop", &w.key, "delete laptop A 192.0.2.1"), 0);
    assert_int_equal(sp_updater_counts(w.r->u)->leases, 1);
    upd_pass(w.r, SP_SEC);
    assert_int_equal(upd_update(w.r, "laptop", &w.key, "add laptop 60 A 192.0.2.1"), 0); /* back, for good */
    upd_pass(w.r, SP_HOUR);
    assert_int_equal(upd_expire(w.r), 1);
    assert_string_equal(upd_rrset(w.r, "laptop", "A"), "60 192.0.2.1");
    upd_free(w.r);
}

static void restart_gives_each_its_length_again(void **state) {
    struct world w = world();
    assert_int_equal(upd_update_lease(w.r, "laptop", &w.key, "add laptop 60 A 192.0.2.1", 600), 0);
    upd_pass(w.r, 590 * SP_SEC);
    assert_int_equal(upd_update_lease(w.r, "laptop", &w.key, "add laptop 60 TXT \"x\"", 60), 0);
    struct upd *again[2] = {upd_replayed(w.r, w.r->records), upd_restored(w.r)};
    for (unsigned i = 0; i < 2; i++) {
        struct world b = {again[i], w.key};
        assert_int_equal(left_s(&b, "laptop", SP_TYPE_A), 600);
        assert_int_equal(left_s(&b, "laptop", SP_TYPE_TXT), 60);
        upd_pass(b.r, 60 * SP_SEC);
        assert_int_equal(upd_expire(b.r), 1);
        assert_string_equal(upd_rrset(b.r, "laptop", "TXT"), "");
        assert_string_equal(upd_rrset(b.r, "laptop", "A"), "60 192.0.2.1");
        upd_free(b.r);
    }
    upd_free(w.r);
}

static void full_log_is_tried_again(void **state) {
    struct world w = world();
    assert_int_equal(upd_update_lease(w.r, "laptop", &w.key, "add laptop 60 A 192.0.2.1", 60), 0);
    upd_pass(w.r, 61 * SP_SEC);
    w.r->log_full = true;
    assert_int_equal(upd_expire(w.r), 0);
    assert_string_equal(upd_rrset(w.r, "laptop", "A"), "60 192.0.2.1");
    assert_true(sp_updater_deadline(w.r->u) > w.r->now);
    w.r->log_full = false;
    upd_pass(w.r, 6 * SP_SEC);
    assert_int_equal(upd_expire(w.r), 1);
    assert_string_equal(upd_rrset(w.r, "laptop", "A"), "");
    upd_free(w.r);
}

static void limit_of_leases(void **state) {
    struct sp_updater_config config;
    sp_updater_config_default(&config);
    config.leases = 2;
    struct world w = {upd_new_with(&config), upd_key(1)};
    upd_device(w.r, "laptop", &w.key);
    assert_int_equal(upd_update_lease(w.r, "laptop", &w.key,
                                      "add a.laptop 1 A 192.0.2.1\nadd b.laptop 1 A 192.0.2.1\n"
                                      "add c.laptop 1 A 192.0.2.1",
                                      60),
                     SP_RCODE_SERVFAIL);
    assert_int_equal(w.r->up.why, SP_REFUSED_full);
    assert_string_equal(upd_rrset(w.r, "a.laptop", "A"), "");
    upd_pass(w.r, SP_SEC);
    assert_int_equal(
        upd_update_lease(w.r, "laptop", &w.key, "add a.laptop 1 A 192.0.2.1\nadd b.laptop 1 A 192.0.2.1", 60), 0);
    upd_pass(w.r, SP_SEC);
    assert_int_equal(upd_update_lease(w.r, "laptop", &w.key, "add c.laptop 1 A 192.0.2.1", 60), SP_RCODE_SERVFAIL);
    upd_pass(w.r, SP_SEC);
    assert_int_equal(upd_update(w.r, "laptop", &w.key, "add c.laptop 1 A 192.0.2.1"),
                     0); /* without one there is room */
    upd_free(w.r);
}

static void many_end_together(void **state) {
    struct world w = world();
    char line[64];
    w.r->via = SP_VIA_TCP;
    for (unsigned round = 0; round < 4; round++) {
        upd_begin(w.r);
        for (unsigned i = 0; i < 250; i++) {
            snprintf(line, sizeof line, "add n%u.laptop 60 A 192.0.2.%u", round * 250 + i, i);
            upd_line(w.r, line);
        }
        upd_opt(w.r, 4, 60, 0);
        upd_pass(w.r, SP_MS);
        upd_sign(w.r, "laptop", &w.key);
        assert_int_equal(upd_send(w.r), 0);
    }
    assert_int_equal(sp_updater_counts(w.r->u)->leases, 1000);
    size_t names = sp_zone_names(w.r->zone);
    upd_pass(w.r, 61 * SP_SEC);
    size_t changes = upd_expire(w.r);
    assert_in_range(changes, 2, 20);
    assert_int_equal(sp_zone_names(w.r->zone), names - 1000);
    assert_int_equal(sp_updater_counts(w.r->u)->leases, 0);
    upd_free(w.r);
}

static int setup(void **state) {
    return sp_crypto_init() == SP_OK ? 0 : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(granted_and_echoed),      cmocka_unit_test(refresh_leaves_no_trace),
        cmocka_unit_test(expiry_removes),          cmocka_unit_test(without_the_option_there_is_no_lease),
        cmocka_unit_test(deletion_ends_the_lease), cmocka_unit_test(restart_gives_each_its_length_again),
        cmocka_unit_test(full_log_is_tried_again), cmocka_unit_test(limit_of_leases),
        cmocka_unit_test(many_end_together),
    };
    return cmocka_run_group_tests_name("update_rfc9664", tests, setup, NULL);
}
