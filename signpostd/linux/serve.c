#define _GNU_SOURCE
#include "signpostd/linux/serve.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/control/operator.h"
#include <event2/event.h>

#include "proto/linux/addr.h"
#include "proto/linux/clock.h"
#include "proto/linux/control.h"
#include "proto/linux/disk.h"
#include "proto/linux/file.h"
#include "proto/linux/record.h"
#include "proto/linux/tcp.h"
#include "proto/linux/udp.h"
#include "signpostd/linux/daemon.h"
#include "signpostd/linux/notify.h"
#include "signpostd/linux/privilege.h"

/* ---- the core, as the loop calls it ---- */

static sp_err core_input(void *ctx, sp_instant now, sp_wall wall, const struct sp_in *in, size_t n, size_t *taken) {
    struct spl_daemon *d = ctx;
    return sp_server_input(d->server, now, wall, in, n, taken);
}

static void core_expire(void *ctx, sp_instant now, sp_wall wall) {
    struct spl_daemon *d = ctx;
    sp_server_expire(d->server, now, wall);
}

static sp_instant core_deadline(void *ctx) {
    struct spl_daemon *d = ctx;
    return sp_server_deadline(d->server);
}

static size_t core_output(void *ctx, sp_instant now, sp_wall wall, struct sp_out *out, size_t n) {
    struct spl_daemon *d = ctx;
    return sp_server_output(d->server, now, out, n);
}

static bool core_event(void *ctx, struct sp_event *ret) {
    struct spl_daemon *d = ctx;
    return sp_server_event(d->server, ret);
}

static void core_stop(void *ctx, sp_instant now) {
    struct spl_daemon *d = ctx;
    spl_notify("STOPPING=1");
    sp_server_stop(d->server, now);
}

static void on_ready(evutil_socket_t fd, short what, void *ctx) {
    struct spl_daemon *d = ctx;
    spl_say("ready");
    spl_notify("READY=1");
    spl_zones_start(d);
}

/* After each turn; must not re-enter the loop, so what follows readiness gets a turn of its own. */
static void core_turned(void *ctx) {
    struct spl_daemon *d = ctx;
    if (d->ready || !sp_server_ready(d->server))
        return;
    d->ready = true;
    static const struct timeval at_once;
    event_base_once(spl_loop_base(d->loop), -1, EV_TIMEOUT, on_ready, d, &at_once);
}

static void core_replied(void *ctx, uint64_t id, const uint8_t *data, size_t len) {
    struct spl_daemon *d = ctx;
    enum spl_own what = (enum spl_own)(id & ~SPL_OWN_ID);
    if (what == SPL_OWN_METRICS)
        spl_http_replied(d, data, len);
    else
        spl_zones_replied(d, what, data, len);
}

bool spl_daemon_ask(struct spl_daemon *d, enum spl_own what, const void *data, size_t len) {
    struct sp_in in = {.kind = SP_IN_CONTROL, .id = SPL_OWN_ID | (uint64_t)what, .data = data, .len = len};
    return spl_loop_deliver(d->loop, &in, 1) == 1;
}

/* ---- opening ---- */

static sp_err listen_all(struct spl_daemon *d, struct spl_error *err) {
    static const struct sp_addr any[] = {{.family = 6, .port = 53}, {.family = 4, .port = 53}};
    const struct spl_config *c = d->config;
    const struct sp_addr *addrs = c->listen_count > 0 ? c->listen : any;
    unsigned n = c->listen_count > 0 ? c->listen_count : 2;
    for (unsigned i = 0; i < n; i++) {
        struct spl_error why;
        struct sp_addr bound;
        sp_err e = spl_udp_open(d->loop, &addrs[i], SPL_UDP_JOINED, &bound, &why);
        if (e == SP_OK)
            e = spl_tcp_listen(d->loop, &bound, c->server.limits.streams, NULL, &why);
        if (e == SP_ERR_EXIST)
            return spl_error_set(
                err, e, "%s; another program has this port: stop it, or give another address with --listen", why.text);
        if (e == SP_ERR_DENIED)
            return spl_error_set(err, e,
                                 "%s; ports under 1024 need root or CAP_NET_BIND_SERVICE: start as root, or use "
                                 "another port with --listen",
                                 why.text);
        if (e != SP_OK)
            return spl_error_set(err, e, "%s", why.text);
        d->bound[d->bound_count++] = bound;
        char text[SPL_ADDR_TEXT];
        spl_say("listening on %s (UDP, TCP)", spl_addr_text(&bound, text));
    }
    return SP_OK;
}

static void allow_files(const struct spl_config *c) {
    struct rlimit lim;
    rlim_t want = c->server.limits.streams + c->server.limits.streams / 8 + 256;
    if (getrlimit(RLIMIT_NOFILE, &lim) != 0 || lim.rlim_cur >= want)
        return;
    lim.rlim_cur = want;
    if (lim.rlim_max < want)
        lim.rlim_max = want;
    if (setrlimit(RLIMIT_NOFILE, &lim) == 0)
        return;
    getrlimit(RLIMIT_NOFILE, &lim);
    lim.rlim_cur = lim.rlim_max;
    (void)!setrlimit(RLIMIT_NOFILE, &lim);
    spl_say("only %llu open files are allowed: fewer than %llu TCP connections will be served",
            (unsigned long long)lim.rlim_max, (unsigned long long)c->server.limits.streams);
}

