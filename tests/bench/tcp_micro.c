/* What TCP itself costs, without a network: tcp_micro [WHAT]. Two stacks back to back in memory: CPU of both ends together, the best of
 * several rounds, and the memory of idle connections. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/crypto/crypto.h"
#include "proto/net/tcp.h"
#include "tests/support/support.h"

#define ROUNDS 5
#define IDLE   100000u
#define BATCH  64 /* packets on their way in one direction at once; those of a batch are input before output is asked */

#define LOSSY (32 << 20) /* bytes, after which for 8 MiB packets are lost */

struct packet {
    sp_instant at;
    struct sp_tcp_packet p;
    uint8_t *data;
};

struct end {
    struct sp_mem mem;
    struct sp_rng rng;
    struct sp_tcp *tcp;
    struct sp_tcp_conn *conn;
    uint64_t to_write, got, consumed, echoes;
    bool echo, ended;
    struct packet *queue; /* to it */
    unsigned head, count, cap;
};

struct bench {
    struct end e[2];
    sp_instant now;
    bool sums;         /* checksums are computed and verified */
    unsigned lose;     /* one of so many; 0: none */
    sp_duration delay; /* of the wire */
    uint64_t segments, bytes;
    struct sp_rng rng;
};

static struct bench b;
static uint8_t zeros[65536];

