#include "tests/unit/cm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/dns/tsig.h"

/* TSIG, RFC 8945. The messages are nsupdate's and dnspython's; see tests/vectors/README.md. */

#define SIGNED_AT UINT64_C(1795433275)
static const sp_wall signed_at = {SIGNED_AT * SP_SEC};

static const struct {
    const char *file, *secret;
    enum sp_hash hash;
} vectors[] = {
    {"nsupdate/tsig-256.bin", "ERLccV4KPH1kASU2PycK/qvaf10tF1xWuCwi/0ZG9hM=", SP_SHA256},
    {"nsupdate/tsig-384.bin", "SDkQQO8B3lJ4QkEjNEGdNQ5utUwO45JZmcSOgba6f6SYL1SWrjAoU2QLGGkMkoEB", SP_SHA384},
    {"nsupdate/tsig-512.bin",
     "nwKuhDJTmtPznrJMedu6FfHbSsiIvMc6tfDjZ4FCyjoYuJioUOWqto6/IQFb3bJhYL6UWprYz2xBTaALRZi0QA==", SP_SHA512},
};
#define VECTORS (sizeof vectors / sizeof vectors[0])

static size_t load(const char *file, uint8_t *buf, size_t cap) {
    char path[1024];
    size_t len;
    snprintf(path, sizeof path, "%s/%s", getenv("SIGNPOST_VECTORS"), file);
    char *data = sp_test_read(path, &len);
    assert_non_null(data);
    assert_true(len <= cap);
    memcpy(buf, data, len);
    free(data);
    return len;
}

static struct sp_name name_of(const char *text) {
    struct sp_name name;
    assert_int_equal(sp_name_from_text(&name, text, strlen(text), NULL), SP_OK);
    return name;
}

static struct sp_tsig_key key_of(size_t i) {
    struct sp_tsig_key key = {.name = name_of("device-key."), .hash = vectors[i].hash};
    size_t len;
    assert_int_equal(
        sp_base64_decode(vectors[i].secret, strlen(vectors[i].secret), key.secret, sizeof key.secret, &len), SP_OK);
    key.secret_len = (uint16_t)len;
    return key;
}

static sp_err verify(const uint8_t *wire, size_t len, const struct sp_tsig_key *key, uint64_t at,
                     const struct sp_tsig_state *request, struct sp_tsig_state *st) {
    struct sp_msg msg;
    SP_TRY(sp_msg_parse(&msg, wire, len));
    if (msg.auth != SP_AUTH_TSIG)
        return SP_ERR_NOENT;
    return sp_tsig_verify(&msg, key, sp_wall_from_sec(at), request, st);
}

/* Takes the TSIG off a message; returns its length without. */
static size_t strip(uint8_t *wire, size_t len) {
    struct sp_msg msg;
    assert_int_equal(sp_msg_parse(&msg, wire, len), SP_OK);
    assert_int_equal(msg.auth, SP_AUTH_TSIG);
    wire[11]--;
    return msg.auth_offset;
}

static void nsupdate_verifies(void **state) {
    for (size_t i = 0; i < VECTORS; i++) {
        uint8_t wire[512];
        size_t len = load(vectors[i].file, wire, sizeof wire);
        struct sp_tsig_key key = key_of(i);
        struct sp_tsig_state st;
        struct sp_msg msg;
        struct sp_name name, alg;
        enum sp_hash hash;
        assert_int_equal(sp_msg_parse(&msg, wire, len), SP_OK);
        assert_int_equal(sp_tsig_peek(&msg, &name, &alg), SP_OK);
        assert_true(sp_name_equal(&name, &key.name));
        assert_int_equal(sp_tsig_alg(&alg, &hash), SP_OK);
        assert_int_equal(hash, vectors[i].hash);
        assert_int_equal(verify(wire, len, &key, SIGNED_AT, NULL, &st), SP_OK);
        assert_int_equal(st.error, 0);
        assert_int_equal(st.mac_len, sp_hash_size(hash));
        assert_int_equal(st.client_time, SIGNED_AT);
        key.secret[5] ^= 1;
        assert_int_equal(verify(wire, len, &key, SIGNED_AT, NULL, &st), SP_ERR_BADSIG);
        assert_int_equal(st.error, SP_RCODE_BADSIG);
    }
}

