/* Hours: mappings of 20 to 300 s that must be kept where they are needed, quiet times, a signpost that is gone for
 * long. */
#include <string.h>

#include "tests/sim/path.h"
#include "tests/sim/places.h"

static const unsigned TIMEOUTS[] = {20, 30, 60, 120, 300};

struct pair {
    struct sim_lan *lan[2];
    struct sim_device *a, *b;
    struct sim_flow *f;
    sp_duration rtt; /* to the signpost */
};

static struct sim_lan *home(struct sim_world *w, unsigned number, const struct sim_link *link, unsigned timeout) {
    struct nat_config nat = {.mapping = NAT_MAPPING_ENDPOINT, .filter = NAT_FILTER_PORT, .ports = NAT_PORTS_RANDOM};
    nat.timeout = timeout * SP_SEC;
    nat.outside = sim_v4(45, 0, (uint8_t)number, 1, 0);
    nat.seed = sim_random(w->sim);
    return sim_lan_new(&w->net, NULL, &nat, NULL, link);
}

/* Nobody has said a word for a while; then a name is asked for, and its device is there at once. */
static void after_a_pause(struct sim_world *w, struct pair *p) {
    struct sim *s = w->sim;
    sim_world_run(w, 200 * SP_SEC + sim_below(s, 600 * SP_SEC));
    p->f = sim_flow_new(w, p->a, p->b, 100 * SP_MS, 200);
    sim_flow_start(w, p->f);
    sim_world_run(w, 2 * SP_SEC);
    sp_duration there = p->f->first_delivered_at - p->f->asked_at;
    sim_check(s, p->f->first_delivered_at != 0 && there <= 3 * p->rtt + 5 * SP_MS,
              "after a pause: delivered after %.1f ms of %.1f", (double)there / 1e6, (double)p->rtt / 1e6);
    sim_note(s, "after a pause", there, p->rtt);
}

/* A flow that says something now and then alone: its path is kept, or is there again at once. */
static void now_and_then(struct sim_world *w, struct pair *p) {
    struct sim *s = w->sim;
    p->f->period = 40 * SP_SEC;
    uint64_t sent = p->f->sent, echoed = p->f->echoed;
    sim_world_run(w, 3600 * SP_SEC);
    sent = p->f->sent - sent;
    echoed = p->f->echoed - echoed;
    sim_note(s, "now and then", sent, echoed);
    sim_check(s, sent >= 80 && echoed + 2 >= sent, "now and then: %llu of %llu come back", (unsigned long long)echoed,
              (unsigned long long)sent);
    p->f->period = 100 * SP_MS;
    sim_world_run(w, 60 * SP_SEC);
}

/* What runs directly goes on without the signpost, through new keys, too. */
static void without_signpost(struct sim_world *w, struct pair *p) {
    struct sim *s = w->sim;
    sim_check(s, sim_flow_direct(p->f), "not direct while all is well");
    sim_signpost_off(&w->post, sim_chance(s, 50));
    sim_world_run(w, 3 * SP_SEC);
    sim_flow_mark(w, p->f);
    sim_world_run(w, 1200 * SP_SEC);
    sim_check(s, p->f->worst_gap < SP_SEC, "without a signpost the direct path paused for %.1f ms",
              (double)p->f->worst_gap / 1e6);
    sim_check(s, sim_flow_direct(p->f), "without a signpost the path is no longer direct");
    sim_signpost_boot(&w->post);
    sim_check(s, sim_world_until(w, sim_world_sessions, NULL, 40 * SP_SEC),
              "no sessions 40 s after the signpost came back");
    struct sim_flow *back = sim_flow_new(w, p->b, p->a, 100 * SP_MS, 200);
    sim_flow_start(w, back);
    sim_world_run(w, 5 * SP_SEC);
    sim_check(s, back->echoed > 30, "%llu come back after the signpost did", (unsigned long long)back->echoed);
}

void path_long(struct sim *s, struct path_result *r) {
    struct sim_world *w = sim_world_new(s, 4);
    struct sim_link link = {.delay = 2 * SP_MS + sim_below(s, 60 * SP_MS)};
    unsigned timeout = TIMEOUTS[s->seed % 5];
    struct pair p = {.rtt = 2 * link.delay + 2 * SP_MS};
    p.lan[0] = home(w, 1, &link, timeout);
    p.lan[1] = home(w, 2, &link, timeout);
    p.a = place_device(w, p.lan[0], PLACE_EIM_APDF, 1, 0);
    p.b = place_device(w, p.lan[1], PLACE_EIM_APDF, 2, 0);
    sim_world_begin(w);
    after_a_pause(w, &p);
    now_and_then(w, &p);
    without_signpost(w, &p);
    r->worlds++;
    r->pairs++;
    r->direct++;
    r->packets += w->net.packets;
    sim_world_free(w);
}
