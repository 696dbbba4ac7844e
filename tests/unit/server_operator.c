/* The operator's verbs, bytes to bytes. */
#define _GNU_SOURCE
#include "tests/unit/cm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/control/join.h"
#include "tests/support/server_rig.h"

static struct rig r;
static char text[300000];
static uint8_t buf[4096];

static int begin(void **state) {
    rig_init(&r, 2048);
    rig_start(&r);
    rig_zone(&r);
    return 0;
}

static int end(void **state) {
    rig_end(&r);
    return 0;
}

static const char *error(void) {
    return rig_ctl_text(&r, "error", text, sizeof text);
}

static const struct rig_out *ask(const char *name, uint16_t type) {
    return rig_udp(&r, buf, rig_query(buf, sizeof buf, 1, name, type, true, SP_EDNS_DO));
}

static void a_new_zone_answers_signed(void **state) {
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_ADD, "new.example.", "", "198.51.100.2", "2001:db8::2", NULL), SP_OP_OK);
    assert_string_equal(rig_ctl_text(&r, "zone", text, sizeof text), "new.example.");
    assert_non_null(strstr(rig_ctl_text(&r, "ds", text, sizeof text), "DS"));
    static const struct {
        const char *name;
        uint16_t type;
        size_t count;
    } there[] = {
        {"new.example.", SP_TYPE_SOA, 1},          {"new.example.", SP_TYPE_NS, 1},
        {"new.example.", SP_TYPE_DNSKEY, 1},       {"new.example.", SP_TYPE_CDS, 1},
        {"ns.new.example.", SP_TYPE_A, 1},         {"ns.new.example.", SP_TYPE_AAAA, 1},
        {"signpost.new.example.", SP_TYPE_KEY, 1}, {"signpost.new.example.", SP_TYPE_AAAA, 1},
    };
    for (size_t i = 0; i < sizeof there / sizeof *there; i++) {
        const struct rig_out *o = ask(there[i].name, there[i].type);
        assert_int_equal(rig_answers(o->data, o->len, there[i].type), there[i].count);
        assert_int_equal(rig_answers(o->data, o->len, SP_TYPE_RRSIG), 1);
    }
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_ADD, "new.example.", "", NULL), SP_OP_FAILED);
    assert_non_null(strstr(error(), "already"));
}

static uint64_t reply_number(const char *key) {
    uint64_t n = 0;
    assert_true(rig_ctl_number(&r, key, &n));
    return n;
}

static size_t addresses(const char *name, uint16_t type) {
    const struct rig_out *o = ask(name, type);
    return rig_answers(o->data, o->len, type);
}

static void a_name_servers_addresses_are_replaced(void **state) {
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_ADD, "moves.example.", "", "198.51.100.2", "2001:db8::2", NULL), SP_OP_OK);
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_SERVER, "4", "moves.example.", "", "198.51.100.3", "198.51.100.4", NULL),
                     SP_OP_OK);
    assert_int_equal(reply_number("changed"), 2);
    uint64_t serial = reply_number("serial");
    assert_int_equal(addresses("ns.moves.example.", SP_TYPE_A), 2);
    assert_int_equal(addresses("ns.moves.example.", SP_TYPE_AAAA), 1);
    /* The same again changes nothing. */
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_SERVER, "46", "moves.example.", "ns.moves.example.", "198.51.100.4",
                             "2001:db8::2", "198.51.100.3", NULL),
                     SP_OP_OK);
    assert_int_equal(reply_number("changed"), 0);
    assert_int_equal(reply_number("serial"), serial);
    /* None of a family: they go. Also after a restart. */
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_SERVER, "46", "moves.example.", "", "198.51.100.5", NULL), SP_OP_OK);
    assert_int_equal(reply_number("serial"), serial + 1);
    rig_power_cut(&r);
    assert_int_equal(addresses("ns.moves.example.", SP_TYPE_A), 1);
    assert_int_equal(addresses("ns.moves.example.", SP_TYPE_AAAA), 0);
    assert_int_equal(
        rig_ctl(&r, SP_OP_ZONE_SERVER, "4", "moves.example.", "other.moves.example.", "198.51.100.3", NULL),
        SP_OP_FAILED);
    assert_non_null(strstr(error(), "no name server of the zone"));
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_SERVER, "5", "moves.example.", "", "198.51.100.3", NULL), SP_OP_USAGE);
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_SERVER, "4", "absent.example.", "", "198.51.100.3", NULL), SP_OP_FAILED);
}

