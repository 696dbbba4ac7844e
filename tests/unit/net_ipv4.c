#include "tests/unit/cm.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/net_rig.h"

#define US     "192.0.2.1"
#define PEER   "192.0.2.9"
#define REMOTE "198.51.100.7"

static struct net_rig *start(void) {
    struct net_rig *g = net_rig_new();
    g->config.ports[0] = 53;
    g->config.port_count = 1;
    net_rig_start(g);
    struct net_frame peer = net_arp(1, net_rig_peer, PEER, NULL, US),
                     gateway = net_arp(1, net_rig_gateway, "192.0.2.254", NULL, US);
    net_rig_in(g, &peer);
    net_rig_in(g, &gateway);
    net_rig_forget(g);
    return g;
}

static struct net_frame query(const char *src) {
    return net_udp(net_rig_mac, net_rig_peer, src, 4000, US, 53, "query", 5);
}

static void datagrams_come_and_go(void **state) {
    struct net_rig *g = start();
    struct net_frame f = query(REMOTE);
    f.data[15] = 3; /* ECN: congestion */
    net_fix4(&f);
    assert_true(net_rig_in(g, &f));
    assert_int_equal(g->in.kind, SP_IN_DATAGRAM);
    assert_int_equal(g->in.len, 5);
    assert_memory_equal(g->in.data, "query", 5);
    assert_int_equal(g->in.src.port, 4000);
    assert_int_equal(g->in.dst.port, 53);
    assert_int_equal(g->in.ecn, 3);
    assert_memory_equal(g->in.src.ip, net_ip(REMOTE).ip, 16);
    assert_memory_equal(g->in.dst.ip, net_ip(US).ip, 16);
    struct sp_out out = {.kind = SP_OUT_DATAGRAM,
                         .src = g->in.dst,
                         .dst = g->in.src,
                         .data = (const uint8_t *)"answer",
                         .len = 6,
                         .ecn = 2};
    assert_int_equal(net_rig_send(g, &out), SP_OK);
    const struct net_frame *s = net_rig_sent(g, NET_IP4, 17, 0);
    assert_memory_equal(s->data, net_rig_gateway, 6);
    assert_int_equal(s->len, 14 + 20 + 8 + 6);
    assert_int_equal(s->data[15], 2);
    assert_int_equal(s->data[20] & 0x40, 0); /* no DF */
    assert_memory_equal(s->data + 26, net_ip(US).ip, 4);
    assert_memory_equal(s->data + 30, net_ip(REMOTE).ip, 4);
    assert_int_equal(s->data[34] << 8 | s->data[35], 53);
    assert_int_equal(s->data[36] << 8 | s->data[37], 4000);
    assert_int_equal(net_transport_sum(s), 0xffff);
    struct net_frame again = *s;
    net_fix4(&again);
    assert_memory_equal(again.data, s->data, s->len); /* the header's checksum */
    net_rig_free(g);
}

/* Each is dropped, for its reason. */
static void bad_headers(void **state) {
    static const struct {
        size_t at;
        uint8_t value;
        enum sp_net_drop why;
    } bad[] = {{0, 0xff, SP_NET_DROP_COUNT},   {5, 7, SP_NET_DROP_MAC},        {6, 3, SP_NET_DROP_MAC},
               {12, 9, SP_NET_DROP_ETHER},     {14, 0x65, SP_NET_DROP_HEADER}, {14, 0x44, SP_NET_DROP_HEADER},
               {14, 0x4f, SP_NET_DROP_HEADER}, {17, 200, SP_NET_DROP_HEADER},  {17, 19, SP_NET_DROP_HEADER},
               {23, 6, SP_NET_DROP_TCP},       {23, 99, SP_NET_DROP_PROTO},    {26, 127, SP_NET_DROP_MARTIAN},
               {26, 0, SP_NET_DROP_MARTIAN},   {26, 224, SP_NET_DROP_MARTIAN}, {26, 255, SP_NET_DROP_MARTIAN},
               {33, 2, SP_NET_DROP_OTHER},     {33, 255, SP_NET_DROP_GROUP},   {30, 224, SP_NET_DROP_GROUP},
               {42, 'Q', SP_NET_DROP_CSUM},    {36, 1, SP_NET_DROP_PORT},      {39, 14, SP_NET_DROP_UDP},
               {39, 7, SP_NET_DROP_UDP}};
    struct net_rig *g = start();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        enum sp_net_drop why = bad[i].why != SP_NET_DROP_COUNT ? bad[i].why : SP_NET_DROP_MARTIAN;
        uint64_t before = net_rig_drops(g, why);
        struct net_frame f = query(REMOTE);
        if (why == SP_NET_DROP_PORT)
            f = net_udp(net_rig_mac, net_rig_peer, REMOTE, 4000, US, 54, "query", 5);
        else
            f.data[bad[i].at] = bad[i].value;
        if (bad[i].at > 14)
            net_fix4(&f);
        assert_false(net_rig_in(g, &f));
        if (net_rig_drops(g, why) != before + 1)
            fail_msg("byte %zu as %u is not dropped as %s", bad[i].at, bad[i].value, sp_net_drop_name(why));
    }
    struct net_frame f = query(REMOTE);
    f.data[24] ^= 1; /* the header's checksum */
    assert_false(net_rig_in(g, &f));
    net_rig_free(g);
}

