/* Worlds of sim-tcp. */
#ifndef SP_TESTS_SIM_TCP_H
#define SP_TESTS_SIM_TCP_H

#include "tests/sim/sim.h"

struct tcp_result { /* of all worlds so far */
    uint64_t bytes, segments, lost, again, timeouts, black_holes;
};

void tcp_rough(struct sim *s, struct tcp_result *r);    /* any wire: loss to 30%, order, copies, limits, sizes, both families */
void tcp_slow(struct sim *s, struct tcp_result *r);     /* tiny windows, readers that take their time, little memory */
void tcp_mtu(struct sim *s, struct tcp_result *r);      /* the path's MTU changes, and not every path says so */
void tcp_gigabyte(struct sim *s, struct tcp_result *r); /* a gigabyte through 5% of loss and a wrong order */

#endif
