#include "tests/unit/cm.h"

#include <string.h>

#include "tests/support/nat_model.h"

/* The NAT that other tests put their trust in, in every combination of its settings. RFC 4787. */

#define UDP 17

static struct sp_addr v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port) {
    return (struct sp_addr){.family = 4, .ip = {a, b, c, d}, .port = port};
}

#define ME      v4(192, 168, 1, 10, 5000)
#define OTHER   v4(192, 168, 1, 11, 5000)
#define OUTSIDE v4(198, 51, 100, 7, 0)
/* Outside ends: two ports of one host, and another host. */
#define P1  v4(203, 0, 113, 1, 1111)
#define P1B v4(203, 0, 113, 1, 2222)
#define P2  v4(203, 0, 113, 2, 1111)

static struct sp_addr out(struct nat *n, struct sp_addr src, struct sp_addr dst, sp_instant now) {
    struct sp_addr from = {0}, to = {0};
    assert_int_equal(nat_out(n, UDP, &src, &dst, now, &from, &to), NAT_PASS);
    assert_memory_equal(&to, &dst, sizeof dst);
    return from;
}

static bool in(struct nat *n, struct sp_addr src, struct sp_addr dst, struct sp_addr want, sp_instant now) {
    struct sp_addr to = {0};
    enum nat_verdict v = nat_in(n, UDP, &src, &dst, now, &to);
    if (v == NAT_PASS)
        assert_memory_equal(&to, &want, sizeof want);
    return v == NAT_PASS;
}

static bool equal(struct sp_addr a, struct sp_addr b) {
    return memcmp(&a, &b, sizeof a) == 0;
}

/* Calls fn with every combination; for ONE_TO_ONE the inside host is ME. */
static unsigned each_config(void (*fn)(const struct nat_config *c)) {
    unsigned runs = 0;
    for (uint8_t m = 0; m <= NAT_MAPPING_FIREWALL; m++)
        for (uint8_t f = 0; f <= NAT_FILTER_PORT; f++)
            for (uint8_t p = 0; p <= NAT_PORTS_RANDOM; p++)
                for (uint8_t flags = 0; flags < 4; flags++, runs++) {
                    struct nat_config c = {
                        .mapping = m, .filter = f, .ports = p, .hairpin = flags & 1, .refresh_in = flags & 2};
                    c.timeout = 30 * SP_SEC;
                    c.outside = OUTSIDE;
                    c.inside = v4(192, 168, 1, 10, 0);
                    c.seed = runs;
                    fn(&c);
                }
    return runs;
}

/* ---- mapping: RFC 4787 4.1 ---- */

static void mapping_one(const struct nat_config *c) {
    struct nat *n = nat_new(c);
    struct sp_addr a = out(n, ME, P1, 0), b = out(n, ME, P1B, 0), d = out(n, ME, P2, 0);
    bool stays = c->mapping == NAT_MAPPING_ENDPOINT || c->mapping == NAT_MAPPING_ONE_TO_ONE ||
                 c->mapping == NAT_MAPPING_FIREWALL;
    assert_int_equal(equal(a, b), c->mapping != NAT_MAPPING_PORT);
    assert_int_equal(equal(a, d), stays);
    assert_true(equal(out(n, ME, P1, 0), a)); /* and each stays what it is */
    assert_true(equal(out(n, ME, P2, 0), d));
    if (c->mapping == NAT_MAPPING_FIREWALL) {
        assert_true(equal(a, ME));
    } else {
        assert_memory_equal(a.ip, c->outside.ip, 16);
        if (c->mapping == NAT_MAPPING_ONE_TO_ONE || c->ports == NAT_PORTS_PRESERVE)
            assert_int_equal(a.port, 5000);
    }
    assert_int_equal(nat_mappings(n), stays ? 1 : c->mapping == NAT_MAPPING_ADDRESS ? 2 : 3);
    nat_free(n);
}

static void mapping(void **state) {
    assert_int_equal(each_config(mapping_one), 5 * 3 * 3 * 4);
}

/* ---- filtering: RFC 4787 5 ---- */

