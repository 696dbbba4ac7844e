#include "proto/dns/cookie.h"

#include "proto/base/table.h"

#define CLIENT   8
#define PAST_S   3600
#define FUTURE_S 300
#define RENEW_S  1800

/* RFC 9018 4.4: SipHash-2-4 over client cookie, version, reserved, timestamp and client address. `head` is the first 16
 * of these bytes. SipHash's output is taken as its authors print it: least significant byte first. */
static void hash(const uint8_t secret[16], const uint8_t head[16], const struct sp_addr *client, uint8_t ret[8]) {
    uint8_t in[32];
    size_t ip = client->family == 4 ? 4 : 16;
    memcpy(in, head, 16);
    memcpy(in + 16, client->ip, ip);
    uint64_t h = sp_siphash(secret, in, 16 + ip);
    for (unsigned i = 0; i < 8; i++)
        ret[i] = (uint8_t)(h >> 8 * i);
}

void sp_cookie_make(const struct sp_cookie_secrets *s, const uint8_t client_cookie[8], const struct sp_addr *client,
                    sp_wall now, uint8_t ret[24]) {
    memcpy(ret, client_cookie, CLIENT);
    ret[8] = 1;
    memset(ret + 9, 0, 3);
    sp_put_u32(ret + 12, (uint32_t)sp_wall_sec(now));
    hash(s->now, ret, client, ret + 16);
}

/* In constant time. */
static bool matches(const uint8_t secret[16], const uint8_t *cookie, const struct sp_addr *client) {
    uint8_t want[8], differ = 0;
    hash(secret, cookie, client, want);
    for (unsigned i = 0; i < 8; i++)
        differ |= want[i] ^ cookie[16 + i];
    return differ == 0;
}

enum sp_cookie_state sp_cookie_check(const struct sp_cookie_secrets *s, const struct sp_rd *option,
                                     const struct sp_addr *client, sp_wall now) {
    if (option == NULL)
        return SP_COOKIE_NONE;
    size_t len = sp_rd_left(option);
    const uint8_t *cookie = option->pos;
    if (len == CLIENT)
        return SP_COOKIE_CLIENT_ONLY;
    if (len < 16 || len > 40) /* RFC 7873 4 */
        return SP_COOKIE_MALFORMED;
    if (len != 24 || cookie[8] != 1)
        return SP_COOKIE_BAD;
    /* RFC 9018 4.3: serial arithmetic (RFC 1982), so that it lasts beyond 2106. */
    int32_t age = (int32_t)((uint32_t)sp_wall_sec(now) - sp_get_u32(cookie + 12));
    if (age > PAST_S || age < -FUTURE_S)
        return SP_COOKIE_BAD;
    if (matches(s->now, cookie, client))
        return age > RENEW_S ? SP_COOKIE_RENEW : SP_COOKIE_GOOD;
    /* A cookie of the secret before is good for now, but the client needs one of the new. */
    return s->have_before && matches(s->before, cookie, client) ? SP_COOKIE_RENEW : SP_COOKIE_BAD;
}
