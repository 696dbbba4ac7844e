#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/cli.h"
#include "proto/linux/addr.h"
#include "proto/linux/control.h"

#define REQUEST_MAX 2048
#define REPLY_MAX   ((size_t)4 << 20)

int cli_usage(const char *verb, const char *format, ...) {
    va_list ap;
    fprintf(stderr, "signpost-agent%s%s: ", verb != NULL ? " " : "", verb != NULL ? verb : "");
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputs("; try: signpost-agent help\n", stderr);
    return CLI_USAGE;
}

int cli_fail(const struct spl_error *err) {
    spl_say("%s", err->text);
    return CLI_FAILED;
}

int cli_only_json(int argc, char **argv, bool *ret_json) {
    static const struct option options[] = {{"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};
    const char *verb = argv[0];
    int c;
    *ret_json = false;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c != 'j')
            return cli_usage(verb, "unknown option");
        *ret_json = true;
    }
    return optind == argc ? CLI_OK : cli_usage(verb, "takes no argument");
}

sp_err cli_state(const struct cli *cli, struct spl_state *state, struct sp_agent_identity *id, struct spl_error *err) {
    SP_TRY(spl_state_open(state, cli->state, false, err));
    if (id == NULL)
        return SP_OK;
    sp_err e = spl_state_identity_read(state, id, err);
    if (e == SP_OK && id->pending)
        e = spl_error_set(err, SP_ERR_STATE,
                          "this device has not finished joining; run signpost-agent join again with the same token");
    if (e != SP_OK)
        spl_state_close(state);
    return e;
}

sp_err cli_call(const struct spl_state *state, enum sp_agent_verb verb, const char *const *args, size_t n, uint8_t **ret_reply,
                struct sp_rd *rd, enum sp_op_status *ret_status, struct spl_error *err) {
    uint8_t request[REQUEST_MAX];
    struct sp_wr wr = sp_wr_init(request, sizeof request);
    sp_op_request_begin(&wr, (enum sp_op_verb)verb);
    for (size_t i = 0; i < n; i++)
        sp_op_arg_text(&wr, args[i]);
    if (wr.err != SP_OK)
        return spl_error_set(err, SP_ERR_RANGE, "the argument is too long");
    size_t len;
    SP_TRY(spl_control_call(state->path, SPL_AGENT_SOCKET, request, sp_wr_len(&wr), REPLY_MAX, ret_reply, &len, err));
    *rd = sp_rd_init(*ret_reply, len);
    sp_err e = sp_op_reply_read(rd, ret_status);
    if (e == SP_OK)
        return SP_OK;
    free(*ret_reply);
    return spl_error_set(err, e, "the running agent's answer is not understood (%s); restart it with this version",
                         sp_err_text(e));
}

sp_err cli_reply_error(struct sp_rd *rd, struct spl_error *err) {
    char error[256] = "the agent refused", hint[256] = "";
    struct sp_op_item item;
    while (sp_op_next(rd, &item) == SP_OK) {
        char *to = strcmp(item.key, "error") == 0 ? error : strcmp(item.key, "hint") == 0 ? hint : NULL;
        if (to != NULL && item.kind == SP_OP_STR)
            snprintf(to, sizeof error, "%.*s", (int)item.len, (const char *)item.data);
    }
    return spl_error_set(err, SP_ERR_STATE, "%s%s%s", error, hint[0] != 0 ? "; " : "", hint);
}

int cli_explain(const struct sp_agent_status *s, const char *what) {
    char addr[SPL_ADDR_TEXT];
    spl_addr_text(&s->signpost, addr);
    if (s->state == SP_AGENT_REFUSED || (s->state == SP_AGENT_FAILED && s->last_err != SP_ERR_AGAIN)) {
        spl_say("%s: the signpost at %s refused: %s (rcode %d)", what, addr,
                s->last_ede_text[0] != 0 ? s->last_ede_text : sp_err_text(s->last_err), s->last_rcode);
    } else if (s->state == SP_AGENT_FAILED) {
        spl_say("%s: no answer from the signpost at %s; check the network and that it runs, then try again", what,
                addr);
        if (s->unsigned_rcode >= 0)
            spl_say("note: unsigned replies were dropped, as anybody can send them; the last one said: rcode %d%s%s",
                    s->unsigned_rcode, s->unsigned_text[0] != 0 ? ", " : "", s->unsigned_text);
        if (s->counts.dropped_key + s->counts.dropped_sig > 0)
            spl_say("note: %llu replies with a wrong signature were dropped; somebody else may answer at that address",
                    (unsigned long long)(s->counts.dropped_key + s->counts.dropped_sig));
    } else {
        spl_say("%s: stopped before it was done; try again", what);
    }
    return CLI_FAILED;
}

/* ---- JSON ---- */

static json_t *value_of(struct sp_rd *rd, const struct sp_op_item *item) {
    switch (item->kind) {
    case SP_OP_STR:
        return json_stringn((const char *)item->data, item->len);
    case SP_OP_U64:
        return json_integer((json_int_t)item->number);
    case SP_OP_BOOL:
        return json_boolean(item->number != 0);
    case SP_OP_LIST:
    case SP_OP_RECORD: {
        /* sp_op_reply_read has checked that it closes, and how deep it is. */
        bool list = item->kind == SP_OP_LIST;
        json_t *all = list ? json_array() : json_object();
        struct sp_op_item inner;
        while (sp_op_next(rd, &inner) == SP_OK && inner.kind != SP_OP_END) {
            json_t *v = value_of(rd, &inner);
            if ((list ? json_array_append_new(all, v) : json_object_set_new(all, inner.key, v)) != 0)
                break;
        }
        return all;
    }
    case SP_OP_END:
        break;
    }
    return NULL;
}

json_t *cli_json(struct sp_rd rd) {
    json_t *all = json_pack("{s:i}", "schema", CLI_JSON_SCHEMA);
    struct sp_op_item item;
    while (all != NULL && sp_op_next(&rd, &item) == SP_OK)
        if (json_object_set_new(all, item.key, value_of(&rd, &item)) != 0) {
            json_decref(all);
            return NULL;
        }
    return all;
}

int cli_print_json(json_t *object) {
    bool ok = object != NULL && json_dumpf(object, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER) == 0 &&
              putchar('\n') != EOF && fflush(stdout) == 0;
    json_decref(object);
    if (!ok)
        spl_say("cannot print the result: %s", strerror(errno));
    return ok ? CLI_OK : CLI_FAILED;
}

void cli_name_text(const struct sp_name *name, char ret[SP_NAME_TEXT_MAX]) {
    size_t len = sp_name_to_text(name, ret);
    if (len > 1 && ret[len - 1] == '.')
        ret[len - 1] = 0;
}
