/* Machine start, and what follows a suspend. */
#ifndef SPX_BOOT_H
#define SPX_BOOT_H

#include <stdbool.h>
#include <stddef.h>

/* The host's main, with memory, console, clocks and randomness ready; its result is the reason given to Xen
 * (SPX_POWEROFF, SPX_REBOOT, SPX_CRASH). The command line is cut after 1023 bytes. */
unsigned spx_main(const char *command_line);

/* Stops for `xl save` or a migration and returns when the toolstack goes on: true when that was cancelled and
 * everything is as it was. False after a restore: hypercalls, clocks, console and randomness are made ready again
 * (spx_now goes on from where it stopped, spx_wall says the new time); the caller drops its sessions, and sets up grants, event channels and xenstore from nothing, before it sends anything. */
bool spx_suspend(void);

/* The most that the stack has ever held, in bytes: it was zero at the start. */
size_t spx_stack_used(void);

#endif
