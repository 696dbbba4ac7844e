#include "client/core/segment.h"

#include "proto/base/bytes.h"

/* RFC 9293 3.1, RFC 768, RFC 791 3.1, RFC 8200 3: where fields stand. */
#define PROTO_TCP   6
#define PROTO_UDP   17
#define IP4_HEAD    20
#define IP6_HEAD    40
#define TCP_HEAD    20
#define UDP_HEAD    8
#define TCP_CSUM_AT 16
#define UDP_CSUM_AT 6
#define TCP_FIN     0x01
#define TCP_PSH     0x08
#define TCP_ACK     0x10
#define TCP_CWR     0x80

/* As many as the kernel's own receive offload joins of UDP. */
#define UDP_JOIN_MAX 64

/* ---- what both directions share ---- */

/* The IP header's length, with the lengths that it holds checked against the packet's. ERR_UNSUP: neither IPv4 nor
 * IPv6. */
static sp_err ip_check(const uint8_t *p, size_t len, uint16_t *ret_len) {
    unsigned version = len > 0 ? p[0] >> 4 : 0;
    if (version == 6) {
        if (len < IP6_HEAD || sp_get_u16(p + 4) != len - IP6_HEAD)
            return SP_ERR_FORM;
        *ret_len = IP6_HEAD;
        return SP_OK;
    }
    if (version != 4)
        return SP_ERR_UNSUP;
    uint16_t head = (uint16_t)((p[0] & 15) * 4);
    if (len < IP4_HEAD || head < IP4_HEAD || head > len || sp_get_u16(p + 2) != len)
        return SP_ERR_FORM;
    *ret_len = head;
    return SP_OK;
}

static inline uint8_t ip_proto(const uint8_t *p) {
    return p[0] >> 4 == 6 ? p[6] : p[9];
}

static inline bool ip_fragment(const uint8_t *p) {
    return p[0] >> 4 == 4 && (sp_get_u16(p + 6) & 0x3fff) != 0;
}

static inline uint32_t pseudo_sum(const uint8_t *p, uint8_t proto, size_t len) {
    return p[0] >> 4 == 6 ? sp_csum_pseudo(p + 8, p + 24, 16, proto, len)
                          : sp_csum_pseudo(p + 12, p + 16, 4, proto, len);
}

/* Zero and 0xffff stand for the same sum; zero would say that there is none. */
static inline void put_csum(uint8_t *at, uint32_t sum) {
    uint16_t csum = (uint16_t)~sp_csum_fold(sum);
    sp_put_u16(at, csum != 0 ? csum : UINT16_MAX);
}

/* The length of the whole packet into the IP header, whose own checksum follows it. */
static void ip_put_len(uint8_t *p, size_t len, uint16_t ip_len) {
    if (p[0] >> 4 == 6) {
        sp_put_u16(p + 4, (uint16_t)(len - IP6_HEAD));
        return;
    }
    sp_put_u16(p + 2, (uint16_t)len);
    sp_put_u16(p + 10, 0);
    sp_put_u16(p + 10, (uint16_t)~sp_csum_fold(sp_csum_add(0, p, ip_len)));
}

/* ---- splitting ---- */

static sp_err check_gso(struct sp_segmenter *s, uint8_t proto, uint16_t csum_at) {
    const uint8_t *p = s->packet;
    if (ip_proto(p) != proto || ip_fragment(p) || s->off.gso_size == 0 || s->off.hdr_len > s->len)
        return SP_ERR_RANGE;
    /* hdr_len is a hint alone: the kernel says how much lies in one piece. The header knows better. */
    if (s->off.needs_csum && (s->off.csum_start != s->ip_len || s->off.csum_offset != csum_at))
        return SP_ERR_RANGE;
    size_t fixed = proto == PROTO_TCP ? TCP_HEAD : UDP_HEAD;
    if (s->len - s->ip_len < fixed)
        return SP_ERR_FORM;
    size_t head = proto == PROTO_TCP ? (size_t)(p[s->ip_len + 12] >> 4) * 4 : UDP_HEAD;
    if (head < fixed || head > s->len - s->ip_len)
        return SP_ERR_FORM;
    s->hdr_len = (uint16_t)(s->ip_len + head);
    return SP_OK;
}

