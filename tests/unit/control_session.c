/* The control session's messages. proto/control/session.h */
#include "tests/unit/cm.h"

#include "proto/control/session.h"
#include "proto/dns/sig0.h"

static struct sp_name name_of(const char *text) {
    struct sp_name n;
    assert_int_equal(sp_name_from_text(&n, text, strlen(text), NULL), SP_OK);
    return n;
}

static struct sp_profile profile_of(unsigned count) {
    struct sp_profile p = {
        .mapping = SP_MAPPING_ENDPOINT, .filtering = SP_FILTERING_PORT, .flags = SP_PROFILE_UDP, .mtu = 1420};
    for (unsigned i = 0; i < count; i++) {
        struct sp_candidate *c = &p.candidates[p.count++];
        c->kind = i == 0 ? SP_CAND_HOST : SP_CAND_MAPPED;
        c->addr = (struct sp_addr){.ip = {203, 0, 114, (uint8_t)(i + 1)}, .port = (uint16_t)(40000 + i), .family = 4};
        if (i % 2 == 1)
            c->addr = (struct sp_addr){.ip = {0x26, 0x06, 0x47, [15] = (uint8_t)i}, .port = 51820, .family = 6};
    }
    return p;
}

static struct sp_plan plan_of(void) {
    struct sp_plan p = {.channel = 0x80123456, .asked = true, .rtt_ms = 37, .peer = profile_of(3), .count = 4};
    memset(p.pub, 0x5a, sizeof p.pub);
    p.steps[0] = (struct sp_plan_step){SP_TACTIC_RELAY, 0, 0};
    p.steps[1] = (struct sp_plan_step){SP_TACTIC_PUBLIC, 0, 0};
    p.steps[2] = (struct sp_plan_step){SP_TACTIC_IPV6, 1, 0};
    p.steps[3] = (struct sp_plan_step){SP_TACTIC_PUNCH, 2, 150};
    return p;
}

static void same_profile(const struct sp_profile *a, const struct sp_profile *b) {
    assert_int_equal(a->mapping, b->mapping);
    assert_int_equal(a->filtering, b->filtering);
    assert_int_equal(a->flags, b->flags);
    assert_int_equal(a->mtu, b->mtu);
    assert_int_equal(a->count, b->count);
    assert_memory_equal(a->candidates, b->candidates, a->count * sizeof a->candidates[0]);
}

static void profile_round_trip(void **state) {
    struct sp_name zone = name_of("me.signpost."), device = name_of("Laptop.me.signpost.");
    struct sp_profile p = profile_of(SP_CANDIDATES_MAX);
    uint8_t out[SP_SESSION_MSG];
    struct sp_session_msg m;
    size_t len = sp_session_profile_write(7, &zone, &device, &p, out, sizeof out);
    assert_true(len > 0);
    assert_int_equal(sp_session_read(&m, out, len), SP_OK);
    assert_int_equal(m.kind, SP_SESSION_PROFILE);
    assert_int_equal(m.id, 7);
    assert_true(sp_name_equal(&m.name, &zone));
    struct sp_name lower = name_of("laptop.me.signpost.");
    assert_int_equal(m.device.len, lower.len);
    assert_memory_equal(m.device.wire, lower.wire, lower.len);
    same_profile(&m.profile, &p);
    for (size_t cap = 0; cap < len; cap++)
        assert_int_equal(sp_session_profile_write(7, &zone, &device, &p, out, cap), 0);
}

