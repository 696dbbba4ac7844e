/* Any bytes as a name on the wire (somewhere in a message) and as text. */
#include <string.h>

#include "proto/dns/name.h"
#include "tests/support/support.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void same(const struct sp_name *a, const struct sp_name *b) {
    SP_ASSERT(a->len == b->len && a->labels == b->labels && memcmp(a->wire, b->wire, a->len) == 0);
}

static void check(const struct sp_name *name) {
    char text[SP_NAME_TEXT_MAX];
    struct sp_name back, low = *name, parent;
    size_t len = sp_name_to_text(name, text);
    SP_ASSERT(strlen(text) == len);
    SP_ASSERT(sp_name_from_text(&back, text, len, NULL) == SP_OK);
    same(name, &back);
    struct sp_rd rd = sp_rd_init(name->wire, name->len);
    SP_ASSERT(sp_name_read_plain(&rd, &back) == SP_OK && sp_rd_finish(&rd) == SP_OK);
    same(name, &back);
    sp_name_lower(&low);
    SP_ASSERT(sp_name_equal(name, &low) && sp_name_cmp(name, &low) == 0);
    if (name->labels == 0)
        return;
    sp_name_strip(name, 1, &parent);
    SP_ASSERT(sp_name_under(name, &parent) && !sp_name_under(&parent, name) && sp_name_cmp(name, &parent) > 0);
    SP_ASSERT(sp_name_prepend(&back, name->wire + 1, name->wire[0], &parent) == SP_OK);
    same(name, &back);
    SP_ASSERT(sp_name_resuffix(&back, name, &parent, &parent) == SP_OK);
    same(name, &back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    struct sp_name name;
    if (sp_name_from_text(&name, (const char *)data, len, NULL) == SP_OK)
        check(&name);
    if (len < 2)
        return 0;
    /* The first two bytes say where the name begins. */
    size_t at = sp_get_u16(data) % len;
    struct sp_rd rd = sp_rd_init(data, len), again;
    rd.pos += at;
    again = rd;
    sp_err err = sp_name_read(&rd, &name);
    SP_ASSERT(sp_name_skip(&again) == err && again.pos == rd.pos && again.err == rd.err);
    if (err == SP_OK)
        check(&name);
    return 0;
}
