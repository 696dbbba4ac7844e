/* Zones: which there are, and what a reader may ask of one. */
#include "signpostd/core/zone_int.h"

#define GENERATED_TTL 3600 /* of DNSKEY, CDS and CDNSKEY */

/* ---- the set of zones ---- */

sp_err sp_zones_new(struct sp_zones **ret, struct sp_mem *mem, const uint8_t hash_key[16], size_t limit_zones,
                    size_t limit_names) {
    struct sp_zones *zs = sp_mem_alloc(mem, sizeof *zs);
    if (zs == NULL)
        return SP_ERR_FULL;
    zs->mem = mem;
    zs->hash_key = sp_hash_key_load(hash_key);
    zs->limit_names = limit_names;
    sp_table_init(&zs->by_apex, mem, limit_zones);
    sp_table_init(&zs->by_id, mem, limit_zones);
    *ret = zs;
    return SP_OK;
}

void sp_zones_free(struct sp_zones *zs) {
    if (zs == NULL)
        return;
    for (struct sp_zone *z; (z = sp_zones_next(zs, NULL)) != NULL;)
        sp_zone_remove(zs, z);
    sp_table_free(&zs->by_apex);
    sp_table_free(&zs->by_id);
    struct sp_mem *mem = zs->mem;
    sp_wipe(zs, sizeof *zs);
    sp_mem_free(mem, zs, sizeof *zs);
}

void sp_zones_release(struct sp_zones *zs, void *p, size_t size) {
    sp_mem_free(zs->mem, p, size);
}

static struct sp_zone *zone_at(const struct sp_zones *zs, const struct sp_name_key *q, unsigned k) {
    size_t len;
    const uint8_t *wire = sp_name_key_suffix(q, k, &len);
    for (struct sp_link *l = sp_table_find(&zs->by_apex, q->hash[k]); l != NULL; l = sp_table_find_next(l)) {
        struct sp_zone *z = SP_CONTAINER(l, struct sp_zone, by_apex);
        if (z->name.len == len && memcmp(z->name.wire, wire, len) == 0)
            return z;
    }
    return NULL;
}

struct sp_zone *sp_zones_find(const struct sp_zones *zs, const struct sp_name_key *q, unsigned max_labels) {
    for (unsigned half = max_labels / 64 + 1; half-- > 0;) {
        uint64_t bits = zs->depths[half];
        if (half == max_labels / 64)
            bits &= ~UINT64_C(0) >> (63 - max_labels % 64);
        while (bits != 0) {
            unsigned bit = 63 - (unsigned)__builtin_clzll(bits);
            struct sp_zone *z = zone_at(zs, q, half * 64 + bit);
            if (z != NULL)
                return z;
            bits &= ~(UINT64_C(1) << bit);
        }
    }
    return NULL;
}

struct sp_zone *sp_zones_get(const struct sp_zones *zs, const struct sp_name *apex) {
    struct sp_name_key q;
    sp_name_key_init(&q, apex, zs->hash_key);
    return zone_at(zs, &q, q.labels);
}

struct sp_zone *sp_zones_closest(const struct sp_zones *zs, const struct sp_name *name) {
    struct sp_name_key q;
    sp_name_key_init(&q, name, zs->hash_key);
    return sp_zones_find(zs, &q, q.labels);
}