static void connect_and_its_answer(void **state) {
    struct sp_name peer = name_of("nas.me.signpost."), zone = name_of("me.signpost.");
    uint8_t out[SP_SESSION_MSG], back[SP_SESSION_MSG], first[148];
    memset(first, 0xa5, sizeof first);
    struct sp_session_msg m, r;
    size_t len = sp_session_connect_write(9, &peer, first, sizeof first, out, sizeof out);
    assert_int_equal(sp_session_read(&m, out, len), SP_OK);
    assert_int_equal(m.kind, SP_SESSION_CONNECT);
    assert_true(sp_name_equal(&m.name, &peer));
    assert_int_equal(m.first_len, sizeof first);
    assert_memory_equal(m.first, first, sizeof first);

    struct sp_plan plan = plan_of();
    struct sp_session_writer w;
    sp_session_reply_begin(&w, &m, SP_RCODE_NOERROR, back, sizeof back);
    assert_true(sp_session_put_plan(&w, &peer, &plan, NULL, 0));
    len = sp_session_end(&w, false);
    assert_false(w.full);
    assert_int_equal(sp_session_read(&r, back, len), SP_OK);
    assert_int_equal(r.kind, SP_SESSION_REPLY);
    assert_int_equal(r.id, 9);
    assert_int_equal(r.qtype, SP_TYPE_SPPLAN);
    assert_int_equal(r.rcode, SP_RCODE_NOERROR);
    assert_int_equal(r.ede, 0xffff);
    assert_false(r.has_seq);
    struct sp_session_record rec;
    assert_int_equal(sp_session_record(&r, &rec), SP_OK);
    assert_int_equal(rec.kind, SP_RECORD_PLAN);
    assert_true(sp_name_equal(&rec.owner, &peer));
    assert_int_equal(rec.plan.channel, plan.channel);
    assert_true(rec.plan.asked);
    assert_int_equal(rec.plan.rtt_ms, 37);
    assert_memory_equal(rec.plan.pub, plan.pub, sizeof plan.pub);
    same_profile(&rec.plan.peer, &plan.peer);
    assert_int_equal(rec.plan.count, 4);
    assert_memory_equal(rec.plan.steps, plan.steps, 4 * sizeof plan.steps[0]);
    assert_int_equal(sp_session_record(&r, &rec), SP_ERR_NOENT);

    /* Refused, and why. */
    sp_session_reply_begin(&w, &m, SP_RCODE_SERVFAIL, back, sizeof back);
    sp_session_put_ede(&w, 22, "nas is away");
    len = sp_session_end(&w, false);
    assert_int_equal(sp_session_read(&r, back, len), SP_OK);
    assert_int_equal(r.rcode, SP_RCODE_SERVFAIL);
    assert_int_equal(r.ede, 22);
    assert_true(sp_name_equal(&r.name, &peer) && !sp_name_equal(&r.name, &zone));
}

static void push_and_ack(void **state) {
    struct sp_name zone = name_of("me.signpost."), peer = name_of("phone.me.signpost."),
                   gone = name_of("old.me.signpost.");
    uint8_t out[SP_SESSION_MSG], ack[64], first[148] = {1}, pub[32] = {9};
    struct sp_plan plan = plan_of();
    plan.asked = false;
    struct sp_seq seq = {UINT64_C(0x1122334455667788), 4000000000u};
    struct sp_session_writer w;
    struct sp_session_msg m, r;
    struct sp_session_record rec;
    sp_session_push_begin(&w, 77, &zone, out, sizeof out);
    sp_session_put_seq(&w, &zone, &seq);
    assert_true(sp_session_put_plan(&w, &peer, &plan, first, sizeof first));
    assert_true(sp_session_put_key(&w, &peer, pub, false));
    assert_true(sp_session_put_key(&w, &gone, pub, true));
    size_t len = sp_session_end(&w, false);
    assert_int_equal(sp_session_read(&m, out, len), SP_OK);
    assert_int_equal(m.kind, SP_SESSION_PUSH);
    assert_true(m.has_seq);
    assert_true(m.seq.epoch == seq.epoch && m.seq.sequence == seq.sequence);
    static const enum sp_session_record_kind kinds[] = {SP_RECORD_PLAN, SP_RECORD_FIRST, SP_RECORD_KEY,
                                                        SP_RECORD_KEY_GONE};
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(sp_session_record(&m, &rec), SP_OK);
        assert_int_equal(rec.kind, kinds[i]);
        assert_true(sp_name_equal(&rec.owner, i < 3 ? &peer : &gone));
        if (i == 0)
            assert_false(rec.plan.asked);
        if (i == 1)
            assert_memory_equal(rec.data, first, sizeof first);
        if (i >= 2)
            assert_memory_equal(rec.pub, pub, 32);
    }
    assert_int_equal(sp_session_record(&m, &rec), SP_ERR_NOENT);
    size_t ack_len = sp_session_ack_write(&m, ack, sizeof ack);
    assert_int_equal(sp_session_read(&r, ack, ack_len), SP_OK);
    assert_int_equal(r.kind, SP_SESSION_ACK);
    assert_int_equal(r.id, 77);
    assert_true(sp_name_equal(&r.name, &zone));
}

