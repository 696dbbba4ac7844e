#include "client/core/peer.h"

#include "client/core/mesh.h"
#include "client/core/tactics.h"

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

void sp_peer_use(struct sp_mesh *mesh, struct sp_peer *p) {
    if (p->newer == NULL)
        return;
    unlink_peer(mesh, p);
    link_first(mesh, p);
}

sp_instant sp_peer_traffic_at(const struct sp_peer *p) {
    return p->sent_at > p->got_at ? p->sent_at : p->got_at;
}

/* The peer that was used least recently makes room, if it has no traffic. */
static bool make_room(struct sp_mesh *mesh) {
    if (mesh->peer_count < mesh->config.peers)
        return true;
    for (struct sp_peer *p = mesh->last; p != NULL; p = p->newer) {
        sp_instant at = sp_peer_traffic_at(p);
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
    /* Halves of an earlier run that are still on their way are no others of ours. */
    p->split_id = (uint16_t)sp_rng_u32(&mesh->rng);
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

void sp_peer_set_channel(struct sp_mesh *mesh, struct sp_peer *p, uint32_t channel) {
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
