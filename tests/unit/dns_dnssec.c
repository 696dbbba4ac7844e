#include "tests/unit/cm.h"

#include <string.h>

#include "proto/dns/dnssec.h"
#include "proto/dns/rrtype.h"

/* DNSSEC with Ed25519: RFC 8080's own examples, RFC 4034's forms, RFC 9824's next names. */

static uint8_t scratch[4096];

static int init(void **state) {
    return sp_crypto_init() == SP_OK ? 0 : 1;
}

static struct sp_name name_of(const char *text) {
    struct sp_name name;
    assert_int_equal(sp_name_from_text(&name, text, strlen(text), NULL), SP_OK);
    return name;
}

static void unbase64(const char *text, uint8_t *ret, size_t want) {
    size_t len;
    assert_int_equal(sp_base64_decode(text, strlen(text), ret, want, &len), SP_OK);
    assert_int_equal(len, want);
}

static struct sp_zone_key zone_key(const char *seed_text) {
    struct sp_zone_key k;
    struct sp_ed25519 key;
    struct sp_name zone = name_of("Example.COM.");
    uint8_t seed[32];
    unbase64(seed_text, seed, 32);
    sp_ed25519_from_seed(&key, seed);
    sp_zone_key_init(&k, &zone, &key);
    return k;
}

/* 6 */
static const struct {
    const char *seed, *pub, *ds, *sig;
    uint16_t tag;
} rfc8080[] = {
    {"ODIyNjAzODQ2MjgwODAxMjI2NDUxOTAyMDQxNDIyNjI=", "l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=",
     "3aa5ab37efce57f737fc1627013fee07bdf241bd10f3b1964ab55c78e79a304b",
     "oL9krJun7xfBOIWcGHi7mag5/hdZrKWw15jPGrHpjQeRAvTdszaPD+QLs3fx8A4M3e23mRZ9VrbpMngwcrqNAg==", 3613},
    {"DSSF3o0s0f+ElWzj9E/Osxw8hLpk55chkmx0LYN5WiY=", "zPnZ/QwEe7S8C5SPz2OfS5RR40ATk2/rYnE9xHIEijs=",
     "401781b934e392de492ec77ae2e15d70f6575a1c0bc59c5275c04ebe80c6614c",
     "zXQ0bkYgQTEFyfLyi9QoiY6D8ZdYo4wyUhVioYZXFdT410QPRITQSqJSnzQoSm5poJ7gD7AQR0O7KuI5k2pcBg==", 35217},
};

static const struct sp_sig_window rfc_window = {1438207200, 1440021600, 0};
static const uint8_t mx[] = "\x00\x14\x00\x0a\x04mail\x07"
                            "example\x03"
                            "com";

static void rfc8080_examples(void **state) {
    const struct sp_rrs rrs = {SP_TYPE_MX, SP_CLASS_IN, 3600, 1, mx, sizeof mx};
    struct sp_name owner = name_of("example.com.");
    for (size_t i = 0; i < 2; i++) {
        struct sp_zone_key k = zone_key(rfc8080[i].seed);
        uint8_t pub[32], ds[36], dnskey[SP_DNSKEY_RDATA], digest[32], sig[64], rrsig[SP_RRSIG_RDATA_MAX];
        size_t len;
        unbase64(rfc8080[i].pub, pub, 32);
        unbase64(rfc8080[i].sig, sig, 64);
        sp_test_hex(rfc8080[i].ds, digest, 32);
        assert_int_equal(k.tag, rfc8080[i].tag);
        sp_dnskey_rdata(&k, dnskey);
        assert_memory_equal(dnskey, "\x01\x01\x03\x0f", 4);
        assert_memory_equal(dnskey + 4, pub, 32);
        sp_ds_rdata(&k, ds);
        assert_int_equal(sp_get_u16(ds), k.tag);
        assert_memory_equal(ds + 2, "\x0f\x02", 2);
        assert_memory_equal(ds + 4, digest, 32);
        assert_int_equal(sp_dnssec_sign(&k, &owner, &rrs, rfc_window, scratch, sizeof scratch, rrsig, &len), SP_OK);
        assert_int_equal(len, 18 + 13 + 64);
        assert_memory_equal(rrsig, "\x00\x0f\x0f\x02\x00\x00\x0e\x10\x55\xd4\xfc\x60\x55\xb9\x4c\xe0", 16);
        assert_int_equal(sp_get_u16(rrsig + 16), k.tag);
        assert_memory_equal(rrsig + 18,
                            "\x07"
                            "example\x03"
                            "com",
                            13);
        assert_memory_equal(rrsig + 31, sig, 64);
    }
}

