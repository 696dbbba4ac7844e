/* The operator's end of its protocol from afar: sends a request in bursts, waits, pulls the reply in bursts. A burst
 * that came through whole is followed by one twice as long, one that did not by half of it. */
#include <string.h>

#include "proto/control/remote.h"
#include "proto/crypto/crypto.h"

#define WINDOW_FIRST 32
#define WINDOW_LEAST 8
#define WAIT_FIRST   SP_SEC
#define WAIT_LEAST   (100 * SP_MS)
#define WAIT_MOST    (2 * SP_SEC)

static size_t reply_size(uint32_t len) {
    return len + (sp_remote_pieces(len) + 7) / 8;
}

static void drop_reply(struct sp_remote_call *c) {
    if (c->reply != NULL) {
        sp_wipe(c->reply, c->reply_len);
        sp_mem_free(c->mem, c->reply, reply_size(c->reply_len));
    }
    c->reply = NULL;
    c->reply_len = c->count = c->first = 0;
}

/* ---- time ---- */

static sp_duration patience(const struct sp_remote_call *c) {
    sp_duration d = c->rtt == 0 ? WAIT_FIRST : 2 * c->rtt + WAIT_LEAST / 2;
    return d < WAIT_LEAST ? WAIT_LEAST : d < WAIT_MOST ? d : WAIT_MOST;
}

/* A question was sent. */
static void asked(struct sp_remote_call *c, sp_instant now) {
    c->asked_at = now;
    c->due = sp_instant_add(now, c->wait);
}

static void answered(struct sp_remote_call *c, sp_instant now) {
    sp_duration took = now - c->asked_at;
    if (!c->again && took > 0)
        c->rtt = c->rtt == 0 ? took : (7 * c->rtt + took) / 8;
    c->again = false;
    c->wait = patience(c);
}

static void wait_longer(struct sp_remote_call *c) {
    c->again = true;
    c->wait = c->wait * 2 < WAIT_MOST ? c->wait * 2 : WAIT_MOST;
}

static void grow(struct sp_remote_call *c) {
    c->window = c->window * 2 < SP_REMOTE_MASK ? c->window * 2 : SP_REMOTE_MASK;
}

static void shrink(struct sp_remote_call *c) {
    c->window = c->window / 2 > WINDOW_LEAST ? c->window / 2 : WINDOW_LEAST;
}

/* ---- beginning and end ---- */

void sp_remote_call_init(struct sp_remote_call *c, struct sp_mem *mem, uint32_t reply_max, uint64_t hello,
                         sp_instant now) {
    *c = (struct sp_remote_call){.mem = mem,
                                 .reply_max = reply_max,
                                 .hello = hello,
                                 .window = WINDOW_FIRST,
                                 .ask = true,
                                 .heard_at = now,
                                 .due = SP_NEVER,
                                 .wait = WAIT_FIRST};
}

static void fail(struct sp_remote_call *c, enum sp_remote_failure why) {
    c->phase = SP_REMOTE_FAILED;
    c->failure = why;
    c->ask = false;
    c->due = SP_NEVER;
    c->burst = (struct sp_remote_mask){0};
}

/* What is still missing there, from the first such piece on. */
static void send_burst(struct sp_remote_call *c) {
    uint32_t n = sp_remote_pieces(c->total);
    c->burst = (struct sp_remote_mask){.first = c->known.first};
    c->burst_size = 0;
    for (uint32_t i = c->known.first; i < n && i - c->known.first < SP_REMOTE_MASK && c->burst_size < c->window; i++)
        if (!sp_remote_mask_has(&c->known, i)) {
            sp_remote_mask_set(&c->burst, i, true);
            c->burst_size++;
            c->last = i;
        }
    c->due = SP_NEVER; /* when it has been sent */
}

static void start(struct sp_remote_call *c) {
    if (c->total > c->request_max) {
        fail(c, SP_REMOTE_FAILED_TOO_BIG);
        return;
    }
    c->phase = SP_REMOTE_SENDING;
    c->known = (struct sp_remote_mask){0};
    send_burst(c);
}

sp_err sp_remote_call_begin(struct sp_remote_call *c, sp_instant now, const uint8_t *request, uint32_t len) {
    if ((c->phase != SP_REMOTE_GREETING || c->request != NULL) && c->phase != SP_REMOTE_IDLE &&
        c->phase != SP_REMOTE_DONE)
        return SP_ERR_STATE;
    drop_reply(c);
    c->request = request;
    c->total = len;
    c->id++;
    c->heard_at = now;
    if (c->phase != SP_REMOTE_GREETING)
        start(c);
    return SP_OK;
}

void sp_remote_call_bye(struct sp_remote_call *c) {
    c->bye = c->session != 0;
}

void sp_remote_call_free(struct sp_remote_call *c) {
    drop_reply(c);
    sp_wipe(c, sizeof *c);
}

/* ---- pulling ---- */

