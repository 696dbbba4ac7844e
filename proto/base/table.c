#include "proto/base/table.h"

#define BUCKETS_MIN  16u
#define MOVES_AN_ADD 4u /* old buckets; growing again takes old_size adds, so a move always ends before */
#define LOAD_MAX     4u /* entries a bucket, beyond which a table that cannot grow refuses */

/* The chain where entries of this hash live. One of them only: adds go where the older ones still are. */
static struct sp_link **chain_of(const struct sp_table *t, uint64_t hash, size_t *ret_size) {
    if (t->old != NULL) {
        size_t b = hash & (t->old_size - 1);
        if (b >= t->moved) {
            *ret_size = t->old_size;
            return &t->old[b];
        }
    }
    *ret_size = t->now_size;
    return &t->now[hash & (t->now_size - 1)];
}

static void move_some(struct sp_table *t, size_t buckets) {
    while (t->old != NULL && buckets-- > 0) {
        struct sp_link *next;
        for (struct sp_link *link = t->old[t->moved]; link != NULL; link = next) {
            next = link->next;
            struct sp_link **to = &t->now[link->hash & (t->now_size - 1)];
            link->next = *to;
            *to = link;
        }
        t->old[t->moved++] = NULL;
        if (t->moved == t->old_size) {
            sp_mem_free(t->mem, t->old, t->old_size * sizeof *t->old);
            t->old = NULL;
        }
    }
}

static void grow(struct sp_table *t) {
    size_t size = t->now == NULL ? BUCKETS_MIN : t->now_size * 2;
    struct sp_link **buckets = sp_mem_alloc(t->mem, size * sizeof *buckets);
    if (buckets == NULL)
        return;
    t->old = t->now;
    t->old_size = t->now_size;
    t->moved = 0;
    t->now = buckets;
    t->now_size = size;
}

void sp_table_init(struct sp_table *t, struct sp_mem *mem, size_t limit) {
    *t = (struct sp_table){.mem = mem, .limit = limit};
}

void sp_table_free(struct sp_table *t) {
    sp_mem_free(t->mem, t->now, t->now_size * sizeof *t->now);
    sp_mem_free(t->mem, t->old, t->old_size * sizeof *t->old);
    sp_table_init(t, t->mem, t->limit);
}

sp_err sp_table_add(struct sp_table *t, struct sp_link *link, uint64_t hash) {
    if (t->count >= t->limit)
        return SP_ERR_FULL;
    move_some(t, MOVES_AN_ADD);
    if (t->count >= t->now_size && t->old == NULL)
        grow(t);
    if (t->count >= t->now_size * LOAD_MAX)
        return SP_ERR_FULL;
    size_t size;
    struct sp_link **chain = chain_of(t, hash, &size);
    link->hash = hash;
    link->next = *chain;
    *chain = link;
    t->count++;
    return SP_OK;
}

void sp_table_remove(struct sp_table *t, struct sp_link *link) {
    SP_ASSERT(t->count > 0);
    size_t size;
    struct sp_link **at = chain_of(t, link->hash, &size);
    while (*at != link) {
        SP_ASSERT(*at != NULL);
        at = &(*at)->next;
    }
    *at = link->next;
    link->next = NULL;
    t->count--;
}

static struct sp_link *first_with(struct sp_link *link, uint64_t hash) {
    while (link != NULL && link->hash != hash)
        link = link->next;
    return link;
}

struct sp_link *sp_table_find(const struct sp_table *t, uint64_t hash) {
    size_t size;
    return t->now == NULL ? NULL : first_with(*chain_of(t, hash, &size), hash);
}

struct sp_link *sp_table_find_next(const struct sp_link *link) {
    return first_with(link->next, link->hash);
}

static uint64_t reversed(uint64_t v) {
    v = (v >> 1 & UINT64_C(0x5555555555555555)) | (v & UINT64_C(0x5555555555555555)) << 1;
    v = (v >> 2 & UINT64_C(0x3333333333333333)) | (v & UINT64_C(0x3333333333333333)) << 2;
    v = (v >> 4 & UINT64_C(0x0f0f0f0f0f0f0f0f)) | (v & UINT64_C(0x0f0f0f0f0f0f0f0f)) << 4;
    return __builtin_bswap64(v);
}

/* The entry of a chain that follows the cursor in the order of (place, address), or NULL. Chains are short. */
static struct sp_link *next_in_chain(struct sp_link *chain, const struct sp_table_cursor *c) {
    struct sp_link *best = NULL;
    uint64_t best_place = 0;
    for (struct sp_link *link = chain; link != NULL; link = link->next) {
        uint64_t place = reversed(link->hash);
        if (c->begun && (place < c->place || (place == c->place && (uintptr_t)link <= c->tie)))
            continue;
        if (best == NULL || place < best_place || (place == best_place && (uintptr_t)link < (uintptr_t)best)) {
            best = link;
            best_place = place;
        }
    }
    return best;
}

/* A bucket is picked by the low bits of the hash, so with its bits reversed a bucket is one range of places, and
 * doubling cuts a range in two: the order of places outlives growth. */
struct sp_link *sp_table_each(const struct sp_table *t, struct sp_table_cursor *cursor) {
    if (t->now == NULL)
        return NULL;
    uint64_t place = cursor->begun ? cursor->place : 0;
    do {
        size_t size;
        struct sp_link *link = next_in_chain(*chain_of(t, reversed(place), &size), cursor);
        if (link != NULL) {
            *cursor = (struct sp_table_cursor){reversed(link->hash), (uintptr_t)link, true};
            return link;
        }
        uint64_t range = UINT64_C(1) << (64 - __builtin_ctzll(size));
        place = (place | (range - 1)) + 1;
    } while (place != 0);
    *cursor = (struct sp_table_cursor){UINT64_MAX, UINTPTR_MAX, true};
    return NULL;
}
