#include "proto/control/remote_link.h"

#include <string.h>

#define TRY_FIRST SP_SEC
#define TRY_MOST  (4 * SP_SEC)
#define SILENT    (6 * SP_SEC) /* with nothing heard for so long the session may be gone there */

sp_err sp_remote_link_init(struct sp_remote_link *l, struct sp_mem *mem, struct sp_rng *rng,
                           const struct sp_ed25519 *key, const uint8_t signpost[SP_ED25519_PUB], uint32_t reply_max,
                           sp_instant now) {
    uint8_t pub[SP_X25519];
    uint64_t hello;
    *l = (struct sp_remote_link){.rng = rng, .try_at = now, .wait = TRY_FIRST, .heard_at = now};
    SP_TRY(sp_ed25519_to_x25519(signpost, pub));
    struct sp_wg_config c = {.mem = mem, .rng = rng, .peers = 1, .initiations_per_s = 10, .initiations_max = 10};
    sp_ed25519_secret_to_x25519(key, c.secret);
    sp_err err = sp_wg_new(&l->wg, &c, now);
    sp_wipe(&c, sizeof c);
    if (err == SP_OK)
        err = sp_wg_peer_add(l->wg, pub, NULL, NULL, now, &l->peer);
    if (err != SP_OK) {
        sp_wg_free(l->wg);
        l->wg = NULL;
        return err;
    }
    sp_rng_fill(rng, &hello, sizeof hello);
    sp_remote_call_init(&l->call, mem, reply_max, hello, now);
    return SP_OK;
}

void sp_remote_link_free(struct sp_remote_link *l) {
    sp_remote_call_free(&l->call);
    sp_wg_free(l->wg);
    sp_wipe(l, sizeof *l);
}

/* ---- in ---- */

static void heard(struct sp_remote_link *l, sp_instant now) {
    l->up = true;
    l->heard_at = now;
    l->wait = TRY_FIRST;
    l->try_at = sp_instant_add(now, SILENT);
}

/* A handshake for somebody else is a DNS message with this id: FORMERR. */
static bool is_formerr(const uint8_t *data, size_t len) {
    return len >= 12 && data[0] == SP_WG_TYPE_INITIATION && data[1] == 0 && (data[2] & 0x80) != 0 &&
           (data[3] & 15) == 1;
}

void sp_remote_link_input(struct sp_remote_link *l, sp_instant now, sp_wall wall, const uint8_t *data, size_t len) {
    uint8_t plain[SP_REMOTE_SEALED];
    struct sp_wg_got got;
    if (len > sizeof plain)
        return;
    if (!l->up && is_formerr(data, len))
        l->elsewhere = true;
    sp_wg_input(l->wg, now, wall, (const uint8_t *)"", 0, data, len, plain, &got);
    if (got.kind == SP_WG_ANSWERED || got.kind == SP_WG_DATA || got.kind == SP_WG_KEEPALIVE)
        heard(l, now);
    if (got.kind == SP_WG_DATA)
        sp_remote_call_input(&l->call, now, got.data, got.len);
    sp_wipe(plain, sizeof plain);
}

/* ---- time ---- */

void sp_remote_link_expire(struct sp_remote_link *l, sp_instant now) {
    sp_wg_expire(l->wg, now);
    sp_remote_call_expire(&l->call, now);
}

sp_instant sp_remote_link_deadline(const struct sp_remote_link *l) {
    sp_instant at = sp_instant_min(sp_wg_deadline(l->wg), l->try_at);
    return sp_instant_min(at, sp_remote_call_deadline(&l->call));
}

/* ---- out ---- */

size_t sp_remote_link_output(struct sp_remote_link *l, sp_instant now, sp_wall wall, uint8_t *out) {
    struct sp_wg_peer *peer;
    size_t len;
    if (l->try_at <= now) {
        l->try_at = sp_instant_add(now, l->wait);
        l->wait = l->wait * 2 < TRY_MOST ? l->wait * 2 : TRY_MOST;
        sp_wg_peer_handshake(l->wg, l->peer, true, now);
    }
    if (sp_wg_pull(l->wg, now, wall, &peer, out, &len))
        return len;
    if (!sp_wg_peer_up(l->peer, now))
        return 0;
    len = sp_remote_call_output(&l->call, now, out + SP_WG_HEAD);
    if (len == 0 || sp_wg_seal(l->wg, l->peer, now, out, SP_REMOTE_SEALED, len, &len) != SP_OK)
        return 0;
    return len;
}
