/* Big packets: what a TUN device with offloads gives and takes. Splits a TCP or UDP super-packet into packets of one MTU, finishes
 * checksums, and joins packets of one flow into super-packets again. Pure. */
#ifndef SP_AGENT_SEGMENT_H
#define SP_AGENT_SEGMENT_H

#include "proto/base/csum.h"
#include "proto/base/host.h"
#include "proto/net/point.h"

/* ---- splitting ---- */

struct sp_segmenter {
    const uint8_t *packet;
    size_t len, at; /* payload bytes already given */
    const struct sp_point_packet *pieces; /* NULL: the packet is in one piece */
    unsigned span;                        /* of the pieces, where the next byte stands, */
    size_t span_at;                       /* and where in it */
    struct sp_offload off;
    uint16_t hdr_len, ip_len;
    uint32_t index;
    bool done;
};
/* Checks a packet of the host: IP version and lengths, offload fields against them. Fixes up nothing in place. ERR_FORM, ERR_RANGE;
 * ERR_UNSUP: not IPv6 or IPv4. */
SP_CHECK sp_err sp_segmenter_init(struct sp_segmenter *s, const uint8_t *packet, size_t len, const struct sp_offload *off);
/* The same of a packet in pieces, which stay where they are until the last was written. */
SP_CHECK sp_err sp_segmenter_pieces(struct sp_segmenter *s, const struct sp_point_packet *packet);
/* Writes the next packet, whole and with its checksums done, to out; its length; 0 at the end. cap is at least the packet's size:
 * hdr_len + gso_size, or len. TCP: sequence numbers, FIN and PSH in the last alone, CWR in the first alone. */
size_t sp_segmenter_next(struct sp_segmenter *s, uint8_t *out, size_t cap);

/* ---- joining ---- */

#define SP_JOIN_MAX 65535
/* Joins in place: packets are written one behind the other into one buffer, and packets that follow each other in a TCP flow (same
 * addresses, ports, ack, options; ACK alone, PSH in the last) or a UDP flow (same size, the last may be shorter) become one. */
struct sp_joiner {
    uint8_t *buf;
    size_t cap;
    size_t start, used; /* the packet being grown is [start, used) */
    struct sp_offload off;
    uint32_t next_seq;
    uint16_t count;
    uint8_t hdr_len;
    bool open, ended; /* ended: takes no more (short segment, PSH) */
    bool tcp, udp;    /* what the host's device takes joined: UDP only with USO */
};
void sp_joiner_init(struct sp_joiner *j, uint8_t *buf, size_t cap, bool udp);
/* Where the next packet of at most `len` bytes is to be written; NULL: flush first. */
uint8_t *sp_joiner_room(struct sp_joiner *j, size_t len);
/* The packet of len bytes that was written there: joined with the one before (true), or it stands alone and the one before is
 * complete: *ret (its data, len, offload; kind SP_OUT_PACKET) if *ret_some. */
void sp_joiner_add(struct sp_joiner *j, size_t len, struct sp_out *ret, bool *ret_some);
/* The last one; false: none. Buffers stay valid until the next init. */
bool sp_joiner_end(struct sp_joiner *j, struct sp_out *ret);

#endif
