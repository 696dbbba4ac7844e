/* What tcp.c and tcp_open.c share; not for others. */
#ifndef SPL_TCP_STREAM_H
#define SPL_TCP_STREAM_H

#include "proto/linux/room.h"
#include "proto/linux/tcp.h"

enum stream_state {
    STREAM_FREE,
    STREAM_CONNECTING, /* the core asked for it */
    STREAM_OPEN,       /* both we and the core know it */
    STREAM_CLOSING,    /* the core is done with it: the rest goes out, then we close */
    STREAM_LINGER,     /* our side is shut; what still comes is thrown away */
};

struct stream {
    struct spl_tcp *tcp;
    struct event rd, wr;
    enum stream_state state;
    int fd;
    uint32_t generation;
    uint64_t id;      /* what the core knows it by */
    sp_err err;       /* why it could not be connected */
    sp_instant until; /* once it is closing */
    uint8_t *tx;
    size_t tx_at, tx_len, tx_cap; /* tx_len bytes from tx_at on wait to be sent */
    size_t credit;                /* sent, not yet given back */
    bool dirty, broken;           /* on the list of streams to look at; an error: close it */
    bool by_credit;               /* the core says how much it takes: */
    size_t allowed;               /* so much */
    bool peer_ended, ends, ended; /* the peer sends no more; nor does the core, once tx is out; and that was said */
    uint32_t next;                /* in the list of dirty or of free streams; SPL_STREAM_NONE ends it */
    uint32_t chain;               /* of connected streams whose ids have one hash */
};

#define SPL_STREAM_NONE   UINT32_MAX
#define SPL_STREAM_CHAINS 256u
#define SPL_STREAM_READ ((size_t)64 << 10)

struct listener {
    struct spl_tcp *tcp;
    struct event ev, pause;
    int fd;
};

struct spl_tcp {
    struct spl_loop *loop;
    struct spl_tcp_counts counts;
    struct listener listeners[SPL_TCP_LISTENERS];
    unsigned listener_count;
    struct stream *streams;
    uint32_t cap, free, dirty;
    uint32_t chains[SPL_STREAM_CHAINS]; /* connected streams, by id */
    uint64_t *failed;                   /* ids that there was no room to connect: the next flush tells the core */
    uint32_t failed_count;
    uint8_t in[SPL_STREAM_READ];
};

/* An open or connecting stream, or NULL. */
struct stream *spl_stream_find(struct spl_tcp *t, uint64_t id);
/* On the list of streams that the next flush looks at. */
void spl_stream_mark(struct spl_tcp *t, struct stream *st);
/* Closes now. A stream on the dirty list is put on the free list when that is walked. */
void spl_stream_drop(struct spl_tcp *t, struct stream *st, bool reset);
/* From here on the stream has `seconds` left, whatever its peer does. */
void spl_stream_limit(struct stream *st, enum stream_state state, unsigned seconds);
bool spl_stream_late(const struct stream *st, short what);
/* A free stream, or NULL. */
struct stream *spl_stream_take(struct spl_tcp *t);
/* A stream that the core connects is found by this id from now on. */
void spl_stream_name(struct spl_tcp *t, struct stream *st, uint64_t id);
void spl_stream_watch(struct stream *st);
/* The core gets to know an open stream; what it does not take is closed. */
void spl_stream_introduce(struct spl_tcp *t, struct stream *st, const struct sp_addr *peer);
/* The end of an attempt to connect. */
void spl_stream_connected(struct stream *st, short what);
/* The loop's streams; made if there are none. NULL without memory. */
struct spl_tcp *spl_tcp_room(struct spl_loop *loop, unsigned streams);

#endif
