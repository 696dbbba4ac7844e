/* How connections begin. RFC 9293 3.10.1, 3.10.7.2; RFC 6528 (initial sequence numbers); RFC 4987 3.6 (SYN cookies). */
#include "proto/net/tcp_impl.h"

#define COOKIE_TIME (16 * SP_SEC) /* a cookie's clock */
#define COOKIE_AGES 4             /* clock ticks that one is good for */
#define PORT_FIRST  32768u
#define PORTS       28232u

static uint32_t head_len(uint8_t family) {
    return family == 4 ? 20 + TCP_HEAD : 40 + TCP_HEAD;
}

uint16_t tcp_mss_own(const struct sp_tcp *t, uint8_t family) {
    return (uint16_t)((family == 4 ? t->link.mtu4 : t->link.mtu6) - head_len(family));
}

uint8_t tcp_shift_own(const struct sp_tcp *t) {
    uint8_t shift = 0;
    while (shift < 14 && t->config.receive_max >> shift > UINT16_MAX)
        shift++;
    return shift;
}

/* RFC 6528 3: a clock of 4 us, and what only we can compute for these ends. */
uint32_t tcp_isn(const struct sp_tcp *t, sp_instant now, const struct tcp_tuple *tuple) {
    return (uint32_t)(now / (4 * SP_US)) + (uint32_t)tcp_tuple_hash(t->isn_key, tuple, 0);
}

/* ---- what the SYNs say ---- */

static void set_mss(struct sp_tcp *t, struct sp_tcp_conn *c, uint16_t said) {
    uint16_t own = tcp_mss_own(t, c->family), theirs = said != 0 ? said : c->family == 4 ? 536 : 1220;
    uint16_t mss = theirs < own ? theirs : own;
    if (mss < TCP_MSS_MIN)
        mss = TCP_MSS_MIN;
    c->mss = c->mss_most = (uint16_t)(mss - (c->ts ? TCP_TS_LEN : 0));
}

/* The SYN of the peer: its options count as far as we have offered them, or will. */
void tcp_syn_options(struct sp_tcp *t, struct sp_tcp_conn *c, const struct tcp_seg *s) {
    c->rcv_nxt = s->seq + 1;
    c->ts = s->has_ts;
    c->ts_recent = s->tsval;
    c->sack = s->sack_ok;
    c->scaled = s->has_shift;
    if (c->scaled) {
        c->snd_shift = s->shift;
        c->rcv_shift = tcp_shift_own(t);
    } else {
        c->snd_shift = c->rcv_shift = 0;
    }
    set_mss(t, c, s->mss);
    c->snd_wnd = c->snd_wnd_most = s->wnd; /* never scaled in a SYN */
    c->snd_wl1 = s->seq;
}

static void begin_sending(struct sp_tcp_conn *c, uint32_t isn) {
    c->iss = isn;
    c->snd_una = isn;
    c->snd_nxt = isn + 1;
    c->snd_wl2 = isn;
    c->last_ack = c->rcv_nxt;
    c->rcv_edge = c->rcv_nxt;
}

void tcp_established(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c) {
    c->state = TCP_ESTABLISHED;
    t->half_open -= c->half_open;
    c->half_open = false;
    c->snd_una = c->iss + 1;
    c->rack.fack = c->snd_una;
    c->backoff = 0;
    c->progress_at = c->heard_at = c->ts_recent_at = now;
    tcp_cubic_init(c);
    if (c->passive)
        t->counts.accepted++;
    else
        t->counts.connected++;
    tcp_raise(t, c, EV_OPENED);
    tcp_rearm(t, now, c, SP_NEVER);
    tcp_wake(t, c);
}

/* ---- cookies ---- */

static const uint16_t cookie_mss[8] = {216, 536, 984, 1180, 1220, 1280, 1440, 1460};

