#include "client/core/tactics.h"

#include "client/core/mesh.h"

#define HEARD_AGAIN (100 * SP_MS) /* a way that we are heard from, but not yet answered, is asked no oftener */
#define RESTED      SP_SEC

enum path_class { CLASS_LAN, CLASS_DIRECT, CLASS_RELAY };

static enum path_class class_of(const struct sp_path *path) {
    if (path->tactic == SP_TACTIC_RELAY)
        return CLASS_RELAY;
    if (path->tactic == SP_TACTIC_LAN)
        return CLASS_LAN;
    return path->tactic == SP_TACTIC_REFLEXIVE && sp_candidate_private(&path->addr) ? CLASS_LAN : CLASS_DIRECT;
}

bool sp_tactics_active(const struct sp_mesh *mesh, const struct sp_peer *p) {
    sp_instant at = p->sent_at > p->got_at ? p->sent_at : p->got_at;
    return at != 0 && mesh->now < at + SP_PEER_ACTIVE;
}

bool sp_tactics_hop(const struct sp_mesh *mesh, const struct sp_peer *p, const struct sp_path *path,
                    struct sp_hop *ret) {
    if (path == &p->paths[SP_PATH_RELAY])
        return sp_peer_relay(mesh, p, ret);
    *ret = (struct sp_hop){.dst = path->addr};
    return path->state != SP_PATH_FREE;
}

/* ---- probing ---- */

static void say_ping(struct sp_mesh *mesh, struct sp_peer *p, struct sp_path *path, uint64_t cookie, uint16_t size) {
    struct sp_probe ping = {.kind = SP_PROBE_PING, .path = (uint16_t)(path - p->paths), .cookie = cookie, .size = size};
    struct sp_hop hop;
    if (p->chosen == path - p->paths)
        ping.flags = SP_PROBE_CHOSEN;
    size_t len = sp_probe_write(&ping, mesh->scratch, sizeof mesh->scratch);
    if (!sp_tactics_hop(mesh, p, path, &hop))
        return;
    mesh->out.last_open = false; /* a probe of the path's size must not take others down with it */
    (void)sp_send_plain(mesh, p->wg, &hop, mesh->scratch, len);
    mesh->out.last_open = false;
}

void sp_tactics_ping(struct sp_mesh *mesh, struct sp_peer *p, struct sp_path *path) {
    bool proven = path->state == SP_PATH_VALID || path->tactic == SP_TACTIC_RELAY;
    if (!sp_peer_up(mesh, p))
        return;
    if (!proven && !sp_mesh_probe_allowed(mesh, &path->addr)) {
        mesh->counts.dropped_budget++;
        return;
    }
    /* What is to carry data is asked with as much as data may be. Strangers' addresses are not. */
    bool used =
        p->chosen == path - p->paths && sp_tactics_active(mesh, p) && mesh->now >= path->large_at + SP_PATH_LARGE_EVERY;
    bool large = path->tactic != SP_TACTIC_RELAY && path->state == SP_PATH_VALID && (used || !path->carries);
    say_ping(mesh, p, path, sp_path_cookie(path, &mesh->rng, mesh->now), large ? SP_PATH_CARRIES : SP_PROBE_PING_MIN);
}

static struct sp_path_now path_now(const struct sp_mesh *mesh, const struct sp_peer *p, const struct sp_path *path) {
    bool chosen = p->chosen == path - p->paths;
    sp_instant last = p->sent_at > p->got_at ? p->sent_at : p->got_at;
    bool mapped = path->tactic != SP_TACTIC_LAN && path->tactic != SP_TACTIC_RELAY && path->addr.family == 4;
    return (struct sp_path_now){
        .now = mesh->now,
        .at = mesh->now,
        .interest = p->interest,
        .used = chosen && sp_tactics_active(mesh, p),
        .keep = chosen && mapped && last != 0 && mesh->now < last + SP_PEER_KEEP,
    };
}

void sp_tactics_step(struct sp_mesh *mesh, struct sp_peer *p, struct sp_path *path, enum sp_path_on on, sp_instant at) {
    struct sp_path_now n = path_now(mesh, p, path);
    n.at = at;
    unsigned was = path->state;
    if (sp_path_step(path, on, &n))
        sp_tactics_ping(mesh, p, path);
    sp_peer_wake(mesh, p, path->next_at);
    if (was == path->state || p->chosen != path - p->paths)
        return;
    if (path->state == SP_PATH_RESTING && path->tactic != SP_TACTIC_RELAY) {
        (void)sp_tactics_choose(mesh,
                                p); /* given up: without a relay there is no way now, and one is to be asked for */
        return;
    }
    if (path->state != SP_PATH_SUSPECT)
        return;
    /* The way in use has failed: the relay takes over at once. The signpost hears first where we are now. */
    p->renew = true;
    sp_uplink_check(mesh);
    (void)sp_tactics_choose(mesh, p);
    if (path->tactic != SP_TACTIC_RELAY)
        sp_tactics_again(mesh, p);
}

