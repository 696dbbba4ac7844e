/* Messages: plain queries are answered at once, the rest is verified first. */
#include "signpostd/core/overlay.h"

/* ---- replies ---- */

static size_t udp_cap(const struct sp_server *s, const struct sp_msg *msg) {
    size_t cap = s->view.udp_size_max;
    if (msg == NULL)
        return cap;
    size_t theirs = msg->edns.present && msg->edns.udp_size > 512 ? msg->edns.udp_size : 512;
    return theirs < cap ? theirs : cap;
}

uint8_t *sp_reply_room(struct sp_server *s, const struct sp_from *from, const struct sp_msg *msg, size_t *ret_cap) {
    if (from->via == SP_VIA_UDP) {
        *ret_cap = udp_cap(s, msg);
        return sp_outbox_room(&s->out, s->view.udp_size_max);
    }
    uint8_t *room = sp_outbox_room(&s->out, SP_STREAM_MSG);
    *ret_cap = SP_MSG_MAX;
    return room == NULL ? NULL : room + 2;
}

void sp_reply_send(struct sp_server *s, const struct sp_from *from, size_t len) {
    if (len == 0)
        return;
    if (from->via == SP_VIA_UDP) {
        sp_outbox_datagram(&s->out, len, &from->dst, &from->src);
        return;
    }
    struct sp_stream *st = sp_stream_get(s, from->stream);
    if (st == NULL)
        return;
    sp_put_u16(sp_outbox_room(&s->out, SP_STREAM_MSG), (uint16_t)len);
    sp_stream_send(s, st, len + 2);
}

static void reply_empty(struct sp_server *s, const struct sp_from *from, const struct sp_msg *msg, uint16_t rcode,
                        int ede, const char *text) {
    size_t cap;
    uint8_t *out = sp_reply_room(s, from, msg, &cap);
    if (out != NULL)
        sp_reply_send(s, from, sp_reply_empty(&s->view, msg, rcode, ede, text, out, cap));
}

static void reply_refused(struct sp_server *s, const struct sp_from *from, const struct sp_msg *msg,
                          struct sp_signer *signer) {
    size_t cap;
    uint8_t *out = sp_reply_room(s, from, msg, &cap);
    if (out != NULL)
        sp_reply_send(s, from, sp_signer_refuse(s->updater, &s->view, msg, &from->src, signer, s->wall, out, cap));
}

/* ---- updates ---- */

static struct sp_pending *update_pending(struct sp_server *s, const struct sp_from *from, const struct sp_msg *msg) {
    struct sp_pending *p = sp_pending_new(s, SP_PENDING_UPDATE);
    if (p == NULL)
        return NULL;
    p->update = sp_mem_alloc(&s->mem, sizeof *p->update + msg->len);
    if (p->update == NULL) {
        sp_pending_free(s, p);
        return NULL;
    }
    p->update->from = *from;
    p->update->len = msg->len;
    memcpy(p->update->request, msg->wire, msg->len);
    return p;
}

static enum sp_refusal refusal_of(sp_err err) {
    switch (err) {
    case SP_ERR_NOSPC:
        return SP_REFUSED_disk_full;
    case SP_ERR_AGAIN:
        return SP_REFUSED_busy;
    case SP_ERR_FULL:
        return SP_REFUSED_full;
    default:
        return SP_REFUSED_disk;
    }
}

/* Why no update is taken now, or none. */
static enum sp_refusal update_barred(const struct sp_server *s) {
    if (s->storage == SP_STORAGE_FAILED)
        return SP_REFUSED_disk;
    if (s->updates_in_flight >= s->cfg.limits.updates_in_flight || sp_import_busy(s) || s->stopping)
        return SP_REFUSED_busy;
    return SP_REFUSED_none;
}

