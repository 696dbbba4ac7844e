/* Userspace mode between the overlay and its pairs: packets in and out of the point, streams of the host, time. */
#include "client/core/userspace.h"

#include "client/core/mesh.h"

#define TCP_MEMORY  ((size_t)96 << 20)
#define TCP_IDLE    (5 * SP_MIN) /* until a silent connection is probed */
#define TCP_GIVE_UP (2 * SP_MIN)

/* ---- life ---- */

static void tcp_config(const struct sp_mesh *mesh, struct sp_tcp_config *ret) {
    const struct sp_userspace_config *c = &mesh->config.userspace;
    *ret = (struct sp_tcp_config){.segments = true,
                                  .connections = mesh->userspace->limit,
                                  .memory = TCP_MEMORY,
                                  .send_max = SP_USERSPACE_WINDOW,
                                  .receive_max = SP_USERSPACE_WINDOW,
                                  .idle = TCP_IDLE,
                                  .give_up = TCP_GIVE_UP};
    for (unsigned i = 0; i < c->serve_count; i++)
        ret->ports[ret->port_count++] = c->serves[i].port;
}

static bool sound(const struct sp_mesh *mesh) {
    const struct sp_userspace_config *c = &mesh->config.userspace;
    bool well = c->proxy_count <= SP_USERSPACE_PROXIES && c->forward_count <= SP_USERSPACE_FORWARDS &&
                c->serve_count <= SP_USERSPACE_SERVES;
    for (unsigned i = 0; well && i < c->forward_count; i++)
        well = sp_name_under(&c->forwards[i].name, &mesh->zone) && c->forwards[i].port != 0;
    return well;
}

sp_err sp_userspace_new(struct sp_mesh *mesh) {
    _Static_assert(SP_USERSPACE_SERVES <= SP_TCP_PORTS, "every served port is listened at");
    const struct sp_userspace_config *c = &mesh->config.userspace;
    if (!c->on)
        return SP_OK;
    if (!sound(mesh))
        return SP_ERR_RANGE;
    struct sp_userspace *us = mesh->userspace = sp_mem_alloc(&mesh->mem, sizeof *us);
    if (us == NULL)
        return SP_ERR_FULL;
    sp_ring_init(&us->all);
    sp_ring_init(&us->busy);
    us->limit = c->streams != 0 ? c->streams : SP_USERSPACE_STREAMS;
    us->next_stream = SP_CONNECT_ID | SP_USERSPACE_ID;
    sp_table_init(&us->streams, &mesh->mem, us->limit);
    struct sp_point_config pc = {.mem = &mesh->mem, .rng = &mesh->rng, .mtu = mesh->config.mtu};
    memcpy(pc.addr, mesh->addr, sizeof pc.addr);
    tcp_config(mesh, &pc.tcp);
    SP_TRY(sp_point_new(&us->point, &pc));
    us->tcp = sp_point_tcp(us->point);
    return SP_OK;
}

void sp_userspace_free(struct sp_mesh *mesh) {
    struct sp_userspace *us = mesh->userspace;
    if (us == NULL)
        return;
    while (!sp_ring_alone(&us->all))
        sp_pair_free(mesh, SP_CONTAINER(us->all.next, struct sp_pair, all));
    sp_point_free(us->point);
    sp_table_free(&us->streams);
    sp_mem_free(&mesh->mem, us, sizeof *us);
    mesh->userspace = NULL;
}

void sp_userspace_stop(struct sp_mesh *mesh) {
    struct sp_userspace *us = mesh->userspace;
    if (us == NULL)
        return;
    for (struct sp_ring *r = us->all.next; r != &us->all; r = r->next)
        sp_pair_break(mesh, SP_CONTAINER(r, struct sp_pair, all));
    sp_userspace_settle(mesh);
}

/* ---- packets ---- */

static void drain_events(struct sp_mesh *mesh) {
    struct sp_tcp_event ev;
    while (sp_tcp_event(mesh->userspace->tcp, &ev)) {
        struct sp_pair *pair = sp_tcp_user(ev.conn);
        if (pair != NULL)
            sp_pair_peer_event(mesh, pair, &ev);
        else if (ev.kind == SP_TCP_OPENED)
            sp_dial_accept(mesh, ev.conn);
    }
}

void sp_userspace_packet(struct sp_mesh *mesh, const uint8_t *packet, size_t len, const struct sp_offload *offload) {
    sp_point_input(mesh->userspace->point, mesh->now, packet, len, offload);
    drain_events(mesh);
}

/* As much as there is room for; the rest when what stands there was fetched. */
static void send_packets(struct sp_mesh *mesh) {
    struct sp_userspace *us = mesh->userspace;
    struct sp_point_packet packet;
    for (;;) {
        drain_events(mesh);
        if (!sp_outgoing_roomy(&mesh->out)) {
            us->more = true;
            return;
        }
        if (!sp_point_output(us->point, mesh->now, &packet))
            return;
        sp_send_point(mesh, &packet);
    }
}

void sp_userspace_settle(struct sp_mesh *mesh) {
    struct sp_userspace *us = mesh->userspace;
    if (us == NULL)
        return;
    us->more = false;
    send_packets(mesh);
    for (struct sp_ring *next, *r = us->busy.next; r != &us->busy; r = next) {
        next = r->next;
        sp_pair_settle(mesh, SP_CONTAINER(r, struct sp_pair, busy));
    }
    send_packets(mesh);
}

/* ---- streams of the host ---- */

static void refuse(struct sp_mesh *mesh, uint64_t stream) {
    struct sp_out item = {.kind = SP_OUT_STREAM_RESET, .id = stream};
    (void)sp_outgoing_add(&mesh->out, &item);
}

