#define _GNU_SOURCE
#include "client/linux/upstream.h"

#include <ares.h>
#include <arpa/inet.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/base/bytes.h"
#include "proto/linux/clock.h"

#define QUERY_MAX   4096
#define TIMEOUT_MS  2000
#define TRIES       2
#define SERVERS_MAX 8

/* One query on its way. */
struct asked {
    struct spl_upstream *up;
    uint64_t id;
    uint16_t query_id; /* the program's; ours is random */
    bool over_tcp;
    uint8_t query[QUERY_MAX];
    size_t query_len;
    struct asked *next; /* of those that are done */
    sp_err err;
    uint8_t *reply;
    size_t reply_len;
};

/* A c-ares channel is in use for datagrams, another for streams: what is truncated is asked again over the latter. */
struct spl_upstream {
    struct spl_loop *loop;
    char *conf;
    uint8_t self[16];
    struct timespec read_at; /* the file's own time when it was read */
    ares_channel udp, tcp;
    bool open;
    unsigned count;
    struct asked *done, **done_end;
    struct event timer, deliver;
    struct event socks[ARES_GETSOCK_MAXNUM * 2];
    unsigned sock_count;
};

/* ---- the network's resolvers ---- */

/* An address of resolv.conf(5) without its "%scope". */
static bool read_addr(const char *text, uint8_t ret[16]) {
    char bare[INET6_ADDRSTRLEN];
    size_t len = strcspn(text, "%");
    uint8_t ip4[4];
    if (len >= sizeof bare)
        return false;
    memcpy(bare, text, len);
    bare[len] = 0;
    if (inet_pton(AF_INET6, bare, ret) == 1)
        return true;
    if (inet_pton(AF_INET, bare, ip4) != 1)
        return false;
    memset(ret, 0, 16);
    ret[10] = ret[11] = 0xff;
    memcpy(ret + 12, ip4, 4);
    return true;
}

static bool is_loopback(const uint8_t ip[16]) {
    static const uint8_t loop6[16] = {[15] = 1}, loop4[13] = {[10] = 0xff, 0xff, 127};
    return memcmp(ip, loop6, 16) == 0 || memcmp(ip, loop4, 13) == 0;
}

/* The servers as c-ares takes them, separated by commas; our own left out, as we would ask ourselves. Without our own
 * among them some forwarder of this host stands before us: then one on the loopback may be it, and ask us again. */
static void read_servers(const struct spl_upstream *u, char *ret, size_t cap) {
    char line[512], names[SERVERS_MAX][64];
    uint8_t addrs[SERVERS_MAX][16];
    unsigned n = 0;
    bool own = false;
    FILE *f = fopen(u->conf, "re");
    ret[0] = 0;
    if (f == NULL)
        return;
    while (n < SERVERS_MAX && fgets(line, sizeof line, f) != NULL) {
        if (sscanf(line, " nameserver %63s", names[n]) != 1 || !read_addr(names[n], addrs[n]))
            continue;
        if (memcmp(addrs[n], u->self, 8) == 0)
            own = true;
        else
            n++;
    }
    fclose(f);
    for (unsigned i = 0; i < n; i++) {
        size_t len = strlen(ret);
        if ((own || !is_loopback(addrs[i])) && len + strlen(names[i]) + 2 < cap)
            snprintf(ret + len, cap - len, "%s%s", len > 0 ? "," : "", names[i]);
    }
}

static bool open_channel(const struct spl_upstream *u, ares_channel *ret, int flags) {
    struct ares_options o = {
        .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | flags, .timeout = TIMEOUT_MS, .tries = TRIES};
    char servers[SERVERS_MAX * 65];
    if (ares_init_options(ret, &o, ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES) != ARES_SUCCESS)
        return false;
    read_servers(u, servers, sizeof servers);
    (void)ares_set_servers_csv(*ret, servers);
    return true;
}

static void close_channels(struct spl_upstream *u) {
    if (!u->open)
        return;
    u->open = false;
    ares_destroy(u->udp);
    ares_destroy(u->tcp);
}

/* Opens channels, anew when the file has changed: the network has. Queries under way end as failed. */
static bool ready(struct spl_upstream *u) {
    struct stat st;
    struct timespec changed = stat(u->conf, &st) == 0 ? st.st_mtim : (struct timespec){0};
    if (u->open && changed.tv_sec == u->read_at.tv_sec && changed.tv_nsec == u->read_at.tv_nsec)
        return true;
    close_channels(u);
    if (!open_channel(u, &u->udp, ARES_FLAG_IGNTC))
        return false;
    if (!open_channel(u, &u->tcp, ARES_FLAG_USEVC)) {
        ares_destroy(u->udp);
        return false;
    }
    u->open = true;
    u->read_at = changed;
    return true;
}

/* ---- answers ---- */

/* Keeps the latest reply, with the program's own id. */
static void keep(struct asked *a, const uint8_t *reply, size_t len) {
    free(a->reply);
    a->reply = malloc(len);
    if (a->reply == NULL)
        return;
    memcpy(a->reply, reply, len);
    sp_put_u16(a->reply, a->query_id);
    a->reply_len = len;
}

/* err: why there is no reply, if there is none. Answers may come while the core waits for us to return: they are
 * delivered in a turn of the loop's own. */
static void finish(struct asked *a, sp_err err) {
    struct spl_upstream *u = a->up;
    a->err = a->reply != NULL ? SP_OK : err;
    a->next = NULL;
    *u->done_end = a;
    u->done_end = &a->next;
    event_active(&u->deliver, EV_TIMEOUT, 1);
}

