/* What WireGuard costs, without sockets: wg_micro. Sealing and opening with each engine, whole handshakes, dropping what is forged.
 * The best of several rounds, on one CPU. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "proto/crypto/aead_openssl.h"
#include "tests/support/wg_pair.h"

#define ROUNDS   7
#define MESSAGES 2000
#define WIRE     1424

static double now_s(void) {
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void need(bool good) {
    if (!good)
        abort();
}

static struct sp_test_pair w;
static uint8_t buf[MESSAGES][WIRE];
static size_t wire[MESSAGES];

static void seal_all(size_t len) {
    for (unsigned i = 0; i < MESSAGES; i++)
        need(sp_wg_seal(w.end[0].wg, w.end[0].peer, w.now, buf[i], WIRE, len, &wire[i]) == SP_OK);
}

static void open_all(void) {
    struct sp_wg_got got;
    for (unsigned i = 0; i < MESSAGES; i++) {
        sp_wg_input(w.end[1].wg, w.now, w.wall, w.end[0].from, 18, buf[i], wire[i], buf[i] + SP_WG_HEAD, &got);
        need(got.kind == SP_WG_DATA);
    }
}

static void data(const char *engine, const struct sp_aead *aead, size_t len) {
    struct sp_wg_config c = {.peers = 4, .initiations_per_s = 100, .initiations_max = 100, .aead = *aead};
    double seal = 1e9, open = 1e9;
    sp_test_pair_new(&w, &c, NULL);
    sp_test_pair_up(&w);
    for (unsigned r = 0; r < ROUNDS; r++) {
        double start = now_s();
        seal_all(len);
        double middle = now_s();
        open_all();
        double end = now_s();
        seal = middle - start < seal ? middle - start : seal;
        open = end - middle < open ? end - middle : open;
    }
    printf("%-10s %5zu bytes: seal %7.0f ns %6.2f GB/s   open %7.0f ns %6.2f GB/s\n", engine, len, seal / MESSAGES * 1e9,
           (double)len * MESSAGES / seal / 1e9, open / MESSAGES * 1e9, (double)len * MESSAGES / open / 1e9);
    sp_test_pair_done(&w);
}

/* Both sides of a handshake and its confirmation, one after another. */
static void handshakes(void) {
    enum { N = 500 };
    static uint8_t first[N][SP_WG_INITIATION];
    struct sp_wg_config c = {.peers = 4, .initiations_per_s = 1000000, .initiations_max = 1000000};
    struct sp_wg_got got;
    uint8_t out[SP_WG_INITIATION], forged[SP_WG_INITIATION];
    sp_test_pair_new(&w, &c, NULL);
    double initiate = 0, respond = 0, finish = 0, start;
    for (unsigned i = 0; i < N; i++) {
        w.now += SP_SEC;
        start = now_s();
        need(sp_wg_initiate(w.end[0].wg, w.end[0].peer, w.now, w.wall, first[i]) == SP_OK);
        initiate += now_s() - start;
        start = now_s();
        sp_wg_input(w.end[1].wg, w.now, w.wall, w.end[0].from, 18, first[i], SP_WG_INITIATION, out, &got);
        respond += now_s() - start;
        need(got.kind == SP_WG_REPLY);
        start = now_s();
        sp_wg_input(w.end[0].wg, w.now, w.wall, w.end[1].from, 18, got.reply, got.reply_len, out, &got);
        finish += now_s() - start;
        need(got.kind == SP_WG_ANSWERED);
    }
    printf("handshakes a second: initiate %.0f, answer %.0f, finish %.0f\n", N / initiate, N / respond, N / finish);
    start = now_s();
    for (unsigned i = 0; i < N; i++)
        sp_wg_input(w.end[1].wg, w.now, w.wall, w.end[0].from, 18, first[i], SP_WG_INITIATION, out, &got);
    printf("replayed initiations dropped a second: %.0f\n", N / (now_s() - start));
    memcpy(forged, first[0], sizeof forged);
    forged[20] ^= 1;
    start = now_s();
    for (unsigned i = 0; i < 100 * N; i++)
        sp_wg_input(w.end[1].wg, w.now, w.wall, w.end[0].from, 18, forged, SP_WG_INITIATION, out, &got);
    printf("initiations with a wrong mac1 dropped a second: %.0f\n", 100 * N / (now_s() - start));
    sp_test_pair_done(&w);
    c.initiations_per_s = 0; /* the other limit lets all cookies through */
    sp_test_pair_new(&w, &c, NULL);
    w.now += SP_SEC;
    need(sp_wg_initiate(w.end[0].wg, w.end[0].peer, w.now, w.wall, first[0]) == SP_OK);
    start = now_s();
    for (unsigned i = 0; i < 20 * N; i++)
        sp_wg_input(w.end[1].wg, w.now, w.wall, w.end[0].from, 18, first[0], SP_WG_INITIATION, out, &got);
    printf("cookies a second, under load: %.0f\n", 20 * N / (now_s() - start));
    sp_test_pair_done(&w);
}

/* No cipher at all: what is left is proto/wg's own work. */
static void no_seal(void *ctx, uint8_t *out, const uint8_t *key, uint64_t counter, const uint8_t *in, size_t len) {
}

static bool no_open(void *ctx, uint8_t *out, const uint8_t *key, uint64_t counter, const uint8_t *in, size_t len) {
    return true;
}

int main(void) {
    static const size_t lengths[] = {64, 576, 1280, 1392};
    struct sp_aead sodium, openssl, none = {no_seal, no_open, NULL};
    need(sp_crypto_init() == SP_OK && sp_aead_openssl_new(&openssl) == SP_OK);
    sp_aead_sodium(&sodium);
    for (unsigned i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        data("libsodium", &sodium, lengths[i]);
        data("OpenSSL", &openssl, lengths[i]);
    }
    data("no cipher", &none, 1280);
    handshakes();
    sp_aead_openssl_free(&openssl);
    return 0;
}
