/* What comes from a peer, and goes to it: what it says about the ways between us. */
#include "client/core/mesh.h"
#include "client/core/tactics.h"

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

/* An address that the peer speaks from, and that has not answered us yet, or not with as much as data needs. */
static bool proven(const struct sp_path *path) {
    return path->state == SP_PATH_VALID && (path->carries || path->next_at != SP_NEVER);
}

/* Then ask. */
static void heard_unproven(struct sp_mesh *mesh, struct sp_peer *p, struct sp_path *path) {
    sp_instant last = path->pings[(path->ping_next + SP_PATH_PINGS - 1) % SP_PATH_PINGS].at;
    sp_duration pause = path->state == SP_PATH_VALID     ? 5 * SP_SEC
                        : path->state == SP_PATH_RESTING ? SP_SEC
                                                         : 100 * SP_MS;
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
        sp_peer_set_channel(mesh, p, from->channel);
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
    if (!proven(path) && from->channel == 0 && from->dst.family != 0 && sp_peer_up(mesh, p))
        heard_unproven(mesh, p, path);
}

void sp_peer_resume(struct sp_mesh *mesh, struct sp_peer *p) {
    if (mesh->now < p->sent_at + SP_PEER_ACTIVE || p->chosen == SP_PATH_NONE || p->chosen == SP_PATH_RELAY)
        return;
    struct sp_path *path = &p->paths[p->chosen];
    if (path->state != SP_PATH_VALID || mesh->now < path->heard_at + SP_PEER_RESTED)
        return;
    sp_instant answered = mesh->now + sp_instant_min(path->rtt + path->rtt / 2 + 10 * SP_MS, 200 * SP_MS);
    p->ask_at =
        p->ask_at > answered ? p->ask_at : answered; /* most likely it lives, and the signpost need not be asked */
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
    struct sp_probe pong = {
        .kind = SP_PROBE_PONG, .path = ping->path, .cookie = ping->cookie, .size = ping->size, .seen = from->dst};
    uint8_t msg[64];
    size_t len = sp_probe_write(&pong, msg, sizeof msg);
    mesh->out.last_open = false;
    if (sp_peer_up(mesh, p))
        (void)sp_send_plain(mesh, p->wg, from, msg, len);
}

/* The peer sees us somewhere else than before on this way: our NAT has another mapping, and the signpost does not know.
 */
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
        path->small = i != SP_PATH_RELAY && pong->size < SP_PATH_CARRIES;
        if (!path->small)
            path->large_at = mesh->now;
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
    sp_userspace_bye(mesh, p);
}

static void on_split(struct sp_mesh *mesh, struct sp_peer *p, const struct sp_hop *from, const struct sp_probe *half) {
    size_t len;
    if (p->split == NULL)
        p->split = sp_mem_alloc(&mesh->mem, sizeof *p->split);
    if (p->split != NULL &&
        sp_split_join(p->split, half, mesh->now, mesh->scratch, sizeof mesh->scratch, &len) == SP_OK)
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
