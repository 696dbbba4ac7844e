/* Counters as U64 items. A key is a Prometheus sample without the program's prefix: name_total{label="value"}. */
#include "signpostd/core/ctl.h"
#include "signpostd/core/overlay.h"

static void sample(struct sp_ctl *c, const char *name, const char *label, const char *value, uint64_t v) {
    char key[SP_OP_KEY_MAX + 1];
    const char *const pieces[] = {name, "{", label, "=\"", value, "\"}"};
    struct sp_wr wr = sp_wr_init(key, SP_OP_KEY_MAX);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        sp_wr_bytes(&wr, pieces[i], strlen(pieces[i]));
    *wr.pos = 0;
    if (wr.err == SP_OK)
        sp_op_u64(&c->wr, key, v);
}

static const char *rcode_text(unsigned rcode, char number[24]) {
    static const char *const names[] = {"NOERROR",  "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED",
                                        "YXDOMAIN", "YXRRSET", "NXRRSET",  "NOTAUTH",  "NOTZONE"};
    if (rcode < sizeof names / sizeof *names)
        return names[rcode];
    if (rcode == SP_RCODE_BADVERS)
        return "BADVERS";
    if (rcode == SP_RCODE_BADCOOKIE)
        return "BADCOOKIE";
    sp_ctl_decimal(number, rcode);
    return number;
}

static void answers(struct sp_ctl *c) {
    const struct sp_answer_counts *n = &c->s->scratch->counts;
    char number[24], type[16];
    sample(c, "queries_by_transport_total", "transport", "udp", n->queries[SP_VIA_UDP]);
    sample(c, "queries_by_transport_total", "transport", "tcp", n->queries[SP_VIA_TCP]);
    for (uint16_t t = 1; t < SP_QTYPE_SLOTS; t++)
        if (n->by_type[t] != 0 || t == SP_TYPE_A || t == SP_TYPE_AAAA) {
            sp_type_to_text(t, type);
            sample(c, "queries_by_type_total", "type", type, n->by_type[t]);
        }
    sample(c, "queries_by_type_total", "type", "SVCB", n->type_svcb);
    sample(c, "queries_by_type_total", "type", "HTTPS", n->type_https);
    sample(c, "queries_by_type_total", "type", "ANY", n->type_any);
    sample(c, "queries_by_type_total", "type", "CAA", n->type_caa);
    sample(c, "queries_by_type_total", "type", "other", n->type_other);
    for (unsigned r = 0; r < 32; r++)
        if (n->by_rcode[r] != 0 || r <= SP_RCODE_REFUSED)
            sample(c, "answers_by_rcode_total", "rcode", rcode_text(r, number), n->by_rcode[r]);
    sp_op_u64(&c->wr, "queries_edns_total", n->queries_edns);
    sp_op_u64(&c->wr, "queries_do_total", n->queries_do);
    sp_op_u64(&c->wr, "answers_truncated_total", n->truncated);
    sample(c, "dropped_total", "reason", "short", n->dropped_short);
    sample(c, "dropped_total", "reason", "response", n->dropped_response);
    sample(c, "dropped_total", "reason", "port0", c->s->dropped_port0);
    sample(c, "dropped_total", "reason", "segments", c->s->dropped_segments);
    sample(c, "cookies_total", "state", "good", n->cookies_good);
    sample(c, "cookies_total", "state", "bad", n->cookies_bad);
    sample(c, "signatures_total", "state", "made", n->signatures_made);
    sample(c, "signatures_total", "state", "reused", n->signatures_reused);
    sample(c, "signatures_total", "state", "refused", n->signatures_refused);
    sp_op_u64(&c->wr, "queries_before_ready_total", c->s->not_ready);
}

