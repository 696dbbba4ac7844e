#include "tests/unit/cm.h"

#include <string.h>

#include "proto/net/dhcp_wire.h"
#include "tests/support/net_rig.h"

#define SERVER  "192.0.2.254"
#define OFFERED "192.0.2.50"

static struct net_rig *start(void) {
    struct net_rig *g = net_rig_new();
    g->config.dhcp = true;
    g->config.static_count = 0;
    g->config.hostname = "signpost";
    net_rig_start(g);
    return g;
}

/* The BOOTP part of the i-th message sent since net_rig_forget; its type in *type. */
static const uint8_t *message(const struct net_rig *g, size_t i, uint8_t *type) {
    const struct net_frame *f = net_rig_sent(g, NET_IP4, 17, i);
    if (f == NULL)
        return NULL;
    assert_int_equal(net_transport_sum(f), 0xffff);
    assert_memory_equal(f->data + 34, ((uint8_t[]){0, 68, 0, 67}), 4);
    assert_true(f->len >= 42 + 300);
    assert_memory_equal(f->data + 42 + 236, ((uint8_t[]){99, 130, 83, 99, 53, 1}), 6);
    *type = f->data[42 + 242];
    return f->data + 42;
}

/* The value of an option in a message of ours. */
static const uint8_t *option(const uint8_t *m, uint8_t code) {
    for (const uint8_t *o = m + 240; *o != 255; o += 2 + o[1])
        if (*o == code)
            return o + 2;
    return NULL;
}

struct reply {
    uint8_t type;
    const char *ip;
    uint8_t options[64];
    size_t len;
};

static void add_option(struct reply *r, uint8_t code, size_t len, const void *value) {
    r->options[r->len] = code;
    r->options[r->len + 1] = (uint8_t)len;
    memcpy(r->options + r->len + 2, value, len);
    r->len += 2 + len;
}

static struct reply usual(uint8_t type) {
    struct reply r = {.type = type, .ip = OFFERED};
    add_option(&r, 54, 4, net_ip(SERVER).ip);
    if (type == DHCP_NAK)
        return r;
    add_option(&r, 51, 4, (uint8_t[]){0, 0, 0x0e, 0x10}); /* an hour */
    add_option(&r, 1, 4, (uint8_t[]){255, 255, 255, 0});
    add_option(&r, 3, 4, net_ip(SERVER).ip);
    add_option(&r, 6, 8, (uint8_t[]){192, 0, 2, 3, 192, 0, 2, 4});
    return r;
}

static struct net_frame reply_frame(const uint8_t *asked, const struct reply *r) {
    uint8_t m[400] = {2, 1, 6};
    memcpy(m + 4, asked + 4, 4);
    memcpy(m + 16, net_ip(r->ip).ip, 4);
    memcpy(m + 28, asked + 28, 16);
    memcpy(m + 236, (uint8_t[]){99, 130, 83, 99, 53, 1, r->type}, 7);
    memcpy(m + 243, r->options, r->len);
    m[243 + r->len] = 255;
    return net_udp(net_rig_mac, net_rig_gateway, SERVER, 67, r->ip, 68, m, 244 + r->len);
}

static void reply(struct net_rig *g, const uint8_t *asked, const struct reply *r) {
    struct net_frame f = reply_frame(asked, r);
    net_rig_forget(g);
    net_rig_in(g, &f);
}

static bool has_address(const struct net_rig *g) {
    struct sp_addr a;
    return sp_net_addresses(g->net, &a, 1) == 1;
}

/* Up to a bound lease. */
static struct net_rig *bound(void) {
    struct net_rig *g = start();
    uint8_t type;
    struct reply offer = usual(DHCP_OFFER), ack = usual(DHCP_ACK);
    reply(g, message(g, 0, &type), &offer);
    reply(g, message(g, 0, &type), &ack);
    net_rig_wait(g, 10 * SP_SEC);
    assert_true(has_address(g));
    net_rig_forget(g);
    return g;
}

