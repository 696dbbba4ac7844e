/* Cursors over bytes with a sticky error. A failed read yields zero, a failed write writes nothing;
 * test the error once at the end. Integers are big endian unless the name says le. */
#ifndef SP_BASE_BYTES_H
#define SP_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "proto/base/err.h"

/* Reads [pos, end). `base` is the start of the message that offsets (DNS compression) refer to. */
struct sp_rd {
    const uint8_t *base;
    const uint8_t *pos;
    const uint8_t *end;
    sp_err err;
};

static inline struct sp_rd sp_rd_init(const void *data, size_t len) {
    const uint8_t *p = data;
    return (struct sp_rd){p, p, len > 0 ? p + len : p, SP_OK}; /* NULL may stand for nothing */
}
static inline size_t sp_rd_left(const struct sp_rd *r) { return (size_t)(r->end - r->pos); }
static inline size_t sp_rd_offset(const struct sp_rd *r) { return (size_t)(r->pos - r->base); }
static inline void sp_rd_fail(struct sp_rd *r, sp_err err) {
    if (r->err == SP_OK)
        r->err = err;
    r->pos = r->end;
}
/* The next len bytes, or NULL with ERR_SHORT. */
static inline const uint8_t *sp_rd_bytes(struct sp_rd *r, size_t len) {
    if (sp_rd_left(r) < len) {
        sp_rd_fail(r, SP_ERR_SHORT);
        return NULL;
    }
    const uint8_t *p = r->pos;
    r->pos += len;
    return p;
}
static inline void sp_rd_copy(struct sp_rd *r, void *to, size_t len) {
    const uint8_t *p = sp_rd_bytes(r, len);
    if (p != NULL)
        memcpy(to, p, len);
    else
        memset(to, 0, len);
}
static inline uint8_t sp_rd_u8(struct sp_rd *r) {
    const uint8_t *p = sp_rd_bytes(r, 1);
    return p != NULL ? p[0] : 0;
}
static inline uint16_t sp_rd_u16(struct sp_rd *r) {
    const uint8_t *p = sp_rd_bytes(r, 2);
    return p != NULL ? (uint16_t)(p[0] << 8 | p[1]) : 0;
}
static inline uint32_t sp_rd_u32(struct sp_rd *r) {
    const uint8_t *p = sp_rd_bytes(r, 4);
    return p != NULL ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3] : 0;
}
static inline uint64_t sp_rd_u48(struct sp_rd *r) {
    uint64_t hi = sp_rd_u16(r);
    return hi << 32 | sp_rd_u32(r);
}
static inline uint64_t sp_rd_u64(struct sp_rd *r) {
    uint64_t hi = sp_rd_u32(r);
    return hi << 32 | sp_rd_u32(r);
}
/* A reader confined to the next len bytes, with the same base; the outer reader moves past them. */
static inline struct sp_rd sp_rd_sub(struct sp_rd *r, size_t len) {
    const uint8_t *p = sp_rd_bytes(r, len);
    if (p == NULL)
        return (struct sp_rd){r->base, r->end, r->end, r->err};
    return (struct sp_rd){r->base, p, p + len, SP_OK};
}
/* The sticky error; bytes left over are ERR_FORM. */
SP_CHECK static inline sp_err sp_rd_finish(struct sp_rd *r) {
    if (r->err == SP_OK && r->pos != r->end)
        r->err = SP_ERR_FORM;
    return r->err;
}

/* Writes into [base, end) of the caller's buffer. */
struct sp_wr {
    uint8_t *base;
    uint8_t *pos;
    uint8_t *end;
    sp_err err;
};

static inline struct sp_wr sp_wr_init(void *buf, size_t len) {
    uint8_t *p = buf;
    return (struct sp_wr){p, p, p + len, SP_OK};
}
static inline size_t sp_wr_len(const struct sp_wr *w) { return (size_t)(w->pos - w->base); }
static inline size_t sp_wr_left(const struct sp_wr *w) { return (size_t)(w->end - w->pos); }
static inline void sp_wr_fail(struct sp_wr *w, sp_err err) {
    if (w->err == SP_OK)
        w->err = err;
}
/* Room for len bytes that the caller fills, or NULL with ERR_SPACE. */
static inline uint8_t *sp_wr_reserve(struct sp_wr *w, size_t len) {
    if (w->err != SP_OK || sp_wr_left(w) < len) {
        sp_wr_fail(w, SP_ERR_SPACE);
        return NULL;
    }
    uint8_t *p = w->pos;
    w->pos += len;
    return p;
}
static inline void sp_wr_bytes(struct sp_wr *w, const void *from, size_t len) {
    uint8_t *p = sp_wr_reserve(w, len);
    if (p != NULL && len != 0)
        memcpy(p, from, len);
}
static inline void sp_wr_u8(struct sp_wr *w, uint8_t v) {
    uint8_t *p = sp_wr_reserve(w, 1);
    if (p != NULL)
        p[0] = v;
}
static inline void sp_put_u16(uint8_t *p, uint16_t v) {
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}
static inline void sp_put_u32(uint8_t *p, uint32_t v) {
    sp_put_u16(p, (uint16_t)(v >> 16));
    sp_put_u16(p + 2, (uint16_t)v);
}
static inline uint16_t sp_get_u16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }
static inline uint32_t sp_get_u32(const uint8_t *p) {
    return (uint32_t)sp_get_u16(p) << 16 | sp_get_u16(p + 2);
}
static inline void sp_wr_u16(struct sp_wr *w, uint16_t v) {
    uint8_t *p = sp_wr_reserve(w, 2);
    if (p != NULL)
        sp_put_u16(p, v);
}
static inline void sp_wr_u32(struct sp_wr *w, uint32_t v) {
    uint8_t *p = sp_wr_reserve(w, 4);
    if (p != NULL)
        sp_put_u32(p, v);
}
static inline void sp_wr_u48(struct sp_wr *w, uint64_t v) {
    sp_wr_u16(w, (uint16_t)(v >> 32));
    sp_wr_u32(w, (uint32_t)v);
}
static inline void sp_wr_u64(struct sp_wr *w, uint64_t v) {
    sp_wr_u32(w, (uint32_t)(v >> 32));
    sp_wr_u32(w, (uint32_t)v);
}
/* Reserves a u16 length to be filled by sp_wr_len16_end; returns its offset from base. */
static inline size_t sp_wr_len16_begin(struct sp_wr *w) {
    size_t at = sp_wr_len(w);
    sp_wr_u16(w, 0);
    return at;
}
static inline void sp_wr_len16_end(struct sp_wr *w, size_t at) {
    if (w->err != SP_OK)
        return;
    size_t len = sp_wr_len(w) - at - 2;
    if (len > UINT16_MAX)
        sp_wr_fail(w, SP_ERR_RANGE);
    else
        sp_put_u16(w->base + at, (uint16_t)len);
}

#endif
