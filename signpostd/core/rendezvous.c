/* Bringing a pair together: a channel at the relay, a plan for each side, the asker's first message handed over. */
#include "signpostd/core/overlay.h"

#define PUSHES_PER_S 4u /* to one session about one peer */

/* ---- pairs ---- */

static uint64_t pair_hash(const struct sp_server *s, const struct sp_ctlsession *a, const struct sp_ctlsession *b) {
    uint64_t numbers[2] = {a->number < b->number ? a->number : b->number,
                           a->number < b->number ? b->number : a->number};
    return sp_siphash(s->hash_key, numbers, sizeof numbers);
}

static struct sp_pair *pair_find(const struct sp_server *s, const struct sp_ctlsession *a,
                                 const struct sp_ctlsession *b) {
    struct sp_link *l = sp_table_find(&s->overlay->pairs, pair_hash(s, a, b));
    for (; l != NULL; l = sp_table_find_next(l)) {
        struct sp_pair *p = SP_CONTAINER(l, struct sp_pair, link);
        if ((p->end[0].session == a && p->end[1].session == b) || (p->end[0].session == b && p->end[1].session == a))
            return p;
    }
    return NULL;
}

static void pair_free(struct sp_server *s, struct sp_pair *p) {
    struct sp_overlay *o = s->overlay;
    for (unsigned i = 0; i < 2; i++) {
        struct sp_pair_end *e = &p->end[i];
        if (e->channel != 0 && e->session->relayed)
            sp_relay_close(o->relay, e->session->number, e->channel);
        sp_ring_remove(&e->ring);
        e->session->pair_count--;
    }
    sp_table_remove(&o->pairs, &p->link);
    sp_mem_free(&s->mem, p, sizeof *p);
}

void sp_pairs_end(struct sp_server *s, struct sp_ctlsession *ses) {
    while (!sp_ring_alone(&ses->pairs))
        pair_free(s, SP_CONTAINER(ses->pairs.next, struct sp_pair_end, ring)->pair);
}

/* A session with too many peers lets go of the one that it asked for longest ago. */
static void pair_bound(struct sp_server *s, struct sp_ctlsession *ses) {
    if (ses->pair_count >= s->cfg.limits.channels_per_session)
        pair_free(s, SP_CONTAINER(ses->pairs.next, struct sp_pair_end, ring)->pair);
}

static struct sp_pair *pair_get(struct sp_server *s, struct sp_ctlsession *a, struct sp_ctlsession *b) {
    struct sp_overlay *o = s->overlay;
    struct sp_ctlsession *both[2] = {a, b};
    struct sp_pair *p = pair_find(s, a, b);
    if (p == NULL) {
        pair_bound(s, a);
        pair_bound(s, b);
        p = sp_mem_alloc(&s->mem, sizeof *p);
        if (p == NULL || sp_table_add(&o->pairs, &p->link, pair_hash(s, a, b)) != SP_OK) {
            sp_mem_free(&s->mem, p, sizeof *p);
            return NULL;
        }
        for (unsigned i = 0; i < 2; i++) {
            p->end[i] = (struct sp_pair_end){.pair = p, .session = both[i]};
            sp_ring_init(&p->end[i].ring);
            both[i]->pair_count++;
        }
    }
    for (unsigned i = 0; i < 2; i++) {
        sp_ring_remove(&p->end[i].ring);
        sp_ring_append(&p->end[i].session->pairs, &p->end[i].ring);
    }
    return p;
}

static struct sp_pair_end *end_of(struct sp_pair *p, const struct sp_ctlsession *ses) {
    return &p->end[p->end[0].session == ses ? 0 : 1];
}

/* ---- sides ---- */

