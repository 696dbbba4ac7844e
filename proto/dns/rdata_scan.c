/* Rdata from text. RFC 1035 5, RFC 3597 5, and each type's own RFC. */
#include "proto/dns/rdata.h"
#include "proto/dns/text.h"

struct in {
    struct sp_scan *scan;
    const struct sp_name *origin;
    struct sp_wr *wr;
    struct sp_zonetext_error *error;
    struct sp_scan_token tok; /* the one being read */
};

static sp_err fail(struct in *in, sp_err err, const char *what) {
    return sp_scan_fail(&in->tok, err, what, in->error);
}

/* The next word into in->tok; the end of the line is an error. */
static sp_err word(struct in *in) {
    SP_TRY(sp_scan_next(in->scan, &in->tok, in->error));
    if (in->tok.kind != SP_SCAN_WORD)
        return fail(in, SP_ERR_SHORT, "record ends too early");
    return SP_OK;
}

/* Whether another word stands on this line; if so it is in in->tok. */
static sp_err more(struct in *in, bool *ret) {
    struct sp_scan before = *in->scan;
    SP_TRY(sp_scan_next(in->scan, &in->tok, in->error));
    *ret = in->tok.kind == SP_SCAN_WORD;
    if (!*ret)
        *in->scan = before;
    return SP_OK;
}

static sp_err number(struct in *in, uint64_t max, uint64_t *ret) {
    SP_TRY(word(in));
    sp_err err = sp_text_to_u64(in->tok.text, in->tok.len, max, ret);
    return err == SP_OK ? SP_OK : fail(in, err, err == SP_ERR_RANGE ? "number too large" : "not a number");
}

static sp_err scan_number(struct in *in, unsigned bytes) {
    uint64_t v = 0;
    SP_TRY(number(in, bytes == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * bytes) - 1, &v));
    for (unsigned i = bytes; i-- > 0;)
        sp_wr_u8(in->wr, (uint8_t)(v >> 8 * i));
    return SP_OK;
}

static sp_err scan_period(struct in *in) {
    SP_TRY(word(in));
    uint64_t v;
    uint32_t ttl;
    if (sp_text_to_u64(in->tok.text, in->tok.len, UINT32_MAX, &v) == SP_OK)
        ttl = (uint32_t)v;
    else if (sp_text_to_ttl(in->tok.text, in->tok.len, &ttl) != SP_OK)
        return fail(in, SP_ERR_FORM, "not a number of seconds or a period like 1h30m");
    sp_wr_u32(in->wr, ttl);
    return SP_OK;
}

static sp_err scan_time(struct in *in) {
    SP_TRY(word(in));
    uint32_t v;
    if (sp_text_to_time(in->tok.text, in->tok.len, &v) != SP_OK)
        return fail(in, SP_ERR_FORM, "not a time (YYYYMMDDHHmmSS or seconds, to 2106)");
    sp_wr_u32(in->wr, v);
    return SP_OK;
}

/* RFC 4034 appendix A.1 and the registry after it. */
static const struct {
    uint8_t number;
    const char *name;
} algorithms[] = {
    {1, "RSAMD5"},
    {2, "DH"},
    {3, "DSA"},
    {5, "RSASHA1"},
    {6, "DSA-NSEC3-SHA1"},
    {7, "RSASHA1-NSEC3-SHA1"},
    {8, "RSASHA256"},
    {10, "RSASHA512"},
    {12, "ECC-GOST"},
    {13, "ECDSAP256SHA256"},
    {14, "ECDSAP384SHA384"},
    {15, "ED25519"},
    {16, "ED448"},
    {252, "INDIRECT"},
    {253, "PRIVATEDNS"},
    {254, "PRIVATEOID"},
};

static sp_err scan_algorithm(struct in *in) {
    SP_TRY(word(in));
    uint64_t v;
    if (sp_text_to_u64(in->tok.text, in->tok.len, 255, &v) == SP_OK) {
        sp_wr_u8(in->wr, (uint8_t)v);
        return SP_OK;
    }
    for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++) {
        if (sp_text_same(in->tok.text, in->tok.len, algorithms[i].name)) {
            sp_wr_u8(in->wr, algorithms[i].number);
            return SP_OK;
        }
    }
    return fail(in, SP_ERR_FORM, "not a DNSSEC algorithm");
}

static sp_err scan_type(struct in *in) {
    SP_TRY(word(in));
    uint16_t type;
    if (sp_type_from_text(in->tok.text, in->tok.len, &type) != SP_OK)
        return fail(in, SP_ERR_FORM, "not a record type");
    sp_wr_u16(in->wr, type);
    return SP_OK;
}

static sp_err scan_bitmap(struct in *in) {
    uint8_t set[8192] = {0};
    bool again = true;
    for (;;) {
        SP_TRY(more(in, &again));
        if (!again)
            break;
        uint16_t type;
        if (sp_type_from_text(in->tok.text, in->tok.len, &type) != SP_OK)
            return fail(in, SP_ERR_FORM, "not a record type");
        set[type / 8] |= (uint8_t)(0x80 >> type % 8);
    }
    sp_bitmap_write(in->wr, set);
    return SP_OK;
}

