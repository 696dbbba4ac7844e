/* A bad wire: frames of one TAP device come out at another, but some are lost, late, or twice, by a seed.
 *
 *   badwire ONE OTHER [seed=N] [drop=PERMILLE] [late=PERMILLE] [twice=PERMILLE] [by-us=N]
 *
 * Both ways alike. A late frame is held back until `by-us` microseconds have passed. Only frames of at least `least` bytes
 * are harmed (default 60: neighbour discovery stays whole, lest a test is about that). Its standard input's end ends it, and it says
 * what it did. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define FRAME_MAX 9100
#define LATE_MAX  4096

struct late {
    uint64_t due;
    int to;
    size_t len;
    uint8_t frame[FRAME_MAX];
};

struct wire {
    int fd[2];
    uint64_t state, by_us;
    unsigned drop, late, twice, least;
    unsigned long passed, dropped, delayed, doubled;
    struct late *waiting; /* ring, in order of `due` */
    unsigned first, count;
    uint8_t frame[FRAME_MAX];
};

static uint64_t now_us(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* xorshift64*; one of a thousand. */
static unsigned chance(struct wire *w) {
    w->state ^= w->state >> 12;
    w->state ^= w->state << 25;
    w->state ^= w->state >> 27;
    return (unsigned)((w->state * 0x2545f4914f6cdd1du) >> 33) % 1000;
}

static void pass(struct wire *w, int to, const uint8_t *frame, size_t len) {
    w->passed += write(to, frame, len) >= 0;
}

static void hold_back(struct wire *w, int to, size_t len) {
    struct late *l = &w->waiting[(w->first + w->count++) % LATE_MAX];
    l->due = now_us() + w->by_us;
    l->to = to;
    l->len = len;
    memcpy(l->frame, w->frame, len);
    w->delayed++;
}

static void let_go(struct wire *w) {
    while (w->count > 0 && w->waiting[w->first].due <= now_us()) {
        struct late *l = &w->waiting[w->first];
        pass(w, l->to, l->frame, l->len);
        w->first = (w->first + 1) % LATE_MAX;
        w->count--;
    }
}

static void forward(struct wire *w, int from, int to) {
    for (int i = 0; i < 64; i++) {
        ssize_t n = read(from, w->frame, sizeof w->frame);
        if (n <= 0)
            return;
        size_t len = (size_t)n;
        let_go(w);
        if (len < w->least) {
            pass(w, to, w->frame, len);
            continue;
        }
        if (chance(w) < w->drop) {
            w->dropped++;
            continue;
        }
        if (chance(w) < w->late && w->count < LATE_MAX) {
            hold_back(w, to, len);
            continue;
        }
        pass(w, to, w->frame, len);
        if (chance(w) < w->twice) {
            pass(w, to, w->frame, len);
            w->doubled++;
        }
    }
}

static int open_tap(const char *name) {
    struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name);
    if (fd >= 0 && ioctl(fd, TUNSETIFF, &r) == 0)
        return fd;
    fprintf(stderr, "badwire: %s: %s\n", name, strerror(errno));
    exit(2);
}

static void set(struct wire *w, const char *word) {
    const char *value = strchr(word, '=');
    uint64_t x = value != NULL ? strtoull(value + 1, NULL, 10) : 0;
    if (strncmp(word, "seed=", 5) == 0)
        w->state = x * 0x9e3779b97f4a7c15u + 1;
    else if (strncmp(word, "drop=", 5) == 0)
        w->drop = (unsigned)x;
    else if (strncmp(word, "late=", 5) == 0)
        w->late = (unsigned)x;
    else if (strncmp(word, "twice=", 6) == 0)
        w->twice = (unsigned)x;
    else if (strncmp(word, "by-us=", 6) == 0)
        w->by_us = x;
    else if (strncmp(word, "least=", 6) == 0)
        w->least = (unsigned)x;
    else {
        fprintf(stderr, "badwire: cannot use the argument %s\n", word);
        exit(2);
    }
}

static int wait_us(const struct wire *w, struct timespec *ret) {
    uint64_t now = now_us(), due = w->count > 0 ? w->waiting[w->first].due : 0;
    uint64_t left = due > now ? due - now : 0;
    *ret = (struct timespec){(time_t)(left / 1000000), (long)(left % 1000000) * 1000};
    return w->count > 0;
}

int main(int argc, char **argv) {
    static struct wire w = {.state = 1, .by_us = 1000, .least = 60};
    if (argc < 3) {
        fprintf(stderr, "usage: badwire ONE OTHER [SETTING]...\n");
        return 2;
    }
    for (int i = 3; i < argc; i++)
        set(&w, argv[i]);
    w.waiting = malloc(LATE_MAX * sizeof *w.waiting);
    w.fd[0] = open_tap(argv[1]);
    w.fd[1] = open_tap(argv[2]);
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        struct pollfd fds[3] = {{.fd = w.fd[0], .events = POLLIN}, {.fd = w.fd[1], .events = POLLIN}, {.fd = 0, .events = POLLIN}};
        struct timespec ts;
        (void)ppoll(fds, 3, wait_us(&w, &ts) ? &ts : NULL, NULL);
        let_go(&w);
        if (fds[0].revents != 0)
            forward(&w, w.fd[0], w.fd[1]);
        if (fds[1].revents != 0)
            forward(&w, w.fd[1], w.fd[0]);
        if (fds[2].revents != 0)
            break;
    }
    printf("{\"passed\": %lu, \"dropped\": %lu, \"late\": %lu, \"twice\": %lu}\n", w.passed, w.dropped, w.delayed, w.doubled);
    free(w.waiting);
    return 0;
}