static void on_deliver(evutil_socket_t fd, short what, void *ctx) {
    struct spl_upstream *u = ctx;
    while (u->done != NULL) {
        struct asked *a = u->done;
        u->done = a->next;
        if (u->done == NULL)
            u->done_end = &u->done;
        struct sp_in in = {.kind = SP_IN_FORWARDED, .id = a->id, .err = a->err, .data = a->reply, .len = a->reply_len};
        u->count--;
        (void)spl_loop_deliver(u->loop, &in, 1);
        free(a->reply);
        free(a);
    }
}

static void on_answer(void *ctx, int status, int timeouts, unsigned char *reply, int len) {
    struct asked *a = ctx;
    /* A refusal of the resolver's is an answer too. */
    if (reply != NULL && len >= 12)
        keep(a, reply, (size_t)len);
    if (status == ARES_SUCCESS && a->reply != NULL && (a->reply[2] & 0x02) != 0 && !a->over_tcp && a->up->open) {
        a->over_tcp = true; /* if that fails, a truncated answer says more than none */
        ares_send(a->up->tcp, a->query, (int)a->query_len, on_answer, a);
        return;
    }
    finish(a, status == ARES_ETIMEOUT ? SP_ERR_AGAIN : SP_ERR_IO);
}

/* ---- the loop ---- */

static void watch_sockets(struct spl_upstream *u);

static void on_socket(evutil_socket_t fd, short what, void *ctx) {
    struct spl_upstream *u = ctx;
    ares_socket_t rd = (what & EV_READ) != 0 ? fd : ARES_SOCKET_BAD, wr = (what & EV_WRITE) != 0 ? fd : ARES_SOCKET_BAD;
    /* A channel passes over sockets that are not its own. */
    if (u->open)
        ares_process_fd(u->udp, rd, wr);
    if (u->open)
        ares_process_fd(u->tcp, rd, wr);
    watch_sockets(u);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx) {
    on_socket(ARES_SOCKET_BAD, 0, ctx);
}

static void watch_channel(struct spl_upstream *u, ares_channel channel) {
    ares_socket_t socks[ARES_GETSOCK_MAXNUM];
    int bits = ares_getsock(channel, socks, ARES_GETSOCK_MAXNUM);
    for (int i = 0; i < ARES_GETSOCK_MAXNUM; i++) {
        short what =
            (short)((ARES_GETSOCK_READABLE(bits, i) ? EV_READ : 0) | (ARES_GETSOCK_WRITABLE(bits, i) ? EV_WRITE : 0));
        if (what == 0)
            continue;
        struct event *ev = &u->socks[u->sock_count++];
        event_assign(ev, spl_loop_base(u->loop), socks[i], what | EV_PERSIST, on_socket, u);
        event_add(ev, NULL);
    }
}

/* c-ares opens and closes sockets as it likes: after each call they are watched anew. */
static void watch_sockets(struct spl_upstream *u) {
    while (u->sock_count > 0)
        event_del(&u->socks[--u->sock_count]);
    event_del(&u->timer);
    if (!u->open)
        return;
    watch_channel(u, u->udp);
    watch_channel(u, u->tcp);
    struct timeval a, b, *least = ares_timeout(u->udp, NULL, &a);
    struct timeval *other = ares_timeout(u->tcp, NULL, &b);
    if (least == NULL || (other != NULL && timercmp(other, least, <)))
        least = other;
    if (least != NULL)
        event_add(&u->timer, least);
}

/* ---- for the host ---- */

sp_err spl_upstream_new(struct spl_upstream **ret, struct spl_loop *loop, const uint8_t self[16], const char *conf,
                        struct spl_error *err) {
    struct spl_upstream *u = calloc(1, sizeof *u);
    char *path = strdup(conf != NULL ? conf : "/etc/resolv.conf");
    if (u == NULL || path == NULL || ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS) {
        free(u);
        free(path);
        return spl_error_set(err, SP_ERR_FULL, "no memory for forwarding");
    }
    u->loop = loop;
    u->conf = path;
    u->done_end = &u->done;
    memcpy(u->self, self, sizeof u->self);
    evtimer_assign(&u->timer, spl_loop_base(loop), on_timer, u);
    event_assign(&u->deliver, spl_loop_base(loop), -1, 0, on_deliver, u);
    *ret = u;
    return SP_OK;
}

void spl_upstream_free(struct spl_upstream *u) {
    if (u == NULL)
        return;
    close_channels(u); /* ends what is under way */
    watch_sockets(u);
    event_del(&u->deliver);
    while (u->done != NULL) {
        struct asked *a = u->done;
        u->done = a->next;
        free(a->reply);
        free(a);
    }
    free(u->conf);
    free(u);
    ares_library_cleanup();
}

void spl_upstream_ask(struct spl_upstream *u, const struct sp_event *ev) {
    struct asked *a = u->count < 2 * SPL_UPSTREAM_MAX ? calloc(1, sizeof *a) : NULL;
    if (a == NULL)
        return; /* the core gives it up in time */
    a->up = u;
    a->id = ev->id;
    u->count++;
    if (u->count > SPL_UPSTREAM_MAX || ev->len < 12 || ev->len > sizeof a->query) {
        finish(a, u->count > SPL_UPSTREAM_MAX ? SP_ERR_BUDGET : SP_ERR_FORM);
        return;
    }
    memcpy(a->query, ev->data, ev->len);
    a->query_len = ev->len;
    a->query_id = sp_get_u16(a->query);
    spl_seed(a->query, 2); /* RFC 5452 9.2: strangers must not guess it */
    if (ready(u))
        ares_send(u->udp, a->query, (int)a->query_len, on_answer, a);
    else
        finish(a, SP_ERR_IO);
    watch_sockets(u);
}
