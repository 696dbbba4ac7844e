#include "client/core/path.h"

#include <string.h>

/* After each probe of a round: when the next is due. The last gap is what the last probe may take. */
static const uint16_t gaps_ms[SP_PATH_PROBES] = {50, 50, 100, 200, 400, 800};

#define LOST_THOUGH_HEARD 3 /* PINGs in a row that may get lost while other messages still come from there */

const char *sp_path_state_text(unsigned state) {
    switch (state) {
#define X(name, text)                                                                                                  \
    case SP_PATH_##name:                                                                                               \
        return text;
        SP_PATH_STATE_LIST(X)
#undef X
    }
    return "?";
}

void sp_path_init(struct sp_path *p, const struct sp_addr *addr, uint8_t tactic) {
    memset(p, 0, sizeof *p);
    if (addr != NULL)
        p->addr = *addr;
    p->tactic = tactic;
    p->state = SP_PATH_RESTING;
    p->next_at = p->asked_at = p->pmtu.next = SP_NEVER;
}

sp_duration sp_path_limit(const struct sp_path *p) {
    sp_duration d = p->rtt + p->rtt / 2 + 50 * SP_MS;
    return d > SP_PATH_LIMIT_MIN ? d : SP_PATH_LIMIT_MIN;
}

uint64_t sp_path_cookie(struct sp_path *p, struct sp_rng *rng, sp_instant now) {
    uint64_t cookie = sp_rng_u64(rng) | 1;
    p->pings[p->ping_next].cookie = cookie;
    p->pings[p->ping_next].at = now;
    p->ping_next = (uint8_t)((p->ping_next + 1) % SP_PATH_PINGS);
    return cookie;
}

bool sp_path_answers(struct sp_path *p, uint64_t cookie, sp_instant now) {
    for (unsigned i = 0; i < SP_PATH_PINGS; i++) {
        if (p->pings[i].cookie == 0 || p->pings[i].cookie != cookie)
            continue;
        sp_duration rtt = now - p->pings[i].at;
        rtt = rtt > 0 ? rtt : 1;
        p->rtt = p->rtt == 0 ? rtt : (7 * p->rtt + rtt) / 8;
        p->pings[i].cookie = 0;
        return true;
    }
    return false;
}

/* The next probe of a round, or its end. */
static bool probe(struct sp_path *p, const struct sp_path_now *n) {
    unsigned most = n->interest == SP_INTEREST_DATA || p->state == SP_PATH_SUSPECT ? SP_PATH_PROBES : 1;
    if (p->sent >= SP_PATH_PROBES) {
        p->state = SP_PATH_RESTING;
        p->next_at = SP_NEVER;
        return false;
    }
    if (p->sent >= most) {
        p->next_at = SP_NEVER; /* until there is data for the peer */
        return false;
    }
    p->next_at = n->now + gaps_ms[p->sent] * SP_MS;
    p->sent++;
    return true;
}

static bool round_begin(struct sp_path *p, enum sp_path_state state, const struct sp_path_now *n) {
    p->state = (uint8_t)state;
    p->sent = 0;
    p->asked_at = SP_NEVER;
    p->carries = false;
    p->heavy = 0;
    return probe(p, n);
}

static void calm(struct sp_path *p, const struct sp_path_now *n) {
    p->next_at = n->used ? n->now + SP_PATH_USED_EVERY : n->keep ? n->now + SP_PATH_KEEP_EVERY : SP_NEVER;
}

/* A large PING of a valid path: some ways carry probes and drop data. */
static bool heavy(struct sp_path *p, const struct sp_path_now *n) {
    p->heavy++;
    p->next_at = n->now + sp_path_limit(p);
    return true;
}

static sp_instant last_ping(const struct sp_path *p) {
    return p->pings[(p->ping_next + SP_PATH_PINGS - 1) % SP_PATH_PINGS].at;
}

