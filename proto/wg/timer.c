#include "proto/wg/impl.h"

/* What happens to a peer, and when it acts by itself (P 6.2 to 6.5). A message only moves instants in the peer; the device's heap
 * is touched when the earliest of them comes nearer, and looked at again when it fires. */

void wg_timer_init(struct sp_wg_peer *p) {
    p->retry_at = p->keepalive_at = p->silent_at = p->persistent_at = p->polled_at = p->expire_at = SP_NEVER;
    p->handshake_at = p->initiation_at = p->traversal_at = p->cookie_at = SP_NEVER;
    p->want_initiation = p->want_keepalive = false;
}

void wg_timer_arm(struct sp_wg_peer *p) {
    sp_instant next = sp_instant_min(sp_instant_min(p->retry_at, p->keepalive_at), sp_instant_min(p->silent_at, p->persistent_at));
    next = sp_instant_min(next, sp_instant_min(p->polled_at, p->expire_at));
    if (next != SP_NEVER && (!p->timer.set || next < p->timer.due))
        sp_timer_set(&p->wg->timers, &p->timer, next);
}

/* ---- the list of those who want something sent ---- */

void wg_ready_add(struct sp_wg_peer *p) {
    struct sp_wg *wg = p->wg;
    if (p->ready)
        return;
    p->ready = true;
    p->ready_next = NULL;
    p->ready_prev = wg->ready_last;
    *(wg->ready_last != NULL ? &wg->ready_last->ready_next : &wg->ready_first) = p;
    wg->ready_last = p;
}

void wg_ready_drop(struct sp_wg_peer *p) {
    struct sp_wg *wg = p->wg;
    if (!p->ready)
        return;
    p->ready = false;
    *(p->ready_prev != NULL ? &p->ready_prev->ready_next : &wg->ready_first) = p->ready_next;
    *(p->ready_next != NULL ? &p->ready_next->ready_prev : &wg->ready_last) = p->ready_prev;
}

static void want_initiation(struct sp_wg_peer *p) {
    p->want_initiation = true;
    p->retry_at = SP_NEVER;
    wg_ready_add(p);
}

void wg_want_keepalive(struct sp_wg_peer *p) {
    p->want_keepalive = true;
    wg_ready_add(p);
}

/* ---- handshakes ---- */

void wg_forget_sent(struct sp_wg_peer *p) {
    if (p->sent.waits)
        wg_index_drop(p->wg, &p->sent.entry);
    p->sent.waits = false;
    sp_wipe(&p->sent.noise, sizeof p->sent.noise);
    sp_wipe(p->sent.ephemeral, sizeof p->sent.ephemeral);
}

/* At once, or as soon as five seconds have passed since the last handshake message (P 6.2); attempts go on for 90 s from now. */
void wg_ask(struct sp_wg_peer *p, sp_instant now) {
    if (p->passive)
        return;
    p->retry_until = sp_instant_add(now, REKEY_ATTEMPT_TIME);
    if (p->want_initiation)
        return;
    if (p->handshake_at == SP_NEVER || now >= p->handshake_at + REKEY_TIMEOUT)
        want_initiation(p);
    else if (p->retry_at == SP_NEVER)
        p->retry_at = p->handshake_at + REKEY_TIMEOUT;
    wg_timer_arm(p);
}

static void retry(struct sp_wg_peer *p, sp_instant now) {
    p->retry_at = SP_NEVER;
    if (now < p->retry_until)
        want_initiation(p);
    else
        wg_forget_sent(p);
}

void wg_completed(struct sp_wg_peer *p, sp_instant now) {
    p->retry_at = SP_NEVER;
    p->want_initiation = false;
    p->stats.attempts = 0;
    p->jitter = sp_rng_below(p->wg->config.rng, JITTER);
    p->wg->counts.handshakes++;
    wg_timer_arm(p);
}

/* ---- messages ---- */

static void traversed(struct sp_wg_peer *p, sp_instant now) {
    p->traversal_at = now;
    if (p->persistent != 0)
        p->persistent_at = now + p->persistent;
    wg_timer_arm(p);
}

static void sent_any(struct sp_wg_peer *p, sp_instant now) {
    p->keepalive_at = SP_NEVER;
    p->want_keepalive = false;
    p->stats.sent_at = now;
}

