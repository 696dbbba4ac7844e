/* DNSSEC signing with one Ed25519 key a zone (flags 257), compact denial. RFC 4034, 4035, 8080, 9824. */
#ifndef SP_DNS_DNSSEC_H
#define SP_DNS_DNSSEC_H

#include "proto/crypto/crypto.h"
#include "proto/dns/rrset.h"
#include "proto/dns/sig0.h"

struct sp_zone_key {
    struct sp_name zone; /* lower case */
    struct sp_ed25519 key;
    uint16_t tag;
};

void sp_zone_key_init(struct sp_zone_key *k, const struct sp_name *zone, const struct sp_ed25519 *key);
#define SP_DNSKEY_RDATA 36
void sp_dnskey_rdata(const struct sp_zone_key *k, uint8_t ret[SP_DNSKEY_RDATA]);
/* DS with SHA-256 (also CDS); 36 bytes. */
#define SP_DS_RDATA 36
void sp_ds_rdata(const struct sp_zone_key *k, uint8_t ret[SP_DS_RDATA]);

/* Validity windows are quantised, so that every signer of a zone makes the same bytes: the window that holds `now`. Windows are four
 * days long and begin at multiples of four days; a signature holds from a day before its window to ten days after it. So one that
 * was made, or renewed in time, has ten days left, and one used up to five days after `renew` still has five: holders may spread
 * their renewals over that time. */
struct sp_sig_window {
    uint32_t inception, expiration; /* of signatures made now */
    uint32_t renew;                 /* wall second from which the next window is to be used */
};
struct sp_sig_window sp_sig_window_at(sp_wall now);

/* RRSIG rdata: 18 bytes, the signer's name, 64 bytes of signature. */
#define SP_RRSIG_RDATA_MAX (18 + SP_NAME_MAX + SP_ED25519_SIG)
/* Signs rrs at owner (for a wildcard expansion pass the wildcard's own name). scratch must hold the canonical form:
 * 18 + zone + count * (owner + 10) + rrs->len bytes; ERR_SPACE. ret_len is set. Deterministic. */
SP_CHECK sp_err sp_dnssec_sign(const struct sp_zone_key *k, const struct sp_name *owner, const struct sp_rrs *rrs,
                               struct sp_sig_window window, uint8_t *scratch, size_t scratch_len, uint8_t ret[SP_RRSIG_RDATA_MAX],
                               size_t *ret_len);
/* Type bitmap of RFC 4034 4.1.2 from an ascending list. */
void sp_type_bitmap(struct sp_wr *wr, const uint16_t *types, size_t n);
/* NSEC rdata of RFC 9824: next name is qname's immediate successor in lower case (\000.qname; RFC 4471's when that is too long),
 * and the bitmap of `types` (ascending, RRSIG and NSEC included by the caller). ERR_SPACE; ERR_RANGE for a name of 254 bytes or more
 * whose first label has no successor (all its bytes 0xff). */
SP_CHECK sp_err sp_nsec_compact(const struct sp_name *name, const uint16_t *types, size_t n, struct sp_wr *ret);

#endif
