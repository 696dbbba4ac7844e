#define _GNU_SOURCE
#include "proto/linux/unix.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* A socket's path has at most 107 bytes; a directory's has not: go through its descriptor. */
static bool path_of(struct sockaddr_un *ret, int dirfd, const char *name) {
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    int n = snprintf(ret->sun_path, sizeof ret->sun_path, "/proc/self/fd/%d/%s", dirfd, name);
    return n > 0 && (size_t)n < sizeof ret->sun_path;
}

sp_err spl_unix_listen(int dirfd, const char *name, int *ret_fd, struct spl_error *err) {
    struct sockaddr_un sun;
    if (!path_of(&sun, dirfd, name))
        return spl_error_set(err, SP_ERR_FORM, "the socket name %s is too long", name);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return spl_error_errno(err, "cannot make the control socket %s", name);
    unlinkat(dirfd, name, 0);
    mode_t old = umask(0177);
    int r = bind(fd, (struct sockaddr *)&sun, sizeof sun);
    int e = errno;
    umask(old);
    errno = e;
    if (r != 0 || listen(fd, 16) != 0) {
        sp_err code = spl_error_errno(err, "cannot make the control socket %s", name);
        close(fd);
        return code;
    }
    *ret_fd = fd;
    return SP_OK;
}

sp_err spl_unix_connect(int dirfd, const char *name, int *ret_fd, struct spl_error *err) {
    struct sockaddr_un sun;
    if (!path_of(&sun, dirfd, name))
        return spl_error_set(err, SP_ERR_FORM, "the socket name %s is too long", name);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return spl_error_errno(err, "cannot make a socket");
    if (connect(fd, (struct sockaddr *)&sun, sizeof sun) != 0) {
        sp_err code = errno == ECONNREFUSED ? SP_ERR_NOENT : spl_error_errno(NULL, "x");
        if (errno == ECONNREFUSED || errno == ENOENT)
            (void)spl_error_set(err, code, "nothing listens on %s", name);
        else
            (void)spl_error_errno(err, "cannot connect to %s", name);
        close(fd);
        return code;
    }
    *ret_fd = fd;
    return SP_OK;
}
