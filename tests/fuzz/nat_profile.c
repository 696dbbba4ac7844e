/* Any bytes: a profile that reads can be dialled, and is written and read to the same. */
#include <string.h>

#include "proto/nat/nat.h"
#include "tests/support/support.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    struct sp_profile p, back;
    uint8_t out[SP_PROFILE_MAX];
    memset(&p, 0, sizeof p);
    memset(&back, 0, sizeof back);
    struct sp_rd rd = sp_rd_init(data, len);
    if (sp_profile_read(&rd, &p) != SP_OK)
        return 0;
    for (unsigned i = 0; i < p.count; i++)
        SP_ASSERT(sp_candidate_dialable(&p.candidates[i].addr));
    struct sp_wr wr = sp_wr_init(out, sizeof out);
    sp_profile_write(&wr, &p);
    SP_ASSERT(wr.err == SP_OK && sp_wr_len(&wr) == sp_rd_offset(&rd));
    rd = sp_rd_init(out, sp_wr_len(&wr));
    SP_ASSERT(sp_profile_read(&rd, &back) == SP_OK && sp_rd_finish(&rd) == SP_OK);
    SP_ASSERT(memcmp(&p, &back, sizeof p) == 0);
    return 0;
}
