#include "proto/net/impl.h"

const uint8_t sp_net_zero[16];
const uint8_t sp_net_broadcast[SP_NET_MAC] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

struct frame *sp_net_frame_new(struct sp_net *net) {
    struct frame *f = net->frame_free;
    if (f == NULL) {
        sp_net_dropped(net, SP_NET_DROP_FRAMES);
        return NULL;
    }
    net->frame_free = f->next;
    f->next = NULL;
    f->len = 0;
    return f;
}

void sp_net_frame_free(struct sp_net *net, struct frame *f) {
    f->next = net->frame_free;
    net->frame_free = f;
}

void sp_net_frames_init(struct frames *list) {
    list->first = NULL;
    list->end = &list->first;
    list->count = 0;
}

void sp_net_frames_add(struct frames *list, struct frame *f) {
    f->next = NULL;
    *list->end = f;
    list->end = &f->next;
    list->count++;
}

struct frame *sp_net_frames_take(struct frames *list) {
    struct frame *f = list->first;
    if (f == NULL)
        return NULL;
    list->first = f->next;
    if (list->first == NULL)
        list->end = &list->first;
    list->count--;
    return f;
}

void sp_net_ether(struct sp_wr *w, const struct sp_net *net, const uint8_t dst[SP_NET_MAC], uint16_t type) {
    uint8_t *h = sp_wr_reserve(w, SP_NET_ETHER);
    if (h == NULL)
        return;
    memcpy(h, dst, SP_NET_MAC);
    memcpy(h + SP_NET_MAC, net->config.mac, SP_NET_MAC);
    sp_put_u16(h + 2 * SP_NET_MAC, type);
}

bool sp_net_in_prefix(const uint8_t ip[16], const uint8_t prefix[16], unsigned bits) {
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(ip, prefix, whole) != 0)
        return false;
    return rest == 0 || ((ip[whole] ^ prefix[whole]) & (0xff00 >> rest) & 0xff) == 0;
}
