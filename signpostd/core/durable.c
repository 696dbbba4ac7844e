/* Driving the log: replay, append, group commit, release of what waits, failure, snapshots in slices. */
#include "signpostd/core/server_int.h"

#define REPLAY_SLICE    1000 /* records a call */
#define EXPIRE_SLICE    64   /* changes a call */
#define SNAPSHOT_SLICE  ((size_t)64 << 10)
#define SNAPSHOT_RETRY  (60 * SP_SEC)
#define SNAPSHOT_SHRUNK SP_SEC /* after a full log lost something */
#define KEPT_MAX        65536  /* transactions that pins hold back; beyond, the pins are lost */

sp_err sp_durable_open(struct sp_server *s) {
    sp_ring_init(&s->pending);
    sp_ring_init(&s->kept);
    sp_ring_init(&s->pins);
    if (s->cfg.disk_blocks == 0) {
        s->storage = SP_STORAGE_MEMORY;
        s->ready = true;
        return SP_OK;
    }
    s->storage = SP_STORAGE_OPENING;
    return sp_log_new(&s->log, &s->mem, s->cfg.disk_blocks, s->cfg.disk_format, s->cfg.limits.log_blocks,
                      &s->rng, &s->cfg.trace);
}

/* ---- what waits ---- */

struct sp_pending *sp_pending_new(struct sp_server *s, enum sp_pending_kind kind) {
    struct sp_pending *p = sp_mem_alloc(&s->mem, sizeof *p);
    if (p == NULL)
        return NULL;
    p->kind = kind;
    p->accepted = s->now;
    sp_ring_init(&p->ring);
    return p;
}

void sp_pending_free(struct sp_server *s, struct sp_pending *p) {
    sp_ring_remove(&p->ring);
    if (p->update != NULL) {
        size_t size = sizeof *p->update + p->update->len;
        sp_wipe(&p->update->up, sizeof p->update->up);
        sp_mem_free(&s->mem, p->update, size);
    }
    sp_mem_free(&s->mem, p->reply, p->reply_size);
    sp_mem_free(&s->mem, p, sizeof *p);
}

void sp_durable_wait(struct sp_server *s, struct sp_pending *p) {
    p->seq = s->last_seq;
    if (p->kind == SP_PENDING_UPDATE)
        s->updates_in_flight++;
    sp_ring_append(&s->pending, &p->ring);
}

void sp_durable_kept_retire(struct sp_server *s) {
    while (!sp_ring_alone(&s->kept)) {
        struct sp_pending *p = SP_CONTAINER(s->kept.next, struct sp_pending, ring);
        sp_txn_retire(p->txn);
        sp_pending_free(s, p);
    }
    s->kept_count = 0;
}

/* The transaction is durable (or there is no disk): p is done with, unless a pin still looks at what it replaced. */
static void retire(struct sp_server *s, struct sp_pending *p) {
    if (p->txn != NULL && sp_pins_hold(s, p->zone)) {
        sp_ring_remove(&p->ring);
        sp_ring_append(&s->kept, &p->ring);
        if (++s->kept_count > KEPT_MAX)
            sp_pins_lose(s, 0);
        return;
    }
    if (p->txn != NULL)
        sp_txn_retire(p->txn);
    sp_pending_free(s, p);
}

static void settle(struct sp_server *s, struct sp_ring *list, uint32_t zone) {
    for (struct sp_ring *r = list->next, *next; r != list; r = next) {
        struct sp_pending *p = SP_CONTAINER(r, struct sp_pending, ring);
        next = r->next;
        if (p->zone != zone || p->txn == NULL)
            continue;
        sp_txn_retire(p->txn);
        p->txn = NULL;
        if (list == &s->kept) {
            s->kept_count--;
            sp_pending_free(s, p);
        }
    }
}

void sp_durable_settle(struct sp_server *s, uint32_t zone) {
    sp_pins_lose(s, zone);
    settle(s, &s->pending, zone);
    settle(s, &s->kept, zone);
}

