/* The programs of a world's devices: they ask for names, send numbered datagrams in UDP over IPv6, and give back what
 * they get. Used through world.h. */
#ifndef SP_TESTS_SIM_PROGRAMS_H
#define SP_TESTS_SIM_PROGRAMS_H

#include "tests/sim/world.h"

struct sim_programs sim_programs(struct sim_world *w);
void sim_letter_free(struct sim_letter *l);

#endif
