/* The host's addresses, followed through netlink. RFC 3549. */
#ifndef SPL_AGENT_NETWATCH_H
#define SPL_AGENT_NETWATCH_H

#include "proto/base/host.h"
#include "proto/linux/error.h"

struct event_base;
struct spl_netwatch;

/* Called with all addresses that can be used now: of interfaces that are up, not tentative, deprecated or temporary
 * (RFC 8981). Once from spl_netwatch_new, then after every change, of default routes too: the addresses may then be the same. */
typedef void spl_netwatch_changed(void *ctx, const struct sp_addr *addrs, size_t n);

/* ignore: the index of an interface whose addresses do not count (our own tunnel device), or 0. */
SP_CHECK sp_err spl_netwatch_new(struct spl_netwatch **ret, struct event_base *base, int ignore, spl_netwatch_changed *changed,
                                 void *ctx, struct spl_error *err);
/* Whether the ignored interface is up and has no address: another program has set it down and up again. */
bool spl_netwatch_bare(const struct spl_netwatch *w);
void spl_netwatch_free(struct spl_netwatch *w);

#endif
