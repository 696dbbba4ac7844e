/* The loads of load.h on our own TCP, on a TAP device: ownd tap=NAME address=IP/BITS [vnet] [connections=N] ...
 *
 * vnet: the device completes checksums and cuts segments, and joins them. Send and receive buffers of a connection are those of
 * sp_tcp_config's defaults. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/uio.h>

#include "proto/crypto/crypto.h"
#include "proto/linux/addr.h"
#include "proto/linux/clock.h"
#include "proto/net/net.h"
#include "tests/bench/frames.h"
#include "tests/bench/load.h"

#define BATCH  64                /* frames read before what they lead to is sent */
#define MEMORY ((size_t)1 << 30) /* at most, of everything */
#define BUFFERS ((size_t)64 << 20)
#define ALL_OFFLOADS (SP_NET_SUM4 | SP_NET_SUM6 | SP_NET_TSO4 | SP_NET_TSO6)

struct own {
    struct load load;
    struct sp_net *net;
    struct sp_tcp *tcp;
    struct sp_mem mem;
    struct sp_rng rng;
    struct sp_net_config config;
    struct sp_tcp_config tcp_config;
    const char *tap;
    int fd;
    bool vnet;
    sp_instant now;
    uint8_t frame[SP_NET_ETHER + 65536];
};

static char over; /* the user of a connection whose halves have both ended */

/* ---- what a load asks for ---- */

static void *own_connect(void *ctx, uint32_t ip, uint16_t port, void *user) {
    struct own *o = ctx;
    struct sp_addr to = {.family = 4, .port = port};
    struct sp_tcp_conn *c;
    memcpy(to.ip, &ip, sizeof ip);
    if (sp_net_connect(o->net, o->now, &to, &c) != SP_OK)
        return NULL;
    sp_tcp_set_user(c, user);
    return c;
}

static size_t own_write(void *ctx, void *conn, const uint8_t *data, size_t len) {
    struct own *o = ctx;
    return sp_tcp_write(o->tcp, o->now, conn, data, len);
}

static void own_end(void *ctx, void *conn) {
    struct own *o = ctx;
    sp_tcp_end(o->tcp, o->now, conn);
}

static void own_reset(void *ctx, void *conn) {
    struct own *o = ctx;
    sp_tcp_reset(o->tcp, o->now, conn);
}

static size_t own_accounted(void *ctx) {
    struct own *o = ctx;
    return o->mem.used;
}

/* ---- what happens ---- */

static void happened(struct own *o, const struct sp_tcp_event *e) {
    void *user = sp_tcp_user(e->conn);
    switch (e->kind) {
    case SP_TCP_OPENED:
        sp_tcp_set_user(e->conn, load_opened(&o->load, e->conn, user));
        break;
    case SP_TCP_DATA:
        sp_tcp_set_user(e->conn, load_data(&o->load, e->conn, user, e->data, e->len));
        sp_tcp_consumed(o->tcp, o->now, e->conn, e->len);
        break;
    case SP_TCP_END:
        sp_tcp_set_user(e->conn, &over);
        load_ended(&o->load, e->conn, user);
        break;
    case SP_TCP_ROOM:
        load_room(&o->load, e->conn, user);
        break;
    case SP_TCP_CLOSED:
        if (user != &over)
            load_gone(&o->load, user);
        break;
    }
}

static void events(struct own *o) {
    for (struct sp_tcp_event e; sp_tcp_event(o->tcp, &e);)
        happened(o, &e);
}

/* ---- frames ---- */

static void fill_vnet(struct virtio_net_hdr_v1 *h, const struct sp_offload *off) {
    *h = (struct virtio_net_hdr_v1){0};
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

static struct iovec piece(const void *data, size_t len) {
    return (struct iovec){(void *)(uintptr_t)data, len};
}

static void flush(struct own *o) {
    struct sp_net_gather g;
    struct virtio_net_hdr_v1 vnet;
    struct iovec iov[2 + SP_TCP_SPANS];
    while (sp_net_gather(o->net, o->now, &g)) {
        int n = 0;
        if (o->vnet) {
            fill_vnet(&vnet, &g.offload);
            iov[n++] = piece(&vnet, sizeof vnet);
        }
        if (g.head_len > 0)
            iov[n++] = piece(g.head, g.head_len);
        for (unsigned i = 0; i < g.spans; i++)
            iov[n++] = piece(g.span[i].data, g.span[i].len);
        if (writev(o->fd, iov, n) < 0 && errno != EAGAIN)
            perror("writev");
    }
}

/* Reads what is there, within bounds; true: there may be more. */
static bool frames_in(struct own *o) {
    struct virtio_net_hdr_v1 vnet = {0};
    struct iovec iov[2] = {piece(&vnet, sizeof vnet), piece(o->frame, sizeof o->frame)};
    size_t head = o->vnet ? sizeof vnet : 0;
    struct sp_in in;
    for (int i = 0; i < BATCH; i++) {
        ssize_t n = o->vnet ? readv(o->fd, iov, 2) : read(o->fd, o->frame, sizeof o->frame);
        if (n <= (ssize_t)head)
            return false;
        bool good = (vnet.flags & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID)) != 0;
        (void)sp_net_input(o->net, o->now, o->frame, (size_t)n - head, good ? SP_NET_CSUM_GOOD : SP_NET_CSUM_CHECK, &in);
        events(o);
    }
    return true;
}

