/* TCP in the interface: segments in packets and frames, ICMP about them, offload, and what strangers try. */
#include "tests/unit/cm.h"

#include <stdio.h>
#include <string.h>

#include "proto/base/bytes.h"
#include "proto/base/csum.h"
#include "tests/support/net_pair.h"
#include "tests/support/net_rig.h"

#define FLAG_FIN 1
#define FLAG_SYN 2
#define FLAG_RST 4
#define FLAG_ACK 16

static uint8_t bytes[300000];

/* ---- looking at frames ---- */

struct seen {
    uint8_t frame[NET_PAIR_FRAME];
    size_t len, head; /* head: where TCP begins */
    struct sp_offload offload;
    unsigned from, count;
    size_t largest; /* IP packet with payload, that was not cut */
    size_t limit;   /* larger IP packets are lost */
    bool flags_df;
};

static const uint8_t *tcp_of(const uint8_t *f, size_t len, size_t *head) {
    unsigned type = sp_get_u16(f + 12);
    *head = type == NET_IP4 ? 34 : 54;
    return (type == NET_IP4 && f[23] == 6) || (type == NET_IP6 && f[20] == 6) ? f + *head : NULL;
}

/* Notes the last segment with payload, or SYN, and checks what every segment has to be. */
static bool watch(struct net_pair *p, unsigned from, uint8_t *frame, size_t *len, const struct sp_offload *offload) {
    struct seen *s = p->ctx;
    size_t head;
    const uint8_t *tcp = tcp_of(frame, *len, &head);
    if (tcp == NULL || from != 0)
        return true;
    if (sp_get_u16(frame + 12) == NET_IP4) {
        assert_int_equal(sp_get_u16(frame + 20) & 0x7fff, 0x4000); /* DF, whole */
        assert_int_equal(sp_csum_fold(sp_csum_add(0, frame + 14, 20)), 0xffff);
    }
    if (*len - head > (size_t)(tcp[12] >> 4) * 4 || (tcp[13] & FLAG_SYN) != 0) {
        memcpy(s->frame, frame, *len);
        s->len = *len;
        s->head = head;
        s->offload = *offload;
        s->count++;
        if (*len - 14 > s->largest)
            s->largest = *len - 14;
    }
    return s->limit == 0 || *len - 14 <= s->limit;
}

static struct net_frame as_frame(const struct seen *s) {
    struct net_frame f = {.len = s->len};
    assert_true(s->len <= sizeof f.data);
    memcpy(f.data, s->frame, s->len);
    return f;
}

static struct net_pair *start(struct seen *s) {
    struct net_pair *p = net_pair_new();
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 11 + (i >> 8));
    memset(s, 0, sizeof *s);
    p->wire = watch;
    p->ctx = s;
    return p;
}

static struct sp_tcp *server(struct net_pair *p) {
    return sp_net_tcp(p->end[0].net);
}

/* Writes all, as far as there is room, and lets time pass until it has arrived. */
static void transfer(struct net_pair *p, size_t len) {
    size_t sent = 0, before = p->end[1].got_len;
    for (unsigned i = 0; i < 1000 && p->end[1].got_len - before < len; i++) {
        sent += sp_tcp_write(server(p), p->now, p->end[0].conn, bytes + sent, len - sent);
        net_pair_wait(p, 20 * SP_MS);
    }
    assert_int_equal(p->end[1].got_len - before, len);
    assert_memory_equal(p->end[1].got + before, bytes, len);
}

/* ---- segments ---- */

static void connections_of_both_families(void **state) {
    for (uint8_t family = 4; family <= 6; family += 2) {
        struct seen s;
        struct net_pair *p = start(&s);
        net_pair_start(p, false);
        net_pair_connect(p, family, 53);
        assert_int_equal(p->end[0].opened, 1);
        struct net_frame f = as_frame(&s);
        assert_int_equal(f.data[s.head + 13], FLAG_SYN | FLAG_ACK);
        assert_int_equal(net_transport_sum(&f), 0xffff);
        transfer(p, 20000);
        assert_int_equal(s.largest, 1500);
        f = as_frame(&s);
        assert_int_equal(net_transport_sum(&f), 0xffff);
        net_pair_free(p);
    }
}

