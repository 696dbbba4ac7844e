/* For tests of the agent: a signpost in a few lines, which really verifies and signs, and a world of virtual time
 * around both. */
#ifndef SP_TESTS_AGENT_PEER_H
#define SP_TESTS_AGENT_PEER_H

#include "client/core/agent.h"
#include "proto/dns/sig0.h"

#define PEER_RRS 64

struct peer_rr {
    uint16_t type;
    uint32_t ttl;
    uint8_t data[64];
    size_t len; /* 0: free */
};

/* What the last update did and asked for. */
struct peer_seen {
    unsigned adds, deletes, delete_sets, delete_all, proofs;
    bool lease_asked;
    uint32_t lease_s;
    uint16_t id;
    uint32_t inception;
    bool edns;
    uint32_t proof_ttl;
    size_t len;
};

struct peer {
    struct sp_name zone, name, signpost;
    struct sp_ed25519 root, key, invite;
    uint8_t root_hash[SP_ROOT_HASH];
    uint16_t tag;
    uint64_t invite_expiry;
    bool invite_used, known;
    uint8_t device[SP_ED25519_PUB];
    struct peer_rr rrs[PEER_RRS]; /* at the device's name */

    /* what it is like */
    int64_t clock_s;  /* its clock less the world's */
    uint32_t grant_s; /* 0: what was asked for */
    bool no_lease_option;
    bool silent, sign_none, mute_next; /* mute_next: takes the next update, its reply is lost */
    int force_rcode, force_ede;        /* -1 */
    const char *force_text;

    uint32_t last_inception;
    unsigned updates, accepted, replays;
    struct peer_seen seen;
    uint8_t scratch[16384];
};

void peer_init(struct peer *p, const char *zone, const char *name);
void peer_token(const struct peer *p, struct sp_token *ret, unsigned addrs);
/* Takes a message, gives the length of the reply; 0: none. */
size_t peer_handle(struct peer *p, sp_wall wall, const uint8_t *wire, size_t len, uint8_t *ret, size_t cap);
/* An address as text stands at the name. */
bool peer_has(const struct peer *p, const char *addr);
bool peer_has_overlay(const struct peer *p, const uint8_t overlay[16]);
unsigned peer_count(const struct peer *p, uint16_t type);

/* "192.0.2.1", "2001:db8::1": for tests. */
struct sp_addr test_addr(const char *text, uint16_t port);

struct world {
    struct peer peer;
    struct sp_agent *agent;
    struct sp_agent_identity id;
    struct sp_token token;
    sp_instant now;
    uint64_t wall_s;     /* at now == 0 */
    sp_duration latency; /* each way */
    unsigned sent, stops;
    sp_instant sent_at[256];
    struct sp_addr sent_to[256];
    uint8_t last_request[2048], last_reply[4096]; /* for tests that forge */
    size_t last_request_len, last_reply_len;
    /* on its way to the agent */
    struct {
        sp_instant at;
        size_t len;
        struct sp_addr src;
        uint8_t data[4096];
    } flying[16];
    uint8_t control[4096];
    size_t control_len;
    unsigned controls;
};

/* A peer and an agent with an identity made from its token. up_config may be NULL; its id, seed are filled in. */
void world_init(struct world *w, const struct sp_agent_config *config, unsigned addrs);
void world_free(struct world *w);
/* The agent's process starts anew with the memory that it had. */
void world_restart(struct world *w, const struct sp_agent_config *config);
sp_wall world_wall(const struct world *w);
/* Runs until that instant. */
void world_run(struct world *w, sp_instant until);
void world_pass(struct world *w, sp_duration d);
enum sp_agent_state world_state(const struct world *w);
/* join, and assert that it worked. */
void world_join(struct world *w);
void world_links(struct world *w, const char *const *addrs, unsigned n);
void world_deliver(struct world *w, const struct sp_addr *src, const uint8_t *data, size_t len);

#endif
