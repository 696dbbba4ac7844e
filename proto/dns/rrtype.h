/* RR types: one table that parser, printer, canonical form and fuzzer share. */
#ifndef SP_DNS_RRTYPE_H
#define SP_DNS_RRTYPE_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/dns/name.h"

enum sp_type {
    SP_TYPE_A = 1, SP_TYPE_NS = 2, SP_TYPE_CNAME = 5, SP_TYPE_SOA = 6, SP_TYPE_PTR = 12, SP_TYPE_MX = 15, SP_TYPE_TXT = 16,
    SP_TYPE_SIG = 24, SP_TYPE_KEY = 25, SP_TYPE_AAAA = 28, SP_TYPE_SRV = 33, SP_TYPE_DNAME = 39, SP_TYPE_OPT = 41,
    SP_TYPE_DS = 43, SP_TYPE_SSHFP = 44, SP_TYPE_RRSIG = 46, SP_TYPE_NSEC = 47, SP_TYPE_DNSKEY = 48, SP_TYPE_NSEC3 = 50,
    SP_TYPE_NSEC3PARAM = 51, SP_TYPE_TLSA = 52, SP_TYPE_CDS = 59, SP_TYPE_CDNSKEY = 60, SP_TYPE_CSYNC = 62,
    SP_TYPE_SVCB = 64, SP_TYPE_HTTPS = 65, SP_TYPE_NXNAME = 128, SP_TYPE_TKEY = 249, SP_TYPE_TSIG = 250,
    SP_TYPE_IXFR = 251, SP_TYPE_AXFR = 252, SP_TYPE_ANY = 255, SP_TYPE_CAA = 257,
    /* private use, never in a zone */
    SP_TYPE_SPJOIN = 65281,    /* a joiner's proof inside an UPDATE, consumed */
    SP_TYPE_SPPROFILE = 65282, /* the control session's: proto/control/session.h */
    SP_TYPE_SPPLAN = 65283,
    SP_TYPE_SPSEQ = 65284,
    SP_TYPE_SPFIRST = 65285,
    SP_TYPE_SPPEERS = 65286,
};

enum sp_class { SP_CLASS_IN = 1, SP_CLASS_CH = 3, SP_CLASS_NONE = 254, SP_CLASS_ANY = 255 };

#define SP_RDATA_MAX 65535

/* Mnemonic, or "TYPE123"; ret holds at least 16 bytes. */
void sp_type_to_text(uint16_t type, char ret[16]);
SP_CHECK sp_err sp_type_from_text(const char *text, size_t len, uint16_t *ret);
/* Types that never stand in a zone: OPT, TSIG, TKEY, NXNAME and the QTYPE/meta range 128..255, those of private use above. */
bool sp_type_is_meta(uint16_t type);

/* Reads rdata of `type` from a sub-reader confined to it (base = its message), decompresses names where the type's RFC
 * allows compression, checks the layout, and writes the uncompressed form. ERR_FORM, ERR_SHORT, ERR_SPACE. */
SP_CHECK sp_err sp_rdata_read(uint16_t type, struct sp_rd *rdata, struct sp_wr *ret);
/* Checks stored (uncompressed) rdata. */
SP_CHECK sp_err sp_rdata_check(uint16_t type, const uint8_t *rdata, size_t len);
/* Lowers the embedded names that RFC 4034 6.2 (as amended by 6840 5.1) names, in place. */
void sp_rdata_canonical(uint16_t type, uint8_t *rdata, size_t len);
/* Presentation form of stored rdata, RFC 3597 form for unknown types or on request. Writes no terminating zero. */
void sp_rdata_to_text(uint16_t type, const uint8_t *rdata, size_t len, struct sp_wr *ret);
/* From presentation tokens joined by spaces ("10 mail.example."), names relative to origin; \# form for every type. */
SP_CHECK sp_err sp_rdata_from_text(uint16_t type, const char *text, size_t len, const struct sp_name *origin, struct sp_wr *ret);
/* Visits each domain name in stored rdata (additional processing, zone checks); 0 found is fine. */
size_t sp_rdata_names(uint16_t type, const uint8_t *rdata, size_t len, struct sp_name *ret, size_t cap);

#endif
