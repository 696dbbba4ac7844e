#include "tests/unit/cm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/dns/sig0.h"

/* SIG(0), RFC 2931. The messages are nsupdate's own; see tests/vectors/README.md. */

static const sp_wall signed_at = {UINT64_C(1795433275) * SP_SEC};

struct vector {
    const char *file, *signer, *seed;
    uint16_t tag;
    uint64_t at;
};

static const struct vector vectors[] = {
    {"sig0-udp.bin", "laptop.me.signpost.", "2B81oHwEnA0IpREyqd94+69AlaYIrVefljmoPjRY8ls=", 7085, 1795433275},
    {"sig0-tcp.bin", "laptop.me.signpost.", "2B81oHwEnA0IpREyqd94+69AlaYIrVefljmoPjRY8ls=", 7085, 1795433275},
    {"sig0-mixed.bin", "Laptop.ME.signpost.", "syylfacIuy+C4BE9hnge96zwg3j5XFv3tcsHlpZcKFk=", 21826, 1795433303},
};
#define VECTORS (sizeof vectors / sizeof vectors[0])

static uint8_t scratch[4096];

static uint8_t *load(const char *file, size_t *len) {
    char path[1024];
    snprintf(path, sizeof path, "%s/nsupdate/%s", getenv("SIGNPOST_VECTORS"), file);
    uint8_t *data = (uint8_t *)sp_test_read(path, len);
    assert_non_null(data);
    return data;
}

static struct sp_ed25519 key_of(const char *seed_text) {
    struct sp_ed25519 key;
    uint8_t seed[32];
    size_t len;
    assert_int_equal(sp_base64_decode(seed_text, strlen(seed_text), seed, 32, &len), SP_OK);
    sp_ed25519_from_seed(&key, seed);
    return key;
}

static struct sp_name name_of(const char *text) {
    struct sp_name name;
    assert_int_equal(sp_name_from_text(&name, text, strlen(text), NULL), SP_OK);
    return name;
}

static sp_err verify(const uint8_t *wire, size_t len, const uint8_t *pub, const uint8_t *request, size_t request_len) {
    struct sp_msg msg;
    struct sp_sig0 sig;
    SP_TRY(sp_msg_parse(&msg, wire, len));
    if (msg.auth != SP_AUTH_SIG0)
        return SP_ERR_NOENT;
    SP_TRY(sp_sig0_peek(&msg, &sig));
    memset(scratch, 0x5a, sizeof scratch);
    return sp_sig0_verify(&msg, &sig, pub, request, request_len, scratch, sizeof scratch);
}

static void nsupdate_verifies(void **state) {
    for (size_t i = 0; i < VECTORS; i++) {
        size_t len;
        uint8_t *wire = load(vectors[i].file, &len);
        struct sp_ed25519 key = key_of(vectors[i].seed);
        struct sp_name signer = name_of(vectors[i].signer);
        struct sp_msg msg;
        struct sp_sig0 sig;
        assert_int_equal(sp_msg_parse(&msg, wire, len), SP_OK);
        assert_int_equal(msg.auth, SP_AUTH_SIG0);
        assert_int_equal(sp_sig0_peek(&msg, &sig), SP_OK);
        assert_true(sp_name_equal(&sig.signer, &signer));
        sp_name_lower(&signer);
        assert_memory_equal(sig.signer.wire, signer.wire, signer.len);
        assert_int_equal(sig.tag, vectors[i].tag);
        assert_int_equal(sig.alg, SP_ALG_ED25519);
        assert_int_equal(sig.inception, vectors[i].at - 300);
        assert_int_equal(sig.expiration, vectors[i].at + 300);
        assert_int_equal(sp_sig0_time(&sig, sp_wall_from_sec(vectors[i].at)), SP_OK);
        assert_int_equal(sp_sig0_verify(&msg, &sig, key.pub, NULL, 0, scratch, sizeof scratch), SP_OK);
        assert_int_equal(sp_sig0_verify(&msg, &sig, key.pub, NULL, 0, scratch, len - 80), SP_ERR_SPACE);
        key.pub[3] ^= 1;
        assert_int_equal(sp_sig0_verify(&msg, &sig, key.pub, NULL, 0, scratch, sizeof scratch), SP_ERR_BADSIG);
        free(wire);
    }
}

/* Ed25519 is deterministic: signing what nsupdate signed gives nsupdate's bytes. */
static void signs_as_nsupdate(void **state) {
    for (size_t i = 0; i < VECTORS; i++) {
        size_t len;
        uint8_t *wire = load(vectors[i].file, &len), buf[512];
        struct sp_ed25519 key = key_of(vectors[i].seed);
        struct sp_name signer = name_of(vectors[i].signer);
        size_t plain = len - sp_sig0_size(&signer);
        memcpy(buf, wire, plain);
        buf[11]--;
        struct sp_wr wr = sp_wr_init(buf, len);
        assert_non_null(sp_wr_reserve(&wr, plain));
        assert_int_equal(sp_sig0_sign(&wr, &signer, &key, vectors[i].tag, sp_wall_from_sec(vectors[i].at), 300, NULL, 0,
                                      scratch, sizeof scratch),
                         SP_OK);
        assert_int_equal(sp_wr_len(&wr), len);
        assert_memory_equal(buf, wire, len);
        free(wire);
    }
}

