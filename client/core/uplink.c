#include "client/core/uplink.h"

#include "client/core/mesh.h"
#include "proto/control/tunnel.h"

const char *sp_uplink_state_text(unsigned state) {
    switch (state) {
#define X(name, text)                                                                                                  \
    case SP_UPLINK_##name:                                                                                             \
        return text;
        SP_UPLINK_STATE_LIST(X)
#undef X
    }
    return "?";
}

void sp_uplink_init(struct sp_mesh *mesh) {
    struct sp_uplink *up = &mesh->uplink;
    sp_path_init(&up->path, NULL, SP_TACTIC_RELAY);
    up->retry_at = up->tcp_at = up->udp_at = up->profile_at = up->pull_at = SP_NEVER;
    up->next_id = (uint16_t)sp_rng_u32(&mesh->rng);
    up->next_stream = SP_CONNECT_ID;
}

bool sp_uplink_up(const struct sp_mesh *mesh) {
    return mesh->uplink.state == SP_UPLINK_UP;
}

bool sp_uplink_hop(const struct sp_mesh *mesh, struct sp_hop *ret) {
    const struct sp_uplink *up = &mesh->uplink;
    *ret = (struct sp_hop){.stream = up->tcp, .dst = up->path.addr};
    return up->tcp ? up->stream_open : up->path.addr.family != 0;
}

/* ---- connecting ---- */

static void close_stream(struct sp_mesh *mesh) {
    struct sp_uplink *up = &mesh->uplink;
    if (up->stream_open || up->stream_asked) {
        struct sp_out item = {.kind = SP_OUT_STREAM_RESET, .id = up->stream};
        (void)sp_outgoing_add(&mesh->out, &item);
    }
    up->stream_open = up->stream_asked = up->stream_wanted = up->tcp = false;
    up->frame.head_len = 0;
}

/* Starts over: a handshake now, to all addresses. What was agreed before stays in use until the new one is there. */
static void connect(struct sp_mesh *mesh) {
    struct sp_uplink *up = &mesh->uplink;
    if (up->state != SP_UPLINK_CONNECTING) {
        up->attempts = 0;
        up->tcp_at = sp_instant_add(mesh->now, mesh->config.no_udp ? 0 : SP_UPLINK_TCP_AFTER);
    }
    up->state = SP_UPLINK_CONNECTING;
    up->retry_at = mesh->now;
}

/* 0.5, 1, 2, 4, ... s, and up to a quarter more. */
static sp_duration retry_delay(struct sp_mesh *mesh) {
    unsigned k = mesh->uplink.attempts < 6 ? mesh->uplink.attempts : 6;
    sp_duration d = (500 * SP_MS) << k;
    d = d < SP_UPLINK_RETRY_MAX ? d : SP_UPLINK_RETRY_MAX;
    return d + sp_rng_below(&mesh->rng, d / 4);
}

static void attempt(struct sp_mesh *mesh) {
    struct sp_uplink *up = &mesh->uplink;
    up->retry_at = mesh->now + retry_delay(mesh);
    if (up->attempts++ > 0)
        up->last_err = SP_ERR_AGAIN;
    up->udp_too = true;
    sp_wg_peer_handshake(mesh->wg, up->wg, true, mesh->now);
    sp_mesh_pump(mesh);
}

void sp_uplink_start(struct sp_mesh *mesh) {
    if (mesh->uplink.state == SP_UPLINK_DOWN)
        connect(mesh);
}

void sp_uplink_registered(struct sp_mesh *mesh) {
    struct sp_uplink *up = &mesh->uplink;
    if (up->state == SP_UPLINK_CONNECTING && up->attempts > 0) {
        up->attempts = 0;
        up->retry_at = mesh->now;
    }
}

void sp_uplink_stop(struct sp_mesh *mesh) {
    struct sp_uplink *up = &mesh->uplink;
    close_stream(mesh);
    sp_request_clear(mesh);
    sp_wg_peer_reset(mesh->wg, up->wg);
    up->state = SP_UPLINK_DOWN;
    up->have_seq = up->pulling = up->pull_wanted = false;
    up->retry_at = up->tcp_at = up->udp_at = up->profile_at = up->pull_at = SP_NEVER;
    sp_path_init(&up->path, NULL, SP_TACTIC_RELAY);
}

