/* Control sessions: who is there, from where. One for each device at most; nothing is kept for a stranger. */
#include "signpostd/core/overlay.h"

/* ---- finding ---- */

static uint64_t session_hash(const struct sp_server *s, uint32_t zone, const uint8_t pub[SP_ED25519_PUB]) {
    uint8_t bytes[4 + SP_ED25519_PUB];
    sp_put_u32(bytes, zone);
    memcpy(bytes + 4, pub, SP_ED25519_PUB);
    bytes[sizeof bytes - 1] &= 0x7f; /* a key and its twin have one X25519 image */
    return sp_siphash(s->hash_key, bytes, sizeof bytes);
}

static bool same_y(const uint8_t a[SP_ED25519_PUB], const uint8_t b[SP_ED25519_PUB]) {
    return memcmp(a, b, SP_ED25519_PUB - 1) == 0 && ((a[SP_ED25519_PUB - 1] ^ b[SP_ED25519_PUB - 1]) & 0x7f) == 0;
}

struct sp_ctlsession *sp_ctlsession_find(const struct sp_server *s, const struct sp_realm *r,
                                         const uint8_t pub[SP_ED25519_PUB]) {
    struct sp_link *l = sp_table_find(&s->overlay->sessions, session_hash(s, r->id, pub));
    for (; l != NULL; l = sp_table_find_next(l)) {
        struct sp_ctlsession *ses = SP_CONTAINER(l, struct sp_ctlsession, link);
        if (ses->realm == r && same_y(ses->pub, pub))
            return ses;
    }
    return NULL;
}

void sp_ctlsession_name(const struct sp_ctlsession *ses, struct sp_name *ret) {
    ret->len = ses->name_len;
    ret->labels = ses->name_labels;
    memcpy(ret->wire, ses->name, ses->name_len);
}

void sp_ctlsession_seq(const struct sp_server *s, const struct sp_ctlsession *ses, struct sp_seq *ret) {
    *ret = (struct sp_seq){s->overlay->epoch, ses->sequence + ses->realm->jumps};
}

bool sp_ctlsession_listed(const struct sp_server *s, const struct sp_ctlsession *ses) {
    struct sp_name name;
    uint8_t pub[SP_ED25519_PUB];
    return sp_updater_device(s->updater, ses->realm->zone, ses->pub, &name, pub) &&
           memcmp(pub, ses->pub, sizeof pub) == 0 && name.len == ses->name_len &&
           memcmp(name.wire, ses->name, name.len) == 0;
}

/* ---- beginning and end ---- */

static size_t session_size(const struct sp_ctlsession *ses) {
    return sizeof *ses + ses->name_len;
}

static void stream_drop(struct sp_server *s, struct sp_stream *st) {
    st->session = NULL;
    s->streams.held--;
}

static void stream_leave(struct sp_server *s, const struct sp_ctlsession *ses) {
    struct sp_stream *st = ses->where.stream != 0 ? sp_stream_get(s, ses->where.stream) : NULL;
    if (st != NULL && st->session == ses)
        stream_drop(s, st);
}

/* A session holds its stream, but some are left to others. */
static void stream_hold(struct sp_server *s, struct sp_ctlsession *ses) {
    struct sp_stream *st = ses->where.stream != 0 ? sp_stream_get(s, ses->where.stream) : NULL;
    if (st == NULL || (st->session == NULL && s->streams.held >= s->streams.limit * 3 / 4))
        return;
    s->streams.held += st->session == NULL;
    st->session = ses;
}

