/* Reading queries, and the OPT record of the reply. RFC 1035 4.1, 6891, 7873, 5001 (NSID), 7828. */
#include "signpostd/core/ask.h"

/* ---- EDNS options ---- */

static void ask_option(struct sp_ask *ask, uint16_t code, const uint8_t *value, size_t len) {
    switch (code) {
    case SP_EDNS_COOKIE:
        if (ask->cookie.base == NULL)
            ask->cookie = sp_rd_init(value, len);
        break;
    case SP_EDNS_NSID:
        ask->want_nsid = ask->view->nsid_len != 0;
        break;
    case SP_EDNS_KEEPALIVE:
        /* RFC 7828 3.2.1: over UDP it is ignored. */
        ask->want_keepalive = ask->via == SP_VIA_TCP;
        break;
    default:
        break;
    }
}

static void ask_edns(struct sp_ask *ask, uint16_t udp_size, uint8_t version, uint16_t flags) {
    ask->edns = true;
    ask->udp_size = udp_size;
    ask->version = version;
    ask->edns_flags = flags;
    ask->want_do = (flags & SP_EDNS_DO) != 0;
}

/* False: options that do not fill it exactly. */
static bool ask_options(struct sp_ask *ask, const uint8_t *p, size_t len) {
    while (len > 0) {
        if (len < 4 || sp_get_u16(p + 2) > len - 4)
            return false;
        size_t n = sp_get_u16(p + 2);
        ask_option(ask, sp_get_u16(p), p + 4, n);
        p += 4 + n;
        len -= 4 + n;
    }
    return true;
}

static void ask_clear(struct sp_ask *ask) {
    ask->edns = ask->want_do = ask->want_nsid = ask->want_keepalive = ask->send_cookie = ask->malformed = false;
    ask->version = 0;
    ask->edns_flags = 0;
    ask->udp_size = 0;
    ask->cookie.base = NULL;
    ask->qname = NULL;
    ask->questions = 0;
}

/* ---- the usual query ---- */

/* Reads the name at wire + 12; returns what follows it, or 0. */
static size_t ask_name(struct sp_ask *ask, const uint8_t *wire, size_t len) {
    struct sp_name_key *q = &ask->key;
    size_t at = SP_MSG_HEADER;
    unsigned labels = 0;
    for (;;) {
        if (at >= len || at - SP_MSG_HEADER >= SP_NAME_MAX) /* the root's byte is the 255th at the latest */
            return 0;
        uint8_t c = wire[at];
        q->off[labels] = (uint8_t)(at - SP_MSG_HEADER);
        at += c + 1u;
        if (c == 0)
            break;
        if (c > SP_LABEL_MAX || labels == 127)
            return 0;
        labels++;
    }
    size_t name = at - SP_MSG_HEADER;
    if (at + 4 > len)
        return 0;
    q->len = (uint8_t)name;
    q->labels = (uint8_t)labels;
    sp_name_key_lower(q, wire + SP_MSG_HEADER, name, len - SP_MSG_HEADER);
    return at;
}

enum sp_ask_kind sp_ask_read(struct sp_ask *ask, const uint8_t *wire, size_t len) {
    if (len < SP_MSG_HEADER)
        return SP_ASK_DROP;
    ask_clear(ask);
    ask->id = sp_get_u16(wire);
    ask->flags = sp_get_u16(wire + 2);
    uint16_t extra = sp_get_u16(wire + 10);
    if ((ask->flags & SP_FLAG_QR) != 0)
        return SP_ASK_DROP;
    if (SP_OPCODE_OF(ask->flags) != SP_OPCODE_QUERY || sp_get_u16(wire + 4) != 1 || sp_get_u32(wire + 6) != 0 ||
        extra > 1)
        return SP_ASK_OTHER;
    size_t at = ask_name(ask, wire, len);
    if (at == 0)
        return SP_ASK_OTHER;
    ask->questions = 1;
    ask->qname = wire + SP_MSG_HEADER;
    ask->qname_len = ask->key.len;
    ask->qtype = sp_get_u16(wire + at);
    ask->qclass = sp_get_u16(wire + at + 2);
    at += 4;
    if (ask->qtype == SP_TYPE_AXFR || ask->qtype == SP_TYPE_IXFR)
        return SP_ASK_OTHER;
    if (extra == 0)
        return at == len ? SP_ASK_PLAIN : SP_ASK_OTHER;
    const uint8_t *p = wire + at;
    if (len - at < 11 || p[0] != 0 || sp_get_u16(p + 1) != SP_TYPE_OPT || sp_get_u16(p + 9) != len - at - 11)
        return SP_ASK_OTHER;
    ask_edns(ask, sp_get_u16(p + 3), p[6], sp_get_u16(p + 7));
    return ask_options(ask, p + 11, len - at - 11) ? SP_ASK_PLAIN : SP_ASK_OTHER;
}

