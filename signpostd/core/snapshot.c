/* The whole state as records, a slice a call, while changes go on. A change during the walk may or may not be in it:
 * its own record stands behind the snapshot's beginning in the log, and records say what is. */
#include "signpostd/core/updater.h"

#define SLICE (48u << 10) /* a record is closed when it is this long */

enum stage { STAGE_ZONE, STAGE_NODES, STAGE_KEYS, STAGE_INVITES, STAGE_USES, STAGE_END };

void sp_updater_snapshot_begin(struct sp_snapshot *s) {
    memset(s, 0, sizeof *s);
    s->zone = 1;
}

static bool slice_end(struct sp_updater *u, struct sp_snapshot *s, uint32_t zone, enum sp_record_kind kind,
                      const struct sp_wr *wr, struct sp_change *ret) {
    SP_ASSERT(wr->err == SP_OK); /* an RRset that fits into a message fits into a slice's rest */
    *ret = (struct sp_change){.zone = zone, .kind = (uint16_t)kind, .body = u->snap, .len = sp_wr_len(wr)};
    s->record = *ret;
    return true;
}

/* The RRsets of the node from s->skip on; false: the slice is full before its end. */
static bool node_write(struct sp_updater *u, struct sp_snapshot *s, struct sp_wr *wr, const struct sp_zone *z,
                       const struct sp_node *n) {
    const struct sp_rrset *sets[128];
    size_t count = sp_node_rrsets(n, sets, 128);
    if (count > 128)
        count = 128;
    for (; s->skip < count; s->skip++) {
        const struct sp_rrset *set = sets[s->skip];
        if (sp_wr_len(wr) > SLICE)
            return false;
        if (sp_zone_makes(z, &s->node, set->type))
            continue;
        struct sp_lease_ask ask = {u, sp_lease_find(u, sp_zone_id(z), &s->node, set->type)};
        struct sp_rrs rrs = sp_rrset_view(set);
        sp_record_rrset_write(wr, &s->node, &rrs, sp_lease_asked, &ask);
    }
    return true;
}

static bool nodes_slice(struct sp_updater *u, struct sp_snapshot *s, struct sp_zone *z, struct sp_change *ret) {
    struct sp_wr wr = sp_wr_init(u->snap, SP_LOG_BODY_MAX);
    struct sp_rec_change head = {0};
    sp_record_change_write(&wr, &head);
    size_t empty = sp_wr_len(&wr);
    for (;;) {
        const struct sp_node *n;
        if (s->have_node) {
            n = sp_zone_node(z, &s->node); /* NULL: gone meanwhile, as a later record says */
        } else {
            n = sp_zone_each(z, &s->nodes);
            if (n == NULL)
                break;
            sp_node_name(n, &s->node);
            s->skip = 0;
        }
        s->have_node = n != NULL && !node_write(u, s, &wr, z, n);
        if (s->have_node)
            return slice_end(u, s, sp_zone_id(z), SP_REC_CHANGE, &wr, ret);
    }
    return sp_wr_len(&wr) > empty && slice_end(u, s, sp_zone_id(z), SP_REC_CHANGE, &wr, ret);
}

static bool zone_slice(struct sp_updater *u, struct sp_snapshot *s, const struct sp_zone *z, struct sp_change *ret) {
    const struct sp_zone_user *user = sp_zone_user_of(z);
    struct sp_wr wr = sp_wr_init(u->snap, SP_LOG_BODY_MAX);
    if (user == NULL)
        return false;
    sp_record_zone_write(&wr, &user->secrets);
    return slice_end(u, s, sp_zone_id(z), SP_REC_ZONE, &wr, ret);
}

