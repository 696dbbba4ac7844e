/* The log alone. Its owner is a table of one value a (zone, key); every record says what one value is now. What was
 * ever appended is remembered here, beside the disk, so that after each cut the table, the order and the chains can be
 * compared with it. */
#include "tests/sim/powercut.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/bytes.h"
#include "proto/log/log.h"
#include "tests/sim/disk.h"

#define ZONES     4
#define KEYS      16
#define BODY_MIN  10
#define LIFE      (3 * SP_SEC)
#define NO_VALUE  0
#define BODY_LONG SP_LOG_BODY_MAX

struct entry { /* of the history: record seq stands at seq - 1 */
    uint64_t value;
    uint8_t chain[SP_LOG_CHAIN];
};

struct value { /* ever appended, by number */
    uint32_t zone;
    uint16_t key;
    uint32_t len;
    bool cut; /* it was not acknowledged and is gone: it must not come back */
};

struct world {
    struct sim *sim;
    struct sim_disk disk;
    struct sp_mem mem;
    struct sp_rng rng;
    struct sp_log *log;
    struct powercut_result *result;
    struct entry *history;
    uint64_t appended, cap_history;
    struct value *values;
    uint64_t n_values, cap_values;
    uint64_t acked;
    bool ever_ready, ready;
    uint64_t table[ZONES][KEYS]; /* the owner's state: a value's number */
    uint64_t replayed;           /* last sequence number met */
    bool snapshotting;
    unsigned cursor;
    uint8_t body[BODY_LONG];
};

static void fill(uint8_t *body, const struct value *v, uint64_t number) {
    for (uint32_t i = 0; i < v->len; i++)
        body[i] = (uint8_t)(number * 131 + i * 7 + (i >> 8));
    sp_put_u16(body, v->key);
    sp_put_u32(body + 2, (uint32_t)(number >> 32));
    sp_put_u32(body + 6, (uint32_t)number);
}

static void pump(struct world *w) {
    struct sp_blk_req r;
    while (sp_log_request(w->log, &r))
        sim_disk_submit(&w->disk, &r);
}

/* ---- after a restart ---- */

static void take_record(struct world *w, const struct sp_log_record *rec) {
    struct sim *s = w->sim;
    sim_check(s, rec->len >= BODY_MIN && rec->zone < ZONES, "a record of a shape that was never appended");
    uint64_t number = (uint64_t)sp_get_u32(rec->body + 2) << 32 | sp_get_u32(rec->body + 6);
    sim_check(s, number > NO_VALUE && number < w->n_values, "a value that was never appended");
    const struct value *v = &w->values[number];
    fill(w->body, v, number);
    sim_check(s, v->zone == rec->zone && v->len == rec->len && memcmp(w->body, rec->body, rec->len) == 0,
              "record %llu came back changed", (unsigned long long)rec->seq);
    sim_check(s, !v->cut, "value %llu came back after it was gone", (unsigned long long)number);
    if (rec->seq != 0) {
        sim_check(s, w->replayed == 0 || rec->seq == w->replayed + 1, "out of order: %llu after %llu",
                  (unsigned long long)rec->seq, (unsigned long long)w->replayed);
        sim_check(s, rec->seq <= w->appended && w->history[rec->seq - 1].value == number, "record %llu is another one",
                  (unsigned long long)rec->seq);
        w->replayed = rec->seq;
    }
    w->table[rec->zone][v->key] = number;
}

/* The table and the chains are what the first n records make them. */
static void compare(struct world *w, uint64_t n) {
    uint64_t table[ZONES][KEYS] = {0};
    const uint8_t *chains[ZONES] = {0};
    for (uint64_t i = 0; i < n; i++) {
        const struct value *v = &w->values[w->history[i].value];
        table[v->zone][v->key] = w->history[i].value;
        chains[v->zone] = w->history[i].chain;
    }
    sim_check(w->sim, memcmp(table, w->table, sizeof table) == 0, "the state is not that of the first %llu records",
              (unsigned long long)n);
    for (uint32_t z = 0; z < ZONES; z++) {
        uint8_t head[SP_LOG_CHAIN];
        bool any = sp_log_chain(w->log, z, head);
        sim_check(w->sim, any == (chains[z] != NULL) && (!any || memcmp(head, chains[z], sizeof head) == 0),
                  "the chain of zone %u does not hold", z);
    }
}

