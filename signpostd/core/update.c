/* The flow of an UPDATE. RFC 2136 3: zone, signature, prerequisites, form, permission, change; in the order that costs
 * least. */
#include "signpostd/core/updater.h"

static uint16_t refusal_rcode(enum sp_refusal why) {
    static const uint16_t rcodes[] = {
#define X(name, rcode, ede, text) SP_RCODE_##rcode,
        SP_REFUSAL_LIST(X)
#undef X
    };
    return rcodes[why];
}

/* RFC 2136 3.1.1. The zone may be unknown: that is said after the signature was verified, in a signed reply. */
static enum sp_refusal zone_section(struct sp_flow *f) {
    const struct sp_msg *m = f->msg;
    if (m->edns.present && m->edns.version != 0)
        return SP_REFUSED_edns_version;
    if (m->count[0] != 1 || m->qtype != SP_TYPE_SOA)
        return SP_REFUSED_zone_section;
    if (m->qclass == SP_CLASS_IN)
        f->zone = sp_zones_get(f->u->zones, &m->qname);
    return SP_REFUSED_none;
}

/* RFC 9664 4. The grant stays within limits. Keys are not leased here, so any KEY-LEASE asked for is kept. */
static enum sp_refusal lease_option(struct sp_flow *f, struct sp_update *ret) {
    struct sp_rd value;
    if (!sp_edns_find(&f->msg->edns, SP_EDNS_UL, &value))
        return SP_REFUSED_none;
    size_t len = sp_rd_left(&value);
    if (len != 4 && len != 8)
        return SP_REFUSED_lease_form;
    const struct sp_updater_config *c = &f->u->config;
    uint32_t asked = sp_rd_u32(&value);
    f->lease_s = asked < c->lease_min_s ? c->lease_min_s : asked > c->lease_max_s ? c->lease_max_s : asked;
    f->leased = true;
    ret->lease_len = (uint8_t)len;
    ret->lease_s = f->lease_s;
    uint32_t key_asked = len == 8 ? sp_rd_u32(&value) : 0;
    ret->key_lease_s = key_asked > f->lease_s ? key_asked : f->lease_s;
    return SP_REFUSED_none;
}

static enum sp_refusal error_refusal(sp_err err) {
    switch (err) {
    case SP_ERR_FULL:
        return SP_REFUSED_full;
    case SP_ERR_DENIED:
        return SP_REFUSED_managed;
    case SP_ERR_RANGE:
    case SP_ERR_SPACE:
        return SP_REFUSED_too_big;
    default:
        return SP_REFUSED_update_form;
    }
}

static enum sp_refusal change(struct sp_flow *f, struct sp_update *ret) {
    struct sp_txn *txn;
    uint32_t before = sp_zone_serial(f->zone);
    sp_err err = sp_txn_begin(&txn, f->zone);
    if (err != SP_OK)
        return error_refusal(err);
    err = sp_flow_apply(f, txn);
    bool differs = err == SP_OK && sp_change_count(txn) > 0;
    if (differs)
        err = sp_change_bump(f->zone, txn, before);
    enum sp_refusal why = err == SP_OK ? sp_flow_record(f, txn, &ret->change) : error_refusal(err);
    if (why != SP_REFUSED_none || !differs)
        sp_txn_undo(txn);
    if (why != SP_REFUSED_none)
        ret->change.body = NULL;
    return why;
}

/* The message is its signer's: everything that depends on who that is. */
static enum sp_refusal decide_verified(struct sp_flow *f, struct sp_update *ret) {
    enum sp_refusal why = SP_REFUSED_none;
    if (f->zone == NULL)
        return SP_REFUSED_not_auth;
    if (f->join.present)
        why = sp_join_check(f);
    if (why == SP_REFUSED_none)
        why = sp_flow_prereq(f);
    if (why == SP_REFUSED_none)
        why = sp_flow_prescan(f);
    if (why == SP_REFUSED_none)
        why = sp_flow_permit(f);
    return why == SP_REFUSED_none ? change(f, ret) : why;
}

static enum sp_refusal tsig_too_old(struct sp_signer *s) {
    s->tsig_state.error = SP_RCODE_BADTIME; /* RFC 8945 5.2.3 */
    return SP_REFUSED_tsig_replay;
}

