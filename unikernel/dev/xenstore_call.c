/* The xenstore's calls that wait for their reply. */
#include "unikernel/dev/xenstore.h"
#include "unikernel/xen/event.h"
#include "unikernel/xen/xen.h"

#define PARAM_STORE_PFN    1
#define PARAM_STORE_EVTCHN 2
#define ATTEMPTS           16 /* of a transaction */

void spx_xs_open(struct spx_xs *xs) {
    spx_xs_init(xs, (void *)(spx_hvm_param(PARAM_STORE_PFN) * SPX_PAGE), (uint32_t)spx_hvm_param(PARAM_STORE_EVTCHN));
}

bool spx_xs_turn(struct spx_xs *xs, struct spx_xs_reply *ret) {
    bool notify = false;
    spx_event_take(xs->port); /* before the look: what comes after it is an event again */
    bool got = spx_xs_poll(xs, ret, &notify);
    if (notify)
        spx_notify(xs->port);
    return got;
}

static sp_err call(struct spx_xs *xs, uint32_t type, uint32_t tx, const char *const *parts, size_t n, bool bare,
                   struct spx_xs_reply *ret) {
    for (size_t i = 0; i < SPX_XS_IN_FLIGHT; i++)
        if (xs->in_flight[i] != 0)
            return SP_ERR_STATE;
    uint32_t id = spx_xs_send(xs, type, tx, parts, n, bare);
    if (id == 0)
        return xs->fault != NULL ? SP_ERR_IO : SP_ERR_SPACE;
    sp_instant deadline = sp_instant_add(spx_now(), SPX_XS_PATIENCE);
    while (!spx_xs_turn(xs, ret)) {
        if (xs->fault == NULL && spx_now() >= deadline)
            xs->fault = "it does not answer";
        if (xs->fault != NULL)
            return SP_ERR_IO;
        spx_event_wait(&xs->port, 1, deadline);
    }
    spx_event_raise(xs->port); /* watches may have fired before or behind the reply: the host looks once more */
    if (ret->err == SP_OK && ret->type != type)
        return SP_ERR_IO;
    return ret->err;
}

sp_err spx_xs_read(struct spx_xs *xs, const char *path, struct spx_xs_reply *ret) {
    return call(xs, XS_READ, 0, &path, 1, false, ret);
}

sp_err spx_xs_number(struct spx_xs *xs, const char *path, uint64_t *ret) {
    struct spx_xs_reply reply;
    SP_TRY(spx_xs_read(xs, path, &reply));
    return spx_text_parse(reply.data, reply.len, ret) ? SP_OK : SP_ERR_FORM;
}

sp_err spx_xs_directory(struct spx_xs *xs, const char *path, struct spx_xs_reply *ret) {
    return call(xs, XS_DIRECTORY, 0, &path, 1, false, ret);
}

static sp_err write_in(struct spx_xs *xs, uint32_t tx, const char *path, const char *value) {
    struct spx_xs_reply reply;
    const char *parts[] = {path, value};
    return call(xs, XS_WRITE, tx, parts, 2, true, &reply);
}

sp_err spx_xs_write(struct spx_xs *xs, const char *path, const char *value) {
    return write_in(xs, 0, path, value);
}

static sp_err watch_call(struct spx_xs *xs, uint32_t type, const char *path, unsigned token) {
    if (token >= SPX_XS_TOKENS)
        return SP_ERR_RANGE;
    struct spx_xs_reply reply;
    struct spx_text text;
    spx_text_clear(&text);
    spx_text_number(&text, token);
    const char *parts[] = {path, text.s};
    return call(xs, type, 0, parts, 2, false, &reply);
}

sp_err spx_xs_watch(struct spx_xs *xs, const char *path, unsigned token) {
    return watch_call(xs, XS_WATCH, path, token);
}

sp_err spx_xs_unwatch(struct spx_xs *xs, const char *path, unsigned token) {
    return watch_call(xs, XS_UNWATCH, path, token);
}

/* ---- transactions: an action, between a start and an end, all again when the end says ERR_AGAIN ---- */

static sp_err tx_start(struct spx_xs *xs, uint32_t *ret) {
    struct spx_xs_reply reply;
    const char *nothing = "";
    uint64_t tx = 0;
    SP_TRY(call(xs, XS_TRANSACTION_START, 0, &nothing, 1, false, &reply));
    size_t len = reply.len > 0 && reply.data[reply.len - 1] == 0 ? reply.len - 1 : reply.len;
    if (!spx_text_parse(reply.data, len, &tx) || tx == 0 || tx > UINT32_MAX)
        return SP_ERR_FORM;
    *ret = (uint32_t)tx;
    return SP_OK;
}

/* Commits, or after an error gives up what was done. */
static sp_err tx_end(struct spx_xs *xs, uint32_t tx, sp_err err) {
    struct spx_xs_reply reply;
    const char *verdict = err == SP_OK ? "T" : "F";
    sp_err end = call(xs, XS_TRANSACTION_END, tx, &verdict, 1, false, &reply);
    return err != SP_OK ? err : end;
}

static sp_err write_once(struct spx_xs *xs, const struct spx_xs_pair *pairs, size_t n) {
    uint32_t tx;
    sp_err err = tx_start(xs, &tx);
    if (err != SP_OK)
        return err;
    for (size_t i = 0; i < n && err == SP_OK; i++)
        err = write_in(xs, tx, pairs[i].path, pairs[i].value);
    return tx_end(xs, tx, err);
}

sp_err spx_xs_write_all(struct spx_xs *xs, const struct spx_xs_pair *pairs, size_t n) {
    sp_err err = SP_ERR_AGAIN;
    for (unsigned i = 0; i < ATTEMPTS && err == SP_ERR_AGAIN; i++)
        err = write_once(xs, pairs, n);
    return err;
}

static sp_err take_once(struct spx_xs *xs, const char *path, struct spx_text *ret) {
    struct spx_xs_reply reply;
    uint32_t tx;
    SP_TRY(tx_start(xs, &tx));
    sp_err err = call(xs, XS_READ, tx, &path, 1, false, &reply);
    spx_text_clear(ret);
    if (err == SP_OK)
        spx_text_bytes(ret, reply.data, reply.len);
    if (err == SP_OK && reply.len > 0)
        err = write_in(xs, tx, path, "");
    return tx_end(xs, tx, err);
}

sp_err spx_xs_take(struct spx_xs *xs, const char *path, struct spx_text *ret) {
    sp_err err = SP_ERR_AGAIN;
    for (unsigned i = 0; i < ATTEMPTS && err == SP_ERR_AGAIN; i++)
        err = take_once(xs, path, ret);
    return err;
}

sp_err spx_xs_await(struct spx_xs *xs, unsigned token, sp_instant deadline) {
    for (;;) {
        struct spx_xs_reply reply;
        spx_xs_turn(xs, &reply); /* nothing is in flight: a reply would be a fault */
        if (xs->fault != NULL)
            return SP_ERR_IO;
        if (spx_xs_fired(xs, token)) {
            spx_event_raise(xs->port); /* other watches may have fired too */
            return SP_OK;
        }
        if (spx_now() >= deadline)
            return SP_ERR_TIME;
        spx_event_wait(&xs->port, 1, deadline);
    }
}
