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
#define SPL_UDP_JOINED_BATCH 32 /* joined datagrams a system call, of at most 64 KiB each */
#define SPL_UDP_TUNNEL_BATCH 8  /* of them, with SPL_UDP_WHOLE too: what the cache holds */

enum spl_udp_flag {
    SPL_UDP_JOINED = 1, /* datagrams of a flow may come joined (GRO): sp_in.segment. For tunnels: fewer, longer buffers */
    SPL_UDP_WHOLE = 2,  /* never fragmented: DF is set, and what is longer than the device's MTU is dropped and counted */
};

/* Binds a socket (port 0: any) and starts to receive. flags: enum spl_udp_flag. ret_bound (may be NULL) tells the address with its
 * port. ERR_EXIST (port taken), ERR_DENIED, ERR_FULL, ERR_IO. */
SP_CHECK sp_err spl_udp_open(struct spl_loop *loop, const struct sp_addr *bind, unsigned flags, struct sp_addr *ret_bound,
                             struct spl_error *err);

struct spl_udp_counts {
    uint64_t received, sent;
    uint64_t batches_in, batches_out;
    uint64_t dropped_long, dropped_core; /* too long to receive; not taken */
    uint64_t dropped_full, dropped_size, dropped_error; /* no room to send; over the device's MTU; send failed */
};
const struct spl_udp_counts *spl_udp_counts(const struct spl_loop *loop);

#endif
