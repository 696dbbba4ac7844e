/* How pairs come about: a program asks the proxy or comes to a forward, and a device is looked up and connected; or a
 * peer comes to a served port, and the local server is connected. */
#include "client/core/mesh.h"

static void set_timer(struct sp_mesh *mesh, struct sp_pair *pair, sp_duration most) {
    sp_timer_set(&mesh->userspace->timers, &pair->timer, sp_instant_add(mesh->now, most));
}

/* ---- refusing ---- */

/* A program without words for it sees its connection reset. */
void sp_dial_fail(struct sp_mesh *mesh, struct sp_pair *pair, enum sp_proxy_result why) {
    uint8_t answer[SP_PROXY_ANSWER_MAX];
    mesh->userspace->counts.refusals[why]++;
    if (pair->conn != NULL)
        sp_tcp_reset(mesh->userspace->tcp, mesh->now, pair->conn);
    pair->conn = NULL;
    size_t len =
        pair->kind == SP_PAIR_PROXY ? sp_proxy_answer(pair->proxy, pair->greeted, why, answer, sizeof answer) : 0;
    sp_pair_say(mesh, pair, answer, len);
    pair->fate = len > 0 ? SP_PAIR_CLOSES : SP_PAIR_RESETS;
    sp_timer_cancel(&mesh->userspace->timers, &pair->timer);
    sp_pair_mark(mesh, pair);
}

void sp_dial_late(struct sp_mesh *mesh, struct sp_pair *pair) {
    const struct sp_dir_entry *e = sp_directory_addr(mesh->dir, pair->addr);
    switch ((enum sp_pair_state)pair->state) {
    case SP_PAIR_ASKING:
        mesh->userspace->counts.local_silent++;
        sp_pair_break(mesh, pair);
        break;
    case SP_PAIR_NAMING:
        sp_dial_fail(mesh, pair, SP_PROXY_NO_SESSION);
        break;
    case SP_PAIR_CONNECTING:
        sp_dial_fail(mesh, pair,
                     e != NULL && e->peer != NULL && sp_peer_up(mesh, e->peer) ? SP_PROXY_NO_ANSWER : SP_PROXY_NO_PATH);
        break;
    case SP_PAIR_LOCAL:
        mesh->userspace->counts.local_failed++;
        sp_pair_break(mesh, pair);
        break;
    case SP_PAIR_FLOWING:
        break;
    }
}

/* ---- a device ---- */

void sp_dial_connect(struct sp_mesh *mesh, struct sp_pair *pair, struct sp_dir_entry *e) {
    struct sp_userspace *us = mesh->userspace;
    struct sp_addr local = {.family = 6}, remote = {.family = 6, .port = pair->port};
    if (sp_name_equal(&e->name, &mesh->self) || sp_name_equal(&e->name, &mesh->signpost)) {
        sp_dial_fail(mesh, pair, sp_name_equal(&e->name, &mesh->self) ? SP_PROXY_SELF : SP_PROXY_SIGNPOST);
        return;
    }
    memcpy(local.ip, mesh->addr, 16);
    memcpy(remote.ip, e->overlay, 16);
    memcpy(pair->addr, e->overlay, 16);
    pair->state = SP_PAIR_CONNECTING;
    struct sp_peer *p = sp_peer_get(mesh, e);
    if (p == NULL || sp_tcp_connect(us->tcp, mesh->now, &local, &remote, 0, &pair->conn) != SP_OK) {
        pair->conn = NULL;
        sp_dial_fail(mesh, pair, SP_PROXY_FULL);
        return;
    }
    sp_tcp_set_user(pair->conn, pair);
    sp_peer_want(mesh, p, SP_INTEREST_DATA);
}

