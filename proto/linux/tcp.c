#define _GNU_SOURCE
#include "proto/linux/tcp.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/linux/addr.h"
#include "proto/linux/room.h"

#define READ_SIZE        ((size_t)64 << 10)
#define ACCEPTS          64 /* a wake-up */
#define LINGER_S         2  /* for the peer to close after us: closing first could reset what it has not read */
#define DRAIN_S          10 /* for a peer to take the rest of a stream that closes, however slowly it reads */
#define SPARE_STREAMS(n) ((n) / 8 + 16) /* for streams that the core has closed and the peer has not */

enum stream_state {
    STREAM_FREE,
    STREAM_CONNECTING, /* the core asked for it */
    STREAM_OPEN,    /* both we and the core know it */
    STREAM_CLOSING, /* the core is done with it: the rest goes out, then we close */
    STREAM_LINGER,  /* our side is shut; what still comes is thrown away */
};

struct stream {
    struct spl_tcp *tcp;
    struct event rd, wr;
    enum stream_state state;
    int fd;
    uint32_t generation;
    uint64_t id;      /* what the core knows it by */
    sp_err err;       /* why it could not be connected */
    sp_instant until; /* once it is closing */
    uint8_t *tx;
    size_t tx_at, tx_len, tx_cap; /* tx_len bytes from tx_at on wait to be sent */
    size_t credit;                /* sent, not yet given back */
    bool dirty, broken;           /* on the list of streams to look at; an error: close it */
    uint32_t next;                /* in the list of dirty or of free streams; NONE ends it */
};

#define NONE        UINT32_MAX
#define GENERATIONS (UINT32_C(1) << 29) /* so that ids stay below SP_CONNECT_ID */

struct listener {
    struct spl_tcp *tcp;
    struct event ev, pause;
    int fd;
};

struct spl_tcp {
    struct spl_loop *loop;
    struct spl_tcp_counts counts;
    struct listener listeners[SPL_TCP_LISTENERS];
    unsigned listener_count;
    struct stream *streams;
    uint32_t cap, free, dirty;
    uint8_t in[READ_SIZE];
};

/* Connected ids are the core's, and few: they are searched for. Others tell where the stream stands. */
static struct stream *find(struct spl_tcp *t, uint64_t id) {
    uint32_t at = (uint32_t)id;
    if ((id & SP_CONNECT_ID) != 0)
        for (at = 0; at < t->cap && (t->streams[at].state == STREAM_FREE || t->streams[at].id != id); at++)
            ;
    if (at >= t->cap || t->streams[at].id != id)
        return NULL;
    struct stream *st = &t->streams[at];
    return st->state == STREAM_OPEN || st->state == STREAM_CONNECTING ? st : NULL;
}

static void mark(struct spl_tcp *t, struct stream *st) {
    if (st->dirty)
        return;
    st->dirty = true;
    st->next = t->dirty;
    t->dirty = (uint32_t)(st - t->streams);
}

/* Closes now. A stream on the dirty list is put on the free list when that is walked. */
static void drop(struct spl_tcp *t, struct stream *st, bool reset) {
    if (st->state == STREAM_FREE)
        return;
    event_del(&st->rd);
    event_del(&st->wr);
    if (reset) {
        struct linger lg = {1, 0};
        (void)!setsockopt(st->fd, SOL_SOCKET, SO_LINGER, &lg, sizeof lg);
    }
    if (st->fd >= 0)
        close(st->fd);
    free(st->tx);
    st->tx = NULL;
    st->tx_at = st->tx_len = st->tx_cap = st->credit = 0;
    st->state = STREAM_FREE;
    st->broken = false;
    st->id = 0;
    st->err = SP_OK;
    t->counts.closed++;
    t->counts.open--;
    mark(t, st);
}