static void removed_zones_are_gone_after_a_power_cut_too(void **state) {
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_ADD, "short.example.", "", NULL), SP_OP_OK);
    rig_power_cut(&r);
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_DS, "short.example.", NULL), SP_OP_OK);
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_REMOVE, "short.example.", NULL), SP_OP_OK);
    const struct rig_out *o = ask("short.example.", SP_TYPE_SOA);
    assert_int_equal(rig_rcode(o->data, o->len), SP_RCODE_REFUSED);
    rig_power_cut(&r);
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_DS, "short.example.", NULL), SP_OP_FAILED);
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_DS, RIG_ZONE, NULL), SP_OP_OK);
}

static void the_root_can_be_a_zone(void **state) {
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_ADD, ".", "a.root-server.", "198.18.0.2", NULL), SP_OP_OK);
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_IMPORT, ".",
                             "signpost.test. 3600 IN NS ns.signpost.test.\nns.signpost.test. 3600 IN A 198.51.100.2\n",
                             NULL),
                     SP_OP_OK);
    const struct rig_out *o = ask("x.signpost.test.", SP_TYPE_A);
    struct sp_msg msg;
    assert_int_equal(sp_msg_parse(&msg, o->data, o->len), SP_OK);
    assert_int_equal(msg.count[1], 0);
    assert_true(msg.count[2] > 0 && !(msg.flags & SP_FLAG_AA));
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_REMOVE, ".", NULL), SP_OP_OK);
}

static void import_merges_and_raises_the_serial(void **state) {
    uint64_t before, after, changed;
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_LIST, NULL), SP_OP_OK);
    assert_true(rig_ctl_number(&r, "serial", &before));
    assert_int_equal(
        rig_ctl(&r, SP_OP_ZONE_IMPORT, RIG_ZONE, "www 60 A 192.0.2.80\nwww 60 A 192.0.2.81\nmail 60 MX 10 www\n", NULL),
        SP_OP_OK);
    assert_true(rig_ctl_number(&r, "serial", &after));
    assert_true(rig_ctl_number(&r, "changed", &changed));
    assert_true(after > before && changed >= 2);
    const struct rig_out *o = ask("www.me.example.", SP_TYPE_A);
    assert_int_equal(rig_answers(o->data, o->len, SP_TYPE_A), 2);
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_IMPORT, RIG_ZONE, "www 60 A 192.0.2.99\n", NULL), SP_OP_OK);
    o = ask("www.me.example.", SP_TYPE_A);
    assert_int_equal(rig_answers(o->data, o->len, SP_TYPE_A), 1);
    o = ask("mail.me.example.", SP_TYPE_MX);
    assert_int_equal(rig_answers(o->data, o->len, SP_TYPE_MX), 1);
    rig_power_cut(&r);
    o = ask("www.me.example.", SP_TYPE_A);
    assert_int_equal(rig_answers(o->data, o->len, SP_TYPE_A), 1);
}

static void an_old_serial_does_not_go_back(void **state) {
    uint64_t before, after;
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_LIST, NULL), SP_OP_OK);
    assert_true(rig_ctl_number(&r, "serial", &before));
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_IMPORT, RIG_ZONE, "@ 60 SOA ns hostmaster 7 3600 600 86400 60\n", NULL),
                     SP_OP_OK);
    assert_true(rig_ctl_number(&r, "serial", &after));
    assert_true((int32_t)(after - before) > 0);
}

static void bad_text_names_line_and_column_and_changes_nothing(void **state) {
    static const struct {
        const char *text, *where;
    } bad[] = {
        {"ok 60 A 192.0.2.1\nwww 60 A 192.0.2.999\n", "line 2, column "},
        {"www 60 A\n", "line 1, column "},
        {"$INCLUDE other\n", "line 1, column "},
        {"\n\nwww.elsewhere. 60 A 192.0.2.1\n", "line 3, column "},
        {"ok 60 A 192.0.2.1\nok 60 CNAME www\n", "line 2, column "},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(rig_ctl(&r, SP_OP_ZONE_IMPORT, RIG_ZONE, bad[i].text, NULL), SP_OP_FAILED);
        assert_non_null(strstr(error(), bad[i].where));
        const struct rig_out *o = ask("ok.me.example.", SP_TYPE_A);
        assert_int_equal(rig_rcode(o->data, o->len), SP_RCODE_NOERROR); /* compact denial */
        assert_int_equal(rig_answers(o->data, o->len, SP_TYPE_A), 0);
    }
}

