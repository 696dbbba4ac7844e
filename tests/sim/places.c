#include "tests/sim/places.h"

/* What a kind of place has: at most one IPv4 NAT and one IPv6 firewall, and which families. */
static const struct {
    const char *name;
    uint8_t mapping, filter, ports;
    bool v4, v6, nat4, carrier, no_v4, no_udp;
} KINDS[PLACE_KINDS] = {
    [PLACE_PUBLIC] = {"public", .v4 = true},
    [PLACE_ONE_TO_ONE] = {"1:1", NAT_MAPPING_ONE_TO_ONE, NAT_FILTER_ENDPOINT, 0, .v4 = true, .nat4 = true},
    [PLACE_FIREWALL] = {"firewall", NAT_MAPPING_FIREWALL, NAT_FILTER_PORT, 0, .v4 = true, .v6 = true, .nat4 = true},
    [PLACE_FIREWALL6] = {"firewall-v6", .v6 = true},
    [PLACE_DUAL] = {"dual-stack", NAT_MAPPING_PORT, NAT_FILTER_PORT, NAT_PORTS_RANDOM, .v4 = true, .v6 = true,
                    .nat4 = true},
    [PLACE_BLACK4] = {"v4-black-holed", NAT_MAPPING_ENDPOINT, NAT_FILTER_PORT, 0, .v4 = true, .v6 = true, .nat4 = true,
                      .no_v4 = true},
    [PLACE_EIM_EIF] = {"eim-eif", NAT_MAPPING_ENDPOINT, NAT_FILTER_ENDPOINT, NAT_PORTS_PRESERVE, .v4 = true,
                       .nat4 = true},
    [PLACE_EIM_ADF] = {"eim-adf", NAT_MAPPING_ENDPOINT, NAT_FILTER_ADDRESS, NAT_PORTS_PRESERVE, .v4 = true,
                       .nat4 = true},
    [PLACE_EIM_APDF] = {"eim-apdf", NAT_MAPPING_ENDPOINT, NAT_FILTER_PORT, NAT_PORTS_RANDOM, .v4 = true, .nat4 = true},
    [PLACE_ADM_APDF] = {"adm-apdf", NAT_MAPPING_ADDRESS, NAT_FILTER_PORT, NAT_PORTS_RANDOM, .v4 = true, .nat4 = true},
    [PLACE_EDM_SEQ] = {"edm-sequential", NAT_MAPPING_PORT, NAT_FILTER_PORT, NAT_PORTS_SEQUENTIAL, .v4 = true,
                       .nat4 = true},
    [PLACE_EDM] = {"edm-random", NAT_MAPPING_PORT, NAT_FILTER_PORT, NAT_PORTS_RANDOM, .v4 = true, .nat4 = true},
    [PLACE_CGNAT] = {"cgnat", NAT_MAPPING_ENDPOINT, NAT_FILTER_PORT, NAT_PORTS_RANDOM, .v4 = true, .nat4 = true,
                     .carrier = true},
    [PLACE_NO_UDP] = {"udp-blocked", NAT_MAPPING_ENDPOINT, NAT_FILTER_PORT, 0, .v4 = true, .nat4 = true,
                      .no_udp = true},
};

const char *place_name(enum place_kind kind) {
    return KINDS[kind].name;
}

static bool routed4(enum place_kind kind) {
    return !KINDS[kind].nat4 || KINDS[kind].mapping == NAT_MAPPING_FIREWALL;
}

struct sim_lan *place_new(struct sim_world *w, enum place_kind kind, unsigned number, const struct sim_link *link) {
    uint8_t high = (uint8_t)(number >> 8), low = (uint8_t)number;
    struct sim_lan *parent = NULL;
    struct sim_link own = *link;
    struct nat_config wall = {.mapping = NAT_MAPPING_FIREWALL, .filter = NAT_FILTER_PORT};
    struct nat_config nat = {
        .mapping = KINDS[kind].mapping, .filter = KINDS[kind].filter, .ports = KINDS[kind].ports, .limit = 1024};
    nat.outside = sim_v4(45, high, low, 1, 0);
    nat.seed = sim_random(w->sim);
    nat.inside = sim_v4(10, high, low, 10, 0);
    if (KINDS[kind].carrier) {
        parent = sim_lan_new(&w->net, NULL, &nat, NULL, link);
        parent->isolated = true;
        nat.outside = sim_v4(100, 64, high, low, 0);
        own.delay = 2 * SP_MS;
    }
    own.no_v4 = own.no_v4 || KINDS[kind].no_v4;
    own.no_udp = own.no_udp || KINDS[kind].no_udp;
    return sim_lan_new(&w->net, parent, KINDS[kind].nat4 ? &nat : NULL, KINDS[kind].v6 ? &wall : NULL, &own);
}

unsigned place_addrs(enum place_kind kind, unsigned number, unsigned host, struct sp_addr ret[2]) {
    uint8_t high = (uint8_t)(number >> 8), low = (uint8_t)number;
    unsigned n = 0;
    if (KINDS[kind].v4 && routed4(kind))
        ret[n++] = sim_v4(192, (uint8_t)(10 + high), low, (uint8_t)(10 + host), 0);
    else if (KINDS[kind].v4)
        ret[n++] = sim_v4(10, high, low, (uint8_t)(10 + host), 0);
    if (KINDS[kind].v6)
        ret[n++] = sim_v6((uint16_t)(0x100 + number), (uint16_t)(10 + host), 0);
    return n;
}

struct sim_device *place_device(struct sim_world *w, struct sim_lan *lan, enum place_kind kind, unsigned number,
                                unsigned host) {
    struct sp_addr addrs[2];
    unsigned n = place_addrs(kind, number, host, addrs);
    return sim_world_device(w, lan, addrs, n);
}

/* ---- what can be reached ---- */

/* What a NAT asks of the other side's, over IPv4: OPEN takes any, EASY is reached when it sends first, and its ports
 * are known; HALF is the same, and takes any port of an address that it sent to; HARD has another port for everybody.
 */
enum ease { NO_WAY, OPEN, HALF, EASY, HARD };

static enum ease ease4(enum place_kind kind) {
    switch (kind) {
    case PLACE_PUBLIC:
    case PLACE_ONE_TO_ONE:
    case PLACE_EIM_EIF:
        return OPEN;
    case PLACE_EIM_ADF:
        return HALF;
    case PLACE_FIREWALL:
    case PLACE_EIM_APDF:
    case PLACE_CGNAT:
        return EASY;
    case PLACE_ADM_APDF:
    case PLACE_EDM_SEQ:
    case PLACE_EDM:
    case PLACE_DUAL:
        return HARD;
    default:
        return NO_WAY;
    }
}

static bool has6(enum place_kind kind) {
    return kind == PLACE_FIREWALL || kind == PLACE_FIREWALL6 || kind == PLACE_DUAL || kind == PLACE_BLACK4;
}

bool places_direct(enum place_kind a, enum place_kind b) {
    enum ease x = ease4(a), y = ease4(b);
    if (has6(a) && has6(b))
        return true;
    if (x == NO_WAY || y == NO_WAY)
        return false;
    if (x == HARD || y == HARD)
        return (x == OPEN || x == HALF) || (y == OPEN || y == HALF);
    return true;
}
