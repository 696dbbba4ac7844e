/* Getting to a peer: asking the signpost, handshakes, and what to do when time passes without success. */
#include "client/core/mesh.h"
#include "client/core/tactics.h"

#define AGAIN_FIRST (10 * SP_SEC) /* then 20 s, then every 40 s */

/* ---- asking for a path ---- */

void sp_peer_ask(struct sp_mesh *mesh, struct sp_peer *p, const uint8_t *first, size_t first_len) {
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
        sp_peer_ask(mesh, p, msg, len);
}

static void shake(struct sp_mesh *mesh, struct sp_peer *p) {
    uint8_t msg[SP_WG_INITIATION];
    unsigned k = p->shakes < 3 ? p->shakes : 3;
    p->shakes++;
    p->shake_at = mesh->now + (SP_SEC << k);
    sp_peer_wake(mesh, p, p->shake_at);
    struct sp_hop hop;
    if (!sp_peer_hop(mesh, p, &hop) && !p->spray) {
        sp_peer_ask(mesh, p, NULL, 0); /* the initiation is made when it can go */
        return;
    }
    if (sp_wg_initiate(mesh->wg, p->wg, mesh->now, mesh->wall, msg) == SP_OK)
        sp_peer_handshake(mesh, p, msg, sizeof msg);
}

void sp_peer_want(struct sp_mesh *mesh, struct sp_peer *p, enum sp_interest interest) {
    struct sp_hop hop;
    sp_peer_use(mesh, p);
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
        sp_peer_ask(mesh, p, NULL, 0);
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
    sp_peer_use(mesh, p);
    p->trouble = SP_PEER_FINE;
    sp_peer_set_channel(mesh, p, plan->channel);
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
        sp_userspace_trouble(mesh, p);
    }
    if (trouble == SP_PEER_UNKNOWN)
        sp_uplink_pull(mesh);
}

/* ---- the uplink, the network ---- */

void sp_peer_moved(struct sp_mesh *mesh, struct sp_peer *p) {
    if (!sp_peer_up(mesh, p) || sp_peer_traffic_at(p) == 0 || mesh->now > sp_peer_traffic_at(p) + SP_PEER_KEEP)
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
    sp_peer_ask(mesh, p, NULL, 0);
}

void sp_peer_channel_lost(struct sp_mesh *mesh, struct sp_peer *p) {
    bool relayed = p->chosen == SP_PATH_RELAY;
    sp_peer_set_channel(mesh, p, 0);
    if (!relayed || !sp_tactics_active(mesh, p))
        return;
    p->ask_at = sp_instant_min(p->ask_at, mesh->now);
    p->asks = 0;
    sp_peer_ask(mesh, p, NULL, 0);
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
        sp_userspace_trouble(mesh, p);
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
        sp_peer_ask(mesh, p, NULL, 0); /* the peer may have started anew, and know nothing of us */
        return;
    }
    if (mesh->config.no_direct || mesh->now < p->again_at || mesh->now < p->ask_at)
        return;
    p->again_at = mesh->now + (AGAIN_FIRST << (p->agains < 2 ? p->agains : 2));
    if (p->agains++ > 0)
        sp_netcheck_wish(
            mesh); /* our NAT, or its address, may be another by now: the signpost does not see that of every family */
    sp_peer_ask(mesh, p, NULL, 0);
}

/* Traffic that goes directly: the relay stays ready for the moment when that way breaks. */
static void expire_channel(struct sp_mesh *mesh, struct sp_peer *p) {
    struct sp_path *relay = &p->paths[SP_PATH_RELAY];
    if (p->channel == 0 || p->chosen == SP_PATH_RELAY || !sp_tactics_active(mesh, p) ||
        mesh->now < p->channel_at + SP_PEER_CHANNEL_KEEP)
        return;
    if (mesh->now >= p->channel_at + SP_PEER_CHANNEL)
        sp_peer_ask(mesh, p, NULL, 0);
    else if (mesh->now >= relay->pings[(relay->ping_next + SP_PATH_PINGS - 1) % SP_PATH_PINGS].at + SP_MIN)
        sp_tactics_ping(mesh, p, relay);
}

void sp_peer_expire(struct sp_mesh *mesh, struct sp_peer *p) {
    p->due = SP_NEVER;
    expire_channel(mesh, p);
    expire_wish(mesh, p);
    expire_silence(mesh, p);
    expire_relayed(mesh, p);
    if (p->renew && sp_uplink_up(mesh) && !p->asking && mesh->now >= p->ask_at &&
        mesh->uplink.path.state == SP_PATH_VALID && mesh->uplink.path.asked_at == SP_NEVER)
        sp_peer_ask(mesh, p, NULL, 0);
    sp_instant at = sp_tactics_expire(mesh, p);
    at = sp_instant_min(at, p->shake_at);
    if (p->want_at != SP_NEVER)
        at = sp_instant_min(at, p->want_at + SP_PEER_STAGED);
    if (p->chosen != SP_PATH_NONE && p->unheard_since != SP_NEVER)
        at = sp_instant_min(at, p->unheard_since + sp_path_limit(&p->paths[p->chosen]));
    if (sp_tactics_active(mesh, p))
        at = sp_instant_min(at, mesh->now + SP_SEC);
    else if (p->interest != SP_INTEREST_NONE && p->want_at == SP_NEVER && !p->asking)
        p->interest = sp_peer_traffic_at(p) == 0 ? p->interest : SP_INTEREST_NONE;
    sp_peer_wake(mesh, p, at > mesh->now ? at : mesh->now + SP_MS);
}
