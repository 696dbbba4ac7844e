/* The guest's options: words of the command line and of vm-data/signpost. */
#include "tests/unit/cm.h"

#include <stdio.h>
#include <string.h>

#include "unikernel/host/cmdline.h"

static struct spx_cmdline c;
static struct spx_text why;

static bool add(enum spx_source from, const char *text) {
    return spx_cmdline_read(&c, from, text, strlen(text), &why);
}

/* The command line alone, all of it. */
static bool line(const char *text) {
    c = (struct spx_cmdline){0};
    return add(SPX_FROM_COMMAND_LINE, text) && spx_cmdline_finish(&c, &why);
}

/* Both sources. */
static bool both(const char *text, const char *vm_data) {
    c = (struct spx_cmdline){0};
    return add(SPX_FROM_COMMAND_LINE, text) && add(SPX_FROM_VM_DATA, vm_data) && spx_cmdline_finish(&c, &why);
}

static void assert_ip4(const struct sp_addr *a, uint8_t b0, uint8_t b1, uint8_t b2, uint8_t b3, uint16_t port) {
    const uint8_t ip[16] = {b0, b1, b2, b3};
    assert_int_equal(a->family, 4);
    assert_memory_equal(a->ip, ip, 16);
    assert_int_equal(a->port, port);
}

static void assert_ip6(const struct sp_addr *a, uint8_t last, uint16_t port) { /* 2001:db8::last */
    const uint8_t ip[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = last};
    assert_int_equal(a->family, 6);
    assert_memory_equal(a->ip, ip, 16);
    assert_int_equal(a->port, port);
}

#define KEY_A "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define KEY_B "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="

static void test_everything(void **state) {
    assert_true(
        line("  ip=192.0.2.53/24 gw=192.0.2.1\tip6=2001:db8::35/64 gw6=fe80::1  zone=me.signpost ns=ns1.me.signpost\n"
             "public=203.0.113.5 public=2001:db8::5 ports=53,5353 disk=xvdb syslog=192.0.2.9:5514 "
             "operator=" KEY_A " operator=" KEY_B " "));
    assert_int_equal(c.ip.how, SPX_IP_STATIC);
    assert_ip4(&c.ip.addr, 192, 0, 2, 53, 0);
    assert_int_equal(c.ip.bits, 24);
    assert_ip4(&c.gw, 192, 0, 2, 1, 0);
    assert_int_equal(c.ip6.how, SPX_IP_STATIC);
    assert_ip6(&c.ip6.addr, 0x35, 0);
    assert_int_equal(c.ip6.bits, 64);
    static const uint8_t router[16] = {0xfe, 0x80, [15] = 1};
    assert_memory_equal(c.gw6.ip, router, 16);
    assert_string_equal(c.zone.s, "me.signpost");
    assert_string_equal(c.ns.s, "ns1.me.signpost");
    assert_int_equal(c.public.count, 2);
    assert_ip4(&c.public.addrs[0], 203, 0, 113, 5, 0);
    assert_ip6(&c.public.addrs[1], 5, 0);
    assert_int_equal(c.ports.count, 2);
    assert_int_equal(c.ports.list[0], 53);
    assert_int_equal(c.ports.list[1], 5353);
    assert_string_equal(c.disk.s, "xvdb");
    assert_ip4(&c.syslog, 192, 0, 2, 9, 5514);
    assert_int_equal(c.operators.count, 2);
    for (uint8_t i = 0; i < 32; i++) {
        assert_int_equal(c.operators.keys[0][i], i);
        assert_int_equal(c.operators.keys[1][i], 32 + i);
    }
}

static void test_least(void **state) {
    assert_true(line("zone=z ip=10.0.0.1/32"));
    assert_int_equal(c.gw.family, 0);
    assert_int_equal(c.ip.bits, 32);
    assert_int_equal(c.ip6.how, SPX_IP_NONE);
    assert_int_equal(c.ns.len, 0);
    assert_int_equal(c.disk.len, 0);
    assert_int_equal(c.public.count, 0);
    assert_int_equal(c.operators.count, 0);
    assert_int_equal(c.syslog.family, 0);
    assert_int_equal(c.ports.count, 3);
    assert_int_equal(c.ports.list[0], 53);
    assert_int_equal(c.ports.list[1], 443);
    assert_int_equal(c.ports.list[2], 51820);
}

static void test_automatic(void **state) {
    assert_true(line("zone=z ip=dhcp ip6=auto"));
    assert_int_equal(c.ip.how, SPX_IP_AUTO);
    assert_int_equal(c.ip6.how, SPX_IP_AUTO);
    assert_true(line("zone=z ip=dhcp ip6=off"));
    assert_int_equal(c.ip6.how, SPX_IP_NONE);
    assert_true(line("zone=z ip6=2001:db8::1/64"));
    assert_int_equal(c.ip.how, SPX_IP_NONE);
}

