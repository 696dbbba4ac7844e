/* Userspace mode: a program on one device sends a stream to one on the other, which sends each byte back; both read and write as
 * slowly as they like, while packets are lost and ways die and change. Every byte comes back, in order, once; then both ends end. */
#include <stdlib.h>
#include <string.h>

#include "client/core/userspace.h"
#include "tests/sim/path.h"
#include "tests/sim/places.h"

#define WINDOW ((size_t)24 << 10) /* less than what may be under way: the rest waits in the agent */
#define PORT   7

/* A local stream and its program. */
struct end {
    struct scene *scene;
    struct sim_device *d;
    uint64_t id;
    bool open, told, ended, said_end, closed, waiting; /* told: the peer's end; waiting: a turn is due */
    size_t allowed, owed;
    uint8_t *say;
    size_t say_len, said, got;
    sp_duration lazy; /* its turn comes within this */
};

struct scene {
    struct sim_world *w;
    struct sim *s;
    struct sim_device *a, *b;
    struct end client, server;
    uint8_t *data;
    size_t len, ask;
};

static void turn(void *ctx, uint64_t unused);

static void later(struct end *e) {
    if (e->waiting)
        return;
    e->waiting = true;
    sim_after(e->scene->s, sim_random(e->scene->s) % (e->lazy + 1), turn, e, 0);
}

static void input(struct end *e, struct sp_in in) {
    in.id = e->id;
    sim_device_stream(e->d, &in);
}

/* Credits what was read, says something, ends. */
static void turn(void *ctx, uint64_t unused) {
    struct end *e = ctx;
    struct sim *s = e->scene->s;
    e->waiting = false;
    if (e->closed)
        return;
    if (!e->open) {
        e->open = true;
        input(e, (struct sp_in){.kind = SP_IN_STREAM_OPEN, .credit = WINDOW});
    }
    if (e->owed > 0) {
        size_t n = 1 + sim_random(s) % e->owed;
        e->owed -= n;
        input(e, (struct sp_in){.kind = SP_IN_STREAM_CREDIT, .credit = n});
    }
    size_t left = e->say_len - e->said, most = left < e->allowed ? left : e->allowed;
    if (most > 0) {
        size_t n = 1 + sim_random(s) % (most < 65536 ? most : 65536);
        e->said += n;
        e->allowed -= n;
        input(e, (struct sp_in){.kind = SP_IN_STREAM_DATA, .data = e->say + e->said - n, .len = n});
    }
    bool all = e == &e->scene->client ? e->said == e->say_len : e->told && e->said == e->say_len;
    if (all && e->open && !e->said_end && !e->closed) {
        e->said_end = true;
        input(e, (struct sp_in){.kind = SP_IN_STREAM_END});
    }
    if (e->told && e->said_end && e->owed == 0 && !e->closed) {
        e->closed = true;
        input(e, (struct sp_in){.kind = SP_IN_STREAM_CLOSE});
    } else if (e->owed > 0 || (e->said < e->say_len && e->allowed > 0)) {
        later(e);
    }
}

/* The proxy's answer, and then the bytes that were sent. */
static void check(struct end *e, const uint8_t *data, size_t len) {
    struct scene *c = e->scene;
    size_t head = e == &c->client ? 12 : 0;
    for (size_t i = 0; i < len; i++, e->got++)
        if (e->got >= head)
            sim_check(c->s, e->got - head < c->len && data[i] == c->data[e->got - head], "byte %zu is another", e->got - head);
        else if (e->got == 3)
            sim_check(c->s, data[i] == 0, "the proxy refuses: %u", data[i]);
}

static void heard(struct end *e, const struct sp_out *out) {
    struct scene *c = e->scene;
    sim_check(c->s, !e->told, "bytes after the end");
    e->owed += out->len;
    sim_check(c->s, e->owed <= WINDOW, "more than the credit");
    check(e, out->data, out->len);
    if (e != &c->server)
        return;
    memcpy(e->say + e->say_len, out->data, out->len);
    e->say_len += out->len;
}

static struct end *end_of(struct scene *c, const struct sim_device *d) {
    return d == c->a ? &c->client : &c->server;
}

static void on_stream(void *ctx, struct sim_device *d, const struct sp_out *out) {
    struct scene *c = ctx;
    struct end *e = end_of(c, d);
    sim_check(c->s, out->id == e->id && !e->closed, "a stream that is not there");
    if (out->kind == SP_OUT_STREAM_DATA)
        heard(e, out);
    else if (out->kind == SP_OUT_STREAM_CREDIT)
        e->allowed += out->credit;
    else if (out->kind == SP_OUT_STREAM_END)
        e->told = true;
    else if (out->kind == SP_OUT_STREAM_CLOSE && e->told && e->said_end)
        e->closed = true;
    else
        sim_fail(c->s, "a connection breaks");
    later(e);
}

static void on_connect(void *ctx, struct sim_device *d, const struct sp_event *ev) {
    struct scene *c = ctx;
    sim_check(c->s, d == c->b && c->server.id == 0 && ev->addr.port == 7000, "not the served target");
    c->server.id = ev->id;
    later(&c->server);
}

