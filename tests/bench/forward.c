/* Passes frames between two TAP devices, each in a network namespace of its own: forward NAMESPACE:TAP NAMESPACE:TAP [offload]
 *
 * What one kernel sends, the other gets, by one read and one write of a device each: as many as between two programs whose devices a
 * bridge joins. offload: with unfinished checksums, and TCP segments uncut. Prints "ready". */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>

#include "tests/bench/frames.h"

#define BATCH 64

static uint8_t frame[FRAMES_VNET + 65536 + 64];

/* A descriptor of /dev/net/tun belongs to the namespace in which it was opened. */
static int open_in(char *place, bool offload) {
    char *colon = strchr(place, ':'), path[PATH_MAX];
    if (colon == NULL)
        return -1;
    *colon = 0;
    snprintf(path, sizeof path, "/run/netns/%s", place);
    int space = open(path, O_RDONLY | O_CLOEXEC);
    if (space < 0 || setns(space, CLONE_NEWNET) != 0) {
        perror(path);
        return -1;
    }
    close(space);
    return frames_open(colon + 1, true, offload);
}

/* Passes up to BATCH frames; false: the device had fewer. */
static bool pass(int from, int to) {
    for (int i = 0; i < BATCH; i++) {
        ssize_t n = read(from, frame, sizeof frame);
        if (n <= 0)
            return false;
        if (write(to, frame, (size_t)n) < 0 && errno != EAGAIN)
            perror("write");
    }
    return true;
}

int main(int argc, char **argv) {
    bool offload = argc == 4 && strcmp(argv[3], "offload") == 0;
    if (argc != 3 && !offload) {
        fprintf(stderr, "usage: forward NAMESPACE:TAP NAMESPACE:TAP [offload]\n");
        return 2;
    }
    struct pollfd p[2] = {{open_in(argv[1], offload), POLLIN, 0}, {open_in(argv[2], offload), POLLIN, 0}};
    if (p[0].fd < 0 || p[1].fd < 0)
        return 1;
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return 1;
        bool more = true;
        while (more) {
            more = pass(p[0].fd, p[1].fd);
            more = pass(p[1].fd, p[0].fd) || more;
        }
    }
}
