/* UDP in batches, on preallocated buffers; replies leave from the address that was asked.
 *
 * Datagrams become SP_IN_DATAGRAM; SP_OUT_DATAGRAM goes out of the socket that owns out.src, or a wildcard socket of
 * its family and port with the source set per packet; with src.family 0, of the first socket of the destination's
 * family. */
#ifndef SPL_UDP_H
#define SPL_UDP_H

#include "proto/linux/loop.h"

#define SPL_UDP_SOCKETS 64   /* a loop */
#define SPL_UDP_BATCH   128  /* datagrams a system call */
#define SPL_UDP_SIZE    4096 /* a longer datagram is dropped and counted */

/* Binds a socket (port 0: any) and starts to receive. ret_bound (may be NULL) tells the address with its port.
 * ERR_EXIST (port taken), ERR_DENIED, ERR_FULL, ERR_IO. */
SP_CHECK sp_err spl_udp_open(struct spl_loop *loop, const struct sp_addr *bind, struct sp_addr *ret_bound,
                             struct spl_error *err);

struct spl_udp_counts {
    uint64_t received, sent;
    uint64_t batches_in, batches_out;
    uint64_t dropped_long, dropped_core, dropped_full,
        dropped_error; /* too long; not taken; no room to send; send failed */
};
const struct spl_udp_counts *spl_udp_counts(const struct spl_loop *loop);

#endif
