#include "tests/support/zone_build.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/support/support.h"

#define CHECK(cond)                                                                                                    \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                                                 \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

struct sp_test_world *sp_test_world_new(void) {
    static const uint8_t key[16] = "sixteen bytes ok";
    struct sp_test_world *w = calloc(1, sizeof *w);
    w->scratch = calloc(1, sizeof *w->scratch);
    CHECK(sp_crypto_init() == SP_OK);
    sp_mem_init(&w->mem, sp_test_grant(), (size_t)1 << 32);
    CHECK(sp_zones_new(&w->zones, &w->mem, key, 64, 4 << 20) == SP_OK);
    w->view.zones = w->zones;
    w->view.udp_size_max = 1232;
    w->view.tcp_keepalive = 100;
    memcpy(w->view.nsid, "spot", 4);
    w->view.nsid_len = 4;
    memset(w->view.cookies.now, 7, 16);
    w->scratch->mem = &w->mem;
    w->scratch->sign_left = 1000000;
    w->client = (struct sp_addr){.ip = {192, 0, 2, 77}, .port = 5353, .family = 4};
    w->now = sp_wall_from_sec(SP_TEST_NOW);
    return w;
}

void sp_test_world_free(struct sp_test_world *w) {
    sp_zones_free(w->zones);
    CHECK(w->mem.used == 0);
    sp_mem_done(&w->mem);
    free(w->scratch);
    free(w);
}

struct sp_name sp_test_name(const char *text) {
    struct sp_name name;
    CHECK(sp_name_from_text(&name, text, strlen(text), NULL) == SP_OK);
    return name;
}

uint16_t sp_test_type(const char *text) {
    uint16_t type;
    CHECK(sp_type_from_text(text, strlen(text), &type) == SP_OK);
    return type;
}

struct sp_rrs sp_test_rrs(const char *type, uint32_t ttl, const char *rdata, uint8_t *buf, size_t cap) {
    struct sp_rrs rrs = {.type = sp_test_type(type), .rclass = SP_CLASS_IN, .ttl = ttl, .data = buf};
    if (rdata == NULL)
        return rrs;
    struct sp_wr wr = sp_wr_init(buf + 2, cap - 2);
    CHECK(sp_rdata_from_text(rrs.type, rdata, strlen(rdata), NULL, &wr) == SP_OK);
    sp_put_u16(buf, (uint16_t)sp_wr_len(&wr));
    rrs.count = 1;
    rrs.len = sp_wr_len(&wr) + 2;
    return rrs;
}

const char *sp_test_load(struct sp_zone *z, const char *text) {
    static char why[200];
    struct sp_zonetext_error error;
    struct sp_txn *t;
    why[0] = 0;
    if (sp_zone_load(&t, z, text, strlen(text), &error) == SP_OK)
        sp_txn_retire(t);
    else
        snprintf(why, sizeof why, "%u: %s", error.line, error.what);
    return why;
}

struct sp_zone *sp_test_zone(struct sp_test_world *w, const char *apex, bool with_key, const char *text) {
    struct sp_name name = sp_test_name(apex);
    struct sp_ed25519 key;
    uint8_t seed[SP_ED25519_SEED];
    memset(seed, (int)++w->next_id, sizeof seed);
    sp_ed25519_from_seed(&key, seed);
    struct sp_zone *z;
    CHECK(sp_zone_add(w->zones, &name, w->next_id, with_key ? &key : NULL, &z) == SP_OK);
    const char *why = text == NULL ? "" : sp_test_load(z, text);
    if (why[0] != 0)
        fprintf(stderr, "%s\n", why);
    CHECK(why[0] == 0);
    return z;
}

/* ---- queries ---- */

