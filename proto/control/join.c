#include "proto/control/join.h"

static const char token_mark[] = "signpost1-";
#define TOKEN_MARK    (sizeof token_mark - 1)
#define TOKEN_VERSION 1
#define TOKEN_SUM     4
/* version, three keys, expiry, two names, addresses, checksum */
#define TOKEN_BIN_MAX (1 + 3 * 32 + 8 + 2 * SP_NAME_MAX + 1 + SP_TOKEN_ADDRS * 19 + TOKEN_SUM)

#define JOIN_VERSION    1
#define JOIN_SIGNED_MAX (2 + 16 + SP_ROOT_HASH + SP_NAME_MAX + SP_ED25519_PUB + 8)

void sp_root_hash(const uint8_t root_pub[SP_ED25519_PUB], uint8_t ret[SP_ROOT_HASH]) {
    sp_labelled_hash("signpost-root-v1", root_pub, SP_ED25519_PUB, ret, SP_ROOT_HASH);
}

void sp_overlay_prefix(const uint8_t root_hash[SP_ROOT_HASH], uint8_t ret[8]) {
    ret[0] = 0xfd; /* locally assigned ULA, RFC 4193 3.1 */
    sp_labelled_hash("signpost-prefix-v1", root_hash, SP_ROOT_HASH, ret + 1, 7);
}

void sp_overlay_addr(const uint8_t root_hash[SP_ROOT_HASH], const uint8_t device_pub[SP_ED25519_PUB], uint8_t ret[16]) {
    sp_overlay_prefix(root_hash, ret);
    sp_labelled_hash("signpost-address-v1", device_pub, SP_ED25519_PUB, ret + 8, 8);
}

/* ---- tokens ---- */

static void token_sum(const uint8_t *bin, size_t len, uint8_t ret[TOKEN_SUM]) {
    sp_labelled_hash("signpost-token-v1", bin, len, ret, TOKEN_SUM);
}

static void addr_write(struct sp_wr *wr, const struct sp_addr *a) {
    if (a->family != 4 && a->family != 6)
        sp_wr_fail(wr, SP_ERR_RANGE);
    sp_wr_u8(wr, a->family);
    sp_wr_bytes(wr, a->ip, a->family == 4 ? 4 : 16);
    sp_wr_u16(wr, a->port);
}

static void addr_read(struct sp_rd *rd, struct sp_addr *ret) {
    memset(ret, 0, sizeof *ret);
    ret->family = sp_rd_u8(rd);
    if (ret->family != 4 && ret->family != 6)
        sp_rd_fail(rd, SP_ERR_FORM);
    sp_rd_copy(rd, ret->ip, ret->family == 4 ? 4 : 16);
    ret->port = sp_rd_u16(rd);
}

size_t sp_token_write(const struct sp_token *t, char *ret, size_t cap) {
    uint8_t bin[TOKEN_BIN_MAX];
    struct sp_wr wr = sp_wr_init(bin, sizeof bin);
    sp_wr_u8(&wr, TOKEN_VERSION);
    sp_wr_bytes(&wr, t->seed, sizeof t->seed);
    sp_wr_bytes(&wr, t->root_hash, sizeof t->root_hash);
    sp_wr_bytes(&wr, t->signpost_pub, sizeof t->signpost_pub);
    sp_wr_u64(&wr, t->expiry);
    sp_name_write(&wr, &t->zone);
    sp_name_write(&wr, &t->name);
    if (t->addr_count > SP_TOKEN_ADDRS)
        sp_wr_fail(&wr, SP_ERR_RANGE);
    sp_wr_u8(&wr, (uint8_t)t->addr_count);
    for (unsigned i = 0; i < t->addr_count && wr.err == SP_OK; i++)
        addr_write(&wr, &t->addrs[i]);
    size_t len = 0;
    uint8_t sum[TOKEN_SUM];
    token_sum(bin, sp_wr_len(&wr), sum);
    sp_wr_bytes(&wr, sum, sizeof sum);
    if (wr.err == SP_OK && cap > TOKEN_MARK) {
        memcpy(ret, token_mark, TOKEN_MARK);
        len = sp_base64url_encode(bin, sp_wr_len(&wr), ret + TOKEN_MARK, cap - TOKEN_MARK);
        if (len > 0)
            len += TOKEN_MARK;
    }
    sp_wipe(bin, sizeof bin);
    return len;
}

static sp_err token_parse(struct sp_token *ret, const uint8_t *bin, size_t len) {
    uint8_t sum[TOKEN_SUM];
    if (len <= TOKEN_SUM)
        return SP_ERR_SHORT;
    if (bin[0] != TOKEN_VERSION)
        return SP_ERR_UNSUP;
    token_sum(bin, len - TOKEN_SUM, sum);
    if (!sp_equal_ct(sum, bin + len - TOKEN_SUM, TOKEN_SUM))
        return SP_ERR_FORM; /* mistyped or cut */
    struct sp_rd rd = sp_rd_init(bin + 1, len - 1 - TOKEN_SUM);
    memset(ret, 0, sizeof *ret);
    sp_rd_copy(&rd, ret->seed, sizeof ret->seed);
    sp_rd_copy(&rd, ret->root_hash, sizeof ret->root_hash);
    sp_rd_copy(&rd, ret->signpost_pub, sizeof ret->signpost_pub);
    ret->expiry = sp_rd_u64(&rd);
    SP_TRY(sp_name_read_plain(&rd, &ret->zone));
    SP_TRY(sp_name_read_plain(&rd, &ret->name));
    unsigned n = sp_rd_u8(&rd);
    if (n > SP_TOKEN_ADDRS)
        return SP_ERR_FORM;
    for (unsigned i = 0; i < n; i++)
        addr_read(&rd, &ret->addrs[i]);
    ret->addr_count = n;
    SP_TRY(sp_rd_finish(&rd));
    if (!sp_name_under(&ret->name, &ret->zone) || ret->name.labels == ret->zone.labels)
        return SP_ERR_FORM;
    return SP_OK;
}

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

