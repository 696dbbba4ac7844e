/* Registration by invite. DESIGN: "A name points to a key", "Trust". */
#include "tests/unit/cm.h"

#include <stdlib.h>

#include "tests/support/update_rig.h"

#define EXPIRY (UPD_WALL + 3600)

struct world {
    struct upd *r;
    struct sp_ed25519 device, invite;
};

static struct world world(void) {
    struct world w = {upd_new(), upd_key(1), upd_key(9)};
    upd_invite(w.r, "laptop", &w.invite, EXPIRY);
    return w;
}

static size_t invites(struct upd *r) {
    return r->u->invites.count;
}

static void joins(void **state) {
    struct world w = world();
    assert_int_equal(invites(w.r), 1);
    assert_int_equal(upd_join(w.r, "laptop", &w.device, &w.invite, EXPIRY, UPD_JOIN_WHOLE), 0);
    assert_int_equal(invites(w.r), 0);
    assert_string_not_equal(upd_rrset(w.r, "laptop", "KEY"), "");
    assert_memory_equal(upd_rrset(w.r, "laptop", "AAAA"), "3600 fd", 7);
    assert_string_equal(upd_rrset(w.r, "laptop", "TYPE65281"), ""); /* the proof is never stored */
    assert_int_equal(sp_updater_counts(w.r->u)->joins, 1);
    assert_int_equal(w.r->u->idents.count, 2);
    /* From now on it is a device. */
    upd_pass(w.r, SP_SEC);
    assert_int_equal(upd_update(w.r, "laptop", &w.device, "add laptop 60 A 192.0.2.1"), 0);
    upd_free(w.r);
}

static void repeats_itself(void **state) {
    struct world w = world();
    assert_int_equal(upd_join(w.r, "laptop", &w.device, &w.invite, EXPIRY, UPD_JOIN_WHOLE), 0);
    uint32_t serial = upd_serial(w.r);
    /* The reply was lost: the same bytes, then signed anew; also after the invite has expired. */
    assert_int_equal(upd_send(w.r), 0);
    assert_int_equal(w.r->up.why, SP_REFUSED_repeated);
    upd_pass(w.r, 3 * SP_SEC);
    assert_int_equal(upd_join(w.r, "laptop", &w.device, &w.invite, EXPIRY, UPD_JOIN_WHOLE), 0);
    upd_pass(w.r, 2 * SP_HOUR);
    assert_int_equal(upd_join(w.r, "laptop", &w.device, &w.invite, EXPIRY, UPD_JOIN_WHOLE), 0);
    assert_int_equal(upd_serial(w.r), serial);
    assert_int_equal(sp_updater_counts(w.r->u)->joins, 1);
    /* Another device with the used invite. */
    struct sp_ed25519 thief = upd_key(2);
    assert_int_equal(upd_join(w.r, "laptop", &thief, &w.invite, EXPIRY, UPD_JOIN_WHOLE), SP_RCODE_REFUSED);
    assert_int_equal(w.r->up.why, SP_REFUSED_join_invite);
    upd_free(w.r);
}

static void refuses(void **state) {
    struct world w = world();
    struct sp_ed25519 unknown = upd_key(8);
    static const struct {
        unsigned how;
        uint16_t rcode;
        enum sp_refusal why;
    } rows[] = {
        {UPD_JOIN_NO_KEY, SP_RCODE_FORMERR, SP_REFUSED_join_form},
        {UPD_JOIN_NO_ADDRESS, SP_RCODE_FORMERR, SP_REFUSED_join_form},
        {UPD_JOIN_OTHER_ADDRESS, SP_RCODE_REFUSED, SP_REFUSED_join_address},
        {UPD_JOIN_NO_PROOF, SP_RCODE_REFUSED, SP_REFUSED_sig0_badkey},
        {UPD_JOIN_BAD_PROOF, SP_RCODE_REFUSED, SP_REFUSED_join_proof},
        {UPD_JOIN_TWO_KEYS, SP_RCODE_FORMERR, SP_REFUSED_join_form},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        upd_pass(w.r, SP_SEC);
        assert_int_equal(upd_join(w.r, "laptop", &w.device, &w.invite, EXPIRY, rows[i].how), rows[i].rcode);
        assert_int_equal(w.r->up.why, rows[i].why);
    }
    upd_pass(w.r, SP_SEC);
    assert_int_equal(upd_join(w.r, "laptop", &w.device, &unknown, EXPIRY, UPD_JOIN_WHOLE), SP_RCODE_REFUSED);
    assert_int_equal(w.r->up.why, SP_REFUSED_join_invite);
    assert_int_equal(upd_join(w.r, "phone", &w.device, &w.invite, EXPIRY, UPD_JOIN_WHOLE), SP_RCODE_REFUSED);
    assert_int_equal(w.r->up.why, SP_REFUSED_join_name);
    assert_int_equal(upd_join(w.r, "laptop", &w.device, &w.invite, EXPIRY + 1, UPD_JOIN_WHOLE), SP_RCODE_REFUSED);
    assert_int_equal(w.r->up.why, SP_REFUSED_join_proof);
    assert_string_equal(upd_rrset(w.r, "laptop", "KEY"), "");
    assert_int_equal(invites(w.r), 1);
    /* After all this the invite still works. */
    upd_pass(w.r, SP_SEC);
    assert_int_equal(upd_join(w.r, "laptop", &w.device, &w.invite, EXPIRY, UPD_JOIN_WHOLE), 0);
    upd_free(w.r);
}

