/* A local stream and a connection of the overlay, and the bytes between them. Each side is read no faster than the
 * other takes: the stream by credit, the connection by its window. Ends and resets of one side become those of the
 * other. */
#include "client/core/mesh.h"

#define HOLD_MIN 2048u
#define HOLD_MAX ((size_t)2 << 20)
#define QUANTUM  (64u << 10) /* credit is given in no smaller pieces, while there is some */

/* ---- what waits ---- */

static void hold_free(struct sp_mesh *mesh, struct sp_hold *h) {
    sp_mem_free(&mesh->mem, h->data, h->cap);
    *h = (struct sp_hold){0};
}

static bool hold_grow(struct sp_mesh *mesh, struct sp_hold *h, size_t wanted) {
    size_t cap = h->cap > 0 ? h->cap : HOLD_MIN;
    while (cap < wanted)
        cap *= 2;
    uint8_t *data = cap <= HOLD_MAX ? sp_mem_alloc(&mesh->mem, cap) : NULL;
    if (data == NULL)
        return false;
    if (h->len > 0)
        memcpy(data, h->data + h->at, h->len);
    sp_mem_free(&mesh->mem, h->data, h->cap);
    h->data = data;
    h->cap = cap;
    h->at = 0;
    return true;
}

static bool hold_add(struct sp_mesh *mesh, struct sp_hold *h, const uint8_t *data, size_t len) {
    if (len == 0)
        return true;
    if (h->at + h->len + len > h->cap && h->len + len <= h->cap) {
        memmove(h->data, h->data + h->at, h->len);
        h->at = 0;
    } else if (h->at + h->len + len > h->cap && !hold_grow(mesh, h, h->len + len)) {
        return false;
    }
    memcpy(h->data + h->at + h->len, data, len);
    h->len += len;
    return true;
}

static void hold_take(struct sp_mesh *mesh, struct sp_hold *h, size_t len) {
    h->at += len;
    h->len -= len;
    if (h->len == 0 && h->data != NULL)
        hold_free(mesh, h);
}

/* ---- life ---- */

static uint64_t hash_of(const struct sp_mesh *mesh, uint64_t stream) {
    return sp_siphash(mesh->hash_key, &stream, sizeof stream);
}

struct sp_pair *sp_pair_new(struct sp_mesh *mesh, enum sp_pair_kind kind, uint64_t stream) {
    struct sp_userspace *us = mesh->userspace;
    struct sp_pair *pair = us->pairs < us->limit ? sp_mem_alloc(&mesh->mem, sizeof *pair) : NULL;
    if (pair == NULL || sp_table_add(&us->streams, &pair->link, hash_of(mesh, stream)) != SP_OK) {
        us->counts.refused_full++;
        sp_mem_free(&mesh->mem, pair, sizeof *pair);
        return NULL;
    }
    pair->kind = (uint8_t)kind;
    pair->stream = stream;
    sp_ring_init(&pair->busy);
    sp_ring_append(&us->all, &pair->all);
    us->pairs++;
    return pair;
}

struct sp_pair *sp_pair_find(const struct sp_mesh *mesh, uint64_t stream) {
    struct sp_link *l = sp_table_find(&mesh->userspace->streams, hash_of(mesh, stream));
    while (l != NULL && SP_CONTAINER(l, struct sp_pair, link)->stream != stream)
        l = sp_table_find_next(l);
    return l != NULL ? SP_CONTAINER(l, struct sp_pair, link) : NULL;
}

void sp_pair_free(struct sp_mesh *mesh, struct sp_pair *pair) {
    struct sp_userspace *us = mesh->userspace;
    if (pair->conn != NULL)
        sp_tcp_set_user(pair->conn, NULL);
    sp_timer_cancel(&us->timers, &pair->timer);
    sp_table_remove(&us->streams, &pair->link);
    sp_ring_remove(&pair->all);
    sp_ring_remove(&pair->busy);
    hold_free(mesh, &pair->to_local);
    hold_free(mesh, &pair->to_peer);
    sp_mem_free(&mesh->mem, pair->ask, SP_PROXY_ASK_MAX);
    sp_mem_free(&mesh->mem, pair, sizeof *pair);
    us->pairs--;
}

void sp_pair_mark(struct sp_mesh *mesh, struct sp_pair *pair) {
    if (sp_ring_alone(&pair->busy))
        sp_ring_append(&mesh->userspace->busy, &pair->busy);
}

void sp_pair_break(struct sp_mesh *mesh, struct sp_pair *pair) {
    struct sp_userspace *us = mesh->userspace;
    us->counts.broken += pair->state == SP_PAIR_FLOWING && pair->fate == SP_PAIR_LIVES;
    if (pair->conn != NULL)
        sp_tcp_reset(us->tcp, mesh->now, pair->conn);
    pair->conn = NULL;
    pair->fate = SP_PAIR_RESETS;
    sp_timer_cancel(&us->timers, &pair->timer);
    sp_pair_mark(mesh, pair);
}

