/* What the files of signpostctl share. */
#ifndef SPL_CTL_H
#define SPL_CTL_H

#include <jansson.h>

#include "proto/control/operator.h"
#include "proto/linux/error.h"
#include "signpostd/ctl/afar.h"

#define CTL_ADDRESSES 16
#define CTL_REPLY_MAX ((size_t)64 << 20)

/* Options that a verb takes. */
enum { TAKES_TTL = 1, TAKES_ADDRESS = 2, TAKES_NS = 4, TAKES_ZONE = 8, TAKES_POLICY = 16, NEEDS_NO_DATA = 32 };

struct ctl_verb;

/* The command line, understood. */
struct ctl {
    const struct ctl_verb *verb;
    const char *data, *remote, *ns, *zone, *policy;
    struct ctl_place place; /* at NULL: the signpost whose directory is data */
    struct ctl_afar *afar;  /* NULL: not asked yet */
    uint64_t ttl_s;
    const char *addresses[CTL_ADDRESSES];
    unsigned address_count;
    char **args;
    unsigned arg_count;
    bool json;
};

/* Exit statuses. */
enum { CTL_OK = 0, CTL_FAILED = 1, CTL_USAGE = 2 };

struct ctl_verb {
    const char *name; /* one or two words */
    const char *arguments;
    const char *summary;
    unsigned min, max; /* arguments */
    unsigned takes;
    int (*run)(struct ctl *c);
};

/* Verbs (verbs.c, keys.c, check.c). */
extern const struct ctl_verb ctl_verbs[];
int ctl_key_add(struct ctl *c);
int ctl_key_remove(struct ctl *c);
int ctl_key_list(struct ctl *c);
int ctl_conf_check(struct ctl *c);
int ctl_operator_key(struct ctl *c);

/* A request that grows; begin, then add, then send it. Wiped when sent. */
struct ctl_request {
    uint8_t *buf;
    size_t cap;
    struct sp_wr wr;
};
void ctl_request_begin(struct ctl_request *r, enum sp_op_verb verb, size_t room);
void ctl_request_arg(struct ctl_request *r, const void *data, size_t len);
void ctl_request_text(struct ctl_request *r, const char *text);
/* Sends it; the reply as JSON, or NULL after having said on stderr what is wrong (*ret_status is the exit status then).
 * what: put in front of the error ("FILE: "), may be NULL. */
json_t *ctl_send(struct ctl *c, struct ctl_request *r, const char *what, int *ret_status);
/* The bytes of the reply instead, for metrics. */
int ctl_send_raw(struct ctl *c, struct ctl_request *r, const char *what, uint8_t **ret, size_t *ret_len);

/* Printing (show.c): takes the reply over. */
int ctl_show(struct ctl *c, json_t *reply);                       /* as "key: value" lines and tables, or as JSON */
int ctl_show_text(struct ctl *c, json_t *reply, const char *key); /* the text under that key alone, or JSON */
/* A reply of the operator's protocol as a JSON object. ERR_FORM, ERR_FULL. */
SP_CHECK sp_err ctl_json_from(const uint8_t *data, size_t len, enum sp_op_status *ret_status, json_t **ret);
/* The human form of an object; malloc'ed. NULL without memory. */
char *ctl_text_from(const json_t *object);

#endif
