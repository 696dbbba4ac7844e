#include "proto/relay/relay.h"

#include "proto/base/bucket.h"
#include "proto/base/table.h"
#include "proto/base/timers.h"

#define WIREGUARD_MIN 32 /* a data message without plaintext */
#define BURST         SP_SEC
#define INDEX_BIT     0x80000000u

struct session {
    struct sp_link link;
    uint64_t id;
    struct sp_relay_where where;
    struct sp_bucket sent;
    struct end *ends; /* of its channels */
    uint32_t count;
};

struct end {
    struct sp_link link; /* by index, which is random: it is its own hash */
    struct session *session;
    struct end *next, **at; /* in session->ends */
    uint32_t index;
    bool consented;
    uint8_t side;
};

struct channel {
    struct end ends[2];
    struct sp_timer timer; /* looks whether it has been idle since */
    sp_instant used;
};

struct sp_relay {
    struct sp_relay_config config;
    struct sp_table sessions, ends;
    struct sp_timers timers;
    struct sp_bucket sent;
    struct sp_relay_counts counts;
};

bool sp_relay_is(const uint8_t *data, size_t len) {
    return len >= SP_RELAY_HEAD + WIREGUARD_MIN && sp_get_u32(data) == 0x05000000u && data[4] >= 0x80;
}

sp_err sp_relay_new(struct sp_relay **ret, const struct sp_relay_config *config) {
    struct sp_relay *r = sp_mem_alloc(config->mem, sizeof *r);
    if (r == NULL)
        return SP_ERR_FULL;
    r->config = *config;
    sp_table_init(&r->sessions, config->mem, config->sessions != 0 ? config->sessions : config->channels);
    sp_table_init(&r->ends, config->mem, 2 * (size_t)config->channels);
    *ret = r;
    return SP_OK;
}

/* ---- sessions and channels ---- */

static uint64_t session_hash(const struct sp_relay *r, uint64_t id) {
    return sp_siphash(r->config.hash_key, &id, sizeof id);
}

static struct session *session_of(const struct sp_relay *r, uint64_t id) {
    struct sp_link *link = sp_table_find(&r->sessions, session_hash(r, id));
    while (link != NULL && SP_CONTAINER(link, struct session, link)->id != id)
        link = sp_table_find_next(link);
    return link != NULL ? SP_CONTAINER(link, struct session, link) : NULL;
}

static struct end *end_of(const struct sp_relay *r, uint32_t index) {
    struct sp_link *link = sp_table_find(&r->ends, index);
    return link != NULL ? SP_CONTAINER(link, struct end, link) : NULL;
}

static struct channel *channel_of(struct end *e) {
    return SP_CONTAINER(e - e->side, struct channel, ends);
}

static struct end *across(struct end *e) {
    return &channel_of(e)->ends[1 - e->side];
}

static void end_detach(struct sp_relay *r, struct end *e) {
    sp_table_remove(&r->ends, &e->link);
    *e->at = e->next;
    if (e->next != NULL)
        e->next->at = e->at;
    e->session->count--;
}

static void channel_close(struct sp_relay *r, struct channel *c) {
    sp_timer_cancel(&r->timers, &c->timer);
    end_detach(r, &c->ends[0]);
    end_detach(r, &c->ends[1]);
    sp_mem_free(r->config.mem, c, sizeof *c);
    r->counts.channels--;
    r->counts.closed++;
}

static void session_remove(struct sp_relay *r, struct session *s) {
    while (s->ends != NULL)
        channel_close(r, channel_of(s->ends));
    sp_table_remove(&r->sessions, &s->link);
    sp_mem_free(r->config.mem, s, sizeof *s);
    r->counts.sessions--;
}

void sp_relay_free(struct sp_relay *r) {
    if (r == NULL)
        return;
    struct sp_link *link;
    for (struct sp_table_cursor at = {0}; (link = sp_table_each(&r->sessions, &at)) != NULL;)
        session_remove(r, SP_CONTAINER(link, struct session, link));
    sp_table_free(&r->sessions);
    sp_table_free(&r->ends);
    sp_mem_free(r->config.mem, r, sizeof *r);
}

sp_err sp_relay_session(struct sp_relay *r, uint64_t session, const struct sp_relay_where *where, sp_instant now) {
    SP_ASSERT(session != 0);
    struct session *s = session_of(r, session);
    if (s == NULL) {
        s = sp_mem_alloc(r->config.mem, sizeof *s);
        if (s == NULL || sp_table_add(&r->sessions, &s->link, session_hash(r, session)) != SP_OK) {
            sp_mem_free(r->config.mem, s, sizeof *s);
            r->counts.refused_full++;
            return SP_ERR_FULL;
        }
        s->id = session;
        r->counts.sessions++;
    }
    s->where = *where;
    return SP_OK;
}

void sp_relay_session_end(struct sp_relay *r, uint64_t session) {
    struct session *s = session_of(r, session);
    if (s != NULL)
        session_remove(r, s);
}

/* ---- opening and closing ---- */

/* The end of `s` in its channel with `other`, or NULL. The shorter list is walked. */
static struct end *end_between(struct session *s, struct session *other) {
    bool swap = other->count < s->count;
    struct end *e = swap ? other->ends : s->ends;
    while (e != NULL && across(e)->session != (swap ? s : other))
        e = e->next;
    return e != NULL && swap ? across(e) : e;
}

