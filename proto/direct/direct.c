#include "proto/direct/direct.h"

#include <string.h>

sp_err sp_direct_init(struct sp_direct *d, const struct sp_net_config *config) {
    *d = (struct sp_direct){.port_count = config->port_count};
    memcpy(d->ports, config->ports, sizeof d->ports);
    return sp_net_new(&d->net, config);
}

void sp_direct_done(struct sp_direct *d) {
    sp_net_free(d->net);
    d->net = NULL;
}

static bool borrows_from(const struct sp_in *in, const struct sp_direct_frame *f) {
    return in->data >= f->data && in->data <= f->data + f->len;
}

size_t sp_direct_frames(struct sp_direct *d, sp_instant now, const struct sp_direct_frame *frames, size_t n,
                        struct sp_in *in, size_t max, size_t *ret_taken) {
    size_t taken = 0, got = 0;
    bool last = false;
    while (taken < n && got < max && !last) {
        const struct sp_direct_frame *f = &frames[taken++];
        if (!sp_net_input(d->net, now, f->data, f->len, f->csum, &in[got]))
            continue;
        last = !borrows_from(&in[got], f); /* the next frame could overwrite it */
        got++;
    }
    *ret_taken = taken;
    return got;
}

bool sp_direct_link(struct sp_direct *d, struct sp_in *ret) {
    uint32_t generation = sp_net_generation(d->net);
    if (d->told && d->generation == generation)
        return false;
    struct sp_addr addrs[SP_NET_ADDRESSES];
    size_t n = sp_net_addresses(d->net, addrs, SP_NET_ADDRESSES), links = 0;
    for (size_t i = 0; i < n; i++)
        for (unsigned p = 0; p < (d->port_count > 0 ? d->port_count : 1) && links < SP_DIRECT_LINKS; p++) {
            d->links[links] = addrs[i];
            d->links[links++].port = d->ports[p];
        }
    d->told = true;
    d->generation = generation;
    *ret = (struct sp_in){.kind = SP_IN_LINK, .data = (const uint8_t *)d->links, .len = links * sizeof d->links[0]};
    return true;
}

void sp_direct_outputs(struct sp_direct *d, const struct sp_out *out, size_t n) {
    d->out = out;
    d->out_count = n;
    d->out_at = 0;
    d->cursor = (struct sp_net_cursor){0};
}

/* The next frame of the core's datagrams; those that wait for a neighbour or fail, which is counted, give none. */
static size_t next_of_core(struct sp_direct *d, sp_instant now, uint8_t *frame, size_t cap) {
    while (d->out_at < d->out_count) {
        const struct sp_out *out = &d->out[d->out_at];
        size_t len = 0;
        if (out->kind == SP_OUT_DATAGRAM && sp_net_send(d->net, now, out, &d->cursor, frame, cap, &len) != SP_OK)
            len = 0;
        d->partial = len > 0 && d->cursor.partial;
        if (out->kind != SP_OUT_DATAGRAM || !d->cursor.more) {
            d->cursor = (struct sp_net_cursor){0};
            d->out_at++;
        }
        if (len > 0)
            return len;
    }
    return 0;
}

size_t sp_direct_output(struct sp_direct *d, sp_instant now, uint8_t *frame, size_t cap) {
    size_t len = sp_net_output(d->net, now, frame, cap);
    d->partial = false;
    if (len == 0)
        len = next_of_core(d, now, frame, cap);
    if (len == 0) /* a request for a neighbour, made just now */
        len = sp_net_output(d->net, now, frame, cap);
    return len;
}

void sp_direct_expire(struct sp_direct *d, sp_instant now) {
    sp_net_expire(d->net, now);
}

sp_instant sp_direct_deadline(const struct sp_direct *d, sp_instant core) {
    return sp_instant_min(sp_net_deadline(d->net), core);
}
