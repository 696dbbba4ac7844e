#include "signpostd/core/overlay.h"

struct sp_stream_prefix {
    struct sp_link link;
    uint8_t bytes[8]; /* family and prefix */
    struct sp_ring kin;
    size_t streams;
};

void sp_streams_init(struct sp_streams *ss, struct sp_mem *mem, size_t limit, size_t limit_prefix) {
    *ss = (struct sp_streams){.mem = mem, .limit = limit, .limit_prefix = limit_prefix};
    sp_table_init(&ss->table, mem, limit);
    sp_table_init(&ss->prefixes, mem, limit);
    sp_ring_init(&ss->age);
    sp_ring_init(&ss->ready);
}

static void queue_free(struct sp_streams *ss, struct sp_queue *q) {
    sp_mem_free(ss->mem, q->data, q->cap);
    *q = (struct sp_queue){0};
}

static uint64_t id_hash(const struct sp_server *s, uint64_t id) {
    return sp_siphash(s->hash_key, &id, sizeof id);
}

struct sp_stream *sp_stream_get(const struct sp_server *s, uint64_t id) {
    struct sp_link *l = sp_table_find(&s->streams.table, id_hash(s, id));
    for (; l != NULL; l = sp_table_find_next(l)) {
        struct sp_stream *st = SP_CONTAINER(l, struct sp_stream, link);
        if (st->id == id)
            return st;
    }
    return NULL;
}

/* ---- prefixes ---- */

static struct sp_stream_prefix *prefix_get(struct sp_server *s, const struct sp_addr *a) {
    struct sp_streams *ss = &s->streams;
    uint8_t bytes[8] = {a->family};
    memcpy(bytes + 1, a->ip, a->family == 4 ? 3 : 7);
    uint64_t hash = sp_siphash(s->hash_key, bytes, sizeof bytes);
    for (struct sp_link *l = sp_table_find(&ss->prefixes, hash); l != NULL; l = sp_table_find_next(l)) {
        struct sp_stream_prefix *p = SP_CONTAINER(l, struct sp_stream_prefix, link);
        if (memcmp(p->bytes, bytes, sizeof bytes) == 0)
            return p;
    }
    struct sp_stream_prefix *p = sp_mem_alloc(ss->mem, sizeof *p);
    if (p == NULL)
        return NULL;
    memcpy(p->bytes, bytes, sizeof bytes);
    sp_ring_init(&p->kin);
    if (sp_table_add(&ss->prefixes, &p->link, hash) != SP_OK) {
        sp_mem_free(ss->mem, p, sizeof *p);
        return NULL;
    }
    return p;
}

static void prefix_drop(struct sp_streams *ss, struct sp_stream_prefix *p) {
    if (p->streams > 0)
        return;
    sp_table_remove(&ss->prefixes, &p->link);
    sp_mem_free(ss->mem, p, sizeof *p);
}

/* ---- opening and ending ---- */

static void stream_free(struct sp_server *s, struct sp_stream *st) {
    struct sp_streams *ss = &s->streams;
    if (st->transfer != NULL)
        sp_transfer_drop(s, st);
    if (st->session != NULL)
        sp_ctlsession_stream_gone(s, st);
    sp_timer_cancel(&ss->timers, &st->timer);
    sp_ring_remove(&st->age);
    sp_ring_remove(&st->kin);
    sp_ring_remove(&st->ready);
    sp_table_remove(&ss->table, &st->link);
    st->prefix->streams--;
    prefix_drop(ss, st->prefix);
    queue_free(ss, &st->recv);
    queue_free(ss, &st->send);
    sp_mem_free(ss->mem, st, sizeof *st);
    sp_streams_pressure(s);
}

void sp_streams_free(struct sp_server *s) {
    struct sp_streams *ss = &s->streams;
    while (!sp_ring_alone(&ss->age))
        stream_free(s, SP_CONTAINER(ss->age.next, struct sp_stream, age));
    sp_table_free(&ss->table);
    sp_table_free(&ss->prefixes);
}

