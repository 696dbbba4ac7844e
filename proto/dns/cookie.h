/* DNS cookies, the interoperable server cookie. RFC 7873, 9018. */
#ifndef SP_DNS_COOKIE_H
#define SP_DNS_COOKIE_H

#include "proto/base/bytes.h"
#include "proto/base/host.h"

enum sp_cookie_state { SP_COOKIE_NONE, SP_COOKIE_MALFORMED, SP_COOKIE_CLIENT_ONLY, SP_COOKIE_BAD, SP_COOKIE_GOOD, SP_COOKIE_RENEW };

/* Server secret: the current one and, after a change, the one before (zeroed when there is none). */
struct sp_cookie_secrets {
    uint8_t now[16], before[16];
    bool have_before;
};

/* Looks at the COOKIE option's value (absent: pass NULL). Times are serial arithmetic: past 1 h, future 5 min; RENEW is good and over 30 min old. */
enum sp_cookie_state sp_cookie_check(const struct sp_cookie_secrets *s, const struct sp_rd *option, const struct sp_addr *client, sp_wall now);
/* Writes the 24 bytes of client cookie and fresh server cookie. */
void sp_cookie_make(const struct sp_cookie_secrets *s, const uint8_t client_cookie[8], const struct sp_addr *client, sp_wall now, uint8_t ret[24]);

#endif
