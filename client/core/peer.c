#include "client/core/peer.h"

#include "client/core/mesh.h"
#include "client/core/tactics.h"

#define AGAIN_FIRST (10 * SP_SEC) /* then 20 s, then every 40 s */

const char *sp_peer_trouble_text(unsigned trouble) {
    switch ((enum sp_peer_trouble)trouble) {
    case SP_PEER_FINE:
        return "";
    case SP_PEER_UPLINK:
        return "no session with the signpost";
    case SP_PEER_AWAY:
        return "the device has no session with the signpost now";
    case SP_PEER_DENIED:
        return "the signpost refuses a path to the device";
    case SP_PEER_UNKNOWN:
        return "the signpost knows no such device";
    case SP_PEER_SILENT:
        return "the device does not answer";
    }
    return "";
}

/* ---- life ---- */

static void unlink_peer(struct sp_mesh *mesh, struct sp_peer *p) {
    *(p->newer != NULL ? &p->newer->older : &mesh->first) = p->older;
    *(p->older != NULL ? &p->older->newer : &mesh->last) = p->newer;
    p->newer = p->older = NULL;
}

static void link_first(struct sp_mesh *mesh, struct sp_peer *p) {
    p->newer = NULL;
    p->older = mesh->first;
    *(mesh->first != NULL ? &mesh->first->newer : &mesh->last) = p;
    mesh->first = p;
}

static void use(struct sp_mesh *mesh, struct sp_peer *p) {
    if (p->newer == NULL)
        return;
    unlink_peer(mesh, p);
    link_first(mesh, p);
}

static sp_instant traffic_at(const struct sp_peer *p) {
    return p->sent_at > p->got_at ? p->sent_at : p->got_at;
}

/* The peer that was used least recently makes room, if it has no traffic. */
static bool make_room(struct sp_mesh *mesh) {
    if (mesh->peer_count < mesh->config.peers)
        return true;
    for (struct sp_peer *p = mesh->last; p != NULL; p = p->newer) {
        sp_instant at = traffic_at(p);
        bool idle = (at == 0 || mesh->now > at + SP_PEER_IDLE) && p->staged.count == 0 && p->want_at == SP_NEVER;
        if (!idle)
            continue;
        sp_peer_drop(mesh, p);
        return true;
    }
    return false;
}

static void init(struct sp_peer *p, struct sp_dir_entry *e) {
    p->entry = e;
    p->chosen = SP_PATH_NONE;
    p->due = p->shake_at = p->want_at = p->unheard_since = SP_NEVER;
    sp_path_init(&p->paths[SP_PATH_RELAY], NULL, SP_TACTIC_RELAY);
    for (unsigned i = 0; i < SP_PEER_PATHS; i++) {
        p->paths[i].state = SP_PATH_FREE;
        p->paths[i].next_at = SP_NEVER;
    }
}

struct sp_peer *sp_peer_get(struct sp_mesh *mesh, struct sp_dir_entry *e) {
    if (e->peer != NULL)
        return e->peer;
    struct sp_peer *p = make_room(mesh) ? sp_mem_alloc(&mesh->mem, sizeof *p) : NULL;
    if (p == NULL)
        return NULL;
    init(p, e);
    if (sp_wg_peer_add(mesh->wg, e->wg_pub, NULL, p, mesh->now, &p->wg) != SP_OK) {
        sp_mem_free(&mesh->mem, p, sizeof *p);
        return NULL;
    }
    e->peer = p;
    link_first(mesh, p);
    mesh->peer_count++;
    return p;
}

void sp_peer_drop(struct sp_mesh *mesh, struct sp_peer *p) {
    sp_uplink_forget(mesh, p);
    sp_ping_dropped(mesh, p);
    sp_timer_cancel(&mesh->timers, &p->timer);
    sp_stage_clear(&mesh->stage, &p->staged);
    sp_wg_peer_remove(mesh->wg, p->wg);
    unlink_peer(mesh, p);
    mesh->peer_count--;
    p->entry->peer = NULL;
    sp_mem_free(&mesh->mem, p->split, sizeof *p->split);
    sp_wipe(p, sizeof *p);
    sp_mem_free(&mesh->mem, p, sizeof *p);
}

void sp_peer_wake(struct sp_mesh *mesh, struct sp_peer *p, sp_instant at) {
    if (at >= p->due)
        return;
    p->due = at;
    sp_timer_set(&mesh->timers, &p->timer, at);
}

