/* A NAT box: two TUN devices, inside and outside, and between them a NAT of any behaviour, or a firewall, or just a
 * link, with delay, jitter, loss and a packet size beyond which packets vanish. The kernel around it routes what comes
 * from the LAN to the one and what comes from the WAN to the other (natbox.py).
 *
 *   natbox inside=TUN outside=TUN [address=A] [SETTING=VALUE]...
 *
 * Settings: of the NAT (tests/support/nat_model.h) mapping, filter, ports, hairpin, refresh-in, timeout, limit, seed,
 * and address=A     its outside address; without one IPv4 passes as it is host=A        the inside host of a 1:1 NAT
 *   firewall6=F   IPv6 passes a stateful firewall of this filter; else as it is
 *   delay=MS jitter=MS loss=PERCENT   one way, each way; jitter is added to delay, uniform
 *   mtu=N         larger packets vanish; 0: none
 *   block-udp=0|1
 * Standard input takes delay, jitter, loss, mtu, block-udp and address (all mappings are forgotten) as such lines, and
 * `rebind` and `stats`; each is answered by a line: ok, error, or counters. Its end ends the program. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "tests/lab/nat_packet.h"

#define QUEUE  8192
#define BATCH  64
#define PACKET 2048

struct waiting {
    sp_instant due;
    uint64_t order; /* packets of one moment leave as they came */
    size_t len;
    int fd;
    uint8_t data[PACKET];
};

struct box {
    struct nat_config v4, v6;
    struct nat_packets nat;
    int tun[2]; /* by side */
    double delay_ms, jitter_ms, loss;
    unsigned mtu;
    struct waiting *heap[QUEUE]; /* by due */
    size_t waiting;
    uint64_t order, passed, dropped_nat, dropped_loss, dropped_mtu, dropped_queue;
    char line[256]; /* of standard input, so far */
    size_t line_len;
};

static sp_instant clock_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (sp_instant)t.tv_sec * SP_SEC + (sp_instant)t.tv_nsec;
}

/* ---- the queue of delayed packets: a binary heap ---- */

static bool earlier(const struct waiting *a, const struct waiting *b) {
    return a->due != b->due ? a->due < b->due : a->order < b->order;
}

static void swap(struct box *b, size_t i, size_t j) {
    struct waiting *w = b->heap[i];
    b->heap[i] = b->heap[j];
    b->heap[j] = w;
}

static void enqueue(struct box *b, int fd, const uint8_t *data, size_t len, sp_instant due) {
    struct waiting *w = b->waiting < QUEUE ? malloc(sizeof *w) : NULL;
    if (w == NULL) {
        b->dropped_queue++;
        return;
    }
    w->due = due;
    w->order = b->order++;
    w->fd = fd;
    w->len = len;
    memcpy(w->data, data, len);
    size_t i = b->waiting++;
    b->heap[i] = w;
    for (; i > 0 && earlier(b->heap[i], b->heap[(i - 1) / 2]); i = (i - 1) / 2)
        swap(b, i, (i - 1) / 2);
}

static struct waiting *dequeue(struct box *b) {
    struct waiting *w = b->heap[0];
    b->heap[0] = b->heap[--b->waiting];
    for (size_t i = 0;;) {
        size_t least = i, left = 2 * i + 1;
        for (size_t c = left; c < left + 2 && c < b->waiting; c++)
            if (earlier(b->heap[c], b->heap[least]))
                least = c;
        if (least == i)
            return w;
        swap(b, i, least);
        i = least;
    }
}

/* ---- packets ---- */

static void put(struct box *b, int fd, const uint8_t *data, size_t len) {
    if (write(fd, data, len) == (ssize_t)len)
        b->passed++;
    else
        b->dropped_queue++;
}