/* Pages end where the message is full; what did not fit leaves no trace. */
static void peers_come_in_pages(void **state) {
    struct sp_name zone = name_of("me.signpost.");
    uint8_t out[SP_SESSION_MSG], back[SP_SESSION_MSG], pub[32] = {3};
    struct sp_session_msg m, r;
    size_t len = sp_session_peers_write(5, &zone, out, sizeof out);
    assert_int_equal(sp_session_read(&m, out, len), SP_OK);
    assert_int_equal(m.kind, SP_SESSION_PEERS);
    struct sp_session_writer w;
    struct sp_seq seq = {1, 2};
    unsigned n = 0;
    sp_session_reply_begin(&w, &m, SP_RCODE_NOERROR, back, sizeof back);
    sp_session_put_seq(&w, &zone, &seq);
    for (;; n++) {
        struct sp_name device;
        char label[8] = {'d', (char)('a' + n % 26), (char)('a' + n / 26), 0};
        assert_int_equal(sp_name_prepend(&device, label, 3, &zone), SP_OK);
        if (!sp_session_put_key(&w, &device, pub, false))
            break;
    }
    assert_true(w.full);
    assert_true(n >= 16);
    struct sp_plan plan = plan_of();
    uint8_t first[148] = {0};
    assert_false(sp_session_put_plan(&w, &zone, &plan, first, sizeof first));
    len = sp_session_end(&w, true);
    assert_true(len <= SP_SESSION_MSG);
    assert_int_equal(sp_session_read(&r, back, len), SP_OK);
    assert_true(r.tc && r.has_seq);
    assert_int_equal(r.record_count, n);
}

/* A plan whose initiation finds no room is taken back whole. */
static void a_plan_without_its_first_is_not_sent(void **state) {
    struct sp_name zone = name_of("me.signpost."), peer = name_of("nas.me.signpost.");
    uint8_t out[500], first[300] = {0};
    struct sp_plan plan = plan_of();
    struct sp_seq seq = {1, 2};
    struct sp_session_writer w;
    struct sp_session_msg m;
    sp_session_push_begin(&w, 1, &zone, out, sizeof out);
    sp_session_put_seq(&w, &zone, &seq);
    size_t before = sp_wr_len(&w.msg.wr);
    assert_false(sp_session_put_plan(&w, &peer, &plan, first, sizeof first));
    assert_int_equal(sp_wr_len(&w.msg.wr), before);
    assert_true(sp_session_put_plan(&w, &peer, &plan, NULL, 0));
    size_t len = sp_session_end(&w, false);
    assert_int_equal(sp_session_read(&m, out, len), SP_OK);
    assert_int_equal(m.record_count, 1);
}

