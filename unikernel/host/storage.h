/* What becomes of the disk: said on the console, and an end that does not wait for it for ever. */
#ifndef SPX_STORAGE_H
#define SPX_STORAGE_H

#include "unikernel/host/loop.h"

/* Once a turn: says what has changed. */
void spx_storage_tell(struct spx_loop *l);
/* The loop was asked to end: it waits for what is on its way to the disk, as long as anything gets there. */
void spx_storage_stop(struct spx_loop *l);
/* Once a turn: nothing has got there for SPX_STORAGE_PATIENCE, so it ends as it is. */
#define SPX_STORAGE_PATIENCE (10 * SP_SEC)
void spx_storage_check_stop(struct spx_loop *l);

#endif
