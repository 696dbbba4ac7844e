/* A circular list; an element alone, or a list without elements, points to itself. */
#ifndef SP_BASE_RING_H
#define SP_BASE_RING_H

#include <stdbool.h>

struct sp_ring {
    struct sp_ring *prev, *next;
};
static inline void sp_ring_init(struct sp_ring *r) {
    r->prev = r->next = r;
}
static inline bool sp_ring_alone(const struct sp_ring *r) {
    return r->next == r;
}
static inline void sp_ring_remove(struct sp_ring *r) {
    r->prev->next = r->next;
    r->next->prev = r->prev;
    sp_ring_init(r);
}
static inline void sp_ring_append(struct sp_ring *list, struct sp_ring *r) {
    r->prev = list->prev;
    r->next = list;
    list->prev->next = r;
    list->prev = r;
}

#endif
