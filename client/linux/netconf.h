/* The overlay's address, route and limits on a device of ours, through rtnetlink (RFC 3549). All of it goes with the device. */
#ifndef SPL_AGENT_NETCONF_H
#define SPL_AGENT_NETCONF_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/linux/error.h"

/* Sets MTU and address (/128), brings the device up and routes the address's /64 to it. No router or neighbour discovery, no duplicate
 * address detection, no link-local address. Where IPv6 is switched off by sysctl it is switched on for this device alone.
 * ERR_DENIED; ERR_EXIST: the /64 is routed already (another agent of the zone runs here); ERR_UNSUP: no IPv6 in the kernel; ERR_IO. */
SP_CHECK sp_err spl_netconf_up(const char *name, int index, const uint8_t addr[16], uint16_t mtu, struct spl_error *err);

#endif
