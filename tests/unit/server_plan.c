/* Plans for pairs out of their profiles. RFC 4787 4.1, 5; the matrix of NAT behaviours. */
#include "tests/unit/cm.h"

#include <string.h>

#include "signpostd/core/overlay.h"

static const uint8_t pubs[2][SP_ED25519_PUB] = {{1}, {2}};

static void add(struct sp_side *s, uint8_t kind, uint8_t family, uint8_t a, uint8_t b, uint8_t c) {
    s->profile.candidates[s->profile.count++] = (struct sp_candidate){
        .addr = {.ip = {a, b, c, [15] = family == 6 ? 9 : 0}, .port = 51820, .family = family}, .kind = kind};
    if (family == 4)
        s->profile.candidates[s->profile.count - 1].addr.ip[3] = 9;
}

/* Behind a NAT: a private host address, a mapped one. */
static struct sp_side side(unsigned i, uint8_t mapping, uint8_t filtering) {
    struct sp_side s = {.pub = pubs[i], .channel = 0x80000001u + i, .rtt_ms = (uint16_t)(20 + i)};
    s.profile = (struct sp_profile){.mapping = mapping, .filtering = filtering, .flags = SP_PROFILE_UDP};
    add(&s, SP_CAND_HOST, 4, 192, 168, (uint8_t)i);
    add(&s, SP_CAND_MAPPED, 4, 203, 0, (uint8_t)(113 + i));
    return s;
}

static const struct sp_plan_step *find(const struct sp_plan *p, enum sp_tactic t) {
    for (unsigned i = 0; i < p->count; i++)
        if (p->steps[i].tactic == t)
            return &p->steps[i];
    return NULL;
}

