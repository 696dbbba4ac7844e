/* Two agents whose cipher hides nothing of what their programs say: the world's check has to see it. This scenario fails, or the
 * check does nothing. */
#define _GNU_SOURCE
#include <string.h>

#include "tests/sim/path.h"
#include "tests/sim/places.h"

static struct sp_aead honest;

static void seal(void *ctx, uint8_t *out, const uint8_t key[SP_AEAD_KEY], uint64_t counter, const uint8_t *in,
                 size_t len) {
    const struct sim_world *w = ctx;
    if (memmem(in, len, w->marker, SIM_MARKER) == NULL) {
        honest.seal(honest.ctx, out, key, counter, in, len);
        return;
    }
    memmove(out, in, len);
    memset(out + len, 0, SP_AEAD_TAG);
}

static bool unseal(void *ctx, uint8_t *out, const uint8_t key[SP_AEAD_KEY], uint64_t counter, const uint8_t *in,
                   size_t len) {
    return honest.open(honest.ctx, out, key, counter, in, len);
}

void path_plaintext(struct sim *s, struct path_result *r) {
    struct sim_world *w = sim_world_new(s, 2);
    struct sim_link link = {.delay = 10 * SP_MS};
    struct sim_device *d[2];
    sp_aead_sodium(&honest);
    for (unsigned i = 0; i < 2; i++) {
        d[i] = place_device(w, place_new(w, PLACE_PUBLIC, i + 1, &link), PLACE_PUBLIC, i + 1, 0);
        d[i]->config.overlay.aead = (struct sp_aead){seal, unseal, w};
    }
    sim_world_begin(w);
    sim_flow_start(w, sim_flow_new(w, d[0], d[1], 100 * SP_MS, 200));
    sim_world_run(w, 20 * SP_SEC);
    sim_world_free(w);
    r->worlds++;
}
