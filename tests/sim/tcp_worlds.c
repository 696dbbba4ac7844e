/* Both ends write a pattern, to the end, and compare what comes; nothing may be wrong, missing, left over, or stand still. */
#include "tests/sim/tcp.h"

#include "tests/support/tcp_pair.h"

#define PATIENCE SP_HOUR /* without a byte more at either end; also when TCP itself gives up */

struct world {
    struct sim *sim;
    struct tcp_pair *pair;
    sp_instant progress_at;
    uint64_t progress;
};

static struct sp_tcp_config config(void) {
    return (struct sp_tcp_config){.ports = {80}, .port_count = 1, .give_up = PATIENCE};
}

static unsigned below(struct sim *s, unsigned bound) {
    return (unsigned)sim_below(s, bound);
}

/* ---- one transfer ---- */

static void begin(struct world *w, struct sim *s, const struct sp_tcp_config *a, const struct sp_tcp_config *b, uint64_t forth,
                  uint64_t back) {
    *w = (struct world){.sim = s, .pair = tcp_pair_new((unsigned)s->seed, a, b)};
    struct tcp_pair *n = w->pair;
    n->family = sim_chance(s, 50) ? 4 : 6;
    n->e[0].to_write = forth;
    n->e[1].to_write = back;
    n->e[0].end_after = n->e[1].end_after = true;
    w->progress_at = s->now = n->now;
    sim_note(s, "forth, back", forth, back);
}

static bool done(const struct world *w) {
    return w->pair->e[0].closed && w->pair->e[1].closed;
}

/* Lets happen what is due until then; false: both have ended. */
static bool go(struct world *w, sp_instant until) {
    struct tcp_pair *n = w->pair;
    while (!done(w) && n->now < until && tcp_pair_step(n, until)) {
        uint64_t progress = n->e[0].read + n->e[1].read;
        w->sim->now = n->now;
        if (progress != w->progress) {
            w->progress = progress;
            w->progress_at = n->now;
        }
        sim_check(w->sim, n->e[0].wrong + n->e[1].wrong == 0, "wrong bytes, of %llu and %llu", (unsigned long long)n->e[0].read,
                  (unsigned long long)n->e[1].read);
        sim_check(w->sim, n->now - w->progress_at < PATIENCE, "it stands still at %llu and %llu bytes",
                  (unsigned long long)n->e[0].read, (unsigned long long)n->e[1].read);
    }
    w->sim->now = n->now;
    return !done(w);
}

static void check_end(struct world *w, unsigned i) {
    struct sim *s = w->sim;
    const struct tcp_end *e = &w->pair->e[i], *peer = &w->pair->e[!i];
    sim_check(s, e->closed && e->err == SP_OK, "end %u: closed %d, %s, at %llu of %llu", i, e->closed, sp_err_text(e->err),
              (unsigned long long)e->read, (unsigned long long)peer->to_write);
    sim_check(s, e->got_end && e->wrong == 0 && e->read == peer->to_write, "end %u: %llu of %llu bytes", i, (unsigned long long)e->read,
              (unsigned long long)peer->to_write);
    sim_check(s, sp_tcp_buffered(e->tcp) == 0 && sp_tcp_connections(e->tcp) == 0, "end %u holds %zu bytes when all is over", i,
              sp_tcp_buffered(e->tcp));
}

static void finish(struct world *w, struct tcp_result *r) {
    while (go(w, SP_NEVER - 1))
        sim_check(w->sim, w->pair->first != NULL || done(w), "nothing is left that could happen");
    for (unsigned i = 0; i < 2; i++) {
        const struct sp_tcp_counts *c = sp_tcp_counts(w->pair->e[i].tcp);
        check_end(w, i);
        sim_note(w->sim, "read, segments", w->pair->e[i].read, c->segments_out);
        r->bytes += w->pair->e[i].read;
        r->again += c->retransmitted;
        r->timeouts += c->timeouts;
        r->black_holes += c->black_holes;
    }
    r->segments += w->pair->sent;
    r->lost += w->pair->lost;
    sim_note(w->sim, "took", w->pair->now - 1000 * SP_SEC, w->pair->lost);
    tcp_pair_free(w->pair);
}

/* ---- worlds ---- */

static void any_wire(struct sim *s, struct tcp_wire *w) {
    static const unsigned losses[] = {0, 1, 10, 30, 50, 100, 200, 300};
    w->loss = losses[below(s, 8)];
    w->delay = sim_skewed(s, 10, 200000) * SP_US;
    w->jitter = sim_chance(s, 50) ? sim_below(s, 2 * w->delay) : 0;
    w->twice = sim_chance(s, 40) ? below(s, 200) : 0;
    w->late = sim_chance(s, 40) ? below(s, 200) : 0;
    if (sim_chance(s, 40)) {
        w->bytes_per_s = sim_skewed(s, 20000, 12500000);
        w->queue = sim_skewed(s, 5, 300) * SP_MS;
    }
}

