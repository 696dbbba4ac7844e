/* Streams over our own TCP: what is written as there is room, what is read, and the services for peers. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/interop/tcpd.h"

#define TICK (20 * SP_MS)

static struct stream *slow_list;

/* ---- one stream ---- */

struct stream *stream_new(struct streams *s, struct sp_tcp_conn *conn, const struct role *role) {
    struct stream *st = calloc(1, sizeof *st);
    if (st == NULL)
        abort();
    st->all = s;
    st->conn = conn;
    st->role = role;
    sp_tcp_set_user(conn, st);
    s->open++;
    return st;
}

static void stream_free(struct stream *st) {
    if (st->slow) {
        *(st->prev != NULL ? &st->prev->next : &slow_list) = st->next;
        if (st->next != NULL)
            st->next->prev = st->prev;
        st->all->slow_readers--;
    }
    st->all->open--;
    free(st->held);
    free(st);
}

void stream_hold(struct stream *st, const void *data, size_t len) {
    if (st->held_at > 0 && st->held_at == st->held_len)
        st->held_at = st->held_len = 0;
    if (st->held_len + len > st->held_cap) {
        memmove(st->held, st->held + st->held_at, st->held_len - st->held_at);
        st->held_len -= st->held_at;
        st->held_at = 0;
    }
    if (st->held_len + len > st->held_cap) {
        st->held_cap = 2 * (st->held_len + len);
        if ((st->held = realloc(st->held, st->held_cap)) == NULL)
            abort();
    }
    memcpy(st->held + st->held_len, data, len);
    st->held_len += len;
}

static void consumed(struct stream *st, sp_instant now, size_t len) {
    sp_tcp_consumed(st->all->tcp, now, st->conn, len);
}

static bool pump_held(struct stream *st, sp_instant now) {
    size_t left = st->held_len - st->held_at;
    size_t n = left > 0 ? sp_tcp_write(st->all->tcp, now, st->conn, st->held + st->held_at, left) : 0;
    st->held_at += n;
    if (st->echo && n > 0)
        consumed(st, now, n);
    return n == left;
}

static bool pump_pattern(struct stream *st, sp_instant now) {
    while (st->out < st->out_len) {
        const uint8_t *bytes = pattern_of(st->seed);
        uint64_t left = st->out_len - st->out;
        size_t len = left < PATTERN_LEN ? (size_t)left : PATTERN_LEN;
        size_t n = sp_tcp_write(st->all->tcp, now, st->conn, bytes + st->out % PATTERN_LEN, len);
        st->out += n;
        if (n < len)
            return false;
    }
    return true;
}

void stream_pump(struct stream *st, sp_instant now) {
    if (st->gone || !pump_held(st, now) || !pump_pattern(st, now) || !st->fin || st->ended)
        return;
    st->ended = true;
    sp_tcp_end(st->all->tcp, now, st->conn);
}

void stream_reset(struct stream *st, sp_instant now) {
    sp_tcp_reset(st->all->tcp, now, st->conn);
    st->gone = true;
    if (st->role->closed != NULL)
        st->role->closed(st, now, SP_OK);
    stream_free(st);
}

void stream_compare(struct stream *st, const uint8_t *data, size_t len) {
    while (len > 0) {
        const uint8_t *bytes = pattern_of(st->seed) + st->in % PATTERN_LEN;
        size_t n = len < PATTERN_LEN ? len : PATTERN_LEN;
        if (memcmp(bytes, data, n) != 0)
            for (size_t i = 0; i < n; i++)
                if (bytes[i] != data[i] && st->wrong++ == 0)
                    st->wrong_at = st->in + i;
        st->in += n;
        data += n;
        len -= n;
    }
}

/* ---- services ---- */

/* Takes bytes of the first line; how many. It is whole when `line_len` has passed its end. */
static size_t take_line(struct stream *st, const uint8_t *data, size_t len) {
    size_t n = 0;
    while (n < len && st->in_len == 0 && st->line_len < sizeof st->line - 1) {
        char c = st->line[st->line_len++] = (char)data[n++];
        if (c == '\n' && sscanf(st->line, "%" SCNu64 " %" SCNu64, &st->in_len, &st->seed) != 2)
            st->in_len = 0;
    }
    return n;
}

static void end_too(struct stream *st, sp_instant now) {
    st->fin = true;
    stream_pump(st, now);
}

static void echo_data(struct stream *st, sp_instant now, const uint8_t *data, size_t len) {
    st->echo = true;
    stream_hold(st, data, len); /* not written from where it lies: that is borrowed only until the next call */
    stream_pump(st, now);
}

static void discard_data(struct stream *st, sp_instant now, const uint8_t *data, size_t len) {
    st->in += len;
    st->crc = crc32_add(st->crc, data, len);
    consumed(st, now, len);
}

static void discard_end(struct stream *st, sp_instant now) {
    char text[40];
    int n = snprintf(text, sizeof text, "%" PRIu64 " %u\n", st->in, st->crc);
    stream_hold(st, text, (size_t)n);
    end_too(st, now);
}