void sp_durable_free(struct sp_server *s) {
    while (!sp_ring_alone(&s->pending)) {
        struct sp_pending *p = SP_CONTAINER(s->pending.next, struct sp_pending, ring);
        if (p->txn != NULL)
            sp_txn_retire(p->txn);
        sp_pending_free(s, p);
    }
    sp_durable_kept_retire(s);
    sp_log_free(s->log);
}

/* ---- appending ---- */

sp_err sp_durable_state(const struct sp_server *s) {
    switch (s->storage) {
    case SP_STORAGE_OPENING:
        return SP_ERR_AGAIN;
    case SP_STORAGE_FAILED:
        return SP_ERR_IO;
    default:
        return SP_OK;
    }
}

sp_err sp_durable_append(struct sp_server *s, const struct sp_change *c) {
    SP_TRY(sp_durable_state(s));
    if (!c->shrinks && !sp_limits_left(&s->mem, SP_LEFT_FOR_CHANGES))
        return SP_ERR_FULL;
    uint64_t seq = s->last_seq + 1;
    if (s->log != NULL) {
        struct sp_piece body = {c->body, c->len};
        sp_err err = c->shrinks ? sp_log_append_last(s->log, c->zone, c->kind, &body, 1, &seq)
                                : sp_log_append(s->log, c->zone, c->kind, &body, 1, &seq);
        if (!c->shrinks || err == SP_ERR_NOSPC)
            s->disk_full = err == SP_ERR_NOSPC;
        if (err != SP_OK)
            return err;
        if (c->shrinks && s->disk_full)
            s->snapshot_again = sp_instant_min(s->snapshot_again, sp_instant_add(s->now, SNAPSHOT_SHRUNK));
        s->uncommitted = true;
    }
    s->last_seq = seq;
    s->recent[s->recent_count++ % SP_RECENT] = (struct sp_recent){
        .seq = seq,
        .wall_s = sp_wall_sec(s->wall),
        .zone = c->zone,
        .serial = c->serial,
        .rrsets = (uint32_t)c->rrsets,
        .kind = c->kind,
    };
    return SP_OK;
}

sp_err sp_durable_change(struct sp_server *s, const struct sp_change *c) {
    if (c->body == NULL)
        return SP_OK;
    struct sp_pending *p = NULL;
    sp_err err = sp_durable_state(s);
    if (err == SP_OK && c->txn != NULL && (p = sp_pending_new(s, SP_PENDING_OWN)) == NULL)
        err = SP_ERR_FULL;
    if (err == SP_OK)
        err = sp_durable_append(s, c);
    if (err != SP_OK) {
        sp_updater_abort(s->updater, c);
        sp_mem_free(&s->mem, p, sizeof *p);
        return err;
    }
    sp_durable_taken(s, c, p);
    return SP_OK;
}

void sp_durable_taken(struct sp_server *s, const struct sp_change *c, struct sp_pending *p) {
    if (c->kind == SP_REC_ZONE_GONE)
        sp_durable_settle(s, c->zone);
    if (sp_updater_commit(s->updater, c, s->now) != SP_OK)
        s->commit_full++; /* the record stands; a restart makes the tables whole */
    if (p == NULL)
        return;
    p->txn = c->txn;
    p->zone = c->zone;
    sp_durable_wait(s, p);
    if (s->log == NULL)
        retire(s, p);
}

void sp_durable_commit(struct sp_server *s) {
    if (s->uncommitted)
        sp_log_commit(s->log);
    s->uncommitted = false;
}

/* ---- releasing ---- */

static void latency(struct sp_server *s, sp_duration took) {
    struct sp_update_counts *c = sp_updater_counts_mut(s->updater);
    uint64_t us = took / SP_US;
    unsigned i = 0;
    while (i < 15 && us >= UINT64_C(1) << (i + 4))
        i++;
    c->latency_us_sum += us;
    c->latency_us_bucket[i]++;
}

