/* The host contract: all that stands between a core and the machine it runs on.
 *
 * A core never calls out. A host drives it by five calls, each core's under its own prefix
 * (sp_server_input, sp_agent_input, ...):
 *
 *   sp_err   input(core, now, wall, in[], n, &taken)  deliver inputs; takes all of them or the first `taken`
 *   void     expire(core, now, wall)                  a deadline has passed
 *   sp_instant deadline(core)                         when to call expire next; SP_NEVER when idle
 *   size_t   output(core, now, out[], n)              the next things to send; 0 when there is nothing
 *   bool     event(core, ev)                          the next effect; false when there is none
 *
 * The loop: wait for input or the deadline; sample the clocks once; deliver at most N inputs; expire if
 * due; drain output and event; re-arm. Buffers of an `sp_in` belong to the host and are borrowed until
 * input returns; buffers of an `sp_out` belong to the core, valid until the next input or expire.
 * Buffers of a block request are borrowed by the host until its completion was delivered; other data of an
 * `sp_event` until the next call of any of the five. */
#ifndef SP_BASE_HOST_H
#define SP_BASE_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"
#include "proto/base/time.h"

/* An IP address and port. IPv4 stands in ip[0..3], the rest zero. */
struct sp_addr {
    uint8_t ip[16];
    uint32_t scope; /* interface of a link-local IPv6 address, else 0 */
    uint16_t port;
    uint8_t family; /* 4, 6, or 0 for none */
    uint8_t pad;    /* zero, so that addresses compare as bytes */
};

/* What a network device may leave undone in an IP packet, or do for us: the fields of virtio's header. */
enum sp_gso { SP_GSO_NONE, SP_GSO_TCP4, SP_GSO_TCP6, SP_GSO_UDP };

struct sp_offload {
    uint8_t gso;          /* enum sp_gso: the packet stands for several of gso_size bytes of payload each */
    bool needs_csum;      /* the checksum at csum_start + csum_offset covers the pseudo header alone so far */
    uint16_t hdr_len;     /* IP and transport header, with gso */
    uint16_t gso_size;
    uint16_t csum_start;  /* from the packet's start */
    uint16_t csum_offset; /* from csum_start */
};

/* ---- input ---- */

enum sp_in_kind {
    SP_IN_DATAGRAM,      /* src, dst, data */
    SP_IN_STREAM_OPEN,   /* id, src, dst, credit to start with: a peer connected, or an SP_EV_CONNECT has succeeded; the core
                            may answer with SP_OUT_STREAM_CLOSE */
    SP_IN_STREAM_DATA,   /* id, data: the next bytes, in order */
    SP_IN_STREAM_CREDIT, /* id, credit: the host can take so many more bytes for this stream */
    SP_IN_STREAM_END,    /* id: the peer will send no more, we may; only of streams that the core reads by credit */
    SP_IN_STREAM_CLOSE,  /* id: the peer closed or reset; nothing more comes or goes */
    SP_IN_CONTROL,       /* id (not with both top bits set), data: one whole request of a local, authorised operator */
    SP_IN_LINK,          /* data: the host's addresses now, as an array of struct sp_addr */
    SP_IN_BLK,           /* id, err: a block request has completed */
    SP_IN_PACKET,        /* data, offload: an IP packet from the host's own network stack, to be sent through a tunnel */
    SP_IN_RESOLVE,       /* id, data: a DNS query of a local program; SP_OUT_RESOLVED answers it */
    SP_IN_FORWARDED,     /* id, data or err: the answer to an SP_EV_FORWARD */
};

struct sp_in {
    enum sp_in_kind kind;
    sp_err err;
    uint64_t id;
    const uint8_t *data;
    size_t len;
    size_t credit;
    struct sp_addr src; /* the peer */
    struct sp_addr dst; /* our address that it reached; what replies come from */
    uint16_t segment;   /* datagrams: 0, or several of this size each stand in data (GRO) */
    uint8_t ecn;
    struct sp_offload offload; /* packets */
};

/* ---- output ---- */

enum sp_out_kind {
    SP_OUT_DATAGRAM,     /* src, dst, data */
    SP_OUT_STREAM_DATA,  /* id, data: never more than the stream's credit */
    SP_OUT_STREAM_CREDIT, /* id, credit: from the first of these on, the host gives no more data than the core has said (0 holds it
                             back), and tells the end of the peer's data apart from the end of the stream. Without one it gives what
                             comes, and an end is a close */
    SP_OUT_STREAM_END,   /* id: after what was written before, no more from us; the peer's data still comes */
    SP_OUT_STREAM_CLOSE, /* id: close after what was written before is out */
    SP_OUT_STREAM_RESET, /* id: drop at once */
    SP_OUT_CONTROL,      /* id, data: the whole reply to that request */
    SP_OUT_PACKET,       /* data, offload: an IP packet for the host's own network stack */
    SP_OUT_RESOLVED,     /* id, data: the DNS reply to that SP_IN_RESOLVE; len 0: none */
};

struct sp_out {
    enum sp_out_kind kind;
    uint64_t id;
    const uint8_t *data;
    size_t len;
    size_t credit;
    struct sp_addr src; /* our address to send from; family 0: the host chooses */
    struct sp_addr dst;
    uint16_t segment; /* datagrams: 0, or send data as several of this size (GSO) */
    uint8_t ecn;
    struct sp_offload offload; /* packets */
};

/* ---- effects ---- */

/* A block device: 4 KiB blocks, fixed capacity, asynchronous, completions in any order. A WRITE is
 * durable once a FLUSH that was issued after its completion has completed. */
#define SP_BLK_SIZE 4096

enum sp_blk_op { SP_BLK_READ, SP_BLK_WRITE, SP_BLK_FLUSH };

struct sp_blk_req {
    uint64_t id;
    enum sp_blk_op op;
    uint64_t block; /* first block */
    uint32_t count; /* blocks; 0 for FLUSH */
    uint8_t *buf;   /* count * SP_BLK_SIZE bytes, aligned to SP_BLK_SIZE */
};

enum sp_event_kind {
    SP_EV_BLK,   /* do this request, complete it through SP_IN_BLK */
    SP_EV_STOP,  /* the core asks the host to end: everything is safe on disk */
    SP_EV_FATAL, /* the core cannot go on; text says why */
    SP_EV_CONNECT, /* connect a TCP stream to addr: SP_IN_STREAM_OPEN with this id follows, or SP_IN_STREAM_CLOSE with err */
    SP_EV_FORWARD, /* ask the resolvers that the network gave: data is a DNS query; SP_IN_FORWARDED with this id follows */
};

/* Ids of streams that a core connects have this bit; those of streams that peers opened do not. */
#define SP_CONNECT_ID (UINT64_C(1) << 62)

struct sp_event {
    enum sp_event_kind kind;
    struct sp_blk_req blk;
    const char *text; /* static, for SP_EV_FATAL */
    uint64_t id;
    struct sp_addr addr;
    const uint8_t *data;
    size_t len;
};

/* Memory: the host grants it; `bytes` is a multiple of `page`, the result aligned to it and zeroed, or NULL. Small pieces are cut
 * from chunks. Both are powers of two, the chunk no smaller than the page; 0 means SP_CHUNK: huge pages, where there is plenty. */
#define SP_CHUNK ((size_t)2 << 20)

struct sp_grant {
    void *ctx;
    void *(*grant)(void *ctx, size_t bytes);
    void (*release)(void *ctx, void *chunk, size_t bytes);
    size_t chunk, page;
};

#endif
