/* An interface's life, with TCP and a core behind the adapter: sequences of frames, of time, of what the core does and
 * of link changes. Each step is a head of three bytes (what, and a length) and that many bytes. Whatever comes, what
 * goes out is well-formed, streams keep their order and their credit, and the tables stay as large as they may be. */
#include <string.h>

#include "proto/base/bytes.h"
#include "proto/base/csum.h"
#include "proto/crypto/crypto.h"
#include "proto/direct/direct.h"
#include "tests/support/support.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define MTU        1500
#define STEPS      400
#define TCP_MEMORY 100000
#define TCP_REST   60000 /* connections, streams, pieces that are kept */

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

static struct sp_direct direct;
static sp_instant now;
static uint8_t xid[4];              /* of the last DHCP message that went out */
static uint32_t next_seq, next_ack; /* after the last segment that went out; what it acknowledges */
static uint16_t connecting;         /* the port of the last SYN that went out */

/* What the core knows of streams. */
#define STREAMS 16
static struct {
    uint64_t id; /* 0: none */
    size_t credit, allow;
    bool open, by_credit, ended, end_said;
} streams[STREAMS];
static uint64_t connects;

/* ---- what goes out ---- */

static void check_segment(const uint8_t *f, size_t len) {
    bool v4 = sp_get_u16(f + 12) == IP4;
    const uint8_t *ip = f + 14, *tcp = ip + (v4 ? 20 : 40);
    if (v4 ? ip[9] != 6 : sp_get_u16(f + 12) != IP6 || ip[6] != 6)
        return;
    size_t n = (size_t)(f + len - tcp), alen = v4 ? 4 : 16;
    SP_ASSERT(n >= 20 && (tcp[12] >> 4) * 4u <= n && (!v4 || sp_get_u16(ip + 6) == 0x4000));
    const uint8_t *src = ip + (v4 ? 12 : 8);
    SP_ASSERT(sp_csum_fold(sp_csum_add(sp_csum_pseudo(src, src + alen, alen, 6, n), tcp, n)) == 0xffff);
    next_seq = sp_get_u32(tcp + 4) + (uint32_t)(n - (tcp[12] >> 4) * 4u) + (tcp[13] & 1) + (tcp[13] >> 1 & 1);
    next_ack = sp_get_u32(tcp + 8);
    if (tcp[13] == 2)
        connecting = sp_get_u16(tcp);
}

static void check_out(const uint8_t *f, size_t len) {
    SP_ASSERT(len >= 14 + 28 && len <= 14 + MTU && memcmp(f + 6, mac, 6) == 0);
    const uint8_t *ip = f + 14;
    check_segment(f, len);
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
    for (size_t n; (n = sp_direct_output(&direct, now, frame, sizeof frame)) > 0;)
        check_out(frame, n);
}

/* ---- the core: says again what it is told, as far as it has credit ---- */

static void send_out(const struct sp_out *out) {
    sp_direct_outputs(&direct, out, out != NULL);
    drain();
}

static int stream_of(uint64_t id) {
    for (int i = 0; i < STREAMS; i++)
        if (streams[i].id == id)
            return i;
    return -1;
}

static void take_data(int i, const struct sp_in *in) {
    uint64_t id = in->id;
    SP_ASSERT(i >= 0 && !streams[i].ended && (!streams[i].by_credit || streams[i].allow >= in->len));
    streams[i].allow -= streams[i].by_credit ? in->len : 0;
    size_t n = in->len < streams[i].credit ? in->len : streams[i].credit;
    if (n == 0 || streams[i].end_said)
        return;
    streams[i].credit -= n;
    send_out(&(struct sp_out){.kind = SP_OUT_STREAM_DATA, .id = id, .data = in->data, .len = n});
}

static void take(const struct sp_in *in) {
    int i = in->kind == SP_IN_DATAGRAM ? -1 : stream_of(in->id);
    struct sp_out out = {
        .kind = SP_OUT_DATAGRAM, .src = in->dst, .dst = in->src, .data = in->data, .len = in->len, .segment = 700};
    switch (in->kind) {
    case SP_IN_DATAGRAM:
        SP_ASSERT(in->dst.port == 53 && in->len < 9216 && (in->src.family == 4 || in->src.family == 6));
        send_out(&out);
        break;
    case SP_IN_STREAM_OPEN:
        SP_ASSERT(i < 0 || (in->id & SP_CONNECT_ID) != 0);
        if (i < 0 && (i = stream_of(0)) < 0) {
            sp_direct_refused(&direct, now, in, 1);
            break;
        }
        memset(&streams[i], 0, sizeof streams[i]);
        streams[i].id = in->id;
        streams[i].credit = in->credit;
        streams[i].open = true;
        break;
    case SP_IN_STREAM_DATA:
        take_data(i, in);
        break;
    case SP_IN_STREAM_CREDIT:
        SP_ASSERT(i >= 0 && in->credit > 0);
        streams[i].credit += in->credit;
        break;
    case SP_IN_STREAM_END:
        SP_ASSERT(i >= 0 && streams[i].by_credit && !streams[i].ended);
        streams[i].ended = true;
        break;
    case SP_IN_STREAM_CLOSE:
        SP_ASSERT(i >= 0);
        streams[i].id = 0;
        break;
    default:
        SP_ASSERT(!"nothing else comes of frames");
    }
}

