/* Our own TCP on a TAP device, with the kernel as its network: services for peers, and a client by verbs.
 *
 *   tcpd tap=NAME [address=IP/BITS [gateway=IP]]... [ipv6] [vnet] [mtu=N] [SETTING]...
 *
 * The device must be there; it is attached to, and said to be ready. vnet: checksums and segmentation are left to the device, both
 * ways. Standard input takes lines: counts, addresses, mtu N (of the interface), or a verb (tcpd.h); each is answered by a line of
 * JSON, verbs when they are done. Its end ends the program. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "proto/crypto/crypto.h"
#include "proto/linux/addr.h"
#include "proto/linux/clock.h"
#include "proto/net/net.h"
#include "tests/interop/tcpd.h"

#define BATCH     64                       /* frames read before what they lead to is sent */
#define FRAME_MAX (SP_NET_ETHER + 65535)

struct tcpd {
    struct sp_net *net;
    struct sp_mem mem;
    struct sp_rng rng;
    struct sp_net_config config;
    struct sp_tcp_config tcp;
    struct streams streams;
    const char *tap, *pcap_path;
    FILE *pcap;
    size_t memory;
    int fd;
    bool vnet, end;
    uint64_t reads, writes, lost_writes;
    char line[256];
    size_t line_len;
    unsigned lines;
    uint8_t frame[FRAME_MAX];
};

/* ---- a record of all frames, for eyes (format of libpcap) ---- */

static void pcap_open(struct tcpd *t) {
    static const uint32_t head[] = {0xa1b2c3d4, 4u << 16 | 2u, 0, 0, 1u << 18, 1};
    t->pcap = fopen(t->pcap_path, "wb");
    if (t->pcap != NULL)
        fwrite(head, sizeof head, 1, t->pcap);
}

static void pcap_frame(struct tcpd *t, const struct iovec *iov, int n) {
    uint64_t us = spl_wall().ns / 1000;
    uint32_t head[4] = {(uint32_t)(us / 1000000), (uint32_t)(us % 1000000), 0, 0};
    for (int i = 0; i < n; i++)
        head[2] += (uint32_t)iov[i].iov_len;
    head[3] = head[2];
    fwrite(head, sizeof head, 1, t->pcap);
    for (int i = 0; i < n; i++)
        fwrite(iov[i].iov_base, iov[i].iov_len, 1, t->pcap);
}

/* ---- frames out ---- */

static void fill_vnet(struct virtio_net_hdr *h, const struct sp_offload *off) {
    *h = (struct virtio_net_hdr){0};
    if (off->needs_csum) {
        h->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        h->csum_start = (uint16_t)(off->csum_start + SP_NET_ETHER);
        h->csum_offset = off->csum_offset;
    }
    if (off->gso != SP_GSO_NONE) {
        h->gso_type = off->gso == SP_GSO_TCP4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
        h->hdr_len = (uint16_t)(off->hdr_len + SP_NET_ETHER);
        h->gso_size = off->gso_size;
    }
}

static void write_frame(struct tcpd *t, const struct sp_net_gather *g) {
    struct virtio_net_hdr vnet;
    struct iovec iov[2 + SP_TCP_SPANS];
    int n = 0;
    if (t->vnet) {
        fill_vnet(&vnet, &g->offload);
        iov[n++] = (struct iovec){&vnet, sizeof vnet};
    }
    if (g->head_len > 0)
        iov[n++] = (struct iovec){(void *)(uintptr_t)g->head, g->head_len};
    for (unsigned i = 0; i < g->spans; i++)
        iov[n++] = (struct iovec){(void *)(uintptr_t)g->span[i].data, g->span[i].len};
    t->writes++;
    if (t->pcap != NULL)
        pcap_frame(t, iov + t->vnet, n - t->vnet);
    if (writev(t->fd, iov, n) < 0)
        t->lost_writes++; /* the device is full, or down: as on a wire */
}

static void flush(struct tcpd *t, sp_instant now) {
    struct sp_net_gather g;
    streams_events(&t->streams, now);
    while (sp_net_gather(t->net, now, &g))
        write_frame(t, &g);
}

