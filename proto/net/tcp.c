/* The table of connections: their beginning and end, what happened to them, and who is to send. */
#include "proto/net/tcp_impl.h"

#define DEFAULT(field, value)                                                                                          \
    if (c->field == 0)                                                                                                 \
    c->field = (value)

static void defaults(struct sp_tcp_config *c) {
    DEFAULT(connections, 1024);
    DEFAULT(half_open, 256);
    DEFAULT(time_waits, 1024);
    DEFAULT(memory, (size_t)4 << 20);
    DEFAULT(send_max, 4u << 20);
    DEFAULT(receive_max, 4u << 20);
    DEFAULT(idle, 2 * SP_HOUR);
    DEFAULT(give_up, 900 * SP_SEC);
}

static void new_secrets(struct sp_tcp *t) {
    sp_rng_fill(t->config.rng, t->isn_key, sizeof t->isn_key);
    sp_rng_fill(t->config.rng, t->cookie_key, sizeof t->cookie_key);
}

sp_err sp_tcp_new(struct sp_tcp **ret, const struct sp_tcp_config *config) {
    if (config->mtu < 576 || config->port_count > SP_TCP_PORTS || config->receive_max > (1u << 30) ||
        config->send_max > (1u << 30))
        return SP_ERR_RANGE;
    struct sp_tcp *t = sp_mem_alloc(config->mem, sizeof *t);
    if (t == NULL)
        return SP_ERR_FULL;
    t->config = *config;
    defaults(&t->config);
    t->link = (struct sp_tcp_link){config->mtu, config->mtu, config->segments, config->segments};
    sp_rng_fill(config->rng, t->key, sizeof t->key);
    new_secrets(t);
    sp_table_init(&t->conns, config->mem, t->config.connections);
    sp_table_init(&t->numbers, config->mem, t->config.connections);
    sp_table_init(&t->waits, config->mem, t->config.time_waits);
    struct sp_ring *rings[] = {&t->ready, &t->busy, &t->wait_age, &t->strays, &t->hungry};
    for (unsigned i = 0; i < sizeof rings / sizeof rings[0]; i++)
        sp_ring_init(rings[i]);
    t->small.size = TCP_BLOCK_SMALL;
    t->large.size = TCP_BLOCK_LARGE;
    t->page.size = TCP_PAGE;
    t->sent.size = sizeof(struct tcp_sent);
    t->next_number = 1;
    t->feed_at = SP_NEVER;
    *ret = t;
    return SP_OK;
}

static void release(struct sp_tcp *t, struct sp_tcp_conn *c) {
    sp_ring_remove(&c->hungry);
    tcp_queue_free(t, c);
    while (c->sent != NULL)
        tcp_sent_free(t, c, c->sent);
}

void tcp_conn_free(struct sp_tcp *t, struct sp_tcp_conn *c) {
    release(t, c);
    tcp_early_free(t, c);
    sp_timer_cancel(&t->timers, &c->timer);
    sp_ring_remove(&c->ready);
    sp_ring_remove(&c->busy);
    sp_table_remove(&t->conns, &c->link);
    sp_table_remove(&t->numbers, &c->by_number);
    t->half_open -= c->half_open;
    sp_mem_free(t->config.mem, c, sizeof *c);
}

void sp_tcp_free(struct sp_tcp *t) {
    if (t == NULL)
        return;
    struct sp_table_cursor cursor = {0};
    tcp_tidy(t);
    for (struct sp_link *l; (l = sp_table_each(&t->conns, &cursor)) != NULL;)
        tcp_conn_free(t, SP_CONTAINER(l, struct sp_tcp_conn, link));
    tcp_wait_free_all(t);
    struct tcp_pool *pools[] = {&t->small, &t->large, &t->page, &t->sent};
    for (unsigned i = 0; i < 4; i++)
        tcp_pool_free(t, pools[i]);
    sp_table_free(&t->conns);
    sp_table_free(&t->numbers);
    sp_table_free(&t->waits);
    sp_mem_free(t->config.mem, t, sizeof *t);
}

