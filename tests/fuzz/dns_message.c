/* Any message: what parses is walked, its rdata read, written anew with compression, and parsed to the same records. */
#include <string.h>

#include "proto/dns/msg.h"
#include "tests/support/support.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static uint8_t rdata_a[SP_RDATA_MAX], rdata_b[SP_RDATA_MAX], again[SP_MSG_MAX];

/* Reads the rdata of rr into buf in canonical form; false when it is malformed. */
static bool read_rdata(struct sp_rr *rr, uint8_t *buf, size_t *ret_len) {
    struct sp_wr wr = sp_wr_init(buf, SP_RDATA_MAX);
    if (sp_rdata_read(rr->type, &rr->rdata, &wr) != SP_OK)
        return false;
    *ret_len = sp_wr_len(&wr);
    SP_ASSERT(sp_rdata_check(rr->type, buf, *ret_len) == SP_OK);
    return true;
}

static size_t rewrite(const struct sp_msg *msg, unsigned kept[4]) {
    struct sp_msgw w;
    sp_msgw_begin(&w, again, sizeof again, msg->id, msg->flags);
    struct sp_rd rd = sp_msg_section(msg, 0);
    for (unsigned i = 0; i < msg->count[0]; i++) {
        struct sp_name name;
        SP_ASSERT(sp_name_read(&rd, &name) == SP_OK);
        uint16_t type = sp_rd_u16(&rd);
        sp_msgw_question(&w, &name, type, sp_rd_u16(&rd));
    }
    SP_ASSERT(sp_rd_finish(&rd) == SP_OK);
    for (unsigned s = 1; s < 4; s++) {
        struct sp_rr rr;
        size_t len;
        rd = sp_msg_section(msg, s);
        for (unsigned i = 0; i < msg->count[s]; i++) {
            SP_ASSERT(sp_msg_rr(&rd, &rr) == SP_OK);
            if (!read_rdata(&rr, rdata_a, &len))
                continue;
            if (sp_msgw_rr(&w, s, &rr.owner, rr.type, rr.rclass, rr.ttl, rdata_a, len) != SP_OK)
                return 0;
            kept[s]++;
        }
        SP_ASSERT(sp_rd_finish(&rd) == SP_OK);
    }
    return sp_msgw_end(&w);
}

static void same_records(const struct sp_msg *a, const struct sp_msg *b, unsigned s) {
    struct sp_rd ra = sp_msg_section(a, s), rb = sp_msg_section(b, s);
    for (unsigned i = 0; i < a->count[s]; i++) {
        struct sp_rr x, y;
        size_t x_len, y_len;
        SP_ASSERT(sp_msg_rr(&ra, &x) == SP_OK);
        if (!read_rdata(&x, rdata_a, &x_len))
            continue;
        SP_ASSERT(sp_msg_rr(&rb, &y) == SP_OK);
        SP_ASSERT(read_rdata(&y, rdata_b, &y_len));
        SP_ASSERT(sp_name_equal(&x.owner, &y.owner) && x.type == y.type && x.rclass == y.rclass && x.ttl == y.ttl);
        /* Compression may change a name's case. */
        sp_rdata_canonical(x.type, rdata_a, x_len);
        sp_rdata_canonical(y.type, rdata_b, y_len);
        SP_ASSERT(sp_rdata_cmp(rdata_a, x_len, rdata_b, y_len) == 0);
    }
    SP_ASSERT(sp_rd_left(&rb) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    static struct sp_msg msg, copy;
    if (sp_msg_parse(&msg, data, len) != SP_OK) {
        for (unsigned s = 1; s < 4; s++)
            SP_ASSERT(msg.count[s] == 0);
        return 0;
    }
    struct sp_rd value;
    (void)sp_edns_find(&msg.edns, SP_EDNS_COOKIE, &value);
    unsigned kept[4] = {0};
    size_t n = rewrite(&msg, kept);
    if (n == 0)
        return 0; /* without its compression it is too large */
    SP_ASSERT(sp_msg_parse(&copy, again, n) == SP_OK);
    SP_ASSERT(copy.id == msg.id && copy.flags == msg.flags && copy.count[0] == msg.count[0]);
    SP_ASSERT(sp_name_equal(&copy.qname, &msg.qname) && copy.qtype == msg.qtype && copy.qclass == msg.qclass);
    for (unsigned s = 1; s < 4; s++) {
        SP_ASSERT(copy.count[s] == kept[s]);
        same_records(&msg, &copy, s);
    }
    return 0;
}
