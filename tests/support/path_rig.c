#include "tests/support/path_rig.h"

#include <stdlib.h>

#include "proto/control/tunnel.h"
#include "proto/dns/rrtype.h"

static const struct sp_addr post = {.family = 4, .ip = {198, 51, 100, 2}, .port = 53};

static void must(bool ok, const char *what) {
    if (!ok)
        sp_panic(__FILE__, __LINE__, what);
}

static void *copy(const void *data, size_t len) {
    void *p = malloc(len > 0 ? len : 1);
    if (len > 0)
        memcpy(p, data, len);
    return p;
}

/* ---- the network ---- */

static void fly(struct path_rig *p, const struct path_flight *f, const void *data, size_t len) {
    for (unsigned i = 0; i < PATH_FLIGHTS; i++) {
        struct path_flight *slot = &p->flights[i];
        if (slot->used)
            continue;
        *slot = *f;
        slot->used = true;
        slot->order = p->order++;
        slot->at = p->r.now + p->delay;
        slot->data = copy(data, len);
        slot->len = len;
        return;
    }
    must(false, "too much in flight");
}

static unsigned place_of(const struct path_rig *p, const struct sp_addr *dst) {
    if (memcmp(dst->ip, post.ip, sizeof post.ip) == 0)
        return PATH_POST;
    for (unsigned i = 0; i < 2; i++) {
        const struct nat *nat = p->n[i].nat;
        const struct sp_addr *outside = nat != NULL ? &nat_config(nat)->outside : &p->n[i].inside;
        if (memcmp(outside->ip, dst->ip, sizeof dst->ip) == 0)
            return i;
    }
    return 99;
}

static void datagram(struct path_rig *p, unsigned from, struct sp_addr src, struct sp_addr dst, const uint8_t *data,
                     size_t len) {
    struct sp_addr other;
    unsigned to = place_of(p, &dst);
    p->elsewhere += to > PATH_POST;
    if (to > PATH_POST || (p->mtu != 0 && len + 28 > p->mtu))
        return;
    if (from != PATH_POST) {
        if (p->n[from].udp_blocked)
            return;
        if (p->n[from].nat != NULL && nat_out(p->n[from].nat, 17, &src, &dst, p->r.now, &src, &other) != NAT_PASS)
            return;
    }
    bool direct = from != PATH_POST && to != PATH_POST;
    if (direct ? p->no_direct : p->no_post)
        return;
    if (to != PATH_POST && p->n[to].udp_blocked)
        return;
    p->dice = p->dice * 1103515245u + 12345u;
    if ((p->dice >> 8) % 1000 < p->lose)
        return;
    *(direct ? &p->direct : &p->relayed) += 1;
    struct path_flight f = {.to = to, .kind = SP_IN_DATAGRAM, .src = src, .dst = dst};
    fly(p, &f, data, len);
}

static void datagrams(struct path_rig *p, unsigned from, struct sp_addr src, const struct sp_addr *dst,
                      const uint8_t *data, size_t len, size_t segment) {
    size_t each = segment != 0 ? segment : len;
    for (size_t at = 0; at < len; at += each)
        datagram(p, from, src, *dst, data + at, len - at < each ? len - at : each);
}

static void arrive(struct path_rig *p, struct path_flight *f) {
    struct sp_in in = {
        .kind = f->kind, .id = f->id, .data = f->data, .len = f->len, .src = f->src, .dst = f->dst, .credit = 1 << 20};
    if (f->to == PATH_POST) {
        rig_in(&p->r, &in, 1);
        rig_turn(&p->r);
        return;
    }
    struct path_node *n = &p->n[f->to];
    if (in.kind == SP_IN_DATAGRAM) {
        in.dst = n->inside;
        if (n->nat != NULL && (nat_in(n->nat, 17, &f->src, &f->dst, p->r.now, &in.dst) != NAT_PASS ||
                               memcmp(&in.dst, &n->inside, sizeof in.dst) != 0))
            return;
    }
    path_input(p, f->to, &in);
}

/* ---- outputs ---- */

static void keep(struct path_rig *p, struct path_node *n, const struct sp_out *out) {
    must(n->got_count < PATH_PACKETS, "too many packets");
    n->got[n->got_count++] = (struct path_packet){copy(out->data, out->len), out->len, p->r.now};
}

