/* A signpost and two devices of its zone, for the tests of control sessions: through the five calls, agents made by hand. */
#ifndef SP_TESTS_SESSION_HELP_H
#define SP_TESTS_SESSION_HELP_H

#include "tests/unit/cm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "signpostd/core/overlay.h"
#include "tests/support/fake_agent.h"

static struct rig r;
static struct fake a, b;
static uint8_t buf[2048];

static inline int begin(void **state) {
    rig_init(&r, 0);
    rig_start(&r);
    rig_zone(&r);
    fake_init(&a, &r, "laptop.me.example.", 10, true);
    fake_init(&b, &r, "nas.me.example.", 20, true);
    rig_forget(&r);
    return 0;
}

static inline int end(void **state) {
    fake_end(&a);
    fake_end(&b);
    rig_end(&r);
    return 0;
}

static inline const struct sp_overlay_counts *counts(void) {
    return &r.s->overlay->counts;
}

static inline struct sp_name name_of(const char *text) {
    struct sp_name n;
    assert_int_equal(sp_name_from_text(&n, text, strlen(text), NULL), SP_OK);
    return n;
}

static inline void both_up(uint8_t mapping, uint8_t flags) {
    struct sp_profile p;
    struct fake *both[] = {&a, &b};
    for (unsigned i = 0; i < 2; i++) {
        assert_true(fake_handshake(both[i]));
        fake_profile(both[i], mapping, SP_FILTERING_PORT, flags, &p);
        assert_true(fake_tell(both[i], &p));
        fake_forget(both[i]);
    }
}

/* a asks for b, with a message of its own. The reply's plan. */
static inline bool connect_ab(const uint8_t first[SP_WG_INITIATION], struct sp_session_msg *m, struct sp_plan *ret) {
    struct sp_session_record rec;
    *ret = (struct sp_plan){0};
    size_t n = sp_session_connect_write(21, &b.name, first, SP_WG_INITIATION, buf, sizeof buf);
    if (!fake_ask(&a, buf, n, m) || m->rcode != SP_RCODE_NOERROR)
        return false;
    assert_int_equal(sp_session_record(m, &rec), SP_OK);
    assert_int_equal(rec.kind, SP_RECORD_PLAN);
    assert_true(sp_name_equal(&rec.owner, &b.name));
    *ret = rec.plan;
    return true;
}

/* Both are up, a has asked for b, and b has taken the plan: a channel that carries both ways. */
static inline void channel_ab(struct sp_plan *ret) {
    uint8_t first[SP_WG_INITIATION] = {1};
    struct sp_session_msg m, push;
    both_up(SP_MAPPING_ENDPOINT, 0);
    assert_true(connect_ab(first, &m, ret));
    fake_take(&b);
    assert_true(fake_find(&b, SP_SESSION_PUSH, &push));
    fake_dns(&b, buf, sp_session_ack_write(&push, buf, sizeof buf));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

#endif