static void became_ready(struct world *w) {
    uint64_t n = sp_log_durable(w->log);
    sim_check(w->sim, n >= w->acked, "%llu records are there, %llu were acknowledged", (unsigned long long)n,
              (unsigned long long)w->acked);
    sim_check(w->sim, n <= w->appended && (w->replayed == 0 || w->replayed == n), "records that were never appended");
    compare(w, n);
    w->result->acknowledged += w->acked;
    w->result->lost += w->appended - n;
    for (uint64_t i = n; i < w->appended; i++)
        w->values[w->history[i].value].cut = true;
    w->appended = w->acked = n; /* whoever asks now sees them: they have to stay */
    w->ready = w->ever_ready = true;
    sim_note(w->sim, "ready", n, w->appended);
}

/* ---- the owner at work ---- */

static void append(struct world *w) {
    struct sim *s = w->sim;
    if (w->n_values == w->cap_values) {
        w->cap_values = w->cap_values * 2 + 256;
        w->values = realloc(w->values, w->cap_values * sizeof w->values[0]);
    }
    if (w->appended == w->cap_history) {
        w->cap_history = w->cap_history * 2 + 256;
        w->history = realloc(w->history, w->cap_history * sizeof w->history[0]);
    }
    uint64_t number = w->n_values;
    uint64_t most = sim_chance(s, 97) ? 700 : w->disk.blocks > 250 && sim_chance(s, 20) ? BODY_LONG - BODY_MIN : 9000;
    w->values[number] = (struct value){.zone = (uint32_t)sim_below(s, ZONES),
                                       .key = (uint16_t)sim_below(s, KEYS),
                                       .len = (uint32_t)(BODY_MIN + sim_below(s, most))};
    const struct value *v = &w->values[number];
    fill(w->body, v, number);
    struct sp_piece p[2] = {{w->body, 5}, {w->body + 5, v->len - 5}};
    uint64_t seq;
    sp_err err = sp_log_append(w->log, v->zone, v->key, p, 2, &seq);
    sim_note(s, "append", number, (uint64_t)(-err));
    if (err == SP_ERR_NOSPC || err == SP_ERR_AGAIN || err == SP_ERR_STATE)
        return;
    sim_check(s, err == SP_OK && seq == w->appended + 1, "append: %s, number %llu", sp_err_name(err),
              (unsigned long long)seq);
    w->n_values++;
    w->table[v->zone][v->key] = number;
    struct entry *e = &w->history[w->appended++];
    e->value = number;
    sim_check(s, sp_log_chain(w->log, v->zone, e->chain), "no chain after an append");
}

static void snapshot_slice(struct world *w) {
    struct sim *s = w->sim;
    for (unsigned n = (unsigned)sim_skewed(s, 1, ZONES * KEYS); n > 0 && w->cursor < ZONES * KEYS; n--) {
        uint32_t zone = w->cursor / KEYS;
        uint64_t number = w->table[zone][w->cursor % KEYS];
        if (number != NO_VALUE) {
            fill(w->body, &w->values[number], number);
            struct sp_piece p = {w->body, w->values[number].len};
            sp_err err = sp_log_snapshot_put(w->log, zone, (uint16_t)(w->cursor % KEYS), &p, 1);
            if (err == SP_ERR_AGAIN)
                return;
            if (err != SP_OK) {
                sim_check(s, err == SP_ERR_NOSPC || err == SP_ERR_STATE, "put: %s", sp_err_name(err));
                w->snapshotting = false;
                return;
            }
        }
        w->cursor++;
    }
    if (w->cursor < ZONES * KEYS)
        return;
    sp_err err = sp_log_snapshot_end(w->log);
    sim_check(s, err == SP_OK || err == SP_ERR_STATE, "end: %s", sp_err_name(err));
    sim_note(s, "snapshot end", w->appended, 0);
    w->snapshotting = false;
}

static void snapshot(struct world *w) {
    struct sim *s = w->sim;
    if (w->snapshotting && sim_chance(s, 2)) {
        sp_log_snapshot_abort(w->log);
        w->snapshotting = false;
    } else if (w->snapshotting) {
        snapshot_slice(w);
    } else if (sp_log_snapshot_due(w->log) ? sim_chance(s, 40) : sim_chance(s, 2)) {
        w->snapshotting = sp_log_snapshot_begin(w->log) == SP_OK;
        w->cursor = 0;
        sim_note(s, "snapshot begin", w->appended, w->snapshotting);
    }
}

