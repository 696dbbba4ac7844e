/* Long answers in pages: zone text, lists of devices. A pager holds the zone as it was at the first page. */
#include "signpostd/core/ctl.h"
#include "signpostd/core/overlay.h"
#include "proto/dns/zonetext.h"

#define PAGER_LIFE (60 * SP_SEC)

static void pager_free(struct sp_server *s, struct sp_pager *p) {
    if (p->token != 0)
        sp_pin_free(s, p->pin);
    *p = (struct sp_pager){0};
}

void sp_pagers_expire(struct sp_server *s, bool all) {
    for (unsigned i = 0; i < SP_PAGERS; i++)
        if (all || (s->pagers[i].token != 0 && s->pagers[i].expiry <= s->now))
            pager_free(s, &s->pagers[i]);
}

sp_instant sp_pagers_deadline(const struct sp_server *s) {
    sp_instant at = SP_NEVER;
    for (unsigned i = 0; i < SP_PAGERS; i++)
        if (s->pagers[i].token != 0)
            at = sp_instant_min(at, s->pagers[i].expiry);
    return at;
}

static struct sp_pager *pager_begin(struct sp_ctl *c, struct sp_zone *z, enum sp_op_verb verb) {
    struct sp_server *s = c->s;
    struct sp_pager *p = &s->pagers[0];
    for (unsigned i = 1; i < SP_PAGERS && p->token != 0; i++)
        if (s->pagers[i].token == 0 || s->pagers[i].expiry < p->expiry)
            p = &s->pagers[i];
    pager_free(s, p);
    sp_err err = sp_pin_new(s, z, true, &p->pin);
    if (err != SP_OK) {
        if (err == SP_ERR_NOENT)
            (void)SP_CTL_FAIL(c, "`zone import` a text with an SOA", "the zone has no SOA");
        else
            (void)sp_ctl_fail_change(c, err);
        return NULL;
    }
    p->token = ++s->pager_token;
    p->verb = verb;
    return p;
}

/* The pager that the arguments (zone, continuation) ask for, a new one for an empty continuation. */
static struct sp_pager *pager_get(struct sp_ctl *c, struct sp_zone *z, enum sp_op_verb verb) {
    struct sp_server *s = c->s;
    struct sp_rd text;
    uint64_t token;
    if (sp_op_arg_next(&c->args, &text) != SP_OK || sp_rd_left(&text) == 0)
        return pager_begin(c, z, verb);
    if (sp_ctl_parse_number(&text, UINT64_MAX, &token) && token != 0)
        for (unsigned i = 0; i < SP_PAGERS; i++) {
            struct sp_pager *p = &s->pagers[i];
            if (p->token == token && p->verb == verb && p->pin->zone == sp_zone_id(z) && !p->pin->lost)
                return p;
        }
    (void)SP_CTL_FAIL(c, "start again from the first page", "the continuation is no longer known");
    return NULL;
}

/* After a page: "more" for the next one. */
static void pager_end(struct sp_ctl *c, struct sp_pager *p) {
    char text[24] = {0};
    bool more = p->pos < p->pin->count;
    sp_op_str(&c->wr, "more", text, more ? sp_ctl_decimal(text, p->token) : 0);
    if (more)
        p->expiry = sp_instant_add(c->s->now, PAGER_LIFE);
    else
        pager_free(c->s, p);
}

/* ---- zone export ---- */

static void write_rrset(struct sp_wr *wr, const struct sp_pin_entry *e) {
    struct sp_name owner;
    sp_node_name(e->node, &owner);
    struct sp_rd rd = sp_rd_init(e->set->data, e->set->len);
    const uint8_t *rdata;
    size_t len;
    while (sp_rrs_next(&rd, &rdata, &len))
        sp_zonetext_write(wr, &owner, e->set->type, SP_CLASS_IN, e->set->ttl, rdata, len);
}

