/* TSIG keys, foreign KEYs, and invites: what the operator adds beside a zone's records. */
#include "signpostd/core/updater.h"

struct sp_tkey *sp_tkey_find(const struct sp_updater *u, const struct sp_name *name, enum sp_msg_auth kind) {
    uint64_t hash = sp_updater_hash_name(u, 0, 0, name);
    for (struct sp_link *l = sp_table_find(&u->keys, hash); l != NULL; l = sp_table_find_next(l)) {
        struct sp_tkey *k = SP_CONTAINER(l, struct sp_tkey, link);
        if (k->kind == kind && sp_name_equal(&k->tsig.name, name))
            return k;
    }
    return NULL;
}

static void tkey_free(struct sp_updater *u, struct sp_tkey *k) {
    sp_wipe(k, sizeof *k);
    sp_mem_free(u->mem, k, sizeof *k);
}

/* One TSIG key and one foreign KEY a name; putting it again replaces it. */
sp_err sp_tkey_put(struct sp_updater *u, uint32_t zone, const struct sp_rec_key *k) {
    const struct sp_zone *z = sp_zones_by_id(u->zones, zone);
    struct sp_tkey *old = sp_tkey_find(u, &k->tsig.name, k->kind);
    if (z == NULL)
        return SP_ERR_NOENT;
    if (old != NULL && old->zone != zone)
        return SP_ERR_EXIST;
    struct sp_tkey *t = sp_mem_alloc(u->mem, sizeof *t);
    if (t == NULL)
        return SP_ERR_FULL;
    t->zone = zone;
    t->kind = k->kind;
    t->tsig = k->tsig;
    memcpy(t->pub, k->pub, sizeof t->pub);
    uint8_t rdata[SP_KEY_RDATA];
    sp_key_rdata(k->pub, rdata);
    t->tag = sp_key_tag(rdata, sizeof rdata);
    memcpy(t->text, k->policy, k->policy_len);
    t->text_len = (uint16_t)k->policy_len;
    const char *what;
    sp_err err = sp_policy_parse(&t->policy, sp_zone_apex(z), t->text, t->text_len, &what);
    if (err == SP_OK && old != NULL) {
        sp_table_remove(&u->keys, &old->link);
        tkey_free(u, old);
    }
    if (err == SP_OK)
        err = sp_table_add(&u->keys, &t->link, sp_updater_hash_name(u, 0, 0, &t->tsig.name));
    if (err != SP_OK)
        tkey_free(u, t);
    return err;
}

static void tkeys_remove(struct sp_updater *u, uint32_t zone, const struct sp_name *name) {
    struct sp_table_cursor c = {0};
    for (struct sp_link *l; (l = sp_table_each(&u->keys, &c)) != NULL;) {
        struct sp_tkey *k = SP_CONTAINER(l, struct sp_tkey, link);
        if ((zone != 0 && k->zone != zone) || (name != NULL && !sp_name_equal(&k->tsig.name, name)))
            continue;
        sp_table_remove(&u->keys, l);
        tkey_free(u, k);
    }
}

void sp_tkey_remove(struct sp_updater *u, uint32_t zone, const struct sp_name *name) {
    tkeys_remove(u, zone, name);
}

void sp_tkey_drop_zone(struct sp_updater *u, uint32_t zone) {
    tkeys_remove(u, zone, NULL);
}

bool sp_updater_key_each(struct sp_updater *u, const struct sp_zone *zone, struct sp_table_cursor *cursor,
                         struct sp_key_info *ret) {
    for (struct sp_link *l; (l = sp_table_each(&u->keys, cursor)) != NULL;) {
        const struct sp_tkey *k = SP_CONTAINER(l, struct sp_tkey, link);
        if (k->zone != sp_zone_id(zone))
            continue;
        *ret = (struct sp_key_info){k->tsig.name, k->kind == SP_AUTH_TSIG, k->tsig.hash, k->text, k->text_len};
        return true;
    }
    return false;
}

/* ---- invites ---- */

static uint64_t invite_hash(const struct sp_updater *u, const uint8_t pub[SP_ED25519_PUB]) {
    return sp_updater_hash(u, 0, 0, pub, SP_ED25519_PUB);
}

struct sp_invite *sp_invite_find(const struct sp_updater *u, const uint8_t pub[SP_ED25519_PUB]) {
    struct sp_link *l = sp_table_find(&u->invites, invite_hash(u, pub));
    for (; l != NULL; l = sp_table_find_next(l)) {
        struct sp_invite *i = SP_CONTAINER(l, struct sp_invite, link);
        if (memcmp(i->info.pub, pub, SP_ED25519_PUB) == 0)
            return i;
    }
    return NULL;
}

sp_err sp_invite_put(struct sp_updater *u, uint32_t zone, const struct sp_invite_info *info) {
    struct sp_invite *i = sp_invite_find(u, info->pub);
    if (i != NULL) {
        i->zone = zone;
        i->info = *info;
        return SP_OK;
    }
    i = sp_mem_alloc(u->mem, sizeof *i);
    if (i == NULL)
        return SP_ERR_FULL;
    i->zone = zone;
    i->info = *info;
    sp_err err = sp_table_add(&u->invites, &i->link, invite_hash(u, info->pub));
    if (err != SP_OK)
        sp_mem_free(u->mem, i, sizeof *i);
    return err;
}

static void invite_free(struct sp_updater *u, struct sp_invite *i) {
    sp_table_remove(&u->invites, &i->link);
    sp_mem_free(u->mem, i, sizeof *i);
}

void sp_invite_remove(struct sp_updater *u, const uint8_t pub[SP_ED25519_PUB]) {
    struct sp_invite *i = sp_invite_find(u, pub);
    if (i != NULL)
        invite_free(u, i);
}

void sp_invite_drop_zone(struct sp_updater *u, uint32_t zone) {
    struct sp_table_cursor c = {0};
    for (struct sp_link *l; (l = sp_table_each(&u->invites, &c)) != NULL;) {
        struct sp_invite *i = SP_CONTAINER(l, struct sp_invite, link);
        if (zone == 0 || i->zone == zone)
            invite_free(u, i);
    }
}

void sp_invite_purge(struct sp_updater *u, uint64_t wall_s) {
    struct sp_table_cursor c = {0};
    for (struct sp_link *l; (l = sp_table_each(&u->invites, &c)) != NULL;) {
        struct sp_invite *i = SP_CONTAINER(l, struct sp_invite, link);
        if (i->info.expiry <= wall_s)
            invite_free(u, i);
    }
}

bool sp_updater_invite_each(struct sp_updater *u, const struct sp_zone *zone, struct sp_table_cursor *cursor,
                            struct sp_invite_info *ret) {
    for (struct sp_link *l; (l = sp_table_each(&u->invites, cursor)) != NULL;) {
        const struct sp_invite *i = SP_CONTAINER(l, struct sp_invite, link);
        if (i->zone != sp_zone_id(zone))
            continue;
        *ret = i->info;
        return true;
    }
    return false;
}
