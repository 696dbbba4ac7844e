/* What the uplink asks of the signpost: requests with ids, sent again until they are answered. */
#include "client/core/mesh.h"
#include "proto/control/tunnel.h"
#include "proto/dns/rrtype.h"

#define RESEND_MIN (500 * SP_MS)

static struct sp_request *slot(struct sp_mesh *mesh, enum sp_request_kind kind) {
    struct sp_uplink *up = &mesh->uplink;
    for (unsigned i = 0; i < SP_UPLINK_REQUESTS; i++) {
        struct sp_request *r = &up->requests[i];
        if (r->kind != SP_REQ_FREE)
            continue;
        r->kind = (uint8_t)kind;
        r->id = up->next_id++;
        r->tries = 0;
        r->born = r->at = mesh->now;
        r->peer = NULL;
        r->len = 0;
        return r;
    }
    return NULL;
}

static struct sp_request *find_kind(struct sp_mesh *mesh, enum sp_request_kind kind) {
    for (unsigned i = 0; i < SP_UPLINK_REQUESTS; i++)
        if (mesh->uplink.requests[i].kind == kind)
            return &mesh->uplink.requests[i];
    return NULL;
}

/* ---- writing ---- */

static void write_profile(struct sp_mesh *mesh, struct sp_request *r) {
    struct sp_uplink *up = &mesh->uplink;
    struct sp_profile p;
    sp_mesh_profile(mesh, &p);
    struct sp_wr wr = sp_wr_init(up->profile, sizeof up->profile);
    sp_profile_write(&wr, &p);
    up->profile_len = sp_wr_len(&wr);
    up->profile_known = true;
    r->len = sp_session_profile_write(r->id, &mesh->zone, &mesh->self, &p, r->wire, sizeof r->wire);
}

/* An initiation goes along when there is no session with the peer, or when it has been silent: it may have lost its
 * own. */
static void write_connect(struct sp_mesh *mesh, struct sp_request *r) {
    struct sp_peer *p = r->peer;
    uint8_t first[SP_WG_INITIATION];
    size_t len = 0;
    bool silent = p->heard_at == 0 || mesh->now > p->heard_at + SP_SEC;
    if ((!sp_peer_up(mesh, p) || silent) && sp_wg_initiate(mesh->wg, p->wg, mesh->now, mesh->wall, first) == SP_OK)
        len = sizeof first;
    r->len = sp_session_connect_write(r->id, &r->name, len > 0 ? first : NULL, len, r->wire, sizeof r->wire);
}

static void write_request(struct sp_mesh *mesh, struct sp_request *r) {
    switch ((enum sp_request_kind)r->kind) {
    case SP_REQ_PROFILE:
        write_profile(mesh, r);
        break;
    case SP_REQ_CONNECT:
        write_connect(mesh, r);
        break;
    case SP_REQ_PEERS:
        r->len = sp_session_peers_write(r->id, &r->name, r->wire, sizeof r->wire);
        break;
    case SP_REQ_KEY:
        r->len = sp_session_query_write(r->id, &r->name, SP_TYPE_KEY, r->wire, sizeof r->wire);
        break;
    case SP_REQ_ASK:
        r->len = sp_session_query_write(r->id, &r->name, r->type, r->wire, sizeof r->wire);
        break;
    case SP_REQ_FREE:
        break;
    }
}

void sp_uplink_say(struct sp_mesh *mesh, const uint8_t *msg, size_t len) {
    uint8_t packet[SP_TUNNEL_HEAD + SP_SESSION_MSG];
    struct sp_tunnel_udp u = {.sport = SP_CONTROL_PORT, .dport = SP_DNS_PORT, .data = msg, .len = len};
    struct sp_hop hop;
    if (len > SP_SESSION_MSG || !sp_uplink_hop(mesh, &hop))
        return;
    memcpy(u.src, mesh->addr, sizeof u.src);
    memcpy(u.dst, mesh->signpost_addr, sizeof u.dst);
    memcpy(packet + SP_TUNNEL_HEAD, msg, len);
    len = sp_tunnel_udp_write(&u, packet, sizeof packet);
    (void)sp_send_plain(mesh, mesh->uplink.wg, &hop, packet, len);
}