/* The reply of an update; false when the outbox has no room for it. */
static bool update_answer(struct sp_server *s, struct sp_pending *p) {
    struct sp_pending_update *u = p->update;
    size_t cap;
    if (sp_reply_room(s, &u->from, NULL, &cap) == NULL)
        return false;
    s->updates_in_flight--;
    struct sp_stream *st = u->from.via == SP_VIA_TCP ? sp_stream_get(s, u->from.stream) : NULL;
    if (st != NULL && st->in_flight > 0)
        st->in_flight--;
    if (p->failed)
        sp_update_fail(s->updater, &u->up, SP_REFUSED_disk);
    else
        latency(s, s->now - p->accepted);
    struct sp_msg *msg = &s->scratch->msg;
    if (sp_msg_parse(msg, u->request, u->len) != SP_OK)
        return true; /* it did parse before */
    uint8_t *out = sp_reply_room(s, &u->from, msg, &cap);
    sp_reply_send(s, &u->from, sp_update_reply(s->updater, &s->view, msg, &u->from.src, &u->up, s->wall, out, cap));
    if (st != NULL)
        sp_stream_rearm(s, st);
    return true;
}

static bool control_answer(struct sp_server *s, struct sp_pending *p) {
    if (sp_outbox_slots(&s->out) == 0)
        return false;
    if (p->failed) {
        sp_ctl_send_error(s, p->control, "the disk failed before the change was stored, and it was undone",
                          "see `status`; replace the disk and restart");
        return true;
    }
    sp_ctl_send(s, p->control, p->reply, p->reply_size, p->reply_len);
    p->reply = NULL;
    p->reply_size = 0;
    return true;
}

static uint64_t durable_seq(const struct sp_server *s) {
    return s->log != NULL ? sp_log_durable(s->log) : s->last_seq;
}

static bool releasable(const struct sp_server *s) {
    if (sp_ring_alone(&s->pending))
        return false;
    const struct sp_pending *p = SP_CONTAINER(s->pending.next, struct sp_pending, ring);
    return p->failed || p->seq <= durable_seq(s);
}

static void release(struct sp_server *s) {
    for (unsigned i = 0; i < SP_SLICE && releasable(s); i++) {
        struct sp_pending *p = SP_CONTAINER(s->pending.next, struct sp_pending, ring);
        if (p->kind == SP_PENDING_UPDATE && !update_answer(s, p))
            return;
        if (p->kind == SP_PENDING_CONTROL && !control_answer(s, p))
            return;
        retire(s, p);
    }
}

/* The device failed: what is not durable never was, newest first. Zones go on answering from what is. */
static void fail(struct sp_server *s) {
    s->storage = SP_STORAGE_FAILED;
    s->snapshot_on = false;
    s->uncommitted = false;
    sp_pins_lose(s, 0);
    sp_import_free(s); /* the newest transaction, not yet among the pending */
    uint64_t durable = sp_log_durable(s->log);
    for (struct sp_ring *r = s->pending.prev; r != &s->pending; r = r->prev) {
        struct sp_pending *p = SP_CONTAINER(r, struct sp_pending, ring);
        if (p->seq <= durable)
            break;
        p->failed = true;
        if (p->txn != NULL)
            sp_txn_undo(p->txn);
        p->txn = NULL;
    }
}

/* ---- opening ---- */

static const char *open_error(sp_err err) {
    switch (err) {
    case SP_ERR_CORRUPT:
        return "the log on the disk is damaged, or the disk holds something else; nothing was changed on it";
    case SP_ERR_UNSUP:
        return "the log on the disk is of another version";
    case SP_ERR_EXIST:
        return "the disk is not blank and holds no log; nothing was changed on it";
    case SP_ERR_RANGE:
        return "the disk is smaller than the one that its log was made for; nothing was changed on it";
    case SP_ERR_FULL:
        return "the log does not fit the configured limits (zones, names, memory); raise them";
    default:
        return "the disk cannot be read";
    }
}