static uint64_t size(struct sim *s, unsigned loss) {
    uint64_t most = loss >= 100 ? 150000 : loss >= 30 ? 600000 : 3000000;
    return sim_chance(s, 10) ? below(s, 3) : sim_chance(s, 50) ? sim_below(s, most) : sim_skewed(s, 0, most);
}

void tcp_rough(struct sim *s, struct tcp_result *r) {
    struct sp_tcp_config c[2] = {config(), config()};
    struct tcp_wire wire = {0};
    struct world w;
    any_wire(s, &wire);
    for (unsigned i = 0; i < 2; i++) {
        c[i].mtu = sim_chance(s, 70) ? 1500 : sim_chance(s, 50) ? 9000 : (uint16_t)(576 + below(s, 925));
        c[i].segments = sim_chance(s, 40);
        c[i].nagle = sim_chance(s, 30);
        c[i].send_max = sim_chance(s, 50) ? 0 : (uint32_t)sim_skewed(s, 1000, 4 << 20);
        c[i].receive_max = sim_chance(s, 50) ? 0 : (uint32_t)sim_skewed(s, 2000, 4 << 20);
        c[i].memory = 16 << 20;
    }
    begin(&w, s, &c[0], &c[1], size(s, wire.loss), size(s, wire.loss));
    w.pair->wire = wire;
    for (unsigned i = 0; i < 2; i++)
        w.pair->e[i].chunk = 1 + (size_t)sim_skewed(s, 0, 65535);
    tcp_pair_connect(w.pair);
    finish(&w, r);
}

/* The reader takes a part of what it holds, now and then. */
static void read_some(struct world *w, unsigned i) {
    struct tcp_end *e = &w->pair->e[i];
    if (e->conn == NULL || !e->holds || e->held == 0 || sim_chance(w->sim, 30))
        return;
    size_t len = 1 + (size_t)sim_below(w->sim, e->held);
    e->held -= len;
    sp_tcp_consumed(e->tcp, w->pair->now, e->conn, len);
    tcp_pair_turn(w->pair, i);
}

void tcp_slow(struct sim *s, struct tcp_result *r) {
    struct sp_tcp_config c[2] = {config(), config()};
    struct world w;
    for (unsigned i = 0; i < 2; i++) {
        c[i].receive_max = (uint32_t)sim_skewed(s, 1, 20000);
        c[i].send_max = (uint32_t)sim_skewed(s, 1, 20000);
        c[i].memory = (size_t)sim_skewed(s, 64 << 10, 256 << 10);
        c[i].nagle = sim_chance(s, 50);
    }
    begin(&w, s, &c[0], &c[1], sim_skewed(s, 0, 8000), sim_skewed(s, 0, 8000));
    any_wire(s, &w.pair->wire);
    w.pair->wire.loss = below(s, 100);
    for (unsigned i = 0; i < 2; i++) {
        w.pair->e[i].holds = sim_chance(s, 70);
        w.pair->e[i].chunk = 1 + (size_t)sim_skewed(s, 0, 5000);
    }
    sp_duration every = sim_skewed(s, 1, 3000) * SP_MS;
    tcp_pair_connect(w.pair);
    while (go(&w, w.pair->now + every))
        for (unsigned i = 0; i < 2; i++)
            read_some(&w, i);
    finish(&w, r);
}

void tcp_mtu(struct sim *s, struct tcp_result *r) {
    struct sp_tcp_config c[2] = {config(), config()};
    struct world w;
    for (unsigned i = 0; i < 2; i++) {
        c[i].mtu = sim_chance(s, 50) ? 1500 : 9000;
        c[i].segments = sim_chance(s, 40);
    }
    begin(&w, s, &c[0], &c[1], 3000000, sim_below(s, 1000000));
    w.pair->wire.delay = sim_skewed(s, 1, 100) * SP_MS;
    w.pair->wire.bytes_per_s = 250000;
    w.pair->wire.queue = 100 * SP_MS;
    w.pair->wire.loss = below(s, 20);
    tcp_pair_connect(w.pair);
    while (go(&w, w.pair->now + sim_skewed(s, 100, 8000) * SP_MS)) {
        w.pair->wire.mtu = sim_chance(s, 20) ? 0 : (uint16_t)(1280 + below(s, 300));
        w.pair->wire.silent = sim_chance(s, 40);
        sim_note(s, "mtu", w.pair->wire.mtu, w.pair->wire.silent);
    }
    finish(&w, r);
}

void tcp_gigabyte(struct sim *s, struct tcp_result *r) {
    struct sp_tcp_config c = config();
    struct world w;
    begin(&w, s, &c, &c, UINT64_C(1) << 30, 1 << 20);
    w.pair->wire = (struct tcp_wire){.delay = 5 * SP_MS, .jitter = 3 * SP_MS, .loss = 50, .twice = 5, .late = 20};
    tcp_pair_connect(w.pair);
    finish(&w, r);
}