/* An initiation of ours. Sent to every address while we look for the signpost: it answers the first that arrives and
 * drops the others as replays, so the fastest way wins. */
void sp_uplink_handshake(struct sp_mesh *mesh, const uint8_t *msg, size_t len) {
    struct sp_uplink *up = &mesh->uplink;
    struct sp_hop hop;
    if (up->stream_open && (up->state == SP_UPLINK_CONNECTING || (up->tcp && !up->udp_too))) {
        hop = (struct sp_hop){.stream = true};
        sp_hop_send(mesh, &hop, msg, len);
    }
    if (!up->udp_too && sp_uplink_hop(mesh, &hop)) {
        if (!hop.stream)
            sp_hop_send(mesh, &hop, msg, len);
        return;
    }
    up->udp_too = false;
    for (unsigned i = 0; i < mesh->signpost_count && !mesh->config.no_udp; i++) {
        hop = (struct sp_hop){.dst = mesh->signposts[i]};
        sp_hop_send(mesh, &hop, msg, len);
    }
}

static void ping(struct sp_mesh *mesh, uint16_t size, uint64_t cookie) {
    struct sp_probe ping = {.kind = SP_PROBE_PING, .size = size, .cookie = cookie};
    struct sp_hop hop;
    if (!sp_uplink_hop(mesh, &hop))
        return;
    size_t len = sp_probe_write(&ping, mesh->scratch, sizeof mesh->scratch);
    mesh->out.last_open = false; /* what is too big for the way must not take others down with it */
    (void)sp_send_plain(mesh, mesh->uplink.wg, &hop, mesh->scratch, len);
    mesh->out.last_open = false;
}

/* Whether the way to the signpost carries full packets: asked once a network, for who wants to know. */
static void full_size(struct sp_mesh *mesh) {
    struct sp_path *path = &mesh->uplink.path;
    uint64_t cookie = sp_rng_u64(&mesh->rng) | 1;
    if (path->pmtu.state == SP_PMTU_PROBING && sp_pmtu_due(&path->pmtu, mesh->now, path->rtt, cookie))
        ping(mesh, SP_PATH_FULL, cookie);
}

uint16_t sp_uplink_mtu(const struct sp_mesh *mesh) {
    const struct sp_path *path = &mesh->uplink.path;
    if (path->pmtu.state != SP_PMTU_FULL || mesh->uplink.tcp)
        return 0;
    return (uint16_t)(SP_PATH_FULL + SP_WG_OVERHEAD + 8 + (path->addr.family == 6 ? 40 : 20));
}

static void path_step(struct sp_mesh *mesh, enum sp_path_on on) {
    struct sp_uplink *up = &mesh->uplink;
    bool relaying = up->relayed_at != 0 && mesh->now < up->relayed_at + 5 * SP_SEC;
    struct sp_path_now n = {.now = mesh->now, .interest = SP_INTEREST_DATA, .used = relaying, .keep = true};
    unsigned was = up->path.state;
    if (sp_path_step(&up->path, on, &n))
        ping(mesh, SP_PROBE_PING_MIN, sp_path_cookie(&up->path, &mesh->rng, mesh->now));
    /* No PONG: the way is broken, or the signpost has forgotten us. A handshake heals both. */
    bool silent = up->path.state == SP_PATH_SUSPECT || up->path.state == SP_PATH_RESTING;
    if (up->state == SP_UPLINK_UP && silent && up->path.state != was)
        connect(mesh);
}

