#include "unikernel/dev/bus.h"

#include "unikernel/xen/xen.h"

static void path_of(struct spx_text *path, const struct spx_text *folder, const char *key) {
    *path = *folder;
    spx_text_add(path, "/");
    spx_text_add(path, key);
}

sp_err spx_bus_find(struct spx_bus *bus, struct spx_xs *xs, const char *kind, uint64_t number, unsigned token) {
    struct spx_text path;
    struct spx_xs_reply reply;
    uint64_t domain;
    *bus = (struct spx_bus){.xs = xs, .token = token};
    spx_text_add(&bus->front, "device/");
    spx_text_add(&bus->front, kind);
    spx_text_add(&bus->front, "/");
    spx_text_number(&bus->front, number);
    path_of(&path, &bus->front, "backend-id");
    SP_TRY(spx_xs_number(xs, path.s, &domain));
    path_of(&path, &bus->front, "backend");
    SP_TRY(spx_xs_read(xs, path.s, &reply));
    spx_text_bytes(&bus->back, reply.data, reply.len);
    if (domain >= DOMID_FIRST_RESERVED || reply.len == 0 || strlen(bus->back.s) != reply.len)
        return SP_ERR_FORM;
    bus->backend = (uint16_t)domain;
    path_of(&path, &bus->back, "state");
    if (path.cut)
        return SP_ERR_FORM;
    SP_TRY(spx_xs_watch(xs, path.s, token));
    bus->watched = true;
    return SP_OK;
}

void spx_bus_leave(struct spx_bus *bus) {
    struct spx_text path;
    path_of(&path, &bus->back, "state");
    if (bus->watched && spx_xs_unwatch(bus->xs, path.s, bus->token) == SP_OK)
        bus->watched = false;
}

sp_err spx_bus_offer(struct spx_bus *bus, const char *key, uint64_t otherwise, uint64_t *ret) {
    struct spx_text path;
    path_of(&path, &bus->back, key);
    sp_err err = spx_xs_number(bus->xs, path.s, ret);
    if (err != SP_ERR_NOENT)
        return err;
    *ret = otherwise;
    return SP_OK;
}

sp_err spx_bus_state(struct spx_bus *bus, unsigned *ret) {
    uint64_t state;
    SP_TRY(spx_bus_offer(bus, "state", XenbusStateUnknown, &state));
    *ret = state <= XenbusStateReconfigured ? (unsigned)state : XenbusStateUnknown;
    return SP_OK;
}

sp_err spx_bus_await(struct spx_bus *bus, unsigned states, sp_instant deadline, unsigned *ret) {
    for (;;) {
        SP_TRY(spx_bus_state(bus, ret));
        if ((states >> *ret & 1) != 0)
            return SP_OK;
        bool closes = *ret == XenbusStateClosing || *ret == XenbusStateClosed;
        if (closes && (states >> XenbusStateClosed & 1) == 0)
            return SP_ERR_STATE;
        SP_TRY(spx_xs_await(bus->xs, bus->token, deadline));
    }
}

sp_err spx_bus_say(struct spx_bus *bus, const struct spx_bus_key *keys, size_t n) {
    struct spx_text paths[SPX_BUS_KEYS], values[SPX_BUS_KEYS];
    struct spx_xs_pair pairs[SPX_BUS_KEYS];
    if (n > SPX_BUS_KEYS)
        return SP_ERR_RANGE;
    for (size_t i = 0; i < n; i++) {
        path_of(&paths[i], &bus->front, keys[i].key);
        spx_text_clear(&values[i]);
        spx_text_number(&values[i], keys[i].value);
        pairs[i] = (struct spx_xs_pair){paths[i].s, values[i].s};
    }
    return spx_xs_write_all(bus->xs, pairs, n);
}
