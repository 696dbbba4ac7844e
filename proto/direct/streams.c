#include "proto/direct/streams.h"

#include <string.h>

/* Bytes that the core is given later, or in our own memory. */
struct sp_direct_piece {
    struct sp_direct_piece *next;
    size_t off, len;
    uint8_t data[];
};

enum state { STREAM_CONNECTING, STREAM_OPEN, STREAM_CLOSING };

struct stream {
    struct sp_link by_id;
    struct sp_ring wait; /* among those that connect, or close */
    struct sp_ring ready, sending, ending;
    struct sp_tcp_conn *conn; /* NULL: it is over, and the core is to be told after the pieces */
    uint64_t id;
    enum state state;
    sp_err err;
    sp_instant until;
    size_t window, credit; /* credit: what the core may still write */
    size_t unread;         /* given to the core, not yet said to be taken to the peer, who does not read our bytes */
    /* of a core that reads by credit */
    bool by_credit, ended, end_told, end_said; /* ended: by the peer; said: by the core */
    uint32_t end_round; /* of one whose peer has ended, when the core had all that came before; 0: not yet */
    size_t allow;       /* bytes that it takes */
    struct sp_direct_piece *first, **last;
};

/* ---- life ---- */

void sp_direct_streams_init(struct sp_direct_streams *s, struct sp_tcp *tcp, const struct sp_net_config *config) {
    *s = (struct sp_direct_streams){.tcp = tcp, .mem = config->mem};
    if (tcp == NULL)
        return;
    const struct sp_tcp_config *c = sp_tcp_settings(tcp);
    size_t half = c->memory / 2; /* the rest: records, what is lost in blocks, what comes too early */
    s->connections = c->connections;
    s->round = 1;
    s->window = half / c->connections;
    s->window = s->window < SP_DIRECT_WINDOW_MIN ? SP_DIRECT_WINDOW_MIN : s->window;
    s->window = s->window > SP_DIRECT_WINDOW / 4 ? SP_DIRECT_WINDOW / 4 : s->window;
    s->window = s->window > c->send_max ? c->send_max : s->window;
    s->extra_max = half > s->window * c->connections ? half - s->window * c->connections : half / 4;
    s->window_max = c->send_max < SP_DIRECT_WINDOW ? c->send_max : SP_DIRECT_WINDOW;
    s->held_max = c->memory;
    sp_rng_fill(config->rng, s->key, sizeof s->key);
    sp_table_init(&s->by_id, s->mem, 2 * (size_t)c->connections);
    struct sp_ring *rings[] = {&s->connecting, &s->closing, &s->ready, &s->sending, &s->ending};
    for (unsigned i = 0; i < sizeof rings / sizeof rings[0]; i++)
        sp_ring_init(rings[i]);
}

static void piece_free(struct sp_direct_streams *s, struct sp_direct_piece *p) {
    sp_mem_free(s->mem, p, sizeof *p + p->off + p->len);
}

static void drop_pieces(struct sp_direct_streams *s, struct stream *st) {
    for (struct sp_direct_piece *p; (p = st->first) != NULL; piece_free(s, p)) {
        st->first = p->next;
        s->held -= p->len;
    }
    st->last = &st->first;
}

static uint64_t hash_of(const struct sp_direct_streams *s, uint64_t id) {
    return sp_siphash(s->key, &id, sizeof id);
}

static struct stream *find(const struct sp_direct_streams *s, uint64_t id) {
    struct sp_link *l = s->tcp != NULL ? sp_table_find(&s->by_id, hash_of(s, id)) : NULL;
    for (; l != NULL; l = sp_table_find_next(l)) {
        struct stream *st = SP_CONTAINER(l, struct stream, by_id);
        if (st->id == id && st->state != STREAM_CLOSING)
            return st;
    }
    return NULL;
}

static struct stream *stream_new(struct sp_direct_streams *s, uint64_t id, struct sp_tcp_conn *conn) {
    struct stream *st = sp_mem_alloc(s->mem, sizeof *st);
    if (st != NULL && sp_table_add(&s->by_id, &st->by_id, hash_of(s, id)) != SP_OK) {
        sp_mem_free(s->mem, st, sizeof *st);
        st = NULL;
    }
    if (st == NULL) {
        s->counts.no_memory++;
        return NULL;
    }
    sp_ring_init(&st->wait);
    sp_ring_init(&st->ready);
    sp_ring_init(&st->sending);
    sp_ring_init(&st->ending);
    st->id = id;
    st->conn = conn;
    st->window = s->window;
    st->last = &st->first;
    if (conn != NULL)
        sp_tcp_set_user(conn, st);
    s->counts.streams++;
    return st;
}

