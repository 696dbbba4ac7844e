/* The end of leases: records whose time has come go, a transaction of one zone at a time. RFC 9664. */
#include "signpostd/core/updater.h"

#define EXPIRE_SETS  256u         /* RRsets a transaction */
#define EXPIRE_BYTES (48u << 10)  /* of RRsets, so that the record stays well below its limit */
#define RETRY        (5 * SP_SEC) /* when the log did not take it */

sp_instant sp_updater_deadline(const struct sp_updater *u) {
    sp_instant due = sp_timers_next(&u->lease_timers);
    return due == SP_NEVER || due > u->expire_hold ? due : u->expire_hold;
}

void sp_updater_expire_later(struct sp_updater *u, sp_instant now) {
    u->expire_hold = sp_instant_add(now, RETRY);
}

static void owner_of(const struct sp_lease *l, struct sp_name *ret) {
    struct sp_rd rd = sp_rd_init(l->owner, l->owner_len);
    sp_err err = sp_name_read_plain(&rd, ret);
    SP_ASSERT(err == SP_OK);
}

/* Deletes the records whose items are due; *size grows by what the record will hold of them. */
static sp_err expire_set(struct sp_updater *u, struct sp_zone *z, struct sp_txn *txn, const struct sp_lease *l,
                         sp_instant now, size_t *size) {
    struct sp_name owner;
    owner_of(l, &owner);
    const struct sp_node *n = sp_zone_node(z, &owner);
    const struct sp_rrset *set = n == NULL ? NULL : sp_node_rrset(n, l->type);
    if (set == NULL)
        return SP_OK;
    struct sp_rd rd = sp_rd_init(set->data, set->len);
    const uint8_t *rdata;
    bool changed;
    for (size_t len; sp_rrs_next(&rd, &rdata, &len);) {
        const struct sp_lease_item *item = sp_lease_item(l, sp_updater_hash_rdata(u, rdata, len));
        if (item != NULL && item->due <= now)
            SP_TRY(sp_txn_del_rr(txn, &owner, l->type, rdata, len, &changed));
    }
    *size += owner.len + 32u + set->len + 4u * set->count;
    return SP_OK;
}

/* Takes leases that are due and of the same zone. Their timers stand a little later meanwhile: if the log does not take
 * the change they come again, and if it does the tables follow the record. */
static sp_err collect(struct sp_updater *u, struct sp_zone *z, struct sp_txn *txn, sp_instant now) {
    size_t size = 0;
    for (unsigned sets = 0; sets < EXPIRE_SETS && size < EXPIRE_BYTES; sets++) {
        struct sp_timer *t = sp_timers_pop(&u->lease_timers, now);
        if (t == NULL)
            return SP_OK;
        struct sp_lease *l = SP_CONTAINER(t, struct sp_lease, timer);
        bool other = l->zone != sp_zone_id(z);
        sp_timer_set(&u->lease_timers, t, other ? now : sp_instant_add(now, RETRY));
        if (other)
            return SP_OK;
        SP_TRY(expire_set(u, z, txn, l, now, &size));
    }
    return SP_OK;
}

/* Leases without a record in the zone have nothing to end: they are dropped. True if some were. */
static bool drop_orphans(struct sp_updater *u, const struct sp_zone *z, const struct sp_lease *l) {
    struct sp_name owner;
    uint64_t held = u->counts.leases;
    owner_of(l, &owner);
    const struct sp_node *n = z == NULL ? NULL : sp_zone_node(z, &owner);
    sp_lease_prune(u, l->zone, &owner, l->type, n == NULL ? NULL : sp_node_rrset(n, l->type));
    return u->counts.leases != held;
}

static sp_err record_write(struct sp_updater *u, struct sp_zone *z, struct sp_txn *txn, uint32_t serial_before,
                           struct sp_change *ret) {
    struct sp_wr wr = sp_wr_init(u->body, SP_LOG_BODY_MAX);
    struct sp_rec_change c = {0};
    SP_TRY(sp_change_bump(z, txn, serial_before));
    sp_record_change_write(&wr, &c);
    sp_change_write(u, &wr, sp_zone_id(z), txn);
    return sp_change_fill(u, ret, sp_zone_id(z), SP_REC_CHANGE, &wr, txn);
}

static sp_err expire_some(struct sp_updater *u, struct sp_zone *z, sp_instant now, struct sp_change *ret) {
    struct sp_txn *txn;
    uint32_t before = sp_zone_serial(z);
    SP_TRY(sp_txn_begin(&txn, z));
    sp_err err = collect(u, z, txn, now);
    size_t rrsets = sp_change_count(txn);
    if (err == SP_OK && rrsets > 0)
        err = record_write(u, z, txn, before, ret);
    if (err != SP_OK || rrsets == 0) {
        sp_txn_undo(txn);
        return err;
    }
    u->counts.lease_expiries += rrsets;
    sp_trace(u->config.trace, now, SP_TRACE_lease_expired, ret->serial, rrsets);
    return SP_OK;
}

bool sp_updater_expire(struct sp_updater *u, sp_instant now, struct sp_change *ret) {
    memset(ret, 0, sizeof *ret);
    sp_use_purge(u, now);
    while (now >= u->expire_hold && ret->body == NULL) {
        struct sp_timer *t = sp_timers_pop(&u->lease_timers, now);
        if (t == NULL)
            return false;
        struct sp_lease *l = SP_CONTAINER(t, struct sp_lease, timer);
        struct sp_zone *z = sp_zones_by_id(u->zones, l->zone);
        sp_timer_set(&u->lease_timers, t, t->due);
        if (drop_orphans(u, z, l))
            continue;
        if (z == NULL || expire_some(u, z, now, ret) != SP_OK) {
            ret->body = NULL;
            sp_updater_expire_later(u, now);
        }
    }
    return ret->body != NULL;
}
