#include "tests/unit/cm.h"

#include <string.h>

#include "client/nss/wire.h"

static uint8_t query[NSS_QUERY_MAX], reply[NSS_REPLY_MAX];
static size_t query_len, reply_len;

static void ask(const char *name, uint16_t type) {
    query_len = nss_wire_query(name, type, 0x1234, query, sizeof query);
    assert_true(query_len > 0);
}

/* The reply to the query: flags and number of answers, then records in hex. */
static void answer(const char *flags_and_count, const char *records) {
    memcpy(reply, query, query_len);
    uint8_t head[4];
    sp_test_hex(flags_and_count, head, 4);
    memcpy(reply + 2, head, 2);
    memcpy(reply + 6, head + 2, 2);
    reply_len = query_len + sp_test_hex(records, reply + query_len, sizeof reply - query_len);
}

static bool read_reply(struct nss_reply *ret) {
    return nss_wire_reply(ret, query, query_len, reply, reply_len);
}

static void rfc1035_queries(void **state) {
    static const uint8_t want[] = "\x12\x34\0\0\0\1\0\0\0\0\0\0\6laptop\2me\0\0\34\0\1";
    ask("laptop.me", NSS_TYPE_AAAA);
    assert_int_equal(query_len, sizeof want - 1);
    assert_memory_equal(query, want, query_len);
    ask("laptop.me.", NSS_TYPE_AAAA);
    assert_memory_equal(query, want, query_len);
    assert_int_equal(nss_wire_query("laptop.me", 1, 1, query, query_len - 1), 0);
}

static void what_is_no_host_is_not_asked(void **state) {
    static const char *const bad[] = {"",    ".",   "a..b",   ".a", "a b", "a\\.b", "a..", "caf\xc3\xa9.example",
                                      "a/b", "a@b", "fd00::1"};
    char label[65], name[300] = "";
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(nss_wire_query(bad[i], 1, 1, query, sizeof query), 0);
    memset(label, 'a', 64);
    label[64] = 0;
    assert_int_equal(nss_wire_query(label, 1, 1, query, sizeof query), 0);
    label[63] = 0;
    for (unsigned i = 0; i < 3; i++)
        strcat(strcat(name, label), ".");
    strcat(name, label);
    name[253] = 0; /* 255 bytes on the wire */
    assert_int_equal(nss_wire_query(name, 1, 1, query, sizeof query), 12 + 255 + 4);
    name[253] = 'a';
    assert_int_equal(nss_wire_query(name, 1, 1, query, sizeof query), 0);
}

static void addresses(void **state) {
    struct nss_reply r;
    ask("laptop.me", NSS_TYPE_AAAA);
    answer("8400 0002", "c00c 001c 0001 0000001e 0010 fd010000000000000000000000000001"
                        "c00c 001c 0001 00000014 0010 fd010000000000000000000000000002");
    assert_true(read_reply(&r));
    assert_int_equal(r.rcode, 0);
    assert_int_equal(r.count, 2);
    assert_int_equal(r.ttl, 20);
    assert_int_equal(r.addrs[0][15], 1);
    assert_int_equal(r.addrs[1][15], 2);
    ask("laptop.me", NSS_TYPE_A);
    answer("8400 0002", "c00c 0005 0001 0000001e 0002 c00c  c00c 0001 0001 0000001e 0004 0a000001");
    assert_true(read_reply(&r));
    assert_int_equal(r.count, 1);
    assert_memory_equal(r.addrs[0], ((uint8_t[]){10, 0, 0, 1}), 4);
    answer("8403 0000", "");
    assert_true(read_reply(&r));
    assert_int_equal(r.rcode, 3);
    assert_int_equal(r.count, 0);
    /* Wrong lengths and classes are not addresses. */
    answer("8400 0002", "c00c 0001 0001 0000001e 0003 0a0000  c00c 0001 0003 0000001e 0004 0a000001");
    assert_true(read_reply(&r));
    assert_int_equal(r.count, 0);
}

static void sixteen_addresses_at_most(void **state) {
    struct nss_reply r;
    char records[20 * 60] = "";
    for (unsigned i = 0; i < 20; i++)
        strcat(records, "c00c 0001 0001 0000001e 0004 0a000001 ");
    ask("laptop.me", NSS_TYPE_A);
    answer("8400 0014", records);
    assert_true(read_reply(&r));
    assert_int_equal(r.count, NSS_ADDRS_MAX);
}

static void names(void **state) {
    struct nss_reply r;
    char name[NSS_NAME_MAX];
    uint8_t addr[16] = {0xfd, 0x01, [15] = 0x2a};
    nss_wire_reverse(addr, name);
    assert_string_equal(name, "a.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.d.f.ip6.arpa");
    ask(name, NSS_TYPE_PTR);
    answer("8400 0001", "c00c 000c 0001 0000001e 000b 06 6c6170746f70 02 6d65 00");
    assert_true(read_reply(&r));
    assert_string_equal(r.name, "laptop.me");
    /* What is no host's name is none: it would stand in logs and terminals. */
    answer("8400 0001", "c00c 000c 0001 0000001e 000b 06 6c611b746f70 02 6d65 00");
    assert_true(read_reply(&r));
    assert_int_equal(r.count, 0);
    answer("8400 0001", "c00c 000c 0001 0000001e 0001 00");
    assert_true(read_reply(&r));
    assert_int_equal(r.count, 0);
}

static void pointers_end(void **state) {
    struct nss_reply r;
    ask("a.b", NSS_TYPE_PTR);
    answer("8400 0001", "c00c 000c 0001 0000001e 0002 c00c");
    assert_true(read_reply(&r));
    assert_string_equal(r.name, "a.b");
    answer("8400 0001", "c015 000c 0001 0000001e 0002 c00c"); /* the owner points at itself */
    assert_false(read_reply(&r));
    answer("8400 0001", "c00c 000c 0001 0000001e 0002 c021"); /* so does the rdata */
    assert_true(read_reply(&r));
    assert_int_equal(r.count, 0);
    answer("8400 0001", "8000 000c 0001 0000001e 0002 c00c");
    assert_false(read_reply(&r));
}

static void other_replies_are_none(void **state) {
    struct nss_reply r;
    ask("laptop.me", NSS_TYPE_A);
    answer("8400 0001", "c00c 0001 0001 0000001e 0004 0a000001");
    size_t whole = reply_len;
    assert_true(read_reply(&r));
    for (reply_len = 0; reply_len < whole; reply_len++)
        assert_false(read_reply(&r));
    for (unsigned i = 0; i < query_len; i++) {
        reply[i] ^= 1;
        bool ignored = (i >= 6 && i < 12) || i == 2 || i == 3; /* flags; counts that the records end sooner than */
        assert_true(ignored || !read_reply(&r));
        reply[i] ^= 1;
    }
    reply[2] = 0; /* a query */
    assert_false(read_reply(&r));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc1035_queries),
        cmocka_unit_test(what_is_no_host_is_not_asked),
        cmocka_unit_test(addresses),
        cmocka_unit_test(sixteen_addresses_at_most),
        cmocka_unit_test(names),
        cmocka_unit_test(pointers_end),
        cmocka_unit_test(other_replies_are_none),
    };
    return cmocka_run_group_tests_name("nss_wire", tests, NULL, NULL);
}
