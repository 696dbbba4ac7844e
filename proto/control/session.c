/* Reading the control session's messages. RFC 1035 4.1, 1996 (NOTIFY), 2136 2 (UPDATE), 8914 (EDE). */
#include "proto/control/session.h"

#include "proto/dns/sig0.h"

#define SEQ_RDATA 12

static sp_err seq_read(struct sp_rd *rdata, struct sp_seq *ret) {
    ret->epoch = sp_rd_u64(rdata);
    ret->sequence = sp_rd_u32(rdata);
    return sp_rd_finish(rdata);
}

/* The only record of the update section. */
static sp_err profile_read(const struct sp_msg *msg, struct sp_session_msg *ret) {
    if (msg->count[0] != 1 || msg->count[1] != 0 || msg->count[2] != 1)
        return SP_OK; /* some other update */
    struct sp_rd rd = sp_msg_section(msg, 2);
    struct sp_rr rr;
    SP_TRY(sp_msg_rr(&rd, &rr));
    if (rr.type != SP_TYPE_SPPROFILE || rr.rclass != SP_CLASS_IN)
        return SP_OK;
    ret->device = rr.owner;
    sp_name_lower(&ret->device);
    SP_TRY(sp_profile_read(&rr.rdata, &ret->profile));
    SP_TRY(sp_rd_finish(&rr.rdata));
    ret->kind = SP_SESSION_PROFILE;
    return SP_OK;
}

static sp_err connect_read(const struct sp_msg *msg, struct sp_session_msg *ret) {
    struct sp_rd rd = sp_msg_section(msg, 3);
    struct sp_rr rr;
    for (unsigned left = msg->count[3]; left > 0; left--) {
        SP_TRY(sp_msg_rr(&rd, &rr));
        if (rr.type != SP_TYPE_SPFIRST || rr.owner.labels != 0)
            continue;
        if (ret->first != NULL || sp_rd_left(&rr.rdata) == 0)
            return SP_ERR_FORM;
        ret->first = rr.rdata.pos;
        ret->first_len = sp_rd_left(&rr.rdata);
    }
    ret->kind = SP_SESSION_CONNECT;
    return SP_OK;
}

/* The answer section: SPSEQ, if there is one, comes first. */
static sp_err answers_read(const struct sp_msg *msg, struct sp_session_msg *ret) {
    ret->records = sp_msg_section(msg, 1);
    ret->record_count = msg->count[1];
    if (ret->record_count == 0)
        return SP_OK;
    struct sp_rd rd = ret->records;
    struct sp_rr rr;
    SP_TRY(sp_msg_rr(&rd, &rr));
    if (rr.type != SP_TYPE_SPSEQ)
        return SP_OK;
    SP_TRY(seq_read(&rr.rdata, &ret->seq));
    ret->has_seq = true;
    ret->records = rd;
    ret->record_count--;
    return SP_OK;
}

static sp_err push_read(const struct sp_msg *msg, struct sp_session_msg *ret) {
    ret->kind = SP_SESSION_PUSH;
    SP_TRY(answers_read(msg, ret));
    return ret->has_seq ? SP_OK : SP_ERR_FORM;
}

static sp_err response_read(const struct sp_msg *msg, struct sp_session_msg *ret) {
    if (SP_OPCODE_OF(msg->flags) == SP_OPCODE_NOTIFY) {
        ret->kind = SP_SESSION_ACK;
        return SP_OK;
    }
    struct sp_rd ede;
    ret->kind = SP_SESSION_REPLY;
    ret->rcode |= (uint16_t)(msg->edns.ext_rcode << 4);
    ret->tc = msg->flags & SP_FLAG_TC;
    if (sp_edns_find(&msg->edns, SP_EDNS_EDE, &ede) && sp_rd_left(&ede) >= 2)
        ret->ede = sp_rd_u16(&ede);
    return answers_read(msg, ret);
}

