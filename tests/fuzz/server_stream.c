/* TCP connections of strangers: steps of a byte (which of 4 streams, and what), then an argument. */
#include "tests/support/server_rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum step { STEP_OPEN, STEP_DATA, STEP_CREDIT, STEP_CLOSE, STEP_WAIT, STEPS };

static void step(struct rig *r, struct sp_rd *rd, size_t granted[4]) {
    uint8_t what = sp_rd_u8(rd);
    uint64_t id = 1 + what % 4;
    size_t n = sp_rd_u16(rd);
    switch ((enum step)(what / 4 % STEPS)) {
    case STEP_OPEN:
        rig_open(r, id, &rig_client, n);
        granted[id - 1] += n;
        break;
    case STEP_DATA:
        if (n > sp_rd_left(rd))
            n = sp_rd_left(rd);
        rig_data(r, id, sp_rd_bytes(rd, n), n);
        break;
    case STEP_CREDIT:
        rig_credit(r, id, n);
        granted[id - 1] += n;
        break;
    case STEP_CLOSE:
        rig_close(r, id);
        break;
    case STEP_WAIT:
        rig_wait(r, n * 10 * SP_MS);
        break;
    case STEPS:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    static struct rig r;
    struct sp_rd rd = sp_rd_init(data, len);
    size_t granted[4] = {0}, sent[4] = {0};
    rig_init(&r, 0);
    rig_start(&r);
    rig_zone(&r);
    while (sp_rd_left(&rd) >= 3) {
        step(&r, &rd, granted);
        for (size_t i = 0; i < r.count; i++)
            if (r.outs[i].kind == SP_OUT_STREAM_DATA)
                sent[r.outs[i].id - 1] += r.outs[i].len;
        rig_forget(&r);
        for (unsigned i = 0; i < 4; i++)
            if (sent[i] > granted[i])
                sp_panic(__FILE__, __LINE__, "more was sent than there was credit for");
    }
    rig_wait(&r, 120 * SP_SEC);
    if (rig_ctl(&r, SP_OP_STATUS, NULL) != SP_OP_OK)
        sp_panic(__FILE__, __LINE__, "status");
    uint64_t streams;
    if (!rig_ctl_number(&r, "streams", &streams) || streams != 0)
        sp_panic(__FILE__, __LINE__, "a connection outlived every timeout");
    rig_end(&r);
    return 0;
}
