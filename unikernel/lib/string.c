/* Memory: what the compiler calls where it does not write the instructions itself. By words that may overlap, all of
 * which are read before the first is written when there are few: `rep movsb` takes long to start on any CPU, and a step
 * a byte on an emulated one. */
#include <stddef.h>
#include <stdint.h>

typedef uint16_t two __attribute__((may_alias, aligned(1)));
typedef uint32_t four __attribute__((may_alias, aligned(1)));
typedef uint64_t eight __attribute__((may_alias, aligned(1)));
typedef uint64_t sixteen __attribute__((vector_size(16), may_alias, aligned(1)));

void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);

/* Fewer than 16 bytes. */
static inline void set_few(uint8_t *t, uint64_t word, size_t n) {
    if (n >= 8) {
        *(eight *)t = word;
        *(eight *)(t + n - 8) = word;
    } else if (n >= 4) {
        *(four *)t = (uint32_t)word;
        *(four *)(t + n - 4) = (uint32_t)word;
    } else if (n >= 2) {
        *(two *)t = (uint16_t)word;
        *(two *)(t + n - 2) = (uint16_t)word;
    } else if (n == 1) {
        *t = (uint8_t)word;
    }
}

static inline void copy_few(uint8_t *t, const uint8_t *f, size_t n) {
    if (n >= 8) {
        eight first = *(const eight *)f, last = *(const eight *)(f + n - 8);
        *(eight *)t = first;
        *(eight *)(t + n - 8) = last;
    } else if (n >= 4) {
        four first = *(const four *)f, last = *(const four *)(f + n - 4);
        *(four *)t = first;
        *(four *)(t + n - 4) = last;
    } else if (n >= 2) {
        two first = *(const two *)f, last = *(const two *)(f + n - 2);
        *(two *)t = first;
        *(two *)(t + n - 2) = last;
    } else if (n == 1) {
        *t = *f;
    }
}

/* Upwards: also when `t` lies before what it overlaps. */
static inline void copy_up(uint8_t *t, const uint8_t *f, size_t n) {
    if (n < 16) {
        copy_few(t, f, n);
        return;
    }
    sixteen last = *(const sixteen *)(f + n - 16);
    uint8_t *end = t + n - 16;
    for (; t < end; t += 16, f += 16)
        *(sixteen *)t = *(const sixteen *)f;
    *(sixteen *)end = last;
}

static inline void copy_down(uint8_t *t, const uint8_t *f, size_t n) {
    if (n < 16) {
        copy_few(t, f, n);
        return;
    }
    sixteen first = *(const sixteen *)f;
    for (; n > 16; n -= 16)
        *(sixteen *)(t + n - 16) = *(const sixteen *)(f + n - 16);
    *(sixteen *)t = first;
}

void *memcpy(void *restrict to, const void *restrict from, size_t n) {
    copy_up(to, from, n);
    return to;
}

void *memmove(void *to, const void *from, size_t n) {
    if ((uintptr_t)to - (uintptr_t)from >= n)
        copy_up(to, from, n);
    else
        copy_down(to, from, n);
    return to;
}

void *memset(void *to, int c, size_t n) {
    uint8_t *t = to;
    uint64_t word = (uint8_t)c * UINT64_C(0x0101010101010101);
    if (n < 16) {
        set_few(t, word, n);
        return to;
    }
    sixteen all = {word, word};
    uint8_t *end = t + n - 16;
    for (; end - t >= 64; t += 64) {
        *(sixteen *)t = *(sixteen *)(t + 16) = all;
        *(sixteen *)(t + 32) = *(sixteen *)(t + 48) = all;
    }
    for (; t < end; t += 16)
        *(sixteen *)t = all;
    *(sixteen *)end = all;
    return to;
}

int memcmp(const void *a, const void *b, size_t n) {
    const uint8_t *x = a, *y = b;
    for (; n >= 8; n -= 8, x += 8, y += 8) {
        uint64_t v = *(const eight *)x, w = *(const eight *)y;
        if (v != w)
            return __builtin_bswap64(v) < __builtin_bswap64(w) ? -1 : 1;
    }
    for (; n > 0; n--, x++, y++)
        if (*x != *y)
            return *x - *y;
    return 0;
}

size_t strlen(const char *s) {
    size_t n = 0;
    while (s[n] != 0)
        n++;
    return n;
}
