#include "tests/unit/cm.h"

#include <string.h>

#include "tests/support/net_rig.h"

#define ROUTER  "fe80::fe"
#define ROUTER2 "fe80::fd"
#define REMOTE  "2001:db8:ffff::7"

static struct net_rig *start(void) {
    struct net_rig *g = net_rig_new();
    g->config.ipv6 = g->config.slaac = true;
    g->config.static_count = 0;
    memset(g->config.secret, 7, sizeof g->config.secret);
    net_rig_start(g);
    return g;
}

struct ra {
    uint8_t m[16 + 8 + 8 + 32 + 8];
    size_t len;
};

static struct ra advert(uint16_t lifetime_s) {
    return (struct ra){.m = {134, 0, 0, 0, 0, 0, (uint8_t)(lifetime_s >> 8), (uint8_t)lifetime_s}, .len = 16};
}

static void put32(uint8_t *p, uint32_t v) {
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

static void add_prefix(struct ra *a, const char *prefix, uint8_t bits, uint8_t flags, uint32_t valid_s,
                       uint32_t preferred_s) {
    uint8_t *o = a->m + a->len;
    memset(o, 0, 32);
    o[0] = 3;
    o[1] = 4;
    o[2] = bits;
    o[3] = flags;
    put32(o + 4, valid_s);
    put32(o + 8, preferred_s);
    memcpy(o + 16, net_ip(prefix).ip, 16);
    a->len += 32;
}

static void add_mac(struct ra *a, const uint8_t mac[6]) {
    memcpy(a->m + a->len, (uint8_t[]){1, 1}, 2);
    memcpy(a->m + a->len + 2, mac, 6);
    a->len += 8;
}

static void add_mtu(struct ra *a, uint32_t mtu) {
    memcpy(a->m + a->len, (uint8_t[]){5, 1, 0, 0}, 4);
    put32(a->m + a->len + 4, mtu);
    a->len += 8;
}

static void hear_from(struct net_rig *g, const char *src, struct ra a) {
    static const uint8_t nodes_mac[6] = {0x33, 0x33, 0, 0, 0, 1};
    struct net_frame f = net_icmp(nodes_mac, net_rig_gateway, src, "ff02::1", 255, a.m, a.len);
    net_rig_in(g, &f);
}

static size_t addresses(const struct net_rig *g, struct sp_addr ret[SP_NET_ADDRESSES]) {
    return sp_net_addresses(g->net, ret, SP_NET_ADDRESSES);
}

static sp_err reach(struct net_rig *g) {
    struct sp_out out = {.kind = SP_OUT_DATAGRAM, .dst = net_ip(REMOTE), .data = (const uint8_t *)"x", .len = 1};
    net_rig_forget(g);
    return net_rig_send(g, &out);
}

static void rfc4861_routers_are_asked_for(void **state) {
    struct net_rig *g = start();
    const struct net_frame *s = net_rig_icmp(g, 6, 133, 0);
    assert_non_null(s);
    assert_memory_equal(s->data + 22, net_ip("::").ip, 16);
    assert_memory_equal(s->data + 38, net_ip("ff02::2").ip, 16);
    net_rig_wait(g, 60 * SP_SEC);
    s = net_rig_icmp(g, 6, 133, 1);
    assert_non_null(s);
    assert_int_equal(s->data[22], 0xfe); /* by now from an address, with the MAC */
    assert_memory_equal(s->data + 64, net_rig_mac, 6);
    assert_non_null(net_rig_icmp(g, 6, 133, 2));
    assert_null(net_rig_icmp(g, 6, 133, 3));
    assert_true(sp_net_deadline(g->net) == SP_NEVER);
    net_rig_free(g);
}

static void an_advertisement_gives_address_and_router(void **state) {
    struct net_rig *g = start();
    struct sp_addr got[SP_NET_ADDRESSES];
    struct ra a = advert(1800);
    add_mac(&a, net_rig_gateway);
    add_prefix(&a, "2001:db8:1::", 64, 0xc0, 7200, 3600);
    hear_from(g, ROUTER, a);
    assert_int_equal(addresses(g, got), 0);
    net_rig_wait(g, 2 * SP_SEC);
    assert_int_equal(addresses(g, got), 1);
    assert_memory_equal(got[0].ip, net_ip("2001:db8:1::").ip, 8);
    assert_int_equal(reach(g), SP_OK);
    assert_memory_equal(g->sent[0].data, net_rig_gateway, 6);
    assert_memory_equal(g->sent[0].data + 22, got[0].ip, 16);
    net_rig_forget(g);
    net_rig_wait(g, 20 * SP_SEC);
    assert_null(net_rig_icmp(g, 6, 133, 0)); /* no more asking */
    net_rig_free(g);
}

/* RFC 7217: the same on the same network with the same secret, another one elsewhere. */
static void rfc7217_stable_addresses(void **state) {
    struct sp_addr got[4][SP_NET_ADDRESSES];
    for (unsigned i = 0; i < 4; i++) {
        struct net_rig *g = net_rig_new();
        g->config.ipv6 = g->config.slaac = true;
        g->config.static_count = 0;
        g->config.secret[0] = i == 3;
        net_rig_start(g);
        struct ra a = advert(1800);
        add_prefix(&a, i == 2 ? "2001:db8:2::" : "2001:db8:1::", 64, 0xc0, 7200, 3600);
        hear_from(g, ROUTER, a);
        net_rig_wait(g, 2 * SP_SEC);
        assert_int_equal(addresses(g, got[i]), 1);
        net_rig_free(g);
    }
    assert_memory_equal(got[0][0].ip, got[1][0].ip, 16);
    assert_memory_not_equal(got[0][0].ip + 8, got[2][0].ip + 8, 8);
    assert_memory_not_equal(got[0][0].ip + 8, got[3][0].ip + 8, 8);
}

/* RFC 7217 6: the next one is tried when somebody has it. */
static void duplicates_are_replaced(void **state) {
    struct net_rig *g = start();
    struct sp_addr got[SP_NET_ADDRESSES];
    uint8_t probed[16];
    struct ra a = advert(1800);
    add_prefix(&a, "2001:db8:1::", 64, 0xc0, 7200, 3600);
    net_rig_wait(g, 2 * SP_SEC);
    net_rig_forget(g);
    hear_from(g, ROUTER, a);
    const struct net_frame *s = net_rig_icmp(g, 6, 135, 0);
    assert_non_null(s);
    memcpy(probed, s->data + 62, 16);
    uint8_t m[32] = {136, 0, 0, 0, 0x20};
    memcpy(m + 8, probed, 16);
    memcpy(m + 24, (uint8_t[]){2, 1, 2, 0, 0, 0, 0, 0x99}, 8);
    struct net_frame f = net_icmp(net_rig_all, net_rig_peer, "fe80::99", "ff02::1", 255, m, sizeof m);
    net_rig_in(g, &f);
    net_rig_wait(g, 2 * SP_SEC);
    assert_int_equal(addresses(g, got), 1);
    assert_memory_not_equal(got[0].ip, probed, 16);
    assert_memory_equal(got[0].ip, probed, 8);
    net_rig_free(g);
}

/* RFC 4862 5.5.3: what is ignored. */
static void bad_prefixes(void **state) {
    struct net_rig *g = start();
    struct sp_addr got[SP_NET_ADDRESSES];
    static const struct {
        const char *prefix;
        uint8_t bits, flags;
        uint32_t valid, preferred;
    } bad[] = {{"fe80::", 64, 0xc0, 7200, 3600},       {"2001:db8:1::", 63, 0xc0, 7200, 3600},
               {"2001:db8:1::", 64, 0x80, 7200, 3600}, {"2001:db8:1::", 64, 0xc0, 3600, 7200},
               {"2001:db8:1::", 64, 0xc0, 0, 0},       {"2001:db8:1::", 129, 0xc0, 7200, 3600},
               {"ff02::", 64, 0xc0, 7200, 3600}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct ra a = advert(1800);
        add_prefix(&a, bad[i].prefix, bad[i].bits, bad[i].flags, bad[i].valid, bad[i].preferred);
        hear_from(g, ROUTER, a);
    }
    net_rig_wait(g, 5 * SP_SEC);
    assert_int_equal(addresses(g, got), 0);
    net_rig_free(g);
}

static void bad_advertisements(void **state) {
    struct net_rig *g = start();
    struct sp_addr got[SP_NET_ADDRESSES];
    struct ra a = advert(1800);
    add_prefix(&a, "2001:db8:1::", 64, 0xc0, 7200, 3600);
    hear_from(g, "2001:db8::1", a); /* not from the link */
    struct ra cut = a;
    cut.len = 15;
    hear_from(g, ROUTER, cut);
    cut.len = 47;
    hear_from(g, ROUTER, cut);
    cut = a;
    cut.m[17] = 0; /* an option of length 0 */
    hear_from(g, ROUTER, cut);
    struct net_frame f = net_icmp(net_rig_all, net_rig_gateway, ROUTER, "ff02::1", 254, a.m, a.len);
    net_rig_in(g, &f);
    net_rig_wait(g, 5 * SP_SEC);
    assert_int_equal(addresses(g, got), 0);
    assert_int_equal(net_rig_drops(g, SP_NET_DROP_ND), 5);
    assert_int_equal(reach(g), SP_ERR_NOENT);
    net_rig_free(g);
}

/* RFC 4862 5.5.3 (e): a forged advertisement cannot end an address at once. */
static void rfc4862_two_hours(void **state) {
    struct net_rig *g = start();
    struct sp_addr got[SP_NET_ADDRESSES];
    struct ra a = advert(9000), zero = advert(9000);
    add_prefix(&a, "2001:db8:1::", 64, 0xc0, 86400, 43200);
    add_prefix(&zero, "2001:db8:1::", 64, 0xc0, 1, 0);
    hear_from(g, ROUTER, a);
    net_rig_wait(g, 5 * SP_SEC);
    hear_from(g, ROUTER, zero);
    net_rig_wait(g, 7199 * SP_SEC);
    assert_int_equal(addresses(g, got), 1);
    uint32_t generation = sp_net_generation(g->net);
    net_rig_wait(g, 2 * SP_SEC);
    assert_int_equal(addresses(g, got), 0);
    assert_int_not_equal(sp_net_generation(g->net), generation);
    net_rig_free(g);
}

static void routers_expire_and_fail(void **state) {
    struct net_rig *g = start();
    struct ra a = advert(1800), gone = advert(0), second = advert(1800);
    add_prefix(&a, "2001:db8:1::", 64, 0xc0, 86400, 43200);
    add_mac(&a, net_rig_gateway);
    add_mac(&second, net_rig_peer);
    hear_from(g, ROUTER, a);
    net_rig_wait(g, 5 * SP_SEC);
    assert_int_equal(reach(g), SP_OK);
    hear_from(g, ROUTER, gone);
    assert_int_equal(reach(g), SP_ERR_NOENT);
    hear_from(g, ROUTER, a);
    hear_from(g, ROUTER2, second);
    assert_int_equal(reach(g), SP_OK);
    assert_memory_equal(g->sent[0].data, net_rig_gateway, 6);
    net_rig_wait(g, 10 * SP_SEC); /* it does not answer: the other one is tried, RFC 4861 6.3.6 */
    assert_int_equal(reach(g), SP_OK);
    assert_memory_equal(g->sent[0].data, net_rig_peer, 6);
    net_rig_wait(g, 1801 * SP_SEC);
    assert_int_equal(reach(g), SP_ERR_NOENT);
    net_rig_free(g);
}

static void mtu_option(void **state) {
    struct net_rig *g = start();
    struct ra a = advert(1800);
    add_prefix(&a, "2001:db8:1::", 64, 0xc0, 86400, 43200);
    add_mac(&a, net_rig_gateway);
    add_mtu(&a, 1300);
    hear_from(g, ROUTER, a);
    net_rig_wait(g, 2 * SP_SEC);
    static uint8_t data[1260];
    struct sp_out out = {.kind = SP_OUT_DATAGRAM, .dst = net_ip(REMOTE), .data = data, .len = 1252};
    net_rig_forget(g);
    assert_int_equal(net_rig_send(g, &out), SP_OK);
    assert_int_equal(g->count, 1);
    out.len++;
    assert_int_equal(net_rig_send(g, &out), SP_OK);
    assert_int_equal(g->count, 3);
    struct ra low = advert(1800);
    add_mtu(&low, 1279);
    hear_from(g, ROUTER, low);
    out.len--;
    net_rig_forget(g);
    assert_int_equal(net_rig_send(g, &out), SP_OK);
    assert_int_equal(g->count, 1);
    net_rig_free(g);
}

/* Many prefixes and routers, all of them made up. */
static void floods_are_bounded(void **state) {
    struct net_rig *g = start();
    struct sp_addr got[SP_NET_ADDRESSES];
    size_t used = g->mem.used;
    for (unsigned i = 0; i < 500; i++) {
        struct ra a = advert(1800);
        add_prefix(&a, "2001:db8:1::", 64, 0xc0, 86400, 43200);
        a.m[16 + 16 + 6] = (uint8_t)(i >> 8);
        a.m[16 + 16 + 7] = (uint8_t)i;
        hear_from(g, ROUTER, a);
        net_rig_forget(g);
    }
    net_rig_wait(g, 5 * SP_SEC);
    assert_true(addresses(g, got) <= SP_NET_ADDRESSES);
    assert_true(g->mem.used <= used + 2048);
    net_rig_free(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc4861_routers_are_asked_for),
        cmocka_unit_test(an_advertisement_gives_address_and_router),
        cmocka_unit_test(rfc7217_stable_addresses),
        cmocka_unit_test(duplicates_are_replaced),
        cmocka_unit_test(bad_prefixes),
        cmocka_unit_test(bad_advertisements),
        cmocka_unit_test(rfc4862_two_hours),
        cmocka_unit_test(routers_expire_and_fail),
        cmocka_unit_test(mtu_option),
        cmocka_unit_test(floods_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
