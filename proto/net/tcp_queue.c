/* Bytes that wait to be sent or acknowledged, in blocks; and the room that writers are promised. */
#include "proto/net/tcp_impl.h"

#define SMALL_CAP  (TCP_BLOCK_SMALL - (uint32_t)sizeof(struct tcp_block))
#define SHARE      16 /* of the free memory, one connection is promised one part of so many */
#define FEED_EVERY (100 * SP_MS)

/* ---- blocks ---- */

static struct tcp_pool *pool_of(struct sp_tcp *t, const struct tcp_block *b) {
    return b->cap > TCP_BLOCK_SMALL ? &t->large : &t->small;
}

static struct tcp_block *block_new(struct sp_tcp *t, size_t wanted) {
    struct tcp_pool *pool = wanted > SMALL_CAP ? &t->large : &t->small;
    struct tcp_block *b = tcp_take(t, pool);
    if (b == NULL && pool == &t->large) /* a rest of memory will do */
        b = tcp_take(t, pool = &t->small);
    if (b != NULL)
        *b = (struct tcp_block){.cap = (uint32_t)(pool->size - sizeof *b)};
    return b;
}

static void block_free(struct sp_tcp *t, struct tcp_block *b) {
    tcp_give(t, pool_of(t, b), b);
}

static void spare_push(struct sp_tcp_conn *c, struct tcp_block *b) {
    b->len = 0;
    b->next = c->spare;
    c->spare = b;
    c->spare_cap += b->cap;
}

static struct tcp_block *spare_pop(struct sp_tcp_conn *c) {
    struct tcp_block *b = c->spare;
    if (b != NULL) {
        c->spare = b->next;
        c->spare_cap -= b->cap;
        b->next = NULL;
    }
    return b;
}

void tcp_queue_acked(struct sp_tcp *t, struct sp_tcp_conn *c, uint32_t bytes) {
    c->queued -= bytes;
    c->first_off += bytes;
    while (c->first != NULL && c->first_off >= c->first->len && (c->first->next != NULL || c->queued == 0)) {
        struct tcp_block *b = c->first;
        c->first_off -= b->len;
        c->first = b->next;
        if (c->next_block == b) { /* all of it is sent, too */
            c->next_block = b->next;
            c->next_off = 0;
        }
        if (c->first == NULL && c->promised > c->spare_cap) /* its free rest is promised */
            spare_push(c, b);
        else
            block_free(t, b);
    }
    if (c->first == NULL)
        c->last = NULL;
}

void tcp_queue_free(struct sp_tcp *t, struct sp_tcp_conn *c) {
    for (struct tcp_block *b; (b = c->first) != NULL;) {
        c->first = b->next;
        block_free(t, b);
    }
    for (struct tcp_block *b; (b = spare_pop(c)) != NULL;)
        block_free(t, b);
    c->last = c->next_block = NULL;
    c->queued = c->promised = 0;
}

/* Copies to the end of the last block, or to the next one; how many bytes found room. */
static uint32_t append(struct sp_tcp *t, struct sp_tcp_conn *c, const uint8_t *data, size_t len) {
    struct tcp_block *b = c->last;
    if (b == NULL || b->len == b->cap) {
        if ((b = spare_pop(c)) == NULL && tcp_may_hold(t, c->queued))
            b = block_new(t, len);
        if (b == NULL)
            return 0;
        if (c->last != NULL)
            c->last->next = b;
        else
            c->first = b;
        c->first_off = c->last != NULL ? c->first_off : 0;
        c->last = b;
    }
    if (c->next_block == NULL) {
        c->next_block = b;
        c->next_off = b->len;
    }
    uint32_t n = len < b->cap - b->len ? (uint32_t)len : b->cap - b->len;
    memcpy(b->data + b->len, data, n);
    b->len += n;
    return n;
}

/* ---- writing ---- */

