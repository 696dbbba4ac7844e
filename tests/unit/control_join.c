/* Tokens, proofs, overlay addresses. DESIGN: "A name points to a key", "Trust". */
#include "tests/unit/cm.h"

#include "proto/control/join.h"

static struct sp_name name_of(const char *text) {
    struct sp_name n;
    assert_int_equal(sp_name_from_text(&n, text, strlen(text), NULL), SP_OK);
    return n;
}

static struct sp_ed25519 key_of(uint8_t fill) {
    uint8_t seed[SP_ED25519_SEED];
    memset(seed, fill, sizeof seed);
    struct sp_ed25519 k;
    sp_ed25519_from_seed(&k, seed);
    return k;
}

static struct sp_token sample(void) {
    struct sp_token t = {0};
    memset(t.seed, 0x11, sizeof t.seed);
    memset(t.root_hash, 0x22, sizeof t.root_hash);
    memset(t.signpost_pub, 0x33, sizeof t.signpost_pub);
    t.zone = name_of("me.signpost.");
    t.name = name_of("laptop.me.signpost.");
    t.expiry = 1800000000;
    t.addrs[0] = (struct sp_addr){.ip = {192, 0, 2, 7}, .port = 53, .family = 4};
    t.addrs[1] = (struct sp_addr){.ip = {0x20, 1, 0xd, 0xb8, [15] = 1}, .port = 5353, .family = 6};
    t.addr_count = 2;
    return t;
}

static void addresses_follow_from_keys(void **state) {
    struct sp_ed25519 root = key_of(1), other_root = key_of(2), a = key_of(3), b = key_of(4);
    uint8_t hash[SP_ROOT_HASH], other[SP_ROOT_HASH], prefix[8], addr_a[16], addr_b[16], moved[16];
    sp_root_hash(root.pub, hash);
    sp_root_hash(other_root.pub, other);
    assert_memory_not_equal(hash, other, sizeof hash);
    sp_overlay_prefix(hash, prefix);
    assert_int_equal(prefix[0], 0xfd);
    sp_overlay_addr(hash, a.pub, addr_a);
    sp_overlay_addr(hash, b.pub, addr_b);
    sp_overlay_addr(other, a.pub, moved);
    assert_memory_equal(addr_a, prefix, 8);
    assert_memory_equal(addr_b, prefix, 8);
    assert_memory_not_equal(addr_a + 8, addr_b + 8, 8);
    /* Another zone: another network, the same interface part. */
    assert_memory_not_equal(addr_a, moved, 8);
    assert_memory_equal(addr_a + 8, moved + 8, 8);
    /* The label keeps these hashes apart from each other. */
    assert_memory_not_equal(hash, prefix + 1, 7);
}

static void token_round_trip(void **state) {
    struct sp_token t = sample(), back;
    char text[SP_TOKEN_TEXT_MAX];
    size_t len = sp_token_write(&t, text, sizeof text);
    assert_true(len > 10);
    assert_memory_equal(text, "signpost1-", 10);
    assert_int_equal(sp_token_read(&back, text, len), SP_OK);
    assert_memory_equal(back.seed, t.seed, sizeof t.seed);
    assert_memory_equal(back.root_hash, t.root_hash, sizeof t.root_hash);
    assert_memory_equal(back.signpost_pub, t.signpost_pub, sizeof t.signpost_pub);
    assert_true(sp_name_equal(&back.zone, &t.zone));
    assert_true(sp_name_equal(&back.name, &t.name));
    assert_int_equal(back.expiry, t.expiry);
    assert_int_equal(back.addr_count, 2);
    assert_memory_equal(back.addrs, t.addrs, sizeof t.addrs);
    /* Pasted with a newline, as terminals do. */
    char padded[SP_TOKEN_TEXT_MAX + 8];
    memcpy(padded, " \n", 2);
    memcpy(padded + 2, text, len);
    memcpy(padded + 2 + len, "\r\n", 2);
    assert_int_equal(sp_token_read(&back, padded, len + 4), SP_OK);
    /* Too little room is said, never a cut token. */
    assert_int_equal(sp_token_write(&t, text, len - 1), 0);
    assert_int_equal(sp_token_write(&t, text, 10), 0);
    assert_int_equal(sp_token_write(&t, text, len), len);
}

static void token_longest_fits(void **state) {
    struct sp_token t = sample(), back;
    char label[64], text[SP_TOKEN_TEXT_MAX];
    memset(label, 'x', sizeof label);
    struct sp_name n = name_of("y.");
    while (n.len + 1 + 60 <= SP_NAME_MAX) {
        struct sp_name longer;
        assert_int_equal(sp_name_prepend(&longer, label, 60, &n), SP_OK);
        n = longer;
    }
    t.zone = n;
    assert_int_equal(sp_name_prepend(&t.name, label, (size_t)(SP_NAME_MAX - n.len - 1), &n), SP_OK);
    assert_int_equal(t.name.len, SP_NAME_MAX);
    for (t.addr_count = 0; t.addr_count < SP_TOKEN_ADDRS; t.addr_count++)
        t.addrs[t.addr_count] = (struct sp_addr){.ip = {0xfd}, .port = 53, .family = 6};
    size_t len = sp_token_write(&t, text, sizeof text);
    assert_true(len > 0);
    assert_int_equal(sp_token_read(&back, text, len), SP_OK);
    assert_true(sp_name_equal(&back.name, &t.name));
}

