/* What the agent's verbs print for people. */
#define _GNU_SOURCE
#include "tests/unit/cm.h"

#include <stdlib.h>
#include <string.h>

#include "client/cli/show.h"

static void assert_shown(void (*show)(FILE *, json_t *), const char *json, const char *expect) {
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    json_t *o = json_loads(json, 0, NULL);
    assert_non_null(o);
    show(f, o);
    fclose(f);
    json_decref(o);
    assert_string_equal(text, expect);
    free(text);
}

static void pieces(void **state) {
    char s[CLI_SHOW_SHORT];
    static const struct {
        void (*show)(char[CLI_SHOW_SHORT], long long);
        long long v;
        const char *text;
    } cases[] = {
        {cli_show_ms, 420, "0.42 ms"},       {cli_show_ms, 9999, "10.00 ms"},        {cli_show_ms, 12345, "12.3 ms"},
        {cli_show_ms, 250000, "250 ms"},     {cli_show_bytes, 0, "0 B"},             {cli_show_bytes, 999, "999 B"},
        {cli_show_bytes, 1000, "1.0 kB"},    {cli_show_bytes, 123456, "123 kB"},     {cli_show_bytes, 999999, "1.0 MB"},
        {cli_show_bytes, INT64_MAX, "9223 PB"}, {cli_show_age, 0, "0 s"},            {cli_show_age, 119, "119 s"},
        {cli_show_age, 120, "2 min"},        {cli_show_age, 7200, "2 h"},            {cli_show_age, 1000000, "11 d"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cases[i].show(s, cases[i].v);
        assert_string_equal(s, cases[i].text);
    }
}

static void one_peer_a_line(void **state) {
    assert_shown(cli_show_peers,
                 "[{\"name\":\"laptop.me.signpost.\",\"address\":\"fd00::1\",\"state\":\"direct\",\"tactic\":\"punch\","
                 "\"endpoint\":\"203.0.113.7:4164\",\"why\":\"both NATs keep their ports\",\"rtt_us\":1234,\"sealed_bytes\":1500,"
                 "\"opened_bytes\":20,\"since_s\":5},"
                 "{\"name\":\"tv.me.signpost.\",\"address\":\"fd00::22\",\"state\":\"relay\",\"tactic\":\"relay\","
                 "\"endpoint\":\"198.51.100.1:53\",\"why\":\"\",\"rtt_us\":0,\"sealed_bytes\":0,\"opened_bytes\":0,\"since_s\":600},"
                 "{\"name\":\"nas.me.signpost.\",\"address\":\"fd00::3\",\"state\":\"offline\"}]",
                 "laptop.me.signpost  fd00::1   direct 203.0.113.7:4164 (punch)  1.23 ms  1.5 kB out, 20 B in  for 5 s     "
                 "both NATs keep their ports\n"
                 "tv.me.signpost      fd00::22  relay 198.51.100.1:53            -        0 B out, 0 B in      for 10 min\n"
                 "nas.me.signpost     fd00::3   offline                          -        0 B out, 0 B in      -\n");
    assert_shown(cli_show_peers, "[]", "");
}

static void session_and_network(void **state) {
    assert_shown(cli_show_session,
                 "{\"state\":\"up\",\"via\":\"udp\",\"endpoint\":\"198.51.100.1:53\",\"since_s\":61,\"rtt_us\":20000,\"last_error\":\"\"}",
                 "session:   up, 198.51.100.1:53 over udp, for 61 s, 20.0 ms away\n");
    assert_shown(cli_show_session, "{\"state\":\"down\",\"last_error\":\"no answer\"}", "session:   down: no answer\n");
    assert_shown(cli_show_net,
                 "{\"mapping\":\"endpoint-independent\",\"filtering\":\"unknown\",\"mapped\":[\"203.0.113.9:4000\"]}",
                 "network:   mapping endpoint-independent, filtering unknown\nseen as:   203.0.113.9:4000\n");
}

static void netcheck(void **state) {
    assert_shown(cli_show_netcheck,
                 "{\"udp\":true,\"ipv4\":true,\"ipv6\":false,\"mapping\":\"none\",\"filtering\":\"unknown\",\"hairpin\":\"unknown\","
                 "\"mapped\":[],\"mtu\":0,\"signposts\":[{\"address\":\"198.51.100.1:53\",\"rtt_us\":1500},"
                 "{\"address\":\"[2001:db8::1]:53\",\"error\":\"no answer\"}]}",
                 "UDP:       yes\nIPv4:      yes\nIPv6:      no\nmapping:   none\nfiltering: unknown\nhairpin:   unknown\n"
                 "MTU:       unknown\nsignpost:  198.51.100.1:53 1.50 ms\nsignpost:  [2001:db8::1]:53 no answer\n");
}

static void pong(void **state) {
    assert_shown(cli_show_pong,
                 "{\"name\":\"laptop.me.signpost.\",\"address\":\"fd00::1\",\"via\":\"lan\",\"endpoint\":\"192.168.1.5:4164\","
                 "\"rtt_us\":870,\"direct\":true}",
                 "pong from laptop.me.signpost (fd00::1) via lan 192.168.1.5:4164 in 0.87 ms\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces),
        cmocka_unit_test(one_peer_a_line),
        cmocka_unit_test(session_and_network),
        cmocka_unit_test(netcheck),
        cmocka_unit_test(pong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
