#include "client/nss/wire.h"

#include <string.h>

#include "proto/base/bytes.h"

static bool is_host_char(uint8_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* Labels of at most 63 bytes, 255 with the root's. */
static bool write_name(struct sp_wr *wr, const char *name) {
    size_t start = sp_wr_len(wr);
    for (;;) {
        size_t n = 0;
        while (is_host_char((uint8_t)name[n]) && n < 64)
            n++;
        if (n == 0 || n > 63)
            return false;
        sp_wr_u8(wr, (uint8_t)n);
        sp_wr_bytes(wr, name, n);
        name += n;
        if (*name == '.')
            name++;
        else if (*name != 0)
            return false;
        if (*name == 0)
            break;
    }
    sp_wr_u8(wr, 0);
    return sp_wr_len(wr) - start <= 255;
}

size_t nss_wire_query(const char *name, uint16_t type, uint16_t id, uint8_t *ret, size_t cap) {
    struct sp_wr wr = sp_wr_init(ret, cap);
    sp_wr_u16(&wr, id);
    sp_wr_u16(&wr, 0);
    sp_wr_u16(&wr, 1);
    sp_wr_u48(&wr, 0);
    if (!write_name(&wr, name))
        return 0;
    sp_wr_u16(&wr, type);
    sp_wr_u16(&wr, 1);
    return wr.err == SP_OK ? sp_wr_len(&wr) : 0;
}

void nss_wire_reverse(const uint8_t addr[16], char ret[NSS_NAME_MAX]) {
    static const char hex[] = "0123456789abcdef", arpa[] = "ip6.arpa";
    for (unsigned i = 16; i-- > 0;) {
        *ret++ = hex[addr[i] & 15];
        *ret++ = '.';
        *ret++ = hex[addr[i] >> 4];
        *ret++ = '.';
    }
    memcpy(ret, arpa, sizeof arpa);
}

/* ---- replies ---- */

/* Moves past a name; text (may be NULL) gets it, or stays empty when it is not a host's. Pointers lead backwards alone,
 * so it ends. */
static void read_name(struct sp_rd *rd, char text[NSS_NAME_MAX]) {
    struct sp_rd at = *rd;
    size_t len = 0, limit = sp_rd_offset(rd);
    bool jumped = false, clean = true;
    for (;;) {
        uint8_t n = sp_rd_u8(&at);
        if (at.err == SP_OK && n >= 0xc0) {
            size_t to = (size_t)(n & 0x3f) << 8 | sp_rd_u8(&at);
            if (!jumped)
                *rd = at;
            jumped = true;
            if (at.err != SP_OK || to >= limit)
                break;
            limit = to;
            at.pos = at.base + to;
            continue;
        }
        const uint8_t *label = n < 64 ? sp_rd_bytes(&at, n) : NULL;
        if (at.err != SP_OK || label == NULL)
            break;
        if (n == 0) {
            if (!jumped)
                *rd = at;
            if (text != NULL)
                text[clean && len > 0 ? len - 1 : 0] = 0;
            return;
        }
        if (len + n + 2 > NSS_NAME_MAX + 1u)
            break;
        for (unsigned i = 0; i < n; i++)
            clean = clean && is_host_char(label[i]);
        if (text != NULL) {
            memcpy(text + len, label, n);
            text[len + n] = '.';
        }
        len += n + 1u;
    }
    if (text != NULL)
        text[0] = 0;
    sp_rd_fail(rd, SP_ERR_FORM);
}

static void take(struct nss_reply *ret, uint16_t type, struct sp_rd rdata) {
    size_t size = type == NSS_TYPE_A ? 4 : 16;
    if (type == NSS_TYPE_PTR) {
        if (ret->count > 0)
            return;
        read_name(&rdata, ret->name);
        if (sp_rd_finish(&rdata) == SP_OK && ret->name[0] != 0)
            ret->count = 1;
        return;
    }
    if (sp_rd_left(&rdata) == size && ret->count < NSS_ADDRS_MAX)
        sp_rd_copy(&rdata, ret->addrs[ret->count++], size);
}

bool nss_wire_reply(struct nss_reply *ret, const uint8_t *query, size_t query_len, const uint8_t *reply, size_t len) {
    memset(ret, 0, sizeof *ret);
    /* Id and question come back byte for byte; the agent is not one to change the case of letters. */
    if (len < query_len || query_len < 16 || memcmp(reply, query, 2) != 0 ||
        memcmp(reply + 12, query + 12, query_len - 12) != 0)
        return false;
    struct sp_rd rd = sp_rd_init(reply, len);
    rd.pos += 2;
    uint16_t flags = sp_rd_u16(&rd), questions = sp_rd_u16(&rd), answers = sp_rd_u16(&rd);
    if ((flags & 0x8000) == 0 || questions != 1)
        return false;
    ret->rcode = flags & 15;
    ret->ttl = UINT32_MAX;
    uint16_t type = sp_get_u16(query + query_len - 4);
    rd.pos = rd.base + query_len;
    for (; answers > 0; answers--) {
        read_name(&rd, NULL);
        uint16_t rtype = sp_rd_u16(&rd), rclass = sp_rd_u16(&rd);
        uint32_t ttl = sp_rd_u32(&rd);
        struct sp_rd rdata = sp_rd_sub(&rd, sp_rd_u16(&rd));
        if (rd.err != SP_OK)
            return false;
        ret->ttl = ttl < ret->ttl ? ttl : ret->ttl;
        if (rtype == type && rclass == 1)
            take(ret, type, rdata);
    }
    return true;
}
