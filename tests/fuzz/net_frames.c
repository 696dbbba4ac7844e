/* An interface's life: sequences of frames, of time, of datagrams to send and of link changes. Each step is a head of
 * three bytes (what, and a length) and that many bytes. Whatever comes, what goes out is well-formed and the tables
 * stay as large as they are. */
#include <string.h>

#include "proto/base/bytes.h"
#include "proto/base/csum.h"
#include "proto/crypto/crypto.h"
#include "proto/net/net.h"
#include "tests/support/support.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define MTU   1500
#define STEPS 400

enum { IP4 = 0x0800, IP6 = 0x86dd };

static _Alignas(SP_CHUNK) uint8_t chunk[SP_CHUNK];
static size_t dirty = sizeof chunk;
static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};

static void *grant(void *ctx, size_t bytes) {
    SP_ASSERT(bytes == sizeof chunk);
    memset(chunk, 0, dirty);
    return chunk;
}
static void release(void *ctx, void *p, size_t bytes) {}

static struct sp_net *net;
static sp_instant now;
static uint8_t xid[4]; /* of the last DHCP message that went out */

/* ---- what goes out ---- */

static void check_out(const uint8_t *f, size_t len) {
    SP_ASSERT(len >= 14 + 28 && len <= 14 + MTU && memcmp(f + 6, mac, 6) == 0);
    const uint8_t *ip = f + 14;
    if (sp_get_u16(f + 12) == IP4) {
        SP_ASSERT(ip[0] == 0x45 && sp_get_u16(ip + 2) == len - 14 && sp_csum_fold(sp_csum_add(0, ip, 20)) == 0xffff);
        if (ip[9] == 17 && (sp_get_u16(ip + 6) & 0x3fff) == 0) {
            SP_ASSERT(sp_get_u16(ip + 24) == len - 34);
            SP_ASSERT(sp_csum_fold(sp_csum_add(sp_csum_pseudo(ip + 12, ip + 16, 4, 17, len - 34), ip + 20, len - 34)) ==
                      0xffff);
            if (sp_get_u16(ip + 22) == 67)
                memcpy(xid, ip + 32, 4);
        }
    } else if (sp_get_u16(f + 12) == IP6) {
        SP_ASSERT(len >= 14 + 48 && ip[0] == 0x60 && sp_get_u16(ip + 4) == len - 54);
        if (ip[6] == 58)
            SP_ASSERT(sp_csum_fold(sp_csum_add(sp_csum_pseudo(ip + 8, ip + 24, 16, 58, len - 54), ip + 40, len - 54)) ==
                      0xffff);
    }
}

static void drain(void) {
    uint8_t frame[14 + MTU];
    struct sp_offload offload;
    for (size_t n; (n = sp_net_output(net, now, frame, sizeof frame, &offload)) > 0;)
        check_out(frame, n);
}

/* ---- what comes in ---- */

static void fix_sum(uint8_t *at, uint32_t sum, const uint8_t *data, size_t len) {
    sp_put_u16(at, 0);
    sp_put_u16(at, (uint16_t)~sp_csum_fold(sp_csum_add(sum, data, len)));
}

static void fix_transport(uint8_t *t, size_t len, uint8_t proto, const uint8_t *src, const uint8_t *dst, size_t alen) {
    uint32_t pseudo = proto == 1 ? 0 : sp_csum_pseudo(src, dst, alen, proto, len);
    if (proto == 17 && len >= 8) {
        if (sp_get_u16(t + 2) == 68 && len >= 16)
            memcpy(t + 12, xid, 4);
        fix_sum(t + 6, pseudo, t, len);
    } else if ((proto == 1 || proto == 58) && len >= 4) {
        fix_sum(t + 2, pseudo, t, len);
    }
}

/* Lengths and checksums as they should be, so that what is inside is reached. */
static void repair(uint8_t *f, size_t len) {
    if (len < 14 + 20)
        return;
    uint8_t *ip = f + 14;
    size_t left = len - 14, head = (size_t)(ip[0] & 15) * 4;
    if (sp_get_u16(f + 12) == IP4 && head >= 20 && head <= left) {
        sp_put_u16(ip + 2, (uint16_t)left);
        fix_sum(ip + 10, 0, ip, head);
        if ((sp_get_u16(ip + 6) & 0x3fff) == 0)
            fix_transport(ip + head, left - head, ip[9], ip + 12, ip + 16, 4);
    } else if (sp_get_u16(f + 12) == IP6 && left >= 40) {
        sp_put_u16(ip + 4, (uint16_t)(left - 40));
        fix_transport(ip + 40, left - 40, ip[6], ip + 8, ip + 24, 16);
    }
}

