/* What is remembered of a key in use: what it has signed, where it has been seen, its budget.
 *
 * The rule against replays. A key's updates carry an inception (TSIG: the time signed). The newest accepted one opens a
 * window of SP_REPLAY_WINDOW_S seconds before it: nsupdate and agents send several updates within one second, and UDP
 * reorders a little. An inception before the window is refused. Within it, every signature that has verified is
 * remembered together with the answer it got: the very same message again, a retransmission or a replay, gets that
 * answer again and changes nothing. When the memory of a key is full, further updates of the same seconds are refused.
 *
 * Only what was logged survives a restart, so after one the window is closed: inceptions must be later than the newest
 * that was logged; that one itself, repeated, is still answered. What was verified without being logged changed nothing
 * then, and its signature lies before the next logged one or is the newest word of its key. The memory of a key goes
 * when every signature it has seen has expired by itself. */
#include "signpostd/core/updater.h"

#define SEEN_MIN       4u
#define SEEN_MAX       (1u << 18) /* of a key: 196,608 updates within the window */
#define SEEN_SLOTS_MAX (1u << 22) /* of all keys: 64 MiB */

static bool use_is(const struct sp_use *use, uint32_t zone, enum sp_msg_auth kind, const struct sp_name *lower,
                   const uint8_t pub[SP_ED25519_PUB]) {
    return use->zone == zone && use->kind == kind && use->name_len == lower->len &&
           memcmp(use->name, lower->wire, lower->len) == 0 && memcmp(use->pub, pub, SP_ED25519_PUB) == 0;
}

/* ret_lower: the name as it is kept. */
static uint64_t use_hash(const struct sp_updater *u, uint32_t zone, enum sp_msg_auth kind, const struct sp_name *name,
                         const uint8_t pub[SP_ED25519_PUB], struct sp_name *ret_lower) {
    *ret_lower = *name;
    sp_name_lower(ret_lower);
    uint64_t a = sp_updater_hash(u, zone, (uint16_t)kind, ret_lower->wire, ret_lower->len);
    return a ^ sp_updater_hash(u, zone, (uint16_t)kind, pub, SP_ED25519_PUB);
}

struct sp_use *sp_use_find(const struct sp_updater *u, uint32_t zone, enum sp_msg_auth kind, const struct sp_name *name,
                           const uint8_t pub[SP_ED25519_PUB]) {
    struct sp_name lower;
    uint64_t hash = use_hash(u, zone, kind, name, pub, &lower);
    for (struct sp_link *l = sp_table_find(&u->uses, hash); l != NULL; l = sp_table_find_next(l)) {
        struct sp_use *use = SP_CONTAINER(l, struct sp_use, link);
        if (use_is(use, zone, kind, &lower, pub))
            return use;
    }
    return NULL;
}

struct sp_use *sp_use_get(struct sp_updater *u, uint32_t zone, enum sp_msg_auth kind, const struct sp_name *name,
                          const uint8_t pub[SP_ED25519_PUB]) {
    struct sp_use *use = sp_use_find(u, zone, kind, name, pub);
    if (use != NULL)
        return use;
    struct sp_name lower;
    uint64_t hash = use_hash(u, zone, kind, name, pub, &lower);
    use = sp_mem_alloc(u->mem, sizeof *use + lower.len);
    if (use == NULL)
        return NULL;
    use->zone = zone;
    use->kind = (uint8_t)kind;
    use->name_len = lower.len;
    memcpy(use->name, lower.wire, lower.len);
    memcpy(use->pub, pub, SP_ED25519_PUB);
    if (sp_table_add(&u->uses, &use->link, hash) == SP_OK)
        return use;
    sp_mem_free(u->mem, use, sizeof *use + lower.len);
    return NULL;
}

static void seen_free(struct sp_updater *u, struct sp_use *use) {
    sp_mem_free(u->mem, use->seen, use->seen_cap * sizeof *use->seen);
    u->seen_slots -= use->seen_cap;
    use->seen = NULL;
    use->seen_cap = use->seen_count = 0;
}

static void use_remove(struct sp_updater *u, struct sp_use *use) {
    seen_free(u, use);
    sp_timer_cancel(&u->use_timers, &use->timer);
    sp_table_remove(&u->uses, &use->link);
    sp_mem_free(u->mem, use, sizeof *use + use->name_len);
}

/* Kept at least until `until`. */
static void use_keep(struct sp_updater *u, struct sp_use *use, sp_instant until) {
    if (!use->timer.set || use->timer.due < until)
        sp_timer_set(&u->use_timers, &use->timer, until);
}

/* ---- where it has been seen ---- */

bool sp_use_proven(const struct sp_use *use, const struct sp_addr *src, sp_instant now) {
    for (unsigned i = 0; use != NULL && i < SP_PROVEN; i++)
        if (use->proven[i].until > now && use->proven[i].family == src->family &&
            memcmp(use->proven[i].ip, src->ip, sizeof src->ip) == 0)
            return true;
    return false;
}

void sp_use_prove(struct sp_updater *u, struct sp_use *use, const struct sp_addr *src, sp_instant now) {
    unsigned at = 0;
    for (unsigned i = 0; i < SP_PROVEN; i++) {
        if (use->proven[i].family == src->family && memcmp(use->proven[i].ip, src->ip, sizeof src->ip) == 0) {
            at = i;
            break;
        }
        if (use->proven[i].until < use->proven[at].until)
            at = i;
    }
    use->proven[at].family = src->family;
    memcpy(use->proven[at].ip, src->ip, sizeof src->ip);
    use->proven[at].until = sp_instant_add(now, SP_PROVEN_FOR);
    use_keep(u, use, use->proven[at].until);
}

/* ---- what it has signed ---- */