static void closed_ports_and_other_addresses(void **state) {
    struct seen s;
    struct net_pair *p = start(&s);
    net_pair_start(p, false);
    net_pair_connect(p, 4, 54);
    assert_int_equal(p->end[1].closed, 1);
    assert_int_equal(p->end[1].err, SP_ERR_DENIED);
    assert_int_equal(sp_net_counts(p->end[0].net)->errors_sent, 0); /* a RST, and nothing of ICMP */
    assert_int_equal(sp_tcp_counts(server(p))->resets_out, 1);
    struct sp_addr nowhere = {.family = 4, .ip = {203, 0, 113, 1}, .port = 53};
    struct sp_tcp_conn *conn;
    assert_int_equal(sp_net_connect(p->end[1].net, p->now, &nowhere, &conn), SP_ERR_NOENT); /* no route */
    net_pair_free(p);

    p = start(&s);
    p->end[0].config.tcp = NULL;
    net_pair_start(p, false);
    assert_null(server(p));
    net_pair_connect(p, 6, 53);
    assert_int_equal(p->end[1].closed, 1); /* its next header is not spoken: RFC 5927 4.2 */
    assert_int_equal(sp_net_counts(p->end[0].net)->drops[SP_NET_DROP_TCP], 1);
    struct sp_addr to = p->end[1].config.statics[0].addr;
    assert_int_equal(sp_net_connect(p->end[0].net, p->now, &to, &conn), SP_ERR_STATE);
    net_pair_free(p);
}

/* Segments that came in fragments are taken; none of ours is one. */
static bool in_fragments(struct net_pair *p, unsigned from, uint8_t *frame, size_t *len,
                         const struct sp_offload *offload) {
    size_t head;
    if (from == 0 || tcp_of(frame, *len, &head) == NULL || head != 34 || *len < 34 + 200)
        return true;
    for (size_t at = 0; at < *len - 34; at += 160) {
        bool more = at + 160 < *len - 34;
        struct net_frame f =
            net_fragment4("192.0.2.9", "192.0.2.1", 6, 77, at, more, frame + 34 + at, more ? 160 : *len - 34 - at);
        struct sp_in in;
        memcpy(f.data, frame, 12);
        assert_false(sp_net_input(p->end[0].net, p->now, f.data, f.len, SP_NET_CSUM_CHECK, &in));
        struct sp_tcp_event ev;
        while (sp_tcp_event(server(p), &ev))
            if (ev.kind == SP_TCP_DATA) {
                memcpy(p->end[0].got + p->end[0].got_len, ev.data, ev.len);
                p->end[0].got_len += ev.len;
            }
    }
    return false;
}

static void reassembled_segments(void **state) {
    struct seen s;
    struct net_pair *p = start(&s);
    net_pair_start(p, false);
    net_pair_connect(p, 4, 53);
    p->wire = in_fragments;
    net_pair_send(p, bytes, 5000);
    assert_int_equal(p->end[0].got_len, 5000);
    assert_memory_equal(p->end[0].got, bytes, 5000);
    assert_int_equal(sp_net_counts(p->end[0].net)->reassembled, 4);
    net_pair_free(p);
}

/* ---- neighbours and addresses ---- */

