/* SIG(0): messages signed with a KEY's Ed25519 key. RFC 2931, 8080 (algorithm 15), 3445 (KEY). */
#ifndef SP_DNS_SIG0_H
#define SP_DNS_SIG0_H

#include "proto/base/time.h"
#include "proto/crypto/crypto.h"
#include "proto/dns/msg.h"

#define SP_ALG_ED25519 15

/* Rdata of a KEY (flags 0x0200 HOST, protocol 3, algorithm 15); 36 bytes. */
#define SP_KEY_RDATA 36
void sp_key_rdata(const uint8_t pub[SP_ED25519_PUB], uint8_t ret[SP_KEY_RDATA]);
/* The public key of a usable KEY rdata; ERR_UNSUP for other algorithms, protocols, or the no-key flags. */
SP_CHECK sp_err sp_key_parse(const uint8_t *rdata, size_t len, uint8_t ret_pub[SP_ED25519_PUB]);
/* Key tag of KEY or DNSKEY rdata. RFC 4034 appendix B. */
uint16_t sp_key_tag(const uint8_t *rdata, size_t len);

struct sp_sig0 {
    struct sp_name signer; /* lower case */
    uint16_t tag;
    uint8_t alg;
    uint32_t inception, expiration;
    const uint8_t *sig; /* SP_ED25519_SIG bytes, in the message */
    const uint8_t *rdata; /* the SIG rdata up to the signature, in the message */
    size_t rdata_len;
};

/* Parses the SIG(0) of a message with auth == SP_AUTH_SIG0. Costs no signature; do it before the budget. ERR_FORM, ERR_UNSUP. */
SP_CHECK sp_err sp_sig0_peek(const struct sp_msg *msg, struct sp_sig0 *ret);
/* Whether now lies in [inception, expiration], serial arithmetic; ERR_TIME. */
SP_CHECK sp_err sp_sig0_time(const struct sp_sig0 *sig, sp_wall now);
/* ERR_BADSIG. For a reply, request is the whole request (with its SIG), else NULL. scratch: len of message + request + 600 bytes
 * (Ed25519 needs what it verifies in one piece); ERR_SPACE. The signer's name counts as it came: signers do not lower it. */
SP_CHECK sp_err sp_sig0_verify(const struct sp_msg *msg, const struct sp_sig0 *sig, const uint8_t pub[SP_ED25519_PUB],
                               const uint8_t *request, size_t request_len, uint8_t *scratch, size_t scratch_len);
/* Appends a SIG(0) to the finished message in wr and raises ARCOUNT. window_s: seconds before and after now. scratch as above; ERR_SPACE
 * changes nothing. */
SP_CHECK sp_err sp_sig0_sign(struct sp_wr *wr, const struct sp_name *signer, const struct sp_ed25519 *key, uint16_t tag, sp_wall now,
                             uint32_t window_s, const uint8_t *request, size_t request_len, uint8_t *scratch, size_t scratch_len);
size_t sp_sig0_size(const struct sp_name *signer);

#endif
