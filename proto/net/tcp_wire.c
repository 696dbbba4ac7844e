/* TCP's header and options. RFC 9293 3.1, 3.2; RFC 7323 2.2, 3.2; RFC 2018 2, 3. */
#include "proto/net/tcp_impl.h"

#include "proto/base/csum.h"

enum { OPT_END, OPT_NOP, OPT_MSS, OPT_SHIFT, OPT_SACK_OK, OPT_SACK, OPT_TS = 8 };

static void read_sack(struct tcp_seg *s, struct sp_rd *o) {
    while (sp_rd_left(o) >= 8 && s->sacks < TCP_SACKS) {
        uint32_t seq = sp_rd_u32(o);
        s->sack[s->sacks++] = (struct tcp_range){seq, sp_rd_u32(o)};
    }
}

/* An option of a length that it cannot have is passed over, as are those that are unknown. */
static void read_option(struct tcp_seg *s, uint8_t kind, struct sp_rd *o) {
    size_t len = sp_rd_left(o);
    bool syn = (s->flags & TCP_SYN) != 0;
    if (kind == OPT_MSS && len == 2 && syn) {
        s->mss = sp_rd_u16(o);
    } else if (kind == OPT_SHIFT && len == 1 && syn) {
        uint8_t shift = sp_rd_u8(o);
        s->has_shift = true;
        s->shift = shift > 14 ? 14 : shift; /* RFC 7323 2.3 */
    } else if (kind == OPT_SACK_OK && len == 0 && syn) {
        s->sack_ok = true;
    } else if (kind == OPT_SACK && len % 8 == 0 && !syn) {
        read_sack(s, o);
    } else if (kind == OPT_TS && len == 8) {
        s->has_ts = true;
        s->tsval = sp_rd_u32(o);
        s->tsecr = sp_rd_u32(o);
    }
}

static bool read_options(struct tcp_seg *s, struct sp_rd o) {
    while (sp_rd_left(&o) > 0) {
        uint8_t kind = sp_rd_u8(&o);
        if (kind == OPT_END)
            break;
        if (kind == OPT_NOP)
            continue;
        uint8_t len = sp_rd_u8(&o);
        if (len < 2)
            return false;
        struct sp_rd value = sp_rd_sub(&o, len - 2u);
        if (o.err != SP_OK)
            return false;
        read_option(s, kind, &value);
    }
    return o.err == SP_OK;
}

enum sp_tcp_drop tcp_parse(struct tcp_seg *ret, const struct sp_tcp_packet *p) {
    struct sp_rd r = sp_rd_init(p->data, p->len);
    *ret = (struct tcp_seg){.packet = p};
    ret->sport = sp_rd_u16(&r);
    ret->dport = sp_rd_u16(&r);
    ret->seq = sp_rd_u32(&r);
    ret->ack = sp_rd_u32(&r);
    size_t head = (size_t)(sp_rd_u8(&r) >> 4) * 4;
    ret->flags = sp_rd_u8(&r) & 0x3f;
    ret->wnd = sp_rd_u16(&r);
    sp_rd_u32(&r); /* checksum, urgent pointer: urgent data is data (RFC 6093) */
    if (r.err != SP_OK || head < TCP_HEAD || head > p->len || ret->sport == 0 || ret->dport == 0)
        return SP_TCP_DROP_FORM;
    if (!p->checked) {
        uint32_t sum = sp_csum_pseudo(p->src, p->dst, p->family == 4 ? 4 : 16, 6, p->len);
        if (sp_csum_fold(sp_csum_add(sum, p->data, p->len)) != 0xffff)
            return SP_TCP_DROP_CSUM;
    }
    if (!read_options(ret, sp_rd_sub(&r, head - TCP_HEAD)))
        return SP_TCP_DROP_FORM;
    ret->data = r.pos;
    ret->len = (uint32_t)sp_rd_left(&r);
    return SP_TCP_DROP_COUNT;
}

static uint8_t *put_option(uint8_t *p, uint8_t pad1, uint8_t pad2, uint8_t kind, uint8_t len) {
    p[0] = pad1;
    p[1] = pad2;
    p[2] = kind;
    p[3] = len;
    return p + 4;
}

static uint8_t *put_pair(uint8_t *p, uint32_t a, uint32_t b) {
    sp_put_u32(p, a);
    sp_put_u32(p + 4, b);
    return p + 8;
}

size_t tcp_head_write(const struct tcp_head *h, uint8_t *buf) {
    uint8_t *p = buf + TCP_HEAD;
    sp_put_u16(buf, h->sport);
    sp_put_u16(buf + 2, h->dport);
    put_pair(buf + 4, h->seq, (h->flags & TCP_ACK) != 0 ? h->ack : 0);
    buf[13] = h->flags;
    sp_put_u16(buf + 14, h->wnd);
    sp_put_u32(buf + 16, 0);
    if (h->mss != 0)
        p = put_option(p, OPT_MSS, 4, (uint8_t)(h->mss >> 8), (uint8_t)h->mss);
    if (h->has_shift)
        p = put_option(p, OPT_NOP, OPT_SHIFT, 3, h->shift);
    if (h->sack_ok)
        p = put_option(p, OPT_NOP, OPT_NOP, OPT_SACK_OK, 2);
    if (h->has_ts)
        p = put_pair(put_option(p, OPT_NOP, OPT_NOP, OPT_TS, 10), h->tsval, h->tsecr);
    if (h->sacks > 0)
        p = put_option(p, OPT_NOP, OPT_NOP, OPT_SACK, (uint8_t)(2 + 8 * h->sacks));
    for (unsigned i = 0; i < h->sacks; i++)
        p = put_pair(p, h->sack[i].seq, h->sack[i].end);
    buf[12] = (uint8_t)((p - buf) / 4 << 4);
    return (size_t)(p - buf);
}

/* Sums bytes that begin at an odd place too: such a sum is the other one with its bytes changed over. RFC 1071 2(B). */
static uint32_t sum_at(uint32_t sum, size_t at, const uint8_t *data, size_t len) {
    uint16_t part = sp_csum_fold(sp_csum_add(0, data, len));
    return sum + ((at & 1) != 0 ? (uint16_t)(part << 8 | part >> 8) : part);
}

uint16_t sp_tcp_sum(const struct sp_tcp_out *out, bool partial) {
    uint32_t sum = sp_csum_pseudo(out->src, out->dst, out->family == 4 ? 4 : 16, 6, out->head_len + out->len);
    if (partial)
        return sp_csum_fold(sum);
    size_t at = out->head_len;
    sum = sum_at(sum, 0, out->head, out->head_len);
    for (unsigned i = 0; i < out->spans; at += out->span[i++].len)
        sum = sum_at(sum, at, out->span[i].data, out->span[i].len);
    return (uint16_t)~sp_csum_fold(sum);
}

void sp_tcp_copy(const struct sp_tcp_out *out, uint8_t *buf, bool partial) {
    size_t at = out->head_len;
    memcpy(buf, out->head, out->head_len);
    for (unsigned i = 0; i < out->spans; at += out->span[i++].len)
        memcpy(buf + at, out->span[i].data, out->span[i].len);
    sp_put_u16(buf + 16, sp_tcp_sum(out, partial));
}
