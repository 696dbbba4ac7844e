/* The operator's protocol from afar, both ends against each other over a bad network, in virtual time. */
#include "tests/unit/cm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/rng.h"
#include "proto/control/remote.h"
#include "proto/crypto/crypto.h"

#define FLYING      4096
#define REQUEST_MAX (256u << 10)
#define REPLY_MAX   (1u << 20)

struct flying {
    sp_instant at;
    bool up; /* to the signpost */
    size_t len;
    uint8_t data[SP_REMOTE_MSG];
};

struct net {
    struct sp_rng rng;
    sp_instant now;
    unsigned loss, twice, late; /* per thousand */
    sp_duration delay;
    struct flying *flying;
    size_t count, sent_up, sent_down;
    struct sp_mem mem[2]; /* the operator's and the signpost's */
    struct sp_remote_call call;
    struct sp_remote_end end;
    uint64_t session;
    /* Execution: takes a while, and is counted. */
    unsigned runs;
    sp_instant ready_at;
    sp_duration takes;
    uint8_t *reply;
    uint32_t reply_len;
    size_t most; /* memory that the signpost's end held */
};

static struct net n;

static uint32_t pick(uint32_t below) {
    uint32_t v;
    sp_rng_fill(&n.rng, &v, sizeof v);
    return below == 0 ? 0 : v % below;
}

static void begin_net(uint8_t seed, unsigned bad) {
    uint8_t bytes[SP_RNG_SEED] = {seed, (uint8_t)bad};
    free(n.flying);
    n = (struct net){.delay = 50 * SP_MS, .loss = bad, .twice = bad / 2, .late = bad};
    n.flying = calloc(FLYING, sizeof *n.flying);
    sp_rng_init(&n.rng, bytes);
    sp_mem_init(&n.mem[0], sp_test_grant(), (size_t)16 << 20);
    sp_mem_init(&n.mem[1], sp_test_grant(), (size_t)16 << 20);
    sp_remote_call_init(&n.call, &n.mem[0], REPLY_MAX, 77, 0);
    n.end = (struct sp_remote_end){.mem = &n.mem[1], .request_max = REQUEST_MAX};
    n.ready_at = SP_NEVER;
    n.session = 1000;
}

static void end_net(void) {
    sp_remote_call_free(&n.call);
    sp_remote_end_free(&n.end);
    free(n.reply);
    free(n.flying);
    n.flying = NULL;
    n.reply = NULL;
    assert_int_equal(n.mem[0].used, 0); /* everything was given back */
    assert_int_equal(n.mem[1].used, 0);
    sp_mem_done(&n.mem[0]);
    sp_mem_done(&n.mem[1]);
}

static void fly(bool up, const uint8_t *data, size_t len) {
    *(up ? &n.sent_up : &n.sent_down) += 1;
    for (unsigned copies = pick(1000) < n.twice ? 2 : 1; copies > 0; copies--) {
        if (pick(1000) < n.loss)
            continue;
        assert_true(n.count < FLYING);
        struct flying *f = &n.flying[n.count++];
        f->at = n.now + n.delay + (pick(1000) < n.late ? pick(200) * SP_MS : 0);
        f->up = up;
        f->len = len;
        memcpy(f->data, data, len);
    }
}

static void drain(void) {
    uint8_t out[SP_REMOTE_MSG];
    for (size_t len; (len = sp_remote_call_output(&n.call, n.now, out)) > 0;)
        fly(true, out, len);
    for (size_t len; (len = sp_remote_end_output(&n.end, out)) > 0;)
        fly(false, out, len);
    assert_false(sp_remote_end_busy(&n.end));
}

static uint8_t *made(uint32_t len, uint8_t salt) {
    uint8_t *p = malloc(len + 1);
    for (uint32_t i = 0; i < len; i++)
        p[i] = (uint8_t)(i * 7 + (i >> 10) + salt);
    return p;
}

static void run_request(void) {
    n.runs++;
    uint8_t *want = made(n.end.total, 1);
    assert_memory_equal(n.end.request, want, n.end.total);
    free(want);
    sp_remote_end_ran(&n.end);
    if (n.takes == 0)
        sp_remote_end_reply(&n.end, n.reply, n.reply_len);
    else
        n.ready_at = n.now + n.takes;
}

static void deliver(size_t i) {
    struct flying f = n.flying[i];
    n.flying[i] = n.flying[--n.count];
    if (!f.up)
        sp_remote_call_input(&n.call, n.now, f.data, f.len);
    else if (sp_remote_end_input(&n.end, ++n.session, f.data, f.len) == SP_REMOTE_RUN)
        run_request();
    n.most = n.mem[1].used > n.most ? n.mem[1].used : n.most;
}

