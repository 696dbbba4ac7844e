/* Writing replies. RFC 1035 4.1, 2181 9 (whole RRsets). */
#include "signpostd/core/reply.h"

#define POINTER_MAX 0x3fff

void sp_reply_begin(struct sp_reply *r, uint8_t *out, size_t limit, uint16_t flags) {
    r->out = out;
    r->pos = SP_MSG_HEADER;
    r->limit = limit;
    memset(r->count, 0, sizeof r->count);
    r->flags = flags;
    r->rcode = SP_RCODE_NOERROR;
    r->ede = -1;
    r->ede_text = NULL;
    r->question = r->last = (struct sp_place){0};
}

bool sp_reply_question(struct sp_reply *r, const uint8_t *name, size_t len, uint16_t type, uint16_t rclass) {
    if (r->pos + len + 4 > r->limit)
        return false;
    uint8_t *p = r->out + r->pos;
    memcpy(p, name, len);
    sp_put_u16(p + len, type);
    sp_put_u16(p + len + 2, rclass);
    r->pos += len + 4;
    r->count[0] = 1;
    return true;
}

void sp_reply_header(struct sp_reply *r, uint16_t id) {
    sp_put_u16(r->out, id);
    sp_put_u16(r->out + 2, (uint16_t)(r->flags | (r->rcode & 15)));
    for (unsigned i = 0; i < 4; i++)
        sp_put_u16(r->out + 4 + 2 * i, r->count[i]);
}

/* ---- names ---- */

/* Where the name at `at` continues after `skip` labels; pointers that we wrote ourselves are followed. */
static uint16_t place_skip(const struct sp_reply *r, uint16_t at, unsigned skip) {
    for (;;) {
        while (r->out[at] >= 0xc0)
            at = sp_get_u16(r->out + at) & POINTER_MAX;
        if (skip-- == 0)
            return at;
        at = (uint16_t)(at + r->out[at] + 1);
    }
}

struct sp_place sp_reply_above(const struct sp_reply *r, struct sp_place name, unsigned skip) {
    if (skip == 0)
        return name;
    if (name.at != 0)
        name.at = place_skip(r, name.at, skip);
    while (skip-- > 0) {
        uint8_t step = (uint8_t)(name.wire[0] + 1);
        name.wire += step;
        name.len = (uint8_t)(name.len - step);
    }
    return name;
}

static unsigned label_offsets(const uint8_t *wire, uint8_t off[128]) {
    unsigned n = 0, at = 0;
    for (; wire[at] != 0; at += wire[at] + 1u)
        off[n++] = (uint8_t)at;
    off[n] = (uint8_t)at;
    return n;
}

/* How many labels a and b share from the root down. */
static unsigned common_labels(const uint8_t *a, const uint8_t *a_off, unsigned a_n, const uint8_t *b,
                              const uint8_t *b_off, unsigned b_n) {
    unsigned k = 0;
    while (k < a_n && k < b_n) {
        const uint8_t *la = a + a_off[a_n - k - 1], *lb = b + b_off[b_n - k - 1];
        if (la[0] != lb[0] || memcmp(la + 1, lb + 1, la[0]) != 0)
            break;
        k++;
    }
    return k;
}

/* Writes a name that stands in rdata, with the longest suffix it shares with the question or with the name written
 * before as a pointer. Room for all of it was checked. */
static void put_name(struct sp_reply *r, const uint8_t *wire, size_t len) {
    uint8_t off[128], ref_off[128];
    unsigned n = label_offsets(wire, off), best = 0;
    uint16_t to = 0;
    const struct sp_place *refs[2] = {&r->question, &r->last};
    for (unsigned i = 0; i < 2; i++) {
        if (refs[i]->at == 0)
            continue;
        unsigned ref_n = label_offsets(refs[i]->wire, ref_off);
        unsigned k = common_labels(wire, off, n, refs[i]->wire, ref_off, ref_n);
        uint16_t at = k > best ? place_skip(r, refs[i]->at, ref_n - k) : 0;
        if (at != 0 && at <= POINTER_MAX) {
            best = k;
            to = at;
        }
    }
    size_t own = best == 0 ? len : off[n - best];
    r->last = (struct sp_place){wire, own == 0 ? to : (uint16_t)r->pos, (uint8_t)len};
    memcpy(r->out + r->pos, wire, own);
    r->pos += own;
    if (best != 0) {
        sp_put_u16(r->out + r->pos, (uint16_t)(0xc000 | to));
        r->pos += 2;
    }
}

