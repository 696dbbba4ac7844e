#include "client/core/stage.h"

#include <stdbool.h>
#include <string.h>

void sp_stage_init(struct sp_stage *s, struct sp_mem *mem) {
    *s = (struct sp_stage){.mem = mem};
}

static struct sp_staged *slot(struct sp_stage *s) {
    struct sp_staged *p = s->free;
    if (p != NULL) {
        s->free = p->next;
        return p;
    }
    if (s->made == SP_STAGE_SLOTS)
        return NULL;
    p = sp_mem_alloc(s->mem, sizeof *p);
    s->made += p != NULL;
    return p;
}

bool sp_stage_push(struct sp_stage *s, struct sp_stage_queue *q, const uint8_t *packet, size_t len) {
    bool whole = true;
    if (len > SP_STAGE_PACKET)
        return false;
    if (q->count == SP_STAGE_PEER) {
        sp_stage_free(s, sp_stage_pop(q));
        whole = false;
    }
    struct sp_staged *p = slot(s);
    if (p == NULL)
        return false;
    p->next = NULL;
    p->len = (uint16_t)len;
    memcpy(p->data, packet, len);
    if (q->head == NULL)
        q->tail = &q->head;
    *q->tail = p;
    q->tail = &p->next;
    q->count++;
    return whole;
}

struct sp_staged *sp_stage_pop(struct sp_stage_queue *q) {
    struct sp_staged *p = q->head;
    if (p == NULL)
        return NULL;
    q->head = p->next;
    q->count--;
    return p;
}

void sp_stage_free(struct sp_stage *s, struct sp_staged *packet) {
    packet->next = s->free;
    s->free = packet;
}

void sp_stage_clear(struct sp_stage *s, struct sp_stage_queue *q) {
    struct sp_staged *p;
    while ((p = sp_stage_pop(q)) != NULL)
        sp_stage_free(s, p);
}
