#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sim_event {
    sp_instant at;
    uint64_t order;
    sim_fn fn;
    void *ctx;
    uint64_t arg;
};

void sim_init(struct sim *s, uint64_t seed, bool verbose, const char *replay) {
    *s = (struct sim){.seed = seed, .random = seed * 0x9e3779b97f4a7c15u + 1, .verbose = verbose, .replay = replay};
    s->now = SP_SEC;
}

void sim_done(struct sim *s) {
    free(s->heap);
    for (size_t i = 0; i < sizeof s->spare / sizeof s->spare[0]; i++)
        free(s->spare[i]);
}

/* ---- events: a binary heap by (time, order) ---- */

static bool earlier(const struct sim_event *a, const struct sim_event *b) {
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void swap(struct sim_event *a, struct sim_event *b) {
    struct sim_event t = *a;
    *a = *b;
    *b = t;
}

static void sift_up(struct sim *s, size_t i) {
    for (; i > 0 && earlier(&s->heap[i], &s->heap[(i - 1) / 2]); i = (i - 1) / 2)
        swap(&s->heap[i], &s->heap[(i - 1) / 2]);
}

static void sift_down(struct sim *s, size_t i) {
    for (;;) {
        size_t least = i;
        for (size_t c = 2 * i + 1; c <= 2 * i + 2 && c < s->count; c++)
            if (earlier(&s->heap[c], &s->heap[least]))
                least = c;
        if (least == i)
            return;
        swap(&s->heap[i], &s->heap[least]);
        i = least;
    }
}

void sim_after(struct sim *s, sp_duration delay, sim_fn fn, void *ctx, uint64_t arg) {
    if (s->count == s->cap) {
        s->cap = s->cap * 2 + 64;
        s->heap = realloc(s->heap, s->cap * sizeof s->heap[0]);
    }
    s->heap[s->count++] = (struct sim_event){sp_instant_add(s->now, delay), s->order++, fn, ctx, arg};
    sift_up(s, s->count - 1);
}

bool sim_step(struct sim *s) {
    if (s->count == 0)
        return false;
    struct sim_event e = s->heap[0];
    s->heap[0] = s->heap[--s->count];
    sift_down(s, 0);
    s->now = e.at;
    e.fn(e.ctx, e.arg);
    return true;
}

void sim_forget(struct sim *s, const void *ctx) {
    size_t kept = 0;
    for (size_t i = 0; i < s->count; i++)
        if (s->heap[i].ctx != ctx)
            s->heap[kept++] = s->heap[i];
    s->count = kept;
    for (size_t i = kept / 2; i-- > 0;)
        sift_down(s, i);
}

void sim_forget_all(struct sim *s) {
    s->count = 0;
}

/* ---- chance ---- */

/* SplitMix64 */
uint64_t sim_random(struct sim *s) {
    uint64_t z = s->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint64_t sim_below(struct sim *s, uint64_t bound) {
    return sim_random(s) % bound;
}

uint64_t sim_skewed(struct sim *s, uint64_t lo, uint64_t hi) {
    uint64_t span = sim_below(s, hi - lo + 1);
    return lo + (sim_chance(s, 80) ? sim_below(s, span / 8 + 1) : span);
}

bool sim_chance(struct sim *s, unsigned percent) {
    return sim_below(s, 100) < percent;
}

/* ---- the record of what happened ---- */

static void mix(struct sim *s, uint64_t v) {
    s->hash = (s->hash ^ v) * 0x100000001b3u;
    s->hash ^= s->hash >> 29;
}

void sim_note(struct sim *s, const char *what, uint64_t a, uint64_t b) {
    mix(s, s->now);
    for (const char *p = what; *p != 0; p++)
        mix(s, (uint8_t)*p);
    mix(s, a);
    mix(s, b);
    if (s->verbose)
        printf("%12.6f %-14s %llu %llu\n", (double)s->now / 1e9, what, (unsigned long long)a, (unsigned long long)b);
}

_Noreturn void sim_fail(struct sim *s, const char *format, ...) {
    va_list args;
    fflush(stdout);
    fprintf(stderr, "FAILED: seed %llu at %.6f s: ", (unsigned long long)s->seed, (double)s->now / 1e9);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\nreplay: %s --seeds %llu..%llu --verbose\n", s->replay, (unsigned long long)s->seed,
            (unsigned long long)s->seed);
    exit(1);
}

/* ---- memory ---- */

#define SPARES (sizeof((struct sim *)0)->spare / sizeof(void *))

static void *grant(void *ctx, size_t bytes) {
    struct sim *s = ctx;
    void *p = NULL;
    for (size_t i = 0; i < SPARES && p == NULL && bytes == SP_CHUNK; i++) {
        p = s->spare[i];
        s->spare[i] = NULL;
    }
    if (p == NULL)
        p = aligned_alloc(SP_CHUNK, bytes);
    return p != NULL ? memset(p, 0, bytes) : NULL;
}

static void release(void *ctx, void *chunk, size_t bytes) {
    struct sim *s = ctx;
    for (size_t i = 0; i < SPARES && bytes == SP_CHUNK; i++)
        if (s->spare[i] == NULL) {
            s->spare[i] = chunk;
            return;
        }
    free(chunk);
}

struct sp_grant sim_grant(struct sim *s) {
    return (struct sp_grant){s, grant, release};
}