/* A client that is told to hang up at once makes room: RFC 7828 3.3.2. */
void sp_streams_pressure(struct sp_server *s) {
    const struct sp_streams *ss = &s->streams;
    bool tight = ss->table.count * 10 >= ss->limit * 9;
    s->view.tcp_keepalive = tight ? 0 : s->keepalive;
}

void sp_stream_wake(struct sp_server *s, struct sp_stream *st) {
    if (sp_ring_alone(&st->ready))
        sp_ring_append(&s->streams.ready, &st->ready);
}

void sp_stream_finish(struct sp_server *s, struct sp_stream *st, enum sp_stream_end end, enum sp_stream_reason why) {
    if (st->end >= end)
        return;
    if (st->end == SP_STREAM_OPEN) {
        s->streams.ended[why]++;
        sp_trace(&s->cfg.trace, s->now, SP_TRACE_stream_closed, st->id, why);
    }
    st->end = end;
    if (end > SP_STREAM_FLUSH)
        sp_timer_cancel(&s->streams.timers, &st->timer);
    sp_stream_wake(s, st);
}

void sp_stream_touch(struct sp_server *s, struct sp_stream *st) {
    sp_ring_remove(&st->age);
    sp_ring_append(&s->streams.age, &st->age);
    sp_ring_remove(&st->kin);
    sp_ring_append(&st->prefix->kin, &st->kin);
}

/* Nothing is owed to it. */
static bool is_idle(const struct sp_stream *st) {
    return st->end == SP_STREAM_OPEN && st->send.len == 0 && st->in_flight == 0 && st->transfer == NULL && st->session == NULL;
}

/* Ends the longest idle stream of a list, looking at a few of the oldest only. */
static bool evict(struct sp_server *s, struct sp_ring *list, bool by_kin) {
    struct sp_ring *r = list->next;
    for (unsigned i = 0; i < 16 && r != list; i++, r = r->next) {
        struct sp_stream *st = by_kin ? SP_CONTAINER(r, struct sp_stream, kin) : SP_CONTAINER(r, struct sp_stream, age);
        if (!is_idle(st))
            continue;
        if (sp_outbox_slots(&s->out) < 2)
            return false;
        s->streams.ended[SP_STREAM_EVICTED]++;
        sp_trace(&s->cfg.trace, s->now, SP_TRACE_stream_closed, st->id, SP_STREAM_EVICTED);
        sp_outbox_end(&s->out, SP_OUT_STREAM_CLOSE, st->id);
        stream_free(s, st);
        return true;
    }
    return false;
}

static struct sp_stream *stream_new(struct sp_server *s, const struct sp_in *in) {
    struct sp_streams *ss = &s->streams;
    if (ss->limit == 0 || s->stopping)
        return NULL;
    if (ss->table.count >= ss->limit && !evict(s, &ss->age, false))
        return NULL;
    struct sp_stream_prefix *p = prefix_get(s, &in->src);
    if (p == NULL)
        return NULL;
    p->streams++; /* holds it while one of its streams is evicted */
    bool room = p->streams <= ss->limit_prefix || evict(s, &p->kin, true);
    struct sp_stream *st = room ? sp_mem_alloc(ss->mem, sizeof *st) : NULL;
    if (st == NULL || sp_table_add(&ss->table, &st->link, id_hash(s, in->id)) != SP_OK) {
        sp_mem_free(ss->mem, st, sizeof *st);
        p->streams--;
        prefix_drop(ss, p);
        return NULL;
    }
    st->prefix = p;
    sp_ring_init(&st->ready);
    sp_ring_append(&ss->age, &st->age);
    sp_ring_append(&p->kin, &st->kin);
    return st;
}

