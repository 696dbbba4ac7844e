/* A block device over a regular file: SP_EV_BLK goes here, SP_IN_BLK comes back. Small writes go to the page cache at
 * once, flushes and long requests to a helper thread, so that the loop never waits for the disk. */
#ifndef SPL_DISK_H
#define SPL_DISK_H

#include "proto/linux/loop.h"

/* Opens or creates `name` under dirfd (0600, no links followed). A new file gets `blocks` blocks; one that is in use
 * keeps its size. *ret_blocks: capacity. *ret_blank: the file is new, or nothing but zeros. What others may
 * read is closed to them. ERR_DENIED, ERR_NOSPC, ERR_IO, ERR_FORM (not a regular file, a link, empty, or too short). */
SP_CHECK sp_err spl_disk_open(struct spl_loop *loop, int dirfd, const char *name, uint64_t blocks, uint64_t *ret_blocks,
                              bool *ret_blank, struct spl_error *err);

#endif
