#include "tests/unit/cm.h"

#include "client/core/state.h"
#include "proto/control/operator.h"
#include "tests/support/agent_peer.h"

/* Presence: RFC 2136, 9664. */

static const char *const home[] = {"127.0.0.1", "192.0.2.10", "10.0.0.5", "fe80::1", "2001:db8::10", "fd00::5", "::1"};
static const char *const cafe[] = {"127.0.0.1", "203.0.113.7", "2001:db8:ca::7", "::1"};

static struct sp_agent_status status_of(const struct world *w) {
    struct sp_agent_status s;
    sp_agent_status(w->agent, &s);
    return s;
}

static void world_up(struct world *w, const struct sp_agent_config *config) {
    world_init(w, config, 1);
    world_join(w);
    world_links(w, home, 7);
    assert_int_equal(sp_agent_up(w->agent, w->now), SP_OK);
    world_pass(w, SP_SEC);
    assert_int_equal(world_state(w), SP_AGENT_UP);
}

static void up_publishes_global_addresses(void **state) {
    struct world w;
    world_up(&w, NULL);
    struct sp_agent_status s = status_of(&w);
    assert_true(peer_has(&w.peer, "192.0.2.10"));
    assert_true(peer_has(&w.peer, "2001:db8::10"));
    assert_true(peer_has_overlay(&w.peer, s.overlay));
    assert_int_equal(peer_count(&w.peer, SP_TYPE_A), 1);
    assert_int_equal(peer_count(&w.peer, SP_TYPE_AAAA), 2);
    assert_int_equal(peer_count(&w.peer, SP_TYPE_KEY), 1);
    assert_int_equal(s.published_count, 2);
    assert_int_equal(s.lease_s, SP_AGENT_LEASE_DEFAULT);
    assert_true(w.peer.seen.lease_asked);
    assert_int_equal(w.peer.seen.lease_s, SP_AGENT_LEASE_DEFAULT);
    world_free(&w);
}

static void up_obeys_the_owner(void **state) {
    struct world w;
    struct sp_agent_config c = {.publish_auto = true, .publish_private = true, .lease_s = 600, .publish_count = 2};
    c.publish[0] = test_addr("198.51.100.99", 0);
    c.publish[1] = test_addr("192.0.2.10", 0); /* the host reports it too */
    world_up(&w, &c);
    assert_int_equal(w.peer.seen.lease_s, 600);
    assert_true(peer_has(&w.peer, "198.51.100.99"));
    assert_true(peer_has(&w.peer, "10.0.0.5"));
    assert_true(peer_has(&w.peer, "fd00::5"));
    assert_int_equal(peer_count(&w.peer, SP_TYPE_A), 3);
    assert_int_equal(peer_count(&w.peer, SP_TYPE_AAAA), 3);
    world_free(&w);

    c = (struct sp_agent_config){.publish_count = 1};
    c.publish[0] = test_addr("198.51.100.99", 0);
    world_up(&w, &c);
    assert_int_equal(peer_count(&w.peer, SP_TYPE_A), 1);
    assert_int_equal(peer_count(&w.peer, SP_TYPE_AAAA), 1);
    world_free(&w);
}

static void the_overlay_is_not_presence(void **state) {
    struct world w;
    struct sp_agent_config c = {.publish_auto = true, .publish_private = true, .publish_count = 1};
    world_init(&w, NULL, 1);
    struct sp_agent_status s = status_of(&w);
    world_free(&w);
    c.publish[0].family = 6;
    memcpy(c.publish[0].ip, s.overlay, 16);
    world_up(&w, &c);
    s = status_of(&w);
    for (unsigned i = 0; i < s.published_count; i++)
        assert_memory_not_equal(s.published[i].ip, s.overlay, 16);
    world_free(&w);
}

/* RFC 9664 5: at 80% of the lease; it only adds what is there, so that no serial changes. */
static void refresh_at_80_percent(void **state) {
    struct world w;
    world_up(&w, NULL);
    sp_instant first = w.sent_at[w.sent - 1];
    for (unsigned i = 0; i < 5; i++) {
        unsigned sent = w.sent;
        world_run(&w, first + 3070 * SP_SEC);
        assert_int_equal(w.sent, sent + 1);
        sp_duration after = w.sent_at[sent] - first;
        assert_true(after >= 2880 * SP_SEC && after <= 3061 * SP_SEC);
        assert_int_equal(w.peer.seen.deletes + w.peer.seen.delete_sets + w.peer.seen.delete_all, 0);
        assert_int_equal(w.peer.seen.adds, 2);
        assert_true(w.peer.seen.lease_asked);
        assert_int_equal(world_state(&w), SP_AGENT_UP);
        first = w.sent_at[sent];
    }
    world_free(&w);
}

