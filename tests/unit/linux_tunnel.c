/* What the Linux room does for tunnels: joined datagrams in and out, and connections that the core asks for. */
#define _GNU_SOURCE
#include "tests/unit/cm.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/linux/addr.h"
#include "proto/linux/tcp.h"
#include "proto/linux/udp.h"

#define KEEP 64

/* A core that notes what comes in, says what it was told to, and stops after so many inputs. */
struct note {
    struct sp_in in[KEEP];
    uint8_t data[1 << 20];
    size_t count, used, wanted;
    struct sp_out out[4];
    size_t out_at, out_len;
    struct sp_event ev[4];
    size_t ev_at, ev_len;
    bool close_at_once, stopped;
};

static sp_err input(void *ctx, sp_instant now, sp_wall wall, const struct sp_in *in, size_t n, size_t *taken) {
    struct note *t = ctx;
    for (*taken = 0; *taken < n; ++*taken, in++) {
        assert_true(t->count < KEEP && t->used + in->len <= sizeof t->data);
        t->in[t->count] = *in;
        if (in->len > 0)
            memcpy(t->data + t->used, in->data, in->len);
        t->in[t->count++].data = t->data + t->used;
        t->used += in->len;
    }
    return SP_OK;
}

static void expire(void *ctx, sp_instant now, sp_wall wall) {
}

static sp_instant deadline(void *ctx) {
    return SP_NEVER;
}

static size_t output(void *ctx, sp_instant now, sp_wall wall, struct sp_out *out, size_t n) {
    struct note *t = ctx;
    if (n == 0 || t->out_at == t->out_len)
        return 0;
    *out = t->out[t->out_at++];
    return 1;
}

static bool event(void *ctx, struct sp_event *ret) {
    struct note *t = ctx;
    if (t->ev_at < t->ev_len) {
        *ret = t->ev[t->ev_at++];
        return true;
    }
    bool stop = t->count >= t->wanted && !t->stopped;
    t->stopped |= stop;
    *ret = (struct sp_event){.kind = SP_EV_STOP};
    return stop;
}

struct world {
    struct note note;
    struct spl_loop *loop;
};

static void effect(void *ctx, const struct sp_event *ev) {
    struct world *w = (struct world *)ctx; /* the note stands first */
    spl_tcp_connect(w->loop, ev->id, &ev->addr);
    if (w->note.close_at_once)
        w->note.out[w->note.out_len++] = (struct sp_out){.kind = SP_OUT_STREAM_CLOSE, .id = ev->id};
}

static int start(void **state) {
    alarm(60);
    struct world *w = calloc(1, sizeof *w);
    struct spl_core core = {
        .ctx = w, .input = input, .expire = expire, .deadline = deadline, .output = output, .event = event, .effect = effect};
    assert_int_equal(spl_loop_new(&w->loop, &core, NULL), SP_OK);
    *state = w;
    return 0;
}

static int finish(void **state) {
    struct world *w = *state;
    spl_loop_free(w->loop);
    free(w);
    return 0;
}

static struct sp_addr open_udp(struct world *w, const char *text, unsigned flags) {
    struct sp_addr a, bound;
    assert_int_equal(spl_addr_parse(&a, text, 0), SP_OK);
    assert_int_equal(spl_udp_open(w->loop, &a, flags, &bound, NULL), SP_OK);
    if (spl_addr_is_any(&a))
        assert_int_equal(spl_addr_parse(&bound, a.family == 4 ? "127.0.0.1" : "::1", bound.port), SP_OK);
    return bound;
}

static int client_to(const struct sp_addr *to) {
    struct sockaddr_storage ss;
    socklen_t len = spl_addr_to(to, &ss);
    int fd = socket(ss.ss_family, SOCK_DGRAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&ss, len), 0);
    return fd;
}

