/* A whole zone from zone text. RFC 1035 5.2's checks, and RFC 2181 5.2. */
#include "proto/dns/zonetext.h"
#include "signpostd/core/txn.h"

static sp_err load_fail(struct sp_zonetext_error *error, unsigned line, const char *what, sp_err err) {
    *error = (struct sp_zonetext_error){line, 1, what};
    return err;
}

/* The record beside what the text has given this name so far; when merging, beside all that is there. */
static const char *load_conflict(const struct sp_txn *t, const struct sp_node *n, uint16_t type, bool merge) {
    uint32_t index = 0;
    for (const struct sp_rrset *s; n != NULL && (s = sp_node_at(n, &index)) != NULL;) {
        bool before = sp_txn_find(t, n, s->type) == NULL; /* from before the load */
        if (before && (!merge || s->type == type))
            continue;
        bool same = s->type == type;
        if (same && type == SP_TYPE_SOA)
            return "a second SOA";
        if (same && (type == SP_TYPE_CNAME || type == SP_TYPE_DNAME))
            return "a second CNAME or DNAME at this name";
        if (!same && (type == SP_TYPE_CNAME || s->type == SP_TYPE_CNAME) && type != SP_TYPE_KEY &&
            s->type != SP_TYPE_KEY)
            return "CNAME beside other data at this name";
    }
    return NULL;
}

static const char *load_refusal(const struct sp_zone *z, const struct sp_zonetext_rr *rr) {
    if (rr->rclass != SP_CLASS_IN)
        return "class other than IN";
    if (!sp_name_under(&rr->owner, &z->name))
        return "name outside the zone";
    if (sp_type_is_meta(rr->type))
        return "a type that no zone holds";
    if (rr->type == SP_TYPE_SOA && !sp_name_equal(&rr->owner, &z->name))
        return "SOA below the apex";
    return NULL;
}

static sp_err load_rr(struct sp_txn *t, const struct sp_zonetext_rr *rr, bool merge, struct sp_zonetext_error *error) {
    struct sp_zone *z = t->zone;
    const char *what = load_refusal(z, rr);
    if (what != NULL)
        return load_fail(error, rr->line, what, SP_ERR_FORM);
    if (sp_zone_makes(z, &rr->owner, rr->type))
        return SP_OK;
    struct sp_name_key q;
    sp_name_key_init(&q, &rr->owner, z->zones->hash_key);
    const struct sp_node *n = sp_zone_find(z, &q, q.labels, true);
    what = load_conflict(t, n, rr->type, merge);
    if (what != NULL)
        return load_fail(error, rr->line, what, SP_ERR_FORM);
    bool ours = n != NULL && sp_txn_find(t, n, rr->type) != NULL;
    struct sp_rrset *set;
    sp_err err = sp_rrset_with(z->zones, &rr->owner, ours ? sp_node_find(n, rr->type) : NULL, rr->type, rr->ttl,
                               SP_TTL_SMALLEST, rr->rdata, rr->rdata_len, &set);
    if (err == SP_OK && set != NULL)
        err = sp_txn_set(t, &q, rr->type, set);
    if (err == SP_ERR_RANGE)
        return load_fail(error, rr->line, "too many records of one type at this name", err);
    return err == SP_OK ? SP_OK : load_fail(error, rr->line, "no memory left, or too many names", err);
}

static sp_err load_text(struct sp_txn *t, const char *text, size_t len, bool merge, uint8_t *buf,
                        struct sp_zonetext_error *error) {
    struct sp_zonetext zt;
    struct sp_zonetext_rr rr;
    sp_zonetext_begin(&zt, text, len, &t->zone->name);
    for (;;) {
        sp_err err = sp_zonetext_next(&zt, &rr, buf, SP_RDATA_MAX);
        if (err == SP_ERR_NOENT)
            return SP_OK;
        if (err != SP_OK) {
            *error = zt.error;
            return err;
        }
        SP_TRY(load_rr(t, &rr, merge, error));
    }
}

/* Checks the apex and, unless merging, drops what the text did not name. */
static sp_err load_end(struct sp_txn *t, bool merge, struct sp_zonetext_error *error) {
    struct sp_zone *z = t->zone;
    if (merge ? sp_node_find(z->apex, SP_TYPE_SOA) == NULL : sp_txn_find(t, z->apex, SP_TYPE_SOA) == NULL)
        return load_fail(error, 1, "no SOA at the zone's apex", SP_ERR_FORM);
    if (merge ? sp_node_find(z->apex, SP_TYPE_NS) == NULL : sp_txn_find(t, z->apex, SP_TYPE_NS) == NULL)
        return load_fail(error, 1, "no NS at the zone's apex", SP_ERR_FORM);
    if (merge)
        return SP_OK;
    struct sp_zone_cursor cursor = {0};
    for (struct sp_node *n; (n = sp_zone_each(z, &cursor)) != NULL;) {
        struct sp_name owner;
        struct sp_name_key q;
        uint32_t index = 0;
        for (const struct sp_rrset *s; (s = sp_node_at(n, &index)) != NULL;) {
            if (sp_txn_find(t, n, s->type) != NULL)
                continue;
            sp_node_name(n, &owner);
            if (sp_zone_makes(z, &owner, s->type))
                continue;
            sp_name_key_init(&q, &owner, z->zones->hash_key);
            if (sp_txn_set(t, &q, s->type, NULL) != SP_OK)
                return load_fail(error, 1, "no memory left", SP_ERR_FULL);
        }
    }
    return SP_OK;
}

static sp_err load(struct sp_txn **ret, struct sp_zone *z, const char *text, size_t len, bool merge,
                   struct sp_zonetext_error *error) {
    struct sp_mem *mem = z->zones->mem;
    struct sp_txn *t;
    *error = (struct sp_zonetext_error){1, 1, "no memory left"};
    uint8_t *buf = sp_mem_alloc(mem, SP_RDATA_MAX);
    if (buf == NULL)
        return SP_ERR_FULL;
    sp_err err = sp_txn_begin(&t, z);
    if (err == SP_OK) {
        t->limit = UINT32_MAX / 4;
        err = load_text(t, text, len, merge, buf, error);
        if (err == SP_OK)
            err = load_end(t, merge, error);
        if (err == SP_OK)
            *ret = t;
        else
            sp_txn_undo(t);
    }
    sp_mem_free(mem, buf, SP_RDATA_MAX);
    return err;
}

sp_err sp_zone_load(struct sp_txn **ret, struct sp_zone *z, const char *text, size_t len,
                    struct sp_zonetext_error *error) {
    return load(ret, z, text, len, false, error);
}

sp_err sp_zone_merge(struct sp_txn **ret, struct sp_zone *z, const char *text, size_t len,
                     struct sp_zonetext_error *error) {
    return load(ret, z, text, len, true, error);
}
