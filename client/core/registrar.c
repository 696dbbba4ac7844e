#include "client/core/registrar.h"

#include "client/core/backoff.h"
#include "client/core/control.h"
#include "client/core/presence.h"

/* The state in which a goal's message is out. To withdraw nothing takes no message. */
static enum sp_agent_state busy_state(const struct sp_agent *a) {
    switch (a->goal) {
    case SP_GOAL_NONE:
        break;
    case SP_GOAL_JOIN:
        return SP_AGENT_JOINING;
    case SP_GOAL_UP:
        return SP_AGENT_REGISTERING;
    case SP_GOAL_DOWN:
        return a->memory.published_count > 0 ? SP_AGENT_WITHDRAWING : SP_AGENT_DONE;
    case SP_GOAL_LEAVE:
        return SP_AGENT_LEAVING;
    }
    return SP_AGENT_IDLE;
}

/* ---- the attempt ---- */

static void attempt_start(struct sp_agent *a, sp_instant now) {
    a->in_flight = true;
    a->sent_count = 0;
    a->resend_at = now;
    a->wake_at = SP_NEVER;
    a->sending_count = a->goal == SP_GOAL_UP ? sp_presence_select(a, a->sending) : 0;
    if (a->goal != SP_GOAL_UP)
        return;
    /* From the first transmission on these may stand at the signpost, whatever answer comes back. */
    for (unsigned i = 0; i < a->sending_count; i++) {
        struct sp_agent_memory *m = &a->memory;
        if (sp_addrs_have(m->published, m->published_count, &a->sending[i]))
            continue;
        if (m->published_count == SP_AGENT_PUBLISHED_MAX) /* the oldest is left to its lease */
            memmove(m->published, m->published + 1, --m->published_count * sizeof *m->published);
        m->published[m->published_count++] = a->sending[i];
        m->generation++;
        a->synced = false;
    }
}

static void attempt_end(struct sp_agent *a) {
    a->in_flight = false;
    a->resend_at = SP_NEVER;
}

/* After an accepted update the signpost holds what was sent, and those old addresses that found no room in it. */
static void presence_acknowledged(struct sp_agent *a) {
    struct sp_addr left[SP_AGENT_PUBLISHED_MAX];
    unsigned n = 0, old = 0;
    for (unsigned i = 0; i < a->memory.published_count; i++) {
        const struct sp_addr *addr = &a->memory.published[i];
        if (sp_addrs_have(a->sending, a->sending_count, addr) || old++ >= a->deletes_fit)
            left[n++] = *addr;
    }
    a->synced = true;
    if (n != a->memory.published_count)
        a->memory.generation++;
    memcpy(a->memory.published, left, n * sizeof *left);
    a->memory.published_count = n;
    memcpy(a->registered, a->sending, sizeof a->registered);
    a->registered_count = a->sending_count;
}

static bool old_left(const struct sp_agent *a) {
    return a->memory.published_count > a->sending_count;
}

/* ---- entering a state ---- */

static void enter_up(struct sp_agent *a, sp_instant now) {
    a->registered_at = now;
    a->wake_at = old_left(a) ? now : sp_instant_add(now, sp_refresh_delay(a->lease_s, &a->rng));
}

static void enter(struct sp_agent *a, enum sp_agent_state next, sp_instant now) {
    sp_trace(&a->trace, now, SP_TRACE_agent_state, a->state, next);
    a->state = next;
    a->wake_at = SP_NEVER;
    a->time_retries = 0;
    attempt_end(a);
    switch (next) {
    case SP_AGENT_JOINING:
    case SP_AGENT_REGISTERING:
    case SP_AGENT_WITHDRAWING:
    case SP_AGENT_LEAVING:
        attempt_start(a, now);
        return;
    case SP_AGENT_UP:
        enter_up(a, now);
        return;
    case SP_AGENT_RETRYING:
        a->wake_at = sp_instant_add(now, sp_backoff_delay(a->failures, &a->rng));
        return;
    case SP_AGENT_REFUSED:
        if (a->goal == SP_GOAL_UP) {
            a->wake_at = sp_instant_add(now, sp_backoff_refused(&a->rng));
            return;
        }
        break;
    case SP_AGENT_IDLE:
    case SP_AGENT_JOINED:
    case SP_AGENT_DONE:
    case SP_AGENT_FAILED:
        break;
    }
    if (next == SP_AGENT_DONE) {
        a->lease_s = 0;
        a->registered_at = SP_NEVER;
    }
    a->goal = SP_GOAL_NONE;
    a->stop = true;
    sp_agent_control_ended(a, now);
}

/* ---- what follows on what ---- */

#define STAY (-1)

/* The answer to a message that is out. A busy state that follows on itself starts over. */
static int after_answer(const struct sp_agent *a, enum sp_agent_happening on) {
    bool once = a->goal != SP_GOAL_UP;
    switch (on) {
    case SP_ON_ACCEPTED:
        if (a->goal == SP_GOAL_JOIN)
            return SP_AGENT_JOINED;
        if (a->goal == SP_GOAL_UP)
            return SP_AGENT_UP;
        return a->goal == SP_GOAL_DOWN && old_left(a) ? SP_AGENT_WITHDRAWING : SP_AGENT_DONE;
    case SP_ON_REFUSED:
        if (a->goal == SP_GOAL_JOIN)
            return a->proving ? SP_AGENT_REFUSED : SP_AGENT_JOINING;
        return a->refusals < SP_AGENT_REFUSALS ? SP_AGENT_RETRYING : SP_AGENT_REFUSED;
    case SP_ON_FAILED:
        return once && a->failures >= SP_AGENT_TRIES ? SP_AGENT_FAILED : SP_AGENT_RETRYING;
    case SP_ON_SILENCE:
        return once ? SP_AGENT_FAILED : SP_AGENT_RETRYING;
    case SP_ON_ASKED:
        return busy_state(a);
    case SP_ON_NETWORK: /* the message may be out on a path that is gone, and what it says is out of date */
        return once ? STAY : SP_AGENT_REGISTERING;
    case SP_ON_WAKE:
        break;
    }
    return STAY;
}

