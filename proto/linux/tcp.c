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
#include "proto/linux/tcp_stream.h"

#define LINGER_S         2  /* for the peer to close after us: closing first could reset what it has not read */
#define DRAIN_S          10 /* for a peer to take the rest of a stream that closes, however slowly it reads */
#define SPARE_STREAMS(n) ((n) / 8 + 16) /* for streams that the core has closed and the peer has not */

/* Whether both the core and we know it, or will. */
static bool known(const struct stream *st) {
    return st->state == STREAM_OPEN || st->state == STREAM_CONNECTING;
}

static uint32_t *chain_of(struct spl_tcp *t, uint64_t id) {
    return &t->chains[id % SPL_STREAM_CHAINS]; /* the core counts them up */
}

void spl_stream_name(struct spl_tcp *t, struct stream *st, uint64_t id) {
    uint32_t *head = chain_of(t, id);
    st->id = id;
    st->chain = *head;
    *head = (uint32_t)(st - t->streams);
}

static void forget_name(struct spl_tcp *t, struct stream *st) {
    if ((st->id & SP_CONNECT_ID) == 0)
        return;
    uint32_t *at = chain_of(t, st->id);
    while (*at != (uint32_t)(st - t->streams))
        at = &t->streams[*at].chain;
    *at = st->chain;
}

/* Connected ids are the core's. Others tell where the stream stands. */
struct stream *spl_stream_find(struct spl_tcp *t, uint64_t id) {
    uint32_t at = (uint32_t)id;
    if ((id & SP_CONNECT_ID) != 0)
        for (at = *chain_of(t, id); at != SPL_STREAM_NONE && t->streams[at].id != id; at = t->streams[at].chain)
            ;
    return at < t->cap && t->streams[at].id == id && known(&t->streams[at]) ? &t->streams[at] : NULL;
}

void spl_stream_mark(struct spl_tcp *t, struct stream *st) {
    if (st->dirty)
        return;
    st->dirty = true;
    st->next = t->dirty;
    t->dirty = (uint32_t)(st - t->streams);
}

/* Closes now. A stream on the dirty list is put on the free list when that is walked. */
void spl_stream_drop(struct spl_tcp *t, struct stream *st, bool reset) {
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
    st->tx_at = st->tx_len = st->tx_cap = st->credit = st->allowed = 0;
    st->state = STREAM_FREE;
    st->broken = st->by_credit = st->peer_ended = st->ends = st->ended = false;
    forget_name(t, st);
    st->id = 0;
    st->err = SP_OK;
    t->counts.closed++;
    t->counts.open--;
    spl_stream_mark(t, st);
}

/* From here on the stream has `seconds` left, whatever its peer does. */
void spl_stream_limit(struct stream *st, enum stream_state state, unsigned seconds) {
    st->state = state;
    st->until = sp_instant_add(st->tcp->loop->now, seconds * SP_SEC);
    struct timeval tv = {(time_t)seconds, 0};
    event_add(state == STREAM_LINGER ? &st->rd : &st->wr, &tv);
}

bool spl_stream_late(const struct stream *st, short what) {
    return (what & EV_TIMEOUT) != 0 || (st->state != STREAM_OPEN && spl_now() >= st->until);
}

/* ---- reading ---- */

static void on_linger(struct stream *st, short what) {
    bool over = spl_stream_late(st, what);
    if (!over) {
        ssize_t n = recv(st->fd, st->tcp->in, SPL_STREAM_READ, MSG_DONTWAIT);
        over = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
    }
    if (over) {
        spl_stream_drop(st->tcp, st, false);
        spl_loop_turn(st->tcp->loop);
    }
}

/* The peer has closed its side, or the connection broke. What the core said before may still go out. */
static void peer_closed(struct spl_tcp *t, struct stream *st, bool error) {
    struct sp_in in = {.kind = SP_IN_STREAM_CLOSE, .id = st->id, .err = st->by_credit ? SP_ERR_IO : SP_OK};
    if (error || st->tx_len == 0) {
        spl_stream_drop(t, st, false);
    } else {
        event_del(&st->rd);
        spl_stream_limit(st, STREAM_CLOSING, DRAIN_S);
    }
    (void)!spl_loop_deliver(t->loop, &in, 1);
}

/* The peer has closed its side of a stream that is read by credit: the other side lives on. */
static void peer_ended(struct spl_tcp *t, struct stream *st) {
    struct sp_in in = {.kind = SP_IN_STREAM_END, .id = st->id};
    st->peer_ended = true;
    event_del(&st->rd);
    spl_stream_mark(t, st); /* it may have been the last that was waited for */
    (void)!spl_loop_deliver(t->loop, &in, 1);
}

