/* One question to the agent, over its socket. */
#ifndef SP_NSS_ASK_H
#define SP_NSS_ASK_H

#include "client/nss/wire.h"

enum nss_asked {
    NSS_ASKED_FOUND,
    NSS_ASKED_NO_NAME, /* there is no such name */
    NSS_ASKED_NO_DATA, /* it has nothing of this type */
    NSS_ASKED_LATER,   /* it is the agent's, which cannot say now */
    NSS_ASKED_NOBODY,  /* no agent, or not one of its names */
};
/* Blocks for a few seconds at most. */
enum nss_asked nss_ask(const char *name, uint16_t type, struct nss_reply *ret);

#endif