static void test_syslog(void **state) {
    assert_true(line("zone=z ip=dhcp syslog=192.0.2.1"));
    assert_ip4(&c.syslog, 192, 0, 2, 1, 514);
    assert_true(line("zone=z ip6=auto syslog=2001:db8::7"));
    assert_ip6(&c.syslog, 7, 514);
    assert_true(line("zone=z ip6=auto syslog=[2001:db8::7]"));
    assert_ip6(&c.syslog, 7, 514);
    assert_true(line("zone=z ip6=auto syslog=[2001:db8::7]:65535"));
    assert_ip6(&c.syslog, 7, 65535);
}

static const char *const bad[] = {
    "ip=10.0.0.1",
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
    "ip=0.0.0.0/24",
    "ip=127.0.0.1/8",
    "ip=224.0.0.1/4",
    "ip=2001:db8::1/64",
    "ip=auto",
    "ip=dhcp/24",
    "ip=DHCP",
    "gw=10.0.0",
    "gw=10.0.0.1/24",
    "gw=",
    "gw=255.255.255.255",
    "ip6=2001:db8::1",
    "ip6=2001:db8::1/129",
    "ip6=2001:db8::1/0",
    "ip6=10.0.0.1/24",
    "ip6=dhcp",
    "ip6=",
    "ip6=::/64",
    "ip6=::1/128",
    "ip6=ff02::1/64",
    "ip6=fe80::5/64",
    "ip6=2001:db8:::1/64",
    "ip6=::ffff:10.0.0.1/96",
    "gw6=fe80::1/64",
    "gw6=10.0.0.1",
    "gw6=",
    "zone=",
    "zone=a..b",
    "zone=.",
    "ns=",
    "ns=.b",
    "disk=",
    "disk=xvdq",
    "disk=xvd",
    "disk=sda",
    "disk=xvdaa",
    "public=",
    "public=10.0.0.1/24",
    "public=fe80::1",
    "public=ns.example",
    "ports=",
    "ports=0",
    "ports=65536",
    "ports=53,",
    "ports=,53",
    "ports=53,53",
    "ports=53,,443",
    "ports=1,2,3,4,5,6,7,8,9",
    "ports=dns",
    "ports=-1",
    "syslog=",
    "syslog=log.example",
    "syslog=192.0.2.1:",
    "syslog=192.0.2.1:0",
    "syslog=192.0.2.1:65536",
    "syslog=[192.0.2.1]:514",
    "syslog=[2001:db8::7",
    "syslog=[2001:db8::7]514",
    "syslog=[2001:db8::7]:",
    "syslog=[]:514",
    "syslog=fe80::1",
    "syslog=[",
    "syslog=]",
    "syslog=192.0.2.1:514:514",
    "operator=",
    "operator=AAAA",
    "operator=" KEY_A "AAAA",
    "operator=" KEY_A KEY_B,
    "operator=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
    "operator=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8!",
};

static void test_refused(void **state) {
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char expected[300];
        size_t name = strcspn(bad[i], "=");
        assert_false(line(bad[i]));
        snprintf(expected, sizeof expected,
                 "cannot use the option %.64s%s of the command line: it must be %.*s=", bad[i],
                 strlen(bad[i]) > 64 ? "..." : "", (int)name, bad[i]);
        if (strncmp(why.s, expected, strlen(expected)) != 0)
            fail_msg("%s: %s", bad[i], why.s);
        assert_false(why.cut);
    }
}

static void test_unknown(void **state) {
    static const char *const unknown[] = {"dsk=xvda", "=", "quiet", "ip", "IP=dhcp", "=ip"};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        char expected[300];
        assert_false(line(unknown[i]));
        snprintf(
            expected, sizeof expected,
            "cannot use the option %s of the command line: not known; known are ip gw ip6 gw6 zone ns public ports "
            "disk operator syslog",
            unknown[i]);
        assert_string_equal(why.s, expected);
    }
}

static void test_twice(void **state) {
    static const char *const twice[] = {
        "ip=dhcp ip=10.0.0.1/24", "gw=10.0.0.1 gw=10.0.0.1", "ip6=off ip6=auto", "zone=a zone=a",
        "disk=xvda disk=xvdb",    "ports=53 ports=443",      "ns=a ns=b",        "syslog=10.0.0.1 syslog=10.0.0.2"};
    for (size_t i = 0; i < sizeof twice / sizeof twice[0]; i++) {
        char expected[300];
        assert_false(line(twice[i]));
        snprintf(expected, sizeof expected, "cannot use the option %s of the command line: this word was given before",
                 strchr(twice[i], ' ') + 1);
        assert_string_equal(why.s, expected);
    }
    assert_false(
        line("zone=z ip=dhcp public=10.0.0.1 public=10.0.0.2 public=10.0.0.3 public=10.0.0.4 public=10.0.0.5"));
    assert_string_equal(why.s,
                        "cannot use the option public=10.0.0.5 of the command line: it must be public=ADDR with an "
                        "IP address, at most 4 of them");
    assert_false(line("operator=" KEY_A " operator=" KEY_A " operator=" KEY_A " operator=" KEY_A " operator=" KEY_A));
    assert_int_equal(c.operators.count, 4);
}

