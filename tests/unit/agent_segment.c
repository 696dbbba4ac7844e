#include "tests/unit/cm.h"

#include <stdlib.h>
#include <string.h>

#include "client/core/segment.h"
#include "proto/base/bytes.h"

#define TCP_CSUM 16
#define UDP_CSUM 6

static uint8_t big[SP_JOIN_MAX], out[SP_JOIN_MAX], joined[2 * SP_JOIN_MAX + 4096];

/* ---- checksums, as their RFCs' words say: RFC 1071, 768, 9293 3.1, 8200 8.1 ---- */

static uint32_t slow_add(uint32_t sum, const uint8_t *p, size_t len) {
    for (size_t i = 0; i < len; i++) {
        sum += (uint32_t)p[i] << (i % 2 == 0 ? 8 : 0);
        if (sum > 0xffff)
            sum -= 0xffff;
    }
    return sum;
}

static uint32_t slow_pseudo(const uint8_t *p, size_t ip_len, size_t len) {
    bool v6 = p[0] >> 4 == 6;
    uint8_t tail[4] = {0, v6 ? p[6] : p[9], (uint8_t)((len - ip_len) >> 8), (uint8_t)(len - ip_len)};
    uint32_t sum = v6 ? slow_add(0, p + 8, 32) : slow_add(0, p + 12, 8);
    return slow_add(sum, tail, 4);
}

static bool checksums_right(const uint8_t *p, size_t ip_len, size_t len) {
    if (p[0] >> 4 == 4 && slow_add(0, p, ip_len) != 0xffff)
        return false;
    return slow_add(slow_pseudo(p, ip_len, len), p + ip_len, len - ip_len) == 0xffff;
}

/* ---- super-packets as the kernel gives them ---- */

struct kind {
    bool v6, tcp;
    size_t ip_options, tcp_options;
};

static size_t ip_len_of(const struct kind *k) {
    return k->v6 ? 40 : 20 + k->ip_options;
}

static size_t hdr_len_of(const struct kind *k) {
    return ip_len_of(k) + (k->tcp ? 20 + k->tcp_options : 8);
}

static void put_ip(const struct kind *k, uint8_t *p, size_t len) {
    uint8_t proto = k->tcp ? 6 : 17;
    memset(p, 0, ip_len_of(k));
    if (k->v6) {
        sp_put_u32(p, 0x60112345);
        sp_put_u16(p + 4, (uint16_t)(len - 40));
        p[6] = proto;
        p[7] = 64;
        for (unsigned i = 0; i < 32; i++)
            p[8 + i] = (uint8_t)(0xfd + 7 * i);
        return;
    }
    p[0] = (uint8_t)(0x40 | ip_len_of(k) / 4);
    sp_put_u16(p + 2, (uint16_t)len);
    sp_put_u16(p + 4, 0xfffe); /* the identification wraps */
    sp_put_u16(p + 6, 0x4000);
    p[8] = 64;
    p[9] = proto;
    sp_put_u32(p + 12, 0x0a010203);
    sp_put_u32(p + 16, 0xc6336401);
    memset(p + 20, 1, k->ip_options);
    sp_put_u16(p + 10, (uint16_t)(0xffff - slow_add(0, p, ip_len_of(k))));
}