/* One event; false: nothing is left to happen before `until`. */
static bool step(sp_instant until) {
    drain();
    sp_instant at = sp_instant_min(sp_remote_call_deadline(&n.call), n.ready_at);
    size_t next = SIZE_MAX;
    for (size_t i = 0; i < n.count; i++)
        if (n.flying[i].at <= at) {
            at = n.flying[i].at;
            next = i;
        }
    if (at > until)
        return false;
    n.now = at > n.now ? at : n.now;
    if (next != SIZE_MAX) {
        deliver(next);
    } else if (n.ready_at <= n.now) {
        n.ready_at = SP_NEVER;
        sp_remote_end_reply(&n.end, n.reply, n.reply_len);
    } else {
        sp_remote_call_expire(&n.call, n.now);
    }
    n.most = n.mem[1].used > n.most ? n.mem[1].used : n.most;
    return true;
}

static void go(sp_duration patience) {
    sp_instant until = n.now + patience;
    while (n.call.phase != SP_REMOTE_DONE && n.call.phase != SP_REMOTE_FAILED && step(until))
        ;
}

/* A request of this length, its reply of that length. */
static void ask(uint32_t len, uint32_t reply_len, sp_duration takes) {
    uint8_t *request = made(len, 1);
    free(n.reply);
    n.reply = made(reply_len, 2);
    n.reply_len = reply_len;
    n.takes = takes;
    unsigned before = n.runs;
    assert_int_equal(sp_remote_call_begin(&n.call, n.now, request, len), SP_OK);
    go(300 * SP_SEC);
    assert_int_equal(n.call.phase, SP_REMOTE_DONE);
    assert_int_equal(n.runs, before + 1); /* once, whatever was lost */
    assert_int_equal(n.call.reply_len, reply_len);
    assert_memory_equal(n.call.reply, n.reply, reply_len);
    free(request);
}

static void a_short_request_takes_two_round_trips(void **state) {
    begin_net(1, 0);
    ask(30, 200, 0);
    assert_int_equal(n.now, 200 * SP_MS); /* HELLO, then the request with its reply */
    ask(30, 200, 0);
    assert_int_equal(n.now, 300 * SP_MS);
    assert_int_equal(n.sent_up + n.sent_down, 6); /* a question and its answer each */
    end_net();
}

/* A metrics page, an export: a few round trips. */
static void long_replies_come_in_few_round_trips(void **state) {
    begin_net(1, 0);
    ask(30, 16 << 10, 0);
    assert_in_range(n.now, 0, 2 * 100 * SP_MS);
    sp_instant before = n.now;
    ask(30, 256 << 10, 0);
    assert_in_range(n.now - before, 0, 5 * 100 * SP_MS);
    before = n.now;
    ask(256 << 10, 10, 0);
    assert_in_range(n.now - before, 0, 6 * 100 * SP_MS);
    end_net();
}

/* Seeds, each with its own losses: whole, once, bounded. */
static void over_bad_networks(void **state) {
    static const struct {
        uint32_t request, reply;
    } sizes[] = {{1, 1}, {1024, 1024}, {1025, 17000}, {60000, 3000}, {2, 256 << 10}, {REQUEST_MAX, 100}};
    for (unsigned bad = 0; bad <= 300; bad += 100)
        for (uint8_t seed = 1; seed <= 12; seed++) {
            begin_net(seed, bad);
            for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++)
                ask(sizes[i].request, sizes[i].reply, pick(3) * 700 * SP_MS);
            /* One request or one reply, each with its bits, and what memory in pieces costs. */
            assert_true(n.most <= 2 * (REQUEST_MAX + REQUEST_MAX / 8192 + 64));
            end_net();
        }
}

/* All the first pieces of a reply are lost, or the request's last answer: nothing is executed again. */
static void lost_replies_are_asked_for(void **state) {
    begin_net(3, 0);
    uint8_t *request = made(10, 1);
    n.reply = made(5000, 2);
    n.reply_len = 5000;
    assert_int_equal(sp_remote_call_begin(&n.call, 0, request, 10), SP_OK);
    while (n.runs == 0)
        assert_true(step(SP_NEVER - 1));
    n.loss = 1000;
    drain();
    n.loss = 0;
    assert_int_equal(n.count, 0);
    go(60 * SP_SEC);
    assert_int_equal(n.call.phase, SP_REMOTE_DONE);
    assert_int_equal(n.runs, 1);
    free(request);
    end_net();
}