/* The connection goes on without the stream, or is gone. */
static void stream_free(struct sp_direct_streams *s, struct stream *st) {
    if (st->conn != NULL)
        sp_tcp_set_user(st->conn, NULL);
    drop_pieces(s, st);
    sp_ring_remove(&st->wait);
    sp_ring_remove(&st->ready);
    sp_ring_remove(&st->sending);
    sp_ring_remove(&st->ending);
    sp_table_remove(&s->by_id, &st->by_id);
    s->extra -= st->window - s->window;
    s->counts.streams--;
    sp_mem_free(s->mem, st, sizeof *st);
}

void sp_direct_streams_done(struct sp_direct_streams *s) {
    struct sp_table_cursor cursor = {0};
    if (s->tcp == NULL)
        return;
    sp_direct_streams_tidy(s);
    for (struct sp_link *l; (l = sp_table_each(&s->by_id, &cursor)) != NULL;)
        stream_free(s, SP_CONTAINER(l, struct stream, by_id));
    sp_table_free(&s->by_id);
}

static void tell(struct sp_direct_streams *s, struct stream *st) {
    if (sp_ring_alone(&st->ready))
        sp_ring_append(&s->ready, &st->ready);
}

static void reset(struct sp_direct_streams *s, sp_instant now, struct stream *st) {
    if (st->conn != NULL)
        sp_tcp_reset(s->tcp, now, st->conn);
    st->conn = NULL;
}

/* It is broken: reset, and the core is told. */
static void break_off(struct sp_direct_streams *s, sp_instant now, struct stream *st, sp_err err) {
    reset(s, now, st);
    drop_pieces(s, st);
    sp_ring_remove(&st->wait);
    sp_ring_remove(&st->sending);
    sp_ring_remove(&st->ending);
    st->err = err;
    tell(s, st);
}

/* The core is done with it. What was written goes out; what still comes is thrown away, not refused: a RST could reach
 * the peer before it has read our last bytes. */
static void begin_closing(struct sp_direct_streams *s, sp_instant now, struct stream *st) {
    drop_pieces(s, st);
    if (st->conn == NULL) {
        stream_free(s, st);
        return;
    }
    st->state = STREAM_CLOSING;
    st->until = now + SP_DIRECT_DRAIN;
    sp_ring_remove(&st->ready);
    sp_ring_remove(&st->sending);
    sp_ring_remove(&st->ending);
    sp_ring_append(&s->closing, &st->wait);
    sp_tcp_consumed(s->tcp, now, st->conn, st->unread);
    sp_tcp_end(s->tcp, now, st->conn);
}

/* ---- bytes for the core ---- */

static bool give_bytes(struct sp_direct_streams *s, sp_instant now, struct stream *st, const uint8_t *data, size_t len,
                       struct sp_in *ret) {
    *ret = (struct sp_in){.kind = SP_IN_STREAM_DATA, .id = st->id, .data = data, .len = len};
    st->allow -= st->by_credit ? len : 0;
    if (st->conn == NULL)
        return true;
    /* Who does not take replies is not read from either, or not much. */
    if (st->credit < st->window / 2 && !st->end_said)
        st->unread += len;
    else
        sp_tcp_consumed(s->tcp, now, st->conn, len);
    return true;
}

/* False: no memory; the stream is broken. */
static bool keep_bytes(struct sp_direct_streams *s, struct stream *st, const uint8_t *data, size_t len) {
    while (len > 0) {
        size_t n = len < 4000 ? len : 4000;
        struct sp_direct_piece *p = s->held + n <= s->held_max ? sp_mem_alloc(s->mem, sizeof *p + n) : NULL;
        if (p == NULL) {
            s->counts.no_memory++;
            return false;
        }
        p->len = n;
        memcpy(p->data, data, n);
        *st->last = p;
        st->last = &p->next;
        s->held += n;
        data += n;
        len -= n;
    }
    return true;
}

/* The next bytes that were kept, as far as the core takes them. */
static bool give_kept(struct sp_direct_streams *s, sp_instant now, struct stream *st, struct sp_in *ret) {
    struct sp_direct_piece *p = st->first;
    size_t n = p == NULL ? 0 : !st->by_credit || st->allow > p->len ? p->len : st->allow;
    if (n == 0 || s->shown != NULL)
        return false;
    (void)give_bytes(s, now, st, p->data + p->off, n, ret);
    p->off += n;
    p->len -= n;
    s->held -= n;
    if (p->len > 0)
        return true;
    st->first = p->next;
    if (st->first == NULL)
        st->last = &st->first;
    s->shown = p;
    return true;
}

