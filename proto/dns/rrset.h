/* An RRset as bytes: what stores, signers and printers hand each other. */
#ifndef SP_DNS_RRSET_H
#define SP_DNS_RRSET_H

#include <stddef.h>
#include <stdint.h>

#include "proto/base/bytes.h"

/* data: `count` times u16 length and uncompressed rdata, in canonical order (RFC 4034 6.3), without duplicates.
 * Borrowed from whoever made it. */
struct sp_rrs {
    uint16_t type;
    uint16_t rclass;
    uint32_t ttl;
    uint16_t count;
    const uint8_t *data;
    size_t len;
};

/* Order of two rdata in canonical form. */
int sp_rdata_cmp(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len);
/* Next rdata of a reader over rrs->data; false at the end. */
static inline bool sp_rrs_next(struct sp_rd *rd, const uint8_t **rdata, size_t *len) {
    if (sp_rd_left(rd) == 0)
        return false;
    *len = sp_rd_u16(rd);
    *rdata = sp_rd_bytes(rd, *len);
    return *rdata != NULL;
}

#endif