/* Larger than the log's buffers: the reply comes when all of it is on the disk; a cut before that leaves nothing. */
static void a_large_import_is_one_transaction(void **state) {
    char *zone = malloc(2000000), *p = zone;
    for (unsigned i = 0; i < 20000; i++)
        p += sprintf(p, "many-%u 60 A 192.0.2.%u\nmany-%u 60 TXT \"%u\"\n", i, i % 256, i, i);
    r.hold_flush = true;
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_IMPORT, RIG_ZONE, zone, NULL), -1);
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_ADD, "no.example.", "", NULL), SP_OP_FAILED);
    rig_power_cut(&r);
    const struct rig_out *o = ask("many-1.me.example.", SP_TYPE_A);
    assert_int_equal(rig_answers(o->data, o->len, SP_TYPE_A), 0);
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_IMPORT, RIG_ZONE, zone, NULL), SP_OP_OK);
    free(zone);
    for (unsigned pass = 0; pass < 2; pass++) {
        o = ask("many-0.me.example.", SP_TYPE_A);
        assert_int_equal(rig_answers(o->data, o->len, SP_TYPE_A), 1);
        o = ask("many-19999.me.example.", SP_TYPE_TXT);
        assert_int_equal(rig_answers(o->data, o->len, SP_TYPE_TXT), 1);
        rig_power_cut(&r);
    }
}

/* What is exported can be imported elsewhere, and is exported the same from there. */
static size_t export(const char *zone, char *to, size_t cap) {
    char more[64] = "";
    size_t len = 0;
    do {
        assert_int_equal(rig_ctl(&r, SP_OP_ZONE_EXPORT, zone, more, NULL), SP_OP_OK);
        assert_non_null(rig_ctl_text(&r, "text", to + len, cap - len));
        len += strlen(to + len);
        assert_non_null(rig_ctl_text(&r, "more", more, sizeof more));
        rig_forget(&r);
    } while (more[0] != 0);
    return len;
}

static void export_and_import_round(void **state) {
    static char first[4000000], second[4000000];
    size_t len = export(RIG_ZONE, first, sizeof first);
    assert_true(len > 300000); /* pages were needed */
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_IMPORT, RIG_ZONE, first, NULL), SP_OP_OK);
    size_t again = export(RIG_ZONE, second, sizeof second);
    assert_int_equal(again, len);
    assert_memory_equal(first, second, len);
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_EXPORT, RIG_ZONE, "123456", NULL), SP_OP_FAILED);
}

static void an_invite_is_a_token_that_reads(void **state) {
    struct sp_token token;
    assert_int_equal(rig_ctl(&r, SP_OP_INVITE, RIG_ZONE, "laptop", "3600", NULL), SP_OP_OK);
    assert_non_null(rig_ctl_text(&r, "token", text, sizeof text));
    assert_int_equal(sp_token_read(&token, text, strlen(text)), SP_OK);
    char name[SP_NAME_TEXT_MAX];
    sp_name_to_text(&token.name, name);
    assert_string_equal(name, "laptop.me.example.");
    assert_true(token.expiry == sp_wall_sec(r.wall) + 3600);
    assert_int_equal(token.addr_count, 1); /* the name server's, as nobody said otherwise */
    assert_memory_equal(token.addrs[0].ip, "\xc6\x33\x64\x02", 4);
    assert_int_equal(token.addrs[0].port, 53);
    assert_int_equal(rig_ctl(&r, SP_OP_INVITE, RIG_ZONE, "phone", "60", "[2001:db8::9]:5353", NULL), SP_OP_OK);
    assert_non_null(rig_ctl_text(&r, "token", text, sizeof text));
    assert_int_equal(sp_token_read(&token, text, strlen(text)), SP_OK);
    assert_int_equal(token.addrs[0].family, 6);
    assert_int_equal(token.addrs[0].port, 5353);
    assert_int_equal(rig_ctl(&r, SP_OP_INVITE, RIG_ZONE, "wpad", "60", NULL), SP_OP_FAILED);
    assert_non_null(strstr(error(), "reserved"));
    assert_int_equal(rig_ctl(&r, SP_OP_INVITE, RIG_ZONE, "tv", "0", NULL), SP_OP_USAGE);
    assert_int_equal(rig_ctl(&r, SP_OP_INVITE, RIG_ZONE, "tv", "60", "not-an-address", NULL), SP_OP_USAGE);
    assert_int_equal(rig_ctl(&r, SP_OP_INVITE, "nowhere.example.", "tv", "60", NULL), SP_OP_FAILED);
}

