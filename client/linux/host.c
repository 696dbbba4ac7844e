#define _GNU_SOURCE
#include "client/linux/host.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "client/linux/netwatch.h"
#include "client/linux/overlay.h"
#include "client/linux/privilege.h"
#include "proto/linux/addr.h"
#include "proto/linux/clock.h"
#include "proto/linux/control.h"
#include "proto/linux/record.h"
#include "proto/linux/tcp.h"
#include "proto/linux/udp.h"

#define REQUEST_MAX 4096
#define STREAMS     8 /* TCP connections of the core at once */

struct spl_agent {
    const struct spl_state *state;
    struct spl_loop *loop;
    struct spl_netwatch *watch;
    struct spl_overlay overlay;
    struct sp_agent *core;
    struct spl_record *record; /* NULL: none */
    uint32_t saved; /* generation of the memory on disk */
    bool save_failed, talks, bare;
    enum sp_agent_state said;
};

void spl_secrets_protect(void) {
    struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

/* ---- the core's five calls ---- */

static sp_err on_input(void *ctx, sp_instant now, sp_wall wall, const struct sp_in *in, size_t n, size_t *taken) {
    return sp_agent_input(((struct spl_agent *)ctx)->core, now, wall, in, n, taken);
}

static void on_expire(void *ctx, sp_instant now, sp_wall wall) {
    sp_agent_expire(((struct spl_agent *)ctx)->core, now, wall);
}

static sp_instant on_deadline(void *ctx) {
    return sp_agent_deadline(((struct spl_agent *)ctx)->core);
}

static void save(struct spl_agent *h) {
    struct sp_agent_memory m;
    struct spl_error err;
    sp_agent_memory(h->core, &m);
    if (m.generation == h->saved)
        return;
    if (spl_state_memory_write(h->state, &m, &err) == SP_OK) {
        h->saved = m.generation;
        h->save_failed = false;
    } else if (!h->save_failed) {
        h->save_failed = true;
        spl_say("warning: %s; after a restart old addresses may stay until their lease ends", err.text);
    }
}

/* What is about to be sent is remembered first. */
static size_t on_output(void *ctx, sp_instant now, sp_wall wall, struct sp_out *out, size_t n) {
    size_t made = sp_agent_output(((struct spl_agent *)ctx)->core, now, wall, out, n);
    save(ctx);
    return made;
}

static bool on_event(void *ctx, struct sp_event *ret) {
    return sp_agent_event(((struct spl_agent *)ctx)->core, ret);
}

static void on_given(void *ctx, const struct sp_out *out) {
    spl_overlay_given(&((struct spl_agent *)ctx)->overlay, out);
}

static void on_effect(void *ctx, const struct sp_event *ev) {
    spl_overlay_effect(&((struct spl_agent *)ctx)->overlay, ev);
}

static void on_stop(void *ctx, sp_instant now) {
    sp_agent_quit(((struct spl_agent *)ctx)->core, now);
}

/* ---- what the owner is told ---- */

static void say_state(const struct sp_agent_status *s) {
    char addr[SPL_ADDR_TEXT];
    spl_addr_text(&s->signpost, addr);
    switch (s->state) {
    case SP_AGENT_UP:
        spl_say("up: registered at %s for %u s, %u addresses published", addr, s->lease_s, s->published_count);
        break;
    case SP_AGENT_RETRYING:
        if (s->last_err == SP_ERR_AGAIN)
            spl_say("no answer from %s; trying again (attempt %u)", addr, s->attempts + 1);
        else
            spl_say("%s could not register this device (%s); trying again (attempt %u)", addr,
                    s->last_ede_text[0] != 0 ? s->last_ede_text : sp_err_text(s->last_err), s->attempts + 1);
        break;
    case SP_AGENT_REFUSED:
        spl_say("the signpost refused this device: %s; asking again within an hour",
                s->last_ede_text[0] != 0 ? s->last_ede_text : "no reason given");
        break;
    default:
        break;
    }
}

static void on_turned(void *ctx) {
    struct spl_agent *h = ctx;
    struct sp_agent_status s;
    sp_agent_status(h->core, &s);
    if (!h->talks || s.state == h->said || s.state == SP_AGENT_REGISTERING)
        return;
    h->said = s.state;
    say_state(&s);
}

/* ---- life ---- */

/* Memory of its own pages, so that all of it can be kept from swap and dumps. */
static struct sp_agent *secret_new(void) {
    size_t len = sp_agent_size();
    void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    (void)mlock(p, len); /* allowed or not; it is a second line */
    (void)madvise(p, len, MADV_DONTDUMP);
    return p;
}

/* Of a port that was asked for: another program has it, or we may not. Else a host without one of the families is fine. */
static bool is_refused(sp_err e) {
    return e == SP_ERR_EXIST || e == SP_ERR_DENIED;
}

static sp_err open_sockets(struct spl_agent *h, bool overlay, uint16_t port, struct spl_error *err) {
    unsigned flags = overlay ? SPL_UDP_JOINED | SPL_UDP_WHOLE : 0;
    struct sp_addr any4 = {.family = 4, .port = port}, any6 = {.family = 6, .port = port}, bound;
    struct spl_error why;
    sp_err e4 = spl_udp_open(h->loop, &any4, flags, &bound, err);
    if (port != 0 && is_refused(e4))
        return e4;
    if (e4 == SP_OK && overlay)
        any6.port = bound.port; /* one number for both, if it is free */
    sp_err e6 = spl_udp_open(h->loop, &any6, flags, NULL, &why);
    if (port != 0 && is_refused(e6))
        return spl_error_set(err, e6, "%s", why.text);
    if (e6 == SP_ERR_EXIST) {
        any6.port = 0;
        e6 = spl_udp_open(h->loop, &any6, flags, NULL, &why);
    }
    if (e4 != SP_OK && e6 != SP_OK)
        return e4;
    return SP_OK;
}

/* Streams: of the core to its signpost; in userspace mode, of local programs too. */
static sp_err open_streams(struct spl_agent *h, const struct sp_userspace_config *c, struct spl_error *err) {
    unsigned streams = STREAMS + (c->on ? (c->streams != 0 ? c->streams : SP_USERSPACE_STREAMS) : 0);
    SP_TRY(spl_tcp_open(h->loop, streams, err));
    for (unsigned i = 0; i < c->proxy_count; i++)
        SP_TRY(spl_tcp_listen(h->loop, &c->proxies[i], streams, NULL, err));
    for (unsigned i = 0; i < c->forward_count; i++)
        SP_TRY(spl_tcp_listen(h->loop, &c->forwards[i].listen, streams, NULL, err));
    return SP_OK;
}

static sp_err make(struct spl_agent *h, struct sp_agent_config *config, const struct spl_agent_options *options,
                   struct spl_error *err) {
    static const struct spl_agent_options none;
    const struct spl_agent_options *o = options != NULL ? options : &none;
    if (config->overlay.on && config->overlay.userspace.on)
        spl_overlay_open_userspace(&h->overlay, config);
    else if (config->overlay.on)
        SP_TRY(spl_overlay_open(&h->overlay, config, o->interface, o->dns, err));
    h->core = secret_new();
    if (h->core == NULL)
        return spl_error_set(err, SP_ERR_FULL, "no memory for the agent");
    spl_state_memory_read(h->state, &config->memory);
    spl_seed(config->seed, sizeof config->seed);
    SP_TRY(spl_record_open(&h->record, o->record, SPL_RECORD_AGENT, sizeof *config, err));
    sp_instant now = spl_now();
    spl_record_made(h->record, config, now, spl_wall());
    sp_err e = sp_agent_init(h->core, config, now);
    if (e != SP_OK)
        return spl_error_set(err, e, "the agent cannot be made: %s", sp_err_text(e));
    struct spl_core core = {.ctx = h,
                            .input = on_input,
                            .expire = on_expire,
                            .deadline = on_deadline,
                            .output = on_output,
                            .event = on_event,
                            .turned = on_turned,
                            .given = on_given,
                            .effect = on_effect};
    if (h->overlay.userspace) /* its connections end with the process */
        core.stop = on_stop;
    spl_record_wrap(h->record, &core);
    SP_TRY(spl_loop_new(&h->loop, &core, err));
    SP_TRY(open_sockets(h, config->overlay.on, o->port, err));
    return config->overlay.on ? open_streams(h, &config->overlay.userspace, err) : SP_OK;
}

sp_err spl_agent_new(struct spl_agent **ret, const struct spl_state *state, struct sp_agent_config *config,
                     const struct spl_agent_options *options, struct spl_error *err) {
    struct spl_agent *h = calloc(1, sizeof *h);
    if (h == NULL)
        return spl_error_set(err, SP_ERR_FULL, "no memory for the agent");
    h->state = state;
    sp_err e = make(h, config, options, err);
    if (e == SP_OK)
        *ret = h;
    else
        spl_agent_free(h);
    return e;
}

void spl_agent_free(struct spl_agent *h) {
    if (h == NULL)
        return;
    spl_netwatch_free(h->watch);
    spl_overlay_stop(&h->overlay);
    spl_loop_free(h->loop);
    spl_record_close(h->record);
    if (h->core != NULL) {
        sp_agent_wipe(h->core);
        (void)munmap(h->core, sp_agent_size());
    }
    spl_overlay_close(&h->overlay);
    free(h);
}

struct sp_agent *spl_agent_core(struct spl_agent *h) {
    return h->core;
}

sp_err spl_agent_up(struct spl_agent *h) {
    sp_instant now = spl_now();
    spl_record_called(h->record, SPL_RECORD_UP, now);
    return sp_agent_up(h->core, now);
}

/* Tried once each time that it is found bare, so that two programs do not work against each other for ever. */
static void mend_device(struct spl_agent *h) {
    struct spl_error err;
    bool bare = h->watch != NULL && h->overlay.tun != NULL && spl_netwatch_bare(h->watch);
    if (bare && !h->bare && spl_tun_configure(h->overlay.tun, &err) != SP_OK)
        spl_say("warning: %s has lost its address: %s", spl_tun_name(h->overlay.tun), err.text);
    h->bare = bare;
}

static void on_network(void *ctx, const struct sp_addr *addrs, size_t n) {
    struct spl_agent *h = ctx;
    struct sp_in in = {.kind = SP_IN_LINK, .data = (const uint8_t *)addrs, .len = n * sizeof *addrs};
    (void)spl_loop_deliver(h->loop, &in, 1);
    mend_device(h);
}

sp_err spl_agent_serve(struct spl_agent *h, struct spl_error *err) {
    h->talks = true;
    SP_TRY(spl_control_listen(h->loop, h->state->dirfd, SPL_AGENT_SOCKET, REQUEST_MAX, NULL, NULL, err));
    struct spl_tun *tun = h->overlay.tun;
    if (tun != NULL || h->overlay.userspace) {
        SP_TRY(spl_overlay_start(&h->overlay, h->loop, err));
        SP_TRY(spl_privilege_drop(h->state->dirfd, tun != NULL, err));
    }
    int own = tun != NULL ? spl_tun_index(tun) : 0;
    return spl_netwatch_new(&h->watch, spl_loop_base(h->loop), own, on_network, h, err);
}

int spl_agent_run(struct spl_agent *h, struct sp_agent_status *ret) {
    int status = spl_loop_run(h->loop);
    save(h);
    if (ret != NULL)
        sp_agent_status(h->core, ret);
    return status;
}
