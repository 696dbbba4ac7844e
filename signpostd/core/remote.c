/* Operators' sessions: they operate, and nothing else. proto/control/remote.h. */
#include "signpostd/core/ctl.h"
#include "signpostd/core/overlay.h"

bool sp_remote_knows(const struct sp_server *s, const uint8_t wg_pub[SP_X25519], unsigned *ret) {
    for (unsigned i = 0; i < s->cfg.operator_count; i++)
        if (memcmp(s->overlay->operators[i], wg_pub, SP_X25519) == 0) {
            *ret = i;
            return true;
        }
    return false;
}

/* ---- beginning and end ---- */

/* What was never confirmed may be an old handshake that somebody sends again. */
bool sp_remote_make_room(struct sp_server *s) {
    struct sp_overlay *o = s->overlay;
    if (o->remote_count < SP_REMOTES)
        return true;
    for (struct sp_ring *r = o->remotes.next; r != &o->remotes; r = r->next) {
        struct sp_ctlsession *ses = SP_CONTAINER(r, struct sp_remote, ring)->session;
        if (!ses->up) {
            sp_ctlsession_end(s, ses);
            return true;
        }
    }
    return false;
}

sp_err sp_remote_begin(struct sp_server *s, struct sp_ctlsession *ses) {
    struct sp_remote *r = sp_mem_alloc(&s->mem, sizeof *r);
    if (r == NULL)
        return SP_ERR_FULL;
    *r = (struct sp_remote){.session = ses, .end = {.mem = &s->mem, .request_max = s->cfg.limits.operator_request}};
    sp_ring_init(&r->ring);
    sp_ring_append(&s->overlay->remotes, &r->ring);
    s->overlay->remote_count++;
    ses->remote = r;
    return SP_OK;
}

void sp_remote_end(struct sp_server *s, struct sp_ctlsession *ses) {
    struct sp_remote *r = ses->remote;
    sp_remote_end_free(&r->end);
    sp_ring_remove(&r->ring);
    s->overlay->remote_count--;
    ses->remote = NULL;
    sp_mem_free(&s->mem, r, sizeof *r);
}

/* Ends the sessions that are of a realm (NULL: any) and of a key (NULL: any), but for one. */
static void end_others(struct sp_server *s, const struct sp_realm *realm, const uint8_t *pub,
                       const struct sp_ctlsession *but) {
    struct sp_ring *list = &s->overlay->remotes;
    for (struct sp_ring *r = list->next, *next; r != list; r = next) {
        struct sp_ctlsession *ses = SP_CONTAINER(r, struct sp_remote, ring)->session;
        next = r->next;
        if (ses != but && (realm == NULL || ses->realm == realm) &&
            (pub == NULL || memcmp(ses->pub, pub, sizeof ses->pub) == 0))
            sp_ctlsession_end(s, ses);
    }
}

void sp_remote_confirmed(struct sp_server *s, struct sp_ctlsession *ses) {
    s->overlay->counts.remote_begun++;
    end_others(s, NULL, ses->pub, ses);
}

void sp_remotes_realm_end(struct sp_server *s, const struct sp_realm *r) {
    end_others(s, r, NULL, NULL);
}

/* ---- requests ---- */

void sp_remote_inside(struct sp_server *s, struct sp_ctlsession *ses, const uint8_t *data, size_t len) {
    struct sp_overlay *o = s->overlay;
    struct sp_remote *r = ses->remote;
    if (!sp_rate_has(&r->budget, SP_REMOTE_PER_S, 1, s->now)) {
        o->counts.dropped_remote_budget++;
        return;
    }
    uint64_t session;
    sp_rng_fill(&s->rng, &session, sizeof session);
    enum sp_remote_got got = sp_remote_end_input(&r->end, session | 1, data, len);
    sp_rate_take(&r->budget, SP_REMOTE_PER_S, 1 + sp_remote_mask_count(&r->end.wanted), s->now);
    o->counts.dropped_remote_form += got == SP_REMOTE_BAD;
    r->run |= got == SP_REMOTE_RUN;
    if (got == SP_REMOTE_ENDED)
        sp_ctlsession_end(s, ses);
}

/* Eight characters of its base64. */
static uint64_t key_prefix(const uint8_t pub[SP_ED25519_PUB]) {
    return (uint64_t)sp_get_u32(pub) << 16 | sp_get_u16(pub + 4);
}

static void run(struct sp_server *s, struct sp_remote *r) {
    r->run = false;
    if (r->end.state != SP_REMOTE_RUNNING || r->end.request == NULL)
        return; /* it was given up meanwhile */
    r->control = SP_REMOTE_ID | ++s->overlay->number;
    struct sp_in in = {.kind = SP_IN_CONTROL, .id = r->control, .data = r->end.request, .len = r->end.total};
    s->overlay->counts.remote_requests++;
    sp_trace(&s->cfg.trace, s->now, SP_TRACE_operator_request, key_prefix(r->session->pub),
             in.len >= 2 ? in.data[1] : 0);
    sp_ctl_request(s, &in);
    sp_remote_end_ran(&r->end);
}

static struct sp_remote *remote_of(const struct sp_server *s, uint64_t id) {
    struct sp_ring *list = &s->overlay->remotes;
    if ((id & SP_REMOTE_ID) != SP_REMOTE_ID)
        return NULL;
    for (struct sp_ring *r = list->next; r != list; r = r->next)
        if (SP_CONTAINER(r, struct sp_remote, ring)->control == id)
            return SP_CONTAINER(r, struct sp_remote, ring);
    return NULL;
}

void sp_remote_replied(struct sp_server *s, uint64_t id, const uint8_t *data, size_t len) {
    struct sp_remote *r = remote_of(s, id);
    if (r == NULL) {
        s->overlay->counts.dropped_remote_reply++;
        return;
    }
    r->control = 0;
    sp_remote_end_reply(&r->end, data, len);
}

bool sp_remote_came_by(const struct sp_server *s, uint64_t id, const struct sp_zone *z) {
    const struct sp_remote *r = remote_of(s, id);
    return r != NULL && r->session->realm->zone == z;
}

/* ---- what goes ---- */

/* False: the outbox is full. */
static bool send(struct sp_server *s, struct sp_remote *r) {
    while (sp_remote_end_busy(&r->end)) {
        uint8_t *room = sp_overlay_room(s, &r->session->where, SP_SEALED_MAX);
        if (room == NULL)
            return false;
        sp_ctlsession_send(s, r->session, room, sp_remote_end_output(&r->end, room + SP_WG_HEAD));
    }
    return true;
}

void sp_remotes_work(struct sp_server *s) {
    struct sp_ring *list = &s->overlay->remotes;
    for (struct sp_ring *r = list->next; r != list; r = r->next) {
        struct sp_remote *remote = SP_CONTAINER(r, struct sp_remote, ring);
        if (remote->run)
            run(s, remote);
        if (!send(s, remote))
            return;
    }
}

bool sp_remotes_busy(const struct sp_server *s) {
    const struct sp_ring *list = &s->overlay->remotes;
    for (const struct sp_ring *r = list->next; r != list; r = r->next) {
        const struct sp_remote *remote = SP_CONTAINER(r, const struct sp_remote, ring);
        if (remote->run || sp_remote_end_busy(&remote->end))
            return true;
    }
    return false;
}
