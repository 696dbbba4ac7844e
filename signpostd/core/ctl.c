#include "signpostd/core/ctl.h"

/* ---- failures ---- */

bool sp_ctl_fail(struct sp_ctl *c, enum sp_op_status status, const char *hint, const char *const *pieces) {
    char text[SP_NAME_TEXT_MAX + 512];
    struct sp_wr wr = sp_wr_init(text, sizeof text - 1);
    for (; *pieces != NULL; pieces++)
        sp_wr_bytes(&wr, *pieces, strlen(*pieces));
    *wr.pos = 0;
    c->wr = sp_wr_init(c->buf, c->s->cfg.limits.reply);
    c->wait = false;
    sp_op_reply_error(&c->wr, status, text, hint);
    return false;
}

bool sp_ctl_fail_change(struct sp_ctl *c, sp_err err) {
    switch (err) {
    case SP_ERR_NOSPC:
        return SP_CTL_FAIL(c, "give the signpost a bigger disk, or remove zones",
                           "the disk is full; nothing was changed");
    case SP_ERR_AGAIN:
        return SP_CTL_FAIL(c, "try again", "the disk is behind; nothing was changed");
    case SP_ERR_IO:
        return SP_CTL_FAIL(c, "replace the disk and restart", "the disk has failed; nothing can be changed");
    case SP_ERR_FULL:
        return SP_CTL_FAIL(c, "raise the limits in the configuration", "a table or the memory of the signpost is full");
    default:
        return SP_CTL_FAIL(c, NULL, "not done: ", sp_err_text(err));
    }
}

bool sp_ctl_may_change(struct sp_ctl *c) {
    struct sp_server *s = c->s;
    if (s->storage == SP_STORAGE_FAILED)
        return sp_ctl_fail_change(c, SP_ERR_IO);
    if (sp_import_busy(s))
        return SP_CTL_FAIL(c, "try again in a moment", "an import is under way");
    if (s->stopping)
        return SP_CTL_FAIL(c, NULL, "the signpost is stopping");
    return true;
}

bool sp_ctl_change(struct sp_ctl *c, const struct sp_change *change) {
    sp_err err = sp_durable_change(c->s, change);
    if (err != SP_OK)
        return sp_ctl_fail_change(c, err);
    c->wait = true;
    return true;
}

/* ---- arguments ---- */

bool sp_ctl_arg(struct sp_ctl *c, const char *what, struct sp_rd *ret) {
    sp_err err = sp_op_arg_next(&c->args, ret);
    return err == SP_OK || SP_CTL_USAGE(c, err == SP_ERR_NOENT ? "missing argument: " : "malformed argument: ", what);
}

/* Shows what was given, as far as it is printable. */
static const char *shown(const struct sp_rd *text, char ret[300]) {
    size_t n = 0;
    for (const uint8_t *p = text->pos; p < text->end && n < 290; p++)
        ret[n++] = *p >= 32 && *p < 127 ? (char)*p : '?';
    ret[n] = 0;
    return ret;
}

bool sp_ctl_arg_zone(struct sp_ctl *c, struct sp_zone **ret) {
    struct sp_rd text;
    struct sp_name name;
    char show[300];
    if (!sp_ctl_arg(c, "zone", &text))
        return false;
    if (sp_name_from_text(&name, (const char *)text.pos, sp_rd_left(&text), NULL) != SP_OK)
        return SP_CTL_USAGE(c, "not a domain name: ", shown(&text, show));
    *ret = sp_zones_get(c->s->zones, &name);
    return *ret != NULL || SP_CTL_FAIL(c, "`zone list` shows what is here, `zone add` adds one", "no zone ",
                                       shown(&text, show), " here");
}

bool sp_ctl_parse_name(struct sp_ctl *c, const struct sp_zone *z, const struct sp_rd *text, struct sp_name *ret) {
    const struct sp_name *apex = sp_zone_apex(z);
    const char *p = (const char *)text->pos;
    size_t len = sp_rd_left(text);
    char show[300];
    if (sp_name_from_text(ret, p, len, NULL) == SP_OK && sp_name_under(ret, apex))
        return true;
    if (len > 0 && p[len - 1] != '.' && sp_name_from_text(ret, p, len, apex) == SP_OK)
        return true;
    return SP_CTL_USAGE(c, "not a name of the zone: ", shown(text, show));
}

bool sp_ctl_arg_name(struct sp_ctl *c, const struct sp_zone *z, struct sp_name *ret) {
    struct sp_rd text;
    return sp_ctl_arg(c, "name", &text) && sp_ctl_parse_name(c, z, &text, ret);
}