/* From here on the stream has `seconds` left, whatever its peer does. */
static void limit(struct stream *st, enum stream_state state, unsigned seconds) {
    st->state = state;
    st->until = sp_instant_add(st->tcp->loop->now, seconds * SP_SEC);
    struct timeval tv = {(time_t)seconds, 0};
    event_add(state == STREAM_LINGER ? &st->rd : &st->wr, &tv);
}

static bool late(const struct stream *st, short what) {
    return (what & EV_TIMEOUT) != 0 || (st->state != STREAM_OPEN && spl_now() >= st->until);
}

/* ---- reading ---- */

static void on_linger(struct stream *st, short what) {
    bool over = late(st, what);
    if (!over) {
        ssize_t n = recv(st->fd, st->tcp->in, READ_SIZE, MSG_DONTWAIT);
        over = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
    }
    if (over) {
        drop(st->tcp, st, false);
        spl_loop_turn(st->tcp->loop);
    }
}

/* The peer has closed its side, or the connection broke. What the core said before may still go out. */
static void peer_closed(struct spl_tcp *t, struct stream *st, bool error) {
    struct sp_in in = {.kind = SP_IN_STREAM_CLOSE, .id = st->id};
    if (error || st->tx_len == 0) {
        drop(t, st, false);
    } else {
        event_del(&st->rd);
        limit(st, STREAM_CLOSING, DRAIN_S);
    }
    (void)!spl_loop_deliver(t->loop, &in, 1);
}

static void on_read(evutil_socket_t fd, short what, void *ctx) {
    struct stream *st = ctx;
    struct spl_tcp *t = st->tcp;
    if (st->state == STREAM_LINGER)
        on_linger(st, what);
    if (st->state != STREAM_OPEN)
        return;
    ssize_t n = recv(fd, t->in, READ_SIZE, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        peer_closed(t, st, n < 0);
        return;
    }
    struct sp_in in = {.kind = SP_IN_STREAM_DATA, .id = st->id, .data = t->in, .len = (size_t)n};
    if (spl_loop_deliver(t->loop, &in, 1) == 0 && find(t, in.id) == st)
        peer_closed(t, st, true); /* the core cannot take it, and a stream cannot lose bytes */
}

/* ---- writing ---- */

static sp_err append(struct stream *st, const uint8_t *data, size_t len) {
    if (len > SPL_TCP_WINDOW - st->tx_len)
        return SP_ERR_FULL;
    if (st->tx_at + st->tx_len + len > st->tx_cap) {
        if (st->tx_at > 0 && st->tx_len > 0)
            memmove(st->tx, st->tx + st->tx_at, st->tx_len);
        st->tx_at = 0;
        size_t cap = st->tx_cap > 0 ? st->tx_cap : 2048;
        while (cap < st->tx_len + len)
            cap *= 2;
        if (cap > st->tx_cap) {
            uint8_t *grown = realloc(st->tx, cap);
            if (grown == NULL)
                return SP_ERR_FULL;
            st->tx = grown;
            st->tx_cap = cap;
        }
    }
    memcpy(st->tx + st->tx_at + st->tx_len, data, len);
    st->tx_len += len;
    return SP_OK;
}

