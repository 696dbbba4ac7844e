#include "tests/sim/server.h"

#include <string.h>

#include "proto/base/bytes.h"

sp_wall sim_wall(const struct sim *s) {
    return (sp_wall){.ns = 1800000000 * SP_SEC + s->now};
}

static void drain(struct sim_server *v);

static void expire(void *ctx, uint64_t at) {
    struct sim_server *v = ctx;
    if (v->core == NULL || at != v->armed)
        return;
    v->armed = SP_NEVER;
    if (sp_server_deadline(v->core) <= v->sim->now)
        sp_server_expire(v->core, v->sim->now, sim_wall(v->sim));
    drain(v);
}

static void arm(struct sim_server *v) {
    sp_instant at = sp_server_deadline(v->core);
    if (at >= v->armed)
        return;
    at = at > v->sim->now ? at : v->sim->now;
    v->armed = at;
    sim_after(v->sim, at - v->sim->now, expire, v, at);
}

static void send(struct sim_server *v, const struct sp_out *o) {
    if (o->kind == SP_OUT_CONTROL) {
        v->control(v->control_ctx, o->id, o->data, o->len);
    } else if (o->kind == SP_OUT_DATAGRAM && memcmp(&o->dst, &v->probe, sizeof v->probe) == 0) {
        sim_check(v->sim, o->len <= sizeof v->reply, "a reply of %zu bytes", o->len);
        memcpy(v->reply, o->data, o->len);
        v->reply_len = o->len;
    } else if (v->net == NULL) {
        v->send(v->ctx, o);
    } else if (o->kind == SP_OUT_DATAGRAM) {
        sim_net_send(v->net, &o->src, &o->dst, o->data, o->len);
    }
}

static void drain(struct sim_server *v) {
    struct sp_out out[16];
    size_t n;
    while ((n = sp_server_output(v->core, v->sim->now, out, 16)) > 0)
        for (size_t i = 0; i < n; i++)
            send(v, &out[i]);
    struct sp_event ev;
    while (sp_server_event(v->core, &ev)) {
        if (ev.kind == SP_EV_BLK)
            sim_disk_submit(&v->disk, &ev.blk);
        else if (ev.kind == SP_EV_STOP)
            v->stopped = true;
        else
            v->fatal = ev.text;
    }
    v->formatted = v->formatted || sp_server_ready(v->core);
    arm(v);
}

void sim_server_input(struct sim_server *v, const struct sp_in *in) {
    size_t taken = 0;
    for (int i = 0; taken == 0; i++) {
        sim_check(v->sim, i < 100, "the server takes no input");
        sp_err err = sp_server_input(v->core, v->sim->now, sim_wall(v->sim), in, 1, &taken);
        sim_check(v->sim, err == SP_OK, "input: %s", sp_err_name(err));
        drain(v);
    }
}

static void completed(void *ctx, uint64_t id, sp_err err) {
    sim_server_input(ctx, &(struct sp_in){.kind = SP_IN_BLK, .id = id, .err = err});
}

static void deliver(void *ctx, const struct sp_addr *src, const struct sp_addr *dst, const uint8_t *data, size_t len) {
    sim_server_input(ctx, &(struct sp_in){.kind = SP_IN_DATAGRAM, .data = data, .len = len, .src = *src, .dst = *dst});
}

void sim_server_init(struct sim_server *v, struct sim *sim, struct sim_net *net, uint64_t blocks) {
    *v = (struct sim_server){
        .sim = sim, .net = net, .addr = sim_net_addr(0, 53), .probe = sim_net_addr(255, 1), .armed = SP_NEVER};
    sim_disk_init(&v->disk, sim, blocks, completed, v);
}

void sim_server_free(struct sim_server *v) {
    if (v->core != NULL)
        sim_server_off(v, true);
    sim_disk_free(&v->disk);
}

static void trace(void *ctx, const struct sp_trace_event *ev) {
    struct sim_server *v = ctx;
    v->snapshots += ev->kind == SP_TRACE_snapshot_taken;
    sim_note(v->sim, "trace", ev->kind, ev->a);
}

void sim_server_boot(struct sim_server *v) {
    struct sp_server_config c;
    sp_server_config_default(&c);
    c.limits = (struct sp_limits){.zones = 4,
                                  .names = 200,
                                  .devices = 64,
                                  .leases = 200,
                                  .keys = 64,
                                  .invites = 16,
                                  .streams = 16,
                                  .streams_per_prefix = 16,
                                  .updates_in_flight = 64,
                                  .sessions = 16,
                                  .channels = 64,
                                  .channels_per_session = 16,
                                  .prefixes = 8192,
                                  .outbox = 512u << 10,
                                  .reply = 256u << 10,
                                  .log_blocks = SP_LOG_GROUP_MAX,
                                  .memory = 64 * SP_CHUNK};
    c.grant = sim_grant(v->sim);
    for (size_t i = 0; i < sizeof c.seed; i++)
        c.seed[i] = (uint8_t)sim_random(v->sim);
    c.trace = (struct sp_trace){.sink = trace, .ctx = v};
    c.disk_blocks = v->disk.blocks;
    c.disk_format = !v->formatted;
    if (v->configure != NULL)
        v->configure(v->ctx, &c);
    v->stopped = false;
    v->fatal = NULL;
    v->armed = SP_NEVER;
    sp_err err = sp_server_new(&v->core, &c, v->sim->now, sim_wall(v->sim));
    sim_check(v->sim, err == SP_OK, "sp_server_new: %s", sp_err_name(err));
    sim_note(v->sim, "boot", 0, 0);
    if (v->net != NULL)
        sim_net_attach(v->net, &v->addr, deliver, v);
    drain(v);
}

void sim_server_off(struct sim_server *v, bool kill) {
    if (v->net != NULL)
        sim_net_attach(v->net, &v->addr, NULL, NULL);
    if (kill)
        sim_disk_orphan(&v->disk);
    else
        sim_disk_cut(&v->disk);
    sim_forget(v->sim, v);
    sp_server_free(v->core);
    v->core = NULL;
}

bool sim_server_ready(const struct sim_server *v) {
    return v->core != NULL && sp_server_ready(v->core);
}

void sim_server_control(struct sim_server *v, uint64_t id, const uint8_t *request, size_t len) {
    sim_server_input(v, &(struct sp_in){.kind = SP_IN_CONTROL, .id = id, .data = request, .len = len});
}

void sim_server_ask(struct sim_server *v, const uint8_t *query, size_t len) {
    v->reply_len = 0;
    sim_server_input(
        v, &(struct sp_in){.kind = SP_IN_DATAGRAM, .data = query, .len = len, .src = v->probe, .dst = v->addr});
}

void sim_server_stop(struct sim_server *v) {
    sp_server_stop(v->core, v->sim->now);
    drain(v);
}