static sp_err check_plain(const struct sp_segmenter *s) {
    if (!s->off.needs_csum)
        return SP_OK;
    if (s->off.csum_start < s->ip_len || (size_t)s->off.csum_start + s->off.csum_offset + 2 > s->len)
        return SP_ERR_RANGE;
    return SP_OK;
}

sp_err sp_segmenter_init(struct sp_segmenter *s, const uint8_t *packet, size_t len, const struct sp_offload *off) {
    *s = (struct sp_segmenter){.packet = packet, .len = len, .off = *off, .done = true};
    SP_TRY(ip_check(packet, len, &s->ip_len));
    unsigned version = packet[0] >> 4;
    switch (off->gso) {
    case SP_GSO_NONE:
        SP_TRY(check_plain(s));
        break;
    case SP_GSO_TCP4:
    case SP_GSO_TCP6:
        if (version != (off->gso == SP_GSO_TCP4 ? 4 : 6))
            return SP_ERR_RANGE;
        SP_TRY(check_gso(s, PROTO_TCP, TCP_CSUM_AT));
        break;
    case SP_GSO_UDP:
        SP_TRY(check_gso(s, PROTO_UDP, UDP_CSUM_AT));
        break;
    default:
        return SP_ERR_RANGE;
    }
    s->done = false;
    return SP_OK;
}

sp_err sp_segmenter_pieces(struct sp_segmenter *s, const struct sp_point_packet *packet) {
    SP_TRY(sp_segmenter_init(s, packet->head, packet->len, &packet->offload));
    s->pieces = packet;
    return s->off.gso == SP_GSO_NONE || s->hdr_len == packet->head_len ? SP_OK : SP_ERR_RANGE;
}

/* The next len bytes of payload. */
static void copy(struct sp_segmenter *s, size_t at, uint8_t *out, size_t len) {
    if (s->pieces == NULL) {
        memcpy(out, s->packet + at, len);
        return;
    }
    while (len > 0) {
        const uint8_t *data = s->pieces->span[s->span].data + s->span_at;
        size_t left = s->pieces->span[s->span].len - s->span_at, n = len < left ? len : left;
        memcpy(out, data, n);
        out += n;
        len -= n;
        s->span_at = n < left ? s->span_at + n : 0;
        s->span += n == left;
    }
}

static size_t give_plain(struct sp_segmenter *s, uint8_t *out, size_t cap) {
    size_t head = s->pieces != NULL ? s->pieces->head_len : s->len;
    SP_ASSERT(cap >= s->len);
    memcpy(out, s->packet, head);
    copy(s, head, out + head, s->len - head);
    if (s->off.needs_csum)
        put_csum(out + s->off.csum_start + s->off.csum_offset,
                 sp_csum_add(0, out + s->off.csum_start, s->len - s->off.csum_start));
    s->done = true;
    return s->len;
}

static void fix_tcp(const struct sp_segmenter *s, uint8_t *tcp) {
    sp_put_u32(tcp + 4, sp_get_u32(tcp + 4) + (uint32_t)s->at);
    if (!s->done)
        tcp[13] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
    if (s->index > 0)
        tcp[13] &= (uint8_t)~TCP_CWR;
}

size_t sp_segmenter_next(struct sp_segmenter *s, uint8_t *out, size_t cap) {
    if (s->done)
        return 0;
    if (s->off.gso == SP_GSO_NONE)
        return give_plain(s, out, cap);
    size_t left = s->len - s->hdr_len - s->at;
    size_t payload = left < s->off.gso_size ? left : s->off.gso_size;
    size_t len = s->hdr_len + payload;
    SP_ASSERT(cap >= len);
    s->done = payload == left;
    memcpy(out, s->packet, s->hdr_len);
    copy(s, s->hdr_len + s->at, out + s->hdr_len, payload);
    if (out[0] >> 4 == 4)
        sp_put_u16(out + 4, (uint16_t)(sp_get_u16(out + 4) + s->index));
    ip_put_len(out, len, s->ip_len);
    uint8_t *head = out + s->ip_len;
    size_t transport = len - s->ip_len;
    bool tcp = s->off.gso != SP_GSO_UDP;
    if (tcp)
        fix_tcp(s, head);
    else
        sp_put_u16(head + 4, (uint16_t)transport);
    uint8_t *csum = head + (tcp ? TCP_CSUM_AT : UDP_CSUM_AT);
    sp_put_u16(csum, 0);
    put_csum(csum, sp_csum_add(pseudo_sum(out, tcp ? PROTO_TCP : PROTO_UDP, transport), head, transport));
    s->at += payload;
    s->index++;
    return len;
}

