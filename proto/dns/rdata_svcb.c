/* SvcParams in wire form. RFC 9460 2.2, 7, 8; RFC 9461 5 (dohpath); RFC 9540 4 (ohttp). */
#include "proto/dns/svcb.h"
#include "proto/dns/rdata.h"

static const struct sp_param_row rows[] = {
    {SP_PARAM_MANDATORY, "mandatory", SP_PARAM_KEYS},
    {SP_PARAM_ALPN, "alpn", SP_PARAM_STRINGS},
    {SP_PARAM_NO_DEFAULT, "no-default-alpn", SP_PARAM_EMPTY},
    {SP_PARAM_PORT, "port", SP_PARAM_U16},
    {SP_PARAM_IP4, "ipv4hint", SP_PARAM_IP4S},
    {SP_PARAM_ECH, "ech", SP_PARAM_BASE64},
    {SP_PARAM_IP6, "ipv6hint", SP_PARAM_IP6S},
    {SP_PARAM_DOHPATH, "dohpath", SP_PARAM_TEXT},
    {SP_PARAM_OHTTP, "ohttp", SP_PARAM_EMPTY},
};

const struct sp_param_row *sp_param_row(uint16_t key) {
    return key < sizeof rows / sizeof rows[0] ? &rows[key] : NULL;
}

static bool strings_good(const uint8_t *p, size_t len) {
    struct sp_rd rd = sp_rd_init(p, len);
    do {
        size_t n = sp_rd_u8(&rd);
        if (n == 0)
            return false;
        (void)sp_rd_bytes(&rd, n);
    } while (sp_rd_left(&rd) > 0);
    return rd.err == SP_OK;
}

/* RFC 9460 8: ascending, without repeats, never "mandatory" itself. */
static bool keys_good(const uint8_t *p, size_t len) {
    uint16_t last = SP_PARAM_MANDATORY;
    for (size_t i = 0; i + 2 <= len; i += 2) {
        uint16_t key = sp_get_u16(p + i);
        if (key <= last)
            return false;
        last = key;
    }
    return len > 0 && len % 2 == 0;
}

static bool value_good(uint16_t key, const uint8_t *p, size_t len) {
    const struct sp_param_row *row = sp_param_row(key);
    if (row == NULL)
        return true;
    switch (row->form) {
    case SP_PARAM_KEYS:
        return keys_good(p, len);
    case SP_PARAM_STRINGS:
        return strings_good(p, len);
    case SP_PARAM_EMPTY:
        return len == 0;
    case SP_PARAM_U16:
        return len == 2;
    case SP_PARAM_IP4S:
        return len > 0 && len % 4 == 0;
    case SP_PARAM_IP6S:
        return len > 0 && len % 16 == 0;
    case SP_PARAM_BASE64:
    case SP_PARAM_TEXT:
        return len > 0;
    }
    return false;
}

bool sp_param_next(struct sp_rd *rd, uint16_t *key, struct sp_rd *value) {
    if (sp_rd_left(rd) == 0)
        return false;
    *key = sp_rd_u16(rd);
    *value = sp_rd_sub(rd, sp_rd_u16(rd));
    return rd->err == SP_OK;
}

/* Every key that "mandatory" lists stands in the params, which ascend as the list does. */
static bool mandatory_present(struct sp_rd params, struct sp_rd list) {
    uint16_t key;
    struct sp_rd value;
    while (sp_rd_left(&list) > 0) {
        uint16_t want = sp_rd_u16(&list);
        do {
            if (!sp_param_next(&params, &key, &value))
                return false;
        } while (key < want);
        if (key != want)
            return false;
    }
    return true;
}

void sp_params_skip(struct sp_rd *rd) {
    struct sp_rd all = *rd, value, mandatory = {0};
    uint16_t key;
    int last = -1;
    bool alpn = false, no_default = false;
    while (sp_param_next(rd, &key, &value)) {
        if ((int)key <= last || !value_good(key, value.pos, sp_rd_left(&value))) {
            sp_rd_fail(rd, SP_ERR_FORM);
            return;
        }
        last = key;
        alpn |= key == SP_PARAM_ALPN;
        no_default |= key == SP_PARAM_NO_DEFAULT;
        if (key == SP_PARAM_MANDATORY)
            mandatory = value;
    }
    /* Self-consistency, RFC 9460 2.4.3, 7.1.1, 8. */
    if (rd->err == SP_OK && ((no_default && !alpn) || (mandatory.pos != NULL && !mandatory_present(all, mandatory))))
        sp_rd_fail(rd, SP_ERR_FORM);
}
