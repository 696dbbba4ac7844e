/* Where the parts of the image lie: signpost.lds. */
#ifndef SPX_IMAGE_H
#define SPX_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

extern uint8_t image_start[], text_start[], text_end[], rodata_start[], data_start[];
extern uint8_t stack_guard[], stack_low[], stack_top[], trap_guard[], trap_low[], trap_top[];
extern uint8_t fault_guard[], fault_low[], fault_top[], image_end[];

static inline bool in_range(uint64_t address, const uint8_t *from, const uint8_t *to) {
    return address >= (uint64_t)from && address < (uint64_t)to;
}

#endif
