/* sim-powercut --target log|server --seeds FROM..TO [--cuts N] [--twice] [--verbose]: seeded power cuts. Exits 1 at the
 * first failure, which names the seed and the command that replays it. */
#include "tests/sim/powercut.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/crypto/crypto.h"

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
    unsigned long long from, to;
    unsigned cuts;
    bool twice, verbose;
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
        if (strcmp(argv[i], "--verbose") == 0)
            o->verbose = true;
        else if (strcmp(argv[i], "--twice") == 0)
            o->twice = true;
        else if (i + 1 == argc)
            return false;
        else if (strcmp(argv[i], "--seeds") == 0 && sscanf(argv[i + 1], "%llu..%llu", &o->from, &o->to) == 2)
            i++;
        else if (strcmp(argv[i], "--cuts") == 0 && sscanf(argv[i + 1], "%u", &o->cuts) == 1)
            i++;
        else if (strcmp(argv[i], "--target") == 0)
            o->target = target(argv[++i]);
        else
            return false;
    }
    return o->target != NULL && o->to >= o->from && o->cuts > 0;
}

/* Runs one seed; the hash of all that happened. */
static uint64_t run(const struct options *o, uint64_t seed, struct powercut_result *r) {
    struct sim s;
    char replay[128];
    snprintf(replay, sizeof replay, "%s --cuts %u", o->target->replay, o->cuts);
    sim_init(&s, seed, o->verbose, replay);
    o->target->run(&s, o->cuts, r);
    uint64_t hash = s.hash;
    sim_done(&s);
    return hash;
}

int main(int argc, char **argv) {
    struct options o;
    if (!parse(argc, argv, &o) || sp_crypto_init() != SP_OK)
        return usage();
    struct powercut_result r = {0}, again = {0};
    for (uint64_t seed = o.from; seed <= o.to; seed++) {
        uint64_t hash = run(&o, seed, &r);
        if (o.twice && run(&o, seed, &again) != hash) {
            fprintf(stderr, "FAILED: seed %llu does not replay: two runs differ\n", (unsigned long long)seed);
            return 1;
        }
        if (o.verbose)
            printf("seed %llu: hash %016llx\n", (unsigned long long)seed, (unsigned long long)hash);
    }
    printf("%s: %llu seeds, %llu cuts, %llu acknowledged ones checked, %llu unacknowledged ones lost, %llu snapshots, "
           "%llu device errors\n",
           o.target->name, o.to - o.from + 1, (unsigned long long)r.cuts, (unsigned long long)r.acknowledged,
           (unsigned long long)r.lost, (unsigned long long)r.snapshots, (unsigned long long)r.failures);
    return 0;
}