void sp_stream_open(struct sp_server *s, const struct sp_in *in) {
    if (sp_stream_get(s, in->id) != NULL)
        return; /* the host's mistake; the stream that is there goes on */
    struct sp_stream *st = stream_new(s, in);
    if (st == NULL) {
        s->streams.ended[SP_STREAM_REFUSED]++;
        if (sp_outbox_slots(&s->out) > 0)
            sp_outbox_end(&s->out, SP_OUT_STREAM_RESET, in->id);
        return;
    }
    st->id = in->id;
    st->peer = in->src;
    st->local = in->dst;
    st->active = st->progress = s->now;
    st->credit = in->credit;
    s->streams.opened++;
    sp_trace(&s->cfg.trace, s->now, SP_TRACE_stream_opened, st->id, s->streams.table.count);
    sp_streams_pressure(s);
    sp_stream_rearm(s, st);
}

void sp_stream_closed(struct sp_server *s, const struct sp_in *in) {
    struct sp_stream *st = sp_stream_get(s, in->id);
    if (st == NULL)
        return;
    if (st->end == SP_STREAM_OPEN) {
        s->streams.ended[SP_STREAM_BY_PEER]++;
        sp_trace(&s->cfg.trace, s->now, SP_TRACE_stream_closed, st->id, SP_STREAM_BY_PEER);
    }
    stream_free(s, st);
}

/* ---- timeouts ---- */

static sp_instant due(const struct sp_server *s, const struct sp_stream *st, enum sp_stream_reason *why) {
    if (st->end > SP_STREAM_FLUSH)
        return SP_NEVER;
    if (st->send.len > 0 || st->transfer != NULL) {
        *why = SP_STREAM_STALLED;
        return sp_instant_add(st->progress, s->cfg.tcp_stall);
    }
    if (st->in_flight > 0)
        return SP_NEVER;
    *why = st->spoke ? SP_STREAM_IDLE : SP_STREAM_FIRST;
    if (st->session != NULL && s->cfg.tcp_idle < SP_SESSION_AWAY)
        return sp_instant_add(st->active, SP_SESSION_AWAY);
    return sp_instant_add(st->active, st->spoke ? s->cfg.tcp_idle : s->cfg.tcp_first);
}

/* A timer only ever moves forward here; a stream that was active since is looked at again when it fires. */
void sp_stream_rearm(struct sp_server *s, struct sp_stream *st) {
    enum sp_stream_reason why;
    sp_instant at = due(s, st, &why);
    if (at == SP_NEVER)
        return;
    if (!st->timer.set || at < st->timer.due)
        sp_timer_set(&s->streams.timers, &st->timer, at);
}

void sp_streams_expire(struct sp_server *s) {
    struct sp_timer *t;
    while ((t = sp_timers_pop(&s->streams.timers, s->now)) != NULL) {
        struct sp_stream *st = SP_CONTAINER(t, struct sp_stream, timer);
        enum sp_stream_reason why = SP_STREAM_IDLE;
        if (due(s, st, &why) > s->now)
            sp_stream_rearm(s, st);
        else
            sp_stream_finish(s, st, why == SP_STREAM_STALLED ? SP_STREAM_RESET : SP_STREAM_CLOSE, why);
    }
}

/* ---- work that waited ---- */

/* Ends it if that is due; true when it is gone. */
static bool end(struct sp_server *s, struct sp_stream *st) {
    if (st->end == SP_STREAM_FLUSH && st->send.len == 0)
        st->end = SP_STREAM_CLOSE;
    if (st->end < SP_STREAM_CLOSE)
        return false;
    sp_outbox_end(&s->out, st->end == SP_STREAM_CLOSE ? SP_OUT_STREAM_CLOSE : SP_OUT_STREAM_RESET, st->id);
    stream_free(s, st);
    return true;
}

void sp_streams_work(struct sp_server *s) {
    while (sp_streams_ready(&s->streams) && sp_outbox_room(&s->out, SP_STREAM_MSG) != NULL) {
        struct sp_stream *st = SP_CONTAINER(s->streams.ready.next, struct sp_stream, ready);
        sp_ring_remove(&st->ready);
        if (end(s, st))
            continue;
        sp_stream_go_on(s, st);
    }
}
