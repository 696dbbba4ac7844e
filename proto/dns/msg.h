/* DNS messages. RFC 1035 4, 6891 (EDNS), 2136 (UPDATE sections). */
#ifndef SP_DNS_MSG_H
#define SP_DNS_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/bytes.h"
#include "proto/dns/name.h"
#include "proto/dns/rrset.h"
#include "proto/dns/rrtype.h"

#define SP_MSG_HEADER 12
#define SP_MSG_MAX 65535

enum sp_opcode { SP_OPCODE_QUERY = 0, SP_OPCODE_NOTIFY = 4, SP_OPCODE_UPDATE = 5, SP_OPCODE_DSO = 6 };

enum sp_rcode {
    SP_RCODE_NOERROR = 0, SP_RCODE_FORMERR = 1, SP_RCODE_SERVFAIL = 2, SP_RCODE_NXDOMAIN = 3, SP_RCODE_NOTIMP = 4,
    SP_RCODE_REFUSED = 5, SP_RCODE_YXDOMAIN = 6, SP_RCODE_YXRRSET = 7, SP_RCODE_NXRRSET = 8, SP_RCODE_NOTAUTH = 9,
    SP_RCODE_NOTZONE = 10, SP_RCODE_BADVERS = 16, SP_RCODE_BADSIG = 16, SP_RCODE_BADKEY = 17, SP_RCODE_BADTIME = 18,
    SP_RCODE_BADTRUNC = 22, SP_RCODE_BADCOOKIE = 23,
};

/* Header flags as they stand in the second 16 bits. */
#define SP_FLAG_QR 0x8000
#define SP_FLAG_AA 0x0400
#define SP_FLAG_TC 0x0200
#define SP_FLAG_RD 0x0100
#define SP_FLAG_RA 0x0080
#define SP_FLAG_AD 0x0020
#define SP_FLAG_CD 0x0010
#define SP_OPCODE_OF(flags) (((flags) >> 11) & 15)
#define SP_RCODE_OF(flags) ((flags)&15)

/* EDNS flags (low 16 bits of the OPT TTL). CO: RFC 9824 compact answers OK. */
#define SP_EDNS_DO 0x8000
#define SP_EDNS_CO 0x4000

enum sp_edns_code {
    SP_EDNS_UL = 2, SP_EDNS_NSID = 3, SP_EDNS_COOKIE = 10, SP_EDNS_KEEPALIVE = 11, SP_EDNS_PADDING = 12, SP_EDNS_EDE = 15,
};

struct sp_edns {
    bool present;
    uint8_t ext_rcode; /* upper 8 bits */
    uint8_t version;
    uint16_t flags;
    uint16_t udp_size;
    struct sp_rd options;
};

enum sp_msg_auth { SP_AUTH_NONE, SP_AUTH_TSIG, SP_AUTH_SIG0 };

/* A checked view of a message; borrows the bytes. Sections are walked with sp_msg_rr. */
struct sp_msg {
    const uint8_t *wire;
    size_t len;
    uint16_t id, flags;
    uint16_t count[4]; /* QD/ZO, AN/PR, NS/UP, AR, as in the header */
    struct sp_name qname; /* of the first question (or zone) when count[0] >= 1 */
    uint16_t qtype, qclass;
    uint16_t section[4]; /* offset of each section's first record */
    struct sp_edns edns;
    enum sp_msg_auth auth;
    uint16_t auth_offset; /* of the TSIG or SIG(0) record, which is the last */
};

/* Parses and frames the whole message: all records lie inside it, at most one OPT (root owner) in the additional section,
 * TSIG and SIG(0) last and alone. Rdata layouts are not looked at. ERR_SHORT, ERR_FORM; even then ret->id and flags are set
 * if 12 bytes were there, so that FORMERR can be answered; count[0] is 0 unless qname, qtype and qclass were read (then at least
 * 1), the other counts are 0, edns is there if an OPT was read. Work is bounded by len. */
SP_CHECK sp_err sp_msg_parse(struct sp_msg *ret, const uint8_t *wire, size_t len);

struct sp_rr {
    struct sp_name owner;
    uint16_t type, rclass;
    uint32_t ttl;
    struct sp_rd rdata; /* confined to it, base is the message */
    uint16_t offset;    /* where the record starts */
};

/* A reader at the start of section 0..3. */
struct sp_rd sp_msg_section(const struct sp_msg *msg, unsigned section);
/* The next record. */
SP_CHECK sp_err sp_msg_rr(struct sp_rd *rd, struct sp_rr *ret);
/* The next EDNS option of a copy of edns.options; false at the end. */
bool sp_edns_next(struct sp_rd *options, uint16_t *code, struct sp_rd *value);
/* The value of the first option `code`; false when absent. */
bool sp_edns_find(const struct sp_edns *edns, uint16_t code, struct sp_rd *value);

/* ---- writing ---- */

/* A message under construction, with name compression over what was written (offsets below 0x4000). */
#define SP_MSGW_SLOTS 64
struct sp_msgw {
    struct sp_wr wr; /* wr.base is the message's start */
    uint16_t count[4];
    uint8_t first_len, first_labels; /* of a name right after the header: most answers repeat it */
    bool filed;                      /* slots are in use, the first name among them */
    uint16_t slots[SP_MSGW_SLOTS];   /* offsets of names, hashed; a lost slot only costs bytes */
};

void sp_msgw_begin(struct sp_msgw *w, void *buf, size_t cap, uint16_t id, uint16_t flags);
void sp_msgw_question(struct sp_msgw *w, const struct sp_name *name, uint16_t type, uint16_t rclass);
void sp_msgw_name(struct sp_msgw *w, const struct sp_name *name, bool compress);
/* One record with uncompressed rdata; names inside rdata of RFC 1035 types are compressed. On ERR_SPACE the record is taken
 * back whole, the error returned, and the writer stays usable (so TC can be set). section 1..3. */
SP_CHECK sp_err sp_msgw_rr(struct sp_msgw *w, unsigned section, const struct sp_name *owner, uint16_t type, uint16_t rclass,
                           uint32_t ttl, const uint8_t *rdata, size_t len);
/* All records of an RRset, or none. */
SP_CHECK sp_err sp_msgw_rrs(struct sp_msgw *w, unsigned section, const struct sp_name *owner, const struct sp_rrs *rrs);
/* The OPT record: begin, any options, end. rcode: all 12 bits, of which the upper 8 stand here. */
struct sp_optw {
    size_t len_at;
};
void sp_msgw_opt_begin(struct sp_msgw *w, struct sp_optw *o, uint16_t udp_size, uint16_t rcode, uint8_t version, uint16_t flags);
void sp_msgw_opt_add(struct sp_msgw *w, uint16_t code, const void *data, size_t len);
void sp_msgw_opt_end(struct sp_msgw *w, struct sp_optw *o);
/* Writes the counts; the length of the message, or 0 if anything failed. */
size_t sp_msgw_end(struct sp_msgw *w);

#endif
