#include "tests/unit/cm.h"

#include "client/core/state.h"
#include "tests/support/agent_peer.h"

/* Replies that must change nothing: RFC 2931 3.1, 3.3. Each case stands in front of an agent that waits for an answer.
 */

struct scene {
    struct world w;
    struct sp_agent_status before;
    sp_instant deadline;
    struct sp_ed25519 mallory;
    uint8_t scratch[8192];
};

/* An agent whose `up` is out; the peer's true reply is in w.last_reply, not delivered. */
static void scene_begin(struct scene *s) {
    world_init(&s->w, NULL, 2);
    world_join(&s->w);
    s->w.latency = SP_HOUR; /* the true reply stays away */
    assert_int_equal(sp_agent_up(s->w.agent, s->w.now), SP_OK);
    world_pass(&s->w, SP_MS);
    assert_int_equal(world_state(&s->w), SP_AGENT_REGISTERING);
    sp_agent_status(s->w.agent, &s->before);
    s->deadline = sp_agent_deadline(s->w.agent);
    uint8_t seed[SP_ED25519_SEED] = {9};
    sp_ed25519_from_seed(&s->mallory, seed);
}

/* Exactly this counter went up by one, and nothing else is different. */
static void assert_dropped(struct scene *s, size_t counter) {
    struct sp_agent_status after;
    sp_agent_status(s->w.agent, &after);
    uint64_t *count = (uint64_t *)(void *)((uint8_t *)&s->before.counts + counter);
    ++*count;
    assert_memory_equal(&after.counts, &s->before.counts, sizeof after.counts);
    s->before.unsigned_rcode = after.unsigned_rcode; /* hints, shown to the owner */
    s->before.unsigned_ede = after.unsigned_ede;
    memcpy(s->before.unsigned_text, after.unsigned_text, sizeof after.unsigned_text);
    assert_memory_equal(&after, &s->before, sizeof after);
    assert_true(sp_agent_deadline(s->w.agent) == s->deadline);
    struct sp_event ev;
    assert_false(sp_agent_event(s->w.agent, &ev));
}
#define ASSERT_DROPPED(s, field) assert_dropped(s, offsetof(struct sp_agent_counts, field))

static void give(struct scene *s, const uint8_t *data, size_t len) {
    world_deliver(&s->w, &s->w.sent_to[s->w.sent - 1], data, len);
}

/* A reply of this rcode to the last request, signed by whom, over what, under which name. */
static size_t forge(struct scene *s, uint8_t *ret, uint16_t rcode, const struct sp_ed25519 *key,
                    const struct sp_name *signer, const uint8_t *request, size_t request_len) {
    struct sp_msgw w;
    struct sp_optw o;
    struct peer *p = &s->w.peer;
    uint8_t lease[4] = {0, 0, 1, 0}, rdata[SP_KEY_RDATA];
    sp_msgw_begin(&w, ret, 2048, sp_get_u16(s->w.last_request),
                  (uint16_t)(SP_FLAG_QR | SP_OPCODE_UPDATE << 11 | rcode));
    sp_msgw_question(&w, &p->zone, SP_TYPE_SOA, SP_CLASS_IN);
    sp_msgw_opt_begin(&w, &o, 1232, 0, 0, 0);
    sp_msgw_opt_add(&w, SP_EDNS_UL, lease, sizeof lease);
    sp_msgw_opt_end(&w, &o);
    assert_true(sp_msgw_end(&w) > 0);
    if (key != NULL) {
        sp_key_rdata(key->pub, rdata);
        assert_int_equal(sp_sig0_sign(&w.wr, signer, key, sp_key_tag(rdata, sizeof rdata), world_wall(&s->w), 300,
                                      request, request_len, s->scratch, sizeof s->scratch),
                         SP_OK);
    }
    return sp_wr_len(&w.wr);
}

