#include "tests/unit/cm.h"

#include <stdlib.h>
#include <string.h>

#include "proto/crypto/crypto.h"

static int init(void **state) {
    return sp_crypto_init() == SP_OK ? 0 : 1;
}

static void check(enum sp_hash h, const void *msg, size_t len, const char *hex) {
    uint8_t want[SP_HASH_MAX], got[SP_HASH_MAX];
    assert_int_equal(sp_test_hex(hex, want, sizeof want), sp_hash_size(h));
    const uint8_t *p = msg;
    for (size_t cut = 0; cut <= len; cut += len / 3 + 1) {
        struct sp_piece pieces[] = {{p, cut}, {NULL, 0}, {p + cut, len - cut}};
        sp_hash_pieces(h, pieces, 3, got);
        assert_memory_equal(got, want, sp_hash_size(h));
    }
}

/* The examples of FIPS 180-4's companion files: one block, two blocks, a million times "a". */
static void fips_examples(void **state) {
    const char *two = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    char *many = malloc(1000000);
    memset(many, 'a', 1000000);
    check(SP_SHA1, "abc", 3, "a9993e364706816aba3e25717850c26c9cd0d89d");
    check(SP_SHA1, two, 56, "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    check(SP_SHA1, many, 1000000, "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
    check(SP_SHA256, "abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check(SP_SHA256, two, 56, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    check(SP_SHA256, many, 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    check(SP_SHA384, "abc", 3,
          "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7");
    check(SP_SHA384, many, 1000000,
          "9d0e1809716474cb086e834e310a4a1ced149e9c00f248527972cec5704c2a5b07b8b3dc38ecc4ebae97ddd87f3d8985");
    check(SP_SHA512, "abc", 3,
          "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643c"
          "e80e2a9ac94f"
          "a54ca49f");
    check(SP_SHA512, many, 1000000,
          "e718483d0ce769644e2e42c7bc15b4638e1f98b13b2044285632a803afa973ebde0ff244877ea60a4cb0432ce577c31beb009c5c2c49"
          "aa2e4eadb217"
          "ad8cc09b");
    uint8_t got[32], want[32];
    sp_sha256("abc", 3, got);
    sp_test_hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", want, 32);
    assert_memory_equal(got, want, 32);
    free(many);
}

/* The hash of the hashes of every length from 0 to 300 of the bytes 7 i mod 256; expected values are Python hashlib's.
 */
static void every_length(void **state) {
    static const char *want[] = {
        [SP_SHA1] = "2d095daa1437f7f4f361cd003710e0b4d4d9af37",
        [SP_SHA256] = "3b05b530351f50663ba5ac734c246d169eafec6b57c70dc6dc94cad39d04aad8",
        [SP_SHA384] =
            "00ff192ce1d334e39d1ce94d135f2673fdd482a9f3b5bb8a86f1b38f7b7d1ccc0c1df396672e98a3d26b1bf65bfa0acf",
        [SP_SHA512] =
            ("8a732a2ef96b72c61264041d982c51f52f584ba520746f8dfcbe356c60311e9d68a05c40ac64998fb6bfca078a50d008373e7d30"
             "159f0e4626b1102c1cf370b3"),
    };
    uint8_t data[300], all[301 * SP_HASH_MAX];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7);
    for (enum sp_hash h = SP_SHA1; h <= SP_SHA512; h++) {
        for (size_t n = 0; n <= sizeof data; n++) {
            struct sp_piece pieces[] = {{data, n / 2}, {data + n / 2, n - n / 2}};
            sp_hash_pieces(h, pieces, 2, all + n * sp_hash_size(h));
        }
        check(h, all, 301 * sp_hash_size(h), want[h]);
    }
}

static void check_blake2s(const void *msg, size_t len, const char *hex) {
    uint8_t want[32], got[32];
    struct sp_piece whole = {msg, len};
    assert_int_equal(sp_test_hex(hex, want, sizeof want), 32);
    sp_blake2s(NULL, 0, &whole, 1, got, 32);
    assert_memory_equal(got, want, 32);
}

/* RFC 7693 appendix B; then every length, plain and keyed (key: the first n mod 33 bytes, output 1 + n mod 32 bytes),
 * against Python hashlib. */
static void blake2s(void **state) {
    uint8_t data[300], all[301 * 32], *to = all;
    check_blake2s("abc", 3, "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982");
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7);
    for (size_t n = 0; n <= sizeof data; n++, to += 32) {
        struct sp_piece pieces[] = {{data, n / 3}, {data + n / 3, n - n / 3}};
        sp_blake2s(NULL, 0, pieces, 2, to, 32);
    }
    check_blake2s(all, (size_t)(to - all), "b1eaafa037b505a6d6ba90d14153175a29b98c2b2e4f87393e1ae020e6007932");
    to = all;
    for (size_t n = 0; n <= sizeof data; n++) {
        struct sp_piece pieces[] = {{data, n / 3}, {data + n / 3, n - n / 3}};
        sp_blake2s(data, n % 33, pieces, 2, to, 1 + n % 32);
        to += 1 + n % 32;
    }
    check_blake2s(all, (size_t)(to - all), "446c92f9b923640ba12866ca94c8373f3e907333d4d5382deb21f76b6e6db150");
}

/* BLAKE2b(len(label) || label || data), against Python hashlib. */
static void labelled(void **state) {
    uint8_t want[20], got[21] = {0};
    sp_test_hex("a80b5ba37c8f32fc5117e096036398e93adaa596", want, 20);
    sp_labelled_hash("signpost test", "data", 4, got, 20);
    assert_memory_equal(got, want, 20);
    assert_int_equal(got[20], 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fips_examples),
        cmocka_unit_test(every_length),
        cmocka_unit_test(blake2s),
        cmocka_unit_test(labelled),
    };
    return cmocka_run_group_tests_name("crypto_hash", tests, init, NULL);
}
