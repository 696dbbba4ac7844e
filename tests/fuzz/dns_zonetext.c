/* Any zone text: what parses is printed, and the print parses to the same records. */
#include <stdio.h>
#include <string.h>

#include "proto/dns/zonetext.h"
#include "tests/support/support.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static uint8_t a_buf[SP_RDATA_MAX], b_buf[SP_RDATA_MAX];
static char line[1 << 20];

static void same(const struct sp_zonetext_rr *a, const struct sp_zonetext_rr *b) {
    SP_ASSERT(sp_name_equal(&a->owner, &b->owner) && a->type == b->type && a->rclass == b->rclass && a->ttl == b->ttl);
    SP_ASSERT(sp_rdata_cmp(a->rdata, a->rdata_len, b->rdata, b->rdata_len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    struct sp_zonetext z, y;
    struct sp_zonetext_rr a, b;
    struct sp_name origin;
    if (sp_name_from_text(&origin, "example.", 8, NULL) != SP_OK)
        return 0;
    sp_zonetext_begin(&z, (const char *)data, len, &origin);
    sp_err err;
    while ((err = sp_zonetext_next(&z, &a, a_buf, sizeof a_buf)) == SP_OK) {
        SP_ASSERT(sp_rdata_check(a.type, a.rdata, a.rdata_len) == SP_OK);
        struct sp_wr wr = sp_wr_init(line, sizeof line);
        sp_zonetext_write(&wr, &a.owner, a.type, a.rclass, a.ttl, a.rdata, a.rdata_len);
        SP_ASSERT(wr.err == SP_OK);
        sp_zonetext_begin(&y, line, sp_wr_len(&wr), NULL);
        SP_ASSERT(sp_zonetext_next(&y, &b, b_buf, sizeof b_buf) == SP_OK);
        same(&a, &b);
        SP_ASSERT(sp_zonetext_next(&y, &b, b_buf, sizeof b_buf) == SP_ERR_NOENT);
    }
    if (err != SP_ERR_NOENT)
        SP_ASSERT(z.error.what != NULL && z.error.line >= 1 && z.error.column >= 1);
    return 0;
}