static void send(struct sp_mesh *mesh, struct sp_request *r) {
    if (r->len == 0)
        write_request(mesh, r);
    sp_duration rto = 2 * mesh->uplink.path.rtt + 100 * SP_MS;
    rto = rto > RESEND_MIN ? rto : RESEND_MIN;
    r->at = mesh->now + (rto << r->tries);
    r->tries++;
    sp_uplink_say(mesh, r->wire, r->len);
}

/* ---- asking ---- */

static bool begin(struct sp_mesh *mesh, struct sp_request *r) {
    if (sp_uplink_up(mesh))
        send(mesh, r);
    return true;
}

bool sp_uplink_connect(struct sp_mesh *mesh, struct sp_peer *p, const uint8_t *first, size_t first_len) {
    struct sp_request *r = slot(mesh, SP_REQ_CONNECT);
    if (r == NULL)
        return false;
    r->peer = p;
    r->name = p->entry->name;
    if (first != NULL)
        r->len = sp_session_connect_write(r->id, &r->name, first, first_len, r->wire, sizeof r->wire);
    return begin(mesh, r);
}

bool sp_uplink_key(struct sp_mesh *mesh, const struct sp_name *name) {
    for (unsigned i = 0; i < SP_UPLINK_REQUESTS; i++) {
        const struct sp_request *r = &mesh->uplink.requests[i];
        if (r->kind == SP_REQ_KEY && sp_name_equal(&r->name, name))
            return true;
    }
    struct sp_request *r = slot(mesh, SP_REQ_KEY);
    if (r == NULL)
        return false;
    r->name = *name;
    return begin(mesh, r);
}

bool sp_uplink_ask(struct sp_mesh *mesh, uint64_t lookup, const struct sp_name *name, uint16_t type) {
    struct sp_request *r = slot(mesh, SP_REQ_ASK);
    if (r == NULL)
        return false;
    r->lookup = lookup;
    r->name = *name;
    r->type = type;
    return begin(mesh, r);
}

static void pull_page(struct sp_mesh *mesh, const struct sp_name *after) {
    struct sp_request *r = slot(mesh, SP_REQ_PEERS);
    if (r == NULL) {
        mesh->uplink.pulling = false;
        mesh->uplink.pull_wanted = true;
        mesh->uplink.pull_at = mesh->now + SP_UPLINK_PULL_EVERY;
        return;
    }
    r->name = *after;
    (void)begin(mesh, r);
}

void sp_uplink_pull(struct sp_mesh *mesh) {
    mesh->uplink.pull_wanted = true;
}

void sp_uplink_profile(struct sp_mesh *mesh) {
    mesh->uplink.profile_due = true;
    mesh->uplink.profile_at = sp_instant_min(mesh->uplink.profile_at, mesh->now);
}

void sp_uplink_forget(struct sp_mesh *mesh, const struct sp_peer *p) {
    for (unsigned i = 0; i < SP_UPLINK_REQUESTS; i++)
        if (mesh->uplink.requests[i].peer == p && mesh->uplink.requests[i].kind == SP_REQ_CONNECT)
            mesh->uplink.requests[i].kind = SP_REQ_FREE;
}

/* ---- answers ---- */

static void end_pull(struct sp_mesh *mesh) {
    struct sp_uplink *up = &mesh->uplink;
    struct sp_table_cursor cursor = {0};
    struct sp_dir_entry *e;
    up->pulling = false;
    /* The list is whole: who is not on it is no more. */
    while ((e = sp_directory_each(mesh->dir, &cursor)) != NULL)
        if (e->learnt_at < up->pull_began)
            sp_uplink_gone(mesh, &e->name);
}

static void on_peers(struct sp_mesh *mesh, struct sp_request *r, struct sp_session_msg *m) {
    struct sp_session_record rec;
    struct sp_name last = r->name;
    bool more = m->tc, moved = false;
    r->kind = SP_REQ_FREE;
    if (m->rcode != SP_RCODE_NOERROR) {
        mesh->uplink.pulling = false;
        return;
    }
    while (sp_session_record(m, &rec) == SP_OK) {
        if (rec.kind != SP_RECORD_KEY)
            continue;
        (void)sp_uplink_learn(mesh, &rec.owner, rec.pub);
        moved = moved || sp_name_cmp(&rec.owner, &last) > 0;
        last = rec.owner;
    }
    if (more && moved)
        pull_page(mesh, &last);
    else if (more)
        mesh->uplink.pulling = false; /* a page without end */
    else
        end_pull(mesh);
}

