#include "tests/unit/cm.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/net_rig.h"

#define US     "2001:db8::1"
#define PEER   "2001:db8::9"
#define ROUTER "fe80::fe"
#define REMOTE "2001:db8:ffff::7"
#define NODES  "ff02::1"

static const uint8_t nodes_mac[6] = {0x33, 0x33, 0, 0, 0, 1}, group_mac[6] = {0x33, 0x33, 0xff, 0, 0, 1};

static struct net_rig *rig(bool slaac) {
    struct net_rig *g = net_rig_new();
    g->config.ipv6 = true;
    g->config.slaac = slaac;
    g->config.statics[0] = (struct sp_net_static){net_ip(US), 64, net_ip(ROUTER)};
    g->config.static_count = slaac ? 0 : 1;
    g->config.ports[0] = 53;
    g->config.port_count = 1;
    return g;
}

static struct net_frame neighbour_message(uint8_t type, uint8_t flags, const char *src, const char *dst,
                                          const char *target, const uint8_t *mac) {
    uint8_t m[32] = {type, 0, 0, 0, flags};
    memcpy(m + 8, net_ip(target).ip, 16);
    if (mac != NULL) {
        m[24] = type == 135 ? 1 : 2;
        m[25] = 1;
        memcpy(m + 26, mac, 6);
    }
    return net_icmp(net_ip(dst).ip[0] == 0xff ? group_mac : net_rig_mac, mac != NULL ? mac : net_rig_peer, src, dst,
                    255, m, mac != NULL ? 32 : 24);
}

/* The peer and the router are known, addresses are ready. */
static struct net_rig *start(void) {
    struct net_rig *g = rig(false);
    net_rig_start(g);
    net_rig_wait(g, 3 * SP_SEC);
    struct net_frame f = neighbour_message(135, 0, PEER, US, US, net_rig_peer);
    net_rig_in(g, &f);
    f = neighbour_message(135, 0, ROUTER, US, US, net_rig_gateway);
    net_rig_in(g, &f);
    net_rig_forget(g);
    return g;
}

static bool has_address(const struct net_rig *g, const char *text) {
    struct sp_addr a[SP_NET_ADDRESSES];
    size_t n = sp_net_addresses(g->net, a, SP_NET_ADDRESSES);
    for (size_t i = 0; i < n; i++)
        if (memcmp(a[i].ip, net_ip(text).ip, 16) == 0)
            return true;
    return false;
}

/* ---- duplicate address detection, solicitations ---- */

static void rfc4862_an_address_is_probed_first(void **state) {
    struct net_rig *g = rig(false);
    net_rig_start(g);
    assert_false(has_address(g, US));
    const struct net_frame *s = net_rig_icmp(g, 6, 135, 1); /* the first is for the link-local address */
    assert_non_null(s);
    assert_memory_equal(s->data, group_mac, 6);
    assert_memory_equal(s->data + 22, net_ip("::").ip, 16);
    assert_memory_equal(s->data + 38, net_ip("ff02::1:ff00:1").ip, 16);
    assert_memory_equal(s->data + 62, net_ip(US).ip, 16);
    assert_int_equal(s->data[21], 255);
    assert_int_equal(s->len, 14 + 40 + 24); /* without an option */
    assert_int_equal(net_transport_sum(s), 0xffff);
    struct net_frame f = neighbour_message(135, 0, PEER, "ff02::1:ff00:1", US, net_rig_peer);
    net_rig_in(g, &f);
    assert_null(net_rig_icmp(g, 6, 136, 0)); /* tentative: no answers */
    net_rig_wait(g, 999 * SP_MS);
    assert_false(has_address(g, US));
    net_rig_wait(g, 1 * SP_MS);
    assert_true(has_address(g, US));
    net_rig_wait(g, 60 * SP_SEC);
    assert_true(sp_net_deadline(g->net) == SP_NEVER);
    net_rig_free(g);
}

static void rfc4862_duplicates(void **state) {
    for (unsigned advert = 0; advert < 2; advert++) {
        struct net_rig *g = rig(false);
        net_rig_start(g);
        struct net_frame f = advert ? neighbour_message(136, 0x20, US, NODES, US, net_rig_peer)
                                    : neighbour_message(135, 0, "::", "ff02::1:ff00:1", US, NULL);
        net_rig_in(g, &f);
        net_rig_wait(g, 10 * SP_SEC);
        assert_false(has_address(g, US));
        assert_int_equal(sp_net_counts(g->net)->conflicts, 1);
        struct sp_addr taken[2];
        assert_int_equal(sp_net_duplicates(g->net, taken, 2), 1);
        assert_memory_equal(taken[0].ip, net_ip(US).ip, 16);
        net_rig_free(g);
    }
}

