/* Who signed a message: SIG(0) by a key that the zone lists, or TSIG. RFC 2931, 8945. What costs nothing is asked
 * first: is there such a key, is the time plausible, has the key signed later ones; then the budgets; then the
 * signature. */
#include "signpostd/core/updater.h"

#define SIG0_VALID_MAX_S 86400 /* a longer memory of replays is not kept */
#define TSIG_VALID_S     65536 /* its fudge has 16 bits */
#define CANDIDATES       3     /* keys of one name with one tag */

struct candidates {
    unsigned n;
    uint8_t pub[CANDIDATES][SP_ED25519_PUB];
    const struct sp_tkey *tkey[CANDIDATES];
    uint32_t zone;
};

/* Serial time near now as seconds since 1970. */
static uint64_t widen(uint32_t serial, sp_wall now) {
    uint64_t s = sp_wall_sec(now);
    int64_t t = (int64_t)s + (int32_t)(serial - (uint32_t)s);
    return t > 0 ? (uint64_t)t : 0;
}

static void add_rrset_keys(struct candidates *c, const struct sp_rrset *set, uint16_t tag) {
    struct sp_rd rd = sp_rd_init(set->data, set->len);
    const uint8_t *rdata;
    for (size_t len; c->n < CANDIDATES && sp_rrs_next(&rd, &rdata, &len);)
        if (sp_key_tag(rdata, len) == tag && sp_key_parse(rdata, len, c->pub[c->n]) == SP_OK)
            c->n++;
}

static void find_keys(struct sp_flow *f, const struct sp_sig0 *sig, struct candidates *c) {
    struct sp_zone *z = sp_zones_closest(f->u->zones, &sig->signer);
    const struct sp_node *n = z == NULL ? NULL : sp_zone_node(z, &sig->signer);
    const struct sp_rrset *set = n == NULL ? NULL : sp_node_rrset(n, SP_TYPE_KEY);
    if (set != NULL)
        add_rrset_keys(c, set, sig->tag);
    c->zone = z == NULL ? 0 : sp_zone_id(z);
    const struct sp_tkey *k = sp_tkey_find(f->u, &sig->signer, SP_AUTH_SIG0);
    if (c->n == 0 && k != NULL && k->tag == sig->tag) {
        memcpy(c->pub[0], k->pub, SP_ED25519_PUB);
        c->tkey[0] = k;
        c->zone = k->zone;
        c->n = 1;
    }
}

/* A name without such a key may be joining: then the message brings the key, and an invite vouches for it. */
static enum sp_refusal find_join(struct sp_flow *f, const struct sp_sig0 *sig, struct candidates *c) {
    if (SP_OPCODE_OF(f->msg->flags) != SP_OPCODE_UPDATE || f->zone == NULL)
        return SP_REFUSED_sig0_badkey;
    enum sp_refusal why = sp_join_find(f, &sig->signer, sig->tag);
    if (why != SP_REFUSED_none)
        return why;
    memcpy(c->pub[0], f->join.pub, SP_ED25519_PUB);
    c->zone = sp_zone_id(f->zone);
    c->n = 1;
    return SP_REFUSED_none;
}

static enum sp_refusal sig0_times(struct sp_flow *f, const struct sp_sig0 *sig) {
    f->inception = widen(sig->inception, f->wall);
    f->expiration = f->inception + (sig->expiration - sig->inception);
    memcpy(&f->hash, sig->sig, sizeof f->hash);
    if ((int32_t)(sig->expiration - sig->inception) < 0)
        return SP_REFUSED_sig0_form;
    return sig->expiration - sig->inception > SIG0_VALID_MAX_S ? SP_REFUSED_sig0_long : SP_REFUSED_none;
}

static enum sp_refusal budget_draw(struct sp_flow *f, struct sp_use *use, unsigned cost) {
    struct sp_bucket *key = sp_use_proven(use, f->src, f->now) ? &use->bucket : NULL;
    enum sp_refusal why = sp_budget_draw(&f->u->budget, &f->u->config.budgets, f->via, f->src, key, cost, f->now);
    f->u->counts.verifications += why == SP_REFUSED_none;
    return why;
}

/* An agent believes nothing that is not signed, a refusal neither; so one that an owner must learn of (an invite that
 * was used, a device that was revoked) is signed too, at the price of a stranger's verification. Beyond that it goes
 * plain. */
static enum sp_refusal refuse_unverified(struct sp_flow *f, uint32_t zone, enum sp_refusal why) {
    if (zone != 0 && budget_draw(f, NULL, 1) == SP_REFUSED_none) {
        f->signer->reply = SP_REPLY_SIG0;
        f->signer->signpost_zone = zone;
    }
    return why;
}

/* The index of the key that verifies, or -1. */
static int sig0_which(struct sp_flow *f, const struct sp_sig0 *sig, const struct candidates *c) {
    for (unsigned i = 0; i < c->n; i++)
        if (sp_sig0_verify(f->msg, sig, c->pub[i], NULL, 0, f->u->scratch, SP_SCRATCH) == SP_OK)
            return (int)i;
    return -1;
}

/* Verified: whose key it is, and how to sign the reply. */
static void sig0_signer(struct sp_flow *f, const struct candidates *c, unsigned which) {
    struct sp_signer *s = f->signer;
    s->reply = SP_REPLY_SIG0;
    s->signpost_zone = c->zone;
    s->key_zone = c->zone;
    memcpy(s->pub, c->pub[which], SP_ED25519_PUB);
    f->tkey = c->tkey[which];
    s->axfr = f->tkey != NULL && f->tkey->policy.axfr;
}

static void prove(struct sp_flow *f, uint32_t zone) {
    struct sp_use *use = sp_use_get(f->u, zone, f->signer->kind, &f->signer->name, f->signer->pub);
    if (use != NULL)
        sp_use_prove(f->u, use, f->src, f->now);
}

