/* Messages from the network, one after another, against a device with a session, one that is under load, and a handshake that waits.
 * Input: pieces of u8 how, u8 length, bytes. how: which source, and whether the piece replaces a message whole, is laid over a true
 * one at an offset (so that what lies behind macs is reached), or lets time pass. */
#include <stdlib.h>
#include <string.h>

#include "proto/base/bytes.h"
#include "tests/support/wg_pair.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct sp_test_pair w;

/* Macs as whoever knows the device's public key makes them. */
static void resign(const struct sp_wg *wg, uint8_t *msg, size_t len) {
    uint8_t key[32];
    struct sp_piece label[] = {{"mac1----", 8}, {sp_wg_public(wg), 32}}, body = {msg, len - 32};
    sp_blake2s(NULL, 0, label, 2, key, 32);
    sp_blake2s(key, 32, &body, 1, msg + len - 32, 16);
}

static void give(unsigned to, uint8_t source, const uint8_t *msg, size_t len) {
    uint8_t from[18] = {source}, *exact = malloc(len > 0 ? len : 1), *out = malloc(len > 0 ? len : 1);
    struct sp_wg_got got;
    for (size_t i = 0; i < len; i++)
        exact[i] = msg[i];
    bool shaped = sp_wg_shaped(exact, len);
    (void)sp_wg_mine(w.end[to].wg, exact, len);
    (void)sp_wg_index_lives(w.end[to].wg, exact, len);
    sp_wg_input(w.end[to].wg, w.now, w.wall, from, sizeof from, exact, len, out, &got);
    if ((!shaped && got.kind != SP_WG_DROPPED) || got.len > len || got.reply_len > len || (got.kind == SP_WG_REPLY && got.reply_len == 0) ||
        (got.data != NULL && got.data != out))
        abort();
    free(exact);
    free(out);
}

/* A true message of this type, to be spoilt. */
static size_t true_message(unsigned to, unsigned type, uint8_t out[SP_TEST_WG_MSG]) {
    size_t len = 0;
    if (type == SP_WG_TYPE_DATA && sp_wg_seal(w.end[!to].wg, w.end[!to].peer, w.now, out, SP_TEST_WG_MSG, 64, &len) == SP_OK)
        return len;
    w.now += 20 * SP_MS;
    if (sp_wg_initiate(w.end[!to].wg, w.end[!to].peer, w.now, w.wall, out) != SP_OK)
        abort();
    return SP_WG_INITIATION;
}

static void piece(uint8_t how, struct sp_rd *r) {
    uint8_t msg[SP_TEST_WG_MSG] = {0};
    unsigned to = how & 1;
    size_t n = sp_rd_left(r), len = 0;
    switch (how >> 1 & 3) {
    case 0: /* as it is */
        sp_rd_copy(r, msg, n);
        give(to, how >> 4, msg, n);
        return;
    case 1: /* time */
        sp_test_pair_run(&w, (how >> 3) * (SP_SEC / 2) + sp_rd_u8(r) * SP_MS);
        return;
    default: /* over a true one, with macs made right again or not */
        len = true_message(to, how & 2 ? SP_WG_TYPE_DATA : SP_WG_TYPE_INITIATION, msg);
        for (size_t at = sp_rd_u8(r); sp_rd_left(r) > 0 && at < len; at++)
            msg[at] ^= sp_rd_u8(r);
        if ((how & 8) != 0 && len == SP_WG_INITIATION)
            resign(w.end[to].wg, msg, len);
        give(to, how >> 4, msg, len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    struct sp_wg_config c = {.peers = 4, .initiations_per_s = len & 1 ? 1000 : 1, .initiations_max = 1000};
    struct sp_rd r = sp_rd_init(data, len);
    if (sp_crypto_init() != SP_OK)
        abort();
    sp_test_pair_new(&w, &c, NULL);
    sp_test_pair_run(&w, SP_SEC);
    sp_test_pair_up(&w);
    for (unsigned i = 0; i < 64 && sp_rd_left(&r) >= 2; i++) {
        uint8_t how = sp_rd_u8(&r);
        size_t n = sp_rd_u8(&r);
        struct sp_rd sub = sp_rd_sub(&r, n < sp_rd_left(&r) ? n : sp_rd_left(&r));
        piece(how, &sub);
    }
    /* Whatever came, two devices that hear each other again have a session soon. */
    sp_test_pair_run(&w, 6 * SP_SEC);
    for (unsigned i = 0; i < 2; i++)
        sp_wg_peer_handshake(w.end[i].wg, w.end[i].peer, false, w.now);
    sp_test_pair_run(&w, 12 * SP_SEC);
    unsigned before = w.end[1].data;
    if (sp_test_pair_send(&w, 0, 1, 64) != SP_OK)
        abort();
    sp_test_pair_run(&w, SP_SEC);
    if (w.end[1].data != before + 1)
        abort();
    sp_test_pair_done(&w);
    return 0;
}
