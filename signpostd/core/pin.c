/* A zone's RRsets at one moment. Pointers into the store: durable transactions are not retired while a pin lives, so
 * that what they replaced stays. 16 bytes an RRset, and a walk over the zone once. */
#include "signpostd/core/server_int.h"

static sp_err pin_add(struct sp_server *s, struct sp_pin *pin, struct sp_node *node, const struct sp_rrset *set) {
    if (pin->count == pin->cap) {
        size_t cap = pin->cap > 0 ? pin->cap * 2 : 256;
        struct sp_pin_entry *to = sp_mem_alloc(&s->mem, cap * sizeof *to);
        if (to == NULL)
            return SP_ERR_FULL;
        if (pin->count > 0)
            memcpy(to, pin->entries, pin->count * sizeof *to);
        sp_mem_free(&s->mem, pin->entries, pin->cap * sizeof *to);
        pin->entries = to;
        pin->cap = cap;
    }
    pin->entries[pin->count++] = (struct sp_pin_entry){node, set};
    return SP_OK;
}

static bool entry_before(const struct sp_pin_entry *a, const struct sp_pin_entry *b) {
    if (a->node == b->node)
        return a->set->type < b->set->type;
    struct sp_name an, bn;
    sp_node_name(a->node, &an);
    sp_node_name(b->node, &bn);
    return sp_name_cmp(&an, &bn) < 0;
}

static void sift(struct sp_pin_entry *e, size_t root, size_t n) {
    for (size_t child; (child = 2 * root + 1) < n; root = child) {
        if (child + 1 < n && entry_before(&e[child], &e[child + 1]))
            child++;
        if (!entry_before(&e[root], &e[child]))
            return;
        struct sp_pin_entry t = e[root];
        e[root] = e[child];
        e[child] = t;
    }
}

/* Canonical order (RFC 4034 6.1), by heap sort: in place, bounded. */
static void sort(struct sp_pin_entry *e, size_t n) {
    for (size_t i = n / 2; i-- > 0;)
        sift(e, i, n);
    for (size_t end = n; end > 1;) {
        end--;
        struct sp_pin_entry t = e[0];
        e[0] = e[end];
        e[end] = t;
        sift(e, 0, end);
    }
}

#define SORT_MAX 50000 /* beyond, the sort would hold up everybody; the order is the table's then */

sp_err sp_pin_new(struct sp_server *s, struct sp_zone *z, bool sorted, struct sp_pin **ret) {
    struct sp_node *node = sp_zone_node(z, sp_zone_apex(z));
    const struct sp_rrset *set = node != NULL ? sp_node_rrset(node, SP_TYPE_SOA) : NULL;
    if (set == NULL)
        return SP_ERR_NOENT;
    struct sp_pin *pin = sp_mem_alloc(&s->mem, sizeof *pin);
    if (pin == NULL)
        return SP_ERR_FULL;
    pin->zone = sp_zone_id(z);
    sp_ring_append(&s->pins, (sp_ring_init(&pin->ring), &pin->ring));
    sp_err err = pin_add(s, pin, node, set);
    struct sp_zone_walk walk = {0};
    while (err == SP_OK && (set = sp_zone_walk(z, &walk, &node)) != NULL)
        err = pin_add(s, pin, node, set);
    if (err != SP_OK) {
        sp_pin_free(s, pin);
        return err;
    }
    if (sorted && pin->count <= SORT_MAX)
        sort(pin->entries + 1, pin->count - 1);
    *ret = pin;
    return SP_OK;
}

void sp_pin_free(struct sp_server *s, struct sp_pin *pin) {
    if (pin == NULL)
        return;
    sp_ring_remove(&pin->ring);
    sp_mem_free(&s->mem, pin->entries, pin->cap * sizeof *pin->entries);
    sp_mem_free(&s->mem, pin, sizeof *pin);
    if (sp_ring_alone(&s->pins))
        sp_durable_kept_retire(s);
}

void sp_pins_lose(struct sp_server *s, uint32_t zone) {
    for (struct sp_ring *r = s->pins.next; r != &s->pins; r = r->next) {
        struct sp_pin *pin = SP_CONTAINER(r, struct sp_pin, ring);
        if (zone == 0 || pin->zone == zone)
            pin->lost = true;
    }
    if (zone == 0)
        sp_durable_kept_retire(s);
}

bool sp_pins_hold(const struct sp_server *s, uint32_t zone) {
    for (const struct sp_ring *r = s->pins.next; r != &s->pins; r = r->next) {
        const struct sp_pin *pin = SP_CONTAINER(r, const struct sp_pin, ring);
        if (!pin->lost && pin->zone == zone)
            return true;
    }
    return false;
}
