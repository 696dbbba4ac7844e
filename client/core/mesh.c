#include "client/core/mesh.h"

#include "proto/crypto/crypto.h"

#define MEMORY_LIMIT ((size_t)256 << 20)
#define MEMORY_USER  ((size_t)256 << 20) /* more in userspace mode: what waits in connections */

/* ---- life ---- */

static void init_names(struct sp_mesh *mesh, const struct sp_agent_identity *id) {
    mesh->zone = id->zone;
    mesh->self = id->name;
    if (sp_name_prepend(&mesh->signpost, "signpost", 8, &id->zone) != SP_OK)
        sp_name_root(&mesh->signpost);
    mesh->signpost_count = id->addr_count < SP_TOKEN_ADDRS ? id->addr_count : SP_TOKEN_ADDRS;
    memcpy(mesh->signposts, id->addrs, mesh->signpost_count * sizeof *mesh->signposts);
    sp_overlay_addr(id->root_hash, id->signpost_pub, mesh->signpost_addr);
    sp_resolver_addr(id->root_hash, mesh->resolver_addr);
    mesh->lookups.config = (struct sp_resolver_config){
        .zone = mesh->zone, .self = mesh->self, .forward = mesh->config.forward, .search = mesh->config.search};
    memcpy(mesh->lookups.config.root_hash, id->root_hash, SP_ROOT_HASH);
}

static void init_limits(struct sp_mesh *mesh) {
    struct sp_overlay_config *c = &mesh->config;
    c->peers = c->peers != 0 ? c->peers : SP_MESH_PEERS;
    c->names = c->names != 0 ? c->names : SP_MESH_NAMES;
    c->mtu = c->mtu > SP_MESH_MTU_MIN ? c->mtu : SP_MESH_MTU_MIN;
    c->stun_count = c->stun_count < 8 ? c->stun_count : 8;
    c->extra_count = c->extra_count < 4 ? c->extra_count : 4;
    if (c->aead.seal == NULL)
        sp_aead_sodium(&c->aead);
}

static sp_err init_wg(struct sp_mesh *mesh, const struct sp_agent_config *config, const struct sp_ed25519 *key,
                      sp_instant now) {
    struct sp_wg_config wg = {
        .mem = &mesh->mem,
        .aead = mesh->config.aead,
        .rng = &mesh->rng,
        .peers = mesh->config.peers + 1,
        .initiations_per_s = 100,
        .initiations_max = 500,
        .timestamp_floor_s = config->memory.signed_at,
        .trace = &mesh->trace,
    };
    uint8_t signpost[SP_X25519];
    sp_ed25519_secret_to_x25519(key, wg.secret);
    sp_err err = sp_wg_new(&mesh->wg, &wg, now);
    sp_wipe(&wg, sizeof wg);
    SP_TRY(err);
    SP_TRY(sp_ed25519_to_x25519(config->id.signpost_pub, signpost));
    return sp_wg_peer_add(mesh->wg, signpost, NULL, NULL, now, &mesh->uplink.wg);
}

/* Ourselves and the signpost are in the directory from the start. */
static sp_err init_directory(struct sp_mesh *mesh, const struct sp_agent_config *config, const struct sp_ed25519 *key,
                             sp_instant now) {
    struct sp_directory_config dc = {
        .mem = &mesh->mem, .limit = mesh->config.names, .zone = mesh->zone, .self = mesh->self};
    struct sp_dir_entry *e;
    bool replaced;
    memcpy(dc.hash_key, mesh->hash_key, sizeof dc.hash_key);
    memcpy(dc.root_hash, config->id.root_hash, sizeof dc.root_hash);
    SP_TRY(sp_directory_new(&mesh->dir, &dc));
    SP_TRY(sp_directory_learn(mesh->dir, &mesh->self, key->pub, SP_DIR_SESSION, now, &e, &replaced));
    return sp_directory_learn(mesh->dir, &mesh->signpost, config->id.signpost_pub, SP_DIR_SESSION, now, &e, &replaced);
}

