#include "client/core/resolver.h"

#include "client/core/resolver_reply.h"

#define QUERY_MAX 4096

/* One query being decided about. */
struct question {
    const struct sp_resolver_config *config;
    const struct sp_directory *dir;
    struct sp_msg msg;
    struct sp_name name, in_zone; /* lower case; what it stands for in the zone */
    enum sp_resolver_place place;
    sp_instant now;
    uint8_t *out;
    size_t cap;
    struct sp_resolver_reply reply;
};

void sp_resolver_addr(const uint8_t root_hash[SP_ROOT_HASH], uint8_t ret[16]) {
    memset(ret, 0, 16);
    sp_overlay_prefix(root_hash, ret);
    ret[15] = 0x53;
}

/* ---- replies ---- */

static size_t error(struct question *q, uint16_t rcode, int ede, const char *text) {
    return sp_resolver_reply_error(q->config, &q->msg, rcode, ede, text, q->out, q->cap);
}

static void begin(struct question *q) {
    sp_resolver_reply_begin(&q->reply, q->config, &q->msg, SP_FLAG_AA, q->out, q->cap);
}

/* NODATA or NXDOMAIN of the zone that `owner` is the apex of. */
static size_t negative(struct question *q, uint16_t rcode, const struct sp_name *owner) {
    begin(q);
    q->reply.rcode = rcode;
    sp_resolver_reply_soa(&q->reply, 2, owner);
    return sp_resolver_reply_end(&q->reply);
}

static size_t positive(struct question *q, uint16_t type, const uint8_t *rdata, size_t len) {
    begin(q);
    sp_resolver_reply_rr(&q->reply, 1, &q->msg.qname, type, SP_RESOLVER_TTL, rdata, len);
    return sp_resolver_reply_end(&q->reply);
}

/* ---- devices ---- */

static bool is_zero(const uint8_t addr[16]) {
    static const uint8_t zero[16];
    return memcmp(addr, zero, 16) == 0;
}

static bool is_address_type(uint16_t type) {
    return type == SP_TYPE_A || type == SP_TYPE_AAAA || type == SP_TYPE_ANY;
}

/* The overlay address of the name in the zone, or NULL; *ret: its device, NULL for our own. */
static const uint8_t *address_of(const struct question *q, struct sp_dir_entry **ret) {
    struct sp_dir_entry *e = sp_directory_name(q->dir, &q->in_zone);
    bool own = sp_name_equal(&q->in_zone, &q->config->self);
    *ret = own ? NULL : e;
    if (own && !is_zero(q->config->self_addr))
        return q->config->self_addr;
    return e != NULL ? e->overlay : NULL;
}

/* AAAA; ANY gets one RRset (RFC 8482 4.1); A exists nowhere, so that nothing goes around the tunnel. */
static size_t answer_address(struct question *q, const uint8_t addr[16], struct sp_dir_entry *device,
                             struct sp_dir_entry **ret) {
    *ret = NULL;
    if (q->msg.qtype == SP_TYPE_A)
        return negative(q, SP_RCODE_NOERROR, &q->config->zone);
    *ret = device;
    return positive(q, SP_TYPE_AAAA, addr, 16);
}

/* ---- reverse ---- */

/* The address of a whole reverse name; false: it has more labels or fewer, or others. */
static bool reverse_address(const struct sp_name *name, uint8_t ret[16]) {
    if (name->labels != 34)
        return false;
    const uint8_t *at = name->wire;
    for (unsigned i = 0; i < 32; i++, at += 2) {
        uint8_t c = at[1];
        bool digit = c >= '0' && c <= '9', letter = c >= 'a' && c <= 'f';
        if (at[0] != 1 || !(digit || letter))
            return false;
        uint8_t nibble = (uint8_t)(digit ? c - '0' : c - 'a' + 10);
        ret[15 - i / 2] = (uint8_t)(i % 2 == 0 ? nibble : ret[15 - i / 2] | nibble << 4);
    }
    return true;
}

static const struct sp_name *name_of(const struct question *q, const uint8_t addr[16]) {
    if (!is_zero(q->config->self_addr) && memcmp(addr, q->config->self_addr, 16) == 0)
        return &q->config->self;
    const struct sp_dir_entry *e = sp_directory_addr(q->dir, addr);
    return e != NULL ? &e->name : NULL;
}