static void updates(struct sp_ctl *c) {
    const struct sp_update_counts *n = sp_updater_counts(c->s->updater);
    char number[24];
    sp_op_u64(&c->wr, "updates_received_total", n->received);
    sp_op_u64(&c->wr, "updates_accepted_total", n->accepted);
    sp_op_u64(&c->wr, "updates_unchanged_total", n->unchanged);
    sp_op_u64(&c->wr, "updates_repeated_total", n->repeated);
    for (unsigned i = 1; i < SP_REFUSED_COUNT; i++)
        if (n->by_reason[i] != 0)
            sample(c, "updates_refused_total", "reason", sp_refusal_name((enum sp_refusal)i), n->by_reason[i]);
    sample(c, "updates_refused_total", "reason", "overflow", c->s->overflow);
    for (unsigned r = 0; r < 32; r++)
        if (n->by_rcode[r] != 0)
            sample(c, "updates_by_rcode_total", "rcode", rcode_text(r, number), n->by_rcode[r]);
    sample(c, "signed_messages_total", "sig0", "good", n->sig0_ok);
    sample(c, "signed_messages_total", "sig0", "failed", n->sig0_failed);
    sample(c, "signed_messages_total", "tsig", "good", n->tsig_ok);
    sample(c, "signed_messages_total", "tsig", "failed", n->tsig_failed);
    sp_op_u64(&c->wr, "verifications_total", n->verifications);
    sp_op_u64(&c->wr, "leases", n->leases);
    sp_op_u64(&c->wr, "lease_refreshes_total", n->lease_refreshes);
    sp_op_u64(&c->wr, "lease_expiries_total", n->lease_expiries);
    sp_op_u64(&c->wr, "joins_total", n->joins);
    sp_op_u64(&c->wr, "revocations_total", n->revocations);
    sp_op_u64(&c->wr, "memory_full_total", n->memory_full + c->s->commit_full);
    /* Cumulative, as Prometheus has histograms. */
    uint64_t sum = 0;
    for (unsigned i = 0; i < 16; i++) {
        sum += n->latency_us_bucket[i];
        sp_ctl_decimal(number, UINT64_C(1) << (i + 4));
        sample(c, "update_latency_us_bucket", "le", i < 15 ? number : "+Inf", sum);
    }
    sp_op_u64(&c->wr, "update_latency_us_sum", n->latency_us_sum);
    sp_op_u64(&c->wr, "update_latency_us_count", sum);
}

static void transports(struct sp_ctl *c) {
    static const char *const reasons[SP_STREAM_REASONS] = {
        [SP_STREAM_BY_PEER] = "peer",        [SP_STREAM_IDLE] = "idle",       [SP_STREAM_FIRST] = "no_message",
        [SP_STREAM_STALLED] = "stalled",     [SP_STREAM_EVICTED] = "evicted", [SP_STREAM_REFUSED] = "refused",
        [SP_STREAM_EMPTY_MESSAGE] = "empty", [SP_STREAM_FLOODED] = "flooded", [SP_STREAM_MEMORY] = "memory",
        [SP_STREAM_TRANSFER] = "transfer",
    };
    const struct sp_server *s = c->s;
    sp_op_u64(&c->wr, "streams", s->streams.table.count);
    sp_op_u64(&c->wr, "streams_opened_total", s->streams.opened);
    for (unsigned i = 0; i < SP_STREAM_REASONS; i++)
        sample(c, "streams_ended_total", "reason", reasons[i], s->streams.ended[i]);
    sp_op_u64(&c->wr, "transfers_total", s->transfers);
    sp_op_u64(&c->wr, "transfers_lost_total", s->transfers_lost);
    sp_op_u64(&c->wr, "control_requests_total", s->controls);
}

static void sessions(struct sp_ctl *c) {
    const struct sp_overlay *o = c->s->overlay;
    const struct sp_overlay_counts *n = &o->counts;
    sp_op_u64(&c->wr, "sessions", o->sessions.count);
    sp_op_u64(&c->wr, "sessions_begun_total", n->begun);
    sample(c, "sessions_ended_total", "reason", "away", n->away);
    sample(c, "sessions_ended_total", "reason", "evicted", n->evicted);
    sample(c, "sessions_ended_total", "reason", "revoked", n->revoked);
    sample(c, "sessions_ended_total", "reason", "other", n->ended - n->away - n->evicted - n->revoked);
    sp_op_u64(&c->wr, "operator_sessions", o->remote_count);
    sp_op_u64(&c->wr, "operator_sessions_begun_total", n->remote_begun);
    sp_op_u64(&c->wr, "operator_requests_total", n->remote_requests);
    sp_op_u64(&c->wr, "sessions_roamed_total", n->roamed);
    sp_op_u64(&c->wr, "sessions_contended_total", n->contended);
    sample(c, "session_requests_total", "kind", "profile", n->profiles);
    sample(c, "session_requests_total", "kind", "connect", n->connects);
    sample(c, "session_requests_total", "kind", "peers", n->pages);
    sample(c, "session_requests_total", "kind", "query", n->queries);
    sample(c, "session_requests_total", "kind", "probe", n->probes);
    sample(c, "session_requests_total", "kind", "echo", n->echoes);
    sample(c, "session_requests_total", "kind", "unreachable", n->unreachable);
    sp_op_u64(&c->wr, "plans_total", n->plans);
    sp_op_u64(&c->wr, "pushes_total", n->pushes);
    sp_op_u64(&c->wr, "pushes_answered_total", n->acks);
    sp_op_u64(&c->wr, "stun_answers_total", n->stun);
#define X(name) sample(c, "overlay_dropped_total", "reason", #name, n->dropped_##name);
    SP_OVERLAY_DROPS(X)
#undef X
}

