/* Hex, base64 and base32hex. RFC 4648. */
#include "proto/dns/text.h"

static const char digits16[] = "0123456789ABCDEF";
static const char digits32[] = "0123456789ABCDEFGHIJKLMNOPQRSTUV";
static const char digits64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void encode(struct sp_wr *wr, const uint8_t *data, size_t len, const char *digits, unsigned width) {
    uint32_t acc = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < len; i++) {
        acc = acc << 8 | data[i];
        for (bits += 8; bits >= width; bits -= width)
            sp_wr_u8(wr, (uint8_t)digits[acc >> (bits - width) & ((1u << width) - 1)]);
        acc &= (1u << bits) - 1;
    }
    if (bits > 0)
        sp_wr_u8(wr, (uint8_t)digits[acc << (width - bits) & ((1u << width) - 1)]);
}

void sp_text_hex(struct sp_wr *wr, const uint8_t *data, size_t len) {
    encode(wr, data, len, digits16, 4);
}

void sp_text_base32hex(struct sp_wr *wr, const uint8_t *data, size_t len) {
    encode(wr, data, len, digits32, 5);
}

void sp_text_base64(struct sp_wr *wr, const uint8_t *data, size_t len) {
    encode(wr, data, len, digits64, 6);
    for (size_t n = len % 3; n > 0 && n < 3; n++)
        sp_wr_u8(wr, '=');
}

static int digit_value(char c, unsigned width) {
    if (width == 6) {
        if (c >= 'A' && c <= 'Z')
            return c - 'A';
        if (c >= 'a' && c <= 'z')
            return c - 'a' + 26;
        if (c >= '0' && c <= '9')
            return c - '0' + 52;
        return c == '+' ? 62 : c == '/' ? 63 : -1;
    }
    int v = -1;
    if (c >= '0' && c <= '9')
        v = c - '0';
    else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'v')
        v = (c | 0x20) - 'a' + 10;
    return v < 1 << width ? v : -1;
}

sp_err sp_text_decode(struct sp_text_decode *d, const char *text, size_t len, struct sp_wr *ret) {
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '=' && d->bits_per_digit == 6) {
            d->pads++;
            continue;
        }
        int v = digit_value(text[i], d->bits_per_digit);
        if (v < 0 || d->pads > 0)
            return SP_ERR_FORM;
        d->acc = d->acc << d->bits_per_digit | (uint32_t)v;
        d->bits += d->bits_per_digit;
        d->digits++;
        if (d->bits >= 8) {
            d->bits -= 8;
            sp_wr_u8(ret, (uint8_t)(d->acc >> d->bits));
        }
        d->acc &= (1u << d->bits) - 1;
    }
    return ret->err;
}

sp_err sp_text_decode_end(const struct sp_text_decode *d) {
    if (d->bits >= d->bits_per_digit || d->acc != 0)
        return SP_ERR_FORM;
    if (d->bits_per_digit == 6 && (d->pads > 2 || (d->digits + d->pads) % 4 != 0))
        return SP_ERR_FORM;
    return SP_OK;
}
