/* RFC 3007: who may write what. Devices' keys by their place in the zone, TSIG keys and foreign KEYs by their policy.
 */
#include "tests/unit/cm.h"

#include <stdlib.h>

#include "tests/support/update_rig.h"

static void unsigned_is_refused(void **state) {
    struct upd *r = upd_new();
    upd_begin(r);
    upd_line(r, "add host 60 A 192.0.2.99");
    upd_opt(r, 0, 0, 0);
    assert_int_equal(upd_send(r), SP_RCODE_REFUSED);
    assert_int_equal(r->ede, SP_EDE_PROHIBITED);
    assert_string_equal(r->ede_text, "updates must be signed, by SIG(0) or TSIG");
    assert_int_equal(sp_updater_counts(r->u)->by_reason[SP_REFUSED_unsigned], 1);
    /* Without an OPT there is no EDE to give (RFC 6891 7). */
    upd_begin(r);
    upd_line(r, "delete host");
    assert_int_equal(upd_send(r), SP_RCODE_REFUSED);
    assert_false(r->msg.edns.present);
    assert_int_equal(sp_updater_counts(r->u)->refused, 2);
    assert_string_equal(upd_rrset(r, "host", "A"), "300 192.0.2.10 | 192.0.2.11");
    upd_free(r);
}

static void device_by_name(void **state) {
    struct upd *r = upd_new();
    struct sp_ed25519 laptop = upd_key(1), phone = upd_key(2);
    static const struct {
        const char *lines;
        uint16_t rcode;
        enum sp_refusal why;
    } rows[] = {
        {"add laptop 60 A 192.0.2.1", 0, SP_REFUSED_none},
        {"add LAPTOP 60 AAAA 2001:db8::5", 0, SP_REFUSED_none},
        {"add _http._tcp.laptop 60 SRV 0 0 80 laptop", 0, SP_REFUSED_none},
        {"add *.laptop 60 TXT \"x\"", 0, SP_REFUSED_none},
        {"add phone 60 A 192.0.2.1", SP_RCODE_REFUSED, SP_REFUSED_policy_name},
        {"add xlaptop 60 A 192.0.2.1", SP_RCODE_REFUSED, SP_REFUSED_policy_name},
        {"add @ 60 A 192.0.2.1", SP_RCODE_REFUSED, SP_REFUSED_policy_name},
        {"delete phone", SP_RCODE_REFUSED, SP_REFUSED_policy_name},
        {"delete phone KEY", SP_RCODE_REFUSED, SP_REFUSED_policy_name},
        /* One bad record spoils all. */
        {"add laptop 60 A 192.0.2.9\nadd phone 60 A 192.0.2.1", SP_RCODE_REFUSED, SP_REFUSED_policy_name},
        {"delete @ NS", SP_RCODE_REFUSED, SP_REFUSED_policy_name},
        {"add laptop 60 KEY 512 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=", SP_RCODE_REFUSED,
         SP_REFUSED_identity},
        {"add sub.laptop 60 KEY 512 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=", SP_RCODE_REFUSED,
         SP_REFUSED_identity},
        {"delete laptop KEY", SP_RCODE_REFUSED, SP_REFUSED_identity},
    };
    upd_device(r, "laptop", &laptop);
    upd_device(r, "phone", &phone);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        upd_pass(r, SP_SEC);
        assert_int_equal(upd_update(r, "laptop", &laptop, rows[i].lines), rows[i].rcode);
        assert_int_equal(r->up.why, rows[i].why);
    }
    assert_string_equal(upd_rrset(r, "laptop", "A"), "60 192.0.2.1");
    assert_string_equal(upd_rrset(r, "phone", "A"), "");
    upd_free(r);
}

