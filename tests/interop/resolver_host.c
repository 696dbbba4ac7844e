/* The host side of the local resolver without a session, for test_local_resolver.py:
 *
 *   resolver-host hook MODE IFNAME ADDRESS ZONE   the host's resolver is set up until SIGTERM; prints the mode that was
 * chosen resolver-host heal IFNAME                     what a killed one left is removed resolver-host serve SOCKET
 * [CONF]              the zone me.signpost with the device laptop on the NSS module's socket; with a file like
 * resolv.conf other names are forwarded. Prints laptop's address. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <event2/event.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/core/resolver.h"
#include "client/linux/dns_hook.h"
#include "client/linux/resolve_socket.h"
#include "client/linux/upstream.h"
#include "proto/linux/clock.h"

#define HELD 64

/* A query that waits for its answer from elsewhere. */
struct held {
    uint64_t id;
    uint8_t query[512];
    size_t len;
    bool used, asked;
};

/* A core that resolves and does nothing else. */
struct world {
    struct spl_loop *loop;
    struct spl_resolve_socket *socket;
    struct spl_upstream *upstream;
    struct sp_mem mem;
    struct sp_directory *dir;
    struct sp_resolver_config config;
    struct held held[HELD];
    struct sp_out out;
    uint8_t reply[SP_RESOLVER_UDP_MAX];
    bool have_out;
};

static _Noreturn void die(const char *what) {
    fprintf(stderr, "resolver-host: %s\n", what);
    exit(1);
}

static void check(sp_err e, const struct spl_error *err) {
    if (e != SP_OK)
        die(err->text);
}

/* ---- the core ---- */

static void put(struct world *w, uint64_t id, size_t len) {
    w->out = (struct sp_out){.kind = SP_OUT_RESOLVED, .id = id, .data = w->reply, .len = len};
    w->have_out = true;
}

static void resolve(struct world *w, const struct sp_in *in) {
    struct sp_resolver_ask ask;
    struct sp_dir_entry *device;
    sp_err err;
    size_t len = 0;
    switch (sp_resolver_query(&w->config, w->dir, in->data, in->len, 1, w->reply, sizeof w->reply, &len, &ask)) {
    case SP_RESOLVE_LOOK_UP: /* there is no session */
        err = memcmp(ask.name.wire, "\4slow", 5) == 0 ? SP_ERR_STATE : SP_OK;
        len = sp_resolver_answer(&w->config, w->dir, in->data, in->len, err, w->reply, sizeof w->reply, &device);
        break;
    case SP_RESOLVE_ASK:
        len = sp_resolver_relay(&w->config, in->data, in->len, NULL, 0, w->reply, sizeof w->reply);
        break;
    case SP_RESOLVE_FORWARD:
        for (struct held *h = w->held; h < w->held + HELD && in->len <= sizeof h->query; h++) {
            if (h->used)
                continue;
            *h = (struct held){.id = in->id, .len = in->len, .used = true};
            memcpy(h->query, in->data, in->len);
            return;
        }
        break;
    default:
        break;
    }
    put(w, in->id, len);
}

static sp_err on_input(void *ctx, sp_instant now, sp_wall wall, const struct sp_in *in, size_t n, size_t *taken) {
    struct world *w = ctx;
    *taken = 0;
    if (w->have_out || n == 0)
        return SP_OK;
    *taken = 1;
    if (in->kind == SP_IN_RESOLVE) {
        resolve(w, in);
    } else if (in->kind == SP_IN_FORWARDED) {
        struct held *h = &w->held[in->id % HELD];
        put(w, h->id, sp_resolver_upstream(&w->config, h->query, h->len, in->data, in->len, w->reply, sizeof w->reply));
        h->used = false;
    }
    return SP_OK;
}

static void on_expire(void *ctx, sp_instant now, sp_wall wall) {}

static sp_instant on_deadline(void *ctx) {
    return SP_NEVER;
}

static size_t on_output(void *ctx, sp_instant now, sp_wall wall, struct sp_out *out, size_t n) {
    struct world *w = ctx;
    if (!w->have_out || n == 0)
        return 0;
    *out = w->out;
    w->have_out = false;
    return 1;
}

static bool on_event(void *ctx, struct sp_event *ret) {
    struct world *w = ctx;
    for (unsigned i = 0; i < HELD; i++) {
        struct held *h = &w->held[i];
        if (!h->used || h->asked)
            continue;
        h->asked = true;
        *ret = (struct sp_event){.kind = SP_EV_FORWARD, .id = i, .data = h->query, .len = h->len};
        return true;
    }
    return false;
}

