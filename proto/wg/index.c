#include "proto/wg/impl.h"

/* Indices are ours and random, so strangers cannot crowd a bucket; this only spreads the bits that are not fixed. */
static uint64_t hash_of(uint32_t index) {
    uint64_t h = index * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 32;
}

struct wg_entry *wg_index_find(const struct sp_wg *wg, uint32_t index) {
    struct sp_link *link = sp_table_find(&wg->indices, hash_of(index));
    while (link != NULL && SP_CONTAINER(link, struct wg_entry, link)->index != index)
        link = sp_table_find_next(link);
    return link != NULL ? SP_CONTAINER(link, struct wg_entry, link) : NULL;
}

sp_err wg_index_put(struct sp_wg *wg, struct wg_entry *e, uint32_t index) {
    e->index = index;
    return sp_table_add(&wg->indices, &e->link, hash_of(index));
}

/* Few free bits and many entries would make a long search: it ends after some tries. */
sp_err wg_index_new(struct sp_wg *wg, struct wg_entry *e) {
    const struct sp_wg_config *c = &wg->config;
    for (unsigned tries = 0; tries < 64; tries++) {
        uint32_t index = c->index_base | (sp_rng_u32(c->rng) & ~c->index_mask) | 0x80;
        if (wg_index_find(wg, index) == NULL)
            return wg_index_put(wg, e, index);
    }
    return SP_ERR_FULL;
}

void wg_index_drop(struct sp_wg *wg, struct wg_entry *e) {
    sp_table_remove(&wg->indices, &e->link);
}
