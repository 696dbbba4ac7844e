/* An update with arbitrary sections, signed by a key that the target holds, so that all behind the verification is reached.
 * Input: how (bits: TSIG, TCP, device at the apex, 8-byte lease, 4-byte lease), number of prerequisites, number of updates, bytes of
 * those sections. What was accepted must replay to the same state. */
#include <stdlib.h>

#include "tests/support/support.h"
#include "tests/support/update_rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { BY_TSIG = 1, BY_TCP = 2, BY_APEX = 4, LEASE_8 = 8, LEASE_4 = 16 };

static void sections(struct upd *r, unsigned prereqs, unsigned updates, const uint8_t *data, size_t len) {
    upd_begin(r);
    sp_wr_bytes(&r->w.wr, data, len);
    r->w.count[1] = (uint16_t)prereqs;
    r->w.count[2] = (uint16_t)updates;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    if (len < 3 || len > 4096)
        return 0;
    struct upd *r = upd_new();
    struct sp_ed25519 device = upd_key(1), apex = upd_key(2), invite = upd_key(9);
    struct sp_tsig_key router = upd_tsig_key("router.");
    struct sp_msg msg;
    uint8_t how = data[0];
    upd_device(r, "laptop", &device);
    upd_device(r, "@", &apex);
    upd_tsig(r, "router.", "names=*");
    upd_invite(r, "tv", &invite, UPD_WALL + 100);
    if (how & BY_TCP)
        r->via = SP_VIA_TCP;
    sections(r, data[1], data[2], data + 3, len - 3);
    if (how & (LEASE_8 | LEASE_4))
        upd_opt(r, how & LEASE_8 ? 8 : 4, 120, 600);
    if (how & BY_TSIG)
        upd_sign_tsig(r, &router);
    else
        upd_sign(r, how & BY_APEX ? "@" : "laptop", how & BY_APEX ? &apex : &device);
    if (sp_msg_parse(&msg, r->out, r->out_len) == SP_OK && upd_send(r) == SP_RCODE_NOERROR) {
        struct upd *b = upd_replayed(r, r->records);
        char *here = upd_dump(r), *there = upd_dump(b);
        if (r->up.change.body != NULL)
            SP_ASSERT(strcmp(here, there) == 0);
        free(here);
        free(there);
        upd_free(b);
        upd_pass(r, SP_HOUR);
        upd_expire(r);
    }
    upd_free(r);
    return 0;
}