/* The SYN waits for the neighbour, and is not lost. */
static void a_segment_waits_for_its_neighbour(void **state) {
    for (uint8_t family = 4; family <= 6; family += 2) {
        struct seen s;
        struct net_pair *p = start(&s);
        net_pair_start(p, false);
        struct sp_addr to = p->end[1].config.statics[family == 4 ? 0 : 1].addr;
        to.port = 53;
        sp_instant before = p->now;
        assert_int_equal(sp_net_connect(p->end[0].net, p->now, &to, &p->end[0].conn), SP_OK);
        net_pair_run(p);
        assert_true(p->now == before);
        assert_int_equal(p->end[0].opened, 1);
        assert_int_equal(sp_tcp_counts(server(p))->timeouts, 0);
        struct net_frame f = as_frame(&s);
        assert_int_equal(net_transport_sum(&f), 0xffff);
        net_pair_free(p);
    }
}

/* A large one that a device would have cut up: its beginning waits. */
static void the_first_of_a_large_segment_waits(void **state) {
    struct seen s;
    struct net_pair *p = start(&s);
    net_pair_start(p, false);
    net_pair_connect(p, 4, 53);
    transfer(p, 60000); /* its window is open */
    sp_net_offload(p->end[0].net, SP_NET_SUM4 | SP_NET_TSO4);
    p->csum = SP_NET_CSUM_GOOD;
    sp_net_link(p->end[0].net, p->now, false);
    sp_net_link(p->end[0].net, p->now, true); /* it knows nobody any more */
    s.count = 0;
    size_t got = p->end[1].got_len;
    size_t wrote = sp_tcp_write(server(p), p->now, p->end[0].conn, bytes, 20000);
    net_pair_wait(p, 5 * SP_SEC);
    assert_int_equal(p->end[1].got_len - got, wrote);
    assert_memory_equal(p->end[1].got + got, bytes, wrote);
    assert_int_equal(sp_net_counts(p->end[0].net)->drops[SP_NET_DROP_SIZE], 0);
    assert_int_equal(sp_tcp_counts(server(p))->timeouts, 0); /* that the beginning has come tells of the rest */
    net_pair_free(p);
}

/* An address goes and comes back: connections from it wait. */
static void connections_outlive_a_link_that_flaps(void **state) {
    struct seen s;
    struct net_pair *p = start(&s);
    net_pair_start(p, false);
    net_pair_connect(p, 6, 53);
    sp_net_link(p->end[0].net, p->now, false);
    uint64_t lost = sp_net_counts(p->end[0].net)->drops[SP_NET_DROP_LINK];
    assert_int_equal(sp_tcp_write(server(p), p->now, p->end[0].conn, bytes, 3000), 3000);
    net_pair_wait(p, 3 * SP_SEC);
    assert_true(sp_net_counts(p->end[0].net)->drops[SP_NET_DROP_LINK] > lost);
    assert_int_equal(p->end[1].got_len, 0);
    sp_net_link(p->end[0].net, p->now, true);
    assert_int_equal(sp_tcp_write(server(p), p->now, p->end[0].conn, bytes + 3000, 1000), 1000);
    net_pair_wait(p, 30 * SP_SEC);
    assert_int_equal(p->end[1].got_len, 4000);
    assert_memory_equal(p->end[1].got, bytes, 4000);
    assert_int_equal(p->end[0].closed, 0);
    net_pair_free(p);
}

/* ---- what ICMP says ---- */

/* An error about the segment that was seen last, from a router. */
static void complain(struct net_pair *p, const struct seen *s, uint8_t type, uint8_t code, uint32_t value) {
    bool v4 = sp_get_u16(s->frame + 12) == NET_IP4;
    uint8_t m[8 + 60] = {type, code};
    struct sp_in in;
    size_t quoted = v4 ? 28 : 60;
    sp_put_u32(m + 4, value);
    memcpy(m + 8, s->frame + 14, quoted);
    struct net_frame f =
        v4 ? net_icmp(p->end[0].config.mac, net_rig_gateway, "192.0.2.200", "192.0.2.1", 64, m, 8 + quoted)
           : net_icmp(p->end[0].config.mac, net_rig_gateway, "2001:db8::200", "2001:db8::1", 64, m, 8 + quoted);
    (void)sp_net_input(p->end[0].net, p->now, f.data, f.len, SP_NET_CSUM_CHECK, &in);
}

