/* The end of a guest that cannot go on: what happened and where, on the console and on port 0xe9. */
#ifndef SPX_CRASH_H
#define SPX_CRASH_H

#include <stdint.h>

/* From here on everything printed goes to port 0xe9 too. A crash within a crash report ends the domain at once. */
void spx_crash_begin(void);
/* The functions that led to pc, one a line, by the chain of frame pointers; where that is broken (libsodium keeps none)
 * every word of the stack that looks like a return address is shown, with a question mark. `low` to `high` is the
 * stack. */
void spx_backtrace(uint64_t pc, uint64_t sp, uint64_t fp, uint64_t low, uint64_t high);
/* One line of it, `mark` at its end. */
void spx_print_address(const char *mark, uint64_t address);
/* Waits for dom0 to read the report and ends the domain as crashed. */
_Noreturn void spx_crash_end(void);
/* All of it for a fault of the program itself. */
_Noreturn void spx_crash(const char *why);

#endif
