/* Control sessions: who has one, from where, what is said in it, and when it ends. */
#include "tests/unit/session_help.h"

/* ---- sessions ---- */

static void a_device_has_a_session(void **state) {
    struct sp_session_msg m;
    struct sp_session_record rec;
    assert_true(fake_handshake(&a));
    assert_int_equal(counts()->begun, 1);
    /* The zone's own records, inside. */
    size_t n = sp_session_query_write(5, &b.name, SP_TYPE_KEY, buf, sizeof buf);
    assert_true(fake_ask(&a, buf, n, &m));
    assert_int_equal(m.id, 5);
    assert_int_equal(sp_session_record(&m, &rec), SP_OK);
    assert_int_equal(rec.kind, SP_RECORD_KEY);
    assert_memory_equal(rec.pub, b.key.pub, 32);
    /* Profile: only one's own. */
    struct sp_profile p;
    fake_profile(&a, SP_MAPPING_ENDPOINT, SP_FILTERING_PORT, 0, &p);
    assert_true(fake_tell(&a, &p));
    struct sp_name zone = name_of(RIG_ZONE);
    n = sp_session_profile_write(6, &zone, &b.name, &p, buf, sizeof buf);
    assert_true(fake_ask(&a, buf, n, &m));
    assert_int_equal(m.rcode, SP_RCODE_REFUSED);
    /* Updates have their own way; nonsense is told so. */
    n = rig_update_a(buf, sizeof buf, 7, RIG_ZONE, "laptop.me.example.", "192.0.2.1");
    assert_true(fake_ask(&a, buf, n, &m));
    assert_int_equal(m.rcode, SP_RCODE_NOTIMP);
    n = sp_session_query_write(8, &b.name, SP_TYPE_KEY, buf, sizeof buf);
    assert_true(fake_ask(&a, buf, n - 1, &m));
    assert_int_equal(m.rcode, SP_RCODE_FORMERR);
}

static void pages_of_peers_are_complete(void **state) {
    struct sp_session_msg m;
    struct sp_session_record rec;
    char *text = malloc(100 * 100), *at = text;
    for (unsigned i = 0; i < 100; i++) {
        char base64[64];
        uint8_t seed[32] = {(uint8_t)i, 77};
        struct sp_ed25519 key;
        sp_ed25519_from_seed(&key, seed);
        base64[sp_base64_encode(key.pub, 32, base64, sizeof base64 - 1)] = 0;
        at += sprintf(at, "d%u 300 IN KEY 512 3 15 %s\n", i, base64);
    }
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_IMPORT, RIG_ZONE, text, NULL), SP_OP_OK);
    free(text);
    rig_forget(&r);
    assert_true(fake_handshake(&a));
    struct sp_name after = name_of(RIG_ZONE), last = after;
    unsigned total = 0, pages = 0;
    for (bool more = true; more; pages++) {
        size_t n = sp_session_peers_write((uint16_t)(30 + pages), &after, buf, sizeof buf);
        assert_true(fake_ask(&a, buf, n, &m));
        assert_true(m.has_seq);
        assert_in_range(a.inbox[a.count - 1].len, 1, 1124 - 48); /* over IPv6 it fits the narrowest path */
        more = m.tc;
        while (sp_session_record(&m, &rec) == SP_OK) {
            assert_int_equal(rec.kind, SP_RECORD_KEY);
            assert_true(sp_name_cmp(&last, &rec.owner) < 0); /* in order, none twice */
            last = after = rec.owner;
            total++;
        }
    }
    assert_int_equal(total, 100 + 2 + 1); /* the signpost itself */
    assert_true(pages > 3);
    assert_int_equal(counts()->pages, pages);
}

