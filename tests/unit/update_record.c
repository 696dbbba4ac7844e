/* Log records: what is written is read; damage is refused; a replay and a snapshot make the same state. */
#include "tests/unit/cm.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/dns/zonetext.h"
#include "tests/support/update_rig.h"

static void assert_same(struct upd *a, struct upd *b) {
    char *ta = upd_dump(a), *tb = upd_dump(b);
    assert_string_equal(ta, tb);
    free(ta);
    free(tb);
}

static uint32_t some_lease(void *ctx, const uint8_t *rdata, size_t len) {
    return rdata[3] == 2 ? 600 : 0;
}

static void change_round_trip(void **state) {
    static uint8_t buf[SP_LOG_BODY_MAX];
    uint8_t data[] = {0, 4, 192, 0, 2, 1, 0, 4, 192, 0, 2, 2}, invite[32] = {7};
    struct sp_wr wr = sp_wr_init(buf, sizeof buf);
    struct sp_rec_change c = {SP_CHANGE_REPLAY | SP_CHANGE_INVITE,
                              {SP_AUTH_SIG0, upd_name("LapTop"), {9}, 1, 2, 3, 4},
                              invite},
                         back;
    struct sp_rrs rrs = {SP_TYPE_A, SP_CLASS_IN, 60, 2, data, sizeof data},
                  gone = {SP_TYPE_TXT, SP_CLASS_IN, 0, 0, NULL, 0};
    struct sp_name owner = upd_name("HOST"), lower = upd_name("host");
    sp_record_change_write(&wr, &c);
    sp_record_rrset_write(&wr, &owner, &rrs, some_lease, NULL);
    sp_record_rrset_write(&wr, &owner, &gone, some_lease, NULL);
    sp_record_rrset_write(&wr, &owner, &rrs, NULL, NULL);
    assert_int_equal(wr.err, SP_OK);
    struct sp_rd rd;
    struct sp_rec_rrset set;
    assert_int_equal(sp_record_open(&rd, buf, sp_wr_len(&wr)), SP_OK);
    assert_int_equal(sp_record_change_read(&rd, &back), SP_OK);
    assert_int_equal(back.flags, c.flags);
    assert_int_equal(back.replay.inception, 1);
    assert_int_equal(back.replay.expiration, 2);
    assert_int_equal(back.replay.hash, 3);
    assert_int_equal(back.replay.rcode, 4);
    assert_memory_equal(back.replay.pub, c.replay.pub, 32);
    assert_memory_equal(back.invite, invite, 32);
    assert_int_equal(sp_record_rrset_read(&rd, &set), SP_OK);
    assert_memory_equal(set.owner.wire, lower.wire, lower.len);
    assert_int_equal(set.rrs.count, 2);
    assert_int_equal(set.rrs.ttl, 60);
    assert_memory_equal(set.rrs.data, data, sizeof data);
    assert_int_equal(sp_get_u32(set.leases), 0);
    assert_int_equal(sp_get_u32(set.leases + 4), 600);
    assert_int_equal(sp_record_rrset_read(&rd, &set), SP_OK);
    assert_int_equal(set.rrs.count, 0);
    assert_null(set.leases);
    assert_int_equal(sp_record_rrset_read(&rd, &set), SP_OK);
    assert_null(set.leases);
    assert_int_equal(sp_record_rrset_read(&rd, &set), SP_ERR_NOENT);
    /* Every cut is seen, but for those between RRsets. */
    size_t whole = 0;
    for (size_t len = 0; len < sp_wr_len(&wr); len++) {
        sp_err err = sp_record_open(&rd, buf, len);
        if (err == SP_OK)
            err = sp_record_change_read(&rd, &back);
        while (err == SP_OK)
            err = sp_record_rrset_read(&rd, &set);
        whole += err == SP_ERR_NOENT;
        assert_true(err == SP_ERR_NOENT || err == SP_ERR_CORRUPT);
    }
    assert_int_equal(whole, 3);
    buf[0] = 2;
    assert_int_equal(sp_record_open(&rd, buf, sp_wr_len(&wr)), SP_ERR_UNSUP);
    buf[0] = 0;
    assert_int_equal(sp_record_open(&rd, buf, sp_wr_len(&wr)), SP_ERR_CORRUPT);
}

