/* What the overlay wants sent: a bounded queue of outputs whose bytes stand in one arena. It starts anew with every input or
 * expire for which everything was fetched; until then the bytes stay where they are. */
#ifndef SP_AGENT_OUTGOING_H
#define SP_AGENT_OUTGOING_H

#include "proto/base/host.h"
#include "proto/base/mem.h"

#define SP_OUTGOING_ITEMS 1024u
#define SP_OUTGOING_BYTES ((size_t)640 << 10)
/* One input makes at most so much of either: a super-packet cut into sealed segments, or two sealed halves of each. */
#define SP_OUTGOING_INPUT       ((size_t)160 << 10)
#define SP_OUTGOING_INPUT_ITEMS 160u

/* What streams leave of both to what must be told. */
#define SP_OUTGOING_SPARE       ((size_t)64 << 10)
#define SP_OUTGOING_SPARE_ITEMS 256u

/* What one UDP GSO send takes. */
#define SP_GSO_BYTES 65000u
#define SP_GSO_COUNT 64u

struct sp_outgoing {
    struct sp_mem *mem;
    uint8_t *arena;
    size_t used;
    struct sp_out *items;
    unsigned count, given;
    unsigned last_count; /* datagrams in the last item */
    bool last_open;      /* which may take more */
    uint64_t dropped;    /* for want of room */
};

SP_CHECK sp_err sp_outgoing_init(struct sp_outgoing *o, struct sp_mem *mem);
void sp_outgoing_free(struct sp_outgoing *o);
/* An input or expire begins. */
void sp_outgoing_turn(struct sp_outgoing *o);
/* Whether another input may be taken. */
bool sp_outgoing_roomy(const struct sp_outgoing *o);
/* Room for len bytes at the arena's end, not yet taken; NULL: full (counted). The same place until something is put. */
uint8_t *sp_outgoing_room(struct sp_outgoing *o, size_t len);
/* Takes the len bytes that were written at sp_outgoing_room as a datagram to `dst`; one that goes to the same place as the one before
 * it, and is no longer, joins it (GSO). */
void sp_outgoing_datagram(struct sp_outgoing *o, size_t len, const struct sp_addr *dst, const struct sp_addr *src);
/* Takes len bytes there as the data of `item`. */
void sp_outgoing_put(struct sp_outgoing *o, size_t len, const struct sp_out *item);
/* Takes len bytes that belong to an item which comes later (sp_outgoing_add). */
uint8_t *sp_outgoing_take(struct sp_outgoing *o, size_t len);
/* An item whose data stands elsewhere, or was taken before. False: full (counted). */
bool sp_outgoing_add(struct sp_outgoing *o, const struct sp_out *item);
/* Bytes for a stream: how many of them there was room for. Those that stand in the arena stay where they are. */
size_t sp_outgoing_stream(struct sp_outgoing *o, uint64_t stream, const uint8_t *data, size_t len);
size_t sp_outgoing_output(struct sp_outgoing *o, struct sp_out *out, size_t n);

#endif
