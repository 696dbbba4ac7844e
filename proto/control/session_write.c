/* Writing the control session's messages. */
#include "proto/control/session.h"

#include "proto/dns/sig0.h"

#define EDE_TEXT_MAX 128
#define OPT_MAX      (11 + 4 + 2 + EDE_TEXT_MAX)

static struct sp_msgw query(uint16_t id, const struct sp_name *name, uint16_t type, uint8_t *out, size_t cap) {
    struct sp_msgw w;
    sp_msgw_begin(&w, out, cap, id, SP_OPCODE_QUERY << 11);
    sp_msgw_question(&w, name, type, SP_CLASS_IN);
    return w;
}

/* An OPT record: the answer may be so long, and may say why it is no. */
static size_t query_end(struct sp_msgw *w) {
    struct sp_optw o;
    sp_msgw_opt_begin(w, &o, SP_SESSION_MSG, 0, 0, 0);
    sp_msgw_opt_end(w, &o);
    return sp_msgw_end(w);
}

size_t sp_session_query_write(uint16_t id, const struct sp_name *name, uint16_t type, uint8_t *out, size_t cap) {
    struct sp_msgw w = query(id, name, type, out, cap);
    return query_end(&w);
}

size_t sp_session_peers_write(uint16_t id, const struct sp_name *after, uint8_t *out, size_t cap) {
    return sp_session_query_write(id, after, SP_TYPE_SPPEERS, out, cap);
}

size_t sp_session_connect_write(uint16_t id, const struct sp_name *peer, const uint8_t *first, size_t first_len,
                                uint8_t *out, size_t cap) {
    struct sp_msgw w = query(id, peer, SP_TYPE_SPPLAN, out, cap);
    struct sp_name root;
    sp_name_root(&root);
    if (first != NULL && sp_msgw_rr(&w, 3, &root, SP_TYPE_SPFIRST, SP_CLASS_IN, 0, first, first_len) != SP_OK)
        return 0;
    return query_end(&w);
}

size_t sp_session_profile_write(uint16_t id, const struct sp_name *zone, const struct sp_name *device,
                                const struct sp_profile *p, uint8_t *out, size_t cap) {
    uint8_t rdata[SP_PROFILE_MAX];
    struct sp_wr wr = sp_wr_init(rdata, sizeof rdata);
    sp_profile_write(&wr, p);
    if (wr.err != SP_OK)
        return 0;
    struct sp_msgw w;
    sp_msgw_begin(&w, out, cap, id, SP_OPCODE_UPDATE << 11);
    sp_msgw_question(&w, zone, SP_TYPE_SOA, SP_CLASS_IN);
    if (sp_msgw_rr(&w, 2, device, SP_TYPE_SPPROFILE, SP_CLASS_IN, 0, rdata, sp_wr_len(&wr)) != SP_OK)
        return 0;
    return sp_msgw_end(&w);
}

/* ---- answers and pushes ---- */

void sp_session_reply_begin(struct sp_session_writer *w, const struct sp_session_msg *m, uint16_t rcode, uint8_t *out,
                            size_t cap) {
    unsigned opcode = SP_OPCODE_OF(m->flags);
    uint16_t flags = (uint16_t)(SP_FLAG_QR | opcode << 11 | (m->flags & SP_FLAG_RD) | SP_RCODE_OF(rcode));
    if (opcode == SP_OPCODE_QUERY && rcode == SP_RCODE_NOERROR)
        flags |= SP_FLAG_AA;
    w->full = false;
    sp_msgw_begin(&w->msg, out, cap, m->id, flags);
    if (m->qtype != 0) /* 0: it could not be read */
        sp_msgw_question(&w->msg, &m->name, m->qtype, SP_CLASS_IN);
}

