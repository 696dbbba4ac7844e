/* A signpost on a TAP device: the server's core over our own network stack, as the unikernel has it, with the kernel as
 * its network.
 *
 *   tapd data=DIR tap=NAME [address=IP/BITS [gateway=IP]]... [dhcp] [ipv6] [slaac] [probe] [mtu=N] [port=N]
 * [udp-size=N] [hostname=NAME] [no-tcp] [vnet] [tcp-idle=S] [tcp-stall=S] [connections=N] [half-open=N] [tcp-memory=KIB]
 *
 * vnet: the device takes frames whose checksums are to be completed and TCP segments that are to be cut up, and gives such.
 * Serves from memory; signpostctl --data DIR operates it. The device must be there; it is attached to, and said to be
 * ready. Standard input takes the lines up, down (of the link), addresses, counts; each is answered by a line. Its end
 * ends the program. */
#define _GNU_SOURCE
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "proto/control/operator.h"
#include "proto/crypto/crypto.h"
#include "proto/direct/direct.h"
#include "proto/linux/addr.h"
#include "proto/linux/clock.h"
#include "proto/linux/control.h"
#include "proto/linux/file.h"
#include "proto/linux/loop.h"
#include "signpostd/core/server.h"

#define BATCH  32
#define FRAME  (SP_NET_ETHER + 65535)
#define MEMORY (16 * SP_CHUNK)

struct tapd {
    struct spl_loop *loop;
    struct sp_server *server;
    struct sp_server_config config;
    struct sp_direct direct;
    struct sp_count counts[SP_DIRECT_COUNTS];
    struct sp_mem mem;
    struct sp_rng rng;
    struct sp_net_config net;
    struct sp_tcp_config tcp;
    struct sp_in in[BATCH]; /* of streams, that the core has not taken yet */
    size_t in_at, in_count;
    bool no_tcp, vnet;
    unsigned long long cut, joined; /* frames that the device cut up, or had joined */
    bool delivering; /* what frames gave comes first */
    const char *data, *tap;
    int fd;
    uint8_t frames[BATCH][FRAME];
    char line[128];
    size_t line_len;
};

/* ---- the core and the interface, as the loop calls them ---- */

/* Of this frame, in virtio's terms: places count from the Ethernet header. */
static struct virtio_net_hdr vnet_of(const struct sp_offload *o) {
    static const uint8_t types[] = {[SP_GSO_TCP4] = VIRTIO_NET_HDR_GSO_TCPV4, [SP_GSO_TCP6] = VIRTIO_NET_HDR_GSO_TCPV6};
    struct virtio_net_hdr h = {.gso_type = types[o->gso]};
    if (o->needs_csum) {
        h.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        h.csum_start = (uint16_t)(SP_NET_ETHER + o->csum_start);
        h.csum_offset = o->csum_offset;
    }
    if (o->gso != SP_GSO_NONE) {
        h.hdr_len = (uint16_t)(SP_NET_ETHER + o->hdr_len);
        h.gso_size = o->gso_size;
    }
    return h;
}

static void flush_pieces(struct tapd *t, sp_instant now) {
    uint8_t frame[SP_NET_FRAME_MAX];
    struct sp_net_gather g;
    while (sp_direct_gather(&t->direct, now, frame, sizeof frame, &g)) {
        struct virtio_net_hdr h = vnet_of(&g.offload);
        struct iovec v[2 + SP_TCP_SPANS] = {{&h, sizeof h}, {g.head, g.head_len}};
        for (unsigned i = 0; i < g.spans; i++)
            v[2 + i] = (struct iovec){(void *)(uintptr_t)g.span[i].data, g.span[i].len};
        t->cut += g.offload.gso != SP_GSO_NONE;
        if (writev(t->fd, v, 2 + (int)g.spans) < 0 && errno != EAGAIN && errno != EIO)
            spl_say("writev: %s", strerror(errno));
    }
}

