#include "signpostd/core/record.h"

/* ---- writing ---- */

static void name_write(struct sp_wr *wr, const struct sp_name *name) {
    struct sp_name lower = *name;
    sp_name_lower(&lower);
    sp_name_write(wr, &lower);
}

void sp_record_zone_write(struct sp_wr *wr, const struct sp_zone_secrets *z) {
    sp_wr_u8(wr, SP_RECORD_VERSION);
    name_write(wr, &z->apex);
    name_write(wr, &z->signpost);
    sp_wr_bytes(wr, z->dnssec_seed, SP_ED25519_SEED);
    sp_wr_bytes(wr, z->root_seed, SP_ED25519_SEED);
    sp_wr_bytes(wr, z->signpost_seed, SP_ED25519_SEED);
}

void sp_record_change_write(struct sp_wr *wr, const struct sp_rec_change *c) {
    sp_wr_u8(wr, SP_RECORD_VERSION);
    sp_wr_u8(wr, c->flags);
    if (c->flags & SP_CHANGE_REPLAY) {
        sp_wr_u8(wr, (uint8_t)c->replay.kind);
        name_write(wr, &c->replay.name);
        sp_wr_bytes(wr, c->replay.pub, SP_ED25519_PUB);
        sp_wr_u64(wr, c->replay.inception);
        sp_wr_u64(wr, c->replay.expiration);
        sp_wr_u64(wr, c->replay.hash);
        sp_wr_u16(wr, c->replay.rcode);
    }
    if (c->flags & SP_CHANGE_INVITE)
        sp_wr_bytes(wr, c->invite, SP_ED25519_PUB);
}

void sp_record_rrset_write(struct sp_wr *wr, const struct sp_name *owner, const struct sp_rrs *rrs,
                           sp_record_lease *lease, void *ctx) {
    name_write(wr, owner);
    sp_wr_u16(wr, rrs->type);
    sp_wr_u32(wr, rrs->ttl);
    sp_wr_u16(wr, rrs->count);
    sp_wr_u32(wr, (uint32_t)rrs->len);
    sp_wr_bytes(wr, rrs->data, rrs->len);
    uint8_t *has = sp_wr_reserve(wr, 1);
    if (has == NULL)
        return;
    *has = 0;
    if (lease == NULL || rrs->count == 0)
        return;
    uint8_t *first = wr->pos;
    struct sp_rd rd = sp_rd_init(rrs->data, rrs->len);
    const uint8_t *rdata;
    for (size_t len; sp_rrs_next(&rd, &rdata, &len);) {
        uint32_t s = lease(ctx, rdata, len);
        sp_wr_u32(wr, s);
        *has |= s != 0;
    }
    if (*has == 0 && wr->err == SP_OK)
        wr->pos = first;
}

void sp_record_key_write(struct sp_wr *wr, const struct sp_rec_key *k) {
    sp_wr_u8(wr, SP_RECORD_VERSION);
    sp_wr_u8(wr, (uint8_t)k->kind);
    name_write(wr, &k->tsig.name);
    if (k->kind == SP_AUTH_TSIG) {
        sp_wr_u8(wr, (uint8_t)k->tsig.hash);
        sp_wr_u8(wr, (uint8_t)k->tsig.secret_len);
        sp_wr_bytes(wr, k->tsig.secret, k->tsig.secret_len);
    } else {
        sp_wr_bytes(wr, k->pub, SP_ED25519_PUB);
    }
    sp_wr_u16(wr, (uint16_t)k->policy_len);
    sp_wr_bytes(wr, k->policy, k->policy_len);
}

void sp_record_name_write(struct sp_wr *wr, const struct sp_name *name) {
    sp_wr_u8(wr, SP_RECORD_VERSION);
    name_write(wr, name);
}

void sp_record_invite_write(struct sp_wr *wr, const struct sp_invite_info *i) {
    sp_wr_u8(wr, SP_RECORD_VERSION);
    sp_wr_bytes(wr, i->pub, SP_ED25519_PUB);
    name_write(wr, &i->name);
    sp_wr_u64(wr, i->expiry);
}

void sp_record_pub_write(struct sp_wr *wr, const uint8_t pub[SP_ED25519_PUB]) {
    sp_wr_u8(wr, SP_RECORD_VERSION);
    sp_wr_bytes(wr, pub, SP_ED25519_PUB);
}

void sp_record_empty_write(struct sp_wr *wr) {
    sp_wr_u8(wr, SP_RECORD_VERSION);
}

/* ---- reading ---- */

static sp_err corrupt_if(sp_err err) {
    return err == SP_OK ? SP_OK : SP_ERR_CORRUPT;
}

static void name_read(struct sp_rd *rd, struct sp_name *ret) {
    if (sp_name_read_plain(rd, ret) != SP_OK) {
        sp_rd_fail(rd, SP_ERR_FORM);
        sp_name_root(ret);
    }
    sp_name_lower(ret);
}

sp_err sp_record_open(struct sp_rd *ret, const uint8_t *body, size_t len) {
    *ret = sp_rd_init(body, len);
    uint8_t version = sp_rd_u8(ret);
    if (ret->err != SP_OK || version == 0)
        return SP_ERR_CORRUPT;
    return version == SP_RECORD_VERSION ? SP_OK : SP_ERR_UNSUP;
}