static void signs_as_nsupdate(void **state) {
    for (size_t i = 0; i < VECTORS; i++) {
        uint8_t wire[512], buf[512];
        size_t len = load(vectors[i].file, wire, sizeof wire);
        struct sp_tsig_key key = key_of(i);
        struct sp_tsig_state st = {0};
        memcpy(buf, wire, len);
        size_t plain = strip(buf, len);
        struct sp_wr wr = sp_wr_init(buf, len);
        assert_non_null(sp_wr_reserve(&wr, plain));
        assert_int_equal(sp_tsig_sign(&wr, &key, signed_at, NULL, false, &st), SP_OK);
        assert_int_equal(sp_wr_len(&wr), len);
        assert_memory_equal(buf, wire, len);
        assert_true(len - plain + 6 == sp_tsig_size(&key));

        strip(buf, len);
        wr = sp_wr_init(buf, len - 1);
        assert_non_null(sp_wr_reserve(&wr, plain));
        assert_int_equal(sp_tsig_sign(&wr, &key, signed_at, NULL, false, &st), SP_ERR_SPACE);
        assert_int_equal(sp_wr_len(&wr), plain);
    }
}

static void no_altered_byte_verifies(void **state) {
    uint8_t wire[512];
    size_t len = load(vectors[0].file, wire, sizeof wire);
    struct sp_tsig_key key = key_of(0);
    struct sp_tsig_state st;
    for (size_t i = 2; i < len; i++) { /* the id may change on the way: the original one is covered */
        for (unsigned bit = 0; bit < 8; bit++) {
            wire[i] ^= (uint8_t)(1 << bit);
            struct sp_msg msg;
            struct sp_name name, alg;
            bool same_key = sp_msg_parse(&msg, wire, len) == SP_OK && msg.auth == SP_AUTH_TSIG &&
                            sp_tsig_peek(&msg, &name, &alg) == SP_OK && sp_name_equal(&name, &key.name);
            sp_err err = verify(wire, len, &key, SIGNED_AT, NULL, &st);
            if (err == SP_OK) /* a letter's case, in names that are compared and hashed lowered */
                assert_true(same_key && bit == 5 && ((wire[i] | 0x20) >= 'a' && (wire[i] | 0x20) <= 'z'));
            wire[i] ^= (uint8_t)(1 << bit);
        }
    }
    for (size_t n = 0; n < len; n++)
        assert_int_not_equal(verify(wire, n, &key, SIGNED_AT, NULL, &st), SP_OK);
    wire[0] ^= 0xff;
    assert_int_equal(verify(wire, len, &key, SIGNED_AT, NULL, &st), SP_OK);
}

static void other_names_and_algorithms_are_bad_keys(void **state) {
    uint8_t wire[512];
    size_t len = load(vectors[0].file, wire, sizeof wire);
    struct sp_tsig_key key = key_of(0);
    struct sp_tsig_state st;
    enum sp_hash hash;
    struct sp_name md5 = name_of("hmac-md5.sig-alg.reg.int.");
    key.hash = SP_SHA512;
    assert_int_equal(verify(wire, len, &key, SIGNED_AT, NULL, &st), SP_ERR_BADKEY);
    assert_int_equal(st.error, SP_RCODE_BADKEY);
    key = key_of(0);
    key.name = name_of("other-key.");
    assert_int_equal(verify(wire, len, &key, SIGNED_AT, NULL, &st), SP_ERR_BADKEY);
    assert_int_equal(sp_tsig_alg(&md5, &hash), SP_ERR_UNSUP);
}

/* Signs a reply to the request in st and returns its length. */
static size_t reply(uint8_t *buf, size_t cap, const struct sp_tsig_key *key, uint64_t at, struct sp_tsig_state *st) {
    struct sp_msgw w;
    struct sp_name zone = name_of("me.signpost.");
    sp_msgw_begin(&w, buf, cap, 0xf064, 0xa800 | (st->error != 0 ? SP_RCODE_NOTAUTH : 0));
    sp_msgw_question(&w, &zone, SP_TYPE_SOA, SP_CLASS_IN);
    size_t len = sp_msgw_end(&w);
    struct sp_wr wr = sp_wr_init(buf, cap);
    assert_non_null(sp_wr_reserve(&wr, len));
    assert_int_equal(sp_tsig_sign(&wr, key, sp_wall_from_sec(at), st, false, st), SP_OK);
    assert_true(sp_wr_len(&wr) - len <= sp_tsig_size(key));
    return sp_wr_len(&wr);
}

/* 5.2.3: outside the window the error is BADTIME; the reply is signed, repeats the client's time and carries the
 * server's. */