static void solicitations_are_answered(void **state) {
    struct net_rig *g = start();
    struct net_frame f = neighbour_message(135, 0, PEER, "ff02::1:ff00:1", US, net_rig_peer);
    net_rig_in(g, &f);
    const struct net_frame *s = net_rig_icmp(g, 6, 136, 0);
    assert_non_null(s);
    assert_memory_equal(s->data, net_rig_peer, 6);
    assert_int_equal(s->data[58], 0x60); /* solicited, override */
    assert_memory_equal(s->data + 62, net_ip(US).ip, 16);
    assert_memory_equal(s->data + 80, net_rig_mac, 6);
    assert_int_equal(net_transport_sum(s), 0xffff);
    f = neighbour_message(135, 0, "::", "ff02::1:ff00:1", US, NULL); /* somebody probes what is ours */
    net_rig_in(g, &f);
    s = net_rig_icmp(g, 6, 136, 1);
    assert_non_null(s);
    assert_int_equal(s->data[58], 0x20);
    assert_memory_equal(s->data + 38, net_ip(NODES).ip, 16);
    net_rig_free(g);
}

/* RFC 4861 7.1: each must be discarded. */
static void rfc4861_invalid_messages(void **state) {
    struct net_rig *g = start();
    uint64_t before = net_rig_drops(g, SP_NET_DROP_ND);
    struct net_frame f = neighbour_message(135, 0, PEER, US, US, net_rig_peer);
    f.data[21] = 254; /* hop limit: a router was between */
    net_rig_in(g, &f);
    uint8_t m[40] = {135, 1};
    memcpy(m + 8, net_ip(US).ip, 16);
    f = net_icmp(net_rig_mac, net_rig_peer, PEER, US, 255, m, 24); /* code */
    net_rig_in(g, &f);
    m[1] = 0;
    f = net_icmp(net_rig_mac, net_rig_peer, PEER, US, 255, m, 23); /* short */
    net_rig_in(g, &f);
    f = net_icmp(net_rig_mac, net_rig_peer, PEER, US, 255, m, 32); /* an option of length 0 */
    net_rig_in(g, &f);
    m[24] = 1;
    m[25] = 3; /* one longer than the message */
    f = net_icmp(net_rig_mac, net_rig_peer, PEER, US, 255, m, 32);
    net_rig_in(g, &f);
    f = neighbour_message(135, 0, "::", "ff02::1:ff00:1", US, net_rig_peer); /* a probe that says its MAC */
    net_rig_in(g, &f);
    f = neighbour_message(135, 0, "::", US, US, NULL); /* a probe not to the group */
    net_rig_in(g, &f);
    f = neighbour_message(136, 0x40, PEER, NODES, PEER, net_rig_peer); /* solicited, to all */
    net_rig_in(g, &f);
    f = neighbour_message(137, 0, ROUTER, US, US, net_rig_peer); /* redirects are refused */
    net_rig_in(g, &f);
    assert_int_equal(net_rig_drops(g, SP_NET_DROP_ND), before + 9);
    assert_int_equal(g->count, 0);
    net_rig_free(g);
}

static sp_err send_to(struct net_rig *g, const char *dst, size_t len) {
    static uint8_t data[9000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 3 + i / 256);
    struct sp_out out = {
        .kind = SP_OUT_DATAGRAM, .src = net_ip(US), .dst = net_ip(dst), .data = data, .len = len, .ecn = 1};
    out.src.port = 53;
    out.dst.port = 53;
    net_rig_forget(g);
    return net_rig_send(g, &out);
}

