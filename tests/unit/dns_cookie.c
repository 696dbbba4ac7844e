#include "tests/unit/cm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/dns/cookie.h"

/* One line of tests/vectors/cookie.txt. */
struct vector {
    struct sp_cookie_secrets s;
    struct sp_addr client;
    uint8_t cookie[24];
    uint32_t made;
    bool made_here; /* by a maker that leaves the reserved bytes zero, as ours does */
};

static char *load(void) {
    char path[4096];
    const char *dir = getenv("SIGNPOST_VECTORS");
    snprintf(path, sizeof path, "%s/cookie.txt", dir != NULL ? dir : "tests/vectors");
    char *file = sp_test_read(path, NULL);
    assert_non_null(file);
    return file;
}

static bool next(char **rest, struct vector *v) {
    char *line;
    do {
        line = strsep(rest, "\n");
    } while (line != NULL && (line[0] == '#' || line[0] == 0));
    if (line == NULL)
        return false;
    char secret[40], ip[40], cookie[60];
    unsigned made, family;
    assert_int_equal(sscanf(line, "%39s %u %39s %59s %u", secret, &family, ip, cookie, &made), 5);
    memset(v, 0, sizeof *v);
    assert_int_equal(sp_test_hex(secret, v->s.now, 16), 16);
    assert_int_equal(sp_test_hex(ip, v->client.ip, 16), family == 4 ? 4 : 16);
    assert_int_equal(sp_test_hex(cookie, v->cookie, 24), 24);
    v->client.family = (uint8_t)family;
    v->made = made;
    v->made_here = memcmp(v->cookie + 9, "\0\0\0", 3) == 0;
    return true;
}

static enum sp_cookie_state check(const struct vector *v, size_t len, uint32_t now) {
    struct sp_rd rd = sp_rd_init(v->cookie, len);
    return sp_cookie_check(&v->s, &rd, &v->client, sp_wall_from_sec(now));
}

static void rfc9018_appendix_a(void **state) {
    char *file = load(), *rest = file;
    struct vector v;
    unsigned n = 0;
    for (; next(&rest, &v); n++) {
        assert_int_equal(sp_get_u32(v.cookie + 12), v.made);
        assert_int_equal(check(&v, 24, v.made), SP_COOKIE_GOOD);
        for (unsigned bit = 0; bit < 192; bit++) {
            struct vector bad = v;
            bad.cookie[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_int_equal(check(&bad, 24, v.made), SP_COOKIE_BAD);
        }
        struct vector other = v;
        other.client.ip[3] ^= 1;
        assert_int_equal(check(&other, 24, v.made), SP_COOKIE_BAD);
        if (!v.made_here)
            continue;
        uint8_t got[24];
        sp_cookie_make(&v.s, v.cookie, &v.client, sp_wall_from_sec(v.made), got);
        assert_memory_equal(got, v.cookie, 24);
    }
    assert_int_equal(n, 6);
    free(file);
}

/* RFC 9018 4.3: an hour back, five minutes ahead, renewed after half an hour. */
static void rfc9018_times(void **state) {
    char *file = load(), *rest = file;
    struct vector v;
    assert_true(next(&rest, &v));
    free(file);
    static const struct {
        int32_t after;
        enum sp_cookie_state want;
    } rows[] = {
        {-301, SP_COOKIE_BAD},  {-300, SP_COOKIE_GOOD},     {0, SP_COOKIE_GOOD},
        {1800, SP_COOKIE_GOOD}, {1801, SP_COOKIE_RENEW},    {3600, SP_COOKIE_RENEW},
        {3601, SP_COOKIE_BAD},  {INT32_MAX, SP_COOKIE_BAD}, {INT32_MIN, SP_COOKIE_BAD},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(check(&v, 24, v.made + (uint32_t)rows[i].after), rows[i].want);
    /* across the wrap of the 32 bits */
    uint8_t late[24];
    sp_cookie_make(&v.s, v.cookie, &v.client, sp_wall_from_sec(UINT32_MAX), late);
    struct sp_rd rd = sp_rd_init(late, 24);
    assert_int_equal(sp_cookie_check(&v.s, &rd, &v.client, sp_wall_from_sec(UINT64_C(0x100000000) + 59)),
                     SP_COOKIE_GOOD);
}

static void rfc9018_old_secret(void **state) {
    char *file = load(), *rest = file;
    struct vector v;
    assert_true(next(&rest, &v));
    free(file);
    memcpy(v.s.before, v.s.now, 16);
    v.s.now[0] ^= 1;
    assert_int_equal(check(&v, 24, v.made), SP_COOKIE_BAD);
    v.s.have_before = true;
    assert_int_equal(check(&v, 24, v.made), SP_COOKIE_RENEW);
    v.s.before[0] ^= 2;
    assert_int_equal(check(&v, 24, v.made), SP_COOKIE_BAD);
}

/* RFC 7873 4, 5.2.2: 8 bytes, or 16 to 40. */
static void rfc7873_lengths(void **state) {
    char *file = load(), *rest = file;
    struct vector v;
    assert_true(next(&rest, &v));
    free(file);
    assert_int_equal(sp_cookie_check(&v.s, NULL, &v.client, sp_wall_from_sec(0)), SP_COOKIE_NONE);
    for (size_t len = 0; len <= 24; len++) {
        enum sp_cookie_state want = len == 24  ? SP_COOKIE_GOOD
                                    : len == 8 ? SP_COOKIE_CLIENT_ONLY
                                    : len < 16 ? SP_COOKIE_MALFORMED
                                               : SP_COOKIE_BAD;
        assert_int_equal(check(&v, len, v.made), want);
    }
    uint8_t longer[41] = {0};
    for (size_t len = 25; len <= 41; len++) {
        struct sp_rd rd = sp_rd_init(longer, len);
        assert_int_equal(sp_cookie_check(&v.s, &rd, &v.client, sp_wall_from_sec(0)),
                         len == 41 ? SP_COOKIE_MALFORMED : SP_COOKIE_BAD);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc9018_appendix_a),
        cmocka_unit_test(rfc9018_times),
        cmocka_unit_test(rfc9018_old_secret),
        cmocka_unit_test(rfc7873_lengths),
    };
    return cmocka_run_group_tests_name("dns_cookie", tests, NULL, NULL);
}
