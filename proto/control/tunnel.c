#include "proto/control/tunnel.h"

#include "proto/base/csum.h"

#define IP_HEAD    40
#define UDP_HEAD   8
#define NEXT_UDP   17
#define NEXT_ICMP6 58
#define HOP_LIMIT  64

#define ICMP6_UNREACHABLE 1
#define ICMP6_TOO_BIG     2
#define ICMP6_HEAD        8

/* ---- UDP ---- */

/* RFC 8200 8.1: over IPv6 there is no UDP without a checksum. */
static bool checksum_right(const uint8_t *packet, size_t udp_len) {
    const uint8_t *udp = packet + IP_HEAD;
    if (sp_get_u16(udp + 6) == 0)
        return false;
    uint32_t sum = sp_csum_pseudo(packet + 8, packet + 24, 16, NEXT_UDP, udp_len);
    return sp_csum_fold(sp_csum_add(sum, udp, udp_len)) == UINT16_MAX;
}

sp_err sp_tunnel_udp_read(struct sp_tunnel_udp *ret, const uint8_t *packet, size_t len, bool check_csum) {
    struct sp_rd rd = sp_rd_init(packet, len);
    if (sp_rd_u32(&rd) >> 28 != 6)
        return SP_ERR_UNSUP;
    size_t payload = sp_rd_u16(&rd);
    uint8_t next = sp_rd_u8(&rd);
    sp_rd_u8(&rd); /* the hop limit */
    struct sp_tunnel_udp u;
    sp_rd_copy(&rd, u.src, 16);
    sp_rd_copy(&rd, u.dst, 16);
    if (rd.err != SP_OK)
        return SP_ERR_FORM;
    if (next != NEXT_UDP)
        return SP_ERR_UNSUP;
    struct sp_rd udp = sp_rd_sub(&rd, payload);
    u.sport = sp_rd_u16(&udp);
    u.dport = sp_rd_u16(&udp);
    size_t udp_len = sp_rd_u16(&udp);
    sp_rd_u16(&udp);
    if (udp.err != SP_OK || udp_len != payload)
        return SP_ERR_FORM;
    if (check_csum && !checksum_right(packet, udp_len))
        return SP_ERR_FORM;
    u.data = udp.pos;
    u.len = sp_rd_left(&udp);
    *ret = u;
    return SP_OK;
}

static void write_ip(struct sp_wr *wr, const uint8_t src[16], const uint8_t dst[16], uint8_t next, size_t payload) {
    sp_wr_u32(wr, UINT32_C(6) << 28);
    sp_wr_u16(wr, (uint16_t)payload);
    sp_wr_u8(wr, next);
    sp_wr_u8(wr, HOP_LIMIT);
    sp_wr_bytes(wr, src, 16);
    sp_wr_bytes(wr, dst, 16);
}

size_t sp_tunnel_udp_write(const struct sp_tunnel_udp *u, uint8_t *out, size_t cap) {
    if (u->len > UINT16_MAX - UDP_HEAD || cap < SP_TUNNEL_HEAD + u->len)
        return 0;
    struct sp_wr wr = sp_wr_init(out, cap);
    size_t udp_len = UDP_HEAD + u->len;
    write_ip(&wr, u->src, u->dst, NEXT_UDP, udp_len);
    sp_wr_u16(&wr, u->sport);
    sp_wr_u16(&wr, u->dport);
    sp_wr_u16(&wr, (uint16_t)udp_len);
    sp_wr_u16(&wr, 0);
    uint32_t sum = sp_csum_pseudo(u->src, u->dst, 16, NEXT_UDP, udp_len);
    uint16_t csum = (uint16_t)~sp_csum_fold(sp_csum_add(sum, out + IP_HEAD, udp_len));
    sp_put_u16(out + IP_HEAD + 6, csum != 0 ? csum : UINT16_MAX); /* RFC 768: zero stands for none */
    return SP_TUNNEL_HEAD + u->len;
}