static void neighbours_are_resolved(void **state) {
    struct net_rig *g = start();
    assert_int_equal(send_to(g, "2001:db8::abcd:1234", 10), SP_ERR_AGAIN);
    const struct net_frame *s = net_rig_icmp(g, 6, 135, 0);
    assert_non_null(s);
    assert_memory_equal(s->data, ((uint8_t[]){0x33, 0x33, 0xff, 0xcd, 0x12, 0x34}), 6);
    assert_memory_equal(s->data + 22, net_ip(US).ip, 16);
    assert_memory_equal(s->data + 80, net_rig_mac, 6);
    net_rig_forget(g);
    struct net_frame f = neighbour_message(136, 0x60, "2001:db8::abcd:1234", US, "2001:db8::abcd:1234", net_rig_peer);
    net_rig_in(g, &f);
    s = net_rig_sent(g, NET_IP6, 17, 0);
    assert_non_null(s);
    assert_memory_equal(s->data, net_rig_peer, 6);
    assert_int_equal(net_transport_sum(s), 0xffff);
    assert_int_equal(s->data[15], 0x10); /* ECN */
    net_rig_free(g);
}

/* RFC 4861 7.2.5: the flags decide who is believed. */
static void rfc4861_a_gateway_moves(void **state) {
    static const uint8_t other[6] = {2, 0, 0, 0, 7, 7};
    struct net_rig *g = start();
    assert_int_equal(send_to(g, REMOTE, 10), SP_OK);
    assert_memory_equal(g->sent[0].data, net_rig_gateway, 6);
    struct net_frame f = neighbour_message(136, 0x80, ROUTER, NODES, ROUTER, other); /* no override */
    net_rig_in(g, &f);
    assert_int_equal(send_to(g, REMOTE, 10), SP_OK);
    assert_memory_equal(g->sent[0].data, net_rig_gateway, 6);
    f = neighbour_message(136, 0xa0, ROUTER, NODES, ROUTER, other);
    net_rig_in(g, &f);
    assert_int_equal(send_to(g, REMOTE, 10), SP_OK);
    assert_memory_equal(g->sent[0].data, other, 6);
    net_rig_free(g);
}

static void used_neighbours_are_probed(void **state) {
    struct net_rig *g = start();
    assert_int_equal(send_to(g, PEER, 10), SP_OK);
    net_rig_forget(g);
    net_rig_wait(g, 8 * SP_SEC - 1);
    assert_non_null(net_rig_icmp(g, 6, 135, 2));
    assert_memory_equal(net_rig_icmp(g, 6, 135, 0)->data, net_rig_peer, 6);
    assert_memory_equal(net_rig_icmp(g, 6, 135, 0)->data + 38, net_ip(PEER).ip, 16);
    struct net_frame f =
        neighbour_message(136, 0x40, PEER, US, PEER, NULL); /* to a unicast solicitation no option is needed */
    net_rig_in(g, &f);
    net_rig_wait(g, 2 * SP_SEC);
    assert_int_equal(send_to(g, PEER, 10), SP_OK);
    net_rig_free(g);
}

/* RFC 3810: switches and routers hear of our groups. */
static void rfc3810_reports(void **state) {
    struct net_rig *g = rig(false);
    net_rig_start(g);
    assert_non_null(net_rig_icmp(g, 6, 143, 0));
    net_rig_wait(g, 3 * SP_SEC);
    net_rig_forget(g);
    uint8_t query[28] = {130};
    struct net_frame f = net_icmp(nodes_mac, net_rig_gateway, ROUTER, NODES, 1, query, sizeof query);
    net_rig_in(g, &f);
    const struct net_frame *s = net_rig_icmp(g, 6, 143, 0);
    assert_non_null(s);
    assert_memory_equal(s->data, ((uint8_t[]){0x33, 0x33, 0, 0, 0, 0x16}), 6);
    assert_memory_equal(s->data + 38, net_ip("ff02::16").ip, 16);
    assert_int_equal(s->data[22], 0xfe);
    assert_int_equal(s->data[21], 1);
    assert_memory_equal(s->data + 54, ((uint8_t[]){58, 0, 5, 2, 0, 0, 1, 0}), 8); /* router alert */
    assert_int_equal(s->data[69], 2);                                             /* groups */
    assert_memory_equal(s->data + 70 + 20 + 4, net_ip("ff02::1:ff00:1").ip, 16);
    assert_int_equal(net_transport_sum(s), 0xffff);
    f = net_icmp(nodes_mac, net_rig_gateway, PEER, NODES, 1, query, sizeof query); /* not from the link */
    net_rig_forget(g);
    net_rig_in(g, &f);
    assert_int_equal(g->count, 0);
    net_rig_free(g);
}

/* ---- packets ---- */

static struct net_frame query(const char *src) {
    return net_udp(net_rig_mac, net_rig_peer, src, 4000, US, 53, "query", 5);
}

