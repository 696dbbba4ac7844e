#include "client/core/proxy.h"

#include "proto/dns/rrtype.h"

/* RFC 1928 3 to 6. */
#define SOCKS_VERSION 5
#define SOCKS_NO_AUTH 0
#define SOCKS_NONE    0xff
#define SOCKS_CONNECT 1
enum { SOCKS_IPV4 = 1, SOCKS_NAME = 3, SOCKS_IPV6 = 4 };

static const struct {
    const char *name;
    uint8_t socks;
    uint16_t http;
    const char *phrase, *text;
} results[] = {
#define X(name, key, socks, http, phrase, text) {key, socks, http, phrase, text},
    SP_PROXY_RESULT_LIST(X)
#undef X
};

const char *sp_proxy_result_name(enum sp_proxy_result result) {
    return results[result].name;
}
const char *sp_proxy_result_text(enum sp_proxy_result result) {
    return results[result].text;
}

static sp_err refuse(enum sp_proxy_result why, enum sp_proxy_result *ret) {
    *ret = why;
    return SP_ERR_DENIED;
}

/* ---- SOCKS ---- */

/* Where a byte stands first; NULL: nowhere. */
static const uint8_t *find(const uint8_t *p, size_t len, uint8_t byte) {
    for (const uint8_t *end = p + len; p < end; p++)
        if (*p == byte)
            return p;
    return NULL;
}

static sp_err socks_request(struct sp_proxy_ask *ret, struct sp_rd *r, enum sp_proxy_result *why) {
    uint8_t version = sp_rd_u8(r), command = sp_rd_u8(r), reserved = sp_rd_u8(r), type = sp_rd_u8(r);
    if (r->err != SP_OK)
        return SP_ERR_SHORT;
    if (version != SOCKS_VERSION || reserved != 0)
        return refuse(SP_PROXY_FORM, why);
    if (command != SOCKS_CONNECT)
        return refuse(SP_PROXY_METHOD, why);
    if (type == SOCKS_NAME) {
        ret->host_len = sp_rd_u8(r);
        ret->host = (const char *)sp_rd_bytes(r, ret->host_len);
    } else if (type == SOCKS_IPV4 || type == SOCKS_IPV6) {
        ret->family = type == SOCKS_IPV4 ? 4 : 6;
        sp_rd_copy(r, ret->ip, type == SOCKS_IPV4 ? 4 : 16);
    } else {
        return refuse(SP_PROXY_TYPE, why);
    }
    ret->port = sp_rd_u16(r);
    if (r->err != SP_OK)
        return SP_ERR_SHORT;
    ret->used = sp_rd_offset(r);
    return ret->port != 0 ? SP_OK : refuse(SP_PROXY_FORM, why);
}

static sp_err socks(struct sp_proxy_ask *ret, struct sp_rd *r, enum sp_proxy_result *why) {
    sp_rd_u8(r);
    size_t n = sp_rd_u8(r);
    const uint8_t *methods = sp_rd_bytes(r, n);
    if (r->err != SP_OK)
        return SP_ERR_SHORT;
    if (find(methods, n, SOCKS_NO_AUTH) == NULL)
        return refuse(SP_PROXY_METHOD, why);
    ret->greeted = true;
    return socks_request(ret, r, why);
}

/* ---- HTTP ---- */

/* The length of the request with the empty line that ends it; 0: it is not there yet. RFC 9112 2.2: a lone LF ends a
 * line too. */
static size_t head_len(const uint8_t *data, size_t len) {
    for (size_t i = 0; i + 1 < len; i++) {
        if (data[i] != '\n')
            continue;
        if (data[i + 1] == '\n')
            return i + 2;
        if (data[i + 1] == '\r' && i + 2 < len && data[i + 2] == '\n')
            return i + 3;
    }
    return 0;
}

static bool port_of(const uint8_t *p, size_t len, uint16_t *ret) {
    uint32_t v = 0;
    for (size_t i = 0; i < len; i++) {
        if (p[i] < '0' || p[i] > '9' || i == 5)
            return false;
        v = v * 10 + (uint32_t)(p[i] - '0');
    }
    *ret = (uint16_t)v;
    return v > 0 && v <= UINT16_MAX;
}

/* "name:port" or "[address]:port". RFC 9112 3.2.3 */
static sp_err authority(struct sp_proxy_ask *ret, const uint8_t *p, size_t len, enum sp_proxy_result *why) {
    size_t colon = len;
    while (colon > 0 && p[colon - 1] != ':')
        colon--;
    if (colon < 2 || !port_of(p + colon, len - colon, &ret->port))
        return refuse(SP_PROXY_FORM, why);
    ret->host = (const char *)p;
    ret->host_len = colon - 1;
    return SP_OK;
}

