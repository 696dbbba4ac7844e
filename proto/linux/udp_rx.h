/* What UDP sockets receive into; for udp.c alone. */
#ifndef SPL_UDP_RX_H
#define SPL_UDP_RX_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "proto/linux/udp.h"

#define SPL_UDP_RX_CONTROL (CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int)))

/* Buffers: many short ones, or few that hold joined datagrams. */
struct spl_udp_rx {
    unsigned count, used; /* buffers; messages of the last read, which the kernel has written to */
    struct mmsghdr msgs[SPL_UDP_BATCH];
    struct iovec iov[SPL_UDP_BATCH];
    struct sockaddr_in6 name[SPL_UDP_BATCH];
    union {
        struct cmsghdr align;
        uint8_t bytes[SPL_UDP_RX_CONTROL];
    } control[SPL_UDP_BATCH];
    uint8_t *buffers;
    size_t size; /* of all */
};

/* NULL: no memory. Pages that were never received into cost nothing. */
struct spl_udp_rx *spl_udp_rx_new(unsigned count, size_t size);
void spl_udp_rx_free(struct spl_udp_rx *rx);
/* Gives the buffers' pages back until they are needed again. */
void spl_udp_rx_rest(struct spl_udp_rx *rx);

/* As many datagrams as there are, at most rx->count; -1 and errno. control: what the kernel says beside them is wanted. */
int spl_udp_rx_read(struct spl_udp_rx *rx, int fd, bool control);
/* The n that were read, as inputs; how many they are. local: of the socket. Those that did not fit are counted in *ret_long. */
size_t spl_udp_rx_describe(struct spl_udp_rx *rx, unsigned n, const struct sp_addr *local, struct sp_in *in, uint64_t *ret_long);

#endif