static void keep_reply(uint8_t **data, size_t *len, bool *have, const struct sp_out *out) {
    free(*data);
    *data = copy(out->data, out->len);
    *len = out->len;
    *have = true;
}

static void stream_out(struct path_rig *p, unsigned i, const struct sp_out *out) {
    struct path_node *n = &p->n[i];
    struct path_flight f = {.to = PATH_POST, .id = n->stream_peer};
    if (out->id != n->stream && p->on_stream != NULL) {
        p->on_stream(p, i, out);
        return;
    }
    f.kind = out->kind == SP_OUT_STREAM_DATA ? SP_IN_STREAM_DATA : SP_IN_STREAM_CLOSE;
    if (n->stream == out->id && n->stream != 0 && !p->no_post)
        fly(p, &f, out->data, out->len);
}

static void drain_agent(struct path_rig *p, unsigned i) {
    struct path_node *n = &p->n[i];
    struct sp_out out;
    struct sp_event ev;
    while (n->agent != NULL && sp_agent_output(n->agent, p->r.now, p->r.wall, &out, 1) > 0) {
        if (out.kind == SP_OUT_DATAGRAM) {
            n->sent_bytes += out.len;
            datagrams(p, i, n->inside, &out.dst, out.data, out.len, out.segment);
        } else if (out.kind == SP_OUT_PACKET) {
            keep(p, n, &out);
        } else if (out.kind == SP_OUT_RESOLVED) {
            keep_reply(&n->resolved, &n->resolved_len, &n->have_resolved, &out);
        } else if (out.kind == SP_OUT_CONTROL) {
            keep_reply(&n->reply, &n->reply_len, &n->have_reply, &out);
        } else {
            stream_out(p, i, &out);
        }
    }
    while (n->agent != NULL && sp_agent_event(n->agent, &ev)) {
        if (ev.kind == SP_EV_FORWARD) {
            n->forward = ev;
            memcpy(n->forward_query, ev.data, ev.len);
        } else if (ev.kind == SP_EV_CONNECT && (ev.id & SP_USERSPACE_ID) != 0) {
            p->on_connect(p, i, &ev);
        } else if (ev.kind == SP_EV_CONNECT && !p->no_post) {
            n->stream = ev.id;
            n->stream_peer = 1000 + 10 * ++p->order + i;
            struct path_flight here = {.to = i, .kind = SP_IN_STREAM_OPEN, .id = ev.id}, there = here;
            there.to = PATH_POST;
            there.id = n->stream_peer;
            there.src = n->inside;
            there.dst = post;
            fly(p, &there, NULL, 0);
            fly(p, &here, NULL, 0);
        }
    }
}

static void drain_post(struct path_rig *p) {
    for (size_t k = 0; k < p->r.count; k++) {
        const struct rig_out *out = &p->r.outs[k];
        if (out->kind == SP_OUT_DATAGRAM) {
            datagrams(p, PATH_POST, post, &out->dst, out->data, out->len, 0);
            continue;
        }
        for (unsigned i = 0; i < 2; i++) {
            if (p->n[i].stream == 0 || out->id != p->n[i].stream_peer || p->no_post)
                continue;
            struct path_flight f = {.to = i, .id = p->n[i].stream};
            f.kind = out->kind == SP_OUT_STREAM_DATA ? SP_IN_STREAM_DATA : SP_IN_STREAM_CLOSE;
            fly(p, &f, out->data, out->len);
        }
    }
    rig_forget(&p->r);
}

/* ---- time ---- */

static struct path_flight *next_flight(struct path_rig *p) {
    struct path_flight *best = NULL;
    for (unsigned i = 0; i < PATH_FLIGHTS; i++) {
        struct path_flight *f = &p->flights[i];
        if (f->used && (best == NULL || f->at < best->at || (f->at == best->at && f->order < best->order)))
            best = f;
    }
    return best;
}

static sp_instant next_at(struct path_rig *p) {
    struct path_flight *f = next_flight(p);
    sp_instant at = sp_instant_min(f != NULL ? f->at : SP_NEVER, sp_server_deadline(p->r.s));
    for (unsigned i = 0; i < 2; i++)
        if (p->n[i].agent != NULL)
            at = sp_instant_min(at, sp_agent_deadline(p->n[i].agent));
    return at;
}

