/* TCP connections: framing, pipelining, timeouts, limits, sending by credit. RFC 7766, 7828. */
#ifndef SP_CORE_STREAM_H
#define SP_CORE_STREAM_H

#include "proto/base/host.h"
#include "proto/base/mem.h"
#include "proto/base/ring.h"
#include "proto/base/table.h"
#include "proto/base/timers.h"

struct sp_server;
struct sp_transfer;
struct sp_ctlsession;

/* Bytes [off, len) of a buffer that grows when it must and is given back when it is empty. */
struct sp_queue {
    uint8_t *data;
    size_t off, len, cap;
};

/* A connection takes no further request while this much of its answers is unsent ... */
#define SP_STREAM_SEND_HOLD ((size_t)64 << 10)
/* ... and is reset when it sends this much more nevertheless. */
#define SP_STREAM_RECV_MAX ((size_t)192 << 10)
/* A whole message with its length. */
#define SP_STREAM_MSG (2 + (size_t)65535)

enum sp_stream_end { SP_STREAM_OPEN, SP_STREAM_FLUSH, SP_STREAM_CLOSE, SP_STREAM_RESET };

/* Why streams ended; counted. */
enum sp_stream_reason {
    SP_STREAM_BY_PEER,
    SP_STREAM_IDLE,
    SP_STREAM_FIRST,
    SP_STREAM_STALLED,
    SP_STREAM_EVICTED,
    SP_STREAM_REFUSED,
    SP_STREAM_EMPTY_MESSAGE,
    SP_STREAM_FLOODED,
    SP_STREAM_MEMORY,
    SP_STREAM_TRANSFER,
    SP_STREAM_REASONS,
};

struct sp_stream_prefix; /* of peers' addresses: IPv4 /24, IPv6 /56 */

struct sp_stream {
    struct sp_link link;
    uint64_t id;
    struct sp_addr peer, local;
    struct sp_stream_prefix *prefix;
    struct sp_ring age, kin, ready; /* of all, of its prefix (longest idle first), of those with work */
    struct sp_timer timer;
    sp_instant active;   /* opened, or the last whole message */
    sp_instant progress; /* the last time that something was sent, or that there was nothing to send */
    bool spoke;          /* a whole message has come */
    enum sp_stream_end end;
    size_t credit;
    struct sp_queue recv, send;
    uint32_t in_flight; /* updates without an answer yet */
    struct sp_transfer *transfer;
    struct sp_ctlsession *session; /* a control session that lives on it */
};

struct sp_streams {
    struct sp_mem *mem;
    struct sp_table table, prefixes;
    struct sp_ring age, ready;
    struct sp_timers timers;
    size_t limit, limit_prefix;
    size_t held; /* by control sessions: these are not evicted */
    uint64_t opened, messages, ended[SP_STREAM_REASONS];
};

void sp_streams_init(struct sp_streams *ss, struct sp_mem *mem, size_t limit, size_t limit_prefix);
void sp_streams_free(struct sp_server *s);

/* The inputs. The outbox has a free slot. */
void sp_stream_open(struct sp_server *s, const struct sp_in *in);
void sp_stream_data(struct sp_server *s, const struct sp_in *in);
void sp_stream_credit(struct sp_server *s, const struct sp_in *in);
void sp_stream_closed(struct sp_server *s, const struct sp_in *in);
void sp_streams_expire(struct sp_server *s);
/* Goes on with streams that wait for room in the outbox; stops when it is full again. */
void sp_streams_work(struct sp_server *s);
/* Whether sp_streams_work would do something. */
static inline bool sp_streams_ready(const struct sp_streams *ss) {
    return !sp_ring_alone(&ss->ready);
}

struct sp_stream *sp_stream_get(const struct sp_server *s, uint64_t id);
/* Sends the len bytes (length prefix included) that stand at sp_outbox_room: now as far as credit goes, the rest later.
 */
void sp_stream_send(struct sp_server *s, struct sp_stream *st, size_t len);
void sp_stream_finish(struct sp_server *s, struct sp_stream *st, enum sp_stream_end end, enum sp_stream_reason why);
void sp_stream_wake(struct sp_server *s, struct sp_stream *st); /* puts it on the ready list */
void sp_stream_rearm(struct sp_server *s, struct sp_stream *st);

#endif