static size_t answer_reverse(struct question *q) {
    struct sp_name apex;
    uint8_t addr[16];
    uint16_t type = q->msg.qtype;
    sp_resolver_reverse_zone(q->config->root_hash, &apex);
    if (q->name.labels == apex.labels && (type == SP_TYPE_SOA || type == SP_TYPE_ANY)) {
        begin(q);
        sp_resolver_reply_soa(&q->reply, 1, &q->msg.qname);
        return sp_resolver_reply_end(&q->reply);
    }
    /* RFC 8020 2: what lies between the apex and the addresses exists, without data. */
    if (q->name.labels < 34)
        return negative(q, SP_RCODE_NOERROR, &apex);
    const struct sp_name *name = reverse_address(&q->name, addr) ? name_of(q, addr) : NULL;
    if (name == NULL)
        return negative(q, SP_RCODE_NXDOMAIN, &apex);
    if (type != SP_TYPE_PTR && type != SP_TYPE_ANY)
        return negative(q, SP_RCODE_NOERROR, &apex);
    return positive(q, SP_TYPE_PTR, name->wire, name->len);
}

/* RFC 6761 6.3: every name below `localhost` is this machine, and nobody is asked. */
static size_t answer_localhost(struct question *q) {
    static const uint8_t loop4[4] = {127, 0, 0, 1}, loop6[16] = {[15] = 1};
    if (q->msg.qtype == SP_TYPE_A)
        return positive(q, SP_TYPE_A, loop4, 4);
    if (q->msg.qtype == SP_TYPE_AAAA || q->msg.qtype == SP_TYPE_ANY)
        return positive(q, SP_TYPE_AAAA, loop6, 16);
    begin(q);
    return sp_resolver_reply_end(&q->reply);
}

/* ---- deciding ---- */

static enum sp_resolver_verdict resolved(size_t len, size_t *ret_len) {
    *ret_len = len;
    return len > 0 ? SP_RESOLVED : SP_RESOLVE_DROP;
}

static enum sp_resolver_verdict decide_elsewhere(struct question *q, size_t *ret_len) {
    /* RFC 1035 4.1.1: without RD nobody else is to be asked; the NSS module asks so. */
    if (q->config->forward && (q->msg.flags & SP_FLAG_RD) != 0)
        return SP_RESOLVE_FORWARD;
    return resolved(error(q, SP_RCODE_REFUSED, SP_EDE_NOT_AUTHORITATIVE, "not a name of this device's zone"), ret_len);
}

static enum sp_resolver_verdict decide_device(struct question *q, size_t *ret_len, struct sp_resolver_ask *ret) {
    bool is_short = q->place == SP_PLACE_SHORT;
    if (!is_address_type(q->msg.qtype))
        return is_short ? decide_elsewhere(q, ret_len) : SP_RESOLVE_ASK;
    struct sp_dir_entry *device;
    const uint8_t *addr = address_of(q, &device);
    if (addr != NULL)
        return resolved(answer_address(q, addr, device, &ret->device), ret_len);
    if (!sp_directory_is_absent(q->dir, &q->in_zone, q->now))
        return SP_RESOLVE_LOOK_UP;
    return is_short ? decide_elsewhere(q, ret_len)
                    : resolved(negative(q, SP_RCODE_NXDOMAIN, &q->config->zone), ret_len);
}

/* Below a device the signpost knows what there is, unless a device is called so itself. */
static enum sp_resolver_verdict decide_below(struct question *q, size_t *ret_len, struct sp_resolver_ask *ret) {
    struct sp_dir_entry *device;
    const uint8_t *addr = is_address_type(q->msg.qtype) ? address_of(q, &device) : NULL;
    return addr != NULL ? resolved(answer_address(q, addr, device, &ret->device), ret_len) : SP_RESOLVE_ASK;
}

/* A reserved name alone is not the zone's, so there is no SOA to speak of. */
static size_t answer_reserved(struct question *q) {
    if (sp_name_under(&q->name, &q->config->zone))
        return negative(q, SP_RCODE_NXDOMAIN, &q->config->zone);
    return error(q, SP_RCODE_NXDOMAIN, SP_EDE_NONE, NULL);
}

static enum sp_resolver_verdict decide(struct question *q, size_t *ret_len, struct sp_resolver_ask *ret) {
    switch (q->place) {
    case SP_PLACE_APEX:
        return SP_RESOLVE_ASK;
    case SP_PLACE_BELOW:
        return decide_below(q, ret_len, ret);
    case SP_PLACE_DEVICE:
    case SP_PLACE_SHORT:
        return decide_device(q, ret_len, ret);
    case SP_PLACE_RESERVED:
        return resolved(answer_reserved(q), ret_len);
    case SP_PLACE_REVERSE:
        return resolved(answer_reverse(q), ret_len);
    case SP_PLACE_LOCALHOST:
        return resolved(answer_localhost(q), ret_len);
    case SP_PLACE_ELSEWHERE:
        break;
    }
    return decide_elsewhere(q, ret_len);
}

