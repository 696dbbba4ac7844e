/* What splitting, joining and checksums cost: segment_micro. Gigabytes of payload a second of CPU time, the best of
 * several rounds. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/core/segment.h"
#include "proto/base/bytes.h"

#define ROUNDS 9
#define PASSES 2000
#define HEAD   72

static uint8_t super[65535], segments[80000], joined[140000];
static size_t lens[64];
static unsigned count;

static double now_ns(void) {
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

/* A TCP packet of 64 KB over IPv6 with timestamps, as the kernel gives it. */
static struct sp_offload prepare(void) {
    memset(super + HEAD, 0x5a, sizeof super - HEAD);
    super[0] = 0x60;
    sp_put_u16(super + 4, sizeof super - 40);
    super[6] = 6;
    super[8] = super[24] = 0xfd;
    super[39] = 1;
    super[52] = 0x80;
    super[53] = 0x10;
    return (struct sp_offload){SP_GSO_TCP6, true, HEAD, 1348, 40, 16};
}

static void split(const struct sp_offload *off) {
    struct sp_segmenter s;
    uint8_t *to = segments;
    if (sp_segmenter_init(&s, super, sizeof super, off) != SP_OK)
        abort();
    for (count = 0; (lens[count] = sp_segmenter_next(&s, to, 1420)) > 0; count++)
        to += lens[count];
}

static void join(const struct sp_offload *off) {
    struct sp_joiner j;
    struct sp_out o;
    bool some;
    const uint8_t *from = segments;
    sp_joiner_init(&j, joined, sizeof joined, true);
    for (unsigned i = 0; i < count; i++) {
        memcpy(sp_joiner_room(&j, lens[i]), from, lens[i]); /* stands for the opening of a sealed packet */
        sp_joiner_add(&j, lens[i], &o, &some);
        from += lens[i];
    }
    if (!sp_joiner_end(&j, &o) || o.len != sizeof super)
        abort();
}

static void checksum(const struct sp_offload *off) {
    static volatile uint32_t sink;
    sink = sp_csum_add(sink, super, sizeof super);
}

static void run(const char *what, void (*f)(const struct sp_offload *), const struct sp_offload *off) {
    double best = 1e18;
    for (unsigned round = 0; round < ROUNDS; round++) {
        double start = now_ns();
        for (unsigned pass = 0; pass < PASSES; pass++)
            f(off);
        double ns = (now_ns() - start) / PASSES;
        best = ns < best ? ns : best;
    }
    printf("%-10s %8.2f us for 64 KB %8.2f GB/s\n", what, best / 1e3, (double)sizeof super / best);
}

int main(void) {
    struct sp_offload off = prepare();
    run("checksum", checksum, &off);
    run("split", split, &off);
    run("join", join, &off);
    return 0;
}
