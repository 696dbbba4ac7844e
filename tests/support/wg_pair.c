#include "tests/support/wg_pair.h"

#include <string.h>

#include "tests/support/support.h"

static void end_new(struct sp_test_pair *w, unsigned i, const struct sp_wg_config *config) {
    struct sp_test_wg *e = &w->end[i];
    struct sp_wg_config c = config != NULL ? *config
                                           : (struct sp_wg_config){.peers = 16, .initiations_per_s = 100, .initiations_max = 200};
    uint8_t seed[SP_RNG_SEED];
    memset(seed, (int)i + 1, sizeof seed);
    sp_rng_init(&e->rng, seed);
    sp_mem_init(&e->mem, sp_test_grant(), 16 * SP_CHUNK);
    sp_rng_fill(&e->rng, e->secret, 32);
    memset(e->from, 0x10 + (int)i, sizeof e->from);
    memcpy(c.secret, e->secret, 32);
    c.mem = &e->mem;
    c.rng = &e->rng;
    sp_err err = sp_wg_new(&e->wg, &c, w->now);
    SP_ASSERT(err == SP_OK);
}

void sp_test_pair_new(struct sp_test_pair *w, const struct sp_wg_config *config, const uint8_t psk[32]) {
    memset(w, 0, sizeof *w);
    w->now = 1000 * SP_SEC;
    w->wall = sp_wall_from_sec(1700000000);
    w->delay = 20 * SP_MS;
    for (unsigned i = 0; i < 2; i++)
        end_new(w, i, config);
    for (unsigned i = 0; i < 2; i++) {
        sp_err err = sp_wg_peer_add(w->end[i].wg, sp_wg_public(w->end[!i].wg), psk, &w->end[i], w->now, &w->end[i].peer);
        SP_ASSERT(err == SP_OK);
    }
}

void sp_test_pair_done(struct sp_test_pair *w) {
    for (unsigned i = 0; i < 2; i++) {
        sp_wg_free(w->end[i].wg);
        SP_ASSERT(w->end[i].mem.used == 0);
        sp_mem_done(&w->end[i].mem);
    }
}

void sp_test_pair_fly(struct sp_test_pair *w, unsigned to, const uint8_t *data, size_t len) {
    SP_ASSERT(w->flying < SP_TEST_WG_FLIGHT && len <= SP_TEST_WG_MSG);
    struct sp_test_flight *f = &w->flight[w->flying];
    *f = (struct sp_test_flight){.at = w->now + w->delay, .to = to, .len = len};
    memcpy(f->data, data, len);
    w->end[!to].sent[data[0] < 5 ? data[0] : 0]++;
    if (w->filter == NULL || w->filter(w, to, f->data, len))
        w->flying++;
}

sp_err sp_test_pair_send(struct sp_test_pair *w, unsigned from, uint8_t fill, size_t len) {
    uint8_t buf[SP_TEST_WG_MSG];
    size_t n;
    memset(buf + SP_WG_HEAD, fill, len);
    SP_TRY(sp_wg_seal(w->end[from].wg, w->end[from].peer, w->now, buf, sizeof buf, len, &n));
    sp_test_pair_fly(w, !from, buf, n);
    return SP_OK;
}

void sp_test_pair_pull(struct sp_test_pair *w) {
    struct sp_wg_peer *p;
    uint8_t buf[SP_WG_MSG_MAX];
    size_t len;
    for (unsigned i = 0; i < 2; i++)
        while (sp_wg_pull(w->end[i].wg, w->now, w->wall, &p, buf, &len))
            sp_test_pair_fly(w, !i, buf, len);
}

static void deliver(struct sp_test_pair *w, const struct sp_test_flight *f) {
    struct sp_test_wg *e = &w->end[f->to], *other = &w->end[!f->to];
    uint8_t out[SP_TEST_WG_MSG];
    struct sp_wg_got got;
    if (w->cut[f->to])
        return;
    sp_wg_input(e->wg, w->now, w->wall, other->from, sizeof other->from, f->data, f->len, out, &got);
    e->answered += got.kind == SP_WG_ANSWERED;
    e->keepalives += got.kind == SP_WG_KEEPALIVE;
    e->unknown += got.kind == SP_WG_UNKNOWN;
    e->fresh += got.fresh;
    if (got.kind == SP_WG_REPLY) {
        e->replies++;
        sp_test_pair_fly(w, !f->to, got.reply, got.reply_len);
    }
    if (got.kind == SP_WG_DATA) {
        e->data++;
        memcpy(e->last, got.data, got.len);
        e->last_len = got.len;
        e->last_at = w->now;
    }
}

/* The earliest message in flight; those that leave at once keep their order. */
static struct sp_test_flight *earliest(struct sp_test_pair *w) {
    struct sp_test_flight *best = NULL;
    for (unsigned i = 0; i < w->flying; i++)
        if (best == NULL || w->flight[i].at < best->at)
            best = &w->flight[i];
    return best;
}

static void deliver_due(struct sp_test_pair *w) {
    struct sp_test_flight *f, one;
    while ((f = earliest(w)) != NULL && f->at <= w->now) {
        one = *f;
        memmove(f, f + 1, (size_t)(&w->flight[--w->flying] - f) * sizeof *f);
        deliver(w, &one);
        sp_test_pair_pull(w);
    }
}

void sp_test_pair_run(struct sp_test_pair *w, sp_duration time) {
    sp_instant end = w->now + time;
    sp_test_pair_pull(w);
    for (;;) {
        const struct sp_test_flight *f = earliest(w);
        sp_instant next = f != NULL ? f->at : SP_NEVER;
        for (unsigned i = 0; i < 2; i++)
            next = sp_instant_min(next, sp_wg_deadline(w->end[i].wg));
        if (next > end)
            break;
        if (next > w->now) {
            w->wall.ns += next - w->now;
            w->now = next;
        }
        for (unsigned i = 0; i < 2; i++)
            sp_wg_expire(w->end[i].wg, w->now);
        sp_test_pair_pull(w);
        deliver_due(w);
    }
    w->wall.ns += end - w->now;
    w->now = end;
}

void sp_test_pair_up(struct sp_test_pair *w) {
    sp_wg_peer_handshake(w->end[0].wg, w->end[0].peer, true, w->now);
    sp_test_pair_run(w, 4 * w->delay);
    SP_ASSERT(sp_wg_peer_up(w->end[0].peer, w->now) && sp_wg_peer_up(w->end[1].peer, w->now));
}

struct sp_wg_peer_stats sp_test_pair_stats(const struct sp_test_pair *w, unsigned end) {
    struct sp_wg_peer_stats s;
    sp_wg_peer_stats(w->end[end].peer, &s);
    return s;
}
