#include "proto/nat/probe.h"

#include "proto/nat/addr.h"

static void read_split(struct sp_probe *p, struct sp_rd *rd) {
    p->part = sp_rd_u8(rd);
    p->id = sp_rd_u16(rd);
    p->len = sp_rd_u16(rd);
    p->data = sp_rd_bytes(rd, p->len);
    if (rd->err == SP_OK && (p->part > 1 || p->len == 0))
        sp_rd_fail(rd, SP_ERR_FORM);
}

sp_err sp_probe_read(struct sp_probe *ret, const uint8_t *data, size_t len) {
    struct sp_rd rd = sp_rd_init(data, len);
    struct sp_probe p = {.kind = sp_rd_u8(&rd)};
    if (len > 0 && (p.kind >> 4 == 4 || p.kind >> 4 == 6)) {
        *ret = (struct sp_probe){.kind = SP_PROBE_NONE};
        return SP_OK;
    }
    switch (p.kind) {
    case SP_PROBE_PING:
    case SP_PROBE_PONG:
        p.flags = sp_rd_u8(&rd);
        p.path = sp_rd_u16(&rd);
        p.cookie = sp_rd_u64(&rd);
        if (p.kind == SP_PROBE_PONG) {
            p.size = sp_rd_u16(&rd);
            sp_nat_addr_read(&rd, &p.seen);
        } else {
            p.size = (uint16_t)(len < UINT16_MAX ? len : UINT16_MAX);
            if (len < SP_PROBE_PING_MIN)
                sp_rd_fail(&rd, SP_ERR_SHORT);
        }
        break;
    case SP_PROBE_SPLIT:
        read_split(&p, &rd);
        break;
    case SP_PROBE_CLOSE:
        break;
    default:
        sp_rd_fail(&rd, SP_ERR_FORM);
    }
    /* What is left is padding. */
    if (rd.err == SP_OK)
        *ret = p;
    return rd.err;
}

size_t sp_probe_write(const struct sp_probe *p, uint8_t *out, size_t cap) {
    struct sp_wr wr = sp_wr_init(out, cap);
    sp_wr_u8(&wr, p->kind);
    if (p->kind == SP_PROBE_PING || p->kind == SP_PROBE_PONG) {
        sp_wr_u8(&wr, p->flags);
        sp_wr_u16(&wr, p->path);
        sp_wr_u64(&wr, p->cookie);
    }
    if (p->kind == SP_PROBE_PING) {
        size_t size = p->size < SP_PROBE_PING_MIN ? SP_PROBE_PING_MIN : p->size, head = sp_wr_len(&wr);
        uint8_t *fill = sp_wr_reserve(&wr, size - head);
        if (fill != NULL)
            memset(fill, 0, size - head);
    } else if (p->kind == SP_PROBE_PONG) {
        sp_wr_u16(&wr, p->size);
        sp_nat_addr_write(&wr, &p->seen);
    } else if (p->kind == SP_PROBE_SPLIT) {
        sp_wr_u8(&wr, p->part);
        sp_wr_u16(&wr, p->id);
        sp_wr_u16(&wr, p->len);
        sp_wr_bytes(&wr, p->data, p->len);
    }
    return wr.err == SP_OK ? sp_wr_len(&wr) : 0;
}
