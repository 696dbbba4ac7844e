/* Chaos: places of all sorts, links that lose, repeat and reorder, and things that happen: rebindings, other networks,
 * crashes of the signpost, sleep, cut pairs, agents that are killed, clocks that are wrong. Then all heals, and every
 * pair talks again, directly where its places allow it. What may never happen is checked throughout by world.h. */
#include <stdio.h>
#include <string.h>

#include "proto/control/operator.h"
#include "tests/sim/path.h"
#include "tests/sim/places.h"

#define PLACES_MAX 128

struct place {
    struct sim_lan *lan;
    enum place_kind kind;
    unsigned number, hosts;
    struct sim_link good, bad; /* its uplink when all is well, and now */
};

struct home {
    unsigned place;   /* of a device */
    sp_instant wakes; /* 0: it does not sleep */
};

struct chaos {
    struct sim_world *w;
    struct place places[PLACES_MAX];
    unsigned n_places;
    struct home homes[SIM_DEVICES_MAX];
    sp_instant boots; /* the signpost is down until then; 0: it is up */
    unsigned happened;
    unsigned direct; /* so many flows are direct, or need not be */
};

/* ---- the world ---- */

static void new_place(struct chaos *c, enum place_kind kind) {
    struct sim *s = c->w->sim;
    struct place *p = &c->places[c->n_places++];
    *p = (struct place){.kind = kind, .number = c->n_places};
    p->good = (struct sim_link){.delay = sim_skewed(s, SP_MS, 300 * SP_MS)};
    p->bad = p->good;
    p->bad.jitter = sim_skewed(s, 0, 40 * SP_MS);
    p->bad.loss = (unsigned)sim_skewed(s, 0, 15);
    p->bad.twice = (unsigned)sim_skewed(s, 0, 10);
    p->bad.reorder = (unsigned)sim_skewed(s, 0, 20);
    p->lan = place_new(c->w, kind, p->number, &p->good);
    p->good = p->lan->link;
    p->bad.no_udp = p->good.no_udp;
    p->bad.no_v4 = p->good.no_v4;
}

static void new_device(struct chaos *c) {
    struct sim *s = c->w->sim;
    unsigned at = (unsigned)sim_below(s, c->n_places);
    struct sim_device *d =
        place_device(c->w, c->places[at].lan, c->places[at].kind, c->places[at].number, c->places[at].hosts++);
    c->homes[d->number - 1] = (struct home){.place = at};
    if (sim_chance(s, 30)) /* up to a day wrong either way */
        d->skew_ns = (int64_t)sim_below(s, 2 * 86400) * (int64_t)SP_SEC - 86400 * (int64_t)SP_SEC;
}

static void begin(struct chaos *c, unsigned devices, unsigned places) {
    for (unsigned i = 0; i < places; i++) {
        enum place_kind kind = (enum place_kind)sim_below(c->w->sim, PLACE_KINDS);
        new_place(c, kind == PLACE_ONE_TO_ONE ? PLACE_PUBLIC : kind); /* one-to-one takes one device */
    }
    for (unsigned i = 0; i < devices; i++)
        new_device(c);
    sim_world_begin(c->w);
}

static void weather(struct chaos *c, bool bad) {
    for (unsigned i = 0; i < c->n_places; i++)
        c->places[i].lan->link = bad ? c->places[i].bad : c->places[i].good;
}

/* ---- what happens ---- */

static struct sim_device *some_device(struct chaos *c) {
    return c->w->devices[sim_below(c->w->sim, c->w->n_devices)];
}

static void move(struct chaos *c, struct sim_device *d, unsigned to) {
    struct place *p = &c->places[to];
    struct sp_addr addrs[2];
    unsigned n = place_addrs(p->kind, p->number, p->hosts++ % 200, addrs);
    c->homes[d->number - 1].place = to;
    sim_device_move(d, p->lan, addrs, n);
}

static void signpost_down(struct chaos *c) {
    struct sim *s = c->w->sim;
    if (c->boots != 0)
        return;
    sim_note(s, "signpost down", 0, 0);
    sim_signpost_off(&c->w->post, sim_chance(s, 50));
    c->boots = s->now + sim_skewed(s, 100 * SP_MS, 20 * SP_SEC);
}

