/* sim-powercut --target log|server --seeds FROM..TO [--cuts N] [--twice] [--verbose]: seeded power cuts. Exits 1 at the
 * first failure, which names the seed and the command that replays it. */
#include "tests/sim/powercut.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/crypto/crypto.h"
#include "tests/sim/seeds.h"

struct target {
    const char *name, *replay;
    void (*run)(struct sim *s, unsigned lives, struct powercut_result *r);
};

static const struct target TARGETS[] = {
    {"log", "sim-powercut --target log", powercut_log},
    {"server", "sim-powercut --target server", powercut_server},
};

struct options {
    const struct target *target;
    struct sim_seeds seeds;
    unsigned cuts;
    struct powercut_result result, again;
};

static int usage(void) {
    fprintf(stderr, "usage: sim-powercut --target log|server --seeds FROM..TO [--cuts N] [--twice] [--verbose]\n");
    return 2;
}

static const struct target *target(const char *name) {
    for (size_t i = 0; i < sizeof TARGETS / sizeof TARGETS[0]; i++)
        if (strcmp(name, TARGETS[i].name) == 0)
            return &TARGETS[i];
    return NULL;
}

static bool parse(int argc, char **argv, struct options *o) {
    *o = (struct options){.cuts = 10};
    for (int i = 1; i < argc; i++) {
        if (sim_seeds_option(&o->seeds, argc, argv, &i))
            continue;
        if (i + 1 == argc)
            return false;
        if (strcmp(argv[i], "--cuts") == 0 && sscanf(argv[i + 1], "%u", &o->cuts) == 1)
            i++;
        else if (strcmp(argv[i], "--target") == 0)
            o->target = target(argv[++i]);
        else
            return false;
    }
    return o->target != NULL && o->seeds.to >= o->seeds.from && o->cuts > 0;
}

static void world(void *ctx, struct sim *s, bool again) {
    struct options *o = ctx;
    o->target->run(s, o->cuts, again ? &o->again : &o->result);
}

int main(int argc, char **argv) {
    struct options o;
    char replay[128];
    if (!parse(argc, argv, &o) || sp_crypto_init() != SP_OK)
        return usage();
    snprintf(replay, sizeof replay, "%s --cuts %u", o.target->replay, o.cuts);
    if (sim_seeds_run(&o.seeds, replay, world, &o) != 0)
        return 1;
    const struct powercut_result *r = &o.result;
    printf("%s: %llu seeds, %llu cuts, %llu acknowledged ones checked, %llu unacknowledged ones lost, %llu snapshots, "
           "%llu device errors\n",
           o.target->name, o.seeds.to - o.seeds.from + 1, (unsigned long long)r->cuts,
           (unsigned long long)r->acknowledged, (unsigned long long)r->lost, (unsigned long long)r->snapshots,
           (unsigned long long)r->failures);
    return 0;
}
