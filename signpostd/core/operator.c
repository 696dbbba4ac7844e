/* What the operator changes: zones, invites, keys, revocations, imported transactions. Each becomes a record that the
 * log takes before the tables follow it. */
#include "signpostd/core/updater.h"

static struct sp_wr body(struct sp_updater *u) {
    return sp_wr_init(u->body, SP_LOG_BODY_MAX);
}

/* ---- zones ---- */

sp_err sp_updater_zone_add(struct sp_updater *u, uint32_t id, const struct sp_zone_secrets *secrets,
                           struct sp_change *ret) {
    if (id == 0 || id > SP_LOG_ZONES_MAX)
        return SP_ERR_RANGE;
    if (sp_zones_by_id(u->zones, id) != NULL || sp_zones_get(u->zones, &secrets->apex) != NULL)
        return SP_ERR_EXIST;
    struct sp_wr wr = body(u);
    sp_record_zone_write(&wr, secrets);
    return sp_change_fill(u, ret, id, SP_REC_ZONE, &wr, NULL);
}

sp_err sp_updater_zone_remove(struct sp_updater *u, struct sp_zone *zone, struct sp_change *ret) {
    struct sp_wr wr = body(u);
    sp_record_empty_write(&wr);
    return sp_change_fill(u, ret, sp_zone_id(zone), SP_REC_ZONE_GONE, &wr, NULL);
}

/* ---- transactions ---- */

/* One record of a transaction that takes several: RRsets from c->next on. They hold no leases, since imports grant
 * none. */
static void slice_write(struct sp_updater *u, struct sp_change *c) {
    struct sp_wr wr = body(u);
    struct sp_rec_change head = {.flags = SP_CHANGE_BULK | (c->next > 0 ? SP_CHANGE_CONTINUES : 0)};
    sp_record_change_write(&wr, &head);
    uint8_t *flags = u->body + 1;
    c->more = false;
    for (; c->next < sp_txn_changes(c->txn); c->next++) {
        struct sp_name owner;
        uint16_t type;
        const struct sp_rrset *after;
        if (!sp_change_differs(c->txn, c->next))
            continue;
        sp_txn_change(c->txn, c->next, &owner, &type, &after);
        struct sp_rrs rrs = {.type = type, .rclass = SP_CLASS_IN};
        if (after != NULL)
            rrs = sp_rrset_view(after);
        struct sp_wr before = wr;
        sp_record_rrset_write(&wr, &owner, &rrs, NULL, NULL);
        if (wr.err != SP_OK) {
            wr = before;
            c->more = true;
            *flags |= SP_CHANGE_MORE;
            break;
        }
    }
    c->body = u->body;
    c->len = sp_wr_len(&wr);
}

void sp_updater_txn_more(struct sp_updater *u, struct sp_change *c) {
    SP_ASSERT(c->more);
    slice_write(u, c);
}

/* The zone's serial before the transaction; false: it brings the first SOA, which needs no raise. */
static bool serial_before(const struct sp_zone *zone, const struct sp_txn *txn, uint32_t *ret) {
    *ret = sp_zone_serial(zone);
    for (size_t i = 0; i < sp_txn_changes(txn); i++) {
        struct sp_name owner;
        uint16_t type;
        const struct sp_rrset *after, *before = sp_txn_before(txn, i);
        sp_txn_change(txn, i, &owner, &type, &after);
        if (type != SP_TYPE_SOA)
            continue;
        if (before == NULL || before->len < 22)
            return false;
        *ret = sp_get_u32(before->data + before->len - 20);
    }
    return true;
}

sp_err sp_updater_txn(struct sp_updater *u, struct sp_zone *zone, struct sp_txn *txn, bool bump,
                      struct sp_change *ret) {
    bool conflict;
    if (sp_change_count(txn) == 0) {
        sp_txn_undo(txn);
        memset(ret, 0, sizeof *ret);
        return SP_ERR_NOENT;
    }
    sp_ident_follow(u, zone, txn, &conflict);
    sp_ident_unfollow(u, zone, txn);
    if (conflict)
        return SP_ERR_EXIST;
    uint32_t before;
    if (bump && serial_before(zone, txn, &before))
        SP_TRY(sp_change_bump(zone, txn, before));
    *ret = (struct sp_change){
        .zone = sp_zone_id(zone),
        .kind = SP_REC_CHANGE,
        .txn = txn,
        .serial = sp_zone_serial(zone),
        .rrsets = sp_change_count(txn),
    };
    slice_write(u, ret);
    return SP_OK;
}

