/* Streams that a core reads by credit, and whose halves end apart: over real sockets, the loop turned by hand. */
#define _GNU_SOURCE
#include "tests/unit/cm.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/linux/addr.h"
#include "proto/linux/tcp.h"

#define KEEP    64
#define STREAMS 4

struct world {
    struct spl_loop *loop;
    struct sp_addr at;
    /* what the core was told */
    struct sp_in in[KEEP];
    size_t count, got, credit; /* bytes; credit given back since the stream opened */
    uint8_t data[4 << 20];
    uint64_t stream;
    bool open, ended, closed;
    sp_err err;
    /* and what it says */
    struct sp_out out[16];
    size_t out_at, out_len;
    struct sp_event ev[512];
    size_t ev_at, ev_len;
    size_t first_credit; /* SIZE_MAX: it is not read by credit */
    unsigned failed, connected;
    sp_err failed_err;
};

static void say(struct world *w, enum sp_out_kind kind, const void *data, size_t len) {
    assert_true(w->out_len < 16);
    w->out[w->out_len++] = (struct sp_out){.kind = kind, .id = w->stream, .data = data, .len = data != NULL ? len : 0, .credit = len};
}

static void opened(struct world *w, const struct sp_in *in) {
    w->stream = in->id;
    w->open = true;
    w->connected += (in->id & SP_CONNECT_ID) != 0;
    assert_int_equal(in->credit, SPL_TCP_WINDOW);
    if (w->first_credit != SIZE_MAX)
        say(w, SP_OUT_STREAM_CREDIT, NULL, w->first_credit);
}

static sp_err input(void *ctx, sp_instant now, sp_wall wall, const struct sp_in *in, size_t n, size_t *taken) {
    struct world *w = ctx;
    if (w->out_at == w->out_len)
        w->out_at = w->out_len = 0;
    for (*taken = 0; *taken < n; ++*taken, in++) {
        if (in->kind == SP_IN_STREAM_OPEN) {
            opened(w, in);
        } else if (in->kind == SP_IN_STREAM_CLOSE && in->id != w->stream) {
            w->failed++;
            w->failed_err = in->err;
        } else if (in->kind == SP_IN_STREAM_DATA) {
            assert_true(w->got + in->len <= sizeof w->data && !w->ended && !w->closed);
            memcpy(w->data + w->got, in->data, in->len);
            w->got += in->len;
        } else if (in->kind == SP_IN_STREAM_CREDIT) {
            w->credit += in->credit;
        } else if (in->kind == SP_IN_STREAM_END) {
            assert_false(w->ended || w->closed);
            w->ended = true;
        } else if (in->kind == SP_IN_STREAM_CLOSE) {
            assert_false(w->closed);
            w->closed = true;
            w->err = in->err;
        }
    }
    return SP_OK;
}

static void expire(void *ctx, sp_instant now, sp_wall wall) {
}

static sp_instant deadline(void *ctx) {
    return SP_NEVER;
}

static size_t output(void *ctx, sp_instant now, sp_wall wall, struct sp_out *out, size_t n) {
    struct world *w = ctx;
    size_t k = 0;
    while (k < n && w->out_at < w->out_len)
        out[k++] = w->out[w->out_at++];
    return k;
}

static bool event(void *ctx, struct sp_event *ret) {
    struct world *w = ctx;
    if (w->ev_at == w->ev_len)
        return false;
    *ret = w->ev[w->ev_at++];
    return true;
}

static void effect(void *ctx, const struct sp_event *ev) {
    spl_tcp_connect(((struct world *)ctx)->loop, ev->id, &ev->addr);
}

static int start(void **state) {
    alarm(60);
    struct world *w = calloc(1, sizeof *w);
    struct spl_core core = {
        .ctx = w, .input = input, .expire = expire, .deadline = deadline, .output = output, .event = event, .effect = effect};
    struct sp_addr any;
    assert_int_equal(spl_addr_parse(&any, "127.0.0.1", 0), SP_OK);
    assert_int_equal(spl_loop_new(&w->loop, &core, NULL), SP_OK);
    assert_int_equal(spl_tcp_listen(w->loop, &any, STREAMS, &w->at, NULL), SP_OK);
    *state = w;
    return 0;
}

static int finish(void **state) {
    struct world *w = *state;
    spl_loop_free(w->loop);
    free(w);
    return 0;
}

/* Some rounds of the loop: all that can happen has happened. */
static void turn(struct world *w) {
    spl_loop_turn(w->loop);
    for (int i = 0; i < 20; i++) {
        event_base_loop(spl_loop_base(w->loop), EVLOOP_NONBLOCK);
        usleep(200);
    }
}

