#include "tests/unit/cm.h"

#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

#include "proto/linux/addr.h"
#include "signpostd/linux/units.h"

static void assert_round(const char *text, const char *expect) {
    struct sp_addr a, b;
    struct sockaddr_storage ss;
    char buf[SPL_ADDR_TEXT];
    assert_int_equal(spl_addr_parse(&a, text, 53), SP_OK);
    assert_string_equal(spl_addr_text(&a, buf), expect);
    spl_addr_to(&a, &ss);
    spl_addr_from(&b, (struct sockaddr *)&ss);
    assert_memory_equal(&a, &b, sizeof a);
}

static void round_trips(void **state) {
    assert_round("192.0.2.1", "192.0.2.1:53");
    assert_round("192.0.2.1:5353", "192.0.2.1:5353");
    assert_round("2001:db8::1", "[2001:db8::1]:53");
    assert_round("[2001:db8::1]", "[2001:db8::1]:53");
    assert_round("[2001:db8::1]:65535", "[2001:db8::1]:65535");
    assert_round("[::]:53", "[::]:53");
    assert_round("0.0.0.0", "0.0.0.0:53");
    assert_round("[fe80::1%lo]:53", "[fe80::1%lo]:53");
}

static void mapped_is_ipv4(void **state) {
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(53)};
    in6.sin6_addr.s6_addr[10] = in6.sin6_addr.s6_addr[11] = 0xff;
    in6.sin6_addr.s6_addr[12] = 192;
    struct sp_addr a;
    spl_addr_from(&a, (struct sockaddr *)&in6);
    assert_int_equal(a.family, 4);
    assert_int_equal(a.ip[0], 192);
}

static void refuses(void **state) {
    struct sp_addr a;
    static const char *const bad[] = {
        "",
        ":53",
        "192.0.2",
        "192.0.2.1:",
        "192.0.2.1:x",
        "192.0.2.1:-1",
        "192.0.2.1:53x",
        "[192.0.2.1]:53",
        "[2001:db8::1",
        "[2001:db8::1]53",
        "[]:53",
        "example.net",
        "192.0.2.1%lo",
        "*",
        "1111111111111111111111111111111111111111111111111111111111111111111111111111111111111"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(spl_addr_parse(&a, bad[i], 53), SP_ERR_FORM);
    assert_int_equal(spl_addr_parse(&a, "192.0.2.1:65536", 53), SP_ERR_RANGE);
    assert_int_equal(spl_addr_parse(&a, "[fe80::1%nosuch0]:53", 53), SP_ERR_NOENT);
}

static void units(void **state) {
    uint64_t v;
    assert_int_equal(spl_size_parse(&v, "256M"), SP_OK);
    assert_int_equal(v, 256 << 20);
    assert_int_equal(spl_duration_parse(&v, "500ms"), SP_OK);
    assert_int_equal(v, 500 * SP_MS);
    assert_int_equal(spl_duration_parse(&v, "7"), SP_OK);
    assert_int_equal(v, 7 * SP_SEC);
    assert_int_equal(spl_duration_parse(&v, "2d"), SP_OK);
    assert_int_equal(v, 2 * SP_DAY);
    assert_int_equal(spl_number_parse(&v, "18446744073709551615"), SP_OK);
    assert_int_equal(spl_number_parse(&v, "18446744073709551616"), SP_ERR_RANGE);
    assert_int_equal(spl_size_parse(&v, "18446744073709551615G"), SP_ERR_RANGE);
    assert_int_equal(spl_size_parse(&v, "M"), SP_ERR_FORM);
    assert_int_equal(spl_size_parse(&v, "5m"), SP_ERR_FORM);
    assert_int_equal(spl_duration_parse(&v, "5 s"), SP_ERR_FORM);
    assert_int_equal(spl_number_parse(&v, ""), SP_ERR_FORM);
    assert_int_equal(spl_number_parse(&v, "-1"), SP_ERR_FORM);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(round_trips), cmocka_unit_test(mapped_is_ipv4),
                                       cmocka_unit_test(refuses), cmocka_unit_test(units)};
    return cmocka_run_group_tests_name("linux_addr", tests, NULL, NULL);
}