static void on_connect(struct sp_mesh *mesh, struct sp_request *r, struct sp_session_msg *m) {
    struct sp_session_record rec;
    struct sp_peer *p = r->peer;
    r->kind = SP_REQ_FREE;
    p->asking = false;
    while (m->rcode == SP_RCODE_NOERROR && sp_session_record(m, &rec) == SP_OK)
        if (rec.kind == SP_RECORD_PLAN) {
            sp_peer_planned(mesh, p, &rec.plan);
            return;
        }
    switch (m->rcode) {
    case SP_RCODE_NXDOMAIN:
        sp_peer_refused(mesh, p, SP_PEER_UNKNOWN);
        break;
    case SP_RCODE_REFUSED:
        sp_peer_refused(mesh, p, SP_PEER_DENIED);
        break;
    default:
        sp_peer_refused(mesh, p, SP_PEER_AWAY);
    }
}

static void on_key(struct sp_mesh *mesh, struct sp_request *r, struct sp_session_msg *m) {
    struct sp_session_record rec;
    struct sp_name name = r->name;
    bool found = false;
    r->kind = SP_REQ_FREE;
    while (m->rcode == SP_RCODE_NOERROR && sp_session_record(m, &rec) == SP_OK)
        if (rec.kind == SP_RECORD_KEY && sp_name_equal(&rec.owner, &name))
            found = sp_uplink_learn(mesh, &rec.owner, rec.pub) != NULL || found;
    bool none = m->rcode == SP_RCODE_NXDOMAIN || (m->rcode == SP_RCODE_NOERROR && !found);
    if (none) {
        sp_directory_absent(mesh->dir, &name, mesh->now);
        sp_uplink_gone(mesh, &name);
    }
    sp_lookup_named(mesh, &name, found || none ? SP_OK : SP_ERR_DENIED);
}

static void on_profile(struct sp_mesh *mesh, struct sp_request *r, struct sp_session_msg *m) {
    r->kind = SP_REQ_FREE;
    mesh->uplink.profile_at = sp_instant_min(mesh->uplink.profile_at, mesh->now + SP_SESSION_REFRESH);
    if (m->rcode == SP_RCODE_NOERROR)
        return;
    mesh->uplink.profile_due = true; /* a signpost that has no place for it now */
    mesh->uplink.profile_at = mesh->now + 5 * SP_SEC;
}

static void failed(struct sp_mesh *mesh, struct sp_request *r) {
    struct sp_name name = r->name;
    unsigned kind = r->kind;
    r->kind = SP_REQ_FREE;
    switch ((enum sp_request_kind)kind) {
    case SP_REQ_CONNECT:
        r->peer->asking = false;
        sp_peer_refused(mesh, r->peer, SP_PEER_UPLINK);
        break;
    case SP_REQ_KEY:
        sp_lookup_named(mesh, &name, SP_ERR_AGAIN);
        break;
    case SP_REQ_ASK:
        sp_lookup_reply(mesh, r->lookup, NULL, 0);
        break;
    case SP_REQ_PEERS:
        mesh->uplink.pulling = false;
        mesh->uplink.pull_wanted = true;
        mesh->uplink.pull_at = mesh->now + 5 * SP_SEC;
        break;
    case SP_REQ_PROFILE:
        mesh->uplink.profile_due = true;
        mesh->uplink.profile_at = mesh->now;
        break;
    case SP_REQ_FREE:
        break;
    }
}

void sp_request_reply(struct sp_mesh *mesh, const uint8_t *data, size_t len) {
    struct sp_request *r = NULL;
    uint16_t id = sp_get_u16(data);
    for (unsigned i = 0; i < SP_UPLINK_REQUESTS && r == NULL; i++)
        if (mesh->uplink.requests[i].kind != SP_REQ_FREE && mesh->uplink.requests[i].id == id)
            r = &mesh->uplink.requests[i];
    if (r == NULL)
        return;
    if (r->kind == SP_REQ_ASK) {
        r->kind = SP_REQ_FREE;
        sp_lookup_reply(mesh, r->lookup, data, len);
        return;
    }
    struct sp_session_msg m;
    if (sp_session_read(&m, data, len) != SP_OK || m.kind != SP_SESSION_REPLY) {
        mesh->uplink.dropped++;
        return;
    }
    if (m.has_seq)
        sp_uplink_sequence(mesh, &m.seq);
    if (r->kind == SP_REQ_PEERS)
        on_peers(mesh, r, &m);
    else if (r->kind == SP_REQ_CONNECT)
        on_connect(mesh, r, &m);
    else if (r->kind == SP_REQ_KEY)
        on_key(mesh, r, &m);
    else
        on_profile(mesh, r, &m);
}

