#include "client/core/message.h"

#include "client/core/presence.h"

static void put(struct sp_msgw *w, const struct sp_name *owner, uint16_t type, uint16_t rclass, uint32_t ttl,
                const void *rdata, size_t len) {
    sp_err err = sp_msgw_rr(w, 2, owner, type, rclass, ttl, rdata, len);
    /* An agent's records always fit but for the old addresses, which put_old handles. */
    SP_ASSERT(err == SP_OK);
}

static void put_addr(struct sp_msgw *w, const struct sp_name *owner, const struct sp_addr *addr) {
    if (addr->family == 4)
        put(w, owner, SP_TYPE_A, SP_CLASS_IN, SP_AGENT_TTL, addr->ip, 4);
    else
        put(w, owner, SP_TYPE_AAAA, SP_CLASS_IN, SP_AGENT_TTL, addr->ip, 16);
}

static void put_identity(struct sp_agent *a, struct sp_msgw *w) {
    uint8_t key[SP_KEY_RDATA];
    sp_key_rdata(a->key.pub, key);
    put(w, &a->id.name, SP_TYPE_KEY, SP_CLASS_IN, SP_AGENT_KEY_TTL, key, sizeof key);
    put(w, &a->id.name, SP_TYPE_AAAA, SP_CLASS_IN, SP_AGENT_TTL, a->overlay, 16);
}

/* Withdraws AAAA records one by one: the RRset also holds the overlay address, which stays. */
static unsigned put_old(struct sp_agent *a, struct sp_msgw *w) {
    unsigned fit = 0;
    for (unsigned i = 0; i < a->memory.published_count; i++) {
        const struct sp_addr *old = &a->memory.published[i];
        if (sp_addrs_have(a->sending, a->sending_count, old))
            continue;
        if (old->family == 6 && sp_msgw_rr(w, 2, &a->id.name, SP_TYPE_AAAA, SP_CLASS_NONE, 0, old->ip, 16) != SP_OK)
            break;
        fit++;
    }
    return fit;
}

/* Nothing but additions when the signpost is known to hold exactly what is wanted: a refresh, which changes no serial.
 */
static bool is_refresh(const struct sp_agent *a) {
    if (!a->synced || a->memory.published_count != a->sending_count)
        return false;
    for (unsigned i = 0; i < a->sending_count; i++)
        if (!sp_addrs_have(a->memory.published, a->memory.published_count, &a->sending[i]))
            return false;
    return true;
}

static void put_presence(struct sp_agent *a, struct sp_msgw *w, bool refresh) {
    if (!refresh)
        put(w, &a->id.name, SP_TYPE_A, SP_CLASS_ANY, 0, NULL, 0);
    for (unsigned i = 0; i < a->sending_count; i++)
        put_addr(w, &a->id.name, &a->sending[i]);
    a->deletes_fit = refresh ? 0 : put_old(a, w);
}

/* KEY, overlay address and proof. When an invite was refused, the same without any record: it is accepted from a device
 * that is in the zone already, because the reply to an earlier join was lost. */
static void put_join(struct sp_agent *a, struct sp_msgw *w) {
    if (a->proving)
        return;
    put_identity(a, w);
    uint8_t proof[SP_JOIN_RDATA];
    sp_join_make(proof, a->id.root_hash, &a->id.name, &a->invite, &a->key, a->invite_expiry);
    put(w, &a->id.name, SP_TYPE_SPJOIN, SP_CLASS_IN, 0, proof, sizeof proof);
}

static void put_opt(struct sp_agent *a, struct sp_msgw *w) {
    struct sp_optw o;
    sp_msgw_opt_begin(w, &o, SP_AGENT_MESSAGE_MAX, 0, 0, 0);
    if (a->goal == SP_GOAL_UP) {
        uint8_t lease[4];
        sp_put_u32(lease, a->lease_asked_s);
        sp_msgw_opt_add(w, SP_EDNS_UL, lease, sizeof lease);
    }
    sp_msgw_opt_end(w, &o);
}

/* The time of the next signature. Never older than one before, or the signpost, which has seen that one, takes this for
 * a replay; but a memory that lies beyond the window was never accepted, and would keep a set-back clock out for good.
 */
static sp_wall signature_time(struct sp_agent *a, sp_wall wall) {
    int64_t t = (int64_t)sp_wall_sec(wall) + a->clock_offset_s;
    uint64_t sec = t > 0 ? (uint64_t)t : 0;
    if (a->memory.signed_at > sec && a->memory.signed_at - sec <= SP_AGENT_WINDOW_S)
        sec = a->memory.signed_at;
    if (sec != a->memory.signed_at) {
        a->memory.signed_at = sec;
        a->memory.generation++;
    }
    return sp_wall_from_sec(sec);
}

/* An id that no request of late has: replies are told apart by it, and two updates of one second differ. */
static uint16_t fresh_id(struct sp_agent *a) {
    for (;;) {
        uint16_t id = (uint16_t)sp_rng_u32(&a->rng);
        unsigned i = 0;
        while (i < SP_AGENT_SENT_MAX && (a->sent[i].len == 0 || a->sent[i].id != id))
            i++;
        if (i == SP_AGENT_SENT_MAX)
            return id;
    }
}

void sp_agent_message(struct sp_agent *a, sp_wall wall, struct sp_agent_request *req) {
    struct sp_msgw w;
    size_t room = sp_sig0_size(&a->id.name) + 32; /* 32: the OPT record with a lease */
    req->id = fresh_id(a);
    sp_msgw_begin(&w, req->wire, sizeof req->wire - room, req->id, SP_OPCODE_UPDATE << 11);
    sp_msgw_question(&w, &a->id.zone, SP_TYPE_SOA, SP_CLASS_IN);
    switch (a->goal) {
    case SP_GOAL_JOIN:
        put_join(a, &w);
        break;
    case SP_GOAL_LEAVE:
        put(&w, &a->id.name, SP_TYPE_ANY, SP_CLASS_ANY, 0, NULL, 0);
        break;
    case SP_GOAL_NONE:
    case SP_GOAL_UP:
    case SP_GOAL_DOWN:
        put_presence(a, &w, a->goal == SP_GOAL_UP && is_refresh(a));
        break;
    }
    w.wr.end = req->wire + sizeof req->wire;
    put_opt(a, &w);
    size_t len = sp_msgw_end(&w);
    SP_ASSERT(len != 0);
    sp_err err = sp_sig0_sign(&w.wr, &a->id.name, &a->key, a->key_tag, signature_time(a, wall), SP_AGENT_WINDOW_S, NULL,
                              0, a->scratch, sizeof a->scratch);
    SP_ASSERT(err == SP_OK);
    req->len = sp_wr_len(&w.wr);
}
