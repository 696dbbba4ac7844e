/* The control socket: a unix stream (0600) under a directory. One request, one reply, each u32 length (big endian) and
 * bytes; only root and our own user. */
#ifndef SPL_CONTROL_H
#define SPL_CONTROL_H

#include "proto/linux/loop.h"

#define SPL_CONTROL_CLIENTS   16
#define SPL_CONTROL_TIMEOUT_S 30 /* to send a request, to take a reply */

/* A whole request of an authorised peer; data is borrowed until return. The reply may come later, by id. */
typedef void spl_control_request(void *ctx, uint64_t id, const uint8_t *data, size_t len);

/* Listens on `name` under dirfd (a stale socket is replaced: hold the directory's lock first). request NULL: requests
 * go to the core as SP_IN_CONTROL, and SP_OUT_CONTROL answers. */
SP_CHECK sp_err spl_control_listen(struct spl_loop *loop, int dirfd, const char *name, size_t request_max,
                                   spl_control_request *request, void *ctx, struct spl_error *err);
/* Answers a request; nothing if its peer has gone. */
void spl_control_reply(struct spl_loop *loop, uint64_t id, const uint8_t *data, size_t len);

/* The client's side, blocking: *ret is malloc'ed. ERR_NOENT: nothing listens there. ERR_DENIED, ERR_FORM (reply over
 * reply_max), ERR_IO. */
SP_CHECK sp_err spl_control_call(const char *dir, const char *name, const uint8_t *data, size_t len, size_t reply_max,
                                 uint8_t **ret, size_t *ret_len, struct spl_error *err);

#endif
