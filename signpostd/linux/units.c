#include "signpostd/linux/units.h"

#include <stddef.h>
#include <string.h>

/* The digits at the start; *rest is what follows. */
static sp_err digits(uint64_t *ret, const char *text, const char **rest) {
    uint64_t v = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(v, UINT64_C(10), &v) || __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
            return SP_ERR_RANGE;
    if (p == text)
        return SP_ERR_FORM;
    *ret = v;
    *rest = p;
    return SP_OK;
}

struct unit {
    const char *name;
    uint64_t factor;
};

static sp_err scaled(uint64_t *ret, const char *text, const struct unit *units, size_t n) {
    uint64_t v;
    const char *rest;
    SP_TRY(digits(&v, text, &rest));
    for (size_t i = 0; i < n; i++)
        if (strcmp(rest, units[i].name) == 0)
            return __builtin_mul_overflow(v, units[i].factor, ret) ? SP_ERR_RANGE : SP_OK;
    return SP_ERR_FORM;
}

sp_err spl_number_parse(uint64_t *ret, const char *text) {
    static const struct unit units[] = {{"", 1}};
    return scaled(ret, text, units, 1);
}

sp_err spl_size_parse(uint64_t *ret, const char *text) {
    static const struct unit units[] = {{"", 1}, {"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}};
    return scaled(ret, text, units, sizeof units / sizeof units[0]);
}

sp_err spl_duration_parse(sp_duration *ret, const char *text) {
    static const struct unit units[] = {{"", SP_SEC},  {"ms", SP_MS},  {"s", SP_SEC},
                                        {"m", SP_MIN}, {"h", SP_HOUR}, {"d", SP_DAY}};
    return scaled(ret, text, units, sizeof units / sizeof units[0]);
}
