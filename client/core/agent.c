#include "client/core/agent.h"

#include "client/core/backoff.h"
#include "client/core/control.h"
#include "client/core/message.h"
#include "client/core/mesh.h"
#include "client/core/presence.h"
#include "client/core/registrar.h"

const char *sp_agent_state_text(enum sp_agent_state state) {
    switch (state) {
#define X(name, text)                                                                                                  \
    case SP_AGENT_##name:                                                                                              \
        return text;
        SP_AGENT_STATE_LIST(X)
#undef X
    }
    return "unknown";
}

void sp_agent_identity_make(struct sp_agent_identity *ret, const struct sp_token *token,
                            const uint8_t seed[SP_ED25519_SEED]) {
    memset(ret, 0, sizeof *ret);
    ret->zone = token->zone;
    ret->name = token->name;
    sp_name_lower(&ret->zone);
    sp_name_lower(&ret->name);
    memcpy(ret->root_hash, token->root_hash, SP_ROOT_HASH);
    memcpy(ret->signpost_pub, token->signpost_pub, SP_ED25519_PUB);
    ret->addr_count = token->addr_count <= SP_TOKEN_ADDRS ? token->addr_count : SP_TOKEN_ADDRS;
    memcpy(ret->addrs, token->addrs, ret->addr_count * sizeof *ret->addrs);
    memcpy(ret->device_seed, seed, SP_ED25519_SEED);
    ret->pending = true;
}

size_t sp_agent_size(void) {
    return sizeof(struct sp_agent);
}

static uint16_t tag_of(const uint8_t pub[SP_ED25519_PUB]) {
    uint8_t rdata[SP_KEY_RDATA];
    sp_key_rdata(pub, rdata);
    return sp_key_tag(rdata, sizeof rdata);
}

static void init_keys(struct sp_agent *a) {
    sp_ed25519_from_seed(&a->key, a->id.device_seed);
    sp_wipe(a->id.device_seed, sizeof a->id.device_seed); /* stands in a->key */
    a->key_tag = tag_of(a->key.pub);
    a->signpost_tag = tag_of(a->id.signpost_pub);
    sp_overlay_addr(a->id.root_hash, a->key.pub, a->overlay);
}

sp_err sp_agent_init(struct sp_agent *a, const struct sp_agent_config *config, sp_instant now) {
    memset(a, 0, sizeof *a);
    a->id = config->id;
    a->memory = config->memory;
    a->trace = config->trace;
    sp_rng_init(&a->rng, config->seed);
    init_keys(a);
    /* A zone so long that no label fits below it has no device either; its replies would be signed by the root. */
    if (sp_name_prepend(&a->signpost, "signpost", 8, &a->id.zone) != SP_OK)
        sp_name_root(&a->signpost);
    a->lease_asked_s = config->lease_s != 0 ? config->lease_s : SP_AGENT_LEASE_DEFAULT;
    a->publish_auto = config->publish_auto;
    a->publish_private = config->publish_private;
    a->publish_count = config->publish_count < SP_AGENT_PUBLISH_MAX ? config->publish_count : SP_AGENT_PUBLISH_MAX;
    memcpy(a->publish, config->publish, a->publish_count * sizeof *a->publish);
    a->resend_at = a->wake_at = a->settle_at = a->registered_at = SP_NEVER;
    a->last_rcode = a->last_ede = a->unsigned_rcode = a->unsigned_ede = -1;
    sp_err err = config->overlay.on ? sp_mesh_new(&a->mesh, config, &a->key, &a->rng, now) : SP_OK;
    if (err != SP_OK)
        sp_agent_wipe(a);
    return err;
}

void sp_agent_wipe(struct sp_agent *a) {
    sp_mesh_free(a->mesh);
    sp_wipe(a, sizeof *a);
}

/* ---- what the owner asks for ---- */

static void ask(struct sp_agent *a, enum sp_agent_goal goal, sp_instant now) {
    a->goal = goal;
    a->proving = false;
    sp_registrar_step(a, SP_ON_ASKED, now);
}

static bool at_rest(const struct sp_agent *a) {
    return a->goal == SP_GOAL_NONE;
}

sp_err sp_agent_join(struct sp_agent *a, const struct sp_token *token, sp_instant now) {
    if (!at_rest(a))
        return SP_ERR_STATE;
    if (!sp_name_equal(&token->zone, &a->id.zone) || !sp_name_equal(&token->name, &a->id.name) ||
        memcmp(token->root_hash, a->id.root_hash, SP_ROOT_HASH) != 0)
        return SP_ERR_BADKEY;
    sp_ed25519_from_seed(&a->invite, token->seed);
    a->invite_expiry = token->expiry;
    ask(a, SP_GOAL_JOIN, now);
    return SP_OK;
}

