#include "proto/wg/impl.h"

/* What any thread does with a keypair. It never touches the peer or the device. */

sp_err sp_wg_keypair_seal(struct sp_wg_keypair *k, const struct sp_aead *aead, uint8_t *buf, size_t cap, size_t len,
                          size_t *ret_len) {
    if (len > SIZE_MAX - SP_WG_OVERHEAD - SP_WG_PAD)
        return SP_ERR_SPACE;
    size_t padded = (len + SP_WG_PAD - 1) / SP_WG_PAD * SP_WG_PAD;
    if (cap < padded + SP_WG_OVERHEAD)
        return SP_ERR_SPACE;
    if (atomic_load_explicit(&k->dead, memory_order_acquire) ||
        atomic_load_explicit(&k->counter, memory_order_relaxed) >= REJECT_AFTER_MESSAGES)
        return SP_ERR_STATE;
    uint64_t counter = atomic_fetch_add_explicit(&k->counter, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&k->sealed_bytes, len, memory_order_relaxed);
    for (size_t i = len; i < padded; i++)
        buf[SP_WG_HEAD + i] = 0;
    wg_put_head(buf, SP_WG_TYPE_DATA, k->remote_index);
    wg_put_u64(buf + 8, counter);
    aead->seal(aead->ctx, buf + SP_WG_HEAD, k->send_key, counter, buf + SP_WG_HEAD, padded);
    *ret_len = padded + SP_WG_OVERHEAD;
    return SP_OK;
}

sp_err sp_wg_keypair_open(struct sp_wg_keypair *k, const struct sp_aead *aead, const uint8_t *data, size_t len, uint8_t *out) {
    struct wg_data m;
    SP_TRY(wg_data_read(&m, data, len));
    if (atomic_load_explicit(&k->dead, memory_order_acquire) || m.counter >= REJECT_AFTER_MESSAGES)
        return SP_ERR_STATE;
    if (!aead->open(aead->ctx, out, k->recv_key, m.counter, m.sealed, m.len))
        return SP_ERR_BADSIG;
    /* Only what is authentic moves the window. */
    return sp_wg_replay_take(&k->replay, m.counter, m.len - SP_AEAD_TAG) ? SP_OK : SP_ERR_REPLAY;
}

/* The last one who lets go wipes, and says so as the very last: then the device may free it. */
void sp_wg_keypair_release(struct sp_wg_keypair *k) {
    if (atomic_fetch_sub_explicit(&k->refs, 1, memory_order_acq_rel) != 1)
        return;
    sp_wipe(k->send_key, sizeof k->send_key);
    sp_wipe(k->recv_key, sizeof k->recv_key);
    atomic_store_explicit(&k->wiped, true, memory_order_release);
}
