/* From a query to a reply. RFC 1034 4.3.1, 6891 6.1.3 (BADVERS), 7873 5, 8906 (every query gets an answer), 8914 (EDE).
 */
#include "signpostd/core/ask.h"
#include "signpostd/core/update.h"

#define UDP_PLAIN              512
#define EDE_INVALID_QUERY_TYPE 30

#define TYPE_MAILB 253
#define TYPE_MAILA 254

/* ---- counting ---- */

static void count_type(struct sp_answer_counts *c, uint16_t type) {
    if (type > 0 && type < SP_QTYPE_SLOTS) {
        c->by_type[type]++;
        return;
    }
    c->by_type[0]++;
    switch (type) {
    case SP_TYPE_HTTPS:
        c->type_https++;
        break;
    case SP_TYPE_SVCB:
        c->type_svcb++;
        break;
    case SP_TYPE_ANY:
        c->type_any++;
        break;
    case SP_TYPE_CAA:
        c->type_caa++;
        break;
    default:
        c->type_other++;
    }
}

static void count_query(struct sp_ask *ask) {
    struct sp_answer_counts *c = &ask->scratch->counts;
    c->queries[ask->via]++;
    c->queries_edns += ask->edns;
    c->queries_do += ask->want_do;
    if (ask->questions != 0)
        count_type(c, ask->qtype);
}

static void count_reply(struct sp_answer_counts *c, const struct sp_reply *r) {
    c->by_rcode[r->rcode < 32 ? r->rcode : 31]++;
    c->formerr += r->rcode == SP_RCODE_FORMERR;
    c->badvers += r->rcode == SP_RCODE_BADVERS;
    c->truncated += (r->flags & SP_FLAG_TC) != 0;
}

/* ---- beginning and end ---- */

static size_t reply_cap(const struct sp_ask *ask, size_t cap, size_t auth_room) {
    size_t most = SP_MSG_MAX;
    if (ask->via == SP_VIA_UDP) {
        most = UDP_PLAIN;
        if (ask->edns && ask->udp_size > UDP_PLAIN)
            most = ask->udp_size < ask->view->udp_size_max ? ask->udp_size : ask->view->udp_size_max;
        most = most < UDP_PLAIN ? UDP_PLAIN : most;
    }
    most = most < cap ? most : cap;
    return most > auth_room ? most - auth_room : 0;
}

/* Opcode, RD and CD come back as they were; RA and AD are never ours to set (RFC 4035 3.1.6). */
static uint16_t reply_flags(uint16_t query) {
    return (uint16_t)(SP_FLAG_QR | (query & (0x7800 | SP_FLAG_RD | SP_FLAG_CD)));
}

static void reply_begin(struct sp_ask *ask, uint8_t *out, size_t cap) {
    size_t opt = sp_ask_opt_size(ask);
    sp_reply_begin(&ask->reply, out, cap > opt ? cap - opt : 0, reply_flags(ask->flags));
    if (ask->qname != NULL && sp_reply_question(&ask->reply, ask->qname, ask->qname_len, ask->qtype, ask->qclass))
        ask->reply.question = (struct sp_place){ask->key.wire, SP_MSG_HEADER, ask->qname_len};
}

static void refuse(struct sp_ask *ask, uint16_t rcode, int ede, const char *text) {
    ask->reply.rcode = rcode;
    ask->reply.ede = ede;
    ask->reply.ede_text = text;
}

/* ---- what to answer ---- */

static bool ask_cookie(struct sp_ask *ask) {
    struct sp_answer_counts *c = &ask->scratch->counts;
    if (ask->cookie.base == NULL)
        return true;
    switch (sp_cookie_check(&ask->view->cookies, &ask->cookie, ask->client, ask->now)) {
    case SP_COOKIE_MALFORMED:
        return false;
    case SP_COOKIE_NONE:
        return true;
    case SP_COOKIE_GOOD:
    case SP_COOKIE_RENEW:
        c->cookies_good++;
        break;
    case SP_COOKIE_BAD:
        c->cookies_bad++; /* as if it were the client's half alone (RFC 7873 5.2.4), so that old clients get on */
        break;
    case SP_COOKIE_CLIENT_ONLY:
        break;
    }
    sp_cookie_make(&ask->view->cookies, ask->cookie.base, ask->client, ask->now, ask->cookie_out);
    ask->send_cookie = true;
    return true;
}