/* What it may not be used for. */
static void only_its_own_address_and_purpose(void **state) {
    uint8_t packet[SP_TUNNEL_MAX];
    assert_true(fake_handshake(&a));
    fake_forget(&a);
    struct sp_tunnel_udp u = {.sport = 853, .dport = 53};
    u.len = rig_query(packet + SP_TUNNEL_HEAD, 200, 1, "me.example.", SP_TYPE_SOA, false, 0);
    memcpy(u.src, b.overlay, 16);
    memcpy(u.dst, a.signpost_overlay, 16);
    fake_plain(&a, packet, sp_tunnel_udp_write(&u, packet, sizeof packet));
    assert_int_equal(a.count, 0);
    assert_int_equal(counts()->dropped_inside_source, 1);
    /* A packet for a peer is not forwarded. */
    memcpy(u.src, a.overlay, 16);
    memcpy(u.dst, b.overlay, 16);
    fake_plain(&a, packet, sp_tunnel_udp_write(&u, packet, sizeof packet));
    assert_int_equal(a.count, 1);
    assert_int_equal(a.inbox[0].data[40], 1); /* destination unreachable */
    assert_int_equal(a.inbox[0].data[41], 1);
    /* Another port. */
    fake_forget(&a);
    memcpy(u.dst, a.signpost_overlay, 16);
    u.dport = 22;
    fake_plain(&a, packet, sp_tunnel_udp_write(&u, packet, sizeof packet));
    assert_int_equal(a.count, 1);
    assert_int_equal(a.inbox[0].data[40], 1);
    assert_int_equal(a.inbox[0].data[41], 4);
    /* Other protocols, scraps. */
    fake_forget(&a);
    uint8_t v4[20] = {0x45};
    fake_plain(&a, v4, sizeof v4);
    fake_plain(&a, v4, 1);
    assert_int_equal(a.count, 0);
    assert_int_equal(counts()->dropped_inside_form, 2);
}

