#include "tests/sim/signpost.h"

#include <stdarg.h>
#include <string.h>

#include "proto/control/operator.h"

#define DISK_BLOCKS 2048

static void deliver(void *ctx, const struct sp_addr *src, const struct sp_addr *dst, const uint8_t *data, size_t len) {
    struct sim_signpost *p = ctx;
    if (p->server.core == NULL || (dst->port != 53 && dst->port != 443))
        return;
    p->bytes_in += len;
    sim_server_input(&p->server,
                     &(struct sp_in){.kind = SP_IN_DATAGRAM, .data = data, .len = len, .src = *src, .dst = *dst});
}

static void stream(void *ctx, const struct sp_in *in) {
    struct sim_signpost *p = ctx;
    if (p->server.core != NULL)
        sim_server_input(&p->server, in);
}

static void send_datagram(struct sim_signpost *p, const struct sp_out *o) {
    size_t piece = o->segment != 0 ? o->segment : o->len;
    for (size_t at = 0; at < o->len; at += piece) {
        size_t len = o->len - at < piece ? o->len - at : piece;
        p->bytes_out += len;
        sim_host_send(&p->host, &o->src, o->src.port != 0 ? o->src.port : 53, &o->dst, o->data + at, len);
    }
}

static void send(void *ctx, const struct sp_out *o) {
    struct sim_signpost *p = ctx;
    if (o->kind == SP_OUT_DATAGRAM)
        send_datagram(p, o);
    else if (o->kind == SP_OUT_STREAM_DATA)
        sim_stream_write(&p->host, o->id, o->data, o->len);
    else if (o->kind == SP_OUT_STREAM_CLOSE || o->kind == SP_OUT_STREAM_RESET)
        sim_stream_close(&p->host, o->id, o->kind == SP_OUT_STREAM_RESET);
}

static void configure(void *ctx, struct sp_server_config *c) {
    struct sim_signpost *p = ctx;
    uint32_t n = p->devices;
    c->limits = (struct sp_limits){.zones = 4,
                                   .names = 100 + 4 * n,
                                   .devices = n + 8,
                                   .leases = 100 + 4 * n,
                                   .keys = 64 + n,
                                   .invites = n + 8,
                                   .streams = n + 64,
                                   .streams_per_prefix = n + 64,
                                   .updates_in_flight = 64,
                                   .sessions = n + 8,
                                   .channels = 16 * n + 64,
                                   .channels_per_session = 256,
                                   .prefixes = 8192,
                                   .outbox = 512u << 10,
                                   .reply = 256u << 10,
                                   .log_blocks = SP_LOG_GROUP_MAX,
                                   .memory = (64 + n) * SP_CHUNK};
}

static void replied(void *ctx, uint64_t id, const uint8_t *reply, size_t len) {
    struct sim_signpost *p = ctx;
    p->reply_len = len < sizeof p->reply ? len : 0;
    memcpy(p->reply, reply, p->reply_len);
    p->replied = true;
}

void sim_signpost_init(struct sim_signpost *p, struct sim_internet *net, uint32_t devices) {
    *p = (struct sim_signpost){.v4 = sim_v4(203, 0, 113, 1, 53), .v6 = sim_v6(1, 1, 53), .devices = devices};
    sim_host_init(&p->host, net, deliver, stream, p);
    sim_host_attach(&p->host, &net->world, (struct sp_addr[]){p->v4, p->v6}, 2);
    sim_server_init(&p->server, net->sim, NULL, DISK_BLOCKS);
    p->server.send = send;
    p->server.configure = configure;
    p->server.control = replied;
    p->server.control_ctx = p->server.ctx = p;
    p->host.off = true;
}

void sim_signpost_free(struct sim_signpost *p) {
    sim_server_free(&p->server);
}

void sim_signpost_boot(struct sim_signpost *p) {
    p->host.off = false;
    sim_server_boot(&p->server);
}

void sim_signpost_off(struct sim_signpost *p, bool kill) {
    sim_server_off(&p->server, kill);
    sim_streams_forget(&p->host);
    p->host.off = !kill; /* a machine whose process is dead answers streams with a reset */
}

/* ---- the operator ---- */

void sim_signpost_ctl(struct sim_signpost *p, unsigned verb, ...) {
    struct sim *s = p->server.sim;
    uint8_t buf[4096];
    struct sp_wr wr = sp_wr_init(buf, sizeof buf);
    va_list args;
    sp_op_request_begin(&wr, verb);
    va_start(args, verb);
    for (const char *a; (a = va_arg(args, const char *)) != NULL;)
        sp_op_arg_text(&wr, a);
    va_end(args);
    p->replied = false;
    sim_server_control(&p->server, 1, buf, sp_wr_len(&wr));
    sp_instant until = s->now + 10 * SP_SEC;
    while (!p->replied)
        sim_check(s, s->now < until && sim_step(s), "the operator waits in vain");
    struct sp_rd rd = sp_rd_init(p->reply, p->reply_len);
    enum sp_op_status status;
    struct sp_op_item it = {0};
    sim_check(s, sp_op_reply_read(&rd, &status) == SP_OK, "the operator's reply cannot be read");
    if (status != SP_OP_OK && sp_op_next(&rd, &it) == SP_OK)
        sim_fail(s, "the operator's request %u failed: %.*s", verb, (int)it.len, (const char *)it.data);
}

static bool find(struct sim_signpost *p, const char *key, struct sp_op_item *ret) {
    struct sp_rd rd = sp_rd_init(p->reply, p->reply_len);
    enum sp_op_status status;
    if (sp_op_reply_read(&rd, &status) != SP_OK)
        return false;
    while (sp_op_next(&rd, ret) == SP_OK)
        if (strcmp(ret->key, key) == 0)
            return true;
    return false;
}

void sim_signpost_text(struct sim_signpost *p, const char *key, char *ret, size_t cap) {
    struct sp_op_item it;
    sim_check(p->server.sim, find(p, key, &it) && it.kind == SP_OP_STR && it.len < cap,
              "the operator's reply has no %s", key);
    memcpy(ret, it.data, it.len);
    ret[it.len] = 0;
}

uint64_t sim_signpost_metric(struct sim_signpost *p, const char *key) {
    struct sp_op_item it;
    sim_signpost_ctl(p, SP_OP_METRICS, NULL);
    return find(p, key, &it) ? it.number : 0;
}
