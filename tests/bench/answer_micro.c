/* What one call of sp_answer costs, by kind of query: answer_micro [NAMES]. Nanoseconds of wall time, the best of
 * several rounds. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/support/zone_build.h"

#define ROUNDS 9

static const char *only;

static double now_ns(void) {
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

struct queries {
    uint8_t wire[1024][256];
    size_t len[1024];
    unsigned n;
};

static void prepare(struct sp_test_world *w, struct queries *qs, unsigned n, const char *format, unsigned names,
                    struct sp_test_q q) {
    qs->n = n;
    for (unsigned i = 0; i < n; i++) {
        char name[200];
        snprintf(name, sizeof name, format, (i * 7919u) % names);
        q.name = name;
        sp_test_query(w, &q);
        memcpy(qs->wire[i], w->query, w->query_len);
        qs->len[i] = w->query_len;
    }
}

static void run(struct sp_test_world *w, const char *what, const struct queries *qs, unsigned passes) {
    if (only != NULL && strcmp(only, what) != 0)
        return;
    double best = 1e18;
    size_t bytes = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        double start = now_ns();
        for (unsigned pass = 0; pass < passes; pass++)
            for (unsigned i = 0; i < qs->n; i++) {
                if (sp_answer(&w->view, w->scratch, qs->wire[i], qs->len[i], SP_VIA_UDP, &w->client, w->now, w->reply,
                              65535, 0, &w->reply_len) != SP_ANSWERED)
                    abort();
                bytes += w->reply_len;
            }
        double ns = (now_ns() - start) / passes / qs->n;
        best = ns < best ? ns : best;
    }
    printf("%-28s %9.1f ns a call %7.0f bytes\n", what, best, (double)bytes / passes / qs->n / ROUNDS);
}

int main(int argc, char **argv) {
    unsigned names = argc > 1 ? (unsigned)atoi(argv[1]) : 100000;
    only = argc > 2 ? argv[2] : NULL;
    struct sp_test_world *w = sp_test_world_new();
    struct queries *qs = malloc(sizeof *qs);
    char *text = malloc((size_t)names * 64 + 4096), *p = text;
    p += sprintf(p, "$TTL 300\n@ IN SOA ns hostmaster 1 3600 900 86400 60\n@ NS ns\nns A 192.0.2.53\nsub NS "
                    "ns.sub\nns.sub A 192.0.2.9\n");
    for (unsigned i = 0; i < names; i++)
        p += sprintf(p, "host%07u A 10.%u.%u.%u\n", i, i >> 16 & 255, i >> 8 & 255, i & 255);
    double start = now_ns();
    size_t before = w->mem.used;
    sp_test_zone(w, "bench.example.", true, text);
    printf("%u names loaded in %.2f s, %.1f bytes each\n", names, (now_ns() - start) / 1e9,
           (double)(w->mem.used - before) / names);
    w->scratch->sign_left = UINT32_MAX;

    prepare(w, qs, 1000, "host%07u.bench.example.", names, (struct sp_test_q){.type = "A"});
    run(w, "A", qs, 300);
    prepare(w, qs, 1000, "host%07u.bench.example.", names, (struct sp_test_q){.type = "A", .edns = true});
    run(w, "A, EDNS", qs, 300);
    prepare(w, qs, 1000, "host%07u.bench.example.", names, (struct sp_test_q){.type = "A", .dnssec = true});
    run(w, "A, DO, warm", qs, 300);
    prepare(w, qs, 1000, "nobody%07u.bench.example.", names, (struct sp_test_q){.type = "A"});
    run(w, "NXDOMAIN", qs, 300);
    prepare(w, qs, 1000, "host%07u.bench.example.", names, (struct sp_test_q){.type = "MX", .dnssec = true});
    run(w, "NODATA, DO, warm", qs, 100);
    prepare(w, qs, 1000, "www%07u.sub.bench.example.", names, (struct sp_test_q){.type = "A"});
    run(w, "referral", qs, 300);
    prepare(w, qs, 1000, "www%07u.sub.bench.example.", names, (struct sp_test_q){.type = "A", .dnssec = true});
    run(w, "referral, DO, warm", qs, 300);
    prepare(w, qs, 1000, "nobody%07u.bench.example.", names, (struct sp_test_q){.type = "A", .dnssec = true});
    run(w, "NXDOMAIN, DO, one signature", qs, 1);
    printf("%.1f bytes a name with signatures\n", (double)(w->mem.used - before) / names);
    free(text);
    free(qs);
    sp_test_world_free(w);
    return 0;
}
