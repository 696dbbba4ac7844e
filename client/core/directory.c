#include "client/core/directory.h"

#include <string.h>

#include "proto/crypto/crypto.h"

#define ABSENT_SLOTS 64u
#define ABSENT_FOR   (30 * SP_SEC)

struct absent {
    uint64_t hash; /* keyed, so that nobody can aim at another's slot */
    sp_instant at; /* 0: unused */
};

struct sp_directory {
    struct sp_directory_config config;
    struct sp_table names, addrs, keys;
    struct absent absent[ABSENT_SLOTS];
};

sp_err sp_directory_new(struct sp_directory **ret, const struct sp_directory_config *config) {
    struct sp_directory *d = sp_mem_alloc(config->mem, sizeof *d);
    if (d == NULL)
        return SP_ERR_FULL;
    d->config = *config;
    sp_table_init(&d->names, config->mem, config->limit);
    sp_table_init(&d->addrs, config->mem, config->limit);
    sp_table_init(&d->keys, config->mem, config->limit);
    *ret = d;
    return SP_OK;
}

void sp_directory_free(struct sp_directory *d) {
    if (d == NULL)
        return;
    struct sp_table_cursor cursor = {0};
    struct sp_dir_entry *e;
    while ((e = sp_directory_each(d, &cursor)) != NULL)
        sp_directory_forget(d, e);
    sp_table_free(&d->names);
    sp_table_free(&d->addrs);
    sp_table_free(&d->keys);
    sp_mem_free(d->config.mem, d, sizeof *d);
}

/* ---- looking up ---- */

bool sp_directory_read(const struct sp_name *zone, const char *text, size_t len, struct sp_name *ret) {
    bool dot = false;
    for (size_t i = 0; i < len; i++)
        dot = dot || text[i] == '.';
    if (len == 0 || sp_name_from_text(ret, text, len, dot ? NULL : zone) != SP_OK)
        return false;
    sp_name_lower(ret);
    return sp_name_under(ret, zone) && !sp_name_equal(ret, zone);
}

static uint64_t name_hash(const struct sp_directory *d, const struct sp_name *name) {
    struct sp_name lower = *name;
    sp_name_lower(&lower);
    return sp_siphash(d->config.hash_key, lower.wire, lower.len);
}

static uint64_t bytes_hash(const struct sp_directory *d, const void *p, size_t len) {
    return sp_siphash(d->config.hash_key, p, len);
}

struct sp_dir_entry *sp_directory_name(const struct sp_directory *d, const struct sp_name *name) {
    struct sp_link *l = sp_table_find(&d->names, name_hash(d, name));
    for (; l != NULL; l = sp_table_find_next(l)) {
        struct sp_dir_entry *e = SP_CONTAINER(l, struct sp_dir_entry, by_name);
        if (sp_name_equal(&e->name, name))
            return e;
    }
    return NULL;
}

struct sp_dir_entry *sp_directory_addr(const struct sp_directory *d, const uint8_t overlay[16]) {
    struct sp_link *l = sp_table_find(&d->addrs, bytes_hash(d, overlay, 16));
    for (; l != NULL; l = sp_table_find_next(l)) {
        struct sp_dir_entry *e = SP_CONTAINER(l, struct sp_dir_entry, by_addr);
        if (memcmp(e->overlay, overlay, sizeof e->overlay) == 0)
            return e;
    }
    return NULL;
}

struct sp_dir_entry *sp_directory_key(const struct sp_directory *d, const uint8_t wg_pub[SP_X25519]) {
    struct sp_link *l = sp_table_find(&d->keys, bytes_hash(d, wg_pub, SP_X25519));
    for (; l != NULL; l = sp_table_find_next(l)) {
        struct sp_dir_entry *e = SP_CONTAINER(l, struct sp_dir_entry, by_key);
        if (memcmp(e->wg_pub, wg_pub, sizeof e->wg_pub) == 0)
            return e;
    }
    return NULL;
}

struct sp_dir_entry *sp_directory_each(const struct sp_directory *d, struct sp_table_cursor *cursor) {
    struct sp_link *l = sp_table_each(&d->names, cursor);
    return l != NULL ? SP_CONTAINER(l, struct sp_dir_entry, by_name) : NULL;
}

uint32_t sp_directory_count(const struct sp_directory *d) {
    return (uint32_t)d->names.count;
}

/* ---- learning ---- */

/* What a key stands for. */
struct identity {
    uint8_t wg_pub[SP_X25519], overlay[16];
};

