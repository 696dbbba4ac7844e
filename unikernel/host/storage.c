#include "unikernel/host/storage.h"

#include "unikernel/xen/console.h"

#define FULL_AGAIN SP_MIN /* between two lines that say so */

static void tell_opened(const struct spx_loop *l, const struct sp_storage_state *s) {
    if (s->blocks < l->disk.disk.blocks)
        spx_print("signpost: the log was made for a disk of %u KiB, and leaves the rest alone\n",
                  s->blocks * (SP_BLK_SIZE / 1024));
}

void spx_storage_tell(struct spx_loop *l) {
    struct sp_storage_state s;
    if (!l->has_disk)
        return;
    sp_server_storage(l->server, &s);
    if (s.storage == SP_STORAGE_DURABLE && l->told.storage != SP_STORAGE_DURABLE)
        tell_opened(l, &s);
    if (s.storage == SP_STORAGE_FAILED && l->told.storage != SP_STORAGE_FAILED)
        spx_print(
            "signpost: the disk has failed: %u changes that were not on it are taken back; from now on updates are "
            "refused and queries answered; give the guest a good disk and start it anew\n",
            s.unwritten);
    if (s.full && !l->told.full && l->now >= l->full_again) {
        spx_print(
            "signpost: the disk is full: updates that add something are refused, queries answered; remove names, or "
            "give the guest a larger disk\n");
        l->full_again = sp_instant_add(l->now, FULL_AGAIN);
    }
    l->told = s;
}

void spx_storage_stop(struct spx_loop *l) {
    l->stopping = true;
    l->stop_after = l->told.written;
    l->stop_at = sp_instant_add(l->now, SPX_STORAGE_PATIENCE);
}

void spx_storage_check_stop(struct spx_loop *l) {
    if (!l->stopping || l->ended)
        return;
    if (l->told.written != l->stop_after) {
        spx_storage_stop(l);
    } else if (l->now >= l->stop_at) {
        spx_print(
            "signpost: the disk takes nothing: ending without %u changes, of which nobody was told that they were "
            "made\n",
            l->told.unwritten);
        l->ended = true;
    }
}
