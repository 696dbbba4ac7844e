#include "client/core/presence.h"

struct prefix {
    uint8_t bytes[4];
    uint8_t bits;
    enum sp_addr_reach reach;
};

/* What is not global; the first match counts. RFC 6890. */
static const struct prefix v4[] = {
    {{0}, 8, SP_REACH_NONE},
    {{127}, 8, SP_REACH_NONE},
    {{169, 254}, 16, SP_REACH_NONE},
    {{224}, 3, SP_REACH_NONE},
    {{10}, 8, SP_REACH_PRIVATE},
    {{172, 16}, 12, SP_REACH_PRIVATE},
    {{192, 168}, 16, SP_REACH_PRIVATE},
    {{100, 64}, 10, SP_REACH_PRIVATE},
    {{198, 18}, 15, SP_REACH_PRIVATE},
};

static bool within(const uint8_t *ip, const struct prefix *p) {
    unsigned whole = p->bits / 8, rest = p->bits % 8;
    if (memcmp(ip, p->bytes, whole) != 0)
        return false;
    return rest == 0 || ((ip[whole] ^ p->bytes[whole]) >> (8 - rest)) == 0;
}

enum sp_addr_reach sp_addr_reach(const struct sp_addr *addr) {
    if (addr->family == 4) {
        for (size_t i = 0; i < sizeof v4 / sizeof *v4; i++)
            if (within(addr->ip, &v4[i]))
                return v4[i].reach;
        return SP_REACH_GLOBAL;
    }
    if (addr->family != 6)
        return SP_REACH_NONE;
    if ((addr->ip[0] & 0xfe) == 0xfc)
        return SP_REACH_PRIVATE;
    return (addr->ip[0] & 0xe0) == 0x20 ? SP_REACH_GLOBAL : SP_REACH_NONE;
}

bool sp_addr_publishable(const struct sp_addr *addr) {
    static const uint8_t zero[16] = {0};
    if (addr->family == 4)
        return addr->ip[0] != 0 && addr->ip[0] < 224;
    return addr->family == 6 && addr->ip[0] != 0xff && memcmp(addr->ip, zero, 16) != 0;
}

bool sp_addrs_have(const struct sp_addr *list, unsigned n, const struct sp_addr *addr) {
    for (unsigned i = 0; i < n; i++)
        if (list[i].family == addr->family && memcmp(list[i].ip, addr->ip, addr->family == 4 ? 4 : 16) == 0)
            return true;
    return false;
}

static unsigned add(const struct sp_agent *a, struct sp_addr *list, unsigned n, const struct sp_addr *addr) {
    bool overlay = addr->family == 6 && memcmp(addr->ip, a->overlay, 8) == 0;
    if (n == SP_AGENT_PUBLISH_MAX || overlay || !sp_addr_publishable(addr) || sp_addrs_have(list, n, addr))
        return n;
    list[n] = (struct sp_addr){.family = addr->family};
    memcpy(list[n].ip, addr->ip, addr->family == 4 ? 4 : 16);
    return n + 1;
}

unsigned sp_presence_select(const struct sp_agent *a, struct sp_addr ret[SP_AGENT_PUBLISH_MAX]) {
    unsigned n = 0;
    for (unsigned i = 0; i < a->publish_count; i++)
        n = add(a, ret, n, &a->publish[i]);
    for (unsigned i = 0; i < a->link_count; i++) {
        enum sp_addr_reach reach = sp_addr_reach(&a->links[i]);
        if ((reach == SP_REACH_GLOBAL && a->publish_auto) || (reach == SP_REACH_PRIVATE && a->publish_private))
            n = add(a, ret, n, &a->links[i]);
    }
    return n;
}
