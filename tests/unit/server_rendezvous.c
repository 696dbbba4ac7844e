/* Pairs brought together, pushes, and the relay between them. */
#include "tests/unit/session_help.h"

static void a_pair_is_brought_together(void **state) {
    uint8_t first[SP_WG_INITIATION];
    struct sp_session_msg m, push;
    struct sp_session_record rec;
    struct sp_plan plan;
    memset(first, 0x5c, sizeof first);
    both_up(SP_MAPPING_ENDPOINT, 0);
    rig_forget(&r);
    size_t n = sp_session_connect_write(21, &b.name, first, sizeof first, buf, sizeof buf);
    fake_dns(&a, buf, n);
    /* One turn of the server: the answer and the push left in it. */
    assert_int_equal(rig_sent_count(&r, SP_OUT_DATAGRAM, 0), 2);
    assert_true(fake_find(&a, SP_SESSION_REPLY, &m));
    assert_int_equal(sp_session_record(&m, &rec), SP_OK);
    plan = rec.plan;
    assert_memory_equal(plan.pub, b.key.pub, 32);
    assert_true(plan.asked && plan.channel >= 0x80000000u);
    assert_int_equal(plan.peer.count, 2); /* what it told, and where it was seen */
    assert_memory_equal(&plan.peer.candidates[1].addr, &b.addr, sizeof b.addr);
    assert_int_equal(plan.steps[0].tactic, SP_TACTIC_RELAY);

    fake_take(&b);
    assert_true(fake_find(&b, SP_SESSION_PUSH, &push));
    assert_int_equal(push.seq.sequence, 1);
    assert_int_equal(sp_session_record(&push, &rec), SP_OK);
    assert_int_equal(rec.kind, SP_RECORD_PLAN);
    assert_true(sp_name_equal(&rec.owner, &a.name));
    assert_false(rec.plan.asked);
    uint32_t channel = rec.plan.channel;
    assert_true(channel >= 0x80000000u && channel != plan.channel);
    assert_int_equal(sp_session_record(&push, &rec), SP_OK);
    assert_int_equal(rec.kind, SP_RECORD_FIRST);
    assert_memory_equal(rec.data, first, sizeof first);
    assert_int_equal(sp_session_record(&push, &rec), SP_OK);
    assert_int_equal(rec.kind, SP_RECORD_KEY);
    assert_memory_equal(rec.pub, a.key.pub, 32);

    /* Before b has said a word nothing of a's comes to it. */
    fake_forget(&b);
    fake_frame(&a, plan.channel, "hello", 5);
    fake_take(&b);
    assert_int_equal(b.count, 0);
    uint8_t ack[64];
    fake_dns(&b, ack, sp_session_ack_write(&push, ack, sizeof ack));
    assert_int_equal(counts()->acks, 1);
    fake_frame(&a, plan.channel, "hello", 5);
    fake_take(&b);
    assert_int_equal(b.count, 1);
    assert_int_equal(sp_relay_index(b.inbox[0].data), channel);
    assert_memory_equal(b.inbox[0].data + SP_RELAY_HEAD, "hello", 5);
    fake_forget(&a);
    fake_frame(&b, channel, "world!", 6);
    fake_take(&a);
    assert_int_equal(a.count, 1);
    assert_int_equal(sp_relay_index(a.inbox[0].data), plan.channel);
    /* Acknowledged: it is not sent again. */
    rig_forget(&r);
    rig_wait(&r, 5 * SP_SEC);
    assert_int_equal(counts()->pushes, 1);
    assert_int_equal(rig_sent_count(&r, SP_OUT_DATAGRAM, 0), 0);
}

static void frames_follow_the_session_only(void **state) {
    struct sp_plan plan;
    channel_ab(&plan);
    /* From elsewhere with the right index: not from there. */
    fake_forget(&b);
    struct sp_addr home = a.addr;
    a.addr.port++;
    fake_frame(&a, plan.channel, "forged", 6);
    fake_take(&b);
    assert_int_equal(b.count, 0);
    assert_int_equal(sp_relay_counts(r.s->overlay->relay)->dropped_source, 1);
    /* The session moves there: then it does, and the old place is strange. */
    struct sp_probe p = {.kind = SP_PROBE_PING, .cookie = 9, .size = 16};
    fake_plain(&a, buf, sp_probe_write(&p, buf, sizeof buf));
    fake_frame(&a, plan.channel, "moved", 5);
    fake_take(&b);
    assert_int_equal(b.count, 1);
    a.addr = home;
    fake_frame(&a, plan.channel, "forged", 6);
    fake_take(&b);
    assert_int_equal(b.count, 1);
}

