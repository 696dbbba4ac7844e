/* Any datagram: what reads as STUN is written and read to the same; the server's answer is STUN, leaves from an address
 * of the server, and is never longer than its bound. The first byte picks the server's addresses. */
#include <string.h>

#include "proto/nat/stun.h"
#include "tests/support/support.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define LARGEST (1 << 17)

static uint8_t out[LARGEST];

static void again(struct sp_stun m, size_t len) {
    struct sp_stun back;
    if (m.class != SP_STUN_ERROR) { /* then it is what the reader did not know, and no part of the message */
        memset(m.unknown, 0, sizeof m.unknown);
        m.unknown_count = 0;
    }
    size_t n = sp_stun_write(&m, out, sizeof out);
    SP_ASSERT(n > 0 || len > 60000);
    if (n == 0)
        return;
    SP_ASSERT(sp_stun_is(out, n) && sp_stun_read(&back, out, n) == SP_OK);
    SP_ASSERT(memcmp(&m, &back, sizeof m) == 0);
}

static void serve(const uint8_t *data, size_t len, unsigned pick) {
    struct sp_addr addrs[4] = {0}, src = {.port = 4711}, from, to;
    uint8_t family = pick & 4 ? 6 : 4;
    size_t count = pick % 4 + 1;
    for (unsigned i = 0; i < count; i++) {
        addrs[i].family = i == 1 && pick & 16 ? 10 - family : family;
        addrs[i].port = (uint16_t)(53 + i % 2);
        addrs[i].ip[0] = pick & 8 && i == 2 ? 0 : 20;
        addrs[i].ip[3] = (uint8_t)(i / 2);
    }
    src.family = family;
    src.ip[0] = 30;
    size_t n = sp_stun_serve(data, len, &src, &addrs[0], addrs, count, out, sizeof out, &from, &to);
    if (n == 0)
        return;
    struct sp_stun m;
    SP_ASSERT(n <= 2 * len + (family == 4 ? 16 : 52));
    SP_ASSERT(sp_stun_read(&m, out, n) == SP_OK && (m.class == SP_STUN_SUCCESS || m.class == SP_STUN_ERROR));
    SP_ASSERT(memcmp(to.ip, src.ip, 16) == 0 && to.family == family && to.port != 0);
    SP_ASSERT(from.family == family && (from.port == 53 || from.port == 54));
    SP_ASSERT(m.class == SP_STUN_ERROR || memcmp(&m.mapped, &src, sizeof src) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    struct sp_stun m;
    memset(&m, 0, sizeof m);
    if (len == 0)
        return 0;
    unsigned pick = *data++;
    len--;
    sp_err err = sp_stun_read(&m, data, len);
    SP_ASSERT(err != SP_OK || sp_stun_is(data, len));
    if (err == SP_OK)
        again(m, len);
    serve(data, len, pick);
    return 0;
}
