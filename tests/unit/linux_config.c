#define _GNU_SOURCE
#include "tests/unit/cm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/linux/addr.h"
#include "signpostd/linux/config.h"

static struct spl_config config;
static struct spl_error err;

static sp_err read_text(const char *text, size_t len) {
    char path[] = "/tmp/signpost-config-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), len);
    close(fd);
    spl_config_default(&config);
    err.text[0] = 0;
    sp_err e = spl_config_read(&config, path, &err);
    /* The rest of the error is the same everywhere. */
    size_t n = strlen(path);
    if (strncmp(err.text, path, n) == 0)
        memmove(err.text, err.text + n, strlen(err.text + n) + 1);
    unlink(path);
    return e;
}

static void everything(void **state) {
    static const char text[] = "# comment\n"
                               "data = /var/lib/x\n"
                               "listen = {\"[::1]:5300\", \"127.0.0.1:5300\"}\n"
                               "zones = {\"me.example.net\", .}\n"
                               "user = nobody\ngroup = nogroup\n"
                               "metrics = 127.0.0.1\n"
                               "operators = {\"BOe6LWbzvjK2czkLX+rwFSekWZVcdv7mom6zw8osVAE=\"}\n"
                               "nsid = ns1\nlog-size = 2M\nudp-size = 1400\n"
                               "limits {\n  zones = 7\n  streams = 9\n  sessions = 13\n  operator-request = 64K\n  memory = 64M\n}\n"
                               "budgets {\n  verify-per-second = 11\n  stun-per-second = 12\n  relay-bytes-per-second = 3M\n}\n"
                               "tcp {\n  idle = 5s\n  first = 250ms\n}\n";
    char buf[SPL_ADDR_TEXT];
    assert_int_equal(read_text(text, strlen(text)), SP_OK);
    assert_string_equal(config.data, "/var/lib/x");
    assert_int_equal(config.listen_count, 2);
    assert_string_equal(spl_addr_text(&config.listen[0], buf), "[::1]:5300");
    assert_int_equal(config.zone_count, 2);
    assert_string_equal(config.zones[0], "me.example.net");
    assert_string_equal(config.user, "nobody");
    assert_string_equal(config.group, "nogroup");
    assert_string_equal(spl_addr_text(&config.metrics, buf), "127.0.0.1:9153");
    assert_int_equal(config.server.operator_count, 1);
    assert_int_equal(config.server.operators[0][31], 1);
    assert_int_equal(config.server.limits.operator_request, 64 << 10);
    assert_int_equal(config.server.nsid_len, 3);
    assert_int_equal(config.log_bytes, 2 << 20);
    assert_int_equal(config.server.udp_size_max, 1400);
    assert_int_equal(config.server.limits.zones, 7);
    assert_int_equal(config.server.limits.streams, 9);
    assert_int_equal(config.server.limits.memory, 64 << 20);
    assert_int_equal(config.server.budgets.verify_per_s, 11);
    assert_int_equal(config.server.budgets.stun_per_s, 12);
    assert_int_equal(config.server.budgets.relay_bytes_per_s, 3 << 20);
    assert_int_equal(config.server.limits.sessions, 13);
    assert_int_equal(config.server.tcp_idle, 5 * SP_SEC);
    assert_int_equal(config.server.tcp_first, 250 * SP_MS);
    spl_config_free(&config);
}

static void empty_is_the_default(void **state) {
    struct sp_server_config d;
    sp_server_config_default(&d);
    assert_int_equal(read_text("", 0), SP_OK);
    assert_int_equal(config.listen_count, 0);
    assert_int_equal(config.server.limits.streams, d.limits.streams);
    assert_int_equal(config.server.tcp_idle, d.tcp_idle);
    assert_int_equal(config.log_bytes, 256 << 20);
    spl_config_free(&config);
}

static void refused(const char *text, sp_err code, const char *start, const char *part) {
    assert_int_equal(read_text(text, strlen(text)), code);
    if (strncmp(err.text, start, strlen(start)) != 0 || strstr(err.text, part) == NULL)
        fail_msg("%s\ngave: %s", text, err.text);
    spl_config_free(&config);
}

static void errors_say_where(void **state) {
    refused("\nlissen = \"x\"\n", SP_ERR_FORM, ":2: ", "lissen");
    refused("listen = {\"127.0.0.1\",\n\"here\"}", SP_ERR_FORM, ":2: ", "'here' is not an address");
    refused("tcp {\n\n  idle = soon\n}\n", SP_ERR_FORM, ":3: ", "'soon' is not a time");
    refused("tcp {\n  idle = 1ms\n}\n", SP_ERR_FORM, ":2: ", "out of range");
    refused("limits {\n  zones = 0\n}\n", SP_ERR_FORM, ":2: ", "out of range (1 to 4096)");
    refused("limits {\n  zones = 99999999999999999999\n}\n", SP_ERR_FORM, ":2: ", "out of range");
    refused("limits {\n  zone = 1\n}\n", SP_ERR_FORM, ":2: ", "zone");
    refused("operators = {\"BOe6LWbzvjK2czkLX+rw\"}\n", SP_ERR_FORM, ":1: ", "is not an operator's public key");
    refused("zones = {\"a..b\"}\n", SP_ERR_FORM, ":1: ", "'a..b' is not a zone");
    refused("log-size = 1K\n", SP_ERR_FORM, ":1: ", "out of range");
    refused("user = \"\"\n", SP_ERR_FORM, ":1: ", "user");
    refused("metrics = 127.0.0.1:0\n", SP_ERR_FORM, ":1: ", "metrics");
    refused("limits {\n  zones = 1 # }\n  /* } */\n", SP_ERR_FORM, ":1: ", "without '}'");
    refused("data = \"unfinished\n", SP_ERR_FORM, ":", "");
    refused("zones = {me.test, ME.test.}\n", SP_ERR_EXIST, ": ", "twice");
    refused("listen = {127.0.0.1, \"127.0.0.1:53\"}\n", SP_ERR_EXIST, ": ", "twice");
}

static void files_that_are_none(void **state) {
    assert_int_equal(read_text("data = x\0y\n", 11), SP_ERR_FORM);
    assert_non_null(strstr(err.text, "zero byte"));
    spl_config_free(&config);
    spl_config_default(&config);
    assert_int_equal(spl_config_read(&config, "/nonexistent/conf", &err), SP_ERR_NOENT);
    assert_non_null(strstr(err.text, "/nonexistent/conf: No such file"));
    spl_config_free(&config);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(everything), cmocka_unit_test(empty_is_the_default),
                                       cmocka_unit_test(errors_say_where), cmocka_unit_test(files_that_are_none)};
    return cmocka_run_group_tests_name("linux_config", tests, NULL, NULL);
}