void sp_direct_streams_tidy(struct sp_direct_streams *s) {
    if (s->shown != NULL)
        piece_free(s, s->shown);
    s->shown = NULL;
}

/* ---- credit ---- */

/* Larger windows for peers that read what they get, as long as there is room for those of others. */
static void widen(struct sp_direct_streams *s, struct stream *st) {
    size_t more = st->window;
    if (st->window + more <= s->window_max && more <= (s->extra_max - s->extra) / 8) {
        st->window += more;
        s->extra += more;
    }
}

/* What was acknowledged may be written again: TCP promises the room. In parts that are worth a word. */
static bool give_credit(struct sp_direct_streams *s, sp_instant now, struct stream *st, struct sp_in *ret) {
    size_t queued = sp_tcp_queued(st->conn);
    size_t known = queued + st->credit, step = st->window / 4;
    if (queued == 0)
        sp_ring_remove(&st->sending);
    if (known >= st->window || (queued > 0 && st->window - known < step))
        return false;
    if (st->credit < step)
        widen(s, st);
    size_t more = sp_tcp_promise(s->tcp, now, st->conn, st->window - queued);
    if (more == 0) /* SP_TCP_ROOM follows */
        return false;
    st->credit += more;
    st->end_round = 0; /* it may have waited for this */
    if (st->unread > 0 && st->credit >= st->window / 2) {
        sp_tcp_consumed(s->tcp, now, st->conn, st->unread);
        st->unread = 0;
    }
    *ret = (struct sp_in){.kind = SP_IN_STREAM_CREDIT, .id = st->id, .credit = more};
    return true;
}

static void look_for_credit(struct sp_direct_streams *s, struct stream *st) {
    if (sp_ring_alone(&st->sending) && st->state == STREAM_OPEN && st->conn != NULL && !st->end_said)
        sp_ring_append(&s->sending, &st->sending);
}

/* ---- what TCP says ---- */

static void make_place(struct sp_direct_streams *s, sp_instant now) {
    if (sp_ring_alone(&s->closing) || sp_tcp_connections(s->tcp) + SP_DIRECT_SPARE(s->connections) < s->connections)
        return;
    struct stream *oldest = SP_CONTAINER(s->closing.next, struct stream, wait);
    s->counts.cut_off++;
    reset(s, now, oldest);
    stream_free(s, oldest);
}

static bool on_opened(struct sp_direct_streams *s, sp_instant now, struct sp_tcp_conn *conn, struct stream *st,
                      struct sp_in *ret) {
    make_place(s, now);
    if (st == NULL && (st = stream_new(s, sp_tcp_number(conn), conn)) == NULL) {
        sp_tcp_reset(s->tcp, now, conn);
        return false;
    }
    s->counts.opened += st->state != STREAM_CONNECTING;
    s->counts.connected += st->state == STREAM_CONNECTING;
    st->state = STREAM_OPEN;
    sp_ring_remove(&st->wait);
    st->credit = sp_tcp_promise(s->tcp, now, conn, st->window);
    *ret = (struct sp_in){.kind = SP_IN_STREAM_OPEN, .id = st->id, .credit = st->credit};
    sp_tcp_ends(conn, &ret->dst, &ret->src);
    return true;
}

static bool in_frame(const struct sp_direct_streams *s, const uint8_t *data) {
    return s->frame != NULL && data >= s->frame->data && data <= s->frame->data + s->frame->len;
}

static bool on_data(struct sp_direct_streams *s, sp_instant now, struct stream *st, const struct sp_tcp_event *ev,
                    struct sp_in *ret) {
    size_t now_len = st->by_credit && st->allow < ev->len ? st->allow : ev->len;
    if (st->state == STREAM_CLOSING) {
        sp_tcp_consumed(s->tcp, now, ev->conn, ev->len);
        return false;
    }
    if (st->first != NULL || !in_frame(s, ev->data)) /* else out of memory that TCP takes back at any call */
        now_len = 0;
    if (!keep_bytes(s, st, ev->data + now_len, ev->len - now_len)) {
        break_off(s, now, st, SP_ERR_FULL);
        return false;
    }
    if (now_len == 0) {
        tell(s, st);
        return false;
    }
    return give_bytes(s, now, st, ev->data, now_len, ret);
}

/* A core that does not read by credit takes the end of the peer's bytes for the end of the stream. It is told when it
 * has said all that it had to say about what came before: when it has taken that, was asked for outputs until there
 * were none, and has credit left, so that it was not kept from writing more. */
