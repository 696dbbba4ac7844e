/* The simulated world: virtual time, an event queue with one order, one generator that decides everything, and a hash
 * of all that happened. The same seed gives the same world. */
#ifndef SP_TESTS_SIM_H
#define SP_TESTS_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/host.h"
#include "proto/base/time.h"

struct sim_event;

struct sim {
    sp_instant now;
    uint64_t seed, random; /* the generator's state */
    uint64_t hash;         /* of every note */
    uint64_t order;        /* events due at the same time run in the order they were set */
    struct sim_event *heap;
    size_t count, cap;
    bool verbose;
    const char *replay; /* how to run this seed again, for a failure's message */
    void *spare[8];     /* chunks kept from one core to the next */
};

typedef void (*sim_fn)(void *ctx, uint64_t arg);

void sim_init(struct sim *s, uint64_t seed, bool verbose, const char *replay);
void sim_done(struct sim *s);

/* Runs fn(ctx, arg) after `delay`. */
void sim_after(struct sim *s, sp_duration delay, sim_fn fn, void *ctx, uint64_t arg);
/* Advances to the next event and runs it; false when there is none. */
bool sim_step(struct sim *s);
/* Drops every event of this ctx. */
void sim_forget(struct sim *s, const void *ctx);
void sim_forget_all(struct sim *s);

uint64_t sim_random(struct sim *s);
uint64_t sim_below(struct sim *s, uint64_t bound); /* bound > 0 */
/* Between lo and hi, both included; small values are likelier. */
uint64_t sim_skewed(struct sim *s, uint64_t lo, uint64_t hi);
bool sim_chance(struct sim *s, unsigned percent);

/* Something happened: into the hash, and printed when verbose. */
void sim_note(struct sim *s, const char *what, uint64_t a, uint64_t b);
/* Ends the program with the seed and how to replay it. */
_Noreturn void sim_fail(struct sim *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define sim_check(s, cond, ...) ((cond) ? (void)0 : sim_fail((s), __VA_ARGS__))

/* Chunks for cores; at the end of the world they are freed. */
struct sp_grant sim_grant(struct sim *s);

#endif
