/* Places where devices are: networks behind NATs of every kind, each with addresses of its own. */
#ifndef SP_TESTS_SIM_PLACES_H
#define SP_TESTS_SIM_PLACES_H

#include "tests/sim/world.h"

enum place_kind {
    PLACE_PUBLIC,     /* an address of its own, nothing in the way */
    PLACE_ONE_TO_ONE, /* behind a one-to-one NAT that filters nothing: a cloud's */
    PLACE_FIREWALL,   /* an address of its own, behind a stateful firewall: IPv4 and IPv6 */
    PLACE_FIREWALL6,  /* IPv6 alone, behind a stateful firewall */
    PLACE_DUAL,       /* IPv6 behind a firewall, IPv4 behind a NAT with dependent mapping */
    PLACE_BLACK4,     /* as DUAL, but IPv4 packets vanish */
    PLACE_EIM_EIF,    /* NATs by mapping and filtering */
    PLACE_EIM_ADF,
    PLACE_EIM_APDF,
    PLACE_ADM_APDF,
    PLACE_EDM_SEQ, /* address-and-port-dependent, sequential ports */
    PLACE_EDM,     /* the same, random ports */
    PLACE_CGNAT,   /* a home NAT behind a carrier's, both endpoint-independent */
    PLACE_NO_UDP,  /* an endpoint-independent NAT, and UDP blocked */
    PLACE_KINDS
};
const char *place_name(enum place_kind kind);

/* A place of its own in the Internet: `number` (1..) makes its addresses. */
struct sim_lan *place_new(struct sim_world *w, enum place_kind kind, unsigned number, const struct sim_link *link);
/* The addresses of the host'th device (0..) there; returns how many. */
unsigned place_addrs(enum place_kind kind, unsigned number, unsigned host, struct sp_addr ret[2]);
/* A new device there. */
struct sim_device *place_device(struct sim_world *w, struct sim_lan *lan, enum place_kind kind, unsigned number,
                                unsigned host);
/* Whether a pair of devices in two such places can have a direct path without port mapping, prediction or birthday. */
bool places_direct(enum place_kind a, enum place_kind b);

#endif
