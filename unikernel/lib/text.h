/* Short text without stdio: paths of the xenstore, numbers in decimal. */
#ifndef SPX_TEXT_H
#define SPX_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Text that is put together in a fixed buffer; what does not fit sets `cut`. Always ends with a zero byte. */
struct spx_text {
    char s[256];
    size_t len;
    bool cut;
};

void spx_text_clear(struct spx_text *t);
void spx_text_add(struct spx_text *t, const char *more);
void spx_text_bytes(struct spx_text *t, const void *bytes, size_t len);
void spx_text_number(struct spx_text *t, uint64_t n);
bool spx_text_same(const char *a, const char *b);
/* All of `len` bytes are decimal digits (at least one) and the number fits: true, and the number. */
bool spx_text_parse(const void *text, size_t len, uint64_t *ret);
/* "aa:bb:cc:dd:ee:ff" */
bool spx_text_mac(const void *text, size_t len, uint8_t ret[6]);

#endif