/* ---- time ---- */

static bool profile_changed(struct sp_mesh *mesh) {
    uint8_t now[SP_PROFILE_MAX];
    struct sp_profile p;
    sp_mesh_profile(mesh, &p);
    struct sp_wr wr = sp_wr_init(now, sizeof now);
    sp_profile_write(&wr, &p);
    size_t len = sp_wr_len(&wr);
    return !mesh->uplink.profile_known || len != mesh->uplink.profile_len ||
           memcmp(now, mesh->uplink.profile, len) != 0;
}

static void profile_turn(struct sp_mesh *mesh) {
    struct sp_uplink *up = &mesh->uplink;
    if (mesh->now < up->profile_at || find_kind(mesh, SP_REQ_PROFILE) != NULL)
        return;
    bool changed = up->profile_due && profile_changed(mesh);
    bool refresh = !up->profile_due;
    up->profile_due = false;
    up->profile_at = mesh->now + SP_SESSION_REFRESH;
    struct sp_request *r = changed || refresh ? slot(mesh, SP_REQ_PROFILE) : NULL;
    if (r != NULL)
        (void)begin(mesh, r);
}

static void pull_turn(struct sp_mesh *mesh) {
    struct sp_uplink *up = &mesh->uplink;
    if (!up->pull_wanted || up->pulling || (up->pull_at != SP_NEVER && mesh->now < up->pull_at))
        return;
    up->pull_wanted = false;
    up->pulling = true;
    up->pull_at = mesh->now + SP_UPLINK_PULL_EVERY;
    up->pull_began = mesh->now;
    pull_page(mesh, &mesh->zone);
}

void sp_request_flush(struct sp_mesh *mesh) {
    if (!sp_uplink_up(mesh))
        return;
    profile_turn(mesh);
    for (unsigned i = 0; i < SP_UPLINK_REQUESTS; i++) {
        struct sp_request *r = &mesh->uplink.requests[i];
        if (r->kind != SP_REQ_FREE && (r->tries == 0 || mesh->now >= r->at) && r->tries < SP_UPLINK_TRIES)
            send(mesh, r);
    }
    pull_turn(mesh);
}

void sp_request_expire(struct sp_mesh *mesh) {
    bool up = sp_uplink_up(mesh);
    for (unsigned i = 0; i < SP_UPLINK_REQUESTS; i++) {
        struct sp_request *r = &mesh->uplink.requests[i];
        if (r->kind == SP_REQ_FREE || mesh->now < (up ? r->at : r->born + SP_UPLINK_WAIT))
            continue;
        if (!up || r->tries >= SP_UPLINK_TRIES)
            failed(mesh, r);
        else
            send(mesh, r);
    }
    sp_request_flush(mesh);
}

sp_instant sp_request_deadline(const struct sp_mesh *mesh) {
    const struct sp_uplink *up = &mesh->uplink;
    bool is_up = sp_uplink_up(mesh);
    sp_instant at = SP_NEVER;
    bool profiling = false;
    for (unsigned i = 0; i < SP_UPLINK_REQUESTS; i++) {
        const struct sp_request *r = &up->requests[i];
        if (r->kind == SP_REQ_FREE)
            continue;
        profiling = profiling || r->kind == SP_REQ_PROFILE;
        at = sp_instant_min(at, is_up ? r->at : r->born + SP_UPLINK_WAIT);
    }
    if (is_up && !profiling)
        at = sp_instant_min(at, up->profile_at);
    if (is_up && up->pull_wanted && !up->pulling)
        at = sp_instant_min(at, up->pull_at == SP_NEVER ? mesh->now : up->pull_at);
    return at;
}

void sp_request_clear(struct sp_mesh *mesh) {
    for (unsigned i = 0; i < SP_UPLINK_REQUESTS; i++) {
        struct sp_request *r = &mesh->uplink.requests[i];
        if (r->kind == SP_REQ_CONNECT)
            r->peer->asking = false;
        if (r->kind == SP_REQ_ASK)
            sp_lookup_reply(mesh, r->lookup, NULL, 0);
        r->kind = SP_REQ_FREE;
    }
    sp_lookup_named(mesh, NULL, SP_ERR_AGAIN);
}
