#define _GNU_SOURCE
#include "proto/linux/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/base/bytes.h"
#include "proto/linux/file.h"
#include "proto/linux/room.h"
#include "proto/linux/unix.h"

enum client_state { CLIENT_FREE, CLIENT_READING, CLIENT_WAITING, CLIENT_WRITING };

struct client {
    struct spl_control *control;
    struct event rd, wr;
    enum client_state state;
    int fd;
    uint32_t generation;
    uint8_t *data; /* the request being read, then the reply being written */
    size_t at, len;
    uint8_t head[4];
    size_t head_at;
};

struct spl_control {
    struct spl_loop *loop;
    struct event ev;
    int fd, dirfd;
    char name[64];
    size_t request_max;
    spl_control_request *request;
    void *ctx;
    struct client clients[SPL_CONTROL_CLIENTS];
};

static void forget(struct client *c) {
    /* Requests and replies carry keys and tokens. */
    spl_file_free(c->data, c->len);
    c->data = NULL;
    c->at = c->len = c->head_at = 0;
}

static void hang_up(struct client *c) {
    if (c->state == CLIENT_FREE)
        return;
    event_del(&c->rd);
    event_del(&c->wr);
    close(c->fd);
    forget(c);
    c->state = CLIENT_FREE;
    c->generation++;
}

static const struct timeval patience = {SPL_CONTROL_TIMEOUT_S, 0};

static void hand_over(struct client *c) {
    struct spl_control *ctl = c->control;
    c->state = CLIENT_WAITING;
    event_del(&c->rd);
    event_add(&c->rd, NULL); /* now only to see that the peer has gone; the core has all the time it needs */
    uint64_t id = (uint64_t)(c->generation & INT32_MAX) << 32 | (uint64_t)(c - ctl->clients);
    uint8_t *data = c->data;
    size_t len = c->len;
    c->data = NULL; /* the reply may take its place before the request is done with */
    c->len = 0;
    if (ctl->request != NULL) {
        ctl->request(ctl->ctx, id, data, len);
    } else {
        struct sp_in in = {.kind = SP_IN_CONTROL, .id = id, .data = data, .len = len};
        if (spl_loop_deliver(ctl->loop, &in, 1) == 0)
            hang_up(c);
    }
    spl_file_free(data, len);
}

/* Reads what is there of length and bytes. 1: complete, 0: more to come, -1: hang up. */
static int take_bytes(struct client *c) {
    while (c->head_at < sizeof c->head) {
        ssize_t n = recv(c->fd, c->head + c->head_at, sizeof c->head - c->head_at, MSG_DONTWAIT);
        if (n <= 0)
            return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
        c->head_at += (size_t)n;
    }
    if (c->data == NULL) {
        c->len = sp_get_u32(c->head);
        if (c->len == 0 || c->len > c->control->request_max)
            return -1;
        c->data = malloc(c->len);
        if (c->data == NULL)
            return -1;
    }
    while (c->at < c->len) {
        ssize_t n = recv(c->fd, c->data + c->at, c->len - c->at, MSG_DONTWAIT);
        if (n <= 0)
            return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
        c->at += (size_t)n;
    }
    return 1;
}

static void on_read(evutil_socket_t fd, short what, void *ctx) {
    struct client *c = ctx;
    if ((what & EV_TIMEOUT) != 0 || c->state != CLIENT_READING) {
        uint8_t byte;
        if ((what & EV_TIMEOUT) != 0 || recv(fd, &byte, 1, MSG_DONTWAIT) >= 0 || errno != EAGAIN)
            hang_up(c); /* too slow, gone, or says more than one request */
        return;
    }
    int r = take_bytes(c);
    if (r < 0)
        hang_up(c);
    else if (r > 0)
        hand_over(c);
}

static void write_some(struct client *c) {
    while (c->at < c->len) {
        ssize_t n = send(c->fd, c->data + c->at, c->len - c->at, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0)
            break;
        c->at += (size_t)n;
    }
    hang_up(c);
}

static void on_write(evutil_socket_t fd, short what, void *ctx) {
    struct client *c = ctx;
    if ((what & EV_TIMEOUT) != 0)
        hang_up(c);
    else
        write_some(c);
}

void spl_control_reply(struct spl_loop *loop, uint64_t id, const uint8_t *data, size_t len) {
    uint32_t at = (uint32_t)id;
    if (loop->control == NULL || at >= SPL_CONTROL_CLIENTS || len > UINT32_MAX)
        return;
    struct client *c = &loop->control->clients[at];
    if (c->state != CLIENT_WAITING || (c->generation & INT32_MAX) != id >> 32)
        return;
    c->data = malloc(len + 4);
    if (c->data == NULL) {
        hang_up(c);
        return;
    }
    sp_put_u32(c->data, (uint32_t)len);
    memcpy(c->data + 4, data, len);
    c->len = len + 4;
    c->at = 0;
    c->state = CLIENT_WRITING;
    event_del(&c->rd);
    event_add(&c->wr, &patience);
    write_some(c);
}

static bool trusted(int fd) {
    struct ucred peer;
    socklen_t len = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && (peer.uid == 0 || peer.uid == geteuid());
}

static void on_accept(evutil_socket_t listener, short what, void *ctx) {
    struct spl_control *ctl = ctx;
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    struct client *c = ctl->clients, *end = c + SPL_CONTROL_CLIENTS;
    while (c < end && c->state != CLIENT_FREE)
        c++;
    if (c == end || !trusted(fd)) {
        close(fd);
        return;
    }
    c->control = ctl;
    c->fd = fd;
    c->state = CLIENT_READING;
    event_assign(&c->rd, ctl->loop->base, fd, EV_READ | EV_PERSIST, on_read, c);
    event_assign(&c->wr, ctl->loop->base, fd, EV_WRITE | EV_PERSIST, on_write, c);
    event_add(&c->rd, &patience);
}

sp_err spl_control_listen(struct spl_loop *loop, int dirfd, const char *name, size_t request_max,
                          spl_control_request *request, void *ctx, struct spl_error *err) {
    SP_ASSERT(loop->control == NULL);
    struct spl_control *ctl = calloc(1, sizeof *ctl);
    if (ctl == NULL || strlen(name) >= sizeof ctl->name) {
        free(ctl);
        return spl_error_set(err, SP_ERR_FULL, "cannot make the control socket %s", name);
    }
    strcpy(ctl->name, name);
    ctl->loop = loop;
    ctl->request_max = request_max;
    ctl->request = request;
    ctl->ctx = ctx;
    sp_err e = spl_unix_listen(dirfd, name, &ctl->fd, err);
    if (e == SP_OK) {
        ctl->dirfd = dup(dirfd);
        if (ctl->dirfd < 0) {
            e = spl_error_errno(err, "cannot make the control socket %s", name);
            close(ctl->fd);
        }
    }
    if (e != SP_OK) {
        free(ctl);
        return e;
    }
    event_assign(&ctl->ev, loop->base, ctl->fd, EV_READ | EV_PERSIST, on_accept, ctl);
    event_add(&ctl->ev, NULL);
    loop->control = ctl;
    return SP_OK;
}

void spl_control_free(struct spl_control *ctl) {
    if (ctl == NULL)
        return;
    for (unsigned i = 0; i < SPL_CONTROL_CLIENTS; i++)
        hang_up(&ctl->clients[i]);
    event_del(&ctl->ev);
    unlinkat(ctl->dirfd, ctl->name, 0);
    close(ctl->dirfd);
    close(ctl->fd);
    free(ctl);
}
