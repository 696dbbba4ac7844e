#include "tests/lab/nat_packet.h"

#include <string.h>

#include "proto/base/bytes.h"

#define ICMP       1
#define TCP        6
#define UDP        17
#define ICMP6      58
#define ERROR_HEAD 8 /* of an ICMP error, before the packet that it is about */

/* A flow found in a packet. Of an echo the identifier is the port of its inside end. */
struct flow {
    uint8_t *packet, *src_ip, *dst_ip;
    uint8_t *transport; /* behind the IP header */
    size_t left;        /* bytes there */
    struct sp_addr src, dst;
    uint8_t protocol, family;
    uint8_t *src_port, *dst_port; /* NULL: none */
    bool echo, error;
};

/* ---- checksums (RFC 1071, 1624) ---- */

static uint16_t folded(uint32_t sum) {
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

static uint32_t sum_of(const uint8_t *data, size_t len) {
    uint32_t sum = 0;
    for (size_t i = 0; i + 1 < len; i += 2)
        sum += sp_get_u16(data + i);
    return len % 2 != 0 ? sum + (uint32_t)data[len - 1] * 256 : sum;
}

/* The checksum at `at` after `len` (even) bytes at `old` became those at `new`. */
static void checksum_change(uint8_t *at, const uint8_t *old, const uint8_t *new, size_t len) {
    uint32_t sum = (uint16_t)~sp_get_u16(at);
    for (size_t i = 0; i < len; i += 2)
        sum += (uint16_t)~sp_get_u16(old + i) + (uint32_t)sp_get_u16(new + i);
    sp_put_u16(at, (uint16_t)~folded(sum));
}

/* ---- finding the flow ---- */

static bool find_transport(struct flow *f, bool inside_is_src) {
    bool icmp = f->protocol == (f->family == 4 ? ICMP : ICMP6);
    uint8_t *t = f->transport;
    if (f->left < 8)
        return false;
    if (f->protocol == UDP || f->protocol == TCP) {
        f->src_port = t;
        f->dst_port = t + 2;
    } else if (icmp && (f->family == 4 ? t[0] == 0 || t[0] == 8 : t[0] == 128 || t[0] == 129)) {
        f->echo = true;
        *(inside_is_src ? &f->src_port : &f->dst_port) = t + 4;
    } else if (icmp && (f->family == 4 ? t[0] == 3 || t[0] == 11 || t[0] == 12 : t[0] >= 1 && t[0] <= 4)) {
        f->error = true;
    } else {
        return false;
    }
    f->src.port = f->src_port != NULL ? sp_get_u16(f->src_port) : 0;
    f->dst.port = f->dst_port != NULL ? sp_get_u16(f->dst_port) : 0;
    return true;
}

static bool find4(struct flow *f, uint8_t *p, size_t len, bool inside_is_src) {
    size_t head = len >= 20 ? (size_t)(p[0] & 15) * 4 : 0;
    if (head < 20 || head > len || (sp_get_u16(p + 6) & 0x3fff) != 0) /* fragments */
        return false;
    *f = (struct flow){.packet = p,
                       .src_ip = p + 12,
                       .dst_ip = p + 16,
                       .transport = p + head,
                       .left = len - head,
                       .protocol = p[9],
                       .family = 4};
    f->src.family = f->dst.family = 4;
    memcpy(f->src.ip, f->src_ip, 4);
    memcpy(f->dst.ip, f->dst_ip, 4);
    return find_transport(f, inside_is_src);
}

static bool find6(struct flow *f, uint8_t *p, size_t len, bool inside_is_src) {
    if (len < 40)
        return false;
    *f = (struct flow){.packet = p,
                       .src_ip = p + 8,
                       .dst_ip = p + 24,
                       .transport = p + 40,
                       .left = len - 40,
                       .protocol = p[6],
                       .family = 6};
    f->src.family = f->dst.family = 6;
    memcpy(f->src.ip, f->src_ip, 16);
    memcpy(f->dst.ip, f->dst_ip, 16);
    return find_transport(f, inside_is_src);
}

static bool find(struct flow *f, uint8_t *p, size_t len, bool inside_is_src) {
    return len > 0 &&
           (p[0] >> 4 == 4 ? find4(f, p, len, inside_is_src) : p[0] >> 4 == 6 && find6(f, p, len, inside_is_src));
}

/* ---- rewriting (IPv4) ---- */

/* The transport's checksum; NULL: it has none, or it is not here. ICMP's covers no addresses. */
static uint8_t *checksum_of(const struct flow *f) {
    if (f->protocol == UDP)
        return f->left >= 8 && sp_get_u16(f->transport + 6) != 0 ? f->transport + 6 : NULL;
    if (f->protocol == TCP)
        return f->left >= 20 ? f->transport + 16 : NULL;
    return f->transport + 2;
}

static void rewrite(const struct flow *f, bool src, const struct sp_addr *to) {
    uint8_t *ip = src ? f->src_ip : f->dst_ip, *port = src ? f->src_port : f->dst_port, *sum = checksum_of(f),
            new_port[2];
    bool pseudo = f->protocol != ICMP;
    if (sum != NULL && pseudo)
        checksum_change(sum, ip, to->ip, 4);
    checksum_change(f->packet + 10, ip, to->ip, 4);
    memcpy(ip, to->ip, 4);
    if (port == NULL)
        return;
    sp_put_u16(new_port, to->port);
    if (sum != NULL)
        checksum_change(sum, port, new_port, 2);
    memcpy(port, new_port, 2);
    if (f->protocol == UDP && sum != NULL && sp_get_u16(sum) == 0)
        sp_put_u16(sum, 0xffff);
}

/* ---- decisions ---- */

static bool is_outside(const struct nat *n, const struct sp_addr *a) {
    const struct nat_config *c = nat_config(n);
    return c->mapping != NAT_MAPPING_FIREWALL && a->family == c->outside.family &&
           memcmp(a->ip, c->outside.ip, 16) == 0;
}

/* A gateway answers pings to its own outside address from inside. */
static bool answer_echo(const struct nat *n, struct flow *f) {
    static const uint8_t request[2] = {8, 0}, reply[2] = {0, 0};
    if (!f->echo || f->family != 4 || f->transport[0] != 8 || !is_outside(n, &f->dst))
        return false;
    struct sp_addr src = f->src, dst = f->dst;
    f->src_port = f->dst_port = NULL;
    rewrite(f, true, &dst);
    rewrite(f, false, &src);
    checksum_change(f->transport + 2, request, reply, 2);
    f->transport[0] = 0;
    return true;
}

/* An ICMP error is let through if the packet that it is about belongs to a flow, and is rewritten with it. */
static enum nat_side error(struct nat *n, struct flow *f, enum nat_side from, sp_instant now) {
    struct flow about;
    struct sp_addr a, unused;
    bool out = from == NAT_INSIDE;
    if (f->left < ERROR_HEAD || !find(&about, f->transport + ERROR_HEAD, f->left - ERROR_HEAD, !out) || about.error ||
        about.family != f->family)
        return NAT_NOWHERE;
    enum nat_verdict v = out ? nat_out(n, about.protocol, &about.dst, &about.src, now, &a, &unused)
                             : nat_in(n, about.protocol, &about.dst, &about.src, now, &a);
    if (v != NAT_PASS)
        return NAT_NOWHERE;
    if (f->family == 4) {
        rewrite(&about, !out, &a);
        rewrite(f, out, &a);
        sp_put_u16(f->transport + 2, 0);
        sp_put_u16(f->transport + 2, (uint16_t)~folded(sum_of(f->transport, f->left)));
    }
    return out ? NAT_OUTSIDE : NAT_INSIDE;
}

static enum nat_side outward(struct nat *n, struct flow *f, sp_instant now) {
    struct sp_addr src, dst;
    enum nat_verdict v = nat_out(n, f->protocol, &f->src, &f->dst, now, &src, &dst);
    if (v == NAT_DROP)
        return NAT_NOWHERE;
    if (f->family == 4) {
        rewrite(f, true, &src);
        if (v == NAT_HAIRPIN)
            rewrite(f, false, &dst);
    }
    return v == NAT_HAIRPIN ? NAT_INSIDE : NAT_OUTSIDE;
}

static enum nat_side inward(struct nat *n, struct flow *f, sp_instant now) {
    struct sp_addr dst;
    if (nat_in(n, f->protocol, &f->src, &f->dst, now, &dst) != NAT_PASS)
        return NAT_NOWHERE;
    if (f->family == 4)
        rewrite(f, false, &dst);
    return NAT_INSIDE;
}

enum nat_side nat_packet(struct nat_packets *n, uint8_t *packet, size_t len, enum nat_side from, sp_instant now) {
    struct flow f;
    bool out = from == NAT_INSIDE, known = find(&f, packet, len, out);
    struct nat *nat = len > 0 && packet[0] >> 4 == 4 ? n->v4 : n->v6;
    if (n->block_udp && len > 9 && (packet[0] >> 4 == 4 ? packet[9] : packet[6]) == UDP)
        return NAT_NOWHERE;
    if (nat == NULL)
        return out ? NAT_OUTSIDE : NAT_INSIDE;
    if (!known) {
        n->odd++;
        return NAT_NOWHERE;
    }
    if (f.error)
        return error(nat, &f, from, now);
    if (out && answer_echo(nat, &f))
        return NAT_INSIDE;
    return out ? outward(nat, &f, now) : inward(nat, &f, now);
}
