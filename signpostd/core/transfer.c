/* Zone transfers. AXFR by RFC 5936, over TCP with TSIG, out of a pin: one view, however long it takes. IXFR by RFC 1995
 * without a history: the current SOA, or the whole zone. */
#include "signpostd/core/server_int.h"

#define TRANSFER_MSG   ((size_t)32 << 10) /* a message is closed once it is this long */
#define TRANSFER_SLICE 4                  /* messages of one stream before others have their turn */

struct sp_transfer {
    struct sp_pin *pin;
    size_t pos;      /* entries sent; pin->count: the closing SOA is next */
    uint32_t record; /* of the entry at pos */
    bool later;      /* a message has gone out */
    uint16_t id, flags, qtype, qclass;
    struct sp_name qname;
    struct sp_signer signer;
    size_t request_len;
    uint8_t request[];
};

static void refuse(struct sp_server *s, const struct sp_from *from, const struct sp_msg *msg, uint16_t rcode, int ede,
                   const char *text, struct sp_signer *signer) {
    size_t cap;
    uint8_t *out = sp_reply_room(s, from, msg, &cap);
    if (out == NULL)
        return;
    size_t auth = sp_signer_size(s->updater, signer);
    size_t len = sp_reply_empty(&s->view, msg, rcode, ede, text, out, cap - auth);
    struct sp_wr wr = sp_wr_init(out, cap);
    wr.pos += len;
    if (len > 0 && sp_signer_sign(s->updater, signer, &wr, msg->wire, msg->len, false, s->wall) == SP_OK)
        sp_reply_send(s, from, sp_wr_len(&wr));
}

static uint16_t reply_flags(const struct sp_msg *msg) {
    return (uint16_t)(SP_FLAG_QR | SP_FLAG_AA | (msg->flags & SP_FLAG_RD));
}

/* A reply with nothing but the SOA: an IXFR over UDP (RFC 1995 2), or one from a client that is current. */
static void send_soa(struct sp_server *s, const struct sp_from *from, const struct sp_msg *msg, struct sp_zone *z,
                     struct sp_signer *signer) {
    struct sp_msgw *w = &s->msgw;
    size_t cap;
    uint8_t *out = sp_reply_room(s, from, msg, &cap);
    struct sp_node *apex = sp_zone_node(z, sp_zone_apex(z));
    const struct sp_rrset *soa = apex != NULL ? sp_node_rrset(apex, SP_TYPE_SOA) : NULL;
    if (out == NULL || soa == NULL)
        return;
    size_t auth = sp_signer_size(s->updater, signer);
    sp_msgw_begin(w, out, cap - auth, msg->id, reply_flags(msg));
    sp_msgw_question(w, &msg->qname, msg->qtype, msg->qclass);
    struct sp_rrs rrs = sp_rrset_view(soa);
    sp_err err = sp_msgw_rrs(w, 1, &msg->qname, &rrs);
    size_t len = err == SP_OK ? sp_msgw_end(w) : 0;
    struct sp_wr wr = sp_wr_init(out, cap);
    wr.pos += len;
    if (len > 0 && sp_signer_sign(s->updater, signer, &wr, msg->wire, msg->len, false, s->wall) == SP_OK)
        sp_reply_send(s, from, sp_wr_len(&wr));
}

/* The serial of the SOA in the authority section of an IXFR. */
static sp_err ixfr_serial(const struct sp_msg *msg, uint32_t *ret) {
    struct sp_rd rd = sp_msg_section(msg, 2);
    struct sp_rr rr;
    if (msg->count[2] != 1)
        return SP_ERR_FORM;
    SP_TRY(sp_msg_rr(&rd, &rr));
    if (rr.type != SP_TYPE_SOA || !sp_name_equal(&rr.owner, &msg->qname))
        return SP_ERR_FORM;
    struct sp_name skip;
    SP_TRY(sp_name_read(&rr.rdata, &skip));
    SP_TRY(sp_name_read(&rr.rdata, &skip));
    *ret = sp_rd_u32(&rr.rdata);
    return rr.rdata.err;
}

static sp_err start(struct sp_server *s, struct sp_stream *st, const struct sp_msg *msg, struct sp_zone *z,
                    const struct sp_signer *signer) {
    struct sp_transfer *t = sp_mem_alloc(&s->mem, sizeof *t + msg->len);
    if (t == NULL)
        return SP_ERR_FULL;
    sp_err err = sp_pin_new(s, z, false, &t->pin);
    if (err != SP_OK) {
        sp_mem_free(&s->mem, t, sizeof *t + msg->len);
        return err;
    }
    t->id = msg->id;
    t->flags = reply_flags(msg);
    t->qtype = msg->qtype;
    t->qclass = msg->qclass;
    t->qname = msg->qname;
    t->signer = *signer;
    t->request_len = msg->len;
    memcpy(t->request, msg->wire, msg->len);
    st->transfer = t;
    st->progress = s->now;
    s->transfers++;
    sp_stream_wake(s, st);
    return SP_OK;
}

