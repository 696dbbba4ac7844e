/* What may bring a pair together, out of both network profiles. Pure. RFC 4787 4.1, 5; RFC 8305 for the stagger. */
#include "signpostd/core/overlay.h"

/* When each tactic's first probe leaves, and how far its others follow behind. */
#define STAGGER_MS 10
static const uint16_t starts_ms[] = {
    [SP_TACTIC_RELAY] = 0,    [SP_TACTIC_LAN] = 0,     [SP_TACTIC_IPV6] = 0,      [SP_TACTIC_PUBLIC] = 50,
    [SP_TACTIC_PORTMAP] = 50, [SP_TACTIC_PUNCH] = 100, [SP_TACTIC_RELAY_TCP] = 0,
};

static bool same_port_for_all(const struct sp_profile *p) {
    return p->mapping == SP_MAPPING_NONE || p->mapping == SP_MAPPING_ENDPOINT || p->mapping == SP_MAPPING_UNKNOWN;
}

/* Whether what x sends to y's known outside address comes in, when y sends to x's at the same time. */
static bool comes_in(const struct sp_profile *x, const struct sp_profile *y) {
    if (y->filtering == SP_FILTERING_ENDPOINT)
        return true; /* whoever knows the port */
    if (!same_port_for_all(y))
        return false; /* for x it has another port */
    if (y->filtering == SP_FILTERING_PORT)
        return same_port_for_all(x); /* y has opened for the port that it knows */
    return true;                     /* y has opened for the address; unknown: worth a try */
}

bool sp_plan_punches(const struct sp_profile *a, const struct sp_profile *b) {
    return comes_in(a, b) || comes_in(b, a);
}

static bool has_ipv6(const struct sp_profile *p) {
    for (unsigned i = 0; i < p->count; i++)
        if (p->candidates[i].addr.family == 6 && !sp_candidate_private(&p->candidates[i].addr))
            return true;
    return false;
}

static bool has_ipv4(const struct sp_profile *p) {
    for (unsigned i = 0; i < p->count; i++)
        if (p->candidates[i].addr.family == 4)
            return true;
    return false;
}

/* What dialling this candidate is called; RELAY: it is not dialled. */
static enum sp_tactic tactic_of(const struct sp_profile *me, const struct sp_profile *peer,
                                const struct sp_candidate *c) {
    if (c->kind == SP_CAND_HOST && sp_candidate_private(&c->addr))
        return SP_TACTIC_LAN; /* the agent dials those that are on its links */
    if ((me->flags & peer->flags & SP_PROFILE_UDP) == 0)
        return SP_TACTIC_RELAY; /* a network that lets no UDP out */
    if (c->addr.family == 6)
        return has_ipv6(me) ? SP_TACTIC_IPV6 : SP_TACTIC_RELAY;
    if (!has_ipv4(me))
        return SP_TACTIC_RELAY;
    if (c->kind == SP_CAND_PORTMAP)
        return SP_TACTIC_PORTMAP;
    if (c->kind == SP_CAND_HOST || c->kind == SP_CAND_OWNER || peer->mapping == SP_MAPPING_NONE)
        return SP_TACTIC_PUBLIC;
    return sp_plan_punches(me, peer) ? SP_TACTIC_PUNCH : SP_TACTIC_RELAY;
}

static void step(struct sp_plan *p, enum sp_tactic tactic, unsigned candidate, unsigned seen[]) {
    if (p->count == SP_PLAN_STEPS)
        return;
    p->steps[p->count++] = (struct sp_plan_step){
        .tactic = (uint8_t)tactic,
        .candidate = (uint8_t)candidate,
        .start_ms = (uint16_t)(starts_ms[tactic] + STAGGER_MS * seen[tactic]++),
    };
}

void sp_plan_make(struct sp_plan *ret, const struct sp_side *me, const struct sp_side *peer, bool asked) {
    static const uint8_t order[] = {SP_TACTIC_LAN, SP_TACTIC_IPV6, SP_TACTIC_PUBLIC, SP_TACTIC_PORTMAP,
                                    SP_TACTIC_PUNCH};
    unsigned seen[SP_TACTIC_REFLEXIVE + 1] = {0};
    memset(ret, 0, sizeof *ret);
    memcpy(ret->pub, peer->pub, sizeof ret->pub);
    ret->asked = asked;
    ret->channel = me->channel;
    ret->rtt_ms = peer->rtt_ms;
    ret->peer = peer->profile;
    if (me->channel != 0)
        step(ret, me->stream ? SP_TACTIC_RELAY_TCP : SP_TACTIC_RELAY, 0, seen);
    if ((me->profile.flags | peer->profile.flags) & SP_PROFILE_NO_DIRECT) {
        ret->peer.count = 0;
        memset(ret->peer.candidates, 0, sizeof ret->peer.candidates);
        return;
    }
    for (unsigned t = 0; t < sizeof order; t++)
        for (unsigned i = 0; i < peer->profile.count; i++)
            if (tactic_of(&me->profile, &peer->profile, &peer->profile.candidates[i]) == order[t])
                step(ret, order[t], i, seen);
}