static void filtering_one(const struct nat_config *c) {
    struct nat *n = nat_new(c);
    bool open = c->mapping == NAT_MAPPING_ONE_TO_ONE && c->filter == NAT_FILTER_ENDPOINT;
    struct sp_addr nobody = v4(198, 51, 100, 7, 5000);
    assert_int_equal(in(n, P1, c->mapping == NAT_MAPPING_FIREWALL ? ME : nobody, ME, 0), open);
    struct sp_addr at = out(n, ME, P1, 0);
    assert_true(in(n, P1, at, ME, 0));
    assert_int_equal(in(n, P1B, at, ME, 0), c->filter != NAT_FILTER_PORT);
    assert_int_equal(in(n, P2, at, ME, 0), c->filter == NAT_FILTER_ENDPOINT);
    struct sp_addr second = out(n, ME, P2, 0); /* a permission opens its own mapping alone */
    assert_true(in(n, P2, second, ME, 0));
    assert_int_equal(in(n, P2, at, ME, 0), c->filter == NAT_FILTER_ENDPOINT || equal(second, at));
    nat_free(n);
}

static void filtering(void **state) {
    (void)each_config(filtering_one);
}

/* ---- ports: RFC 4787 4.2 ---- */

static void ports_one(const struct nat_config *c) {
    if (c->mapping >= NAT_MAPPING_ONE_TO_ONE)
        return;
    struct nat *n = nat_new(c);
    uint16_t last = 0, followers = 0;
    bool seen[65536] = {0};
    for (uint16_t i = 0; i < 200; i++) {
        struct sp_addr a = out(n, v4(192, 168, 1, (uint8_t)(1 + i % 4), (uint16_t)(7000 + i / 4)), P1, 0);
        assert_false(seen[a.port]); /* none is shared */
        seen[a.port] = true;
        assert_true(a.port >= 1024);
        if (c->ports == NAT_PORTS_SEQUENTIAL && i > 0)
            assert_int_equal(a.port, last + 1);
        if (c->ports == NAT_PORTS_PRESERVE && i == 0)
            assert_int_equal(a.port, 7000);
        followers += i > 0 && a.port == last + 1;
        last = a.port;
    }
    if (c->ports == NAT_PORTS_RANDOM)
        assert_true(followers < 5);
    nat_free(n);
}

static void ports(void **state) {
    (void)each_config(ports_one);
}

/* ---- hairpinning: RFC 4787 6 ---- */

static void hairpin_one(const struct nat_config *c) {
    if (c->mapping >= NAT_MAPPING_ONE_TO_ONE)
        return;
    struct nat *n = nat_new(c);
    struct sp_addr at = out(n, ME, P1, 0), src = OTHER, from = {0}, to = {0};
    enum nat_verdict v = nat_out(n, UDP, &src, &at, 0, &from, &to);
    if (!c->hairpin || c->filter != NAT_FILTER_ENDPOINT) {
        assert_int_equal(v, NAT_DROP);
    } else {
        assert_int_equal(v, NAT_HAIRPIN);
        assert_true(equal(to, ME));
        assert_memory_equal(from.ip, c->outside.ip, 16); /* RFC 4787 REQ-9: from its outside address */
    }
    if (c->hairpin && c->mapping == NAT_MAPPING_ENDPOINT) { /* a punch through the hairpin works with any filter */
        struct sp_addr other_at = out(n, OTHER, P1, 0), me = ME;
        assert_true(nat_out(n, UDP, &me, &other_at, 0, &from, &to) != NAT_PASS);
        assert_int_equal(nat_out(n, UDP, &src, &at, 0, &from, &to), NAT_HAIRPIN);
        assert_true(equal(from, other_at));
        assert_true(equal(to, ME));
    }
    nat_free(n);
}

static struct sp_addr out_any(struct nat *n, struct sp_addr src, struct sp_addr dst, enum nat_verdict want,
                              struct sp_addr *ret_to) {
    struct sp_addr from = {0};
    assert_int_equal(nat_out(n, UDP, &src, &dst, 0, &from, ret_to), want);
    return from;
}

static void hairpin(void **state) {
    (void)each_config(hairpin_one);
    struct nat_config c = {
        .mapping = NAT_MAPPING_ONE_TO_ONE, .hairpin = true, .outside = OUTSIDE, .inside = v4(192, 168, 1, 10, 0)};
    struct nat *n = nat_new(&c);
    struct sp_addr to, from = out_any(n, ME, v4(198, 51, 100, 7, 5001), NAT_HAIRPIN, &to);
    assert_true(equal(from, v4(198, 51, 100, 7, 5000)));
    assert_true(equal(to, v4(192, 168, 1, 10, 5001)));
    nat_free(n);
}

