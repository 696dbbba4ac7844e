#include "client/core/control.h"

#include "client/core/mesh.h"
#include "client/core/report.h"
#include "proto/control/operator.h"
#include "proto/dns/rrtype.h"

static void text_addr(struct sp_wr *wr, const char *key, const uint8_t *ip, uint8_t family) {
    char buf[64];
    struct sp_wr text = sp_wr_init(buf, sizeof buf);
    if (family == 4)
        sp_rdata_to_text(SP_TYPE_A, ip, 4, &text);
    else if (family == 6)
        sp_rdata_to_text(SP_TYPE_AAAA, ip, 16, &text);
    sp_op_str(wr, key, buf, sp_wr_len(&text));
}

static void text_name(struct sp_wr *wr, const char *key, const struct sp_name *name) {
    char text[SP_NAME_TEXT_MAX];
    sp_op_str(wr, key, text, sp_name_to_text(name, text));
}

/* Whole seconds from `now` on (0 when past), or none of the key for never. */
static void seconds_until(struct sp_wr *wr, const char *key, sp_instant at, sp_instant now) {
    if (at != SP_NEVER)
        sp_op_u64(wr, key, at > now ? (at - now) / SP_SEC : 0);
}

static void put_last(struct sp_wr *wr, const struct sp_agent_status *s) {
    if (s->last_err != SP_OK)
        sp_op_text(wr, "last_error", sp_err_text(s->last_err));
    if (s->last_rcode >= 0)
        sp_op_u64(wr, "last_rcode", (uint64_t)s->last_rcode);
    if (s->last_ede >= 0) {
        sp_op_u64(wr, "last_ede", (uint64_t)s->last_ede);
        sp_op_text(wr, "last_ede_text", s->last_ede_text);
    }
    if (s->unsigned_rcode >= 0) {
        sp_op_u64(wr, "unsigned_rcode", (uint64_t)s->unsigned_rcode);
        sp_op_text(wr, "unsigned_text", s->unsigned_text);
    }
}

static void put_counts(struct sp_wr *wr, const struct sp_agent_counts *c) {
    sp_op_begin(wr, SP_OP_RECORD, "counts");
    sp_op_u64(wr, "sent", c->sent);
    sp_op_u64(wr, "accepted", c->accepted);
    sp_op_u64(wr, "refused", c->refused);
    sp_op_u64(wr, "superseded", c->superseded);
    sp_op_u64(wr, "dropped_form", c->dropped_form);
    sp_op_u64(wr, "dropped_stray", c->dropped_stray);
    sp_op_u64(wr, "dropped_unsigned", c->dropped_unsigned);
    sp_op_u64(wr, "dropped_key", c->dropped_key);
    sp_op_u64(wr, "dropped_sig", c->dropped_sig);
    sp_op_end(wr);
}

static void put_status(struct sp_agent *a, sp_instant now, struct sp_wr *wr) {
    struct sp_agent_status s;
    sp_agent_status(a, &s);
    sp_op_text(wr, "state", sp_agent_state_text(s.state));
    text_name(wr, "name", &a->id.name);
    text_name(wr, "zone", &a->id.zone);
    text_addr(wr, "overlay", s.overlay, 6);
    text_addr(wr, "signpost", s.signpost.ip, s.signpost.family);
    sp_op_u64(wr, "signpost_port", s.signpost.port);
    sp_op_text(wr, "trust", "hosted"); /* until an owner claims the zone, the signpost holds its root */
    sp_op_begin(wr, SP_OP_LIST, "published");
    for (unsigned i = 0; i < s.published_count; i++)
        text_addr(wr, "", s.published[i].ip, s.published[i].family);
    sp_op_end(wr);
    sp_op_u64(wr, "lease_s", s.lease_s);
    if (s.registered_at != SP_NEVER)
        sp_op_u64(wr, "registered_ago_s", (now - s.registered_at) / SP_SEC);
    seconds_until(wr, "next_in_s", s.next_at, now);
    sp_op_u64(wr, "attempts", s.attempts);
    sp_op_bool(wr, "clock_adjusted", s.clock_offset_s != 0);
    put_last(wr, &s);
    put_counts(wr, &s.counts);
}

