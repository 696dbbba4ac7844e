/* The Linux room with a small core of its own: what comes in goes back, over real sockets and a real file. */
#define _GNU_SOURCE
#include "tests/unit/cm.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/linux/addr.h"
#include "proto/linux/control.h"
#include "proto/linux/disk.h"
#include "proto/linux/file.h"
#include "proto/linux/tcp.h"
#include "proto/linux/udp.h"

/* ---- a core that echoes ---- */

#define OUTS 1024
#define HELD (4u << 20)

struct echo {
    struct sp_out out[OUTS];
    size_t out_at, out_len;
    uint8_t store[OUTS][2048]; /* what datagrams and replies stand in */
    uint8_t *held;             /* of the one stream */
    size_t held_at, held_len, credit, credit_seen;
    uint64_t stream;
    bool open, closed, close_after;
    uint8_t *block;
    struct sp_blk_req req[4];
    unsigned req_at, req_len, step;
    uint64_t disk_reply;
    sp_err disk_err;
    sp_instant deadline, expired_at;
    bool stop_asked, stop;
};

static struct sp_out *push(struct echo *e, enum sp_out_kind kind, uint64_t id) {
    assert_true(e->out_len < OUTS);
    struct sp_out *o = &e->out[e->out_len++];
    *o = (struct sp_out){.kind = kind, .id = id};
    return o;
}

static void push_bytes(struct echo *e, enum sp_out_kind kind, uint64_t id, const void *data, size_t len) {
    uint8_t *at = e->store[e->out_len];
    struct sp_out *o = push(e, kind, id);
    memcpy(at, data, len);
    o->data = at;
    o->len = len;
}

static void pump(struct echo *e) {
    size_t n = e->held_len - e->held_at;
    if (n > e->credit)
        n = e->credit;
    if (n > 0) {
        struct sp_out *o = push(e, SP_OUT_STREAM_DATA, e->stream);
        o->data = e->held + e->held_at;
        o->len = n;
        e->held_at += n;
        e->credit -= n;
    }
    if (e->close_after && e->held_at == e->held_len && e->open) {
        push(e, SP_OUT_STREAM_CLOSE, e->stream);
        e->open = false;
    }
}

static void disk_step(struct echo *e, sp_err err) {
    static const struct sp_blk_req steps[] = {
        {.id = 1, .op = SP_BLK_WRITE, .block = 3, .count = 2},
        {.id = 2, .op = SP_BLK_FLUSH},
        {.id = 3, .op = SP_BLK_READ, .block = 4, .count = 1},
        {.id = 4, .op = SP_BLK_WRITE, .block = 100, .count = 64},    /* by the helper */
        {.id = 5, .op = SP_BLK_READ, .block = 1 << 20, .count = 1}}; /* past the end */
    if (e->step == 3)
        assert_true(e->block[0] == 'b' && e->block[4095] == 'b'); /* the second of the two blocks */
    if (err != SP_OK)
        e->disk_err = err;
    if (e->step < 5) {
        e->req[0] = steps[e->step++];
        e->req[0].buf = e->block;
        e->req_len = 1;
        e->req_at = 0;
        if (e->req[0].op == SP_BLK_WRITE) {
            memset(e->block, 'a', SP_BLK_SIZE);
            memset(e->block + SP_BLK_SIZE, 'b', SP_BLK_SIZE * 63);
        }
        return;
    }
    push_bytes(e, SP_OUT_CONTROL, e->disk_reply, sp_err_name(e->disk_err), strlen(sp_err_name(e->disk_err)));
}

static void on_control(struct echo *e, const struct sp_in *in) {
    if (in->len == 4 && memcmp(in->data, "disk", 4) == 0) {
        e->disk_reply = in->id;
        disk_step(e, SP_OK);
    } else if (in->len == 4 && memcmp(in->data, "stop", 4) == 0) {
        push_bytes(e, SP_OUT_CONTROL, in->id, "stopping", 8);
        e->stop = true;
    } else {
        uint32_t sum = 0;
        for (size_t i = 0; i < in->len; i++)
            sum = sum * 31 + in->data[i];
        push_bytes(e, SP_OUT_CONTROL, in->id, &sum, sizeof sum);
    }
}

