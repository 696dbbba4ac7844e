/* Which addresses a device publishes. */
#ifndef SP_AGENT_PRESENCE_H
#define SP_AGENT_PRESENCE_H

#include "client/core/state.h"

enum sp_addr_reach {
    SP_REACH_NONE,    /* never published on its own: loopback, link-local, multicast, unspecified, reserved */
    SP_REACH_PRIVATE, /* RFC 1918, RFC 6598, RFC 4193, RFC 2544 */
    SP_REACH_GLOBAL,
};
enum sp_addr_reach sp_addr_reach(const struct sp_addr *addr);
/* Whether an owner may ask to publish it: any unicast address but the unspecified one. */
bool sp_addr_publishable(const struct sp_addr *addr);

bool sp_addrs_have(const struct sp_addr *list, unsigned n, const struct sp_addr *addr); /* port and scope aside */
/* The addresses to publish now: the owner's own first, then the host's by policy; each once, never one of the overlay.
 */
unsigned sp_presence_select(const struct sp_agent *a, struct sp_addr ret[SP_AGENT_PUBLISH_MAX]);

#endif
