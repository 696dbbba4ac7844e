/* Answering: a pure function from a view of the zones, a query and the wall clock to a reply. */
#ifndef SP_CORE_ANSWER_H
#define SP_CORE_ANSWER_H

#include "proto/base/host.h"
#include "proto/dns/cookie.h"
#include "signpostd/core/zone.h"

enum sp_transport { SP_VIA_UDP, SP_VIA_TCP, SP_VIA_COUNT };

/* What answering needs beside the zones; published by the writer, read only here. */
struct sp_view {
    const struct sp_zones *zones;
    struct sp_cookie_secrets cookies;
    uint16_t udp_size_max; /* EDNS size we offer and obey, 1232 */
    uint16_t tcp_keepalive; /* units of 100 ms, RFC 7828 */
    uint8_t nsid[64];
    uint8_t nsid_len;
};

/* Counted per worker, added up by whoever shows them. */
#define SP_QTYPE_SLOTS 64 /* types below 64 by number, others in slot 0 (and their own where named) */
struct sp_answer_counts {
    uint64_t queries[SP_VIA_COUNT], queries_edns, queries_do;
    uint64_t by_type[SP_QTYPE_SLOTS], type_https, type_svcb, type_any, type_caa, type_other;
    uint64_t by_rcode[32];
    uint64_t truncated, dropped_short, dropped_response, formerr, badvers, badcookie, cookies_good, cookies_bad;
    uint64_t signatures_made, signatures_reused, signatures_refused;
};

/* One worker's workspace; zeroed before its first use, and for the zones of one sp_zones only. */
struct sp_scratch {
    struct sp_answer_counts counts;
    uint32_t sign_left;  /* signatures that this call and the following may make; the caller refills it */
    uint32_t sign_kept;  /* the same, for signatures that are memoised alone: they draw on it first */
    struct sp_mem *mem;  /* for memoised signatures; NULL: sign, do not keep */
    const struct sp_zone *last_zone; /* that answered last, while last_generation holds */
    uint64_t last_generation;
    uint8_t canonical[SP_MSG_MAX + 4096]; /* for signing */
    struct sp_msg msg;
};

enum sp_verdict {
    SP_ANSWERED, /* *ret_len bytes of reply in out */
    SP_DROPPED,  /* nothing to say (a response, or under 12 bytes); counted */
    SP_FOR_WRITER, /* not a plain query: UPDATE, NOTIFY, AXFR/IXFR, TSIG or SIG(0): scratch->msg is its parsed form */
};

/* Answers one query. cap: for UDP at least 512; the reply is limited by the EDNS rules too. For TCP up to SP_MSG_MAX.
 * auth_room: bytes kept free at the end for a TSIG that the caller appends. Beyond the signing budget: UDP gets an empty TC
 * reply (TCP proves the source), TCP a SERVFAIL with an EDE. Bounds: at most 16 CNAME/DNAME steps, 127 labels, 13 glue names. */
enum sp_verdict sp_answer(const struct sp_view *view, struct sp_scratch *scratch, const uint8_t *query, size_t len,
                          enum sp_transport via, const struct sp_addr *client, sp_wall now, uint8_t *out, size_t cap,
                          size_t auth_room, size_t *ret_len);
/* The same for a message that was handed back as SP_FOR_WRITER and whose signature the caller has verified. */
enum sp_verdict sp_answer_verified(const struct sp_view *view, struct sp_scratch *scratch, const struct sp_msg *msg,
                                   enum sp_transport via, const struct sp_addr *client, sp_wall now, uint8_t *out, size_t cap,
                                   size_t auth_room, size_t *ret_len);
/* A reply without records: header, question, OPT when the query had one, with an optional EDE (info code, or -1; text may be NULL). */
size_t sp_reply_empty(const struct sp_view *view, const struct sp_msg *msg, uint16_t rcode, int ede, const char *ede_text,
                      uint8_t *out, size_t cap);

#endif