/* RRsets that no writer makes. */
static void odd_rrsets_are_refused(void **state) {
    static const struct {
        uint16_t type, count;
        uint8_t data[16], len;
    } rows[] = {
        {SP_TYPE_A, 2, {0, 4, 192, 0, 2, 1}, 6},                      /* fewer than counted */
        {SP_TYPE_A, 0, {0, 4, 192, 0, 2, 1}, 6},                      /* more */
        {SP_TYPE_A, 2, {0, 4, 192, 0, 2, 2, 0, 4, 192, 0, 2, 1}, 12}, /* out of order */
        {SP_TYPE_A, 2, {0, 4, 192, 0, 2, 1, 0, 4, 192, 0, 2, 1}, 12}, /* twice */
        {SP_TYPE_A, 1, {0, 3, 192, 0, 2}, 5},                         /* malformed */
        {SP_TYPE_A, 1, {0, 5, 192, 0, 2, 1}, 6},                      /* cut */
        {SP_TYPE_ANY, 0, {0}, 0},                                     /* no type of a zone */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t buf[256];
        struct sp_rd rd;
        struct sp_rec_rrset set;
        struct sp_name owner = upd_name("host");
        struct sp_rrs rrs = {rows[i].type, SP_CLASS_IN, 60, rows[i].count, rows[i].data, rows[i].len};
        struct sp_wr wr = sp_wr_init(buf, sizeof buf);
        sp_record_rrset_write(&wr, &owner, &rrs, NULL, NULL);
        rd = sp_rd_init(buf, sp_wr_len(&wr));
        assert_int_equal(sp_record_rrset_read(&rd, &set), SP_ERR_CORRUPT);
    }
}

static void other_kinds_round_trip(void **state) {
    uint8_t buf[4096];
    struct sp_rd rd;
    struct sp_zone_secrets z = {.apex = upd_name("@"),
                                .signpost = upd_name("signpost"),
                                .dnssec_seed = {1},
                                .root_seed = {2},
                                .signpost_seed = {3}},
                           zb;
    struct sp_wr wr = sp_wr_init(buf, sizeof buf);
    sp_record_zone_write(&wr, &z);
    assert_int_equal(sp_record_open(&rd, buf, sp_wr_len(&wr)), SP_OK);
    assert_int_equal(sp_record_zone_read(&rd, &zb), SP_OK);
    assert_true(sp_name_equal(&zb.apex, &z.apex) && sp_name_equal(&zb.signpost, &z.signpost));
    assert_int_equal(zb.dnssec_seed[0] * 100 + zb.root_seed[0] * 10 + zb.signpost_seed[0], 123);

    struct sp_rec_key k = {.kind = SP_AUTH_TSIG, .tsig = upd_tsig_key("router."), .policy = "names=*", .policy_len = 7},
                      kb;
    wr = sp_wr_init(buf, sizeof buf);
    sp_record_key_write(&wr, &k);
    assert_int_equal(sp_record_open(&rd, buf, sp_wr_len(&wr)), SP_OK);
    assert_int_equal(sp_record_key_read(&rd, &kb), SP_OK);
    assert_int_equal(kb.tsig.hash, SP_SHA256);
    assert_int_equal(kb.tsig.secret_len, 32);
    assert_memory_equal(kb.tsig.secret, k.tsig.secret, 32);
    assert_memory_equal(kb.policy, "names=*", 7);
    for (size_t len = 0; len < sp_wr_len(&wr); len++)
        if (sp_record_open(&rd, buf, len) == SP_OK)
            assert_int_equal(sp_record_key_read(&rd, &kb), SP_ERR_CORRUPT);

    struct sp_invite_info i = {upd_name("laptop"), {4}, 77}, ib;
    wr = sp_wr_init(buf, sizeof buf);
    sp_record_invite_write(&wr, &i);
    assert_int_equal(sp_record_open(&rd, buf, sp_wr_len(&wr)), SP_OK);
    assert_int_equal(sp_record_invite_read(&rd, &ib), SP_OK);
    assert_int_equal(ib.expiry, 77);
    assert_int_equal(ib.pub[0], 4);
    wr.pos++;
    assert_int_equal(sp_record_open(&rd, buf, sp_wr_len(&wr)), SP_OK);
    assert_int_equal(sp_record_invite_read(&rd, &ib), SP_ERR_CORRUPT); /* trailing bytes */
}