static bool has_piece(const struct sp_remote_call *c, uint32_t piece) {
    return (c->reply[c->reply_len + piece / 8] >> piece % 8 & 1) != 0;
}

/* Asks for the next pieces that are missing; while the length is not known, for the first. */
static void pull(struct sp_remote_call *c) {
    uint32_t n = c->reply != NULL ? sp_remote_pieces(c->reply_len) : SP_REMOTE_FIRST;
    c->burst = (struct sp_remote_mask){.first = c->first};
    c->burst_size = c->burst_got = 0;
    for (uint32_t i = c->first; i < n && i - c->first < SP_REMOTE_MASK && c->burst_size < c->window; i++)
        if (c->reply == NULL || !has_piece(c, i)) {
            sp_remote_mask_set(&c->burst, i, true);
            c->burst_size++;
            c->last = i;
        }
    c->ask = true;
    c->due = SP_NEVER;
}

/* The first that is heard of a reply: all of it has its place. */
static bool open_reply(struct sp_remote_call *c, uint32_t len) {
    if (c->reply != NULL)
        return len == c->reply_len;
    if (len == 0 || len > c->reply_max) {
        fail(c, SP_REMOTE_FAILED_REPLY);
        return false;
    }
    c->reply = sp_mem_alloc(c->mem, reply_size(len));
    if (c->reply == NULL) {
        fail(c, SP_REMOTE_FAILED_MEMORY);
        return false;
    }
    uint32_t n = sp_remote_pieces(len), come = n < SP_REMOTE_FIRST ? n : SP_REMOTE_FIRST;
    bool pulled = c->phase == SP_REMOTE_WAITING && sp_remote_mask_count(&c->burst) > 0;
    c->reply_len = len;
    c->phase = SP_REMOTE_PULLING;
    if (!pulled) { /* these come by themselves */
        c->burst = (struct sp_remote_mask){0};
        for (uint32_t i = 0; i < come; i++)
            sp_remote_mask_set(&c->burst, i, true);
    }
    c->burst_size = come;
    c->burst_got = 0;
    c->last = come - 1;
    return true;
}

static void take_reply(struct sp_remote_call *c, sp_instant now, const struct sp_remote_msg *m) {
    if (c->phase == SP_REMOTE_SENDING || c->phase == SP_REMOTE_WAITING)
        answered(c, now);
    if (!open_reply(c, m->length) || has_piece(c, m->piece))
        return;
    uint32_t n = sp_remote_pieces(c->reply_len);
    memcpy(c->reply + (size_t)m->piece * SP_REMOTE_PIECE, m->data, m->len);
    c->reply[c->reply_len + m->piece / 8] |= (uint8_t)(1u << m->piece % 8);
    c->count++;
    while (c->first < n && has_piece(c, c->first))
        c->first++;
    if (sp_remote_mask_has(&c->burst, m->piece)) {
        if (c->burst_got++ == 0)
            answered(c, now);
        sp_remote_mask_set(&c->burst, m->piece, false);
    }
    if (c->count == n) {
        c->phase = SP_REMOTE_DONE;
        c->due = SP_NEVER;
        c->ask = false;
    } else if (c->burst_got == c->burst_size) {
        grow(c);
        pull(c);
    } else if (!c->ask) { /* what is still on its way comes soon, above all when the last has come */
        sp_duration soon = m->piece == c->last ? 5 * SP_MS + c->rtt / 8 : 50 * SP_MS + c->rtt / 2;
        c->due = sp_instant_add(now, soon);
    }
}

/* ---- what comes ---- */

static void taking(struct sp_remote_call *c, sp_instant now, const struct sp_remote_msg *m) {
    if (c->phase != SP_REMOTE_SENDING)
        return;
    uint32_t piece, n = sp_remote_pieces(c->total);
    if (m->mask.first < c->known.first || m->mask.first >= n)
        return; /* older than what is known */
    answered(c, now);
    c->known = m->mask;
    if (sp_remote_mask_next(&c->burst, &piece))
        return; /* a burst is being sent */
    if (m->mask.first > c->last)
        grow(c);
    else
        shrink(c);
    send_burst(c);
}

/* The request has arrived there. */
static void wait_for_reply(struct sp_remote_call *c, sp_instant now) {
    if (c->phase != SP_REMOTE_SENDING && c->phase != SP_REMOTE_WAITING)
        return;
    c->again |= c->phase == SP_REMOTE_WAITING;
    answered(c, now);
    c->phase = SP_REMOTE_WAITING;
    c->burst = (struct sp_remote_mask){0};
    c->due = sp_instant_add(now, c->wait);
}

