/* Keypairs: what is left of a handshake when data flows. Any thread seals and opens with one that it holds. */
#ifndef SP_WG_KEYPAIR_H
#define SP_WG_KEYPAIR_H

#include "proto/wg/wg.h"

struct sp_wg_keypair;

/* The keypair to send with, held; NULL: none. Release it from any thread. While one is held the device looks at its counters once
 * a second, for its timers. */
struct sp_wg_keypair *sp_wg_keypair_hold(struct sp_wg_peer *p, sp_instant now);
/* The keypair that a data message was sealed for, held; NULL: none, or the first message under it has yet to come: sp_wg_input takes that. */
struct sp_wg_keypair *sp_wg_keypair_find(struct sp_wg *wg, sp_instant now, const uint8_t *data, size_t len);
void sp_wg_keypair_release(struct sp_wg_keypair *k);

/* Pure but for the keypair's own atomic counter and window. Seal: as sp_wg_seal. ERR_STATE: too many messages, or the peer is gone. */
SP_CHECK sp_err sp_wg_keypair_seal(struct sp_wg_keypair *k, const struct sp_aead *aead, uint8_t *buf, size_t cap, size_t len,
                                   size_t *ret_len);
/* Opens a data message into out (len - SP_WG_OVERHEAD bytes). ERR_BADSIG, ERR_REPLAY (the window holds at least 2,048), ERR_STATE. */
SP_CHECK sp_err sp_wg_keypair_open(struct sp_wg_keypair *k, const struct sp_aead *aead, const uint8_t *data, size_t len, uint8_t *out);

#endif