/* A zone with all kinds of state, by the ways that make it. */
static struct upd *lively(void) {
    struct upd *r = upd_new();
    struct sp_ed25519 laptop = upd_key(1), phone = upd_key(2), tv = upd_key(3), i1 = upd_key(11), i2 = upd_key(12);
    struct sp_tsig_key router = upd_tsig_key("router.");
    struct sp_name gone = upd_name("tv");
    struct sp_change c;
    bool more;
    char line[160];
    upd_tsig(r, "router.", "names=*.dyn,host types=A,AAAA,TXT axfr");
    upd_tsig(r, "old.", "names=*");
    struct sp_name old = upd_name("old.");
    assert_int_equal(sp_updater_key_remove(r->u, r->zone, &old, &c), SP_OK);
    assert_true(upd_commit(r, &c));
    upd_invite(r, "laptop", &i1, UPD_WALL + 10000);
    upd_invite(r, "tablet", &i2, UPD_WALL + 10000);
    assert_int_equal(upd_join(r, "laptop", &laptop, &i1, UPD_WALL + 10000, UPD_JOIN_WHOLE), 0);
    upd_device(r, "phone", &phone);
    upd_device(r, "tv", &tv);
    for (unsigned i = 0; i < 40; i++) {
        upd_pass(r, SP_SEC);
        snprintf(line, sizeof line, "add s%u.laptop 60 TXT \"%u\"\nadd laptop 60 A 192.0.2.%u", i % 7, i, i % 9);
        assert_int_equal(upd_update_lease(r, "laptop", &laptop, line, i % 3 == 0 ? 3600 : i % 3 == 1 ? 0 : 30), 0);
        snprintf(line, sizeof line, "delete phone A\nadd phone 30 A 198.51.100.%u", i % 5);
        assert_int_equal(upd_update(r, "phone", &phone, line), 0);
        snprintf(line, sizeof line, "add n%u.dyn 60 A 192.0.2.1", i);
        assert_int_equal(upd_update_tsig(r, &router, line), 0);
        /* Every key's last word is a change: what changes nothing is remembered, but not logged. */
        snprintf(line, sizeof line, "add tv 60 A 192.0.2.%u\nadd a.tv 60 A 192.0.2.1", i);
        assert_int_equal(upd_update(r, "tv", &tv, line), 0);
        upd_expire(r);
    }
    upd_pass(r, 40 * SP_SEC);
    upd_expire(r);
    assert_int_equal(sp_updater_revoke(r->u, r->zone, &gone, &c, &more), SP_OK);
    assert_true(upd_commit(r, &c));
    return r;
}

static void replay_makes_the_same(void **state) {
    struct upd *r = lively();
    struct upd *b = upd_replayed(r, r->records);
    assert_same(r, b);
    upd_free(b);
    /* Records are idempotent: the second half twice, as after a snapshot. */
    b = upd_restored(r);
    assert_same(r, b);
    for (size_t i = r->records / 2; i < r->records; i++) {
        struct sp_log_record rec = {i, r->log[i].zone, r->log[i].kind, false, r->log[i].body, r->log[i].len};
        assert_int_equal(sp_updater_apply(b->u, &rec, b->now), SP_OK);
    }
    sp_updater_replayed(b->u, b->now, b->wall);
    assert_same(r, b);
    upd_free(b);
    upd_free(r);
}

static void snapshot_while_changes_go_on(void **state) {
    struct upd *r = lively();
    struct sp_ed25519 laptop = upd_key(1);
    struct sp_snapshot s;
    struct sp_change c;
    struct upd *b = upd_replayed(r, 0); /* empty */
    size_t began = r->records, slices = 0;
    char line[160];
    /* A big RRset or two, so that a slice ends inside a name. */
    for (unsigned i = 0; i < 8; i++) {
        upd_begin(r);
        for (unsigned j = 0; j < 50; j++) {
            uint8_t rdata[241] = {240, (uint8_t)j};
            snprintf(line, sizeof line, i < 4 ? "big.laptop" : "big%u.laptop", i);
            upd_rr(r, 2, line, (uint16_t)(65300 + i), SP_CLASS_IN, 60, rdata, sizeof rdata);
        }
        r->via = SP_VIA_TCP;
        upd_pass(r, SP_SEC);
        upd_sign(r, "laptop", &laptop);
        assert_int_equal(upd_send(r), 0);
    }
    began = r->records;
    sp_updater_snapshot_begin(&s);
    while (sp_updater_snapshot_next(r->u, &s, r->wall, &c)) {
        struct sp_log_record rec = {0, c.zone, c.kind, false, c.body, c.len};
        assert_int_equal(sp_updater_apply(b->u, &rec, b->now), SP_OK);
        slices++;
        for (unsigned i = 0; i < 3; i++) {
            upd_pass(r, SP_SEC);
            snprintf(line, sizeof line,
                     "add x%zu.laptop 60 A 192.0.2.%u\ndelete s%zu.laptop\ndelete big.laptop TYPE%zu", slices, i,
                     slices % 7, 65300 + slices % 4);
            assert_int_equal(upd_update(r, "laptop", &laptop, line), 0);
        }
    }
    assert_true(slices > 8);
    for (size_t i = began; i < r->records; i++) {
        struct sp_log_record rec = {i, r->log[i].zone, r->log[i].kind, false, r->log[i].body, r->log[i].len};
        assert_int_equal(sp_updater_apply(b->u, &rec, b->now), SP_OK);
    }
    sp_updater_replayed(b->u, b->now, r->wall);
    assert_same(r, b);
    upd_free(b);
    upd_free(r);
}

