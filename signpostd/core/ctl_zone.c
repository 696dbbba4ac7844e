/* Zones: add, list, DS, remove. */
#include "signpostd/core/ctl.h"
#include "proto/dns/zonetext.h"

#define ADD_TTL          3600
#define ADD_NEGATIVE_TTL 60 /* names come and go */

/* ---- zone add ---- */

struct add {
    struct sp_name zone, ns;
    struct sp_addr addrs[8];
    unsigned count;
};

/* The name server and its addresses. */
static bool server_read(struct sp_ctl *c, struct add *a) {
    struct sp_rd text;
    if (!sp_ctl_arg(c, "name of the name server, or nothing", &text))
        return false;
    sp_err err = sp_rd_left(&text) == 0 ? sp_name_prepend(&a->ns, "ns", 2, &a->zone)
                                        : sp_name_from_text(&a->ns, (const char *)text.pos, sp_rd_left(&text), NULL);
    if (err != SP_OK)
        return SP_CTL_USAGE(c, "the name server's name is not a domain name");
    sp_name_lower(&a->ns);
    while ((err = sp_op_arg_next(&c->args, &text)) == SP_OK) {
        if (a->count == sizeof a->addrs / sizeof *a->addrs)
            return SP_CTL_USAGE(c, "more than 8 addresses");
        if (!sp_ctl_parse_addr(&text, 53, &a->addrs[a->count++]))
            return SP_CTL_USAGE(c, "not an IP address of the name server");
    }
    if (err != SP_ERR_NOENT)
        return SP_CTL_USAGE(c, "malformed address argument");
    if (a->count > 0 && !sp_name_under(&a->ns, &a->zone))
        return SP_CTL_USAGE(c, "the name server lies outside the zone: its addresses belong into its own zone");
    return true;
}

static bool add_read(struct sp_ctl *c, struct add *a) {
    struct sp_rd text;
    if (!sp_ctl_arg(c, "zone", &text))
        return false;
    if (sp_name_from_text(&a->zone, (const char *)text.pos, sp_rd_left(&text), NULL) != SP_OK)
        return SP_CTL_USAGE(c, "the zone is not a domain name");
    sp_name_lower(&a->zone);
    return server_read(c, a);
}

static sp_err put_one(struct sp_txn *t, const struct sp_name *owner, uint16_t type, const void *rdata, size_t len) {
    uint8_t data[2 + 600];
    sp_put_u16(data, (uint16_t)len);
    memcpy(data + 2, rdata, len);
    struct sp_rrs rrs = {type, SP_CLASS_IN, ADD_TTL, 1, data, len + 2};
    return sp_txn_put(t, owner, &rrs);
}

static sp_err put_addresses(struct sp_txn *t, const struct add *a, uint8_t family, uint32_t ttl) {
    bool changed;
    for (unsigned i = 0; i < a->count; i++)
        if (a->addrs[i].family == family)
            SP_TRY(sp_txn_add_rr(t, &a->ns, family == 4 ? SP_TYPE_A : SP_TYPE_AAAA, ttl, a->addrs[i].ip,
                                 family == 4 ? 4 : 16, &changed));
    return SP_OK;
}

static sp_err put_soa(struct sp_server *s, struct sp_txn *t, const struct add *a) {
    uint8_t buf[600];
    struct sp_wr wr = sp_wr_init(buf, sizeof buf);
    struct sp_name mail;
    sp_name_write(&wr, &a->ns);
    if (sp_name_prepend(&mail, "hostmaster", 10, &a->zone) != SP_OK)
        mail = a->zone;
    sp_name_write(&wr, &mail);
    /* A zone that is removed and added again must not go back: secondaries compare serials. */
    sp_wr_u32(&wr, (uint32_t)sp_wall_sec(s->wall));
    sp_wr_u32(&wr, 3600);
    sp_wr_u32(&wr, 600);
    sp_wr_u32(&wr, 14 * 86400);
    sp_wr_u32(&wr, ADD_NEGATIVE_TTL);
    SP_TRY(wr.err);
    return put_one(t, &a->zone, SP_TYPE_SOA, buf, sp_wr_len(&wr));
}

/* The signpost is a device of the zone: its KEY and overlay address. */
static sp_err put_signpost(struct sp_txn *t, const struct sp_zone *z) {
    const struct sp_zone_info *info = sp_zone_info(z);
    uint8_t key[SP_KEY_RDATA], addr[16];
    sp_key_rdata(info->signpost_key.pub, key);
    sp_overlay_addr(info->root_hash, info->signpost_key.pub, addr);
    SP_TRY(put_one(t, &info->signpost, SP_TYPE_KEY, key, sizeof key));
    return put_one(t, &info->signpost, SP_TYPE_AAAA, addr, sizeof addr);
}

