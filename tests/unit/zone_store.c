/* Zones and nodes: what exists, counts, closest zones, limits; loading zone text. */
#include "tests/unit/cm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/zone_build.h"

#define APEX "$TTL 300\n@ IN SOA ns hostmaster 1 3600 900 86400 60\n@ NS ns\n"

static struct sp_test_world *w;

static int setup(void **state) {
    w = sp_test_world_new();
    return 0;
}

static int teardown(void **state) {
    sp_test_world_free(w);
    return 0;
}

static struct sp_node *node(struct sp_zone *z, const char *name) {
    struct sp_name n = sp_test_name(name);
    return sp_zone_node(z, &n);
}

static void store_zones_are_found(void **state) {
    struct sp_zone *root = sp_test_zone(w, ".", false, NULL), *a = sp_test_zone(w, "A.example.", false, NULL),
                   *deep = sp_test_zone(w, "x.y.a.example.", false, NULL);
    struct sp_name n = sp_test_name("q.x.Y.a.EXAMPLE."), other = sp_test_name("a.example.");
    assert_ptr_equal(sp_zones_closest(w->zones, &n), deep);
    n = sp_test_name("y.a.example.");
    assert_ptr_equal(sp_zones_closest(w->zones, &n), a);
    n = sp_test_name("aa.example.");
    assert_ptr_equal(sp_zones_closest(w->zones, &n), root);
    assert_ptr_equal(sp_zones_get(w->zones, &other), a);
    assert_null(sp_zones_get(w->zones, &n));
    assert_ptr_equal(sp_zones_by_id(w->zones, sp_zone_id(deep)), deep);
    assert_null(sp_zones_by_id(w->zones, 999));
    assert_ptr_equal(sp_zones_next(w->zones, NULL), root);
    assert_ptr_equal(sp_zones_next(w->zones, a), deep);
    assert_null(sp_zones_next(w->zones, deep));
    struct sp_zone *again;
    assert_int_equal(sp_zone_add(w->zones, &other, 77, NULL, &again), SP_ERR_EXIST);
    sp_zone_remove(w->zones, deep);
    n = sp_test_name("q.x.y.a.example.");
    assert_ptr_equal(sp_zones_closest(w->zones, &n), a);
    sp_zone_remove(w->zones, root);
    n = sp_test_name("test.");
    assert_null(sp_zones_closest(w->zones, &n));
    sp_zone_remove(w->zones, a);
}

static void store_empty_non_terminals_are_nodes(void **state) {
    struct sp_zone *z = sp_test_zone(w, "example.", false, APEX "a.b.c A 192.0.2.1\n*.w A 192.0.2.1\n");
    assert_int_equal(sp_zone_names(z), 3);
    assert_int_equal(sp_zone_serial(z), 1);
    assert_non_null(node(z, "B.c.example."));
    assert_null(sp_node_rrset(node(z, "b.c.example."), SP_TYPE_A));
    assert_non_null(sp_node_rrset(node(z, "a.b.c.example."), SP_TYPE_A));
    assert_null(node(z, "x.b.c.example."));
    struct sp_name name;
    sp_node_name(node(z, "A.b.c.example."), &name);
    char text[SP_NAME_TEXT_MAX];
    sp_name_to_text(&name, text);
    assert_string_equal(text, "a.b.c.example.");
    sp_zone_remove(w->zones, z);
}

static void store_walk_sees_every_rrset_but_the_soa_once(void **state) {
    char *text = malloc(300000), *p = text;
    p += sprintf(p, APEX);
    for (unsigned i = 0; i < 5000; i++)
        p += sprintf(p, "n%u A 192.0.2.1\nn%u AAAA 2001:db8::1\n", i, i);
    struct sp_zone *z = sp_test_zone(w, "example.", false, text);
    free(text);
    struct sp_zone_walk walk = {0};
    struct sp_node *n;
    size_t count = 0;
    for (const struct sp_rrset *s; (s = sp_zone_walk(z, &walk, &n)) != NULL; count++)
        assert_int_not_equal(s->type, SP_TYPE_SOA);
    assert_int_equal(count, 10001);
    assert_int_equal(sp_zone_names(z), 5001);
    sp_zone_remove(w->zones, z);
}

static void store_rrsets_come_ascending(void **state) {
    struct sp_zone *z = sp_test_zone(
        w, "example.", false, APEX "m CAA 0 issue \"ca.test\"\nm TXT \"t\"\nm A 192.0.2.1\nm AAAA 2001:db8::1\n");
    const struct sp_rrset *sets[8];
    assert_int_equal(sp_node_rrsets(node(z, "m.example."), sets, 8), 4);
    for (unsigned i = 1; i < 4; i++)
        assert_true(sets[i - 1]->type < sets[i]->type);
    sp_zone_remove(w->zones, z);
}

