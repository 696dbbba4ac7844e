/* Records of what was sent and is not acknowledged: under way, sacked, or lost. */
#include "proto/net/tcp_impl.h"

static struct tcp_sent *take(struct sp_tcp *t, struct sp_tcp_conn *c) {
    struct tcp_sent *r = tcp_take(t, &t->sent);
    if (r == NULL)
        return NULL;
    memset(r, 0, sizeof *r);
    c->records++;
    return r;
}

static void link_after(struct sp_tcp_conn *c, struct tcp_sent *before, struct tcp_sent *r) {
    r->prev = before;
    r->next = before != NULL ? before->next : c->sent;
    if (r->prev != NULL)
        r->prev->next = r;
    else
        c->sent = r;
    if (r->next != NULL)
        r->next->prev = r;
    else
        c->sent_last = r;
}

bool tcp_sent_new(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c, uint32_t len) {
    struct tcp_sent *r = take(t, c);
    if (r == NULL)
        return false;
    r->seq = c->snd_nxt;
    r->len = len;
    r->at = now;
    link_after(c, c->sent_last, r);
    sp_ring_append(&c->times, &r->time);
    c->pipe += len;
    return true;
}

/* Before this one none is lost. */
static void lost_hint(struct sp_tcp_conn *c, struct tcp_sent *r) {
    if (c->lost_from == NULL || seq_lt(r->seq, c->lost_from->seq))
        c->lost_from = r;
}

struct tcp_sent *tcp_sent_first_lost(struct sp_tcp_conn *c) {
    struct tcp_sent *r = c->lost_from;
    while (r != NULL && !r->lost)
        r = r->next;
    return c->lost_from = r;
}

void tcp_sent_again(struct sp_tcp_conn *c, struct tcp_sent *r, sp_instant now) {
    if (r->lost) {
        c->lost -= r->len;
        c->pipe += r->len;
    } else {
        sp_ring_remove(&r->time);
    }
    r->lost = false;
    r->again = true;
    r->at = now;
    sp_ring_append(&c->times, &r->time);
}

bool tcp_sent_split(struct sp_tcp *t, struct sp_tcp_conn *c, struct tcp_sent *r, uint32_t len) {
    struct tcp_sent *rest;
    if (len >= r->len)
        return true;
    if (len == 0 || (rest = take(t, c)) == NULL)
        return false;
    *rest = *r;
    rest->seq += len;
    rest->len -= len;
    r->len = len;
    link_after(c, r, rest);
    sp_ring_init(&rest->time);
    if (!r->lost && !r->sacked)
        sp_ring_append(r->time.next, &rest->time); /* behind r, which was sent with it */
    return true;
}

/* It is under way no more. */
static void leave(struct sp_tcp_conn *c, struct tcp_sent *r) {
    if (r->lost)
        c->lost -= r->len;
    else if (r->sacked)
        c->sacked -= r->len;
    else {
        c->pipe -= r->len;
        sp_ring_remove(&r->time);
    }
    r->lost = r->sacked = false;
}

static void unlink_sent(struct sp_tcp *t, struct sp_tcp_conn *c, struct tcp_sent *r) {
    if (c->lost_from == r)
        c->lost_from = r->next;
    if (r->prev != NULL)
        r->prev->next = r->next;
    else
        c->sent = r->next;
    if (r->next != NULL)
        r->next->prev = r->prev;
    else
        c->sent_last = r->prev;
    c->records--;
    tcp_give(t, &t->sent, r);
}

void tcp_sent_lose(struct sp_tcp_conn *c, struct tcp_sent *r) {
    leave(c, r);
    r->lost = true;
    c->lost += r->len;
    lost_hint(c, r);
}

/* a and what follows it, which is sacked as well, become one: that many are sacked makes the list no longer. */
static struct tcp_sent *merge(struct sp_tcp *t, struct sp_tcp_conn *c, struct tcp_sent *a) {
    struct tcp_sent *b = a->next;
    a->len += b->len;
    a->again |= b->again;
    unlink_sent(t, c, b);
    return a;
}

struct tcp_sent *tcp_sent_sack(struct sp_tcp *t, struct sp_tcp_conn *c, struct tcp_sent *r) {
    leave(c, r);
    r->sacked = true;
    c->sacked += r->len;
    if (r->next != NULL && r->next->sacked)
        r = merge(t, c, r);
    if (r->prev != NULL && r->prev->sacked)
        r = merge(t, c, r->prev);
    return r;
}

void tcp_sent_free(struct sp_tcp *t, struct sp_tcp_conn *c, struct tcp_sent *r) {
    leave(c, r);
    unlink_sent(t, c, r);
}
