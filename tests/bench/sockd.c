/* The loads of load.h on the kernel's TCP. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/load.h"

#define FILES (1u << 18)
#define BATCH 256

/* A connection by its descriptor; the loads see fd + 1 as a pointer. */
struct end {
    void *user;
    bool opening, ours, theirs, full, gone; /* ours, theirs: halves that have ended; full: writing waits */
};

static struct end ends[FILES];
static bool listens[FILES];
static uint8_t buffer[1 << 18];
static struct load load;
static int epoll;

static int fd_of(void *conn) {
    return (int)(intptr_t)conn - 1;
}

static void *conn_of(int fd) {
    return (void *)(intptr_t)(fd + 1);
}

static void watch(int fd, int op) {
    struct epoll_event e = {.events = EPOLLIN | (ends[fd].full || ends[fd].opening ? EPOLLOUT : 0u), .data.fd = fd};
    if (epoll_ctl(epoll, op, fd, &e) != 0)
        perror("epoll_ctl");
}

/* The first failure is said; the load counts them all. */
static void complain(const char *what, int err) {
    static bool said;
    if (!said)
        fprintf(stderr, "sockd: %s: %s\n", what, strerror(err));
    said = true;
}

/* ---- what a load asks for ---- */

static void *socket_connect(void *ctx, uint32_t ip, uint16_t port, void *user) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = ip};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0 || fd >= (int)FILES)
        return complain("socket", errno), NULL;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS) {
        complain("connect", errno);
        close(fd);
        return NULL;
    }
    ends[fd] = (struct end){.user = user, .opening = true};
    watch(fd, EPOLL_CTL_ADD);
    return conn_of(fd);
}

static size_t socket_write(void *ctx, void *conn, const uint8_t *data, size_t len) {
    int fd = fd_of(conn);
    ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
    size_t taken = n < 0 ? 0 : (size_t)n;
    if (taken < len && !ends[fd].full) {
        ends[fd].full = true;
        watch(fd, EPOLL_CTL_MOD);
    }
    return taken;
}

static void release(int fd) {
    close(fd);
    ends[fd].gone = true;
}

static void socket_end(void *ctx, void *conn) {
    int fd = fd_of(conn);
    shutdown(fd, SHUT_WR);
    ends[fd].ours = true;
    if (ends[fd].theirs)
        release(fd);
}

static void socket_reset(void *ctx, void *conn) {
    struct linger now = {.l_onoff = 1};
    setsockopt(fd_of(conn), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    release(fd_of(conn));
}

/* ---- what happens ---- */

static void lose(int fd) {
    void *user = ends[fd].user;
    release(fd);
    load_gone(&load, user);
}

static void accept_all(int listener) {
    int one = 1;
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        ends[fd] = (struct end){0};
        watch(fd, EPOLL_CTL_ADD);
        ends[fd].user = load_opened(&load, conn_of(fd), NULL);
    }
}

static void connected(int fd) {
    int err = 0;
    socklen_t len = sizeof err;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0 || err != 0) {
        complain("connect", err);
        lose(fd);
        return;
    }
    ends[fd].opening = false;
    watch(fd, EPOLL_CTL_MOD);
    ends[fd].user = load_opened(&load, conn_of(fd), ends[fd].user);
}

static void read_some(int fd) {
    for (ssize_t n = sizeof buffer; n == sizeof buffer && !ends[fd].gone;) {
        n = recv(fd, buffer, sizeof buffer, 0);
        if (n > 0) {
            ends[fd].user = load_data(&load, conn_of(fd), ends[fd].user, buffer, (size_t)n);
        } else if (n == 0) {
            ends[fd].theirs = true;
            load_ended(&load, conn_of(fd), ends[fd].user);
            if (ends[fd].ours && !ends[fd].gone)
                release(fd);
        } else if (errno != EAGAIN) {
            lose(fd);
        }
    }
}

static void happened(int fd, uint32_t what) {
    if (listens[fd]) {
        accept_all(fd);
        return;
    }
    if (ends[fd].opening) {
        connected(fd);
        return;
    }
    if ((what & EPOLLOUT) && !ends[fd].gone) {
        ends[fd].full = false;
        load_room(&load, conn_of(fd), ends[fd].user);
        if (!ends[fd].full && !ends[fd].gone)
            watch(fd, EPOLL_CTL_MOD);
    }
    if ((what & ~(uint32_t)EPOLLOUT) && !ends[fd].gone)
        read_some(fd);
}

static bool listen_at(uint16_t port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 65535) != 0)
        return complain("listen", errno), false;
    listens[fd] = true;
    watch(fd, EPOLL_CTL_ADD);
    return true;
}

static bool begin(void) {
    epoll = epoll_create1(0);
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    for (uint32_t i = 0; load.kind == LOAD_SERVE && i < load.ports; i++)
        if (!listen_at((uint16_t)(load.port + i)))
            return false;
    load_begin(&load);
    return true;
}

static void turn(void) {
    struct epoll_event list[BATCH];
    uint64_t until = load_deadline(&load), now = load_now();
    int wait = until == LOAD_NEVER ? -1 : until <= now ? 0 : (int)((until - now) / 1000000 + 1);
    int n = epoll_wait(epoll, list, BATCH, wait);
    for (int i = 0; i < n && !load.done; i++)
        if (!ends[list[i].data.fd].gone)
            happened(list[i].data.fd, list[i].events);
    load_expire(&load);
}

int main(int argc, char **argv) {
    load.stack = (struct load_stack){.connect = socket_connect, .write = socket_write, .end = socket_end, .reset = socket_reset};
    for (int i = 1; i < argc; i++)
        if (!load_argument(&load, argv[i])) {
            fprintf(stderr, "sockd: cannot use the argument %s\n", argv[i]);
            return 2;
        }
    const char *lacks = load_ready(&load);
    if (lacks != NULL) {
        fprintf(stderr, "sockd: needs %s\n", lacks);
        return 2;
    }
    if (!begin())
        return 1;
    while (!load.done)
        turn();
    load_end(&load);
    return 0;
}
