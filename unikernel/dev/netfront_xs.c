#include "unikernel/dev/netfront_xs.h"

#include "unikernel/xen/console.h"
#include "unikernel/xen/event.h"
#include "unikernel/xen/xen.h"

#define MTU_DEFAULT 1500

/* What the toolstack has written down for us. */
static sp_err read_address(struct spx_netdev *dev) {
    struct spx_text path = dev->bus.front;
    struct spx_xs_reply reply;
    uint64_t mtu = MTU_DEFAULT;
    spx_text_add(&path, "/mac");
    SP_TRY(spx_xs_read(dev->bus.xs, path.s, &reply));
    if (!spx_text_mac(reply.data, reply.len, dev->mac))
        return SP_ERR_FORM;
    path = dev->bus.front;
    spx_text_add(&path, "/mtu");
    sp_err err = spx_xs_number(dev->bus.xs, path.s, &mtu);
    if (err != SP_OK && err != SP_ERR_NOENT)
        return err;
    dev->mtu =
        mtu >= 576 && mtu <= MTU_DEFAULT ? (uint16_t)mtu : MTU_DEFAULT; /* more would not fit a frame in a buffer */
    return SP_OK;
}

static uint32_t grant_ring(struct spx_netdev *dev, void *page) {
    uint32_t ref = spx_grant_alloc(dev->net.grants);
    if (ref != 0)
        spx_grant_permit(dev->net.grants, ref, dev->bus.backend, page, false);
    return ref;
}

static sp_err make_rings(struct spx_netdev *dev, bool split) {
    SP_TRY(spx_netfront_start(&dev->net, dev->bus.backend));
    dev->tx_ref = grant_ring(dev, dev->net.tx_page);
    dev->rx_ref = grant_ring(dev, dev->net.rx_page);
    dev->port_tx = spx_event_alloc(dev->bus.backend);
    dev->port_rx = split ? spx_event_alloc(dev->bus.backend) : dev->port_tx;
    return dev->tx_ref != 0 && dev->rx_ref != 0 && dev->port_tx != 0 && dev->port_rx != 0 ? SP_OK : SP_ERR_FULL;
}

static sp_err announce(struct spx_netdev *dev, bool split) {
    struct spx_bus_key keys[SPX_BUS_KEYS] = {{"tx-ring-ref", dev->tx_ref},
                                             {"rx-ring-ref", dev->rx_ref},
                                             {"request-rx-copy", 1},
                                             {"feature-rx-notify", 1},
                                             {"feature-sg", 0},
                                             {"feature-ipv6-csum-offload", 1},
                                             {"state", XenbusStateConnected}};
    size_t n = 7;
    if (split) {
        keys[n++] = (struct spx_bus_key){"event-channel-tx", dev->port_tx};
        keys[n++] = (struct spx_bus_key){"event-channel-rx", dev->port_rx};
    } else {
        keys[n++] = (struct spx_bus_key){"event-channel", dev->port_tx};
    }
    return spx_bus_say(&dev->bus, keys, n);
}

static void wake(struct spx_netdev *dev) {
    spx_notify(dev->port_tx);
    if (dev->port_rx != dev->port_tx)
        spx_notify(dev->port_rx);
}

/* Long frames need several slots of the ring, and buffers that are whole pages. */
static sp_err read_cuts(struct spx_netdev *dev) {
    uint64_t several, four, six;
    SP_TRY(spx_bus_offer(&dev->bus, "feature-sg", 0, &several));
    SP_TRY(spx_bus_offer(&dev->bus, "feature-gso-tcpv4", 0, &four));
    SP_TRY(spx_bus_offer(&dev->bus, "feature-gso-tcpv6", 0, &six));
    bool able = several != 0 && dev->net.tx_room == SPX_PAGE;
    dev->cuts4 = able && four != 0 && dev->sums4;
    dev->cuts6 = able && six != 0 && dev->sums6;
    return SP_OK;
}

static sp_err read_sums(struct spx_netdev *dev) {
    uint64_t none, ipv6;
    SP_TRY(spx_bus_offer(&dev->bus, "feature-no-csum-offload", 0, &none));
    SP_TRY(spx_bus_offer(&dev->bus, "feature-ipv6-csum-offload", 0, &ipv6));
    dev->sums4 = none == 0;
    dev->sums6 = none == 0 && ipv6 != 0;
    return read_cuts(dev);
}

static sp_err connect(struct spx_netdev *dev) {
    sp_instant deadline = sp_instant_add(spx_now(), SPX_DEVICE_PATIENCE);
    unsigned state;
    uint64_t copies, split;
    SP_TRY(read_address(dev));
    SP_TRY(spx_bus_await(&dev->bus, 1 << XenbusStateInitWait, deadline, &state));
    SP_TRY(spx_bus_offer(&dev->bus, "feature-rx-copy", 0, &copies));
    SP_TRY(spx_bus_offer(&dev->bus, "feature-split-event-channels", 0, &split));
    if (copies == 0)
        return SP_ERR_UNSUP;
    SP_TRY(read_sums(dev));
    SP_TRY(make_rings(dev, split != 0));
    SP_TRY(announce(dev, split != 0));
    SP_TRY(spx_bus_await(&dev->bus, 1 << XenbusStateConnected, deadline, &state));
    dev->up = true;
    spx_netdev_push(dev);
    wake(dev);
    return SP_OK;
}