static void flush(struct tapd *t, sp_instant now) {
    uint8_t frame[SP_NET_FRAME_MAX];
    if (t->vnet) {
        flush_pieces(t, now);
        return;
    }
    for (size_t n; (n = sp_direct_output(&t->direct, now, frame, sizeof frame)) > 0;)
        if (write(t->fd, frame, n) < 0 && errno != EAGAIN && errno != EIO)
            spl_say("write: %s", strerror(errno));
}

static void tell_link(struct tapd *t, sp_instant now, sp_wall wall) {
    struct sp_in link;
    size_t taken;
    if (sp_direct_link(&t->direct, &link) && sp_server_input(t->server, now, wall, &link, 1, &taken) != SP_OK)
        spl_say("the server refuses its addresses");
}

static sp_err core_input(void *ctx, sp_instant now, sp_wall wall, const struct sp_in *in, size_t n, size_t *taken) {
    struct tapd *t = ctx;
    return sp_server_input(t->server, now, wall, in, n, taken);
}

/* Gives the core what there is to tell about streams. True: it took some of it, or there was room made. */
static bool pump(struct tapd *t, sp_instant now, sp_wall wall, bool idle) {
    size_t taken = 0;
    if (t->delivering)
        return false;
    if (t->in_at == t->in_count) {
        t->in_at = 0;
        t->in_count = sp_direct_events(&t->direct, now, t->in, BATCH);
    }
    if (t->in_count == t->in_at)
        return false;
    (void)!sp_server_input(t->server, now, wall, t->in + t->in_at, t->in_count - t->in_at, &taken);
    if (taken == 0 && idle) { /* it has nothing to send, and takes nothing */
        sp_direct_refused(&t->direct, now, t->in + t->in_at, 1);
        taken = 1;
    }
    t->in_at += taken;
    return taken > 0;
}

static void core_expire(void *ctx, sp_instant now, sp_wall wall) {
    struct tapd *t = ctx;
    sp_direct_expire(&t->direct, now);
    tell_link(t, now, wall);
    sp_server_expire(t->server, now, wall);
}

static sp_instant core_deadline(void *ctx) {
    struct tapd *t = ctx;
    return sp_direct_deadline(&t->direct, sp_server_deadline(t->server));
}

/* Datagrams and streams become frames at once; the rest is the loop's. */
static size_t core_output(void *ctx, sp_instant now, sp_wall wall, struct sp_out *out, size_t n) {
    struct tapd *t = ctx;
    size_t got, rest = 0;
    do {
        got = sp_server_output(t->server, now, out, n);
        sp_direct_outputs(&t->direct, out, got);
        flush(t, now);
        for (size_t i = 0; i < got; i++)
            if (out[i].kind == SP_OUT_CONTROL)
                out[rest++] = out[i];
    } while (rest == 0 && (pump(t, now, wall, got == 0) || got > 0));
    return rest;
}

static bool core_event(void *ctx, struct sp_event *ret) {
    struct tapd *t = ctx;
    return sp_server_event(t->server, ret);
}

static void core_stop(void *ctx, sp_instant now) {
    struct tapd *t = ctx;
    sp_server_stop(t->server, now);
}

/* ---- frames in ---- */

static void deliver(struct tapd *t, const struct sp_direct_frame *frames, size_t n) {
    while (n > 0) {
        struct sp_in in[BATCH];
        size_t taken, got = sp_direct_frames(&t->direct, spl_now(), frames, n, in, BATCH, &taken);
        t->delivering = true;
        size_t done = got > 0 ? spl_loop_deliver(t->loop, in, got) : 0;
        t->delivering = false;
        sp_direct_refused(&t->direct, spl_now(), in + done, got - done);
        frames += taken;
        n -= taken;
    }
    tell_link(t, spl_now(), spl_wall());
    spl_loop_turn(t->loop);
}

static void on_frames(evutil_socket_t fd, short what, void *ctx) {
    struct tapd *t = ctx;
    struct sp_direct_frame list[BATCH];
    size_t n = 0;
    for (; n < BATCH; n++) {
        struct virtio_net_hdr h = {0};
        struct iovec v[2] = {{&h, t->vnet ? sizeof h : 0}, {t->frames[n], FRAME}};
        ssize_t len = readv(t->fd, v, 2);
        if (len <= (ssize_t)v[0].iov_len)
            break;
        bool good = (h.flags & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID)) != 0;
        t->joined += h.gso_type != VIRTIO_NET_HDR_GSO_NONE;
        list[n] = (struct sp_direct_frame){t->frames[n], (size_t)len - v[0].iov_len, good ? SP_NET_CSUM_GOOD : SP_NET_CSUM_CHECK};
    }
    deliver(t, list, n);
}

