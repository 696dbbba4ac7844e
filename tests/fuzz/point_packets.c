/* The end of a tunnel: packets, well made and not, time, and what a caller does. Each step is a head of two bytes (what, and a length)
 * and so many bytes. Whatever comes, what goes out is well-formed and from us. */
#include <string.h>

#include "proto/base/bytes.h"
#include "proto/base/csum.h"
#include "proto/crypto/crypto.h"
#include "proto/net/point.h"
#include "tests/support/support.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define STEPS 300
#define MTU   1280

static _Alignas(SP_CHUNK) uint8_t chunk[SP_CHUNK];
static const uint8_t ours[16] = {0xfd, 1, [15] = 1}, theirs[16] = {0xfd, 1, [15] = 2};

static void *grant(void *ctx, size_t bytes) {
    SP_ASSERT(bytes == sizeof chunk);
    memset(chunk, 0, sizeof chunk);
    return chunk;
}
static void release(void *ctx, void *p, size_t bytes) {}

static struct sp_point *point;
static struct sp_tcp_conn *conn;
static sp_instant now;
static uint8_t last[256]; /* the head of what went out last: errors quote it */
static size_t last_len;

static void events(void) {
    struct sp_tcp_event ev;
    while (sp_tcp_event(sp_point_tcp(point), &ev)) {
        if (ev.kind == SP_TCP_OPENED)
            conn = ev.conn;
        if (ev.kind == SP_TCP_CLOSED && conn == ev.conn)
            conn = NULL;
        if (ev.kind == SP_TCP_DATA)
            sp_tcp_consumed(sp_point_tcp(point), now, ev.conn, ev.len);
    }
}

static void drain(void) {
    static uint8_t buf[70000];
    struct sp_point_packet k;
    for (unsigned n = 0; sp_point_output(point, now, &k); n++) {
        size_t at = k.head_len;
        memcpy(buf, k.head, at);
        for (unsigned i = 0; i < k.spans; at += k.span[i++].len)
            memcpy(buf + at, k.span[i].data, k.span[i].len);
        SP_ASSERT(n < 5000 && at == k.len && sp_get_u16(buf + 4) == at - 40 && buf[0] == 0x60 && memcmp(buf + 8, ours, 16) == 0);
        SP_ASSERT(k.offload.gso != SP_GSO_NONE ? k.offload.gso_size <= MTU - 60 : at <= MTU);
        uint32_t sum = sp_csum_pseudo(ours, buf + 24, 16, buf[6], at - 40);
        if (k.offload.needs_csum)
            sp_put_u16(buf + 56, (uint16_t)~sp_csum_fold(sp_csum_add(0, buf + 40, at - 40)));
        else
            SP_ASSERT(buf[6] == 58);
        SP_ASSERT(sp_csum_fold(sp_csum_add(sum, buf + 40, at - 40)) == 0xffff);
        last_len = at < sizeof last ? at : sizeof last;
        memcpy(last, buf, last_len);
    }
}

/* Fields that random bytes hardly ever get right are made right. */
static void packet(uint8_t kind, const uint8_t *data, size_t len) {
    static const uint8_t protos[] = {6, 58, 17, 0, 43, 44, 60, 132};
    uint8_t buf[600] = {0x60};
    size_t n = 40 + len;
    struct sp_offload off = {.needs_csum = (kind & 8) != 0};
    sp_put_u16(buf + 4, (uint16_t)len);
    buf[6] = protos[kind & 7];
    memcpy(buf + 8, theirs, 16);
    memcpy(buf + 24, ours, 16);
    memcpy(buf + 40, data, len);
    if (buf[6] == 58 && len >= 8 && (kind & 16) != 0 && len + last_len <= 500) { /* an error about what we have sent */
        memcpy(buf + 48, last, last_len);
        n = 48 + last_len;
        sp_put_u16(buf + 4, (uint16_t)(n - 40));
    }
    size_t at = buf[6] == 6 ? 56 : 42;
    if ((buf[6] == 6 || buf[6] == 58) && n >= at + 2 && !off.needs_csum) {
        sp_put_u16(buf + at, 0);
        uint32_t sum = sp_csum_pseudo(theirs, ours, 16, buf[6], n - 40);
        sp_put_u16(buf + at, (uint16_t)~sp_csum_fold(sp_csum_add(sum, buf + 40, n - 40)));
    }
    sp_point_input(point, now, buf, n, &off);
}

static void act(uint8_t what, const uint8_t *data, size_t len) {
    struct sp_tcp *tcp = sp_point_tcp(point);
    struct sp_addr local = {.family = 6, .port = 7}, remote = {.family = 6, .port = 80};
    struct sp_tcp_conn *c;
    switch (what & 3) {
    case 0:
        memcpy(local.ip, ours, 16);
        memcpy(remote.ip, theirs, 16);
        (void)!sp_tcp_connect(tcp, now, &local, &remote, 0, &c);
        break;
    case 1:
        if (conn != NULL)
            (void)!sp_tcp_write(tcp, now, conn, data, len);
        break;
    case 2:
        if (conn != NULL)
            sp_tcp_end(tcp, now, conn);
        break;
    case 3:
        now += (what >> 2) * 50 * SP_MS;
        sp_point_expire(point, now);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    static const uint8_t seed[SP_RNG_SEED] = {3};
    struct sp_mem mem;
    struct sp_rng rng;
    struct sp_rd r = sp_rd_init(data, len);
    if (sp_crypto_init() != SP_OK)
        return 0;
    sp_mem_init(&mem, (struct sp_grant){.grant = grant, .release = release}, SP_CHUNK);
    sp_rng_init(&rng, seed);
    struct sp_point_config c = {.mem = &mem, .rng = &rng, .mtu = MTU};
    memcpy(c.addr, ours, 16);
    c.tcp = (struct sp_tcp_config){.ports = {80}, .port_count = 1, .segments = true, .connections = 8, .memory = 200000};
    now = 1000 * SP_SEC;
    conn = NULL;
    last_len = 0;
    SP_ASSERT(sp_point_new(&point, &c) == SP_OK);
    for (unsigned step = 0; step < STEPS && sp_rd_left(&r) >= 2; step++) {
        uint8_t what = sp_rd_u8(&r), size = sp_rd_u8(&r);
        size_t n = size < sp_rd_left(&r) ? size : sp_rd_left(&r);
        const uint8_t *bytes = sp_rd_bytes(&r, n);
        static const struct sp_offload none;
        if ((what & 0xc0) == 0)
            sp_point_input(point, now, bytes, n, &none);
        else if ((what & 0xc0) == 0x40)
            act(what, bytes, n);
        else
            packet(what, bytes, n);
        events();
        drain();
    }
    sp_point_free(point);
    SP_ASSERT(mem.used == 0);
    sp_mem_done(&mem);
    return 0;
}