/* RFC 4034 6.2: case does not matter in the owner, nor in the names that old types embed. */
static void case_is_canonical(void **state) {
    struct sp_zone_key k = zone_key(rfc8080[0].seed);
    uint8_t loud[sizeof mx], a[SP_RRSIG_RDATA_MAX], b[SP_RRSIG_RDATA_MAX];
    struct sp_rrs rrs = {SP_TYPE_MX, SP_CLASS_IN, 3600, 1, mx, sizeof mx};
    struct sp_name lower = name_of("x.example.com."), upper = name_of("X.EXAMPLE.com.");
    size_t a_len, b_len;
    memcpy(loud, mx, sizeof mx);
    loud[5] = 'M';
    assert_int_equal(sp_dnssec_sign(&k, &lower, &rrs, rfc_window, scratch, sizeof scratch, a, &a_len), SP_OK);
    rrs.data = loud;
    assert_int_equal(sp_dnssec_sign(&k, &upper, &rrs, rfc_window, scratch, sizeof scratch, b, &b_len), SP_OK);
    assert_int_equal(a_len, b_len);
    assert_memory_equal(a, b, a_len);
}

/* RFC 4034 3.1.3. */
static void labels_leave_out_the_wildcard(void **state) {
    struct sp_zone_key k = zone_key(rfc8080[0].seed);
    const struct sp_rrs rrs = {SP_TYPE_MX, SP_CLASS_IN, 3600, 1, mx, sizeof mx};
    uint8_t rrsig[SP_RRSIG_RDATA_MAX];
    size_t len;
    static const struct {
        const char *owner;
        uint8_t labels;
    } cases[] = {{"example.com.", 2}, {"a.b.example.com.", 4}, {"*.b.example.com.", 3}, {"a.*.example.com.", 4}};
    for (size_t i = 0; i < 4; i++) {
        struct sp_name owner = name_of(cases[i].owner);
        assert_int_equal(sp_dnssec_sign(&k, &owner, &rrs, rfc_window, scratch, sizeof scratch, rrsig, &len), SP_OK);
        assert_int_equal(rrsig[3], cases[i].labels);
    }
}

static void refuses_short_scratch_and_broken_sets(void **state) {
    struct sp_zone_key k = zone_key(rfc8080[0].seed);
    struct sp_rrs rrs = {SP_TYPE_MX, SP_CLASS_IN, 3600, 1, mx, sizeof mx};
    struct sp_name owner = name_of("example.com.");
    uint8_t rrsig[SP_RRSIG_RDATA_MAX];
    size_t len = 0, need = 18 + 13 + 13 + 10 + sizeof mx - 2;
    for (size_t n = 0; n < need; n++)
        assert_int_equal(sp_dnssec_sign(&k, &owner, &rrs, rfc_window, scratch, n, rrsig, &len), SP_ERR_SPACE);
    assert_int_equal(len, 0);
    assert_int_equal(sp_dnssec_sign(&k, &owner, &rrs, rfc_window, scratch, need, rrsig, &len), SP_OK);
    rrs.count = 2;
    assert_int_equal(sp_dnssec_sign(&k, &owner, &rrs, rfc_window, scratch, sizeof scratch, rrsig, &len), SP_ERR_FORM);
    rrs.count = 1;
    rrs.len--;
    assert_int_equal(sp_dnssec_sign(&k, &owner, &rrs, rfc_window, scratch, sizeof scratch, rrsig, &len), SP_ERR_FORM);
}

static void windows(void **state) {
    const uint64_t day = 86400, start = UINT64_C(1795433275);
    for (uint64_t s = start; s < start + 40 * day; s += 3571) {
        struct sp_sig_window w = sp_sig_window_at(sp_wall_from_sec(s));
        assert_int_equal(w.renew % day, 0);
        assert_true(w.inception + day <= s);
        assert_true(s < w.renew && w.renew <= s + 4 * day);
        assert_true(w.expiration >= w.renew + 10 * day);
        assert_int_equal(w.expiration - w.inception, 15 * day);
        struct sp_sig_window end = sp_sig_window_at(sp_wall_from_sec(w.renew - 1u));
        struct sp_sig_window next = sp_sig_window_at(sp_wall_from_sec(w.renew));
        assert_memory_equal(&end, &w, sizeof w);
        assert_int_equal(next.inception, w.inception + 4 * day);
    }
    struct sp_sig_window unset = sp_sig_window_at(sp_wall_from_sec(5));
    assert_int_equal(unset.inception, 0);
    assert_true(unset.expiration > 5);
}

/* RFC 4034 4.3's example: A MX RRSIG NSEC TYPE1234. */
static void type_bitmap(void **state) {
    static const uint16_t types[] = {1, 15, 46, 47, 1234};
    uint8_t buf[80], want[37] = {0, 6, 0x40, 1, 0, 0, 0, 3, 4, 27, [36] = 0x20};
    struct sp_wr wr = sp_wr_init(buf, sizeof buf);
    sp_type_bitmap(&wr, types, 5);
    assert_int_equal(sp_wr_len(&wr), 37);
    assert_memory_equal(buf, want, 37);
    wr = sp_wr_init(buf, sizeof buf);
    sp_type_bitmap(&wr, types, 0);
    assert_int_equal(sp_wr_len(&wr), 0);
    static const uint16_t high[] = {255, 256, 65535};
    sp_type_bitmap(&wr, high, 3);
    assert_int_equal(sp_wr_len(&wr), 34 + 3 + 34);
    wr = sp_wr_init(buf, 5);
    sp_type_bitmap(&wr, types, 5);
    assert_int_equal(wr.err, SP_ERR_SPACE);
}

