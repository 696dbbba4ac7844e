/* IP addresses as text. RFC 4291 2.2, RFC 5952. */
#include "proto/dns/text.h"

void sp_text_ip4(struct sp_wr *wr, const uint8_t ip[4]) {
    for (unsigned i = 0; i < 4; i++) {
        if (i > 0)
            sp_wr_u8(wr, '.');
        sp_text_u32(wr, ip[i]);
    }
}

sp_err sp_text_to_ip4(const char *text, size_t len, uint8_t ret[4]) {
    size_t at = 0;
    for (unsigned i = 0; i < 4; i++) {
        size_t n = 0;
        while (at + n < len && text[at + n] != '.')
            n++;
        uint64_t v;
        if (n > 3 || (n > 1 && text[at] == '0') || sp_text_to_u64(text + at, n, 255, &v) != SP_OK)
            return SP_ERR_FORM;
        ret[i] = (uint8_t)v;
        at += n;
        if (i < 3 && (at == len || text[at++] != '.'))
            return SP_ERR_FORM;
    }
    return at == len ? SP_OK : SP_ERR_FORM;
}

static void hex_group(struct sp_wr *wr, unsigned v) {
    bool begun = false;
    for (int shift = 12; shift >= 0; shift -= 4) {
        unsigned digit = v >> shift & 15;
        begun |= digit != 0 || shift == 0;
        if (begun)
            sp_wr_u8(wr, (uint8_t) "0123456789abcdef"[digit]);
    }
}

/* RFC 5952 4: lower case, the longest run of two or more zero groups (the first of equals) as "::". */
void sp_text_ip6(struct sp_wr *wr, const uint8_t ip[16]) {
    unsigned best = 8, best_len = 1;
    for (unsigned i = 0; i < 8; i++) {
        unsigned n = 0;
        while (i + n < 8 && sp_get_u16(ip + (i + n) * 2) == 0)
            n++;
        if (n > best_len) {
            best = i;
            best_len = n;
        }
    }
    for (unsigned i = 0; i < 8; i++) {
        if (i == best) {
            sp_text_string(wr, "::");
            i += best_len - 1;
            continue;
        }
        if (i > 0 && i != best + best_len)
            sp_wr_u8(wr, ':');
        hex_group(wr, sp_get_u16(ip + i * 2));
    }
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Length of the group of hex digits at text, at most 4; its value in *ret. */
static size_t read_group(const char *text, size_t len, unsigned *ret) {
    size_t n = 0;
    *ret = 0;
    for (; n < len && n < 4 && hex_digit(text[n]) >= 0; n++)
        *ret = *ret << 4 | (unsigned)hex_digit(text[n]);
    return n;
}

sp_err sp_text_to_ip6(const char *text, size_t len, uint8_t ret[16]) {
    uint8_t ip[16] = {0};
    size_t at = 0, n = 0, gap = 17; /* n bytes so far; the gap stands before byte `gap` */
    if (len >= 2 && text[0] == ':' && text[1] == ':') {
        gap = 0;
        at = 2;
    }
    while (at < len) {
        unsigned v;
        size_t digits = read_group(text + at, len - at, &v);
        if (at + digits < len && text[at + digits] == '.') {
            if (n > 12 || sp_text_to_ip4(text + at, len - at, ip + n) != SP_OK)
                return SP_ERR_FORM;
            n += 4;
            break;
        }
        if (digits == 0 || n > 14)
            return SP_ERR_FORM;
        sp_put_u16(ip + n, (uint16_t)v);
        n += 2;
        at += digits;
        if (at == len)
            break;
        if (text[at++] != ':' || at == len)
            return SP_ERR_FORM;
        if (text[at] == ':') {
            if (gap != 17)
                return SP_ERR_FORM;
            gap = n;
            at++;
        }
    }
    if (gap == 17 ? n != 16 : n > 14)
        return SP_ERR_FORM;
    memset(ret, 0, 16);
    if (gap == 17)
        gap = n;
    memcpy(ret, ip, gap);
    memcpy(ret + 16 - (n - gap), ip + gap, n - gap);
    return SP_OK;
}