bool sp_userspace_stream_is(const struct sp_mesh *mesh, const struct sp_in *in) {
    bool stream = in->kind >= SP_IN_STREAM_OPEN && in->kind <= SP_IN_STREAM_CLOSE;
    return mesh->userspace != NULL && stream && ((in->id & SP_CONNECT_ID) == 0 || (in->id & SP_USERSPACE_ID) != 0);
}

void sp_userspace_stream(struct sp_mesh *mesh, const struct sp_in *in) {
    struct sp_pair *pair = sp_pair_find(mesh, in->id);
    bool opens = in->kind == SP_IN_STREAM_OPEN;
    if (opens && (!mesh->active || (pair == NULL && (in->id & SP_CONNECT_ID) != 0)))
        refuse(mesh, in->id);
    else if (opens && pair == NULL)
        sp_dial_opened(mesh, in);
    else if (opens && pair->state == SP_PAIR_LOCAL && pair->fate == SP_PAIR_LIVES)
        sp_pair_local_open(mesh, pair, in->credit);
    else if (pair != NULL && in->kind == SP_IN_STREAM_CLOSE)
        sp_pair_local_close(mesh, pair, in->err);
    else if (pair == NULL || pair->fate != SP_PAIR_LIVES)
        return; /* it goes already */
    else if (in->kind == SP_IN_STREAM_CREDIT)
        sp_pair_local_credit(mesh, pair, in->credit);
    else if (in->kind == SP_IN_STREAM_END)
        sp_pair_local_end(mesh, pair);
    else if (in->kind == SP_IN_STREAM_DATA && pair->state == SP_PAIR_ASKING)
        sp_dial_asked(mesh, pair, in->data, in->len);
    else if (in->kind == SP_IN_STREAM_DATA)
        sp_pair_local_data(mesh, pair, in->data, in->len);
}

bool sp_userspace_event(struct sp_mesh *mesh, struct sp_event *ret) {
    struct sp_userspace *us = mesh->userspace;
    for (struct sp_ring *r = us != NULL ? us->busy.next : NULL; us != NULL && r != &us->busy; r = r->next) {
        struct sp_pair *pair = SP_CONTAINER(r, struct sp_pair, busy);
        if (!pair->connect || pair->fate != SP_PAIR_LIVES)
            continue;
        pair->connect = false;
        *ret = (struct sp_event){.kind = SP_EV_CONNECT, .id = pair->stream};
        for (unsigned i = 0; i < mesh->config.userspace.serve_count; i++)
            if (mesh->config.userspace.serves[i].port == pair->port)
                ret->addr = mesh->config.userspace.serves[i].target;
        return true;
    }
    return false;
}

/* ---- time ---- */

void sp_userspace_expire(struct sp_mesh *mesh) {
    struct sp_userspace *us = mesh->userspace;
    struct sp_timer *t;
    if (us == NULL)
        return;
    sp_point_expire(us->point, mesh->now);
    drain_events(mesh);
    while ((t = sp_timers_pop(&us->timers, mesh->now)) != NULL)
        sp_dial_late(mesh, SP_CONTAINER(t, struct sp_pair, timer));
}

sp_instant sp_userspace_deadline(const struct sp_mesh *mesh) {
    const struct sp_userspace *us = mesh->userspace;
    if (us == NULL)
        return SP_NEVER;
    if (us->more)
        return mesh->now;
    return sp_instant_min(sp_timers_next(&us->timers), sp_point_deadline(us->point));
}

/* ---- what the overlay learns ---- */

void sp_userspace_named(struct sp_mesh *mesh, const struct sp_name *name, sp_err err) {
    struct sp_userspace *us = mesh->userspace;
    for (struct sp_ring *next, *r = us != NULL ? us->all.next : NULL; us != NULL && r != &us->all; r = next) {
        struct sp_pair *pair = SP_CONTAINER(r, struct sp_pair, all);
        next = r->next;
        if (pair->state != SP_PAIR_NAMING || !pair->asked || pair->fate != SP_PAIR_LIVES ||
            (name != NULL && !sp_name_equal(&pair->name, name)))
            continue;
        struct sp_dir_entry *e = sp_directory_name(mesh->dir, &pair->name);
        if (e != NULL)
            sp_dial_connect(mesh, pair, e);
        else
            sp_dial_fail(mesh, pair, err == SP_OK ? SP_PROXY_NO_NAME : SP_PROXY_NO_SESSION);
    }
}

void sp_userspace_trouble(struct sp_mesh *mesh, const struct sp_peer *p) {
    struct sp_userspace *us = mesh->userspace;
    for (struct sp_ring *r = us != NULL ? us->all.next : NULL; us != NULL && r != &us->all; r = r->next) {
        struct sp_pair *pair = SP_CONTAINER(r, struct sp_pair, all);
        if (pair->state == SP_PAIR_CONNECTING && pair->fate == SP_PAIR_LIVES &&
            memcmp(pair->addr, p->entry->overlay, 16) == 0)
            sp_dial_fail(mesh, pair, SP_PROXY_NO_PATH);
    }
}

void sp_userspace_bye(struct sp_mesh *mesh, const struct sp_peer *p) {
    struct sp_userspace *us = mesh->userspace;
    for (struct sp_ring *r = us != NULL ? us->all.next : NULL; us != NULL && r != &us->all; r = r->next) {
        struct sp_pair *pair = SP_CONTAINER(r, struct sp_pair, all);
        if (pair->conn == NULL || memcmp(pair->addr, p->entry->overlay, 16) != 0)
            continue;
        if (pair->state == SP_PAIR_CONNECTING)
            sp_dial_fail(mesh, pair, SP_PROXY_NO_PATH);
        else
            sp_pair_break(mesh, pair);
    }
}
