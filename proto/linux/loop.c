#define _GNU_SOURCE
#include "proto/linux/loop.h"

#include <signal.h>
#include <stdlib.h>

#include "proto/linux/control.h"
#include "proto/linux/room.h"

/* Rounds of one turn; then other sockets have their say before it goes on. */
#define TURN_ROUNDS 64
#define DONE_BATCH  8

static size_t give(struct spl_loop *l, const struct sp_in *in, size_t n);

static void sample(struct spl_loop *l) {
    l->now = spl_now();
    l->wall = spl_wall();
}

static void dispatch(struct spl_loop *l, const struct sp_out *out) {
    switch (out->kind) {
    case SP_OUT_DATAGRAM:
        if (l->udp != NULL)
            spl_udp_send(l->udp, out);
        break;
    case SP_OUT_STREAM_DATA:
    case SP_OUT_STREAM_CLOSE:
    case SP_OUT_STREAM_RESET:
    case SP_OUT_STREAM_CREDIT:
    case SP_OUT_STREAM_END:
        if (l->tcp != NULL)
            spl_tcp_output(l->tcp, out);
        break;
    case SP_OUT_CONTROL:
        if ((out->id & SPL_OWN_ID) == 0)
            spl_control_reply(l, out->id, out->data, out->len);
        else if (l->core.replied != NULL)
            l->core.replied(l->core.ctx, out->id, out->data, out->len);
        break;
    case SP_OUT_PACKET:
    case SP_OUT_RESOLVED:
        if (l->core.given != NULL)
            l->core.given(l->core.ctx, out);
        break;
    }
}

static void effect(struct spl_loop *l, const struct sp_event *ev) {
    switch (ev->kind) {
    case SP_EV_BLK:
        SP_ASSERT(l->disk != NULL);
        spl_disk_request(l->disk, &ev->blk);
        break;
    case SP_EV_STOP:
        spl_loop_end(l, 0);
        break;
    case SP_EV_FATAL:
        spl_say("cannot go on: %s", ev->text != NULL ? ev->text : "no reason given");
        spl_loop_end(l, 1);
        break;
    case SP_EV_CONNECT:
    case SP_EV_FORWARD:
        if (l->core.effect != NULL)
            l->core.effect(l->core.ctx, ev);
        break;
    }
}

static void drain(struct spl_loop *l) {
    size_t n;
    while ((n = l->core.output(l->core.ctx, l->now, l->wall, l->out, SPL_OUT_BATCH)) > 0)
        for (size_t i = 0; i < n; i++)
            dispatch(l, &l->out[i]);
    if (l->udp != NULL)
        spl_udp_flush(l->udp);
    struct sp_event ev;
    while (l->core.event(l->core.ctx, &ev))
        effect(l, &ev);
}

/* Completed disk requests, between two parts of an input, so that the disk goes on with the next while the core works.
 */
static void complete(struct spl_loop *l) {
    struct sp_in done[DONE_BATCH];
    size_t n;
    while (l->disk != NULL && (n = spl_disk_done(l->disk, done, DONE_BATCH)) > 0)
        (void)give(l, done, n);
}

/* Gives inputs, draining whenever the core takes no more. Returns how many were taken. */
static size_t give(struct spl_loop *l, const struct sp_in *in, size_t n) {
    size_t done = 0;
    bool drained = false;
    while (done < n) {
        size_t taken = 0;
        sp_err err = l->core.input(l->core.ctx, l->now, l->wall, in + done, n - done, &taken);
        done += taken;
        if (done == n)
            break;
        if (taken == 0 && drained) {
            if (l->core.refused != NULL)
                l->core.refused(l->core.ctx, err, &in[done]);
            break;
        }
        drain(l);
        drained = taken == 0;
        if (in->kind != SP_IN_BLK)
            complete(l);
    }
    return done;
}

static void rearm(struct spl_loop *l) {
    sp_instant due = l->core.deadline(l->core.ctx);
    /* A timer that is set too early costs one look; setting it anew on every turn costs more. */
    if (due == SP_NEVER || due >= l->armed)
        return;
    sp_duration in = due > l->now ? due - l->now : 0;
    struct timeval tv = {(time_t)(in / SP_SEC), (suseconds_t)(in % SP_SEC / SP_US)};
    event_add(l->timer, &tv);
    l->armed = due;
}

