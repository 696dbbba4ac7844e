/* What the server has to send, in order: descriptors, and the bytes they borrow in one arena. */
#ifndef SP_CORE_OUTBOX_H
#define SP_CORE_OUTBOX_H

#include "proto/base/host.h"
#include "proto/base/mem.h"

#define SP_OUTBOX_MIN  ((size_t)128 << 10) /* a whole message of a stream, or any one input's datagrams */
#define SP_OUTBOX_EACH 512                 /* bytes of the arena for each descriptor */

struct sp_outbox_owned; /* a buffer of its own, freed once it was handed out */

struct sp_outbox {
    struct sp_mem *mem;
    struct sp_out *items;
    size_t head, count, slots; /* items[head..count) are still to be handed out */
    uint8_t *arena;
    size_t used, size;
    struct sp_outbox_owned *owned;
};

/* An arena of `size` bytes, at least SP_OUTBOX_MIN. ERR_FULL. */
SP_CHECK sp_err sp_outbox_new(struct sp_outbox *ret, struct sp_mem *mem, size_t size);
void sp_outbox_free(struct sp_outbox *o);
/* A new input or expire: what was handed out is given up. Starts over when everything was. */
void sp_outbox_begin(struct sp_outbox *o);

static inline size_t sp_outbox_slots(const struct sp_outbox *o) {
    return o->slots - o->count;
}
/* Where the next item's bytes go, if there are `len` bytes and a descriptor for it; else NULL. */
static inline uint8_t *sp_outbox_room(const struct sp_outbox *o, size_t len) {
    return o->count < o->slots && o->size - o->used >= len ? o->arena + o->used : NULL;
}
/* Takes the `len` bytes that were written at sp_outbox_room as a datagram from src to dst. */
static inline void sp_outbox_datagram(struct sp_outbox *o, size_t len, const struct sp_addr *src,
                                      const struct sp_addr *dst) {
    struct sp_out *item = &o->items[o->count++];
    *item = (struct sp_out){.kind = SP_OUT_DATAGRAM, .data = o->arena + o->used, .len = len, .src = *src, .dst = *dst};
    o->used += len;
}
/* The same as several datagrams of this size each (the last may be shorter); 0: one. */
static inline void sp_outbox_joined(struct sp_outbox *o, size_t len, uint16_t segment, const struct sp_addr *src,
                                    const struct sp_addr *dst) {
    sp_outbox_datagram(o, len, src, dst);
    o->items[o->count - 1].segment = segment;
}
/* The same as bytes of a stream; joins them to the item before when that is of the same stream. */
void sp_outbox_stream(struct sp_outbox *o, uint64_t id, size_t len);
/* SP_OUT_STREAM_CLOSE or _RESET; there must be a slot. */
void sp_outbox_end(struct sp_outbox *o, enum sp_out_kind kind, uint64_t id);
/* Takes over `buf` of `size` bytes from sp_mem_alloc as a control reply of len bytes; there must be a slot. */
void sp_outbox_control(struct sp_outbox *o, uint64_t id, uint8_t *buf, size_t size, size_t len);
size_t sp_outbox_take(struct sp_outbox *o, struct sp_out *out, size_t n);

#endif
