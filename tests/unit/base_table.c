#include "tests/unit/cm.h"

#include <stdlib.h>

#include "proto/base/table.h"

struct item {
    struct sp_link link;
    unsigned seen;
    int in;
};

static struct item *items;
static struct sp_mem mem;

static int setup(void **state) {
    sp_mem_init(&mem, sp_test_grant(), 64 * SP_CHUNK);
    items = calloc(100000, sizeof *items);
    return 0;
}

static int teardown(void **state) {
    sp_mem_done(&mem);
    free(items);
    return 0;
}

static uint64_t mix(uint64_t i) {
    static const uint8_t key[16] = {1, 2, 3};
    return sp_siphash(key, &i, sizeof i);
}

static struct item *item_of(struct sp_link *link) {
    return link != NULL ? SP_CONTAINER(link, struct item, link) : NULL;
}

static void finds_what_was_added_while_growing(void **state) {
    struct sp_table t;
    sp_table_init(&t, &mem, 50000);
    assert_null(sp_table_find(&t, 5));
    for (unsigned i = 0; i < 50000; i++) {
        assert_int_equal(sp_table_add(&t, &items[i].link, mix(i)), SP_OK);
        unsigned j = (unsigned)(mix(i) % (i + 1));
        assert_ptr_equal(item_of(sp_table_find(&t, mix(j))), &items[j]);
        assert_null(sp_table_find(&t, mix(1000000 + i)));
        assert_true(t.count <= 2 * t.now_size);
    }
    assert_int_equal(sp_table_add(&t, &items[50000].link, mix(50000)), SP_ERR_FULL);
    for (unsigned i = 0; i < 50000; i += 2)
        sp_table_remove(&t, &items[i].link);
    for (unsigned i = 0; i < 50000; i++)
        assert_ptr_equal(item_of(sp_table_find(&t, mix(i))), i % 2 ? &items[i] : NULL);
    assert_int_equal(t.count, 25000);
    sp_table_free(&t);
    assert_int_equal(mem.used, 0);
}

static void equal_hashes_stay_together(void **state) {
    struct sp_table t;
    sp_table_init(&t, &mem, 2000);
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(sp_table_add(&t, &items[i].link, mix(i / 5)), SP_OK);
    for (unsigned h = 0; h < 200; h++) {
        unsigned n = 0;
        for (struct sp_link *l = sp_table_find(&t, mix(h)); l != NULL; l = sp_table_find_next(l))
            n++;
        assert_int_equal(n, 5);
    }
    struct sp_table_cursor c = {0};
    unsigned n = 0;
    while (sp_table_each(&t, &c) != NULL)
        n++;
    assert_int_equal(n, 1000);
    assert_null(sp_table_each(&t, &c));
    sp_table_free(&t);
}

/* Entries 0..n-1 stay; others come and go between the steps, the returned one may go too. */
static void walk_once(unsigned stay, unsigned seed) {
    struct sp_table t;
    sp_table_init(&t, &mem, 100000);
    srand(seed);
    unsigned next = stay;
    for (unsigned i = 0; i < 100000; i++)
        items[i] = (struct item){0};
    for (unsigned i = 0; i < stay; i++) {
        assert_int_equal(sp_table_add(&t, &items[i].link, mix(i)), SP_OK);
        items[i].in = 1;
    }
    struct sp_table_cursor c = {0};
    for (struct item *x; (x = item_of(sp_table_each(&t, &c))) != NULL;) {
        assert_true(x->in);
        x->seen++;
        if (x >= items + stay && rand() % 2) {
            sp_table_remove(&t, &x->link);
            x->in = 0;
        }
        for (int k = rand() % 6; k > 0 && next < stay * 3; k--, next++) {
            assert_int_equal(sp_table_add(&t, &items[next].link, mix(next)), SP_OK);
            items[next].in = 1;
        }
        struct item *gone = &items[stay + (unsigned)rand() % (next - stay + 1)];
        if (gone->in) {
            sp_table_remove(&t, &gone->link);
            gone->in = 0;
        }
    }
    for (unsigned i = 0; i < next; i++) {
        if (i < stay)
            assert_int_equal(items[i].seen, 1);
        else
            assert_in_range(items[i].seen, 0, 1);
    }
    sp_table_free(&t);
    assert_int_equal(mem.used, 0);
}

static void a_walk_misses_nothing_that_stays(void **state) {
    for (unsigned stay = 1; stay < 20000; stay = stay * 3 + 1)
        for (unsigned seed = 0; seed < 5; seed++)
            walk_once(stay, seed);
}

/* Without memory for more buckets chains grow up to a bound, then adding refuses and nothing is lost. */
static void refuses_without_memory(void **state) {
    struct sp_table t;
    struct sp_mem none;
    sp_mem_init(&none, sp_test_grant(), 0);
    sp_table_init(&t, &none, 100);
    assert_int_equal(sp_table_add(&t, &items[0].link, 1), SP_ERR_FULL);
    assert_int_equal(t.count, 0);
    struct sp_table_cursor c = {0};
    assert_null(sp_table_each(&t, &c));

    none.limit = SP_CHUNK;
    sp_table_init(&t, &none, 100000);
    while (sp_mem_alloc(&none, 256) != NULL)
        ;
    unsigned i = 0;
    while (i < 10000 && sp_table_add(&t, &items[i].link, mix(i)) == SP_OK)
        i++;
    assert_in_range(i, 4 * 16, 9999);
    for (unsigned k = 0; k < i; k++)
        assert_ptr_equal(item_of(sp_table_find(&t, mix(k))), &items[k]);
    sp_mem_done(&none);
}

/* The first and the last vectors of the reference implementation's list: key 00..0f, data 00, 01, 02 ... */
static void siphash_vectors(void **state) {
    uint8_t key[16], data[64];
    for (unsigned i = 0; i < 64; i++) {
        data[i] = (uint8_t)i;
        if (i < 16)
            key[i] = (uint8_t)i;
    }
    assert_int_equal(sp_siphash(key, data, 0), UINT64_C(0x726fdb47dd0e0e31));
    assert_int_equal(sp_siphash(key, data, 1), UINT64_C(0x74f839c593dc67fd));
    assert_int_equal(sp_siphash(key, data, 7), UINT64_C(0xab0200f58b01d137));
    assert_int_equal(sp_siphash(key, data, 8), UINT64_C(0x93f5f5799a932462));
    assert_int_equal(sp_siphash(key, data, 15), UINT64_C(0xa129ca6149be45e5));
    assert_int_equal(sp_siphash(key, data, 63), UINT64_C(0x958a324ceb064572));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(finds_what_was_added_while_growing, setup, teardown),
        cmocka_unit_test_setup_teardown(equal_hashes_stay_together, setup, teardown),
        cmocka_unit_test_setup_teardown(a_walk_misses_nothing_that_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_without_memory, setup, teardown),
        cmocka_unit_test(siphash_vectors),
    };
    return cmocka_run_group_tests_name("base_table", tests, NULL, NULL);
}
