#include "tests/unit/cm.h"

#include <stdlib.h>

#include "client/core/agent.h"
#include "tests/support/server_rig.h"

/* The two cores in one process and virtual time: days of leases, a net that loses datagrams, power cuts. RFC 2136,
 * 2931, 9664. */

struct duo {
    struct rig r;
    struct sp_agent *agent;
    struct sp_agent_config config;
    struct sp_token token;
    struct sp_rng rng;
    unsigned loss; /* percent, each way */
    unsigned stops;
};

static void agent_start(struct duo *d) {
    memset(d->config.seed, 6, sizeof d->config.seed);
    assert_int_equal(sp_agent_init(d->agent, &d->config, d->r.now), SP_OK);
}

static void duo_begin(struct duo *d) {
    char text[SP_TOKEN_TEXT_MAX + 1];
    uint8_t seed[32] = {8};
    memset(d, 0, sizeof *d);
    rig_init(&d->r, 256);
    rig_start(&d->r);
    assert_int_equal(rig_ctl(&d->r, SP_OP_ZONE_ADD, "me.signpost.", "", "198.51.100.2", NULL), SP_OP_OK);
    assert_int_equal(rig_ctl(&d->r, SP_OP_INVITE, "me.signpost.", "laptop", "86400", "198.51.100.2", NULL), SP_OP_OK);
    assert_non_null(rig_ctl_text(&d->r, "token", text, sizeof text));
    assert_int_equal(sp_token_read(&d->token, text, strlen(text)), SP_OK);
    sp_rng_init(&d->rng, seed);
    d->config.publish_auto = true;
    sp_agent_identity_make(&d->config.id, &d->token, seed);
    d->agent = calloc(1, sp_agent_size());
    agent_start(d);
    rig_forget(&d->r);
}

static void duo_end(struct duo *d) {
    sp_agent_wipe(d->agent);
    free(d->agent);
    rig_end(&d->r);
}

static bool lost(struct duo *d) {
    return sp_rng_below(&d->rng, 100) < d->loss;
}

/* One datagram to the signpost; its reply, if both ways work, back to the agent. */
static void carry(struct duo *d, const struct sp_out *out) {
    struct sp_addr from = out->dst;
    assert_int_equal(out->kind, SP_OUT_DATAGRAM);
    if (lost(d))
        return;
    const struct rig_out *reply = rig_udp(&d->r, out->data, out->len);
    if (reply != NULL && !lost(d)) {
        struct sp_in in = {.kind = SP_IN_DATAGRAM, .data = reply->data, .len = reply->len, .src = from};
        size_t taken;
        assert_int_equal(sp_agent_input(d->agent, d->r.now, d->r.wall, &in, 1, &taken), SP_OK);
    }
    rig_forget(&d->r);
}

static void duo_pass(struct duo *d, sp_duration how_long) {
    sp_instant until = d->r.now + how_long;
    struct sp_event ev;
    struct sp_out out;
    for (;;) {
        if (sp_agent_deadline(d->agent) <= d->r.now)
            sp_agent_expire(d->agent, d->r.now, d->r.wall);
        while (sp_agent_output(d->agent, d->r.now, d->r.wall, &out, 1) > 0)
            carry(d, &out);
        while (sp_agent_event(d->agent, &ev))
            d->stops++;
        sp_instant next = sp_agent_deadline(d->agent);
        if (next > until)
            break;
        if (next > d->r.now)
            rig_wait(&d->r, next - d->r.now);
    }
    if (until > d->r.now)
        rig_wait(&d->r, until - d->r.now);
    rig_forget(&d->r);
}

static void links(struct duo *d, uint8_t last) {
    struct sp_addr list[2] = {{.family = 4, .ip = {192, 0, 2, last}},
                              {.family = 6, .ip = {0x20, 1, 0xd, 0xb8, [15] = last}}};
    struct sp_in in = {.kind = SP_IN_LINK, .data = (const uint8_t *)list, .len = sizeof list};
    size_t taken;
    assert_int_equal(sp_agent_input(d->agent, d->r.now, d->r.wall, &in, 1, &taken), SP_OK);
}

static enum sp_agent_state state_of(const struct duo *d) {
    struct sp_agent_status s;
    sp_agent_status(d->agent, &s);
    return s.state;
}

/* How many records of this type the name has, asked at the signpost. */
static size_t records(struct duo *d, uint16_t type) {
    uint8_t query[512];
    size_t len = rig_query(query, sizeof query, 77, "laptop.me.signpost.", type, true, 0);
    const struct rig_out *reply = rig_udp(&d->r, query, len);
    assert_non_null(reply);
    size_t n = rig_answers(reply->data, reply->len, type);
    rig_forget(&d->r);
    return n;
}