/* A packet whose transport checksum is the pseudo header's sum, and its offload. */
static size_t make(const struct kind *k, uint8_t *p, size_t payload, uint16_t gso_size, uint8_t tcp_flags,
                   struct sp_offload *off) {
    size_t ip_len = ip_len_of(k), hdr = hdr_len_of(k), len = hdr + payload;
    uint8_t *t = p + ip_len;
    put_ip(k, p, len);
    memset(t, 0, hdr - ip_len);
    sp_put_u16(t, 40000);
    sp_put_u16(t + 2, 443);
    if (k->tcp) {
        sp_put_u32(t + 4, 0xfffffc00); /* sequence numbers wrap */
        sp_put_u32(t + 8, 77);
        t[12] = (uint8_t)((hdr - ip_len) / 4 << 4);
        t[13] = tcp_flags;
        sp_put_u16(t + 14, 502);
        memset(t + 20, 1, k->tcp_options);
    } else {
        sp_put_u16(t + 4, (uint16_t)(len - ip_len));
    }
    for (size_t i = 0; i < payload; i++)
        p[hdr + i] = (uint8_t)(i * 31 + (i >> 8));
    *off = (struct sp_offload){
        .gso = k->tcp ? (k->v6 ? SP_GSO_TCP6 : SP_GSO_TCP4) : SP_GSO_UDP,
        .needs_csum = true,
        .hdr_len = (uint16_t)hdr,
        .gso_size = gso_size,
        .csum_start = (uint16_t)ip_len,
        .csum_offset = k->tcp ? TCP_CSUM : UDP_CSUM,
    };
    sp_put_u16(t + off->csum_offset, (uint16_t)slow_pseudo(p, ip_len, len));
    return len;
}

static const struct kind kinds[] = {{true, true, 0, 12}, {true, true, 0, 0},  {false, true, 0, 12},
                                    {false, true, 8, 0}, {true, false, 0, 0}, {false, false, 0, 0},
                                    {false, false, 4, 0}};
#define KINDS (sizeof kinds / sizeof kinds[0])

/* ---- splitting ---- */

static void check_segment(const struct kind *k, const uint8_t *super, const uint8_t *seg, size_t len, unsigned index,
                          size_t at, bool last) {
    size_t ip_len = ip_len_of(k), hdr = hdr_len_of(k);
    const uint8_t *t = seg + ip_len, *st = super + ip_len;
    assert_true(checksums_right(seg, ip_len, len));
    assert_memory_equal(seg + hdr, super + hdr + at, len - hdr);
    if (k->v6)
        assert_int_equal(sp_get_u16(seg + 4), len - 40);
    else
        assert_int_equal(sp_get_u16(seg + 4), (uint16_t)(0xfffe + index));
    if (!k->tcp) {
        assert_int_equal(sp_get_u16(t + 4), len - ip_len);
        return;
    }
    assert_int_equal(sp_get_u32(t + 4), (uint32_t)(sp_get_u32(st + 4) + at));
    assert_int_equal(t[13] & 0x09, last ? st[13] & 0x09 : 0);       /* FIN, PSH */
    assert_int_equal(t[13] & 0x80, index == 0 ? st[13] & 0x80 : 0); /* CWR */
    assert_int_equal(t[13] & ~0x89, st[13] & ~0x89);
}

static void splits(const struct kind *k, size_t payload, uint16_t gso_size, uint8_t flags) {
    struct sp_offload off;
    struct sp_segmenter s;
    size_t len = make(k, big, payload, gso_size, flags, &off), at = 0, hdr = hdr_len_of(k);
    unsigned index = 0;
    assert_int_equal(sp_segmenter_init(&s, big, len, &off), SP_OK);
    for (size_t n; (n = sp_segmenter_next(&s, out, hdr + gso_size)) > 0; index++) {
        size_t part = payload - at < gso_size ? payload - at : gso_size;
        assert_int_equal(n, hdr + part);
        check_segment(k, big, out, n, index, at, at + part == payload);
        at += part;
    }
    assert_int_equal(at, payload);
    assert_int_equal(index, payload == 0 ? 1 : (payload + gso_size - 1) / gso_size);
}

static void every_kind_is_split(void **state) {
    for (unsigned i = 0; i < KINDS; i++) {
        splits(&kinds[i], 65535 - hdr_len_of(&kinds[i]), 1360, 0x18);
        splits(&kinds[i], 4000, 1000, 0x19);
        splits(&kinds[i], 4001, 1000, 0x90);
        splits(&kinds[i], 999, 1000, 0x18);
        splits(&kinds[i], 333, 1, 0x98);
        splits(&kinds[i], 0, 1000, 0x10);
    }
}

