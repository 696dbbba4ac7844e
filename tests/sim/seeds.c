#include "tests/sim/seeds.h"

#include <stdio.h>
#include <string.h>

bool sim_seeds_option(struct sim_seeds *o, int argc, char **argv, int *at) {
    const char *option = argv[*at];
    if (strcmp(option, "--verbose") == 0)
        return o->verbose = true;
    if (strcmp(option, "--twice") == 0)
        return o->twice = true;
    if (strcmp(option, "--seeds") != 0 || *at + 1 == argc || sscanf(argv[*at + 1], "%llu..%llu", &o->from, &o->to) != 2)
        return false;
    ++*at;
    return true;
}

/* The hash of all that happened. */
static uint64_t run(const struct sim_seeds *o, uint64_t seed, const char *replay, sim_world world, void *ctx, bool again) {
    struct sim s;
    sim_init(&s, seed, o->verbose, replay);
    world(ctx, &s, again);
    uint64_t hash = s.hash;
    sim_done(&s);
    return hash;
}

int sim_seeds_run(const struct sim_seeds *o, const char *replay, sim_world world, void *ctx) {
    for (uint64_t seed = o->from; seed <= o->to; seed++) {
        uint64_t hash = run(o, seed, replay, world, ctx, false);
        if (o->twice && run(o, seed, replay, world, ctx, true) != hash) {
            fprintf(stderr, "FAILED: seed %llu does not replay: two runs differ\n", (unsigned long long)seed);
            return 1;
        }
        if (o->verbose)
            printf("seed %llu: hash %016llx\n", (unsigned long long)seed, (unsigned long long)hash);
    }
    return 0;
}
