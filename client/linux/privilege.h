/* What the agent may do once everything that needs more is open. capabilities(7). */
#ifndef SPL_AGENT_PRIVILEGE_H
#define SPL_AGENT_PRIVILEGE_H

#include <stdbool.h>

#include "proto/linux/error.h"

/* Whether devices may be made and configured: CAP_NET_ADMIN. */
bool spl_privilege_network(void);
/* Gives up all capabilities but, with `network`, CAP_NET_ADMIN (addresses and routes change later too), for this process and what it starts, and the
 * way to new ones. dirfd: the state directory; when it is another user's, root keeps the right to write there. Without
 * capabilities nothing happens. */
SP_CHECK sp_err spl_privilege_drop(int dirfd, bool network, struct spl_error *err);

#endif
