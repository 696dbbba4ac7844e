/* What the files of this room share: the interface's tables and the calls between its layers. */
#ifndef SP_NET_IMPL_H
#define SP_NET_IMPL_H

#include "proto/base/bucket.h"
#include "proto/base/bytes.h"
#include "proto/base/csum.h"
#include "proto/base/table.h"
#include "proto/base/timers.h"
#include "proto/net/net.h"

enum { ETHER_IPV4 = 0x0800, ETHER_ARP = 0x0806, ETHER_IPV6 = 0x86dd };
enum {
    IP_HOPOPTS = 0,
    IP_ICMP = 1,
    IP_TCP = 6,
    IP_UDP = 17,
    IP_ROUTING = 43,
    IP_FRAGMENT = 44,
    IP_ICMP6 = 58,
    IP_NONE = 59,
    IP_DSTOPTS = 60
};

#define IPV4_HEAD   20
#define IPV6_HEAD   40
#define HOP_LIMIT   64
#define ROUTERS     8
#define PREFIXES    8
#define WAITING_MAX 8 /* frames that wait for one neighbour */
#define RESOLVERS   4
#define REASSEMBLY  (60 * SP_SEC) /* RFC 8200 4.5; RFC 1122 3.3.2 */
#define RETRANS     SP_SEC
#define HEADERS_MAX 8 /* extension headers of a packet */

struct timer {
    struct sp_timer timer;
    void (*fire)(struct sp_net *net, struct timer *t, sp_instant now);
};

/* A frame of our own, or one that waits for its neighbour. */
struct frame {
    struct frame *next;
    uint8_t *data;
    size_t len;
};

struct frames {
    struct frame *first, **end;
    unsigned count;
};

enum neigh_state { NEIGH_FREE, NEIGH_INCOMPLETE, NEIGH_REACHABLE, NEIGH_STALE, NEIGH_DELAY, NEIGH_PROBE };

/* RFC 4861 7.3, for ARP's neighbours as well. */
struct neigh {
    struct sp_link link;
    struct timer timer;
    struct neigh *next; /* while free */
    uint8_t ip[16];
    uint8_t family;
    uint8_t mac[SP_NET_MAC];
    uint8_t tries;
    bool router, sent; /* sent: something has gone there */
    enum neigh_state state;
    sp_instant reachable_until, used;
    struct frames waiting;
};

enum addr_state { ADDR_NONE, ADDR_TENTATIVE, ADDR_READY, ADDR_DUPLICATE };
enum addr_from { FROM_STATIC, FROM_DHCP, FROM_LINK_LOCAL, FROM_SLAAC };

struct address {
    struct timer timer; /* probes, then announcements */
    struct timer life;  /* preferred, then valid, then gone */
    uint8_t ip[16];
    uint8_t family, bits, tries, attempt; /* attempt: how many of its kind were duplicates (RFC 7217 5, DAD_Counter) */
    enum addr_state state;
    enum addr_from from;
    sp_instant preferred_until, valid_until, conflict_at;
};

struct router {
    uint8_t ip[16];
    uint8_t family; /* 0: free */
    enum addr_from from;
    sp_instant valid_until;
};

struct prefix {
    uint8_t ip[16];
    uint8_t bits; /* 0: free */
    sp_instant valid_until;
};

/* A packet being put together. Fragments of it may not overlap; where they do it is dead until its time is over. */
struct reassembly {
    struct timer timer;
    uint8_t src[16], dst[16];
    uint32_t id;
    uint8_t family; /* 0: free */
    uint8_t proto, ecn;
    bool dead, head, last; /* head: the first fragment is there; last: the last one */
    size_t len, have;      /* len: with `last`, of the whole */
    uint64_t order;
    uint8_t *data;
    uint8_t *blocks; /* bitmap of 8-byte blocks that are there */
};

/* A received packet, from the IP layer up. */
struct packet {
    uint8_t family, proto, ttl, ecn;
    bool group, checked,
        fragmented; /* group: to a multicast or broadcast address; checked: the device has seen to UDP's checksum */
    uint8_t src[16], dst[16];
    const uint8_t *mac; /* that sent the frame */
    const uint8_t *ip;  /* the packet as it came, for errors about it */
    size_t ip_len;
    uint32_t next_at;    /* IPv6: where in it the number of this protocol stands */
    const uint8_t *data; /* transport header and what follows */
    size_t len;
};

/* A packet to be sent: `head` stands before `data`. */
struct ip_out {
    uint8_t family, proto, ttl, ecn;
    bool alert; /* IPv6: a hop-by-hop header with a router alert, for MLD */
    bool df;    /* IPv4: not to be fragmented */
    uint8_t src[16], dst[16];
    uint8_t head[8];
    size_t head_len;
    const uint8_t *data;
    size_t len;
    uint32_t id;
};

