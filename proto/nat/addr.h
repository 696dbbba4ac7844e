/* Addresses as this room's formats carry them, and comparing them. */
#ifndef SP_NAT_ADDR_H
#define SP_NAT_ADDR_H

#include "proto/base/bytes.h"
#include "proto/base/host.h"

static inline size_t sp_nat_ip_len(const struct sp_addr *a) {
    return a->family == 4 ? 4 : 16;
}
static inline bool sp_nat_same_ip(const struct sp_addr *a, const struct sp_addr *b) {
    return a->family == b->family && a->scope == b->scope && memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}
static inline bool sp_nat_same(const struct sp_addr *a, const struct sp_addr *b) {
    return sp_nat_same_ip(a, b) && a->port == b->port;
}
/* u8 family (4, 6), address, u16 port. */
static inline void sp_nat_addr_write(struct sp_wr *wr, const struct sp_addr *a) {
    sp_wr_u8(wr, a->family);
    sp_wr_bytes(wr, a->ip, sp_nat_ip_len(a));
    sp_wr_u16(wr, a->port);
}
static inline void sp_nat_addr_read(struct sp_rd *rd, struct sp_addr *ret) {
    *ret = (struct sp_addr){.family = sp_rd_u8(rd)};
    if (rd->err == SP_OK && ret->family != 4 && ret->family != 6)
        sp_rd_fail(rd, SP_ERR_FORM);
    sp_rd_copy(rd, ret->ip, sp_nat_ip_len(ret));
    ret->port = sp_rd_u16(rd);
}

#endif
