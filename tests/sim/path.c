/* sim-path --scenario NAME --seeds FROM..TO [--twice] [--verbose]: seeded worlds of the virtual Internet. Exits 1 at
 * the first failure, which names the seed and the command that replays it. */
#include "tests/sim/path.h"

#include <stdio.h>
#include <string.h>

#include "proto/crypto/crypto.h"

struct scenario {
    const char *name;
    void (*run)(struct sim *s, struct path_result *r);
};

static const struct scenario SCENARIOS[] = {
    {"net", path_net},     {"matrix", path_matrix},   {"timing", path_timing},       {"mtu", path_mtu},
    {"chaos", path_chaos}, {"hostile", path_hostile}, {"plaintext", path_plaintext}, {"long", path_long},
    {"thin", path_thin},
};
#define COUNT (sizeof SCENARIOS / sizeof SCENARIOS[0])

struct options {
    const struct scenario *scenario;
    unsigned long long from, to;
    bool twice, verbose;
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
    *o = (struct options){.from = 1, .to = 1};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--verbose") == 0)
            o->verbose = true;
        else if (strcmp(argv[i], "--twice") == 0)
            o->twice = true;
        else if (i + 1 == argc)
            return false;
        else if (strcmp(argv[i], "--seeds") == 0 && sscanf(argv[i + 1], "%llu..%llu", &o->from, &o->to) == 2)
            i++;
        else if (strcmp(argv[i], "--scenario") == 0)
            o->scenario = scenario(argv[++i]);
        else
            return false;
    }
    return o->scenario != NULL && o->to >= o->from;
}

/* Runs one seed; the hash of all that happened. */
static uint64_t run(const struct options *o, uint64_t seed, struct path_result *r) {
    struct sim s;
    char replay[128];
    snprintf(replay, sizeof replay, "sim-path --scenario %s", o->scenario->name);
    sim_init(&s, seed, o->verbose, replay);
    o->scenario->run(&s, r);
    uint64_t hash = s.hash;
    sim_done(&s);
    return hash;
}

int main(int argc, char **argv) {
    struct options o;
    if (!parse(argc, argv, &o) || sp_crypto_init() != SP_OK)
        return usage();
    struct path_result r = {0}, again = {0};
    for (uint64_t seed = o.from; seed <= o.to; seed++) {
        uint64_t hash = run(&o, seed, &r);
        if (o.twice && run(&o, seed, &again) != hash) {
            fprintf(stderr, "FAILED: seed %llu does not replay: two runs differ\n", (unsigned long long)seed);
            return 1;
        }
        if (o.verbose)
            printf("seed %llu: hash %016llx\n", (unsigned long long)seed, (unsigned long long)hash);
    }
    printf("%s: %llu seeds, %llu worlds, %llu pairs (%llu direct, %llu relayed), %llu packets\n", o.scenario->name,
           o.to - o.from + 1, (unsigned long long)r.worlds, (unsigned long long)r.pairs, (unsigned long long)r.direct,
           (unsigned long long)r.relayed, (unsigned long long)r.packets);
    return 0;
}
