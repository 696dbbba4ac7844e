/* The control session's messages: DNS between an agent and its signpost, inside WireGuard, so neither needs a signature of its own.
 * DESIGN: "The control session". All are in UDP over IPv6 (tunnel.h) between the overlay addresses, at most SP_SESSION_MSG bytes.
 *
 * agent -> signpost
 *   PROFILE   UPDATE of the zone: device's name SPPROFILE (rdata: sp_profile_write). Kept in memory, shown to peers, gone with
 *             the session. Sent when the session begins, on changes, and every SP_SESSION_REFRESH. Answer: NOERROR with SPSEQ.
 *   CONNECT   QUERY peer's name SPPLAN, with a record SPFIRST at the root name in the additional section: a WireGuard message
 *             (an initiation) that the signpost hands to the peer with the plan. Answer: SPPLAN, or rcode: NXDOMAIN (no such device),
 *             REFUSED (policy, budget), SERVFAIL with EDE (the peer has no session now).
 *   PEERS     QUERY a name, SPPEERS: KEY records of the devices after that name in canonical order (the zone's apex: from the
 *             beginning), as many as fit; TC when more follow. Answer carries SPSEQ.
 *   any other QUERY is answered from the zone as to anyone (KEY, AAAA, ...), by the same code.
 * signpost -> agent
 *   PUSH      NOTIFY zone SPSEQ; answer section: SPSEQ {epoch, sequence}, then records: SPPLAN at a peer's name (with SPFIRST behind
 *             it), KEY at a device's name (listed, or with class NONE: no more). Answered with the question and the same id; sent
 *             again after 250 ms, doubled, 6 times. Sequence numbers follow each other; an agent that misses one pulls PEERS.
 */
#ifndef SP_CONTROL_SESSION_H
#define SP_CONTROL_SESSION_H

#include "proto/crypto/crypto.h"
#include "proto/dns/msg.h"
#include "proto/dns/name.h"
#include "proto/nat/nat.h"

#define SP_SESSION_MSG 1200
/* A page of PEERS: sealed and over IPv6 it fits a path of 1,124 bytes. */
#define SP_SESSION_PAGE 900
#define SP_SESSION_REFRESH (5 * SP_MIN)
/* An agent is away when nothing authentic came for so long; agents send something every SP_SESSION_ALIVE (a mapping may need more). */
#define SP_SESSION_AWAY (3 * SP_MIN)
#define SP_SESSION_ALIVE (25 * SP_SEC)

/* What may bring a pair together; wire values. */
#define SP_TACTIC_LIST(X)                                                                 \
    X(0, RELAY, "relay")         /* at the signpost */                                    \
    X(1, LAN, "lan")             /* same network, private addresses */                    \
    X(2, IPV6, "ipv6")           /* IPv6 addresses, firewalls opened from both sides */   \
    X(3, PUBLIC, "public")       /* an address that is the peer's own */                  \
    X(4, PORTMAP, "port mapping")                                                         \
    X(5, PUNCH, "punch")         /* both sides at once, to mapped addresses */            \
    X(6, RELAY_TCP, "relay tcp") /* as relay, over a stream */                            \
    X(7, REFLEXIVE, "reflexive") /* an address seen in the peer's own probe */

enum sp_tactic {
#define X(num, name, text) SP_TACTIC_##name = (num),
    SP_TACTIC_LIST(X)
#undef X
};
const char *sp_tactic_text(unsigned tactic); /* "?" for others */

/* One step of a plan: probe this candidate of the peer's profile from this time on. */
struct sp_plan_step {
    uint8_t tactic;
    uint8_t candidate; /* index into peer.candidates */
    uint16_t start_ms; /* after the plan came */
};
#define SP_PLAN_STEPS 16

/* The plan for a pair, as one side gets it. */
struct sp_plan {
    uint8_t pub[SP_ED25519_PUB]; /* the peer's KEY */
    uint32_t channel;            /* of the relay: our end's index; 0: none (policy, or the relay is full) */
    bool asked;                  /* we asked for it; else it was pushed */
    uint16_t rtt_ms;             /* between the peer and the signpost; 0: not known */
    struct sp_profile peer;
    uint8_t count;
    struct sp_plan_step steps[SP_PLAN_STEPS];
};
#define SP_PLAN_MAX (64 + SP_PROFILE_MAX + SP_PLAN_STEPS * 4)
/* u8 version 1, u8 flags (1: asked), pub, u32 channel, u16 rtt_ms, profile, u8 count, steps. */
void sp_plan_write(struct sp_wr *wr, const struct sp_plan *p);
SP_CHECK sp_err sp_plan_read(struct sp_rd *rd, struct sp_plan *ret); /* ERR_UNSUP: another version; tactics not known are left out */

