/* `xl save`, `xl restore` and migrations: the loop goes on in another domain, perhaps elsewhere. */
#ifndef SPX_RESUME_H
#define SPX_RESUME_H

#include "unikernel/host/loop.h"

/* Stops until the toolstack goes on. Cancelled: nothing has changed. Else, before anything is sent: sessions and
 * connections dropped and randomness renewed; then grants, xenstore, watches and devices from nothing, block requests
 * that were on their way done again, and the link up anew, so that the network learns where our addresses are. Says on
 * the console what happened; ends the loop when it cannot go on. */
void spx_loop_suspend(struct spx_loop *l);

#endif
