/* A realm for each zone: a WireGuard device with the signpost's key there, and who is found by it. */
#include "signpostd/core/overlay.h"

#include "signpostd/core/zone_int.h"

/* ---- coming and going ---- */

static sp_err realm_fill(struct sp_server *s, struct sp_realm *r, const struct sp_zone_info *info) {
    struct sp_wg_config c = {
        .mem = &s->mem,
        .aead = s->overlay->aead,
        .rng = &s->rng,
        .index_base = r->slot << SP_SLOT_SHIFT,
        .index_mask = SP_SLOT_MASK,
        .peers = s->cfg.limits.sessions + SP_REMOTES,
        .initiations_per_s = s->cfg.budgets.initiations_per_s,
        .initiations_max = s->cfg.budgets.initiations_max_per_s,
        .trace = &s->cfg.trace,
    };
    sp_overlay_addr(info->root_hash, info->signpost_key.pub, r->overlay);
    sp_ed25519_secret_to_x25519(&info->signpost_key, c.secret);
    sp_err err = sp_wg_new(&r->wg, &c, s->now);
    sp_wipe(&c, sizeof c);
    return err;
}

static void realm_new(struct sp_server *s, struct sp_zone *z) {
    struct sp_overlay *o = s->overlay;
    const struct sp_zone_info *info = sp_zone_info(z);
    uint32_t slot = 0;
    while (slot < SP_REALMS && o->realms[slot] != NULL)
        slot++;
    struct sp_realm *r = slot < SP_REALMS && info != NULL ? sp_mem_alloc(&s->mem, sizeof *r) : NULL;
    if (r == NULL) {
        o->counts.dropped_no_realm++;
        return;
    }
    *r = (struct sp_realm){.zone = z, .id = sp_zone_id(z), .slot = slot};
    sp_ring_init(&r->sessions);
    sp_ring_init(&r->busy);
    if (realm_fill(s, r, info) != SP_OK) {
        o->counts.dropped_no_realm++;
        sp_mem_free(&s->mem, r, sizeof *r);
        return;
    }
    o->realms[slot] = r;
    o->realm_count++;
}

static void realm_free(struct sp_server *s, struct sp_realm *r) {
    struct sp_overlay *o = s->overlay;
    while (!sp_ring_alone(&r->sessions))
        sp_ctlsession_end(s, SP_CONTAINER(r->sessions.next, struct sp_ctlsession, kin));
    sp_remotes_realm_end(s, r);
    sp_realm_roster_drop(s, r);
    sp_timer_cancel(&o->realm_timers, &r->timer);
    sp_ring_remove(&r->busy);
    sp_wg_free(r->wg);
    o->realms[r->slot] = NULL;
    o->realm_count--;
    sp_mem_free(&s->mem, r, sizeof *r);
}

void sp_realms_free(struct sp_server *s) {
    for (uint32_t i = 0; i < SP_REALMS; i++)
        if (s->overlay->realms[i] != NULL)
            realm_free(s, s->overlay->realms[i]);
}

struct sp_realm *sp_realm_by_id(const struct sp_overlay *o, uint32_t id) {
    for (uint32_t i = 0; i < SP_REALMS; i++)
        if (o->realms[i] != NULL && o->realms[i]->id == id)
            return o->realms[i];
    return NULL;
}

void sp_realms_sync(struct sp_server *s) {
    struct sp_overlay *o = s->overlay;
    if (__builtin_expect(o->generation == s->zones->generation, 1))
        return;
    o->generation = s->zones->generation;
    for (uint32_t i = 0; i < SP_REALMS; i++)
        if (o->realms[i] != NULL && sp_zones_by_id(s->zones, o->realms[i]->id) == NULL)
            realm_free(s, o->realms[i]);
    struct sp_table_cursor cursor = {0};
    for (struct sp_link *l; (l = sp_table_each(&s->zones->by_id, &cursor)) != NULL;) {
        struct sp_zone *z = SP_CONTAINER(l, struct sp_zone, by_id);
        if (sp_realm_by_id(o, z->id) == NULL)
            realm_new(s, z);
    }
}

/* ---- whose a message is ---- */