static void replay(struct sp_server *s) {
    struct sp_log_record rec;
    s->replay_more = false;
    for (unsigned i = 0; s->fatal == NULL && sp_log_replay(s->log, &rec); i++) {
        sp_err err = rec.erased ? SP_ERR_NOENT : sp_updater_apply(s->updater, &rec, s->now);
        s->replayed++;
        if (rec.seq > s->last_seq)
            s->last_seq = rec.seq;
        /* A zone that was removed while the snapshot was being taken has records after it, but is not in it. */
        if (err == SP_ERR_NOENT)
            s->replay_skipped++;
        else if (err != SP_OK)
            s->fatal = err == SP_ERR_CORRUPT ? "a record of the log does not decode; was it written by a newer version?"
                                             : open_error(err);
        if (i + 1 == REPLAY_SLICE) {
            s->replay_more = true;
            return;
        }
    }
    if (s->fatal != NULL)
        return;
    if (sp_log_state(s->log) == SP_LOG_FAILED) {
        s->fatal = open_error(sp_log_error(s->log));
    } else if (sp_log_state(s->log) == SP_LOG_READY) {
        s->storage = SP_STORAGE_DURABLE;
        s->ready = true;
        sp_updater_replayed(s->updater, s->now, s->wall);
        sp_trace(&s->cfg.trace, s->now, SP_TRACE_log_replayed, s->last_seq, s->replayed);
    }
}

/* ---- snapshots ---- */

static void snapshot_stop(struct sp_server *s, bool again) {
    s->snapshot_on = s->snapshot_waits = false;
    s->snapshot_again = again ? sp_instant_add(s->now, SNAPSHOT_RETRY) : s->now;
}

static void snapshot_start(struct sp_server *s) {
    if (!sp_log_snapshot_due(s->log) || s->now < s->snapshot_again || sp_import_busy(s))
        return;
    if (sp_log_snapshot_begin(s->log) != SP_OK)
        return; /* an aborted one is still being written */
    s->snapshot_on = true;
    s->snapshot_waits = false;
    sp_updater_snapshot_begin(&s->snapshot);
}

static void snapshot_slice(struct sp_server *s) {
    size_t put = 0;
    while (s->snapshot_on && !s->snapshot_waits && put < SNAPSHOT_SLICE) {
        struct sp_change c;
        bool more = sp_updater_snapshot_next(s->updater, &s->snapshot, s->wall, &c);
        struct sp_piece body = {c.body, c.len};
        sp_err err = more ? sp_log_snapshot_put(s->log, c.zone, c.kind, &body, 1) : sp_log_snapshot_end(s->log);
        if (err == SP_ERR_AGAIN) {
            s->snapshot.again = more;
            s->snapshot_waits = true;
        } else if (err != SP_OK || !more) {
            snapshot_stop(s, err != SP_OK);
        }
        put += c.len + 64;
    }
}

/* ---- the calls ---- */

void sp_durable_completed(struct sp_server *s, const struct sp_in *in) {
    if (s->log == NULL)
        return;
    sp_log_complete(s->log, in->id, in->err, s->now);
    s->snapshot_waits = false;
    if (s->storage == SP_STORAGE_OPENING)
        replay(s);
}

void sp_durable_work(struct sp_server *s) {
    if (s->storage == SP_STORAGE_OPENING && s->replay_more)
        replay(s);
    if (s->storage == SP_STORAGE_DURABLE && sp_log_state(s->log) == SP_LOG_FAILED)
        fail(s);
    if (s->storage == SP_STORAGE_DURABLE) {
        if (!s->snapshot_on)
            snapshot_start(s);
        if (s->snapshot_on && !sp_import_busy(s))
            snapshot_slice(s);
    }
    release(s);
}

bool sp_durable_busy(const struct sp_server *s) {
    return (s->storage == SP_STORAGE_OPENING && s->replay_more) || releasable(s) ||
           (s->snapshot_on && !s->snapshot_waits && !sp_import_busy(s));
}

void sp_durable_expire_leases(struct sp_server *s) {
    if (!s->ready || s->storage == SP_STORAGE_FAILED || sp_import_busy(s))
        return;
    struct sp_change c;
    for (unsigned i = 0; i < EXPIRE_SLICE && sp_updater_deadline(s->updater) <= s->now; i++) {
        if (!sp_updater_expire(s->updater, s->now, &c))
            return;
        if (sp_durable_change(s, &c) != SP_OK) {
            sp_updater_expire_later(s->updater, s->now);
            return;
        }
    }
}
