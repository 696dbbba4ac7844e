/* The guest's memory, and the health check of its randomness. */
#include "tests/unit/cm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unikernel/lib/pages.h"
#include "unikernel/lib/random.h"

#define MIB ((size_t)1 << 20)

static uint8_t *arena;

static int set_up(void **state) {
    arena = aligned_alloc(SP_CHUNK, 8 * MIB);
    memset(arena, 0xa5, 8 * MIB);
    return arena == NULL;
}

static int tear_down(void **state) {
    free(arena);
    return 0;
}

/* Memory as a small guest has it: from 4 KiB to 1 MiB, and from an odd place on after its image. */
static void init_guest(void) {
    uint64_t base = (uint64_t)arena;
    const struct spx_range ranges[] = {{base + 4096, base + MIB}, {base + 1500 * 1024 + 17, base + 8 * MIB}};
    spx_pages_init(ranges, 2);
}

static void test_pages_are_inside_zeroed_and_apart(void **state) {
    init_guest();
    size_t before = spx_pages_left(), n = 0;
    uint8_t *page;
    while ((page = spx_pages_alloc(1)) != NULL) {
        size_t at = (size_t)(page - arena);
        assert_true(at % 4096 == 0 && ((at >= 4096 && at < MIB) || (at >= 1500 * 1024 + 17 && at < 8 * MIB)));
        for (size_t i = 0; i < 4096; i++)
            assert_int_equal(page[i], 0);
        memset(page, 0x5a, 4096); /* a page given twice would not be zero */
        n++;
    }
    assert_int_equal(n, before);
    assert_int_equal(spx_pages_left(), 0);
    /* All but the bits' own page, page 0 of the arena, and what is not a whole page. */
    assert_int_equal(before, 255 - 1 + (8 * MIB - 376 * 4096) / 4096);
}

static void test_chunks_are_aligned_and_come_back(void **state) {
    init_guest();
    struct sp_grant g = spx_pages_grant();
    size_t before = spx_pages_left();
    uint8_t *chunks[4];
    for (size_t i = 0; i < 3; i++) {
        assert_non_null(chunks[i] = g.grant(g.ctx, SP_CHUNK));
        assert_int_equal((uintptr_t)chunks[i] % SP_CHUNK, 0);
        assert_true(chunks[i][0] == 0 && chunks[i][SP_CHUNK - 1] == 0);
        memset(chunks[i], 1, SP_CHUNK);
    }
    assert_null(g.grant(g.ctx, SP_CHUNK)); /* the first 2 MiB have the image in them */
    assert_int_equal(spx_pages_left(), before - 3 * 512);
    g.release(g.ctx, chunks[1], SP_CHUNK);
    assert_ptr_equal(g.grant(g.ctx, SP_CHUNK), chunks[1]);
    assert_int_equal(chunks[1][77], 0);
    g.release(g.ctx, chunks[1], SP_CHUNK);
    assert_null(g.grant(g.ctx, 2 * SP_CHUNK)); /* not in a row */
    g.release(g.ctx, chunks[0], SP_CHUNK);
    uint8_t *both = g.grant(g.ctx, 2 * SP_CHUNK);
    assert_true(both == chunks[0] || both == chunks[1]);
    g.release(g.ctx, both, 2 * SP_CHUNK);
    g.release(g.ctx, chunks[2], SP_CHUNK);
    assert_int_equal(spx_pages_left(), before);
}

static void test_pages_leave_chunks_whole(void **state) {
    init_guest();
    struct sp_grant g = spx_pages_grant();
    uint8_t *run = spx_pages_alloc(130);
    assert_non_null(run);
    assert_null(spx_pages_alloc(0));
    assert_null(spx_pages_alloc(spx_pages_left()));
    for (size_t i = 0; i < 200; i++)
        assert_non_null(spx_pages_alloc(1));
    for (size_t i = 0; i < 3; i++)
        assert_non_null(g.grant(g.ctx, SP_CHUNK));
    size_t left = spx_pages_left();
    spx_pages_free(run, 130);
    assert_int_equal(spx_pages_left(), left + 130);
    assert_ptr_equal(spx_pages_alloc(130), run);
}

