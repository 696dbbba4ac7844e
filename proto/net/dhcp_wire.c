#include "proto/net/dhcp_wire.h"

#define COOKIE          0x63825363
#define MIN             300 /* what BOOTP's relays expect */
#define SNAME           64
#define FILE            128
#define SIZE_MAX_OPTION 1500

enum {
    OPT_PAD = 0,
    OPT_MASK = 1,
    OPT_ROUTER = 3,
    OPT_DNS = 6,
    OPT_HOSTNAME = 12,
    OPT_MTU = 26,
    OPT_REQUESTED = 50,
    OPT_LEASE = 51,
    OPT_OVERLOAD = 52,
    OPT_TYPE = 53,
    OPT_SERVER = 54,
    OPT_WANTED = 55,
    OPT_SIZE = 57,
    OPT_T1 = 58,
    OPT_T2 = 59,
    OPT_CLIENT = 61,
    OPT_END = 255
};

static void read_option(struct dhcp_message *m, uint8_t code, struct sp_rd r, uint8_t *overload) {
    size_t len = sp_rd_left(&r);
    uint32_t *word = code == OPT_MASK     ? &m->mask
                     : code == OPT_ROUTER ? &m->router
                     : code == OPT_SERVER ? &m->server
                     : code == OPT_LEASE  ? &m->lease_s
                     : code == OPT_T1     ? &m->t1_s
                     : code == OPT_T2     ? &m->t2_s
                                          : NULL;
    if (word != NULL && len >= 4) {
        *word = sp_rd_u32(&r); /* of several routers the first */
    } else if (code == OPT_TYPE && len == 1) {
        m->type = sp_rd_u8(&r);
    } else if (code == OPT_MTU && len == 2) {
        m->mtu = sp_rd_u16(&r);
    } else if (code == OPT_OVERLOAD && len == 1) {
        *overload = sp_rd_u8(&r);
    } else if (code == OPT_DNS) {
        for (m->resolver_count = 0; sp_rd_left(&r) >= 4 && m->resolver_count < DHCP_RESOLVERS;)
            m->resolvers[m->resolver_count++] = sp_rd_u32(&r);
    }
}

static sp_err read_options(struct dhcp_message *m, struct sp_rd r, uint8_t *overload) {
    while (sp_rd_left(&r) > 0) {
        uint8_t code = sp_rd_u8(&r);
        if (code == OPT_END)
            break;
        if (code == OPT_PAD)
            continue;
        read_option(m, code, sp_rd_sub(&r, sp_rd_u8(&r)), overload);
    }
    return r.err;
}

sp_err sp_net_dhcp_read(const uint8_t *data, size_t len, struct dhcp_message *ret) {
    struct dhcp_message m = {0};
    struct sp_rd r = sp_rd_init(data, len);
    uint32_t head = sp_rd_u32(&r);
    m.xid = sp_rd_u32(&r);
    m.secs = sp_rd_u16(&r);
    sp_rd_u16(&r);
    m.ciaddr = sp_rd_u32(&r);
    m.yiaddr = sp_rd_u32(&r);
    sp_rd_bytes(&r, 8);
    sp_rd_copy(&r, m.mac, 6);
    sp_rd_bytes(&r, 10);
    struct sp_rd sname = sp_rd_sub(&r, SNAME), file = sp_rd_sub(&r, FILE);
    uint32_t cookie = sp_rd_u32(&r);
    if (r.err != SP_OK)
        return r.err;
    if (head >> 8 != 0x020106 || cookie != COOKIE)
        return SP_ERR_FORM;
    uint8_t overload = 0, none = 0;
    SP_TRY(read_options(&m, r, &overload));
    if ((overload & 1) != 0)
        SP_TRY(read_options(&m, file, &none));
    if ((overload & 2) != 0)
        SP_TRY(read_options(&m, sname, &none));
    if (m.type == 0)
        return SP_ERR_FORM; /* BOOTP */
    *ret = m;
    return SP_OK;
}

static void write_word(struct sp_wr *w, uint8_t code, uint32_t value) {
    if (value == 0)
        return;
    sp_wr_u8(w, code);
    sp_wr_u8(w, 4);
    sp_wr_u32(w, value);
}

static void write_options(struct sp_wr *w, const struct dhcp_message *m, const char *hostname) {
    static const uint8_t wanted[] = {OPT_WANTED, 7, OPT_MASK, OPT_ROUTER, OPT_DNS, OPT_MTU, OPT_LEASE, OPT_T1, OPT_T2};
    sp_wr_u8(w, OPT_TYPE);
    sp_wr_u8(w, 1);
    sp_wr_u8(w, m->type);
    sp_wr_u8(w, OPT_CLIENT);
    sp_wr_u8(w, 7);
    sp_wr_u8(w, 1); /* Ethernet */
    sp_wr_bytes(w, m->mac, 6);
    write_word(w, OPT_REQUESTED, m->requested);
    write_word(w, OPT_SERVER, m->server);
    if (m->type != DHCP_DECLINE) {
        sp_wr_bytes(w, wanted, sizeof wanted);
        sp_wr_u8(w, OPT_SIZE);
        sp_wr_u8(w, 2);
        sp_wr_u16(w, SIZE_MAX_OPTION);
        size_t len = strlen(hostname);
        if (len > 0) {
            sp_wr_u8(w, OPT_HOSTNAME);
            sp_wr_u8(w, (uint8_t)len);
            sp_wr_bytes(w, hostname, len);
        }
    }
    sp_wr_u8(w, OPT_END);
}

size_t sp_net_dhcp_write(const struct dhcp_message *m, const char *hostname, uint8_t buf[DHCP_MESSAGE_MAX]) {
    struct sp_wr w = sp_wr_init(buf, DHCP_MESSAGE_MAX);
    memset(buf, 0, DHCP_MESSAGE_MAX);
    sp_wr_u32(&w, 0x01010600); /* request, Ethernet */
    sp_wr_u32(&w, m->xid);
    sp_wr_u16(&w, m->secs);
    sp_wr_u16(&w, 0);
    sp_wr_u32(&w, m->ciaddr);
    sp_wr_reserve(&w, 12);
    sp_wr_bytes(&w, m->mac, 6);
    sp_wr_reserve(&w, 10 + SNAME + FILE);
    sp_wr_u32(&w, COOKIE);
    write_options(&w, m, hostname);
    SP_ASSERT(w.err == SP_OK);
    return sp_wr_len(&w) > MIN ? sp_wr_len(&w) : MIN;
}
