#include "proto/dns/dnssec.h"

#include <string.h>

#include "proto/dns/rrtype.h"

#define DNSKEY_FLAGS 257 /* zone key and secure entry point: one key does both (RFC 4034 2.1.1) */
#define DS_SHA256    2
#define LABEL_NEVER  0xff

/* A window is used for WINDOW_USE; its signatures hold a day before that, against slow clocks, and ten days after. So a
 * signature that is made or renewed in time has ten days left at least, and one that its holder renews up to five days
 * late still has five: renewals may be spread out, and a resolver that caches for days never holds an expired one. */
#define WINDOW_USE    (4 * 86400u)
#define WINDOW_BEFORE 86400u
#define WINDOW_AFTER  (10 * 86400u)

struct sp_sig_window sp_sig_window_at(sp_wall now) {
    uint64_t start = sp_wall_sec(now) / WINDOW_USE * WINDOW_USE;
    /* 32 bits with serial arithmetic (RFC 4034 3.1.5). Only a clock that was never set is within a day of 1970. */
    return (struct sp_sig_window){
        .inception = start < WINDOW_BEFORE ? 0 : (uint32_t)(start - WINDOW_BEFORE),
        .expiration = (uint32_t)(start + WINDOW_USE + WINDOW_AFTER),
        .renew = (uint32_t)(start + WINDOW_USE),
    };
}

void sp_dnskey_rdata(const struct sp_zone_key *k, uint8_t ret[SP_DNSKEY_RDATA]) {
    sp_put_u16(ret, DNSKEY_FLAGS);
    ret[2] = 3;
    ret[3] = SP_ALG_ED25519;
    memcpy(ret + 4, k->key.pub, SP_ED25519_PUB);
}

void sp_zone_key_init(struct sp_zone_key *k, const struct sp_name *zone, const struct sp_ed25519 *key) {
    uint8_t rdata[SP_DNSKEY_RDATA];
    k->zone = *zone;
    sp_name_lower(&k->zone);
    k->key = *key;
    sp_dnskey_rdata(k, rdata);
    k->tag = sp_key_tag(rdata, sizeof rdata);
}

/* RFC 4034 5.1.4, RFC 4509. */
void sp_ds_rdata(const struct sp_zone_key *k, uint8_t ret[SP_DS_RDATA]) {
    uint8_t rdata[SP_DNSKEY_RDATA];
    sp_dnskey_rdata(k, rdata);
    struct sp_piece pieces[] = {{k->zone.wire, k->zone.len}, {rdata, sizeof rdata}};
    sp_put_u16(ret, k->tag);
    ret[2] = SP_ALG_ED25519;
    ret[3] = DS_SHA256;
    sp_hash_pieces(SP_SHA256, pieces, 2, ret + 4);
}

static void write_rrsig_fixed(struct sp_wr *wr, const struct sp_zone_key *k, const struct sp_name *owner,
                              const struct sp_rrs *rrs, struct sp_sig_window window) {
    sp_wr_u16(wr, rrs->type);
    sp_wr_u8(wr, SP_ALG_ED25519);
    /* The labels of the owner as it stands in the zone, a leading "*" not counted (RFC 4034 3.1.3). */
    sp_wr_u8(wr, (uint8_t)(owner->labels - (sp_name_is_wildcard(owner) ? 1 : 0)));
    sp_wr_u32(wr, rrs->ttl);
    sp_wr_u32(wr, window.expiration);
    sp_wr_u32(wr, window.inception);
    sp_wr_u16(wr, k->tag);
    sp_name_write(wr, &k->zone);
}

