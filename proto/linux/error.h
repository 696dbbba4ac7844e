/* Errors of the Linux hosts: one line that says what failed, why, and what to do next. */
#ifndef SPL_ERROR_H
#define SPL_ERROR_H

#include "proto/base/err.h"

struct spl_error {
    char text[512];
};

/* Fills err (may be NULL) from a format and returns `code`, so that a caller can return it. */
sp_err spl_error_set(struct spl_error *err, sp_err code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same with ": " and the text of errno behind. ENOSPC is ERR_NOSPC, EACCES and EPERM are ERR_DENIED, ENOENT is
 * ERR_NOENT, EADDRINUSE and EEXIST are ERR_EXIST, the rest ERR_IO. */
sp_err spl_error_errno(struct spl_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* One line to stderr, with the program's name in front. Warnings and a daemon's quiet log. */
void spl_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
