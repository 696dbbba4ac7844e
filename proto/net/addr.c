#include "proto/net/impl.h"

#include "proto/crypto/crypto.h"

#define ANNOUNCE_NUM      2
#define ANNOUNCE_INTERVAL (2 * SP_SEC)
#define DEFEND_INTERVAL   (10 * SP_SEC)
#define IDGEN_RETRIES     3
#define ARP_PROBES        3

static const uint8_t link_local[16] = {0xfe, 0x80};

struct address *sp_net_addr_find(struct sp_net *net, uint8_t family, const uint8_t ip[16]) {
    for (size_t i = 0; i < net->address_end; i++) {
        struct address *a = &net->addresses[i];
        if (a->state != ADDR_NONE && a->family == family && sp_net_same(a->ip, ip))
            return a;
    }
    return NULL;
}

bool sp_net_addr_ready(struct sp_net *net, uint8_t family, const uint8_t ip[16]) {
    const struct address *a = sp_net_addr_find(net, family, ip);
    return a != NULL && a->state == ADDR_READY;
}

/* ---- probing and announcing: RFC 5227, RFC 4862 5.4 ---- */

static void announce(struct sp_net *net, sp_instant now, const struct address *a) {
    static const uint8_t all_nodes[16] = {0xff, 2, [15] = 1};
    if (a->family == 4)
        sp_net_arp_request(net, NULL, a->ip, a->ip);
    else
        sp_net_nd_advertise(net, now, a->ip, all_nodes, false);
}

static void ready(struct sp_net *net, sp_instant now, struct address *a) {
    a->state = ADDR_READY;
    a->tries = 1;
    net->generation++;
    announce(net, now, a);
    if (a->from == FROM_DHCP)
        sp_net_dhcp_probed(net, now, true);
    sp_net_timer(net, &a->timer, now + ANNOUNCE_INTERVAL);
    if (a->family == 6)
        sp_net_mld_report(net, now); /* once more, from an address that may be used */
}

static void probe(struct sp_net *net, sp_instant now, struct address *a) {
    a->tries--;
    if (a->family == 4)
        sp_net_arp_request(net, NULL, sp_net_zero, a->ip);
    else
        sp_net_nd_solicit(net, now, NULL, sp_net_zero, a->ip);
    sp_net_timer(net, &a->timer, now + (a->family == 4 ? SP_SEC : net->retrans));
}

static void on_timer(struct sp_net *net, struct timer *t, sp_instant now) {
    struct address *a = SP_CONTAINER(t, struct address, timer);
    if (a->state == ADDR_TENTATIVE && a->tries > 0) {
        probe(net, now, a);
    } else if (a->state == ADDR_TENTATIVE) {
        ready(net, now, a);
    } else if (a->state == ADDR_READY && a->tries < ANNOUNCE_NUM) {
        a->tries++;
        announce(net, now, a);
        if (a->tries < ANNOUNCE_NUM)
            sp_net_timer(net, &a->timer, now + ANNOUNCE_INTERVAL);
    }
}

/* ---- lifetimes ---- */

static void on_life(struct sp_net *net, struct timer *t, sp_instant now) {
    struct address *a = SP_CONTAINER(t, struct address, life);
    if (now >= a->valid_until)
        sp_net_addr_remove(net, a);
    else
        sp_net_addr_lifetime(net, a, a->preferred_until, a->valid_until);
    net->generation++;
}

void sp_net_addr_lifetime(struct sp_net *net, struct address *a, sp_instant preferred_until, sp_instant valid_until) {
    a->preferred_until = preferred_until;
    a->valid_until = valid_until;
    sp_net_timer(net, &a->life, valid_until);
}

/* ---- the table ---- */

static struct address *place(struct sp_net *net) {
    for (size_t i = 0; i < SP_NET_ADDRESSES; i++)
        if (net->addresses[i].state == ADDR_NONE)
            return &net->addresses[i];
    return NULL;
}

