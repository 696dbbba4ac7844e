#include "tests/unit/cm.h"

#include <string.h>

#include "proto/direct/direct.h"
#include "tests/support/net_rig.h"

struct rig {
    struct net_rig *wire; /* for memory and randomness alone */
    struct sp_direct d;
    uint8_t frame[SP_NET_ETHER + 1500];
};

static void rig_new(struct rig *r) {
    r->wire = net_rig_new();
    r->wire->config.ports[0] = 53;
    r->wire->config.ports[1] = 443;
    r->wire->config.port_count = 2;
    assert_int_equal(sp_direct_init(&r->d, &r->wire->config), SP_OK);
    sp_net_link(r->d.net, r->wire->now, true);
    while (sp_direct_output(&r->d, r->wire->now, r->frame, sizeof r->frame) > 0)
        ;
}

static void rig_free(struct rig *r) {
    sp_direct_done(&r->d);
    net_rig_free(r->wire);
}

static size_t give(struct rig *r, struct net_frame *frames, size_t n, struct sp_in *in, size_t max, size_t *taken) {
    struct sp_direct_frame list[8];
    for (size_t i = 0; i < n; i++)
        list[i] = (struct sp_direct_frame){frames[i].data, frames[i].len, SP_NET_CSUM_CHECK};
    return sp_direct_frames(&r->d, r->wire->now, list, n, in, max, taken);
}

static struct net_frame query(const char *text) {
    return net_udp(net_rig_mac, net_rig_peer, "192.0.2.9", 4000, "192.0.2.1", 53, text, strlen(text));
}

static void a_batch_of_frames(void **state) {
    struct rig r;
    struct sp_in in[8];
    size_t taken;
    rig_new(&r);
    struct net_frame frames[] = {query("one"), net_arp(1, net_rig_peer, "192.0.2.9", NULL, "192.0.2.1"), query("two"),
                                 query("three")};
    assert_int_equal(give(&r, frames, 4, in, 8, &taken), 3);
    assert_int_equal(taken, 4);
    assert_memory_equal(in[0].data, "one", 3);
    assert_memory_equal(in[2].data, "three", 5);
    assert_int_equal(give(&r, frames, 4, in, 1, &taken), 1); /* no more than asked for */
    assert_int_equal(taken, 1);
    rig_free(&r);
}

/* What was reassembled ends a batch: the next frame may need its place. */
static void a_reassembled_datagram_ends_the_batch(void **state) {
    struct rig r;
    struct sp_in in[8];
    size_t taken;
    uint8_t payload[64];
    rig_new(&r);
    size_t len = net_udp_payload(payload, "192.0.2.9", 4000, "192.0.2.1", 53, "a datagram in two pieces", 24);
    struct net_frame frames[] = {query("one"),
                                 net_fragment4("192.0.2.9", "192.0.2.1", 17, 5, 16, false, payload + 16, len - 16),
                                 net_fragment4("192.0.2.9", "192.0.2.1", 17, 5, 0, true, payload, 16), query("two")};
    assert_int_equal(give(&r, frames, 4, in, 8, &taken), 2);
    assert_int_equal(taken, 3);
    assert_int_equal(in[1].len, 24);
    assert_memory_equal(in[1].data, "a datagram in two pieces", 24);
    assert_int_equal(give(&r, frames + taken, 1, in, 8, &taken), 1);
    rig_free(&r);
}

static void the_core_is_told_addresses(void **state) {
    struct rig r;
    struct sp_in in;
    struct sp_addr at[2];
    rig_new(&r);
    assert_true(sp_direct_link(&r.d, &in));
    assert_int_equal(in.kind, SP_IN_LINK);
    assert_int_equal(in.len, sizeof at);
    memcpy(at, in.data, sizeof at);
    assert_int_equal(at[0].port, 53);
    assert_int_equal(at[1].port, 443);
    assert_memory_equal(at[1].ip, net_ip("192.0.2.1").ip, 16);
    assert_false(sp_direct_link(&r.d, &in));
    sp_net_link(r.d.net, r.wire->now, false);
    assert_true(sp_direct_link(&r.d, &in));
    assert_int_equal(in.len, 0);
    rig_free(&r);
}

