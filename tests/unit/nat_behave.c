/* Behaviour discovery against every NAT of the model, with servers of two addresses, one address with several ports,
 * and one port. */
#include "tests/unit/cm.h"

#include <stdio.h>
#include <string.h>

#include "proto/crypto/crypto.h"
#include "proto/nat/behave.h"
#include "tests/support/nat_model.h"

#define UDP    17
#define FLYING 64
#define A1                                                                                                             \
    { 203, 0, 113, 1 }
#define A2                                                                                                             \
    { 203, 0, 113, 2 }

static const struct sp_addr GRID[] = {{A1, 0, 3478, 4, 0}, {A1, 0, 3479, 4, 0}, {A1, 0, 443, 4, 0},
                                      {A2, 0, 3478, 4, 0}, {A2, 0, 3479, 4, 0}, {A2, 0, 443, 4, 0}};
static const struct sp_addr OWN = {{10, 0, 0, 2}, 0, 40000, 4, 0};
static const struct sp_addr OUTSIDE = {{198, 51, 100, 1}, 0, 0, 4, 0};

struct packet {
    sp_instant at; /* SP_NEVER: none */
    struct sp_addr src, dst;
    uint8_t data[SP_STUN_MAX];
    size_t len;
};

/* One client, one server, a NAT between (or none). */
struct net {
    struct sp_behave b;
    struct sp_rng rng;
    struct nat *nat;
    const struct sp_addr *listen;
    size_t listen_n;
    struct sp_addr blocked;    /* an address of the server that the network swallows */
    unsigned loss;             /* percent, each way */
    sp_duration one_way, slow; /* slow: answers from another address take so much longer */
    sp_instant now;
    struct packet flying[FLYING];
};

static bool same(const struct sp_addr *a, const struct sp_addr *b) {
    return memcmp(a, b, sizeof *a) == 0;
}

static void fly(struct net *n, const struct sp_addr *src, const struct sp_addr *dst, const uint8_t *data, size_t len,
                sp_duration after) {
    if (sp_rng_below(&n->rng, 100) < n->loss)
        return;
    for (unsigned i = 0; i < FLYING; i++)
        if (n->flying[i].at == SP_NEVER) {
            n->flying[i] = (struct packet){.at = n->now + after, .src = *src, .dst = *dst, .len = len};
            memcpy(n->flying[i].data, data, len);
            return;
        }
    fail_msg("too many packets under way");
}

static void from_client(struct net *n, const struct sp_addr *dst, const uint8_t *data, size_t len) {
    struct sp_addr src = OWN, to = *dst;
    enum nat_verdict v = n->nat != NULL ? nat_out(n->nat, UDP, &OWN, dst, n->now, &src, &to) : NAT_PASS;
    if (v == NAT_HAIRPIN)
        fly(n, &src, &to, data, len, SP_MS);
    else if (v == NAT_PASS && !same(dst, &n->blocked))
        fly(n, &src, &to, data, len, n->one_way);
}

static void arrive(struct net *n, struct packet *p) {
    uint8_t out[SP_STUN_MAX];
    struct sp_addr from, to;
    if (same(&p->dst, &OWN)) {
        struct sp_stun m;
        bool wall = n->nat != NULL && nat_config(n->nat)->mapping == NAT_MAPPING_FIREWALL;
        if (wall && nat_in(n->nat, UDP, &p->src, &p->dst, n->now, &to) != NAT_PASS)
            return;
        assert_int_equal(sp_stun_read(&m, p->data, p->len), SP_OK);
        sp_behave_input(&n->b, &m, &p->src, &n->rng, n->now);
    } else if (memcmp(p->dst.ip, OUTSIDE.ip, 4) == 0) {
        if (nat_in(n->nat, UDP, &p->src, &p->dst, n->now, &to) == NAT_PASS) {
            assert_true(same(&to, &OWN));
            fly(n, &p->src, &to, p->data, p->len, 0);
        }
    } else {
        for (size_t i = 0; i < n->listen_n; i++)
            if (same(&p->dst, &n->listen[i])) {
                size_t len = sp_stun_serve(p->data, p->len, &p->src, &p->dst, n->listen, n->listen_n, out, sizeof out,
                                           &from, &to);
                if (len > 0 && !same(&from, &n->blocked))
                    fly(n, &from, &to, out, len, n->one_way + (same(&from, &p->dst) ? 0 : n->slow));
            }
    }
}