static uint16_t icmp_sum(const uint8_t *packet, size_t size) {
    uint32_t sum = 58 + (uint32_t)(size - 40);
    for (size_t i = 8; i < size; i += 2)
        sum += (uint32_t)packet[i] << 8 | (i + 1 < size ? packet[i + 1] : 0);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

/* RFC 4443 4.2; probe.h. */
static void echo_and_ping_are_answered(void **state) {
    uint8_t packet[40 + 8 + 57] = {0x60, [5] = 8 + 57, [6] = 58, [7] = 9};
    assert_true(fake_handshake(&a));
    fake_forget(&a);
    memcpy(packet + 8, a.overlay, 16);
    memcpy(packet + 24, a.signpost_overlay, 16);
    packet[40] = 128;
    for (unsigned i = 44; i < sizeof packet; i++)
        packet[i] = (uint8_t)(i * 37);
    sp_put_u16(packet + 42, icmp_sum(packet, sizeof packet));
    assert_int_equal(icmp_sum(packet, sizeof packet), 0);
    fake_plain(&a, packet, sizeof packet);
    assert_int_equal(a.count, 1);
    const uint8_t *got = a.inbox[0].data;
    assert_int_equal(got[40], 129);
    assert_int_equal(icmp_sum(got, sizeof packet), 0);
    assert_memory_equal(got + 8, a.signpost_overlay, 16);
    assert_memory_equal(got + 24, a.overlay, 16);
    assert_memory_equal(got + 44, packet + 44, sizeof packet - 44);

    fake_forget(&a);
    struct sp_probe p = {.kind = SP_PROBE_PING, .path = 3, .cookie = 0x1122334455667788, .size = 100}, pong;
    size_t n = sp_probe_write(&p, buf, sizeof buf);
    fake_plain(&a, buf, n);
    assert_int_equal(a.count, 1);
    assert_int_equal(sp_probe_read(&pong, a.inbox[0].data, a.inbox[0].len), SP_OK);
    assert_int_equal(pong.kind, SP_PROBE_PONG);
    assert_true(pong.cookie == p.cookie && pong.path == 3);
    assert_memory_equal(&pong.seen, &a.addr, sizeof pong.seen);
    /* CLOSE ends it: its index dies. */
    p = (struct sp_probe){.kind = SP_PROBE_CLOSE};
    n = sp_probe_write(&p, buf, sizeof buf);
    fake_plain(&a, buf, n);
    assert_int_equal(r.s->overlay->sessions.count, 0);
    p = (struct sp_probe){.kind = SP_PROBE_PING, .cookie = 1, .size = 16};
    fake_forget(&a);
    fake_plain(&a, buf, sp_probe_write(&p, buf, sizeof buf));
    assert_int_equal(a.count, 0);
    assert_int_equal(counts()->dropped_index, 1);
}

static void strangers_get_nothing(void **state) {
    static struct fake x;
    fake_init(&x, &r, "mallory.me.example.", 66, false);
    rig_forget(&r);
    assert_false(fake_handshake(&x));
    assert_int_equal(x.responses, 0);
    assert_int_equal(r.count, 0);
    assert_int_equal(counts()->dropped_stranger, 1);
    assert_int_equal(r.s->overlay->sessions.count, 0);
    /* An initiation for nobody is a DNS message: malformed. */
    uint8_t forged[SP_WG_INITIATION] = {1};
    memset(forged + 4, 0xee, sizeof forged - 4);
    fake_raw(&x, forged, sizeof forged);
    assert_int_equal(r.s->overlay->sessions.count, 0);
    /* Data and frames for indices that do not live. */
    rig_forget(&r);
    uint8_t data[64] = {4, 0, 0, 0, 0x80, 1, 2, 3};
    fake_raw(&x, data, sizeof data);
    data[0] = 5;
    fake_raw(&x, data, sizeof data);
    assert_int_equal(r.count, 0);
    assert_int_equal(sp_relay_counts(r.s->overlay->relay)->dropped_index, 1);
    fake_end(&x);
}

/* A message that begins as ours do but is DNS stays DNS. */
static void dns_stays_dns(void **state) {
    for (uint16_t type = 1; type <= 5; type++) {
        size_t n = rig_query(buf, sizeof buf, (uint16_t)(type << 8), "ns.me.example.", SP_TYPE_A, true, 0);
        const struct rig_out *o = rig_udp(&r, buf, n);
        assert_non_null(o);
        assert_int_equal(rig_answers(o->data, o->len, SP_TYPE_A), 1);
    }
    /* The same cookie where DNS has counts, but not STUN's length. */
    struct sp_msgw w;
    struct sp_name n = name_of("ns.me.example.");
    sp_msgw_begin(&w, buf, sizeof buf, 1, 0);
    sp_msgw_question(&w, &n, SP_TYPE_A, SP_CLASS_IN);
    size_t len = sp_msgw_end(&w);
    sp_put_u32(buf + 4, SP_STUN_COOKIE);
    const struct rig_out *o = rig_udp(&r, buf, len);
    assert_non_null(o);
    assert_int_equal(rig_rcode(o->data, o->len), SP_RCODE_FORMERR);
}

static void a_session_roams(void **state) {
    assert_true(fake_handshake(&a));
    a.addr.ip[2] = 99;
    a.addr.port = 1234;
    fake_forget(&a);
    struct sp_probe p = {.kind = SP_PROBE_PING, .cookie = 9, .size = 16}, pong;
    fake_plain(&a, buf, sp_probe_write(&p, buf, sizeof buf));
    assert_int_equal(a.count, 1);
    assert_int_equal(sp_probe_read(&pong, a.inbox[0].data, a.inbox[0].len), SP_OK);
    assert_memory_equal(&pong.seen, &a.addr, sizeof pong.seen);
    assert_int_equal(counts()->roamed, 1);
}

/* Silence, and half-open sessions, end by themselves. */
static void silence_ends_it(void **state) {
    uint8_t msg[SP_WG_INITIATION];
    assert_true(fake_handshake(&a));
    assert_int_equal(sp_wg_initiate(b.wg, b.signpost, r.now, r.wall, msg), SP_OK);
    fake_raw(&b, msg, sizeof msg); /* and no more: as a replay of an old one would be */
    assert_int_equal(r.s->overlay->sessions.count, 2);
    rig_wait(&r, SP_HALF_OPEN + SP_SEC);
    assert_int_equal(r.s->overlay->sessions.count, 1);
    rig_wait(&r, SP_SESSION_AWAY);
    assert_int_equal(r.s->overlay->sessions.count, 0);
    assert_int_equal(counts()->away, 1);
    rig_wait(&r, SP_HOUR);
    assert_true(sp_server_deadline(r.s) > r.now);
}

/* Agents come by themselves: a signpost that lost its network does not call all of them. */
static void the_silent_are_not_called(void **state) {
    struct sp_profile p;
    assert_true(fake_handshake(&a));
    fake_profile(&a, SP_MAPPING_ENDPOINT, SP_FILTERING_PORT, 0, &p);
    assert_true(fake_tell(&a, &p));
    rig_forget(&r);
    rig_wait(&r, SP_SESSION_AWAY + SP_SEC);
    for (size_t i = 0; i < r.count; i++)
        assert_true(r.outs[i].kind != SP_OUT_DATAGRAM || r.outs[i].data[0] == SP_WG_TYPE_DATA);
    assert_int_equal(sp_wg_counts(r.s->overlay->realms[0]->wg)->initiations, 0);
}

static void a_full_table_refuses(void **state) {
    static struct fake c;
    r.s->overlay->sessions.limit = 1;
    fake_init(&c, &r, "phone.me.example.", 30, true);
    rig_forget(&r);
    assert_true(fake_handshake(&a));
    assert_false(fake_handshake(&c));
    assert_int_equal(counts()->dropped_sessions_full, 1);
    rig_forget(&r);
    rig_wait(&r, SP_EVICTABLE + SP_SEC);
    c.count = 0;
    assert_true(fake_handshake(&c));
    assert_int_equal(counts()->evicted, 1);
    assert_int_equal(r.s->overlay->sessions.count, 1);
    /* Every session that ended did so for one reason. */
    uint64_t n = 0;
    assert_int_equal(rig_ctl(&r, SP_OP_METRICS, NULL), SP_OP_OK);
    assert_true(rig_ctl_number(&r, "sessions_ended_total{reason=\"evicted\"}", &n) && n == 1);
    assert_true(rig_ctl_number(&r, "sessions_ended_total{reason=\"other\"}", &n) && n == 0);
    fake_end(&c);
}

/* ---- the zone changes ---- */

static void a_revoked_device_is_cut_off(void **state) {
    uint8_t first[SP_WG_INITIATION] = {1};
    struct sp_session_msg m;
    struct sp_session_record rec;
    struct sp_plan plan;
    both_up(SP_MAPPING_ENDPOINT, 0);
    assert_true(connect_ab(first, &m, &plan));
    fake_forget(&a);
    fake_forget(&b);
    assert_int_equal(rig_ctl(&r, SP_OP_DEVICE_REVOKE, RIG_ZONE, "nas.me.example.", NULL), SP_OP_OK);
    assert_int_equal(r.s->overlay->sessions.count, 1);
    assert_int_equal(counts()->revoked, 1);
    assert_int_equal(sp_relay_counts(r.s->overlay->relay)->channels, 0);
    fake_take(&a);
    assert_true(fake_find(&a, SP_SESSION_PUSH, &m));
    assert_int_equal(sp_session_record(&m, &rec), SP_OK);
    assert_int_equal(rec.kind, SP_RECORD_KEY_GONE);
    assert_true(sp_name_equal(&rec.owner, &b.name));
    assert_memory_equal(rec.pub, b.key.pub, 32);
    /* It does not come back, and comes back when it is listed again. */
    b.responses = 0;
    rig_wait(&r, 10 * SP_SEC);
    rig_forget(&r);
    (void)fake_handshake(&b);
    assert_int_equal(b.responses, 0);
    fake_forget(&a);
    fake_list(&b);
    fake_take(&a);
    assert_true(fake_find(&a, SP_SESSION_PUSH, &m));
    assert_int_equal(sp_session_record(&m, &rec), SP_OK);
    assert_int_equal(rec.kind, SP_RECORD_KEY);
    rig_wait(&r, 10 * SP_SEC);
    assert_true(fake_handshake(&b));
}

static void a_removed_zone_takes_its_sessions_along(void **state) {
    both_up(SP_MAPPING_ENDPOINT, 0);
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_REMOVE, RIG_ZONE, NULL), SP_OP_OK);
    assert_int_equal(r.s->overlay->sessions.count, 0);
    assert_int_equal(r.s->overlay->realm_count, 0);
    rig_forget(&r);
    assert_int_equal(rig_ctl(&r, SP_OP_STATUS, NULL), SP_OP_OK);
}