void sp_session_push_begin(struct sp_session_writer *w, uint16_t id, const struct sp_name *zone, uint8_t *out,
                           size_t cap) {
    w->full = false;
    sp_msgw_begin(&w->msg, out, cap, id, SP_OPCODE_NOTIFY << 11 | SP_FLAG_AA);
    sp_msgw_question(&w->msg, zone, SP_TYPE_SPSEQ, SP_CLASS_IN);
}

/* Answers end where an EDE still fits. */
static bool put(struct sp_session_writer *w, const struct sp_name *owner, uint16_t type, uint16_t rclass,
                const uint8_t *rdata, size_t len) {
    uint8_t *end = w->msg.wr.end;
    bool room = sp_wr_left(&w->msg.wr) >= OPT_MAX;
    if (room)
        w->msg.wr.end -= OPT_MAX;
    room = room && sp_msgw_rr(&w->msg, 1, owner, type, rclass, 0, rdata, len) == SP_OK;
    w->msg.wr.end = end;
    w->full |= !room;
    return room;
}

void sp_session_put_seq(struct sp_session_writer *w, const struct sp_name *zone, const struct sp_seq *seq) {
    uint8_t rdata[12];
    struct sp_wr wr = sp_wr_init(rdata, sizeof rdata);
    sp_wr_u64(&wr, seq->epoch);
    sp_wr_u32(&wr, seq->sequence);
    (void)put(w, zone, SP_TYPE_SPSEQ, SP_CLASS_IN, rdata, sizeof rdata);
}

bool sp_session_put_plan(struct sp_session_writer *w, const struct sp_name *peer, const struct sp_plan *plan,
                         const uint8_t *first, size_t first_len) {
    uint8_t rdata[SP_PLAN_MAX];
    struct sp_wr wr = sp_wr_init(rdata, sizeof rdata);
    sp_plan_write(&wr, plan);
    SP_ASSERT(wr.err == SP_OK);
    uint8_t *before = w->msg.wr.pos;
    if (!put(w, peer, SP_TYPE_SPPLAN, SP_CLASS_IN, rdata, sp_wr_len(&wr)))
        return false;
    if (first == NULL || put(w, peer, SP_TYPE_SPFIRST, SP_CLASS_IN, first, first_len))
        return true;
    w->msg.wr.pos = before;
    w->msg.count[1]--;
    return false;
}

bool sp_session_put_key(struct sp_session_writer *w, const struct sp_name *device, const uint8_t pub[SP_ED25519_PUB],
                        bool gone) {
    uint8_t rdata[SP_KEY_RDATA];
    sp_key_rdata(pub, rdata);
    return put(w, device, SP_TYPE_KEY, gone ? SP_CLASS_NONE : SP_CLASS_IN, rdata, sizeof rdata);
}

void sp_session_put_ede(struct sp_session_writer *w, uint16_t code, const char *text) {
    uint8_t value[2 + EDE_TEXT_MAX];
    size_t len = strlen(text);
    if (len > EDE_TEXT_MAX)
        len = EDE_TEXT_MAX;
    sp_put_u16(value, code);
    memcpy(value + 2, text, len);
    struct sp_optw o;
    sp_msgw_opt_begin(&w->msg, &o, SP_SESSION_MSG, 0, 0, 0);
    sp_msgw_opt_add(&w->msg, SP_EDNS_EDE, value, 2 + len);
    sp_msgw_opt_end(&w->msg, &o);
}

size_t sp_session_end(struct sp_session_writer *w, bool tc) {
    size_t len = sp_msgw_end(&w->msg);
    if (len > 0 && tc)
        w->msg.wr.base[2] |= SP_FLAG_TC >> 8;
    return len;
}

size_t sp_session_ack_write(const struct sp_session_msg *push, uint8_t *out, size_t cap) {
    struct sp_msgw w;
    sp_msgw_begin(&w, out, cap, push->id, SP_FLAG_QR | SP_OPCODE_NOTIFY << 11 | SP_FLAG_AA);
    sp_msgw_question(&w, &push->name, push->qtype, SP_CLASS_IN);
    return sp_msgw_end(&w);
}
