/* The counters of interface, TCP and streams as a list for metrics. */
#include "proto/direct/direct.h"

struct list {
    struct sp_count *ret;
    size_t n, max;
};

static void add(struct list *l, const char *name, const char *label, const char *value, const uint64_t *count) {
    if (l->n < l->max)
        l->ret[l->n++] = (struct sp_count){name, label, value, count};
}

static void interface(struct list *l, const struct sp_net_counts *c) {
    add(l, "network_frames_total", "direction", "in", &c->frames_in);
    add(l, "network_frames_total", "direction", "out", &c->frames_out);
    add(l, "network_datagrams_total", "direction", "in", &c->datagrams_in);
    add(l, "network_datagrams_total", "direction", "out", &c->datagrams_out);
    add(l, "network_echoes_total", NULL, NULL, &c->echoes);
    add(l, "network_errors_sent_total", NULL, NULL, &c->errors_sent);
    add(l, "network_reassembled_total", NULL, NULL, &c->reassembled);
    add(l, "network_fragments_sent_total", NULL, NULL, &c->fragments_out);
    add(l, "network_address_conflicts_total", NULL, NULL, &c->conflicts);
    add(l, "network_leases_total", NULL, NULL, &c->leases);
    for (unsigned i = 0; i < SP_NET_DROP_COUNT; i++)
        add(l, "network_dropped_total", "reason", sp_net_drop_name((enum sp_net_drop)i), &c->drops[i]);
}

static void segments(struct list *l, const struct sp_tcp_counts *c) {
    add(l, "tcp_segments_total", "direction", "in", &c->segments_in);
    add(l, "tcp_segments_total", "direction", "out", &c->segments_out);
    add(l, "tcp_bytes_total", "direction", "in", &c->bytes_in);
    add(l, "tcp_bytes_total", "direction", "out", &c->bytes_out);
    add(l, "tcp_connections_total", "how", "accepted", &c->accepted);
    add(l, "tcp_connections_total", "how", "connected", &c->connected);
    add(l, "tcp_connections_total", "how", "failed", &c->failed);
    add(l, "tcp_resets_total", "direction", "in", &c->resets_in);
    add(l, "tcp_resets_total", "direction", "out", &c->resets_out);
    add(l, "tcp_cookies_total", "state", "sent", &c->cookies_sent);
    add(l, "tcp_cookies_total", "state", "good", &c->cookies_taken);
    add(l, "tcp_retransmitted_total", NULL, NULL, &c->retransmitted);
    add(l, "tcp_timeouts_total", NULL, NULL, &c->timeouts);
    add(l, "tcp_challenges_total", NULL, NULL, &c->challenges);
    for (unsigned i = 0; i < SP_TCP_DROP_COUNT; i++)
        add(l, "tcp_dropped_total", "reason", sp_tcp_drop_name((enum sp_tcp_drop)i), &c->drops[i]);
}

size_t sp_direct_count_list(const struct sp_direct *d, struct sp_count *ret, size_t max) {
    struct list l = {ret, 0, max};
    interface(&l, sp_net_counts(d->net));
    if (d->streams.tcp == NULL)
        return l.n;
    segments(&l, sp_tcp_counts(d->streams.tcp));
    add(&l, "streams_cut_off_total", NULL, NULL, &d->streams.counts.cut_off);
    add(&l, "streams_refused_total", "reason", "core", &d->streams.counts.refused);
    add(&l, "streams_refused_total", "reason", "memory", &d->streams.counts.no_memory);
    return l.n;
}
