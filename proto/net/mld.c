#include "proto/net/impl.h"

/* Listener reports of MLDv2 (RFC 3810): switches that look for them would keep solicitations from us otherwise. All
 * groups are said at once, whenever one is new and when a router asks. */
#define RECORD 20

static const uint8_t all_nodes[16] = {0xff, 2, [15] = 1};

bool sp_net_mld_joined(struct sp_net *net, const uint8_t group[16]) {
    if (sp_net_same(group, all_nodes))
        return true;
    for (size_t i = 0; i < SP_NET_ADDRESSES; i++) {
        uint8_t mine[16];
        const struct address *a = &net->addresses[i];
        if (a->family != 6 || (a->state != ADDR_READY && a->state != ADDR_TENTATIVE))
            continue;
        sp_net_nd_group(a->ip, mine);
        if (sp_net_same(mine, group))
            return true;
    }
    return false;
}

static void record(struct sp_wr *w, const uint8_t group[16]) {
    for (const uint8_t *at = w->base; at < w->pos; at += RECORD)
        if (sp_net_same(at + 4, group))
            return;
    sp_wr_u32(w, 0x04000000); /* from now on everything: CHANGE_TO_EXCLUDE_MODE of nobody */
    sp_wr_bytes(w, group, 16);
}

void sp_net_mld_report(struct sp_net *net, sp_instant now) {
    static const uint8_t all_mld_routers[16] = {0xff, 2, [15] = 0x16};
    uint8_t records[SP_NET_ADDRESSES * RECORD];
    struct sp_wr w = sp_wr_init(records, sizeof records);
    for (size_t i = 0; i < SP_NET_ADDRESSES; i++) {
        uint8_t group[16];
        const struct address *a = &net->addresses[i];
        if (a->family != 6 || (a->state != ADDR_READY && a->state != ADDR_TENTATIVE))
            continue;
        sp_net_nd_group(a->ip, group);
        record(&w, group);
    }
    struct ip_out ip = {.ttl = 1, .alert = true, .head = {143}, .head_len = 8, .data = records, .len = sp_wr_len(&w)};
    sp_put_u16(ip.head + 6, (uint16_t)(ip.len / RECORD));
    memcpy(ip.dst, all_mld_routers, 16);
    /* RFC 3590: from a link-local address, or from none while there is none. */
    const struct address *from = sp_net_addr_source(net, now, 6, all_mld_routers);
    if (from != NULL && from->ip[0] == 0xfe)
        memcpy(ip.src, from->ip, 16);
    if (ip.len > 0)
        sp_net_icmp6_send(net, now, &ip, NULL);
}
