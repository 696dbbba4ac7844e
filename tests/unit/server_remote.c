/* Operators from afar: who is one, what one may do and nobody else, and that it works while much else goes on. */
#define _GNU_SOURCE
#include "tests/unit/session_help.h"

#include "proto/control/remote_link.h"

/* An operator's end against the rig: its datagrams straight there and back, unless `lost` says so. */
struct operator{
    struct sp_mem mem;
    struct sp_rng rng;
    struct sp_ed25519 key;
    struct sp_remote_link link;
    struct sp_addr addr;
    unsigned lost; /* of a thousand */
    unsigned responses, cookies;
    size_t read;
};

static struct operator p;

static void key_of(uint8_t fill, struct sp_ed25519 *ret) {
    uint8_t seed[SP_ED25519_SEED];
    memset(seed, fill, sizeof seed);
    sp_ed25519_from_seed(ret, seed);
}

static void operator_init_at(struct operator* o, const char *zone, uint8_t fill) {
    uint8_t seed[SP_RNG_SEED] = {fill, 99};
    struct sp_name apex = name_of(zone);
    *o = (struct operator){.addr = {.ip = {198, 18, 0, fill}, .port = 40000, .family = 4}};
    sp_mem_init(&o->mem, sp_test_grant(), (size_t)16 << 20);
    sp_rng_init(&o->rng, seed);
    key_of(fill, &o->key);
    const uint8_t *signpost = sp_zone_info(sp_zones_get(r.s->zones, &apex))->signpost_key.pub;
    assert_int_equal(sp_remote_link_init(&o->link, &o->mem, &o->rng, &o->key, signpost, 1 << 20, r.now), SP_OK);
}

static void operator_init(struct operator* o, uint8_t fill) {
    operator_init_at(o, RIG_ZONE, fill);
}

static void operator_end(struct operator* o) {
    sp_remote_link_free(&o->link);
    assert_int_equal(o->mem.used, 0);
    sp_mem_done(&o->mem);
}

static bool is_lost(struct operator* o) {
    uint16_t v;
    sp_rng_fill(&o->rng, &v, sizeof v);
    return v % 1000 < o->lost;
}

static void operator_take(struct operator* o) {
    if (o->read < r.forgotten)
        o->read = r.forgotten;
    while (o->read < r.forgotten + r.count) {
        const struct rig_out *out = &r.outs[o->read++ - r.forgotten];
        if (out->kind != SP_OUT_DATAGRAM || memcmp(&out->dst, &o->addr, sizeof out->dst) != 0 || is_lost(o))
            continue;
        o->responses += out->data[0] == SP_WG_TYPE_RESPONSE;
        o->cookies += out->data[0] == SP_WG_TYPE_COOKIE;
        sp_remote_link_input(&o->link, r.now, r.wall, out->data, out->len);
    }
    rig_forget(&r);
}

static void operator_give(struct operator* o) {
    uint8_t out[SP_REMOTE_SEALED];
    for (size_t len; (len = sp_remote_link_output(&o->link, r.now, r.wall, out)) > 0;) {
        struct sp_in in = {.kind = SP_IN_DATAGRAM, .data = out, .len = len, .src = o->addr, .dst = rig_server};
        if (!is_lost(o))
            rig_in(&r, &in, 1);
        operator_take(o);
    }
}

/* Until the request under way is over, or the time is. */
static enum sp_remote_phase operator_go(struct operator* o, sp_duration patience) {
    sp_instant until = r.now + patience;
    for (;;) {
        operator_give(o);
        if (o->link.call.phase == SP_REMOTE_DONE || o->link.call.phase == SP_REMOTE_FAILED)
            return o->link.call.phase;
        sp_instant due = sp_instant_min(sp_remote_link_deadline(&o->link), r.now + 10 * SP_MS);
        if (due >= until)
            return o->link.call.phase;
        rig_wait(&r, due > r.now ? due - r.now : SP_MS);
        operator_take(o);
        sp_remote_link_expire(&o->link, r.now);
    }
}