static void own_and_broadcast_sources_are_martians(void **state) {
    static const char *const bad[] = {US, "192.0.2.255", "192.0.2.0", "255.255.255.255", "240.0.0.1"};
    struct net_rig *g = start();
    for (size_t i = 0; i < 5; i++) {
        struct net_frame f = query(bad[i]);
        assert_false(net_rig_in(g, &f));
        assert_int_equal(net_rig_drops(g, SP_NET_DROP_MARTIAN), i + 1);
    }
    net_rig_free(g);
}

static void every_shorter_frame_is_dropped(void **state) {
    struct net_rig *g = start();
    struct net_frame f = query(REMOTE);
    for (size_t len = f.len; len-- > 0;) {
        struct net_frame cut = f;
        cut.len = len;
        assert_false(net_rig_in(g, &cut));
    }
    f.len += 11; /* padding does not count */
    assert_true(net_rig_in(g, &f));
    assert_int_equal(g->in.len, 5);
    net_rig_free(g);
}

static void rfc768_zero_checksum(void **state) {
    struct net_rig *g = start();
    struct net_frame f = query(REMOTE);
    f.data[40] = f.data[41] = 0;
    assert_true(net_rig_in(g, &f));
    f.data[41] = 1;
    assert_false(net_rig_in(g, &f));
    /* A device that has checked it is believed. */
    struct sp_in in;
    assert_true(sp_net_input(g->net, g->now, f.data, f.len, SP_NET_CSUM_GOOD, &in));
    net_rig_free(g);
}

static struct net_frame with_options(const uint8_t options[8]) {
    struct net_frame f = query(REMOTE);
    memmove(f.data + 42, f.data + 34, f.len - 34);
    memcpy(f.data + 34, options, 8);
    f.len += 8;
    f.data[14] = 0x47;
    f.data[17] += 8;
    net_fix4(&f);
    return f;
}

static void options(void **state) {
    struct net_rig *g = start();
    struct net_frame f = with_options((uint8_t[]){7, 7, 4, 0, 0, 0, 0, 0}); /* record route */
    assert_true(net_rig_in(g, &f));
    assert_memory_equal(g->in.data, "query", 5);
    f = with_options((uint8_t[]){1, 0x83, 7, 4, 192, 0, 2, 2}); /* loose source route */
    assert_false(net_rig_in(g, &f));
    f = with_options((uint8_t[]){7, 9, 4, 0, 0, 0, 0, 0}); /* longer than the header */
    assert_false(net_rig_in(g, &f));
    f = with_options((uint8_t[]){7, 0, 4, 0, 0, 0, 0, 0});
    assert_false(net_rig_in(g, &f));
    assert_int_equal(net_rig_drops(g, SP_NET_DROP_OPTION), 3);
    net_rig_free(g);
}

/* ---- ICMP ---- */