enum dhcp_state {
    DHCP_OFF,
    DHCP_REBOOTING,
    DHCP_SELECTING,
    DHCP_REQUESTING,
    DHCP_PROBING,
    DHCP_BOUND,
    DHCP_RENEWING,
    DHCP_REBINDING,
    DHCP_WAITING
};

struct dhcp {
    struct timer timer;
    enum dhcp_state state;
    uint32_t xid, ip, server, mask, router, lease_s;
    uint32_t resolvers[RESOLVERS];
    uint8_t resolver_count, tries;
    uint16_t mtu;
    sp_instant started, asked, t1, t2, end;
};

struct sp_net {
    struct sp_net_config config;
    char hostname[64];
    bool up;
    uint32_t generation;
    uint16_t mtu4, mtu6;
    uint8_t hop_limit;
    unsigned device; /* SP_NET_SUM4 ...: what it does for us */
    struct sp_tcp *tcp;
    sp_duration reachable, retrans; /* of routers' advertisements */
    uint8_t hash_key[16];
    struct sp_timers timers;
    struct sp_net_counts counts;
    /* frames */
    struct frame *frame_store, *frame_free;
    uint8_t *frame_data;
    size_t frame_size;
    unsigned waiting;
    struct frames out;
    struct frame *shown; /* whose bytes were handed out; free with the next call */
    /* neighbours */
    struct neigh *neigh_store, *neigh_free;
    struct sp_table neighbours;
    struct neigh *neigh_last; /* found last, and so probably next: a gateway; or NULL */
    /* addresses and routes */
    struct address addresses[SP_NET_ADDRESSES];
    size_t address_end; /* past the last one in use: every packet looks at all of them */
    struct router routers[ROUTERS];
    struct prefix prefixes[PREFIXES];
    struct timer routes; /* the next router or prefix to expire */
    struct timer solicit;
    uint8_t solicits;
    /* reassembly */
    struct reassembly *parts;
    uint8_t *part_data;
    size_t part_size, map_size;
    uint64_t part_order;
    struct sp_bucket errors; /* of ICMP */
    struct dhcp dhcp;
};

extern const uint8_t sp_net_zero[16];
extern const uint8_t sp_net_broadcast[SP_NET_MAC];

static inline void sp_net_dropped(struct sp_net *net, enum sp_net_drop why) {
    net->counts.drops[why]++;
}
static inline bool sp_net_same(const uint8_t a[16], const uint8_t b[16]) {
    return memcmp(a, b, 16) == 0;
}
static inline void sp_net_timer(struct sp_net *net, struct timer *t, sp_instant due) {
    sp_timer_set(&net->timers, &t->timer, due);
}
static inline void sp_net_timer_off(struct sp_net *net, struct timer *t) {
    sp_timer_cancel(&net->timers, &t->timer);
}
/* The first `bits` are equal. */
bool sp_net_in_prefix(const uint8_t ip[16], const uint8_t prefix[16], unsigned bits);

/* ---- frame.c ---- */
struct frame *sp_net_frame_new(struct sp_net *net); /* NULL: there is none, counted */
void sp_net_frame_free(struct sp_net *net, struct frame *f);
void sp_net_frames_init(struct frames *list);
void sp_net_frames_add(struct frames *list, struct frame *f);
struct frame *sp_net_frames_take(struct frames *list);
void sp_net_ether(struct sp_wr *w, const struct sp_net *net, const uint8_t dst[SP_NET_MAC], uint16_t type);

/* ---- neigh.c ---- */
SP_CHECK sp_err sp_net_neigh_new_all(struct sp_net *net);
struct neigh *sp_net_neigh_find(struct sp_net *net, uint8_t family, const uint8_t ip[16]);
/* Whom to send to: OK and *ret_mac, or ERR_AGAIN and *ret, where frames may wait; ERR_FULL. */
SP_CHECK sp_err sp_net_neigh_use(struct sp_net *net, sp_instant now, uint8_t family, const uint8_t ip[16],
                                 uint8_t ret_mac[SP_NET_MAC], struct neigh **ret);
void sp_net_neigh_wait(struct sp_net *net, struct neigh *n, struct frame *f);
/* It spoke to us: its MAC, unconfirmed. RFC 4861 7.2.3. Creates it. */
void sp_net_neigh_heard(struct sp_net *net, sp_instant now, uint8_t family, const uint8_t ip[16],
                        const uint8_t mac[SP_NET_MAC]);
