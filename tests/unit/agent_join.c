#include "tests/unit/cm.h"

#include "tests/support/agent_peer.h"

/* Joining: RFC 2136, 2931; DESIGN "A name points to a key". */

static void join_registers_identity(void **state) {
    struct world w;
    world_init(&w, NULL, 1);
    assert_int_equal(sp_agent_join(w.agent, &w.token, w.now), SP_OK);
    assert_int_equal(world_state(&w), SP_AGENT_JOINING);
    world_pass(&w, SP_SEC);
    struct sp_agent_status s;
    sp_agent_status(w.agent, &s);
    assert_int_equal(s.state, SP_AGENT_JOINED);
    assert_int_equal(w.stops, 1);
    assert_int_equal(w.sent, 1);
    assert_true(peer_has_overlay(&w.peer, s.overlay));
    assert_int_equal(s.overlay[0], 0xfd);
    assert_int_equal(peer_count(&w.peer, SP_TYPE_KEY), 1);
    assert_int_equal(peer_count(&w.peer, SP_TYPE_AAAA), 1);
    assert_int_equal(w.peer.seen.proofs, 1);
    assert_int_equal(w.peer.seen.proof_ttl, 0);
    assert_true(w.peer.seen.edns);
    assert_false(w.peer.seen.lease_asked); /* identity is never leased */
    assert_int_equal(s.last_rcode, 0);
    assert_int_equal(s.last_err, SP_OK);
    world_free(&w);
}

static void join_then_up_in_one_process(void **state) {
    struct world w;
    world_init(&w, NULL, 1);
    world_join(&w);
    assert_int_equal(sp_agent_up(w.agent, w.now), SP_OK);
    world_pass(&w, SP_SEC);
    assert_int_equal(world_state(&w), SP_AGENT_UP);
    world_free(&w);
}

static void join_refused_says_why(void **state) {
    struct world w;
    world_init(&w, NULL, 1);
    w.peer.invite_used = true;
    assert_int_equal(sp_agent_join(w.agent, &w.token, w.now), SP_OK);
    world_pass(&w, SP_MIN);
    struct sp_agent_status s;
    sp_agent_status(w.agent, &s);
    assert_int_equal(s.state, SP_AGENT_REFUSED);
    assert_int_equal(s.last_rcode, SP_RCODE_REFUSED);
    assert_int_equal(s.last_ede, 18);
    /* the invite's refusal, not that of the look whether an earlier join had gone through */
    assert_string_equal(s.last_ede_text, "the invite is unknown or was used");
    assert_int_equal(s.last_err, SP_ERR_DENIED);
    assert_int_equal(w.stops, 1);
    assert_int_equal(w.sent, 2);
    assert_int_equal(sp_agent_deadline(w.agent), SP_NEVER); /* a one-shot does not go on asking */
    world_free(&w);
}

/* The reply is lost, the invite used: the device must not be locked out. */
static void join_survives_a_lost_reply(void **state) {
    struct world w;
    world_init(&w, NULL, 1);
    w.peer.mute_next = true;
    assert_int_equal(sp_agent_join(w.agent, &w.token, w.now), SP_OK);
    world_pass(&w, 10 * SP_SEC);
    assert_int_equal(world_state(&w), SP_AGENT_JOINED);
    assert_int_equal(w.sent, 3); /* lost, refused, seen to have gone through */
    assert_int_equal(peer_count(&w.peer, SP_TYPE_KEY), 1);
    world_free(&w);
}

static void join_gives_up_on_silence(void **state) {
    struct world w;
    world_init(&w, NULL, 3);
    w.peer.silent = true;
    assert_int_equal(sp_agent_join(w.agent, &w.token, w.now), SP_OK);
    world_pass(&w, 2 * SP_MIN);
    struct sp_agent_status s;
    sp_agent_status(w.agent, &s);
    assert_int_equal(s.state, SP_AGENT_FAILED);
    assert_int_equal(s.last_err, SP_ERR_AGAIN);
    assert_int_equal(w.stops, 1);
    assert_int_equal(w.sent, 7);
    for (unsigned i = 0; i < w.sent; i++) /* the signpost's addresses take turns */
        assert_memory_equal(&w.sent_to[i], &w.token.addrs[i % 3], sizeof(struct sp_addr));
    assert_true(w.sent_at[6] < 30 * SP_SEC);
    world_free(&w);
}

static void join_waits_for_a_signpost_that_starts(void **state) {
    struct world w;
    world_init(&w, NULL, 1);
    w.peer.force_rcode = SP_RCODE_SERVFAIL;
    w.peer.force_ede = 14;
    assert_int_equal(sp_agent_join(w.agent, &w.token, w.now), SP_OK);
    world_pass(&w, SP_SEC);
    assert_int_equal(world_state(&w), SP_AGENT_RETRYING);
    w.peer.force_rcode = -1;
    world_pass(&w, SP_MIN);
    assert_int_equal(world_state(&w), SP_AGENT_JOINED);
    world_free(&w);
}

static void join_tries_a_failing_signpost_three_times(void **state) {
    struct world w;
    world_init(&w, NULL, 1);
    w.peer.force_rcode = SP_RCODE_SERVFAIL;
    assert_int_equal(sp_agent_join(w.agent, &w.token, w.now), SP_OK);
    world_pass(&w, SP_HOUR);
    assert_int_equal(world_state(&w), SP_AGENT_FAILED);
    assert_int_equal(w.sent, 3);
    world_free(&w);
}

