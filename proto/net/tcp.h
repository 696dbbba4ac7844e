/* TCP (RFC 9293) between IP packets and streams of bytes. Sans-I/O, on top of an interface of Ethernet or of a tunnel alike.
 *
 *   a segment comes   sp_tcp_input, then sp_tcp_event until there is none
 *   time has come     sp_tcp_expire when sp_tcp_deadline says so, then the events
 *   bytes to send     sp_tcp_write; to be taken back: sp_tcp_consumed opens the peer's window
 *   afterwards        sp_tcp_output until there is none: segments, their payload in pieces that lie in the send buffer
 *
 * Received bytes in order are handed on where they lie in the packet; only what came too early is copied. Connections,
 * half-open ones, those in TIME-WAIT, and the bytes that all buffers hold are bounded; whatever is refused is counted.
 * Buffers and records come from pools that grow within the memory given and are used again. */
#ifndef SP_NET_TCP_H
#define SP_NET_TCP_H

#include "proto/base/host.h"
#include "proto/base/mem.h"
#include "proto/base/rng.h"

#define SP_TCP_HEAD_MAX 60
#define SP_TCP_PORTS    32
#define SP_TCP_SPANS    18 /* pieces of one segment's payload */
#define SP_TCP_SEND_MAX ((size_t)64000) /* payload of one output, for a device that cuts it up */

struct sp_tcp_config {
    struct sp_mem *mem;
    struct sp_rng *rng; /* borrowed as long as this lives */
    uint16_t mtu;       /* of IP packets on the link */
    uint16_t ports[SP_TCP_PORTS]; /* that are listened at */
    uint8_t port_count;
    bool every_port;     /* listen at all of them */
    bool segments;       /* an output may be larger than the MSS: the device cuts it up (TSO) */
    bool nagle;          /* RFC 1122 4.2.3.4: small segments wait while something is unacknowledged */
    /* Limits; 0: a default. */
    uint32_t connections; /* 1024, half-open ones among them */
    uint32_t half_open;   /* 256; beyond them SYN cookies are given (RFC 4987) */
    uint32_t time_waits;  /* 1024; beyond them the oldest gives way */
    size_t memory;        /* 4 MiB: bytes of all buffers */
    uint32_t send_max;    /* 4 MiB: unacknowledged and unsent bytes of a connection; beyond 256 KiB only as far as its path takes them */
    uint32_t receive_max; /* 4 MiB: of a connection: given to the reader and not consumed, and come too early. It begins with 64 KiB,
                             and grows as the reader takes more in a round trip, unless memory is short */
    sp_duration idle;     /* 2 h until a silent connection is probed; SP_NEVER: not at all */
    sp_duration give_up;  /* 15 min without progress (RFC 9293 3.8.3, R2) */
};

/* Sets the limits such that all that TCP allocates stays below so many bytes, at least 32 KiB: five eighths for buffers, of which one
 * connection has a quarter at most; the rest for connections, a quarter of which may be half-open, and for those in TIME-WAIT. */
void sp_tcp_limits_for(struct sp_tcp_config *ret, size_t memory);

struct sp_tcp;
struct sp_tcp_conn;

/* ERR_RANGE: MTU below 576 or counts; ERR_FULL: no memory. */
SP_CHECK sp_err sp_tcp_new(struct sp_tcp **ret, const struct sp_tcp_config *config);
const struct sp_tcp_config *sp_tcp_settings(const struct sp_tcp *t); /* with the defaults */
void sp_tcp_free(struct sp_tcp *t);

/* The machine was saved and goes on, elsewhere or later, and perhaps more than once from the same save: to be called before anything
 * else, when the rng was seeded anew. All connections are over without a segment (SP_TCP_CLOSED, ERR_STATE, follows for those that were
 * told of), TIME-WAITs are forgotten, and so are segments without a connection; the secrets of sequence numbers, ports (RFC 6528, 6056)
 * and cookies are new. */
void sp_tcp_resumed(struct sp_tcp *t);

