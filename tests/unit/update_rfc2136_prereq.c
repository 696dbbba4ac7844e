/* RFC 2136 3.2: every prerequisite and its rcode; nothing changes when one fails. */
#include "tests/unit/cm.h"

#include <stdio.h>

#include "tests/support/update_rig.h"

static const char change[] = "\nadd host 60 A 192.0.2.99";

/* Sends prerequisites with a change; it was made exactly if the answer is NOERROR. */
static uint16_t try(struct upd *r, const struct sp_ed25519 *key, const char *prereqs) {
    char text[4096];
    uint32_t serial = upd_serial(r);
    upd_pass(r, SP_SEC);
    snprintf(text, sizeof text, "%s%s", prereqs, change);
    uint16_t rcode = upd_update(r, "@", key, text);
    const char *host = upd_rrset(r, "host", "A");
    if (rcode == SP_RCODE_NOERROR) {
        assert_string_equal(host, "60 192.0.2.10 | 192.0.2.11 | 192.0.2.99");
        assert_int_equal(upd_serial(r), serial + 1);
        upd_pass(r, SP_SEC);
        assert_int_equal(upd_update(r, "@", key, "delete host A 192.0.2.99\nadd host 300 A 192.0.2.10"), 0);
    } else {
        assert_string_equal(host, "300 192.0.2.10 | 192.0.2.11");
        assert_int_equal(upd_serial(r), serial);
        assert_true(r->ede >= 0);
        assert_true(strlen(r->ede_text) > 10);
    }
    return rcode;
}

static struct upd *upd_with(struct sp_ed25519 *key) {
    struct upd *r = upd_new();
    *key = upd_key(1);
    upd_device(r, "@", key);
    return r;
}

static void name_in_use(void **state) {
    struct sp_ed25519 key;
    struct upd *r = upd_with(&key);
    assert_int_equal(try(r, &key, "yxdomain host"), SP_RCODE_NOERROR);
    assert_int_equal(try(r, &key, "yxdomain HOST"), SP_RCODE_NOERROR);
    assert_int_equal(try(r, &key, "yxdomain nothing"), SP_RCODE_NXDOMAIN);
    assert_int_equal(r->up.why, SP_REFUSED_prereq_nxdomain);
    /* 2.4.4: a name is in use if it has a record; an empty non-terminal has none. */
    assert_int_equal(try(r, &key, "yxdomain ent"), SP_RCODE_NXDOMAIN);
    assert_int_equal(try(r, &key, "yxdomain deep.ent"), SP_RCODE_NOERROR);
    upd_free(r);
}

static void name_not_in_use(void **state) {
    struct sp_ed25519 key;
    struct upd *r = upd_with(&key);
    assert_int_equal(try(r, &key, "nxdomain nothing"), SP_RCODE_NOERROR);
    assert_int_equal(try(r, &key, "nxdomain ent"), SP_RCODE_NOERROR);
    assert_int_equal(try(r, &key, "nxdomain host"), SP_RCODE_YXDOMAIN);
    upd_free(r);
}

static void rrset_exists(void **state) {
    struct sp_ed25519 key;
    struct upd *r = upd_with(&key);
    assert_int_equal(try(r, &key, "yxrrset host A"), SP_RCODE_NOERROR);
    assert_int_equal(try(r, &key, "yxrrset host MX"), SP_RCODE_NXRRSET);
    assert_int_equal(try(r, &key, "yxrrset nothing A"), SP_RCODE_NXRRSET);
    assert_int_equal(try(r, &key, "yxrrset @ DNSKEY"), SP_RCODE_NOERROR);
    upd_free(r);
}

static void rrset_exists_not(void **state) {
    struct sp_ed25519 key;
    struct upd *r = upd_with(&key);
    assert_int_equal(try(r, &key, "nxrrset host MX"), SP_RCODE_NOERROR);
    assert_int_equal(try(r, &key, "nxrrset nothing A"), SP_RCODE_NOERROR);
    assert_int_equal(try(r, &key, "nxrrset host A"), SP_RCODE_YXRRSET);
    upd_free(r);
}

