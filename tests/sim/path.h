/* What the path program runs: one seed through one scenario. */
#ifndef SP_TESTS_SIM_PATH_H
#define SP_TESTS_SIM_PATH_H

#include "tests/sim/sim.h"

/* Printed with the seed's result when verbose, and summed up over the seeds. */
struct path_result {
    uint64_t worlds, pairs, direct, relayed, packets;
};

void path_net(struct sim *s, struct path_result *r);    /* the virtual Internet itself */
void path_matrix(struct sim *s, struct path_result *r); /* every pair of places reaches what it can */
void path_timing(struct sim *s, struct path_result *r); /* how soon paths are there, and there again */
void path_mtu(struct sim *s, struct path_result *r);    /* narrow paths */
void path_chaos(struct sim *s, struct path_result *r);  /* all that goes wrong, for a while */
void path_hostile(struct sim *s,
                  struct path_result *r); /* strangers who send what they like, and a signpost that lies */
void path_plaintext(struct sim *s, struct path_result *r); /* fails: agents whose cipher hides nothing */

void path_long(struct sim *s, struct path_result *r); /* mappings that end, quiet times, a signpost gone for long */
void path_userspace(struct sim *s, struct path_result *r); /* streams of programs, over ways that lose and change */
void path_thin(struct sim *s, struct path_result *r); /* ways that carry probes and drop data */

#endif