/* ---- ways ---- */

bool sp_peer_up(const struct sp_mesh *mesh, const struct sp_peer *p) {
    return sp_wg_peer_up(p->wg, mesh->now);
}

bool sp_peer_relay(const struct sp_mesh *mesh, const struct sp_peer *p, struct sp_hop *ret) {
    if (p->channel == 0 || mesh->now > p->channel_at + SP_PEER_CHANNEL || !sp_uplink_hop(mesh, ret))
        return false;
    ret->channel = p->channel;
    return true;
}

bool sp_peer_hop(const struct sp_mesh *mesh, const struct sp_peer *p, struct sp_hop *ret) {
    return p->chosen != SP_PATH_NONE && sp_tactics_hop(mesh, p, &p->paths[p->chosen], ret);
}

static void set_channel(struct sp_mesh *mesh, struct sp_peer *p, uint32_t channel) {
    struct sp_path *relay = &p->paths[SP_PATH_RELAY];
    if (mesh->config.no_relay)
        channel = 0;
    p->channel_at = mesh->now;
    if (p->channel == channel)
        return;
    p->channel = channel;
    sp_path_init(relay, NULL, SP_TACTIC_RELAY);
    if (channel == 0)
        relay->state = SP_PATH_FREE;
    (void)sp_tactics_choose(mesh, p);
}

/* ---- asking for a path ---- */

static void ask(struct sp_mesh *mesh, struct sp_peer *p, const uint8_t *first, size_t first_len) {
    if (p->asking)
        return;
    if (mesh->now < p->ask_at) {
        sp_peer_wake(mesh, p, p->ask_at);
        return;
    }
    unsigned k = p->asks < 3 ? p->asks : 3;
    p->ask_at = mesh->now + (SP_SEC << k);
    p->asks++;
    p->renew = false;
    p->asking = sp_uplink_connect(mesh, p, first, first_len);
    sp_peer_wake(mesh, p, p->ask_at);
}

/* To the peer's candidates themselves: there is no relay between us. */
static void spray(struct sp_mesh *mesh, struct sp_peer *p, const uint8_t *msg, size_t len) {
    for (unsigned i = 1; i < SP_PEER_PATHS; i++) {
        struct sp_hop hop = {.dst = p->paths[i].addr};
        if (p->paths[i].state != SP_PATH_FREE && sp_mesh_probe_allowed(mesh, &hop.dst))
            sp_hop_send(mesh, &hop, msg, len);
    }
}

/* Whether the way in use may well be gone: then the handshake goes through the signpost too. */
static bool doubtful(const struct sp_mesh *mesh, const struct sp_peer *p) {
    return p->heard_at == 0 || mesh->now > p->heard_at + 10 * SP_SEC;
}

void sp_peer_handshake(struct sp_mesh *mesh, struct sp_peer *p, const uint8_t *msg, size_t len) {
    struct sp_hop hop;
    bool way = sp_peer_hop(mesh, p, &hop);
    if (way)
        sp_hop_send(mesh, &hop, msg, len);
    else if (p->spray)
        spray(mesh, p, msg, len);
    bool wanted = p->staged.count > 0 || p->want_at != SP_NEVER;
    if ((!way || doubtful(mesh, p)) && wanted && len == SP_WG_INITIATION)
        ask(mesh, p, msg, len);
}

static void shake(struct sp_mesh *mesh, struct sp_peer *p) {
    uint8_t msg[SP_WG_INITIATION];
    unsigned k = p->shakes < 3 ? p->shakes : 3;
    p->shakes++;
    p->shake_at = mesh->now + (SP_SEC << k);
    sp_peer_wake(mesh, p, p->shake_at);
    struct sp_hop hop;
    if (!sp_peer_hop(mesh, p, &hop) && !p->spray) {
        ask(mesh, p, NULL, 0); /* the initiation is made when it can go */
        return;
    }
    if (sp_wg_initiate(mesh->wg, p->wg, mesh->now, mesh->wall, msg) == SP_OK)
        sp_peer_handshake(mesh, p, msg, sizeof msg);
}