static void rfc2131_discover_offer_request_ack(void **state) {
    struct net_rig *g = start();
    uint8_t type;
    const uint8_t *m = message(g, 0, &type);
    assert_int_equal(type, DHCP_DISCOVER);
    const struct net_frame *f = net_rig_sent(g, NET_IP4, 17, 0);
    assert_memory_equal(f->data, net_rig_all, 6);
    assert_memory_equal(f->data + 26, net_ip("0.0.0.0").ip, 4);
    assert_memory_equal(f->data + 30, net_ip("255.255.255.255").ip, 4);
    assert_memory_equal(m + 28, net_rig_mac, 6);
    assert_memory_equal(option(m, 12), "signpost", 8);
    struct reply offer = usual(DHCP_OFFER), ack = usual(DHCP_ACK);
    reply(g, m, &offer);
    m = message(g, 0, &type);
    assert_int_equal(type, DHCP_REQUEST);
    assert_memory_equal(option(m, 50), net_ip(OFFERED).ip, 4);
    assert_memory_equal(option(m, 54), net_ip(SERVER).ip, 4);
    reply(g, m, &ack);
    const struct net_frame *probe = net_rig_sent(g, NET_ARP, 0, 0);
    assert_non_null(probe);
    assert_memory_equal(probe->data + 28, net_ip("0.0.0.0").ip, 4);
    assert_false(has_address(g));
    net_rig_wait(g, 3 * SP_SEC);
    assert_true(has_address(g));
    struct sp_addr resolvers[3];
    assert_int_equal(sp_net_resolvers(g->net, resolvers, 3), 2);
    assert_memory_equal(resolvers[1].ip, net_ip("192.0.2.4").ip, 16);
    net_rig_forget(g);
    struct sp_out out = {.kind = SP_OUT_DATAGRAM, .dst = net_ip("198.51.100.7"), .data = m, .len = 1};
    assert_int_equal(net_rig_send(g, &out), SP_ERR_AGAIN); /* through the router that it named */
    assert_memory_equal(net_rig_sent(g, NET_ARP, 0, 0)->data + 38, net_ip(SERVER).ip, 4);
    assert_int_equal(sp_net_counts(g->net)->leases, 1);
    net_rig_free(g);
}

static void discovers_are_repeated_ever_later(void **state) {
    struct net_rig *g = start();
    uint8_t type;
    net_rig_wait(g, 200 * SP_SEC);
    size_t n = 0;
    while (message(g, n, &type) != NULL) {
        assert_int_equal(type, DHCP_DISCOVER);
        n++;
    }
    assert_in_range(n, 6, 8); /* after 4, 8, 16, 32, 64, 64 seconds, give or take one */
    net_rig_free(g);
}

static void replies_that_are_not_ours(void **state) {
    struct net_rig *g = start();
    uint8_t type;
    uint8_t asked[300];
    memcpy(asked, message(g, 0, &type), sizeof asked);
    struct reply offer = usual(DHCP_OFFER), nowhere = offer, ack = usual(DHCP_ACK),
                 nameless = {.type = DHCP_OFFER, .ip = OFFERED};
    asked[4] ^= 1; /* transaction */
    reply(g, asked, &offer);
    asked[4] ^= 1;
    asked[28] ^= 4; /* hardware address */
    reply(g, asked, &offer);
    asked[28] ^= 4;
    nowhere.ip = "127.0.0.1";
    reply(g, asked, &nowhere);
    reply(g, asked, &ack);      /* nothing was asked for */
    reply(g, asked, &nameless); /* from no server */
    struct net_frame f = reply_frame(asked, &offer);
    f.data[42] = 1; /* a request */
    f.data[40] = f.data[41] = 0;
    net_rig_in(g, &f);
    f = reply_frame(asked, &offer);
    f.data[42 + 236] = 0; /* no cookie */
    f.data[40] = f.data[41] = 0;
    net_rig_in(g, &f);
    assert_int_equal(net_rig_drops(g, SP_NET_DROP_DHCP), 7);
    assert_int_equal(g->count, 0);
    net_rig_free(g);
}

static void every_shorter_message_is_refused_or_read(void **state) {
    struct dhcp_message m;
    struct net_rig *g = start();
    uint8_t type;
    struct reply offer = usual(DHCP_OFFER);
    struct net_frame f = reply_frame(message(g, 0, &type), &offer);
    size_t len = f.len - 42;
    for (size_t n = 0; n < len; n++) {
        uint8_t *exact = test_malloc(n > 0 ? n : 1);
        memcpy(exact, f.data + 42, n);
        sp_err err = sp_net_dhcp_read(exact, n, &m);
        assert_true(n >= 243 || err != SP_OK);
        test_free(exact);
    }
    assert_int_equal(sp_net_dhcp_read(f.data + 42, len, &m), SP_OK);
    assert_int_equal(m.lease_s, 3600);
    net_rig_free(g);
}

