/* Replies to updates: only what the signpost signed, over a request of ours in flight, counts. RFC 2931 3.1. */
#ifndef SP_AGENT_REPLY_H
#define SP_AGENT_REPLY_H

#include "client/core/state.h"

struct sp_agent_reply {
    unsigned request; /* index into a->sent */
    uint16_t rcode;   /* with the EDNS part */
    int ede;          /* -1: none; RFC 8914 */
    char ede_text[128];
    bool have_lease;
    uint32_t lease_s; /* granted */
    int64_t offset_s; /* the signpost's clock less ours */
};

/* True when the datagram is a reply to be acted on; else it was counted, and nothing else has changed. One verification
 * at most, and only for a message with the id and source of a request in flight. */
bool sp_agent_reply_read(struct sp_agent *a, sp_wall wall, const struct sp_in *in, struct sp_agent_reply *ret);

/* What a reply means for the attempt. */
enum sp_agent_answer {
    SP_ANSWER_ACCEPTED,
    SP_ANSWER_TIME,    /* our signature was outside the signpost's window */
    SP_ANSWER_REFUSED, /* asking again would not help */
    SP_ANSWER_FAILED,  /* later may be better */
};
enum sp_agent_answer sp_agent_answer(const struct sp_agent_reply *reply);

#endif
