#include "proto/net/impl.h"

#define FRAGMENT_HEAD 8
#define ALERT_HEAD    8

uint16_t sp_net_ip_csum(const struct ip_out *ip) {
    uint32_t sum = sp_csum_pseudo(ip->src, ip->dst, ip->family == 4 ? 4 : 16, ip->proto, ip->head_len + ip->len);
    sum = sp_csum_add(sum, ip->head, ip->head_len); /* always even */
    sum = sp_csum_add(sum, ip->data, ip->len);
    return (uint16_t)~sp_csum_fold(sum);
}

/* Bytes [at, at + len) of the payload: head, then data. */
static void payload(struct sp_wr *w, const struct ip_out *ip, size_t at, size_t len) {
    if (at < ip->head_len) {
        size_t n = ip->head_len - at < len ? ip->head_len - at : len;
        sp_wr_bytes(w, ip->head + at, n);
        at += n;
        len -= n;
    }
    if (len > 0)
        sp_wr_bytes(w, ip->data + (at - ip->head_len), len);
}

static void head4(struct sp_wr *w, const struct ip_out *ip, size_t at, size_t len, bool more) {
    uint8_t *h = sp_wr_reserve(w, IPV4_HEAD);
    if (h == NULL)
        return;
    sp_put_u16(h, (uint16_t)(0x4500 | ip->ecn));
    sp_put_u16(h + 2, (uint16_t)(IPV4_HEAD + len));
    sp_put_u16(h + 4, (uint16_t)ip->id);
    sp_put_u16(h + 6, (uint16_t)((ip->df ? 0x4000 : 0) | (more ? 0x2000 : 0) | at / 8));
    h[8] = ip->ttl;
    h[9] = ip->proto;
    sp_put_u16(h + 10, 0);
    memcpy(h + 12, ip->src, 4);
    memcpy(h + 16, ip->dst, 4);
    sp_put_u16(h + 10, (uint16_t)~sp_csum_fold(sp_csum_add(0, h, IPV4_HEAD)));
}

static void head6(struct sp_wr *w, const struct ip_out *ip, size_t at, size_t len, bool more, bool fragment) {
    size_t extra = fragment ? FRAGMENT_HEAD : ip->alert ? ALERT_HEAD : 0;
    sp_wr_u32(w, 0x60000000u | (uint32_t)ip->ecn << 20);
    sp_wr_u16(w, (uint16_t)(extra + len));
    sp_wr_u8(w, fragment ? IP_FRAGMENT : ip->alert ? IP_HOPOPTS : ip->proto);
    sp_wr_u8(w, ip->ttl);
    sp_wr_bytes(w, ip->src, 16);
    sp_wr_bytes(w, ip->dst, 16);
    if (fragment) {
        sp_wr_u16(w, (uint16_t)(ip->proto << 8));
        sp_wr_u16(w, (uint16_t)(at | (more ? 1 : 0)));
        sp_wr_u32(w, ip->id);
    } else if (ip->alert) {
        sp_wr_u16(w, (uint16_t)(ip->proto << 8)); /* 8 bytes long */
        sp_wr_u32(w, 0x05020000);                 /* RFC 2711: MLD */
        sp_wr_u16(w, 0x0100);                     /* padding */
    }
}

void sp_net_ip_head(struct sp_wr *w, const struct sp_net *net, const struct ip_out *ip, const uint8_t mac[SP_NET_MAC],
                    size_t len) {
    sp_net_ether(w, net, mac, ip->family == 4 ? ETHER_IPV4 : ETHER_IPV6);
    if (ip->family == 4)
        head4(w, ip, 0, len, false);
    else
        head6(w, ip, 0, len, false, false);
}

static bool is_whole(const struct sp_net *net, const struct ip_out *ip, size_t head) {
    return head + ip->head_len + ip->len <= (ip->family == 4 ? net->mtu4 : net->mtu6);
}