/* Who asked for what from afar, and nothing of what it was about. */
static void on_trace(void *ctx, const struct sp_trace_event *ev) {
    if (ev->kind != SP_TRACE_operator_request)
        return;
    uint8_t key[8];
    char text[9];
    sp_put_u32(key, (uint32_t)(ev->a >> 16));
    sp_put_u16(key + 4, (uint16_t)ev->a);
    text[sp_base64_encode(key, 6, text, 8)] = 0;
    spl_say("operator %s, from afar: %s", text, sp_op_verb_text((unsigned)ev->b));
}

static sp_err start_server(struct spl_daemon *d, int dirfd, struct spl_error *err) {
    struct sp_server_config sc = d->config->server;
    struct spl_error why;
    sp_err e = spl_disk_open(d->loop, dirfd, "log", d->config->log_bytes / SP_BLK_SIZE, &sc.disk_blocks,
                             &sc.disk_format, &why);
    if (e != SP_OK)
        return spl_error_set(err, e, "%s (in %s)", why.text, d->config->data);
    sc.trace = (struct sp_trace){.sink = on_trace};
    sc.grant = spl_grant();
    spl_seed(sc.seed, sizeof sc.seed);
    sp_instant now = spl_now();
    sp_wall wall = spl_wall();
    spl_record_made(d->record, &sc, now, wall);
    e = sp_server_new(&d->server, &sc, now, wall);
    explicit_bzero(sc.seed, sizeof sc.seed);
    if (e == SP_ERR_FULL)
        return spl_error_set(err, e,
                             "not enough memory for the configured limits; raise limits.memory or lower the others");
    if (e != SP_OK)
        return spl_error_set(err, e, "the server cannot start: %s", sp_err_text(e));
    return spl_control_listen(d->loop, dirfd, "control.sock", SP_OP_REQUEST_MAX, NULL, NULL, err);
}

static sp_err open_all(struct spl_daemon *d, int *dirfd, struct spl_error *err) {
    struct spl_identity who;
    const struct spl_config *c = d->config;
    SP_TRY(spl_identity_find(&who, c->user, c->group, err));
    SP_TRY(spl_dir_open(dirfd, c->data, err));
    SP_TRY(spl_identity_trusts(&who, *dirfd, c->data, err));
    SP_TRY(spl_dir_lock(*dirfd, c->data, err));
    allow_files(c);
    SP_TRY(listen_all(d, err));
    if (c->metrics.family != 0)
        SP_TRY(spl_http_open(d, &c->metrics, err));
    SP_TRY(spl_identity_own(&who, *dirfd, c->data, err));
    SP_TRY(spl_identity_become(&who, err));
    SP_TRY(start_server(d, *dirfd, err));
    struct sp_in link = {
        .kind = SP_IN_LINK, .data = (const uint8_t *)d->bound, .len = d->bound_count * sizeof d->bound[0]};
    (void)spl_loop_deliver(d->loop, &link, 1);
    return SP_OK;
}

static sp_err open_loop(struct spl_daemon *d, struct spl_core *core, struct spl_error *err) {
    SP_TRY(spl_record_open(&d->record, d->config->record, SPL_RECORD_SERVER, sizeof(struct sp_server_config), err));
    spl_record_wrap(d->record, core);
    return spl_loop_new(&d->loop, core, err);
}

int spl_serve(const struct spl_config *config) {
    static const struct spl_core calls = {.input = core_input,
                                          .expire = core_expire,
                                          .deadline = core_deadline,
                                          .output = core_output,
                                          .event = core_event,
                                          .stop = core_stop,
                                          .turned = core_turned,
                                          .replied = core_replied};
    struct spl_daemon *d = calloc(1, sizeof *d);
    struct spl_error err = {"no memory"};
    int dirfd = -1, status = 1;
    umask(077);
    static const struct rlimit no_core; /* memory holds keys */
    (void)setrlimit(RLIMIT_CORE, &no_core);
    if (d != NULL) {
        struct spl_core core = calls;
        core.ctx = d;
        d->config = config;
        if (open_loop(d, &core, &err) == SP_OK && open_all(d, &dirfd, &err) == SP_OK) {
            err.text[0] = 0;
            status = spl_loop_run(d->loop);
            if (status == 0)
                spl_say("stopped");
        }
    }
    if (err.text[0] != 0)
        spl_say("%s", err.text);
    if (d != NULL) {
        spl_http_close(d);
        spl_loop_free(d->loop); /* joins the disk's thread, which borrows the core's buffers */
        if (d->server != NULL)
            sp_server_free(d->server);
        spl_record_close(d->record);
    }
    free(d);
    if (dirfd >= 0)
        close(dirfd);
    return status;
}
