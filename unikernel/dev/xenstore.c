#include "unikernel/dev/xenstore.h"

#define RING XENSTORE_RING_SIZE

void spx_xs_init(struct spx_xs *xs, void *ring, uint32_t port) {
    memset(xs, 0, sizeof *xs);
    xs->ring = ring;
    xs->port = port;
}

static void give_up(struct spx_xs *xs, const char *why) {
    if (xs->fault == NULL)
        xs->fault = why;
}

/* ---- requests ---- */

static uint32_t *slot_of(struct spx_xs *xs, uint32_t id) {
    for (size_t i = 0; i < SPX_XS_IN_FLIGHT; i++)
        if (xs->in_flight[i] == id)
            return &xs->in_flight[i];
    return NULL;
}

static uint32_t next_id(struct spx_xs *xs) {
    do
        xs->last_id++;
    while (xs->last_id == 0 || slot_of(xs, xs->last_id) != NULL);
    return xs->last_id;
}

uint32_t spx_xs_send(struct spx_xs *xs, uint32_t type, uint32_t tx, const char *const *parts, size_t n, bool bare) {
    uint32_t *slot = slot_of(xs, 0);
    struct xsd_sockmsg header = {.type = type, .tx_id = tx};
    size_t len = 0;
    for (size_t i = 0; i < n; i++)
        len += strlen(parts[i]) + (bare && i + 1 == n ? 0 : 1);
    if (xs->out_at > 0) {
        memmove(xs->out, xs->out + xs->out_at, xs->out_len - xs->out_at);
        xs->out_len -= xs->out_at;
        xs->out_at = 0;
    }
    if (xs->fault != NULL || slot == NULL || len > SPX_XS_OUT || sizeof header + len > SPX_XS_OUT - xs->out_len)
        return 0;
    header.req_id = *slot = next_id(xs);
    header.len = (uint32_t)len;
    memcpy(xs->out + xs->out_len, &header, sizeof header);
    xs->out_len += sizeof header;
    for (size_t i = 0; i < n; i++) {
        size_t part = strlen(parts[i]) + (bare && i + 1 == n ? 0 : 1);
        memcpy(xs->out + xs->out_len, parts[i], part);
        xs->out_len += (uint32_t)part;
    }
    return header.req_id;
}

/* ---- the ring ---- */

static bool push(struct spx_xs *xs) {
    uint32_t prod = xs->ring->req_prod, used = prod - xs->ring->req_cons;
    if (used > RING) {
        give_up(xs, "indices of its request ring");
        return false;
    }
    bool moved = false;
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* what was consumed is read before it is overwritten */
    for (; used < RING && xs->out_at < xs->out_len; used++, moved = true)
        xs->ring->req[prod++ % RING] = (char)xs->out[xs->out_at++];
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* bytes before the index */
    xs->ring->req_prod = prod;
    return moved;
}

/* Bytes of the message that comes in, up to its header's or its whole length. */
static bool pull(struct spx_xs *xs, uint32_t want) {
    uint32_t cons = xs->ring->rsp_cons, left = xs->ring->rsp_prod - cons;
    if (left > RING) {
        give_up(xs, "indices of its reply ring");
        return false;
    }
    bool moved = false;
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* index before the bytes */
    for (; left > 0 && xs->in_len < want; left--, moved = true) {
        uint8_t byte = (uint8_t)xs->ring->rsp[cons++ % RING];
        if (xs->in_len < sizeof xs->header)
            ((uint8_t *)&xs->header)[xs->in_len] = byte;
        else
            xs->body[xs->in_len - sizeof xs->header] = byte;
        xs->in_len++;
    }
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* bytes are read before they may be overwritten */
    xs->ring->rsp_cons = cons;
    return moved;
}

static bool whole(const struct spx_xs *xs) {
    return xs->in_len >= sizeof xs->header && xs->in_len == sizeof xs->header + xs->header.len;
}

bool spx_xs_move(struct spx_xs *xs) {
    if (xs->fault != NULL)
        return false;
    bool moved = push(xs);
    if (xs->fault == NULL && xs->in_len < sizeof xs->header)
        moved |= pull(xs, sizeof xs->header);
    if (xs->fault != NULL || xs->in_len < sizeof xs->header)
        return moved;
    if (xs->header.len > XENSTORE_PAYLOAD_MAX)
        give_up(xs, "a reply longer than may be");
    else if (!whole(xs))
        moved |= pull(xs, (uint32_t)sizeof xs->header + xs->header.len);
    return moved;
}

/* ---- replies ---- */

static sp_err store_error(const uint8_t *name, size_t len) {
    static const struct {
        const char *name;
        sp_err err;
    } known[] = {{"ENOENT", SP_ERR_NOENT},
                 {"EAGAIN", SP_ERR_AGAIN},
                 {"EACCES", SP_ERR_DENIED},
                 {"EEXIST", SP_ERR_EXIST},
                 {"ENOSPC", SP_ERR_FULL}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strlen(known[i].name) == len && memcmp(known[i].name, name, len) == 0)
            return known[i].err;
    return SP_ERR_IO;
}

/* "PATH\0TOKEN\0", the token being our number. */
static void note_event(struct spx_xs *xs) {
    size_t at = 0, end;
    while (at < xs->header.len && xs->body[at] != 0)
        at++;
    end = ++at;
    while (end < xs->header.len && xs->body[end] != 0)
        end++;
    uint64_t token;
    if (at >= xs->header.len || !spx_text_parse(xs->body + at, end - at, &token) || token >= SPX_XS_TOKENS)
        give_up(xs, "a watch that we never set");
    else
        xs->fired |= UINT32_C(1) << token;
}

static bool take_reply(struct spx_xs *xs, struct spx_xs_reply *ret) {
    uint32_t *slot = xs->header.req_id != 0 ? slot_of(xs, xs->header.req_id) : NULL;
    if (slot == NULL) {
        give_up(xs, "a reply to nothing that we asked");
        return false;
    }
    *slot = 0;
    size_t len = xs->header.len;
    *ret = (struct spx_xs_reply){xs->header.req_id, xs->header.type, xs->header.tx_id, SP_OK, xs->body, len};
    if (ret->type == XS_ERROR)
        ret->err = store_error(xs->body, len > 0 && xs->body[len - 1] == 0 ? len - 1 : len);
    return true;
}

bool spx_xs_poll(struct spx_xs *xs, struct spx_xs_reply *ret, bool *notify) {
    for (;;) {
        *notify |= spx_xs_move(xs);
        if (xs->fault != NULL || !whole(xs))
            return false;
        xs->in_len = 0;
        if (xs->header.type != XS_WATCH_EVENT)
            return take_reply(xs, ret);
        note_event(xs);
    }
}

bool spx_xs_fired(struct spx_xs *xs, unsigned token) {
    uint32_t bit = UINT32_C(1) << token % SPX_XS_TOKENS;
    bool fired = (xs->fired & bit) != 0;
    xs->fired &= ~bit;
    return fired;
}