/* The status of the reply; -1: there is none. */
static int operate(struct operator* o, enum sp_op_verb verb, const char *arg, const char *arg2) {
    static uint8_t request[400000];
    struct sp_wr wr = sp_wr_init(request, sizeof request);
    enum sp_op_status status;
    sp_op_request_begin(&wr, verb);
    if (arg != NULL)
        sp_op_arg_text(&wr, arg);
    if (arg2 != NULL)
        sp_op_arg_text(&wr, arg2);
    assert_int_equal(wr.err, SP_OK);
    assert_int_equal(sp_remote_call_begin(&o->link.call, r.now, request, (uint32_t)sp_wr_len(&wr)), SP_OK);
    if (operator_go(o, 60 * SP_SEC) != SP_REMOTE_DONE)
        return -1;
    struct sp_rd rd = sp_rd_init(o->link.call.reply, o->link.call.reply_len);
    return sp_op_reply_read(&rd, &status) == SP_OK ? (int)status : -1;
}

static bool says(const struct operator* o, const char *text) {
    return memmem(o->link.call.reply, o->link.call.reply_len, text, strlen(text)) != NULL;
}

static uint32_t remotes(void) {
    return r.s->overlay->remote_count;
}

/* A signpost with a disk and two operators, 200 and 201; both and a device of its zone are at hand. */
static struct {
    unsigned count;
    uint64_t key, verb;
} heard;

static void on_trace(void *ctx, const struct sp_trace_event *ev) {
    if (ev->kind != SP_TRACE_operator_request)
        return;
    heard.count++;
    heard.key = ev->a;
    heard.verb = ev->b;
}

static int begin_with(void **state, uint64_t blocks) {
    struct sp_ed25519 key;
    memset(&heard, 0, sizeof heard);
    rig_init(&r, blocks);
    for (uint8_t i = 0; i < 2; i++) {
        key_of((uint8_t)(200 + i), &key);
        memcpy(r.config.operators[i], key.pub, sizeof key.pub);
    }
    r.config.operator_count = 2;
    r.config.limits.operator_request = 300000;
    r.config.limits.sessions = 3;
    r.config.trace.sink = on_trace;
    rig_start(&r);
    rig_zone(&r);
    fake_init(&a, &r, "laptop.me.example.", 10, true);
    fake_init(&b, &r, "nas.me.example.", 20, true);
    rig_forget(&r);
    operator_init(&p, 200);
    return 0;
}

static int begin_remote(void **state) {
    return begin_with(state, 0);
}

static int begin_remote_disk(void **state) {
    return begin_with(state, 2048);
}

static int end_remote(void **state) {
    operator_end(&p);
    return end(state);
}

/* ---- what works ---- */

static void an_operator_operates(void **state) {
    assert_int_equal(operate(&p, SP_OP_STATUS, NULL, NULL), SP_OP_OK);
    assert_true(says(&p, "signpost_key"));
    assert_int_equal(remotes(), 1);
    assert_int_equal(counts()->remote_requests, 1);
    assert_int_equal(r.s->overlay->sessions.count, 0); /* it is no device's */
    assert_int_equal(operate(&p, SP_OP_ZONE_ADD, "new.example.", ""), SP_OP_OK);
    assert_int_equal(operate(&p, SP_OP_ZONE_DS, "new.example.", NULL), SP_OP_OK);
    assert_int_equal(operate(&p, SP_OP_ZONE_DS, "none.example.", NULL), SP_OP_FAILED);
    assert_true(says(&p, "no zone none.example. here"));
    assert_int_equal(operate(&p, SP_OP_METRICS, NULL, NULL), SP_OP_OK);
    assert_true(says(&p, "operator_requests_total"));
    /* What was said about whom. */
    assert_int_equal(heard.count, 5);
    assert_int_equal(heard.verb, SP_OP_METRICS);
    assert_true(heard.key == ((uint64_t)sp_get_u32(p.key.pub) << 16 | sp_get_u16(p.key.pub + 4)));
    /* The host's own requests go on beside it. */
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_DS, "new.example.", NULL), SP_OP_OK);
    /* Good-bye. */
    sp_remote_call_bye(&p.link.call);
    operator_give(&p);
    assert_int_equal(remotes(), 0);
}

