#include "tests/unit/cm.h"

#include <stdlib.h>
#include <string.h>

#include "client/core/tactics.h"
#include "proto/control/tunnel.h"
#include "proto/dns/rrtype.h"
#include "tests/support/path_rig.h"

/* Paths between two agents behind NATs, in virtual time. DESIGN: "Choosing a path", "The control session". */

#define RTT (20 * SP_MS)

static struct path_rig *begin(const struct sp_overlay_config *config) {
    struct path_rig *p = calloc(1, sizeof *p);
    path_begin(p, config);
    assert_int_equal(p->n[0].agent->mesh->uplink.state, SP_UPLINK_UP);
    assert_int_equal(p->n[1].agent->mesh->uplink.state, SP_UPLINK_UP);
    return p;
}

static void end(struct path_rig *p) {
    path_end(p);
    free(p);
}

static bool got0(struct path_rig *p) {
    return path_got(p, 0);
}
static bool got1(struct path_rig *p) {
    return path_got(p, 1);
}
static bool both_direct(struct path_rig *p) {
    return path_direct(p, 0) && path_direct(p, 1);
}

/* A packet there and one back, every 50 ms until both have come; how long it took. */
static sp_duration traffic(struct path_rig *p, sp_duration most) {
    sp_instant since = p->r.now;
    path_pass(p, 50 * SP_MS); /* what is on its way already does not count */
    path_forget(p, 0);
    path_forget(p, 1);
    while (p->r.now < since + most && !(path_got(p, 0) && path_got(p, 1))) {
        path_send(p, 0, 100);
        if (path_got(p, 1))
            path_send(p, 1, 100);
        path_pass(p, 50 * SP_MS);
    }
    return path_got(p, 0) && path_got(p, 1) ? p->r.now - since : SP_NEVER;
}

static void keep_talking(struct path_rig *p, sp_duration d) {
    for (sp_instant until = p->r.now + d; p->r.now < until; path_pass(p, 50 * SP_MS)) {
        path_send(p, 0, 100);
        path_send(p, 1, 100);
        path_forget(p, 0);
        path_forget(p, 1);
    }
}

static void connect(struct path_rig *p) {
    path_send(p, 0, 100);
    assert_true(path_until(p, both_direct, SP_SEC));
    path_pass(p, SP_SEC);
    keep_talking(p, SP_SEC);
}

/* ---- setting up ---- */

static void first_packet_within_three_round_trips(void **state) {
    struct path_rig *p = begin(NULL);
    sp_instant asked = p->r.now;
    path_resolve(p, 0, 5, "phone.me.signpost.", SP_TYPE_AAAA);
    assert_true(p->n[0].have_resolved); /* at once: the key is known */
    path_send(p, 0, 100);
    assert_true(path_until(p, got1, SP_SEC));
    assert_true(p->n[1].got[0].at <= asked + 3 * RTT);
    path_send(p, 1, 100);
    assert_true(path_until(p, got0, SP_SEC));
    assert_true(p->n[0].got[0].at <= asked + 4 * RTT + 5 * SP_MS);
    assert_true(p->relayed > 0);
    assert_true(path_until(p, both_direct, asked + SP_SEC - p->r.now));
    end(p);
}

static void what_arrives_is_what_was_sent(void **state) {
    struct path_rig *p = begin(NULL);
    path_send(p, 0, 333);
    assert_true(path_until(p, got1, SP_SEC));
    struct sp_tunnel_udp u;
    assert_int_equal(p->n[1].got_count, 1);
    assert_int_equal(p->n[1].got[0].len, SP_TUNNEL_HEAD + 333); /* WireGuard's padding is gone */
    assert_int_equal(sp_tunnel_udp_read(&u, p->n[1].got[0].data, p->n[1].got[0].len, true), SP_OK);
    assert_memory_equal(u.src, p->n[0].overlay, 16);
    assert_memory_equal(u.dst, p->n[1].overlay, 16);
    assert_int_equal(u.data[300], (uint8_t)(300 * 7 + 1));
    end(p);
}

static void a_name_alone_starts_the_path(void **state) {
    struct path_rig *p = begin(NULL);
    path_resolve(p, 0, 5, "phone.me.signpost.", SP_TYPE_AAAA);
    path_pass(p, 200 * SP_MS);
    assert_non_null(path_peer(p, 0));
    assert_true(sp_peer_up(p->n[0].agent->mesh, path_peer(p, 0)));
    path_send(p, 0, 100);
    sp_instant sent = p->r.now;
    assert_true(path_until(p, got1, SP_SEC));
    assert_true(p->n[1].got[0].at <= sent + RTT);
    end(p);
}

