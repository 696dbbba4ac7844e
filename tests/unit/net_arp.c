#include "tests/unit/cm.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/net_rig.h"

static struct net_rig *start(void) {
    struct net_rig *g = net_rig_new();
    net_rig_start(g);
    return g;
}

static struct sp_out datagram(const char *dst, const char *text) {
    struct sp_out out = {.kind = SP_OUT_DATAGRAM,
                         .src = net_ip("192.0.2.1"),
                         .dst = net_ip(dst),
                         .data = (const uint8_t *)text,
                         .len = strlen(text)};
    out.src.port = 53;
    out.dst.port = 4000;
    return out;
}

/* The i-th ARP frame sent is this one. */
static void assert_arp(const struct net_rig *g, size_t i, unsigned op, const uint8_t *dmac, const char *sender,
                       const char *target) {
    const struct net_frame *f = net_rig_sent(g, NET_ARP, 0, i);
    assert_non_null(f);
    assert_int_equal(f->data[21], op);
    assert_memory_equal(f->data, dmac, 6);
    assert_memory_equal(f->data + 6, net_rig_mac, 6);
    assert_memory_equal(f->data + 22, net_rig_mac, 6);
    assert_memory_equal(f->data + 28, net_ip(sender).ip, 4);
    assert_memory_equal(f->data + 38, net_ip(target).ip, 4);
}

static void request_is_answered(void **state) {
    struct net_rig *g = start();
    net_rig_forget(g);
    struct net_frame f = net_arp(1, net_rig_peer, "192.0.2.9", NULL, "192.0.2.1");
    net_rig_in(g, &f);
    assert_arp(g, 0, 2, net_rig_peer, "192.0.2.1", "192.0.2.9");
    f = net_arp(1, net_rig_peer, "192.0.2.9", NULL, "192.0.2.2");
    net_rig_in(g, &f);
    assert_int_equal(g->count, 1);
    net_rig_free(g);
}

static void malformed_is_dropped(void **state) {
    static const struct {
        size_t at;
        uint8_t value;
    } bad[] = {{14 + 1, 6}, {14 + 2, 9}, {14 + 4, 8}, {14 + 5, 16}, {14 + 7, 3}, {14 + 8, 1}};
    struct net_rig *g = start();
    net_rig_forget(g);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct net_frame f = net_arp(1, net_rig_peer, "192.0.2.9", NULL, "192.0.2.1");
        f.data[bad[i].at] = bad[i].value;
        net_rig_in(g, &f);
    }
    struct net_frame f = net_arp(1, net_rig_peer, "192.0.2.9", NULL, "192.0.2.1");
    f.len = 14 + 27;
    net_rig_in(g, &f);
    assert_int_equal(g->count, 0);
    assert_int_equal(net_rig_drops(g, SP_NET_DROP_ARP), 7);
    net_rig_free(g);
}

/* RFC 5227 2.3: twice, two seconds apart; then nothing more wakes us. */
static void rfc5227_announcements(void **state) {
    struct net_rig *g = start();
    assert_arp(g, 0, 1, net_rig_all, "192.0.2.1", "192.0.2.1");
    assert_int_equal(g->count, 1);
    net_rig_wait(g, 2 * SP_SEC);
    assert_arp(g, 1, 1, net_rig_all, "192.0.2.1", "192.0.2.1");
    net_rig_wait(g, 60 * SP_SEC);
    assert_int_equal(g->count, 2);
    assert_true(sp_net_deadline(g->net) == SP_NEVER);
    net_rig_free(g);
}

static void rfc5227_probes(void **state) {
    struct net_rig *g = net_rig_new();
    struct sp_addr addr;
    g->config.probe_statics = true;
    net_rig_start(g);
    assert_int_equal(sp_net_addresses(g->net, &addr, 1), 0);
    net_rig_wait(g, 5 * SP_SEC);
    for (size_t i = 0; i < 3; i++)
        assert_arp(g, i, 1, net_rig_all, "0.0.0.0", "192.0.2.1");
    assert_arp(g, 3, 1, net_rig_all, "192.0.2.1", "192.0.2.1");
    assert_int_equal(sp_net_addresses(g->net, &addr, 1), 1);
    net_rig_free(g);
}

