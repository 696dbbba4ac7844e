#include "signpostd/core/signing.h"

void sp_signing_init(struct sp_signing *g, uint32_t per_batch, sp_instant now) {
    *g = (struct sp_signing){.per_batch = per_batch, .half_begin = now};
}

static void turn(struct sp_signing *g, sp_instant now) {
    sp_duration past = now - g->half_begin;
    if (past < SP_SIGNING_HALF)
        return;
    g->before = past < 2 * SP_SIGNING_HALF ? g->now : (struct sp_signing_half){0};
    g->now = (struct sp_signing_half){0};
    g->half_begin = now;
}

static bool others_compete(const struct sp_signing *g) {
    uint64_t answers = g->now.answers + g->before.answers;
    uint64_t cold = g->now.cold + g->before.cold;
    return answers > cold && (answers - cold) * 64 >= answers;
}

static bool contended(const struct sp_signing *g, sp_instant now, size_t n) {
    if (n >= SP_SIGNING_BACKED_UP)
        return true;
    uint64_t cost = (g->now.answers + g->before.answers) * SP_SIGNING_ANSWER_COST +
                    (g->now.made + g->before.made) * SP_SIGNING_COST;
    /* The estimate is of a fast machine: half the time in it may be all the time on a slower one. */
    return cost * 2 >= SP_SIGNING_HALF + (now - g->half_begin);
}

uint32_t sp_signing_begin(struct sp_signing *g, sp_instant now, size_t n, uint32_t *ret_kept) {
    turn(g, now);
    uint64_t saved = g->saved + (uint64_t)n * g->per_batch;
    uint64_t most = UINT64_C(4) * SP_SIGNING_BATCH * g->per_batch;
    g->saved = (uint32_t)(saved < most ? saved : most);
    g->throttled = contended(g, now, n) && others_compete(g);
    *ret_kept = 0;
    if (!g->throttled)
        return UINT32_MAX;
    *ret_kept = (uint32_t)((n * g->per_batch * SP_SIGNING_KEPT + SP_SIGNING_BATCH - 1) / SP_SIGNING_BATCH);
    return g->saved / SP_SIGNING_BATCH;
}

void sp_signing_end(struct sp_signing *g, uint64_t answers, uint64_t cold, uint64_t made, uint64_t spent) {
    g->now.answers += answers;
    g->now.cold += cold;
    g->now.made += made;
    if (g->throttled)
        g->saved = spent * SP_SIGNING_BATCH < g->saved ? g->saved - (uint32_t)spent * SP_SIGNING_BATCH : 0;
}