/* Both sides' view of who can open towards whom. */
static void punching(void **state) {
    enum {
        NONE = SP_MAPPING_NONE,
        EIM = SP_MAPPING_ENDPOINT,
        EDM = SP_MAPPING_PORT,
        VARIES = SP_MAPPING_VARIES,
        UNK = SP_MAPPING_UNKNOWN
    };
    enum {
        EIF = SP_FILTERING_ENDPOINT,
        ADF = SP_FILTERING_ADDRESS,
        APDF = SP_FILTERING_PORT,
        FUNK = SP_FILTERING_UNKNOWN
    };
    static const struct {
        uint8_t am, af, bm, bf;
        bool punches;
    } rows[] = {
        {EIM, APDF, EIM, APDF, true}, {EIM, EIF, EIM, APDF, true},   {EIM, EIF, EDM, APDF, true},
        {EIM, ADF, EDM, APDF, true},  {EIM, APDF, EDM, APDF, false}, {EDM, APDF, EDM, APDF, false},
        {EDM, EIF, EDM, APDF, true},  {NONE, EIF, EDM, APDF, true},  {VARIES, APDF, EDM, ADF, false},
        {UNK, FUNK, EDM, APDF, true}, {UNK, FUNK, UNK, FUNK, true},  {EDM, FUNK, EDM, FUNK, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sp_side a = side(0, rows[i].am, rows[i].af), b = side(1, rows[i].bm, rows[i].bf);
        assert_int_equal(sp_plan_punches(&a.profile, &b.profile), rows[i].punches);
        assert_int_equal(sp_plan_punches(&b.profile, &a.profile), rows[i].punches);
        struct sp_plan p, q;
        sp_plan_make(&p, &a, &b, true);
        sp_plan_make(&q, &b, &a, false);
        bool dialled = find(&p, SP_TACTIC_PUNCH) != NULL || find(&p, SP_TACTIC_PUBLIC) != NULL;
        assert_int_equal(dialled, rows[i].punches);
        /* Both start at about the same time, or neither does. */
        assert_int_equal(find(&q, SP_TACTIC_PUNCH) != NULL || find(&q, SP_TACTIC_PUBLIC) != NULL, rows[i].punches);
    }
}

static void a_plan_says_who_and_how(void **state) {
    struct sp_side a = side(0, SP_MAPPING_ENDPOINT, SP_FILTERING_PORT),
                   b = side(1, SP_MAPPING_ENDPOINT, SP_FILTERING_PORT);
    add(&b, SP_CAND_HOST, 6, 0x26, 0x06, 0x47);
    add(&b, SP_CAND_PORTMAP, 4, 198, 51, 100);
    add(&b, SP_CAND_OWNER, 4, 198, 51, 101);
    struct sp_plan p;
    sp_plan_make(&p, &a, &b, true);
    assert_memory_equal(p.pub, pubs[1], 32);
    assert_int_equal(p.channel, a.channel);
    assert_int_equal(p.rtt_ms, b.rtt_ms);
    assert_true(p.asked);
    assert_int_equal(p.peer.count, 5);
    assert_int_equal(p.steps[0].tactic, SP_TACTIC_RELAY);
    assert_int_equal(find(&p, SP_TACTIC_LAN)->candidate, 0);
    assert_null(find(&p, SP_TACTIC_IPV6)); /* we have none */
    assert_int_equal(find(&p, SP_TACTIC_PORTMAP)->candidate, 3);
    assert_int_equal(find(&p, SP_TACTIC_PUBLIC)->candidate, 4);
    assert_int_equal(find(&p, SP_TACTIC_PUNCH)->candidate, 1);
    assert_true(find(&p, SP_TACTIC_LAN)->start_ms < find(&p, SP_TACTIC_PUBLIC)->start_ms);
    assert_true(find(&p, SP_TACTIC_PUBLIC)->start_ms < find(&p, SP_TACTIC_PUNCH)->start_ms);
    add(&a, SP_CAND_HOST, 6, 0x26, 0x06, 0x48);
    sp_plan_make(&p, &a, &b, true);
    assert_int_equal(find(&p, SP_TACTIC_IPV6)->candidate, 2);
    assert_int_equal(find(&p, SP_TACTIC_IPV6)->start_ms, 0);
    /* It is what goes over the wire. */
    uint8_t bin[SP_PLAN_MAX];
    struct sp_wr wr = sp_wr_init(bin, sizeof bin);
    sp_plan_write(&wr, &p);
    assert_int_equal(wr.err, SP_OK);
}

static void owners_constrain(void **state) {
    struct sp_side a = side(0, SP_MAPPING_ENDPOINT, SP_FILTERING_PORT),
                   b = side(1, SP_MAPPING_ENDPOINT, SP_FILTERING_PORT);
    struct sp_plan p;
    for (unsigned i = 0; i < 2; i++) {
        struct sp_side *anonymous = i == 0 ? &a : &b;
        anonymous->profile.flags |= SP_PROFILE_NO_DIRECT;
        sp_plan_make(&p, &a, &b, true);
        assert_int_equal(p.peer.count, 0); /* nobody's addresses are shown */
        assert_int_equal(p.count, 1);
        assert_int_equal(p.steps[0].tactic, SP_TACTIC_RELAY);
        anonymous->profile.flags &= (uint8_t)~SP_PROFILE_NO_DIRECT;
    }
    a.channel = b.channel = 0; /* no relay */
    sp_plan_make(&p, &a, &b, true);
    assert_null(find(&p, SP_TACTIC_RELAY));
    assert_non_null(find(&p, SP_TACTIC_PUNCH));
}

static void without_udp_there_is_the_relay(void **state) {
    struct sp_side a = side(0, SP_MAPPING_UNKNOWN, SP_FILTERING_UNKNOWN),
                   b = side(1, SP_MAPPING_ENDPOINT, SP_FILTERING_PORT);
    struct sp_plan p;
    a.profile.flags = 0;
    a.stream = true;
    sp_plan_make(&p, &a, &b, true);
    assert_int_equal(p.steps[0].tactic, SP_TACTIC_RELAY_TCP);
    assert_null(find(&p, SP_TACTIC_PUNCH));
    assert_non_null(find(&p, SP_TACTIC_LAN)); /* what is blocked on the way out is not on the link */
}

static void a_full_profile_fits(void **state) {
    struct sp_side a = side(0, SP_MAPPING_ENDPOINT, SP_FILTERING_PORT),
                   b = side(1, SP_MAPPING_ENDPOINT, SP_FILTERING_PORT);
    while (b.profile.count < SP_CANDIDATES_MAX)
        add(&b, SP_CAND_HOST, 4, 198, 51, b.profile.count);
    struct sp_plan p;
    sp_plan_make(&p, &a, &b, true);
    assert_int_equal(p.count, 1 + SP_CANDIDATES_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(punching),
        cmocka_unit_test(a_plan_says_who_and_how),
        cmocka_unit_test(owners_constrain),
        cmocka_unit_test(without_udp_there_is_the_relay),
        cmocka_unit_test(a_full_profile_fits),
    };
    return cmocka_run_group_tests_name("server_plan", tests, NULL, NULL);
}