static void on_read(evutil_socket_t fd, short what, void *ctx) {
    struct stream *st = ctx;
    struct spl_tcp *t = st->tcp;
    if (st->state == STREAM_LINGER)
        on_linger(st, what);
    if (st->state != STREAM_OPEN)
        return;
    size_t most = !st->by_credit || st->allowed > SPL_STREAM_READ ? SPL_STREAM_READ : st->allowed;
    ssize_t n = most > 0 ? recv(fd, t->in, most, MSG_DONTWAIT) : (errno = EAGAIN, -1);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n == 0 && st->by_credit) {
        peer_ended(t, st);
        return;
    }
    if (n <= 0) {
        peer_closed(t, st, n < 0);
        return;
    }
    if (st->by_credit && (st->allowed -= (size_t)n) == 0)
        event_del(&st->rd);
    struct sp_in in = {.kind = SP_IN_STREAM_DATA, .id = st->id, .data = t->in, .len = (size_t)n};
    if (spl_loop_deliver(t->loop, &in, 1) == 0 && spl_stream_find(t, in.id) == st)
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
    if (st->tx_cap > SPL_STREAM_READ) { /* an idle stream keeps little */
        free(st->tx);
        st->tx = NULL;
        st->tx_cap = 0;
    }
    return true;
}

static void on_write(evutil_socket_t fd, short what, void *ctx) {
    struct stream *st = ctx;
    if (st->state == STREAM_CONNECTING) {
        spl_stream_connected(st, what);
        return;
    }
    if (spl_stream_late(st, what))
        st->broken = true;
    spl_stream_mark(st->tcp, st);
    spl_loop_turn(st->tcp->loop);
}

/* What can go at once does; the rest waits. */
static sp_err put(struct stream *st, const uint8_t *data, size_t len) {
    ssize_t n = 0;
    if (st->tx_len == 0)
        while ((n = send(st->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL)) < 0 && errno == EINTR)
            ;
    if (n < 0 && errno != EAGAIN)
        return SP_ERR_IO;
    size_t sent = n > 0 ? (size_t)n : 0;
    st->credit += sent;
    return sent < len ? append(st, data + sent, len - sent) : SP_OK;
}

void spl_tcp_output(struct spl_tcp *t, const struct sp_out *out) {
    struct stream *st = spl_stream_find(t, out->id);
    if (st == NULL)
        return;
    if (out->kind == SP_OUT_STREAM_RESET || st->state == STREAM_CONNECTING) {
        spl_stream_drop(t, st, true);
        return;
    }
    spl_stream_mark(t, st);
    if (out->kind == SP_OUT_STREAM_CLOSE) {
        spl_stream_limit(st, STREAM_CLOSING, DRAIN_S);
    } else if (out->kind == SP_OUT_STREAM_END) {
        st->ends = true;
    } else if (out->kind == SP_OUT_STREAM_CREDIT) {
        st->by_credit = true;
        st->allowed += out->credit;
    } else if (!st->broken && put(st, out->data, out->len) != SP_OK) {
        st->broken = true;
    }
}

/* Whether its bytes are wanted now. Who does not take replies is not read from either, unless the core has said how much it takes; it
 * may lose patience meanwhile. */
static bool readable(const struct stream *st) {
    return st->by_credit ? st->allowed > 0 && !st->peer_ended : st->tx_len == 0;
}

/* The core's side has ended, and all of it is out. True: so has the peer's, and there is nothing left to do. */
static bool end_side(struct stream *st) {
    if (st->ends && !st->ended && st->tx_len == 0) {
        shutdown(st->fd, SHUT_WR);
        st->ended = true;
    }
    return st->ended && st->peer_ended;
}

static void linger(struct stream *st) {
    shutdown(st->fd, SHUT_WR);
    event_del(&st->wr);
    spl_stream_limit(st, STREAM_LINGER, LINGER_S);
}

