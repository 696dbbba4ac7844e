#include "proto/wg/impl.h"

#include <string.h>

#define STAMP_STEP (UINT64_C(1) << 24) /* ns, about 17 ms: finer would tell strangers how our clock runs */
#define TAI64_BASE (UINT64_C(0x4000000000000000) + 10)

/* P 5.1: a TAI64N that only grows, whatever the clock does. Between two steps of the clock it grows by a nanosecond. */
static void make_stamp(struct sp_wg *wg, sp_wall wall, uint8_t ret[SP_WG_STAMP]) {
    uint64_t ns = wall.ns & ~(STAMP_STEP - 1), floor = wg->config.timestamp_floor_s;
    if (floor != 0 && ns / SP_SEC <= floor)
        ns = (floor + 1) * SP_SEC;
    if (ns <= wg->stamp_ns)
        ns = wg->stamp_ns + 1;
    wg->stamp_ns = ns;
    struct sp_wr w = sp_wr_init(ret, SP_WG_STAMP);
    sp_wr_u64(&w, TAI64_BASE + ns / SP_SEC);
    sp_wr_u32(&w, (uint32_t)(ns % SP_SEC));
    SP_ASSERT(w.err == SP_OK);
}

uint64_t sp_wg_timestamp_s(const struct sp_wg *wg) {
    return wg->stamp_ns / SP_SEC;
}

void sp_wg_timestamp_floor(struct sp_wg *wg, uint64_t wall_s) {
    if (wall_s > wg->config.timestamp_floor_s)
        wg->config.timestamp_floor_s = wall_s;
}

static sp_err make_initiation(struct sp_wg_peer *p, sp_instant now, sp_wall wall, uint8_t out[SP_WG_INITIATION]) {
    uint8_t stamp[SP_WG_STAMP];
    wg_forget_sent(p);
    SP_TRY(wg_index_new(p->wg, &p->sent.entry));
    p->sent.waits = true;
    p->sent.forged = 0;
    make_stamp(p->wg, wall, stamp);
    wg_noise_initiate(p->wg, p, stamp, out);
    wg_mac_put(p, out, SP_WG_INITIATION, now);
    wg_sent_initiation(p, now);
    return SP_OK;
}

sp_err sp_wg_initiate(struct sp_wg *wg, struct sp_wg_peer *p, sp_instant now, sp_wall wall, uint8_t ret[SP_WG_INITIATION]) {
    if (p->initiation_at != SP_NEVER && now < p->initiation_at + INITIATION_GAP)
        return SP_ERR_AGAIN;
    p->retry_until = sp_instant_add(now, REKEY_ATTEMPT_TIME);
    return make_initiation(p, now, wall, ret);
}

sp_err sp_wg_seal(struct sp_wg *wg, struct sp_wg_peer *p, sp_instant now, uint8_t *buf, size_t cap, size_t len, size_t *ret_len) {
    struct sp_wg_keypair *k = p->current;
    if (!wg_keypair_usable(k, now)) {
        wg_ask(p, now);
        return SP_ERR_AGAIN;
    }
    SP_TRY(sp_wg_keypair_seal(k, &wg->config.aead, buf, cap, len, ret_len));
    k->seen_sealed++;
    wg_sent_message(p, len > 0, now);
    return SP_OK;
}

/* False: without a keypair there is nothing to say yet; the handshake that was asked for says it. */
static bool make_keepalive(struct sp_wg_peer *p, sp_instant now, uint8_t out[SP_WG_OVERHEAD]) {
    size_t len;
    p->want_keepalive = false;
    return sp_wg_seal(p->wg, p, now, out, SP_WG_OVERHEAD, 0, &len) == SP_OK;
}

bool sp_wg_pull(struct sp_wg *wg, sp_instant now, sp_wall wall, struct sp_wg_peer **ret_peer, uint8_t ret[SP_WG_MSG_MAX],
                size_t *ret_len) {
    while (wg->ready_first != NULL) {
        struct sp_wg_peer *p = wg->ready_first;
        size_t len = 0;
        if (p->want_keepalive && make_keepalive(p, now, ret)) {
            len = SP_WG_OVERHEAD;
        } else if (p->want_initiation) {
            p->want_initiation = false;
            if (make_initiation(p, now, wall, ret) == SP_OK)
                len = SP_WG_INITIATION;
            else
                wg->counts.dropped_full++;
        }
        if (!p->want_keepalive && !p->want_initiation)
            wg_ready_drop(p);
        if (len == 0)
            continue;
        *ret_peer = p;
        *ret_len = len;
        return true;
    }
    return false;
}
