#include "signpostd/core/overlay.h"

#define CHANNEL_IDLE (10 * SP_MIN)

static sp_err relay_new(struct sp_server *s) {
    struct sp_relay_config c = {
        .mem = &s->mem,
        .rng = &s->rng,
        .channels = s->cfg.limits.channels,
        .channels_per_session = s->cfg.limits.channels_per_session,
        .bytes_per_s = s->cfg.budgets.relay_session_bytes_per_s,
        .bytes_per_s_total = s->cfg.budgets.relay_bytes_per_s,
        .idle = CHANNEL_IDLE,
    };
    memcpy(c.hash_key, s->hash_key, sizeof c.hash_key);
    return sp_relay_new(&s->overlay->relay, &c);
}

sp_err sp_overlay_new(struct sp_server *s) {
    struct sp_overlay *o = sp_mem_alloc(&s->mem, sizeof *o);
    if (o == NULL)
        return SP_ERR_FULL;
    s->overlay = o;
    sp_table_init(&o->sessions, &s->mem, s->cfg.limits.sessions);
    sp_table_init(&o->pairs, &s->mem, s->cfg.limits.channels);
    sp_table_init(&o->wanted, &s->mem, SP_WANTED_MAX);
    sp_ring_init(&o->age);
    sp_ring_init(&o->wanted_age);
    sp_ring_init(&o->ready);
    sp_ring_init(&o->busy);
    sp_ring_init(&o->remotes);
    for (unsigned i = 0; i < s->cfg.operator_count; i++)
        SP_TRY(sp_ed25519_to_x25519(s->cfg.operators[i], o->operators[i]));
    sp_aead_sodium(&o->aead);
    o->generation = UINT64_MAX;
    sp_rng_fill(&s->rng, &o->epoch, sizeof o->epoch);
    SP_TRY(sp_budget_init(&o->gate, &s->mem, s->hash_key, s->cfg.limits.prefixes));
    SP_TRY(relay_new(s));
    sp_updater_watch(s->updater);
    return SP_OK;
}

void sp_overlay_free(struct sp_server *s) {
    struct sp_overlay *o = s->overlay;
    if (o == NULL)
        return;
    sp_realms_free(s);
    sp_relay_free(o->relay);
    sp_budget_free(&o->gate, &s->mem);
    sp_table_free(&o->sessions);
    sp_table_free(&o->pairs);
    sp_table_free(&o->wanted);
    sp_wipe(o, sizeof *o);
    sp_mem_free(&s->mem, o, sizeof *o);
    s->overlay = NULL;
}

void sp_overlay_resumed(struct sp_server *s) {
    struct sp_overlay *o = s->overlay;
    sp_realms_free(s);
    o->generation = UINT64_MAX;
    sp_rng_fill(&s->rng, &o->epoch, sizeof o->epoch);
}

bool sp_overlay_online(const struct sp_server *s, const struct sp_zone *z, const uint8_t pub[SP_ED25519_PUB]) {
    const struct sp_realm *r = sp_realm_by_id(s->overlay, sp_zone_id(z));
    const struct sp_ctlsession *ses = r != NULL ? sp_ctlsession_find(s, r, pub) : NULL;
    return ses != NULL && ses->up && !ses->stale && memcmp(ses->pub, pub, SP_ED25519_PUB) == 0;
}

/* ---- news of devices ---- */

/* What was taken out and put back meanwhile is no news. */
static void device_news(struct sp_server *s, struct sp_realm *r, const struct sp_device_news *news) {
    struct sp_name name;
    uint8_t pub[SP_ED25519_PUB];
    bool listed = sp_updater_device(s->updater, r->zone, news->pub, &name, pub) &&
                  memcmp(pub, news->pub, sizeof pub) == 0 && sp_name_equal(&name, &news->name);
    if (listed == news->gone)
        return;
    struct sp_ctlsession *ses = news->gone ? sp_ctlsession_find(s, r, news->pub) : NULL;
    if (ses != NULL && !sp_ctlsession_listed(s, ses)) {
        s->overlay->counts.revoked += ses->up;
        sp_ctlsession_end(s, ses);
    }
    sp_push_device(s, r, &news->name, news->pub, news->gone);
}

/* More news than could be kept: every session is looked at. Only a change of thousands of keys comes here. */
static void recheck(struct sp_server *s) {
    struct sp_overlay *o = s->overlay;
    for (uint32_t i = 0; i < SP_REALMS; i++) {
        struct sp_realm *r = o->realms[i];
        if (r == NULL)
            continue;
        sp_realm_roster_drop(s, r);
        r->jumps++;
        for (struct sp_ring *k = r->sessions.next; k != &r->sessions;) {
            struct sp_ctlsession *ses = SP_CONTAINER(k, struct sp_ctlsession, kin);
            k = k->next;
            if (!sp_ctlsession_listed(s, ses)) {
                o->counts.revoked += ses->up;
                sp_ctlsession_end(s, ses);
            }
        }
    }
}

static void news(struct sp_server *s) {
    struct sp_device_news n;
    while (sp_updater_news(s->updater, &n)) {
        struct sp_realm *r = sp_realm_by_id(s->overlay, n.zone);
        if (r == NULL)
            continue;
        sp_realm_roster_drop(s, r);
        device_news(s, r, &n);
    }
    if (sp_updater_news_lost(s->updater))
        recheck(s);
}

/* ---- work and time ---- */

void sp_overlay_work(struct sp_server *s) {
    if (s->overlay->realm_count > 0)
        sp_realms_sync(s);
    news(s);
    sp_pushes_work(s);
    sp_remotes_work(s);
    sp_realms_work(s);
}

bool sp_overlay_busy(const struct sp_server *s) {
    const struct sp_overlay *o = s->overlay;
    return !sp_ring_alone(&o->ready) || !sp_ring_alone(&o->busy) || sp_remotes_busy(s);
}

void sp_overlay_expire(struct sp_server *s) {
    struct sp_overlay *o = s->overlay;
    for (struct sp_timer *t; (t = sp_timers_pop(&o->realm_timers, s->now)) != NULL;) {
        struct sp_realm *r = SP_CONTAINER(t, struct sp_realm, timer);
        sp_wg_expire(r->wg, s->now);
        sp_realm_touch(s, r);
    }
    sp_ctlsessions_expire(s);
    sp_relay_expire(o->relay, s->now);
}

sp_instant sp_overlay_deadline(const struct sp_server *s) {
    const struct sp_overlay *o = s->overlay;
    sp_instant at = sp_instant_min(sp_timers_next(&o->timers), sp_timers_next(&o->realm_timers));
    return sp_instant_min(at, sp_relay_deadline(o->relay));
}