/* One dirty stream: sends, then closes or gives credit. True when *in tells the core something. */
static bool settle(struct spl_tcp *t, struct stream *st, struct sp_in *in) {
    bool told = known(st);
    uint64_t id = st->id;
    sp_err err = st->err != SP_OK || !st->by_credit ? st->err : SP_ERR_IO;
    if (st->state == STREAM_LINGER)
        return false;
    if (st->broken || !push(st)) {
        spl_stream_drop(t, st, true);
        *in = (struct sp_in){.kind = SP_IN_STREAM_CLOSE, .id = id, .err = err};
        return told;
    }
    if (st->state == STREAM_CLOSING && st->tx_len == 0) {
        linger(st);
        return false;
    }
    if (st->state == STREAM_OPEN && end_side(st)) {
        spl_stream_drop(t, st, false);
        *in = (struct sp_in){.kind = SP_IN_STREAM_CLOSE, .id = id};
        return true;
    }
    if (st->tx_len > 0)
        event_add(&st->wr, NULL);
    else
        event_del(&st->wr);
    if (st->state == STREAM_OPEN && readable(st))
        event_add(&st->rd, NULL);
    else
        event_del(&st->rd);
    *in = (struct sp_in){.kind = SP_IN_STREAM_CREDIT, .id = id, .credit = st->credit};
    told = told && st->credit > 0;
    st->credit = 0;
    return told;
}

size_t spl_tcp_flush(struct spl_tcp *t, struct sp_in *in, size_t cap) {
    size_t n = 0;
    while (t->failed_count > 0 && n < cap)
        in[n++] = (struct sp_in){.kind = SP_IN_STREAM_CLOSE, .id = t->failed[--t->failed_count], .err = SP_ERR_FULL};
    while (t->dirty != SPL_STREAM_NONE && n < cap) {
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
        spl_stream_drop(t, oldest, true); /* it stays on the dirty list, which an open stream may be on too */
    return oldest;
}

struct stream *spl_stream_take(struct spl_tcp *t) {
    if (t->free == SPL_STREAM_NONE)
        return take_lingering(t);
    struct stream *st = &t->streams[t->free];
    t->free = st->next;
    return st;
}

void spl_stream_watch(struct stream *st) {
    (void)!setsockopt(st->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    event_assign(&st->rd, st->tcp->loop->base, st->fd, EV_READ | EV_PERSIST, on_read, st);
    event_assign(&st->wr, st->tcp->loop->base, st->fd, EV_WRITE | EV_PERSIST, on_write, st);
}

/* The core gets to know an open stream; what it does not take is closed. */
void spl_stream_introduce(struct spl_tcp *t, struct stream *st, const struct sp_addr *peer) {
    struct sp_in in = {.kind = SP_IN_STREAM_OPEN, .id = st->id, .src = *peer, .credit = SPL_TCP_WINDOW};
    struct sockaddr_storage ss;
    socklen_t len = sizeof ss;
    st->state = STREAM_OPEN;
    event_add(&st->rd, NULL);
    if (getsockname(st->fd, (struct sockaddr *)&ss, &len) == 0)
        spl_addr_from(&in.dst, (struct sockaddr *)&ss);
    if (spl_loop_deliver(t->loop, &in, 1) == 0 && spl_stream_find(t, in.id) == st) {
        t->counts.refused_full++;
        spl_stream_drop(t, st, true);
        spl_loop_turn(t->loop);
    }
}

struct spl_tcp *spl_tcp_room(struct spl_loop *loop, unsigned streams) {
    if (loop->tcp != NULL)
        return loop->tcp;
    struct spl_tcp *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    t->loop = loop;
    t->cap = streams + SPARE_STREAMS(streams);
    t->streams = calloc(t->cap, sizeof *t->streams);
    t->failed = calloc(t->cap, sizeof *t->failed);
    if (t->streams == NULL || t->failed == NULL) {
        free(t->streams);
        free(t->failed);
        free(t);
        return NULL;
    }
    t->free = t->dirty = SPL_STREAM_NONE;
    memset(t->chains, 0xff, sizeof t->chains);
    for (uint32_t i = t->cap; i-- > 0;) {
        t->streams[i].tcp = t;
        t->streams[i].next = t->free;
        t->free = i;
    }
    loop->tcp = t;
    return t;
}

sp_err spl_tcp_open(struct spl_loop *loop, unsigned streams, struct spl_error *err) {
    return spl_tcp_room(loop, streams) != NULL ? SP_OK : spl_error_set(err, SP_ERR_FULL, "no memory for TCP streams");
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
        spl_stream_drop(t, &t->streams[i], false);
    free(t->streams);
    free(t->failed);
    free(t);
}

const struct spl_tcp_counts *spl_tcp_counts(const struct spl_loop *loop) {
    static const struct spl_tcp_counts none;
    return loop->tcp != NULL ? &loop->tcp->counts : &none;
}