/* RFC 2132 9.3: options that stand where names would. */
static void rfc2132_overload(void **state) {
    uint8_t m[300] = {2, 1, 6};
    struct dhcp_message got;
    memcpy(m + 236, (uint8_t[]){99, 130, 83, 99, 53, 1, 5, 52, 1, 3, 255}, 11);
    memcpy(m + 44, (uint8_t[]){51, 4, 0, 0, 1, 0, 255}, 7);     /* sname */
    memcpy(m + 108, (uint8_t[]){1, 4, 255, 255, 0, 0, 255}, 7); /* file */
    assert_int_equal(sp_net_dhcp_read(m, sizeof m, &got), SP_OK);
    assert_int_equal(got.lease_s, 256);
    assert_int_equal(got.mask, 0xffff0000);
    m[44 + 1] = 200; /* beyond its field */
    assert_int_equal(sp_net_dhcp_read(m, sizeof m, &got), SP_ERR_SHORT);
}

static void rfc2131_renewing(void **state) {
    struct net_rig *g = bound();
    uint8_t type;
    struct net_frame arp = net_arp(1, net_rig_gateway, SERVER, NULL, OFFERED);
    net_rig_wait(g, 1789 * SP_SEC);
    assert_int_equal(g->count, 0);
    net_rig_in(g, &arp);
    net_rig_forget(g);
    net_rig_wait(g, 2 * SP_SEC); /* T1 */
    const uint8_t *m = message(g, 0, &type);
    assert_non_null(m);
    assert_int_equal(type, DHCP_REQUEST);
    assert_memory_equal(m + 12, net_ip(OFFERED).ip, 4);
    assert_null(option(m, 50));
    assert_null(option(m, 54));
    const struct net_frame *f = net_rig_sent(g, NET_IP4, 17, 0);
    assert_memory_equal(f->data, net_rig_gateway, 6);
    assert_memory_equal(f->data + 26, net_ip(OFFERED).ip, 4);
    assert_memory_equal(f->data + 30, net_ip(SERVER).ip, 4);
    uint32_t generation = sp_net_generation(g->net);
    struct reply ack = usual(DHCP_ACK);
    reply(g, m, &ack);
    assert_int_equal(sp_net_counts(g->net)->leases, 2);
    net_rig_wait(g, 1790 * SP_SEC);
    assert_true(has_address(g));
    assert_int_equal(sp_net_generation(g->net), generation);
    net_rig_free(g);
}

/* Nobody renews: asked of all from T2 on, and at its end the address goes. */
static void rfc2131_rebinding_and_the_end(void **state) {
    struct net_rig *g = bound();
    uint8_t type;
    net_rig_wait(g, 3100 * SP_SEC); /* T2 is at 3150 */
    net_rig_forget(g);
    net_rig_wait(g, 60 * SP_SEC);
    const uint8_t *m = message(g, 0, &type);
    assert_non_null(m);
    assert_int_equal(type, DHCP_REQUEST);
    assert_memory_equal(net_rig_sent(g, NET_IP4, 17, 0)->data, net_rig_all, 6);
    assert_memory_equal(m + 12, net_ip(OFFERED).ip, 4);
    assert_true(has_address(g));
    net_rig_forget(g);
    net_rig_wait(g, 450 * SP_SEC);
    assert_false(has_address(g));
    size_t i = 0;
    while (message(g, i, &type) != NULL && type == DHCP_REQUEST)
        i++;
    assert_int_equal(type, DHCP_DISCOVER);
    net_rig_free(g);
}

