/* The adapter between a core and a network device: gives the core the same datagrams and streams as a kernel would, and makes
 * frames of what it sends, with our own stack (proto/net) in between. Sans-I/O. A turn of the host's loop:
 *
 *   frames have come:  sp_direct_frames, as often as frames are left, each time the core's input with what it gives
 *   time has come:     sp_direct_expire, and the core's own
 *   sp_direct_events   its inputs to the core, until there are none
 *   sp_direct_link     its input, if there is one, to the core: addresses have changed
 *   the core's output: sp_direct_outputs, then sp_direct_output until it gives 0; again, until the core has nothing,
 *                      which is told by outputs of none
 *   the core's events: sp_direct_connect for SP_EV_CONNECT
 *   sp_direct_events   again: what came of all that; and the core's output, until there is neither
 *   sleep:             until sp_direct_deadline
 *
 * What the core does not take of its inputs is told by sp_direct_refused. Streams are there if the configuration has TCP. */
#ifndef SP_DIRECT_DIRECT_H
#define SP_DIRECT_DIRECT_H

#include "proto/base/count.h"
#include "proto/base/ring.h"
#include "proto/base/table.h"
#include "proto/net/net.h"

#define SP_DIRECT_LINKS      32
#define SP_DIRECT_WINDOW     ((size_t)256 << 10) /* bytes that a stream may have written and not acknowledged, at most */
#define SP_DIRECT_WINDOW_MIN ((size_t)4 << 10)   /* and at least: every stream has room for so many */
#define SP_DIRECT_CONNECT    (10 * SP_SEC)       /* for a peer to answer */
#define SP_DIRECT_DRAIN      (10 * SP_SEC)       /* for a peer to take the rest of a stream that closes, and to close its side */
#define SP_DIRECT_SPARE(n)   ((n) / 8)           /* connections kept free of streams that the core has closed */

struct sp_direct_frame {
    const uint8_t *data;
    size_t len;
    enum sp_net_csum csum;
};

struct sp_direct_counts {
    uint64_t opened, connected, failed; /* failed: connections of ours that did not come about */
    uint64_t refused;                   /* streams whose input the core did not take */
    uint64_t cut_off;                   /* that did not take the rest in time, or gave way to others while closing */
    uint64_t no_memory;
    uint32_t streams; /* now */
};

struct sp_direct_piece; /* bytes that are kept for the core */

/* Streams, streams.c's. */
struct sp_direct_streams {
    struct sp_tcp *tcp; /* NULL: there are none */
    struct sp_mem *mem;
    struct sp_table by_id;
    uint8_t key[16];
    struct sp_ring connecting, closing; /* by when their time is over */
    struct sp_ring ready;               /* with something to tell the core */
    struct sp_ring sending;             /* with bytes that are not acknowledged */
    struct sp_ring ending;              /* whose peers have ended, which the core is to be told */
    uint32_t round;                     /* how often the core had nothing more to send */
    size_t window, window_max;          /* of a stream, at first and at most */
    size_t extra, extra_max;            /* what windows are larger by, all together */
    size_t held, held_max;              /* bytes in pieces */
    uint32_t connections;
    const struct sp_direct_frame *frame; /* that is being looked at, or NULL */
    struct sp_direct_piece *shown;       /* given to the core, free with the next call */
    uint64_t lost[8];              /* ids that could not be connected for want of memory */
    unsigned lost_count;
    struct sp_direct_counts counts;
};

struct sp_direct {
    struct sp_net *net;
    uint16_t ports[SP_NET_PORTS]; /* that are served, for sp_direct_link */
    uint8_t port_count;
    bool told; /* the core knows the addresses of this generation */
    bool half; /* the first frame of the next call was looked at already */
    uint32_t generation;
    struct sp_addr links[SP_DIRECT_LINKS];
    struct sp_direct_streams streams;
    /* what the core sends and is not out yet */
    const struct sp_out *out;
    size_t out_count, out_at;
    struct sp_net_cursor cursor;
    struct sp_offload offload; /* of the last frame: what the device has to do for it (sp_net_offload), in places of its IP packet */
};

/* The interface of this configuration, its link down. *d stays where it is from now on. Errors: sp_net_new's. */
SP_CHECK sp_err sp_direct_init(struct sp_direct *d, const struct sp_net_config *config);
void sp_direct_done(struct sp_direct *d);

/* Takes the first *ret_taken of n frames and returns how many inputs they gave (at most max), borrowed from the frames, the
 * last one possibly from the interface: give them to the core before the next call. A frame that was not taken is to be the
 * first one of the next call, even if all that it gives has come from it already. */
size_t sp_direct_frames(struct sp_direct *d, sp_instant now, const struct sp_direct_frame *frames, size_t n,
                        struct sp_in *in, size_t max, size_t *ret_taken);
/* What there is to tell about streams but for new frames: after an expiry, and after the core's own outputs. Borrowed until the
 * next call. Not while frames are left. */
size_t sp_direct_events(struct sp_direct *d, sp_instant now, struct sp_in *in, size_t max);
/* The core did not take these inputs: datagrams are lost; a stream cannot lose bytes, so it is reset. */
void sp_direct_refused(struct sp_direct *d, sp_instant now, const struct sp_in *in, size_t n);
/* True: *ret is an SP_IN_LINK with all addresses at all served ports, changed since the last one; borrowed until the
 * next call. */
bool sp_direct_link(struct sp_direct *d, struct sp_in *ret);

/* What the core sends next, borrowed until sp_direct_output has returned 0 (so before the core's next input or expire). n 0: it
 * has nothing more to send, which every turn must come to: streams whose peers have ended wait for it. Other kinds than
 * datagrams and streams are passed over: they are the host's. What was left of an earlier batch is dropped. */
void sp_direct_outputs(struct sp_direct *d, const struct sp_out *out, size_t n);
/* Writes the next frame: the interface's own first, then the core's. 0: there is none. cap holds what sp_net_output asks for. */
size_t sp_direct_output(struct sp_direct *d, sp_instant now, uint8_t *frame, size_t cap);
/* The same, for hosts that send a frame in pieces: the payload of TCP's segments stays where it lies until the next call.
 * Datagrams are written to `frame`. */
bool sp_direct_gather(struct sp_direct *d, sp_instant now, uint8_t *frame, size_t cap, struct sp_net_gather *ret);
/* An SP_EV_CONNECT, with TCP in the configuration: SP_IN_STREAM_OPEN follows, or SP_IN_STREAM_CLOSE with err: ERR_AGAIN (no answer within
 * SP_DIRECT_CONNECT), ERR_NOENT (refused, or no route), ERR_FULL. */
void sp_direct_connect(struct sp_direct *d, sp_instant now, uint64_t id, const struct sp_addr *to);

void sp_direct_expire(struct sp_direct *d, sp_instant now);
/* The earlier one of the core's deadline and the interface's. */
sp_instant sp_direct_deadline(const struct sp_direct *d, sp_instant core);

/* All that interface, TCP and streams have counted, for metrics; as long as *d lives. SP_DIRECT_COUNTS is room for all. */
#define SP_DIRECT_COUNTS (SP_NET_DROP_COUNT + SP_TCP_DROP_COUNT + 27)
size_t sp_direct_count_list(const struct sp_direct *d, struct sp_count *ret, size_t max);

#endif
