#include "proto/net/point.h"

#include "proto/base/bucket.h"
#include "proto/base/bytes.h"
#include "proto/base/csum.h"

#define IP6_HEAD    40u
#define ICMP_HEAD   8u
#define MTU_MIN     1280u
#define HOP_LIMIT   64
#define HEADERS_MAX 4 /* extension headers of a packet */
#define REPLIES     16
/* RFC 4443 2.4 (f). */
#define ERROR_COST  (SP_SEC / 50)
#define ERROR_DEPTH (20 * ERROR_COST)

enum {
    HOPOPTS = 0,
    PROTO_TCP = 6,
    PROTO_UDP = 17,
    ROUTING = 43,
    FRAGMENT = 44,
    PROTO_ICMP = 58,
    NO_NEXT = 59,
    DSTOPTS = 60
};
enum { UNREACHABLE = 1, TOO_BIG = 2, PARAMETER = 4, ECHO = 128, ECHO_REPLY = 129, REDIRECT = 137 };
enum { UNREACHABLE_PROHIBITED = 1, UNREACHABLE_PORT = 4, PARAMETER_NEXT = 1 };

/* An ICMPv6 message of ours that waits to be sent. */
struct reply {
    uint16_t len;
    uint8_t *data;
};

struct sp_point {
    struct sp_point_config config;
    struct sp_tcp *tcp;
    uint8_t *room; /* of all replies */
    struct reply replies[REPLIES];
    unsigned first, count;
    bool shown; /* the first was handed out: it goes with the next call */
    struct sp_bucket errors;
    struct sp_point_counts counts;
};

/* A packet as received, from the transport header on. */
struct packet {
    const uint8_t *ip;
    size_t ip_len;
    const uint8_t *src;
    uint8_t proto;
    uint32_t next_at; /* where the number of this protocol stands */
    const uint8_t *data;
    size_t len;
};

/* ---- life ---- */

sp_err sp_point_new(struct sp_point **ret, const struct sp_point_config *config) {
    if (config->mtu < MTU_MIN)
        return SP_ERR_RANGE;
    struct sp_point *p = sp_mem_alloc(config->mem, sizeof *p);
    if (p == NULL)
        return SP_ERR_FULL;
    p->config = *config;
    p->config.tcp.mem = config->mem;
    p->config.tcp.rng = config->rng;
    p->config.tcp.mtu = config->mtu;
    p->room = sp_mem_alloc(config->mem, (size_t)REPLIES * config->mtu);
    for (unsigned i = 0; p->room != NULL && i < REPLIES; i++)
        p->replies[i].data = p->room + (size_t)i * config->mtu;
    sp_err err = p->room != NULL ? sp_tcp_new(&p->tcp, &p->config.tcp) : SP_ERR_FULL;
    if (err != SP_OK)
        sp_point_free(p);
    else
        *ret = p;
    return err;
}

void sp_point_free(struct sp_point *p) {
    if (p == NULL)
        return;
    sp_tcp_free(p->tcp);
    sp_mem_free(p->config.mem, p->room, (size_t)REPLIES * p->config.mtu);
    sp_mem_free(p->config.mem, p, sizeof *p);
}

struct sp_tcp *sp_point_tcp(struct sp_point *p) {
    return p->tcp;
}

const struct sp_point_counts *sp_point_counts(const struct sp_point *p) {
    return &p->counts;
}

/* ---- ICMPv6 out ---- */

static void tidy(struct sp_point *p) {
    if (!p->shown)
        return;
    p->shown = false;
    p->first = (p->first + 1) % REPLIES;
    p->count--;
}

/* Queues a message to `to`: its head's second word, and up to what fits of `data`. */
static void reply(struct sp_point *p, const uint8_t to[16], uint8_t type, uint8_t code, const uint8_t word[4],
                  const uint8_t *data, size_t len) {
    if (p->count == REPLIES) {
        p->counts.dropped_rate++;
        return;
    }
    struct reply *r = &p->replies[(p->first + p->count++) % REPLIES];
    size_t body = ICMP_HEAD + len;
    struct sp_wr wr = sp_wr_init(r->data, p->config.mtu);
    sp_wr_u32(&wr, UINT32_C(6) << 28);
    sp_wr_u16(&wr, (uint16_t)body);
    sp_wr_u8(&wr, PROTO_ICMP);
    sp_wr_u8(&wr, HOP_LIMIT);
    sp_wr_bytes(&wr, p->config.addr, 16);
    sp_wr_bytes(&wr, to, 16);
    sp_wr_u8(&wr, type);
    sp_wr_u8(&wr, code);
    sp_wr_u16(&wr, 0);
    sp_wr_bytes(&wr, word, 4);
    sp_wr_bytes(&wr, data, len);
    SP_ASSERT(wr.err == SP_OK);
    uint32_t sum = sp_csum_pseudo(p->config.addr, to, 16, PROTO_ICMP, body);
    sp_put_u16(r->data + IP6_HEAD + 2, (uint16_t)~sp_csum_fold(sp_csum_add(sum, r->data + IP6_HEAD, body)));
    r->len = (uint16_t)sp_wr_len(&wr);
}

