/* Paths that carry less than a whole packet and tell nobody: a megabyte arrives whole, relayed and directly. */
#include <string.h>

#include "tests/sim/path.h"
#include "tests/sim/places.h"

#define BYTES    1000000
#define PAYLOAD  SIM_PAYLOAD_MAX /* so that packets are as large as the overlay's MTU */
#define MESSAGES ((BYTES + PAYLOAD - 1) / PAYLOAD)

static const uint16_t MTUS[] = {1280, 1124, 1500};

static bool whole(struct sim_world *w, void *flow) {
    const struct sim_flow *f = flow;
    return f->acked >= f->most;
}

static void carry(struct sim_world *w, struct sim_device *from, struct sim_device *to, const char *what, unsigned mtu) {
    struct sim *s = w->sim;
    struct sim_flow *f = sim_flow_new(w, from, to, 2 * SP_MS, PAYLOAD);
    sim_flow_reliable(f, MESSAGES);
    sim_flow_start(w, f);
    bool ok = sim_world_until(w, whole, f, 60 * SP_SEC);
    sim_check(s, ok, "%s, %u bytes: %llu of %d pieces arrived", what, mtu, (unsigned long long)f->acked, MESSAGES);
    sim_check(s, f->sent < 2 * MESSAGES, "%s, %u bytes: %llu pieces were sent for %d", what, mtu,
              (unsigned long long)f->sent, MESSAGES);
    sim_note(s, what, f->sent, w->sim->now - f->asked_at);
    sim_flow_stop(f);
}

void path_mtu(struct sim *s, struct path_result *r) {
    struct sim_world *w = sim_world_new(s, 4);
    uint16_t mtu = MTUS[s->seed % 3];
    unsigned where = (unsigned)(s->seed / 3 % 3); /* which side is narrow, or both */
    bool relayed = s->seed / 9 % 2 != 0;
    enum place_kind kind = relayed ? PLACE_EDM : sim_chance(s, 50) ? PLACE_EIM_APDF : PLACE_FIREWALL;
    struct sim_link link[2] = {{.delay = 20 * SP_MS}, {.delay = 30 * SP_MS}};
    if (where != 1)
        link[0].mtu = mtu;
    if (where != 0)
        link[1].mtu = mtu;
    struct sim_device *a = place_device(w, place_new(w, kind, 1, &link[0]), kind, 1, 0);
    struct sim_device *b = place_device(w, place_new(w, kind, 2, &link[1]), kind, 2, 0);
    sim_world_begin(w);
    sim_world_run(w, 6 * SP_SEC);
    carry(w, a, b, "at once", mtu);
    sim_world_run(w, 20 * SP_SEC);
    carry(w, b, a, "and back", mtu);
    r->worlds++;
    r->pairs++;
    r->direct += !relayed;
    r->relayed += relayed;
    r->packets += w->net.packets;
    sim_world_free(w);
}