void sp_dial_name(struct sp_mesh *mesh, struct sp_pair *pair) {
    bool by_name = pair->name.len > 0;
    struct sp_dir_entry *e =
        by_name ? sp_directory_name(mesh->dir, &pair->name) : sp_directory_addr(mesh->dir, pair->addr);
    if (pair->state != SP_PAIR_NAMING) {
        pair->state = SP_PAIR_NAMING;
        set_timer(mesh, pair, SP_USERSPACE_DIAL_FOR);
    }
    if (e != NULL) {
        sp_dial_connect(mesh, pair, e);
    } else if (!by_name) {
        sp_uplink_pull(mesh); /* it may be new */
        sp_dial_fail(mesh, pair, SP_PROXY_NO_NAME);
    } else if (sp_directory_is_absent(mesh->dir, &pair->name, mesh->now)) {
        sp_dial_fail(mesh, pair, SP_PROXY_NO_NAME);
    } else if (sp_uplink_up(mesh)) {
        pair->asked = true;
        if (!sp_uplink_key(mesh, &pair->name))
            sp_dial_fail(mesh, pair, SP_PROXY_FULL);
    } else if (mesh->uplink.state != SP_UPLINK_CONNECTING) {
        sp_dial_fail(mesh, pair, SP_PROXY_NO_SESSION);
    } else {
        sp_pair_mark(mesh, pair); /* asked when the session is there */
    }
}

void sp_dial_connected(struct sp_mesh *mesh, struct sp_pair *pair) {
    uint8_t answer[SP_PROXY_ANSWER_MAX];
    if (pair->kind == SP_PAIR_PROXY) {
        size_t len = sp_proxy_answer(pair->proxy, true, SP_PROXY_OK, answer, sizeof answer);
        sp_pair_say(mesh, pair, answer, len);
    }
    sp_pair_flow(mesh, pair);
}

/* ---- a program ---- */

static bool is_at(const struct sp_addr *listens, const struct sp_addr *reached) {
    static const uint8_t any[16];
    return listens->port == reached->port && listens->family == reached->family &&
           (memcmp(listens->ip, any, 16) == 0 || memcmp(listens->ip, reached->ip, 16) == 0);
}

static void not_ours(struct sp_mesh *mesh, uint64_t stream) {
    struct sp_out item = {.kind = SP_OUT_STREAM_RESET, .id = stream};
    (void)sp_outgoing_add(&mesh->out, &item);
}

static void ask_room(struct sp_mesh *mesh, struct sp_pair *pair) {
    struct sp_out item = {.kind = SP_OUT_STREAM_CREDIT, .id = pair->stream, .credit = SP_PROXY_ASK_MAX};
    pair->ask = sp_mem_alloc(&mesh->mem, SP_PROXY_ASK_MAX);
    if (pair->ask == NULL || !sp_outgoing_add(&mesh->out, &item)) {
        mesh->userspace->counts.refused_full++;
        sp_pair_break(mesh, pair);
        return;
    }
    pair->by_credit = true;
    set_timer(mesh, pair, SP_USERSPACE_ASK_FOR);
}

void sp_dial_opened(struct sp_mesh *mesh, const struct sp_in *in) {
    const struct sp_userspace_config *c = &mesh->config.userspace;
    bool proxy = false;
    unsigned at = 0;
    for (unsigned i = 0; i < c->proxy_count; i++)
        proxy = proxy || is_at(&c->proxies[i], &in->dst);
    while (!proxy && at < c->forward_count && !is_at(&c->forwards[at].listen, &in->dst))
        at++;
    mesh->userspace->counts.unknown += !proxy && at == c->forward_count;
    struct sp_pair *pair =
        proxy || at < c->forward_count ? sp_pair_new(mesh, proxy ? SP_PAIR_PROXY : SP_PAIR_FORWARD, in->id) : NULL;
    if (pair == NULL) {
        not_ours(mesh, in->id);
        return;
    }
    pair->credit = in->credit;
    if (proxy) {
        ask_room(mesh, pair);
        return;
    }
    pair->name = c->forwards[at].name;
    pair->port = c->forwards[at].port;
    pair->state = SP_PAIR_ASKING; /* what it asks for is known */
    sp_pair_mark(mesh, pair);
    sp_dial_name(mesh, pair);
}

