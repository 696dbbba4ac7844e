/* Direct ways that carry probes and drop data: traffic goes over the relay instead, and back when the way is sound. */
#include <string.h>

#include "tests/sim/path.h"
#include "tests/sim/places.h"

static bool is_direct(struct sim_world *w, void *flow) {
    return sim_flow_direct(flow);
}

void path_thin(struct sim *s, struct path_result *r) {
    struct sim_world *w = sim_world_new(s, 4);
    struct sim_link link = {.delay = 5 * SP_MS + sim_below(s, 50 * SP_MS)};
    struct sim_device *a = place_device(w, place_new(w, PLACE_EIM_APDF, 1, &link), PLACE_EIM_APDF, 1, 0);
    struct sim_device *b = place_device(w, place_new(w, PLACE_PUBLIC, 2, &link), PLACE_PUBLIC, 2, 0);
    bool from_start = sim_chance(s, 50);
    sim_world_begin(w);
    sim_world_run(w, 6 * SP_SEC);
    if (from_start)
        sim_internet_thin(&w->net, &a->host, &b->host, 200);
    struct sim_flow *f = sim_flow_new(w, a, b, 50 * SP_MS, 800);
    sim_flow_start(w, f);
    sim_world_run(w, 10 * SP_SEC);
    if (!from_start) {
        sim_check(s, sim_flow_direct(f), "not direct over a sound way");
        sim_internet_thin(&w->net, &a->host, &b->host, 200);
        sim_world_run(w, 5 * SP_SEC);
    }
    uint64_t sent = f->sent, echoed = f->echoed;
    sim_world_run(w, 60 * SP_SEC);
    sent = f->sent - sent;
    echoed = f->echoed - echoed;
    sim_note(s, "thin", sent, echoed);
    sim_check(s, echoed * 10 >= sent * 8, "over a way that drops data %llu of %llu come back",
              (unsigned long long)echoed, (unsigned long long)sent);
    sim_internet_heal(&w->net);
    sim_check(s, sim_world_until(w, is_direct, f, 80 * SP_SEC), "not direct again over a way that is sound again");
    r->worlds++;
    r->pairs++;
    r->direct++;
    r->packets += w->net.packets;
    sim_world_free(w);
}