static void datagrams_come(void **state) {
    struct net_rig *g = start();
    struct net_frame f = query(REMOTE);
    f.data[15] = 0x20; /* ECN */
    assert_true(net_rig_in(g, &f));
    assert_memory_equal(g->in.data, "query", 5);
    assert_int_equal(g->in.ecn, 2);
    assert_memory_equal(g->in.src.ip, net_ip(REMOTE).ip, 16);
    for (size_t len = f.len; len-- > 0;) {
        struct net_frame cut = f;
        cut.len = len;
        assert_false(net_rig_in(g, &cut));
    }
    f.data[60] = f.data[61] = 0; /* RFC 8200 8.1 */
    assert_false(net_rig_in(g, &f));
    assert_int_equal(net_rig_drops(g, SP_NET_DROP_CSUM), 1);
    net_rig_free(g);
}

static void martians(void **state) {
    static const char *const bad[] = {"::", "::1", "ff02::5", "::ffff:192.0.2.1", US};
    struct net_rig *g = start();
    for (size_t i = 0; i < 5; i++) {
        struct net_frame f = query(bad[i]);
        assert_false(net_rig_in(g, &f));
        assert_int_equal(net_rig_drops(g, SP_NET_DROP_MARTIAN), i + 1);
    }
    struct net_frame f = net_udp(net_rig_mac, net_rig_peer, PEER, 4000, "2001:db8::2", 53, "query", 5);
    assert_false(net_rig_in(g, &f));
    f = net_udp(nodes_mac, net_rig_peer, PEER, 4000, NODES, 53, "query", 5);
    assert_false(net_rig_in(g, &f));
    f = net_udp(nodes_mac, net_rig_peer, PEER, 4000, "ff02::fb", 53, "query", 5);
    assert_false(net_rig_in(g, &f));
    assert_int_equal(net_rig_drops(g, SP_NET_DROP_OTHER), 1);
    assert_int_equal(net_rig_drops(g, SP_NET_DROP_GROUP), 2);
    net_rig_free(g);
}

/* A query with n bytes of extension headers before it. */
static struct net_frame with_headers(uint8_t first, const uint8_t *headers, size_t n) {
    uint8_t body[1400], udp[64];
    size_t len = net_udp_payload(udp, REMOTE, 4000, US, 53, "query", 5);
    memcpy(body, headers, n);
    memcpy(body + n, udp, len);
    return net_packet(net_rig_mac, net_rig_peer, REMOTE, US, first, 64, body, n + len);
}

static void rfc8200_extension_headers(void **state) {
    struct net_rig *g = start();
    uint8_t all[] = {60, 0, 1,    4, 0, 0, 0, 0,  /* hop by hop: padding */
                     43, 0, 0x1e, 4, 1, 2, 3, 4,  /* destination: an option that may be skipped */
                     17, 0, 0,    0, 0, 0, 0, 0}; /* routing: nothing left */
    struct net_frame f = with_headers(0, all, sizeof all);
    assert_true(net_rig_in(g, &f));
    assert_memory_equal(g->in.data, "query", 5);
    all[8 + 2] = 0x5e; /* an option that says: drop */
    f = with_headers(0, all, sizeof all);
    assert_false(net_rig_in(g, &f));
    assert_int_equal(g->count, 0);
    all[8 + 2] = 0x9e; /* drop and say so */
    f = with_headers(0, all, sizeof all);
    assert_false(net_rig_in(g, &f));
    const struct net_frame *s = net_rig_icmp(g, 6, 4, 0);
    assert_non_null(s);
    assert_int_equal(s->data[55], 2);
    assert_int_equal(s->data[61], 40 + 8 + 2); /* where it stands */
    all[8 + 2] = 0x1e;
    all[16 + 3] = 1; /* a router is to be visited yet */
    f = with_headers(0, all, sizeof all);
    assert_false(net_rig_in(g, &f));
    assert_int_equal(net_rig_icmp(g, 6, 4, 1)->data[55], 0);
    assert_int_equal(net_rig_drops(g, SP_NET_DROP_OPTION), 3);
    net_rig_free(g);
}