static void expires(void **state) {
    struct world w = world();
    upd_pass(w.r, 3600 * SP_SEC);
    assert_int_equal(upd_join(w.r, "laptop", &w.device, &w.invite, EXPIRY, UPD_JOIN_WHOLE), SP_RCODE_REFUSED);
    assert_int_equal(w.r->up.why, SP_REFUSED_join_expired);
    upd_free(w.r);
}

static void one_key_one_name(void **state) {
    struct world w = world();
    struct sp_ed25519 second = upd_key(10);
    assert_int_equal(upd_join(w.r, "laptop", &w.device, &w.invite, EXPIRY, UPD_JOIN_WHOLE), 0);
    /* The same key under another name. */
    upd_invite(w.r, "phone", &second, EXPIRY);
    upd_pass(w.r, SP_SEC);
    assert_int_equal(upd_join(w.r, "phone", &w.device, &second, EXPIRY, UPD_JOIN_WHOLE), SP_RCODE_REFUSED);
    assert_int_equal(w.r->up.why, SP_REFUSED_join_key);
    /* An invite cannot be made for a name that is taken, and one made before does not replace a key. */
    struct sp_name laptop = upd_name("laptop"), tv = upd_name("tv");
    struct sp_change c;
    assert_int_equal(sp_updater_invite_add(w.r->u, w.r->zone, &laptop, second.pub, EXPIRY, w.r->wall, &c),
                     SP_ERR_EXIST);
    struct sp_ed25519 third = upd_key(11), tv_key = upd_key(12), tv_other = upd_key(13);
    upd_invite(w.r, "tv", &third, EXPIRY);
    upd_device(w.r, "tv", &tv_key);
    upd_pass(w.r, SP_SEC);
    assert_int_equal(upd_join(w.r, "tv", &tv_other, &third, EXPIRY, UPD_JOIN_WHOLE), SP_RCODE_YXDOMAIN);
    assert_int_equal(w.r->up.why, SP_REFUSED_join_taken);
    /* The operator may not list a key twice either. */
    uint8_t rdata[SP_KEY_RDATA];
    const char *what;
    sp_key_rdata(w.device.pub, rdata);
    assert_int_equal(sp_updater_key_add(w.r->u, w.r->zone, &tv, rdata, sizeof rdata, NULL, 0, &c, &what), SP_ERR_EXIST);
    upd_free(w.r);
}

/* A key with the sign of x flipped has the same X25519 image. */
static void twins_are_one(void **state) {
    struct world w = world();
    uint8_t twin[SP_ED25519_PUB], a[32], b[32];
    assert_int_equal(upd_join(w.r, "laptop", &w.device, &w.invite, EXPIRY, UPD_JOIN_WHOLE), 0);
    memcpy(twin, w.device.pub, sizeof twin);
    twin[31] ^= 0x80;
    assert_int_equal(sp_ed25519_to_x25519(w.device.pub, a), SP_OK);
    if (sp_ed25519_to_x25519(twin, b) == SP_OK)
        assert_memory_equal(a, b, sizeof a);
    assert_true(sp_ident_has_key(w.r->u, 1, twin));
    twin[0] ^= 1;
    assert_false(sp_ident_has_key(w.r->u, 1, twin));
    upd_free(w.r);
}