static int client(struct world *w, size_t first_credit) {
    struct sockaddr_storage ss;
    socklen_t len = spl_addr_to(&w->at, &ss);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    w->first_credit = first_credit;
    assert_int_equal(connect(fd, (struct sockaddr *)&ss, len), 0);
    turn(w);
    assert_true(w->open);
    return fd;
}

static void send_all(int fd, const char *text) {
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void no_more_is_read_than_was_said(void **state) {
    struct world *w = *state;
    int fd = client(w, 0);
    send_all(fd, "0123456789abcdefghijklmnopqrstuvwxyz");
    turn(w);
    assert_int_equal(w->got, 0);
    say(w, SP_OUT_STREAM_CREDIT, NULL, 10);
    turn(w);
    assert_int_equal(w->got, 10);
    say(w, SP_OUT_STREAM_CREDIT, NULL, 3);
    say(w, SP_OUT_STREAM_CREDIT, NULL, 2);
    turn(w);
    assert_int_equal(w->got, 15);
    say(w, SP_OUT_STREAM_CREDIT, NULL, 1000);
    turn(w);
    assert_int_equal(w->got, 36);
    assert_memory_equal(w->data, "0123456789abcdefghijklmnopqrstuvwxyz", 36);
    close(fd);
}

static void large_credit_is_kept_too(void **state) {
    struct world *w = *state;
    int fd = client(w, 200000);
    static uint8_t block[300000];
    fcntl(fd, F_SETFL, O_NONBLOCK);
    size_t sent = 0;
    for (int i = 0; i < 50; i++) {
        ssize_t n = sent < sizeof block ? send(fd, block + sent, sizeof block - sent, MSG_NOSIGNAL) : 0;
        sent += n > 0 ? (size_t)n : 0;
        turn(w);
    }
    assert_int_equal(w->got, 200000);
    close(fd);
}

static void the_peers_end_is_told_apart_and_answers_still_go(void **state) {
    struct world *w = *state;
    char buf[16];
    int fd = client(w, 100);
    send_all(fd, "question");
    shutdown(fd, SHUT_WR);
    turn(w);
    assert_int_equal(w->got, 8);
    assert_true(w->ended && !w->closed);
    say(w, SP_OUT_STREAM_DATA, "answer", 6);
    turn(w);
    assert_int_equal(w->credit, 6);
    assert_false(w->closed);
    say(w, SP_OUT_STREAM_DATA, "!", 1);
    say(w, SP_OUT_STREAM_END, NULL, 0);
    turn(w);
    assert_int_equal(recv(fd, buf, sizeof buf, MSG_WAITALL), 7);
    assert_memory_equal(buf, "answer!", 7);
    assert_true(w->closed); /* both ends are done */
    assert_int_equal(w->err, SP_OK);
    assert_int_equal(spl_tcp_counts(w->loop)->open, 0);
    close(fd);
}

static void our_end_first(void **state) {
    struct world *w = *state;
    char c;
    int fd = client(w, 100);
    say(w, SP_OUT_STREAM_DATA, "x", 1);
    say(w, SP_OUT_STREAM_END, NULL, 0);
    turn(w);
    assert_int_equal(recv(fd, &c, 1, 0), 1);
    assert_int_equal(recv(fd, &c, 1, 0), 0);
    send_all(fd, "still");
    turn(w);
    assert_int_equal(w->got, 5);
    assert_false(w->ended || w->closed);
    close(fd);
    turn(w);
    assert_true(w->ended && w->closed);
    assert_int_equal(w->err, SP_OK);
}

/* The end comes behind what waits, and what waits is not lost by it. */
static size_t fill(struct world *w, const uint8_t *block) {
    size_t said = 0;
    while (said - w->credit == 0) {
        say(w, SP_OUT_STREAM_DATA, block, 64 << 10);
        said += 64 << 10;
        turn(w);
        assert_true(said < 64 << 20);
    }
    return said;
}

static void who_does_not_read_is_read_from(void **state) {
    static uint8_t block[64 << 10], buf[64 << 10];
    struct world *w = *state;
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = (uint8_t)(i * 7);
    int fd = client(w, 1000);
    size_t said = fill(w, block), got = 0;
    send_all(fd, "hello");
    turn(w);
    assert_int_equal(w->got, 5);
    say(w, SP_OUT_STREAM_END, NULL, 0);
    turn(w);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    for (ssize_t n; (n = recv(fd, buf, sizeof buf, 0)) != 0; turn(w)) {
        assert_true(n > 0 || errno == EAGAIN);
        for (ssize_t i = 0; i < n; i++)
            assert_int_equal(buf[i], block[(got + (size_t)i) % sizeof block]);
        got += n > 0 ? (size_t)n : 0;
    }
    assert_int_equal(got, said);
    assert_int_equal(w->credit, said);
    close(fd);
    turn(w);
    assert_true(w->closed);
}

static void a_reset_is_no_end(void **state) {
    struct world *w = *state;
    int fd = client(w, 100);
    send_all(fd, "x");
    turn(w);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger)), 0);
    close(fd);
    turn(w);
    assert_true(w->closed && !w->ended);
    assert_int_equal(w->err, SP_ERR_IO);
}