struct address *sp_net_addr_add(struct sp_net *net, sp_instant now, uint8_t family, const uint8_t ip[16], uint8_t bits,
                                enum addr_from from, unsigned probes) {
    struct address *a = sp_net_addr_find(net, family, ip) == NULL ? place(net) : NULL;
    if (a == NULL)
        return NULL;
    *a = (struct address){.timer.fire = on_timer,
                          .life.fire = on_life,
                          .family = family,
                          .bits = bits,
                          .tries = (uint8_t)probes,
                          .state = ADDR_TENTATIVE,
                          .from = from,
                          .preferred_until = SP_NEVER,
                          .valid_until = SP_NEVER};
    memcpy(a->ip, ip, 16);
    if (a >= net->addresses + net->address_end)
        net->address_end = (size_t)(a - net->addresses) + 1;
    if (family == 6)
        sp_net_mld_report(net, now);
    if (probes > 0)
        probe(net, now, a);
    else
        ready(net, now, a);
    return a;
}

void sp_net_addr_remove(struct sp_net *net, struct address *a) {
    sp_net_timer_off(net, &a->timer);
    sp_net_timer_off(net, &a->life);
    if (a->state == ADDR_READY)
        net->generation++;
    a->state = ADDR_NONE;
    while (net->address_end > 0 && net->addresses[net->address_end - 1].state == ADDR_NONE)
        net->address_end--;
}

/* RFC 7217 5: the interface part is a hash of prefix, hardware, how often it clashed, and a secret. */
void sp_net_addr_stable(const struct sp_net *net, const uint8_t prefix[16], uint8_t attempt, uint8_t ret[16]) {
    uint8_t hash[32];
    const struct sp_piece pieces[] = {
        {prefix, 8}, {net->config.mac, SP_NET_MAC}, {&attempt, 1}, {net->config.secret, sizeof net->config.secret}};
    sp_hash_pieces(SP_SHA256, pieces, 4, hash);
    memcpy(ret, prefix, 8);
    memcpy(ret + 8, hash, 8);
}

/* ---- conflicts ---- */

/* RFC 7217 6: another one, a few times. */
static void try_another(struct sp_net *net, sp_instant now, struct address *a) {
    struct address old = *a;
    uint8_t ip[16];
    sp_net_addr_remove(net, a);
    if (old.attempt >= IDGEN_RETRIES)
        return;
    sp_net_addr_stable(net, old.ip, old.attempt + 1, ip);
    a = sp_net_addr_add(net, now, 6, ip, old.bits, old.from, 1);
    if (a == NULL)
        return;
    a->attempt = old.attempt + 1;
    sp_net_addr_lifetime(net, a, old.preferred_until, old.valid_until);
}

/* RFC 5227 2.4 (c): an address that an operator gave is defended for ever, but not too often; (b): others once. */
static void defend(struct sp_net *net, sp_instant now, struct address *a) {
    bool recent = a->conflict_at != 0 && now - a->conflict_at < DEFEND_INTERVAL;
    if (recent && a->from == FROM_DHCP) {
        sp_net_dhcp_probed(net, now, false);
        return;
    }
    if (recent)
        return;
    a->conflict_at = now;
    announce(net, now, a);
}

void sp_net_addr_conflict(struct sp_net *net, sp_instant now, struct address *a) {
    net->counts.conflicts++;
    if (a->state == ADDR_READY) {
        if (a->family == 4)
            defend(net, now, a);
    } else if (a->state == ADDR_TENTATIVE) {
        if (a->from == FROM_DHCP) {
            sp_net_dhcp_probed(net, now, false);
        } else if (a->from == FROM_STATIC) {
            sp_net_timer_off(net, &a->timer);
            a->state = ADDR_DUPLICATE;
            net->generation++;
        } else {
            try_another(net, now, a);
        }
    }
}

/* ---- choosing ---- */

static unsigned common_bits(const uint8_t a[16], const uint8_t b[16]) {
    unsigned n = 0;
    while (n < 128 && ((a[n / 8] ^ b[n / 8]) >> (7 - n % 8) & 1) == 0)
        n++;
    return n;
}

