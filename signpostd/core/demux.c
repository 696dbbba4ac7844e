/* One port for all: STUN, WireGuard, relay frames, else DNS. Told apart without ambiguity, each within a budget of its
 * own. DESIGN: "The control session". RFC 8489 6.3 (STUN's cookie and length). */
#include "signpostd/core/overlay.h"

/* ---- where things go ---- */

uint8_t *sp_overlay_room(struct sp_server *s, const struct sp_relay_where *to, size_t cap) {
    if (to->stream == 0)
        return sp_outbox_room(&s->out, cap);
    uint8_t *room = cap <= SP_MSG_MAX ? sp_outbox_room(&s->out, cap + 2) : NULL;
    return room == NULL ? NULL : room + 2;
}

/* Half of what may be queued for a reader is left to answers. */
static bool reader_is_slow(const struct sp_stream *st) {
    return st->send.len - st->send.off > SP_STREAM_SEND_HOLD;
}

void sp_overlay_send(struct sp_server *s, const struct sp_relay_where *to, size_t len) {
    if (to->stream == 0) {
        if (to->addr.family != 0)
            sp_outbox_datagram(&s->out, len, &to->local, &to->addr);
        return;
    }
    struct sp_stream *st = sp_stream_get(s, to->stream);
    if (st == NULL)
        return;
    if (reader_is_slow(st)) {
        s->overlay->counts.dropped_slow_reader++;
        return;
    }
    sp_put_u16(sp_outbox_room(&s->out, len + 2), (uint16_t)len);
    sp_stream_send(s, st, len + 2);
}

/* ---- STUN ---- */

static void stun(struct sp_server *s, const struct sp_from *from, const uint8_t *data, size_t len) {
    struct sp_overlay *o = s->overlay;
    const struct sp_budgets *rates = &s->cfg.budgets;
    struct sp_relay_where to = {.addr = from->src, .local = from->dst, .stream = from->stream};
    if (!sp_rate_has(&o->stun, rates->stun_per_s, 1, s->now) ||
        !sp_budget_draw_prefix(&o->gate, 0, &from->src, rates->stun_prefix_per_s, 1, s->now)) {
        o->counts.dropped_stun_budget++;
        return;
    }
    sp_rate_take(&o->stun, rates->stun_per_s, 1, s->now);
    uint8_t *room = sp_overlay_room(s, &to, SP_STUN_MAX);
    if (room == NULL)
        return;
    size_t n = sp_stun_serve(data, len, &from->src, &from->dst, s->link, s->link_count, room, SP_STUN_MAX, &to.local,
                             &to.addr);
    if (n == 0)
        return;
    o->counts.stun++;
    sp_overlay_send(s, &to, n);
}

/* ---- relay frames ---- */

/* Frames of equal size but for the last, in one output. */
static void frames_out(struct sp_server *s, const struct sp_relay_where *to, uint32_t index, const uint8_t *data,
                       size_t len, size_t size) {
    if (to->stream == 0) {
        uint8_t *room = sp_overlay_room(s, to, len);
        if (room == NULL)
            return;
        memcpy(room, data, len);
        for (size_t pos = 0; pos < len; pos += size)
            sp_relay_head(room + pos, index);
        sp_outbox_joined(&s->out, len, size < len ? (uint16_t)size : 0, &to->local, &to->addr);
        return;
    }
    for (size_t pos = 0; pos < len; pos += size) {
        size_t n = len - pos < size ? len - pos : size;
        uint8_t *room = sp_overlay_room(s, to, n);
        if (room == NULL)
            return;
        memcpy(room, data + pos, n);
        sp_relay_head(room, index);
        sp_overlay_send(s, to, n);
    }
}

static void frames(struct sp_server *s, const struct sp_from *from, const uint8_t *data, size_t len, size_t size) {
    struct sp_relay_where to;
    uint32_t index;
    /* Whatever is no frame of a channel, from its end's address, is dropped and counted by the relay. */
    if (sp_relay_forward(s->overlay->relay, sp_relay_index(data), &from->src, from->stream, len, s->now, &to, &index) ==
        SP_OK)
        frames_out(s, &to, index, data, len, size);
}

/* ---- WireGuard ---- */

/* A realm bounds its own handshakes: beyond a rate it asks for cookies, which cost little. This bounds those of all
 * realms, that an attack on many of them takes no more of the CPU; whom we know is still let in. */
static void initiation(struct sp_server *s, struct sp_realm *r, const struct sp_from *from, const uint8_t *data,
                       size_t len) {
    struct sp_overlay *o = s->overlay;
    uint32_t per_s = s->cfg.budgets.initiations_max_per_s;
    if (!sp_rate_has(&o->handshakes, per_s, 1, s->now) && !sp_realm_hinted(s, &from->src, r)) {
        o->counts.dropped_initiation_budget++;
        return;
    }
    const struct sp_wg_counts *n = sp_wg_counts(r->wg);
    uint64_t cheap = n->cookies_sent + n->dropped_rate;
    sp_ctlsession_message(s, r, from, data, len);
    if (cheap == n->cookies_sent + n->dropped_rate)
        sp_rate_take(&o->handshakes, per_s, 1, s->now);
}

static bool wireguard(struct sp_server *s, const struct sp_from *from, const uint8_t *data, size_t len) {
    sp_realms_sync(s);
    if (data[0] == SP_WG_TYPE_INITIATION) {
        struct sp_realm *r = sp_realm_search(s, from, data, len);
        if (r != NULL)
            initiation(s, r, from, data, len);
        return r != NULL;
    }
    struct sp_realm *r = sp_realm_of_index(s, data, len);
    if (r != NULL) {
        sp_ctlsession_message(s, r, from, data, len);
        return true;
    }
    /* Such a QDCOUNT is no DNS message's: an index that has died. */
    if (data[0] == SP_WG_TYPE_RESPONSE || data[4] < 0x80)
        return false;
    s->overlay->counts.dropped_index++;
    return true;
}

bool sp_demux_take(struct sp_server *s, const struct sp_from *from, const uint8_t *data, size_t len) {
    if (sp_get_u32(data + 4) == SP_STUN_COOKIE && sp_stun_is(data, len)) {
        stun(s, from, data, len);
        return true;
    }
    if (!s->ready) /* no zones yet, so no devices */
        return false;
    if (sp_relay_is(data, len)) {
        frames(s, from, data, len, len);
        return true;
    }
    return sp_wg_shaped(data, len) && wireguard(s, from, data, len);
}

size_t sp_demux_joined(struct sp_server *s, const struct sp_in *in, size_t pos) {
    const uint8_t *data = in->data + pos;
    size_t left = in->len - pos, size = in->segment, n = left < size ? left : size;
    struct sp_from from = {.via = SP_VIA_UDP, .src = in->src, .dst = in->dst};
    if (!s->ready || !sp_relay_is(data, n))
        return sp_demux_take(s, &from, data, n) ? n : 0;
    uint32_t index = sp_relay_index(data);
    while (n < left) {
        size_t next = left - n < size ? left - n : size;
        if (!sp_relay_is(data + n, next) || sp_relay_index(data + n) != index)
            break;
        n += next;
    }
    frames(s, &from, data, n, size);
    return n;
}
