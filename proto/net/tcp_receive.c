/* What comes: in order it is handed on where it lies, too early it is kept in pages; acknowledgements and the window
 * that we announce. RFC 9293 3.8.6, 3.10.7.4; RFC 2018, 2883; RFC 1122 4.2.3.2, 4.2.3.3. */
#include "proto/net/tcp_impl.h"

/* ---- the window ---- */

static uint32_t window_max(const struct sp_tcp_conn *c) {
    return u32_min(c->rcv_most, (uint32_t)UINT16_MAX << c->rcv_shift);
}

/* Its right edge never moves back, and not in small steps. */
uint32_t tcp_window(const struct sp_tcp *t, const struct sp_tcp_conn *c) {
    uint32_t now = c->rcv_edge - c->rcv_nxt, most = c->rcv_most;
    (void)t;
    uint32_t free = c->unread < most ? most - c->unread : 0;
    uint32_t step = u32_min(most / 2, c->mss);
    if (free < now + step)
        free = now;
    return u32_min(free, window_max(c)) >> c->rcv_shift << c->rcv_shift;
}

/* What the reader takes in a round trip must fit twice: the peer sends as much again meanwhile, and a slow start doubles it. Who does
 * not read keeps a small window. The round trip is the least one, so that a queue on the way does not widen it; but on a short way the
 * programs at its ends take longer than the wire, and in lockstep with them nobody would ever see that the window is too small. */
#define ROUND_LEAST (5 * SP_MS)

static void widen(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c, size_t len) {
    sp_duration round = c->rtt.least != SP_NEVER ? c->rtt.least : TCP_RTO_MIN, passed = now - c->round_at;
    round = round < ROUND_LEAST ? ROUND_LEAST : round;
    c->round_read += len < UINT32_MAX - c->round_read ? (uint32_t)len : UINT32_MAX - c->round_read;
    if (passed < round)
        return;
    uint64_t twice = c->round_read * 2 * (round / SP_US + 1) / (passed / SP_US + 1);
    bool plenty = t->buffered < t->config.memory / 4 * 3;
    if (twice > c->rcv_most && plenty)
        c->rcv_most = u32_min(t->config.receive_max, u32_min(2 * c->rcv_most, (uint32_t)(twice < UINT32_MAX ? twice : UINT32_MAX)));
    c->round_read = 0;
    c->round_at = now;
}

void sp_tcp_consumed(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c, size_t len) {
    c->unread -= len < c->unread ? (uint32_t)len : c->unread;
    widen(t, now, c, len);
    /* A window that was nearly shut and is open again is told at once. */
    uint32_t open = c->rcv_edge - c->rcv_nxt, most = window_max(c);
    if (tcp_synchronized(c) && !c->fin_taken && tcp_window(t, c) >= open + u32_max(2u * c->mss, most / 4) &&
        open < most / 2)
        tcp_ack_at_once(t, c);
}

/* ---- acknowledgements ---- */

void tcp_ack_at_once(struct sp_tcp *t, struct sp_tcp_conn *c) {
    c->ack_now = true;
    tcp_wake(t, c);
}

void tcp_ack_soon(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c, uint32_t bytes) {
    c->unacked += bytes;
    if (c->unacked >= 2u * c->mss)
        tcp_ack_at_once(t, c);
    else if (c->ack_at == SP_NEVER)
        c->ack_at = now + TCP_ACK_DELAY;
}

void tcp_acked(struct sp_tcp_conn *c, uint32_t edge) {
    c->last_ack = c->rcv_nxt;
    /* RFC 7323 2.4: a scaled window is rounded down, but what the peer has sent up to the older edge is good. */
    c->rcv_edge = seq_max(c->rcv_edge, edge);
    c->ack_now = c->dsack_due = false;
    c->ack_at = SP_NEVER;
    c->unacked = 0;
}

/* RFC 2018 4: the block with the newest segment first. RFC 2883 4: before it, a copy of what was there already. */
uint8_t tcp_sacks(const struct sp_tcp_conn *c, struct tcp_range *ret, uint8_t max) {
    const struct tcp_early *e = c->early;
    uint8_t n = 0;
    if (!c->sack || max == 0)
        return 0;
    if (c->dsack_due)
        ret[n++] = c->dsack;
    for (unsigned i = 0; e != NULL && i < TCP_SACKS && n < max; i++)
        for (unsigned k = 0; k < e->count; k++) {
            const struct tcp_range *r = &e->range[k];
            bool holds = seq_le(r->seq, e->recent[i]) && seq_lt(e->recent[i], r->end), told = false;
            for (unsigned j = c->dsack_due; j < n; j++)
                told |= ret[j].seq == r->seq;
            if (holds && !told)
                ret[n++] = *r;
        }
    return n;
}