static void a_core_that_resets(void **state) {
    struct world *w = *state;
    char c;
    int fd = client(w, 100);
    say(w, SP_OUT_STREAM_RESET, NULL, 0);
    turn(w);
    assert_int_equal(recv(fd, &c, 1, 0), -1);
    assert_int_equal(errno, ECONNRESET);
    assert_false(w->closed); /* it knows */
    close(fd);
}

static void without_credit_an_end_is_a_close(void **state) {
    struct world *w = *state;
    int fd = client(w, SIZE_MAX);
    send_all(fd, "x");
    shutdown(fd, SHUT_WR);
    turn(w);
    assert_int_equal(w->got, 1);
    assert_true(w->closed && !w->ended);
    assert_int_equal(w->err, SP_OK);
    close(fd);
}

static void ask(struct world *w, uint64_t id, const struct sp_addr *to) {
    w->ev[w->ev_len++] = (struct sp_event){.kind = SP_EV_CONNECT, .id = SP_CONNECT_ID | id, .addr = *to};
}

/* Through each of n streams, the first with this id and each other 256 more, a byte of its own. */
static void through_each(struct world *w, int listener, uint64_t first, unsigned n) {
    int peers[32];
    for (unsigned i = 0; i < n; i++)
        assert_true((peers[i] = accept(listener, NULL, NULL)) >= 0);
    for (unsigned i = 0; i < n; i++) {
        w->stream = SP_CONNECT_ID | (first + 256 * i);
        say(w, SP_OUT_STREAM_DATA, &(uint8_t){(uint8_t)i}, 1);
        turn(w);
        say(w, SP_OUT_STREAM_RESET, NULL, 0);
        turn(w);
        w->out_at = w->out_len = 0;
    }
    for (unsigned i = 0; i < n; i++) {
        uint8_t c;
        assert_int_equal(recv(peers[i], &c, 1, 0), 1);
        assert_int_equal(c, i); /* they were accepted in the order in which they were connected */
        close(peers[i]);
    }
}

/* Ids of one hash. What there is no room for is refused, and what was there still works; and again, when those have gone. */
static void connections_of_the_core_are_found_by_id(void **state) {
    struct world *w = *state;
    struct sp_addr to;
    struct sockaddr_storage ss;
    socklen_t len = sizeof ss;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(listen(fd, 128), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
    spl_addr_from(&to, (struct sockaddr *)&ss);
    assert_int_equal(spl_addr_parse(&to, "127.0.0.1", to.port), SP_OK);
    w->first_credit = 10;
    for (unsigned i = 0; i < 30; i++)
        ask(w, 5 + 256 * i, &to);
    spl_loop_turn(w->loop);
    turn(w);
    unsigned room = STREAMS + STREAMS / 8 + 16;
    assert_int_equal(w->connected, room);
    assert_int_equal(w->failed, 30 - room);
    assert_int_equal(w->failed_err, SP_ERR_FULL);
    through_each(w, fd, 5, room);
    w->out_at = w->out_len = 0;
    for (unsigned i = 0; i < room; i++)
        ask(w, 25605 + 256 * i, &to);
    spl_loop_turn(w->loop);
    turn(w);
    assert_int_equal(w->connected, 2 * room);
    w->stream = SP_CONNECT_ID | 5; /* one that is gone */
    say(w, SP_OUT_STREAM_DATA, "x", 1);
    turn(w);
    through_each(w, fd, 25605, room);
    close(fd);
}

int main(void) {
#define WITH(test) cmocka_unit_test_setup_teardown(test, start, finish)
    const struct CMUnitTest tests[] = {
        WITH(no_more_is_read_than_was_said),
        WITH(large_credit_is_kept_too),
        WITH(the_peers_end_is_told_apart_and_answers_still_go),
        WITH(our_end_first),
        WITH(who_does_not_read_is_read_from),
        WITH(a_reset_is_no_end),
        WITH(a_core_that_resets),
        WITH(without_credit_an_end_is_a_close),
        WITH(connections_of_the_core_are_found_by_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