static void the_true_reply_counts(void **state) {
    struct scene s;
    scene_begin(&s);
    give(&s, s.w.last_reply, s.w.last_reply_len);
    assert_int_equal(world_state(&s.w), SP_AGENT_UP);
    world_free(&s.w);
}

static void a_forgery_made_like_the_peer_counts(void **state) {
    /* so that the cases below fail for the one thing that is wrong with them */
    struct scene s;
    uint8_t ret[2048];
    scene_begin(&s);
    size_t len = forge(&s, ret, 0, &s.w.peer.key, &s.w.peer.signpost, s.w.last_request, s.w.last_request_len);
    give(&s, ret, len);
    assert_int_equal(world_state(&s.w), SP_AGENT_UP);
    world_free(&s.w);
}

static void unsigned_replies(void **state) {
    static const uint16_t rcodes[] = {SP_RCODE_NOERROR, SP_RCODE_REFUSED, SP_RCODE_SERVFAIL, SP_RCODE_NOTAUTH};
    for (size_t i = 0; i < 4; i++) {
        struct scene s;
        uint8_t ret[2048];
        scene_begin(&s);
        give(&s, ret, forge(&s, ret, rcodes[i], NULL, NULL, NULL, 0));
        ASSERT_DROPPED(&s, dropped_unsigned);
        assert_int_equal(s.before.unsigned_rcode, rcodes[i]);
        world_free(&s.w);
    }
}

static void another_key(void **state) {
    struct scene s;
    uint8_t ret[2048];
    scene_begin(&s);
    give(&s, ret, forge(&s, ret, 0, &s.mallory, &s.w.peer.signpost, s.w.last_request, s.w.last_request_len));
    ASSERT_DROPPED(&s, dropped_key);
    world_free(&s.w);
}

/* Another key under the pinned key's tag: the signature itself must fail. */
static void another_key_with_our_tag(void **state) {
    struct scene s;
    uint8_t ret[2048];
    struct sp_msgw w;
    scene_begin(&s);
    sp_msgw_begin(&w, ret, sizeof ret, sp_get_u16(s.w.last_request), SP_FLAG_QR | SP_OPCODE_UPDATE << 11);
    sp_msgw_question(&w, &s.w.peer.zone, SP_TYPE_SOA, SP_CLASS_IN);
    assert_true(sp_msgw_end(&w) > 0);
    assert_int_equal(sp_sig0_sign(&w.wr, &s.w.peer.signpost, &s.mallory, s.w.peer.tag, world_wall(&s.w), 300,
                                  s.w.last_request, s.w.last_request_len, s.scratch, sizeof s.scratch),
                     SP_OK);
    give(&s, ret, sp_wr_len(&w.wr));
    ASSERT_DROPPED(&s, dropped_sig);
    world_free(&s.w);
}

static void another_signer(void **state) {
    struct scene s;
    uint8_t ret[2048];
    scene_begin(&s);
    /* The right key under the wrong name: a device of the zone that has the same key is still not the signpost. */
    give(&s, ret, forge(&s, ret, 0, &s.w.peer.key, &s.w.peer.name, s.w.last_request, s.w.last_request_len));
    ASSERT_DROPPED(&s, dropped_key);
    world_free(&s.w);
}

static void a_signature_over_another_request(void **state) {
    struct scene s;
    uint8_t ret[2048], other[2048];
    scene_begin(&s);
    memcpy(other, s.w.last_request, s.w.last_request_len);
    other[s.w.last_request_len - 1] ^= 1;
    give(&s, ret, forge(&s, ret, 0, &s.w.peer.key, &s.w.peer.signpost, other, s.w.last_request_len));
    ASSERT_DROPPED(&s, dropped_sig);
    give(&s, ret, forge(&s, ret, 0, &s.w.peer.key, &s.w.peer.signpost, NULL, 0)); /* signed, but covers no request */
    ASSERT_DROPPED(&s, dropped_sig);
    world_free(&s.w);
}

