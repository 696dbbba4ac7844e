/* One network interface: Ethernet frames on one side, UDP datagrams and TCP connections on the other. ARP, IPv4, ICMP, IPv6,
 * neighbour discovery, SLAAC, DHCPv4, UDP and (tcp.h) TCP in between. Sans-I/O: the host brings frames and clock, and takes frames.
 *
 *   frame in  -> sp_net_input  -> a datagram, or nothing; then sp_tcp_event of sp_net_tcp until there is none
 *   datagram  -> sp_net_send   -> frames, or a copy that waits for its neighbour
 *   sp_net_output              -> frames of the interface's own: ARP, ND, DHCP, ICMP, what has waited, and TCP's segments. Until there
 *                                 is none, after each frame, each expiry and each call of TCP's
 *   sp_net_expire when sp_net_deadline has come; then the events
 *
 * Nothing is allocated after sp_net_new but buckets of the neighbour table and what TCP holds; every table is bounded, and every
 * drop counted by its reason. Without TCP, whoever tries it is told that the protocol is not spoken. Messages about path MTUs,
 * which anybody can forge, are believed of TCP's segments under way alone: these carry DF over IPv4 and are never fragmented. For
 * datagrams they are not: IPv4 goes out without DF, IPv6 in fragments of 1280 bytes where it exceeds the link's MTU. ICMP errors
 * that say that nobody answers end a connection that is being opened and mean nothing to others (RFC 5927). Connections from an
 * address that is gone are left to TCP's timeouts: it may come back, as after a link that was down for a while. */
#ifndef SP_NET_NET_H
#define SP_NET_NET_H

#include "proto/base/host.h"
#include "proto/base/mem.h"
#include "proto/base/rng.h"
#include "proto/net/tcp.h"

#define SP_NET_MAC       6
#define SP_NET_ETHER     14 /* bytes of a frame before its IP packet */
#define SP_NET_STATICS   4
#define SP_NET_PORTS     8
#define SP_NET_ADDRESSES 12
#define SP_NET_MTU_MIN   1280
#define SP_NET_MTU_MAX   9000

/* An address that the operator gave. */
struct sp_net_static {
    struct sp_addr addr;    /* the port does not count */
    uint8_t bits;           /* of the prefix, which is on the link */
    struct sp_addr gateway; /* family 0: none */
};

struct sp_net_config {
    struct sp_mem *mem;
    struct sp_rng *rng; /* borrowed as long as the interface lives */
    uint8_t mac[SP_NET_MAC];
    uint16_t mtu; /* of IP packets, SP_NET_MTU_MIN..SP_NET_MTU_MAX */
    struct sp_net_static statics[SP_NET_STATICS];
    uint8_t static_count;
    bool dhcp;          /* ask for an IPv4 address */
    bool ipv6;          /* a link-local address; without it IPv6 is dropped */
    bool slaac;         /* take addresses, prefixes and routers from router advertisements; needs ipv6 */
    bool probe_statics; /* RFC 5227: probe a static IPv4 address first, for some seconds; else it is used at once */
    uint8_t secret[32]; /* for addresses that stay the same on a network (RFC 7217): keep it, or random */
    const char *hostname; /* told to DHCP servers; NULL: not. Copied; 63 bytes at most */
    /* UDP ports that are served; others get an ICMP error. None: all are. */
    uint16_t ports[SP_NET_PORTS];
    uint8_t port_count;
    /* TCP, or NULL: none. Copied; its mem, rng and mtu are the interface's. If it names no ports it listens at those above. */
    const struct sp_tcp_config *tcp;
    /* Limits; 0: a default. */
    uint16_t neighbours;     /* 256 */
    uint16_t frames;         /* of our own or waiting, 64 */
    uint8_t reassemblies;    /* 8 */
    uint16_t reassembly_max; /* bytes of a packet's payload, 9216 */
};

struct sp_net;
/* ERR_RANGE: MTU or counts; ERR_FULL: no memory. The interface starts with its link down. */
SP_CHECK sp_err sp_net_new(struct sp_net **ret, const struct sp_net_config *config);
void sp_net_free(struct sp_net *net);