/* A signature counts once; what it got as answer is remembered. */
static enum sp_refusal decide_once(struct sp_flow *f, struct sp_update *ret) {
    struct sp_updater *u = f->u;
    struct sp_signer *s = f->signer;
    struct sp_use *use = sp_use_get(u, s->key_zone, s->kind, &s->name, s->pub);
    if (use == NULL)
        return SP_REFUSED_full;
    sp_use_expect(u, use, f->expiration, f->now, f->wall);
    switch (sp_use_check(u, use, f->inception, f->hash, &ret->rcode)) {
    case SP_REPLAY_OLD:
        return s->kind == SP_AUTH_TSIG ? tsig_too_old(s) : SP_REFUSED_replay;
    case SP_REPLAY_FULL:
        return SP_REFUSED_replay_full;
    case SP_REPLAY_MEMORY:
        return SP_REFUSED_full;
    case SP_REPLAY_REPEATED:
        return SP_REFUSED_repeated;
    case SP_REPLAY_FRESH:
        break;
    }
    enum sp_refusal why = decide_verified(f, ret);
    struct sp_rec_replay note = {.inception = f->inception, .hash = f->hash, .rcode = refusal_rcode(why)};
    /* What goes to the log is remembered when it is there; a lack of room may be over when the same comes again. */
    if (ret->change.body == NULL && note.rcode != SP_RCODE_SERVFAIL)
        sp_use_note(use, &note);
    return why;
}

static enum sp_refusal decide(struct sp_flow *f, struct sp_update *ret) {
    enum sp_refusal why = zone_section(f);
    if (why == SP_REFUSED_none)
        why = sp_flow_verify(f);
    if (why != SP_REFUSED_none)
        return why;
    if (f->signer->kind == SP_AUTH_NONE)
        return f->zone == NULL ? SP_REFUSED_not_auth : SP_REFUSED_unsigned;
    why = lease_option(f, ret);
    return why == SP_REFUSED_none ? decide_once(f, ret) : why;
}

static void count(struct sp_updater *u, const struct sp_update *up) {
    struct sp_update_counts *n = &u->counts;
    n->by_rcode[up->rcode & 31]++;
    n->by_reason[up->why]++;
    if (up->why == SP_REFUSED_repeated)
        n->repeated++;
    else if (up->why != SP_REFUSED_none)
        n->refused++;
    else if (up->change.body != NULL)
        n->accepted++;
    else
        n->unchanged++;
}

void sp_updater_message(struct sp_updater *u, const struct sp_msg *msg, enum sp_transport via,
                        const struct sp_addr *src, sp_instant now, sp_wall wall, struct sp_update *ret) {
    memset(ret, 0, sizeof *ret);
    struct sp_flow f = {.u = u, .msg = msg, .via = via, .src = src, .now = now, .wall = wall, .signer = &ret->signer};
    u->counts.received++;
    sp_use_purge(u, now);
    ret->why = decide(&f, ret);
    if (ret->why != SP_REFUSED_repeated)
        ret->rcode = refusal_rcode(ret->why);
    ret->wait_log = ret->rcode == SP_RCODE_NOERROR;
    if (ret->rcode != SP_RCODE_NOERROR)
        ret->lease_len = 0;
    count(u, ret);
    if (ret->why == SP_REFUSED_none)
        sp_trace(u->config.trace, now, SP_TRACE_update_accepted, ret->change.serial, ret->change.rrsets);
    else
        sp_trace(u->config.trace, now, SP_TRACE_update_refused, ret->rcode, (uint64_t)ret->why);
}

void sp_update_fail(struct sp_updater *u, struct sp_update *up, enum sp_refusal why) {
    u->counts.by_rcode[up->rcode & 31]--;
    u->counts.by_reason[up->why]--;
    if (up->why == SP_REFUSED_repeated)
        u->counts.repeated--;
    else if (up->why != SP_REFUSED_none)
        u->counts.refused--;
    else if (up->change.body != NULL)
        u->counts.accepted--;
    else
        u->counts.unchanged--;
    up->why = why;
    up->rcode = refusal_rcode(why);
    up->lease_len = 0;
    up->wait_log = false;
    up->change.body = NULL;
    count(u, up);
}