static void rebind(struct chaos *c) {
    struct place *p = &c->places[sim_below(c->w->sim, c->n_places)];
    struct sp_addr outside = sim_v4(46, (uint8_t)p->number, (uint8_t)++c->happened, 1, 0);
    if (p->lan->nat4 == NULL || nat_config(p->lan->nat4)->mapping == NAT_MAPPING_FIREWALL)
        return;
    sim_note(c->w->sim, "rebind", p->number, 0);
    if (sim_chance(c->w->sim, 50) || p->lan->parent != &c->w->net.world)
        nat_rebind(p->lan->nat4);
    else
        nat_readdress(p->lan->nat4, &outside);
}

static void restart(struct chaos *c) {
    struct sim_device *d = some_device(c);
    if (d->asleep != 0)
        return;
    sim_note(c->w->sim, "agent restart", d->number, 0);
    sim_device_up(d); /* as after kill -9 */
}

static void sleeps(struct chaos *c) {
    struct sim_device *d = some_device(c);
    if (d->asleep != 0)
        return;
    sim_device_sleep(d);
    c->homes[d->number - 1].wakes = c->w->sim->now + sim_skewed(c->w->sim, SP_SEC, 600 * SP_SEC);
}

static void happens(struct chaos *c) {
    struct sim *s = c->w->sim;
    switch (sim_below(s, 8)) {
    case 0:
    case 1:
        rebind(c);
        break;
    case 2:
    case 3: {
        struct sim_device *d = some_device(c);
        if (d->asleep == 0)
            move(c, d, (unsigned)sim_below(s, c->n_places));
        break;
    }
    case 4:
        signpost_down(c);
        break;
    case 5:
        sleeps(c);
        break;
    case 6:
        restart(c);
        break;
    case 7:
        if (c->w->net.n_cuts < SIM_CUTS && sim_chance(s, 60))
            sim_internet_thin(&c->w->net, &some_device(c)->host, &some_device(c)->host, sim_chance(s, 30) ? 200 : 0);
        else
            sim_internet_heal(&c->w->net);
        break;
    }
}

static void wake_and_boot(struct chaos *c, bool all) {
    struct sim *s = c->w->sim;
    if (c->boots != 0 && (all || c->boots <= s->now)) {
        c->boots = 0;
        sim_signpost_boot(&c->w->post);
    }
    for (unsigned i = 0; i < c->w->n_devices; i++)
        if (c->homes[i].wakes != 0 && (all || c->homes[i].wakes <= s->now)) {
            c->homes[i].wakes = 0;
            sim_device_wake(c->w->devices[i], sim_chance(s, 50));
        }
}

/* ---- afterwards ---- */

static bool flows_since(struct sim_world *w, void *then) {
    for (unsigned i = 0; i < w->n_flows; i++)
        if (!sim_flow_since(&w->flows[i], *(sp_instant *)then))
            return false;
    return true;
}

static void name_laggard(struct chaos *c, sp_instant then, const char *what) {
    struct sim_world *w = c->w;
    for (unsigned i = 0; i < w->n_flows; i++) {
        struct sim_flow *f = &w->flows[i];
        struct sim_peer_view v;
        char session[2][32];
        if (sim_flow_since(f, then))
            continue;
        sim_flow_state(f, &v);
        sim_device_status(f->from, "session", "state", session[0], sizeof session[0]);
        sim_device_status(f->to, "session", "state", session[1], sizeof session[1]);
        sim_fail(w->sim,
                 "%s: flow %u, device %u (%s, session %s) to %u (%s, session %s): %s (%s), rcode %d, sent %llu, "
                 "delivered %llu",
                 what, i, f->from->number, place_name(c->places[c->homes[f->from->number - 1].place].kind), session[0],
                 f->to->number, place_name(c->places[c->homes[f->to->number - 1].place].kind), session[1], v.state,
                 v.why, f->rcode, (unsigned long long)f->sent, (unsigned long long)f->delivered);
    }
}

/* Two in one network see each other; whether they do where UDP is blocked is theirs to find out. */
static bool should_be_direct(const struct chaos *c, const struct sim_flow *f) {
    const struct home *a = &c->homes[f->from->number - 1], *b = &c->homes[f->to->number - 1];
    if (a->place == b->place)
        return c->places[a->place].kind != PLACE_NO_UDP;
    return places_direct(c->places[a->place].kind, c->places[b->place].kind);
}

static bool all_direct(struct sim_world *w, void *ctx) {
    struct chaos *c = ctx;
    while (c->direct < w->n_flows &&
           (!should_be_direct(c, &w->flows[c->direct]) || sim_flow_direct(&w->flows[c->direct])))
        c->direct++;
    return c->direct == w->n_flows;
}