/* RFC 4443 2.4 (e): about ICMPv6 errors and redirects none. */
static bool may_complain(const struct packet *k) {
    return k->proto != PROTO_ICMP || (k->len > 0 && k->data[0] >= 128 && k->data[0] != REDIRECT);
}

static void complain(struct sp_point *p, sp_instant now, const struct packet *k, uint8_t type, uint8_t code,
                     uint32_t value) {
    uint8_t word[4];
    if (!may_complain(k))
        return;
    if (!sp_bucket_has(&p->errors, ERROR_COST, ERROR_DEPTH, now)) {
        p->counts.dropped_rate++;
        return;
    }
    sp_bucket_take(&p->errors, ERROR_COST, now);
    sp_put_u32(word, value);
    size_t most = MTU_MIN - IP6_HEAD - ICMP_HEAD;
    p->counts.errors_sent++;
    reply(p, k->src, type, code, word, k->ip, k->ip_len < most ? k->ip_len : most);
}

/* ---- ICMPv6 in ---- */

/* A segment of ours, as an error quotes it: our packets have no extension headers. */
static bool quoted(const struct sp_point *p, const struct packet *k, struct sp_tcp_packet *ret) {
    struct sp_rd r = sp_rd_init(k->data + ICMP_HEAD, k->len - ICMP_HEAD);
    uint32_t first = sp_rd_u32(&r);
    sp_rd_u16(&r);
    uint8_t proto = sp_rd_u8(&r);
    sp_rd_u8(&r);
    *ret = (struct sp_tcp_packet){.family = 6};
    sp_rd_copy(&r, ret->src, 16);
    sp_rd_copy(&r, ret->dst, 16);
    ret->data = r.pos;
    ret->len = sp_rd_left(&r);
    return r.err == SP_OK && first >> 28 == 6 && proto == PROTO_TCP && ret->len >= 8 &&
           memcmp(ret->src, p->config.addr, 16) == 0;
}

/* RFC 8201 4: what is less than every link carries is no news. */
static void too_big(struct sp_point *p, sp_instant now, const struct packet *k) {
    struct sp_tcp_packet segment;
    uint32_t mtu = sp_get_u32(k->data + 4);
    if (mtu < MTU_MIN || !quoted(p, k, &segment))
        p->counts.dropped_other++;
    else
        sp_tcp_path_mtu(p->tcp, now, &segment, (uint16_t)(mtu < UINT16_MAX ? mtu : UINT16_MAX));
}

/* RFC 5461 4.1: no route, or no answer from a neighbour, may pass. */
static void unreachable(struct sp_point *p, const struct packet *k) {
    struct sp_tcp_packet segment;
    bool hard = k->data[1] == UNREACHABLE_PROHIBITED || k->data[1] == UNREACHABLE_PORT;
    if (!hard || !quoted(p, k, &segment) || !sp_tcp_unreachable(p->tcp, &segment))
        p->counts.dropped_other++;
}

static void icmp(struct sp_point *p, sp_instant now, const struct packet *k) {
    if (k->len < ICMP_HEAD) {
        p->counts.dropped_form++;
        return;
    }
    uint32_t sum = sp_csum_pseudo(k->src, p->config.addr, 16, PROTO_ICMP, k->len);
    if (sp_csum_fold(sp_csum_add(sum, k->data, k->len)) != UINT16_MAX) {
        p->counts.dropped_form++;
    } else if (k->data[0] == ECHO && k->data[1] == 0 && k->len + IP6_HEAD <= p->config.mtu) {
        p->counts.echoes++;
        reply(p, k->src, ECHO_REPLY, 0, k->data + 4, k->data + ICMP_HEAD, k->len - ICMP_HEAD);
    } else if (k->data[0] == TOO_BIG) {
        too_big(p, now, k);
    } else if (k->data[0] == UNREACHABLE) {
        unreachable(p, k);
    } else {
        p->counts.dropped_other++;
    }
}

/* ---- packets in ---- */

static bool to_us(const struct sp_point *p, const struct packet *k) {
    static const uint8_t none[16];
    return memcmp(k->ip + 24, p->config.addr, 16) == 0 && memcmp(k->src, p->config.addr, 16) != 0 &&
           k->src[0] != 0xff && memcmp(k->src, none, 16) != 0;
}

/* Past one extension header. A fragment is taken only when it is the whole (RFC 6946); a route that still leads
 * somewhere, not. */
static bool skip(struct packet *k) {
    struct sp_rd r = sp_rd_init(k->data, k->len);
    uint8_t next = sp_rd_u8(&r);
    size_t size = k->proto == FRAGMENT ? (sp_rd_u8(&r), (size_t)8) : ((size_t)sp_rd_u8(&r) + 1) * 8;
    uint16_t more = sp_rd_u16(&r);
    if (r.err != SP_OK || size > k->len || (k->proto == FRAGMENT && (more & 0xfff9) != 0) ||
        (k->proto == ROUTING && (more & 0xff) != 0))
        return false;
    k->next_at = (uint32_t)(k->data - k->ip);
    k->proto = next;
    k->data += size;
    k->len -= size;
    return true;
}