static sp_err put_all(struct sp_server *s, struct sp_txn *t, const struct sp_zone *z, const struct add *a) {
    SP_TRY(put_soa(s, t, a));
    uint8_t ns[SP_NAME_MAX];
    struct sp_wr wr = sp_wr_init(ns, sizeof ns);
    sp_name_write(&wr, &a->ns);
    SP_TRY(put_one(t, &a->zone, SP_TYPE_NS, ns, sp_wr_len(&wr)));
    SP_TRY(put_addresses(t, a, 4, ADD_TTL));
    SP_TRY(put_addresses(t, a, 6, ADD_TTL));
    return put_signpost(t, z);
}

static sp_err add_records(struct sp_server *s, struct sp_zone *z, const struct add *a) {
    struct sp_txn *t;
    struct sp_change change;
    SP_TRY(sp_txn_begin(&t, z));
    sp_err err = put_all(s, t, z, a);
    if (err == SP_OK)
        err = sp_updater_txn(s->updater, z, t, false, &change);
    if (err != SP_OK) {
        sp_txn_undo(t);
        return err;
    }
    return sp_durable_change(s, &change);
}

static sp_err add_secrets(struct sp_server *s, const struct add *a, uint32_t id, struct sp_change *ret) {
    struct sp_zone_secrets sec = {.apex = a->zone};
    SP_TRY(sp_name_prepend(&sec.signpost, "signpost", 8, &a->zone));
    sp_rng_fill(&s->rng, sec.dnssec_seed, sizeof sec.dnssec_seed);
    sp_rng_fill(&s->rng, sec.root_seed, sizeof sec.root_seed);
    sp_rng_fill(&s->rng, sec.signpost_seed, sizeof sec.signpost_seed);
    sp_err err = sp_updater_zone_add(s->updater, id, &sec, ret);
    sp_wipe(&sec, sizeof sec);
    return err;
}

/* The lowest number that no zone has and none had lately: a number's hash chain goes on in the log. */
static uint32_t free_id(struct sp_server *s) {
    for (unsigned i = 0; i < SP_LOG_ZONES_MAX; i++) {
        s->zone_id = s->zone_id % SP_LOG_ZONES_MAX + 1;
        if (sp_zones_by_id(s->zones, s->zone_id) == NULL)
            return s->zone_id;
    }
    return 0;
}

void sp_ctl_signpost_key(struct sp_ctl *c, const struct sp_zone *z) {
    const struct sp_zone_info *info = sp_zone_info(z);
    if (info != NULL)
        sp_ctl_base64(&c->wr, "signpost_key", info->signpost_key.pub, sizeof info->signpost_key.pub);
}

static void reply_ds(struct sp_ctl *c, const struct sp_zone *z) {
    uint8_t rdata[SP_DS_RDATA], text[SP_NAME_TEXT_MAX + 256];
    struct sp_wr wr = sp_wr_init(text, sizeof text);
    sp_ds_rdata(sp_zone_key(z), rdata);
    sp_zonetext_write(&wr, sp_zone_apex(z), SP_TYPE_DS, SP_CLASS_IN, ADD_TTL, rdata, sizeof rdata);
    size_t len = sp_wr_len(&wr);
    sp_op_str(&c->wr, "ds", text, len > 0 && text[len - 1] == '\n' ? len - 1 : len);
    sp_ctl_signpost_key(c, z);
}

void sp_ctl_zone_add(struct sp_ctl *c) {
    struct sp_server *s = c->s;
    struct add a = {0};
    struct sp_change change;
    char text[SP_NAME_TEXT_MAX];
    if (!add_read(c, &a))
        return;
    sp_name_to_text(&a.zone, text);
    uint32_t id = free_id(s);
    if (sp_zones_get(s->zones, &a.zone) != NULL) {
        (void)SP_CTL_FAIL(c, "`zone import` fills it", "the zone ", text, " is here already");
        return;
    }
    sp_err err = id == 0 ? SP_ERR_FULL : add_secrets(s, &a, id, &change);
    if (err != SP_OK) {
        (void)sp_ctl_fail_change(c, err);
        return;
    }
    if (!sp_ctl_change(c, &change))
        return;
    struct sp_zone *z = sp_zones_get(s->zones, &a.zone);
    err = z == NULL ? SP_ERR_FULL : add_records(s, z, &a);
    if (err != SP_OK) {
        /* The zone without its records is of no use: take it back, in the log too. */
        if (z != NULL && sp_updater_zone_remove(s->updater, z, &change) == SP_OK &&
            sp_durable_change(s, &change) != SP_OK)
            s->commit_full++;
        (void)sp_ctl_fail_change(c, err);
        return;
    }
    sp_ctl_name(&c->wr, "zone", &a.zone);
    sp_ctl_name(&c->wr, "ns", &a.ns);
    sp_op_text(&c->wr, "trust", "hosted");
    reply_ds(c, z);
}

/* ---- zone server ---- */