void wg_sent_initiation(struct sp_wg_peer *p, sp_instant now) {
    p->want_initiation = false;
    p->handshake_at = p->initiation_at = now;
    p->retry_at = now + REKEY_TIMEOUT + sp_rng_below(p->wg->config.rng, JITTER);
    if (p->retry_until == SP_NEVER || now >= p->retry_until)
        p->retry_until = sp_instant_add(now, REKEY_ATTEMPT_TIME);
    p->stats.attempts++;
    p->wg->counts.initiations++;
    sent_any(p, now);
    traversed(p, now);
}

void wg_sent_response(struct sp_wg_peer *p, sp_instant now) {
    p->handshake_at = now;
    p->wg->counts.responses++;
    sent_any(p, now);
    traversed(p, now);
}

/* P 6.2: the initiator of a session renews it when it has sent for long; either side when it has sent much. */
static void keep_fresh(struct sp_wg_peer *p, sp_instant now) {
    const struct sp_wg_keypair *k = p->current;
    if (k != NULL && ((k->initiator && now >= k->born + k->rekey_after) ||
                      atomic_load_explicit(&k->counter, memory_order_relaxed) >= REKEY_AFTER_MESSAGES))
        wg_ask(p, now);
}

void wg_sent_message(struct sp_wg_peer *p, bool data, sp_instant now) {
    sent_any(p, now);
    if (data && p->silent_at == SP_NEVER)
        p->silent_at = now + KEEPALIVE_TIMEOUT + REKEY_TIMEOUT + p->jitter;
    keep_fresh(p, now);
    traversed(p, now);
}

static void heard_any(struct sp_wg_peer *p, sp_instant now) {
    p->silent_at = SP_NEVER;
    p->stats.heard_at = now;
}

void wg_heard_handshake(struct sp_wg_peer *p, sp_instant now) {
    heard_any(p, now);
    traversed(p, now);
}

void wg_heard_message(struct sp_wg_peer *p, struct sp_wg_keypair *k, bool data, sp_instant now) {
    heard_any(p, now);
    if (data && p->keepalive_at == SP_NEVER)
        p->keepalive_at = now + KEEPALIVE_TIMEOUT;
    /* P 6.2: whoever only listens renews before the peer would have to stop. */
    if (k->initiator && k == p->current && now >= k->born + REJECT_AFTER_TIME - KEEPALIVE_TIMEOUT - REKEY_TIMEOUT)
        wg_ask(p, now);
    traversed(p, now);
}

/* ---- time ---- */

/* Takes note of what other threads have sealed and opened since the last look. */
static void poll(struct sp_wg_peer *p, sp_instant now) {
    struct sp_wg_keypair *slots[] = {p->current, p->previous, p->older};
    bool held = false;
    for (unsigned i = 0; i < 3; i++) {
        struct sp_wg_keypair *k = slots[i];
        if (k == NULL)
            continue;
        held |= atomic_load_explicit(&k->refs, memory_order_relaxed) > 1;
        uint64_t sealed = k->counter, bytes, opened = sp_wg_replay_opened(&k->replay, &bytes);
        if (opened != k->seen_opened)
            wg_heard_message(p, k, bytes != k->seen_opened_bytes, now);
        if (sealed != k->seen_sealed)
            wg_sent_message(p, true, now);
        k->seen_opened = opened;
        k->seen_opened_bytes = bytes;
        k->seen_sealed = sealed;
    }
    p->polled_at = held ? now + POLL : SP_NEVER;
}

void wg_timer_fired(struct sp_wg_peer *p, sp_instant now) {
    if (p->polled_at <= now)
        poll(p, now);
    if (p->expire_at <= now)
        wg_slots_expire(p, now);
    if (p->retry_at <= now)
        retry(p, now);
    if (p->keepalive_at <= now) {
        p->keepalive_at = SP_NEVER;
        wg_want_keepalive(p);
    }
    if (p->silent_at <= now) {
        p->silent_at = SP_NEVER;
        wg_ask(p, now);
    }
    if (p->persistent_at <= now) {
        p->persistent_at = now + p->persistent;
        wg_want_keepalive(p);
    }
    wg_timer_arm(p);
}
