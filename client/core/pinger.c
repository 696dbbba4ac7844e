#include "client/core/pinger.h"

#include "client/core/mesh.h"
#include "client/core/tactics.h"

#define AGAIN (500 * SP_MS)

static void fail(struct sp_pinger *g, const char *error, const char *hint) {
    g->state = SP_PINGER_DONE;
    g->error = error;
    g->hint = hint;
}

static void succeed(struct sp_pinger *g, const uint8_t addr[16], const struct sp_path *path) {
    g->state = SP_PINGER_DONE;
    g->error = NULL;
    memcpy(g->addr, addr, sizeof g->addr);
    g->path = *path;
}

static void step(struct sp_mesh *mesh, struct sp_pinger *g) {
    struct sp_peer *p = g->peer;
    struct sp_hop hop;
    g->next_at = mesh->now + AGAIN;
    sp_peer_want(mesh, p, SP_INTEREST_DATA);
    if (g->state != SP_PINGER_WAITING || !sp_peer_up(mesh, p) || !sp_peer_hop(mesh, p, &hop))
        return;
    p->sent_at = mesh->now; /* as data would: it keeps the paths awake */
    sp_tactics_ping(mesh, p, &p->paths[p->chosen]);
}

static void aim(struct sp_mesh *mesh, struct sp_pinger *g, struct sp_dir_entry *e) {
    if (sp_name_equal(&e->name, &mesh->self)) {
        fail(g, "that is this device itself", "name another device");
    } else if (sp_name_equal(&e->name, &mesh->signpost)) {
        if (sp_uplink_up(mesh) && mesh->uplink.path.rtt != 0)
            succeed(g, e->overlay, &mesh->uplink.path);
        else
            fail(g, "no session with the signpost", "see: signpost-agent status");
    } else {
        g->peer = sp_peer_get(mesh, e);
        if (g->peer == NULL)
            fail(g, "too many devices have traffic at once", "try again in a minute");
        else
            step(mesh, g);
    }
}

bool sp_ping_begin(struct sp_mesh *mesh, unsigned slot, const struct sp_name *name, sp_duration timeout) {
    struct sp_pinger *g = mesh->pingers;
    while (g < mesh->pingers + SP_PINGERS && g->state != SP_PINGER_FREE)
        g++;
    if (g == mesh->pingers + SP_PINGERS)
        return false;
    *g = (struct sp_pinger){
        .state = SP_PINGER_WAITING, .slot = slot, .name = *name, .until = mesh->now + timeout, .next_at = SP_NEVER};
    struct sp_dir_entry *e = sp_directory_name(mesh->dir, name);
    if (!mesh->active)
        fail(g, "the agent is not up", "start it: signpost-agent up");
    else if (e != NULL)
        aim(mesh, g, e);
    else if (!sp_uplink_up(mesh) || !sp_uplink_key(mesh, name))
        fail(g, "no session with the signpost, and the device is not known yet", "see: signpost-agent status");
    return true;
}

void sp_ping_named(struct sp_mesh *mesh, const struct sp_name *name) {
    for (unsigned i = 0; i < SP_PINGERS; i++) {
        struct sp_pinger *g = &mesh->pingers[i];
        if (g->state != SP_PINGER_WAITING || g->peer != NULL || (name != NULL && !sp_name_equal(&g->name, name)))
            continue;
        struct sp_dir_entry *e = sp_directory_name(mesh->dir, &g->name);
        if (e != NULL)
            aim(mesh, g, e);
        else
            fail(g, "no such device", "see the zone's devices: signpost-agent status");
    }
}

void sp_ping_dropped(struct sp_mesh *mesh, const struct sp_peer *p) {
    for (unsigned i = 0; i < SP_PINGERS; i++) {
        struct sp_pinger *g = &mesh->pingers[i];
        if (g->state == SP_PINGER_WAITING && g->peer == p)
            fail(g, "the device is no more, or has another key now", "try again");
    }
}

void sp_ping_trouble(struct sp_mesh *mesh, const struct sp_peer *p) {
    for (unsigned i = 0; i < SP_PINGERS; i++) {
        struct sp_pinger *g = &mesh->pingers[i];
        if (g->state == SP_PINGER_WAITING && g->peer == p)
            fail(g, sp_peer_trouble_text(p->trouble), "see: signpost-agent status");
    }
}

void sp_ping_ponged(struct sp_mesh *mesh, const struct sp_peer *p, const struct sp_path *path) {
    for (unsigned i = 0; i < SP_PINGERS; i++) {
        struct sp_pinger *g = &mesh->pingers[i];
        if (g->state == SP_PINGER_WAITING && g->peer == p)
            succeed(g, p->entry->overlay, path);
    }
}

void sp_ping_expire(struct sp_mesh *mesh) {
    for (unsigned i = 0; i < SP_PINGERS; i++) {
        struct sp_pinger *g = &mesh->pingers[i];
        if (g->state != SP_PINGER_WAITING)
            continue;
        if (mesh->now >= g->until)
            fail(g, "no answer within the time", "see: signpost-agent status");
        else if (mesh->now >= g->next_at && g->peer != NULL)
            step(mesh, g);
    }
}

sp_instant sp_ping_deadline(const struct sp_mesh *mesh) {
    sp_instant at = SP_NEVER;
    for (unsigned i = 0; i < SP_PINGERS; i++)
        if (mesh->pingers[i].state == SP_PINGER_WAITING)
            at = sp_instant_min(at, sp_instant_min(mesh->pingers[i].until, mesh->pingers[i].next_at));
    return at;
}

void sp_ping_clear(struct sp_mesh *mesh) {
    for (unsigned i = 0; i < SP_PINGERS; i++)
        if (mesh->pingers[i].state == SP_PINGER_WAITING)
            fail(&mesh->pingers[i], "the agent is going down", NULL);
}

struct sp_pinger *sp_ping_done(struct sp_mesh *mesh) {
    for (unsigned i = 0; i < SP_PINGERS; i++)
        if (mesh->pingers[i].state == SP_PINGER_DONE)
            return &mesh->pingers[i];
    return NULL;
}

void sp_ping_end(struct sp_pinger *g) {
    g->state = SP_PINGER_FREE;
}
