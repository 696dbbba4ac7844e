/* Userspace mode: two agents' cores and a signpost's, their hosts' streams made by hand, in virtual time. */
#include "tests/unit/cm.h"

#include <stdlib.h>
#include <string.h>

#include "client/core/userspace.h"
#include "tests/support/path_rig.h"

#define LOCALS 40
#define WINDOW ((size_t)256 << 10)

/* A local stream, and the program at its other end. */
struct local {
    bool used, open, by_credit, told_end, closed, reset, said_end, echoes, reads;
    uint64_t id;
    unsigned node;
    uint16_t port; /* of the served target; 0: the program connected */
    size_t allowed, owed; /* owed: taken, and not credited */
    uint8_t *said; /* what the program has to say, */
    size_t said_len, said_at;
    uint8_t *got;
    size_t got_len, got_cap;
};

struct world {
    struct path_rig p;
    struct local l[LOCALS];
    uint64_t next;
    bool refuse;       /* served targets cannot be connected */
    bool echoes, deaf; /* what served programs do */
};
static struct world *w;

static struct local *find(uint64_t id, unsigned node) {
    for (unsigned i = 0; i < LOCALS; i++)
        if (w->l[i].used && w->l[i].id == id && w->l[i].node == node)
            return &w->l[i];
    return NULL;
}

static struct local *make(uint64_t id, unsigned node, uint16_t port) {
    for (unsigned i = 0; i < LOCALS; i++) {
        struct local *l = &w->l[i];
        if (l->used)
            continue;
        *l = (struct local){.used = true, .open = true, .reads = true, .id = id, .node = node, .port = port};
        return l;
    }
    fail_msg("too many streams");
    return NULL;
}

static void say(struct local *l, const void *data, size_t len) {
    l->said = realloc(l->said, l->said_len + len);
    memcpy(l->said + l->said_len, data, len);
    l->said_len += len;
}

static void to_agent(struct local *l, struct sp_in in) {
    in.id = l->id;
    path_input(&w->p, l->node, &in);
}

static void on_stream(struct path_rig *p, unsigned node, const struct sp_out *out) {
    struct local *l = find(out->id, node);
    if (l == NULL)
        return;
    assert_true(l->open && !l->closed && !l->reset);
    switch (out->kind) {
    case SP_OUT_STREAM_DATA:
        assert_false(l->told_end);
        l->owed += out->len;
        assert_true(l->owed <= WINDOW);
        if (l->got_len + out->len > l->got_cap)
            l->got = realloc(l->got, l->got_cap = 2 * (l->got_len + out->len));
        memcpy(l->got + l->got_len, out->data, out->len);
        l->got_len += out->len;
        if (l->echoes)
            say(l, out->data, out->len);
        break;
    case SP_OUT_STREAM_CREDIT:
        l->by_credit = true;
        l->allowed += out->credit;
        break;
    case SP_OUT_STREAM_END:
        assert_false(l->told_end);
        l->told_end = true;
        l->said_end = l->said_end || l->echoes;
        break;
    case SP_OUT_STREAM_CLOSE:
        l->closed = true;
        break;
    case SP_OUT_STREAM_RESET:
        l->reset = true;
        break;
    default:
        fail();
    }
}

static void on_connect(struct path_rig *p, unsigned node, const struct sp_event *ev) {
    struct local *l = make(ev->id, node, ev->addr.port);
    l->open = false; /* the next round of programs tells */
    l->echoes = w->echoes;
    l->reads = !w->deaf;
}

/* What hosts and programs do between two events: all that they may. */
static bool step(struct local *l) {
    if (!l->used || l->closed || l->reset)
        return false;
    if (!l->open && w->refuse) {
        l->used = false;
        to_agent(l, (struct sp_in){.kind = SP_IN_STREAM_CLOSE, .err = SP_ERR_NOENT});
        return true;
    }
    if (!l->open) {
        l->open = true;
        to_agent(l, (struct sp_in){.kind = SP_IN_STREAM_OPEN, .credit = WINDOW});
        assert_true(l->by_credit || l->reset);
        return true;
    }
    if (l->owed > 0 && l->reads) {
        size_t n = l->owed;
        l->owed = 0;
        to_agent(l, (struct sp_in){.kind = SP_IN_STREAM_CREDIT, .credit = n});
        return true;
    }
    size_t n = l->said_len - l->said_at < l->allowed ? l->said_len - l->said_at : l->allowed;
    n = n < 65536 ? n : 65536;
    if (n > 0) {
        uint8_t *piece = malloc(n); /* so that nobody reads beyond it */
        memcpy(piece, l->said + l->said_at, n);
        l->said_at += n;
        l->allowed -= n;
        to_agent(l, (struct sp_in){.kind = SP_IN_STREAM_DATA, .data = piece, .len = n});
        free(piece);
        return true;
    }
    if (l->said_end && l->said_at == l->said_len && l->allowed != SIZE_MAX) {
        l->allowed = SIZE_MAX; /* said */
        to_agent(l, (struct sp_in){.kind = SP_IN_STREAM_END});
        return true;
    }
    if (l->told_end && l->allowed == SIZE_MAX && l->owed == 0) {
        l->closed = true;
        to_agent(l, (struct sp_in){.kind = SP_IN_STREAM_CLOSE});
        return true;
    }
    return false;
}

