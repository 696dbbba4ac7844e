/* The matrix: every pair of places reaches its best outcome, and what needs port mapping, prediction, birthday, NAT64,
 * TLS or a DNS tunnel the relay. A seed is a pair, with delays of its own. */
#include <string.h>

#include "tests/sim/path.h"
#include "tests/sim/places.h"

enum outcome { RELAYED, DIRECT };

/* Beside the pairs of places: two devices in one. */
enum shared { LAN_EIM, LAN_EDM, HAIRPIN, NO_HAIRPIN, SHARED_KINDS };
static const char *const SHARED[] = {"one lan behind eim", "one lan behind edm", "one hairpinning nat, no lan path",
                                     "one nat without hairpin or lan path"};

#define PAIRS (PLACE_KINDS * PLACE_KINDS)

struct pair {
    char what[80];
    struct sim_device *a, *b;
    enum outcome want;
};

static struct sim_lan *shared_place(struct sim_world *w, enum shared kind, const struct sim_link *link) {
    struct nat_config nat = {.filter = NAT_FILTER_PORT, .ports = NAT_PORTS_RANDOM, .outside = sim_v4(45, 0, 1, 1, 0)};
    nat.mapping = kind == LAN_EDM ? NAT_MAPPING_PORT : NAT_MAPPING_ENDPOINT;
    nat.hairpin = kind == HAIRPIN;
    nat.seed = sim_random(w->sim);
    struct sim_lan *lan = sim_lan_new(&w->net, NULL, &nat, NULL, link);
    lan->isolated = kind == HAIRPIN || kind == NO_HAIRPIN;
    return lan;
}

static void make_shared(struct sim_world *w, enum shared kind, const struct sim_link *link, struct pair *p) {
    struct sim_lan *lan = shared_place(w, kind, link);
    p->a = place_device(w, lan, PLACE_EIM_APDF, 1, 0);
    p->b = place_device(w, lan, PLACE_EIM_APDF, 1, 1);
    p->want = kind == NO_HAIRPIN ? RELAYED : DIRECT;
    strcpy(p->what, SHARED[kind]);
}

static void make_pair(struct sim_world *w, enum place_kind a, enum place_kind b, const struct sim_link link[2],
                      struct pair *p) {
    p->a = place_device(w, place_new(w, a, 1, &link[0]), a, 1, 0);
    p->b = place_device(w, place_new(w, b, 2, &link[1]), b, 2, 0);
    p->want = places_direct(a, b) ? DIRECT : RELAYED;
    strcpy(p->what, place_name(a));
    strcat(strcat(p->what, " to "), place_name(b));
}

static bool is_direct(struct sim_world *w, void *flow) {
    return sim_flow_direct(flow);
}

/* Of 50 datagrams of some size within 5 s: how many bytes the signpost sees. */
static uint64_t through_signpost(struct sim_world *w) {
    uint64_t before = w->post.bytes_in;
    sim_world_run(w, 5 * SP_SEC);
    return w->post.bytes_in - before;
}

static void judge(struct sim_world *w, struct sim_flow *f, const struct pair *p) {
    struct sim *s = w->sim;
    struct sim_peer_view v;
    uint64_t echoed, relayed;
    (void)sim_world_until(w, is_direct, f, 10 * SP_SEC);
    sim_check(s, f->echoed > 0, "%s: nothing comes back", p->what);
    sim_world_run(w, 3 * SP_SEC); /* the other side follows */
    relayed = through_signpost(w);
    sim_flow_state(f, &v);
    if (p->want == DIRECT) {
        sim_check(s, strcmp(v.state, "direct") == 0, "%s: %s (%s), not direct", p->what, v.state, v.why);
        sim_check(s, relayed < 50 * f->size, "%s: direct, but %llu bytes went to the signpost", p->what,
                  (unsigned long long)relayed);
    } else {
        sim_check(s, strcmp(v.state, "relay") == 0, "%s: %s (%s), not relay", p->what, v.state, v.tactic);
    }
    echoed = f->echoed;
    sim_world_run(w, 5 * SP_SEC);
    sim_check(s, f->echoed >= echoed + 45, "%s: %llu of 50 come back", p->what,
              (unsigned long long)(f->echoed - echoed));
    sim_note(s, v.tactic, p->want, relayed);
}

void path_matrix(struct sim *s, struct path_result *r) {
    struct sim_world *w = sim_world_new(s, 4);
    struct sim_link link[2] = {{.delay = sim_skewed(s, SP_MS, 300 * SP_MS)},
                               {.delay = sim_skewed(s, SP_MS, 300 * SP_MS)}};
    uint64_t row = (s->seed - 1) % (PAIRS + SHARED_KINDS);
    struct pair p;
    if (row < PAIRS)
        make_pair(w, (enum place_kind)(row / PLACE_KINDS), (enum place_kind)(row % PLACE_KINDS), link, &p);
    else
        make_shared(w, (enum shared)(row - PAIRS), &link[0], &p);
    sim_world_begin(w);
    sim_world_run(w, 6 * SP_SEC); /* both know what their NATs are like */
    struct sim_flow *f = sim_flow_new(w, p.a, p.b, 100 * SP_MS, 300);
    sim_flow_start(w, f);
    sim_world_run(w, 2 * SP_SEC);
    judge(w, f, &p);
    r->worlds++;
    r->pairs++;
    r->direct += p.want == DIRECT;
    r->relayed += p.want == RELAYED;
    r->packets += w->net.packets;
    sim_world_free(w);
}
