#include "signpostd/core/policy.h"

bool sp_type_is_managed(uint16_t type) {
    switch (type) {
    case SP_TYPE_RRSIG:
    case SP_TYPE_NSEC:
    case SP_TYPE_DNSKEY:
    case SP_TYPE_NSEC3:
    case SP_TYPE_NSEC3PARAM:
    case SP_TYPE_CDS:
    case SP_TYPE_CDNSKEY:
        return true;
    default:
        return false;
    }
}

/* ---- parsing ---- */

struct words {
    const char *pos, *end;
};

static bool word_next(struct words *w, char separator, const char **ret, size_t *len) {
    while (w->pos < w->end && *w->pos == separator)
        w->pos++;
    if (w->pos == w->end)
        return false;
    *ret = w->pos;
    while (w->pos < w->end && *w->pos != separator)
        w->pos++;
    *len = (size_t)(w->pos - *ret);
    return true;
}

/* With a final dot, or ending in the zone's name: absolute; else below the apex. */
static sp_err name_parse(struct sp_name *ret, const struct sp_name *apex, const char *text, size_t len) {
    SP_TRY(sp_name_from_text(ret, text, len, NULL));
    if (text[len - 1] != '.' && !sp_name_under(ret, apex))
        SP_TRY(sp_name_from_text(ret, text, len, apex));
    sp_name_lower(ret);
    return sp_name_under(ret, apex) ? SP_OK : SP_ERR_RANGE;
}

static sp_err names_parse(struct sp_policy *p, const struct sp_name *apex, struct words list, const char **what) {
    const char *text;
    for (size_t len; word_next(&list, ',', &text, &len);) {
        if (len == 1 && text[0] == '*') {
            p->any_name = true;
            continue;
        }
        if (p->names == SP_POLICY_NAMES) {
            *what = "more than 16 names in the policy";
            return SP_ERR_FORM;
        }
        struct sp_policy_name *n = &p->name[p->names++];
        n->below = len > 2 && text[0] == '*' && text[1] == '.';
        if (n->below)
            text += 2, len -= 2;
        if (name_parse(&n->name, apex, text, len) != SP_OK) {
            *what = "a name in the policy is malformed or outside the zone";
            return SP_ERR_FORM;
        }
    }
    return SP_OK;
}

static sp_err types_parse(struct sp_policy *p, struct words list, const char **what) {
    const char *text;
    for (size_t len; word_next(&list, ',', &text, &len);) {
        uint16_t type;
        if (p->types == SP_POLICY_TYPES || sp_type_from_text(text, len, &type) != SP_OK || sp_type_is_meta(type)) {
            *what = "a type in the policy is unknown, or there are more than 32";
            return SP_ERR_FORM;
        }
        if (sp_type_is_managed(type)) {
            *what = "the policy lists a type that the signpost itself makes";
            return SP_ERR_FORM;
        }
        p->type[p->types++] = type;
    }
    if (p->types > 0)
        return SP_OK;
    *what = "types= without a type"; /* leaving it out is how to say the default */
    return SP_ERR_FORM;
}

sp_err sp_policy_parse(struct sp_policy *ret, const struct sp_name *apex, const char *text, size_t len,
                       const char **ret_what) {
    memset(ret, 0, sizeof *ret);
    if (len > 1024) {
        *ret_what = "the policy is longer than 1024 bytes";
        return SP_ERR_FORM;
    }
    struct words all = {text, text + len};
    const char *word;
    for (size_t n; word_next(&all, ' ', &word, &n);) {
        if (n == 4 && memcmp(word, "axfr", 4) == 0) {
            ret->axfr = true;
        } else if (n > 6 && memcmp(word, "names=", 6) == 0) {
            SP_TRY(names_parse(ret, apex, (struct words){word + 6, word + n}, ret_what));
        } else if (n > 6 && memcmp(word, "types=", 6) == 0) {
            SP_TRY(types_parse(ret, (struct words){word + 6, word + n}, ret_what));
        } else {
            *ret_what = "a policy holds names=..., types=... and axfr, separated by spaces";
            return SP_ERR_FORM;
        }
    }
    return SP_OK;
}

/* ---- asking ---- */

bool sp_policy_name(const struct sp_policy *p, const struct sp_name *name) {
    if (p->any_name)
        return true;
    for (unsigned i = 0; i < p->names; i++) {
        const struct sp_policy_name *n = &p->name[i];
        if (n->below ? sp_name_under(name, &n->name) && name->labels > n->name.labels : sp_name_equal(name, &n->name))
            return true;
    }
    return false;
}

bool sp_policy_lists(const struct sp_policy *p, uint16_t type) {
    for (unsigned i = 0; i < p->types; i++)
        if (p->type[i] == type)
            return true;
    return false;
}

bool sp_policy_type(const struct sp_policy *p, uint16_t type, bool apex) {
    if (p->types > 0)
        return sp_policy_lists(p, type);
    return type != SP_TYPE_KEY && !(apex && (type == SP_TYPE_SOA || type == SP_TYPE_NS));
}
