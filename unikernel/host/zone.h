/* The zone of the configuration: made where the disk has none, and its name server's addresses kept to what they are.
 *
 * The zone gives the name server (ns=, else ns.ZONE) the addresses of public=, or else those that the guest has: they
 * are set at each start, and again whenever a lease or an advertisement changes them, so that a guest that was moved or
 * addressed anew answers to its name. A family that has no address for the moment keeps those of before; one that is
 * not configured has none. What somebody writes there by an update is replaced at the next start: public= is the way to
 * say something else. A name server outside of the zone has no address in it. */
#ifndef SPX_ZONE_H
#define SPX_ZONE_H

#include "unikernel/host/cmdline.h"
#include "unikernel/host/loop.h"

#define SPX_ZONE_ADDRS 8

struct spx_zone {
    struct spx_loop *loop;
    const struct spx_cmdline *wanted;
    bool inside; /* the name server lies in the zone */
    bool open, told;
    uint32_t generation;
};

/* Waits for the log's replay and for an address. False: there is no such zone, and the console says why, or the loop
 * has ended. */
bool spx_zone_open(struct spx_zone *z, struct spx_loop *loop, const struct spx_cmdline *wanted);
/* After each turn: tells the core when the addresses are others. */
void spx_zone_follow(struct spx_zone *z);

#endif
