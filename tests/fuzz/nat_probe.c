/* Plaintexts of a session, one after the other: u8 of time that passes (in units of 20 ms), u16 length, bytes. Probes
 * are written and read to the same; halves join to IP packets no longer than both; the path MTU question keeps to its
 * states. */
#include <string.h>

#include "proto/nat/probe.h"
#include "tests/support/support.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct sp_split split;
static uint8_t out[1 << 17], packet[SP_SPLIT_PACKET];

static void again(const struct sp_probe *p) {
    struct sp_probe back;
    size_t n = sp_probe_write(p, out, sizeof out);
    SP_ASSERT(n > 0 && sp_probe_read(&back, out, n) == SP_OK);
    SP_ASSERT(back.kind == p->kind && back.flags == p->flags && back.path == p->path && back.cookie == p->cookie &&
              back.size == p->size && back.part == p->part && back.id == p->id && back.len == p->len);
    SP_ASSERT(memcmp(&back.seen, &p->seen, sizeof back.seen) == 0);
    SP_ASSERT(p->len == 0 || memcmp(back.data, p->data, p->len) == 0);
}

static void join(const struct sp_probe *half, sp_instant now) {
    size_t n = 0;
    sp_err err = sp_split_join(&split, half, now, packet, sizeof packet, &n);
    if (err == SP_OK)
        SP_ASSERT(n > half->len && n <= sizeof packet && (packet[0] >> 4 == 4 || packet[0] >> 4 == 6));
    else
        SP_ASSERT(n == 0 && (err == SP_ERR_AGAIN || err == SP_ERR_RANGE || err == SP_ERR_FORM));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    struct sp_rd rd = sp_rd_init(data, len);
    struct sp_pmtu m = {0};
    sp_instant now = SP_SEC;
    memset(&split, 0, sizeof split);
    sp_pmtu_begin(&m, now);
    for (unsigned cookie = 0; sp_rd_left(&rd) >= 3; cookie++) {
        now += sp_rd_u8(&rd) * 20 * SP_MS;
        if (sp_pmtu_due(&m, now, 50 * SP_MS, cookie))
            SP_ASSERT(m.cookie == cookie && m.next > now);
        SP_ASSERT(m.state >= SP_PMTU_PROBING && m.state <= SP_PMTU_SMALL && m.sent <= 4);
        size_t n = sp_rd_u16(&rd);
        n = n < sp_rd_left(&rd) ? n : sp_rd_left(&rd);
        const uint8_t *bytes = sp_rd_bytes(&rd, n);
        struct sp_probe p = {0};
        if (sp_probe_read(&p, bytes, n) != SP_OK || p.kind == SP_PROBE_NONE)
            continue;
        again(&p);
        if (p.kind == SP_PROBE_SPLIT)
            join(&p, now);
        if (p.kind == SP_PROBE_PONG && sp_pmtu_pong(&m, &p, now))
            SP_ASSERT(m.state == SP_PMTU_FULL && p.size >= SP_PATH_FULL);
    }
    return 0;
}
