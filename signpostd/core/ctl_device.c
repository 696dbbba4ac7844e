/* Invites and devices. */
#include "signpostd/core/ctl.h"

#define INVITE_LIFE_MAX (UINT64_C(366) * 86400)

/* ---- invite ---- */

/* Where a joiner finds the signpost when the operator does not say: the name server's addresses in the zone, else the
 * host's. */
static void default_addrs(struct sp_server *s, const struct sp_zone *z, struct sp_token *t) {
    const struct sp_node *apex = sp_zone_node(z, sp_zone_apex(z));
    const struct sp_rrset *ns = apex != NULL ? sp_node_rrset(apex, SP_TYPE_NS) : NULL;
    struct sp_rd names = ns != NULL ? sp_rd_init(ns->data, ns->len) : sp_rd_init(NULL, 0);
    const uint8_t *rdata;
    size_t len;
    while (sp_rrs_next(&names, &rdata, &len)) {
        struct sp_rd rd = sp_rd_init(rdata, len);
        struct sp_name name;
        const struct sp_node *n = sp_name_read_plain(&rd, &name) == SP_OK ? sp_zone_node(z, &name) : NULL;
        for (unsigned i = 0; n != NULL && i < 2; i++) {
            const struct sp_rrset *set = sp_node_rrset(n, i == 0 ? SP_TYPE_A : SP_TYPE_AAAA);
            struct sp_rd addrs = set != NULL ? sp_rd_init(set->data, set->len) : sp_rd_init(NULL, 0);
            while (t->addr_count < SP_TOKEN_ADDRS && sp_rrs_next(&addrs, &rdata, &len)) {
                struct sp_addr *a = &t->addrs[t->addr_count++];
                *a = (struct sp_addr){.family = i == 0 ? 4 : 6, .port = 53};
                memcpy(a->ip, rdata, len < sizeof a->ip ? len : sizeof a->ip);
            }
        }
    }
    for (size_t i = 0; t->addr_count == 0 && i < s->link_count; i++) {
        const struct sp_addr *a = &s->link[i];
        bool local = a->family == 4 ? a->ip[0] == 127 || a->ip[0] == 0 : a->ip[0] == 0xfe || a->ip[0] == 0;
        if (a->family == 0 || local)
            continue;
        t->addrs[t->addr_count] = *a;
        t->addrs[t->addr_count].port = a->port != 0 ? a->port : 53;
        t->addr_count++;
    }
}

static bool invite_read(struct sp_ctl *c, const struct sp_zone *z, struct sp_token *t) {
    struct sp_rd text;
    uint64_t ttl;
    if (!sp_ctl_arg_name(c, z, &t->name) || !sp_ctl_arg(c, "seconds that the invite is good for", &text))
        return false;
    if (!sp_ctl_parse_number(&text, INVITE_LIFE_MAX, &ttl) || ttl == 0)
        return SP_CTL_USAGE(c, "an invite's life is 1 to 31622400 seconds");
    t->expiry = sp_wall_sec(c->s->wall) + ttl;
    sp_err err;
    while ((err = sp_op_arg_next(&c->args, &text)) == SP_OK) {
        if (t->addr_count == SP_TOKEN_ADDRS)
            return SP_CTL_USAGE(c, "more than 4 addresses of the signpost");
        if (!sp_ctl_parse_addr(&text, 53, &t->addrs[t->addr_count++]))
            return SP_CTL_USAGE(c, "not an IP address of the signpost");
    }
    if (err != SP_ERR_NOENT)
        return SP_CTL_USAGE(c, "malformed address argument");
    if (t->addr_count == 0)
        default_addrs(c->s, z, t);
    return t->addr_count > 0 || SP_CTL_FAIL(c, "name one: signpostctl invite ZONE NAME --address ADDRESS",
                                            "no address is known at which the device can reach the signpost");
}

static bool invite_fail(struct sp_ctl *c, sp_err err) {
    switch (err) {
    case SP_ERR_DENIED:
        return SP_CTL_FAIL(c, "choose another name", "the name is reserved");
    case SP_ERR_RANGE:
        return SP_CTL_FAIL(c, "choose a name like laptop", "the name must lie below the zone's");
    case SP_ERR_EXIST:
        return SP_CTL_FAIL(c, "`device revoke` frees the name", "the name has a device already");
    default:
        return sp_ctl_fail_change(c, err);
    }
}

static void invite(struct sp_ctl *c, struct sp_zone *z, struct sp_token *t) {
    const struct sp_zone_info *info = sp_zone_info(z);
    struct sp_ed25519 key;
    struct sp_change change;
    char text[SP_TOKEN_TEXT_MAX];
    t->zone = *sp_zone_apex(z);
    sp_name_lower(&t->name);
    memcpy(t->root_hash, info->root_hash, sizeof t->root_hash);
    memcpy(t->signpost_pub, info->signpost_key.pub, sizeof t->signpost_pub);
    sp_rng_fill(&c->s->rng, t->seed, sizeof t->seed);
    sp_ed25519_from_seed(&key, t->seed);
    sp_err err = sp_updater_invite_add(c->s->updater, z, &t->name, key.pub, t->expiry, c->s->wall, &change);
    sp_wipe(&key, sizeof key);
    if (err != SP_OK) {
        (void)invite_fail(c, err);
        return;
    }
    if (!sp_ctl_change(c, &change))
        return;
    size_t len = sp_token_write(t, text, sizeof text);
    sp_ctl_name(&c->wr, "name", &t->name);
    sp_op_u64(&c->wr, "expiry", t->expiry);
    sp_op_str(&c->wr, "token", text, len);
    sp_wipe(text, sizeof text);
}

void sp_ctl_invite(struct sp_ctl *c) {
    struct sp_zone *z;
    struct sp_token t = {0};
    if (sp_ctl_arg_zone(c, &z) && invite_read(c, z, &t))
        invite(c, z, &t);
    sp_wipe(&t, sizeof t);
}

/* ---- device revoke ---- */

void sp_ctl_device_revoke(struct sp_ctl *c) {
    struct sp_server *s = c->s;
    struct sp_zone *z;
    struct sp_name name;
    uint64_t rrsets = 0;
    if (!sp_ctl_arg_zone(c, &z) || !sp_ctl_arg_name(c, z, &name))
        return;
    if (sp_name_equal(&name, &sp_zone_info(z)->signpost)) {
        (void)SP_CTL_FAIL(c, "`zone remove` removes the whole zone", "that is the signpost itself");
        return;
    }
    for (bool more = true; more;) {
        struct sp_change change;
        more = false;
        sp_err err = sp_updater_revoke(s->updater, z, &name, &change, &more);
        if (err == SP_ERR_NOENT && rrsets == 0) {
            (void)SP_CTL_FAIL(c, "`device list` shows them", "no device of that name");
            return;
        }
        if (err != SP_OK) {
            (void)sp_ctl_fail_change(c, err);
            return;
        }
        if (!sp_ctl_change(c, &change))
            return;
        rrsets += change.rrsets;
    }
    sp_ctl_name(&c->wr, "name", &name);
    sp_op_u64(&c->wr, "rrsets", rrsets);
}