static void badtime_tells_the_time(void **state) {
    uint8_t wire[512], out[512];
    size_t len = load(vectors[0].file, wire, sizeof wire);
    struct sp_tsig_key key = key_of(0);
    struct sp_tsig_state st, client;
    assert_int_equal(verify(wire, len, &key, SIGNED_AT + 300, NULL, &st), SP_OK);
    assert_int_equal(verify(wire, len, &key, SIGNED_AT - 300, NULL, &st), SP_OK);
    client = st;
    assert_int_equal(verify(wire, len, &key, SIGNED_AT - 301, NULL, &st), SP_ERR_TIME);
    assert_int_equal(verify(wire, len, &key, SIGNED_AT + 301, NULL, &st), SP_ERR_TIME);
    assert_int_equal(st.error, SP_RCODE_BADTIME);
    size_t n = reply(out, sizeof out, &key, SIGNED_AT + 301, &st);
    uint8_t end[] = {0, 18, 0, 6, 0, 0, 0x6b, 0x04, 0x24, 0x68};
    assert_memory_equal(out + n - sizeof end, end, sizeof end);
    assert_int_equal(verify(out, n, &key, SIGNED_AT, &client, &client), SP_ERR_TIME);
    assert_int_equal(client.error, SP_RCODE_BADTIME);
    assert_int_equal(client.client_time, SIGNED_AT);
}

/* 5.3.2: after BADSIG or BADKEY the reply has a TSIG with an empty MAC. */
static void badsig_and_badkey_are_unsigned(void **state) {
    uint8_t wire[512], out[512];
    size_t len = load(vectors[0].file, wire, sizeof wire);
    struct sp_tsig_key key = key_of(0);
    struct sp_tsig_state st, client;
    assert_int_equal(verify(wire, len, &key, SIGNED_AT, NULL, &client), SP_OK);
    wire[40] ^= 1;
    assert_int_equal(verify(wire, len, &key, SIGNED_AT, NULL, &st), SP_ERR_BADSIG);
    size_t n = reply(out, sizeof out, &key, SIGNED_AT, &st);
    assert_memory_equal(out + n - 8, "\0\0\xf0\x64\0\x10\0\0", 8);
    struct sp_tsig_state got = client;
    assert_int_equal(verify(out, n, &key, SIGNED_AT, &client, &got), SP_ERR_BADSIG);
    assert_int_equal(got.error, SP_RCODE_BADSIG);

    struct sp_name alg;
    uint8_t plain[64] = {0xf0, 0x64, 0xa8, 9};
    struct sp_wr wr = sp_wr_init(plain, sizeof plain);
    assert_non_null(sp_wr_reserve(&wr, 12));
    sp_tsig_alg_name(SP_SHA256, &alg);
    assert_int_equal(sp_tsig_unsigned(&wr, &key.name, &alg, SP_RCODE_BADKEY, signed_at), SP_OK);
    assert_int_equal(verify(plain, sp_wr_len(&wr), &key, SIGNED_AT, &client, &got), SP_ERR_BADKEY);
    assert_int_equal(got.error, SP_RCODE_BADKEY);
    /* An unsigned record says nothing of a request. */
    assert_int_equal(verify(plain, sp_wr_len(&wr), &key, SIGNED_AT, NULL, &got), SP_ERR_FORM);
    wr.end = wr.pos + 5;
    assert_int_equal(sp_tsig_unsigned(&wr, &key.name, &alg, SP_RCODE_BADKEY, signed_at), SP_ERR_SPACE);
}

/* Cuts the MAC of a message to `keep` bytes. */
static size_t truncate_mac(uint8_t *wire, size_t len, size_t whole, size_t keep) {
    uint8_t *rest = wire + len - 6;
    memmove(rest - whole + keep, rest, 6);
    sp_put_u16(rest - whole - 2, (uint16_t)keep);
    uint8_t *rdlen = wire + strip(wire, len) + 12 + 8; /* owner "device-key." */
    wire[11]++;
    sp_put_u16(rdlen, (uint16_t)(sp_get_u16(rdlen) - (whole - keep)));
    return len - whole + keep;
}

