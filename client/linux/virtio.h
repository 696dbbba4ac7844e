/* Between virtio's header, which a TUN device puts before each packet, and struct sp_offload. */
#ifndef SPL_AGENT_VIRTIO_H
#define SPL_AGENT_VIRTIO_H

#include <linux/virtio_net.h>

#include "proto/base/host.h"

/* Names that older headers lack. Linux 6.2. */
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

/* What the kernel said about a packet of len bytes. Its own hdr_len is a hint: the length is read from the packet. ERR_FORM: a field
 * points outside the packet; ERR_UNSUP: a kind of offload that was not asked for. */
SP_CHECK sp_err spl_virtio_read(struct sp_offload *ret, const struct virtio_net_hdr *h, const uint8_t *packet, size_t len);
void spl_virtio_write(struct virtio_net_hdr *ret, const struct sp_offload *off);

#endif
