#define _GNU_SOURCE
#include "proto/linux/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

sp_err spl_error_set(struct spl_error *err, sp_err code, const char *format, ...) {
    if (err != NULL) {
        va_list ap;
        va_start(ap, format);
        vsnprintf(err->text, sizeof err->text, format, ap);
        va_end(ap);
    }
    return code;
}

static sp_err code_of(int e) {
    switch (e) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return SP_ERR_NOSPC;
    case EACCES:
    case EPERM:
    case EROFS:
        return SP_ERR_DENIED;
    case ENOENT:
    case ENOTDIR:
        return SP_ERR_NOENT;
    case EADDRINUSE:
    case EEXIST:
        return SP_ERR_EXIST;
    case ENOMEM:
        return SP_ERR_FULL;
    default:
        return SP_ERR_IO;
    }
}

sp_err spl_error_errno(struct spl_error *err, const char *format, ...) {
    int e = errno;
    if (err != NULL) {
        va_list ap;
        va_start(ap, format);
        int n = vsnprintf(err->text, sizeof err->text, format, ap);
        va_end(ap);
        if (n >= 0 && (size_t)n < sizeof err->text)
            snprintf(err->text + n, sizeof err->text - (size_t)n, ": %s", strerror(e));
    }
    return code_of(e);
}

void spl_say(const char *format, ...) {
    char text[1024];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    fprintf(stderr, "%s: %s\n", program_invocation_short_name, text);
}