/* Reads a query and finds its place. */
static sp_err question_read(struct question *q, const struct sp_resolver_config *c, const struct sp_directory *d,
                            const uint8_t *query, size_t len, uint8_t *out, size_t cap) {
    q->config = c;
    q->dir = d;
    q->out = out;
    q->cap = cap;
    SP_TRY(sp_msg_parse(&q->msg, query, len));
    if (q->msg.count[0] != 1)
        return SP_ERR_FORM;
    q->name = q->msg.qname;
    sp_name_lower(&q->name);
    q->place = sp_resolver_place(c, &q->name, &q->in_zone);
    return SP_OK;
}

enum sp_resolver_verdict sp_resolver_query(const struct sp_resolver_config *c, const struct sp_directory *d,
                                           const uint8_t *query, size_t len, sp_instant now, uint8_t *out, size_t cap,
                                           size_t *ret_len, struct sp_resolver_ask *ret) {
    struct question q;
    *ret_len = 0;
    ret->device = NULL;
    if (len < SP_MSG_HEADER || len > QUERY_MAX || (query[2] & 0x80) != 0)
        return SP_RESOLVE_DROP;
    sp_err err = question_read(&q, c, d, query, len, out, cap);
    if (SP_OPCODE_OF(q.msg.flags) != SP_OPCODE_QUERY)
        return resolved(error(&q, SP_RCODE_NOTIMP, SP_EDE_NONE, NULL), ret_len);
    if (err != SP_OK)
        return resolved(error(&q, SP_RCODE_FORMERR, SP_EDE_NONE, NULL), ret_len);
    if (q.msg.edns.present && q.msg.edns.version > 0)
        return resolved(error(&q, SP_RCODE_BADVERS, SP_EDE_NONE, NULL), ret_len);
    /* Transfers, and the types that the control session uses for itself, are nothing for programs. */
    if (q.msg.qclass != SP_CLASS_IN || (sp_type_is_meta(q.msg.qtype) && q.msg.qtype != SP_TYPE_ANY))
        return resolved(error(&q, SP_RCODE_REFUSED, SP_EDE_NONE, NULL), ret_len);
    q.now = now;
    ret->name = q.in_zone;
    ret->type = q.msg.qtype;
    enum sp_resolver_verdict v = decide(&q, ret_len, ret);
    if (v == SP_RESOLVE_FORWARD)
        ret->name = q.name; /* a short one goes as it came */
    return v;
}

/* ---- after a look-up ---- */

static const char *reason(sp_err err) {
    return err == SP_ERR_AGAIN   ? "no answer from the signpost"
           : err == SP_ERR_STATE ? "no session with the signpost"
                                 : sp_err_text(err);
}

size_t sp_resolver_answer(const struct sp_resolver_config *c, const struct sp_directory *d, const uint8_t *query,
                          size_t len, sp_err err, uint8_t *out, size_t cap, struct sp_dir_entry **ret_device) {
    struct question q;
    struct sp_dir_entry *device;
    *ret_device = NULL;
    if (len > QUERY_MAX || question_read(&q, c, d, query, len, out, cap) != SP_OK)
        return 0;
    bool is_short = q.place == SP_PLACE_SHORT;
    if (q.place != SP_PLACE_DEVICE && !is_short)
        return error(&q, SP_RCODE_SERVFAIL, SP_EDE_NONE, NULL);
    const uint8_t *addr = address_of(&q, &device);
    if (addr != NULL)
        return answer_address(&q, addr, device, ret_device);
    /* A short name that is none of ours, or may be none: whoever asked goes on elsewhere. */
    if (is_short)
        return error(&q, c->forward && err == SP_OK ? SP_RCODE_NXDOMAIN : SP_RCODE_REFUSED, SP_EDE_NOT_AUTHORITATIVE,
                     NULL);
    if (err != SP_OK)
        return error(&q, SP_RCODE_SERVFAIL, SP_EDE_NO_AUTHORITY, reason(err));
    return negative(&q, SP_RCODE_NXDOMAIN, &c->zone);
}
