/* What a transaction changed, as a log record; and the tables that follow records. */
#include "signpostd/core/updater.h"

static bool rrsets_equal(const struct sp_rrset *a, const struct sp_rrset *b) {
    if (a == NULL || b == NULL)
        return a == b;
    return a->ttl == b->ttl && a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

/* Deleting and adding the same again, as scripts do, changes nothing. */
bool sp_change_differs(const struct sp_txn *txn, size_t i) {
    struct sp_name owner;
    uint16_t type;
    const struct sp_rrset *after;
    sp_txn_change(txn, i, &owner, &type, &after);
    return !rrsets_equal(sp_txn_before(txn, i), after);
}

size_t sp_change_count(const struct sp_txn *txn) {
    size_t n = 0;
    for (size_t i = 0; i < sp_txn_changes(txn); i++)
        n += sp_change_differs(txn, i);
    return n;
}

sp_err sp_change_bump(struct sp_zone *z, struct sp_txn *txn, uint32_t serial_before) {
    const struct sp_node *n = sp_zone_node(z, sp_zone_apex(z));
    const struct sp_rrset *soa = n == NULL ? NULL : sp_node_rrset(n, SP_TYPE_SOA);
    if (soa == NULL || soa->len < 22 || (int32_t)(sp_zone_serial(z) - serial_before) > 0)
        return SP_OK;
    uint8_t data[2 * SP_NAME_MAX + 32];
    if (soa->len > sizeof data)
        return SP_ERR_RANGE;
    memcpy(data, soa->data, soa->len);
    uint32_t serial = serial_before + 1;
    sp_put_u32(data + soa->len - 20, serial != 0 ? serial : 1); /* 0 stands for "no SOA" here */
    struct sp_rrs rrs = sp_rrset_view(soa);
    rrs.data = data;
    return sp_txn_put(txn, sp_zone_apex(z), &rrs);
}

static bool shrinks(enum sp_record_kind kind, const struct sp_txn *txn) {
    size_t before = 0, after = 0;
    for (size_t i = 0; txn != NULL && i < sp_txn_changes(txn); i++) {
        struct sp_name owner;
        uint16_t type;
        const struct sp_rrset *set;
        sp_txn_change(txn, i, &owner, &type, &set);
        after += set != NULL ? set->len : 0;
        set = sp_txn_before(txn, i);
        before += set != NULL ? set->len : 0;
    }
    return after < before || kind == SP_REC_ZONE_GONE || kind == SP_REC_KEY_GONE || kind == SP_REC_INVITE_GONE;
}

sp_err sp_change_fill(struct sp_updater *u, struct sp_change *ret, uint32_t zone, enum sp_record_kind kind,
                      const struct sp_wr *wr, struct sp_txn *txn) {
    if (wr->err != SP_OK)
        return wr->err;
    const struct sp_zone *z = sp_zones_by_id(u->zones, zone);
    *ret = (struct sp_change){
        .zone = zone,
        .kind = (uint16_t)kind,
        .body = u->body,
        .len = sp_wr_len(wr),
        .txn = txn,
        .serial = z != NULL ? sp_zone_serial(z) : 0,
        .rrsets = txn != NULL ? sp_change_count(txn) : 0,
        .shrinks = shrinks(kind, txn),
    };
    return SP_OK;
}

uint32_t sp_lease_asked(void *ctx, const uint8_t *rdata, size_t len) {
    const struct sp_lease_ask *ask = ctx;
    const struct sp_lease_item *item = sp_lease_item(ask->lease, sp_updater_hash_rdata(ask->u, rdata, len));
    return item != NULL ? item->granted_s : 0;
}

void sp_change_write(struct sp_updater *u, struct sp_wr *wr, uint32_t zone, const struct sp_txn *txn) {
    struct sp_name owner;
    uint16_t type;
    const struct sp_rrset *after;
    for (size_t i = 0; i < sp_txn_changes(txn); i++) {
        if (!sp_change_differs(txn, i))
            continue;
        sp_txn_change(txn, i, &owner, &type, &after);
        struct sp_lease_ask ask = {u, sp_lease_find(u, zone, &owner, type)};
        struct sp_rrs rrs = {.type = type, .rclass = SP_CLASS_IN};
        if (after != NULL)
            rrs = sp_rrset_view(after);
        sp_record_rrset_write(wr, &owner, &rrs, sp_lease_asked, &ask);
    }
}

/* ---- tables follow records ---- */

static void prune_leases(struct sp_updater *u, uint32_t zone, const struct sp_txn *txn) {
    struct sp_name owner;
    uint16_t type;
    const struct sp_rrset *after;
    for (size_t i = 0; i < sp_txn_changes(txn); i++) {
        sp_txn_change(txn, i, &owner, &type, &after);
        sp_lease_prune(u, zone, &owner, type, after);
    }
}

static void absorb_replay(struct sp_updater *u, uint32_t zone, const struct sp_rec_replay *r) {
    struct sp_use *use = sp_use_get(u, zone, r->kind, &r->name, r->pub);
    if (use == NULL)
        u->counts.memory_full++;
    else if (u->replaying)
        sp_use_replay(use, r);
    else
        sp_use_note(use, r);
}

sp_err sp_change_absorb(struct sp_updater *u, struct sp_zone *z, const uint8_t *body, size_t len, struct sp_txn *txn,
                        sp_instant now) {
    struct sp_rd rd;
    struct sp_rec_change c;
    SP_TRY(sp_record_open(&rd, body, len));
    SP_TRY(sp_record_change_read(&rd, &c));
    if (txn != NULL)
        sp_ident_follow(u, z, txn, NULL);
    if (c.flags & SP_CHANGE_REPLAY)
        absorb_replay(u, sp_zone_id(z), &c.replay);
    if (c.flags & SP_CHANGE_INVITE) {
        sp_invite_remove(u, c.invite);
        u->counts.joins += !u->replaying;
    }
    if (c.flags & SP_CHANGE_BULK) {
        if (txn != NULL)
            prune_leases(u, sp_zone_id(z), txn);
        return SP_OK;
    }
    struct sp_rec_rrset set;
    sp_err err, full = SP_OK;
    while ((err = sp_record_rrset_read(&rd, &set)) == SP_OK) {
        if (!sp_name_under(&set.owner, sp_zone_apex(z)) || sp_zone_makes(z, &set.owner, set.rrs.type))
            continue; /* passed over in the zone, too */
        if (sp_lease_follow(u, sp_zone_id(z), &set, now) != SP_OK) {
            u->counts.memory_full++;
            full = SP_ERR_FULL;
        }
    }
    return err == SP_ERR_NOENT ? full : err;
}
