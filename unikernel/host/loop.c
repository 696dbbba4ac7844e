#include "unikernel/host/loop.h"

#include <string.h>

#include "unikernel/dev/control.h"
#include "unikernel/host/resume.h"
#include "unikernel/host/storage.h"
#include "unikernel/xen/console.h"
#include "unikernel/xen/event.h"
#include "unikernel/xen/xen.h"

#define BATCH 16
#define STALL (20 * SP_MS)

static void end(struct spx_loop *l, unsigned reason) {
    l->ended = true;
    l->reason = reason;
}

static void sample_clocks(struct spx_loop *l) {
    l->now = spx_now();
    l->wall = spx_wall();
}

/* ---- out of the core ---- */

/* Room for a frame. The device is waited for, but not for long: what it does not take is lost, as on any wire. */
static bool await_room(struct spx_loop *l, size_t len) {
    if (!l->net.up)
        return false;
    bool got = spx_netfront_room(&l->net.net, len);
    if (!got && !l->stalled) {
        spx_netdev_push(&l->net);
        sp_instant until = spx_now() + STALL;
        do {
            spx_event_wait(&l->net.port_tx, 1, until);
            spx_event_take(l->net.port_tx);
        } while (!(got = spx_netfront_room(&l->net.net, len)) && l->net.up && spx_now() < until);
    }
    l->stalled = !got;
    return got;
}

/* Out of pieces, into as many buffers as it takes. */
static void send_pieces(struct spx_loop *l, const struct sp_net_gather *g) {
    static const uint8_t cuts[] = {[SP_GSO_NONE] = SPX_CUT_NOT,
                                   [SP_GSO_TCP4] = SPX_CUT_TCP4,
                                   [SP_GSO_TCP6] = SPX_CUT_TCP6,
                                   [SP_GSO_UDP] = SPX_CUT_NOT};
    struct spx_net_piece pieces[1 + SP_TCP_SPANS] = {{g->head, g->head_len}};
    struct spx_net_work work = {g->offload.needs_csum, cuts[g->offload.gso], g->offload.gso_size};
    unsigned n = g->head_len > 0;
    for (unsigned i = 0; i < g->spans; i++)
        pieces[n++] = (struct spx_net_piece){g->span[i].data, g->span[i].len};
    if (await_room(l, g->len))
        spx_netfront_send_pieces(&l->net.net, pieces, n, g->len, &work);
}

/* Datagrams are written to a buffer of the device; frames that lie elsewhere are copied there. */
static void send_frames(struct spx_loop *l) {
    static uint8_t nowhere[SPX_NET_ROOM];
    struct sp_net_gather g;
    bool some;
    do {
        struct spx_frame f;
        bool got = await_room(l, 1) && spx_netfront_take(&l->net.net, &f);
        some = sp_direct_gather(&l->direct, l->now, got ? f.data : nowhere, SPX_NET_ROOM, &g);
        if (!got)
            continue;
        bool here = some && g.head_len == 0 && g.span[0].data == f.data;
        f.len = here ? (uint16_t)g.len : 0;
        f.blank = here && g.offload.needs_csum;
        spx_netfront_send(&l->net.net, &f);
        if (some && !here)
            send_pieces(l, &g);
    } while (some);
}

void spx_loop_send(struct spx_loop *l, const struct sp_out *datagram) {
    sp_direct_outputs(&l->direct, datagram, 1);
    send_frames(l);
    spx_netdev_push(&l->net);
}

static void take_reply(struct spx_loop *l, const struct sp_out *out) {
    l->replied = true;
    l->reply_len = out->len < sizeof l->reply ? out->len : sizeof l->reply;
    memcpy(l->reply, out->data, l->reply_len);
}

static void submit(struct spx_loop *l) {
    l->held_err = spx_blkfront_submit(&l->disk.disk, &l->request);
    l->held = l->held_err != SP_OK;
}

static void take_event(struct spx_loop *l, const struct sp_event *ev) {
    switch (ev->kind) {
    case SP_EV_BLK:
        l->request = ev->blk;
        submit(l);
        break;
    case SP_EV_STOP:
        l->ended = true; /* for the reason that was given when it was asked to */
        break;
    case SP_EV_FATAL:
        spx_print("signpost: cannot go on: %s\n", ev->text != NULL ? ev->text : "no reason given");
        end(l, SPX_CRASH);
        break;
    case SP_EV_CONNECT: /* this core connects to nobody and forwards nothing */
    case SP_EV_FORWARD:
        break;
    }
}