void sp_test_query(struct sp_test_world *w, const struct sp_test_q *q) {
    struct sp_msgw m;
    struct sp_name name = sp_test_name(q->name);
    sp_msgw_begin(&m, w->query, sizeof w->query, 0x1234, q->flags);
    sp_msgw_question(&m, &name, sp_test_type(q->type), q->rclass != 0 ? q->rclass : SP_CLASS_IN);
    w->query_len = sp_msgw_end(&m);
    CHECK(w->query_len != 0);
    if (!q->edns && !q->dnssec && q->options_len == 0)
        return;
    uint8_t *p = w->query + w->query_len;
    w->query[11] = 1;
    memset(p, 0, 11);
    sp_put_u16(p + 1, SP_TYPE_OPT);
    sp_put_u16(p + 3, q->udp_size != 0 ? q->udp_size : 1232);
    sp_put_u16(p + 7, (uint16_t)((q->dnssec ? SP_EDNS_DO : 0) | (q->compact_ok ? SP_EDNS_CO : 0)));
    sp_put_u16(p + 9, (uint16_t)q->options_len);
    if (q->options_len != 0)
        memcpy(p + 11, q->options, q->options_len);
    w->query_len += 11 + q->options_len;
}

enum sp_verdict sp_test_send(struct sp_test_world *w, enum sp_transport via) {
    w->reply_len = 0;
    return sp_answer(&w->view, w->scratch, w->query, w->query_len, via, &w->client, w->now, w->reply, sizeof w->reply,
                     0, &w->reply_len);
}

const char *sp_test_ask(struct sp_test_world *w, struct sp_test_q q) {
    sp_test_query(w, &q);
    w->text[0] = 0;
    if (sp_test_send(w, q.via) != SP_ANSWERED)
        return "not answered\n";
    return sp_test_text(w);
}

/* ---- replies ---- */

struct out {
    char *text;
    size_t len;
};

static void put(struct out *o, const char *s) {
    size_t n = strlen(s);
    memcpy(o->text + o->len, s, n + 1);
    o->len += n;
}

/* The signed data of RFC 4034 3.1.8.1, built apart from proto/dns/dnssec.c; records come in canonical order. */
static bool verify(struct sp_test_world *w, unsigned section, const struct sp_rr *sig) {
    static uint8_t data[1 << 20], rdata[SP_RDATA_MAX];
    const uint8_t *p = sig->rdata.pos;
    size_t len = sp_rd_left(&sig->rdata);
    if (len < 18 + 1 + 64)
        return false;
    uint16_t covered = sp_get_u16(p);
    struct sp_rd signer_rd = sp_rd_init(p + 18, len - 18 - 64);
    struct sp_name signer, owner = sig->owner, top;
    if (sp_name_read_plain(&signer_rd, &signer) != SP_OK)
        return false;
    struct sp_zone *z = sp_zones_get(w->zones, &signer);
    if (z == NULL || sp_zone_key(z) == NULL || sp_get_u32(p + 12) > SP_TEST_NOW || sp_get_u32(p + 8) < SP_TEST_NOW)
        return false;
    sp_name_lower(&owner);
    if (p[3] < owner.labels) { /* the owner stands for a wildcard */
        sp_name_strip(&owner, owner.labels - p[3], &top);
        CHECK(sp_name_prepend(&owner, "*", 1, &top) == SP_OK);
    }
    struct sp_wr wr = sp_wr_init(data, sizeof data);
    sp_wr_bytes(&wr, p, 18);
    sp_wr_bytes(&wr, signer.wire, signer.len);
    struct sp_rd rd = sp_msg_section(&w->msg, section);
    struct sp_rr rr;
    for (unsigned i = 0; i < w->msg.count[section]; i++) {
        CHECK(sp_msg_rr(&rd, &rr) == SP_OK);
        if (rr.type != covered || !sp_name_equal(&rr.owner, &sig->owner))
            continue;
        if (rr.ttl > sp_get_u32(p + 4))
            return false; /* RFC 4035 5.3.3 */
        struct sp_wr one = sp_wr_init(rdata, sizeof rdata);
        CHECK(sp_rdata_read(rr.type, &rr.rdata, &one) == SP_OK);
        sp_rdata_canonical(rr.type, rdata, sp_wr_len(&one));
        sp_wr_bytes(&wr, owner.wire, owner.len);
        sp_wr_u16(&wr, rr.type);
        sp_wr_u16(&wr, SP_CLASS_IN);
        sp_wr_u32(&wr, sp_get_u32(p + 4));
        sp_wr_u16(&wr, (uint16_t)sp_wr_len(&one));
        sp_wr_bytes(&wr, rdata, sp_wr_len(&one));
    }
    CHECK(wr.err == SP_OK);
    return sp_ed25519_verify(sp_zone_key(z)->key.pub, data, sp_wr_len(&wr), p + len - 64);
}

