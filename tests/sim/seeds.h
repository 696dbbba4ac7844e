/* A range of seeds, each a world: the options that every simulator takes, and the run over them. */
#ifndef SP_TESTS_SIM_SEEDS_H
#define SP_TESTS_SIM_SEEDS_H

#include "tests/sim/sim.h"

struct sim_seeds {
    unsigned long long from, to;
    bool twice, verbose;
};

/* Takes --seeds FROM..TO, --twice or --verbose at argv[*at], and leaves *at at its last word. False: it is another. */
bool sim_seeds_option(struct sim_seeds *o, int argc, char **argv, int *at);

/* Runs every seed; with `twice` once more each, as `again`, which must give the same world. replay: the command that runs a seed
 * again, for a failure's message. Returns the program's exit status. */
typedef void (*sim_world)(void *ctx, struct sim *s, bool again);
int sim_seeds_run(const struct sim_seeds *o, const char *replay, sim_world world, void *ctx);

#endif
