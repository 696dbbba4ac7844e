/* Anything inside the control session: read as a message, its records walked; what is sound says the same when it is
 * written again. */
#include "proto/control/session.h"
#include "tests/support/support.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void plan_again(const struct sp_plan *p) {
    uint8_t bin[SP_PLAN_MAX];
    struct sp_wr wr = sp_wr_init(bin, sizeof bin);
    sp_plan_write(&wr, p);
    SP_ASSERT(wr.err == SP_OK);
    struct sp_rd rd = sp_rd_init(bin, sp_wr_len(&wr));
    struct sp_plan back;
    SP_ASSERT(sp_plan_read(&rd, &back) == SP_OK && sp_rd_left(&rd) == 0);
    SP_ASSERT(back.count == p->count && back.channel == p->channel && back.peer.count == p->peer.count);
}

static void profile_again(const struct sp_session_msg *m) {
    uint8_t out[SP_SESSION_MSG];
    struct sp_session_msg back;
    size_t len = sp_session_profile_write(m->id, &m->name, &m->device, &m->profile, out, sizeof out);
    SP_ASSERT(len > 0 && sp_session_read(&back, out, len) == SP_OK && back.kind == SP_SESSION_PROFILE);
    SP_ASSERT(sp_name_equal(&back.device, &m->device) && back.profile.count == m->profile.count);
}

/* Every request can be answered. */
static void answer(const struct sp_session_msg *m) {
    uint8_t out[SP_SESSION_MSG];
    struct sp_session_writer w;
    struct sp_session_msg back;
    sp_session_reply_begin(&w, m, SP_RCODE_REFUSED, out, sizeof out);
    sp_session_put_ede(&w, 0, "no");
    size_t n = sp_session_end(&w, true);
    SP_ASSERT(n > 0 && sp_session_read(&back, out, n) == SP_OK && back.id == m->id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    struct sp_session_msg m;
    struct sp_session_record r;
    sp_err err = sp_session_read(&m, data, len);
    if (err != SP_OK)
        SP_ASSERT(m.record_count == 0 && m.first == NULL);
    if (len >= SP_MSG_HEADER && !(m.flags & SP_FLAG_QR))
        answer(&m);
    if (m.kind == SP_SESSION_PROFILE)
        profile_again(&m);
    while ((err = sp_session_record(&m, &r)) == SP_OK) {
        if (r.kind == SP_RECORD_PLAN)
            plan_again(&r.plan);
    }
    struct sp_rd rd = sp_rd_init(data, len);
    if (sp_plan_read(&rd, &r.plan) == SP_OK)
        plan_again(&r.plan);
    return 0;
}
