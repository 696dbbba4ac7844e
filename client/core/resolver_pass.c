/* Replies of others on their way to a local program: the signpost's about the zone, and those of the network's
 * resolvers. What could lead a program around the tunnel, or into it by a stranger's hand, is taken out. */
#include "client/core/resolver_reply.h"

/* RFC 9460 7.3. */
#define SVCB_IPV4HINT 4
#define SVCB_IPV6HINT 6

/* Which records pass. */
struct filter {
    const struct sp_resolver_config *config;
    uint8_t prefix[8]; /* of the overlay */
    bool upstream;     /* else from the signpost */
};

/* Loopback and "this host", which on Linux is loopback too. */
static bool is_loopback4(const uint8_t *ip) {
    return ip[0] == 127 || ip[0] == 0;
}

static bool is_loopback6(const uint8_t *ip) {
    static const uint8_t zero[12], mapped[12] = {[10] = 0xff, 0xff};
    if (memcmp(ip, zero, 12) == 0)
        return ip[12] == 0 && ip[13] == 0 && ip[14] == 0 && ip[15] <= 1;
    return memcmp(ip, mapped, 12) == 0 && is_loopback4(ip + 12);
}

static bool in_overlay(const struct filter *f, const uint8_t *ip) {
    return memcmp(ip, f->prefix, 8) == 0;
}

/* Upstream: anything but overlay and loopback. From the signpost: overlay alone, or a published address would go around
 * the tunnel. */
static bool address_passes(const struct filter *f, const uint8_t *ip, size_t len) {
    if (!f->upstream)
        return len == 16 && in_overlay(f, ip);
    if (len == 4)
        return !is_loopback4(ip);
    return len == 16 && !is_loopback6(ip) && !in_overlay(f, ip);
}

/* All addresses among the hints of a service. RFC 9460 2.2. */
static bool hints_pass(const struct filter *f, struct sp_rd rdata) {
    struct sp_name target;
    sp_rd_u16(&rdata);
    if (sp_name_read(&rdata, &target) != SP_OK)
        return false;
    while (sp_rd_left(&rdata) > 0) {
        uint16_t key = sp_rd_u16(&rdata);
        struct sp_rd value = sp_rd_sub(&rdata, sp_rd_u16(&rdata));
        size_t size = key == SVCB_IPV4HINT ? 4 : key == SVCB_IPV6HINT ? 16 : 0;
        for (const uint8_t *ip; size > 0 && sp_rd_left(&value) > 0;) {
            ip = sp_rd_bytes(&value, size);
            if (ip == NULL || !address_passes(f, ip, size))
                return false;
        }
    }
    return rdata.err == SP_OK;
}

static bool record_passes(const struct filter *f, const struct sp_rr *rr) {
    if (rr->type == SP_TYPE_OPT || rr->type == SP_TYPE_TSIG || rr->type == SP_TYPE_SIG || rr->rclass != SP_CLASS_IN)
        return false;
    if (f->upstream && sp_name_under(&rr->owner, &f->config->zone))
        return false;
    size_t len = sp_rd_left(&rr->rdata);
    switch (rr->type) {
    case SP_TYPE_A:
    case SP_TYPE_AAAA:
        return len == (rr->type == SP_TYPE_A ? 4 : 16) && address_passes(f, rr->rdata.pos, len);
    case SP_TYPE_SVCB:
    case SP_TYPE_HTTPS:
        return hints_pass(f, rr->rdata);
    default:
        return true;
    }
}

/* Writes the records of a reply that pass. Rdata that its type's layout forbids is left out too. */
static void copy_records(const struct filter *f, const struct sp_msg *reply, struct sp_resolver_reply *r) {
    uint8_t rdata[4096];
    for (unsigned section = 1; section < 4; section++) {
        struct sp_rd rd = sp_msg_section(reply, section);
        struct sp_rr rr;
        for (unsigned left = reply->count[section]; left > 0 && sp_msg_rr(&rd, &rr) == SP_OK; left--) {
            struct sp_wr wr = sp_wr_init(rdata, sizeof rdata);
            if (!record_passes(f, &rr))
                continue;
            sp_err err = sp_rdata_read(rr.type, &rr.rdata, &wr);
            if (err == SP_OK)
                sp_resolver_reply_rr(r, section, &rr.owner, rr.type, rr.ttl, rdata, sp_wr_len(&wr));
            else if (err == SP_ERR_SPACE)
                r->full = true;
        }
    }
}

/* The reply, if it is one to this question. */
static bool reply_read(struct sp_msg *ret, const struct sp_msg *query, const uint8_t *reply, size_t len) {
    return reply != NULL && sp_msg_parse(ret, reply, len) == SP_OK && (ret->flags & SP_FLAG_QR) != 0 &&
           SP_OPCODE_OF(ret->flags) == SP_OPCODE_QUERY && ret->count[0] == 1 && ret->qtype == query->qtype &&
           ret->qclass == query->qclass && sp_name_equal(&ret->qname, &query->qname);
}

static size_t pass(const struct sp_resolver_config *c, const struct sp_msg *query, const struct sp_msg *reply,
                   bool upstream, uint8_t *out, size_t cap) {
    struct filter f = {.config = c, .upstream = upstream};
    struct sp_resolver_reply r;
    sp_overlay_prefix(c->root_hash, f.prefix);
    sp_resolver_reply_begin(&r, c, query, reply->flags & (upstream ? SP_FLAG_TC : SP_FLAG_AA | SP_FLAG_TC), out, cap);
    r.rcode = (uint16_t)(SP_RCODE_OF(reply->flags) | (reply->edns.present ? reply->edns.ext_rcode << 4 : 0));
    if (r.rcode > 15 && !query->edns.present)
        r.rcode = SP_RCODE_SERVFAIL;
    copy_records(&f, reply, &r);
    return sp_resolver_reply_end(&r);
}

size_t sp_resolver_relay(const struct sp_resolver_config *c, const uint8_t *query, size_t len, const uint8_t *reply,
                         size_t reply_len, uint8_t *out, size_t cap) {
    struct sp_msg q, r;
    if (sp_msg_parse(&q, query, len) != SP_OK || q.count[0] != 1)
        return 0;
    if (!reply_read(&r, &q, reply, reply_len))
        return sp_resolver_reply_error(
            c, &q, SP_RCODE_SERVFAIL, SP_EDE_NO_AUTHORITY,
            reply == NULL ? "no answer from the signpost" : "the signpost's answer is to something else", out, cap);
    return pass(c, &q, &r, false, out, cap);
}

size_t sp_resolver_upstream(const struct sp_resolver_config *c, const uint8_t *query, size_t len, const uint8_t *reply,
                            size_t reply_len, uint8_t *out, size_t cap) {
    struct sp_msg q, r;
    if (sp_msg_parse(&q, query, len) != SP_OK || q.count[0] != 1)
        return 0;
    if (!reply_read(&r, &q, reply, reply_len) || r.id != q.id)
        return sp_resolver_reply_error(
            c, &q, SP_RCODE_SERVFAIL, SP_EDE_NETWORK,
            reply == NULL ? "no answer from the network's resolvers" : "the answer is to something else", out, cap);
    return pass(c, &q, &r, true, out, cap);
}
