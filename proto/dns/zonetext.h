/* Zone text. RFC 1035 5, RFC 2308 4 ($TTL), RFC 3597 5. $INCLUDE is refused. */
#ifndef SP_DNS_ZONETEXT_H
#define SP_DNS_ZONETEXT_H

#include <stddef.h>
#include <stdint.h>

#include "proto/dns/name.h"
#include "proto/dns/rrset.h"
#include "proto/dns/rrtype.h"
#include "proto/dns/scan.h"

/* A pull parser over text that stays in the caller's memory; no allocation. */
struct sp_zonetext {
    struct sp_scan scan;
    struct sp_name origin, owner;
    bool have_owner, have_ttl, have_default;
    uint32_t ttl, default_ttl; /* the last one given with a record; $TTL */
    sp_err failed;
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

/* origin NULL: the root. */
void sp_zonetext_begin(struct sp_zonetext *z, const char *text, size_t len, const struct sp_name *origin);
/* The next record, its rdata in buf (SP_RDATA_MAX bytes suffice). ERR_NOENT at the end, else z->error says line, column, what, and
 * every further call fails alike. A TTL that is not given is $TTL's, else the last one given, else the SOA's minimum. */
SP_CHECK sp_err sp_zonetext_next(struct sp_zonetext *z, struct sp_zonetext_rr *ret, uint8_t *buf, size_t cap);
/* One record as a line "owner TTL CLASS TYPE rdata\n". */
void sp_zonetext_write(struct sp_wr *wr, const struct sp_name *owner, uint16_t type, uint16_t rclass, uint32_t ttl,
                       const uint8_t *rdata, size_t len);

#endif
