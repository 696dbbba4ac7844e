#include "signpostd/core/outbox.h"

#include <string.h>

/* Stands at the end of a control reply's buffer. */
struct sp_outbox_owned {
    struct sp_outbox_owned *next;
    uint8_t *buf;
    size_t size;
};

sp_err sp_outbox_new(struct sp_outbox *ret, struct sp_mem *mem, size_t size) {
    SP_ASSERT(size >= SP_OUTBOX_MIN);
    *ret = (struct sp_outbox){.mem = mem, .size = size, .slots = size / SP_OUTBOX_EACH};
    ret->items = sp_mem_alloc(mem, ret->slots * sizeof *ret->items);
    ret->arena = sp_mem_alloc(mem, size);
    if (ret->items == NULL || ret->arena == NULL) {
        sp_outbox_free(ret);
        return SP_ERR_FULL;
    }
    return SP_OK;
}

static void owned_free(struct sp_outbox *o) {
    while (o->owned != NULL) {
        struct sp_outbox_owned *own = o->owned;
        o->owned = own->next;
        sp_mem_free(o->mem, own->buf, own->size);
        sp_mem_free(o->mem, own, sizeof *own);
    }
}

void sp_outbox_free(struct sp_outbox *o) {
    owned_free(o);
    sp_mem_free(o->mem, o->items, o->slots * sizeof *o->items);
    sp_mem_free(o->mem, o->arena, o->size);
    *o = (struct sp_outbox){.mem = o->mem};
}

void sp_outbox_begin(struct sp_outbox *o) {
    if (o->head != o->count)
        return;
    o->head = o->count = 0;
    o->used = 0;
    owned_free(o);
}

void sp_outbox_stream(struct sp_outbox *o, uint64_t id, size_t len) {
    const uint8_t *data = o->arena + o->used;
    o->used += len;
    if (o->count > o->head) {
        struct sp_out *last = &o->items[o->count - 1];
        if (last->kind == SP_OUT_STREAM_DATA && last->id == id && last->data + last->len == data) {
            last->len += len;
            return;
        }
    }
    o->items[o->count++] = (struct sp_out){.kind = SP_OUT_STREAM_DATA, .id = id, .data = data, .len = len};
}

void sp_outbox_end(struct sp_outbox *o, enum sp_out_kind kind, uint64_t id) {
    SP_ASSERT(o->count < o->slots);
    o->items[o->count++] = (struct sp_out){.kind = kind, .id = id};
}

void sp_outbox_control(struct sp_outbox *o, uint64_t id, uint8_t *buf, size_t size, size_t len) {
    SP_ASSERT(o->count < o->slots);
    struct sp_outbox_owned *own = sp_mem_alloc(o->mem, sizeof *own);
    if (own == NULL) {
        /* Nobody could free it later: the operator gets no reply, but a closed request. */
        sp_mem_free(o->mem, buf, size);
        buf = NULL;
        len = 0;
    } else {
        *own = (struct sp_outbox_owned){o->owned, buf, size};
        o->owned = own;
    }
    o->items[o->count++] = (struct sp_out){.kind = SP_OUT_CONTROL, .id = id, .data = buf, .len = len};
}

size_t sp_outbox_take(struct sp_outbox *o, struct sp_out *out, size_t n) {
    size_t left = o->count - o->head;
    if (n > left)
        n = left;
    if (n > 0)
        memcpy(out, o->items + o->head, n * sizeof *out);
    o->head += n;
    return n;
}
