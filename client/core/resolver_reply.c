#include "client/core/resolver_reply.h"

#define OPT_SIZE     11
#define EDE_TEXT_MAX 64

/* What the client takes. RFC 6891 6.2.3: less than 512 counts as 512. */
static size_t limit_of(const struct sp_msg *query, size_t cap) {
    size_t limit = query->edns.present && query->edns.udp_size > 512 ? query->edns.udp_size : 512;
    if (limit > SP_RESOLVER_UDP_MAX)
        limit = SP_RESOLVER_UDP_MAX;
    return limit < cap ? limit : cap;
}

void sp_resolver_reply_begin(struct sp_resolver_reply *r, const struct sp_resolver_config *c,
                             const struct sp_msg *query, uint16_t flags, uint8_t *out, size_t cap) {
    r->config = c;
    r->query = query;
    r->rcode = SP_RCODE_NOERROR;
    r->ede = SP_EDE_NONE;
    r->ede_text = NULL;
    r->full = false;
    /* RFC 1035 4.1.1, RFC 4035 3.2.2: opcode, RD and CD come back; AD never, as nothing is validated here. */
    r->flags = (uint16_t)(SP_FLAG_QR | flags | (query->flags & (0x7800 | SP_FLAG_RD | SP_FLAG_CD)));
    if (c->forward)
        r->flags |= SP_FLAG_RA;
    size_t limit = limit_of(query, cap);
    sp_msgw_begin(&r->w, out, limit, query->id, r->flags);
    if (query->count[0] == 1)
        sp_msgw_question(&r->w, &query->qname, query->qtype, query->qclass);
    r->kept = query->edns.present ? OPT_SIZE + 6 + EDE_TEXT_MAX : 0;
    if (sp_wr_left(&r->w.wr) < r->kept)
        r->kept = 0;
    r->w.wr.end -= r->kept;
}

void sp_resolver_reply_rr(struct sp_resolver_reply *r, unsigned section, const struct sp_name *owner, uint16_t type,
                          uint32_t ttl, const uint8_t *rdata, size_t len) {
    if (sp_msgw_rr(&r->w, section, owner, type, SP_CLASS_IN, ttl, rdata, len) != SP_OK && section != 3)
        r->full = true;
}

/* mname and rname are names of the zone that lead to the signpost; numbers as small zones have them. */
void sp_resolver_reply_soa(struct sp_resolver_reply *r, unsigned section, const struct sp_name *owner) {
    uint8_t rdata[2 * SP_NAME_MAX + 20];
    struct sp_wr wr = sp_wr_init(rdata, sizeof rdata);
    struct sp_name name;
    if (sp_name_prepend(&name, "signpost", 8, &r->config->zone) != SP_OK)
        name = r->config->zone;
    sp_name_write(&wr, &name);
    if (sp_name_prepend(&name, "hostmaster", 10, &r->config->zone) != SP_OK)
        name = r->config->zone;
    sp_name_write(&wr, &name);
    sp_wr_u32(&wr, 1);
    sp_wr_u32(&wr, 3600);
    sp_wr_u32(&wr, 600);
    sp_wr_u32(&wr, 86400);
    sp_wr_u32(&wr, SP_RESOLVER_TTL);
    sp_resolver_reply_rr(r, section, owner, SP_TYPE_SOA, SP_RESOLVER_TTL, rdata, sp_wr_len(&wr));
}

static void put_opt(struct sp_resolver_reply *r) {
    const struct sp_edns *edns = &r->query->edns;
    struct sp_optw o;
    sp_msgw_opt_begin(&r->w, &o, SP_RESOLVER_UDP_MAX, r->rcode, 0, edns->flags & SP_EDNS_DO);
    if (r->ede != SP_EDE_NONE) {
        uint8_t value[2 + EDE_TEXT_MAX];
        size_t len = r->ede_text != NULL ? strlen(r->ede_text) : 0;
        len = len < EDE_TEXT_MAX ? len : EDE_TEXT_MAX;
        sp_put_u16(value, (uint16_t)r->ede);
        if (len > 0)
            memcpy(value + 2, r->ede_text, len);
        sp_msgw_opt_add(&r->w, SP_EDNS_EDE, value, 2 + len);
    }
    sp_msgw_opt_end(&r->w, &o);
}

size_t sp_resolver_reply_end(struct sp_resolver_reply *r) {
    if (r->full)
        r->flags |= SP_FLAG_TC;
    if (r->query->edns.present) {
        r->w.wr.end += r->kept;
        put_opt(r);
    }
    if (r->w.wr.err != SP_OK)
        return 0;
    sp_put_u16(r->w.wr.base + 2, (uint16_t)(r->flags | (r->rcode & 15)));
    return sp_msgw_end(&r->w);
}

size_t sp_resolver_reply_error(const struct sp_resolver_config *c, const struct sp_msg *query, uint16_t rcode, int ede,
                               const char *ede_text, uint8_t *out, size_t cap) {
    struct sp_resolver_reply r;
    sp_resolver_reply_begin(&r, c, query, 0, out, cap);
    r.rcode = rcode;
    r.ede = ede;
    r.ede_text = ede_text;
    return sp_resolver_reply_end(&r);
}
