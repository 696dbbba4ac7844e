/* Round-trip times and what happens when time has passed. RFC 6298; RFC 8985 7; RFC 9293 3.8.3, 3.8.4, 3.8.6.1; RFC
 * 4821 7.7. */
#include "proto/net/tcp_impl.h"

#define LEAST_AGE (10 * SP_SEC) /* of the least round-trip time */
#define ORPHAN    (60 * SP_SEC) /* FIN-WAIT-2 of a connection that nobody reads */

void tcp_rtt_sample(struct sp_tcp_conn *c, sp_instant now, sp_duration rtt) {
    struct tcp_rtt *r = &c->rtt;
    if (rtt == 0)
        rtt = 1;
    if (rtt <= r->least || now - r->least_at > LEAST_AGE) {
        r->least = rtt;
        r->least_at = now;
    }
    if (!r->known) {
        r->known = true;
        r->srtt = rtt;
        r->var = rtt / 2;
    } else {
        sp_duration off = r->srtt > rtt ? r->srtt - rtt : rtt - r->srtt;
        r->var = (3 * r->var + off) / 4;
        r->srtt = (7 * r->srtt + rtt) / 8;
    }
    r->rto = r->srtt + (4 * r->var > SP_MS ? 4 * r->var : SP_MS);
    if (r->rto < TCP_RTO_MIN)
        r->rto = TCP_RTO_MIN;
}

sp_duration tcp_rto(const struct sp_tcp_conn *c) {
    sp_duration rto = c->rtt.rto;
    for (unsigned i = 0; i < c->backoff && rto < TCP_RTO_MAX; i++)
        rto *= 2;
    return rto < TCP_RTO_MAX ? rto : TCP_RTO_MAX;
}

/* ---- arming ---- */

/* When the silent peer is to be asked whether it lives. RFC 9293 3.8.4: not while it owes an acknowledgement, which is
 * its own timer's. */
static sp_instant keep_at(const struct sp_tcp *t, const struct sp_tcp_conn *c) {
    if (t->config.idle == SP_NEVER || !tcp_synchronized(c) || c->snd_una != c->snd_nxt)
        return SP_NEVER;
    return sp_instant_add(c->heard_at, t->config.idle + c->keeps * TCP_KEEP_EVERY);
}

void tcp_timer_set(struct sp_tcp *t, struct sp_tcp_conn *c) {
    sp_instant due = sp_instant_min(sp_instant_min(c->wait_at, c->ack_at), keep_at(t, c));
    if (c->state == TCP_FIN_WAIT_2 && c->reader_gone)
        due = sp_instant_min(due, c->progress_at + ORPHAN);
    /* One that is due too early costs less than moving it at every segment. */
    if (!c->timer.set || due < c->timer.due)
        sp_timer_set(&t->timers, &c->timer, due);
}

/* RFC 8985 7.2; and, as RFC 9002 6.2 has it, in a recovery as well: when a retransmission or all that followed it is lost, nothing
 * else would tell before the RTO. */
static bool tail_probe(const struct sp_tcp_conn *c) {
    return c->sack && c->rtt.known && c->lost == 0 && !c->rack.tail_probe && c->backoff == 0;
}

static sp_duration tail_wait(const struct sp_tcp_conn *c) {
    bool late = c->pipe <= c->mss && c->sacked == 0; /* a peer that misses something does not wait before it tells */
    sp_duration wait = 2 * c->rtt.srtt + (late ? TCP_ACK_DELAY_PEER : 0), rto = tcp_rto(c);
    return wait < rto ? wait : rto;
}

static void arm(struct sp_tcp_conn *c, enum tcp_wait wait, sp_instant at) {
    c->wait = wait;
    c->wait_at = at;
}

void tcp_rearm(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c, sp_instant reorder) {
    if (c->state == TCP_OVER)
        return;
    if (c->state <= TCP_SYN_RECEIVED)
        arm(c, WAIT_RTO, now + tcp_rto(c));
    else if (c->snd_una != c->snd_nxt && reorder != SP_NEVER)
        arm(c, WAIT_REORDER, reorder);
    else if (c->snd_una != c->snd_nxt && tail_probe(c))
        arm(c, WAIT_TAIL, now + tail_wait(c));
    else if (c->snd_una != c->snd_nxt)
        arm(c, WAIT_RTO, now + tcp_rto(c));
    else if (tcp_unsent(c) > 0 || (c->fin_wanted && !c->fin_sent))
        arm(c, WAIT_PERSIST, now + tcp_rto(c));
    else
        arm(c, WAIT_NONE, SP_NEVER);
    tcp_timer_set(t, c);
}

