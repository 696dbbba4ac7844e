#include "tests/sim/stream.h"

#include <stdlib.h>
#include <string.h>

#define LOST_AGAIN (200 * SP_MS)
#define GIVE_UP    (60 * SP_SEC)
#define SYN_WAIT   (3 * SP_SEC)

struct chunk {
    struct chunk *next;
    sp_instant due, written;
    bool close;
    size_t len;
    uint8_t data[];
};

/* One end, and what is on its way to it. */
struct end {
    struct sim_host *host;
    uint64_t id;
    bool open, dead; /* dead: its machine or process is gone */
    struct chunk *first, *last;
    sp_instant last_due;
};

struct sim_stream {
    struct sim_stream *next, **back;
    struct sim_internet *inet;
    struct sp_addr src, seen, dst; /* seen: src as the other end sees it */
    struct end ends[2];            /* [0] has connected */
    sp_duration delay;
    bool accepted;
};

enum what { CONNECTED, ACCEPTED, ARRIVE0, ARRIVE1, GONE0, GONE1, TIMED_OUT };

static void happen(void *ctx, uint64_t what);

static void stream_free(struct sim_stream *t) {
    sim_forget(t->inet->sim, t);
    for (unsigned i = 0; i < 2; i++)
        for (struct chunk *c = t->ends[i].first, *next; c != NULL; c = next) {
            next = c->next;
            free(c);
        }
    *t->back = t->next;
    if (t->next != NULL)
        t->next->back = t->back;
    free(t);
}

void sim_streams_free(struct sim_internet *n) {
    while (n->streams != NULL)
        stream_free(n->streams);
}

static void later(struct sim_stream *t, sp_duration d, enum what what) {
    sim_after(t->inet->sim, d, happen, t, what);
}

static void tell(struct sim_stream *t, unsigned side, struct sp_in *in) {
    struct end *e = &t->ends[side];
    in->id = e->id;
    in->src = side == 0 ? t->dst : t->seen;
    in->dst = side == 0 ? t->src : t->dst;
    if (in->kind == SP_IN_STREAM_CLOSE)
        e->open = false;
    if (!e->host->off && e->host->stream != NULL)
        e->host->stream(e->host->ctx, in);
}

/* The way as it is now; false: gone, or another one. */
static bool way(struct sim_stream *t, struct sim_host **ret, unsigned *ret_loss) {
    struct sp_addr seen = t->src;
    sp_duration delay;
    if (!sim_internet_walk(t->ends[0].host, SIM_TCP, &t->src, &t->dst, ret, &seen, &delay, ret_loss))
        return false;
    t->delay = delay;
    return t->seen.family == 0 || memcmp(&seen, &t->seen, sizeof seen) == 0;
}

void sim_stream_connect(struct sim_host *h, uint64_t id, const struct sp_addr *dst) {
    struct sim_internet *n = h->inet;
    struct sim_stream *t = calloc(1, sizeof *t);
    *t = (struct sim_stream){.next = n->streams, .back = &n->streams, .inet = n, .dst = *dst};
    if (t->next != NULL)
        t->next->back = &t->next;
    n->streams = t;
    t->ends[0] = (struct end){.host = h, .id = id};
    const struct sp_addr *from = sim_host_addr(h, dst->family);
    struct sim_host *to = NULL;
    unsigned loss;
    if (from != NULL) {
        t->src = *from;
        t->src.port = (uint16_t)(30000 + ++n->serial % 30000);
    }
    sim_note(n->sim, "connect", h->number, id);
    if (from == NULL || !way(t, &to, &loss)) {
        later(t, SYN_WAIT, TIMED_OUT);
        return;
    }
    (void)sim_internet_walk(h, SIM_TCP, &t->src, dst, &to, &t->seen, &t->delay, &loss);
    t->ends[1] = (struct end){.host = to, .id = ++n->serial};
    later(t, t->delay + (sim_chance(n->sim, loss) ? SP_SEC : 0), CONNECTED);
}

static void put(struct sim_stream *t, unsigned side, const uint8_t *data, size_t len, bool close) {
    struct end *e = &t->ends[side];
    struct sim *s = t->inet->sim;
    struct chunk *c = malloc(sizeof *c + len);
    *c = (struct chunk){.due = s->now + t->delay, .written = s->now, .close = close, .len = len};
    if (len > 0)
        memcpy(c->data, data, len);
    if (c->due < e->last_due)
        c->due = e->last_due;
    e->last_due = c->due;
    if (e->first == NULL)
        e->first = c;
    else
        e->last->next = c;
    e->last = c;
    later(t, c->due - s->now, side == 0 ? ARRIVE0 : ARRIVE1);
}

static struct sim_stream *find(struct sim_host *h, uint64_t id, unsigned *ret_side) {
    for (struct sim_stream *t = h->inet->streams; t != NULL; t = t->next)
        for (unsigned i = 0; i < 2; i++)
            if (t->ends[i].host == h && t->ends[i].id == id && t->ends[i].open) {
                *ret_side = i;
                return t;
            }
    return NULL;
}

