#include "proto/dns/msg.h"

/* What framing needs of a record. */
struct frame {
    const uint8_t *start;
    bool root_owner;
    uint16_t type, rclass;
    uint32_t ttl;
    struct sp_rd rdata;
};

static sp_err frame_next(struct sp_rd *rd, struct frame *ret) {
    ret->start = rd->pos;
    ret->root_owner = sp_rd_left(rd) > 0 && *rd->pos == 0;
    SP_TRY(sp_name_skip(rd));
    const uint8_t *p = sp_rd_bytes(rd, 10);
    if (p == NULL)
        return SP_ERR_SHORT;
    ret->type = sp_get_u16(p);
    ret->rclass = sp_get_u16(p + 2);
    ret->ttl = sp_get_u32(p + 4);
    ret->rdata = sp_rd_sub(rd, sp_get_u16(p + 8));
    return rd->err;
}

bool sp_edns_next(struct sp_rd *options, uint16_t *code, struct sp_rd *value) {
    if (sp_rd_left(options) == 0)
        return false;
    *code = sp_rd_u16(options);
    *value = sp_rd_sub(options, sp_rd_u16(options));
    return options->err == SP_OK;
}

bool sp_edns_find(const struct sp_edns *edns, uint16_t code, struct sp_rd *value) {
    if (!edns->present)
        return false;
    struct sp_rd options = edns->options;
    uint16_t at;
    while (sp_edns_next(&options, &at, value)) {
        if (at == code)
            return true;
    }
    return false;
}

/* RFC 6891 6.1.1: one OPT, owned by the root, and options that fill it exactly. */
static sp_err take_opt(struct sp_edns *edns, const struct frame *f) {
    if (edns->present || !f->root_owner)
        return SP_ERR_FORM;
    struct sp_rd options = f->rdata, value;
    uint16_t code;
    while (sp_edns_next(&options, &code, &value))
        continue;
    SP_TRY(sp_rd_finish(&options));
    edns->present = true;
    edns->udp_size = f->rclass;
    edns->ext_rcode = (uint8_t)(f->ttl >> 24);
    edns->version = (uint8_t)(f->ttl >> 16);
    edns->flags = (uint16_t)f->ttl;
    edns->options = f->rdata;
    return SP_OK;
}

static enum sp_msg_auth auth_of(const struct frame *f) {
    if (f->type == SP_TYPE_TSIG)
        return SP_AUTH_TSIG;
    /* RFC 2931 3: a SIG that covers type 0 signs the message. */
    bool sig0 = f->type == SP_TYPE_SIG && sp_rd_left(&f->rdata) >= 2 && sp_get_u16(f->rdata.pos) == 0;
    return sig0 ? SP_AUTH_SIG0 : SP_AUTH_NONE;
}

static sp_err frame_section(struct sp_msg *msg, struct sp_rd *rd, unsigned section) {
    struct frame f;
    for (unsigned left = msg->count[section]; left > 0; left--) {
        SP_TRY(frame_next(rd, &f));
        if (f.type != SP_TYPE_OPT && f.type != SP_TYPE_TSIG && f.type != SP_TYPE_SIG)
            continue;
        enum sp_msg_auth auth = auth_of(&f);
        if (f.type == SP_TYPE_OPT) {
            if (section != 3)
                return SP_ERR_FORM;
            SP_TRY(take_opt(&msg->edns, &f));
        } else if (auth != SP_AUTH_NONE) {
            /* RFC 8945 5.1, RFC 2931 3.1: the last record of the message. */
            if (section != 3 || left != 1)
                return SP_ERR_FORM;
            msg->auth = auth;
            msg->auth_offset = (uint16_t)(f.start - rd->base);
        }
    }
    return SP_OK;
}

static sp_err parse_questions(struct sp_msg *msg, struct sp_rd *rd, unsigned count) {
    msg->section[0] = SP_MSG_HEADER;
    if (count == 0)
        return SP_OK;
    SP_TRY(sp_name_read(rd, &msg->qname));
    msg->qtype = sp_rd_u16(rd);
    msg->qclass = sp_rd_u16(rd);
    if (rd->err != SP_OK)
        return rd->err;
    msg->count[0] = 1;
    for (unsigned i = 1; i < count; i++) {
        SP_TRY(sp_name_skip(rd));
        if (sp_rd_bytes(rd, 4) == NULL)
            return SP_ERR_SHORT;
    }
    msg->count[0] = (uint16_t)count;
    return SP_OK;
}

static sp_err parse_records(struct sp_msg *msg, struct sp_rd *rd) {
    for (unsigned s = 1; s < 4; s++) {
        msg->section[s] = (uint16_t)sp_rd_offset(rd);
        msg->count[s] = sp_get_u16(msg->wire + 4 + 2 * s);
        SP_TRY(frame_section(msg, rd, s));
    }
    return sp_rd_finish(rd);
}

sp_err sp_msg_parse(struct sp_msg *ret, const uint8_t *wire, size_t len) {
    ret->wire = wire;
    ret->len = len <= SP_MSG_MAX ? len : 0;
    ret->id = ret->flags = ret->qtype = ret->qclass = ret->auth_offset = 0;
    memset(ret->count, 0, sizeof ret->count);
    memset(ret->section, 0, sizeof ret->section);
    sp_name_root(&ret->qname);
    memset(&ret->edns, 0, sizeof ret->edns);
    ret->auth = SP_AUTH_NONE;
    if (len < SP_MSG_HEADER)
        return SP_ERR_SHORT;
    ret->id = sp_get_u16(wire);
    ret->flags = sp_get_u16(wire + 2);
    if (len > SP_MSG_MAX)
        return SP_ERR_FORM;
    struct sp_rd rd = sp_rd_init(wire, len);
    rd.pos += SP_MSG_HEADER;
    sp_err err = parse_questions(ret, &rd, sp_get_u16(wire + 4));
    if (err == SP_OK)
        err = parse_records(ret, &rd);
    if (err != SP_OK) {
        ret->auth = SP_AUTH_NONE;
        for (unsigned s = 1; s < 4; s++) {
            ret->count[s] = 0;
            ret->section[s] = (uint16_t)len;
        }
    }
    return err;
}

/* Ends where the next section begins, so that a caller may also walk until nothing is left. */
struct sp_rd sp_msg_section(const struct sp_msg *msg, unsigned section) {
    SP_ASSERT(section < 4);
    size_t end = section < 3 ? msg->section[section + 1] : msg->len;
    struct sp_rd rd = sp_rd_init(msg->wire, msg->len);
    rd.pos = rd.base + msg->section[section];
    rd.end = rd.base + end;
    return rd;
}

sp_err sp_msg_rr(struct sp_rd *rd, struct sp_rr *ret) {
    ret->offset = (uint16_t)sp_rd_offset(rd);
    SP_TRY(sp_name_read(rd, &ret->owner));
    const uint8_t *p = sp_rd_bytes(rd, 10);
    if (p == NULL)
        return SP_ERR_SHORT;
    ret->type = sp_get_u16(p);
    ret->rclass = sp_get_u16(p + 2);
    ret->ttl = sp_get_u32(p + 4);
    ret->rdata = sp_rd_sub(rd, sp_get_u16(p + 8));
    return rd->err;
}
