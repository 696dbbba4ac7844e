/* Timers: an intrusive pairing heap ordered by deadline; set, move and cancel in amortised O(log n), no memory of its own. */
#ifndef SP_BASE_TIMERS_H
#define SP_BASE_TIMERS_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/base/time.h"

struct sp_timer {
    struct sp_timer *child, *next, *prev; /* prev: left sibling, or the parent of a first child */
    sp_instant due;
    bool set;
};

struct sp_timers {
    struct sp_timer *root;
};

void sp_timer_set(struct sp_timers *ts, struct sp_timer *t, sp_instant due); /* also moves one that is set; SP_NEVER cancels */
void sp_timer_cancel(struct sp_timers *ts, struct sp_timer *t);              /* nothing when it is not set */
sp_instant sp_timers_next(const struct sp_timers *ts);                       /* SP_NEVER when empty */
/* Takes out one timer that is due at `now`, earliest first; NULL when none is. */
struct sp_timer *sp_timers_pop(struct sp_timers *ts, sp_instant now);

#endif