sp_err sp_net_ip_write(struct sp_net *net, const struct ip_out *ip, const uint8_t mac[SP_NET_MAC], size_t at,
                       size_t *ret_next, uint8_t *frame, size_t cap, size_t *ret_len) {
    size_t total = ip->head_len + ip->len,
           head = ip->family == 4 ? IPV4_HEAD : IPV6_HEAD + (ip->alert ? ALERT_HEAD : 0);
    size_t mtu = ip->family == 4 ? net->mtu4 : net->mtu6, len = total - at;
    bool fragment = !is_whole(net, ip, head), more = false;
    if (total > UINT16_MAX - IPV4_HEAD)
        return SP_ERR_RANGE;
    if (fragment) {
        size_t most = ip->family == 4 ? mtu - IPV4_HEAD : SP_NET_MTU_MIN - IPV6_HEAD - FRAGMENT_HEAD;
        more = len > most;
        if (more)
            len = most & ~(size_t)7;
        net->counts.fragments_out++;
    }
    struct sp_wr w = sp_wr_init(frame, cap);
    sp_net_ether(&w, net, mac, ip->family == 4 ? ETHER_IPV4 : ETHER_IPV6);
    if (ip->family == 4)
        head4(&w, ip, at, len, more);
    else
        head6(&w, ip, at, len, more, fragment);
    payload(&w, ip, at, len);
    if (w.err != SP_OK)
        return w.err;
    *ret_next = more ? at + len : 0;
    *ret_len = sp_wr_len(&w);
    return SP_OK;
}

sp_err sp_net_ip_hop(struct sp_net *net, sp_instant now, const struct ip_out *ip, uint8_t ret_mac[SP_NET_MAC],
                     struct neigh **ret) {
    if (ip->family == 6 && ip->dst[0] == 0xff) {
        ret_mac[0] = ret_mac[1] = 0x33;
        memcpy(ret_mac + 2, ip->dst + 12, 4);
        return SP_OK;
    }
    if (ip->family == 4 && (ip->dst[0] >= 224 || sp_net_addr_is_broadcast(net, ip->dst)))
        return SP_ERR_NOENT; /* we have nothing to say to all; DHCP names its MAC */
    const uint8_t *next = sp_net_route(net, now, ip->family, ip->dst);
    if (next == NULL)
        return SP_ERR_NOENT;
    return sp_net_neigh_use(net, now, ip->family, next, ret_mac, ret);
}

void sp_net_send_failed(struct sp_net *net, sp_err err) {
    sp_net_dropped(net, err == SP_ERR_NOENT  ? SP_NET_DROP_ROUTE
                        : err == SP_ERR_FULL ? SP_NET_DROP_NEIGHBOUR
                                             : SP_NET_DROP_SIZE);
}

struct frame *sp_net_frame_waiting(struct sp_net *net) {
    if (net->waiting < net->config.frames / 2u)
        return sp_net_frame_new(net);
    sp_net_dropped(net, SP_NET_DROP_WAITING);
    return NULL;
}

/* A frame of its own for the next fragment, into the queue or where it waits. */
static sp_err queue(struct sp_net *net, const struct ip_out *ip, const uint8_t *mac, struct neigh *wait, size_t at,
                    size_t *next) {
    struct frame *f = wait != NULL ? sp_net_frame_waiting(net) : sp_net_frame_new(net);
    if (f == NULL)
        return SP_ERR_FULL;
    sp_err err =
        sp_net_ip_write(net, ip, wait != NULL ? sp_net_zero : mac, at, next, f->data, net->frame_size, &f->len);
    if (err != SP_OK) {
        sp_net_frame_free(net, f);
        sp_net_send_failed(net, err);
    } else if (wait != NULL) {
        sp_net_neigh_wait(net, wait, f);
    } else {
        sp_net_frames_add(&net->out, f);
    }
    return err;
}

void sp_net_ip_send(struct sp_net *net, sp_instant now, const struct ip_out *ip, const uint8_t *mac) {
    uint8_t hop[SP_NET_MAC];
    struct neigh *wait = NULL;
    if (mac == NULL) {
        sp_err err = sp_net_ip_hop(net, now, ip, hop, &wait);
        if (err != SP_OK && err != SP_ERR_AGAIN) {
            sp_net_send_failed(net, err);
            return;
        }
        mac = hop;
    }
    size_t at = 0;
    do {
        if (queue(net, ip, mac, wait, at, &at) != SP_OK)
            return;
    } while (at != 0);
}

/* ---- datagrams ---- */

/* Our address for a datagram: the one that the core says, if it is ours, or the best. */
static bool choose_source(struct sp_net *net, sp_instant now, const struct sp_out *d, uint8_t ret[16]) {
    if (d->src.family == d->dst.family && !sp_net_same(d->src.ip, sp_net_zero)) {
        memcpy(ret, d->src.ip, 16);
        return sp_net_addr_ready(net, d->src.family, ret);
    }
    const struct address *a = sp_net_addr_source(net, now, d->dst.family, d->dst.ip);
    if (a != NULL)
        memcpy(ret, a->ip, 16);
    return a != NULL;
}