void sp_pair_flow(struct sp_mesh *mesh, struct sp_pair *pair) {
    pair->state = SP_PAIR_FLOWING;
    mesh->userspace->counts.opened++;
    sp_timer_cancel(&mesh->userspace->timers, &pair->timer);
    sp_pair_mark(mesh, pair);
}

/* ---- to the local stream ---- */

static void out_of_memory(struct sp_mesh *mesh, struct sp_pair *pair) {
    mesh->userspace->counts.refused_full++;
    sp_pair_break(mesh, pair);
}

/* As much as the host takes now and has room for. */
static size_t put_local(struct sp_mesh *mesh, struct sp_pair *pair, const uint8_t *data, size_t len) {
    bool open = pair->state == SP_PAIR_FLOWING || pair->kind != SP_PAIR_SERVE;
    size_t most = len < pair->credit ? len : pair->credit;
    size_t n = open ? sp_outgoing_stream(&mesh->out, pair->stream, data, most) : 0;
    pair->credit -= n;
    return n;
}

static void flush_local(struct sp_mesh *mesh, struct sp_pair *pair) {
    size_t n;
    while (pair->to_local.len > 0 &&
           (n = put_local(mesh, pair, pair->to_local.data + pair->to_local.at, pair->to_local.len)) > 0)
        hold_take(mesh, &pair->to_local, n);
}

static void give_local(struct sp_mesh *mesh, struct sp_pair *pair, const uint8_t *data, size_t len) {
    size_t n = pair->to_local.len == 0 ? put_local(mesh, pair, data, len) : 0;
    if (!hold_add(mesh, &pair->to_local, data + n, len - n))
        out_of_memory(mesh, pair);
    else if (n < len)
        sp_pair_mark(mesh, pair);
}

void sp_pair_say(struct sp_mesh *mesh, struct sp_pair *pair, const uint8_t *data, size_t len) {
    pair->own += len;
    give_local(mesh, pair, data, len);
}

void sp_pair_local_open(struct sp_mesh *mesh, struct sp_pair *pair, size_t credit) {
    pair->credit = credit;
    sp_pair_flow(mesh, pair);
}

void sp_pair_local_credit(struct sp_mesh *mesh, struct sp_pair *pair, size_t credit) {
    size_t own = credit < pair->own ? credit : pair->own;
    pair->credit += credit;
    pair->own -= own;
    if (pair->conn != NULL && credit > own)
        sp_tcp_consumed(mesh->userspace->tcp, mesh->now, pair->conn, credit - own);
    if (pair->to_local.len > 0)
        sp_pair_mark(mesh, pair);
}

/* ---- to the peer ---- */

static void flush_peer(struct sp_mesh *mesh, struct sp_pair *pair) {
    struct sp_hold *h = &pair->to_peer;
    if (h->len == 0 || pair->conn == NULL || pair->state != SP_PAIR_FLOWING)
        return;
    hold_take(mesh, h, sp_tcp_write(mesh->userspace->tcp, mesh->now, pair->conn, h->data + h->at, h->len));
}

void sp_pair_local_data(struct sp_mesh *mesh, struct sp_pair *pair, const uint8_t *data, size_t len) {
    size_t n = 0;
    pair->allowed -= len < pair->allowed ? len : pair->allowed;
    mesh->userspace->counts.to_peers += len;
    if (pair->state == SP_PAIR_FLOWING && pair->to_peer.len == 0 && pair->conn != NULL)
        n = sp_tcp_write(mesh->userspace->tcp, mesh->now, pair->conn, data, len);
    if (!hold_add(mesh, &pair->to_peer, data + n, len - n))
        out_of_memory(mesh, pair);
    sp_pair_mark(mesh, pair);
}

void sp_pair_local_end(struct sp_mesh *mesh, struct sp_pair *pair) {
    pair->local_ended = true;
    if (pair->state == SP_PAIR_ASKING) /* it has gone before it said what it wants */
        sp_pair_break(mesh, pair);
    sp_pair_mark(mesh, pair);
}

/* ---- ends ---- */

/* The stream is no more. If it ended well, what it said still goes out. */
void sp_pair_local_close(struct sp_mesh *mesh, struct sp_pair *pair, sp_err err) {
    struct sp_userspace *us = mesh->userspace;
    bool well = err == SP_OK && pair->local_ended && pair->told_end && pair->fate == SP_PAIR_LIVES;
    us->counts.local_failed += pair->state == SP_PAIR_LOCAL;
    us->counts.broken += pair->state == SP_PAIR_FLOWING && pair->fate == SP_PAIR_LIVES && !well;
    if (well && pair->conn != NULL && pair->to_peer.len > 0) {
        pair->local_gone = true;
        return;
    }
    us->counts.ended += well;
    if (pair->conn != NULL) {
        sp_tcp_set_user(pair->conn, NULL);
        if (well)
            sp_tcp_close(us->tcp, mesh->now, pair->conn);
        else
            sp_tcp_reset(us->tcp, mesh->now, pair->conn);
        pair->conn = NULL;
    }
    sp_pair_free(mesh, pair);
}