/* ---- standard input ---- */

static void print_addresses(struct tapd *t) {
    struct sp_addr list[SP_NET_ADDRESSES];
    char text[SPL_ADDR_TEXT];
    size_t n = sp_net_addresses(t->direct.net, list, SP_NET_ADDRESSES);
    for (size_t i = 0; i < n; i++)
        printf("%s%s", i > 0 ? " " : "", spl_addr_text(&list[i], text));
    n = sp_net_resolvers(t->direct.net, list, SP_NET_ADDRESSES);
    for (size_t i = 0; i < n; i++)
        printf(" resolver=%s", spl_addr_text(&list[i], text));
    printf("\n");
}

#define TCP_COUNTS(X)                                                                                                  \
    X(segments_in)                                                                                                     \
    X(segments_out)                                                                                                    \
    X(bytes_in)                                                                                                        \
    X(bytes_out)                                                                                                       \
    X(accepted)                                                                                                        \
    X(connected)                                                                                                       \
    X(failed)                                                                                                          \
    X(resets_in)                                                                                                       \
    X(resets_out)                                                                                                      \
    X(cookies_sent)                                                                                                    \
    X(cookies_taken)                                                                                                   \
    X(retransmitted)                                                                                                   \
    X(timeouts)                                                                                                        \
    X(tail_probes)                                                                                                     \
    X(recoveries)                                                                                                      \
    X(spurious)                                                                                                        \
    X(early)                                                                                                           \
    X(black_holes)

static void print_tcp(struct tapd *t) {
    const struct sp_tcp *tcp = sp_net_tcp(t->direct.net);
    if (tcp == NULL)
        return;
    const struct sp_tcp_counts *c = sp_tcp_counts(tcp);
    const struct sp_direct_counts *d = &t->direct.streams.counts;
#define X(name) printf(", \"tcp_" #name "\": %llu", (unsigned long long)c->name);
    TCP_COUNTS(X)
#undef X
    printf(", \"frames_cut\": %llu, \"frames_joined\": %llu", t->cut, t->joined);
    printf(", \"tcp_connections\": %zu, \"tcp_buffered\": %zu, \"memory\": %zu", sp_tcp_connections(tcp), sp_tcp_buffered(tcp), t->mem.used);
    printf(", \"streams\": %u, \"streams_refused\": %llu, \"streams_cut_off\": %llu, \"streams_no_memory\": %llu", d->streams,
           (unsigned long long)d->refused, (unsigned long long)d->cut_off, (unsigned long long)d->no_memory);
    for (int i = 0; i < SP_TCP_DROP_COUNT; i++)
        if (c->drops[i] > 0)
            printf(", \"tcp_drop_%s\": %llu", sp_tcp_drop_name((enum sp_tcp_drop)i), (unsigned long long)c->drops[i]);
}

static void print_counts(struct tapd *t) {
    const struct sp_net_counts *c = sp_net_counts(t->direct.net);
    printf("{\"frames_in\": %llu, \"frames_out\": %llu, \"datagrams_in\": %llu, \"datagrams_out\": %llu, \"echoes\": "
           "%llu, "
           "\"reassembled\": %llu, \"fragments_out\": %llu, \"conflicts\": %llu, \"leases\": %llu",
           (unsigned long long)c->frames_in, (unsigned long long)c->frames_out, (unsigned long long)c->datagrams_in,
           (unsigned long long)c->datagrams_out, (unsigned long long)c->echoes, (unsigned long long)c->reassembled,
           (unsigned long long)c->fragments_out, (unsigned long long)c->conflicts, (unsigned long long)c->leases);
    for (int i = 0; i < SP_NET_DROP_COUNT; i++)
        if (c->drops[i] > 0)
            printf(", \"drop_%s\": %llu", sp_net_drop_name((enum sp_net_drop)i), (unsigned long long)c->drops[i]);
    print_tcp(t);
    printf("}\n");
}

