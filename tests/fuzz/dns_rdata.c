/* A type (two bytes), then its rdata, or a zero byte and its text: what is good prints, and what is printed reads back.
 */
#include <string.h>

#include "proto/dns/rrset.h"
#include "proto/dns/rrtype.h"
#include "tests/support/support.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static uint8_t rdata[SP_RDATA_MAX], back[SP_RDATA_MAX];
static char text[1 << 20];

static void round_trip(uint16_t type, const uint8_t *p, size_t len) {
    struct sp_wr wr = sp_wr_init(text, sizeof text);
    sp_rdata_to_text(type, p, len, &wr);
    SP_ASSERT(wr.err == SP_OK);
    struct sp_wr out = sp_wr_init(back, sizeof back);
    SP_ASSERT(sp_rdata_from_text(type, text, sp_wr_len(&wr), NULL, &out) == SP_OK);
    SP_ASSERT(sp_rdata_cmp(back, sp_wr_len(&out), p, len) == 0);
}

static void good(uint16_t type, size_t len) {
    SP_ASSERT(sp_rdata_check(type, rdata, len) == SP_OK);
    round_trip(type, rdata, len);
    struct sp_name names[4];
    SP_ASSERT(sp_rdata_names(type, rdata, len, names, 4) <= 4);
    sp_rdata_canonical(type, rdata, len);
    SP_ASSERT(sp_rdata_check(type, rdata, len) == SP_OK);
    round_trip(type, rdata, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    if (len < 2)
        return 0;
    uint16_t type = sp_get_u16(data);
    struct sp_wr wr = sp_wr_init(rdata, sizeof rdata);
    if (len > 2 && data[2] == 0) {
        if (sp_rdata_from_text(type, (const char *)data + 3, len - 3, NULL, &wr) == SP_OK)
            good(type, sp_wr_len(&wr));
        else
            SP_ASSERT(sp_wr_len(&wr) == 0);
        wr = sp_wr_init(rdata, sizeof rdata);
    }
    struct sp_rd rd = sp_rd_init(data, len);
    rd.pos += 2;
    if (sp_rdata_read(type, &rd, &wr) == SP_OK) {
        good(type, sp_wr_len(&wr));
    } else if (len - 2 <= SP_RDATA_MAX) {
        /* The generic form of what is malformed. */
        wr = sp_wr_init(text, sizeof text);
        sp_rdata_to_text(type, data + 2, len - 2, &wr);
        SP_ASSERT(wr.err == SP_OK);
        memcpy(rdata, data + 2, len - 2);
        sp_rdata_canonical(type, rdata, len - 2);
    }
    return 0;
}