/* ---- time: RFC 4787 4.3 ---- */

static void timeout_one(const struct nat_config *c) {
    bool open = c->mapping == NAT_MAPPING_ONE_TO_ONE && c->filter == NAT_FILTER_ENDPOINT;
    struct nat *n = nat_new(c);
    struct sp_addr at = out(n, ME, P1, 0);
    assert_true(in(n, P1, at, ME, 29 * SP_SEC));
    assert_int_equal(in(n, P1, at, ME, 31 * SP_SEC), open || c->refresh_in); /* inbound keeps it, if so set */
    (void)out(n, ME, P1, 100 * SP_SEC);
    nat_free(n);

    n = nat_new(c); /* outbound always does */
    at = out(n, ME, P1, 0);
    for (unsigned i = 1; i < 10; i++)
        assert_true(equal(out(n, ME, P1, i * 29 * SP_SEC), at));
    assert_true(in(n, P1, at, ME, 9 * 29 * SP_SEC + 29 * SP_SEC));
    assert_int_equal(in(n, P1, at, ME, 20 * 29 * SP_SEC), open);
    nat_free(n);
}

static void timeouts(void **state) {
    (void)each_config(timeout_one);
}

/* A permission ends by itself, however busy its mapping is with others. */
static void permissions_end_each(void **state) {
    struct nat_config c = {.filter = NAT_FILTER_PORT, .timeout = 30 * SP_SEC, .outside = OUTSIDE};
    struct nat *n = nat_new(&c);
    struct sp_addr at = out(n, ME, P1, 0);
    for (unsigned i = 0; i < 5; i++)
        assert_true(equal(out(n, ME, P2, i * 10 * SP_SEC), at));
    assert_false(in(n, P1, at, ME, 41 * SP_SEC));
    assert_true(in(n, P2, at, ME, 41 * SP_SEC));
    nat_free(n);
}

static void streams_last_longer(void **state) {
    struct nat_config c = {.filter = NAT_FILTER_PORT, .timeout = 30 * SP_SEC, .outside = OUTSIDE};
    struct nat *n = nat_new(&c);
    struct sp_addr src = ME, dst = P1, from, to;
    assert_int_equal(nat_out(n, 6, &src, &dst, 0, &from, &to), NAT_PASS);
    assert_int_equal(nat_in(n, 6, &dst, &from, 3600 * SP_SEC, &to), NAT_PASS);
    assert_int_equal(nat_in(n, UDP, &dst, &from, 3600 * SP_SEC, &to), NAT_DROP); /* protocols are apart */
    assert_int_equal(nat_in(n, 6, &dst, &from, 7200 * SP_SEC, &to), NAT_DROP);
    nat_free(n);
}

/* ---- limits, changes ---- */

static void a_full_table_drops_and_recovers(void **state) {
    struct nat_config c = {.limit = 50, .filter = NAT_FILTER_PORT, .timeout = 30 * SP_SEC, .outside = OUTSIDE};
    struct nat *n = nat_new(&c);
    struct sp_addr from, to, dst = P1;
    unsigned passed = 0;
    for (uint16_t i = 0; i < 500; i++) {
        struct sp_addr src = v4(192, 168, 1, 10, (uint16_t)(2000 + i));
        passed += nat_out(n, UDP, &src, &dst, 0, &from, &to) == NAT_PASS;
    }
    assert_int_equal(passed, 50);
    assert_int_equal(nat_mappings(n), 50);
    assert_int_equal(nat_counts(n)->dropped_full, 450);
    for (uint16_t i = 0; i < 1000; i++) { /* more flows than the table takes, later */
        struct sp_addr src = ME;
        dst.port = (uint16_t)(3000 + i);
        passed += nat_out(n, UDP, &src, &dst, 40 * SP_SEC, &from, &to) == NAT_PASS;
    }
    assert_int_equal(passed, 50 + 200);
    assert_int_equal(nat_mappings(n), 1);
    /* What a mapping had sent to is not remembered for the next one in its place. */
    dst.port = 3000;
    assert_int_equal(nat_in(n, UDP, &dst, &from, 41 * SP_SEC, &to), NAT_PASS);
    struct sp_addr src = v4(192, 168, 1, 12, 9000), elsewhere = P2;
    assert_int_equal(nat_out(n, UDP, &src, &elsewhere, 80 * SP_SEC, &from, &to), NAT_PASS);
    assert_int_equal(nat_in(n, UDP, &dst, &from, 80 * SP_SEC, &to), NAT_DROP);
    nat_free(n);
}

