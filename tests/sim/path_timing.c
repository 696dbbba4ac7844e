/* Times, in virtual time, over links that lose nothing: how long after its name was asked for a device is reached, how
 * soon directly, and how soon again after a rebinding, another outside address or another network. */
#include <string.h>

#include "tests/sim/path.h"
#include "tests/sim/places.h"

#define SLACK (5 * SP_MS) /* what hosts and networks add on their own */

struct pair {
    struct sim_lan *lan_a, *lan_b;
    struct sim_device *a, *b;
    struct sim_flow *f;
    sp_duration rtt; /* to the signpost, of the slower side */
};

/* Places whose pairs a simultaneous punch brings together. */
static const enum place_kind EASY[] = {PLACE_PUBLIC,   PLACE_EIM_EIF,  PLACE_EIM_ADF,
                                       PLACE_EIM_APDF, PLACE_FIREWALL, PLACE_CGNAT};
#define EASY_COUNT (sizeof EASY / sizeof EASY[0])

static double ms(sp_duration d) {
    return (double)d / 1e6;
}

/* trips: within how many round trips the first packet is to be delivered; its answer one later. */
static void asked(struct sim_world *w, struct pair *p, unsigned trips) {
    struct sim *s = w->sim;
    p->f = sim_flow_new(w, p->a, p->b, 20 * SP_MS, 200);
    sim_flow_start(w, p->f);
    sim_world_run(w, 6 * p->rtt + 100 * SP_MS);
    sim_check(s, p->f->first_delivered_at != 0 && p->f->first_echo_at != 0, "the first packet gets lost");
    sp_duration there = p->f->first_delivered_at - p->f->asked_at, back = p->f->first_echo_at - p->f->asked_at;
    sim_note(s, "timing", there, back);
    sim_check(s, there <= trips * p->rtt + SLACK, "delivered after %.1f ms, %.2f round trips of %.1f", ms(there),
              (double)there / (double)p->rtt, ms(p->rtt));
    sim_check(s, back <= (trips + 1) * p->rtt + SLACK, "answered after %.1f ms, %.2f round trips of %.1f", ms(back),
              (double)back / (double)p->rtt, ms(p->rtt));
}

static bool is_direct(struct sim_world *w, void *flow) {
    return sim_flow_direct(flow);
}

static void direct_within(struct sim_world *w, struct pair *p, sp_instant since, sp_duration most, const char *what) {
    struct sim_peer_view v;
    bool ok = sim_flow_direct(p->f) || sim_world_until(w, is_direct, p->f, most - (w->sim->now - since));
    sim_flow_state(p->f, &v);
    sim_check(w->sim, ok, "%s: not direct after %.1f ms: %s (%s)", what, ms(w->sim->now - since), v.state, v.why);
    sim_note(w->sim, "direct", w->sim->now - since, 0);
}

/* After what has just happened: traffic both ways within a second, and directly within three. */
static void recovers(struct sim_world *w, struct pair *p, const char *what) {
    struct sim *s = w->sim;
    sp_instant then = s->now;
    uint64_t sent = p->f->sent;
    while (p->f->seq_echoed <= sent && s->now < then + 2 * SP_SEC)
        sim_world_run(w, 5 * SP_MS);
    sim_note(s, "recovered", s->now - then, 0);
    sim_check(s, p->f->seq_echoed > sent && s->now - then <= SP_SEC, "%s: no traffic within %.1f ms", what,
              ms(s->now - then));
    /* What the agent calls direct may still be the way that is gone: it is when packets pass without the signpost. */
    sp_instant quiet = s->now;
    while (s->now < then + 3 * SP_SEC) {
        uint64_t relayed = w->post.bytes_in, echoed = p->f->echoed; /* of 5 datagrams either way, 280 bytes each */
        sim_world_run(w, 100 * SP_MS);
        if (w->post.bytes_in - relayed >= 1000 || p->f->echoed == echoed || !sim_flow_direct(p->f))
            quiet = s->now;
    }
    sim_check(s, quiet < s->now, "%s: not direct after 3 s", what);
    sim_note(s, "direct again", quiet - then, 0);
    sim_world_run(w, 10 * SP_SEC);
}

static void changes(struct sim_world *w, struct pair *p) {
    struct sim_lan *lan = sim_chance(w->sim, 50) ? p->lan_a : p->lan_b;
    if (lan->nat4 != NULL && nat_config(lan->nat4)->mapping != NAT_MAPPING_FIREWALL) {
        nat_rebind(lan->nat4);
        recovers(w, p, "rebinding");
        struct sp_addr outside = sim_v4(46, 0, (uint8_t)lan->number, 1, 0);
        if (lan->parent == &w->net.world) {
            nat_readdress(lan->nat4, &outside);
            recovers(w, p, "another outside address");
        }
    }
    bool first = sim_chance(w->sim, 50);
    struct sim_lan *elsewhere = place_new(w, PLACE_EIM_APDF, 3, &p->lan_a->link);
    struct sp_addr addrs[2];
    unsigned n = place_addrs(PLACE_EIM_APDF, 3, 0, addrs);
    sim_device_move(first ? p->a : p->b, elsewhere, addrs, n);
    sim_world_run(w, 20 * SP_MS); /* it hears of it: the change is complete */
    recovers(w, p, first ? "another network" : "the peer's other network");
}

/* A program that asks in the moment that its agent has its session again: nothing is cached. */
static void asks_at_once(struct sim_world *w, struct pair *p) {
    sim_flow_stop(p->f);
    sim_device_up(p->a);
    sim_check(w->sim, sim_world_until(w, sim_world_sessions, NULL, 10 * SP_SEC), "no session after a restart");
    asked(w, p, 4);
    sim_flow_stop(p->f);
}

void path_timing(struct sim *s, struct path_result *r) {
    struct sim_world *w = sim_world_new(s, 4);
    sp_duration delay = 2 * SP_MS + sim_below(s, 38 * SP_MS);
    struct sim_link link = {.delay = delay};
    enum place_kind a = EASY[sim_below(s, EASY_COUNT)], b = EASY[sim_below(s, EASY_COUNT)];
    struct pair p = {.lan_a = place_new(w, a, 1, &link), .lan_b = place_new(w, b, 2, &link)};
    p.rtt = 2 * delay + (a == PLACE_CGNAT || b == PLACE_CGNAT ? 4 * SP_MS : 0) + 2 * SP_MS;
    p.a = place_device(w, p.lan_a, a, 1, 0);
    p.b = place_device(w, p.lan_b, b, 2, 0);
    sim_world_begin(w);
    sim_world_run(w, 6 * SP_SEC);
    asked(w, &p, 3);
    direct_within(w, &p, p.f->asked_at, SP_SEC, "asked for");
    sim_world_run(w, 5 * SP_SEC);
    changes(w, &p);
    asks_at_once(w, &p);
    r->worlds++;
    r->pairs++;
    r->direct++;
    r->packets += w->net.packets;
    sim_world_free(w);
}
