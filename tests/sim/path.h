/* What the path program runs: one seed through one scenario. */
#ifndef SP_TESTS_SIM_PATH_H
#define SP_TESTS_SIM_PATH_H

#include "tests/sim/sim.h"

/* Printed with the seed's result when verbose, and summed up over the seeds. */
struct path_result {
    uint64_t worlds, pairs, direct, relayed, packets;
};

void path_net(struct sim *s, struct path_result *r); /* the virtual Internet itself */

#endif
