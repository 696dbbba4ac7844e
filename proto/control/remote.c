#include "proto/control/remote.h"

#include <string.h>

/* ---- masks ---- */

bool sp_remote_mask_has(const struct sp_remote_mask *m, uint32_t piece) {
    uint32_t i = piece - m->first;
    return i < SP_REMOTE_MASK && (m->bits[i / 8] >> i % 8 & 1) != 0;
}

void sp_remote_mask_set(struct sp_remote_mask *m, uint32_t piece, bool on) {
    uint32_t i = piece - m->first;
    if (i >= SP_REMOTE_MASK)
        return;
    uint8_t bit = (uint8_t)(1u << i % 8);
    m->bits[i / 8] = on ? m->bits[i / 8] | bit : m->bits[i / 8] & (uint8_t)~bit;
}

bool sp_remote_mask_next(const struct sp_remote_mask *m, uint32_t *ret) {
    for (uint32_t i = 0; i < SP_REMOTE_MASK; i++)
        if (sp_remote_mask_has(m, m->first + i)) {
            *ret = m->first + i;
            return true;
        }
    return false;
}

unsigned sp_remote_mask_count(const struct sp_remote_mask *m) {
    unsigned n = 0;
    for (uint32_t i = 0; i < SP_REMOTE_MASK; i++)
        n += sp_remote_mask_has(m, m->first + i);
    return n;
}

/* ---- pieces ---- */

uint32_t sp_remote_pieces(uint32_t length) {
    return length / SP_REMOTE_PIECE + (length % SP_REMOTE_PIECE != 0);
}

uint32_t sp_remote_piece_len(uint32_t length, uint32_t piece) {
    uint32_t n = sp_remote_pieces(length);
    if (piece >= n)
        return 0;
    return piece + 1 < n ? SP_REMOTE_PIECE : length - piece * SP_REMOTE_PIECE;
}

/* ---- messages ---- */

static void read_piece(struct sp_remote_msg *m, struct sp_rd *rd) {
    m->length = sp_rd_u32(rd);
    m->piece = sp_rd_u32(rd);
    m->len = sp_remote_piece_len(m->length, m->piece);
    m->data = sp_rd_bytes(rd, m->len);
    if (m->len == 0)
        sp_rd_fail(rd, SP_ERR_FORM);
}

static void read_mask(struct sp_remote_msg *m, struct sp_rd *rd) {
    m->mask.first = sp_rd_u32(rd);
    sp_rd_copy(rd, m->mask.bits, sizeof m->mask.bits);
    if (m->mask.first > UINT32_MAX - SP_REMOTE_MASK)
        sp_rd_fail(rd, SP_ERR_FORM);
}

static void read_rest(struct sp_remote_msg *m, struct sp_rd *rd) {
    switch ((enum sp_remote_kind)m->kind) {
    case SP_REMOTE_HELLO:
    case SP_REMOTE_BYE:
        break;
    case SP_REMOTE_WELCOME:
        m->number = sp_rd_u64(rd);
        m->length = sp_rd_u32(rd);
        break;
    case SP_REMOTE_PIECES:
    case SP_REMOTE_REPLY:
        read_piece(m, rd);
        break;
    case SP_REMOTE_PULL:
        read_mask(m, rd);
        break;
    case SP_REMOTE_STATE:
        m->length = sp_rd_u32(rd);
        read_mask(m, rd);
        break;
    default:
        sp_rd_fail(rd, SP_ERR_FORM);
    }
}

sp_err sp_remote_read(struct sp_remote_msg *ret, const uint8_t *data, size_t len) {
    struct sp_rd rd = sp_rd_init(data, len);
    *ret = (struct sp_remote_msg){0};
    ret->kind = sp_rd_u8(&rd);
    ret->version = sp_rd_u8(&rd);
    ret->state = sp_rd_u8(&rd);
    (void)sp_rd_u8(&rd);
    ret->session = sp_rd_u64(&rd);
    ret->id = sp_rd_u32(&rd);
    if (rd.err != SP_OK)
        return rd.err;
    if (ret->version != SP_REMOTE_VERSION && ret->kind != SP_REMOTE_HELLO && ret->kind != SP_REMOTE_WELCOME)
        return SP_ERR_UNSUP;
    read_rest(ret, &rd);
    if (rd.err != SP_OK)
        return rd.err;
    return ret->version == SP_REMOTE_VERSION ? SP_OK : SP_ERR_UNSUP;
}

size_t sp_remote_write(const struct sp_remote_msg *m, uint8_t *out, size_t cap) {
    struct sp_wr wr = sp_wr_init(out, cap);
    sp_wr_u8(&wr, m->kind);
    sp_wr_u8(&wr, SP_REMOTE_VERSION);
    sp_wr_u8(&wr, m->state);
    sp_wr_u8(&wr, 0);
    sp_wr_u64(&wr, m->session);
    sp_wr_u32(&wr, m->id);
    if (m->kind == SP_REMOTE_WELCOME)
        sp_wr_u64(&wr, m->number);
    if (m->kind == SP_REMOTE_WELCOME || m->kind == SP_REMOTE_STATE || m->kind == SP_REMOTE_PIECES ||
        m->kind == SP_REMOTE_REPLY)
        sp_wr_u32(&wr, m->length);
    if (m->kind == SP_REMOTE_STATE || m->kind == SP_REMOTE_PULL) {
        sp_wr_u32(&wr, m->mask.first);
        sp_wr_bytes(&wr, m->mask.bits, sizeof m->mask.bits);
    }
    if (m->kind == SP_REMOTE_PIECES || m->kind == SP_REMOTE_REPLY) {
        sp_wr_u32(&wr, m->piece);
        sp_wr_bytes(&wr, m->data, sp_remote_piece_len(m->length, m->piece));
    }
    return wr.err == SP_OK ? sp_wr_len(&wr) : 0;
}