/* 5.2.2.1: half the hash at least, else malformed; what a key's policy forbids is BADTRUNC. */
static void truncated_macs(void **state) {
    for (size_t i = 0; i < VECTORS; i++) {
        struct sp_tsig_key key = key_of(i);
        size_t whole = sp_hash_size(key.hash);
        for (size_t keep = 0; keep <= whole; keep++) {
            uint8_t wire[512];
            struct sp_tsig_state st;
            size_t len = truncate_mac(wire, load(vectors[i].file, wire, sizeof wire), whole, keep);
            key.mac_min = 0;
            assert_int_equal(verify(wire, len, &key, SIGNED_AT, NULL, &st), keep >= whole / 2 ? SP_OK : SP_ERR_FORM);
            if (keep < whole / 2)
                continue;
            assert_int_equal(st.mac_len, keep);
            key.mac_min = (uint16_t)whole;
            assert_int_equal(verify(wire, len, &key, SIGNED_AT, NULL, &st), keep == whole ? SP_OK : SP_ERR_BADSIG);
            assert_int_equal(st.error, keep == whole ? 0 : SP_RCODE_BADTRUNC);
            wire[len - 7] ^= 1;
            assert_int_equal(verify(wire, len, &key, SIGNED_AT, NULL, &st), SP_ERR_BADSIG);
            assert_int_equal(st.error, SP_RCODE_BADSIG);
        }
    }
}

static void a_reply_is_bound_to_its_request(void **state) {
    uint8_t wire[512], out[512];
    size_t len = load(vectors[0].file, wire, sizeof wire);
    struct sp_tsig_key key = key_of(0);
    struct sp_tsig_state st, client, got;
    assert_int_equal(verify(wire, len, &key, SIGNED_AT, NULL, &st), SP_OK);
    client = st;
    size_t n = reply(out, sizeof out, &key, SIGNED_AT, &st);
    assert_int_equal(verify(out, n, &key, SIGNED_AT, &client, &got), SP_OK);
    assert_memory_equal(got.mac, st.mac, st.mac_len);
    assert_int_equal(verify(out, n, &key, SIGNED_AT, NULL, &got), SP_ERR_BADSIG);
    client.mac[0] ^= 1;
    assert_int_equal(verify(out, n, &key, SIGNED_AT, &client, &got), SP_ERR_BADSIG);
}

/* 5.3.1: three messages of one TCP reply, made by dnspython; verified, and made again. */
static void a_stream_of_messages(void **state) {
    uint8_t wire[512];
    size_t len = load(vectors[0].file, wire, sizeof wire);
    struct sp_tsig_key key = key_of(0);
    struct sp_tsig_state request, seen, made = {0};
    assert_int_equal(verify(wire, len, &key, SIGNED_AT, NULL, &request), SP_OK);
    seen = request;
    for (unsigned i = 0; i < 3; i++) {
        char file[32];
        uint8_t buf[512];
        struct sp_msg msg;
        snprintf(file, sizeof file, "tsig-stream/%u.bin", i + 1);
        len = load(file, wire, sizeof wire);
        assert_int_equal(sp_msg_parse(&msg, wire, len), SP_OK);
        sp_wall now = sp_wall_from_sec(SIGNED_AT + i);
        if (i == 0) {
            assert_int_equal(sp_tsig_verify(&msg, &key, now, &request, &seen), SP_OK);
        } else {
            struct sp_tsig_state wrong = request;
            assert_int_equal(sp_tsig_verify_later(&msg, &key, now, &wrong), SP_ERR_BADSIG);
            assert_int_equal(sp_tsig_verify_later(&msg, &key, now, &seen), SP_OK);
        }
        memcpy(buf, wire, len);
        struct sp_wr wr = sp_wr_init(buf, sizeof buf);
        assert_non_null(sp_wr_reserve(&wr, strip(buf, len)));
        assert_int_equal(sp_tsig_sign(&wr, &key, now, i == 0 ? &request : NULL, i > 0, &made), SP_OK);
        assert_int_equal(sp_wr_len(&wr), len);
        assert_memory_equal(buf, wire, len);
    }
}

static int init(void **state) {
    return sp_crypto_init() == SP_OK ? 0 : 1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nsupdate_verifies),        cmocka_unit_test(signs_as_nsupdate),
        cmocka_unit_test(no_altered_byte_verifies), cmocka_unit_test(other_names_and_algorithms_are_bad_keys),
        cmocka_unit_test(badtime_tells_the_time),   cmocka_unit_test(badsig_and_badkey_are_unsigned),
        cmocka_unit_test(truncated_macs),           cmocka_unit_test(a_reply_is_bound_to_its_request),
        cmocka_unit_test(a_stream_of_messages),
    };
    return cmocka_run_group_tests_name("dns_tsig (RFC 8945)", tests, init, NULL);
}