/* ---- invites ---- */

sp_err sp_updater_invite_add(struct sp_updater *u, struct sp_zone *zone, const struct sp_name *name,
                             const uint8_t invite_pub[SP_ED25519_PUB], uint64_t expiry, sp_wall wall,
                             struct sp_change *ret) {
    const struct sp_name *apex = sp_zone_apex(zone);
    if (!sp_name_under(name, apex) || name->labels == apex->labels || sp_zones_closest(u->zones, name) != zone)
        return SP_ERR_RANGE;
    if (sp_join_reserved(name))
        return SP_ERR_DENIED;
    const struct sp_node *n = sp_zone_node(zone, name);
    if (n != NULL && sp_node_rrset(n, SP_TYPE_KEY) != NULL)
        return SP_ERR_EXIST;
    if (u->invites.count >= u->config.invites)
        sp_invite_purge(u, sp_wall_sec(wall));
    if (u->invites.count >= u->config.invites)
        return SP_ERR_FULL;
    struct sp_invite_info info = {.name = *name, .expiry = expiry};
    memcpy(info.pub, invite_pub, sizeof info.pub);
    struct sp_wr wr = body(u);
    sp_record_invite_write(&wr, &info);
    return sp_change_fill(u, ret, sp_zone_id(zone), SP_REC_INVITE, &wr, NULL);
}

/* ---- revocation ---- */

#define REVOKE_SETS 2000u

static sp_err revoke_node(struct sp_txn *txn, struct sp_zone *zone, const struct sp_node *n) {
    const struct sp_rrset *sets[64];
    uint16_t types[64];
    struct sp_name owner;
    bool changed;
    sp_node_name(n, &owner);
    size_t count = sp_node_rrsets(n, sets, 64);
    if (count > 64)
        count = 64; /* the rest in the next round */
    for (size_t i = 0; i < count; i++)
        types[i] = sets[i]->type;
    for (size_t i = 0; i < count; i++)
        if (!sp_zone_makes(zone, &owner, types[i]))
            SP_TRY(sp_txn_del_rrset(txn, &owner, types[i], &changed));
    return SP_OK;
}

/* Names below the device. The walk sees the whole zone: names are found by hash, not by place. */
static sp_err revoke_below(struct sp_txn *txn, struct sp_zone *zone, const struct sp_name *name, bool *more) {
    struct sp_zone_cursor c = {0};
    for (struct sp_node *n; (n = sp_zone_each(zone, &c)) != NULL;) {
        struct sp_name owner;
        sp_node_name(n, &owner);
        if (owner.labels <= name->labels || !sp_name_under(&owner, name))
            continue;
        if (sp_txn_changes(txn) >= REVOKE_SETS) {
            *more = true;
            return SP_OK;
        }
        SP_TRY(revoke_node(txn, zone, n));
    }
    return SP_OK;
}

sp_err sp_updater_revoke(struct sp_updater *u, struct sp_zone *zone, const struct sp_name *name, struct sp_change *ret,
                         bool *more) {
    const struct sp_name *apex = sp_zone_apex(zone);
    struct sp_txn *txn;
    *more = false;
    if (!sp_name_under(name, apex) || name->labels == apex->labels)
        return SP_ERR_RANGE;
    SP_TRY(sp_txn_begin(&txn, zone));
    const struct sp_node *n = sp_zone_node(zone, name);
    sp_err err = n != NULL ? revoke_node(txn, zone, n) : SP_OK;
    if (err == SP_OK)
        err = revoke_below(txn, zone, name, more);
    if (err == SP_OK)
        err = sp_updater_txn(u, zone, txn, true, ret); /* ERR_NOENT has given the transaction up */
    else
        sp_txn_undo(txn);
    u->counts.revocations += err == SP_OK && !*more;
    return err;
}

/* ---- keys ---- */