static void on_stream(struct echo *e, const struct sp_in *in) {
    if (in->kind == SP_IN_STREAM_OPEN) {
        e->stream = in->id;
        e->credit = e->credit_seen = in->credit;
        e->open = true;
        e->close_after = false;
        e->held_at = e->held_len = 0;
        return;
    }
    if (in->id != e->stream)
        return;
    if (in->kind == SP_IN_STREAM_DATA) {
        assert_true(in->len <= HELD - e->held_len);
        memcpy(e->held + e->held_len, in->data, in->len);
        e->held_len += in->len;
        e->close_after = in->data[in->len - 1] == '!';
    } else if (in->kind == SP_IN_STREAM_CREDIT) {
        e->credit += in->credit;
        assert_true(e->credit <= SPL_TCP_WINDOW);
    } else {
        e->closed = true;
        e->open = false;
    }
}

static sp_err input(void *ctx, sp_instant now, sp_wall wall, const struct sp_in *in, size_t n, size_t *taken) {
    struct echo *e = ctx;
    assert_true(wall.ns > UINT64_C(1600000000) * SP_SEC);
    if (e->out_at == e->out_len)
        e->out_at = e->out_len = 0;
    size_t i = 0;
    for (; i < n && e->out_len < OUTS - 8 && i < 40;
         i++) { /* takes no more than 40: the loop comes again with the rest */
        if (in[i].kind == SP_IN_DATAGRAM) {
            push_bytes(e, SP_OUT_DATAGRAM, 0, in[i].data, in[i].len);
            e->out[e->out_len - 1].src = in[i].dst;
            e->out[e->out_len - 1].dst = in[i].src;
        } else if (in[i].kind == SP_IN_CONTROL) {
            on_control(e, &in[i]);
        } else if (in[i].kind == SP_IN_BLK) {
            disk_step(e, in[i].err);
        } else {
            on_stream(e, &in[i]);
        }
    }
    pump(e);
    *taken = i;
    return i == n ? SP_OK : SP_ERR_FULL;
}

static void expire(void *ctx, sp_instant now, sp_wall wall) {
    struct echo *e = ctx;
    e->expired_at = now;
    e->deadline = SP_NEVER;
}

static sp_instant deadline(void *ctx) {
    return ((struct echo *)ctx)->deadline;
}

static size_t output(void *ctx, sp_instant now, sp_wall wall, struct sp_out *out, size_t n) {
    struct echo *e = ctx;
    size_t k = 0;
    while (k < n && e->out_at < e->out_len)
        out[k++] = e->out[e->out_at++];
    return k;
}

static bool event(void *ctx, struct sp_event *ret) {
    struct echo *e = ctx;
    if (e->req_at < e->req_len) {
        *ret = (struct sp_event){.kind = SP_EV_BLK, .blk = e->req[e->req_at++]};
        return true;
    }
    bool stop = e->stop;
    e->stop = false;
    *ret = (struct sp_event){.kind = SP_EV_STOP};
    return stop;
}

/* ---- a loop in a thread of its own ---- */

struct world {
    char dir[64];
    int dirfd;
    struct echo e;
    struct spl_loop *loop;
    struct sp_addr any4, any6, one4, tcp;
    pthread_t thread;
    int status;
};

static void *run(void *ctx) {
    struct world *w = ctx;
    w->status = spl_loop_run(w->loop);
    return NULL;
}

static struct sp_addr addr(const char *text) {
    struct sp_addr a;
    assert_int_equal(spl_addr_parse(&a, text, 0), SP_OK);
    return a;
}

