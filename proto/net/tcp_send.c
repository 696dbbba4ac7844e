/* What goes out: bytes that wait, cut into segments as far as the peer's window and the network's let them; what is lost
 * first; acknowledgements; probes. RFC 9293 3.7, 3.8.6.2, 3.10.4. */
#include "proto/net/tcp_impl.h"

uint32_t tcp_unsent(const struct sp_tcp_conn *c) {
    uint32_t sent = c->snd_nxt - c->snd_una - c->fin_sent;
    if (c->state <= TCP_SYN_RECEIVED || c->state >= TCP_TIME_WAIT)
        return 0;
    if (c->fin_sent && c->snd_una == c->snd_nxt)
        sent = 0;
    return c->queued - sent;
}

/* ---- ends ---- */

void sp_tcp_end(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c) {
    (void)now;
    tcp_tidy(t);
    if (c->state == TCP_OVER || c->fin_wanted)
        return;
    if (c->state == TCP_SYN_SENT) {
        tcp_conn_over(t, c, SP_OK);
        return;
    }
    c->fin_wanted = true;
    tcp_wake(t, c);
}

static void queue_reset(struct sp_tcp *t, const struct sp_tcp_conn *c) {
    struct tcp_tuple tuple;
    tcp_tuple_of_conn(&tuple, c);
    struct tcp_stray *s = c->state < TCP_TIME_WAIT && c->state != TCP_SYN_SENT ? tcp_stray_new(t, &tuple) : NULL;
    if (s == NULL)
        return;
    s->flags = TCP_RST | TCP_ACK;
    s->seq = c->snd_nxt;
    s->ack = c->rcv_nxt;
    t->counts.resets_out++;
}

void sp_tcp_close(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c) {
    c->reader_gone = true;
    if (c->unread > 0 && !c->fin_taken) { /* RFC 1122 4.2.2.13: what nobody has read is lost, and the peer is to know */
        tcp_tidy(t);
        queue_reset(t, c);
        tcp_conn_over(t, c, SP_OK);
        return;
    }
    sp_tcp_end(t, now, c);
    if (c->state < TCP_TIME_WAIT)
        tcp_timer_set(t, c);
}

void sp_tcp_reset(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c) {
    (void)now;
    tcp_tidy(t);
    queue_reset(t, c);
    tcp_conn_free(t, c);
}

/* ---- segments ---- */

static void begin(struct sp_tcp_out *ret, const uint8_t local[16], const uint8_t remote[16], uint8_t family) {
    memcpy(ret->src, local, 16);
    memcpy(ret->dst, remote, 16);
    ret->family = family;
}

static void no_payload(struct sp_tcp_out *ret) {
    ret->spans = 0;
    ret->len = 0;
    ret->segment = 0;
}

/* How many SACK blocks find room beside a payload: with them, too, a segment is no larger than the path carries. */
static uint8_t sack_room(const struct sp_tcp_conn *c, uint32_t len) {
    uint32_t room = len < c->mss ? c->mss - len : 0;
    return room < 12 ? 0 : (uint8_t)u32_min((room - 4) / 8, c->ts ? 3 : 4);
}

/* What an acknowledgement was due for and found no room beside a payload gets a segment of its own. */
static void acknowledged(struct sp_tcp_conn *c, uint32_t window, bool all) {
    bool due = c->ack_now && !all, dsack = c->dsack_due && !all;
    tcp_acked(c, c->rcv_nxt + window);
    c->ack_now = due;
    c->dsack_due = dsack;
}