static void turn(struct path_rig *p) {
    struct path_flight *f;
    for (unsigned round = 0;; round++) {
        must(round < 10000, "time stands still");
        bool moved = false;
        while ((f = next_flight(p)) != NULL && f->at <= p->r.now) {
            struct path_flight one = *f;
            f->used = false;
            arrive(p, &one);
            free(one.data);
            drain_post(p);
            moved = true;
        }
        for (unsigned i = 0; i < 2; i++) {
            if (p->n[i].agent == NULL)
                continue;
            if (sp_agent_deadline(p->n[i].agent) <= p->r.now) {
                sp_agent_expire(p->n[i].agent, p->r.now, p->r.wall);
                moved = true;
            }
            drain_agent(p, i);
        }
        if (!moved)
            return;
    }
}

void path_pass(struct path_rig *p, sp_duration how_long) {
    sp_instant until = p->r.now + how_long;
    turn(p);
    while (p->r.now < until) {
        sp_instant at = sp_instant_min(until, next_at(p));
        rig_wait(&p->r, at > p->r.now ? at - p->r.now : 0);
        drain_post(p);
        turn(p);
    }
}

bool path_until(struct path_rig *p, bool (*holds)(struct path_rig *p), sp_duration most) {
    for (sp_instant until = p->r.now + most; p->r.now < until; path_pass(p, 5 * SP_MS))
        if (holds(p))
            return true;
    return holds(p);
}

/* ---- hosts ---- */

void path_input(struct path_rig *p, unsigned node, const struct sp_in *in) {
    size_t taken;
    struct sp_agent *a = p->n[node].agent;
    if (a == NULL)
        return;
    must(sp_agent_input(a, p->r.now, p->r.wall, in, 1, &taken) == SP_OK && taken == 1, "an input was refused");
    drain_agent(p, node);
}

void path_links(struct path_rig *p, unsigned node) {
    struct sp_addr link = p->n[node].inside;
    link.port = 0;
    struct sp_in in = {.kind = SP_IN_LINK, .data = (const uint8_t *)&link, .len = sizeof link};
    path_input(p, node, &in);
}

void path_move(struct path_rig *p, unsigned node) {
    struct path_node *n = &p->n[node];
    struct nat_config c = *nat_config(n->nat);
    c.outside.ip[2]++;
    c.seed++;
    nat_free(n->nat);
    n->nat = nat_new(&c);
    n->inside.ip[2]++;
    path_links(p, node);
}

void path_send(struct path_rig *p, unsigned from, size_t size) {
    uint8_t packet[SP_TUNNEL_HEAD + 1500];
    struct sp_tunnel_udp u = {.sport = 4000, .dport = 5000, .len = size};
    memcpy(u.src, p->n[from].overlay, 16);
    memcpy(u.dst, p->n[!from].overlay, 16);
    for (size_t i = 0; i < size; i++)
        packet[SP_TUNNEL_HEAD + i] = (uint8_t)(i * 7 + 1);
    size_t len = sp_tunnel_udp_write(&u, packet, sizeof packet);
    must(len > 0, "a packet");
    struct sp_in in = {.kind = SP_IN_PACKET, .data = packet, .len = len};
    path_input(p, from, &in);
}

bool path_got(const struct path_rig *p, unsigned node) {
    return p->n[node].got_count > 0;
}

void path_forget(struct path_rig *p, unsigned node) {
    for (unsigned i = 0; i < p->n[node].got_count; i++)
        free(p->n[node].got[i].data);
    p->n[node].got_count = 0;
}

void path_resolve(struct path_rig *p, unsigned node, uint64_t id, const char *name, uint16_t type) {
    uint8_t query[512];
    size_t len = rig_query(query, sizeof query, (uint16_t)id, name, type, false, 0);
    query[2] |= 1; /* RD: as programs ask */
    struct sp_in in = {.kind = SP_IN_RESOLVE, .id = id, .data = query, .len = len};
    p->n[node].have_resolved = false;
    path_input(p, node, &in);
}

void path_control(struct path_rig *p, unsigned node, enum sp_agent_verb verb, const char *arg, const char *arg2) {
    uint8_t msg[512];
    struct sp_wr wr = sp_wr_init(msg, sizeof msg);
    sp_op_request_begin(&wr, (enum sp_op_verb)verb);
    if (arg != NULL)
        sp_op_arg_text(&wr, arg);
    if (arg2 != NULL)
        sp_op_arg_text(&wr, arg2);
    struct sp_in in = {.kind = SP_IN_CONTROL, .id = 7, .data = msg, .len = sp_wr_len(&wr)};
    p->n[node].have_reply = false;
    path_input(p, node, &in);
}