/* Replies that wait for the disk; a big import, exported again; over a network that loses every tenth datagram. */
static void durable_and_long_over_a_bad_network(void **state) {
    char *text = malloc(300000), *at = text;
    for (unsigned i = 0; i < 4000; i++)
        at += sprintf(at, "host%u 300 IN A 192.0.%u.%u\n", i, i / 256, i % 256);
    for (unsigned seed = 0; seed < 4; seed++) {
        p.lost = 100 + 50 * seed;
        unsigned before = (unsigned)counts()->remote_requests;
        assert_int_equal(operate(&p, SP_OP_ZONE_IMPORT, RIG_ZONE, text), SP_OP_OK);
        assert_true(says(&p, "changed"));
        assert_int_equal(operate(&p, SP_OP_ZONE_EXPORT, RIG_ZONE, ""), SP_OP_OK);
        assert_true(p.link.call.reply_len > 100000);
        assert_int_equal(counts()->remote_requests, before + 2); /* each once */
    }
    free(text);
    assert_true(r.s->overlay->remotes.next != &r.s->overlay->remotes);
    p.lost = 0;
    /* A disk that is slow: the operator waits as long as the signpost says that it is at it. */
    r.hold_flush = true;
    char add[64];
    struct sp_wr wr = sp_wr_init(add, sizeof add);
    sp_op_request_begin(&wr, SP_OP_ZONE_ADD);
    sp_op_arg_text(&wr, "slow.example.");
    sp_op_arg_text(&wr, "");
    assert_int_equal(sp_remote_call_begin(&p.link.call, r.now, (uint8_t *)add, (uint32_t)sp_wr_len(&wr)), SP_OK);
    assert_int_equal(operator_go(&p, 30 * SP_SEC), SP_REMOTE_WAITING);
    assert_true(r.now - p.link.call.heard_at < 5 * SP_SEC);
    r.hold_flush = false;
    rig_disk_go_on(&r);
    assert_int_equal(operator_go(&p, 30 * SP_SEC), SP_REMOTE_DONE);
}

static void it_roams_and_rekeys(void **state) {
    assert_int_equal(operate(&p, SP_OP_STATUS, NULL, NULL), SP_OP_OK);
    for (unsigned i = 0; i < 20; i++) {
        p.addr.ip[2]++;
        p.addr.port++;
        rig_wait(&r, 20 * SP_SEC);
        assert_int_equal(operate(&p, SP_OP_STATUS, NULL, NULL), SP_OP_OK);
    }
    assert_true(p.responses >= 3);
    assert_int_equal(remotes(), 1);
    assert_int_equal(counts()->remote_begun, 1);
}

/* ---- who is one ---- */

static void others_are_refused(void **state) {
    static struct operator x;
    operator_init(&x, 66);
    assert_int_equal(operate(&x, SP_OP_STATUS, NULL, NULL), -1);
    assert_int_equal(x.responses, 0);
    assert_false(x.link.up || x.link.elsewhere);
    assert_int_equal(remotes(), 0);
    assert_true(counts()->dropped_stranger > 0);
    operator_end(&x);
    /* Another signpost's key: a name server answers that it does not understand. */
    key_of(77, &x.key);
    struct sp_ed25519 wrong = x.key;
    operator_init(&x, 200);
    sp_remote_link_free(&x.link);
    assert_int_equal(sp_remote_link_init(&x.link, &x.mem, &x.rng, &x.key, wrong.pub, 1 << 20, r.now), SP_OK);
    assert_int_equal(operate(&x, SP_OP_STATUS, NULL, NULL), -1);
    assert_false(x.link.up);
    assert_true(x.link.elsewhere);
    operator_end(&x);
}