void sp_tcp_resumed(struct sp_tcp *t) {
    struct sp_table_cursor cursor = {0};
    tcp_tidy(t);
    for (struct sp_link *l; (l = sp_table_each(&t->conns, &cursor)) != NULL;)
        tcp_conn_over(t, SP_CONTAINER(l, struct sp_tcp_conn, link), SP_ERR_STATE);
    tcp_wait_free_all(t);
    new_secrets(t);
}

/* ---- finding ---- */

void tcp_tuple_of(struct tcp_tuple *ret, const struct tcp_seg *s) {
    *ret = (struct tcp_tuple){.rport = s->sport, .lport = s->dport, .family = s->packet->family};
    memcpy(ret->remote, s->packet->src, 16);
    memcpy(ret->local, s->packet->dst, 16);
}

void tcp_tuple_of_conn(struct tcp_tuple *ret, const struct sp_tcp_conn *c) {
    *ret = (struct tcp_tuple){.rport = c->rport, .lport = c->lport, .family = c->family};
    memcpy(ret->remote, c->remote, 16);
    memcpy(ret->local, c->local, 16);
}

uint64_t tcp_tuple_hash(const uint8_t key[16], const struct tcp_tuple *tuple, uint64_t more) {
    uint8_t buf[45];
    struct sp_wr w = sp_wr_init(buf, sizeof buf);
    sp_wr_bytes(&w, tuple->remote, 16);
    sp_wr_bytes(&w, tuple->local, 16);
    sp_wr_u16(&w, tuple->rport);
    sp_wr_u16(&w, tuple->lport);
    sp_wr_u8(&w, tuple->family);
    sp_wr_u64(&w, more);
    return sp_siphash(key, buf, sizeof buf);
}

static bool is_of(const struct sp_tcp_conn *c, const struct tcp_tuple *tuple) {
    return c->rport == tuple->rport && c->lport == tuple->lport && c->family == tuple->family &&
           memcmp(c->remote, tuple->remote, 16) == 0 && memcmp(c->local, tuple->local, 16) == 0;
}

struct sp_tcp_conn *tcp_find(const struct sp_tcp *t, const struct tcp_tuple *tuple) {
    for (struct sp_link *l = sp_table_find(&t->conns, tcp_tuple_hash(t->key, tuple, 0)); l != NULL;
         l = sp_table_find_next(l)) {
        struct sp_tcp_conn *c = SP_CONTAINER(l, struct sp_tcp_conn, link);
        if (is_of(c, tuple) && c->state != TCP_OVER)
            return c;
    }
    return NULL;
}

static uint64_t number_hash(const struct sp_tcp *t, uint64_t number) {
    return sp_siphash(t->key, &number, sizeof number);
}

struct sp_tcp_conn *sp_tcp_by_number(const struct sp_tcp *t, uint64_t number) {
    for (struct sp_link *l = sp_table_find(&t->numbers, number_hash(t, number)); l != NULL; l = sp_table_find_next(l)) {
        struct sp_tcp_conn *c = SP_CONTAINER(l, struct sp_tcp_conn, by_number);
        if (c->number == number && c->state != TCP_OVER)
            return c;
    }
    return NULL;
}