static void joined_frames_leave_joined(void **state) {
    struct sp_plan plan;
    channel_ab(&plan);
    uint8_t joined[4 * 100 + 100];
    memset(joined, 0xab, sizeof joined);
    for (unsigned i = 0; i < 4; i++)
        sp_relay_head(joined + i * 100, plan.channel);
    /* After three whole and a short frame stands a query: it is answered. */
    size_t q = rig_query(joined + 300, 100, 3, "ns.me.example.", SP_TYPE_A, false, 0);
    rig_forget(&r);
    struct sp_in in = {
        .kind = SP_IN_DATAGRAM, .data = joined, .len = 300 + q, .segment = 100, .src = a.addr, .dst = rig_server};
    rig_in(&r, &in, 1);
    assert_int_equal(rig_sent_count(&r, SP_OUT_DATAGRAM, 0), 2);
    const struct rig_out *o = rig_sent(&r, SP_OUT_DATAGRAM, 0, 0);
    assert_int_equal(o->len, 300);
    assert_int_equal(o->segment, 100);
    assert_memory_equal(&o->dst, &b.addr, sizeof b.addr);
    for (unsigned i = 0; i < 3; i++)
        assert_true(sp_relay_is(o->data + i * 100, 100));
    o = rig_sent(&r, SP_OUT_DATAGRAM, 0, 1);
    assert_int_equal(rig_answers(o->data, o->len, SP_TYPE_A), 1);
    assert_int_equal(sp_relay_counts(r.s->overlay->relay)->bytes, 300);
}

static void who_cannot_be_reached(void **state) {
    struct sp_session_msg m;
    struct sp_name nobody = name_of("nobody.me.example."), other = name_of("www.example.net.");
    assert_true(fake_handshake(&a));
    static const uint16_t rcodes[] = {SP_RCODE_NXDOMAIN, SP_RCODE_NXDOMAIN, SP_RCODE_SERVFAIL, SP_RCODE_REFUSED};
    const struct sp_name *names[] = {&nobody, &other, &b.name, &a.name};
    for (unsigned i = 0; i < 4; i++) {
        size_t n = sp_session_connect_write(21, names[i], NULL, 0, buf, sizeof buf);
        assert_true(fake_ask(&a, buf, n, &m));
        assert_int_equal(m.rcode, rcodes[i]);
        assert_int_equal(m.ede, SP_EDE_OTHER);
    }
    /* Beyond the budget. */
    unsigned refused = 0;
    for (unsigned i = 0; i < 200; i++) {
        size_t n = sp_session_connect_write((uint16_t)i, &nobody, NULL, 0, buf, sizeof buf);
        rig_forget(&r);
        refused += fake_ask(&a, buf, n, &m) && m.rcode == SP_RCODE_REFUSED;
    }
    assert_true(refused >= 50);
    assert_int_equal(counts()->dropped_connect_budget, refused);
    assert_true(counts()->dropped_request_budget > 0);
}

static void no_relay_no_channel(void **state) {
    uint8_t first[SP_WG_INITIATION] = {1};
    struct sp_session_msg m;
    struct sp_plan plan;
    struct sp_profile no, yes;
    struct fake *both[] = {&a, &b};
    both_up(SP_MAPPING_ENDPOINT, 0);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(connect_ab(first, &m, &plan));
        assert_true(plan.channel != 0);
        fake_profile(both[i], SP_MAPPING_ENDPOINT, SP_FILTERING_PORT, SP_PROFILE_NO_RELAY, &no);
        fake_profile(both[i], SP_MAPPING_ENDPOINT, SP_FILTERING_PORT, 0, &yes);
        assert_true(fake_tell(both[i], &no));
        assert_true(connect_ab(first, &m, &plan));
        assert_int_equal(plan.channel, 0);
        assert_int_equal(sp_relay_counts(r.s->overlay->relay)->channels, 0);
        assert_true(fake_tell(both[i], &yes));
    }
}

/* Sent again, doubled, then given up; until then the peer counts as away. */
static void pushes_are_sent_again(void **state) {
    uint8_t first[SP_WG_INITIATION] = {1};
    struct sp_session_msg m;
    struct sp_plan plan;
    both_up(SP_MAPPING_ENDPOINT, 0);
    assert_true(connect_ab(first, &m, &plan));
    rig_forget(&r);
    b.count = 0;
    rig_wait(&r, 40 * SP_SEC);
    fake_take(&b);
    unsigned pushes = 0;
    for (size_t i = 0; fake_message(&b, i, &m); i++)
        pushes += m.kind == SP_SESSION_PUSH;
    assert_int_equal(pushes, SP_PUSH_TRIES - 1);
    assert_int_equal(counts()->dropped_push_lost, 1);
    rig_forget(&r);
    assert_false(connect_ab(first, &m, &plan));
    assert_int_equal(m.rcode, SP_RCODE_SERVFAIL);
    /* Heard again, it is back. */
    struct sp_probe p = {.kind = SP_PROBE_PING, .cookie = 9, .size = 16};
    fake_plain(&b, buf, sp_probe_write(&p, buf, sizeof buf));
    assert_true(connect_ab(first, &m, &plan));
}