bool sp_ctl_parse_number(const struct sp_rd *text, uint64_t max, uint64_t *ret) {
    uint64_t v = 0;
    if (sp_rd_left(text) == 0 || sp_rd_left(text) > 19)
        return false;
    for (const uint8_t *p = text->pos; p < text->end; p++) {
        if (*p < '0' || *p > '9')
            return false;
        v = v * 10 + (*p - '0');
    }
    *ret = v;
    return v <= max;
}

static bool parse_ip(const struct sp_rd *text, struct sp_addr *ret) {
    struct sp_wr wr = sp_wr_init(ret->ip, sizeof ret->ip);
    bool v6 = false;
    for (const uint8_t *p = text->pos; p < text->end; p++)
        v6 |= *p == ':';
    ret->family = v6 ? 6 : 4;
    return sp_rdata_from_text(v6 ? SP_TYPE_AAAA : SP_TYPE_A, (const char *)text->pos, sp_rd_left(text), NULL, &wr) ==
               SP_OK &&
           sp_wr_len(&wr) == (v6 ? 16 : 4);
}

bool sp_ctl_parse_addr(const struct sp_rd *text, uint16_t port, struct sp_addr *ret) {
    const uint8_t *colon = NULL, *close = NULL;
    unsigned colons = 0;
    for (const uint8_t *p = text->pos; p < text->end; p++) {
        if (*p == ':') {
            colon = p;
            colons++;
        } else if (*p == ']') {
            close = p;
        }
    }
    *ret = (struct sp_addr){.port = port};
    struct sp_rd ip = *text, number = {0};
    bool bracket = sp_rd_left(text) > 0 && text->pos[0] == '[';
    if (bracket) {
        if (close == NULL || (close + 1 != text->end && close[1] != ':'))
            return false;
        ip = sp_rd_init(text->pos + 1, (size_t)(close - text->pos - 1));
        colon = close + 1 == text->end ? NULL : close + 1;
    } else if (colons == 1) {
        ip = sp_rd_init(text->pos, (size_t)(colon - text->pos));
    } else {
        colon = NULL;
    }
    uint64_t v = port;
    if (colon != NULL) {
        number = sp_rd_init(colon + 1, (size_t)(text->end - colon - 1));
        if (!sp_ctl_parse_number(&number, UINT16_MAX, &v) || v == 0)
            return false;
    }
    ret->port = (uint16_t)v;
    return parse_ip(&ip, ret) && (!bracket || ret->family == 6);
}

/* ---- items ---- */

void sp_ctl_name(struct sp_wr *wr, const char *key, const struct sp_name *name) {
    char text[SP_NAME_TEXT_MAX];
    sp_op_str(wr, key, text, sp_name_to_text(name, text));
}

void sp_ctl_hex(struct sp_wr *wr, const char *key, const uint8_t *data, size_t len) {
    static const char digits[] = "0123456789abcdef";
    char text[128];
    size_t n = 0;
    for (size_t i = 0; i < len && n + 2 <= sizeof text; i++) {
        text[n++] = digits[data[i] >> 4];
        text[n++] = digits[data[i] & 15];
    }
    sp_op_str(wr, key, text, n);
}

void sp_ctl_base64(struct sp_wr *wr, const char *key, const uint8_t *data, size_t len) {
    char text[256];
    sp_op_str(wr, key, text, sp_base64_encode(data, len, text, sizeof text));
}