static void pass(sp_duration how_long) {
    for (sp_instant until = w->p.r.now + how_long; w->p.r.now < until; path_pass(&w->p, SP_MS))
        for (bool some = true; some;) {
            some = false;
            for (unsigned i = 0; i < LOCALS; i++)
                some = step(&w->l[i]) || some;
        }
}

static bool until(bool (*holds)(void), sp_duration most) {
    for (sp_instant end = w->p.r.now + most; w->p.r.now < end && !holds(); pass(5 * SP_MS))
        ;
    return holds();
}

static struct local *connect_to(unsigned node, uint16_t port) {
    struct local *l = make(++w->next, node, 0);
    struct sp_in in = {.kind = SP_IN_STREAM_OPEN, .credit = WINDOW};
    in.src = (struct sp_addr){.family = 4, .ip = {127, 0, 0, 1}, .port = 50000};
    in.dst = (struct sp_addr){.family = 4, .ip = {127, 0, 0, 1}, .port = port};
    to_agent(l, in);
    assert_true(l->by_credit || l->reset);
    return l;
}

static struct local *socks(unsigned node, const char *host, uint16_t port) {
    struct local *l = connect_to(node, 1080);
    uint8_t ask[300] = {5, 1, 0, 5, 1, 0, 3, (uint8_t)strlen(host)};
    memcpy(ask + 8, host, strlen(host));
    sp_put_u16(ask + 8 + strlen(host), port);
    say(l, ask, 10 + strlen(host));
    return l;
}

/* The other end of what a program connected last. */
static struct local *served(void) {
    struct local *last = NULL;
    for (unsigned i = 0; i < LOCALS; i++)
        if (w->l[i].used && w->l[i].port != 0)
            last = &w->l[i];
    return last;
}

static const struct sp_userspace *user(unsigned node) {
    return w->p.n[node].agent->mesh->userspace;
}

static int start(void **state) {
    struct sp_overlay_config c = {.userspace = {.on = true, .streams = 8, .proxy_count = 1, .forward_count = 1, .serve_count = 2}};
    w = calloc(1, sizeof *w);
    c.userspace.proxies[0] = (struct sp_addr){.family = 4, .ip = {127, 0, 0, 1}, .port = 1080};
    c.userspace.forwards[0].listen = (struct sp_addr){.family = 4, .ip = {127, 0, 0, 1}, .port = 8007};
    c.userspace.forwards[0].port = 7;
    assert_int_equal(sp_name_from_text(&c.userspace.forwards[0].name, "phone.me.signpost", 17, NULL), SP_OK);
    c.userspace.serves[0] = (struct sp_userspace_serve){7, {.family = 4, .ip = {127, 0, 0, 1}, .port = 7000}};
    c.userspace.serves[1] = (struct sp_userspace_serve){9, {.family = 4, .ip = {127, 0, 0, 1}, .port = 9000}};
    w->echoes = true;
    path_begin(&w->p, &c);
    w->p.on_stream = on_stream;
    w->p.on_connect = on_connect;
    return 0;
}

static int finish(void **state) {
    for (unsigned i = 0; i < LOCALS; i++) {
        free(w->l[i].said);
        free(w->l[i].got);
    }
    path_end(&w->p);
    free(w);
    return 0;
}

/* ---- bytes ---- */

static struct local *one; /* what conditions are about */
static size_t wanted;
static bool got_wanted(void) {
    return one->got_len >= wanted;
}
static bool is_over(void) {
    return one->closed || one->reset;
}
static bool nothing_is_left(void) {
    return user(0)->pairs == 0 && user(1)->pairs == 0;
}

static uint8_t *pattern(size_t len) {
    uint8_t *p = malloc(len);
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)(i * 131 + i / 251 + i / 65521);
    return p;
}