static sp_err end_attach(struct sp_relay *r, struct end *e, uint8_t side, struct session *s) {
    do
        e->index = sp_rng_u32(r->config.rng) | INDEX_BIT;
    while (end_of(r, e->index) != NULL);
    SP_TRY(sp_table_add(&r->ends, &e->link, e->index));
    e->side = side;
    e->session = s;
    e->next = s->ends;
    e->at = &s->ends;
    if (e->next != NULL)
        e->next->at = &e->next;
    s->ends = e;
    s->count++;
    return SP_OK;
}

static sp_err channel_new(struct sp_relay *r, struct session *a, struct session *b, sp_instant now,
                          struct channel **ret) {
    uint32_t limit = r->config.channels_per_session;
    if (a->count >= limit || b->count >= limit || r->counts.channels >= r->config.channels)
        return SP_ERR_FULL;
    struct channel *c = sp_mem_alloc(r->config.mem, sizeof *c);
    if (c == NULL)
        return SP_ERR_FULL;
    sp_err err = end_attach(r, &c->ends[0], 0, a);
    if (err == SP_OK && (err = end_attach(r, &c->ends[1], 1, b)) != SP_OK)
        end_detach(r, &c->ends[0]);
    if (err != SP_OK) {
        sp_mem_free(r->config.mem, c, sizeof *c);
        return err;
    }
    sp_timer_set(&r->timers, &c->timer, sp_instant_add(now, r->config.idle));
    r->counts.channels++;
    r->counts.opened++;
    *ret = c;
    return SP_OK;
}

sp_err sp_relay_open(struct sp_relay *r, uint64_t asker, uint64_t other, sp_instant now, uint32_t *ret_a,
                     uint32_t *ret_b) {
    struct session *a = session_of(r, asker), *b = session_of(r, other);
    if (a == NULL || b == NULL)
        return SP_ERR_NOENT;
    if (a == b)
        return SP_ERR_DENIED;
    struct end *e = end_between(a, b);
    if (e == NULL) {
        struct channel *c;
        sp_err err = channel_new(r, a, b, now, &c);
        if (err != SP_OK) {
            r->counts.refused_full++;
            return err;
        }
        e = &c->ends[0];
    }
    e->consented = true;
    channel_of(e)->used = now;
    *ret_a = e->index;
    *ret_b = across(e)->index;
    return SP_OK;
}

sp_err sp_relay_consent(struct sp_relay *r, uint64_t session, uint32_t index) {
    struct end *e = end_of(r, index);
    if (e == NULL)
        return SP_ERR_NOENT;
    if (e->session->id != session)
        return SP_ERR_DENIED;
    e->consented = true;
    return SP_OK;
}

void sp_relay_close(struct sp_relay *r, uint64_t session, uint32_t index) {
    struct end *e = end_of(r, index);
    if (e != NULL && e->session->id == session)
        channel_close(r, channel_of(e));
}

/* ---- frames ---- */

/* Something is left: a bucket may go into debt by one batch, so that a batch larger than the bucket passes in the end. */
static bool has(const struct sp_bucket *b, uint64_t per_s, sp_instant now) {
    return per_s == 0 || sp_bucket_has(b, 1, BURST, now);
}

static void take(struct sp_bucket *b, uint64_t per_s, size_t bytes, sp_instant now) {
    if (per_s != 0)
        sp_bucket_take(b, (bytes * SP_SEC + per_s - 1) / per_s, now);
}

static bool is_from(const struct sp_relay_where *w, const struct sp_addr *src, uint64_t stream) {
    if (w->stream != 0 || stream != 0)
        return w->stream == stream;
    return memcmp(&w->addr, src, sizeof *src) == 0;
}

sp_err sp_relay_forward(struct sp_relay *r, uint32_t index, const struct sp_addr *src, uint64_t stream, size_t bytes,
                        sp_instant now, struct sp_relay_where *ret_to, uint32_t *ret_index) {
    struct end *e = end_of(r, index);
    if (e == NULL) {
        r->counts.dropped_index++;
        return SP_ERR_NOENT;
    }
    struct session *s = e->session;
    if (!is_from(&s->where, src, stream)) {
        r->counts.dropped_source++;
        return SP_ERR_DENIED;
    }
    e->consented = true;
    struct end *to = across(e);
    if (!to->consented) {
        r->counts.dropped_consent++;
        return SP_ERR_AGAIN;
    }
    channel_of(e)->used = now;
    if (!has(&s->sent, r->config.bytes_per_s, now) || !has(&r->sent, r->config.bytes_per_s_total, now)) {
        r->counts.dropped_budget++;
        return SP_ERR_BUDGET;
    }
    take(&s->sent, r->config.bytes_per_s, bytes, now);
    take(&r->sent, r->config.bytes_per_s_total, bytes, now);
    r->counts.frames++;
    r->counts.bytes += bytes;
    *ret_to = to->session->where;
    *ret_index = to->index;
    return SP_OK;
}

/* ---- time ---- */

void sp_relay_expire(struct sp_relay *r, sp_instant now) {
    struct sp_timer *t;
    while ((t = sp_timers_pop(&r->timers, now)) != NULL) {
        struct channel *c = SP_CONTAINER(t, struct channel, timer);
        sp_instant due = sp_instant_add(c->used, r->config.idle);
        if (due > now) {
            sp_timer_set(&r->timers, t, due);
            continue;
        }
        r->counts.expired++;
        channel_close(r, c);
    }
}

sp_instant sp_relay_deadline(const struct sp_relay *r) {
    return sp_timers_next(&r->timers);
}

const struct sp_relay_counts *sp_relay_counts(const struct sp_relay *r) {
    return &r->counts;
}
