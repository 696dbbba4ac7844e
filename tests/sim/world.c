#define _GNU_SOURCE
#include "tests/sim/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/control/operator.h"
#include "proto/dns/msg.h"
#include "proto/dns/text.h"
#include "tests/sim/programs.h"

/* ---- what must never happen ---- */

static void tap(void *ctx, const struct sim_host *from, const struct sp_addr *src, const struct sp_addr *dst,
                const uint8_t *data, size_t len) {
    struct sim_world *w = ctx;
    sim_check(w->sim, memmem(data, len, w->marker, SIM_MARKER) == NULL, "host %u sends a program's bytes as they are",
              from->number);
    if (w->watch != NULL)
        w->watch(w->watch_ctx, from, src, dst, data, len);
}

/* ---- making ---- */

struct sim_world *sim_world_new(struct sim *sim, unsigned devices) {
    struct sim_world *w = calloc(1, sizeof *w);
    w->sim = sim;
    sim_internet_init(&w->net, sim);
    w->net.tap = tap;
    w->net.tap_ctx = w;
    for (unsigned i = 0; i < SIM_MARKER; i++)
        w->marker[i] = (uint8_t)sim_random(sim);
    sim_signpost_init(&w->post, &w->net, devices);
    return w;
}

void sim_world_free(struct sim_world *w) {
    for (unsigned i = 0; i < w->n_devices; i++) {
        sim_device_free(w->devices[i]);
        free(w->devices[i]);
    }
    while (w->letters != NULL)
        sim_letter_free(w->letters);
    for (unsigned i = 0; i < w->n_flows; i++)
        free(w->flows[i].acks);
    sim_signpost_free(&w->post);
    sim_internet_free(&w->net);
    sim_forget_all(w->sim);
    free(w);
}

static void step(struct sim_world *w) {
    sim_check(w->sim, sim_step(w->sim), "nothing left to happen");
    if (w->sim->now != w->step_at) {
        w->step_at = w->sim->now;
        w->steps_now = 0;
    }
    sim_check(w->sim, ++w->steps_now < 1000000, "time stands still");
    sim_check(w->sim, w->post.server.fatal == NULL, "the signpost gave up: %s", w->post.server.fatal);
}

static void nothing(void *ctx, uint64_t arg) {}

void sim_world_run(struct sim_world *w, sp_duration how_long) {
    sp_instant until = w->sim->now + how_long;
    sim_after(w->sim, how_long, nothing, w, 0);
    while (w->sim->now < until)
        step(w);
}

bool sim_world_until(struct sim_world *w, bool (*holds)(struct sim_world *w, void *arg), void *arg, sp_duration most) {
    sp_instant until = w->sim->now + most, look = 0;
    sim_after(w->sim, most, nothing, w, 0);
    while (w->sim->now < until) {
        if (w->sim->now >= look) { /* a look every few milliseconds will do */
            if (holds(w, arg))
                return true;
            look = w->sim->now + 5 * SP_MS;
        }
        step(w);
    }
    return holds(w, arg);
}

struct sim_device *sim_world_device(struct sim_world *w, struct sim_lan *lan, const struct sp_addr *addrs, unsigned n) {
    struct sim_device *d = calloc(1, sizeof *d);
    struct sim_programs programs = sim_programs(w);
    sim_check(w->sim, w->n_devices < SIM_DEVICES_MAX, "too many devices");
    w->devices[w->n_devices] = d;
    sim_device_init(d, &w->net, ++w->n_devices, &programs);
    sim_device_move(d, lan, addrs, n);
    return d;
}

/* ---- joining ---- */

const char *sim_name_text(const struct sim_device *d, char ret[SP_NAME_TEXT_MAX]) {
    size_t n = sp_name_to_text(&d->name, ret);
    ret[n < SP_NAME_TEXT_MAX ? n : 0] = 0;
    return ret;
}

static void invite(struct sim_world *w, struct sim_device *d) {
    char name[32], token[SP_TOKEN_TEXT_MAX + 1];
    snprintf(name, sizeof name, "d%u", d->number);
    sim_signpost_ctl(&w->post, SP_OP_INVITE, SIM_ZONE, name, "86400", "203.0.113.1", "2001:db8:1::1", NULL);
    sim_signpost_text(&w->post, "token", token, sizeof token);
    sim_device_join(d, token);
}

static bool all_joined(struct sim_world *w, void *first) {
    for (unsigned i = *(unsigned *)first; i < w->n_devices; i++)
        if (!sim_device_joined(w->devices[i]))
            return false;
    return true;
}

bool sim_world_sessions(struct sim_world *w, void *unused) {
    for (unsigned i = 0; i < w->n_devices; i++) {
        char state[32];
        if (w->devices[i]->core == NULL || w->devices[i]->asleep != 0)
            continue;
        sim_device_status(w->devices[i], "session", "state", state, sizeof state);
        if (strcmp(state, "up") != 0)
            return false;
    }
    return true;
}

/* Devices join where UDP works. */
static void block_udp(struct sim_world *w, bool block) {
    for (struct sim_lan *l = w->net.lans; l != NULL; l = l->next) {
        l->no_udp_later = l->no_udp_later || l->link.no_udp;
        l->link.no_udp = block && l->no_udp_later;
    }
}

void sim_world_enroll(struct sim_world *w) {
    unsigned first = 0;
    block_udp(w, false);
    while (first < w->n_devices && w->devices[first]->name.len > 0)
        first++;
    for (unsigned i = first; i < w->n_devices; i++) {
        invite(w, w->devices[i]);
        sim_world_run(w, 2 * SP_MS);
    }
    sim_check(w->sim, sim_world_until(w, all_joined, &first, 60 * SP_SEC), "not all devices have joined");
    block_udp(w, true);
    for (unsigned i = first; i < w->n_devices; i++)
        sim_device_up(w->devices[i]);
    sim_check(w->sim, sim_world_until(w, sim_world_sessions, NULL, 60 * SP_SEC),
              "not all devices have a control session");
}

static bool ready(struct sim_world *w, void *unused) {
    return sim_server_ready(&w->post.server);
}

void sim_world_begin(struct sim_world *w) {
    sim_signpost_boot(&w->post);
    sim_check(w->sim, sim_world_until(w, ready, NULL, 10 * SP_SEC), "the signpost does not come up");
    sim_signpost_ctl(&w->post, SP_OP_ZONE_ADD, SIM_ZONE, "", "203.0.113.1", "2001:db8:1::1", NULL);
    sim_world_enroll(w);
}
