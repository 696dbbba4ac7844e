#define _GNU_SOURCE
#include "client/linux/netwatch.h"

#include <event2/event.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/cache.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <stdlib.h>
#include <string.h>

#define ADDRS_MAX 256

/* IFA_F_TEMPORARY is IPv6's; the same bit marks an IPv4 address as the second of its subnet, which is as good as the first. */
#define UNUSABLE_V4 IFA_F_DEPRECATED
#define UNUSABLE_V6 (IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_DEPRECATED | IFA_F_TEMPORARY)

struct spl_netwatch {
    struct event_base *base;
    struct event *ev, *again, *routes_ev;
    struct nl_sock *routes; /* a cache of all routes may be large; only changes of the default ones count */
    int ignore;
    struct nl_cache_mngr *manager;
    struct nl_cache *links, *addrs; /* of the manager */
    spl_netwatch_changed *changed;
    void *ctx;
    bool dirty;
    struct sp_addr list[ADDRS_MAX];
    size_t count, own; /* own: addresses of the ignored interface */
};

static bool interface_up(const struct spl_netwatch *w, int index) {
    struct rtnl_link *link = rtnl_link_get(w->links, index);
    if (link == NULL)
        return false;
    unsigned flags = rtnl_link_get_flags(link);
    rtnl_link_put(link);
    return (flags & IFF_UP) != 0 && (flags & IFF_RUNNING) != 0;
}

static void visit(struct nl_object *object, void *ctx) {
    struct spl_netwatch *w = ctx;
    struct rtnl_addr *addr = (struct rtnl_addr *)object;
    struct nl_addr *local = rtnl_addr_get_local(addr);
    int family = rtnl_addr_get_family(addr);
    if (local == NULL || (family != AF_INET && family != AF_INET6) || w->count == ADDRS_MAX)
        return;
    w->own += rtnl_addr_get_ifindex(addr) == w->ignore;
    unsigned unusable = family == AF_INET ? UNUSABLE_V4 : UNUSABLE_V6;
    if (rtnl_addr_get_ifindex(addr) == w->ignore || (rtnl_addr_get_flags(addr) & unusable) != 0 ||
        !interface_up(w, rtnl_addr_get_ifindex(addr)))
        return;
    size_t len = family == AF_INET ? 4 : 16;
    if (nl_addr_get_len(local) != len)
        return;
    struct sp_addr *to = &w->list[w->count++];
    *to = (struct sp_addr){.family = family == AF_INET ? 4 : 6};
    memcpy(to->ip, nl_addr_get_binary_addr(local), len);
}

static void report(struct spl_netwatch *w) {
    w->dirty = false;
    w->count = w->own = 0;
    nl_cache_foreach(w->addrs, visit, w);
    w->changed(w->ctx, w->list, w->count);
}

/* ---- default routes ---- */

static int on_route(struct nl_msg *msg, void *ctx) {
    const struct nlmsghdr *head = nlmsg_hdr(msg);
    const struct rtmsg *route = nlmsg_data(head);
    if ((head->nlmsg_type == RTM_NEWROUTE || head->nlmsg_type == RTM_DELROUTE) &&
        nlmsg_datalen(head) >= (int)sizeof *route && route->rtm_dst_len == 0)
        ((struct spl_netwatch *)ctx)->dirty = true;
    return NL_OK;
}

static void on_routes(evutil_socket_t fd, short what, void *ctx) {
    struct spl_netwatch *w = ctx;
    if (nl_recvmsgs_default(w->routes) < 0)
        w->dirty = true; /* some were lost: one of them may have mattered */
    if (w->dirty)
        report(w);
}