/* Says so much to an echo, ends, and hears all of it, and the end. */
static void round_trip(struct local *l, size_t skip, size_t len, sp_duration most) {
    uint8_t *data = pattern(len);
    say(l, data, len);
    l->said_end = true;
    one = l;
    wanted = skip + len;
    assert_true(until(got_wanted, most));
    assert_memory_equal(l->got + skip, data, len);
    assert_true(until(is_over, 10 * SP_SEC));
    assert_true(l->told_end && l->closed && !l->reset);
    assert_true(until(nothing_is_left, 10 * SP_SEC));
    free(data);
}

static void a_program_reaches_a_device_by_its_name(void **state) {
    struct local *l = socks(0, "phone", 7);
    round_trip(l, 12, 3000000, 60 * SP_SEC);
    assert_memory_equal(l->got, "\5\0\5\0\0\1\0\0\0\0\0\0", 12);
    assert_int_equal(served()->port, 7000);
    assert_int_equal(user(0)->counts.opened, 1);
    assert_int_equal(user(0)->counts.ended, 1);
    assert_int_equal(user(1)->counts.ended, 1);
    assert_int_equal(user(1)->counts.broken + user(0)->counts.broken, 0);
    assert_int_equal(user(0)->counts.to_peers, 3000000);
}

static void bytes_are_whole_however_many_datagrams_are_lost(void **state) {
    w->p.lose = 20;
    round_trip(connect_to(0, 8007), 0, 2000000, 300 * SP_SEC);
    assert_true(sp_tcp_counts(user(0)->tcp)->retransmitted > 10);
}

static bool direct(void) {
    return path_direct(&w->p, 0);
}

static void no_byte_is_lost_when_the_path_changes(void **state) {
    size_t len = 4000000;
    uint8_t *data = pattern(len);
    w->p.no_direct = true;
    struct local *l = one = connect_to(0, 8007);
    say(l, data, len);
    wanted = 500000;
    assert_true(until(got_wanted, 60 * SP_SEC));
    assert_true(path_relayed(&w->p, 0));
    w->p.no_direct = false;
    w->p.n[0].udp_blocked = w->p.n[1].udp_blocked = false;
    assert_true(until(direct, 60 * SP_SEC) || l->got_len == len);
    wanted = len - 500000;
    assert_true(until(got_wanted, 60 * SP_SEC));
    w->p.no_direct = true; /* and back */
    wanted = len;
    assert_true(until(got_wanted, 120 * SP_SEC));
    assert_memory_equal(l->got, data, len);
    free(data);
}

/* A peer that reads nothing is not sent to for ever, and others are not held up by it. */
static void a_slow_reader_holds_up_its_own_bytes_alone(void **state) {
    size_t len = 6000000;
    uint8_t *data = pattern(len);
    w->echoes = false;
    w->deaf = true;
    struct local *slow = connect_to(0, 8007);
    say(slow, data, len);
    slow->said_end = true;
    pass(5 * SP_SEC);
    struct local *end = served();
    size_t got = end->got_len;
    assert_in_range(got, 10000, WINDOW);
    pass(2 * SP_SEC);
    assert_int_equal(end->got_len, got);
    assert_true(slow->said_at <= 3 * SP_USERSPACE_WINDOW);
    w->echoes = true;
    w->deaf = false;
    struct local *quick = one = socks(0, "phone", 7);
    say(quick, data, 100000);
    wanted = 100012;
    assert_true(until(got_wanted, 3 * SP_SEC));
    end->reads = true;
    one = end;
    wanted = len;
    assert_true(until(got_wanted, 60 * SP_SEC));
    assert_memory_equal(end->got, data, len);
    assert_true(end->told_end);
    free(data);
}

/* ---- ends ---- */

static void a_reset_of_one_side_is_one_of_the_other(void **state) {
    struct local *l = one = connect_to(0, 8007);
    say(l, "x", 1);
    wanted = 1;
    assert_true(until(got_wanted, 10 * SP_SEC));
    l->closed = true;
    to_agent(l, (struct sp_in){.kind = SP_IN_STREAM_CLOSE, .err = SP_ERR_IO});
    one = served();
    assert_true(until(is_over, SP_SEC));
    assert_true(one->reset);
    assert_true(until(nothing_is_left, SP_SEC));
    assert_int_equal(user(0)->counts.broken, 1);
    assert_int_equal(user(1)->counts.broken, 1);
}