static void frame(const uint8_t *data, size_t len, bool repaired) {
    static uint8_t store[1 << 12];
    uint8_t *f = store + sizeof store - len; /* what is read beyond its end is beyond the store's */
    struct sp_in in;
    unsigned sum = 0;
    memcpy(f, data, len);
    if (repaired)
        repair(f, len);
    if (sp_net_input(net, now, f, len, SP_NET_CSUM_CHECK, &in)) {
        SP_ASSERT(in.kind == SP_IN_DATAGRAM && in.dst.port == 53 && in.len < 9216 &&
                  (in.src.family == 4 || in.src.family == 6));
        for (size_t i = 0; i < in.len; i++)
            sum += in.data[i];
        (void)sum;
        struct sp_out out = {
            .kind = SP_OUT_DATAGRAM, .src = in.dst, .dst = in.src, .data = in.data, .len = in.len, .segment = 700};
        struct sp_net_cursor c = {0};
        uint8_t reply[14 + MTU];
        size_t n;
        do {
            if (sp_net_send(net, now, &out, &c, reply, sizeof reply, &n) == SP_OK)
                check_out(reply, n);
        } while (c.more);
    }
}

static void pass(sp_duration d) {
    now += d;
    sp_net_expire(net, now);
    SP_ASSERT(sp_net_deadline(net) > now);
}

static void step(uint8_t what, const uint8_t *data, size_t len) {
    switch (what % 8) {
    case 6:
        pass(len * (what >= 128 ? SP_MIN : 100 * SP_MS));
        break;
    case 7:
        sp_net_link(net, now, what >= 128);
        break;
    default:
        frame(data, len, what % 8 != 0);
    }
    drain();
}

static struct sp_net_config config_of(struct sp_mem *mem, struct sp_rng *rng) {
    struct sp_net_config c = {.mem = mem,
                              .rng = rng,
                              .mtu = MTU,
                              .static_count = 2,
                              .dhcp = true,
                              .ipv6 = true,
                              .slaac = true,
                              .ports = {53},
                              .port_count = 1,
                              .neighbours = 16,
                              .frames = 24,
                              .reassemblies = 3};
    memcpy(c.mac, mac, 6);
    c.statics[0] =
        (struct sp_net_static){{.family = 4, .ip = {192, 0, 2, 1}}, 24, {.family = 4, .ip = {192, 0, 2, 254}}};
    c.statics[1] = (struct sp_net_static){{.family = 6, .ip = {0x20, 1, 0xd, 0xb8, [15] = 1}}, 64, {.family = 0}};
    return c;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    static const uint8_t seed[SP_RNG_SEED] = "frames";
    struct sp_mem mem;
    struct sp_rng rng;
    if (sp_crypto_init() != SP_OK)
        return 0;
    sp_rng_init(&rng, seed);
    sp_mem_init(&mem, (struct sp_grant){NULL, grant, release}, SP_CHUNK);
    struct sp_net_config config = config_of(&mem, &rng);
    struct sp_rd r = sp_rd_init(data, len);
    now = 1000 * SP_SEC;
    SP_ASSERT(sp_net_new(&net, &config) == SP_OK);
    sp_net_link(net, now, true);
    drain();
    pass(3 * SP_SEC);
    drain();
    size_t used = mem.used;
    for (unsigned i = 0; i < STEPS && sp_rd_left(&r) >= 3; i++) {
        uint8_t what = sp_rd_u8(&r);
        size_t n = sp_rd_u16(&r) % 2048;
        bool bytes = what % 8 < 6;
        if (bytes && n > sp_rd_left(&r))
            n = sp_rd_left(&r);
        step(what, bytes ? sp_rd_bytes(&r, n) : NULL, n);
        SP_ASSERT(mem.used <= used + 2048);
    }
    sp_net_free(net);
    SP_ASSERT(mem.used == 0);
    dirty = sizeof chunk - mem.fresh_left;
    sp_mem_done(&mem);
    return 0;
}