static struct sp_control_slot *slot_in(struct sp_agent *a, enum sp_control_slot_state state) {
    for (unsigned i = 0; i < SP_AGENT_CONTROL_MAX; i++)
        if (a->slots[i].state == state)
            return &a->slots[i];
    return NULL;
}

/* A list of peers may be long. */
static struct sp_wr reply_writer(struct sp_agent *a, struct sp_control_slot *slot) {
    if (a->mesh != NULL && slot->big == NULL)
        slot->big = sp_mem_alloc(&a->mesh->mem, SP_AGENT_REPLY_BIG);
    return slot->big != NULL ? sp_wr_init(slot->big, SP_AGENT_REPLY_BIG) : sp_wr_init(slot->reply, sizeof slot->reply);
}

static void fill(struct sp_agent *a, struct sp_control_slot *slot, sp_instant now, enum sp_op_status status) {
    struct sp_wr wr = reply_writer(a, slot);
    sp_op_reply_begin(&wr, status);
    put_status(a, now, &wr);
    if (slot->big != NULL)
        sp_report_status(a->mesh, &wr);
    SP_ASSERT(wr.err == SP_OK);
    slot->len = sp_wr_len(&wr);
    slot->state = SP_SLOT_READY;
}

static void refuse(struct sp_control_slot *slot, const char *error, const char *hint) {
    struct sp_wr wr = sp_wr_init(slot->reply, sizeof slot->reply);
    sp_op_reply_error(&wr, SP_OP_FAILED, error, hint);
    slot->len = sp_wr_len(&wr);
    slot->state = SP_SLOT_READY;
}

/* ---- verbs of the overlay ---- */

static bool read_ms(struct sp_rd *text, sp_duration *ret) {
    uint64_t ms = 0;
    if (sp_rd_left(text) == 0 || sp_rd_left(text) > 7)
        return false;
    while (sp_rd_left(text) > 0) {
        uint8_t c = sp_rd_u8(text);
        if (c < '0' || c > '9')
            return false;
        ms = ms * 10 + (uint64_t)(c - '0');
    }
    *ret = ms * SP_MS;
    return ms > 0;
}

static void begin_ping(struct sp_agent *a, struct sp_control_slot *slot, struct sp_rd *args) {
    struct sp_rd name_text, ms_text;
    struct sp_name name;
    sp_duration timeout;
    if (sp_op_arg_next(args, &name_text) != SP_OK || sp_op_arg_next(args, &ms_text) != SP_OK || sp_rd_finish(args) != SP_OK ||
        !read_ms(&ms_text, &timeout))
        refuse(slot, "the agent does not understand the request", "use the signpost-agent command of the same version");
    else if (!sp_directory_read(&a->id.zone, (const char *)name_text.pos, sp_rd_left(&name_text), &name))
        refuse(slot, "no name of a device in this zone", "give a device's name, such as laptop");
    else if (!sp_ping_begin(a->mesh, (unsigned)(slot - a->slots), &name, timeout))
        refuse(slot, "too many pings at once", "try again in a moment");
    else
        slot->state = SP_SLOT_PING;
}

static void begin_overlay(struct sp_agent *a, struct sp_control_slot *slot, unsigned verb, struct sp_rd *args) {
    if (a->mesh == NULL || !a->mesh->active) {
        refuse(slot, "the agent has no tunnels now", "start it: signpost-agent up");
    } else if (verb == SP_AGENT_OP_PING) {
        begin_ping(a, slot, args);
    } else {
        slot->state = SP_SLOT_NETCHECK;
        sp_netcheck_ask(a->mesh);
    }
}

static void answer_ping(struct sp_agent *a, struct sp_control_slot *slot, const struct sp_pinger *g) {
    if (g->error != NULL) {
        refuse(slot, g->error, g->hint);
        return;
    }
    const struct sp_mesh *mesh = a->mesh;
    bool relay = g->path.tactic == SP_TACTIC_RELAY, signpost = sp_name_equal(&g->name, &mesh->signpost);
    struct sp_wr wr = sp_wr_init(slot->reply, sizeof slot->reply);
    sp_op_reply_begin(&wr, SP_OP_OK);
    sp_report_name(&wr, "name", &g->name);
    sp_report_ip6(&wr, "address", g->addr);
    sp_op_text(&wr, "via", signpost ? "signpost" : sp_report_via(mesh, &g->path));
    sp_report_way(&wr, mesh, &g->path);
    sp_op_bool(&wr, "direct", !relay || signpost);
    slot->len = sp_wr_len(&wr);
    slot->state = SP_SLOT_READY;
}

