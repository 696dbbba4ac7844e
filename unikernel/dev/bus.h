/* What all devices share: two folders of the xenstore, ours and the backend's, and the state that each side shows the
 * other (Xen's io/xenbus.h). All of it waits for the xenstore's answers. */
#ifndef SPX_BUS_H
#define SPX_BUS_H

#include "unikernel/dev/xenstore.h"

#include <xen/io/xenbus.h>

#define SPX_BUS_KEYS 12

struct spx_bus {
    struct spx_xs *xs;
    struct spx_text front, back; /* paths, "device/vif/0" and "/local/domain/0/backend/vif/1/0" */
    uint16_t backend;            /* domain */
    unsigned token;              /* of the watch of the backend's state */
    bool watched;
};

/* Finds the device in the store, and watches its backend's state under that token. ERR_NOENT: the domain has no such
 * device. */
SP_CHECK sp_err spx_bus_find(struct spx_bus *bus, struct spx_xs *xs, const char *kind, uint64_t number, unsigned token);
void spx_bus_leave(struct spx_bus *bus);
/* A number that the backend offers, or `otherwise` when it says nothing. */
SP_CHECK sp_err spx_bus_offer(struct spx_bus *bus, const char *key, uint64_t otherwise, uint64_t *ret);
/* The backend's state; XenbusStateUnknown when there is none. */
SP_CHECK sp_err spx_bus_state(struct spx_bus *bus, unsigned *ret);
/* Waits until the backend is in one of the states (bits, 1 << XenbusState...): ERR_TIME, or ERR_STATE when it
 * closes and Closed is not among them. */
SP_CHECK sp_err spx_bus_await(struct spx_bus *bus, unsigned states, sp_instant deadline, unsigned *ret);
struct spx_bus_key {
    const char *key;
    uint64_t value;
};
/* Writes up to SPX_BUS_KEYS numbers into our folder, all at once. */
SP_CHECK sp_err spx_bus_say(struct spx_bus *bus, const struct spx_bus_key *keys, size_t n);

#endif
