/* What the guest's console says of its network, in virtual time: each change once, bounded, the last word right. And
 * what of it goes to syslog, and when. */
#include "tests/unit/cm.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/net_rig.h"
#include "unikernel/host/loop.h"
#include "unikernel/xen/console.h"
#include "unikernel/xen/xen.h"

/* ---- the guest around it ---- */

static struct spx_loop l;
static struct net_rig *g;
static struct spx_cmdline wanted;
static char said[20000]; /* since `forget` */
static char sent[200][SPX_SYSLOG_MESSAGE + 1];
static struct sp_out sent_to;
static size_t sent_count;
static void (*tapped)(void *ctx, const char *text, size_t len);
static void *tap_ctx;

void spx_console_write(const char *text, size_t len) {
    size_t at = strlen(said);
    assert_true(at + len < sizeof said);
    memcpy(said + at, text, len);
    said[at + len] = 0;
    if (tapped != NULL)
        tapped(tap_ctx, text, len);
}

void spx_console_tap(void (*tap)(void *ctx, const char *text, size_t len), void *ctx) {
    tapped = tap;
    tap_ctx = ctx;
}

/* %s and %u, as the console has them. */
void spx_print(const char *format, ...) {
    va_list args;
    va_start(args, format);
    for (; *format != 0; format++) {
        char text[400] = {*format};
        if (*format == '%' && *++format == 's')
            snprintf(text, sizeof text, "%s", va_arg(args, const char *));
        else if (*format == 'u')
            if (format[-1] == '%')
                snprintf(text, sizeof text, "%llu", (unsigned long long)va_arg(args, uint64_t));
        spx_console_write(text, strlen(text));
    }
    va_end(args);
}

sp_wall spx_wall(void) {
    return (sp_wall){0};
}

void spx_loop_send(struct spx_loop *loop, const struct sp_out *out) {
    assert_true(out->len <= SPX_SYSLOG_MESSAGE && sent_count < 200);
    memcpy(sent[sent_count], out->data, out->len);
    sent[sent_count++][out->len] = 0;
    sent_to = *out;
}

static void forget(void) {
    said[0] = 0;
    sent_count = 0;
    memset(sent, 0, sizeof sent);
}

static void turn(void) {
    l.now = g->now;
    spx_report_turn(&l);
}

/* Time passes with a turn whenever one is asked for. */
static void wait(sp_duration d) {
    for (sp_instant end = g->now + d; g->now < end;) {
        sp_instant next = sp_instant_min(sp_instant_min(end, l.report.wake), g->now + SP_SEC);
        net_rig_wait(g, next > g->now ? next - g->now : SP_MS);
        turn();
    }
}

static void link(bool up) {
    l.net_up = up;
    sp_net_link(g->net, g->now, up);
    turn();
}

/* With 192.0.2.1/24 as the rig has it, or from outside alone. */
static void start(bool dhcp, bool slaac) {
    memset(&l, 0, sizeof l);
    memset(&wanted, 0, sizeof wanted);
    tapped = NULL;
    g = net_rig_new();
    g->config.ipv6 = g->config.slaac = slaac;
    g->config.dhcp = dhcp;
    g->config.static_count = !dhcp && !slaac;
    wanted.ip.how = dhcp ? SPX_IP_AUTO : slaac ? SPX_IP_NONE : SPX_IP_STATIC;
    wanted.ip.addr = net_ip("192.0.2.1");
    wanted.ip6.how = slaac ? SPX_IP_AUTO : SPX_IP_NONE;
    net_rig_start(g);
    l.direct.net = g->net;
    l.net_up = true;
    forget();
}

static void begin(void) {
    spx_report_start(&l.report, &wanted);
    turn();
}

/* A router's advertisement of a prefix for so many seconds. */
static void advertise(uint32_t valid_s) {
    uint8_t m[48] = {134, [6] = 7, 8, [16] = 3, 4, 64, 0xc0};
    static const uint8_t nodes_mac[6] = {0x33, 0x33, 0, 0, 0, 1};
    for (unsigned i = 0; i < 4; i++)
        m[20 + i] = m[24 + i] = (uint8_t)(valid_s >> (24 - 8 * i));
    memcpy(m + 32, net_ip("2001:db8:1::").ip, 16);
    struct net_frame f = net_icmp(nodes_mac, net_rig_gateway, "fe80::fe", "ff02::1", 255, m, sizeof m);
    net_rig_in(g, &f);
}

static size_t count(const char *text) {
    size_t n = 0;
    for (const char *p = said; (p = strstr(p, text)) != NULL; p++)
        n++;
    return n;
}

/* ---- tests ---- */

static void test_static_is_no_news(void **state) {
    start(false, false);
    begin();
    wait(100 * SP_SEC);
    assert_string_equal(said, "");
    assert_true(l.report.wake == SP_NEVER);
    link(false);
    assert_string_equal(said, "signpost: the network's link is down\n");
    forget();
    link(true);
    wait(SP_SEC);
    assert_string_equal(said, "signpost: the network's link is up\nsignpost: has the address 192.0.2.1\n");
    net_rig_free(g);
}

static void test_slaac(void **state) {
    start(false, true);
    begin();
    assert_string_equal(said, "signpost: waiting for an address from router advertisements\n");
    forget();
    wait(19 * SP_SEC);
    assert_string_equal(said, "");
    wait(2 * SP_SEC);
    assert_string_equal(
        said, "signpost: still no address from router advertisements: does a router send them on this network?\n");
    forget();
    wait(SP_HOUR);
    assert_string_equal(said, ""); /* once is enough */
    assert_true(l.report.wake == SP_NEVER);
    advertise(7200);
    wait(3 * SP_SEC);
    assert_memory_equal(said, "signpost: has the address 2001:db8:1:0:", 39);
    assert_int_equal(count("signpost: "), 1);
    forget();
    wait(3 * SP_HOUR); /* and no router says it again */
    assert_memory_equal(said, "signpost: the address 2001:db8:1:0:", 35);
    assert_non_null(strstr(said, " is lost\nsignpost: waiting for an address from router advertisements\n"));
    net_rig_free(g);
}