void sp_transfer_request(struct sp_server *s, const struct sp_from *from, struct sp_stream *st,
                         const struct sp_msg *msg, struct sp_signer *signer) {
    struct sp_zone *z = msg->qclass == SP_CLASS_IN ? sp_zones_get(s->zones, &msg->qname) : NULL;
    bool ixfr = msg->qtype == SP_TYPE_IXFR;
    uint32_t serial = 0;
    if (msg->count[0] != 1 || (ixfr && ixfr_serial(msg, &serial) != SP_OK)) {
        refuse(s, from, msg, SP_RCODE_FORMERR, SP_EDE_INVALID, "malformed transfer request", signer);
    } else if (z == NULL) {
        refuse(s, from, msg, SP_RCODE_NOTAUTH, SP_EDE_NOT_AUTH, "this server is not authoritative for that zone",
               signer);
    } else if (!sp_signer_may_transfer(signer, z)) {
        refuse(s, from, msg, SP_RCODE_REFUSED, SP_EDE_PROHIBITED,
               "transfers need a TSIG key that is allowed to transfer the zone", signer);
    } else if (from->via == SP_VIA_UDP && !ixfr) {
        refuse(s, from, msg, SP_RCODE_FORMERR, SP_EDE_NOT_SUPPORTED, "AXFR goes over TCP", signer);
    } else if (from->via == SP_VIA_UDP || (ixfr && (int32_t)(serial - sp_zone_serial(z)) >= 0)) {
        send_soa(s, from, msg, z, signer);
    } else if (start(s, st, msg, z, signer) != SP_OK) {
        refuse(s, from, msg, SP_RCODE_SERVFAIL, SP_EDE_OTHER, "no memory for a transfer, or the zone has no SOA",
               signer);
    }
}

void sp_transfer_drop(struct sp_server *s, struct sp_stream *st) {
    struct sp_transfer *t = st->transfer;
    st->transfer = NULL;
    sp_pin_free(s, t->pin);
    size_t size = sizeof *t + t->request_len;
    sp_wipe(t, sizeof *t);
    sp_mem_free(&s->mem, t, size);
}

/* Records from the entry at pos on, until the message is long enough. True: the last record is in. */
static bool fill(struct sp_server *s, struct sp_transfer *t, struct sp_msgw *w) {
    while (sp_wr_len(&w->wr) < TRANSFER_MSG) {
        bool closing = t->pos == t->pin->count;
        const struct sp_pin_entry *e = &t->pin->entries[closing ? 0 : t->pos];
        struct sp_name owner;
        sp_node_name(e->node, &owner);
        struct sp_rd rd = sp_rd_init(e->set->data, e->set->len);
        const uint8_t *rdata;
        size_t len;
        for (uint32_t i = 0; sp_rrs_next(&rd, &rdata, &len); i++) {
            if (i < t->record)
                continue;
            if (sp_msgw_rr(w, 1, &owner, e->set->type, SP_CLASS_IN, e->set->ttl, rdata, len) != SP_OK)
                return false;
            t->record = i + 1;
        }
        t->record = 0;
        t->pos++;
        if (closing)
            return true;
    }
    return false;
}

/* Builds and sends one message. Its length; 0: the transfer cannot go on. */
static size_t send_message(struct sp_server *s, struct sp_stream *st, bool *done) {
    struct sp_transfer *t = st->transfer;
    struct sp_from from = {.via = SP_VIA_TCP, .src = st->peer, .dst = st->local, .stream = st->id};
    struct sp_msgw *w = &s->msgw;
    size_t cap;
    uint8_t *out = sp_reply_room(s, &from, NULL, &cap);
    sp_msgw_begin(w, out, cap - sp_signer_size(s->updater, &t->signer), t->id, t->flags);
    if (!t->later)
        sp_msgw_question(w, &t->qname, t->qtype, t->qclass);
    *done = fill(s, t, w);
    size_t len = w->count[1] > 0 ? sp_msgw_end(w) : 0;
    if (len == 0)
        return 0;
    struct sp_wr wr = sp_wr_init(out, cap);
    wr.pos += len;
    if (sp_signer_sign(s->updater, &t->signer, &wr, t->request, t->request_len, t->later, s->wall) != SP_OK)
        return 0;
    t->later = true;
    st->progress = st->active = s->now;
    sp_reply_send(s, &from, sp_wr_len(&wr));
    return sp_wr_len(&wr);
}

void sp_transfer_go_on(struct sp_server *s, struct sp_stream *st) {
    bool done = false;
    for (unsigned i = 0; i < TRANSFER_SLICE && st->send.len == 0 && st->credit > 0 && !done; i++) {
        if (sp_outbox_room(&s->out, SP_STREAM_MSG) == NULL)
            break;
        if (st->transfer->pin->lost || send_message(s, st, &done) == 0) {
            /* RFC 5936 2.2: what was begun and cannot be finished ends with the connection. */
            s->transfers_lost++;
            sp_stream_finish(s, st, SP_STREAM_RESET, SP_STREAM_TRANSFER);
            return;
        }
        if (st->end != SP_STREAM_OPEN)
            return;
    }
    if (done)
        sp_transfer_drop(s, st);
    if (done || (st->send.len == 0 && st->credit > 0))
        sp_stream_wake(s, st);
}
