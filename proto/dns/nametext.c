/* Names as text. RFC 1035 5.1, RFC 4343 2.1. */
#include "proto/dns/name.h"
#include "proto/dns/text.h"

/* Appends origin to the labels gathered so far. */
static sp_err finish(struct sp_name *ret, unsigned len, unsigned labels, const struct sp_name *origin) {
    struct sp_name root;
    if (origin == NULL) {
        sp_name_root(&root);
        origin = &root;
    }
    if (len + origin->len > SP_NAME_MAX)
        return SP_ERR_RANGE;
    memmove(ret->wire + len, origin->wire, origin->len);
    ret->len = (uint8_t)(len + origin->len);
    ret->labels = (uint8_t)(labels + origin->labels);
    return SP_OK;
}

static sp_err parse(struct sp_name *ret, const char *text, size_t len, const struct sp_name *origin) {
    if (len == 0)
        return SP_ERR_FORM;
    if (len == 1 && text[0] == '@')
        return finish(ret, 0, 0, origin);
    if (len == 1 && text[0] == '.')
        return finish(ret, 0, 0, NULL);
    unsigned at = 0, label = 0, labels = 0; /* the label's length byte stands at `at` */
    for (size_t i = 0; i < len;) {
        if (text[i] == '.') {
            if (label == 0)
                return SP_ERR_FORM;
            ret->wire[at] = (uint8_t)label;
            at += label + 1;
            labels++;
            label = 0;
            i++;
            continue;
        }
        int c = sp_text_char(text, len, &i);
        if (c < 0)
            return SP_ERR_FORM;
        if (label == SP_LABEL_MAX || at + label + 2 >= SP_NAME_MAX)
            return SP_ERR_RANGE;
        ret->wire[at + ++label] = (uint8_t)c;
    }
    if (label == 0)
        return finish(ret, at, labels, NULL);
    ret->wire[at] = (uint8_t)label;
    return finish(ret, at + label + 1, labels + 1, origin);
}

sp_err sp_name_from_text(struct sp_name *ret, const char *text, size_t len, const struct sp_name *origin) {
    struct sp_name made; /* origin may be ret */
    SP_TRY(parse(&made, text, len, origin));
    memcpy(ret->wire, made.wire, made.len);
    ret->len = made.len;
    ret->labels = made.labels;
    return SP_OK;
}

size_t sp_name_to_text(const struct sp_name *name, char ret[SP_NAME_TEXT_MAX]) {
    struct sp_wr wr = sp_wr_init(ret, SP_NAME_TEXT_MAX - 1);
    sp_text_name(&wr, name);
    SP_ASSERT(wr.err == SP_OK);
    *wr.pos = 0;
    return sp_wr_len(&wr);
}

void sp_text_name(struct sp_wr *wr, const struct sp_name *name) {
    const uint8_t *p = name->wire;
    if (name->labels == 0)
        sp_wr_u8(wr, '.');
    for (unsigned i = 0; i < name->labels; i++) {
        unsigned n = *p++;
        for (; n > 0; n--)
            sp_text_escaped(wr, *p++, ".\\\"();@$ ");
        sp_wr_u8(wr, '.');
    }
}
