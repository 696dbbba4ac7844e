#include "tests/unit/cm.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"

static size_t granted, released;

static void *counting_grant(void *ctx, size_t bytes) {
    granted += bytes;
    return sp_test_grant().grant(NULL, bytes);
}

static void counting_release(void *ctx, void *chunk, size_t bytes) {
    released += bytes;
    sp_test_grant().release(NULL, chunk, bytes);
}

static struct sp_mem fresh(size_t limit) {
    struct sp_mem mem;
    granted = released = 0;
    sp_mem_init(&mem, (struct sp_grant){NULL, counting_grant, counting_release}, limit);
    return mem;
}

static int all_zero(const uint8_t *p, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (p[i] != 0)
            return 0;
    return 1;
}

static void classes_waste_little(void **state) {
    struct sp_mem mem = fresh(64 * SP_CHUNK);
    for (size_t size = 1; size <= SP_CHUNK / 2; size += size < 5000 ? 1 : 997) {
        void *p = sp_mem_alloc(&mem, size);
        assert_non_null(p);
        assert_true(mem.used >= size);
        assert_true(mem.used - size < 16 || (mem.used - size) * 5 < mem.used);
        assert_int_equal((uintptr_t)p % 16, 0);
        sp_mem_free(&mem, p, size);
        assert_int_equal(mem.used, 0);
    }
    sp_mem_done(&mem);
    assert_int_equal(granted, released);
}

static void freed_pieces_come_back_zeroed(void **state) {
    struct sp_mem mem = fresh(SP_CHUNK);
    for (size_t size = 1; size < 300000; size = size * 2 + 1) {
        uint8_t *p = sp_mem_alloc(&mem, size);
        assert_true(all_zero(p, size));
        memset(p, 0xa5, size);
        sp_mem_free(&mem, p, size);
        uint8_t *q = sp_mem_alloc(&mem, size);
        assert_ptr_equal(p, q);
        assert_true(all_zero(q, size));
        sp_mem_free(&mem, q, size);
    }
    sp_mem_done(&mem);
}

static void large_pieces_return_to_the_host(void **state) {
    struct sp_mem mem = fresh(8 * SP_CHUNK);
    uint8_t *p = sp_mem_alloc(&mem, SP_CHUNK / 2 + 1);
    assert_int_equal(mem.granted, SP_CHUNK);
    assert_int_equal((uintptr_t)p % SP_CHUNK, 0);
    uint8_t *q = sp_mem_alloc(&mem, 3 * SP_CHUNK - 5);
    assert_int_equal(mem.granted, 4 * SP_CHUNK);
    sp_mem_free(&mem, p, SP_CHUNK / 2 + 1);
    sp_mem_free(&mem, q, 3 * SP_CHUNK - 5);
    assert_int_equal(mem.granted, 0);
    assert_int_equal(released, 4 * SP_CHUNK);
    assert_null(sp_mem_alloc(&mem, SIZE_MAX));
    assert_null(sp_mem_alloc(&mem, 9 * SP_CHUNK));
}

static void the_limit_is_a_refusal(void **state) {
    struct sp_mem mem = fresh(2 * SP_CHUNK);
    size_t n = 0;
    while (sp_mem_alloc(&mem, 1000) != NULL)
        n++;
    assert_in_range(n, 2 * SP_CHUNK / 1024 - 2, 2 * SP_CHUNK / 1000);
    assert_int_equal(mem.granted, 2 * SP_CHUNK);
    sp_mem_done(&mem);
    assert_int_equal(granted, released);
}

/* A small machine: chunks of 64 KiB, and what is larger than half of one in pages, which come back. */
static void small_chunks_and_pages(void **state) {
    struct sp_mem mem;
    granted = released = 0;
    struct sp_grant host = {NULL, counting_grant, counting_release, .chunk = 64 << 10, .page = 4096};
    sp_mem_init(&mem, host, 1 << 20);
    for (size_t size = 1; size <= 32 << 10; size = size * 3 / 2 + 1) {
        uint8_t *p = sp_mem_alloc(&mem, size);
        assert_true(all_zero(p, size));
        memset(p, 0x5a, size);
        sp_mem_free(&mem, p, size);
    }
    assert_int_equal(granted % (64 << 10), 0);
    size_t before = mem.granted, left = sp_mem_left(&mem);
    uint8_t *p = sp_mem_alloc(&mem, (32 << 10) + 1);
    assert_int_equal(mem.granted, before + 9 * 4096);
    assert_int_equal((uintptr_t)p % 4096, 0);
    assert_int_equal(sp_mem_left(&mem), left - 9 * 4096);
    assert_true(all_zero(p, 9 * 4096));
    sp_mem_free(&mem, p, (32 << 10) + 1);
    assert_int_equal(mem.granted, before);
    assert_null(sp_mem_alloc(&mem, (1 << 20) - before + 1));
    assert_null(sp_mem_alloc(&mem, SIZE_MAX));
    while (sp_mem_alloc(&mem, 1000) != NULL)
        ;
    assert_int_equal(mem.granted, 1 << 20);
    sp_mem_done(&mem);
    assert_int_equal(granted, released);
}

/* The rest of a chunk that a piece does not fit in is used for smaller ones. */
static void nothing_of_a_chunk_is_lost(void **state) {
    struct sp_mem mem = fresh(2 * SP_CHUNK);
    for (int i = 0; i < 3; i++)
        assert_non_null(sp_mem_alloc(&mem, 700000));
    size_t before = mem.granted, n = 0;
    while (sp_mem_alloc(&mem, 64) != NULL)
        n++;
    assert_int_equal(mem.granted, before);
    assert_true(mem.used * 100 > mem.granted * 99);
    assert_true(n > 10000);
    sp_mem_done(&mem);
}

struct piece {
    uint8_t *p;
    size_t size;
    uint8_t mark;
};

static void random_use_never_overlaps(void **state) {
    struct sp_mem mem = fresh(64 * SP_CHUNK);
    static struct piece pieces[400];
    memset(pieces, 0, sizeof pieces);
    srand(7);
    for (int i = 0; i < 20000; i++) {
        struct piece *x = &pieces[rand() % 400];
        if (x->p != NULL) {
            for (size_t k = 0; k < x->size; k += x->size / 7 + 1)
                assert_int_equal(x->p[k], x->mark);
            assert_int_equal(x->p[x->size - 1], x->mark);
            sp_mem_free(&mem, x->p, x->size);
            x->p = NULL;
        } else {
            x->size = (size_t)1 << rand() % 14;
            x->size += (size_t)rand() % x->size;
            x->mark = (uint8_t)(rand() | 1);
            x->p = sp_mem_alloc(&mem, x->size);
            assert_non_null(x->p);
            assert_true(all_zero(x->p, x->size));
            memset(x->p, x->mark, x->size);
        }
    }
    sp_mem_done(&mem);
    assert_int_equal(granted, released);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_waste_little),
        cmocka_unit_test(freed_pieces_come_back_zeroed),
        cmocka_unit_test(large_pieces_return_to_the_host),
        cmocka_unit_test(the_limit_is_a_refusal),
        cmocka_unit_test(small_chunks_and_pages),
        cmocka_unit_test(nothing_of_a_chunk_is_lost),
        cmocka_unit_test(random_use_never_overlaps),
    };
    return cmocka_run_group_tests_name("base_mem", tests, NULL, NULL);
}
