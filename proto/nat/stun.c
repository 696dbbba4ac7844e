#include "proto/nat/stun.h"

#include "proto/nat/addr.h"

#define ATTR_HEAD        4
#define FINGERPRINT      0x8028
#define FINGERPRINT_SIZE (ATTR_HEAD + 4)
#define FINGERPRINT_XOR  0x5354554eu
#define COOKIE_AT        4
#define ID_AT            8

/* What reading keeps beside the message itself. */
struct reading {
    struct sp_stun *m;
    bool xored;     /* m->mapped is that of XOR-MAPPED-ADDRESS */
    bool integrity; /* MESSAGE-INTEGRITY has passed */
};

/* ---- values ---- */

/* RFC 8489 14.1: a zero, the family (1, 2), port, address. */
static void read_address(struct sp_rd *rd, struct sp_addr *ret) {
    (void)sp_rd_u8(rd);
    uint8_t family = sp_rd_u8(rd);
    struct sp_addr a = {.family = family == 1 ? 4 : 6, .port = sp_rd_u16(rd)};
    sp_rd_copy(rd, a.ip, sp_nat_ip_len(&a));
    if (rd->err == SP_OK && family != 1 && family != 2)
        sp_rd_fail(rd, SP_ERR_FORM);
    if (rd->err == SP_OK)
        *ret = a;
}

static bool write_address(struct sp_wr *wr, const struct sp_addr *a) {
    if (a->family == 0)
        return false;
    sp_wr_u8(wr, 0);
    sp_wr_u8(wr, a->family == 4 ? 1 : 2);
    sp_wr_u16(wr, a->port);
    sp_wr_bytes(wr, a->ip, sp_nat_ip_len(a));
    return true;
}

/* RFC 8489 14.2: the port with the cookie's upper half, the address with cookie and transaction id. Its own inverse. */
static void xor_address(const struct sp_stun *m, struct sp_addr *a) {
    uint8_t mask[16];
    sp_put_u32(mask, SP_STUN_COOKIE);
    memcpy(mask + 4, m->id, sizeof m->id);
    a->port ^= SP_STUN_COOKIE >> 16;
    for (size_t i = 0; i < sp_nat_ip_len(a); i++)
        a->ip[i] ^= mask[i];
}

static void read_mapped(struct reading *r, struct sp_rd *rd) {
    struct sp_addr a = {0};
    read_address(rd, &a);
    if (r->m->mapped.family == 0)
        r->m->mapped = a;
}
static void read_xor_mapped(struct reading *r, struct sp_rd *rd) {
    struct sp_addr a = {0};
    read_address(rd, &a);
    if (rd->err != SP_OK || r->xored)
        return;
    xor_address(r->m, &a);
    r->m->mapped = a;
    r->xored = true;
}
static bool write_xor_mapped(struct sp_wr *wr, const struct sp_stun *m) {
    struct sp_addr a = m->mapped;
    if (a.family != 0)
        xor_address(m, &a);
    return write_address(wr, &a);
}
static void read_origin(struct reading *r, struct sp_rd *rd) {
    read_address(rd, &r->m->response_origin);
}
static bool write_origin(struct sp_wr *wr, const struct sp_stun *m) {
    return write_address(wr, &m->response_origin);
}
static void read_other(struct reading *r, struct sp_rd *rd) {
    read_address(rd, &r->m->other_address);
}
static bool write_other(struct sp_wr *wr, const struct sp_stun *m) {
    return write_address(wr, &m->other_address);
}

