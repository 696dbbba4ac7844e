#include "unikernel/host/zone.h"

#include <string.h>

#include "proto/control/operator.h"
#include "proto/dns/name.h"
#include "unikernel/host/report.h"
#include "unikernel/xen/console.h"

/* ---- requests ---- */

/* Bytes of somebody else's on the console. */
static void print_text(const char *label, const uint8_t *data, size_t len) {
    spx_print("signpost: %s", label);
    for (size_t i = 0; i < len; i++)
        spx_console_write(data[i] >= ' ' && data[i] < 127 ? (const char *)data + i : " ", 1);
    spx_print("\n");
}

/* Prints the DS of a good reply, and what operators have to know, or the error of a failed one when it is to be said;
 * *ret_changed: what it has changed. */
static bool read_reply(const struct spx_zone *z, bool say, uint64_t *ret_changed) {
    struct sp_rd rd = sp_rd_init(z->loop->reply, z->loop->reply_len);
    enum sp_op_status status;
    struct sp_op_item item;
    if (sp_op_reply_read(&rd, &status) != SP_OK)
        return false;
    while (sp_op_next(&rd, &item) == SP_OK)
        if (item.kind == SP_OP_U64 && spx_text_same(item.key, "changed"))
            *ret_changed = item.number;
        else if (item.kind == SP_OP_STR && status == SP_OP_OK && spx_text_same(item.key, "ds"))
            print_text("ds ", item.data, item.len);
        else if (item.kind == SP_OP_STR && status == SP_OP_OK && spx_text_same(item.key, "signpost_key") &&
                 z->wanted->operators.count > 0)
            print_text("operators reach it by the key ", item.data, item.len);
        else if (item.kind == SP_OP_STR && status != SP_OP_OK && say)
            print_text(item.key[0] == 'e' ? "the zone: " : "", item.data, item.len);
    return status == SP_OP_OK;
}

static bool ask(const struct spx_zone *z, struct sp_wr *wr, bool say, uint64_t *ret_changed) {
    return wr->err == SP_OK && spx_loop_ask(z->loop, wr->base, sp_wr_len(wr)) && read_reply(z, say, ret_changed);
}

static void put_addresses(struct sp_wr *wr, const struct sp_addr *addrs, size_t n) {
    for (size_t i = 0; i < n; i++) {
        struct spx_text text;
        spx_text_clear(&text);
        spx_report_addr(&text, &addrs[i]);
        sp_op_arg_text(wr, text.s);
    }
}

static bool zone_is_there(const struct spx_zone *z) {
    uint8_t buf[512];
    uint64_t changed;
    struct sp_wr wr = sp_wr_init(buf, sizeof buf);
    sp_op_request_begin(&wr, SP_OP_ZONE_DS);
    sp_op_arg_text(&wr, z->wanted->zone.s);
    return ask(z, &wr, false, &changed);
}

static bool add_zone(const struct spx_zone *z, const struct sp_addr *addrs, size_t n) {
    uint8_t buf[1024];
    uint64_t changed;
    struct sp_wr wr = sp_wr_init(buf, sizeof buf);
    sp_op_request_begin(&wr, SP_OP_ZONE_ADD);
    sp_op_arg_text(&wr, z->wanted->zone.s);
    sp_op_arg_text(&wr, z->wanted->ns.s);
    put_addresses(&wr, addrs, n);
    return ask(z, &wr, true, &changed);
}

static bool set_addresses(const struct spx_zone *z, const char *families, const struct sp_addr *addrs, size_t n,
                          uint64_t *ret_changed) {
    uint8_t buf[1024];
    struct sp_wr wr = sp_wr_init(buf, sizeof buf);
    sp_op_request_begin(&wr, SP_OP_ZONE_SERVER);
    sp_op_arg_text(&wr, families);
    sp_op_arg_text(&wr, z->wanted->zone.s);
    sp_op_arg_text(&wr, z->wanted->ns.s);
    put_addresses(&wr, addrs, n);
    return ask(z, &wr, true, ret_changed);
}

/* ---- addresses ---- */

/* Those that the zone gives to its name server. */
static size_t server_addresses(const struct spx_zone *z, struct sp_addr ret[SPX_ZONE_ADDRS]) {
    const struct spx_cmdline *c = z->wanted;
    if (!z->inside)
        return 0;
    if (c->public.count == 0)
        return sp_net_addresses(z->loop->direct.net, ret, SPX_ZONE_ADDRS);
    memcpy(ret, c->public.addrs, c->public.count * sizeof *ret);
    return c->public.count;
}

