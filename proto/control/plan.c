/* Plans as bytes. */
#include "proto/control/session.h"

#define PLAN_VERSION 1
#define PLAN_ASKED   1

const char *sp_tactic_text(unsigned tactic) {
    static const char *const texts[] = {
#define X(num, name, text) [num] = text,
        SP_TACTIC_LIST(X)
#undef X
    };
    return tactic < sizeof texts / sizeof texts[0] ? texts[tactic] : "?";
}

void sp_plan_write(struct sp_wr *wr, const struct sp_plan *p) {
    SP_ASSERT(p->count <= SP_PLAN_STEPS);
    sp_wr_u8(wr, PLAN_VERSION);
    sp_wr_u8(wr, p->asked ? PLAN_ASKED : 0);
    sp_wr_bytes(wr, p->pub, sizeof p->pub);
    sp_wr_u32(wr, p->channel);
    sp_wr_u16(wr, p->rtt_ms);
    sp_profile_write(wr, &p->peer);
    sp_wr_u8(wr, p->count);
    for (unsigned i = 0; i < p->count; i++) {
        sp_wr_u8(wr, p->steps[i].tactic);
        sp_wr_u8(wr, p->steps[i].candidate);
        sp_wr_u16(wr, p->steps[i].start_ms);
    }
}

/* Whether a step dials a candidate of the peer; relays lead to none. */
static bool step_dials(const struct sp_plan_step *s) {
    return s->tactic != SP_TACTIC_RELAY && s->tactic != SP_TACTIC_RELAY_TCP;
}

static void steps_read(struct sp_rd *rd, struct sp_plan *ret) {
    unsigned count = sp_rd_u8(rd);
    if (count > SP_PLAN_STEPS)
        sp_rd_fail(rd, SP_ERR_FORM);
    ret->count = 0;
    for (unsigned i = 0; i < count && rd->err == SP_OK; i++) {
        struct sp_plan_step s = {.tactic = sp_rd_u8(rd)};
        s.candidate = sp_rd_u8(rd);
        s.start_ms = sp_rd_u16(rd);
        if (s.tactic > SP_TACTIC_REFLEXIVE) /* of a newer signpost */
            continue;
        if (step_dials(&s) && s.candidate >= ret->peer.count)
            sp_rd_fail(rd, SP_ERR_FORM);
        ret->steps[ret->count++] = s;
    }
}

sp_err sp_plan_read(struct sp_rd *rd, struct sp_plan *ret) {
    memset(ret, 0, sizeof *ret);
    unsigned version = sp_rd_u8(rd);
    if (rd->err == SP_OK && version != PLAN_VERSION)
        return SP_ERR_UNSUP;
    ret->asked = sp_rd_u8(rd) & PLAN_ASKED;
    sp_rd_copy(rd, ret->pub, sizeof ret->pub);
    ret->channel = sp_rd_u32(rd);
    ret->rtt_ms = sp_rd_u16(rd);
    if (rd->err != SP_OK)
        return rd->err;
    SP_TRY(sp_profile_read(rd, &ret->peer));
    steps_read(rd, ret);
    /* A channel's index has the top bit of its first byte set, so that no DNS message looks like a frame of it. */
    if (ret->channel != 0 && ret->channel < 0x80000000u)
        sp_rd_fail(rd, SP_ERR_FORM);
    return rd->err;
}
