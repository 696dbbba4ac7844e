#include "proto/nat/addr.h"
#include "proto/nat/behave_int.h"

/* Outside ports of mappings that were made one after the other are this close when a NAT counts them up. */
#define STEP_MAX 4

/* A mapping that was seen: towards this destination, from outside it is that address. */
struct sample {
    const struct sp_addr *to, *mapped;
};
struct samples {
    struct sample of[SP_BEHAVE_TESTS];
    unsigned count;
};

static bool is_own(const struct sp_behave *b, const struct sp_addr *a) {
    for (unsigned i = 0; i < b->own_count; i++)
        if (sp_nat_same(&b->own[i], a))
            return true;
    return false;
}

/* A request that came back through the NAT shows our mapping towards our own outside address, if the NAT puts it in as
 * source: REQ-9 of RFC 4787 wants that. So one server's address is enough to tell the dependence on addresses. */
static bool is_sample(const struct sp_behave *b, const struct sp_behave_test *t) {
    if (!t->answered || t->refused)
        return false;
    return t->what == SP_BEHAVE_DIRECT || (t->what == SP_BEHAVE_HAIRPIN && sp_nat_same_ip(&t->mapped, &t->to));
}

static void collect(const struct sp_behave *b, struct samples *s) {
    for (unsigned i = 0; i < b->test_count; i++)
        if (is_sample(b, &b->tests[i]))
            s->of[s->count++] = (struct sample){&b->tests[i].to, &b->tests[i].mapped};
}

/* What the pairs of samples say: bits. */
enum seen {
    PORT_SAME = 1,    /* two ports of one address, one mapping */
    PORT_DIFFERS = 2, /* two mappings */
    ADDR_SAME = 4,    /* two addresses, one mapping */
    ADDR_DIFFERS = 8, /* one port of two addresses, two mappings */
    BOTH_DIFFER = 16, /* two ports of two addresses, two mappings */
};

static unsigned compare(const struct sample *x, const struct sample *y) {
    bool same = sp_nat_same(x->mapped, y->mapped);
    if (sp_nat_same_ip(x->to, y->to))
        return same ? PORT_SAME : PORT_DIFFERS;
    if (same)
        return ADDR_SAME;
    return x->to->port == y->to->port ? ADDR_DIFFERS : BOTH_DIFFER;
}

/* RFC 5780 4.3, from whatever pairs there are. */
static enum sp_nat_mapping mapping_of(const struct samples *s) {
    unsigned seen = 0;
    for (unsigned i = 0; i < s->count; i++)
        for (unsigned j = i + 1; j < s->count; j++)
            seen |= compare(&s->of[i], &s->of[j]);
    if (seen & PORT_DIFFERS)
        return SP_MAPPING_PORT;
    if (seen & (ADDR_DIFFERS | BOTH_DIFFER))
        return seen & PORT_SAME ? SP_MAPPING_ADDRESS : SP_MAPPING_VARIES;
    return seen & ADDR_SAME ? SP_MAPPING_ENDPOINT : SP_MAPPING_UNKNOWN;
}

static void judge_mapping(struct sp_behave *b) {
    struct samples s = {.count = 0};
    collect(b, &s);
    struct sp_behave_result *r = &b->result;
    r->mapping = (uint8_t)mapping_of(&s);
    if (r->udp && is_own(b, &r->mapped[0]))
        r->mapping = SP_MAPPING_NONE;
    unsigned steps = 0, near = 0;
    for (unsigned i = 0; i < s.count; i++) {
        if (r->mapped[1].family == 0 && !sp_nat_same(s.of[i].mapped, &r->mapped[0]))
            r->mapped[1] = *s.of[i].mapped;
        if (i == 0 || s.of[i].mapped->port == s.of[i - 1].mapped->port)
            continue;
        int step = s.of[i].mapped->port - s.of[i - 1].mapped->port;
        steps++;
        near += step >= -STEP_MAX && step <= STEP_MAX;
    }
    /* The first mapping may be old: one step may be any. */
    r->sequential = near > 0 && near + 1 >= steps;
}

/* ---- filtering ---- */

static const struct sp_behave_test *find(const struct sp_behave *b, enum sp_behave_what what) {
    for (unsigned i = 0; i < b->test_count; i++)
        if (b->tests[i].what == what)
            return &b->tests[i];
    return NULL;
}

/* The socket may have sent to this address (or, with whole false, to another port of it) before: no wonder if it is let
 * in. The tests of filtering come before all others, but the servers' addresses may have been in use for long. */
static bool maybe_open(const struct sp_behave *b, const struct sp_addr *a, bool whole) {
    for (unsigned i = 0; i < b->count; i++)
        if (whole ? sp_nat_same(&b->servers[i], a) : sp_nat_same_ip(&b->servers[i], a))
            return true;
    return false;
}

/* This address answered when it was asked directly, so a network that is silent about it is not the reason. */
static bool alive(const struct sp_behave *b, const struct sp_addr *a) {
    for (unsigned i = 0; i < b->test_count; i++) {
        const struct sp_behave_test *t = &b->tests[i];
        if (t->what == SP_BEHAVE_DIRECT && t->answered && !t->refused && sp_nat_same(&t->to, a))
            return true;
    }
    return false;
}

/* So did the port from which the server answers if it is to change its port: that of OTHER-ADDRESS, else any other. */
static bool other_port_alive(const struct sp_behave *b) {
    struct sp_addr a = b->primary;
    for (unsigned i = 0; i < b->test_count; i++) {
        a.port = b->other.family != 0 ? b->other.port : b->tests[i].to.port;
        if (a.port != b->primary.port && alive(b, &a))
            return true;
    }
    return false;
}

static bool came(const struct sp_behave_test *t) {
    return t->answered && !t->refused;
}

/* RFC 5780 4.4. A test without an answer says something only if the server would answer and is reachable there. */
static enum sp_nat_filtering filtering_of(const struct sp_behave *b) {
    const struct sp_behave_test *both = find(b, SP_BEHAVE_CHANGE_BOTH), *port = find(b, SP_BEHAVE_CHANGE_PORT);
    if (both == NULL || port == NULL)
        return SP_FILTERING_UNKNOWN;
    if (came(both) && !maybe_open(b, &both->mapped, false))
        return SP_FILTERING_ENDPOINT;
    if (!port->answered && other_port_alive(b))
        return SP_FILTERING_PORT;
    bool strangers_out = !both->answered && alive(b, &b->other);
    bool other_ports_in = came(port) && !maybe_open(b, &port->mapped, true);
    return strangers_out && other_ports_in ? SP_FILTERING_ADDRESS : SP_FILTERING_UNKNOWN;
}

void sp_behave_judge(struct sp_behave *b) {
    judge_mapping(b);
    b->result.filtering = (uint8_t)filtering_of(b);
    const struct sp_behave_test *hairpin = find(b, SP_BEHAVE_HAIRPIN);
    b->result.hairpin_known = hairpin != NULL && hairpin->sent > 0;
    b->result.hairpin = hairpin != NULL && hairpin->answered;
}

void sp_behave_keep(struct sp_behave_result *r, const struct sp_behave_result *before) {
    if (before->udp && r->udp && sp_nat_same(&r->mapped[0], &before->mapped[0]) && r->filtering != SP_FILTERING_PORT)
        r->filtering = before->filtering;
}