static sp_err http(struct sp_proxy_ask *ret, const uint8_t *data, size_t len, enum sp_proxy_result *why) {
    static const char method[] = "CONNECT ", version[] = " HTTP/1.";
    size_t known = sizeof method - 1, compared = len < known ? len : known;
    const uint8_t *first_end = find(data, len, '\n');
    if (memcmp(data, method, compared) != 0)
        return first_end != NULL || len >= SP_PROXY_ASK_MAX ? refuse(SP_PROXY_METHOD, why) : SP_ERR_SHORT;
    size_t head = head_len(data, len);
    if (head == 0)
        return len < SP_PROXY_ASK_MAX ? SP_ERR_SHORT : refuse(SP_PROXY_FORM, why);
    const uint8_t *target = data + known, *end = target;
    while (*end != ' ' && *end != '\r' && *end != '\n')
        end++;
    if ((size_t)(first_end - end) < sizeof version - 1 || memcmp(end, version, sizeof version - 1) != 0)
        return refuse(SP_PROXY_FORM, why);
    ret->used = head;
    return authority(ret, target, (size_t)(end - target), why);
}

/* ---- both ---- */

/* An address that was written as a name would be. */
static void literal(struct sp_proxy_ask *ask) {
    bool brackets = ask->host_len > 2 && ask->host[0] == '[' && ask->host[ask->host_len - 1] == ']';
    const char *text = ask->host + brackets;
    size_t len = ask->host_len - 2 * brackets;
    for (unsigned i = 0; i < 2; i++) {
        struct sp_wr wr = sp_wr_init(ask->ip, i == 0 ? 4 : 16);
        if ((brackets && i == 0) ||
            sp_rdata_from_text(i == 0 ? SP_TYPE_A : SP_TYPE_AAAA, text, len, NULL, &wr) != SP_OK)
            continue;
        ask->family = i == 0 ? 4 : 6;
        ask->host = NULL;
        return;
    }
}

sp_err sp_proxy_read(struct sp_proxy_ask *ret, const uint8_t *data, size_t len, enum sp_proxy_result *ret_why) {
    struct sp_rd r = sp_rd_init(data, len);
    *ret = (struct sp_proxy_ask){0};
    if (len == 0)
        return SP_ERR_SHORT;
    ret->kind = data[0] == SOCKS_VERSION           ? SP_PROXY_SOCKS
                : data[0] >= 'A' && data[0] <= 'Z' ? SP_PROXY_HTTP
                                                   : SP_PROXY_UNKNOWN;
    if (ret->kind == SP_PROXY_UNKNOWN)
        return refuse(SP_PROXY_FORM, ret_why);
    sp_err err = ret->kind == SP_PROXY_SOCKS ? socks(ret, &r, ret_why) : http(ret, data, len, ret_why);
    if (err == SP_OK && ret->host != NULL)
        literal(ret);
    return err;
}

/* ---- answers ---- */

static void put_text(struct sp_wr *wr, const char *text) {
    sp_wr_bytes(wr, text, strlen(text));
}

static void put_number(struct sp_wr *wr, size_t v) {
    if (v >= 10)
        put_number(wr, v / 10);
    sp_wr_u8(wr, (uint8_t)('0' + v % 10));
}

static void http_answer(struct sp_wr *wr, enum sp_proxy_result result) {
    put_text(wr, "HTTP/1.1 ");
    put_number(wr, results[result].http);
    sp_wr_u8(wr, ' ');
    put_text(wr, results[result].phrase);
    put_text(wr, "\r\n");
    if (result != SP_PROXY_OK) {
        put_text(wr, result == SP_PROXY_METHOD ? "Allow: CONNECT\r\n" : "");
        put_text(wr, "Content-Type: text/plain\r\nConnection: close\r\nContent-Length: ");
        put_number(wr, strlen(results[result].text) + 1);
        put_text(wr, "\r\n");
    }
    put_text(wr, "\r\n");
    if (result == SP_PROXY_OK)
        return;
    put_text(wr, results[result].text);
    sp_wr_u8(wr, '\n');
}

size_t sp_proxy_answer(enum sp_proxy_kind kind, bool greeted, enum sp_proxy_result result, uint8_t *out, size_t cap) {
    static const uint8_t zeros[6];
    struct sp_wr wr = sp_wr_init(out, cap);
    if (kind == SP_PROXY_HTTP) {
        http_answer(&wr, result);
    } else if (kind == SP_PROXY_SOCKS && !greeted) {
        sp_wr_u8(&wr, SOCKS_VERSION);
        sp_wr_u8(&wr, SOCKS_NONE);
    } else if (kind == SP_PROXY_SOCKS) {
        sp_wr_u8(&wr, SOCKS_VERSION);
        sp_wr_u8(&wr, results[result].socks);
        sp_wr_u8(&wr, 0);
        sp_wr_u8(&wr, SOCKS_IPV4);
        sp_wr_bytes(&wr, zeros, sizeof zeros);
    }
    SP_ASSERT(wr.err == SP_OK);
    return sp_wr_len(&wr);
}
