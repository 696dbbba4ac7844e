/* What an acknowledgement says: bytes that have arrived, in order or not, and how many more may come. RFC
 * 9293 3.10.7.4; RFC 5961 5; RFC 2018, 2883; for peers without SACK, RFC 6582. */
#include "proto/net/tcp_impl.h"

static void window_update(struct sp_tcp *t, struct sp_tcp_conn *c, const struct tcp_seg *s) {
    uint32_t wnd = (uint32_t)s->wnd << c->snd_shift;
    if (!seq_lt(c->snd_wl1, s->seq) && !(c->snd_wl1 == s->seq && seq_le(c->snd_wl2, s->ack)))
        return;
    c->snd_wl1 = s->seq;
    c->snd_wl2 = s->ack;
    if (wnd > c->snd_wnd)
        tcp_wake(t, c);
    if (c->wait == WAIT_PERSIST)
        c->backoff = 0;
    c->snd_wnd = wnd;
    c->snd_wnd_most = u32_max(c->snd_wnd_most, wnd);
}

/* ---- in order ---- */

static void delivered(struct sp_tcp_conn *c, const struct tcp_sent *r, sp_instant now, struct tcp_delivery *d) {
    if (!r->sacked)
        tcp_rack_delivered(c, r, now, d);
}

static void cumulative(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c, uint32_t ack, struct tcp_delivery *d) {
    while (c->sent != NULL && seq_lt(c->sent->seq, ack)) {
        struct tcp_sent *r = c->sent;
        if (seq_lt(ack, r->seq + r->len) && !tcp_sent_split(t, c, r, ack - r->seq))
            break; /* no memory: acknowledged as a whole, later */
        delivered(c, r, now, d);
        tcp_sent_free(t, c, r);
    }
    bool fin = c->fin_sent && ack == c->snd_nxt;
    tcp_queue_acked(t, c, ack - c->snd_una - fin);
    c->snd_una = ack;
    c->progress_at = now;
    c->backoff = 0;
    c->dup_acks = 0;
}

/* ---- out of order ---- */

/* RFC 2883 4: the first block is a copy of what is acknowledged, or lies within the second. */
static bool is_dsack(const struct tcp_seg *s) {
    return s->sacks > 0 && (seq_le(s->sack[0].end, s->ack) || (s->sacks > 1 && seq_le(s->sack[1].seq, s->sack[0].seq) &&
                                                               seq_le(s->sack[0].end, s->sack[1].end)));
}

/* The first record of what ends behind seq: from the end, as blocks tell of what came last, unless the beginning is nearer. */
static struct tcp_sent *first_behind(const struct sp_tcp_conn *c, uint32_t seq) {
    struct tcp_sent *r = c->sent;
    if (seq - c->snd_una < c->snd_nxt - seq) {
        while (r != NULL && seq_le(r->seq + r->len, seq))
            r = r->next;
        return r;
    }
    for (r = c->sent_last; r != NULL && r->prev != NULL && seq_lt(seq, r->seq);)
        r = r->prev;
    return r != NULL && seq_le(r->seq + r->len, seq) ? r->next : r;
}

/* Two for each segment, and some: a peer whose blocks begin and end within segments gets no more of our memory. */
static bool cut(struct sp_tcp *t, struct sp_tcp_conn *c, struct tcp_sent *r, uint32_t len) {
    if (c->records < 2 * ((c->snd_nxt - c->snd_una) / c->mss) + 64)
        return tcp_sent_split(t, c, r, len);
    tcp_dropped(t, SP_TCP_DROP_SACK);
    return false;
}

static void sack_range(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c, struct tcp_range s,
                       struct tcp_delivery *d) {
    if (!seq_lt(s.seq, s.end) || seq_lt(s.seq, c->snd_una) || seq_lt(c->snd_nxt, s.end))
        return;
    for (struct tcp_sent *r = first_behind(c, s.seq); r != NULL && seq_lt(r->seq, s.end); r = r->next) {
        if (r->sacked)
            continue;
        if (seq_lt(r->seq, s.seq)) { /* its second part is meant */
            if (!cut(t, c, r, s.seq - r->seq))
                return;
            continue;
        }
        if (seq_lt(s.end, r->seq + r->len) && !cut(t, c, r, s.end - r->seq))
            return;
        tcp_rack_delivered(c, r, now, d);
        r = tcp_sent_sack(t, c, r);
        d->newly_sacked = true;
    }
}

