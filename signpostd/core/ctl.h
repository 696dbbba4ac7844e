/* The operator's verbs: request bytes to reply bytes. Inside the server; see proto/control/operator.h. */
#ifndef SP_CORE_CTL_H
#define SP_CORE_CTL_H

#include "signpostd/core/server_int.h"

/* Room for a reply is limits.reply; pages of text and lists stay below. */
#define SP_CTL_REPLY_MIN ((size_t)64 << 10)
static inline size_t sp_ctl_page(const struct sp_server *s) {
    return s->cfg.limits.reply / 4 * 3;
}

struct sp_ctl {
    struct sp_server *s;
    uint64_t id;
    struct sp_rd args;
    uint8_t *buf;
    struct sp_wr wr; /* the reply */
    bool wait;       /* it goes out when all that was appended is durable */
    bool taken;      /* the verb has taken the reply over */
};

/* A failed reply; the pieces are joined to the error's text. Always false, so that a verb can return it. */
bool sp_ctl_fail(struct sp_ctl *c, enum sp_op_status status, const char *hint, const char *const *pieces);
#define SP_CTL_FAIL(c, hint, ...) sp_ctl_fail(c, SP_OP_FAILED, hint, (const char *const[]){__VA_ARGS__, NULL})
#define SP_CTL_USAGE(c, ...)      sp_ctl_fail(c, SP_OP_USAGE, NULL, (const char *const[]){__VA_ARGS__, NULL})
/* Why a change was not stored. */
bool sp_ctl_fail_change(struct sp_ctl *c, sp_err err);

/* Arguments; a missing or bad one makes the failed reply and returns false. */
bool sp_ctl_arg(struct sp_ctl *c, const char *what, struct sp_rd *ret);
bool sp_ctl_arg_zone(struct sp_ctl *c, struct sp_zone **ret);
/* A name at or below a zone's apex: relative to it, or whole. */
bool sp_ctl_arg_name(struct sp_ctl *c, const struct sp_zone *z, struct sp_name *ret);
bool sp_ctl_parse_name(struct sp_ctl *c, const struct sp_zone *z, const struct sp_rd *text, struct sp_name *ret);
bool sp_ctl_parse_number(const struct sp_rd *text, uint64_t max, uint64_t *ret);
/* "192.0.2.1", "192.0.2.1:53", "2001:db8::1", "[2001:db8::1]:53". */
bool sp_ctl_parse_addr(const struct sp_rd *text, uint16_t port, struct sp_addr *ret);
/* Whether changes are possible now. */
bool sp_ctl_may_change(struct sp_ctl *c);
/* Logs a change and makes the reply wait for it. */
bool sp_ctl_change(struct sp_ctl *c, const struct sp_change *change);

void sp_ctl_name(struct sp_wr *wr, const char *key, const struct sp_name *name);
void sp_ctl_hex(struct sp_wr *wr, const char *key, const uint8_t *data, size_t len);
void sp_ctl_base64(struct sp_wr *wr, const char *key, const uint8_t *data, size_t len);
/* "signpost_key": by which the signpost is known in this zone. */
void sp_ctl_signpost_key(struct sp_ctl *c, const struct sp_zone *z);
size_t sp_ctl_decimal(char ret[24], uint64_t v); /* zero-terminated */

/* The verbs. */
void sp_ctl_status(struct sp_ctl *c);
void sp_ctl_zone_add(struct sp_ctl *c);
void sp_ctl_zone_server(struct sp_ctl *c);
void sp_ctl_zone_list(struct sp_ctl *c);
void sp_ctl_zone_import(struct sp_ctl *c);
void sp_ctl_zone_export(struct sp_ctl *c);
void sp_ctl_zone_ds(struct sp_ctl *c);
void sp_ctl_zone_remove(struct sp_ctl *c);
void sp_ctl_invite(struct sp_ctl *c);
void sp_ctl_device_list(struct sp_ctl *c);
void sp_ctl_device_revoke(struct sp_ctl *c);
void sp_ctl_key_add(struct sp_ctl *c);
void sp_ctl_key_remove(struct sp_ctl *c);
void sp_ctl_key_list(struct sp_ctl *c);
void sp_ctl_log(struct sp_ctl *c);
void sp_ctl_metrics(struct sp_ctl *c);
void sp_ctl_stop(struct sp_ctl *c);

#endif
