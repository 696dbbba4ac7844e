#include "proto/dns/zonetext.h"

#include "proto/dns/rdata.h"
#include "proto/dns/text.h"

void sp_zonetext_begin(struct sp_zonetext *z, const char *text, size_t len, const struct sp_name *origin) {
    *z = (struct sp_zonetext){.scan = sp_scan_init(text, len)};
    if (origin != NULL)
        z->origin = *origin;
    else
        sp_name_root(&z->origin);
}

static sp_err fail(struct sp_zonetext *z, const struct sp_scan_token *tok, sp_err err, const char *what) {
    return sp_scan_fail(tok, err, what, &z->error);
}

static sp_err next(struct sp_zonetext *z, struct sp_scan_token *tok) {
    return sp_scan_next(&z->scan, tok, &z->error);
}

static sp_err read_name(struct sp_zonetext *z, const struct sp_scan_token *tok, struct sp_name *ret) {
    if (tok->quoted)
        return fail(z, tok, SP_ERR_FORM, "a name cannot stand in quotes");
    sp_err err = sp_name_from_text(ret, tok->text, tok->len, &z->origin);
    if (err == SP_OK)
        return SP_OK;
    return fail(z, tok, err, err == SP_ERR_RANGE ? "label over 63 or name over 255 bytes" : "not a domain name");
}

static bool is_class(const struct sp_scan_token *tok, uint16_t *ret) {
    static const struct {
        const char *name;
        uint16_t number;
    } classes[] = {{"IN", SP_CLASS_IN}, {"CH", SP_CLASS_CH}, {"HS", 4}};
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        if (sp_text_same(tok->text, tok->len, classes[i].name)) {
            *ret = classes[i].number;
            return true;
        }
    }
    uint64_t v;
    if (tok->len <= 5 || !sp_text_same(tok->text, 5, "CLASS") ||
        sp_text_to_u64(tok->text + 5, tok->len - 5, UINT16_MAX, &v) != SP_OK)
        return false;
    *ret = (uint16_t)v;
    return true;
}

static sp_err read_ttl(struct sp_zonetext *z, const struct sp_scan_token *tok, uint32_t *ret) {
    sp_err err = tok->quoted ? SP_ERR_FORM : sp_text_to_ttl(tok->text, tok->len, ret);
    if (err == SP_OK)
        return SP_OK;
    return fail(z, tok, err, err == SP_ERR_RANGE ? "TTL over 2147483647 seconds (RFC 2181)" : "not a TTL");
}

static sp_err directive(struct sp_zonetext *z, const struct sp_scan_token *name) {
    struct sp_scan_token arg;
    bool origin = sp_text_same(name->text, name->len, "$ORIGIN");
    bool ttl = sp_text_same(name->text, name->len, "$TTL");
    if (sp_text_same(name->text, name->len, "$INCLUDE"))
        return fail(z, name, SP_ERR_UNSUP, "$INCLUDE is not supported: put the records into this text");
    if (sp_text_same(name->text, name->len, "$GENERATE"))
        return fail(z, name, SP_ERR_UNSUP, "$GENERATE is not supported: write the records out");
    if (!origin && !ttl)
        return fail(z, name, SP_ERR_FORM, "unknown directive ($ORIGIN and $TTL are known)");
    SP_TRY(next(z, &arg));
    if (arg.kind != SP_SCAN_WORD)
        return fail(z, &arg, SP_ERR_SHORT, "directive without its argument");
    if (origin) {
        SP_TRY(read_name(z, &arg, &z->origin));
    } else {
        SP_TRY(read_ttl(z, &arg, &z->default_ttl));
        z->have_default = true;
    }
    SP_TRY(next(z, &arg));
    return arg.kind == SP_SCAN_WORD ? fail(z, &arg, SP_ERR_FORM, "more text than the directive takes") : SP_OK;
}

/* TTL and class in any order, then the type, which is left in *tok. */
static sp_err read_fields(struct sp_zonetext *z, struct sp_scan_token *tok, struct sp_zonetext_rr *ret, bool *ret_ttl) {
    bool have_class = false;
    ret->rclass = SP_CLASS_IN;
    *ret_ttl = false;
    for (;;) {
        if (tok->kind != SP_SCAN_WORD)
            return fail(z, tok, SP_ERR_SHORT, "record without a type");
        if (tok->quoted)
            return fail(z, tok, SP_ERR_FORM, "TTL, class or type expected, not a quoted string");
        if (!*ret_ttl && tok->len > 0 && tok->text[0] >= '0' && tok->text[0] <= '9') {
            SP_TRY(read_ttl(z, tok, &ret->ttl));
            *ret_ttl = true;
        } else if (!have_class && is_class(tok, &ret->rclass)) {
            have_class = true;
        } else {
            break;
        }
        SP_TRY(next(z, tok));
    }
    if (sp_type_from_text(tok->text, tok->len, &ret->type) != SP_OK)
        return fail(z, tok, SP_ERR_FORM, "not a record type");
    if (sp_type_is_meta(ret->type))
        return fail(z, tok, SP_ERR_FORM, "this type cannot stand in a zone");
    return SP_OK;
}