/* A device's session never operates, whatever it says; an operator's does nothing else. */
static void neither_does_the_others_work(void **state) {
    uint8_t msg[SP_REMOTE_MSG];
    assert_true(fake_handshake(&a));
    fake_forget(&a);
    struct sp_remote_msg m = {.kind = SP_REMOTE_HELLO, .session = 5};
    size_t len = sp_remote_write(&m, msg, sizeof msg);
    fake_plain(&a, msg, len);
    static const uint8_t request[] = {SP_OP_VERSION, SP_OP_STOP};
    m = (struct sp_remote_msg){.kind = SP_REMOTE_PIECES, .session = 5, .id = 1, .length = 2, .data = request};
    len = sp_remote_write(&m, msg, sizeof msg);
    fake_plain(&a, msg, len);
    assert_int_equal(a.count, 0);
    assert_int_equal(counts()->dropped_inside_form, 2);
    assert_int_equal(counts()->remote_requests, 0);
    assert_false(r.s->stopping);

    /* An operator's key as a device's, listed or not: DNS, packets and probes lead nowhere. */
    static struct fake x;
    fake_init(&x, &r, "operator.me.example.", 201, true);
    assert_true(fake_handshake(&x));
    assert_int_equal(remotes(), 1);
    assert_int_equal(r.s->overlay->sessions.count, 1); /* a's */
    fake_forget(&x);
    len = sp_session_query_write(5, &b.name, SP_TYPE_KEY, buf, sizeof buf);
    fake_dns(&x, buf, len);
    struct sp_profile profile;
    fake_profile(&x, SP_MAPPING_ENDPOINT, SP_FILTERING_PORT, 0, &profile);
    assert_false(fake_tell(&x, &profile));
    struct sp_probe ping = {.kind = SP_PROBE_PING, .cookie = 9, .size = 16};
    fake_plain(&x, buf, sp_probe_write(&ping, buf, sizeof buf));
    assert_int_equal(x.count, 0);
    assert_int_equal(counts()->dropped_remote_form, 3);
    /* Nobody is brought together with it. */
    struct sp_name zone = name_of(RIG_ZONE);
    assert_false(sp_overlay_online(r.s, sp_zones_get(r.s->zones, &zone), x.key.pub));
    uint8_t first[SP_WG_INITIATION] = {1};
    struct sp_session_msg got;
    len = sp_session_connect_write(21, &x.name, first, sizeof first, buf, sizeof buf);
    assert_true(fake_ask(&a, buf, len, &got));
    assert_int_equal(got.rcode, SP_RCODE_SERVFAIL);
    fake_end(&x);
    /* And it operates. */
    static struct operator q;
    operator_init(&q, 201);
    assert_int_equal(operate(&q, SP_OP_STATUS, NULL, NULL), SP_OP_OK);
    operator_end(&q);
}

/* ---- with much else going on ---- */

static void devices_do_not_push_it_out(void **state) {
    static struct fake more[6];
    assert_int_equal(operate(&p, SP_OP_STATUS, NULL, NULL), SP_OP_OK);
    for (unsigned i = 0; i < 6; i++) {
        char name[40];
        sprintf(name, "d%u.me.example.", i);
        fake_init(&more[i], &r, name, (uint8_t)(100 + i), true);
        rig_forget(&r);
        bool in = fake_handshake(&more[i]);
        assert_int_equal(in, i < 3); /* the table is full, and nobody is silent */
    }
    assert_int_equal(remotes(), 1);
    assert_int_equal(operate(&p, SP_OP_STATUS, NULL, NULL), SP_OP_OK);
    static struct operator q; /* another comes in while it is full */
    operator_init(&q, 201);
    assert_int_equal(operate(&q, SP_OP_STATUS, NULL, NULL), SP_OP_OK);
    assert_int_equal(remotes(), 2);
    operator_end(&q);
    for (unsigned i = 0; i < 6; i++)
        fake_end(&more[i]);
}

