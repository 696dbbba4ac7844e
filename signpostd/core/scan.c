/* The update section before anything is changed: its form (RFC 2136 3.4.1), and whether the signer may (RFC 3007). */
#include "signpostd/core/updater.h"

sp_err sp_flow_rdata(struct sp_flow *f, const struct sp_rr *rr, size_t *ret_len) {
    struct sp_rd rd = rr->rdata;
    struct sp_wr wr = sp_wr_init(f->u->rdata, SP_RDATA_MAX);
    SP_TRY(sp_rdata_read(rr->type, &rd, &wr));
    *ret_len = sp_wr_len(&wr);
    return wr.err;
}

/* ---- form ---- */

static enum sp_refusal prescan(struct sp_flow *f, const struct sp_rr *rr) {
    size_t len;
    if (!sp_name_under(&rr->owner, sp_zone_apex(f->zone)))
        return SP_REFUSED_update_notzone;
    bool meta = sp_type_is_meta(rr->type);
    switch (rr->rclass) {
    case SP_CLASS_IN:
        if (rr->type == SP_TYPE_SPJOIN)
            return SP_REFUSED_none;
        return meta || sp_flow_rdata(f, rr, &len) != SP_OK ? SP_REFUSED_update_form : SP_REFUSED_none;
    case SP_CLASS_ANY:
        if (rr->ttl != 0 || sp_rd_left(&rr->rdata) != 0 || (meta && rr->type != SP_TYPE_ANY))
            return SP_REFUSED_update_form;
        return SP_REFUSED_none;
    case SP_CLASS_NONE:
        if (rr->ttl != 0 || meta || sp_flow_rdata(f, rr, &len) != SP_OK)
            return SP_REFUSED_update_form;
        return SP_REFUSED_none;
    default:
        return SP_REFUSED_update_form;
    }
}

enum sp_refusal sp_flow_prescan(struct sp_flow *f) {
    struct sp_rd rd = sp_msg_section(f->msg, 2);
    struct sp_rr rr;
    for (unsigned i = 0; i < f->msg->count[2]; i++) {
        if (sp_msg_rr(&rd, &rr) != SP_OK)
            return SP_REFUSED_update_form;
        enum sp_refusal why = prescan(f, &rr);
        if (why != SP_REFUSED_none)
            return why;
    }
    return SP_REFUSED_none;
}

/* ---- permission ---- */

static bool listed(const struct sp_flow *f, const struct sp_rr *rr, const uint8_t *rdata, size_t len) {
    const struct sp_node *n = sp_zone_node(f->zone, &rr->owner);
    const struct sp_rrset *set = n == NULL ? NULL : sp_node_rrset(n, rr->type);
    struct sp_rd rd = set == NULL ? sp_rd_init(NULL, 0) : sp_rd_init(set->data, set->len);
    const uint8_t *have;
    for (size_t have_len; sp_rrs_next(&rd, &have, &have_len);)
        if (have_len == len && memcmp(have, rdata, len) == 0)
            return true;
    return false;
}

/* A device may say its identity again, and bring it at its join; nothing else (it goes by leaving or revocation). */
static enum sp_refusal device_identity(struct sp_flow *f, const struct sp_rr *rr, const uint8_t *rdata, size_t len) {
    bool good;
    if (rr->rclass != SP_CLASS_IN)
        return SP_REFUSED_identity;
    if (listed(f, rr, rdata, len))
        return SP_REFUSED_none;
    if (rr->type == SP_TYPE_KEY) {
        uint8_t pub[SP_ED25519_PUB]; /* the flags differ between tools */
        good = f->join.present && sp_key_parse(rdata, len, pub) == SP_OK && memcmp(pub, f->join.pub, sizeof pub) == 0;
    } else {
        uint8_t want[16];
        sp_overlay_addr(sp_zone_user_of(f->zone)->info.root_hash, f->signer->pub, want);
        good = len == sizeof want && memcmp(rdata, want, sizeof want) == 0;
    }
    return good && sp_name_equal(&rr->owner, &f->signer->name) ? SP_REFUSED_none : SP_REFUSED_identity;
}

