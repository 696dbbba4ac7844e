/* The signpost's end of the operator's protocol from afar: assembles a request, keeps its reply, sends what is pulled.
 */
#include <string.h>

#include "proto/control/remote.h"
#include "proto/crypto/crypto.h"

/* ---- what it holds ---- */

static size_t request_size(uint32_t total) {
    return total + (sp_remote_pieces(total) + 7) / 8;
}

static void drop_request(struct sp_remote_end *e) {
    if (e->request != NULL) {
        sp_wipe(e->request, e->total);
        sp_mem_free(e->mem, e->request, request_size(e->total));
    }
    e->request = NULL;
}

static void drop_reply(struct sp_remote_end *e) {
    if (e->reply != NULL) {
        sp_wipe(e->reply, e->reply_len);
        sp_mem_free(e->mem, e->reply, e->reply_len);
    }
    e->reply = NULL;
    e->reply_len = 0;
    e->wanted = (struct sp_remote_mask){0};
}

void sp_remote_end_free(struct sp_remote_end *e) {
    drop_request(e);
    drop_reply(e);
    *e = (struct sp_remote_end){.mem = e->mem, .request_max = e->request_max};
}

/* ---- what comes ---- */

static void tell(struct sp_remote_end *e, const struct sp_remote_msg *m, enum sp_remote_state state) {
    e->tell = true;
    e->told.session = m->session;
    e->told.id = m->id;
    e->told.state = (uint8_t)state;
}

/* The same number again is the same HELLO, sent again. */
static void greet(struct sp_remote_end *e, uint64_t session, const struct sp_remote_msg *m) {
    e->welcome = true;
    if (e->session != 0 && e->hello == m->session)
        return;
    sp_remote_end_free(e);
    e->welcome = true;
    e->hello = m->session;
    e->session = session;
}

/* A new request takes the place of the last one, or of its reply. */
static void begin(struct sp_remote_end *e, const struct sp_remote_msg *m) {
    drop_request(e);
    drop_reply(e);
    e->id = m->id;
    e->total = m->length;
    e->count = e->first = 0;
    e->state = SP_REMOTE_TOO_BIG;
    if (m->length > e->request_max)
        return;
    e->request = sp_mem_alloc(e->mem, request_size(m->length));
    e->state = e->request != NULL ? SP_REMOTE_TAKING : SP_REMOTE_FULL;
}

static bool has_piece(const struct sp_remote_end *e, uint32_t piece) {
    return (e->request[e->total + piece / 8] >> piece % 8 & 1) != 0;
}

/* True: it was the last that was missing. */
static bool place(struct sp_remote_end *e, const struct sp_remote_msg *m) {
    uint32_t pieces = sp_remote_pieces(e->total);
    if (has_piece(e, m->piece))
        return false;
    memcpy(e->request + (size_t)m->piece * SP_REMOTE_PIECE, m->data, m->len);
    e->request[e->total + m->piece / 8] |= (uint8_t)(1u << m->piece % 8);
    e->count++;
    while (e->first < pieces && has_piece(e, e->first))
        e->first++;
    return e->count == pieces;
}

static enum sp_remote_got take_piece(struct sp_remote_end *e, const struct sp_remote_msg *m) {
    enum sp_remote_got got = SP_REMOTE_NOTHING;
    if (m->id < e->id || m->id == 0)
        return SP_REMOTE_BAD;
    if (m->id > e->id && e->state == SP_REMOTE_RUNNING && e->id != 0) {
        tell(e, m, SP_REMOTE_BUSY);
        return got;
    }
    if (m->id > e->id)
        begin(e, m);
    if (m->length != e->total)
        return SP_REMOTE_BAD;
    if (e->state == SP_REMOTE_TAKING && place(e, m)) {
        e->state = SP_REMOTE_RUNNING;
        got = SP_REMOTE_RUN;
    }
    if ((m->state & SP_REMOTE_ANSWER) != 0 || e->state == SP_REMOTE_TOO_BIG || e->state == SP_REMOTE_FULL)
        tell(e, m, (enum sp_remote_state)e->state);
    return got;
}

static void pull(struct sp_remote_end *e, const struct sp_remote_msg *m) {
    if (m->id == 0 || m->id != e->id)
        tell(e, m, SP_REMOTE_LOST);
    else if (e->state == SP_REMOTE_READY && e->reply_len > 0)
        e->wanted = m->mask;
    else
        tell(e, m, (enum sp_remote_state)e->state);
}