static void a_name_alone_probes_once(void **state) {
    struct path_rig *p = begin(NULL);
    p->no_direct = true;
    path_resolve(p, 0, 5, "phone.me.signpost.", SP_TYPE_AAAA);
    path_pass(p, 5 * SP_SEC);
    const struct sp_peer *peer = path_peer(p, 0);
    unsigned tried = 0;
    for (unsigned i = 1; i < SP_PEER_PATHS; i++)
        if (peer->paths[i].state != SP_PATH_FREE) {
            assert_in_range(peer->paths[i].sent, 0, 1);
            tried++;
        }
    assert_true(tried > 0);
    end(p);
}

static void only_the_relay_carries(struct path_rig *p) {
    assert_true(traffic(p, SP_SEC) < SP_SEC);
    keep_talking(p, 3 * SP_SEC);
    assert_true(path_relayed(p, 0) && path_relayed(p, 1));
    assert_int_equal(p->direct, 0);
}

static void without_a_direct_way_the_relay_carries(void **state) {
    struct path_rig *p = begin(NULL);
    p->no_direct = true;
    only_the_relay_carries(p);
    end(p);
}

static void the_owner_wants_no_direct_path(void **state) {
    struct sp_overlay_config c = {.no_direct = true};
    struct path_rig *p = begin(&c);
    only_the_relay_carries(p);
    end(p);
}

static void the_owner_wants_no_relay(void **state) {
    struct sp_overlay_config c = {.no_relay = true};
    struct path_rig *p = begin(&c);
    assert_true(traffic(p, 5 * SP_SEC) < 5 * SP_SEC);
    assert_true(both_direct(p));
    assert_int_equal(path_peer(p, 0)->channel, 0);
    end(p);
}

static void a_lost_handshake_is_repeated(void **state) {
    struct path_rig *p = begin(NULL);
    p->no_post = true; /* the first request is lost */
    path_send(p, 0, 100);
    path_pass(p, 50 * SP_MS);
    p->no_post = false;
    assert_true(path_until(p, got1, 3 * SP_SEC));
    end(p);
}

static void nobody_has_that_address(void **state) {
    struct path_rig *p = begin(NULL);
    p->n[1].overlay[15] ^= 1;
    path_send(p, 0, 100);
    assert_true(path_got(p, 0)); /* ICMPv6: destination unreachable */
    assert_int_equal(p->n[0].got[0].data[6], 58);
    assert_int_equal(p->n[0].got[0].data[40], 1);
    assert_int_equal(p->n[0].agent->mesh->counts.dropped_nobody, 1);
    end(p);
}

static void an_absent_device_is_unreachable(void **state) {
    struct path_rig *p = begin(NULL);
    sp_agent_wipe(p->n[1].agent);
    free(p->n[1].agent);
    p->n[1].agent = NULL;
    path_pass(p, SP_SESSION_AWAY + SP_MIN);
    path_send(p, 0, 100);
    assert_true(path_until(p, got0, 40 * SP_SEC));
    assert_int_equal(p->n[0].got[0].data[6], 58);
    end(p);
}

/* ---- changes ---- */

static void a_dead_path_falls_back_to_the_relay(void **state) {
    struct path_rig *p = begin(NULL);
    connect(p);
    p->no_direct = true;
    assert_true(traffic(p, 2 * SP_SEC) <= SP_SEC);
    assert_true(path_relayed(p, 0) && path_relayed(p, 1));
    p->no_direct = false;
    for (unsigned i = 0; i < 40 && !both_direct(p); i++)
        keep_talking(p, 500 * SP_MS);
    assert_true(both_direct(p));
    end(p);
}

static void the_relay_stays_ready_beside_a_direct_path(void **state) {
    struct path_rig *p = begin(NULL);
    connect(p);
    for (sp_instant until = p->r.now + 25 * SP_MIN; p->r.now < until; path_pass(p, 2 * SP_SEC)) {
        path_send(p, 0, 100);
        path_forget(p, 1);
    }
    assert_true(both_direct(p));
    struct sp_hop hop;
    assert_true(sp_peer_relay(p->n[0].agent->mesh, path_peer(p, 0), &hop));
    p->no_direct = true;
    assert_true(traffic(p, 2 * SP_SEC) <= SP_SEC);
    end(p);
}

static void new_keys_lose_nothing(void **state) {
    for (unsigned relay = 0; relay < 2; relay++) {
        struct path_rig *p = begin(NULL);
        unsigned sent = 0, got[2] = {0, 0};
        p->no_direct = relay;
        if (relay)
            assert_true(traffic(p, SP_SEC) < SP_SEC);
        else
            connect(p);
        path_pass(p, SP_SEC);
        path_forget(p, 0);
        path_forget(p, 1);
        for (sp_instant until = p->r.now + 10 * SP_MIN; p->r.now < until; sent++) {
            path_send(p, 0, 100);
            path_send(p, 1, 100);
            path_pass(p, 100 * SP_MS);
            for (unsigned i = 0; i < 2; i++) {
                got[i] += p->n[i].got_count;
                path_forget(p, i);
            }
        }
        assert_int_equal(got[0], sent);
        assert_int_equal(got[1], sent);
        struct sp_wg_peer_stats st;
        sp_wg_peer_stats(path_peer(p, 0)->wg, &st);
        assert_true(p->r.now < st.handshake_at + 3 * SP_MIN);
        end(p);
    }
}