static void rfc792_echo(void **state) {
    struct net_rig *g = start();
    uint8_t ping[8 + 33] = {8, 0, 0, 0, 0x12, 0x34, 0, 1, 'd', 'a', 't', 'a'};
    struct net_frame f = net_icmp(net_rig_mac, net_rig_peer, PEER, US, 1, ping, sizeof ping);
    net_rig_in(g, &f);
    const struct net_frame *s = net_rig_sent(g, NET_IP4, 1, 0);
    assert_non_null(s);
    assert_int_equal(s->len, 14 + 20 + sizeof ping);
    assert_int_equal(s->data[34], 0);
    assert_memory_equal(s->data + 38, ping + 4, sizeof ping - 4);
    assert_int_equal(net_transport_sum(s), 0xffff);
    ping[3] ^= 1; /* its checksum */
    f = net_packet(net_rig_mac, net_rig_peer, PEER, US, 1, 64, ping, sizeof ping);
    net_rig_in(g, &f);
    f = net_icmp(net_rig_all, net_rig_peer, PEER, "192.0.2.255", 64, ping, sizeof ping); /* RFC 1122 3.2.2.6 */
    net_rig_in(g, &f);
    assert_int_equal(g->count, 1);
    assert_int_equal(net_rig_drops(g, SP_NET_DROP_CSUM), 1);
    net_rig_free(g);
}

static void unreachable_ports_are_said_not_too_often(void **state) {
    struct net_rig *g = start();
    struct net_frame f = net_udp(net_rig_mac, net_rig_peer, PEER, 4000, US, 99, "query", 5);
    net_rig_in(g, &f);
    const struct net_frame *s = net_rig_icmp(g, 4, 3, 0);
    assert_non_null(s);
    assert_int_equal(s->data[35], 3);
    assert_memory_equal(s->data + 42, f.data + 14, f.len - 14);
    assert_int_equal(net_transport_sum(s), 0xffff);
    for (unsigned i = 0; i < 50; i++)
        net_rig_in(g, &f);
    assert_int_equal(sp_net_counts(g->net)->errors_sent, 10);
    net_rig_wait(g, 200 * SP_MS);
    for (unsigned i = 0; i < 50; i++)
        net_rig_in(g, &f);
    assert_int_equal(sp_net_counts(g->net)->errors_sent, 12);
    assert_int_equal(net_rig_drops(g, SP_NET_DROP_RATE), 101 - 12);
    net_rig_free(g);
}

/* TCP too, which there is not: a client learns it at once. */
static void rfc1122_protocols_that_are_not_spoken_are_said(void **state) {
    static const struct {
        uint8_t proto;
        enum sp_net_drop why;
    } none[] = {{6, SP_NET_DROP_TCP}, {99, SP_NET_DROP_PROTO}};
    struct net_rig *g = start();
    for (size_t i = 0; i < 2; i++) {
        uint8_t segment[20] = {0x0f, 0xa0, 0, 53, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2};
        struct net_frame f =
            net_packet(net_rig_mac, net_rig_peer, PEER, US, none[i].proto, 64, segment, sizeof segment);
        assert_false(net_rig_in(g, &f));
        const struct net_frame *s = net_rig_icmp(g, 4, 3, i);
        assert_non_null(s);
        assert_int_equal(s->data[35], 2);
        assert_memory_equal(s->data + 42, f.data + 14, f.len - 14);
        assert_int_equal(net_rig_drops(g, none[i].why), 1);
    }
    net_rig_free(g);
}

static void path_mtu_messages_are_not_believed(void **state) {
    struct net_rig *g = start();
    uint8_t message[8 + 28] = {3, 4, 0, 0, 0, 0, 0, 68};
    struct net_frame f = net_icmp(net_rig_mac, net_rig_peer, PEER, US, 64, message, sizeof message);
    net_rig_in(g, &f);
    assert_int_equal(net_rig_drops(g, SP_NET_DROP_PMTU), 1);
    static uint8_t data[1400];
    struct sp_out out = {
        .kind = SP_OUT_DATAGRAM, .src = net_ip(US), .dst = net_ip(REMOTE), .data = data, .len = sizeof data};
    assert_int_equal(net_rig_send(g, &out), SP_OK);
    assert_int_equal(g->count, 1);
    net_rig_free(g);
}