/* RFC 2931 3.1: every byte is covered but those of the record around its rdata (owner, class, TTL) and of no meaning.
 */
static void no_altered_byte_verifies(void **state) {
    size_t len;
    uint8_t *wire = load("sig0-udp.bin", &len);
    struct sp_ed25519 key = key_of(vectors[0].seed);
    size_t at = len - 64 - 20 - 18 - 11;
    for (size_t i = 0; i < len; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            wire[i] ^= (uint8_t)(1 << bit);
            sp_err err = verify(wire, len, key.pub, NULL, 0);
            bool outside = i >= at && i < at + 11;
            if (!outside)
                assert_int_not_equal(err, SP_OK);
            wire[i] ^= (uint8_t)(1 << bit);
        }
    }
    for (size_t n = 0; n < len; n++)
        assert_int_not_equal(verify(wire, n, key.pub, NULL, 0), SP_OK);
    assert_int_equal(verify(wire, len, key.pub, NULL, 0), SP_OK);
    free(wire);
}

/* A signer's name may be compressed on the wire; it is hashed whole. */
static void a_compressed_signer_verifies(void **state) {
    size_t len;
    uint8_t *wire = load("sig0-udp.bin", &len);
    struct sp_ed25519 key = key_of(vectors[0].seed);
    size_t name = len - 64 - 20, rdlen = name - 18 - 2;
    wire[name] = 0xc0;
    wire[name + 1] = 0x1d; /* the first update record's owner */
    memmove(wire + name + 2, wire + name + 20, 64);
    sp_put_u16(wire + rdlen, 18 + 2 + 64);
    assert_int_equal(verify(wire, len - 18, key.pub, NULL, 0), SP_OK);
    wire[name + 1] = 0x0c; /* the zone's name */
    assert_int_equal(verify(wire, len - 18, key.pub, NULL, 0), SP_ERR_BADSIG);
    free(wire);
}

static void times(void **state) {
    struct sp_sig0 sig = {.inception = 1000, .expiration = 1600};
    assert_int_equal(sp_sig0_time(&sig, sp_wall_from_sec(999)), SP_ERR_TIME);
    assert_int_equal(sp_sig0_time(&sig, sp_wall_from_sec(1000)), SP_OK);
    assert_int_equal(sp_sig0_time(&sig, sp_wall_from_sec(1600)), SP_OK);
    assert_int_equal(sp_sig0_time(&sig, sp_wall_from_sec(1601)), SP_ERR_TIME);
    sig = (struct sp_sig0){.inception = UINT32_MAX - 10, .expiration = 20}; /* across the wrap of 2106 */
    assert_int_equal(sp_sig0_time(&sig, sp_wall_from_sec(UINT64_C(0x100000000) + 5)), SP_OK);
    assert_int_equal(sp_sig0_time(&sig, sp_wall_from_sec(UINT32_MAX)), SP_OK);
    assert_int_equal(sp_sig0_time(&sig, sp_wall_from_sec(UINT64_C(0x100000000) + 21)), SP_ERR_TIME);
    sig = (struct sp_sig0){.inception = 1600, .expiration = 1000};
    for (uint32_t s = 900; s < 1700; s += 50)
        assert_int_equal(sp_sig0_time(&sig, sp_wall_from_sec(s)), SP_ERR_TIME);
}

static size_t reply_to(const uint8_t *request, size_t request_len, const struct sp_ed25519 *key, uint8_t *buf,
                       size_t cap) {
    struct sp_msgw w;
    struct sp_name signer = name_of("ns.me.signpost."), zone = name_of("me.signpost.");
    sp_msgw_begin(&w, buf, cap, sp_get_u16(request), 0xa800);
    sp_msgw_question(&w, &zone, SP_TYPE_SOA, SP_CLASS_IN);
    size_t len = sp_msgw_end(&w);
    struct sp_wr wr = sp_wr_init(buf, cap);
    assert_non_null(sp_wr_reserve(&wr, len));
    assert_int_equal(
        sp_sig0_sign(&wr, &signer, key, 4711, signed_at, 300, request, request_len, scratch, sizeof scratch), SP_OK);
    return sp_wr_len(&wr);
}