static void sacks(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c, const struct tcp_seg *s,
                  struct tcp_delivery *d) {
    if (!c->sack)
        return;
    d->dsack = is_dsack(s);
    if (d->dsack) {
        t->counts.spurious++;
        tcp_rack_dsack(c);
    }
    for (unsigned i = d->dsack; i < s->sacks; i++)
        sack_range(t, now, c, s->sack[i], d);
}

/* RFC 6582 3.2, where there is no SACK: the third duplicate says that the first segment is lost; later, what an
 * acknowledgement stops at. */
static void without_sack(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c, const struct tcp_seg *s, bool moved) {
    if (c->sack || c->sent == NULL)
        return;
    if (moved ? !c->recovering : (s->len > 0 || (s->flags & TCP_FIN) != 0 || ++c->dup_acks != 3))
        return;
    struct tcp_sent *r = c->sent;
    if (r->lost || r->sacked || (!moved && c->recovering))
        return;
    (void)tcp_sent_split(t, c, r, c->mss);
    tcp_sent_lose(c, r);
    tcp_recovery_begin(t, now, c);
}

/* ---- all of it ---- */

static void measure(struct sp_tcp_conn *c, sp_instant now, const struct tcp_seg *s, const struct tcp_delivery *d) {
    if (d->rtt_known)
        tcp_rtt_sample(c, now, d->rtt);
    else if (d->bytes > 0 && c->ts && s->has_ts && s->tsecr != 0) { /* RFC 7323 4.1: also of what was sent again */
        uint32_t ms = tcp_clock(now) + c->ts_offset - s->tsecr;
        if (ms < 60000)
            tcp_rtt_sample(c, now, (sp_duration)ms * SP_MS + SP_MS / 2);
    }
}

/* Our FIN has arrived. */
static void fin_acked(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c) {
    if (!c->fin_sent || c->snd_una != c->snd_nxt)
        return;
    if (c->state == TCP_FIN_WAIT_1)
        c->state = TCP_FIN_WAIT_2;
    else if (c->state == TCP_CLOSING)
        tcp_time_wait(t, now, c);
    else if (c->state == TCP_LAST_ACK)
        tcp_conn_over(t, c, SP_OK);
}

bool tcp_ack_input(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c, const struct tcp_seg *s) {
    struct tcp_delivery d = {0};
    if (seq_lt(c->snd_nxt, s->ack) || seq_lt(s->ack, c->snd_una - c->snd_wnd_most))
        return false;
    if (seq_lt(s->ack, c->snd_una))
        return true; /* old, but its bytes may be new */
    window_update(t, c, s);
    bool moved = s->ack != c->snd_una;
    if (moved)
        cumulative(t, now, c, s->ack, &d);
    sacks(t, now, c, s, &d);
    measure(c, now, s, &d);
    tcp_tail_probe_acked(t, now, c, s->ack, d.dsack);
    if (c->recovering && seq_le(c->recover, c->snd_una)) {
        c->recovering = false;
        if (c->rack.persist > 0 && --c->rack.persist == 0)
            c->rack.mult = 1;
    }
    without_sack(t, now, c, s, moved);
    sp_instant reorder = c->sack ? tcp_rack_detect(t, now, c) : SP_NEVER;
    bool slow_start_again = c->cubic.window < c->cubic.threshold && c->lost > 0;
    if (moved && (!c->recovering || slow_start_again))
        tcp_cubic_acked(c, now, d.bytes);
    if (d.bytes > 0 || c->wait == WAIT_NONE || c->wait == WAIT_PERSIST || reorder != SP_NEVER)
        tcp_rearm(t, now, c, reorder);
    tcp_queue_room(t, c);
    if (c->lost > 0 || tcp_unsent(c) > 0 || (c->fin_wanted && !c->fin_sent))
        tcp_wake(t, c);
    fin_acked(t, now, c);
    return true;
}
