/* The xenstore: a tree of short texts that dom0 keeps, through a ring of bytes in a shared page.
 *
 * Asynchronous: requests are queued and have ids, replies come in any order, and a watch that fires sets a flag of its
 * token (0 to 31), however often. The ring's page is not trusted: indices and lengths are checked, and a store that
 * breaks the protocol is given up (`fault` says why) and every later call fails.
 *
 * The functions of xenstore_call.c wait for their reply; they are for start-up and for devices that come and go, while
 * nothing asynchronous is in flight. */
#ifndef SPX_XENSTORE_H
#define SPX_XENSTORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"
#include "proto/base/time.h"
#include "unikernel/lib/text.h"
#include "unikernel/xen/abi.h"

#include <xen/io/xs_wire.h>

#define SPX_XS_IN_FLIGHT 16
#define SPX_XS_OUT       2048
#define SPX_XS_TOKENS    32

struct spx_xs {
    volatile struct xenstore_domain_interface *ring;
    uint32_t port; /* its event channel */
    const char *fault;
    uint32_t fired; /* tokens of watches, as bits */
    uint32_t last_id;
    uint32_t in_flight[SPX_XS_IN_FLIGHT]; /* ids; 0: free */
    uint32_t out_len, out_at;
    uint8_t out[SPX_XS_OUT];
    uint32_t in_len; /* of header and body, so far */
    struct xsd_sockmsg header;
    uint8_t body[XENSTORE_PAYLOAD_MAX];
};

struct spx_xs_reply {
    uint32_t id, type, tx;
    sp_err err;          /* of the store: ERR_NOENT, ERR_AGAIN, ERR_DENIED, or ERR_IO for any other */
    const uint8_t *data; /* borrowed until the next call of spx_xs_poll */
    size_t len;
};

/* Over a ring as it stands; takes nothing from it. `port` is 0 in tests. */
void spx_xs_init(struct spx_xs *xs, void *ring, uint32_t port);

/* Queues a request whose body is n texts, each with its zero byte (the last one without when `bare`): the id, or 0 when
 * there is no room, too much is in flight or the store was given up. */
SP_CHECK uint32_t spx_xs_send(struct spx_xs *xs, uint32_t type, uint32_t tx, const char *const *parts, size_t n,
                              bool bare);
/* Moves bytes between queue and ring; true when the other side must be notified. */
SP_CHECK bool spx_xs_move(struct spx_xs *xs);
/* Moves bytes, and takes the next reply if one is whole; watches that fire are noted on the way. */
bool spx_xs_poll(struct spx_xs *xs, struct spx_xs_reply *ret, bool *notify);
/* True once after a watch with that token has fired. */
bool spx_xs_fired(struct spx_xs *xs, unsigned token);

/* ---- waiting: xenstore_call.c ---- */

/* Finds the domain's own ring. */
void spx_xs_open(struct spx_xs *xs);
/* Answers come at once, unless dom0 is busy or ill: after this long the store is given up for good. The waiting calls
 * leave its channel pending, so that a host's next turn looks at all watches: they may have fired meanwhile. */
#define SPX_XS_PATIENCE SP_MIN

/* One look, without waiting: moves bytes, notes watches, notifies the other side; true when it was a reply,
 * and there may be more. */
bool spx_xs_turn(struct spx_xs *xs, struct spx_xs_reply *ret);

/* Reads a node; data and len stand in `ret`, borrowed until the next call. */
SP_CHECK sp_err spx_xs_read(struct spx_xs *xs, const char *path, struct spx_xs_reply *ret);
/* The node's value as a number. ERR_FORM when it is none. */
SP_CHECK sp_err spx_xs_number(struct spx_xs *xs, const char *path, uint64_t *ret);
/* Names of the children, each with its zero byte. */
SP_CHECK sp_err spx_xs_directory(struct spx_xs *xs, const char *path, struct spx_xs_reply *ret);
SP_CHECK sp_err spx_xs_write(struct spx_xs *xs, const char *path, const char *value);
SP_CHECK sp_err spx_xs_watch(struct spx_xs *xs, const char *path, unsigned token);
SP_CHECK sp_err spx_xs_unwatch(struct spx_xs *xs, const char *path, unsigned token);

struct spx_xs_pair {
    const char *path, *value;
};
/* Writes all of them in one transaction; started over a bounded number of times when others wrote meanwhile
 * (ERR_AGAIN). */
SP_CHECK sp_err spx_xs_write_all(struct spx_xs *xs, const struct spx_xs_pair *pairs, size_t n);
/* Reads a short text and leaves an empty one in its place, in one transaction, so that no text is lost or taken twice.
 * An empty one is not written again. */
SP_CHECK sp_err spx_xs_take(struct spx_xs *xs, const char *path, struct spx_text *ret);
/* Waits until the watch fires or the deadline comes: ERR_TIME. */
SP_CHECK sp_err spx_xs_await(struct spx_xs *xs, unsigned token, sp_instant deadline);

#endif