#define CHANGE_IP   4u
#define CHANGE_PORT 2u
static void read_change(struct reading *r, struct sp_rd *rd) {
    uint32_t flags = sp_rd_u32(rd);
    r->m->has_change = true;
    r->m->change_ip = (flags & CHANGE_IP) != 0;
    r->m->change_port = (flags & CHANGE_PORT) != 0;
}
static bool write_change(struct sp_wr *wr, const struct sp_stun *m) {
    if (m->has_change)
        sp_wr_u32(wr, (m->change_ip ? CHANGE_IP : 0) | (m->change_port ? CHANGE_PORT : 0));
    return m->has_change;
}
static void read_response_port(struct reading *r, struct sp_rd *rd) {
    r->m->response_port = sp_rd_u16(rd);
    (void)sp_rd_bytes(rd, sp_rd_left(rd)); /* some count the padding in */
}
static bool write_response_port(struct sp_wr *wr, const struct sp_stun *m) {
    if (m->response_port != 0)
        sp_wr_u16(wr, m->response_port);
    return m->response_port != 0;
}
static void read_padding(struct reading *r, struct sp_rd *rd) {
    r->m->padding = (uint16_t)sp_rd_left(rd);
    (void)sp_rd_bytes(rd, sp_rd_left(rd));
}
static bool write_padding(struct sp_wr *wr, const struct sp_stun *m) {
    uint8_t *fill = sp_wr_reserve(wr, m->padding);
    if (fill != NULL && m->padding != 0)
        memset(fill, 0, m->padding);
    return m->padding != 0;
}
/* RFC 8489 14.8: class 3..6 and number 0..99; the reason is for people. */
static void read_error(struct reading *r, struct sp_rd *rd) {
    uint32_t v = sp_rd_u32(rd);
    unsigned class = v >> 8 & 7, number = v & 0xff;
    (void)sp_rd_bytes(rd, sp_rd_left(rd));
    if (rd->err == SP_OK && (class < 3 || class > 6 || number > 99))
        sp_rd_fail(rd, SP_ERR_FORM);
    r->m->error = (uint16_t)(class * 100 + number);
}
static bool write_error(struct sp_wr *wr, const struct sp_stun *m) {
    if (m->error == 0)
        return false;
    sp_wr_u32(wr, (uint32_t)(m->error / 100) << 8 | m->error % 100);
    if (m->error == 400)
        sp_wr_bytes(wr, "Bad Request", 11);
    if (m->error == 420)
        sp_wr_bytes(wr, "Unknown Attribute", 17);
    return true;
}
static void note_unknown(struct sp_stun *m, uint16_t type) {
    if (m->unknown_count < sizeof m->unknown / sizeof m->unknown[0])
        m->unknown[m->unknown_count++] = type;
}
/* In an error this attribute is the list; in other messages the list is what this reader did not know. */
static void read_unknown(struct reading *r, struct sp_rd *rd) {
    while (sp_rd_left(rd) > 0) {
        uint16_t type = sp_rd_u16(rd);
        if (rd->err == SP_OK && r->m->class == SP_STUN_ERROR)
            note_unknown(r->m, type);
    }
}
static bool write_unknown(struct sp_wr *wr, const struct sp_stun *m) {
    if (m->class != SP_STUN_ERROR)
        return false;
    for (unsigned i = 0; i < m->unknown_count; i++)
        sp_wr_u16(wr, m->unknown[i]);
    return m->unknown_count > 0;
}
static void read_integrity(struct reading *r, struct sp_rd *rd) {
    (void)sp_rd_bytes(rd, sp_rd_left(rd));
    r->integrity = true;
}

/* ---- the attributes ---- */

/* Lengths are those of the value, without padding. Without `read` an attribute is understood and passed over: this
 * usage of STUN has no credentials. Without `write` it is never sent. Messages carry them in this order. */
struct attribute {
    uint16_t type, min, max;
    void (*read)(struct reading *r, struct sp_rd *rd);
    bool (*write)(struct sp_wr *wr, const struct sp_stun *m); /* false: not in this message */
};
static const struct attribute attributes[] = {
    {0x0020, 8, 20, read_xor_mapped, write_xor_mapped},      /* XOR-MAPPED-ADDRESS, RFC 8489 14.2 */
    {0x802c, 8, 20, read_other, write_other},                /* OTHER-ADDRESS, RFC 5780 7.4 */
    {0x802b, 8, 20, read_origin, write_origin},              /* RESPONSE-ORIGIN, RFC 5780 7.3 */
    {0x0003, 4, 4, read_change, write_change},               /* CHANGE-REQUEST, RFC 5780 7.2 */
    {0x0027, 2, 4, read_response_port, write_response_port}, /* RESPONSE-PORT, RFC 5780 7.5 */
    {0x0009, 4, 767, read_error, write_error},               /* ERROR-CODE, RFC 8489 14.8 */
    {0x000a, 0, 256, read_unknown, write_unknown},           /* UNKNOWN-ATTRIBUTES, RFC 8489 14.13 */
    {0x0026, 0, UINT16_MAX, read_padding, write_padding},    /* PADDING, RFC 5780 7.6 */
    {0x0001, 8, 20, read_mapped, NULL},                      /* MAPPED-ADDRESS, RFC 8489 14.1 */
    {0x0006, 0, 513, NULL, NULL},                            /* USERNAME, RFC 8489 14.3 */
    {0x0008, 20, 20, read_integrity, NULL},                  /* MESSAGE-INTEGRITY, RFC 8489 14.5 */
    {0x001c, 16, 32, read_integrity, NULL},                  /* MESSAGE-INTEGRITY-SHA256, RFC 8489 14.6 */
    {0x001e, 32, 32, NULL, NULL},                            /* USERHASH, RFC 8489 14.4 */
    {0x0014, 0, 763, NULL, NULL},                            /* REALM, RFC 8489 14.9 */
    {0x0015, 0, 763, NULL, NULL},                            /* NONCE, RFC 8489 14.10 */
    {0x001d, 4, UINT16_MAX, NULL, NULL},                     /* PASSWORD-ALGORITHM, RFC 8489 14.12 */
};
#define ATTRIBUTES (sizeof attributes / sizeof attributes[0])

static const struct attribute *row_of(uint16_t type) {
    for (size_t i = 0; i < ATTRIBUTES; i++)
        if (attributes[i].type == type)
            return &attributes[i];
    return NULL;
}

/* ---- messages ---- */