/* 5 bits of a clock, 3 of the MSS, 24 that only we can compute. */
static uint32_t cookie(const struct sp_tcp *t, const struct tcp_tuple *tuple, uint32_t seq, uint32_t clock,
                       unsigned mss) {
    uint64_t h = tcp_tuple_hash(t->cookie_key, tuple, (uint64_t)seq << 32 | (uint64_t)clock << 3 | mss);
    return (clock & 31) << 27 | (uint32_t)mss << 24 | (uint32_t)(h & 0xffffff);
}

/* With timestamps, the low bits of ours carry the other options: shift (15: none) and SACK. */
static uint32_t cookie_clock(sp_instant now, const struct tcp_seg *s) {
    unsigned shift = s->has_shift ? s->shift : 15;
    return (tcp_clock(now) & ~31u) | shift << 1 | s->sack_ok;
}

static void cookie_send(struct sp_tcp *t, sp_instant now, const struct tcp_seg *s, const struct tcp_tuple *tuple) {
    struct tcp_stray *r = tcp_stray_new(t, tuple);
    unsigned mss = 0;
    if (r == NULL)
        return;
    while (mss < 7 && cookie_mss[mss + 1] <= s->mss)
        mss++;
    r->flags = TCP_SYN | TCP_ACK;
    r->seq = cookie(t, tuple, s->seq, (uint32_t)(now / COOKIE_TIME), mss);
    r->ack = s->seq + 1;
    r->wnd = (uint16_t)u32_min(t->config.receive_max, UINT16_MAX);
    r->mss = tcp_mss_own(t, tuple->family);
    if ((r->has_ts = s->has_ts)) {
        r->tsval = cookie_clock(now, s);
        r->tsecr = s->tsval;
        r->has_shift = s->has_shift;
        r->shift = tcp_shift_own(t);
        r->sack_ok = s->sack_ok;
    }
    t->counts.cookies_sent++;
}

/* Whether the segment acknowledges a cookie of ours; *ret is the SYN that it must have been. */
static bool cookie_check(const struct sp_tcp *t, sp_instant now, const struct tcp_seg *s, const struct tcp_tuple *tuple,
                         struct tcp_seg *ret) {
    uint32_t value = s->ack - 1, clock = (uint32_t)(now / COOKIE_TIME), mss = value >> 24 & 7;
    uint32_t age = (clock - (value >> 27)) & 31;
    if (age >= COOKIE_AGES || cookie(t, tuple, s->seq - 1, clock - age, mss) != value)
        return false;
    *ret = (struct tcp_seg){.packet = s->packet, .seq = s->seq - 1, .mss = cookie_mss[mss], .wnd = s->wnd};
    if (s->has_ts) {
        unsigned shift = s->tsecr >> 1 & 15;
        ret->has_ts = true;
        ret->tsval = s->tsval;
        ret->has_shift = shift != 15;
        ret->shift = (uint8_t)shift;
        ret->sack_ok = s->tsecr & 1;
    }
    return true;
}

static void cookie_input(struct sp_tcp *t, sp_instant now, const struct tcp_seg *s, const struct tcp_tuple *tuple) {
    struct tcp_seg syn;
    if (!cookie_check(t, now, s, tuple, &syn)) {
        tcp_dropped(t, t->counts.cookies_sent > 0 ? SP_TCP_DROP_COOKIE : SP_TCP_DROP_CLOSED);
        tcp_stray_reset(t, now, s);
        return;
    }
    struct sp_tcp_conn *c = tcp_conn_new(t, now, tuple, 0);
    if (c == NULL)
        return;
    t->counts.cookies_taken++;
    c->passive = true;
    if (syn.has_ts)
        c->ts_offset = s->tsecr - tcp_clock(now);
    tcp_syn_options(t, c, &syn);
    begin_sending(c, s->ack - 1);
    c->rcv_edge = c->rcv_nxt + u32_min(t->config.receive_max, UINT16_MAX);
    c->snd_wnd = (uint32_t)s->wnd << c->snd_shift;
    tcp_established(t, now, c);
    tcp_conn_input(t, now, c, s);
}

