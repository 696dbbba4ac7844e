/* The clocks, randomness and memory that a Linux host gives to a core. */
#ifndef SPL_CLOCK_H
#define SPL_CLOCK_H

#include "proto/base/host.h"

sp_instant spl_now(void); /* CLOCK_MONOTONIC */
sp_wall spl_wall(void);   /* CLOCK_REALTIME */

/* Random bytes from the kernel, once it has gathered enough; panics if it has none to give. */
void spl_seed(void *out, size_t len);

/* Chunks from mmap, aligned to SP_CHUNK, zeroed, kept out of core dumps and children. No state; may be used by many
 * cores. */
struct sp_grant spl_grant(void);
/* The same without huge pages: what is not used costs nothing. */
struct sp_grant spl_grant_small(void);

#endif