void sp_ask_from_msg(struct sp_ask *ask, const struct sp_msg *msg) {
    ask_clear(ask);
    ask->id = msg->id;
    ask->flags = msg->flags;
    ask->questions = msg->count[0];
    if (msg->count[0] >= 1) {
        ask->qname = msg->qname.wire;
        ask->qname_len = msg->qname.len;
        ask->qtype = msg->qtype;
        ask->qclass = msg->qclass;
    }
    if (msg->edns.present) {
        ask_edns(ask, msg->edns.udp_size, msg->edns.version, msg->edns.flags);
        struct sp_rd options = msg->edns.options;
        if (!ask_options(ask, options.pos, sp_rd_left(&options)))
            ask->malformed = true;
    }
}

/* ---- the reply's OPT ---- */

size_t sp_ask_opt_size(const struct sp_ask *ask) {
    if (!ask->edns)
        return 0;
    return 11u + (ask->send_cookie ? 4 + sizeof ask->cookie_out : 0) + (ask->want_nsid ? 4u + ask->view->nsid_len : 0) +
           (ask->want_keepalive ? 6 : 0);
}

static uint8_t *put_option(uint8_t *p, uint16_t code, const void *value, size_t len) {
    sp_put_u16(p, code);
    sp_put_u16(p + 2, (uint16_t)len);
    memcpy(p + 4, value, len);
    return p + 4 + len;
}

void sp_ask_opt_write(const struct sp_ask *ask, struct sp_reply *r, size_t cap) {
    if (!ask->edns || r->pos + sp_ask_opt_size(ask) > cap)
        return;
    uint8_t *start = r->out + r->pos, *p = start + 11;
    start[0] = 0;
    sp_put_u16(start + 1, SP_TYPE_OPT);
    sp_put_u16(start + 3, ask->view->udp_size_max);
    start[5] = (uint8_t)(r->rcode >> 4);
    start[6] = 0;
    /* RFC 9824 5.1: CO comes back with DO, from a server that knows it. */
    sp_put_u16(start + 7, ask->want_do ? ask->edns_flags & (SP_EDNS_DO | SP_EDNS_CO) : 0);
    if (ask->send_cookie)
        p = put_option(p, SP_EDNS_COOKIE, ask->cookie_out, sizeof ask->cookie_out);
    if (ask->want_nsid)
        p = put_option(p, SP_EDNS_NSID, ask->view->nsid, ask->view->nsid_len);
    if (ask->want_keepalive) {
        uint8_t timeout[2];
        sp_put_u16(timeout, ask->view->tcp_keepalive);
        p = put_option(p, SP_EDNS_KEEPALIVE, timeout, 2);
    }
    /* An explanation is worth less than the answer: it comes only where it fits (RFC 8914 3). */
    size_t text = r->ede_text == NULL ? 0 : strlen(r->ede_text), left = cap - (size_t)(p - r->out);
    if (r->ede >= 0 && left >= 6) {
        text = left >= 6 + text ? text : 0;
        sp_put_u16(p, SP_EDNS_EDE);
        sp_put_u16(p + 2, (uint16_t)(2 + text));
        sp_put_u16(p + 4, (uint16_t)r->ede);
        if (text > 0)
            memcpy(p + 6, r->ede_text, text);
        p += 6 + text;
    }
    sp_put_u16(start + 9, (uint16_t)(p - start - 11));
    r->pos = (size_t)(p - r->out);
    r->count[SP_SECTION_ADDITIONAL]++;
}