static void reserved_names(void **state) {
    struct world w = world();
    struct sp_change c;
    static const char *const names[] = {"wpad", "WPAD", "isatap", "localhost", "autodiscover", "wpad.home", "*"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct sp_name n = upd_name(names[i]);
        assert_int_equal(sp_updater_invite_add(w.r->u, w.r->zone, &n, w.invite.pub, EXPIRY, w.r->wall, &c),
                         SP_ERR_DENIED);
    }
    struct sp_name fine = upd_name("wpad2"), apex = upd_name("@"), out = upd_name("x.you.example.");
    assert_int_equal(sp_updater_invite_add(w.r->u, w.r->zone, &fine, w.invite.pub, EXPIRY, w.r->wall, &c), SP_OK);
    assert_int_equal(sp_updater_invite_add(w.r->u, w.r->zone, &apex, w.invite.pub, EXPIRY, w.r->wall, &c),
                     SP_ERR_RANGE);
    assert_int_equal(sp_updater_invite_add(w.r->u, w.r->zone, &out, w.invite.pub, EXPIRY, w.r->wall, &c), SP_ERR_RANGE);
    upd_free(w.r);
}

static void leaves(void **state) {
    struct world w = world();
    assert_int_equal(upd_join(w.r, "laptop", &w.device, &w.invite, EXPIRY, UPD_JOIN_WHOLE), 0);
    /* Deleting all while putting something there replaces presence; identity stays. */
    upd_pass(w.r, SP_SEC);
    assert_int_equal(upd_update(w.r, "laptop", &w.device, "add laptop 60 TXT \"x\""), 0);
    upd_pass(w.r, SP_SEC);
    assert_int_equal(upd_update(w.r, "laptop", &w.device, "delete laptop\nadd laptop 60 A 192.0.2.1"), 0);
    assert_string_equal(upd_rrset(w.r, "laptop", "TXT"), "");
    assert_string_equal(upd_rrset(w.r, "laptop", "A"), "60 192.0.2.1");
    assert_string_not_equal(upd_rrset(w.r, "laptop", "KEY"), "");
    assert_string_not_equal(upd_rrset(w.r, "laptop", "AAAA"), "");
    /* Deleting all is leaving. */
    upd_pass(w.r, SP_SEC);
    assert_int_equal(upd_update(w.r, "laptop", &w.device, "delete laptop"), 0);
    assert_string_equal(upd_rrset(w.r, "laptop", "KEY"), "");
    assert_string_equal(upd_rrset(w.r, "laptop", "AAAA"), "");
    assert_int_equal(w.r->u->idents.count, 0);
    /* The lost reply to that: the same message is answered the same, though the key is gone. */
    upd_pass(w.r, SP_SEC);
    assert_int_equal(upd_update(w.r, "laptop", &w.device, "add laptop 60 A 192.0.2.1"), SP_RCODE_REFUSED);
    /* With a new invite the same key may come back. */
    struct sp_ed25519 second = upd_key(10);
    upd_invite(w.r, "laptop", &second, EXPIRY);
    upd_pass(w.r, SP_SEC);
    assert_int_equal(upd_join(w.r, "laptop", &w.device, &second, EXPIRY, UPD_JOIN_WHOLE), 0);
    upd_free(w.r);
}

static void log_failure_keeps_the_invite(void **state) {
    struct world w = world();
    w.r->log_full = true;
    char *before = upd_dump(w.r);
    assert_int_equal(upd_join(w.r, "laptop", &w.device, &w.invite, EXPIRY, UPD_JOIN_WHOLE), SP_RCODE_SERVFAIL);
    char *after = upd_dump(w.r);
    assert_string_equal(before, after);
    w.r->log_full = false;
    assert_int_equal(upd_join(w.r, "laptop", &w.device, &w.invite, EXPIRY, UPD_JOIN_WHOLE), 0);
    free(before);
    free(after);
    upd_free(w.r);
}

static int setup(void **state) {
    return sp_crypto_init() == SP_OK ? 0 : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joins),
        cmocka_unit_test(repeats_itself),
        cmocka_unit_test(refuses),
        cmocka_unit_test(expires),
        cmocka_unit_test(one_key_one_name),
        cmocka_unit_test(twins_are_one),
        cmocka_unit_test(reserved_names),
        cmocka_unit_test(leaves),
        cmocka_unit_test(log_failure_keeps_the_invite),
    };
    return cmocka_run_group_tests_name("update_join", tests, setup, NULL);
}