/* ---- frames in ---- */

static void input(struct tcpd *t, sp_instant now, const struct virtio_net_hdr *vnet, size_t len) {
    struct sp_in in;
    bool good = t->vnet && (vnet->flags & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID)) != 0;
    if (t->pcap != NULL)
        pcap_frame(t, &(struct iovec){t->frame, len}, 1);
    (void)sp_net_input(t->net, now, t->frame, len, good ? SP_NET_CSUM_GOOD : SP_NET_CSUM_CHECK, &in); /* nobody serves datagrams */
    streams_events(&t->streams, now);
}

/* Reads what is there, within bounds; true: there may be more. */
static bool read_frames(struct tcpd *t, sp_instant now) {
    struct virtio_net_hdr vnet = {0};
    struct iovec iov[2] = {{&vnet, sizeof vnet}, {t->frame, sizeof t->frame}};
    size_t head = t->vnet ? sizeof vnet : 0;
    for (unsigned i = 0; i < BATCH; i++) {
        ssize_t n = t->vnet ? readv(t->fd, iov, 2) : read(t->fd, t->frame, sizeof t->frame);
        if (n < 0 || (size_t)n <= head)
            return false;
        t->reads++;
        input(t, now, &vnet, (size_t)n - head);
    }
    return true;
}

/* ---- standard input ---- */

static void print_addresses(struct tcpd *t) {
    struct sp_addr list[SP_NET_ADDRESSES];
    char text[SPL_ADDR_TEXT];
    size_t n = sp_net_addresses(t->net, list, SP_NET_ADDRESSES);
    printf("{\"addresses\": [");
    for (size_t i = 0; i < n; i++)
        printf("%s\"%s\"", i > 0 ? ", " : "", spl_addr_text(&list[i], text));
    printf("]}\n");
}

#define EACH_COUNT(X)                                                                                                                    \
    X(segments_in) X(segments_out) X(bytes_in) X(bytes_out) X(accepted) X(connected) X(failed) X(resets_in) X(resets_out)                  \
    X(cookies_sent) X(cookies_taken) X(retransmitted) X(timeouts) X(tail_probes) X(recoveries) X(spurious) X(early) X(black_holes)         \
    X(challenges)

static void print_counts(struct tcpd *t) {
    const struct sp_net_counts *n = sp_net_counts(t->net);
    const struct sp_tcp_counts *c = sp_tcp_counts(t->streams.tcp);
    printf("{\"reads\": %" PRIu64 ", \"writes\": %" PRIu64 ", \"lost_writes\": %" PRIu64, t->reads, t->writes, t->lost_writes);
#define X(name) printf(", \"" #name "\": %" PRIu64, c->name);
    EACH_COUNT(X)
#undef X
    for (int i = 0; i < SP_TCP_DROP_COUNT; i++)
        printf(", \"drop_%s\": %" PRIu64, sp_tcp_drop_name((enum sp_tcp_drop)i), c->drops[i]);
    for (int i = 0; i < SP_NET_DROP_COUNT; i++)
        if (n->drops[i] > 0)
            printf(", \"net_drop_%s\": %" PRIu64, sp_net_drop_name((enum sp_net_drop)i), n->drops[i]);
    printf(", \"connections\": %zu, \"buffered\": %zu, \"memory_used\": %zu, \"late_bytes\": %" PRIu64 ", \"late_crc\": %u}\n",
           sp_tcp_connections(t->streams.tcp), sp_tcp_buffered(t->streams.tcp), t->mem.used, t->streams.late_bytes, t->streams.late_crc);
}

static void command(struct tcpd *t, sp_instant now, char *line) {
    t->lines++;
    if (strcmp(line, "counts") == 0)
        print_counts(t);
    else if (strcmp(line, "addresses") == 0)
        print_addresses(t);
    else if (strcmp(line, "up") == 0 || strcmp(line, "down") == 0) {
        sp_net_link(t->net, now, line[0] == 'u');
        printf("{\"ok\": true}\n");
    } else if (!streams_verb(&t->streams, now, t->lines, line))
        printf("{\"id\": %u, \"ok\": false, \"error\": \"not understood\"}\n", t->lines);
    fflush(stdout);
}

