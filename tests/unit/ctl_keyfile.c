#include "tests/unit/cm.h"

#include <string.h>

#include "signpostd/ctl/keyfile.h"

static struct spl_key key;
static unsigned line;
static const char *what;

static sp_err read_text(const char *text) {
    line = 0;
    what = NULL;
    return spl_key_read(&key, text, strlen(text), &line, &what);
}

static void tsig_keygen(void **state) {
    char name[SP_NAME_TEXT_MAX];
    assert_int_equal(
        read_text(
            "key \"router.me.signpost\" {\n\talgorithm hmac-sha256;\n\tsecret \"AAECAwQFBgcICQoLDA0ODw==\";\n};\n"),
        SP_OK);
    assert_int_equal(key.kind, SPL_KEY_TSIG);
    sp_name_to_text(&key.name, name);
    assert_string_equal(name, "router.me.signpost.");
    assert_string_equal(key.algorithm, "hmac-sha256");
    assert_int_equal(key.len, 16);
    assert_int_equal(key.bytes[15], 15);
}

static void free_form(void **state) {
    assert_int_equal(
        read_text(
            "// a comment\n# another\n/* and\n one */ key k{secret AAECAwQFBgcICQoLDA0ODw==;algorithm HMAC-SHA512;};"),
        SP_OK);
    assert_string_equal(key.algorithm, "hmac-sha512");
}

static void dnssec_keygen(void **state) {
    char name[SP_NAME_TEXT_MAX];
    assert_int_equal(read_text("; This is a key, keyid 12345, for printer.me.signpost.\n; Created: 20260101000000\n"
                               "printer.me.signpost. IN KEY 512 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=\n"),
                     SP_OK);
    assert_int_equal(key.kind, SPL_KEY_SIG0);
    sp_name_to_text(&key.name, name);
    assert_string_equal(name, "printer.me.signpost.");
    assert_string_equal(key.algorithm, "15");
    assert_int_equal(key.len, 36);
    assert_int_equal(key.bytes[2], 3);
    assert_int_equal(key.bytes[4], 0x97);
}

static void refused(const char *text, unsigned at, const char *part) {
    assert_int_equal(read_text(text), SP_ERR_FORM);
    assert_int_equal(line, at);
    assert_non_null(strstr(what, part));
}

static void bad_tsig(void **state) {
    refused("key \"a\" {\n algorithm hmac-md5;\n secret \"AAECAwQFBgcICQoLDA0ODw==\";\n};", 4, "hmac-sha256");
    refused("key \"a\" {\n algorithm hmac-sha256;\n secret \"?\";\n};", 3, "base64");
    refused("key \"a\" {\n algorithm hmac-sha256;\n};", 3, "no secret");
    refused("key \"a\" {\n secret \"AAECAwQFBgcICQoLDA0ODw==\";\n};", 3, "algorithm");
    refused("key \"a\" {\n secret \"AAECAwQFBgcICQoLDA0ODw==\"\n};", 3, "';'");
    refused("key \"a\" {\n secret \"AAECAw", 2, "missing");
    refused("key \"a\" {\n", 2, "too early");
    refused("key {", 1, "name");
    refused("key \"a\" { algorithm hmac-sha256; secret AAECAwQFBgcICQoLDA0ODw==; };\nkey \"b\" {};", 2, "only one");
    refused("key \"a\" { bits 5; };", 1, "only 'algorithm'");
    refused("key \"a\" { /* for ever", 1, "too early");
}

static void bad_record(void **state) {
    refused("Private-key-format: v1.3\nAlgorithm: 15 (ED25519)\n", 1, "private half");
    refused("me. IN DNSKEY 257 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=\n", 1, "dnssec-keygen -T KEY");
    refused("me. IN KEY 512 3 8 AwEAAQ==\n", 1, "Ed25519");
    refused("; nothing\n", 0, "no key");
    refused("me. IN KEY 512 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=\nme. IN A 192.0.2.1\n", 1, "only one");
    refused("\n\nrubbish", 3, "type");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(tsig_keygen), cmocka_unit_test(free_form),
                                       cmocka_unit_test(dnssec_keygen), cmocka_unit_test(bad_tsig),
                                       cmocka_unit_test(bad_record)};
    return cmocka_run_group_tests_name("ctl_keyfile", tests, NULL, NULL);
}