/* The link is there, or not. Coming up, addresses are tried again, neighbours forgotten, routers asked for. */
void sp_net_link(struct sp_net *net, sp_instant now, bool up);

/* TCP of this interface, NULL without. */
struct sp_tcp *sp_net_tcp(const struct sp_net *net);
/* Connects from the best address of ours. ERR_NOENT: no route, or no address to come from; ERR_STATE: there is no TCP; else
 * sp_tcp_connect's. */
SP_CHECK sp_err sp_net_connect(struct sp_net *net, sp_instant now, const struct sp_addr *remote, struct sp_tcp_conn **ret);

/* What the device does for us; at first nothing. */
#define SP_NET_SUM4 1u /* completes UDP and TCP checksums over IPv4: those of whole packets cover the pseudo header alone */
#define SP_NET_SUM6 2u
#define SP_NET_TSO4 4u /* cuts TCP segments over IPv4, with SP_NET_SUM4 */
#define SP_NET_TSO6 8u
void sp_net_offload(struct sp_net *net, unsigned device);

/* What the device knows of a frame's UDP (or TCP) checksum; ICMP is always checked. */
enum sp_net_csum {
    SP_NET_CSUM_CHECK, /* nothing: it is checked here */
    SP_NET_CSUM_GOOD   /* verified by the device, or never written because the frame has seen no wire */
};

/* Takes a frame, of any length that its headers can say: a device may have joined TCP segments. True: *ret is a datagram for us, its
 * data borrowed from the frame or, reassembled (then it does not lie within the frame), from the interface until the next call.
 * False: nothing, or something for TCP, whose events borrow in the same way. */
bool sp_net_input(struct sp_net *net, sp_instant now, const uint8_t *frame, size_t len, enum sp_net_csum csum,
                  struct sp_in *ret);

/* How far a datagram has been written. Zeroed before its first frame. */
struct sp_net_cursor {
    size_t segment;  /* where in the data the next segment starts */
    size_t fragment; /* where in the UDP packet of that segment the next fragment starts */
    uint32_t id;     /* of the fragments */
    bool more;       /* after a call: there are frames left */
    struct sp_offload offload; /* after a call: what the device has to do for the frame, see sp_net_offload */
};

/* Writes the datagram's next frame: the only one, if it is neither to be segmented (GSO) nor larger than the MTU. Call
 * again with the same datagram while cursor->more. OK: *ret_len bytes are in frame. ERR_AGAIN: nothing to send now, the
 * neighbour is being resolved, and a copy waits if there was room (sp_net_output gives it later). Errors end the
 * datagram, counted: ERR_NOENT (no route, or no address of ours to send from), ERR_RANGE (over 65,507 bytes), ERR_FULL
 * (neighbour table), ERR_SPACE (cap). */
SP_CHECK sp_err sp_net_send(struct sp_net *net, sp_instant now, const struct sp_out *datagram, struct sp_net_cursor *cursor,
                            uint8_t *frame, size_t cap, size_t *ret_len);

/* Bytes of the largest frame: with SP_NET_TSO4 or 6 of one that is cut by the device. */
#define SP_NET_FRAME_MAX     ((size_t)SP_NET_ETHER + SP_NET_MTU_MAX)
#define SP_NET_FRAME_MAX_TSO (SP_NET_HEAD_MAX + SP_TCP_SEND_MAX)
#define SP_NET_HEAD_MAX      (SP_NET_ETHER + 40 + SP_TCP_HEAD_MAX)

/* The next frame of the interface's own; 0: none. cap holds SP_NET_ETHER + mtu bytes, or SP_NET_FRAME_MAX_TSO. *ret says what the
 * device has to do for it, in places of the IP packet. */
size_t sp_net_output(struct sp_net *net, sp_instant now, uint8_t *frame, size_t cap, struct sp_offload *ret);

/* A frame in pieces: head, then the spans; valid until the next call. */
struct sp_net_gather {
    uint8_t head[SP_NET_HEAD_MAX]; /* Ethernet, IP, TCP */
    size_t head_len;               /* 0: all of it is in a span */
    unsigned spans;
    struct {
        const uint8_t *data;
        size_t len;
    } span[SP_TCP_SPANS];
    size_t len; /* of all */
    struct sp_offload offload;
};
/* As sp_net_output; the payload of a segment stays where it lies. False: none. */
bool sp_net_gather(struct sp_net *net, sp_instant now, struct sp_net_gather *ret);