/* Where the request leads. */
static void aim(struct sp_mesh *mesh, struct sp_pair *pair, const struct sp_proxy_ask *ask) {
    bool overlay = ask->family == 6 && memcmp(ask->ip, mesh->addr, 8) == 0;
    pair->port = ask->port;
    if (ask->host == NULL) {
        memcpy(pair->addr, ask->ip, 16);
        if (!overlay)
            sp_dial_fail(mesh, pair, SP_PROXY_OUTSIDE);
        else
            sp_dial_name(mesh, pair);
    } else if (!sp_directory_read(&mesh->zone, ask->host, ask->host_len, &pair->name)) {
        pair->name.len = 0;
        sp_dial_fail(mesh, pair, SP_PROXY_OUTSIDE);
    } else {
        sp_dial_name(mesh, pair);
    }
}

/* What the program has said behind its request is for the device. */
static void keep_rest(struct sp_mesh *mesh, struct sp_pair *pair, size_t used) {
    uint8_t *ask = pair->ask;
    size_t rest = pair->ask_len - used;
    pair->ask = NULL;
    if (rest > 0)
        sp_pair_local_data(mesh, pair, ask + used, rest);
    sp_mem_free(&mesh->mem, ask, SP_PROXY_ASK_MAX);
}

void sp_dial_asked(struct sp_mesh *mesh, struct sp_pair *pair, const uint8_t *data, size_t len) {
    static const uint8_t no_auth[2] = {5, 0};
    struct sp_proxy_ask ask;
    enum sp_proxy_result why = SP_PROXY_FORM;
    size_t n = len < SP_PROXY_ASK_MAX - pair->ask_len ? len : SP_PROXY_ASK_MAX - pair->ask_len;
    memcpy(pair->ask + pair->ask_len, data, n);
    pair->ask_len += n;
    pair->allowed = SP_PROXY_ASK_MAX - pair->ask_len;
    sp_err err = sp_proxy_read(&ask, pair->ask, pair->ask_len, &why);
    pair->proxy = (uint8_t)ask.kind;
    if (ask.greeted && !pair->greeted)
        sp_pair_say(mesh, pair, no_auth, sizeof no_auth);
    pair->greeted = ask.greeted;
    if (err == SP_ERR_SHORT && pair->ask_len < SP_PROXY_ASK_MAX)
        return;
    if (err != SP_OK) {
        sp_dial_fail(mesh, pair, why);
        return;
    }
    size_t allowed = pair->allowed; /* of the request's room, and still given */
    aim(mesh, pair, &ask);
    pair->allowed = allowed + (pair->ask_len - ask.used);
    keep_rest(mesh, pair, ask.used);
}

/* ---- a peer ---- */

static unsigned by_peer(const struct sp_userspace *us, const uint8_t addr[16]) {
    unsigned n = 0;
    for (const struct sp_ring *r = us->all.next; r != &us->all; r = r->next) {
        const struct sp_pair *pair = SP_CONTAINER(r, struct sp_pair, all);
        n += pair->kind == SP_PAIR_SERVE && memcmp(pair->addr, addr, 16) == 0;
    }
    return n;
}

void sp_dial_accept(struct sp_mesh *mesh, struct sp_tcp_conn *conn) {
    struct sp_userspace *us = mesh->userspace;
    struct sp_addr local, remote;
    sp_tcp_ends(conn, &local, &remote);
    bool greedy = by_peer(us, remote.ip) >= SP_USERSPACE_PEER;
    us->counts.refused_peer += greedy;
    struct sp_pair *pair = greedy ? NULL : sp_pair_new(mesh, SP_PAIR_SERVE, ++us->next_stream);
    if (pair == NULL) {
        sp_tcp_reset(us->tcp, mesh->now, conn);
        return;
    }
    memcpy(pair->addr, remote.ip, 16);
    pair->conn = conn;
    pair->port = local.port;
    pair->state = SP_PAIR_LOCAL;
    pair->connect = true;
    sp_tcp_set_user(conn, pair);
    set_timer(mesh, pair, SP_USERSPACE_LOCAL_FOR);
    sp_pair_mark(mesh, pair);
}
