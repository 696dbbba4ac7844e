/* Machine start: what boot_main hands to the host's main. */
#ifndef SPX_BOOT_H
#define SPX_BOOT_H

#include <stddef.h>
#include <stdint.h>

/* Free memory: from the image's end to the end of the RAM that it lies in. */
struct spx_memory {
    uint8_t *from, *to;
};

/* The host's main; its result is the reason given to Xen (SPX_POWEROFF, SPX_CRASH). */
unsigned spx_main(struct spx_memory memory, const char *command_line);

#endif
