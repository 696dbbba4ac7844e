/* An operator's link to a signpost: WireGuard around sp_remote_call, as datagrams in and out. */
#ifndef SP_CONTROL_REMOTE_LINK_H
#define SP_CONTROL_REMOTE_LINK_H

#include "proto/control/remote.h"
#include "proto/crypto/crypto.h"
#include "proto/wg/wg.h"

#define SP_REMOTE_SEALED (SP_REMOTE_MSG + SP_WG_OVERHEAD + SP_WG_PAD)

struct sp_remote_link {
    struct sp_rng *rng;
    struct sp_wg *wg;
    struct sp_wg_peer *peer;
    struct sp_remote_call call;
    sp_instant try_at; /* the next handshake, when there is none yet or nothing is heard */
    sp_duration wait;
    sp_instant heard_at; /* an authenticated message; at the beginning: now */
    bool up;             /* a handshake succeeded */
    bool elsewhere;      /* a name server took our handshake for a malformed question: it does not have that key */
};

/* key: the operator's; signpost: the public key that the signpost has in one of its zones. Memory and rng are borrowed.
 * ERR_BADKEY: that can be no signpost's key, or is the operator's own; ERR_FULL. */
SP_CHECK sp_err sp_remote_link_init(struct sp_remote_link *l, struct sp_mem *mem, struct sp_rng *rng,
                                    const struct sp_ed25519 *key, const uint8_t signpost[SP_ED25519_PUB],
                                    uint32_t reply_max, sp_instant now);
void sp_remote_link_free(struct sp_remote_link *l); /* wipes all keys */
/* A datagram from the signpost's address; at most SP_REMOTE_SEALED bytes, others are dropped. */
void sp_remote_link_input(struct sp_remote_link *l, sp_instant now, sp_wall wall, const uint8_t *data, size_t len);
void sp_remote_link_expire(struct sp_remote_link *l, sp_instant now);
sp_instant sp_remote_link_deadline(const struct sp_remote_link *l);
/* The next datagram to send; 0: none. out has SP_REMOTE_SEALED bytes. */
size_t sp_remote_link_output(struct sp_remote_link *l, sp_instant now, sp_wall wall, uint8_t *out);

#endif