size_t sp_ctl_decimal(char ret[24], uint64_t v) {
    char back[24];
    size_t n = 0, len = 0;
    do {
        back[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v != 0);
    while (n > 0)
        ret[len++] = back[--n];
    ret[len] = 0;
    return len;
}

/* ---- dispatch ---- */

struct verb {
    void (*run)(struct sp_ctl *c);
    bool before_ready; /* also while the log is being replayed */
    bool changes;
};

static const struct verb *verb_find(unsigned number) {
    static const struct verb verbs[] = {
        [SP_OP_STATUS] = {sp_ctl_status, true, false},
        [SP_OP_ZONE_ADD] = {sp_ctl_zone_add, false, true},
        [SP_OP_ZONE_LIST] = {sp_ctl_zone_list, false, false},
        [SP_OP_ZONE_IMPORT] = {sp_ctl_zone_import, false, true},
        [SP_OP_ZONE_EXPORT] = {sp_ctl_zone_export, false, false},
        [SP_OP_ZONE_DS] = {sp_ctl_zone_ds, false, false},
        [SP_OP_ZONE_REMOVE] = {sp_ctl_zone_remove, false, true},
        [SP_OP_INVITE] = {sp_ctl_invite, false, true},
        [SP_OP_DEVICE_LIST] = {sp_ctl_device_list, false, false},
        [SP_OP_DEVICE_REVOKE] = {sp_ctl_device_revoke, false, true},
        [SP_OP_KEY_ADD] = {sp_ctl_key_add, false, true},
        [SP_OP_KEY_REMOVE] = {sp_ctl_key_remove, false, true},
        [SP_OP_KEY_LIST] = {sp_ctl_key_list, false, false},
        [SP_OP_LOG] = {sp_ctl_log, false, false},
        [SP_OP_METRICS] = {sp_ctl_metrics, true, false},
        [SP_OP_STOP] = {sp_ctl_stop, true, false},
        [SP_OP_ZONE_SERVER] = {sp_ctl_zone_server, false, true},
    };
    return number < sizeof verbs / sizeof *verbs && verbs[number].run != NULL ? &verbs[number] : NULL;
}

static void run(struct sp_ctl *c) {
    unsigned number;
    sp_err err = sp_op_request_read(&c->args, &number);
    const struct verb *v = err == SP_OK ? verb_find(number) : NULL;
    if (err == SP_ERR_UNSUP)
        (void)SP_CTL_USAGE(c, "the request is of another version of the protocol");
    else if (err != SP_OK)
        (void)SP_CTL_USAGE(c, "malformed request");
    else if (v == NULL)
        (void)SP_CTL_USAGE(c, "unknown verb; is signpostctl newer than the signpost?");
    else if (!c->s->ready && !v->before_ready)
        (void)SP_CTL_FAIL(c, "try again in a moment", "the log is being replayed");
    else if (!v->changes || sp_ctl_may_change(c))
        v->run(c);
}

void sp_ctl_send_error(struct sp_server *s, uint64_t id, const char *error, const char *hint) {
    uint8_t *buf = sp_mem_alloc(&s->mem, 1024);
    struct sp_wr wr = sp_wr_init(buf, buf != NULL ? 1024 : 0);
    if (buf != NULL)
        sp_op_reply_error(&wr, SP_OP_FAILED, error, hint);
    sp_ctl_send(s, id, buf, 1024, sp_wr_len(&wr));
}

void sp_ctl_send(struct sp_server *s, uint64_t id, uint8_t *buf, size_t size, size_t len) {
    if ((id & SP_REMOTE_ID) != SP_REMOTE_ID) {
        sp_outbox_control(&s->out, id, buf, size, len);
        return;
    }
    sp_remote_replied(s, id, buf, buf != NULL ? len : 0);
    if (buf != NULL)
        sp_wipe(buf, len);
    sp_mem_free(&s->mem, buf, size);
}

static void send(struct sp_ctl *c) {
    struct sp_server *s = c->s;
    size_t len = sp_wr_len(&c->wr);
    struct sp_pending *p = c->wait && s->log != NULL ? sp_pending_new(s, SP_PENDING_CONTROL) : NULL;
    if (p == NULL) {
        sp_ctl_send(s, c->id, c->buf, s->cfg.limits.reply, len);
        return;
    }
    p->control = c->id;
    p->reply = c->buf;
    p->reply_size = s->cfg.limits.reply;
    p->reply_len = len;
    sp_durable_wait(s, p);
}

/* Room for one reply is kept, so that an operator sees and mends a signpost whose memory is full. */
static uint8_t *reply_room(struct sp_server *s) {
    size_t size = s->cfg.limits.reply;
    if (s->reply_kept == NULL)
        s->reply_kept = sp_mem_alloc(&s->mem, size);
    uint8_t *ret = sp_mem_alloc(&s->mem, size);
    if (ret == NULL) {
        ret = s->reply_kept;
        s->reply_kept = NULL;
    }
    return ret;
}

void sp_ctl_request(struct sp_server *s, const struct sp_in *in) {
    struct sp_ctl c = {.s = s, .id = in->id, .args = sp_rd_init(in->data, in->len)};
    s->controls++;
    c.buf = reply_room(s);
    if (c.buf == NULL) {
        sp_ctl_send_error(s, in->id, "out of memory", "raise the memory limit in the configuration");
        return;
    }
    c.wr = sp_wr_init(c.buf, s->cfg.limits.reply);
    sp_op_reply_begin(&c.wr, SP_OP_OK);
    run(&c);
    if (c.taken)
        return;
    if (c.wr.err != SP_OK)
        (void)SP_CTL_FAIL(&c, NULL, "the reply is too long");
    send(&c);
}