void sp_uplink_keyed(struct sp_mesh *mesh, const struct sp_hop *from) {
    struct sp_uplink *up = &mesh->uplink;
    if (!from->stream && up->stream_open)
        close_stream(mesh);
    up->tcp = from->stream;
    if (!from->stream)
        up->path.addr = from->dst;
    if (up->state != SP_UPLINK_UP) {
        up->since = mesh->now;
        up->profile_known = false; /* perhaps it has started anew, and knows nothing of us */
    }
    up->state = SP_UPLINK_UP;
    up->last_err = SP_OK;
    up->attempts = 0;
    up->retry_at = up->tcp_at = SP_NEVER;
    up->udp_at = up->tcp && !mesh->config.no_udp ? mesh->now + SP_UPLINK_UDP_EVERY : SP_NEVER;
    if (up->path.state == SP_PATH_VALID || up->path.state == SP_PATH_SUSPECT)
        up->path.state = SP_PATH_RESTING; /* ask anew, at once */
    /* The first message under a new keypair tells the signpost that it is good, and where we are. */
    path_step(mesh, SP_PATH_ON_CHECK);
    if (up->path.pmtu.state == SP_PMTU_UNKNOWN && !up->tcp)
        sp_pmtu_begin(&up->path.pmtu, mesh->now);
    if (mesh->port != 0 && !mesh->netcheck.ran)
        sp_netcheck_wish(mesh);
    up->profile_due = true;
    if (!up->have_seq)
        up->pull_wanted = true;
    up->profile_at = mesh->now;
    sp_request_flush(mesh);
}

void sp_uplink_heard(struct sp_mesh *mesh, const struct sp_hop *from) {
    mesh->uplink.path.heard_at = mesh->now;
}

void sp_uplink_probe(struct sp_mesh *mesh, const struct sp_hop *from, const struct sp_probe *probe) {
    struct sp_uplink *up = &mesh->uplink;
    if (probe->kind == SP_PROBE_PONG && sp_pmtu_pong(&up->path.pmtu, probe, mesh->now))
        sp_uplink_profile(mesh);
    if (probe->kind != SP_PROBE_PONG || !sp_path_answers(&up->path, probe->cookie, mesh->now))
        return;
    bool elsewhere = !from->stream && !up->tcp && memcmp(&from->dst, &up->path.addr, sizeof from->dst) != 0;
    if (elsewhere)
        up->path.addr = from->dst;
    path_step(mesh, SP_PATH_ON_PONG);
    up->state = SP_UPLINK_UP;
    up->attempts = 0;
    up->retry_at = up->tcp_at = SP_NEVER;
    if (!from->stream && probe->seen.family != 0 && memcmp(&up->seen, &probe->seen, sizeof up->seen) != 0) {
        up->seen = probe->seen;
        sp_netcheck_wish(mesh);
        up->profile_due = true;
        up->profile_at = mesh->now;
    }
    sp_request_flush(mesh);
    for (struct sp_peer *p = mesh->first; p != NULL; p = p->older)
        sp_peer_uplink_heard(mesh, p);
}

void sp_uplink_check(struct sp_mesh *mesh) {
    if (sp_uplink_up(mesh))
        path_step(mesh, SP_PATH_ON_CHECK);
}

/* Another network: the signpost hears of it by the PING. A stream of the old one hardly lives. */
void sp_uplink_moved(struct sp_mesh *mesh) {
    struct sp_uplink *up = &mesh->uplink;
    if (up->state == SP_UPLINK_DOWN)
        return;
    if (up->tcp) {
        close_stream(mesh);
        up->state = SP_UPLINK_DOWN;
        connect(mesh);
        return;
    }
    if (up->state == SP_UPLINK_CONNECTING) {
        up->attempts = 0;
        up->retry_at = mesh->now;
        return;
    }
    up->profile_due = true;
    sp_pmtu_begin(&up->path.pmtu, mesh->now);
    sp_uplink_check(mesh);
}

/* ---- time ---- */

void sp_uplink_expire(struct sp_mesh *mesh) {
    struct sp_uplink *up = &mesh->uplink;
    if (up->state == SP_UPLINK_DOWN)
        return;
    if (mesh->now >= up->tcp_at) {
        up->tcp_at = SP_NEVER;
        if (up->state == SP_UPLINK_CONNECTING && !up->stream_asked) {
            close_stream(mesh); /* one that is open brings nothing: a NAT or the signpost may have forgotten it */
            up->stream_wanted = mesh->signpost_count > 0;
        }
    }
    if (mesh->now >= up->udp_at) {
        up->udp_at = mesh->now + SP_UPLINK_UDP_EVERY;
        up->udp_too = true;
        sp_wg_peer_handshake(mesh->wg, up->wg, true, mesh->now);
        sp_mesh_pump(mesh);
    }
    if (mesh->now >= up->path.next_at)
        path_step(mesh, SP_PATH_ON_DUE);
    if (mesh->now >= up->retry_at)
        attempt(mesh);
    if (up->state == SP_UPLINK_UP)
        full_size(mesh);
    sp_request_expire(mesh);
}

