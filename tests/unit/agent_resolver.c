#include "tests/unit/cm.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/resolver_rig.h"

#define SOA " | me.signpost. 30 SOA signpost.me.signpost. hostmaster.me.signpost. 1 3600 600 86400 30"

static struct resolver_rig *r;

static int setup(void **state) {
    static struct resolver_rig rig;
    r = &rig;
    resolver_rig_init(r);
    return 0;
}

static int teardown(void **state) {
    resolver_rig_free(r);
    return 0;
}

/* An address as the library prints it. */
static const char *addr_text(const uint8_t addr[16]) {
    static char text[64];
    struct sp_wr wr = sp_wr_init(text, sizeof text);
    sp_rdata_to_text(SP_TYPE_AAAA, addr, 16, &wr);
    text[sp_wr_len(&wr)] = 0;
    return text;
}

/* The reply to (name, type) is `want`, in which %s stands for the address. */
static void expect(const char *name, uint16_t type, const char *want, const uint8_t addr[16]) {
    char text[512];
    const char *at = strstr(want, "%s");
    if (at != NULL)
        snprintf(text, sizeof text, "%.*s%s%s", (int)(at - want), want, addr_text(addr), at + 2);
    else
        snprintf(text, sizeof text, "%s", want);
    assert_string_equal(resolver_rig_text(r, name, type), text);
}

static void devices_have_their_overlay_address(void **state) {
    expect("laptop.me.signpost.", SP_TYPE_AAAA, "0 AA RD; laptop.me.signpost. 30 AAAA %s", r->laptop->overlay);
    assert_ptr_equal(r->ask.device, r->laptop);
    expect("signpost.me.signpost.", SP_TYPE_AAAA, "0 AA RD; signpost.me.signpost. 30 AAAA %s", r->signpost->overlay);
    assert_ptr_equal(r->ask.device, r->signpost);
    expect("LapTop.ME.signpost.", SP_TYPE_AAAA, "0 AA RD; LapTop.ME.signpost. 30 AAAA %s", r->laptop->overlay);
}

static void our_own_name_is_our_own_address(void **state) {
    expect("phone.me.signpost.", SP_TYPE_AAAA, "0 AA RD; phone.me.signpost. 30 AAAA %s", r->config.self_addr);
    assert_null(r->ask.device); /* no path to ourselves */
    expect("phone.me.signpost.", SP_TYPE_A, "0 AA RD" SOA, NULL);
}

/* Nothing of IPv4 may lead around the tunnel; and asking for it does not start a path. */
static void rfc2308_absent_types_are_nodata_with_a_soa(void **state) {
    expect("laptop.me.signpost.", SP_TYPE_A, "0 AA RD" SOA, NULL);
    assert_null(r->ask.device);
}

static void rfc8482_any_gets_one_rrset(void **state) {
    expect("laptop.me.signpost.", SP_TYPE_ANY, "0 AA RD; laptop.me.signpost. 30 AAAA %s", r->laptop->overlay);
    assert_ptr_equal(r->ask.device, r->laptop);
}

static void unknown_names_are_looked_up_then_answered(void **state) {
    expect("Tablet.me.signpost.", SP_TYPE_AAAA, "LOOK_UP tablet.me.signpost.", NULL);
    expect("tablet.me.signpost.", SP_TYPE_A, "LOOK_UP tablet.me.signpost.", NULL);
    struct sp_dir_entry *device;
    r->out_len = sp_resolver_answer(&r->config, r->dir, r->query, r->query_len, SP_OK, r->out, sizeof r->out, &device);
    assert_string_equal(resolver_rig_reply(r), "3 AA RD" SOA);
    assert_null(device);
    struct sp_name name = resolver_rig_name("tablet.me.signpost.");
    sp_directory_absent(r->dir, &name, 0);
    expect("tablet.me.signpost.", SP_TYPE_AAAA, "3 AA RD" SOA, NULL);
    /* A name without a device may have other data. */
    expect("tablet.me.signpost.", SP_TYPE_TXT, "ASK tablet.me.signpost.", NULL);
}

static void after_a_look_up_the_address(void **state) {
    struct sp_dir_entry *device;
    char want[200];
    resolver_rig_query(r, "laptop.me.signpost.", SP_TYPE_AAAA, 0, 0);
    r->out_len = sp_resolver_answer(&r->config, r->dir, r->query, r->query_len, SP_OK, r->out, sizeof r->out, &device);
    snprintf(want, sizeof want, "0 AA RD; laptop.me.signpost. 30 AAAA %s", addr_text(r->laptop->overlay));
    assert_string_equal(resolver_rig_reply(r), want);
    assert_ptr_equal(device, r->laptop);
}