static void plain_packets_get_their_checksum(void **state) {
    for (unsigned i = 0; i < KINDS; i++) {
        for (size_t payload = 0; payload < 40; payload++) {
            struct sp_offload off;
            struct sp_segmenter s;
            size_t len = make(&kinds[i], big, payload, 1000, 0x18, &off);
            off.gso = SP_GSO_NONE;
            off.gso_size = off.hdr_len = 0;
            assert_int_equal(sp_segmenter_init(&s, big, len, &off), SP_OK);
            assert_int_equal(sp_segmenter_next(&s, out, len), len);
            assert_true(checksums_right(out, ip_len_of(&kinds[i]), len));
            assert_int_equal(sp_segmenter_next(&s, out, len), 0);
            off = (struct sp_offload){0};
            assert_int_equal(sp_segmenter_init(&s, big, len, &off), SP_OK);
            assert_int_equal(sp_segmenter_next(&s, out, len), len);
            assert_memory_equal(out, big, len);
        }
    }
}

static sp_err with(const struct kind *k, size_t at, uint8_t value, const struct sp_offload *change) {
    struct sp_offload off;
    struct sp_segmenter s;
    size_t len = make(k, big, 3000, 1000, 0x18, &off);
    if (at < len)
        big[at] = value;
    return sp_segmenter_init(&s, big, len, change != NULL ? change : &off);
}

static void wrong_offload_fields_are_errors(void **state) {
    const struct kind *k = &kinds[0];
    struct sp_offload good, off;
    size_t len = make(k, big, 3000, 1000, 0x18, &good);
    assert_int_equal(with(k, SIZE_MAX, 0, &good), SP_OK);
#define BAD(field, value) (off = good, off.field = (value), assert_int_equal(with(k, SIZE_MAX, 0, &off), SP_ERR_RANGE))
    BAD(gso, SP_GSO_TCP4);
    BAD(gso, SP_GSO_UDP);
    BAD(gso, 200);
    BAD(gso_size, 0);
    BAD(csum_start, 39);
    BAD(csum_start, 41);
    BAD(csum_start, 65535);
    BAD(csum_offset, 6);
    BAD(hdr_len, (uint16_t)(len + 1));
    good.gso = SP_GSO_NONE;
    BAD(csum_start, 39);
    BAD(csum_start, (uint16_t)(len - 17));
    BAD(csum_offset, (uint16_t)(len - 41));
    BAD(csum_offset, 65535);
#undef BAD
}

static void wrong_packets_are_errors(void **state) {
    struct sp_offload off, none = {0};
    struct sp_segmenter s;
    assert_int_equal(with(&kinds[0], 0, 0x50, NULL), SP_ERR_UNSUP);
    assert_int_equal(with(&kinds[0], 5, 1, NULL), SP_ERR_FORM);     /* IPv6's length */
    assert_int_equal(with(&kinds[0], 6, 43, NULL), SP_ERR_RANGE);   /* behind another header */
    assert_int_equal(with(&kinds[0], 52, 0x40, NULL), SP_ERR_FORM); /* TCP's header */
    assert_int_equal(with(&kinds[3], 0, 0x44, NULL), SP_ERR_FORM);  /* IPv4's header */
    assert_int_equal(with(&kinds[3], 2, 1, NULL), SP_ERR_FORM);
    assert_int_equal(with(&kinds[3], 6, 0x20, NULL), SP_ERR_RANGE); /* a fragment */
    assert_int_equal(sp_segmenter_init(&s, big, 0, &none), SP_ERR_UNSUP);
    for (unsigned i = 0; i < KINDS; i++) {
        size_t len = make(&kinds[i], big, 0, 1000, 0x18, &off);
        for (size_t n = 1; n < len; n++) {
            size_t ip_len = ip_len_of(&kinds[i]);
            if (n >= ip_len) /* the IP header agrees, and it still is too short */
                put_ip(&kinds[i], big, n);
            off.hdr_len = 0;
            assert_int_equal(sp_segmenter_init(&s, big, n, &off), SP_ERR_FORM);
            assert_int_equal(sp_segmenter_next(&s, out, sizeof out), 0);
        }
    }
}