void sp_peer_want(struct sp_mesh *mesh, struct sp_peer *p, enum sp_interest interest) {
    struct sp_hop hop;
    use(mesh, p);
    if (interest > p->interest) {
        p->interest = (uint8_t)interest;
        for (unsigned i = 1; i < SP_PEER_PATHS; i++)
            if (p->paths[i].state == SP_PATH_PROBING && p->paths[i].next_at == SP_NEVER)
                p->paths[i].next_at = mesh->now;
        sp_peer_wake(mesh, p, mesh->now);
    }
    if (sp_peer_up(mesh, p) && sp_peer_hop(mesh, p, &hop))
        return;
    if (p->want_at == SP_NEVER)
        p->want_at = mesh->now;
    if (sp_peer_up(mesh, p))
        ask(mesh, p, NULL, 0);
    else if (p->shake_at == SP_NEVER && !p->asking)
        shake(mesh, p);
    sp_peer_wake(mesh, p, mesh->now + SP_PEER_STAGED);
}

/* ---- what happens ---- */

void sp_peer_planned(struct sp_mesh *mesh, struct sp_peer *p, const struct sp_plan *plan) {
    if (memcmp(plan->pub, p->entry->pub, sizeof plan->pub) != 0) {
        mesh->uplink.dropped++; /* not the key that we know for this name */
        return;
    }
    use(mesh, p);
    p->trouble = SP_PEER_FINE;
    set_channel(mesh, p, plan->channel);
    p->spray = p->channel == 0;
    if (p->interest == SP_INTEREST_NONE)
        p->interest = SP_INTEREST_NAME;
    sp_tactics_plan(mesh, p, plan);
    (void)sp_tactics_choose(mesh, p);
    if (sp_peer_up(mesh, p))
        sp_send_staged(mesh, p);
    else if (plan->asked)
        p->shake_at = p->spray ? mesh->now : mesh->now + SP_SEC;
    sp_peer_wake(mesh, p, sp_instant_min(mesh->now, p->shake_at));
}

static void give_up(struct sp_mesh *mesh, struct sp_peer *p) {
    struct sp_staged *s;
    while ((s = sp_stage_pop(&p->staged)) != NULL) {
        sp_send_unreachable(mesh, s->data, s->len, 3); /* address unreachable, RFC 4443 3.1 */
        sp_stage_free(&mesh->stage, s);
    }
    p->want_at = p->shake_at = SP_NEVER;
    p->shakes = 0;
}

void sp_peer_refused(struct sp_mesh *mesh, struct sp_peer *p, enum sp_peer_trouble trouble) {
    struct sp_hop hop;
    p->trouble = (uint8_t)trouble;
    if (!sp_peer_up(mesh, p) || !sp_peer_hop(mesh, p, &hop)) {
        give_up(mesh, p);
        sp_ping_trouble(mesh, p);
    }
    if (trouble == SP_PEER_UNKNOWN)
        sp_uplink_pull(mesh);
}

void sp_peer_keyed(struct sp_mesh *mesh, struct sp_peer *p) {
    struct sp_hop hop;
    p->shake_at = p->want_at = SP_NEVER;
    p->shakes = 0;
    p->trouble = SP_PEER_FINE;
    if (p->chosen == SP_PATH_NONE)
        (void)sp_tactics_choose(mesh, p);
    /* The first message under the keypair takes the way that surely works; the answer tells its round trip. */
    if (sp_peer_hop(mesh, p, &hop))
        sp_tactics_ping(mesh, p, &p->paths[p->chosen]);
    sp_send_staged(mesh, p);
    sp_peer_wake(mesh, p, mesh->now);
}

static bool is_chosen(const struct sp_peer *p, const struct sp_path *path) {
    return p->chosen == path - p->paths;
}

/* An address that the peer speaks from and that we have not been answered from yet: ask. */
static void heard_unproven(struct sp_mesh *mesh, struct sp_peer *p, struct sp_path *path) {
    sp_instant last = path->pings[(path->ping_next + SP_PATH_PINGS - 1) % SP_PATH_PINGS].at;
    sp_duration pause = path->state == SP_PATH_RESTING ? SP_SEC : 100 * SP_MS;
    if (last != 0 && mesh->now < last + pause)
        return;
    if (path->state == SP_PATH_PROBING || path->state == SP_PATH_SUSPECT) {
        path->sent = 0;
        sp_tactics_step(mesh, p, path, SP_PATH_ON_DUE, mesh->now);
    } else {
        sp_tactics_step(mesh, p, path, SP_PATH_ON_CHECK, mesh->now);
    }
}