void sp_ctlsession_end(struct sp_server *s, struct sp_ctlsession *ses) {
    struct sp_overlay *o = s->overlay;
    struct sp_realm *r = ses->realm;
    o->counts.ended += ses->up && ses->remote == NULL;
    if (ses->remote != NULL)
        sp_remote_end(s, ses);
    else
        sp_table_remove(&o->sessions, &ses->link);
    r->count -= !sp_ring_alone(&ses->kin);
    sp_pushes_drop(s, ses);
    sp_pairs_end(s, ses);
    sp_wanted_end(s, ses);
    if (ses->relayed)
        sp_relay_session_end(o->relay, ses->number);
    stream_leave(s, ses);
    sp_wg_peer_remove(r->wg, ses->peer);
    sp_realm_touch(s, r);
    sp_timer_cancel(&o->timers, &ses->timer);
    sp_ring_remove(&ses->age);
    sp_ring_remove(&ses->kin);
    sp_ring_remove(&ses->ready);
    sp_mem_free(&s->mem, ses->profile, sizeof *ses->profile);
    size_t size = session_size(ses);
    sp_wipe(ses, size);
    sp_mem_free(&s->mem, ses, size);
}

/* A full table takes a new session only in place of one that has been silent. */
static bool make_room(struct sp_server *s) {
    struct sp_overlay *o = s->overlay;
    if (o->sessions.count < o->sessions.limit && sp_limits_left(&s->mem, SP_LEFT_FOR_SESSIONS))
        return true;
    struct sp_ctlsession *oldest = SP_CONTAINER(o->age.next, struct sp_ctlsession, age);
    if (sp_ring_alone(&o->age) || sp_instant_add(oldest->heard, oldest->up ? SP_EVICTABLE : SP_HALF_OPEN) > s->now)
        return false;
    o->counts.evicted += oldest->up;
    sp_ctlsession_end(s, oldest);
    return true;
}

/* Known to WireGuard alone; sessions of devices and of operators begin with it. name: of a device; else empty. */
static struct sp_ctlsession *session_make(struct sp_server *s, struct sp_realm *r, const struct sp_name *name,
                                          const uint8_t pub[SP_ED25519_PUB], const uint8_t wg_pub[SP_X25519]) {
    struct sp_ctlsession *ses = sp_mem_alloc(&s->mem, sizeof *ses + name->len);
    if (ses == NULL)
        return NULL;
    *ses = (struct sp_ctlsession){.realm = r,
                                  .number = ++s->overlay->number,
                                  .heard = s->now,
                                  .name_len = name->len,
                                  .name_labels = name->labels};
    memcpy(ses->name, name->wire, name->len);
    memcpy(ses->pub, pub, sizeof ses->pub);
    sp_overlay_addr(sp_zone_info(r->zone)->root_hash, pub, ses->overlay);
    struct sp_ring *rings[] = {&ses->age, &ses->kin, &ses->ready, &ses->pushes, &ses->pairs, &ses->wanted};
    for (unsigned i = 0; i < sizeof rings / sizeof rings[0]; i++)
        sp_ring_init(rings[i]);
    if (sp_wg_peer_add(r->wg, wg_pub, NULL, ses, s->now, &ses->peer) != SP_OK) {
        sp_mem_free(&s->mem, ses, session_size(ses));
        return NULL;
    }
    sp_wg_peer_passive(ses->peer, true);
    return ses;
}

static void session_unmake(struct sp_server *s, struct sp_ctlsession *ses) {
    sp_wg_peer_remove(ses->realm->wg, ses->peer);
    sp_mem_free(&s->mem, ses, session_size(ses));
}

static bool session_new(struct sp_server *s, struct sp_realm *r, const struct sp_name *name,
                        const uint8_t pub[SP_ED25519_PUB], const uint8_t wg_pub[SP_X25519]) {
    struct sp_overlay *o = s->overlay;
    struct sp_ctlsession *ses = session_make(s, r, name, pub, wg_pub);
    if (ses == NULL)
        return false;
    if (sp_table_add(&o->sessions, &ses->link, session_hash(s, r->id, pub)) != SP_OK) {
        session_unmake(s, ses);
        return false;
    }
    ses->sequence = 0u - r->jumps;
    sp_ring_append(&o->age, &ses->age);
    sp_ring_append(&r->sessions, &ses->kin);
    r->count++;
    sp_ctlsession_rearm(s, ses);
    return true;
}

