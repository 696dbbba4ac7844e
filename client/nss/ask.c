#define _GNU_SOURCE
#include "client/nss/ask.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define RESOLVE_PATH "/run/signpost/resolve"
/* The agent asks its signpost for a name that it does not know; it gives up sooner than this. */
#define TIMEOUT_MS 6000
#define QUERY_ID   0x5350

#define RCODE_NOERROR  0
#define RCODE_NXDOMAIN 3
#define RCODE_REFUSED  5

static long now_ms(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (long)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* A connection, or -1 at once: a program must not wait for an agent that is not there. */
static int connect_agent(void) {
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    struct ucred peer;
    socklen_t peer_len = sizeof peer;
    /* Programs with rights that their user lacks do not let him choose whom they ask. */
    const char *path = secure_getenv("SIGNPOST_RESOLVE");
    if (path == NULL)
        path = RESOLVE_PATH;
    size_t len = strlen(path);
    if (len >= sizeof sun.sun_path)
        return -1;
    memcpy(sun.sun_path, path, len);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    /* The agent itself must not wait for its own answer. */
    if (connect(fd, (struct sockaddr *)&sun, sizeof sun) == 0 &&
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_len) == 0 && peer.pid != getpid())
        return fd;
    close(fd);
    return -1;
}

/* The bytes of the reply; -1: none. */
static ssize_t receive(int fd, uint8_t reply[NSS_REPLY_MAX]) {
    long end = now_ms() + TIMEOUT_MS;
    for (;;) {
        long left = end - now_ms();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int r = left > 0 ? poll(&p, 1, (int)left) : 0;
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            return -1;
        ssize_t n = recv(fd, reply, NSS_REPLY_MAX, MSG_TRUNC);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        return n > NSS_REPLY_MAX ? -1 : n;
    }
}

static enum nss_asked outcome(const struct nss_reply *r) {
    switch (r->rcode) {
    case RCODE_NOERROR:
        return r->count > 0 ? NSS_ASKED_FOUND : NSS_ASKED_NO_DATA;
    case RCODE_NXDOMAIN:
        return NSS_ASKED_NO_NAME;
    case RCODE_REFUSED:
        return NSS_ASKED_NOBODY;
    default:
        return NSS_ASKED_LATER;
    }
}

enum nss_asked nss_ask(const char *name, uint16_t type, struct nss_reply *ret) {
    uint8_t query[NSS_QUERY_MAX], reply[NSS_REPLY_MAX];
    size_t len = nss_wire_query(name, type, QUERY_ID, query, sizeof query);
    int fd = len > 0 ? connect_agent() : -1;
    if (fd < 0)
        return NSS_ASKED_NOBODY;
    ssize_t n = -1;
    if (send(fd, query, len, MSG_NOSIGNAL) == (ssize_t)len)
        n = receive(fd, reply);
    close(fd);
    if (n <= 0 || !nss_wire_reply(ret, query, len, reply, (size_t)n))
        return NSS_ASKED_NOBODY;
    return outcome(ret);
}
