#include "proto/nat/behave.h"

#include "proto/nat/addr.h"
#include "proto/nat/behave_int.h"

#define WHOLE        (5 * SP_SEC)
#define REPEAT       (250 * SP_MS)
#define SENDS        5 /* of a first question */
#define SENDS_SECOND 3 /* once it is known that answers come: half of these tests never get one */
#define NEXT_SERVER  (500 * SP_MS)
#define FIRST_SERVER (1000 * SP_MS)
#define WAIT_MIN     (250 * SP_MS)
#define WAIT_MAX     (1000 * SP_MS)

enum phase {
    IDLE,
    FIRST,  /* who answers? 5780 4.2 */
    FILTER, /* tests of filtering, before any other address is sent to: a NAT lets in whom we talked to. 5780 4.4; and
               hairpin */
    MAP,    /* other addresses are asked. 5780 4.3 */
};

static struct sp_behave_test *add(struct sp_behave *b, enum sp_behave_what what, const struct sp_addr *to,
                                  struct sp_rng *rng, sp_instant now) {
    if (b->test_count >= SP_BEHAVE_TESTS)
        return NULL;
    struct sp_behave_test *t = &b->tests[b->test_count++];
    *t = (struct sp_behave_test){.what = (uint8_t)what, .to = *to, .resend_at = now};
    sp_rng_fill(rng, t->id, sizeof t->id);
    return t;
}

/* Asks an address directly, unless it has been asked. */
static void add_direct(struct sp_behave *b, const struct sp_addr *to, struct sp_rng *rng, sp_instant now) {
    for (unsigned i = 0; i < b->test_count; i++)
        if (b->tests[i].what == SP_BEHAVE_DIRECT && sp_nat_same(&b->tests[i].to, to))
            return;
    add(b, SP_BEHAVE_DIRECT, to, rng, now);
}

void sp_behave_start(struct sp_behave *b, const struct sp_addr *servers, unsigned n, const struct sp_addr *own,
                     unsigned n_own, struct sp_rng *rng, sp_instant now) {
    *b = (struct sp_behave){.count = n < SP_BEHAVE_SERVERS ? n : SP_BEHAVE_SERVERS,
                            .own_count = n_own < SP_CANDIDATES_MAX ? n_own : SP_CANDIDATES_MAX};
    memcpy(b->servers, servers, b->count * sizeof *servers);
    memcpy(b->own, own, b->own_count * sizeof *own);
    if (b->count == 0) {
        b->result.done = true;
        return;
    }
    b->phase = FIRST;
    b->end = sp_instant_add(now, WHOLE);
    b->phase_end = sp_instant_add(now, FIRST_SERVER);
    add(b, SP_BEHAVE_DIRECT, &b->servers[b->tried++], rng, now);
}

/* ---- phases ---- */

static bool is_own(const struct sp_behave *b, const struct sp_addr *a) {
    for (unsigned i = 0; i < b->own_count; i++)
        if (sp_nat_same(&b->own[i], a))
            return true;
    return false;
}

/* All sends of a later phase, and a while for the last answer. */
static void set_phase(struct sp_behave *b, enum phase phase, sp_instant now) {
    sp_duration wait = 3 * b->result.rtt;
    wait = wait < WAIT_MIN ? WAIT_MIN : wait > WAIT_MAX ? WAIT_MAX : wait;
    b->phase = phase;
    b->phase_end = sp_instant_add(now, REPEAT + 2 * REPEAT + wait);
    for (unsigned i = 0; i < b->test_count; i++) /* what is left of the phase before is not asked again */
        b->tests[i].resend_at = SP_NEVER;
}

static void begin_filter(struct sp_behave *b, struct sp_rng *rng, sp_instant now) {
    set_phase(b, FILTER, now);
    add(b, SP_BEHAVE_CHANGE_BOTH, &b->primary, rng, now);
    add(b, SP_BEHAVE_CHANGE_PORT, &b->primary, rng, now);
    if (!is_own(b, &b->result.mapped[0]))
        add(b, SP_BEHAVE_HAIRPIN, &b->result.mapped[0], rng, now);
}

static void begin_map(struct sp_behave *b, struct sp_rng *rng, sp_instant now) {
    set_phase(b, MAP, now);
    if (b->other.family == b->primary.family && sp_candidate_dialable(&b->other)) {
        struct sp_addr a = b->primary;
        a.port = b->other.port;
        add_direct(b, &a, rng, now);
        a = b->other;
        a.port = b->primary.port;
        add_direct(b, &a, rng, now);
        add_direct(b, &b->other, rng, now);
    }
    for (unsigned i = 0; i < b->count; i++)
        add_direct(b, &b->servers[i], rng, now);
}

static void finish(struct sp_behave *b) {
    sp_behave_judge(b);
    b->phase = IDLE;
    b->result.done = true;
}

/* Every test of this phase has its answer. In FIRST one is enough. */
static bool all_answered(const struct sp_behave *b) {
    if (b->phase == FIRST)
        return b->result.udp;
    for (unsigned i = 0; i < b->test_count; i++)
        if (!b->tests[i].answered && b->tests[i].resend_at != SP_NEVER)
            return false;
    return true;
}