static void take_state(struct sp_remote_call *c, sp_instant now, const struct sp_remote_msg *m) {
    bool asks = c->phase == SP_REMOTE_SENDING || c->phase == SP_REMOTE_WAITING || c->phase == SP_REMOTE_PULLING;
    if (m->id != c->id || !asks)
        return;
    switch ((enum sp_remote_state)m->state) {
    case SP_REMOTE_TAKING:
        taking(c, now, m);
        break;
    case SP_REMOTE_RUNNING:
        wait_for_reply(c, now);
        break;
    case SP_REMOTE_READY:
        if (c->phase == SP_REMOTE_SENDING || m->length == 0) {
            wait_for_reply(c, now);
            if (m->length == 0)
                fail(c, SP_REMOTE_FAILED_REPLY);
            else
                pull(c);
        }
        break;
    case SP_REMOTE_BUSY: /* the timer sends again */
        break;
    case SP_REMOTE_TOO_BIG:
        c->request_max = m->length;
        fail(c, SP_REMOTE_FAILED_TOO_BIG);
        break;
    case SP_REMOTE_FULL:
        fail(c, SP_REMOTE_FAILED_MEMORY);
        break;
    case SP_REMOTE_LOST:
        fail(c, SP_REMOTE_FAILED_LOST);
        break;
    }
}

static void welcome(struct sp_remote_call *c, sp_instant now, const struct sp_remote_msg *m) {
    if (c->phase != SP_REMOTE_GREETING || m->number != c->hello)
        return;
    answered(c, now);
    c->session = m->session;
    c->request_max = m->length;
    c->due = SP_NEVER;
    c->ask = false;
    c->phase = SP_REMOTE_IDLE;
    if (c->request != NULL)
        start(c);
}

void sp_remote_call_input(struct sp_remote_call *c, sp_instant now, const uint8_t *data, size_t len) {
    struct sp_remote_msg m;
    sp_err err = sp_remote_read(&m, data, len);
    if (err == SP_ERR_UNSUP && m.kind == SP_REMOTE_WELCOME && c->phase == SP_REMOTE_GREETING && m.number == c->hello) {
        c->their_version = m.version;
        fail(c, SP_REMOTE_FAILED_VERSION);
        return;
    }
    if (err != SP_OK)
        return;
    c->heard_at = now;
    if (m.kind == SP_REMOTE_WELCOME)
        welcome(c, now, &m);
    else if (m.kind == SP_REMOTE_STATE && m.session == c->session)
        take_state(c, now, &m);
    else if (m.kind == SP_REMOTE_REPLY && m.session == c->session && m.id == c->id &&
             (c->phase == SP_REMOTE_SENDING || c->phase == SP_REMOTE_WAITING || c->phase == SP_REMOTE_PULLING))
        take_reply(c, now, &m);
}

/* ---- time ---- */

void sp_remote_call_expire(struct sp_remote_call *c, sp_instant now) {
    if (c->due > now)
        return;
    c->due = SP_NEVER;
    wait_longer(c);
    switch (c->phase) {
    case SP_REMOTE_GREETING:
        c->ask = true;
        break;
    case SP_REMOTE_SENDING:
        shrink(c);
        send_burst(c);
        break;
    case SP_REMOTE_WAITING:
        pull(c);
        break;
    case SP_REMOTE_PULLING:
        shrink(c);
        pull(c);
        break;
    case SP_REMOTE_IDLE:
    case SP_REMOTE_DONE:
    case SP_REMOTE_FAILED:
        break;
    }
}

sp_instant sp_remote_call_deadline(const struct sp_remote_call *c) {
    return c->due;
}

/* ---- what goes ---- */

static size_t piece_out(struct sp_remote_call *c, sp_instant now, uint32_t piece, uint8_t *out) {
    struct sp_remote_msg m = {.kind = SP_REMOTE_PIECES,
                              .session = c->session,
                              .id = c->id,
                              .length = c->total,
                              .piece = piece,
                              .data = c->request + (size_t)piece * SP_REMOTE_PIECE};
    sp_remote_mask_set(&c->burst, piece, false);
    if (piece == c->last) {
        m.state = SP_REMOTE_ANSWER;
        asked(c, now);
    }
    return sp_remote_write(&m, out, SP_REMOTE_MSG);
}

size_t sp_remote_call_output(struct sp_remote_call *c, sp_instant now, uint8_t *out) {
    struct sp_remote_msg m = {.session = c->session, .id = c->id};
    uint32_t piece;
    if (c->bye) {
        c->bye = false;
        m.kind = SP_REMOTE_BYE;
        return sp_remote_write(&m, out, SP_REMOTE_MSG);
    }
    if (c->phase == SP_REMOTE_SENDING && sp_remote_mask_next(&c->burst, &piece))
        return piece_out(c, now, piece, out);
    if (!c->ask)
        return 0;
    c->ask = false;
    asked(c, now);
    if (c->phase == SP_REMOTE_GREETING) {
        m.kind = SP_REMOTE_HELLO;
        m.session = c->hello;
        m.id = 0;
    } else {
        m.kind = SP_REMOTE_PULL;
        m.mask = c->burst;
    }
    return sp_remote_write(&m, out, SP_REMOTE_MSG);
}
