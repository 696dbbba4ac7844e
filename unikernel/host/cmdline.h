/* What the operator asks for, from the guest's command line: words of the form NAME=VALUE, parted by blanks.
 *
 *   ip=ADDR/BITS   our address                         gw=ADDR   the router, if there is one
 *   zone=ZONE      the zone to serve                   ns=NAME   its name server's name, if not the signpost's own
 * choice disk=xvda      keeps the log; without it everything is kept in memory only */
#ifndef SPX_CMDLINE_H
#define SPX_CMDLINE_H

#include "proto/base/host.h"
#include "unikernel/lib/text.h"

struct spx_cmdline {
    struct sp_addr address, gateway; /* gateway: family 0 when there is none */
    uint8_t bits;
    struct spx_text ip; /* the address without its bits */
    struct spx_text zone, ns;
    struct spx_text disk; /* empty: none */
};

/* False: *why says what cannot be used. */
bool spx_cmdline_read(struct spx_cmdline *ret, const char *text, struct spx_text *why);

#endif