/* ---- fragments ---- */

struct pieces {
    uint8_t data[4096];
    size_t len;
    struct net_frame f[4]; /* of 1024 bytes each, the last one shorter */
};

static void cut(struct pieces *p, uint16_t id) {
    static uint8_t data[3500];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7 + i / 256);
    p->len = net_udp_payload(p->data, REMOTE, 4000, US, 53, data, sizeof data);
    for (size_t i = 0; i < 4; i++) {
        size_t at = i * 1024, n = p->len - at < 1024 ? p->len - at : 1024;
        p->f[i] = net_fragment4(REMOTE, US, 17, id, at, i < 3, p->data + at, n);
    }
}

static void fragments_in_any_order(void **state) {
    static struct pieces p;
    struct net_rig *g = start();
    cut(&p, 1);
    for (unsigned order = 0; order < 256; order++) {
        unsigned a = order & 3, b = order >> 2 & 3, c = order >> 4 & 3, d = order >> 6;
        if ((1u << a | 1u << b | 1u << c | 1u << d) != 15)
            continue;
        assert_false(net_rig_in(g, &p.f[a]));
        assert_false(net_rig_in(g, &p.f[b]));
        assert_false(net_rig_in(g, &p.f[c]));
        assert_true(net_rig_in(g, &p.f[d]));
        assert_int_equal(g->in.len, p.len - 8);
        assert_memory_equal(g->in.data, p.data + 8, p.len - 8);
    }
    assert_int_equal(sp_net_counts(g->net)->reassembled, 24);
    net_rig_free(g);
}

static void a_fragment_twice(void **state) {
    static struct pieces p;
    struct net_rig *g = start();
    cut(&p, 1);
    for (size_t i = 0; i < 3; i++) {
        assert_false(net_rig_in(g, &p.f[i]));
        assert_false(net_rig_in(g, &p.f[i]));
    }
    assert_true(net_rig_in(g, &p.f[3]));
    net_rig_free(g);
}

/* RFC 5722, here for IPv4 too: an overlap ends the packet, with what comes later. */
static void overlaps_kill(void **state) {
    static struct pieces p;
    struct net_rig *g = start();
    cut(&p, 1);
    struct net_frame evil[] = {
        net_fragment4(REMOTE, US, 17, 1, 512, true, p.data + 512, 1024),   /* over two */
        net_fragment4(REMOTE, US, 17, 1, 0, true, p.data + 8, 1024),       /* the same place, other bytes */
        net_fragment4(REMOTE, US, 17, 1, 1024, false, p.data + 1024, 500), /* an end before the end */
        net_fragment4(REMOTE, US, 17, 1, 4096, true, p.data, 8)};          /* beyond the end */
    for (size_t e = 0; e < 4; e++) {
        net_rig_wait(g, 61 * SP_SEC);
        assert_false(net_rig_in(g, &p.f[0]));
        assert_false(net_rig_in(g, &p.f[3]));
        assert_false(net_rig_in(g, &evil[e]));
        for (size_t i = 0; i < 4; i++)
            assert_false(net_rig_in(g, &p.f[i]));
    }
    assert_true(net_rig_drops(g, SP_NET_DROP_OVERLAP) >= 4);
    net_rig_wait(g, 61 * SP_SEC);
    for (size_t i = 0; i < 3; i++)
        assert_false(net_rig_in(g, &p.f[i]));
    assert_true(net_rig_in(g, &p.f[3]));
    net_rig_free(g);
}

static void reassembly_ends_in_time(void **state) {
    static struct pieces p;
    struct net_rig *g = start();
    net_rig_wait(g, 10 * SP_SEC);
    cut(&p, 1);
    for (size_t i = 0; i < 3; i++)
        assert_false(net_rig_in(g, &p.f[i]));
    net_rig_wait(g, 61 * SP_SEC);
    assert_int_equal(net_rig_drops(g, SP_NET_DROP_TIMEOUT), 1);
    assert_false(net_rig_in(g, &p.f[3]));
    net_rig_wait(g, 61 * SP_SEC);
    assert_true(sp_net_deadline(g->net) == SP_NEVER);
    net_rig_free(g);
}

