/* A resolver's configuration and directory, and replies as text, for tests. */
#ifndef SP_TESTS_RESOLVER_RIG_H
#define SP_TESTS_RESOLVER_RIG_H

#include "client/core/resolver.h"
#include "tests/support/support.h"

/* Zone me.signpost. with the devices laptop and signpost; this device is phone. */
struct resolver_rig {
    struct sp_mem mem;
    struct sp_resolver_config config;
    struct sp_directory *dir;
    struct sp_dir_entry *laptop, *signpost;
    uint8_t query[4200], out[4200];
    size_t query_len, out_len;
    struct sp_resolver_ask ask;
    char text[8192]; /* of the last reply */
};

void resolver_rig_init(struct resolver_rig *r);
void resolver_rig_free(struct resolver_rig *r);
struct sp_name resolver_rig_name(const char *text);
/* Makes r->query: id 0x1234, RD; with EDNS if udp_size is not 0. */
void resolver_rig_query(struct resolver_rig *r, const char *name, uint16_t type, uint16_t udp_size,
                        uint16_t edns_flags);
enum sp_resolver_verdict resolver_rig_ask(struct resolver_rig *r);
/* A query without EDNS, and r->text of what comes of it: "LOOK_UP name", "ASK name", "FORWARD", "DROP" or the reply. */
const char *resolver_rig_text(struct resolver_rig *r, const char *name, uint16_t type);
/* "rcode flags; owner ttl type rdata; ...": the answers; then "| " and the authority's, "| " and the additional
 * section's records, "OPT size flags ede text". Checks that it parses and that id and question are the query's. */
const char *resolver_rig_reply(struct resolver_rig *r);

#endif
