/* The table of SvcParam keys. RFC 9460 14.3.2. */
#ifndef SP_DNS_SVCB_H
#define SP_DNS_SVCB_H

#include "proto/base/bytes.h"

enum sp_param_key {
    SP_PARAM_MANDATORY,
    SP_PARAM_ALPN,
    SP_PARAM_NO_DEFAULT,
    SP_PARAM_PORT,
    SP_PARAM_IP4,
    SP_PARAM_ECH,
    SP_PARAM_IP6,
    SP_PARAM_DOHPATH,
    SP_PARAM_OHTTP,
};

enum sp_param_form {
    SP_PARAM_KEYS,    /* u16 keys, text "alpn,port" */
    SP_PARAM_STRINGS, /* u8 length and bytes, text a comma-separated list */
    SP_PARAM_EMPTY,
    SP_PARAM_U16,
    SP_PARAM_IP4S,
    SP_PARAM_IP6S,
    SP_PARAM_BASE64,
    SP_PARAM_TEXT,
};

struct sp_param_row {
    uint16_t key;
    const char *name;
    enum sp_param_form form;
};

/* NULL for a key that is not registered here; it stands as keyNNNNN and any bytes. */
const struct sp_param_row *sp_param_row(uint16_t key);
/* The next param; false at the end or, with rd->err, where the framing breaks. */
bool sp_param_next(struct sp_rd *rd, uint16_t *key, struct sp_rd *value);

#endif