static void token_refuses_damage(void **state) {
    struct sp_token t = sample(), back;
    char text[SP_TOKEN_TEXT_MAX];
    size_t len = sp_token_write(&t, text, sizeof text);
    memset(&back, 0x5a, sizeof back);
    struct sp_token untouched = back;
    for (size_t i = 0; i < len; i++) {
        char was = text[i];
        text[i] = was == 'A' ? 'B' : 'A';
        /* The last character may carry bits that no byte uses; a decoder refuses those or the token is the same. */
        if (i + 1 < len)
            assert_int_not_equal(sp_token_read(&back, text, len), SP_OK);
        text[i] = was;
        assert_int_not_equal(sp_token_read(&back, text, i), SP_OK);
    }
    assert_memory_equal(&back, &untouched, sizeof back);
    assert_int_equal(sp_token_read(&back, "", 0), SP_ERR_FORM);
    assert_int_equal(sp_token_read(&back, "signpost1-", 10), SP_ERR_FORM);
    /* A token whose name is the zone itself, or elsewhere, is none. */
    t.name = t.zone;
    len = sp_token_write(&t, text, sizeof text);
    assert_int_equal(sp_token_read(&back, text, len), SP_ERR_FORM);
    t.name = name_of("laptop.you.signpost.");
    len = sp_token_write(&t, text, sizeof text);
    assert_int_equal(sp_token_read(&back, text, len), SP_ERR_FORM);
    t = sample();
    t.addrs[0].family = 0;
    assert_int_equal(sp_token_write(&t, text, sizeof text), 0);
    t.addr_count = SP_TOKEN_ADDRS + 1;
    assert_int_equal(sp_token_write(&t, text, sizeof text), 0);
}

static void proof_verifies(void **state) {
    struct sp_ed25519 invite = key_of(5), device = key_of(6), other = key_of(7);
    struct sp_name name = name_of("laptop.me.signpost."), upper = name_of("LapTop.ME.signpost."),
                   else_name = name_of("phone.me.signpost.");
    uint8_t hash[SP_ROOT_HASH] = {1}, hash2[SP_ROOT_HASH] = {2}, rdata[SP_JOIN_RDATA + 1], pub[SP_ED25519_PUB];
    uint64_t expiry;
    sp_join_make(rdata, hash, &name, &invite, &device, 1800000000);
    assert_int_equal(sp_join_peek(rdata, SP_JOIN_RDATA, pub, &expiry), SP_OK);
    assert_memory_equal(pub, invite.pub, sizeof pub);
    assert_int_equal(expiry, 1800000000);
    assert_int_equal(sp_join_verify(rdata, SP_JOIN_RDATA, hash, &name, device.pub), SP_OK);
    assert_int_equal(sp_join_verify(rdata, SP_JOIN_RDATA, hash, &upper, device.pub), SP_OK);
    assert_int_equal(sp_join_verify(rdata, SP_JOIN_RDATA, hash2, &name, device.pub), SP_ERR_BADSIG);
    assert_int_equal(sp_join_verify(rdata, SP_JOIN_RDATA, hash, &else_name, device.pub), SP_ERR_BADSIG);
    assert_int_equal(sp_join_verify(rdata, SP_JOIN_RDATA, hash, &name, other.pub), SP_ERR_BADSIG);
    assert_int_equal(sp_join_verify(rdata, SP_JOIN_RDATA - 1, hash, &name, device.pub), SP_ERR_FORM);
    assert_int_equal(sp_join_verify(rdata, SP_JOIN_RDATA + 1, hash, &name, device.pub), SP_ERR_FORM);
    for (size_t i = 0; i < SP_JOIN_RDATA; i += 3) {
        rdata[i] ^= 1;
        assert_int_not_equal(sp_join_verify(rdata, SP_JOIN_RDATA, hash, &name, device.pub), SP_OK);
        rdata[i] ^= 1;
    }
    /* One of the two signatures by somebody else is not enough. */
    uint8_t mixed[SP_JOIN_RDATA];
    sp_join_make(mixed, hash, &name, &other, &device, 1800000000);
    memcpy(mixed + 1, invite.pub, SP_ED25519_PUB);
    assert_int_equal(sp_join_verify(mixed, SP_JOIN_RDATA, hash, &name, device.pub), SP_ERR_BADSIG);
}

static int setup(void **state) {
    return sp_crypto_init() == SP_OK ? 0 : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_follow_from_keys),
        cmocka_unit_test(token_round_trip),
        cmocka_unit_test(token_longest_fits),
        cmocka_unit_test(token_refuses_damage),
        cmocka_unit_test(proof_verifies),
    };
    return cmocka_run_group_tests_name("control_join", tests, setup, NULL);
}
