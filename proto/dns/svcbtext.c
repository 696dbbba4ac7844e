/* SvcParams as text. RFC 9460 2.1, 7, 8, appendix A. */
#include "proto/dns/rdata.h"
#include "proto/dns/svcb.h"
#include "proto/dns/text.h"

/* ---- printing ---- */

/* Keys later than RFC 9460's are printed by number: readers of zone text that are older than their names still take
 * them. */
static void print_key(struct sp_wr *wr, uint16_t key) {
    const struct sp_param_row *row = sp_param_row(key);
    if (row != NULL && key <= SP_PARAM_IP6) {
        sp_text_string(wr, row->name);
    } else {
        sp_text_string(wr, "key");
        sp_text_u32(wr, key);
    }
}

static void print_text(struct sp_wr *wr, const uint8_t *p, size_t len) {
    sp_wr_u8(wr, '"');
    for (size_t i = 0; i < len; i++)
        sp_text_escaped(wr, p[i], "\"\\");
    sp_wr_u8(wr, '"');
}

/* Appendix A.1: commas and backslashes of an item are escaped, and the whole is escaped again as a character-string. */
static void print_strings(struct sp_wr *wr, struct sp_rd *rd) {
    sp_wr_u8(wr, '"');
    for (bool first = true; sp_rd_left(rd) > 0; first = false) {
        if (!first)
            sp_wr_u8(wr, ',');
        for (size_t n = sp_rd_u8(rd); n > 0; n--) {
            uint8_t c = sp_rd_u8(rd);
            if (c == ',' || c == '\\')
                sp_text_string(wr, "\\\\");
            sp_text_escaped(wr, c, "\"\\");
        }
    }
    sp_wr_u8(wr, '"');
}

static void print_list(struct sp_wr *wr, struct sp_rd *rd, enum sp_param_form form) {
    for (bool first = true; sp_rd_left(rd) > 0; first = false) {
        if (!first)
            sp_wr_u8(wr, ',');
        if (form == SP_PARAM_KEYS)
            print_key(wr, sp_rd_u16(rd));
        else if (form == SP_PARAM_IP4S)
            sp_text_ip4(wr, sp_rd_bytes(rd, 4));
        else
            sp_text_ip6(wr, sp_rd_bytes(rd, 16));
    }
}

static void print_param(struct sp_wr *wr, uint16_t key, struct sp_rd value) {
    const struct sp_param_row *row = sp_param_row(key);
    size_t len = sp_rd_left(&value);
    print_key(wr, key);
    if (len == 0)
        return;
    sp_wr_u8(wr, '=');
    switch (row != NULL ? row->form : SP_PARAM_TEXT) {
    case SP_PARAM_KEYS:
    case SP_PARAM_IP4S:
    case SP_PARAM_IP6S:
        print_list(wr, &value, row->form);
        return;
    case SP_PARAM_STRINGS:
        print_strings(wr, &value);
        return;
    case SP_PARAM_U16:
        sp_text_u32(wr, sp_rd_u16(&value));
        return;
    case SP_PARAM_BASE64:
        sp_wr_u8(wr, '"'); /* some readers end an unquoted value at the padding */
        sp_text_base64(wr, value.pos, len);
        sp_wr_u8(wr, '"');
        return;
    case SP_PARAM_EMPTY:
    case SP_PARAM_TEXT:
        print_text(wr, value.pos, len);
        return;
    }
}

void sp_params_to_text(const uint8_t *params, size_t len, struct sp_wr *ret) {
    struct sp_rd rd = sp_rd_init(params, len), value;
    uint16_t key;
    for (bool first = true; sp_param_next(&rd, &key, &value); first = false) {
        if (!first)
            sp_wr_u8(ret, ' ');
        print_param(ret, key, value);
    }
}

/* ---- reading ---- */

/* A value as it stands in the text; its quotes are gone. */
struct value {
    const char *text;
    size_t len;
};

/* A key's mnemonic or keyNNNNN without leading zeros; *ret_generic tells which. */
static sp_err read_key(const char *text, size_t len, uint16_t *ret, bool *ret_generic) {
    const struct sp_param_row *row;
    for (uint16_t key = 0; (row = sp_param_row(key)) != NULL; key++) {
        if (sp_text_same(text, len, row->name)) {
            *ret = key;
            *ret_generic = false;
            return SP_OK;
        }
    }
    uint64_t v;
    if (len < 4 || !sp_text_same(text, 3, "key") || (text[3] == '0' && len > 4))
        return SP_ERR_FORM;
    SP_TRY(sp_text_to_u64(text + 3, len - 3, UINT16_MAX, &v));
    *ret = (uint16_t)v;
    *ret_generic = true;
    return SP_OK;
}

static sp_err read_text(struct value v, struct sp_wr *wr) {
    for (size_t i = 0; i < v.len;) {
        int c = sp_text_char(v.text, v.len, &i);
        if (c < 0)
            return SP_ERR_FORM;
        sp_wr_u8(wr, (uint8_t)c);
    }
    return SP_OK;
}