struct sp_peer *path_peer(struct path_rig *p, unsigned node) {
    struct sp_dir_entry *e = sp_directory_addr(p->n[node].agent->mesh->dir, p->n[!node].overlay);
    return e != NULL ? e->peer : NULL;
}

bool path_direct(struct path_rig *p, unsigned node) {
    const struct sp_peer *peer = path_peer(p, node);
    return peer != NULL && peer->chosen != SP_PATH_NONE && peer->chosen != SP_PATH_RELAY;
}

bool path_relayed(struct path_rig *p, unsigned node) {
    const struct sp_peer *peer = path_peer(p, node);
    return peer != NULL && peer->chosen == SP_PATH_RELAY;
}

/* ---- beginning and end ---- */

static void make_node(struct path_rig *p, unsigned i, const struct sp_overlay_config *config) {
    static const char *const names[] = {"laptop", "phone"};
    struct path_node *n = &p->n[i];
    struct nat_config nat = {.mapping = NAT_MAPPING_ENDPOINT,
                             .filter = NAT_FILTER_PORT,
                             .ports = NAT_PORTS_RANDOM,
                             .seed = 77 + i,
                             .outside = {.family = 4, .ip = {203, 0, (uint8_t)(113 + 10 * i), 1}}};
    char text[SP_TOKEN_TEXT_MAX + 1];
    uint8_t seed[32];
    n->inside = (struct sp_addr){.family = 4, .ip = {192, 168, (uint8_t)(1 + 20 * i), 5}, .port = 41000};
    n->nat = nat_new(&nat);
    must(rig_ctl(&p->r, SP_OP_INVITE, "me.signpost.", names[i], "86400", "198.51.100.2", NULL) == SP_OP_OK, "invite");
    must(rig_ctl_text(&p->r, "token", text, sizeof text) != NULL &&
             sp_token_read(&n->token, text, strlen(text)) == SP_OK,
         "token");
    memset(seed, (int)(8 + i), sizeof seed);
    sp_agent_identity_make(&n->config.id, &n->token, seed);
    memset(n->config.seed, (int)(6 + i), sizeof n->config.seed);
    if (config != NULL)
        n->config.overlay = *config;
    n->config.overlay.on = true;
    n->config.overlay.grant = sp_test_grant();
    n->agent = calloc(1, sp_agent_size());
    must(sp_agent_init(n->agent, &n->config, p->r.now) == SP_OK, "agent");
    must(sp_agent_join(n->agent, &n->token, p->r.now) == SP_OK, "join");
    path_pass(p, 2 * SP_SEC);
    struct sp_agent_status s;
    sp_agent_status(n->agent, &s);
    must(s.state == SP_AGENT_JOINED, "joined");
    memcpy(n->overlay, s.overlay, sizeof n->overlay);
    must(sp_agent_up(n->agent, p->r.now) == SP_OK, "up");
    path_links(p, i);
}

void path_begin(struct path_rig *p, const struct sp_overlay_config *config) {
    memset(p, 0, sizeof *p);
    p->delay = 10 * SP_MS;
    rig_init(&p->r, 256);
    rig_start(&p->r);
    must(rig_ctl(&p->r, SP_OP_ZONE_ADD, "me.signpost.", "", "198.51.100.2", NULL) == SP_OP_OK, "zone");
    rig_forget(&p->r);
    for (unsigned i = 0; i < 2; i++)
        make_node(p, i, config);
    path_pass(p, 8 * SP_SEC);
}

void path_end(struct path_rig *p) {
    for (unsigned i = 0; i < 2; i++) {
        path_forget(p, i);
        if (p->n[i].agent != NULL)
            sp_agent_wipe(p->n[i].agent);
        free(p->n[i].agent);
        free(p->n[i].resolved);
        free(p->n[i].reply);
        nat_free(p->n[i].nat);
    }
    for (unsigned i = 0; i < PATH_FLIGHTS; i++)
        if (p->flights[i].used)
            free(p->flights[i].data);
    rig_end(&p->r);
}
