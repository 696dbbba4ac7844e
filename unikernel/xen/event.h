/* Event channels: numbers on which another domain wakes this one.
 *
 * No interrupts and no upcall: a channel's pending bit is looked at, and SCHEDOP_poll waits for any of a few channels
 * or for a deadline. Xen looks at the bits once more after it has marked the CPU as blocked, so no event is lost
 * between our look and the wait. (SCHEDOP_block would need interrupts enabled, a vector and a handler for the same.) */
#ifndef SPX_EVENT_H
#define SPX_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"
#include "proto/base/time.h"

/* So many channels can be waited for at once (SCHEDOP_poll's own limit is 128). */
#define SPX_EVENT_WAIT_MAX 32

/* A channel that the domain `remote` may connect to; 0 when Xen gives none. */
uint32_t spx_event_alloc(uint16_t remote);
/* Closes a channel; what is pending on it is forgotten. 0 is ignored. */
void spx_event_close(uint32_t port);
/* True when something was pending on the channel, which it then is no more. Look at what the channel stands for after
 * this. */
bool spx_event_take(uint32_t port);
/* Makes something pending on the channel, for us alone: a reminder that the next wait does not wait. */
void spx_event_raise(uint32_t port);
/* Waits until something is pending on one of n <= SPX_EVENT_WAIT_MAX channels (zeros are skipped), or the deadline has
 * come. May return for no reason. */
void spx_event_wait(const uint32_t *ports, size_t n, sp_instant deadline);

#endif
