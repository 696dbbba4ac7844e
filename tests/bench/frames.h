/* A TAP device as the programs of this bench use it: descriptor, non-blocking, with or without virtio's header. */
#ifndef TESTS_BENCH_FRAMES_H
#define TESTS_BENCH_FRAMES_H

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define FRAMES_VNET 12 /* bytes of struct virtio_net_hdr_v1 before each frame */

/* A device that a program has attached to is ready when the kernel has noticed; a bridge drops what comes before. */
static inline void frames_await(struct ifreq *r) {
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    for (int i = 0; i < 300 && ioctl(s, SIOCGIFFLAGS, r) == 0 && !(r->ifr_flags & IFF_RUNNING); i++)
        usleep(10000);
    close(s);
}

/* Attaches to a device that exists. offload: frames come with unfinished checksums and TCP ones up to 64 KiB, and may go so. Prints
 * what failed, and returns -1. */
static inline int frames_open(const char *name, bool vnet, bool offload) {
    struct ifreq r = {.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | (vnet ? IFF_VNET_HDR : 0))};
    int header = FRAMES_VNET, fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name);
    if (fd >= 0 && ioctl(fd, TUNSETIFF, &r) == 0 && (!vnet || ioctl(fd, TUNSETVNETHDRSZ, &header) == 0) &&
        ioctl(fd, TUNSETOFFLOAD, offload ? TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 : 0) == 0) {
        frames_await(&r);
        return fd;
    }
    perror(name);
    if (fd >= 0)
        close(fd);
    return -1;
}

#endif
