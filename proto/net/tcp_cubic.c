/* How much may be under way: CUBIC, RFC 9438, in bytes; slow start and idleness, RFC 5681.
 *
 * Segments are not paced. Measured at 100 Mb/s, with slow starts at twice the window's rate: where the queue on the way is a quarter of
 * what the path holds it wins (64 -> 91% at 40 ms), where it is a twentieth it wins nothing and loses a hundred times as many segments.
 * Nor is there HyStart++ (RFC 9406): it changed nothing in these, as the first segments of an unpaced window find an empty queue. */
#include "proto/net/tcp_impl.h"

#define BETA(x)  ((uint32_t)((uint64_t)(x)*7 / 10))
#define AGES_MAX (200 * SP_SEC)

void tcp_cubic_init(struct sp_tcp_conn *c) {
    c->cubic = (struct tcp_cubic){.window = TCP_WINDOW_INIT * (uint32_t)c->mss, .threshold = UINT32_MAX};
}

static uint64_t cube_root(uint64_t x) {
    uint64_t low = 0, high = 2642246; /* whose cube is just above 2^64 */
    while (low + 1 < high) {
        uint64_t mid = (low + high) / 2;
        if (mid <= x / mid / mid)
            low = mid;
        else
            high = mid;
    }
    return low;
}

/* 4.2: K = cbrt((W_max - cwnd) / C), with C = 0.4 segments / s^3. */
static void epoch_begin(struct sp_tcp_conn *c, sp_instant now) {
    struct tcp_cubic *k = &c->cubic;
    k->epoch = now;
    k->start = k->window;
    k->friendly = k->window;
    k->k = 0;
    k->origin = k->window;
    if (k->max > k->window) {
        uint64_t missing = (uint64_t)(k->max - k->window) * 1000 / c->mss; /* thousandths of a segment */
        k->k = cube_root(missing * 2500000) * SP_MS; /* ms: missing / 1000 / 0.4 s^3 = missing * 2.5e6 ms^3 */
        k->origin = k->max;
    }
}

/* 4.2: W_cubic(t) = C (t - K)^3 + W_max. */
static uint32_t target(const struct sp_tcp_conn *c, sp_instant now) {
    const struct tcp_cubic *k = &c->cubic;
    sp_duration t = now - k->epoch + c->rtt.srtt;
    if (t > AGES_MAX)
        t = AGES_MAX;
    uint64_t d = (t > k->k ? t - k->k : k->k - t) / SP_MS;
    if (d > 20000)
        d = 20000;
    uint64_t off = d * d * d / 1000 * c->mss / 2500000; /* 0.4 mss d^3 / 1e9 */
    uint64_t w = t > k->k ? k->origin + off : k->origin > off ? k->origin - off : 0;
    uint64_t most = (uint64_t)k->window + k->window / 2; /* 4.2: between cwnd and 1.5 cwnd */
    w = w > most ? most : w;
    return w > k->window ? (uint32_t)w : k->window;
}

void tcp_cubic_acked(struct sp_tcp_conn *c, sp_instant now, uint32_t bytes) {
    struct tcp_cubic *k = &c->cubic;
    if (!k->limited) /* what was not used proves nothing: RFC 9438 5.8 */
        return;
    k->limited = false;
    if (k->window < k->threshold) {
        k->window += u32_min(bytes, k->threshold - k->window);
        return;
    }
    if (k->epoch == 0)
        epoch_begin(c, now);
    /* 4.3: alpha = 3 (1 - beta) / (1 + beta) = 9/17, until as large as before the loss, then 1. */
    uint64_t grown = (uint64_t)bytes * c->mss / k->window;
    k->friendly += k->friendly < k->max ? grown * 9 / 17 : grown;
    uint32_t to = target(c, now);
    if (k->friendly > to)
        to = k->friendly > UINT32_MAX / 2 ? UINT32_MAX / 2 : (uint32_t)k->friendly;
    /* 4.4: by (target - cwnd) / cwnd for each segment. */
    uint64_t step = (uint64_t)(to - k->window) * bytes + k->counted;
    k->window += (uint32_t)(step / k->window);
    k->counted = (uint32_t)(step % k->window);
}

/* 4.6, 4.7. */
void tcp_cubic_lost(struct sp_tcp_conn *c) {
    struct tcp_cubic *k = &c->cubic;
    k->max = k->window < k->max ? (uint32_t)((uint64_t)k->window * 17 / 20) : k->window; /* fast convergence */
    k->threshold = u32_max(BETA(k->window), 2u * c->mss);
    k->window = k->threshold;
    k->epoch = 0;
    k->counted = 0;
}

/* 4.8; RFC 5681 3.1. */
void tcp_cubic_timeout(struct sp_tcp_conn *c) {
    struct tcp_cubic *k = &c->cubic;
    if (c->backoff == 0) { /* the first one */
        k->max = k->window;
        k->threshold = u32_max(BETA(k->window), 2u * c->mss);
    }
    k->window = c->mss;
    k->epoch = 0;
}

/* RFC 5681 4.1. */
void tcp_cubic_idle(struct sp_tcp_conn *c) {
    struct tcp_cubic *k = &c->cubic;
    k->window = u32_min(k->window, TCP_WINDOW_INIT * (uint32_t)c->mss);
    k->epoch = 0;
}
