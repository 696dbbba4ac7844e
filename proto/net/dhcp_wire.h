/* DHCP messages, RFC 2131 2 and RFC 2132: what is in one that matters to a client. */
#ifndef SP_NET_DHCP_WIRE_H
#define SP_NET_DHCP_WIRE_H

#include "proto/base/bytes.h"

enum dhcp_type { DHCP_DISCOVER = 1, DHCP_OFFER, DHCP_REQUEST, DHCP_DECLINE, DHCP_ACK, DHCP_NAK, DHCP_RELEASE };

#define DHCP_MESSAGE_MAX 400 /* of those that we write */
#define DHCP_RESOLVERS   4

/* Addresses are numbers; 0: not said. */
struct dhcp_message {
    uint8_t type;
    uint32_t xid, ciaddr, yiaddr, requested, server, mask, router, lease_s, t1_s, t2_s;
    uint16_t secs, mtu;
    uint32_t resolvers[DHCP_RESOLVERS];
    uint8_t resolver_count;
    uint8_t mac[6];
};

/* A server's reply. ERR_SHORT, ERR_FORM (no reply over Ethernet, no DHCP, options that run over). */
SP_CHECK sp_err sp_net_dhcp_read(const uint8_t *data, size_t len, struct dhcp_message *ret);
/* A client's message; hostname may be empty. Returns its length, at most DHCP_MESSAGE_MAX. */
size_t sp_net_dhcp_write(const struct dhcp_message *m, const char *hostname, uint8_t buf[DHCP_MESSAGE_MAX]);

#endif