/* A segment, out of its IP packet. Addresses of IPv4 stand in the first 4 bytes, the rest zero. */
struct sp_tcp_packet {
    uint8_t src[16], dst[16];
    uint8_t family;
    bool checked; /* its checksum needs no look */
    const uint8_t *data;
    size_t len;
};
void sp_tcp_input(struct sp_tcp *t, sp_instant now, const struct sp_tcp_packet *packet);
/* An ICMP error says that packets of ours are too big (RFC 8201, 5927): `quoted` is what it quotes of the segment, at least 8
 * bytes. Believed only of a segment that is under way. */
void sp_tcp_path_mtu(struct sp_tcp *t, sp_instant now, const struct sp_tcp_packet *quoted, uint16_t mtu);
/* An ICMP error says that nobody will answer (RFC 1122 4.2.3.9, the hard ones). It ends a connection whose first SYN it quotes,
 * with ERR_DENIED; for others it means nothing (RFC 5927 5.2: anybody could send it). True: it ended one. */
bool sp_tcp_unreachable(struct sp_tcp *t, const struct sp_tcp_packet *quoted);
/* What the link carries from now on: MTUs of IP packets, and whether the device cuts segments up. At first it is as the
 * configuration says. Connections whose segments would be too large send smaller ones. */
struct sp_tcp_link {
    uint16_t mtu4, mtu6; /* 576 at least */
    bool cut4, cut6;
};
void sp_tcp_link(struct sp_tcp *t, const struct sp_tcp_link *link);
void sp_tcp_expire(struct sp_tcp *t, sp_instant now);
sp_instant sp_tcp_deadline(const struct sp_tcp *t);

enum sp_tcp_event_kind {
    SP_TCP_OPENED, /* a peer has connected, or our own connecting has succeeded */
    SP_TCP_DATA,   /* the next bytes */
    SP_TCP_END,    /* the peer will send no more; we may */
    SP_TCP_ROOM,   /* sp_tcp_write, which had taken less than it was given, takes bytes again; sp_tcp_promise has more to give */
    SP_TCP_CLOSED, /* all over. err: OK, ERR_DENIED (reset or refused), ERR_TIME (no answer), ERR_FULL. The connection is gone after this
                      event. */
};
struct sp_tcp_event {
    enum sp_tcp_event_kind kind;
    struct sp_tcp_conn *conn;
    const uint8_t *data; /* borrowed until the next call */
    size_t len;
    sp_err err;
};
/* The next thing that happened; false: nothing. To be asked until false after every other call, before the packet's bytes go. */
bool sp_tcp_event(struct sp_tcp *t, struct sp_tcp_event *ret);

/* Connects from one of our addresses (port 0: one is chosen). number: the connection's, that the caller chooses, 2^62 or more; 0: the
 * next one is given, which is less. ERR_FULL; ERR_EXIST: these ends, or this number. SP_TCP_OPENED or _CLOSED follows. */
SP_CHECK sp_err sp_tcp_connect(struct sp_tcp *t, sp_instant now, const struct sp_addr *local, const struct sp_addr *remote, uint64_t number,
                               struct sp_tcp_conn **ret);
/* Takes up to len bytes to be sent and returns how many; the rest when SP_TCP_ROOM came. */
size_t sp_tcp_write(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c, const uint8_t *data, size_t len);
size_t sp_tcp_room(const struct sp_tcp *t, const struct sp_tcp_conn *c); /* what sp_tcp_write would take, memory willing */
size_t sp_tcp_queued(const struct sp_tcp_conn *c); /* bytes taken and not acknowledged */
/* For writers that write by credit: keeps room for up to `most` bytes in all that are promised and not written yet, and returns how many
 * these are more than before. So many, whatever others write meanwhile, sp_tcp_write surely takes, as long as the connection is
 * there and has not been ended. To be asked after OPENED, after each write, and when SP_TCP_ROOM comes, as it does when there was less
 * than `most` and there is more. What is promised holds memory: a connection gets a sixteenth of what is free, or 1,000 bytes. */
size_t sp_tcp_promise(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c, size_t most);
/* The reader is done with so many bytes of what it was given. */
void sp_tcp_consumed(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c, size_t len);
/* No more bytes from us: they are sent, then FIN. Bytes still come until SP_TCP_END. */
void sp_tcp_end(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c);
/* As sp_tcp_end; what comes after it has no reader any more (RFC 9293 3.6.1: it is answered by RST). No event but CLOSED follows. */
void sp_tcp_close(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c);
/* RST, at once. No event follows; the connection is gone. */
void sp_tcp_reset(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c);

