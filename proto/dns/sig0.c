#include "proto/dns/sig0.h"

#include <string.h>

#include "proto/dns/rrtype.h"

#define SIG_FIXED   18 /* rdata before the signer's name */
#define SIG_RR_HEAD 11 /* root owner, type, class, TTL, rdata length */
#define ARCOUNT_AT  10
#define KEY_FLAGS   0x0200
#define KEY_NO_AUTH 0x8000 /* not for authentication, or (with the next bit) no key at all: RFC 2535 3.1.2 */

void sp_key_rdata(const uint8_t pub[SP_ED25519_PUB], uint8_t ret[SP_KEY_RDATA]) {
    sp_put_u16(ret, KEY_FLAGS);
    ret[2] = 3;
    ret[3] = SP_ALG_ED25519;
    memcpy(ret + 4, pub, SP_ED25519_PUB);
}

sp_err sp_key_parse(const uint8_t *rdata, size_t len, uint8_t ret_pub[SP_ED25519_PUB]) {
    if (len < 4)
        return SP_ERR_FORM;
    if ((sp_get_u16(rdata) & KEY_NO_AUTH) != 0 || rdata[2] != 3 || rdata[3] != SP_ALG_ED25519)
        return SP_ERR_UNSUP;
    if (len != SP_KEY_RDATA)
        return SP_ERR_FORM;
    memcpy(ret_pub, rdata + 4, SP_ED25519_PUB);
    return SP_OK;
}

uint16_t sp_key_tag(const uint8_t *rdata, size_t len) {
    uint32_t sum = 0;
    for (size_t i = 0; i < len; i++)
        sum += i & 1 ? rdata[i] : (uint32_t)rdata[i] << 8;
    return (uint16_t)(sum + (sum >> 16));
}

sp_err sp_sig0_peek(const struct sp_msg *msg, struct sp_sig0 *ret) {
    SP_ASSERT(msg->auth == SP_AUTH_SIG0);
    struct sp_rd rd = sp_rd_init(msg->wire, msg->len);
    struct sp_rr rr;
    (void)sp_rd_bytes(&rd, msg->auth_offset);
    SP_TRY(sp_msg_rr(&rd, &rr));
    struct sp_rd r = rr.rdata;
    ret->rdata = r.pos;
    (void)sp_rd_u16(&r); /* type covered: 0, or this were no SIG(0) */
    ret->alg = sp_rd_u8(&r);
    (void)sp_rd_u8(&r); /* labels and original TTL mean nothing here (RFC 2931 3) */
    (void)sp_rd_u32(&r);
    ret->expiration = sp_rd_u32(&r);
    ret->inception = sp_rd_u32(&r);
    ret->tag = sp_rd_u16(&r);
    SP_TRY(sp_name_read(&r, &ret->signer));
    sp_name_lower(&ret->signer);
    ret->rdata_len = (size_t)(r.pos - ret->rdata);
    if (ret->alg != SP_ALG_ED25519)
        return SP_ERR_UNSUP;
    ret->sig = sp_rd_bytes(&r, SP_ED25519_SIG);
    return sp_rd_finish(&r);
}

sp_err sp_sig0_time(const struct sp_sig0 *sig, sp_wall now) {
    uint32_t s = (uint32_t)sp_wall_sec(now);
    /* Serial arithmetic (RFC 1982): differences as signed numbers. An end before the start holds no time. */
    bool open = (int32_t)(s - sig->inception) >= 0, closed = (int32_t)(s - sig->expiration) > 0;
    bool backwards = (int32_t)(sig->expiration - sig->inception) < 0;
    return open && !closed && !backwards ? SP_OK : SP_ERR_TIME;
}

/* Hashed are the SIG's rdata without the signature, the request when this is a reply, and the message without the SIG
 * and not counting it (RFC 2931 3.1). */
sp_err sp_sig0_verify(const struct sp_msg *msg, const struct sp_sig0 *sig, const uint8_t pub[SP_ED25519_PUB],
                      const uint8_t *request, size_t request_len, uint8_t *scratch, size_t scratch_len) {
    struct sp_wr wr = sp_wr_init(scratch, scratch_len);
    struct sp_rd rd = sp_rd_init(msg->wire, msg->len);
    struct sp_name signer;
    /* The signer's name uncompressed, its case as it came: signers do not lower it before they hash. */
    (void)sp_rd_bytes(&rd, (size_t)(sig->rdata - msg->wire) + SIG_FIXED);
    SP_TRY(sp_name_read(&rd, &signer));
    sp_wr_bytes(&wr, sig->rdata, SIG_FIXED);
    sp_name_write(&wr, &signer);
    size_t at = sp_wr_len(&wr) + request_len;
    sp_wr_bytes(&wr, request, request_len);
    sp_wr_bytes(&wr, msg->wire, msg->auth_offset);
    if (wr.err != SP_OK)
        return wr.err;
    uint8_t *arcount = scratch + at + ARCOUNT_AT;
    sp_put_u16(arcount, (uint16_t)(sp_get_u16(arcount) - 1));
    return sp_ed25519_verify(pub, scratch, sp_wr_len(&wr), sig->sig) ? SP_OK : SP_ERR_BADSIG;
}

size_t sp_sig0_size(const struct sp_name *signer) {
    return SIG_RR_HEAD + SIG_FIXED + signer->len + SP_ED25519_SIG;
}

sp_err sp_sig0_sign(struct sp_wr *wr, const struct sp_name *signer, const struct sp_ed25519 *key, uint16_t tag,
                    sp_wall now, uint32_t window_s, const uint8_t *request, size_t request_len, uint8_t *scratch,
                    size_t scratch_len) {
    if (wr->err != SP_OK)
        return wr->err;
    size_t len = sp_wr_len(wr);
    SP_ASSERT(len >= SP_MSG_HEADER);
    uint16_t arcount = sp_get_u16(wr->base + ARCOUNT_AT);
    if (sp_wr_left(wr) < sp_sig0_size(signer) || arcount == UINT16_MAX)
        return SP_ERR_SPACE;

    uint32_t s = (uint32_t)sp_wall_sec(now);
    struct sp_wr data = sp_wr_init(scratch, scratch_len);
    sp_wr_u16(&data, 0); /* type covered */
    sp_wr_u8(&data, SP_ALG_ED25519);
    sp_wr_u8(&data, 0);  /* labels */
    sp_wr_u32(&data, 0); /* original TTL */
    sp_wr_u32(&data, s + window_s);
    sp_wr_u32(&data, s - window_s);
    sp_wr_u16(&data, tag);
    sp_name_write(&data, signer);
    size_t rdata_len = sp_wr_len(&data);
    sp_wr_bytes(&data, request, request_len);
    sp_wr_bytes(&data, wr->base, len);
    if (data.err != SP_OK)
        return data.err;

    uint8_t sig[SP_ED25519_SIG];
    sp_ed25519_sign(key, scratch, sp_wr_len(&data), sig);
    sp_wr_u8(wr, 0); /* owner: the root */
    sp_wr_u16(wr, SP_TYPE_SIG);
    sp_wr_u16(wr, SP_CLASS_ANY);
    sp_wr_u32(wr, 0);
    sp_wr_u16(wr, (uint16_t)(rdata_len + sizeof sig));
    sp_wr_bytes(wr, scratch, rdata_len);
    sp_wr_bytes(wr, sig, sizeof sig);
    sp_put_u16(wr->base + ARCOUNT_AT, (uint16_t)(arcount + 1));
    return wr->err;
}
