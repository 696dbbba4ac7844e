#include "proto/net/impl.h"

static void on_timer(struct sp_net *net, struct timer *t, sp_instant now);

static size_t map_of(const struct sp_net *net) {
    return (net->part_size / 8 + 7) / 8;
}

sp_err sp_net_frag_new_all(struct sp_net *net) {
    size_t n = net->config.reassemblies;
    net->part_size = ((size_t)net->config.reassembly_max + 7) & ~(size_t)7;
    net->map_size = map_of(net);
    net->parts = sp_mem_alloc(net->config.mem, n * sizeof *net->parts);
    net->part_data = sp_mem_alloc(net->config.mem, n * (net->part_size + net->map_size));
    if (net->parts == NULL || net->part_data == NULL)
        return SP_ERR_FULL;
    for (size_t i = 0; i < n; i++) {
        net->parts[i].timer.fire = on_timer;
        net->parts[i].data = net->part_data + i * (net->part_size + net->map_size);
        net->parts[i].blocks = net->parts[i].data + net->part_size;
    }
    return SP_OK;
}

static void end(struct sp_net *net, struct reassembly *a) {
    sp_net_timer_off(net, &a->timer);
    a->family = 0;
}

static void on_timer(struct sp_net *net, struct timer *t, sp_instant now) {
    struct reassembly *a = SP_CONTAINER(t, struct reassembly, timer);
    if (!a->dead)
        sp_net_dropped(net, SP_NET_DROP_TIMEOUT);
    end(net, a);
}

void sp_net_frag_forget(struct sp_net *net) {
    for (size_t i = 0; i < net->config.reassemblies; i++)
        if (net->parts[i].family != 0)
            end(net, &net->parts[i]);
}

static struct reassembly *find(struct sp_net *net, const struct packet *p, uint32_t id) {
    for (size_t i = 0; i < net->config.reassemblies; i++) {
        struct reassembly *a = &net->parts[i];
        if (a->family == p->family && a->id == id && (p->family == 6 || a->proto == p->proto) &&
            sp_net_same(a->src, p->src) && sp_net_same(a->dst, p->dst))
            return a;
    }
    return NULL;
}

/* A free place, or that of the oldest. */
static struct reassembly *start(struct sp_net *net, sp_instant now, const struct packet *p, uint32_t id) {
    struct reassembly *a = &net->parts[0];
    for (size_t i = 0; i < net->config.reassemblies && a->family != 0; i++)
        if (net->parts[i].family == 0 || net->parts[i].order < a->order)
            a = &net->parts[i];
    if (a->family != 0) {
        sp_net_dropped(net, SP_NET_DROP_REASSEMBLY);
        end(net, a);
    }
    a->family = p->family;
    a->proto = p->proto;
    a->id = id;
    a->ecn = 0;
    a->dead = a->head = a->last = false;
    a->len = a->have = 0;
    a->order = net->part_order++;
    memcpy(a->src, p->src, 16);
    memcpy(a->dst, p->dst, 16);
    memset(a->blocks, 0, net->map_size);
    sp_net_timer(net, &a->timer, now + REASSEMBLY);
    return a;
}

static bool has(const struct reassembly *a, size_t block) {
    return (a->blocks[block / 8] >> (block % 8) & 1) != 0;
}

/* How many of the blocks from offset on are there already. */
static size_t blocks_there(const struct reassembly *a, size_t offset, size_t len) {
    size_t n = 0;
    for (size_t b = offset / 8; b < (offset + len + 7) / 8; b++)
        n += has(a, b);
    return n;
}

/* OK: new; ERR_EXIST: the same again; ERR_FORM: it overlaps others, or contradicts them. RFC 8200 4.5, RFC 5722. */
static sp_err fits(const struct reassembly *a, const struct packet *p, size_t offset, bool more) {
    size_t end_at = offset + p->len, there = blocks_there(a, offset, p->len);
    if (a->last && (end_at > a->len || (!more && end_at != a->len)))
        return SP_ERR_FORM;
    if (!more && !a->last)
        for (size_t b = (end_at + 7) / 8; b < 8 * ((a->len + 63) / 64); b++)
            if (has(a, b))
                return SP_ERR_FORM; /* it would be the last, and there is something after it */
    if (there == 0)
        return SP_OK;
    bool same = there == (p->len + 7) / 8 && end_at <= a->len && memcmp(a->data + offset, p->data, p->len) == 0;
    return same ? SP_ERR_EXIST : SP_ERR_FORM;
}

static void store(struct reassembly *a, const struct packet *p, size_t offset, bool more) {
    memcpy(a->data + offset, p->data, p->len);
    for (size_t b = offset / 8; b < (offset + p->len + 7) / 8; b++)
        a->blocks[b / 8] |= (uint8_t)(1u << (b % 8));
    a->have += p->len;
    if (offset + p->len > a->len)
        a->len = offset + p->len; /* the farthest so far; with the last fragment, the end */
    a->last |= !more;
    if (offset == 0) {
        a->head = true;
        a->proto = p->proto;
    }
    if (p->ecn == 3 || a->ecn != 3)
        a->ecn = p->ecn; /* RFC 3168 5.3: congestion seen by one was met by all */
}

bool sp_net_frag_input(struct sp_net *net, sp_instant now, struct packet *p, uint32_t id, size_t offset, bool more) {
    if (p->len == 0 || (more && p->len % 8 != 0) || offset + p->len > net->part_size) {
        sp_net_dropped(net, SP_NET_DROP_FRAGMENT);
        return false;
    }
    struct reassembly *a = find(net, p, id);
    if (a == NULL)
        a = start(net, now, p, id);
    sp_err fit = a->dead ? SP_ERR_FORM : fits(a, p, offset, more);
    if (fit != SP_OK) {
        sp_net_dropped(net, fit == SP_ERR_EXIST ? SP_NET_DROP_FRAGMENT : SP_NET_DROP_OVERLAP);
        a->dead |= fit == SP_ERR_FORM; /* its later fragments go the same way */
        return false;
    }
    store(a, p, offset, more);
    if (!a->last || !a->head || a->have != a->len)
        return false;
    p->data = a->data;
    p->len = a->len;
    p->proto = a->proto;
    p->ecn = a->ecn;
    p->fragmented = true;
    p->checked = false; /* a device checks no more than a frame */
    net->counts.reassembled++;
    end(net, a);
    return true;
}