/* ---- joining ---- */

/* Splits what stands in `big` into the joiner; returns how many packets it gave before the last. */
static unsigned feed(struct sp_joiner *j, size_t len, const struct sp_offload *off) {
    struct sp_segmenter s;
    struct sp_out o;
    unsigned given = 0;
    assert_int_equal(sp_segmenter_init(&s, big, len, off), SP_OK);
    for (;;) {
        uint8_t *room = sp_joiner_room(j, off->gso_size + 120u);
        assert_non_null(room);
        size_t n = sp_segmenter_next(&s, room, off->gso_size + 120u);
        if (n == 0)
            return given;
        bool some;
        sp_joiner_add(j, n, &o, &some);
        given += some;
    }
}

static void split_then_joined_is_the_same(void **state) {
    static const size_t sizes[] = {2000, 2001, 5000, 30000, 60000};
    for (unsigned i = 0; i < KINDS; i++) {
        for (unsigned n = 0; n < sizeof sizes / sizeof sizes[0]; n++) {
            struct sp_offload off;
            struct sp_joiner j;
            struct sp_out o;
            uint8_t flags = n % 2 ? 0x18 : 0x10;
            size_t len = make(&kinds[i], big, sizes[n], 1000, flags, &off);
            sp_joiner_init(&j, joined, sizeof joined, true);
            assert_int_equal(feed(&j, len, &off), 0);
            assert_true(sp_joiner_end(&j, &o));
            assert_int_equal(o.kind, SP_OUT_PACKET);
            assert_int_equal(o.len, len);
            assert_memory_equal(o.data, big, len);
            assert_memory_equal(&o.offload, &off, sizeof off);
            assert_false(sp_joiner_end(&j, &o));
        }
    }
}

/* Two packets: the one of `big`, and one that `change` differs from what would follow. Whether they became one. */
static bool joins(const struct kind *k, size_t second, void (*change)(uint8_t *p), bool udp) {
    struct sp_offload off;
    struct sp_segmenter s;
    struct sp_joiner j;
    struct sp_out o;
    bool some;
    size_t len = make(k, big, 1000 + second, 1000, 0x10, &off), ip_len = ip_len_of(k);
    sp_joiner_init(&j, joined, sizeof joined, udp);
    assert_int_equal(sp_segmenter_init(&s, big, len, &off), SP_OK);
    sp_joiner_add(&j, sp_segmenter_next(&s, sp_joiner_room(&j, 2000), 2000), &o, &some);
    assert_false(some);
    uint8_t *p = sp_joiner_room(&j, 2000), *t = p + ip_len;
    size_t n = sp_segmenter_next(&s, p, 2000);
    if (change != NULL) {
        change(p);
        sp_put_u16(t + off.csum_offset, 0);
        sp_put_u16(t + off.csum_offset, (uint16_t)(0xffff - slow_add(slow_pseudo(p, ip_len, n), t, n - ip_len)));
        if (!k->v6) {
            sp_put_u16(p + 10, 0);
            sp_put_u16(p + 10, (uint16_t)(0xffff - slow_add(0, p, ip_len)));
        }
    }
    memcpy(out, p, n);
    sp_joiner_add(&j, n, &o, &some);
    if (!some)
        return true;
    assert_int_equal(o.len, hdr_len_of(k) + 1000);
    assert_false(o.offload.needs_csum);
    assert_true(checksums_right(o.data, ip_len, o.len));
    assert_true(sp_joiner_end(&j, &o));
    assert_int_equal(o.len, n);
    assert_memory_equal(o.data, out, n); /* untouched */
    return false;
}