static double cpu_ns(void) {
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static void setup(struct sp_tcp_config c, bool sums, unsigned cap) {
    static const uint8_t seed[SP_RNG_SEED] = "micro";
    memset(&b, 0, sizeof b);
    b.now = 1000 * SP_SEC;
    b.sums = sums;
    sp_rng_init(&b.rng, seed);
    for (unsigned i = 0; i < 2; i++) {
        struct end *e = &b.e[i];
        sp_rng_init(&e->rng, seed);
        sp_mem_init(&e->mem, sp_test_grant(), (size_t)1 << 30);
        c.mem = &e->mem;
        c.rng = &e->rng;
        c.mtu = 1500;
        c.ports[0] = 80;
        c.port_count = 1;
        if (sp_tcp_new(&e->tcp, &c) != SP_OK)
            abort();
        e->cap = cap;
        e->queue = calloc(cap, sizeof *e->queue);
        for (unsigned k = 0; k < cap; k++)
            e->queue[k].data = malloc(c.segments ? 65600 : 1600);
    }
}

static void done(void) {
    for (unsigned i = 0; i < 2; i++) {
        sp_tcp_free(b.e[i].tcp);
        sp_mem_done(&b.e[i].mem);
        for (unsigned k = 0; k < b.e[i].cap; k++)
            free(b.e[i].queue[k].data);
        free(b.e[i].queue);
    }
}

static bool output(unsigned i) {
    struct end *to = &b.e[!i];
    struct sp_tcp_out out;
    bool some = false;
    while (to->count < to->cap && sp_tcp_output(b.e[i].tcp, b.now, &out)) {
        struct packet *p = &to->queue[(to->head + to->count) % to->cap];
        some = true;
        b.segments++;
        if (b.lose != 0 && b.bytes >= LOSSY && b.bytes < LOSSY + (8 << 20) && out.len > 0 && sp_rng_below(&b.rng, b.lose) == 0)
            continue;
        p->at = b.now + b.delay;
        sp_tcp_copy(&out, p->data, !b.sums);
        p->p = (struct sp_tcp_packet){.family = out.family, .checked = !b.sums, .data = p->data, .len = out.head_len + out.len};
        memcpy(p->p.src, out.src, 16);
        memcpy(p->p.dst, out.dst, 16);
        to->count++;
    }
    return some;
}

static void write_more(struct end *e) {
    while (e->to_write > 0) {
        size_t len = e->to_write < sizeof zeros ? (size_t)e->to_write : sizeof zeros;
        size_t took = sp_tcp_write(e->tcp, b.now, e->conn, zeros, len);
        e->to_write -= took;
        if (took < len)
            return;
    }
}

static void events(struct end *e) {
    struct sp_tcp_event ev;
    while (sp_tcp_event(e->tcp, &ev)) {
        if (ev.kind == SP_TCP_OPENED)
            e->conn = ev.conn;
        if (ev.kind == SP_TCP_DATA) {
            e->got += ev.len;
            b.bytes += ev.len;
        }
        if (ev.kind == SP_TCP_END && !e->ended)
            sp_tcp_close(e->tcp, b.now, ev.conn);
        if (ev.kind == SP_TCP_CLOSED)
            e->conn = NULL;
    }
    if (e->conn == NULL || e->got == e->consumed)
        return;
    sp_tcp_consumed(e->tcp, b.now, e->conn, e->got - e->consumed);
    if (e->echo) {
        e->echoes++;
        e->to_write += e->got - e->consumed;
    }
    e->consumed = e->got;
}

/* A batch of packets for one end, then what it sends. */
static bool turn(unsigned i) {
    struct end *e = &b.e[i];
    unsigned n = 0;
    for (; n < BATCH && e->count > 0 && e->queue[e->head].at <= b.now; n++) {
        sp_tcp_input(e->tcp, b.now, &e->queue[e->head].p);
        e->head = (e->head + 1) % e->cap;
        e->count--;
        events(e);
    }
    if (e->conn != NULL)
        write_more(e);
    return output(i) || n > 0;
}

static void pass_time(void) {
    sp_instant due = sp_instant_min(sp_tcp_deadline(b.e[0].tcp), sp_tcp_deadline(b.e[1].tcp));
    for (unsigned i = 0; i < 2; i++)
        if (b.e[i].count > 0)
            due = sp_instant_min(due, b.e[i].queue[b.e[i].head].at);
    if (due == SP_NEVER)
        abort();
    b.now = due > b.now ? due : b.now;
    for (unsigned i = 0; i < 2; i++) {
        sp_tcp_expire(b.e[i].tcp, b.now);
        events(&b.e[i]);
    }
}

static void until(uint64_t got) {
    while (b.e[1].got < got) {
        b.now += b.delay == 0 ? 20 * SP_US : 0;
        bool some = turn(0);
        if (!turn(1) && !some)
            pass_time();
    }
}

static void connect_one(uint32_t address) {
    struct sp_addr from = {.ip = {10, (uint8_t)(address >> 16), (uint8_t)(address >> 8), (uint8_t)address}, .family = 4};
    struct sp_addr to = {.ip = {192, 0, 2, 1}, .family = 4, .port = 80};
    if (sp_tcp_connect(b.e[0].tcp, b.now, &from, &to, 0, &b.e[0].conn) != SP_OK)
        abort();
    b.e[1].conn = NULL;
    while (b.e[1].conn == NULL) {
        turn(0);
        turn(1);
    }
}

/* ---- what is measured ---- */

static void bulk(const char *what, struct sp_tcp_config c, bool sums, unsigned lose, uint64_t bytes) {
    double best = 1e18;
    uint64_t segments = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        setup(c, sums, lose != 0 ? 8192 : 256);
        connect_one(1);
        b.lose = lose;
        b.delay = lose != 0 ? 5 * SP_MS : 0;
        b.e[0].to_write = bytes;
        b.segments = 0;
        double start = cpu_ns();
        until(bytes);
        double ns = cpu_ns() - start;
        best = ns < best ? ns : best;
        segments = b.segments;
        if (getenv("VERBOSE") != NULL) {
            const struct sp_tcp_counts *k = sp_tcp_counts(b.e[0].tcp), *o = sp_tcp_counts(b.e[1].tcp);
            printf("# %llu sent again, %llu recoveries, %llu timeouts, early %llu, not kept %llu\n", (unsigned long long)k->retransmitted,
                   (unsigned long long)k->recoveries, (unsigned long long)k->timeouts, (unsigned long long)o->early,
                   (unsigned long long)o->drops[SP_TCP_DROP_EARLY]);
        }
        done();
    }
    printf("%-28s %7.3f ns/byte %8.1f ns/segment of either end (%llu segments), %6.2f GB/s\n", what, best / (double)bytes,
           best / (double)segments, (unsigned long long)segments, (double)bytes / best);
}