static inline size_t owner_size(struct sp_place owner) {
    return owner.at != 0 && owner.at <= POINTER_MAX ? 2 : owner.len;
}

static inline uint8_t *put_owner(uint8_t *p, struct sp_place owner) {
    if (owner.at != 0 && owner.at <= POINTER_MAX) {
        sp_put_u16(p, (uint16_t)(0xc000 | owner.at));
        return p + 2;
    }
    memcpy(p, owner.wire, owner.len);
    return p + owner.len;
}

/* ---- records ---- */

bool sp_reply_rr(struct sp_reply *r, enum sp_section section, struct sp_place owner, uint16_t type, uint32_t ttl,
                 const uint8_t *rdata, size_t len) {
    if (r->pos + owner_size(owner) + 10 + len > r->limit)
        return false;
    uint8_t *p = put_owner(r->out + r->pos, owner);
    sp_put_u16(p, type);
    sp_put_u16(p + 2, SP_CLASS_IN);
    sp_put_u32(p + 4, ttl);
    sp_put_u16(p + 8, (uint16_t)len);
    memcpy(p + 10, rdata, len);
    r->pos = (size_t)(p + 10 + len - r->out);
    r->count[section]++;
    return true;
}

/* Bytes before the first name of rdata, and how many names follow each other. RFC 3597 4: only these are compressed. */
static unsigned rdata_names(uint16_t type, size_t *before) {
    *before = type == SP_TYPE_MX ? 2 : 0;
    switch (type) {
    case SP_TYPE_NS:
    case SP_TYPE_CNAME:
    case SP_TYPE_PTR:
    case SP_TYPE_MX:
        return 1;
    case SP_TYPE_SOA:
        return 2;
    default:
        return 0;
    }
}

static size_t name_length(const uint8_t *wire) {
    size_t at = 0;
    while (wire[at] != 0)
        at += wire[at] + 1u;
    return at + 1;
}

static void put_rdata(struct sp_reply *r, unsigned names, size_t before, const uint8_t *rdata, size_t len) {
    size_t len_at = r->pos, at = before;
    memcpy(r->out + r->pos + 2, rdata, before);
    r->pos += 2 + before;
    for (unsigned i = 0; i < names; i++) {
        size_t name = name_length(rdata + at);
        put_name(r, rdata + at, name);
        at += name;
    }
    memcpy(r->out + r->pos, rdata + at, len - at);
    r->pos += len - at;
    sp_put_u16(r->out + len_at, (uint16_t)(r->pos - len_at - 2));
}

static bool rrset_named(struct sp_reply *r, struct sp_place owner, const struct sp_rrset *set, uint32_t ttl,
                        unsigned names, size_t before, struct sp_place *places, size_t cap) {
    const uint8_t *data = set->data, *end = data + set->len;
    size_t start = r->pos, n = 0;
    struct sp_place last = r->last;
    for (; data < end; n++) {
        size_t len = sp_get_u16(data);
        if (r->pos + owner_size(owner) + 10 + len > r->limit) {
            r->pos = start;
            r->last = last;
            return false;
        }
        uint8_t *p = put_owner(r->out + r->pos, owner);
        sp_put_u16(p, set->type);
        sp_put_u16(p + 2, SP_CLASS_IN);
        sp_put_u32(p + 4, ttl);
        r->pos = (size_t)(p + 8 - r->out);
        put_rdata(r, names, before, data + 2, len);
        if (n < cap && places != NULL)
            places[n] = r->last;
        data += 2 + len;
    }
    return true;
}

bool sp_reply_rrset(struct sp_reply *r, enum sp_section section, struct sp_place owner, const struct sp_rrset *set,
                    uint32_t ttl, struct sp_place *places, size_t cap) {
    size_t before;
    unsigned names = rdata_names(set->type, &before);
    if (names != 0) {
        if (!rrset_named(r, owner, set, ttl, names, before, places, cap))
            return false;
    } else {
        if (r->pos + set->count * (owner_size(owner) + 8) + set->len > r->limit)
            return false;
        uint8_t *p = r->out + r->pos;
        const uint8_t *data = set->data, *end = data + set->len;
        while (data < end) {
            size_t len = 2u + sp_get_u16(data);
            p = put_owner(p, owner);
            sp_put_u16(p, set->type);
            sp_put_u16(p + 2, SP_CLASS_IN);
            sp_put_u32(p + 4, ttl);
            memcpy(p + 8, data, len);
            p += 8 + len;
            data += len;
        }
        r->pos = (size_t)(p - r->out);
    }
    r->count[section] = (uint16_t)(r->count[section] + set->count);
    return true;
}
