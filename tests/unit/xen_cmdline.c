/* The guest's command line. */
#include "tests/unit/cm.h"

#include <string.h>

#include "unikernel/host/cmdline.h"

static struct spx_cmdline c;
static struct spx_text why;

static void test_everything(void **state) {
    assert_true(
        spx_cmdline_read(&c, "  ip=192.0.2.53/24 gw=192.0.2.1  zone=me.signpost ns=ns1.me.signpost disk=xvdb ", &why));
    static const uint8_t ip[16] = {192, 0, 2, 53}, gw[16] = {192, 0, 2, 1};
    assert_int_equal(c.address.family, 4);
    assert_memory_equal(c.address.ip, ip, 16);
    assert_int_equal(c.bits, 24);
    assert_int_equal(c.gateway.family, 4);
    assert_memory_equal(c.gateway.ip, gw, 16);
    assert_string_equal(c.ip.s, "192.0.2.53");
    assert_string_equal(c.zone.s, "me.signpost");
    assert_string_equal(c.ns.s, "ns1.me.signpost");
    assert_string_equal(c.disk.s, "xvdb");
}

static void test_least(void **state) {
    assert_true(spx_cmdline_read(&c, "zone=z ip=10.0.0.1/32", &why));
    assert_int_equal(c.gateway.family, 0);
    assert_int_equal(c.bits, 32);
    assert_int_equal(c.ns.len, 0);
    assert_int_equal(c.disk.len, 0);
}

static void test_refused(void **state) {
    static const char *const bad[] = {"ip=10.0.0.1",
                                      "ip=10.0.0.1/",
                                      "ip=10.0.0.1/0",
                                      "ip=10.0.0.1/33",
                                      "ip=10.0.0/24",
                                      "ip=10.0.0./24",
                                      "ip=10.0.0.1./24",
                                      "ip=10.0.0.1.2/24",
                                      "ip=10..0.1/24",
                                      "ip=10.0.256.1/24",
                                      "ip=/24",
                                      "ip=",
                                      "ip=10.0.0.1/24/",
                                      "gw=10.0.0",
                                      "gw=10.0.0.1/24",
                                      "zone=",
                                      "disk=",
                                      "dsk=xvda",
                                      "=",
                                      "quiet"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(spx_cmdline_read(&c, bad[i], &why));
        assert_memory_equal(why.s, "cannot use the option ", 22);
        assert_string_equal(why.s + 22, bad[i]);
    }
}

static void test_missing(void **state) {
    assert_false(spx_cmdline_read(&c, "", &why));
    assert_string_equal(why.s, "no address: give it as ip=ADDRESS/BITS");
    assert_false(spx_cmdline_read(&c, "ip=10.0.0.1/24", &why));
    assert_string_equal(why.s, "no zone: name it as zone=ZONE");
}

static void test_too_long(void **state) {
    char text[400] = "zone=";
    memset(text + 5, 'z', sizeof text - 6);
    assert_false(spx_cmdline_read(&c, text, &why));
    assert_true(why.cut);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything), cmocka_unit_test(test_least),    cmocka_unit_test(test_refused),
        cmocka_unit_test(test_missing),    cmocka_unit_test(test_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
