/* What test programs share: memory for cores, files, hex. */
#ifndef SP_TESTS_SUPPORT_H
#define SP_TESTS_SUPPORT_H

#include <stddef.h>
#include <stdint.h>

#include "proto/base/host.h"

/* Chunks from the heap, zeroed and aligned. */
struct sp_grant sp_test_grant(void);
/* The whole file, zero-terminated, or NULL; free() it. */
char *sp_test_read(const char *path, size_t *ret_len);
/* Bytes of a hex string (spaces skipped); returns how many. */
size_t sp_test_hex(const char *hex, uint8_t *ret, size_t cap);

#endif