/* Header of a segment of a connection with a payload of so many bytes, and nothing of that. */
static void head(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c, uint32_t seq, uint8_t flags, uint32_t len,
                 struct sp_tcp_out *ret) {
    uint8_t most = c->ts ? 3 : 4, sacks = 0;
    bool syn = (flags & TCP_SYN) != 0;
    uint32_t window = syn ? u32_min(t->config.receive_max, UINT16_MAX) : tcp_window(t, c);
    struct tcp_head h = {.sport = c->lport,
                         .dport = c->rport,
                         .seq = seq,
                         .ack = c->rcv_nxt,
                         .flags = flags,
                         .wnd = (uint16_t)(syn ? window : window >> c->rcv_shift),
                         .has_ts = c->ts};
    begin(ret, c->local, c->remote, c->family);
    h.tsval = tcp_clock(now) + c->ts_offset;
    h.tsecr = (flags & TCP_ACK) != 0 ? c->ts_recent : 0;
    if (syn) {
        h.mss = tcp_mss_own(t, c->family);
        h.has_shift = c->scaled;
        h.shift = c->rcv_shift;
        h.sack_ok = c->sack;
    } else {
        sacks = tcp_sacks(c, h.sack, most);
        h.sacks = (uint8_t)u32_min(sacks, sack_room(c, len));
    }
    ret->head_len = (uint8_t)tcp_head_write(&h, ret->head);
    if ((flags & TCP_ACK) != 0)
        acknowledged(c, window, h.sacks == sacks);
    c->last_sent = now;
    t->counts.segments_out++;
}

/* The pieces of [off, off + len) of block b and those behind it; how much they hold. */
static uint32_t gather(struct sp_tcp_out *ret, const struct tcp_block *b, uint32_t off, uint32_t len) {
    uint32_t done = 0;
    for (; b != NULL && done < len && ret->spans < SP_TCP_SPANS; b = b->next) {
        uint32_t n = u32_min(b->len - off, len - done);
        if (n > 0) {
            ret->span[ret->spans].data = b->data + off;
            ret->span[ret->spans++].len = n;
        }
        done += n;
        off = 0;
    }
    ret->len = done;
    return done;
}

static uint32_t segment_max(const struct sp_tcp *t, const struct sp_tcp_conn *c) {
    bool cut = c->family == 4 ? t->link.cut4 : t->link.cut6;
    return cut ? (uint32_t)SP_TCP_SEND_MAX / c->mss * c->mss : c->mss;
}

static void cut(struct sp_tcp_conn *c, struct sp_tcp_out *ret) {
    bool whole = c->size_probe != 0 && c->size_probe_seq == c->snd_nxt;
    ret->segment = ret->len > c->mss && !whole ? c->mss : 0;
}

/* ---- SYN ---- */

static bool send_syn(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c, struct sp_tcp_out *ret) {
    if (!c->syn_now)
        return false;
    c->syn_now = false;
    no_payload(ret);
    head(t, now, c, c->iss, c->state == TCP_SYN_SENT ? TCP_SYN : TCP_SYN | TCP_ACK, 0, ret);
    tcp_rearm(t, now, c, SP_NEVER);
    return true;
}

/* ---- again ---- */

static uint32_t fin_len(const struct sp_tcp_conn *c, const struct tcp_sent *r) {
    return c->fin_sent && r->seq + r->len == c->snd_nxt;
}

/* Sends r, or its first part. */
static bool resend(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c, struct tcp_sent *r, uint32_t most,
                   struct sp_tcp_out *ret) {
    if (r->len - fin_len(c, r) > most && !tcp_sent_split(t, c, r, most))
        return false;
    uint32_t fin = fin_len(c, r), len = r->len - fin, off = r->seq - c->snd_una + c->first_off;
    const struct tcp_block *b = c->first;
    while (b != NULL && off >= b->len && len > 0) {
        off -= b->len;
        b = b->next;
    }
    no_payload(ret);
    head(t, now, c, r->seq, (uint8_t)(TCP_ACK | (fin ? TCP_FIN : 0) | (len > 0 ? TCP_PSH : 0)), len, ret);
    if (gather(ret, b, off, len) < len && !fin) /* more pieces than an output has room for */
        (void)tcp_sent_split(t, c, r, (uint32_t)ret->len);
    cut(c, ret);
    tcp_sent_again(c, r, now);
    t->counts.retransmitted++;
    if (c->wait == WAIT_NONE || (c->wait == WAIT_RTO && c->lost == 0)) /* its tail may be probed */
        tcp_rearm(t, now, c, SP_NEVER);
    return true;
}

