/* What a TUN device says of a packet, and what we tell it: virtio's header and struct sp_offload. */
#include "tests/unit/cm.h"

#include <string.h>

#include "client/linux/virtio.h"

#define IP6 40

static uint8_t packet[2000];

static void tcp_header(size_t at, unsigned words) {
    memset(packet, 0, sizeof packet);
    packet[at + 12] = (uint8_t)(words << 4);
}

static struct virtio_net_hdr tso6(void) {
    return (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                                   .gso_type = VIRTIO_NET_HDR_GSO_TCPV6,
                                   .hdr_len = 7, /* a hint: never believed */
                                   .gso_size = 1220,
                                   .csum_start = IP6,
                                   .csum_offset = 16};
}

static void plain_packet(void **state) {
    struct sp_offload off = {.gso = 9};
    assert_int_equal(spl_virtio_read(&off, &(struct virtio_net_hdr){0}, packet, 60), SP_OK);
    assert_memory_equal(&off, &(struct sp_offload){0}, sizeof off);
}

static void checksum_left_undone(void **state) {
    struct virtio_net_hdr h = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = IP6, .csum_offset = 6};
    struct sp_offload off;
    assert_int_equal(spl_virtio_read(&off, &h, packet, IP6 + 8), SP_OK);
    assert_true(off.needs_csum);
    assert_int_equal(off.csum_start, IP6);
    assert_int_equal(off.csum_offset, 6);
    assert_int_equal(spl_virtio_read(&off, &h, packet, IP6 + 7), SP_ERR_FORM);
    h.csum_offset = UINT16_MAX;
    assert_int_equal(spl_virtio_read(&off, &h, packet, IP6 + 8), SP_ERR_FORM);
}

static void header_length_is_read_from_the_packet(void **state) {
    struct virtio_net_hdr h = tso6();
    struct sp_offload off;
    tcp_header(IP6, 8);
    assert_int_equal(spl_virtio_read(&off, &h, packet, sizeof packet), SP_OK);
    assert_int_equal(off.gso, SP_GSO_TCP6);
    assert_int_equal(off.hdr_len, IP6 + 32);
    assert_int_equal(off.gso_size, 1220);
    h.gso_type = VIRTIO_NET_HDR_GSO_UDP_L4;
    h.csum_offset = 6;
    assert_int_equal(spl_virtio_read(&off, &h, packet, sizeof packet), SP_OK);
    assert_int_equal(off.gso, SP_GSO_UDP);
    assert_int_equal(off.hdr_len, IP6 + 8);
    h.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
    h.csum_start = 20;
    tcp_header(20, 5);
    assert_int_equal(spl_virtio_read(&off, &h, packet, sizeof packet), SP_OK);
    assert_int_equal(off.gso, SP_GSO_TCP4);
    assert_int_equal(off.hdr_len, 40);
}

static void joined_packets_that_make_no_sense(void **state) {
    struct sp_offload off = {.gso = 9};
    struct virtio_net_hdr h = tso6();
    tcp_header(IP6, 4); /* shorter than a TCP header can be */
    assert_int_equal(spl_virtio_read(&off, &h, packet, sizeof packet), SP_ERR_FORM);
    tcp_header(IP6, 15);
    assert_int_equal(spl_virtio_read(&off, &h, packet, IP6 + 59), SP_ERR_FORM);
    assert_int_equal(spl_virtio_read(&off, &h, packet, IP6 + 60), SP_OK);
    assert_int_equal(spl_virtio_read(&off, &h, packet, IP6 + 18), SP_ERR_FORM);
    h.gso_size = 0;
    assert_int_equal(spl_virtio_read(&off, &h, packet, sizeof packet), SP_ERR_FORM);
    h = tso6();
    h.flags = 0;
    assert_int_equal(spl_virtio_read(&off, &h, packet, sizeof packet), SP_ERR_FORM);
    h = tso6();
    h.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
    assert_int_equal(spl_virtio_read(&off, &h, packet, sizeof packet), SP_ERR_UNSUP);
    h.gso_type = VIRTIO_NET_HDR_GSO_UDP;
    assert_int_equal(spl_virtio_read(&off, &h, packet, sizeof packet), SP_ERR_UNSUP);
}

static void there_and_back(void **state) {
    static const struct sp_offload offs[] = {
        {0},
        {.needs_csum = true, .csum_start = 40, .csum_offset = 16},
        {.gso = SP_GSO_TCP6, .needs_csum = true, .hdr_len = 60, .gso_size = 1220, .csum_start = 40, .csum_offset = 16},
        {.gso = SP_GSO_TCP4, .needs_csum = true, .hdr_len = 60, .gso_size = 1240, .csum_start = 40, .csum_offset = 16},
        {.gso = SP_GSO_UDP, .needs_csum = true, .hdr_len = 48, .gso_size = 1200, .csum_start = 40, .csum_offset = 6},
    };
    tcp_header(40, 5);
    for (size_t i = 0; i < sizeof offs / sizeof *offs; i++) {
        struct virtio_net_hdr h;
        struct sp_offload off;
        spl_virtio_write(&h, &offs[i]);
        assert_int_equal(h.hdr_len, offs[i].hdr_len);
        assert_int_equal(spl_virtio_read(&off, &h, packet, sizeof packet), SP_OK);
        assert_memory_equal(&off, &offs[i], sizeof off);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_packet),
        cmocka_unit_test(checksum_left_undone),
        cmocka_unit_test(header_length_is_read_from_the_packet),
        cmocka_unit_test(joined_packets_that_make_no_sense),
        cmocka_unit_test(there_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