static int watch_routes(struct spl_netwatch *w) {
    w->routes = nl_socket_alloc();
    if (w->routes == NULL)
        return -NLE_NOMEM;
    nl_socket_disable_seq_check(w->routes);
    (void)!nl_socket_modify_cb(w->routes, NL_CB_VALID, NL_CB_CUSTOM, on_route, w);
    int e = nl_connect(w->routes, NETLINK_ROUTE);
    if (e >= 0)
        e = nl_socket_set_nonblocking(w->routes);
    if (e >= 0)
        e = nl_socket_add_memberships(w->routes, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, 0);
    if (e < 0)
        return e;
    w->routes_ev = event_new(w->base, nl_socket_get_fd(w->routes), EV_READ | EV_PERSIST, on_routes, w);
    return w->routes_ev != NULL && event_add(w->routes_ev, NULL) == 0 ? 0 : -NLE_NOMEM;
}

/* ---- links and addresses ---- */

static void on_change(struct nl_cache *cache, struct nl_object *object, int action, void *ctx) {
    ((struct spl_netwatch *)ctx)->dirty = true;
}

static void drop_manager(struct spl_netwatch *w) {
    if (w->ev != NULL)
        event_free(w->ev);
    w->ev = NULL;
    nl_cache_mngr_free(w->manager);
    w->manager = NULL;
}

static void on_ready(evutil_socket_t fd, short what, void *ctx);

/* 0, or libnl's error. */
static int make_manager(struct spl_netwatch *w) {
    int e = nl_cache_mngr_alloc(NULL, NETLINK_ROUTE, NL_AUTO_PROVIDE, &w->manager);
    if (e < 0)
        return e;
    e = nl_cache_mngr_add(w->manager, "route/link", on_change, w, &w->links);
    if (e >= 0)
        e = nl_cache_mngr_add(w->manager, "route/addr", on_change, w, &w->addrs);
    if (e >= 0) {
        w->ev = event_new(w->base, nl_cache_mngr_get_fd(w->manager), EV_READ | EV_PERSIST, on_ready, w);
        e = w->ev != NULL && event_add(w->ev, NULL) == 0 ? 0 : -NLE_NOMEM;
    }
    if (e < 0)
        drop_manager(w);
    return e < 0 ? e : 0;
}

/* Changes were lost (the socket's buffer ran over) or the kernel failed: start anew, now or a little later. */
static void on_again(evutil_socket_t fd, short what, void *ctx) {
    static const struct timeval later = {5, 0};
    struct spl_netwatch *w = ctx;
    int e = make_manager(w);
    if (e == 0) {
        report(w);
        return;
    }
    spl_say("warning: cannot watch the network: %s; trying again in 5 s", nl_geterror(e));
    event_add(w->again, &later);
}

static void on_ready(evutil_socket_t fd, short what, void *ctx) {
    struct spl_netwatch *w = ctx;
    if (nl_cache_mngr_data_ready(w->manager) < 0) {
        drop_manager(w);
        on_again(-1, 0, w);
    } else if (w->dirty) {
        report(w);
    }
}

sp_err spl_netwatch_new(struct spl_netwatch **ret, struct event_base *base, int ignore, spl_netwatch_changed *changed,
                        void *ctx, struct spl_error *err) {
    struct spl_netwatch *w = calloc(1, sizeof *w);
    if (w == NULL)
        return spl_error_set(err, SP_ERR_FULL, "no memory to watch the network");
    w->base = base;
    w->ignore = ignore;
    w->changed = changed;
    w->ctx = ctx;
    w->again = evtimer_new(base, on_again, w);
    int e = w->again != NULL ? make_manager(w) : -NLE_NOMEM;
    if (e >= 0)
        e = watch_routes(w);
    if (e < 0) {
        spl_netwatch_free(w);
        return spl_error_set(err, SP_ERR_IO, "cannot watch the network through netlink: %s", nl_geterror(e));
    }
    *ret = w;
    report(w);
    return SP_OK;
}

bool spl_netwatch_bare(const struct spl_netwatch *w) {
    return w->ignore != 0 && w->own == 0 && interface_up(w, w->ignore);
}

void spl_netwatch_free(struct spl_netwatch *w) {
    if (w == NULL)
        return;
    if (w->manager != NULL)
        drop_manager(w);
    if (w->again != NULL)
        event_free(w->again);
    if (w->routes_ev != NULL)
        event_free(w->routes_ev);
    if (w->routes != NULL)
        nl_socket_free(w->routes);
    free(w);
}