static bool same_addr(const struct sp_addr *a, const struct sp_addr *b) {
    return a->family == b->family && a->port == b->port && memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

/* The address that the session is seen at is a candidate too, told or not. */
static void add_seen(struct sp_profile *p, const struct sp_addr *seen) {
    if (!sp_candidate_dialable(seen) || p->count >= SP_CANDIDATES_MAX)
        return;
    for (unsigned i = 0; i < p->count; i++)
        if (same_addr(&p->candidates[i].addr, seen))
            return;
    p->candidates[p->count++] = (struct sp_candidate){.addr = *seen, .kind = SP_CAND_MAPPED};
}

static void side_of(const struct sp_ctlsession *ses, uint32_t channel, struct sp_side *ret) {
    *ret =
        (struct sp_side){.pub = ses->pub, .stream = ses->where.stream != 0, .channel = channel, .rtt_ms = ses->rtt_ms};
    if (ses->profile != NULL)
        ret->profile = *ses->profile;
    else if (!ret->stream)
        ret->profile.flags = SP_PROFILE_UDP;
    if (!ret->stream)
        add_seen(&ret->profile, &ses->where.addr);
}

/* ---- the relay ---- */

static bool relayed(struct sp_server *s, struct sp_ctlsession *ses) {
    if (!ses->relayed)
        ses->relayed = sp_relay_session(s->overlay->relay, ses->number, &ses->where, s->now) == SP_OK;
    return ses->relayed;
}

static bool wants_relay(const struct sp_ctlsession *ses) {
    return ses->profile == NULL || (ses->profile->flags & SP_PROFILE_NO_RELAY) == 0;
}

static void open_channel(struct sp_server *s, struct sp_ctlsession *a, struct sp_ctlsession *b, struct sp_pair *p) {
    struct sp_relay *relay = s->overlay->relay;
    struct sp_pair_end *ea = end_of(p, a), *eb = end_of(p, b);
    bool wanted = wants_relay(a) && wants_relay(b);
    if (!wanted && ea->channel != 0 && a->relayed)
        sp_relay_close(relay, a->number, ea->channel); /* an owner has changed their mind */
    if (!wanted || !relayed(s, a) || !relayed(s, b) ||
        sp_relay_open(relay, a->number, b->number, s->now, &ea->channel, &eb->channel) != SP_OK)
        ea->channel = eb->channel = 0;
}

/* ---- plans ---- */

/* Pushes to b the plan for reaching a, with a's message and key. */
static bool push_plan(struct sp_server *s, struct sp_ctlsession *b, const struct sp_ctlsession *a, bool asked,
                      const struct sp_side *of_b, const struct sp_side *of_a, const struct sp_session_msg *m) {
    struct sp_pusher push;
    struct sp_plan plan;
    struct sp_name name;
    sp_plan_make(&plan, of_b, of_a, asked);
    sp_ctlsession_name(a, &name);
    if (!sp_push_begin(s, b, &push))
        return false;
    bool ok = sp_session_put_plan(&push.w, &name, &plan, m != NULL ? m->first : NULL, m != NULL ? m->first_len : 0);
    (void)sp_session_put_key(&push.w, &name, a->pub, false); /* a help: it may be known, and can be asked for */
    sp_push_end(s, b, &push, plan.channel);
    return ok;
}

/* Who is asked for: b, or why not. */
static uint16_t look_up(struct sp_server *s, struct sp_ctlsession *a, const struct sp_session_msg *m,
                        struct sp_ctlsession **ret, const char **ret_why) {
    const struct sp_zone *z = a->realm->zone;
    const struct sp_node *n = sp_name_under(&m->name, sp_zone_apex(z)) ? sp_zone_node(z, &m->name) : NULL;
    const struct sp_rrset *keys = n != NULL ? sp_node_rrset(n, SP_TYPE_KEY) : NULL;
    struct sp_rd rd = sp_rd_init(keys != NULL ? keys->data : NULL, keys != NULL ? keys->len : 0);
    const uint8_t *rdata;
    uint8_t pub[SP_ED25519_PUB];
    bool listed = false;
    for (size_t len; sp_rrs_next(&rd, &rdata, &len);) {
        if (sp_key_parse(rdata, len, pub) != SP_OK)
            continue;
        listed = true;
        struct sp_ctlsession *b = sp_ctlsession_find(s, a->realm, pub);
        if (b == a) {
            *ret_why = "that is the asker itself";
            return SP_RCODE_REFUSED;
        }
        if (b != NULL && b->up && !b->stale) {
            *ret = b;
            return SP_RCODE_NOERROR;
        }
    }
    if (listed)
        sp_wanted_note(s, a, pub);
    *ret_why = listed ? "the device has no session now" : "no such device";
    return listed ? SP_RCODE_SERVFAIL : SP_RCODE_NXDOMAIN;
}

uint16_t sp_rendezvous(struct sp_server *s, struct sp_ctlsession *a, const struct sp_session_msg *m,
                       struct sp_plan *ret, const char **ret_why) {
    struct sp_overlay *o = s->overlay;
    uint32_t per_s = s->cfg.budgets.connects_per_s;
    struct sp_ctlsession *b = NULL;
    if (!sp_rate_has(&a->connects, per_s, 1, s->now)) {
        o->counts.dropped_connect_budget++;
        *ret_why = "too many connects; try again later";
        return SP_RCODE_REFUSED;
    }
    sp_rate_take(&a->connects, per_s, 1, s->now);
    uint16_t rcode = look_up(s, a, m, &b, ret_why);
    if (rcode != SP_RCODE_NOERROR)
        return rcode;
    struct sp_pair *p = m->first_len <= SP_WG_MSG_MAX ? pair_get(s, a, b) : NULL;
    if (p == NULL) {
        *ret_why = m->first_len > SP_WG_MSG_MAX ? "the first message is too long" : "the signpost is full";
        return m->first_len > SP_WG_MSG_MAX ? SP_RCODE_REFUSED : SP_RCODE_SERVFAIL;
    }
    struct sp_side of_a, of_b;
    open_channel(s, a, b, p);
    side_of(a, end_of(p, a)->channel, &of_a);
    side_of(b, end_of(p, b)->channel, &of_b);
    sp_plan_make(ret, &of_a, &of_b, true);
    o->counts.plans++;
    if (!sp_rate_has(&p->pushes, PUSHES_PER_S, 1, s->now)) {
        o->counts.dropped_connect_budget++; /* the peer has heard of it just now */
        return SP_RCODE_NOERROR;
    }
    sp_rate_take(&p->pushes, PUSHES_PER_S, 1, s->now);
    if (push_plan(s, b, a, false, &of_b, &of_a, m))
        return SP_RCODE_NOERROR;
    *ret_why = "too much waits for the device; try again later";
    return SP_RCODE_SERVFAIL;
}

void sp_rendezvous_renew(struct sp_server *s, struct sp_ctlsession *a) {
    for (struct sp_ring *r = a->pairs.next; r != &a->pairs; r = r->next) {
        struct sp_pair *p = SP_CONTAINER(r, struct sp_pair_end, ring)->pair;
        struct sp_ctlsession *b = p->end[p->end[0].session == a ? 1 : 0].session;
        if (!b->up || b->stale || !sp_rate_has(&p->pushes, PUSHES_PER_S, 1, s->now))
            continue;
        sp_rate_take(&p->pushes, PUSHES_PER_S, 1, s->now);
        struct sp_side of_a, of_b;
        open_channel(s, a, b, p);
        side_of(a, end_of(p, a)->channel, &of_a);
        side_of(b, end_of(p, b)->channel, &of_b);
        (void)push_plan(s, b, a, false, &of_b, &of_a, NULL);
        (void)push_plan(s, a, b, false, &of_a, &of_b, NULL); /* it may have started anew, and a punch takes both */
    }
}

void sp_rendezvous_found(struct sp_server *s, struct sp_ctlsession *found) {
    for (struct sp_ctlsession *a; (a = sp_wanted_take(s, found)) != NULL;) {
        struct sp_pair *p = pair_get(s, a, found);
        if (p == NULL)
            return;
        struct sp_side of_a, of_b;
        open_channel(s, a, found, p);
        side_of(a, end_of(p, a)->channel, &of_a);
        side_of(found, end_of(p, found)->channel, &of_b);
        (void)push_plan(s, found, a, false, &of_b, &of_a, NULL);
        (void)push_plan(s, a, found, true, &of_a, &of_b, NULL);
    }
}