/* ---- streams ---- */

static void a_session_on_a_stream(void **state) {
    uint8_t first[SP_WG_INITIATION] = {1};
    struct sp_session_msg m;
    struct sp_plan plan;
    struct sp_profile p;
    a.stream = 9;
    rig_open(&r, 9, &a.addr, 1 << 20);
    assert_true(fake_handshake(&a));
    assert_true(fake_handshake(&b));
    fake_profile(&b, SP_MAPPING_ENDPOINT, SP_FILTERING_PORT, 0, &p);
    assert_true(fake_tell(&b, &p));
    assert_true(connect_ab(first, &m, &plan));
    assert_int_equal(plan.steps[0].tactic, SP_TACTIC_RELAY_TCP);
    struct sp_session_msg push;
    fake_take(&b);
    assert_true(fake_find(&b, SP_SESSION_PUSH, &push));
    struct sp_session_record rec;
    assert_int_equal(sp_session_record(&push, &rec), SP_OK);
    uint32_t channel = rec.plan.channel;
    fake_dns(&b, buf, sp_session_ack_write(&push, buf, sizeof buf));
    fake_forget(&a);
    fake_forget(&b);
    fake_frame(&a, plan.channel, "over tcp", 8);
    fake_take(&b);
    assert_int_equal(b.count, 1);
    fake_frame(&b, channel, "and back", 8);
    fake_take(&a);
    assert_int_equal(a.count, 1);
    assert_memory_equal(a.inbox[0].data + SP_RELAY_HEAD, "and back", 8);
    /* It outlives the timeout of streams without a session; when it goes the session is not there. */
    rig_wait(&r, 60 * SP_SEC);
    assert_null(rig_sent(&r, SP_OUT_STREAM_CLOSE, 9, 0));
    rig_close(&r, 9);
    fake_forget(&b);
    size_t n = sp_session_connect_write(3, &a.name, NULL, 0, buf, sizeof buf);
    assert_true(fake_ask(&b, buf, n, &m));
    assert_int_equal(m.rcode, SP_RCODE_SERVFAIL);
    fake_frame(&b, channel, "nobody there", 12); /* harmless */
}