static bool send_lost(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c, struct sp_tcp_out *ret) {
    /* RFC 5681 3.2: the first one goes at once. What still counts as under way may be lost, too, and then nothing else would come
     * before the RTO. */
    if (c->lost == 0 || (!c->fast && c->pipe > 0 && c->pipe + c->mss > c->cubic.window))
        return false;
    c->fast = false;
    struct tcp_sent *r = tcp_sent_first_lost(c);
    uint32_t room = c->cubic.window > c->pipe ? c->cubic.window - c->pipe : 0;
    uint32_t most = u32_max(c->mss, u32_min(segment_max(t, c), room / c->mss * c->mss));
    return r != NULL && resend(t, now, c, r, most, ret);
}

/* ---- new ---- */

/* How many unsent bytes may go now. RFC 9293 3.8.6.2.1: no silly windows, unless it has waited long. */
static uint32_t allowed(const struct sp_tcp *t, struct sp_tcp_conn *c, uint32_t unsent, bool waited) {
    uint32_t out = c->snd_nxt - c->snd_una, room = c->snd_wnd > out ? c->snd_wnd - out : 0;
    uint32_t n = u32_min(u32_min(unsent, room), segment_max(t, c));
    uint32_t free = c->cubic.window > c->pipe ? c->cubic.window - c->pipe : 0;
    if (n > free) {
        c->cubic.limited = true;
        n = free >= c->mss ? free / c->mss * c->mss : c->pipe == 0 ? u32_min(n, c->mss) : 0;
    }
    if (n > c->mss)
        return n == unsent ? n : n / c->mss * c->mss;
    bool last = n == unsent, full = n == c->mss;
    if (full || n == 0)
        return n;
    if (last)
        return t->config.nagle && out > 0 && !c->fin_wanted ? 0 : n;
    return waited || n >= c->snd_wnd_most / 2 ? n : 0;
}

static bool send_new(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c, uint32_t len, struct sp_tcp_out *ret) {
    uint32_t unsent = tcp_unsent(c);
    bool fin = c->fin_wanted && !c->fin_sent && len == unsent;
    no_payload(ret);
    if (len == 0 && !fin)
        return false;
    if (c->snd_una == c->snd_nxt && now - c->last_sent > tcp_rto(c))
        tcp_cubic_idle(c);
    uint32_t n = len > 0 ? gather(ret, c->next_block, c->next_off, len) : 0;
    fin = fin && n == len;
    if (!tcp_sent_new(t, now, c, n + fin))
        return false;
    bool first = c->snd_una == c->snd_nxt;
    head(t, now, c, c->snd_nxt, (uint8_t)(TCP_ACK | (fin ? TCP_FIN : 0) | (n > 0 && n == unsent ? TCP_PSH : 0)), n, ret);
    cut(c, ret);
    c->snd_nxt += n + fin;
    c->next_off += n;
    while (c->next_block != NULL && c->next_off >= c->next_block->len && c->next_block->next != NULL) {
        c->next_off -= c->next_block->len;
        c->next_block = c->next_block->next;
    }
    if (fin) {
        c->fin_sent = true;
        c->state = c->state == TCP_CLOSE_WAIT ? TCP_LAST_ACK : TCP_FIN_WAIT_1;
    }
    t->counts.bytes_out += n;
    if (first) {
        c->progress_at = now;
        c->backoff = 0;
    }
    if (first || c->wait == WAIT_NONE || c->wait == WAIT_PERSIST || c->wait == WAIT_TAIL)
        tcp_rearm(t, now, c, SP_NEVER);
    return true;
}

/* ---- probes ---- */

