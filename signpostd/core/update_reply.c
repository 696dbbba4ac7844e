/* Replies to updates and to messages whose signature was refused: header, zone section, OPT, signature. */
#include "signpostd/core/updater.h"

#define SIG0_WINDOW_S 300

struct reason {
    uint16_t rcode;
    int16_t ede;
    const char *text;
};

static struct reason reason_of(enum sp_refusal why) {
    static const struct reason reasons[] = {
#define X(name, rcode, ede, text) {SP_RCODE_##rcode, SP_EDE_##ede, text},
        SP_REFUSAL_LIST(X)
#undef X
    };
    return reasons[why];
}

/* ---- signatures ---- */

size_t sp_signer_size(const struct sp_updater *u, const struct sp_signer *signer) {
    const struct sp_zone *z;
    switch (signer->reply) {
    case SP_REPLY_TSIG:
        return sp_tsig_size(&signer->tsig);
    case SP_REPLY_TSIG_UNSIGNED:
        return (size_t)(signer->name.len + signer->tsig_alg.len) + 10 + 16 + 6;
    case SP_REPLY_SIG0:
        z = sp_zones_by_id(u->zones, signer->signpost_zone);
        return z == NULL ? 0 : sp_sig0_size(&sp_zone_info(z)->signpost);
    case SP_REPLY_PLAIN:
        break;
    }
    return 0;
}

sp_err sp_signer_sign(struct sp_updater *u, struct sp_signer *signer, struct sp_wr *wr, const uint8_t *request,
                      size_t request_len, bool later, sp_wall wall) {
    const struct sp_zone *z;
    switch (signer->reply) {
    case SP_REPLY_TSIG: {
        /* The first reply covers the request's MAC; its own is then what the next one covers. */
        struct sp_tsig_state asked = signer->tsig_state;
        return sp_tsig_sign(wr, &signer->tsig, wall, later ? NULL : &asked, later, &signer->tsig_state);
    }
    case SP_REPLY_TSIG_UNSIGNED:
        return sp_tsig_unsigned(wr, &signer->name, &signer->tsig_alg, signer->tsig_state.error, wall);
    case SP_REPLY_SIG0:
        z = sp_zones_by_id(u->zones, signer->signpost_zone);
        if (z == NULL)
            return SP_OK; /* removed meanwhile: nobody is there to sign for it */
        return sp_sig0_sign(wr, &sp_zone_info(z)->signpost, &sp_zone_info(z)->signpost_key,
                            sp_zone_info(z)->signpost_tag, wall, SIG0_WINDOW_S, request, request_len, u->scratch,
                            SP_SCRATCH);
    case SP_REPLY_PLAIN:
        break;
    }
    return SP_OK;
}

/* ---- replies ---- */

struct reply {
    uint16_t rcode;
    enum sp_refusal why;
    uint8_t lease[8];
    uint8_t lease_len;
};

static void cookie_add(struct sp_msgw *w, const struct sp_view *view, const struct sp_msg *msg,
                       const struct sp_addr *src, sp_wall wall) {
    struct sp_rd value;
    uint8_t cookie[24];
    if (!sp_edns_find(&msg->edns, SP_EDNS_COOKIE, &value) || sp_rd_left(&value) < 8)
        return;
    sp_cookie_make(&view->cookies, sp_rd_bytes(&value, 8), src, wall, cookie);
    sp_msgw_opt_add(w, SP_EDNS_COOKIE, cookie, sizeof cookie);
}

static void opt_write(struct sp_msgw *w, const struct sp_view *view, const struct sp_msg *msg,
                      const struct sp_addr *src, const struct reply *r, sp_wall wall) {
    struct sp_optw o;
    struct reason reason = reason_of(r->why);
    uint8_t ede[2 + 128];
    size_t text_len = strlen(reason.text);
    sp_msgw_opt_begin(w, &o, view->udp_size_max, r->rcode, 0, 0);
    if (reason.ede != SP_EDE_NONE && r->rcode != SP_RCODE_NOERROR) {
        sp_put_u16(ede, (uint16_t)reason.ede);
        memcpy(ede + 2, reason.text, text_len);
        sp_msgw_opt_add(w, SP_EDNS_EDE, ede, 2 + text_len);
    }
    if (r->lease_len > 0)
        sp_msgw_opt_add(w, SP_EDNS_UL, r->lease, r->lease_len);
    cookie_add(w, view, msg, src, wall);
    sp_msgw_opt_end(w, &o);
}

static size_t reply_write(struct sp_updater *u, const struct sp_view *view, const struct sp_msg *msg,
                          const struct sp_addr *src, const struct reply *r, struct sp_signer *signer, sp_wall wall,
                          uint8_t *out, size_t cap) {
    struct sp_msgw w;
    size_t sign = sp_signer_size(u, signer);
    uint16_t flags = (uint16_t)(SP_FLAG_QR | (msg->flags & 0x7900) | (r->rcode & 15)); /* opcode and RD as asked */
    if (cap <= sign)
        return 0;
    sp_msgw_begin(&w, out, cap - sign, msg->id, flags);
    if (msg->count[0] >= 1 && msg->qname.len > 0)
        sp_msgw_question(&w, &msg->qname, msg->qtype, msg->qclass);
    if (msg->edns.present) /* and only then, RFC 6891 7 */
        opt_write(&w, view, msg, src, r, wall);
    size_t len = sp_msgw_end(&w);
    if (len == 0)
        return 0;
    struct sp_wr wr = sp_wr_init(out, cap);
    wr.pos += len;
    if (sp_signer_sign(u, signer, &wr, msg->wire, msg->len, false, wall) != SP_OK)
        return 0;
    return sp_wr_len(&wr);
}

size_t sp_update_reply(struct sp_updater *u, const struct sp_view *view, const struct sp_msg *msg,
                       const struct sp_addr *src, struct sp_update *up, sp_wall wall, uint8_t *out, size_t cap) {
    struct reply r = {.rcode = up->rcode, .why = up->why, .lease_len = up->lease_len};
    sp_put_u32(r.lease, up->lease_s);
    sp_put_u32(r.lease + 4, up->key_lease_s);
    return reply_write(u, view, msg, src, &r, &up->signer, wall, out, cap);
}

size_t sp_signer_refuse(struct sp_updater *u, const struct sp_view *view, const struct sp_msg *msg,
                        const struct sp_addr *src, struct sp_signer *signer, sp_wall wall, uint8_t *out, size_t cap) {
    struct reply r = {.rcode = reason_of(signer->why).rcode, .why = signer->why};
    return reply_write(u, view, msg, src, &r, signer, wall, out, cap);
}