static void a_device_that_goes_ends_its_connections(void **state) {
    struct local *l = one = connect_to(0, 8007);
    say(l, "x", 1);
    wanted = 1;
    assert_true(until(got_wanted, 10 * SP_SEC));
    sp_agent_quit(w->p.n[1].agent, w->p.r.now);
    assert_true(until(is_over, SP_SEC));
    assert_true(l->reset);
    one = served();
    assert_true(one->reset); /* its own programs too */
}

static void a_served_target_that_is_not_there(void **state) {
    w->refuse = true;
    struct local *l = one = connect_to(0, 8007);
    assert_true(until(is_over, 10 * SP_SEC));
    assert_true(l->reset);
    assert_int_equal(user(1)->counts.local_failed, 1);
    assert_true(nothing_is_left());
}

/* ---- refusals ---- */

static void refused(const char *host, uint16_t port, uint8_t code, enum sp_proxy_result why, sp_duration most) {
    struct local *l = one = socks(0, host, port);
    assert_true(until(is_over, most));
    assert_true(l->closed);
    assert_int_equal(l->got_len, 12);
    assert_int_equal(l->got[3], code);
    assert_int_equal(user(0)->counts.refusals[why], 1);
    assert_int_equal(user(0)->pairs, 0);
    l->used = false;
    free(l->got);
    free(l->said);
    l->got = l->said = NULL;
}

static void what_cannot_be_is_refused_for_its_reason(void **state) {
    refused("example.net", 80, 2, SP_PROXY_OUTSIDE, SP_SEC);
    refused("laptop", 80, 2, SP_PROXY_SELF, SP_SEC);
    refused("signpost.me.signpost", 53, 2, SP_PROXY_SIGNPOST, SP_SEC);
    refused("nobody", 80, 4, SP_PROXY_NO_NAME, SP_SEC);
    refused("phone", 8, 5, SP_PROXY_REFUSED, 5 * SP_SEC);
    assert_true(sp_tcp_counts(user(1)->tcp)->drops[SP_TCP_DROP_CLOSED] >= 1);
}

static void a_device_that_is_away(void **state) {
    sp_agent_quit(w->p.n[1].agent, w->p.r.now);
    pass(100 * SP_MS);
    refused("phone", 7, 4, SP_PROXY_NO_PATH, 21 * SP_SEC);
}

static void without_a_session_a_name_is_not_found(void **state) {
    w->p.no_post = true;
    pass(120 * SP_SEC);
    refused("nobody", 7, 3, SP_PROXY_NO_SESSION, 25 * SP_SEC);
}

/* A program that says nothing gives its place back. */
static void silence_is_not_waited_for_for_ever(void **state) {
    struct local *l = one = connect_to(0, 1080);
    assert_false(until(is_over, 29 * SP_SEC));
    assert_true(until(is_over, 2 * SP_SEC));
    assert_true(l->reset);
    assert_int_equal(user(0)->counts.local_silent, 1);
}

static void connections_are_bounded(void **state) {
    struct local *l[9];
    for (unsigned i = 0; i < 8; i++)
        l[i] = connect_to(0, 1080);
    l[8] = connect_to(0, 1080);
    assert_true(l[8]->reset);
    assert_int_equal(user(0)->counts.refused_full, 1);
    assert_int_equal(user(0)->pairs, 8);
    l[0]->closed = true;
    to_agent(l[0], (struct sp_in){.kind = SP_IN_STREAM_CLOSE, .err = SP_ERR_IO});
    assert_false(connect_to(0, 1080)->reset);
}

static void a_stream_of_no_listener_is_refused(void **state) {
    struct local *l = connect_to(0, 4242);
    assert_true(l->reset);
    assert_int_equal(user(0)->counts.unknown, 1);
}

int main(void) {
#define WITH(test) cmocka_unit_test_setup_teardown(test, start, finish)
    const struct CMUnitTest tests[] = {
        WITH(a_program_reaches_a_device_by_its_name),
        WITH(bytes_are_whole_however_many_datagrams_are_lost),
        WITH(no_byte_is_lost_when_the_path_changes),
        WITH(a_slow_reader_holds_up_its_own_bytes_alone),
        WITH(a_reset_of_one_side_is_one_of_the_other),
        WITH(a_device_that_goes_ends_its_connections),
        WITH(a_served_target_that_is_not_there),
        WITH(what_cannot_be_is_refused_for_its_reason),
        WITH(a_device_that_is_away),
        WITH(without_a_session_a_name_is_not_found),
        WITH(silence_is_not_waited_for_for_ever),
        WITH(connections_are_bounded),
        WITH(a_stream_of_no_listener_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