struct sp_tcp_conn *tcp_conn_new(struct sp_tcp *t, sp_instant now, const struct tcp_tuple *tuple, uint64_t number) {
    struct sp_tcp_conn *c = sp_mem_alloc(t->config.mem, sizeof *c);
    if (c == NULL) {
        tcp_dropped(t, SP_TCP_DROP_MEMORY);
        return NULL;
    }
    memcpy(c->remote, tuple->remote, 16);
    memcpy(c->local, tuple->local, 16);
    c->rport = tuple->rport;
    c->lport = tuple->lport;
    c->family = tuple->family;
    c->number = number != 0 ? number : t->next_number;
    if (sp_table_add(&t->conns, &c->link, tcp_tuple_hash(t->key, tuple, 0)) != SP_OK) {
        tcp_dropped(t, SP_TCP_DROP_FULL);
        sp_mem_free(t->config.mem, c, sizeof *c);
        return NULL;
    }
    if (sp_table_add(&t->numbers, &c->by_number, number_hash(t, c->number)) != SP_OK) {
        tcp_dropped(t, SP_TCP_DROP_FULL);
        sp_table_remove(&t->conns, &c->link);
        sp_mem_free(t->config.mem, c, sizeof *c);
        return NULL;
    }
    t->next_number += number == 0;
    sp_ring_init(&c->hungry);
    sp_ring_init(&c->ready);
    sp_ring_init(&c->busy);
    sp_ring_init(&c->times);
    c->ack_at = c->wait_at = SP_NEVER;
    c->heard_at = c->progress_at = c->last_sent = c->round_at = now;
    c->rcv_most = u32_min(t->config.receive_max, TCP_RECEIVE_FIRST);
    c->ts_offset = sp_rng_u32(t->config.rng);
    c->rtt.rto = TCP_RTO_FIRST;
    c->rtt.least = SP_NEVER;
    c->rack.mult = 1;
    return c;
}

/* ---- what happened ---- */

void tcp_raise(struct sp_tcp *t, struct sp_tcp_conn *c, uint8_t event) {
    c->events |= event;
    if (sp_ring_alone(&c->ready))
        sp_ring_append(&t->ready, &c->ready);
}

void tcp_wake(struct sp_tcp *t, struct sp_tcp_conn *c) {
    if (sp_ring_alone(&c->busy))
        sp_ring_append(&t->busy, &c->busy);
}

void tcp_conn_over(struct sp_tcp *t, struct sp_tcp_conn *c, sp_err why) {
    if (c->state == TCP_OVER)
        return;
    t->half_open -= c->half_open;
    c->half_open = false;
    t->counts.failed += why != SP_OK;
    c->state = TCP_OVER;
    c->over = why;
    release(t, c);
    sp_timer_cancel(&t->timers, &c->timer);
    sp_ring_remove(&c->busy);
    /* Whom nobody was told of ends untold. What had come in order is still handed on. */
    if (c->passive && !c->told_open && (c->events & EV_OPENED) == 0)
        tcp_conn_free(t, c);
    else
        tcp_raise(t, c, EV_CLOSED);
}

/* The next one of a connection's events, in the order in which they make sense. */
static bool next_event(struct sp_tcp *t, struct sp_tcp_conn *c, struct sp_tcp_event *ret) {
    *ret = (struct sp_tcp_event){.conn = c};
    if ((c->events & EV_OPENED) != 0) {
        c->events &= (uint8_t)~EV_OPENED;
        c->told_open = true;
        ret->kind = SP_TCP_OPENED;
        return true;
    }
    if ((c->events & EV_DATA) != 0) {
        c->events &= (uint8_t)~EV_DATA;
        ret->kind = SP_TCP_DATA;
        ret->data = c->data;
        ret->len = c->data_len;
        return true;
    }
    if ((c->events & EV_EARLY) != 0 && tcp_early_next(t, c, &ret->data, &ret->len)) {
        ret->kind = SP_TCP_DATA;
        return true;
    }
    c->events &= (uint8_t)~EV_EARLY;
    if ((c->events & EV_END) != 0) {
        c->events &= (uint8_t)~EV_END;
        ret->kind = SP_TCP_END;
        return true;
    }
    if ((c->events & EV_ROOM) != 0) {
        c->events &= (uint8_t)~EV_ROOM;
        ret->kind = SP_TCP_ROOM;
        if (c->state != TCP_OVER)
            return true;
    }
    if ((c->events & EV_CLOSED) == 0)
        return false;
    c->events &= (uint8_t)~EV_CLOSED;
    ret->kind = SP_TCP_CLOSED;
    ret->err = c->over;
    return true;
}

void tcp_tidy(struct sp_tcp *t) {
    if (t->gone != NULL)
        tcp_conn_free(t, t->gone);
    t->gone = NULL;
    if (t->shown != NULL)
        tcp_give(t, &t->page, t->shown);
    t->shown = NULL;
}

