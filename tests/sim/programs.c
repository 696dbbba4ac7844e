#include "tests/sim/programs.h"

#include <stdlib.h>
#include <string.h>

#include "proto/control/tunnel.h"
#include "proto/dns/msg.h"
#include "proto/dns/rrtype.h"

#define PORT 7

enum payload { REQUEST, ECHO };

/* On its way into an agent; programs run beside it, so never from within its output. */
struct sim_letter {
    struct sim_letter *next, **back;
    struct sim_device *from;
    size_t len;
    uint8_t packet[1500];
};

void sim_letter_free(struct sim_letter *l) {
    *l->back = l->next;
    if (l->next != NULL)
        l->next->back = l->back;
    free(l);
}

static void post(void *ctx, uint64_t unused) {
    struct sim_letter *l = ctx;
    sim_device_packet(l->from, l->packet, l->len);
    sim_letter_free(l);
}

/* marker, u32 flow, u32 sender, u32 receiver, u64 number, u8 kind, then bytes that depend on all of it. */
static void fill(struct sim_world *w, const struct sim_flow *f, enum payload kind, uint64_t number, uint8_t *out,
                 size_t len) {
    struct sp_wr wr = sp_wr_init(out, len);
    const struct sim_device *from = kind == REQUEST ? f->from : f->to, *to = kind == REQUEST ? f->to : f->from;
    sp_wr_bytes(&wr, w->marker, SIM_MARKER);
    sp_wr_u32(&wr, f->number);
    sp_wr_u32(&wr, from->number);
    sp_wr_u32(&wr, to->number);
    sp_wr_u64(&wr, number);
    sp_wr_u8(&wr, kind);
    for (size_t i = sp_wr_len(&wr); i < len; i++)
        out[i] = (uint8_t)(w->marker[i % SIM_MARKER] + i / SIM_MARKER + number);
}

static void send(struct sim_world *w, struct sim_flow *f, enum payload kind, uint64_t number, const uint8_t src[16],
                 const uint8_t dst[16], size_t size) {
    struct sim_letter *l = malloc(sizeof *l);
    l->next = w->letters;
    l->back = &w->letters;
    if (l->next != NULL)
        l->next->back = &l->next;
    w->letters = l;
    struct sp_tunnel_udp u = {.sport = PORT, .dport = PORT, .len = size};
    memcpy(u.src, src, 16);
    memcpy(u.dst, dst, 16);
    l->from = kind == REQUEST ? f->from : f->to;
    fill(w, f, kind, number, l->packet + SP_TUNNEL_HEAD, size);
    l->len = sp_tunnel_udp_write(&u, l->packet, sizeof l->packet);
    sim_check(w->sim, l->len > 0, "a datagram of %zu bytes", size);
    sim_after(w->sim, 10 * SP_US, post, l, 0);
}

/* ---- names ---- */

static void ask(struct sim_world *w, struct sim_flow *f) {
    uint8_t query[512];
    struct sp_msgw m;
    f->resolving = true;
    f->resolve_id = (uint64_t)f->number << 32 | (uint32_t)sim_random(w->sim);
    sp_msgw_begin(&m, query, sizeof query, (uint16_t)f->number, 0x0100);
    sp_msgw_question(&m, &f->to->name, SP_TYPE_AAAA, SP_CLASS_IN);
    size_t len = sp_msgw_end(&m);
    sim_device_resolve(f->from, f->resolve_id, query, len);
}

static void turn(void *ctx, uint64_t arg);

/* The one turn to come; an earlier one that was to come is void. */
static void next_turn(struct sim_world *w, struct sim_flow *f, sp_duration in) {
    sim_after(w->sim, in, turn, w, (uint64_t)f->number << 32 | ++f->turn);
}