/* Every single byte of the true reply counts: changed, it is dropped. Only class and TTL of the SIG record itself are
 * not covered (RFC 2931 3.1), and mean nothing. */
static void altered_bytes(void **state) {
    struct scene s;
    uint8_t copy[4096];
    scene_begin(&s);
    size_t len = s.w.last_reply_len;
    memcpy(copy, s.w.last_reply, len);
    struct sp_msg msg;
    assert_int_equal(sp_msg_parse(&msg, copy, len), SP_OK);
    for (size_t i = 0; i < len; i++) {
        if (i >= msg.auth_offset + 3u && i < msg.auth_offset + 9u)
            continue;
        copy[i] ^= 0x41;
        give(&s, copy, len);
        copy[i] ^= 0x41;
        assert_int_equal(world_state(&s.w), SP_AGENT_REGISTERING);
        assert_true(sp_agent_deadline(s.w.agent) == s.deadline);
    }
    for (size_t i = 0; i < len; i++)
        give(&s, copy, i);
    struct sp_agent_status after;
    sp_agent_status(s.w.agent, &after);
    const struct sp_agent_counts *c = &after.counts;
    assert_int_equal(c->dropped_form + c->dropped_stray + c->dropped_unsigned + c->dropped_key + c->dropped_sig,
                     2 * len - 6);
    assert_true(c->dropped_sig > len / 4);
    give(&s, copy, len);
    assert_int_equal(world_state(&s.w), SP_AGENT_UP);
    world_free(&s.w);
}

static void strays(void **state) {
    struct scene s;
    scene_begin(&s);
    struct sp_addr elsewhere = test_addr("203.0.113.66", 53);
    world_deliver(&s.w, &elsewhere, s.w.last_reply, s.w.last_reply_len);
    ASSERT_DROPPED(&s, dropped_stray);
    struct sp_addr port = s.w.sent_to[s.w.sent - 1];
    port.port = 54;
    world_deliver(&s.w, &port, s.w.last_reply, s.w.last_reply_len);
    ASSERT_DROPPED(&s, dropped_stray);
    give(&s, s.w.last_request, s.w.last_request_len); /* our own request, reflected */
    ASSERT_DROPPED(&s, dropped_form);
    uint8_t big[5000] = {0};
    memcpy(big, s.w.last_reply, s.w.last_reply_len);
    give(&s, big, sizeof big);
    ASSERT_DROPPED(&s, dropped_form);
    give(&s, big, 0);
    ASSERT_DROPPED(&s, dropped_form);
    world_free(&s.w);
}

/* A reply of an attempt that is over is kept by somebody and sent again. */
static void replayed_replies(void **state) {
    struct scene s;
    uint8_t old[4096];
    scene_begin(&s);
    size_t old_len = s.w.last_reply_len;
    memcpy(old, s.w.last_reply, old_len);
    give(&s, old, old_len);
    assert_int_equal(world_state(&s.w), SP_AGENT_UP);
    sp_agent_status(s.w.agent, &s.before);
    s.deadline = sp_agent_deadline(s.w.agent);
    give(&s, old, old_len); /* nothing is in flight */
    ASSERT_DROPPED(&s, dropped_stray);
    world_run(&s.w, s.before.next_at);
    world_pass(&s.w, SP_MS);
    assert_int_equal(world_state(&s.w), SP_AGENT_REGISTERING); /* the refresh is out */
    sp_agent_status(s.w.agent, &s.before);
    s.deadline = sp_agent_deadline(s.w.agent);
    give(&s, old, old_len);
    ASSERT_DROPPED(&s, dropped_stray);
    /* With the new id it is a forgery. */
    memcpy(old, s.w.last_request, 2);
    give(&s, old, old_len);
    ASSERT_DROPPED(&s, dropped_sig);
    world_free(&s.w);
}

