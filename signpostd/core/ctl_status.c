/* Status, the log's recent records, stop. */
#include "signpostd/core/ctl.h"
#include "signpostd/core/overlay.h"

static const char *storage_text(const struct sp_server *s) {
    switch (s->storage) {
    case SP_STORAGE_MEMORY:
        return "memory only";
    case SP_STORAGE_OPENING:
        return "replaying";
    case SP_STORAGE_FAILED:
        return "failed";
    case SP_STORAGE_DURABLE:
        return s->disk_full ? "full" : "durable";
    }
    return "";
}

static void write_log_stats(struct sp_ctl *c) {
    struct sp_log_stats stats;
    if (c->s->log == NULL)
        return;
    sp_log_stats(c->s->log, &stats);
    sp_op_begin(&c->wr, SP_OP_RECORD, "log");
    sp_op_u64(&c->wr, "blocks", stats.blocks);
    sp_op_u64(&c->wr, "journal_blocks", stats.journal_blocks);
    sp_op_u64(&c->wr, "journal_blocks_used", stats.journal_blocks_used);
    sp_op_u64(&c->wr, "records", stats.records);
    sp_op_u64(&c->wr, "sequence", c->s->last_seq);
    sp_op_u64(&c->wr, "durable", sp_log_durable(c->s->log));
    sp_op_end(&c->wr);
}

void sp_ctl_status(struct sp_ctl *c) {
    struct sp_server *s = c->s;
    size_t names = 0, zones = 0;
    for (struct sp_zone *z = NULL; (z = sp_zones_next(s->zones, z)) != NULL; zones++)
        names += sp_zone_names(z);
    sp_op_bool(&c->wr, "ready", s->ready);
    sp_op_text(&c->wr, "storage", storage_text(s));
    if (s->storage == SP_STORAGE_FAILED)
        sp_op_text(&c->wr, "problem",
                   "the disk failed: updates are refused, zones are answered as they were last stored");
    else if (s->disk_full)
        sp_op_text(&c->wr, "problem", "the log is full: only what removes something is taken; remove names, devices or zones");
    sp_op_text(&c->wr, "trust", "hosted");
    sp_op_u64(&c->wr, "uptime", (s->now - s->started) / SP_SEC);
    sp_op_u64(&c->wr, "zones", zones);
    sp_op_u64(&c->wr, "names", names);
    sp_op_u64(&c->wr, "operators", s->cfg.operator_count);
    if (sp_zones_next(s->zones, NULL) != NULL)
        sp_ctl_signpost_key(c, sp_zones_next(s->zones, NULL)); /* any of them will do */
    sp_op_u64(&c->wr, "streams", s->streams.table.count);
    sp_op_u64(&c->wr, "sessions", s->overlay->sessions.count);
    sp_op_u64(&c->wr, "channels", sp_relay_counts(s->overlay->relay)->channels);
    sp_op_u64(&c->wr, "relayed_bytes", sp_relay_counts(s->overlay->relay)->bytes);
    sp_op_u64(&c->wr, "updates_in_flight", s->updates_in_flight);
    sp_op_u64(&c->wr, "memory_used", s->mem.used);
    sp_op_u64(&c->wr, "memory_granted", s->mem.granted);
    sp_op_u64(&c->wr, "memory_limit", s->mem.limit);
    write_log_stats(c);
}

static const char *kind_text(uint16_t kind) {
    switch ((enum sp_record_kind)kind) {
    case SP_REC_ZONE:
        return "zone";
    case SP_REC_ZONE_GONE:
        return "zone gone";
    case SP_REC_CHANGE:
        return "change";
    case SP_REC_KEY:
        return "key";
    case SP_REC_KEY_GONE:
        return "key gone";
    case SP_REC_INVITE:
        return "invite";
    case SP_REC_INVITE_GONE:
        return "invite gone";
    }
    return "other";
}

void sp_ctl_log(struct sp_ctl *c) {
    struct sp_server *s = c->s;
    struct sp_zone *z;
    uint8_t chain[SP_LOG_CHAIN];
    if (!sp_ctl_arg_zone(c, &z))
        return;
    sp_ctl_name(&c->wr, "zone", sp_zone_apex(z));
    sp_op_text(&c->wr, "storage", storage_text(s));
    if (s->log != NULL && sp_log_chain(s->log, sp_zone_id(z), chain))
        sp_ctl_hex(&c->wr, "chain", chain, sizeof chain);
    sp_op_u64(&c->wr, "sequence", s->last_seq);
    sp_op_u64(&c->wr, "durable", s->log != NULL ? sp_log_durable(s->log) : s->last_seq);
    sp_op_begin(&c->wr, SP_OP_LIST, "recent");
    uint64_t first = s->recent_count > SP_RECENT ? s->recent_count - SP_RECENT : 0;
    for (uint64_t i = first; i < s->recent_count; i++) {
        const struct sp_recent *r = &s->recent[i % SP_RECENT];
        if (r->zone != sp_zone_id(z))
            continue;
        sp_op_begin(&c->wr, SP_OP_RECORD, "");
        sp_op_u64(&c->wr, "sequence", r->seq);
        sp_op_u64(&c->wr, "time", r->wall_s);
        sp_op_text(&c->wr, "kind", kind_text(r->kind));
        sp_op_u64(&c->wr, "serial", r->serial);
        sp_op_u64(&c->wr, "rrsets", r->rrsets);
        sp_op_end(&c->wr);
    }
    sp_op_end(&c->wr);
}

void sp_ctl_stop(struct sp_ctl *c) {
    sp_server_stop(c->s, c->s->now);
    sp_op_text(&c->wr, "state", "stopping");
}
