/* A log record's body as a damaged or hostile disk gives it. Input: kind, then the body. What is taken must survive a
 * snapshot. */
#include <stdlib.h>

#include "tests/support/support.h"
#include "tests/support/update_rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Kept while nothing in it changes. */
static struct upd *rig;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    if (len < 1 || len > SP_LOG_BODY_MAX)
        return 0;
    if (rig == NULL)
        rig = upd_new();
    struct sp_log_record rec = {.seq = 1, .zone = 1, .kind = data[0] & 15, .body = data + 1, .len = len - 1};
    if (data[0] & 16)
        rec.zone = 2;
    if (sp_updater_apply(rig->u, &rec, rig->now) != SP_OK)
        return 0;
    struct sp_name apex = upd_name("@");
    sp_updater_replayed(rig->u, rig->now, rig->wall);
    rig->zone = sp_zones_get(rig->zones, &apex);
    struct upd *b = upd_restored(rig);
    char *here = upd_dump(rig), *there = upd_dump(b);
    SP_ASSERT(strcmp(here, there) == 0);
    free(here);
    free(there);
    upd_free(b);
    upd_pass(rig, SP_DAY);
    upd_expire(rig);
    upd_free(rig);
    rig = NULL;
    return 0;
}