static sp_err scan_address(struct in *in, bool six) {
    SP_TRY(word(in));
    uint8_t ip[16];
    if (six ? sp_text_to_ip6(in->tok.text, in->tok.len, ip) != SP_OK
            : sp_text_to_ip4(in->tok.text, in->tok.len, ip) != SP_OK)
        return fail(in, SP_ERR_FORM, six ? "not an IPv6 address" : "not an IPv4 address");
    sp_wr_bytes(in->wr, ip, six ? 16 : 4);
    return SP_OK;
}

static sp_err scan_name(struct in *in) {
    SP_TRY(word(in));
    struct sp_name name;
    sp_err err = sp_name_from_text(&name, in->tok.text, in->tok.len, in->origin);
    if (err != SP_OK)
        return fail(in, err, err == SP_ERR_RANGE ? "label over 63 or name over 255 bytes" : "not a domain name");
    sp_name_write(in->wr, &name);
    return SP_OK;
}

/* The bytes of the word in in->tok with escapes undone. */
static sp_err unescape(struct in *in, size_t max) {
    size_t n = 0;
    for (size_t i = 0; i < in->tok.len; n++) {
        int c = sp_text_char(in->tok.text, in->tok.len, &i);
        if (c < 0)
            return fail(in, SP_ERR_FORM, "malformed escape (\\X or \\DDD up to 255)");
        if (n == max)
            return fail(in, SP_ERR_RANGE, "string too long");
        sp_wr_u8(in->wr, (uint8_t)c);
    }
    return SP_OK;
}

static sp_err string_of_token(struct in *in) {
    struct sp_wr *wr = in->wr;
    size_t at = sp_wr_len(wr);
    sp_wr_u8(wr, 0);
    SP_TRY(unescape(in, 255));
    if (wr->err == SP_OK)
        wr->base[at] = (uint8_t)(sp_wr_len(wr) - at - 1);
    return SP_OK;
}

static sp_err scan_strings(struct in *in) {
    SP_TRY(word(in));
    for (bool again = true; again;) {
        SP_TRY(string_of_token(in));
        SP_TRY(more(in, &again));
    }
    return SP_OK;
}

static sp_err decode_token(struct in *in, struct sp_text_decode *d) {
    if (sp_text_decode(d, in->tok.text, in->tok.len, in->wr) != SP_OK && in->wr->err == SP_OK)
        return fail(in, SP_ERR_FORM,
                    d->bits_per_digit == 6   ? "not base64"
                    : d->bits_per_digit == 5 ? "not base32hex"
                                             : "not hex");
    return SP_OK;
}

static sp_err decode_end(struct in *in, const struct sp_text_decode *d) {
    if (sp_text_decode_end(d) != SP_OK)
        return fail(in, SP_ERR_FORM, d->bits_per_digit == 6 ? "base64 is cut short" : "digits are cut short");
    return SP_OK;
}

/* Digits to the end of the line. */
static sp_err scan_digits(struct in *in, unsigned width) {
    struct sp_text_decode d = {.bits_per_digit = width};
    for (;;) {
        bool again;
        SP_TRY(more(in, &again));
        if (!again)
            return decode_end(in, &d);
        SP_TRY(decode_token(in, &d));
    }
}

/* One word of digits after a length of one byte; "-" is empty where a salt may be. */
static sp_err scan_counted_digits(struct in *in, unsigned width, bool dash) {
    struct sp_text_decode d = {.bits_per_digit = width};
    struct sp_wr *wr = in->wr;
    SP_TRY(word(in));
    size_t at = sp_wr_len(wr);
    sp_wr_u8(wr, 0);
    if (dash && in->tok.len == 1 && in->tok.text[0] == '-')
        return SP_OK;
    SP_TRY(decode_token(in, &d));
    SP_TRY(decode_end(in, &d));
    if (wr->err != SP_OK)
        return SP_OK;
    size_t len = sp_wr_len(wr) - at - 1;
    if (len > 255)
        return fail(in, SP_ERR_RANGE, "more than 255 bytes");
    wr->base[at] = (uint8_t)len;
    return SP_OK;
}

static sp_err scan_mac(struct in *in) {
    struct sp_text_decode d = {.bits_per_digit = 6};
    uint64_t want;
    SP_TRY(number(in, UINT16_MAX, &want));
    sp_wr_u16(in->wr, (uint16_t)want);
    size_t at = sp_wr_len(in->wr);
    if (want > 0) {
        SP_TRY(word(in));
        SP_TRY(decode_token(in, &d));
        SP_TRY(decode_end(in, &d));
    }
    if (in->wr->err == SP_OK && sp_wr_len(in->wr) - at != want)
        return fail(in, SP_ERR_FORM, "length does not match the data");
    return SP_OK;
}