static void extension_headers_are_bounded(void **state) {
    struct net_rig *g = start();
    uint8_t chain[12 * 8], late[16] = {0, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0}, big[640] = {17, 79};
    for (size_t i = 0; i < 12; i++)
        memcpy(chain + 8 * i, (uint8_t[]){i < 11 ? 60 : 17, 0, 1, 4, 0, 0, 0, 0}, 8);
    struct net_frame f = with_headers(60, chain, sizeof chain);
    assert_false(net_rig_in(g, &f)); /* too many */
    f = with_headers(60, late, sizeof late);
    assert_false(net_rig_in(g, &f)); /* hop by hop, not first */
    f = with_headers(60, big, sizeof big);
    assert_false(net_rig_in(g, &f)); /* too long */
    big[1] = 255;
    f = with_headers(60, big, sizeof big);
    assert_false(net_rig_in(g, &f)); /* longer than the packet */
    assert_int_equal(net_rig_drops(g, SP_NET_DROP_OPTION), 4);
    f = with_headers(99, big, 0);
    assert_false(net_rig_in(g, &f));
    assert_int_equal(net_rig_drops(g, SP_NET_DROP_PROTO), 1);
    net_rig_free(g);
}

/* TCP too, which there is not. The pointer leads to the octet that names the protocol. */
static void rfc4443_protocols_that_are_not_spoken_are_said(void **state) {
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
        const struct net_frame *s = net_rig_icmp(g, 6, 4, i);
        assert_non_null(s);
        assert_int_equal(s->data[55], 1);
        assert_memory_equal(s->data + 58, ((uint8_t[]){0, 0, 0, 6}), 4);
        assert_memory_equal(s->data + 62, f.data + 14, f.len - 14);
        assert_int_equal(net_rig_drops(g, none[i].why), 1);
    }
    net_rig_free(g);
}

static void rfc4443_echo(void **state) {
    struct net_rig *g = start();
    uint8_t ping[8 + 1000] = {128, 0, 0, 0, 0x12, 0x34, 0, 1, 'd', 'a', 't', 'a'};
    struct net_frame f = net_icmp(net_rig_mac, net_rig_peer, PEER, US, 1, ping, sizeof ping);
    net_rig_in(g, &f);
    const struct net_frame *s = net_rig_icmp(g, 6, 129, 0);
    assert_non_null(s);
    assert_memory_equal(s->data + 58, ping + 4, sizeof ping - 4);
    assert_memory_equal(s->data + 22, net_ip(US).ip, 16);
    assert_int_equal(net_transport_sum(s), 0xffff);
    f = net_icmp(nodes_mac, net_rig_peer, PEER, NODES, 1, ping, 64); /* 4.2: to all nodes, answered by one's own */
    net_rig_in(g, &f);
    s = net_rig_icmp(g, 6, 129, 1);
    assert_non_null(s);
    assert_memory_equal(s->data + 22, net_ip(US).ip, 16);
    f.data[70] ^= 1;
    net_rig_in(g, &f);
    assert_int_equal(net_rig_drops(g, SP_NET_DROP_CSUM), 1);
    net_rig_free(g);
}

static void rfc4443_errors(void **state) {
    struct net_rig *g = start();
    struct net_frame f = net_udp(net_rig_mac, net_rig_peer, PEER, 4000, US, 99, "query", 5);
    net_rig_in(g, &f);
    const struct net_frame *s = net_rig_icmp(g, 6, 1, 0);
    assert_non_null(s);
    assert_int_equal(s->data[55], 4);
    assert_memory_equal(s->data + 62, f.data + 14, f.len - 14);
    assert_int_equal(net_transport_sum(s), 0xffff);
    for (unsigned i = 0; i < 50; i++)
        net_rig_in(g, &f);
    assert_int_equal(sp_net_counts(g->net)->errors_sent, 10);
    uint8_t too_big[8 + 48] = {2, 0, 0, 0, 0, 0, 5, 0};
    f = net_icmp(net_rig_mac, net_rig_peer, PEER, US, 64, too_big, sizeof too_big);
    net_rig_in(g, &f);
    assert_int_equal(net_rig_drops(g, SP_NET_DROP_PMTU), 1);
    net_rig_free(g);
}

/* ---- fragments ---- */

static void fragments(void **state) {
    struct net_rig *g = start();
    static uint8_t data[2000], udp[2100];
    size_t len = net_udp_payload(udp, REMOTE, 4000, US, 53, data, sizeof data);
    struct net_frame a = net_fragment6(REMOTE, US, 17, 9, 0, true, udp, 1024),
                     b = net_fragment6(REMOTE, US, 17, 9, 1024, false, udp + 1024, len - 1024);
    assert_false(net_rig_in(g, &b));
    assert_true(net_rig_in(g, &a));
    assert_int_equal(g->in.len, sizeof data);
    struct net_frame over = net_fragment6(REMOTE, US, 17, 9, 512, true, udp, 1024);
    assert_false(net_rig_in(g, &b)); /* RFC 5722 */
    assert_false(net_rig_in(g, &over));
    assert_false(net_rig_in(g, &a));
    assert_int_equal(net_rig_drops(g, SP_NET_DROP_OVERLAP), 2);
    net_rig_free(g);
}

