/* Tracing: typed events with fixed fields through one sink, free when off. The core formats no text. */
#ifndef SP_BASE_TRACE_H
#define SP_BASE_TRACE_H

#include <stddef.h>
#include <stdint.h>

#include "proto/base/time.h"

/* number, name, meaning of a and b */
#define SP_TRACE_LIST(X)                              \
    X(1, query_answered, "rcode", "bytes")            \
    X(2, update_accepted, "serial", "changes")        \
    X(3, update_refused, "rcode", "ede")              \
    X(4, lease_expired, "serial", "rrsets")           \
    X(5, log_flushed, "sequence", "records")          \
    X(6, log_replayed, "sequence", "records")         \
    X(7, snapshot_taken, "sequence", "blocks")        \
    X(8, stream_opened, "id", "open")                 \
    X(9, stream_closed, "id", "reason")               \
    X(10, agent_state, "from", "to")                  \
    X(11, agent_sent, "kind", "attempt")              \
    X(12, path_chosen, "from", "tactic")              \
    X(13, operator_request, "key", "verb") /* key: the first 6 bytes */

enum sp_trace_kind {
#define X(num, name, a, b) SP_TRACE_##name = (num),
    SP_TRACE_LIST(X)
#undef X
};

struct sp_trace_event {
    sp_instant at;
    uint32_t node; /* which core of a simulation; 0 in a daemon */
    uint16_t kind;
    uint64_t a, b;
};

struct sp_trace {
    void (*sink)(void *ctx, const struct sp_trace_event *ev); /* NULL: off */
    void *ctx;
    uint32_t node;
};

static inline void sp_trace(const struct sp_trace *t, sp_instant at, enum sp_trace_kind kind, uint64_t a, uint64_t b) {
    if (__builtin_expect(t != NULL && t->sink != NULL, 0)) {
        struct sp_trace_event ev = {at, t->node, (uint16_t)kind, a, b};
        t->sink(t->ctx, &ev);
    }
}

#endif