/* The records in canonical form, one after the other (RFC 4034 3.1.8.1, 6.2). */
static sp_err write_canonical(struct sp_wr *wr, const struct sp_name *owner, const struct sp_rrs *rrs) {
    struct sp_rd rd = sp_rd_init(rrs->data, rrs->len);
    struct sp_name lower = *owner;
    const uint8_t *rdata;
    size_t len;
    unsigned n = 0;
    sp_name_lower(&lower);
    for (; sp_rrs_next(&rd, &rdata, &len); n++) {
        sp_name_write(wr, &lower);
        sp_wr_u16(wr, rrs->type);
        sp_wr_u16(wr, rrs->rclass);
        sp_wr_u32(wr, rrs->ttl);
        sp_wr_u16(wr, (uint16_t)len);
        uint8_t *to = sp_wr_reserve(wr, len);
        if (to == NULL)
            return wr->err;
        memcpy(to, rdata, len);
        sp_rdata_canonical(rrs->type, to, len);
    }
    return rd.err != SP_OK || n != rrs->count || n == 0 ? SP_ERR_FORM : SP_OK;
}

sp_err sp_dnssec_sign(const struct sp_zone_key *k, const struct sp_name *owner, const struct sp_rrs *rrs,
                      struct sp_sig_window window, uint8_t *scratch, size_t scratch_len,
                      uint8_t ret[SP_RRSIG_RDATA_MAX], size_t *ret_len) {
    struct sp_wr wr = sp_wr_init(scratch, scratch_len);
    write_rrsig_fixed(&wr, k, owner, rrs, window);
    size_t head = sp_wr_len(&wr);
    SP_TRY(write_canonical(&wr, owner, rrs));
    if (wr.err != SP_OK)
        return wr.err;
    memcpy(ret, scratch, head);
    sp_ed25519_sign(&k->key, scratch, sp_wr_len(&wr), ret + head);
    *ret_len = head + SP_ED25519_SIG;
    return SP_OK;
}

void sp_type_bitmap(struct sp_wr *wr, const uint16_t *types, size_t n) {
    for (size_t i = 0; i < n;) {
        uint8_t bits[32] = {0}, window = (uint8_t)(types[i] >> 8), len = 0;
        for (; i < n && types[i] >> 8 == window; i++) {
            SP_ASSERT(i == 0 || types[i] > types[i - 1]);
            uint8_t low = (uint8_t)types[i];
            bits[low / 8] |= (uint8_t)(0x80 >> low % 8);
            len = (uint8_t)(low / 8 + 1);
        }
        sp_wr_u8(wr, window);
        sp_wr_u8(wr, len);
        sp_wr_bytes(wr, bits, len);
    }
}

/* The name right after one that is too long to get a label in front (RFC 4471 3.1.2): a zero byte at the end of its
 * first label if there is room, else that label's last byte is raised, 0xff bytes at its end dropped. ERR_RANGE when
 * nothing of the label is left: what follows then lies above it. */
static sp_err raise_first_label(struct sp_name *name) {
    unsigned n = name->wire[0];
    if (name->len < SP_NAME_MAX && n < SP_LABEL_MAX) {
        memmove(name->wire + n + 2, name->wire + n + 1, name->len - n - 1u);
        name->wire[n + 1] = 0;
        name->wire[0]++;
        name->len++;
        return SP_OK;
    }
    unsigned keep = n;
    while (keep > 0 && name->wire[keep] == LABEL_NEVER)
        keep--;
    if (keep == 0)
        return SP_ERR_RANGE;
    name->wire[keep]++;
    if (name->wire[keep] >= 'A' && name->wire[keep] <= 'Z') /* these are ordered as their lower case */
        name->wire[keep] = 'Z' + 1;
    memmove(name->wire + keep + 1, name->wire + n + 1, name->len - n - 1u);
    name->wire[0] = (uint8_t)keep;
    name->len = (uint8_t)(name->len - (n - keep));
    return SP_OK;
}

sp_err sp_nsec_compact(const struct sp_name *name, const uint16_t *types, size_t n, struct sp_wr *ret) {
    struct sp_name next = *name;
    /* The next name is signed as it stands (RFC 6840 5.1), so the query's case must not reach it. */
    sp_name_lower(&next);
    if (sp_name_prepend(&next, "", 1, &next) != SP_OK)
        SP_TRY(raise_first_label(&next));
    sp_name_write(ret, &next);
    sp_type_bitmap(ret, types, n);
    return ret->err;
}