/* ---- firing ---- */

static bool given_up(const struct sp_tcp *t, sp_instant now, const struct sp_tcp_conn *c) {
    return now >= sp_instant_add(c->progress_at, t->config.give_up);
}

static void syn_due(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c) {
    if (c->backoff >= TCP_SYN_TRIES || given_up(t, now, c)) {
        tcp_conn_over(t, c, SP_ERR_TIME);
        return;
    }
    c->backoff++;
    c->syn_now = true;
    t->counts.timeouts++;
    tcp_wake(t, c);
    arm(c, WAIT_RTO, now + tcp_rto(c));
}

/* Full segments vanish again and again: the path may carry smaller ones only, and its messages be lost. Larger ones are tried soon,
 * as it may have been chance. RFC 4821 7.7. */
static void black_hole(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c) {
    uint32_t mss = c->backoff == 2 ? TCP_MSS_SMALL : TCP_MSS_LEAST;
    bool due = c->backoff == 2 || (c->backoff == 4 && c->family == 4);
    if (!due || c->mss <= mss || c->sent == NULL || c->sent->len <= mss)
        return;
    tcp_size_lower(now, c, mss, 5 * SP_SEC);
    t->counts.black_holes++;
}

/* RFC 6298 5.4 to 5.6; RFC 8985 6.3; RFC 2018 8: what was sacked may have been thrown away since. */
static void retransmission_due(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c) {
    bool reneged = c->sent != NULL && c->sent->sacked;
    if (given_up(t, now, c)) {
        tcp_conn_over(t, c, SP_ERR_TIME);
        return;
    }
    t->counts.timeouts++;
    tcp_cubic_timeout(c);
    for (struct tcp_sent *r = c->sent; r != NULL; r = r->next)
        if (!r->lost && (!r->sacked || reneged)) {
            (void)tcp_size_lost(now, c, r);
            tcp_sent_lose(c, r);
        }
    c->backoff++;
    c->recovering = true;
    c->recover = c->snd_nxt;
    c->rack.tail_probe = false;
    black_hole(t, now, c);
    arm(c, WAIT_RTO, now + tcp_rto(c));
    tcp_wake(t, c);
}

static void probe(struct sp_tcp *t, struct sp_tcp_conn *c, enum tcp_probe what) {
    c->probe = (uint8_t)what;
    tcp_wake(t, c);
}

/* RFC 9293 3.8.6.1: as long as the peer answers, a shut window is no reason to give up; but nobody waits for orphans.
 */
static void persist(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c) {
    if (now >= sp_instant_add(c->reader_gone ? c->progress_at : c->heard_at, t->config.give_up)) {
        tcp_conn_over(t, c, SP_ERR_TIME);
        return;
    }
    c->backoff += c->backoff < 8;
    probe(t, c, PROBE_PEER);
    arm(c, WAIT_PERSIST, now + tcp_rto(c));
}

static void waited(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c) {
    enum tcp_wait wait = c->wait;
    arm(c, WAIT_NONE, SP_NEVER);
    switch (wait) {
    case WAIT_NONE:
        break;
    case WAIT_REORDER:
        tcp_rearm(t, now, c, tcp_rack_detect(t, now, c));
        break;
    case WAIT_TAIL:
        t->counts.tail_probes++;
        probe(t, c, PROBE_TAIL);
        arm(c, WAIT_RTO, now + tcp_rto(c));
        break;
    case WAIT_RTO:
        if (c->state <= TCP_SYN_RECEIVED)
            syn_due(t, now, c);
        else
            retransmission_due(t, now, c);
        break;
    case WAIT_PERSIST:
        persist(t, now, c);
        break;
    }
}

static void keepalive(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c) {
    if (now < keep_at(t, c))
        return;
    if (c->keeps++ >= TCP_KEEP_TRIES)
        tcp_conn_over(t, c, SP_ERR_TIME);
    else
        probe(t, c, PROBE_PEER);
}

void tcp_conn_expire(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c) {
    if (now >= c->ack_at) {
        c->ack_at = SP_NEVER;
        tcp_ack_at_once(t, c);
    }
    if (now >= c->wait_at)
        waited(t, now, c);
    if (c->state < TCP_TIME_WAIT)
        keepalive(t, now, c);
    if (c->state == TCP_FIN_WAIT_2 && c->reader_gone && now >= c->progress_at + ORPHAN)
        tcp_conn_over(t, c, SP_ERR_TIME);
    if (c->state < TCP_TIME_WAIT)
        tcp_timer_set(t, c);
}