bool sp_tcp_event(struct sp_tcp *t, struct sp_tcp_event *ret) {
    tcp_tidy(t);
    while (!sp_ring_alone(&t->ready)) {
        struct sp_tcp_conn *c = SP_CONTAINER(t->ready.next, struct sp_tcp_conn, ready);
        bool some = next_event(t, c, ret);
        if (c->events == 0)
            sp_ring_remove(&c->ready);
        if (some && ret->kind == SP_TCP_CLOSED)
            t->gone = c;
        bool silent = c->reader_gone && ret->kind != SP_TCP_CLOSED;
        if (some && !silent)
            return true;
    }
    return false;
}

/* ---- the caller's ---- */

const struct sp_tcp_config *sp_tcp_settings(const struct sp_tcp *t) {
    return &t->config;
}

void sp_tcp_set_user(struct sp_tcp_conn *c, void *user) {
    c->user = user;
}
void *sp_tcp_user(const struct sp_tcp_conn *c) {
    return c->user;
}
uint64_t sp_tcp_number(const struct sp_tcp_conn *c) {
    return c->number;
}

void sp_tcp_ends(const struct sp_tcp_conn *c, struct sp_addr *local, struct sp_addr *remote) {
    *local = (struct sp_addr){.family = c->family, .port = c->lport};
    *remote = (struct sp_addr){.family = c->family, .port = c->rport};
    memcpy(local->ip, c->local, 16);
    memcpy(remote->ip, c->remote, 16);
}

const struct sp_tcp_counts *sp_tcp_counts(const struct sp_tcp *t) {
    return &t->counts;
}
size_t sp_tcp_queued(const struct sp_tcp_conn *c) {
    return c->queued;
}
size_t sp_tcp_connections(const struct sp_tcp *t) {
    return t->conns.count;
}
size_t sp_tcp_buffered(const struct sp_tcp *t) {
    return t->buffered;
}

const char *sp_tcp_drop_name(enum sp_tcp_drop drop) {
    static const char *const names[] = {
#define X(name, text) text,
        SP_TCP_DROPS(X)
#undef X
    };
    return names[drop];
}

bool tcp_synchronized(const struct sp_tcp_conn *c) {
    return c->state >= TCP_ESTABLISHED && c->state < TCP_TIME_WAIT;
}

uint32_t tcp_clock(sp_instant now) {
    return (uint32_t)(now / SP_MS);
}

void tcp_time_wait(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c) {
    tcp_wait_add(t, now, c);
    tcp_conn_over(t, c, SP_OK);
}

/* ---- segments and time ---- */

void sp_tcp_input(struct sp_tcp *t, sp_instant now, const struct sp_tcp_packet *packet) {
    struct tcp_seg s;
    struct tcp_tuple tuple;
    uint32_t isn_least = 0;
    tcp_tidy(t);
    t->counts.segments_in++;
    enum sp_tcp_drop why = tcp_parse(&s, packet);
    if (why != SP_TCP_DROP_COUNT) {
        tcp_dropped(t, why);
        return;
    }
    tcp_tuple_of(&tuple, &s);
    struct sp_tcp_conn *c = tcp_find(t, &tuple);
    if (c != NULL)
        tcp_conn_input(t, now, c, &s);
    else if (!tcp_wait_input(t, now, &s, &tuple, &isn_least))
        tcp_listen_input(t, now, &s, &tuple, isn_least);
}

void sp_tcp_expire(struct sp_tcp *t, sp_instant now) {
    struct sp_timer *timer;
    tcp_tidy(t);
    if (now >= t->feed_at)
        tcp_queue_feed(t, true);
    while ((timer = sp_timers_pop(&t->timers, now)) != NULL)
        tcp_conn_expire(t, now, SP_CONTAINER(timer, struct sp_tcp_conn, timer));
    tcp_wait_expire(t, now);
}

sp_instant sp_tcp_deadline(const struct sp_tcp *t) {
    sp_instant ret = sp_instant_min(sp_timers_next(&t->timers), t->feed_at);
    if (!sp_ring_alone(&t->wait_age))
        ret = sp_instant_min(ret, SP_CONTAINER(t->wait_age.next, struct tcp_waiting, age)->until);
    return ret;
}
