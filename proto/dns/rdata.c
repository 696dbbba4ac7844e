/* Rdata in wire form: reading, checking, canonical form, embedded names. Driven by the layouts. */
#include "proto/dns/rdata.h"

static bool is_name(char field) {
    return field == SP_F_NAME || field == SP_F_NAME_LATER || field == SP_F_NAME_LOWER || field == SP_F_NAME_PLAIN;
}

static void skip_tag(struct sp_rd *rd) {
    unsigned n = sp_rd_u8(rd);
    const uint8_t *p = sp_rd_bytes(rd, n);
    bool good = p != NULL && n > 0;
    for (unsigned i = 0; good && i < n; i++) {
        uint8_t c = p[i] | 0x20;
        good = (c >= 'a' && c <= 'z') || (p[i] >= '0' && p[i] <= '9');
    }
    if (!good)
        sp_rd_fail(rd, SP_ERR_FORM);
}

/* Sizes of the digests that have one: SHA-1, SHA-256, SHA-384 (RFC 3658, 4509, 6605). */
static void skip_digest(struct sp_rd *rd, const uint8_t *start) {
    size_t len = sp_rd_left(rd), want = 0;
    uint8_t kind = rd->pos > start ? rd->pos[-1] : 0;
    if (kind == 1)
        want = 20;
    else if (kind == 2)
        want = 32;
    else if (kind == 4)
        want = 48;
    if (len == 0 || (want != 0 && len != want))
        sp_rd_fail(rd, SP_ERR_FORM);
    else
        (void)sp_rd_bytes(rd, len);
}

static void skip_options(struct sp_rd *rd) {
    while (sp_rd_left(rd) > 0) {
        (void)sp_rd_u16(rd);
        (void)sp_rd_bytes(rd, sp_rd_u16(rd));
    }
}

static void skip_rest(struct sp_rd *rd, bool may_be_empty) {
    if (!may_be_empty && sp_rd_left(rd) == 0)
        sp_rd_fail(rd, SP_ERR_FORM);
    (void)sp_rd_bytes(rd, sp_rd_left(rd));
}

/* Bytes of a field that always has as many; 0 for others. */
static size_t fixed_size(char field) {
    switch ((enum sp_field)field) {
    case SP_F_U8:
    case SP_F_ALG:
        return 1;
    case SP_F_U16:
    case SP_F_TYPE:
        return 2;
    case SP_F_U32:
    case SP_F_PERIOD:
    case SP_F_TIME:
    case SP_F_IP4:
        return 4;
    case SP_F_U48:
        return 6;
    case SP_F_IP6:
        return 16;
    default:
        return 0;
    }
}

void sp_field_skip(char field, struct sp_rd *rd, const uint8_t *start) {
    size_t fixed = fixed_size(field);
    if (fixed > 0) {
        (void)sp_rd_bytes(rd, fixed);
        return;
    }
    switch ((enum sp_field)field) {
    case SP_F_STRING:
    case SP_F_SALT:
        (void)sp_rd_bytes(rd, sp_rd_u8(rd));
        return;
    case SP_F_HASH32:
        if (sp_rd_left(rd) > 0 && *rd->pos == 0)
            sp_rd_fail(rd, SP_ERR_FORM);
        (void)sp_rd_bytes(rd, sp_rd_u8(rd));
        return;
    case SP_F_STRINGS:
        do {
            (void)sp_rd_bytes(rd, sp_rd_u8(rd));
        } while (sp_rd_left(rd) > 0);
        return;
    case SP_F_TAG:
        skip_tag(rd);
        return;
    case SP_F_TEXT:
    case SP_F_BASE64_OPT:
        skip_rest(rd, true);
        return;
    case SP_F_BASE64:
    case SP_F_HEX:
        skip_rest(rd, false);
        return;
    case SP_F_DIGEST:
        skip_digest(rd, start);
        return;
    case SP_F_MAC:
        (void)sp_rd_bytes(rd, sp_rd_u16(rd));
        return;
    case SP_F_BITMAP:
        sp_bitmap_skip(rd);
        return;
    case SP_F_PARAMS:
        sp_params_skip(rd);
        return;
    case SP_F_OPTIONS:
        skip_options(rd);
        return;
    default:
        break;
    }
    SP_ASSERT(false && "names are the callers' business");
}

