#define _GNU_SOURCE
#include "signpostd/ctl/afar.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/linux/addr.h"
#include "proto/linux/clock.h"
#include "proto/linux/error.h"
#include "signpostd/ctl/ctl.h"

#define MEMORY_MAX ((size_t)256 << 20)
#define SOON       (2500 * SP_MS) /* what answers in another way than a signpost should is believed after this */
#define ASK_DNS    (2 * SP_SEC)   /* without a handshake: is a name server there? */
#define BURST      32             /* datagrams in a row without a look at what came */

struct ctl_afar {
    struct sp_mem mem;
    struct sp_rng rng;
    struct sp_remote_link link;
    int fd;
    char at[SPL_ADDR_TEXT], signpost[CTL_KEY_TEXT + 1], operator[CTL_KEY_TEXT + 1];
    sp_duration patience;
    sp_instant began, ask_at;
    bool named, starting, refused; /* a name server answers there; it is not ready; nothing listens there */
};

/* ---- opening ---- */

static sp_err open_socket(struct ctl_afar *a, const struct sockaddr *sa, socklen_t len) {
    a->fd = socket(sa->sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (a->fd >= 0 && connect(a->fd, sa, len) == 0) {
        int size = 1 << 20;
        (void)setsockopt(a->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
        struct sp_addr addr;
        spl_addr_from(&addr, sa);
        spl_addr_text(&addr, a->at);
        return SP_OK;
    }
    if (a->fd >= 0)
        close(a->fd);
    a->fd = -1;
    return SP_ERR_IO;
}

/* "name", "name:port". */
static sp_err open_name(struct ctl_afar *a, const char *text, struct spl_error *err) {
    char name[256];
    const char *colon = strchr(text, ':'), *port = colon != NULL ? colon + 1 : "53";
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_ADDRCONFIG}, *list;
    snprintf(name, sizeof name, "%.*s", (int)(colon != NULL ? colon - text : 255), text);
    int e = getaddrinfo(name, port, &hints, &list);
    if (e != 0)
        return spl_error_set(err, SP_ERR_NOENT, "'%s' is no address, and as a name it leads nowhere (%s)", text,
                             gai_strerror(e));
    sp_err ret = SP_ERR_IO;
    for (struct addrinfo *i = list; i != NULL && ret != SP_OK; i = i->ai_next)
        ret = open_socket(a, i->ai_addr, i->ai_addrlen);
    freeaddrinfo(list);
    return ret == SP_OK ? SP_OK : spl_error_errno(err, "cannot reach %s", text);
}

static sp_err open_place(struct ctl_afar *a, const char *text, struct spl_error *err) {
    struct sp_addr addr;
    struct sockaddr_storage sa;
    if (spl_addr_parse(&addr, text, 53) != SP_OK)
        return open_name(a, text, err);
    socklen_t len = spl_addr_to(&addr, &sa);
    return open_socket(a, (struct sockaddr *)&sa, len) == SP_OK ? SP_OK : spl_error_errno(err, "cannot reach %s", text);
}

static sp_err open_link(struct ctl_afar *a, const struct ctl_place *p, struct spl_error *err) {
    struct sp_ed25519 key;
    uint8_t signpost[SP_ED25519_PUB];
    size_t len;
    if (sp_base64_decode(p->signpost, strlen(p->signpost), signpost, sizeof signpost, &len) != SP_OK ||
        len != sizeof signpost)
        return spl_error_set(err, SP_ERR_FORM,
                             "'%s' is no signpost's key, which is 32 bytes in base64; `signpostctl status` at the "
                             "signpost shows it, and the console of a guest",
                             p->signpost);
    SP_TRY(ctl_opkey_read(p->key, &key, err));
    a->operator[sp_base64_encode(key.pub, sizeof key.pub, a->operator, CTL_KEY_TEXT)] = 0;
    a->signpost[sp_base64_encode(signpost, sizeof signpost, a->signpost, CTL_KEY_TEXT)] = 0;
    sp_err e = sp_remote_link_init(&a->link, &a->mem, &a->rng, &key, signpost, CTL_REPLY_MAX, spl_now());
    sp_wipe(&key, sizeof key);
    if (e == SP_ERR_BADKEY)
        return spl_error_set(err, e, "'%s' cannot be a signpost's key", p->signpost);
    return e == SP_OK ? SP_OK : spl_error_set(err, e, "no memory for a session");
}

sp_err ctl_afar_open(struct ctl_afar **ret, const struct ctl_place *p, struct spl_error *err) {
    static const struct rlimit no_core; /* memory holds keys */
    uint8_t seed[SP_RNG_SEED];
    struct ctl_afar *a = calloc(1, sizeof *a);
    if (a == NULL || sp_crypto_init() != SP_OK) {
        free(a);
        return spl_error_set(err, SP_ERR_FULL, "no memory");
    }
    (void)setrlimit(RLIMIT_CORE, &no_core);
    a->fd = -1;
    a->patience = p->patience;
    sp_mem_init(&a->mem, spl_grant_small(), MEMORY_MAX);
    spl_seed(seed, sizeof seed);
    sp_rng_init(&a->rng, seed);
    sp_wipe(seed, sizeof seed);
    sp_err e = open_link(a, p, err);
    if (e == SP_OK)
        e = open_place(a, p->at, err);
    a->began = spl_now();
    a->ask_at = sp_instant_add(a->began, ASK_DNS);
    if (e == SP_OK)
        *ret = a;
    else
        ctl_afar_close(a);
    return e;
}

/* ---- datagrams ---- */

static void send_one(struct ctl_afar *a, const uint8_t *data, size_t len) {
    while (send(a->fd, data, len, MSG_NOSIGNAL) < 0 && errno == EINTR)
        ;
}

static void give(struct ctl_afar *a) {
    uint8_t out[SP_REMOTE_SEALED];
    size_t len;
    for (unsigned i = 0; i < BURST && (len = sp_remote_link_output(&a->link, spl_now(), spl_wall(), out)) > 0; i++)
        send_one(a, out, len);
}

/* A question that any name server answers, if only by refusing: . SOA */
static const uint8_t question[17] = {0x53, 0x50, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 1};

static void take(struct ctl_afar *a) {
    uint8_t data[2048];
    for (unsigned i = 0; i < 4 * BURST; i++) {
        ssize_t n = recv(a->fd, data, sizeof data, 0);
        if (n < 0 && errno == ECONNREFUSED)
            a->refused = true;
        if (n < 0 && errno != EINTR)
            return;
        if (n >= 12 && memcmp(data, question, 2) == 0 && (data[2] & 0x80) != 0) {
            a->named = true;
            a->starting = (data[3] & 15) == 2; /* SERVFAIL */
        } else if (n > 0)
            sp_remote_link_input(&a->link, spl_now(), spl_wall(), data, (size_t)n);
    }
}

/* Sends, waits for what comes or is due, takes it. */
static void turn(struct ctl_afar *a, sp_instant until) {
    give(a);
    sp_instant now = spl_now(), due = sp_instant_min(sp_remote_link_deadline(&a->link), until);
    if (!a->link.up)
        due = sp_instant_min(due, a->ask_at);
    /* After a full burst more may be waiting to be sent. */
    uint32_t piece;
    if (sp_remote_mask_next(&a->link.call.burst, &piece) && a->link.call.phase == SP_REMOTE_SENDING)
        due = now;
    struct pollfd p = {.fd = a->fd, .events = POLLIN};
    int ms = due <= now ? 0 : due - now > 1000 * SP_MS ? 1000 : (int)((due - now + SP_MS - 1) / SP_MS);
    (void)poll(&p, 1, ms);
    take(a);
    now = spl_now();
    if (!a->link.up && a->ask_at <= now) {
        send_one(a, question, sizeof question);
        a->ask_at = sp_instant_add(now, SP_SEC);
    }
    sp_remote_link_expire(&a->link, now);
}

/* ---- what goes wrong ---- */

static sp_err no_session(const struct ctl_afar *a, double s, struct spl_error *err) {
    if (a->link.elsewhere)
        return spl_error_set(err, SP_ERR_BADKEY,
                             "what answers at %s is no signpost with the key %s; `signpostctl status` at the signpost "
                             "shows its key, and the console of a guest",
                             a->at, a->signpost);
    if (a->refused)
        return spl_error_set(err, SP_ERR_IO, "nothing listens at %s (UDP); does the signpost run?", a->at);
    if (a->starting)
        return spl_error_set(err, SP_ERR_AGAIN, "the signpost at %s is not ready yet; try again in a moment", a->at);
    if (a->named)
        return spl_error_set(err, SP_ERR_DENIED,
                             "a name server answers at %s, but within %.0f s it has not let this operator in: it does "
                             "not know the key %s (signpostd --operator KEY, operator=KEY of a guest)",
                             a->at, s, a->operator);
    return spl_error_set(err, SP_ERR_IO,
                         "no answer from %s within %.0f s; does the signpost run, and does UDP get there?", a->at, s);
}

/* Whether there is no more hope. */
static sp_err hopeless(const struct ctl_afar *a, sp_instant asked, struct spl_error *err) {
    const struct sp_remote_link *l = &a->link;
    sp_instant now = spl_now();
    double s = (double)a->patience / SP_SEC;
    if (!l->up) {
        bool sure = l->elsewhere || a->refused;
        sp_duration wait = sure && SOON < a->patience ? SOON : a->patience;
        return now - asked < wait ? SP_OK : no_session(a, s, err);
    }
    sp_instant heard = l->heard_at > asked ? l->heard_at : asked;
    if (now - heard < a->patience)
        return SP_OK;
    return spl_error_set(err, SP_ERR_IO,
                         "%s has not answered any more for %.0f s; whether it has done what was asked is not known: "
                         "look, then try again",
                         a->at, s);
}

static sp_err failed(const struct ctl_afar *a, size_t len, struct spl_error *err) {
    const struct sp_remote_call *c = &a->link.call;
    switch (c->failure) {
    case SP_REMOTE_FAILED_LOST:
        return spl_error_set(
            err, SP_ERR_STATE,
            "%s has ended the session: it was restarted, or this operator's key is in use elsewhere at "
            "the same time; whether it has done what was asked is not known: look, then try again",
            a->at);
    case SP_REMOTE_FAILED_TOO_BIG:
        return spl_error_set(err, SP_ERR_RANGE,
                             "the request has %zu bytes, and from afar %s takes %u at most; do it in parts, at the "
                             "signpost, or raise limits.operator-request there",
                             len, a->at, c->request_max);
    case SP_REMOTE_FAILED_MEMORY:
        return spl_error_set(err, SP_ERR_FULL, "there is no memory for the request or its reply, here or at %s", a->at);
    case SP_REMOTE_FAILED_VERSION:
        return spl_error_set(
            err, SP_ERR_UNSUP,
            "%s speaks version %u of the operators' protocol and this signpostctl version %u; upgrade %s", a->at,
            c->their_version, SP_REMOTE_VERSION, c->their_version > SP_REMOTE_VERSION ? "this one" : "the signpost");
    case SP_REMOTE_FAILED_REPLY:
        return spl_error_set(err, SP_ERR_FULL, "%s has no memory for the reply, or it is too long", a->at);
    case SP_REMOTE_NO_FAILURE:
        break;
    }
    return spl_error_set(err, SP_ERR_STATE, "the session with %s failed", a->at);
}

/* ---- a call ---- */

sp_err ctl_afar_call(struct ctl_afar *a, const uint8_t *request, size_t len, uint8_t **ret, size_t *ret_len,
                     struct spl_error *err) {
    struct sp_remote_call *c = &a->link.call;
    sp_instant asked = spl_now();
    if (len > SP_OP_REQUEST_MAX || sp_remote_call_begin(c, asked, request, (uint32_t)len) != SP_OK)
        return spl_error_set(err, SP_ERR_STATE, "that cannot be asked now");
    while (c->phase != SP_REMOTE_DONE && c->phase != SP_REMOTE_FAILED) {
        turn(a, sp_instant_add(spl_now(), SP_SEC));
        if (c->phase != SP_REMOTE_DONE && c->phase != SP_REMOTE_FAILED)
            SP_TRY(hopeless(a, asked, err));
    }
    if (c->phase == SP_REMOTE_FAILED)
        return failed(a, len, err);
    *ret = malloc(c->reply_len + 1);
    if (*ret == NULL)
        return spl_error_set(err, SP_ERR_FULL, "no memory for the reply");
    memcpy(*ret, c->reply, c->reply_len);
    *ret_len = c->reply_len;
    return SP_OK;
}

void ctl_afar_close(struct ctl_afar *a) {
    if (a == NULL)
        return;
    if (a->link.wg != NULL) {
        if (a->fd >= 0) {
            sp_remote_call_bye(&a->link.call);
            give(a);
        }
        sp_remote_link_free(&a->link);
    }
    if (a->fd >= 0)
        close(a->fd);
    sp_mem_done(&a->mem);
    sp_wipe(a, sizeof *a);
    free(a);
}
