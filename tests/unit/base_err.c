#include "tests/unit/cm.h"

#include "proto/base/err.h"

static void names_and_texts(void **state) {
    assert_string_equal(sp_err_name(SP_OK), "OK");
    assert_string_equal(sp_err_name(SP_ERR_FORM), "ERR_FORM");
    assert_string_equal(sp_err_text(SP_ERR_NOSPC), "disk full");
    assert_string_equal(sp_err_name((sp_err)99), "ERR_UNKNOWN");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(names_and_texts)};
    return cmocka_run_group_tests_name("base_err", tests, NULL, NULL);
}
