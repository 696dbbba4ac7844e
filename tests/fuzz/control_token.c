/* An invite token as pasted by a person: arbitrary text, and arbitrary bytes behind a good mark and checksum. */
#include "proto/control/join.h"
#include "tests/support/support.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void same_again(const struct sp_token *t) {
    char text[SP_TOKEN_TEXT_MAX];
    struct sp_token back;
    size_t n = sp_token_write(t, text, sizeof text);
    SP_ASSERT(n > 0);
    SP_ASSERT(sp_token_read(&back, text, n) == SP_OK);
    SP_ASSERT(sp_name_equal(&back.name, &t->name) && back.expiry == t->expiry && back.addr_count == t->addr_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    struct sp_token t;
    if (sp_token_read(&t, (const char *)data, len) == SP_OK)
        same_again(&t);
    /* The checksum would stop nearly every input: make a good one. */
    uint8_t bin[1024];
    char text[2048] = "signpost1-";
    if (len > sizeof bin - 4)
        return 0;
    if (len > 0)
        memcpy(bin, data, len);
    sp_labelled_hash("signpost-token-v1", bin, len, bin + len, 4);
    size_t n = sp_base64url_encode(bin, len + 4, text + 10, sizeof text - 10);
    if (sp_token_read(&t, text, n + 10) == SP_OK)
        same_again(&t);
    uint8_t invite[SP_ED25519_PUB];
    uint64_t expiry;
    struct sp_name name;
    sp_name_root(&name);
    if (sp_join_peek(data, len, invite, &expiry) == SP_OK)
        SP_ASSERT(sp_join_verify(data, len, bin, &name, invite) != SP_ERR_FORM);
    return 0;
}
