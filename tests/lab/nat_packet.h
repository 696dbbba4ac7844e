/* What a NAT does to packets: finds the flow in an IP packet, asks the model (tests/support/nat_model.h), rewrites
 * addresses, ports and checksums. UDP, TCP, ICMP echo and ICMP errors; everything else, fragments too, is dropped by a
 * NAT and passes where there is none. */
#ifndef SP_TESTS_NAT_PACKET_H
#define SP_TESTS_NAT_PACKET_H

#include "tests/support/nat_model.h"

enum nat_side { NAT_INSIDE, NAT_OUTSIDE, NAT_NOWHERE };

struct nat_packets {
    struct nat *v4, *v6; /* NULL: this family passes as it is; v6 is a firewall */
    bool block_udp;
    uint64_t odd; /* dropped for being nothing that a NAT knows */
};

/* Takes an IP packet that came from this side, rewrites it in place and says where it leaves. */
enum nat_side nat_packet(struct nat_packets *n, uint8_t *packet, size_t len, enum nat_side from, sp_instant now);

#endif