sp_instant sp_uplink_deadline(const struct sp_mesh *mesh) {
    const struct sp_uplink *up = &mesh->uplink;
    if (up->state == SP_UPLINK_DOWN)
        return SP_NEVER;
    sp_instant at =
        sp_instant_min(sp_instant_min(up->retry_at, up->tcp_at), sp_instant_min(up->udp_at, up->path.next_at));
    if (up->state == SP_UPLINK_UP && up->path.pmtu.state == SP_PMTU_PROBING)
        at = sp_instant_min(at, up->path.pmtu.next);
    return sp_instant_min(at, sp_request_deadline(mesh));
}

bool sp_uplink_event(struct sp_mesh *mesh, struct sp_event *ret) {
    struct sp_uplink *up = &mesh->uplink;
    if (!up->stream_wanted)
        return false;
    up->stream_wanted = false;
    up->stream_asked = true;
    up->stream = ++up->next_stream;
    *ret = (struct sp_event){.kind = SP_EV_CONNECT, .id = up->stream};
    ret->addr = mesh->signposts[up->stream_addr++ % mesh->signpost_count];
    return true;
}

/* ---- the stream ---- */

static void stream_bytes(struct sp_mesh *mesh, struct sp_rd *rd) {
    struct sp_uplink_frame *f = &mesh->uplink.frame;
    while (sp_rd_left(rd) > 0) {
        if (f->head_len < sizeof f->head) {
            f->head[f->head_len++] = sp_rd_u8(rd);
            f->want = sp_get_u16(f->head);
            f->have = 0;
            if (f->head_len == sizeof f->head && f->want == 0)
                f->head_len = 0;
            continue;
        }
        size_t n = (size_t)(f->want - f->have);
        n = n < sp_rd_left(rd) ? n : sp_rd_left(rd);
        const uint8_t *p = sp_rd_bytes(rd, n);
        if (f->want <= sizeof f->data)
            memcpy(f->data + f->have, p, n);
        f->have = (uint16_t)(f->have + n);
        if (f->have < f->want)
            continue;
        f->head_len = 0;
        if (f->want <= sizeof f->data)
            sp_receive_stream(mesh, f->data, f->want);
        else
            mesh->counts.dropped_stream++;
    }
}

static void stream_closed(struct sp_mesh *mesh) {
    struct sp_uplink *up = &mesh->uplink;
    bool used = up->tcp;
    up->stream_open = up->stream_asked = up->tcp = false;
    up->frame.head_len = 0;
    if (up->state == SP_UPLINK_UP && used) {
        up->path.addr = (struct sp_addr){0};
        connect(mesh);
    } else if (up->state == SP_UPLINK_CONNECTING) {
        up->tcp_at = mesh->now + SP_UPLINK_TCP_AFTER;
    }
}

void sp_uplink_stream(struct sp_mesh *mesh, const struct sp_in *in) {
    struct sp_uplink *up = &mesh->uplink;
    if (in->id != up->stream || (!up->stream_asked && !up->stream_open))
        return;
    struct sp_rd rd = sp_rd_init(in->data, in->len);
    switch (in->kind) {
    case SP_IN_STREAM_OPEN:
        up->stream_asked = false;
        up->stream_open = true;
        up->credit = in->credit;
        up->frame.head_len = 0;
        if (up->state == SP_UPLINK_CONNECTING) {
            up->tcp_at = mesh->now + (SP_UPLINK_TCP_AFTER << (up->attempts < 6 ? up->attempts / 2 : 3));
            attempt(mesh);
        }
        break;
    case SP_IN_STREAM_DATA:
        stream_bytes(mesh, &rd);
        break;
    case SP_IN_STREAM_CREDIT:
        up->credit += in->credit;
        break;
    default:
        stream_closed(mesh);
    }
}