static void a_rebinding_costs_less_than_a_second(void **state) {
    struct path_rig *p = begin(NULL);
    connect(p);
    sp_instant then = p->r.now;
    nat_rebind(p->n[0].nat);
    assert_true(traffic(p, 2 * SP_SEC) <= SP_SEC);
    while (p->r.now < then + 3 * SP_SEC)
        keep_talking(p, 100 * SP_MS);
    assert_true(both_direct(p));
    uint64_t direct = p->direct;
    keep_talking(p, SP_SEC);
    assert_true(p->direct >= direct + 36); /* nearly all of the 40 */
    end(p);
}

static void another_network_costs_less_than_a_second(void **state) {
    struct path_rig *p = begin(NULL);
    connect(p);
    sp_instant then = p->r.now;
    path_move(p, 1);
    assert_true(traffic(p, 2 * SP_SEC) <= SP_SEC);
    while (p->r.now < then + 3 * SP_SEC)
        keep_talking(p, 100 * SP_MS);
    assert_true(both_direct(p));
    uint64_t direct = p->direct;
    keep_talking(p, SP_SEC);
    assert_true(p->direct >= direct + 36);
    end(p);
}

static void a_signpost_that_is_gone_leaves_direct_paths_alone(void **state) {
    struct path_rig *p = begin(NULL);
    connect(p);
    p->no_post = true;
    keep_talking(p, SP_MIN);
    assert_true(both_direct(p));
    assert_true(traffic(p, SP_SEC) <= 200 * SP_MS);
    assert_int_not_equal(p->n[0].agent->mesh->uplink.state, SP_UPLINK_UP);
    p->no_post = false;
    path_pass(p, 20 * SP_SEC);
    assert_int_equal(p->n[0].agent->mesh->uplink.state, SP_UPLINK_UP);
    end(p);
}

static void relayed_traffic_survives_the_signposts_restart(void **state) {
    struct path_rig *p = begin(NULL);
    p->no_direct = true;
    assert_true(traffic(p, SP_SEC) < SP_SEC);
    keep_talking(p, 2 * SP_SEC);
    rig_power_cut(&p->r);
    assert_true(traffic(p, 10 * SP_SEC) <= 5 * SP_SEC);
    end(p);
}

static void a_restarted_signpost_is_told_everything_again(void **state) {
    struct path_rig *p = begin(NULL);
    rig_power_cut(&p->r);
    path_pass(p, 40 * SP_SEC); /* the next keepalive finds nobody */
    path_send(p, 0, 100);
    assert_true(path_until(p, both_direct, SP_SEC));
    end(p);
}

static void a_channel_that_rested_is_asked_for_again(void **state) {
    struct path_rig *p = begin(NULL);
    p->no_direct = true;
    assert_true(traffic(p, SP_SEC) < SP_SEC);
    path_pass(p, 20 * SP_MIN);
    path_forget(p, 1);
    path_send(p, 0, 100); /* nothing of it is lost */
    assert_true(path_until(p, got1, SP_SEC));
    end(p);
}

static void a_path_that_rested_loses_nothing(void **state) {
    struct path_rig *p = begin(NULL);
    connect(p);
    path_pass(p, 20 * SP_MIN); /* the mappings are gone */
    path_forget(p, 1);
    sp_instant sent = p->r.now;
    path_send(p, 0, 100);
    path_pass(p, 5 * SP_MS);
    path_send(p, 0, 100);
    assert_true(path_until(p, got1, SP_SEC));
    assert_true(p->r.now < sent + 500 * SP_MS);
    path_pass(p, 500 * SP_MS);
    assert_int_equal(p->n[1].got_count, 2);
    keep_talking(p, 2 * SP_SEC);
    assert_true(both_direct(p));
    /* One that lives is answered at once, without the signpost. */
    path_pass(p, SP_MIN);
    path_forget(p, 1);
    uint64_t relayed = p->relayed;
    path_send(p, 0, 100);
    path_pass(p, 3 * RTT);
    assert_int_equal(p->n[1].got_count, 1);
    assert_in_range(p->relayed - relayed, 0, 4); /* a PING of the session and its PONG */
    end(p);
}

