/* A query as answering sees it, and what it needs by the way. */
#ifndef SP_CORE_ASK_H
#define SP_CORE_ASK_H

#include "signpostd/core/answer.h"
#include "signpostd/core/reply.h"

struct sp_ask {
    const struct sp_view *view;
    struct sp_scratch *scratch;
    const struct sp_addr *client;
    enum sp_transport via;
    sp_wall now;
    uint32_t now_s;

    uint16_t id, flags, questions;
    uint16_t qtype, qclass;
    const uint8_t *qname; /* with the query's spelling; NULL without a question */
    uint8_t qname_len;

    bool edns, want_do, want_nsid, want_keepalive, send_cookie, malformed;
    uint8_t version;
    uint16_t edns_flags, udp_size;
    struct sp_rd cookie; /* its option's value, base NULL when absent */
    uint8_t cookie_out[24];

    struct sp_reply reply;
    struct sp_name_key key; /* of the question, lower case */
    _Alignas(struct sp_rrsig)
        uint8_t sig_room[sizeof(struct sp_rrsig) + SP_RRSIG_RDATA_MAX]; /* a signature that is not kept */
};

enum sp_ask_kind {
    SP_ASK_PLAIN, /* filled, to be answered */
    SP_ASK_OTHER, /* needs the full parser */
    SP_ASK_DROP,
};
/* Reads the usual query in one pass: opcode QUERY, one question, at most an OPT behind it. */
enum sp_ask_kind sp_ask_read(struct sp_ask *ask, const uint8_t *wire, size_t len);
/* Fills ask from a parsed message. */
void sp_ask_from_msg(struct sp_ask *ask, const struct sp_msg *msg);

/* How much room the OPT record will take (0 without EDNS), its error text apart. */
size_t sp_ask_opt_size(const struct sp_ask *ask);
/* Appends it, up to cap. */
void sp_ask_opt_write(const struct sp_ask *ask, struct sp_reply *r, size_t cap);

/* ---- sign.c ---- */

enum sp_sign_result { SP_SIGN_OK, SP_SIGN_BUDGET, SP_SIGN_FAIL };
/* The signature over an RRset; memo: its slot, or NULL for one that is made for this reply alone (a wildcard's
 * expansion). */
SP_CHECK enum sp_sign_result sp_ask_sign(struct sp_ask *ask, const struct sp_zone *z, const uint8_t *owner,
                                         size_t owner_len, const struct sp_rrs *rrs, _Atomic(struct sp_rrsig *) *memo,
                                         const uint8_t *bitmap, size_t bitmap_len, const struct sp_rrsig **ret);

/* ---- resolve.c ---- */

enum sp_resolved {
    SP_RESOLVED,    /* the reply is as it should be */
    SP_RESOLVED_TC, /* something that must be there did not fit */
    SP_RESOLVED_BUDGET,
    SP_RESOLVED_FAIL, /* SERVFAIL */
};
enum sp_resolved sp_ask_resolve(struct sp_ask *ask, const struct sp_zone *z);

/* Steps that resolve.c takes; each goes on only with SP_RESOLVED. */
struct sp_walk {
    struct sp_ask *ask;
    const struct sp_zone *zone;
    const struct sp_name_key *key; /* of the name that is now looked for */
    struct sp_place name;          /* the same name in the reply */
    const struct sp_node *dname;   /* the last DNAME that stands in the reply */
};
/* An RRset with its signature when asked for. synthesised: at the owner a wildcard stands for. */
enum sp_resolved sp_walk_put(struct sp_walk *w, enum sp_section section, struct sp_place owner,
                             const struct sp_rrset *set, uint32_t ttl, bool synthesised, struct sp_place *places,
                             size_t cap);
/* ---- denial.c ---- */
/* What exists at the name: node's types (source NULL: nothing does); n: the node whose memo may serve, or NULL. */
enum sp_resolved sp_walk_nsec(struct sp_walk *w, enum sp_section section, struct sp_place owner,
                              const struct sp_node *source, struct sp_node *memo, bool exists);
enum sp_resolved sp_walk_nodata(struct sp_walk *w, const struct sp_node *source, struct sp_node *memo);
enum sp_resolved sp_walk_nxdomain(struct sp_walk *w);
/* ---- additional.c ---- */
enum sp_resolved sp_walk_referral(struct sp_walk *w, const struct sp_node *cut);
void sp_walk_additional(struct sp_walk *w, const struct sp_rrset *set, const struct sp_place *places, size_t n);

#endif