enum sp_remote_got sp_remote_end_input(struct sp_remote_end *e, uint64_t session, const uint8_t *data, size_t len) {
    struct sp_remote_msg m;
    sp_err err = sp_remote_read(&m, data, len);
    if (m.kind == SP_REMOTE_HELLO && (err == SP_OK || err == SP_ERR_UNSUP)) {
        greet(e, session, &m); /* of another version: the answer tells ours */
        return SP_REMOTE_NOTHING;
    }
    if (err != SP_OK)
        return SP_REMOTE_BAD;
    if (m.kind != SP_REMOTE_PIECES && m.kind != SP_REMOTE_PULL && m.kind != SP_REMOTE_BYE)
        return SP_REMOTE_BAD;
    if (e->session == 0 || m.session != e->session) {
        if (m.kind != SP_REMOTE_BYE)
            tell(e, &m, SP_REMOTE_LOST);
        return SP_REMOTE_NOTHING;
    }
    if (m.kind == SP_REMOTE_PIECES)
        return take_piece(e, &m);
    if (m.kind == SP_REMOTE_PULL)
        pull(e, &m);
    return m.kind == SP_REMOTE_BYE ? SP_REMOTE_ENDED : SP_REMOTE_NOTHING;
}

/* ---- the reply ---- */

void sp_remote_end_ran(struct sp_remote_end *e) {
    drop_request(e);
}

void sp_remote_end_reply(struct sp_remote_end *e, const uint8_t *data, size_t len) {
    if (e->state != SP_REMOTE_RUNNING)
        return;
    e->state = SP_REMOTE_READY;
    e->reply = len > 0 && len <= UINT32_MAX ? sp_mem_alloc(e->mem, len) : NULL;
    if (e->reply == NULL) {
        struct sp_remote_msg m = {.session = e->session, .id = e->id};
        tell(e, &m, SP_REMOTE_READY);
        return;
    }
    memcpy(e->reply, data, len);
    e->reply_len = (uint32_t)len;
    e->wanted.first = 0;
    memset(e->wanted.bits, 0xff, SP_REMOTE_FIRST / 8);
    if (e->told.id == e->id && e->told.session == e->session)
        e->tell = false; /* its pieces say it */
}

/* ---- what goes ---- */

bool sp_remote_end_busy(const struct sp_remote_end *e) {
    uint32_t piece;
    return e->welcome || e->tell || (e->reply != NULL && sp_remote_mask_next(&e->wanted, &piece));
}

/* Of the last request as it stands by now. */
static void state_of(const struct sp_remote_end *e, struct sp_remote_msg *m) {
    if (m->session == e->session && m->id == e->id && m->state != SP_REMOTE_LOST)
        m->state = e->state;
    if (m->state == SP_REMOTE_TOO_BIG)
        m->length = e->request_max;
    if (m->state == SP_REMOTE_READY)
        m->length = e->reply_len;
    if (m->state != SP_REMOTE_TAKING || e->request == NULL)
        return;
    m->mask.first = e->first;
    for (uint32_t i = e->first, n = sp_remote_pieces(e->total); i < n && i - e->first < SP_REMOTE_MASK; i++)
        sp_remote_mask_set(&m->mask, i, has_piece(e, i));
}

size_t sp_remote_end_output(struct sp_remote_end *e, uint8_t *out) {
    struct sp_remote_msg m = {.session = e->session, .id = e->id};
    uint32_t piece;
    if (e->welcome) {
        e->welcome = false;
        m.kind = SP_REMOTE_WELCOME;
        m.id = 0;
        m.number = e->hello;
        m.length = e->request_max;
        return sp_remote_write(&m, out, SP_REMOTE_MSG);
    }
    if (e->tell) {
        e->tell = false;
        m.kind = SP_REMOTE_STATE;
        m.session = e->told.session;
        m.id = e->told.id;
        m.state = e->told.state;
        state_of(e, &m);
        return sp_remote_write(&m, out, SP_REMOTE_MSG);
    }
    while (e->reply != NULL && sp_remote_mask_next(&e->wanted, &piece)) {
        sp_remote_mask_set(&e->wanted, piece, false);
        if (piece >= sp_remote_pieces(e->reply_len))
            continue;
        m.kind = SP_REMOTE_REPLY;
        m.length = e->reply_len;
        m.piece = piece;
        m.data = e->reply + (size_t)piece * SP_REMOTE_PIECE;
        return sp_remote_write(&m, out, SP_REMOTE_MSG);
    }
    return 0;
}