/* A full buffer ends the loop; sp_rdata_scan reports it. */
static sp_err scan_params(struct in *in) {
    size_t first = sp_wr_len(in->wr);
    in->scan->params = true;
    bool again = true;
    sp_err err = SP_OK;
    while (err == SP_OK && in->wr->err == SP_OK && (err = more(in, &again)) == SP_OK && again) {
        err = sp_param_from_text(in->tok.text, in->tok.len, in->wr, first);
        if (err != SP_OK && in->wr->err == SP_OK)
            (void)fail(in, err, err == SP_ERR_EXIST ? "repeated parameter" : "malformed service parameter");
    }
    in->scan->params = false;
    return in->wr->err == SP_OK ? err : SP_OK;
}

static sp_err scan_field(struct in *in, char field) {
    switch ((enum sp_field)field) {
    case SP_F_U8:
        return scan_number(in, 1);
    case SP_F_U16:
        return scan_number(in, 2);
    case SP_F_U32:
        return scan_number(in, 4);
    case SP_F_U48:
        return scan_number(in, 6);
    case SP_F_PERIOD:
        return scan_period(in);
    case SP_F_TIME:
        return scan_time(in);
    case SP_F_ALG:
        return scan_algorithm(in);
    case SP_F_TYPE:
        return scan_type(in);
    case SP_F_IP4:
    case SP_F_IP6:
        return scan_address(in, field == SP_F_IP6);
    case SP_F_STRING:
    case SP_F_TAG:
        SP_TRY(word(in));
        return string_of_token(in);
    case SP_F_STRINGS:
        return scan_strings(in);
    case SP_F_TEXT:
        SP_TRY(word(in));
        return unescape(in, SP_RDATA_MAX);
    case SP_F_BASE64:
    case SP_F_BASE64_OPT:
        return scan_digits(in, 6);
    case SP_F_HEX:
    case SP_F_DIGEST:
        return scan_digits(in, 4);
    case SP_F_SALT:
        return scan_counted_digits(in, 4, true);
    case SP_F_HASH32:
        return scan_counted_digits(in, 5, false);
    case SP_F_MAC:
        return scan_mac(in);
    case SP_F_BITMAP:
        return scan_bitmap(in);
    case SP_F_PARAMS:
        return scan_params(in);
    default:
        return scan_name(in);
    }
}

/* RFC 3597 5: \# length digits. */
static sp_err scan_generic(struct in *in) {
    uint64_t want;
    SP_TRY(number(in, SP_RDATA_MAX, &want));
    size_t at = sp_wr_len(in->wr);
    SP_TRY(scan_digits(in, 4));
    if (in->wr->err == SP_OK && sp_wr_len(in->wr) - at != want)
        return fail(in, SP_ERR_FORM, "length does not match the data");
    return SP_OK;
}

/* The fields, or the generic form, to the end of the line. */
static sp_err scan_all(struct in *in, const char *layout, struct sp_scan_token *first) {
    struct sp_scan before = *in->scan;
    SP_TRY(sp_scan_next(in->scan, first, in->error));
    in->tok = *first;
    if (first->kind == SP_SCAN_WORD && !first->quoted && first->len == 2 && memcmp(first->text, "\\#", 2) == 0) {
        SP_TRY(scan_generic(in));
    } else if (layout == NULL || layout[0] == SP_F_OPTIONS) {
        return fail(in, SP_ERR_FORM, "this type needs the form \\# LENGTH HEX");
    } else {
        *in->scan = before;
        for (; *layout != 0; layout++)
            SP_TRY(scan_field(in, *layout));
    }
    if (in->wr->err != SP_OK)
        return SP_OK;
    SP_TRY(sp_scan_next(in->scan, &in->tok, in->error));
    if (in->tok.kind == SP_SCAN_WORD)
        return fail(in, SP_ERR_FORM, "more text than the record takes");
    return SP_OK;
}

sp_err sp_rdata_scan(uint16_t type, struct sp_scan *s, const struct sp_name *origin, struct sp_wr *ret,
                     struct sp_zonetext_error *error) {
    struct in in = {.scan = s, .origin = origin, .wr = ret, .error = error};
    struct sp_scan_token first;
    size_t at = sp_wr_len(ret);
    SP_TRY(scan_all(&in, sp_type_row(type)->layout, &first));
    if (ret->err != SP_OK)
        return sp_scan_fail(&first, ret->err, "record data too long", error);
    if (sp_rdata_check(type, ret->base + at, sp_wr_len(ret) - at) != SP_OK)
        return sp_scan_fail(&first, SP_ERR_FORM, "record data is not valid for its type", error);
    return SP_OK;
}

sp_err sp_rdata_from_text(uint16_t type, const char *text, size_t len, const struct sp_name *origin,
                          struct sp_wr *ret) {
    struct sp_zonetext_error error;
    struct sp_scan s = sp_scan_init(text, len);
    uint8_t *before = ret->pos;
    sp_err err = sp_rdata_scan(type, &s, origin, ret, &error);
    if (err == SP_OK && s.pos != s.len)
        err = SP_ERR_FORM;
    if (err != SP_OK)
        ret->pos = before;
    return err;
}