/* Two congestion windows: what is under way, and what follows it meanwhile. */
static uint32_t send_limit(const struct sp_tcp *t, const struct sp_tcp_conn *c) {
    uint32_t two = c->cubic.window < UINT32_MAX / 2 ? 2 * c->cubic.window : UINT32_MAX;
    return u32_min(t->config.send_max, u32_max(TCP_SEND_FIRST, two));
}

size_t sp_tcp_room(const struct sp_tcp *t, const struct sp_tcp_conn *c) {
    bool may = c->state == TCP_ESTABLISHED || c->state == TCP_CLOSE_WAIT;
    uint32_t limit = send_limit(t, c);
    return may && !c->fin_wanted && c->queued < limit ? limit - c->queued : 0;
}

/* The common memory is used up: it tries again when some was given back, or, as others may use the host's, after a while. */
static void starve(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c) {
    if (!sp_ring_alone(&c->hungry))
        return;
    sp_ring_append(&t->hungry, &c->hungry);
    t->feed_at = sp_instant_min(t->feed_at, now + FEED_EVERY);
}

size_t sp_tcp_write(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c, const uint8_t *data, size_t len) {
    size_t room = sp_tcp_room(t, c), most = len < room ? len : room, done = 0;
    tcp_tidy(t);
    for (uint32_t n; done < most && (n = append(t, c, data + done, most - done)) > 0; done += n)
        c->queued += n;
    c->promised -= done < c->promised ? (uint32_t)done : c->promised;
    c->short_write = c->short_write || done < len;
    if (done < most)
        starve(t, now, c);
    if (done > 0)
        tcp_wake(t, c);
    return done;
}

/* ---- promising ---- */

static uint32_t tail_cap(const struct sp_tcp_conn *c) {
    return c->spare_cap + (c->last != NULL ? c->last->cap - c->last->len : 0);
}

/* Adds empty blocks until there is a place for so many bytes; how many there is one for. */
static uint32_t stock(struct sp_tcp *t, struct sp_tcp_conn *c, uint32_t wanted) {
    for (uint32_t cap; (cap = tail_cap(c)) < wanted;) {
        struct tcp_block *b = block_new(t, wanted - cap);
        if (b == NULL)
            return cap;
        spare_push(c, b);
    }
    return wanted;
}

/* A part of the free memory only, so that those who come later find some; but never nothing while there is any. */
static uint32_t fair(const struct sp_tcp *t, uint32_t wanted) {
    size_t share = (t->config.memory - t->buffered) / SHARE;
    return share >= wanted ? wanted : u32_min(wanted, u32_max(SMALL_CAP, (uint32_t)share));
}

size_t sp_tcp_promise(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c, size_t most) {
    size_t room = sp_tcp_room(t, c);
    uint32_t before = c->promised, wanted = (uint32_t)(most < room ? most : room);
    tcp_tidy(t);
    if (wanted > before) {
        uint32_t got = stock(t, c, u32_max(fair(t, wanted), u32_min(wanted, tail_cap(c))));
        c->promised = u32_max(before, got);
        if (c->promised == 0)
            starve(t, now, c);
    }
    c->short_write = c->short_write || c->promised < most;
    return c->promised - before;
}

static void tell(struct sp_tcp *t, struct sp_tcp_conn *c) {
    c->short_write = false;
    sp_ring_remove(&c->hungry);
    tcp_raise(t, c, EV_ROOM);
}

void tcp_queue_room(struct sp_tcp *t, struct sp_tcp_conn *c) {
    if (c->short_write && sp_ring_alone(&c->hungry) && sp_tcp_room(t, c) >= c->promised + send_limit(t, c) / 4)
        tell(t, c);
}

void tcp_queue_feed(struct sp_tcp *t, bool all) {
    if (!all && t->config.memory - t->buffered < TCP_BLOCK_LARGE)
        return;
    do {
        if (!sp_ring_alone(&t->hungry))
            tell(t, SP_CONTAINER(t->hungry.next, struct sp_tcp_conn, hungry));
    } while (all && !sp_ring_alone(&t->hungry));
    if (sp_ring_alone(&t->hungry))
        t->feed_at = SP_NEVER;
}
