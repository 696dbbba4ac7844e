/* sim-path --scenario NAME --seeds FROM..TO [--twice] [--verbose]: seeded worlds of the virtual Internet. Exits 1 at
 * the first failure, which names the seed and the command that replays it. */
#include "tests/sim/path.h"

#include <stdio.h>
#include <string.h>

#include "proto/crypto/crypto.h"
#include "tests/sim/seeds.h"

struct scenario {
    const char *name;
    void (*run)(struct sim *s, struct path_result *r);
};

static const struct scenario SCENARIOS[] = {
    {"net", path_net},     {"matrix", path_matrix},   {"timing", path_timing},       {"mtu", path_mtu},
    {"chaos", path_chaos}, {"hostile", path_hostile}, {"plaintext", path_plaintext}, {"long", path_long},
    {"thin", path_thin},   {"userspace", path_userspace},
};
#define COUNT (sizeof SCENARIOS / sizeof SCENARIOS[0])

struct options {
    const struct scenario *scenario;
    struct sim_seeds seeds;
    struct path_result result, again;
};

static int usage(void) {
    fprintf(stderr, "usage: sim-path --scenario NAME --seeds FROM..TO [--twice] [--verbose]; scenarios:");
    for (size_t i = 0; i < COUNT; i++)
        fprintf(stderr, " %s", SCENARIOS[i].name);
    fprintf(stderr, "\n");
    return 2;
}

static const struct scenario *scenario(const char *name) {
    for (size_t i = 0; i < COUNT; i++)
        if (strcmp(name, SCENARIOS[i].name) == 0)
            return &SCENARIOS[i];
    return NULL;
}

static bool parse(int argc, char **argv, struct options *o) {
    *o = (struct options){.seeds = {.from = 1, .to = 1}};
    for (int i = 1; i < argc; i++) {
        if (sim_seeds_option(&o->seeds, argc, argv, &i))
            continue;
        if (strcmp(argv[i], "--scenario") != 0 || i + 1 == argc)
            return false;
        o->scenario = scenario(argv[++i]);
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
    snprintf(replay, sizeof replay, "sim-path --scenario %s", o.scenario->name);
    if (sim_seeds_run(&o.seeds, replay, world, &o) != 0)
        return 1;
    const struct path_result *r = &o.result;
    printf("%s: %llu seeds, %llu worlds, %llu pairs (%llu direct, %llu relayed), %llu packets\n", o.scenario->name,
           o.seeds.to - o.seeds.from + 1, (unsigned long long)r->worlds, (unsigned long long)r->pairs,
           (unsigned long long)r->direct, (unsigned long long)r->relayed, (unsigned long long)r->packets);
    return 0;
}
