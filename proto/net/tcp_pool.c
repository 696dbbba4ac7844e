/* Buffers of a few sizes, bounded together, and used again without asking the allocator. */
#include "proto/net/tcp_impl.h"

bool tcp_may_hold(struct sp_tcp *t, size_t held) {
    bool may = held < TCP_BLOCK_LARGE || held <= t->config.memory - t->buffered;
    t->counts.drops[SP_TCP_DROP_MEMORY] += !may;
    return may;
}

void *tcp_take(struct sp_tcp *t, struct tcp_pool *pool) {
    void *piece = pool->free;
    if (t->buffered + pool->size > t->config.memory) {
        tcp_dropped(t, SP_TCP_DROP_MEMORY);
        return NULL;
    }
    if (piece != NULL) {
        memcpy(&pool->free, piece, sizeof pool->free);
    } else if ((piece = sp_mem_alloc(t->config.mem, pool->size)) == NULL) {
        tcp_dropped(t, SP_TCP_DROP_MEMORY);
        return NULL;
    }
    t->buffered += pool->size;
    return piece;
}

void tcp_give(struct sp_tcp *t, struct tcp_pool *pool, void *piece) {
    memcpy(piece, &pool->free, sizeof pool->free);
    pool->free = piece;
    t->buffered -= pool->size;
    if (!sp_ring_alone(&t->hungry))
        tcp_queue_feed(t, false);
}

void tcp_pool_free(struct sp_tcp *t, struct tcp_pool *pool) {
    for (void *piece; (piece = pool->free) != NULL;) {
        memcpy(&pool->free, piece, sizeof pool->free);
        sp_mem_free(t->config.mem, piece, pool->size);
    }
}
