#include "tests/unit/cm.h"

#include <string.h>

#include "proto/crypto/crypto.h"

typedef size_t encoder(const uint8_t *, size_t, char *, size_t);
typedef sp_err decoder(const char *, size_t, uint8_t *, size_t, size_t *);

static void round_trip(encoder *enc, decoder *dec, const char *plain, const char *text) {
    char out[64];
    uint8_t back[64];
    size_t n = strlen(text), len = 99;
    assert_int_equal(enc((const uint8_t *)plain, strlen(plain), out, n), n);
    assert_memory_equal(out, text, n);
    if (n > 0)
        assert_int_equal(enc((const uint8_t *)plain, strlen(plain), out, n - 1), 0);
    assert_int_equal(dec(text, n, back, strlen(plain), &len), SP_OK);
    assert_int_equal(len, strlen(plain));
    assert_memory_equal(back, plain, len);
    if (len > 0)
        assert_int_equal(dec(text, n, back, len - 1, &len), SP_ERR_SPACE);
}

/* RFC 4648 10. */
static void rfc4648(void **state) {
    static const char *v[][4] = {
        {"", "", "", ""},
        {"f", "Zg==", "CO", "66"},
        {"fo", "Zm8=", "CPNG", "666F"},
        {"foo", "Zm9v", "CPNMU", "666F6F"},
        {"foob", "Zm9vYg==", "CPNMUOG", "666F6F62"},
        {"fooba", "Zm9vYmE=", "CPNMUOJ1", "666F6F6261"},
        {"foobar", "Zm9vYmFy", "CPNMUOJ1E8", "666F6F626172"},
    };
    for (size_t i = 0; i < sizeof v / sizeof v[0]; i++) {
        char url[16];
        strcpy(url, v[i][1]);
        url[strcspn(url, "=")] = 0;
        round_trip(sp_base64_encode, sp_base64_decode, v[i][0], v[i][1]);
        round_trip(sp_base64url_encode, sp_base64url_decode, v[i][0], url);
        round_trip(sp_base32hex_encode, sp_base32hex_decode, v[i][0], v[i][2]);
        round_trip(sp_hex_encode, sp_hex_decode, v[i][0], v[i][3]);
    }
    round_trip(sp_base64_encode, sp_base64_decode, "\xfb\xff\xfe", "+//+");
    round_trip(sp_base64url_encode, sp_base64url_decode, "\xfb\xff\xfe", "-__-");
}

static void every_byte(void **state) {
    uint8_t data[256], back[256];
    char text[600];
    size_t len;
    for (unsigned i = 0; i < 256; i++)
        data[i] = (uint8_t)(i * 5 + 3);
    size_t n = sp_base64_encode(data, 256, text, sizeof text);
    assert_int_equal(n, 344);
    assert_int_equal(sp_base64_decode(text, n, back, 256, &len), SP_OK);
    assert_memory_equal(back, data, 256);
    n = sp_hex_encode(data, 256, text, sizeof text);
    assert_int_equal(sp_hex_decode(text, n, back, 256, &len), SP_OK);
    assert_memory_equal(back, data, 256);
}

static sp_err try(decoder *dec, const char *text) {
    uint8_t out[64];
    size_t len = 77;
    sp_err err = dec(text, strlen(text), out, sizeof out, &len);
    if (err != SP_OK)
        assert_int_equal(len, 77);
    return err;
}

static void refuses_what_is_not_canonical(void **state) {
    static const char *bad64[] = {"Z",        "Zg", "Zg=",  "Zg===",    "Zh==", "Zm9=",  "Zm9v=",
                                  "Zm9v====", "=",  "====", "Zg==Zg==", "Zm-v", "Zm9v!", "Zm9\xff"};
    for (size_t i = 0; i < sizeof bad64 / sizeof bad64[0]; i++)
        assert_int_equal(try(sp_base64_decode, bad64[i]), SP_ERR_FORM);
    assert_int_equal(try(sp_base64url_decode, "Zg=="), SP_ERR_FORM);
    assert_int_equal(try(sp_base64url_decode, "Zm+v"), SP_ERR_FORM);
    assert_int_equal(try(sp_base32hex_decode, "C"), SP_ERR_FORM);
    assert_int_equal(try(sp_base32hex_decode, "CPN"), SP_ERR_FORM);
    assert_int_equal(try(sp_base32hex_decode, "CW"), SP_ERR_FORM);
    assert_int_equal(try(sp_hex_decode, "666"), SP_ERR_FORM);
    assert_int_equal(try(sp_hex_decode, "6g"), SP_ERR_FORM);
    assert_int_equal(try(sp_hex_decode, "0x66"), SP_ERR_FORM);
}

static void skips_white_space_and_case(void **state) {
    assert_int_equal(try(sp_base64_decode, " Zm9v\r\n\tYmE =\n"), SP_OK);
    assert_int_equal(try(sp_base32hex_decode, "cpnMUog"), SP_OK);
    assert_int_equal(try(sp_hex_decode, "66 6f 6F"), SP_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc4648),
        cmocka_unit_test(every_byte),
        cmocka_unit_test(refuses_what_is_not_canonical),
        cmocka_unit_test(skips_white_space_and_case),
    };
    return cmocka_run_group_tests_name("crypto_text", tests, NULL, NULL);
}
