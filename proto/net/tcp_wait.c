/* Segments without a connection: to those in TIME-WAIT, and answers to strays. RFC 9293 3.10.7.1, 3.6.1; RFC 6191; RFC
 * 1337. */
#include "proto/net/tcp_impl.h"

#define STRAYS       64
#define RESETS_PER_S 200

/* ---- answers ---- */

struct tcp_stray *tcp_stray_new(struct sp_tcp *t, const struct tcp_tuple *tuple) {
    struct tcp_stray *s = t->stray_count < STRAYS ? sp_mem_alloc(t->config.mem, sizeof *s) : NULL;
    if (s == NULL) {
        tcp_dropped(t, SP_TCP_DROP_MEMORY);
        return NULL;
    }
    s->tuple = *tuple;
    t->stray_count++;
    sp_ring_append(&t->strays, &s->ring);
    return s;
}

void tcp_stray_reset(struct sp_tcp *t, sp_instant now, const struct tcp_seg *s) {
    struct tcp_tuple tuple;
    if ((s->flags & TCP_RST) != 0)
        return;
    if (!sp_bucket_has(&t->resets, SP_SEC / RESETS_PER_S, SP_SEC, now)) {
        tcp_dropped(t, SP_TCP_DROP_RATE);
        return;
    }
    tcp_tuple_of(&tuple, s);
    struct tcp_stray *r = tcp_stray_new(t, &tuple);
    if (r == NULL)
        return;
    sp_bucket_take(&t->resets, SP_SEC / RESETS_PER_S, now);
    t->counts.resets_out++;
    bool has_ack = (s->flags & TCP_ACK) != 0;
    r->flags = has_ack ? TCP_RST : TCP_RST | TCP_ACK;
    r->seq = has_ack ? s->ack : 0;
    r->ack = tcp_seg_end(s);
}

/* ---- TIME-WAIT ---- */

static bool same(const struct tcp_tuple *a, const struct tcp_tuple *b) {
    return a->rport == b->rport && a->lport == b->lport && a->family == b->family &&
           memcmp(a->remote, b->remote, 16) == 0 && memcmp(a->local, b->local, 16) == 0;
}

static struct tcp_waiting *find(const struct sp_tcp *t, const struct tcp_tuple *tuple) {
    for (struct sp_link *l = sp_table_find(&t->waits, tcp_tuple_hash(t->key, tuple, 0)); l != NULL;
         l = sp_table_find_next(l)) {
        struct tcp_waiting *w = SP_CONTAINER(l, struct tcp_waiting, link);
        if (same(&w->tuple, tuple))
            return w;
    }
    return NULL;
}

bool tcp_wait_has(const struct sp_tcp *t, const struct tcp_tuple *tuple) {
    return find(t, tuple) != NULL;
}

static void drop(struct sp_tcp *t, struct tcp_waiting *w) {
    sp_table_remove(&t->waits, &w->link);
    sp_ring_remove(&w->age);
    sp_mem_free(t->config.mem, w, sizeof *w);
}

static void answer(struct sp_tcp *t, sp_instant now, const struct tcp_waiting *w) {
    struct tcp_stray *s = tcp_stray_new(t, &w->tuple);
    if (s == NULL)
        return;
    s->flags = TCP_ACK;
    s->seq = w->snd_nxt;
    s->ack = w->rcv_nxt;
    s->has_ts = w->ts;
    s->tsval = tcp_clock(now) + w->ts_offset;
    s->tsecr = w->ts_recent;
}

void tcp_wait_add(struct sp_tcp *t, sp_instant now, const struct sp_tcp_conn *c) {
    if (t->waits.count >= t->config.time_waits && !sp_ring_alone(&t->wait_age)) {
        tcp_dropped(t, SP_TCP_DROP_PUSHED_OUT);
        drop(t, SP_CONTAINER(t->wait_age.next, struct tcp_waiting, age));
    }
    struct tcp_waiting *w = sp_mem_alloc(t->config.mem, sizeof *w);
    if (w == NULL)
        return;
    tcp_tuple_of_conn(&w->tuple, c);
    w->snd_nxt = c->snd_nxt;
    w->rcv_nxt = c->rcv_nxt;
    w->ts = c->ts;
    w->ts_recent = c->ts_recent;
    w->ts_offset = c->ts_offset;
    w->until = now + 2 * TCP_MSL;
    if (sp_table_add(&t->waits, &w->link, tcp_tuple_hash(t->key, &w->tuple, 0)) != SP_OK) {
        sp_mem_free(t->config.mem, w, sizeof *w);
        return;
    }
    sp_ring_append(&t->wait_age, &w->age);
    if (c->ack_now)
        answer(t, now, w);
}

/* RFC 6191 2: a SYN that is surely newer than what came before begins anew. */
static bool begins_anew(const struct tcp_waiting *w, const struct tcp_seg *s) {
    if ((s->flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) != TCP_SYN)
        return false;
    if (w->ts && s->has_ts && s->tsval != w->ts_recent)
        return seq_lt(w->ts_recent, s->tsval);
    return seq_lt(w->rcv_nxt, s->seq);
}

bool tcp_wait_input(struct sp_tcp *t, sp_instant now, const struct tcp_seg *s, const struct tcp_tuple *tuple,
                    uint32_t *ret_isn) {
    struct tcp_waiting *w = find(t, tuple);
    if (w == NULL)
        return false;
    if (begins_anew(w, s)) {
        *ret_isn = w->snd_nxt + (1u << 16) + 2;
        drop(t, w);
        return false;
    }
    if ((s->flags & TCP_RST) != 0) /* RFC 1337: it does not end the wait */
        return true;
    if ((s->flags & TCP_FIN) != 0) { /* the peer has not seen our last acknowledgement: the wait begins again */
        w->until = now + 2 * TCP_MSL;
        sp_ring_remove(&w->age);
        sp_ring_append(&t->wait_age, &w->age);
    }
    if (s->len > 0 || (s->flags & (TCP_SYN | TCP_FIN)) != 0)
        answer(t, now, w);
    return true;
}

void tcp_wait_expire(struct sp_tcp *t, sp_instant now) {
    while (!sp_ring_alone(&t->wait_age)) {
        struct tcp_waiting *w = SP_CONTAINER(t->wait_age.next, struct tcp_waiting, age);
        if (w->until > now)
            return;
        drop(t, w);
    }
}

void tcp_wait_free_all(struct sp_tcp *t) {
    while (!sp_ring_alone(&t->wait_age))
        drop(t, SP_CONTAINER(t->wait_age.next, struct tcp_waiting, age));
    while (!sp_ring_alone(&t->strays)) {
        struct tcp_stray *s = SP_CONTAINER(t->strays.next, struct tcp_stray, ring);
        sp_ring_remove(&s->ring);
        sp_mem_free(t->config.mem, s, sizeof *s);
    }
    t->stray_count = 0;
}