static void apex_key_leaves_soa_ns_and_identities(void **state) {
    struct upd *r = upd_new();
    struct sp_ed25519 key = upd_key(1), phone = upd_key(2);
    upd_device(r, "@", &key);
    upd_device(r, "phone", &phone);
    assert_int_equal(upd_update(r, "@", &key, "add anything.at.all 60 A 192.0.2.1\nadd @ 60 MX 10 host"), 0);
    upd_pass(r, SP_SEC);
    assert_int_equal(upd_update(r, "@", &key, "add @ 60 NS host"), SP_RCODE_REFUSED);
    assert_int_equal(r->up.why, SP_REFUSED_apex);
    upd_pass(r, SP_SEC);
    assert_int_equal(upd_update(r, "@", &key, "add @ 60 SOA ns hostmaster 999 1 2 3 4"), SP_RCODE_REFUSED);
    assert_int_equal(r->up.why, SP_REFUSED_apex);
    upd_pass(r, SP_SEC);
    assert_int_equal(upd_update(r, "@", &key, "delete phone KEY"), SP_RCODE_REFUSED);
    /* All of phone's records: its identity stays. */
    upd_pass(r, SP_SEC);
    assert_int_equal(upd_update(r, "phone", &phone, "add phone 60 A 192.0.2.4"), 0);
    upd_pass(r, SP_SEC);
    assert_int_equal(upd_update(r, "@", &key, "delete phone"), 0);
    assert_string_equal(upd_rrset(r, "phone", "A"), "");
    assert_string_not_equal(upd_rrset(r, "phone", "KEY"), "");
    upd_free(r);
}

static uint16_t tsig(struct upd *r, const char *key, const char *lines) {
    struct sp_tsig_key k = upd_tsig_key(key);
    upd_pass(r, SP_SEC);
    return upd_update_tsig(r, &k, lines);
}

static void tsig_policies(void **state) {
    struct upd *r = upd_new();
    upd_tsig(r, "dyn.", "names=*.dyn,host types=A,AAAA,TXT axfr");
    upd_tsig(r, "all.", "names=*");
    upd_tsig(r, "none.", "axfr");
    assert_int_equal(tsig(r, "dyn.", "add a.dyn 60 A 192.0.2.1"), 0);
    assert_int_equal(tsig(r, "dyn.", "add a.b.dyn 60 A 192.0.2.1"), 0);
    assert_int_equal(tsig(r, "dyn.", "add host 60 TXT \"x\""), 0);
    assert_int_equal(tsig(r, "dyn.", "add dyn 60 A 192.0.2.1"), SP_RCODE_REFUSED); /* below it, not itself */
    assert_int_equal(r->up.why, SP_REFUSED_policy_name);
    assert_int_equal(tsig(r, "dyn.", "add a.host 60 A 192.0.2.1"), SP_RCODE_REFUSED);
    assert_int_equal(tsig(r, "dyn.", "add a.dyn 60 MX 10 host"), SP_RCODE_REFUSED);
    assert_int_equal(r->up.why, SP_REFUSED_policy_type);
    assert_int_equal(tsig(r, "dyn.", "delete host"), 0); /* A and TXT, both its own */
    assert_int_equal(tsig(r, "all.", "add m.dyn 60 MX 10 host"), 0);
    assert_int_equal(tsig(r, "dyn.", "delete m.dyn"), SP_RCODE_REFUSED); /* there is an MX */
    assert_int_equal(r->up.why, SP_REFUSED_policy_type);
    assert_int_equal(tsig(r, "all.", "delete m.dyn"), 0);
    assert_int_equal(tsig(r, "all.", "add @ 60 NS host"), SP_RCODE_REFUSED);
    assert_int_equal(r->up.why, SP_REFUSED_apex);
    assert_int_equal(tsig(r, "all.", "add cut 60 NS host"), 0);
    assert_int_equal(tsig(r, "all.", "add x 60 KEY 512 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4="),
                     SP_RCODE_REFUSED);
    assert_int_equal(r->up.why, SP_REFUSED_identity);
    assert_int_equal(tsig(r, "none.", "add host 60 A 192.0.2.1"), SP_RCODE_REFUSED);
    assert_int_equal(r->up.why, SP_REFUSED_policy_name);
    /* Devices' identities are not TSIG keys' to touch. */
    struct sp_ed25519 phone = upd_key(2);
    upd_device(r, "phone", &phone);
    assert_int_equal(tsig(r, "all.", "delete phone"), SP_RCODE_REFUSED);
    assert_int_equal(tsig(r, "all.", "delete phone KEY"), SP_RCODE_REFUSED);
    assert_int_equal(tsig(r, "all.", "add phone 60 A 192.0.2.1"), 0);
    upd_free(r);
}