static void the_granted_lease_counts(void **state) {
    static const struct {
        uint32_t granted, used;
        bool absent;
    } rows[] = {{120, 120, false},
                {1, SP_AGENT_LEASE_MIN, false},
                {UINT32_MAX, SP_AGENT_LEASE_MAX, false},
                {1, SP_AGENT_LEASE_DEFAULT, true}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct world w;
        world_init(&w, NULL, 1);
        world_join(&w);
        w.peer.grant_s = rows[i].granted;
        w.peer.no_lease_option = rows[i].absent;
        assert_int_equal(sp_agent_up(w.agent, w.now), SP_OK);
        world_pass(&w, SP_SEC);
        struct sp_agent_status s = status_of(&w);
        assert_int_equal(s.lease_s, rows[i].used);
        assert_true(s.next_at >= w.now + rows[i].used * (SP_SEC / 100) * 80 - 2 * SP_SEC);
        world_free(&w);
    }
}

static void another_network_registers_anew(void **state) {
    struct world w;
    world_up(&w, NULL);
    unsigned sent = w.sent;
    /* A burst: nothing is sent before it has settled. */
    world_links(&w, home, 1);
    world_pass(&w, 600 * SP_MS);
    world_links(&w, cafe, 2);
    world_pass(&w, 600 * SP_MS);
    world_links(&w, cafe, 4);
    world_pass(&w, 900 * SP_MS);
    assert_int_equal(w.sent, sent);
    world_pass(&w, SP_SEC);
    assert_int_equal(w.sent, sent + 1);
    struct sp_agent_status s = status_of(&w);
    assert_true(peer_has(&w.peer, "203.0.113.7"));
    assert_true(peer_has(&w.peer, "2001:db8:ca::7"));
    assert_false(peer_has(&w.peer, "192.0.2.10"));
    assert_false(peer_has(&w.peer, "2001:db8::10"));
    assert_true(peer_has_overlay(&w.peer, s.overlay)); /* shares its RRset with what was withdrawn */
    assert_int_equal(peer_count(&w.peer, SP_TYPE_KEY), 1);
    /* The same again changes nothing. */
    world_links(&w, cafe, 4);
    world_pass(&w, 10 * SP_SEC);
    assert_int_equal(w.sent, sent + 1);
    world_free(&w);
}

static void a_network_that_never_settles(void **state) {
    struct world w;
    world_up(&w, NULL);
    unsigned sent = w.sent;
    for (unsigned i = 0; i < 10; i++) {
        world_links(&w, i % 2 ? home : cafe, 2);
        world_pass(&w, 700 * SP_MS);
    }
    assert_true(w.sent > sent);
    world_free(&w);
}

static void a_change_during_an_update(void **state) {
    struct world w;
    world_init(&w, NULL, 1);
    world_join(&w);
    world_links(&w, home, 7);
    w.latency = 3 * SP_SEC;
    assert_int_equal(sp_agent_up(w.agent, w.now), SP_OK);
    world_pass(&w, 100 * SP_MS);
    world_links(&w, cafe, 4);
    world_pass(&w, 30 * SP_SEC);
    assert_int_equal(world_state(&w), SP_AGENT_UP);
    assert_true(peer_has(&w.peer, "203.0.113.7"));
    assert_false(peer_has(&w.peer, "192.0.2.10"));
    assert_false(peer_has(&w.peer, "2001:db8::10"));
    assert_int_equal(status_of(&w).published_count, 2);
    world_free(&w);
}

static void silence_is_backed_off_from(void **state) {
    struct world w;
    world_up(&w, NULL);
    w.peer.silent = true;
    world_links(&w, cafe, 4);
    world_pass(&w, 40 * SP_SEC);
    struct sp_agent_status s = status_of(&w);
    assert_true(s.state == SP_AGENT_RETRYING || s.attempts > 0);
    assert_int_equal(s.last_err, SP_ERR_AGAIN);
    world_pass(&w, 2 * SP_HOUR);
    unsigned sent = w.sent;
    world_pass(&w, SP_HOUR); /* five transmissions an attempt, an attempt every 5..10 minutes and 20 seconds */
    assert_true(w.sent - sent >= 5 * 5 && w.sent - sent <= 5 * 12);
    /* Another network is a reason to try at once. */
    sent = w.sent;
    world_run(&w, sp_agent_deadline(w.agent));
    while (world_state(&w) != SP_AGENT_RETRYING)
        world_pass(&w, SP_SEC);
    w.peer.silent = false;
    world_links(&w, home, 7);
    world_pass(&w, 1100 * SP_MS);
    assert_int_equal(world_state(&w), SP_AGENT_UP);
    assert_true(peer_has(&w.peer, "192.0.2.10"));
    assert_false(peer_has(&w.peer, "203.0.113.7"));
    assert_int_equal(status_of(&w).attempts, 0);
    world_free(&w);
}