static void turn(struct spl_loop *l) {
    for (unsigned round = 0;; round++) {
        if (l->core.deadline(l->core.ctx) <= l->now)
            l->core.expire(l->core.ctx, l->now, l->wall);
        drain(l);
        size_t n = 0;
        if (l->disk != NULL)
            n += spl_disk_done(l->disk, l->in, SPL_IN_BATCH);
        if (l->tcp != NULL)
            n += spl_tcp_flush(l->tcp, l->in + n, SPL_IN_BATCH - n);
        if (n == 0)
            break;
        (void)give(l, l->in, n);
        if (round == TURN_ROUNDS) {
            drain(l);
            event_active(l->again, EV_TIMEOUT, 1);
            break;
        }
    }
    rearm(l);
    if (l->core.turned != NULL)
        l->core.turned(l->core.ctx);
}

size_t spl_loop_deliver(struct spl_loop *l, const struct sp_in *in, size_t n) {
    sample(l);
    size_t taken = give(l, in, n);
    turn(l);
    return taken;
}

void spl_loop_turn(struct spl_loop *l) {
    sample(l);
    turn(l);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx) {
    struct spl_loop *l = ctx;
    l->armed = SP_NEVER;
    spl_loop_turn(l);
}

static void on_again(evutil_socket_t fd, short what, void *ctx) {
    spl_loop_turn(ctx);
}

static void on_stop(evutil_socket_t fd, short what, void *ctx) {
    struct spl_loop *l = ctx;
    if (l->stopping || l->core.stop == NULL) {
        spl_loop_end(l, 0);
        return;
    }
    l->stopping = true;
    sample(l);
    l->core.stop(l->core.ctx, l->now);
    turn(l);
}

static void on_hup(evutil_socket_t fd, short what, void *ctx) {
    spl_say("SIGHUP ignored: there is nothing to reload; restart to change the configuration");
}

sp_err spl_loop_new(struct spl_loop **ret, const struct spl_core *core, struct spl_error *err) {
    struct spl_loop *l = calloc(1, sizeof *l);
    if (l == NULL)
        return spl_error_set(err, SP_ERR_FULL, "no memory for the event loop");
    l->core = *core;
    l->armed = SP_NEVER;
    l->base = event_base_new();
    if (l->base != NULL) {
        l->timer = evtimer_new(l->base, on_timer, l);
        l->again = event_new(l->base, -1, 0, on_again, l);
        l->term = evsignal_new(l->base, SIGTERM, on_stop, l);
        l->intr = evsignal_new(l->base, SIGINT, on_stop, l);
        l->hup = evsignal_new(l->base, SIGHUP, on_hup, l);
    }
    if (l->timer == NULL || l->again == NULL || l->term == NULL || l->intr == NULL || l->hup == NULL) {
        spl_loop_free(l);
        return spl_error_set(err, SP_ERR_FULL, "cannot make the event loop");
    }
    sample(l);
    *ret = l;
    return SP_OK;
}

void spl_loop_free(struct spl_loop *l) {
    if (l == NULL)
        return;
    spl_control_free(l->control);
    spl_tcp_free(l->tcp);
    spl_udp_free(l->udp);
    spl_disk_free(l->disk);
    struct event *own[] = {l->timer, l->again, l->term, l->intr, l->hup};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (own[i] != NULL)
            event_free(own[i]);
    if (l->base != NULL)
        event_base_free(l->base);
    free(l);
}

struct event_base *spl_loop_base(struct spl_loop *l) {
    return l->base;
}

int spl_loop_run(struct spl_loop *l) {
    signal(SIGPIPE, SIG_IGN);
    event_add(l->term, NULL);
    event_add(l->intr, NULL);
    event_add(l->hup, NULL);
    spl_loop_turn(l);
    if (!l->ended && event_base_loop(l->base, EVLOOP_NO_EXIT_ON_EMPTY) < 0) {
        spl_say("the event loop failed");
        return 1;
    }
    return l->status;
}

void spl_loop_end(struct spl_loop *l, int status) {
    if (l->ended)
        return;
    l->ended = true;
    l->status = status;
    event_base_loopbreak(l->base);
}