/* It answered, or advertised itself; mac may be NULL. RFC 4861 7.2.5. */
void sp_net_neigh_advert(struct sp_net *net, sp_instant now, struct neigh *n, const uint8_t *mac, bool solicited,
                         bool override);
void sp_net_neigh_forget(struct sp_net *net); /* all of them */

/* ---- arp.c ---- */
void sp_net_arp_input(struct sp_net *net, sp_instant now, const uint8_t *data, size_t len);
/* A request; target_mac NULL: to all. sender all zero: a probe; sender == target: an announcement. */
void sp_net_arp_request(struct sp_net *net, const uint8_t *target_mac, const uint8_t sender[16],
                        const uint8_t target[16]);

/* ---- addr.c ---- */
struct address *sp_net_addr_find(struct sp_net *net, uint8_t family, const uint8_t ip[16]);
bool sp_net_addr_ready(struct sp_net *net, uint8_t family, const uint8_t ip[16]);
/* Starts to probe for it (probes 0: it is ready). NULL: no room. */
struct address *sp_net_addr_add(struct sp_net *net, sp_instant now, uint8_t family, const uint8_t ip[16], uint8_t bits,
                                enum addr_from from, unsigned probes);
void sp_net_addr_remove(struct sp_net *net, struct address *a);
void sp_net_addr_lifetime(struct sp_net *net, struct address *a, sp_instant preferred_until, sp_instant valid_until);
/* Somebody else has it. */
void sp_net_addr_conflict(struct sp_net *net, sp_instant now, struct address *a);
/* Ours to send from to dst; NULL: none. RFC 6724 5, in short. */
const struct address *sp_net_addr_source(const struct sp_net *net, sp_instant now, uint8_t family,
                                         const uint8_t dst[16]);
/* IPv4: whether dst is a broadcast address of ours. */
bool sp_net_addr_is_broadcast(const struct sp_net *net, const uint8_t ip[16]);
void sp_net_addr_link(struct sp_net *net, sp_instant now, bool up);
/* The next address of ours in this prefix by RFC 7217. */
void sp_net_addr_stable(const struct sp_net *net, const uint8_t prefix[16], uint8_t attempt, uint8_t ret[16]);

/* ---- route.c ---- */
/* The neighbour that dst is reached through; NULL: none. */
const uint8_t *sp_net_route(struct sp_net *net, sp_instant now, uint8_t family, const uint8_t dst[16]);
void sp_net_router_set(struct sp_net *net, sp_instant now, uint8_t family, const uint8_t ip[16], enum addr_from from,
                       sp_instant valid_until);
void sp_net_router_remove(struct sp_net *net, uint8_t family, const uint8_t ip[16], enum addr_from from);
/* It does not answer: others come first from now on. */
void sp_net_router_failed(struct sp_net *net, uint8_t family, const uint8_t ip[16]);
bool sp_net_router_is(const struct sp_net *net, uint8_t family, const uint8_t ip[16]);
void sp_net_prefix_set(struct sp_net *net, sp_instant now, const uint8_t ip[16], uint8_t bits, sp_instant valid_until);
void sp_net_route_link(struct sp_net *net, sp_instant now, bool up);

/* ---- send.c ---- */
/* Writes one frame, from byte `at` of the packet's payload on; *ret_next: where the next fragment starts, or 0. */
SP_CHECK sp_err sp_net_ip_write(struct sp_net *net, const struct ip_out *ip, const uint8_t mac[SP_NET_MAC], size_t at,
                                size_t *ret_next, uint8_t *frame, size_t cap, size_t *ret_len);
/* Where a packet goes: OK and a MAC, or as sp_net_neigh_use. ERR_NOENT: no route. */
SP_CHECK sp_err sp_net_ip_hop(struct sp_net *net, sp_instant now, const struct ip_out *ip, uint8_t ret_mac[SP_NET_MAC],
                              struct neigh **ret);
/* Sends a packet of our own, in fragments if it must. mac NULL: by route. Failures are counted drops. */
void sp_net_ip_send(struct sp_net *net, sp_instant now, const struct ip_out *ip, const uint8_t *mac);
/* The transport checksum over pseudo header, head and data. */
uint16_t sp_net_ip_csum(const struct ip_out *ip);
/* Ethernet and IP header of a packet in one piece, with len bytes of payload. */
void sp_net_ip_head(struct sp_wr *w, const struct sp_net *net, const struct ip_out *ip, const uint8_t mac[SP_NET_MAC], size_t len);
/* A frame to be filled and to wait for its neighbour; NULL: there is no room, counted. */
struct frame *sp_net_frame_waiting(struct sp_net *net);
void sp_net_send_failed(struct sp_net *net, sp_err err); /* counts it */