/* Until the client is idle; all in virtual time. */
static void run(struct net *n, const struct sp_addr *servers, unsigned count) {
    uint8_t out[SP_STUN_MAX];
    struct sp_addr to;
    sp_instant start = n->now = 100 * SP_SEC;
    for (unsigned i = 0; i < FLYING; i++)
        n->flying[i].at = SP_NEVER;
    sp_behave_start(&n->b, servers, count, &OWN, 1, &n->rng, n->now);
    for (unsigned steps = 0; sp_behave_deadline(&n->b) != SP_NEVER; steps++) {
        assert_true(steps < 1000);
        size_t len;
        while ((len = sp_behave_output(&n->b, n->now, out, sizeof out, &to)) > 0)
            from_client(n, &to, out, len);
        struct packet *next = &n->flying[0];
        for (unsigned i = 1; i < FLYING; i++)
            if (n->flying[i].at < next->at)
                next = &n->flying[i];
        sp_instant due = sp_behave_deadline(&n->b);
        if (next->at <= due && next->at != SP_NEVER) {
            struct packet p = *next;
            next->at = SP_NEVER;
            n->now = p.at;
            arrive(n, &p);
        } else if (due != SP_NEVER) {
            assert_true(due > n->now || steps == 0 || n->b.phase != 0);
            n->now = due > n->now ? due : n->now;
            sp_behave_expire(&n->b, &n->rng, n->now);
        }
    }
    assert_true(sp_behave_result(&n->b)->done);
    assert_true(n->now - start <= 5 * SP_SEC);
    assert_int_equal(sp_behave_output(&n->b, n->now, out, sizeof out, &to), 0);
}

static struct net *net_new(const struct nat_config *config) {
    static const uint8_t seed[SP_RNG_SEED] = "behave";
    static struct net n;
    n = (struct net){
        .nat = config != NULL ? nat_new(config) : NULL, .listen = GRID, .listen_n = 6, .one_way = 20 * SP_MS};
    assert_int_equal(sp_crypto_init(), SP_OK);
    sp_rng_init(&n.rng, seed);
    return &n;
}

/* ---- every NAT ---- */

struct expected {
    enum sp_nat_mapping mapping;
    enum sp_nat_filtering filtering;
};

static const enum sp_nat_mapping MAPPING[] = {SP_MAPPING_ENDPOINT, SP_MAPPING_ADDRESS, SP_MAPPING_PORT};
static const enum sp_nat_filtering FILTERING[] = {SP_FILTERING_ENDPOINT, SP_FILTERING_ADDRESS, SP_FILTERING_PORT};

/* What comes back from our own outside address: only with one mapping for all, or without filter. */
static bool loops(const struct nat_config *c) {
    return c->hairpin && (c->mapping == NAT_MAPPING_ENDPOINT || c->filter == NAT_FILTER_ENDPOINT);
}

static struct expected of_two_addresses(const struct nat_config *c) {
    return (struct expected){MAPPING[c->mapping], FILTERING[c->filter]};
}
static struct expected of_one_address(const struct nat_config *c) {
    struct expected e = {c->mapping == NAT_MAPPING_PORT ? SP_MAPPING_PORT
                         : loops(c)                     ? MAPPING[c->mapping]
                                                        : SP_MAPPING_UNKNOWN,
                         c->filter == NAT_FILTER_PORT ? SP_FILTERING_PORT : SP_FILTERING_UNKNOWN};
    return e;
}
static struct expected of_one_port(const struct nat_config *c) {
    struct expected e = {!loops(c)                            ? SP_MAPPING_UNKNOWN
                         : c->mapping == NAT_MAPPING_ENDPOINT ? SP_MAPPING_ENDPOINT
                                                              : SP_MAPPING_VARIES,
                         SP_FILTERING_UNKNOWN};
    return e;
}

