#include "proto/direct/direct.h"

#include <string.h>

#include "proto/direct/streams.h"

sp_err sp_direct_init(struct sp_direct *d, const struct sp_net_config *config) {
    *d = (struct sp_direct){.port_count = config->port_count};
    memcpy(d->ports, config->ports, sizeof d->ports);
    SP_TRY(sp_net_new(&d->net, config));
    sp_direct_streams_init(&d->streams, sp_net_tcp(d->net), config);
    return SP_OK;
}

void sp_direct_done(struct sp_direct *d) {
    if (d->net != NULL)
        sp_direct_streams_done(&d->streams);
    sp_net_free(d->net);
    d->net = NULL;
}

static bool borrows_from(const struct sp_in *in, const struct sp_direct_frame *f) {
    return in->data >= f->data && in->data <= f->data + f->len;
}

/* What streams give, up to max. False: there is more, or what there is has to be taken before the next frame. */
static bool take_streams(struct sp_direct *d, sp_instant now, struct sp_in *in, size_t max, size_t *got) {
    if (d->streams.tcp == NULL)
        return true;
    while (*got < max && d->streams.shown == NULL) {
        if (!sp_direct_streams_next(&d->streams, now, &in[*got]))
            return true;
        ++*got;
    }
    return false;
}

size_t sp_direct_frames(struct sp_direct *d, sp_instant now, const struct sp_direct_frame *frames, size_t n,
                        struct sp_in *in, size_t max, size_t *ret_taken) {
    size_t taken = 0, got = 0;
    bool last = false;
    sp_direct_streams_tidy(&d->streams);
    while (taken < n && got < max && !last) {
        const struct sp_direct_frame *f = &frames[taken];
        if (!d->half && sp_net_input(d->net, now, f->data, f->len, f->csum, &in[got]))
            last = !borrows_from(&in[got++], f); /* the next frame could overwrite it */
        d->streams.frame = f;
        d->half = !take_streams(d, now, in, max, &got);
        d->streams.frame = NULL;
        if (d->half)
            break;
        taken++;
    }
    *ret_taken = taken;
    return got;
}

size_t sp_direct_events(struct sp_direct *d, sp_instant now, struct sp_in *in, size_t max) {
    size_t got = 0;
    sp_direct_streams_tidy(&d->streams);
    (void)take_streams(d, now, in, max, &got);
    return got;
}

void sp_direct_refused(struct sp_direct *d, sp_instant now, const struct sp_in *in, size_t n) {
    for (size_t i = 0; i < n; i++)
        sp_direct_streams_refused(&d->streams, now, &in[i]);
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
    if (n == 0)
        sp_direct_streams_settled(&d->streams);
}

/* The next frame of the core's datagrams; those that wait for a neighbour or fail, which is counted, give none. Streams
 * take what is theirs: TCP makes frames of it. */
static size_t next_of_core(struct sp_direct *d, sp_instant now, uint8_t *frame, size_t cap) {
    while (d->out_at < d->out_count) {
        const struct sp_out *out = &d->out[d->out_at];
        size_t len = 0;
        if (out->kind != SP_OUT_DATAGRAM)
            sp_direct_streams_output(&d->streams, now, out);
        else if (sp_net_send(d->net, now, out, &d->cursor, frame, cap, &len) != SP_OK)
            len = 0;
        d->offload = d->cursor.offload;
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
    d->offload = (struct sp_offload){0};
    size_t len = sp_net_output(d->net, now, frame, cap, &d->offload);
    if (len == 0)
        len = next_of_core(d, now, frame, cap);
    if (len == 0) /* requests for a neighbour and segments, made just now */
        len = sp_net_output(d->net, now, frame, cap, &d->offload);
    return len;
}

bool sp_direct_gather(struct sp_direct *d, sp_instant now, uint8_t *frame, size_t cap, struct sp_net_gather *ret) {
    if (sp_net_gather(d->net, now, ret))
        return true;
    size_t len = next_of_core(d, now, frame, cap);
    if (len == 0)
        return sp_net_gather(d->net, now, ret);
    ret->head_len = 0;
    ret->spans = 1;
    ret->span[0].data = frame;
    ret->span[0].len = ret->len = len;
    ret->offload = d->offload;
    return true;
}

void sp_direct_connect(struct sp_direct *d, sp_instant now, uint64_t id, const struct sp_addr *to) {
    struct sp_tcp_conn *conn = NULL;
    SP_ASSERT(d->streams.tcp != NULL);
    sp_err err = sp_net_connect(d->net, now, to, &conn);
    sp_direct_streams_connect(&d->streams, now, id, err == SP_OK ? conn : NULL, err);
}

void sp_direct_expire(struct sp_direct *d, sp_instant now) {
    sp_net_expire(d->net, now);
    sp_direct_streams_expire(&d->streams, now);
}

sp_instant sp_direct_deadline(const struct sp_direct *d, sp_instant core) {
    return sp_instant_min(sp_instant_min(sp_net_deadline(d->net), sp_direct_streams_deadline(&d->streams)), core);
}
