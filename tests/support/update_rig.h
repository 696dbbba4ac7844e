/* An updater with a zone, a log kept in memory, and updates written as lines of text, for tests of updates. */
#ifndef SP_TESTS_UPDATE_RIG_H
#define SP_TESTS_UPDATE_RIG_H

#include "signpostd/core/updater.h"

#define UPD_WALL    1800000000 /* wall seconds at the start */
#define UPD_RECORDS 4096

struct upd_record {
    uint32_t zone;
    uint16_t kind;
    size_t len;
    uint8_t *body;
};

struct upd {
    struct sp_mem mem;
    struct sp_zones *zones;
    struct sp_updater *u;
    struct sp_zone *zone; /* me.example. */
    struct sp_view view;
    sp_instant now;
    sp_wall wall;
    struct sp_addr src;
    enum sp_transport via;
    struct sp_updater_config config;
    struct upd_record log[UPD_RECORDS];
    size_t records;
    bool log_full; /* appends fail */
    /* the message under construction, the one sent last, and what came of it */
    uint8_t out[SP_MSG_MAX], reply[SP_MSG_MAX];
    struct sp_msgw w;
    size_t out_len, reply_len;
    struct sp_msg sent, msg; /* msg: the reply */
    struct sp_update up;
    int ede; /* of the reply; -1: none */
    char ede_text[256];
    uint8_t lease[8];
    size_t lease_len;          /* of the reply's option */
    struct sp_tsig_state tsig; /* of the request signed last */
    char text[1 << 16];
};

/* The zone me.example. with SOA serial 100, NS, the signpost's KEY, and "host" with A, TXT and some others. */
struct upd *upd_new(void);
struct upd *upd_new_with(const struct sp_updater_config *config);
void upd_free(struct upd *r); /* aborts if memory is still taken */

struct sp_ed25519 upd_key(uint8_t fill);
struct sp_name upd_name(const char *text); /* relative to me.example. */
/* Puts the KEY record at the name, as an operator's key add. */
void upd_device(struct upd *r, const char *name, const struct sp_ed25519 *key);
void upd_tsig(struct upd *r, const char *name, const char *policy);
struct sp_tsig_key upd_tsig_key(const char *name);
/* Adds an invite made from the key. */
void upd_invite(struct upd *r, const char *name, const struct sp_ed25519 *invite, uint64_t expiry);
/* Logs and commits (or aborts, if the log is full; false then). */
bool upd_commit(struct upd *r, const struct sp_change *c);

/* An update: begin, lines, sign, send. Lines are as nsupdate's: "add NAME TTL TYPE RDATA", "delete NAME [TYPE
 * [RDATA]]", "nxdomain NAME", "yxdomain NAME", "nxrrset NAME TYPE", "yxrrset NAME TYPE [RDATA]". */
void upd_begin(struct upd *r);
void upd_begin_zone(struct upd *r, const char *zone, uint16_t type, uint16_t rclass);
void upd_line(struct upd *r, const char *line);
/* A record as given, in section 1 or 2. */
void upd_rr(struct upd *r, unsigned section, const char *name, uint16_t type, uint16_t rclass, uint32_t ttl,
            const void *rdata, size_t len);
/* Closes the message with an OPT, and an Update Lease option of `len` bytes (0, 4, 8). */
void upd_opt(struct upd *r, size_t lease_len, uint32_t lease_s, uint32_t key_lease_s);
void upd_sign(struct upd *r, const char *signer, const struct sp_ed25519 *key);
/* The same with inception and expiration given. */
void upd_sign_at(struct upd *r, const char *signer, const struct sp_ed25519 *key, uint32_t inception,
                 uint32_t expiration);
void upd_sign_tsig(struct upd *r, const struct sp_tsig_key *key);
/* Sends r->out; commits what comes of it; returns the rcode. */
uint16_t upd_send(struct upd *r);
/* begin; the lines of text up to \n; OPT; sign; send. */
uint16_t upd_update(struct upd *r, const char *signer, const struct sp_ed25519 *key, const char *lines);
uint16_t upd_update_lease(struct upd *r, const char *signer, const struct sp_ed25519 *key, const char *lines,
                          uint32_t lease_s);
uint16_t upd_update_tsig(struct upd *r, const struct sp_tsig_key *key, const char *lines);
/* A join as the agent makes it; flags break it. */
enum upd_join {
    UPD_JOIN_WHOLE = 0,
    UPD_JOIN_NO_KEY = 1,
    UPD_JOIN_NO_ADDRESS = 2,
    UPD_JOIN_OTHER_ADDRESS = 4,
    UPD_JOIN_NO_PROOF = 8,
    UPD_JOIN_BAD_PROOF = 16,
    UPD_JOIN_TWO_KEYS = 32,
};
uint16_t upd_join(struct upd *r, const char *name, const struct sp_ed25519 *device, const struct sp_ed25519 *invite,
                  uint64_t expiry, unsigned how);

void upd_pass(struct upd *r, sp_duration time); /* both clocks */
size_t upd_expire(struct upd *r);               /* commits all that is due; the number of changes */
/* The RRset as "TTL rdata | rdata", or "". In r->text. */
const char *upd_rrset(struct upd *r, const char *name, const char *type);
uint32_t upd_serial(struct upd *r);
/* Whole state of an updater as sorted text: zones, keys, invites, leases (granted), replay. free() it. */
char *upd_dump(struct upd *r);
char *upd_dump_state(struct upd *r); /* without the replay state, of which only the logged part is kept */
/* A new rig whose updater has replayed the first n records of r's log. */
struct upd *upd_replayed(const struct upd *r, size_t n);
/* A new rig that has replayed a snapshot of r. */
struct upd *upd_restored(struct upd *r);

#endif