static void judge(const struct nat_config *c, size_t listen, struct expected (*expect)(const struct nat_config *)) {
    for (unsigned known = 1; known <= listen; known++) { /* of the server's addresses, to the client */
        struct net *n = net_new(c);
        n->listen_n = listen;
        run(n, GRID, known);
        const struct sp_behave_result *r = sp_behave_result(&n->b);
        struct expected e = expect(c);
        if (listen == 3 && known == 1) /* it can tell no more than with one port */
            e = of_one_port(c);
        /* What the socket may have talked to before proves nothing by coming in: another port, then another address. */
        if (known > 1 && e.filtering == SP_FILTERING_ADDRESS)
            e.filtering = SP_FILTERING_UNKNOWN;
        if (known > 3 && e.filtering == SP_FILTERING_ENDPOINT)
            e.filtering = SP_FILTERING_UNKNOWN;
        if (r->mapping != e.mapping || r->filtering != e.filtering || !r->hairpin_known || r->hairpin != loops(c))
            fail_msg("%s %s %s hairpin %d, %zu addresses, %u known: mapping %s not %s, filtering %s not %s, hairpin %d",
                     nat_mapping_name(c->mapping), nat_filter_name(c->filter), nat_ports_name(c->ports), c->hairpin,
                     listen, known, sp_nat_mapping_text(r->mapping), sp_nat_mapping_text(e.mapping),
                     sp_nat_filtering_text(r->filtering), sp_nat_filtering_text(e.filtering), r->hairpin);
        assert_true(r->udp);
        assert_memory_equal(r->mapped[0].ip, OUTSIDE.ip, 16);
        assert_int_equal(r->rtt, 40 * SP_MS);
        bool varies = r->mapping >= SP_MAPPING_ADDRESS;
        assert_true((r->mapped[1].family != 0) == varies);
        assert_true(r->sequential == (varies && c->ports != NAT_PORTS_RANDOM));
        nat_free(n->nat);
    }
}

static void every_nat(size_t listen, struct expected (*expect)(const struct nat_config *)) {
    struct nat_config c = {.outside = OUTSIDE, .seed = 7};
    for (c.mapping = NAT_MAPPING_ENDPOINT; c.mapping <= NAT_MAPPING_PORT; c.mapping++)
        for (c.filter = NAT_FILTER_ENDPOINT; c.filter <= NAT_FILTER_PORT; c.filter++)
            for (c.ports = NAT_PORTS_PRESERVE; c.ports <= NAT_PORTS_RANDOM; c.ports++)
                for (unsigned hairpin = 0; hairpin < 2; hairpin++) {
                    c.hairpin = hairpin != 0;
                    judge(&c, listen, expect);
                }
}

static void rfc5780_server_of_two_addresses(void **state) {
    every_nat(6, of_two_addresses);
}
static void rfc5780_server_of_one_address(void **state) {
    every_nat(3, of_one_address);
}
static void rfc5780_server_of_one_port(void **state) {
    every_nat(1, of_one_port);
}

/* ---- without NAT ---- */

static void rfc5780_no_nat(void **state) {
    struct net *n = net_new(NULL);
    run(n, GRID, 1);
    const struct sp_behave_result *r = sp_behave_result(&n->b);
    assert_int_equal(r->mapping, SP_MAPPING_NONE);
    assert_int_equal(r->filtering, SP_FILTERING_ENDPOINT);
    assert_false(r->hairpin_known);
    assert_true(same(&r->mapped[0], &OWN));
    assert_int_equal(r->mapped[1].family, 0);
}

static void rfc5780_firewall(void **state) {
    struct nat_config c = {.mapping = NAT_MAPPING_FIREWALL};
    for (c.filter = NAT_FILTER_ENDPOINT; c.filter <= NAT_FILTER_PORT; c.filter++) {
        struct net *n = net_new(&c);
        run(n, GRID, 1);
        assert_int_equal(sp_behave_result(&n->b)->mapping, SP_MAPPING_NONE);
        assert_int_equal(sp_behave_result(&n->b)->filtering, FILTERING[c.filter]);
        nat_free(n->nat);
    }
}

/* ---- silence, loss, strangers ---- */

static void silence_ends_in_time(void **state) {
    struct net *n = net_new(NULL);
    n->loss = 100;
    run(n, GRID, 6);
    const struct sp_behave_result *r = sp_behave_result(&n->b);
    assert_false(r->udp);
    assert_int_equal(r->mapping, SP_MAPPING_UNKNOWN);
    assert_int_equal(r->filtering, SP_FILTERING_UNKNOWN);
    assert_false(r->hairpin_known);
    run(n, GRID, 0); /* nobody to ask */
}

static void another_server_is_asked(void **state) {
    struct nat_config c = {.mapping = NAT_MAPPING_ENDPOINT, .filter = NAT_FILTER_PORT, .outside = OUTSIDE};
    struct net *n = net_new(&c);
    n->blocked = GRID[0];
    run(n, GRID, 6);
    const struct sp_behave_result *r = sp_behave_result(&n->b);
    assert_true(r->udp);
    assert_int_equal(r->mapping, SP_MAPPING_ENDPOINT);
    assert_int_equal(r->filtering, SP_FILTERING_UNKNOWN); /* the silent one is the other port */
    nat_free(n->nat);
}

