#define _GNU_SOURCE
#include "tests/sim/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "client/core/userspace.h"
#include "proto/control/operator.h"
#include "tests/sim/server.h"

/* ---- memory: only what is used takes room, since there are hundreds ---- */

static void *grant(void *ctx, size_t bytes) {
    struct sim_device *d = ctx;
    uint8_t *p =
        mmap(NULL, bytes + SP_CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    uint8_t *at = (uint8_t *)(((uintptr_t)p + SP_CHUNK - 1) & ~(uintptr_t)(SP_CHUNK - 1));
    if (at > p)
        munmap(p, (size_t)(at - p));
    munmap(at + bytes, (size_t)(p + SP_CHUNK - at));
    d->granted += bytes;
    return at;
}

static void release(void *ctx, void *chunk, size_t bytes) {
    struct sim_device *d = ctx;
    d->granted -= bytes;
    munmap(chunk, bytes);
}

/* ---- clocks ---- */

static sp_instant now_of(const struct sim_device *d) {
    return d->sim->now - d->behind;
}

static sp_wall wall_of(const struct sim_device *d) {
    return (sp_wall){.ns = sim_wall(d->sim).ns + (uint64_t)d->skew_ns};
}

/* ---- the loop ---- */

static void drain(struct sim_device *d);

static void expire(void *ctx, uint64_t at) {
    struct sim_device *d = ctx;
    if (d->core == NULL || at != d->armed || d->asleep != 0)
        return;
    d->armed = SP_NEVER;
    d->woken = d->woken_at == d->sim->now ? d->woken + 1 : 0;
    d->woken_at = d->sim->now;
    sim_check(d->sim, d->woken < 1000, "device %u wants to be woken again and again", d->number);
    if (sp_agent_deadline(d->core) <= now_of(d))
        sp_agent_expire(d->core, now_of(d), wall_of(d));
    drain(d);
}

static void arm(struct sim_device *d) {
    sp_instant at = sp_agent_deadline(d->core);
    if (at == SP_NEVER)
        return;
    at += d->behind;
    if (at < d->sim->now)
        at = d->sim->now;
    if (at >= d->armed)
        return;
    d->armed = at;
    sim_after(d->sim, at - d->sim->now, expire, d, at);
}

static void send_datagram(struct sim_device *d, const struct sp_out *o) {
    size_t piece = o->segment != 0 ? o->segment : o->len;
    for (size_t at = 0; at < o->len; at += piece) {
        size_t len = o->len - at < piece ? o->len - at : piece;
        d->wire_out += len;
        sim_host_send(&d->host, &o->src, d->port, &o->dst, o->data + at, len);
    }
}

static void control(struct sim_device *d, const uint8_t *data, size_t len) {
    d->reply_len = len < SIM_DEVICE_REPLY ? len : 0;
    memcpy(d->reply, data, d->reply_len);
    d->replied = true;
}

/* Of userspace mode: between the agent and a program, and not the agent's own to its signpost. */
static bool is_local(const struct sim_device *d, uint64_t id) {
    return d->programs.stream != NULL && ((id & SP_CONNECT_ID) == 0 || (id & SP_USERSPACE_ID) != 0);
}

static void dispatch(struct sim_device *d, const struct sp_out *o) {
    if (o->kind >= SP_OUT_STREAM_DATA && o->kind <= SP_OUT_STREAM_RESET && is_local(d, o->id)) {
        d->programs.stream(d->programs.stream_ctx, d, o);
        return;
    }
    switch (o->kind) {
    case SP_OUT_DATAGRAM:
        send_datagram(d, o);
        break;
    case SP_OUT_STREAM_DATA:
        sim_stream_write(&d->host, o->id, o->data, o->len);
        break;
    case SP_OUT_STREAM_CLOSE:
    case SP_OUT_STREAM_RESET:
        sim_stream_close(&d->host, o->id, o->kind == SP_OUT_STREAM_RESET);
        break;
    case SP_OUT_STREAM_CREDIT:
    case SP_OUT_STREAM_END:
        break;
    case SP_OUT_CONTROL:
        control(d, o->data, o->len);
        break;
    case SP_OUT_PACKET:
        d->programs.packet(d->programs.ctx, d, o->data, o->len);
        break;
    case SP_OUT_RESOLVED:
        d->programs.resolved(d->programs.ctx, d, o->id, o->data, o->len);
        break;
    }
}

static void give(struct sim_device *d, const struct sp_in *in);

/* There is no upstream resolver in this world. */
static void no_upstream(void *ctx, uint64_t id) {
    struct sim_device *d = ctx;
    give(d, &(struct sp_in){.kind = SP_IN_FORWARDED, .id = id, .err = SP_ERR_AGAIN});
}

static void effect(struct sim_device *d, const struct sp_event *ev) {
    if (ev->kind == SP_EV_CONNECT && is_local(d, ev->id))
        d->programs.connect(d->programs.stream_ctx, d, ev);
    else if (ev->kind == SP_EV_CONNECT)
        sim_stream_connect(&d->host, ev->id, &ev->addr);
    else if (ev->kind == SP_EV_FORWARD)
        sim_after(d->sim, 50 * SP_MS, no_upstream, d, ev->id);
    else if (ev->kind == SP_EV_STOP)
        d->stopped = true;
    else
        sim_fail(d->sim, "device %u: %s", d->number,
                 ev->kind == SP_EV_FATAL ? ev->text : "an effect that agents do not have");
}

/* Programs may send from within an output: that waits in the queue of events. */
static void drain(struct sim_device *d) {
    struct sp_out out[16];
    struct sp_event ev;
    size_t n;
    unsigned rounds = 0;
    while ((n = sp_agent_output(d->core, now_of(d), wall_of(d), out, 16)) > 0) {
        for (size_t i = 0; i < n; i++)
            dispatch(d, &out[i]);
        sim_check(d->sim, ++rounds < 10000, "device %u does not stop sending", d->number);
    }
    sp_agent_memory(d->core, &d->memory);
    while (sp_agent_event(d->core, &ev))
        effect(d, &ev);
    arm(d);
}

static void give(struct sim_device *d, const struct sp_in *in) {
    size_t taken = 0;
    if (d->core == NULL || d->asleep != 0)
        return;
    for (unsigned i = 0; taken == 0; i++) {
        sim_check(d->sim, i < 100, "device %u takes no input of kind %d", d->number, in->kind);
        sp_err err = sp_agent_input(d->core, now_of(d), wall_of(d), in, 1, &taken);
        sim_check(d->sim, err == SP_OK || taken == 0, "device %u: input of kind %d: %s", d->number, in->kind,
                  sp_err_name(err));
        drain(d);
    }
}

static void deliver(void *ctx, const struct sp_addr *src, const struct sp_addr *dst, const uint8_t *data, size_t len) {
    struct sim_device *d = ctx;
    if (dst->port != d->port)
        return;
    d->wire_in += len;
    give(d, &(struct sp_in){.kind = SP_IN_DATAGRAM, .data = data, .len = len, .src = *src, .dst = *dst});
}

static void stream(void *ctx, const struct sp_in *in) {
    give(ctx, in);
}

/* ---- life ---- */

void sim_device_init(struct sim_device *d, struct sim_internet *net, unsigned number,
                     const struct sim_programs *programs) {
    *d = (struct sim_device){.sim = net->sim, .number = number, .armed = SP_NEVER, .programs = *programs, .next_id = 1};
    d->port = (uint16_t)(40000 + number % 1000);
    d->reply = malloc(SIM_DEVICE_REPLY);
    sim_host_init(&d->host, net, deliver, stream, d);
}

void sim_device_free(struct sim_device *d) {
    sim_device_kill(d);
    sim_host_attach(&d->host, NULL, NULL, 0);
    free(d->reply);
}

static void links(struct sim_device *d) {
    give(d, &(struct sp_in){.kind = SP_IN_LINK,
                            .data = (const uint8_t *)d->host.addrs,
                            .len = d->host.count * sizeof d->host.addrs[0]});
}

static void links_later(void *ctx, uint64_t arg) {
    links(ctx);
}

void sim_device_move(struct sim_device *d, struct sim_lan *lan, const struct sp_addr *addrs, unsigned n) {
    sim_host_attach(&d->host, lan, addrs, n);
    sim_note(d->sim, "move", d->number, lan != NULL ? lan->number : 0);
    sim_after(d->sim, 20 * SP_MS, links_later, d, 0);
}

static void start(struct sim_device *d, bool overlay) {
    sim_device_kill(d);
    for (size_t i = 0; i < sizeof d->config.seed; i++)
        d->config.seed[i] = (uint8_t)sim_random(d->sim);
    d->config.memory = d->memory;
    d->config.publish_auto = true;
    d->config.overlay.on = overlay;
    d->config.overlay.grant = (struct sp_grant){d, grant, release};
    d->config.overlay.names = 1024;
    d->config.overlay.peers = 256;
    d->core = calloc(1, sp_agent_size());
    d->stopped = false;
    d->armed = SP_NEVER;
    SP_ASSERT(sp_agent_init(d->core, &d->config, now_of(d)) == SP_OK);
}

void sim_device_join(struct sim_device *d, const char *token) {
    uint8_t seed[SP_ED25519_SEED];
    sim_check(d->sim, sp_token_read(&d->token, token, strlen(token)) == SP_OK, "the token cannot be read");
    for (size_t i = 0; i < sizeof seed; i++)
        seed[i] = (uint8_t)sim_random(d->sim);
    sp_agent_identity_make(&d->config.id, &d->token, seed);
    d->name = d->config.id.name;
    start(d, false);
    sim_check(d->sim, sp_agent_join(d->core, &d->token, now_of(d)) == SP_OK, "device %u cannot join", d->number);
    links(d);
}

bool sim_device_joined(const struct sim_device *d) {
    struct sp_agent_status s;
    if (d->core == NULL || !d->stopped)
        return false;
    sp_agent_status(d->core, &s);
    sim_check(d->sim, s.state == SP_AGENT_JOINED, "device %u could not join: %s", d->number,
              sp_agent_state_text(s.state));
    return true;
}

void sim_device_up(struct sim_device *d) {
    struct sp_agent_status s;
    d->config.id.pending = false;
    start(d, true);
    sim_check(d->sim, sp_agent_up(d->core, now_of(d)) == SP_OK, "device %u cannot come up", d->number);
    sp_agent_status(d->core, &s);
    memcpy(d->overlay, s.overlay, sizeof d->overlay);
    links(d);
}

void sim_device_kill(struct sim_device *d) {
    if (d->core == NULL)
        return;
    sp_agent_memory(d->core, &d->memory);
    sp_agent_wipe(d->core);
    free(d->core);
    d->core = NULL;
    sim_check(d->sim, d->granted == 0, "device %u ends and keeps %zu bytes", d->number, d->granted);
    sim_streams_forget(&d->host);
    sim_forget(d->sim, d);
}

void sim_device_sleep(struct sim_device *d) {
    d->asleep = d->sim->now;
    d->host.off = true;
    sim_note(d->sim, "sleep", d->number, 0);
}

void sim_device_wake(struct sim_device *d, bool hears) {
    if (d->asleep == 0)
        return;
    d->behind += d->sim->now - d->asleep;
    d->asleep = 0;
    d->host.off = false;
    d->armed = SP_NEVER;
    sim_note(d->sim, "wake", d->number, hears);
    if (d->core == NULL)
        return;
    if (hears)
        sim_after(d->sim, 20 * SP_MS, links_later, d, 0);
    drain(d);
}

/* ---- its programs ---- */

void sim_device_packet(struct sim_device *d, const uint8_t *packet, size_t len) {
    give(d, &(struct sp_in){.kind = SP_IN_PACKET, .data = packet, .len = len});
}

void sim_device_stream(struct sim_device *d, const struct sp_in *in) {
    give(d, in);
}

void sim_device_resolve(struct sim_device *d, uint64_t id, const uint8_t *query, size_t len) {
    give(d, &(struct sp_in){.kind = SP_IN_RESOLVE, .id = id, .data = query, .len = len});
}

/* ---- STATUS ---- */

static bool status(struct sim_device *d, struct sp_rd *ret) {
    uint8_t buf[16];
    struct sp_wr wr = sp_wr_init(buf, sizeof buf);
    enum sp_op_status got;
    if (d->core == NULL || d->asleep != 0)
        return false;
    sp_op_request_begin(&wr, (enum sp_op_verb)SP_AGENT_OP_STATUS);
    d->replied = false;
    give(d, &(struct sp_in){.kind = SP_IN_CONTROL, .id = d->next_id++, .data = buf, .len = sp_wr_len(&wr)});
    sim_check(d->sim, d->replied, "device %u does not answer STATUS at once", d->number);
    *ret = sp_rd_init(d->reply, d->reply_len);
    sim_check(d->sim, sp_op_reply_read(ret, &got) == SP_OK && got == SP_OP_OK, "device %u: STATUS failed", d->number);
    return true;
}

static void text_of(const struct sp_op_item *it, char *ret, size_t cap) {
    if (it->kind == SP_OP_STR)
        snprintf(ret, cap, "%.*s", (int)it->len, (const char *)it->data);
    else
        snprintf(ret, cap, "%llu", (unsigned long long)it->number);
}

/* A name, with or without its final dot. */
static bool same_name(const struct sp_op_item *it, const char *name) {
    size_t len = strlen(name), got = it->len;
    len -= len > 0 && name[len - 1] == '.';
    got -= got > 0 && it->data[got - 1] == '.';
    return len == got && memcmp(it->data, name, len) == 0;
}

/* One RECORD of "peers", from behind its start to its end; true: it is the one of this name. */
static bool read_peer(struct sp_rd *rd, const char *name, struct sim_peer_view *ret) {
    struct sp_op_item it;
    bool mine = false;
    unsigned depth = 1;
    memset(ret, 0, sizeof *ret);
    while (depth > 0 && sp_op_next(rd, &it) == SP_OK) {
        depth += it.kind == SP_OP_LIST || it.kind == SP_OP_RECORD;
        depth -= it.kind == SP_OP_END;
        if (depth != 1 || it.kind == SP_OP_END)
            continue;
        if (strcmp(it.key, "name") == 0)
            mine = same_name(&it, name);
        else if (strcmp(it.key, "state") == 0)
            text_of(&it, ret->state, sizeof ret->state);
        else if (strcmp(it.key, "tactic") == 0)
            text_of(&it, ret->tactic, sizeof ret->tactic);
        else if (strcmp(it.key, "why") == 0)
            text_of(&it, ret->why, sizeof ret->why);
        else if (strcmp(it.key, "endpoint") == 0)
            text_of(&it, ret->endpoint, sizeof ret->endpoint);
        else if (strcmp(it.key, "mtu_full") == 0)
            ret->mtu_full = it.number != 0;
        else if (strcmp(it.key, "rtt_us") == 0)
            ret->rtt_us = it.number;
    }
    return mine;
}

bool sim_device_peer(struct sim_device *d, const char *name, struct sim_peer_view *ret) {
    struct sp_rd rd;
    struct sp_op_item it;
    if (!status(d, &rd))
        return false;
    while (sp_op_next(&rd, &it) == SP_OK)
        if (it.kind == SP_OP_LIST && strcmp(it.key, "peers") == 0)
            while (sp_op_next(&rd, &it) == SP_OK && it.kind == SP_OP_RECORD)
                if (read_peer(&rd, name, ret))
                    return true;
    return false;
}

void sim_device_status(struct sim_device *d, const char *record, const char *key, char *ret, size_t cap) {
    struct sp_rd rd;
    struct sp_op_item it;
    bool inside = false;
    ret[0] = 0;
    if (!status(d, &rd))
        return;
    while (sp_op_next(&rd, &it) == SP_OK) {
        if (it.kind == SP_OP_RECORD && strcmp(it.key, record) == 0)
            inside = true;
        else if (inside && it.kind == SP_OP_END)
            return;
        else if (inside && strcmp(it.key, key) == 0)
            text_of(&it, ret, cap);
    }
}