static void policy_text(void **state) {
    struct sp_policy p;
    struct sp_name apex = upd_name("@"), n = upd_name("a.dyn");
    const char *what = NULL;
    static const char *const good[] = {"",
                                       "axfr",
                                       "names=*",
                                       "names=host",
                                       "names=host.me.example",
                                       "names=host.me.example.",
                                       "names=*.dyn  types=A,AAAA   axfr",
                                       "types=TYPE65400",
                                       "names=@",
                                       "names=*.me.example."};
    static const char *const bad[] = {"name=x",
                                      "names=",
                                      "types=",
                                      "types=NOPE",
                                      "types=DNSKEY",
                                      "types=ANY",
                                      "axfr2",
                                      "names=x.you.example.",
                                      "names=a..b",
                                      "types=A,RRSIG",
                                      "names=1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17",
                                      "types=,"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_int_equal(sp_policy_parse(&p, &apex, good[i], strlen(good[i]), &what), SP_OK);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        what = NULL;
        assert_int_equal(sp_policy_parse(&p, &apex, bad[i], strlen(bad[i]), &what), SP_ERR_FORM);
        assert_non_null(what);
    }
    assert_int_equal(sp_policy_parse(&p, &apex, "names=*.DYN.me.example", 22, &what), SP_OK);
    assert_true(sp_policy_name(&p, &n));
    n = upd_name("dyn");
    assert_false(sp_policy_name(&p, &n));
    char longer[1100];
    memset(longer, ' ', sizeof longer);
    assert_int_equal(sp_policy_parse(&p, &apex, longer, sizeof longer, &what), SP_ERR_FORM);
}

static void foreign_keys(void **state) {
    struct upd *r = upd_new();
    struct sp_ed25519 key = upd_key(5), other = upd_key(6);
    struct sp_name owner = upd_name("admin.elsewhere.");
    uint8_t rdata[SP_KEY_RDATA];
    struct sp_change c;
    const char *what;
    sp_key_rdata(key.pub, rdata);
    /* Outside the zone it needs a policy. */
    assert_int_equal(sp_updater_key_add(r->u, r->zone, &owner, rdata, sizeof rdata, NULL, 0, &c, &what), SP_ERR_FORM);
    assert_int_equal(sp_updater_key_add(r->u, r->zone, &owner, rdata, sizeof rdata, "names=*.x axfr", 14, &c, &what),
                     SP_OK);
    assert_true(upd_commit(r, &c));
    assert_int_equal(upd_update(r, "admin.elsewhere.", &key, "add a.x 60 A 192.0.2.1"), 0);
    assert_true(sp_signer_may_transfer(&r->up.signer, r->zone));
    upd_pass(r, SP_SEC);
    assert_int_equal(upd_update(r, "admin.elsewhere.", &key, "add host 60 A 192.0.2.1"), SP_RCODE_REFUSED);
    upd_pass(r, SP_SEC);
    assert_int_equal(upd_update(r, "admin.elsewhere.", &other, "add a.x 60 A 192.0.2.2"), SP_RCODE_REFUSED);
    assert_int_equal(r->up.why, SP_REFUSED_sig0_badkey);
    assert_int_equal(sp_updater_key_remove(r->u, r->zone, &owner, &c), SP_OK);
    assert_true(upd_commit(r, &c));
    upd_pass(r, SP_SEC);
    assert_int_equal(upd_update(r, "admin.elsewhere.", &key, "add a.x 60 A 192.0.2.2"), SP_RCODE_REFUSED);
    assert_int_equal(sp_updater_key_remove(r->u, r->zone, &owner, &c), SP_ERR_NOENT);
    rdata[3] = 13; /* ECDSA P-256 */
    assert_int_equal(sp_updater_key_add(r->u, r->zone, &owner, rdata, sizeof rdata, "names=*", 7, &c, &what),
                     SP_ERR_UNSUP);
    upd_free(r);
}