static void update_request(struct sp_server *s, const struct sp_from *from, struct sp_stream *st,
                           const struct sp_msg *msg) {
    enum sp_refusal barred = update_barred(s);
    struct sp_pending *p = barred == SP_REFUSED_none ? update_pending(s, from, msg) : NULL;
    if (p == NULL) {
        /* Nothing was verified: it costs no signature, and so is not signed. */
        s->overflow++;
        reply_empty(s, from, msg, SP_RCODE_SERVFAIL, SP_EDE_OTHER,
                    barred == SP_REFUSED_disk   ? "the signpost's disk has failed; nothing can be stored"
                    : barred == SP_REFUSED_busy ? "too many updates wait for the disk; try again later"
                                                : "the memory of the signpost is full");
        return;
    }
    struct sp_update *up = &p->update->up;
    s->slice++;
    sp_updater_message(s->updater, msg, from->via, &from->src, s->now, s->wall, up);
    sp_err err = sp_durable_change(s, &up->change);
    if (err != SP_OK)
        sp_update_fail(s->updater, up, refusal_of(err));
    p->accepted = s->now;
    if (err == SP_OK && up->wait_log && s->log != NULL) {
        if (st != NULL)
            st->in_flight++;
        sp_durable_wait(s, p);
        return;
    }
    size_t cap;
    uint8_t *out = sp_reply_room(s, from, msg, &cap);
    if (out != NULL)
        sp_reply_send(s, from, sp_update_reply(s->updater, &s->view, msg, &from->src, up, s->wall, out, cap));
    sp_pending_free(s, p);
}

/* ---- signed queries and transfers ---- */

static void signed_query(struct sp_server *s, const struct sp_from *from, const struct sp_msg *msg,
                         struct sp_signer *signer) {
    size_t cap, len;
    uint8_t *out = sp_reply_room(s, from, msg, &cap);
    if (out == NULL)
        return;
    size_t auth = sp_signer_size(s->updater, signer);
    if (sp_answer_verified(&s->view, s->scratch, msg, from->via, &from->src, s->wall, out, cap, auth, &len) !=
        SP_ANSWERED)
        return;
    struct sp_wr wr = sp_wr_init(out, cap);
    wr.pos += len;
    if (sp_signer_sign(s->updater, signer, &wr, msg->wire, msg->len, false, s->wall) == SP_OK)
        sp_reply_send(s, from, sp_wr_len(&wr));
}

static void query_request(struct sp_server *s, const struct sp_from *from, struct sp_stream *st,
                          const struct sp_msg *msg) {
    struct sp_signer signer;
    sp_err err = sp_updater_verify(s->updater, msg, from->via, &from->src, s->now, s->wall, &signer);
    if (err != SP_OK)
        reply_refused(s, from, msg, &signer);
    else if (msg->qtype == SP_TYPE_AXFR || msg->qtype == SP_TYPE_IXFR)
        sp_transfer_request(s, from, st, msg, &signer);
    else
        signed_query(s, from, msg, &signer);
    sp_wipe(&signer, sizeof signer);
}

/* What sp_answer leaves to the writer. */
static void writer_request(struct sp_server *s, const struct sp_from *from, struct sp_stream *st) {
    /* The scratch is used again by what follows. */
    struct sp_msg msg = s->scratch->msg;
    switch (SP_OPCODE_OF(msg.flags)) {
    case SP_OPCODE_UPDATE:
        update_request(s, from, st, &msg);
        break;
    case SP_OPCODE_QUERY:
        query_request(s, from, st, &msg);
        break;
    default: /* NOTIFY too: this server is primary for all its zones. RFC 1996 3.12, RFC 8906 */
        reply_empty(s, from, &msg, SP_RCODE_NOTIMP, SP_EDE_NOT_SUPPORTED,
                    "the server is a primary, and takes no NOTIFY");
        break;
    }
}

