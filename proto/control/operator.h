/* The operator's protocol: one request of bytes, one reply of bytes, over the control socket, or from afar (remote.h).
 * Request: u8 version (1), u8 verb, then arguments, each u32 length and bytes, in the verb's order (the enum's comments).
 * Reply: u8 version, u8 status (enum sp_op_status), then items: u8 kind, u8 key length, key, and by kind
 *   STR: u32 length, bytes   U64: u64   BOOL: u8   LIST, RECORD: (no value; items follow until END)   END: no key
 * A failed reply has the STR items "error" (what failed and why) and "hint" (what to do next). */
#ifndef SP_CONTROL_OPERATOR_H
#define SP_CONTROL_OPERATOR_H

#include "proto/base/bytes.h"

#define SP_OP_VERSION 1
#define SP_OP_REQUEST_MAX (16u << 20)

enum sp_op_verb {
    SP_OP_STATUS = 1,
    SP_OP_ZONE_ADD,      /* zone, ns name or empty, then 0..n addresses as text (of the ns name) */
    SP_OP_ZONE_LIST,
    SP_OP_ZONE_IMPORT,   /* zone, zone text: as one transaction replaces the RRsets that the text names -> "changed", "serial", "names" */
    SP_OP_ZONE_EXPORT,   /* zone, continuation or empty -> "text", "more": the next continuation, empty at the end */
    SP_OP_ZONE_DS,       /* zone -> "ds": the DS record as text */
    SP_OP_ZONE_REMOVE,   /* zone */
    SP_OP_INVITE,        /* zone, name, ttl seconds as text, then signpost addresses as text -> "token" */
    SP_OP_DEVICE_LIST,   /* zone, continuation or empty -> "devices", "more" */
    SP_OP_DEVICE_REVOKE, /* zone, name */
    SP_OP_KEY_ADD,       /* zone, kind ("tsig" or "key"), owner name, algorithm, secret or rdata bytes, policy text */
    SP_OP_KEY_REMOVE,    /* zone, owner name */
    SP_OP_KEY_LIST,      /* zone */
    SP_OP_LOG,           /* zone -> chain head and the newest records kept in memory */
    SP_OP_METRICS,       /* -> U64 items; a key is a Prometheus sample without prefix: queries_by_type_total{type="A"} */
    SP_OP_STOP,
    SP_OP_ZONE_SERVER,   /* "4", "6" or "46", zone, ns name or empty, then 0..n addresses as text: of these families the ns name gets
                            exactly these -> "changed" (with the SOA; 0: nothing), "serial" */
};

/* As an operator writes it ("zone add"); "?" for others. */
const char *sp_op_verb_text(unsigned verb);

enum sp_op_status { SP_OP_OK, SP_OP_FAILED, SP_OP_USAGE };

enum sp_op_kind { SP_OP_STR = 1, SP_OP_U64, SP_OP_BOOL, SP_OP_LIST, SP_OP_RECORD, SP_OP_END };

/* ---- requests ---- */

void sp_op_request_begin(struct sp_wr *wr, enum sp_op_verb verb);
void sp_op_arg(struct sp_wr *wr, const void *data, size_t len);
void sp_op_arg_text(struct sp_wr *wr, const char *text);
/* The verb of a request, arguments left in rd. ERR_SHORT, ERR_UNSUP for another version; an unknown verb comes back as it is. */
SP_CHECK sp_err sp_op_request_read(struct sp_rd *rd, unsigned *ret_verb);
/* The next argument, confined to its bytes; ERR_NOENT at the end, ERR_SHORT. */
SP_CHECK sp_err sp_op_arg_next(struct sp_rd *rd, struct sp_rd *ret);

/* ---- replies ---- */

void sp_op_reply_begin(struct sp_wr *wr, enum sp_op_status status);
/* A whole failed reply: "error" and, unless NULL, "hint". */
void sp_op_reply_error(struct sp_wr *wr, enum sp_op_status status, const char *error, const char *hint);
void sp_op_str(struct sp_wr *wr, const char *key, const void *data, size_t len);
void sp_op_text(struct sp_wr *wr, const char *key, const char *text);
void sp_op_u64(struct sp_wr *wr, const char *key, uint64_t v);
void sp_op_bool(struct sp_wr *wr, const char *key, bool v);
void sp_op_begin(struct sp_wr *wr, enum sp_op_kind kind, const char *key); /* LIST or RECORD */
void sp_op_end(struct sp_wr *wr);

#define SP_OP_KEY_MAX 63
#define SP_OP_DEPTH 8

struct sp_op_item {
    enum sp_op_kind kind;
    char key[SP_OP_KEY_MAX + 1]; /* zero-terminated */
    const uint8_t *data;         /* STR: borrowed from the reply */
    size_t len;
    uint64_t number; /* U64, BOOL */
};
/* Checks a whole reply: version, every item, LIST and RECORD closed and at most SP_OP_DEPTH deep. Leaves rd at the first item.
 * ERR_SHORT, ERR_FORM, ERR_UNSUP for another version. */
SP_CHECK sp_err sp_op_reply_read(struct sp_rd *rd, enum sp_op_status *ret);
/* The next item; ERR_NOENT at the end, ERR_FORM, ERR_SHORT. */
SP_CHECK sp_err sp_op_next(struct sp_rd *rd, struct sp_op_item *ret);

#endif