static uint32_t serial(struct duo *d) {
    uint8_t query[512];
    struct sp_msg msg;
    struct sp_rr rr;
    size_t len = rig_query(query, sizeof query, 78, "me.signpost.", SP_TYPE_SOA, false, 0);
    const struct rig_out *reply = rig_udp(&d->r, query, len);
    assert_non_null(reply);
    assert_int_equal(sp_msg_parse(&msg, reply->data, reply->len), SP_OK);
    struct sp_rd rd = sp_msg_section(&msg, 1);
    assert_int_equal(sp_msg_rr(&rd, &rr), SP_OK);
    struct sp_name name;
    assert_int_equal(sp_name_read(&rr.rdata, &name), SP_OK);
    assert_int_equal(sp_name_read(&rr.rdata, &name), SP_OK);
    uint32_t got = sp_rd_u32(&rr.rdata);
    rig_forget(&d->r);
    return got;
}

static void join(struct duo *d) {
    assert_int_equal(sp_agent_join(d->agent, &d->token, d->r.now), SP_OK);
    duo_pass(d, 2 * SP_SEC);
    assert_int_equal(state_of(d), SP_AGENT_JOINED);
}

static void join_and_up(struct duo *d) {
    join(d);
    links(d, 10);
    assert_int_equal(sp_agent_up(d->agent, d->r.now), SP_OK);
    duo_pass(d, SP_SEC);
    assert_int_equal(state_of(d), SP_AGENT_UP);
}

static void three_days(void **state) {
    struct duo d;
    duo_begin(&d);
    join_and_up(&d);
    uint32_t before = serial(&d);
    for (unsigned i = 0; i < 3 * 24 * 6; i++) {
        duo_pass(&d, 10 * SP_MIN);
        assert_int_equal(records(&d, SP_TYPE_A), 1);
        assert_int_equal(records(&d, SP_TYPE_AAAA), 2);
    }
    assert_int_equal(state_of(&d), SP_AGENT_UP);
    assert_int_equal(serial(&d), before); /* a refresh that changes nothing leaves the serial alone: RFC 9664 */
    struct sp_agent_status s;
    sp_agent_status(d.agent, &s);
    assert_int_equal(s.counts.sent, s.counts.accepted);
    duo_end(&d);
}

static void a_net_that_loses_a_third(void **state) {
    struct duo d;
    duo_begin(&d);
    join_and_up(&d);
    d.loss = 33;
    for (unsigned i = 0; i < 2 * 24 * 6; i++) {
        if (i % 7 == 0)
            links(&d, (uint8_t)(10 + i % 3));
        duo_pass(&d, 10 * SP_MIN);
        assert_int_equal(records(&d, SP_TYPE_A), 1);
        assert_int_equal(records(&d, SP_TYPE_KEY), 1);
    }
    d.loss = 0;
    links(&d, 99);
    duo_pass(&d, SP_MIN);
    assert_int_equal(state_of(&d), SP_AGENT_UP);
    assert_int_equal(records(&d, SP_TYPE_AAAA), 2);
    duo_end(&d);
}

static void joining_over_a_net_that_loses_half(void **state) {
    for (uint8_t seed = 0; seed < 40; seed++) {
        struct duo d;
        duo_begin(&d);
        uint8_t bytes[32] = {seed, 77};
        sp_rng_init(&d.rng, bytes);
        d.loss = 50;
        /* As a person would: the same token again while there was no answer. */
        for (unsigned i = 0; i < 20 && state_of(&d) != SP_AGENT_JOINED; i++) {
            assert_int_equal(sp_agent_join(d.agent, &d.token, d.r.now), SP_OK);
            duo_pass(&d, SP_MIN);
            assert_true(state_of(&d) == SP_AGENT_JOINED || state_of(&d) == SP_AGENT_FAILED);
        }
        assert_int_equal(state_of(&d), SP_AGENT_JOINED);
        assert_int_equal(records(&d, SP_TYPE_KEY), 1);
        duo_end(&d);
    }
}

static void power_cuts(void **state) {
    struct duo d;
    duo_begin(&d);
    join_and_up(&d);
    for (uint8_t i = 0; i < 5; i++) {
        rig_power_cut(&d.r);
        if (i % 2) { /* within the second of the last record */
            assert_int_equal(sp_agent_down(d.agent, d.r.now), SP_OK);
            duo_pass(&d, 10 * SP_SEC);
            assert_int_equal(state_of(&d), SP_AGENT_DONE);
            assert_int_equal(records(&d, SP_TYPE_A), 0);
            assert_int_equal(sp_agent_up(d.agent, d.r.now), SP_OK);
            duo_pass(&d, SP_SEC);
        }
        assert_int_equal(records(&d, SP_TYPE_A), 1);
        assert_int_equal(records(&d, SP_TYPE_AAAA), 2);
        links(&d, (uint8_t)(20 + i));
        duo_pass(&d, SP_MIN);
        assert_int_equal(state_of(&d), SP_AGENT_UP);
        links(&d, (uint8_t)(40 + i));
        duo_pass(&d, 1100 * SP_MS); /* cut right after an update */
    }
    duo_end(&d);
}

