/* An update with arbitrary sections, signed by a key that the target holds, so that all behind the verification is
 * reached. Input: how (bits: TSIG, TCP, device at the apex, 8-byte lease, 4-byte lease), number of prerequisites,
 * number of updates, bytes of those sections. What was accepted must replay to the same state. */
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

static struct upd *rig_make(void) {
    struct upd *r = upd_new();
    struct sp_ed25519 device = upd_key(1), apex = upd_key(2), invite = upd_key(9);
    upd_device(r, "laptop", &device);
    upd_device(r, "@", &apex);
    upd_tsig(r, "router.", "names=*");
    upd_invite(r, "tv", &invite, UPD_WALL + 100000000);
    return r;
}

static void check_replay(struct upd *r) {
    struct upd *b = upd_replayed(r, r->records);
    char *here = upd_dump_state(r), *there = upd_dump_state(b);
    SP_ASSERT(strcmp(here, there) == 0);
    free(here);
    free(there);
    upd_free(b);
    upd_pass(r, SP_HOUR);
    upd_expire(r);
}

/* Kept while nothing in it changes; making one anew is most of the work. */
static struct upd *rig;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    if (len < 3 || len > 4096)
        return 0;
    if (rig == NULL)
        rig = rig_make();
    struct sp_ed25519 device = upd_key(1), apex = upd_key(2);
    struct sp_tsig_key router = upd_tsig_key("router.");
    struct sp_msg msg;
    uint8_t how = data[0];
    upd_pass(rig, SP_SEC); /* so that no input is a repetition */
    rig->via = how & BY_TCP ? SP_VIA_TCP : SP_VIA_UDP;
    sections(rig, data[1], data[2], data + 3, len - 3);
    if (how & (LEASE_8 | LEASE_4))
        upd_opt(rig, how & LEASE_8 ? 8 : 4, 120, 600);
    if (how & BY_TSIG)
        upd_sign_tsig(rig, &router);
    else
        upd_sign(rig, how & BY_APEX ? "@" : "laptop", how & BY_APEX ? &apex : &device);
    if (sp_msg_parse(&msg, rig->out, rig->out_len) != SP_OK || upd_send(rig) != SP_RCODE_NOERROR)
        return 0;
    if (rig->up.change.body == NULL)
        return 0;
    check_replay(rig);
    upd_free(rig);
    rig = NULL;
    return 0;
}