static sp_err identify(const struct sp_directory *d, const uint8_t pub[SP_ED25519_PUB], struct identity *ret) {
    if (sp_ed25519_to_x25519(pub, ret->wg_pub) != SP_OK)
        return SP_ERR_BADKEY;
    sp_overlay_addr(d->config.root_hash, pub, ret->overlay);
    return SP_OK;
}

/* Files an entry by key and by address; nothing has changed on an error. */
static sp_err file_identity(struct sp_directory *d, struct sp_dir_entry *e, const uint8_t pub[SP_ED25519_PUB],
                            const struct identity *id) {
    SP_TRY(sp_table_add(&d->keys, &e->by_key, bytes_hash(d, id->wg_pub, sizeof id->wg_pub)));
    if (sp_table_add(&d->addrs, &e->by_addr, bytes_hash(d, id->overlay, sizeof id->overlay)) != SP_OK) {
        sp_table_remove(&d->keys, &e->by_key);
        return SP_ERR_FULL;
    }
    memcpy(e->pub, pub, sizeof e->pub);
    memcpy(e->wg_pub, id->wg_pub, sizeof e->wg_pub);
    memcpy(e->overlay, id->overlay, sizeof e->overlay);
    return SP_OK;
}

static void unfile_identity(struct sp_directory *d, struct sp_dir_entry *e) {
    sp_table_remove(&d->keys, &e->by_key);
    sp_table_remove(&d->addrs, &e->by_addr);
}

static sp_err add(struct sp_directory *d, const struct sp_name *name, const uint8_t pub[SP_ED25519_PUB],
                  const struct identity *id, struct sp_dir_entry **ret) {
    struct sp_dir_entry *e = sp_mem_alloc(d->config.mem, sizeof *e);
    if (e == NULL)
        return SP_ERR_FULL;
    e->name = *name;
    sp_name_lower(&e->name);
    sp_err err = sp_table_add(&d->names, &e->by_name, name_hash(d, name));
    if (err == SP_OK) {
        err = file_identity(d, e, pub, id);
        if (err != SP_OK)
            sp_table_remove(&d->names, &e->by_name);
    }
    if (err != SP_OK) {
        sp_mem_free(d->config.mem, e, sizeof *e);
        return err;
    }
    *ret = e;
    return SP_OK;
}

sp_err sp_directory_learn(struct sp_directory *d, const struct sp_name *name, const uint8_t pub[SP_ED25519_PUB],
                          enum sp_dir_source source, sp_instant now, struct sp_dir_entry **ret, bool *ret_replaced) {
    if (!sp_name_under(name, &d->config.zone) || sp_name_equal(name, &d->config.zone))
        return SP_ERR_RANGE;
    struct sp_dir_entry *e = sp_directory_name(d, name);
    bool replaced = false;
    if (e == NULL || memcmp(e->pub, pub, sizeof e->pub) != 0) {
        struct identity id;
        SP_TRY(identify(d, pub, &id));
        struct sp_dir_entry *by_key = sp_directory_key(d, id.wg_pub), *by_addr = sp_directory_addr(d, id.overlay);
        if ((by_key != NULL && by_key != e) || (by_addr != NULL && by_addr != e))
            return SP_ERR_EXIST;
        if (e == NULL) {
            SP_TRY(add(d, name, pub, &id, &e));
        } else {
            unfile_identity(d, e);
            sp_err err = file_identity(d, e, pub, &id);
            SP_ASSERT(err == SP_OK); /* two places have just become free */
            replaced = true;
        }
    }
    e->source = (uint8_t)source;
    e->learnt_at = now;
    *ret = e;
    *ret_replaced = replaced;
    return SP_OK;
}

void sp_directory_forget(struct sp_directory *d, struct sp_dir_entry *e) {
    unfile_identity(d, e);
    sp_table_remove(&d->names, &e->by_name);
    sp_mem_free(d->config.mem, e, sizeof *e);
}

/* ---- names that do not exist ---- */

void sp_directory_absent(struct sp_directory *d, const struct sp_name *name, sp_instant now) {
    uint64_t hash = name_hash(d, name);
    d->absent[hash % ABSENT_SLOTS] = (struct absent){hash, now + 1};
}

bool sp_directory_is_absent(const struct sp_directory *d, const struct sp_name *name, sp_instant now) {
    uint64_t hash = name_hash(d, name);
    const struct absent *a = &d->absent[hash % ABSENT_SLOTS];
    return a->at != 0 && a->hash == hash && now < a->at - 1 + ABSENT_FOR;
}