static void joined(struct world *w, const char *text) {
    struct sp_addr to = open_udp(w, text, SPL_UDP_JOINED | SPL_UDP_WHOLE);
    int fd = client_to(&to);
    uint8_t buf[10500];
    for (size_t i = 0; i < sizeof buf; i++)
        buf[i] = (uint8_t)(i / 1000);
    assert_int_equal(send(fd, "alone", 5, 0), 5);
    assert_int_equal(setsockopt(fd, SOL_UDP, UDP_SEGMENT, &(int){1000}, sizeof(int)), 0);
    assert_int_equal(send(fd, buf, sizeof buf, 0), sizeof buf);
    w->note.wanted = 2;
    assert_int_equal(spl_loop_run(w->loop), 0);
    assert_int_equal(w->note.in[0].len, 5);
    assert_int_equal(w->note.in[0].segment, 0);
    assert_int_equal(w->note.in[1].len, sizeof buf);
    assert_int_equal(w->note.in[1].segment, 1000);
    assert_memory_equal(w->note.in[1].data, buf, sizeof buf);
    for (size_t i = 0; i < 2; i++)
        assert_memory_equal(&w->note.in[i].dst, &to, sizeof to);
    close(fd);
}

static void joined_datagrams_of_ipv4(void **state) {
    joined(*state, "0.0.0.0");
}

static void joined_datagrams_of_ipv6(void **state) {
    joined(*state, "::");
}

static void joined_datagrams_of_one_address(void **state) {
    joined(*state, "127.0.0.1");
}

/* What does not ask for joined datagrams gets each of them. */
static void single_datagrams(void **state) {
    struct world *w = *state;
    struct sp_addr to = open_udp(w, "127.0.0.1", 0);
    int fd = client_to(&to);
    assert_int_equal(setsockopt(fd, SOL_UDP, UDP_SEGMENT, &(int){1000}, sizeof(int)), 0);
    assert_int_equal(send(fd, w->note.data, 2500, 0), 2500);
    w->note.wanted = 3;
    assert_int_equal(spl_loop_run(w->loop), 0);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(w->note.in[i].len, i < 2 ? 1000 : 500);
        assert_int_equal(w->note.in[i].segment, 0);
    }
    close(fd);
}

static void core_sends_joined(void **state) {
    struct world *w = *state;
    static uint8_t buf[2500];
    struct sp_addr from = open_udp(w, "127.0.0.1", SPL_UDP_JOINED | SPL_UDP_WHOLE);
    int fd = client_to(&from);
    struct sockaddr_storage ss;
    socklen_t len = sizeof ss;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
    struct sp_out *out = &w->note.out[0];
    *out = (struct sp_out){.kind = SP_OUT_DATAGRAM, .data = buf, .len = sizeof buf, .segment = 1000, .src = from};
    spl_addr_from(&out->dst, (struct sockaddr *)&ss);
    w->note.out_len = 1;
    assert_int_equal(spl_loop_run(w->loop), 0);
    static const ssize_t sizes[] = {1000, 1000, 500};
    for (size_t i = 0; i < 3; i++) {
        struct pollfd p = {fd, POLLIN, 0};
        assert_int_equal(poll(&p, 1, 5000), 1);
        assert_int_equal(recv(fd, buf, sizeof buf, 0), sizes[i]);
    }
    close(fd);
}

/* The option of the socket that is bound there. */
static int option_at(const struct sp_addr *bound, int level, int name) {
    for (int fd = 3; fd < 64; fd++) {
        struct sockaddr_storage ss;
        socklen_t len = sizeof ss;
        struct sp_addr a;
        int value;
        if (getsockname(fd, (struct sockaddr *)&ss, &len) != 0)
            continue;
        spl_addr_from(&a, (struct sockaddr *)&ss);
        len = sizeof value;
        if (a.port == bound->port && getsockopt(fd, level, name, &value, &len) == 0)
            return value;
    }
    return -1;
}

static void whole_datagrams_have_df(void **state) {
    struct world *w = *state;
    struct sp_addr plain = open_udp(w, "127.0.0.1", 0), whole = open_udp(w, "127.0.0.1", SPL_UDP_WHOLE);
    assert_int_equal(option_at(&plain, IPPROTO_IP, IP_MTU_DISCOVER), IP_PMTUDISC_OMIT);
    assert_int_equal(option_at(&whole, IPPROTO_IP, IP_MTU_DISCOVER), IP_PMTUDISC_PROBE);
    struct sp_addr whole6 = open_udp(w, "::1", SPL_UDP_WHOLE);
    assert_int_equal(option_at(&whole6, IPPROTO_IPV6, IPV6_MTU_DISCOVER), IPV6_PMTUDISC_PROBE);
}

