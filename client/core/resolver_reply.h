/* How the resolver's replies are put together; for the files of the resolver alone. */
#ifndef SP_AGENT_RESOLVER_REPLY_H
#define SP_AGENT_RESOLVER_REPLY_H

#include "client/core/resolver.h"

/* RFC 8914 4. */
#define SP_EDE_NONE              (-1)
#define SP_EDE_NOT_AUTHORITATIVE 20
#define SP_EDE_NO_AUTHORITY      22
#define SP_EDE_NETWORK           23

struct sp_resolver_reply {
    const struct sp_resolver_config *config;
    const struct sp_msg *query;
    struct sp_msgw w;
    uint16_t flags, rcode;
    int ede;
    const char *ede_text; /* at most 64 bytes */
    size_t kept;          /* bytes of room for OPT */
    bool full;            /* a record did not fit */
};

/* Header and question; room for the OPT record is kept. flags: SP_FLAG_AA or 0. */
void sp_resolver_reply_begin(struct sp_resolver_reply *r, const struct sp_resolver_config *c,
                             const struct sp_msg *query, uint16_t flags, uint8_t *out, size_t cap);
void sp_resolver_reply_rr(struct sp_resolver_reply *r, unsigned section, const struct sp_name *owner, uint16_t type,
                          uint32_t ttl, const uint8_t *rdata, size_t len);
/* An SOA that nobody stores, so that caches know for how long a "no" holds (RFC 2308 5). */
void sp_resolver_reply_soa(struct sp_resolver_reply *r, unsigned section, const struct sp_name *owner);
/* OPT, flags, counts; the length. */
size_t sp_resolver_reply_end(struct sp_resolver_reply *r);
/* A whole reply without records. */
size_t sp_resolver_reply_error(const struct sp_resolver_config *c, const struct sp_msg *query, uint16_t rcode, int ede,
                               const char *ede_text, uint8_t *out, size_t cap);

/* Whether `name` (lower case) stands for something in the zone, and what. */
enum sp_resolver_place {
    SP_PLACE_ELSEWHERE,
    SP_PLACE_APEX,
    SP_PLACE_DEVICE,   /* one label below the apex */
    SP_PLACE_BELOW,    /* more */
    SP_PLACE_RESERVED, /* a name that must not lead anywhere, in the zone or alone */
    SP_PLACE_SHORT,    /* one label, to be tried in the zone */
    SP_PLACE_REVERSE,  /* of an overlay address, or above or below those */
    SP_PLACE_LOCALHOST,
};
/* *ret: the name in the zone, for SHORT with the zone behind it. */
enum sp_resolver_place sp_resolver_place(const struct sp_resolver_config *c, const struct sp_name *name,
                                         struct sp_name *ret);
/* The name of the reverse zone of the overlay prefix. RFC 3596 2.5. */
void sp_resolver_reverse_zone(const uint8_t root_hash[SP_ROOT_HASH], struct sp_name *ret);

#endif