void sp_tactics_again(struct sp_mesh *mesh, struct sp_peer *p) {
    for (unsigned i = 1; i < SP_PEER_PATHS; i++)
        if (p->paths[i].state != SP_PATH_FREE)
            sp_tactics_step(mesh, p, &p->paths[i], SP_PATH_ON_CHECK, mesh->now);
}

/* ---- candidates ---- */

static unsigned worth(const struct sp_path *path) {
    switch ((enum sp_path_state)path->state) {
    case SP_PATH_FREE:
        return 0;
    case SP_PATH_RESTING:
        return 1;
    case SP_PATH_WAITING:
    case SP_PATH_PROBING:
        return 2;
    case SP_PATH_SUSPECT:
        return 3;
    case SP_PATH_VALID:
        return 4;
    }
    return 0;
}

struct sp_path *sp_tactics_path(struct sp_mesh *mesh, struct sp_peer *p, const struct sp_addr *addr, bool make) {
    struct sp_path *least = NULL;
    for (unsigned i = 1; i < SP_PEER_PATHS; i++) {
        struct sp_path *path = &p->paths[i];
        if (path->state != SP_PATH_FREE && memcmp(&path->addr, addr, sizeof *addr) == 0)
            return path;
        if (i != p->chosen && (least == NULL || worth(path) < worth(least) ||
                               (worth(path) == worth(least) && path->heard_at < least->heard_at)))
            least = path;
    }
    if (!make || worth(least) > 2)
        return NULL;
    sp_path_init(least, addr, SP_TACTIC_REFLEXIVE);
    return least;
}

/* A private address that the signpost saw is of the network that it is in itself: when we reach it by a private one, of
 * ours. */
static bool shared_network(const struct sp_mesh *mesh, const struct sp_candidate *c) {
    const struct sp_addr *signpost = &mesh->uplink.path.addr;
    return c->kind == SP_CAND_MAPPED && signpost->family == c->addr.family && sp_candidate_private(signpost);
}

static bool dialable(const struct sp_mesh *mesh, const struct sp_candidate *c) {
    const struct sp_addr *addr = &c->addr;
    if (!sp_candidate_dialable(addr))
        return false;
    /* Never ourselves, nor through a tunnel. */
    if (addr->family == 6 && memcmp(addr->ip, mesh->addr, 8) == 0)
        return false;
    return !sp_candidate_private(addr) || sp_candidate_on_link(addr, mesh->links, mesh->link_count) ||
           shared_network(mesh, c);
}

void sp_tactics_plan(struct sp_mesh *mesh, struct sp_peer *p, const struct sp_plan *plan) {
    for (unsigned i = 0; i < plan->count && !mesh->config.no_direct; i++) {
        const struct sp_plan_step *s = &plan->steps[i];
        if (s->tactic == SP_TACTIC_RELAY || s->tactic == SP_TACTIC_RELAY_TCP || s->candidate >= plan->peer.count)
            continue;
        const struct sp_candidate *c = &plan->peer.candidates[s->candidate];
        const struct sp_addr *addr = &c->addr;
        struct sp_path *path = dialable(mesh, c) ? sp_tactics_path(mesh, p, addr, true) : NULL;
        if (path == NULL)
            continue;
        if (path->tactic == SP_TACTIC_REFLEXIVE)
            path->tactic = s->tactic;
        sp_tactics_step(mesh, p, path, SP_PATH_ON_PLAN, mesh->now + s->start_ms * SP_MS);
    }
}

/* ---- choosing ---- */

static bool better(const struct sp_path *a, const struct sp_path *b) {
    return class_of(a) != class_of(b) ? class_of(a) < class_of(b) : a->rtt < b->rtt;
}

/* Worth leaving a way that works: a better class, or clearly quicker. */
static bool much_better(const struct sp_path *a, const struct sp_path *b) {
    if (class_of(a) != class_of(b))
        return class_of(a) < class_of(b);
    return a->rtt * 10 < b->rtt * 7 && a->rtt + 3 * SP_MS < b->rtt;
}

