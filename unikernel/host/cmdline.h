/* What the operator asks for: words of the form NAME=VALUE, parted by blanks. They stand on the guest's command line
 * (`cmdline` of the xl configuration; 1,023 bytes of it are read) and, in the same form, in the xenstore's node
 * vm-data/signpost of the domain, which is read once at the start. A word there takes the place of the command line's
 * of that name (all of them, where it may be given several times); what it does not name stays. Where the two say
 * different things, the console names the words that come from vm-data.
 *
 *   ip=ADDR/BITS       our IPv4 address and how many bits of it are the network's: ip=192.0.2.53/24
 *   ip=dhcp            ask for one (RFC 2131); the router comes with the lease
 *                      Not given: no IPv4. One of ip and ip6 is needed.
 *   gw=ADDR            the IPv4 router, with ip=ADDR/BITS alone. Not given: only the own network is reached.
 *   ip6=ADDR/BITS      our IPv6 address; advertisements of routers are not listened to
 *   ip6=auto           take addresses and routers from advertisements (SLAAC). The interface part is the same at each
 *                      start with the same MAC and zone: see config.h.
 *   ip6=off            no IPv6, which is also so when it is not given: an address that nobody meant to have is one that
 *                      no firewall guards, and would stand in the zone as the name server's.
 *   gw6=ADDR           the IPv6 router, with ip6=ADDR/BITS alone; fe80::1 may be one.
 *   zone=ZONE          the zone to serve. Needed.
 *   ns=NAME            the zone's name server; not given: ns.ZONE. Outside the zone, the zone has no address of it.
 *   public=ADDR        an address that the zone gives to its name server, IPv4 or IPv6, up to 4 times: where the guest
 *                      is reached at other addresses than its own (1:1 NAT of a cloud). Not given: the guest's own.
 *   ports=N,N...       the ports to serve, UDP and TCP, up to 8; not given: 53,443,51820
 *   disk=xvda          keeps the zone on this disk (xvda to xvdp); not given: in memory alone
 *   operator=KEY       the public Ed25519 key of somebody who may operate this signpost from afar, 32 bytes in base64;
 * up to 4 times. Not given: nobody may. syslog=ADDR[:PORT] send each line of the console there too, as RFC 5424 over
 * UDP: syslog=192.0.2.1, syslog=[2001:db8::1]:5514. Port 514 when none is given.
 *
 * gw and gw6 belong to their address: a vm-data that gives ip leaves nothing of the command line's gw. A word that
 * cannot be used, that is not known, or that may not be given twice and is, keeps the guest from starting, and the
 * console says which word it was, where it stood, and what is allowed. */
#ifndef SPX_CMDLINE_H
#define SPX_CMDLINE_H

#include "proto/base/host.h"
#include "proto/direct/direct.h"
#include "unikernel/lib/text.h"

#define SPX_PUBLIC_MAX    4
#define SPX_OPERATORS_MAX 4

enum spx_ip_how { SPX_IP_NONE, SPX_IP_STATIC, SPX_IP_AUTO }; /* AUTO: DHCP, or SLAAC */

struct spx_ip {
    uint8_t how, bits; /* how: enum spx_ip_how */
    struct sp_addr addr;
};

enum spx_source { SPX_FROM_COMMAND_LINE, SPX_FROM_VM_DATA };

struct spx_cmdline {
    struct spx_ip ip, ip6;
    struct sp_addr gw, gw6; /* family 0: none */
    struct spx_text zone;
    struct spx_text ns;   /* empty: ns.ZONE */
    struct spx_text disk; /* empty: none */
    struct {
        struct sp_addr addrs[SPX_PUBLIC_MAX];
        uint8_t count;
    } public;
    struct {
        uint16_t list[SP_NET_PORTS];
        uint8_t count;
    } ports;
    struct {
        uint8_t keys[SPX_OPERATORS_MAX][32];
        uint8_t count;
    } operators;
    struct sp_addr syslog; /* with its port; family 0: none */
    uint32_t given[2];     /* by each source: words, as bits in the order of their table */
    uint32_t differ;       /* those of vm-data that say other than the command line */
};

/* Adds what a source says, the command line before vm-data, to *c (zeros at first). False: *why says what cannot be
 * used. */
bool spx_cmdline_read(struct spx_cmdline *c, enum spx_source from, const char *text, size_t len, struct spx_text *why);
/* After all sources: fills in what is not given. False: *why says what is missing or does not go together. */
bool spx_cmdline_finish(struct spx_cmdline *c, struct spx_text *why);
/* The names of the words that vm-data has changed, parted by blanks. */
void spx_cmdline_differ(const struct spx_cmdline *c, struct spx_text *ret);

#endif