/* The slot of this hash, or the empty one where it belongs. A key's owner who makes up colliding hashes only slows down
 * the key. */
static struct sp_seen *seen_slot(const struct sp_use *use, uint64_t hash) {
    uint32_t mask = use->seen_cap - 1;
    for (uint32_t i = (uint32_t)(hash * UINT64_C(0x9e3779b97f4a7c15) >> 32) & mask;; i = (i + 1) & mask)
        if (!use->seen[i].used || use->seen[i].hash == hash)
            return &use->seen[i];
}

static bool seen_is_live(const struct sp_use *use, const struct sp_seen *s) {
    return s->used && (int32_t)(s->inception - (uint32_t)use->floor) >= 0;
}

/* Room for one more: forgets what lies before the window, then grows. FRESH: there is; FULL: not for this key; MEMORY.
 */
static enum sp_replay seen_reserve(struct sp_updater *u, struct sp_use *use) {
    if (use->seen_cap > 0 && use->seen_count + 1 <= use->seen_cap / 4 * 3)
        return SP_REPLAY_FRESH;
    uint32_t live = 0;
    for (uint32_t i = 0; i < use->seen_cap; i++)
        live += seen_is_live(use, &use->seen[i]);
    uint32_t cap = SEEN_MIN;
    while (cap / 2 < live + 1)
        cap *= 2;
    if (cap > SEEN_MAX || u->seen_slots - use->seen_cap + cap > SEEN_SLOTS_MAX)
        return SP_REPLAY_FULL;
    struct sp_use old = *use;
    use->seen = sp_mem_alloc(u->mem, cap * sizeof *use->seen);
    if (use->seen == NULL) {
        use->seen = old.seen;
        return SP_REPLAY_MEMORY;
    }
    use->seen_cap = cap;
    for (uint32_t i = 0; i < old.seen_cap; i++)
        if (seen_is_live(use, &old.seen[i]))
            *seen_slot(use, old.seen[i].hash) = old.seen[i];
    use->seen_count = live;
    u->seen_slots = u->seen_slots - old.seen_cap + cap; /* it may be fewer: a burst is over */
    sp_mem_free(u->mem, old.seen, old.seen_cap * sizeof *old.seen);
    return SP_REPLAY_FRESH;
}

enum sp_replay sp_use_check(struct sp_updater *u, struct sp_use *use, uint64_t inception, uint64_t hash,
                            uint16_t *ret_rcode) {
    if (inception == use->newest && hash == use->last_hash && use->newest != 0) {
        *ret_rcode = use->last_rcode;
        return SP_REPLAY_REPEATED;
    }
    if (inception < use->floor)
        return SP_REPLAY_OLD;
    if (use->seen_cap > 0) {
        const struct sp_seen *s = seen_slot(use, hash);
        if (s->used) {
            *ret_rcode = s->rcode;
            return SP_REPLAY_REPEATED;
        }
    }
    return seen_reserve(u, use);
}

void sp_use_expect(struct sp_updater *u, struct sp_use *use, uint64_t expiration, sp_instant now, sp_wall wall) {
    if (expiration > use->expiration)
        use->expiration = expiration;
    uint64_t left = use->expiration > sp_wall_sec(wall) ? use->expiration - sp_wall_sec(wall) : 0;
    use_keep(u, use, sp_instant_add(now, (left + 2) * SP_SEC));
}

void sp_use_note(struct sp_use *use, const struct sp_rec_replay *r) {
    /* Of several in one second the last: a snapshot keeps this one alone. */
    if (r->inception >= use->newest) {
        use->newest = r->inception;
        use->last_hash = r->hash;
        use->last_rcode = r->rcode;
        if (r->inception > SP_REPLAY_WINDOW_S && r->inception - SP_REPLAY_WINDOW_S > use->floor)
            use->floor = r->inception - SP_REPLAY_WINDOW_S;
    }
    if (use->seen_cap == 0)
        return;
    struct sp_seen *s = seen_slot(use, r->hash);
    use->seen_count += !s->used;
    *s = (struct sp_seen){r->hash, (uint32_t)r->inception, r->rcode, 1};
}

/* ---- restart ---- */

void sp_use_replay(struct sp_use *use, const struct sp_rec_replay *r) {
    if (r->inception >= use->newest) {
        use->newest = r->inception;
        use->last_hash = r->hash;
        use->last_rcode = r->rcode;
    }
    if (r->expiration > use->expiration)
        use->expiration = r->expiration;
}

void sp_use_restart(struct sp_updater *u, sp_instant now, sp_wall wall) {
    struct sp_table_cursor c = {0};
    for (struct sp_link *l; (l = sp_table_each(&u->uses, &c)) != NULL;) {
        struct sp_use *use = SP_CONTAINER(l, struct sp_use, link);
        use->floor = use->newest + 1;
        if (use->expiration < sp_wall_sec(wall))
            use_remove(u, use);
        else
            sp_use_expect(u, use, use->expiration, now, wall);
    }
}

/* ---- the end ---- */

void sp_use_purge(struct sp_updater *u, sp_instant now) {
    for (struct sp_timer *t; (t = sp_timers_pop(&u->use_timers, now)) != NULL;)
        use_remove(u, SP_CONTAINER(t, struct sp_use, timer));
}

void sp_use_drop_zone(struct sp_updater *u, uint32_t zone) {
    struct sp_table_cursor c = {0};
    for (struct sp_link *l; (l = sp_table_each(&u->uses, &c)) != NULL;) {
        struct sp_use *use = SP_CONTAINER(l, struct sp_use, link);
        if (zone == 0 || use->zone == zone)
            use_remove(u, use);
    }
}

void sp_use_free(struct sp_updater *u) {
    sp_use_drop_zone(u, 0);
    sp_table_free(&u->uses);
}