static void read_lines(struct tcpd *t, sp_instant now) {
    ssize_t n = read(0, t->line + t->line_len, sizeof t->line - 1 - t->line_len);
    t->end = n <= 0;
    if (t->end)
        return;
    t->line_len += (size_t)n;
    t->line[t->line_len] = 0;
    for (char *end; (end = strchr(t->line, '\n')) != NULL;) {
        *end = 0;
        size_t used = (size_t)(end + 1 - t->line);
        command(t, now, t->line);
        t->line_len -= used;
        memmove(t->line, t->line + used, t->line_len + 1);
    }
}

/* ---- the loop ---- */

/* Milliseconds until the deadline, rounded up. */
static int timeout(const struct tcpd *t, sp_instant now) {
    sp_instant due = sp_instant_min(sp_net_deadline(t->net), streams_deadline(&t->streams));
    if (due == SP_NEVER)
        return -1;
    return due <= now ? 0 : (int)((due - now) / SP_MS < 60000 ? (due - now + SP_MS - 1) / SP_MS : 60000);
}

static void run(struct tcpd *t) {
    bool more = false;
    while (!t->end) {
        struct pollfd fds[2] = {{.fd = t->fd, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
        if (poll(fds, 2, more ? 0 : timeout(t, spl_now())) < 0 && errno != EINTR)
            return;
        sp_instant now = spl_now();
        if (now >= sp_net_deadline(t->net))
            sp_net_expire(t->net, now);
        streams_events(&t->streams, now);
        streams_expire(&t->streams, now);
        more = fds[0].revents != 0 && read_frames(t, now);
        if (fds[1].revents != 0)
            read_lines(t, now);
        flush(t, now);
    }
}

/* ---- starting ---- */

static bool add_address(struct sp_net_config *c, char *text) {
    char *slash = strchr(text, '/');
    if (slash == NULL || c->static_count == SP_NET_STATICS)
        return false;
    *slash = 0;
    struct sp_net_static *s = &c->statics[c->static_count++];
    s->bits = (uint8_t)atoi(slash + 1);
    return spl_addr_parse(&s->addr, text, 0) == SP_OK;
}

static bool set_tcp(struct sp_tcp_config *c, const char *name, uint64_t x) {
    if (strcmp(name, "connections") == 0)
        c->connections = (uint32_t)x;
    else if (strcmp(name, "half-open") == 0)
        c->half_open = (uint32_t)x;
    else if (strcmp(name, "time-waits") == 0)
        c->time_waits = (uint32_t)x;
    else if (strcmp(name, "buffers") == 0)
        c->memory = x;
    else if (strcmp(name, "send-max") == 0)
        c->send_max = (uint32_t)x;
    else if (strcmp(name, "receive-max") == 0)
        c->receive_max = (uint32_t)x;
    else if (strcmp(name, "idle-ms") == 0)
        c->idle = x * SP_MS;
    else if (strcmp(name, "give-up-ms") == 0)
        c->give_up = x * SP_MS;
    else if (strcmp(name, "nagle") == 0)
        c->nagle = x != 0;
    else
        return false;
    return true;
}

static bool set_value(struct tcpd *t, const char *name, char *value) {
    struct sp_net_config *c = &t->config;
    if (strcmp(name, "tap") == 0)
        t->tap = value;
    else if (strcmp(name, "pcap") == 0)
        t->pcap_path = value;
    else if (strcmp(name, "memory") == 0)
        t->memory = strtoull(value, NULL, 10);
    else if (strcmp(name, "mtu") == 0)
        c->mtu = (uint16_t)atoi(value);
    else if (strcmp(name, "slow") == 0)
        t->streams.slow = (uint32_t)atoi(value);
    else if (strcmp(name, "address") == 0)
        return add_address(c, value);
    else if (strcmp(name, "gateway") == 0 && c->static_count > 0)
        return spl_addr_parse(&c->statics[c->static_count - 1].gateway, value, 0) == SP_OK;
    else
        return set_tcp(&t->tcp, name, strtoull(value, NULL, 10));
    return true;
}

static bool set_flag(struct tcpd *t, const char *name) {
    if (strcmp(name, "ipv6") == 0)
        t->config.ipv6 = true;
    else if (strcmp(name, "vnet") == 0)
        t->vnet = true;
    else
        return false;
    return true;
}

static bool read_arguments(struct tcpd *t, int argc, char **argv) {
    static const uint16_t ports[] = {PORT_ECHO, PORT_DISCARD, PORT_CHECK, PORT_SOURCE, PORT_SLOW, PORT_IDLE, PORT_CLOSER, PORT_RESETTER};
    _Static_assert(sizeof ports / sizeof *ports <= SP_TCP_PORTS, "more services than ports");
    t->config = (struct sp_net_config){.mac = {2, 0x53, 0x50, 0, 0, 2}, .mtu = 1500, .ports = {9}, .port_count = 1};
    t->tcp = (struct sp_tcp_config){.port_count = sizeof ports / sizeof *ports, .connections = 4096, .memory = (size_t)32 << 20};
    t->memory = (size_t)128 << 20;
    t->streams.slow = 256 << 10;
    memcpy(t->tcp.ports, ports, sizeof ports);
    for (int i = 1; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        if (value != NULL)
            *value++ = 0;
        if (value != NULL ? !set_value(t, argv[i], value) : !set_flag(t, argv[i])) {
            fprintf(stderr, "tcpd: cannot use the argument %s\n", argv[i]);
            return false;
        }
    }
    if (t->tap == NULL)
        fprintf(stderr, "usage: tcpd tap=NAME [SETTING]...\n");
    return t->tap != NULL;
}

static bool open_tap(struct tcpd *t) {
    struct ifreq r = {.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | (t->vnet ? IFF_VNET_HDR : 0))};
    unsigned offload = t->vnet ? TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 : 0;
    snprintf(r.ifr_name, sizeof r.ifr_name, "%s", t->tap);
    t->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (t->fd >= 0 && ioctl(t->fd, TUNSETIFF, &r) == 0 && ioctl(t->fd, TUNSETOFFLOAD, offload) == 0)
        return true;
    fprintf(stderr, "tcpd: %s: %s\n", t->tap, strerror(errno));
    return false;
}

static sp_err net_connect(void *ctx, sp_instant now, const struct sp_addr *remote, struct sp_tcp_conn **ret) {
    return sp_net_connect(ctx, now, remote, ret);
}

static bool open_net(struct tcpd *t) {
    uint8_t seed[SP_RNG_SEED];
    spl_seed(seed, sizeof seed);
    sp_rng_init(&t->rng, seed);
    sp_mem_init(&t->mem, spl_grant_small(), t->memory);
    t->config.mem = &t->mem;
    t->config.rng = &t->rng;
    t->config.tcp = &t->tcp;
    spl_seed(t->config.secret, sizeof t->config.secret);
    sp_err err = sp_net_new(&t->net, &t->config);
    if (err != SP_OK) {
        fprintf(stderr, "tcpd: the interface: %s\n", sp_err_text(err));
        return false;
    }
    if (t->vnet)
        sp_net_offload(t->net, SP_NET_SUM4 | SP_NET_SUM6 | SP_NET_TSO4 | SP_NET_TSO6);
    t->streams.tcp = sp_net_tcp(t->net);
    t->streams.connect = net_connect;
    t->streams.ctx = t->net;
    sp_net_link(t->net, spl_now(), true);
    return true;
}

int main(int argc, char **argv) {
    static struct tcpd t;
    if (sp_crypto_init() != SP_OK || !read_arguments(&t, argc, argv) || !open_tap(&t) || !open_net(&t))
        return 2;
    if (t.pcap_path != NULL)
        pcap_open(&t);
    printf("ready\n");
    fflush(stdout);
    run(&t);
    if (t.pcap != NULL)
        fclose(t.pcap);
    sp_net_free(t.net);
    sp_mem_done(&t.mem);
    return 0;
}
