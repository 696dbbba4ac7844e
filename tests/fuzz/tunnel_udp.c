/* Packets out of a tunnel: first byte, bit 0: the checksum counts. What is read and written again is read the same;
 * errors about any packet are whole. */
#include "proto/base/csum.h"
#include "proto/control/tunnel.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_again(const struct sp_tunnel_udp *u) {
    static uint8_t out[SP_TUNNEL_HEAD + 65536];
    struct sp_tunnel_udp back;
    if (u->len != 0)
        memcpy(out + SP_TUNNEL_HEAD, u->data, u->len);
    size_t n = sp_tunnel_udp_write(u, out, sizeof out);
    if (n != SP_TUNNEL_HEAD + u->len || sp_tunnel_udp_read(&back, out, n, true) != SP_OK || back.len != u->len)
        abort();
    if (memcmp(back.src, u->src, 16) != 0 || memcmp(back.dst, u->dst, 16) != 0 || back.sport != u->sport ||
        back.dport != u->dport)
        abort();
}

static void check_error(const uint8_t *out, size_t n) {
    if (n == 0)
        return;
    uint32_t sum = sp_csum_pseudo(out + 8, out + 24, 16, 58, n - 40);
    if (n > SP_TUNNEL_MAX || sp_get_u16(out + 4) != n - 40 ||
        sp_csum_fold(sp_csum_add(sum, out + 40, n - 40)) != 0xffff)
        abort();
    /* Nothing is ever said about what was said here. */
    uint8_t more[SP_TUNNEL_MAX];
    if (sp_tunnel_unreachable(out + 24, out, n, 0, more, sizeof more) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    static const uint8_t router[16] = {0xfd, 1};
    uint8_t out[SP_TUNNEL_MAX];
    struct sp_tunnel_udp u;
    if (len == 0)
        return 0;
    if (sp_tunnel_udp_read(&u, data + 1, len - 1, data[0] & 1) == SP_OK) {
        if (u.len != 0 && (u.data < data + 1 || u.data + u.len > data + len))
            abort();
        check_again(&u);
    }
    check_error(out, sp_tunnel_unreachable(router, data + 1, len - 1, 1, out, sizeof out));
    check_error(out, sp_tunnel_too_big(router, data + 1, len - 1, 1280, out, sizeof out));
    return 0;
}
