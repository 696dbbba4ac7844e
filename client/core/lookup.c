#include "client/core/lookup.h"

#include "client/core/mesh.h"
#include "proto/control/tunnel.h"

#define REPLY_MAX 4096

/* The reply's bytes stand in the outgoing already. */
static void answer(struct sp_mesh *mesh, const struct sp_asker *to, uint8_t *room, size_t len) {
    if (!to->packet) {
        struct sp_out item = {.kind = SP_OUT_RESOLVED, .id = to->id};
        sp_outgoing_put(&mesh->out, len, &item);
        return;
    }
    struct sp_tunnel_udp u = {.sport = SP_DNS_PORT, .dport = to->port, .data = room, .len = len};
    memcpy(u.src, mesh->resolver_addr, sizeof u.src);
    memcpy(u.dst, to->addr, sizeof u.dst);
    size_t whole = len > 0 ? sp_tunnel_udp_write(&u, room - SP_TUNNEL_HEAD, SP_TUNNEL_HEAD + REPLY_MAX) : 0;
    struct sp_out item = {.kind = SP_OUT_PACKET};
    if (whole > 0)
        sp_outgoing_put(&mesh->out, whole, &item);
}

/* Where a reply to this asker is to be written; NULL: no room. */
static uint8_t *reply_room(struct sp_mesh *mesh, const struct sp_asker *to, size_t *ret_cap) {
    uint8_t *room = sp_outgoing_room(&mesh->out, SP_TUNNEL_HEAD + REPLY_MAX);
    *ret_cap = to->packet ? SP_TUNNEL_MAX - SP_TUNNEL_HEAD : REPLY_MAX;
    return room == NULL ? NULL : to->packet ? room + SP_TUNNEL_HEAD : room;
}

static struct sp_lookup *hold(struct sp_mesh *mesh, enum sp_resolver_verdict verdict, const struct sp_asker *asker,
                              const uint8_t *query, size_t len) {
    struct sp_lookups *ls = &mesh->lookups;
    if (ls->slots == NULL)
        ls->slots = sp_mem_alloc(&mesh->mem, SP_LOOKUPS * sizeof *ls->slots);
    if (ls->slots == NULL || ls->waiting == SP_LOOKUPS || len > SP_LOOKUP_QUERY) {
        ls->refused++;
        return NULL;
    }
    struct sp_lookup *l = ls->slots;
    while (l->verdict != SP_RESOLVED)
        l++;
    l->verdict = (uint8_t)verdict;
    l->told = false;
    l->id = ++ls->next_id;
    l->until = mesh->now + SP_LOOKUP_WAIT;
    l->asker = *asker;
    l->len = len;
    memcpy(l->query, query, len);
    ls->waiting++;
    return l;
}

static void release(struct sp_mesh *mesh, struct sp_lookup *l) {
    l->verdict = SP_RESOLVED;
    mesh->lookups.waiting--;
}

static void wanted(struct sp_mesh *mesh, struct sp_dir_entry *device) {
    if (!mesh->active || device == NULL || sp_name_equal(&device->name, &mesh->self) ||
        sp_name_equal(&device->name, &mesh->signpost))
        return;
    struct sp_peer *p = sp_peer_get(mesh, device);
    if (p != NULL)
        sp_peer_want(mesh, p, SP_INTEREST_NAME);
}

/* Ends one that waited: the reply is made by what it waited for. */
static void finish(struct sp_mesh *mesh, struct sp_lookup *l, sp_err err, const uint8_t *reply, size_t reply_len) {
    struct sp_dir_entry *device = NULL;
    size_t cap, len = 0;
    uint8_t *room = reply_room(mesh, &l->asker, &cap);
    if (room != NULL) {
        const struct sp_resolver_config *c = &mesh->lookups.config;
        if (l->verdict == SP_RESOLVE_LOOK_UP)
            len = sp_resolver_answer(c, mesh->dir, l->query, l->len, err, room, cap, &device);
        else if (l->verdict == SP_RESOLVE_ASK)
            len = sp_resolver_relay(c, l->query, l->len, reply, reply_len, room, cap);
        else
            len = sp_resolver_upstream(c, l->query, l->len, reply, reply_len, room, cap);
        answer(mesh, &l->asker, room, len);
    }
    release(mesh, l);
    wanted(mesh, device);
}