static void a_revoked_device_asks_slowly(void **state) {
    struct world w;
    world_up(&w, NULL);
    w.peer.known = false;
    world_links(&w, cafe, 4);
    world_pass(&w, 1500 * SP_MS);
    assert_int_equal(world_state(&w), SP_AGENT_RETRYING); /* one refusal may be a replay's */
    world_pass(&w, 6 * SP_SEC);
    struct sp_agent_status s = status_of(&w);
    assert_int_equal(s.state, SP_AGENT_REFUSED);
    assert_string_equal(s.last_ede_text, "no such key");
    assert_int_equal(w.stops, 1); /* join's; up goes on */
    unsigned sent = w.sent;
    world_links(&w, home, 7);
    world_pass(&w, 25 * SP_MIN);
    assert_int_equal(w.sent, sent);
    w.peer.known = true;
    world_pass(&w, 40 * SP_MIN);
    assert_int_equal(world_state(&w), SP_AGENT_UP);
    world_free(&w);
}

static void a_single_refusal_is_not_final(void **state) {
    struct world w;
    world_up(&w, NULL);
    for (unsigned i = 0; i < 3; i++) {
        w.peer.force_rcode = SP_RCODE_REFUSED;
        w.peer.force_ede = 18;
        world_links(&w, i % 2 ? home : cafe, 4);
        world_pass(&w, 1500 * SP_MS);
        assert_int_equal(world_state(&w), SP_AGENT_RETRYING);
        w.peer.force_rcode = -1;
        world_pass(&w, 6 * SP_SEC);
        assert_int_equal(world_state(&w), SP_AGENT_UP);
    }
    world_free(&w);
}

static void down_withdraws_presence_alone(void **state) {
    struct world w;
    world_up(&w, NULL);
    struct sp_agent_status s = status_of(&w);
    assert_int_equal(sp_agent_down(w.agent, w.now), SP_OK);
    assert_int_equal(world_state(&w), SP_AGENT_WITHDRAWING);
    world_pass(&w, SP_SEC);
    assert_int_equal(world_state(&w), SP_AGENT_DONE);
    assert_int_equal(w.stops, 2);
    assert_int_equal(peer_count(&w.peer, SP_TYPE_A), 0);
    assert_int_equal(peer_count(&w.peer, SP_TYPE_AAAA), 1);
    assert_true(peer_has_overlay(&w.peer, s.overlay));
    assert_int_equal(peer_count(&w.peer, SP_TYPE_KEY), 1);
    assert_false(w.peer.seen.lease_asked);
    s = status_of(&w);
    assert_int_equal(s.published_count, 0);
    assert_int_equal(s.lease_s, 0);
    /* Nothing is left to withdraw: no message. */
    unsigned sent = w.sent;
    assert_int_equal(sp_agent_down(w.agent, w.now), SP_OK);
    world_pass(&w, SP_SEC);
    assert_int_equal(w.sent, sent);
    assert_int_equal(world_state(&w), SP_AGENT_DONE);
    assert_int_equal(w.stops, 3);
    world_free(&w);
}

/* What an agent published before it died is withdrawn by the next one. */
static void memory_outlives_the_process(void **state) {
    struct world w;
    world_up(&w, NULL);
    world_restart(&w, NULL);
    world_links(&w, cafe, 4);
    assert_int_equal(sp_agent_up(w.agent, w.now), SP_OK);
    world_pass(&w, SP_SEC);
    assert_int_equal(world_state(&w), SP_AGENT_UP);
    assert_false(peer_has(&w.peer, "2001:db8::10"));
    assert_false(peer_has(&w.peer, "192.0.2.10"));
    assert_true(peer_has(&w.peer, "2001:db8:ca::7"));
    assert_int_equal(peer_count(&w.peer, SP_TYPE_AAAA), 2);
    world_free(&w);
}