static void a_device_has_one_name(void **state) {
    struct path_rig *p = begin(NULL);
    struct sp_mesh *mesh = p->n[0].agent->mesh;
    struct sp_name name;
    uint8_t pub[SP_ED25519_PUB];
    connect(p);
    memcpy(pub, path_peer(p, 0)->entry->pub, sizeof pub);
    assert_int_equal(sp_name_from_text(&name, "mobile.me.signpost.", 19, NULL), SP_OK);
    assert_non_null(sp_uplink_learn(mesh, &name, pub));
    struct sp_dir_entry *e = sp_directory_addr(mesh->dir, p->n[1].overlay);
    assert_non_null(e);
    assert_true(sp_name_equal(&e->name, &name));
    assert_int_equal(sp_directory_count(mesh->dir), 3);                        /* with ourselves and the signpost */
    assert_null(sp_uplink_learn(mesh, &name, p->n[0].agent->id.signpost_pub)); /* whose name is pinned */
    end(p);
}

static void a_machine_that_slept_looks_around(void **state) {
    struct path_rig *p = begin(NULL);
    connect(p);
    uint64_t relayed = p->relayed;
    p->r.wall.ns += SP_HOUR;
    p->n[0].agent->mesh->uplink.path.next_at = SP_NEVER;
    path_send(p, 0, 10);
    path_pass(p, 50 * SP_MS);
    assert_true(p->relayed > relayed); /* a PING of the session, at once */
    end(p);
}

static void who_goes_down_says_so(void **state) {
    struct path_rig *p = begin(NULL);
    connect(p);
    assert_int_equal(sp_agent_down(p->n[0].agent, p->r.now), SP_OK);
    path_pass(p, SP_SEC);
    assert_null(p->n[0].agent->mesh->first);
    assert_false(sp_peer_up(p->n[1].agent->mesh, path_peer(p, 1)));
    end(p);
}

static void without_udp_the_session_is_a_stream(void **state) {
    struct path_rig *p = begin(NULL);
    p->n[0].udp_blocked = true;
    path_move(p, 0);
    path_pass(p, 12 * SP_SEC);
    assert_int_equal(p->n[0].agent->mesh->uplink.state, SP_UPLINK_UP);
    assert_true(p->n[0].agent->mesh->uplink.tcp);
    assert_true(traffic(p, 2 * SP_SEC) <= SP_SEC);
    assert_true(path_relayed(p, 0));
    p->n[0].udp_blocked = false;
    path_pass(p, 40 * SP_SEC);
    assert_false(p->n[0].agent->mesh->uplink.tcp);
    assert_true(traffic(p, 2 * SP_SEC) <= SP_SEC);
    end(p);
}

/* ---- packets ---- */

static void big_packets_are_split_until_the_path_is_known(void **state) {
    struct path_rig *p = begin(NULL);
    p->mtu = 1124;
    path_send(p, 0, 1232);
    assert_true(path_until(p, got1, SP_SEC));
    assert_int_equal(p->n[1].got[0].len, 1280);
    keep_talking(p, 3 * SP_SEC);
    assert_int_not_equal(path_peer(p, 0)->paths[path_peer(p, 0)->chosen].pmtu.state, SP_PMTU_FULL);
    path_forget(p, 1);
    path_send(p, 0, 1232);
    assert_true(path_until(p, got1, SP_SEC));
    p->mtu = 0;
    keep_talking(p, 70 * SP_SEC);
    assert_int_equal(path_peer(p, 0)->paths[path_peer(p, 0)->chosen].pmtu.state, SP_PMTU_FULL);
    uint64_t direct = p->direct;
    path_forget(p, 1);
    path_send(p, 0, 1232);
    assert_int_equal(p->direct, direct + 1); /* whole */
    assert_true(path_until(p, got1, SP_SEC));
    end(p);
}

static void only_a_peers_own_address_counts(void **state) {
    struct path_rig *p = begin(NULL);
    connect(p);
    struct sp_mesh *mesh = p->n[0].agent->mesh;
    uint8_t packet[60] = {0x60, [5] = 20, [6] = 59, [7] = 64};
    memcpy(packet + 8, p->n[0].overlay, 16);
    memcpy(packet + 24, p->n[1].overlay, 16);
    uint64_t before = p->n[1].agent->mesh->counts.dropped_source;
    packet[23] ^= 1; /* from somebody else */
    sp_mesh_turn(mesh, p->r.now, p->r.wall);
    sp_send_to_peer(mesh, path_peer(p, 0), packet, sizeof packet);
    packet[23] ^= 1;
    packet[39] ^= 1; /* to somebody else */
    sp_send_to_peer(mesh, path_peer(p, 0), packet, sizeof packet);
    path_forget(p, 1);
    path_pass(p, 200 * SP_MS);
    assert_false(path_got(p, 1));
    assert_int_equal(p->n[1].agent->mesh->counts.dropped_source, before + 2);
    /* The host's own packets likewise. */
    struct sp_in in = {.kind = SP_IN_PACKET, .data = packet, .len = sizeof packet};
    packet[8] ^= 1;
    before = mesh->counts.dropped_source;
    path_input(p, 0, &in);
    assert_int_equal(mesh->counts.dropped_source, before + 1);
    end(p);
}

