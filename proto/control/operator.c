#include "proto/control/operator.h"

const char *sp_op_verb_text(unsigned verb) {
    static const char *const texts[] = {
        [SP_OP_STATUS] = "status",           [SP_OP_ZONE_ADD] = "zone add",
        [SP_OP_ZONE_LIST] = "zone list",     [SP_OP_ZONE_IMPORT] = "zone import",
        [SP_OP_ZONE_EXPORT] = "zone export", [SP_OP_ZONE_DS] = "zone ds",
        [SP_OP_ZONE_REMOVE] = "zone remove", [SP_OP_INVITE] = "invite",
        [SP_OP_DEVICE_LIST] = "device list", [SP_OP_DEVICE_REVOKE] = "device revoke",
        [SP_OP_KEY_ADD] = "key add",         [SP_OP_KEY_REMOVE] = "key remove",
        [SP_OP_KEY_LIST] = "key list",       [SP_OP_LOG] = "log",
        [SP_OP_METRICS] = "metrics",         [SP_OP_STOP] = "stop",
        [SP_OP_ZONE_SERVER] = "zone server",
    };
    return verb < sizeof texts / sizeof *texts && texts[verb] != NULL ? texts[verb] : "?";
}

void sp_op_request_begin(struct sp_wr *wr, enum sp_op_verb verb) {
    sp_wr_u8(wr, SP_OP_VERSION);
    sp_wr_u8(wr, (uint8_t)verb);
}

void sp_op_arg(struct sp_wr *wr, const void *data, size_t len) {
    if (len > SP_OP_REQUEST_MAX) {
        sp_wr_fail(wr, SP_ERR_RANGE);
        return;
    }
    sp_wr_u32(wr, (uint32_t)len);
    sp_wr_bytes(wr, data, len);
}

void sp_op_arg_text(struct sp_wr *wr, const char *text) {
    sp_op_arg(wr, text, strlen(text));
}

sp_err sp_op_request_read(struct sp_rd *rd, unsigned *ret_verb) {
    uint8_t version = sp_rd_u8(rd);
    uint8_t verb = sp_rd_u8(rd);
    SP_TRY(rd->err);
    if (version != SP_OP_VERSION)
        return SP_ERR_UNSUP;
    *ret_verb = verb;
    return SP_OK;
}

sp_err sp_op_arg_next(struct sp_rd *rd, struct sp_rd *ret) {
    SP_TRY(rd->err);
    if (sp_rd_left(rd) == 0)
        return SP_ERR_NOENT;
    size_t len = sp_rd_u32(rd);
    const uint8_t *data = sp_rd_bytes(rd, len);
    SP_TRY(rd->err);
    *ret = sp_rd_init(data, len);
    return SP_OK;
}

void sp_op_reply_begin(struct sp_wr *wr, enum sp_op_status status) {
    sp_wr_u8(wr, SP_OP_VERSION);
    sp_wr_u8(wr, (uint8_t)status);
}

void sp_op_reply_error(struct sp_wr *wr, enum sp_op_status status, const char *error, const char *hint) {
    sp_op_reply_begin(wr, status);
    sp_op_text(wr, "error", error);
    if (hint != NULL)
        sp_op_text(wr, "hint", hint);
}

static void item(struct sp_wr *wr, enum sp_op_kind kind, const char *key) {
    size_t len = strlen(key);
    if (len > SP_OP_KEY_MAX) {
        sp_wr_fail(wr, SP_ERR_RANGE);
        return;
    }
    sp_wr_u8(wr, (uint8_t)kind);
    sp_wr_u8(wr, (uint8_t)len);
    sp_wr_bytes(wr, key, len);
}

void sp_op_str(struct sp_wr *wr, const char *key, const void *data, size_t len) {
    if (len > UINT32_MAX) {
        sp_wr_fail(wr, SP_ERR_RANGE);
        return;
    }
    item(wr, SP_OP_STR, key);
    sp_wr_u32(wr, (uint32_t)len);
    sp_wr_bytes(wr, data, len);
}

void sp_op_text(struct sp_wr *wr, const char *key, const char *text) {
    sp_op_str(wr, key, text, strlen(text));
}

void sp_op_u64(struct sp_wr *wr, const char *key, uint64_t v) {
    item(wr, SP_OP_U64, key);
    sp_wr_u64(wr, v);
}

void sp_op_bool(struct sp_wr *wr, const char *key, bool v) {
    item(wr, SP_OP_BOOL, key);
    sp_wr_u8(wr, v ? 1 : 0);
}

void sp_op_begin(struct sp_wr *wr, enum sp_op_kind kind, const char *key) {
    SP_ASSERT(kind == SP_OP_LIST || kind == SP_OP_RECORD);
    item(wr, kind, key);
}

void sp_op_end(struct sp_wr *wr) {
    sp_wr_u8(wr, SP_OP_END);
}

static sp_err item_read(struct sp_rd *rd, struct sp_op_item *ret) {
    *ret = (struct sp_op_item){.kind = (enum sp_op_kind)sp_rd_u8(rd)};
    if (ret->kind < SP_OP_STR || ret->kind > SP_OP_END)
        return SP_ERR_FORM;
    if (ret->kind == SP_OP_END)
        return SP_OK;
    size_t key_len = sp_rd_u8(rd);
    if (key_len > SP_OP_KEY_MAX)
        return SP_ERR_FORM;
    sp_rd_copy(rd, ret->key, key_len);
    if (ret->kind == SP_OP_STR) {
        ret->len = sp_rd_u32(rd);
        ret->data = sp_rd_bytes(rd, ret->len);
    } else if (ret->kind == SP_OP_U64) {
        ret->number = sp_rd_u64(rd);
    } else if (ret->kind == SP_OP_BOOL) {
        ret->number = sp_rd_u8(rd);
        if (ret->number > 1)
            return SP_ERR_FORM;
    }
    /* A zero inside a key would end it early for whoever prints it. */
    return rd->err == SP_OK && strlen(ret->key) != key_len ? SP_ERR_FORM : rd->err;
}

sp_err sp_op_next(struct sp_rd *rd, struct sp_op_item *ret) {
    SP_TRY(rd->err);
    if (sp_rd_left(rd) == 0)
        return SP_ERR_NOENT;
    sp_err err = item_read(rd, ret);
    if (err != SP_OK)
        sp_rd_fail(rd, err);
    return err;
}

sp_err sp_op_reply_read(struct sp_rd *rd, enum sp_op_status *ret) {
    uint8_t version = sp_rd_u8(rd);
    uint8_t status = sp_rd_u8(rd);
    SP_TRY(rd->err);
    if (version != SP_OP_VERSION)
        return SP_ERR_UNSUP;
    if (status > SP_OP_USAGE)
        return SP_ERR_FORM;
    struct sp_rd walk = *rd;
    unsigned depth = 0;
    struct sp_op_item it;
    sp_err err;
    while ((err = sp_op_next(&walk, &it)) == SP_OK) {
        if (it.kind == SP_OP_LIST || it.kind == SP_OP_RECORD)
            depth++;
        if (depth > SP_OP_DEPTH || (it.kind == SP_OP_END && depth-- == 0))
            return SP_ERR_FORM;
    }
    if (err != SP_ERR_NOENT)
        return err;
    if (depth != 0)
        return SP_ERR_FORM;
    *ret = (enum sp_op_status)status;
    return SP_OK;
}