static void rfc8914_a_failed_look_up_says_why(void **state) {
    struct sp_dir_entry *device;
    resolver_rig_query(r, "tablet.me.signpost.", SP_TYPE_AAAA, 1232, 0);
    r->out_len =
        sp_resolver_answer(&r->config, r->dir, r->query, r->query_len, SP_ERR_STATE, r->out, sizeof r->out, &device);
    assert_string_equal(resolver_rig_reply(r), "2 RD | OPT 1232 22 no session with the signpost");
    r->out_len =
        sp_resolver_answer(&r->config, r->dir, r->query, r->query_len, SP_ERR_AGAIN, r->out, sizeof r->out, &device);
    assert_string_equal(resolver_rig_reply(r), "2 RD | OPT 1232 22 no answer from the signpost");
    resolver_rig_query(r, "tablet.me.signpost.", SP_TYPE_AAAA, 0, 0);
    r->out_len =
        sp_resolver_answer(&r->config, r->dir, r->query, r->query_len, SP_ERR_AGAIN, r->out, sizeof r->out, &device);
    assert_string_equal(resolver_rig_reply(r), "2 RD");
}

static void other_data_is_asked_of_the_signpost(void **state) {
    expect("me.signpost.", SP_TYPE_SOA, "ASK me.signpost.", NULL);
    expect("me.signpost.", SP_TYPE_AAAA, "ASK me.signpost.", NULL);
    expect("laptop.me.signpost.", SP_TYPE_SSHFP, "ASK laptop.me.signpost.", NULL);
    expect("www.Laptop.me.signpost.", SP_TYPE_AAAA, "ASK www.laptop.me.signpost.", NULL);
    expect("_ssh._tcp.laptop.me.signpost.", SP_TYPE_SRV, "ASK _ssh._tcp.laptop.me.signpost.", NULL);
    assert_int_equal(r->ask.type, SP_TYPE_SRV);
}

static void reserved_names_do_not_exist(void **state) {
    static const char *const names[] = {"wpad", "isatap", "localhost", "autodiscover", "WPAD", "x.wpad"};
    char name[64];
    for (unsigned i = 0; i < 6; i++) {
        snprintf(name, sizeof name, "%s.me.signpost.", names[i]);
        expect(name, SP_TYPE_AAAA, "3 AA RD" SOA, NULL);
        expect(name, SP_TYPE_TXT, "3 AA RD" SOA, NULL);
    }
    r->config.forward = r->config.search = true;
    expect("wpad.", SP_TYPE_A, "3 RD RA", NULL);
    expect("wpadx.", SP_TYPE_TXT, "FORWARD", NULL);
    expect("wpad.example.", SP_TYPE_A, "FORWARD", NULL);
}

static void rfc6761_localhost_is_this_machine(void **state) {
    r->config.forward = true;
    expect("localhost.", SP_TYPE_A, "0 AA RD RA; localhost. 30 A 127.0.0.1", NULL);
    expect("a.b.LOCALHOST.", SP_TYPE_AAAA, "0 AA RD RA; a.b.LOCALHOST. 30 AAAA ::1", NULL);
    expect("localhost.", SP_TYPE_TXT, "0 AA RD RA", NULL);
    expect("xlocalhost.", SP_TYPE_A, "FORWARD", NULL);
}

static void short_names_where_search_is_on(void **state) {
    expect("laptop.", SP_TYPE_AAAA, "5 RD", NULL);
    r->config.search = true;
    expect("Laptop.", SP_TYPE_AAAA, "0 AA RD; Laptop. 30 AAAA %s", r->laptop->overlay);
    assert_ptr_equal(r->ask.device, r->laptop);
    expect("laptop.", SP_TYPE_A, "0 AA RD" SOA, NULL);
    expect("laptop.", SP_TYPE_TXT, "5 RD", NULL);
    expect("phone.", SP_TYPE_AAAA, "0 AA RD; phone. 30 AAAA %s", r->config.self_addr);
    expect("tablet.", SP_TYPE_AAAA, "LOOK_UP tablet.me.signpost.", NULL);
    struct sp_dir_entry *device;
    r->out_len = sp_resolver_answer(&r->config, r->dir, r->query, r->query_len, SP_OK, r->out, sizeof r->out, &device);
    assert_string_equal(resolver_rig_reply(r), "5 RD");
    struct sp_name name = resolver_rig_name("tablet.me.signpost.");
    sp_directory_absent(r->dir, &name, 0);
    expect("tablet.", SP_TYPE_AAAA, "5 RD", NULL);
    r->config.forward = true;
    expect("tablet.", SP_TYPE_AAAA, "FORWARD", NULL);
    expect(".", SP_TYPE_NS, "FORWARD", NULL);
}

/* ---- reverse names ---- */