static void presence_expires_identity_stays(void **state) {
    struct duo d;
    duo_begin(&d);
    join_and_up(&d);
    rig_wait(&d.r, 3500 * SP_SEC); /* the agent is gone */
    assert_int_equal(records(&d, SP_TYPE_A), 1);
    rig_wait(&d.r, 120 * SP_SEC);
    rig_forget(&d.r);
    assert_int_equal(records(&d, SP_TYPE_A), 0);
    assert_int_equal(records(&d, SP_TYPE_AAAA), 1);
    assert_int_equal(records(&d, SP_TYPE_KEY), 1);
    duo_end(&d);
}

static void down_and_leave(void **state) {
    struct duo d;
    duo_begin(&d);
    join_and_up(&d);
    assert_int_equal(sp_agent_down(d.agent, d.r.now), SP_OK);
    duo_pass(&d, SP_SEC);
    assert_int_equal(state_of(&d), SP_AGENT_DONE);
    assert_int_equal(records(&d, SP_TYPE_A), 0);
    assert_int_equal(records(&d, SP_TYPE_AAAA), 1);
    assert_int_equal(sp_agent_leave(d.agent, d.r.now), SP_OK);
    duo_pass(&d, SP_SEC);
    assert_int_equal(state_of(&d), SP_AGENT_DONE);
    assert_int_equal(records(&d, SP_TYPE_AAAA), 0);
    assert_int_equal(records(&d, SP_TYPE_KEY), 0);
    assert_int_equal(d.stops, 3);
    duo_end(&d);
}

/* Refusals are signed, or the agent would take them for silence. */
static void refusals_reach_the_agent(void **state) {
    struct duo d;
    struct sp_agent_status s;
    duo_begin(&d);
    join_and_up(&d);
    assert_int_equal(rig_ctl(&d.r, SP_OP_DEVICE_REVOKE, "me.signpost.", "laptop", NULL), SP_OP_OK);
    rig_forget(&d.r);
    links(&d, 30);
    duo_pass(&d, 10 * SP_SEC);
    sp_agent_status(d.agent, &s);
    assert_int_equal(s.state, SP_AGENT_REFUSED);
    assert_int_equal(s.last_ede, 18);
    /* Another device with the token that was used. */
    uint8_t seed[32] = {99};
    sp_agent_identity_make(&d.config.id, &d.token, seed);
    agent_start(&d);
    assert_int_equal(sp_agent_join(d.agent, &d.token, d.r.now), SP_OK);
    duo_pass(&d, 5 * SP_SEC);
    sp_agent_status(d.agent, &s);
    assert_int_equal(s.state, SP_AGENT_REFUSED);
    assert_non_null(strstr(s.last_ede_text, "invite"));
    assert_int_equal(s.counts.dropped_unsigned, 0);
    assert_int_equal(records(&d, SP_TYPE_KEY), 0);
    duo_end(&d);
}

/* RFC 2931: both clocks wrong against each other by a day, either way. */
static void clocks_that_differ(void **state) {
    for (int way = -1; way <= 1; way += 2) {
        struct duo d;
        struct sp_agent_status s;
        duo_begin(&d);
        uint64_t true_wall = d.r.wall.ns;
        assert_int_equal(sp_agent_join(d.agent, &d.token, d.r.now), SP_OK);
        for (unsigned i = 0; i < 20 && state_of(&d) == SP_AGENT_JOINING; i++) {
            struct sp_out out;
            sp_wall wrong = {true_wall + (uint64_t)(int64_t)way * 86400 * SP_SEC};
            while (sp_agent_output(d.agent, d.r.now, wrong, &out, 1) > 0) {
                const struct rig_out *reply = rig_udp(&d.r, out.data, out.len);
                assert_non_null(reply);
                struct sp_in in = {.kind = SP_IN_DATAGRAM, .data = reply->data, .len = reply->len, .src = out.dst};
                size_t taken;
                assert_int_equal(sp_agent_input(d.agent, d.r.now, wrong, &in, 1, &taken), SP_OK);
                rig_forget(&d.r);
            }
        }
        sp_agent_status(d.agent, &s);
        assert_int_equal(s.state, SP_AGENT_JOINED);
        assert_true(s.clock_offset_s >= -way * 86400 - 2 && s.clock_offset_s <= -way * 86400 + 2);
        duo_end(&d);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_days),
        cmocka_unit_test(a_net_that_loses_a_third),
        cmocka_unit_test(joining_over_a_net_that_loses_half),
        cmocka_unit_test(power_cuts),
        cmocka_unit_test(presence_expires_identity_stays),
        cmocka_unit_test(down_and_leave),
        cmocka_unit_test(refusals_reach_the_agent),
        cmocka_unit_test(clocks_that_differ),
    };
    return cmocka_run_group_tests_name("agent_server", tests, NULL, NULL);
}
