/* Type bitmaps. RFC 4034 4.1.2. */
#include "proto/dns/rdata.h"

void sp_bitmap_skip(struct sp_rd *rd) {
    int last = -1;
    while (sp_rd_left(rd) > 0) {
        unsigned window = sp_rd_u8(rd), len = sp_rd_u8(rd);
        const uint8_t *bits = sp_rd_bytes(rd, len);
        if (bits == NULL)
            return;
        if ((int)window <= last || len == 0 || len > 32 || bits[len - 1] == 0) {
            sp_rd_fail(rd, SP_ERR_FORM);
            return;
        }
        last = (int)window;
    }
}

bool sp_bitmap_next(const uint8_t *bitmap, size_t len, uint32_t from, uint16_t *ret) {
    struct sp_rd rd = sp_rd_init(bitmap, len);
    while (sp_rd_left(&rd) > 0) {
        uint32_t window = sp_rd_u8(&rd);
        size_t n = sp_rd_u8(&rd);
        const uint8_t *bits = sp_rd_bytes(&rd, n);
        if (bits == NULL)
            return false;
        uint32_t first = window << 8, end = first + (uint32_t)n * 8;
        for (uint32_t t = from > first ? from : first; t < end; t++) {
            if (bits[(t - first) / 8] & 0x80 >> t % 8) {
                *ret = (uint16_t)t;
                return true;
            }
        }
    }
    return false;
}

void sp_bitmap_write(struct sp_wr *wr, const uint8_t set[8192]) {
    for (unsigned window = 0; window < 256; window++) {
        const uint8_t *bits = set + (size_t)window * 32;
        unsigned len = 32;
        while (len > 0 && bits[len - 1] == 0)
            len--;
        if (len == 0)
            continue;
        sp_wr_u8(wr, (uint8_t)window);
        sp_wr_u8(wr, (uint8_t)len);
        sp_wr_bytes(wr, bits, len);
    }
}
