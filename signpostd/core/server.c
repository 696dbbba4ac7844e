/* The five calls, and the server's beginning and end. */
#include "signpostd/core/overlay.h"

#define COOKIE_LIFE (24 * SP_HOUR)

void sp_server_config_default(struct sp_server_config *ret) {
    *ret = (struct sp_server_config){
        .tcp_idle = 30 * SP_SEC,
        .tcp_first = 10 * SP_SEC,
        .tcp_stall = 10 * SP_SEC,
        .udp_size_max = 1232,
    };
    sp_limits_default(&ret->limits);
    sp_budgets_default(&ret->budgets);
}

/* ---- beginning and end ---- */

static sp_err check(const struct sp_server_config *c) {
    bool ok = sp_limits_ok(&c->limits) && c->udp_size_max >= 512 && c->udp_size_max <= 4096 &&
              c->nsid_len <= sizeof c->nsid && c->operator_count <= SP_OPERATORS && c->grant.grant != NULL &&
              c->grant.release != NULL;
    return ok ? SP_OK : SP_ERR_RANGE;
}

void sp_cookies_new(struct sp_server *s) {
    struct sp_cookie_secrets *c = &s->view.cookies;
    sp_wipe(c, sizeof *c);
    sp_rng_fill(&s->rng, c->now, sizeof c->now);
    s->cookie_turn = sp_instant_add(s->now, COOKIE_LIFE);
}

static void seed(struct sp_server *s) {
    sp_rng_init(&s->rng, s->cfg.seed);
    sp_wipe(s->cfg.seed, sizeof s->cfg.seed);
    sp_rng_fill(&s->rng, s->hash_key, sizeof s->hash_key);
    sp_cookies_new(s);
}

static void view_init(struct sp_server *s) {
    uint64_t units = s->cfg.tcp_idle / (100 * SP_MS);
    s->keepalive = (uint16_t)(units < UINT16_MAX ? units : UINT16_MAX);
    s->view.zones = s->zones;
    s->view.udp_size_max = s->cfg.udp_size_max;
    s->view.tcp_keepalive = s->keepalive;
    memcpy(s->view.nsid, s->cfg.nsid, sizeof s->view.nsid);
    s->view.nsid_len = s->cfg.nsid_len;
}

static sp_err make(struct sp_server *s) {
    SP_TRY(sp_outbox_new(&s->out, &s->mem, s->cfg.limits.outbox));
    s->scratch = sp_mem_alloc(&s->mem, sizeof *s->scratch);
    if (s->scratch == NULL)
        return SP_ERR_FULL;
    s->scratch->mem = &s->mem;
    SP_TRY(sp_zones_new(&s->zones, &s->mem, s->hash_key, s->cfg.limits.zones, s->cfg.limits.names));
    struct sp_updater_config uc;
    sp_updater_config_default(&uc);
    uc.leases = s->cfg.limits.leases;
    uc.keys = s->cfg.limits.keys;
    uc.invites = s->cfg.limits.invites;
    uc.devices = s->cfg.limits.devices;
    uc.prefixes = s->cfg.limits.prefixes;
    uc.budgets = s->cfg.budgets;
    uc.trace = &s->cfg.trace;
    memcpy(uc.hash_key, s->hash_key, sizeof uc.hash_key);
    SP_TRY(sp_updater_new(&s->updater, &s->mem, s->zones, &uc));
    view_init(s);
    SP_TRY(sp_overlay_new(s));
    s->reply_kept = sp_mem_alloc(&s->mem, s->cfg.limits.reply);
    if (s->reply_kept == NULL)
        return SP_ERR_FULL;
    return sp_durable_open(s);
}