static char *reverse_text(const uint8_t addr[16], char *ret) {
    char *at = ret;
    for (unsigned i = 16; i-- > 0;)
        at += sprintf(at, "%x.%x.", addr[i] & 15, addr[i] >> 4);
    strcpy(at, "ip6.arpa.");
    return ret;
}

static void rfc3596_reverse_names(void **state) {
    char name[100], apex[100], want[300];
    uint8_t addr[16];
    reverse_text(r->laptop->overlay, name);
    snprintf(want, sizeof want, "0 AA RD; %s 30 PTR laptop.me.signpost.", name);
    expect(name, SP_TYPE_PTR, want, NULL);
    assert_null(r->ask.device);
    expect(name, SP_TYPE_ANY, want, NULL);
    strcpy(apex, name + 32);
    snprintf(want, sizeof want, "0 AA RD | %s 30 SOA signpost.me.signpost. hostmaster.me.signpost. 1 3600 600 86400 30",
             apex);
    expect(name, SP_TYPE_TXT, want, NULL);
    expect(apex, SP_TYPE_NS, want, NULL);
    expect(name + 2, SP_TYPE_PTR, want, NULL); /* RFC 8020: between apex and addresses */
    want[0] = '3';
    memcpy(addr, r->laptop->overlay, 16);
    addr[15] ^= 1;
    expect(reverse_text(addr, name), SP_TYPE_PTR, want, NULL);
    name[0] = 'g';
    expect(name, SP_TYPE_PTR, want, NULL);
    snprintf(want, sizeof want, "0 AA RD; %s 30 SOA signpost.me.signpost. hostmaster.me.signpost. 1 3600 600 86400 30",
             apex);
    expect(apex, SP_TYPE_SOA, want, NULL);
    reverse_text(r->config.self_addr, name);
    snprintf(want, sizeof want, "0 AA RD; %s 30 PTR phone.me.signpost.", name);
    expect(name, SP_TYPE_PTR, want, NULL);
}

/* ---- what never leaves ---- */

static void nothing_of_ours_is_forwarded(void **state) {
    static const uint16_t types[] = {SP_TYPE_A,     SP_TYPE_NS,   SP_TYPE_CNAME, SP_TYPE_SOA,    SP_TYPE_PTR,
                                     SP_TYPE_MX,    SP_TYPE_TXT,  SP_TYPE_KEY,   SP_TYPE_SRV,    SP_TYPE_AAAA,
                                     SP_TYPE_DNAME, SP_TYPE_DS,   SP_TYPE_SSHFP, SP_TYPE_HTTPS,  SP_TYPE_ANY,
                                     SP_TYPE_AXFR,  SP_TYPE_TSIG, SP_TYPE_OPT,   SP_TYPE_DNSKEY, 999,
                                     65280,         65300};
    char name[300];
    r->config.forward = r->config.search = true;
    for (unsigned n = 0; n < 12; n++) {
        static const char *const names[] = {"me.signpost.",          "x.me.signpost.",      "x.y.me.signpost.",
                                            "phone.me.signpost.",    "laptop.me.signpost.", "wpad.me.signpost.",
                                            "a.laptop.ME.SIGNPOST.", "*.me.signpost."};
        if (n < 8)
            strcpy(name, names[n]);
        else
            reverse_text(n & 1 ? r->laptop->overlay : r->config.self_addr, name);
        if (n >= 10)
            memmove(name, name + 4 * n - 24, strlen(name + 4 * n - 24) + 1);
        for (unsigned t = 0; t < sizeof types / sizeof types[0]; t++)
            assert_string_not_equal(resolver_rig_text(r, name, types[t]), "FORWARD");
    }
    expect("xme.signpost.", SP_TYPE_A, "FORWARD", NULL);
    expect("signpost.", SP_TYPE_TXT, "FORWARD", NULL);
    expect("1.0.0.0.d.f.ip6.arpa.", SP_TYPE_PTR, "FORWARD", NULL);
}

/* The control session's own requests are not for programs. */
static void private_types_are_refused(void **state) {
    for (uint16_t type = SP_TYPE_SPJOIN; type <= SP_TYPE_SPPEERS; type++)
        expect("laptop.me.signpost.", type, "5 RD", NULL);
    expect("me.signpost.", SP_TYPE_AXFR, "5 RD", NULL);
}

static void others_are_refused_without_forwarding(void **state) {
    expect("example.com.", SP_TYPE_A, "5 RD", NULL);
    resolver_rig_query(r, "example.com.", SP_TYPE_A, 4096, 0);
    assert_int_equal(resolver_rig_ask(r), SP_RESOLVED);
    assert_string_equal(resolver_rig_reply(r), "5 RD | OPT 1232 20 not a name of this device's zone");
    r->config.forward = true;
    expect("example.com.", SP_TYPE_A, "FORWARD", NULL);
    r->query[2] = 0; /* RD not set */
    assert_int_equal(resolver_rig_ask(r), SP_RESOLVED);
    assert_string_equal(resolver_rig_reply(r), "5 RA");
}

