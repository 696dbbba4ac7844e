#include "client/core/netcheck.h"

#include "client/core/mesh.h"

#define WISH_DELAY (200 * SP_MS) /* the port and the addresses become known together, or nearly */

static uint8_t family(unsigned i) {
    return i == 0 ? 4 : 6;
}

void sp_netcheck_init(struct sp_mesh *mesh) {
    mesh->netcheck.wish_at = mesh->netcheck.until = SP_NEVER;
}

void sp_netcheck_wish(struct sp_mesh *mesh) {
    if (mesh->netcheck.wished || mesh->config.no_udp)
        return;
    mesh->netcheck.wished = true;
    mesh->netcheck.wish_at = mesh->now + WISH_DELAY;
}

static bool runs(const struct sp_netcheck *nc, unsigned i) {
    return nc->started[i] && !sp_behave_result(&nc->run[i])->done;
}

static bool running(const struct sp_mesh *mesh) {
    return runs(&mesh->netcheck, 0) || runs(&mesh->netcheck, 1);
}

static unsigned servers(const struct sp_mesh *mesh, uint8_t fam, struct sp_addr ret[SP_BEHAVE_SERVERS]) {
    unsigned n = 0;
    for (unsigned i = 0; i < mesh->signpost_count && n < SP_BEHAVE_SERVERS; i++)
        if (mesh->signposts[i].family == fam)
            ret[n++] = mesh->signposts[i];
    for (unsigned i = 0; i < mesh->config.stun_count && n < SP_BEHAVE_SERVERS; i++)
        if (mesh->config.stun[i].family == fam)
            ret[n++] = mesh->config.stun[i];
    return n;
}

static void start(struct sp_mesh *mesh) {
    struct sp_netcheck *nc = &mesh->netcheck;
    nc->wished = false;
    nc->wish_at = SP_NEVER;
    nc->ran = true;
    for (unsigned i = 0; i < 2; i++) {
        struct sp_addr to[SP_BEHAVE_SERVERS], own[SP_CANDIDATES_MAX];
        unsigned n = servers(mesh, family(i), to), n_own = sp_mesh_hosts(mesh, family(i), own, SP_CANDIDATES_MAX);
        nc->started[i] = n > 0 && n_own > 0;
        if (nc->started[i])
            sp_behave_start(&nc->run[i], to, n, own, n_own, &mesh->rng, mesh->now);
    }
    sp_netcheck_pump(mesh);
}

void sp_netcheck_ask(struct sp_mesh *mesh) {
    struct sp_netcheck *nc = &mesh->netcheck;
    nc->asked = true;
    nc->until = mesh->now + SP_NETCHECK_WAIT;
    nc->sent = 0;
    nc->server_count = mesh->signpost_count < SP_NETCHECK_SERVERS ? mesh->signpost_count : SP_NETCHECK_SERVERS;
    for (unsigned i = 0; i < nc->server_count; i++) {
        nc->servers[i] = (struct sp_netcheck_server){.addr = mesh->signposts[i], .asked_at = mesh->now};
        sp_rng_fill(&mesh->rng, nc->servers[i].id, sizeof nc->servers[i].id);
    }
    start(mesh);
    if (!running(mesh)) /* no address to try it from */
        nc->until = mesh->now + 2 * SP_SEC;
}

static void finish(struct sp_mesh *mesh) {
    struct sp_netcheck *nc = &mesh->netcheck;
    for (unsigned i = 0; i < 2; i++) {
        if (nc->started[i] && !runs(nc, i)) {
            struct sp_behave_result now = *sp_behave_result(&nc->run[i]);
            sp_behave_keep(&now, &nc->got[i]);
            nc->got[i] = now;
        }
        nc->started[i] = nc->started[i] && runs(nc, i);
    }
    sp_uplink_profile(mesh);
    if (nc->asked && !running(mesh)) {
        nc->asked = false;
        nc->until = SP_NEVER;
        nc->answered = true;
    }
}

void sp_netcheck_stun(struct sp_mesh *mesh, const uint8_t *data, size_t len, const struct sp_addr *src) {
    struct sp_netcheck *nc = &mesh->netcheck;
    struct sp_stun m;
    if (sp_stun_read(&m, data, len) != SP_OK)
        return;
    for (unsigned i = 0; i < nc->server_count; i++)
        if (memcmp(nc->servers[i].id, m.id, sizeof m.id) == 0 && m.class == SP_STUN_SUCCESS && nc->servers[i].rtt == 0)
            nc->servers[i].rtt = mesh->now - nc->servers[i].asked_at + 1;
    bool was = running(mesh);
    for (unsigned i = 0; i < 2; i++)
        if (runs(nc, i))
            (void)sp_behave_input(&nc->run[i], &m, src, &mesh->rng, mesh->now);
    if (was && !running(mesh))
        finish(mesh);
    sp_netcheck_pump(mesh);
}

void sp_netcheck_pump(struct sp_mesh *mesh) {
    struct sp_netcheck *nc = &mesh->netcheck;
    uint8_t msg[SP_STUN_MAX];
    struct sp_hop hop = {0};
    for (; nc->sent < nc->server_count && nc->asked; nc->sent++) {
        struct sp_stun m = {.method = SP_STUN_BINDING, .class = SP_STUN_REQUEST};
        memcpy(m.id, nc->servers[nc->sent].id, sizeof m.id);
        hop.dst = nc->servers[nc->sent].addr;
        size_t len = sp_stun_write(&m, msg, sizeof msg);
        sp_hop_send(mesh, &hop, msg, len);
    }
    for (unsigned i = 0; i < 2; i++) {
        size_t len;
        while (runs(nc, i) && (len = sp_behave_output(&nc->run[i], mesh->now, msg, sizeof msg, &hop.dst)) > 0)
            sp_hop_send(mesh, &hop, msg, len);
    }
}

void sp_netcheck_expire(struct sp_mesh *mesh) {
    struct sp_netcheck *nc = &mesh->netcheck;
    if (mesh->now >= nc->wish_at && !running(mesh)) {
        if (mesh->port != 0)
            start(mesh);
        else
            nc->wish_at = mesh->now + SP_SEC;
    } else if (mesh->now >= nc->wish_at) {
        nc->wish_at = mesh->now + SP_SEC;
    }
    bool was = running(mesh);
    for (unsigned i = 0; i < 2; i++)
        if (runs(nc, i))
            sp_behave_expire(&nc->run[i], &mesh->rng, mesh->now);
    sp_netcheck_pump(mesh);
    if (was && !running(mesh))
        finish(mesh);
    if (mesh->now >= nc->until) {
        nc->asked = false;
        nc->until = SP_NEVER;
        nc->answered = true;
    }
}

sp_instant sp_netcheck_deadline(const struct sp_mesh *mesh) {
    const struct sp_netcheck *nc = &mesh->netcheck;
    sp_instant at = sp_instant_min(nc->wish_at, nc->until);
    for (unsigned i = 0; i < 2; i++)
        if (runs(nc, i))
            at = sp_instant_min(at, sp_behave_deadline(&nc->run[i]));
    return at;
}

const struct sp_behave_result *sp_netcheck_result(const struct sp_mesh *mesh) {
    const struct sp_netcheck *nc = &mesh->netcheck;
    return nc->got[0].udp || !nc->got[1].udp ? &nc->got[0] : &nc->got[1];
}