sp_err sp_token_read(struct sp_token *ret, const char *text, size_t len) {
    /* Tokens are pasted: white space around them is no part of them. */
    while (len > 0 && is_space(text[0]))
        text++, len--;
    while (len > 0 && is_space(text[len - 1]))
        len--;
    if (len <= TOKEN_MARK || len > SP_TOKEN_TEXT_MAX || memcmp(text, token_mark, TOKEN_MARK) != 0)
        return SP_ERR_FORM;
    uint8_t bin[TOKEN_BIN_MAX];
    struct sp_token t;
    size_t bin_len = 0;
    sp_err err = sp_base64url_decode(text + TOKEN_MARK, len - TOKEN_MARK, bin, sizeof bin, &bin_len);
    if (err == SP_ERR_SPACE)
        err = SP_ERR_FORM;
    if (err == SP_OK)
        err = token_parse(&t, bin, bin_len);
    if (err == SP_OK)
        *ret = t;
    sp_wipe(bin, sizeof bin);
    sp_wipe(&t, sizeof t);
    return err;
}

/* ---- the proof ---- */

/* What both keys sign; begins with 0xFFFF, so that it can be no DNS message of ours (DESIGN, "A name points to a key").
 */
static size_t join_signed(uint8_t ret[JOIN_SIGNED_MAX], const uint8_t root_hash[SP_ROOT_HASH],
                          const struct sp_name *name, const uint8_t device_pub[SP_ED25519_PUB], uint64_t expiry) {
    struct sp_name lower = *name;
    sp_name_lower(&lower);
    struct sp_wr wr = sp_wr_init(ret, JOIN_SIGNED_MAX);
    sp_wr_u16(&wr, 0xffff);
    sp_wr_bytes(&wr, "signpost-join-v1", 16);
    sp_wr_bytes(&wr, root_hash, SP_ROOT_HASH);
    sp_name_write(&wr, &lower);
    sp_wr_bytes(&wr, device_pub, SP_ED25519_PUB);
    sp_wr_u64(&wr, expiry);
    SP_ASSERT(wr.err == SP_OK);
    return sp_wr_len(&wr);
}

void sp_join_make(uint8_t ret[SP_JOIN_RDATA], const uint8_t root_hash[SP_ROOT_HASH], const struct sp_name *name,
                  const struct sp_ed25519 *invite, const struct sp_ed25519 *device, uint64_t expiry) {
    uint8_t msg[JOIN_SIGNED_MAX];
    size_t len = join_signed(msg, root_hash, name, device->pub, expiry);
    ret[0] = JOIN_VERSION;
    memcpy(ret + 1, invite->pub, SP_ED25519_PUB);
    sp_put_u32(ret + 33, (uint32_t)(expiry >> 32));
    sp_put_u32(ret + 37, (uint32_t)expiry);
    sp_ed25519_sign(invite, msg, len, ret + 41);
    sp_ed25519_sign(device, msg, len, ret + 41 + SP_ED25519_SIG);
}

sp_err sp_join_peek(const uint8_t *rdata, size_t len, uint8_t ret_invite[SP_ED25519_PUB], uint64_t *ret_expiry) {
    if (len != SP_JOIN_RDATA || rdata[0] != JOIN_VERSION)
        return SP_ERR_FORM;
    struct sp_rd rd = sp_rd_init(rdata + 1, len - 1);
    sp_rd_copy(&rd, ret_invite, SP_ED25519_PUB);
    *ret_expiry = sp_rd_u64(&rd);
    return SP_OK;
}

sp_err sp_join_verify(const uint8_t *rdata, size_t len, const uint8_t root_hash[SP_ROOT_HASH],
                      const struct sp_name *name, const uint8_t device_pub[SP_ED25519_PUB]) {
    uint8_t invite[SP_ED25519_PUB], msg[JOIN_SIGNED_MAX];
    uint64_t expiry;
    SP_TRY(sp_join_peek(rdata, len, invite, &expiry));
    const uint8_t *sigs = rdata + SP_JOIN_RDATA - 2 * SP_ED25519_SIG;
    size_t msg_len = join_signed(msg, root_hash, name, device_pub, expiry);
    if (!sp_ed25519_verify(invite, msg, msg_len, sigs) ||
        !sp_ed25519_verify(device_pub, msg, msg_len, sigs + SP_ED25519_SIG))
        return SP_ERR_BADSIG;
    return SP_OK;
}
