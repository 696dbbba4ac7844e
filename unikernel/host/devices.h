/* The parts of signpost-devices. */
#ifndef SPX_DEVICES_H
#define SPX_DEVICES_H

#include "unikernel/dev/xenstore.h"
#include "unikernel/xen/grant.h"

enum { TOKEN_PING, TOKEN_OTHER, TOKEN_NET, TOKEN_DISK };

struct spx_devices {
    struct spx_grants grants;
    struct spx_xs store;
};

bool devices_failed(const char *what, sp_err err); /* prints; always false */
bool devices_stop(struct spx_devices *d);
bool devices_net(struct spx_devices *d);
bool devices_disk(struct spx_devices *d);

#endif