static enum sp_refusal device_may(struct sp_flow *f, const struct sp_rr *rr, bool apex, bool overlay,
                                  const uint8_t *rdata, size_t len) {
    if (!sp_name_under(&rr->owner, &f->signer->name))
        return SP_REFUSED_policy_name;
    if (apex && (rr->type == SP_TYPE_SOA || rr->type == SP_TYPE_NS))
        return SP_REFUSED_apex;
    return rr->type == SP_TYPE_KEY || overlay ? device_identity(f, rr, rdata, len) : SP_REFUSED_none;
}

/* Deleting all RRsets of a name needs leave for each that is there. */
static bool policy_any(struct sp_flow *f, const struct sp_rr *rr, bool apex) {
    const struct sp_rrset *sets[64];
    const struct sp_node *n = sp_zone_node(f->zone, &rr->owner);
    size_t count = n == NULL ? 0 : sp_node_rrsets(n, sets, 64);
    if (count > 64)
        return false;
    for (size_t i = 0; i < count; i++) {
        uint16_t type = sets[i]->type;
        if (sp_zone_makes(f->zone, &rr->owner, type) || (apex && (type == SP_TYPE_SOA || type == SP_TYPE_NS)))
            continue; /* stays in any case, RFC 2136 3.4.2.3 */
        if (!sp_policy_type(&f->tkey->policy, type, apex))
            return false;
    }
    return true;
}

static enum sp_refusal policy_may(struct sp_flow *f, const struct sp_rr *rr, bool apex, bool overlay) {
    const struct sp_policy *p = &f->tkey->policy;
    if (!sp_policy_name(p, &rr->owner))
        return SP_REFUSED_policy_name;
    if (rr->type == SP_TYPE_ANY)
        return policy_any(f, rr, apex) ? SP_REFUSED_none : SP_REFUSED_policy_type;
    if (!sp_policy_type(p, rr->type, apex)) {
        if (rr->type == SP_TYPE_KEY)
            return SP_REFUSED_identity;
        return apex && (rr->type == SP_TYPE_SOA || rr->type == SP_TYPE_NS) ? SP_REFUSED_apex : SP_REFUSED_policy_type;
    }
    return overlay && !sp_policy_lists(p, SP_TYPE_KEY) ? SP_REFUSED_identity : SP_REFUSED_none;
}

static enum sp_refusal permit(struct sp_flow *f, const struct sp_rr *rr) {
    bool apex = sp_name_equal(&rr->owner, sp_zone_apex(f->zone));
    size_t len = 0;
    if (sp_type_is_managed(rr->type))
        return SP_REFUSED_managed;
    if (rr->type == SP_TYPE_SPJOIN) /* of a join, or of its repetition by a device that has joined */
        return f->signer->kind == SP_AUTH_SIG0 && f->tkey == NULL && sp_name_equal(&rr->owner, &f->signer->name)
                   ? SP_REFUSED_none
                   : SP_REFUSED_join_form;
    if (rr->rclass != SP_CLASS_ANY && sp_flow_rdata(f, rr, &len) != SP_OK)
        return SP_REFUSED_update_form;
    bool overlay =
        rr->type == SP_TYPE_AAAA && rr->rclass != SP_CLASS_ANY && sp_ident_is_overlay(f->zone, f->u->rdata, len);
    if (f->tkey != NULL)
        return policy_may(f, rr, apex, overlay);
    return device_may(f, rr, apex, overlay, f->u->rdata, len);
}

enum sp_refusal sp_flow_permit(struct sp_flow *f) {
    struct sp_rd rd = sp_msg_section(f->msg, 2);
    struct sp_rr rr;
    bool adds = false;
    if (f->signer->key_zone != sp_zone_id(f->zone))
        return SP_REFUSED_policy_zone;
    for (unsigned i = 0; i < f->msg->count[2] && sp_msg_rr(&rd, &rr) == SP_OK; i++) {
        enum sp_refusal why = permit(f, &rr);
        if (why != SP_REFUSED_none)
            return why;
        bool own = f->tkey == NULL && sp_name_equal(&rr.owner, &f->signer->name);
        f->leave |= own && rr.rclass == SP_CLASS_ANY && rr.type == SP_TYPE_ANY;
        adds |= own && rr.rclass == SP_CLASS_IN;
    }
    /* Deleting everything at its name is a device's farewell, unless the same update puts something there: then it is a
     * script's way to replace what it published, and identity stays. */
    f->leave = f->leave && !adds;
    return SP_REFUSED_none;
}