static void test_missing(void **state) {
    assert_false(line(""));
    assert_string_equal(why.s, "no zone: name it as zone=ZONE");
    assert_false(line("ip=10.0.0.1/24"));
    assert_string_equal(why.s, "no zone: name it as zone=ZONE");
    assert_false(line("zone=z"));
    assert_string_equal(why.s, "no address: give it as ip=ADDR/BITS, ip=dhcp, ip6=ADDR/BITS or ip6=auto");
    assert_false(line("zone=z ip6=off"));
}

static void test_together(void **state) {
    assert_false(line("zone=z ip=dhcp gw=10.0.0.1"));
    assert_memory_equal(why.s, "gw=ADDR goes with ip=ADDR/BITS alone", 36);
    assert_false(line("zone=z gw=10.0.0.1 ip6=auto"));
    assert_false(line("zone=z ip6=auto gw6=fe80::1"));
    assert_memory_equal(why.s, "gw6=ADDR goes with ip6=ADDR/BITS alone", 38);
    assert_false(line("zone=z ip=dhcp ip6=off gw6=fe80::1"));
    assert_false(line("zone=z ip=dhcp syslog=2001:db8::1"));
    assert_memory_equal(why.s, "syslog=ADDR is an IPv6 address", 30);
    assert_false(line("zone=z ip6=auto syslog=192.0.2.1"));
    assert_memory_equal(why.s, "syslog=ADDR is an IPv4 address", 30);
}

static void test_shown(void **state) { /* not all of it, and no control characters */
    char text[400] = "zone=";
    memset(text + 5, 'z', sizeof text - 6);
    assert_false(line(text));
    assert_false(why.cut);
    assert_non_null(strstr(why.s, "zzz... of the command line"));
    assert_false(line("zone=\x1b[2J\xff"));
    assert_non_null(strstr(why.s, "zone=?[2J? of"));
}

static void test_vm_data(void **state) {
    assert_true(both("zone=a ip=10.0.0.1/24 gw=10.0.0.254 disk=xvda", "zone=b disk=xvda"));
    assert_string_equal(c.zone.s, "b");
    assert_ip4(&c.gw, 10, 0, 0, 254, 0); /* what is not named stays */
    spx_cmdline_differ(&c, &why);
    assert_string_equal(why.s, "zone");
    /* A router goes with its address. */
    assert_true(both("zone=a ip=10.0.0.1/24 gw=10.0.0.254 ip6=2001:db8::1/64 gw6=fe80::1", "ip=dhcp"));
    assert_int_equal(c.gw.family, 0);
    assert_int_equal(c.gw6.family, 6);
    spx_cmdline_differ(&c, &why);
    assert_string_equal(why.s, "ip");
    assert_true(both("zone=a ip6=2001:db8::1/64 gw6=fe80::1", "ip6=auto"));
    assert_true(both("zone=a ip=10.0.0.1/24 gw=10.0.0.254", "gw=10.0.0.253 ip=10.0.0.2/24"));
    assert_ip4(&c.gw, 10, 0, 0, 253, 0);
    spx_cmdline_differ(&c, &why);
    assert_string_equal(why.s, "ip gw");
    /* Lists are replaced, not joined. */
    assert_true(
        both("zone=a ip=dhcp public=10.0.0.1 public=10.0.0.2 operator=" KEY_A, "public=10.0.0.3 operator=" KEY_B));
    assert_int_equal(c.public.count, 1);
    assert_ip4(&c.public.addrs[0], 10, 0, 0, 3, 0);
    assert_int_equal(c.operators.count, 1);
    assert_int_equal(c.operators.keys[0][0], 32);
    /* Nothing, the same, or only there: nothing differs. */
    assert_true(both("zone=a ip=dhcp", ""));
    assert_true(both("zone=a ip=dhcp", " ip=dhcp ns=ns.a\n"));
    assert_string_equal(c.ns.s, "ns.a");
    spx_cmdline_differ(&c, &why);
    assert_string_equal(why.s, "");
    assert_true(both("", "zone=a ip=dhcp"));
    assert_false(both("zone=a ip=dhcp", "zone=a zone=b"));
    assert_string_equal(why.s, "cannot use the option zone=b of vm-data/signpost: this word was given before");
    assert_false(both("zone=a ip=dhcp", "ip=10.0.0.1"));
    assert_memory_equal(why.s, "cannot use the option ip=10.0.0.1 of vm-data/signpost: it must be ip=", 68);
    assert_false(both("zone=a ip=x", "ip=dhcp")); /* what stands on the command line has to be right all the same */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything), cmocka_unit_test(test_least),   cmocka_unit_test(test_automatic),
        cmocka_unit_test(test_syslog),     cmocka_unit_test(test_refused), cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_twice),      cmocka_unit_test(test_missing), cmocka_unit_test(test_together),
        cmocka_unit_test(test_shown),      cmocka_unit_test(test_vm_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