void sp_peer_heard(struct sp_mesh *mesh, struct sp_peer *p, const struct sp_hop *from) {
    struct sp_path *path = &p->paths[SP_PATH_RELAY];
    p->heard_at = mesh->now;
    if (from->channel != 0) {
        set_channel(mesh, p, from->channel);
        mesh->uplink.relayed_at = mesh->now;
    } else if (from->dst.family != 0) {
        path = sp_tactics_path(mesh, p, &from->dst, !mesh->config.no_direct);
        if (path == NULL)
            return;
        path->local = from->src;
    }
    path->heard_at = mesh->now;
    if (is_chosen(p, path))
        p->unheard_since = SP_NEVER;
    if (path->state != SP_PATH_VALID && from->channel == 0 && from->dst.family != 0 && sp_peer_up(mesh, p))
        heard_unproven(mesh, p, path);
}

void sp_peer_resume(struct sp_mesh *mesh, struct sp_peer *p) {
    if (mesh->now < p->sent_at + SP_PEER_ACTIVE || p->chosen == SP_PATH_NONE || p->chosen == SP_PATH_RELAY)
        return;
    struct sp_path *path = &p->paths[p->chosen];
    if (path->state != SP_PATH_VALID || mesh->now < path->heard_at + SP_PEER_RESTED)
        return;
    sp_instant answered = mesh->now + sp_instant_min(path->rtt + path->rtt / 2 + 10 * SP_MS, 200 * SP_MS);
    p->ask_at = p->ask_at > answered ? p->ask_at : answered; /* most likely it lives, and the signpost need not be asked */
    sp_tactics_step(mesh, p, path, SP_PATH_ON_DOUBT, mesh->now);
}

void sp_peer_sent_data(struct sp_mesh *mesh, struct sp_peer *p) {
    bool rested = mesh->now > p->sent_at + SP_PEER_ACTIVE || p->sent_at == 0;
    p->sent_at = mesh->now;
    if (p->chosen == SP_PATH_NONE)
        return;
    struct sp_path *path = &p->paths[p->chosen];
    if (p->chosen == SP_PATH_RELAY)
        mesh->uplink.relayed_at = p->channel_at = mesh->now;
    if (p->unheard_since == SP_NEVER) {
        p->unheard_since = mesh->now;
        sp_peer_wake(mesh, p, mesh->now + sp_path_limit(path));
    }
    if (!rested)
        return;
    sp_peer_want(mesh, p, SP_INTEREST_DATA);
    if (path->state == SP_PATH_VALID && mesh->now > path->heard_at + SP_PEER_ACTIVE)
        sp_tactics_step(mesh, p, path, SP_PATH_ON_CHECK, mesh->now);
    else
        sp_peer_wake(mesh, p, mesh->now);
}

void sp_peer_got_data(struct sp_mesh *mesh, struct sp_peer *p, const struct sp_hop *from) {
    bool rested = mesh->now > p->got_at + SP_PEER_ACTIVE || p->got_at == 0;
    p->got_at = mesh->now;
    if (rested)
        sp_peer_want(mesh, p, SP_INTEREST_DATA);
    if (from->channel == 0 || p->chosen == SP_PATH_RELAY || p->chosen == SP_PATH_NONE)
        return;
    /* The peer has gone back to the relay, and our direct way is silent: follow, and see whether it still works. */
    struct sp_path *path = &p->paths[p->chosen];
    sp_duration quiet = sp_path_limit(path) / 2;
    if (path->state == SP_PATH_VALID && mesh->now > path->heard_at + quiet && mesh->now > p->since + SP_SEC)
        sp_tactics_step(mesh, p, path, SP_PATH_ON_DOUBT, mesh->now);
}

/* ---- probes ---- */

static void say_pong(struct sp_mesh *mesh, struct sp_peer *p, const struct sp_hop *from, const struct sp_probe *ping) {
    struct sp_probe pong = {.kind = SP_PROBE_PONG, .path = ping->path, .cookie = ping->cookie, .size = ping->size,
                            .seen = from->dst};
    uint8_t msg[64];
    size_t len = sp_probe_write(&pong, msg, sizeof msg);
    mesh->out.last_open = false;
    if (sp_peer_up(mesh, p))
        (void)sp_send_plain(mesh, p->wg, from, msg, len);
}

