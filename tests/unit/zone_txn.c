/* Transactions: RFC 2136 3.4.2, and going back from any of them. */
#include "tests/unit/cm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/zone_build.h"

#define APEX "$TTL 300\n@ IN SOA ns hostmaster 5 3600 900 86400 60\n@ NS ns\n"

static struct sp_test_world *w;
static struct sp_zone *z;
static struct sp_txn *t;
static bool changed;
static char shown[65536];

static int setup(void **state) {
    w = sp_test_world_new();
    z = sp_test_zone(w, "example.", true,
                     APEX "www A 192.0.2.1\nwww TXT \"t\"\nalias CNAME www\nd DNAME www\ndeep.ent A 192.0.2.1\n");
    assert_int_equal(sp_txn_begin(&t, z), SP_OK);
    return 0;
}

static int teardown(void **state) {
    if (t != NULL)
        sp_txn_retire(t);
    t = NULL;
    sp_test_world_free(w);
    return 0;
}

/* The zone as sorted lines, to compare. */
static int by_line(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}
static char *show(void) {
    static char lines[2000][200], *order[2000];
    size_t n = 0;
    struct sp_zone_cursor cursor = {0};
    for (struct sp_node *node; (node = sp_zone_each(z, &cursor)) != NULL;) {
        const struct sp_rrset *sets[64];
        size_t count = sp_node_rrsets(node, sets, 64);
        for (size_t i = 0; i < count; i++) {
            struct sp_name owner;
            char text[SP_NAME_TEXT_MAX];
            sp_node_name(node, &owner);
            sp_name_to_text(&owner, text);
            uint32_t sum = 5381;
            for (uint32_t k = 0; k < sets[i]->len; k++)
                sum = sum * 33 + sets[i]->data[k];
            snprintf(lines[n], sizeof lines[n], "%.150s %u %u %u %08x\n", text, sets[i]->type, sets[i]->ttl,
                     sets[i]->count, sum);
            order[n] = lines[n];
            n++;
        }
    }
    qsort(order, n, sizeof *order, by_line);
    shown[0] = 0;
    char *p = shown;
    for (size_t i = 0; i < n; i++)
        p += sprintf(p, "%s", order[i]);
    sprintf(p, "names %zu serial %u\n", sp_zone_names(z), sp_zone_serial(z));
    return shown;
}

static sp_err add(const char *name, const char *type, uint32_t ttl, const char *rdata) {
    uint8_t buf[1000];
    struct sp_rrs rrs = sp_test_rrs(type, ttl, rdata, buf, sizeof buf);
    struct sp_name owner = sp_test_name(name);
    return sp_txn_add_rr(t, &owner, rrs.type, ttl, buf + 2, rrs.len - 2, &changed);
}
static sp_err del(const char *name, const char *type, const char *rdata) {
    uint8_t buf[1000];
    struct sp_rrs rrs = sp_test_rrs(type, 0, rdata, buf, sizeof buf);
    struct sp_name owner = sp_test_name(name);
    return sp_txn_del_rr(t, &owner, rrs.type, buf + 2, rrs.len - 2, &changed);
}
static sp_err del_rrset(const char *name, const char *type) {
    struct sp_name owner = sp_test_name(name);
    return sp_txn_del_rrset(t, &owner, sp_test_type(type), &changed);
}
static const struct sp_rrset *get(const char *name, const char *type) {
    struct sp_name owner = sp_test_name(name);
    struct sp_node *n = sp_zone_node(z, &owner);
    return n == NULL ? NULL : sp_node_rrset(n, sp_test_type(type));
}

#define DOES(call)   (assert_int_equal(call, SP_OK), assert_true(changed))
#define PASSES(call) (assert_int_equal(call, SP_OK), assert_false(changed))

static void txn_rfc2136_adding(void **state) {
    DOES(add("www.example.", "A", 300, "192.0.2.2"));
    assert_int_equal(get("www.example.", "A")->count, 2);
    PASSES(add("WWW.example.", "A", 300, "192.0.2.1"));
    DOES(add("www.example.", "A", 60, "192.0.2.1")); /* only the TTL, of all */
    assert_int_equal(get("www.example.", "A")->ttl, 60);
    assert_int_equal(get("www.example.", "A")->count, 2);
    assert_int_equal(sp_txn_changes(t), 1);
    DOES(add("new.below.example.", "MX", 10, "5 Mail.Example."));
    PASSES(add("new.below.example.", "MX", 10, "5 mail.example."));
}

