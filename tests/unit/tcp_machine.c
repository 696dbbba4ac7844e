/* TCP and the machine that it runs on: how much memory it takes, and what remains when the machine was saved and goes
 * on. Tags: RFC 6528, 4987. */
#include "tests/unit/tcp_rig.h"

/* ---- memory ---- */

static void open_one(struct rig *g, unsigned i) {
    g->port = (uint16_t)(1000 + i % 60000);
    GIVE(.flags = TCP_SYN, .mss = MSS, .sack_ok = true);
    while (take(g))
        GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1);
}

/* As many connections as there may be, each with all that it may be sent, and then all of them in TIME-WAIT. */
static void what_it_takes(size_t memory) {
    struct sp_tcp_config c = plain;
    static uint8_t buf[256 << 10];
    sp_tcp_limits_for(&c, memory);
    assert_true(c.half_open > 0 && c.half_open < c.connections);
    struct rig *g = rig_new(c);
    size_t most = 0;
    for (unsigned i = 0; i < 2 * c.connections; i++) {
        unsigned before = g->opened;
        open_one(g, i);
        if (g->opened > before)
            (void)sp_tcp_write(g->tcp, g->now, g->conn, buf, i % 3 == 0 ? 600 : sizeof buf);
        while (take(g))
            ;
        most = g->mem.used > most ? g->mem.used : most;
    }
    assert_true(sp_tcp_connections(g->tcp) == c.connections);
    assert_true(sp_tcp_buffered(g->tcp) > c.memory - 2 * TCP_BLOCK_LARGE);
    assert_in_range(most, memory / 2, memory);
    rig_free(g);
}

static void limits_by_memory(void **state) {
    (void)state;
    for (size_t memory = 64 << 10; memory <= 16 << 20; memory *= 4)
        what_it_takes(memory);
    struct sp_tcp_config little = plain, much = plain;
    sp_tcp_limits_for(&little, 32 << 10);
    sp_tcp_limits_for(&much, (size_t)1 << 40);
    assert_true(little.send_max <= little.memory && little.receive_max <= little.memory && little.connections == 16);
    assert_true(much.connections == 65536 && much.send_max == 4 << 20);
}

/* ---- saved and restored ---- */

static void what_was_open_is_over(void **state) {
    (void)state;
    struct rig *g = open_by_peer(plain);
    send_bytes(g, 5000);
    assert_true(take(g));
    GIVE(.flags = TCP_SYN, .seq = 7, .mss = MSS); /* something for a stray: a challenge */
    g->port++;
    GIVE(.flags = TCP_SYN, .mss = MSS); /* half-open: nobody was told of it */
    sp_tcp_resumed(g->tcp);
    NOTHING(); /* no segment: a twin may have the same connection */
    events(g);
    assert_int_equal(g->opened, 1);
    assert_int_equal(g->closed, 1);
    assert_int_equal(g->err, SP_ERR_STATE);
    assert_int_equal(sp_tcp_connections(g->tcp), 0);
    assert_int_equal(sp_tcp_buffered(g->tcp), 0);
    assert_int_equal(sp_tcp_deadline(g->tcp), SP_NEVER);
    g->port--;
    GIVE(.flags = TCP_ACK, .seq = 1, .ack = 1, .len = 10); /* the peer, who goes on, is told */
    assert_true(take(g));
    assert_true((g->out.flags & TCP_RST) != 0);
    assert_int_equal(g->got, 0);
    rig_free(g);
}

/* The first numbers that a machine gives at one moment: as a connection of its own right, and as a cookie. */
struct numbers {
    uint32_t isn, cookie;
};
static struct numbers numbers_of(uint8_t seed_byte, bool resumed) {
    uint8_t seed[SP_RNG_SEED] = {seed_byte};
    struct numbers n;
    struct rig *g = rig_new((struct sp_tcp_config){.half_open = 1});
    if (resumed) {
        sp_rng_init(&g->rng, seed);
        sp_tcp_resumed(g->tcp);
    }
    GIVE(.flags = TCP_SYN, .mss = MSS);
    EXPECT(TCP_SYN | TCP_ACK, 0, 1, 0);
    n.isn = g->iss;
    g->port++;
    GIVE(.flags = TCP_SYN, .mss = MSS);
    EXPECT(TCP_SYN | TCP_ACK, 0, 1, 0);
    n.cookie = g->iss;
    assert_int_equal(sp_tcp_counts(g->tcp)->cookies_sent, 1);
    rig_free(g);
    return n;
}

static void twins_number_differently(void **state) { /* RFC 6528 3; RFC 4987 3.6 */
    (void)state;
    struct numbers never = numbers_of(0, false), again = numbers_of(0, false);
    assert_true(never.isn == again.isn && never.cookie == again.cookie); /* they follow from the state alone */
    struct numbers one = numbers_of(1, true), two = numbers_of(2, true);
    assert_true(one.isn != never.isn && two.isn != never.isn && one.isn != two.isn);
    assert_true(one.cookie != never.cookie && two.cookie != never.cookie && one.cookie != two.cookie);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_by_memory),
        cmocka_unit_test(what_was_open_is_over),
        cmocka_unit_test(twins_number_differently),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
