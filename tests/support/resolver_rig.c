#define _GNU_SOURCE
#include "tests/support/resolver_rig.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(cond) ((cond) ? (void)0 : sp_panic(__FILE__, __LINE__, #cond))

struct sp_name resolver_rig_name(const char *text) {
    struct sp_name n;
    CHECK(sp_name_from_text(&n, text, strlen(text), NULL) == SP_OK);
    return n;
}

static struct sp_dir_entry *learn(struct resolver_rig *r, const char *name, uint8_t fill) {
    uint8_t seed[SP_ED25519_SEED];
    struct sp_ed25519 key;
    struct sp_name n = resolver_rig_name(name);
    struct sp_dir_entry *e;
    bool replaced;
    memset(seed, fill, sizeof seed);
    sp_ed25519_from_seed(&key, seed);
    CHECK(sp_directory_learn(r->dir, &n, key.pub, SP_DIR_SESSION, 0, &e, &replaced) == SP_OK);
    return e;
}

void resolver_rig_init(struct resolver_rig *r) {
    memset(r, 0, sizeof *r);
    sp_mem_init(&r->mem, sp_test_grant(), SP_CHUNK * 8);
    r->config.zone = resolver_rig_name("me.signpost.");
    r->config.self = resolver_rig_name("phone.me.signpost.");
    memset(r->config.root_hash, 7, sizeof r->config.root_hash);
    sp_overlay_prefix(r->config.root_hash, r->config.self_addr);
    memset(r->config.self_addr + 8, 0x11, 8);
    struct sp_directory_config dc = {.mem = &r->mem, .limit = 100, .zone = r->config.zone, .self = r->config.self};
    memcpy(dc.root_hash, r->config.root_hash, sizeof dc.root_hash);
    CHECK(sp_directory_new(&r->dir, &dc) == SP_OK);
    r->laptop = learn(r, "laptop.me.signpost.", 1);
    r->signpost = learn(r, "signpost.me.signpost.", 2);
}

void resolver_rig_free(struct resolver_rig *r) {
    sp_directory_free(r->dir);
    sp_mem_done(&r->mem);
}

void resolver_rig_query(struct resolver_rig *r, const char *name, uint16_t type, uint16_t udp_size,
                        uint16_t edns_flags) {
    struct sp_msgw w;
    struct sp_optw o;
    struct sp_name n = resolver_rig_name(name);
    sp_msgw_begin(&w, r->query, sizeof r->query, 0x1234, SP_FLAG_RD);
    sp_msgw_question(&w, &n, type, SP_CLASS_IN);
    if (udp_size != 0) {
        sp_msgw_opt_begin(&w, &o, udp_size, 0, 0, edns_flags);
        sp_msgw_opt_end(&w, &o);
    }
    r->query_len = sp_msgw_end(&w);
}

enum sp_resolver_verdict resolver_rig_ask(struct resolver_rig *r) {
    return sp_resolver_query(&r->config, r->dir, r->query, r->query_len, SP_SEC, r->out, sizeof r->out, &r->out_len,
                             &r->ask);
}

const char *resolver_rig_text(struct resolver_rig *r, const char *name, uint16_t type) {
    char text[SP_NAME_TEXT_MAX];
    resolver_rig_query(r, name, type, 0, 0);
    enum sp_resolver_verdict v = resolver_rig_ask(r);
    if (v == SP_RESOLVED)
        return resolver_rig_reply(r);
    sp_name_to_text(&r->ask.name, text);
    snprintf(r->text, sizeof r->text, "%s%s",
             v == SP_RESOLVE_LOOK_UP   ? "LOOK_UP "
             : v == SP_RESOLVE_ASK     ? "ASK "
             : v == SP_RESOLVE_FORWARD ? "FORWARD"
                                       : "DROP",
             v == SP_RESOLVE_LOOK_UP || v == SP_RESOLVE_ASK ? text : "");
    return r->text;
}

static void add(struct resolver_rig *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct resolver_rig *r, const char *format, ...) {
    size_t at = strlen(r->text);
    va_list ap;
    va_start(ap, format);
    vsnprintf(r->text + at, sizeof r->text - at, format, ap);
    va_end(ap);
}

static void add_opt(struct resolver_rig *r, const struct sp_edns *edns) {
    struct sp_rd value;
    add(r, "OPT %u%s", edns->udp_size, edns->flags & SP_EDNS_DO ? " DO" : "");
    if (sp_edns_find(edns, SP_EDNS_EDE, &value)) {
        unsigned code = sp_rd_u16(&value);
        add(r, " %u %.*s", code, (int)sp_rd_left(&value), (const char *)value.pos);
    }
}

static void add_record(struct resolver_rig *r, const struct sp_msg *m, const struct sp_rr *rr) {
    char owner[SP_NAME_TEXT_MAX], type[16], value[4096];
    uint8_t rdata[4096];
    struct sp_rd rd = rr->rdata;
    struct sp_wr wr = sp_wr_init(rdata, sizeof rdata), tw = sp_wr_init(value, sizeof value);
    if (rr->type == SP_TYPE_OPT) {
        add_opt(r, &m->edns);
        return;
    }
    CHECK(sp_rdata_read(rr->type, &rd, &wr) == SP_OK);
    sp_rdata_to_text(rr->type, rdata, sp_wr_len(&wr), &tw);
    sp_name_to_text(&rr->owner, owner);
    sp_type_to_text(rr->type, type);
    add(r, "%s %u %s %.*s", owner, rr->ttl, type, (int)sp_wr_len(&tw), value);
}

const char *resolver_rig_reply(struct resolver_rig *r) {
    struct sp_msg m, q;
    CHECK(sp_msg_parse(&m, r->out, r->out_len) == SP_OK && (m.flags & SP_FLAG_QR) != 0);
    CHECK(r->out_len <= SP_RESOLVER_UDP_MAX);
    if (sp_msg_parse(&q, r->query, r->query_len) == SP_OK && q.count[0] == 1)
        CHECK(m.id == q.id && m.count[0] == 1 && sp_name_equal(&m.qname, &q.qname) && m.qtype == q.qtype &&
              m.qclass == q.qclass);
    r->text[0] = 0;
    unsigned rcode = SP_RCODE_OF(m.flags) | (m.edns.present ? (unsigned)m.edns.ext_rcode << 4 : 0);
    add(r, "%u%s%s%s%s%s%s", rcode, m.flags & SP_FLAG_AA ? " AA" : "", m.flags & SP_FLAG_TC ? " TC" : "",
        m.flags & SP_FLAG_RD ? " RD" : "", m.flags & SP_FLAG_RA ? " RA" : "", m.flags & SP_FLAG_AD ? " AD" : "",
        m.flags & SP_FLAG_CD ? " CD" : "");
    for (unsigned s = 1; s < 4; s++) {
        struct sp_rd rd = sp_msg_section(&m, s);
        struct sp_rr rr;
        if (m.count[s] > 0)
            add(r, s == 1 ? ";" : " |");
        for (unsigned n = 0; n < m.count[s]; n++) {
            CHECK(sp_msg_rr(&rd, &rr) == SP_OK);
            add(r, n == 0 ? " " : "; ");
            add_record(r, &m, &rr);
        }
    }
    return r->text;
}