/* RFC 2308 4, RFC 1035 5.1; an SOA without any TTL before it takes its own minimum. */
static sp_err settle_ttl(struct sp_zonetext *z, const struct sp_scan_token *type, bool given,
                         struct sp_zonetext_rr *rr) {
    if (!given) {
        if (z->have_default)
            rr->ttl = z->default_ttl;
        else if (z->have_ttl)
            rr->ttl = z->ttl;
        else if (rr->type == SP_TYPE_SOA)
            rr->ttl = sp_get_u32(rr->rdata + rr->rdata_len - 4) & INT32_MAX;
        else
            return fail(z, type, SP_ERR_FORM, "no TTL: give one here or by $TTL");
    }
    z->ttl = rr->ttl;
    z->have_ttl = true;
    return SP_OK;
}

static sp_err record(struct sp_zonetext *z, struct sp_scan_token *tok, struct sp_zonetext_rr *ret, uint8_t *buf,
                     size_t cap) {
    bool given;
    ret->line = tok->line;
    SP_TRY(read_fields(z, tok, ret, &given));
    struct sp_wr wr = sp_wr_init(buf, cap < SP_RDATA_MAX ? cap : SP_RDATA_MAX);
    SP_TRY(sp_rdata_scan(ret->type, &z->scan, &z->origin, &wr, &z->error));
    ret->owner = z->owner;
    ret->rdata = buf;
    ret->rdata_len = sp_wr_len(&wr);
    return settle_ttl(z, tok, given, ret);
}

/* One line, or the lines that parentheses join. ERR_AGAIN when it holds no record. */
static sp_err line(struct sp_zonetext *z, struct sp_zonetext_rr *ret, uint8_t *buf, size_t cap) {
    struct sp_scan *s = &z->scan;
    bool blank = s->pos < s->len && (s->text[s->pos] == ' ' || s->text[s->pos] == '\t');
    struct sp_scan_token tok;
    SP_TRY(next(z, &tok));
    if (tok.kind == SP_SCAN_END)
        return SP_ERR_NOENT;
    if (tok.kind == SP_SCAN_EOL)
        return SP_ERR_AGAIN;
    if (!blank && !tok.quoted && tok.text[0] == '$') {
        SP_TRY(directive(z, &tok));
        return SP_ERR_AGAIN;
    }
    if (blank) {
        if (!z->have_owner)
            return fail(z, &tok, SP_ERR_FORM, "line begins with a blank, but no owner stands before it");
    } else {
        SP_TRY(read_name(z, &tok, &z->owner));
        z->have_owner = true;
        SP_TRY(next(z, &tok));
    }
    return record(z, &tok, ret, buf, cap);
}

sp_err sp_zonetext_next(struct sp_zonetext *z, struct sp_zonetext_rr *ret, uint8_t *buf, size_t cap) {
    if (z->failed == SP_OK) {
        sp_err err;
        do {
            err = line(z, ret, buf, cap);
        } while (err == SP_ERR_AGAIN);
        if (err == SP_OK)
            return SP_OK;
        z->failed = err;
    }
    return z->failed;
}

static void write_class(struct sp_wr *wr, uint16_t rclass) {
    switch (rclass) {
    case SP_CLASS_IN:
        sp_text_string(wr, "IN");
        return;
    case SP_CLASS_CH:
        sp_text_string(wr, "CH");
        return;
    default:
        sp_text_string(wr, "CLASS");
        sp_text_u32(wr, rclass);
        return;
    }
}

void sp_zonetext_write(struct sp_wr *wr, const struct sp_name *owner, uint16_t type, uint16_t rclass, uint32_t ttl,
                       const uint8_t *rdata, size_t len) {
    char mnemonic[16];
    sp_type_to_text(type, mnemonic);
    sp_text_name(wr, owner);
    sp_wr_u8(wr, ' ');
    sp_text_u32(wr, ttl);
    sp_wr_u8(wr, ' ');
    write_class(wr, rclass);
    sp_wr_u8(wr, ' ');
    sp_text_string(wr, mnemonic);
    sp_wr_u8(wr, ' ');
    sp_rdata_to_text(type, rdata, len, wr);
    sp_wr_u8(wr, '\n');
}