void sp_lookup_query(struct sp_mesh *mesh, const struct sp_asker *asker, const uint8_t *query, size_t len) {
    struct sp_resolver_ask ask = {0};
    size_t cap, n = 0;
    uint8_t *room = reply_room(mesh, asker, &cap);
    if (room == NULL)
        return;
    enum sp_resolver_verdict v =
        sp_resolver_query(&mesh->lookups.config, mesh->dir, query, len, mesh->now, room, cap, &n, &ask);
    if (v == SP_RESOLVED) {
        answer(mesh, asker, room, n);
        wanted(mesh, ask.device);
        return;
    }
    struct sp_lookup *l = v != SP_RESOLVE_DROP ? hold(mesh, v, asker, query, len) : NULL;
    if (l == NULL) {
        if (!asker->packet)
            answer(mesh, asker, room, 0);
        return;
    }
    l->name = ask.name;
    bool asked = true;
    if (v == SP_RESOLVE_LOOK_UP)
        asked = sp_uplink_up(mesh) && sp_uplink_key(mesh, &ask.name);
    else if (v == SP_RESOLVE_ASK)
        asked = sp_uplink_up(mesh) && sp_uplink_ask(mesh, l->id, &ask.name, ask.type);
    if (!asked && mesh->uplink.state != SP_UPLINK_CONNECTING)
        finish(mesh, l, SP_ERR_AGAIN, NULL, 0);
    else if (!asked)
        l->told = true; /* asked when the session is there */
}

static struct sp_lookup *find(struct sp_mesh *mesh, enum sp_resolver_verdict verdict, uint64_t id) {
    for (unsigned i = 0; mesh->lookups.waiting > 0 && i < SP_LOOKUPS; i++)
        if (mesh->lookups.slots[i].verdict == (uint8_t)verdict && mesh->lookups.slots[i].id == id)
            return &mesh->lookups.slots[i];
    return NULL;
}

void sp_lookup_named(struct sp_mesh *mesh, const struct sp_name *name, sp_err err) {
    for (unsigned i = 0; mesh->lookups.waiting > 0 && i < SP_LOOKUPS; i++) {
        struct sp_lookup *l = &mesh->lookups.slots[i];
        if (l->verdict == SP_RESOLVE_LOOK_UP && (name == NULL || sp_name_equal(&l->name, name)))
            finish(mesh, l, err, NULL, 0);
    }
    sp_ping_named(mesh, name);
    sp_userspace_named(mesh, name, err);
}

void sp_lookup_reply(struct sp_mesh *mesh, uint64_t id, const uint8_t *reply, size_t len) {
    struct sp_lookup *l = find(mesh, SP_RESOLVE_ASK, id);
    if (l != NULL)
        finish(mesh, l, SP_OK, reply, len);
}

void sp_lookup_forwarded(struct sp_mesh *mesh, uint64_t id, const uint8_t *reply, size_t len) {
    struct sp_lookup *l = find(mesh, SP_RESOLVE_FORWARD, id);
    if (l != NULL)
        finish(mesh, l, SP_OK, reply, len);
}

/* A query that came before the session was there. */
static void ask_late(struct sp_mesh *mesh, struct sp_lookup *l) {
    struct sp_resolver_ask ask = {0};
    size_t n, cap;
    l->told = false;
    if (l->verdict == SP_RESOLVE_LOOK_UP) {
        l->told = !sp_uplink_key(mesh, &l->name);
        return;
    }
    uint8_t *room = reply_room(mesh, &l->asker, &cap);
    if (room != NULL && sp_resolver_query(&mesh->lookups.config, mesh->dir, l->query, l->len, mesh->now, room, cap, &n,
                                          &ask) == SP_RESOLVE_ASK)
        l->told = !sp_uplink_ask(mesh, l->id, &ask.name, ask.type);
}

void sp_lookup_expire(struct sp_mesh *mesh) {
    for (unsigned i = 0; mesh->lookups.waiting > 0 && i < SP_LOOKUPS; i++) {
        struct sp_lookup *l = &mesh->lookups.slots[i];
        if (l->verdict == SP_RESOLVED)
            continue;
        if (l->told && l->verdict != SP_RESOLVE_FORWARD && sp_uplink_up(mesh))
            ask_late(mesh, l);
        if (mesh->now >= l->until)
            finish(mesh, l, SP_ERR_AGAIN, NULL, 0);
    }
}

sp_instant sp_lookup_deadline(const struct sp_mesh *mesh) {
    sp_instant at = SP_NEVER;
    for (unsigned i = 0; mesh->lookups.waiting > 0 && i < SP_LOOKUPS; i++)
        if (mesh->lookups.slots[i].verdict != SP_RESOLVED)
            at = sp_instant_min(at, mesh->lookups.slots[i].until);
    return at;
}

bool sp_lookup_event(struct sp_mesh *mesh, struct sp_event *ret) {
    for (unsigned i = 0; mesh->lookups.waiting > 0 && i < SP_LOOKUPS; i++) {
        struct sp_lookup *l = &mesh->lookups.slots[i];
        if (l->verdict != SP_RESOLVE_FORWARD || l->told)
            continue;
        l->told = true;
        *ret = (struct sp_event){.kind = SP_EV_FORWARD, .id = l->id, .data = l->query, .len = l->len};
        return true;
    }
    return false;
}
