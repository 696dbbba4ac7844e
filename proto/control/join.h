/* Joining a zone: invite tokens, the joiner's proof, overlay addresses. DESIGN: "A name points to a key", "Trust". */
#ifndef SP_CONTROL_JOIN_H
#define SP_CONTROL_JOIN_H

#include "proto/base/host.h"
#include "proto/crypto/crypto.h"
#include "proto/dns/name.h"

#define SP_ROOT_HASH 32
/* What agents pin: labelled hash "signpost-root-v1" of the zone's root public key. */
void sp_root_hash(const uint8_t root_pub[SP_ED25519_PUB], uint8_t ret[SP_ROOT_HASH]);
/* fd, then 56 bits of the labelled hash "signpost-prefix-v1" of the root key: the zone's /64. */
void sp_overlay_prefix(const uint8_t root_hash[SP_ROOT_HASH], uint8_t ret[8]);
/* Prefix and 64 bits of the labelled hash "signpost-address-v1" of the device's first key. */
void sp_overlay_addr(const uint8_t root_hash[SP_ROOT_HASH], const uint8_t device_pub[SP_ED25519_PUB], uint8_t ret[16]);

#define SP_TOKEN_ADDRS 4
struct sp_token {
    uint8_t seed[SP_ED25519_SEED]; /* of the one-use invite key */
    struct sp_name zone, name;     /* name: the device's, absolute */
    uint8_t root_hash[SP_ROOT_HASH];
    uint8_t signpost_pub[SP_ED25519_PUB]; /* signs the replies */
    uint64_t expiry;               /* wall seconds */
    struct sp_addr addrs[SP_TOKEN_ADDRS];
    unsigned addr_count;
};
#define SP_TOKEN_TEXT_MAX 1200
/* "signpost1-" and base64url of a versioned binary form with a checksum. Length written, without a zero; 0: cap too small. */
size_t sp_token_write(const struct sp_token *t, char *ret, size_t cap);
SP_CHECK sp_err sp_token_read(struct sp_token *ret, const char *text, size_t len);

/* The proof, rdata of an SPJOIN record in the update that registers: u8 version 1, invite public key, u64 expiry,
 * signature by the invite key, signature by the device's key; both over
 * 0xFFFF "signpost-join-v1" root hash, name (wire, lower case), device public key, u64 expiry. */
#define SP_JOIN_RDATA (1 + 32 + 8 + 64 + 64)
void sp_join_make(uint8_t ret[SP_JOIN_RDATA], const uint8_t root_hash[SP_ROOT_HASH], const struct sp_name *name,
                  const struct sp_ed25519 *invite, const struct sp_ed25519 *device, uint64_t expiry);
/* The invite's public key and expiry of well-formed rdata, for the look-up that precedes any verification. ERR_FORM. */
SP_CHECK sp_err sp_join_peek(const uint8_t *rdata, size_t len, uint8_t ret_invite[SP_ED25519_PUB], uint64_t *ret_expiry);
SP_CHECK sp_err sp_join_verify(const uint8_t *rdata, size_t len, const uint8_t root_hash[SP_ROOT_HASH], const struct sp_name *name,
                               const uint8_t device_pub[SP_ED25519_PUB]);

#endif
