/* The virtual Internet itself: that its delays, NATs, links and streams are what the other scenarios take them for. */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/path.h"
#include "tests/sim/stream.h"

struct box {
    struct sim *sim;
    struct sim_host host;
    unsigned got;
    struct sp_addr last;
    sp_instant at;
    uint8_t in[4096]; /* of the stream */
    size_t in_len;
    unsigned opened, closed;
    uint64_t id;
};

static void deliver(void *ctx, const struct sp_addr *src, const struct sp_addr *dst, const uint8_t *data, size_t len) {
    struct box *b = ctx;
    b->got++;
    b->last = *src;
    b->at = b->sim->now;
}

static void stream(void *ctx, const struct sp_in *in) {
    struct box *b = ctx;
    b->id = in->id;
    b->opened += in->kind == SP_IN_STREAM_OPEN;
    b->closed += in->kind == SP_IN_STREAM_CLOSE;
    if (in->kind == SP_IN_STREAM_OPEN)
        b->last = in->src;
    if (in->kind == SP_IN_STREAM_DATA && b->in_len + in->len <= sizeof b->in) {
        memcpy(b->in + b->in_len, in->data, in->len);
        b->in_len += in->len;
    }
}

struct world {
    struct sim *sim;
    struct sim_internet net;
    struct sim_lan *home, *cgnat, *far;
    struct box server, a, b, c;
};

static void settle(struct world *w, sp_duration d) {
    sp_instant until = w->sim->now + d;
    while (w->sim->count > 0 && w->sim->now < until)
        sim_step(w->sim);
    if (w->sim->now < until)
        w->sim->now = until;
}

static void send(struct world *w, struct box *from, const struct sp_addr *dst, size_t len) {
    uint8_t data[2000] = {0};
    sim_host_send(&from->host, &(struct sp_addr){0}, 4000, dst, data, len);
    settle(w, SP_SEC);
}

static void make_box(struct world *w, struct box *b, struct sim_lan *lan, struct sp_addr v4, struct sp_addr v6) {
    b->sim = w->sim;
    sim_host_init(&b->host, &w->net, deliver, stream, b);
    struct sp_addr addrs[2] = {v4, v6};
    sim_host_attach(&b->host, lan, addrs, 2);
}

static void begin(struct world *w, struct sim *s) {
    w->sim = s;
    sim_internet_init(&w->net, s);
    struct sim_link link = {.delay = 10 * SP_MS};
    struct nat_config isp = {.outside = sim_v4(198, 51, 100, 1, 0), .hairpin = true},
                      home = {.outside = sim_v4(100, 64, 0, 2, 0), .filter = NAT_FILTER_PORT},
                      wall = {.mapping = NAT_MAPPING_FIREWALL, .filter = NAT_FILTER_PORT};
    w->cgnat = sim_lan_new(&w->net, NULL, &isp, NULL, &link);
    w->home = sim_lan_new(&w->net, w->cgnat, &home, &wall, &link);
    w->far = sim_lan_new(&w->net, NULL, NULL, NULL, &link);
    make_box(w, &w->server, &w->net.world, sim_v4(203, 0, 113, 1, 0), sim_v6(0, 1, 0));
    make_box(w, &w->a, w->home, sim_v4(192, 168, 1, 2, 0), sim_v6(1, 2, 0));
    make_box(w, &w->b, w->home, sim_v4(192, 168, 1, 3, 0), sim_v6(1, 3, 0));
    make_box(w, &w->c, w->far, sim_v4(203, 0, 113, 99, 0), sim_v6(2, 2, 0));
}

static void two_nats(struct world *w) {
    struct sim *s = w->sim;
    struct sp_addr server = sim_v4(203, 0, 113, 1, 53), back;
    sp_instant t = s->now;
    send(w, &w->a, &server, 100);
    sim_check(s, w->server.got == 1 && w->server.last.ip[0] == 198, "no packet through two NATs");
    sim_check(s, w->server.at - t >= 20 * SP_MS && w->server.at - t < 22 * SP_MS, "20 ms took %.3f",
              (double)(w->server.at - t) / 1e6);
    back = w->server.last;
    send(w, &w->server, &back, 100);
    sim_check(s, w->a.got == 0, "the home NAT let another port in");
    sim_host_send(&w->server.host, &(struct sp_addr){0}, 53, &back, (const uint8_t *)"x", 1);
    settle(w, SP_SEC);
    sim_check(s, w->a.got == 1 && w->b.got == 0, "no reply through two NATs");
    send(w, &w->c, &back, 100);
    sim_check(s, w->a.got == 1, "a stranger came in");
}