/* ---- the program ---- */

/* Milliseconds until something is due, rounded up. */
static int patience(const struct own *o) {
    uint64_t now = spl_now(), own = load_deadline(&o->load), due = sp_instant_min(sp_net_deadline(o->net), own);
    if (due == SP_NEVER)
        return -1;
    return due <= now ? 0 : due - now < 1000 * SP_MS ? (int)((due - now + SP_MS - 1) / SP_MS) : 1000;
}

static void run(struct own *o) {
    bool more = false;
    while (!o->load.done) {
        struct pollfd p = {.fd = o->fd, .events = POLLIN};
        bool frames = more || poll(&p, 1, patience(o)) > 0;
        o->now = spl_now();
        if (o->now >= sp_net_deadline(o->net)) {
            sp_net_expire(o->net, o->now);
            events(o);
        }
        more = frames && frames_in(o);
        load_expire(&o->load);
        events(o);
        flush(o);
    }
    load_end(&o->load);
    flush(o);
}

static bool set_address(struct own *o, char *text) {
    char *slash = strchr(text, '/');
    struct sp_net_static *s = &o->config.statics[0];
    if (slash == NULL)
        return false;
    *slash = 0;
    s->bits = (uint8_t)atoi(slash + 1);
    bool known = spl_addr_parse(&s->addr, text, 0) == SP_OK;
    o->config.static_count = 1;
    o->config.mac[5] = s->addr.ip[3];
    return known;
}

static bool own_argument(struct own *o, char *argument) {
    if (strcmp(argument, "vnet") == 0)
        o->vnet = true;
    else if (strncmp(argument, "tap=", 4) == 0)
        o->tap = argument + 4;
    else if (strncmp(argument, "connections=", 12) == 0)
        o->tcp_config.connections = (uint32_t)strtoul(argument + 12, NULL, 10);
    else
        return strncmp(argument, "address=", 8) == 0 && set_address(o, argument + 8);
    return true;
}

static bool open_net(struct own *o) {
    uint8_t seed[SP_RNG_SEED];
    spl_seed(seed, sizeof seed);
    sp_rng_init(&o->rng, seed);
    sp_mem_init(&o->mem, spl_grant_small(), MEMORY);
    o->config.mem = &o->mem;
    o->config.rng = &o->rng;
    o->config.tcp = &o->tcp_config;
    o->tcp_config.memory = BUFFERS;
    for (uint32_t i = 0; o->load.kind == LOAD_SERVE && i < o->load.ports; i++)
        o->tcp_config.ports[o->tcp_config.port_count++] = (uint16_t)(o->load.port + i);
    sp_err err = sp_net_new(&o->net, &o->config);
    if (err != SP_OK) {
        fprintf(stderr, "ownd: the interface: %s\n", sp_err_text(err));
        return false;
    }
    o->tcp = sp_net_tcp(o->net);
    sp_net_offload(o->net, o->vnet ? ALL_OFFLOADS : 0);
    sp_net_link(o->net, o->now, true);
    return true;
}

int main(int argc, char **argv) {
    static struct own o = {.config = {.mac = {2, 0x53, 0x50}, .mtu = 1500, .ports = {9}, .port_count = 1}};
    o.load.stack = (struct load_stack){&o, own_connect, own_write, own_end, own_reset, own_accounted};
    for (int i = 1; i < argc; i++)
        if (!own_argument(&o, argv[i]) && !load_argument(&o.load, argv[i])) {
            fprintf(stderr, "ownd: cannot use the argument %s\n", argv[i]);
            return 2;
        }
    const char *lacks = o.tap == NULL || o.config.static_count == 0 ? "tap= and address=" : load_ready(&o.load);
    if (lacks != NULL) {
        fprintf(stderr, "ownd: needs %s\n", lacks);
        return 2;
    }
    o.fd = frames_open(o.tap, o.vnet, o.vnet);
    o.now = spl_now();
    if (o.fd < 0 || sp_crypto_init() != SP_OK || !open_net(&o))
        return 1;
    load_begin(&o.load);
    events(&o);
    flush(&o);
    run(&o);
    return 0;
}
