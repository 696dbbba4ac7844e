#define _GNU_SOURCE
#include "client/linux/tun.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <net/if.h>
#include <linux/if_tun.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "client/linux/netconf.h"
#include "client/linux/virtio.h"

/* Names that older headers lack. Linux 6.2. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

#define PACKET_MAX 65535
#define ALIGN      64
#define ROUNDS     4                    /* full batches before other sockets have their say */
#define KEEP       ((size_t)64 << 10)   /* of the buffer, when idle */
#define IDLE_S     10

struct spl_tun {
    int fd, index;
    char name[IF_NAMESIZE];
    uint8_t addr[16];
    uint16_t mtu;
    bool udp, busy;
    struct spl_loop *loop;
    struct event *ev, *idle;
    struct spl_tun_counts counts;
    uint8_t *buffer;
    struct sp_in in[SPL_TUN_BATCH];
};

/* ---- reading ---- */

/* Somebody has deleted the device: whoever started us starts us anew. */
static void lost(struct spl_tun *t) {
    event_del(t->ev);
    spl_say("the network device %s is gone: %s", t->name, strerror(errno));
    spl_loop_end(t->loop, 1);
}

/* One packet into the buffer from `at` on, which is moved behind it. False: nothing more to read now. */
static bool read_one(struct spl_tun *t, size_t *at, size_t *n) {
    struct virtio_net_hdr head;
    uint8_t *to = t->buffer + *at;
    struct iovec iov[2] = {{&head, sizeof head}, {to, PACKET_MAX}};
    ssize_t got = readv(t->fd, iov, 2);
    if (got < 0) {
        if (errno != EAGAIN && errno != EINTR)
            lost(t);
        return errno == EINTR;
    }
    t->counts.read++;
    size_t len = (size_t)got > sizeof head ? (size_t)got - sizeof head : 0;
    struct sp_in *in = &t->in[*n];
    if (len == 0 || spl_virtio_read(&in->offload, &head, to, len) != SP_OK) {
        t->counts.dropped_form++;
        return true;
    }
    in->data = to;
    in->len = len;
    *at += (len + ALIGN - 1) / ALIGN * ALIGN;
    ++*n;
    return true;
}

/* After a load its pages go back, so that an idle agent stays small. */
static void on_idle(evutil_socket_t fd, short what, void *ctx) {
    static const struct timeval later = {IDLE_S, 0};
    struct spl_tun *t = ctx;
    if (t->busy)
        event_add(t->idle, &later);
    else
        (void)madvise(t->buffer + KEEP, SPL_TUN_BUFFER - KEEP, MADV_DONTNEED);
    t->busy = false;
}

static void on_read(evutil_socket_t fd, short what, void *ctx) {
    static const struct timeval later = {IDLE_S, 0};
    struct spl_tun *t = ctx;
    for (unsigned round = 0; round < ROUNDS; round++) {
        size_t at = 0, n = 0;
        bool more = true;
        while (more && n < SPL_TUN_BATCH && at + PACKET_MAX <= SPL_TUN_BUFFER)
            more = read_one(t, &at, &n);
        if (n > 0)
            t->counts.dropped_core += n - spl_loop_deliver(t->loop, t->in, n);
        if (at > KEEP) {
            t->busy = true;
            if (!event_pending(t->idle, EV_TIMEOUT, NULL))
                event_add(t->idle, &later);
        }
        if (!more)
            break;
    }
}

/* ---- writing ---- */

void spl_tun_write(struct spl_tun *t, const struct sp_out *out) {
    struct virtio_net_hdr head;
    spl_virtio_write(&head, &out->offload);
    struct iovec iov[2] = {{&head, sizeof head}, {(void *)(uintptr_t)out->data, out->len}};
    if (writev(t->fd, iov, 2) >= 0)
        t->counts.written++;
    else if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM)
        t->counts.dropped_full++;
    else
        t->counts.dropped_error++;
}

/* ---- opening ---- */

static sp_err open_device(struct spl_tun *t, struct spl_error *err) {
    t->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (t->fd >= 0)
        return SP_OK;
    if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
        return spl_error_set(err, SP_ERR_NOENT,
                             "there is no /dev/net/tun, which the overlay needs: load the module (modprobe tun) or give the device to "
                             "this container; or only register the name: signpost-agent up --register-only");
    return spl_error_errno(err, "cannot open /dev/net/tun");
}