/* Before the log is replayed there is nothing true to say. */
static void not_ready(struct sp_server *s, const struct sp_from *from, const uint8_t *data, size_t len) {
    struct sp_msg *msg = &s->scratch->msg;
    s->not_ready++;
    if (sp_msg_parse(msg, data, len) != SP_OK || (msg->flags & SP_FLAG_QR) != 0)
        return;
    reply_empty(s, from, msg, SP_RCODE_SERVFAIL, SP_EDE_NOT_READY, "the log is being replayed");
}

static inline void datagram(struct sp_server *s, const struct sp_in *in, const uint8_t *data, size_t len) {
    size_t cap = s->view.udp_size_max, out_len;
    uint8_t *out = sp_outbox_room(&s->out, cap);
    if (__builtin_expect(out == NULL, 0))
        return; /* the whole input was seen to fit before */
    if (__builtin_expect(s->ready, 1)) {
        uint64_t made = s->scratch->counts.signatures_made;
        uint64_t refused = s->scratch->counts.signatures_refused;
        enum sp_verdict v =
            sp_answer(&s->view, s->scratch, data, len, SP_VIA_UDP, &in->src, s->wall, out, cap, 0, &out_len);
        s->cold += made != s->scratch->counts.signatures_made || refused != s->scratch->counts.signatures_refused;
        if (__builtin_expect(v == SP_ANSWERED, 1)) {
            sp_outbox_datagram(&s->out, out_len, &in->dst, &in->src);
            return;
        }
        if (v == SP_DROPPED)
            return;
    }
    struct sp_from from = {.via = SP_VIA_UDP, .src = in->src, .dst = in->dst};
    if (s->ready)
        writer_request(s, &from, NULL);
    else
        not_ready(s, &from, data, len);
}

static bool demux(struct sp_server *s, const struct sp_in *in) {
    struct sp_from from = {.via = SP_VIA_UDP, .src = in->src, .dst = in->dst};
    return sp_demux_take(s, &from, in->data, in->len);
}

void sp_request_datagram(struct sp_server *s, const struct sp_in *in) {
    if (__builtin_expect(in->src.port == 0, 0)) {
        s->dropped_port0++; /* nobody can be there */
        return;
    }
    if (__builtin_expect(in->segment == 0 || in->segment >= in->len, 1)) {
        if (!sp_demux_maybe(in->data, in->len) || !demux(s, in))
            datagram(s, in, in->data, in->len);
        return;
    }
    for (size_t pos = 0; pos < in->len; pos += in->segment) {
        size_t left = in->len - pos;
        if (sp_demux_maybe(in->data + pos, left < in->segment ? left : in->segment)) {
            /* Of several at once all are whole segments but those at the input's end. */
            size_t taken = sp_demux_joined(s, in, pos);
            if (taken > 0) {
                pos += (taken - 1) / in->segment * in->segment;
                continue;
            }
        }
        if (sp_outbox_room(&s->out, s->view.udp_size_max) == NULL) {
            s->dropped_segments += (left + in->segment - 1) / in->segment;
            return;
        }
        datagram(s, in, in->data + pos, left < in->segment ? left : in->segment);
    }
}

void sp_request_stream(struct sp_server *s, const struct sp_from *from, struct sp_stream *st, const uint8_t *data,
                       size_t len) {
    if (sp_demux_maybe(data, len) && sp_demux_take(s, from, data, len))
        return;
    if (!s->ready) {
        not_ready(s, from, data, len);
        return;
    }
    size_t cap, out_len;
    uint8_t *out = sp_reply_room(s, from, NULL, &cap);
    if (out == NULL)
        return;
    uint32_t udp_left = s->scratch->sign_left;
    s->scratch->sign_left = s->tcp_sign_left;
    enum sp_verdict v =
        sp_answer(&s->view, s->scratch, data, len, SP_VIA_TCP, &from->src, s->wall, out, cap, 0, &out_len);
    if (v == SP_ANSWERED)
        sp_reply_send(s, from, out_len);
    else if (v == SP_FOR_WRITER)
        writer_request(s, from, st);
    s->tcp_sign_left = s->scratch->sign_left;
    s->scratch->sign_left = udp_left;
}
