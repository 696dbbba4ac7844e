/* The log's records applied again, in order, at a start; and after operator verbs, whose records are applied the same
 * way. */
#include "signpostd/core/updater.h"

/* ---- zones ---- */

static sp_err zone_make(struct sp_updater *u, uint32_t id, const struct sp_zone_secrets *s) {
    if (sp_zones_by_id(u->zones, id) != NULL)
        return SP_OK; /* a snapshot had it already */
    struct sp_zone_user *user = sp_mem_alloc(u->mem, sizeof *user);
    if (user == NULL)
        return SP_ERR_FULL;
    user->secrets = *s;
    struct sp_zone_info *info = &user->info;
    info->signpost = s->signpost;
    sp_ed25519_from_seed(&info->dnssec, s->dnssec_seed);
    sp_ed25519_from_seed(&info->root, s->root_seed);
    sp_ed25519_from_seed(&info->signpost_key, s->signpost_seed);
    sp_root_hash(info->root.pub, info->root_hash);
    sp_overlay_prefix(info->root_hash, info->prefix);
    uint8_t rdata[SP_KEY_RDATA];
    sp_key_rdata(info->signpost_key.pub, rdata);
    info->signpost_tag = sp_key_tag(rdata, sizeof rdata);
    struct sp_zone *z;
    sp_err err = sp_zone_add(u->zones, &s->apex, id, &info->dnssec, &z);
    if (err == SP_OK) {
        *sp_zone_user(z) = user;
        return SP_OK;
    }
    sp_wipe(user, sizeof *user);
    sp_mem_free(u->mem, user, sizeof *user);
    return err;
}

static void zone_drop(struct sp_updater *u, uint32_t id) {
    struct sp_zone *z = sp_zones_by_id(u->zones, id);
    if (z == NULL || id == 0)
        return;
    sp_lease_drop_zone(u, id);
    sp_ident_drop_zone(u, id);
    sp_use_drop_zone(u, id);
    sp_tkey_drop_zone(u, id);
    sp_invite_drop_zone(u, id);
    struct sp_zone_user *user = sp_zone_user_of(z);
    *sp_zone_user(z) = NULL;
    sp_zone_remove(u->zones, z);
    if (user != NULL)
        sp_wipe(user, sizeof *user);
    sp_mem_free(u->mem, user, user != NULL ? sizeof *user : 0);
}

static sp_err zone_read_make(struct sp_updater *u, uint32_t id, struct sp_rd *rd) {
    struct sp_zone_secrets s;
    sp_err err = sp_record_zone_read(rd, &s);
    if (err == SP_OK)
        err = zone_make(u, id, &s);
    sp_wipe(&s, sizeof s);
    return err;
}

/* ---- changes ---- */

void sp_apply_partial_end(struct sp_updater *u) {
    if (u->partial != NULL)
        sp_txn_undo(u->partial);
    u->partial = NULL;
}

static sp_err apply_rrsets(struct sp_txn *txn, struct sp_rd *rd) {
    struct sp_rec_rrset set;
    sp_err err;
    while ((err = sp_record_rrset_read(rd, &set)) == SP_OK) {
        err = sp_txn_put(txn, &set.owner, &set.rrs);
        /* A name outside the zone, or what the zone makes itself: of a zone that had this number before. */
        if (err != SP_OK && err != SP_ERR_RANGE && err != SP_ERR_DENIED)
            return err;
    }
    return err == SP_ERR_NOENT ? SP_OK : err;
}

static sp_err apply_change(struct sp_updater *u, uint32_t id, const struct sp_log_record *rec, struct sp_rd *rd,
                           sp_instant now) {
    struct sp_rec_change c;
    SP_TRY(sp_record_change_read(rd, &c));
    struct sp_zone *z = sp_zones_by_id(u->zones, id);
    struct sp_txn *txn = NULL;
    if (u->partial != NULL && u->partial_zone == id && (c.flags & SP_CHANGE_CONTINUES)) {
        txn = u->partial;
        u->partial = NULL;
    }
    sp_apply_partial_end(u);
    if (z == NULL || (txn == NULL && (c.flags & SP_CHANGE_CONTINUES)))
        return SP_OK; /* a zone removed since, or the rest of what was undone */
    if (txn == NULL)
        SP_TRY(sp_txn_begin(&txn, z));
    sp_txn_unlimited(txn);
    sp_err err = apply_rrsets(txn, rd);
    if (err != SP_OK) {
        sp_txn_undo(txn);
        return err;
    }
    if (c.flags & SP_CHANGE_MORE) {
        u->partial = txn;
        u->partial_zone = id;
        return SP_OK;
    }
    err = sp_change_absorb(u, z, rec->body, rec->len, txn, now);
    sp_txn_retire(txn);
    return err;
}

