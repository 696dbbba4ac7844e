#include "proto/nat/nat.h"

#include "proto/nat/addr.h"

const char *sp_nat_mapping_text(enum sp_nat_mapping m) {
    static const char *const texts[] = {
#define X(name, text) [SP_MAPPING_##name] = text,
        SP_NAT_MAPPING_LIST(X)
#undef X
    };
    return (size_t)m < sizeof texts / sizeof texts[0] ? texts[m] : "unknown";
}

const char *sp_nat_filtering_text(enum sp_nat_filtering f) {
    static const char *const texts[] = {
#define X(name, text) [SP_FILTERING_##name] = text,
        SP_NAT_FILTERING_LIST(X)
#undef X
    };
    return (size_t)f < sizeof texts / sizeof texts[0] ? texts[f] : "unknown";
}

/* ---- which addresses ---- */

struct prefix {
    uint8_t family, bits;
    uint8_t ip[16];
};

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned bits) {
    unsigned whole = bits / 8, rest = bits % 8;
    return memcmp(a, b, whole) == 0 && (rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0);
}

static bool is_in(const struct sp_addr *a, const struct prefix *list, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (a->family == list[i].family && same_bits(a->ip, list[i].ip, list[i].bits))
            return true;
    return false;
}
#define IS_IN(a, list) is_in(a, list, sizeof(list) / sizeof(list)[0])

/* IPv4 inside IPv6 through a NAT64: as good as the IPv4 address in it. RFC 6052 2.1 */
static bool nat64(const struct sp_addr *a, struct sp_addr *ret_inner) {
    static const struct prefix well_known = {6, 96, {0, 0x64, 0xff, 0x9b}};
    if (!is_in(a, &well_known, 1))
        return false;
    *ret_inner = (struct sp_addr){.family = 4, .port = a->port, .scope = a->scope};
    memcpy(ret_inner->ip, a->ip + 12, 4);
    return true;
}

/* RFC 6890: never a destination on another network. Documentation prefixes are left in: laboratories use them. */
bool sp_candidate_dialable(const struct sp_addr *a) {
    static const struct prefix never[] = {
        {4, 8, {0}},           /* this network */
        {4, 8, {127}},         /* loopback */
        {4, 16, {169, 254}},   /* link-local */
        {4, 24, {192, 0, 0}},  /* protocol assignments */
        {4, 4, {224}},         /* multicast */
        {4, 4, {240}},         /* reserved, broadcast */
        {6, 8, {0}},           /* unspecified, loopback, IPv4-mapped, reserved */
        {6, 64, {0x01}},       /* discard-only */
        {6, 10, {0xfe, 0x80}}, /* link-local */
        {6, 10, {0xfe, 0xc0}}, /* site-local, deprecated */
        {6, 8, {0xff}},        /* multicast */
    };
    struct sp_addr inner;
    if (nat64(a, &inner))
        return sp_candidate_dialable(&inner);
    return (a->family == 4 || a->family == 6) && a->port != 0 && a->scope == 0 && !IS_IN(a, never);
}

static const struct prefix rfc1918[] = {{4, 8, {10}}, {4, 12, {172, 16}}, {4, 16, {192, 168}}};

bool sp_candidate_private(const struct sp_addr *a) {
    static const struct prefix others[] = {
        {4, 10, {100, 64}}, /* RFC 6598 */
        {4, 15, {198, 18}}, /* RFC 2544 */
        {6, 7, {0xfc}},     /* RFC 4193 */
    };
    struct sp_addr inner;
    if (nat64(a, &inner))
        return sp_candidate_private(&inner);
    return IS_IN(a, rfc1918) || IS_IN(a, others);
}

bool sp_candidate_on_link(const struct sp_addr *a, const struct sp_addr *own, size_t n) {
    unsigned bits = a->family == 6 ? 48 : IS_IN(a, rfc1918) ? 16 : 24;
    for (size_t i = 0; i < n; i++)
        if (own[i].family == a->family && same_bits(own[i].ip, a->ip, bits))
            return true;
    return false;
}

/* ---- the profile ---- */

void sp_profile_write(struct sp_wr *wr, const struct sp_profile *p) {
    SP_ASSERT(p->count <= SP_CANDIDATES_MAX);
    sp_wr_u8(wr, p->mapping);
    sp_wr_u8(wr, p->filtering);
    sp_wr_u8(wr, p->flags);
    sp_wr_u16(wr, p->mtu);
    sp_wr_u8(wr, p->count);
    for (unsigned i = 0; i < p->count; i++) {
        sp_wr_u8(wr, p->candidates[i].kind);
        sp_nat_addr_write(wr, &p->candidates[i].addr);
    }
}

/* Behaviours that a later version may name count as unknown; flags that are not known are kept, and passed on. */
sp_err sp_profile_read(struct sp_rd *rd, struct sp_profile *ret) {
    struct sp_profile p = {.mapping = sp_rd_u8(rd)};
    p.filtering = sp_rd_u8(rd);
    p.flags = sp_rd_u8(rd);
    p.mtu = sp_rd_u16(rd);
    if (p.mapping > SP_MAPPING_VARIES)
        p.mapping = SP_MAPPING_UNKNOWN;
    if (p.filtering > SP_FILTERING_PORT)
        p.filtering = SP_FILTERING_UNKNOWN;
    p.count = sp_rd_u8(rd);
    if (p.count > SP_CANDIDATES_MAX)
        sp_rd_fail(rd, SP_ERR_FORM);
    for (unsigned i = 0; i < p.count && rd->err == SP_OK; i++) {
        struct sp_candidate *c = &p.candidates[i];
        c->kind = sp_rd_u8(rd);
        sp_nat_addr_read(rd, &c->addr);
        if (rd->err == SP_OK && (c->kind >= SP_CAND_PEER || !sp_candidate_dialable(&c->addr)))
            sp_rd_fail(rd, SP_ERR_FORM);
    }
    if (rd->err == SP_OK)
        *ret = p;
    return rd->err;
}
