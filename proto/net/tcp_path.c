/* What the link and others on the way say about segments. */
#include "proto/net/tcp_impl.h"

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