static void a_flood_of_fragments_is_bounded(void **state) {
    static struct pieces p;
    struct net_rig *g = start();
    size_t used = g->mem.used;
    for (uint16_t id = 100; id < 400; id++) {
        struct net_frame f = net_fragment4(REMOTE, US, 17, id, 8, true, "12345678", 8);
        assert_false(net_rig_in(g, &f));
    }
    assert_int_equal(g->mem.used, used);
    assert_int_equal(net_rig_drops(g, SP_NET_DROP_REASSEMBLY), 300 - 8);
    cut(&p, 1);
    for (size_t i = 0; i < 3; i++)
        assert_false(net_rig_in(g, &p.f[i]));
    assert_true(net_rig_in(g, &p.f[3]));
    struct net_frame f = net_fragment4(REMOTE, US, 17, 7, 0, true, p.data, 1001),
                     far = net_fragment4(REMOTE, US, 17, 7, 65528, false, p.data, 8);
    assert_false(net_rig_in(g, &f));
    assert_false(net_rig_in(g, &far));
    assert_int_equal(net_rig_drops(g, SP_NET_DROP_FRAGMENT), 2);
    net_rig_free(g);
}

/* What we send in fragments comes together again. */
static void large_answers_go_in_fragments(void **state) {
    struct net_rig *g = start();
    static uint8_t data[4000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 5 + i / 256);
    struct sp_out out = {
        .kind = SP_OUT_DATAGRAM, .src = net_ip(US), .dst = net_ip(PEER), .data = data, .len = sizeof data};
    out.src.port = 53;
    out.dst.port = 53;
    assert_int_equal(net_rig_send(g, &out), SP_OK);
    assert_int_equal(g->count, 3);
    struct net_rig *h = net_rig_new();
    h->config.statics[0].addr = net_ip(PEER);
    memcpy(h->config.mac, net_rig_peer, 6);
    net_rig_start(h);
    assert_false(net_rig_in(h, &g->sent[2]));
    assert_false(net_rig_in(h, &g->sent[0]));
    assert_true(net_rig_in(h, &g->sent[1]));
    assert_int_equal(h->in.len, sizeof data);
    assert_memory_equal(h->in.data, data, sizeof data);
    net_rig_free(h);
    net_rig_free(g);
}

static void segments_go_one_after_the_other(void **state) {
    struct net_rig *g = start();
    static uint8_t data[2500];
    struct sp_out out = {.kind = SP_OUT_DATAGRAM,
                         .src = net_ip(US),
                         .dst = net_ip(PEER),
                         .data = data,
                         .len = sizeof data,
                         .segment = 1000};
    assert_int_equal(net_rig_send(g, &out), SP_OK);
    assert_int_equal(g->count, 3);
    assert_int_equal(g->sent[0].len, 42 + 1000);
    assert_int_equal(g->sent[2].len, 42 + 500);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(net_transport_sum(&g->sent[i]), 0xffff);
    net_rig_forget(g);
    out.dst = net_ip("192.0.2.77"); /* nobody known: they wait, all of them */
    assert_int_equal(net_rig_send(g, &out), SP_ERR_AGAIN);
    struct net_frame f = net_arp(2, net_rig_peer, "192.0.2.77", net_rig_mac, US);
    net_rig_in(g, &f);
    assert_non_null(net_rig_sent(g, NET_IP4, 17, 2));
    net_rig_free(g);
}

static void what_cannot_be_sent(void **state) {
    struct net_rig *g = start();
    static uint8_t data[65535];
    struct sp_out out = {.kind = SP_OUT_DATAGRAM, .dst = net_ip(PEER), .data = data, .len = 1};
    assert_int_equal(net_rig_send(g, &out), SP_OK); /* from the address that we have */
    assert_memory_equal(g->sent[0].data + 26, net_ip(US).ip, 4);
    out.src = net_ip("192.0.2.2");
    assert_int_equal(net_rig_send(g, &out), SP_ERR_NOENT);
    assert_int_equal(net_rig_drops(g, SP_NET_DROP_SOURCE), 1);
    out.src = net_ip(US);
    out.len = sizeof data;
    assert_int_equal(net_rig_send(g, &out), SP_ERR_RANGE);
    out.len = 1;
    static const char *const nowhere[] = {"192.0.2.255", "224.0.0.1", "255.255.255.255"};
    for (size_t i = 0; i < 3; i++) {
        out.dst = net_ip(nowhere[i]);
        assert_int_equal(net_rig_send(g, &out), SP_ERR_NOENT);
    }
    assert_int_equal(net_rig_drops(g, SP_NET_DROP_ROUTE), 3);
    struct sp_net_cursor c = {0};
    size_t len;
    out.dst = net_ip(PEER);
    assert_int_equal(sp_net_send(g->net, g->now, &out, &c, data, 42, &len), SP_ERR_SPACE);
    net_rig_free(g);
}