/* CRC-32 of ITU-T V.42, four bits at a time. RFC 8489 14.7 */
static uint32_t fingerprint(const uint8_t *data, size_t len) {
    static const uint32_t steps[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
        0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < len; i++) {
        crc ^= data[i];
        crc = crc >> 4 ^ steps[crc & 15];
        crc = crc >> 4 ^ steps[crc & 15];
    }
    return ~crc ^ FINGERPRINT_XOR;
}

bool sp_stun_is(const uint8_t *data, size_t len) {
    return len >= SP_STUN_HEAD && data[0] >> 6 == 0 && sp_get_u32(data + COOKIE_AT) == SP_STUN_COOKIE &&
           len == SP_STUN_HEAD + (size_t)sp_get_u16(data + 2) && len % 4 == 0;
}

static void read_attribute(struct reading *r, uint16_t type, struct sp_rd *value) {
    const struct attribute *row = row_of(type);
    size_t len = sp_rd_left(value);
    /* RFC 8489 14.5: what follows MESSAGE-INTEGRITY is not protected by it, and left aside. */
    if (r->integrity)
        return;
    if (row == NULL) {
        if (type < 0x8000)
            note_unknown(r->m, type);
        return;
    }
    if (len < row->min || len > row->max)
        sp_rd_fail(value, SP_ERR_FORM);
    else if (row->read != NULL)
        row->read(r, value);
    else
        (void)sp_rd_bytes(value, len);
    if (value->err == SP_OK && sp_rd_left(value) != 0)
        sp_rd_fail(value, SP_ERR_FORM);
}

sp_err sp_stun_read(struct sp_stun *ret, const uint8_t *data, size_t len) {
    if (len < SP_STUN_HEAD)
        return SP_ERR_SHORT;
    if (!sp_stun_is(data, len))
        return SP_ERR_FORM;
    struct sp_stun m = {0};
    struct reading r = {.m = &m};
    struct sp_rd rd = sp_rd_init(data, len);
    /* RFC 8489 5: the class stands in bits 4 and 8 of the type, the method around them. */
    uint16_t type = sp_rd_u16(&rd);
    m.class = (uint8_t)((type >> 4 & 1) | (type >> 7 & 2));
    m.method = (uint16_t)((type & 0x000f) | (type >> 1 & 0x0070) | (type >> 2 & 0x0f80));
    (void)sp_rd_bytes(&rd, ID_AT - 2);
    sp_rd_copy(&rd, m.id, sizeof m.id);
    while (sp_rd_left(&rd) > 0) {
        size_t at = sp_rd_offset(&rd);
        type = sp_rd_u16(&rd);
        uint16_t n = sp_rd_u16(&rd);
        struct sp_rd value = sp_rd_sub(&rd, n);
        (void)sp_rd_bytes(&rd, (4u - n % 4) % 4);
        if (rd.err != SP_OK)
            return rd.err;
        if (type == FINGERPRINT) { /* the last, over all before it */
            if (n != 4 || sp_rd_left(&rd) != 0)
                return SP_ERR_FORM;
            if (sp_rd_u32(&value) != fingerprint(data, at))
                return SP_ERR_BADSIG;
            m.fingerprint = true;
            continue;
        }
        read_attribute(&r, type, &value);
        if (value.err != SP_OK)
            return value.err == SP_ERR_SHORT ? SP_ERR_FORM : value.err;
    }
    *ret = m;
    return SP_OK;
}

static void write_attribute(struct sp_wr *wr, const struct attribute *row, const struct sp_stun *m) {
    struct sp_wr before = *wr;
    sp_wr_u16(wr, row->type);
    size_t at = sp_wr_len16_begin(wr);
    if (!row->write(wr, m)) {
        *wr = before;
        return;
    }
    sp_wr_len16_end(wr, at);
    while (wr->err == SP_OK && sp_wr_len(wr) % 4 != 0)
        sp_wr_u8(wr, 0);
}

size_t sp_stun_write(const struct sp_stun *m, uint8_t *out, size_t cap) {
    struct sp_wr wr = sp_wr_init(out, cap);
    sp_wr_u16(&wr, (uint16_t)((m->method & 0x000f) | (m->method & 0x0070) << 1 | (m->method & 0x0f80) << 2 |
                              (m->class & 1) << 4 | (m->class & 2) << 7));
    sp_wr_u16(&wr, 0);
    sp_wr_u32(&wr, SP_STUN_COOKIE);
    sp_wr_bytes(&wr, m->id, sizeof m->id);
    for (size_t i = 0; i < ATTRIBUTES; i++)
        if (attributes[i].write != NULL)
            write_attribute(&wr, &attributes[i], m);
    size_t end = sp_wr_len(&wr), len = end + (m->fingerprint ? FINGERPRINT_SIZE : 0);
    if (wr.err != SP_OK || len - SP_STUN_HEAD > UINT16_MAX)
        return 0;
    sp_put_u16(out + 2, (uint16_t)(len - SP_STUN_HEAD)); /* the fingerprint covers the final length */
    if (m->fingerprint) {
        sp_wr_u16(&wr, FINGERPRINT);
        sp_wr_u16(&wr, 4);
        sp_wr_u32(&wr, fingerprint(out, end));
    }
    return wr.err == SP_OK ? len : 0;
}