static sp_err next_of(const struct sp_name *name, struct sp_name *next) {
    static const uint16_t types[] = {SP_TYPE_RRSIG, SP_TYPE_NSEC, SP_TYPE_NXNAME};
    uint8_t buf[300], tail[] = {0, 17, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80};
    struct sp_wr wr = sp_wr_init(buf, sizeof buf);
    SP_TRY(sp_nsec_compact(name, types, 3, &wr));
    struct sp_rd rd = sp_rd_init(buf, sp_wr_len(&wr));
    assert_int_equal(sp_name_read_plain(&rd, next), SP_OK);
    assert_int_equal(sp_rd_left(&rd), sizeof tail);
    assert_memory_equal(rd.pos, tail, sizeof tail);
    assert_int_equal(sp_rdata_check(SP_TYPE_NSEC, buf, sp_wr_len(&wr)), SP_OK);
    return SP_OK;
}

/* RFC 9824 3.4: the immediate successor, whatever the query's case. */
static void compact_next_name(void **state) {
    struct sp_name name = name_of("Nope.Example.COM."), next, want = name_of("\\000.nope.example.com.");
    assert_int_equal(next_of(&name, &next), SP_OK);
    assert_int_equal(next.len, want.len);
    assert_memory_equal(next.wire, want.wire, want.len);
}

/* A name of exactly `len` bytes whose first label has `first` bytes, the last of them `last`. */
static struct sp_name long_name(unsigned len, unsigned first, uint8_t last) {
    struct sp_name name;
    unsigned left = len - 1 - (first + 1);
    sp_name_root(&name);
    while (left > 0) {
        unsigned n = left > 64 ? (left - 64 < 2 ? 32 : 64) : left;
        uint8_t label[63];
        memset(label, 'm', sizeof label);
        assert_int_equal(sp_name_prepend(&name, label, n - 1, &name), SP_OK);
        left -= n;
    }
    uint8_t label[63];
    memset(label, 'k', sizeof label);
    label[first - 1] = last;
    assert_int_equal(sp_name_prepend(&name, label, first, &name), SP_OK);
    assert_int_equal(name.len, len);
    return name;
}

/* RFC 4471 3.1.2, where there is no room for a label in front. */
static void compact_next_of_long_names(void **state) {
    struct sp_name name, next, parent, next_parent;
    for (unsigned len = 252; len <= 255; len++)
        for (unsigned first = 1; first <= 63; first++)
            for (unsigned last = 0; last < 256; last++) {
                name = long_name(len, first, (uint8_t)last);
                sp_err err = next_of(&name, &next);
                if (len >= 254 && last == 0xff && first == 1 && len == 255) {
                    assert_int_equal(err, SP_ERR_RANGE);
                    continue;
                }
                assert_int_equal(err, SP_OK);
                assert_true(sp_name_cmp(&name, &next) < 0);
                if (len <= 253)
                    assert_int_equal(next.labels, name.labels + 1);
                else {
                    assert_int_equal(next.labels, name.labels);
                    sp_name_strip(&name, 1, &parent);
                    sp_name_strip(&next, 1, &next_parent);
                    assert_true(sp_name_equal(&parent, &next_parent));
                }
            }
    name = long_name(255, 5, '@'); /* 'A' to 'Z' are ordered as 'a' to 'z' */
    assert_int_equal(next_of(&name, &next), SP_OK);
    assert_memory_equal(next.wire, "\x05kkkk[", 6);
    name = long_name(255, 5, 0xff);
    assert_int_equal(next_of(&name, &next), SP_OK);
    assert_memory_equal(next.wire, "\x04kkkl", 5);
    name = long_name(254, 5, 0xff);
    assert_int_equal(next_of(&name, &next), SP_OK);
    assert_memory_equal(next.wire, "\x06kkkk\xff\x00", 7);
    name = long_name(254, 63, 'z');
    assert_int_equal(next_of(&name, &next), SP_OK);
    assert_int_equal(next.wire[63], '{');
    assert_int_equal(next.len, 254);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc8080_examples),
        cmocka_unit_test(case_is_canonical),
        cmocka_unit_test(labels_leave_out_the_wildcard),
        cmocka_unit_test(refuses_short_scratch_and_broken_sets),
        cmocka_unit_test(windows),
        cmocka_unit_test(type_bitmap),
        cmocka_unit_test(compact_next_name),
        cmocka_unit_test(compact_next_of_long_names),
    };
    return cmocka_run_group_tests_name("dns_dnssec (RFC 4034, 8080, 9824)", tests, init, NULL);
}
