/* The parts of signpost-devices. */
#ifndef SPX_DEVICES_H
#define SPX_DEVICES_H

#include "unikernel/dev/xenstore.h"
#include "unikernel/xen/grant.h"

enum { TOKEN_PING, TOKEN_OTHER, TOKEN_NET, TOKEN_DISK, TOKEN_CONTROL };

struct spx_devices {
    struct spx_grants grants;
    void *table;
    struct spx_xs store;
};

bool devices_failed(const char *what, sp_err err); /* prints; always false */
/* What the store says, without waiting: go on, end, or connect the devices again. */
enum devices_turn { DEVICES_GO_ON, DEVICES_END, DEVICES_RESUMED };
enum devices_turn devices_turn(struct spx_devices *d);
bool devices_net(struct spx_devices *d);
bool devices_disk(struct spx_devices *d, bool on_and_on);

#endif
