/* RFC 2136 3.4: what an update does, the apex, CNAME, the serial, form. */
#include "tests/unit/cm.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/support/update_rig.h"

/* A key that may write everything, its own kind of identity included. */
static struct upd *admin_rig(struct sp_tsig_key *key) {
    struct upd *r = upd_new();
    *key = upd_tsig_key("admin.");
    upd_tsig(r, "admin.", "names=* types=A,AAAA,TXT,SRV,MX,NS,SOA,CNAME,PTR,DS,KEY,TYPE65400");
    return r;
}

static void sig0_add_and_delete(void **state) {
    struct upd *r = upd_new();
    struct sp_ed25519 key = upd_key(1);
    upd_device(r, "laptop", &key);
    uint32_t serial = upd_serial(r);
    assert_int_equal(upd_update(r, "laptop", &key, "add laptop 60 A 192.0.2.77"), SP_RCODE_NOERROR);
    assert_true(r->up.wait_log);
    assert_string_equal(upd_rrset(r, "laptop", "A"), "60 192.0.2.77");
    assert_int_equal(upd_serial(r), serial + 1);
    upd_pass(r, SP_SEC);
    assert_int_equal(upd_update(r, "laptop", &key, "delete laptop A"), SP_RCODE_NOERROR);
    assert_string_equal(upd_rrset(r, "laptop", "A"), "");
    assert_int_equal(upd_serial(r), serial + 2);
    const struct sp_update_counts *n = sp_updater_counts(r->u);
    assert_int_equal(n->received, 2);
    assert_int_equal(n->accepted, 2);
    assert_int_equal(n->sig0_ok, 2);
    upd_free(r);
}

static uint16_t admin(struct upd *r, const struct sp_tsig_key *key, const char *lines) {
    upd_pass(r, SP_SEC);
    return upd_update_tsig(r, key, lines);
}

static void records_and_rrsets(void **state) {
    struct sp_tsig_key key;
    struct upd *r = admin_rig(&key);
    assert_int_equal(admin(r, &key, "add new 60 A 192.0.2.1\nadd new 60 A 192.0.2.2\nadd new 60 TXT \"x\""), 0);
    assert_string_equal(upd_rrset(r, "new", "A"), "60 192.0.2.1 | 192.0.2.2");
    assert_int_equal(upd_serial(r), 101);
    /* One record of several, a whole RRset, a whole name. */
    assert_int_equal(admin(r, &key, "delete new A 192.0.2.1"), 0);
    assert_string_equal(upd_rrset(r, "new", "A"), "60 192.0.2.2");
    assert_int_equal(admin(r, &key, "delete new A 192.0.2.9"), 0); /* was not there */
    assert_int_equal(upd_serial(r), 102);
    assert_int_equal(admin(r, &key, "delete host A"), 0);
    assert_string_equal(upd_rrset(r, "host", "A"), "");
    assert_string_equal(upd_rrset(r, "host", "TXT"), "300 \"one\"");
    assert_int_equal(admin(r, &key, "delete new"), 0);
    assert_string_equal(upd_rrset(r, "new", "A"), "");
    assert_string_equal(upd_rrset(r, "new", "TXT"), "");
    assert_int_equal(upd_serial(r), 104);
    /* A new TTL is that of the whole RRset (RFC 2181 5.2). */
    assert_int_equal(admin(r, &key, "add host 10 A 192.0.2.1\nadd host 20 A 192.0.2.2"), 0);
    assert_string_equal(upd_rrset(r, "host", "A"), "20 192.0.2.1 | 192.0.2.2");
    assert_int_equal(admin(r, &key, "add host 4294967295 A 192.0.2.1"), 0);
    assert_string_equal(upd_rrset(r, "host", "A"), "0 192.0.2.1 | 192.0.2.2");
    /* Unknown types are data. */
    assert_int_equal(admin(r, &key, "add new 5 TYPE65400 \\# 2 abcd"), 0);
    assert_string_equal(upd_rrset(r, "new", "TYPE65400"), "5 \\# 2 ABCD");
    upd_free(r);
}

static void order_within_a_message(void **state) {
    struct sp_tsig_key key;
    struct upd *r = admin_rig(&key);
    assert_int_equal(admin(r, &key, "add n 60 A 192.0.2.1\ndelete n A\nadd n 60 A 192.0.2.2"), 0);
    assert_string_equal(upd_rrset(r, "n", "A"), "60 192.0.2.2");
    assert_int_equal(admin(r, &key, "add n 60 A 192.0.2.3\ndelete n A 192.0.2.3"), 0);
    assert_int_equal(upd_serial(r), 101); /* the second came to nothing */
    /* Deleting and adding the same is no change, no record, no new serial. */
    size_t records = r->records;
    assert_int_equal(admin(r, &key, "delete n A\nadd n 60 A 192.0.2.2"), 0);
    assert_int_equal(upd_serial(r), 101);
    assert_int_equal(r->records, records);
    assert_true(r->up.wait_log); /* what it saw may not be durable yet */
    upd_free(r);
}