sp_err sp_agent_up(struct sp_agent *a, sp_instant now) {
    if (!at_rest(a))
        return SP_ERR_STATE;
    ask(a, SP_GOAL_UP, now);
    if (a->mesh != NULL)
        sp_mesh_start(a->mesh, now);
    return SP_OK;
}

sp_err sp_agent_down(struct sp_agent *a, sp_instant now) {
    if (a->goal == SP_GOAL_JOIN || a->goal == SP_GOAL_LEAVE)
        return SP_ERR_STATE;
    if (a->goal != SP_GOAL_DOWN)
        ask(a, SP_GOAL_DOWN, now);
    return SP_OK;
}

sp_err sp_agent_leave(struct sp_agent *a, sp_instant now) {
    if (a->goal == SP_GOAL_JOIN)
        return SP_ERR_STATE;
    if (a->goal != SP_GOAL_LEAVE)
        ask(a, SP_GOAL_LEAVE, now);
    return SP_OK;
}

void sp_agent_quit(struct sp_agent *a, sp_instant now) {
    if (a->mesh != NULL) {
        sp_mesh_turn(a->mesh, now, a->mesh->wall);
        sp_mesh_stop(a->mesh, now, a->mesh->wall);
    }
    a->stop = true;
}

void sp_agent_status(const struct sp_agent *a, struct sp_agent_status *ret) {
    memset(ret, 0, sizeof *ret);
    ret->state = a->state;
    memcpy(ret->overlay, a->overlay, sizeof ret->overlay);
    ret->lease_s = a->lease_s;
    ret->registered_at = a->registered_at;
    ret->next_at = a->wake_at;
    ret->last_rcode = a->last_rcode;
    ret->last_err = a->last_err;
    ret->last_ede = a->last_ede;
    memcpy(ret->last_ede_text, a->last_ede_text, sizeof ret->last_ede_text);
    ret->unsigned_rcode = a->unsigned_rcode;
    ret->unsigned_ede = a->unsigned_ede;
    memcpy(ret->unsigned_text, a->unsigned_text, sizeof ret->unsigned_text);
    ret->attempts = a->failures;
    if (a->id.addr_count > 0)
        ret->signpost = a->id.addrs[a->addr_at % a->id.addr_count];
    memcpy(ret->published, a->registered, sizeof ret->published);
    ret->published_count = a->registered_count;
    ret->clock_offset_s = a->clock_offset_s;
    ret->counts = a->counts;
}

void sp_agent_memory(const struct sp_agent *a, struct sp_agent_memory *ret) {
    *ret = a->memory;
}

/* ---- the host contract ---- */

static bool links_differ(const struct sp_agent *a, const struct sp_addr *links, unsigned n) {
    if (n != a->link_count)
        return true;
    for (unsigned i = 0; i < n; i++)
        if (!sp_addrs_have(a->links, a->link_count, &links[i]))
            return true;
    return false;
}

/* The first report is taken at once. Later changes come in bursts (an address, a route, privacy addresses): wait until
 * they have kept still, but not for ever. */
static void take_links(struct sp_agent *a, sp_instant now, const struct sp_in *in) {
    struct sp_addr links[SP_AGENT_LINK_MAX];
    size_t n = in->len / sizeof *links;
    n = n < SP_AGENT_LINK_MAX ? n : SP_AGENT_LINK_MAX;
    if (n > 0)
        memcpy(links, in->data, n * sizeof *links);
    if (a->have_links && !links_differ(a, links, (unsigned)n))
        return;
    if (n > 0)
        memcpy(a->links, links, n * sizeof *links);
    a->link_count = (unsigned)n;
    if (!a->have_links) {
        a->have_links = true;
        sp_registrar_step(a, SP_ON_NETWORK, now);
        return;
    }
    if (a->settle_at == SP_NEVER)
        a->unsettled_since = now;
    a->settle_at = sp_instant_min(now + SP_AGENT_SETTLE, a->unsettled_since + SP_AGENT_SETTLE_MAX);
}

static sp_err take(struct sp_agent *a, sp_instant now, sp_wall wall, const struct sp_in *in) {
    struct sp_agent_reply reply;
    if (a->mesh != NULL && in->kind != SP_IN_CONTROL && sp_mesh_input(a->mesh, in) && in->kind != SP_IN_LINK)
        return SP_OK;
    switch (in->kind) {
    case SP_IN_DATAGRAM:
        if (sp_agent_reply_read(a, wall, in, &reply))
            sp_registrar_reply(a, &reply, now);
        return SP_OK;
    case SP_IN_LINK:
        take_links(a, now, in);
        return SP_OK;
    case SP_IN_CONTROL:
        return sp_agent_control(a, now, in->id, in->data, in->len);
    default:
        return SP_ERR_UNSUP;
    }
}

