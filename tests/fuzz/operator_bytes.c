/* Requests of an operator into a live server: u16 length, then that many bytes, until the input ends. Inputs of odd
 * length have a disk, which makes them several times slower. */
#include "tests/support/server_rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    static struct rig r;
    struct sp_rd rd = sp_rd_init(data, len);
    rig_init(&r, len % 2 == 1 ? 128 : 0);
    rig_start(&r);
    rig_zone(&r);
    while (sp_rd_left(&rd) >= 2) {
        size_t size = sp_rd_u16(&rd);
        if (size > sp_rd_left(&rd))
            size = sp_rd_left(&rd);
        int status = rig_ctl_bytes(&r, sp_rd_bytes(&rd, size), size);
        /* Whatever was asked, there is a reply, and it is well formed. */
        if (status < 0)
            sp_panic(__FILE__, __LINE__, "no reply, or a malformed one");
        rig_forget(&r);
        rig_wait(&r, SP_SEC);
    }
    rig_end(&r);
    return 0;
}