static void take(struct box *b, enum nat_side from, uint8_t *data, size_t len) {
    sp_instant now = clock_now();
    if (b->mtu != 0 && len > b->mtu) {
        b->dropped_mtu++;
        return;
    }
    enum nat_side to = nat_packet(&b->nat, data, len, from, now);
    if (to == NAT_NOWHERE) {
        b->dropped_nat++;
        return;
    }
    if (b->loss > 0 && drand48() * 100 < b->loss) {
        b->dropped_loss++;
        return;
    }
    if (b->delay_ms == 0 && b->jitter_ms == 0)
        put(b, b->tun[to], data, len);
    else
        enqueue(b, b->tun[to], data, len,
                now + (sp_duration)((b->delay_ms + b->jitter_ms * drand48()) * (double)SP_MS));
}

static void take_all(struct box *b, enum nat_side from) {
    uint8_t data[PACKET];
    for (unsigned i = 0; i < BATCH; i++) {
        ssize_t len = read(b->tun[from], data, sizeof data);
        if (len <= 0)
            return;
        take(b, from, data, (size_t)len);
    }
}

static void release(struct box *b) {
    for (sp_instant now = clock_now(); b->waiting > 0 && b->heap[0]->due <= now;) {
        struct waiting *w = dequeue(b);
        put(b, w->fd, w->data, w->len);
        free(w);
    }
}

/* ---- settings ---- */

static bool address(struct sp_addr *ret, const char *text) {
    *ret = (struct sp_addr){.family = 4};
    return inet_pton(AF_INET, text, ret->ip) == 1;
}

static bool number(double *ret, const char *text, double max) {
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end != 0 || !(v >= 0 && v <= max))
        return false;
    *ret = v;
    return true;
}

/* What may change while the box runs. */
static bool set_link(struct box *b, const char *name, const char *value) {
    double v;
    if (strcmp(name, "delay") == 0)
        return number(&b->delay_ms, value, 60000);
    if (strcmp(name, "jitter") == 0)
        return number(&b->jitter_ms, value, 60000);
    if (strcmp(name, "loss") == 0)
        return number(&b->loss, value, 100);
    if (strcmp(name, "mtu") == 0 && number(&v, value, 65535)) {
        b->mtu = (unsigned)v;
        return true;
    }
    if (strcmp(name, "block-udp") == 0 && number(&v, value, 1)) {
        b->nat.block_udp = v != 0;
        return true;
    }
    return false;
}

static int open_tun(const char *name) {
    struct ifreq ifr = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || strlen(name) >= sizeof ifr.ifr_name)
        return -1;
    strcpy(ifr.ifr_name, name);
    return ioctl(fd, TUNSETIFF, &ifr) == 0 ? fd : -1;
}

static bool set(struct box *b, const char *name, const char *value) {
    if (strcmp(name, "inside") == 0)
        return (b->tun[NAT_INSIDE] = open_tun(value)) >= 0;
    if (strcmp(name, "outside") == 0)
        return (b->tun[NAT_OUTSIDE] = open_tun(value)) >= 0;
    if (strcmp(name, "address") == 0)
        return address(&b->v4.outside, value);
    if (strcmp(name, "host") == 0)
        return address(&b->v4.inside, value);
    if (strcmp(name, "firewall6") == 0) {
        b->v6.mapping = NAT_MAPPING_FIREWALL;
        b->v6.outside.family = 6; /* marks that there is one */
        return nat_config_set(&b->v6, "filter", value);
    }
    return set_link(b, name, value) || nat_config_set(&b->v4, name, value);
}

/* ---- standard input ---- */

static void stats(const struct box *b) {
    const struct nat_counts none = {0}, *c = b->nat.v4 != NULL ? nat_counts(b->nat.v4) : &none;
    printf("{\"passed\": %llu, \"lost\": %llu, \"too_large\": %llu, \"queue\": %llu, \"refused\": %llu, \"odd\": %llu, "
           "\"unmapped\": %llu, "
           "\"filtered\": %llu, \"hairpins\": %llu, \"mappings\": %u}\n",
           (unsigned long long)b->passed, (unsigned long long)b->dropped_loss, (unsigned long long)b->dropped_mtu,
           (unsigned long long)b->dropped_queue, (unsigned long long)b->dropped_nat, (unsigned long long)b->nat.odd,
           (unsigned long long)c->dropped_unmapped, (unsigned long long)c->dropped_filter,
           (unsigned long long)c->hairpins, b->nat.v4 != NULL ? nat_mappings(b->nat.v4) : 0);
}