static enum sp_proxy_result why_failed(sp_err err) {
    return err == SP_ERR_DENIED ? SP_PROXY_REFUSED : err == SP_ERR_TIME ? SP_PROXY_NO_ANSWER : SP_PROXY_FULL;
}

static void peer_closed(struct sp_mesh *mesh, struct sp_pair *pair, sp_err err) {
    pair->conn = NULL;
    if (pair->state == SP_PAIR_CONNECTING)
        sp_dial_fail(mesh, pair, why_failed(err));
    else if (err != SP_OK)
        sp_pair_break(mesh, pair);
    else
        sp_pair_mark(mesh, pair);
}

void sp_pair_peer_event(struct sp_mesh *mesh, struct sp_pair *pair, const struct sp_tcp_event *ev) {
    switch (ev->kind) {
    case SP_TCP_OPENED:
        sp_dial_connected(mesh, pair);
        break;
    case SP_TCP_DATA:
        mesh->userspace->counts.to_local += ev->len;
        give_local(mesh, pair, ev->data, ev->len);
        break;
    case SP_TCP_END:
        pair->peer_ended = true;
        sp_pair_mark(mesh, pair);
        break;
    case SP_TCP_ROOM:
        sp_pair_mark(mesh, pair);
        break;
    case SP_TCP_CLOSED:
        peer_closed(mesh, pair, ev->err);
        break;
    }
}

/* ---- at the end of a batch ---- */

static bool tell(struct sp_mesh *mesh, const struct sp_pair *pair, enum sp_out_kind kind, size_t credit) {
    struct sp_out item = {.kind = kind, .id = pair->stream, .credit = credit};
    bool told = sp_outgoing_add(&mesh->out, &item);
    mesh->userspace->more = mesh->userspace->more || !told;
    return told;
}

/* The stream may give what the connection has room for. True: it will have more. */
static bool give_credit(struct sp_mesh *mesh, struct sp_pair *pair) {
    bool flows = pair->state == SP_PAIR_FLOWING && pair->conn != NULL && !pair->local_ended && pair->to_peer.len == 0;
    size_t room = flows ? sp_tcp_room(mesh->userspace->tcp, pair->conn) : 0;
    size_t want = room > pair->allowed ? room - pair->allowed : 0;
    bool due = want >= QUANTUM || (want > 0 && pair->allowed == 0) || !pair->by_credit;
    if (pair->local_gone || (pair->kind == SP_PAIR_SERVE && pair->state != SP_PAIR_FLOWING))
        return false;
    if (due && tell(mesh, pair, SP_OUT_STREAM_CREDIT, want)) {
        pair->by_credit = true;
        pair->allowed += want;
    }
    return flows && pair->allowed < SP_USERSPACE_WINDOW;
}

static void pass_ends(struct sp_mesh *mesh, struct sp_pair *pair) {
    struct sp_userspace *us = mesh->userspace;
    bool flows = pair->state == SP_PAIR_FLOWING;
    if (flows && pair->peer_ended && pair->to_local.len == 0 && !pair->told_end && !pair->local_gone)
        pair->told_end = tell(mesh, pair, SP_OUT_STREAM_END, 0);
    if (flows && pair->local_ended && pair->to_peer.len == 0 && !pair->conn_ended && pair->conn != NULL) {
        pair->conn_ended = true;
        sp_tcp_end(us->tcp, mesh->now, pair->conn);
    }
    if (flows && pair->conn == NULL && pair->to_local.len == 0 && pair->fate == SP_PAIR_LIVES) {
        us->counts.ended++;
        pair->fate = SP_PAIR_CLOSES;
    }
}

void sp_pair_settle(struct sp_mesh *mesh, struct sp_pair *pair) {
    if (pair->state == SP_PAIR_NAMING && !pair->asked && pair->fate == SP_PAIR_LIVES && sp_uplink_up(mesh))
        sp_dial_name(mesh, pair);
    flush_local(mesh, pair);
    flush_peer(mesh, pair);
    pass_ends(mesh, pair);
    if (pair->local_gone && pair->to_peer.len == 0) {
        sp_pair_local_close(mesh, pair, SP_OK);
        return;
    }
    if (pair->fate != SP_PAIR_LIVES) {
        bool closes = pair->fate == SP_PAIR_CLOSES;
        bool said = !closes || pair->to_local.len == 0 || pair->credit == 0;
        mesh->userspace->more = mesh->userspace->more || !said;
        if (said && tell(mesh, pair, closes ? SP_OUT_STREAM_CLOSE : SP_OUT_STREAM_RESET, 0))
            sp_pair_free(mesh, pair);
        return;
    }
    bool waits = pair->to_local.len > 0 && pair->credit > 0;
    mesh->userspace->more = mesh->userspace->more || waits;
    bool naming = pair->state == SP_PAIR_NAMING && !pair->asked;
    if (!give_credit(mesh, pair) && !waits && !naming && !pair->connect)
        sp_ring_remove(&pair->busy);
}