static void load_says_where_and_why(void **state) {
    static const struct {
        const char *text, *why;
    } bad[] = {
        {"@ 300 IN NS ns\n", "1: no SOA at the zone's apex"},
        {"@ 300 IN SOA ns h 1 2 3 4 5\n", "1: no NS at the zone's apex"},
        {APEX "@ SOA ns h 2 2 3 4 5\n", "4: a second SOA"},
        {APEX "www SOA ns h 2 2 3 4 5\n", "4: SOA below the apex"},
        {APEX "www.other. A 192.0.2.1\n", "4: name outside the zone"},
        {APEX "www CH A 192.0.2.1\n", "4: class other than IN"},
        {APEX "a A 192.0.2.1\n\na CNAME b\n", "6: CNAME beside other data at this name"},
        {APEX "a CNAME b\na A 192.0.2.1\n", "5: CNAME beside other data at this name"},
        {APEX "a CNAME b\na CNAME c\n", "5: a second CNAME or DNAME at this name"},
        {APEX "a DNAME b\na DNAME c\n", "5: a second CNAME or DNAME at this name"},
        {APEX "a TYPE252 \\# 0\n", "4: this type cannot stand in a zone"},
    };
    struct sp_zone *z = sp_test_zone(w, "example.", false, APEX "keep A 192.0.2.7\n");
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_string_equal(sp_test_load(z, bad[i].text), bad[i].why);
        assert_int_equal(sp_zone_names(z), 2); /* as it was */
        assert_non_null(node(z, "keep.example."));
        assert_null(node(z, "a.example."));
    }
    assert_string_equal(sp_test_load(z, APEX "@ MX 10 x\n"), "");
    assert_null(node(z, "keep.example.")); /* the text is the zone */
    assert_int_equal(sp_zone_names(z), 1);
    sp_zone_remove(w->zones, z);
}

static void load_passes_over_what_the_store_makes(void **state) {
    struct sp_zone *z =
        sp_test_zone(w, "example.", true,
                     APEX "@ DNSKEY 257 3 15 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n@ NSEC a.example. NS SOA\n"
                          "a A 192.0.2.1\na NSEC example. A\n");
    assert_int_equal(sp_node_rrset(node(z, "example."), SP_TYPE_DNSKEY)->count, 1);
    assert_memory_equal(sp_node_rrset(node(z, "example."), SP_TYPE_DNSKEY)->data + 6, sp_zone_key(z)->key.pub, 32);
    assert_null(sp_node_rrset(node(z, "a.example."), SP_TYPE_NSEC));
    struct sp_name apex = sp_test_name("example."), below = sp_test_name("a.example.");
    assert_true(sp_zone_makes(z, &apex, SP_TYPE_CDS) && sp_zone_makes(z, &below, SP_TYPE_RRSIG));
    assert_false(sp_zone_makes(z, &below, SP_TYPE_CDS));
    sp_zone_remove(w->zones, z);
}

static void store_names_are_limited(void **state) {
    static const uint8_t key[16];
    struct sp_zones *zs;
    struct sp_zone *z;
    struct sp_name apex = sp_test_name("example.");
    assert_int_equal(sp_zones_new(&zs, &w->mem, key, 1, 4), SP_OK);
    assert_int_equal(sp_zone_add(zs, &apex, 1, NULL, &z), SP_OK);
    assert_string_equal(sp_test_load(z, APEX "a.b.c.d A 192.0.2.1\n"), "4: no memory left, or too many names");
    assert_null(node(z, "d.example."));
    assert_string_equal(sp_test_load(z, APEX "a.b.c A 192.0.2.1\n"), "");
    struct sp_name second = sp_test_name("test.");
    struct sp_zone *other;
    assert_int_equal(sp_zone_add(zs, &second, 2, NULL, &other), SP_ERR_FULL);
    sp_zones_free(zs);
}

static void store_memory_may_end_anywhere(void **state) {
    for (size_t chunks = 1; chunks < 8; chunks++) {
        static const uint8_t key[16];
        struct sp_mem mem;
        struct sp_zones *zs;
        struct sp_zone *z;
        struct sp_name apex = sp_test_name("example.");
        sp_mem_init(&mem, sp_test_grant(), chunks * SP_CHUNK);
        assert_int_equal(sp_zones_new(&zs, &mem, key, 1, 1 << 20), SP_OK);
        assert_int_equal(sp_zone_add(zs, &apex, 1, NULL, &z), SP_OK);
        size_t used = mem.used;
        char *text = malloc(4 << 20), *p = text;
        p += sprintf(p, APEX);
        for (unsigned i = 0; i < 100000; i++)
            p += sprintf(p, "n%u.x%u A 192.0.2.1\n", i, i / 3);
        const char *why = sp_test_load(z, text);
        assert_non_null(strstr(why, "no memory left"));
        assert_int_equal(sp_zone_names(z), 0);
        assert_true(mem.used <= used + (4 << 20)); /* buckets stay */
        free(text);
        sp_zones_free(zs);
        assert_int_equal(mem.used, 0);
        sp_mem_done(&mem);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(store_zones_are_found),
        cmocka_unit_test(store_empty_non_terminals_are_nodes),
        cmocka_unit_test(store_walk_sees_every_rrset_but_the_soa_once),
        cmocka_unit_test(store_rrsets_come_ascending),
        cmocka_unit_test(load_says_where_and_why),
        cmocka_unit_test(load_passes_over_what_the_store_makes),
        cmocka_unit_test(store_names_are_limited),
        cmocka_unit_test(store_memory_may_end_anywhere),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