static sp_err init(struct sp_mesh *mesh, const struct sp_agent_config *config, const struct sp_ed25519 *key,
                   struct sp_rng *rng, sp_instant now) {
    uint8_t seed[SP_RNG_SEED];
    sp_rng_fill(rng, seed, sizeof seed);
    sp_rng_init(&mesh->rng, seed);
    sp_wipe(seed, sizeof seed);
    sp_rng_fill(&mesh->rng, mesh->hash_key, sizeof mesh->hash_key);
    mesh->config = config->overlay;
    mesh->trace = config->trace;
    mesh->now = now;
    init_limits(mesh);
    init_names(mesh, &config->id);
    sp_overlay_addr(config->id.root_hash, key->pub, mesh->addr);
    memcpy(mesh->lookups.config.self_addr, mesh->addr, sizeof mesh->lookups.config.self_addr);
    sp_stage_init(&mesh->stage, &mesh->mem);
    sp_uplink_init(mesh);
    sp_netcheck_init(mesh);
    SP_TRY(sp_outgoing_init(&mesh->out, &mesh->mem));
    SP_TRY(init_directory(mesh, config, key, now));
    SP_TRY(sp_userspace_new(mesh));
    return init_wg(mesh, config, key, now);
}

sp_err sp_mesh_new(struct sp_mesh **ret, const struct sp_agent_config *config, const struct sp_ed25519 *key,
                   struct sp_rng *rng, sp_instant now) {
    struct sp_mem mem;
    sp_mem_init(&mem, config->overlay.grant, MEMORY_LIMIT + (config->overlay.userspace.on ? MEMORY_USER : 0));
    struct sp_mesh *mesh = sp_mem_alloc(&mem, sizeof *mesh);
    if (mesh == NULL)
        return SP_ERR_FULL;
    mesh->mem = mem;
    sp_err err = init(mesh, config, key, rng, now);
    if (err != SP_OK) {
        sp_mesh_free(mesh);
        return err;
    }
    *ret = mesh;
    return SP_OK;
}

void sp_mesh_free(struct sp_mesh *mesh) {
    if (mesh == NULL)
        return;
    while (mesh->first != NULL)
        sp_peer_drop(mesh, mesh->first);
    sp_userspace_free(mesh);
    sp_wg_free(mesh->wg);
    sp_directory_free(mesh->dir);
    sp_outgoing_free(&mesh->out);
    struct sp_mem mem = mesh->mem;
    sp_wipe(mesh, sizeof *mesh);
    sp_mem_done(&mem);
}

void sp_mesh_start(struct sp_mesh *mesh, sp_instant now) {
    mesh->now = now;
    mesh->active = true;
    sp_uplink_start(mesh);
}

void sp_mesh_registered(struct sp_mesh *mesh, sp_instant now, uint64_t signed_at) {
    mesh->now = now;
    sp_wg_timestamp_floor(mesh->wg, signed_at);
    if (mesh->active)
        sp_uplink_registered(mesh);
}

/* Peers are told, so that they do not wait for us. */
void sp_mesh_stop(struct sp_mesh *mesh, sp_instant now, sp_wall wall) {
    static const uint8_t bye[16] = {SP_PROBE_CLOSE};
    struct sp_hop hop;
    if (!mesh->active)
        return;
    mesh->now = now;
    mesh->wall = wall;
    sp_userspace_stop(mesh);
    while (mesh->first != NULL) {
        if (sp_peer_up(mesh, mesh->first) && sp_peer_hop(mesh, mesh->first, &hop))
            (void)sp_send_plain(mesh, mesh->first->wg, &hop, bye, sizeof bye);
        sp_peer_drop(mesh, mesh->first);
    }
    if (sp_wg_peer_up(mesh->uplink.wg, now) && sp_uplink_hop(mesh, &hop))
        (void)sp_send_plain(mesh, mesh->uplink.wg, &hop, bye, sizeof bye);
    sp_uplink_stop(mesh);
    sp_ping_clear(mesh);
    mesh->active = false;
}

/* ---- addresses ---- */

unsigned sp_mesh_hosts(const struct sp_mesh *mesh, uint8_t family, struct sp_addr *ret, unsigned max) {
    unsigned n = 0;
    for (unsigned i = 0; i < mesh->link_count && n < max; i++) {
        struct sp_addr a = mesh->links[i];
        a.port = mesh->port;
        a.scope = 0;
        a.pad = 0;
        bool overlay = a.family == 6 && memcmp(a.ip, mesh->addr, 8) == 0;
        if ((family == 0 || a.family == family) && !overlay && sp_candidate_dialable(&a))
            ret[n++] = a;
    }
    return n;
}