static void keys_of_another_zone(void **state) {
    struct upd *r = upd_new();
    struct sp_zone_secrets s = {.apex = upd_name("you.example."), .signpost = upd_name("signpost.you.example.")};
    struct sp_ed25519 key = upd_key(1);
    struct sp_change c;
    memset(s.root_seed, 3, sizeof s.root_seed);
    assert_int_equal(sp_updater_zone_add(r->u, 2, &s, &c), SP_OK);
    assert_true(upd_commit(r, &c));
    assert_int_equal(sp_updater_zone_add(r->u, 2, &s, &c), SP_ERR_EXIST);
    assert_int_equal(sp_updater_zone_add(r->u, 3, &s, &c), SP_ERR_EXIST);
    upd_device(r, "laptop", &key);
    upd_tsig(r, "all.", "names=*");
    struct sp_tsig_key tk = upd_tsig_key("all.");
    const char *what;
    struct sp_zone *you = sp_zones_by_id(r->zones, 2);
    assert_int_equal(sp_updater_tsig_add(r->u, you, &tk, "names=*", 7, &c, &what), SP_ERR_EXIST);
    for (int i = 0; i < 2; i++) {
        upd_pass(r, SP_SEC);
        upd_begin_zone(r, "you.example.", SP_TYPE_SOA, SP_CLASS_IN);
        upd_line(r, "add laptop.you.example. 60 A 192.0.2.1");
        upd_opt(r, 0, 0, 0);
        if (i == 0)
            upd_sign(r, "laptop", &key);
        else
            upd_sign_tsig(r, &tk);
        assert_int_equal(upd_send(r), SP_RCODE_REFUSED);
        assert_int_equal(r->up.why, SP_REFUSED_policy_zone);
    }
    assert_int_equal(sp_updater_zone_remove(r->u, you, &c), SP_OK);
    assert_true(upd_commit(r, &c));
    assert_null(sp_zones_by_id(r->zones, 2));
    upd_free(r);
}

static void overlay_prefix_is_identity(void **state) {
    struct upd *r = upd_new();
    struct sp_ed25519 key = upd_key(1), invite = upd_key(9);
    uint8_t addr[16];
    upd_invite(r, "laptop", &invite, UPD_WALL + 1000);
    assert_int_equal(upd_join(r, "laptop", &key, &invite, UPD_WALL + 1000, UPD_JOIN_WHOLE), 0);
    upd_tsig(r, "all.", "names=*");
    sp_overlay_addr(sp_zone_info(r->zone)->root_hash, key.pub, addr);
    struct sp_tsig_key tk = upd_tsig_key("all.");
    /* Neither another address of the prefix, nor this one elsewhere, nor its removal. */
    for (unsigned i = 0; i < 4; i++) {
        upd_pass(r, SP_SEC);
        addr[15] ^= i == 0;
        upd_begin(r);
        upd_rr(r, 2, i == 1 ? "x.laptop" : "laptop", SP_TYPE_AAAA, i == 2 ? SP_CLASS_NONE : SP_CLASS_IN,
               i == 2 ? 0 : 60, addr, 16);
        upd_opt(r, 0, 0, 0);
        if (i == 3)
            upd_sign_tsig(r, &tk);
        else
            upd_sign(r, "laptop", &key);
        assert_int_equal(upd_send(r), SP_RCODE_REFUSED);
        assert_int_equal(r->up.why, SP_REFUSED_identity);
        addr[15] ^= i == 0;
    }
    /* Saying it again is no change; an AAAA of one's own beside it comes and goes. */
    upd_pass(r, SP_SEC);
    upd_begin(r);
    upd_rr(r, 2, "laptop", SP_TYPE_AAAA, SP_CLASS_IN, 60, addr, 16);
    upd_line(r, "add laptop 3600 AAAA 2001:db8::7");
    upd_opt(r, 4, 60, 0);
    upd_sign(r, "laptop", &key);
    assert_int_equal(upd_send(r), 0);
    const char *set = upd_rrset(r, "laptop", "AAAA");
    assert_non_null(strstr(set, "3600 2001:db8::7 | fd"));
    char both[256];
    strcpy(both, set);
    upd_pass(r, SP_SEC);
    assert_int_equal(upd_update(r, "laptop", &key, "delete laptop AAAA\nadd laptop 3600 AAAA 2001:db8::8"), 0);
    assert_non_null(strstr(upd_rrset(r, "laptop", "AAAA"), "2001:db8::8 | fd"));
    upd_pass(r, SP_SEC);
    assert_int_equal(upd_update(r, "laptop", &key, "delete laptop AAAA"), 0);
    assert_string_equal(upd_rrset(r, "laptop", "AAAA") + 5, strstr(both, "fd"));
    upd_free(r);
}