static void plans_are_checked(void **state) {
    struct sp_plan plan = plan_of(), back;
    uint8_t bin[SP_PLAN_MAX];
    struct sp_wr wr = sp_wr_init(bin, sizeof bin);
    sp_plan_write(&wr, &plan);
    size_t len = sp_wr_len(&wr), steps = len - 4 * 4;
    struct sp_rd rd = sp_rd_init(bin, len);
    assert_int_equal(sp_plan_read(&rd, &back), SP_OK);
    assert_int_equal(sp_rd_left(&rd), 0);
    for (size_t cut = 0; cut < len; cut++) {
        rd = sp_rd_init(bin, cut);
        assert_int_equal(sp_plan_read(&rd, &back), SP_ERR_SHORT);
    }
    /* A tactic of the future is left out, with its candidate; the others stay. */
    bin[steps] = 99;
    bin[steps + 1] = 200;
    rd = sp_rd_init(bin, len);
    assert_int_equal(sp_plan_read(&rd, &back), SP_OK);
    assert_int_equal(back.count, 3);
    assert_int_equal(back.steps[0].tactic, SP_TACTIC_PUBLIC);
    bin[steps + 5] = 3; /* there are candidates 0 to 2 */
    rd = sp_rd_init(bin, len);
    assert_int_equal(sp_plan_read(&rd, &back), SP_ERR_FORM);
    bin[steps + 5] = 0;
    bin[34] = 0x7f; /* a channel that looks like DNS */
    rd = sp_rd_init(bin, len);
    assert_int_equal(sp_plan_read(&rd, &back), SP_ERR_FORM);
    bin[34] = 0x80;
    bin[0] = 2;
    rd = sp_rd_init(bin, len);
    assert_int_equal(sp_plan_read(&rd, &back), SP_ERR_UNSUP);
    assert_string_equal(sp_tactic_text(SP_TACTIC_PORTMAP), "port mapping");
    assert_string_equal(sp_tactic_text(99), "?");
}

static void other_messages(void **state) {
    struct sp_name name = name_of("laptop.me.signpost.");
    uint8_t out[SP_SESSION_MSG], back[64];
    struct sp_session_msg m;
    size_t len = sp_session_query_write(3, &name, SP_TYPE_KEY, out, sizeof out);
    assert_int_equal(sp_session_read(&m, out, len), SP_OK);
    assert_int_equal(m.kind, SP_SESSION_QUERY);
    assert_int_equal(m.qtype, SP_TYPE_KEY);
    /* DSO, NOTIFY of a zone, an update without a profile. */
    static const struct {
        uint8_t opcode;
        uint16_t type;
    } others[] = {{6, SP_TYPE_SOA}, {4, SP_TYPE_SOA}, {5, SP_TYPE_SOA}};
    for (unsigned i = 0; i < 3; i++) {
        struct sp_msgw w;
        sp_msgw_begin(&w, out, sizeof out, 4, (uint16_t)(others[i].opcode << 11));
        sp_msgw_question(&w, &name, others[i].type, SP_CLASS_IN);
        len = sp_msgw_end(&w);
        assert_int_equal(sp_session_read(&m, out, len), SP_OK);
        assert_int_equal(m.kind, SP_SESSION_OTHER);
    }
    /* A push without a sequence number cannot be used; it can be answered. */
    struct sp_session_writer w;
    sp_session_push_begin(&w, 12, &name, out, sizeof out);
    len = sp_session_end(&w, false);
    assert_int_equal(sp_session_read(&m, out, len), SP_ERR_FORM);
    sp_session_reply_begin(&w, &m, SP_RCODE_FORMERR, back, sizeof back);
    assert_int_equal(sp_session_end(&w, false), SP_MSG_HEADER);
    assert_int_equal(sp_get_u16(back), 12);
    assert_int_equal(back[3] & 15, SP_RCODE_FORMERR);
    assert_int_equal(sp_session_read(&m, out, 11), SP_ERR_SHORT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(profile_round_trip),
        cmocka_unit_test(connect_and_its_answer),
        cmocka_unit_test(push_and_ack),
        cmocka_unit_test(peers_come_in_pages),
        cmocka_unit_test(a_plan_without_its_first_is_not_sent),
        cmocka_unit_test(plans_are_checked),
        cmocka_unit_test(other_messages),
    };
    return sp_crypto_init() == SP_OK ? cmocka_run_group_tests_name("control_session", tests, NULL, NULL) : 1;
}