static sp_err request_read(const struct sp_msg *msg, struct sp_session_msg *ret) {
    if (msg->count[0] != 1 || msg->qclass != SP_CLASS_IN)
        return SP_OPCODE_OF(msg->flags) == SP_OPCODE_QUERY ? SP_ERR_FORM : SP_OK;
    switch (SP_OPCODE_OF(msg->flags)) {
    case SP_OPCODE_QUERY:
        if (msg->qtype == SP_TYPE_SPPLAN)
            return connect_read(msg, ret);
        ret->kind = msg->qtype == SP_TYPE_SPPEERS ? SP_SESSION_PEERS : SP_SESSION_QUERY;
        return SP_OK;
    case SP_OPCODE_NOTIFY:
        return msg->qtype == SP_TYPE_SPSEQ ? push_read(msg, ret) : SP_OK;
    case SP_OPCODE_UPDATE:
        return profile_read(msg, ret);
    default:
        return SP_OK;
    }
}

static void message_clear(struct sp_session_msg *m) {
    memset(m, 0, sizeof *m);
    m->kind = SP_SESSION_OTHER;
    sp_name_root(&m->name);
    sp_name_root(&m->device);
    m->ede = UINT16_MAX;
    m->records = sp_rd_init(NULL, 0);
}

sp_err sp_session_read(struct sp_session_msg *ret, const uint8_t *data, size_t len) {
    struct sp_msg msg;
    message_clear(ret);
    sp_err err = sp_msg_parse(&msg, data, len);
    ret->id = msg.id;
    ret->flags = msg.flags;
    if (err != SP_OK)
        return err;
    ret->rcode = SP_RCODE_OF(msg.flags);
    ret->name = msg.qname;
    sp_name_lower(&ret->name);
    ret->qtype = msg.qtype;
    err = msg.flags & SP_FLAG_QR ? response_read(&msg, ret) : request_read(&msg, ret);
    if (err != SP_OK) {
        message_clear(ret);
        ret->id = msg.id;
        ret->flags = msg.flags;
    }
    return err;
}

/* ---- records ---- */

static sp_err key_read(const struct sp_rr *rr, struct sp_session_record *ret) {
    if (sp_key_parse(rr->rdata.pos, sp_rd_left(&rr->rdata), ret->pub) != SP_OK)
        return SP_OK; /* a key of another kind */
    if (rr->rclass == SP_CLASS_IN)
        ret->kind = SP_RECORD_KEY;
    else if (rr->rclass == SP_CLASS_NONE)
        ret->kind = SP_RECORD_KEY_GONE;
    return SP_OK;
}

static sp_err plan_read(struct sp_rr *rr, struct sp_session_record *ret) {
    sp_err err = sp_plan_read(&rr->rdata, &ret->plan);
    if (err == SP_ERR_UNSUP)
        return SP_OK;
    SP_TRY(err);
    ret->kind = SP_RECORD_PLAN;
    return sp_rd_finish(&rr->rdata);
}

static sp_err record_read(struct sp_rr *rr, struct sp_session_record *ret) {
    size_t len = sp_rd_left(&rr->rdata);
    if (rr->type == SP_TYPE_KEY)
        return key_read(rr, ret);
    if (rr->rclass != SP_CLASS_IN)
        return SP_OK;
    switch (rr->type) {
    case SP_TYPE_SPPLAN:
        return plan_read(rr, ret);
    case SP_TYPE_SPFIRST:
        ret->kind = SP_RECORD_FIRST;
        ret->data = rr->rdata.pos;
        ret->len = len;
        return len > 0 ? SP_OK : SP_ERR_FORM;
    case SP_TYPE_AAAA:
        if (len != sizeof ret->addr)
            return SP_ERR_FORM;
        ret->kind = SP_RECORD_AAAA;
        sp_rd_copy(&rr->rdata, ret->addr, sizeof ret->addr);
        return SP_OK;
    default:
        return SP_OK;
    }
}

sp_err sp_session_record(struct sp_session_msg *m, struct sp_session_record *ret) {
    if (m->record_count == 0)
        return SP_ERR_NOENT;
    struct sp_rr rr;
    m->record_count--;
    if (sp_msg_rr(&m->records, &rr) != SP_OK)
        return SP_ERR_FORM;
    ret->kind = SP_RECORD_OTHER;
    ret->data = NULL;
    ret->len = 0;
    ret->owner = rr.owner;
    sp_name_lower(&ret->owner);
    return record_read(&rr, ret) == SP_OK ? SP_OK : SP_ERR_FORM;
}