/* ---- joining ---- */

/* What joining must know of a packet. */
struct shape {
    uint8_t gso; /* NONE: it cannot be joined with anything */
    uint16_t ip_len, hdr_len, payload;
    bool psh;
};

static bool tcp_shape(const uint8_t *tcp, size_t len, struct shape *ret) {
    if (len < TCP_HEAD)
        return false;
    size_t head = (size_t)(tcp[12] >> 4) * 4;
    ret->psh = (tcp[13] & TCP_PSH) != 0;
    if (head < TCP_HEAD || head >= len || (tcp[13] & ~TCP_PSH) != TCP_ACK)
        return false;
    ret->hdr_len = (uint16_t)(ret->ip_len + head);
    ret->payload = (uint16_t)(len - head);
    return true;
}

static bool udp_shape(const uint8_t *udp, size_t len, struct shape *ret) {
    if (len <= UDP_HEAD || sp_get_u16(udp + 4) != len || sp_get_u16(udp + UDP_CSUM_AT) == 0)
        return false;
    ret->hdr_len = (uint16_t)(ret->ip_len + UDP_HEAD);
    ret->payload = (uint16_t)(len - UDP_HEAD);
    return true;
}

static struct shape shape_of(const struct sp_joiner *j, const uint8_t *p, size_t len) {
    struct shape s = {.gso = SP_GSO_NONE};
    if (len > SP_JOIN_MAX || ip_check(p, len, &s.ip_len) != SP_OK || ip_fragment(p))
        return s;
    uint8_t proto = ip_proto(p);
    if (proto == PROTO_TCP && j->tcp && tcp_shape(p + s.ip_len, len - s.ip_len, &s))
        s.gso = p[0] >> 4 == 6 ? SP_GSO_TCP6 : SP_GSO_TCP4;
    else if (proto == PROTO_UDP && j->udp && udp_shape(p + s.ip_len, len - s.ip_len, &s))
        s.gso = SP_GSO_UDP;
    return s;
}

/* All checksums right: a joined packet passes for checked, so nothing wrong may enter one. */
static bool checked(const uint8_t *p, size_t len, const struct shape *s) {
    if (p[0] >> 4 == 4 && sp_csum_fold(sp_csum_add(0, p, s->ip_len)) != UINT16_MAX)
        return false;
    size_t transport = len - s->ip_len;
    uint32_t sum = pseudo_sum(p, ip_proto(p), transport);
    return sp_csum_fold(sp_csum_add(sum, p + s->ip_len, transport)) == UINT16_MAX;
}

/* Equal but for lengths, checksums, and IPv4's counting identification. */
static bool same_ip(const uint8_t *a, const uint8_t *b, uint16_t ip_len, uint16_t index) {
    if (a[0] >> 4 == 6)
        return memcmp(a, b, 4) == 0 && memcmp(a + 6, b + 6, IP6_HEAD - 6) == 0;
    return memcmp(a, b, 2) == 0 && sp_get_u16(b + 4) == (uint16_t)(sp_get_u16(a + 4) + index) &&
           memcmp(a + 6, b + 6, 4) == 0 && memcmp(a + 12, b + 12, ip_len - 12u) == 0;
}

/* Equal but for sequence number, PSH and checksum. */
static bool same_tcp(const uint8_t *a, const uint8_t *b, size_t head) {
    return memcmp(a, b, 4) == 0 && memcmp(a + 8, b + 8, 5) == 0 && memcmp(a + 14, b + 14, 2) == 0 &&
           memcmp(a + 18, b + 18, head - 18) == 0;
}

