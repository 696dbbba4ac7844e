/* Queries of local programs, and replies of others. First byte: bit 0 forward, bit 1 search, bit 2: two bytes of
 * length, the query, then a reply to it that others gave; a reply's id and question are put right first with bit 3.
 * Replies are whole and within bounds; nothing of the zone is ever forwarded. */
#include "tests/support/resolver_rig.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct resolver_rig r;

static void check_reply(const uint8_t *out, size_t n) {
    struct sp_msg m;
    if (n == 0)
        return;
    if (n > SP_RESOLVER_UDP_MAX || sp_msg_parse(&m, out, n) != SP_OK || (m.flags & SP_FLAG_QR) == 0)
        abort();
}

static bool inside(const uint8_t *addr) {
    return memcmp(addr, r.laptop->overlay, 8) == 0;
}

/* No address of upstream's leads into the overlay. */
static void check_upstream(const uint8_t *out, size_t n) {
    struct sp_msg m;
    struct sp_rr rr;
    if (n == 0 || sp_msg_parse(&m, out, n) != SP_OK)
        return;
    for (unsigned s = 1; s < 4; s++) {
        struct sp_rd rd = sp_msg_section(&m, s);
        for (unsigned i = 0; i < m.count[s]; i++) {
            if (sp_msg_rr(&rd, &rr) != SP_OK)
                abort();
            if (rr.type == SP_TYPE_AAAA && (sp_rd_left(&rr.rdata) != 16 || inside(rr.rdata.pos)))
                abort();
            if (rr.type != SP_TYPE_OPT && sp_name_under(&rr.owner, &r.config.zone))
                abort();
        }
    }
}

static void fuzz_query(const uint8_t *query, size_t len) {
    uint8_t out[SP_RESOLVER_UDP_MAX + 64];
    struct sp_dir_entry *device;
    size_t n;
    enum sp_resolver_verdict v = sp_resolver_query(&r.config, r.dir, query, len, 0, out, sizeof out, &n, &r.ask);
    if ((v == SP_RESOLVED) != (n > 0))
        abort();
    check_reply(out, n);
    if (v == SP_RESOLVE_FORWARD && (!r.config.forward || sp_name_under(&r.ask.name, &r.config.zone)))
        abort();
    if (v == SP_RESOLVE_LOOK_UP || v == SP_RESOLVE_ASK) {
        if (!sp_name_under(&r.ask.name, &r.config.zone) || sp_type_is_meta(r.ask.type) != (r.ask.type == SP_TYPE_ANY))
            abort();
    }
    if (len <= 4096) {
        check_reply(out, sp_resolver_answer(&r.config, r.dir, query, len, SP_OK, out, sizeof out, &device));
        check_reply(out, sp_resolver_answer(&r.config, r.dir, query, len, SP_ERR_AGAIN, out, sizeof out, &device));
    }
}

static void fuzz_reply(const uint8_t *query, size_t query_len, const uint8_t *reply, size_t len, bool fix) {
    static uint8_t fixed[65536 + 512];
    uint8_t out[SP_RESOLVER_UDP_MAX + 64];
    struct sp_msg q;
    if (fix && len >= 12 && len < 65000 && sp_msg_parse(&q, query, query_len) == SP_OK && q.count[0] == 1) {
        struct sp_msgw w;
        sp_msgw_begin(&w, fixed, sizeof fixed, q.id, 0);
        sp_msgw_question(&w, &q.qname, q.qtype, q.qclass);
        sp_wr_bytes(&w.wr, reply + 12, len - 12);
        memcpy(fixed + 2, reply + 2, 10);
        fixed[2] = (uint8_t)((reply[2] & 0x87) | 0x80);
        sp_put_u16(fixed + 4, 1);
        reply = fixed;
        len = sp_wr_len(&w.wr);
    }
    size_t n = sp_resolver_upstream(&r.config, query, query_len, reply, len, out, sizeof out);
    check_reply(out, n);
    check_upstream(out, n);
    check_reply(out, sp_resolver_relay(&r.config, query, query_len, reply, len, out, sizeof out));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    if (r.dir == NULL)
        resolver_rig_init(&r);
    if (len == 0)
        return 0;
    struct sp_rd rd = sp_rd_init(data + 1, len - 1);
    r.config.forward = data[0] & 1;
    r.config.search = data[0] & 2;
    if ((data[0] & 4) == 0) {
        fuzz_query(rd.pos, sp_rd_left(&rd));
        return 0;
    }
    size_t n = sp_rd_u16(&rd);
    struct sp_rd query = sp_rd_sub(&rd, n < sp_rd_left(&rd) ? n : sp_rd_left(&rd));
    fuzz_reply(query.pos, sp_rd_left(&query), rd.pos, sp_rd_left(&rd), data[0] & 8);
    return 0;
}