static void add_candidate(struct sp_profile *p, const struct sp_addr *addr, enum sp_cand_kind kind) {
    if (!sp_candidate_dialable(addr) || p->count == SP_CANDIDATES_MAX)
        return;
    for (unsigned i = 0; i < p->count; i++) {
        struct sp_candidate *c = &p->candidates[i];
        if (memcmp(&c->addr, addr, sizeof *addr) != 0)
            continue;
        /* A private address of ours that the signpost sees too is known beyond our link: who shares its network may
         * dial it. */
        if (kind == SP_CAND_MAPPED && c->kind == SP_CAND_HOST && sp_candidate_private(addr))
            c->kind = SP_CAND_MAPPED;
        return;
    }
    p->candidates[p->count++] = (struct sp_candidate){.addr = *addr, .kind = (uint8_t)kind};
}

void sp_mesh_profile(struct sp_mesh *mesh, struct sp_profile *ret) {
    const struct sp_behave_result *r = sp_netcheck_result(mesh);
    struct sp_addr own[SP_CANDIDATES_MAX / 2];
    memset(ret, 0, sizeof *ret);
    ret->mapping = r->mapping;
    ret->filtering = r->filtering;
    ret->mtu = sp_uplink_mtu(mesh);
    ret->flags =
        (uint8_t)((mesh->uplink.tcp ? 0 : SP_PROFILE_UDP) | (r->hairpin_known && r->hairpin ? SP_PROFILE_HAIRPIN : 0) |
                  (r->sequential ? SP_PROFILE_SEQUENTIAL : 0) | (mesh->config.no_relay ? SP_PROFILE_NO_RELAY : 0) |
                  (mesh->config.no_direct ? SP_PROFILE_NO_DIRECT : 0));
    if (mesh->config.no_direct)
        return;
    for (unsigned i = 0; i < mesh->config.extra_count; i++)
        add_candidate(ret, &mesh->config.extra[i].addr, mesh->config.extra[i].kind);
    unsigned n = sp_mesh_hosts(mesh, 0, own, SP_CANDIDATES_MAX / 2);
    if (mesh->port != 0)
        for (unsigned i = 0; i < n; i++)
            add_candidate(ret, &own[i], SP_CAND_HOST);
    add_candidate(ret, &mesh->uplink.seen, SP_CAND_MAPPED);
    for (unsigned i = 0; i < 2; i++)
        for (unsigned k = 0; k < 2; k++)
            add_candidate(ret, &mesh->netcheck.got[i].mapped[k], SP_CAND_MAPPED);
}

static void take_links(struct sp_mesh *mesh, const struct sp_in *in) {
    size_t n = in->len / sizeof *mesh->links;
    n = n < SP_AGENT_LINK_MAX ? n : SP_AGENT_LINK_MAX;
    bool same = n == mesh->link_count && (n == 0 || memcmp(mesh->links, in->data, n * sizeof *mesh->links) == 0);
    if (same)
        return;
    bool first = mesh->link_count == 0;
    if (n > 0)
        memcpy(mesh->links, in->data, n * sizeof *mesh->links);
    mesh->link_count = (unsigned)n;
    if (!first)
        sp_mesh_moved(mesh);
    else
        sp_uplink_profile(mesh);
}

void sp_mesh_moved(struct sp_mesh *mesh) {
    if (!mesh->active)
        return;
    memset(mesh->netcheck.got, 0, sizeof mesh->netcheck.got); /* another network, another NAT */
    mesh->uplink.seen = (struct sp_addr){0};
    sp_uplink_moved(mesh);
    sp_netcheck_wish(mesh);
    for (struct sp_peer *p = mesh->first; p != NULL; p = p->older)
        sp_peer_moved(mesh, p);
}

/* ---- probes ---- */

static struct sp_probe_budget *budget(struct sp_mesh *mesh, const struct sp_addr *to) {
    uint64_t key = sp_siphash(mesh->hash_key, to->ip, sizeof to->ip) | 1;
    struct sp_probe_budget *b = &mesh->probes[key / 2 % SP_MESH_PROBE_SLOTS];
    if (b->key != key || mesh->now >= b->since + SP_MESH_PROBES_FOR)
        *b = (struct sp_probe_budget){.key = key, .since = mesh->now};
    return b;
}

bool sp_mesh_probe_allowed(struct sp_mesh *mesh, const struct sp_addr *to) {
    struct sp_probe_budget *b = budget(mesh, to);
    if (b->sent >= SP_MESH_PROBES_MAX)
        return false;
    b->sent++;
    return true;
}

void sp_mesh_probe_answered(struct sp_mesh *mesh, const struct sp_addr *to) {
    budget(mesh, to)->sent = 0;
}

/* ---- the five calls ---- */