void sp_net_expire(struct sp_net *net, sp_instant now);
sp_instant sp_net_deadline(const struct sp_net *net);

/* The addresses that may be used now (port 0), the operator's and a lease's first; link-local ones are left out. When
 * they or the duplicates change, so does the generation. */
size_t sp_net_addresses(const struct sp_net *net, struct sp_addr *ret, size_t max);
/* Those that the operator gave and somebody else on the link has: they are not used, until the link comes up again. */
size_t sp_net_duplicates(const struct sp_net *net, struct sp_addr *ret, size_t max);
uint32_t sp_net_generation(const struct sp_net *net);
/* The resolvers that DHCP named. */
size_t sp_net_resolvers(const struct sp_net *net, struct sp_addr *ret, size_t max);

/* Why something was dropped. */
#define SP_NET_DROPS(X)                                                                       \
    X(LINK, "link_down")              /* a frame while the link is down, or as it goes */      \
    X(SHORT, "short")                 /* ends before its headers or lengths say */            \
    X(ETHER, "ethertype")             /* neither ARP nor IP */                                \
    X(MAC, "other_mac")               /* for somebody else */                                 \
    X(ARP, "arp_form")                /* malformed ARP */                                     \
    X(HEADER, "ip_header")            /* malformed IP header or header checksum */            \
    X(MARTIAN, "martian")             /* a source or destination that cannot be */            \
    X(OTHER, "other_address")         /* not an address of ours */                            \
    X(PROTO, "protocol")              /* a protocol that we do not speak */                   \
    X(TCP, "tcp")                     /* a segment, and there is no TCP */                    \
    X(OPTION, "ip_option")            /* extension headers or options that we refuse */       \
    X(CSUM, "checksum")               /* ICMP or UDP checksum */                              \
    X(UDP, "udp_form")                /* malformed UDP */                                     \
    X(PORT, "port")                   /* a port that is not served */                         \
    X(GROUP, "group")                 /* a datagram to a group or broadcast address */        \
    X(ICMP, "icmp")                   /* malformed, or of no use to us */                     \
    X(PMTU, "path_mtu")               /* messages about path MTUs, about no segment */        \
    X(ND, "nd_form")                  /* neighbour discovery that RFC 4861 says to discard */ \
    X(DHCP, "dhcp")                   /* not for us, or malformed */                          \
    X(FRAGMENT, "fragment")           /* malformed or too large to be reassembled */          \
    X(OVERLAP, "fragment_overlap")    /* and with it the whole packet */                      \
    X(REASSEMBLY, "reassembly_full")  /* pushed out by newer ones */                          \
    X(TIMEOUT, "reassembly_timeout")                                                          \
    X(ROUTE, "no_route")              /* sending: */                                          \
    X(SOURCE, "no_source")                                                                    \
    X(SIZE, "too_large")                                                                      \
    X(NEIGHBOUR, "neighbours_full")                                                           \
    X(WAITING, "waiting_full")        /* no room for a frame that would wait */               \
    X(UNREACHABLE, "unreachable")     /* its neighbour did not answer */                      \
    X(FRAMES, "frames_full")          /* no room for a frame of our own */                    \
    X(RATE, "icmp_rate")              /* an ICMP error that the limit kept back */

enum sp_net_drop {
#define X(name, text) SP_NET_DROP_##name,
    SP_NET_DROPS(X)
#undef X
        SP_NET_DROP_COUNT
};

struct sp_net_counts {
    uint64_t frames_in, frames_out, datagrams_in, datagrams_out;
    uint64_t echoes, errors_sent, reassembled, fragments_out;
    uint64_t conflicts; /* addresses of ours that somebody else has too */
    uint64_t leases;    /* DHCP: obtained or renewed */
    uint64_t drops[SP_NET_DROP_COUNT];
};
const struct sp_net_counts *sp_net_counts(const struct sp_net *net);
const char *sp_net_drop_name(enum sp_net_drop drop);

#endif