static void outputs_become_frames(void **state) {
    struct rig r;
    struct sp_in in[8];
    size_t taken;
    static uint8_t data[3000];
    rig_new(&r);
    struct sp_addr us = net_ip("192.0.2.1"), peer = net_ip("192.0.2.9"), other = net_ip("192.0.2.8");
    struct sp_out out[] = {
        {.kind = SP_OUT_DATAGRAM, .src = us, .dst = other, .data = data, .len = 10},
        {.kind = SP_OUT_CONTROL, .data = data, .len = 10},
        {.kind = SP_OUT_DATAGRAM, .src = us, .dst = net_ip("255.255.255.255"), .data = data, .len = 10},
        {.kind = SP_OUT_DATAGRAM, .src = us, .dst = peer, .data = data, .len = 3000, .segment = 1000}};
    struct net_frame arp = net_arp(1, net_rig_peer, "192.0.2.9", NULL, "192.0.2.1");
    assert_int_equal(give(&r, &arp, 1, in, 8, &taken), 0);
    sp_direct_outputs(&r.d, out, 4);
    assert_int_equal(sp_direct_output(&r.d, r.wire->now, r.frame, sizeof r.frame),
                     42); /* the answer to ARP comes first */
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(sp_direct_output(&r.d, r.wire->now, r.frame, sizeof r.frame), i == 0   ? 1042
                                                                                       : i == 1 ? 42
                                                                                                : 1042);
    assert_int_equal(sp_direct_output(&r.d, r.wire->now, r.frame, sizeof r.frame), 1042);
    assert_int_equal(sp_direct_output(&r.d, r.wire->now, r.frame, sizeof r.frame), 0);
    assert_int_equal(sp_net_counts(r.d.net)->drops[SP_NET_DROP_ROUTE], 1);
    rig_free(&r);
}

/* What a device does with a frame whose checksum covers the pseudo header alone so far. */
static void complete(struct net_frame *f, size_t udp) {
    uint32_t sum = 0;
    for (size_t i = udp; i < f->len; i++)
        sum += (uint32_t)f->data[i] << (i % 2 == udp % 2 ? 8 : 0);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = ~((sum & 0xffff) + (sum >> 16));
    f->data[udp + 6] = (uint8_t)(sum >> 8);
    f->data[udp + 7] = (uint8_t)sum;
}

static size_t sent(struct rig *r, struct net_frame *f) {
    return f->len = sp_direct_output(&r->d, r->wire->now, f->data, sizeof f->data);
}

static void a_device_completes_checksums(void **state) {
    struct rig r;
    struct sp_in in[8];
    struct net_frame f;
    size_t taken;
    static uint8_t data[3000] = {1, 2, 3};
    rig_new(&r);
    sp_net_offload(r.d.net, SP_NET_SUM4);
    struct sp_addr us = net_ip("192.0.2.1");
    struct sp_out out[] = {{.kind = SP_OUT_DATAGRAM, .src = us, .dst = net_ip("192.0.2.9"), .data = data, .len = 11},
                           {.kind = SP_OUT_DATAGRAM, .src = us, .dst = net_ip("192.0.2.9"), .data = data, .len = 3000},
                           {.kind = SP_OUT_DATAGRAM, .src = us, .dst = net_ip("192.0.2.8"), .data = data, .len = 11}};
    struct net_frame arp = net_arp(1, net_rig_peer, "192.0.2.9", NULL, "192.0.2.1");
    assert_int_equal(give(&r, &arp, 1, in, 8, &taken), 0);
    sp_direct_outputs(&r.d, out, 3);
    assert_int_equal(sent(&r, &f), 42); /* the answer to ARP */
    assert_false(r.d.offload.needs_csum);
    assert_int_equal(sent(&r, &f), 53);
    assert_true(r.d.offload.needs_csum);
    assert_int_not_equal(net_transport_sum(&f), 0xffff);
    complete(&f, 34);
    assert_int_equal(net_transport_sum(&f), 0xffff);
    for (unsigned i = 0; i < 3; i++) { /* not of a part */
        assert_true(sent(&r, &f) > 0);
        assert_false(r.d.offload.needs_csum);
    }
    assert_int_equal(sent(&r, &f), 42); /* who is 192.0.2.8? */
    arp = net_arp(2, net_rig_peer, "192.0.2.8", net_rig_mac, "192.0.2.1");
    assert_int_equal(give(&r, &arp, 1, in, 8, &taken), 0);
    assert_int_equal(sent(&r, &f), 53); /* nor of what has waited */
    assert_false(r.d.offload.needs_csum);
    assert_int_equal(net_transport_sum(&f), 0xffff);
    rig_free(&r);
}

static void the_earlier_deadline_counts(void **state) {
    struct rig r;
    rig_new(&r);
    sp_instant own = sp_net_deadline(r.d.net);
    assert_true(own != SP_NEVER);
    assert_true(sp_direct_deadline(&r.d, SP_NEVER) == own);
    assert_true(sp_direct_deadline(&r.d, own - 1) == own - 1);
    sp_direct_expire(&r.d, own);
    assert_int_equal(sp_direct_output(&r.d, own, r.frame, sizeof r.frame), 42); /* the second announcement */
    assert_true(sp_direct_deadline(&r.d, SP_NEVER) == SP_NEVER);
    rig_free(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_of_frames),
        cmocka_unit_test(a_reassembled_datagram_ends_the_batch),
        cmocka_unit_test(the_core_is_told_addresses),
        cmocka_unit_test(outputs_become_frames),
        cmocka_unit_test(a_device_completes_checksums),
        cmocka_unit_test(the_earlier_deadline_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