static void begin_turn(struct sp_agent *a, sp_instant now, sp_wall wall) {
    sp_agent_control_given(a);
    if (a->mesh != NULL)
        sp_mesh_turn(a->mesh, now, wall);
}

/* Timestamps of handshakes that run ahead of the clock are remembered: the next run has to go on behind them, or it is taken for a
 * replay until it has caught up. */
static void remember_timestamp(struct sp_agent *a, sp_wall wall) {
    uint64_t at = sp_wg_timestamp_s(a->mesh->wg);
    if (at <= a->memory.signed_at || at <= sp_wall_sec(wall))
        return;
    a->memory.signed_at = at;
    a->memory.generation++;
}

/* The registrar and the overlay learn of each other. */
static void end_turn(struct sp_agent *a, sp_instant now, sp_wall wall) {
    struct sp_mesh *mesh = a->mesh;
    if (mesh == NULL)
        return;
    if (a->goal != SP_GOAL_UP)
        sp_mesh_stop(mesh, now, wall);
    else if (a->registered_at != a->told_at && a->registered_at != SP_NEVER)
        sp_mesh_registered(mesh, now, a->memory.signed_at);
    a->told_at = a->registered_at;
    sp_mesh_settle(mesh);
    remember_timestamp(a, wall);
    sp_agent_control_settle(a, now);
}

sp_err sp_agent_input(struct sp_agent *a, sp_instant now, sp_wall wall, const struct sp_in *in, size_t n,
                      size_t *taken) {
    sp_err err = SP_OK;
    begin_turn(a, now, wall);
    for (*taken = 0; *taken < n; ++*taken) {
        err = a->mesh != NULL && !sp_mesh_roomy(a->mesh) ? SP_ERR_FULL : take(a, now, wall, &in[*taken]);
        if (err != SP_OK)
            break;
    }
    end_turn(a, now, wall);
    return err;
}

static bool sends_left(const struct sp_agent *a) {
    return a->sent_count < sp_resend_max(a->id.addr_count);
}

void sp_agent_expire(struct sp_agent *a, sp_instant now, sp_wall wall) {
    begin_turn(a, now, wall);
    if (a->mesh != NULL)
        sp_mesh_expire(a->mesh);
    if (a->in_flight && now >= a->resend_at && (!sends_left(a) || a->id.addr_count == 0)) {
        a->last_err = SP_ERR_AGAIN;
        sp_registrar_step(a, SP_ON_SILENCE, now);
    }
    if (now >= a->settle_at) {
        a->settle_at = SP_NEVER;
        sp_registrar_step(a, SP_ON_NETWORK, now);
    }
    if (now >= a->wake_at) {
        a->wake_at = SP_NEVER;
        sp_registrar_step(a, SP_ON_WAKE, now);
    }
    end_turn(a, now, wall);
}

sp_instant sp_agent_deadline(const struct sp_agent *a) {
    sp_instant at = sp_instant_min(sp_instant_min(a->resend_at, a->wake_at), a->settle_at);
    return a->mesh != NULL ? sp_instant_min(at, sp_mesh_deadline(a->mesh)) : at;
}

/* Every transmission but the first goes to the next of the signpost's addresses. */
static bool transmit(struct sp_agent *a, sp_instant now, sp_wall wall, struct sp_out *out) {
    if (!a->in_flight || now < a->resend_at || !sends_left(a) || a->id.addr_count == 0)
        return false;
    if (a->sent_count > 0)
        a->addr_at++;
    a->addr_at %= a->id.addr_count;
    struct sp_agent_request *req = &a->sent[a->sent_count];
    req->to = a->id.addrs[a->addr_at];
    sp_agent_message(a, wall, req);
    a->resend_at = now + sp_resend_delay(a->sent_count, a->id.addr_count, &a->rng);
    a->sent_count++;
    a->counts.sent++;
    sp_trace(&a->trace, now, SP_TRACE_agent_sent, a->state, a->sent_count);
    *out = (struct sp_out){.kind = SP_OUT_DATAGRAM, .data = req->wire, .len = req->len, .dst = req->to};
    return true;
}

size_t sp_agent_output(struct sp_agent *a, sp_instant now, sp_wall wall, struct sp_out *out, size_t n) {
    size_t made = 0;
    if (made < n && transmit(a, now, wall, &out[made]))
        made++;
    while (made < n && sp_agent_control_next(a, &out[made]))
        made++;
    if (made < n && a->mesh != NULL)
        made += sp_outgoing_output(&a->mesh->out, out + made, n - made);
    return made;
}

bool sp_agent_event(struct sp_agent *a, struct sp_event *ret) {
    if (a->mesh != NULL && sp_mesh_event(a->mesh, ret))
        return true;
    if (!a->stop)
        return false;
    a->stop = false;
    *ret = (struct sp_event){.kind = SP_EV_STOP};
    return true;
}
