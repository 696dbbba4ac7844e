/* The local resolver: the zone's names with overlay addresses, whatever asks. Effectful: an answer for a device is a wish to talk to
 * it. DESIGN: "Names that resolve from anywhere". Pure: bytes in, bytes out; no sockets.
 *
 * Names of the zone are answered here and never sent upstream; short names (one label) where `search` is on; PTR of overlay addresses;
 * `wpad`, `isatap`, `localhost`, `autodiscover` do not exist; A of a device is NODATA; a device's other types (TXT, SSHFP, SVCB, MX,
 * KEY, ...) are asked of the signpost inside the control session. All other names are forwarded (with RD) or refused. */
#ifndef SP_AGENT_RESOLVER_H
#define SP_AGENT_RESOLVER_H

#include "client/core/directory.h"
#include "proto/dns/msg.h"

#define SP_RESOLVER_TTL     30
#define SP_RESOLVER_UDP_MAX 1232

struct sp_resolver_config {
    struct sp_name zone, self; /* lower case */
    uint8_t root_hash[SP_ROOT_HASH];
    uint8_t self_addr[16]; /* our own overlay address; zeros: that of the directory */
    bool forward; /* other names go upstream; else they are REFUSED */
    bool search;  /* a single label is taken for a name of the zone, if it is one */
};

enum sp_resolver_verdict {
    SP_RESOLVED,        /* the reply stands in out */
    SP_RESOLVE_LOOK_UP, /* ask the signpost for `name`'s KEY, then come back with sp_resolver_answer */
    SP_RESOLVE_ASK,     /* ask the signpost `name`, `type` inside the control session; sp_resolver_relay makes the reply */
    SP_RESOLVE_FORWARD, /* to the network's resolvers; sp_resolver_upstream checks and makes the reply */
    SP_RESOLVE_DROP,    /* nothing to answer (not a query) */
};

struct sp_resolver_ask {
    struct sp_name name; /* lower case, absolute */
    uint16_t type;
    struct sp_dir_entry *device; /* RESOLVED: the answer's device: start its path; NULL: none */
};

/* The resolver's own address on the TUN device: the overlay prefix and ::53. */
void sp_resolver_addr(const uint8_t root_hash[SP_ROOT_HASH], uint8_t ret[16]);

/* Decides about one query of at most 4096 bytes; cap at least 512. Replies stay within what the client takes (its EDNS size, 512
 * without) and SP_RESOLVER_UDP_MAX. ret is filled for LOOK_UP, ASK, FORWARD, and RESOLVED (device alone). The name to LOOK_UP is not
 * always the query's: a short one has got the zone. */
enum sp_resolver_verdict sp_resolver_query(const struct sp_resolver_config *c, const struct sp_directory *d, const uint8_t *query,
                                           size_t len, sp_instant now, uint8_t *out, size_t cap, size_t *ret_len,
                                           struct sp_resolver_ask *ret);
/* After LOOK_UP: answers from the directory as it is now: the address, or NXDOMAIN; with err not OK SERVFAIL and an EDE that says why
 * (no session with the signpost). The length. */
size_t sp_resolver_answer(const struct sp_resolver_config *c, const struct sp_directory *d, const uint8_t *query, size_t len, sp_err err,
                          uint8_t *out, size_t cap, struct sp_dir_entry **ret_device);
/* After ASK: the signpost's reply (NULL: none came) as a reply to this query, for its client: id, question, no AD. */
size_t sp_resolver_relay(const struct sp_resolver_config *c, const uint8_t *query, size_t len, const uint8_t *reply, size_t reply_len,
                         uint8_t *out, size_t cap);
/* After FORWARD: checks that the reply is one to this query, drops what would lead a program astray (rebinding): addresses within our
 * overlay prefix, loopback ones (SVCB hints too), and whatever has a name of our zone; reply NULL: SERVFAIL. */
size_t sp_resolver_upstream(const struct sp_resolver_config *c, const uint8_t *query, size_t len, const uint8_t *reply, size_t reply_len,
                            uint8_t *out, size_t cap);

#endif
