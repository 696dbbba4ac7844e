#include "client/core/reply.h"

#define EDE_OTHER       0
#define EDE_SIG_EXPIRED 7
#define EDE_SIG_NOT_YET 8
#define EDE_NOT_READY   14

static bool same_addr(const struct sp_addr *a, const struct sp_addr *b) {
    return a->family == b->family && a->port == b->port && memcmp(a->ip, b->ip, a->family == 4 ? 4 : 16) == 0;
}

static const struct sp_agent_request *find_request(const struct sp_agent *a, uint16_t id, const struct sp_addr *src) {
    if (!a->in_flight)
        return NULL;
    for (unsigned i = 0; i < a->sent_count; i++)
        if (a->sent[i].id == id && same_addr(&a->sent[i].to, src))
            return &a->sent[i];
    return NULL;
}

/* The text goes to terminals and logs: printable ASCII, whatever came. */
static void take_ede(struct sp_rd value, int *ede, char *text, size_t cap) {
    *ede = sp_rd_u16(&value);
    size_t n = 0;
    while (sp_rd_left(&value) > 0 && n + 1 < cap) {
        uint8_t c = sp_rd_u8(&value);
        text[n++] = (char)(c >= 0x20 && c < 0x7f ? c : '?');
    }
    text[n] = 0;
}

static void take_options(const struct sp_msg *msg, struct sp_agent_reply *ret) {
    struct sp_rd value;
    ret->rcode = (uint16_t)(SP_RCODE_OF(msg->flags) | (msg->edns.present ? msg->edns.ext_rcode << 4 : 0));
    ret->ede = -1;
    ret->ede_text[0] = 0;
    ret->have_lease = false;
    ret->lease_s = 0;
    if (!msg->edns.present)
        return;
    if (sp_edns_find(&msg->edns, SP_EDNS_EDE, &value) && sp_rd_left(&value) >= 2)
        take_ede(value, &ret->ede, ret->ede_text, sizeof ret->ede_text);
    if (sp_edns_find(&msg->edns, SP_EDNS_UL, &value) && (sp_rd_left(&value) == 4 || sp_rd_left(&value) == 8)) {
        ret->have_lease = true;
        ret->lease_s = sp_rd_u32(&value);
    }
}

/* The signpost's clock stands in the middle of its window. Serial arithmetic: right within 68 years. */
static int64_t clock_offset(const struct sp_sig0 *sig, sp_wall wall) {
    uint32_t middle = sig->inception + (sig->expiration - sig->inception) / 2;
    return (int32_t)(middle - (uint32_t)sp_wall_sec(wall));
}

/* The signer's name and key are pinned; when it was signed does not matter, since it covers a request of this attempt.
 */
static sp_err verify(struct sp_agent *a, const struct sp_msg *msg, const struct sp_agent_request *req,
                     struct sp_sig0 *sig) {
    SP_TRY(sp_sig0_peek(msg, sig));
    if (sig->alg != SP_ALG_ED25519 || sig->tag != a->signpost_tag || !sp_name_equal(&sig->signer, &a->signpost))
        return SP_ERR_BADKEY;
    return sp_sig0_verify(msg, sig, a->id.signpost_pub, req->wire, req->len, a->scratch, sizeof a->scratch);
}

bool sp_agent_reply_read(struct sp_agent *a, sp_wall wall, const struct sp_in *in, struct sp_agent_reply *ret) {
    struct sp_msg msg;
    if (in->len > SP_AGENT_REPLY_MAX || sp_msg_parse(&msg, in->data, in->len) != SP_OK || !(msg.flags & SP_FLAG_QR) ||
        SP_OPCODE_OF(msg.flags) != SP_OPCODE_UPDATE) {
        a->counts.dropped_form++;
        return false;
    }
    const struct sp_agent_request *req = find_request(a, msg.id, &in->src);
    if (req == NULL) {
        a->counts.dropped_stray++;
        return false;
    }
    take_options(&msg, ret);
    if (msg.auth != SP_AUTH_SIG0) {
        a->counts.dropped_unsigned++;
        a->unsigned_rcode = ret->rcode;
        a->unsigned_ede = ret->ede;
        memcpy(a->unsigned_text, ret->ede_text, sizeof a->unsigned_text);
        return false;
    }
    struct sp_sig0 sig;
    switch (verify(a, &msg, req, &sig)) {
    case SP_OK:
        break;
    case SP_ERR_BADSIG:
        a->counts.dropped_sig++;
        return false;
    default:
        a->counts.dropped_key++;
        return false;
    }
    ret->request = (unsigned)(req - a->sent);
    ret->offset_s = clock_offset(&sig, wall);
    return true;
}

enum sp_agent_answer sp_agent_answer(const struct sp_agent_reply *reply) {
    if (reply->rcode == SP_RCODE_NOERROR)
        return SP_ANSWER_ACCEPTED;
    if (reply->ede == EDE_SIG_EXPIRED || reply->ede == EDE_SIG_NOT_YET || reply->rcode == SP_RCODE_BADTIME)
        return SP_ANSWER_TIME;
    if (reply->rcode == SP_RCODE_SERVFAIL || reply->ede == EDE_NOT_READY)
        return SP_ANSWER_FAILED;
    /* A refusal without a reason may be a budget used up. */
    if (reply->rcode == SP_RCODE_REFUSED && (reply->ede < 0 || reply->ede == EDE_OTHER))
        return SP_ANSWER_FAILED;
    return SP_ANSWER_REFUSED;
}
