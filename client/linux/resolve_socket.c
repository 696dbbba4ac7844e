#define _GNU_SOURCE
#include "client/linux/resolve_socket.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static const struct timeval patience = {10, 0};

enum client_state { CLIENT_FREE, CLIENT_READING, CLIENT_WAITING };

struct client {
    struct spl_resolve_socket *owner;
    struct event rd;
    enum client_state state;
    int fd;
    uid_t uid;
    uint32_t generation; /* so that an answer for one that has gone does not reach its successor */
};

struct spl_resolve_socket {
    struct spl_loop *loop;
    struct event ev;
    struct sockaddr_un sun;
    int fd;
    struct client clients[SPL_RESOLVE_CLIENTS];
};

static void hang_up(struct client *c) {
    if (c->state == CLIENT_FREE)
        return;
    event_del(&c->rd);
    close(c->fd);
    c->state = CLIENT_FREE;
    c->generation++;
}

static uint64_t id_of(const struct client *c) {
    return SPL_RESOLVE_ID | (uint64_t)(c->generation & (UINT32_MAX >> 8)) << 32 | (uint64_t)(c - c->owner->clients);
}

static void on_read(evutil_socket_t fd, short what, void *ctx) {
    struct client *c = ctx;
    uint8_t query[SPL_RESOLVE_QUERY];
    ssize_t n = (what & EV_TIMEOUT) != 0 ? 0 : recv(fd, query, sizeof query, MSG_DONTWAIT | MSG_TRUNC);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    /* Gone, too slow, too long, or impatient: it has one question at a time. */
    if (n <= 0 || (size_t)n > sizeof query || c->state != CLIENT_READING) {
        hang_up(c);
        return;
    }
    c->state = CLIENT_WAITING;
    struct sp_in in = {.kind = SP_IN_RESOLVE, .id = id_of(c), .data = query, .len = (size_t)n};
    if (spl_loop_deliver(c->owner->loop, &in, 1) == 0)
        hang_up(c);
}

void spl_resolve_socket_given(struct spl_resolve_socket *s, const struct sp_out *out) {
    uint32_t at = (uint32_t)out->id;
    if (s == NULL || out->kind != SP_OUT_RESOLVED || (out->id & SPL_RESOLVE_ID) == 0 || at >= SPL_RESOLVE_CLIENTS)
        return;
    struct client *c = &s->clients[at];
    if (c->state != CLIENT_WAITING || id_of(c) != out->id)
        return;
    c->state = CLIENT_READING;
    if (out->len == 0 || send(c->fd, out->data, out->len, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)out->len)
        hang_up(c);
}

/* Room for one of this user: a single one must not keep the others out. */
static struct client *find_room(struct spl_resolve_socket *s, uid_t uid) {
    struct client *room = NULL;
    unsigned same = 0;
    for (struct client *c = s->clients; c < s->clients + SPL_RESOLVE_CLIENTS; c++) {
        if (c->state == CLIENT_FREE)
            room = c;
        else if (c->uid == uid)
            same++;
    }
    return uid == 0 || same < SPL_RESOLVE_PER_UID ? room : NULL;
}

static void on_accept(evutil_socket_t listener, short what, void *ctx) {
    struct spl_resolve_socket *s = ctx;
    struct ucred peer;
    socklen_t len = sizeof peer;
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    struct client *c = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 ? find_room(s, peer.uid) : NULL;
    if (c == NULL) {
        close(fd);
        return;
    }
    c->owner = s;
    c->fd = fd;
    c->uid = peer.uid;
    c->state = CLIENT_READING;
    event_assign(&c->rd, spl_loop_base(s->loop), fd, EV_READ | EV_PERSIST, on_read, c);
    event_add(&c->rd, &patience);
}

/* ---- life ---- */

/* The folder of the socket, made if it is missing; that which exists stays as it is. */
static sp_err make_folder(const char *path, struct spl_error *err) {
    char folder[sizeof(((struct sockaddr_un *)0)->sun_path)];
    const char *slash = strrchr(path, '/');
    size_t len = slash != NULL ? (size_t)(slash - path) : 0;
    if (len == 0)
        return SP_OK;
    memcpy(folder, path, len);
    folder[len] = 0;
    mode_t old = umask(022);
    int r = mkdir(folder, 0755);
    int e = errno;
    umask(old);
    errno = e;
    return r == 0 || errno == EEXIST ? SP_OK : spl_error_errno(err, "cannot make the folder %s", folder);
}

/* A socket that nobody listens on is one that a killed process left. */
static sp_err make_room(const struct sockaddr_un *sun, struct spl_error *err) {
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return spl_error_errno(err, "cannot make a socket");
    int r = connect(fd, (const struct sockaddr *)sun, sizeof *sun);
    bool alive = r == 0 || errno == EAGAIN, stale = r != 0 && (errno == ECONNREFUSED || errno == EPROTOTYPE);
    close(fd);
    if (alive)
        return spl_error_set(err, SP_ERR_EXIST, "another agent answers on %s", sun->sun_path);
    if (stale && unlink(sun->sun_path) != 0)
        return spl_error_errno(err, "cannot replace %s", sun->sun_path);
    return SP_OK;
}

static sp_err listen_there(struct spl_resolve_socket *s, struct spl_error *err) {
    s->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd < 0)
        return spl_error_errno(err, "cannot make a socket");
    mode_t old = umask(0111); /* every user may ask */
    int r = bind(s->fd, (const struct sockaddr *)&s->sun, sizeof s->sun);
    int e = errno;
    umask(old);
    errno = e;
    if (r == 0 && listen(s->fd, SPL_RESOLVE_CLIENTS) == 0)
        return SP_OK;
    sp_err code = spl_error_errno(err, "cannot listen on %s", s->sun.sun_path);
    close(s->fd);
    return code;
}

sp_err spl_resolve_socket_open(struct spl_resolve_socket **ret, struct spl_loop *loop, const char *path,
                               struct spl_error *err) {
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof(((struct sockaddr_un *)0)->sun_path))
        return spl_error_set(err, SP_ERR_FORM, "the path of a socket has at most 107 bytes: %s", path);
    struct spl_resolve_socket *s = calloc(1, sizeof *s);
    if (s == NULL)
        return spl_error_set(err, SP_ERR_FULL, "no memory for %s", path);
    s->loop = loop;
    s->sun.sun_family = AF_UNIX;
    memcpy(s->sun.sun_path, path, len);
    sp_err e = make_folder(path, err);
    if (e == SP_OK)
        e = make_room(&s->sun, err);
    if (e == SP_OK)
        e = listen_there(s, err);
    if (e != SP_OK) {
        free(s);
        return e;
    }
    event_assign(&s->ev, spl_loop_base(loop), s->fd, EV_READ | EV_PERSIST, on_accept, s);
    event_add(&s->ev, NULL);
    *ret = s;
    return SP_OK;
}

void spl_resolve_socket_free(struct spl_resolve_socket *s) {
    if (s == NULL)
        return;
    for (struct client *c = s->clients; c < s->clients + SPL_RESOLVE_CLIENTS; c++)
        hang_up(c);
    event_del(&s->ev);
    unlink(s->sun.sun_path);
    close(s->fd);
    free(s);
}