static void a_super_packet_leaves_as_one(void **state) {
    struct path_rig *p = begin(NULL);
    connect(p);
    static uint8_t packet[40 + 20 + 12000];
    memset(packet, 0, sizeof packet);
    packet[0] = 0x60;
    sp_put_u16(packet + 4, sizeof packet - 40);
    packet[6] = 6;
    packet[7] = 64;
    memcpy(packet + 8, p->n[0].overlay, 16);
    memcpy(packet + 24, p->n[1].overlay, 16);
    sp_put_u16(packet + 40, 4000);
    sp_put_u16(packet + 42, 5000);
    packet[52] = 5 << 4;
    packet[53] = 0x10;
    for (unsigned i = 0; i < 12000; i++)
        packet[60 + i] = (uint8_t)(i * 13);
    struct sp_in in = {.kind = SP_IN_PACKET, .data = packet, .len = sizeof packet};
    in.offload = (struct sp_offload){
        .gso = SP_GSO_TCP6, .needs_csum = true, .hdr_len = 60, .gso_size = 1200, .csum_start = 40, .csum_offset = 16};
    size_t taken;
    struct sp_out out;
    path_pass(p, 500 * SP_MS);
    assert_int_equal(sp_agent_input(p->n[0].agent, p->r.now, p->r.wall, &in, 1, &taken), SP_OK);
    assert_int_equal(sp_agent_output(p->n[0].agent, p->r.now, p->r.wall, &out, 1), 1);
    assert_int_equal(out.kind, SP_OUT_DATAGRAM);
    assert_int_equal(out.segment, 1264 + SP_WG_OVERHEAD); /* padded */
    assert_int_equal(out.len, 10 * (1264 + SP_WG_OVERHEAD));
    /* And joined by the one that it reaches, into one again. */
    struct sp_in got = {.kind = SP_IN_DATAGRAM,
                        .data = out.data,
                        .len = out.len,
                        .segment = out.segment,
                        .src = p->n[1].inside,
                        .dst = p->n[1].inside};
    path_forget(p, 1);
    path_input(p, 1, &got);
    assert_int_equal(p->n[1].got_count, 1);
    assert_int_equal(p->n[1].got[0].len, sizeof packet);
    assert_memory_equal(p->n[1].got[0].data + 60, packet + 60, 12000);
    end(p);
}

/* ---- names ---- */

static void packets_to_the_resolver_are_answered(void **state) {
    struct path_rig *p = begin(NULL);
    uint8_t packet[SP_TUNNEL_HEAD + 512];
    struct sp_tunnel_udp u = {.sport = 3333, .dport = 53}, got;
    memcpy(u.src, p->n[0].overlay, 16);
    memcpy(u.dst, p->n[0].agent->mesh->resolver_addr, 16);
    u.len = rig_query(packet + SP_TUNNEL_HEAD, 512, 9, "phone.me.signpost.", SP_TYPE_AAAA, false, 0);
    struct sp_in in = {.kind = SP_IN_PACKET, .data = packet, .len = sp_tunnel_udp_write(&u, packet, sizeof packet)};
    path_input(p, 0, &in);
    assert_int_equal(p->n[0].got_count, 1);
    assert_int_equal(sp_tunnel_udp_read(&got, p->n[0].got[0].data, p->n[0].got[0].len, true), SP_OK);
    assert_int_equal(got.dport, 3333);
    assert_int_equal(got.sport, 53);
    assert_memory_equal(got.dst, p->n[0].overlay, 16);
    assert_int_equal(rig_answers(got.data, got.len, SP_TYPE_AAAA), 1);
    end(p);
}

static void unknown_names_are_asked_for(void **state) {
    struct path_rig *p = begin(NULL);
    path_resolve(p, 0, 5, "nobody.me.signpost.", SP_TYPE_AAAA);
    assert_false(p->n[0].have_resolved);
    path_pass(p, 2 * RTT);
    assert_true(p->n[0].have_resolved);
    assert_int_equal(rig_rcode(p->n[0].resolved, p->n[0].resolved_len), SP_RCODE_NXDOMAIN);
    path_resolve(p, 0, 6, "nobody.me.signpost.", SP_TYPE_AAAA); /* remembered */
    assert_true(p->n[0].have_resolved);
    path_resolve(p, 0, 7, "phone.me.signpost.", SP_TYPE_KEY);
    path_pass(p, 2 * RTT);
    assert_true(p->n[0].have_resolved);
    assert_int_equal(rig_answers(p->n[0].resolved, p->n[0].resolved_len, SP_TYPE_KEY), 1);
    p->no_post = true;
    path_resolve(p, 0, 8, "somebody.me.signpost.", SP_TYPE_AAAA);
    path_pass(p, 11 * SP_SEC);
    assert_true(p->n[0].have_resolved);
    assert_int_equal(rig_rcode(p->n[0].resolved, p->n[0].resolved_len), SP_RCODE_SERVFAIL);
    end(p);
}