/* ---- what comes too early ---- */

static size_t early_size(unsigned pages) {
    return sizeof(struct tcp_early) + pages * sizeof(uint8_t *);
}

/* A place for every page of the window, which may have become wider. The pages stay where they are. */
static bool early_make(struct sp_tcp *t, struct sp_tcp_conn *c) {
    struct tcp_early *old = c->early;
    unsigned pages = c->rcv_most / TCP_PAGE + 2;
    if (old != NULL && old->pages >= pages)
        return true;
    size_t size = early_size(pages);
    struct tcp_early *e = pages < UINT16_MAX && t->buffered + size <= t->config.memory ? sp_mem_alloc(t->config.mem, size) : NULL;
    if (e == NULL)
        return old != NULL;
    if (old != NULL) {
        memcpy(e, old, sizeof *e);
        for (unsigned i = 0; i < old->pages; i++)
            e->page[i] = old->page[(old->first + i) % old->pages];
        t->buffered -= early_size(old->pages);
        sp_mem_free(t->config.mem, old, early_size(old->pages));
    } else {
        e->base = e->given = c->rcv_nxt;
        for (unsigned i = 0; i < TCP_SACKS; i++)
            e->recent[i] = c->rcv_nxt;
    }
    e->first = 0;
    e->pages = (uint16_t)pages;
    t->buffered += size;
    c->early = e;
    return true;
}

void tcp_early_free(struct sp_tcp *t, struct sp_tcp_conn *c) {
    struct tcp_early *e = c->early;
    if (e == NULL)
        return;
    for (unsigned i = 0; i < e->pages; i++)
        if (e->page[i] != NULL)
            tcp_give(t, &t->page, e->page[i]);
    t->buffered -= early_size(e->pages);
    sp_mem_free(t->config.mem, e, early_size(e->pages));
    c->early = NULL;
}

static uint8_t **page_of(struct tcp_early *e, uint32_t seq) {
    return &e->page[(e->first + (seq - e->base) / TCP_PAGE) % e->pages];
}

static bool early_page(struct sp_tcp *t, struct tcp_early *e, uint8_t **page) {
    *page = tcp_may_hold(t, (size_t)e->held * TCP_PAGE) ? tcp_take(t, &t->page) : NULL;
    e->held += *page != NULL;
    return *page != NULL;
}

/* Copies bytes to their places; how many found one. */
static uint32_t early_copy(struct sp_tcp *t, struct tcp_early *e, uint32_t seq, const uint8_t *data, uint32_t len) {
    uint32_t done = 0;
    while (done < len && (seq + done - e->base) / TCP_PAGE < e->pages) {
        uint32_t off = (seq + done - e->base) % TCP_PAGE, n = u32_min(TCP_PAGE - off, len - done);
        uint8_t **page = page_of(e, seq + done);
        if (*page == NULL && !early_page(t, e, page))
            break;
        memcpy(*page + off, data + done, n);
        done += n;
    }
    return done;
}

/* The ranges [from, to) of the list become one that holds r as well. */
static bool range_put(struct tcp_early *e, unsigned from, unsigned to, struct tcp_range r) {
    if (from == to && e->count == TCP_RANGES)
        return false;
    if (from < to) {
        r.seq = seq_min(r.seq, e->range[from].seq);
        r.end = seq_max(r.end, e->range[to - 1].end);
    }
    memmove(&e->range[from + 1], &e->range[to], (e->count - to) * sizeof r);
    e->range[from] = r;
    e->count = (uint16_t)(e->count + 1 + from - to);
    return true;
}

static void early_note(struct tcp_early *e, uint32_t seq) {
    memmove(&e->recent[1], &e->recent[0], (TCP_SACKS - 1) * sizeof seq);
    e->recent[0] = seq;
}

static void early_keep(struct sp_tcp *t, struct sp_tcp_conn *c, uint32_t seq, const uint8_t *data, uint32_t len) {
    unsigned from, to;
    bool made = early_make(t, c);
    struct tcp_early *e = c->early;
    if (!made) {
        tcp_dropped(t, SP_TCP_DROP_EARLY);
        return;
    }
    for (from = e->count; from > 0 && seq_le(seq, e->range[from - 1].end); from--) /* most come behind all others */
        ;
    for (to = from; to < e->count && seq_le(e->range[to].seq, seq + len); to++)
        ;
    if (to == from + 1 && seq_le(e->range[from].seq, seq) && seq_le(seq + len, e->range[from].end)) {
        c->dsack_due = true;
        c->dsack = (struct tcp_range){seq, seq + len};
        return;
    }
    bool room = from < to || e->count < TCP_RANGES;
    uint32_t n = room ? early_copy(t, e, seq, data, len) : 0;
    if (n < len)
        tcp_dropped(t, SP_TCP_DROP_EARLY);
    if (n == 0)
        return;
    /* What was cut off may have been to reach the next range. */
    while (to > from && seq_lt(seq + n, e->range[to - 1].seq))
        to--;
    if (range_put(e, from, to, (struct tcp_range){seq, seq + n})) {
        early_note(e, seq);
        t->counts.early++;
    }
}

