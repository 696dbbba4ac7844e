/* What the files of tcpd share: streams over our own TCP, as services for a peer and as verbs that a test gives. */
#ifndef TESTS_INTEROP_TCPD_H
#define TESTS_INTEROP_TCPD_H

#include "proto/net/tcp.h"

/* ---- tcpd_pattern.c ---- */

/* A prime, so that bytes of one place never pass for those of another that lies a round distance off. */
#define PATTERN_LEN 1048573u
/* The bytes of a seed, twice in a row: PATTERN_LEN of them are there from every place. Kept for the latest seeds only. */
const uint8_t *pattern_of(uint64_t seed);
uint32_t crc32_add(uint32_t crc, const uint8_t *data, size_t len);

/* ---- tcpd_streams.c ---- */

struct streams {
    struct sp_tcp *tcp;
    /* Connects from the best address of ours. */
    sp_err (*connect)(void *ctx, sp_instant now, const struct sp_addr *remote, struct sp_tcp_conn **ret);
    void *ctx;
    uint32_t slow; /* bytes a second that a slow reader takes */
    unsigned slow_readers;
    sp_instant tick;
    struct job *jobs;
    uint64_t late_bytes; /* what `source` got after its own END */
    uint32_t late_crc;
    unsigned open; /* streams */
};

/* One end of a connection. */
struct stream {
    struct streams *all;
    struct sp_tcp_conn *conn;
    const struct role *role;
    struct job *job; /* NULL: a service's */
    uint64_t seed;
    uint64_t out, out_len; /* bytes of the pattern: written, to be written */
    uint64_t in, in_len;   /* and received; in_len: to be compared */
    uint64_t wrong, wrong_at;
    uint32_t crc;
    uint8_t *held; /* goes before the pattern */
    size_t held_at, held_len, held_cap;
    uint64_t owed; /* received and not said to be consumed */
    bool echo;     /* what is written of `held` was received: it is consumed then */
    bool fin;      /* END when everything is written */
    bool ended, peer_ended, gone, opened, slow;
    uint64_t round_end;
    sp_instant begun;
    struct stream *next, *prev; /* slow readers, or those of a job */
    size_t line_len;
    char line[64]; /* the first one that came */
};

struct role {
    void (*opened)(struct stream *st, sp_instant now);
    void (*data)(struct stream *st, sp_instant now, const uint8_t *data, size_t len);
    void (*end)(struct stream *st, sp_instant now);                 /* the peer's */
    void (*wrote)(struct stream *st, sp_instant now);               /* there was room, and it was used */
    void (*closed)(struct stream *st, sp_instant now, sp_err err); /* the stream goes after this */
};

enum {
    PORT_ECHO = 7,     /* sends back what comes; after the peer's END it ends, too */
    PORT_DISCARD = 9,  /* at the peer's END: "BYTES CRC32\n" and END */
    PORT_CHECK = 11,   /* "N SEED\n" and N pattern bytes come; "ok N\n" or "wrong AT\n" goes */
    PORT_SOURCE = 19,  /* "N SEED\n" comes; N pattern bytes and END go; what comes then is counted */
    PORT_SLOW = 20,    /* as discard, at some bytes a second */
    PORT_IDLE = 21,    /* reads nothing; ends when the peer does */
    PORT_CLOSER = 22,  /* closes at once */
    PORT_RESETTER = 23 /* resets at once */
};

/* Everything that has happened on connections. To be called after each input, expiry and verb. */
void streams_events(struct streams *s, sp_instant now);
void streams_expire(struct streams *s, sp_instant now);
sp_instant streams_deadline(const struct streams *s);

struct stream *stream_new(struct streams *s, struct sp_tcp_conn *conn, const struct role *role);
void stream_hold(struct stream *st, const void *data, size_t len);
void stream_pump(struct stream *st, sp_instant now); /* writes what there is to write, as far as it goes */
void stream_reset(struct stream *st, sp_instant now);
/* Compares with the pattern, from the byte `in` on. */
void stream_compare(struct stream *st, const uint8_t *data, size_t len);

/* ---- tcpd_verbs.c ---- */

/* One of the verbs below, with its words. False: not one, or not to be understood. Its answer is printed when it is done.
 *
 *   connect ADDR PORT                    and end at once
 *   send ADDR PORT n=N [seed=S] [say]    pattern bytes, END, then the peer's reply up to its END; say: "N SEED\n" goes before
 *   receive ADDR PORT n=N [seed=S]       "N SEED\n", then N bytes are compared; the peer ends
 *   both ADDR PORT n=N [seed=S]          sends and compares what comes back; END when all is back
 *   half ADDR PORT n=N [seed=S]          the same, but END when all is sent
 *   short ADDR PORT n=N [parallel=P] [size=B]    N connections, each as `both` with B bytes
 *   rounds ADDR PORT n=N [size=B]        one connection, N times as many bytes there and back
 *   reset ADDR PORT n=N                  sends, and resets once N bytes are taken
 *   cut ADDR PORT n=N                    receives twice as much, and resets once N bytes have come
 *   hold ADDR PORT n=N                   N connections, answered when all stand; `release` ends them, answered when they are gone */
bool streams_verb(struct streams *s, sp_instant now, unsigned id, char *line);

#endif
