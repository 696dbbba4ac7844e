/* Our STUN on plain sockets, beside other people's:
 *   stun serve IP:PORT...              answers on these addresses; prints `ready`
 *   stun discover OWN-IP:PORT IP:PORT...   behaviour discovery from that socket by these servers; prints what it found,
 * as JSON */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "proto/crypto/crypto.h"
#include "proto/nat/behave.h"

#define SOCKETS 16
#define LARGEST 4096

static struct sp_addr addrs[SOCKETS];
static int sockets[SOCKETS];
static unsigned count;

static sp_instant clock_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (sp_instant)t.tv_sec * SP_SEC + (sp_instant)t.tv_nsec;
}

static struct sockaddr_in to_host(const struct sp_addr *a) {
    struct sockaddr_in s = {.sin_family = AF_INET, .sin_port = htons(a->port)};
    memcpy(&s.sin_addr, a->ip, 4);
    return s;
}

static bool parse(char *text, struct sp_addr *ret) {
    char *colon = strrchr(text, ':');
    *ret = (struct sp_addr){.family = 4};
    if (colon == NULL)
        return false;
    *colon = 0;
    ret->port = (uint16_t)atoi(colon + 1);
    return inet_pton(AF_INET, text, ret->ip) == 1 && ret->port != 0;
}

static int open_socket(const struct sp_addr *a) {
    struct sockaddr_in s = to_host(a);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return fd >= 0 && bind(fd, (struct sockaddr *)&s, sizeof s) == 0 ? fd : -1;
}

/* The length of the next datagram there, or 0. */
static size_t receive(int fd, uint8_t *data, struct sp_addr *ret_src) {
    struct sockaddr_in s;
    socklen_t n = sizeof s;
    ssize_t len = recvfrom(fd, data, LARGEST, MSG_DONTWAIT, (struct sockaddr *)&s, &n);
    if (len <= 0)
        return 0;
    *ret_src = (struct sp_addr){.family = 4, .port = ntohs(s.sin_port)};
    memcpy(ret_src->ip, &s.sin_addr, 4);
    return (size_t)len;
}

static void transmit(int fd, const uint8_t *data, size_t len, const struct sp_addr *dst) {
    struct sockaddr_in s = to_host(dst);
    if (sendto(fd, data, len, 0, (struct sockaddr *)&s, sizeof s) < 0)
        perror("stun: sendto");
}

static int socket_of(const struct sp_addr *a) {
    for (unsigned i = 0; i < count; i++)
        if (memcmp(&addrs[i], a, sizeof *a) == 0)
            return sockets[i];
    abort(); /* the server named an address that it was not given */
}

static int serve(void) {
    struct pollfd fds[SOCKETS];
    uint8_t in[LARGEST], out[LARGEST];
    for (unsigned i = 0; i < count; i++) {
        if ((sockets[i] = open_socket(&addrs[i])) < 0) {
            perror("stun: bind");
            return 1;
        }
        fds[i] = (struct pollfd){sockets[i], POLLIN, 0};
    }
    puts("ready");
    fflush(stdout);
    for (;;) {
        if (poll(fds, count, -1) < 0)
            return 1;
        for (unsigned i = 0; i < count; i++) {
            struct sp_addr src, from, to;
            size_t len = fds[i].revents != 0 ? receive(sockets[i], in, &src) : 0;
            len = sp_stun_serve(in, len, &src, &addrs[i], addrs, count, out, sizeof out, &from, &to);
            if (len > 0)
                transmit(socket_of(&from), out, len, &to);
        }
    }
}

static void print_address(const char *name, const struct sp_addr *a) {
    char ip[INET_ADDRSTRLEN] = "";
    if (a->family == 4)
        inet_ntop(AF_INET, a->ip, ip, sizeof ip);
    printf("\"%s\": \"%s:%u\", ", name, ip, a->port);
}

static int discover(void) {
    static struct sp_behave b;
    struct sp_rng rng;
    uint8_t seed[SP_RNG_SEED], data[LARGEST];
    struct pollfd fd = {open_socket(&addrs[0]), POLLIN, 0};
    if (fd.fd < 0 || getrandom(seed, sizeof seed, 0) != sizeof seed || sp_crypto_init() != SP_OK)
        return 1;
    sp_rng_init(&rng, seed);
    sp_behave_start(&b, &addrs[1], count - 1, &addrs[0], 1, &rng, clock_now());
    while (!sp_behave_result(&b)->done) {
        struct sp_addr a;
        struct sp_stun m;
        size_t len;
        while ((len = sp_behave_output(&b, clock_now(), data, sizeof data, &a)) > 0)
            transmit(fd.fd, data, len, &a);
        sp_instant due = sp_behave_deadline(&b), now = clock_now();
        if (poll(&fd, 1, due > now ? (int)((due - now) / SP_MS + 1) : 0) < 0)
            return 1;
        while ((len = receive(fd.fd, data, &a)) > 0)
            if (sp_stun_read(&m, data, len) == SP_OK)
                sp_behave_input(&b, &m, &a, &rng, clock_now());
        sp_behave_expire(&b, &rng, clock_now());
    }
    const struct sp_behave_result *r = sp_behave_result(&b);
    printf("{\"udp\": %s, \"mapping\": \"%s\", \"filtering\": \"%s\", ", r->udp ? "true" : "false",
           sp_nat_mapping_text(r->mapping), sp_nat_filtering_text(r->filtering));
    print_address("mapped", &r->mapped[0]);
    print_address("other", &r->mapped[1]);
    printf("\"hairpin\": %s, \"sequential\": %s, \"rtt_ms\": %.3f}\n",
           !r->hairpin_known ? "null"
           : r->hairpin      ? "true"
                             : "false",
           r->sequential ? "true" : "false", (double)r->rtt / (double)SP_MS);
    return 0;
}

_Noreturn void sp_panic(const char *file, int line, const char *what) {
    fprintf(stderr, "%s:%d: %s\n", file, line, what);
    abort();
}

int main(int argc, char **argv) {
    for (int i = 2; i < argc && count < SOCKETS; i++)
        if (!parse(argv[i], &addrs[count++]))
            return 2;
    if (argc > 2 && strcmp(argv[1], "serve") == 0)
        return serve();
    if (argc > 3 && strcmp(argv[1], "discover") == 0)
        return discover();
    fprintf(stderr, "usage: stun serve IP:PORT... | stun discover OWN-IP:PORT IP:PORT...\n");
    return 2;
}
