#include "tests/unit/cm.h"

#include <string.h>

#include "proto/crypto/crypto.h"

/* RFC 4231 4, without the truncated case: key, data, HMAC with SHA-256, SHA-384, SHA-512. */
static const struct {
    const char *key, *data, *mac[3];
} rfc4231[] = {
    {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
     "4869205468657265",
     {"b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
      "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa9cb6",
      "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f170"
      "2e696c203a126854"}},
    {"4a656665",
     "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
     {"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
      "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649",
      "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b"
      "636e070a38bce737"}},
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
     "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd",
     {"773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
      "88062608d3e6ad8a0aa2ace014c8a86f0aa635d947ac9febe83ef4e55966144b2a5ab39dc13814b94e3ab6e101a34f27",
      "fa73b0089d56a284efb0f0756c890be9b1b5dbdd8ee81a3655f83e33b2279d39bf3e848279a722c806b485a47e67c807b946a337bee89426"
      "74278859e13292fb"}},
    {"0102030405060708090a0b0c0d0e0f10111213141516171819",
     "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd",
     {"82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
      "3e8a69b7783c25851933ab6290af6ca77a9981480850009cc5577c6e1f573b4e6801dd23c4a7d679ccf8a386c674cffb",
      "b0ba465637458c6990e5a8c5f61d4af7e576d97ff94b872de76f8050361ee3dba91ca5c11aa25eb4d679275cc5788063a5f19741120c4f2d"
      "e2adebeb10a298dd"}},
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
     "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d2048617368204b6579204669727374",
     {"60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
      "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c60c2ef6ab4030fe8296248df163f44952",
      "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f3526b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec"
      "8b915a985d786598"}},
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
     "5468697320697320612074657374207573696e672061206c6172676572207468616e20626c6f636b2d73697a65206b657920616e642061206"
     "c6172676572207468616e20626c6f636b2d73697a6520646174612e20546865206b6579206e6565647320746f206265206861736865642062"
     "65666f7265206265696e6720757365642062792074686520484d414320616c676f726974686d2e",
     {"9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
      "6617178e941f020d351e2f254e8fd32c602420feb0b8fb9adccebb82461e99c5a678cc31e799176d3860e6110c46523e",
      "e37b6a775dc87dbaa4dfa9f96e5e3ffddebd71f8867289865df5a32d20cdc944b6022cac3c4982b10d5eeb55c3e4de15134676fb6de04460"
      "65c97440fa8c6a58"}},
};

static int init(void **state) {
    return sp_crypto_init() == SP_OK ? 0 : 1;
}

static void macs_as_rfc4231(void **state) {
    static const enum sp_hash hashes[] = {SP_SHA256, SP_SHA384, SP_SHA512};
    for (size_t i = 0; i < sizeof rfc4231 / sizeof rfc4231[0]; i++) {
        uint8_t key[160], data[160], want[64], got[64];
        size_t key_len = sp_test_hex(rfc4231[i].key, key, sizeof key);
        size_t len = sp_test_hex(rfc4231[i].data, data, sizeof data);
        for (unsigned k = 0; k < 3; k++) {
            struct sp_piece pieces[] = {{data, 1}, {data + 1, len - 1}};
            assert_int_equal(sp_test_hex(rfc4231[i].mac[k], want, sizeof want), sp_hash_size(hashes[k]));
            sp_hmac(hashes[k], key, key_len, pieces, 2, got);
            assert_memory_equal(got, want, sp_hash_size(hashes[k]));
        }
    }
}

/* RFC 2202 3, cases 2 and 6; STUN uses it. */
static void macs_as_rfc2202(void **state) {
    uint8_t want[20], got[20], key[80];
    struct sp_piece ask = {"what do ya want for nothing?", 28};
    sp_hmac(SP_SHA1, (const uint8_t *)"Jefe", 4, &ask, 1, got);
    sp_test_hex("effcdf6ae5eb2fa2d27416d5f184df9c259a7c79", want, 20);
    assert_memory_equal(got, want, 20);
    struct sp_piece larger = {"Test Using Larger Than Block-Size Key - Hash Key First", 54};
    for (unsigned i = 0; i < 80; i++)
        key[i] = 0xaa;
    sp_hmac(SP_SHA1, key, 80, &larger, 1, got);
    sp_test_hex("aa4ae5e15272d00e95705637ce8a3b55ed402112", want, 20);
    assert_memory_equal(got, want, 20);
}

/* No published vectors: these are from Python's hmac module over hashlib.blake2s. */
static void macs_and_derives_with_blake2s(void **state) {
    static const char *keys[] = {"8e5d397c8e76f1a9851d7ed35c4b4ce365b8ca850594afb3c128d777a3c62cbf",
                                 "136a64c6760dfc4134e3d52a0b8a6df9da306db2375a219e4a972b2f94052a79",
                                 "140f7e82e2d6ac1d4a31677a272bacef017ceb210b06b005833930aa8b5e0e82"};
    uint8_t want[32], got[3][32], chain[32], in[45];
    struct sp_piece ask[] = {{"what do ya want ", 16}, {"for nothing?", 12}};
    sp_hmac_blake2s((const uint8_t *)"Jefe", 4, ask, 2, got[0]);
    sp_test_hex("90b6281e2f3038c9056af0b4a7e763cae6fe5d9eb4386a0ec95237890c104ff0", want, 32);
    assert_memory_equal(got[0], want, 32);
    for (unsigned i = 0; i < sizeof chain; i++)
        chain[i] = (uint8_t)i;
    for (unsigned i = 0; i < sizeof in; i++)
        in[i] = (uint8_t)(0x80 + i);
    for (unsigned n = 1; n <= 3; n++) {
        memset(got, 0, sizeof got);
        sp_kdf(chain, in, sizeof in, n, got);
        for (unsigned i = 0; i < n; i++) {
            sp_test_hex(keys[i], want, 32);
            assert_memory_equal(got[i], want, 32);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(macs_and_derives_with_blake2s),
        cmocka_unit_test(macs_as_rfc4231),
        cmocka_unit_test(macs_as_rfc2202),
    };
    return cmocka_run_group_tests_name("crypto_hmac", tests, init, NULL);
}
