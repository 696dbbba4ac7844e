#include "proto/dns/text.h"

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

int sp_text_char(const char *text, size_t len, size_t *i) {
    if (text[*i] != '\\')
        return (uint8_t)text[(*i)++];
    if (len - *i < 2)
        return -1;
    if (!is_digit(text[*i + 1])) {
        *i += 2;
        return (uint8_t)text[*i - 1];
    }
    if (len - *i < 4 || !is_digit(text[*i + 2]) || !is_digit(text[*i + 3]))
        return -1;
    int v = (text[*i + 1] - '0') * 100 + (text[*i + 2] - '0') * 10 + (text[*i + 3] - '0');
    *i += 4;
    return v <= 255 ? v : -1;
}

static bool contains(const char *set, uint8_t c) {
    for (; *set != 0; set++) {
        if ((uint8_t)*set == c)
            return true;
    }
    return false;
}

void sp_text_escaped(struct sp_wr *wr, uint8_t c, const char *special) {
    bool listed = contains(special, c);
    if (c < 0x20 || c > 0x7E || (c == ' ' && listed)) {
        uint8_t *p = sp_wr_reserve(wr, 4);
        if (p == NULL)
            return;
        p[0] = '\\';
        p[1] = (uint8_t)('0' + c / 100);
        p[2] = (uint8_t)('0' + c / 10 % 10);
        p[3] = (uint8_t)('0' + c % 10);
        return;
    }
    if (listed)
        sp_wr_u8(wr, '\\');
    sp_wr_u8(wr, c);
}

void sp_text_string(struct sp_wr *wr, const char *text) {
    sp_wr_bytes(wr, text, strlen(text));
}

void sp_text_u64(struct sp_wr *wr, uint64_t v) {
    char digits[20];
    size_t n = sizeof digits;
    do {
        digits[--n] = (char)('0' + v % 10);
        v /= 10;
    } while (v != 0);
    sp_wr_bytes(wr, digits + n, sizeof digits - n);
}

void sp_text_u32(struct sp_wr *wr, uint32_t v) {
    sp_text_u64(wr, v);
}

bool sp_text_same(const char *text, size_t len, const char *word) {
    for (size_t i = 0; i < len; i++, word++) {
        char a = text[i], b = *word;
        if (a >= 'a' && a <= 'z')
            a = (char)(a - 0x20);
        if (b >= 'a' && b <= 'z')
            b = (char)(b - 0x20);
        if (b == 0 || a != b)
            return false;
    }
    return *word == 0;
}

sp_err sp_text_to_u64(const char *text, size_t len, uint64_t max, uint64_t *ret) {
    uint64_t v = 0;
    if (len == 0)
        return SP_ERR_FORM;
    for (size_t i = 0; i < len; i++) {
        if (!is_digit(text[i]))
            return SP_ERR_FORM;
        uint64_t digit = (uint64_t)(text[i] - '0');
        if (v > (max - digit) / 10 || digit > max)
            return SP_ERR_RANGE;
        v = v * 10 + digit;
    }
    *ret = v;
    return SP_OK;
}

static uint32_t unit_seconds(char c) {
    switch (c | 0x20) {
    case 'w':
        return 7 * 86400;
    case 'd':
        return 86400;
    case 'h':
        return 3600;
    case 'm':
        return 60;
    case 's':
        return 1;
    default:
        return 0;
    }
}

sp_err sp_text_to_ttl(const char *text, size_t len, uint32_t *ret) {
    uint64_t sum = 0;
    bool units = false;
    for (size_t i = 0; i < len;) {
        size_t digits = 0;
        while (i + digits < len && is_digit(text[i + digits]))
            digits++;
        uint64_t v;
        SP_TRY(sp_text_to_u64(text + i, digits, INT32_MAX, &v));
        i += digits;
        uint32_t unit = 1;
        if (i < len) {
            unit = unit_seconds(text[i++]);
            units = true;
        } else if (units) {
            return SP_ERR_FORM;
        }
        if (unit == 0)
            return SP_ERR_FORM;
        sum += v * unit;
        if (sum > INT32_MAX)
            return SP_ERR_RANGE;
    }
    if (len == 0)
        return SP_ERR_FORM;
    *ret = (uint32_t)sum;
    return SP_OK;
}

/* Days since 1970 of a date of the Gregorian calendar, and back: years begin in March, so that leap days come last. */
static int64_t days_from_date(unsigned year, unsigned month, unsigned day) {
    int64_t y = (int64_t)year - (month <= 2);
    int64_t m = month > 2 ? month - 3 : month + 9;
    return y * 365 + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + (int64_t)day - 1 - 719468;
}

static void date_from_days(uint32_t days, unsigned *year, unsigned *month, unsigned *day) {
    unsigned y = 1970 + days / 366;
    while (days_from_date(y + 1, 1, 1) <= days)
        y++;
    unsigned m = 1;
    while (m < 12 && days_from_date(y, m + 1, 1) <= days)
        m++;
    *year = y;
    *month = m;
    *day = (unsigned)(days - days_from_date(y, m, 1)) + 1;
}

static void put_digits(uint8_t *p, unsigned v, unsigned n) {
    for (; n > 0; n--, v /= 10)
        p[n - 1] = (uint8_t)('0' + v % 10);
}

void sp_text_time(struct sp_wr *wr, uint32_t v) {
    unsigned year, month, day;
    date_from_days(v / 86400, &year, &month, &day);
    uint8_t *p = sp_wr_reserve(wr, 14);
    if (p == NULL)
        return;
    put_digits(p, year, 4);
    put_digits(p + 4, month, 2);
    put_digits(p + 6, day, 2);
    put_digits(p + 8, v % 86400 / 3600, 2);
    put_digits(p + 10, v % 3600 / 60, 2);
    put_digits(p + 12, v % 60, 2);
}

static unsigned two(const char *p) {
    return (unsigned)(p[0] - '0') * 10 + (unsigned)(p[1] - '0');
}

sp_err sp_text_to_time(const char *text, size_t len, uint32_t *ret) {
    uint64_t v;
    if (len != 14) {
        SP_TRY(sp_text_to_u64(text, len, UINT32_MAX, &v));
        *ret = (uint32_t)v;
        return SP_OK;
    }
    SP_TRY(sp_text_to_u64(text, len, UINT64_MAX, &v));
    unsigned year = two(text) * 100 + two(text + 2), month = two(text + 4), day = two(text + 6);
    unsigned hour = two(text + 8), minute = two(text + 10), second = two(text + 12);
    if (year < 1970 || month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 59)
        return SP_ERR_RANGE;
    int64_t month_end = month == 12 ? days_from_date(year + 1, 1, 1) : days_from_date(year, month + 1, 1);
    int64_t days = days_from_date(year, month, day);
    if (days >= month_end)
        return SP_ERR_RANGE;
    uint64_t seconds = (uint64_t)days * 86400 + hour * 3600 + minute * 60 + second;
    if (seconds > UINT32_MAX)
        return SP_ERR_RANGE;
    *ret = (uint32_t)seconds;
    return SP_OK;
}