static void put_opt(struct out *o, const struct sp_edns *edns) {
    char line[200];
    snprintf(line, sizeof line, "ar OPT %u %s%s%u", edns->version, edns->flags & SP_EDNS_DO ? "do " : "",
             edns->flags & SP_EDNS_CO ? "co " : "", edns->udp_size);
    put(o, line);
    struct sp_rd options = edns->options, value;
    for (uint16_t code; sp_edns_next(&options, &code, &value);) {
        snprintf(line, sizeof line, " %u:", code);
        put(o, line);
        while (sp_rd_left(&value) > 0) {
            snprintf(line, sizeof line, "%02x", sp_rd_u8(&value));
            put(o, line);
        }
    }
    put(o, "\n");
}

static void put_rr(struct sp_test_world *w, struct out *o, unsigned section, struct sp_rr *rr) {
    static const char *sections[] = {"qd", "an", "ns", "ar"};
    static uint8_t rdata[SP_RDATA_MAX];
    char owner[SP_NAME_TEXT_MAX], type[16], line[SP_NAME_TEXT_MAX + 100];
    if (rr->type == SP_TYPE_OPT) {
        put_opt(o, &w->msg.edns);
        return;
    }
    CHECK(rr->rclass == SP_CLASS_IN);
    sp_name_to_text(&rr->owner, owner);
    sp_type_to_text(rr->type, type);
    snprintf(line, sizeof line, "%s %s %u %s ", sections[section], owner, rr->ttl, type);
    put(o, line);
    if (rr->type == SP_TYPE_RRSIG) {
        sp_type_to_text(sp_get_u16(rr->rdata.pos), type);
        put(o, type);
        put(o, verify(w, section, rr) ? " ok\n" : " bad\n");
        return;
    }
    struct sp_wr wr = sp_wr_init(rdata, sizeof rdata);
    CHECK(sp_rdata_read(rr->type, &rr->rdata, &wr) == SP_OK);
    struct sp_wr text = sp_wr_init(o->text + o->len, 1 << 18);
    sp_rdata_to_text(rr->type, rdata, sp_wr_len(&wr), &text);
    CHECK(text.err == SP_OK);
    o->len += sp_wr_len(&text);
    put(o, "\n");
}

const char *sp_test_text(struct sp_test_world *w) {
    static const char *rcodes[] = {"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN"};
    struct out o = {w->text, 0};
    char line[64];
    w->text[0] = 0;
    CHECK(sp_msg_parse(&w->msg, w->reply, w->reply_len) == SP_OK);
    CHECK(w->msg.id == sp_get_u16(w->query) && (w->msg.flags & SP_FLAG_QR) != 0);
    unsigned rcode = SP_RCODE_OF(w->msg.flags) | (w->msg.edns.present ? w->msg.edns.ext_rcode << 4 : 0);
    if (rcode < 7)
        put(&o, rcodes[rcode]);
    else {
        snprintf(line, sizeof line, "RCODE%u", rcode);
        put(&o, line);
    }
    put(&o, w->msg.flags & SP_FLAG_AA ? " aa" : "");
    put(&o, w->msg.flags & SP_FLAG_TC ? " tc" : "");
    put(&o, w->msg.flags & SP_FLAG_RD ? " rd" : "");
    put(&o, w->msg.flags & SP_FLAG_RA ? " ra" : "");
    put(&o, w->msg.flags & SP_FLAG_AD ? " ad" : "");
    put(&o, w->msg.flags & SP_FLAG_CD ? " cd" : "");
    put(&o, "\n");
    for (unsigned s = 1; s < 4; s++) {
        struct sp_rd rd = sp_msg_section(&w->msg, s);
        for (unsigned i = 0; i < w->msg.count[s]; i++) {
            struct sp_rr rr;
            CHECK(sp_msg_rr(&rd, &rr) == SP_OK);
            put_rr(w, &o, s, &rr);
        }
    }
    return w->text;
}
