/* What the power-cut program runs: one seed through one scenario. */
#ifndef SP_TESTS_SIM_POWERCUT_H
#define SP_TESTS_SIM_POWERCUT_H

#include "tests/sim/sim.h"

struct powercut_result {
    uint64_t cuts;                /* times that the power or the machine went */
    uint64_t acknowledged;        /* records or updates that had to be there afterwards */
    uint64_t lost;                /* unacknowledged ones that were not: shows that cuts do cut */
    uint64_t snapshots, failures; /* failures: injected device errors */
};

void powercut_log(struct sim *s, unsigned lives, struct powercut_result *r);
void powercut_server(struct sim *s, unsigned lives, struct powercut_result *r);

#endif