/* The bytes up to rcv_nxt were handed on from a packet: the first range may go on from there. */
static void early_join(struct sp_tcp *t, struct sp_tcp_conn *c) {
    struct tcp_early *e = c->early;
    unsigned done = 0;
    e->given = c->rcv_nxt;
    for (; done < e->count && seq_le(e->range[done].seq, c->rcv_nxt); done++)
        if (seq_lt(c->rcv_nxt, e->range[done].end)) {
            c->unread += e->range[done].end - c->rcv_nxt;
            c->rcv_nxt = e->range[done].end;
        }
    memmove(&e->range[0], &e->range[done], (e->count - done) * sizeof e->range[0]);
    e->count = (uint16_t)(e->count - done);
    tcp_raise(t, c, EV_EARLY); /* pages, at least, are to be given back */
}

/* Pages before the byte that is handed on next go; where bytes of the last one have just been handed on, it stays until
 * the next call. */
static void early_advance(struct sp_tcp *t, struct tcp_early *e, bool just_now) {
    while (e->given - e->base >= TCP_PAGE) {
        uint8_t **page = &e->page[e->first];
        e->held -= *page != NULL;
        if (*page != NULL && just_now)
            t->shown = *page;
        else if (*page != NULL)
            tcp_give(t, &t->page, *page);
        *page = NULL;
        e->first = (uint16_t)((e->first + 1) % e->pages);
        e->base += TCP_PAGE;
    }
}

bool tcp_early_next(struct sp_tcp *t, struct sp_tcp_conn *c, const uint8_t **data, size_t *len) {
    struct tcp_early *e = c->early;
    if (e == NULL)
        return false;
    early_advance(t, e, false);
    uint32_t off = e->given - e->base, n = u32_min(TCP_PAGE - off, c->rcv_nxt - c->fin_taken - e->given);
    if (n == 0 && e->count > 0)
        return false;
    if (n == 0) {
        tcp_early_free(t, c);
        return false;
    }
    *data = e->page[e->first] + off;
    *len = n;
    e->given += n;
    t->counts.bytes_in += n;
    early_advance(t, e, true);
    return true;
}

/* ---- segments ---- */

static void in_order(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c, const uint8_t *data, uint32_t len) {
    bool gap = c->early != NULL;
    c->data = data;
    c->data_len = len;
    c->rcv_nxt += len;
    c->unread += len;
    t->counts.bytes_in += len;
    tcp_raise(t, c, EV_DATA);
    if (gap) {
        early_join(t, c);
        tcp_ack_at_once(t, c); /* RFC 5681 4.2 */
    } else {
        tcp_ack_soon(t, now, c, len);
    }
}

void tcp_receive(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c, const struct tcp_seg *s) {
    uint32_t old = seq_lt(s->seq, c->rcv_nxt) ? c->rcv_nxt - s->seq : 0;
    uint32_t seq = s->seq + old, end = seq_min(s->seq + s->len, c->rcv_edge);
    if (old > 0) { /* RFC 2883 */
        c->dsack_due = true;
        c->dsack = (struct tcp_range){s->seq, s->seq + u32_min(old, s->len)};
    }
    if (old >= s->len || !seq_lt(seq, end)) {
        tcp_ack_at_once(t, c);
        return;
    }
    if (seq == c->rcv_nxt) {
        in_order(t, now, c, s->data + old, end - seq);
    } else {
        early_keep(t, c, seq, s->data, end - seq);
        tcp_ack_at_once(t, c);
    }
    if (old > 0)
        tcp_ack_at_once(t, c);
}

void tcp_fin_check(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c) {
    if (!c->fin_known || c->fin_taken || c->rcv_nxt != c->fin_at)
        return;
    c->fin_taken = true;
    c->rcv_nxt++;
    tcp_raise(t, c, EV_END);
    tcp_ack_at_once(t, c);
    if (c->state == TCP_ESTABLISHED)
        c->state = TCP_CLOSE_WAIT;
    else if (c->state == TCP_FIN_WAIT_1)
        c->state = TCP_CLOSING;
    else if (c->state == TCP_FIN_WAIT_2)
        tcp_time_wait(t, now, c);
}
