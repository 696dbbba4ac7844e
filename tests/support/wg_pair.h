/* Two WireGuard devices and a wire between them, in virtual time. */
#ifndef SP_TESTS_WG_PAIR_H
#define SP_TESTS_WG_PAIR_H

#include "proto/base/mem.h"
#include "proto/wg/keypair.h"
#include "proto/wg/wg.h"

#define SP_TEST_WG_MSG    1500
#define SP_TEST_WG_FLIGHT 512

struct sp_test_wg {
    struct sp_mem mem;
    struct sp_rng rng;
    uint8_t secret[32];
    struct sp_wg *wg;
    struct sp_wg_peer *peer; /* the other one */
    uint8_t from[18];        /* what the other one sees as our source */
    /* what came */
    unsigned answered, fresh, data, keepalives, replies, unknown;
    uint8_t last[SP_TEST_WG_MSG];
    size_t last_len;
    sp_instant last_at;
    /* what was sent, by type */
    unsigned sent[5];
};

struct sp_test_flight {
    sp_instant at; /* arrives */
    unsigned to;
    size_t len;
    uint8_t data[SP_TEST_WG_MSG];
};

struct sp_test_pair {
    struct sp_test_wg end[2];
    sp_instant now;
    sp_wall wall;
    sp_duration delay;
    bool cut[2]; /* nothing reaches this end */
    /* Set: asked of every message before it flies; false drops it. */
    bool (*filter)(struct sp_test_pair *w, unsigned to, uint8_t *data, size_t len);
    void *ctx;
    unsigned flying;
    struct sp_test_flight flight[SP_TEST_WG_FLIGHT];
};

/* Both know each other. config: NULL, or limits and indices to use (its mem, secret, rng are ignored). */
void sp_test_pair_new(struct sp_test_pair *w, const struct sp_wg_config *config, const uint8_t psk[32]);
void sp_test_pair_done(struct sp_test_pair *w);
/* Puts a message on the wire to this end. */
void sp_test_pair_fly(struct sp_test_pair *w, unsigned to, const uint8_t *data, size_t len);
/* Seals `len` bytes of `fill` and sends them from this end. */
sp_err sp_test_pair_send(struct sp_test_pair *w, unsigned from, uint8_t fill, size_t len);
/* Pulls what both want to send. */
void sp_test_pair_pull(struct sp_test_pair *w);
/* Lets time pass: deliveries, deadlines. */
void sp_test_pair_run(struct sp_test_pair *w, sp_duration time);
/* A handshake from end 0, and its confirmation. */
void sp_test_pair_up(struct sp_test_pair *w);
struct sp_wg_peer_stats sp_test_pair_stats(const struct sp_test_pair *w, unsigned end);

#endif