/* The caller's mark of a connection; its ends; a number that no other connection gets. */
void sp_tcp_set_user(struct sp_tcp_conn *c, void *user);
void *sp_tcp_user(const struct sp_tcp_conn *c);
void sp_tcp_ends(const struct sp_tcp_conn *c, struct sp_addr *local, struct sp_addr *remote);
uint64_t sp_tcp_number(const struct sp_tcp_conn *c);
struct sp_tcp_conn *sp_tcp_by_number(const struct sp_tcp *t, uint64_t number); /* NULL */

/* A segment to be sent, valid until the next call. */
struct sp_tcp_out {
    uint8_t src[16], dst[16];
    uint8_t family;
    uint8_t head[SP_TCP_HEAD_MAX]; /* its checksum zero */
    uint8_t head_len;
    uint8_t spans;
    struct {
        const uint8_t *data;
        size_t len;
    } span[SP_TCP_SPANS];
    size_t len;       /* of the payload */
    uint16_t segment; /* 0, or: to be cut into segments of so much payload */
};
bool sp_tcp_output(struct sp_tcp *t, sp_instant now, struct sp_tcp_out *ret);
/* Writes header and payload to buf of head_len + len bytes, with the checksum, or (partial) with the sum of the pseudo header alone,
 * which a device completes. */
void sp_tcp_copy(const struct sp_tcp_out *out, uint8_t *buf, bool partial);
/* The checksum that sp_tcp_copy would write. */
uint16_t sp_tcp_sum(const struct sp_tcp_out *out, bool partial);

/* Why a segment, or what it asked for, was dropped. */
#define SP_TCP_DROPS(X)                                                                  \
    X(FORM, "form")               /* malformed header or options */                      \
    X(CSUM, "checksum")                                                                  \
    X(CLOSED, "closed")           /* for no connection and no listener; RST, within a rate */ \
    X(RATE, "reset_rate")         /* a RST that the rate kept back */                    \
    X(FULL, "connections_full")                                                          \
    X(MEMORY, "memory_full")                                                             \
    X(COOKIE, "cookie")           /* an ACK to no connection that is no cookie of ours */ \
    X(WINDOW, "window")           /* outside the window, nothing in it is new */         \
    X(PAWS, "timestamp")          /* RFC 7323 5 */                                       \
    X(ACK, "ack_range")           /* RFC 5961 5 */                                       \
    X(SYN, "syn")                 /* within a connection: RFC 5961 4 */                  \
    X(RESET, "reset")             /* not the exact number: RFC 5961 3 */                 \
    X(EARLY, "early_full")        /* came too early, and there is no room to keep it */  \
    X(SACK, "sack_pieces")        /* a block that would cut what is under way into too many pieces */ \
    X(NO_READER, "no_reader")     /* data after sp_tcp_close */                          \
    X(PMTU, "path_mtu")           /* about no segment of ours */                         \
    X(PUSHED_OUT, "time_wait_full")

enum sp_tcp_drop {
#define X(name, text) SP_TCP_DROP_##name,
    SP_TCP_DROPS(X)
#undef X
        SP_TCP_DROP_COUNT
};
struct sp_tcp_counts {
    uint64_t segments_in, segments_out, bytes_in, bytes_out;
    uint64_t accepted, connected, failed, resets_in, resets_out;
    uint64_t cookies_sent, cookies_taken;
    uint64_t retransmitted, timeouts, tail_probes, recoveries, spurious, early, black_holes, challenges;
    uint64_t drops[SP_TCP_DROP_COUNT];
};
const struct sp_tcp_counts *sp_tcp_counts(const struct sp_tcp *t);
const char *sp_tcp_drop_name(enum sp_tcp_drop drop);
size_t sp_tcp_connections(const struct sp_tcp *t);
size_t sp_tcp_buffered(const struct sp_tcp *t); /* bytes of `memory` in use */

#endif