static void rfc6946_atomic_fragments(void **state) {
    struct net_rig *g = start();
    uint8_t udp[64];
    size_t len = net_udp_payload(udp, REMOTE, 4000, US, 53, "query", 5);
    struct net_frame part = net_fragment6(REMOTE, US, 17, 9, 8, false, udp + 8, len - 8),
                     whole = net_fragment6(REMOTE, US, 17, 9, 0, false, udp, len);
    assert_false(net_rig_in(g, &part));
    assert_true(net_rig_in(g, &whole)); /* whatever others have the same id */
    assert_int_equal(net_rig_drops(g, SP_NET_DROP_OVERLAP), 0);
    net_rig_free(g);
}

static void rfc7112_first_fragments_hold_all_headers(void **state) {
    struct net_rig *g = start();
    uint8_t options[16] = {17, 1, 1, 12};
    struct net_frame f = net_fragment6(REMOTE, US, 60, 9, 0, true, options, 16);
    assert_false(net_rig_in(g, &f));
    assert_int_equal(net_rig_drops(g, SP_NET_DROP_FRAGMENT), 1);
    net_rig_free(g);
}

static void rfc6980_neighbour_discovery_in_fragments(void **state) {
    struct net_rig *g = start();
    struct net_frame f = neighbour_message(135, 0, PEER, US, US, net_rig_peer);
    struct net_frame atomic = net_fragment6(PEER, US, 58, 9, 0, false, f.data + 54, f.len - 54);
    atomic.data[21] = 255;
    net_rig_in(g, &atomic);
    assert_int_equal(net_rig_drops(g, SP_NET_DROP_ND), 1);
    assert_int_equal(g->count, 0);
    net_rig_free(g);
}

static void large_answers_go_in_fragments(void **state) {
    struct net_rig *g = start();
    assert_int_equal(send_to(g, PEER, 4000), SP_OK);
    assert_int_equal(g->count, 4);
    struct net_rig *h = rig(false);
    h->config.statics[0].addr = net_ip(PEER);
    memcpy(h->config.mac, net_rig_peer, 6);
    net_rig_start(h);
    net_rig_wait(h, 3 * SP_SEC);
    for (size_t i = 0; i < 4; i++) {
        assert_true(g->sent[i].len <= 14 + 1280);
        assert_int_equal(net_rig_in(h, &g->sent[i]), i == 3);
    }
    assert_int_equal(h->in.len, 4000);
    for (size_t i = 0; i < 4000; i++)
        assert_int_equal(h->in.data[i], (uint8_t)(i * 3 + i / 256));
    net_rig_free(h);
    assert_int_equal(send_to(g, PEER, 1452), SP_OK);
    assert_int_equal(g->count, 1);
    net_rig_free(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc4862_an_address_is_probed_first),
        cmocka_unit_test(rfc4862_duplicates),
        cmocka_unit_test(solicitations_are_answered),
        cmocka_unit_test(rfc4861_invalid_messages),
        cmocka_unit_test(neighbours_are_resolved),
        cmocka_unit_test(rfc4861_a_gateway_moves),
        cmocka_unit_test(used_neighbours_are_probed),
        cmocka_unit_test(rfc3810_reports),
        cmocka_unit_test(datagrams_come),
        cmocka_unit_test(martians),
        cmocka_unit_test(rfc8200_extension_headers),
        cmocka_unit_test(extension_headers_are_bounded),
        cmocka_unit_test(rfc4443_echo),
        cmocka_unit_test(rfc4443_errors),
        cmocka_unit_test(rfc4443_protocols_that_are_not_spoken_are_said),
        cmocka_unit_test(fragments),
        cmocka_unit_test(rfc6946_atomic_fragments),
        cmocka_unit_test(rfc7112_first_fragments_hold_all_headers),
        cmocka_unit_test(rfc6980_neighbour_discovery_in_fragments),
        cmocka_unit_test(large_answers_go_in_fragments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