static void apex_keeps_soa_and_ns(void **state) {
    struct sp_tsig_key key;
    struct upd *r = admin_rig(&key);
    assert_int_equal(admin(r, &key, "delete @"), 0);
    assert_int_equal(admin(r, &key, "delete @ NS"), 0);
    assert_int_equal(admin(r, &key, "delete @ SOA"), 0);
    assert_int_equal(admin(r, &key, "delete @ NS ns"), 0); /* the last one, 3.4.2.4 */
    assert_int_equal(upd_serial(r), 100);
    assert_string_equal(upd_rrset(r, "@", "NS"), "300 ns.me.example.");
    assert_int_equal(admin(r, &key, "add @ 300 NS ns2\ndelete @ NS ns"), 0);
    assert_string_equal(upd_rrset(r, "@", "NS"), "300 ns2.me.example.");
    assert_int_equal(upd_serial(r), 101);
    upd_free(r);
}

static void soa_and_serial(void **state) {
    struct sp_tsig_key key;
    struct upd *r = admin_rig(&key);
    /* A higher serial is taken as it is, along with other changes. */
    assert_int_equal(admin(r, &key, "add @ 300 SOA ns hostmaster 500 1 2 3 4\nadd n 1 A 192.0.2.1"), 0);
    assert_int_equal(upd_serial(r), 500);
    /* One that is not higher is passed over, 3.4.2.2. */
    assert_int_equal(admin(r, &key, "add @ 300 SOA ns hostmaster 500 9 9 9 9"), 0);
    assert_int_equal(admin(r, &key, "add @ 300 SOA ns hostmaster 499 9 9 9 9"), 0);
    assert_int_equal(upd_serial(r), 500);
    assert_int_equal(admin(r, &key, "add @ 300 SOA ns hostmaster 7 9 9 9 9\nadd n 1 A 192.0.2.2"), 0);
    assert_int_equal(upd_serial(r), 501);
    assert_non_null(strstr(upd_rrset(r, "@", "SOA"), " 501 1 2 3 4"));
    /* An SOA below the apex is none. */
    assert_int_equal(admin(r, &key, "add n 300 SOA ns hostmaster 900 1 2 3 4"), 0);
    assert_string_equal(upd_rrset(r, "n", "SOA"), "");
    upd_free(r);
}

static void serial_wraps(void **state) {
    struct sp_tsig_key key;
    struct upd *r = admin_rig(&key);
    assert_int_equal(admin(r, &key, "add @ 300 SOA ns hostmaster 2147483700 1 2 3 4"), 0);
    assert_int_equal(admin(r, &key, "add @ 300 SOA ns hostmaster 4294967295 1 2 3 4"), 0);
    assert_int_equal(upd_serial(r), 4294967295u);
    assert_int_equal(admin(r, &key, "add n 1 A 192.0.2.1"), 0);
    assert_int_equal(upd_serial(r), 1); /* RFC 1982; zero is no serial */
    /* Ahead in serial arithmetic, though the number is smaller. */
    assert_int_equal(admin(r, &key, "add @ 300 SOA ns hostmaster 4294967290 1 2 3 4"), 0);
    assert_int_equal(upd_serial(r), 1);
    upd_free(r);
}

static void cname_rules(void **state) {
    struct sp_tsig_key key;
    struct upd *r = admin_rig(&key);
    /* CNAME beside data, data beside CNAME: passed over; CNAME replaces CNAME. 3.4.2.2. */
    assert_int_equal(admin(r, &key, "add host 60 CNAME ns"), 0);
    assert_string_equal(upd_rrset(r, "host", "CNAME"), "");
    assert_int_equal(admin(r, &key, "add alias 60 A 192.0.2.1"), 0);
    assert_string_equal(upd_rrset(r, "alias", "A"), "");
    assert_int_equal(upd_serial(r), 100);
    assert_int_equal(admin(r, &key, "add alias 60 CNAME ns"), 0);
    assert_string_equal(upd_rrset(r, "alias", "CNAME"), "60 ns.me.example.");
    assert_int_equal(admin(r, &key, "delete alias CNAME\nadd alias 60 A 192.0.2.1"), 0);
    assert_string_equal(upd_rrset(r, "alias", "A"), "60 192.0.2.1");
    upd_free(r);
}

