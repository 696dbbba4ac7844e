/* UDP over IPv6 inside a tunnel: how DNS travels between an agent and its signpost's overlay address, and between the host and the
 * agent's own resolver. Whole packets only, no options, no fragments. RFC 8200, 768. */
#ifndef SP_CONTROL_TUNNEL_H
#define SP_CONTROL_TUNNEL_H

#include "proto/base/bytes.h"

#define SP_TUNNEL_HEAD 48   /* IPv6 and UDP */
#define SP_TUNNEL_MAX  1280 /* of the packet */
#define SP_DNS_PORT    53
/* The agent's own requests to its signpost leave from this port, so that their answers are told from those to programs of the host. */
#define SP_CONTROL_PORT 853

struct sp_tunnel_udp {
    uint8_t src[16], dst[16];
    uint16_t sport, dport;
    const uint8_t *data;
    size_t len;
};
/* ERR_UNSUP: not UDP over IPv6, or with extension headers; ERR_FORM: lengths or checksum wrong; trailing zeros of WireGuard's padding
 * are left aside. check_csum false: the host has left the checksum undone. */
SP_CHECK sp_err sp_tunnel_udp_read(struct sp_tunnel_udp *ret, const uint8_t *packet, size_t len, bool check_csum);
/* Writes head and checksum in front of u->len bytes that stand at out + SP_TUNNEL_HEAD already (u->data is not read). The packet's
 * length; 0: cap too small. */
size_t sp_tunnel_udp_write(const struct sp_tunnel_udp *u, uint8_t *out, size_t cap);
/* An ICMPv6 "destination unreachable" with this code about `packet`, an IPv6 packet; from src, of at most 1280 bytes. Its length; 0: cap
 * too small, or none is due (RFC 4443 2.4 e): about ICMPv6 errors, to or from what is not one node, or about what is not IPv6. */
size_t sp_tunnel_unreachable(const uint8_t src[16], const uint8_t *packet, size_t len, uint8_t code, uint8_t *out, size_t cap);
/* A "packet too big" with this MTU likewise; due about packets to multicast addresses too. RFC 4443 3.2. */
size_t sp_tunnel_too_big(const uint8_t src[16], const uint8_t *packet, size_t len, uint32_t mtu, uint8_t *out, size_t cap);

#endif