static void drain(struct spx_loop *l) {
    size_t n;
    send_frames(l); /* the interface's own */
    do { /* that there is no more is told, too */
        n = sp_server_output(l->server, l->now, l->out, SPX_LOOP_OUT);
        sp_direct_outputs(&l->direct, l->out, n);
        send_frames(l);
        for (size_t i = 0; i < n; i++)
            if (l->out[i].kind == SP_OUT_CONTROL)
                take_reply(l, &l->out[i]);
    } while (n > 0);
    struct sp_event ev;
    while (!l->held && !l->ended && sp_server_event(l->server, &ev))
        take_event(l, &ev);
    spx_netdev_push(&l->net);
    if (l->has_disk)
        spx_blkdev_push(&l->disk);
}

/* ---- into the core ---- */

/* Gives inputs, draining whenever the core takes no more; how many it took. */
static size_t give(struct spx_loop *l, const struct sp_in *in, size_t n) {
    size_t done = 0;
    for (bool drained = false; done < n;) {
        size_t taken = 0;
        if (sp_server_input(l->server, l->now, l->wall, in + done, n - done, &taken) != SP_OK)
            break;
        done += taken;
        if (done == n || (taken == 0 && drained))
            break;
        drain(l);
        drained = taken == 0;
    }
    return done;
}

/* What came over the network. What the core has no room for is lost, and a stream of which that is so with it. */
static void give_traffic(struct spx_loop *l, const struct sp_in *in, size_t n) {
    size_t done = give(l, in, n);
    if (done < n)
        sp_direct_refused(&l->direct, l->now, in + done, n - done);
}

static void give_frames(struct spx_loop *l, const struct sp_direct_frame *frames, size_t n) {
    while (n > 0) {
        struct sp_in in[BATCH];
        size_t taken, got = sp_direct_frames(&l->direct, l->now, frames, n, in, BATCH, &taken);
        give_traffic(l, in, got);
        frames += taken;
        n -= taken;
    }
}

/* What there is to say of streams without a frame, until neither they nor the core have more to say. */
static void give_events(struct spx_loop *l) {
    struct sp_in in[BATCH];
    for (size_t n; (n = sp_direct_events(&l->direct, l->now, in, BATCH)) > 0; drain(l))
        give_traffic(l, in, n);
}

/* True: there may be more. */
static bool receive(struct spx_loop *l) {
    struct spx_frame frames[BATCH];
    struct sp_direct_frame list[BATCH];
    if (!l->net.up)
        return false;
    size_t n = spx_netfront_receive(&l->net.net, frames, BATCH);
    for (size_t i = 0; i < n; i++)
        list[i] =
            (struct sp_direct_frame){frames[i].data, frames[i].len,
                                     frames[i].blank || frames[i].validated ? SP_NET_CSUM_GOOD : SP_NET_CSUM_CHECK};
    give_frames(l, list, n);
    for (size_t i = 0; i < n; i++)
        spx_netfront_return(&l->net.net, frames[i].id);
    return n == BATCH;
}

static bool complete(struct spx_loop *l) {
    struct spx_blk_done done[BATCH];
    struct sp_in in[BATCH];
    if (!l->has_disk)
        return false;
    size_t n = spx_blkfront_complete(&l->disk.disk, done, BATCH - 1); /* of one that has gone too: errors */
    for (size_t i = 0; i < n; i++)
        in[i] = (struct sp_in){.kind = SP_IN_BLK, .id = done[i].id, .err = done[i].err};
    if (l->held && l->held_err == SP_ERR_FULL) {
        submit(l);
    } else if (l->held) {
        in[n++] = (struct sp_in){.kind = SP_IN_BLK, .id = l->request.id, .err = l->held_err};
        l->held = false;
    }
    (void)give(l, in, n);
    return n > 0;
}