static void zone_section(void **state) {
    struct sp_tsig_key key;
    struct upd *r = admin_rig(&key);
    static const struct {
        const char *zone;
        uint16_t type, rclass, rcode;
    } rows[] = {
        {"@", SP_TYPE_A, SP_CLASS_IN, SP_RCODE_FORMERR},
        {"you.example.", SP_TYPE_SOA, SP_CLASS_IN, SP_RCODE_NOTAUTH},
        {"host", SP_TYPE_SOA, SP_CLASS_IN, SP_RCODE_NOTAUTH}, /* inside a zone, but no apex */
        {"@", SP_TYPE_SOA, SP_CLASS_CH, SP_RCODE_NOTAUTH},
        {"ME.example.", SP_TYPE_SOA, SP_CLASS_IN, SP_RCODE_NOERROR},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        upd_pass(r, SP_SEC);
        upd_begin_zone(r, rows[i].zone, rows[i].type, rows[i].rclass);
        upd_line(r, "add n 1 A 192.0.2.1");
        upd_opt(r, 0, 0, 0);
        upd_sign_tsig(r, &key);
        assert_int_equal(upd_send(r), rows[i].rcode);
    }
    /* No question. (Two are refused when the message is parsed.) */
    upd_pass(r, SP_SEC);
    sp_msgw_begin(&r->w, r->out, sizeof r->out, 1, SP_OPCODE_UPDATE << 11);
    r->out_len = 0;
    upd_opt(r, 0, 0, 0);
    upd_sign_tsig(r, &key);
    assert_int_equal(upd_send(r), SP_RCODE_FORMERR);
    upd_free(r);
}

static uint16_t raw(struct upd *r, const struct sp_tsig_key *key, const char *name, uint16_t type, uint16_t rclass,
                    uint32_t ttl, size_t len) {
    static const uint8_t rdata[8];
    upd_pass(r, SP_SEC);
    upd_begin(r);
    upd_line(r, "add before 60 A 192.0.2.1");
    upd_rr(r, 2, name, type, rclass, ttl, rdata, len);
    upd_opt(r, 0, 0, 0);
    upd_sign_tsig(r, key);
    uint16_t rcode = upd_send(r);
    if (rcode != 0) /* all or nothing, 3.7 */
        assert_string_equal(upd_rrset(r, "before", "A"), "");
    return rcode;
}

static void malformed_updates(void **state) {
    struct sp_tsig_key key;
    struct upd *r = admin_rig(&key);
    assert_int_equal(raw(r, &key, "host.you.example.", SP_TYPE_A, SP_CLASS_IN, 1, 4), SP_RCODE_NOTZONE);
    assert_int_equal(raw(r, &key, "n", SP_TYPE_A, SP_CLASS_IN, 1, 3), SP_RCODE_FORMERR);
    assert_int_equal(raw(r, &key, "n", SP_TYPE_A, SP_CLASS_IN, 1, 0), SP_RCODE_FORMERR);
    assert_int_equal(raw(r, &key, "n", SP_TYPE_ANY, SP_CLASS_IN, 1, 4), SP_RCODE_FORMERR);
    assert_int_equal(raw(r, &key, "n", SP_TYPE_AXFR, SP_CLASS_IN, 1, 4), SP_RCODE_FORMERR);
    assert_int_equal(raw(r, &key, "n", SP_TYPE_TKEY, SP_CLASS_ANY, 0, 0), SP_RCODE_FORMERR);
    assert_int_equal(raw(r, &key, "n", SP_TYPE_A, SP_CLASS_ANY, 1, 0), SP_RCODE_FORMERR);
    assert_int_equal(raw(r, &key, "n", SP_TYPE_A, SP_CLASS_ANY, 0, 4), SP_RCODE_FORMERR);
    assert_int_equal(raw(r, &key, "n", SP_TYPE_A, SP_CLASS_NONE, 1, 4), SP_RCODE_FORMERR);
    assert_int_equal(raw(r, &key, "n", SP_TYPE_ANY, SP_CLASS_NONE, 0, 0), SP_RCODE_FORMERR);
    assert_int_equal(raw(r, &key, "n", SP_TYPE_A, SP_CLASS_NONE, 0, 5), SP_RCODE_FORMERR);
    assert_int_equal(raw(r, &key, "n", SP_TYPE_A, SP_CLASS_CH, 0, 4), SP_RCODE_FORMERR);
    assert_int_equal(raw(r, &key, "n", SP_TYPE_SRV, SP_CLASS_IN, 0, 2), SP_RCODE_FORMERR);
    assert_int_equal(upd_serial(r), 100);
    assert_int_equal(raw(r, &key, "n", SP_TYPE_A, SP_CLASS_IN, 0, 4), SP_RCODE_NOERROR);
    upd_free(r);
}

