#include "tests/unit/cm.h"

#include <stdlib.h>
#include <string.h>

#include "signpostd/ctl/ctl.h"
#include "signpostd/linux/prometheus.h"

static uint8_t buf[2048];
static struct sp_wr wr;

static void begin(enum sp_op_status status) {
    wr = sp_wr_init(buf, sizeof buf);
    sp_op_reply_begin(&wr, status);
}

static json_t *object(enum sp_op_status expect) {
    enum sp_op_status status;
    json_t *j = NULL;
    assert_int_equal(ctl_json_from(buf, sp_wr_len(&wr), &status, &j), SP_OK);
    assert_int_equal(status, expect);
    return j;
}

static void assert_text(const char *expect) {
    json_t *j = object(SP_OP_OK);
    char *text = ctl_text_from(j);
    assert_string_equal(text, expect);
    free(text);
    json_decref(j);
}

static void device(const char *name, uint64_t lease) {
    sp_op_begin(&wr, SP_OP_RECORD, "");
    sp_op_text(&wr, "name", name);
    sp_op_u64(&wr, "lease", lease);
    sp_op_bool(&wr, "up", lease > 100);
    sp_op_end(&wr);
}

static void json_of_a_reply(void **state) {
    begin(SP_OP_OK);
    sp_op_text(&wr, "zone", "me.signpost.");
    sp_op_u64(&wr, "big", UINT64_MAX);
    sp_op_begin(&wr, SP_OP_LIST, "devices");
    device("laptop", 3600);
    sp_op_end(&wr);
    json_t *j = object(SP_OP_OK);
    char *text = json_dumps(j, JSON_COMPACT);
    assert_string_equal(text, "{\"zone\":\"me.signpost.\",\"big\":9223372036854775807,"
                              "\"devices\":[{\"name\":\"laptop\",\"lease\":3600,\"up\":true}]}");
    free(text);
    json_decref(j);
}

static void lines_and_tables(void **state) {
    begin(SP_OP_OK);
    sp_op_text(&wr, "zone", "me.signpost.");
    sp_op_u64(&wr, "memory_used", 12);
    sp_op_begin(&wr, SP_OP_LIST, "devices");
    device("laptop", 3600);
    device("tv", 60);
    sp_op_end(&wr);
    sp_op_begin(&wr, SP_OP_LIST, "keys");
    sp_op_end(&wr);
    sp_op_begin(&wr, SP_OP_RECORD, "log");
    sp_op_u64(&wr, "blocks", 5);
    sp_op_end(&wr);
    assert_text("zone: me.signpost.\nmemory used: 12\ndevices:\n"
                "  name    lease  up\n"
                "  laptop   3600  yes\n"
                "  tv         60  no\n"
                "keys: none\nlog:\n  blocks: 5\n");
}

static void a_single_list_has_no_heading(void **state) {
    begin(SP_OP_OK);
    sp_op_begin(&wr, SP_OP_LIST, "devices");
    device("tv", 60);
    sp_op_end(&wr);
    assert_text("name  lease  up\ntv       60  no\n");
}

static void hostile_text(void **state) {
    begin(SP_OP_OK);
    sp_op_text(&wr, "policy", "a\033[2Jb\n");
    sp_op_str(&wr, "name", "\xff\x80z", 3);
    assert_text("policy: a\\x1b[2Jb\\x0a\nname: ??z\n");
}

static void failed_and_malformed(void **state) {
    wr = sp_wr_init(buf, sizeof buf);
    sp_op_reply_error(&wr, SP_OP_FAILED, "no such zone", "zone list");
    json_t *j = object(SP_OP_FAILED);
    assert_string_equal(json_string_value(json_object_get(j, "error")), "no such zone");
    json_decref(j);
    enum sp_op_status status;
    for (size_t n = 0; n < sp_wr_len(&wr); n++) {
        sp_err err = ctl_json_from(buf, n, &status, &j);
        if (err == SP_OK)
            json_decref(j);
        else
            assert_true(err == SP_ERR_SHORT || err == SP_ERR_FORM);
    }
    assert_int_equal(ctl_json_from(buf, 1, &status, &j), SP_ERR_SHORT);
}

static void prometheus(void **state) {
    char *text;
    size_t len;
    begin(SP_OP_OK);
    sp_op_u64(&wr, "queries_total{type=\"A\"}", 7);
    sp_op_u64(&wr, "queries_total{type=\"AAAA\"}", 8);
    sp_op_u64(&wr, "leases", 3);
    sp_op_u64(&wr, "latency_us_bucket{le=\"16\"}", 1);
    sp_op_u64(&wr, "latency_us_bucket{le=\"+Inf\"}", 2);
    sp_op_u64(&wr, "latency_us_sum", 40);
    sp_op_u64(&wr, "latency_us_count", 2);
    assert_int_equal(spl_prometheus_text(buf, sp_wr_len(&wr), &text, &len), SP_OK);
    assert_string_equal(
        text, "# TYPE signpost_queries_total counter\nsignpost_queries_total{type=\"A\"} 7\n"
              "signpost_queries_total{type=\"AAAA\"} 8\n# TYPE signpost_leases gauge\nsignpost_leases 3\n"
              "# TYPE signpost_latency_us histogram\nsignpost_latency_us_bucket{le=\"16\"} 1\n"
              "signpost_latency_us_bucket{le=\"+Inf\"} 2\nsignpost_latency_us_sum 40\nsignpost_latency_us_count 2\n");
    assert_int_equal(len, strlen(text));
    free(text);
    begin(SP_OP_FAILED);
    assert_int_equal(spl_prometheus_text(buf, sp_wr_len(&wr), &text, &len), SP_ERR_FORM);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(json_of_a_reply),
                                       cmocka_unit_test(lines_and_tables),
                                       cmocka_unit_test(a_single_list_has_no_heading),
                                       cmocka_unit_test(hostile_text),
                                       cmocka_unit_test(failed_and_malformed),
                                       cmocka_unit_test(prometheus)};
    return cmocka_run_group_tests_name("ctl_show", tests, NULL, NULL);
}
