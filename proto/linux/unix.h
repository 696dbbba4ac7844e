/* Unix sockets in a directory, however long its path is. */
#ifndef SPL_UNIX_H
#define SPL_UNIX_H

#include "proto/linux/error.h"

/* A nonblocking listener (0600) on `name` under dirfd; replaces what a dead process left there. */
SP_CHECK sp_err spl_unix_listen(int dirfd, const char *name, int *ret_fd, struct spl_error *err);
/* A blocking connection. ERR_NOENT when nobody listens. */
SP_CHECK sp_err spl_unix_connect(int dirfd, const char *name, int *ret_fd, struct spl_error *err);

#endif