static void bounded(struct chaos *c) {
    struct sim_world *w = c->w;
    unsigned streams = 0;
    for (const struct sim_lan *l = w->net.lans; l != NULL; l = l->next)
        sim_check(w->sim, l->nat4 == NULL || nat_counts(l->nat4)->dropped_full == 0, "a NAT's table of %u is full",
                  nat_config(l->nat4)->limit);
    for (struct sim_stream *t = w->net.streams; t != NULL; t = sim_stream_next(t))
        streams++;
    sim_check(w->sim, streams <= 4 * w->n_devices, "%u streams for %u devices", streams, w->n_devices);
    uint64_t sessions = sim_signpost_metric(&w->post, "sessions"),
             channels = sim_signpost_metric(&w->post, "relay_channels");
    sim_check(w->sim, sessions == w->n_devices, "%llu sessions of %u devices", (unsigned long long)sessions,
              w->n_devices);
    sim_check(w->sim, channels <= 2 * w->n_flows, "%llu channels for %u pairs", (unsigned long long)channels,
              w->n_flows);
    for (unsigned i = 0; i < w->n_devices; i++)
        sim_check(w->sim, w->devices[i]->granted <= 24 * SP_CHUNK, "device %u has %zu bytes", i + 1,
                  w->devices[i]->granted);
}

static void healed(struct chaos *c, struct path_result *r) {
    struct sim_world *w = c->w;
    struct sim_peer_view v;
    weather(c, false);
    sim_internet_heal(&w->net);
    wake_and_boot(c, true);
    sp_instant then = w->sim->now;
    if (!sim_world_until(w, flows_since, &then, 40 * SP_SEC))
        name_laggard(c, then, "not after 40 s");
    sim_note(w->sim, "healed", w->sim->now - then, 0);
    (void)sim_world_until(w, all_direct, c, 80 * SP_SEC); /* traffic on the relay tries anew every minute */
    for (unsigned i = 0; i < w->n_flows; i++) {
        struct sim_flow *f = &w->flows[i];
        sim_flow_state(f, &v);
        bool direct = should_be_direct(c, f);
        sim_check(w->sim, !direct || strcmp(v.state, "direct") == 0,
                  "flow %u, device %u (%s) to %u (%s): %s (%s), not direct after 80 s", i, f->from->number,
                  place_name(c->places[c->homes[f->from->number - 1].place].kind), f->to->number,
                  place_name(c->places[c->homes[f->to->number - 1].place].kind), v.state, v.why);
        r->pairs++;
        r->direct += direct;
        r->relayed += !direct;
    }
    then = w->sim->now;
    if (!sim_world_until(w, flows_since, &then, 5 * SP_SEC))
        name_laggard(c, then, "not within 5 s of quiet");
    sim_world_run(w, 30 * SP_SEC); /* an idle agent says something every 20 s: then at the latest it learns of a restart */
    sim_check(w->sim, sim_world_until(w, sim_world_sessions, NULL, 20 * SP_SEC),
              "not all devices have a session again");
    bounded(c);
}

static void run(struct chaos *c, unsigned devices, unsigned places, unsigned flows, sp_duration how_long,
                sp_duration period) {
    struct sim_world *w = c->w;
    struct sim *s = w->sim;
    begin(c, devices, places);
    for (unsigned i = 0; i < flows; i++) {
        struct sim_device *a = some_device(c), *b = some_device(c);
        if (a != b)
            sim_flow_start(w,
                           sim_flow_new(w, a, b, period + sim_below(s, period), SIM_PAYLOAD_HEAD + sim_below(s, 1100)));
    }
    weather(c, true);
    sp_instant until = s->now + how_long, next = s->now;
    while (s->now < until) {
        if (s->now >= next) {
            happens(c);
            next = s->now + sim_skewed(s, 10 * SP_MS, 16 * SP_SEC);
        }
        wake_and_boot(c, false);
        sim_world_run(w, 50 * SP_MS);
    }
}

/* Every 16th world is a crowd. */
void path_chaos(struct sim *s, struct path_result *r) {
    static struct chaos chaos;
    bool crowd = s->seed % 16 == 0;
    chaos = (struct chaos){.w = sim_world_new(s, SIM_DEVICES_MAX)};
    if (crowd)
        run(&chaos, 100 + (unsigned)sim_below(s, 150), 60, 200, 30 * SP_SEC, 500 * SP_MS);
    else
        run(&chaos, 2 + (unsigned)sim_below(s, 8), 2 + (unsigned)sim_below(s, 8), 6, 60 * SP_SEC, 100 * SP_MS);
    healed(&chaos, r);
    r->worlds++;
    r->packets += chaos.w->net.packets;
    sim_world_free(chaos.w);
}