/* RFC 2931 3.1: a reply's signature covers the whole request too. */
static void a_reply_is_bound_to_its_request(void **state) {
    size_t len, other_len;
    uint8_t *request = load("sig0-udp.bin", &len), *other = load("sig0-tcp.bin", &other_len), reply[512];
    struct sp_ed25519 key = key_of(vectors[2].seed);
    size_t reply_len = reply_to(request, len, &key, reply, sizeof reply);
    assert_int_equal(verify(reply, reply_len, key.pub, request, len), SP_OK);
    assert_int_equal(verify(reply, reply_len, key.pub, NULL, 0), SP_ERR_BADSIG);
    assert_int_equal(verify(reply, reply_len, key.pub, other, other_len), SP_ERR_BADSIG);
    request[len - 1] ^= 1;
    assert_int_equal(verify(reply, reply_len, key.pub, request, len), SP_ERR_BADSIG);
    free(request);
    free(other);
}

static void no_room_changes_nothing(void **state) {
    size_t len;
    uint8_t *wire = load("sig0-udp.bin", &len), buf[512];
    struct sp_ed25519 key = key_of(vectors[0].seed);
    struct sp_name signer = name_of("laptop.me.signpost.");
    size_t plain = len - sp_sig0_size(&signer);
    memcpy(buf, wire, plain);
    struct sp_wr wr = sp_wr_init(buf, len - 1);
    assert_non_null(sp_wr_reserve(&wr, plain));
    assert_int_equal(sp_sig0_sign(&wr, &signer, &key, 1, signed_at, 300, NULL, 0, scratch, sizeof scratch),
                     SP_ERR_SPACE);
    assert_int_equal(sp_wr_len(&wr), plain);
    wr.end = buf + sizeof buf;
    assert_int_equal(sp_sig0_sign(&wr, &signer, &key, 1, signed_at, 300, NULL, 0, scratch, 60), SP_ERR_SPACE);
    assert_int_equal(sp_wr_len(&wr), plain);
    assert_memory_equal(buf, wire, plain);
    assert_int_equal(wr.err, SP_OK);
    free(wire);
}

/* RFC 2535 3.1, 3445, 8080. */
static void keys(void **state) {
    struct sp_ed25519 key = key_of(vectors[0].seed);
    uint8_t rdata[SP_KEY_RDATA], pub[32];
    sp_key_rdata(key.pub, rdata);
    assert_memory_equal(rdata, "\x02\x00\x03\x0f\xef\x28\xa9\x8f", 8);
    assert_int_equal(sp_key_tag(rdata, sizeof rdata), 7085);
    assert_int_equal(sp_key_parse(rdata, sizeof rdata, pub), SP_OK);
    assert_memory_equal(pub, key.pub, 32);
    assert_int_equal(sp_key_parse(rdata, sizeof rdata - 1, pub), SP_ERR_FORM);
    assert_int_equal(sp_key_parse(rdata, 3, pub), SP_ERR_FORM);
    rdata[3] = 13;
    assert_int_equal(sp_key_parse(rdata, sizeof rdata, pub), SP_ERR_UNSUP);
    rdata[3] = 15;
    rdata[2] = 2;
    assert_int_equal(sp_key_parse(rdata, sizeof rdata, pub), SP_ERR_UNSUP);
    rdata[2] = 3;
    rdata[0] = 0xc2;
    assert_int_equal(sp_key_parse(rdata, sizeof rdata, pub), SP_ERR_UNSUP);
}

static void other_algorithms_and_lengths(void **state) {
    size_t len;
    uint8_t *wire = load("sig0-udp.bin", &len);
    struct sp_ed25519 key = key_of(vectors[0].seed);
    size_t rdata = len - 64 - 20 - 18;
    wire[rdata + 2] = 13;
    assert_int_equal(verify(wire, len, key.pub, NULL, 0), SP_ERR_UNSUP);
    wire[rdata + 2] = 15;
    sp_put_u16(wire + rdata - 2, 18 + 20 + 63);
    assert_int_equal(verify(wire, len - 1, key.pub, NULL, 0), SP_ERR_SHORT);
    sp_put_u16(wire + rdata - 2, 18 + 20 + 64);
    assert_int_equal(verify(wire, len, key.pub, NULL, 0), SP_OK);
    free(wire);
}

static int init(void **state) {
    return sp_crypto_init() == SP_OK ? 0 : 1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nsupdate_verifies),
        cmocka_unit_test(signs_as_nsupdate),
        cmocka_unit_test(no_altered_byte_verifies),
        cmocka_unit_test(a_compressed_signer_verifies),
        cmocka_unit_test(times),
        cmocka_unit_test(a_reply_is_bound_to_its_request),
        cmocka_unit_test(no_room_changes_nothing),
        cmocka_unit_test(keys),
        cmocka_unit_test(other_algorithms_and_lengths),
    };
    return cmocka_run_group_tests_name("dns_sig0 (RFC 2931)", tests, init, NULL);
}
