#include "proto/nat/stun.h"

#include "proto/nat/addr.h"

#define BAD_REQUEST       400
#define UNKNOWN_ATTRIBUTE 420
#define CHANGE_REQUEST    0x0003
#define ATTR_HEAD         4
#define PADDING_MIN       (ATTR_HEAD + 4)

/* A listening address without an IP stands for every one that the host has: then only ports are known to differ. */
static bool wildcard(const struct sp_addr *a) {
    static const uint8_t zero[16];
    return memcmp(a->ip, zero, sizeof zero) == 0;
}

/* The first listening address whose IP is `ip`'s (or is not, with other_ip) and whose port is `port` (or is not, with
 * other_port). */
static bool find(const struct sp_addr *addrs, size_t n, const struct sp_addr *ip, bool other_ip, uint16_t port,
                 bool other_port, struct sp_addr *ret) {
    for (size_t i = 0; i < n; i++) {
        bool any = wildcard(&addrs[i]);
        if (addrs[i].family != ip->family || (addrs[i].port == port) == other_port ||
            (any ? other_ip : sp_nat_same_ip(&addrs[i], ip) == other_ip))
            continue;
        *ret = addrs[i];
        if (any)
            memcpy(ret->ip, ip->ip, sizeof ret->ip);
        return true;
    }
    return false;
}

/* Where the answer leaves from. RFC 5780 6.1: all four combinations of two addresses and two ports; changes of one part
 * go to that part of OTHER-ADDRESS, where there is one. */
static bool choose_source(const struct sp_stun *req, const struct sp_addr *dst, const struct sp_addr *other,
                          const struct sp_addr *addrs, size_t n, struct sp_addr *ret) {
    *ret = *dst;
    if (!req->change_ip && !req->change_port)
        return true;
    bool pair = other->family != 0;
    if (req->change_ip && req->change_port) {
        *ret = *other;
        return pair;
    }
    if (req->change_ip)
        return (pair && find(addrs, n, other, false, dst->port, false, ret)) ||
               find(addrs, n, dst, true, dst->port, false, ret);
    return (pair && find(addrs, n, dst, false, other->port, false, ret)) ||
           find(addrs, n, dst, false, dst->port, true, ret);
}

/* Never more bytes than twice the request's, with headers of IP and UDP counted (28 or 48) and, for IPv6, four more.
 * All that an answer carries fits into that, but for padding, which is cut. */
static size_t write_within(struct sp_stun *m, size_t request, unsigned family, uint8_t *out, size_t cap) {
    size_t bound = 2 * request + (family == 4 ? 16 : 52), padding = m->padding;
    if (cap > bound)
        cap = bound;
    size_t len = sp_stun_write(m, out, cap);
    if (len > 0 || padding == 0)
        return len;
    m->padding = 0;
    len = sp_stun_write(m, out, cap);
    size_t room = len > 0 && cap - len >= PADDING_MIN ? (cap - len - ATTR_HEAD) / 4 * 4 : 0;
    m->padding = (uint16_t)(padding < room ? padding : room);
    return m->padding > 0 ? sp_stun_write(m, out, cap) : len;
}

size_t sp_stun_serve(const uint8_t *data, size_t len, const struct sp_addr *src, const struct sp_addr *dst,
                     const struct sp_addr *addrs, size_t n_addrs, uint8_t *out, size_t cap, struct sp_addr *ret_src,
                     struct sp_addr *ret_dst) {
    struct sp_stun req;
    /* What is malformed or of another method is dropped. RFC 8489 6.3 */
    if (sp_stun_read(&req, data, len) != SP_OK || req.method != SP_STUN_BINDING || req.class != SP_STUN_REQUEST)
        return 0;
    struct sp_stun m = {.method = req.method, .class = SP_STUN_ERROR, .fingerprint = req.fingerprint};
    memcpy(m.id, req.id, sizeof m.id);
    struct sp_addr other = {0};
    if (!find(addrs, n_addrs, dst, true, dst->port, true, &other))
        other.family = 0;
    *ret_src = *dst;
    *ret_dst = *src;
    if (req.unknown_count > 0) {
        m.error = UNKNOWN_ATTRIBUTE;
        memcpy(m.unknown, req.unknown, sizeof m.unknown);
        m.unknown_count = req.unknown_count;
    } else if (!choose_source(&req, dst, &other, addrs, n_addrs, ret_src)) {
        m.error = UNKNOWN_ATTRIBUTE; /* without such an address this is a server that does not know the attribute */
        m.unknown[m.unknown_count++] = CHANGE_REQUEST;
        *ret_src = *dst;
    } else if (req.response_port != 0 && req.padding != 0) {
        m.error = BAD_REQUEST; /* RFC 5780 7.6 */
        *ret_src = *dst;
    } else {
        m.class = SP_STUN_SUCCESS;
        m.mapped = *src;
        m.response_origin = *ret_src;
        m.other_address = other;
        m.padding = req.padding;
        if (req.response_port != 0)
            ret_dst->port = req.response_port;
    }
    return write_within(&m, len, src->family, out, cap);
}