static void requests(void) {
    double best = 1e18;
    const unsigned n = 200000;
    for (unsigned round = 0; round < ROUNDS; round++) {
        setup((struct sp_tcp_config){0}, true, 16);
        connect_one(1);
        b.e[0].echo = b.e[1].echo = true;
        b.e[0].to_write = 1;
        double start = cpu_ns();
        until(n);
        double ns = (cpu_ns() - start) / n;
        best = ns < best ? ns : best;
        done();
    }
    printf("%-28s %8.1f ns\n", "request and response, 1 byte", best);
}

static void opening(void) {
    double best = 1e18;
    const unsigned n = 100000;
    for (unsigned round = 0; round < ROUNDS; round++) {
        setup((struct sp_tcp_config){0}, true, 16);
        double start = cpu_ns();
        for (unsigned i = 0; i < n; i++) {
            connect_one(i);
            b.now += SP_MS;
            sp_tcp_end(b.e[0].tcp, b.now, b.e[0].conn);
            while (sp_tcp_connections(b.e[0].tcp) + sp_tcp_connections(b.e[1].tcp) > 0) {
                turn(0);
                turn(1);
            }
        }
        double ns = (cpu_ns() - start) / n;
        best = ns < best ? ns : best;
        done();
    }
    printf("%-28s %8.1f ns\n", "connection, open and close", best);
}

static void idle(void) {
    struct sp_tcp_config c = {.connections = IDLE};
    setup(c, true, 16);
    size_t before = b.e[1].mem.used;
    for (uint32_t i = 0; i < IDLE; i++)
        connect_one(i);
    pass_time(); /* no acknowledgement is owed */
    for (unsigned i = 0; i < 4; i++) {
        turn(0);
        turn(1);
    }
    size_t each = (b.e[1].mem.used - before) / IDLE;
    printf("%-28s %8zu bytes each, with the tables, of %zu that are held\n", "idle connection", each, sp_tcp_connections(b.e[1].tcp));
    if (each > 2048 || sp_tcp_connections(b.e[1].tcp) != IDLE)
        exit(1);
    double start = cpu_ns();
    const unsigned n = 200000;
    struct end *e = &b.e[1];
    e->echo = b.e[0].echo = true;
    e->got = e->consumed = b.e[0].got = b.e[0].consumed = 0;
    b.e[0].to_write = 1;
    until(n);
    printf("%-28s %8.1f ns\n", "  a request among them", (cpu_ns() - start) / n);
    done();
}

static void all_bulk(void) {
    struct sp_tcp_config plain = {0}, large = {.segments = true};
    bulk("bulk, MSS", plain, false, 0, 256 << 20);
    bulk("bulk, MSS, checksums", plain, true, 0, 256 << 20);
    bulk("bulk, 64 KB", large, false, 0, UINT64_C(1) << 30);
    bulk("bulk, 64 KB, checksums", large, true, 0, UINT64_C(1) << 30);
}

static void lossy(void) {
    struct sp_tcp_config wide = {.send_max = 16 << 20, .receive_max = 16 << 20, .memory = 64 << 20};
    bulk("12 MB window, 1% lost", wide, false, 100, 128 << 20);
    bulk("12 MB window, 5% lost", wide, false, 20, 128 << 20);
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    const char *what = argc > 1 ? argv[1] : "";
    if (sp_crypto_init() != SP_OK)
        return 1;
    if (*what == 0 || strcmp(what, "bulk") == 0)
        all_bulk();
    if (*what == 0 || strcmp(what, "lossy") == 0)
        lossy();
    if (*what == 0 || strcmp(what, "requests") == 0)
        requests();
    if (*what == 0 || strcmp(what, "opening") == 0)
        opening();
    if (*what == 0 || strcmp(what, "idle") == 0)
        idle();
    return 0;
}