static void txn_rfc2136_cname_and_others_exclude_each_other(void **state) {
    PASSES(add("www.example.", "CNAME", 300, "x.example."));
    PASSES(add("alias.example.", "A", 300, "192.0.2.2"));
    DOES(add("alias.example.", "CNAME", 300, "other.example."));
    assert_int_equal(get("alias.example.", "CNAME")->count, 1);
    PASSES(add("alias.example.", "CNAME", 300, "OTHER.example."));
    DOES(add("d.example.", "DNAME", 300, "other.example."));
    assert_int_equal(get("d.example.", "DNAME")->count, 1);
}

static void txn_rfc2136_soa_only_forward(void **state) {
    PASSES(add("example.", "SOA", 300, "ns.example. h.example. 5 1 1 1 1"));
    PASSES(add("example.", "SOA", 300, "ns.example. h.example. 4 1 1 1 1"));
    DOES(add("example.", "SOA", 300, "ns.example. h.example. 6 1 1 1 1"));
    assert_int_equal(sp_zone_serial(z), 6);
    PASSES(add("example.", "SOA", 300, "ns.example. h.example. 4000000000 1 1 1 1")); /* behind, in serial arithmetic */
    PASSES(add("www.example.", "SOA", 300, "ns.example. h.example. 9 1 1 1 1"));
}

static void txn_rfc2136_deleting(void **state) {
    PASSES(del("www.example.", "A", "192.0.2.9"));
    PASSES(del("nobody.example.", "A", "192.0.2.9"));
    DOES(del("www.example.", "A", "192.0.2.1"));
    assert_null(get("www.example.", "A"));
    assert_non_null(get("www.example.", "TXT"));
    DOES(del_rrset("www.example.", "TXT"));
    PASSES(del_rrset("www.example.", "TXT"));
    struct sp_name www = sp_test_name("www.example.");
    assert_null(sp_zone_node(z, &www));
    DOES(del_rrset("deep.ent.example.", "A"));
    struct sp_name ent = sp_test_name("ent.example.");
    assert_null(sp_zone_node(z, &ent));
}

static void txn_rfc2136_the_apex_keeps_soa_and_last_ns(void **state) {
    PASSES(del_rrset("example.", "SOA"));
    PASSES(del_rrset("example.", "NS"));
    PASSES(del("example.", "NS", "ns.example."));
    PASSES(del("example.", "SOA", "ns.example. hostmaster.example. 5 3600 900 86400 60"));
    DOES(add("example.", "NS", 300, "ns2.example."));
    DOES(del("example.", "NS", "ns.example."));
    PASSES(del("example.", "NS", "ns2.example."));
}

static void txn_refuses_what_is_not_its_own(void **state) {
    assert_int_equal(add("www.elsewhere.test.", "A", 1, "192.0.2.1"), SP_ERR_RANGE);
    assert_int_equal(add("example.", "CDNSKEY", 1, "0 3 0 AA=="), SP_ERR_DENIED);
    assert_int_equal(del_rrset("example.", "DNSKEY"), SP_ERR_DENIED);
    assert_int_equal(add("www.example.", "NSEC", 1, "a.example. A"), SP_ERR_DENIED);
    struct sp_name owner = sp_test_name("www.example.");
    assert_int_equal(sp_txn_add_rr(t, &owner, SP_TYPE_A, 1, (const uint8_t *)"abc", 3, &changed), SP_ERR_SHORT);
    struct sp_rrs broken = {SP_TYPE_A, SP_CLASS_IN, 1, 1, (const uint8_t *)"\0\7abc", 5};
    assert_int_equal(sp_txn_put(t, &owner, &broken), SP_ERR_FORM);
    assert_int_equal(sp_txn_changes(t), 0);
}

static void txn_rfc4034_records_stand_in_canonical_order(void **state) {
    static const char *const text[] = {"192.0.2.9", "192.0.2.3", "10.0.0.1", "192.0.2.7", "203.0.113.1", "192.0.2.4"};
    for (unsigned i = 0; i < 6; i++)
        DOES(add("www.example.", "A", 300, text[i]));
    DOES(del("www.example.", "A", "192.0.2.3"));
    const struct sp_rrset *s = get("www.example.", "A");
    assert_int_equal(s->count, 6);
    assert_int_equal(s->len, 36);
    for (uint32_t at = 6; at < s->len; at += 6)
        assert_true(memcmp(s->data + at - 4, s->data + at + 2, 4) < 0);
}