static bool next_ending(struct sp_direct_streams *s, sp_instant now, struct sp_in *ret) {
    for (struct sp_ring *r = s->ending.next, *next; r != &s->ending; r = next) {
        next = r->next;
        struct stream *st = SP_CONTAINER(r, struct stream, ending);
        if (st->end_round == 0) {
            st->end_round = s->round;
        } else if (st->end_round != s->round && st->credit > 0 && st->first == NULL) {
            *ret = (struct sp_in){.kind = SP_IN_STREAM_CLOSE, .id = st->id};
            begin_closing(s, now, st);
            return true;
        }
    }
    return false;
}

void sp_direct_streams_settled(struct sp_direct_streams *s) {
    s->round += s->round == UINT32_MAX ? 2 : 1;
}

static void on_end(struct sp_direct_streams *s, struct stream *st) {
    st->ended = true;
    if (st->state == STREAM_OPEN && st->by_credit)
        tell(s, st);
    else if (st->state == STREAM_OPEN)
        sp_ring_append(&s->ending, &st->ending);
}

static sp_err error_of(const struct stream *st, sp_err err) {
    if (st->state != STREAM_CONNECTING)
        return SP_OK;
    return err == SP_ERR_DENIED ? SP_ERR_NOENT : err == SP_ERR_TIME ? SP_ERR_AGAIN : err;
}

static void on_closed(struct sp_direct_streams *s, struct stream *st, sp_err err) {
    st->conn = NULL;
    if (st->state == STREAM_CLOSING) {
        stream_free(s, st);
        return;
    }
    s->counts.failed += st->state == STREAM_CONNECTING;
    st->err = error_of(st, err);
    sp_ring_remove(&st->wait);
    sp_ring_remove(&st->sending);
    sp_ring_remove(&st->ending);
    if (err != SP_OK)
        drop_pieces(s, st);
    tell(s, st);
}

/* True: *ret is what the core is told of it. */
static bool on_event(struct sp_direct_streams *s, sp_instant now, const struct sp_tcp_event *ev, struct sp_in *ret) {
    struct stream *st = sp_tcp_user(ev->conn);
    if (ev->kind == SP_TCP_OPENED)
        return on_opened(s, now, ev->conn, st, ret);
    if (st == NULL)
        return false;
    switch (ev->kind) {
    case SP_TCP_DATA:
        return on_data(s, now, st, ev, ret);
    case SP_TCP_END:
        on_end(s, st);
        return false;
    case SP_TCP_CLOSED:
        on_closed(s, st, ev->err);
        return false;
    case SP_TCP_ROOM:
        look_for_credit(s, st);
        return false;
    case SP_TCP_OPENED:
        break;
    }
    return false;
}

/* ---- what there is to tell ---- */

static bool say(struct sp_direct_streams *s, sp_instant now, struct stream *st, struct sp_in *ret) {
    if (give_kept(s, now, st, ret))
        return true;
    if (st->first != NULL)
        return false;
    if (st->by_credit && st->ended && !st->end_told) {
        st->end_told = true;
        sp_ring_remove(&st->ending);
        *ret = (struct sp_in){.kind = SP_IN_STREAM_END, .id = st->id};
        return true;
    }
    if (st->conn != NULL)
        return false;
    *ret = (struct sp_in){.kind = SP_IN_STREAM_CLOSE, .id = st->id, .err = st->err};
    stream_free(s, st);
    return true;
}

static bool next_ready(struct sp_direct_streams *s, sp_instant now, struct sp_in *ret) {
    while (!sp_ring_alone(&s->ready)) {
        struct stream *st = SP_CONTAINER(s->ready.next, struct stream, ready);
        if (say(s, now, st, ret))
            return true;
        if (s->shown != NULL && st->first != NULL)
            return false; /* after the next call */
        sp_ring_remove(&st->ready);
    }
    return false;
}

static bool next_credit(struct sp_direct_streams *s, sp_instant now, struct sp_in *ret) {
    for (struct sp_ring *r = s->sending.next, *next; r != &s->sending; r = next) {
        next = r->next;
        struct stream *st = SP_CONTAINER(r, struct stream, sending);
        if (give_credit(s, now, st, ret))
            return true;
    }
    return false;
}

bool sp_direct_streams_next(struct sp_direct_streams *s, sp_instant now, struct sp_in *ret) {
    struct sp_tcp_event ev;
    while (sp_tcp_event(s->tcp, &ev))
        if (on_event(s, now, &ev, ret))
            return true;
    if (s->lost_count > 0) {
        *ret = (struct sp_in){.kind = SP_IN_STREAM_CLOSE, .id = s->lost[--s->lost_count], .err = SP_ERR_FULL};
        return true;
    }
    if (next_ready(s, now, ret))
        return true;
    return s->frame == NULL && (next_ending(s, now, ret) || next_credit(s, now, ret));
}