/* An operator's: in no table of devices, so that nobody finds it, is told of it, or ends it for another. */
static bool operator_new(struct sp_server *s, struct sp_realm *r, unsigned which, const uint8_t wg_pub[SP_X25519]) {
    static const struct sp_name nameless;
    struct sp_ctlsession *ses =
        sp_remote_make_room(s) ? session_make(s, r, &nameless, s->cfg.operators[which], wg_pub) : NULL;
    if (ses != NULL && sp_remote_begin(s, ses) != SP_OK) {
        session_unmake(s, ses);
        ses = NULL;
    }
    if (ses == NULL)
        s->overlay->counts.dropped_remotes_full++;
    else
        sp_ctlsession_rearm(s, ses);
    return ses != NULL;
}

/* A sound handshake by a key that is no peer yet: of an operator, who is nothing else, or of a device that the zone
 * lists? */
static bool admit(struct sp_server *s, struct sp_realm *r, const uint8_t wg_pub[SP_X25519]) {
    struct sp_overlay *o = s->overlay;
    uint8_t y[SP_ED25519_PUB], pub[SP_ED25519_PUB];
    struct sp_name name;
    unsigned which;
    if (sp_remote_knows(s, wg_pub, &which))
        return operator_new(s, r, which, wg_pub);
    if (sp_x25519_to_ed25519_y(wg_pub, y) != SP_OK || !sp_updater_device(s->updater, r->zone, y, &name, pub)) {
        o->counts.dropped_stranger++;
        return false;
    }
    if (make_room(s) && session_new(s, r, &name, pub, wg_pub))
        return true;
    o->counts.dropped_sessions_full++;
    return false;
}

/* ---- what comes ---- */

static bool same_place(const struct sp_relay_where *a, const struct sp_from *from) {
    return a->stream == from->stream && memcmp(&a->addr, &from->src, sizeof a->addr) == 0 &&
           memcmp(&a->local, &from->dst, sizeof a->local) == 0;
}

/* The newest authenticated message tells where a session is; its relayed traffic moves with it. */
static void move(struct sp_server *s, struct sp_ctlsession *ses, const struct sp_from *from) {
    struct sp_overlay *o = s->overlay;
    stream_leave(s, ses);
    o->counts.roamed += ses->up;
    ses->where = (struct sp_relay_where){.addr = from->src, .local = from->dst, .stream = from->stream};
    if (ses->relayed && sp_relay_session(o->relay, ses->number, &ses->where, s->now) != SP_OK)
        ses->relayed = false;
    stream_hold(s, ses);
    sp_realm_hint(s, &from->src, ses->realm);
}

static void heard(struct sp_server *s, struct sp_ctlsession *ses, const struct sp_from *from, bool fresh) {
    bool moved = !same_place(&ses->where, from);
    /* Two agents with one device's key: the newest handshake wins, and the other's next one. */
    s->overlay->counts.contended += ses->up && fresh && moved && s->now - ses->heard < 5 * SP_SEC;
    if (moved)
        move(s, ses, from);
    bool first = !ses->up;
    ses->up = true;
    ses->stale = false;
    ses->heard = s->now;
    if (ses->remote != NULL) {
        if (first)
            sp_remote_confirmed(s, ses);
        return;
    }
    s->overlay->counts.begun += first;
    sp_ring_remove(&ses->age);
    sp_ring_append(&s->overlay->age, &ses->age);
}

static void reply(struct sp_server *s, const struct sp_from *from, const struct sp_wg_got *got) {
    struct sp_relay_where to = {.addr = from->src, .local = from->dst, .stream = from->stream};
    uint8_t *room = sp_overlay_room(s, &to, got->reply_len);
    if (room == NULL)
        return;
    memcpy(room, got->reply, got->reply_len);
    sp_overlay_send(s, &to, got->reply_len);
}

