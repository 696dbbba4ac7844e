/* The agent's registrar: joins a zone, keeps the device's identity and presence registered, leaves. Sans-I/O. */
#ifndef SP_AGENT_AGENT_H
#define SP_AGENT_AGENT_H

#include "proto/base/host.h"
#include "proto/base/rng.h"
#include "proto/base/trace.h"
#include "proto/control/join.h"
#include "proto/crypto/crypto.h"

#define SP_AGENT_PUBLISH_MAX 16

enum sp_agent_state {
    SP_AGENT_IDLE,       /* not asked to be up */
    SP_AGENT_JOINING,    /* the invite has been sent */
    SP_AGENT_JOINED,     /* join is done (one-shot) */
    SP_AGENT_REGISTERING,/* identity and presence sent, no answer yet */
    SP_AGENT_UP,         /* leased; refresh at 80% of the lease with jitter */
    SP_AGENT_RETRYING,   /* the last attempt failed; backing off */
    SP_AGENT_WITHDRAWING,/* down: presence being removed */
    SP_AGENT_LEAVING,    /* leave: identity being removed */
    SP_AGENT_DONE,       /* down or leave has finished */
    SP_AGENT_REFUSED,    /* the signpost said no for good; status tells why */
};

/* Everything that persists, besides the key: written by the host, 0600. */
struct sp_agent_identity {
    struct sp_name zone, name;
    uint8_t root_hash[SP_ROOT_HASH];
    uint8_t signpost_pub[SP_ED25519_PUB];
    struct sp_addr addrs[SP_TOKEN_ADDRS]; /* of the signpost */
    unsigned addr_count;
    uint8_t device_seed[SP_ED25519_SEED];
};

struct sp_agent_config {
    struct sp_agent_identity id;
    uint32_t lease_s;      /* asked for; 3600 */
    bool publish_auto;     /* publish the global addresses that the host reports */
    bool publish_private;  /* and the private ones */
    struct sp_addr publish[SP_AGENT_PUBLISH_MAX]; /* published besides */
    unsigned publish_count;
    uint8_t seed[SP_RNG_SEED];
    struct sp_trace trace;
};

struct sp_agent_status {
    enum sp_agent_state state;
    uint8_t overlay[16];
    uint32_t lease_s;          /* granted */
    sp_instant registered_at, next_at; /* SP_NEVER when not */
    uint16_t last_rcode;
    sp_err last_err;
    int last_ede;              /* -1: none */
    char last_ede_text[128];
    uint32_t attempts;         /* since the last success */
    struct sp_addr signpost;   /* in use */
    struct sp_addr published[SP_AGENT_PUBLISH_MAX * 2];
    unsigned published_count;
    int64_t clock_offset_s;    /* learnt from signed replies, for SIG(0) alone */
};

/* The agent is one struct of fixed size; the caller owns the memory and wipes it (sp_agent_wipe). */
struct sp_agent;
size_t sp_agent_size(void);
void sp_agent_init(struct sp_agent *a, const struct sp_agent_config *config, sp_instant now, sp_wall wall);
void sp_agent_wipe(struct sp_agent *a);

/* What the owner asks for; each starts from IDLE or UP. join takes the invite. */
SP_CHECK sp_err sp_agent_join(struct sp_agent *a, const struct sp_token *token, sp_instant now);
SP_CHECK sp_err sp_agent_up(struct sp_agent *a, sp_instant now);
SP_CHECK sp_err sp_agent_down(struct sp_agent *a, sp_instant now);
SP_CHECK sp_err sp_agent_leave(struct sp_agent *a, sp_instant now);
void sp_agent_status(const struct sp_agent *a, struct sp_agent_status *ret);

/* The host contract. Inputs: SP_IN_DATAGRAM (replies), SP_IN_LINK (addresses changed). Events: none but SP_EV_STOP at DONE. */
SP_CHECK sp_err sp_agent_input(struct sp_agent *a, sp_instant now, sp_wall wall, const struct sp_in *in, size_t n, size_t *taken);
void sp_agent_expire(struct sp_agent *a, sp_instant now, sp_wall wall);
sp_instant sp_agent_deadline(const struct sp_agent *a);
size_t sp_agent_output(struct sp_agent *a, sp_instant now, sp_wall wall, struct sp_out *out, size_t n);
bool sp_agent_event(struct sp_agent *a, struct sp_event *ret);

#endif