/* ---- all kinds ---- */

static sp_err apply_key(struct sp_updater *u, uint32_t zone, struct sp_rd *rd) {
    struct sp_rec_key k;
    sp_err err = sp_record_key_read(rd, &k);
    if (err == SP_OK)
        err = sp_tkey_put(u, zone, &k);
    sp_wipe(&k, sizeof k);
    return err == SP_ERR_FORM ? SP_ERR_CORRUPT : err == SP_ERR_NOENT ? SP_OK : err;
}

sp_err sp_apply_body(struct sp_updater *u, uint32_t zone, uint16_t kind, struct sp_rd *rd) {
    struct sp_name name;
    struct sp_invite_info invite;
    uint8_t pub[SP_ED25519_PUB];
    switch (kind) {
    case SP_REC_ZONE:
        return zone_read_make(u, zone, rd);
    case SP_REC_ZONE_GONE:
        if (sp_rd_left(rd) != 0)
            return SP_ERR_CORRUPT;
        zone_drop(u, zone);
        return SP_OK;
    case SP_REC_KEY:
        return apply_key(u, zone, rd);
    case SP_REC_KEY_GONE:
        SP_TRY(sp_record_name_read(rd, &name));
        sp_tkey_remove(u, zone, &name);
        return SP_OK;
    case SP_REC_INVITE:
        SP_TRY(sp_record_invite_read(rd, &invite));
        return sp_zones_by_id(u->zones, zone) == NULL ? SP_OK : sp_invite_put(u, zone, &invite);
    case SP_REC_INVITE_GONE:
        SP_TRY(sp_record_pub_read(rd, pub));
        sp_invite_remove(u, pub);
        return SP_OK;
    default:
        return SP_ERR_CORRUPT;
    }
}

sp_err sp_updater_apply(struct sp_updater *u, const struct sp_log_record *rec, sp_instant now) {
    u->replaying = true;
    if (rec->erased)
        return SP_OK;
    struct sp_rd rd;
    SP_TRY(sp_record_open(&rd, rec->body, rec->len));
    if (rec->zone == 0 || rec->zone > SP_LOG_ZONES_MAX)
        return SP_ERR_CORRUPT;
    if (rec->kind == SP_REC_CHANGE)
        return apply_change(u, rec->zone, rec, &rd, now);
    sp_apply_partial_end(u);
    return sp_apply_body(u, rec->zone, rec->kind, &rd);
}

void sp_updater_replayed(struct sp_updater *u, sp_instant now, sp_wall wall) {
    sp_apply_partial_end(u);
    u->replaying = false;
    sp_lease_restart(u, now);
    sp_use_restart(u, now, wall);
    sp_invite_purge(u, sp_wall_sec(wall));
}

void sp_updater_resumed(struct sp_updater *u, sp_instant now) {
    sp_lease_restart(u, now);
}

sp_err sp_updater_commit(struct sp_updater *u, const struct sp_change *c, sp_instant now) {
    if (c->body == NULL)
        return SP_OK;
    struct sp_rd rd;
    if (c->kind != SP_REC_CHANGE) {
        SP_TRY(sp_record_open(&rd, c->body, c->len));
        return sp_apply_body(u, c->zone, c->kind, &rd);
    }
    struct sp_zone *z = sp_zones_by_id(u->zones, c->zone);
    SP_ASSERT(z != NULL);
    return sp_change_absorb(u, z, c->body, c->len, c->txn, now);
}

void sp_updater_abort(struct sp_updater *u, const struct sp_change *c) {
    if (c->body != NULL && c->txn != NULL)
        sp_txn_undo(c->txn);
}