static enum sp_refusal verify_sig0(struct sp_flow *f) {
    struct sp_sig0 sig;
    struct candidates c = {0};
    sp_err err = sp_sig0_peek(f->msg, &sig);
    if (err != SP_OK)
        return err == SP_ERR_UNSUP ? SP_REFUSED_sig0_alg : SP_REFUSED_sig0_form;
    f->signer->name = sig.signer;
    enum sp_refusal why = sig0_times(f, &sig);
    if (why != SP_REFUSED_none)
        return why;
    find_keys(f, &sig, &c);
    if (c.n == 0)
        why = find_join(f, &sig, &c);
    if (why != SP_REFUSED_none)
        return refuse_unverified(f, c.zone, why);
    struct sp_use *use = sp_use_find(f->u, c.zone, SP_AUTH_SIG0, &sig.signer, c.pub[0]);
    if (use != NULL && c.n == 1 && SP_OPCODE_OF(f->msg->flags) == SP_OPCODE_UPDATE && f->inception < use->floor &&
        f->hash != use->last_hash)
        return refuse_unverified(f, c.zone, SP_REFUSED_replay);
    why = budget_draw(f, use, f->join.present ? 3 : c.n);
    if (why != SP_REFUSED_none)
        return why;
    int which = sig0_which(f, &sig, &c);
    if (which < 0)
        return SP_REFUSED_sig0_badsig;
    sig0_signer(f, &c, (unsigned)which);
    /* A wrong clock is told only to who has the key: the reply is signed and teaches the time. */
    if (sp_sig0_time(&sig, f->wall) != SP_OK)
        return f->inception > sp_wall_sec(f->wall) ? SP_REFUSED_sig0_early : SP_REFUSED_sig0_expired;
    if (!f->join.present)
        prove(f, c.zone);
    return SP_REFUSED_none;
}

static enum sp_refusal tsig_refusal(struct sp_signer *s, sp_err err) {
    switch (err) {
    case SP_OK:
        return SP_REFUSED_none;
    case SP_ERR_FORM:
    case SP_ERR_SHORT:
        s->reply = SP_REPLY_PLAIN;
        return SP_REFUSED_tsig_form;
    case SP_ERR_TIME:
        return SP_REFUSED_tsig_time;
    case SP_ERR_BADKEY:
        s->reply = SP_REPLY_TSIG_UNSIGNED;
        s->tsig_state.error = SP_RCODE_BADKEY;
        return SP_REFUSED_tsig_badkey;
    default:
        return s->tsig_state.error == SP_RCODE_BADTRUNC ? SP_REFUSED_tsig_trunc : SP_REFUSED_tsig_badsig;
    }
}

static enum sp_refusal verify_tsig(struct sp_flow *f) {
    struct sp_signer *s = f->signer;
    enum sp_hash hash;
    if (sp_tsig_peek(f->msg, &s->name, &s->tsig_alg) != SP_OK)
        return SP_REFUSED_tsig_form;
    sp_name_lower(&s->name);
    const struct sp_tkey *k = sp_tkey_find(f->u, &s->name, SP_AUTH_TSIG);
    if (k == NULL || sp_tsig_alg(&s->tsig_alg, &hash) != SP_OK)
        return tsig_refusal(s, SP_ERR_BADKEY);
    enum sp_refusal why = budget_draw(f, sp_use_find(f->u, k->zone, SP_AUTH_TSIG, &s->name, s->pub), 1);
    if (why != SP_REFUSED_none)
        return why;
    s->tsig = k->tsig;
    s->reply = SP_REPLY_TSIG;
    why = tsig_refusal(s, sp_tsig_verify(f->msg, &k->tsig, f->wall, NULL, &s->tsig_state));
    if (why != SP_REFUSED_none)
        return why;
    f->tkey = k;
    s->key_zone = k->zone;
    s->axfr = k->policy.axfr;
    f->inception = s->tsig_state.client_time;
    f->expiration = f->inception + TSIG_VALID_S;
    memcpy(&f->hash, s->tsig_state.mac, sizeof f->hash);
    prove(f, k->zone);
    return SP_REFUSED_none;
}

enum sp_refusal sp_flow_verify(struct sp_flow *f) {
    struct sp_update_counts *n = &f->u->counts;
    f->signer->kind = f->msg->auth;
    switch (f->msg->auth) {
    case SP_AUTH_SIG0:
        f->signer->why = verify_sig0(f);
        *(f->signer->why == SP_REFUSED_none ? &n->sig0_ok : &n->sig0_failed) += 1;
        break;
    case SP_AUTH_TSIG:
        f->signer->why = verify_tsig(f);
        *(f->signer->why == SP_REFUSED_none ? &n->tsig_ok : &n->tsig_failed) += 1;
        break;
    case SP_AUTH_NONE:
        break;
    }
    return f->signer->why;
}

sp_err sp_updater_verify(struct sp_updater *u, const struct sp_msg *msg, enum sp_transport via,
                         const struct sp_addr *src, sp_instant now, sp_wall wall, struct sp_signer *ret) {
    memset(ret, 0, sizeof *ret);
    struct sp_flow f = {.u = u, .msg = msg, .via = via, .src = src, .now = now, .wall = wall, .signer = ret};
    enum sp_refusal why = sp_flow_verify(&f);
    if (why == SP_REFUSED_none)
        return SP_OK;
    u->counts.by_reason[why]++;
    return SP_ERR_DENIED;
}

bool sp_signer_may_transfer(const struct sp_signer *signer, const struct sp_zone *zone) {
    return signer->why == SP_REFUSED_none && signer->axfr && signer->key_zone == sp_zone_id(zone);
}