static void keys_come_and_go(void **state) {
    assert_int_equal(rig_ctl(&r, SP_OP_KEY_LIST, RIG_ZONE, NULL), SP_OP_OK);
    assert_string_equal(rig_ctl_text(&r, "name", text, sizeof text), "admin.");
    assert_int_equal(
        rig_ctl(&r, SP_OP_KEY_ADD, RIG_ZONE, "tsig", "k.", "hmac-md5", "0123456789abcdef", "names=*", NULL),
        SP_OP_FAILED);
    assert_int_equal(rig_ctl(&r, SP_OP_KEY_ADD, RIG_ZONE, "tsig", "k.", "hmac-sha256", "short", "names=*", NULL),
                     SP_OP_FAILED);
    assert_int_equal(
        rig_ctl(&r, SP_OP_KEY_ADD, RIG_ZONE, "tsig", "k.", "hmac-sha256", "0123456789abcdef", "colour=red", NULL),
        SP_OP_FAILED);
    assert_int_equal(rig_ctl(&r, SP_OP_KEY_ADD, RIG_ZONE, "rsa", "k.", "", "", "", NULL), SP_OP_USAGE);
    assert_int_equal(
        rig_ctl(&r, SP_OP_KEY_ADD, RIG_ZONE, "tsig", "k.", "hmac-sha384", "0123456789abcdef", "names=*", NULL),
        SP_OP_OK);
    assert_int_equal(rig_ctl(&r, SP_OP_KEY_REMOVE, RIG_ZONE, "k.", NULL), SP_OP_OK);
    assert_int_equal(rig_ctl(&r, SP_OP_KEY_REMOVE, RIG_ZONE, "k.", NULL), SP_OP_FAILED);
}

static void a_device_is_listed_and_revoked(void **state) {
    struct sp_ed25519 key;
    uint8_t seed[32] = {9}, rdata[SP_KEY_RDATA], request[512];
    sp_ed25519_from_seed(&key, seed);
    sp_key_rdata(key.pub, rdata);
    struct sp_wr wr = sp_wr_init(request, sizeof request);
    sp_op_request_begin(&wr, SP_OP_KEY_ADD);
    sp_op_arg_text(&wr, RIG_ZONE);
    sp_op_arg_text(&wr, "key");
    sp_op_arg_text(&wr, "tablet.me.example.");
    sp_op_arg_text(&wr, "");
    sp_op_arg(&wr, rdata, sizeof rdata);
    sp_op_arg_text(&wr, "");
    assert_int_equal(rig_ctl_bytes(&r, request, sp_wr_len(&wr)), SP_OP_OK);
    assert_int_equal(rig_ctl(&r, SP_OP_DEVICE_LIST, RIG_ZONE, "", NULL), SP_OP_OK);
    assert_non_null(memmem(r.reply, r.reply_len, "tablet.me.example.", 18));
    assert_non_null(memmem(r.reply, r.reply_len, "signpost.me.example.", 20));
    size_t len = rig_update_a(buf, sizeof buf, 5, RIG_ZONE, "tablet.me.example.", "192.0.2.5");
    const struct rig_out *o = rig_udp(&r, buf, rig_sign_sig0(&r, buf, len, sizeof buf, "tablet.me.example.", &key));
    assert_int_equal(rig_rcode(o->data, o->len), SP_RCODE_NOERROR);
    struct sp_msg msg;
    assert_int_equal(sp_msg_parse(&msg, o->data, o->len), SP_OK);
    assert_int_equal(msg.auth, SP_AUTH_SIG0); /* by the signpost */
    assert_int_equal(rig_ctl(&r, SP_OP_DEVICE_REVOKE, RIG_ZONE, "signpost", NULL), SP_OP_FAILED);
    assert_int_equal(rig_ctl(&r, SP_OP_DEVICE_REVOKE, RIG_ZONE, "tablet", NULL), SP_OP_OK);
    assert_int_equal(rig_ctl(&r, SP_OP_DEVICE_REVOKE, RIG_ZONE, "tablet", NULL), SP_OP_FAILED);
    o = ask("tablet.me.example.", SP_TYPE_A);
    assert_int_equal(rig_answers(o->data, o->len, SP_TYPE_A), 0);
}

