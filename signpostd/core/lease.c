/* Leases: which records end by themselves, and when. RFC 9664. */
#include "signpostd/core/updater.h"

static size_t lease_size(uint16_t cap) {
    return cap * sizeof(struct sp_lease_item);
}

/* wire is in lower case. Label lengths are below 'A', so that folding leaves them alone. */
static bool wire_equal(const uint8_t *wire, const struct sp_name *name) {
    struct sp_name lower = *name;
    sp_name_lower(&lower);
    return memcmp(wire, lower.wire, lower.len) == 0;
}

struct sp_lease *sp_lease_find(const struct sp_updater *u, uint32_t zone, const struct sp_name *owner, uint16_t type) {
    uint64_t hash = sp_updater_hash_name(u, zone, type, owner);
    for (struct sp_link *l = sp_table_find(&u->leases, hash); l != NULL; l = sp_table_find_next(l)) {
        struct sp_lease *lease = SP_CONTAINER(l, struct sp_lease, link);
        if (lease->zone == zone && lease->type == type && lease->owner_len == owner->len &&
            wire_equal(lease->owner, owner))
            return lease;
    }
    return NULL;
}

/* Where the item stands, or belongs. */
static uint16_t item_place(const struct sp_lease *l, uint64_t hash) {
    uint16_t lo = 0, hi = l->count;
    while (lo < hi) {
        uint16_t mid = (uint16_t)((lo + hi) / 2);
        if (l->items[mid].hash < hash)
            lo = (uint16_t)(mid + 1);
        else
            hi = mid;
    }
    return lo;
}

struct sp_lease_item *sp_lease_item(const struct sp_lease *l, uint64_t hash) {
    if (l == NULL)
        return NULL;
    uint16_t at = item_place(l, hash);
    return at < l->count && l->items[at].hash == hash ? &l->items[at] : NULL;
}

static void lease_remove(struct sp_updater *u, struct sp_lease *l) {
    u->counts.leases -= l->count;
    sp_timer_cancel(&u->lease_timers, &l->timer);
    sp_table_remove(&u->leases, &l->link);
    sp_mem_free(u->mem, l->items, lease_size(l->cap));
    sp_mem_free(u->mem, l, sizeof *l + l->owner_len);
}

/* The timer stands at the earliest item; a lease without items goes. */
static void lease_settle(struct sp_updater *u, struct sp_lease *l) {
    sp_instant due = SP_NEVER;
    for (uint16_t i = 0; i < l->count; i++)
        due = sp_instant_min(due, l->items[i].due);
    if (l->count == 0)
        lease_remove(u, l);
    else if (!l->timer.set || l->timer.due != due)
        sp_timer_set(&u->lease_timers, &l->timer, due);
}

static struct sp_lease *lease_make(struct sp_updater *u, uint32_t zone, const struct sp_name *owner, uint16_t type) {
    struct sp_lease *l = sp_mem_alloc(u->mem, sizeof *l + owner->len);
    if (l == NULL)
        return NULL;
    struct sp_name lower = *owner;
    sp_name_lower(&lower);
    l->zone = zone;
    l->type = type;
    l->owner_len = lower.len;
    memcpy(l->owner, lower.wire, lower.len);
    if (sp_table_add(&u->leases, &l->link, sp_updater_hash_name(u, zone, type, owner)) == SP_OK)
        return l;
    sp_mem_free(u->mem, l, sizeof *l + l->owner_len);
    return NULL;
}

static bool items_reserve(struct sp_updater *u, struct sp_lease *l, uint16_t cap) {
    if (cap <= l->cap)
        return true;
    struct sp_lease_item *items = sp_mem_alloc(u->mem, lease_size(cap));
    if (items == NULL)
        return false;
    if (l->count > 0)
        memcpy(items, l->items, lease_size(l->count));
    sp_mem_free(u->mem, l->items, lease_size(l->cap));
    l->items = items;
    l->cap = cap;
    return true;
}

/* Room is there. An item that stays with the same grant keeps its time. */
static void item_set(struct sp_updater *u, struct sp_lease *l, uint64_t hash, uint32_t granted_s, sp_instant now) {
    uint16_t at = item_place(l, hash);
    if (at == l->count || l->items[at].hash != hash) {
        memmove(&l->items[at + 1], &l->items[at], (size_t)(l->count - at) * sizeof *l->items);
        l->items[at] = (struct sp_lease_item){.hash = hash};
        l->count++;
        u->counts.leases++;
    }
    l->items[at].live = true;
    if (l->items[at].granted_s == granted_s)
        return;
    l->items[at].granted_s = granted_s;
    l->items[at].due = sp_instant_add(now, granted_s * SP_SEC);
}

