/* Forwarding of names that are not the zone's: SP_EV_FORWARD through c-ares to the resolvers of /etc/resolv.conf, our
 * own address left out; SP_IN_FORWARDED comes back. In use with --dns resolvconf alone, where the host asks the agent
 * for everything. */
#ifndef SPL_UPSTREAM_H
#define SPL_UPSTREAM_H

#include "proto/linux/loop.h"

#define SPL_UPSTREAM_MAX 256 /* queries under way; further ones fail at once with ERR_BUDGET */

struct spl_upstream;

/* self: the address of our own resolver (sp_resolver_addr), never asked. The servers are read again when the file
 * changes. conf NULL: /etc/resolv.conf. */
SP_CHECK sp_err spl_upstream_new(struct spl_upstream **ret, struct spl_loop *loop, const uint8_t self[16],
                                 const char *conf, struct spl_error *err);
/* Before spl_loop_free; NULL is fine. Queries under way are dropped. */
void spl_upstream_free(struct spl_upstream *u);
/* From spl_core.effect: an SP_EV_FORWARD. Never delivers from within. */
void spl_upstream_ask(struct spl_upstream *u, const struct sp_event *ev);

#endif