void sp_ctl_zone_export(struct sp_ctl *c) {
    struct sp_zone *z;
    if (!sp_ctl_arg_zone(c, &z))
        return;
    struct sp_pager *p = pager_get(c, z, SP_OP_ZONE_EXPORT);
    uint8_t *text = p != NULL ? sp_mem_alloc(&c->s->mem, sp_ctl_page(c->s)) : NULL;
    if (text == NULL) {
        if (p != NULL)
            (void)sp_ctl_fail_change(c, SP_ERR_FULL);
        return;
    }
    struct sp_wr wr = sp_wr_init(text, sp_ctl_page(c->s));
    bool stuck = false;
    while (p->pos < p->pin->count && !stuck) {
        struct sp_wr before = wr;
        write_rrset(&wr, &p->pin->entries[p->pos]);
        if (wr.err != SP_OK) {
            wr = before;
            stuck = sp_wr_len(&wr) == 0;
            break;
        }
        p->pos++;
    }
    if (stuck) {
        pager_free(c->s, p);
        (void)SP_CTL_FAIL(c, "transfer the zone (AXFR) instead", "an RRset is too long for a page of text");
    } else {
        sp_op_str(&c->wr, "text", text, sp_wr_len(&wr));
        pager_end(c, p);
    }
    sp_mem_free(&c->s->mem, text, sp_ctl_page(c->s));
}

/* ---- device list ---- */

static void write_device(struct sp_ctl *c, const struct sp_zone *z, const struct sp_pin_entry *e) {
    const struct sp_zone_info *info = sp_zone_info(z);
    struct sp_name owner;
    uint8_t pub[SP_ED25519_PUB], addr[16];
    sp_node_name(e->node, &owner);
    size_t len = sp_get_u16(e->set->data);
    if (sp_key_parse(e->set->data + 2, len, pub) != SP_OK)
        return;
    sp_op_begin(&c->wr, SP_OP_RECORD, "");
    sp_ctl_name(&c->wr, "name", &owner);
    sp_op_text(&c->wr, "role", sp_name_equal(&owner, &info->signpost) ? "signpost" : "device");
    sp_ctl_base64(&c->wr, "key", pub, sizeof pub);
    sp_overlay_addr(info->root_hash, pub, addr);
    uint8_t text[64];
    struct sp_wr wr = sp_wr_init(text, sizeof text);
    sp_rdata_to_text(SP_TYPE_AAAA, addr, sizeof addr, &wr);
    sp_op_str(&c->wr, "address", text, sp_wr_len(&wr));
    sp_op_bool(&c->wr, "online", sp_overlay_online(c->s, z, pub));
    uint32_t granted;
    sp_instant due;
    for (unsigned i = 0; i < 2; i++) {
        uint16_t type = i == 0 ? SP_TYPE_A : SP_TYPE_AAAA;
        if (!sp_updater_lease(c->s->updater, z, &owner, type, c->s->now, &granted, &due))
            continue;
        sp_op_u64(&c->wr, "lease", granted);
        sp_op_u64(&c->wr, "left", due > c->s->now ? (due - c->s->now) / SP_SEC : 0);
        break;
    }
    sp_op_end(&c->wr);
}

void sp_ctl_device_list(struct sp_ctl *c) {
    struct sp_zone *z;
    if (!sp_ctl_arg_zone(c, &z))
        return;
    struct sp_pager *p = pager_get(c, z, SP_OP_DEVICE_LIST);
    if (p == NULL)
        return;
    sp_op_begin(&c->wr, SP_OP_LIST, "devices");
    for (; p->pos < p->pin->count && sp_wr_len(&c->wr) < sp_ctl_page(c->s); p->pos++)
        if (p->pin->entries[p->pos].set->type == SP_TYPE_KEY)
            write_device(c, z, &p->pin->entries[p->pos]);
    sp_op_end(&c->wr);
    pager_end(c, p);
}