/* ---- ICMPv6 errors ---- */

/* The upper protocol behind extension headers and, for ICMPv6, its type; false where it cannot be told. RFC 8200 4. */
static bool upper_protocol(const uint8_t *packet, size_t len, uint8_t *ret_next, uint8_t *ret_icmp) {
    struct sp_rd rd = sp_rd_init(packet, len);
    sp_rd_bytes(&rd, 6);
    uint8_t next = sp_rd_u8(&rd);
    sp_rd_bytes(&rd, IP_HEAD - 7);
    /* Hop-by-hop options, routing, fragment, destination options. */
    while (next == 0 || next == 43 || next == 44 || next == 60) {
        uint8_t here = next;
        next = sp_rd_u8(&rd);
        uint8_t units = sp_rd_u8(&rd);
        uint16_t word = sp_rd_u16(&rd);
        sp_rd_u32(&rd);
        if (rd.err != SP_OK || (here == 44 && word >> 3 != 0))
            return false; /* a later fragment */
        if (here != 44)
            sp_rd_bytes(&rd, 8u * units);
    }
    *ret_next = next;
    *ret_icmp = next == NEXT_ICMP6 ? sp_rd_u8(&rd) : 0;
    return rd.err == SP_OK;
}

static bool is_zero(const uint8_t addr[16]) {
    uint8_t any = 0;
    for (unsigned i = 0; i < 16; i++)
        any |= addr[i];
    return any == 0;
}

/* RFC 4443 2.4 e. */
static bool error_is_due(const uint8_t *packet, size_t len, bool to_multicast) {
    if (len < IP_HEAD || packet[0] >> 4 != 6)
        return false;
    const uint8_t *src = packet + 8, *dst = packet + 24;
    if (src[0] == 0xff || is_zero(src) || (dst[0] == 0xff && !to_multicast))
        return false;
    uint8_t next, icmp;
    if (!upper_protocol(packet, len, &next, &icmp))
        return false;
    /* Errors have types below 128; 137 is a redirect. */
    return next != NEXT_ICMP6 || (icmp >= 128 && icmp != 137);
}

static size_t write_error(const uint8_t src[16], const uint8_t *packet, size_t len, uint8_t type, uint8_t code,
                          uint32_t word, uint8_t *out, size_t cap) {
    size_t quoted = len < SP_TUNNEL_MAX - IP_HEAD - ICMP6_HEAD ? len : SP_TUNNEL_MAX - IP_HEAD - ICMP6_HEAD;
    size_t payload = ICMP6_HEAD + quoted;
    struct sp_wr wr = sp_wr_init(out, cap);
    write_ip(&wr, src, packet + 8, NEXT_ICMP6, payload);
    sp_wr_u8(&wr, type);
    sp_wr_u8(&wr, code);
    sp_wr_u16(&wr, 0);
    sp_wr_u32(&wr, word);
    sp_wr_bytes(&wr, packet, quoted);
    if (wr.err != SP_OK)
        return 0;
    uint32_t sum = sp_csum_pseudo(src, packet + 8, 16, NEXT_ICMP6, payload);
    sp_put_u16(out + IP_HEAD + 2, (uint16_t)~sp_csum_fold(sp_csum_add(sum, out + IP_HEAD, payload)));
    return IP_HEAD + payload;
}

size_t sp_tunnel_unreachable(const uint8_t src[16], const uint8_t *packet, size_t len, uint8_t code, uint8_t *out,
                             size_t cap) {
    if (!error_is_due(packet, len, false))
        return 0;
    return write_error(src, packet, len, ICMP6_UNREACHABLE, code, 0, out, cap);
}

size_t sp_tunnel_too_big(const uint8_t src[16], const uint8_t *packet, size_t len, uint32_t mtu, uint8_t *out,
                         size_t cap) {
    if (!error_is_due(packet, len, true))
        return 0;
    return write_error(src, packet, len, ICMP6_TOO_BIG, 0, mtu, out, cap);
}
