/* Packets that wait for a way to their peer: a bounded pool, a few a peer. */
#ifndef SP_AGENT_STAGE_H
#define SP_AGENT_STAGE_H

#include <stdbool.h>

#include "proto/base/mem.h"

#define SP_STAGE_SLOTS  256
#define SP_STAGE_PEER   8
#define SP_STAGE_PACKET 1536

struct sp_staged {
    struct sp_staged *next;
    uint16_t len;
    uint8_t data[SP_STAGE_PACKET];
};

struct sp_stage {
    struct sp_mem *mem;
    struct sp_staged *free; /* the newest freed first */
    unsigned made;          /* slots that were ever needed */
};

struct sp_stage_queue {
    struct sp_staged *head, **tail;
    unsigned count;
};

void sp_stage_init(struct sp_stage *s, struct sp_mem *mem);
/* Copies a packet behind the others; the queue's oldest gives way when it is full. False: dropped, or another was. */
bool sp_stage_push(struct sp_stage *s, struct sp_stage_queue *q, const uint8_t *packet, size_t len);
/* The oldest; NULL: none. It is given back with sp_stage_free. */
struct sp_staged *sp_stage_pop(struct sp_stage_queue *q);
void sp_stage_free(struct sp_stage *s, struct sp_staged *packet);
void sp_stage_clear(struct sp_stage *s, struct sp_stage_queue *q);

#endif
