/* A server core with everything around it in memory: clock, disk, what it sent, an operator. */
#ifndef SP_TESTS_SERVER_RIG_H
#define SP_TESTS_SERVER_RIG_H

#include "proto/control/operator.h"
#include "proto/dns/sig0.h"
#include "proto/dns/tsig.h"
#include "signpostd/core/server.h"
#include "tests/support/support.h"

#define RIG_OUTS 4096

struct rig_out {
    enum sp_out_kind kind;
    uint64_t id;
    struct sp_addr src, dst;
    uint8_t *data;
    size_t len;
    uint16_t segment;
};

struct rig {
    struct sp_server *s;
    struct sp_server_config config;
    sp_instant now;
    sp_wall wall;
    /* The disk: what was written, what survives a power cut, requests that were not done yet. */
    uint8_t *cache, *safe;
    uint64_t blocks;
    struct sp_blk_req queue[64];
    size_t queued;
    bool hold_flush; /* flushes wait */
    bool fail;       /* everything fails */
    /* What the core sent. */
    struct rig_out outs[RIG_OUTS];
    size_t count, forgotten; /* forgotten: how many before the first */
    bool stopped;
    const char *fatal;
    /* The last control reply. */
    uint8_t *reply;
    size_t reply_len;
    bool replied;
    uint64_t next_id;
};

/* blocks 0: no disk. The config may be changed between init and start. */
void rig_init(struct rig *r, uint64_t blocks);
void rig_start(struct rig *r);
void rig_end(struct rig *r);
/* Ends the server without a word and starts one on what the disk had kept. */
void rig_power_cut(struct rig *r);

void rig_in(struct rig *r, const struct sp_in *in, size_t n);
/* Goes on until nothing moves without time or disk: drains output and events, expires what is due. */
void rig_turn(struct rig *r);
/* Lets time pass, expiring in between. */
void rig_wait(struct rig *r, sp_duration d);
/* Completes held requests. */
void rig_disk_go_on(struct rig *r);
void rig_forget(struct rig *r); /* what was sent */

extern const struct sp_addr rig_client, rig_server;

/* Datagrams: the reply (borrowed until rig_forget), or NULL. */
const struct rig_out *rig_udp(struct rig *r, const void *msg, size_t len);
/* The i-th thing sent of this kind (and stream, unless 0). */
const struct rig_out *rig_sent(const struct rig *r, enum sp_out_kind kind, uint64_t id, size_t i);
size_t rig_sent_count(const struct rig *r, enum sp_out_kind kind, uint64_t id);

/* Streams. */
void rig_open(struct rig *r, uint64_t id, const struct sp_addr *peer, size_t credit);
void rig_data(struct rig *r, uint64_t id, const void *data, size_t len);
void rig_message(struct rig *r, uint64_t id, const void *msg, size_t len); /* with its length in front */
void rig_credit(struct rig *r, uint64_t id, size_t credit);
void rig_close(struct rig *r, uint64_t id);
/* All bytes sent on a stream so far, joined (malloc'ed). */
uint8_t *rig_stream_bytes(const struct rig *r, uint64_t id, size_t *len);
/* The i-th message sent on a stream (malloc'ed), or NULL. */
uint8_t *rig_stream_message(const struct rig *r, uint64_t id, size_t i, size_t *len);

/* Messages. */
size_t rig_query(uint8_t *buf, size_t cap, uint16_t id, const char *name, uint16_t type, bool edns,
                 uint16_t edns_flags);
/* An UPDATE of `zone` that adds "owner 300 A address", with EDNS. */
size_t rig_update_a(uint8_t *buf, size_t cap, uint16_t id, const char *zone, const char *owner, const char *address);
size_t rig_sign_sig0(struct rig *r, uint8_t *buf, size_t len, size_t cap, const char *signer,
                     const struct sp_ed25519 *key);
unsigned rig_rcode(const void *msg, size_t len);
/* The EDE of a message: its code and text, or -1. */
int rig_ede(const void *msg, size_t len, char text[256]);
/* Whether the answer has a record of this type. */
size_t rig_answers(const void *msg, size_t len, uint16_t type);

/* Control: arguments are strings, NULL ends them. The reply's status; -1: no reply yet. */
int rig_ctl(struct rig *r, enum sp_op_verb verb, ...);
int rig_ctl_bytes(struct rig *r, const void *data, size_t len);
int rig_ctl_status(const struct rig *r);
/* A STR item of the last reply, zero-terminated (static buffer of the rig's user: 4096 bytes), or NULL. */
const char *rig_ctl_text(const struct rig *r, const char *key, char *buf, size_t cap);
bool rig_ctl_number(const struct rig *r, const char *key, uint64_t *ret);

/* A zone with a TSIG key for everything: "me.example.", key "admin." (secret: 32 times 7) with policy "names=* axfr".
 */
#define RIG_ZONE "me.example."
void rig_zone(struct rig *r);
void rig_tsig(struct sp_tsig_key *ret);

#endif