static void rfc2131_nak(void **state) {
    struct net_rig *g = bound();
    uint8_t type;
    struct reply nak = usual(DHCP_NAK);
    nak.ip = "0.0.0.0";
    sp_net_link(g->net, g->now, false);
    assert_false(has_address(g));
    sp_net_link(g->net, g->now, true);
    net_rig_forget(g);
    net_rig_wait(g, 6 * SP_SEC); /* RFC 2131 3.2: the old address again, if it is still good here */
    const uint8_t *m = message(g, 0, &type);
    assert_non_null(m);
    assert_int_equal(type, DHCP_REQUEST);
    assert_memory_equal(option(m, 50), net_ip(OFFERED).ip, 4);
    assert_null(option(m, 54));
    struct net_frame f = reply_frame(m, &nak);
    memcpy(f.data + 30, net_ip("255.255.255.255").ip, 4);
    memcpy(f.data, net_rig_all, 6);
    f.data[40] = f.data[41] = 0; /* its checksum counted with the other destination */
    net_fix4(&f);
    net_rig_forget(g);
    net_rig_in(g, &f);
    m = message(g, 0, &type);
    assert_non_null(m);
    assert_int_equal(type, DHCP_DISCOVER);
    net_rig_free(g);
}

static void rfc2131_decline(void **state) {
    struct net_rig *g = start();
    uint8_t type;
    struct reply offer = usual(DHCP_OFFER), ack = usual(DHCP_ACK);
    reply(g, message(g, 0, &type), &offer);
    reply(g, message(g, 0, &type), &ack);
    net_rig_forget(g);
    struct net_frame f = net_arp(2, net_rig_peer, OFFERED, net_rig_mac, "0.0.0.0");
    net_rig_in(g, &f);
    const uint8_t *m = message(g, 0, &type);
    assert_non_null(m);
    assert_int_equal(type, DHCP_DECLINE);
    assert_memory_equal(option(m, 50), net_ip(OFFERED).ip, 4);
    assert_memory_equal(option(m, 54), net_ip(SERVER).ip, 4);
    net_rig_forget(g);
    net_rig_wait(g, 9 * SP_SEC);
    assert_null(message(g, 0, &type));
    assert_false(has_address(g));
    net_rig_wait(g, 2 * SP_SEC);
    assert_non_null(message(g, 0, &type));
    assert_int_equal(type, DHCP_DISCOVER);
    net_rig_free(g);
}

static void mtu_option(void **state) {
    struct net_rig *g = start();
    uint8_t type;
    struct reply offer = usual(DHCP_OFFER), ack = usual(DHCP_ACK);
    add_option(&ack, 26, 2, (uint8_t[]){0x04, 0xb0}); /* 1200 */
    reply(g, message(g, 0, &type), &offer);
    reply(g, message(g, 0, &type), &ack);
    net_rig_wait(g, 3 * SP_SEC);
    struct net_frame f = net_arp(1, net_rig_gateway, SERVER, NULL, OFFERED);
    net_rig_in(g, &f);
    static uint8_t data[1173];
    struct sp_out out = {.kind = SP_OUT_DATAGRAM, .dst = net_ip(SERVER), .data = data, .len = sizeof data - 1};
    net_rig_forget(g);
    assert_int_equal(net_rig_send(g, &out), SP_OK);
    assert_int_equal(g->count, 1);
    out.len++;
    net_rig_forget(g);
    assert_int_equal(net_rig_send(g, &out), SP_OK);
    assert_int_equal(g->count, 2);
    net_rig_free(g);
}

static void servers_that_offer_and_refuse(void **state) {
    struct net_rig *g = start();
    uint8_t type;
    struct reply offer = usual(DHCP_OFFER), nak = usual(DHCP_NAK);
    reply(g, message(g, 0, &type), &offer);
    nak.ip = OFFERED;
    reply(g, message(g, 0, &type), &nak);
    assert_int_equal(g->count, 0); /* not at once */
    net_rig_wait(g, 11 * SP_SEC);
    assert_non_null(message(g, 0, &type));
    assert_int_equal(type, DHCP_DISCOVER);
    net_rig_free(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc2131_discover_offer_request_ack),
        cmocka_unit_test(discovers_are_repeated_ever_later),
        cmocka_unit_test(replies_that_are_not_ours),
        cmocka_unit_test(every_shorter_message_is_refused_or_read),
        cmocka_unit_test(rfc2132_overload),
        cmocka_unit_test(rfc2131_renewing),
        cmocka_unit_test(rfc2131_rebinding_and_the_end),
        cmocka_unit_test(rfc2131_nak),
        cmocka_unit_test(rfc2131_decline),
        cmocka_unit_test(mtu_option),
        cmocka_unit_test(servers_that_offer_and_refuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