/* The server stands in a slab of its own memory, so the slabs are moved in once they have room for it. */
sp_err sp_server_new(struct sp_server **ret, const struct sp_server_config *config, sp_instant now, sp_wall wall) {
    SP_TRY(check(config));
    struct sp_mem mem;
    sp_mem_init(&mem, config->grant, config->limits.memory);
    struct sp_server *s = sp_mem_alloc(&mem, sizeof *s);
    if (s == NULL) {
        sp_mem_done(&mem);
        return SP_ERR_FULL;
    }
    s->mem = mem;
    s->cfg = *config;
    s->now = s->started = now;
    s->wall = wall;
    sp_ring_init(&s->pending);
    sp_ring_init(&s->kept);
    sp_ring_init(&s->pins);
    seed(s);
    sp_streams_init(&s->streams, &s->mem, config->limits.streams, config->limits.streams_per_prefix);
    sp_signing_init(&s->signing, config->budgets.sign_per_batch, now);
    sp_err err = make(s);
    if (err != SP_OK) {
        sp_server_free(s);
        return err;
    }
    *ret = s;
    return SP_OK;
}

void sp_server_free(struct sp_server *s) {
    if (s == NULL)
        return;
    sp_import_free(s);
    sp_streams_free(s);
    sp_overlay_free(s);
    sp_pagers_expire(s, true);
    sp_durable_free(s);
    if (s->updater != NULL)
        sp_updater_free(s->updater);
    sp_zones_free(s->zones);
    sp_outbox_free(&s->out);
    sp_mem_free(&s->mem, s->reply_kept, s->cfg.limits.reply);
    if (s->scratch != NULL)
        sp_wipe(s->scratch, sizeof *s->scratch);
    struct sp_mem mem = s->mem;
    sp_wipe(s, sizeof *s);
    sp_mem_done(&mem);
}

/* ---- input ---- */

/* What any one input may need of the outbox. */
static bool room_for(const struct sp_server *s, const struct sp_in *in) {
    if (in->kind == SP_IN_DATAGRAM) {
        size_t parts = in->segment == 0 || in->segment >= in->len ? 1 : (in->len + in->segment - 1) / in->segment;
        /* What is relayed is as long as it came. */
        size_t one = s->view.udp_size_max > SP_SEALED_MAX ? s->view.udp_size_max : SP_SEALED_MAX;
        /* More parts than any kernel joins, or than an empty outbox has room for: what does not fit is dropped. */
        size_t most = in->len < s->out.size ? (s->out.size - in->len) / one : 1;
        most = most < 128 ? most : 128;
        parts = parts < most ? parts : most;
        return sp_outbox_slots(&s->out) >= parts && sp_outbox_room(&s->out, parts * one + in->len) != NULL;
    }
    return sp_outbox_slots(&s->out) >= 4;
}

static void take(struct sp_server *s, const struct sp_in *in) {
    switch (in->kind) {
    case SP_IN_DATAGRAM:
        sp_request_datagram(s, in);
        break;
    case SP_IN_STREAM_OPEN:
        sp_stream_open(s, in);
        break;
    case SP_IN_STREAM_DATA:
        sp_stream_data(s, in);
        break;
    case SP_IN_STREAM_CREDIT:
        sp_stream_credit(s, in);
        break;
    case SP_IN_STREAM_END: /* it reads no stream by credit */
    case SP_IN_STREAM_CLOSE:
        sp_stream_closed(s, in);
        break;
    case SP_IN_CONTROL:
        sp_ctl_request(s, in);
        break;
    case SP_IN_LINK:
        s->link_count = in->len / sizeof *s->link;
        if (s->link_count > sizeof s->link / sizeof *s->link)
            s->link_count = sizeof s->link / sizeof *s->link;
        if (s->link_count > 0)
            memcpy(s->link, in->data, s->link_count * sizeof *s->link);
        break;
    case SP_IN_BLK:
        sp_durable_completed(s, in);
        break;
    case SP_IN_PACKET: /* a signpost has no packets, names or resolvers of its host's */
    case SP_IN_RESOLVE:
    case SP_IN_FORWARDED:
        break;
    }
}

static void begin(struct sp_server *s, sp_instant now, sp_wall wall) {
    s->now = now;
    s->wall = wall;
    sp_outbox_begin(&s->out);
}

/* What goes on beside the inputs, as far as the outbox has room. */
static void work(struct sp_server *s) {
    sp_durable_work(s);
    sp_import_go_on(s);
    sp_streams_work(s);
    sp_overlay_work(s);
    sp_durable_commit(s);
}

