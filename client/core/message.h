/* The updates that an agent sends. RFC 2136, 2931 (SIG(0)), 9664 (leases). */
#ifndef SP_AGENT_MESSAGE_H
#define SP_AGENT_MESSAGE_H

#include "client/core/state.h"

/* Builds and signs the message of the attempt under way into req->wire, with a fresh id; at most SP_AGENT_MESSAGE_MAX
 * bytes. Remembers the time of the signature. Old addresses that find no room stay for the next attempt
 * (a->deletes_fit). */
void sp_agent_message(struct sp_agent *a, sp_wall wall, struct sp_agent_request *req);

#endif