static void txn_changes_tell_before_and_after(void **state) {
    const struct sp_rrset *had = get("www.example.", "TXT");
    DOES(add("www.example.", "TXT", 300, "\"u\""));
    DOES(del_rrset("www.example.", "TXT"));
    DOES(add("a.example.", "A", 300, "192.0.2.1"));
    assert_int_equal(sp_txn_changes(t), 2);
    struct sp_name owner, expect = sp_test_name("www.example.");
    uint16_t type;
    const struct sp_rrset *after;
    sp_txn_change(t, 0, &owner, &type, &after);
    assert_true(sp_name_equal(&owner, &expect));
    assert_int_equal(type, SP_TYPE_TXT);
    assert_null(after);
    assert_ptr_equal(sp_txn_before(t, 0), had);
    sp_txn_change(t, 1, &owner, &type, &after);
    assert_ptr_equal(after, get("a.example.", "A"));
    assert_null(sp_txn_before(t, 1));
}

static void txn_is_limited(void **state) {
    char name[40];
    for (unsigned i = 0; i < SP_TXN_CHANGES_MAX; i++) {
        snprintf(name, sizeof name, "n%u.example.", i);
        assert_int_equal(add(name, "A", 1, "192.0.2.1"), SP_OK);
    }
    assert_int_equal(add("more.example.", "A", 1, "192.0.2.1"), SP_ERR_FULL);
    struct sp_name more = sp_test_name("more.example.");
    assert_null(sp_zone_node(z, &more));
}

static void txn_a_name_has_so_many_types(void **state) {
    char type[16];
    for (unsigned i = 0; i < 62; i++) {
        snprintf(type, sizeof type, "TYPE%u", 1000 + i);
        DOES(add("www.example.", type, 1, "\\# 1 00"));
    }
    assert_int_equal(add("www.example.", "TYPE2000", 1, "\\# 1 00"), SP_ERR_FULL);
    sp_txn_undo(t);
    t = NULL;
    assert_int_equal(sp_txn_begin(&t, z), SP_OK);
    DOES(add("www.example.", "TYPE2000", 1, "\\# 1 00"));
}

static void txn_rrsets_have_a_largest_size(void **state) {
    uint8_t buf[70000];
    struct sp_rrs rrs = {SP_TYPE_TXT, SP_CLASS_IN, 1, 0, buf, 0};
    struct sp_name owner = sp_test_name("www.example.");
    while (rrs.len < 64000) {
        uint8_t *p = buf + rrs.len;
        sp_put_u16(p, 256);
        p[2] = 255;
        memset(p + 3, 'x', 255);
        sp_put_u16(p + 3, rrs.count++);
        rrs.len += 258;
    }
    assert_int_equal(sp_txn_put(t, &owner, &rrs), SP_ERR_RANGE);
    rrs.count = 200;
    rrs.len = 200 * 258;
    assert_int_equal(sp_txn_put(t, &owner, &rrs), SP_OK);
    struct sp_test_q q = {.name = "www.example.", .type = "TXT", .dnssec = true, .via = SP_VIA_TCP};
    assert_starts(sp_test_ask(w, q), "NOERROR aa\nan");
    assert_non_null(strstr(w->text, "RRSIG TXT ok"));
}

/* ---- random transactions, undone or kept ---- */

static uint32_t seed;
static uint32_t dice(uint32_t sides) {
    seed = seed * 1664525 + 1013904223;
    return (seed >> 16) % sides;
}

static void random_step(void) {
    static const char *const names[] = {"example.",       "a.example.",   "b.a.example.",
                                        "c.b.a.example.", "*.a.example.", "d.c.b.a.example.",
                                        "e.example.",     "www.example.", "x.e.example."};
    static const char *const types[] = {"A", "TXT", "CNAME", "NS", "DNAME", "MX", "SOA", "AAAA", "CAA"};
    static const char *const rdata[][3] = {{"192.0.2.1", "192.0.2.2", "192.0.2.3"},
                                           {"\"a\"", "\"b\"", "\"c\""},
                                           {"a.example.", "b.example.", "e.example."},
                                           {"ns.example.", "ns.test.", "n.e.example."},
                                           {"a.test.", "b.test.", "c.test."},
                                           {"1 a.test.", "2 b.test.", "3 c.test."},
                                           {"n. h. 6 1 1 1 1", "n. h. 7 1 1 1 1", "n. h. 8 1 1 1 1"},
                                           {"::1", "::2", "::3"},
                                           {"0 issue \"a\"", "0 issue \"b\"", "0 issue \"c\""}};
    const char *name = names[dice(9)];
    unsigned type = dice(9);
    uint8_t buf[300];
    struct sp_name owner = sp_test_name(name);
    switch (dice(4)) {
    case 0:
        assert_int_equal(del(name, types[type], rdata[type][dice(3)]), SP_OK);
        break;
    case 1:
        assert_int_equal(del_rrset(name, types[type]), SP_OK);
        break;
    case 2: {
        struct sp_rrs rrs = sp_test_rrs(types[type], 300, dice(2) == 0 ? NULL : rdata[type][dice(3)], buf, sizeof buf);
        if (type != 6) /* the SOA stays */
            assert_int_equal(sp_txn_put(t, &owner, &rrs), SP_OK);
        break;
    }
    default:
        assert_int_equal(add(name, types[type], 300 + dice(2), rdata[type][dice(3)]), SP_OK);
    }
}

