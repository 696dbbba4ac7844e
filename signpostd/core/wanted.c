/* Who was asked for in vain: when such a device's session begins within half a minute, both learn of it. */
#include "signpostd/core/overlay.h"

#define WANTED_FOR (30 * SP_SEC)

struct sp_wanted {
    struct sp_link link; /* by zone and key */
    struct sp_ring age;
    struct sp_ring kin; /* of its asker */
    struct sp_ctlsession *asker;
    uint8_t pub[SP_ED25519_PUB];
    sp_instant until;
};

static uint64_t wanted_hash(const struct sp_server *s, const struct sp_realm *r, const uint8_t pub[SP_ED25519_PUB]) {
    uint8_t bytes[4 + SP_ED25519_PUB];
    sp_put_u32(bytes, r->id);
    memcpy(bytes + 4, pub, SP_ED25519_PUB);
    return sp_siphash(s->hash_key, bytes, sizeof bytes);
}

static void wanted_free(struct sp_server *s, struct sp_wanted *w) {
    sp_table_remove(&s->overlay->wanted, &w->link);
    sp_ring_remove(&w->age);
    sp_ring_remove(&w->kin);
    w->asker->wanted_count--;
    sp_mem_free(&s->mem, w, sizeof *w);
}

void sp_wanted_end(struct sp_server *s, struct sp_ctlsession *asker) {
    while (!sp_ring_alone(&asker->wanted))
        wanted_free(s, SP_CONTAINER(asker->wanted.next, struct sp_wanted, kin));
}

static struct sp_wanted *oldest(struct sp_overlay *o) {
    return sp_ring_alone(&o->wanted_age) ? NULL : SP_CONTAINER(o->wanted_age.next, struct sp_wanted, age);
}

/* Those whose time is over, and one more when that is not enough. */
static void make_room(struct sp_server *s, struct sp_ctlsession *asker) {
    struct sp_overlay *o = s->overlay;
    struct sp_wanted *w;
    while ((w = oldest(o)) != NULL && w->until <= s->now)
        wanted_free(s, w);
    if (asker->wanted_count >= SP_WANTED_EACH)
        wanted_free(s, SP_CONTAINER(asker->wanted.next, struct sp_wanted, kin));
    if (o->wanted.count >= o->wanted.limit && (w = oldest(o)) != NULL)
        wanted_free(s, w);
}

static void forget_same(struct sp_server *s, struct sp_ctlsession *asker, const uint8_t pub[SP_ED25519_PUB]) {
    for (struct sp_ring *r = asker->wanted.next; r != &asker->wanted; r = r->next) {
        struct sp_wanted *w = SP_CONTAINER(r, struct sp_wanted, kin);
        if (memcmp(w->pub, pub, sizeof w->pub) != 0)
            continue;
        wanted_free(s, w);
        return;
    }
}

void sp_wanted_note(struct sp_server *s, struct sp_ctlsession *asker, const uint8_t pub[SP_ED25519_PUB]) {
    struct sp_overlay *o = s->overlay;
    forget_same(s, asker, pub);
    make_room(s, asker);
    struct sp_wanted *w = sp_mem_alloc(&s->mem, sizeof *w);
    if (w == NULL || sp_table_add(&o->wanted, &w->link, wanted_hash(s, asker->realm, pub)) != SP_OK) {
        sp_mem_free(&s->mem, w, sizeof *w);
        return;
    }
    w->asker = asker;
    w->until = sp_instant_add(s->now, WANTED_FOR);
    memcpy(w->pub, pub, sizeof w->pub);
    sp_ring_init(&w->age);
    sp_ring_init(&w->kin);
    sp_ring_append(&o->wanted_age, &w->age);
    sp_ring_append(&asker->wanted, &w->kin);
    asker->wanted_count++;
}

struct sp_ctlsession *sp_wanted_take(struct sp_server *s, const struct sp_ctlsession *found) {
    struct sp_link *l = sp_table_find(&s->overlay->wanted, wanted_hash(s, found->realm, found->pub));
    while (l != NULL) {
        struct sp_wanted *w = SP_CONTAINER(l, struct sp_wanted, link);
        l = sp_table_find_next(l);
        if (w->asker->realm != found->realm || memcmp(w->pub, found->pub, sizeof w->pub) != 0)
            continue;
        struct sp_ctlsession *asker = w->asker;
        bool late = w->until <= s->now;
        wanted_free(s, w);
        if (!late && asker->up && !asker->stale)
            return asker;
        l = sp_table_find(&s->overlay->wanted, wanted_hash(s, found->realm, found->pub));
    }
    return NULL;
}