static void a_push_is_lost_and_the_session_is_not(void **state) {
    uint8_t first[SP_WG_INITIATION] = {1};
    struct sp_session_msg m;
    struct sp_plan plan;
    both_up(SP_MAPPING_ENDPOINT, 0);
    assert_true(connect_ab(first, &m, &plan));
    rig_wait(&r, 20 * SP_SEC); /* the last try has left */
    struct sp_probe p = {.kind = SP_PROBE_PING, .cookie = 9, .size = 16};
    fake_plain(&b, buf, sp_probe_write(&p, buf, sizeof buf));
    rig_wait(&r, 20 * SP_SEC);
    assert_int_equal(counts()->dropped_push_lost, 1);
    assert_true(connect_ab(first, &m, &plan));
}

static void a_new_network_is_told(void **state) {
    uint8_t first[SP_WG_INITIATION] = {1};
    struct sp_session_msg m;
    struct sp_session_record rec;
    struct sp_plan plan;
    struct sp_profile p;
    both_up(SP_MAPPING_ENDPOINT, 0);
    assert_true(connect_ab(first, &m, &plan));
    fake_forget(&b);
    fake_profile(&a, SP_MAPPING_PORT, SP_FILTERING_PORT, 0, &p);
    assert_true(fake_tell(&a, &p));
    fake_take(&b);
    assert_true(fake_find(&b, SP_SESSION_PUSH, &m));
    assert_int_equal(m.seq.sequence, 2);
    assert_int_equal(sp_session_record(&m, &rec), SP_OK);
    assert_int_equal(rec.kind, SP_RECORD_PLAN);
    assert_int_equal(rec.plan.peer.mapping, SP_MAPPING_PORT);
    /* The same again is no news. */
    fake_forget(&b);
    assert_true(fake_tell(&a, &p));
    fake_take(&b);
    assert_int_equal(b.count, 0);
}

/* Asked for in vain, and there a moment later: both hear of it. */
static void who_comes_late_is_brought_together(void **state) {
    struct sp_session_msg m;
    struct sp_session_record rec;
    struct sp_profile p;
    assert_true(fake_handshake(&a));
    size_t n = sp_session_connect_write(21, &b.name, NULL, 0, buf, sizeof buf);
    assert_true(fake_ask(&a, buf, n, &m));
    assert_int_equal(m.rcode, SP_RCODE_SERVFAIL);
    rig_wait(&r, 20 * SP_SEC);
    fake_forget(&a);
    assert_true(fake_handshake(&b));
    fake_profile(&b, SP_MAPPING_ENDPOINT, SP_FILTERING_PORT, 0, &p);
    assert_true(fake_tell(&b, &p));
    struct fake *both[] = {&a, &b}, *others[] = {&b, &a};
    for (unsigned i = 0; i < 2; i++) {
        fake_take(both[i]);
        assert_true(fake_find(both[i], SP_SESSION_PUSH, &m));
        assert_int_equal(sp_session_record(&m, &rec), SP_OK);
        assert_int_equal(rec.kind, SP_RECORD_PLAN);
        assert_int_equal(rec.plan.asked, i == 0);
        assert_true(rec.plan.channel != 0);
        assert_true(sp_name_equal(&rec.owner, &others[i]->name));
    }
    assert_int_equal(r.s->overlay->wanted.count, 0);
}

/* Later than that nobody waits any more; who asked and left is not told. */
static void who_comes_too_late_is_not(void **state) {
    struct sp_session_msg m;
    struct sp_profile p;
    assert_true(fake_handshake(&a));
    size_t n = sp_session_connect_write(21, &b.name, NULL, 0, buf, sizeof buf);
    for (unsigned i = 0; i < 3; i++)
        assert_true(fake_ask(&a, buf, n, &m));
    assert_int_equal(r.s->overlay->wanted.count, 1);
    rig_wait(&r, 40 * SP_SEC);
    fake_forget(&a);
    assert_true(fake_handshake(&b));
    fake_profile(&b, SP_MAPPING_ENDPOINT, SP_FILTERING_PORT, 0, &p);
    assert_true(fake_tell(&b, &p));
    fake_take(&a);
    assert_false(fake_find(&a, SP_SESSION_PUSH, &m));
    assert_int_equal(r.s->overlay->wanted.count, 0);
    assert_int_equal(counts()->pushes, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_pair_is_brought_together),
        TEST(frames_follow_the_session_only),
        TEST(joined_frames_leave_joined),
        TEST(who_cannot_be_reached),
        TEST(no_relay_no_channel),
        TEST(pushes_are_sent_again),
        TEST(a_push_is_lost_and_the_session_is_not),
        TEST(a_new_network_is_told),
        TEST(who_comes_late_is_brought_together),
        TEST(who_comes_too_late_is_not),
    };
    return cmocka_run_group_tests_name("server_rendezvous", tests, NULL, NULL);
}
