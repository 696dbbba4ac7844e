/* What a program says to the local proxy. However it comes in pieces, it means the same: once something is decided, more bytes change
 * nothing. What is read lies within what was said. */
#include <string.h>

#include "client/core/proxy.h"
#include "tests/support/support.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(const struct sp_proxy_ask *ask, const uint8_t *data, size_t len) {
    const uint8_t *host = (const uint8_t *)ask->host;
    SP_ASSERT(ask->used <= len && ask->port != 0);
    SP_ASSERT(host == NULL ? ask->family == 4 || ask->family == 6 : host >= data && host + ask->host_len <= data + ask->used);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    struct sp_proxy_ask whole, ask;
    enum sp_proxy_result why = SP_PROXY_OK, early;
    uint8_t answer[SP_PROXY_ANSWER_MAX];
    len = len < SP_PROXY_ASK_MAX ? len : SP_PROXY_ASK_MAX - 1;
    sp_err err = sp_proxy_read(&whole, data, len, &why);
    SP_ASSERT(err == SP_OK || err == SP_ERR_SHORT || (err == SP_ERR_DENIED && why != SP_PROXY_OK && why < SP_PROXY_RESULTS));
    if (err == SP_OK)
        check(&whole, data, len);
    bool decided = false;
    for (size_t n = 0; n <= len; n += n < 300 ? 1 : 97) {
        sp_err e = sp_proxy_read(&ask, data, n, &early);
        SP_ASSERT(e == SP_ERR_SHORT ? !decided : e == err && (e == SP_OK || early == why));
        SP_ASSERT(e != SP_OK || (ask.used == whole.used && ask.port == whole.port));
        SP_ASSERT(!ask.greeted || whole.greeted);
        decided = decided || e != SP_ERR_SHORT;
    }
    if (err == SP_ERR_DENIED)
        SP_ASSERT(sp_proxy_answer(whole.kind, whole.greeted, why, answer, sizeof answer) <= sizeof answer);
    return 0;
}