static void the_link_goes_and_comes(void **state) {
    struct net_rig *g = start();
    struct sp_addr addr;
    uint32_t generation = sp_net_generation(g->net);
    struct net_frame f = query(PEER);
    sp_net_link(g->net, g->now, false);
    assert_int_not_equal(sp_net_generation(g->net), generation);
    assert_int_equal(sp_net_addresses(g->net, &addr, 1), 0);
    assert_true(sp_net_deadline(g->net) == SP_NEVER);
    assert_false(net_rig_in(g, &f));
    assert_int_equal(net_rig_drops(g, SP_NET_DROP_LINK), 1);
    struct sp_out out = {
        .kind = SP_OUT_DATAGRAM, .src = net_ip(US), .dst = net_ip(PEER), .data = (const uint8_t *)"x", .len = 1};
    assert_int_equal(net_rig_send(g, &out), SP_ERR_NOENT);
    sp_net_link(g->net, g->now, true);
    assert_int_equal(sp_net_addresses(g->net, &addr, 1), 1);
    assert_true(net_rig_in(g, &f));
    assert_int_equal(net_rig_send(g, &out), SP_ERR_AGAIN); /* neighbours are asked for anew */
    net_rig_free(g);
}

static void configurations(void **state) {
    struct net_rig *g = net_rig_new();
    struct sp_net_config good = g->config, bad = good;
    bad.mtu = 1279;
    assert_int_equal(sp_net_new(&g->net, &bad), SP_ERR_RANGE);
    bad = good;
    bad.mac[0] = 1;
    assert_int_equal(sp_net_new(&g->net, &bad), SP_ERR_RANGE);
    bad = good;
    bad.statics[0].bits = 33;
    assert_int_equal(sp_net_new(&g->net, &bad), SP_ERR_RANGE);
    bad = good;
    bad.statics[0].gateway = net_ip("fe80::1");
    assert_int_equal(sp_net_new(&g->net, &bad), SP_ERR_RANGE);
    bad = good;
    bad.frames = 65535;
    bad.mtu = SP_NET_MTU_MAX;
    assert_int_equal(sp_net_new(&g->net, &bad), SP_ERR_FULL);
    assert_int_equal(sp_net_new(&g->net, &good), SP_OK);
    net_rig_free(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(datagrams_come_and_go),
        cmocka_unit_test(bad_headers),
        cmocka_unit_test(own_and_broadcast_sources_are_martians),
        cmocka_unit_test(every_shorter_frame_is_dropped),
        cmocka_unit_test(rfc768_zero_checksum),
        cmocka_unit_test(options),
        cmocka_unit_test(rfc792_echo),
        cmocka_unit_test(unreachable_ports_are_said_not_too_often),
        cmocka_unit_test(rfc1122_protocols_that_are_not_spoken_are_said),
        cmocka_unit_test(path_mtu_messages_are_not_believed),
        cmocka_unit_test(fragments_in_any_order),
        cmocka_unit_test(a_fragment_twice),
        cmocka_unit_test(overlaps_kill),
        cmocka_unit_test(reassembly_ends_in_time),
        cmocka_unit_test(a_flood_of_fragments_is_bounded),
        cmocka_unit_test(large_answers_go_in_fragments),
        cmocka_unit_test(segments_go_one_after_the_other),
        cmocka_unit_test(what_cannot_be_sent),
        cmocka_unit_test(the_link_goes_and_comes),
        cmocka_unit_test(configurations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