static sp_err claim_name(struct spl_tun *t, const char *name, struct spl_error *err) {
    struct ifreq ifr = {.ifr_flags = (short)(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_TUN_EXCL)};
    if (name[0] == 0 || strlen(name) >= sizeof ifr.ifr_name || strchr(name, '%') != NULL || strchr(name, '/') != NULL)
        return spl_error_set(err, SP_ERR_RANGE, "%s is not a name for a network device (1 to %zu bytes)", name, sizeof ifr.ifr_name - 1);
    memcpy(ifr.ifr_name, name, strlen(name));
    bool taken = if_nametoindex(name) != 0;
    if (taken || ioctl(t->fd, TUNSETIFF, &ifr) != 0) {
        if (taken || errno == EBUSY || errno == EEXIST)
            return spl_error_set(err, SP_ERR_EXIST, "there is a network device %s already; give another name with --interface", name);
        return spl_error_errno(err, "cannot make the network device %s", name);
    }
    memcpy(t->name, ifr.ifr_name, sizeof t->name);
    t->name[sizeof t->name - 1] = 0;
    t->index = (int)if_nametoindex(t->name);
    return t->index > 0 ? SP_OK : spl_error_errno(err, "cannot find the network device %s", name);
}

/* The best that this kernel has; without any of it packets come singly and checked. */
static void set_offload(struct spl_tun *t) {
    static const unsigned wishes[] = {TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_USO4 | TUN_F_USO6,
                                      TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6, TUN_F_CSUM};
    for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++)
        if (ioctl(t->fd, TUNSETOFFLOAD, wishes[i]) == 0) {
            t->udp = (wishes[i] & TUN_F_USO6) != 0;
            return;
        }
}

sp_err spl_tun_configure(struct spl_tun *t, struct spl_error *err) {
    return spl_netconf_up(t->name, t->index, t->addr, t->mtu, err);
}

static sp_err make(struct spl_tun *t, const struct spl_tun_config *c, struct spl_error *err) {
    t->buffer = mmap(NULL, SPL_TUN_BUFFER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (t->buffer == MAP_FAILED) {
        t->buffer = NULL;
        return spl_error_set(err, SP_ERR_FULL, "no memory for the network device");
    }
    (void)madvise(t->buffer, SPL_TUN_BUFFER, MADV_DONTDUMP);
    (void)madvise(t->buffer, SPL_TUN_BUFFER, MADV_NOHUGEPAGE);
    SP_TRY(open_device(t, err));
    SP_TRY(claim_name(t, c->name != NULL ? c->name : SPL_TUN_NAME, err));
    set_offload(t);
    memcpy(t->addr, c->addr, sizeof t->addr);
    t->mtu = c->mtu != 0 ? c->mtu : SPL_TUN_MTU;
    return spl_tun_configure(t, err);
}

sp_err spl_tun_open(struct spl_tun **ret, const struct spl_tun_config *config, struct spl_error *err) {
    struct spl_tun *t = calloc(1, sizeof *t);
    if (t == NULL)
        return spl_error_set(err, SP_ERR_FULL, "no memory for the network device");
    t->fd = -1;
    for (size_t i = 0; i < SPL_TUN_BATCH; i++)
        t->in[i].kind = SP_IN_PACKET;
    sp_err e = make(t, config, err);
    if (e == SP_OK)
        *ret = t;
    else
        spl_tun_close(t);
    return e;
}

sp_err spl_tun_start(struct spl_tun *t, struct spl_loop *loop, struct spl_error *err) {
    t->loop = loop;
    t->idle = evtimer_new(spl_loop_base(loop), on_idle, t);
    t->ev = event_new(spl_loop_base(loop), t->fd, EV_READ | EV_PERSIST, on_read, t);
    if (t->idle == NULL || t->ev == NULL || event_add(t->ev, NULL) != 0)
        return spl_error_set(err, SP_ERR_FULL, "no memory to read from the network device");
    return SP_OK;
}

void spl_tun_close(struct spl_tun *t) {
    if (t == NULL)
        return;
    if (t->ev != NULL)
        event_free(t->ev);
    if (t->idle != NULL)
        event_free(t->idle);
    if (t->fd >= 0)
        close(t->fd);
    if (t->buffer != NULL)
        munmap(t->buffer, SPL_TUN_BUFFER);
    free(t);
}

const char *spl_tun_name(const struct spl_tun *t) {
    return t->name;
}

int spl_tun_index(const struct spl_tun *t) {
    return t->index;
}

bool spl_tun_udp(const struct spl_tun *t) {
    return t->udp;
}

const struct spl_tun_counts *spl_tun_counts(const struct spl_tun *t) {
    return &t->counts;
}
