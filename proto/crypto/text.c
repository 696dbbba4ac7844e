#include "proto/crypto/crypto.h"

/* RFC 4648. Keys pass through here, so digits are looked up by a scan whose time does not depend on them. */

struct radix {
    const char *digits; /* 1 << bits of them */
    unsigned bits;      /* a digit */
    unsigned group;     /* digits that padding fills up; 1: none */
    bool any_case;      /* digits are upper case, text may be either */
};

static const struct radix base64 = {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", 6, 4, false};
static const struct radix base64url = {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", 6, 1, false};
static const struct radix base32hex = {"0123456789ABCDEFGHIJKLMNOPQRSTUV", 5, 1, true};
static const struct radix base16 = {"0123456789ABCDEF", 4, 1, true};

/* All ones when a == b, else zero; both below 256. */
static unsigned mask_equal(unsigned a, unsigned b) {
    return (((a ^ b) - 1u) >> 8) & 0xff;
}

static char digit_of(const struct radix *r, unsigned value) {
    unsigned c = 0;
    for (unsigned i = 0; i < 1u << r->bits; i++)
        c |= mask_equal(i, value) & (unsigned char)r->digits[i];
    return (char)c;
}

/* The value of a digit, or 255. */
static unsigned value_of(const struct radix *r, unsigned char c) {
    if (r->any_case && c >= 'a' && c <= 'z')
        c = (unsigned char)(c - 'a' + 'A');
    unsigned value = 0, known = 0;
    for (unsigned i = 0; i < 1u << r->bits; i++) {
        unsigned mask = mask_equal(c, (unsigned char)r->digits[i]);
        value |= mask & i;
        known |= mask;
    }
    return known != 0 ? value : 255;
}

static size_t encode(const struct radix *r, const uint8_t *data, size_t len, char *ret, size_t cap) {
    if (len > SIZE_MAX / 16)
        return 0;
    size_t digits = (len * 8 + r->bits - 1) / r->bits;
    size_t total = (digits + r->group - 1) / r->group * r->group, n = 0;
    if (total > cap)
        return 0;
    unsigned acc = 0, have = 0;
    for (size_t i = 0; i < len; i++) {
        acc = (acc << 8 | data[i]) & 0xffff;
        for (have += 8; have >= r->bits; have -= r->bits)
            ret[n++] = digit_of(r, acc >> (have - r->bits) & ((1u << r->bits) - 1));
    }
    if (have > 0)
        ret[n++] = digit_of(r, acc << (r->bits - have) & ((1u << r->bits) - 1));
    while (n < total)
        ret[n++] = '=';
    return total;
}

static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Strict: padding exactly where it belongs, no digits after it, no stray bits (RFC 4648 3.5). */
static sp_err decode(const struct radix *r, const char *text, size_t len, uint8_t *ret, size_t cap, size_t *ret_len) {
    unsigned acc = 0, have = 0;
    size_t digits = 0, pads = 0, n = 0;
    for (size_t i = 0; i < len; i++) {
        if (is_space(text[i]))
            continue;
        if (text[i] == '=' && r->group > 1) {
            pads++;
            continue;
        }
        unsigned value = value_of(r, (unsigned char)text[i]);
        if (value == 255 || pads > 0)
            return SP_ERR_FORM;
        digits++;
        acc = (acc << r->bits | value) & 0xffff;
        have += r->bits;
        if (have >= 8) {
            have -= 8;
            if (n == cap)
                return SP_ERR_SPACE;
            ret[n++] = (uint8_t)(acc >> have);
        }
    }
    if (have >= r->bits || (acc & ((1u << have) - 1)) != 0)
        return SP_ERR_FORM;
    if (r->group > 1 && ((digits + pads) % r->group != 0 || pads >= r->group))
        return SP_ERR_FORM;
    *ret_len = n;
    return SP_OK;
}

size_t sp_base64_encode(const uint8_t *data, size_t len, char *ret, size_t cap) {
    return encode(&base64, data, len, ret, cap);
}

sp_err sp_base64_decode(const char *text, size_t len, uint8_t *ret, size_t cap, size_t *ret_len) {
    return decode(&base64, text, len, ret, cap, ret_len);
}

size_t sp_base64url_encode(const uint8_t *data, size_t len, char *ret, size_t cap) {
    return encode(&base64url, data, len, ret, cap);
}

sp_err sp_base64url_decode(const char *text, size_t len, uint8_t *ret, size_t cap, size_t *ret_len) {
    return decode(&base64url, text, len, ret, cap, ret_len);
}

size_t sp_base32hex_encode(const uint8_t *data, size_t len, char *ret, size_t cap) {
    return encode(&base32hex, data, len, ret, cap);
}

sp_err sp_base32hex_decode(const char *text, size_t len, uint8_t *ret, size_t cap, size_t *ret_len) {
    return decode(&base32hex, text, len, ret, cap, ret_len);
}

size_t sp_hex_encode(const uint8_t *data, size_t len, char *ret, size_t cap) {
    return encode(&base16, data, len, ret, cap);
}

sp_err sp_hex_decode(const char *text, size_t len, uint8_t *ret, size_t cap, size_t *ret_len) {
    return decode(&base16, text, len, ret, cap, ret_len);
}