/* RFC 2931 3.3: a wrong clock is set right by a signed refusal, for signatures alone. */
static void join_with_a_wrong_clock(void **state) {
    static const int64_t skews[] = {86400, -86400, -86400 * 3650};
    for (size_t i = 0; i < sizeof skews / sizeof *skews; i++) {
        struct world w;
        world_init(&w, NULL, 1);
        w.peer.clock_s = skews[i];
        assert_int_equal(sp_agent_join(w.agent, &w.token, w.now), SP_OK);
        world_pass(&w, SP_SEC);
        struct sp_agent_status s;
        sp_agent_status(w.agent, &s);
        assert_int_equal(s.state, SP_AGENT_JOINED);
        assert_true(s.clock_offset_s >= skews[i] - 1 && s.clock_offset_s <= skews[i] + 1);
        assert_int_equal(w.sent, 2);
        world_free(&w);
    }
}

/* A signpost that says "time" whatever we do must not make us spin. */
static void join_does_not_chase_a_mad_clock(void **state) {
    struct world w;
    world_init(&w, NULL, 1);
    w.peer.force_rcode = SP_RCODE_REFUSED;
    w.peer.force_ede = 7;
    assert_int_equal(sp_agent_join(w.agent, &w.token, w.now), SP_OK);
    world_pass(&w, SP_HOUR);
    assert_int_equal(world_state(&w), SP_AGENT_FAILED);
    assert_int_equal(w.sent, 9); /* three attempts, each corrected twice */
    world_free(&w);
}

static void join_takes_only_its_own_token(void **state) {
    struct world w;
    world_init(&w, NULL, 1);
    struct sp_token other = w.token;
    other.root_hash[0] ^= 1;
    assert_int_equal(sp_agent_join(w.agent, &other, w.now), SP_ERR_BADKEY);
    other = w.token;
    other.name = w.token.zone;
    assert_int_equal(sp_agent_join(w.agent, &other, w.now), SP_ERR_BADKEY);
    assert_int_equal(world_state(&w), SP_AGENT_IDLE);
    assert_int_equal(sp_agent_join(w.agent, &w.token, w.now), SP_OK);
    assert_int_equal(sp_agent_join(w.agent, &w.token, w.now), SP_ERR_STATE);
    assert_int_equal(sp_agent_up(w.agent, w.now), SP_ERR_STATE);
    assert_int_equal(sp_agent_down(w.agent, w.now), SP_ERR_STATE);
    assert_int_equal(sp_agent_leave(w.agent, w.now), SP_ERR_STATE);
    world_free(&w);
}

static void leave_removes_everything(void **state) {
    struct world w;
    world_init(&w, NULL, 1);
    world_join(&w);
    const char *links[] = {"192.0.2.10", "2001:db8::10"};
    world_links(&w, links, 2);
    assert_int_equal(sp_agent_up(w.agent, w.now), SP_OK);
    world_pass(&w, SP_SEC);
    assert_int_equal(sp_agent_leave(w.agent, w.now), SP_OK);
    assert_int_equal(world_state(&w), SP_AGENT_LEAVING);
    world_pass(&w, SP_SEC);
    assert_int_equal(world_state(&w), SP_AGENT_DONE);
    for (unsigned i = 0; i < PEER_RRS; i++)
        assert_int_equal(w.peer.rrs[i].len, 0);
    assert_int_equal(w.peer.seen.delete_all, 1);
    struct sp_agent_memory m;
    sp_agent_memory(w.agent, &m);
    assert_int_equal(m.published_count, 0);
    world_free(&w);
}

static void leave_refused_or_unanswered_ends(void **state) {
    struct world w;
    world_init(&w, NULL, 1);
    world_join(&w);
    w.peer.silent = true;
    assert_int_equal(sp_agent_leave(w.agent, w.now), SP_OK);
    world_pass(&w, SP_MIN);
    assert_int_equal(world_state(&w), SP_AGENT_FAILED);
    w.peer.silent = false;
    w.peer.known = false; /* revoked */
    assert_int_equal(sp_agent_leave(w.agent, w.now), SP_OK);
    world_pass(&w, SP_MIN);
    assert_int_equal(world_state(&w), SP_AGENT_REFUSED);
    assert_int_equal(w.stops, 3);
    world_free(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(join_registers_identity),
        cmocka_unit_test(join_then_up_in_one_process),
        cmocka_unit_test(join_refused_says_why),
        cmocka_unit_test(join_survives_a_lost_reply),
        cmocka_unit_test(join_gives_up_on_silence),
        cmocka_unit_test(join_waits_for_a_signpost_that_starts),
        cmocka_unit_test(join_tries_a_failing_signpost_three_times),
        cmocka_unit_test(join_with_a_wrong_clock),
        cmocka_unit_test(join_does_not_chase_a_mad_clock),
        cmocka_unit_test(join_takes_only_its_own_token),
        cmocka_unit_test(leave_removes_everything),
        cmocka_unit_test(leave_refused_or_unanswered_ends),
    };
    return cmocka_run_group_tests_name("agent_join", tests, NULL, NULL);
}