static bool command(struct box *b, char *line) {
    struct sp_addr a;
    char *value = strchr(line, '=');
    if (strcmp(line, "rebind") == 0) {
        if (b->nat.v4 != NULL)
            nat_rebind(b->nat.v4);
        if (b->nat.v6 != NULL)
            nat_rebind(b->nat.v6);
        return true;
    }
    if (value == NULL)
        return false;
    *value++ = 0;
    if (strcmp(line, "address") != 0)
        return set_link(b, line, value);
    if (b->nat.v4 == NULL || !address(&a, value))
        return false;
    nat_readdress(b->nat.v4, &a);
    return true;
}

/* False at its end. */
static bool commands(struct box *b) {
    ssize_t got = read(STDIN_FILENO, b->line + b->line_len, sizeof b->line - 1 - b->line_len);
    if (got <= 0)
        return got < 0 && (errno == EAGAIN || errno == EINTR);
    b->line_len += (size_t)got;
    b->line[b->line_len] = 0;
    for (char *end; (end = strchr(b->line, '\n')) != NULL;) {
        *end = 0;
        if (strcmp(b->line, "stats") == 0)
            stats(b);
        else
            puts(command(b, b->line) ? "ok" : "error");
        b->line_len -= (size_t)(end + 1 - b->line);
        memmove(b->line, end + 1, b->line_len + 1);
    }
    fflush(stdout);
    return b->line_len < sizeof b->line - 1;
}

static int loop(struct box *b) {
    for (;;) {
        struct pollfd fds[] = {
            {b->tun[NAT_INSIDE], POLLIN, 0}, {b->tun[NAT_OUTSIDE], POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
        struct timespec wait = {0}, *timeout = NULL;
        if (b->waiting > 0) {
            sp_instant now = clock_now(), due = b->heap[0]->due;
            wait.tv_sec = due > now ? (time_t)((due - now) / SP_SEC) : 0;
            wait.tv_nsec = due > now ? (long)((due - now) % SP_SEC) : 0;
            timeout = &wait;
        }
        if (ppoll(fds, 3, timeout, NULL) < 0 && errno != EINTR)
            return 1;
        release(b);
        if (fds[0].revents != 0)
            take_all(b, NAT_INSIDE);
        if (fds[1].revents != 0)
            take_all(b, NAT_OUTSIDE);
        if (fds[2].revents != 0 && !commands(b))
            return 0;
    }
}

int main(int argc, char **argv) {
    static struct box b = {.tun = {-1, -1}};
    for (int i = 1; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        if (value != NULL)
            *value++ = 0;
        if (value == NULL || !set(&b, argv[i], value)) {
            fprintf(stderr, "natbox: %s: no such setting or value: %s\n", argv[i], value != NULL ? value : "");
            return 2;
        }
    }
    if (b.tun[NAT_INSIDE] < 0 || b.tun[NAT_OUTSIDE] < 0) {
        fprintf(stderr, "natbox: needs inside=TUN and outside=TUN\n");
        return 2;
    }
    srand48((long)b.v4.seed + 1);
    if ((b.v4.outside.family != 0 || b.v4.mapping == NAT_MAPPING_FIREWALL) && (b.nat.v4 = nat_new(&b.v4)) == NULL)
        return 1;
    if (b.v6.outside.family != 0 && (b.nat.v6 = nat_new(&b.v6)) == NULL)
        return 1;
    puts("ready");
    fflush(stdout);
    return loop(&b);
}
