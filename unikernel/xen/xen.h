/* Hypercalls and clocks. Numbers and structures: Xen's public headers (libxen-dev). */
#ifndef SPX_XEN_H
#define SPX_XEN_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/time.h"

/* Why a domain stops: SHUTDOWN_poweroff, _reboot, _suspend, _crash. */
enum { SPX_POWEROFF = 0, SPX_REBOOT = 1, SPX_SUSPEND = 2, SPX_CRASH = 3 };

long hypercall(long nr, ...); /* start.S; up to four arguments */
#define SPX_HYPERCALL(nr, a, b, c, d) hypercall(nr, (long)(a), (long)(b), (long)(c), (long)(d))

/* Finds Xen's CPUID leaves and has the page of stubs filled; stops the CPU when there is no Xen. */
void spx_hypercalls_init(void);
uint64_t spx_hvm_param(uint32_t index);
/* Tells Xen of a vector for events. None is ever delivered, as interrupts stay off; but a domain without one counts as one that knows
 * nothing of Xen, which the toolstack suspends without asking. Again after a resume. */
void spx_callback_init(void);
void spx_notify(uint32_t port);
/* Leaves the CPU to others for so long; events do not end it. Does nothing before spx_clock_init. */
void spx_sleep(sp_duration ns);
/* Ends the domain: SPX_POWEROFF, SPX_REBOOT (the toolstack starts it anew) or SPX_CRASH. */
_Noreturn void spx_shutdown(unsigned reason);
/* Stops until the toolstack goes on. True when it goes on as it was; false when this is now another domain, perhaps elsewhere:
 * no grant, event channel or mapping of Xen's pages is left (boot.h has what comes next). */
bool spx_stop_for_suspend(void);
void spx_wrmsr(uint32_t msr, uint64_t value);

/* Maps the shared page; before it the clocks stand still. */
void spx_clock_init(void);
/* Time since some moment, never backwards. */
sp_instant spx_now(void);
sp_wall spx_wall(void);
/* The same moment by the clock that Xen's timers go by. */
uint64_t spx_xen_time(sp_instant at);
/* After a move: time goes on from there, whatever the new host's clock says. */
void spx_clock_go_on(sp_instant from);
/* The pending bits of event channels, in the shared page: event.h's. */
_Atomic uint64_t *spx_event_pending(void);

#endif