static void settle(void) {
    struct sp_in in[3];
    size_t n;
    drain();
    do {
        send_out(NULL);
        n = sp_direct_events(&direct, now, in, 3);
        for (size_t i = 0; i < n; i++)
            take(&in[i]);
    } while (n > 0);
}

/* What it does by itself, with a stream or a new one. */
static void act(uint8_t what, size_t len) {
    static const uint8_t bytes[2048];
    int i = (int)(len % STREAMS);
    struct sp_out out = {.id = streams[i].id, .data = bytes};
    struct sp_addr to = {.family = 4, .ip = {192, 0, 2, 9}, .port = 53};
    if (streams[i].id == 0) {
        memset(&streams[i], 0, sizeof streams[i]);
        streams[i].id = SP_CONNECT_ID + ++connects;
        sp_direct_connect(&direct, now, streams[i].id, &to);
        return;
    }
    switch (streams[i].open ? what / 8 % 6 : 3) {
    case 0:
        out.kind = SP_OUT_STREAM_DATA;
        out.len = len < streams[i].credit ? len : streams[i].credit;
        streams[i].credit -= out.len;
        break;
    case 1:
        out.kind = SP_OUT_STREAM_CREDIT;
        out.credit = len / STREAMS;
        streams[i].by_credit = true;
        streams[i].allow += out.credit;
        break;
    case 2:
        out.kind = SP_OUT_STREAM_END;
        streams[i].end_said = true;
        streams[i].credit = 0;
        break;
    case 3:
        out.kind = SP_OUT_STREAM_CLOSE;
        streams[i].id = 0;
        break;
    case 4:
        out.kind = SP_OUT_STREAM_RESET;
        streams[i].id = 0;
        break;
    default:
        return;
    }
    send_out(&out);
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
    } else if (proto == 6 && len >= 20) { /* near what was said last, or not */
        sp_put_u32(t + 8, next_seq + (uint32_t)(int32_t)(int8_t)t[11]);
        if (t[13] == 18)
            sp_put_u16(t + 2, connecting);
        if ((t[13] & 2) == 0)
            sp_put_u32(t + 4, next_ack + (uint32_t)(int32_t)(int8_t)t[7]);
        fix_sum(t + 16, pseudo, t, len);
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
    struct sp_in in[4];
    memcpy(f, data, len);
    if (repaired)
        repair(f, len);
    struct sp_direct_frame frame = {f, len, SP_NET_CSUM_CHECK};
    for (size_t taken = 0; taken == 0;) {
        size_t n = sp_direct_frames(&direct, now, &frame, 1, in, 1 + len % 4, &taken);
        SP_ASSERT(taken == 1 || n > 0);
        for (size_t i = 0; i < n; i++)
            take(&in[i]);
    }
}

static void pass(sp_duration d) {
    now += d;
    sp_direct_expire(&direct, now);
    settle();
    SP_ASSERT(sp_direct_deadline(&direct, SP_NEVER) > now || sp_direct_deadline(&direct, SP_NEVER) == 0);
}

static void step(uint8_t what, const uint8_t *data, size_t len) {
    switch (what % 8) {
    case 5:
        act(what, len);
        break;
    case 6:
        pass(len * (what >= 128 ? SP_MIN : 100 * SP_MS));
        break;
    case 7:
        sp_net_link(direct.net, now, what >= 128);
        break;
    default:
        frame(data, len, what % 8 != 0);
    }
    settle();
}

static struct sp_net_config config_of(struct sp_mem *mem, struct sp_rng *rng) {
    static const struct sp_tcp_config tcp = {.connections = 12,
                                             .half_open = 5,
                                             .time_waits = 4,
                                             .memory = TCP_MEMORY,
                                             .send_max = 20000,
                                             .receive_max = 20000};
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
                              .reassemblies = 3,
                              .tcp = &tcp};
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
    SP_ASSERT(sp_direct_init(&direct, &config) == SP_OK);
    memset(streams, 0, sizeof streams);
    connects = next_seq = next_ack = connecting = 0;
    sp_net_link(direct.net, now, true);
    settle();
    pass(3 * SP_SEC);
    size_t used = mem.used;
    for (unsigned i = 0; i < STEPS && sp_rd_left(&r) >= 3; i++) {
        uint8_t what = sp_rd_u8(&r);
        size_t n = sp_rd_u16(&r) % 2048;
        bool bytes = what % 8 < 5;
        if (bytes && n > sp_rd_left(&r))
            n = sp_rd_left(&r);
        step(what, bytes ? sp_rd_bytes(&r, n) : NULL, n);
        SP_ASSERT(mem.used <= used + 2 * TCP_MEMORY + TCP_REST);
    }
    sp_direct_done(&direct);
    SP_ASSERT(mem.used == 0);
    dirty = sizeof chunk - mem.fresh_left;
    sp_mem_done(&mem);
    return 0;
}
