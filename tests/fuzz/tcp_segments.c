/* Lives of connections: segments made to measure (numbers near those that count) and raw ones, time, and what a caller does. Each step is
 * eight bytes and, for raw ones, more. Whatever comes, what goes out is well-formed, bytes are handed on in order, once, as they were
 * sent, and nothing grows beyond its limits. */
#include <string.h>

#include "proto/crypto/crypto.h"
#include "proto/net/tcp_impl.h"
#include "tests/support/support.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define STEPS  600
#define MEMORY 200000

static _Alignas(SP_CHUNK) uint8_t chunk[SP_CHUNK];

static void *grant(void *ctx, size_t bytes) {
    SP_ASSERT(bytes == sizeof chunk);
    memset(chunk, 0, sizeof chunk);
    return chunk;
}
static void release(void *ctx, void *p, size_t bytes) {}

static struct sp_tcp *tcp;
static struct sp_tcp_conn *conn; /* the one that segments are made for */
static sp_instant now;
static uint32_t base; /* the peer's first number: a byte's value follows from its place */

static uint8_t byte_at(uint32_t seq) {
    return (uint8_t)((seq - base) * 13 + 5);
}

/* 13 has an inverse modulo 256, so a byte tells its place modulo 256; the pattern repeats there. */
static uint32_t first_of(const uint8_t *byte) {
    uint32_t seq = base;
    while (byte_at(seq) != *byte)
        seq++;
    return seq;
}

static void forget(const struct sp_tcp_conn *c) {
    if (conn == c)
        conn = NULL;
}

/* A reader's mark is the number of the next byte: known from the first piece on, whose end or whose pages' is rcv_nxt. */
static void events(uint8_t wish) {
    struct sp_tcp_event ev;
    bool well = true;
    while (sp_tcp_event(tcp, &ev)) {
        if (ev.kind == SP_TCP_OPENED)
            conn = ev.conn;
        if (ev.kind == SP_TCP_CLOSED)
            forget(ev.conn);
        if (ev.kind == SP_TCP_DATA) {
            uint64_t mark = (uint64_t)(uintptr_t)sp_tcp_user(ev.conn);
            uint32_t next = mark != 0 ? (uint32_t)mark : first_of(ev.data);
            for (size_t i = 0; i < ev.len; i++)
                well &= ev.data[i] == byte_at(next++);
            sp_tcp_set_user(ev.conn, (void *)(uintptr_t)(UINT64_C(1) << 32 | next));
        }
        if (ev.kind == SP_TCP_DATA && (wish & 1) != 0)
            sp_tcp_consumed(tcp, now, ev.conn, ev.len);
    }
    SP_ASSERT(well);
}

static void drain(void) {
    static uint8_t buf[SP_TCP_HEAD_MAX + 65536];
    struct sp_tcp_out out;
    struct tcp_seg s;
    for (unsigned n = 0; sp_tcp_output(tcp, now, &out); n++) {
        size_t sum = 0;
        for (unsigned i = 0; i < out.spans; i++)
            sum += out.span[i].len;
        SP_ASSERT(n < 5000 && sum == out.len && out.spans <= SP_TCP_SPANS);
        sp_tcp_copy(&out, buf, false);
        struct sp_tcp_packet p = {.family = out.family, .data = buf, .len = out.head_len + out.len};
        memcpy(p.src, out.src, 16);
        memcpy(p.dst, out.dst, 16);
        SP_ASSERT(tcp_parse(&s, &p) == SP_TCP_DROP_COUNT);
    }
    SP_ASSERT(sp_tcp_buffered(tcp) <= MEMORY && sp_tcp_connections(tcp) <= 8);
}

/* A segment whose numbers lie near those of the connection, its bytes as they should be. */
static void measured(const uint8_t b[8]) {
    static uint8_t buf[SP_TCP_HEAD_MAX + 2048]; /* until the events were taken */
    struct tcp_head h = {.sport = 1000, .dport = 80, .flags = b[1] & 0x1f, .wnd = (uint16_t)(b[2] << (b[1] >> 5)), .seq = base};
    uint32_t len = (b[3] & 7u) * 250u + b[4] % 7u;
    h.seq += (uint32_t)(int32_t)(int8_t)b[5] * 100u;
    if (conn != NULL) {
        h.sport = conn->rport;
        h.dport = conn->lport;
        h.seq = conn->rcv_nxt + (uint32_t)((int32_t)(int8_t)b[5] * 125);
        h.ack = conn->snd_nxt - (uint32_t)(b[6] & 63) * 365u;
        if ((b[6] & 64) != 0)
            h.ack = conn->snd_una + (b[6] & 3) - 1u;
        h.has_ts = conn->ts;
        h.tsval = conn->ts_recent + (b[7] & 7u) - 1u;
        h.tsecr = tcp_clock(now) + conn->ts_offset - b[7];
        if ((b[3] & 8) != 0 && conn->sack && (h.flags & TCP_SYN) == 0) {
            h.sacks = 1 + (b[3] >> 4 & 1);
            for (unsigned i = 0; i < h.sacks; i++) {
                h.sack[i].seq = conn->snd_una + (uint32_t)(b[4] >> (4 * i) & 15) * 365u;
                h.sack[i].end = h.sack[i].seq + (uint32_t)(b[7] >> 4) * 365u;
            }
        }
    }
    if ((h.flags & TCP_SYN) != 0) {
        h.mss = (uint16_t)(b[7] * 16u);
        h.sack_ok = b[3] >> 4 & 1;
        h.has_shift = b[3] >> 5 & 1;
        h.shift = b[4] & 15;
        h.has_ts = b[3] >> 6 & 1;
    }
    size_t n = tcp_head_write(&h, buf);
    for (uint32_t i = 0; i < len; i++)
        buf[n + i] = byte_at(h.seq + ((h.flags & TCP_SYN) != 0) + i);
    struct sp_tcp_packet p = {.family = 4, .src = {10, 9}, .dst = {10, 1}, .checked = true, .data = buf, .len = n + len};
    sp_tcp_input(tcp, now, &p);
}