static int after(const struct sp_agent *a, enum sp_agent_happening on) {
    switch (a->state) {
    case SP_AGENT_JOINING:
    case SP_AGENT_REGISTERING:
    case SP_AGENT_WITHDRAWING:
    case SP_AGENT_LEAVING:
        return after_answer(a, on);
    case SP_AGENT_UP:
    case SP_AGENT_RETRYING:
        return on == SP_ON_NETWORK || on == SP_ON_WAKE || on == SP_ON_ASKED ? (int)busy_state(a) : STAY;
    case SP_AGENT_REFUSED: /* another network changes nothing about a refusal */
        return on == SP_ON_WAKE || on == SP_ON_ASKED ? (int)busy_state(a) : STAY;
    case SP_AGENT_IDLE:
    case SP_AGENT_JOINED:
    case SP_AGENT_DONE:
    case SP_AGENT_FAILED:
        return on == SP_ON_ASKED ? (int)busy_state(a) : STAY;
    }
    return STAY;
}

void sp_registrar_step(struct sp_agent *a, enum sp_agent_happening on, sp_instant now) {
    if (on == SP_ON_FAILED || on == SP_ON_SILENCE || on == SP_ON_REFUSED)
        a->failures++;
    if (on == SP_ON_ACCEPTED || on == SP_ON_NETWORK || on == SP_ON_ASKED)
        a->failures = 0;
    if (on != SP_ON_WAKE && on != SP_ON_NETWORK)
        a->refusals = on == SP_ON_REFUSED ? a->refusals + 1 : 0;
    int next = after(a, on);
    if (next == STAY)
        return;
    a->proving = a->state == SP_AGENT_JOINING && next == SP_AGENT_JOINING;
    enter(a, (enum sp_agent_state)next, now);
}

/* ---- replies ---- */

static void remember(struct sp_agent *a, const struct sp_agent_reply *reply, sp_err err) {
    if (a->proving && err != SP_OK)
        return; /* the refusal of the invite is what the owner wants to read */
    a->last_err = err;
    a->last_rcode = reply->rcode;
    a->last_ede = reply->ede;
    memcpy(a->last_ede_text, reply->ede_text, sizeof a->last_ede_text);
}

/* The address that answered is asked first from now on. */
static void prefer(struct sp_agent *a, const struct sp_addr *addr) {
    for (unsigned i = 0; i < a->id.addr_count; i++)
        if (memcmp(&a->id.addrs[i], addr, sizeof *addr) == 0)
            a->addr_at = i;
}

static void accepted(struct sp_agent *a, const struct sp_agent_reply *reply, sp_instant now) {
    a->counts.accepted++;
    remember(a, reply, SP_OK);
    prefer(a, &a->sent[reply->request].to);
    if (a->goal == SP_GOAL_LEAVE)
        a->deletes_fit = SP_AGENT_PUBLISHED_MAX;
    if (a->goal != SP_GOAL_JOIN)
        presence_acknowledged(a);
    if (a->goal == SP_GOAL_UP) {
        uint32_t lease = reply->have_lease ? reply->lease_s : a->lease_asked_s;
        lease = lease < SP_AGENT_LEASE_MIN ? SP_AGENT_LEASE_MIN : lease;
        a->lease_s = lease < SP_AGENT_LEASE_MAX ? lease : SP_AGENT_LEASE_MAX;
    }
    sp_registrar_step(a, SP_ON_ACCEPTED, now);
}

/* Signs again by the signpost's clock. */
static void correct_clock(struct sp_agent *a, int64_t offset_s, sp_instant now) {
    a->clock_offset_s = offset_s;
    a->time_retries++;
    attempt_end(a);
    attempt_start(a, now);
}

void sp_registrar_reply(struct sp_agent *a, const struct sp_agent_reply *reply, sp_instant now) {
    enum sp_agent_answer answer = sp_agent_answer(reply);
    if (answer == SP_ANSWER_ACCEPTED) {
        accepted(a, reply, now);
        return;
    }
    /* An older message may be refused because a newer one came first; the newest one's answer decides. */
    if (reply->request + 1 != a->sent_count) {
        a->counts.superseded++;
        return;
    }
    a->counts.refused++;
    if (answer == SP_ANSWER_TIME) {
        remember(a, reply, SP_ERR_TIME);
        if (a->time_retries < SP_AGENT_TIME_TRIES)
            correct_clock(a, reply->offset_s, now);
        else
            sp_registrar_step(a, SP_ON_FAILED, now);
        return;
    }
    remember(a, reply, SP_ERR_DENIED);
    sp_registrar_step(a, answer == SP_ANSWER_REFUSED ? SP_ON_REFUSED : SP_ON_FAILED, now);
}
