#include "client/linux/virtio.h"

#define TCP_OFFSET_AT 12 /* byte of the TCP header that holds its length in words, in the upper half */
#define TCP_MIN       20
#define UDP_HEADER    8

static sp_err kind_of(uint8_t gso_type, uint8_t *ret) {
    switch (gso_type) {
    case VIRTIO_NET_HDR_GSO_NONE:
        *ret = SP_GSO_NONE;
        return SP_OK;
    case VIRTIO_NET_HDR_GSO_TCPV4:
        *ret = SP_GSO_TCP4;
        return SP_OK;
    case VIRTIO_NET_HDR_GSO_TCPV6:
        *ret = SP_GSO_TCP6;
        return SP_OK;
    case VIRTIO_NET_HDR_GSO_UDP_L4:
        *ret = SP_GSO_UDP;
        return SP_OK;
    default:
        return SP_ERR_UNSUP; /* UDP fragmentation, or TCP with ECN, which the device was not told to leave undone */
    }
}

sp_err spl_virtio_read(struct sp_offload *ret, const struct virtio_net_hdr *h, const uint8_t *packet, size_t len) {
    struct sp_offload off = {0};
    SP_TRY(kind_of(h->gso_type, &off.gso));
    off.needs_csum = (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0;
    if (off.needs_csum) {
        off.csum_start = h->csum_start;
        off.csum_offset = h->csum_offset;
        if ((size_t)off.csum_start + off.csum_offset + 2 > len)
            return SP_ERR_FORM;
    }
    if (off.gso != SP_GSO_NONE) {
        size_t tcp_end = (size_t)off.csum_start + TCP_MIN, head = (size_t)off.csum_start + UDP_HEADER;
        if (!off.needs_csum || h->gso_size == 0)
            return SP_ERR_FORM;
        if (off.gso != SP_GSO_UDP) {
            if (tcp_end > len)
                return SP_ERR_FORM;
            head = (size_t)off.csum_start + (size_t)(packet[off.csum_start + TCP_OFFSET_AT] >> 4) * 4;
        }
        if (head > len || (off.gso != SP_GSO_UDP && head < tcp_end))
            return SP_ERR_FORM;
        off.hdr_len = (uint16_t)head;
        off.gso_size = h->gso_size;
    }
    *ret = off;
    return SP_OK;
}

void spl_virtio_write(struct virtio_net_hdr *ret, const struct sp_offload *off) {
    static const uint8_t types[] = {[SP_GSO_NONE] = VIRTIO_NET_HDR_GSO_NONE,
                                    [SP_GSO_TCP4] = VIRTIO_NET_HDR_GSO_TCPV4,
                                    [SP_GSO_TCP6] = VIRTIO_NET_HDR_GSO_TCPV6,
                                    [SP_GSO_UDP] = VIRTIO_NET_HDR_GSO_UDP_L4};
    SP_ASSERT(off->gso < sizeof types);
    *ret = (struct virtio_net_hdr){.gso_type = types[off->gso]};
    if (off->needs_csum) {
        ret->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        ret->csum_start = off->csum_start;
        ret->csum_offset = off->csum_offset;
    }
    if (off->gso != SP_GSO_NONE) {
        ret->hdr_len = off->hdr_len;
        ret->gso_size = off->gso_size;
    }
}
