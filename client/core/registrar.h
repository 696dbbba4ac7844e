/* The registrar: what state follows on what happened. */
#ifndef SP_AGENT_REGISTRAR_H
#define SP_AGENT_REGISTRAR_H

#include "client/core/reply.h"

enum sp_agent_happening {
    SP_ON_ASKED,    /* the owner set another goal */
    SP_ON_ACCEPTED, /* the signpost did what was asked */
    SP_ON_REFUSED,  /* it will not */
    SP_ON_FAILED,   /* it could not now */
    SP_ON_SILENCE,  /* the last transmission of an attempt stayed unanswered */
    SP_ON_WAKE,     /* the wait of a state is over */
    SP_ON_NETWORK,  /* the host's addresses have changed and settled */
};

void sp_registrar_step(struct sp_agent *a, enum sp_agent_happening on, sp_instant now);
/* Takes a checked reply to a request of the attempt under way. */
void sp_registrar_reply(struct sp_agent *a, const struct sp_agent_reply *reply, sp_instant now);

#endif
