/* Pushes: NOTIFYs to agents, in order, sent again until they are answered. */
#include "signpostd/core/overlay.h"

static size_t push_size(const struct sp_push *p) {
    return sizeof *p + p->len;
}

static void push_free(struct sp_server *s, struct sp_ctlsession *ses, struct sp_push *p) {
    sp_ring_remove(&p->ring);
    ses->push_count--;
    sp_mem_free(&s->mem, p, push_size(p));
}

void sp_pushes_drop(struct sp_server *s, struct sp_ctlsession *ses) {
    while (!sp_ring_alone(&ses->pushes))
        push_free(s, ses, SP_CONTAINER(ses->pushes.next, struct sp_push, ring));
}

bool sp_push_begin(struct sp_server *s, struct sp_ctlsession *ses, struct sp_pusher *p) {
    struct sp_seq seq;
    ses->sequence++; /* if it cannot be sent the jump tells that something was missed */
    if (ses->push_count >= SP_PUSHES) {
        s->overlay->counts.dropped_push_full++;
        return false;
    }
    sp_ctlsession_seq(s, ses, &seq);
    sp_session_push_begin(&p->w, ++ses->push_id, sp_zone_apex(ses->realm->zone), p->data, sizeof p->data);
    sp_session_put_seq(&p->w, sp_zone_apex(ses->realm->zone), &seq);
    return true;
}

void sp_push_end(struct sp_server *s, struct sp_ctlsession *ses, struct sp_pusher *pusher, uint32_t channel) {
    struct sp_overlay *o = s->overlay;
    size_t len = sp_session_end(&pusher->w, false);
    struct sp_push *p = len > 0 ? sp_mem_alloc(&s->mem, sizeof *p + len) : NULL;
    if (p == NULL) {
        o->counts.dropped_push_full++;
        return;
    }
    *p =
        (struct sp_push){.due = s->now, .sent = SP_NEVER, .channel = channel, .id = ses->push_id, .len = (uint16_t)len};
    memcpy(p->data, pusher->data, len);
    sp_ring_append(&ses->pushes, &p->ring);
    ses->push_count++;
    o->counts.pushes++;
    if (sp_ring_alone(&ses->ready))
        sp_ring_append(&o->ready, &ses->ready);
}

void sp_push_answered(struct sp_server *s, struct sp_ctlsession *ses, uint16_t id) {
    struct sp_overlay *o = s->overlay;
    for (struct sp_ring *r = ses->pushes.next; r != &ses->pushes; r = r->next) {
        struct sp_push *p = SP_CONTAINER(r, struct sp_push, ring);
        if (p->id != id || p->tries == 0)
            continue;
        o->counts.acks++;
        if (p->tries == 1 && s->now >= p->sent) {
            sp_duration rtt_ms = (s->now - p->sent) / SP_MS;
            ses->rtt_ms = rtt_ms < UINT16_MAX ? (uint16_t)(rtt_ms + (rtt_ms == 0)) : UINT16_MAX;
        }
        /* Who takes a plan takes what its channel brings. */
        if (p->channel != 0 && ses->relayed && sp_relay_consent(o->relay, ses->number, p->channel) != SP_OK)
            o->counts.dropped_push_lost++; /* the channel is gone meanwhile */
        push_free(s, ses, p);
        return;
    }
}

sp_instant sp_pushes_due(const struct sp_server *s, const struct sp_ctlsession *ses) {
    sp_instant due = SP_NEVER;
    for (const struct sp_ring *r = ses->pushes.next; r != &ses->pushes; r = r->next)
        if (SP_CONTAINER(r, struct sp_push, ring)->due > s->now) /* the others wait for the outbox alone */
            due = sp_instant_min(due, SP_CONTAINER(r, struct sp_push, ring)->due);
    return due;
}

/* Its agent does not answer: until it is heard again nothing is brought to it. One that was heard since the last try is there. */
static void give_up(struct sp_server *s, struct sp_ctlsession *ses, const struct sp_push *p) {
    s->overlay->counts.dropped_push_lost += ses->push_count;
    ses->stale = ses->heard < p->sent;
    sp_pushes_drop(s, ses);
}

void sp_pushes_expire(struct sp_server *s, struct sp_ctlsession *ses) {
    for (struct sp_ring *r = ses->pushes.next; r != &ses->pushes; r = r->next) {
        const struct sp_push *p = SP_CONTAINER(r, struct sp_push, ring);
        if (p->due > s->now)
            continue;
        if (p->tries >= SP_PUSH_TRIES) {
            give_up(s, ses, p);
            return;
        }
        if (sp_ring_alone(&ses->ready))
            sp_ring_append(&s->overlay->ready, &ses->ready);
    }
}

/* False: the outbox is full. */
static bool send(struct sp_server *s, struct sp_ctlsession *ses, struct sp_push *p) {
    uint8_t *room = sp_overlay_room(s, &ses->where, SP_SEALED_MAX);
    if (room == NULL)
        return false;
    struct sp_tunnel_udp u = {.sport = SP_DNS_PORT, .dport = SP_CONTROL_PORT, .len = p->len};
    memcpy(u.src, ses->realm->overlay, sizeof u.src);
    memcpy(u.dst, ses->overlay, sizeof u.dst);
    memcpy(room + SP_WG_HEAD + SP_TUNNEL_HEAD, p->data, p->len);
    sp_ctlsession_send(s, ses, room, sp_tunnel_udp_write(&u, room + SP_WG_HEAD, SP_TUNNEL_MAX));
    p->sent = s->now;
    p->due = sp_instant_add(s->now, SP_PUSH_WAIT << p->tries++);
    return true;
}

void sp_pushes_work(struct sp_server *s) {
    struct sp_overlay *o = s->overlay;
    while (!sp_ring_alone(&o->ready)) {
        struct sp_ctlsession *ses = SP_CONTAINER(o->ready.next, struct sp_ctlsession, ready);
        for (struct sp_ring *r = ses->pushes.next; r != &ses->pushes; r = r->next) {
            struct sp_push *p = SP_CONTAINER(r, struct sp_push, ring);
            if (p->due <= s->now && p->tries < SP_PUSH_TRIES && !send(s, ses, p))
                return;
        }
        sp_ring_remove(&ses->ready);
        sp_ctlsession_rearm(s, ses);
    }
}

void sp_push_device(struct sp_server *s, struct sp_realm *r, const struct sp_name *name,
                    const uint8_t pub[SP_ED25519_PUB], bool gone) {
    if (r->count > SP_PUSH_ZONE) {
        r->jumps++;
        return;
    }
    for (struct sp_ring *k = r->sessions.next; k != &r->sessions; k = k->next) {
        struct sp_ctlsession *ses = SP_CONTAINER(k, struct sp_ctlsession, kin);
        struct sp_pusher p;
        if (!ses->up || ses->stale) {
            ses->sequence++;
            continue;
        }
        if (!sp_push_begin(s, ses, &p))
            continue;
        (void)sp_session_put_key(&p.w, name, pub, gone); /* alone in its message it fits */
        sp_push_end(s, ses, &p, 0);
    }
}