static void step(struct sp_behave *b, struct sp_rng *rng, sp_instant now) {
    if (b->phase == IDLE)
        return;
    bool answered = all_answered(b), over = now >= b->phase_end;
    if (now >= b->end) {
        finish(b);
    } else if (b->phase == FIRST && answered) {
        begin_filter(b, rng, now);
    } else if (b->phase == FIRST && over) {
        b->phase_end = b->end;
        if (b->tried < b->count) {
            add_direct(b, &b->servers[b->tried++], rng, now);
            b->phase_end = sp_instant_add(now, NEXT_SERVER);
        }
    } else if (b->phase == FILTER && (answered || over)) {
        begin_map(b, rng, now);
        if (all_answered(b)) /* there is nobody else to ask */
            finish(b);
    } else if (b->phase == MAP && (answered || over)) {
        finish(b);
    }
}

/* ---- input and output ---- */

static void take_answer(struct sp_behave *b, struct sp_behave_test *t, const struct sp_stun *m,
                        const struct sp_addr *src, sp_instant now) {
    t->answered = true;
    t->refused = m->class == SP_STUN_ERROR;
    t->mapped = t->what == SP_BEHAVE_DIRECT ? m->mapped : *src;
    if (t->what == SP_BEHAVE_HAIRPIN)
        return;
    sp_duration rtt = now - t->at; /* from the first sending: never too short */
    if (b->result.rtt == 0 || rtt < b->result.rtt)
        b->result.rtt = rtt > 0 ? rtt : 1;
    if (t->what != SP_BEHAVE_DIRECT || t->refused || b->result.udp)
        return;
    b->result.udp = true;
    b->result.mapped[0] = m->mapped;
    b->primary = t->to;
    b->other = m->other_address;
}

/* Whether this message answers that test: the kind that it must be, from where it must be. */
static bool answers(const struct sp_behave_test *t, const struct sp_stun *m, const struct sp_addr *src) {
    if (t->sent == 0 || memcmp(t->id, m->id, sizeof t->id) != 0)
        return false;
    if (t->what == SP_BEHAVE_HAIRPIN)
        return m->class == SP_STUN_REQUEST;
    if (m->class == SP_STUN_ERROR)
        return sp_nat_same(src, &t->to);
    if (m->class != SP_STUN_SUCCESS || m->mapped.family != t->to.family)
        return false;
    return t->what != SP_BEHAVE_DIRECT || sp_nat_same(src, &t->to);
}

bool sp_behave_input(struct sp_behave *b, const struct sp_stun *m, const struct sp_addr *src, struct sp_rng *rng,
                     sp_instant now) {
    if (m->method != SP_STUN_BINDING)
        return false;
    for (unsigned i = 0; i < b->test_count; i++) {
        struct sp_behave_test *t = &b->tests[i];
        if (!answers(t, m, src))
            continue;
        /* Later the filter is open for the addresses that are asked then. */
        bool late = b->phase != FILTER && (t->what == SP_BEHAVE_CHANGE_BOTH || t->what == SP_BEHAVE_CHANGE_PORT);
        if (b->phase != IDLE && !t->answered && !late) {
            take_answer(b, t, m, src, now);
            step(b, rng, now);
        }
        return true;
    }
    return false;
}

void sp_behave_expire(struct sp_behave *b, struct sp_rng *rng, sp_instant now) {
    step(b, rng, now);
}

static bool to_send(const struct sp_behave *b, const struct sp_behave_test *t) {
    return !t->answered && t->resend_at != SP_NEVER && t->sent < (b->phase == FIRST ? SENDS : SENDS_SECOND);
}

sp_instant sp_behave_deadline(const struct sp_behave *b) {
    if (b->phase == IDLE)
        return SP_NEVER;
    sp_instant due = sp_instant_min(b->end, b->phase_end);
    for (unsigned i = 0; i < b->test_count; i++)
        if (to_send(b, &b->tests[i]))
            due = sp_instant_min(due, b->tests[i].resend_at);
    return due;
}

size_t sp_behave_output(struct sp_behave *b, sp_instant now, uint8_t *out, size_t cap, struct sp_addr *ret_to) {
    for (unsigned i = 0; b->phase != IDLE && i < b->test_count; i++) {
        struct sp_behave_test *t = &b->tests[i];
        if (!to_send(b, t) || now < t->resend_at)
            continue;
        struct sp_stun m = {.method = SP_STUN_BINDING, .class = SP_STUN_REQUEST};
        memcpy(m.id, t->id, sizeof m.id);
        m.change_ip = t->what == SP_BEHAVE_CHANGE_BOTH;
        m.change_port = m.change_ip || t->what == SP_BEHAVE_CHANGE_PORT;
        m.has_change = m.change_port;
        size_t len = sp_stun_write(&m, out, cap);
        if (len == 0)
            return 0;
        if (t->sent == 0)
            t->at = now;
        t->resend_at = sp_instant_add(now, REPEAT << t->sent);
        t->sent++;
        *ret_to = t->to;
        return len;
    }
    return 0;
}

const struct sp_behave_result *sp_behave_result(const struct sp_behave *b) {
    return &b->result;
}
