/* A segment of a connection, state by state. RFC 9293 3.10.7.3, 3.10.7.4; RFC 5961; RFC 7323 3.2, 5.3. */
#include "proto/net/tcp_impl.h"

#define CHALLENGES_PER_S 10

/* An acknowledgement as the answer to what may be a forgery, or an old copy. RFC 5961 7: not too many. */
static void challenge(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c) {
    if (!sp_bucket_has(&c->challenges, SP_SEC / CHALLENGES_PER_S, SP_SEC, now))
        return;
    sp_bucket_take(&c->challenges, SP_SEC / CHALLENGES_PER_S, now);
    t->counts.challenges++;
    tcp_ack_at_once(t, c);
}

/* ---- SYN-SENT ---- */

/* RFC 9293 3.10.7.4: where both sides had ended, it changes nothing. */
static void reset_by(struct sp_tcp *t, struct sp_tcp_conn *c) {
    bool ended = c->state == TCP_CLOSING || c->state == TCP_LAST_ACK;
    t->counts.resets_in++;
    tcp_conn_over(t, c, ended ? SP_OK : SP_ERR_DENIED);
}

static void syn_sent(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c, const struct tcp_seg *s) {
    bool acks = (s->flags & TCP_ACK) != 0;
    if (acks && s->ack != c->iss + 1) {
        tcp_dropped(t, SP_TCP_DROP_ACK);
        tcp_stray_reset(t, now, s);
        return;
    }
    if ((s->flags & TCP_RST) != 0) {
        if (acks)
            reset_by(t, c);
        else
            tcp_dropped(t, SP_TCP_DROP_RESET);
        return;
    }
    if ((s->flags & TCP_SYN) == 0) {
        tcp_dropped(t, SP_TCP_DROP_FORM);
        return;
    }
    tcp_syn_options(t, c, s);
    c->ts_recent_at = now;
    c->last_ack = c->rcv_nxt;
    c->rcv_edge = c->rcv_nxt + u32_min(t->config.receive_max, UINT16_MAX);
    if (!acks) { /* both have asked at once: RFC 9293 3.5, figure 7 */
        c->state = TCP_SYN_RECEIVED;
        c->syn_now = true;
        tcp_wake(t, c);
        return;
    }
    if (c->backoff == 0)
        tcp_rtt_sample(c, now, now - c->last_sent);
    tcp_established(t, now, c);
    tcp_ack_at_once(t, c);
}

/* ---- what every later segment goes through ---- */

/* RFC 7323 5.3 R1, 3.2: an old duplicate, or one without a timestamp where all have one. */
static bool too_old(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c, const struct tcp_seg *s) {
    if (!c->ts || (s->flags & TCP_RST) != 0)
        return false;
    if (!s->has_ts) {
        tcp_dropped(t, SP_TCP_DROP_PAWS);
        return true;
    }
    if (!seq_lt(s->tsval, c->ts_recent) || now - c->ts_recent_at > TCP_PAWS_AGE)
        return false;
    tcp_dropped(t, SP_TCP_DROP_PAWS);
    if (s->len > 0)
        tcp_ack_at_once(t, c);
    else
        challenge(t, now, c);
    return true;
}

/* RFC 9293 3.4, as far back as our last acknowledgement, so that what crossed it still counts. */
static bool acceptable(const struct sp_tcp_conn *c, const struct tcp_seg *s) {
    return seq_le(c->last_ack, tcp_seg_end(s)) && seq_le(s->seq, c->rcv_edge);
}

static void refuse(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c, const struct tcp_seg *s) {
    tcp_dropped(t, SP_TCP_DROP_WINDOW);
    if ((s->flags & TCP_RST) != 0)
        return;
    if (s->len > 0 && seq_lt(s->seq, c->rcv_nxt)) { /* RFC 2883: a copy of what is here already */
        c->dsack_due = true;
        c->dsack = (struct tcp_range){s->seq, s->seq + s->len};
    }
    if (s->len > 0 || (s->flags & (TCP_SYN | TCP_FIN)) != 0)
        tcp_ack_at_once(t, c);
    else
        challenge(t, now, c);
}

/* RFC 5961 3.2. */
static void reset(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c, const struct tcp_seg *s) {
    if (s->seq == c->rcv_nxt) {
        reset_by(t, c);
        return;
    }
    tcp_dropped(t, SP_TCP_DROP_RESET);
    challenge(t, now, c);
}