sp_err sp_record_zone_read(struct sp_rd *rd, struct sp_zone_secrets *ret) {
    name_read(rd, &ret->apex);
    name_read(rd, &ret->signpost);
    sp_rd_copy(rd, ret->dnssec_seed, SP_ED25519_SEED);
    sp_rd_copy(rd, ret->root_seed, SP_ED25519_SEED);
    sp_rd_copy(rd, ret->signpost_seed, SP_ED25519_SEED);
    return corrupt_if(sp_rd_finish(rd));
}

sp_err sp_record_change_read(struct sp_rd *rd, struct sp_rec_change *ret) {
    memset(ret, 0, sizeof *ret);
    ret->flags = sp_rd_u8(rd);
    if (ret->flags & SP_CHANGE_REPLAY) {
        ret->replay.kind = sp_rd_u8(rd);
        name_read(rd, &ret->replay.name);
        sp_rd_copy(rd, ret->replay.pub, SP_ED25519_PUB);
        ret->replay.inception = sp_rd_u64(rd);
        ret->replay.expiration = sp_rd_u64(rd);
        ret->replay.hash = sp_rd_u64(rd);
        ret->replay.rcode = sp_rd_u16(rd);
        if (ret->replay.kind != SP_AUTH_TSIG && ret->replay.kind != SP_AUTH_SIG0)
            sp_rd_fail(rd, SP_ERR_FORM);
    }
    if (ret->flags & SP_CHANGE_INVITE)
        ret->invite = sp_rd_bytes(rd, SP_ED25519_PUB);
    if ((ret->flags & ~31) != 0)
        return SP_ERR_CORRUPT;
    return corrupt_if(rd->err);
}

/* As many rdata as counted, each well-formed, in strictly ascending order. */
static bool rrs_whole(const struct sp_rrs *rrs) {
    struct sp_rd rd = sp_rd_init(rrs->data, rrs->len);
    const uint8_t *rdata, *before = NULL;
    size_t before_len = 0, n = 0;
    for (size_t len; sp_rrs_next(&rd, &rdata, &len); before = rdata, before_len = len, n++)
        if (sp_rdata_check(rrs->type, rdata, len) != SP_OK ||
            (before != NULL && sp_rdata_cmp(before, before_len, rdata, len) >= 0))
            return false;
    return rd.err == SP_OK && sp_rd_left(&rd) == 0 && n == rrs->count;
}

sp_err sp_record_rrset_read(struct sp_rd *rd, struct sp_rec_rrset *ret) {
    if (rd->err != SP_OK)
        return SP_ERR_CORRUPT;
    if (sp_rd_left(rd) == 0)
        return SP_ERR_NOENT;
    memset(&ret->rrs, 0, sizeof ret->rrs);
    name_read(rd, &ret->owner);
    ret->rrs.rclass = SP_CLASS_IN;
    ret->rrs.type = sp_rd_u16(rd);
    ret->rrs.ttl = sp_rd_u32(rd);
    ret->rrs.count = sp_rd_u16(rd);
    ret->rrs.len = sp_rd_u32(rd);
    ret->rrs.data = sp_rd_bytes(rd, ret->rrs.len);
    uint8_t has = sp_rd_u8(rd);
    ret->leases = has == 1 ? sp_rd_bytes(rd, 4u * ret->rrs.count) : NULL;
    if (rd->err != SP_OK || has > 1 || sp_type_is_meta(ret->rrs.type) || !rrs_whole(&ret->rrs))
        return SP_ERR_CORRUPT;
    return SP_OK;
}

sp_err sp_record_key_read(struct sp_rd *rd, struct sp_rec_key *ret) {
    memset(ret, 0, sizeof *ret);
    ret->kind = sp_rd_u8(rd);
    name_read(rd, &ret->tsig.name);
    if (ret->kind == SP_AUTH_TSIG) {
        ret->tsig.hash = sp_rd_u8(rd);
        ret->tsig.secret_len = sp_rd_u8(rd);
        if (ret->tsig.secret_len > sizeof ret->tsig.secret || ret->tsig.hash > SP_SHA512 || ret->tsig.hash == SP_SHA1)
            return SP_ERR_CORRUPT;
        sp_rd_copy(rd, ret->tsig.secret, ret->tsig.secret_len);
    } else if (ret->kind == SP_AUTH_SIG0) {
        sp_rd_copy(rd, ret->pub, SP_ED25519_PUB);
    } else {
        return SP_ERR_CORRUPT;
    }
    ret->policy_len = sp_rd_u16(rd);
    ret->policy = (const char *)sp_rd_bytes(rd, ret->policy_len);
    if (ret->policy_len > SP_POLICY_TEXT_MAX)
        return SP_ERR_CORRUPT;
    return corrupt_if(sp_rd_finish(rd));
}

sp_err sp_record_name_read(struct sp_rd *rd, struct sp_name *ret) {
    name_read(rd, ret);
    return corrupt_if(sp_rd_finish(rd));
}

sp_err sp_record_invite_read(struct sp_rd *rd, struct sp_invite_info *ret) {
    sp_rd_copy(rd, ret->pub, SP_ED25519_PUB);
    name_read(rd, &ret->name);
    ret->expiry = sp_rd_u64(rd);
    return corrupt_if(sp_rd_finish(rd));
}

sp_err sp_record_pub_read(struct sp_rd *rd, uint8_t ret[SP_ED25519_PUB]) {
    sp_rd_copy(rd, ret, SP_ED25519_PUB);
    return corrupt_if(sp_rd_finish(rd));
}