static void answer_netcheck(struct sp_agent *a, struct sp_control_slot *slot) {
    struct sp_wr wr = sp_wr_init(slot->reply, sizeof slot->reply);
    sp_op_reply_begin(&wr, SP_OP_OK);
    sp_report_netcheck(a->mesh, &wr);
    SP_ASSERT(wr.err == SP_OK);
    slot->len = sp_wr_len(&wr);
    slot->state = SP_SLOT_READY;
}

void sp_agent_control_settle(struct sp_agent *a, sp_instant now) {
    struct sp_mesh *mesh = a->mesh;
    struct sp_pinger *g;
    if (mesh == NULL)
        return;
    while ((g = sp_ping_done(mesh)) != NULL) {
        if (a->slots[g->slot].state == SP_SLOT_PING)
            answer_ping(a, &a->slots[g->slot], g);
        sp_ping_end(g);
    }
    if (!mesh->netcheck.answered && mesh->active)
        return;
    mesh->netcheck.answered = false;
    for (unsigned i = 0; i < SP_AGENT_CONTROL_MAX; i++)
        if (a->slots[i].state == SP_SLOT_NETCHECK)
            answer_netcheck(a, &a->slots[i]);
}

sp_err sp_agent_control(struct sp_agent *a, sp_instant now, uint64_t id, const uint8_t *data, size_t len) {
    struct sp_control_slot *slot = slot_in(a, SP_SLOT_FREE);
    if (slot == NULL)
        return SP_ERR_FULL;
    slot->id = id;
    struct sp_rd rd = sp_rd_init(data, len);
    unsigned verb = 0;
    sp_err err = sp_op_request_read(&rd, &verb);
    struct sp_rd args = rd;
    bool has_args = verb == SP_AGENT_OP_PING;
    if (err != SP_OK || (!has_args && sp_rd_finish(&rd) != SP_OK) || verb < SP_AGENT_OP_STATUS || verb > SP_AGENT_OP_NETCHECK) {
        refuse(slot, "the agent does not understand the request", "use the signpost-agent command of the same version");
        return SP_OK;
    }
    if (verb == SP_AGENT_OP_PING || verb == SP_AGENT_OP_NETCHECK) {
        begin_overlay(a, slot, verb, &args);
        sp_agent_control_settle(a, now);
        return SP_OK;
    }
    if (verb == SP_AGENT_OP_STATUS) {
        fill(a, slot, now, SP_OP_OK);
        return SP_OK;
    }
    slot->state = SP_SLOT_WAITING;
    if ((verb == SP_AGENT_OP_DOWN ? sp_agent_down(a, now) : sp_agent_leave(a, now)) != SP_OK)
        refuse(slot, "the agent is joining or leaving just now", "try again in a minute");
    return SP_OK;
}

void sp_agent_control_ended(struct sp_agent *a, sp_instant now) {
    for (unsigned i = 0; i < SP_AGENT_CONTROL_MAX; i++)
        if (a->slots[i].state == SP_SLOT_WAITING)
            fill(a, &a->slots[i], now, SP_OP_OK);
}

bool sp_agent_control_next(struct sp_agent *a, struct sp_out *out) {
    struct sp_control_slot *slot = slot_in(a, SP_SLOT_READY);
    if (slot == NULL)
        return false;
    slot->state = SP_SLOT_GIVEN;
    *out = (struct sp_out){.kind = SP_OUT_CONTROL, .id = slot->id, .data = slot->big != NULL ? slot->big : slot->reply, .len = slot->len};
    return true;
}

void sp_agent_control_given(struct sp_agent *a) {
    for (unsigned i = 0; i < SP_AGENT_CONTROL_MAX; i++)
        if (a->slots[i].state == SP_SLOT_GIVEN) {
            if (a->slots[i].big != NULL)
                sp_mem_free(&a->mesh->mem, a->slots[i].big, SP_AGENT_REPLY_BIG);
            a->slots[i].big = NULL;
            a->slots[i].state = SP_SLOT_FREE;
        }
}
