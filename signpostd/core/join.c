/* Registration: a device's first update brings its KEY, its overlay AAAA and an SPJOIN proof that an invite vouches
 * for. DESIGN: "A name points to a key", "Trust". */
#include "signpostd/core/updater.h"

bool sp_join_reserved(const struct sp_name *name) {
    static const char *const reserved[] = {"wpad", "isatap", "localhost", "autodiscover"};
    struct sp_name lower = *name;
    sp_name_lower(&lower);
    if (lower.labels == 0)
        return true;
    for (unsigned i = 0; i < sizeof reserved / sizeof reserved[0]; i++)
        if (lower.wire[0] == strlen(reserved[i]) && memcmp(lower.wire + 1, reserved[i], lower.wire[0]) == 0)
            return true;
    return sp_name_is_wildcard(&lower);
}

/* Takes a record of the update section at the signer's name; false: it cannot be part of a join. */
static bool join_take(struct sp_join *j, const struct sp_rr *rr, uint16_t tag, unsigned *keys) {
    struct sp_rd rd = rr->rdata;
    size_t len = sp_rd_left(&rd);
    if (rr->rclass != SP_CLASS_IN)
        return true;
    if (rr->type == SP_TYPE_SPJOIN) {
        if (j->proof != NULL)
            return false;
        j->proof = sp_rd_bytes(&rd, len);
        j->proof_len = len;
    } else if (rr->type == SP_TYPE_KEY) {
        const uint8_t *rdata = sp_rd_bytes(&rd, len);
        return ++*keys == 1 && sp_key_parse(rdata, len, j->pub) == SP_OK && sp_key_tag(rdata, len) == tag;
    }
    return true;
}

static bool name_has_key(const struct sp_zone *z, const struct sp_name *name) {
    const struct sp_node *n = sp_zone_node(z, name);
    return n != NULL && sp_node_rrset(n, SP_TYPE_KEY) != NULL;
}

static enum sp_refusal invite_check(struct sp_flow *f, const struct sp_name *name) {
    struct sp_join *j = &f->join;
    uint8_t pub[SP_ED25519_PUB];
    uint64_t expiry;
    if (sp_join_peek(j->proof, j->proof_len, pub, &expiry) != SP_OK)
        return SP_REFUSED_join_form;
    j->invite = sp_invite_find(f->u, pub);
    if (j->invite == NULL || j->invite->zone != sp_zone_id(f->zone))
        return SP_REFUSED_join_invite;
    if (j->invite->info.expiry <= sp_wall_sec(f->wall))
        return SP_REFUSED_join_expired;
    if (!sp_name_equal(&j->invite->info.name, name))
        return SP_REFUSED_join_name;
    /* The proof covers the expiry; one for another is for another invite. */
    return expiry == j->invite->info.expiry ? SP_REFUSED_none : SP_REFUSED_join_proof;
}

enum sp_refusal sp_join_find(struct sp_flow *f, const struct sp_name *name, uint16_t tag) {
    struct sp_rd rd = sp_msg_section(f->msg, 2);
    struct sp_rr rr;
    unsigned keys = 0;
    bool whole = true;
    for (unsigned i = 0; i < f->msg->count[2] && sp_msg_rr(&rd, &rr) == SP_OK; i++)
        if (sp_name_equal(&rr.owner, name))
            whole = join_take(&f->join, &rr, tag, &keys) && whole;
    if (f->join.proof == NULL)
        return SP_REFUSED_sig0_badkey;
    if (!whole || keys != 1 || !sp_name_under(name, sp_zone_apex(f->zone)) ||
        name->labels == sp_zone_apex(f->zone)->labels)
        return SP_REFUSED_join_form;
    enum sp_refusal why = invite_check(f, name);
    if (why != SP_REFUSED_none)
        return why;
    if (sp_join_reserved(name))
        return SP_REFUSED_join_reserved;
    if (name_has_key(f->zone, name))
        return SP_REFUSED_join_taken;
    f->join.present = true;
    return SP_REFUSED_none;
}

/* One AAAA inside the overlay prefix at the name, and that the right one. */
static enum sp_refusal overlay_check(struct sp_flow *f) {
    const struct sp_zone_user *user = sp_zone_user_of(f->zone);
    uint8_t want[16];
    sp_overlay_addr(user->info.root_hash, f->join.pub, want);
    struct sp_rd rd = sp_msg_section(f->msg, 2);
    struct sp_rr rr;
    bool found = false;
    for (unsigned i = 0; i < f->msg->count[2] && sp_msg_rr(&rd, &rr) == SP_OK; i++) {
        size_t len = sp_rd_left(&rr.rdata);
        const uint8_t *rdata = sp_rd_bytes(&rr.rdata, len);
        if (rr.type != SP_TYPE_AAAA || rr.rclass != SP_CLASS_IN || !sp_ident_is_overlay(f->zone, rdata, len))
            continue;
        if (memcmp(rdata, want, sizeof want) != 0 || !sp_name_equal(&rr.owner, &f->signer->name))
            return SP_REFUSED_join_address;
        found = true;
    }
    if (!found)
        return SP_REFUSED_join_form;
    return sp_ident_has_addr(f->u, sp_zone_id(f->zone), want) ? SP_REFUSED_join_address : SP_REFUSED_none;
}

enum sp_refusal sp_join_check(struct sp_flow *f) {
    const struct sp_zone_user *user = sp_zone_user_of(f->zone);
    uint8_t image[32];
    if (sp_join_verify(f->join.proof, f->join.proof_len, user->info.root_hash, &f->signer->name, f->join.pub) != SP_OK)
        return SP_REFUSED_join_proof;
    if (sp_ed25519_to_x25519(f->join.pub, image) != SP_OK || sp_ident_has_key(f->u, sp_zone_id(f->zone), f->join.pub))
        return SP_REFUSED_join_key;
    return overlay_check(f);
}