static void handshakes(struct sp_ctl *c) {
    const struct sp_overlay *o = c->s->overlay;
    struct sp_wg_counts sum = {0};
    for (uint32_t i = 0; i < SP_REALMS; i++) {
        const struct sp_wg_counts *n = o->realms[i] != NULL ? sp_wg_counts(o->realms[i]->wg) : NULL;
        if (n == NULL)
            continue;
        sum.responses += n->responses;
        sum.handshakes += n->handshakes;
        sum.cookies_sent += n->cookies_sent;
        sum.dropped_mac2 += n->dropped_mac2;
        sum.dropped_rate += n->dropped_rate;
        sum.dropped_auth += n->dropped_auth;
        sum.dropped_replay += n->dropped_replay;
        sum.dropped_timestamp += n->dropped_timestamp;
        sum.dropped_expired += n->dropped_expired;
    }
    sp_op_u64(&c->wr, "handshakes_answered_total", sum.responses);
    sp_op_u64(&c->wr, "handshakes_completed_total", sum.handshakes);
    sp_op_u64(&c->wr, "handshake_cookies_total", sum.cookies_sent);
    sample(c, "wireguard_dropped_total", "reason", "mac2", sum.dropped_mac2);
    sample(c, "wireguard_dropped_total", "reason", "rate", sum.dropped_rate);
    sample(c, "wireguard_dropped_total", "reason", "auth", sum.dropped_auth);
    sample(c, "wireguard_dropped_total", "reason", "replay", sum.dropped_replay);
    sample(c, "wireguard_dropped_total", "reason", "timestamp", sum.dropped_timestamp);
    sample(c, "wireguard_dropped_total", "reason", "expired", sum.dropped_expired);
}

static void relay(struct sp_ctl *c) {
    const struct sp_relay_counts *n = sp_relay_counts(c->s->overlay->relay);
    sp_op_u64(&c->wr, "relay_channels", n->channels);
    sp_op_u64(&c->wr, "relay_channels_opened_total", n->opened);
    sp_op_u64(&c->wr, "relay_frames_total", n->frames);
    sp_op_u64(&c->wr, "relay_bytes_total", n->bytes);
    sample(c, "relay_dropped_total", "reason", "index", n->dropped_index);
    sample(c, "relay_dropped_total", "reason", "source", n->dropped_source);
    sample(c, "relay_dropped_total", "reason", "consent", n->dropped_consent);
    sample(c, "relay_dropped_total", "reason", "budget", n->dropped_budget);
    sample(c, "relay_dropped_total", "reason", "full", n->refused_full);
}

static void storage(struct sp_ctl *c) {
    const struct sp_server *s = c->s;
    size_t zones = 0, names = 0;
    for (struct sp_zone *z = NULL; (z = sp_zones_next(s->zones, z)) != NULL; zones++)
        names += sp_zone_names(z);
    sp_op_u64(&c->wr, "zones", zones);
    sp_op_u64(&c->wr, "names", names);
    sp_op_u64(&c->wr, "updates_in_flight", s->updates_in_flight);
    sp_op_u64(&c->wr, "memory_used_bytes", s->mem.used);
    sp_op_u64(&c->wr, "memory_granted_bytes", s->mem.granted);
    sp_op_u64(&c->wr, "uptime_seconds", (s->now - s->started) / SP_SEC);
    sp_op_u64(&c->wr, "storage_failed", s->storage == SP_STORAGE_FAILED);
    sp_op_u64(&c->wr, "storage_full", s->disk_full);
    struct sp_log_stats stats;
    if (s->log == NULL)
        return;
    sp_log_stats(s->log, &stats);
    sp_op_u64(&c->wr, "log_records_total", stats.records);
    sp_op_u64(&c->wr, "log_flushes_total", stats.flushes);
    sp_op_u64(&c->wr, "log_snapshots_total", stats.snapshots);
    sp_op_u64(&c->wr, "log_journal_blocks", stats.journal_blocks);
    sp_op_u64(&c->wr, "log_journal_blocks_used", stats.journal_blocks_used);
}

static void host(struct sp_ctl *c) {
    const struct sp_server *s = c->s;
    for (size_t i = 0; i < s->host_count_n; i++) {
        const struct sp_count *n = &s->host_counts[i];
        if (n->label != NULL)
            sample(c, n->name, n->label, n->value, *n->count);
        else
            sp_op_u64(&c->wr, n->name, *n->count);
    }
}

void sp_server_counts(struct sp_server *s, const struct sp_count *counts, size_t n) {
    s->host_counts = counts;
    s->host_count_n = n;
}

void sp_ctl_metrics(struct sp_ctl *c) {
    answers(c);
    updates(c);
    transports(c);
    sessions(c);
    handshakes(c);
    relay(c);
    storage(c);
    host(c);
}