/* The signpost has restarted while a request was on its way: it does not execute it, and the operator learns. */
static void a_restarted_signpost_executes_nothing(void **state) {
    begin_net(4, 0);
    uint8_t *request = made(5000, 1);
    assert_int_equal(sp_remote_call_begin(&n.call, 0, request, 5000), SP_OK);
    while (n.call.phase != SP_REMOTE_SENDING)
        assert_true(step(SP_NEVER - 1));
    sp_remote_end_free(&n.end);
    go(60 * SP_SEC);
    assert_int_equal(n.call.phase, SP_REMOTE_FAILED);
    assert_int_equal(n.call.failure, SP_REMOTE_FAILED_LOST);
    assert_int_equal(n.runs, 0);
    free(request);
    end_net();
    /* And while it waits for the reply. */
    begin_net(4, 0);
    request = made(10, 1);
    n.takes = 1000 * SP_SEC;
    assert_int_equal(sp_remote_call_begin(&n.call, 0, request, 10), SP_OK);
    while (n.call.phase != SP_REMOTE_WAITING)
        assert_true(step(SP_NEVER - 1));
    sp_remote_end_free(&n.end);
    n.ready_at = SP_NEVER;
    go(60 * SP_SEC);
    assert_int_equal(n.call.failure, SP_REMOTE_FAILED_LOST);
    assert_int_equal(n.runs, 1);
    free(request);
    end_net();
}

static void what_is_too_big_is_refused(void **state) {
    begin_net(5, 0);
    uint8_t *request = made(REQUEST_MAX + 1, 1);
    assert_int_equal(sp_remote_call_begin(&n.call, 0, request, REQUEST_MAX + 1), SP_OK);
    go(60 * SP_SEC);
    assert_int_equal(n.call.failure, SP_REMOTE_FAILED_TOO_BIG);
    assert_int_equal(n.call.request_max, REQUEST_MAX);
    assert_int_equal(n.most, 0);
    end_net();
    /* An operator that does not care is refused there, before there is any memory for it. */
    begin_net(5, 0);
    assert_int_equal(sp_remote_call_begin(&n.call, 0, request, 10), SP_OK);
    while (n.call.phase != SP_REMOTE_SENDING)
        assert_true(step(SP_NEVER - 1));
    n.call.total = REQUEST_MAX + 1;
    go(60 * SP_SEC);
    assert_int_equal(n.call.failure, SP_REMOTE_FAILED_TOO_BIG);
    assert_int_equal(n.most, 0);
    free(request);
    end_net();
    /* A reply that is longer than we take. */
    begin_net(5, 0);
    request = made(10, 1);
    n.reply = made(REPLY_MAX + 1, 2);
    n.reply_len = REPLY_MAX + 1;
    assert_int_equal(sp_remote_call_begin(&n.call, 0, request, 10), SP_OK);
    go(60 * SP_SEC);
    assert_int_equal(n.call.failure, SP_REMOTE_FAILED_REPLY);
    assert_int_equal(n.mem[0].used, 0);
    free(request);
    end_net();
}

static size_t message(uint8_t *out, uint8_t kind, uint64_t session, uint32_t id) {
    struct sp_remote_msg m = {.kind = kind, .session = session, .id = id};
    return sp_remote_write(&m, out, SP_REMOTE_MSG);
}

/* Another version: both learn which. */
static void versions_are_told(void **state) {
    uint8_t hello[SP_REMOTE_MSG], welcome[SP_REMOTE_MSG];
    begin_net(6, 0);
    size_t len = message(hello, SP_REMOTE_HELLO, 5, 0);
    hello[1] = SP_REMOTE_VERSION + 1;
    assert_int_equal(sp_remote_end_input(&n.end, 9, hello, len), SP_REMOTE_NOTHING);
    len = sp_remote_end_output(&n.end, welcome);
    struct sp_remote_msg m;
    assert_int_equal(sp_remote_read(&m, welcome, len), SP_OK);
    assert_int_equal(m.kind, SP_REMOTE_WELCOME);
    assert_int_equal(m.number, 5);
    assert_int_equal(m.length, REQUEST_MAX);
    struct sp_remote_msg theirs = {.kind = SP_REMOTE_WELCOME, .session = 9, .number = 77, .length = 100};
    len = sp_remote_write(&theirs, welcome, sizeof welcome);
    welcome[1] = 7;
    sp_remote_call_input(&n.call, 0, welcome, len);
    assert_int_equal(n.call.failure, SP_REMOTE_FAILED_VERSION);
    assert_int_equal(n.call.their_version, 7);
    end_net();
}