static int start(void **state) {
    alarm(60); /* a test that waits for ever has failed */
    struct world *w = calloc(1, sizeof *w);
    struct spl_core core = {
        .ctx = &w->e, .input = input, .expire = expire, .deadline = deadline, .output = output, .event = event};
    struct spl_error err;
    uint64_t blocks;
    bool blank;
    strcpy(w->dir, "/tmp/signpost-loop-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    w->e.held = malloc(HELD);
    w->e.block = aligned_alloc(SP_BLK_SIZE, SP_BLK_SIZE * 64);
    w->e.deadline = SP_NEVER;
    assert_int_equal(spl_dir_open(&w->dirfd, w->dir, &err), SP_OK);
    assert_int_equal(spl_loop_new(&w->loop, &core, &err), SP_OK);
    assert_int_equal(spl_udp_open(w->loop, &(struct sp_addr){.family = 4}, 0, &w->any4, &err), SP_OK);
    assert_int_equal(spl_udp_open(w->loop, &(struct sp_addr){.family = 6}, 0, &w->any6, &err), SP_OK);
    struct sp_addr to = addr("127.0.0.1");
    assert_int_equal(spl_udp_open(w->loop, &to, 0, &w->one4, &err), SP_OK);
    assert_int_equal(spl_tcp_listen(w->loop, &to, 4, &w->tcp, &err), SP_OK);
    assert_int_equal(spl_disk_open(w->loop, w->dirfd, "disk", 256, &blocks, &blank, &err), SP_OK);
    assert_int_equal(blocks, 256);
    assert_true(blank);
    assert_int_equal(spl_control_listen(w->loop, w->dirfd, "control.sock", 2 << 20, NULL, NULL, &err), SP_OK);
    assert_int_equal(spl_udp_open(w->loop, &w->one4, 0, NULL, &err), SP_ERR_EXIST);
    *state = w;
    return pthread_create(&w->thread, NULL, run, w);
}

static int finish(void **state) {
    struct world *w = *state;
    uint8_t *reply;
    size_t len;
    struct spl_error err;
    assert_int_equal(spl_control_call(w->dir, "control.sock", (const uint8_t *)"stop", 4, 100, &reply, &len, &err),
                     SP_OK);
    assert_int_equal(len, 8);
    free(reply);
    pthread_join(w->thread, NULL);
    assert_int_equal(w->status, 0);
    spl_loop_free(w->loop);
    assert_int_equal(unlinkat(w->dirfd, "control.sock", 0), -1); /* the loop has taken it away */
    unlinkat(w->dirfd, "disk", 0);
    close(w->dirfd);
    rmdir(w->dir);
    free(w->e.held);
    free(w->e.block);
    free(w);
    return 0;
}

/* ---- datagrams ---- */

static void echo_datagrams(const struct sp_addr *server, const size_t *sizes, size_t n) {
    struct sockaddr_storage ss, from;
    socklen_t len = spl_addr_to(server, &ss), from_len;
    int fd = socket(ss.ss_family, SOCK_DGRAM, 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){200000}, sizeof(int)), 0); /* all may come at once */
    bool seen[256] = {false};
    uint8_t buf[2048];
    for (size_t i = 0; i < n; i++) {
        memset(buf, (int)i, sizes[i]);
        assert_int_equal(sendto(fd, buf, sizes[i], 0, (struct sockaddr *)&ss, len), sizes[i]);
    }
    for (size_t k = 0; k < n; k++) {
        struct pollfd p = {fd, POLLIN, 0};
        assert_int_equal(poll(&p, 1, 5000), 1);
        from_len = sizeof from;
        ssize_t got = recvfrom(fd, buf, sizeof buf, 0, (struct sockaddr *)&from, &from_len);
        assert_true(got > 0);
        assert_int_equal(got, sizes[buf[0]]);
        assert_false(seen[buf[0]]);
        seen[buf[0]] = true;
        for (ssize_t i = 1; i < got; i++)
            assert_int_equal(buf[i], buf[0]);
        struct sp_addr source;
        spl_addr_from(&source, (struct sockaddr *)&from);
        assert_memory_equal(&source, server, sizeof source);
    }
    close(fd);
}

static void datagrams_come_back_whole(void **state) {
    struct world *w = *state;
    size_t sizes[200];
    for (size_t i = 0; i < 200; i++) /* runs of one size with a shorter end, longer ones, and some too long to merge */
        sizes[i] = i < 70 ? 100 : i < 90 ? 100 - i / 4 : i < 120 ? 1 + i : i < 160 ? 1400 : i % 3 == 0 ? 50 : 300;
    echo_datagrams(&w->one4, sizes, 200);
}

static void wildcard_answers_from_the_asked_address(void **state) {
    struct world *w = *state;
    static const char *const asked[] = {"127.0.0.1", "127.0.0.3", "127.9.8.7"};
    size_t sizes[90];
    for (size_t i = 0; i < 90; i++)
        sizes[i] = i < 50 ? 64 : 10 + i;
    for (size_t i = 0; i < 3; i++) {
        struct sp_addr a = addr(asked[i]);
        a.port = w->any4.port;
        echo_datagrams(&a, sizes, 90);
    }
    struct sp_addr a = addr("::1");
    a.port = w->any6.port;
    echo_datagrams(&a, sizes, 90);
}

