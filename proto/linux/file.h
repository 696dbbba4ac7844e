/* State directories and small files. */
#ifndef SPL_FILE_H
#define SPL_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "proto/linux/error.h"

/* Opens a state directory, created (0700, parents not) if missing. Returns its descriptor. Refuses one that others may
 * write to. */
SP_CHECK sp_err spl_dir_open(int *ret_fd, const char *path, struct spl_error *err);
/* Takes the lock file "lock" of a state directory until the process ends. ERR_EXIST: another process holds it (its pid
 * stands in the error). */
SP_CHECK sp_err spl_dir_lock(int dirfd, const char *path, struct spl_error *err);

/* The whole file under dirfd (or AT_FDCWD), at most max bytes, zero-terminated behind; "-" with AT_FDCWD is stdin. Free
 * with spl_file_free, which wipes. ERR_NOENT, ERR_FULL (longer than max). */
SP_CHECK sp_err spl_file_read(int dirfd, const char *name, size_t max, uint8_t **ret, size_t *ret_len,
                              struct spl_error *err);
void spl_file_free(uint8_t *data, size_t len);
/* Replaces a file (0600) as a whole and durably: temporary file, fsync, rename, fsync of the directory. */
SP_CHECK sp_err spl_file_write(int dirfd, const char *name, const void *data, size_t len, struct spl_error *err);

#endif
