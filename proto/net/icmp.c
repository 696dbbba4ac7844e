#include "proto/net/impl.h"

/* RFC 1812 4.3.2.8: errors are few, whatever comes: 10 at once, then 10 a second. */
#define ERROR_BURST 10
#define ERROR_EVERY (100 * SP_MS)
#define ERROR_MAX   576 /* RFC 1812 4.3.2.3 */

enum { ECHO_REPLY = 0, UNREACHABLE = 3, ECHO = 8 };

bool sp_net_icmp_allowed(struct sp_net *net, sp_instant now) {
    if (!sp_bucket_has(&net->errors, ERROR_EVERY, ERROR_BURST * ERROR_EVERY, now)) {
        sp_net_dropped(net, SP_NET_DROP_RATE);
        return false;
    }
    sp_bucket_take(&net->errors, ERROR_EVERY, now);
    return true;
}

/* ICMP's checksum has no pseudo header. */
static void icmp_send(struct sp_net *net, sp_instant now, struct ip_out *ip) {
    uint32_t sum = sp_csum_add(0, ip->head, ip->head_len);
    sum = sp_csum_add(sum, ip->data, ip->len);
    sp_put_u16(ip->head + 2, (uint16_t)~sp_csum_fold(sum));
    ip->family = 4;
    ip->proto = IP_ICMP;
    ip->ttl = HOP_LIMIT;
    ip->head_len = 8;
    ip->id = sp_rng_u32(net->config.rng);
    sp_net_ip_send(net, now, ip, NULL);
}

static void echo(struct sp_net *net, sp_instant now, const struct packet *p) {
    struct ip_out ip = {.head_len = 8, .data = p->data + 8, .len = p->len - 8};
    memcpy(ip.src, p->dst, 16);
    memcpy(ip.dst, p->src, 16);
    memcpy(ip.head + 4, p->data + 4, 4); /* identifier and sequence number */
    ip.head[0] = ECHO_REPLY;
    net->counts.echoes++;
    icmp_send(net, now, &ip);
}

/* Of datagrams nobody here wants to know that they did not arrive. The hard errors: RFC 1122 4.2.3.9, RFC 1812 5.2.7.1. */
static void unreachable(struct sp_net *net, sp_instant now, const struct packet *p) {
    uint8_t code = p->data[1];
    bool too_big = code == 4, hard = code == 2 || code == 3 || code == 13;
    uint32_t mtu = too_big ? sp_get_u16(p->data + 6) : 0; /* RFC 1191 4; 0: a router that does not say it */
    bool useful = (hard || (too_big && mtu != 0)) && sp_net_segment_error(net, now, 4, p->data + 8, p->len - 8, mtu);
    if (!useful)
        sp_net_dropped(net, too_big ? SP_NET_DROP_PMTU : SP_NET_DROP_ICMP);
}

void sp_net_icmp_input(struct sp_net *net, sp_instant now, const struct packet *p) {
    if (p->len < 8 || sp_csum_fold(sp_csum_add(0, p->data, p->len)) != 0xffff) {
        sp_net_dropped(net, p->len < 8 ? SP_NET_DROP_ICMP : SP_NET_DROP_CSUM);
        return;
    }
    if (p->data[0] == ECHO && p->data[1] == 0)
        echo(net, now, p);
    else if (p->data[0] == UNREACHABLE)
        unreachable(net, now, p);
    else /* redirects are refused */
        sp_net_dropped(net, SP_NET_DROP_ICMP);
}

void sp_net_icmp_error(struct sp_net *net, sp_instant now, const struct packet *p, uint8_t type, uint8_t code,
                       uint32_t value) {
    /* RFC 1122 3.2.2: none about groups, later fragments or ICMP. A packet in pieces is not there to be quoted. */
    if (p->group || p->fragmented || p->proto == IP_ICMP || !sp_net_icmp_allowed(net, now))
        return;
    struct ip_out ip = {.head_len = 8, .data = p->ip, .len = p->ip_len};
    if (ip.len > ERROR_MAX - IPV4_HEAD - 8)
        ip.len = ERROR_MAX - IPV4_HEAD - 8;
    memcpy(ip.src, p->dst, 16);
    memcpy(ip.dst, p->src, 16);
    ip.head[0] = type;
    ip.head[1] = code;
    sp_put_u32(ip.head + 4, value);
    net->counts.errors_sent++;
    icmp_send(net, now, &ip);
}
