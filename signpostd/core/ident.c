/* Which keys and overlay addresses a zone lists, so that none is listed twice. DESIGN: "A name points to a key".
 *
 * A key and its sign-flipped twin have the same X25519 image, u = (1 + y) / (1 - y): it depends on y alone, and y is
 * the key without its top bit. So keys are listed by y, and no conversion is needed to list a million of them. */
#include "signpostd/core/updater.h"
#include "signpostd/core/zone_int.h"

enum { IDENT_KEY = 1, IDENT_ADDR = 2 };

struct sp_ident {
    struct sp_link link;
    uint32_t zone;
    uint16_t kind;
    uint16_t count;
    uint64_t owner;    /* of a key: its name's hash among the zone's nodes */
    uint8_t bytes[32]; /* y, or the address and zeros */
};

static void ident_bytes(uint8_t ret[32], uint16_t kind, const uint8_t *data) {
    memset(ret, 0, 32);
    memcpy(ret, data, kind == IDENT_KEY ? 32 : 16);
    if (kind == IDENT_KEY)
        ret[31] &= 0x7f;
}

static struct sp_ident *ident_find(const struct sp_updater *u, uint32_t zone, uint16_t kind, const uint8_t bytes[32]) {
    uint64_t hash = sp_updater_hash(u, zone, kind, bytes, 32);
    for (struct sp_link *l = sp_table_find(&u->idents, hash); l != NULL; l = sp_table_find_next(l)) {
        struct sp_ident *i = SP_CONTAINER(l, struct sp_ident, link);
        if (i->zone == zone && i->kind == kind && memcmp(i->bytes, bytes, 32) == 0)
            return i;
    }
    return NULL;
}

static bool ident_has(const struct sp_updater *u, uint32_t zone, uint16_t kind, const uint8_t *data) {
    uint8_t bytes[32];
    ident_bytes(bytes, kind, data);
    return ident_find(u, zone, kind, bytes) != NULL;
}

bool sp_ident_has_key(const struct sp_updater *u, uint32_t zone, const uint8_t pub[SP_ED25519_PUB]) {
    return ident_has(u, zone, IDENT_KEY, pub);
}

bool sp_ident_has_addr(const struct sp_updater *u, uint32_t zone, const uint8_t addr[16]) {
    return ident_has(u, zone, IDENT_ADDR, addr);
}

bool sp_ident_is_overlay(const struct sp_zone *z, const uint8_t *rdata, size_t len) {
    const struct sp_zone_user *user = sp_zone_user_of(z);
    return user != NULL && len == 16 && memcmp(rdata, user->info.prefix, sizeof user->info.prefix) == 0;
}

/* ---- whose a key is ---- */

static uint64_t owner_hash(const struct sp_updater *u, const struct sp_name *owner) {
    struct sp_name_key q;
    sp_name_key_init(&q, owner, u->zones->hash_key);
    return q.hash[q.labels];
}

/* The key of a node's KEY records that has this y. */
static bool node_key(const struct sp_node *n, const uint8_t y[32], uint8_t ret_pub[SP_ED25519_PUB]) {
    const struct sp_rrset *set = sp_node_exists(n) ? sp_node_find(n, SP_TYPE_KEY) : NULL;
    struct sp_rd rd = sp_rd_init(set != NULL ? set->data : NULL, set != NULL ? set->len : 0);
    const uint8_t *rdata;
    for (size_t len; sp_rrs_next(&rd, &rdata, &len);) {
        uint8_t bytes[32];
        if (sp_key_parse(rdata, len, ret_pub) != SP_OK)
            continue;
        ident_bytes(bytes, IDENT_KEY, ret_pub);
        if (memcmp(bytes, y, sizeof bytes) == 0)
            return true;
    }
    return false;
}

bool sp_updater_device(const struct sp_updater *u, const struct sp_zone *z, const uint8_t key[SP_ED25519_PUB],
                       struct sp_name *ret_name, uint8_t ret_pub[SP_ED25519_PUB]) {
    uint8_t y[32];
    ident_bytes(y, IDENT_KEY, key);
    const struct sp_ident *i = ident_find(u, z->id, IDENT_KEY, y);
    struct sp_link *l = i != NULL ? sp_table_find(&z->nodes, i->owner) : NULL;
    for (; l != NULL; l = sp_table_find_next(l)) {
        const struct sp_node *n = SP_CONTAINER(l, struct sp_node, link);
        if (node_key(n, y, ret_pub)) {
            sp_node_name(n, ret_name);
            return true;
        }
    }
    return false;
}

void sp_updater_watch(struct sp_updater *u) {
    if (u->news == NULL)
        u->news = sp_mem_alloc(u->mem, SP_NEWS_MAX * sizeof *u->news);
    u->watched = true;
}

bool sp_updater_news(struct sp_updater *u, struct sp_device_news *ret) {
    if (u->news_read == u->news_count) {
        u->news_read = u->news_count = 0;
        return false;
    }
    *ret = u->news[u->news_read++];
    return true;
}

bool sp_updater_news_lost(struct sp_updater *u) {
    bool lost = u->news_lost;
    u->news_lost = false;
    return lost;
}

