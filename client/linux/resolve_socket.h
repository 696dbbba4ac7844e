/* Queries of local programs, through the NSS module: a Unix socket that every user of the machine may connect to. One
 * DNS query a packet (SOCK_SEQPACKET), then its reply as one packet, or the connection ends. It may ask again after a
 * reply.
 *
 * Bounded: 64 connections, 16 of one user (root aside), queries of at most 4096 bytes, 10 s of silence. What is over a
 * bound is hung up on, so that the module fails at once and the program asks elsewhere. */
#ifndef SPL_RESOLVE_SOCKET_H
#define SPL_RESOLVE_SOCKET_H

#include "proto/linux/loop.h"

#define SPL_RESOLVE_PATH    "/run/signpost/resolve"
#define SPL_RESOLVE_CLIENTS 64
#define SPL_RESOLVE_PER_UID 16
#define SPL_RESOLVE_QUERY   4096
/* Ids of the SP_IN_RESOLVE that come from here have this bit. */
#define SPL_RESOLVE_ID (UINT64_C(1) << 61)

struct spl_resolve_socket;

/* Listens on path (0666), whose folder is made (0755) if it is missing; replaces what a dead process left there.
 * ERR_EXIST: another process listens there. */
SP_CHECK sp_err spl_resolve_socket_open(struct spl_resolve_socket **ret, struct spl_loop *loop, const char *path,
                                        struct spl_error *err);
/* Hangs up and removes the socket; NULL is fine. Before spl_loop_free. */
void spl_resolve_socket_free(struct spl_resolve_socket *s);
/* From spl_core.given: an SP_OUT_RESOLVED of our ids. Others, and those whose program has gone, are passed over. */
void spl_resolve_socket_given(struct spl_resolve_socket *s, const struct sp_out *out);

#endif