static void tick(void *ctx, uint64_t arg) {
    struct world *w = ctx;
    struct sim *s = w->sim;
    if (sim_chance(s, 80))
        for (uint64_t n = sim_skewed(s, 1, 40); n > 0; n--)
            append(w);
    snapshot(w);
    if (sim_chance(s, 85))
        sp_log_commit(w->log);
    pump(w);
    sim_after(s, sim_skewed(s, 0, 2 * SP_MS), tick, w, 0);
}

static void completed(void *ctx, uint64_t id, sp_err err) {
    struct world *w = ctx;
    sp_log_complete(w->log, id, err, w->sim->now);
    struct sp_log_record rec;
    while (sp_log_replay(w->log, &rec))
        take_record(w, &rec);
    if (sp_log_state(w->log) == SP_LOG_READY) {
        if (!w->ready) {
            became_ready(w);
            sim_after(w->sim, 0, tick, w, 0);
        }
        uint64_t durable = sp_log_durable(w->log);
        sim_check(w->sim, durable >= w->acked && durable <= w->appended, "durable goes from %llu to %llu of %llu",
                  (unsigned long long)w->acked, (unsigned long long)durable, (unsigned long long)w->appended);
        if (durable > w->acked)
            sim_note(w->sim, "acknowledged", durable, 0);
        w->acked = durable;
    }
    pump(w);
}

/* From power on to power off; `last`: only until it is ready. */
static void live(struct world *w, bool last) {
    struct sim *s = w->sim;
    memset(w->table, 0, sizeof w->table);
    w->replayed = 0;
    w->ready = w->snapshotting = false;
    uint64_t events = sim_chance(s, 15) ? 12 : 500; /* often enough while it opens */
    w->disk.event_stop = last ? 0 : w->disk.events + 1 + sim_below(s, events);
    w->disk.fail_at = !last && sim_chance(s, 5) ? w->disk.writes_seen + 1 + sim_below(s, 100) : 0;
    w->disk.slow = sim_chance(s, 50) ? 200 * SP_US : 5 * SP_MS;
    sp_err err = sp_log_new(&w->log, &w->mem, w->disk.blocks, !w->ever_ready, SP_LOG_GROUP_MAX, &w->rng, NULL);
    sim_check(s, err == SP_OK, "new: %s", sp_err_name(err));
    pump(w);
    /* A full disk has nothing more to do: time ends that life too. */
    sp_instant until = s->now + LIFE;
    while (!w->disk.stopped && s->now < until && !(last && w->ready) && sp_log_state(w->log) != SP_LOG_FAILED)
        sim_check(s, sim_step(s), "nothing left to happen");
    bool injected = w->disk.fail_at != 0 && w->disk.writes_seen >= w->disk.fail_at;
    if (sp_log_state(w->log) == SP_LOG_FAILED) {
        sim_check(s, injected && sp_log_error(w->log) == SP_ERR_IO, "the log failed: %s",
                  sp_err_name(sp_log_error(w->log)));
        w->result->failures++;
    }
    sim_check(s, !last || w->ready, "the log does not open");
    struct sp_log_stats stats;
    sp_log_stats(w->log, &stats);
    w->result->snapshots += stats.snapshots;
    sim_forget(s, w);
    if (!last && sim_chance(s, 85))
        sim_disk_cut(&w->disk);
    else
        sim_disk_orphan(&w->disk);
    w->result->cuts += !last;
    sp_log_free(w->log);
    w->log = NULL;
}

void powercut_log(struct sim *s, unsigned lives, struct powercut_result *r) {
    struct world *w = calloc(1, sizeof *w);
    w->sim = s;
    w->result = r;
    w->n_values = 1;
    w->cap_values = 256;
    w->values = calloc(w->cap_values, sizeof w->values[0]);
    sim_disk_init(&w->disk, s, 64 + sim_below(s, 300), completed, w);
    uint8_t seed[SP_RNG_SEED] = {0};
    sp_put_u32(seed, (uint32_t)sim_random(s));
    sp_rng_init(&w->rng, seed);
    sp_mem_init(&w->mem, sim_grant(s), 4 * SP_CHUNK);
    for (unsigned i = 0; i < lives; i++)
        live(w, false);
    live(w, true);
    sp_mem_done(&w->mem);
    sim_disk_free(&w->disk);
    free(w->history);
    free(w->values);
    free(w);
}
