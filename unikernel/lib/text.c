#include "unikernel/lib/text.h"

#include <string.h>

void spx_text_clear(struct spx_text *t) {
    t->len = 0;
    t->cut = false;
    t->s[0] = 0;
}

void spx_text_bytes(struct spx_text *t, const void *bytes, size_t len) {
    size_t room = sizeof t->s - 1 - t->len;
    if (len > room) {
        t->cut = true;
        len = room;
    }
    memcpy(t->s + t->len, bytes, len);
    t->len += len;
    t->s[t->len] = 0;
}

void spx_text_add(struct spx_text *t, const char *more) {
    spx_text_bytes(t, more, strlen(more));
}

void spx_text_number(struct spx_text *t, uint64_t n) {
    char digits[20];
    size_t at = sizeof digits;
    do
        digits[--at] = (char)('0' + n % 10);
    while ((n /= 10) != 0);
    spx_text_bytes(t, digits + at, sizeof digits - at);
}

bool spx_text_same(const char *a, const char *b) {
    size_t len = strlen(a);
    return strlen(b) == len && memcmp(a, b, len) == 0;
}

bool spx_text_parse(const void *text, size_t len, uint64_t *ret) {
    const char *s = text;
    uint64_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (s[i] < '0' || s[i] > '9' || n > (UINT64_MAX - 9) / 10)
            return false;
        n = n * 10 + (uint64_t)(s[i] - '0');
    }
    if (len == 0)
        return false;
    *ret = n;
    return true;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool spx_text_mac(const void *text, size_t len, uint8_t ret[6]) {
    const char *s = text;
    uint8_t mac[6];
    if (len != 17)
        return false;
    for (size_t i = 0; i < 6; i++) {
        int high = hex_digit(s[3 * i]), low = hex_digit(s[3 * i + 1]);
        if (high < 0 || low < 0 || (i < 5 && s[3 * i + 2] != ':'))
            return false;
        mac[i] = (uint8_t)(high << 4 | low);
    }
    memcpy(ret, mac, 6);
    return true;
}
