#define _GNU_SOURCE
#include "proto/linux/udp.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "proto/linux/addr.h"
#include "proto/linux/pace.h"
#include "proto/linux/room.h"
#include "proto/linux/udp_rx.h"

#define JOINED_SIZE   65536
#define READS         16 /* full batches before other sockets have their say */
#define SOCKET_BUFFER (4 << 20)
#define RX_LOAD       4  /* datagrams read at once that count as a load */
#define IDLE_S        10 /* without one */
/* Merged datagrams: what fits an Ethernet, what fits any path, and what the kernel takes. */
#define MERGE_SIZE_MAX  1452
#define MERGE_SIZE_ANY  1232
#define MERGE_COUNT_MAX 64
#define MERGE_BYTES_MAX 65000
#define CONTROL_SIZE    (CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(uint16_t)))

struct sock {
    struct spl_udp *udp;
    struct event ev;
    struct sp_addr local;
    int fd;
    unsigned flags;
    struct spl_udp_rx *rx;
    bool any;   /* bound to a wildcard address: the packet tells which of ours it reached */
    bool merge; /* the kernel segments for us */
};

struct spl_udp {
    struct spl_loop *loop;
    struct spl_udp_counts counts;
    struct spl_pace pace;
    struct sock socks[SPL_UDP_SOCKETS];
    unsigned count;

    struct spl_udp_rx *single, *joined; /* made when the first socket of the kind is opened */
    struct event idle;                  /* of joined: after a load its pages go back */
    bool busy;
    struct sp_in in[SPL_UDP_BATCH];

    struct sock *to; /* the socket that what is gathered leaves from */
    unsigned queued; /* datagrams, one iovec each */
    unsigned msgs;   /* messages; one holds several datagrams when merged */
    struct mmsghdr tx[SPL_UDP_BATCH];
    struct iovec tx_iov[SPL_UDP_BATCH];
    struct sp_addr tx_src, tx_dst; /* of the last message */
    uint16_t tx_segment[SPL_UDP_BATCH];
    struct sockaddr_in6 tx_name[SPL_UDP_BATCH];
    union {
        struct cmsghdr align;
        uint8_t bytes[CONTROL_SIZE];
    } tx_control[SPL_UDP_BATCH];
};

/* ---- receiving ---- */

static sp_duration cpu_time(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (sp_duration)t.tv_sec * SP_SEC + (sp_duration)t.tv_nsec;
}

static void on_idle(evutil_socket_t fd, short what, void *ctx) {
    struct spl_udp *u = ctx;
    if (u->busy)
        event_add(&u->idle, &(struct timeval){IDLE_S, 0});
    else
        spl_udp_rx_rest(u->joined);
    u->busy = false;
}

static void on_read(evutil_socket_t fd, short what, void *ctx) {
    struct sock *s = ctx;
    struct spl_udp *u = s->udp;
    for (unsigned round = 0; round < READS && !u->loop->ended; round++) {
        int n = spl_udp_rx_read(s->rx, fd, s->any || (s->flags & SPL_UDP_JOINED) != 0);
        if (n <= 0)
            break;
        u->counts.received += (unsigned)n;
        u->counts.batches_in++;
        size_t k = spl_udp_rx_describe(s->rx, (unsigned)n, &s->local, u->in, &u->counts.dropped_long);
        u->counts.dropped_core += k - spl_loop_deliver(u->loop, u->in, k);
        /* Pauses make batches larger, but packets of a tunnel should not wait. */
        if ((s->flags & SPL_UDP_WHOLE) == 0 && spl_pace_count(&u->pace, u->loop->now, (unsigned)n))
            spl_pace_epoch(&u->pace, u->loop->now, cpu_time());
        if ((unsigned)n < s->rx->count)
            break;
    }
    if (s->rx->used >= RX_LOAD) {
        u->busy = true;
        if (s->rx == u->joined && !event_pending(&u->idle, EV_TIMEOUT, NULL))
            event_add(&u->idle, &(struct timeval){IDLE_S, 0});
    }
    if (u->pace.pausing && !u->loop->ended)
        nanosleep(&(struct timespec){.tv_nsec = SPL_PACE_PAUSE}, NULL);
}

/* ---- sending ---- */

static void reset(struct spl_udp *u) {
    u->queued = u->msgs = 0;
    u->to = NULL;
}

