#include "client/core/outgoing.h"

#include <string.h>

sp_err sp_outgoing_init(struct sp_outgoing *o, struct sp_mem *mem) {
    memset(o, 0, sizeof *o);
    o->mem = mem;
    o->arena = sp_mem_alloc(mem, SP_OUTGOING_BYTES);
    o->items = sp_mem_alloc(mem, SP_OUTGOING_ITEMS * sizeof *o->items);
    return o->arena != NULL && o->items != NULL ? SP_OK : SP_ERR_FULL;
}

void sp_outgoing_free(struct sp_outgoing *o) {
    sp_mem_free(o->mem, o->arena, SP_OUTGOING_BYTES);
    sp_mem_free(o->mem, o->items, SP_OUTGOING_ITEMS * sizeof *o->items);
    o->arena = NULL;
    o->items = NULL;
}

void sp_outgoing_turn(struct sp_outgoing *o) {
    o->last_open = false;
    if (o->given < o->count)
        return;
    o->used = 0;
    o->count = o->given = 0;
}

bool sp_outgoing_roomy(const struct sp_outgoing *o) {
    return SP_OUTGOING_BYTES - o->used >= SP_OUTGOING_INPUT && SP_OUTGOING_ITEMS - o->count >= SP_OUTGOING_INPUT_ITEMS;
}

uint8_t *sp_outgoing_room(struct sp_outgoing *o, size_t len) {
    if (SP_OUTGOING_BYTES - o->used < len || o->count == SP_OUTGOING_ITEMS) {
        o->dropped++;
        return NULL;
    }
    return o->arena + o->used;
}

static bool same_addr(const struct sp_addr *a, const struct sp_addr *b) {
    return memcmp(a, b, sizeof *a) == 0;
}

/* Whether a datagram at the arena's end may be sent together with the last item. */
static bool joins(const struct sp_outgoing *o, size_t len, const struct sp_addr *dst, const struct sp_addr *src) {
    if (!o->last_open || o->given == o->count)
        return false;
    const struct sp_out *last = &o->items[o->count - 1];
    size_t each = last->segment != 0 ? last->segment : last->len;
    return len <= each && last->len + len <= SP_GSO_BYTES && o->last_count < SP_GSO_COUNT &&
           last->data + last->len == o->arena + o->used && same_addr(&last->dst, dst) && same_addr(&last->src, src);
}

void sp_outgoing_datagram(struct sp_outgoing *o, size_t len, const struct sp_addr *dst, const struct sp_addr *src) {
    static const struct sp_addr any;
    if (src == NULL)
        src = &any;
    if (joins(o, len, dst, src)) {
        struct sp_out *last = &o->items[o->count - 1];
        if (last->segment == 0)
            last->segment = (uint16_t)last->len;
        o->last_open = len == last->segment;
        last->len += len;
        o->used += len;
        o->last_count++;
        return;
    }
    struct sp_out item = {.kind = SP_OUT_DATAGRAM, .dst = *dst, .src = *src};
    sp_outgoing_put(o, len, &item);
    o->last_open = true;
    o->last_count = 1;
}

void sp_outgoing_put(struct sp_outgoing *o, size_t len, const struct sp_out *item) {
    const uint8_t *data = sp_outgoing_take(o, len);
    struct sp_out whole = *item;
    whole.data = data;
    whole.len = len;
    (void)sp_outgoing_add(o, &whole);
}

uint8_t *sp_outgoing_take(struct sp_outgoing *o, size_t len) {
    SP_ASSERT(len <= SP_OUTGOING_BYTES - o->used);
    uint8_t *p = o->arena + o->used;
    o->used += len;
    o->last_open = false;
    return p;
}

bool sp_outgoing_add(struct sp_outgoing *o, const struct sp_out *item) {
    o->last_open = false;
    if (o->count == SP_OUTGOING_ITEMS) {
        o->dropped++;
        return false;
    }
    o->items[o->count++] = *item;
    return true;
}

static bool stands(const struct sp_outgoing *o, const uint8_t *data) {
    return (uintptr_t)data >= (uintptr_t)o->arena && (uintptr_t)data < (uintptr_t)o->arena + SP_OUTGOING_BYTES;
}

size_t sp_outgoing_stream(struct sp_outgoing *o, uint64_t stream, const uint8_t *data, size_t len) {
    struct sp_out item = {.kind = SP_OUT_STREAM_DATA, .id = stream, .data = data, .len = len};
    if (len == 0 || SP_OUTGOING_ITEMS - o->count <= SP_OUTGOING_SPARE_ITEMS)
        return 0;
    if (!stands(o, data)) {
        size_t left = SP_OUTGOING_BYTES - o->used;
        left = left > SP_OUTGOING_SPARE ? left - SP_OUTGOING_SPARE : 0;
        item.len = len < left ? len : left;
        if (item.len == 0)
            return 0;
        memcpy(o->arena + o->used, data, item.len);
        item.data = sp_outgoing_take(o, item.len);
    }
    return sp_outgoing_add(o, &item) ? item.len : 0;
}

size_t sp_outgoing_output(struct sp_outgoing *o, struct sp_out *out, size_t n) {
    size_t left = o->count - o->given, made = left < n ? left : n;
    memcpy(out, &o->items[o->given], made * sizeof *out);
    o->given += (unsigned)made;
    o->last_open = false;
    return made;
}
