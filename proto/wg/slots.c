#include "proto/wg/impl.h"

/* The keypairs of a peer: `current` seals; `next` is of a handshake that we answered, until data proves that the peer has it too;
 * `previous` and `older` open what is still on its way. */

sp_err wg_keypair_new(struct sp_wg_peer *p, sp_instant now, struct sp_wg_keypair **ret) {
    wg_reap(p->wg);
    struct sp_wg_keypair *k = sp_mem_alloc(p->wg->config.mem, sizeof *k);
    if (k == NULL)
        return SP_ERR_FULL;
    k->entry.kind = WG_ENTRY_KEYPAIR;
    k->entry.peer = p;
    k->born = now;
    k->rekey_after = REKEY_AFTER_TIME;
    atomic_init(&k->refs, 1);
    atomic_flag_clear(&k->replay.lock);
    *ret = k;
    return SP_OK;
}

static void free_keypair(struct sp_wg *wg, struct sp_wg_keypair *k) {
    sp_wipe(k, sizeof *k);
    sp_mem_free(wg->config.mem, k, sizeof *k);
}

void wg_keypair_discard(struct sp_wg_keypair *k) {
    free_keypair(k->entry.peer->wg, k);
}

/* Frees what nobody holds any more. */
void wg_reap(struct sp_wg *wg) {
    for (struct sp_wg_keypair **at = &wg->retired; *at != NULL;) {
        struct sp_wg_keypair *k = *at;
        if (!atomic_load_explicit(&k->wiped, memory_order_acquire)) {
            at = &k->retired_next;
            continue;
        }
        *at = k->retired_next;
        free_keypair(wg, k);
    }
}

static void count(struct sp_wg_peer_stats *s, struct sp_wg_keypair *k) {
    uint64_t bytes;
    s->sealed += k->counter;
    s->sealed_bytes += k->sealed_bytes;
    s->opened += sp_wg_replay_opened(&k->replay, &bytes);
    s->opened_bytes += bytes;
}

/* Out of its slot: dead for all who hold it. */
static void retire(struct sp_wg_peer *p, struct sp_wg_keypair **slot) {
    struct sp_wg_keypair *k = *slot;
    *slot = NULL;
    if (k == NULL)
        return;
    count(&p->stats, k);
    wg_index_drop(p->wg, &k->entry);
    atomic_store_explicit(&k->dead, true, memory_order_release);
    k->retired_next = p->wg->retired;
    p->wg->retired = k;
    sp_wg_keypair_release(k);
    wg_reap(p->wg);
}

static void each(struct sp_wg_peer *p, struct sp_wg_keypair **ret[4]) {
    ret[0] = &p->next;
    ret[1] = &p->current;
    ret[2] = &p->previous;
    ret[3] = &p->older;
}

/* The slots have changed: the first keypair to end. */
static void changed(struct sp_wg_peer *p) {
    struct sp_wg_keypair **slots[4];
    each(p, slots);
    p->expire_at = SP_NEVER;
    for (unsigned i = 0; i < 4; i++)
        if (*slots[i] != NULL)
            p->expire_at = sp_instant_min(p->expire_at, (*slots[i])->born + REJECT_AFTER_TIME);
}

/* We initiated and got the response: the peer has the keys, so they are in use at once. */
void wg_slots_initiated(struct sp_wg_peer *p, struct sp_wg_keypair *k) {
    retire(p, &p->older);
    if (p->next != NULL) {
        /* Handshakes that crossed: both are good. Of the sessions before, one is what the peer seals with yet: the one heard last.
         * The peer with the greater key rekeys later, so that next time they do not cross. */
        bool swapped = p->previous != NULL && (p->current == NULL || p->previous->heard_at > p->current->heard_at);
        p->older = swapped ? p->previous : p->current;
        retire(p, swapped ? &p->current : &p->previous);
        p->previous = p->next;
        p->next = NULL;
        if (memcmp(p->wg->pub, p->pub, 32) > 0)
            k->rekey_after += 2 * REKEY_TIMEOUT;
    } else {
        p->older = p->previous;
        p->previous = p->current;
    }
    p->current = k;
    p->stats.handshake_at = k->born;
    changed(p);
}

void wg_slots_responded(struct sp_wg_peer *p, struct sp_wg_keypair *k) {
    retire(p, &p->next);
    p->next = k;
    p->stats.handshake_at = k->born;
    changed(p);
}

/* Data came under `next`. */
void wg_slots_confirm(struct sp_wg_peer *p) {
    retire(p, &p->older);
    p->older = p->previous;
    p->previous = p->current;
    p->current = p->next;
    p->next = NULL;
    changed(p);
}

void wg_slots_clear(struct sp_wg_peer *p) {
    struct sp_wg_keypair **slots[4];
    each(p, slots);
    for (unsigned i = 0; i < 4; i++)
        retire(p, slots[i]);
    changed(p);
}

/* After REJECT_AFTER_TIME nothing may be done with a keypair, so it is wiped then, earlier than P 6.3 asks for. */
void wg_slots_expire(struct sp_wg_peer *p, sp_instant now) {
    struct sp_wg_keypair **slots[4];
    each(p, slots);
    for (unsigned i = 0; i < 4; i++)
        if (*slots[i] != NULL && now >= (*slots[i])->born + REJECT_AFTER_TIME)
            retire(p, slots[i]);
    changed(p);
}

bool wg_keypair_usable(const struct sp_wg_keypair *k, sp_instant now) {
    return k != NULL && now < k->born + REJECT_AFTER_TIME &&
           atomic_load_explicit(&k->counter, memory_order_relaxed) < REJECT_AFTER_MESSAGES;
}

bool sp_wg_peer_up(const struct sp_wg_peer *p, sp_instant now) {
    return wg_keypair_usable(p->current, now);
}

void sp_wg_peer_stats(const struct sp_wg_peer *p, struct sp_wg_peer_stats *ret) {
    struct sp_wg_keypair *slots[] = {p->next, p->current, p->previous, p->older};
    *ret = p->stats;
    for (unsigned i = 0; i < 4; i++)
        if (slots[i] != NULL)
            count(ret, slots[i]);
}

static struct sp_wg_keypair *hold(struct sp_wg_keypair *k, sp_instant now) {
    atomic_fetch_add_explicit(&k->refs, 1, memory_order_relaxed);
    k->entry.peer->polled_at = sp_instant_min(k->entry.peer->polled_at, now + POLL);
    wg_timer_arm(k->entry.peer);
    return k;
}

struct sp_wg_keypair *sp_wg_keypair_hold(struct sp_wg_peer *p, sp_instant now) {
    return wg_keypair_usable(p->current, now) ? hold(p->current, now) : NULL;
}

struct sp_wg_keypair *sp_wg_keypair_find(struct sp_wg *wg, sp_instant now, const uint8_t *data, size_t len) {
    struct wg_data m;
    struct wg_entry *e = wg_data_read(&m, data, len) == SP_OK ? wg_index_find(wg, m.receiver) : NULL;
    if (e == NULL || e->kind != WG_ENTRY_KEYPAIR)
        return NULL;
    struct sp_wg_keypair *k = SP_CONTAINER(e, struct sp_wg_keypair, entry);
    return k->heard_at != 0 && wg_keypair_usable(k, now) ? hold(k, now) : NULL;
}