static void managed_types(void **state) {
    struct upd *r = upd_new();
    struct sp_tsig_key key = upd_tsig_key("admin.");
    upd_tsig(r, "admin.", "names=*");
    static const char *const lines[] = {
        "delete @ DNSKEY",      "delete @ CDS",
        "delete @ CDNSKEY",     "delete host NSEC",
        "delete host RRSIG",    "delete @ NSEC3PARAM",
        "delete host NSEC3",    "add host 1 NSEC a A",
        "add @ 1 CDS 0 0 0 00", "add @ 1 DNSKEY 257 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        assert_int_equal(admin(r, &key, lines[i]), SP_RCODE_REFUSED);
        assert_int_equal(r->up.why, SP_REFUSED_managed);
        assert_int_equal(r->ede, SP_EDE_PROHIBITED);
    }
    assert_string_not_equal(upd_rrset(r, "@", "DNSKEY"), "");
    upd_free(r);
}

static void log_full_undoes(void **state) {
    struct upd *r = upd_new();
    struct sp_ed25519 key = upd_key(1);
    upd_device(r, "laptop", &key);
    r->log_full = true;
    char *before = upd_dump(r);
    assert_int_equal(upd_update_lease(r, "laptop", &key, "add laptop 60 A 192.0.2.77\nadd laptop 60 TXT \"x\"", 600),
                     SP_RCODE_SERVFAIL);
    assert_string_equal(r->ede_text, "the signpost's disk is full");
    assert_int_equal(r->lease_len, 0);
    char *after = upd_dump(r);
    assert_string_equal(before, after);
    /* The very same message works when there is room again. */
    r->log_full = false;
    assert_int_equal(upd_send(r), SP_RCODE_NOERROR);
    assert_string_equal(upd_rrset(r, "laptop", "A"), "60 192.0.2.77");
    free(before);
    free(after);
    upd_free(r);
}

static void big_results_are_refused(void **state) {
    struct upd *r = upd_new();
    struct sp_tsig_key key = upd_tsig_key("admin.");
    upd_tsig(r, "admin.", "names=*");
    r->via = SP_VIA_TCP;
    /* Three RRsets of about 50 kB each, then one message that changes all of them. */
    char text[32];
    for (unsigned set = 0; set < 3; set++) {
        upd_begin(r);
        for (unsigned i = 0; i < 200; i++) {
            uint8_t rdata[241] = {240, (uint8_t)i};
            snprintf(text, sizeof text, "big%u", set);
            upd_rr(r, 2, text, SP_TYPE_TXT, SP_CLASS_IN, 60, rdata, sizeof rdata);
        }
        upd_pass(r, SP_SEC);
        upd_sign_tsig(r, &key);
        assert_int_equal(upd_send(r), SP_RCODE_NOERROR);
    }
    uint32_t serial = upd_serial(r);
    assert_int_equal(admin(r, &key, "add big0 1 TXT \"n\"\nadd big1 1 TXT \"n\"\nadd big2 1 TXT \"n\""),
                     SP_RCODE_SERVFAIL);
    assert_int_equal(r->up.why, SP_REFUSED_too_big);
    assert_int_equal(upd_serial(r), serial);
    assert_memory_equal(upd_rrset(r, "big0", "TXT"), "60 ", 3);
    upd_free(r);
}

static void edns_version(void **state) {
    struct upd *r = upd_new();
    struct sp_ed25519 key = upd_key(1);
    struct sp_optw o;
    upd_device(r, "laptop", &key);
    upd_begin(r);
    upd_line(r, "add laptop 1 A 192.0.2.1");
    sp_msgw_opt_begin(&r->w, &o, 1232, 0, 1, 0);
    sp_msgw_opt_end(&r->w, &o);
    upd_sign(r, "laptop", &key);
    assert_int_equal(upd_send(r), SP_RCODE_BADVERS);
    upd_free(r);
}

static int setup(void **state) {
    return sp_crypto_init() == SP_OK ? 0 : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sig0_add_and_delete),
        cmocka_unit_test(records_and_rrsets),
        cmocka_unit_test(order_within_a_message),
        cmocka_unit_test(apex_keeps_soa_and_ns),
        cmocka_unit_test(soa_and_serial),
        cmocka_unit_test(serial_wraps),
        cmocka_unit_test(cname_rules),
        cmocka_unit_test(zone_section),
        cmocka_unit_test(malformed_updates),
        cmocka_unit_test(managed_types),
        cmocka_unit_test(log_full_undoes),
        cmocka_unit_test(big_results_are_refused),
        cmocka_unit_test(edns_version),
    };
    return cmocka_run_group_tests_name("update_rfc2136_apply", tests, setup, NULL);
}
