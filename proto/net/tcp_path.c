/* How large segments may be: what the link and others on the way say (RFC 8201, 5927), and what is found out (RFC 4821:
 * larger ones are tried, one at a time). */
#include "proto/net/tcp_impl.h"

#define RAISE_AGAIN (600 * SP_SEC) /* RFC 8201 4, RFC 4821 7.7 */
#define RAISE_NEXT  SP_SEC
#define NEAR        32 /* bytes, to be won, for which no more is tried */

/* ---- larger ones ---- */

void tcp_size_lower(sp_instant now, struct sp_tcp_conn *c, uint32_t mss, sp_duration wait) {
    c->mss = (uint16_t)mss;
    c->size_probe = c->size_failed = 0;
    c->size_at = sp_instant_add(now, wait);
}

uint32_t tcp_size_probe(sp_instant now, struct sp_tcp_conn *c, uint32_t unsent) {
    uint32_t out = c->snd_nxt - c->snd_una;
    if (c->mss >= c->mss_most || now < c->size_at || c->size_probe != 0 || c->recovering || c->lost > 0)
        return 0;
    uint32_t size = c->size_failed == 0 ? c->mss_most : (c->mss + c->size_failed) / 2u;
    if (unsent < size || out + size > c->snd_wnd || c->pipe + size > c->cubic.window)
        return 0;
    c->size_probe = (uint16_t)size;
    c->size_probe_seq = c->snd_nxt;
    return size;
}

/* Between what arrives and what does not: half way, until little is to be won. */
static void search_on(sp_instant now, struct sp_tcp_conn *c, sp_duration wait) {
    c->size_probe = 0;
    c->size_at = now + wait;
    if (c->size_failed == 0 || c->size_failed > c->mss + NEAR)
        return;
    c->size_failed = 0;
    c->size_at = now + RAISE_AGAIN;
}

void tcp_size_delivered(sp_instant now, struct sp_tcp_conn *c, const struct tcp_sent *r) {
    if (c->size_probe == 0 || r->seq != c->size_probe_seq)
        return;
    if (r->len == c->size_probe && !r->again)
        c->mss = c->size_probe;
    search_on(now, c, 0);
}

bool tcp_size_lost(sp_instant now, struct sp_tcp_conn *c, const struct tcp_sent *r) {
    if (c->size_probe == 0 || r->seq != c->size_probe_seq)
        return false;
    c->size_failed = c->size_probe;
    search_on(now, c, RAISE_NEXT);
    return true;
}

/* ---- what others say ---- */

void sp_tcp_link(struct sp_tcp *t, const struct sp_tcp_link *link) {
    struct sp_table_cursor cursor = {0};
    t->link = *link;
    for (struct sp_link *l; (l = sp_table_each(&t->conns, &cursor)) != NULL;) {
        struct sp_tcp_conn *c = SP_CONTAINER(l, struct sp_tcp_conn, link);
        uint16_t most = (uint16_t)(tcp_mss_own(t, c->family) - (c->ts ? TCP_TS_LEN : 0));
        if (c->mss > most)
            c->mss = c->mss_most = most;
    }
}

bool sp_tcp_unreachable(struct sp_tcp *t, const struct sp_tcp_packet *quoted) {
    struct sp_rd r = sp_rd_init(quoted->data, quoted->len);
    struct tcp_tuple tuple = {.family = quoted->family};
    tuple.lport = sp_rd_u16(&r);
    tuple.rport = sp_rd_u16(&r);
    uint32_t seq = sp_rd_u32(&r);
    memcpy(tuple.local, quoted->src, 16);
    memcpy(tuple.remote, quoted->dst, 16);
    struct sp_tcp_conn *c = r.err == SP_OK ? tcp_find(t, &tuple) : NULL;
    tcp_tidy(t);
    if (c == NULL || c->state != TCP_SYN_SENT || seq != c->iss)
        return false;
    tcp_conn_over(t, c, SP_ERR_DENIED);
    return true;
}

void sp_tcp_path_mtu(struct sp_tcp *t, sp_instant now, const struct sp_tcp_packet *quoted, uint16_t mtu) {
    struct sp_rd r = sp_rd_init(quoted->data, quoted->len);
    struct tcp_tuple tuple = {.family = quoted->family};
    tuple.lport = sp_rd_u16(&r);
    tuple.rport = sp_rd_u16(&r);
    uint32_t seq = sp_rd_u32(&r), heads = (quoted->family == 4 ? 40u : 60u) + TCP_TS_LEN;
    memcpy(tuple.local, quoted->src, 16);
    memcpy(tuple.remote, quoted->dst, 16);
    struct sp_tcp_conn *c = r.err == SP_OK ? tcp_find(t, &tuple) : NULL;
    if (c == NULL || !tcp_synchronized(c) || seq_lt(seq, c->snd_una) || !seq_lt(seq, c->snd_nxt) ||
        mtu < (quoted->family == 4 ? heads + TCP_MSS_MIN : 1280) /* RFC 8201 4 */ || mtu - heads >= c->mss) {
        tcp_dropped(t, SP_TCP_DROP_PMTU);
        return;
    }
    tcp_size_lower(now, c, mtu - heads, RAISE_AGAIN);
    /* What is under way was too large: it has not been lost by congestion. */
    for (struct tcp_sent *s = c->sent; s != NULL; s = s->next)
        if (!s->lost && !s->sacked && s->len > c->mss)
            tcp_sent_lose(c, s);
    tcp_wake(t, c);
    tcp_rearm(t, now, c, SP_NEVER);
}
