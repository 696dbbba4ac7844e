#include "tests/unit/cm.h"

#include <arpa/inet.h>
#include <string.h>

#include "proto/nat/nat.h"

static struct sp_addr addr(const char *text) {
    struct sp_addr a = {.port = 4711, .family = strchr(text, ':') != NULL ? 6 : 4};
    assert_int_equal(inet_pton(a.family == 4 ? AF_INET : AF_INET6, text, a.ip), 1);
    return a;
}

static void dialable(void **state) {
    static const char *const yes[] = {
        "1.1.1.1",     "10.0.0.1",  "192.168.255.255", "126.255.255.255",  "128.0.0.1",  "169.253.255.255",
        "169.255.0.0", "192.0.1.1", "198.51.100.7",    "223.255.255.255",  "100.64.0.1", "2001:db8::1",
        "fd00::1",     "fe00::1",   "100:0:0:1::",     "64:ff9b::1.1.1.1", "2a00::"};
    static const char *const no[] = {"0.0.0.0",
                                     "0.1.2.3",
                                     "127.0.0.1",
                                     "127.255.255.255",
                                     "169.254.0.1",
                                     "192.0.0.171",
                                     "224.0.0.1",
                                     "239.255.255.255",
                                     "240.0.0.1",
                                     "255.255.255.255",
                                     "::",
                                     "::1",
                                     "::ffff:1.1.1.1",
                                     "::1.1.1.1",
                                     "100::1",
                                     "fe80::1",
                                     "febf::1",
                                     "fec0::1",
                                     "ff02::1",
                                     "ff0e::1",
                                     "64:ff9b::127.0.0.1",
                                     "64:ff9b::255.255.255.255",
                                     "64:ff9b:1::1.1.1.1"};
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        struct sp_addr a = addr(yes[i]);
        if (!sp_candidate_dialable(&a))
            fail_msg("%s", yes[i]);
        a.port = 0;
        assert_false(sp_candidate_dialable(&a));
        a.port = 1;
        a.scope = 2;
        assert_false(sp_candidate_dialable(&a));
    }
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) {
        struct sp_addr a = addr(no[i]);
        assert_false(sp_candidate_dialable(&a));
    }
    struct sp_addr none = {.port = 1};
    assert_false(sp_candidate_dialable(&none));
}

static void privates(void **state) {
    static const char *const yes[] = {"10.255.0.1", "172.16.0.1",      "172.31.255.255",   "192.168.0.1",
                                      "100.64.0.0", "100.127.255.255", "198.18.0.1",       "198.19.255.255",
                                      "fc00::1",    "fdff::1",         "64:ff9b::10.0.0.1"};
    static const char *const no[] = {"9.255.255.255",  "11.0.0.0",    "172.15.0.1",      "172.32.0.1", "192.169.0.1",
                                     "100.63.255.255", "100.128.0.0", "198.17.0.1",      "198.20.0.1", "fb00::1",
                                     "fe00::1",        "2001:db8::1", "64:ff9b::1.1.1.1"};
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        struct sp_addr a = addr(yes[i]);
        assert_true(sp_candidate_private(&a));
    }
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) {
        struct sp_addr a = addr(no[i]);
        assert_false(sp_candidate_private(&a));
    }
}