/* A second operator with the same key begins anew; the first one learns it, and its reply goes to nobody. */
static void a_new_greeting_ends_what_was(void **state) {
    uint8_t hello[SP_REMOTE_MSG];
    begin_net(7, 0);
    uint8_t *request = made(10, 1);
    n.takes = 2 * SP_SEC;
    n.reply = made(100, 2);
    n.reply_len = 100;
    assert_int_equal(sp_remote_call_begin(&n.call, 0, request, 10), SP_OK);
    while (n.runs == 0)
        assert_true(step(SP_NEVER - 1));
    size_t len = message(hello, SP_REMOTE_HELLO, 4242, 0);
    assert_int_equal(sp_remote_end_input(&n.end, 9999, hello, len), SP_REMOTE_NOTHING);
    go(60 * SP_SEC);
    assert_int_equal(n.call.failure, SP_REMOTE_FAILED_LOST);
    assert_null(n.end.reply);
    free(request);
    end_net();
}

static void nonsense_is_dropped(void **state) {
    uint8_t msg[SP_REMOTE_MSG];
    begin_net(8, 0);
    size_t len = message(msg, SP_REMOTE_HELLO, 5, 0);
    (void)sp_remote_end_input(&n.end, 9, msg, len);
    for (size_t cut = 0; cut < len; cut++)
        assert_int_equal(sp_remote_end_input(&n.end, 10, msg, cut), SP_REMOTE_BAD);
    assert_int_equal(n.end.session, 9);
    /* What only a signpost says; unknown kinds; probes and IP packets. */
    static const uint8_t kinds[] = {0, 1, 4, SP_REMOTE_WELCOME, SP_REMOTE_STATE, SP_REMOTE_REPLY, 0x45, 0x60, 0xff};
    memset(msg, 0, sizeof msg);
    for (unsigned i = 0; i < sizeof kinds; i++) {
        len = message(msg, SP_REMOTE_PULL, 9, 1);
        msg[0] = kinds[i];
        assert_int_equal(sp_remote_end_input(&n.end, 10, msg, sizeof msg), SP_REMOTE_BAD);
        msg[0] = SP_REMOTE_PULL;
        msg[1] = kinds[i] == SP_REMOTE_VERSION ? 0 : kinds[i];
        assert_int_equal(sp_remote_end_input(&n.end, 10, msg, sizeof msg), SP_REMOTE_BAD);
    }
    /* Requests of nothing, pieces beyond the end, another length under the same id, id 0. */
    uint8_t piece[SP_REMOTE_PIECE] = {0};
    struct sp_remote_msg m = {.kind = SP_REMOTE_PIECES, .session = 9, .id = 1, .length = 3000, .data = piece};
    len = sp_remote_write(&m, msg, sizeof msg);
    assert_int_equal(sp_remote_end_input(&n.end, 10, msg, len), SP_REMOTE_NOTHING);
    sp_put_u32(msg + 20, 3);
    assert_int_equal(sp_remote_end_input(&n.end, 10, msg, len), SP_REMOTE_BAD);
    sp_put_u32(msg + 20, 1);
    sp_put_u32(msg + 16, 2999);
    assert_int_equal(sp_remote_end_input(&n.end, 10, msg, len), SP_REMOTE_BAD);
    sp_put_u32(msg + 16, 0);
    assert_int_equal(sp_remote_end_input(&n.end, 10, msg, len), SP_REMOTE_BAD);
    sp_put_u32(msg + 16, 3000);
    sp_put_u32(msg + 12, 0);
    assert_int_equal(sp_remote_end_input(&n.end, 10, msg, len), SP_REMOTE_BAD);
    /* Another session's. */
    while (sp_remote_end_output(&n.end, msg) > 0)
        ;
    len = message(msg, SP_REMOTE_PULL, 8, 1);
    assert_int_equal(sp_remote_end_input(&n.end, 10, msg, len), SP_REMOTE_NOTHING);
    len = sp_remote_end_output(&n.end, msg);
    struct sp_remote_msg told;
    assert_int_equal(sp_remote_read(&told, msg, len), SP_OK);
    assert_int_equal(told.state, SP_REMOTE_LOST);
    assert_int_equal(told.session, 8);
    end_net();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_short_request_takes_two_round_trips),
        cmocka_unit_test(long_replies_come_in_few_round_trips),
        cmocka_unit_test(over_bad_networks),
        cmocka_unit_test(lost_replies_are_asked_for),
        cmocka_unit_test(a_restarted_signpost_executes_nothing),
        cmocka_unit_test(what_is_too_big_is_refused),
        cmocka_unit_test(versions_are_told),
        cmocka_unit_test(a_new_greeting_ends_what_was),
        cmocka_unit_test(nonsense_is_dropped),
    };
    return cmocka_run_group_tests_name("control_remote", tests, NULL, NULL);
}
