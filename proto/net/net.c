#include "proto/net/impl.h"

#define NEIGHBOURS     256
#define FRAMES         64
#define REASSEMBLIES   8
#define REASSEMBLY_MAX 9216
#define REACHABLE_TIME (30 * SP_SEC)

/* ---- life ---- */

static void defaults(struct sp_net_config *c) {
    if (c->neighbours == 0)
        c->neighbours = NEIGHBOURS;
    if (c->frames == 0)
        c->frames = FRAMES;
    if (c->reassemblies == 0)
        c->reassemblies = REASSEMBLIES;
    if (c->reassembly_max == 0)
        c->reassembly_max = REASSEMBLY_MAX;
}

static bool static_ok(const struct sp_net_static *s) {
    bool family = s->addr.family == 4 || s->addr.family == 6;
    return family && s->bits > 0 && s->bits <= (s->addr.family == 4 ? 32 : 128) &&
           (s->gateway.family == 0 || s->gateway.family == s->addr.family);
}

static bool config_ok(const struct sp_net_config *c) {
    if (c->mtu < SP_NET_MTU_MIN || c->mtu > SP_NET_MTU_MAX || c->static_count > SP_NET_STATICS ||
        c->port_count > SP_NET_PORTS || (c->mac[0] & 1) != 0 || (c->slaac && !c->ipv6))
        return false;
    for (size_t i = 0; i < c->static_count; i++)
        if (!static_ok(&c->statics[i]))
            return false;
    return true;
}

static sp_err frames_new(struct sp_net *net) {
    size_t n = net->config.frames;
    net->frame_size = ((size_t)SP_NET_ETHER + net->config.mtu + 15) & ~(size_t)15;
    net->frame_store = sp_mem_alloc(net->config.mem, n * sizeof *net->frame_store);
    net->frame_data = sp_mem_alloc(net->config.mem, n * net->frame_size);
    if (net->frame_store == NULL || net->frame_data == NULL)
        return SP_ERR_FULL;
    for (size_t i = n; i-- > 0;) {
        net->frame_store[i].data = net->frame_data + i * net->frame_size;
        sp_net_frame_free(net, &net->frame_store[i]);
    }
    sp_net_frames_init(&net->out);
    return SP_OK;
}

static void set_hostname(struct sp_net *net, const char *name) {
    size_t len = name != NULL ? strlen(name) : 0;
    if (len >= sizeof net->hostname)
        len = sizeof net->hostname - 1;
    if (len > 0)
        memcpy(net->hostname, name, len);
    net->config.hostname = NULL;
}

static void reset(struct sp_net *net) {
    net->mtu4 = net->mtu6 = net->config.mtu;
    net->hop_limit = HOP_LIMIT;
    net->reachable = REACHABLE_TIME;
    net->retrans = RETRANS;
}

sp_err sp_net_new(struct sp_net **ret, const struct sp_net_config *config) {
    if (!config_ok(config))
        return SP_ERR_RANGE;
    struct sp_net *net = sp_mem_alloc(config->mem, sizeof *net);
    if (net == NULL)
        return SP_ERR_FULL;
    net->config = *config;
    net->config.tcp = NULL;
    defaults(&net->config);
    set_hostname(net, config->hostname);
    sp_rng_fill(config->rng, net->hash_key, sizeof net->hash_key);
    reset(net);
    sp_err err = frames_new(net);
    if (err == SP_OK)
        err = sp_net_neigh_new_all(net);
    if (err == SP_OK)
        err = sp_net_frag_new_all(net);
    if (err == SP_OK && config->tcp != NULL)
        err = sp_net_segment_new(net, config->tcp);
    if (err != SP_OK) {
        sp_net_free(net);
        return err;
    }
    *ret = net;
    return SP_OK;
}

void sp_net_free(struct sp_net *net) {
    if (net == NULL)
        return;
    struct sp_mem *mem = net->config.mem;
    const struct sp_net_config *c = &net->config;
    sp_tcp_free(net->tcp);
    if (net->neigh_store != NULL)
        sp_table_free(&net->neighbours);
    sp_mem_free(mem, net->neigh_store, c->neighbours * sizeof *net->neigh_store);
    sp_mem_free(mem, net->frame_store, c->frames * sizeof *net->frame_store);
    sp_mem_free(mem, net->frame_data, c->frames * net->frame_size);
    sp_mem_free(mem, net->parts, c->reassemblies * sizeof *net->parts);
    sp_mem_free(mem, net->part_data, c->reassemblies * (net->part_size + net->map_size));
    sp_mem_free(mem, net, sizeof *net);
}