/* A question that no zone is needed for; true when it is dealt with. */
static bool answer_form(struct sp_ask *ask) {
    if (ask->version != 0)
        refuse(ask, SP_RCODE_BADVERS, -1, NULL);
    else if (ask->malformed)
        refuse(ask, SP_RCODE_FORMERR, -1, NULL);
    else if (ask->questions == 0 && ask->send_cookie)
        return true; /* RFC 7873 5.4: only the cookie was asked for */
    else if (ask->questions != 1)
        refuse(ask, SP_RCODE_FORMERR, -1, NULL);
    else if (ask->qclass != SP_CLASS_IN)
        refuse(ask, SP_RCODE_REFUSED, SP_EDE_NOT_AUTH, "only class IN is served");
    else if (ask->qtype == SP_TYPE_NXNAME)
        refuse(ask, SP_RCODE_FORMERR, EDE_INVALID_QUERY_TYPE, NULL);
    else if (ask->qtype == SP_TYPE_OPT || ask->qtype == SP_TYPE_TSIG || ask->qtype == 0)
        refuse(ask, SP_RCODE_FORMERR, EDE_INVALID_QUERY_TYPE, NULL);
    else if (ask->qtype == SP_TYPE_TKEY || ask->qtype == TYPE_MAILA || ask->qtype == TYPE_MAILB)
        refuse(ask, SP_RCODE_NOTIMP, -1, NULL);
    else if (ask->qtype == SP_TYPE_AXFR || ask->qtype == SP_TYPE_IXFR)
        refuse(ask, SP_RCODE_REFUSED, SP_EDE_PROHIBITED, NULL);
    else
        return false;
    return true;
}

/* Whether the zone that answered last is the closest one again. Then only the labels below it need a hash. */
static const struct sp_zone *ask_last_zone(struct sp_ask *ask) {
    const struct sp_zone *z = ask->scratch->last_zone;
    struct sp_name_key *q = &ask->key;
    if (z == NULL || ask->scratch->last_generation != ask->view->zones->generation || z->zones_below != 0 ||
        q->labels < z->name.labels || ask->qtype == SP_TYPE_DS)
        return NULL;
    size_t len;
    const uint8_t *top = sp_name_key_suffix(q, z->name.labels, &len);
    if (len != z->name.len || memcmp(top, z->name.wire, len) != 0)
        return NULL;
    sp_name_key_hash_from(q, ask->view->zones->hash_key, z->name.labels, z->apex->link.hash);
    return z;
}

/* RFC 4035 3.1.4.1: the DS of a zone is its parent's, when that is ours too. */
static const struct sp_zone *ask_zone(struct sp_ask *ask) {
    const struct sp_zone *z = ask_last_zone(ask);
    if (z != NULL)
        return z;
    const struct sp_zones *zs = ask->view->zones;
    sp_name_key_hash(&ask->key, zs->hash_key);
    z = sp_zones_find(zs, &ask->key, ask->key.labels);
    if (z == NULL)
        return NULL;
    ask->scratch->last_zone = z;
    ask->scratch->last_generation = zs->generation;
    if (ask->qtype == SP_TYPE_DS && z->name.labels == ask->key.labels && ask->key.labels > 0) {
        const struct sp_zone *parent = sp_zones_find(zs, &ask->key, ask->key.labels - 1u);
        return parent != NULL ? parent : z;
    }
    return z;
}

static void answer_budget(struct sp_ask *ask, const struct sp_reply_mark *bare) {
    sp_reply_rewind(&ask->reply, bare);
    ask->reply.flags &= (uint16_t)~SP_FLAG_AA;
    if (ask->via == SP_VIA_UDP) {
        ask->reply.rcode = SP_RCODE_NOERROR;
        ask->reply.flags |= SP_FLAG_TC;
    } else
        refuse(ask, SP_RCODE_SERVFAIL, SP_EDE_OTHER, "too many signatures asked for at once");
}

static void answer_zone(struct sp_ask *ask) {
    const struct sp_zone *z = ask_zone(ask);
    if (z == NULL) {
        refuse(ask, SP_RCODE_REFUSED, SP_EDE_NOT_AUTH, NULL);
        return;
    }
    if (atomic_load_explicit(&z->soa, memory_order_acquire) == NULL) {
        refuse(ask, SP_RCODE_SERVFAIL, SP_EDE_NOT_READY, "the zone has no SOA");
        return;
    }
    struct sp_reply_mark bare = sp_reply_mark(&ask->reply);
    switch (sp_ask_resolve(ask, z)) {
    case SP_RESOLVED:
        break;
    case SP_RESOLVED_TC:
        ask->reply.flags |= SP_FLAG_TC;
        break;
    case SP_RESOLVED_BUDGET:
        answer_budget(ask, &bare);
        break;
    case SP_RESOLVED_FAIL:
        sp_reply_rewind(&ask->reply, &bare);
        ask->reply.flags &= (uint16_t)~SP_FLAG_AA;
        refuse(ask, SP_RCODE_SERVFAIL, SP_EDE_OTHER, "the answer could not be signed");
        break;
    }
}

static enum sp_verdict answer(struct sp_ask *ask, uint8_t *out, size_t cap, size_t auth_room, size_t *ret_len) {
    count_query(ask);
    cap = reply_cap(ask, cap, auth_room);
    if (cap < SP_MSG_HEADER)
        return SP_DROPPED;
    bool cookie_ok = ask_cookie(ask);
    ask->malformed |= !cookie_ok;
    reply_begin(ask, out, cap);
    if (!answer_form(ask))
        answer_zone(ask);
    sp_ask_opt_write(ask, &ask->reply, cap);
    sp_reply_header(&ask->reply, ask->id);
    count_reply(&ask->scratch->counts, &ask->reply);
    *ret_len = ask->reply.pos;
    return SP_ANSWERED;
}