/* A SYN where one has been already. True: the segment goes on, its SYN taken off. */
static bool syn_again(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c, struct tcp_seg *s) {
    if (c->state != TCP_SYN_RECEIVED || s->seq + 1 != c->rcv_nxt) {
        tcp_dropped(t, SP_TCP_DROP_SYN);
        challenge(t, now, c); /* RFC 5961 4.2 */
        return false;
    }
    if ((s->flags & TCP_ACK) != 0) { /* of a simultaneous open */
        s->flags &= (uint8_t)~TCP_SYN;
        s->seq++;
        return true;
    }
    c->syn_now = true;
    tcp_wake(t, c);
    return false;
}

/* The handshake's last step. False: the segment is dropped. */
static bool syn_received(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c, const struct tcp_seg *s) {
    if (s->ack != c->iss + 1) {
        tcp_dropped(t, SP_TCP_DROP_ACK);
        tcp_stray_reset(t, now, s);
        return false;
    }
    c->snd_wnd = (uint32_t)s->wnd << c->snd_shift;
    c->snd_wnd_most = u32_max(c->snd_wnd_most, c->snd_wnd);
    c->snd_wl1 = s->seq;
    c->snd_wl2 = s->ack;
    if (c->backoff == 0)
        tcp_rtt_sample(c, now, now - c->last_sent);
    tcp_established(t, now, c);
    return true;
}

static void keep_timestamp(struct sp_tcp_conn *c, sp_instant now, const struct tcp_seg *s) {
    if (c->ts && s->has_ts && seq_le(s->seq, c->last_ack) && !seq_lt(s->tsval, c->ts_recent)) {
        c->ts_recent = s->tsval;
        c->ts_recent_at = now;
    }
}

/* Data where nobody reads any more. RFC 9293 3.6.1; RFC 1122 4.2.2.13. */
static bool unread(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c, const struct tcp_seg *s) {
    if (!c->reader_gone || s->len == 0 || !seq_lt(c->rcv_nxt, s->seq + s->len))
        return false;
    tcp_dropped(t, SP_TCP_DROP_NO_READER);
    tcp_stray_reset(t, now, s);
    tcp_conn_over(t, c, SP_ERR_DENIED);
    return true;
}

static bool receives(const struct sp_tcp_conn *c) {
    return c->state == TCP_ESTABLISHED || c->state == TCP_FIN_WAIT_1 || c->state == TCP_FIN_WAIT_2;
}

static void text(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c, const struct tcp_seg *s) {
    if (!receives(c)) {
        if (s->len > 0 || (s->flags & TCP_FIN) != 0) /* again: our acknowledgement was lost */
            tcp_ack_at_once(t, c);
        return;
    }
    if (unread(t, now, c, s))
        return;
    if ((s->flags & TCP_FIN) != 0 && !c->fin_known && seq_le(s->seq + s->len, c->rcv_edge)) {
        c->fin_known = true;
        c->fin_at = s->seq + s->len;
    }
    if (s->len > 0)
        tcp_receive(t, now, c, s);
    tcp_fin_check(t, now, c);
}

void tcp_conn_input(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c, const struct tcp_seg *segment) {
    struct tcp_seg s = *segment;
    if (c->state == TCP_SYN_SENT) {
        syn_sent(t, now, c, &s);
        return;
    }
    if (too_old(t, now, c, &s))
        return;
    if (!acceptable(c, &s) && (s.flags & TCP_SYN) == 0) {
        refuse(t, now, c, &s);
        return;
    }
    if ((s.flags & TCP_RST) != 0) {
        reset(t, now, c, &s);
        return;
    }
    if ((s.flags & TCP_SYN) != 0 && !syn_again(t, now, c, &s))
        return;
    if ((s.flags & TCP_ACK) == 0) {
        tcp_dropped(t, SP_TCP_DROP_FORM);
        return;
    }
    if (c->state == TCP_SYN_RECEIVED && !syn_received(t, now, c, &s))
        return;
    c->heard_at = now;
    c->keeps = 0;
    keep_timestamp(c, now, &s);
    if (!tcp_ack_input(t, now, c, &s)) {
        tcp_dropped(t, SP_TCP_DROP_ACK);
        challenge(t, now, c);
        return;
    }
    if (c->state < TCP_TIME_WAIT)
        text(t, now, c, &s);
    if (c->state < TCP_TIME_WAIT)
        tcp_timer_set(t, c);
}