/* ---- the protocol ---- */

static void rfc6891_edns_comes_back(void **state) {
    char want[200];
    resolver_rig_query(r, "laptop.me.signpost.", SP_TYPE_AAAA, 4096, SP_EDNS_DO);
    assert_int_equal(resolver_rig_ask(r), SP_RESOLVED);
    snprintf(want, sizeof want, "0 AA RD; laptop.me.signpost. 30 AAAA %s | OPT 1232 DO", addr_text(r->laptop->overlay));
    assert_string_equal(resolver_rig_reply(r), want);
    r->query[r->query_len - 5] = 1; /* EDNS version 1 */
    assert_int_equal(resolver_rig_ask(r), SP_RESOLVED);
    assert_string_equal(resolver_rig_reply(r), "16 RD | OPT 1232 DO");
}

static void rfc4035_flags(void **state) {
    resolver_rig_query(r, "laptop.me.signpost.", SP_TYPE_A, 0, 0);
    r->query[2] = 0;
    r->query[3] = 0x30; /* AD, CD */
    assert_int_equal(resolver_rig_ask(r), SP_RESOLVED);
    assert_string_equal(resolver_rig_reply(r), "0 AA CD" SOA);
    r->config.forward = true;
    assert_int_equal(resolver_rig_ask(r), SP_RESOLVED);
    assert_string_equal(resolver_rig_reply(r), "0 AA RA CD" SOA);
}

static void rfc8906_what_is_no_query(void **state) {
    resolver_rig_query(r, "laptop.me.signpost.", SP_TYPE_A, 0, 0);
    r->query[2] |= 0x80;
    assert_int_equal(resolver_rig_ask(r), SP_RESOLVE_DROP);
    r->query[2] = 5 << 3;
    assert_int_equal(resolver_rig_ask(r), SP_RESOLVED);
    assert_string_equal(resolver_rig_reply(r), "4");
    r->query[2] = 0;
    r->query[5] = 2; /* two questions */
    assert_int_equal(resolver_rig_ask(r), SP_RESOLVED);
    assert_int_equal(r->out[3] & 15, SP_RCODE_FORMERR);
    r->query[5] = 0;
    assert_int_equal(resolver_rig_ask(r), SP_RESOLVED);
    assert_int_equal(r->out[3] & 15, SP_RCODE_FORMERR);
    r->query[5] = 1;
    for (size_t n = 0; n < r->query_len; n++) {
        size_t len = r->query_len;
        r->query_len = n;
        assert_int_equal(resolver_rig_ask(r), n < 12 ? SP_RESOLVE_DROP : SP_RESOLVED);
        if (n >= 12)
            assert_int_equal(r->out[3] & 15, SP_RCODE_FORMERR);
        r->query_len = len;
    }
    r->query[r->query_len - 1] = SP_CLASS_CH;
    assert_int_equal(resolver_rig_ask(r), SP_RESOLVED);
    assert_string_equal(resolver_rig_reply(r), "5");
    r->query_len = 4097;
    assert_int_equal(resolver_rig_ask(r), SP_RESOLVE_DROP);
}

static void the_resolvers_address(void **state) {
    uint8_t addr[16], prefix[8];
    sp_resolver_addr(r->config.root_hash, addr);
    sp_overlay_prefix(r->config.root_hash, prefix);
    assert_memory_equal(addr, prefix, 8);
    assert_memory_equal(addr + 8, ((uint8_t[]){0, 0, 0, 0, 0, 0, 0, 0x53}), 8);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(devices_have_their_overlay_address),
        TEST(our_own_name_is_our_own_address),
        TEST(rfc2308_absent_types_are_nodata_with_a_soa),
        TEST(rfc8482_any_gets_one_rrset),
        TEST(unknown_names_are_looked_up_then_answered),
        TEST(after_a_look_up_the_address),
        TEST(rfc8914_a_failed_look_up_says_why),
        TEST(other_data_is_asked_of_the_signpost),
        TEST(reserved_names_do_not_exist),
        TEST(rfc6761_localhost_is_this_machine),
        TEST(short_names_where_search_is_on),
        TEST(rfc3596_reverse_names),
        TEST(nothing_of_ours_is_forwarded),
        TEST(private_types_are_refused),
        TEST(others_are_refused_without_forwarding),
        TEST(rfc6891_edns_comes_back),
        TEST(rfc4035_flags),
        TEST(rfc8906_what_is_no_query),
        TEST(the_resolvers_address),
    };
    return cmocka_run_group_tests_name("agent_resolver", tests, NULL, NULL);
}