/* RFC 5227 2.1.1: somebody has it, or wants it too. */
static void rfc5227_probe_conflict(void **state) {
    for (unsigned probe = 0; probe < 2; probe++) {
        struct net_rig *g = net_rig_new();
        struct sp_addr addr;
        g->config.probe_statics = true;
        net_rig_start(g);
        struct net_frame f = probe ? net_arp(1, net_rig_peer, "0.0.0.0", NULL, "192.0.2.1")
                                   : net_arp(2, net_rig_peer, "192.0.2.1", net_rig_mac, "0.0.0.0");
        net_rig_in(g, &f);
        net_rig_wait(g, 60 * SP_SEC);
        assert_int_equal(sp_net_addresses(g->net, &addr, 1), 0);
        assert_int_equal(sp_net_counts(g->net)->conflicts, 1);
        assert_int_equal(sp_net_duplicates(g->net, &addr, 1), 1);
        net_rig_free(g);
    }
}

static void rfc5227_defence(void **state) {
    struct net_rig *g = start();
    net_rig_wait(g, 60 * SP_SEC);
    net_rig_forget(g);
    struct net_frame f = net_arp(1, net_rig_peer, "192.0.2.1", NULL, "192.0.2.1");
    net_rig_in(g, &f);
    assert_arp(g, 0, 1, net_rig_all, "192.0.2.1", "192.0.2.1");
    net_rig_in(g, &f);
    assert_int_equal(g->count, 1); /* not again within ten seconds */
    net_rig_wait(g, 11 * SP_SEC);
    net_rig_in(g, &f);
    assert_int_equal(g->count, 2);
    assert_int_equal(sp_net_counts(g->net)->conflicts, 3);
    net_rig_free(g);
}

/* A datagram waits until its neighbour answers. */
static void what_waits_goes_out(void **state) {
    struct net_rig *g = start();
    net_rig_forget(g);
    struct sp_out out = datagram("192.0.2.9", "hello");
    assert_int_equal(net_rig_send(g, &out), SP_ERR_AGAIN);
    assert_arp(g, 0, 1, net_rig_all, "192.0.2.1", "192.0.2.9");
    assert_int_equal(g->count, 1);
    struct net_frame f = net_arp(2, net_rig_peer, "192.0.2.9", net_rig_mac, "192.0.2.1");
    net_rig_in(g, &f);
    const struct net_frame *sent = net_rig_sent(g, NET_IP4, 17, 0);
    assert_non_null(sent);
    assert_memory_equal(sent->data, net_rig_peer, 6);
    assert_int_equal(sent->len, 14 + 20 + 8 + 5);
    assert_int_equal(net_transport_sum(sent), 0xffff);
    assert_memory_equal(sent->data + 42, "hello", 5);
    assert_int_equal(net_rig_send(g, &out), SP_OK); /* the next one goes at once */
    net_rig_free(g);
}

static void silent_neighbours_are_given_up(void **state) {
    struct net_rig *g = start();
    net_rig_wait(g, 10 * SP_SEC);
    net_rig_forget(g);
    struct sp_out out = datagram("192.0.2.9", "hello");
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(net_rig_send(g, &out), SP_ERR_AGAIN);
    assert_int_equal(net_rig_drops(g, SP_NET_DROP_WAITING), 2);
    net_rig_wait(g, 10 * SP_SEC);
    assert_int_equal(g->count, 3); /* requests */
    assert_int_equal(net_rig_drops(g, SP_NET_DROP_UNREACHABLE), 8);
    assert_true(sp_net_deadline(g->net) == SP_NEVER);
    net_rig_free(g);
}

static void learn(struct net_rig *g, const uint8_t *mac, const char *ip) {
    struct net_frame f = net_arp(1, mac, ip, NULL, "192.0.2.1");
    net_rig_in(g, &f);
    net_rig_forget(g);
}