static bool read_addr(const uint8_t *reply, size_t len, int *ret_rcode, uint8_t ret[16]) {
    struct sp_msg m;
    struct sp_rr rr;
    if (sp_msg_parse(&m, reply, len) != SP_OK)
        return false;
    *ret_rcode = SP_RCODE_OF(m.flags);
    struct sp_rd rd = sp_msg_section(&m, 1);
    while (sp_msg_rr(&rd, &rr) == SP_OK)
        if (rr.type == SP_TYPE_AAAA && sp_rd_left(&rr.rdata) == 16) {
            memcpy(ret, rr.rdata.pos, 16);
            return true;
        }
    return false;
}

static void resolved(void *ctx, struct sim_device *d, uint64_t id, const uint8_t *reply, size_t len) {
    struct sim_world *w = ctx;
    uint64_t number = id >> 32;
    sim_check(w->sim, number < w->n_flows, "an answer to nobody");
    struct sim_flow *f = &w->flows[number];
    if (f->resolve_id != id)
        return;
    f->resolving = false;
    if (!read_addr(reply, len, &f->rcode, f->addr)) {
        sim_note(w->sim, "no address", number, (uint64_t)f->rcode);
        return;
    }
    sim_check(w->sim, f->from == d && memcmp(f->addr, f->to->overlay, 16) == 0,
              "a name leads to another device's address");
    if (!f->have_addr)
        sim_note(w->sim, "resolved", number, 0);
    f->have_addr = true;
    if (f->first_sent_at == 0)
        next_turn(w, f, 10 * SP_US);
}

/* ---- a program's turns ---- */

/* The next message that was not echoed yet, round and round; 0: all were. */
static uint64_t next_message(struct sim_flow *f) {
    for (uint64_t i = 0; i < f->most; i++) {
        f->next = f->next % f->most + 1;
        if (!f->acks[f->next - 1])
            return f->next;
    }
    return 0;
}

static void send_next(struct sim_world *w, struct sim_flow *f) {
    uint64_t number = f->most != 0 ? next_message(f) : f->sent + 1;
    if (number == 0)
        return;
    if (f->first_sent_at == 0)
        f->first_sent_at = w->sim->now;
    f->sent++;
    send(w, f, REQUEST, number, f->from->overlay, f->addr, f->size);
}

/* Sends the next datagram; without an address asks again every second, as a person does. */
static void turn(void *ctx, uint64_t arg) {
    struct sim_world *w = ctx;
    struct sim_flow *f = &w->flows[arg >> 32];
    if (!f->running || f->turn != (uint32_t)arg)
        return;
    bool awake = f->from->core != NULL && f->from->asleep == 0;
    if (awake && f->have_addr)
        send_next(w, f);
    else if (awake)
        ask(w, f);
    next_turn(w, f, f->have_addr ? f->period : SP_SEC);
}

struct sim_flow *sim_flow_new(struct sim_world *w, struct sim_device *from, struct sim_device *to, sp_duration period,
                              size_t size) {
    sim_check(w->sim, w->n_flows < SIM_FLOWS_MAX && size >= SIM_PAYLOAD_HEAD && size <= SIM_PAYLOAD_MAX, "a flow");
    struct sim_flow *f = &w->flows[w->n_flows];
    *f = (struct sim_flow){.number = w->n_flows++, .from = from, .to = to, .period = period, .size = size, .rcode = -1};
    return f;
}

void sim_flow_start(struct sim_world *w, struct sim_flow *f) {
    f->running = true;
    f->asked_at = w->sim->now;
    if (f->from->core != NULL)
        ask(w, f);
    next_turn(w, f, f->have_addr ? 0 : SP_SEC); /* in case that no answer comes */
}

void sim_flow_reliable(struct sim_flow *f, uint64_t messages) {
    f->most = messages;
    f->acks = calloc(messages, 1);
}

void sim_flow_stop(struct sim_flow *f) {
    f->running = false;
}

void sim_flow_mark(struct sim_world *w, struct sim_flow *f) {
    f->worst_gap = 0;
    f->last_echo_at = f->last_delivered_at = w->sim->now;
}

bool sim_flow_since(const struct sim_flow *f, sp_instant then) {
    return f->last_echo_at > then;
}