void sim_stream_write(struct sim_host *h, uint64_t id, const uint8_t *data, size_t len) {
    unsigned side;
    struct sim_stream *t = find(h, id, &side);
    if (t == NULL || len == 0)
        return;
    sim_note(h->inet->sim, "write", (uint64_t)h->number << 32 | side, len);
    if (h->inet->tap != NULL)
        h->inet->tap(h->inet->tap_ctx, h, &t->src, &t->dst, data, len);
    put(t, !side, data, len, false);
}

void sim_stream_close(struct sim_host *h, uint64_t id, bool reset) {
    unsigned side;
    struct sim_stream *t = find(h, id, &side);
    if (t == NULL)
        return;
    t->ends[side].open = false;
    put(t, !side, NULL, 0, true);
}

void sim_streams_forget(struct sim_host *h) {
    for (struct sim_stream *t = h->inet->streams; t != NULL; t = t->next)
        for (unsigned i = 0; i < 2; i++)
            if (t->ends[i].host == h) {
                t->ends[i].open = false;
                t->ends[i].dead = true;
            }
}

/* The first chunk on its way to this end arrives, or has to wait. */
static void arrive(struct sim_stream *t, unsigned side) {
    struct end *e = &t->ends[side];
    struct chunk *c = e->first;
    struct sim *s = t->inet->sim;
    struct sim_host *to = NULL;
    unsigned loss = 0;
    if (c == NULL || c->due > s->now)
        return;
    if (s->now - c->written > GIVE_UP) {
        later(t, 0, side == 0 ? GONE1 : GONE0);
    } else if (!way(t, &to, &loss) || sim_chance(s, loss)) {
        c->due = s->now + LOST_AGAIN;
        later(t, LOST_AGAIN, side == 0 ? ARRIVE0 : ARRIVE1);
        return;
    }
    e->first = c->next;
    if (!e->open) {
        if (!c->close)
            later(t, t->delay, side == 0 ? GONE1 : GONE0);
    } else if (c->close) {
        tell(t, side, &(struct sp_in){.kind = SP_IN_STREAM_CLOSE});
    } else {
        tell(t, side, &(struct sp_in){.kind = SP_IN_STREAM_DATA, .data = c->data, .len = c->len});
        if (t->ends[!side].open)
            tell(t, !side, &(struct sp_in){.kind = SP_IN_STREAM_CREDIT, .credit = c->len});
    }
    free(c);
    if (e->first != NULL && e->first->due <= s->now)
        later(t, 0, side == 0 ? ARRIVE0 : ARRIVE1);
}

static void connected(struct sim_stream *t) {
    struct end *e = &t->ends[1];
    if (e->host->off || e->host->stream == NULL) {
        later(t, t->delay, TIMED_OUT);
        return;
    }
    e->open = true;
    later(t, t->delay, ACCEPTED);
    tell(t, 1, &(struct sp_in){.kind = SP_IN_STREAM_OPEN, .credit = SIM_STREAMS_CAP});
}

static void gone(struct sim_stream *t, unsigned side) {
    if (t->ends[side].open)
        tell(t, side, &(struct sp_in){.kind = SP_IN_STREAM_CLOSE, .err = SP_ERR_IO});
}

/* The connecting end's side of opening; a machine that sleeps learns of it when it wakes. */
static bool put_off(struct sim_stream *t, enum what what) {
    if (!t->ends[0].host->off || t->ends[0].dead || what == CONNECTED || what == ARRIVE0 || what == ARRIVE1 || what == GONE1)
        return false;
    later(t, SP_SEC, what);
    return true;
}

static void happen(void *ctx, uint64_t what) {
    struct sim_stream *t = ctx;
    if (put_off(t, (enum what)what))
        return;
    switch ((enum what)what) {
    case CONNECTED:
        connected(t);
        break;
    case ACCEPTED:
        t->accepted = true;
        if (t->ends[0].dead) {
            later(t, t->delay, GONE1);
            break;
        }
        t->ends[0].open = true;
        tell(t, 0, &(struct sp_in){.kind = SP_IN_STREAM_OPEN, .credit = SIM_STREAMS_CAP});
        break;
    case ARRIVE0:
    case ARRIVE1:
        arrive(t, what == ARRIVE1);
        break;
    case GONE0:
    case GONE1:
        gone(t, what == GONE1);
        break;
    case TIMED_OUT:
        if (!t->ends[0].dead)
            tell(t, 0, &(struct sp_in){.kind = SP_IN_STREAM_CLOSE, .err = SP_ERR_AGAIN});
        stream_free(t);
        return;
    }
    if (t->accepted && !t->ends[0].open && !t->ends[1].open && t->ends[0].first == NULL && t->ends[1].first == NULL)
        stream_free(t);
}

struct sim_stream *sim_stream_next(const struct sim_stream *t) {
    return t->next;
}
