/* One IPv6 address at the end of a tunnel: bare IP packets on one side, TCP connections on the other. What the interface
 * (net.h) is to a network device this is to an overlay, with no neighbours, no fragments and no address but its own. Sans-I/O.
 *
 *   packet in -> sp_point_input, then sp_tcp_event of sp_point_tcp until there is none
 *   sp_point_output until there is none, after every call of TCP's as well
 *   sp_point_expire when sp_point_deadline has come, then the events
 *
 * It answers echo requests, believes of ICMPv6 errors what quotes a segment under way, and tells whoever tries another
 * protocol that it is not spoken. */
#ifndef SP_NET_POINT_H
#define SP_NET_POINT_H

#include "proto/net/tcp.h"

struct sp_point_config {
    struct sp_mem *mem;
    struct sp_rng *rng; /* borrowed as long as this lives */
    uint8_t addr[16];
    uint16_t mtu;
    struct sp_tcp_config tcp; /* its mem, rng and mtu are these */
};

struct sp_point;
/* Errors: sp_tcp_new's. */
SP_CHECK sp_err sp_point_new(struct sp_point **ret, const struct sp_point_config *config);
void sp_point_free(struct sp_point *p);
struct sp_tcp *sp_point_tcp(struct sp_point *p);

/* A packet to our address, or several joined (offload.gso); its checksum is not looked at where the offload says that it was not
 * completed. Data of events is borrowed from it. */
void sp_point_input(struct sp_point *p, sp_instant now, const uint8_t *packet, size_t len, const struct sp_offload *offload);

/* A packet to be sent: head, then the spans, which lie in send buffers until the next call. With offload.gso it stands for several. */
struct sp_point_packet {
    uint8_t head[40 + SP_TCP_HEAD_MAX];
    size_t head_len, len; /* len: of all */
    uint8_t spans;
    struct {
        const uint8_t *data;
        size_t len;
    } span[SP_TCP_SPANS];
    struct sp_offload offload;
};
bool sp_point_output(struct sp_point *p, sp_instant now, struct sp_point_packet *ret);

void sp_point_expire(struct sp_point *p, sp_instant now);
sp_instant sp_point_deadline(const struct sp_point *p);

struct sp_point_counts {
    uint64_t packets_in, packets_out, echoes, errors_sent;
    uint64_t dropped_form, dropped_other, dropped_protocol, dropped_rate;
};
const struct sp_point_counts *sp_point_counts(const struct sp_point *p);

#endif