static void tell_link(struct spx_loop *l) {
    struct sp_in link;
    if (l->net_up != l->net.up) {
        l->net_up = l->net.up;
        sp_net_offload(l->direct.net, (l->net.sums4 ? SP_NET_SUM4 : 0) | (l->net.sums6 ? SP_NET_SUM6 : 0) |
                                          (l->net.cuts4 ? SP_NET_TSO4 : 0) | (l->net.cuts6 ? SP_NET_TSO6 : 0));
        sp_net_link(l->direct.net, l->now, l->net_up);
    }
    if (sp_direct_link(&l->direct, &link))
        (void)give(l, &link, 1);
}

/* ---- the toolstack's wishes ---- */

static void stop(struct spx_loop *l, unsigned reason) {
    spx_print("signpost: asked to %s\n", reason == SPX_REBOOT ? "reboot" : "power off");
    l->reason = reason;
    if (l->stopping)
        return;
    spx_storage_stop(l);
    sp_server_stop(l->server, l->now);
}

static void obey(struct spx_loop *l) {
    switch (spx_control_take(&l->store, SPX_TOKEN_SHUTDOWN)) {
    case SPX_ASK_NOTHING:
        break;
    case SPX_ASK_POWEROFF:
        stop(l, SPX_POWEROFF);
        break;
    case SPX_ASK_REBOOT:
        stop(l, SPX_REBOOT);
        break;
    case SPX_ASK_SUSPEND:
        spx_loop_suspend(l);
        break;
    }
}

static void watch(struct spx_loop *l) {
    struct spx_xs_reply reply;
    spx_xs_turn(&l->store, &reply);
    if (l->store.fault != NULL && !l->store_lost) {
        spx_print(
            "signpost: the xenstore broke its protocol: %s; it serves on, but hears of no shutdown, save or device\n",
            l->store.fault);
        l->store_lost = true;
    }
    spx_netdev_watch(&l->net);
    if (l->has_disk)
        spx_blkdev_watch(&l->disk);
    obey(l);
}

/* ---- the loop ---- */

sp_err spx_loop_watch_store(struct spx_loop *l) {
    return spx_control_open(&l->store, SPX_TOKEN_SHUTDOWN);
}

sp_err spx_loop_start(struct spx_loop *l) {
    sample_clocks(l);
    l->more = true;
    SP_TRY(spx_loop_watch_store(l));
    tell_link(l);
    drain(l);
    return SP_OK;
}

static sp_instant deadline(const struct spx_loop *l) {
    sp_instant at = sp_direct_deadline(&l->direct, sp_server_deadline(l->server));
    at = sp_instant_min(at, l->report.wake);
    return l->stopping ? sp_instant_min(at, l->stop_at) : at;
}

/* One look at everything, after the events were taken: what comes from here on is an event again. */
static bool turn(struct spx_loop *l) {
    sample_clocks(l);
    watch(l);
    bool more = receive(l);
    more |= complete(l);
    if (deadline(l) <= l->now) {
        sp_direct_expire(&l->direct, l->now);
        sp_server_expire(l->server, l->now, l->wall);
    }
    tell_link(l);
    drain(l);
    give_events(l);
    spx_report_turn(l);
    spx_storage_tell(l);
    spx_storage_check_stop(l);
    /* A flush of a disk that needs none is complete after the push, without an event. */
    return complete(l) || more || (l->held && l->held_err != SP_ERR_FULL);
}

void spx_loop_step(struct spx_loop *l) {
    /* Who waits for room to send waits in take_buffer: no need to have Xen look at port_tx too. */
    const uint32_t ports[] = {l->net.port_rx, l->store.port, l->has_disk ? l->disk.port : 0};
    if (!l->more)
        spx_event_wait(ports, sizeof ports / sizeof ports[0], deadline(l));
    for (size_t i = 0; i < sizeof ports / sizeof ports[0]; i++)
        if (ports[i] != 0)
            spx_event_take(ports[i]);
    l->more = turn(l);
}

bool spx_loop_ask(struct spx_loop *l, const uint8_t *request, size_t len) {
    struct sp_in in = {.kind = SP_IN_CONTROL, .id = 1, .data = request, .len = len};
    l->replied = false;
    sample_clocks(l);
    if (give(l, &in, 1) != 1)
        return false;
    drain(l);
    while (!l->replied && !l->ended)
        spx_loop_step(l);
    return l->replied;
}