/* ---- what the core does ---- */

static void write_out(struct sp_direct_streams *s, sp_instant now, struct stream *st, const struct sp_out *out) {
    if (st->conn == NULL)
        return;
    size_t done = sp_tcp_write(s->tcp, now, st->conn, out->data, out->len);
    st->credit -= out->len < st->credit ? out->len : st->credit;
    if (done < out->len)
        break_off(s, now, st, SP_ERR_FULL);
    else
        look_for_credit(s, st);
}

void sp_direct_streams_output(struct sp_direct_streams *s, sp_instant now, const struct sp_out *out) {
    struct stream *st = find(s, out->id);
    if (st == NULL)
        return;
    switch (out->kind) {
    case SP_OUT_STREAM_DATA:
        write_out(s, now, st, out);
        break;
    case SP_OUT_STREAM_CREDIT:
        st->by_credit = true;
        st->allow = out->credit > SIZE_MAX - st->allow ? SIZE_MAX : st->allow + out->credit;
        tell(s, st);
        break;
    case SP_OUT_STREAM_END:
        st->end_said = true;
        sp_ring_remove(&st->sending);
        if (st->conn != NULL)
            sp_tcp_end(s->tcp, now, st->conn);
        break;
    case SP_OUT_STREAM_CLOSE:
        if (st->state == STREAM_OPEN) {
            begin_closing(s, now, st);
            break;
        } /* fall through */
    case SP_OUT_STREAM_RESET:
        reset(s, now, st);
        stream_free(s, st);
        break;
    default:
        break;
    }
}

void sp_direct_streams_refused(struct sp_direct_streams *s, sp_instant now, const struct sp_in *in) {
    struct stream *st = in->kind == SP_IN_STREAM_OPEN || in->kind == SP_IN_STREAM_DATA || in->kind == SP_IN_STREAM_END
                            ? find(s, in->id)
                            : NULL;
    if (st == NULL)
        return;
    s->counts.refused++;
    if (in->kind != SP_IN_STREAM_OPEN) {
        break_off(s, now, st, SP_OK);
        return;
    }
    reset(s, now, st); /* the core does not know it */
    stream_free(s, st);
}

void sp_direct_streams_connect(struct sp_direct_streams *s, sp_instant now, uint64_t id, struct sp_tcp_conn *conn,
                               sp_err err) {
    struct stream *st = stream_new(s, id, conn);
    s->counts.failed += st == NULL || conn == NULL;
    if (st == NULL) {
        if (conn != NULL)
            sp_tcp_reset(s->tcp, now, conn);
        if (s->lost_count < sizeof s->lost / sizeof s->lost[0])
            s->lost[s->lost_count++] = id;
        return;
    }
    st->state = STREAM_CONNECTING;
    st->err = err;
    st->until = now + SP_DIRECT_CONNECT;
    if (conn != NULL)
        sp_ring_append(&s->connecting, &st->wait);
    else
        tell(s, st);
}

/* ---- time ---- */

void sp_direct_streams_expire(struct sp_direct_streams *s, sp_instant now) {
    if (s->tcp == NULL)
        return;
    while (!sp_ring_alone(&s->connecting)) {
        struct stream *st = SP_CONTAINER(s->connecting.next, struct stream, wait);
        if (st->until > now)
            break;
        s->counts.failed++;
        break_off(s, now, st, SP_ERR_AGAIN);
    }
    while (!sp_ring_alone(&s->closing)) {
        struct stream *st = SP_CONTAINER(s->closing.next, struct stream, wait);
        if (st->until > now)
            break;
        s->counts.cut_off++;
        reset(s, now, st);
        stream_free(s, st);
    }
}

sp_instant sp_direct_streams_deadline(const struct sp_direct_streams *s) {
    sp_instant ret = SP_NEVER;
    for (const struct sp_ring *r = s->ending.next; s->tcp != NULL && r != &s->ending; r = r->next)
        if (SP_CONTAINER(r, struct stream, ending)->credit > 0)
            return 0; /* in the next turn */
    if (s->tcp != NULL && !sp_ring_alone(&s->connecting))
        ret = SP_CONTAINER(s->connecting.next, struct stream, wait)->until;
    if (s->tcp != NULL && !sp_ring_alone(&s->closing))
        ret = sp_instant_min(ret, SP_CONTAINER(s->closing.next, struct stream, wait)->until);
    return ret;
}
