/* Keys that may write or transfer: TSIG keys and KEYs of dnssec-keygen. */
#include "signpostd/core/ctl.h"

struct key_args {
    struct sp_name owner;
    struct sp_rd algorithm, bytes, policy;
    bool tsig;
};

static bool is(const struct sp_rd *rd, const char *text) {
    return sp_rd_left(rd) == strlen(text) && memcmp(rd->pos, text, strlen(text)) == 0;
}

static bool key_read(struct sp_ctl *c, struct key_args *k) {
    struct sp_rd kind, owner;
    if (!sp_ctl_arg(c, "kind of key", &kind) || !sp_ctl_arg(c, "name of the key", &owner) ||
        !sp_ctl_arg(c, "algorithm", &k->algorithm) || !sp_ctl_arg(c, "secret or rdata", &k->bytes) ||
        !sp_ctl_arg(c, "policy", &k->policy))
        return false;
    k->tsig = is(&kind, "tsig");
    if (!k->tsig && !is(&kind, "key"))
        return SP_CTL_USAGE(c, "the kind of key is tsig or key");
    if (sp_name_from_text(&k->owner, (const char *)owner.pos, sp_rd_left(&owner), NULL) != SP_OK)
        return SP_CTL_USAGE(c, "the key's name is not a domain name");
    sp_name_lower(&k->owner);
    return true;
}

static bool key_fail(struct sp_ctl *c, sp_err err, const char *what) {
    switch (err) {
    case SP_ERR_FORM:
        return SP_CTL_FAIL(c, "policy: names=NAME,*.NAME,* types=A,AAAA axfr",
                           what != NULL ? what : "malformed key or policy");
    case SP_ERR_EXIST:
        return SP_CTL_FAIL(c, "`key list` and `device list` show them",
                           "another zone or name has this key, or a key of this name");
    case SP_ERR_UNSUP:
        return SP_CTL_FAIL(c, "dnssec-keygen -T KEY -n HOST -a ED25519",
                           "the KEY is not an Ed25519 key (algorithm 15)");
    default:
        return sp_ctl_fail_change(c, err);
    }
}

static sp_err tsig_add(struct sp_ctl *c, struct sp_zone *z, const struct key_args *k, struct sp_change *ret,
                       const char **what) {
    struct sp_tsig_key key = {.name = k->owner};
    struct sp_name alg;
    SP_TRY(sp_name_from_text(&alg, (const char *)k->algorithm.pos, sp_rd_left(&k->algorithm), NULL));
    if (sp_tsig_alg(&alg, &key.hash) != SP_OK) {
        *what = "the algorithm must be hmac-sha256, hmac-sha384 or hmac-sha512";
        return SP_ERR_FORM;
    }
    key.secret_len = (uint16_t)sp_rd_left(&k->bytes);
    if (sp_rd_left(&k->bytes) < 16 || sp_rd_left(&k->bytes) > sizeof key.secret) {
        *what = "the secret must have 16 to 128 bytes";
        return SP_ERR_FORM;
    }
    memcpy(key.secret, k->bytes.pos, key.secret_len);
    sp_err err =
        sp_updater_tsig_add(c->s->updater, z, &key, (const char *)k->policy.pos, sp_rd_left(&k->policy), ret, what);
    sp_wipe(&key, sizeof key);
    return err;
}

void sp_ctl_key_add(struct sp_ctl *c) {
    struct sp_zone *z;
    struct key_args k;
    struct sp_change change;
    const char *what = NULL;
    if (!sp_ctl_arg_zone(c, &z) || !key_read(c, &k))
        return;
    sp_err err = k.tsig ? tsig_add(c, z, &k, &change, &what)
                        : sp_updater_key_add(c->s->updater, z, &k.owner, k.bytes.pos, sp_rd_left(&k.bytes),
                                             (const char *)k.policy.pos, sp_rd_left(&k.policy), &change, &what);
    if (err != SP_OK) {
        (void)key_fail(c, err, what);
        return;
    }
    if (sp_ctl_change(c, &change))
        sp_ctl_name(&c->wr, "name", &k.owner);
}

void sp_ctl_key_remove(struct sp_ctl *c) {
    struct sp_zone *z;
    struct sp_rd text;
    struct sp_name owner;
    struct sp_change change;
    if (!sp_ctl_arg_zone(c, &z) || !sp_ctl_arg(c, "name of the key", &text))
        return;
    if (sp_name_from_text(&owner, (const char *)text.pos, sp_rd_left(&text), NULL) != SP_OK) {
        (void)SP_CTL_USAGE(c, "the key's name is not a domain name");
        return;
    }
    sp_name_lower(&owner);
    sp_err err = sp_updater_key_remove(c->s->updater, z, &owner, &change);
    if (err == SP_ERR_NOENT)
        (void)SP_CTL_FAIL(c, "`key list` shows them", "no key of that name");
    else if (err != SP_OK)
        (void)sp_ctl_fail_change(c, err);
    else if (sp_ctl_change(c, &change))
        sp_ctl_name(&c->wr, "name", &owner);
}

static void write_keys(struct sp_ctl *c, const struct sp_zone *z) {
    struct sp_table_cursor cursor = {0};
    struct sp_key_info k;
    static const char *const algs[] = {
        [SP_SHA1] = "hmac-sha1", [SP_SHA256] = "hmac-sha256", [SP_SHA384] = "hmac-sha384", [SP_SHA512] = "hmac-sha512"};
    sp_op_begin(&c->wr, SP_OP_LIST, "keys");
    while (sp_updater_key_each(c->s->updater, z, &cursor, &k)) {
        sp_op_begin(&c->wr, SP_OP_RECORD, "");
        sp_ctl_name(&c->wr, "name", &k.name);
        sp_op_text(&c->wr, "kind", k.tsig ? "tsig" : "key");
        sp_op_text(&c->wr, "algorithm", k.tsig ? algs[k.hash] : "ed25519");
        sp_op_str(&c->wr, "policy", k.policy, k.policy_len);
        sp_op_end(&c->wr);
    }
    sp_op_end(&c->wr);
}

static void write_invites(struct sp_ctl *c, const struct sp_zone *z) {
    struct sp_table_cursor cursor = {0};
    struct sp_invite_info i;
    sp_op_begin(&c->wr, SP_OP_LIST, "invites");
    while (sp_updater_invite_each(c->s->updater, z, &cursor, &i)) {
        sp_op_begin(&c->wr, SP_OP_RECORD, "");
        sp_ctl_name(&c->wr, "name", &i.name);
        sp_op_u64(&c->wr, "expiry", i.expiry);
        sp_op_bool(&c->wr, "expired", i.expiry <= sp_wall_sec(c->s->wall));
        sp_op_end(&c->wr);
    }
    sp_op_end(&c->wr);
}

void sp_ctl_key_list(struct sp_ctl *c) {
    struct sp_zone *z;
    if (!sp_ctl_arg_zone(c, &z))
        return;
    write_keys(c, z);
    write_invites(c, z);
}
