/* How streams come about: accepted from a peer, or connected for the core. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/linux/addr.h"
#include "proto/linux/tcp.h"
#include "proto/linux/tcp_stream.h"

#define ACCEPTS     64                  /* a wake-up */
#define GENERATIONS (UINT32_C(1) << 29) /* so that ids stay below SP_CONNECT_ID */

/* ---- listening ---- */

static void adopt(struct spl_tcp *t, int fd, const struct sockaddr *peer) {
    struct stream *st = spl_stream_take(t);
    if (st == NULL) {
        t->counts.refused_full++;
        close(fd);
        return;
    }
    t->counts.accepted++;
    t->counts.open++;
    st->fd = fd;
    st->generation = st->generation % GENERATIONS + 1;
    st->id = (uint64_t)st->generation << 32 | (uint64_t)(st - t->streams);
    spl_stream_watch(st);
    struct sp_addr from;
    spl_addr_from(&from, peer);
    spl_stream_introduce(t, st, &from);
}

static void on_accept(evutil_socket_t fd, short what, void *ctx) {
    struct listener *ln = ctx;
    struct spl_tcp *t = ln->tcp;
    for (unsigned i = 0; i < ACCEPTS; i++) {
        struct sockaddr_storage ss;
        socklen_t len = sizeof ss;
        int peer = accept4(fd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (peer >= 0) {
            adopt(t, peer, (struct sockaddr *)&ss);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            /* Nothing to accept with: rest for a moment instead of spinning. */
            t->counts.refused_full++;
            struct timeval tv = {0, 100000};
            event_del(&ln->ev);
            event_add(&ln->pause, &tv);
        }
        if (errno != EINTR && errno != ECONNABORTED)
            return;
    }
}

static void on_pause_end(evutil_socket_t fd, short what, void *ctx) {
    struct listener *ln = ctx;
    event_add(&ln->ev, NULL);
}

sp_err spl_tcp_listen(struct spl_loop *loop, const struct sp_addr *bind_to, unsigned streams, struct sp_addr *ret_bound,
                      struct spl_error *err) {
    char text[SPL_ADDR_TEXT];
    spl_addr_text(bind_to, text);
    struct spl_tcp *t = spl_tcp_room(loop, streams);
    if (t == NULL || t->listener_count == SPL_TCP_LISTENERS)
        return spl_error_set(err, SP_ERR_FULL, "cannot listen on %s: too many addresses (at most %d) or streams", text,
                             SPL_TCP_LISTENERS);
    struct sockaddr_storage ss;
    socklen_t len = spl_addr_to(bind_to, &ss);
    int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return spl_error_errno(err, "cannot open a TCP socket for %s", text);
    (void)!setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind_to->family == 6)
        (void)!setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){1}, sizeof(int));
    if (bind(fd, (struct sockaddr *)&ss, len) != 0 || listen(fd, 1024) != 0 ||
        getsockname(fd, (struct sockaddr *)&ss, &len) != 0) {
        sp_err e = spl_error_errno(err, "cannot listen on TCP %s", text);
        close(fd);
        return e;
    }
    struct listener *ln = &t->listeners[t->listener_count++];
    ln->tcp = t;
    ln->fd = fd;
    event_assign(&ln->ev, loop->base, fd, EV_READ | EV_PERSIST, on_accept, ln);
    evtimer_assign(&ln->pause, loop->base, on_pause_end, ln);
    event_add(&ln->ev, NULL);
    if (ret_bound != NULL)
        spl_addr_from(ret_bound, (struct sockaddr *)&ss);
    return SP_OK;
}

/* ---- connecting ---- */

static sp_err error_of(int e) {
    switch (e) {
    case ETIMEDOUT:
        return SP_ERR_AGAIN;
    case ECONNREFUSED:
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EADDRNOTAVAIL:
        return SP_ERR_NOENT;
    case EACCES:
    case EPERM:
        return SP_ERR_DENIED;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        return SP_ERR_FULL;
    default:
        return SP_ERR_IO;
    }
}

/* The next flush tells the core. */
static void cannot_connect(struct stream *st, sp_err err) {
    st->tcp->counts.failed++;
    st->err = err;
    st->broken = true;
    spl_stream_mark(st->tcp, st);
}

void spl_stream_connected(struct stream *st, short what) {
    struct spl_tcp *t = st->tcp;
    int e = 0;
    struct sockaddr_storage ss;
    socklen_t len = sizeof e, ss_len = sizeof ss;
    if (spl_stream_late(st, what))
        e = ETIMEDOUT;
    else if (getsockopt(st->fd, SOL_SOCKET, SO_ERROR, &e, &len) != 0 ||
             (e == 0 && getpeername(st->fd, (struct sockaddr *)&ss, &ss_len) != 0))
        e = errno;
    if (e != 0) {
        cannot_connect(st, error_of(e));
        spl_loop_turn(t->loop);
        return;
    }
    event_del(&st->wr);
    t->counts.connected++;
    struct sp_addr to;
    spl_addr_from(&to, (struct sockaddr *)&ss);
    spl_stream_introduce(t, st, &to);
}

void spl_tcp_connect(struct spl_loop *loop, uint64_t id, const struct sp_addr *to) {
    struct spl_tcp *t = loop->tcp;
    SP_ASSERT(t != NULL && (id & SP_CONNECT_ID) != 0 && spl_stream_find(t, id) == NULL);
    struct stream *st = spl_stream_take(t);
    if (st == NULL) {
        SP_ASSERT(t->failed_count < t->cap && "the core connects no more streams than were said");
        t->counts.failed++;
        t->failed[t->failed_count++] = id;
        return;
    }
    struct sockaddr_storage ss;
    socklen_t len = spl_addr_to(to, &ss);
    t->counts.open++;
    spl_stream_name(t, st, id);
    st->state = STREAM_CONNECTING;
    st->fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    spl_stream_watch(st);
    if (st->fd < 0 || (connect(st->fd, (struct sockaddr *)&ss, len) != 0 && errno != EINPROGRESS))
        cannot_connect(st, error_of(errno));
    else
        spl_stream_limit(st, STREAM_CONNECTING, SPL_TCP_CONNECT_S);
}
