/* A NAT, or a stateful firewall, as a pure function of packets and time: RFC 4787's behaviours, each a setting of its
 * own. The simulator's routers and the lab's NAT box are this. It knows flows (protocol, address and port on both
 * sides), not packets: whoever uses it rewrites headers. For ICMP echo the identifier stands as the port of the inside
 * end, 0 as the other's. */
#ifndef SP_TESTS_NAT_MODEL_H
#define SP_TESTS_NAT_MODEL_H

#include "proto/base/host.h"

/* How outside ports are shared among an inside address and port's destinations (RFC 4787 4.1), or that nothing is
 * translated. */
#define NAT_MAPPING_LIST(X)                                                                                            \
    X(ENDPOINT, "eim")   /* endpoint-independent: one for all */                                                       \
    X(ADDRESS, "adm")    /* one for each address */                                                                    \
    X(PORT, "apdm")      /* one for each address and port: "symmetric" */                                              \
    X(ONE_TO_ONE, "1:1") /* the outside address is one inside host's, ports stay */                                    \
    X(FIREWALL, "none")  /* no translation: state alone, IPv4 and IPv6 */
/* Who may send in through a mapping (RFC 4787 5). */
#define NAT_FILTER_LIST(X)                                                                                             \
    X(ENDPOINT, "eif") /* anybody */                                                                                   \
    X(ADDRESS, "adf")  /* addresses that were sent to */                                                               \
    X(PORT, "apdf")    /* addresses and ports that were sent to */
/* Which outside port a new mapping gets (RFC 4787 4.2). No two mappings of a protocol share one. */
#define NAT_PORTS_LIST(X)                                                                                              \
    X(PRESERVE, "preserve") /* the inside one while it is free, else the next */                                       \
    X(SEQUENTIAL, "sequential")                                                                                        \
    X(RANDOM, "random")

enum nat_mapping {
#define X(name, text) NAT_MAPPING_##name,
    NAT_MAPPING_LIST(X)
#undef X
};
enum nat_filter {
#define X(name, text) NAT_FILTER_##name,
    NAT_FILTER_LIST(X)
#undef X
};
enum nat_ports {
#define X(name, text) NAT_PORTS_##name,
    NAT_PORTS_LIST(X)
#undef X
};

struct nat_config {
    uint8_t mapping, filter, ports; /* enums above */
    bool hairpin;                   /* inside hosts reach each other by their outside addresses */
    bool refresh_in;                /* inbound packets keep a mapping too (RFC 4787 4.3) */
    sp_duration timeout;            /* of an idle mapping; 0: 120 s. Protocol 6 (TCP): at least 2 hours */
    uint32_t limit;                 /* mappings, and so many flows times 4; 0: 4096 */
    uint16_t port_low, port_high;   /* outside ports, both included; 0, 0: 1024..65535 */
    struct sp_addr outside;         /* IPv4, no port; not for FIREWALL */
    struct sp_addr inside;          /* ONE_TO_ONE: the host */
    uint64_t seed;                  /* of random ports and the first sequential one */
};
/* One setting by its name and value as text: mapping, filter, ports as listed above; hairpin, refresh-in: 0 or 1;
 * timeout in seconds; limit; seed. False: no such setting, or no such value. */
bool nat_config_set(struct nat_config *c, const char *name, const char *value);
const char *nat_mapping_name(uint8_t mapping);
const char *nat_filter_name(uint8_t filter);
const char *nat_ports_name(uint8_t ports);

struct nat_counts {
    uint64_t out, in, hairpins; /* passed */
    uint64_t made, expired;     /* mappings */
    uint64_t dropped_unmapped, dropped_filter, dropped_hairpin, dropped_full, dropped_family;
};

struct nat;
/* NULL: no memory. The only allocation. */
struct nat *nat_new(const struct nat_config *config);
void nat_free(struct nat *n);
const struct nat_config *nat_config(const struct nat *n);

enum nat_verdict { NAT_DROP, NAT_PASS, NAT_HAIRPIN };

/* A packet from inside. PASS: it leaves from *ret_src. HAIRPIN: it goes back inside, from *ret_src to *ret_dst. */
enum nat_verdict nat_out(struct nat *n, uint8_t protocol, const struct sp_addr *src, const struct sp_addr *dst,
                         sp_instant now, struct sp_addr *ret_src, struct sp_addr *ret_dst);
/* A packet from outside. PASS: it goes to *ret_dst. */
enum nat_verdict nat_in(struct nat *n, uint8_t protocol, const struct sp_addr *src, const struct sp_addr *dst,
                        sp_instant now, struct sp_addr *ret_dst);

/* Forgets all mappings; new ones get other ports than before. */
void nat_rebind(struct nat *n);
/* Another outside address (without a port), and nothing remembered. */
void nat_readdress(struct nat *n, const struct sp_addr *outside);

uint32_t nat_mappings(const struct nat *n); /* held, stale ones included */
const struct nat_counts *nat_counts(const struct nat *n);

#endif
