/* A network device as the host uses it: finds its backend, agrees with it, notices what becomes of it. The frames
 * themselves go through netfront.h's functions on `net`. */
#ifndef SPX_NETFRONT_XS_H
#define SPX_NETFRONT_XS_H

#include "unikernel/dev/bus.h"
#include "unikernel/dev/netfront.h"

/* A backend that has not come after this long is not waited for any more. */
#define SPX_DEVICE_PATIENCE (30 * SP_SEC)

struct spx_netdev {
    struct spx_netfront net;
    struct spx_bus bus;
    unsigned number; /* of the vif */
    uint8_t mac[6];
    uint16_t mtu;
    bool sums4, sums6;         /* the backend completes checksums (spx_frame's `blank`) over IPv4, over IPv6 */
    bool cuts4, cuts6;         /* it cuts long TCP segments (spx_net_work's `cut`), which stand in several buffers */
    uint32_t port_tx, port_rx; /* to wait for; the same one where the backend has no two */
    uint32_t tx_ref, rx_ref;
    bool up;
    bool awaited; /* the store tells us when there is such a vif */
};

/* Connects the domain's vif of that number, waiting for its backend. `net` was initialised. ERR_NOENT: there is no such
 * vif; ERR_TIME: no backend came; ERR_UNSUP: it cannot copy; ERR_STATE: it closes. */
SP_CHECK sp_err spx_netdev_open(struct spx_netdev *dev, struct spx_xs *xs, unsigned number, unsigned token);
/* Gives back channels and grants, and tells the backend. */
void spx_netdev_close(struct spx_netdev *dev);
/* After a resume: the xenstore, channels and grants are new. Connects again; when that fails, as soon as there is a new
 * vif. */
SP_CHECK sp_err spx_netdev_resume(struct spx_netdev *dev);

/* Shows the backend what was queued, and notifies it where it asks for that. */
void spx_netdev_push(struct spx_netdev *dev);
/* When the xenstore has had an event: looks whether the backend's state has changed. A restarted backend takes the
 * rings over as they are and is woken; one that closes ends the device (`up` is false then). */
void spx_netdev_watch(struct spx_netdev *dev);

#endif
