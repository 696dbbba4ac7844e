#include "unikernel/host/config.h"

#include <string.h>

#include "proto/crypto/crypto.h"
#include "proto/dns/name.h"
#include "unikernel/xen/console.h"

#define VM_DATA "vm-data/signpost"

/* ---- sources ---- */

static bool refuse(const struct spx_text *why) {
    spx_print("signpost: %s\n", why->s);
    return false;
}

static bool load_vm_data(struct spx_cmdline *c, struct spx_xs *xs) {
    struct spx_xs_reply reply;
    struct spx_text text;
    sp_err err = spx_xs_read(xs, VM_DATA, &reply);
    if (err == SP_ERR_NOENT)
        return true;
    if (err != SP_OK) {
        spx_print("signpost: %s cannot be read: %s\n", VM_DATA, sp_err_text(err));
        return false;
    }
    if (!spx_cmdline_read(c, SPX_FROM_VM_DATA, (const char *)reply.data, reply.len, &text))
        return refuse(&text);
    spx_cmdline_differ(c, &text);
    if (text.len > 0)
        spx_print("signpost: %s instead of the command line says: %s\n", VM_DATA, text.s);
    return true;
}

bool spx_config_load(struct spx_cmdline *ret, struct spx_xs *xs, const char *command_line) {
    struct spx_text why;
    if (!spx_cmdline_read(ret, SPX_FROM_COMMAND_LINE, command_line, strlen(command_line), &why))
        return refuse(&why);
    if (!load_vm_data(ret, xs))
        return false;
    return spx_cmdline_finish(ret, &why) || refuse(&why);
}

/* ---- the interface ---- */

static void add_static(struct sp_net_config *c, const struct spx_ip *ip, const struct sp_addr *router) {
    if (ip->how == SPX_IP_STATIC)
        c->statics[c->static_count++] = (struct sp_net_static){ip->addr, ip->bits, *router};
}

void spx_config_net(const struct spx_cmdline *c, struct sp_net_config *ret) {
    struct sp_name zone;
    add_static(ret, &c->ip, &c->gw);
    add_static(ret, &c->ip6, &c->gw6);
    ret->dhcp = c->ip.how == SPX_IP_AUTO;
    ret->ipv6 = c->ip6.how != SPX_IP_NONE;
    ret->slaac = c->ip6.how == SPX_IP_AUTO;
    memcpy(ret->ports, c->ports.list, sizeof ret->ports);
    ret->port_count = c->ports.count;
    if (sp_name_from_text(&zone, c->zone.s, c->zone.len, NULL) == SP_OK) { /* otherwise the core will refuse it */
        sp_name_lower(&zone);
        sp_labelled_hash("signpost-slaac-v1", zone.wire, zone.len, ret->secret, sizeof ret->secret);
    }
}
