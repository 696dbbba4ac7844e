/* TCP streams with the contract's credit. A listener's connections become SP_IN_STREAM_OPEN; what the core does not
 * want it closes. */
#ifndef SPL_TCP_H
#define SPL_TCP_H

#include "proto/linux/loop.h"

#define SPL_TCP_LISTENERS 64                  /* a loop */
#define SPL_TCP_WINDOW    ((size_t)256 << 10) /* credit that a stream starts with */

/* streams: table size, shared by all listeners of the loop (the first call sets it); more are closed at once and
 * counted. */
SP_CHECK sp_err spl_tcp_listen(struct spl_loop *loop, const struct sp_addr *bind, unsigned streams,
                               struct sp_addr *ret_bound, struct spl_error *err);

struct spl_tcp_counts {
    uint64_t accepted, refused_full, closed;
    unsigned open;
};
const struct spl_tcp_counts *spl_tcp_counts(const struct spl_loop *loop);

#endif
