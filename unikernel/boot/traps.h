/* Traps: all of them end the guest with a crash report. There are no interrupts: nothing enables them. */
#ifndef SPX_TRAPS_H
#define SPX_TRAPS_H

/* Fills the IDT, on stacks of their own (IST): libsodium's functions use the red zone below the stack pointer, and a
 * double fault must not depend on the stack that caused it. */
void boot_traps_init(void);

#endif