/* A valid path: its regular PING, or what to make of one that stayed unanswered. */
static bool valid_due(struct sp_path *p, const struct sp_path_now *n) {
    if (!p->carries && p->heavy < SP_PATH_HEAVY && p->asked_at == SP_NEVER)
        return heavy(p, n);
    if (p->asked_at == SP_NEVER) {
        if (!n->used && !n->keep) {
            p->next_at = SP_NEVER;
            return false;
        }
        p->asked_at = n->now;
        p->sent = 1;
    } else if (p->heard_at > p->asked_at && p->heard_at > last_ping(p) && p->sent < LOST_THOUGH_HEARD) {
        p->sent++;
    } else {
        return round_begin(p, SP_PATH_SUSPECT, n);
    }
    p->next_at = n->now + sp_path_limit(p);
    return true;
}

static bool check(struct sp_path *p, const struct sp_path_now *n) {
    switch ((enum sp_path_state)p->state) {
    case SP_PATH_WAITING:
    case SP_PATH_RESTING:
        return round_begin(p, SP_PATH_PROBING, n);
    case SP_PATH_VALID:
        if (p->asked_at != SP_NEVER)
            return false;
        if (!p->carries && !n->used) {
            p->heavy = 0;
            return heavy(p, n);
        }
        p->asked_at = n->now;
        p->sent = 1;
        p->next_at = n->now + sp_path_limit(p);
        return true;
    case SP_PATH_FREE:
    case SP_PATH_PROBING: /* being asked already */
    case SP_PATH_SUSPECT:
        return false;
    }
    return false;
}

static bool due(struct sp_path *p, const struct sp_path_now *n) {
    switch ((enum sp_path_state)p->state) {
    case SP_PATH_WAITING:
        return round_begin(p, SP_PATH_PROBING, n);
    case SP_PATH_PROBING:
    case SP_PATH_SUSPECT:
        return probe(p, n);
    case SP_PATH_VALID:
        return valid_due(p, n);
    case SP_PATH_FREE:
    case SP_PATH_RESTING:
        p->next_at = SP_NEVER;
        return false;
    }
    return false;
}

static bool plan(struct sp_path *p, const struct sp_path_now *n) {
    switch ((enum sp_path_state)p->state) {
    case SP_PATH_RESTING:
        p->state = SP_PATH_WAITING;
        p->next_at = n->at;
        return false;
    case SP_PATH_WAITING:
        p->next_at = sp_instant_min(p->next_at, n->at);
        return false;
    case SP_PATH_SUSPECT: /* the other side is about to open its NAT: a whole round more */
        p->sent = 0;
        p->next_at = n->at;
        return false;
    case SP_PATH_PROBING:
        if (p->sent > SP_PATH_PROBES / 2)
            p->sent = SP_PATH_PROBES / 2;
        p->next_at = sp_instant_min(p->next_at, n->at);
        return false;
    case SP_PATH_VALID:
        return check(p, n);
    case SP_PATH_FREE:
        return false;
    }
    return false;
}

bool sp_path_step(struct sp_path *p, enum sp_path_on on, const struct sp_path_now *n) {
    switch (on) {
    case SP_PATH_ON_PLAN:
        return plan(p, n);
    case SP_PATH_ON_DUE:
        return due(p, n);
    case SP_PATH_ON_CHECK:
        return check(p, n);
    case SP_PATH_ON_DOUBT:
        return p->state == SP_PATH_VALID && round_begin(p, SP_PATH_SUSPECT, n);
    case SP_PATH_ON_PONG:
        if (p->state == SP_PATH_FREE)
            return false;
        if (p->state != SP_PATH_VALID)
            p->valid_at = n->now;
        p->state = SP_PATH_VALID;
        p->sent = 0;
        p->asked_at = SP_NEVER;
        p->carries = p->carries || !p->small;
        if (!p->carries && p->heavy < SP_PATH_HEAVY)
            return p->heavy == 0 && heavy(p, n); /* the next one is due already */
        calm(p, n);
        return false;
    }
    return false;
}