static void got(struct sp_server *s, const struct sp_from *from, const struct sp_wg_got *g) {
    switch (g->kind) {
    case SP_WG_DROPPED: /* counted by the device */
    case SP_WG_UNKNOWN: /* not admitted */
        break;
    case SP_WG_REPLY:
        reply(s, from, g);
        break;
    case SP_WG_ANSWERED:
    case SP_WG_KEEPALIVE:
    case SP_WG_DATA: {
        struct sp_ctlsession *ses = sp_wg_peer_user(g->peer);
        heard(s, ses, from, g->fresh);
        if (g->kind == SP_WG_DATA && ses->remote != NULL) {
            sp_remote_inside(s, ses, g->data, g->len);
            sp_wipe(g->data, g->len); /* it may have been a key */
        } else if (g->kind == SP_WG_DATA)
            sp_inside(s, ses, g->data, g->len);
        break;
    }
    }
}

void sp_ctlsession_message(struct sp_server *s, struct sp_realm *r, const struct sp_from *from, const uint8_t *data,
                           size_t len) {
    struct sp_overlay *o = s->overlay;
    uint8_t who[SP_WG_FROM_MAX] = {0};
    memcpy(who, from->src.ip, 16);
    sp_put_u16(who + 16, from->src.port);
    who[18] = from->src.family;
    struct sp_wg_got g;
    sp_wg_input(r->wg, s->now, s->wall, who, sizeof who, data, len, o->plain, &g);
    if (g.kind == SP_WG_UNKNOWN && admit(s, r, g.pub))
        sp_wg_input(r->wg, s->now, s->wall, who, sizeof who, data, len, o->plain, &g);
    sp_realm_touch(s, r);
    got(s, from, &g);
}

/* ---- what goes ---- */

void sp_ctlsession_send(struct sp_server *s, struct sp_ctlsession *ses, uint8_t *room, size_t len) {
    size_t sealed;
    if (len > 0 && sp_wg_seal(ses->realm->wg, ses->peer, s->now, room, SP_SEALED_MAX, len, &sealed) == SP_OK) {
        sp_overlay_send(s, &ses->where, sealed);
        sp_realm_touch(s, ses->realm);
    }
}

/* ---- time ---- */

static sp_instant away_at(const struct sp_ctlsession *ses) {
    sp_duration away = ses->remote != NULL ? SP_REMOTE_AWAY : SP_SESSION_AWAY;
    return sp_instant_add(ses->heard, ses->up ? away : SP_HALF_OPEN);
}

/* A timer only moves forward here; who was heard since is looked at again when it fires. */
void sp_ctlsession_rearm(struct sp_server *s, struct sp_ctlsession *ses) {
    sp_instant at = sp_instant_min(away_at(ses), sp_pushes_due(s, ses));
    if (!ses->timer.set || at < ses->timer.due)
        sp_timer_set(&s->overlay->timers, &ses->timer, at);
}

void sp_ctlsession_stream_gone(struct sp_server *s, struct sp_stream *st) {
    st->session->stale = true;
    stream_drop(s, st);
}

void sp_ctlsessions_expire(struct sp_server *s) {
    struct sp_overlay *o = s->overlay;
    for (struct sp_timer *t; (t = sp_timers_pop(&o->timers, s->now)) != NULL;) {
        struct sp_ctlsession *ses = SP_CONTAINER(t, struct sp_ctlsession, timer);
        if (away_at(ses) <= s->now) {
            o->counts.away += ses->up && ses->remote == NULL;
            sp_ctlsession_end(s, ses);
            continue;
        }
        sp_pushes_expire(s, ses);
        if (sp_ring_alone(&ses->ready)) /* else when what is due has been sent */
            sp_ctlsession_rearm(s, ses);
    }
}
