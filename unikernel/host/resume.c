#include "unikernel/host/resume.h"

#include "proto/crypto/crypto.h"
#include "unikernel/boot/boot.h"
#include "unikernel/lib/random.h"
#include "unikernel/xen/console.h"
#include "unikernel/xen/xen.h"

/* The pool is fresh already: spx_suspend saw to that. Streams end too: the core hears of it in this turn. */
static void renew(struct spx_loop *l) {
    uint8_t seed[SP_RNG_SEED];
    l->now = spx_now();
    l->wall = spx_wall();
    spx_random_fill(seed, sizeof seed);
    sp_server_resumed(l->server, l->now, l->wall, seed);
    spx_random_fill(seed, sizeof seed);
    sp_rng_init(l->net_rng, seed);
    sp_wipe(seed, sizeof seed);
    sp_tcp_resumed(sp_net_tcp(l->direct.net));
}

static sp_err connect(struct spx_loop *l) {
    SP_TRY(spx_grants_map(l->grants, l->grant_table, l->grant_frames));
    spx_xs_open(&l->store);
    return spx_loop_watch_store(l);
}

/* Without its disk it serves on and refuses updates, as with one that fails; without a network it waits for one. */
static void devices(struct spx_loop *l) {
    sp_err err = spx_netdev_resume(&l->net);
    if (err != SP_OK)
        spx_print("signpost: the network did not come back: %s\n", sp_err_text(err));
    if (!l->has_disk)
        return;
    err = spx_blkdev_resume(&l->disk);
    if (err != SP_OK)
        spx_print("signpost: the disk did not come back: %s\n", sp_err_text(err));
}

void spx_loop_suspend(struct spx_loop *l) {
    spx_print("signpost: asked to suspend\n");
    if (spx_suspend()) {
        spx_print("signpost: the suspend was cancelled: nothing has changed\n");
        return;
    }
    renew(l);
    sp_err err = connect(l);
    if (err != SP_OK) {
        spx_print("signpost: cannot go on after the suspend: %s\n", sp_err_text(err));
        l->ended = true;
        l->reason = SPX_CRASH;
        return;
    }
    devices(l);
    l->now = spx_now();
    l->net_up = false; /* it comes up in this turn, and then tells the network where our addresses are */
    sp_net_link(l->direct.net, l->now, false);
    spx_print("signpost: resumed: sessions and connections dropped, randomness renewed\n");
}
