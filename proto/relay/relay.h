/* Relaying: WireGuard messages between two devices that each have a control session with the relay. A frame is
 * 05 00 00 00, a channel's index (4 bytes, the first >= 0x80), and one WireGuard message. A channel end belongs to a session: frames
 * count only from the address that the session has now, and go only there. Data flows to an end only after that end has consented.
 * Sans-I/O; the payload is never looked at. */
#ifndef SP_RELAY_RELAY_H
#define SP_RELAY_RELAY_H

#include "proto/base/bytes.h"
#include "proto/base/host.h"
#include "proto/base/mem.h"
#include "proto/base/rng.h"

#define SP_RELAY_HEAD 8

/* Whether these bytes are shaped as a frame: head, index, and at least WireGuard's shortest message (32 bytes). */
bool sp_relay_is(const uint8_t *data, size_t len);
static inline uint32_t sp_relay_index(const uint8_t *frame) {
    return sp_get_u32(frame + 4);
}
static inline void sp_relay_head(uint8_t out[SP_RELAY_HEAD], uint32_t index) {
    sp_put_u32(out, 0x05000000u);
    sp_put_u32(out + 4, index);
}

struct sp_relay_config {
    struct sp_mem *mem;
    struct sp_rng *rng;
    uint8_t hash_key[16];
    uint32_t sessions;           /* limit; 0: as many as channels */
    uint32_t channels;           /* limit */
    uint32_t channels_per_session;
    uint64_t bytes_per_s;        /* of one session's sending, in all its channels; a second's worth at once; 0: no limit */
    uint64_t bytes_per_s_total;  /* 0: no limit */
    sp_duration idle;            /* a channel without a frame for so long is closed */
};

struct sp_relay;
/* An end's session, as its owner sees it: where frames to it go. stream != 0: over that stream, not as a datagram. */
struct sp_relay_where {
    struct sp_addr addr, local;
    uint64_t stream;
};

SP_CHECK sp_err sp_relay_new(struct sp_relay **ret, const struct sp_relay_config *config);
void sp_relay_free(struct sp_relay *r);

/* Sessions are the owner's numbers (not 0). A session is where its control session was heard last. */
SP_CHECK sp_err sp_relay_session(struct sp_relay *r, uint64_t session, const struct sp_relay_where *where, sp_instant now); /* adds or moves. ERR_FULL */
void sp_relay_session_end(struct sp_relay *r, uint64_t session); /* its channels close */

/* A channel between two sessions, or the one that is there already. The asker's end has consented. ret_a, ret_b: the indices that
 * each end sends with and receives. ERR_FULL (table, or per session), ERR_NOENT (a session is not there), ERR_DENIED (with itself). */
SP_CHECK sp_err sp_relay_open(struct sp_relay *r, uint64_t asker, uint64_t other, sp_instant now, uint32_t *ret_a, uint32_t *ret_b);
SP_CHECK sp_err sp_relay_consent(struct sp_relay *r, uint64_t session, uint32_t index); /* ERR_NOENT, ERR_DENIED (not its end) */
void sp_relay_close(struct sp_relay *r, uint64_t session, uint32_t index);

/* Where a frame (or n of them of this total size, all with one index) goes: the other end's place and index, to be written into the
 * frames' heads. A frame from an end is its consent too. OK, or a drop, counted: ERR_NOENT (no such channel), ERR_DENIED (not from
 * where the session is), ERR_AGAIN (the other end has not consented), ERR_BUDGET. */
SP_CHECK sp_err sp_relay_forward(struct sp_relay *r, uint32_t index, const struct sp_addr *src, uint64_t stream, size_t bytes,
                                 sp_instant now, struct sp_relay_where *ret_to, uint32_t *ret_index);

void sp_relay_expire(struct sp_relay *r, sp_instant now);
sp_instant sp_relay_deadline(const struct sp_relay *r);

struct sp_relay_counts {
    /* closed: for any reason; expired: for being idle; bytes: of what was forwarded. */
    uint64_t frames, bytes, opened, closed, expired, dropped_index, dropped_source, dropped_consent, dropped_budget,
        refused_full;
    uint32_t channels, sessions; /* now */
};
const struct sp_relay_counts *sp_relay_counts(const struct sp_relay *r);

#endif
