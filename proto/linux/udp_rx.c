#define _GNU_SOURCE
#include "proto/linux/udp_rx.h"

#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "proto/linux/addr.h"

#define LINE 64

struct spl_udp_rx *spl_udp_rx_new(unsigned count, size_t size) {
    struct spl_udp_rx *rx = calloc(1, sizeof *rx);
    if (rx == NULL)
        return NULL;
    /* A line more than the size, so that the first lines of all buffers do not fall into one set of the cache. */
    size_t stride = size + LINE;
    rx->count = count;
    rx->size = count * stride;
    rx->buffers = mmap(NULL, rx->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (rx->buffers == MAP_FAILED) {
        free(rx);
        return NULL;
    }
    for (unsigned i = 0; i < count; i++) {
        rx->iov[i] = (struct iovec){rx->buffers + i * stride, size};
        rx->msgs[i].msg_hdr = (struct msghdr){.msg_name = &rx->name[i],
                                              .msg_namelen = sizeof rx->name[i],
                                              .msg_iov = &rx->iov[i],
                                              .msg_iovlen = 1,
                                              .msg_control = rx->control[i].bytes};
    }
    return rx;
}

void spl_udp_rx_free(struct spl_udp_rx *rx) {
    if (rx != NULL)
        munmap(rx->buffers, rx->size);
    free(rx);
}

void spl_udp_rx_rest(struct spl_udp_rx *rx) {
    (void)madvise(rx->buffers, rx->size, MADV_DONTNEED);
}

int spl_udp_rx_read(struct spl_udp_rx *rx, int fd, bool control) {
    for (unsigned i = 0; i < rx->used; i++) {
        rx->msgs[i].msg_hdr.msg_namelen = sizeof rx->name[i];
        rx->msgs[i].msg_hdr.msg_flags = 0;
    }
    for (unsigned i = 0; i < rx->count; i++)
        rx->msgs[i].msg_hdr.msg_controllen = control ? SPL_UDP_RX_CONTROL : 0;
    int n = recvmmsg(fd, rx->msgs, rx->count, MSG_DONTWAIT, NULL);
    rx->used = n > 0 ? (unsigned)n : 0;
    return n;
}

/* What the kernel says beside a packet: the address of ours that it reached, which replies must come from (RFC 2181 4.1), and the size
 * of the datagrams that were joined. */
static void read_control(struct sp_in *in, struct msghdr *m) {
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            memcpy(in->dst.ip, &info.ipi_spec_dst, 4);
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            memcpy(in->dst.ip, &info.ipi6_addr, 16);
            in->dst.scope = IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr) ? info.ipi6_ifindex : 0;
        } else if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
            int size;
            memcpy(&size, CMSG_DATA(c), sizeof size);
            in->segment = size > 0 && (size_t)size < in->len ? (uint16_t)size : 0;
        }
    }
}

size_t spl_udp_rx_describe(struct spl_udp_rx *rx, unsigned n, const struct sp_addr *local, struct sp_in *in, uint64_t *ret_long) {
    size_t k = 0;
    for (unsigned i = 0; i < n; i++) {
        struct msghdr *m = &rx->msgs[i].msg_hdr;
        if ((m->msg_flags & MSG_TRUNC) != 0) {
            ++*ret_long;
            continue;
        }
        in[k].data = rx->iov[i].iov_base;
        in[k].len = rx->msgs[i].msg_len;
        in[k].segment = 0;
        in[k].dst = *local;
        spl_addr_from(&in[k].src, (const struct sockaddr *)&rx->name[i]);
        if (m->msg_controllen > 0)
            read_control(&in[k], m);
        k += in[k].src.family != 0 && in[k].src.port != 0;
    }
    return k;
}
