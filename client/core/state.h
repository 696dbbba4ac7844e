/* The agent's state, shared by the files of this room. */
#ifndef SP_AGENT_STATE_H
#define SP_AGENT_STATE_H

#include "client/core/agent.h"
#include "proto/dns/sig0.h"

#define SP_AGENT_MESSAGE_MAX 1232 /* one datagram that no path fragments; RFC 9715 */
#define SP_AGENT_REPLY_MAX   4096
#define SP_AGENT_SENT_MAX    8   /* transmissions of an attempt; sp_resend_max never says more */
#define SP_AGENT_WINDOW_S    300 /* a signature's validity before and after its time */
#define SP_AGENT_TTL         30 /* of addresses: devices move; one TTL for an RRset (RFC 2181 5.2), and no lease is shorter */
#define SP_AGENT_KEY_TTL     3600
#define SP_AGENT_TRIES       3 /* attempts of a join, down or leave that the signpost answers with a passing failure */
/* A refusal is final when the next attempt, some seconds later, is refused as well: a signpost that has just restarted
 * takes what is signed in the second of its last record for a replay. */
#define SP_AGENT_REFUSALS    2
#define SP_AGENT_TIME_TRIES  2            /* corrections of the clock within an attempt */
#define SP_AGENT_SETTLE      (SP_SEC)     /* networks are taken as settled when they kept still for so long */
#define SP_AGENT_SETTLE_MAX  (5 * SP_SEC) /* or kept changing for so long */
#define SP_AGENT_CONTROL_MAX 16           /* control requests at once */

/* What the owner wants; the message that an attempt sends follows from it. */
enum sp_agent_goal { SP_GOAL_NONE, SP_GOAL_JOIN, SP_GOAL_UP, SP_GOAL_DOWN, SP_GOAL_LEAVE };

/* One transmission. Each is signed anew, since a server rightly takes the same bytes twice for a replay, and a late
 * reply to an earlier one still counts. */
struct sp_agent_request {
    uint16_t id;
    size_t len; /* 0: none */
    struct sp_addr to;
    uint8_t wire[SP_AGENT_MESSAGE_MAX];
};

enum sp_control_slot_state {
    SP_SLOT_FREE,
    SP_SLOT_WAITING,  /* for a one-shot to end */
    SP_SLOT_PING,     /* for the overlay's pinger */
    SP_SLOT_NETCHECK, /* for behaviour discovery */
    SP_SLOT_READY,
    SP_SLOT_GIVEN,
};

#define SP_AGENT_REPLY_BIG ((size_t)64 << 10)

struct sp_control_slot {
    enum sp_control_slot_state state;
    uint64_t id;
    size_t len;
    uint8_t *big; /* of the overlay's memory, SP_AGENT_REPLY_BIG bytes: a reply that lists peers; NULL: it stands in `reply` */
    uint8_t reply[4096];
};

struct sp_mesh;

struct sp_agent {
    struct sp_mesh *mesh; /* NULL: off */
    struct sp_agent_identity id;
    struct sp_ed25519 key;
    uint16_t key_tag, signpost_tag;
    struct sp_name signpost; /* signer of the replies: signpost.ZONE */
    uint8_t overlay[16];
    struct sp_rng rng;
    struct sp_trace trace;
    uint32_t lease_asked_s;
    bool publish_auto, publish_private;
    struct sp_addr publish[SP_AGENT_PUBLISH_MAX];
    unsigned publish_count;

    enum sp_agent_state state;
    enum sp_agent_goal goal;
    bool stop; /* SP_EV_STOP waits to be pulled */

    struct sp_ed25519 invite;
    uint64_t invite_expiry;
    bool proving; /* the invite was refused: see whether an earlier, unanswered join had gone through */

    /* The attempt under way. */
    bool in_flight;
    unsigned sent_count, time_retries, addr_at;
    sp_instant resend_at;
    struct sp_agent_request sent[SP_AGENT_SENT_MAX];
    struct sp_addr sending[SP_AGENT_PUBLISH_MAX]; /* what the attempt publishes */
    unsigned sending_count;
    unsigned deletes_fit; /* old addresses that its messages withdraw */
    bool synced;          /* what stands at the signpost is known: memory.published, no more */

    sp_instant wake_at; /* of UP, RETRYING, REFUSED */
    unsigned failures;  /* attempts in a row */
    unsigned refusals;  /* of these, refusals in a row */

    /* The host's addresses, and when they are to be taken as settled. */
    struct sp_addr links[SP_AGENT_LINK_MAX];
    unsigned link_count;
    bool have_links;
    sp_instant settle_at, unsettled_since;

    struct sp_agent_memory memory;
    struct sp_agent_counts counts;
    struct sp_addr registered[SP_AGENT_PUBLISH_MAX];
    unsigned registered_count;
    uint32_t lease_s;
    sp_instant registered_at, told_at; /* told_at: the registration that the overlay knows of */
    int64_t clock_offset_s;
    sp_err last_err;
    int last_rcode, last_ede, unsigned_rcode, unsigned_ede;
    char last_ede_text[128], unsigned_text[128];

    struct sp_control_slot slots[SP_AGENT_CONTROL_MAX];
    uint8_t scratch[SP_AGENT_REPLY_MAX + SP_AGENT_MESSAGE_MAX + 600]; /* for signatures */
};

#endif