/* RFC 8985 7.3: what is new, else the last segment again; in a recovery what is missing first. */
static bool send_tail(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c, struct sp_tcp_out *ret) {
    struct tcp_sent *r = c->sacked > 0 ? c->sent : c->sent_last;
    uint32_t out = c->snd_nxt - c->snd_una, n = u32_min(tcp_unsent(c), c->mss);
    c->probe = PROBE_NONE;
    if (r == NULL || r->sacked || c->lost > 0) /* meanwhile an answer has come */
        return false;
    bool again = c->sacked > 0 || n == 0 || out + n > c->snd_wnd;
    uint32_t len = r->len - fin_len(c, r);
    if (again && c->sacked == 0 && len > c->mss) {
        if (!tcp_sent_split(t, c, r, len - c->mss))
            return false;
        r = c->sent_last;
    }
    if (again ? !resend(t, now, c, r, c->mss, ret) : !send_new(t, now, c, n, ret))
        return false;
    c->rack.tail_probe = true;
    c->rack.tail_again = again;
    c->rack.tail_end = c->snd_nxt;
    c->wait = WAIT_RTO;
    c->wait_at = now + tcp_rto(c);
    tcp_timer_set(t, c);
    return true;
}

/* A byte that the peer has already: it says how things stand with it. */
static bool send_stale(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c, struct sp_tcp_out *ret) {
    c->probe = PROBE_NONE;
    no_payload(ret);
    head(t, now, c, c->snd_una - 1, TCP_ACK, 0, ret);
    return true;
}

bool tcp_conn_output(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c, struct sp_tcp_out *ret) {
    if (c->state <= TCP_SYN_RECEIVED)
        return send_syn(t, now, c, ret);
    if (c->state >= TCP_TIME_WAIT)
        return false;
    if (send_lost(t, now, c, ret))
        return true;
    if (c->probe == PROBE_TAIL && send_tail(t, now, c, ret))
        return true;
    bool asks = c->probe == PROBE_PEER && c->snd_una == c->snd_nxt;
    if (asks && (c->snd_wnd == 0 || tcp_unsent(c) == 0))
        return send_stale(t, now, c, ret);
    c->probe = PROBE_NONE;
    uint32_t unsent = tcp_unsent(c), n = c->lost > 0 ? 0 : tcp_size_probe(now, c, unsent);
    if (n > 0 && send_new(t, now, c, n, ret))
        return true;
    c->size_probe = n > 0 ? 0 : c->size_probe; /* no memory */
    n = c->lost > 0 ? 0 : allowed(t, c, unsent, asks);
    if ((n > 0 || unsent == 0) && send_new(t, now, c, n, ret))
        return true;
    if (c->wait == WAIT_NONE && (unsent > 0 || (c->fin_wanted && !c->fin_sent)))
        tcp_rearm(t, now, c, SP_NEVER);
    if (!c->ack_now)
        return false;
    no_payload(ret);
    head(t, now, c, c->snd_nxt, TCP_ACK, 0, ret);
    return true;
}

/* ---- all of them ---- */

static void stray_output(struct sp_tcp *t, struct sp_tcp_out *ret) {
    struct tcp_stray *s = SP_CONTAINER(t->strays.next, struct tcp_stray, ring);
    struct tcp_head h = {.sport = s->tuple.lport,
                         .dport = s->tuple.rport,
                         .seq = s->seq,
                         .ack = s->ack,
                         .flags = s->flags,
                         .wnd = s->wnd,
                         .mss = s->mss,
                         .has_ts = s->has_ts,
                         .tsval = s->tsval,
                         .tsecr = s->tsecr,
                         .has_shift = s->has_shift,
                         .shift = s->shift,
                         .sack_ok = s->sack_ok};
    no_payload(ret);
    begin(ret, s->tuple.local, s->tuple.remote, s->tuple.family);
    ret->head_len = (uint8_t)tcp_head_write(&h, ret->head);
    sp_ring_remove(&s->ring);
    sp_mem_free(t->config.mem, s, sizeof *s);
    t->stray_count--;
    t->counts.segments_out++;
}

bool sp_tcp_output(struct sp_tcp *t, sp_instant now, struct sp_tcp_out *ret) {
    tcp_tidy(t);
    if (!sp_ring_alone(&t->strays)) {
        stray_output(t, ret);
        return true;
    }
    while (!sp_ring_alone(&t->busy)) {
        struct sp_tcp_conn *c = SP_CONTAINER(t->busy.next, struct sp_tcp_conn, busy);
        sp_ring_remove(&c->busy);
        if (tcp_conn_output(t, now, c, ret)) {
            tcp_wake(t, c); /* behind the others */
            return true;
        }
    }
    return false;
}