/* A session's stream is not closed for a new one, but sessions hold three quarters of the streams at most. */
static void sessions_hold_their_streams(void **state) {
    struct sp_addr other = {.ip = {198, 18, 0, 1}, .port = 9, .family = 4};
    for (size_t limit = 2; limit >= 1; limit--) {
        r.s->streams.limit = limit;
        a.stream = 8 + limit;
        a.skip = 0;
        rig_forget(&r);
        rig_open(&r, a.stream, &a.addr, 1 << 20);
        assert_true(fake_handshake(&a));
        assert_int_equal(r.s->streams.held, limit - 1);
        rig_open(&r, 100 + limit, &other, 1000);
        rig_open(&r, 200 + limit, &other, 1000);
        assert_int_equal(rig_sent_count(&r, SP_OUT_STREAM_CLOSE, a.stream), 2 - limit);
        for (unsigned i = 1; i <= 2; i++)
            rig_close(&r, 100 * i + limit);
        rig_close(&r, a.stream);
        assert_int_equal(r.s->streams.held, 0);
        rig_wait(&r, 10 * SP_SEC);
    }
}

/* ---- several at once ---- */

/* Each zone has a device of its own behind the port, with one key in both. */
static void zones_are_apart(void **state) {
    static struct fake c;
    struct sp_session_msg m;
    struct sp_session_record rec;
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_ADD, "you.example.", "", "198.51.100.2", NULL), SP_OP_OK);
    rig_forget(&r);
    fake_init_in(&c, &r, "you.example.", "laptop.you.example.", 10, true);
    c.addr.port = 999;
    assert_true(fake_handshake(&a));
    assert_true(fake_handshake(&c));
    assert_int_equal(r.s->overlay->sessions.count, 2);
    assert_memory_not_equal(a.overlay, c.overlay, 16);
    size_t n = sp_session_query_write(5, &c.name, SP_TYPE_KEY, buf, sizeof buf);
    assert_true(fake_ask(&c, buf, n, &m));
    assert_int_equal(sp_session_record(&m, &rec), SP_OK);
    /* Peers are those of one's zone. */
    n = sp_session_connect_write(6, &a.name, NULL, 0, buf, sizeof buf);
    assert_true(fake_ask(&c, buf, n, &m));
    assert_int_equal(m.rcode, SP_RCODE_NXDOMAIN);
    n = sp_session_peers_write(7, &a.name, buf, sizeof buf);
    assert_true(fake_ask(&c, buf, n, &m));
    assert_int_equal(m.rcode, SP_RCODE_REFUSED);
    fake_end(&c);
}

