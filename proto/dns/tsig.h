/* TSIG. RFC 8945. HMAC-SHA256, -384, -512. */
#ifndef SP_DNS_TSIG_H
#define SP_DNS_TSIG_H

#include "proto/base/time.h"
#include "proto/crypto/crypto.h"
#include "proto/dns/msg.h"

struct sp_tsig_key {
    struct sp_name name; /* lower case */
    enum sp_hash hash;
    uint8_t secret[128];
    uint16_t secret_len;
    uint16_t mac_min; /* a shorter MAC, though RFC 8945 5.2.2.1 allows it, is BADTRUNC; 0: whatever the RFC allows (half a hash) */
};

/* What a later message of the same exchange needs. */
struct sp_tsig_state {
    uint8_t mac[SP_HASH_MAX]; /* of the previous message */
    uint16_t mac_len;
    uint16_t error;  /* TSIG error to put into the reply: 0, BADSIG, BADKEY, BADTIME, BADTRUNC */
    uint64_t client_time; /* time signed of the request */
};

/* Splits off the key name and algorithm of a message with auth == SP_AUTH_TSIG, to look the key up. ERR_FORM. */
SP_CHECK sp_err sp_tsig_peek(const struct sp_msg *msg, struct sp_name *ret_key, struct sp_name *ret_alg);
/* Algorithm from its name; ERR_UNSUP. */
SP_CHECK sp_err sp_tsig_alg(const struct sp_name *alg, enum sp_hash *ret);
void sp_tsig_alg_name(enum sp_hash hash, struct sp_name *ret);
/* Verifies a request, or a reply when `request` is the state the request was signed with (which may be state itself). ERR_BADSIG,
 * ERR_TIME, ERR_BADKEY (name or algorithm is not the key's); state->error is then the TSIG error for the reply, or what a reply said.
 * ERR_FORM (also for a MAC longer than the hash or shorter than RFC 8945 5.2.2.1 allows): answer FORMERR without TSIG. Constant time
 * compare. state need not be initialised. */
SP_CHECK sp_err sp_tsig_verify(const struct sp_msg *msg, const struct sp_tsig_key *key, sp_wall now,
                               const struct sp_tsig_state *request, struct sp_tsig_state *state);
/* The next message of a TCP reply of several, each of them signed (5.3.1); state is the previous message's. */
SP_CHECK sp_err sp_tsig_verify_later(const struct sp_msg *msg, const struct sp_tsig_key *key, sp_wall now, struct sp_tsig_state *state);
/* Appends the TSIG record to the finished message in wr (counts already written; ARCOUNT is raised here). request: NULL for a
 * request, else the verified request's state (which may be state itself): its MAC is covered and its error is written, BADTIME with
 * the server's time; after BADSIG and BADKEY the record is unsigned (5.3.2). `later`: second and following messages of a TCP exchange
 * (5.3.1), where request is NULL and state->mac the previous message's. state receives the new MAC. ERR_SPACE changes nothing. */
SP_CHECK sp_err sp_tsig_sign(struct sp_wr *wr, const struct sp_tsig_key *key, sp_wall now, const struct sp_tsig_state *request,
                             bool later, struct sp_tsig_state *state);
/* The largest size of the record for this key, to reserve room. */
size_t sp_tsig_size(const struct sp_tsig_key *key);
/* For BADKEY: the reply's unsigned TSIG, from the names of the request. */
SP_CHECK sp_err sp_tsig_unsigned(struct sp_wr *wr, const struct sp_name *key, const struct sp_name *alg, uint16_t error, sp_wall now);

#endif
