/* Two TCPs with one connection between them, and a wire in virtual time: it delays, limits, loses, doubles, changes the order, and
 * carries packets up to a size only, whether it says so or not. The same seed gives the same wire. */
#ifndef SP_TESTS_TCP_PAIR_H
#define SP_TESTS_TCP_PAIR_H

#include "proto/net/tcp.h"

struct tcp_wire_packet;

struct tcp_wire {
    sp_duration delay, jitter;
    unsigned loss, twice, late; /* of 1,000; late ones take twice the delay */
    uint64_t bytes_per_s;       /* 0: no limit */
    sp_duration queue;          /* that the limit keeps; more is lost */
    uint16_t mtu;               /* larger IP packets vanish; 0: none */
    bool silent;                /* about that no ICMP message comes */
};

struct tcp_end {
    struct sp_mem mem;
    struct sp_rng rng;
    struct sp_tcp *tcp;
    struct sp_tcp_conn *conn;
    bool opened, got_end, closed, end_after; /* end_after: ends once all is written */
    sp_err err;
    uint64_t to_write, written, read, wrong;
    size_t chunk;       /* written at a time */
    bool holds;         /* reads without consuming, which the test does: of `held` */
    size_t held;
    sp_instant free_at; /* when the wire has sent what it was given */
    sp_instant got_at;  /* when the last byte came */
};

struct tcp_pair {
    struct tcp_end e[2];
    struct tcp_wire wire;
    uint8_t family;
    struct sp_rng rng;
    sp_instant now;
    struct tcp_wire_packet *first, *last; /* by time */
    uint64_t lost, sent, too_big;
    /* Sees, and may change, what goes over the wire; true: it is dropped. */
    bool (*filter)(struct tcp_pair *n, unsigned from, struct sp_tcp_packet *p, uint8_t *data);
    void *filter_state;
};

/* Both with their configurations, of which memory, randomness, and an MTU of 1,500 unless another is given, are set here. */
struct tcp_pair *tcp_pair_new(unsigned seed, const struct sp_tcp_config *a, const struct sp_tcp_config *b);
void tcp_pair_free(struct tcp_pair *n); /* asserts that no memory is left in use */

struct sp_addr tcp_pair_addr(const struct tcp_pair *n, unsigned who, uint16_t port);
void tcp_pair_connect(struct tcp_pair *n); /* end 0 to port 80 of end 1 */
/* The next thing that is due until then. False: there is nothing, and it is then (unless that is never). */
bool tcp_pair_step(struct tcp_pair *n, sp_instant until);
/* Events, writing and output of one end, after the test has called its TCP. */
void tcp_pair_turn(struct tcp_pair *n, unsigned i);

/* The byte at a place of each stream. */
static inline uint8_t tcp_pair_byte(uint64_t at) {
    return (uint8_t)((at * UINT64_C(0x9e3779b97f4a7c15)) >> 41);
}

#endif