/* The address that answers were to come from is silent to everybody: then nothing is known of the filter. */
static void silence_is_no_filter(void **state) {
    struct nat_config c = {.mapping = NAT_MAPPING_ENDPOINT, .filter = NAT_FILTER_ENDPOINT, .outside = OUTSIDE};
    for (unsigned two = 0; two < 2; two++) {
        struct net *n = net_new(&c);
        n->listen_n = two ? 6 : 2;
        n->blocked = two ? GRID[4] : GRID[1];
        run(n, GRID, two ? 1 : 2);
        assert_int_equal(sp_behave_result(&n->b)->filtering, SP_FILTERING_UNKNOWN);
        assert_int_equal(sp_behave_result(&n->b)->mapping, two ? SP_MAPPING_ENDPOINT : SP_MAPPING_UNKNOWN);
        nat_free(n->nat);
    }
}

static void loss_makes_it_seldom_wrong(void **state) {
    struct nat_config c = {
        .mapping = NAT_MAPPING_PORT, .filter = NAT_FILTER_ADDRESS, .ports = NAT_PORTS_RANDOM, .outside = OUTSIDE};
    unsigned mapping = 0, filtering = 0, runs = 200;
    for (unsigned i = 0; i < runs; i++) {
        struct net *n = net_new(&c);
        n->rng.key[0] = (uint8_t)i;
        n->rng.used = sizeof n->rng.buf;
        n->loss = 10;
        run(n, GRID, 1);
        mapping += sp_behave_result(&n->b)->mapping == SP_MAPPING_PORT;
        filtering += sp_behave_result(&n->b)->filtering == SP_FILTERING_ADDRESS;
        nat_free(n->nat);
    }
    assert_true(mapping > runs * 95 / 100);
    assert_true(filtering > runs * 95 / 100);
}

static void long_round_trips(void **state) {
    struct nat_config c = {
        .mapping = NAT_MAPPING_ADDRESS, .filter = NAT_FILTER_PORT, .ports = NAT_PORTS_RANDOM, .outside = OUTSIDE};
    struct net *n = net_new(&c);
    n->one_way = 300 * SP_MS;
    run(n, GRID, 6);
    assert_int_equal(sp_behave_result(&n->b)->mapping, SP_MAPPING_ADDRESS);
    assert_int_equal(sp_behave_result(&n->b)->filtering, SP_FILTERING_PORT);
    assert_int_equal(sp_behave_result(&n->b)->rtt, 600 * SP_MS);
    nat_free(n->nat);
}

/* The first run opens the filter for all that it asks; a second one on that socket sees it open. */
static void a_second_run_keeps_the_filter(void **state) {
    struct nat_config c = {.mapping = NAT_MAPPING_ENDPOINT, .filter = NAT_FILTER_PORT, .outside = OUTSIDE};
    struct net *n = net_new(&c);
    run(n, GRID, 1);
    struct sp_behave_result first = *sp_behave_result(&n->b), none = {0}, r;
    run(n, GRID, 1);
    struct sp_behave_result second = *sp_behave_result(&n->b);
    assert_int_equal(first.filtering, SP_FILTERING_PORT);
    assert_int_equal(second.filtering, SP_FILTERING_ENDPOINT);
    r = second;
    sp_behave_keep(&r, &none);
    assert_int_equal(r.filtering, SP_FILTERING_ENDPOINT);
    sp_behave_keep(&r, &first);
    assert_int_equal(r.filtering, SP_FILTERING_PORT);
    r = second;
    r.mapped[0].port++; /* another mapping: another filter */
    sp_behave_keep(&r, &first);
    assert_int_equal(r.filtering, SP_FILTERING_ENDPOINT);
    first.filtering = SP_FILTERING_UNKNOWN;
    sp_behave_keep(&second, &first);
    assert_int_equal(second.filtering, SP_FILTERING_UNKNOWN);
    second.filtering = SP_FILTERING_PORT;
    sp_behave_keep(&second, &first);
    assert_int_equal(second.filtering, SP_FILTERING_PORT);
    nat_free(n->nat);
}