static void v6_class(uint8_t *p) {
    p[1] ^= 1;
}
static void v6_hops(uint8_t *p) {
    p[7]--;
}
static void v6_src(uint8_t *p) {
    p[23] ^= 1;
}
static void v6_dst(uint8_t *p) {
    p[39] ^= 1;
}
static void v6_sport(uint8_t *p) {
    p[41] ^= 1;
}
static void v6_dport(uint8_t *p) {
    p[43] ^= 1;
}
static void v6_seq(uint8_t *p) {
    p[47] ^= 1;
}
static void v6_ack(uint8_t *p) {
    p[51] ^= 1;
}
static void v6_fin(uint8_t *p) {
    p[53] |= 1;
}
static void v6_syn(uint8_t *p) {
    p[53] |= 2;
}
static void v6_rst(uint8_t *p) {
    p[53] |= 4;
}
static void v6_urg(uint8_t *p) {
    p[53] |= 0x20;
}
static void v6_ece(uint8_t *p) {
    p[53] |= 0x40;
}
static void v6_no_ack(uint8_t *p) {
    p[53] = 0;
}
static void v6_window(uint8_t *p) {
    p[55] ^= 1;
}
static void v6_urgent(uint8_t *p) {
    p[59] ^= 1;
}
static void v6_option(uint8_t *p) {
    p[71] ^= 1;
}
static void v6_psh(uint8_t *p) {
    p[53] |= 8;
}
static void v4_tos(uint8_t *p) {
    p[1] ^= 4;
}
static void v4_id(uint8_t *p) {
    p[5] ^= 1;
}
static void v4_df(uint8_t *p) {
    p[6] = 0;
}
static void v4_more(uint8_t *p) {
    p[6] = 0x20;
}
static void v4_ttl(uint8_t *p) {
    p[8]--;
}
static void v4_src(uint8_t *p) {
    p[15] ^= 1;
}
static void v4_dst(uint8_t *p) {
    p[19] ^= 1;
}

static void other_flows_stay_apart(void **state) {
    static void (*const tcp6[])(uint8_t *) = {v6_class, v6_hops,   v6_src,    v6_dst,    v6_sport, v6_dport,
                                              v6_seq,   v6_ack,    v6_fin,    v6_syn,    v6_rst,   v6_urg,
                                              v6_ece,   v6_no_ack, v6_window, v6_urgent, v6_option};
    static void (*const tcp4[])(uint8_t *) = {v4_tos, v4_id, v4_df, v4_more, v4_ttl, v4_src, v4_dst};
    assert_true(joins(&kinds[0], 1000, NULL, true));
    assert_true(joins(&kinds[0], 1000, v6_psh, true));
    assert_true(joins(&kinds[2], 1000, NULL, true));
    for (unsigned i = 0; i < sizeof tcp6 / sizeof tcp6[0]; i++)
        assert_false(joins(&kinds[0], 1000, tcp6[i], true));
    for (unsigned i = 0; i < sizeof tcp4 / sizeof tcp4[0]; i++)
        assert_false(joins(&kinds[2], 1000, tcp4[i], true));
    for (unsigned i = 0; i < 6; i++)
        assert_false(joins(&kinds[4], 1000, tcp6[i], true));
    assert_true(joins(&kinds[4], 1000, NULL, true));
    assert_false(joins(&kinds[4], 1000, NULL, false)); /* a device without USO */
    assert_true(joins(&kinds[0], 1000, NULL, false));
}

/* What is wrong stays alone, so that the kernel sees that it is wrong. */
static void wrong_checksums_are_never_joined(void **state) {
    for (unsigned i = 0; i < KINDS; i++) {
        for (unsigned bad = 0; bad < 2; bad++) {
            struct sp_offload off;
            struct sp_segmenter s;
            struct sp_joiner j;
            struct sp_out o;
            bool some;
            size_t len = make(&kinds[i], big, 2000, 1000, 0x10, &off);
            sp_joiner_init(&j, joined, sizeof joined, true);
            assert_int_equal(sp_segmenter_init(&s, big, len, &off), SP_OK);
            for (unsigned n = 0; n < 2; n++) {
                uint8_t *p = sp_joiner_room(&j, 2000);
                size_t got = sp_segmenter_next(&s, p, 2000);
                if (n == bad)
                    p[got - 1] ^= 0x40;
                sp_joiner_add(&j, got, &o, &some);
            }
            assert_true(some);
            assert_true(sp_joiner_end(&j, &o));
        }
    }
}