/* Reads one name as its field and the reader's origin (message or store) allow. */
static sp_err read_name(char field, struct sp_rd *rd, bool stored, struct sp_name *ret) {
    bool expand = !stored && (field == SP_F_NAME || field == SP_F_NAME_LATER);
    return expand ? sp_name_read(rd, ret) : sp_name_read_plain(rd, ret);
}

/* ret NULL: check only. */
static sp_err walk(uint16_t type, struct sp_rd *rd, bool stored, struct sp_wr *ret) {
    const char *layout = sp_type_row(type)->layout;
    const uint8_t *start = rd->pos;
    struct sp_name name;
    if (layout == NULL) {
        if (ret != NULL)
            sp_wr_bytes(ret, start, sp_rd_left(rd));
        (void)sp_rd_bytes(rd, sp_rd_left(rd));
    }
    for (; layout != NULL && *layout != 0; layout++) {
        const uint8_t *from = rd->pos;
        if (is_name(*layout)) {
            SP_TRY(read_name(*layout, rd, stored, &name));
            if (ret != NULL)
                sp_name_write(ret, &name);
            continue;
        }
        sp_field_skip(*layout, rd, start);
        if (rd->err != SP_OK)
            return rd->err;
        if (ret != NULL)
            sp_wr_bytes(ret, from, (size_t)(rd->pos - from));
    }
    SP_TRY(sp_rd_finish(rd));
    return ret != NULL ? ret->err : SP_OK;
}

sp_err sp_rdata_read(uint16_t type, struct sp_rd *rdata, struct sp_wr *ret) {
    if (rdata->err != SP_OK)
        return rdata->err;
    uint8_t *before = ret->pos;
    sp_err err = walk(type, rdata, false, ret);
    if (err == SP_OK && ret->pos - before > SP_RDATA_MAX)
        err = SP_ERR_SPACE;
    if (err != SP_OK)
        ret->pos = before;
    return err;
}

sp_err sp_rdata_check(uint16_t type, const uint8_t *rdata, size_t len) {
    if (len > SP_RDATA_MAX)
        return SP_ERR_FORM;
    struct sp_rd rd = sp_rd_init(rdata, len);
    return walk(type, &rd, true, NULL);
}

void sp_rdata_canonical(uint16_t type, uint8_t *rdata, size_t len) {
    const char *layout = sp_type_row(type)->layout;
    struct sp_rd rd = sp_rd_init(rdata, len);
    struct sp_name name;
    for (; layout != NULL && *layout != 0 && rd.err == SP_OK; layout++) {
        uint8_t *from = rdata + sp_rd_offset(&rd);
        if (!is_name(*layout)) {
            sp_field_skip(*layout, &rd, rdata);
        } else if (sp_name_read_plain(&rd, &name) == SP_OK && *layout != SP_F_NAME_PLAIN) {
            sp_name_lower_bytes(from, name.len);
        }
    }
}

size_t sp_rdata_names(uint16_t type, const uint8_t *rdata, size_t len, struct sp_name *ret, size_t cap) {
    const char *layout = sp_type_row(type)->layout;
    struct sp_rd rd = sp_rd_init(rdata, len);
    size_t n = 0;
    for (; layout != NULL && *layout != 0 && rd.err == SP_OK && n < cap; layout++) {
        if (!is_name(*layout))
            sp_field_skip(*layout, &rd, rdata);
        else if (sp_name_read_plain(&rd, &ret[n]) == SP_OK)
            n++;
    }
    return n;
}