/* With a relay to fall back on, a direct way has to carry data as well as probes. */
static bool sound(const struct sp_peer *p, const struct sp_path *path) {
    return path->state == SP_PATH_VALID && (path->carries || p->channel == 0);
}

/* What was heard just now is alive; of others that is the past: they may all have led to where the peer was before. */
static bool fresh(const struct sp_mesh *mesh, const struct sp_path *path) {
    return path->heard_at != 0 && mesh->now < path->heard_at + SP_SEC;
}

static bool fresher(const struct sp_mesh *mesh, const struct sp_path *a, const struct sp_path *b) {
    return fresh(mesh, a) != fresh(mesh, b) ? fresh(mesh, a) : better(a, b);
}

static unsigned best_of(const struct sp_mesh *mesh, const struct sp_peer *p) {
    unsigned best = SP_PATH_NONE;
    for (unsigned i = 1; i < SP_PEER_PATHS; i++)
        if (sound(p, &p->paths[i]) && (best == SP_PATH_NONE || fresher(mesh, &p->paths[i], &p->paths[best])))
            best = i;
    bool direct = p->chosen != SP_PATH_NONE && p->chosen != SP_PATH_RELAY;
    if (best != SP_PATH_NONE) {
        bool stay = direct && sound(p, &p->paths[p->chosen]) && !much_better(&p->paths[best], &p->paths[p->chosen]);
        return stay ? p->chosen : best;
    }
    if (p->channel != 0)
        return SP_PATH_RELAY;
    return direct && p->paths[p->chosen].state == SP_PATH_SUSPECT ? p->chosen : SP_PATH_NONE;
}

bool sp_tactics_choose(struct sp_mesh *mesh, struct sp_peer *p) {
    unsigned best = best_of(mesh, p);
    if (best == p->chosen)
        return false;
    sp_trace(&mesh->trace, mesh->now, SP_TRACE_path_chosen, p->chosen,
             best == SP_PATH_NONE ? best : p->paths[best].tactic);
    p->chosen = (uint8_t)best;
    p->since = mesh->now;
    p->unheard_since = SP_NEVER;
    if (best != SP_PATH_NONE) {
        struct sp_path *path = &p->paths[best];
        if (path->pmtu.state == SP_PMTU_UNKNOWN)
            sp_pmtu_begin(&path->pmtu, mesh->now);
        if (path->state == SP_PATH_VALID && path->asked_at == SP_NEVER)
            path->next_at = sp_instant_min(path->next_at, mesh->now + SP_PATH_USED_EVERY);
        if (best != SP_PATH_RELAY)
            p->asks = 0;
        p->agains = 0;
        p->again_at = mesh->now + 10 * SP_SEC;
        sp_peer_wake(mesh, p, mesh->now);
    }
    return true;
}

/* ---- time ---- */

static void full_size(struct sp_mesh *mesh, struct sp_peer *p, struct sp_path *path) {
    if (!sp_peer_up(mesh, p) || !sp_tactics_active(mesh, p))
        return;
    uint64_t cookie = sp_rng_u64(&mesh->rng) | 1;
    if (!sp_pmtu_due(&path->pmtu, mesh->now, path->rtt, cookie))
        return;
    path->pings[path->ping_next].cookie = cookie;
    path->pings[path->ping_next].at = mesh->now;
    path->ping_next = (uint8_t)((path->ping_next + 1) % SP_PATH_PINGS);
    say_ping(mesh, p, path, cookie, SP_PATH_FULL);
}

sp_instant sp_tactics_expire(struct sp_mesh *mesh, struct sp_peer *p) {
    sp_instant at = SP_NEVER;
    bool up = sp_peer_up(mesh, p);
    for (unsigned i = 0; i < SP_PEER_PATHS && up; i++) {
        struct sp_path *path = &p->paths[i];
        if (path->state != SP_PATH_FREE && mesh->now >= path->next_at)
            sp_tactics_step(mesh, p, path, SP_PATH_ON_DUE, mesh->now);
        if (path->state != SP_PATH_FREE)
            at = sp_instant_min(at, path->next_at);
    }
    if (p->chosen != SP_PATH_NONE && up) {
        struct sp_path *path = &p->paths[p->chosen];
        full_size(mesh, p, path);
        if (sp_tactics_active(mesh, p))
            at = sp_instant_min(at, path->pmtu.next);
    }
    return at;
}