static uint64_t id_hash(const struct sp_zones *zs, uint32_t id) {
    uint8_t bytes[8] = {4, (uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id};
    return sp_label_hash(zs->hash_key, 0, bytes);
}

struct sp_zone *sp_zones_by_id(const struct sp_zones *zs, uint32_t id) {
    for (struct sp_link *l = sp_table_find(&zs->by_id, id_hash(zs, id)); l != NULL; l = sp_table_find_next(l)) {
        struct sp_zone *z = SP_CONTAINER(l, struct sp_zone, by_id);
        if (z->id == id)
            return z;
    }
    return NULL;
}

/* In order of their numbers. Only the operator's verbs come here, so that a pass over all is good enough. */
struct sp_zone *sp_zones_next(const struct sp_zones *zs, const struct sp_zone *after) {
    struct sp_zone *best = NULL;
    struct sp_table_cursor cursor = {0};
    for (struct sp_link *l; (l = sp_table_each(&zs->by_id, &cursor)) != NULL;) {
        struct sp_zone *z = SP_CONTAINER(l, struct sp_zone, by_id);
        if ((after == NULL || z->id > after->id) && (best == NULL || z->id < best->id))
            best = z;
    }
    return best;
}

/* ---- a zone comes and goes ---- */

/* DNSKEY, and CDS and CDNSKEY for the parent (RFC 7344), as the key has them. */
static sp_err zone_store_keys(struct sp_zone *z) {
    uint8_t data[3][2 + SP_DNSKEY_RDATA];
    static const uint16_t types[3] = {SP_TYPE_DNSKEY, SP_TYPE_CDS, SP_TYPE_CDNSKEY};
    static const uint8_t sizes[3] = {SP_DNSKEY_RDATA, SP_DS_RDATA, SP_DNSKEY_RDATA};
    _Static_assert(SP_DS_RDATA <= SP_DNSKEY_RDATA, "they share a buffer");
    sp_dnskey_rdata(z->key, data[0] + 2);
    sp_ds_rdata(z->key, data[1] + 2);
    sp_dnskey_rdata(z->key, data[2] + 2);
    for (unsigned i = 0; i < 3; i++) {
        sp_put_u16(data[i], sizes[i]);
        struct sp_rrs rrs = {types[i], SP_CLASS_IN, GENERATED_TTL, 1, data[i], (size_t)sizes[i] + 2};
        struct sp_rrset *set;
        struct sp_sets *old;
        SP_TRY(sp_rrset_make(z->zones, &z->name, &rrs, &set));
        sp_err err = sp_node_store(z->apex, types[i], set, &old);
        if (err != SP_OK) {
            sp_rrset_release(z->zones, set);
            return err;
        }
        if (old != NULL)
            sp_zones_release(z->zones, old, sp_sets_size(old));
    }
    return SP_OK;
}

static sp_err zone_fill(struct sp_zone *z, const struct sp_ed25519 *key) {
    struct sp_name_key q;
    sp_name_key_init(&q, &z->name, z->zones->hash_key);
    SP_TRY(sp_node_make(z, &q, &z->apex));
    if (key == NULL)
        return SP_OK;
    z->key = sp_mem_alloc(z->zones->mem, sizeof *z->key);
    if (z->key == NULL)
        return SP_ERR_FULL;
    sp_zone_key_init(z->key, &z->name, key);
    return zone_store_keys(z);
}

static void zone_wipe(struct sp_zone *z) {
    struct sp_zones *zs = z->zones;
    struct sp_table_cursor cursor = {0};
    for (struct sp_link *l; (l = sp_table_each(&z->nodes, &cursor)) != NULL;) {
        struct sp_node *n = SP_CONTAINER(l, struct sp_node, link);
        sp_table_remove(&z->nodes, l);
        sp_node_destroy(n);
    }
    sp_table_free(&z->nodes);
    if (z->key != NULL) {
        sp_wipe(z->key, sizeof *z->key);
        sp_zones_release(zs, z->key, sizeof *z->key);
    }
    sp_zones_release(zs, z, sizeof *z);
}

/* Tells the zones above z, and z itself, how many lie below them. */
static void zones_count_below(struct sp_zones *zs, struct sp_zone *z, uint32_t step) {
    struct sp_table_cursor cursor = {0};
    z->zones_below = 0;
    for (struct sp_link *l; (l = sp_table_each(&zs->by_id, &cursor)) != NULL;) {
        struct sp_zone *other = SP_CONTAINER(l, struct sp_zone, by_id);
        if (other->name.labels < z->name.labels && sp_name_under(&z->name, &other->name))
            other->zones_below += step;
        if (other->name.labels > z->name.labels && sp_name_under(&other->name, &z->name))
            z->zones_below++;
    }
    zs->generation++;
}

static sp_err zones_link(struct sp_zones *zs, struct sp_zone *z) {
    SP_TRY(sp_table_add(&zs->by_apex, &z->by_apex, z->apex->link.hash));
    sp_err err = sp_table_add(&zs->by_id, &z->by_id, id_hash(zs, z->id));
    if (err != SP_OK) {
        sp_table_remove(&zs->by_apex, &z->by_apex);
        return err;
    }
    unsigned depth = z->name.labels;
    zs->depth_count[depth]++;
    zs->depths[depth / 64] |= UINT64_C(1) << depth % 64;
    zones_count_below(zs, z, 1);
    return SP_OK;
}

sp_err sp_zone_add(struct sp_zones *zs, const struct sp_name *apex, uint32_t id, const struct sp_ed25519 *key,
                   struct sp_zone **ret) {
    if (sp_zones_get(zs, apex) != NULL || sp_zones_by_id(zs, id) != NULL)
        return SP_ERR_EXIST;
    struct sp_zone *z = sp_mem_alloc(zs->mem, sizeof *z);
    if (z == NULL)
        return SP_ERR_FULL;
    z->zones = zs;
    z->id = id;
    z->name = *apex;
    sp_name_lower(&z->name);
    sp_table_init(&z->nodes, zs->mem, zs->limit_names);
    sp_err err = zone_fill(z, key);
    if (err == SP_OK)
        err = zones_link(zs, z);
    if (err != SP_OK) {
        zone_wipe(z);
        return err;
    }
    *ret = z;
    return SP_OK;
}

void sp_zone_remove(struct sp_zones *zs, struct sp_zone *z) {
    sp_table_remove(&zs->by_apex, &z->by_apex);
    sp_table_remove(&zs->by_id, &z->by_id);
    unsigned depth = z->name.labels;
    if (--zs->depth_count[depth] == 0)
        zs->depths[depth / 64] &= ~(UINT64_C(1) << depth % 64);
    zones_count_below(zs, z, -1u);
    zone_wipe(z);
}

/* ---- looking at one ---- */

const struct sp_name *sp_zone_apex(const struct sp_zone *z) {
    return &z->name;
}
uint32_t sp_zone_id(const struct sp_zone *z) {
    return z->id;
}
const struct sp_zone_key *sp_zone_key(const struct sp_zone *z) {
    return z->key;
}
size_t sp_zone_names(const struct sp_zone *z) {
    return z->names;
}
void **sp_zone_user(struct sp_zone *z) {
    return &z->user;
}

uint32_t sp_zone_serial(const struct sp_zone *z) {
    const struct sp_rrset *soa = atomic_load_explicit(&z->soa, memory_order_acquire);
    /* Stored rdata was checked: the serial stands 20 bytes before its end. */
    return soa == NULL ? 0 : sp_get_u32(soa->data + soa->len - 20);
}

bool sp_zone_makes(const struct sp_zone *z, const struct sp_name *owner, uint16_t type) {
    switch (type) {
    case SP_TYPE_RRSIG:
    case SP_TYPE_NSEC:
    case SP_TYPE_NSEC3:
    case SP_TYPE_NSEC3PARAM:
        return true;
    case SP_TYPE_DNSKEY:
    case SP_TYPE_CDS:
    case SP_TYPE_CDNSKEY:
        return z->key != NULL && sp_name_equal(owner, &z->name);
    default:
        return false;
    }
}

struct sp_node *sp_zone_node(const struct sp_zone *z, const struct sp_name *owner) {
    struct sp_name_key q;
    sp_name_key_init(&q, owner, z->zones->hash_key);
    return sp_zone_find(z, &q, q.labels, false);
}

struct sp_node *sp_zone_each(struct sp_zone *z, struct sp_zone_cursor *cursor) {
    for (struct sp_link *l; (l = sp_table_each(&z->nodes, &cursor->table)) != NULL;) {
        struct sp_node *n = SP_CONTAINER(l, struct sp_node, link);
        if (n->nsets != 0)
            return n;
    }
    return NULL;
}

const struct sp_rrset *sp_zone_walk(struct sp_zone *z, struct sp_zone_walk *walk, struct sp_node **ret_node) {
    for (;;) {
        if (walk->node == NULL) {
            walk->node = sp_zone_each(z, &walk->cursor);
            walk->index = 0;
            if (walk->node == NULL)
                return NULL;
        }
        for (const struct sp_rrset *s; (s = sp_node_at(walk->node, &walk->index)) != NULL;)
            if (s->type != SP_TYPE_SOA) {
                *ret_node = walk->node;
                return s;
            }
        walk->node = NULL;
    }
}