static void each_client_gets_its_own(void **state) {
    struct world *w = *state;
    struct sockaddr_storage ss;
    socklen_t len = spl_addr_to(&w->one4, &ss);
    int fds[8];
    uint8_t buf[64];
    for (size_t c = 0; c < 8; c++)
        fds[c] = socket(AF_INET, SOCK_DGRAM, 0);
    for (size_t i = 0; i < 160; i++) { /* two in a row of each */
        memset(buf, (int)(i / 2 % 8), sizeof buf);
        assert_int_equal(sendto(fds[i / 2 % 8], buf, sizeof buf, 0, (struct sockaddr *)&ss, len), sizeof buf);
    }
    for (size_t i = 0; i < 160; i++) {
        struct pollfd p = {fds[i % 8], POLLIN, 0};
        assert_int_equal(poll(&p, 1, 5000), 1);
        assert_int_equal(recv(fds[i % 8], buf, sizeof buf, 0), sizeof buf);
        assert_int_equal(buf[0], i % 8);
        assert_int_equal(buf[63], i % 8);
    }
    for (size_t c = 0; c < 8; c++)
        close(fds[c]);
}

static void long_datagram_is_dropped_and_counted(void **state) {
    struct world *w = *state;
    static uint8_t buf[SPL_UDP_SIZE + 1];
    struct sockaddr_storage ss;
    socklen_t len = spl_addr_to(&w->one4, &ss);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(sendto(fd, buf, sizeof buf, 0, (struct sockaddr *)&ss, len), sizeof buf);
    close(fd);
    size_t sizes[] = {5};
    echo_datagrams(&w->one4, sizes, 1);
    assert_int_equal(spl_udp_counts(w->loop)->dropped_long, 1);
}

/* ---- streams ---- */

static int connect_to(const struct sp_addr *a) {
    struct sockaddr_storage ss;
    socklen_t len = spl_addr_to(a, &ss);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&ss, len), 0);
    return fd;
}

/* Sends total bytes and reads them back, both as the socket allows; a reader that starts late makes the other side
 * wait. */
static void stream_echoes(int fd, size_t total, size_t late) {
    uint8_t out[8192], in[8192];
    size_t sent = 0, got = 0;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    while (got < total) {
        struct pollfd p = {fd, (short)((sent < total ? POLLOUT : 0) | (sent >= late ? POLLIN : 0)), 0};
        int r = poll(&p, 1, 500);
        if (r == 0)
            late = 0; /* it waits for us: now read */
        if ((p.revents & POLLOUT) != 0) {
            size_t n = total - sent < sizeof out ? total - sent : sizeof out;
            for (size_t i = 0; i < n; i++)
                out[i] = sent + i + 1 == total ? '!' : (uint8_t)('A' + (sent + i) % 23);
            ssize_t s = send(fd, out, n, 0);
            sent += s > 0 ? (size_t)s : 0;
        }
        if ((p.revents & POLLIN) != 0) {
            ssize_t n = recv(fd, in, sizeof in, 0);
            assert_true(n > 0);
            for (ssize_t i = 0; i < n; i++, got++)
                assert_int_equal(in[i], got + 1 == total ? '!' : 'A' + got % 23);
        }
    }
    struct pollfd p = {fd, POLLIN, 0};
    assert_int_equal(poll(&p, 1, 5000), 1);
    assert_int_equal(recv(fd, in, 1, 0), 0); /* the core has closed it after the last byte */
}

static void streams_keep_to_credit(void **state) {
    struct world *w = *state;
    int fd = connect_to(&w->tcp);
    stream_echoes(fd, 3u << 20, SIZE_MAX); /* far more than the window and all buffers, read late */
    close(fd);
    fd = connect_to(&w->tcp);
    stream_echoes(fd, 300, 0);
    close(fd);
}