/* The peer sees us somewhere else than before on this way: our NAT has another mapping, and the signpost does not know. */
static void seen_at(struct sp_mesh *mesh, struct sp_path *path, const struct sp_addr *seen) {
    bool moved = path->seen.family != 0 && memcmp(&path->seen, seen, sizeof *seen) != 0;
    path->seen = *seen;
    if (moved)
        sp_uplink_check(mesh);
}

static void on_pong(struct sp_mesh *mesh, struct sp_peer *p, const struct sp_probe *pong) {
    for (unsigned i = 0; i < SP_PEER_PATHS; i++) {
        struct sp_path *path = &p->paths[i];
        if (path->state == SP_PATH_FREE)
            continue;
        (void)sp_pmtu_pong(&path->pmtu, pong, mesh->now);
        if (!sp_path_answers(path, pong->cookie, mesh->now))
            continue;
        path->heard_at = mesh->now;
        if (i != SP_PATH_RELAY) {
            sp_mesh_probe_answered(mesh, &path->addr);
            seen_at(mesh, path, &pong->seen);
        }
        sp_tactics_step(mesh, p, path, SP_PATH_ON_PONG, mesh->now);
        if (sp_tactics_choose(mesh, p) || p->staged.count > 0)
            sp_send_staged(mesh, p);
        if (is_chosen(p, path)) {
            p->unheard_since = SP_NEVER;
            p->renew = p->renew && i == SP_PATH_RELAY;
            sp_ping_ponged(mesh, p, path);
        }
        return;
    }
}

static void closed(struct sp_mesh *mesh, struct sp_peer *p) {
    sp_wg_peer_reset(mesh->wg, p->wg);
    for (unsigned i = 0; i < SP_PEER_PATHS; i++)
        p->paths[i].state = SP_PATH_FREE;
    p->channel = 0;
    p->chosen = SP_PATH_NONE;
    p->interest = SP_INTEREST_NONE;
    p->heard_at = 0;
}

static void on_split(struct sp_mesh *mesh, struct sp_peer *p, const struct sp_hop *from, const struct sp_probe *half) {
    size_t len;
    if (p->split == NULL)
        p->split = sp_mem_alloc(&mesh->mem, sizeof *p->split);
    if (p->split != NULL && sp_split_join(p->split, half, mesh->now, mesh->scratch, sizeof mesh->scratch, &len) == SP_OK)
        sp_receive_inner(mesh, p, from, mesh->scratch, len);
}

void sp_peer_probe(struct sp_mesh *mesh, struct sp_peer *p, const struct sp_hop *from, const struct sp_probe *probe) {
    switch ((enum sp_probe_kind)probe->kind) {
    case SP_PROBE_PING:
        say_pong(mesh, p, from, probe);
        break;
    case SP_PROBE_PONG:
        on_pong(mesh, p, probe);
        break;
    case SP_PROBE_SPLIT:
        on_split(mesh, p, from, probe);
        break;
    case SP_PROBE_CLOSE:
        closed(mesh, p);
        break;
    case SP_PROBE_NONE:
        break;
    }
}

/* ---- the uplink, the network ---- */

void sp_peer_moved(struct sp_mesh *mesh, struct sp_peer *p) {
    if (!sp_peer_up(mesh, p) || traffic_at(p) == 0 || mesh->now > traffic_at(p) + SP_PEER_KEEP)
        return;
    p->renew = true;
    if (p->chosen != SP_PATH_NONE && p->chosen != SP_PATH_RELAY)
        sp_tactics_step(mesh, p, &p->paths[p->chosen], SP_PATH_ON_CHECK, mesh->now);
}

void sp_peer_uplink_heard(struct sp_mesh *mesh, struct sp_peer *p) {
    if (!p->renew)
        return;
    p->ask_at = sp_instant_min(p->ask_at, mesh->now);
    p->asks = p->asks < 2 ? p->asks : 2;
    ask(mesh, p, NULL, 0);
}

void sp_peer_channel_lost(struct sp_mesh *mesh, struct sp_peer *p) {
    bool relayed = p->chosen == SP_PATH_RELAY;
    set_channel(mesh, p, 0);
    if (!relayed || !sp_tactics_active(mesh, p))
        return;
    p->ask_at = sp_instant_min(p->ask_at, mesh->now);
    p->asks = 0;
    ask(mesh, p, NULL, 0);
}