/* ---- ipv4.c, ipv6.c, frag.c ---- */
bool sp_net_ipv4_input(struct sp_net *net, sp_instant now, struct packet *p, const uint8_t *data, size_t len,
                       struct sp_in *ret);
bool sp_net_ipv6_input(struct sp_net *net, sp_instant now, struct packet *p, const uint8_t *data, size_t len,
                       struct sp_in *ret);
SP_CHECK sp_err sp_net_frag_new_all(struct sp_net *net);
/* Takes a fragment: p->data is its part, at `offset`. True: p is the whole packet now, its data in a buffer of ours
 * until the next call. */
bool sp_net_frag_input(struct sp_net *net, sp_instant now, struct packet *p, uint32_t id, size_t offset, bool more);
void sp_net_frag_forget(struct sp_net *net);

/* ---- segment.c ---- */
SP_CHECK sp_err sp_net_segment_new(struct sp_net *net, const struct sp_tcp_config *tcp);
void sp_net_segment_link(struct sp_net *net); /* MTUs or offload have changed */
void sp_net_segment_input(struct sp_net *net, sp_instant now, const struct packet *p);
/* An ICMP error that quotes a packet of ours, from its IP header on. mtu 0: nobody will answer; else packets may not be larger.
 * False: it is of no use. */
bool sp_net_segment_error(struct sp_net *net, sp_instant now, uint8_t family, const uint8_t *quoted, size_t len, uint32_t mtu);
/* The next frame of TCP's; false: none. */
bool sp_net_segment_output(struct sp_net *net, sp_instant now, struct sp_net_gather *ret);

/* ---- udp.c, icmp.c, icmp6.c, nd.c, ra.c, mld.c, dhcp.c ---- */
struct udp {
    uint16_t src, dst;
    const uint8_t *data;
    size_t len;
};
/* RFC 768: header, length and checksum; false: dropped, counted. */
bool sp_net_udp_open(struct sp_net *net, const struct packet *p, struct udp *ret);
/* The transport checksum of a received packet, with its pseudo header. */
bool sp_net_csum_ok(const struct packet *p);
bool sp_net_udp_input(struct sp_net *net, sp_instant now, const struct packet *p, struct sp_in *ret);
void sp_net_icmp_input(struct sp_net *net, sp_instant now, const struct packet *p);
/* An error about a received packet, if one is due and within the rate: code is that of ICMP or ICMPv6 "destination
 * unreachable" etc. */
void sp_net_icmp_error(struct sp_net *net, sp_instant now, const struct packet *p, uint8_t type, uint8_t code,
                       uint32_t value);
bool sp_net_icmp_allowed(struct sp_net *net, sp_instant now);
void sp_net_icmp6_input(struct sp_net *net, sp_instant now, const struct packet *p);
void sp_net_icmp6_error(struct sp_net *net, sp_instant now, const struct packet *p, uint8_t type, uint8_t code,
                        uint32_t value);
void sp_net_icmp6_send(struct sp_net *net, sp_instant now, struct ip_out *ip, const uint8_t *mac);
void sp_net_nd_input(struct sp_net *net, sp_instant now, const struct packet *p);
/* A solicitation; src all zero: a probe of duplicate address detection. mac: of a neighbour being probed, or NULL. */
void sp_net_nd_solicit(struct sp_net *net, sp_instant now, const uint8_t *mac, const uint8_t src[16],
                       const uint8_t target[16]);
void sp_net_nd_advertise(struct sp_net *net, sp_instant now, const uint8_t target[16], const uint8_t dst[16],
                         bool solicited);
void sp_net_nd_group(const uint8_t ip[16], uint8_t ret[16]); /* its solicited-node group */
void sp_net_ra_input(struct sp_net *net, sp_instant now, const struct packet *p, struct sp_rd r);
void sp_net_ra_link(struct sp_net *net, sp_instant now, bool up);
/* Options of neighbour discovery: false when malformed. mac is that of option `type`, or NULL. */
bool sp_net_nd_options(struct sp_rd r, uint8_t type, const uint8_t **ret_mac);
void sp_net_mld_report(struct sp_net *net, sp_instant now);
bool sp_net_mld_joined(struct sp_net *net, const uint8_t group[16]);
bool sp_net_dhcp_input(struct sp_net *net, sp_instant now, const struct packet *p);
void sp_net_dhcp_link(struct sp_net *net, sp_instant now, bool up);
/* Its address was probed: it is ours, or somebody has it. */
void sp_net_dhcp_probed(struct sp_net *net, sp_instant now, bool ours);

#endif
