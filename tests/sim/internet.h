/* The virtual Internet: hosts in networks, each network behind a link and perhaps a NAT or firewall, networks within
 * networks, the outermost of which is the Internet itself. Packets are UDP datagrams; streams are in stream.h. What
 * happens to a packet is decided hop by hop, at the time it passes. */
#ifndef SP_TESTS_SIM_INTERNET_H
#define SP_TESTS_SIM_INTERNET_H

#include "tests/sim/sim.h"
#include "tests/support/nat_model.h"

#define SIM_UDP         17
#define SIM_TCP         6
#define SIM_HOST_ADDRS  4
#define SIM_CUTS        64
#define SIM_STREAMS_CAP 65536 /* bytes under way that a stream takes */

/* A link, as it is now: the fields may be changed at any time. */
struct sim_link {
    sp_duration delay, jitter;     /* one way; each packet waits delay and up to jitter */
    unsigned loss, twice, reorder; /* percent */
    uint16_t mtu;                  /* larger IP packets vanish without a word; 0: 1500 */
    bool down, no_udp, no_v4, no_v6;
};

struct sim_packet;
struct sim_stream;
struct sim_internet;

/* A network: its uplink goes to its parent, through its routers. */
struct sim_lan {
    struct sim_internet *inet;
    struct sim_lan *next, *parent; /* parent NULL: the Internet */
    struct sim_link link;
    struct nat *nat4, *nat6; /* NULL: routed, unfiltered. nat6 is a firewall */
    bool isolated;           /* what is attached here reaches the uplink, not each other */
    struct sim_host *hosts;
    unsigned number;
    bool no_udp_later; /* its uplink will block UDP when all have joined */
};

/* A datagram for this host. dst is its own address and port. */
typedef void (*sim_deliver)(void *ctx, const struct sp_addr *src, const struct sp_addr *dst, const uint8_t *data,
                            size_t len);

/* What happens on a stream's end: kinds SP_IN_STREAM_OPEN, DATA, CREDIT, CLOSE of the host contract. */
typedef void (*sim_stream_event)(void *ctx, const struct sp_in *in);

struct sim_host {
    struct sim_internet *inet;
    struct sim_host *next;                /* in its network */
    struct sim_lan *lan;                  /* NULL: nowhere */
    struct sp_addr addrs[SIM_HOST_ADDRS]; /* ports are 0 */
    unsigned count;
    bool off; /* nothing comes or goes */
    sim_deliver deliver;
    sim_stream_event stream; /* NULL: connections are refused */
    void *ctx;
    uint64_t sent, sent_bytes, got, got_bytes; /* datagrams */
    unsigned number;
};

struct sim_internet {
    struct sim *sim;
    struct sim_lan world, *lans;
    struct sim_packet *under_way;
    struct sim_stream *streams;
    uint64_t serial;
    unsigned n_lans, n_hosts;
    struct {
        const struct sim_host *a, *b;
        size_t over;  /* only datagrams of more bytes are lost */
    } cuts[SIM_CUTS]; /* pairs that do not reach each other */
    unsigned n_cuts;
    /* Sees all that a host puts on the wire; may be NULL. */
    void (*tap)(void *ctx, const struct sim_host *from, const struct sp_addr *src, const struct sp_addr *dst,
                const uint8_t *data, size_t len);
    void *tap_ctx;
    uint64_t packets, dropped_loss, dropped_mtu, dropped_nat, dropped_route, dropped_link;
};

void sim_internet_init(struct sim_internet *n, struct sim *sim);
void sim_internet_free(struct sim_internet *n);

/* A network behind `parent` (NULL: the Internet). nat4, nat6 may be NULL (routed); nat4->outside is an address in the
 * parent. */
struct sim_lan *sim_lan_new(struct sim_internet *n, struct sim_lan *parent, const struct nat_config *nat4,
                            const struct nat_config *nat6, const struct sim_link *link);

void sim_host_init(struct sim_host *h, struct sim_internet *n, sim_deliver deliver, sim_stream_event stream, void *ctx);
/* Moves a host into a network (NULL: nowhere) with these addresses. */
void sim_host_attach(struct sim_host *h, struct sim_lan *lan, const struct sp_addr *addrs, unsigned n);
/* The host's address of this family; NULL. */
const struct sp_addr *sim_host_addr(const struct sim_host *h, uint8_t family);

/* A datagram from this port of the host. src: which of its addresses, family 0: it chooses. One that it has no address
 * for vanishes. */
void sim_host_send(struct sim_host *h, const struct sp_addr *src, uint16_t port, const struct sp_addr *dst,
                   const uint8_t *data, size_t len);
/* A datagram from whatever source, put into a network by somebody. */
void sim_lan_inject(struct sim_lan *lan, const struct sp_addr *src, const struct sp_addr *dst, const uint8_t *data,
                    size_t len);

/* Two hosts stop, or start again, to reach each other; everything else works on. */
void sim_internet_cut(struct sim_internet *n, const struct sim_host *a, const struct sim_host *b);
/* Or only for datagrams of more than so many bytes. */
void sim_internet_thin(struct sim_internet *n, const struct sim_host *a, const struct sim_host *b, size_t over);
void sim_internet_heal(struct sim_internet *n);

/* ---- for stream.c ---- */

/* The way of a connection from here to there, as it is now: NATs open for it. False: there is none. */
bool sim_internet_walk(struct sim_host *h, uint8_t protocol, const struct sp_addr *src, const struct sp_addr *dst,
                       struct sim_host **ret_host, struct sp_addr *ret_src, sp_duration *ret_delay, unsigned *ret_loss);
void sim_streams_free(struct sim_internet *n);

/* a.b.c.d and port; 2001:db8:net::host */
struct sp_addr sim_v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port);
struct sp_addr sim_v6(uint16_t net, uint16_t host, uint16_t port);

#endif