void sp_mesh_pump(struct sp_mesh *mesh) {
    uint8_t msg[SP_WG_MSG_MAX];
    struct sp_wg_peer *wg;
    size_t len;
    while (sp_wg_pull(mesh->wg, mesh->now, mesh->wall, &wg, msg, &len)) {
        struct sp_peer *p = sp_wg_peer_user(wg);
        struct sp_hop hop;
        if (wg != mesh->uplink.wg)
            sp_peer_handshake(mesh, p, msg, len);
        else if (len == SP_WG_INITIATION)
            sp_uplink_handshake(mesh, msg, len);
        else if (sp_uplink_hop(mesh, &hop))
            sp_hop_send(mesh, &hop, msg, len);
    }
}

/* A machine that slept finds another network, or mappings that are gone. */
static void watch_clocks(struct sp_mesh *mesh) {
    int64_t gap = (int64_t)mesh->wall.ns - (int64_t)mesh->now;
    int64_t jump = gap - mesh->clock_gap;
    bool slept = mesh->clock_known && jump > (int64_t)SP_MESH_SLEPT;
    mesh->clock_gap = gap;
    mesh->clock_known = true;
    if (slept)
        sp_mesh_moved(mesh);
}

void sp_mesh_turn(struct sp_mesh *mesh, sp_instant now, sp_wall wall) {
    mesh->now = now;
    mesh->wall = wall;
    sp_outgoing_turn(&mesh->out);
    watch_clocks(mesh);
}

bool sp_mesh_roomy(const struct sp_mesh *mesh) {
    return sp_outgoing_roomy(&mesh->out);
}

bool sp_mesh_input(struct sp_mesh *mesh, const struct sp_in *in) {
    if (sp_userspace_stream_is(mesh, in)) {
        sp_userspace_stream(mesh, in);
        return true;
    }
    if (!mesh->active && in->kind != SP_IN_LINK && in->kind != SP_IN_RESOLVE)
        return in->kind != SP_IN_DATAGRAM;
    switch (in->kind) {
    case SP_IN_DATAGRAM:
        return sp_receive_datagram(mesh, in);
    case SP_IN_LINK:
        take_links(mesh, in);
        break;
    case SP_IN_PACKET:
        sp_send_packet(mesh, in);
        break;
    case SP_IN_RESOLVE:
        sp_lookup_query(mesh, &(struct sp_asker){.id = in->id}, in->data, in->len);
        break;
    case SP_IN_FORWARDED:
        sp_lookup_forwarded(mesh, in->id, in->err == SP_OK && in->len > 0 ? in->data : NULL, in->len);
        break;
    case SP_IN_STREAM_OPEN:
    case SP_IN_STREAM_DATA:
    case SP_IN_STREAM_CREDIT:
    case SP_IN_STREAM_CLOSE:
        sp_uplink_stream(mesh, in);
        break;
    default:
        break;
    }
    return true;
}

void sp_mesh_settle(struct sp_mesh *mesh) {
    sp_receive_settle(mesh);
    sp_userspace_settle(mesh);
    if (!mesh->active)
        return;
    if (mesh->lookups.waiting > 0)
        sp_lookup_expire(mesh);
    sp_mesh_pump(mesh);
    sp_netcheck_pump(mesh);
}

void sp_mesh_expire(struct sp_mesh *mesh) {
    struct sp_timer *t;
    if (!mesh->active)
        return;
    sp_wg_expire(mesh->wg, mesh->now);
    sp_uplink_expire(mesh);
    sp_netcheck_expire(mesh);
    sp_ping_expire(mesh);
    sp_userspace_expire(mesh);
    while ((t = sp_timers_pop(&mesh->timers, mesh->now)) != NULL)
        sp_peer_expire(mesh, SP_CONTAINER(t, struct sp_peer, timer));
    sp_mesh_settle(mesh);
}

sp_instant sp_mesh_deadline(const struct sp_mesh *mesh) {
    if (!mesh->active)
        return sp_lookup_deadline(mesh);
    sp_instant at = sp_instant_min(sp_wg_deadline(mesh->wg), sp_uplink_deadline(mesh));
    at = sp_instant_min(at, sp_instant_min(sp_netcheck_deadline(mesh), sp_lookup_deadline(mesh)));
    at = sp_instant_min(at, sp_userspace_deadline(mesh));
    return sp_instant_min(at, sp_instant_min(sp_timers_next(&mesh->timers), sp_ping_deadline(mesh)));
}

bool sp_mesh_event(struct sp_mesh *mesh, struct sp_event *ret) {
    return sp_uplink_event(mesh, ret) || sp_lookup_event(mesh, ret) || sp_userspace_event(mesh, ret);
}