/* The cores' pages: as few as asked for, from above, to the last one. */
static void test_single_pages_are_granted(void **state) {
    init_guest();
    struct sp_grant g = spx_pages_grant();
    assert_int_equal(g.page, SPX_PAGE_SIZE);
    assert_int_equal(g.chunk, 64 << 10);
    size_t before = spx_pages_left();
    uint8_t *one = g.grant(g.ctx, SPX_PAGE_SIZE), *three = g.grant(g.ctx, 3 * SPX_PAGE_SIZE);
    assert_ptr_equal(one, arena + 8 * MIB - SPX_PAGE_SIZE);
    assert_ptr_equal(three, one - 3 * SPX_PAGE_SIZE);
    assert_int_equal(spx_pages_left(), before - 4);
    memset(one, 1, SPX_PAGE_SIZE);
    g.release(g.ctx, one, SPX_PAGE_SIZE);
    assert_ptr_equal(g.grant(g.ctx, SPX_PAGE_SIZE), one);
    assert_int_equal(one[7], 0);
    while (g.grant(g.ctx, SPX_PAGE_SIZE) != NULL)
        ;
    assert_int_equal(spx_pages_left(), 0);
    assert_null(spx_pages_alloc(1));
    g.release(g.ctx, three, 3 * SPX_PAGE_SIZE);
    assert_ptr_equal(spx_pages_alloc(3), three);
}

static void test_a_page_is_not_freed_twice(void **state) {
    init_guest();
    uint8_t *page = spx_pages_alloc(1);
    spx_pages_free(page, 1);
    pid_t child = fork();
    if (child == 0) {
        fclose(stderr);
        spx_pages_free(page, 1);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
}

static void test_without_memory_there_is_none(void **state) {
    const struct spx_range tiny = {(uint64_t)arena + 1, (uint64_t)arena + 4096};
    spx_pages_init(&tiny, 1);
    assert_null(spx_pages_alloc(1));
    spx_pages_init(NULL, 0);
    assert_null(spx_pages_alloc(1));
    struct sp_grant g = spx_pages_grant();
    assert_null(g.grant(g.ctx, SP_CHUNK));
}

/* xorshift: fair enough for a generator that works. */
static uint64_t next_draw(uint64_t *x) {
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

static void test_stuck_generators_are_refused(void **state) {
    uint64_t draws[SPX_RANDOM_DRAWS], x = 88172645463325252;
    for (size_t i = 0; i < SPX_RANDOM_DRAWS; i++)
        draws[i] = next_draw(&x);
    assert_true(spx_random_is_healthy(draws, SPX_RANDOM_DRAWS));
    uint64_t kept = draws[40];
    draws[40] = draws[3];
    assert_false(spx_random_is_healthy(draws, SPX_RANDOM_DRAWS));
    draws[40] = UINT64_MAX;
    assert_false(spx_random_is_healthy(draws, SPX_RANDOM_DRAWS));
    draws[40] = 0;
    assert_false(spx_random_is_healthy(draws, SPX_RANDOM_DRAWS));
    draws[40] = kept;
    for (size_t i = 0; i < SPX_RANDOM_DRAWS; i++)
        draws[i] |= 1 << 20;
    assert_false(spx_random_is_healthy(draws, SPX_RANDOM_DRAWS));
    for (size_t i = 0; i < SPX_RANDOM_DRAWS; i++)
        draws[i] &= ~(UINT64_C(1) << 20);
    assert_false(spx_random_is_healthy(draws, SPX_RANDOM_DRAWS));
    for (size_t i = 0; i < SPX_RANDOM_DRAWS; i++)
        draws[i] = i + 1; /* a counter */
    assert_false(spx_random_is_healthy(draws, SPX_RANDOM_DRAWS));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_pages_are_inside_zeroed_and_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_chunks_are_aligned_and_come_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pages_leave_chunks_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_single_pages_are_granted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_page_is_not_freed_twice, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_without_memory_there_is_none, set_up, tear_down),
        cmocka_unit_test(test_stuck_generators_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