static void on_given(void *ctx, const struct sp_out *out) {
    spl_resolve_socket_given(((struct world *)ctx)->socket, out);
}

static void on_effect(void *ctx, const struct sp_event *ev) {
    if (ev->kind == SP_EV_FORWARD)
        spl_upstream_ask(((struct world *)ctx)->upstream, ev);
}

static void new_loop(struct world *w) {
    struct spl_error err;
    struct spl_core core = {.ctx = w,
                            .input = on_input,
                            .expire = on_expire,
                            .deadline = on_deadline,
                            .output = on_output,
                            .event = on_event,
                            .given = on_given,
                            .effect = on_effect};
    check(spl_loop_new(&w->loop, &core, &err), &err);
}

/* ---- what it is asked to do ---- */

static void say(evutil_socket_t fd, short what, void *ctx) {
    printf("%s\n", (const char *)ctx);
    fflush(stdout);
}

/* Says a line once the loop runs, and with it takes signals. */
static int run_and_say(struct world *w, const char *line) {
    const struct timeval now = {0, 0};
    event_base_once(spl_loop_base(w->loop), -1, EV_TIMEOUT, say, (void *)line, &now);
    return spl_loop_run(w->loop);
}

static struct sp_name name_of(const char *text) {
    struct sp_name n;
    if (sp_name_from_text(&n, text, strlen(text), NULL) != SP_OK)
        die("not a name");
    return n;
}

/* The laptop's address as text. */
static void make_zone(struct world *w, bool forward, char ret[INET6_ADDRSTRLEN]) {
    uint8_t seed[SP_ED25519_SEED] = {1};
    struct sp_ed25519 key;
    struct sp_dir_entry *laptop;
    struct sp_name name = name_of("laptop.me.signpost.");
    bool replaced;
    sp_mem_init(&w->mem, spl_grant_small(), 8 * SP_CHUNK);
    w->config = (struct sp_resolver_config){
        .zone = name_of("me.signpost."), .self = name_of("phone.me.signpost."), .forward = forward, .search = true};
    struct sp_directory_config dc = {.mem = &w->mem, .limit = 10, .zone = w->config.zone, .self = w->config.self};
    sp_ed25519_from_seed(&key, seed);
    if (sp_directory_new(&w->dir, &dc) != SP_OK ||
        sp_directory_learn(w->dir, &name, key.pub, SP_DIR_SESSION, 0, &laptop, &replaced) != SP_OK)
        die("no directory");
    inet_ntop(AF_INET6, laptop->overlay, ret, INET6_ADDRSTRLEN);
}

static int serve(struct world *w, const char *path, const char *conf) {
    struct spl_error err;
    uint8_t self[16];
    char laptop[INET6_ADDRSTRLEN];
    new_loop(w);
    check(spl_resolve_socket_open(&w->socket, w->loop, path, &err), &err);
    make_zone(w, conf != NULL, laptop);
    sp_resolver_addr(w->config.root_hash, self);
    if (conf != NULL)
        check(spl_upstream_new(&w->upstream, w->loop, self, conf, &err), &err);
    int status = run_and_say(w, laptop);
    spl_resolve_socket_free(w->socket);
    spl_upstream_free(w->upstream);
    spl_loop_free(w->loop);
    return status;
}

static int hook(struct world *w, char **args) {
    struct spl_error err;
    struct spl_dns_hook *h;
    struct spl_dns_hook_config c = {.ifname = args[1], .ifindex = if_nametoindex(args[1]), .zone = args[3]};
    if (spl_dns_mode_parse(args[0], &c.mode) != SP_OK || inet_pton(AF_INET6, args[2], c.server) != 1)
        die("no such mode or address");
    new_loop(w);
    c.mode = spl_dns_mode_choose(c.mode);
    check(spl_dns_hook_set(&h, spl_loop_base(w->loop), &c, &err), &err);
    int status = run_and_say(w, spl_dns_mode_text(c.mode));
    spl_dns_hook_free(h);
    spl_loop_free(w->loop);
    return status;
}

int main(int argc, char **argv) {
    static struct world w;
    if (argc == 6 && strcmp(argv[1], "hook") == 0)
        return hook(&w, argv + 2);
    if ((argc == 3 || argc == 4) && strcmp(argv[1], "serve") == 0)
        return serve(&w, argv[2], argv[3]);
    if (argc != 3 || strcmp(argv[1], "heal") != 0)
        die("hook MODE IFNAME ADDRESS ZONE | heal IFNAME | serve SOCKET [CONF]");
    spl_dns_hook_heal(argv[2]);
    return 0;
}