/* Has the store tell us when the toolstack changes the vif's own folder, under the token that the backend's state has
 * else. */
static void await_vif(struct spx_netdev *dev, bool wanted) {
    if (dev->awaited == wanted)
        return;
    struct spx_xs *xs = dev->bus.xs;
    const char *path = dev->bus.front.s;
    sp_err err = wanted ? spx_xs_watch(xs, path, dev->bus.token) : spx_xs_unwatch(xs, path, dev->bus.token);
    if (err == SP_OK)
        dev->awaited = wanted;
}

sp_err spx_netdev_open(struct spx_netdev *dev, struct spx_xs *xs, unsigned number, unsigned token) {
    dev->number = number;
    dev->up = false;
    sp_err err = spx_bus_find(&dev->bus, xs, "vif", number, token);
    if (err == SP_OK)
        err = connect(dev);
    if (err != SP_OK && err != SP_ERR_NOENT)
        spx_netdev_close(dev);
    return err;
}

static void end_ring(struct spx_netdev *dev, uint32_t *ref) {
    if (*ref != 0 && spx_grant_end(dev->net.grants, *ref)) {
        spx_grant_free(dev->net.grants, *ref);
        *ref = 0;
    }
}

void spx_netdev_close(struct spx_netdev *dev) {
    static const struct spx_bus_key closed = {"state", XenbusStateClosed};
    unsigned state;
    dev->up = false;
    if (spx_bus_say(&dev->bus, &closed, 1) == SP_OK &&
        dev->tx_ref != 0) /* the backend lets go of the rings before it says so */
        (void)!spx_bus_await(&dev->bus, 1 << XenbusStateClosed | 1 << XenbusStateInitWait | 1 << XenbusStateUnknown,
                             sp_instant_add(spx_now(), SP_SEC), &state);
    spx_event_close(dev->port_tx);
    if (dev->port_rx != dev->port_tx)
        spx_event_close(dev->port_rx);
    dev->port_tx = dev->port_rx = 0;
    end_ring(dev, &dev->tx_ref);
    end_ring(dev, &dev->rx_ref);
    if (spx_netfront_stop(&dev->net) != SP_OK || dev->tx_ref != 0 || dev->rx_ref != 0)
        spx_print("vif %u: its backend keeps hold of pages\n", (uint64_t)dev->number);
    spx_bus_leave(&dev->bus);
}

sp_err spx_netdev_resume(struct spx_netdev *dev) {
    spx_netfront_forget(&dev->net);
    dev->tx_ref = dev->rx_ref = dev->port_tx = dev->port_rx = 0;
    dev->awaited = false;
    sp_err err = spx_netdev_open(dev, dev->bus.xs, dev->number, dev->bus.token);
    await_vif(dev, err != SP_OK);
    return err;
}

/* A backend that breaks the rules is told that we close, and why stands on the console. */
static void check_fault(struct spx_netdev *dev) {
    if (!dev->up || dev->net.fault == NULL)
        return;
    spx_print("vif %u stopped: its backend broke the rules: %s\n", (uint64_t)dev->number, dev->net.fault);
    spx_netdev_close(dev);
}

void spx_netdev_push(struct spx_netdev *dev) {
    check_fault(dev);
    unsigned rings = spx_netfront_push(&dev->net);
    if ((rings & SPX_NET_TX) != 0)
        spx_notify(dev->port_tx);
    if ((rings & SPX_NET_RX) != 0 && ((rings & SPX_NET_TX) == 0 || dev->port_rx != dev->port_tx))
        spx_notify(dev->port_rx);
}

/* A vif that the toolstack has just made stands in its first state; one that was closed does not. */
static void look_for_vif(struct spx_netdev *dev) {
    struct spx_text path = dev->bus.front;
    uint64_t state;
    spx_text_add(&path, "/state");
    if (spx_xs_number(dev->bus.xs, path.s, &state) != SP_OK || state != XenbusStateInitialising)
        return;
    await_vif(dev, false);
    sp_err err = spx_netdev_open(dev, dev->bus.xs, dev->number, dev->bus.token);
    spx_print("vif %u: attached: %s\n", (uint64_t)dev->number, sp_err_text(err));
    await_vif(dev, err != SP_OK);
}

void spx_netdev_watch(struct spx_netdev *dev) {
    unsigned state;
    if ((!dev->up && !dev->awaited) || !spx_xs_fired(dev->bus.xs, dev->bus.token))
        return;
    if (!dev->up) {
        look_for_vif(dev);
        return;
    }
    if (spx_bus_state(&dev->bus, &state) != SP_OK)
        return;
    if (state == XenbusStateConnected || state == XenbusStateInitWait) {
        wake(dev);
    } else if (state == XenbusStateClosing || state == XenbusStateClosed || state == XenbusStateUnknown) {
        spx_print("vif %u: its backend closes\n", (uint64_t)dev->number);
        spx_netdev_close(dev);
        await_vif(dev, true);
    }
}