/* ---- listening ---- */

static bool listens(const struct sp_tcp *t, uint16_t port) {
    for (unsigned i = 0; i < t->config.port_count; i++)
        if (t->config.ports[i] == port)
            return true;
    return t->config.every_port;
}

static void accept(struct sp_tcp *t, sp_instant now, const struct tcp_seg *s, const struct tcp_tuple *tuple,
                   uint32_t isn_least) {
    if (t->half_open >= t->config.half_open) {
        cookie_send(t, now, s, tuple);
        return;
    }
    struct sp_tcp_conn *c = tcp_conn_new(t, now, tuple, 0);
    if (c == NULL)
        return;
    c->passive = c->half_open = true;
    t->half_open++;
    c->state = TCP_SYN_RECEIVED;
    tcp_syn_options(t, c, s);
    begin_sending(c, isn_least != 0 ? isn_least : tcp_isn(t, now, tuple));
    c->syn_now = true;
    tcp_wake(t, c);
}

void tcp_listen_input(struct sp_tcp *t, sp_instant now, const struct tcp_seg *s, const struct tcp_tuple *tuple,
                      uint32_t isn_least) {
    bool open = listens(t, s->dport);
    if (!open || (s->flags & TCP_RST) != 0) {
        tcp_dropped(t, SP_TCP_DROP_CLOSED);
        tcp_stray_reset(t, now, s);
    } else if ((s->flags & TCP_ACK) != 0) {
        cookie_input(t, now, s, tuple);
    } else if ((s->flags & TCP_SYN) == 0 || (s->flags & TCP_FIN) != 0) {
        tcp_dropped(t, SP_TCP_DROP_FORM);
    } else {
        accept(t, now, s, tuple, isn_least);
    }
}

/* ---- connecting ---- */

/* RFC 6056 3.3.3: from a place that only we can compute for these ends, on. */
static bool choose_port(struct sp_tcp *t, struct tcp_tuple *tuple) {
    uint32_t from = (uint32_t)tcp_tuple_hash(t->isn_key, tuple, 1);
    for (uint32_t i = 0; i < PORTS; i++) {
        tuple->lport = (uint16_t)(PORT_FIRST + (from + t->next_port + i) % PORTS);
        if (tcp_find(t, tuple) == NULL && !tcp_wait_has(t, tuple)) {
            t->next_port = (uint16_t)(t->next_port + i + 1);
            return true;
        }
    }
    return false;
}

sp_err sp_tcp_connect(struct sp_tcp *t, sp_instant now, const struct sp_addr *local, const struct sp_addr *remote,
                      uint64_t number, struct sp_tcp_conn **ret) {
    struct tcp_tuple tuple = {.rport = remote->port, .lport = local->port, .family = remote->family};
    memcpy(tuple.remote, remote->ip, 16);
    memcpy(tuple.local, local->ip, 16);
    tcp_tidy(t);
    if (number != 0 && sp_tcp_by_number(t, number) != NULL)
        return SP_ERR_EXIST;
    if (local->port == 0 && !choose_port(t, &tuple))
        return SP_ERR_FULL;
    if (tcp_find(t, &tuple) != NULL || tcp_wait_has(t, &tuple))
        return SP_ERR_EXIST;
    struct sp_tcp_conn *c = tcp_conn_new(t, now, &tuple, number);
    if (c == NULL)
        return SP_ERR_FULL;
    c->state = TCP_SYN_SENT;
    c->mss = c->mss_most = tcp_mss_own(t, tuple.family);
    c->rcv_shift = tcp_shift_own(t);
    c->ts = c->sack = c->scaled = true; /* offered */
    begin_sending(c, tcp_isn(t, now, &tuple));
    c->syn_now = true;
    tcp_wake(t, c);
    *ret = c;
    return SP_OK;
}