static void big_transactions_are_whole_or_not(void **state) {
    struct upd *r = upd_new();
    struct sp_txn *txn;
    struct sp_zonetext_error error;
    struct sp_change c;
    size_t cap = 4 << 20, len;
    char *text = malloc(cap);
    len = (size_t)sprintf(text, "@ 300 SOA ns hostmaster 100 3600 600 86400 300\n@ 300 NS ns\nns 300 A 192.0.2.1\n");
    for (unsigned i = 0; i < 10000; i++)
        len +=
            (size_t)sprintf(text + len, "n%u 300 TXT \"some text that takes a little room in the record %u\"\n", i, i);
    char *before = upd_dump(r);
    size_t first = r->records;
    assert_int_equal(sp_zone_load(&txn, r->zone, text, len, &error), SP_OK);
    assert_int_equal(sp_updater_txn(r->u, r->zone, txn, true, &c), SP_OK);
    assert_true(c.more);
    assert_true(upd_commit(r, &c));
    assert_true(r->records > first + 5);
    assert_int_equal(upd_serial(r), 101);
    struct upd *b = upd_replayed(r, r->records);
    assert_same(r, b);
    upd_free(b);
    /* A crash in the middle: nothing of it. */
    for (size_t n = first; n < r->records; n += 3) {
        b = upd_replayed(r, n);
        char *after = upd_dump(b);
        assert_string_equal(after, before);
        free(after);
        upd_free(b);
    }
    /* The same, and then life goes on. */
    b = upd_replayed(r, r->records - 1);
    struct sp_ed25519 key = upd_key(1);
    upd_device(b, "laptop", &key);
    assert_int_equal(upd_update(b, "laptop", &key, "add laptop 60 A 192.0.2.1"), 0);
    struct upd *d = upd_replayed(b, b->records);
    assert_same(b, d);
    upd_free(d);
    upd_free(b);
    free(before);
    free(text);
    upd_free(r);
}

static void damage_is_refused(void **state) {
    struct upd *r = lively();
    unsigned refused = 0, taken = 0;
    static uint8_t body[SP_LOG_BODY_MAX];
    for (size_t i = 0; i < r->records; i += 3)
        for (size_t at = 0; at < r->log[i].len; at += 7) {
            struct upd *b = upd_replayed(r, 2);
            memcpy(body, r->log[i].body, r->log[i].len);
            body[at] ^= 0x41;
            struct sp_log_record rec = {1, r->log[i].zone, r->log[i].kind, false, body, r->log[i].len};
            sp_err err = sp_updater_apply(b->u, &rec, b->now);
            refused += err != SP_OK;
            taken += err == SP_OK;
            upd_free(b);
            if (taken + refused > 2000)
                break;
        }
    assert_true(refused > 100);
    struct sp_log_record rec = {1, 1, 99, false, (const uint8_t *)"\1", 1};
    assert_int_equal(sp_updater_apply(r->u, &rec, r->now), SP_ERR_CORRUPT);
    rec.zone = 0;
    assert_int_equal(sp_updater_apply(r->u, &rec, r->now), SP_ERR_CORRUPT);
    upd_free(r);
}

static void zones_come_and_go(void **state) {
    struct upd *r = lively();
    struct sp_change c;
    assert_int_equal(sp_updater_zone_remove(r->u, r->zone, &c), SP_OK);
    r->zone = NULL;
    assert_true(upd_commit(r, &c));
    assert_null(sp_zones_next(r->zones, NULL));
    assert_int_equal(
        r->u->idents.count + r->u->leases.count + r->u->uses.count + r->u->keys.count + r->u->invites.count, 0);
    struct upd *b = upd_replayed(r, r->records);
    assert_same(r, b);
    upd_free(b);
    /* Records of a zone that a snapshot no longer has are passed over. */
    b = upd_restored(r);
    for (size_t i = r->records / 2; i < r->records; i++) {
        struct sp_log_record rec = {i, r->log[i].zone, r->log[i].kind, false, r->log[i].body, r->log[i].len};
        assert_int_equal(sp_updater_apply(b->u, &rec, b->now), SP_OK);
    }
    upd_free(b);
    upd_free(r);
}

static int setup(void **state) {
    return sp_crypto_init() == SP_OK ? 0 : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(change_round_trip),
        cmocka_unit_test(odd_rrsets_are_refused),
        cmocka_unit_test(other_kinds_round_trip),
        cmocka_unit_test(replay_makes_the_same),
        cmocka_unit_test(snapshot_while_changes_go_on),
        cmocka_unit_test(big_transactions_are_whole_or_not),
        cmocka_unit_test(damage_is_refused),
        cmocka_unit_test(zones_come_and_go),
    };
    return cmocka_run_group_tests_name("update_record", tests, setup, NULL);
}