static void too_long_is_counted(void **state) {
    struct world *w = *state;
    static uint8_t buf[65530];
    struct sp_addr from = open_udp(w, "127.0.0.1", SPL_UDP_WHOLE);
    w->note.out[0] = (struct sp_out){.kind = SP_OUT_DATAGRAM, .data = buf, .len = sizeof buf, .src = from, .dst = from};
    w->note.out_len = 1;
    assert_int_equal(spl_loop_run(w->loop), 0);
    assert_int_equal(spl_udp_counts(w->loop)->dropped_size, 1);
    assert_int_equal(spl_udp_counts(w->loop)->dropped_error, 0);
    assert_int_equal(spl_udp_counts(w->loop)->sent, 0);
}

/* ---- connecting ---- */

#define ID (SP_CONNECT_ID | 7)

static int listener(struct sp_addr *ret) {
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof sin;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sin, len), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
    spl_addr_from(ret, (struct sockaddr *)&sin);
    return fd;
}

static void ask_to_connect(struct world *w, const struct sp_addr *to) {
    assert_int_equal(spl_tcp_open(w->loop, 2, NULL), SP_OK);
    w->note.ev[0] = (struct sp_event){.kind = SP_EV_CONNECT, .id = ID, .addr = *to};
    w->note.ev_len = 1;
}

static void connects(void **state) {
    struct world *w = *state;
    struct sp_addr to;
    int fd = listener(&to);
    ask_to_connect(w, &to);
    w->note.wanted = 1;
    assert_int_equal(spl_loop_run(w->loop), 0);
    const struct sp_in *in = &w->note.in[0];
    assert_int_equal(in->kind, SP_IN_STREAM_OPEN);
    assert_true(in->id == ID);
    assert_int_equal(in->credit, SPL_TCP_WINDOW);
    assert_memory_equal(&in->src, &to, sizeof to);
    assert_int_equal(in->dst.family, 4);
    assert_int_equal(spl_tcp_counts(w->loop)->connected, 1);
    close(fd);
}

static void nobody_listens(void **state) {
    struct world *w = *state;
    struct sp_addr to;
    close(listener(&to)); /* its port is free again */
    ask_to_connect(w, &to);
    w->note.wanted = 1;
    assert_int_equal(spl_loop_run(w->loop), 0);
    assert_int_equal(w->note.in[0].kind, SP_IN_STREAM_CLOSE);
    assert_true(w->note.in[0].id == ID);
    assert_int_equal(w->note.in[0].err, SP_ERR_NOENT);
    assert_int_equal(spl_tcp_counts(w->loop)->failed, 1);
    assert_int_equal(spl_tcp_counts(w->loop)->open, 0);
}

/* A destination that the kernel refuses at once is told in the same turn. */
static void cannot_be_tried(void **state) {
    struct world *w = *state;
    struct sp_addr to = {.ip = {255, 255, 255, 255}, .family = 4, .port = 9};
    ask_to_connect(w, &to);
    w->note.wanted = 1;
    assert_int_equal(spl_loop_run(w->loop), 0);
    assert_int_equal(w->note.in[0].kind, SP_IN_STREAM_CLOSE);
    assert_int_not_equal(w->note.in[0].err, SP_OK);
}

static void core_changes_its_mind(void **state) {
    struct world *w = *state;
    struct sp_addr to;
    int fd = listener(&to);
    ask_to_connect(w, &to);
    w->note.close_at_once = true;
    assert_int_equal(spl_loop_run(w->loop), 0); /* wants nothing: stops after the turn */
    spl_loop_turn(w->loop);
    assert_int_equal(w->note.count, 0);
    assert_int_equal(spl_tcp_counts(w->loop)->open, 0);
    close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(joined_datagrams_of_ipv4, start, finish),
        cmocka_unit_test_setup_teardown(joined_datagrams_of_ipv6, start, finish),
        cmocka_unit_test_setup_teardown(joined_datagrams_of_one_address, start, finish),
        cmocka_unit_test_setup_teardown(single_datagrams, start, finish),
        cmocka_unit_test_setup_teardown(core_sends_joined, start, finish),
        cmocka_unit_test_setup_teardown(whole_datagrams_have_df, start, finish),
        cmocka_unit_test_setup_teardown(too_long_is_counted, start, finish),
        cmocka_unit_test_setup_teardown(connects, start, finish),
        cmocka_unit_test_setup_teardown(nobody_listens, start, finish),
        cmocka_unit_test_setup_teardown(cannot_be_tried, start, finish),
        cmocka_unit_test_setup_teardown(core_changes_its_mind, start, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