/* Two agents with one key: the newest handshake has the session. */
static void the_newest_of_two_wins(void **state) {
    static struct fake twin;
    fake_init(&twin, &r, "laptop.me.example.", 10, false);
    twin.addr.port = 4444;
    assert_true(fake_handshake(&a));
    r.now += SP_SEC;
    r.wall.ns += SP_SEC;
    assert_true(fake_handshake(&twin));
    assert_int_equal(r.s->overlay->sessions.count, 1);
    assert_int_equal(counts()->contended, 1);
    const struct sp_ctlsession *ses = SP_CONTAINER(r.s->overlay->age.next, struct sp_ctlsession, age);
    assert_memory_equal(&ses->where.addr, &twin.addr, sizeof twin.addr);
    fake_end(&twin);
}

static void a_session_is_small(void **state) {
    struct sp_profile p;
    assert_true(fake_handshake(&b));
    fake_profile(&b, SP_MAPPING_ENDPOINT, SP_FILTERING_PORT, 0, &p);
    assert_true(fake_tell(&b, &p));
    size_t used = r.s->mem.used;
    assert_true(fake_handshake(&a));
    assert_true(fake_tell(&a, &p));
    /* With its peer and a keypair. */
    assert_true(r.s->mem.used - used < 3072);
    assert_true(sizeof(struct sp_ctlsession) + sizeof(struct sp_profile) + 64 < 1024);
}

static void the_operator_sees_it(void **state) {
    uint8_t first[SP_WG_INITIATION] = {1};
    struct sp_session_msg m;
    struct sp_plan plan;
    uint64_t n = 0;
    both_up(SP_MAPPING_ENDPOINT, 0);
    assert_true(connect_ab(first, &m, &plan));
    assert_int_equal(rig_ctl(&r, SP_OP_STATUS, NULL), SP_OP_OK);
    assert_true(rig_ctl_number(&r, "sessions", &n) && n == 2);
    assert_true(rig_ctl_number(&r, "channels", &n) && n == sp_relay_counts(r.s->overlay->relay)->channels && n > 0);
    assert_int_equal(rig_ctl(&r, SP_OP_METRICS, NULL), SP_OP_OK);
    assert_true(rig_ctl_number(&r, "plans_total", &n) && n == 1);
    assert_true(rig_ctl_number(&r, "overlay_dropped_total{reason=\"initiation_budget\"}", &n) && n == 0);
    assert_true(rig_ctl_number(&r, "handshakes_completed_total", &n) && n == 2);
    assert_int_equal(rig_ctl(&r, SP_OP_DEVICE_LIST, RIG_ZONE, "", NULL), SP_OP_OK);
    assert_true(rig_ctl_number(&r, "online", &n)); /* the first is the laptop */
    assert_int_equal(n, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_device_has_a_session),
        TEST(pages_of_peers_are_complete),
        TEST(only_its_own_address_and_purpose),
        TEST(echo_and_ping_are_answered),
        TEST(strangers_get_nothing),
        TEST(dns_stays_dns),
        TEST(a_session_roams),
        TEST(silence_ends_it),
        TEST(the_silent_are_not_called),
        TEST(a_full_table_refuses),
        TEST(a_revoked_device_is_cut_off),
        TEST(a_removed_zone_takes_its_sessions_along),
        TEST(a_session_on_a_stream),
        TEST(sessions_hold_their_streams),
        TEST(zones_are_apart),
        TEST(the_newest_of_two_wins),
        TEST(a_session_is_small),
        TEST(the_operator_sees_it),
    };
    return cmocka_run_group_tests_name("server_session", tests, NULL, NULL);
}
