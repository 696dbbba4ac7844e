#include "proto/crypto/hash.h"

/* SHA-384 is SHA-512 from another start, cut short (FIPS 180-4 5.3.4, 6.5): libsodium's state is public, so only the
 * start is ours. */
static const uint64_t sha384_start[8] = {
    UINT64_C(0xcbbb9d5dc1059ed8), UINT64_C(0x629a292a367cd507), UINT64_C(0x9159015a3070dd17),
    UINT64_C(0x152fecd8f70e5939), UINT64_C(0x67332667ffc00b31), UINT64_C(0x8eb44a8768581511),
    UINT64_C(0xdb0c2e0d64f98fa7), UINT64_C(0x47b5481dbefa4fa4),
};

size_t sp_hash_size(enum sp_hash h) {
    switch (h) {
    case SP_SHA1:
        return 20;
    case SP_SHA256:
        return 32;
    case SP_SHA384:
        return 48;
    case SP_SHA512:
        return 64;
    }
    SP_ASSERT(!"hash");
    return 0;
}

size_t sp_hash_block(enum sp_hash h) {
    return h == SP_SHA1 || h == SP_SHA256 ? 64 : 128;
}

void sp_hash_init(struct sp_hash_state *s, enum sp_hash h) {
    s->hash = h;
    switch (h) {
    case SP_SHA1:
        sp_sha1_init(&s->sha1);
        return;
    case SP_SHA256:
        crypto_hash_sha256_init(&s->sha256);
        return;
    case SP_SHA384:
        crypto_hash_sha512_init(&s->sha512);
        memcpy(s->sha512.state, sha384_start, sizeof sha384_start);
        return;
    case SP_SHA512:
        crypto_hash_sha512_init(&s->sha512);
        return;
    }
    SP_ASSERT(!"hash");
}

void sp_hash_update(struct sp_hash_state *s, const void *data, size_t len) {
    if (len == 0)
        return;
    if (s->hash == SP_SHA1)
        sp_sha1_update(&s->sha1, data, len);
    else if (s->hash == SP_SHA256)
        crypto_hash_sha256_update(&s->sha256, data, len);
    else
        crypto_hash_sha512_update(&s->sha512, data, len);
}

void sp_hash_final(struct sp_hash_state *s, uint8_t *ret) {
    uint8_t whole[crypto_hash_sha512_BYTES];
    switch (s->hash) {
    case SP_SHA1:
        sp_sha1_final(&s->sha1, ret);
        break;
    case SP_SHA256:
        crypto_hash_sha256_final(&s->sha256, ret);
        break;
    case SP_SHA384:
        crypto_hash_sha512_final(&s->sha512, whole);
        memcpy(ret, whole, 48);
        sp_wipe(whole, sizeof whole);
        break;
    case SP_SHA512:
        crypto_hash_sha512_final(&s->sha512, ret);
        break;
    }
}

void sp_hash_pieces(enum sp_hash h, const struct sp_piece *pieces, size_t n, uint8_t *ret) {
    struct sp_hash_state s;
    sp_hash_init(&s, h);
    for (size_t i = 0; i < n; i++)
        sp_hash_update(&s, pieces[i].data, pieces[i].len);
    sp_hash_final(&s, ret);
    sp_wipe(&s, sizeof s);
}

void sp_sha256(const void *data, size_t len, uint8_t ret[32]) {
    crypto_hash_sha256(ret, data, len);
}

void sp_labelled_hash(const char *label, const void *data, size_t len, uint8_t *ret, size_t ret_len) {
    crypto_generichash_blake2b_state s;
    size_t label_len = strlen(label);
    SP_ASSERT(label_len <= 255 && ret_len >= 1 && ret_len <= 64);
    uint8_t prefix = (uint8_t)label_len;
    int bad = crypto_generichash_blake2b_init(&s, NULL, 0, ret_len);
    bad |= crypto_generichash_blake2b_update(&s, &prefix, 1);
    bad |= crypto_generichash_blake2b_update(&s, (const uint8_t *)label, label_len);
    bad |= crypto_generichash_blake2b_update(&s, data, len);
    bad |= crypto_generichash_blake2b_final(&s, ret, ret_len);
    SP_ASSERT(bad == 0);
    sp_wipe(&s, sizeof s);
}