static void same_link(void **state) {
    static const struct {
        const char *candidate, *own;
        bool on_link;
    } rows[] = {
        {"192.168.1.7", "192.168.200.1", true},    {"192.168.1.7", "192.169.1.7", false},
        {"10.1.2.3", "10.1.200.1", true},          {"10.1.2.3", "10.2.2.3", false},
        {"172.16.1.1", "172.16.2.2", true},        {"100.64.1.1", "100.64.1.200", true},
        {"100.64.1.1", "100.64.2.1", false},       {"fd00:1:2:3::1", "fd00:1:2:4::1", true},
        {"fd00:1:2:3::1", "fd00:1:3:3::1", false}, {"10.1.2.3", "a01::", false},
        {"fd00::1", "253.0.0.0", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sp_addr a = addr(rows[i].candidate), own[2] = {addr("1.2.3.4"), addr(rows[i].own)};
        assert_true(sp_candidate_on_link(&a, own, 2) == rows[i].on_link);
        assert_false(sp_candidate_on_link(&a, own, 1));
        assert_false(sp_candidate_on_link(&a, NULL, 0));
    }
}

static struct sp_profile full(void) {
    struct sp_profile p;
    memset(&p, 0, sizeof p);
    p.mapping = SP_MAPPING_VARIES;
    p.filtering = SP_FILTERING_PORT;
    p.flags = 0xff;
    p.mtu = 1420;
    p.count = SP_CANDIDATES_MAX;
    for (unsigned i = 0; i < p.count; i++) {
        p.candidates[i].kind = (uint8_t)(i % SP_CAND_PEER);
        p.candidates[i].addr = addr(i % 2 ? "2001:db8::7" : "192.0.2.7");
        p.candidates[i].addr.port = (uint16_t)(65535 - i);
    }
    return p;
}

static void written_and_read(void **state) {
    struct sp_profile p = full(), got;
    for (p.count = 0; p.count <= SP_CANDIDATES_MAX; p.count++) {
        struct sp_profile want = p;
        memset(&want.candidates[p.count], 0, (SP_CANDIDATES_MAX - p.count) * sizeof want.candidates[0]);
        uint8_t wire[SP_PROFILE_MAX + 3];
        struct sp_wr wr = sp_wr_init(wire, SP_PROFILE_MAX);
        sp_profile_write(&wr, &want);
        assert_int_equal(wr.err, SP_OK);
        size_t len = sp_wr_len(&wr);
        struct sp_rd rd = sp_rd_init(wire, len + 3);
        assert_int_equal(sp_profile_read(&rd, &got), SP_OK);
        assert_int_equal(sp_rd_left(&rd), 3); /* what follows is the caller's */
        assert_memory_equal(&got, &want, sizeof got);
        for (size_t cut = 0; cut < len; cut++) {
            rd = sp_rd_init(wire, cut);
            assert_int_equal(sp_profile_read(&rd, &got), SP_ERR_SHORT);
        }
    }
}

static sp_err read_hex(const char *hex, struct sp_profile *ret) {
    uint8_t wire[400];
    struct sp_rd rd = sp_rd_init(wire, sp_test_hex(hex, wire, sizeof wire));
    return sp_profile_read(&rd, ret);
}

static void malformed(void **state) {
    struct sp_profile p;
    assert_int_equal(read_hex("0202 01 0000 01 01 04 01010101 1267", &p), SP_OK);
    assert_int_equal(read_hex("0202 01 0000 01 01 04 7f000001 1267", &p), SP_ERR_FORM); /* loopback */
    assert_int_equal(read_hex("0202 01 0000 01 01 04 01010101 0000", &p), SP_ERR_FORM); /* no port */
    assert_int_equal(read_hex("0202 01 0000 01 04 04 01010101 1267", &p), SP_ERR_FORM); /* a peer's */
    assert_int_equal(read_hex("0202 01 0000 01 09 04 01010101 1267", &p), SP_ERR_FORM); /* no such kind */
    assert_int_equal(read_hex("0202 01 0000 01 01 05 01010101 1267", &p), SP_ERR_FORM); /* no such family */
    assert_int_equal(read_hex("0202 01 0000 0d", &p), SP_ERR_FORM);                     /* too many */
    /* Behaviours that a later version knows. */
    assert_int_equal(read_hex("0604 81 0500 00", &p), SP_OK);
    assert_int_equal(p.mapping, SP_MAPPING_UNKNOWN);
    assert_int_equal(p.filtering, SP_FILTERING_UNKNOWN);
    assert_int_equal(p.flags, 0x81);
    assert_int_equal(p.mtu, 1280);
}

static void texts(void **state) {
    assert_string_equal(sp_nat_mapping_text(SP_MAPPING_PORT), "address-and-port-dependent");
    assert_string_equal(sp_nat_mapping_text((enum sp_nat_mapping)99), "unknown");
    assert_string_equal(sp_nat_filtering_text(SP_FILTERING_ADDRESS), "address-dependent");
    assert_string_equal(sp_nat_filtering_text((enum sp_nat_filtering)99), "unknown");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dialable),         cmocka_unit_test(privates),  cmocka_unit_test(same_link),
        cmocka_unit_test(written_and_read), cmocka_unit_test(malformed), cmocka_unit_test(texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
