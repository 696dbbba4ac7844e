/* Bytes of TCP connections: framing, receive and send queues, credit. */
#include "signpostd/core/server_int.h"

/* Appends, growing by doubling up to `most` bytes held. */
static sp_err queue_append(struct sp_mem *mem, struct sp_queue *q, const uint8_t *data, size_t len, size_t most) {
    size_t held = q->len - q->off;
    if (len > most || held > most - len)
        return SP_ERR_RANGE;
    if (q->cap - q->len < len) {
        size_t cap = q->cap > 0 ? q->cap : 512;
        while (cap < held + len)
            cap *= 2;
        uint8_t *to = sp_mem_alloc(mem, cap);
        if (to == NULL)
            return SP_ERR_FULL;
        if (held > 0)
            memcpy(to, q->data + q->off, held);
        sp_mem_free(mem, q->data, q->cap);
        *q = (struct sp_queue){to, 0, held, cap};
    }
    memcpy(q->data + q->len, data, len);
    q->len += len;
    return SP_OK;
}

static void queue_take(struct sp_mem *mem, struct sp_queue *q, size_t len) {
    q->off += len;
    if (q->off == q->len) {
        sp_mem_free(mem, q->data, q->cap);
        *q = (struct sp_queue){0};
    }
}

static size_t queue_held(const struct sp_queue *q) {
    return q->len - q->off;
}

/* ---- sending ---- */

void sp_stream_send(struct sp_server *s, struct sp_stream *st, size_t len) {
    if (st->end > SP_STREAM_FLUSH)
        return;
    const uint8_t *data = sp_outbox_room(&s->out, len);
    size_t at_once = 0;
    if (queue_held(&st->send) == 0)
        at_once = len < st->credit ? len : st->credit;
    if (at_once < len) {
        sp_err err = queue_append(s->streams.mem, &st->send, data + at_once, len - at_once, 4 * SP_STREAM_MSG);
        if (err != SP_OK) {
            sp_stream_finish(s, st, SP_STREAM_RESET, err == SP_ERR_FULL ? SP_STREAM_MEMORY : SP_STREAM_STALLED);
            return;
        }
        if (at_once > 0 || queue_held(&st->send) == len)
            st->progress = s->now; /* the reader is given its time from now on */
    }
    if (at_once > 0) {
        sp_outbox_stream(&s->out, st->id, at_once);
        st->credit -= at_once;
    }
    sp_stream_rearm(s, st);
}

/* Sends from the queue what credit and the outbox allow. */
static void flush(struct sp_server *s, struct sp_stream *st) {
    size_t len = queue_held(&st->send);
    if (len > st->credit)
        len = st->credit;
    if (len > SP_STREAM_MSG)
        len = SP_STREAM_MSG;
    uint8_t *to = sp_outbox_room(&s->out, len);
    if (len == 0 || to == NULL)
        return;
    memcpy(to, st->send.data + st->send.off, len);
    sp_outbox_stream(&s->out, st->id, len);
    st->credit -= len;
    st->progress = s->now;
    queue_take(s->streams.mem, &st->send, len);
}

void sp_stream_credit(struct sp_server *s, const struct sp_in *in) {
    struct sp_stream *st = sp_stream_get(s, in->id);
    if (st == NULL)
        return;
    st->credit = in->credit > SIZE_MAX - st->credit ? SIZE_MAX : st->credit + in->credit;
    if (st->transfer != NULL && in->credit > 0)
        st->progress = s->now;
    sp_stream_wake(s, st);
}

/* ---- receiving ---- */

static bool may_serve(const struct sp_server *s, const struct sp_stream *st) {
    return st->end == SP_STREAM_OPEN && st->transfer == NULL && queue_held(&st->send) < SP_STREAM_SEND_HOLD &&
           sp_outbox_room(&s->out, SP_STREAM_MSG) != NULL;
}

static void message(struct sp_server *s, struct sp_stream *st, const uint8_t *data, size_t len) {
    st->spoke = true;
    st->active = s->now;
    sp_stream_touch(s, st);
    s->streams.messages++;
    struct sp_from from = {.via = SP_VIA_TCP, .src = st->peer, .dst = st->local, .stream = st->id};
    sp_request_stream(s, &from, st, data, len);
}

/* Serves whole messages at data; returns how many bytes were used. RFC 7766 8: the length may come in pieces. */
static size_t serve(struct sp_server *s, struct sp_stream *st, const uint8_t *data, size_t len) {
    size_t pos = 0;
    while (len - pos >= 2 && st->end == SP_STREAM_OPEN) {
        size_t size = sp_get_u16(data + pos);
        if (size == 0) {
            sp_stream_finish(s, st, SP_STREAM_FLUSH, SP_STREAM_EMPTY_MESSAGE);
            break;
        }
        if (len - pos - 2 < size || !may_serve(s, st))
            break;
        message(s, st, data + pos + 2, size);
        pos += 2 + size;
    }
    return pos;
}

/* A whole message waits in the queue. */
static bool has_message(const struct sp_stream *st) {
    size_t held = queue_held(&st->recv);
    return held >= 2 && held - 2 >= sp_get_u16(st->recv.data + st->recv.off);
}

static void serve_queue(struct sp_server *s, struct sp_stream *st) {
    if (queue_held(&st->recv) == 0)
        return;
    size_t used = serve(s, st, st->recv.data + st->recv.off, queue_held(&st->recv));
    queue_take(s->streams.mem, &st->recv, used);
    /* Only a full outbox is waited for here; credit and ended transfers wake the stream themselves. */
    if (has_message(st) && st->transfer == NULL && queue_held(&st->send) < SP_STREAM_SEND_HOLD)
        sp_stream_wake(s, st);
}

void sp_stream_go_on(struct sp_server *s, struct sp_stream *st) {
    if (queue_held(&st->send) > 0)
        flush(s, st);
    if (queue_held(&st->send) == 0 && st->transfer != NULL)
        sp_transfer_go_on(s, st);
    if (st->end == SP_STREAM_OPEN)
        serve_queue(s, st);
    if (queue_held(&st->send) > 0 ? st->credit > 0 : st->end == SP_STREAM_FLUSH)
        sp_stream_wake(s, st);
    sp_stream_rearm(s, st);
}

void sp_stream_data(struct sp_server *s, const struct sp_in *in) {
    struct sp_stream *st = sp_stream_get(s, in->id);
    if (st == NULL || st->end != SP_STREAM_OPEN || in->len == 0)
        return;
    size_t used = 0;
    if (queue_held(&st->recv) == 0)
        used = serve(s, st, in->data, in->len);
    if (st->end != SP_STREAM_OPEN)
        return;
    if (used < in->len) {
        sp_err err = queue_append(s->streams.mem, &st->recv, in->data + used, in->len - used, SP_STREAM_RECV_MAX);
        if (err != SP_OK) {
            sp_stream_finish(s, st, SP_STREAM_RESET, err == SP_ERR_FULL ? SP_STREAM_MEMORY : SP_STREAM_FLOODED);
            return;
        }
        serve_queue(s, st);
    }
    if (st->end == SP_STREAM_OPEN)
        sp_stream_rearm(s, st);
}