static uint64_t hint_hash(const struct sp_server *s, const struct sp_addr *src) {
    return sp_siphash(s->hash_key, src->ip, sizeof src->ip);
}

void sp_realm_hint(struct sp_server *s, const struct sp_addr *src, const struct sp_realm *r) {
    uint64_t h = hint_hash(s, src);
    s->overlay->hints[h % SP_HINTS] = (struct sp_hint){(uint32_t)(h >> 32), (uint16_t)r->slot, true};
}

static const struct sp_hint *hint_of(const struct sp_server *s, const struct sp_addr *src) {
    uint64_t h = hint_hash(s, src);
    const struct sp_hint *hint = &s->overlay->hints[h % SP_HINTS];
    return hint->used && hint->tag == (uint32_t)(h >> 32) ? hint : NULL;
}

bool sp_realm_hinted(const struct sp_server *s, const struct sp_addr *src, const struct sp_realm *r) {
    const struct sp_hint *hint = hint_of(s, src);
    return hint != NULL && hint->slot == r->slot;
}

struct sp_realm *sp_realm_search(struct sp_server *s, const struct sp_from *from, const uint8_t *data, size_t len) {
    struct sp_overlay *o = s->overlay;
    const struct sp_hint *hint = hint_of(s, &from->src);
    struct sp_realm *hinted = hint != NULL ? o->realms[hint->slot] : NULL;
    uint32_t per_s = s->cfg.budgets.searches_per_s;
    if (hinted != NULL && sp_rate_has(&o->known_searches, per_s, 1, s->now)) {
        sp_rate_take(&o->known_searches, per_s, 1, s->now);
        if (sp_wg_mine(hinted->wg, data, len))
            return hinted;
    }
    /* A hash for each zone, all of them for every forgery: bounded. */
    if (!sp_rate_has(&o->searches, per_s, o->realm_count, s->now)) {
        o->counts.dropped_initiation_budget++;
        return NULL;
    }
    unsigned tried = 0;
    struct sp_realm *found = NULL;
    for (uint32_t i = 0; found == NULL && tried < o->realm_count && i < SP_REALMS; i++) {
        struct sp_realm *r = o->realms[i];
        if (r == NULL)
            continue;
        tried++;
        if (sp_wg_mine(r->wg, data, len))
            found = r;
    }
    sp_rate_take(&o->searches, per_s, tried, s->now);
    return found;
}

struct sp_realm *sp_realm_of_index(struct sp_server *s, const uint8_t *data, size_t len) {
    /* The receiver's index, little endian: a response's stands behind its sender's. */
    const uint8_t *at = data + (data[0] == SP_WG_TYPE_RESPONSE ? 8 : 4);
    uint32_t index = (uint32_t)at[3] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[1] << 8 | at[0];
    struct sp_realm *r = s->overlay->realms[(index & SP_SLOT_MASK) >> SP_SLOT_SHIFT];
    return r != NULL && sp_wg_index_lives(r->wg, data, len) ? r : NULL;
}

/* ---- what its device sends of its own accord ---- */

void sp_realm_touch(struct sp_server *s, struct sp_realm *r) {
    if (sp_ring_alone(&r->busy))
        sp_ring_append(&s->overlay->busy, &r->busy);
}

static bool realm_pull(struct sp_server *s, struct sp_realm *r) {
    struct sp_wg_peer *peer;
    uint8_t message[SP_WG_MSG_MAX];
    size_t len;
    while (sp_outbox_room(&s->out, 2 + sizeof message) != NULL) {
        if (!sp_wg_pull(r->wg, s->now, s->wall, &peer, message, &len))
            return true;
        const struct sp_ctlsession *ses = sp_wg_peer_user(peer);
        uint8_t *room = sp_overlay_room(s, &ses->where, len);
        memcpy(room, message, len);
        sp_overlay_send(s, &ses->where, len);
    }
    return false;
}

void sp_realms_work(struct sp_server *s) {
    struct sp_overlay *o = s->overlay;
    while (!sp_ring_alone(&o->busy)) {
        struct sp_realm *r = SP_CONTAINER(o->busy.next, struct sp_realm, busy);
        if (!realm_pull(s, r))
            return;
        sp_ring_remove(&r->busy);
        sp_instant due = sp_wg_deadline(r->wg);
        if (!r->timer.set || r->timer.due != due)
            sp_timer_set(&o->realm_timers, &r->timer, due);
    }
}