/* A refusal of an older transmission says nothing about the newest; an acceptance of it does. */
static void older_transmissions(void **state) {
    struct scene s;
    uint8_t refused[2048], first[4096];
    scene_begin(&s);
    size_t refused_len =
        forge(&s, refused, SP_RCODE_REFUSED, &s.w.peer.key, &s.w.peer.signpost, s.w.last_request, s.w.last_request_len);
    struct sp_addr first_to = s.w.sent_to[s.w.sent - 1];
    size_t first_len = s.w.last_reply_len;
    memcpy(first, s.w.last_reply, first_len);
    world_pass(&s.w, 1100 * SP_MS);
    assert_int_equal(s.w.sent, 3); /* join, the first transmission, the second */
    sp_agent_status(s.w.agent, &s.before);
    s.deadline = sp_agent_deadline(s.w.agent);
    world_deliver(&s.w, &first_to, refused, refused_len);
    ASSERT_DROPPED(&s, superseded);
    world_deliver(&s.w, &first_to, first, first_len);
    assert_int_equal(world_state(&s.w), SP_AGENT_UP);
    struct sp_agent_status after;
    sp_agent_status(s.w.agent, &after);
    assert_memory_equal(&after.signpost, &first_to, sizeof first_to); /* the address that answered is kept */
    world_free(&s.w);
}

/* The clock is learnt from a refusal for time alone, and only when it is signed. */
static void time_is_learnt_from_signed_refusals(void **state) {
    struct scene s;
    uint8_t ret[2048];
    struct sp_msgw w;
    struct sp_optw o;
    uint8_t ede[2] = {0, 7};
    for (int signed_too = 0; signed_too < 2; signed_too++) {
        scene_begin(&s);
        sp_msgw_begin(&w, ret, sizeof ret, sp_get_u16(s.w.last_request),
                      SP_FLAG_QR | SP_OPCODE_UPDATE << 11 | SP_RCODE_REFUSED);
        sp_msgw_question(&w, &s.w.peer.zone, SP_TYPE_SOA, SP_CLASS_IN);
        sp_msgw_opt_begin(&w, &o, 1232, 0, 0, 0);
        sp_msgw_opt_add(&w, SP_EDNS_EDE, ede, sizeof ede);
        sp_msgw_opt_end(&w, &o);
        assert_true(sp_msgw_end(&w) > 0);
        sp_wall then = sp_wall_from_sec(sp_wall_sec(world_wall(&s.w)) + 5000);
        if (signed_too)
            assert_int_equal(sp_sig0_sign(&w.wr, &s.w.peer.signpost, &s.w.peer.key, s.w.peer.tag, then, 300,
                                          s.w.last_request, s.w.last_request_len, s.scratch, sizeof s.scratch),
                             SP_OK);
        give(&s, ret, sp_wr_len(&w.wr));
        struct sp_agent_status after;
        sp_agent_status(s.w.agent, &after);
        assert_int_equal(after.clock_offset_s, signed_too ? 5000 : 0);
        if (signed_too)
            assert_true(sp_agent_deadline(s.w.agent) <= s.w.now); /* signs again at once */
        else
            ASSERT_DROPPED(&s, dropped_unsigned);
        world_free(&s.w);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_true_reply_counts),
        cmocka_unit_test(a_forgery_made_like_the_peer_counts),
        cmocka_unit_test(unsigned_replies),
        cmocka_unit_test(another_key),
        cmocka_unit_test(another_key_with_our_tag),
        cmocka_unit_test(another_signer),
        cmocka_unit_test(a_signature_over_another_request),
        cmocka_unit_test(altered_bytes),
        cmocka_unit_test(strays),
        cmocka_unit_test(replayed_replies),
        cmocka_unit_test(older_transmissions),
        cmocka_unit_test(time_is_learnt_from_signed_refusals),
    };
    return cmocka_run_group_tests_name("agent_reply", tests, NULL, NULL);
}