/* ---- time ---- */

/* Still no session, or none of its packets could go: again, or the end of it. */
static void expire_wish(struct sp_mesh *mesh, struct sp_peer *p) {
    struct sp_hop hop;
    if (sp_peer_up(mesh, p) && sp_peer_hop(mesh, p, &hop)) {
        p->want_at = p->shake_at = SP_NEVER;
        return;
    }
    if (p->want_at != SP_NEVER && mesh->now >= p->want_at + SP_PEER_STAGED) {
        if (p->trouble == SP_PEER_FINE)
            p->trouble = sp_uplink_up(mesh) ? SP_PEER_SILENT : SP_PEER_UPLINK;
        give_up(mesh, p);
        sp_ping_trouble(mesh, p);
        return;
    }
    if (mesh->now >= p->shake_at) {
        p->shake_at = SP_NEVER;
        if (!sp_peer_up(mesh, p) && p->want_at != SP_NEVER)
            shake(mesh, p);
    } else if (p->want_at != SP_NEVER && p->shake_at == SP_NEVER && !p->asking && mesh->now >= p->ask_at) {
        sp_peer_want(mesh, p, p->interest);
    }
}

/* Data goes out and nothing comes back. */
static void expire_silence(struct sp_mesh *mesh, struct sp_peer *p) {
    if (p->unheard_since == SP_NEVER || p->chosen == SP_PATH_NONE)
        return;
    struct sp_path *path = &p->paths[p->chosen];
    if (mesh->now < p->unheard_since + sp_path_limit(path))
        return;
    p->unheard_since = SP_NEVER; /* the path's own timing goes on from here */
    if (path->asked_at == SP_NEVER || path->state != SP_PATH_VALID)
        sp_tactics_step(mesh, p, path, SP_PATH_ON_CHECK, mesh->now);
}

/* Traffic that stays on the relay: another try for a direct way now and then. */
static void expire_relayed(struct sp_mesh *mesh, struct sp_peer *p) {
    bool quiet = p->heard_at != 0 && mesh->now > p->heard_at + 2 * SP_SEC;
    if (p->chosen != SP_PATH_RELAY || p->asking || !sp_tactics_active(mesh, p) || p->interest != SP_INTEREST_DATA)
        return;
    if (quiet && mesh->now >= p->ask_at) {
        ask(mesh, p, NULL, 0); /* the peer may have started anew, and know nothing of us */
        return;
    }
    if (mesh->config.no_direct || mesh->now < p->again_at || mesh->now < p->ask_at)
        return;
    p->again_at = mesh->now + (AGAIN_FIRST << (p->agains < 2 ? p->agains : 2));
    if (p->agains++ > 0)
        sp_netcheck_wish(mesh); /* our NAT, or its address, may be another by now: the signpost does not see that of every family */
    ask(mesh, p, NULL, 0);
}

void sp_peer_expire(struct sp_mesh *mesh, struct sp_peer *p) {
    p->due = SP_NEVER;
    expire_wish(mesh, p);
    expire_silence(mesh, p);
    expire_relayed(mesh, p);
    if (p->renew && sp_uplink_up(mesh) && !p->asking && mesh->now >= p->ask_at && mesh->uplink.path.state == SP_PATH_VALID &&
        mesh->uplink.path.asked_at == SP_NEVER)
        ask(mesh, p, NULL, 0);
    sp_instant at = sp_tactics_expire(mesh, p);
    at = sp_instant_min(at, p->shake_at);
    if (p->want_at != SP_NEVER)
        at = sp_instant_min(at, p->want_at + SP_PEER_STAGED);
    if (p->chosen != SP_PATH_NONE && p->unheard_since != SP_NEVER)
        at = sp_instant_min(at, p->unheard_since + sp_path_limit(&p->paths[p->chosen]));
    if (sp_tactics_active(mesh, p))
        at = sp_instant_min(at, mesh->now + SP_SEC);
    else if (p->interest != SP_INTEREST_NONE && p->want_at == SP_NEVER && !p->asking)
        p->interest = traffic_at(p) == 0 ? p->interest : SP_INTEREST_NONE;
    sp_peer_wake(mesh, p, at > mesh->now ? at : mesh->now + SP_MS);
}