/* The addresses of one family become these; the TTL stays. */
static sp_err replace_addresses(struct sp_txn *t, const struct sp_zone *z, const struct add *a, uint8_t family) {
    uint16_t type = family == 4 ? SP_TYPE_A : SP_TYPE_AAAA;
    const struct sp_node *n = sp_zone_node(z, &a->ns);
    const struct sp_rrset *old = n != NULL ? sp_node_rrset(n, type) : NULL;
    uint32_t ttl = old != NULL ? old->ttl : ADD_TTL;
    bool changed;
    if (old != NULL)
        SP_TRY(sp_txn_del_rrset(t, &a->ns, type, &changed));
    return put_addresses(t, a, family, ttl);
}

static bool is_server(const struct sp_zone *z, const struct sp_name *ns) {
    const struct sp_rrset *set = sp_node_rrset(sp_zone_node(z, sp_zone_apex(z)), SP_TYPE_NS);
    struct sp_rd rd = sp_rd_init(set != NULL ? set->data : NULL, set != NULL ? set->len : 0);
    const uint8_t *rdata;
    size_t len;
    while (sp_rrs_next(&rd, &rdata, &len))
        if (len == ns->len && sp_name_equal_bytes(rdata, ns->wire, len))
            return true;
    return false;
}

/* The change to those families of the addresses, perhaps none; false: the reply says why not. */
static bool server_prepare(struct sp_ctl *c, struct sp_zone *z, const struct add *a, const struct sp_rd *families,
                           struct sp_change *ret) {
    struct sp_txn *t;
    sp_err err = sp_txn_begin(&t, z);
    if (err != SP_OK)
        return sp_ctl_fail_change(c, err);
    for (const uint8_t *p = families->pos; p < families->end && err == SP_OK; p++)
        err = *p == '4' || *p == '6' ? replace_addresses(t, z, a, *p - '0') : SP_ERR_FORM;
    if (err == SP_OK)
        err = sp_updater_txn(c->s->updater, z, t, true, ret);
    if (err == SP_OK || err == SP_ERR_NOENT) /* nothing changes, and the transaction was given up */
        return true;
    sp_txn_undo(t);
    return err == SP_ERR_FORM ? SP_CTL_USAGE(c, "the families are 4, 6 or 46") : sp_ctl_fail_change(c, err);
}

void sp_ctl_zone_server(struct sp_ctl *c) {
    struct add a = {0};
    struct sp_change change = {0};
    struct sp_zone *z;
    struct sp_rd families;
    char text[SP_NAME_TEXT_MAX];
    if (!sp_ctl_arg(c, "families", &families) || !sp_ctl_arg_zone(c, &z))
        return;
    a.zone = *sp_zone_apex(z);
    if (!server_read(c, &a))
        return;
    sp_name_to_text(&a.ns, text);
    if (!is_server(z, &a.ns)) {
        (void)SP_CTL_FAIL(c, "add it to the NS records first", text, " is no name server of the zone");
        return;
    }
    if (!server_prepare(c, z, &a, &families, &change) || (change.rrsets > 0 && !sp_ctl_change(c, &change)))
        return;
    sp_ctl_name(&c->wr, "ns", &a.ns);
    sp_op_u64(&c->wr, "changed", change.rrsets);
    sp_op_u64(&c->wr, "serial", sp_zone_serial(z));
}

/* ---- the others ---- */

void sp_ctl_zone_list(struct sp_ctl *c) {
    sp_op_begin(&c->wr, SP_OP_LIST, "zones");
    for (struct sp_zone *z = NULL; (z = sp_zones_next(c->s->zones, z)) != NULL;) {
        sp_op_begin(&c->wr, SP_OP_RECORD, "");
        sp_ctl_name(&c->wr, "zone", sp_zone_apex(z));
        sp_op_u64(&c->wr, "serial", sp_zone_serial(z));
        sp_op_u64(&c->wr, "names", sp_zone_names(z));
        sp_op_bool(&c->wr, "signed", sp_zone_key(z) != NULL);
        sp_ctl_signpost_key(c, z);
        sp_op_end(&c->wr);
    }
    sp_op_end(&c->wr);
}

void sp_ctl_zone_ds(struct sp_ctl *c) {
    struct sp_zone *z;
    if (!sp_ctl_arg_zone(c, &z))
        return;
    if (sp_zone_key(z) == NULL) {
        (void)SP_CTL_FAIL(c, NULL, "the zone is not signed");
        return;
    }
    sp_ctl_name(&c->wr, "zone", sp_zone_apex(z));
    reply_ds(c, z);
}

void sp_ctl_zone_remove(struct sp_ctl *c) {
    struct sp_zone *z;
    struct sp_change change;
    if (!sp_ctl_arg_zone(c, &z))
        return;
    if (sp_remote_came_by(c->s, c->id, z)) {
        (void)SP_CTL_FAIL(c, "use the signpost's key in another zone, or do it at the signpost",
                          "this is the zone by whose key you reach the signpost");
        return;
    }
    struct sp_name name = *sp_zone_apex(z);
    sp_err err = sp_updater_zone_remove(c->s->updater, z, &change);
    if (err != SP_OK) {
        (void)sp_ctl_fail_change(c, err);
        return;
    }
    if (sp_ctl_change(c, &change))
        sp_ctl_name(&c->wr, "zone", &name);
}
