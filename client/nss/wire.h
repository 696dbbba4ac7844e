/* The little DNS that the NSS module needs: one question, and the answers to it. RFC 1035 4. Runs inside every program
 * of the host, so there is nothing here but bytes on the stack. */
#ifndef SP_NSS_WIRE_H
#define SP_NSS_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NSS_QUERY_MAX 280 /* header, name, type, class */
#define NSS_REPLY_MAX 4096
#define NSS_NAME_MAX  254 /* text with its zero */
#define NSS_ADDRS_MAX 16

#define NSS_TYPE_A    1
#define NSS_TYPE_PTR  12
#define NSS_TYPE_AAAA 28

/* A query for a name as a program gave it, with or without the final dot. RD is not set: what is not the agent's own is
 * not to be asked of others. The length; 0: cap (NSS_QUERY_MAX is enough) too small, or not a host's name (letters,
 * digits, "-", "_"). */
size_t nss_wire_query(const char *name, uint16_t type, uint16_t id, uint8_t *ret, size_t cap);
/* The name below ip6.arpa of an address. RFC 3596 2.5. */
void nss_wire_reverse(const uint8_t addr[16], char ret[NSS_NAME_MAX]);

struct nss_reply {
    unsigned rcode;
    uint32_t ttl; /* the least */
    unsigned count;
    uint8_t addrs[NSS_ADDRS_MAX][16]; /* A: the first four bytes */
    char name[NSS_NAME_MAX];          /* PTR: the first, without the final dot */
};
/* Takes the answers of `type` from a reply to `query`; true if it is one. More addresses than fit are left out. */
bool nss_wire_reply(struct nss_reply *ret, const uint8_t *query, size_t query_len, const uint8_t *reply, size_t len);

#endif