/* ---- the roster ---- */

void sp_realm_roster_drop(struct sp_server *s, struct sp_realm *r) {
    if (r->roster != NULL)
        sp_mem_free(&s->mem, r->roster, r->roster->size);
    r->roster = NULL;
}

/* How many keys there are, and the bytes of their owners' names. */
static void roster_measure(struct sp_realm *r, uint32_t *keys, size_t *bytes) {
    struct sp_zone_cursor cursor = {0};
    *keys = 0;
    *bytes = 0;
    for (const struct sp_node *n; (n = sp_zone_each(r->zone, &cursor)) != NULL;) {
        const struct sp_rrset *set = sp_node_find(n, SP_TYPE_KEY);
        if (set == NULL)
            continue;
        *keys += set->count;
        *bytes += n->len;
    }
}

static void roster_fill(struct sp_realm *r, struct sp_roster *to, uint32_t keys, uint8_t *names) {
    struct sp_zone_cursor cursor = {0};
    for (const struct sp_node *n; (n = sp_zone_each(r->zone, &cursor)) != NULL;) {
        const struct sp_rrset *set = sp_node_find(n, SP_TYPE_KEY);
        if (set == NULL)
            continue;
        memcpy(names, n->wire, n->len);
        struct sp_rd rd = sp_rd_init(set->data, set->len);
        const uint8_t *rdata;
        for (size_t len; to->count < keys && sp_rrs_next(&rd, &rdata, &len);) {
            struct sp_roster_entry *e = &to->entries[to->count];
            *e = (struct sp_roster_entry){.name = names, .len = n->len, .labels = n->labels};
            to->count += sp_key_parse(rdata, len, e->pub) == SP_OK;
        }
        names += n->len;
    }
}

static void entry_name(const struct sp_roster_entry *e, struct sp_name *ret) {
    ret->len = e->len;
    ret->labels = e->labels;
    memcpy(ret->wire, e->name, e->len);
}

static bool entry_before(const struct sp_roster_entry *a, const struct sp_roster_entry *b) {
    struct sp_name x, y;
    entry_name(a, &x);
    entry_name(b, &y);
    return sp_name_cmp(&x, &y) < 0;
}

static void sift(struct sp_roster_entry *e, uint32_t at, uint32_t n) {
    for (uint32_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && entry_before(&e[child], &e[child + 1]))
            child++;
        if (!entry_before(&e[at], &e[child]))
            return;
        struct sp_roster_entry t = e[at];
        e[at] = e[child];
        e[child] = t;
    }
}

/* A heap: bounded time and no memory. */
static void roster_sort(struct sp_roster *to) {
    for (uint32_t i = to->count / 2; i-- > 0;)
        sift(to->entries, i, to->count);
    for (uint32_t n = to->count; n > 1;) {
        struct sp_roster_entry t = to->entries[0];
        to->entries[0] = to->entries[--n];
        to->entries[n] = t;
        sift(to->entries, 0, n);
    }
}

sp_err sp_realm_roster(struct sp_server *s, struct sp_realm *r, const struct sp_roster **ret) {
    struct sp_overlay *o = s->overlay;
    if (r->roster == NULL) {
        if (sp_zone_names(r->zone) > SP_ROSTER_MAX)
            return SP_ERR_FULL;
        if (!sp_rate_has(&o->rosters, s->cfg.budgets.rosters_per_s, 1, s->now))
            return SP_ERR_BUDGET;
        sp_rate_take(&o->rosters, s->cfg.budgets.rosters_per_s, 1, s->now);
        uint32_t keys;
        size_t bytes;
        roster_measure(r, &keys, &bytes);
        size_t size = sizeof *r->roster + keys * sizeof r->roster->entries[0] + bytes;
        r->roster = sp_mem_alloc(&s->mem, size);
        if (r->roster == NULL)
            return SP_ERR_FULL;
        r->roster->size = size;
        roster_fill(r, r->roster, keys, (uint8_t *)&r->roster->entries[keys]);
        roster_sort(r->roster);
    }
    *ret = r->roster;
    return SP_OK;
}