sp_err sp_server_input(struct sp_server *s, sp_instant now, sp_wall wall, const struct sp_in *in, size_t n,
                       size_t *taken) {
    begin(s, now, wall);
    struct sp_scratch *sc = s->scratch;
    uint32_t kept, allowed = sc->sign_left = sp_signing_begin(&s->signing, now, n, &kept);
    sc->sign_kept = kept;
    s->tcp_sign_left = s->signing.throttled ? SP_SIGNING_TCP_THROTTLED : SP_SIGNING_TCP;
    uint64_t queries = sc->counts.queries[SP_VIA_UDP], cold = s->cold;
    size_t i = 0;
    s->slice = 0;
    while (i < n && s->slice < SP_SLICE && room_for(s, &in[i]))
        take(s, &in[i++]);
    *taken = i;
    uint64_t spent = allowed - sc->sign_left;
    sp_signing_end(&s->signing, sc->counts.queries[SP_VIA_UDP] - queries, s->cold - cold, spent + kept - sc->sign_kept,
                   spent);
    work(s);
    return SP_OK;
}

/* ---- time ---- */

static void cookies_turn(struct sp_server *s) {
    if (s->now < s->cookie_turn)
        return;
    struct sp_cookie_secrets *c = &s->view.cookies;
    memcpy(c->before, c->now, sizeof c->before);
    c->have_before = true;
    sp_rng_fill(&s->rng, c->now, sizeof c->now);
    s->cookie_turn = sp_instant_add(s->now, COOKIE_LIFE);
}

void sp_server_expire(struct sp_server *s, sp_instant now, sp_wall wall) {
    begin(s, now, wall);
    sp_streams_expire(s);
    sp_overlay_expire(s);
    sp_durable_expire_leases(s);
    sp_pagers_expire(s, false);
    cookies_turn(s);
    work(s);
}

sp_instant sp_server_deadline(const struct sp_server *s) {
    if (s->stopped || s->fatal != NULL)
        return SP_NEVER;
    if (sp_durable_busy(s) || sp_streams_ready(&s->streams) || sp_import_runs(s) || sp_overlay_busy(s))
        return s->now;
    sp_instant at = sp_instant_min(sp_timers_next(&s->streams.timers), s->cookie_turn);
    at = sp_instant_min(at, sp_pagers_deadline(s));
    at = sp_instant_min(at, sp_overlay_deadline(s));
    if (s->storage == SP_STORAGE_DURABLE && !s->snapshot_on && s->snapshot_again > s->now)
        at = sp_instant_min(at, s->snapshot_again);
    if (s->ready && s->storage != SP_STORAGE_FAILED && !sp_import_busy(s))
        at = sp_instant_min(at, sp_updater_deadline(s->updater));
    return at;
}

/* ---- output and effects ---- */

size_t sp_server_output(struct sp_server *s, sp_instant now, struct sp_out *out, size_t n) {
    return sp_outbox_take(&s->out, out, n);
}

static bool is_settled(const struct sp_server *s) {
    return sp_ring_alone(&s->pending) && !sp_import_busy(s) && s->out.head == s->out.count &&
           (s->storage != SP_STORAGE_DURABLE || sp_log_durable(s->log) >= s->last_seq);
}

bool sp_server_event(struct sp_server *s, struct sp_event *ret) {
    *ret = (struct sp_event){0};
    if (s->fatal != NULL && !s->fatal_told) {
        s->fatal_told = true;
        ret->kind = SP_EV_FATAL;
        ret->text = s->fatal;
        return true;
    }
    if (s->log != NULL && s->fatal == NULL && sp_log_request(s->log, &ret->blk)) {
        ret->kind = SP_EV_BLK;
        return true;
    }
    if (s->stopping && !s->stopped && is_settled(s)) {
        s->stopped = true;
        ret->kind = SP_EV_STOP;
        return true;
    }
    return false;
}

bool sp_server_ready(const struct sp_server *s) {
    return s->ready;
}

void sp_server_stop(struct sp_server *s, sp_instant now) {
    s->stopping = true;
}