static void assert_goes_to(struct net_rig *g, const char *dst, const uint8_t *mac) {
    struct sp_out out = datagram(dst, "x");
    net_rig_forget(g);
    assert_int_equal(net_rig_send(g, &out), SP_OK);
    assert_memory_equal(net_rig_sent(g, NET_IP4, 17, 0)->data, mac, 6);
}

/* RFC 826: a known neighbour's new MAC is taken from what is heard, also a gateway's. */
static void a_gateway_moves(void **state) {
    static const uint8_t other[6] = {2, 0, 0, 0, 7, 7};
    struct net_rig *g = start();
    learn(g, net_rig_gateway, "192.0.2.254");
    assert_goes_to(g, "198.51.100.7", net_rig_gateway);
    struct net_frame f = net_arp(1, other, "192.0.2.254", NULL, "192.0.2.254"); /* an announcement */
    net_rig_in(g, &f);
    assert_goes_to(g, "198.51.100.7", other);
    f = net_arp(2, net_rig_gateway, "192.0.2.254", net_rig_mac, "192.0.2.1");
    net_rig_in(g, &f);
    assert_goes_to(g, "198.51.100.7", net_rig_gateway);
    /* Nobody is learnt who neither asks for us nor is known. */
    f = net_arp(1, other, "192.0.2.77", NULL, "192.0.2.77");
    net_rig_in(g, &f);
    struct sp_out out = datagram("192.0.2.77", "x");
    assert_int_equal(net_rig_send(g, &out), SP_ERR_AGAIN);
    net_rig_free(g);
}

/* RFC 1122 2.3.2.1: what is used is looked at again, by a request to itself, then by giving it up. */
static void used_neighbours_are_probed(void **state) {
    struct net_rig *g = start();
    learn(g, net_rig_peer, "192.0.2.9");
    net_rig_wait(g, 10 * SP_SEC);
    assert_goes_to(g, "192.0.2.9", net_rig_peer);
    net_rig_forget(g);
    net_rig_wait(g, 5 * SP_SEC);
    assert_arp(g, 0, 1, net_rig_peer, "192.0.2.1", "192.0.2.9");
    struct net_frame f = net_arp(2, net_rig_peer, "192.0.2.9", net_rig_mac, "192.0.2.1");
    net_rig_in(g, &f);
    assert_true(sp_net_deadline(g->net) == SP_NEVER);
    net_rig_wait(g, 46 * SP_SEC); /* longer than anything counts as reachable */
    assert_goes_to(g, "192.0.2.9", net_rig_peer);
    net_rig_wait(g, 8 * SP_SEC);
    struct sp_out out = datagram("192.0.2.9", "x");
    assert_int_equal(net_rig_send(g, &out), SP_ERR_AGAIN);
    net_rig_free(g);
}

/* A thousand strangers push out one another, not the gateway. */
static void floods_are_bounded(void **state) {
    struct net_rig *g = net_rig_new();
    g->config.statics[0].bits = 16;
    g->config.neighbours = 32;
    net_rig_start(g);
    learn(g, net_rig_gateway, "192.0.2.254");
    size_t used = g->mem.used;
    for (unsigned i = 0; i < 1000; i++) {
        char ip[32];
        snprintf(ip, sizeof ip, "192.0.%u.%u", 3 + i / 250, 1 + i % 250);
        struct sp_out out = datagram(ip, "x");
        assert_int_equal(net_rig_send(g, &out), SP_ERR_AGAIN);
        learn(g, net_rig_peer, ip);
    }
    assert_true(g->mem.used < used + 2048);
    assert_goes_to(g, "198.51.100.7", net_rig_gateway);
    net_rig_free(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_is_answered),    cmocka_unit_test(malformed_is_dropped),
        cmocka_unit_test(rfc5227_announcements),  cmocka_unit_test(rfc5227_probes),
        cmocka_unit_test(rfc5227_probe_conflict), cmocka_unit_test(rfc5227_defence),
        cmocka_unit_test(what_waits_goes_out),    cmocka_unit_test(silent_neighbours_are_given_up),
        cmocka_unit_test(a_gateway_moves),        cmocka_unit_test(used_neighbours_are_probed),
        cmocka_unit_test(floods_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
