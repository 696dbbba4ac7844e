/* The adapter between a core and a network device: gives the core the same datagrams as a kernel would, and makes
 * frames of what it sends, with our own stack (proto/net) in between. Sans-I/O. A turn of the host's loop:
 *
 *   frames have come:  sp_direct_frames, as often as frames are left, each time the core's input with what it gives
 *   sp_direct_link     its input, if there is one, to the core: addresses have changed
 *   time has come:     sp_direct_expire, and the core's own
 *   the core's output: sp_direct_outputs, then sp_direct_output until it gives 0; again, until the core has nothing
 * more to sleep:          until sp_direct_deadline
 */
#ifndef SP_DIRECT_DIRECT_H
#define SP_DIRECT_DIRECT_H

#include "proto/net/net.h"

#define SP_DIRECT_LINKS 32

struct sp_direct_frame {
    const uint8_t *data;
    size_t len;
    enum sp_net_csum csum;
};

struct sp_direct {
    struct sp_net *net;
    uint16_t ports[SP_NET_PORTS]; /* that are served, for sp_direct_link */
    uint8_t port_count;
    bool told; /* the core knows the addresses of this generation */
    uint32_t generation;
    struct sp_addr links[SP_DIRECT_LINKS];
    /* what the core sends and is not out yet */
    const struct sp_out *out;
    size_t out_count, out_at;
    struct sp_net_cursor cursor;
    bool partial; /* of the last frame: the device completes its UDP checksum (sp_net_offload) */
};

/* The interface of this configuration, its link down. Errors: sp_net_new's. */
SP_CHECK sp_err sp_direct_init(struct sp_direct *d, const struct sp_net_config *config);
void sp_direct_done(struct sp_direct *d);

/* Takes the first *ret_taken of n frames and returns how many datagrams they gave (at most max), borrowed from the
 * frames, the last one possibly from the interface: give them to the core before the next call. */
size_t sp_direct_frames(struct sp_direct *d, sp_instant now, const struct sp_direct_frame *frames, size_t n,
                        struct sp_in *in, size_t max, size_t *ret_taken);
/* True: *ret is an SP_IN_LINK with all addresses at all served ports, changed since the last one; borrowed until the
 * next call. */
bool sp_direct_link(struct sp_direct *d, struct sp_in *ret);

/* What the core sends next, borrowed until sp_direct_output has returned 0 (so before the core's next input or expire).
 * Other kinds than datagrams are passed over: they are the host's. What was left of an earlier batch is dropped. */
void sp_direct_outputs(struct sp_direct *d, const struct sp_out *out, size_t n);
/* Writes the next frame: the interface's own first, then the core's. 0: there is none. cap holds SP_NET_ETHER + mtu
 * bytes. */
size_t sp_direct_output(struct sp_direct *d, sp_instant now, uint8_t *frame, size_t cap);

void sp_direct_expire(struct sp_direct *d, sp_instant now);
/* The earlier one of the core's deadline and the interface's. */
sp_instant sp_direct_deadline(const struct sp_direct *d, sp_instant core);

#endif