/* Handshakes of strangers from everywhere, between every two datagrams of the operator's. */
static void it_works_in_a_flood(void **state) {
    static struct fake x;
    uint8_t msg[SP_WG_INITIATION];
    fake_init(&x, &r, "mallory.me.example.", 66, false);
    assert_int_equal(sp_wg_initiate(x.wg, x.signpost, r.now, r.wall, msg), SP_OK);
    struct sp_wr wr = sp_wr_init(buf, sizeof buf);
    sp_op_request_begin(&wr, SP_OP_METRICS);
    assert_int_equal(sp_remote_call_begin(&p.link.call, r.now, buf, (uint32_t)sp_wr_len(&wr)), SP_OK);
    sp_instant began = r.now;
    for (unsigned round = 0; round < 200 && p.link.call.phase != SP_REMOTE_DONE; round++) {
        for (unsigned i = 0; i < 400; i++) {
            x.addr.ip[1] = (uint8_t)round;
            x.addr.ip[2] = (uint8_t)i;
            fake_raw(&x, msg, sizeof msg);
            rig_forget(&r);
        }
        (void)operator_go(&p, 100 * SP_MS);
    }
    assert_int_equal(p.link.call.phase, SP_REMOTE_DONE);
    assert_true(p.cookies > 0); /* it was under load */
    assert_true(r.now - began < 10 * SP_SEC);
    fake_end(&x);
}

/* One that has gone mad takes its own budget, and nobody else's; what a pull asks for counts too. */
static void an_operator_has_a_budget(void **state) {
    static struct fake x;
    uint8_t msg[SP_REMOTE_MSG];
    fake_init(&x, &r, "operator.me.example.", 201, false);
    assert_true(fake_handshake(&x));
    struct sp_remote_msg m = {.kind = SP_REMOTE_PULL, .session = 1, .id = 1};
    size_t len = sp_remote_write(&m, msg, sizeof msg);
    for (unsigned i = 0; i < 2 * SP_REMOTE_PER_S + 1000; i++) {
        fake_plain(&x, msg, len);
        x.count = 0;
        rig_forget(&r);
    }
    assert_in_range(counts()->dropped_remote_budget, 900, 1100);
    assert_int_equal(operate(&p, SP_OP_STATUS, NULL, NULL), SP_OP_OK);
    rig_wait(&r, 3 * SP_SEC);
    uint64_t before = counts()->dropped_remote_budget;
    fake_plain(&x, msg, len);
    assert_int_equal(counts()->dropped_remote_budget, before);
    assert_int_equal(x.count, 1);
    fake_end(&x);
}

/* Old handshakes of an operator's, sent again by somebody else, from elsewhere. */
static void replayed_handshakes_are_bounded(void **state) {
    static struct operator q;
    uint8_t first[SP_REMOTE_SEALED];
    char zone[32];
    for (unsigned i = 0; i < 12; i++) {
        sprintf(zone, "z%u.example.", i);
        assert_int_equal(rig_ctl(&r, SP_OP_ZONE_ADD, zone, "", NULL), SP_OP_OK);
    }
    assert_int_equal(operate(&p, SP_OP_STATUS, NULL, NULL), SP_OP_OK);
    for (unsigned i = 0; i < 12; i++) {
        sprintf(zone, "z%u.example.", i);
        operator_init_at(&q, zone, 200);
        size_t len = sp_remote_link_output(&q.link, r.now, r.wall, first);
        assert_int_equal(len, SP_WG_INITIATION);
        struct sp_in in = {.kind = SP_IN_DATAGRAM, .data = first, .len = len, .src = rig_client, .dst = rig_server};
        rig_in(&r, &in, 1);
        operator_end(&q);
    }
    assert_int_equal(remotes(), SP_REMOTES);
    assert_int_equal(operate(&p, SP_OP_STATUS, NULL, NULL), SP_OP_OK); /* its own goes on */
    rig_wait(&r, 20 * SP_SEC);
    assert_int_equal(remotes(), 1);
    /* Through another zone: a session that is confirmed takes the place of the one before. */
    operator_init_at(&q, "z3.example.", 200);
    assert_int_equal(operate(&q, SP_OP_STATUS, NULL, NULL), SP_OP_OK);
    assert_int_equal(remotes(), 1);
    operator_end(&q);
}

/* ---- the end ---- */

static void it_ends_when_silent(void **state) {
    assert_int_equal(operate(&p, SP_OP_ZONE_EXPORT, RIG_ZONE, ""), SP_OP_OK);
    rig_wait(&r, 2 * SP_REMOTE_AWAY);
    assert_int_equal(remotes(), 0);
    /* What is asked now in the old session is refused there, not executed. */
    unsigned before = (unsigned)counts()->remote_requests;
    assert_int_equal(operate(&p, SP_OP_STOP, NULL, NULL), -1);
    assert_int_equal(p.link.call.failure, SP_REMOTE_FAILED_LOST);
    assert_int_equal(counts()->remote_requests, before);
}