static void command(struct tapd *t, const char *line) {
    bool up = strcmp(line, "up") == 0;
    if (up || strcmp(line, "down") == 0) {
        sp_net_link(t->direct.net, spl_now(), up);
        deliver(t, NULL, 0);
        printf("ok\n");
    } else if (strcmp(line, "addresses") == 0) {
        print_addresses(t);
    } else if (strcmp(line, "counts") == 0) {
        print_counts(t);
    } else {
        printf("error\n");
    }
    fflush(stdout);
}

static void on_stdin(evutil_socket_t fd, short what, void *ctx) {
    struct tapd *t = ctx;
    ssize_t n = read(0, t->line + t->line_len, sizeof t->line - 1 - t->line_len);
    if (n <= 0) {
        spl_loop_end(t->loop, 0);
        return;
    }
    t->line_len += (size_t)n;
    t->line[t->line_len] = 0;
    for (char *end; (end = strchr(t->line, '\n')) != NULL;) {
        *end = 0;
        command(t, t->line);
        t->line_len -= (size_t)(end + 1 - t->line);
        memmove(t->line, end + 1, t->line_len + 1);
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

static bool set_value(struct tapd *t, const char *name, char *value) {
    struct sp_net_config *c = &t->net;
    if (strcmp(name, "data") == 0)
        t->data = value;
    else if (strcmp(name, "tap") == 0)
        t->tap = value;
    else if (strcmp(name, "hostname") == 0)
        c->hostname = value;
    else if (strcmp(name, "mtu") == 0)
        c->mtu = (uint16_t)atoi(value);
    else if (strcmp(name, "port") == 0)
        c->ports[0] = (uint16_t)atoi(value);
    else if (strcmp(name, "connections") == 0)
        t->tcp.connections = (uint32_t)atoi(value);
    else if (strcmp(name, "tcp-idle") == 0)
        t->config.tcp_idle = t->config.tcp_first = (sp_duration)atoi(value) * SP_SEC;
    else if (strcmp(name, "tcp-stall") == 0)
        t->config.tcp_stall = (sp_duration)atoi(value) * SP_SEC;
    else if (strcmp(name, "half-open") == 0)
        t->tcp.half_open = (uint32_t)atoi(value);
    else if (strcmp(name, "tcp-memory") == 0)
        t->tcp.memory = (size_t)atoi(value) << 10;
    else if (strcmp(name, "udp-size") == 0)
        t->config.udp_size_max = (uint16_t)atoi(value);
    else if (strcmp(name, "address") == 0)
        return add_address(c, value);
    else if (strcmp(name, "gateway") == 0 && c->static_count > 0)
        return spl_addr_parse(&c->statics[c->static_count - 1].gateway, value, 0) == SP_OK;
    else
        return false;
    return true;
}

static bool set_flag(struct tapd *t, const char *name) {
    struct sp_net_config *c = &t->net;
    if (strcmp(name, "no-tcp") == 0)
        t->no_tcp = true;
    else if (strcmp(name, "vnet") == 0)
        t->vnet = true;
    else if (strcmp(name, "dhcp") == 0)
        c->dhcp = true;
    else if (strcmp(name, "ipv6") == 0)
        c->ipv6 = true;
    else if (strcmp(name, "slaac") == 0)
        c->ipv6 = c->slaac = true;
    else if (strcmp(name, "probe") == 0)
        c->probe_statics = true;
    else
        return false;
    return true;
}

static bool read_arguments(struct tapd *t, int argc, char **argv) {
    t->net = (struct sp_net_config){.mac = {2, 0x53, 0x50, 0, 0, 1}, .mtu = 1500, .ports = {53}, .port_count = 1};
    for (int i = 1; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        if (value != NULL)
            *value++ = 0;
        if (value != NULL ? !set_value(t, argv[i], value) : !set_flag(t, argv[i])) {
            fprintf(stderr, "tapd: cannot use the argument %s\n", argv[i]);
            return false;
        }
    }
    if (t->data == NULL || t->tap == NULL)
        fprintf(stderr, "usage: tapd data=DIR tap=NAME [SETTING]...\n");
    return t->data != NULL && t->tap != NULL;
}

static bool open_tap(struct tapd *t) {
    struct ifreq r = {.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | (t->vnet ? IFF_VNET_HDR : 0))};
    snprintf(r.ifr_name, sizeof r.ifr_name, "%s", t->tap);
    t->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (t->fd < 0 || ioctl(t->fd, TUNSETIFF, &r) != 0 ||
        (t->vnet && ioctl(t->fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) != 0)) {
        fprintf(stderr, "tapd: %s: %s\n", t->tap, strerror(errno));
        return false;
    }
    return true;
}

static bool open_net(struct tapd *t) {
    uint8_t seed[SP_RNG_SEED];
    spl_seed(seed, sizeof seed);
    sp_rng_init(&t->rng, seed);
    sp_mem_init(&t->mem, spl_grant_small(), MEMORY);
    t->net.mem = &t->mem;
    t->net.rng = &t->rng;
    t->net.tcp = t->no_tcp ? NULL : &t->tcp;
    spl_seed(t->net.secret, sizeof t->net.secret);
    sp_err err = sp_direct_init(&t->direct, &t->net);
    if (err != SP_OK)
        fprintf(stderr, "tapd: the interface: %s\n", sp_err_text(err));
    else if (t->vnet)
        sp_net_offload(t->direct.net, SP_NET_SUM4 | SP_NET_SUM6 | SP_NET_TSO4 | SP_NET_TSO6);
    return err == SP_OK;
}

static sp_err open_server(struct tapd *t, struct spl_error *err) {
    static const struct spl_core calls = {.input = core_input,
                                          .expire = core_expire,
                                          .deadline = core_deadline,
                                          .output = core_output,
                                          .event = core_event,
                                          .stop = core_stop};
    struct spl_core core = calls;
    int dirfd;
    core.ctx = t;
    SP_TRY(spl_dir_open(&dirfd, t->data, err));
    SP_TRY(spl_dir_lock(dirfd, t->data, err));
    SP_TRY(spl_loop_new(&t->loop, &core, err));
    t->config.grant = spl_grant_small();
    spl_seed(t->config.seed, sizeof t->config.seed);
    SP_TRY(sp_server_new(&t->server, &t->config, spl_now(), spl_wall()));
    sp_server_counts(t->server, t->counts, sp_direct_count_list(&t->direct, t->counts, SP_DIRECT_COUNTS));
    return spl_control_listen(t->loop, dirfd, "control.sock", SP_OP_REQUEST_MAX, NULL, NULL, err);
}

static int run(struct tapd *t) {
    struct event *frames = event_new(spl_loop_base(t->loop), t->fd, EV_READ | EV_PERSIST, on_frames, t);
    struct event *lines = event_new(spl_loop_base(t->loop), 0, EV_READ | EV_PERSIST, on_stdin, t);
    if (frames == NULL || lines == NULL || event_add(frames, NULL) != 0 || event_add(lines, NULL) != 0)
        return 1;
    sp_net_link(t->direct.net, spl_now(), true);
    deliver(t, NULL, 0);
    printf("ready\n");
    fflush(stdout);
    int status = spl_loop_run(t->loop);
    event_free(frames);
    event_free(lines);
    return status;
}

int main(int argc, char **argv) {
    static struct tapd t;
    struct spl_error err = {"the server cannot start"};
    sp_server_config_default(&t.config);
    if (sp_crypto_init() != SP_OK || !read_arguments(&t, argc, argv) || !open_tap(&t) || !open_net(&t))
        return 2;
    if (open_server(&t, &err) != SP_OK) {
        fprintf(stderr, "tapd: %s\n", err.text);
        return 1;
    }
    int status = run(&t);
    spl_loop_free(t.loop);
    sp_server_free(t.server);
    sp_direct_done(&t.direct);
    sp_mem_done(&t.mem);
    return status;
}