static void tell(struct sp_updater *u, uint32_t zone, const struct sp_name *owner, const uint8_t pub[SP_ED25519_PUB],
                 bool gone) {
    if (!u->watched || u->replaying)
        return;
    if (u->news == NULL || u->news_count == SP_NEWS_MAX) {
        u->news_lost = true;
        return;
    }
    struct sp_device_news *n = &u->news[u->news_count++];
    *n = (struct sp_device_news){.zone = zone, .gone = gone, .name = *owner};
    sp_name_lower(&n->name);
    memcpy(n->pub, pub, sizeof n->pub);
}

/* ---- following ---- */

/* True if it is listed more than once now. owner: of a key. */
static bool ident_add(struct sp_updater *u, uint32_t zone, uint16_t kind, const uint8_t *data, uint64_t owner) {
    uint8_t bytes[32];
    ident_bytes(bytes, kind, data);
    struct sp_ident *i = ident_find(u, zone, kind, bytes);
    if (i != NULL) {
        i->count += i->count < UINT16_MAX;
        i->owner = owner;
        return true;
    }
    i = sp_mem_alloc(u->mem, sizeof *i);
    if (i != NULL) {
        i->zone = zone;
        i->kind = kind;
        i->count = 1;
        i->owner = owner;
        memcpy(i->bytes, bytes, sizeof i->bytes);
        if (sp_table_add(&u->idents, &i->link, sp_updater_hash(u, zone, kind, bytes, 32)) == SP_OK)
            return false;
        sp_mem_free(u->mem, i, sizeof *i);
    }
    u->counts.memory_full++;
    return false;
}

static void ident_remove(struct sp_updater *u, uint32_t zone, uint16_t kind, const uint8_t *data) {
    uint8_t bytes[32];
    ident_bytes(bytes, kind, data);
    struct sp_ident *i = ident_find(u, zone, kind, bytes);
    if (i == NULL || --i->count > 0)
        return;
    sp_table_remove(&u->idents, &i->link);
    sp_mem_free(u->mem, i, sizeof *i);
}

/* Adds or removes all identities of an RRset; true if an added one was there before. */
static bool ident_rrset(struct sp_updater *u, struct sp_zone *z, const struct sp_name *owner,
                        const struct sp_rrset *set, bool add) {
    if (set == NULL)
        return false;
    bool twice = false;
    uint64_t hash = set->type == SP_TYPE_KEY && add ? owner_hash(u, owner) : 0;
    struct sp_rd rd = sp_rd_init(set->data, set->len);
    const uint8_t *rdata;
    for (size_t len; sp_rrs_next(&rd, &rdata, &len);) {
        uint8_t pub[SP_ED25519_PUB];
        uint16_t kind = 0;
        if (set->type == SP_TYPE_KEY && sp_key_parse(rdata, len, pub) == SP_OK) {
            kind = IDENT_KEY;
            rdata = pub;
            tell(u, sp_zone_id(z), owner, pub, !add);
        } else if (set->type == SP_TYPE_AAAA && sp_ident_is_overlay(z, rdata, len)) {
            kind = IDENT_ADDR;
        }
        if (kind != 0 && add)
            twice |= ident_add(u, sp_zone_id(z), kind, rdata, hash);
        else if (kind != 0)
            ident_remove(u, sp_zone_id(z), kind, rdata);
    }
    return twice;
}

static bool ident_pass(struct sp_updater *u, struct sp_zone *z, const struct sp_txn *txn, bool before, bool add) {
    bool twice = false;
    struct sp_name owner;
    for (size_t i = 0; i < sp_txn_changes(txn); i++) {
        uint16_t type;
        const struct sp_rrset *after;
        sp_txn_change(txn, i, &owner, &type, &after);
        if (type == SP_TYPE_KEY || type == SP_TYPE_AAAA)
            twice |= ident_rrset(u, z, &owner, before ? sp_txn_before(txn, i) : after, add);
    }
    return twice;
}

void sp_ident_follow(struct sp_updater *u, struct sp_zone *z, const struct sp_txn *txn, bool *conflict) {
    ident_pass(u, z, txn, true, false);
    bool twice = ident_pass(u, z, txn, false, true);
    if (conflict != NULL)
        *conflict = twice;
}

void sp_ident_unfollow(struct sp_updater *u, struct sp_zone *z, const struct sp_txn *txn) {
    ident_pass(u, z, txn, false, false);
    ident_pass(u, z, txn, true, true);
}

void sp_ident_drop_zone(struct sp_updater *u, uint32_t zone) {
    struct sp_table_cursor c = {0};
    for (struct sp_link *l; (l = sp_table_each(&u->idents, &c)) != NULL;) {
        struct sp_ident *i = SP_CONTAINER(l, struct sp_ident, link);
        if (zone != 0 && i->zone != zone)
            continue;
        sp_table_remove(&u->idents, l);
        sp_mem_free(u->mem, i, sizeof *i);
    }
}

void sp_ident_free(struct sp_updater *u) {
    sp_ident_drop_zone(u, 0);
    sp_table_free(&u->idents);
    sp_mem_free(u->mem, u->news, SP_NEWS_MAX * sizeof *u->news);
    u->news = NULL;
}