static size_t step(const uint8_t *b, size_t left) {
    static const uint8_t bytes[4096];
    struct sp_addr local = {.ip = {10, 1}, .family = 4}, remote = {.ip = {10, 9}, .family = 4, .port = (uint16_t)(7 + b[1] % 4)};
    size_t used = 8;
    switch (b[0] % 10) {
    default:
        measured(b);
        break;
    case 5: {
        size_t n = b[1] < left - 8 ? b[1] : left - 8;
        struct sp_tcp_packet p = {.family = b[2] & 1 ? 6 : 4, .src = {10, 9}, .dst = {10, 1}, .checked = true, .data = b + 8, .len = n};
        sp_tcp_input(tcp, now, &p);
        used += n;
        break;
    }
    case 6:
        now += (sp_duration)(b[1] + 1) * (b[2] & 1 ? SP_MS : 10 * SP_MS) << (b[2] >> 5);
        sp_tcp_expire(tcp, now);
        break;
    case 7:
        if (conn == NULL)
            break;
        if (b[2] & 1)
            (void)sp_tcp_promise(tcp, now, conn, (size_t)b[1] << (b[2] >> 5));
        size_t wanted = b[1] * 16u, sure = sp_tcp_room(tcp, conn) > 0 ? conn->promised : 0;
        SP_ASSERT(sp_tcp_write(tcp, now, conn, bytes, wanted) >= (wanted < sure ? wanted : sure));
        break;
    case 8:
        if (conn == NULL || (b[1] & 3) == 0) {
            (void)!sp_tcp_connect(tcp, now, &local, &remote, 0, &conn);
        } else if ((b[1] & 3) == 1) {
            sp_tcp_end(tcp, now, conn);
        } else if ((b[1] & 3) == 2) {
            sp_tcp_close(tcp, now, conn);
        } else {
            sp_tcp_reset(tcp, now, conn);
            conn = NULL;
        }
        break;
    case 9:
        if (conn != NULL) {
            uint8_t quoted[8];
            sp_put_u16(quoted, conn->lport);
            sp_put_u16(quoted + 2, conn->rport);
            sp_put_u32(quoted + 4, conn->snd_una + b[1]);
            struct sp_tcp_packet p = {.family = 4, .src = {10, 1}, .dst = {10, 9}, .data = quoted, .len = 8};
            sp_tcp_path_mtu(tcp, now, &p, (uint16_t)(b[2] << 3));
        }
        break;
    }
    events(b[0]);
    drain();
    return used;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    static const uint8_t seed[SP_RNG_SEED] = "tcp";
    static struct sp_mem mem;
    static struct sp_rng rng;
    if (len < 2 || sp_crypto_init() != SP_OK)
        return 0;
    sp_rng_init(&rng, seed);
    sp_mem_init(&mem, (struct sp_grant){NULL, grant, release}, SP_CHUNK);
    struct sp_tcp_config c = {.mem = &mem, .rng = &rng, .mtu = 1500, .ports = {80}, .port_count = 1, .segments = data[0] & 1, .nagle = data[0] & 2,
                              .connections = 8, .half_open = 2, .time_waits = 4, .memory = MEMORY, .send_max = 65536,
                              .receive_max = data[0] & 4 ? 2000 : 100000};
    SP_ASSERT(sp_tcp_new(&tcp, &c) == SP_OK);
    base = (uint32_t)data[1] << 24;
    now = 1000 * SP_SEC;
    conn = NULL;
    data += 2;
    len -= 2;
    for (unsigned n = 0; n < STEPS && len >= 8; n++) {
        size_t used = step(data, len);
        data += used;
        len -= used;
    }
    sp_tcp_free(tcp);
    SP_ASSERT(mem.used == 0);
    sp_mem_done(&mem);
    return 0;
}