/* Sends what waits. False: the connection is broken. */
static bool push(struct stream *st) {
    while (st->tx_len > 0) {
        ssize_t n = send(st->fd, st->tx + st->tx_at, st->tx_len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN;
        st->tx_at += (size_t)n;
        st->tx_len -= (size_t)n;
        st->credit += (size_t)n;
    }
    st->tx_at = 0;
    if (st->tx_cap > READ_SIZE) { /* an idle stream keeps little */
        free(st->tx);
        st->tx = NULL;
        st->tx_cap = 0;
    }
    return true;
}

static void on_connected(struct stream *st, short what);

static void on_write(evutil_socket_t fd, short what, void *ctx) {
    struct stream *st = ctx;
    if (st->state == STREAM_CONNECTING) {
        on_connected(st, what);
        return;
    }
    if (late(st, what))
        st->broken = true;
    mark(st->tcp, st);
    spl_loop_turn(st->tcp->loop);
}

void spl_tcp_output(struct spl_tcp *t, const struct sp_out *out) {
    struct stream *st = find(t, out->id);
    if (st == NULL)
        return;
    if (out->kind == SP_OUT_STREAM_RESET || st->state == STREAM_CONNECTING) {
        drop(t, st, true);
        return;
    }
    mark(t, st);
    if (out->kind == SP_OUT_STREAM_CLOSE)
        limit(st, STREAM_CLOSING, DRAIN_S);
    else if (append(st, out->data, out->len) != SP_OK)
        st->broken = true;
}

static void linger(struct stream *st) {
    shutdown(st->fd, SHUT_WR);
    event_del(&st->wr);
    limit(st, STREAM_LINGER, LINGER_S);
}

/* One dirty stream: sends, then closes or gives credit. True when *in tells the core something. */
static bool settle(struct spl_tcp *t, struct stream *st, struct sp_in *in) {
    bool known = st->state == STREAM_OPEN || st->state == STREAM_CONNECTING;
    uint64_t id = st->id;
    sp_err err = st->err;
    if (st->state == STREAM_LINGER)
        return false;
    if (st->broken || !push(st)) {
        drop(t, st, true);
        *in = (struct sp_in){.kind = SP_IN_STREAM_CLOSE, .id = id, .err = err};
        return known;
    }
    if (st->tx_len > 0) {
        /* Who does not take replies is not read from either; the core may lose patience meanwhile. */
        event_del(&st->rd);
        event_add(&st->wr, NULL);
    } else if (st->state == STREAM_CLOSING) {
        linger(st);
        return false;
    } else {
        event_del(&st->wr);
        event_add(&st->rd, NULL);
    }
    *in = (struct sp_in){.kind = SP_IN_STREAM_CREDIT, .id = id, .credit = st->credit};
    known = known && st->credit > 0;
    st->credit = 0;
    return known;
}

size_t spl_tcp_flush(struct spl_tcp *t, struct sp_in *in, size_t cap) {
    size_t n = 0;
    while (t->dirty != NONE && n < cap) {
        struct stream *st = &t->streams[t->dirty];
        uint32_t at = t->dirty;
        t->dirty = st->next;
        st->dirty = false;
        if (st->state != STREAM_FREE && settle(t, st, &in[n]))
            n++;
        if (st->state == STREAM_FREE) {
            if (st->dirty) { /* dropped just now: it stands at the head again */
                t->dirty = st->next;
                st->dirty = false;
            }
            st->next = t->free;
            t->free = at;
        }
    }
    return n;
}

/* ---- opening ---- */

/* The stream that has lingered longest, dropped. Else whoever opens connections as fast as the core evicts them would
 * fill the spare places with those, and keep others out. */
static struct stream *take_lingering(struct spl_tcp *t) {
    struct stream *oldest = NULL;
    for (struct stream *st = t->streams; st < t->streams + t->cap; st++)
        if (st->state == STREAM_LINGER && (oldest == NULL || st->until < oldest->until))
            oldest = st;
    if (oldest != NULL)
        drop(t, oldest, true); /* it stays on the dirty list, which an open stream may be on too */
    return oldest;
}

static struct stream *take(struct spl_tcp *t) {
    if (t->free == NONE)
        return take_lingering(t);
    struct stream *st = &t->streams[t->free];
    t->free = st->next;
    return st;
}

static void watch(struct stream *st) {
    (void)!setsockopt(st->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    event_assign(&st->rd, st->tcp->loop->base, st->fd, EV_READ | EV_PERSIST, on_read, st);
    event_assign(&st->wr, st->tcp->loop->base, st->fd, EV_WRITE | EV_PERSIST, on_write, st);
}

/* The core gets to know an open stream; what it does not take is closed. */
static void introduce(struct spl_tcp *t, struct stream *st, const struct sp_addr *peer) {
    struct sp_in in = {.kind = SP_IN_STREAM_OPEN, .id = st->id, .src = *peer, .credit = SPL_TCP_WINDOW};
    struct sockaddr_storage ss;
    socklen_t len = sizeof ss;
    st->state = STREAM_OPEN;
    event_add(&st->rd, NULL);
    if (getsockname(st->fd, (struct sockaddr *)&ss, &len) == 0)
        spl_addr_from(&in.dst, (struct sockaddr *)&ss);
    if (spl_loop_deliver(t->loop, &in, 1) == 0 && find(t, in.id) == st) {
        t->counts.refused_full++;
        drop(t, st, true);
        spl_loop_turn(t->loop);
    }
}

static void adopt(struct spl_tcp *t, int fd, const struct sockaddr *peer) {
    struct stream *st = take(t);
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
    watch(st);
    struct sp_addr from;
    spl_addr_from(&from, peer);
    introduce(t, st, &from);
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
    mark(st->tcp, st);
}

static void on_connected(struct stream *st, short what) {
    struct spl_tcp *t = st->tcp;
    int e = 0;
    struct sockaddr_storage ss;
    socklen_t len = sizeof e, ss_len = sizeof ss;
    if (late(st, what))
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
    introduce(t, st, &to);
}

void spl_tcp_connect(struct spl_loop *loop, uint64_t id, const struct sp_addr *to) {
    struct spl_tcp *t = loop->tcp;
    SP_ASSERT(t != NULL && (id & SP_CONNECT_ID) != 0 && find(t, id) == NULL);
    struct stream *st = take(t);
    SP_ASSERT(st != NULL && "the core connects no more streams than were said");
    struct sockaddr_storage ss;
    socklen_t len = spl_addr_to(to, &ss);
    t->counts.open++;
    st->id = id;
    st->state = STREAM_CONNECTING;
    st->fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    watch(st);
    if (st->fd < 0 || (connect(st->fd, (struct sockaddr *)&ss, len) != 0 && errno != EINPROGRESS))
        cannot_connect(st, error_of(errno));
    else
        limit(st, STREAM_CONNECTING, SPL_TCP_CONNECT_S);
}

/* ---- listening ---- */

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

static struct spl_tcp *room_of(struct spl_loop *loop, unsigned streams) {
    if (loop->tcp != NULL)
        return loop->tcp;
    struct spl_tcp *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    t->loop = loop;
    t->cap = streams + SPARE_STREAMS(streams);
    t->streams = calloc(t->cap, sizeof *t->streams);
    if (t->streams == NULL) {
        free(t);
        return NULL;
    }
    t->free = t->dirty = NONE;
    for (uint32_t i = t->cap; i-- > 0;) {
        t->streams[i].tcp = t;
        t->streams[i].next = t->free;
        t->free = i;
    }
    loop->tcp = t;
    return t;
}

sp_err spl_tcp_open(struct spl_loop *loop, unsigned streams, struct spl_error *err) {
    return room_of(loop, streams) != NULL ? SP_OK : spl_error_set(err, SP_ERR_FULL, "no memory for TCP streams");
}

sp_err spl_tcp_listen(struct spl_loop *loop, const struct sp_addr *bind_to, unsigned streams, struct sp_addr *ret_bound,
                      struct spl_error *err) {
    char text[SPL_ADDR_TEXT];
    spl_addr_text(bind_to, text);
    struct spl_tcp *t = room_of(loop, streams);
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

void spl_tcp_free(struct spl_tcp *t) {
    if (t == NULL)
        return;
    for (unsigned i = 0; i < t->listener_count; i++) {
        event_del(&t->listeners[i].ev);
        event_del(&t->listeners[i].pause);
        close(t->listeners[i].fd);
    }
    for (uint32_t i = 0; i < t->cap; i++)
        drop(t, &t->streams[i], false);
    free(t->streams);
    free(t);
}

const struct spl_tcp_counts *spl_tcp_counts(const struct spl_loop *loop) {
    static const struct spl_tcp_counts none;
    return loop->tcp != NULL ? &loop->tcp->counts : &none;
}
