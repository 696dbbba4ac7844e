/* What is known of a device's network: NAT behaviour (RFC 4787, 5780) and candidates, addresses where it may be reached. */
#ifndef SP_NAT_NAT_H
#define SP_NAT_NAT_H

#include "proto/base/bytes.h"
#include "proto/base/host.h"

/* How a NAT chooses the outside port for a flow. RFC 4787 4.1 */
#define SP_NAT_MAPPING_LIST(X)                                                            \
    X(UNKNOWN, "unknown")                                                                 \
    X(NONE, "none")                   /* the address that others see is our own */        \
    X(ENDPOINT, "endpoint-independent")                                                   \
    X(ADDRESS, "address-dependent")                                                       \
    X(PORT, "address-and-port-dependent")                                                 \
    X(VARIES, "dependent")            /* it varies; by address or port cannot be told */
/* Whom it lets in through a mapping. RFC 4787 5 */
#define SP_NAT_FILTERING_LIST(X)        \
    X(UNKNOWN, "unknown")               \
    X(ENDPOINT, "endpoint-independent") \
    X(ADDRESS, "address-dependent")     \
    X(PORT, "address-and-port-dependent")

enum sp_nat_mapping {
#define X(name, text) SP_MAPPING_##name,
    SP_NAT_MAPPING_LIST(X)
#undef X
};
enum sp_nat_filtering {
#define X(name, text) SP_FILTERING_##name,
    SP_NAT_FILTERING_LIST(X)
#undef X
};
const char *sp_nat_mapping_text(enum sp_nat_mapping m);
const char *sp_nat_filtering_text(enum sp_nat_filtering f);

/* Where a candidate was learnt. */
enum sp_cand_kind {
    SP_CAND_HOST,   /* an address of an interface */
    SP_CAND_MAPPED, /* what the signpost, or STUN, saw */
    SP_CAND_OWNER,  /* the owner says so */
    SP_CAND_PORTMAP, /* a gateway forwards it (PCP, NAT-PMP, UPnP) */
    SP_CAND_PEER,   /* seen in a peer's authenticated probe; never sent to the signpost */
};

struct sp_candidate {
    struct sp_addr addr;
    uint8_t kind;
};
#define SP_CANDIDATES_MAX 12

enum sp_profile_flag {
    SP_PROFILE_UDP = 1,        /* UDP reaches the signpost */
    SP_PROFILE_HAIRPIN = 2,    /* the NAT loops packets to its own outside back */
    SP_PROFILE_NO_RELAY = 4,   /* the owner wants no relay (direct-only) */
    SP_PROFILE_NO_DIRECT = 8,  /* the owner wants no direct path (anonymous: its addresses are not shown) */
    SP_PROFILE_SEQUENTIAL = 16, /* outside ports follow each other */
};

/* A device's network profile: what it tells its signpost through the control session, and the signpost tells allowed peers. */
struct sp_profile {
    uint8_t mapping, filtering; /* enums above */
    uint8_t flags;
    uint16_t mtu; /* largest outer packet that reached the signpost; 0: not known */
    uint8_t count;
    struct sp_candidate candidates[SP_CANDIDATES_MAX];
};
#define SP_PROFILE_MAX (6 + SP_CANDIDATES_MAX * 20)
/* u8 mapping, u8 filtering, u8 flags, u16 mtu, u8 count, then candidates: u8 kind, u8 family (4, 6), address, u16 port. */
void sp_profile_write(struct sp_wr *wr, const struct sp_profile *p);
/* Reads one and leaves rd behind it. Candidates that can never be dialled (sp_candidate_dialable) are ERR_FORM. */
SP_CHECK sp_err sp_profile_read(struct sp_rd *rd, struct sp_profile *ret);

/* Whether a packet may be sent there at all on somebody's word: a unicast address, a port; not loopback, unspecified, multicast,
 * broadcast, reserved, link-local. DESIGN: "Choosing a path". */
bool sp_candidate_dialable(const struct sp_addr *a);
bool sp_candidate_private(const struct sp_addr *a); /* RFC 1918, 6598, 4193, 2544: dialled only if `own` has one of the same link */
/* Private candidates are dialled only when one of the host's own addresses is in the same /16 (RFC 1918), /24 (others), /48.
 * True: one is. */
bool sp_candidate_on_link(const struct sp_addr *a, const struct sp_addr *own, size_t n);

#endif