/* RFC 2931 3.2: the signpost takes no signature older than the last one of the key. */
static void a_clock_set_back_is_no_replay(void **state) {
    struct world w;
    world_up(&w, NULL);
    uint32_t last = w.peer.seen.inception;
    w.wall_s -= 100;
    w.peer.clock_s += 100;
    world_links(&w, cafe, 4);
    world_pass(&w, 5 * SP_SEC);
    assert_int_equal(world_state(&w), SP_AGENT_UP);
    assert_true(w.peer.seen.inception >= last);
    world_restart(&w, NULL);
    assert_int_equal(sp_agent_up(w.agent, w.now), SP_OK);
    world_pass(&w, 5 * SP_SEC);
    assert_int_equal(world_state(&w), SP_AGENT_UP);
    assert_int_equal(w.peer.replays, 0);
    world_free(&w);
}

/* A clock that ran years ahead leaves a memory that must not bind for ever. */
static void a_clock_from_the_future_recovers(void **state) {
    struct world w;
    world_up(&w, NULL);
    w.wall_s += 86400 * 400;
    w.peer.clock_s -= 86400 * 400;
    world_links(&w, cafe, 4);
    world_pass(&w, 5 * SP_SEC);
    assert_int_equal(world_state(&w), SP_AGENT_UP); /* by the signpost's clock */
    w.wall_s -= 86400 * 400;
    w.peer.clock_s += 86400 * 400;
    world_links(&w, home, 7);
    world_pass(&w, 5 * SP_SEC);
    assert_int_equal(world_state(&w), SP_AGENT_UP);
    assert_true(status_of(&w).clock_offset_s >= -1 && status_of(&w).clock_offset_s <= 1);
    world_free(&w);
}

static void updates_of_one_second_differ(void **state) {
    struct world w;
    world_up(&w, NULL);
    uint16_t id = w.peer.seen.id;
    uint32_t inception = w.peer.seen.inception;
    assert_int_equal(sp_agent_down(w.agent, w.now), SP_OK);
    world_pass(&w, 100 * SP_MS);
    assert_true(w.peer.seen.inception >= inception);
    assert_true(w.peer.seen.id != id);
    assert_int_equal(w.peer.replays, 0);
    world_free(&w);
}

/* More old addresses than fit into one message beside the longest of names: all go, in several. */
static void many_old_addresses(void **state) {
    struct world w;
    world_init(&w, NULL, 1);
    char text[300];
    size_t len = 0;
    while (len < 200) {
        memset(text + len, 'a', 39);
        text[len + 39] = '.';
        len += 40;
    }
    memcpy(text + len, "laptop-laptop-laptop-laptop-laptop-", 35);
    assert_int_equal(sp_name_from_text(&w.peer.name, text, len + 35, &w.peer.zone), SP_OK);
    w.token.name = w.id.name = w.peer.name;
    assert_true(w.id.name.len > 245);
    world_restart(&w, NULL);
    world_join(&w);
    struct sp_agent_memory m;
    sp_agent_memory(w.agent, &m);
    for (unsigned i = 0; i < SP_AGENT_PUBLISHED_MAX; i++) {
        m.published[i] = test_addr("2001:db8:f::", 0);
        m.published[i].ip[15] = (uint8_t)(i + 1);
        w.peer.rrs[10 + i] = (struct peer_rr){.type = SP_TYPE_AAAA, .len = 16};
        memcpy(w.peer.rrs[10 + i].data, m.published[i].ip, 16);
    }
    m.published_count = SP_AGENT_PUBLISHED_MAX;
    struct sp_agent_config c = {.id = w.id, .memory = m, .publish_count = SP_AGENT_PUBLISH_MAX};
    for (unsigned i = 0; i < SP_AGENT_PUBLISH_MAX; i++) {
        c.publish[i] = test_addr("2001:db8:e::", 0);
        c.publish[i].ip[15] = (uint8_t)(i + 1);
    }
    assert_int_equal(sp_agent_init(w.agent, &c, w.now), SP_OK);
    unsigned sent = w.sent;
    assert_int_equal(sp_agent_up(w.agent, w.now), SP_OK);
    world_pass(&w, SP_SEC);
    assert_int_equal(world_state(&w), SP_AGENT_UP);
    assert_true(w.sent > sent + 1);
    /* The 16 oldest found no room in the memory beside the 16 new ones; their lease ends them. */
    assert_int_equal(peer_count(&w.peer, SP_TYPE_AAAA), 1 + 16 + 16);
    sp_agent_memory(w.agent, &m);
    assert_int_equal(m.published_count, SP_AGENT_PUBLISH_MAX);
    assert_int_equal(sp_agent_down(w.agent, w.now), SP_OK);
    world_pass(&w, SP_SEC);
    assert_int_equal(world_state(&w), SP_AGENT_DONE);
    assert_int_equal(peer_count(&w.peer, SP_TYPE_AAAA), 1 + 16);
    world_free(&w);
}