/* A short segment or PSH ends a packet; what comes then begins another. */
static void ends_are_kept(void **state) {
    struct sp_offload off;
    struct sp_joiner j;
    struct sp_out o[8];
    unsigned n = 0;
    for (unsigned round = 0; round < 3; round++) {
        size_t len = make(&kinds[0], big, 2500, 1000, round == 1 ? 0x18 : 0x10, &off);
        sp_put_u32(big + 44, 1000 + 2500 * round);
        struct sp_segmenter s;
        assert_int_equal(sp_segmenter_init(&s, big, len, &off), SP_OK);
        if (round == 0)
            sp_joiner_init(&j, joined, sizeof joined, true);
        for (size_t got; (got = sp_segmenter_next(&s, sp_joiner_room(&j, 2000), 2000)) > 0;) {
            bool some;
            sp_joiner_add(&j, got, &o[n], &some);
            n += some;
        }
    }
    n += sp_joiner_end(&j, &o[n]);
    assert_int_equal(n, 3);
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(o[i].len, 72 + 2500);
        assert_int_equal(sp_get_u32(o[i].data + 44), 1000 + 2500 * i);
        assert_int_equal(o[i].data[53], i == 1 ? 0x18 : 0x10);
        for (size_t b = 0; b < 2500; b++)
            assert_int_equal(o[i].data[72 + b], (uint8_t)(b * 31 + (b >> 8)));
    }
}

static void joined_packets_stay_within_65535(void **state) {
    struct sp_offload off;
    struct sp_joiner j;
    struct sp_out o;
    uint32_t seq = 1;
    size_t total = 0;
    sp_joiner_init(&j, joined, sizeof joined, true);
    while (sp_joiner_room(&j, 1472) != NULL) {
        size_t len = make(&kinds[0], big, 1400, 1400, 0x10, &off);
        struct sp_segmenter s;
        bool some;
        sp_put_u32(big + 44, seq);
        seq += 1400;
        assert_int_equal(sp_segmenter_init(&s, big, len, &off), SP_OK);
        sp_joiner_add(&j, sp_segmenter_next(&s, sp_joiner_room(&j, 1472), 1472), &o, &some);
        total += 1400;
        if (!some)
            continue;
        assert_int_equal(o.len, 72 + 46 * 1400);
        total -= 46 * 1400;
    }
    assert_true(sp_joiner_end(&j, &o));
    assert_int_equal(o.len, 72 + total);
    assert_null(sp_joiner_room(&j, 1472));
}

static void udp_joins_64_at_most(void **state) {
    struct sp_offload off;
    struct sp_joiner j;
    struct sp_out o;
    size_t len = make(&kinds[4], big, 10000, 100, 0, &off);
    sp_joiner_init(&j, joined, sizeof joined, true);
    assert_int_equal(feed(&j, len, &off), 1);
    assert_true(sp_joiner_end(&j, &o));
    assert_int_equal(o.len, 48 + 3600);
    assert_int_equal(o.offload.gso_size, 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_is_split),
        cmocka_unit_test(plain_packets_get_their_checksum),
        cmocka_unit_test(wrong_offload_fields_are_errors),
        cmocka_unit_test(wrong_packets_are_errors),
        cmocka_unit_test(split_then_joined_is_the_same),
        cmocka_unit_test(other_flows_stay_apart),
        cmocka_unit_test(wrong_checksums_are_never_joined),
        cmocka_unit_test(ends_are_kept),
        cmocka_unit_test(joined_packets_stay_within_65535),
        cmocka_unit_test(udp_joins_64_at_most),
    };
    return cmocka_run_group_tests_name("agent_segment", tests, NULL, NULL);
}
