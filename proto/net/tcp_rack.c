/* Which segments are lost, by when others were delivered: RACK-TLP, RFC 8985. Section numbers below are its own. */
#include "proto/net/tcp_impl.h"

#define DUP_THRESHOLD 3
#define MULT_MAX      20
#define PERSIST       16 /* recoveries without a D-SACK until the window for reordering shrinks again: 6.2, step 4 */

/* 6.2, steps 1 to 3. */
void tcp_rack_delivered(struct sp_tcp_conn *c, const struct tcp_sent *r, sp_instant now, struct tcp_delivery *d) {
    struct tcp_rack *k = &c->rack;
    uint32_t end = r->seq + r->len;
    sp_duration rtt = now - r->at;
    d->bytes += r->len;
    tcp_size_delivered(now, c, r);
    /* So soon after it was sent again it must be the first copy that has arrived. */
    if (r->again && rtt < c->rtt.least)
        return;
    if (!r->again) {
        d->rtt_known = true;
        d->rtt = rtt;
        k->reordered |= seq_lt(end, k->fack);
    }
    k->fack = seq_max(k->fack, end);
    if (r->at > k->at || (r->at == k->at && seq_lt(k->end, end))) {
        k->at = r->at;
        k->end = end;
        k->rtt = rtt;
        d->advanced = true;
    }
}

void tcp_rack_dsack(struct sp_tcp_conn *c) {
    struct tcp_rack *k = &c->rack;
    if (k->round_set && seq_lt(c->snd_una, k->round_end))
        return;
    k->round_set = true;
    k->round_end = c->snd_nxt;
    k->mult += k->mult < MULT_MAX;
    k->persist = PERSIST;
}

/* 6.2, step 4. */
static sp_duration window(const struct sp_tcp_conn *c) {
    const struct tcp_rack *k = &c->rack;
    if (!k->reordered && (c->recovering || c->sacked >= DUP_THRESHOLD * (uint32_t)c->mss))
        return 0;
    sp_duration least = c->rtt.least == SP_NEVER ? 0 : c->rtt.least;
    sp_duration w = least / 4 * k->mult;
    return w < c->rtt.srtt ? w : c->rtt.srtt;
}

/* 6.2, step 5. */
sp_instant tcp_rack_detect(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c) {
    const struct tcp_rack *k = &c->rack;
    bool found = false;
    sp_instant again = SP_NEVER;
    if (k->at == 0)
        return SP_NEVER;
    sp_duration wait = k->rtt + window(c);
    while (!sp_ring_alone(&c->times)) {
        struct tcp_sent *r = SP_CONTAINER(c->times.next, struct tcp_sent, time);
        if (r->at > k->at || (r->at == k->at && seq_le(k->end, r->seq + r->len)))
            break;
        if (r->at + wait > now) {
            again = r->at + wait;
            break;
        }
        found |= !tcp_size_lost(now, c, r);
        tcp_sent_lose(c, r);
    }
    if (found)
        tcp_recovery_begin(t, now, c);
    else if (c->lost > 0)
        tcp_wake(t, c);
    return again;
}

void tcp_recovery_begin(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c) {
    (void)now;
    tcp_wake(t, c);
    if (c->recovering)
        return;
    c->recovering = c->fast = true;
    c->recover = c->snd_nxt;
    t->counts.recoveries++;
    tcp_cubic_lost(c);
}

/* 7.4. */
void tcp_tail_probe_acked(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c, uint32_t ack, bool dsack) {
    (void)t;
    (void)now;
    struct tcp_rack *k = &c->rack;
    if (!k->tail_probe || seq_lt(ack, k->tail_end))
        return;
    if (k->tail_again && !dsack) {
        if (!seq_lt(k->tail_end, ack))
            return;        /* perhaps the first copy's acknowledgement: the probe's own tells */
        if (!c->recovering)
            tcp_cubic_lost(c); /* the probe has mended a loss */
    }
    k->tail_probe = false;
}
