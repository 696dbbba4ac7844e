/* Zone text. RFC 1035 5, RFC 2308 4 ($TTL), RFC 3597 5. $INCLUDE is refused. */
#ifndef SP_DNS_ZONETEXT_H
#define SP_DNS_ZONETEXT_H

#include <stddef.h>
#include <stdint.h>

#include "proto/dns/name.h"
#include "proto/dns/rrset.h"
#include "proto/dns/rrtype.h"

/* Where and what went wrong, for a person. */
struct sp_zonetext_error {
    unsigned line, column; /* from 1 */
    const char *what;      /* static text */
};

/* A pull parser over text that stays in the caller's memory; no allocation. */
struct sp_zonetext {
    const char *text;
    size_t len, pos;
    unsigned line;
    size_t line_start;
    struct sp_name origin, owner;
    bool have_owner, have_ttl, have_default;
    uint32_t ttl, default_ttl;
    struct sp_zonetext_error error;
};

struct sp_zonetext_rr {
    struct sp_name owner;
    uint16_t type, rclass;
    uint32_t ttl;
    const uint8_t *rdata; /* in the caller's buffer */
    size_t rdata_len;
    unsigned line;
};

void sp_zonetext_begin(struct sp_zonetext *z, const char *text, size_t len, const struct sp_name *origin);
/* The next record, its rdata in buf (SP_RDATA_MAX bytes suffice). ERR_NOENT at the end, else z->error says line, column, what. */
SP_CHECK sp_err sp_zonetext_next(struct sp_zonetext *z, struct sp_zonetext_rr *ret, uint8_t *buf, size_t cap);
/* One record as a line "owner TTL CLASS TYPE rdata\n". */
void sp_zonetext_write(struct sp_wr *wr, const struct sp_name *owner, uint16_t type, uint16_t rclass, uint32_t ttl,
                       const uint8_t *rdata, size_t len);

#endif