static bool keys_slice(struct sp_updater *u, struct sp_snapshot *s, struct sp_change *ret) {
    struct sp_link *l = sp_table_each(&u->keys, &s->table);
    if (l == NULL)
        return false;
    const struct sp_tkey *k = SP_CONTAINER(l, struct sp_tkey, link);
    struct sp_wr wr = sp_wr_init(u->snap, SP_LOG_BODY_MAX);
    struct sp_rec_key rec = {.kind = k->kind, .tsig = k->tsig, .policy = k->text, .policy_len = k->text_len};
    memcpy(rec.pub, k->pub, sizeof rec.pub);
    sp_record_key_write(&wr, &rec);
    sp_wipe(&rec, sizeof rec);
    return slice_end(u, s, k->zone, SP_REC_KEY, &wr, ret);
}

static bool invites_slice(struct sp_updater *u, struct sp_snapshot *s, sp_wall wall, struct sp_change *ret) {
    for (struct sp_link *l; (l = sp_table_each(&u->invites, &s->table)) != NULL;) {
        const struct sp_invite *i = SP_CONTAINER(l, struct sp_invite, link);
        if (i->info.expiry <= sp_wall_sec(wall))
            continue;
        struct sp_wr wr = sp_wr_init(u->snap, SP_LOG_BODY_MAX);
        sp_record_invite_write(&wr, &i->info);
        return slice_end(u, s, i->zone, SP_REC_INVITE, &wr, ret);
    }
    return false;
}

static bool uses_slice(struct sp_updater *u, struct sp_snapshot *s, sp_wall wall, struct sp_change *ret) {
    for (struct sp_link *l; (l = sp_table_each(&u->uses, &s->table)) != NULL;) {
        const struct sp_use *use = SP_CONTAINER(l, struct sp_use, link);
        if (use->newest == 0 || use->expiration < sp_wall_sec(wall))
            continue;
        struct sp_rec_change c = {
            .flags = SP_CHANGE_REPLAY,
            .replay = {.kind = use->kind,
                       .inception = use->newest,
                       .expiration = use->expiration,
                       .hash = use->last_hash,
                       .rcode = use->last_rcode},
        };
        struct sp_rd rd = sp_rd_init(use->name, use->name_len);
        if (sp_name_read_plain(&rd, &c.replay.name) != SP_OK)
            continue;
        memcpy(c.replay.pub, use->pub, sizeof use->pub);
        struct sp_wr wr = sp_wr_init(u->snap, SP_LOG_BODY_MAX);
        sp_record_change_write(&wr, &c);
        return slice_end(u, s, use->zone, SP_REC_CHANGE, &wr, ret);
    }
    return false;
}

/* The next of all zones' records; zones are counted by number, since they may come and go meanwhile. */
static bool zones_next(struct sp_updater *u, struct sp_snapshot *s, struct sp_change *ret) {
    for (; s->zone <= SP_LOG_ZONES_MAX; s->zone++, s->stage = STAGE_ZONE) {
        struct sp_zone *z = sp_zones_by_id(u->zones, s->zone);
        if (z == NULL)
            continue;
        if (s->stage == STAGE_ZONE) {
            s->stage = STAGE_NODES;
            memset(&s->nodes, 0, sizeof s->nodes);
            s->have_node = false;
            if (zone_slice(u, s, z, ret))
                return true;
        }
        if (nodes_slice(u, s, z, ret))
            return true;
    }
    s->stage = STAGE_KEYS;
    return false;
}

static bool table_next(struct sp_updater *u, struct sp_snapshot *s, sp_wall wall, struct sp_change *ret) {
    switch (s->stage) {
    case STAGE_KEYS:
        return keys_slice(u, s, ret);
    case STAGE_INVITES:
        return invites_slice(u, s, wall, ret);
    default:
        return uses_slice(u, s, wall, ret);
    }
}

bool sp_updater_snapshot_next(struct sp_updater *u, struct sp_snapshot *s, sp_wall wall, struct sp_change *ret) {
    if (s->again) {
        s->again = false;
        *ret = s->record;
        return true;
    }
    if (s->stage < STAGE_KEYS && zones_next(u, s, ret))
        return true;
    for (; s->stage < STAGE_END; s->stage++, memset(&s->table, 0, sizeof s->table))
        if (table_next(u, s, wall, ret))
            return true;
    return false;
}
