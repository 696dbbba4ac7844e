#include <sodium.h>

#include "proto/crypto/crypto.h"

#include <string.h>

void sp_x25519_base(const uint8_t secret[SP_X25519], uint8_t ret_pub[SP_X25519]) {
    int bad = crypto_scalarmult_curve25519_base(ret_pub, secret);
    SP_ASSERT(bad == 0);
}

sp_err sp_x25519(const uint8_t secret[SP_X25519], const uint8_t pub[SP_X25519], uint8_t ret[SP_X25519]) {
    uint8_t shared[SP_X25519];
    sp_err err = SP_OK;
    if (crypto_scalarmult_curve25519(shared, secret, pub) != 0) /* RFC 7748 6.1: all zeros */
        err = SP_ERR_BADKEY;
    else
        memcpy(ret, shared, sizeof shared);
    sp_wipe(shared, sizeof shared);
    return err;
}

void sp_ed25519_secret_to_x25519(const struct sp_ed25519 *key, uint8_t ret[SP_X25519]) {
    int bad = crypto_sign_ed25519_sk_to_curve25519(ret, key->secret);
    SP_ASSERT(bad == 0);
}

/* ---- numbers mod p = 2^255 - 19, in five limbs of 51 bits; public data only ---- */

#define LIMB     51
#define LIMB_MAX ((UINT64_C(1) << LIMB) - 1)

struct fe {
    uint64_t v[5];
};

static struct fe load(const uint8_t in[32]) {
    struct fe a = {{0}};
    for (unsigned bit = 0; bit < 255; bit++)
        a.v[bit / LIMB] |= (uint64_t)(in[bit / 8] >> bit % 8 & 1) << bit % LIMB;
    return a;
}

/* Limbs below 2^52 at the end, the value below 2 p or so. */
static struct fe carry(struct fe a) {
    for (unsigned i = 0; i < 5; i++) {
        uint64_t c = a.v[i] >> LIMB;
        a.v[i] &= LIMB_MAX;
        a.v[(i + 1) % 5] += i == 4 ? 19 * c : c;
    }
    return a;
}

/* The one value below p. */
static struct fe reduce(struct fe a) {
    a = carry(carry(a));
    /* a + 19 reaches bit 255 exactly when a >= p: then a - p is a + 19 without that bit. */
    uint64_t c = 19;
    for (unsigned i = 0; i < 5; i++)
        c = (a.v[i] + c) >> LIMB;
    c *= 19;
    for (unsigned i = 0; i < 5; i++) {
        c += a.v[i];
        a.v[i] = c & LIMB_MAX;
        c >>= LIMB;
    }
    return a;
}

static struct fe add_small(struct fe a, uint64_t n) {
    a.v[0] += n;
    return carry(a);
}

static struct fe mul(struct fe a, struct fe b) {
    unsigned __int128 t[5] = {0};
    for (unsigned i = 0; i < 5; i++)
        for (unsigned j = 0; j < 5; j++)
            t[(i + j) % 5] += (unsigned __int128)a.v[i] * b.v[j] * (i + j >= 5 ? 19 : 1);
    struct fe r;
    for (unsigned i = 0; i < 4; i++) {
        t[i + 1] += t[i] >> LIMB;
        r.v[i] = (uint64_t)t[i] & LIMB_MAX;
    }
    r.v[4] = (uint64_t)t[4] & LIMB_MAX;
    unsigned __int128 low = (t[4] >> LIMB) * 19 + r.v[0];
    r.v[0] = (uint64_t)low & LIMB_MAX;
    r.v[1] += (uint64_t)(low >> LIMB);
    return carry(r);
}

/* a^(p - 2): p - 2 = 2^255 - 21 has all of its 255 bits set but bits 4 and 2. */
static struct fe invert(struct fe a) {
    struct fe r = {{1}};
    for (unsigned bit = 255; bit-- > 0;) {
        r = mul(r, r);
        if (bit != 4 && bit != 2)
            r = mul(r, a);
    }
    return r;
}

static bool is_zero(struct fe a) {
    a = reduce(a);
    return (a.v[0] | a.v[1] | a.v[2] | a.v[3] | a.v[4]) == 0;
}

/* RFC 7748 4.1: (u - 1) / (u + 1). */
sp_err sp_x25519_to_ed25519_y(const uint8_t pub[SP_X25519], uint8_t ret[SP_ED25519_PUB]) {
    struct fe u = load(pub), below = add_small(u, 1), above = u;
    if (is_zero(below))
        return SP_ERR_BADKEY;
    for (unsigned i = 0; i < 5; i++) /* + p - 1 */
        above.v[i] += i == 0 ? LIMB_MAX - 18 - 1 : LIMB_MAX;
    struct fe y = reduce(mul(carry(above), invert(below)));
    memset(ret, 0, SP_ED25519_PUB);
    for (unsigned bit = 0; bit < 255; bit++)
        ret[bit / 8] |= (uint8_t)((y.v[bit / LIMB] >> bit % LIMB & 1) << bit % 8);
    return SP_OK;
}
