/* Replies of the operator's protocol as JSON. */
#include "signpostd/ctl/ctl.h"

#include <stdlib.h>

/* Bytes as a JSON string; what is no UTF-8 is shown as '?'. */
static json_t *string_from(const uint8_t *data, size_t len) {
    json_t *s = json_stringn((const char *)data, len);
    if (s != NULL)
        return s;
    char *plain = malloc(len + 1);
    if (plain == NULL)
        return NULL;
    for (size_t i = 0; i < len; i++)
        plain[i] = data[i] < 0x80 ? (char)data[i] : '?';
    s = json_stringn(plain, len);
    free(plain);
    return s;
}

static json_t *value_from(const struct sp_op_item *item) {
    switch (item->kind) {
    case SP_OP_STR:
        return string_from(item->data, item->len);
    case SP_OP_U64:
        return json_integer(item->number > INT64_MAX ? INT64_MAX : (json_int_t)item->number);
    case SP_OP_BOOL:
        return json_boolean(item->number != 0);
    case SP_OP_LIST:
        return json_array();
    case SP_OP_RECORD:
        return json_object();
    case SP_OP_END:
        break;
    }
    return NULL;
}

sp_err ctl_json_from(const uint8_t *data, size_t len, enum sp_op_status *ret_status, json_t **ret) {
    struct sp_rd rd = sp_rd_init(data, len);
    SP_TRY(sp_op_reply_read(&rd, ret_status));
    json_t *open[SP_OP_DEPTH + 1] = {json_object()};
    unsigned depth = 0;
    struct sp_op_item item;
    sp_err err;
    while ((err = sp_op_next(&rd, &item)) == SP_OK) {
        if (item.kind == SP_OP_END) {
            SP_ASSERT(depth > 0); /* sp_op_reply_read has checked the nesting */
            depth--;
            continue;
        }
        json_t *v = value_from(&item);
        int r = json_is_array(open[depth]) ? json_array_append_new(open[depth], v)
                                           : json_object_set_new(open[depth], item.key, v);
        if (r != 0) { /* no memory, or a key that is no UTF-8 */
            err = SP_ERR_FORM;
            break;
        }
        if (item.kind == SP_OP_LIST || item.kind == SP_OP_RECORD)
            open[++depth] = v;
    }
    if (err != SP_ERR_NOENT) {
        json_decref(open[0]);
        return err;
    }
    *ret = open[0];
    return SP_OK;
}
