/* A WireGuard peer out of proto/wg, to be set against other people's: one UDP socket, one TUN device, one peer.
 *
 *   wgpeer --key FILE --peer KEY --tun NAME --port N [--psk FILE] [--endpoint ADDRESS PORT] [--speed N] [--calm N]
 *
 * Keys are base64, as `wg` writes them. --speed: its clock runs so many times faster, so rekeying comes sooner. --calm: initiations
 * a second that are answered without a cookie. IPv4 outside. Commands come on standard input, a line each; each is answered by a
 * line of JSON: status, initiate, reset, keepalive SECONDS, flood N (initiations), rebind ADDRESS PORT. Ends with its input. */
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
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/mem.h"
#include "proto/wg/wg.h"
#include "tests/support/support.h"

#define PACKET  2048
#define WAITING 64

static struct {
    struct sp_mem mem;
    struct sp_rng rng;
    struct sp_wg *wg;
    struct sp_wg_peer *peer;
    int udp, tun;
    struct sockaddr_in endpoint; /* port 0: not known */
    unsigned moves;              /* of the endpoint */
    uint64_t speed, started;
    struct {
        size_t len;
        uint8_t data[PACKET];
    } waiting[WAITING]; /* packets without a session */
    unsigned waits;
} g;

static _Noreturn void die(const char *what) {
    fprintf(stderr, "wgpeer: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t clock_ns(clockid_t id) {
    struct timespec ts;
    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * SP_SEC + (uint64_t)ts.tv_nsec;
}

static sp_instant now(void) {
    return SP_SEC + (clock_ns(CLOCK_MONOTONIC) - g.started) * g.speed;
}

static sp_wall wall(void) {
    return (sp_wall){clock_ns(CLOCK_REALTIME)};
}

/* ---- sending ---- */

static void send_to(const struct sockaddr_in *to, const uint8_t *data, size_t len) {
    if (to->sin_port != 0 && sendto(g.udp, data, len, 0, (const struct sockaddr *)to, sizeof *to) < 0 && errno != ECONNREFUSED &&
        errno != ENETUNREACH)
        perror("wgpeer: sendto");
}

static void pull(void) {
    struct sp_wg_peer *p;
    uint8_t msg[SP_WG_MSG_MAX];
    size_t len;
    while (sp_wg_pull(g.wg, now(), wall(), &p, msg, &len))
        send_to(&g.endpoint, msg, len);
}

static void send_packet(const uint8_t *data, size_t len) {
    uint8_t buf[PACKET + SP_WG_OVERHEAD + SP_WG_PAD];
    size_t n;
    memcpy(buf + SP_WG_HEAD, data, len);
    if (sp_wg_seal(g.wg, g.peer, now(), buf, sizeof buf, len, &n) == SP_OK) {
        send_to(&g.endpoint, buf, n);
    } else if (g.waits < WAITING) {
        memcpy(g.waiting[g.waits].data, data, len);
        g.waiting[g.waits++].len = len;
    }
}

static void send_waiting(void) {
    unsigned n = g.waits;
    g.waits = 0;
    for (unsigned i = 0; i < n; i++)
        send_packet(g.waiting[i].data, g.waiting[i].len);
}

/* ---- receiving ---- */

/* The length that an IP packet claims: what follows is padding. */
static size_t packet_len(const uint8_t *p, size_t len) {
    size_t n = len < 20 ? 0 : p[0] >> 4 == 4 ? (size_t)(p[2] << 8 | p[3]) : (size_t)(p[4] << 8 | p[5]) + 40;
    return n <= len ? n : 0;
}

static void from_udp(void) {
    uint8_t msg[PACKET], out[PACKET], from[SP_WG_FROM_MAX] = {0};
    struct sockaddr_in src;
    socklen_t src_len = sizeof src;
    struct sp_wg_got got;
    ssize_t len = recvfrom(g.udp, msg, sizeof msg, 0, (struct sockaddr *)&src, &src_len);
    if (len < 0)
        return;
    memcpy(from, &src.sin_addr, 4);
    memcpy(from + 16, &src.sin_port, 2);
    sp_wg_input(g.wg, now(), wall(), from, 18, msg, (size_t)len, out, &got);
    if (got.peer != NULL && (src.sin_port != g.endpoint.sin_port || src.sin_addr.s_addr != g.endpoint.sin_addr.s_addr)) {
        g.endpoint = src; /* authentic: the peer has moved (P 2.1) */
        g.moves++;
    }
    if (got.kind == SP_WG_REPLY)
        send_to(&src, got.reply, got.reply_len);
    if (got.kind == SP_WG_ANSWERED || got.fresh)
        send_waiting();
    if (got.kind == SP_WG_DATA && (got.len = packet_len(got.data, got.len)) > 0 && write(g.tun, got.data, got.len) < 0)
        perror("wgpeer: tun");
}

static void from_tun(void) {
    uint8_t packet[PACKET];
    ssize_t len = read(g.tun, packet, sizeof packet);
    if (len > 0)
        send_packet(packet, (size_t)len);
}

/* ---- commands ---- */

static void print_status(void) {
    const struct sp_wg_counts *c = sp_wg_counts(g.wg);
    struct sp_wg_peer_stats s;
    char address[INET_ADDRSTRLEN];
    sp_wg_peer_stats(g.peer, &s);
    inet_ntop(AF_INET, &g.endpoint.sin_addr, address, sizeof address);
    printf("{\"up\": %s, \"endpoint\": \"%s:%u\", \"moves\": %u, \"initiations\": %llu, \"responses\": %llu, \"handshakes\": %llu, "
           "\"cookies_sent\": %llu, \"cookies_taken\": %llu, \"sealed\": %llu, \"opened\": %llu, \"attempts\": %u, "
           "\"dropped_auth\": %llu, \"dropped_replay\": %llu, \"dropped_index\": %llu}\n",
           sp_wg_peer_up(g.peer, now()) ? "true" : "false", address, ntohs(g.endpoint.sin_port), g.moves,
           (unsigned long long)c->initiations, (unsigned long long)c->responses, (unsigned long long)c->handshakes,
           (unsigned long long)c->cookies_sent, (unsigned long long)c->cookies_taken, (unsigned long long)s.sealed,
           (unsigned long long)s.opened, s.attempts, (unsigned long long)c->dropped_auth, (unsigned long long)c->dropped_replay,
           (unsigned long long)c->dropped_index);
}

static void open_udp(const char *address, unsigned port) {
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (g.udp > 0)
        close(g.udp);
    if (inet_pton(AF_INET, address, &sin.sin_addr) != 1)
        die(address);
    g.udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (g.udp < 0 || bind(g.udp, (struct sockaddr *)&sin, sizeof sin) < 0)
        die("bind");
}

/* Initiations made in advance, then sent at once. Our clock is pushed on, as the device spaces what it makes. */
static void flood(unsigned n) {
    uint8_t(*msgs)[SP_WG_INITIATION] = malloc(n * sizeof *msgs);
    sp_instant at = now();
    unsigned made = 0;
    for (unsigned i = 0; i < n; i++)
        made += sp_wg_initiate(g.wg, g.peer, at + i * 50 * SP_MS, wall(), msgs[made]) == SP_OK;
    g.started -= n * 50 * SP_MS / g.speed;
    for (unsigned i = 0; i < made; i++)
        send_to(&g.endpoint, msgs[i], sizeof msgs[i]);
    free(msgs);
}

static bool command(void) {
    char line[256], word[32] = "", address[64] = "";
    unsigned n = 0;
    if (fgets(line, sizeof line, stdin) == NULL)
        return false;
    if (sscanf(line, "rebind %63s %u", address, &n) == 2)
        open_udp(address, n);
    else if (sscanf(line, "flood %u", &n) == 1)
        flood(n);
    else if (sscanf(line, "keepalive %u", &n) == 1)
        sp_wg_peer_keepalive(g.wg, g.peer, n, now());
    else if (sscanf(line, "%31s", word) == 1 && strcmp(word, "initiate") == 0)
        sp_wg_peer_handshake(g.wg, g.peer, true, now());
    else if (strcmp(word, "reset") == 0)
        sp_wg_peer_reset(g.wg, g.peer);
    print_status();
    return true;
}

/* ---- start ---- */

static void key_from(const char *text, size_t len, uint8_t ret[32]) {
    size_t n = 0;
    if (sp_base64_decode(text, len, ret, 32, &n) != SP_OK || n != 32)
        die("not a key");
}

static void key_file(const char *path, uint8_t ret[32]) {
    size_t len;
    char *text = sp_test_read(path, &len);
    if (text == NULL)
        die(path);
    key_from(text, len, ret);
    free(text);
}

static void open_tun(const char *name) {
    struct ifreq ifr = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    snprintf(ifr.ifr_name, sizeof ifr.ifr_name, "%s", name);
    g.tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (g.tun < 0 || ioctl(g.tun, TUNSETIFF, &ifr) < 0)
        die("tun");
}

static void start(int argc, char **argv) {
    struct sp_wg_config c = {.mem = &g.mem, .rng = &g.rng, .peers = 1, .initiations_per_s = 50, .initiations_max = 100};
    uint8_t pub[32], psk[32] = {0}, seed[SP_RNG_SEED];
    g.speed = 1;
    g.endpoint.sin_family = AF_INET;
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *value = argv[i + 1];
        if (strcmp(argv[i], "--key") == 0)
            key_file(value, c.secret);
        else if (strcmp(argv[i], "--psk") == 0)
            key_file(value, psk);
        else if (strcmp(argv[i], "--peer") == 0)
            key_from(value, strlen(value), pub);
        else if (strcmp(argv[i], "--tun") == 0)
            open_tun(value);
        else if (strcmp(argv[i], "--port") == 0)
            open_udp("0.0.0.0", (unsigned)atoi(value));
        else if (strcmp(argv[i], "--speed") == 0)
            g.speed = (uint64_t)atoi(value);
        else if (strcmp(argv[i], "--calm") == 0)
            c.initiations_per_s = (uint32_t)atoi(value);
        else if (strcmp(argv[i], "--endpoint") == 0 && i + 2 < argc) {
            inet_pton(AF_INET, value, &g.endpoint.sin_addr);
            g.endpoint.sin_port = htons((uint16_t)atoi(argv[i++ + 2]));
        } else
            die(argv[i]);
    }
    if (sp_crypto_init() != SP_OK || getrandom(seed, sizeof seed, 0) != sizeof seed)
        die("random");
    g.started = clock_ns(CLOCK_MONOTONIC);
    sp_rng_init(&g.rng, seed);
    sp_mem_init(&g.mem, sp_test_grant(), 4 * SP_CHUNK);
    if (sp_wg_new(&g.wg, &c, now()) != SP_OK || sp_wg_peer_add(g.wg, pub, psk, NULL, now(), &g.peer) != SP_OK)
        die("keys");
}

int main(int argc, char **argv) {
    start(argc, argv);
    setvbuf(stdout, NULL, _IOLBF, 0);
    setvbuf(stdin, NULL, _IONBF, 0);
    print_status();
    for (;;) {
        struct pollfd fds[] = {{.fd = g.udp, .events = POLLIN}, {.fd = g.tun, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
        sp_instant at = now(), due = sp_wg_deadline(g.wg);
        int wait = due == SP_NEVER ? -1 : due <= at ? 0 : (int)((due - at) / g.speed / SP_MS + 1);
        if (poll(fds, 3, wait) < 0 && errno != EINTR)
            die("poll");
        if (fds[0].revents != 0)
            from_udp();
        if (fds[1].revents != 0)
            from_tun();
        if (fds[2].revents != 0 && !command())
            break;
        sp_wg_expire(g.wg, now());
        pull();
    }
    sp_wg_free(g.wg);
    return 0;
}
