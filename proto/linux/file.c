#define _GNU_SOURCE
#include "proto/linux/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

sp_err spl_dir_open(int *ret_fd, const char *path, struct spl_error *err) {
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return spl_error_errno(err, "cannot create the directory %s", path);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return spl_error_errno(err, "cannot open the directory %s", path);
    struct stat st;
    sp_err e = SP_OK;
    if (fstat(fd, &st) != 0)
        e = spl_error_errno(err, "cannot look at the directory %s", path);
    else if ((st.st_mode & 022) != 0)
        e = spl_error_set(err, SP_ERR_DENIED, "the directory %s may be written by others; run: chmod 700 %s", path,
                          path);
    else if (faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) != 0)
        e = spl_error_errno(err, "cannot write to the directory %s", path);
    if (e != SP_OK) {
        close(fd);
        return e;
    }
    *ret_fd = fd;
    return SP_OK;
}

sp_err spl_dir_lock(int dirfd, const char *path, struct spl_error *err) {
    int fd = openat(dirfd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return spl_error_errno(err, "cannot open the lock file %s/lock", path);
    char pid[32] = "";
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int e = errno;
        ssize_t n = e == EWOULDBLOCK ? read(fd, pid, sizeof pid - 1) : 0;
        pid[n > 0 ? (size_t)n : 0] = 0;
        pid[strcspn(pid, "\n")] = 0;
        close(fd);
        errno = e;
        if (e != EWOULDBLOCK)
            return spl_error_errno(err, "cannot lock %s/lock", path);
        return spl_error_set(err, SP_ERR_EXIST,
                             "the directory %s is in use by process %s; stop that one first, or give another directory",
                             path, pid[0] != 0 ? pid : "(unknown)");
    }
    /* The descriptor stays open: the lock lives as long as the process. */
    int n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t)n, 0) != n)
        return spl_error_errno(err, "cannot write to the lock file %s/lock", path);
    return SP_OK;
}

sp_err spl_file_read(int dirfd, const char *name, size_t max, uint8_t **ret, size_t *ret_len, struct spl_error *err) {
    bool std = dirfd == AT_FDCWD && strcmp(name, "-") == 0;
    int fd = std ? STDIN_FILENO : openat(dirfd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return spl_error_errno(err, "cannot read %s", name);
    uint8_t *data = NULL;
    size_t len = 0, cap = 0;
    sp_err e = SP_OK;
    for (;;) {
        if (cap - len < 2) {
            size_t more = cap == 0 ? 4096 : cap * 2;
            uint8_t *grown = malloc(more);
            if (grown == NULL) {
                e = spl_error_set(err, SP_ERR_FULL, "no memory to read %s", name);
                break;
            }
            if (len > 0)
                memcpy(grown, data, len);
            spl_file_free(data, len);
            data = grown;
            cap = more;
        }
        ssize_t n = read(fd, data + len, cap - len - 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            e = spl_error_errno(err, "cannot read %s", name);
        if (n <= 0)
            break;
        len += (size_t)n;
        if (len > max) {
            e = spl_error_set(err, SP_ERR_FULL, "%s is longer than %zu bytes", name, max);
            break;
        }
    }
    if (!std)
        close(fd);
    if (e != SP_OK) {
        spl_file_free(data, len);
        return e;
    }
    data[len] = 0;
    *ret = data;
    *ret_len = len;
    return SP_OK;
}

void spl_file_free(uint8_t *data, size_t len) {
    if (data != NULL)
        explicit_bzero(data, len);
    free(data);
}

static sp_err write_all(int fd, const uint8_t *data, size_t len, const char *name, struct spl_error *err) {
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return spl_error_errno(err, "cannot write %s", name);
        data += n;
        len -= (size_t)n;
    }
    if (fsync(fd) != 0)
        return spl_error_errno(err, "cannot write %s to the disk", name);
    return SP_OK;
}

sp_err spl_file_write(int dirfd, const char *name, const void *data, size_t len, struct spl_error *err) {
    char temp[300];
    if (snprintf(temp, sizeof temp, "%s.new", name) >= (int)sizeof temp)
        return spl_error_set(err, SP_ERR_FORM, "the file name %s is too long", name);
    if (unlinkat(dirfd, temp, 0) != 0 && errno != ENOENT)
        return spl_error_errno(err, "cannot remove %s", temp);
    int fd = openat(dirfd, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return spl_error_errno(err, "cannot create %s", temp);
    sp_err e = write_all(fd, data, len, temp, err);
    close(fd);
    if (e == SP_OK && renameat(dirfd, temp, dirfd, name) != 0)
        e = spl_error_errno(err, "cannot rename %s to %s", temp, name);
    if (e != SP_OK) {
        unlinkat(dirfd, temp, 0);
        return e;
    }
    if (dirfd != AT_FDCWD && fsync(dirfd) != 0)
        return spl_error_errno(err, "cannot write the directory of %s to the disk", name);
    return SP_OK;
}