static void random_questions(void) {
    static const char *const names[] = {"a.example.", "q.a.example.", "x.e.example.", "d.c.b.a.example."};
    for (unsigned i = 0; i < 4; i++) {
        const char *text =
            sp_test_ask(w, (struct sp_test_q){.name = names[i], .type = "A", .dnssec = true, .via = SP_VIA_TCP});
        assert_null(strstr(text, " bad\n"));
        assert_null(strstr(text, "SERVFAIL"));
    }
}

static void txn_undo_goes_back_exactly(void **state) {
    static char before[3][65536];
    sp_txn_retire(t);
    for (unsigned round = 0; round < 400; round++) {
        struct sp_txn *open[3];
        seed = round;
        unsigned n = 1 + dice(3);
        for (unsigned i = 0; i < n; i++) {
            strcpy(before[i], show());
            assert_int_equal(sp_txn_begin(&open[i], z), SP_OK);
            t = open[i];
            for (unsigned steps = dice(12); steps > 0; steps--)
                random_step();
            random_questions();
        }
        t = NULL;
        unsigned keep = dice(n + 1); /* the oldest ones become durable, the others fail */
        for (unsigned i = n; i > keep; i--) {
            sp_txn_undo(open[i - 1]);
            assert_string_equal(show(), before[i - 1]);
        }
        char *kept = strdup(show());
        for (unsigned i = 0; i < keep; i++)
            sp_txn_retire(open[i]);
        assert_string_equal(show(), kept);
        free(kept);
        random_questions();
    }
}

static void txn_leaves_no_memory_behind(void **state) {
    size_t used = 0;
    for (unsigned round = 0; round < 50; round++) {
        sp_txn_retire(t);
        assert_int_equal(sp_txn_begin(&t, z), SP_OK);
        DOES(add("x.y.z.example.", "A", 1, "192.0.2.1"));
        DOES(add("x.y.z.example.", "TXT", 1, "\"t\""));
        DOES(add("x.y.z.example.", "MX", 1, "1 x."));
        DOES(add("x.y.z.example.", "CAA", 1, "0 issue \"a\""));
        sp_txn_retire(t);
        assert_int_equal(sp_txn_begin(&t, z), SP_OK);
        DOES(del_rrset("x.y.z.example.", "A"));
        DOES(del_rrset("x.y.z.example.", "TXT"));
        DOES(del_rrset("x.y.z.example.", "MX"));
        DOES(del_rrset("x.y.z.example.", "CAA"));
        sp_txn_retire(t);
        if (round == 0)
            used = w->mem.used;
        assert_int_equal(w->mem.used, used);
        assert_int_equal(sp_txn_begin(&t, z), SP_OK);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(txn_rfc2136_adding, setup, teardown),
        cmocka_unit_test_setup_teardown(txn_rfc2136_cname_and_others_exclude_each_other, setup, teardown),
        cmocka_unit_test_setup_teardown(txn_rfc2136_soa_only_forward, setup, teardown),
        cmocka_unit_test_setup_teardown(txn_rfc2136_deleting, setup, teardown),
        cmocka_unit_test_setup_teardown(txn_rfc2136_the_apex_keeps_soa_and_last_ns, setup, teardown),
        cmocka_unit_test_setup_teardown(txn_refuses_what_is_not_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(txn_rfc4034_records_stand_in_canonical_order, setup, teardown),
        cmocka_unit_test_setup_teardown(txn_changes_tell_before_and_after, setup, teardown),
        cmocka_unit_test_setup_teardown(txn_is_limited, setup, teardown),
        cmocka_unit_test_setup_teardown(txn_a_name_has_so_many_types, setup, teardown),
        cmocka_unit_test_setup_teardown(txn_rrsets_have_a_largest_size, setup, teardown),
        cmocka_unit_test_setup_teardown(txn_undo_goes_back_exactly, setup, teardown),
        cmocka_unit_test_setup_teardown(txn_leaves_no_memory_behind, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
