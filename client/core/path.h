/* One way to a peer: the relay, or an address of its own. A state machine that says when to PING; it sends nothing
 * itself. DESIGN: "Choosing a path". */
#ifndef SP_AGENT_PATH_H
#define SP_AGENT_PATH_H

#include "proto/base/host.h"
#include "proto/base/rng.h"
#include "proto/nat/probe.h"

#define SP_PATH_STATE_LIST(X)                                                                                          \
    X(FREE, "unused")                                                                                                  \
    X(WAITING, "waiting")   /* planned: its time, or the session with the peer, is still to come */                    \
    X(PROBING, "probing")   /* PINGs are out, none was answered yet */                                                 \
    X(VALID, "valid")       /* a PONG came */                                                                          \
    X(SUSPECT, "suspect")   /* was valid; PINGs stay unanswered now */                                                 \
    X(RESTING, "no answer") /* enough probes for now: another plan, or being heard from there, wakes it */

enum sp_path_state {
#define X(name, text) SP_PATH_##name,
    SP_PATH_STATE_LIST(X)
#undef X
};
const char *sp_path_state_text(unsigned state);

#define SP_PATH_PINGS       8 /* remembered, for their cookies: at 100 ms each, ways of 700 ms */
#define SP_PATH_PROBES      6 /* of a round */
#define SP_PATH_LIMIT_MIN   (250 * SP_MS)
#define SP_PATH_CARRIES     1000 /* bytes of plaintext: what goes whole over any path */
#define SP_PATH_HEAVY       4    /* large PINGs that a valid path may lose before it is taken for one that drops data */
#define SP_PATH_USED_EVERY  (500 * SP_MS) /* who only listens learns by it that its NAT has changed: within a second */
#define SP_PATH_LARGE_EVERY (3 * SP_SEC)  /* of a path in use: a large one among these PINGs */
#define SP_PATH_KEEP_EVERY  (20 * SP_SEC)

struct sp_path {
    struct sp_addr addr;  /* the relay has none */
    struct sp_addr local; /* ours that was reached from there; family 0: not known */
    struct sp_addr seen;  /* ours as the peer sees it; family 0: not known */
    uint8_t state, tactic;
    uint8_t sent;        /* PINGs without an answer in this round */
    uint8_t ping_next;   /* in pings */
    bool small;          /* the PONG at hand answers a PING of less than SP_PATH_CARRIES */
    bool carries;        /* a large PING was answered since it became valid: data gets through, too */
    uint8_t heavy;       /* large PINGs without an answer, until one is */
    sp_instant large_at; /* the newest answer to one */
    sp_instant next_at;  /* when to step with DUE; SP_NEVER */
    sp_instant asked_at; /* VALID: the oldest PING without an answer; SP_NEVER */
    sp_instant heard_at; /* the newest authentic message from there; 0: never */
    sp_instant valid_at;
    sp_duration rtt; /* smoothed; 0: not known */
    struct {
        uint64_t cookie; /* 0: none */
        sp_instant at;
    } pings[SP_PATH_PINGS];
    struct sp_pmtu pmtu;
};

/* How much a peer is wanted: it decides how hard its paths are tried. */
enum sp_interest { SP_INTEREST_NONE, SP_INTEREST_NAME /* its name was asked for: one probe each */, SP_INTEREST_DATA };

enum sp_path_on {
    SP_PATH_ON_PLAN,  /* `at`: to be probed from then on */
    SP_PATH_ON_DUE,   /* next_at has come */
    SP_PATH_ON_CHECK, /* is it still alive? */
    SP_PATH_ON_DOUBT, /* the peer seems to have given it up */
    SP_PATH_ON_PONG,
};

struct sp_path_now {
    sp_instant now, at;
    enum sp_interest interest;
    bool used; /* traffic goes over it */
    bool keep; /* a mapping in front of it is to be kept */
};

/* True: send a PING now. */
bool sp_path_step(struct sp_path *p, enum sp_path_on on, const struct sp_path_now *n);
void sp_path_init(struct sp_path *p, const struct sp_addr *addr, uint8_t tactic);
/* How long to wait for an answer. */
sp_duration sp_path_limit(const struct sp_path *p);
/* A fresh cookie for a PING sent now. */
uint64_t sp_path_cookie(struct sp_path *p, struct sp_rng *rng, sp_instant now);
/* Whether it is the cookie of one of its PINGs; measures the round trip. */
bool sp_path_answers(struct sp_path *p, uint64_t cookie, sp_instant now);

#endif