static bool follows(const struct sp_joiner *j, const uint8_t *p, const struct shape *s) {
    const uint8_t *head = j->buf + j->start;
    if (!j->open || j->ended || s->gso != j->off.gso || s->hdr_len != j->hdr_len || s->ip_len != j->off.csum_start ||
        s->payload > j->off.gso_size || j->used - j->start + s->payload > SP_JOIN_MAX)
        return false;
    const uint8_t *a = head + s->ip_len, *b = p + s->ip_len;
    if (!same_ip(head, p, s->ip_len, j->count))
        return false;
    if (s->gso == SP_GSO_UDP)
        return memcmp(a, b, 4) == 0 && j->count < UDP_JOIN_MAX;
    return sp_get_u32(b + 4) == j->next_seq && same_tcp(a, b, (size_t)(s->hdr_len - s->ip_len));
}

static void append(struct sp_joiner *j, uint8_t *p, const struct shape *s) {
    memmove(p, p + s->hdr_len, s->payload);
    j->used += s->payload;
    j->next_seq += s->payload;
    j->count++;
    if (s->psh)
        j->buf[j->start + s->ip_len + 13] |= TCP_PSH;
    j->ended = s->psh || s->payload < j->off.gso_size;
}

static void begin(struct sp_joiner *j, size_t len, const struct shape *s) {
    const uint8_t *p = j->buf + j->used;
    j->start = j->used;
    j->used += len;
    j->open = true;
    j->count = 1;
    j->ended = s->gso == SP_GSO_NONE || s->psh;
    j->hdr_len = (uint8_t)s->hdr_len;
    j->off = (struct sp_offload){.gso = s->gso, .gso_size = s->payload, .csum_start = s->ip_len};
    if (s->gso == SP_GSO_TCP4 || s->gso == SP_GSO_TCP6)
        j->next_seq = sp_get_u32(p + s->ip_len + 4) + s->payload;
}

/* Lengths of the whole; the transport checksum becomes the pseudo header's, for the kernel to finish if it must. */
static void complete(struct sp_joiner *j) {
    uint8_t *p = j->buf + j->start;
    size_t len = j->used - j->start, transport = len - j->off.csum_start;
    uint8_t *head = p + j->off.csum_start;
    bool tcp = j->off.gso != SP_GSO_UDP;
    ip_put_len(p, len, j->off.csum_start);
    if (!tcp)
        sp_put_u16(head + 4, (uint16_t)transport);
    j->off.csum_offset = tcp ? TCP_CSUM_AT : UDP_CSUM_AT;
    j->off.needs_csum = true;
    j->off.hdr_len = j->hdr_len;
    sp_put_u16(head + j->off.csum_offset, sp_csum_fold(pseudo_sum(p, tcp ? PROTO_TCP : PROTO_UDP, transport)));
}

void sp_joiner_init(struct sp_joiner *j, uint8_t *buf, size_t cap, bool udp) {
    *j = (struct sp_joiner){.buf = buf, .cap = cap, .tcp = true, .udp = udp};
}

uint8_t *sp_joiner_room(struct sp_joiner *j, size_t len) {
    return len <= j->cap - j->used ? j->buf + j->used : NULL;
}

void sp_joiner_add(struct sp_joiner *j, size_t len, struct sp_out *ret, bool *ret_some) {
    SP_ASSERT(len <= j->cap - j->used);
    uint8_t *p = j->buf + j->used;
    struct shape s = shape_of(j, p, len);
    *ret_some = false;
    if (s.gso != SP_GSO_NONE && follows(j, p, &s)) {
        /* The head is checked only now: most packets that nothing follows need no second look. */
        if (j->count == 1 && !checked(j->buf + j->start, j->used - j->start, &s))
            j->ended = true;
        else if (checked(p, len, &s)) {
            append(j, p, &s);
            return;
        }
    }
    *ret_some = sp_joiner_end(j, ret);
    begin(j, len, &s);
}

bool sp_joiner_end(struct sp_joiner *j, struct sp_out *ret) {
    if (!j->open)
        return false;
    if (j->count > 1)
        complete(j);
    else
        j->off = (struct sp_offload){.gso = SP_GSO_NONE};
    *ret =
        (struct sp_out){.kind = SP_OUT_PACKET, .data = j->buf + j->start, .len = j->used - j->start, .offload = j->off};
    j->open = false;
    return true;
}