/* ---- following what the zone says ---- */

static void items_unmark(struct sp_lease *l) {
    for (uint16_t i = 0; i < l->count; i++)
        l->items[i].live = false;
}

static void items_sweep(struct sp_updater *u, struct sp_lease *l) {
    uint16_t kept = 0;
    for (uint16_t i = 0; i < l->count; i++)
        if (l->items[i].live)
            l->items[kept++] = l->items[i];
    u->counts.leases -= (uint64_t)(l->count - kept);
    l->count = kept;
}

sp_err sp_lease_follow(struct sp_updater *u, uint32_t zone, const struct sp_rec_rrset *set, sp_instant now) {
    struct sp_lease *l = sp_lease_find(u, zone, &set->owner, set->rrs.type);
    uint16_t leased = 0;
    for (uint16_t i = 0; set->leases != NULL && i < set->rrs.count; i++)
        leased += sp_get_u32(set->leases + 4 * i) != 0;
    if (l == NULL && leased == 0)
        return SP_OK;
    if (l == NULL)
        l = lease_make(u, zone, &set->owner, set->rrs.type);
    if (l == NULL)
        return SP_ERR_FULL;
    sp_err err = items_reserve(u, l, (uint16_t)(l->count + leased)) ? SP_OK : SP_ERR_FULL;
    items_unmark(l);
    struct sp_rd rd = sp_rd_init(set->rrs.data, set->rrs.len);
    const uint8_t *rdata;
    size_t len;
    for (uint16_t i = 0; err == SP_OK && leased > 0 && sp_rrs_next(&rd, &rdata, &len); i++) {
        uint32_t granted_s = sp_get_u32(set->leases + 4 * i);
        if (granted_s != 0)
            item_set(u, l, sp_updater_hash_rdata(u, rdata, len), granted_s, now);
    }
    items_sweep(u, l);
    lease_settle(u, l);
    return err;
}

void sp_lease_prune(struct sp_updater *u, uint32_t zone, const struct sp_name *owner, uint16_t type,
                    const struct sp_rrset *set) {
    struct sp_lease *l = sp_lease_find(u, zone, owner, type);
    if (l == NULL)
        return;
    items_unmark(l);
    if (set != NULL) {
        struct sp_rd rd = sp_rd_init(set->data, set->len);
        const uint8_t *rdata;
        for (size_t len; sp_rrs_next(&rd, &rdata, &len);) {
            struct sp_lease_item *item = sp_lease_item(l, sp_updater_hash_rdata(u, rdata, len));
            if (item != NULL)
                item->live = true;
        }
    }
    items_sweep(u, l);
    lease_settle(u, l);
}

void sp_lease_refresh(struct sp_updater *u, struct sp_lease *l, struct sp_lease_item *item, sp_instant now) {
    item->due = sp_instant_add(now, item->granted_s * SP_SEC);
    lease_settle(u, l);
}

/* ---- all of them ---- */

void sp_lease_restart(struct sp_updater *u, sp_instant now) {
    struct sp_table_cursor c = {0};
    for (struct sp_link *link; (link = sp_table_each(&u->leases, &c)) != NULL;) {
        struct sp_lease *l = SP_CONTAINER(link, struct sp_lease, link);
        for (uint16_t i = 0; i < l->count; i++)
            l->items[i].due = sp_instant_add(now, l->items[i].granted_s * SP_SEC);
        lease_settle(u, l);
    }
}

void sp_lease_drop_zone(struct sp_updater *u, uint32_t zone) {
    struct sp_table_cursor c = {0};
    for (struct sp_link *link; (link = sp_table_each(&u->leases, &c)) != NULL;) {
        struct sp_lease *l = SP_CONTAINER(link, struct sp_lease, link);
        if (zone == 0 || l->zone == zone)
            lease_remove(u, l);
    }
}

void sp_lease_free(struct sp_updater *u) {
    sp_lease_drop_zone(u, 0);
    sp_table_free(&u->leases);
}

bool sp_updater_lease(const struct sp_updater *u, const struct sp_zone *zone, const struct sp_name *owner,
                      uint16_t type, sp_instant now, uint32_t *ret_granted_s, sp_instant *ret_due) {
    const struct sp_lease *l = sp_lease_find(u, sp_zone_id(zone), owner, type);
    if (l == NULL)
        return false;
    const struct sp_lease_item *first = &l->items[0];
    for (uint16_t i = 1; i < l->count; i++)
        if (l->items[i].due < first->due)
            first = &l->items[i];
    *ret_granted_s = first->granted_s;
    *ret_due = first->due;
    return true;
}