static bool is_extension(uint8_t proto) {
    return proto == HOPOPTS || proto == ROUTING || proto == FRAGMENT || proto == DSTOPTS;
}

static bool read_head(struct packet *ret, const uint8_t *ip, size_t len) {
    if (len < IP6_HEAD || ip[0] >> 4 != 6 || (size_t)IP6_HEAD + sp_get_u16(ip + 4) > len)
        return false;
    *ret = (struct packet){.ip = ip,
                           .ip_len = (size_t)IP6_HEAD + sp_get_u16(ip + 4),
                           .src = ip + 8,
                           .proto = ip[6],
                           .next_at = 6,
                           .data = ip + IP6_HEAD,
                           .len = sp_get_u16(ip + 4)};
    for (unsigned i = 0; i < HEADERS_MAX && is_extension(ret->proto); i++)
        if ((ret->proto == HOPOPTS && i > 0) || !skip(ret))
            return false;
    return !is_extension(ret->proto);
}

static void tcp(struct sp_point *p, sp_instant now, const struct packet *k, bool checked) {
    struct sp_tcp_packet segment = {.family = 6, .checked = checked, .data = k->data, .len = k->len};
    memcpy(segment.src, k->src, 16);
    memcpy(segment.dst, p->config.addr, 16);
    sp_tcp_input(p->tcp, now, &segment);
}

void sp_point_input(struct sp_point *p, sp_instant now, const uint8_t *packet, size_t len,
                    const struct sp_offload *offload) {
    struct packet k;
    tidy(p);
    p->counts.packets_in++;
    if (!read_head(&k, packet, len)) {
        p->counts.dropped_form++;
        return;
    }
    if (!to_us(p, &k)) {
        p->counts.dropped_other++;
        return;
    }
    switch (k.proto) {
    case PROTO_TCP:
        tcp(p, now, &k, offload->needs_csum);
        return;
    case PROTO_ICMP:
        icmp(p, now, &k);
        return;
    case PROTO_UDP: /* it is spoken elsewhere, but nobody listens here */
        p->counts.dropped_protocol++;
        complain(p, now, &k, UNREACHABLE, UNREACHABLE_PORT, 0);
        return;
    default:
        p->counts.dropped_protocol++;
        if (k.proto != NO_NEXT)
            complain(p, now, &k, PARAMETER, PARAMETER_NEXT, k.next_at);
    }
}

/* ---- packets out ---- */

static void show_reply(struct sp_point *p, struct sp_point_packet *ret) {
    const struct reply *r = &p->replies[p->first];
    p->shown = true;
    memcpy(ret->head, r->data, IP6_HEAD);
    ret->head_len = IP6_HEAD;
    ret->len = r->len;
    ret->spans = 1;
    ret->span[0].data = r->data + IP6_HEAD;
    ret->span[0].len = r->len - IP6_HEAD;
    ret->offload = (struct sp_offload){.gso = SP_GSO_NONE};
}

/* The checksum of payload is the device's: it sees the bytes anyway. */
static void show_segment(struct sp_point_packet *ret, const struct sp_tcp_out *s) {
    size_t transport = s->head_len + s->len;
    struct sp_wr wr = sp_wr_init(ret->head, sizeof ret->head);
    sp_wr_u32(&wr, UINT32_C(6) << 28);
    sp_wr_u16(&wr, (uint16_t)transport);
    sp_wr_u8(&wr, PROTO_TCP);
    sp_wr_u8(&wr, HOP_LIMIT);
    sp_wr_bytes(&wr, s->src, 16);
    sp_wr_bytes(&wr, s->dst, 16);
    sp_wr_bytes(&wr, s->head, s->head_len);
    ret->head_len = IP6_HEAD + s->head_len;
    ret->len = IP6_HEAD + transport;
    sp_put_u16(ret->head + IP6_HEAD + 16, sp_csum_fold(sp_csum_pseudo(s->src, s->dst, 16, PROTO_TCP, transport)));
    ret->spans = s->spans;
    for (unsigned i = 0; i < s->spans; i++) {
        ret->span[i].data = s->span[i].data;
        ret->span[i].len = s->span[i].len;
    }
    ret->offload = (struct sp_offload){.gso = s->segment != 0 ? SP_GSO_TCP6 : SP_GSO_NONE,
                                       .needs_csum = true,
                                       .hdr_len = (uint16_t)ret->head_len,
                                       .gso_size = s->segment,
                                       .csum_start = IP6_HEAD,
                                       .csum_offset = 16};
}

bool sp_point_output(struct sp_point *p, sp_instant now, struct sp_point_packet *ret) {
    struct sp_tcp_out segment;
    tidy(p);
    if (p->count > 0)
        show_reply(p, ret);
    else if (sp_tcp_output(p->tcp, now, &segment))
        show_segment(ret, &segment);
    else
        return false;
    p->counts.packets_out++;
    return true;
}

void sp_point_expire(struct sp_point *p, sp_instant now) {
    tidy(p);
    sp_tcp_expire(p->tcp, now);
}

sp_instant sp_point_deadline(const struct sp_point *p) {
    return sp_tcp_deadline(p->tcp);
}
