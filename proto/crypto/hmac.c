#include "proto/crypto/hash.h"

#include <string.h>

/* RFC 2104 2. */
void sp_hmac(enum sp_hash h, const uint8_t *key, size_t key_len, const struct sp_piece *pieces, size_t n,
             uint8_t *ret) {
    struct sp_hash_state s;
    uint8_t pad[128] = {0}, inner[SP_HASH_MAX];
    size_t block = sp_hash_block(h);
    if (key_len > block) {
        struct sp_piece whole = {key, key_len};
        sp_hash_pieces(h, &whole, 1, pad);
    } else if (key_len > 0) {
        memcpy(pad, key, key_len);
    }
    for (size_t i = 0; i < block; i++)
        pad[i] ^= 0x36;
    sp_hash_init(&s, h);
    sp_hash_update(&s, pad, block);
    for (size_t i = 0; i < n; i++)
        sp_hash_update(&s, pieces[i].data, pieces[i].len);
    sp_hash_final(&s, inner);

    for (size_t i = 0; i < block; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    sp_hash_init(&s, h);
    sp_hash_update(&s, pad, block);
    sp_hash_update(&s, inner, sp_hash_size(h));
    sp_hash_final(&s, ret);
    sp_wipe(&s, sizeof s);
    sp_wipe(pad, sizeof pad);
    sp_wipe(inner, sizeof inner);
}