/* Appendix A.1: after the character-string's escapes, "\," and "\\" stand for a comma and a backslash of an item. */
static sp_err read_strings(struct value v, struct sp_wr *wr) {
    size_t at = sp_wr_len(wr);
    sp_wr_u8(wr, 0);
    for (size_t i = 0; i < v.len;) {
        int c = sp_text_char(v.text, v.len, &i);
        if (c == ',') {
            at = sp_wr_len(wr);
            sp_wr_u8(wr, 0);
            continue;
        }
        if (c == '\\') {
            c = i < v.len ? sp_text_char(v.text, v.len, &i) : -1;
            if (c != ',' && c != '\\')
                return SP_ERR_FORM;
        }
        sp_wr_u8(wr, (uint8_t)c);
        if (c < 0 || sp_wr_len(wr) - at > 256)
            return SP_ERR_FORM;
        if (wr->err == SP_OK)
            wr->base[at] = (uint8_t)(sp_wr_len(wr) - at - 1);
    }
    return SP_OK;
}

/* Files a key into the ascending list that begins at first; repeated keys stand side by side, and fail the later check.
 */
static void insert_key(struct sp_wr *wr, size_t first, uint16_t key) {
    uint8_t *p = sp_wr_reserve(wr, 2), *begin = wr->base + first;
    if (p == NULL)
        return;
    for (; p > begin && sp_get_u16(p - 2) > key; p -= 2)
        memcpy(p, p - 2, 2);
    sp_put_u16(p, key);
}

static sp_err read_item(const char *text, size_t len, enum sp_param_form form, struct sp_wr *wr, size_t first) {
    uint8_t ip[16];
    uint16_t key;
    bool generic;
    if (form == SP_PARAM_KEYS) {
        SP_TRY(read_key(text, len, &key, &generic));
        insert_key(wr, first, key);
    } else if (form == SP_PARAM_IP4S) {
        SP_TRY(sp_text_to_ip4(text, len, ip));
        sp_wr_bytes(wr, ip, 4);
    } else {
        SP_TRY(sp_text_to_ip6(text, len, ip));
        sp_wr_bytes(wr, ip, 16);
    }
    return SP_OK;
}

static sp_err read_list(struct value v, enum sp_param_form form, struct sp_wr *wr) {
    size_t first = sp_wr_len(wr);
    for (size_t from = 0, at = 0; at <= v.len; at++) {
        if (at < v.len && v.text[at] != ',')
            continue;
        SP_TRY(read_item(v.text + from, at - from, form, wr, first));
        from = at + 1;
    }
    return SP_OK;
}

static sp_err read_value(struct value v, enum sp_param_form form, struct sp_wr *wr) {
    struct sp_text_decode d = {.bits_per_digit = 6};
    uint64_t number;
    switch (form) {
    case SP_PARAM_KEYS:
    case SP_PARAM_IP4S:
    case SP_PARAM_IP6S:
        return read_list(v, form, wr);
    case SP_PARAM_STRINGS:
        return read_strings(v, wr);
    case SP_PARAM_EMPTY:
        return v.len == 0 ? SP_OK : SP_ERR_FORM;
    case SP_PARAM_U16:
        SP_TRY(sp_text_to_u64(v.text, v.len, UINT16_MAX, &number));
        sp_wr_u16(wr, (uint16_t)number);
        return SP_OK;
    case SP_PARAM_BASE64:
        SP_TRY(sp_text_decode(&d, v.text, v.len, wr));
        return sp_text_decode_end(&d);
    case SP_PARAM_TEXT:
        return read_text(v, wr);
    }
    return SP_ERR_FORM;
}

static void reverse(uint8_t *p, size_t len) {
    for (size_t i = 0; i < len / 2; i++) {
        uint8_t c = p[i];
        p[i] = p[len - 1 - i];
        p[len - 1 - i] = c;
    }
}

/* Moves the param at `fresh`, the last, to its place among the sorted ones from first on. */
static sp_err file_param(struct sp_wr *wr, size_t first, size_t fresh, uint16_t key) {
    struct sp_rd rd = sp_rd_init(wr->base + first, fresh - first), value;
    uint16_t at_key;
    size_t at = fresh;
    for (const uint8_t *p = rd.pos; sp_param_next(&rd, &at_key, &value); p = rd.pos) {
        if (at_key == key)
            return SP_ERR_EXIST;
        if (at_key > key) {
            at = (size_t)(p - wr->base);
            break;
        }
    }
    uint8_t *p = wr->base + at;
    reverse(p, fresh - at);
    reverse(wr->base + fresh, sp_wr_len(wr) - fresh);
    reverse(p, sp_wr_len(wr) - at);
    return SP_OK;
}

sp_err sp_param_from_text(const char *text, size_t len, struct sp_wr *ret, size_t first) {
    size_t eq = 0;
    while (eq < len && text[eq] != '=')
        eq++;
    uint16_t key;
    bool generic;
    SP_TRY(read_key(text, eq, &key, &generic));
    struct value v = {text + eq, 0};
    if (eq < len)
        v = (struct value){text + eq + 1, len - eq - 1};
    if (v.len >= 2 && v.text[0] == '"')
        v = (struct value){v.text + 1, v.len - 2};
    size_t fresh = sp_wr_len(ret);
    sp_wr_u16(ret, key);
    size_t at = sp_wr_len16_begin(ret);
    const struct sp_param_row *row = generic ? NULL : sp_param_row(key);
    SP_TRY(read_value(v, row != NULL ? row->form : SP_PARAM_TEXT, ret));
    sp_wr_len16_end(ret, at);
    return ret->err == SP_OK ? file_param(ret, first, fresh, key) : ret->err;
}