static void change_one(const struct nat_config *c) {
    bool moves = c->mapping < NAT_MAPPING_ONE_TO_ONE;
    struct nat *n = nat_new(c);
    struct sp_addr before = out(n, ME, P1, 0);
    nat_rebind(n);
    assert_int_equal(nat_mappings(n), 0);
    if (moves || c->filter != NAT_FILTER_ENDPOINT)
        assert_false(in(n, P1, before, ME, 0));
    struct sp_addr after = out(n, ME, P1, 0);
    assert_int_equal(after.port != before.port, moves);
    assert_true(in(n, P1, after, ME, 0));
    if (c->mapping != NAT_MAPPING_FIREWALL) {
        struct sp_addr fresh = v4(198, 51, 100, 99, 0);
        nat_readdress(n, &fresh);
        assert_false(in(n, P1, after, ME, 0));
        after = out(n, ME, P1, 0);
        assert_memory_equal(after.ip, fresh.ip, 16);
        assert_true(in(n, P1, after, ME, 0));
    }
    nat_free(n);
}

static void rebinding_and_another_address(void **state) {
    (void)each_config(change_one);
}

static void a_firewall_takes_ipv6(void **state) {
    struct nat_config c = {.mapping = NAT_MAPPING_FIREWALL, .filter = NAT_FILTER_PORT};
    struct nat *n = nat_new(&c);
    struct sp_addr me = {.family = 6, .ip = {0x20, 1, [15] = 1}, .port = 5},
                   you = {.family = 6, .ip = {0x20, 2, [15] = 2}, .port = 6};
    assert_false(in(n, you, me, me, 0));
    assert_true(equal(out(n, me, you, 0), me));
    assert_true(in(n, you, me, me, 0));
    nat_free(n);
    struct nat_config plain = {.outside = OUTSIDE};
    struct sp_addr from, to;
    n = nat_new(&plain);
    assert_int_equal(nat_out(n, UDP, &me, &you, 0, &from, &to), NAT_DROP);
    assert_int_equal(nat_counts(n)->dropped_family, 1);
    nat_free(n);
}

static void settings_by_name(void **state) {
    struct nat_config c = {0};
    assert_true(nat_config_set(&c, "mapping", "apdm") && c.mapping == NAT_MAPPING_PORT);
    assert_true(nat_config_set(&c, "filter", "adf") && c.filter == NAT_FILTER_ADDRESS);
    assert_true(nat_config_set(&c, "ports", "random") && c.ports == NAT_PORTS_RANDOM);
    assert_true(nat_config_set(&c, "hairpin", "1") && c.hairpin);
    assert_true(nat_config_set(&c, "timeout", "20") && c.timeout == 20 * SP_SEC);
    assert_string_equal(nat_mapping_name(c.mapping), "apdm");
    assert_string_equal(nat_filter_name(c.filter), "adf");
    assert_string_equal(nat_ports_name(c.ports), "random");
    assert_false(nat_config_set(&c, "mapping", "eif"));
    assert_false(nat_config_set(&c, "hairpin", "yes"));
    assert_false(nat_config_set(&c, "timeout", "20s"));
    assert_false(nat_config_set(&c, "color", "1"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mapping),
        cmocka_unit_test(filtering),
        cmocka_unit_test(ports),
        cmocka_unit_test(hairpin),
        cmocka_unit_test(timeouts),
        cmocka_unit_test(permissions_end_each),
        cmocka_unit_test(streams_last_longer),
        cmocka_unit_test(a_full_table_drops_and_recovers),
        cmocka_unit_test(rebinding_and_another_address),
        cmocka_unit_test(a_firewall_takes_ipv6),
        cmocka_unit_test(settings_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
