/* Names of functions: a table that the build makes of the linked image and links into it (boot/symbols.py). */
#ifndef SPX_SYMBOLS_H
#define SPX_SYMBOLS_H

#include <stdbool.h>
#include <stdint.h>

#define SPX_SYMBOL_MAX 64

struct spx_symbol {
    char name[SPX_SYMBOL_MAX];
    uint64_t offset; /* bytes from the function's start */
};

/* The function that an address lies in; false when it is not in the text, or the image has no table. */
bool spx_symbol_find(uint64_t address, struct spx_symbol *ret);
bool spx_symbol_is_text(uint64_t address);

#endif
