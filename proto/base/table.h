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

/* limit: entries. Nothing is allocated before the first sp_table_add. */
void sp_table_init(struct sp_table *t, struct sp_mem *mem, size_t limit);
void sp_table_free(struct sp_table *t); /* the buckets, not the entries */
/* ERR_FULL at the limit, or when there is no memory for buckets. Equal hashes may be added. */
SP_CHECK sp_err sp_table_add(struct sp_table *t, struct sp_link *link, uint64_t hash);
void sp_table_remove(struct sp_table *t, struct sp_link *link); /* which must be in it */
/* First entry with this hash (compare keys yourself), then the following ones; NULL at the end. */
struct sp_link *sp_table_find(const struct sp_table *t, uint64_t hash);
struct sp_link *sp_table_find_next(const struct sp_link *link);
/* Visits the entries in an order that only their hashes decide; start with a zeroed cursor; NULL at the end. The cursor holds
 * no pointer into the table: between two calls anything may be added or removed, and the table may grow. An entry that stays is
 * visited exactly once; one that is added meanwhile, once or not at all. */
struct sp_table_cursor {
    uint64_t place; /* of the entry returned last: its hash with the bits reversed, */
    uintptr_t tie;  /* then its address, compared only */
    bool begun;
};
struct sp_link *sp_table_each(const struct sp_table *t, struct sp_table_cursor *cursor);

/* SipHash-2-4, for table keys that strangers choose. */
uint64_t sp_siphash(const uint8_t key[16], const void *data, size_t len);

#define SP_CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