static void rrset_of_these_values(void **state) {
    struct sp_ed25519 key;
    struct upd *r = upd_with(&key);
    assert_int_equal(try(r, &key, "yxrrset host A 192.0.2.10\nyxrrset host A 192.0.2.11"), SP_RCODE_NOERROR);
    /* The order does not matter, nor does one that is said twice. */
    assert_int_equal(try(r, &key, "yxrrset host A 192.0.2.11\nyxrrset host A 192.0.2.10\nyxrrset host A 192.0.2.11"),
                     SP_RCODE_NOERROR);
    assert_int_equal(try(r, &key, "yxrrset host A 192.0.2.10"), SP_RCODE_NXRRSET);
    assert_int_equal(try(r, &key, "yxrrset host A 192.0.2.10\nyxrrset host A 192.0.2.10"), SP_RCODE_NXRRSET);
    assert_int_equal(try(r, &key, "yxrrset host A 192.0.2.12"), SP_RCODE_NXRRSET);
    assert_int_equal(try(r, &key, "yxrrset host A 192.0.2.10\nyxrrset host A 192.0.2.11\nyxrrset host A 192.0.2.12"),
                     SP_RCODE_NXRRSET);
    assert_int_equal(try(r, &key, "yxrrset host TXT \"one\"\nyxrrset alias CNAME HOST"), SP_RCODE_NOERROR);
    assert_int_equal(try(r, &key, "yxrrset host TXT \"two\""), SP_RCODE_NXRRSET);
    /* Two RRsets, one of them not whole. */
    assert_int_equal(try(r, &key, "yxrrset host A 192.0.2.10\nyxrrset host TXT \"one\""), SP_RCODE_NXRRSET);
    upd_free(r);
}

static void names_outside_the_zone(void **state) {
    struct sp_ed25519 key;
    struct upd *r = upd_with(&key);
    assert_int_equal(try(r, &key, "yxdomain example."), SP_RCODE_NOTZONE);
    assert_int_equal(try(r, &key, "nxdomain host.you.example."), SP_RCODE_NOTZONE);
    assert_int_equal(try(r, &key, "yxrrset host.notme.example. A 192.0.2.1"), SP_RCODE_NOTZONE);
    upd_free(r);
}

static uint16_t raw(struct upd *r, const struct sp_ed25519 *key, uint16_t type, uint16_t rclass, uint32_t ttl,
                    size_t len) {
    static const uint8_t rdata[8];
    uint32_t serial = upd_serial(r);
    upd_pass(r, SP_SEC);
    upd_begin(r);
    upd_rr(r, 1, "host", type, rclass, ttl, rdata, len);
    upd_line(r, change + 1);
    upd_opt(r, 0, 0, 0);
    upd_sign(r, "@", key);
    uint16_t rcode = upd_send(r);
    if (rcode != 0)
        assert_int_equal(upd_serial(r), serial);
    return rcode;
}

static void malformed(void **state) {
    struct sp_ed25519 key;
    struct upd *r = upd_with(&key);
    assert_int_equal(raw(r, &key, SP_TYPE_A, SP_CLASS_ANY, 1, 0), SP_RCODE_FORMERR); /* TTL */
    assert_int_equal(raw(r, &key, SP_TYPE_A, SP_CLASS_ANY, 0, 4), SP_RCODE_FORMERR); /* rdata */
    assert_int_equal(raw(r, &key, SP_TYPE_A, SP_CLASS_NONE, 0, 4), SP_RCODE_FORMERR);
    assert_int_equal(raw(r, &key, SP_TYPE_A, SP_CLASS_NONE, 5, 0), SP_RCODE_FORMERR);
    assert_int_equal(raw(r, &key, SP_TYPE_A, SP_CLASS_IN, 5, 4), SP_RCODE_FORMERR);
    assert_int_equal(raw(r, &key, SP_TYPE_A, SP_CLASS_IN, 0, 3), SP_RCODE_FORMERR);
    assert_int_equal(raw(r, &key, SP_TYPE_ANY, SP_CLASS_IN, 0, 0), SP_RCODE_FORMERR);
    assert_int_equal(raw(r, &key, SP_TYPE_AXFR, SP_CLASS_ANY, 0, 0), SP_RCODE_FORMERR);
    assert_int_equal(raw(r, &key, SP_TYPE_A, SP_CLASS_CH, 0, 0), SP_RCODE_FORMERR);
    assert_int_equal(raw(r, &key, SP_TYPE_A, SP_CLASS_ANY, 0, 0), SP_RCODE_NOERROR);
    upd_free(r);
}

static void prerequisites_alone(void **state) {
    struct sp_ed25519 key;
    struct upd *r = upd_with(&key);
    size_t records = r->records;
    assert_int_equal(upd_update(r, "@", &key, "yxdomain host"), SP_RCODE_NOERROR);
    assert_int_equal(r->records, records);
    assert_int_equal(sp_updater_counts(r->u)->unchanged, 1);
    upd_pass(r, SP_SEC);
    assert_int_equal(upd_update(r, "@", &key, "nxdomain host"), SP_RCODE_YXDOMAIN);
    upd_free(r);
}

static int setup(void **state) {
    return sp_crypto_init() == SP_OK ? 0 : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(name_in_use),
        cmocka_unit_test(name_not_in_use),
        cmocka_unit_test(rrset_exists),
        cmocka_unit_test(rrset_exists_not),
        cmocka_unit_test(rrset_of_these_values),
        cmocka_unit_test(names_outside_the_zone),
        cmocka_unit_test(malformed),
        cmocka_unit_test(prerequisites_alone),
    };
    return cmocka_run_group_tests_name("update_rfc2136_prereq", tests, setup, NULL);
}