/* The socket has talked to both addresses of the server, as an agent's has that looked for its signpost. */
static void a_used_socket_tells_less_but_nothing_wrong(void **state) {
    struct nat_config c = {.mapping = NAT_MAPPING_ENDPOINT, .outside = OUTSIDE};
    const struct sp_addr used[] = {GRID[0], GRID[3]};
    for (c.filter = NAT_FILTER_ENDPOINT; c.filter <= NAT_FILTER_PORT; c.filter++) {
        struct net *n = net_new(&c);
        struct sp_addr src, dst;
        for (unsigned i = 0; i < 2; i++)
            assert_int_equal(nat_out(n->nat, UDP, &OWN, &used[i], 100 * SP_SEC, &src, &dst), NAT_PASS);
        run(n, used, 2);
        assert_int_equal(sp_behave_result(&n->b)->mapping, SP_MAPPING_ENDPOINT);
        assert_int_equal(sp_behave_result(&n->b)->filtering,
                         c.filter == NAT_FILTER_PORT ? SP_FILTERING_PORT : SP_FILTERING_UNKNOWN);
        nat_free(n->nat);
    }
}

/* When it comes at last, its address has been asked directly, and the filter is open. */
static void late_answers_prove_nothing(void **state) {
    struct nat_config c = {.mapping = NAT_MAPPING_ENDPOINT, .filter = NAT_FILTER_PORT, .outside = OUTSIDE};
    struct net *n = net_new(&c);
    n->slow = 1000 * SP_MS;
    run(n, GRID, 1);
    assert_int_equal(sp_behave_result(&n->b)->filtering, SP_FILTERING_PORT);
    nat_free(n->nat);
}

static void requests_are_repeated_ever_more_slowly(void **state) {
    static const unsigned at_ms[] = {0, 250, 750, 1750, 3750};
    struct net *n = net_new(NULL);
    uint8_t out[SP_STUN_MAX];
    struct sp_addr to;
    unsigned sent = 0;
    n->now = SP_SEC;
    sp_behave_start(&n->b, GRID, 1, &OWN, 1, &n->rng, n->now);
    for (; sp_behave_deadline(&n->b) != SP_NEVER; n->now = sp_behave_deadline(&n->b)) {
        sp_behave_expire(&n->b, &n->rng, n->now);
        for (; sp_behave_output(&n->b, n->now, out, sizeof out, &to) > 0; sent++)
            assert_true(sent < 5 && n->now == SP_SEC + at_ms[sent] * SP_MS);
    }
    assert_int_equal(sent, 5);
}

static void strangers_are_not_believed(void **state) {
    struct net *n = net_new(NULL);
    uint8_t out[SP_STUN_MAX];
    struct sp_addr to, stranger = GRID[5];
    struct sp_stun req, m = {.method = SP_STUN_BINDING, .class = SP_STUN_SUCCESS, .mapped = GRID[5]};
    n->now = SP_SEC;
    sp_behave_start(&n->b, GRID, 1, &OWN, 1, &n->rng, n->now);
    size_t len = sp_behave_output(&n->b, n->now, out, sizeof out, &to);
    assert_int_equal(sp_stun_read(&req, out, len), SP_OK);
    assert_true(same(&to, &GRID[0]));
    assert_false(sp_behave_input(&n->b, &m, &GRID[0], &n->rng, n->now)); /* another id */
    memcpy(m.id, req.id, sizeof m.id);
    assert_false(sp_behave_input(&n->b, &m, &stranger, &n->rng, n->now)); /* another source */
    m.class = SP_STUN_REQUEST;
    assert_false(sp_behave_input(&n->b, &m, &GRID[0], &n->rng, n->now)); /* not asked for */
    assert_false(sp_behave_result(&n->b)->udp);
    m.class = SP_STUN_SUCCESS;
    assert_true(sp_behave_input(&n->b, &m, &GRID[0], &n->rng, n->now));
    assert_true(sp_behave_result(&n->b)->udp);
    assert_true(sp_behave_input(&n->b, &m, &GRID[0], &n->rng, n->now)); /* a copy */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc5780_server_of_two_addresses),
        cmocka_unit_test(rfc5780_server_of_one_address),
        cmocka_unit_test(rfc5780_server_of_one_port),
        cmocka_unit_test(rfc5780_no_nat),
        cmocka_unit_test(rfc5780_firewall),
        cmocka_unit_test(silence_ends_in_time),
        cmocka_unit_test(another_server_is_asked),
        cmocka_unit_test(silence_is_no_filter),
        cmocka_unit_test(loss_makes_it_seldom_wrong),
        cmocka_unit_test(long_round_trips),
        cmocka_unit_test(a_second_run_keeps_the_filter),
        cmocka_unit_test(a_used_socket_tells_less_but_nothing_wrong),
        cmocka_unit_test(late_answers_prove_nothing),
        cmocka_unit_test(requests_are_repeated_ever_more_slowly),
        cmocka_unit_test(strangers_are_not_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