static void peer_that_goes_is_told(void **state) {
    struct world *w = *state;
    int fd = connect_to(&w->tcp);
    assert_int_equal(send(fd, "x", 1, 0), 1);
    char c;
    assert_int_equal(recv(fd, &c, 1, 0), 1);
    close(fd);
    for (int i = 0; i < 500 && !__atomic_load_n(&w->e.closed, __ATOMIC_SEQ_CST); i++)
        usleep(10000);
    assert_true(w->e.closed);
}

/* ---- disk, control ---- */

static sp_err call(struct world *w, const void *data, size_t len, uint8_t **reply, size_t *n) {
    struct spl_error err;
    return spl_control_call(w->dir, "control.sock", data, len, 1000, reply, n, &err);
}

static void disk_writes_flushes_reads(void **state) {
    struct world *w = *state;
    uint8_t *reply, byte[2];
    size_t n;
    assert_int_equal(call(w, "disk", 4, &reply, &n), SP_OK);
    assert_int_equal(n, strlen("ERR_IO")); /* the last request went past the end, and only that one failed */
    assert_memory_equal(reply, "ERR_IO", n);
    assert_int_equal(w->e.step, 5);
    free(reply);
    int fd = openat(w->dirfd, "disk", O_RDONLY);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(st.st_size, 256 * SP_BLK_SIZE);
    assert_int_equal(pread(fd, byte, 1, 3 * SP_BLK_SIZE), 1);
    assert_int_equal(pread(fd, byte + 1, 1, 163 * SP_BLK_SIZE), 1);
    assert_memory_equal(byte, "ab", 2);
    close(fd);
}

static void control_takes_large_requests(void **state) {
    struct world *w = *state;
    size_t len = 1500000, n;
    uint8_t *data = malloc(3 << 20), *reply;
    uint32_t sum = 0, got;
    for (size_t i = 0; i < len; i++) {
        data[i] = (uint8_t)(i * 7);
        sum = sum * 31 + data[i];
    }
    assert_int_equal(call(w, data, len, &reply, &n), SP_OK);
    assert_int_equal(n, 4);
    memcpy(&got, reply, 4);
    assert_int_equal(got, sum);
    free(reply);
    assert_int_not_equal(call(w, data, 3 << 20, &reply, &n), SP_OK); /* over the limit */
    assert_int_equal(call(w, data, 1, &reply, &n), SP_OK);
    free(reply);
    free(data);
}

static void files_are_replaced_whole(void **state) {
    struct world *w = *state;
    struct spl_error err;
    uint8_t *data;
    size_t len;
    assert_int_equal(spl_file_write(w->dirfd, "f", "one", 3, &err), SP_OK);
    assert_int_equal(spl_file_write(w->dirfd, "f", "other", 5, &err), SP_OK);
    assert_int_equal(spl_file_read(w->dirfd, "f", 5, &data, &len, &err), SP_OK);
    assert_int_equal(len, 5);
    assert_string_equal((char *)data, "other");
    spl_file_free(data, len);
    assert_int_equal(spl_file_read(w->dirfd, "f", 4, &data, &len, &err), SP_ERR_FULL);
    assert_int_equal(spl_file_read(w->dirfd, "g", 4, &data, &len, &err), SP_ERR_NOENT);
    unlinkat(w->dirfd, "f", 0);
}

static void lock_is_for_one(void **state) {
    struct world *w = *state;
    struct spl_error err;
    assert_int_equal(spl_dir_lock(w->dirfd, w->dir, &err), SP_OK);
    assert_int_equal(spl_dir_lock(w->dirfd, w->dir, &err), SP_ERR_EXIST);
    char pid[32];
    snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    assert_non_null(strstr(err.text, pid));
    unlinkat(w->dirfd, "lock", 0);
}

#define WITH_LOOP(test) cmocka_unit_test_setup_teardown(test, start, finish)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_LOOP(datagrams_come_back_whole), WITH_LOOP(wildcard_answers_from_the_asked_address),
        WITH_LOOP(each_client_gets_its_own),  WITH_LOOP(long_datagram_is_dropped_and_counted),
        WITH_LOOP(streams_keep_to_credit),    WITH_LOOP(peer_that_goes_is_told),
        WITH_LOOP(disk_writes_flushes_reads), WITH_LOOP(control_takes_large_requests),
        WITH_LOOP(files_are_replaced_whole),  WITH_LOOP(lock_is_for_one),
    };
    return cmocka_run_group_tests_name("linux_loop", tests, NULL, NULL);
}