/* A guest that goes on elsewhere, from a state that was saved: sessions have ended, and so have operators'. */
static void a_restored_signpost_knows_no_session(void **state) {
    static const uint8_t seed[SP_RNG_SEED] = {9};
    assert_int_equal(operate(&p, SP_OP_STATUS, NULL, NULL), SP_OP_OK);
    sp_server_resumed(r.s, r.now, r.wall, seed);
    rig_turn(&r);
    assert_int_equal(remotes(), 0);
    assert_int_equal(operate(&p, SP_OP_STOP, NULL, NULL), -1);
    assert_int_equal(p.link.call.failure, SP_REMOTE_FAILED_LOST);
    assert_false(r.s->stopping);
}

static void not_the_zone_it_came_by(void **state) {
    assert_int_equal(operate(&p, SP_OP_ZONE_ADD, "other.example.", ""), SP_OP_OK);
    assert_int_equal(operate(&p, SP_OP_ZONE_REMOVE, RIG_ZONE, NULL), SP_OP_FAILED);
    assert_true(says(&p, "by whose key you reach"));
    assert_int_equal(operate(&p, SP_OP_ZONE_REMOVE, "other.example.", NULL), SP_OP_OK);
    /* At the signpost it goes, and the session with it. */
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_REMOVE, RIG_ZONE, NULL), SP_OP_OK);
    rig_wait(&r, SP_SEC);
    assert_int_equal(remotes(), 0);
}

static void stop_is_answered(void **state) {
    assert_int_equal(operate(&p, SP_OP_STOP, NULL, NULL), SP_OP_OK);
    rig_wait(&r, SP_SEC);
    assert_true(r.stopped);
}

/* Requests, replies and sessions leave nothing behind. */
static void memory_comes_back(void **state) {
    static char text[200000];
    assert_int_equal(operate(&p, SP_OP_STATUS, NULL, NULL), SP_OP_OK);
    sp_remote_call_bye(&p.link.call);
    operator_give(&p);
    size_t used = r.s->mem.used;
    for (unsigned i = 0; i < 5; i++) {
        static struct operator q;
        rig_wait(&r, SP_SEC);
        operator_init(&q, 200);
        memset(text, ';', sizeof text - 1);
        assert_int_equal(operate(&q, SP_OP_ZONE_IMPORT, RIG_ZONE, text), SP_OP_OK);
        assert_int_equal(operate(&q, SP_OP_ZONE_EXPORT, RIG_ZONE, ""), SP_OP_OK);
        sp_remote_call_bye(&q.link.call);
        operator_give(&q);
        operator_end(&q);
        assert_int_equal(remotes(), 0);
    }
    rig_wait(&r, 200 * SP_SEC);
    assert_true(r.s->mem.used <= used + 4096);
}

static void a_key_without_an_image_is_refused(void **state) {
    struct sp_server *s;
    struct sp_server_config c = r.config;
    memset(c.operators[0], 0xff, sizeof c.operators[0]);
    assert_int_equal(sp_server_new(&s, &c, r.now, r.wall), SP_ERR_BADKEY);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin_remote, end_remote)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(an_operator_operates),
        cmocka_unit_test_setup_teardown(durable_and_long_over_a_bad_network, begin_remote_disk, end_remote),
        CASE(it_roams_and_rekeys),
        CASE(others_are_refused),
        CASE(neither_does_the_others_work),
        CASE(devices_do_not_push_it_out),
        CASE(it_works_in_a_flood),
        CASE(an_operator_has_a_budget),
        CASE(replayed_handshakes_are_bounded),
        CASE(it_ends_when_silent),
        CASE(a_restored_signpost_knows_no_session),
        CASE(not_the_zone_it_came_by),
        CASE(stop_is_answered),
        CASE(memory_comes_back),
        CASE(a_key_without_an_image_is_refused),
    };
    return cmocka_run_group_tests_name("server_remote", tests, NULL, NULL);
}
