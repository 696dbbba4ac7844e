/* Where the configuration comes from, and what of it the network stack is told. */
#ifndef SPX_CONFIG_H
#define SPX_CONFIG_H

#include "unikernel/dev/xenstore.h"
#include "unikernel/host/cmdline.h"

/* Reads the command line and vm-data/signpost into *ret (zeros). False: the console says why not. */
bool spx_config_load(struct spx_cmdline *ret, struct spx_xs *xs, const char *command_line);

/* Addresses, routers, ports and the secret of RFC 7217 of an interface.
 *
 * The secret follows from the zone alone, so that the addresses that SLAAC gives are the same at each start, with or
 * without a disk, and differ between zones and (the stack adds it) between MACs. Anybody can compute it. That is enough
 * here: a secret keeps a host from being followed from network to network and from being found by guessing addresses,
 * while this one is a server whose address stands in the DNS. */
void spx_config_net(const struct spx_cmdline *c, struct sp_net_config *ret);

#endif
