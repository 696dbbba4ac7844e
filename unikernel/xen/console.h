/* The console ring, and port 0xe9 (Xen's log) before there is one. */
#ifndef SPX_CONSOLE_H
#define SPX_CONSOLE_H

#include <stddef.h>
#include <stdint.h>

void spx_console_init(void);
/* dom0 is told at the end of each line. Waits while the ring is full; a console that nobody reads for long loses what comes, until it is read again. */
void spx_console_write(const char *text, size_t len);
/* From now on everything goes to port 0xe9 too: for crash reports. Before spx_console_init that is so anyway. */
void spx_console_mirror(void);
/* Everything that is written is given to `tap` too, from now on; it does not write itself. */
void spx_console_tap(void (*tap)(void *ctx, const char *text, size_t len), void *ctx);
/* %s and, taken as 64-bit, %u and %x. */
void spx_print(const char *format, ...);
/* Waits until dom0 has read everything, so that nothing is lost when the domain ends. */
void spx_console_drain(void);
void spx_debug_port(const char *text);

#endif
