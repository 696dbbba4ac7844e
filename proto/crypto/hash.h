/* Incremental hashing, inside this room: what HMAC and the piece-wise hashes share. */
#ifndef SP_CRYPTO_HASH_H
#define SP_CRYPTO_HASH_H

#include <sodium.h>

#include "proto/crypto/crypto.h"

#define SP_SHA1_BLOCK 64

struct sp_sha1 {
    uint32_t state[5];
    uint64_t len; /* bytes so far */
    uint8_t block[SP_SHA1_BLOCK];
};

void sp_sha1_init(struct sp_sha1 *s);
void sp_sha1_update(struct sp_sha1 *s, const uint8_t *data, size_t len);
void sp_sha1_final(struct sp_sha1 *s, uint8_t ret[20]);

struct sp_hash_state {
    enum sp_hash hash;
    union {
        struct sp_sha1 sha1;
        crypto_hash_sha256_state sha256;
        crypto_hash_sha512_state sha512; /* SHA-384 too */
    };
};

void sp_hash_init(struct sp_hash_state *s, enum sp_hash h);
void sp_hash_update(struct sp_hash_state *s, const void *data, size_t len);
void sp_hash_final(struct sp_hash_state *s, uint8_t *ret);
size_t sp_hash_block(enum sp_hash h);

#endif
