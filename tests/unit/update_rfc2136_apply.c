/* RFC 2136 3.4: what an update does, the apex, CNAME, the serial, form. */
#include "tests/unit/cm.h"

#include "tests/support/update_rig.h"

/* A key that may write everything, its own kind of identity included. */
static struct rig *admin_rig(struct sp_tsig_key *key) {
    struct rig *r = rig_new();
    *key = rig_tsig_key("admin.");
    rig_tsig(r, "admin.", "names=* types=A,AAAA,TXT,SRV,MX,NS,SOA,CNAME,PTR,DS,KEY,TYPE65400");
    return r;
}

static void sig0_add_and_delete(void **state) {
    struct rig *r = rig_new();
    struct sp_ed25519 key = rig_key(1);
    rig_device(r, "laptop", &key);
    uint32_t serial = rig_serial(r);
    assert_int_equal(rig_update(r, "laptop", &key, "add laptop 60 A 192.0.2.77"), SP_RCODE_NOERROR);
    assert_true(r->up.wait_log);
    assert_string_equal(rig_rrset(r, "laptop", "A"), "60 192.0.2.77");
    assert_int_equal(rig_serial(r), serial + 1);
    rig_pass(r, SP_SEC);
    assert_int_equal(rig_update(r, "laptop", &key, "delete laptop A"), SP_RCODE_NOERROR);
    assert_string_equal(rig_rrset(r, "laptop", "A"), "");
    assert_int_equal(rig_serial(r), serial + 2);
    const struct sp_update_counts *n = sp_updater_counts(r->u);
    assert_int_equal(n->received, 2);
    assert_int_equal(n->accepted, 2);
    assert_int_equal(n->sig0_ok, 2);
    rig_free(r);
}

static int setup(void **state) {
    return sp_crypto_init() == SP_OK ? 0 : -1;
}

int main(void) {
    (void)admin_rig;
    const struct CMUnitTest tests[] = {cmocka_unit_test(sig0_add_and_delete)};
    return cmocka_run_group_tests_name("update_rfc2136_apply", tests, setup, NULL);
}