static void other_names_are_forwarded(void **state) {
    struct sp_overlay_config c = {.forward = true};
    struct path_rig *p = begin(&c);
    path_resolve(p, 0, 5, "www.example.org.", SP_TYPE_AAAA);
    assert_false(p->n[0].have_resolved);
    assert_true(p->n[0].forward.id != 0);
    uint8_t reply[1500];
    memcpy(reply, p->n[0].forward_query, p->n[0].forward.len);
    reply[2] |= 0x80;
    reply[3] = SP_RCODE_NXDOMAIN;
    struct sp_in in = {.kind = SP_IN_FORWARDED, .id = p->n[0].forward.id, .data = reply, .len = p->n[0].forward.len};
    path_input(p, 0, &in);
    assert_true(p->n[0].have_resolved);
    assert_int_equal(rig_rcode(p->n[0].resolved, p->n[0].resolved_len), SP_RCODE_NXDOMAIN);
    end(p);
}

/* ---- seeing it ---- */

/* The first item of this key; its text (zero-terminated), or "" and its number. */
static bool item(const struct path_node *n, const char *key, char text[256], uint64_t *number) {
    struct sp_rd rd = sp_rd_init(n->reply, n->reply_len);
    enum sp_op_status status;
    struct sp_op_item it;
    assert_int_equal(sp_op_reply_read(&rd, &status), SP_OK);
    while (sp_op_next(&rd, &it) == SP_OK) {
        if (strcmp(it.key, key) != 0)
            continue;
        size_t len = it.kind == SP_OP_STR && it.len < 255 ? it.len : 0;
        memcpy(text, it.data != NULL ? it.data : (const uint8_t *)"", len);
        text[len] = 0;
        *number = it.number;
        return true;
    }
    return false;
}

static void the_verbs_say_what_agent_h_promises(void **state) {
    static const char *const status_keys[] = {
        "session",  "via",          "endpoint",     "since_s",         "rtt_us", "net",
        "mapping",  "filtering",    "mapped",       "peers",           "tactic", "why",
        "mtu_full", "sealed_bytes", "opened_bytes", "handshake_ago_s", "tried"};
    static const char *const ping_keys[] = {"name", "address", "via", "endpoint", "rtt_us", "direct"};
    static const char *const net_keys[] = {"udp",     "ipv4",   "ipv6", "mapping",  "filtering",
                                           "hairpin", "mapped", "mtu",  "signposts"};
    struct path_rig *p = begin(NULL);
    char text[256];
    uint64_t number;
    path_control(p, 0, SP_AGENT_OP_PING, "phone", "2000");
    path_pass(p, SP_SEC);
    assert_true(p->n[0].have_reply);
    for (unsigned i = 0; i < sizeof ping_keys / sizeof *ping_keys; i++)
        assert_true(item(&p->n[0], ping_keys[i], text, &number));
    assert_true(item(&p->n[0], "name", text, &number));
    assert_string_equal(text, "phone.me.signpost.");
    path_control(p, 0, SP_AGENT_OP_PING, "phone.me.signpost.", "2000");
    path_pass(p, SP_SEC);
    assert_true(item(&p->n[0], "direct", text, &number));
    assert_int_equal(number, 1);
    assert_true(item(&p->n[0], "rtt_us", text, &number));
    assert_in_range(number, 20000, 21000);
    path_control(p, 0, SP_AGENT_OP_PING, "nobody", "2000");
    path_pass(p, SP_SEC);
    assert_true(item(&p->n[0], "error", text, &number));
    assert_string_equal(text, "no such device");
    path_control(p, 0, SP_AGENT_OP_NETCHECK, NULL, NULL);
    path_pass(p, 6 * SP_SEC);
    assert_true(p->n[0].have_reply);
    for (unsigned i = 0; i < sizeof net_keys / sizeof *net_keys; i++)
        assert_true(item(&p->n[0], net_keys[i], text, &number));
    assert_true(item(&p->n[0], "mtu", text, &number));
    assert_int_equal(number, 1340);
    keep_talking(p, SP_SEC);
    path_control(p, 0, SP_AGENT_OP_STATUS, NULL, NULL);
    assert_true(p->n[0].have_reply);
    for (unsigned i = 0; i < sizeof status_keys / sizeof *status_keys; i++)
        if (!item(&p->n[0], status_keys[i], text, &number))
            fail_msg("STATUS has no %s", status_keys[i]);
    end(p);
}

static void the_relay_shows_in_status(void **state) {
    struct path_rig *p = begin(NULL);
    char text[256];
    uint64_t number;
    p->no_direct = true;
    assert_true(traffic(p, SP_SEC) < SP_SEC);
    keep_talking(p, 3 * SP_SEC);
    path_control(p, 0, SP_AGENT_OP_STATUS, NULL, NULL);
    assert_true(item(&p->n[0], "tactic", text, &number));
    assert_string_equal(text, "relay");
    assert_true(item(&p->n[0], "why", text, &number));
    assert_string_equal(text, "no direct path has answered");
    end(p);
}