/* The UDP packet of the segment at the cursor. */
static sp_err make(struct sp_net *net, sp_instant now, const struct sp_out *d, struct sp_net_cursor *c,
                   struct ip_out *ip) {
    size_t len = d->len - c->segment;
    if (d->segment != 0 && len > d->segment)
        len = d->segment;
    *ip = (struct ip_out){
        .family = d->dst.family, .proto = IP_UDP, .ttl = net->hop_limit, .ecn = d->ecn & 3, .head_len = 8};
    if ((ip->family != 4 && ip->family != 6) || len > UINT16_MAX - 8 - IPV4_HEAD)
        return SP_ERR_RANGE;
    memcpy(ip->dst, d->dst.ip, 16);
    if (!choose_source(net, now, d, ip->src))
        return SP_ERR_STATE;
    ip->data = d->data + c->segment;
    ip->len = len;
    if (c->fragment == 0)
        c->id = sp_rng_u32(net->config.rng);
    ip->id = c->id;
    sp_put_u16(ip->head, d->src.port != 0 ? d->src.port : net->config.ports[0]);
    sp_put_u16(ip->head + 2, d->dst.port);
    sp_put_u16(ip->head + 4, (uint16_t)(8 + len));
    return SP_OK;
}

/* A device completes what goes out at once and whole. */
static bool can_offload(const struct sp_net *net, const struct ip_out *ip) {
    return ip->family == 4 ? (net->device & SP_NET_SUM4) != 0 && is_whole(net, ip, IPV4_HEAD)
                           : (net->device & SP_NET_SUM6) != 0 && is_whole(net, ip, IPV6_HEAD);
}

static void sum(struct ip_out *ip, bool partial) {
    size_t alen = ip->family == 4 ? 4 : 16;
    uint16_t v = partial ? sp_csum_fold(sp_csum_pseudo(ip->src, ip->dst, alen, ip->proto, ip->head_len + ip->len))
                         : sp_net_ip_csum(ip);
    sp_put_u16(ip->head + 6, v != 0 || partial ? v : 0xffff);
}

static sp_err send_one(struct sp_net *net, sp_instant now, const struct sp_out *d, struct sp_net_cursor *c,
                       uint8_t *frame, size_t cap, size_t *ret_len) {
    struct ip_out ip;
    uint8_t mac[SP_NET_MAC];
    struct neigh *wait = NULL;
    SP_TRY(make(net, now, d, c, &ip));
    sp_err hop = sp_net_ip_hop(net, now, &ip, mac, &wait);
    bool partial = hop == SP_OK && can_offload(net, &ip);
    c->offload = (struct sp_offload){.needs_csum = partial};
    if (partial) {
        c->offload.csum_start = ip.family == 4 ? IPV4_HEAD : IPV6_HEAD;
        c->offload.csum_offset = 6;
    }
    if (c->fragment == 0) /* later fragments do not carry it */
        sum(&ip, partial);
    if (hop == SP_ERR_AGAIN) {
        if (queue(net, &ip, NULL, wait, c->fragment, &c->fragment) != SP_OK)
            c->fragment = 0; /* the rest of it would be of no use */
    } else if (hop != SP_OK) {
        return hop;
    } else {
        SP_TRY(sp_net_ip_write(net, &ip, mac, c->fragment, &c->fragment, frame, cap, ret_len));
        net->counts.frames_out++;
    }
    if (c->fragment == 0) {
        c->segment += ip.len;
        net->counts.datagrams_out++;
    }
    c->more = c->fragment != 0 || c->segment < d->len;
    return hop;
}

sp_err sp_net_send(struct sp_net *net, sp_instant now, const struct sp_out *datagram, struct sp_net_cursor *cursor,
                   uint8_t *frame, size_t cap, size_t *ret_len) {
    cursor->more = false;
    sp_err err = send_one(net, now, datagram, cursor, frame, cap, ret_len);
    if (err == SP_ERR_STATE) {
        sp_net_dropped(net, SP_NET_DROP_SOURCE);
        return SP_ERR_NOENT;
    }
    if (err != SP_OK && err != SP_ERR_AGAIN && err != SP_ERR_SPACE)
        sp_net_send_failed(net, err);
    return err;
}
