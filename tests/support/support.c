#define _GNU_SOURCE
#include "tests/support/support.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void sp_panic(const char *file, int line, const char *what) {
    fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, what);
    abort();
}

static void *grant(void *ctx, size_t bytes) {
    void *p;
    if (posix_memalign(&p, SP_CHUNK, bytes) != 0) /* which, unlike aligned_alloc, takes any size */
        return NULL;
    memset(p, 0, bytes);
    return p;
}

static void release(void *ctx, void *chunk, size_t bytes) {
    free(chunk);
}

struct sp_grant sp_test_grant(void) {
    return (struct sp_grant){NULL, grant, release};
}

char *sp_test_read(const char *path, size_t *ret_len) {
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        return NULL;
    char *text = NULL;
    size_t len = 0, cap = 0, got = 0;
    do {
        len += got;
        if (cap - len < 4096)
            text = realloc(text, cap = cap * 2 + 8192);
        got = fread(text + len, 1, cap - len - 1, f);
    } while (got > 0);
    fclose(f);
    text[len] = 0;
    if (ret_len != NULL)
        *ret_len = len;
    return text;
}

size_t sp_test_hex(const char *hex, uint8_t *ret, size_t cap) {
    size_t n = 0;
    unsigned value = 0, digits = 0;
    for (; *hex != 0; hex++) {
        if (!isxdigit((unsigned char)*hex))
            continue;
        value = value << 4 | (unsigned)(isdigit((unsigned char)*hex) ? *hex - '0' : tolower((unsigned char)*hex) - 'a' + 10);
        if (++digits % 2 == 0 && n < cap)
            ret[n++] = (uint8_t)value;
    }
    return n;
}