/* A signpost that names a victim's address as a candidate, again and again. */
static void nobody_is_flooded_on_a_signposts_word(void **state) {
    struct path_rig *p = begin(NULL);
    struct sp_mesh *mesh = p->n[0].agent->mesh;
    connect(p);
    struct sp_peer *peer = path_peer(p, 0);
    struct sp_plan plan = {.channel = peer->channel, .count = 8, .peer.count = 8};
    memcpy(plan.pub, peer->entry->pub, sizeof plan.pub);
    for (uint8_t i = 0; i < 8; i++) {
        plan.peer.candidates[i].addr = (struct sp_addr){.family = 4, .ip = {203, 0, 200, 9}, .port = (uint16_t)(100 + i)};
        plan.steps[i] = (struct sp_plan_step){.tactic = SP_TACTIC_PUNCH, .candidate = i};
    }
    uint64_t before = p->elsewhere;
    for (unsigned i = 0; i < 50; i++) {
        sp_mesh_turn(mesh, p->r.now, p->r.wall);
        sp_peer_planned(mesh, peer, &plan);
        keep_talking(p, SP_SEC);
    }
    assert_in_range(p->elsewhere - before, 1, SP_MESH_PROBES_MAX);
    assert_true(mesh->counts.dropped_budget > 0);
    assert_true(both_direct(p));
    /* Nor is anything but an address of one host, elsewhere than here, ever tried. */
    static const uint8_t never[][4] = {{127, 0, 0, 1}, {224, 0, 0, 1}, {255, 255, 255, 255}, {0, 0, 0, 0}, {169, 254, 1, 1}, {10, 9, 8, 7}};
    before = p->elsewhere;
    for (unsigned i = 0; i < 6; i++)
        memcpy(plan.peer.candidates[i].addr.ip, never[i], 4);
    plan.count = 6;
    sp_mesh_turn(mesh, p->r.now, p->r.wall);
    sp_peer_planned(mesh, peer, &plan);
    keep_talking(p, 2 * SP_SEC);
    assert_int_equal(p->elsewhere, before);
    end(p);
}

static void a_plan_for_another_key_is_no_plan(void **state) {
    struct path_rig *p = begin(NULL);
    connect(p);
    struct sp_peer *peer = path_peer(p, 0);
    struct sp_plan plan = {.channel = 0x80123456};
    uint32_t channel = peer->channel;
    memcpy(plan.pub, p->n[0].agent->id.signpost_pub, sizeof plan.pub);
    sp_mesh_turn(p->n[0].agent->mesh, p->r.now, p->r.wall);
    sp_peer_planned(p->n[0].agent->mesh, peer, &plan);
    assert_int_equal(peer->channel, channel);
    end(p);
}

static void the_table_of_peers_is_bounded(void **state) {
    struct sp_overlay_config c = {.peers = 1};
    struct path_rig *p = begin(&c);
    struct sp_mesh *mesh = p->n[0].agent->mesh;
    struct sp_ed25519 key;
    struct sp_name name;
    uint8_t seed[32] = {99};
    connect(p);
    sp_ed25519_from_seed(&key, seed);
    assert_int_equal(sp_name_from_text(&name, "tablet.me.signpost.", 19, NULL), SP_OK);
    struct sp_dir_entry *e = sp_uplink_learn(mesh, &name, key.pub);
    assert_non_null(e);
    assert_null(sp_peer_get(mesh, e)); /* the one there is has traffic */
    path_pass(p, SP_PEER_IDLE + SP_MIN);
    assert_non_null(sp_peer_get(mesh, e)); /* it gives way */
    assert_int_equal(mesh->peer_count, 1);
    assert_null(path_peer(p, 0));
    end(p);
}

/* A second direct way, as good as this says, beside the one in use; whether the peer's traffic goes there. */
static bool leaves_for(struct path_rig *p, sp_duration rtt) {
    struct sp_mesh *mesh = p->n[0].agent->mesh;
    struct sp_peer *peer = path_peer(p, 0);
    struct sp_path *used = &peer->paths[peer->chosen];
    struct sp_addr addr = {.family = 4, .ip = {198, 51, 100, 99}, .port = 7};
    struct sp_path *other = sp_tactics_path(mesh, peer, &addr, true);
    assert_non_null(other);
    assert_ptr_not_equal(other, used);
    other->state = SP_PATH_VALID;
    other->tactic = used->tactic;
    other->carries = true;
    other->rtt = rtt;
    other->heard_at = used->heard_at;
    (void)sp_tactics_choose(mesh, peer);
    return &peer->paths[peer->chosen] == other;
}