void sp_net_link(struct sp_net *net, sp_instant now, bool up) {
    net->up = up;
    net->generation++;
    sp_net_neigh_forget(net);
    sp_net_frag_forget(net);
    for (struct frame *f; (f = sp_net_frames_take(&net->out)) != NULL;) {
        sp_net_frame_free(net, f);
        sp_net_dropped(net, SP_NET_DROP_LINK);
    }
    reset(net);
    sp_net_segment_link(net);
    sp_net_route_link(net, now, up);
    sp_net_addr_link(net, now, up);
    sp_net_ra_link(net, now, up);
    sp_net_dhcp_link(net, now, up);
}

void sp_net_offload(struct sp_net *net, unsigned device) {
    net->device = device;
    sp_net_segment_link(net);
}

/* ---- frames ---- */

/* For us, for all, or for an IPv6 group; which of these, the IP layer looks at. */
static bool mac_ok(const struct sp_net *net, const uint8_t mac[SP_NET_MAC]) {
    return (mac[0] & 1) != 0 || memcmp(mac, net->config.mac, SP_NET_MAC) == 0;
}

bool sp_net_input(struct sp_net *net, sp_instant now, const uint8_t *frame, size_t len, enum sp_net_csum csum,
                  struct sp_in *ret) {
    struct packet p = {.checked = csum == SP_NET_CSUM_GOOD};
    if (!net->up || len < SP_NET_ETHER) {
        sp_net_dropped(net, net->up ? SP_NET_DROP_SHORT : SP_NET_DROP_LINK);
        return false;
    }
    net->counts.frames_in++;
    p.mac = frame + SP_NET_MAC;
    p.group = (frame[0] & 1) != 0;
    if (!mac_ok(net, frame) || (p.mac[0] & 1) != 0) {
        sp_net_dropped(net, SP_NET_DROP_MAC);
        return false;
    }
    const uint8_t *data = frame + SP_NET_ETHER;
    len -= SP_NET_ETHER;
    switch (sp_get_u16(frame + 2 * SP_NET_MAC)) {
    case ETHER_IPV4:
        return sp_net_ipv4_input(net, now, &p, data, len, ret);
    case ETHER_IPV6:
        if (net->config.ipv6)
            return sp_net_ipv6_input(net, now, &p, data, len, ret);
        break;
    case ETHER_ARP:
        sp_net_arp_input(net, now, data, len);
        return false;
    default:
        break;
    }
    sp_net_dropped(net, SP_NET_DROP_ETHER);
    return false;
}

/* The next frame of the queue. */
static bool gather_queued(struct sp_net *net, struct sp_net_gather *ret) {
    struct frame *f = sp_net_frames_take(&net->out);
    if (f == NULL)
        return false;
    net->shown = f;
    ret->head_len = 0;
    ret->spans = 1;
    ret->span[0].data = f->data;
    ret->span[0].len = ret->len = f->len;
    ret->offload = (struct sp_offload){0};
    net->counts.frames_out++;
    return true;
}

bool sp_net_gather(struct sp_net *net, sp_instant now, struct sp_net_gather *ret) {
    if (net->shown != NULL)
        sp_net_frame_free(net, net->shown);
    net->shown = NULL;
    if (gather_queued(net, ret) || sp_net_segment_output(net, now, ret))
        return true;
    return gather_queued(net, ret); /* of a neighbour that a segment waits for, one has just been asked */
}

size_t sp_net_output(struct sp_net *net, sp_instant now, uint8_t *frame, size_t cap, struct sp_offload *ret) {
    struct sp_net_gather g;
    if (!sp_net_gather(net, now, &g))
        return 0;
    SP_ASSERT(g.len <= cap);
    memcpy(frame, g.head, g.head_len);
    frame += g.head_len;
    for (unsigned i = 0; i < g.spans; frame += g.span[i++].len)
        memcpy(frame, g.span[i].data, g.span[i].len);
    *ret = g.offload;
    return g.len;
}

/* ---- time ---- */

void sp_net_expire(struct sp_net *net, sp_instant now) {
    for (struct sp_timer *t; (t = sp_timers_pop(&net->timers, now)) != NULL;) {
        struct timer *due = SP_CONTAINER(t, struct timer, timer);
        due->fire(net, due, now);
    }
    if (net->tcp != NULL)
        sp_tcp_expire(net->tcp, now);
}

sp_instant sp_net_deadline(const struct sp_net *net) {
    sp_instant own = sp_timers_next(&net->timers);
    return net->tcp != NULL ? sp_instant_min(own, sp_tcp_deadline(net->tcp)) : own;
}

/* ---- looking ---- */

uint32_t sp_net_generation(const struct sp_net *net) {
    return net->generation;
}

const struct sp_net_counts *sp_net_counts(const struct sp_net *net) {
    return &net->counts;
}

const char *sp_net_drop_name(enum sp_net_drop drop) {
    switch (drop) {
#define X(name, text)                                                                                                  \
    case SP_NET_DROP_##name:                                                                                           \
        return text;
        SP_NET_DROPS(X)
#undef X
    default:
        return "?";
    }
}