static void test_dhcp_waits(void **state) {
    start(true, true);
    begin();
    assert_string_equal(said, "signpost: waiting for an address from DHCP\n"
                              "signpost: waiting for an address from router advertisements\n");
    net_rig_free(g);
}

static void test_conflict(void **state) {
    start(false, false);
    begin();
    struct net_frame f = net_arp(1, net_rig_peer, "192.0.2.1", NULL, "192.0.2.1");
    net_rig_in(g, &f);
    turn();
    assert_string_equal(said, "signpost: another machine on this network claims an address of ours\n");
    net_rig_free(g);
}

/* A link that comes and goes all the time: bounded, and what is said in the end is what is. */
static void test_bounded(void **state) {
    start(false, false);
    begin();
    for (unsigned i = 0; i < 1000; i++) {
        link(i % 2 != 0);
        net_rig_wait(g, 10 * SP_MS);
        l.now = g->now;
    }
    size_t lines = count("signpost: ");
    assert_true(lines >= 20 && lines <= 26); /* in 10 seconds: 20, and one each 2 seconds */
    for (unsigned i = 0; i < 4; i++) /* at once, so that no line is left */
        link(i % 2 != 0);
    forget();
    bool up = l.report.link_down; /* other than what was said last */
    link(up);
    assert_string_equal(said, "");
    wait(10 * SP_SEC);
    assert_int_equal(count(up ? "link is up\n" : "link is down\n"), 1);
    assert_int_equal(count("link is"), 1);
    wait(100 * SP_SEC);
    assert_true(l.report.wake == SP_NEVER); /* nothing left to say */
    net_rig_free(g);
}

/* ---- syslog ---- */

static void syslog_to(const char *ip) {
    wanted.syslog = net_ip(ip);
    wanted.syslog.port = 5514;
    spx_text_clear(&wanted.zone);
    spx_text_add(&wanted.zone, "me.signpost");
    spx_report_syslog(&l.report, &wanted);
}

static void test_syslog(void **state) {
    start(false, false);
    syslog_to("192.0.2.9");
    spx_print("signpost: early\nnot ours\n");
    begin();
    assert_int_equal(sent_count, 1);
    assert_string_equal(sent[0], "<30>1 - me.signpost signpost - - - early");
    assert_memory_equal(sent_to.dst.ip, net_ip("192.0.2.9").ip, 16);
    assert_int_equal(sent_to.dst.port, 5514);
    assert_true(l.report.wake == SP_NEVER);
    link(false);
    assert_int_equal(sent_count, 1); /* nowhere to send from */
    link(true);
    wait(SP_SEC);
    assert_int_equal(sent_count, 4);
    assert_string_equal(sent[1], "<30>1 - me.signpost signpost - - - the network's link is down");
    net_rig_free(g);
}

static void test_syslog_pace(void **state) {
    start(false, false);
    syslog_to("192.0.2.9");
    begin();
    for (unsigned i = 0; i < SPX_SYSLOG_LINES; i++)
        spx_print("signpost: line %u\n", (uint64_t)i);
    turn();
    assert_int_equal(sent_count, 6); /* then one each 50 ms */
    wait(101 * SP_MS);
    assert_int_equal(sent_count, 8);
    wait(10 * SP_SEC);
    assert_int_equal(sent_count, SPX_SYSLOG_LINES);
    assert_string_equal(sent[31], "<30>1 - me.signpost signpost - - - line 31");
    assert_true(l.report.wake == SP_NEVER);
    net_rig_free(g);
}

static void test_syslog_lost(void **state) {
    start(false, false);
    syslog_to("192.0.2.9");
    begin();
    for (unsigned i = 0; i < SPX_SYSLOG_LINES + 7; i++)
        spx_print("signpost: line %u\n", (uint64_t)i);
    wait(10 * SP_SEC);
    assert_int_equal(sent_count, SPX_SYSLOG_LINES + 1);
    assert_string_equal(
        sent[32], "<30>1 - me.signpost signpost - - - 7 lines did not get to syslog: there were too many at once");
    assert_int_equal(count("7 lines did not"), 1);
    for (unsigned i = 0; i < SPX_SYSLOG_LINES; i++)
        spx_print("signpost: last %u\n", (uint64_t)i);
    spx_report_flush(&l); /* the guest ends: at once, whatever the pace */
    assert_int_equal(sent_count, 2 * SPX_SYSLOG_LINES + 1);
    net_rig_free(g);
}

static void test_no_syslog(void **state) {
    start(false, false);
    spx_report_syslog(&l.report, &wanted);
    assert_null(tapped);
    spx_print("signpost: line\n");
    begin();
    spx_report_flush(&l);
    assert_int_equal(sent_count, 0);
    net_rig_free(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_static_is_no_news), cmocka_unit_test(test_slaac),       cmocka_unit_test(test_dhcp_waits),
        cmocka_unit_test(test_conflict),          cmocka_unit_test(test_bounded),     cmocka_unit_test(test_syslog),
        cmocka_unit_test(test_syslog_pace),       cmocka_unit_test(test_syslog_lost), cmocka_unit_test(test_no_syslog),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