static void a_way_that_works_is_left_for_a_much_better_one_only(void **state) {
    struct path_rig *p = begin(NULL);
    connect(p);
    struct sp_peer *peer = path_peer(p, 0);
    sp_duration rtt = peer->paths[peer->chosen].rtt;
    assert_in_range(rtt, 10 * SP_MS, 100 * SP_MS);
    assert_false(leaves_for(p, rtt * 9 / 10));
    assert_true(leaves_for(p, rtt / 3));
    end(p);
}

static bool dials(struct path_rig *p, const struct sp_candidate *c) {
    struct sp_mesh *mesh = p->n[0].agent->mesh;
    struct sp_plan plan = {
        .peer = {.count = 1, .candidates = {*c}}, .count = 1, .steps = {{.tactic = SP_TACTIC_PUBLIC}}};
    sp_tactics_plan(mesh, path_peer(p, 0), &plan);
    return sp_tactics_path(mesh, path_peer(p, 0), &c->addr, false) != NULL;
}

static void private_addresses_beyond_the_link_are_the_signposts_to_know(void **state) {
    struct path_rig *p = begin(NULL);
    struct sp_candidate seen = {.kind = SP_CAND_MAPPED, .addr = {.family = 4, .ip = {10, 77, 0, 5}, .port = 4000}};
    struct sp_candidate told = {.kind = SP_CAND_HOST, .addr = {.family = 4, .ip = {10, 78, 0, 5}, .port = 4000}};
    connect(p);
    assert_false(dials(p, &seen)); /* a public signpost cannot have seen it */
    p->n[0].agent->mesh->uplink.path.addr = (struct sp_addr){.family = 4, .ip = {10, 1, 0, 2}, .port = 53};
    assert_true(dials(p, &seen));
    assert_false(dials(p, &told));
    /* What it has seen of us is told as seen, though it is our own as well. */
    struct sp_profile mine;
    struct sp_mesh *mesh = p->n[0].agent->mesh;
    assert_int_equal(sp_mesh_hosts(mesh, 4, &mesh->uplink.seen, 1), 1);
    sp_mesh_profile(mesh, &mine);
    assert_memory_equal(&mine.candidates[0].addr, &mesh->uplink.seen, sizeof mesh->uplink.seen);
    assert_int_equal(mine.candidates[0].kind, SP_CAND_MAPPED);
    end(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_packet_within_three_round_trips),
        cmocka_unit_test(what_arrives_is_what_was_sent),
        cmocka_unit_test(a_name_alone_starts_the_path),
        cmocka_unit_test(a_name_alone_probes_once),
        cmocka_unit_test(without_a_direct_way_the_relay_carries),
        cmocka_unit_test(the_owner_wants_no_direct_path),
        cmocka_unit_test(the_owner_wants_no_relay),
        cmocka_unit_test(a_lost_handshake_is_repeated),
        cmocka_unit_test(nobody_has_that_address),
        cmocka_unit_test(an_absent_device_is_unreachable),
        cmocka_unit_test(a_dead_path_falls_back_to_the_relay),
        cmocka_unit_test(the_relay_stays_ready_beside_a_direct_path),
        cmocka_unit_test(new_keys_lose_nothing),
        cmocka_unit_test(a_rebinding_costs_less_than_a_second),
        cmocka_unit_test(another_network_costs_less_than_a_second),
        cmocka_unit_test(a_signpost_that_is_gone_leaves_direct_paths_alone),
        cmocka_unit_test(relayed_traffic_survives_the_signposts_restart),
        cmocka_unit_test(a_restarted_signpost_is_told_everything_again),
        cmocka_unit_test(a_channel_that_rested_is_asked_for_again),
        cmocka_unit_test(a_path_that_rested_loses_nothing),
        cmocka_unit_test(a_device_has_one_name),
        cmocka_unit_test(a_machine_that_slept_looks_around),
        cmocka_unit_test(who_goes_down_says_so),
        cmocka_unit_test(without_udp_the_session_is_a_stream),
        cmocka_unit_test(big_packets_are_split_until_the_path_is_known),
        cmocka_unit_test(only_a_peers_own_address_counts),
        cmocka_unit_test(a_super_packet_leaves_as_one),
        cmocka_unit_test(packets_to_the_resolver_are_answered),
        cmocka_unit_test(unknown_names_are_asked_for),
        cmocka_unit_test(other_names_are_forwarded),
        cmocka_unit_test(the_verbs_say_what_agent_h_promises),
        cmocka_unit_test(the_relay_shows_in_status),
        cmocka_unit_test(nobody_is_flooded_on_a_signposts_word),
        cmocka_unit_test(a_plan_for_another_key_is_no_plan),
        cmocka_unit_test(the_table_of_peers_is_bounded),
        cmocka_unit_test(a_way_that_works_is_left_for_a_much_better_one_only),
        cmocka_unit_test(private_addresses_beyond_the_link_are_the_signposts_to_know),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