static void revocation_takes_all(void **state) {
    struct upd *r = upd_new();
    struct sp_ed25519 key = upd_key(1), invite = upd_key(9);
    struct sp_name name = upd_name("laptop");
    struct sp_change c;
    bool more;
    char *before = upd_dump(r);
    upd_invite(r, "laptop", &invite, UPD_WALL + 1000);
    assert_int_equal(upd_join(r, "laptop", &key, &invite, UPD_WALL + 1000, UPD_JOIN_WHOLE), 0);
    upd_pass(r, SP_SEC);
    assert_int_equal(upd_update_lease(r, "laptop", &key, "add laptop 60 A 192.0.2.1\nadd a.b.laptop 60 TXT \"x\"", 600),
                     0);
    assert_int_equal(sp_updater_revoke(r->u, r->zone, &name, &c, &more), SP_OK);
    assert_false(more);
    assert_true(upd_commit(r, &c));
    assert_int_equal(sp_updater_counts(r->u)->leases, 0);
    upd_pass(r, SP_SEC);
    assert_int_equal(upd_update(r, "laptop", &key, "add laptop 60 A 192.0.2.1"), SP_RCODE_REFUSED);
    assert_int_equal(r->up.why, SP_REFUSED_sig0_badkey);
    assert_int_equal(sp_updater_revoke(r->u, r->zone, &name, &c, &more), SP_ERR_NOENT);
    struct sp_name apex = upd_name("@");
    assert_int_equal(sp_updater_revoke(r->u, r->zone, &apex, &c, &more), SP_ERR_RANGE);
    /* But for the serial, and the memory of what the key signed, all is as before. */
    upd_pass(r, SP_DAY);
    upd_expire(r);
    char *after = upd_dump(r);
    char *host = strstr(after, " host.me.example. A ");
    assert_non_null(host);
    assert_null(strstr(after, "laptop"));
    assert_non_null(strstr(after, "idents 0 leases 0"));
    free(before);
    free(after);
    upd_free(r);
}

static int setup(void **state) {
    return sp_crypto_init() == SP_OK ? 0 : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unsigned_is_refused),
        cmocka_unit_test(device_by_name),
        cmocka_unit_test(apex_key_leaves_soa_ns_and_identities),
        cmocka_unit_test(tsig_policies),
        cmocka_unit_test(policy_text),
        cmocka_unit_test(foreign_keys),
        cmocka_unit_test(keys_of_another_zone),
        cmocka_unit_test(overlay_prefix_is_identity),
        cmocka_unit_test(revocation_takes_all),
    };
    return cmocka_run_group_tests_name("update_rfc3007", tests, setup, NULL);
}