static bool lose_after_look(struct net_pair *p, unsigned from, uint8_t *frame, size_t *len,
                            const struct sp_offload *offload) {
    size_t head;
    (void)watch(p, from, frame, len, offload);
    return tcp_of(frame, *len, &head) == NULL;
}

static void await_closed(struct net_pair *p, unsigned n) {
    net_pair_wait(p, 0);
    struct sp_tcp_event ev;
    while (sp_tcp_event(server(p), &ev)) {
        p->end[0].closed += ev.kind == SP_TCP_CLOSED;
        p->end[0].err = ev.err;
    }
    assert_int_equal(p->end[0].closed, n);
}

static void hard_errors_end_what_is_being_opened(void **state) {
    static const struct {
        uint8_t family, type, code;
        bool ends;
    } cases[] = {{4, 3, 3, true},  {4, 3, 2, true},   {4, 3, 13, true}, {4, 3, 1, false},
                 {4, 3, 0, false}, {4, 11, 0, false}, {6, 1, 4, true},  {6, 1, 1, true},
                 {6, 4, 1, true},  {6, 1, 0, false},  {6, 1, 3, false}, {6, 3, 0, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct seen s;
        struct net_pair *p = start(&s);
        net_pair_start(p, false);
        p->wire = lose_after_look;
        struct sp_addr to = p->end[1].config.statics[cases[i].family == 4 ? 0 : 1].addr;
        to.port = 53;
        assert_int_equal(sp_net_connect(p->end[0].net, p->now, &to, &p->end[0].conn), SP_OK);
        net_pair_run(p);
        s.frame[s.head + 7] ^= 1; /* of another sequence number: anybody could have sent it */
        complain(p, &s, cases[i].type, cases[i].code, 0);
        await_closed(p, 0);
        s.frame[s.head + 7] ^= 1;
        complain(p, &s, cases[i].type, cases[i].code, 0);
        await_closed(p, cases[i].ends);
        if (cases[i].ends)
            assert_int_equal(p->end[0].err, SP_ERR_DENIED);
        net_pair_free(p);
    }
}

static void errors_mean_nothing_to_the_established(void **state) { /* RFC 5927 5.2 */
    struct seen s;
    struct net_pair *p = start(&s);
    net_pair_start(p, false);
    net_pair_connect(p, 4, 53);
    uint64_t before = sp_net_counts(p->end[0].net)->drops[SP_NET_DROP_ICMP];
    complain(p, &s, 3, 3, 0); /* about the first of its segments, its SYN */
    await_closed(p, 0);
    p->wire = lose_after_look;
    sp_tcp_write(server(p), p->now, p->end[0].conn, bytes, 1000);
    net_pair_run(p);
    complain(p, &s, 3, 3, 0);
    complain(p, &s, 3, 2, 0);
    await_closed(p, 0);
    assert_int_equal(sp_net_counts(p->end[0].net)->drops[SP_NET_DROP_ICMP], before + 3);
    net_pair_free(p);
}

/* Packets of a size that the path does not carry are told of; what is under way is believed, and it goes on at once. */
static void path_mtus_are_believed_of_segments_under_way(void **state) {
    for (uint8_t family = 4; family <= 6; family += 2) {
        struct seen s;
        struct net_pair *p = start(&s);
        net_pair_start(p, false);
        net_pair_connect(p, family, 53);
        s.limit = 1300;
        s.largest = 0;
        sp_tcp_write(server(p), p->now, p->end[0].conn, bytes, 10000);
        net_pair_run(p);
        assert_int_equal(s.largest, 1500);
        assert_int_equal(p->end[1].got_len, 0);
        s.frame[s.head + 4] ^= 0x40; /* about no segment of ours */
        complain(p, &s, family == 4 ? 3 : 2, family == 4 ? 4 : 0, 1300);
        assert_int_equal(sp_tcp_counts(server(p))->drops[SP_TCP_DROP_PMTU], 1);
        s.frame[s.head + 4] ^= 0x40;
        complain(p, &s, family == 4 ? 3 : 2, family == 4 ? 4 : 0,
                 family == 4 ? 100 : 1279); /* smaller than any link's */
        s.largest = 0;
        complain(p, &s, family == 4 ? 3 : 2, family == 4 ? 4 : 0, 1300);
        net_pair_run(p);
        assert_int_equal(s.largest, 1300);
        net_pair_wait(p, SP_SEC);
        assert_int_equal(p->end[1].got_len, 10000);
        net_pair_free(p);
    }
}

/* A router says that its link carries less (RFC 4861 4.6.4): new and old connections heed it. */
static void a_smaller_link_means_smaller_segments(void **state) {
    struct seen s;
    struct net_pair *p = start(&s);
    p->end[0].config.slaac = true;
    net_pair_start(p, false);
    net_pair_connect(p, 6, 53);
    uint8_t ra[24] = {134, 0, 0, 0, 64, 0, 0, 0, [16] = 5, 1, 0, 0, 0, 0, 5, 0x14}; /* MTU 1300 */
    struct net_frame f =
        net_icmp((const uint8_t[]){0x33, 0x33, 0, 0, 0, 1}, net_rig_gateway, "fe80::fe", "ff02::1", 255, ra, sizeof ra);
    struct sp_in in;
    (void)sp_net_input(p->end[0].net, p->now, f.data, f.len, SP_NET_CSUM_CHECK, &in);
    s.largest = 0;
    transfer(p, 30000);
    assert_int_equal(s.largest, 1300);
    net_pair_connect(p, 6, 53);
    assert_int_equal(s.frame[s.head + 20], 2); /* MSS, in the answer to a SYN */
    assert_int_equal(sp_get_u16(s.frame + s.head + 22), 1300 - 60);
    net_pair_free(p);
}

/* ---- devices ---- */

static bool completed(struct net_pair *p, unsigned from, uint8_t *frame, size_t *len, const struct sp_offload *o) {
    struct seen *s = p->ctx;
    size_t head;
    const uint8_t *tcp = tcp_of(frame, *len, &head);
    if (from == 0 && tcp != NULL && o->needs_csum) {
        assert_int_equal(o->csum_start, head - 14);
        assert_int_equal(o->csum_offset, 16);
        uint16_t sum = sp_csum_fold(sp_csum_add(0, frame + head, *len - head));
        sp_put_u16(frame + head + 16, (uint16_t)~sum);
        if (o->gso == SP_GSO_NONE && *len <= sizeof((struct net_frame *)0)->data) {
            struct net_frame f = {.len = *len};
            memcpy(f.data, frame, *len);
            assert_int_equal(net_transport_sum(&f), 0xffff);
        }
    }
    if (from == 0 && tcp != NULL && o->gso != SP_GSO_NONE) {
        size_t heads = head - 14 + (size_t)(tcp[12] >> 4) * 4;
        assert_int_equal(o->gso, head == 34 ? SP_GSO_TCP4 : SP_GSO_TCP6);
        assert_int_equal(o->hdr_len, heads);
        assert_true(o->needs_csum && o->gso_size + heads <= 1500 && *len - 14 - heads > o->gso_size);
        assert_int_equal(head == 34 ? sp_get_u16(frame + 16) : 40 + sp_get_u16(frame + 18), *len - 14);
        s->count++;
        s->largest = *len > s->largest ? *len : s->largest;
    }
    return true;
}

static void a_device_completes_and_cuts(void **state) {
    for (uint8_t family = 4; family <= 6; family += 2) {
        struct seen s;
        struct net_pair *p = start(&s);
        net_pair_start(p, false);
        p->wire = completed;
        p->csum = SP_NET_CSUM_GOOD; /* joined frames, as from a peer on the same machine */
        sp_net_offload(p->end[0].net,
                       family == 4 ? SP_NET_SUM4 | SP_NET_TSO4 | SP_NET_SUM6 : SP_NET_SUM6 | SP_NET_TSO6 | SP_NET_TSO4);
        net_pair_connect(p, family, 53);
        transfer(p, 250000);
        assert_true(s.count > 2 && s.largest > 20000);
        s.count = 0; /* the other family is not cut */
        net_pair_connect(p, 10 - family, 53);
        transfer(p, 100000);
        assert_int_equal(s.count, 0);
        sp_net_offload(p->end[0].net, 0);
        p->csum = SP_NET_CSUM_CHECK;
        transfer(p, 100000);
        assert_int_equal(s.count, 0);
        net_pair_free(p);
    }
}

/* In pieces: the same bytes, the payload where it lies. */
static void pieces_are_the_same_frame(void **state) {
    struct seen s;
    struct net_pair *p = start(&s);
    net_pair_start(p, false);
    net_pair_connect(p, 4, 53);
    struct sp_net_gather g;
    for (unsigned cut = 0; cut < 2; cut++) {
        sp_net_offload(p->end[0].net, cut ? SP_NET_SUM4 | SP_NET_TSO4 : 0);
        sp_tcp_write(server(p), p->now, p->end[0].conn, bytes, 9000);
        unsigned frames = 0;
        for (; sp_net_gather(p->end[0].net, p->now, &g); frames++) {
            size_t len = g.head_len;
            memcpy(s.frame, g.head, g.head_len);
            for (unsigned i = 0; i < g.spans; len += g.span[i++].len)
                memcpy(s.frame + len, g.span[i].data, g.span[i].len);
            assert_int_equal(len, g.len);
            assert_true(g.head_len > 0 && g.spans > 0);
            s.len = len;
            struct net_frame f;
            if (!cut && (f = as_frame(&s), true))
                assert_int_equal(net_transport_sum(&f), 0xffff);
            struct sp_in in;
            (void)sp_net_input(p->end[1].net, p->now, s.frame, len, cut ? SP_NET_CSUM_GOOD : SP_NET_CSUM_CHECK, &in);
            struct sp_tcp_event ev;
            while (sp_tcp_event(sp_net_tcp(p->end[1].net), &ev))
                if (ev.kind == SP_TCP_DATA) {
                    memcpy(p->end[1].got + p->end[1].got_len, ev.data, ev.len);
                    p->end[1].got_len += ev.len;
                    sp_tcp_consumed(sp_net_tcp(p->end[1].net), p->now, ev.conn, ev.len);
                }
        }
        assert_int_equal(frames, cut ? 1 : 7);
        assert_int_equal(p->end[1].got_len, 9000 * (cut + 1));
        assert_memory_equal(p->end[1].got + cut * 9000, bytes, 9000);
        net_pair_wait(p, SP_SEC);
    }
    net_pair_free(p);
}

/* ---- strangers ---- */

static struct net_frame syn(uint32_t source, uint16_t port, uint32_t seq) {
    uint8_t t[20] = {0};
    char from[16];
    sp_put_u16(t, port);
    sp_put_u16(t + 2, 53);
    sp_put_u32(t + 4, seq);
    t[12] = 5 << 4;
    t[13] = FLAG_SYN;
    sp_put_u16(t + 14, 1000);
    (void)snprintf(from, sizeof from, "%u.%u.%u.%u", source >> 24, source >> 16 & 255, source >> 8 & 255, source & 255);
    uint8_t pseudo[12];
    memcpy(pseudo, net_ip(from).ip, 4);
    memcpy(pseudo + 4, net_ip("192.0.2.1").ip, 4);
    uint32_t sum = sp_csum_pseudo(pseudo, pseudo + 4, 4, 6, 20);
    sp_put_u16(t + 16, (uint16_t)~sp_csum_fold(sp_csum_add(sum, t, 20)));
    return net_packet((const uint8_t[]){2, 0, 0, 0, 0, 1}, net_rig_gateway, from, "192.0.2.1", 6, 64, t, 20);
}

/* From a router's other side, and from a link full of addresses that nobody has. */
static void floods_of_syns(void **state) {
    for (unsigned on_link = 0; on_link < 2; on_link++) {
        struct seen s;
        struct net_pair *p = start(&s);
        p->end[0].tcp = (struct sp_tcp_config){.connections = 200, .half_open = 50};
        p->end[0].config.statics[0].bits = on_link ? 8 : 24;
        p->end[0].config.neighbours = 64;
        if (!on_link)
            p->end[0].config.statics[0].gateway = p->end[1].config.statics[0].addr;
        net_pair_start(p, false);
        size_t used = p->end[0].mem.used;
        for (unsigned i = 0; i < 5000; i++) {
            struct net_frame f =
                syn((on_link ? 192u << 24 | 7u << 16 : 10u << 24) + 1 + i, (uint16_t)(1024 + i), i * 77);
            struct sp_in in;
            (void)sp_net_input(p->end[0].net, p->now, f.data, f.len, SP_NET_CSUM_CHECK, &in);
            net_pair_run(p);
        }
        assert_true(sp_tcp_connections(server(p)) <= 50);
        assert_true(sp_tcp_counts(server(p))->cookies_sent > 4000);
        assert_true(p->end[0].mem.used - used < 200000);
        net_pair_connect(p, 4, 53); /* somebody who means it */
        net_pair_send(p, bytes, 1000);
        net_pair_wait(p, 2 * SP_SEC);
        assert_int_equal(p->end[0].got_len, 1000);
        assert_int_equal(sp_tcp_counts(server(p))->cookies_taken, 1);
        net_pair_wait(p, 120 * SP_SEC);
        assert_int_equal(sp_tcp_connections(server(p)), 1);
        net_pair_free(p);
    }
}

/* Fragments of segments fill the places of reassembly and no more; whole segments go by. */
static void floods_of_fragments(void **state) {
    struct seen s;
    struct net_pair *p = start(&s);
    net_pair_start(p, false);
    net_pair_connect(p, 4, 53);
    size_t used = p->end[0].mem.used;
    for (unsigned i = 0; i < 3000; i++) {
        struct net_frame f = net_fragment4("198.51.100.7", "192.0.2.1", 6, (uint16_t)i, i % 3 * 800, true, bytes, 800);
        struct sp_in in;
        memcpy(f.data, p->end[0].config.mac, 6);
        (void)sp_net_input(p->end[0].net, p->now, f.data, f.len, SP_NET_CSUM_CHECK, &in);
    }
    assert_int_equal(p->end[0].mem.used, used);
    assert_true(sp_net_counts(p->end[0].net)->drops[SP_NET_DROP_REASSEMBLY] > 2900);
    net_pair_send(p, bytes, 5000);
    assert_int_equal(p->end[0].got_len, 5000);
    net_pair_free(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_of_both_families),
        cmocka_unit_test(closed_ports_and_other_addresses),
        cmocka_unit_test(reassembled_segments),
        cmocka_unit_test(a_segment_waits_for_its_neighbour),
        cmocka_unit_test(the_first_of_a_large_segment_waits),
        cmocka_unit_test(connections_outlive_a_link_that_flaps),
        cmocka_unit_test(hard_errors_end_what_is_being_opened),
        cmocka_unit_test(errors_mean_nothing_to_the_established),
        cmocka_unit_test(path_mtus_are_believed_of_segments_under_way),
        cmocka_unit_test(a_smaller_link_means_smaller_segments),
        cmocka_unit_test(a_device_completes_and_cuts),
        cmocka_unit_test(pieces_are_the_same_frame),
        cmocka_unit_test(floods_of_syns),
        cmocka_unit_test(floods_of_fragments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
