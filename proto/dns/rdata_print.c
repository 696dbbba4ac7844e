/* Rdata as text. RFC 1035 5, RFC 3597 5, and each type's own RFC. */
#include "proto/dns/rdata.h"
#include "proto/dns/text.h"

static void print_quoted(struct sp_wr *wr, const uint8_t *p, size_t len) {
    sp_wr_u8(wr, '"');
    for (size_t i = 0; i < len; i++)
        sp_text_escaped(wr, p[i], "\"\\");
    sp_wr_u8(wr, '"');
}

static void print_strings(struct sp_wr *wr, struct sp_rd *rd) {
    for (bool first = true; sp_rd_left(rd) > 0; first = false) {
        if (!first)
            sp_wr_u8(wr, ' ');
        size_t n = sp_rd_u8(rd);
        print_quoted(wr, sp_rd_bytes(rd, n), n);
    }
}

static void print_type(struct sp_wr *wr, uint16_t type) {
    char name[16];
    sp_type_to_text(type, name);
    sp_text_string(wr, name);
}

static void print_bitmap(struct sp_wr *wr, const uint8_t *bits, size_t len) {
    uint16_t type;
    for (uint32_t from = 0; sp_bitmap_next(bits, len, from, &type); from = type + 1u) {
        if (from > 0)
            sp_wr_u8(wr, ' ');
        print_type(wr, type);
    }
}

static void print_mac(struct sp_wr *wr, struct sp_rd *rd) {
    size_t n = sp_rd_u16(rd);
    sp_text_u64(wr, n);
    if (n == 0)
        return;
    sp_wr_u8(wr, ' ');
    sp_text_base64(wr, sp_rd_bytes(rd, n), n);
}

/* The rest of rd, for fields that reach to the end. */
static const uint8_t *rest(struct sp_rd *rd, size_t *len) {
    *len = sp_rd_left(rd);
    return sp_rd_bytes(rd, *len);
}

/* Fields of a length of their own; the rdata has been checked. */
static void print_sized(char field, struct sp_rd *rd, struct sp_wr *wr) {
    struct sp_name name;
    size_t n;
    switch ((enum sp_field)field) {
    case SP_F_U8:
    case SP_F_ALG:
        sp_text_u32(wr, sp_rd_u8(rd));
        return;
    case SP_F_U16:
        sp_text_u32(wr, sp_rd_u16(rd));
        return;
    case SP_F_U32:
    case SP_F_PERIOD:
        sp_text_u32(wr, sp_rd_u32(rd));
        return;
    case SP_F_U48:
        sp_text_u64(wr, sp_rd_u48(rd));
        return;
    case SP_F_TIME:
        sp_text_time(wr, sp_rd_u32(rd));
        return;
    case SP_F_TYPE:
        print_type(wr, sp_rd_u16(rd));
        return;
    case SP_F_IP4:
        sp_text_ip4(wr, sp_rd_bytes(rd, 4));
        return;
    case SP_F_IP6:
        sp_text_ip6(wr, sp_rd_bytes(rd, 16));
        return;
    case SP_F_STRING:
        n = sp_rd_u8(rd);
        print_quoted(wr, sp_rd_bytes(rd, n), n);
        return;
    case SP_F_TAG:
        n = sp_rd_u8(rd);
        sp_wr_bytes(wr, sp_rd_bytes(rd, n), n);
        return;
    case SP_F_SALT:
        n = sp_rd_u8(rd);
        if (n == 0)
            sp_wr_u8(wr, '-');
        sp_text_hex(wr, sp_rd_bytes(rd, n), n);
        return;
    case SP_F_HASH32:
        n = sp_rd_u8(rd);
        sp_text_base32hex(wr, sp_rd_bytes(rd, n), n);
        return;
    case SP_F_MAC:
        print_mac(wr, rd);
        return;
    default:
        if (sp_name_read_plain(rd, &name) == SP_OK)
            sp_text_name(wr, &name);
        return;
    }
}

static void print_field(char field, struct sp_rd *rd, struct sp_wr *wr) {
    const uint8_t *p;
    size_t n;
    switch ((enum sp_field)field) {
    case SP_F_STRINGS:
        print_strings(wr, rd);
        return;
    case SP_F_TEXT:
        p = rest(rd, &n);
        print_quoted(wr, p, n);
        return;
    case SP_F_BASE64:
    case SP_F_BASE64_OPT:
        p = rest(rd, &n);
        sp_text_base64(wr, p, n);
        return;
    case SP_F_HEX:
    case SP_F_DIGEST:
        p = rest(rd, &n);
        sp_text_hex(wr, p, n);
        return;
    case SP_F_BITMAP:
        p = rest(rd, &n);
        print_bitmap(wr, p, n);
        return;
    case SP_F_PARAMS:
        p = rest(rd, &n);
        sp_params_to_text(p, n, wr);
        return;
    default:
        print_sized(field, rd, wr);
        return;
    }
}

static bool may_print_nothing(char field) {
    return field == SP_F_BASE64_OPT || field == SP_F_BITMAP || field == SP_F_PARAMS;
}

/* RFC 3597 5. */
static void print_generic(struct sp_wr *wr, const uint8_t *rdata, size_t len) {
    sp_text_string(wr, "\\# ");
    sp_text_u64(wr, len);
    if (len > 0)
        sp_wr_u8(wr, ' ');
    sp_text_hex(wr, rdata, len);
}

void sp_rdata_to_text(uint16_t type, const uint8_t *rdata, size_t len, struct sp_wr *ret) {
    const char *layout = sp_type_row(type)->layout;
    if (layout == NULL || layout[0] == SP_F_OPTIONS || sp_rdata_check(type, rdata, len) != SP_OK) {
        print_generic(ret, rdata, len);
        return;
    }
    struct sp_rd rd = sp_rd_init(rdata, len);
    for (bool first = true; *layout != 0; layout++, first = false) {
        if (may_print_nothing(*layout) && sp_rd_left(&rd) == 0)
            continue;
        if (!first)
            sp_wr_u8(ret, ' ');
        print_field(*layout, &rd, ret);
    }
}
