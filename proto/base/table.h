/* A bounded hash table of pointers with incremental rehash: each insert moves a few buckets, so none is slow.
 * Entries are intrusive: the caller embeds `struct sp_link` and supplies the hash (keyed, from sp_siphash).
 * A full table refuses (ERR_FULL). Lookups touch no memory but the chain's. */
#ifndef SP_BASE_TABLE_H
#define SP_BASE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"

struct sp_link {
    struct sp_link *next;
    uint64_t hash;
};

struct sp_table {
    struct sp_mem *mem;
    struct sp_link **now;  /* buckets, a power of two */
    struct sp_link **old;  /* being moved, or NULL */
    size_t now_size;
    size_t old_size;
    size_t moved; /* buckets of old already moved */
    size_t count;
    size_t limit;
};

void sp_table_init(struct sp_table *t, struct sp_mem *mem, size_t limit);
void sp_table_free(struct sp_table *t); /* the buckets, not the entries */
SP_CHECK sp_err sp_table_add(struct sp_table *t, struct sp_link *link, uint64_t hash);
void sp_table_remove(struct sp_table *t, struct sp_link *link);
/* First entry with this hash (compare keys yourself), then the following ones; NULL at the end. */
struct sp_link *sp_table_find(const struct sp_table *t, uint64_t hash);
struct sp_link *sp_table_find_next(const struct sp_link *link);
/* Visits every entry once; start with *cursor = {0}; NULL at the end. Removing the returned entry is allowed. */
struct sp_table_cursor {
    size_t bucket;
    struct sp_link *next;
    bool in_old, begun;
};
struct sp_link *sp_table_each(struct sp_table *t, struct sp_table_cursor *cursor);

/* SipHash-2-4, for table keys that strangers choose. */
uint64_t sp_siphash(const uint8_t key[16], const void *data, size_t len);

#define SP_CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