static void the_log_shows_its_chain(void **state) {
    char first[128], second[128];
    assert_int_equal(rig_ctl(&r, SP_OP_LOG, RIG_ZONE, NULL), SP_OP_OK);
    assert_non_null(rig_ctl_text(&r, "chain", first, sizeof first));
    assert_int_equal(strlen(first), 64);
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_IMPORT, RIG_ZONE, "chained 60 A 192.0.2.1\n", NULL), SP_OP_OK);
    assert_int_equal(rig_ctl(&r, SP_OP_LOG, RIG_ZONE, NULL), SP_OP_OK);
    assert_non_null(rig_ctl_text(&r, "chain", second, sizeof second));
    assert_string_not_equal(first, second);
    rig_power_cut(&r);
    assert_int_equal(rig_ctl(&r, SP_OP_LOG, RIG_ZONE, NULL), SP_OP_OK);
    assert_string_equal(rig_ctl_text(&r, "chain", first, sizeof first), second);
}

static void metrics_count(void **state) {
    uint64_t before, after;
    assert_int_equal(rig_ctl(&r, SP_OP_METRICS, NULL), SP_OP_OK);
    assert_true(rig_ctl_number(&r, "queries_by_type_total{type=\"A\"}", &before));
    ask("www.me.example.", SP_TYPE_A);
    assert_int_equal(rig_ctl(&r, SP_OP_METRICS, NULL), SP_OP_OK);
    assert_true(rig_ctl_number(&r, "queries_by_type_total{type=\"A\"}", &after));
    assert_true(after == before + 1);
}

static void metrics_tell_the_hosts_counters(void **state) {
    uint64_t frames = 3, martians = 5, value;
    const struct sp_count counts[] = {{"network_frames_total", NULL, NULL, &frames},
                                      {"network_dropped_total", "reason", "martian", &martians}};
    sp_server_counts(r.s, counts, 2);
    martians++;
    assert_int_equal(rig_ctl(&r, SP_OP_METRICS, NULL), SP_OP_OK);
    assert_true(rig_ctl_number(&r, "network_frames_total", &value) && value == 3);
    assert_true(rig_ctl_number(&r, "network_dropped_total{reason=\"martian\"}", &value) && value == 6);
    sp_server_counts(r.s, NULL, 0);
    assert_int_equal(rig_ctl(&r, SP_OP_METRICS, NULL), SP_OP_OK);
    assert_false(rig_ctl_number(&r, "network_frames_total", &value));
}

static void nonsense_is_usage(void **state) {
    assert_int_equal(rig_ctl_bytes(&r, "", 0), SP_OP_USAGE);
    assert_int_equal(rig_ctl_bytes(&r, "\1", 1), SP_OP_USAGE);
    assert_int_equal(rig_ctl_bytes(&r, "\2\1", 2), SP_OP_USAGE);
    assert_int_equal(rig_ctl_bytes(&r, "\1\0", 2), SP_OP_USAGE);
    assert_int_equal(rig_ctl_bytes(&r, "\1\xff", 2), SP_OP_USAGE);
    assert_int_equal(rig_ctl_bytes(&r, "\1\2", 2), SP_OP_USAGE);
    assert_int_equal(rig_ctl_bytes(&r,
                                   "\1\2\xff\xff\xff\xff"
                                   "a",
                                   7),
                     SP_OP_USAGE);
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_ADD, "a..b", "", NULL), SP_OP_USAGE);
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_ADD, "a.example.", "", "300.0.0.1", NULL), SP_OP_USAGE);
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_ADD, "a.example.", "ns.elsewhere.", "192.0.2.1", NULL), SP_OP_USAGE);
}

static void stop_stops(void **state) {
    assert_int_equal(rig_ctl(&r, SP_OP_STOP, NULL), SP_OP_OK);
    rig_turn(&r);
    assert_true(r.stopped);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_zone_answers_signed),
        cmocka_unit_test(a_name_servers_addresses_are_replaced),
        cmocka_unit_test(removed_zones_are_gone_after_a_power_cut_too),
        cmocka_unit_test(the_root_can_be_a_zone),
        cmocka_unit_test(import_merges_and_raises_the_serial),
        cmocka_unit_test(an_old_serial_does_not_go_back),
        cmocka_unit_test(bad_text_names_line_and_column_and_changes_nothing),
        cmocka_unit_test(a_large_import_is_one_transaction),
        cmocka_unit_test(export_and_import_round),
        cmocka_unit_test(an_invite_is_a_token_that_reads),
        cmocka_unit_test(keys_come_and_go),
        cmocka_unit_test(a_device_is_listed_and_revoked),
        cmocka_unit_test(the_log_shows_its_chain),
        cmocka_unit_test(metrics_count),
        cmocka_unit_test(metrics_tell_the_hosts_counters),
        cmocka_unit_test(nonsense_is_usage),
        cmocka_unit_test(stop_stops),
    };
    return cmocka_run_group_tests_name("server_operator", tests, begin, end);
}