/* The families that the addresses speak for. */
static void families(const struct spx_cmdline *c, const struct sp_addr *addrs, size_t n, char ret[3]) {
    bool four = c->public.count > 0 || c->ip.how == SPX_IP_NONE, six = c->public.count > 0 || c->ip6.how == SPX_IP_NONE;
    for (size_t i = 0; i < n; i++) {
        four |= addrs[i].family == 4;
        six |= addrs[i].family == 6;
    }
    if (four)
        *ret++ = '4';
    if (six)
        *ret++ = '6';
    *ret = 0;
}

static void join(struct spx_text *t, const struct sp_addr *addrs, size_t n) {
    spx_text_clear(t);
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            spx_text_add(t, " and ");
        spx_report_addr(t, &addrs[i]);
    }
}

/* RFC 1918, RFC 6598, RFC 4193: nobody far away reaches these. */
static bool is_private(const struct sp_addr *a) {
    const uint8_t *ip = a->ip;
    if (a->family == 6)
        return (ip[0] & 0xfe) == 0xfc;
    return ip[0] == 10 || (ip[0] == 172 && (ip[1] & 0xf0) == 16) || (ip[0] == 192 && ip[1] == 168) ||
           (ip[0] == 100 && (ip[1] & 0xc0) == 64);
}

static void warn_private(const struct spx_zone *z, const struct sp_addr *addrs, size_t n) {
    for (size_t i = 0; i < n && z->inside && z->wanted->public.count == 0; i++)
        if (is_private(&addrs[i])) {
            struct spx_text text;
            join(&text, &addrs[i], 1);
            spx_print(
                "signpost: the zone names the private address %s: where it is reached at another one, say which as "
                "public=ADDR\n",
                text.s);
            return;
        }
}

void spx_zone_follow(struct spx_zone *z) {
    struct sp_addr addrs[SPX_ZONE_ADDRS];
    struct spx_text text;
    char list[3];
    uint64_t changed = 0;
    uint32_t generation = sp_net_generation(z->loop->direct.net);
    if (!z->open || !z->inside || (z->told && (generation == z->generation || z->wanted->public.count > 0)))
        return;
    z->generation = generation;
    size_t n = server_addresses(z, addrs);
    families(z->wanted, addrs, n, list);
    if (n == 0 || z->loop->ended || z->loop->stopping)
        return;
    z->told = true;
    if (set_addresses(z, list, addrs, n, &changed) && changed > 0) {
        join(&text, addrs, n);
        spx_print("signpost: the zone's name server has the address %s\n", text.s);
        warn_private(z, addrs, n);
    }
}

/* ---- the zone ---- */

static bool ns_is_inside(const struct spx_cmdline *c) {
    struct sp_name zone, ns;
    return c->ns.len == 0 || sp_name_from_text(&zone, c->zone.s, c->zone.len, NULL) != SP_OK ||
           sp_name_from_text(&ns, c->ns.s, c->ns.len, NULL) != SP_OK || sp_name_under(&ns, &zone);
}

static bool open_zone(struct spx_zone *z) {
    struct sp_addr own, addrs[SPX_ZONE_ADDRS];
    bool there = zone_is_there(z);
    while (sp_net_addresses(z->loop->direct.net, &own, 1) == 0 && !z->loop->ended)
        spx_loop_step(z->loop);
    if (z->loop->ended || there)
        return there;
    z->generation = sp_net_generation(z->loop->direct.net);
    size_t n = server_addresses(z, addrs);
    if (!add_zone(z, addrs, n))
        return false;
    z->told = true;
    warn_private(z, addrs, n);
    return true;
}

bool spx_zone_open(struct spx_zone *z, struct spx_loop *loop, const struct spx_cmdline *wanted) {
    *z = (struct spx_zone){.loop = loop, .wanted = wanted, .inside = ns_is_inside(wanted)};
    if (!z->inside && wanted->public.count > 0)
        spx_print("signpost: public=ADDR is not used: the name server %s lies outside of the zone\n", wanted->ns.s);
    while (!sp_server_ready(loop->server) && !loop->ended)
        spx_loop_step(loop);
    z->open = !loop->ended && open_zone(z);
    spx_zone_follow(z);
    return z->open;
}