static void count_failed(struct spl_udp *u, int error, size_t n) {
    if (error == EMSGSIZE)
        u->counts.dropped_size += n;
    else
        u->counts.dropped_error += n;
}

/* Sends the datagrams of a merged message one by one: the kernel or the device cannot segment, or they cannot be sent at all. True:
 * some went. */
static bool send_apart(struct spl_udp *u, int fd, struct msghdr *m, size_t segment) {
    struct iovec *iov = m->msg_iov, one;
    size_t n = m->msg_iovlen;
    uint64_t before = u->counts.sent;
    /* The segment size was put behind the source address. */
    m->msg_controllen -= CMSG_SPACE(sizeof(uint16_t));
    if (m->msg_controllen == 0)
        m->msg_control = NULL;
    m->msg_iov = &one;
    m->msg_iovlen = 1;
    for (size_t i = 0; i < n; i++)
        for (size_t at = 0; at < iov[i].iov_len; at += segment) {
            size_t left = iov[i].iov_len - at;
            one = (struct iovec){(uint8_t *)iov[i].iov_base + at, left < segment ? left : segment};
            if (sendmsg(fd, m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
                u->counts.sent++;
            else
                count_failed(u, errno, 1);
        }
    return u->counts.sent > before;
}

static void add_control(struct msghdr *m, uint8_t *at, int level, int type, const void *data, size_t len) {
    struct cmsghdr *c = (struct cmsghdr *)(void *)(at + m->msg_controllen);
    memset(c, 0, CMSG_SPACE(len));
    c->cmsg_level = level;
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(len);
    memcpy(CMSG_DATA(c), data, len);
    m->msg_control = at;
    m->msg_controllen += CMSG_SPACE(len);
}

/* Writes the segment sizes of merged messages, now that their lengths are known. */
static void seal(struct spl_udp *u) {
    for (unsigned i = 0; i < u->msgs; i++)
        if (u->tx_segment[i] != 0 &&
            (u->tx[i].msg_hdr.msg_iovlen > 1 || u->tx_segment[i] < u->tx[i].msg_hdr.msg_iov->iov_len))
            add_control(&u->tx[i].msg_hdr, u->tx_control[i].bytes, SOL_UDP, UDP_SEGMENT, &u->tx_segment[i],
                        sizeof u->tx_segment[i]);
        else
            u->tx_segment[i] = 0;
}

/* One message could not be sent: the reason decides whether it is tried another way, dropped, or everything with it. */
static bool give_up(struct spl_udp *u, unsigned at) {
    struct mmsghdr *m = &u->tx[at];
    if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM) {
        for (unsigned i = at; i < u->msgs; i++)
            u->counts.dropped_full += u->tx[i].msg_hdr.msg_iovlen;
        return true;
    }
    if (u->tx_segment[at] != 0 && (errno == EIO || errno == EINVAL || errno == EMSGSIZE)) {
        /* Longer ones may just not fit this device; if short ones go singly, it cannot segment. */
        bool cannot = errno != EMSGSIZE && u->tx_segment[at] <= MERGE_SIZE_ANY;
        if (send_apart(u, u->to->fd, &m->msg_hdr, u->tx_segment[at]) && cannot)
            u->to->merge = false;
        return false;
    }
    count_failed(u, errno, m->msg_hdr.msg_iovlen);
    return false;
}

void spl_udp_flush(struct spl_udp *u) {
    if (u->msgs == 0)
        return;
    seal(u);
    for (unsigned done = 0; done < u->msgs;) {
        int n = sendmmsg(u->to->fd, u->tx + done, u->msgs - done, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            if (give_up(u, done))
                break;
            done++;
            continue;
        }
        u->counts.batches_out++;
        for (unsigned i = done; i < done + (unsigned)n; i++)
            u->counts.sent += u->tx[i].msg_hdr.msg_iovlen;
        done += (unsigned)n;
    }
    reset(u);
}

static bool owns(const struct sock *s, const struct sp_out *out) {
    if (out->src.family == 0)
        return s->local.family == out->dst.family;
    if (s->any)
        return s->local.family == out->src.family && s->local.port == out->src.port;
    return memcmp(&s->local, &out->src, sizeof s->local) == 0;
}

static struct sock *socket_for(struct spl_udp *u, const struct sp_out *out) {
    if (u->to != NULL && out->src.family != 0 && owns(u->to, out))
        return u->to;
    for (unsigned i = 0; i < u->count; i++)
        if (owns(&u->socks[i], out))
            return &u->socks[i];
    return NULL;
}

/* Whether a datagram may join the last message: same way, and no longer than those before, which are all of one length.
 */
static bool joins(const struct spl_udp *u, const struct sock *s, const struct sp_out *out) {
    if (!s->merge || u->msgs == 0 || out->segment != 0)
        return false;
    const struct msghdr *m = &u->tx[u->msgs - 1].msg_hdr;
    size_t segment = u->tx_segment[u->msgs - 1];
    return segment != 0 && out->len <= segment && out->len != 0 && m->msg_iovlen < MERGE_COUNT_MAX &&
           (m->msg_iovlen + 1) * segment <= MERGE_BYTES_MAX &&
           m->msg_iov[m->msg_iovlen - 1].iov_len == segment && memcmp(&u->tx_dst, &out->dst, sizeof out->dst) == 0 &&
           memcmp(&u->tx_src, &out->src, sizeof out->src) == 0;
}

static void set_source(struct spl_udp *u, unsigned at, const struct sp_addr *src) {
    struct msghdr *m = &u->tx[at].msg_hdr;
    if (src->family == 4) {
        struct in_pktinfo info = {0};
        memcpy(&info.ipi_spec_dst, src->ip, 4);
        add_control(m, u->tx_control[at].bytes, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    } else {
        struct in6_pktinfo info = {.ipi6_ifindex = src->scope};
        memcpy(&info.ipi6_addr, src->ip, 16);
        add_control(m, u->tx_control[at].bytes, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
    }
}

void spl_udp_send(struct spl_udp *u, const struct sp_out *out) {
    struct sock *s = socket_for(u, out);
    if (s == NULL) {
        u->counts.dropped_error++;
        return;
    }
    if ((u->to != NULL && u->to != s) || u->queued == SPL_UDP_BATCH)
        spl_udp_flush(u);
    u->to = s;
    struct iovec *iov = &u->tx_iov[u->queued];
    *iov = (struct iovec){(void *)(uintptr_t)out->data, out->len};
    if (joins(u, s, out)) {
        u->tx[u->msgs - 1].msg_hdr.msg_iovlen++;
        u->queued++;
        return;
    }
    unsigned at = u->msgs;
    struct msghdr *m = &u->tx[at].msg_hdr;
    m->msg_namelen = spl_addr_to(&out->dst, (struct sockaddr_storage *)(void *)&u->tx_name[at]);
    m->msg_iov = iov;
    m->msg_iovlen = 1;
    m->msg_control = NULL;
    m->msg_controllen = 0;
    if (s->any && out->src.family != 0)
        set_source(u, at, &out->src);
    u->tx_segment[at] = out->segment != 0                        ? out->segment
                        : s->merge && out->len <= MERGE_SIZE_MAX ? (uint16_t)out->len
                                                                 : 0;
    u->tx_src = out->src;
    u->tx_dst = out->dst;
    u->queued++;
    u->msgs++;
}

/* ---- opening ---- */

static void set_option(int fd, int level, int name, int value) {
    /* Only options without which we still serve, if less well. */
    (void)!setsockopt(fd, level, name, &value, sizeof value);
}

static void set_options(struct sock *s) {
    int fd = s->fd, zero = 0;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &(int){SOCKET_BUFFER}, sizeof(int)) != 0)
        set_option(fd, SOL_SOCKET, SO_RCVBUF, SOCKET_BUFFER);
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &(int){SOCKET_BUFFER}, sizeof(int)) != 0)
        set_option(fd, SOL_SOCKET, SO_SNDBUF, SOCKET_BUFFER);
    /* No trust in path MTU messages, which anybody can forge. Without `whole` no DF either: replies are kept small enough instead. */
    bool whole = (s->flags & SPL_UDP_WHOLE) != 0;
    if (s->local.family == 4) {
        set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, whole ? IP_PMTUDISC_PROBE : IP_PMTUDISC_OMIT);
        if (s->any)
            set_option(fd, IPPROTO_IP, IP_PKTINFO, 1);
    } else {
        set_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, whole ? IPV6_PMTUDISC_PROBE : IPV6_PMTUDISC_OMIT);
        if (s->any)
            set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    }
    /* Known to the kernel: it segments (Linux 4.18). */
    s->merge = setsockopt(fd, SOL_UDP, UDP_SEGMENT, &zero, sizeof zero) == 0;
    if ((s->flags & SPL_UDP_JOINED) != 0)
        set_option(fd, SOL_UDP, UDP_GRO, 1); /* Linux 5.0; else they come singly */
}