/* ---- the scene ---- */

static void prepare(struct scene *c, struct sim_device *d) {
    struct sp_userspace_config *u = &d->config.overlay.userspace;
    u->on = true;
    u->proxies[u->proxy_count++] = (struct sp_addr){.family = 4, .ip = {127, 0, 0, 1}, .port = 1080};
    u->serves[u->serve_count++] = (struct sp_userspace_serve){PORT, {.family = 4, .ip = {127, 0, 0, 1}, .port = 7000}};
    d->programs.stream = on_stream;
    d->programs.connect = on_connect;
    d->programs.stream_ctx = c;
}

/* What the program says first is its request; behind it, in the same breath, what it has to send. */
static void begin(struct scene *c) {
    char name[SP_NAME_TEXT_MAX];
    size_t n = strlen(sim_name_text(c->b, name));
    uint8_t head[] = {5, 1, 0, 5, 1, 0, 3, (uint8_t)n};
    c->ask = sizeof head + n + 2;
    c->client = (struct end){.scene = c, .d = c->a, .id = 1, .open = true, .say_len = c->ask + c->len};
    c->client.say = malloc(c->client.say_len);
    memcpy(c->client.say, head, sizeof head);
    memcpy(c->client.say + sizeof head, name, n);
    sp_put_u16(c->client.say + sizeof head + n, PORT);
    memcpy(c->client.say + c->ask, c->data, c->len);
    c->server = (struct end){.scene = c, .d = c->b, .say = malloc(c->len)};
    c->client.lazy = sim_chance(c->s, 60) ? SP_MS : sim_below(c->s, 800 * SP_MS);
    c->server.lazy = sim_chance(c->s, 60) ? SP_MS : sim_below(c->s, 800 * SP_MS);
    struct sp_in in = {.kind = SP_IN_STREAM_OPEN, .credit = WINDOW};
    in.dst = (struct sp_addr){.family = 4, .ip = {127, 0, 0, 1}, .port = 1080};
    input(&c->client, in);
    later(&c->client);
}

/* Each piece of the data holds the marker, which no wire may carry. */
static void fill(struct scene *c) {
    c->len = sim_chance(c->s, 30) ? 1 + sim_below(c->s, 3000) : 100000 + sim_below(c->s, 1400000);
    c->data = malloc(c->len);
    for (size_t i = 0; i < c->len; i++)
        c->data[i] = i % 64 < SIM_MARKER ? c->w->marker[i % 64] : (uint8_t)sim_random(c->s);
}

static bool over(struct sim_world *w, void *ctx) {
    const struct scene *c = ctx;
    return c->client.closed && c->server.closed;
}

static bool connected(struct sim_world *w, void *ctx) {
    return ((const struct scene *)ctx)->server.id != 0;
}

/* Ways die and come back, for less time than TCP gives up after. */
static void trouble(struct scene *c, struct sim_lan *lan[2]) {
    for (unsigned i = sim_random(c->s) % 4; i > 0 && !over(c->w, c); i--) {
        struct sim_lan *one = lan[sim_random(c->s) % 2];
        sim_world_run(c->w, sim_random(c->s) % (2 * SP_SEC));
        one->link.down = true;
        sim_world_run(c->w, sim_random(c->s) % (4 * SP_SEC));
        one->link.down = false;
    }
}

void path_userspace(struct sim *s, struct path_result *r) {
    struct scene c = {.s = s, .w = sim_world_new(s, 4)};
    enum place_kind kind[2] = {sim_random(s) % PLACE_KINDS, sim_random(s) % PLACE_KINDS};
    struct sim_lan *lan[2];
    struct sim_device *d[2];
    bool clean = sim_chance(s, 50); /* then it is the programs that are slow */
    for (unsigned i = 0; i < 2; i++) {
        struct sim_link link = {.delay = sim_skewed(s, SP_MS, 80 * SP_MS)};
        link.loss = clean ? 0 : (unsigned)sim_below(s, 3);
        link.reorder = clean ? 0 : (unsigned)sim_below(s, 3);
        lan[i] = place_new(c.w, kind[i], i + 1, &link);
        d[i] = place_device(c.w, lan[i], kind[i], i + 1, 0);
        prepare(&c, d[i]);
    }
    c.a = d[0];
    c.b = d[1];
    fill(&c);
    sim_world_begin(c.w);
    sim_world_run(c.w, 6 * SP_SEC); /* the signpost knows both */
    begin(&c);
    sim_check(s, sim_world_until(c.w, connected, &c, 30 * SP_SEC), "no connection");
    trouble(&c, lan);
    sim_check(s, sim_world_until(c.w, over, &c, 900 * SP_SEC), "%s to %s: of %zu bytes %zu arrived, %zu came back", place_name(kind[0]),
              place_name(kind[1]), c.len, c.server.got, c.client.got);
    sim_check(s, c.server.got == c.len && c.client.got == c.len + 12, "bytes are missing");
    sim_note(s, "streams", c.len, c.client.got);
    r->worlds++;
    r->packets += c.w->net.packets;
    sim_world_free(c.w);
    free(c.client.say);
    free(c.server.say);
    free(c.data);
}
