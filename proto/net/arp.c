#include "proto/net/impl.h"

#define ARP_SIZE 28

enum { ARP_REQUEST = 1, ARP_REPLY = 2 };

struct arp {
    uint16_t op;
    uint8_t sender_mac[SP_NET_MAC], target_mac[SP_NET_MAC];
    uint8_t sender[16], target[16];
};

static bool arp_read(struct arp *a, const uint8_t *data, size_t len) {
    struct sp_rd r = sp_rd_init(data, len); /* what follows is padding */
    uint16_t hardware = sp_rd_u16(&r), protocol = sp_rd_u16(&r), sizes = sp_rd_u16(&r);
    *a = (struct arp){.op = sp_rd_u16(&r)};
    sp_rd_copy(&r, a->sender_mac, SP_NET_MAC);
    sp_rd_copy(&r, a->sender, 4);
    sp_rd_copy(&r, a->target_mac, SP_NET_MAC);
    sp_rd_copy(&r, a->target, 4);
    return r.err == SP_OK && hardware == 1 && protocol == ETHER_IPV4 && sizes == 0x0604 &&
           (a->op == ARP_REQUEST || a->op == ARP_REPLY) && (a->sender_mac[0] & 1) == 0;
}

static void arp_send(struct sp_net *net, const uint8_t *mac, const struct arp *a) {
    struct frame *f = sp_net_frame_new(net);
    if (f == NULL)
        return;
    struct sp_wr w = sp_wr_init(f->data, net->frame_size);
    sp_net_ether(&w, net, mac, ETHER_ARP);
    sp_wr_u16(&w, 1);
    sp_wr_u16(&w, ETHER_IPV4);
    sp_wr_u16(&w, 0x0604);
    sp_wr_u16(&w, a->op);
    sp_wr_bytes(&w, net->config.mac, SP_NET_MAC);
    sp_wr_bytes(&w, a->sender, 4);
    sp_wr_bytes(&w, a->target_mac, SP_NET_MAC);
    sp_wr_bytes(&w, a->target, 4);
    f->len = sp_wr_len(&w);
    sp_net_frames_add(&net->out, f);
}

void sp_net_arp_request(struct sp_net *net, const uint8_t *target_mac, const uint8_t sender[16],
                        const uint8_t target[16]) {
    struct arp a = {.op = ARP_REQUEST};
    memcpy(a.sender, sender, 4);
    memcpy(a.target, target, 4);
    if (target_mac != NULL)
        memcpy(a.target_mac, target_mac, SP_NET_MAC);
    arp_send(net, target_mac != NULL ? target_mac : sp_net_broadcast, &a);
}

/* RFC 5227 2.1.1, 2.4: somebody else uses, or while we probe also wants, an address of ours. */
static bool conflicts(struct sp_net *net, sp_instant now, const struct arp *a) {
    struct address *mine = sp_net_addr_find(net, 4, a->sender);
    if (mine == NULL && sp_net_same(a->sender, sp_net_zero) && a->op == ARP_REQUEST) {
        mine = sp_net_addr_find(net, 4, a->target);
        if (mine != NULL && mine->state != ADDR_TENTATIVE)
            mine = NULL;
    }
    if (mine == NULL)
        return false;
    sp_net_addr_conflict(net, now, mine);
    return true;
}

static bool usable(const struct sp_net *net, const uint8_t ip[16]) {
    return ip[0] != 0 && ip[0] != 127 && ip[0] < 224 && !sp_net_addr_is_broadcast(net, ip);
}

void sp_net_arp_input(struct sp_net *net, sp_instant now, const uint8_t *data, size_t len) {
    struct arp a;
    if (!arp_read(&a, data, len)) {
        sp_net_dropped(net, SP_NET_DROP_ARP);
        return;
    }
    if (memcmp(a.sender_mac, net->config.mac, SP_NET_MAC) == 0) {
        sp_net_dropped(net, SP_NET_DROP_MARTIAN); /* our own, come back */
        return;
    }
    if (conflicts(net, now, &a))
        return;
    bool for_us = sp_net_addr_ready(net, 4, a.target);
    struct neigh *n = sp_net_neigh_find(net, 4, a.sender);
    if (!for_us && n == NULL)
        sp_net_dropped(net, SP_NET_DROP_OTHER);
    if (usable(net, a.sender)) {
        bool reply = a.op == ARP_REPLY && memcmp(a.target_mac, net->config.mac, SP_NET_MAC) == 0;
        if (n != NULL) /* RFC 826: what is known is renewed by all that is heard */
            sp_net_neigh_advert(net, now, n, a.sender_mac, reply, true);
        else if (for_us && a.op == ARP_REQUEST)
            sp_net_neigh_heard(net, now, 4, a.sender, a.sender_mac);
    }
    if (!for_us || a.op != ARP_REQUEST)
        return;
    struct arp answer = {.op = ARP_REPLY};
    memcpy(answer.sender, a.target, 4);
    memcpy(answer.target, a.sender, 4);
    memcpy(answer.target_mac, a.sender_mac, SP_NET_MAC);
    arp_send(net, a.sender_mac, &answer);
}
