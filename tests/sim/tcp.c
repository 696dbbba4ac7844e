/* sim-tcp --scenario NAME --seeds FROM..TO [--twice] [--verbose]: transfers between two TCPs of ours, every byte compared. Exits 1 at
 * the first failure, which names the seed and the command that replays it. */
#include "tests/sim/tcp.h"

#include <stdio.h>
#include <string.h>

#include "proto/crypto/crypto.h"
#include "tests/sim/seeds.h"

struct scenario {
    const char *name;
    void (*run)(struct sim *s, struct tcp_result *r);
};

static const struct scenario SCENARIOS[] = {
    {"rough", tcp_rough},
    {"slow", tcp_slow},
    {"mtu", tcp_mtu},
    {"gigabyte", tcp_gigabyte},
};
#define COUNT (sizeof SCENARIOS / sizeof SCENARIOS[0])

struct options {
    const struct scenario *scenario;
    struct sim_seeds seeds;
    struct tcp_result result, again;
};

static int usage(void) {
    fprintf(stderr, "usage: sim-tcp --scenario NAME --seeds FROM..TO [--twice] [--verbose]; scenarios:");
    for (size_t i = 0; i < COUNT; i++)
        fprintf(stderr, " %s", SCENARIOS[i].name);
    fprintf(stderr, "\n");
    return 2;
}

static bool parse(int argc, char **argv, struct options *o) {
    *o = (struct options){.seeds = {.from = 1, .to = 1}};
    for (int i = 1; i < argc; i++) {
        if (sim_seeds_option(&o->seeds, argc, argv, &i))
            continue;
        if (strcmp(argv[i], "--scenario") != 0 || ++i == argc)
            return false;
        for (size_t k = 0; k < COUNT; k++)
            if (strcmp(argv[i], SCENARIOS[k].name) == 0)
                o->scenario = &SCENARIOS[k];
    }
    return o->scenario != NULL && o->seeds.to >= o->seeds.from;
}

static void world(void *ctx, struct sim *s, bool again) {
    struct options *o = ctx;
    o->scenario->run(s, again ? &o->again : &o->result);
}

int main(int argc, char **argv) {
    struct options o;
    char replay[128];
    if (!parse(argc, argv, &o) || sp_crypto_init() != SP_OK)
        return usage();
    snprintf(replay, sizeof replay, "sim-tcp --scenario %s", o.scenario->name);
    if (sim_seeds_run(&o.seeds, replay, world, &o) != 0)
        return 1;
    const struct tcp_result *r = &o.result;
    printf("%s: %llu seeds, %llu bytes, %llu segments (%llu lost, %llu sent again), %llu timeouts, %llu black holes\n", o.scenario->name,
           o.seeds.to - o.seeds.from + 1, (unsigned long long)r->bytes, (unsigned long long)r->segments, (unsigned long long)r->lost,
           (unsigned long long)r->again, (unsigned long long)r->timeouts, (unsigned long long)r->black_holes);
    return 0;
}