static sp_err key_change(struct sp_updater *u, struct sp_zone *zone, struct sp_rec_key *k, struct sp_change *ret,
                         const char **ret_what) {
    struct sp_policy policy;
    if (k->policy_len > SP_POLICY_TEXT_MAX) {
        *ret_what = "the policy is longer than 1024 bytes";
        return SP_ERR_FORM;
    }
    SP_TRY(sp_policy_parse(&policy, sp_zone_apex(zone), k->policy, k->policy_len, ret_what));
    const struct sp_tkey *old = sp_tkey_find(u, &k->tsig.name, k->kind);
    if (old != NULL && old->zone != sp_zone_id(zone))
        return SP_ERR_EXIST;
    if (old == NULL && u->keys.count >= u->config.keys)
        return SP_ERR_FULL;
    struct sp_wr wr = body(u);
    sp_record_key_write(&wr, k);
    return sp_change_fill(u, ret, sp_zone_id(zone), SP_REC_KEY, &wr, NULL);
}

sp_err sp_updater_tsig_add(struct sp_updater *u, struct sp_zone *zone, const struct sp_tsig_key *key,
                           const char *policy, size_t policy_len, struct sp_change *ret, const char **ret_what) {
    struct sp_rec_key k = {.kind = SP_AUTH_TSIG, .tsig = *key, .policy = policy, .policy_len = policy_len};
    if (key->secret_len == 0 || key->secret_len > sizeof key->secret) {
        *ret_what = "the secret is empty or longer than 128 bytes";
        return SP_ERR_FORM;
    }
    if (key->hash == SP_SHA1) {
        *ret_what = "the algorithm must be hmac-sha256, hmac-sha384 or hmac-sha512";
        return SP_ERR_FORM;
    }
    sp_err err = key_change(u, zone, &k, ret, ret_what);
    sp_wipe(&k, sizeof k);
    return err;
}

/* Without a policy: a KEY record like any device's, of its name and what is below. */
static sp_err key_record_add(struct sp_updater *u, struct sp_zone *zone, const struct sp_name *owner,
                             const uint8_t *rdata, size_t len, struct sp_change *ret) {
    struct sp_txn *txn;
    bool changed;
    SP_TRY(sp_txn_begin(&txn, zone));
    sp_err err = sp_txn_add_rr(txn, owner, SP_TYPE_KEY, 3600, rdata, len, &changed);
    if (err == SP_OK)
        err = sp_updater_txn(u, zone, txn, true, ret);
    if (err != SP_OK && err != SP_ERR_NOENT)
        sp_txn_undo(txn);
    return err;
}

sp_err sp_updater_key_add(struct sp_updater *u, struct sp_zone *zone, const struct sp_name *owner, const uint8_t *rdata,
                          size_t len, const char *policy, size_t policy_len, struct sp_change *ret,
                          const char **ret_what) {
    struct sp_rec_key k = {.kind = SP_AUTH_SIG0, .tsig = {.name = *owner}, .policy = policy, .policy_len = policy_len};
    if (sp_key_parse(rdata, len, k.pub) != SP_OK) {
        *ret_what = "only Ed25519 keys (algorithm 15) of protocol 3 sign updates here";
        return SP_ERR_UNSUP;
    }
    if (policy_len > 0)
        return key_change(u, zone, &k, ret, ret_what);
    if (!sp_name_under(owner, sp_zone_apex(zone))) {
        *ret_what = "a key of a name outside the zone needs a policy";
        return SP_ERR_FORM;
    }
    sp_err err = key_record_add(u, zone, owner, rdata, len, ret);
    return err == SP_ERR_NOENT ? SP_OK : err; /* it was there */
}

sp_err sp_updater_key_remove(struct sp_updater *u, struct sp_zone *zone, const struct sp_name *owner,
                             struct sp_change *ret) {
    struct sp_txn *txn;
    bool changed = false;
    for (enum sp_msg_auth kind = SP_AUTH_TSIG; kind <= SP_AUTH_SIG0; kind++) {
        const struct sp_tkey *k = sp_tkey_find(u, owner, kind);
        if (k == NULL || k->zone != sp_zone_id(zone))
            continue;
        struct sp_wr wr = body(u);
        sp_record_name_write(&wr, owner);
        return sp_change_fill(u, ret, sp_zone_id(zone), SP_REC_KEY_GONE, &wr, NULL);
    }
    if (!sp_name_under(owner, sp_zone_apex(zone)))
        return SP_ERR_NOENT;
    SP_TRY(sp_txn_begin(&txn, zone));
    sp_err err = sp_txn_del_rrset(txn, owner, SP_TYPE_KEY, &changed);
    if (err == SP_OK)
        return sp_updater_txn(u, zone, txn, true, ret);
    sp_txn_undo(txn);
    return err;
}