/* ---- the ways in ---- */

/* Header and question, if one was understood. */
static enum sp_verdict answer_bare(struct sp_ask *ask, uint16_t rcode, uint8_t *out, size_t cap, size_t *ret_len) {
    count_query(ask);
    ask->send_cookie = ask->want_nsid = ask->want_keepalive = false;
    cap = reply_cap(ask, cap, 0);
    if (cap < SP_MSG_HEADER)
        return SP_DROPPED;
    reply_begin(ask, out, cap);
    ask->reply.rcode = rcode;
    sp_ask_opt_write(ask, &ask->reply, cap);
    sp_reply_header(&ask->reply, ask->id);
    count_reply(&ask->scratch->counts, &ask->reply);
    *ret_len = ask->reply.pos;
    return SP_ANSWERED;
}

static void ask_context(struct sp_ask *ask, const struct sp_view *view, struct sp_scratch *scratch,
                        enum sp_transport via, const struct sp_addr *client, sp_wall now) {
    ask->view = view;
    ask->scratch = scratch;
    ask->client = client;
    ask->via = via;
    ask->now = now;
    ask->now_s = (uint32_t)sp_wall_sec(now);
}

/* The question's name of a parsed message, made ready. */
static void ask_key(struct sp_ask *ask, const struct sp_msg *msg) {
    if (msg->count[0] >= 1)
        sp_name_key_wire(&ask->key, msg->qname.wire, msg->qname.len, ask->view->zones->hash_key);
}

static enum sp_verdict answer_parsed(struct sp_ask *ask, const uint8_t *query, size_t len, uint8_t *out, size_t cap,
                                     size_t auth_room, size_t *ret_len) {
    struct sp_msg *msg = &ask->scratch->msg;
    sp_err err = sp_msg_parse(msg, query, len);
    unsigned opcode = SP_OPCODE_OF(msg->flags);
    bool known = opcode == SP_OPCODE_QUERY || opcode == SP_OPCODE_NOTIFY || opcode == SP_OPCODE_UPDATE;
    sp_ask_from_msg(ask, msg);
    ask_key(ask, msg);
    if (!known)
        return answer_bare(ask, SP_RCODE_NOTIMP, out, cap, ret_len);
    if (err != SP_OK)
        return answer_bare(ask, SP_RCODE_FORMERR, out, cap, ret_len);
    bool transfer = msg->count[0] == 1 && (msg->qtype == SP_TYPE_AXFR || msg->qtype == SP_TYPE_IXFR);
    if (opcode != SP_OPCODE_QUERY || msg->auth != SP_AUTH_NONE || transfer)
        return SP_FOR_WRITER;
    return answer(ask, out, cap, auth_room, ret_len);
}

enum sp_verdict sp_answer(const struct sp_view *view, struct sp_scratch *scratch, const uint8_t *query, size_t len,
                          enum sp_transport via, const struct sp_addr *client, sp_wall now, uint8_t *out, size_t cap,
                          size_t auth_room, size_t *ret_len) {
    struct sp_ask ask;
    ask_context(&ask, view, scratch, via, client, now);
    switch (sp_ask_read(&ask, query, len)) {
    case SP_ASK_PLAIN:
        return answer(&ask, out, cap, auth_room, ret_len);
    case SP_ASK_OTHER:
        return answer_parsed(&ask, query, len, out, cap, auth_room, ret_len);
    case SP_ASK_DROP:
        break;
    }
    if (len < SP_MSG_HEADER)
        scratch->counts.dropped_short++;
    else
        scratch->counts.dropped_response++;
    return SP_DROPPED;
}

enum sp_verdict sp_answer_verified(const struct sp_view *view, struct sp_scratch *scratch, const struct sp_msg *msg,
                                   enum sp_transport via, const struct sp_addr *client, sp_wall now, uint8_t *out,
                                   size_t cap, size_t auth_room, size_t *ret_len) {
    struct sp_ask ask;
    ask_context(&ask, view, scratch, via, client, now);
    sp_ask_from_msg(&ask, msg);
    ask_key(&ask, msg);
    if (SP_OPCODE_OF(msg->flags) != SP_OPCODE_QUERY)
        return answer_bare(&ask, SP_RCODE_NOTIMP, out, cap, ret_len);
    return answer(&ask, out, cap, auth_room, ret_len);
}

size_t sp_reply_empty(const struct sp_view *view, const struct sp_msg *msg, uint16_t rcode, int ede,
                      const char *ede_text, uint8_t *out, size_t cap) {
    struct sp_ask ask;
    ask.view = view;
    ask.via = SP_VIA_TCP; /* the caller's cap is the limit */
    sp_ask_from_msg(&ask, msg);
    ask.want_nsid = ask.want_keepalive = false;
    if (cap < SP_MSG_HEADER)
        return 0;
    ask.key.wire[0] = 0;
    reply_begin(&ask, out, cap);
    refuse(&ask, rcode, ede, ede_text);
    sp_ask_opt_write(&ask, &ask.reply, cap);
    sp_reply_header(&ask.reply, ask.id);
    return ask.reply.pos;
}
