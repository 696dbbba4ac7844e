/* When to let datagrams gather. Under load most of a query's cost is the kernel's, and much of that is per wake-up and
 * per system call: a server that is quicker than its clients takes a few datagrams at a time, each batch at full price.
 * A pause of some tens of microseconds between batches makes them several times larger, as the interrupt moderation of
 * a network card does.
 *
 * A pause comes after the replies have left, and delays what arrives during it. There are none below SPL_PACE_RATE, and
 * above it only while they are worth it: the CPU time of a datagram is measured without and with pauses, and the better
 * way is kept for a while. Clients that wait for an answer before they ask again gain nothing from pauses, and so get
 * none. */
#ifndef SPL_PACE_H
#define SPL_PACE_H

#include <stdbool.h>

#include "proto/base/time.h"

#define SPL_PACE_PAUSE   (40 * SP_US)
#define SPL_PACE_EPOCH   (5 * SP_MS)
#define SPL_PACE_RATE    250 /* datagrams in an epoch: 50,000 a second */
#define SPL_PACE_PROBE   8   /* epochs that measure one way */
#define SPL_PACE_SETTLED 256 /* epochs until it is measured again */
#define SPL_PACE_GAIN    32  /* a pause is worth it if it saves one part in so many */

enum spl_pace_phase { SPL_PACE_WITHOUT, SPL_PACE_WITH, SPL_PACE_KEPT };

/* All zero to begin with. */
struct spl_pace {
    enum spl_pace_phase phase;
    unsigned epochs; /* of this phase, so far */
    bool pausing;
    sp_instant begin;   /* of this epoch */
    sp_duration cpu;    /* of the thread, at its begin */
    uint64_t count;     /* datagrams in it */
    uint64_t datagrams; /* in this phase's epochs */
    sp_duration spent;  /* CPU time in them */
    sp_duration cost;   /* of 1,024 datagrams without pauses */
};

/* A batch of n datagrams was delivered; true when an epoch has ended, and spl_pace_epoch is to be called. */
bool spl_pace_count(struct spl_pace *p, sp_instant now, unsigned n);
/* cpu: the thread's CPU time. */
void spl_pace_epoch(struct spl_pace *p, sp_instant now, sp_duration cpu);

#endif