static void ways(struct world *w) {
    struct sim *s = w->sim;
    struct sp_addr near = sim_v4(192, 168, 1, 3, 9), a6 = sim_v6(1, 2, 9), c6 = sim_v6(2, 2, 4000);
    send(w, &w->a, &near, 100);
    sim_check(s, w->b.got == 1, "neighbours do not reach each other");
    w->home->isolated = true;
    send(w, &w->a, &near, 100);
    sim_check(s, w->b.got == 1, "an isolated network passed a packet");
    w->home->isolated = false;
    send(w, &w->c, &a6, 100);
    sim_check(s, w->a.got == 1, "the firewall let a stranger in");
    send(w, &w->a, &c6, 100);
    sim_check(s, w->c.got == 1, "IPv6 does not get out");
    a6.port = 4000;
    send(w, &w->c, &a6, 100);
    sim_check(s, w->a.got == 2, "IPv6 does not get back");
}

static void links(struct world *w) {
    struct sim *s = w->sim;
    struct sp_addr c = sim_v4(203, 0, 113, 99, 9);
    unsigned got = w->c.got;
    w->home->link.mtu = 1280;
    send(w, &w->a, &c, 1252);
    sim_check(s, w->c.got == got + 1, "1,280 bytes do not pass a link of 1,280");
    send(w, &w->a, &c, 1253);
    sim_check(s, w->c.got == got + 1, "1,281 bytes pass a link of 1,280");
    w->home->link.no_udp = true;
    send(w, &w->a, &c, 10);
    sim_check(s, w->c.got == got + 1, "UDP passes where it is blocked");
    w->home->link.no_udp = false;
    sim_internet_cut(&w->net, &w->a.host, &w->c.host);
    send(w, &w->a, &c, 10);
    sim_check(s, w->c.got == got + 1, "a cut pair talks");
    sim_internet_heal(&w->net);
    send(w, &w->a, &c, 10);
    sim_check(s, w->c.got == got + 2, "a healed pair does not");
    w->far->link.twice = 100;
    send(w, &w->a, &c, 10);
    sim_check(s, w->c.got == got + 4, "no duplicate");
    w->far->link.twice = 0;
    w->far->link.loss = 100;
    send(w, &w->a, &c, 10);
    sim_check(s, w->c.got == got + 4, "nothing was lost");
    w->far->link.loss = 0;
}

static void streams(struct world *w) {
    struct sim *s = w->sim;
    struct sp_addr server = sim_v4(203, 0, 113, 1, 53);
    uint8_t data[3000], all[3000];
    w->home->link.no_udp = true; /* streams do not care */
    w->home->link.loss = 20;
    sim_stream_connect(&w->a.host, 77, &server);
    settle(w, 5 * SP_SEC);
    sim_check(s, w->a.opened == 1 && w->server.opened == 1 && w->server.last.ip[0] == 198, "no stream");
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = all[i] = (uint8_t)(i * 7);
    for (size_t i = 0; i < sizeof data; i += 100)
        sim_stream_write(&w->a.host, 77, data + i, 100);
    settle(w, 30 * SP_SEC);
    sim_check(s, w->server.in_len == sizeof all && memcmp(w->server.in, all, sizeof all) == 0,
              "the stream is not whole");
    sim_stream_write(&w->server.host, w->server.id, data, 10);
    settle(w, 5 * SP_SEC);
    sim_check(s, w->a.in_len == 10, "nothing comes back");
    sim_streams_forget(&w->server.host); /* it restarts */
    sim_stream_write(&w->a.host, 77, data, 10);
    settle(w, 5 * SP_SEC);
    sim_check(s, w->a.closed == 1, "a stream to nobody stays open");
    sim_check(s, w->net.streams == NULL, "a dead stream is kept");
}

void path_net(struct sim *s, struct path_result *r) {
    struct world *w = calloc(1, sizeof *w);
    begin(w, s);
    two_nats(w);
    ways(w);
    links(w);
    streams(w);
    r->worlds++;
    r->packets += w->net.packets;
    sim_internet_free(&w->net);
    free(w);
}
