#include "proto/nat/probe.h"

#define WAIT (2 * SP_SEC)

/* The slot of this half's packet, else one that is free or stale, else the one that has waited longest. */
static unsigned slot_for(const struct sp_split *s, uint16_t id, sp_instant now) {
    unsigned best = 0;
    sp_instant best_at = SP_NEVER;
    for (unsigned i = 0; i < SP_SPLIT_SLOTS; i++) {
        bool waits = s->slots[i].have != 0 && now < sp_instant_add(s->slots[i].at, WAIT);
        if (waits && s->slots[i].id == id)
            return i;
        sp_instant at = waits ? s->slots[i].at : 0;
        if (at < best_at) {
            best = i;
            best_at = at;
        }
    }
    return best;
}

sp_err sp_split_join(struct sp_split *s, const struct sp_probe *half, sp_instant now, uint8_t *out, size_t cap,
                     size_t *ret_len) {
    if (half->kind != SP_PROBE_SPLIT || half->part > 1 || half->len == 0)
        return SP_ERR_FORM;
    if (half->len > sizeof s->slots[0].data[0])
        return SP_ERR_RANGE;
    unsigned i = slot_for(s, half->id, now), part = half->part;
    bool fresh = s->slots[i].have == 0 || s->slots[i].id != half->id || now >= sp_instant_add(s->slots[i].at, WAIT);
    if (fresh) {
        s->slots[i].id = half->id;
        s->slots[i].have = 0;
        s->slots[i].at = now;
    }
    s->slots[i].have |= (uint8_t)(1u << part);
    s->slots[i].len[part] = half->len;
    memcpy(s->slots[i].data[part], half->data, half->len);
    if (s->slots[i].have != 3)
        return SP_ERR_AGAIN;
    s->slots[i].have = 0;
    size_t first = s->slots[i].len[0], second = s->slots[i].len[1];
    if (first + second > SP_SPLIT_PACKET || first + second > cap)
        return SP_ERR_RANGE;
    /* An IP packet and nothing else: halves do not nest. */
    if (s->slots[i].data[0][0] >> 4 != 4 && s->slots[i].data[0][0] >> 4 != 6)
        return SP_ERR_FORM;
    memcpy(out, s->slots[i].data[0], first);
    memcpy(out + first, s->slots[i].data[1], second);
    *ret_len = first + second;
    return SP_OK;
}