static void check_data(struct stream *st, sp_instant now, const uint8_t *data, size_t len) {
    size_t line = take_line(st, data, len);
    stream_compare(st, data + line, len - line);
    consumed(st, now, len);
    if (st->in_len == 0 || st->in < st->in_len || st->fin)
        return;
    char text[40];
    int n = st->wrong == 0 ? snprintf(text, sizeof text, "ok %" PRIu64 "\n", st->in)
                           : snprintf(text, sizeof text, "wrong %" PRIu64 "\n", st->wrong_at);
    stream_hold(st, text, (size_t)n);
    end_too(st, now);
}

static void source_data(struct stream *st, sp_instant now, const uint8_t *data, size_t len) {
    size_t line = take_line(st, data, len);
    st->all->late_bytes += len - line;
    st->all->late_crc = crc32_add(st->all->late_crc, data + line, len - line);
    consumed(st, now, len);
    if (st->in_len == 0 || st->fin)
        return;
    st->out_len = st->in_len;
    end_too(st, now);
}

static void slow_opened(struct stream *st, sp_instant now) {
    st->slow = true;
    st->next = slow_list;
    if (slow_list != NULL)
        slow_list->prev = st;
    slow_list = st;
    if (st->all->slow_readers++ == 0)
        st->all->tick = now + TICK;
}

static void slow_data(struct stream *st, sp_instant now, const uint8_t *data, size_t len) {
    st->in += len;
    st->crc = crc32_add(st->crc, data, len);
    st->owed += len;
}

static void slow_end(struct stream *st, sp_instant now) {
    if (st->owed == 0)
        discard_end(st, now);
}

static void closer_opened(struct stream *st, sp_instant now) {
    sp_tcp_close(st->all->tcp, now, st->conn);
}

static void idle_data(struct stream *st, sp_instant now, const uint8_t *data, size_t len) {
    st->owed += len;
}

static const struct {
    uint16_t port;
    struct role role;
} services[] = {
    {PORT_ECHO, {NULL, echo_data, end_too, NULL, NULL}},
    {PORT_DISCARD, {NULL, discard_data, discard_end, NULL, NULL}},
    {PORT_CHECK, {NULL, check_data, end_too, NULL, NULL}},
    {PORT_SOURCE, {NULL, source_data, end_too, NULL, NULL}},
    {PORT_SLOW, {slow_opened, slow_data, slow_end, NULL, NULL}},
    {PORT_IDLE, {NULL, idle_data, end_too, NULL, NULL}},
    {PORT_CLOSER, {closer_opened, idle_data, NULL, NULL, NULL}},
    {PORT_RESETTER, {stream_reset, idle_data, NULL, NULL, NULL}},
};

static const struct role *service_at(uint16_t port) {
    for (size_t i = 0; i < sizeof services / sizeof *services; i++)
        if (services[i].port == port)
            return &services[i].role;
    abort();
}

/* ---- all of them ---- */

static struct stream *accepted(struct streams *s, struct sp_tcp_conn *conn) {
    struct sp_addr local, remote;
    sp_tcp_ends(conn, &local, &remote);
    return stream_new(s, conn, service_at(local.port));
}

static void happened(struct streams *s, sp_instant now, const struct sp_tcp_event *ev) {
    struct stream *st = sp_tcp_user(ev->conn);
    if (st == NULL)
        st = accepted(s, ev->conn);
    switch (ev->kind) {
    case SP_TCP_OPENED:
        st->opened = true;
        if (st->role->opened != NULL)
            st->role->opened(st, now);
        break;
    case SP_TCP_DATA:
        st->role->data(st, now, ev->data, ev->len);
        break;
    case SP_TCP_END:
        st->peer_ended = true;
        if (st->role->end != NULL)
            st->role->end(st, now);
        break;
    case SP_TCP_ROOM:
        stream_pump(st, now);
        if (st->role->wrote != NULL)
            st->role->wrote(st, now);
        break;
    case SP_TCP_CLOSED:
        st->gone = true;
        if (st->role->closed != NULL)
            st->role->closed(st, now, ev->err);
        stream_free(st);
        break;
    }
}

void streams_events(struct streams *s, sp_instant now) {
    struct sp_tcp_event ev;
    while (sp_tcp_event(s->tcp, &ev))
        happened(s, now, &ev);
}

sp_instant streams_deadline(const struct streams *s) {
    return s->slow_readers > 0 ? s->tick : SP_NEVER;
}

void streams_expire(struct streams *s, sp_instant now) {
    if (now < streams_deadline(s))
        return;
    s->tick = now + TICK;
    for (struct stream *st = slow_list, *next; st != NULL; st = next) {
        uint64_t some = (uint64_t)s->slow * TICK / SP_SEC, n = st->owed < some ? st->owed : some;
        next = st->next;
        st->owed -= n;
        if (n > 0)
            consumed(st, now, (size_t)n);
        if (st->peer_ended && st->owed == 0 && !st->fin)
            discard_end(st, now);
    }
}
