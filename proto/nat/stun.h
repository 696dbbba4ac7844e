/* STUN: RFC 8489, with the attributes of behaviour discovery (RFC 5780). Codec and server; sans-I/O, without state. */
#ifndef SP_NAT_STUN_H
#define SP_NAT_STUN_H

#include "proto/nat/nat.h"

#define SP_STUN_COOKIE 0x2112A442u
#define SP_STUN_HEAD   20
#define SP_STUN_MAX    548

enum sp_stun_method { SP_STUN_BINDING = 1 };
enum sp_stun_class { SP_STUN_REQUEST, SP_STUN_INDICATION, SP_STUN_SUCCESS, SP_STUN_ERROR };

struct sp_stun {
    uint16_t method;
    uint8_t class; /* enum sp_stun_class */
    uint8_t id[12];
    struct sp_addr mapped, response_origin, other_address; /* family 0: absent; mapped: XOR-MAPPED, else MAPPED-ADDRESS */
    bool change_ip, change_port, has_change;
    uint16_t response_port; /* 0: absent */
    uint16_t padding;       /* bytes of PADDING; 0: absent */
    uint16_t error;         /* ERROR-CODE, 0: absent */
    bool fingerprint;       /* read: there was one, and it is right; write: put one at the end */
    uint16_t unknown[8];    /* comprehension-required attributes that are not known: what a 420 lists */
    unsigned unknown_count;
};

/* The demultiplexer's test: first two bits zero, cookie, and a length field that says exactly these bytes. RFC 8489 6.3, DESIGN. */
bool sp_stun_is(const uint8_t *data, size_t len);
/* ERR_FORM, ERR_SHORT. Checks FINGERPRINT when there is one (ERR_BADSIG). */
SP_CHECK sp_err sp_stun_read(struct sp_stun *ret, const uint8_t *data, size_t len);
/* Writes header and the attributes that are set; the unknown ones in an error only. The length; 0: cap too small. */
size_t sp_stun_write(const struct sp_stun *m, uint8_t *out, size_t cap);

/* A server's answer to one datagram. addrs: the addresses that the server listens on (for CHANGE-REQUEST and OTHER-ADDRESS: one
 * that differs in address and in port; an address of zeros stands for any). *ret_src: where the answer leaves from;
 * *ret_dst: where it goes, src but for the port that a request may ask for (RESPONSE-PORT). Never more than twice the request's bytes
 * with headers of IP and UDP, and for IPv6 four more: answers of 2 * len + 16 (IPv4) or + 52 bytes. 0: no answer. */
size_t sp_stun_serve(const uint8_t *data, size_t len, const struct sp_addr *src, const struct sp_addr *dst,
                     const struct sp_addr *addrs, size_t n_addrs, uint8_t *out, size_t cap, struct sp_addr *ret_src,
                     struct sp_addr *ret_dst);

#endif
