/* An interface of proto/net on a wire that a test holds: frames built and read by code of the tests' own. */
#ifndef SP_TESTS_NET_RIG_H
#define SP_TESTS_NET_RIG_H

#include "proto/net/net.h"

#define NET_FRAMES 128

struct net_frame {
    uint8_t data[SP_NET_ETHER + SP_NET_MTU_MAX];
    size_t len;
    struct sp_offload offload;
};

struct net_rig {
    struct sp_mem mem;
    struct sp_rng rng;
    struct sp_net_config config;
    struct sp_net *net;
    sp_instant now;
    struct net_frame sent[NET_FRAMES]; /* since net_rig_forget */
    size_t count;
    struct sp_in in; /* the last datagram */
    size_t datagrams;
};

extern const uint8_t net_rig_mac[6], net_rig_peer[6], net_rig_gateway[6], net_rig_all[6];

/* "192.0.2.1" or "fe80::1" as an address; port 0. */
struct sp_addr net_ip(const char *text);

/* 192.0.2.1/24, gateway 192.0.2.254; change rig->config before net_rig_start. */
struct net_rig *net_rig_new(void);
void net_rig_start(struct net_rig *g); /* link up */
void net_rig_free(struct net_rig *g);  /* all memory must have come back */

/* Gives a frame, or lets time pass, then collects what was sent. True: a datagram came out, rig->in. */
bool net_rig_in(struct net_rig *g, const struct net_frame *f);
void net_rig_wait(struct net_rig *g, sp_duration d);
void net_rig_forget(struct net_rig *g);
/* Sends a datagram; returns the error of its last frame. What comes out is among rig->sent. */
sp_err net_rig_send(struct net_rig *g, const struct sp_out *out);
uint64_t net_rig_drops(const struct net_rig *g, enum sp_net_drop why);

/* Frames. An IP packet: payload is the transport header and data; its checksum is the caller's (net_rig_sum). */
struct net_frame net_arp(unsigned op, const uint8_t smac[6], const char *sender, const uint8_t tmac[6],
                         const char *target);
struct net_frame net_packet(const uint8_t dmac[6], const uint8_t smac[6], const char *src, const char *dst,
                            uint8_t proto, uint8_t ttl, const void *payload, size_t len);
/* An IPv4 fragment: at (in bytes), more. */
struct net_frame net_fragment4(const char *src, const char *dst, uint8_t proto, uint16_t id, size_t at, bool more,
                               const void *payload, size_t len);
/* An IPv6 one. */
struct net_frame net_fragment6(const char *src, const char *dst, uint8_t proto, uint32_t id, size_t at, bool more,
                               const void *payload, size_t len);
struct net_frame net_udp(const uint8_t dmac[6], const uint8_t smac[6], const char *src, uint16_t sport, const char *dst,
                         uint16_t dport, const void *data, size_t len);
/* The transport part of it alone; returns its length. */
size_t net_udp_payload(uint8_t *buf, const char *src, uint16_t sport, const char *dst, uint16_t dport, const void *data,
                       size_t len);
/* ICMP or ICMPv6, by src's family, with its checksum. */
struct net_frame net_icmp(const uint8_t dmac[6], const uint8_t smac[6], const char *src, const char *dst, uint8_t ttl,
                          void *message, size_t len);
/* Repairs the IPv4 header's checksum after a change. */
void net_fix4(struct net_frame *f);

/* The one's complement sum of a packet's transport part with its pseudo header: 0xffff when its checksum is right. */
uint16_t net_transport_sum(const struct net_frame *f);
/* Of what was sent since net_rig_forget: the i-th frame with this ethertype (and, not 0, IP protocol or ICMP type), or
 * NULL. */
const struct net_frame *net_rig_sent(const struct net_rig *g, uint16_t ethertype, uint8_t proto, size_t i);
const struct net_frame *net_rig_icmp(const struct net_rig *g, uint8_t family, uint8_t type, size_t i);
#define NET_IP4 0x0800
#define NET_ARP 0x0806
#define NET_IP6 0x86dd

#endif