struct sp_seq {
    uint64_t epoch; /* of the signpost's run: another one means that it restarted, and nothing is remembered */
    uint32_t sequence; /* of the last push */
};

/* ---- requests: written by agents, read by signposts ---- */

/* The length written; 0: cap too small. */
size_t sp_session_profile_write(uint16_t id, const struct sp_name *zone, const struct sp_name *device, const struct sp_profile *p,
                                uint8_t *out, size_t cap);
size_t sp_session_connect_write(uint16_t id, const struct sp_name *peer, const uint8_t *first, size_t first_len, uint8_t *out, size_t cap);
size_t sp_session_peers_write(uint16_t id, const struct sp_name *after, uint8_t *out, size_t cap);
/* A plain question (KEY of a name that is not known yet). */
size_t sp_session_query_write(uint16_t id, const struct sp_name *name, uint16_t type, uint8_t *out, size_t cap);

enum sp_session_kind {
    SP_SESSION_PROFILE,
    SP_SESSION_CONNECT,
    SP_SESSION_PEERS,
    SP_SESSION_QUERY, /* any other query: answer it as one from anybody */
    SP_SESSION_ACK,   /* the answer to a push */
    SP_SESSION_PUSH,  /* agents get this */
    SP_SESSION_REPLY, /* agents get this */
    SP_SESSION_OTHER, /* another opcode: NOTIMP */
};
struct sp_session_msg {
    enum sp_session_kind kind;
    uint16_t id, flags, rcode, qtype; /* flags: of the header; rcode: with EDNS' upper bits */
    struct sp_name name;        /* the question's, or the zone of an update; lower case */
    struct sp_name device;      /* PROFILE: the owner of the record */
    struct sp_profile profile;
    const uint8_t *first;       /* CONNECT: borrowed; NULL: none */
    size_t first_len;
    bool tc, has_seq;
    struct sp_seq seq;
    uint16_t ede;               /* REPLY: 0xffff none */
    struct sp_rd records;       /* REPLY, PUSH: the records behind SPSEQ, for sp_session_record */
    unsigned record_count;
};
/* Reads any message of the session; borrows data. ERR_FORM and ERR_SHORT: answer FORMERR if it has a header and is no response
 * (id and flags are set then, the rest is as of an empty message, and a reply may be begun with it). */
SP_CHECK sp_err sp_session_read(struct sp_session_msg *ret, const uint8_t *data, size_t len);

enum sp_session_record_kind { SP_RECORD_PLAN, SP_RECORD_FIRST, SP_RECORD_KEY, SP_RECORD_KEY_GONE, SP_RECORD_AAAA, SP_RECORD_OTHER };
struct sp_session_record {
    enum sp_session_record_kind kind;
    struct sp_name owner;
    struct sp_plan plan;
    uint8_t pub[SP_ED25519_PUB];
    uint8_t addr[16];
    const uint8_t *data; /* FIRST: borrowed */
    size_t len;
};
/* The next record; ERR_NOENT at the end; ERR_FORM. */
SP_CHECK sp_err sp_session_record(struct sp_session_msg *m, struct sp_session_record *ret);

/* ---- answers and pushes: written by signposts; acks by agents ---- */

/* A reply's or push's writer: begin, SPSEQ, records, EDE, end. A message with records of any sort is at most cap bytes. */
struct sp_session_writer {
    struct sp_msgw msg;
    bool full; /* a record did not fit: it was left out */
};
/* For a reply to `m`: its id, opcode and question; for a push (m NULL): NOTIFY with this id and zone. */
void sp_session_reply_begin(struct sp_session_writer *w, const struct sp_session_msg *m, uint16_t rcode, uint8_t *out, size_t cap);
void sp_session_push_begin(struct sp_session_writer *w, uint16_t id, const struct sp_name *zone, uint8_t *out, size_t cap);
void sp_session_put_seq(struct sp_session_writer *w, const struct sp_name *zone, const struct sp_seq *seq);
/* False: no room; nothing of it was written. */
bool sp_session_put_plan(struct sp_session_writer *w, const struct sp_name *peer, const struct sp_plan *plan, const uint8_t *first,
                         size_t first_len);
bool sp_session_put_key(struct sp_session_writer *w, const struct sp_name *device, const uint8_t pub[SP_ED25519_PUB], bool gone);
/* Why a request was refused: EDE (RFC 8914) with a text of at most 128 bytes; after all records, once. */
void sp_session_put_ede(struct sp_session_writer *w, uint16_t code, const char *text);
size_t sp_session_end(struct sp_session_writer *w, bool tc); /* the length; 0: cap too small for the question */
size_t sp_session_ack_write(const struct sp_session_msg *push, uint8_t *out, size_t cap);

#endif