/* ---- control verbs ---- */

static void ask(struct world *w, unsigned verb, uint64_t id) {
    uint8_t request[2] = {SP_OP_VERSION, (uint8_t)verb};
    struct sp_in in = {.kind = SP_IN_CONTROL, .id = id, .data = request, .len = sizeof request};
    size_t taken;
    assert_int_equal(sp_agent_input(w->agent, w->now, world_wall(w), &in, 1, &taken), SP_OK);
}

static bool reply_says(const struct world *w, enum sp_op_status want, const char *key, const char *value) {
    struct sp_rd rd = sp_rd_init(w->control, w->control_len);
    enum sp_op_status got;
    struct sp_op_item item;
    assert_int_equal(sp_op_reply_read(&rd, &got), SP_OK);
    assert_int_equal(got, want);
    while (sp_op_next(&rd, &item) == SP_OK)
        if (item.kind == SP_OP_STR && strcmp(item.key, key) == 0)
            return item.len == strlen(value) && memcmp(item.data, value, item.len) == 0;
    return false;
}

static void control_status_and_down(void **state) {
    struct world w;
    world_up(&w, NULL);
    ask(&w, SP_AGENT_OP_STATUS, 7);
    world_pass(&w, 0);
    assert_int_equal(w.controls, 1);
    assert_true(reply_says(&w, SP_OP_OK, "state", "up"));
    assert_true(reply_says(&w, SP_OP_OK, "name", "laptop.me.signpost."));
    assert_true(reply_says(&w, SP_OP_OK, "trust", "hosted"));
    ask(&w, SP_AGENT_OP_DOWN, 8);
    ask(&w, SP_AGENT_OP_DOWN, 9);
    world_run(&w, w.now);
    assert_int_equal(w.controls, 1); /* not before it is done */
    world_pass(&w, SP_SEC);
    assert_int_equal(w.controls, 3);
    assert_true(reply_says(&w, SP_OP_OK, "state", "done"));
    assert_int_equal(w.stops, 2);
    ask(&w, 77, 10);
    world_pass(&w, 0);
    assert_true(reply_says(&w, SP_OP_FAILED, "error", "the agent does not understand the request"));
    world_free(&w);
}

static void control_requests_are_bounded(void **state) {
    struct world w;
    world_up(&w, NULL);
    uint8_t request[2] = {SP_OP_VERSION, SP_AGENT_OP_STATUS};
    struct sp_in in[SP_AGENT_CONTROL_MAX + 1];
    for (unsigned i = 0; i <= SP_AGENT_CONTROL_MAX; i++)
        in[i] = (struct sp_in){.kind = SP_IN_CONTROL, .id = i, .data = request, .len = sizeof request};
    size_t taken;
    assert_int_equal(sp_agent_input(w.agent, w.now, world_wall(&w), in, SP_AGENT_CONTROL_MAX + 1, &taken), SP_ERR_FULL);
    assert_int_equal(taken, SP_AGENT_CONTROL_MAX);
    world_pass(&w, 0);
    assert_int_equal(w.controls, SP_AGENT_CONTROL_MAX);
    assert_int_equal(sp_agent_input(w.agent, w.now, world_wall(&w), in, 1, &taken), SP_OK);
    world_free(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(up_publishes_global_addresses),
        cmocka_unit_test(up_obeys_the_owner),
        cmocka_unit_test(the_overlay_is_not_presence),
        cmocka_unit_test(refresh_at_80_percent),
        cmocka_unit_test(the_granted_lease_counts),
        cmocka_unit_test(another_network_registers_anew),
        cmocka_unit_test(a_network_that_never_settles),
        cmocka_unit_test(a_change_during_an_update),
        cmocka_unit_test(silence_is_backed_off_from),
        cmocka_unit_test(a_revoked_device_asks_slowly),
        cmocka_unit_test(a_single_refusal_is_not_final),
        cmocka_unit_test(down_withdraws_presence_alone),
        cmocka_unit_test(memory_outlives_the_process),
        cmocka_unit_test(a_clock_set_back_is_no_replay),
        cmocka_unit_test(a_clock_from_the_future_recovers),
        cmocka_unit_test(updates_of_one_second_differ),
        cmocka_unit_test(many_old_addresses),
        cmocka_unit_test(control_status_and_down),
        cmocka_unit_test(control_requests_are_bounded),
    };
    return cmocka_run_group_tests_name("agent_register", tests, NULL, NULL);
}
