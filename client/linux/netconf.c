#define _GNU_SOURCE
#include "client/linux/netconf.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/link/inet6.h>
#include <netlink/route/route.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PREFIX 64

/* libnl's error (negative) as ours, with the text. */
static sp_err failed(struct spl_error *err, int e, const char *what, const char *name) {
    sp_err code = e == -NLE_PERM || e == -NLE_NOACCESS ? SP_ERR_DENIED : e == -NLE_EXIST ? SP_ERR_EXIST : SP_ERR_IO;
    return spl_error_set(err, code, "cannot %s on %s: %s", what, name, nl_geterror(e));
}

static sp_err allow_ipv6(const char *name, struct spl_error *err) {
    char path[64 + IF_NAMESIZE], value = 0;
    snprintf(path, sizeof path, "/proc/sys/net/ipv6/conf/%s/disable_ipv6", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? spl_error_set(err, SP_ERR_UNSUP,
                                               "this kernel has no IPv6, which the overlay's addresses need; boot it without "
                                               "ipv6.disable=1, or only register the name: signpost-agent up --register-only")
                               : spl_error_errno(err, "cannot read %s", path);
    bool disabled = read(fd, &value, 1) == 1 && value != '0';
    close(fd);
    if (!disabled)
        return SP_OK;
    fd = open(path, O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && write(fd, "0", 1) == 1;
    sp_err e = done ? SP_OK : spl_error_errno(err, "IPv6 is switched off by sysctl, and cannot be switched on for %s", name);
    if (fd >= 0)
        close(fd);
    return e;
}

/* Two steps: no link-local address is made only if that is said before the device is up. */
static int set_link(struct nl_sock *sock, int index, uint16_t mtu) {
    struct rtnl_link *old = rtnl_link_alloc(), *quiet = rtnl_link_alloc(), *up = rtnl_link_alloc();
    int e = -NLE_NOMEM;
    if (old != NULL && quiet != NULL && up != NULL) {
        rtnl_link_set_ifindex(old, index);
        rtnl_link_set_mtu(quiet, mtu);
        (void)!rtnl_link_inet6_set_addr_gen_mode(quiet, IN6_ADDR_GEN_MODE_NONE);
        rtnl_link_set_flags(up, IFF_UP);
        e = rtnl_link_change(sock, old, quiet, 0);
        if (e >= 0)
            e = rtnl_link_change(sock, old, up, 0);
    }
    rtnl_link_put(old);
    rtnl_link_put(quiet);
    rtnl_link_put(up);
    return e;
}

static int set_addr(struct nl_sock *sock, int index, const uint8_t ip[16]) {
    struct nl_addr *local = nl_addr_build(AF_INET6, ip, 16);
    struct rtnl_addr *addr = rtnl_addr_alloc();
    int e = -NLE_NOMEM;
    if (local != NULL && addr != NULL) {
        rtnl_addr_set_ifindex(addr, index);
        e = rtnl_addr_set_local(addr, local);
        if (e >= 0) {
            rtnl_addr_set_prefixlen(addr, 128);
            rtnl_addr_set_flags(addr, IFA_F_NODAD | IFA_F_NOPREFIXROUTE);
            e = rtnl_addr_add(sock, addr, NLM_F_EXCL);
        }
    }
    rtnl_addr_put(addr);
    nl_addr_put(local);
    return e;
}

static int set_route(struct nl_sock *sock, int index, const uint8_t ip[16]) {
    uint8_t prefix[16] = {0};
    memcpy(prefix, ip, PREFIX / 8);
    struct nl_addr *dst = nl_addr_build(AF_INET6, prefix, 16);
    struct rtnl_route *route = rtnl_route_alloc();
    struct rtnl_nexthop *hop = rtnl_route_nh_alloc();
    int e = -NLE_NOMEM;
    if (dst != NULL && route != NULL && hop != NULL) {
        nl_addr_set_prefixlen(dst, PREFIX);
        rtnl_route_nh_set_ifindex(hop, index);
        rtnl_route_set_family(route, AF_INET6);
        rtnl_route_set_table(route, RT_TABLE_MAIN);
        rtnl_route_set_protocol(route, RTPROT_STATIC);
        rtnl_route_add_nexthop(route, hop); /* it is the route's now */
        hop = NULL;
        e = rtnl_route_set_dst(route, dst);
        if (e >= 0)
            e = rtnl_route_add(sock, route, NLM_F_EXCL);
    }
    if (hop != NULL)
        rtnl_route_nh_free(hop);
    rtnl_route_put(route);
    nl_addr_put(dst);
    return e;
}

sp_err spl_netconf_up(const char *name, int index, const uint8_t addr[16], uint16_t mtu, struct spl_error *err) {
    SP_TRY(allow_ipv6(name, err));
    struct nl_sock *sock = nl_socket_alloc();
    int e = sock != NULL ? nl_connect(sock, NETLINK_ROUTE) : -NLE_NOMEM;
    const char *what = "speak to the kernel about addresses";
    if (e >= 0) {
        what = "set the MTU";
        e = set_link(sock, index, mtu);
    }
    if (e >= 0) {
        what = "set the overlay address";
        e = set_addr(sock, index, addr);
    }
    if (e >= 0) {
        what = "route the overlay's prefix";
        e = set_route(sock, index, addr);
    }
    if (sock != NULL)
        nl_socket_free(sock);
    if (e == -NLE_EXIST)
        return spl_error_set(err, SP_ERR_EXIST,
                             "the overlay of this zone is on this machine already: another agent of the zone runs here; stop it first");
    return e < 0 ? failed(err, e, what, name) : SP_OK;
}