static bool is_link_local(uint8_t family, const uint8_t ip[16]) {
    return family == 6 && ((ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80) || (ip[0] == 0xff && (ip[1] & 0xf) == 2));
}

/* Bigger is better: RFC 6724 5, rules 1, 2, 3 and 8. */
static unsigned score(const struct address *a, sp_instant now, const uint8_t dst[16]) {
    unsigned s = common_bits(a->ip, dst);
    if (s == 128)
        return 1024;
    if (now < a->preferred_until)
        s += 128;
    if (is_link_local(a->family, a->ip) == is_link_local(a->family, dst))
        s += 256;
    return s;
}

const struct address *sp_net_addr_source(const struct sp_net *net, sp_instant now, uint8_t family,
                                         const uint8_t dst[16]) {
    const struct address *best = NULL;
    unsigned best_score = 0;
    for (size_t i = 0; i < net->address_end; i++) {
        const struct address *a = &net->addresses[i];
        if (a->state != ADDR_READY || a->family != family)
            continue;
        unsigned s = score(a, now, dst);
        if (best == NULL || s > best_score) {
            best = a;
            best_score = s;
        }
    }
    return best;
}

bool sp_net_addr_is_broadcast(const struct sp_net *net, const uint8_t ip[16]) {
    uint32_t v = sp_get_u32(ip);
    if (v == UINT32_MAX)
        return true;
    for (size_t i = 0; i < net->address_end; i++) {
        const struct address *a = &net->addresses[i];
        if (a->state != ADDR_READY || a->family != 4 || a->bits > 30)
            continue;
        uint32_t host = UINT32_MAX >> a->bits, mine = sp_get_u32(a->ip);
        if (a->bits > 0 && (v == (mine | host) || v == (mine & ~host)))
            return true;
    }
    return false;
}

size_t sp_net_addresses(const struct sp_net *net, struct sp_addr *ret, size_t max) {
    size_t n = 0;
    for (unsigned round = 0; round < 2; round++)
        for (size_t i = 0; i < SP_NET_ADDRESSES && n < max; i++) {
            const struct address *a = &net->addresses[i];
            bool second = a->from == FROM_SLAAC; /* what the operator or a lease gave comes first */
            if (a->state != ADDR_READY || a->from == FROM_LINK_LOCAL || second != (round == 1))
                continue;
            ret[n] = (struct sp_addr){.family = a->family};
            memcpy(ret[n++].ip, a->ip, 16);
        }
    return n;
}

size_t sp_net_duplicates(const struct sp_net *net, struct sp_addr *ret, size_t max) {
    size_t n = 0;
    for (size_t i = 0; i < SP_NET_ADDRESSES && n < max; i++) {
        const struct address *a = &net->addresses[i];
        if (a->state != ADDR_DUPLICATE)
            continue;
        ret[n] = (struct sp_addr){.family = a->family};
        memcpy(ret[n++].ip, a->ip, 16);
    }
    return n;
}

/* ---- the link ---- */

static void add_statics(struct sp_net *net, sp_instant now) {
    for (size_t i = 0; i < net->config.static_count; i++) {
        const struct sp_net_static *s = &net->config.statics[i];
        unsigned probes = s->addr.family == 6 ? 1 : net->config.probe_statics ? ARP_PROBES : 0;
        if (s->addr.family == 4 || net->config.ipv6)
            (void)sp_net_addr_add(net, now, s->addr.family, s->addr.ip, s->bits, FROM_STATIC, probes);
    }
}

void sp_net_addr_link(struct sp_net *net, sp_instant now, bool up) {
    for (size_t i = 0; i < SP_NET_ADDRESSES; i++)
        if (net->addresses[i].state != ADDR_NONE)
            sp_net_addr_remove(net, &net->addresses[i]);
    if (!up)
        return;
    if (net->config.ipv6) {
        uint8_t ip[16];
        sp_net_addr_stable(net, link_local, 0, ip);
        (void)sp_net_addr_add(net, now, 6, ip, 64, FROM_LINK_LOCAL, 1);
    }
    add_statics(net, now);
}
