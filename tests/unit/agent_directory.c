#include "tests/unit/cm.h"

#include <string.h>

#include "client/core/directory.h"
#include "tests/support/support.h"

/* Who the peers are, and by which key. DESIGN: "A name points to a key". */

struct world {
    struct sp_mem mem;
    struct sp_directory *d;
    struct sp_directory_config config;
};

static struct sp_name name_of(const char *text) {
    struct sp_name n;
    assert_int_equal(sp_name_from_text(&n, text, strlen(text), NULL), SP_OK);
    return n;
}

static void key_of(uint8_t number, uint8_t pub[SP_ED25519_PUB]) {
    struct sp_ed25519 key;
    uint8_t seed[SP_ED25519_SEED] = {number, 1};
    sp_ed25519_from_seed(&key, seed);
    memcpy(pub, key.pub, SP_ED25519_PUB);
}

static void begin(struct world *w, uint32_t limit) {
    assert_int_equal(sp_crypto_init(), SP_OK);
    sp_mem_init(&w->mem, sp_test_grant(), 8 * SP_CHUNK);
    w->config = (struct sp_directory_config){.mem = &w->mem, .hash_key = {3}, .limit = limit, .root_hash = {7}};
    w->config.zone = name_of("me.signpost.");
    w->config.self = name_of("laptop.me.signpost.");
    assert_int_equal(sp_directory_new(&w->d, &w->config), SP_OK);
}

static void end(struct world *w) {
    sp_directory_free(w->d);
    assert_int_equal(w->mem.used, 0);
    sp_mem_done(&w->mem);
}

static sp_err learn(struct world *w, const char *text, uint8_t number, struct sp_dir_entry **e, bool *replaced) {
    struct sp_name n = name_of(text);
    uint8_t pub[SP_ED25519_PUB];
    key_of(number, pub);
    return sp_directory_learn(w->d, &n, pub, SP_DIR_SESSION, 5, e, replaced);
}

static void a_device_is_found_by_name_address_and_key(void **state) {
    struct world w;
    struct sp_dir_entry *e;
    bool replaced = true;
    uint8_t pub[SP_ED25519_PUB], addr[16], wg[SP_X25519];
    begin(&w, 10);
    assert_int_equal(learn(&w, "Phone.me.signpost.", 1, &e, &replaced), SP_OK);
    assert_false(replaced);
    key_of(1, pub);
    sp_overlay_addr(w.config.root_hash, pub, addr);
    assert_int_equal(sp_ed25519_to_x25519(pub, wg), SP_OK);
    struct sp_name n = name_of("phone.ME.signpost.");
    assert_ptr_equal(sp_directory_name(w.d, &n), e);
    assert_ptr_equal(sp_directory_addr(w.d, addr), e);
    assert_ptr_equal(sp_directory_key(w.d, wg), e);
    addr[15] ^= 1;
    wg[3] ^= 1;
    assert_null(sp_directory_addr(w.d, addr));
    assert_null(sp_directory_key(w.d, wg));
    sp_directory_forget(w.d, e);
    assert_null(sp_directory_name(w.d, &n));
    assert_int_equal(sp_directory_count(w.d), 0);
    end(&w);
}

static void another_key_replaces(void **state) {
    struct world w;
    struct sp_dir_entry *first, *second;
    bool replaced;
    begin(&w, 10);
    assert_int_equal(learn(&w, "phone.me.signpost.", 1, &first, &replaced), SP_OK);
    uint8_t old[16];
    memcpy(old, first->overlay, sizeof old);
    assert_int_equal(learn(&w, "phone.me.signpost.", 1, &second, &replaced), SP_OK);
    assert_false(replaced);
    assert_int_equal(learn(&w, "phone.me.signpost.", 2, &second, &replaced), SP_OK);
    assert_true(replaced);
    assert_ptr_equal(first, second);
    assert_null(sp_directory_addr(w.d, old));
    assert_ptr_equal(sp_directory_addr(w.d, second->overlay), second);
    assert_int_equal(sp_directory_count(w.d), 1);
    end(&w);
}

static void a_key_has_one_name(void **state) {
    struct world w;
    struct sp_dir_entry *e;
    bool replaced;
    begin(&w, 10);
    assert_int_equal(learn(&w, "phone.me.signpost.", 1, &e, &replaced), SP_OK);
    assert_int_equal(learn(&w, "tablet.me.signpost.", 1, &e, &replaced), SP_ERR_EXIST);
    uint8_t twin[SP_ED25519_PUB];
    key_of(1, twin);
    twin[31] ^= 0x80; /* the key with the other sign: the same WireGuard key */
    struct sp_name n = name_of("tablet.me.signpost.");
    assert_int_equal(sp_directory_learn(w.d, &n, twin, SP_DIR_SESSION, 5, &e, &replaced), SP_ERR_EXIST);
    assert_int_equal(sp_directory_count(w.d), 1);
    end(&w);
}

static void only_names_of_the_zone(void **state) {
    struct world w;
    struct sp_dir_entry *e;
    bool replaced;
    begin(&w, 10);
    assert_int_equal(learn(&w, "phone.you.signpost.", 1, &e, &replaced), SP_ERR_RANGE);
    assert_int_equal(learn(&w, "me.signpost.", 1, &e, &replaced), SP_ERR_RANGE);
    struct sp_name n = name_of("phone.me.signpost.");
    const uint8_t low_order[SP_ED25519_PUB] = {1};
    assert_int_equal(sp_directory_learn(w.d, &n, low_order, SP_DIR_SESSION, 5, &e, &replaced), SP_ERR_BADKEY);
    assert_int_equal(sp_directory_count(w.d), 0);
    end(&w);
}

static void it_is_bounded(void **state) {
    struct world w;
    struct sp_dir_entry *e, *kept;
    bool replaced;
    begin(&w, 2);
    assert_int_equal(learn(&w, "a.me.signpost.", 1, &kept, &replaced), SP_OK);
    assert_int_equal(learn(&w, "b.me.signpost.", 2, &e, &replaced), SP_OK);
    assert_int_equal(learn(&w, "c.me.signpost.", 3, &e, &replaced), SP_ERR_FULL);
    assert_int_equal(learn(&w, "a.me.signpost.", 4, &e, &replaced), SP_OK); /* another key needs no other place */
    assert_true(replaced);
    sp_directory_forget(w.d, kept);
    assert_int_equal(learn(&w, "c.me.signpost.", 3, &e, &replaced), SP_OK);
    end(&w);
}

static void absent_names_are_remembered_for_a_while(void **state) {
    struct world w;
    begin(&w, 2);
    struct sp_name n = name_of("typo.me.signpost."), other = name_of("tipo.me.signpost.");
    assert_false(sp_directory_is_absent(w.d, &n, 0));
    sp_directory_absent(w.d, &n, 0);
    assert_true(sp_directory_is_absent(w.d, &n, 29 * SP_SEC));
    assert_false(sp_directory_is_absent(w.d, &other, 29 * SP_SEC));
    assert_false(sp_directory_is_absent(w.d, &n, 30 * SP_SEC));
    end(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_is_found_by_name_address_and_key),
        cmocka_unit_test(another_key_replaces),
        cmocka_unit_test(a_key_has_one_name),
        cmocka_unit_test(only_names_of_the_zone),
        cmocka_unit_test(it_is_bounded),
        cmocka_unit_test(absent_names_are_remembered_for_a_while),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
