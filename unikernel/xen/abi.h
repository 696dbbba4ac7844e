/* Xen's public structures and numbers, from libxen-dev, in the version that this code is written to. */
#ifndef SPX_ABI_H
#define SPX_ABI_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifndef __XEN_INTERFACE_VERSION__
#define __XEN_INTERFACE_VERSION__ 0x00040e00
#endif
#include <xen/xen.h>

#define SPX_PAGE 4096

/* The frame number of a page: memory is mapped where it is. */
static inline uint32_t spx_frame_of(const void *page) {
    return (uint32_t)((uintptr_t)page / SPX_PAGE);
}

#endif
