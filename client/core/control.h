/* The agent's control verbs: request bytes to reply bytes. */
#ifndef SP_AGENT_CONTROL_H
#define SP_AGENT_CONTROL_H

#include "client/core/state.h"

/* Takes a request; ERR_FULL when SP_AGENT_CONTROL_MAX are waiting or not yet fetched. */
SP_CHECK sp_err sp_agent_control(struct sp_agent *a, sp_instant now, uint64_t id, const uint8_t *data, size_t len);
/* A one-shot has ended: answers those who asked for it. */
void sp_agent_control_ended(struct sp_agent *a, sp_instant now);
/* The next reply to send; false: none. Its bytes stay until sp_agent_control_given. */
bool sp_agent_control_next(struct sp_agent *a, struct sp_out *out);
/* Answers those whose PING or NETCHECK is done. */
void sp_agent_control_settle(struct sp_agent *a, sp_instant now);
void sp_agent_control_given(struct sp_agent *a);

#endif
