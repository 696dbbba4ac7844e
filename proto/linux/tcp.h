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

/* For a core that connects and does not listen: makes the table. ERR_FULL. */
SP_CHECK sp_err spl_tcp_open(struct spl_loop *loop, unsigned streams, struct spl_error *err);
/* An SP_EV_CONNECT: SP_IN_STREAM_OPEN with this id (it has SP_CONNECT_ID) and credit follows, or SP_IN_STREAM_CLOSE with err: ERR_AGAIN
 * (no answer within SPL_TCP_CONNECT_S), ERR_NOENT (nobody listens, no route), ERR_FULL (no room), ERR_DENIED, ERR_IO. */
void spl_tcp_connect(struct spl_loop *loop, uint64_t id, const struct sp_addr *to);
#define SPL_TCP_CONNECT_S 10

struct spl_tcp_counts {
    uint64_t accepted, connected, failed; /* failed: connections of ours that did not come about */
    uint64_t refused_full, closed;
    unsigned open;
};
const struct spl_tcp_counts *spl_tcp_counts(const struct spl_loop *loop);

#endif