static struct spl_udp_rx *rx_for(struct spl_udp *u, unsigned flags) {
    bool joined = (flags & SPL_UDP_JOINED) != 0;
    unsigned count = (flags & SPL_UDP_WHOLE) != 0 ? SPL_UDP_TUNNEL_BATCH : SPL_UDP_JOINED_BATCH;
    struct spl_udp_rx **rx = joined ? &u->joined : &u->single;
    if (*rx == NULL)
        *rx = joined ? spl_udp_rx_new(count, JOINED_SIZE) : spl_udp_rx_new(SPL_UDP_BATCH, SPL_UDP_SIZE);
    return *rx;
}

static struct spl_udp *room_of(struct spl_loop *loop) {
    if (loop->udp != NULL)
        return loop->udp;
    struct spl_udp *u = calloc(1, sizeof *u);
    if (u == NULL)
        return NULL;
    u->loop = loop;
    evtimer_assign(&u->idle, loop->base, on_idle, u);
    /* Pauses between batches end when they should; the default is up to 50 us later. */
    (void)!prctl(PR_SET_TIMERSLACK, 1000UL);
    for (unsigned i = 0; i < SPL_UDP_BATCH; i++) {
        u->tx[i].msg_hdr.msg_name = &u->tx_name[i];
        u->in[i].kind = SP_IN_DATAGRAM;
    }
    loop->udp = u;
    return u;
}