void sim_flow_state(struct sim_flow *f, struct sim_peer_view *ret) {
    char name[SP_NAME_TEXT_MAX];
    memset(ret, 0, sizeof *ret);
    (void)sim_device_peer(f->from, sim_name_text(f->to, name), ret);
}

bool sim_flow_direct(struct sim_flow *f) {
    struct sim_peer_view v;
    sim_flow_state(f, &v);
    return strcmp(v.state, "direct") == 0;
}

/* ---- what they get ---- */

static void delivered(struct sim_world *w, struct sim_flow *f, uint64_t number) {
    sp_instant now = w->sim->now;
    f->delivered++;
    if (f->first_delivered_at == 0)
        f->first_delivered_at = now;
    f->last_delivered_at = now;
    if (number > f->seq_delivered)
        f->seq_delivered = number;
}

static void echoed(struct sim_world *w, struct sim_flow *f, uint64_t number) {
    sp_instant now = w->sim->now;
    f->echoed++;
    if (f->most != 0 && number > 0 && number <= f->most && !f->acks[number - 1]) {
        f->acks[number - 1] = 1;
        f->acked++;
    }
    if (f->first_echo_at == 0)
        f->first_echo_at = now;
    else if (now - f->last_echo_at > f->worst_gap)
        f->worst_gap = now - f->last_echo_at;
    f->last_echo_at = now;
    if (number > f->seq_echoed)
        f->seq_echoed = number;
}

/* Checks a datagram against what was sent: to whom, from whom, every byte. */
static void got(struct sim_world *w, struct sim_device *d, const struct sp_tunnel_udp *u) {
    uint8_t want[SIM_PAYLOAD_MAX], marker[SIM_MARKER];
    struct sp_rd rd = sp_rd_init(u->data, u->len);
    sp_rd_copy(&rd, marker, SIM_MARKER);
    uint32_t number = sp_rd_u32(&rd), from = sp_rd_u32(&rd), to = sp_rd_u32(&rd);
    uint64_t seq = sp_rd_u64(&rd);
    uint8_t kind = sp_rd_u8(&rd);
    sim_check(w->sim,
              rd.err == SP_OK && u->len <= sizeof want && memcmp(marker, w->marker, SIM_MARKER) == 0 &&
                  number < w->n_flows,
              "device %u gets a datagram that nobody sent", d->number);
    struct sim_flow *f = &w->flows[number];
    const struct sim_device *sender = kind == REQUEST ? f->from : f->to;
    sim_check(w->sim, to == d->number && from == sender->number && memcmp(u->dst, d->overlay, 16) == 0,
              "device %u gets what is for %u", d->number, to);
    sim_check(w->sim, memcmp(u->src, sender->overlay, 16) == 0, "device %u gets a datagram of %u from another address",
              d->number, from);
    fill(w, f, (enum payload)kind, seq, want, u->len);
    sim_check(w->sim, seq <= (f->most != 0 ? f->most : f->sent) && memcmp(want, u->data, u->len) == 0,
              "device %u gets a datagram that was changed", d->number);
    w->delivered++;
    if (kind == ECHO) {
        echoed(w, f, seq);
        return;
    }
    delivered(w, f, seq);
    send(w, f, ECHO, seq, d->overlay, u->src, u->len);
}

static void packet(void *ctx, struct sim_device *d, const uint8_t *data, size_t len) {
    struct sim_world *w = ctx;
    struct sp_tunnel_udp u;
    sp_err err = sp_tunnel_udp_read(&u, data, len, true);
    sim_note(w->sim, "packet", d->number, len);
    if (err == SP_OK)
        got(w, d, &u);
    else if (err == SP_ERR_UNSUP)
        w->unreachable++; /* ICMP */
    else
        sim_fail(w->sim, "device %u gets a packet of %zu bytes that is none: %s", d->number, len, sp_err_name(err));
}

struct sim_programs sim_programs(struct sim_world *w) {
    return (struct sim_programs){packet, resolved, w};
}
