/* Arbitrary bytes as a query against a signed zone with a bit of everything. The first byte chooses the transport, the
 * room and the signing budget. A reply must parse, answer that query, and stay within every limit. */
#include <stdlib.h>
#include <string.h>

#include "tests/support/zone_build.h"

static const char zone[] =
    "$TTL 300\n@ IN SOA ns hostmaster 1 3600 900 86400 60\n@ NS ns\n@ NS ns.elsewhere.test.\nns A 192.0.2.53\nwww A "
    "192.0.2.1\n"
    "www A 192.0.2.2\nwww AAAA 2001:db8::1\nwww TXT \"text\"\nalias CNAME www\nchain CNAME alias\nl1 CNAME l2\nl2 "
    "CNAME l1\n"
    "mail MX 10 mx\nmail MX 20 www\nmx A 192.0.2.25\n_sip._udp SRV 1 2 5060 www\nsvc HTTPS 1 www alpn=h2\nsvc2 SVCB 0 "
    "svc\n"
    "*.w TXT \"wild\"\n*.w MX 5 www\n*.c CNAME x.d\na.b.ent A 192.0.2.3\nsub NS ns.sub\nns.sub A 192.0.2.100\n"
    "sec NS ns.sec\nsec DS 1 15 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\nns.sec AAAA ::1\n"
    "d DNAME www\ne DNAME y.e\nlong DNAME "
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
    "bbbbbbbbbbbbbbbbbbbbbbbbb.ccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc\nkey KEY 512 3 15 "
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nodd TYPE65300 \\# 3 010203\n";

#define MUST(cond) ((cond) ? (void)0 : abort())

static struct sp_test_world *world(void) {
    static struct sp_test_world *w;
    if (w != NULL)
        return w;
    static char big[20000];
    char *p = big;
    w = sp_test_world_new();
    p = stpcpy(p, zone);
    for (unsigned i = 0; i < 60; i++) {
        p = stpcpy(p, "big TXT \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx 00\"\n");
        p[-4] = (char)('0' + i / 10);
        p[-3] = (char)('0' + i % 10);
    }
    sp_test_zone(w, "a.", true, big);
    sp_test_zone(w, "sub.a.", true, "$TTL 60\n@ IN SOA ns h 1 2 3 4 5\n@ NS ns\nns A 192.0.2.100\n");
    return w;
}

static void check_records(struct sp_test_world *w) {
    static uint8_t rdata[SP_MSG_MAX];
    for (unsigned s = 1; s < 4; s++) {
        struct sp_rd rd = sp_msg_section(&w->msg, s);
        for (unsigned i = 0; i < w->msg.count[s]; i++) {
            struct sp_rr rr;
            struct sp_wr wr = sp_wr_init(rdata, sizeof rdata);
            MUST(sp_msg_rr(&rd, &rr) == SP_OK);
            MUST(rr.type == SP_TYPE_OPT || sp_rdata_read(rr.type, &rr.rdata, &wr) == SP_OK);
        }
    }
}

static size_t udp_limit(const struct sp_test_world *w, const uint8_t *query, size_t len, size_t cap) {
    static struct sp_msg msg;
    size_t most = 512;
    if (sp_msg_parse(&msg, query, len) == SP_OK && msg.edns.present && msg.edns.udp_size > 512)
        most = msg.edns.udp_size < w->view.udp_size_max ? msg.edns.udp_size : w->view.udp_size_max;
    return most < cap ? most : cap;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    if (len < 1 || len > SP_MSG_MAX)
        return 0;
    struct sp_test_world *w = world();
    enum sp_transport via = data[0] & 1 ? SP_VIA_TCP : SP_VIA_UDP;
    size_t cap = data[0] & 2 ? SP_MSG_MAX : 512, room = data[0] & 4 ? 90 : 0;
    w->scratch->sign_left = data[0] >> 4;
    data++;
    len--;
    enum sp_verdict v =
        sp_answer(&w->view, w->scratch, data, len, via, &w->client, w->now, w->reply, cap, room, &w->reply_len);
    if (v == SP_FOR_WRITER) {
        MUST(len >= SP_MSG_HEADER && w->scratch->msg.wire == data);
        v = sp_answer_verified(&w->view, w->scratch, &w->scratch->msg, via, &w->client, w->now, w->reply, cap, room,
                               &w->reply_len);
        MUST(v == SP_ANSWERED);
    }
    MUST((v == SP_DROPPED) == (len < SP_MSG_HEADER || (data[2] & 0x80) != 0));
    if (v == SP_DROPPED)
        return 0;
    size_t limit = via == SP_VIA_TCP ? cap : udp_limit(w, data, len, cap);
    MUST(w->reply_len >= SP_MSG_HEADER && w->reply_len <= limit - room);
    MUST(sp_msg_parse(&w->msg, w->reply, w->reply_len) == SP_OK);
    MUST(memcmp(w->reply, data, 2) == 0 && (w->msg.flags & SP_FLAG_QR) != 0);
    MUST(SP_OPCODE_OF(w->msg.flags) == SP_OPCODE_OF(sp_get_u16(data + 2)) &&
         (w->msg.flags & (SP_FLAG_RA | SP_FLAG_AD)) == 0);
    check_records(w);
    return 0;
}
