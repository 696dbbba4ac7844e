#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "proto/linux/control.h"
#include "proto/linux/file.h"
#include "signpostd/ctl/ctl.h"

void ctl_request_begin(struct ctl_request *r, enum sp_op_verb verb, size_t room) {
    r->cap = room + 64;
    r->buf = malloc(r->cap);
    r->wr = sp_wr_init(r->buf, r->buf != NULL ? r->cap : 0);
    sp_op_request_begin(&r->wr, verb);
}

void ctl_request_arg(struct ctl_request *r, const void *data, size_t len) {
    if (r->wr.err == SP_OK && sp_wr_left(&r->wr) < len + 8) {
        size_t used = sp_wr_len(&r->wr), cap = r->cap * 2 + len + 64;
        uint8_t *grown = malloc(cap);
        if (grown != NULL) {
            memcpy(grown, r->buf, used);
            spl_file_free(r->buf, r->cap);
            r->buf = grown;
            r->cap = cap;
            r->wr = sp_wr_init(grown, cap);
            r->wr.pos += used;
        }
    }
    sp_op_arg(&r->wr, data, len);
}

void ctl_request_text(struct ctl_request *r, const char *text) {
    ctl_request_arg(r, text, strlen(text));
}

/* To the signpost that is meant: on this machine, or afar. */
static sp_err call(struct ctl *c, const struct ctl_request *r, uint8_t **ret, size_t *ret_len, struct spl_error *err) {
    size_t len = sp_wr_len(&r->wr);
    if (c->place.at == NULL)
        return spl_control_call(c->data, "control.sock", r->buf, len, CTL_REPLY_MAX, ret, ret_len, err);
    if (c->afar == NULL)
        SP_TRY(ctl_afar_open(&c->afar, &c->place, err));
    return ctl_afar_call(c->afar, r->buf, len, ret, ret_len, err);
}

int ctl_send_raw(struct ctl *c, struct ctl_request *r, const char *what, uint8_t **ret, size_t *ret_len) {
    struct spl_error err = {"no memory for the request"};
    sp_err e = r->wr.err;
    if (e == SP_OK)
        e = call(c, r, ret, ret_len, &err);
    spl_file_free(r->buf, r->cap);
    r->buf = NULL;
    if (e == SP_OK)
        return CTL_OK;
    if (e == SP_ERR_NOENT && c->place.at == NULL)
        spl_say("no signpostd runs on %s (%s); start it with: signpostd --data %s", c->data, err.text, c->data);
    else
        spl_say("%s%s", what != NULL ? what : "", err.text);
    return CTL_FAILED;
}

json_t *ctl_send(struct ctl *c, struct ctl_request *r, const char *what, int *ret_status) {
    uint8_t *reply;
    size_t len;
    *ret_status = ctl_send_raw(c, r, what, &reply, &len);
    if (*ret_status != CTL_OK)
        return NULL;
    enum sp_op_status status;
    json_t *object = NULL;
    sp_err e = ctl_json_from(reply, len, &status, &object);
    spl_file_free(reply, len);
    if (e != SP_OK) {
        spl_say("the reply of signpostd is not understood (%s); are both of the same version?", sp_err_text(e));
        *ret_status = CTL_FAILED;
        return NULL;
    }
    if (status == SP_OP_OK)
        return object;
    const char *error = json_string_value(json_object_get(object, "error"));
    const char *hint = json_string_value(json_object_get(object, "hint"));
    spl_say("%s%s%s%s", what != NULL ? what : "", error != NULL ? error : "refused", hint != NULL ? "; " : "",
            hint != NULL ? hint : "");
    json_decref(object);
    *ret_status = status == SP_OP_USAGE ? CTL_USAGE : CTL_FAILED;
    return NULL;
}