sp_err spl_udp_open(struct spl_loop *loop, const struct sp_addr *bind_to, unsigned flags, struct sp_addr *ret_bound,
                    struct spl_error *err) {
    char text[SPL_ADDR_TEXT];
    spl_addr_text(bind_to, text);
    struct spl_udp *u = room_of(loop);
    if (u == NULL || u->count == SPL_UDP_SOCKETS)
        return spl_error_set(err, SP_ERR_FULL, "cannot listen on %s: too many addresses (at most %d)", text,
                             SPL_UDP_SOCKETS);
    struct spl_udp_rx *rx = rx_for(u, flags);
    if (rx == NULL)
        return spl_error_set(err, SP_ERR_FULL, "no memory to receive on %s", text);
    struct sockaddr_storage ss;
    socklen_t len = spl_addr_to(bind_to, &ss);
    struct sock *s = &u->socks[u->count];
    int fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return spl_error_errno(err, "cannot open a UDP socket for %s", text);
    if (bind_to->family == 6)
        set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    if (bind(fd, (struct sockaddr *)&ss, len) != 0 || getsockname(fd, (struct sockaddr *)&ss, &len) != 0) {
        sp_err e = spl_error_errno(err, "cannot bind UDP %s", text);
        close(fd);
        return e;
    }
    *s = (struct sock){.udp = u, .fd = fd, .flags = flags, .rx = rx, .any = spl_addr_is_any(bind_to)};
    spl_addr_from(&s->local, (struct sockaddr *)&ss);
    set_options(s);
    event_assign(&s->ev, loop->base, fd, EV_READ | EV_PERSIST, on_read, s);
    event_add(&s->ev, NULL);
    u->count++;
    if (ret_bound != NULL)
        *ret_bound = s->local;
    return SP_OK;
}

void spl_udp_free(struct spl_udp *u) {
    if (u == NULL)
        return;
    for (unsigned i = 0; i < u->count; i++) {
        event_del(&u->socks[i].ev);
        close(u->socks[i].fd);
    }
    event_del(&u->idle);
    spl_udp_rx_free(u->single);
    spl_udp_rx_free(u->joined);
    free(u);
}

const struct spl_udp_counts *spl_udp_counts(const struct spl_loop *loop) {
    static const struct spl_udp_counts none;
    return loop->udp != NULL ? &loop->udp->counts : &none;
}
